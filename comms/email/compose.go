package email

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"

	"lifeline/comms"
)

// Bounds of what goes into a header; a line may hold 998 bytes (RFC 5322 2.1.1).
const (
	maxSubject = 500 // runes
	maxName    = 200 // runes
	maxID      = 250 // bytes
	maxURL     = 900 // bytes
)

// compose checks a message and renders it. An error says what is wrong with the message: it will be wrong next time too.
func (m *Mailer) compose(msg comms.Message) (envelope, *content, error) {
	to, utf8, err := mailbox(msg.To)
	if err != nil {
		return envelope{}, nil, fmt.Errorf("bad address: %w", err)
	}
	env := envelope{from: m.sender, to: to, utf8: utf8 || !ascii(m.sender)}
	if msg.Return != "" {
		if env.from, _, err = mailbox(msg.Return); err != nil {
			return envelope{}, nil, fmt.Errorf("bad return address: %w", err)
		}
	}
	if msg.Auto == "auto-replied" {
		env.from = "<>" // RFC 3834 3.3: an answer to an answer goes nowhere
	}
	c := contents.Get().(*content)
	if err := m.write(c, msg, to); err != nil {
		c.free()
		return envelope{}, nil, fmt.Errorf("bad message: %w", err)
	}
	if m.signer != nil {
		if err := c.sign(m.signer); err != nil {
			c.free()
			return envelope{}, nil, fmt.Errorf("sign the message: %w", err)
		}
	}
	return env, c, nil
}

// write makes the person's own header fields and the letter that comes behind them.
func (m *Mailer) write(c *content, msg comms.Message, to string) error {
	buf := &c.buf
	field := func(name, value string) {
		buf.WriteString(name)
		buf.WriteString(": ")
		buf.WriteString(value)
		buf.WriteString("\r\n")
	}
	field("Date", m.cfg.Now().Format(time.RFC1123Z))
	field("To", folded(named(oneLine(msg.Name, maxName), to), len("To: ")))
	if msg.ReplyTo != "" {
		reply, _, err := mailbox(msg.ReplyTo)
		if err != nil {
			return fmt.Errorf("bad Reply-To: %w", err)
		}
		field("Reply-To", reply)
	}
	if err := thread(field, msg); err != nil {
		return err
	}
	if err := oneClick(field, msg.Unsub); err != nil {
		return err
	}
	l, err := m.letter(msg)
	if err == nil {
		c.complete(l, msg.Ending.Link)
	}
	return err
}

// folded breaks a long header value at spaces (RFC 5322 2.2.3), behind a name of so many bytes.
func folded(value string, at int) string {
	const wide = 76
	if at+len(value) <= wide {
		return value
	}
	var b strings.Builder
	for i, word := range strings.Split(value, " ") {
		switch {
		case i == 0:
		case at+1+len(word) > wide && word != "":
			b.WriteString("\r\n ")
			at = 1
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String()
}

// render has go-mail write a letter, and takes out the fields that write puts before it. Headers that go in preformatted were
// checked here: go-mail does not check those.
func (m *Mailer) render(msg comms.Message) ([]byte, error) {
	g := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	g.FromMailAddress(m.from)
	g.SetGenHeader(gomail.HeaderSubject, encodedWords(oneLine(msg.Subject, maxSubject)))
	if err := automatic(g, msg); err != nil {
		return nil, err
	}
	if languageTag(msg.Locale) {
		g.SetGenHeader("Content-Language", msg.Locale)
	}
	text := bodyText(msg.Text)
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("no text")
	}
	g.SetBodyString(gomail.TypeTextPlain, text, gomail.WithPartEncoding(encoding(text)))
	if msg.HTML != "" {
		html := bodyText(msg.HTML)
		g.AddAlternativeString(gomail.TypeTextHTML, html, gomail.WithPartEncoding(encoding(html)))
	}
	var buf bytes.Buffer
	if _, err := g.WriteTo(&buf); err != nil {
		return nil, err
	}
	return without(buf.Bytes(), "Date:", "To:", "Message-ID:"), nil
}

// without is a message less the header fields of these names, folded lines and all.
func without(msg []byte, names ...string) []byte {
	out := make([]byte, 0, len(msg))
	drop := false
	for len(msg) > 0 {
		n := bytes.IndexByte(msg, '\n') + 1
		line := msg[:n]
		if n == 0 || len(line) <= 2 { // the end of the header
			break
		}
		if line[0] != ' ' && line[0] != '\t' {
			drop = slices.ContainsFunc(names, func(name string) bool {
				return len(line) > len(name) && strings.EqualFold(string(line[:len(name)]), name)
			})
		}
		if !drop {
			out = append(out, line...)
		}
		msg = msg[n:]
	}
	return append(out, msg...)
}

// thread writes what holds the messages of a thread together (RFC 5322 3.6.4), each on the line of its name: several well-known systems
// read a Message-ID that begins on the next line as none. The id of a mail of hers is a stranger's text: one that is not in the plain form is left
// out.
func thread(field func(name, value string), msg comms.Message) error {
	if !messageID(msg.ID) {
		return errors.New("the message id must look like left@right")
	}
	field("Message-ID", "<"+msg.ID+">")
	var refs []string
	if msg.Root != "" && msg.Root != msg.ID {
		if !messageID(msg.Root) {
			return errors.New("the thread's message id must look like left@right")
		}
		refs = append(refs, "<"+msg.Root+">")
	}
	if messageID(msg.Answers) {
		refs = append(refs, "<"+msg.Answers+">")
	}
	if len(refs) > 0 {
		field("In-Reply-To", refs[len(refs)-1])
		field("References", strings.Join(refs, "\r\n "))
	}
	return nil
}

// automatic sets the headers by which other systems know automatic and list mail: RFC 3834, RFC 2919. The Exchange
// header never says All, which would suppress the bounces that we need.
func automatic(g *gomail.Msg, msg comms.Message) error {
	auto := msg.Auto
	switch auto {
	case "":
		auto = "auto-generated"
	case "auto-generated", "auto-replied":
	default:
		return errors.New("Auto-Submitted must be auto-generated or auto-replied")
	}
	g.SetGenHeader("Auto-Submitted", auto)
	g.SetGenHeaderPreformatted("X-Auto-Response-Suppress", "RN, NRN, OOF, AutoReply")
	if msg.List != "" {
		list, err := listID(msg.List)
		if err != nil {
			return err
		}
		g.SetGenHeader("List-Id", list)
	}
	return nil
}

// oneClick writes how to leave a list (RFC 8058).
func oneClick(field func(name, value string), unsub string) error {
	if unsub == "" {
		return nil
	}
	u, err := url.Parse(unsub)
	if err != nil || u.Host == "" || len(unsub) > maxURL || strings.ContainsFunc(unsub, notInURL) {
		return errors.New("the unsubscribe address must be an https URL")
	}
	field("List-Unsubscribe", "<"+unsub+">")
	switch u.Scheme {
	case "https":
		field("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	case "http": // RFC 8058 wants https; a trial on one machine has none, and then offers the link without the one click
	default:
		return errors.New("the unsubscribe address must be an https URL")
	}
	return nil
}

func notInURL(c rune) bool {
	return c <= ' ' || c > '~' || c == '<' || c == '>' || c == '"' || c == ','
}

// listID reads "updates.status.example.com" or "Example updates <updates.status.example.com>".
func listID(s string) (string, error) {
	name, id, named := strings.Cut(s, "<")
	if named {
		id = strings.TrimSuffix(strings.TrimSpace(id), ">")
	} else {
		name, id = "", s
	}
	bad := func(c rune) bool {
		return c > '~' || c != '.' && c != '-' && c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c)
	}
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, bad) {
		return "", errors.New("the list id must look like a domain name")
	}
	if name = strings.Trim(oneLine(name, maxName), ` "`); name == "" {
		return "<" + id + ">", nil
	}
	if strings.ContainsAny(name, `"\()<>[]:;@,.`) && ascii(name) {
		name = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	}
	return encodedWords(name) + " <" + id + ">", nil
}

// mailbox checks an address and gives it with angle brackets, its domain in ASCII. internationalised says that it needs
// SMTPUTF8 (RFC 6531): its local part cannot be said in ASCII.
func mailbox(address string) (path string, internationalised bool, err error) {
	if address == "" {
		return "", false, errors.New("is empty")
	}
	if everyday(address) {
		return "<" + address + ">", false, nil
	}
	if !utf8.ValidString(address) || strings.ContainsFunc(address, unicode.IsControl) {
		return "", false, errors.New("has characters that no address has")
	}
	at := strings.LastIndexByte(address, '@')
	if at < 1 || at == len(address)-1 {
		return "", false, errors.New("needs something before and after @")
	}
	local, domain := address[:at], address[at+1:]
	if !ascii(domain) {
		if domain, err = idna.Lookup.ToASCII(domain); err != nil {
			return "", false, errors.New("has a domain that is not one")
		}
	}
	parsed, err := mail.ParseAddress(local + "@" + domain)
	if err != nil || parsed.Name != "" || strings.ContainsAny(address, "<>,()") {
		return "", false, errors.New("is not an e-mail address")
	}
	if len(local) > 64 || len(local)+1+len(domain) > 254 {
		return "", false, errors.New("is longer than an address may be")
	}
	return (&mail.Address{Address: parsed.Address}).String(), !ascii(local), nil
}

// everyday says that an address is of the form that nearly all have, letters, digits and a few signs, of which the rules need not be asked.
func everyday(address string) bool {
	local, domain, ok := strings.Cut(address, "@")
	dots := func(s string, signs string) bool {
		before := byte('.')
		for i := range len(s) {
			c := s[i]
			if c == '.' && before == '.' || c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && strings.IndexByte(signs, c) < 0 {
				return false
			}
			before = c
		}
		return before != '.'
	}
	return ok && len(local) <= 64 && len(address) <= 254 && dots(local, "+-_") && dots(domain, "-")
}

// named is a path from mailbox with the name of whom it leads to.
func named(name, path string) string {
	plain := name != "" && everyday(path[1:len(path)-1])
	for i := 0; plain && i < len(name); i++ {
		plain = name[i] >= ' ' && name[i] <= '~' && name[i] != '"' && name[i] != '\\'
	}
	if plain {
		return `"` + name + `" ` + path
	}
	if strings.Contains(name, `\`) && !ascii(name) { // net/mail leaves it bare, and no encoded word of a name may hold one (RFC 2047, section 5)
		return mime.BEncoding.Encode("utf-8", name) + " " + path
	}
	return (&mail.Address{Name: name, Address: unquoted(path)}).String()
}

// unquoted turns a path from mailbox into what net/mail calls an address.
func unquoted(path string) string {
	if inner := strings.Trim(path, "<>"); everyday(inner) {
		return inner
	}
	a, err := mail.ParseAddress(path)
	if err != nil {
		return strings.Trim(path, "<>")
	}
	return a.Address
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// messageID says whether s is a Message-ID without its angle brackets, in the plain form that everybody reads.
func messageID(s string) bool {
	left, right, ok := strings.Cut(s, "@")
	bad := func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`<>()[]\",;:@`, c) }
	return ok && left != "" && right != "" && len(s) <= maxID && !strings.ContainsFunc(left, bad) && !strings.ContainsFunc(right, bad)
}

// languageTag says whether s has the form of a BCP 47 tag.
func languageTag(s string) bool {
	return s != "" && len(s) <= 35 && !strings.ContainsFunc(s, func(c rune) bool {
		return c != '-' && (c > '~' || !unicode.IsLetter(c) && !unicode.IsDigit(c))
	})
}

// oneLine makes text fit for a header: one line of at most so many runes, without control characters and without the marks
// that turn the direction of text around and so forge what is read.
func oneLine(s string, most int) string {
	plain := len(s) <= most && !strings.HasPrefix(s, " ") && !strings.HasSuffix(s, " ") && !strings.Contains(s, "  ")
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] <= '~'
	}
	if plain {
		return s
	}
	var b strings.Builder
	n, space := 0, false
	for _, c := range s {
		if unicode.IsSpace(c) || unicode.IsControl(c) || c == '\u2028' || c == '\u2029' {
			space = b.Len() > 0
			continue
		}
		if c == utf8.RuneError || c >= '\u202a' && c <= '\u202e' || c >= '\u2066' && c <= '\u2069' || c == '\u200e' || c == '\u200f' {
			continue
		}
		if n++; n > most {
			b.WriteString("…")
			break
		}
		if space {
			b.WriteByte(' ')
			n, space = n+1, false
		}
		b.WriteRune(c)
	}
	return b.String()
}

// encodedWords writes header text by RFC 2047: as it is where it is plain ASCII and does not itself look encoded.
func encodedWords(s string) string {
	if ascii(s) && !strings.Contains(s, "=?") {
		return s
	}
	const room = 45 // bytes in one word of at most 75 characters
	var b strings.Builder
	for len(s) > 0 {
		n := 0
		for n < len(s) {
			_, size := utf8.DecodeRuneInString(s[n:])
			if n+size > room {
				break
			}
			n += size
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(s[:n])) + "?=")
		s = s[n:]
	}
	return b.String()
}

// bodyText gives a body CRLF line ends, as MIME wants text before any encoding (RFC 2045 2.7, 6.8), and takes out what no text
// holds.
func bodyText(s string) string {
	var b strings.Builder
	b.Grow(len(s) + len(s)/32)
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	kept := 0 // what lies before it is written
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != 0x7f || c == '\t' {
			continue
		}
		b.WriteString(s[kept:i])
		kept = i + 1
		if c == '\n' || c == '\r' && (kept == len(s) || s[kept] != '\n') {
			b.WriteString("\r\n")
		}
	}
	b.WriteString(s[kept:])
	return b.String()
}

// encoding picks the shorter of the two that every relay carries: quoted-printable costs two bytes for each one beyond ASCII,
// base64 one for every three.
func encoding(s string) gomail.Encoding {
	high := 0
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			high++
		}
	}
	if high*6 > len(s) {
		return gomail.EncodingB64
	}
	return gomail.EncodingQP
}
