package email_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"lifeline/comms"
	"lifeline/comms/email"
	"lifeline/comms/email/smtptest"
)

const from = "Example Status <status@example.com>"

// open makes a mailer that ends with the test.
func open(t *testing.T, cfg email.Config) *email.Mailer {
	t.Helper()
	if cfg.From == "" {
		cfg.From = from
	}
	m, err := email.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func message(to string) comms.Message {
	return comms.Message{
		Delivery: "dlv_1", To: to, Name: "Ada Example", Locale: "en", Subject: "Sites are unreachable",
		Text: "We do not know yet.\n", HTML: "<p>We do not know yet.</p>\n", ID: "one@example.com",
	}
}

// within is a context that ends before the test's patience does.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func expect(t *testing.T, out comms.Outcome, state comms.State, reason string) {
	t.Helper()
	if out.State != state || !strings.Contains(out.Reason, reason) {
		t.Fatalf("got %s %q, want %s %q", out.State, out.Reason, state, reason)
	}
}

func only(t *testing.T, s *smtptest.Server) (smtptest.Received, *smtptest.Parsed) {
	t.Helper()
	all := s.Received()
	if len(all) != 1 {
		t.Fatalf("%d messages came, want 1", len(all))
	}
	p, err := all[0].Parse()
	if err != nil {
		t.Fatalf("%v\n%s", err, all[0].Data)
	}
	return all[0], p
}

func TestEachKindOfConnection(t *testing.T) {
	for name, o := range map[string]smtptest.Options{
		"plain":               {},
		"starttls":            {Security: smtptest.StartTLS},
		"implicit":            {Security: smtptest.Implicit},
		"starttls and login":  {Security: smtptest.StartTLS, User: "us er", Password: "p@ss/w:rd#"},
		"implicit and login":  {Security: smtptest.Implicit, User: "user", Password: "pass"},
		"login over loopback": {User: "user", Password: "pass"},
		"bare":                {Bare: true},
		"bare, step by step":  {NoPipelining: true},
		"bare, implicit":      {Bare: true, Security: smtptest.Implicit},
	} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, o)
			m := open(t, email.Config{Relays: []string{s.URL()}, RootCAs: s.Pool(), Hostname: "lifeline.test"})
			if err := m.Check(within(t)); err != nil {
				t.Fatal(err)
			}
			out := m.Send(within(t), message("ada@example.org"))
			expect(t, out, comms.Sent, "")
			got, _ := only(t, s)
			if got.TLS != (o.Security != smtptest.Plain) && !o.Bare {
				t.Errorf("TLS %v", got.TLS)
			}
			if got.User != o.User || got.Helo != "lifeline.test" || got.From != "status@example.com" || got.To[0] != "ada@example.org" {
				t.Errorf("envelope %+v", got)
			}
			if v := s.Violations(); len(v) > 0 {
				t.Error(v)
			}
			if !m.Live() || m.Name() != "email" {
				t.Error("a mailer with a relay is the live e-mail channel")
			}
		})
	}
}

func TestMessageAsItArrives(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	at := time.Date(2022, 4, 5, 10, 0, 0, 0, time.UTC)
	m := open(t, email.Config{Relays: []string{s.URL()}, Now: func() time.Time { return at }})
	msg := message("ada@example.org")
	msg.Name = "アダ \"Lovelace\""
	msg.Locale, msg.Subject = "zh-CN", "我们正在恢复您的网站:详情见下文,下一次更新时间为十点,请勿重复提交,请耐心等待我们的消息"
	msg.Text = ".leading dot\n..two\n.\n我们不知道。\n" + strings.Repeat("长", 2000) + "\nFrom here\ntail "
	msg.HTML = "<p>" + strings.Repeat("x", 5000) + "</p>\n.\n<p>日本語</p>"
	msg.ID, msg.Root = strings.Repeat("i", 100)+"@example.com", "root@example.com"
	msg.List, msg.Unsub = "Example, updates <updates.status.example.com>", "https://status.example.com/u/"+strings.Repeat("t", 300)
	expect(t, m.Send(within(t), msg), comms.Sent, "")
	got, p := only(t, s)
	if p.Subject != msg.Subject || p.To[0].Name != msg.Name || p.To[0].Address != msg.To || p.From.Name != "Example Status" {
		t.Errorf("heads: %q %v %v", p.Subject, p.To, p.From)
	}
	if crlf(msg.Text) != p.Text || crlf(msg.HTML) != p.HTML {
		t.Errorf("bodies differ:\n%q\n%q", p.Text, p.HTML)
	}
	want := map[string]string{
		"Message-Id": "<" + msg.ID + ">", "In-Reply-To": "<root@example.com>", "References": "<root@example.com>",
		"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "RN, NRN, OOF, AutoReply",
		"List-Id": `"Example, updates" <updates.status.example.com>`, "List-Unsubscribe": "<" + msg.Unsub + ">",
		"List-Unsubscribe-Post": "List-Unsubscribe=One-Click", "Content-Language": "zh-CN",
		"Date": "Tue, 05 Apr 2022 10:00:00 +0000",
	}
	for k, v := range want {
		if p.Header.Get(k) != v {
			t.Errorf("%s: %q, want %q", k, p.Header.Get(k), v)
		}
	}
	if !bytes.Contains(got.Data, []byte("\r\nMessage-ID: <iii")) {
		t.Error("the Message-ID is folded away from its name")
	}
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestFirstMessageStartsTheThread(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	m := open(t, email.Config{Relays: []string{s.URL()}})
	msg := message("ada@example.org")
	msg.Root = msg.ID
	msg.HTML = ""
	expect(t, m.Send(within(t), msg), comms.Sent, "")
	_, p := only(t, s)
	if p.Header.Get("In-Reply-To") != "" || p.Header.Get("References") != "" || p.Text != "We do not know yet.\r\n" {
		t.Errorf("%v", p)
	}
}

func TestAutomaticAnswerHasNoSender(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	m := open(t, email.Config{Relays: []string{s.URL()}})
	msg := message("ada@example.org")
	msg.Auto = "auto-replied"
	expect(t, m.Send(within(t), msg), comms.Sent, "")
	got, p := only(t, s)
	if got.From != "" || p.Header.Get("Auto-Submitted") != "auto-replied" || p.From.Address != "status@example.com" {
		t.Errorf("%q %v", got.From, p.Header)
	}
}

func TestHeadersCannotBeInjected(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	m := open(t, email.Config{Relays: []string{s.URL()}})
	evil := "x\r\nBcc: eve@example.net\r\n\r\nbody\u2028\u202e\x00"
	msg := message("ada@example.org")
	msg.Subject, msg.Name, msg.Locale = evil, evil, evil
	expect(t, m.Send(within(t), msg), comms.Sent, "")
	_, p := only(t, s)
	if p.Header.Get("Bcc") != "" || p.Subject != "x Bcc: eve@example.net body" || p.To[0].Name != p.Subject {
		t.Errorf("%q %q %v", p.Subject, p.To, p.Header)
	}
	for field, spoil := range map[string]func(*comms.Message){
		"to":      func(m *comms.Message) { m.To = "ada@example.org\r\nRCPT TO:<eve@example.net>" },
		"to list": func(m *comms.Message) { m.To = "ada@example.org, eve@example.net" },
		"to name": func(m *comms.Message) { m.To = "Eve <eve@example.net>" },
		"to bare": func(m *comms.Message) { m.To = "ada" },
		"to none": func(m *comms.Message) { m.To = "" },
		"to long": func(m *comms.Message) { m.To = strings.Repeat("a", 65) + "@example.org" },
		"id":      func(m *comms.Message) { m.ID = "a@b>\r\nX: y" },
		"no id":   func(m *comms.Message) { m.ID = "" },
		"root":    func(m *comms.Message) { m.Root = "a@b> <c@d" },
		"auto":    func(m *comms.Message) { m.Auto = "no\r\nX: y" },
		"list":    func(m *comms.Message) { m.List = "a <b>\r\nX: <c>" },
		"unsub":   func(m *comms.Message) { m.Unsub = "https://x/\r\nX: y" },
		"scheme":  func(m *comms.Message) { m.Unsub = "javascript://x/" },
		"no text": func(m *comms.Message) { m.Text = " \n" },
	} {
		msg := message("ada@example.org")
		spoil(&msg)
		if out := m.Send(within(t), msg); out.State != comms.Failed || !strings.HasPrefix(out.Reason, "bad ") {
			t.Errorf("%s: %+v", field, out)
		}
	}
	if s.Count() != 1 {
		t.Errorf("%d messages came", s.Count())
	}
}

func TestAddressesBeyondASCII(t *testing.T) {
	for name, c := range map[string]struct {
		offered bool
		to      string
		want    string // in the envelope; "" when it must fail
		utf8    bool
	}{
		"domain":            {false, "ada@bücher.example", "ada@xn--bcher-kva.example", false},
		"local part":        {true, "爱达@bücher.example", "爱达@xn--bcher-kva.example", true},
		"local part, alone": {false, "爱达@example.org", "", false},
		"quoted":            {true, `"a b"@example.org`, `a b@example.org`, false},
		"plain, offered":    {true, "ada@example.org", "ada@example.org", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, smtptest.Options{SMTPUTF8: c.offered})
			m := open(t, email.Config{Relays: []string{s.URL()}})
			out := m.Send(within(t), message(c.to))
			if c.want == "" {
				expect(t, out, comms.Failed, "SMTPUTF8")
				return
			}
			expect(t, out, comms.Sent, "")
			got, _ := only(t, s)
			if strings.ReplaceAll(got.To[0], `"`, "") != c.want || got.UTF8 != c.utf8 {
				t.Errorf("%q, SMTPUTF8 %v", got.To, got.UTF8)
			}
		})
	}
}

func key(t testing.TB, k crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestDKIM(t *testing.T) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(r.Public())
	if err != nil {
		t.Fatal(err)
	}
	dns := map[string]string{
		"rsa._domainkey.example.com": "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der),
		"ed._domainkey.example.com":  "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public),
	}
	for name, c := range map[string]struct {
		dkim email.DKIM
		n    int
	}{
		"rsa":     {email.DKIM{Domain: "example.com", Selector: "rsa", Key: key(t, r)}, 1},
		"ed25519": {email.DKIM{Domain: "example.com", Selector: "ed", Key: key(t, e)}, 1},
		"both":    {email.DKIM{Domain: "example.com", Selector: "rsa ed", Key: key(t, r) + key(t, e)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, smtptest.Options{})
			m := open(t, email.Config{Relays: []string{s.URL()}, DKIM: c.dkim})
			msg := message("ada@example.org")
			msg.Name, msg.Subject = "阿达", strings.Repeat("恢复 ", 60)
			msg.Text += ".\n我\n\n\n"
			msg.List, msg.Unsub = "updates.example.com", "https://example.com/u/"+strings.Repeat("t", 200)
			msg.Root = "root@example.com"
			expect(t, m.Send(within(t), msg), comms.Sent, "")
			got, _ := only(t, s)
			lookup := func(name string) ([]string, error) {
				if txt, ok := dns[name]; ok {
					return []string{txt}, nil
				}
				return nil, fmt.Errorf("no %s", name)
			}
			verify := func(data []byte) (good int) {
				vs, err := dkim.VerifyWithOptions(bytes.NewReader(data), &dkim.VerifyOptions{LookupTXT: lookup})
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range vs {
					if v.Err != nil {
						continue
					}
					good++
					covered := strings.ToLower(strings.Join(v.HeaderKeys, " "))
					for _, h := range []string{"from", "list-id", "list-unsubscribe", "list-unsubscribe-post", "message-id", "references"} {
						if !strings.Contains(" "+covered+" ", " "+h+" ") {
							t.Errorf("%s is not signed", h)
						}
					}
				}
				return good
			}
			if n := verify(got.Data); n != c.n {
				t.Errorf("%d good signatures, want %d\n%s", n, c.n, got.Data)
			}
			if n := verify(append([]byte("Subject: forged\r\n"), got.Data...)); n != 0 {
				t.Error("a second subject passes")
			}
			if n := verify(bytes.Replace(got.Data, []byte("https://example.com/u/"), []byte("https://example.net/u/"), 1)); n != 0 {
				t.Error("a changed unsubscribe link passes")
			}
		})
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	good := email.Config{Relays: []string{"smtp://127.0.0.1:25?tls=none"}, From: from}
	for want, spoil := range map[string]func(*email.Config){
		"relays must be":         func(c *email.Config) { c.Relays = nil },
		"relay 2 of 2":           func(c *email.Config) { c.Relays = append(c.Relays, "http://x") },
		"relays mix file":        func(c *email.Config) { c.Relays = append(c.Relays, "file:"+t.TempDir()) },
		"from must be":           func(c *email.Config) { c.From = "nobody" },
		"hostname must be":       func(c *email.Config) { c.Hostname = "a b" },
		"dkim needs domain":      func(c *email.Config) { c.DKIM.Selector = "s" },
		"dkim has a key that is": func(c *email.Config) { c.DKIM = email.DKIM{Domain: "d", Selector: "s", Key: "nonsense"} },
	} {
		c := good
		spoil(&c)
		if _, err := email.Open(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestParseRelay(t *testing.T) {
	for in, want := range map[string]email.Relay{
		"smtp://u:p@mail.example.com:2525": {Host: "mail.example.com", Port: 2525, Security: email.StartTLS, User: "u"},
		"smtp://mail.example.com":          {Host: "mail.example.com", Port: 587, Security: email.StartTLS},
		"smtps://mail.example.com":         {Host: "mail.example.com", Port: 465, Security: email.Implicit},
		"smtp://[::1]:25?tls=none":         {Host: "::1", Port: 25, Security: email.Plain},
		"file:./outbox":                    {Dir: "./outbox"},
		"file:///var/outbox":               {Dir: "/var/outbox"},
	} {
		got, err := email.ParseRelay(in)
		if err != nil || got.Host != want.Host || got.Port != want.Port || got.Security != want.Security || got.User != want.User || got.Dir != want.Dir {
			t.Errorf("%s: %#v %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		"smtp://u:s3cret%zz@h":             "not a URL",
		"smtp://u:s3cret@":                 "no host",
		"smtp://u:s3cret/x@h":              "",
		"smtp://u:s3cret@h/x":              "after host",
		"smtp://u:s3cret@h#f":              "after host",
		"smtp://u:s3cret@h:99999":          "port",
		"smtp://u:s3cret@h?x=1":            "unknown option",
		"smtp://u:s3cret@h?tls=maybe":      "tls",
		"smtp://u:s3cret@h:25?tls=none":    "clear text",
		"smtps://u:s3cret@h?tls=none":      "at once",
		"smtp://s3cret@h":                  "both user and password",
		"smtp://:s3cret@h":                 "both user and password",
		"lmtp://u:s3cret@h":                "must begin",
		"file:":                            "directory",
		"s3cret":                           "must begin",
		"smtp://u:s3cret\n@h":              "not a URL",
		"smtp://u:s3cret@h?tls=none&tls=x": "unknown option",
		"smtp://u:s3cret@h?s3cret=%zz":     "",
	} {
		_, err := email.ParseRelay(in)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", in, err)
		}
	}
	r, err := email.ParseRelay("smtp://u:s3cret@h")
	if err != nil || strings.Contains(fmt.Sprintf("%v %s %#v", r, r, r), "s3cret") {
		t.Errorf("a relay prints its password: %v", r)
	}
}

func TestToDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out", "box")
	m := open(t, email.Config{Relays: []string{"file:" + dir}})
	if m.Live() {
		t.Error("a directory tells nobody")
	}
	msg := message("ada@example.org")
	msg.Delivery = "../../dlv/x\x00y"
	for range 2 { // a retry writes the same file
		expect(t, m.Send(within(t), msg), comms.Written, "")
	}
	msg.To = "bob@example.org"
	expect(t, m.Send(within(t), msg), comms.Written, "")
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 2 {
		t.Fatalf("%v %v", names, err)
	}
	for _, n := range names {
		data, err := os.ReadFile(filepath.Join(dir, n.Name()))
		if err != nil || !strings.HasSuffix(n.Name(), ".eml") {
			t.Fatalf("%s: %v", n, err)
		}
		if _, err := (smtptest.Received{Data: data}).Parse(); err != nil {
			t.Error(err)
		}
	}
	if err := m.Check(within(t)); err != nil {
		t.Error(err)
	}
}

func TestManyOnFewConnections(t *testing.T) {
	for name, o := range map[string]smtptest.Options{"strict": {}, "counting": {Count: true}, "step by step": {NoPipelining: true}} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, o)
			m := open(t, email.Config{Relays: []string{s.URL()}, Connections: 4})
			const n = 400
			var wg sync.WaitGroup
			for i := range n {
				wg.Add(1)
				go func() {
					defer wg.Done()
					msg := message(fmt.Sprintf("p%d@example.org", i))
					msg.ID = fmt.Sprintf("m%d@example.com", i)
					if out := m.Send(context.Background(), msg); out.State != comms.Sent {
						t.Errorf("%d: %+v", i, out)
					}
				}()
			}
			wg.Wait()
			if s.Count() != n || s.Connections() > 4 {
				t.Errorf("%d messages over %d connections", s.Count(), s.Connections())
			}
			seen := map[string]bool{}
			for _, r := range s.Received() {
				p, err := r.Parse()
				if err != nil {
					t.Fatal(err)
				}
				if len(r.To) != 1 || p.To[0].Address != r.To[0] || seen[r.To[0]] {
					t.Fatalf("mixed up: %v %v", r.To, p.To)
				}
				seen[r.To[0]] = true
			}
			if v := s.Violations(); len(v) > 0 {
				t.Error(v[0])
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			if err := s.Await(within(t), func() bool { return s.Open() == 0 }); err != nil {
				t.Errorf("%d connections stay open: %v", s.Open(), err)
			}
			expect(t, m.Send(context.Background(), message("late@example.org")), comms.Deferred, "closing")
		})
	}
}

func TestNeverLogsThePassword(t *testing.T) {
	var log bytes.Buffer
	s := smtptest.Start(t, smtptest.Options{Security: smtptest.StartTLS, User: "user", Password: "right"})
	m := open(t, email.Config{
		Relays: []string{strings.Replace(s.URL(), "right", "s3cret", 1)}, RootCAs: s.Pool(),
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	out := m.Send(within(t), message("ada@example.org"))
	expect(t, out, comms.Deferred, "smtp 535")
	err := m.Check(within(t))
	if err == nil || !strings.Contains(err.Error(), "535") {
		t.Errorf("check: %v", err)
	}
	secret := base64.StdEncoding.EncodeToString([]byte("\x00user\x00s3cret"))
	for _, text := range []string{out.Reason, fmt.Sprint(err), log.String()} {
		if strings.Contains(text, "s3cret") || strings.Contains(text, secret) {
			t.Errorf("the password is in %q", text)
		}
	}
}

// TestALetterIsTheSameAndItsHeadIsEachPersonsOwn shows that what is rendered once for a list carries nothing of one person to the next.
func TestALetterIsTheSameAndItsHeadIsEachPersonsOwn(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{Bare: true})
	m := open(t, email.Config{Relays: []string{s.URL()}})
	names := []string{"Ada", strings.TrimSpace(strings.Repeat("Ångström 李 ", 15)), strings.TrimSpace(strings.Repeat("long name, ", 17))}
	for round := range 2 {
		for i, name := range names {
			msg := message(fmt.Sprintf("p%d@example.org", i))
			msg.Name, msg.List, msg.Subject, msg.Text = name, "updates.status.example.com", fmt.Sprintf("update %d", round), fmt.Sprintf("words %d\n", round)
			msg.ID, msg.Unsub = fmt.Sprintf("m%d.%d@example.com", i, round), fmt.Sprintf("https://status.example.com/u/%d", i)
			expect(t, m.Send(within(t), msg), comms.Sent, "")
		}
	}
	for n, r := range s.Received() {
		round, i := n/len(names), n%len(names)
		p, err := r.Parse()
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(string(r.Data), "\r\n\r\n")
		for _, want := range []string{fmt.Sprintf("Message-ID: <m%d.%d@example.com>", i, round), fmt.Sprintf("<https://status.example.com/u/%d>", i), fmt.Sprintf("Subject: update %d", round)} {
			if strings.Count(head, want) != 1 {
				t.Errorf("message %d lacks %s:\n%s", n, want, head)
			}
		}
		if p.To[0].Name != names[i] || p.To[0].Address != fmt.Sprintf("p%d@example.org", i) || strings.Count("\r\n"+head, "\r\nDate: ") != 1 {
			t.Errorf("message %d is to %v", n, p.To)
		}
		if !strings.Contains(body, fmt.Sprintf("words %d", round)) {
			t.Errorf("message %d says %s", n, body)
		}
		for _, line := range strings.Split(head, "\r\n") {
			if len(line) > 78 && !strings.HasPrefix(line, "Message-ID") {
				t.Errorf("message %d has a header line of %d bytes: %s", n, len(line), line)
			}
		}
	}
}
