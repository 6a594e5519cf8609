// Package smtptest is a mail relay for tests, benchmarks and demonstrations: it speaks SMTP on a real socket, keeps or counts
// what it is sent, and misbehaves on request.
//
// It has two engines. The default one is github.com/emersion/go-smtp, an implementation that knows nothing of ours, so
// that what it takes is SMTP and not merely our idea of it. The bare one (Options.Bare, and with it Count, NoPipelining, NoChunking and
// DataAnyway) is a small loop that can do what no decent server does, and is fast enough to be measured against.
// Nothing here belongs into a program that faces strangers.
package smtptest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"lifeline/store/fault"
)

// Security is how the server protects connections.
type Security int

// The kinds of protection.
const (
	Plain    Security = iota // none; URL says ?tls=none
	StartTLS                 // offered, and mail without it is refused
	Implicit                 // from the first byte
)

// Options says what kind of server to start. The zero value takes all mail, unprotected, on a loopback port.
type Options struct {
	Addr     string // to listen on; "127.0.0.1:0" when empty
	Security Security
	User     string // with Password: mail without this login is refused
	Password string
	SMTPUTF8 bool // offer it

	Bare         bool // the small engine
	Count        bool // bare, and keep no message: only counts
	NoPipelining bool // bare: do not offer PIPELINING, and record every client that pipelines all the same
	NoChunking   bool // bare: do not offer CHUNKING
	DataAnyway   bool // bare: answer 354 to DATA although no recipient was accepted

	Away time.Duration // bare: how long a round trip to it takes

	Script Script // may be set later with SetScript
}

// Phase is a moment at which a Script is asked.
type Phase string

// The moments.
const (
	Connect Phase = "connect" // before the greeting
	Mail    Phase = "mail"
	Rcpt    Phase = "rcpt"
	Data    Phase = "data"    // the command, or the first BDAT; the strict engine can only obey an answer with Half here
	Content Phase = "content" // the message has come whole
)

// Event is what a Script is asked about.
type Event struct {
	Phase Phase
	Conn  int // connections are numbered from 1
	From  string
	To    string // the recipient, or the first one
	Try   int    // at Rcpt: how often this recipient was named before, from 0
}

// Answer is what the server then does. The zero Answer is to go on as usual.
type Answer struct {
	Code     int    // 4xx or 5xx: refuse; 421 closes the connection as well
	Enhanced [3]int // such as 5.1.1; X.0.0 when zero
	Text     string
	Cut      bool // close the connection without a word; at Content the message is kept first if Keep is set
	Keep     bool // with Cut or Hang at Content: the message counts as received
	Hang     bool // say nothing more on this connection until the server is closed
	Half     bool // with Cut or Hang at Data: let the content begin, read a little of it, then do that
}

// Script decides about events. It is called from many goroutines.
type Script func(Event) Answer

// Received is one message as it came, dots unstuffed.
type Received struct {
	From string
	To   []string
	Data []byte
	Conn int
	Helo string
	TLS  bool
	User string // the login, or ""
	UTF8 bool   // SMTPUTF8 was said
	At   time.Time
}

// Server is a running server.
type Server struct {
	opts     Options
	listener net.Listener
	tls      *tls.Config
	pool     *x509.CertPool
	pem      []byte
	smtp     *smtp.Server
	done     chan struct{}
	stopped  sync.Once
	wg       sync.WaitGroup

	script atomic.Pointer[Script]
	count  atomic.Int64
	bytes  atomic.Int64
	conns  atomic.Int64

	mu         sync.Mutex
	received   []Received
	tries      map[string]int
	open       map[net.Conn]struct{}
	violations []string
	changed    chan struct{} // closed and renewed whenever something was received
	awaited    atomic.Int64  // somebody waits for a change
}

// New starts a server. Close ends it.
func New(opts Options) (*Server, error) {
	if opts.Count || opts.NoPipelining || opts.NoChunking || opts.DataAnyway {
		opts.Bare = true
	}
	if opts.Bare && (opts.Security == StartTLS || opts.User != "" || opts.SMTPUTF8) {
		return nil, errors.New("smtptest: the bare engine knows neither STARTTLS nor login nor SMTPUTF8")
	}
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	s := &Server{opts: opts, done: make(chan struct{}), tries: map[string]int{}, open: map[net.Conn]struct{}{}, changed: make(chan struct{})}
	s.SetScript(opts.Script)
	if opts.Security != Plain {
		var err error
		if s.tls, s.pool, s.pem, err = certificate(); err != nil {
			return nil, fmt.Errorf("smtptest: make a certificate: %w", err)
		}
	}
	l, err := net.Listen("tcp", opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("smtptest: %w", err)
	}
	s.listener = l
	s.start("smtptest listener", s.accept)
	return s, nil
}

// Start is New for tests: it ends with the test, and fails it when it cannot start.
func Start(t interface {
	Helper()
	Fatal(...any)
	Cleanup(func())
}, opts Options) *Server {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Addr is the address that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is the server as LIFELINE_SMTP wants it.
func (s *Server) URL() string {
	u := url.URL{Scheme: "smtp", Host: s.Addr()}
	if s.opts.User != "" {
		u.User = url.UserPassword(s.opts.User, s.opts.Password)
	}
	switch s.opts.Security {
	case Plain:
		u.RawQuery = "tls=none"
	case Implicit:
		u.Scheme = "smtps"
	}
	return u.String()
}

// Pool holds the server's certificate authority; nil without TLS.
func (s *Server) Pool() *x509.CertPool { return s.pool }

// PEM is the certificate of the server's certificate authority, for another process (SSL_CERT_FILE); nil without TLS.
func (s *Server) PEM() []byte { return s.pem }

// SetScript replaces the script; nil takes all mail.
func (s *Server) SetScript(f Script) {
	if f == nil {
		f = func(Event) Answer { return Answer{} }
	}
	s.script.Store(&f)
}

// Count is how many messages were received, one for each time that a client was told so or was cut off after Keep.
func (s *Server) Count() int { return int(s.count.Load()) }

// Bytes is how much content the bare engine has taken, as it travelled.
func (s *Server) Bytes() int64 { return s.bytes.Load() }

// Connections is how many connections were made, all told.
func (s *Server) Connections() int { return int(s.conns.Load()) }

// Open is how many connections stand.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Received gives what has come so far, in order. Nothing with Options.Count.
func (s *Server) Received() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Received(nil), s.received...)
}

// Violations are breaches of the protocol that the bare engine saw.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.violations...)
}

// Reset forgets what was received and counted.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received, s.violations = nil, nil
	s.tries = map[string]int{}
	s.count.Store(0)
}

// Await waits until ok says so; it asks again whenever a message has come or a connection opened or closed.
func (s *Server) Await(ctx context.Context, ok func() bool) error {
	s.awaited.Add(1)
	defer s.awaited.Add(-1)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if ok() {
			return nil
		}
		select {
		case <-changed:
		case <-s.done:
			return net.ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// AwaitCount waits for n messages.
func (s *Server) AwaitCount(ctx context.Context, n int) error {
	if err := s.Await(ctx, func() bool { return s.Count() >= n }); err != nil {
		return fmt.Errorf("smtptest: %d of %d messages came: %w", s.Count(), n, err)
	}
	return nil
}

// Cut closes all connections that stand, without a word.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Close()
	}
}

// Close ends the server and all its connections, and waits for them.
func (s *Server) Close() error {
	s.stopped.Do(func() {
		close(s.done)
		_ = s.listener.Close()
		s.Cut()
	})
	s.wg.Wait()
	return nil
}

func (s *Server) ask(e Event) Answer { return (*s.script.Load())(e) }

func (s *Server) wake() {
	if s.awaited.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) keep(m Received) {
	if !s.opts.Count {
		s.mu.Lock()
		s.received = append(s.received, m)
		s.mu.Unlock()
	}
	s.count.Add(1)
	s.wake()
}

func (s *Server) violation(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, fmt.Sprintf(format, args...))
}

// tried counts how often a recipient was named before.
func (s *Server) tried(to string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tries[to]
	s.tries[to]++
	return n
}

// accept takes connections and gives each to the engine.
func (s *Server) accept() {
	feed := make(chan net.Conn)
	if !s.opts.Bare {
		s.smtp = s.strict()
		s.start("smtptest engine", func() { _ = s.smtp.Serve(&feeder{Listener: s.listener, feed: feed, done: s.done}) })
	}
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			s.drain()
			return
		}
		c := &conn{Conn: raw, server: s, number: int(s.conns.Add(1))}
		s.mu.Lock()
		s.open[raw] = struct{}{}
		s.mu.Unlock()
		s.wake()
		s.start("smtptest connection", func() { s.admit(c, feed) })
	}
}

// start runs a goroutine that Close waits for.
func (s *Server) start(name string, f func()) {
	s.wg.Add(1)
	fault.Go(slog.Default(), name, func() {
		defer s.wg.Done()
		f()
	})
}

// drain waits for the sessions of the strict engine, whose connections Close has cut.
func (s *Server) drain() {
	if s.smtp == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.smtp.Shutdown(ctx)
}

func (s *Server) admit(c *conn, feed chan<- net.Conn) {
	switch a := s.ask(Event{Phase: Connect, Conn: c.number}); {
	case a.Hang:
		<-s.done
		_ = c.Close()
		return
	case a.Cut:
		_ = c.Close()
		return
	case a.Code != 0:
		_, _ = fmt.Fprintf(c, "%s\r\n", a.line())
		_ = c.Close()
		return
	}
	var wrapped net.Conn = c
	if s.opts.Security == Implicit {
		wrapped = tls.Server(c, s.tls)
	}
	if s.opts.Bare {
		s.bare(wrapped, c.number)
		return
	}
	select {
	case feed <- wrapped:
	case <-s.done:
		_ = c.Close()
	}
}

func (a Answer) line() string {
	e := a.Enhanced
	if e == [3]int{} {
		e[0] = a.Code / 100
	}
	text := a.Text
	if text == "" {
		text = "refused by the script"
	}
	return fmt.Sprintf("%d %d.%d.%d %s", a.Code, e[0], e[1], e[2], text)
}

// conn is a TCP connection that is counted out when it closes.
type conn struct {
	net.Conn
	server *Server
	number int
	once   sync.Once
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.server.mu.Lock()
		delete(c.server.open, c.Conn)
		c.server.mu.Unlock()
		c.server.wake()
	})
	return err
}

// feeder is a listener whose connections are handed in.
type feeder struct {
	net.Listener
	feed chan net.Conn
	done chan struct{}
}

func (f *feeder) Accept() (net.Conn, error) {
	select {
	case c := <-f.feed:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

var quiet = log.New(io.Discard, "", 0)
