package mailin

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"net/smtp"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"golang.org/x/net/dns/dnsmessage"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/limit"
	"lifeline/store/storetest"
	"lifeline/templates"
)

// world is a desk on a real store with the listener in front, a name server that knows a few senders, and an outbox whose messages the test reads.
type world struct {
	*testing.T
	*Server
	addr string
	sent chan comms.Message
	keys map[string]ed25519.PrivateKey // by domain
}

var theWords = sync.OnceValues(func() (*templates.Set, error) { return templates.Load("") })

// Who the senders of the tests are: acme signs and disowns all else, small says from where it sends, plain says nothing.
const (
	ann  = "ann@acme.example"
	bea  = "bea@small.example"
	carl = "carl@plain.example"
)

func open(t *testing.T, mend ...func(*Server)) *world {
	t.Helper()
	words, err := theWords()
	if err != nil {
		t.Fatal(err)
	}
	var kinds []store.Kind
	for _, some := range [][]store.Kind{contacts.Kinds(), comms.Kinds(), desk.Kinds(), limit.Kinds(), blob.Kinds()} {
		kinds = append(kinds, some...)
	}
	db := storetest.Open(t, kinds)
	key, err := auth.OpenKey(filepath.Join(t.TempDir(), "keys"), true)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	policy := comms.DefaultPolicy()
	policy.Ladders["first_answer"] = comms.Ladder{{To: []comms.Direct{{Channel: comms.ChannelEmail, Address: "lead@vendor.example", Locale: "en"}}}}
	book := &contacts.Book{DB: db, Policy: contacts.DefaultPolicy(), Log: log}
	room := &comms.Room{DB: db, Book: book, Words: words, Policy: policy, Vendor: templates.Vendor{Name: "Vendor", URL: "https://status.vendor.example"}, Log: log}
	w := &world{T: t, sent: make(chan comms.Message, 100), keys: map[string]ed25519.PrivateKey{}}
	w.Server = &Server{DB: db, Comms: room, Policy: DefaultPolicy(), From: "status@vendor.example", Host: "status.vendor.example", Log: log,
		Desk: &desk.Desk{DB: db, Book: book, Comms: room, Policy: desk.DefaultPolicy(), Log: log, Signing: desk.Signing{Sign: key.SignLink, Read: key.OpenLink}}}
	for _, m := range mend {
		m(w.Server)
	}
	w.Desk.Inbox = w.Policy.Inbox(w.From)
	room.Returns = w.Policy.Returns(w.From, key.SignLink)
	w.Resolver = w.names()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.Serve(ctx, l) }()
	outbox := &comms.Outbox{Room: room, Channels: map[string]comms.Channel{"email": box{"email", w.sent}, "sms": box{"sms", w.sent}}, Log: log, Holder: "test"}
	ran := make(chan error, 1)
	go func() { ran <- outbox.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-served, <-ran); err != nil {
			t.Error(err)
		}
	})
	return w
}

// box is a channel that keeps what it is given.
type box struct {
	name string
	sent chan comms.Message
}

func (b box) Name() string { return b.name }
func (b box) Live() bool   { return true }
func (b box) Close() error { return nil }
func (b box) Send(_ context.Context, m comms.Message) comms.Outcome {
	b.sent <- m.Whole()
	return comms.Outcome{State: comms.Sent, Ref: "250 taken"}
}

// names is a resolver that asks a name server of ours.
func (w *world) names() *net.Resolver {
	w.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		w.Fatal(err)
	}
	w.keys["acme.example"] = private
	texts := map[string]string{
		"acme.example.":               "v=spf1 -all",
		"_dmarc.acme.example.":        "v=DMARC1; p=reject",
		"s1._domainkey.acme.example.": "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public),
		"small.example.":              "v=spf1 ip4:127.0.0.1 -all",
		"far.example.":                "v=spf1 ip4:192.0.2.1 -all",
		"_dmarc.quiet.example.":       "v=DMARC1; p=none",
		"strict.example.":             "v=spf1 ip4:127.0.0.1 -all",
		"mail.strict.example.":        "v=spf1 ip4:127.0.0.1 -all",
		"_dmarc.strict.example.":      "v=DMARC1; p=reject; aspf=s",
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Additionals, m.RCode = true, nil, dnsmessage.RCodeNameError
			if text, ok := texts[strings.ToLower(q.Name.String())]; ok {
				m.RCode = dnsmessage.RCodeSuccess
				if q.Type == dnsmessage.TypeTXT {
					m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}, Body: &dnsmessage.TXTResource{TXT: []string{text}}}}
				}
			}
			if out, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// signed puts the signature of its From field's domain on a mail.
func (w *world) signed(mail string) string {
	w.Helper()
	var out bytes.Buffer
	err := dkim.Sign(&out, strings.NewReader(crlf(mail)), &dkim.SignOptions{Domain: "acme.example", Selector: "s1", Signer: w.keys["acme.example"],
		HeaderKeys: []string{"From", "To", "Subject", "Date", "Message-ID"}})
	if err != nil {
		w.Fatal(err)
	}
	return out.String()
}

func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// mail hands a mail over as a relay does; from is of the envelope.
func (w *world) mail(from, to, mail string) error {
	w.Helper()
	c, err := smtp.Dial(w.addr)
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello("relay.example"); err != nil {
		return err
	}
	if err := c.Mail(from); err != nil {
		return err
	}
	for _, one := range strings.Split(to, " ") {
		if err := c.Rcpt(one); err != nil {
			return err
		}
	}
	data, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := data.Write([]byte(crlf(mail))); err != nil {
		return err
	}
	if err := data.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// post is mail that has to be taken.
func (w *world) post(from, to, mail string) {
	w.Helper()
	if err := w.mail(from, to, mail); err != nil {
		w.Fatalf("the mail is not taken: %v", err)
	}
}

// refused says with which code a mail has to be refused.
func (w *world) refused(code string, err error) {
	w.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), code) {
		w.Errorf("answered %v, want %s", err, code)
	}
}

// next is the next message that leaves.
func (w *world) next() comms.Message {
	w.Helper()
	select {
	case m := <-w.sent:
		return m
	case <-time.After(time.Minute):
		w.Fatal("nothing is sent")
		return comms.Message{}
	}
}

// tickets are all of them, the newest last.
func (w *world) tickets() (all []desk.View) {
	w.Helper()
	page, _, err := w.Desk.Tickets(context.Background(), desk.Filter{Limit: 200})
	if err != nil {
		w.Fatal(err)
	}
	for _, rec := range page {
		all = append(all, w.ticket(rec.Value.Number))
	}
	slices.SortFunc(all, func(a, b desk.View) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func (w *world) ticket(number string) desk.View {
	w.Helper()
	v, err := w.Desk.Ticket(context.Background(), number)
	if err != nil {
		w.Fatal(err)
	}
	return v
}

// last is the newest ticket, of how many there have to be.
func (w *world) last(of int) desk.View {
	w.Helper()
	all := w.tickets()
	if len(all) != of {
		w.Fatalf("%d tickets, want %d", len(all), of)
	}
	return all[of-1]
}

// said is the last entry of a ticket, of how many there have to be.
func (w *world) said(number string, of int) desk.Message {
	w.Helper()
	v := w.ticket(number)
	if len(v.Messages) != of {
		w.Fatalf("%d entries, want %d: %+v", len(v.Messages), of, v.Messages)
	}
	return v.Messages[of-1]
}

// greeted is a connection that was let in: one before it may just be on its way out.
func (w *world) greeted() net.Conn {
	w.Helper()
	for range 1000 {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			w.Fatal(err)
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && strings.HasPrefix(line, "220") {
			return c
		}
		c.Close()
	}
	w.Fatal("nobody is let in")
	return nil
}
