package mailin

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// door lets connections in, within what the policy allows in all and from one network, and says so to those that it turns away.
type door struct {
	net.Listener
	s *Server

	mu    sync.Mutex
	all   int
	peers map[string]int // by network
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer, from := peerOf(c), ""
		if !d.s.isRelay(peer) {
			from = network(peer)
		}
		if d.enter(from) {
			return &guest{Conn: c, idle: d.s.Policy.Idle, leave: func() { d.left(from) }}, nil
		}
		_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // a stranger's connection: it is closed whatever comes
		_, _ = c.Write([]byte("421 4.7.0 " + d.s.Host + " Too many connections; try again later\r\n"))
		_ = c.Close()
	}
}

// enter counts a connection; "" is one of a relay of ours, which counts in all only.
func (d *door) enter(from string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all >= d.s.Policy.Connections || from != "" && d.peers[from] >= d.s.Policy.PerSource {
		return false
	}
	d.all++
	if from != "" {
		d.peers[from]++
	}
	return true
}

func (d *door) left(from string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all--
	if from == "" {
		return
	}
	if d.peers[from]--; d.peers[from] <= 0 {
		delete(d.peers, from)
	}
}

// guest is a connection that is let in. A wait for its peer ends it, not a time in all: a large mail over a thin line comes in for minutes.
type guest struct {
	net.Conn
	idle  time.Duration
	leave func()
	once  sync.Once
}

// Read implements net.Conn.
func (g *guest) Read(b []byte) (int, error) {
	if err := g.Conn.SetReadDeadline(time.Now().Add(g.idle)); err != nil {
		return 0, err
	}
	return g.Conn.Read(b)
}

// SetReadDeadline implements net.Conn: each read has its own.
func (g *guest) SetReadDeadline(time.Time) error { return nil }

// Close implements net.Conn.
func (g *guest) Close() error {
	g.once.Do(g.leave)
	return g.Conn.Close()
}

// peerOf is the address at the other end.
func peerOf(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// network is what a peer is counted under: its address, of IPv6 the /64.
func network(peer netip.Addr) string {
	if peer.Is6() {
		if p, err := peer.Prefix(64); err == nil {
			return p.String()
		}
	}
	return peer.String()
}
