package email

import (
	"bytes"
	"encoding/base64"
	"html"
	"mime/quotedprintable"
	"slices"
	"strings"
	"sync"

	gomail "github.com/wneessen/go-mail"

	"lifeline/comms"
)

// content is a rendered message. free gives its memory back: nothing that wire returned may be used after.
type content struct {
	buf        bytes.Buffer // the header fields of the person's own
	letter     letter       // comes behind them
	signatures []byte       // header fields before all others
	stuffed    []byte
	lines      []byte // those that are the person's own, of one body behind the other
	ends       []int  // where those of each body end
	before     []byte // those of one body, not encoded, or as they are signed
}

var contents = sync.Pool{New: func() any { return new(content) }}

func (c *content) free() {
	if cap(c.stuffed) > 1<<20 {
		return
	}
	c.buf.Reset()
	c.letter, c.signatures, c.stuffed = letter{}, c.signatures[:0], c.stuffed[:0]
	contents.Put(c)
}

// plain is the message as RFC 5322 has it, behind what stands in dst.
func (c *content) plain(dst []byte) []byte {
	dst = append(append(dst, c.signatures...), c.buf.Bytes()...)
	for i, same := range c.letter.plain {
		dst = append(dst, same...)
		if i < len(c.letter.own) {
			dst = append(dst, c.own(i)...)
		}
	}
	return dst
}

// chunk is the message as BDAT carries it (RFC 3030 2), which is as it is, behind what stands in dst.
func (c *content) chunk(dst []byte) []byte {
	if dst = c.plain(dst); !c.endsLine() {
		dst = append(dst, crlf...)
	}
	return dst
}

// size is how many bytes chunk adds.
func (c *content) size() int {
	n := len(c.signatures) + c.buf.Len() + len(c.lines)
	for _, same := range c.letter.plain {
		n += len(same)
	}
	if !c.endsLine() {
		n += len(crlf)
	}
	return n
}

func (c *content) endsLine() bool {
	last := c.letter.plain[len(c.letter.plain)-1]
	if len(last) < len(crlf) { // it may begin with the end of what is before it
		c.stuffed = c.plain(c.stuffed[:0])
		last = c.stuffed
	}
	return bytes.HasSuffix(last, crlf)
}

// wire is the message as DATA carries it (RFC 5321 4.5.2): dots at line starts doubled, ended by a lone dot.
func (c *content) wire() []byte {
	c.stuffed = append(append(c.stuffed[:0], c.signatures...), c.buf.Bytes()...) // no header field begins with a dot
	for i, same := range c.letter.wire {
		c.stuffed = append(c.stuffed, same...)
		if i < len(c.letter.own) {
			c.stuffed = appendStuffed(c.stuffed, c.own(i))
		}
	}
	if !bytes.HasSuffix(c.stuffed, crlf) {
		c.stuffed = append(c.stuffed, crlf...)
	}
	return append(c.stuffed, ".\r\n"...)
}

// sign signs it.
func (c *content) sign(s *signer) (err error) {
	sum := newBodySum()
	for i, same := range c.letter.relaxed {
		sum.add(same)
		if i < len(c.letter.own) {
			own := appendRelaxed(c.before[:0], c.own(i))
			sum.add(own)
			c.before = own.text
		}
	}
	c.signatures, err = s.sign(c.signatures[:0], sum.sum(), c.buf.Bytes(), c.letter.head)
	return err
}

// complete puts the letter and the person's own link together.
func (c *content) complete(l letter, link string) {
	c.letter, c.lines, c.ends = l, c.lines[:0], c.ends[:0]
	for _, o := range l.own {
		to := link
		if o.html {
			to = html.EscapeString(link)
		}
		c.before = append(append(append(c.before[:0], o.before...), to...), o.after...)
		c.lines = encode(c.lines, o.encoding, c.before)
		c.ends = append(c.ends, len(c.lines))
	}
}

// own are the person's own lines behind a piece of the letter.
func (c *content) own(i int) []byte {
	begin := 0
	if i > 0 {
		begin = c.ends[i-1]
	}
	return c.lines[begin:c.ends[i]]
}

// appendStuffed doubles the dots at line starts of what begins a line.
func appendStuffed(dst, msg []byte) []byte {
	if len(msg) > 0 && msg[0] == '.' {
		dst = append(dst, '.')
	}
	for {
		i := bytes.Index(msg, []byte("\n."))
		if i < 0 {
			break
		}
		dst = append(dst, msg[:i+1]...)
		dst = append(dst, '.')
		msg = msg[i+1:]
	}
	return append(dst, msg...)
}

// letterOf is what a letter follows from.
type letterOf struct{ subject, text, html, locale, auto, list, words string }

// keptLetter is found by comparing: texts that are the same memory are equal at once, while a map would read all of them for each message.
type keptLetter struct {
	of letterOf
	letter
}

// mostLetters bounds how many letters are kept: a few broadcasts in every language.
const mostLetters = 64

// letter is the part of a message that is the same for everybody, in pieces between which stands what is the person's own, also as it travels.
type letter struct {
	plain, wire [][]byte
	own         []own // behind each piece but the last

	head    []byte    // its header fields, the line end before the empty line with them
	relaxed []relaxed // the pieces of its body as they are signed; none when nothing is
}

// own is what stands between two pieces of a letter, before it is encoded: it begins a line, and a link to put in is all that it lacks.
type own struct {
	encoding      gomail.Encoding
	before, after string
	html          bool
}

// letter makes it. What goes to a list is rendered once and kept.
func (m *Mailer) letter(msg comms.Message) (l letter, err error) {
	if msg.List == "" {
		return m.newLetter(msg)
	}
	of := letterOf{subject: msg.Subject, text: msg.Text, html: msg.HTML, locale: msg.Locale, auto: msg.Auto, list: msg.List, words: msg.Ending.Words}
	m.lettersMu.Lock()
	at := slices.IndexFunc(m.letters, func(k keptLetter) bool { return k.of == of })
	if at >= 0 {
		l = m.letters[at].letter
	}
	m.lettersMu.Unlock()
	if at >= 0 {
		return l, nil
	}
	if l, err = m.newLetter(msg); err != nil || msg.Ending.Link != "" && len(l.own) == 0 {
		return l, err // in the latter there is more of the person's own than can be put in later
	}
	m.lettersMu.Lock()
	defer m.lettersMu.Unlock()
	if len(m.letters) >= mostLetters {
		m.letters = nil
	}
	m.letters = append(m.letters, keptLetter{of, l})
	return l, nil
}

func (m *Mailer) newLetter(msg comms.Message) (l letter, err error) {
	whole := msg.Whole()
	plain, err := m.render(whole)
	if err != nil {
		return l, err
	}
	l.plain = [][]byte{plain}
	if link := msg.Ending.Link; link != "" && msg.List != "" {
		text, okText := l.apart(whole.Text, link, false)
		if okText && whole.HTML != "" {
			text, okText = text.apart(whole.HTML, html.EscapeString(link), true)
		}
		if okText {
			l = text
		}
	}
	for _, same := range l.plain {
		l.wire = append(l.wire, appendStuffed(nil, same))
	}
	if m.signer != nil {
		l.sever()
	}
	return l, nil
}

// sever makes ready what is signed of it.
func (l *letter) sever() {
	for i, same := range l.plain {
		if i == 0 {
			if at := bytes.Index(same, []byte("\r\n\r\n")); at >= 0 {
				l.head, same = same[:at+len(crlf)], same[at+2*len(crlf):]
			} else {
				l.head, same = same, nil
			}
		}
		l.relaxed = append(l.relaxed, newRelaxed(same))
	}
}

// apart takes out of a letter's last piece the lines of a body in which a link stands, with all that comes behind it. Not ok: the link does not stand there once, or
// the body is not found.
func (l letter) apart(body, link string, inHTML bool) (letter, bool) {
	body = bodyText(body)
	o := own{encoding: encoding(body), html: inHTML}
	if strings.Count(body, link) != 1 || bodyText(link) != link || !ascii(link) {
		return l, false
	}
	o.before, o.after, _ = strings.Cut(body, link)
	same := lines(o.encoding, o.before)
	o.before = o.before[same:]
	last := l.plain[len(l.plain)-1]
	encoded := encode(nil, o.encoding, []byte(body))
	begin := encode(nil, o.encoding, []byte(body[:same]))
	end := encode(nil, o.encoding, []byte(body[same:]))
	at := bytes.Index(last, encoded)
	if at < 0 || !bytes.Equal(encoded, append(begin, end...)) {
		return l, false
	}
	l.plain = append(l.plain[:len(l.plain)-1:len(l.plain)-1], last[:at+len(encoded)-len(end)], last[at+len(encoded):])
	l.own = append(l.own[:len(l.own):len(l.own)], o)
	return l, true
}

// wholeLine is how many bytes a line of base 64 carries (RFC 2045 6.8).
const wholeLine = 57

// lines is how much of a body's beginning is encoded as it is whatever comes behind it.
func lines(e gomail.Encoding, s string) int {
	if e == gomail.EncodingB64 {
		return len(s) / wholeLine * wholeLine
	}
	return strings.LastIndexByte(s, '\n') + 1
}

// encode appends a body, or lines of it, in an encoding, as go-mail writes it.
func encode(dst []byte, e gomail.Encoding, s []byte) []byte {
	if e == gomail.EncodingB64 {
		for len(s) > 0 {
			line := s[:min(wholeLine, len(s))]
			dst = append(base64.StdEncoding.AppendEncode(dst, line), "\r\n"...)
			s = s[len(line):]
		}
		return dst
	}
	to := appender{dst}
	w := quotedprintable.NewWriter(&to)
	_, _ = w.Write(s) // nothing fails to be appended
	_ = w.Close()
	return to.to
}

// appender is memory to write to.
type appender struct{ to []byte }

// Write implements io.Writer.
func (a *appender) Write(p []byte) (int, error) {
	a.to = append(a.to, p...)
	return len(p), nil
}
