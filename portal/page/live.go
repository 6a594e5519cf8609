package page

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Live tells every reader who has a page open that a newer edition is there: one stream of server-sent events (WHATWG HTML, section 9.2) for all, which
// holds the edition's number and nothing else. An open reader costs her connection and an entry in a map: no goroutine, no request, no buffer. What
// she sends on it is never read. Whoever gets no stream asks again each minute, so a refused or broken one costs seconds and no fact.
//
// It needs a server that keeps hijacked connections (fasthttp.Server.KeepHijackedConns).
type Live struct {
	Most int // open streams; 0: 10,000. More are answered 503

	mu     sync.Mutex
	number int64 // of the edition that readers are told of
	open   map[net.Conn]struct{}
	ended  bool
	wake   chan struct{}
}

const (
	livePath  = "/live"
	mostLive  = 10_000
	liveEvery = 25 * time.Second      // a line without meaning, so that no proxy takes the stream for dead and we notice who is gone
	liveWait  = 20 * time.Millisecond // for one reader's socket to take a line; a reader whose socket is full is cut, and comes again
)

// Count is how many streams are open.
func (l *Live) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// bell is what Run waits for. The caller holds the lock.
func (l *Live) bell() chan struct{} {
	if l.wake == nil {
		l.wake = make(chan struct{}, 1)
	}
	return l.wake
}

// publish makes the number of the shown edition known. It never waits for a reader.
func (l *Live) publish(number int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if number == l.number {
		return
	}
	l.number = number
	select {
	case l.bell() <- struct{}{}:
	default: // Run is told already
	}
}

// Run tells open readers of each edition until ctx ends; then it closes their streams and takes no more.
func (l *Live) Run(ctx context.Context) {
	l.mu.Lock()
	wake := l.bell()
	l.mu.Unlock()
	beat := time.NewTicker(liveEvery)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			l.end()
			return
		case <-wake:
			l.mu.Lock()
			line := event(l.number)
			l.mu.Unlock()
			l.tell(line)
		case <-beat.C:
			l.tell([]byte(":\n\n"))
		}
	}
}

func event(number int64) []byte { return []byte("data: " + strconv.FormatInt(number, 10) + "\n\n") }

// tell writes a line to every reader and forgets those whom it does not reach.
func (l *Live) tell(line []byte) {
	l.mu.Lock()
	all := make([]net.Conn, 0, len(l.open))
	for c := range l.open {
		all = append(all, c)
	}
	l.mu.Unlock()
	var gone []net.Conn
	for _, c := range all {
		if say(c, line) != nil {
			c.Close()
			gone = append(gone, c)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range gone {
		delete(l.open, c)
	}
}

func say(c net.Conn, line []byte) error {
	if err := c.SetWriteDeadline(time.Now().Add(liveWait)); err != nil {
		return err
	}
	_, err := c.Write(line)
	return err
}

func (l *Live) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for c := range l.open {
		c.Close()
	}
	l.open = nil
}

// full says whether no more streams are taken.
func (l *Live) full() bool {
	most := l.Most
	if most <= 0 {
		most = mostLive
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended || len(l.open) >= most
}

// join answers a request with a stream.
func (l *Live) join(ctx *fasthttp.RequestCtx, security [][2]string) {
	if l.full() {
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
		ctx.Response.Header.Set("Retry-After", "30")
		ctx.Response.Header.Set("Cache-Control", "no-store")
		return
	}
	head := streamHead(security)
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(c net.Conn) {
		if wrapped, ok := c.(interface{ UnsafeConn() net.Conn }); ok { // what wraps it holds buffers that nobody needs
			c = wrapped.UnsafeConn()
		}
		l.add(c, head)
	})
}

// add opens a stream: its head and the number that holds now go out before any other.
func (l *Live) add(c net.Conn, head []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || say(c, append(head, event(l.number)...)) != nil {
		c.Close()
		return
	}
	if l.open == nil {
		l.open = map[net.Conn]struct{}{}
	}
	l.open[c] = struct{}{}
}

// streamHead is the head of the answer. Its end is that of the connection, so it has no length.
func streamHead(security [][2]string) []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\nConnection: close\r\n")
	for _, kv := range security {
		fmt.Fprintf(&b, "%s: %s\r\n", kv[0], kv[1])
	}
	b.WriteString("\r\nretry: 5000\n\n")
	return []byte(b.String())
}
