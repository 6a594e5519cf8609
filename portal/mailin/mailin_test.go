package mailin

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"

	"lifeline/comms"
	"lifeline/portal/desk"
)

// note is a mail as a simple program writes it.
func note(from, to, subject, id, text string, more ...string) string {
	head := fmt.Sprintf("From: %s\nTo: %s\nSubject: %s\nDate: Tue, 05 Apr 2022 08:17:00 +0000\n", from, to, subject)
	if id != "" {
		head += "Message-ID: <" + id + ">\n"
	}
	for _, field := range more {
		head += field + "\n"
	}
	return head + "\n" + text + "\n"
}

const support = "support@vendor.example"

// A customer and support talk by mail: a ticket, an answer, her reply, and what is meant for her ticket and is not hers.
func TestATalkByMail(t *testing.T) {
	w := open(t)
	w.post(bea, support, note("Bea <"+bea+">", support, "Our wiki is gone", "one@small.example", "Nothing opens since 8.\n\nBea"))
	filed := w.last(1)
	number := filed.Ticket.Number
	if first := filed.Messages[0]; first.Text != "Our wiki is gone\n\nNothing opens since 8.\n\nBea" || first.Via != "email" || first.From != "customer" || filed.Ticket.Email != bea || filed.Ticket.Route != "email" {
		t.Fatalf("%+v of %+v", first, filed.Ticket)
	}
	receipt := w.next()
	if receipt.To != bea || receipt.Auto != "auto-replied" || receipt.Answers != "one@small.example" || receipt.ID != receipt.Root || strings.Contains(receipt.Text+receipt.Subject, "wiki") {
		t.Errorf("the receipt: %+v", receipt)
	}

	if _, err := w.Desk.Answer(context.Background(), "stf_eve", number, "We found your site.\nIt comes back today.", false); err != nil {
		t.Fatal(err)
	}
	answer := w.next()
	if answer.To != bea || answer.Auto != "auto-generated" || answer.Root != receipt.ID || answer.ID == answer.Root || answer.Answers != "one@small.example" ||
		!strings.Contains(answer.Text, "We found your site.\nIt comes back today.\n") || !strings.Contains(answer.Text, filed.Ticket.Phrase) || answer.ReplyTo != receipt.ReplyTo ||
		!strings.HasPrefix(answer.ReplyTo, "support+") || !strings.HasPrefix(answer.Return, "bounce+") || len(answer.Return)-len("@vendor.example") > 64 {
		t.Fatalf("the answer: %+v", answer)
	}
	if _, err := w.Desk.Answer(context.Background(), "stf_eve", number, "She is Acme's Bea", true); err != nil {
		t.Fatal(err)
	}

	quoted := "Thank you, it works!\n\nOn Tue, 5 Apr 2022 at 09:00, Vendor <" + answer.ReplyTo + "> wrote:\n> We found your site.\n> It comes back today.\n"
	reply := note(bea, answer.ReplyTo, "Re: "+answer.Subject, "two@small.example", quoted, "In-Reply-To: <"+answer.ID+">", "References: <"+answer.Root+">\n <"+answer.ID+">")
	w.post(bea, strings.ToUpper(answer.ReplyTo[:10])+answer.ReplyTo[10:], reply)
	got := w.said(number, 4)
	if got.Text != strings.TrimSpace(quoted) || got.Held != "" || got.Ref != "two@small.example" || w.ticket(number).Ticket.State != desk.Asked {
		t.Errorf("her reply: %+v", got)
	}
	if pieces := desk.Fold(got.Text); len(pieces) != 2 || strings.TrimSpace(pieces[0].Text) != "Thank you, it works!" || !pieces[1].Quoted {
		t.Errorf("folded: %+v", pieces)
	}
	w.post(bea, answer.ReplyTo, "Received: from another.example\n"+reply) // the same once more, by another way
	w.said(number, 4)

	// Programs that keep only one of the marks.
	w.post(bea, support, note(bea, support, "AW: your answer", "three@small.example", "One thing more", "In-Reply-To: <"+answer.ID+">", "References: <garbage <<>> no-at-sign>"))
	if got := w.said(number, 5); got.Text != "One thing more" {
		t.Errorf("by In-Reply-To alone: %+v", got)
	}
	w.post(bea, support, note(bea, support, "About "+strings.ToLower(number), "", "By the number"))
	if got := w.said(number, 6); got.Text != "By the number" || got.Held != "" {
		t.Errorf("by the number, from herself: %+v", got)
	}

	// Who is not on the ticket, or cannot be shown to be, is seen by staff alone.
	for i, c := range []struct{ what, from, envelope, held string }{
		{"a colleague", "dan@small.example", "dan@small.example", desk.HeldStranger},
		{"her address, sent from a place that the domain does not name", bea, "", desk.HeldForged},
		{"a stranger whose domain says nothing", carl, carl, desk.HeldStranger},
	} {
		envelope := c.envelope
		if c.envelope == "" {
			envelope = "x@far.example"
		}
		w.post(envelope, answer.ReplyTo, note(c.from, answer.ReplyTo, "Re", fmt.Sprintf("held%d@x.example", i), "Please give me access: "+c.what))
		got := w.said(number, 7+i)
		if c.held == desk.HeldForged { // without DMARC the envelope's domain speaks for itself alone
			c.held = desk.HeldUnproved
		}
		if got.Held != c.held {
			t.Errorf("%s: held %q, want %q", c.what, got.Held, c.held)
		}
	}
	v := w.ticket(number)
	if v.Ticket.Held != 3 {
		t.Errorf("%d are held", v.Ticket.Held)
	}
	w.post(carl, support, note(carl, support, "Re: ticket "+number, "c1@plain.example", "Add me"))
	if other := w.last(2); other.Ticket.Email != carl || other.Ticket.Number == number {
		t.Errorf("a number alone led a stranger to %+v", other.Ticket)
	}
	w.said(number, 9)
	if m := w.next(); m.To != carl { // nothing that was held was mailed on
		t.Errorf("told %s: %s", m.To, m.Text)
	}
	due, err := w.Comms.DueList(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	held := false
	for _, d := range due {
		held = held || d.What == desk.TaskHeld
	}
	if !held {
		t.Error("nobody is told that something is held")
	}
}

// Whose mail it is, its domain says; the person who is held or opens a ticket is helped all the same.
func TestWhoSentAMail(t *testing.T) {
	w := open(t)
	letter := note("Ann <"+ann+">", support, "Help", "a1@acme.example", "It is gone")
	for i, c := range []struct {
		what, envelope, mail string
		receipt              bool
	}{
		{"signed by her domain", "x@relay.example", w.signed(letter), true},
		{"forged", "x@relay.example", strings.Replace(letter, "a1@", "a2@", 1), false},
		{"changed behind the signature", "x@relay.example", strings.Replace(w.signed(strings.Replace(letter, "a1@", "a3@", 1)), "It is gone", "It is not", 1), false},
		{"a domain that says nothing", carl, note(carl, support, "Help", "", "Gone"), true},
		{"a domain that wants nothing done", "x@relay.example", note("q@quiet.example", support, "Help", "", "Gone"), true},
		{"a subdomain where only the same counts", "s@mail.strict.example", note("s@strict.example", support, "Help", "", "Gone"), false},
		{"the same where only the same counts", "t@strict.example", note("t@strict.example", support, "Help", "", "Gone"), true},
	} {
		w.post(c.envelope, support, c.mail)
		v := w.last(i + 1)
		if !c.receipt {
			continue
		}
		if m := w.next(); m.To != v.Ticket.Email {
			t.Errorf("%s: a receipt to %s", c.what, m.To)
		}
	}
	select {
	case m := <-w.sent:
		t.Errorf("written to %s, which somebody else used", m.To)
	default:
	}
}

// What a relay of ours found is believed, in its own words and from it alone.
func TestWhatOurRelayFoundIsBelieved(t *testing.T) {
	const pass = "dmarc=pass header.from=acme.example"
	chain := "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=lists.example; s=s1; b=AAAA\nARC-Message-Signature: i=1; a=rsa-sha256; d=lists.example; s=s1; h=from; bh=AAAA; b=AAAA\nARC-Authentication-Results: i=1; %s; " + pass
	for _, peers := range []string{"127.0.0.1", "192.0.2.1"} {
		w := open(t, func(s *Server) { s.Policy.Relays = Relays{Networks: []string{peers}, Name: "mx.vendor.example"} })
		for i, c := range []struct{ what, field string }{
			{"its own", "Authentication-Results: mx.vendor.example; " + pass},
			{"of another address", "Authentication-Results: mx.vendor.example; dmarc=pass header.from=other.example"},
			{"of a stranger", "Authentication-Results: mx.stranger.example; " + pass},
			{"below a stranger's", "Authentication-Results: x.example; none\nAuthentication-Results: mx.vendor.example; " + pass},
			{"a forwarder's chain (ARC, RFC 8617)", fmt.Sprintf(chain, "mx.forwarder.example")},
			{"a chain in the relay's name", fmt.Sprintf(chain, "mx.vendor.example")},
			{"the relay's word for a chain alone", "Authentication-Results: mx.vendor.example; arc=pass header.oldest-pass=0; dmarc=fail header.from=acme.example\n" + fmt.Sprintf(chain, "mx.forwarder.example")},
		} {
			w.post("x@relay.example", support, c.field+"\n"+note(ann, support, "Help", fmt.Sprintf("f%d@acme.example", i), "Gone", "X: y"))
			w.last(2*i + 1)
			w.post("dan@small.example", support, note(fmt.Sprintf("dan%d@small.example", i), support, "Help", "", "Gone")) // its receipt follows the other's
			believed := i == 0 && peers == "127.0.0.1"
			m := w.next()
			if (m.To == ann) != believed {
				t.Errorf("%s from %s: the first receipt goes to %s", c.what, peers, m.To)
			}
			if m.To == ann {
				w.next()
			}
			w.last(2*i + 2)
		}
	}
}

// Mail in the languages of our customers, as their programs write it.
func TestMailInEveryEncoding(t *testing.T) {
	w := open(t)
	chinese := "我们的网站无法访问，登录也没有了。请帮助我们。"
	japanisch := "弊社のサイトが表示されません。至急ご確認ください。"
	gb, err := simplifiedchinese.GB18030.NewEncoder().String(chinese)
	if err != nil {
		t.Fatal(err)
	}
	jis, err := japanese.ISO2022JP.NewEncoder().String(japanisch)
	if err != nil {
		t.Fatal(err)
	}
	sjis, err := japanese.ShiftJIS.NewEncoder().String(japanisch)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	half := len(gb) / 2
	half += 1 - half%2 // in the middle of a character
	for i, c := range []struct{ what, subject, want, locale string }{
		{"gb18030", note(carl, support, "=?GB18030?B?"+b64([]byte(gb[:half]))+"?=\n =?GB18030?B?"+b64([]byte(gb[half:]))+"?=", "e1@plain.example", b64([]byte(gb)), "Content-Type: text/plain; charset=gb18030", "Content-Transfer-Encoding: base64"), chinese, "zh-CN"},
		{"gb2312 in name, gb18030 in truth, in 8 bits", note(carl, support, "=?gb2312?B?"+b64([]byte(gb))+"?=", "e2@plain.example", gb, "Content-Type: text/plain; charset=gb2312", "Content-Transfer-Encoding: 8bit"), chinese, "zh-CN"},
		{"no set named", note(carl, support, "x", "e3@plain.example", gb), "x\n\n" + chinese, "zh-CN"},
		{"iso-2022-jp", note(carl, support, "=?ISO-2022-JP?B?"+b64([]byte(jis))+"?=", "e4@plain.example", jis, "Content-Type: text/plain; charset=ISO-2022-JP", "Content-Transfer-Encoding: 7bit"), japanisch, "ja"},
		{"shift_jis called us-ascii", note(carl, support, "x", "e5@plain.example", sjis, "Content-Type: text/plain; charset=us-ascii"), "x\n\n" + japanisch, "ja"},
		{"utf-8 called latin 1", note(carl, support, "x", "e6@plain.example", japanisch, "Content-Type: text/plain; charset=iso-8859-1"), "x\n\n" + japanisch, "ja"},
		{"a page alone", note(carl, support, "x", "e7@plain.example", "<html><head><style>p{}</style><title>no</title></head><body><p>Our&nbsp;site is <b>gone</b></p><script>alert(1)</script><ul><li>wiki</li></ul><img src=https://evil.example/x.png></body></html>", "Content-Type: text/html; charset=utf-8"), "x\n\nOur site is gone\n\n- wiki", "en"},
		{"utf-7", note(carl, support, "x", "e8@plain.example", "+ADw-script+AD4-", "Content-Type: text/plain; charset=utf-7"), "x\n\n+ADw-script+AD4-", "en"},
		{"zero bytes and no type", note(carl, support, "x", "e9@plain.example", "a\x00b"), "x\n\nab", "en"},
	} {
		w.post(carl, support, c.subject)
		v := w.last(i + 1)
		if got := v.Messages[0].Text; got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
		if v.Ticket.Locale != c.locale {
			t.Errorf("%s: in %s, want %s", c.what, v.Ticket.Locale, c.locale)
		}
	}
}

// Files come with a mail, and one that is not kept stops nothing.
func TestFilesComeWithAMail(t *testing.T) {
	w := open(t)
	mail := note(carl, support, "=?utf-8?q?Sch=C3=B6n?=", "f@plain.example", `--b
Content-Type: multipart/alternative; boundary=c

--c
Content-Type: text/plain; charset=utf-8

See the picture
--c
Content-Type: text/html

<p>See the picture</p>
--c--
--b
Content-Type: image/png; name="=?UTF-8?B?5Zu+LnBuZw==?="
Content-Transfer-Encoding: base64
Content-Disposition: attachment

iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg==
--b
Content-Type: application/octet-stream
Content-Disposition: attachment; filename="../../etc/passwd"

root
--b
Content-Type: text/plain; name=empty.txt
Content-Disposition: attachment

--b
Content-Type: message/rfc822

From: a@b.example

inner
--b--`, `Content-Type: multipart/mixed; boundary="b"`)
	w.post(carl, support, mail)
	v := w.last(1)
	first := v.Messages[0]
	if first.Text != "Schön\n\nSee the picture" || len(first.Files) != 3 || len(first.Unkept) != 1 || first.Unkept[0].Name != "empty.txt" {
		t.Fatalf("%+v", first)
	}
	var names []string
	for _, id := range first.Files {
		names = append(names, v.Files[id].Name)
	}
	if got := strings.Join(names, " "); strings.ContainsAny(got, "/\\") || !strings.Contains(got, "图.png") || !strings.Contains(got, "message.eml") {
		t.Errorf("the files are %q", got)
	}
}

// What programs send is never a ticket and never answered.
func TestProgramsAreNotAnswered(t *testing.T) {
	w := open(t)
	w.post(bea, support, note(bea, support, "Gone", "one@small.example", "Gone"))
	number := w.last(1).Ticket.Number
	receipt := w.next()
	away := note(bea, receipt.ReplyTo, "Automatic reply", "away@small.example", "I am back on Monday", "Auto-Submitted: auto-replied", "In-Reply-To: <"+receipt.ID+">")
	w.post("", receipt.ReplyTo, away)
	if got := w.said(number, 2); got.From != "system" || !got.Internal || !strings.Contains(got.Text, "back on Monday") || w.ticket(number).Ticket.State != desk.New {
		t.Errorf("%+v", got)
	}
	for _, mark := range []string{"Auto-Submitted: auto-generated", "Auto-Submitted: auto-notified; owner-email=x", "X-Autoreply: yes", "Precedence: auto_reply"} {
		w.post(bea, support, note(bea, support, "x", "", mark, mark))
	}
	w.post("", support, note("MAILER-DAEMON@x.example", support, "Delayed", "", "Your mail is delayed; we will keep trying"))
	w.last(1)

	// It only looks like one: it is kept, and not answered.
	w.post(bea, support, note(bea, support, "Out of office, and out of service", "", "Our site is gone"))
	w.post(carl, support, note(carl, support, "x", "", "Through a list", "List-Id: <all.plain.example>", "Precedence: list"))
	w.last(3)
	w.post("dan@small.example", support, note("dan@small.example", support, "Hello", "", "Gone", "Auto-Submitted: no"))
	w.last(4)
	if m := w.next(); m.To != "dan@small.example" {
		t.Errorf("answered %s: %s", m.To, m.Subject)
	}

	// One of our own that comes round, and one that has gone in circles.
	w.post("", receipt.ReplyTo, note("status@vendor.example", receipt.ReplyTo, receipt.Subject, "", receipt.Text, "Auto-Submitted: auto-replied", "In-Reply-To: <"+receipt.ID+">"))
	for _, from := range []string{"status@vendor.example", "Support@vendor.example", receipt.ReplyTo, receipt.Return} {
		w.refused("550", w.mail(bea, support, note(from, support, "Re: "+number, "", "Let me in")))
	}
	hops := "Received: from a.example by b.example; Tue, 05 Apr 2022 08:17:00 +0000\n"
	w.post(bea, support, strings.Repeat(hops, 30)+note("far@small.example", support, "x", "", "by many servers"))
	w.refused("554", w.mail(bea, support, strings.Repeat(hops, 101)+note("far@small.example", support, "x", "", "round and round")))
	w.last(5)
	w.said(number, 2)
}

// A mail of ours that comes back is noted where it came from; another way is tried.
func TestMailThatComesBack(t *testing.T) {
	w := open(t)
	ctx := context.Background()
	receipt, err := w.Desk.File(ctx, "public:web", desk.Intake{Message: "Gone", Email: bea, Phone: "+12025550101"})
	if err != nil {
		t.Fatal(err)
	}
	first := w.next()
	if _, err := w.Desk.Answer(ctx, "stf_eve", receipt.Number, "We look", false); err != nil {
		t.Fatal(err)
	}
	answer := w.next()
	report := func(to, status string) string {
		return note("Mail Delivery System <mailer-daemon@small.example>", to, "Undelivered Mail Returned to Sender", "", `--r
Content-Type: text/plain

I'm sorry
--r
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.small.example

Final-Recipient: rfc822; bea@small.example
Action: `+status+`
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <bea@small.example>: Recipient address rejected
--r
Content-Type: text/rfc822-headers

Return-Path: <`+answer.Return+`>
From: status@vendor.example
Message-ID: <`+answer.ID+`>
--r--`, "MIME-Version: 1.0", "Content-Type: multipart/report; report-type=delivery-status; boundary=r")
	}
	w.post("", answer.Return, report(answer.Return, "delayed"))
	if w.ticket(receipt.Number).Ticket.MailLost {
		t.Fatal("a delay counts as the end")
	}
	w.refused("550", w.mail("", strings.Replace(answer.Return, answer.Return[40:45], "aaaaa", 1), report(answer.Return, "failed")))
	w.post("", answer.Return, report(answer.Return, "failed"))
	v := w.ticket(receipt.Number)
	if !v.Ticket.MailLost || len(v.Messages) != 3 || !v.Messages[2].Internal || strings.Contains(v.Messages[2].Text, bea) && !strings.Contains(v.Messages[2].Text, "b…") {
		t.Fatalf("%+v", v)
	}
	if m := w.next(); m.To != "+12025550101" || strings.Contains(m.Text, "We look") || !strings.Contains(m.Text, receipt.Number) {
		t.Errorf("the other way: %+v", m)
	}
	w.post("", support, report(support, "failed")) // again, and to another of our doors
	if got := w.ticket(receipt.Number); len(got.Messages) != 3 {
		t.Errorf("noted twice: %+v", got.Messages)
	}
	if _, err := w.Desk.Answer(ctx, "stf_eve", receipt.Number, "And more", false); err != nil {
		t.Fatal(err)
	}
	if m := w.next(); m.To != "+12025550101" {
		t.Errorf("the next answer goes to %s", m.To)
	}
	w.post(bea, first.ReplyTo, note(bea, first.ReplyTo, "Re", "b2@small.example", "My mail works again"))
	if _, err := w.Desk.Answer(ctx, "stf_eve", receipt.Number, "Good", false); err != nil {
		t.Fatal(err)
	}
	if m := w.next(); m.To != bea || m.Answers != "b2@small.example" {
		t.Errorf("and then to %s", m.To)
	}
}

// Only our own addresses are taken, only what can be kept is acknowledged, and staff are sent to the desk.
func TestWhatIsNotTaken(t *testing.T) {
	w := open(t, func(s *Server) {
		s.Policy.Also, s.Policy.MiB, s.Policy.PerMinute = []string{"help@other.example"}, 1, 1000
	})
	letter := note(carl, support, "x", "", "y")
	for _, to := range []string{"ann@acme.example", "support@acme.example", "nobody@vendor.example", "bounce@vendor.example", "bounce+x.1.y@vendor.example", "supportx@vendor.example", "support%acme.example@vendor.example"} {
		if err := w.mail(carl, to, letter); err == nil || !strings.HasPrefix(err.Error(), "5") {
			t.Errorf("%s: %v", to, err)
		}
	}
	for i, to := range []string{support, "SUPPORT+anything@Vendor.Example", "status@vendor.example", "postmaster@vendor.example", "abuse@vendor.example", "help@other.example"} {
		w.post(carl, to, note(carl, to, "x", fmt.Sprintf("o%d@plain.example", i), "y"))
	}
	w.last(6)
	w.post(carl, support+" status@vendor.example", note(carl, support, "two doors", "", "one mail"))
	w.last(7)
	w.post(carl, support, note(carl, support, "no id", "", "the first"))
	w.post(carl, support, note(carl, support, "no id", "", "the second"))
	w.last(9)
	w.refused("550", w.mail("x@vendor.example", support, note("lead@vendor.example", support, "Re: late", "", "on it")))
	w.refused("554", w.mail(carl, support, note("a@x.example, b@x.example", support, "two", "", "y")))
	w.refused("554", w.mail(carl, support, note("nobody", support, "none", "", "y")))
	w.refused("554", w.mail(carl, support, note(carl, support, "long", "", "y", strings.Repeat("X-Long: "+strings.Repeat("a", 900)+"\n", 80)+"X: y")))
	w.refused("552", w.mail(carl, support, note(carl, support, "large", "", strings.Repeat(strings.Repeat("a", 76)+"\n", 20_000))))
	w.last(9)
	late := open(t, func(s *Server) { s.Policy.Longest = 1 }) // no transaction ends in a nanosecond
	late.refused("451", late.mail(carl, support, letter))
	if n := len(late.tickets()); n > 0 {
		t.Errorf("%d tickets of a mail that was refused", n)
	}
	crowded := open(t, func(s *Server) { s.Policy.PerSource, s.Policy.PerMinute = 1, 1 })
	crowded.post(carl, support, letter)
	crowded.refused("450", crowded.mail(carl, support, note(carl, support, "x", "", "z")))
	held := crowded.greeted()
	defer held.Close()
	if _, err := smtp.Dial(crowded.addr); err == nil || !strings.HasPrefix(err.Error(), "421") {
		t.Errorf("a second connection: %v", err)
	}
	raw, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	r := bufio.NewReader(raw)
	for _, step := range []struct{ say, want string }{
		{"", "220"}, {"HELO x\r\n", "250"}, {"MAIL FROM:<" + carl + ">\r\n", "250"}, {"RCPT TO:<" + support + ">\r\n", "250"}, {"DATA\r\n", "354"},
		{"From: " + carl + "\r\n\r\nsmuggled\n.\nMAIL FROM:<x@y.example>\r\n.\r\n", "554"},
	} {
		if _, err := raw.Write([]byte(step.say)); err != nil {
			t.Fatal(err)
		}
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, step.want) {
			t.Fatalf("%q: %s %v", step.say, line, err)
		}
	}
	w.last(9)
}

var _ comms.Channel = box{}

// With a certificate STARTTLS is offered, and asked for where the policy says so; a renewed certificate is used without a restart.
func TestMailComesInEncrypted(t *testing.T) {
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	var roots *x509.CertPool
	renew := func(serial int64) {
		t.Helper()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		form := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"status.vendor.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: private}} {
			if err := os.WriteFile(files[i], pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		at := time.Unix(serial, 0) // each renewal has its own time, however fast the test
		if err := os.Chtimes(files[0], at, at); err != nil {
			t.Fatal(err)
		}
		roots = x509.NewCertPool()
		roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	renew(1_000_000)
	w := open(t, func(s *Server) { s.Policy.Certificate, s.Policy.Unencrypted = files, false })
	w.refused("530", w.mail(carl, support, note(carl, support, "x", "", "in the clear")))
	for i := range 2 {
		c, err := smtp.Dial(w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.StartTLS(&tls.Config{ServerName: "status.vendor.example", RootCAs: roots, MaxVersion: tls.VersionTLS13}); err != nil {
			t.Fatalf("with certificate %d: %v", i, err)
		}
		if err := c.Mail(carl); err != nil {
			t.Fatal(err)
		}
		if err := c.Rcpt(support); err != nil {
			t.Fatal(err)
		}
		data, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := data.Write([]byte(crlf(note(carl, support, "x", fmt.Sprintf("tls%d@plain.example", i), "sealed")))); err != nil {
			t.Fatal(err)
		}
		if err := data.Close(); err != nil {
			t.Fatal(err)
		}
		w.last(i + 1)
		renew(2_000_000)
	}
}
