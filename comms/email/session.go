package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"lifeline/comms"
)

// session is one connection to a relay, past greeting, TLS and login. One goroutine uses it at a time.
type session struct {
	raw    net.Conn // the TCP connection: deadlines, and the hard close that never finishes a message by accident
	client *smtp.Client

	pipelining bool // RFC 2920
	size       bool // RFC 1870
	utf8       bool // RFC 6531
	eight      bool // RFC 6152
	chunking   bool // RFC 3030, together with pipelining

	unfinished bool // a transaction was begun and not ended: RSET before the next
	used       int  // exchanges that left it in order
	idle       time.Time
	known      map[string]reply
	out        []byte  // what goes out in one turn
	room       [4]step // where the steps of one transaction stand: those of the next are made once these are answered
}

// envelope is what the relay is told beside the content. The addresses carry their angle brackets.
type envelope struct {
	from, to string
	utf8     bool
}

// dial opens a session. go-mail does the talking up to the end of the login; it leaves a connection open when that fails,
// so the connection is ours from the first moment.
func (m *Mailer) dial(ctx context.Context, r Relay) (*session, error) {
	var raw net.Conn
	defer func() {
		if raw != nil {
			_ = raw.Close()
		}
	}()
	var release func() bool
	config := &tls.Config{ServerName: r.Host, RootCAs: m.cfg.RootCAs, MinVersion: tls.VersionTLS12}
	connect := func(dialing context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{Timeout: m.t.Dial}).DialContext(dialing, network, addr)
		if err != nil {
			return nil, err
		}
		raw = c
		release = context.AfterFunc(ctx, func() { _ = c.Close() })
		if r.Security != Implicit {
			return c, nil
		}
		t := tls.Client(c, config)
		return t, t.HandshakeContext(dialing)
	}
	policy := gomail.NoTLS
	if r.Security == StartTLS {
		policy = gomail.TLSMandatory
	}
	options := []gomail.Option{
		gomail.WithPort(r.Port), gomail.WithHELO(m.cfg.Hostname), gomail.WithTimeout(m.early(m.t.Greeting)),
		gomail.WithDialContextFunc(connect), gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(config), gomail.WithoutSMTPUTF8(),
	}
	if r.User != "" {
		options = append(options, gomail.WithSMTPAuthCustom(&login{relay: r}))
	}
	client, err := gomail.NewClient(r.Host, options...)
	if err != nil {
		return nil, err
	}
	c, err := client.DialToSMTPClientWithContext(ctx)
	if release != nil && !release() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	s := &session{raw: raw, client: c, known: map[string]reply{}}
	s.pipelining, _ = c.Extension("PIPELINING")
	s.size, _ = c.Extension("SIZE")
	s.utf8, _ = c.Extension("SMTPUTF8")
	s.eight, _ = c.Extension("8BITMIME")
	chunks, _ := c.Extension("CHUNKING")
	s.chunking = chunks && s.pipelining
	raw = nil
	return s, nil
}

// login picks the best mechanism that the relay offers.
type login struct {
	relay Relay
	smtp.Auth
}

// Start implements smtp.Auth.
func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	r := l.relay
	for _, mech := range []struct {
		name string
		auth smtp.Auth
	}{
		{"SCRAM-SHA-256", smtp.ScramSHA256Auth(r.User, r.password)},
		{"PLAIN", smtp.PlainAuth("", r.User, r.password, r.Host, loopback(r.Host))},
		{"LOGIN", smtp.LoginAuth(r.User, r.password, r.Host, loopback(r.Host))},
		{"CRAM-MD5", smtp.CRAMMD5Auth(r.User, r.password)},
	} {
		if slices.ContainsFunc(server.Auth, func(s string) bool { return strings.EqualFold(s, mech.name) }) {
			l.Auth = mech.auth
			return l.Auth.Start(server)
		}
	}
	return "", nil, errors.New("the relay offers no login that we know (SCRAM-SHA-256, PLAIN, LOGIN, CRAM-MD5)")
}

// abort closes the TCP connection without a word: after half a message anything polite could end it.
func (s *session) abort() { _ = s.raw.Close() }

// quit says goodbye and closes.
func (s *session) quit() {
	_ = s.raw.SetDeadline(time.Now().Add(2 * time.Second))
	_ = s.client.Quit()
	_ = s.raw.Close()
}

// result is what one attempt on one session came to.
type result struct {
	out       comms.Outcome
	blame     blame
	broken    bool // the session is of no more use
	stale     bool // a kept session had gone away before anything was taken: try a fresh one
	elsewhere bool // this relay cannot, another may; nobody is to blame
	crowded   bool // the relay refused a new connection with 421
	parted    bool // the relay said goodbye
	lost      int  // messages that it cut off, so that nobody knows what became of them
}

// step is one command and its answer.
type step struct {
	phase phase
	line  string
	reply reply
}

// transact sends one message on the session of a slot. wire is the content as it travels: CRLF line ends, dots stuffed, ended by a lone dot.
func (s *session) transact(ctx context.Context, m *Mailer, of *slot, env envelope, wire []byte) result {
	if env.utf8 && !s.utf8 {
		return result{elsewhere: true, out: comms.Outcome{State: comms.Failed, Reason: "the address needs SMTPUTF8, which the relay does not offer"}}
	}
	return s.during(ctx, m, func() result { return s.exchange(m, of, env, wire) })
}

// during talks to the relay for as long as ctx lasts, and closes the session when it is of no more use.
func (s *session) during(ctx context.Context, m *Mailer, talk func() result) result {
	start := time.Now()
	release := context.AfterFunc(ctx, s.abort)
	res := talk()
	if !release() {
		res.stopped(ctx, time.Since(start) >= m.t.Stall)
	}
	if res.broken {
		s.abort()
	} else {
		s.used++
	}
	return res
}

// stopped corrects a result when the caller's context ended meanwhile and cut the connection. A relay that kept us waiting
// until the deadline is to blame all the same; one that was merely interrupted is not.
func (res *result) stopped(ctx context.Context, slow bool) {
	if res.broken && res.blame == blameRelay {
		res.out.Reason += " (stopped: " + context.Cause(ctx).Error() + ")"
		if !slow || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			res.blame = blameNobody
		}
	}
	res.broken, res.stale = true, false
}

func (s *session) exchange(m *Mailer, of *slot, env envelope, wire []byte) result {
	steps, given := of.given, of.given != nil
	of.given = nil
	if !given {
		steps = s.steps(env, len(wire), s.unfinished)
	}
	if err := s.talk(m, steps, given); err != nil {
		return s.lost(err, steps)
	}
	refused := slices.IndexFunc(steps, func(st step) bool { return !st.accepted() })
	if refused < 0 {
		return s.content(m, of, wire)
	}
	if st, last := steps[refused], steps[len(steps)-1]; given && st.phase == phaseMail && (st.reply.code == 503 || last.reply.code == 354) {
		// To many a relay a message that it refused has not ended before a RSET. Whatever followed would be that one's, with its recipients.
		return result{out: comms.Outcome{State: comms.Deferred, Reason: st.reply.String()}, broken: true, stale: true}
	}
	return s.refused(m, steps, refused)
}

// steps are the commands of one transaction, up to the content.
func (s *session) steps(env envelope, size int, reset bool) []step {
	steps := s.room[:0]
	if reset {
		steps = append(steps, step{phase: phaseReset, line: "RSET"})
	}
	return append(steps,
		step{phase: phaseMail, line: s.mail(env, size)},
		step{phase: phaseRcpt, line: "RCPT TO:" + env.to},
		step{phase: phaseData, line: "DATA"})
}

// mail is the command that begins a transaction.
func (s *session) mail(env envelope, size int) string {
	mail := "MAIL FROM:" + env.from
	if s.size {
		mail += " SIZE=" + strconv.Itoa(size)
	}
	if env.utf8 {
		if s.eight {
			mail += " BODY=8BITMIME"
		}
		mail += " SMTPUTF8"
	}
	return mail
}

func (st step) accepted() bool {
	if st.phase == phaseData {
		return st.reply.code == 354
	}
	return st.reply.class() == 2
}

// talk gives the commands, all at once where the relay offers that, unless they were given before, and reads the answers. Without
// pipelining it stops at the first refusal and leaves the rest unanswered.
func (s *session) talk(m *Mailer, steps []step, given bool) error {
	if s.pipelining && !given {
		for _, st := range steps {
			_, _ = s.client.Text.W.WriteString(st.line + "\r\n")
		}
		if err := s.flush(m.early(m.t.Command)); err != nil {
			return err
		}
	}
	for i := range steps {
		st := &steps[i]
		if !s.pipelining {
			_, _ = s.client.Text.W.WriteString(st.line + "\r\n")
			if err := s.flush(m.early(m.t.Command)); err != nil {
				return err
			}
		}
		timeout := m.t.Command
		if st.phase == phaseData {
			timeout = m.t.Data
		}
		var err error
		if st.reply, err = s.answer(m.early(timeout), s.known); err != nil {
			return fmt.Errorf("%s: %w", st.phase, err)
		}
		if st.reply.code == 421 || !s.pipelining && !st.accepted() {
			return nil
		}
	}
	return nil
}

func (s *session) flush(timeout time.Duration) error {
	if err := s.raw.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	return s.client.Text.W.Flush()
}

func (s *session) answer(timeout time.Duration, known map[string]reply) (reply, error) {
	in := s.client.Text.R
	if come, _ := in.Peek(in.Buffered()); !wholeReply(come) { // else nothing is waited for, and a deadline costs as much as reading it
		if err := s.raw.SetDeadline(time.Now().Add(timeout)); err != nil {
			return reply{}, err
		}
	}
	return readReply(in, known)
}

// lost is the result when the session broke before any content was given: nothing can have been taken.
func (s *session) lost(err error, steps []step) result {
	s.unfinished = true
	timeout := errors.Is(err, os.ErrDeadlineExceeded)
	return result{
		out:    comms.Outcome{State: comms.Deferred, Reason: "connection lost before data: " + cause(err)},
		blame:  blameRelay,
		broken: true,
		stale:  s.used > 0 && !timeout && steps[0].reply.code == 0,
	}
}

// refused ends a transaction that the relay did not want. It leaves the session fit for the next one, or broken.
func (s *session) refused(m *Mailer, steps []step, at int) result {
	st := steps[at]
	s.unfinished = true
	res := result{}
	if st.phase == phaseReset {
		res.out = comms.Outcome{State: comms.Deferred, Reason: st.reply.String() + " (to RSET)"}
		res.blame, res.broken, res.stale = blameRelay, true, s.used > 0
		return res
	}
	res.out, res.blame = judge(st.phase, st.reply)
	res.elsewhere = st.reply.unfit()
	if st.reply.code == 421 {
		res.broken = true
		res.stale = s.used > 0 && at == 0
		return res
	}
	if last := steps[len(steps)-1]; last.reply.code == 354 {
		// The relay wants content for nobody: a lone dot ends it, and it ought to refuse that (RFC 2920, 3.1).
		_, _ = s.client.Text.W.WriteString(".\r\n")
		if err := s.flush(m.t.Command); err != nil {
			res.broken = true
			return res
		}
		end, err := s.answer(m.t.Command, nil)
		res.broken = err != nil || end.class() == 2 || end.code == 421
	}
	if res.blame == blameRelay {
		res.broken = true
	}
	return res
}

// content gives the message, and behind it the commands of the next one where one waits, and waits for the verdict. A write that failed before
// the lone dot was out is no message: the connection is cut so that the relay cannot take it for one. Once the dot is out a failed write or
// read is the one moment when nobody can know.
func (s *session) content(m *Mailer, of *slot, wire []byte) result {
	message := len(wire)
	for _, st := range m.pool.follow(of) {
		wire = append(append(wire, st.line...), '\r', '\n')
	}
	switch out, err := s.give(m, wire); {
	case err != nil && out < message:
		return s.cut(err)
	case err != nil:
		return s.unknown(err)
	}
	verdict, err := s.answer(m.t.End, nil)
	if err != nil {
		return s.unknown(err)
	}
	res := result{}
	res.out, res.blame = judge(phaseContent, verdict)
	res.elsewhere = verdict.unfit()
	s.unfinished = res.blame != blameNobody
	res.broken = res.blame == blameRelay
	return res
}

// give writes all of it, and says how much is out when that fails.
func (s *session) give(m *Mailer, wire []byte) (out int, err error) {
	const block = 64 << 10
	for at := 0; at < len(wire); at += block {
		if err := s.raw.SetDeadline(time.Now().Add(m.t.Block)); err != nil {
			return at, err
		}
		n, err := s.client.Text.W.Write(wire[at:min(at+block, len(wire))])
		if err == nil && at+block >= len(wire) {
			err = s.client.Text.W.Flush()
		}
		if err != nil {
			return at + n - s.client.Text.W.Buffered(), err
		}
	}
	return len(wire), nil
}

func (s *session) unknown(err error) result {
	s.abort()
	return result{out: lostAfter(err), blame: blameRelay, broken: true}
}

// lostAfter is what becomes of a message whose connection is lost once all of it is out.
func lostAfter(err error) comms.Outcome {
	return comms.Outcome{State: comms.Unknown, Reason: "connection lost after data: " + cause(err)}
}

func (s *session) cut(err error) result {
	s.abort()
	return result{
		out:    comms.Outcome{State: comms.Deferred, Reason: "connection lost within data: " + cause(err)},
		blame:  blameRelay,
		broken: true,
	}
}

// replyCode is the SMTP code in an error of the dial, or 0.
func replyCode(err error) int {
	var proto *textproto.Error
	if errors.As(err, &proto) {
		return proto.Code
	}
	return 0
}

// cause names an error of the network in few words, without addresses of machines where it can.
func cause(err error) string {
	var (
		proto *textproto.Error
		op    *net.OpError
	)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed by the relay"
	case errors.Is(err, net.ErrClosed):
		return "closed"
	case errors.As(err, &proto):
		r := reply{code: proto.Code}
		r.enhanced, r.text = splitEnhanced(proto.Msg, proto.Code)
		return r.String()
	case errors.As(err, &op):
		return clean(op.Op + ": " + op.Err.Error())
	}
	return clean(err.Error())
}
