// Package mailin takes mail from the outside: what customers write, what comes back of our own mail, and what readers complain about. It is the last
// stop of a mail that is addressed to us, and a relay for nobody.
//
// A mail is acknowledged only once what became of it is committed; while the store takes no writes the peer is told to try again, and a mail that is
// sent again is known again. So nothing is lost between the peer and us, and nothing is there twice. No mail is ever answered with a mail
// from here: a refusal is said in the session, where only the one hears it who sent it.
//
// Start reading at [Server.take]. parse.go takes a mail apart, origin.go asks whether its sender is who she says, report.go reads bounces. What becomes of it
// is decided by the desk.
package mailin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/prometheus/client_golang/prometheus"

	"lifeline/comms"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
)

// Server takes mail; everything in it is handed in once, at start.
type Server struct {
	DB       *store.DB
	Desk     *desk.Desk
	Comms    *comms.Room
	Policy   Policy
	From     string // address of our sender, at which people answer as well
	Host     string // by which we greet
	Resolver Resolver
	Metrics  prometheus.Registerer // nil: not measured
	Log      *slog.Logger

	relays []netip.Prefix
	taken  *prometheus.CounterVec
	memory atomic.Int64 // of the mails that are being read
}

// Domain is the domain of our own addresses.
func (p Policy) domain(from string) string {
	if p.Domain != "" {
		return strings.ToLower(p.Domain)
	}
	_, domain, _ := cutAddress(from)
	return domain
}

// Inbox is where customers' answers come in, for the desk.
func (p Policy) Inbox(from string) desk.Inbox {
	return desk.Inbox{Local: strings.ToLower(p.Support), Domain: p.domain(from)}
}

// Returns is where undeliverable mail comes back to, for comms.
func (p Policy) Returns(from string, sign func(purpose, subject string) string) comms.Returns {
	return comms.Returns{Local: strings.ToLower(p.Bounce), Domain: p.domain(from), Sign: sign}
}

// Serve takes mail on a listener until ctx ends; then what is under way is finished, for at most half a minute.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server, err := s.server(ctx)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	fault.Go(s.Log, "mail", func() { ended <- server.Serve(&door{Listener: l, s: s, peers: map[string]int{}}) })
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(err, server.Close())
	}
	return <-ended
}

func (s *Server) server(ctx context.Context) (*smtp.Server, error) {
	var err error
	if s.relays, err = s.Policy.Relays.networks(); err != nil {
		return nil, err
	}
	s.taken = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lifeline_mail_received_total", Help: "Mails that came in, by what became of them."}, []string{"as"})
	if s.Metrics != nil {
		if err := s.Metrics.Register(s.taken); err != nil {
			return nil, fmt.Errorf("measure mail: %w", err)
		}
	}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return s.session(ctx, c) }))
	server.Domain = s.Host
	server.MaxMessageBytes = int64(s.Policy.MiB) << 20
	server.MaxRecipients = s.Policy.Recipients
	server.MaxLineLength = 16 << 10 // RFC 5321 4.5.3.1.6 allows 1,000 bytes, and senders do not keep to it
	server.ReadTimeout, server.WriteTimeout = s.Policy.Idle, s.Policy.Idle
	server.EnableSMTPUTF8 = true
	server.ErrorLog = quiet{s.Log}
	if len(s.Policy.Certificate) == 2 {
		if server.TLSConfig, err = certificates(s.Policy.Certificate); err != nil {
			return nil, err
		}
	}
	return server, nil
}

// certificates reads the files anew when they have changed, so that a renewed one needs no restart.
func certificates(files []string) (*tls.Config, error) {
	var mu sync.Mutex
	var read time.Time
	var have *tls.Certificate
	load := func() (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		info, err := os.Stat(files[0])
		if err == nil && have != nil && info.ModTime().Equal(read) {
			return have, nil
		}
		cert, failed := tls.LoadX509KeyPair(files[0], files[1])
		if failed != nil && have != nil { // half renewed: the old one still serves
			return have, nil
		}
		if failed != nil {
			return nil, failed
		}
		have = &cert
		if err == nil {
			read = info.ModTime()
		}
		return have, nil
	}
	if _, err := load(); err != nil {
		return nil, fmt.Errorf("mail.certificate: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() }}, nil
}

// quiet keeps strangers' broken sessions out of the log unless somebody debugs.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(format string, v ...any) {
	q.log.Debug("mail session", "line", fmt.Sprintf(format, v...))
}
func (q quiet) Println(v ...any) { q.log.Debug("mail session", "line", fmt.Sprint(v...)) }

// reply is an answer in the session (RFC 5321, RFC 3463).
func reply(code int, enhanced smtp.EnhancedCode, words string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: words}
}

var (
	notOurs   = reply(550, smtp.EnhancedCode{5, 1, 1}, "There is no such mailbox here, and we relay for nobody")
	later     = reply(451, smtp.EnhancedCode{4, 3, 0}, "Your mail cannot be kept right now; please try again")
	full      = reply(452, smtp.EnhancedCode{4, 3, 1}, "Too much is coming in at once; please try again")
	tooMany   = reply(450, smtp.EnhancedCode{4, 7, 1}, "Too many mails from your network; please try again later")
	encrypted = reply(530, smtp.EnhancedCode{5, 7, 0}, "Must issue a STARTTLS command first")
	bareLine  = reply(554, smtp.EnhancedCode{5, 6, 0}, "Bare CR or LF is not taken (RFC 5321 2.3.8)")
	noHeader  = reply(554, smtp.EnhancedCode{5, 6, 0}, "The header cannot be read, or has more than 64 KiB")
	nobody    = reply(554, smtp.EnhancedCode{5, 6, 0}, "The From field must name the one address that we can answer")
	ourself   = reply(550, smtp.EnhancedCode{5, 7, 1}, "Nobody writes to us from an address of ours")
	looping   = reply(554, smtp.EnhancedCode{5, 4, 6}, "This mail has gone in circles (RFC 5321 6.3)")
	tooSlow   = reply(451, smtp.EnhancedCode{4, 4, 2}, "The mail took too long to come in")
)

// session is one connection.
type session struct {
	s    *Server
	ctx  context.Context
	conn *smtp.Conn
	peer netip.Addr
	from string
	to   []string
}

func (s *Server) session(ctx context.Context, c *smtp.Conn) (smtp.Session, error) {
	conn := c.Conn()
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	return &session{s: s, ctx: ctx, conn: c, peer: peerOf(conn)}, nil
}

func (s *Server) isRelay(peer netip.Addr) bool {
	for _, n := range s.relays {
		if n.Contains(peer) {
			return true
		}
	}
	return false
}

// Logout implements smtp.Session.
func (k *session) Logout() error { return nil }

// Reset implements smtp.Session.
func (k *session) Reset() { k.from, k.to = "", nil }

// Mail implements smtp.Session.
func (k *session) Mail(from string, _ *smtp.MailOptions) error {
	p := k.s.Policy
	if _, ok := k.conn.TLSConnectionState(); !ok && len(p.Certificate) == 2 && !p.Unencrypted {
		return encrypted
	}
	k.Reset()
	if !k.s.isRelay(k.peer) {
		err := limit.Take(k.ctx, k.s.DB, "mail from "+network(k.peer), p.PerMinute, time.Minute)
		if fault.Of(err) == fault.TooMany {
			return tooMany
		}
		if err != nil {
			return k.s.failed("count a mail", err)
		}
	}
	k.from = from
	return nil
}

// Rcpt implements smtp.Session. Only our own addresses are taken, whoever asks.
func (k *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	ours, err := k.s.ours(k.ctx, to)
	if err != nil {
		return k.s.failed("look up a recipient", err)
	}
	if !ours {
		return notOurs
	}
	k.to = append(k.to, strings.ToLower(to))
	return nil
}

// ours says whether an address is one of ours: support and its tags, our sender, postmaster and abuse (RFC 2142), those that the policy adds, and return
// addresses that we made.
func (s *Server) ours(ctx context.Context, address string) (bool, error) {
	local, domain, ok := cutAddress(strings.ToLower(address))
	if !ok {
		return strings.EqualFold(address, "postmaster"), nil // RFC 5321 4.5.1
	}
	for _, also := range append(s.Policy.Also, s.From) {
		if strings.EqualFold(local+"@"+domain, also) {
			return true, nil
		}
	}
	if domain != s.Policy.domain(s.From) {
		return false, nil
	}
	name, _, tagged := strings.Cut(local, "+")
	switch name {
	case strings.ToLower(s.Policy.Support), "postmaster", "abuse":
		return true, nil
	case strings.ToLower(s.Policy.Bounce):
		if !tagged {
			return false, nil
		}
		return s.Comms.IsReturn(ctx, local+"@"+domain)
	}
	return false, nil
}

// Data implements smtp.Session.
func (k *session) Data(r io.Reader) error {
	ctx, cancel := context.WithTimeout(k.ctx, k.s.Policy.Longest)
	defer cancel()
	raw, done, err := k.s.read(ctx, r)
	defer done()
	if err != nil {
		return err
	}
	env := envelope{peer: k.peer, helo: k.conn.Hostname(), from: k.from, to: k.to, ours: k.s.isRelay(k.peer)}
	as, err := k.s.take(ctx, env, raw)
	if err != nil {
		as = "refused"
	}
	k.s.taken.WithLabelValues(as).Inc()
	return err
}

// step is by how much memory for a mail is asked for.
const step = 1 << 20

// read reads a mail, within the memory that all that come in at a time may have. done gives it back.
func (s *Server) read(ctx context.Context, r io.Reader) (raw []byte, done func(), err error) {
	held := int64(0)
	done = func() { s.memory.Add(-held) }
	var b bytes.Buffer
	for {
		if s.memory.Add(step) > int64(s.Policy.MemoryMiB)<<20 {
			s.memory.Add(-step)
			return nil, done, full
		}
		held += step
		n, err := io.CopyN(&b, r, step)
		switch {
		case errors.Is(err, io.EOF):
			if bare(b.Bytes()) {
				return nil, done, bareLine
			}
			return b.Bytes(), done, nil
		case err != nil:
			return nil, done, err
		case n == step && ctx.Err() != nil:
			return nil, done, tooSlow
		}
	}
}

// bare says whether a CR or LF stands alone, by which mail is smuggled past systems that read it otherwise.
func bare(raw []byte) bool {
	for i, c := range raw {
		if c == '\n' && (i == 0 || raw[i-1] != '\r') || c == '\r' && (i+1 == len(raw) || raw[i+1] != '\n') {
			return true
		}
	}
	return false
}

// failed says that something of ours went wrong: the peer has the mail still, and tries again.
func (s *Server) failed(what string, err error) error {
	s.Log.Warn("a mail is not taken", "at", what, "err", err)
	return later
}

// take sees to a mail, and says what became of it. With an error nothing did, and the peer keeps it.
func (s *Server) take(ctx context.Context, env envelope, raw []byte) (as string, err error) {
	l, err := parse(raw)
	if err != nil {
		return "", noHeader
	}
	if b, ok := l.readReport(env.from == ""); ok {
		return s.takeReport(ctx, env, l, b)
	}
	auto := l.automatic(env.from == "")
	switch {
	case l.from == "":
		return "", nobody
	case len(l.head.Values("Received")) > mostHops:
		return "", looping
	case s.isSender(l.from) && auto == desk.ByHand:
		return "", ourself
	case s.isSender(l.from): // one of our own mails came round: nobody is to be told of it
		return desk.MailNobody, nil
	}
	files := s.files(l, env)
	text, whole := fitting(l.text)
	if whole != "" || l.cut {
		l.files = append(l.files, file{"mail.eml", raw})
	}
	m := desk.Mail{Key: key(l), ID: l.id, From: l.from, Name: l.name, Origin: s.originOf(ctx, env, l, raw), To: env.to, Refs: l.refs,
		Subject: clip(l.subject, maxSubject), Text: text, Auto: auto, Locale: language(l)}
	if len(l.files) > 0 {
		m.Files = files
	}
	taken, err := s.Desk.TakeMail(ctx, m)
	switch {
	case err == nil:
		return taken.How, nil
	case errors.Is(err, desk.ErrStaffMail):
		return "", reply(550, smtp.EnhancedCode{5, 7, 1}, "Staff answer on the desk, not by mail: "+s.Comms.Vendor.URL+"/desk")
	case fault.Of(err) == fault.Invalid:
		return "", nobody
	}
	return "", s.failed("keep a mail", err)
}

// mostHops is how many servers a mail may have gone through (RFC 5321 6.3).
const mostHops = 100

// isSender says whether an address is one that only we write from. Those that the policy adds are not among them: lists that rewrite senders put their own address in the
// From field.
func (s *Server) isSender(address string) bool {
	local, domain, ok := cutAddress(strings.ToLower(address))
	name, _, _ := strings.Cut(local, "+")
	return ok && (strings.EqualFold(address, s.From) || domain == s.Policy.domain(s.From) && (strings.EqualFold(name, s.Policy.Support) || strings.EqualFold(name, s.Policy.Bounce)))
}

// Bounds of what a ticket is given of a mail; what is more comes with it as a file.
const (
	mostText   = 60 << 10
	maxSubject = 500 // bytes
)

// fitting is as much of a text as a message holds; whole is the text when that is not all.
func fitting(text string) (fits, whole string) {
	if len(text) <= mostText {
		return text, ""
	}
	return clip(text, mostText), text
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + " …"
}

// files reads what came with a mail into the desk.
func (s *Server) files(l *letter, env envelope) func(context.Context) (*desk.Attached, error) {
	return func(ctx context.Context) (*desk.Attached, error) {
		_, source, ok := cutAddress(l.from)
		if !ok || !env.ours {
			source = network(env.peer)
		}
		all := s.Desk.Receive("mail " + source)
		for _, f := range l.files {
			if err := all.Add(ctx, f.name, bytes.NewReader(f.body)); err != nil {
				all.Drop(ctx)
				return nil, err
			}
		}
		return all, nil
	}
}

// key is the same for every copy of a mail: its id and what its sender wrote, nothing that relays add.
func key(l *letter) string {
	sum := sha256.New()
	for _, s := range []string{l.id, l.from, l.subject, l.head.Get("Date"), l.text} {
		fmt.Fprintf(sum, "%d %s\n", len(s), s)
	}
	for _, f := range l.files {
		fmt.Fprintf(sum, "%d %s %d\n", len(f.name), f.name, len(f.body))
		sum.Write(f.body)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// language is that of a mail: what it says of itself, or what its script shows.
func language(l *letter) string {
	if said := l.head.Get("Content-Language"); said != "" && len(said) < 35 {
		return said
	}
	return desk.LocaleOf(l.subject + " " + l.text)
}

// takeReport sees to what a system says of a mail of ours. It is never a ticket: one that is about nothing of ours, or says nothing final, is taken and
// forgotten.
func (s *Server) takeReport(ctx context.Context, env envelope, l *letter, b bounce) (as string, err error) {
	if b.state == "" {
		return "delay", nil
	}
	as = "bounce"
	if b.state == comms.Suppressed {
		as = "complaint"
	}
	for _, to := range l.returnAddresses(s.Policy.Bounce, s.Policy.domain(s.From), env.to) {
		back, err := s.Comms.TakeReport(ctx, comms.Report{To: to, State: b.state, Reason: b.reason, Gone: b.gone})
		if fault.Of(err) == fault.NotFound {
			continue
		}
		if err == nil && back.Talk != "" {
			err = s.Desk.MailReturned(ctx, back.Talk, back.Address, b.reason)
		}
		if err != nil && fault.Of(err) != fault.NotFound { // the ticket may be deleted by now
			return "", s.failed("record a bounce", err)
		}
		return as, nil
	}
	for _, id := range l.aboutIDs() { // the return address is lost; the ticket's mails carry its token in their ids
		ticket, address, err := s.Desk.TicketReferred(ctx, id)
		if err == nil && ticket != "" {
			return as, s.noted(s.Desk.MailReturned(ctx, ticket, address, b.reason))
		}
		if err != nil {
			return "", s.failed("look up a bounce", err)
		}
	}
	return "unknown " + as, nil
}

func (s *Server) noted(err error) error {
	if err != nil {
		return s.failed("note a bounce on a ticket", err)
	}
	return nil
}
