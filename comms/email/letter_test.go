package email

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/textproto"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"lifeline/comms"
	"lifeline/comms/email/smtptest"
)

// TestEverybodyGetsTheLetterWithHerOwnLink: a letter that is made once holds each person's link and nobody else's, and says the same as one made for her alone.
func TestEverybodyGetsTheLetterWithHerOwnLink(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	record := func(string) ([]string, error) {
		return []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)}, nil
	}
	m, err := Open(Config{Relays: []string{"smtp://127.0.0.1:9?tls=none"}, From: "Status <status@vendor.example>",
		DKIM: DKIM{Domain: "vendor.example", Selector: "s", Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close() //nolint:errcheck // nothing was sent
	links := []string{
		"https://status.vendor.example/y/con_1.inc_2.aaaa", "https://s.example/y/" + strings.Repeat("x", 53) + "." + strings.Repeat(".", 90),
		"https://status.vendor.example/y/con_3.inc_2.b=b&c'd",
	}
	for name, words := range map[string]struct{ text, html, own string }{
		"quoted-printable": {strings.Repeat("A line — with a dash.\n.\n..two\n", 40), "<html><main>\n" + strings.Repeat("<p>Sites.</p>\n", 60) + "<p>no line ends here</main>\n</body></html>", "Where your sites stand"},
		"base 64":          {strings.Repeat("我们正在恢复您的站点。\n", 30), "<html><main>\n" + strings.Repeat("<p>我们正在恢复您的站点。</p>", 40) + "</main></html>\n", "您的站点的状况"},
		"short":            {"Word.", "<main></main>", "Yours"},
		"no HTML":          {"Word.", "", "Yours"},
		"spaces":           {"  Two  words \n\t\n \n\n\n", "<main> \n\n\n<p>\t\tA  b </p>\n\n</main>\n\n\n", "Yours,  truly"},
	} {
		for i, link := range links {
			msg := comms.Message{To: "ann@acme.example", ID: "a.b@vendor.example", Subject: name, Text: words.text, HTML: words.html, List: "incidents.vendor.example",
				Ending: comms.Ending{Words: words.own, Link: link}}
			_, c, err := m.compose(msg)
			if err != nil {
				t.Fatal(err)
			}
			if parts := len(c.letter.own); parts == 0 || parts == 1 && words.html != "" {
				t.Errorf("%s: %d bodies can be completed for a person", name, parts)
			}
			wire := bytes.Clone(c.wire())
			if n := len(m.letters); i > 0 && n != 1 {
				t.Errorf("%s: %d letters were made for %d people", name, n, i+1)
			}
			plain := bytes.Clone(c.plain(nil))
			if chunk := c.chunk(nil); len(chunk) != c.size() || !bytes.HasSuffix(chunk, crlf) || !bytes.Equal(bytes.TrimSuffix(chunk, crlf), bytes.TrimSuffix(plain, crlf)) {
				t.Errorf("%s: %d bytes are announced, and %d sent:\n%s", name, c.size(), len(chunk), chunk)
			}
			c.free()
			r := bufio.NewReader(bytes.NewReader(wire))
			arrived, err := io.ReadAll(textproto.NewReader(r).DotReader())
			if err != nil || r.Buffered() > 0 || !bytes.Equal(arrived, bytes.ReplaceAll(plain, []byte("\r\n"), []byte("\n"))) {
				t.Fatalf("%s: %v, %d bytes left; arrives as\n%s\nnot\n%s", name, err, r.Buffered(), arrived, plain)
			}
			if signed, err := dkim.VerifyWithOptions(bytes.NewReader(plain), &dkim.VerifyOptions{LookupTXT: record}); err != nil || len(signed) != 1 || signed[0].Err != nil {
				t.Errorf("%s: its signature is no good: %v %+v\n%s", name, err, signed, plain)
			}
			got, err := smtptest.Received{Data: plain}.Parse()
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, plain)
			}
			want := msg.Whole()
			if got.Text != bodyText(want.Text) || got.HTML != bodyText(want.HTML) {
				t.Errorf("%s: says\n%s\n%s\nnot\n%s\n%s", name, got.Text, got.HTML, want.Text, want.HTML)
			}
		}
		m.letters = nil
	}
}
