package email

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"lifeline/comms"
)

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		phase    phase
		code     int
		enhanced string
		state    comms.State
		blame    blame
	}{
		{phaseContent, 250, "2.0.0", comms.Sent, blameNobody},
		{phaseContent, 451, "4.3.0", comms.Deferred, blameMessage},
		{phaseContent, 554, "5.7.1", comms.Failed, blameMessage},
		{phaseContent, 550, "5.4.5", comms.Deferred, blameRelay}, // a day's quota
		{phaseRcpt, 454, "4.7.0", comms.Deferred, blameRelay},
		{phaseContent, 421, "4.3.2", comms.Deferred, blameRelay},
		{phaseContent, 354, "", comms.Deferred, blameRelay},
		{phaseRcpt, 550, "5.1.1", comms.Failed, blameMessage},
		{phaseRcpt, 450, "4.2.1", comms.Deferred, blameMessage},
		{phaseRcpt, 421, "", comms.Deferred, blameRelay},
		{phaseMail, 530, "5.7.0", comms.Deferred, blameRelay},
		{phaseMail, 452, "4.3.1", comms.Deferred, blameRelay},
		{phaseMail, 552, "", comms.Failed, blameMessage},
		{phaseMail, 500, "5.3.4", comms.Failed, blameMessage},
		{phaseData, 250, "", comms.Deferred, blameRelay},
		{phaseData, 503, "5.5.1", comms.Failed, blameMessage},
	} {
		out, b := judge(c.phase, reply{code: c.code, enhanced: c.enhanced})
		if out.State != c.state || b != c.blame {
			t.Errorf("%s %d %s: %s, blame %d; want %s, %d", c.phase, c.code, c.enhanced, out.State, b, c.state, c.blame)
		}
	}
}

func TestPauseGrowsAndEnds(t *testing.T) {
	for _, c := range []struct {
		fails  int
		chance float64
		want   time.Duration
	}{
		{1, 0, time.Second}, {1, 1, time.Second / 2}, {2, 0, 2 * time.Second}, {5, 0, 16 * time.Second},
		{8, 0, 2 * time.Minute}, {64, 0, 2 * time.Minute}, {1 << 40, 0.5, 90 * time.Second},
	} {
		if got := pause(c.fails, time.Second, 2*time.Minute, c.chance); got != c.want {
			t.Errorf("after %d troubles %s, want %s", c.fails, got, c.want)
		}
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 2.0.0 Ok: queued as 4F2A\r\n", "250-a\r\n250 b\r\n", "550-5.1.1 no\r\n550 5.1.1 such\r\n", "220\r\n", "999 x\r\n", "250-\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		known := map[string]reply{}
		r, err := readReply(bufio.NewReader(bytes.NewReader(in)), known)
		if again, err2 := readReply(bufio.NewReader(bytes.NewReader(in)), known); again != r || (err == nil) != (err2 == nil) {
			t.Errorf("%q is read as %+v at first and then as %+v", in, r, again)
		}
		if err != nil {
			return
		}
		if r.code < 200 || r.code > 599 || utf8.RuneCountInString(r.text) > maxReasonText+1 || strings.ContainsAny(r.String(), "\r\n\x00") {
			t.Errorf("%q became %q", in, r)
		}
	})
}

func FuzzStuffing(f *testing.F) {
	for _, s := range []string{"", ".", "..\r\n.", "a\r\n.\r\nb\r\n", "a\r\n..b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		msg := []byte(bodyText(string(in)))
		c := content{letter: letter{wire: [][]byte{appendStuffed(nil, msg)}}}
		wire := c.wire()
		r := bufio.NewReader(bytes.NewReader(wire))
		got, err := io.ReadAll(textproto.NewReader(r).DotReader())
		if err != nil {
			t.Fatal(err)
		}
		if r.Buffered() > 0 {
			t.Fatalf("%q ends before its end on the wire", msg)
		}
		want := strings.ReplaceAll(string(msg), "\r\n", "\n")
		if !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		if string(got) != want {
			t.Fatalf("%q arrives as %q", want, got)
		}
	})
}

func FuzzHeaderText(f *testing.F) {
	for _, s := range []string{"plain", "=?UTF-8?B?ZXZpbA==?=", "我们正在恢复", "a\r\nBcc: x", strings.Repeat("é", 300), "\xff\xfe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		line := oneLine(in, maxSubject)
		enc := encodedWords(line)
		for i := range len(enc) {
			if enc[i] < ' ' || enc[i] > '~' {
				t.Fatalf("%q is written %q", in, enc)
			}
		}
		if utf8.RuneCountInString(line) > maxSubject+1 {
			t.Fatalf("%d runes", utf8.RuneCountInString(line))
		}
		got, err := new(mime.WordDecoder).DecodeHeader(enc)
		if err != nil || got != line {
			t.Fatalf("%q is read %q: %v", line, got, err)
		}
	})
}

func FuzzMailbox(f *testing.F) {
	for _, s := range []string{"a@b.example", `"a b"@c.example`, "a@b\r\nRCPT TO:<c@d>", "爱@例.example", "a@[127.0.0.1]", "<a@b>", "a@b>", "@", "a(b)@c", `"<>"@x`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, _, err := mailbox(in)
		if err != nil {
			return
		}
		if p[0] != '<' || p[len(p)-1] != '>' || strings.ContainsAny(p, "\r\n\x00") || strings.Count(p, ">") != 1 {
			t.Fatalf("%q becomes %q", in, p)
		}
	})
}

// What is made without asking the rules is what they make.
func TestTheShortWayMakesWhatTheRulesMake(t *testing.T) {
	for _, name := range []string{"", "Ann", "Ann O'Neil (ops)", `Ann "the" Neil`, `a\b`, "Zoë", "=?utf-8?q?x?=", "a, b <c@d>", "tab\there"} {
		for _, path := range []string{"<ann@example.org>", `<"a b"@example.org>`, "<a.b+c@x.example>"} {
			want := (&mail.Address{Name: name, Address: unquoted(path)}).String()
			if got := named(name, path); got != want {
				t.Errorf("%q %s: %s, not %s", name, path, got, want)
			}
		}
	}
	for _, name := range []string{`\été`, `站点\`, strings.Repeat(`ü\`, 60)} { // what the rules leave bare is encoded whole
		if got, err := mail.ParseAddress(named(name, "<ann@example.org>")); err != nil || got.Name != name || got.Address != "ann@example.org" {
			t.Errorf("%q is read as %v: %v", name, got, err)
		}
	}
	for in, want := range map[string]string{
		"": "", "plain words": "plain words", " a  b ": "a b", "a\r\nBcc: x": "a Bcc: x", "a\u202eb": "ab", "twelve chars": "twelve char…", "Zoë": "Zoë",
	} {
		if got := oneLine(in, 11); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}

func TestAnAnswerIsWholeOnceItsLastLineHasCome(t *testing.T) {
	for come, want := range map[string]bool{
		"": false, "250 ok": false, "250 ok\r\n": true, "250-a\r\n": false, "250-a\r\n250 b": false, "250-a\r\n250 b\r\n": true,
		"250 a\r\n354": true, "25\r\n": true, "250\r\n": true, "250-a\r\n250-b\r\n": false,
	} {
		if got := wholeReply([]byte(come)); got != want {
			t.Errorf("%q: %v", come, got)
		}
	}
}

func TestBodyText(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		"a\nb\r\nc\rd":         "a\r\nb\r\nc\r\nd",
		"\r\r\n\n":             "\r\n\r\n\r\n",
		"a\x00\x1b\tb\x7f\xff": "a\tb\ufffd",
		"我\n":                  "我\r\n",
		"end\r":                "end\r\n",
	} {
		if got := bodyText(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// A message of a conversation has its place in it, an address for the answer and one to come back to; an id that a stranger made up gets nowhere.
func TestAConversationHoldsTogether(t *testing.T) {
	m, err := Open(Config{Relays: []string{"smtp://127.0.0.1:1?tls=none"}, From: "Vendor <status@vendor.example>"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, c := range []struct {
		what        string
		msg         comms.Message
		from, wants string
		lacks       string
	}{
		{"the receipt", comms.Message{ID: "t.a@h.example", Root: "t.a@h.example", Answers: "hers@x.example", ReplyTo: "support+a@vendor.example", Auto: "auto-replied", Return: "bounce+a@vendor.example"},
			"<>", "Reply-To: <support+a@vendor.example>\r\nMessage-ID: <t.a@h.example>\r\nIn-Reply-To: <hers@x.example>\r\nReferences: <hers@x.example>\r\n", ""},
		{"an answer", comms.Message{ID: "t.a.b@h.example", Root: "t.a@h.example", Answers: "hers@x.example", Return: "bounce+a@vendor.example"},
			"<bounce+a@vendor.example>", "In-Reply-To: <hers@x.example>\r\nReferences: <t.a@h.example>\r\n <hers@x.example>\r\n", "Reply-To: <support"},
		{"to who wrote by another way", comms.Message{ID: "t.a.b@h.example", Root: "t.a@h.example"},
			"<status@vendor.example>", "In-Reply-To: <t.a@h.example>\r\nReferences: <t.a@h.example>\r\n", ""},
		{"to an id that would be a field", comms.Message{ID: "t.a.b@h.example", Root: "t.a@h.example", Answers: "x@y>\r\nBcc: <z@x.example"},
			"<status@vendor.example>", "In-Reply-To: <t.a@h.example>\r\n", "Bcc"},
	} {
		c.msg.To, c.msg.Subject, c.msg.Text = "ann@acme.example", "s", "t"
		env, content, err := m.compose(c.msg)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		got := string(content.plain(nil))
		if env.from != c.from || !strings.Contains(got, c.wants) || c.lacks != "" && strings.Contains(got, c.lacks) {
			t.Errorf("%s: from %s\n%s", c.what, env.from, got)
		}
		content.free()
	}
	for _, bad := range []comms.Message{{ReplyTo: "a b"}, {Return: "x\r\nRCPT TO:<y@z.example>"}} {
		bad.To, bad.Subject, bad.Text, bad.ID = "ann@acme.example", "s", "t", "a@b.example"
		if _, _, err := m.compose(bad); err == nil {
			t.Errorf("%+v is sent", bad)
		}
	}
}
