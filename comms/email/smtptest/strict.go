package smtptest

import (
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// strict is the engine of go-smtp.
func (s *Server) strict() *smtp.Server {
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: s, smtp: c, number: number(c.Conn())}, nil
	}))
	srv.Domain = "smtptest.invalid"
	srv.ErrorLog = quiet
	srv.MaxLineLength = 1000 // RFC 5321 4.5.3.1.6: whoever sends longer lines is refused
	srv.MaxMessageBytes = 50 << 20
	srv.EnableSMTPUTF8 = s.opts.SMTPUTF8
	srv.AllowInsecureAuth = true
	if s.opts.Security == StartTLS {
		srv.TLSConfig = s.tls
	}
	return srv
}

// number finds a connection's number beneath its TLS.
func number(c net.Conn) int {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if c, ok := c.(*conn); ok {
		return c.number
	}
	return 0
}

// session is one client, between greetings.
type session struct {
	server *Server
	smtp   *smtp.Conn
	number int
	user   string

	from string
	utf8 bool
	to   []string
}

func refuse(code int, enhanced [3]int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

// obey does what an answer says; nil is to go on.
func (s *session) obey(a Answer) error {
	switch {
	case a.Hang:
		<-s.server.done
		fallthrough
	case a.Cut:
		_ = s.smtp.Conn().Close()
		return refuse(421, [3]int{4, 3, 0}, "cut")
	case a.Code == 421:
		defer s.closeSoon()
		return refuse(a.Code, a.enhanced(), a.text())
	case a.Code != 0:
		return refuse(a.Code, a.enhanced(), a.text())
	}
	return nil
}

// closeSoon lets the answer out and then ends the reading side, which ends the connection.
func (s *session) closeSoon() { _ = s.smtp.Conn().SetReadDeadline(time.Now()) }

func (a Answer) enhanced() [3]int {
	if a.Enhanced == [3]int{} {
		return [3]int{a.Code / 100, 0, 0}
	}
	return a.Enhanced
}

func (a Answer) text() string {
	if a.Text == "" {
		return "refused by the script"
	}
	return a.Text
}

func (s *session) AuthMechanisms() []string {
	if s.server.opts.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.server.opts.User || password != s.server.opts.Password {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	_, secure := s.smtp.TLSConnectionState()
	switch {
	case s.server.opts.Security == StartTLS && !secure:
		return refuse(530, [3]int{5, 7, 0}, "Must issue a STARTTLS command first")
	case s.server.opts.User != "" && s.user == "":
		return refuse(530, [3]int{5, 7, 0}, "Authentication required")
	}
	if err := s.obey(s.server.ask(Event{Phase: Mail, Conn: s.number, From: from})); err != nil {
		return err
	}
	s.from, s.utf8 = from, opts != nil && opts.UTF8
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	e := Event{Phase: Rcpt, Conn: s.number, From: s.from, To: to, Try: s.server.tried(to)}
	if err := s.obey(s.server.ask(e)); err != nil {
		return err
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	e := Event{Phase: Data, Conn: s.number, From: s.from, To: s.to[0]}
	if a := s.server.ask(e); a.Half {
		_, _ = io.ReadFull(r, make([]byte, 100))
		return s.obey(a)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	e.Phase = Content
	a := s.server.ask(e)
	_, secure := s.smtp.TLSConnectionState()
	if a == (Answer{}) || a.Keep {
		s.server.keep(Received{
			From: s.from, To: s.to, Data: data, Conn: s.number, Helo: s.smtp.Hostname(),
			TLS: secure, User: s.user, UTF8: s.utf8, At: time.Now(),
		})
	}
	return s.obey(a)
}

func (s *session) Reset() { s.from, s.to, s.utf8 = "", nil, false }

func (s *session) Logout() error { return nil }
