package mailin

import (
	"strings"
	"testing"

	"lifeline/comms"
	"lifeline/portal/desk"
)

func parsed(t testing.TB, mail string) *letter {
	t.Helper()
	l, err := parse([]byte(crlf(mail)))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Odd mail is read as far as it goes.
func TestOddMailIsRead(t *testing.T) {
	deep := "deep"
	for range 30 {
		deep = "--b\nContent-Type: multipart/mixed; boundary=b\n\n" + deep + "\n--b--\n"
	}
	parts := strings.Repeat("--b\nContent-Type: application/x\nContent-Disposition: attachment; filename=a\n\nx\n", 500)
	for _, c := range []struct {
		what, mail string
		check      func(*letter) bool
	}{
		{"no Message-ID", "From: a@b.example\n\nx", func(l *letter) bool { return l.id == "" }},
		{"an empty one", "From: a@b.example\nMessage-ID: <>\nIn-Reply-To: <>\nReferences: <@> < > <\n\nx", func(l *letter) bool { return l.id == "" && len(l.refs) == 0 }},
		{"two in one", "From: a@b.example\nMessage-ID: <a@b> <c@d>\n\nx", func(l *letter) bool { return l.id == "" }},
		{"one that would begin a field of ours", "From: a@b.example\nMessage-ID: <a@b\n x: y>\n\nx", func(l *letter) bool { return l.id == "" }},
		{"a name that hides an address", "From: \"support@vendor.example\" <a@b.example>\n\nx", func(l *letter) bool { return l.from == "a@b.example" }},
		{"two From fields", "From: a@b.example\nFrom: c@d.example\n\nx", func(l *letter) bool { return l.from == "" }},
		{"a name in raw bytes", "From: \xc4\xe3\xba\xc3 <a@b.example>\n\nx", func(l *letter) bool { return l.from == "a@b.example" && l.name == "你好" }},
		{"lines that are no fields", "From: a@b.example\nthis is none\nSubject: s\n\nx", func(l *letter) bool { return l.from == "a@b.example" && l.subject == "s" && l.text == "x" }},
		{"a subject of two lines", "From: a@b.example\nSubject: a\n b =?utf-8?q?c=0D=0ABcc:_d?=\n\nx", func(l *letter) bool { return l.subject != "" && l.head.Get("Bcc") == "" }},
		{"parts in parts", "From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n" + deep, func(l *letter) bool { return l.parts <= maxParts+1 }},
		{"many parts", "From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n" + parts + "--b--", func(l *letter) bool { return l.cut && len(l.files) == maxFiles }},
		{"a boundary that never comes", "From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\nhelp", func(l *letter) bool { return l.text == "help" }},
		{"no boundary", "From: a@b.example\nContent-Type: multipart/mixed\n\nhelp", func(l *letter) bool { return l.text == "help" }},
		{"cut off", "From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nhel", func(l *letter) bool { return l.text == "hel" }},
		{"a type that is none", "From: a@b.example\nContent-Type: text\n\nhelp", func(l *letter) bool { return l.text == "help" }},
		{"broken base 64", "From: a@b.example\nContent-Transfer-Encoding: base64\n\naGVs!!bG8\n=", func(l *letter) bool { return l.text == "hello" }},
		{"broken quoted-printable", "From: a@b.example\nContent-Transfer-Encoding: quoted-printable\n\nhel=ZZlo", func(l *letter) bool { return strings.Contains(l.text, "lo") }},
		{"flowed", "From: a@b.example\nContent-Type: text/plain; format=flowed\n\na \nb\n> c\n", func(l *letter) bool { return l.text == "a b\n> c" }},
		{"a quotation in a page", "From: a@b.example\nContent-Type: text/html\n\n<div>Thanks</div><blockquote>We <i>look</i><br>at it</blockquote>", func(l *letter) bool {
			return l.text == "Thanks\n>\n> We look\n> at it" || l.text == "Thanks\n\n> We look\n> at it"
		}},
		{"a link that lies", "From: a@b.example\nContent-Type: text/html\n\n<a href='https://evil.example/x'>https://vendor.example</a>", func(l *letter) bool { return l.text == "https://vendor.example <https://evil.example/x>" }},
	} {
		if l := parsed(t, c.mail); !c.check(l) {
			t.Errorf("%s: from %q id %q refs %q subject %q text %q, %d files, %d parts, cut %t", c.what, l.from, l.id, l.refs, l.subject, l.text, len(l.files), l.parts, l.cut)
		}
	}
	for _, mail := range []string{"From: a@b.example\n" + strings.Repeat("X: "+strings.Repeat("y", 900)+"\n", 80) + "\nx"} {
		if _, err := parse([]byte(crlf(mail))); err == nil {
			t.Error("a header of 72 KiB is read")
		}
	}
}

// What systems say of mail of ours: in the forms made for it, and in words.
func TestReportsAreRead(t *testing.T) {
	status := func(fields string) string {
		return "From: x@y.example\nContent-Type: multipart/report; report-type=delivery-status; boundary=r\n\n--r\n\nwords\n--r\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; y\n\n" + fields + "\n--r--\n"
	}
	complaint := func(kind string) string {
		return "From: fbl@y.example\nContent-Type: multipart/report; report-type=feedback-report; boundary=r\n\n--r\n\nwords\n--r\nContent-Type: message/feedback-report\n\nFeedback-Type: " + kind + "\nVersion: 1\n\n--r\nContent-Type: message/rfc822\n\nReturn-Path: <bounce+01h455vb4pex5vsknk084sn02q.1.abcdefghijklmnop@vendor.example>\n\nx\n--r--\n"
	}
	words := func(from, subject, text string) string {
		return "From: " + from + "\nSubject: " + subject + "\n\n" + text
	}
	for _, c := range []struct {
		what, mail string
		null       bool
		ok         bool
		state      comms.State
		gone       bool
		says       string
	}{
		{"no such user", status("Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user"), true, true, comms.Failed, true, "returned 5.1.1 550 5.1.1 no such user"},
		{"a status that says nothing", status("Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 5.1.10 none"), true, true, comms.Failed, true, "5.1.10"},
		{"full", status("Action: failed\nStatus: 5.2.2"), true, true, comms.Failed, false, "returned 5.2.2"},
		{"refused by policy", status("Action: failed\nStatus: 5.7.1\nDiagnostic-Code: smtp; 554 5.7.1 spam"), true, true, comms.Failed, false, "5.7.1"},
		{"late", status("Action: delayed\nStatus: 4.4.1"), true, true, "", false, ""},
		{"relayed on", status("Action: relayed\nStatus: 2.0.0"), true, true, "", false, ""},
		{"a complaint", complaint("abuse"), false, true, comms.Suppressed, false, "complained"},
		{"the contrary", complaint("not-spam"), false, true, "", false, ""},
		{"qmail", words("MAILER-DAEMON@y.example", "failure notice", "Hi. This is the qmail-send program at y.example.\nI'm afraid I wasn't able to deliver your message to the following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n<bea@y.example>:\nSorry, no mailbox here by that name. (#5.1.1)"), true, true, comms.Failed, true, "5.1.1"},
		{"in Chinese", words("postmaster@y.example", "系统退信", "收件人不存在 550 User not found"), true, true, comms.Failed, true, "550"},
		{"late, in words", words("MAILER-DAEMON@y.example", "Warning: could not send message for past 4 hours", "**********\n** THIS IS A WARNING MESSAGE ONLY **\nwill keep trying"), true, true, "", false, ""},
		{"out of office to the return address", "Auto-Submitted: auto-replied\n" + words("bea@y.example", "Out", "550 things to do"), true, false, "", false, ""},
		{"a person", words("bea@y.example", "Undelivered", "My mail could not be delivered"), false, false, "", false, ""},
	} {
		l := parsed(t, c.mail)
		b, ok := l.readReport(c.null)
		if ok != c.ok || b.state != c.state || b.gone != c.gone || !strings.Contains(b.reason, c.says) {
			t.Errorf("%s: %t %+v", c.what, ok, b)
		}
	}
	l := parsed(t, complaint("abuse"))
	if all := l.returnAddresses("bounce", "vendor.example", nil); len(all) != 1 || !strings.HasPrefix(all[0], "bounce+01h4") {
		t.Errorf("the complaint is about %q", all)
	}
}

func FuzzMail(f *testing.F) {
	for _, s := range []string{"", "From: a@b\n\nx", "From: a@b\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>x</p>\n--b--", "From: =?gb2312?B?xOO6ww==?= <a@b>\nSubject: =?x?q??=\n\n\x1b$B", "From: a@b\nContent-Type: multipart/report; report-type=delivery-status; boundary=r\n\n--r\nContent-Type: message/delivery-status\n\nAction: failed\n\nStatus: 5.1.1\n--r--"} {
		f.Add([]byte(crlf(s)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := parse(raw)
		if err != nil {
			return
		}
		for _, s := range append([]string{l.subject, l.text, l.name, l.id}, l.refs...) {
			if strings.ContainsRune(s, 0) && s == l.text || !strings.Contains(s, "") || strings.ToValidUTF8(s, "?") != s {
				t.Errorf("%q is not text", s)
			}
		}
		if strings.ContainsAny(l.id, "\r\n<> ") || len(l.text) > maxText || l.parts > maxParts+1 || len(l.files) > maxFiles {
			t.Errorf("%+v", l)
		}
		l.readReport(true)
		if l.automatic(false) == desk.AutoSure && l.head.Len() == 0 {
			t.Error("nothing says that a program wrote it")
		}
		l.returnAddresses("bounce", "vendor.example", nil)
		l.aboutIDs()
	})
}

func FuzzPage(f *testing.F) {
	for _, s := range []string{"<p>a</p>", "<blockquote><blockquote>a", "<a href=x><a href=https://b>c</a></a>", "<script><script>", "<pre>a\n b</pre>", "</p></blockquote></script>x", "&#0;&#xD800;"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		if got := plain(page); len(got) > 60*len(page)+100 {
			t.Errorf("%d bytes became %d", len(page), len(got))
		}
	})
}
