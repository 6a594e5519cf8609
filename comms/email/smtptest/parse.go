package smtptest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"unicode/utf8"

	"encoding/base64"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // so that go-message reads all charsets that readers do
)

// Parsed is a message taken apart.
type Parsed struct {
	Header  mail.Header // raw; see Subject and friends for what is read
	Subject string
	From    *mail.Address
	To      []*mail.Address
	Text    string // line ends as CRLF
	HTML    string
}

// Parse reads the message strictly, with net/mail and with go-message, and is an error where the two disagree or where a rule
// of RFC 5322 or RFC 2045 is broken: bare CR or LF, lines over 998 bytes, bytes beyond ASCII without SMTPUTF8, fields that may
// stand once standing twice, parts that cannot be decoded.
func (m Received) Parse() (*Parsed, error) {
	if err := m.lines(); err != nil {
		return nil, err
	}
	msg, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	for _, once := range []string{"From", "To", "Subject", "Date", "Message-Id", "Mime-Version", "Content-Type", "In-Reply-To", "References"} {
		if len(msg.Header[once]) > 1 {
			return nil, fmt.Errorf("%s stands %d times", once, len(msg.Header[once]))
		}
	}
	p := &Parsed{Header: msg.Header}
	if err := p.heads(); err != nil {
		return nil, err
	}
	if err := p.body(msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body); err != nil {
		return nil, err
	}
	return p, p.compare(m.Data)
}

// lines checks the form of the raw message.
func (m Received) lines() error {
	for i, line := range strings.SplitAfter(string(m.Data), "\r\n") {
		body := strings.TrimSuffix(line, "\r\n")
		if strings.ContainsAny(body, "\r\n") {
			return fmt.Errorf("line %d has a bare CR or LF", i+1)
		}
		if len(body) > 998 {
			return fmt.Errorf("line %d has %d bytes", i+1, len(body))
		}
		if !m.UTF8 && strings.ContainsFunc(body, func(c rune) bool { return c >= utf8.RuneSelf || c == 0 }) {
			return fmt.Errorf("line %d has bytes beyond ASCII", i+1)
		}
	}
	return nil
}

func (p *Parsed) heads() (err error) {
	if p.Subject, err = new(mime.WordDecoder).DecodeHeader(p.Header.Get("Subject")); err != nil {
		return fmt.Errorf("decode subject: %w", err)
	}
	from, err := p.Header.AddressList("From")
	if err != nil || len(from) != 1 {
		return fmt.Errorf("From %q: %w", p.Header.Get("From"), err)
	}
	p.From = from[0]
	if p.To, err = p.Header.AddressList("To"); err != nil {
		return fmt.Errorf("To %q: %w", p.Header.Get("To"), err)
	}
	if _, err := p.Header.Date(); err != nil {
		return fmt.Errorf("date: %w", err)
	}
	if p.Header.Get("Mime-Version") != "1.0" {
		return errors.New("no MIME-Version")
	}
	return nil
}

func (p *Parsed) body(contentType, encoding string, r io.Reader) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("content type %q: %w", contentType, err)
	}
	switch kind {
	case "multipart/alternative":
		return p.parts(multipart.NewReader(r, params["boundary"]))
	case "text/plain", "text/html":
	default:
		return fmt.Errorf("unexpected part %s", kind)
	}
	if !strings.EqualFold(params["charset"], "utf-8") {
		return fmt.Errorf("%s in charset %q", kind, params["charset"])
	}
	switch encoding {
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "", "7bit":
	default:
		return fmt.Errorf("%s in encoding %q", kind, encoding)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("decode %s: %w", kind, err)
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("%s is not UTF-8", kind)
	}
	if kind == "text/html" {
		p.HTML = string(data)
	} else {
		p.Text = string(data)
	}
	return nil
}

func (p *Parsed) parts(mr *multipart.Reader) error {
	for n := 0; ; n++ {
		part, err := mr.NextRawPart()
		if errors.Is(err, io.EOF) {
			if n != 2 || p.Text == "" || p.HTML == "" {
				return fmt.Errorf("%d parts, not text and HTML", n)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("part %d: %w", n+1, err)
		}
		if n == 0 && !strings.HasPrefix(part.Header.Get("Content-Type"), "text/plain") {
			return errors.New("the first part is not the text") // RFC 2046 5.1.4: the plainest first
		}
		if err := p.body(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part); err != nil {
			return err
		}
	}
}

// compare reads the message again, with go-message, and wants the same texts.
func (p *Parsed) compare(data []byte) error {
	e, err := message.Read(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("go-message: %w", err)
	}
	subject, err := e.Header.Text("Subject")
	if err != nil || subject != p.Subject {
		return fmt.Errorf("go-message reads the subject %q, net/mail %q: %w", subject, p.Subject, err)
	}
	return e.Walk(func(_ []int, e *message.Entity, err error) error {
		if err != nil {
			return fmt.Errorf("go-message: %w", err)
		}
		kind, _, err := e.Header.ContentType()
		if err != nil || strings.HasPrefix(kind, "multipart/") {
			return err
		}
		body, err := io.ReadAll(e.Body)
		if err != nil {
			return fmt.Errorf("go-message: %w", err)
		}
		want := p.Text
		if kind == "text/html" {
			want = p.HTML
		}
		if string(body) != want {
			return fmt.Errorf("go-message reads another %s", kind)
		}
		return nil
	})
}
