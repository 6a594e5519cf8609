package mailin

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/textproto"
)

// Bounds of what is read of a mail; a mail beyond them is read as far as they go, and none is refused for them but for its header.
const (
	maxHeader = 64 << 10
	maxDepth  = 10
	maxParts  = 100
	maxFiles  = 30
	maxText   = 1 << 20 // bytes of text
	maxName   = 200     // bytes
)

var errHeader = errors.New("the header cannot be read, or is too large")

// letter is a mail taken apart.
type letter struct {
	head    textproto.Header
	from    string // the one address of the From field; "": there is none or more than one
	name    string
	subject string
	id      string   // Message-ID without its brackets; "": none
	refs    []string // In-Reply-To and References, the nearest first
	text    string
	files   []file
	report  report
	cut     bool // there was more than is read

	parts int
	html  bool // text is a page's
}

// file is a part that is no text of the mail.
type file struct {
	name string
	body []byte
}

// report is what a system says of a mail of ours, in a form made for it.
type report struct {
	kind   string // delivery-status (RFC 3464), feedback-report (RFC 5965); "": none
	status []textproto.Header
	about  []byte // the mail of ours, or its header
}

// parse takes a mail apart. Whatever is wrong below the header, as much is read as can be.
func parse(raw []byte) (*letter, error) {
	end := headerEnd(raw)
	if end < 0 || end > maxHeader {
		return nil, errHeader
	}
	head, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		if head, err = lenient(raw[:end]); err != nil {
			return nil, errHeader
		}
	}
	l := &letter{head: head}
	l.from, l.name = author(head)
	l.subject = strings.TrimSpace(header(head.Get("Subject")))
	if ids := messageIDs(head.Get("Message-Id")); len(ids) == 1 {
		l.id = ids[0]
	}
	refs := messageIDs(head.Get("References"))
	l.refs = messageIDs(head.Get("In-Reply-To"))
	for i := len(refs) - 1; i >= 0; i-- {
		l.refs = append(l.refs, refs[i])
	}
	l.walk(part{head: head, body: raw[end:]}, 0)
	l.text = strings.TrimSpace(l.text)
	return l, nil
}

// headerEnd is where the body begins: behind the first empty line, or at the end.
func headerEnd(raw []byte) int {
	for _, gap := range []string{"\r\n\r\n", "\n\n"} {
		if at := bytes.Index(raw, []byte(gap)); at >= 0 {
			return at + len(gap)
		}
	}
	return len(raw)
}

// lenient reads a header with lines that are no fields, as some programs leave in it, without them.
func lenient(raw []byte) (textproto.Header, error) {
	var kept bytes.Buffer
	taken := false
	for line := range bytes.Lines(raw) {
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(line) == 0:
		case line[0] == ' ' || line[0] == '\t':
			if taken {
				kept.Write(line)
				kept.WriteString("\r\n")
			}
			continue
		default:
			taken = fieldForm.Match(line)
			if taken {
				kept.Write(bytes.ReplaceAll(line, []byte{0}, nil))
				kept.WriteString("\r\n")
			}
		}
	}
	kept.WriteString("\r\n")
	return textproto.ReadHeader(bufio.NewReader(&kept))
}

var fieldForm = regexp.MustCompile(`^[!-9;-~]+[ \t]*:`)

// author is who the From field names. More than one, or none, is nobody: none of them could be answered or vouched for.
func author(head textproto.Header) (address, name string) {
	fields := head.Values("From")
	if len(fields) != 1 {
		return "", ""
	}
	if list, err := addressParser.ParseList(fields[0]); err == nil && len(list) == 1 {
		return list[0].Address, header(list[0].Name)
	}
	// Names in bytes of no set that a parser knows, or with marks that need quotes.
	if found := angled.FindAllStringSubmatch(fields[0], 2); len(found) == 1 && strings.Count(fields[0], "@") == 1 {
		name = strings.Trim(header(strings.TrimSpace(fields[0][:strings.LastIndex(fields[0], "<")])), `" `)
		return found[0][1], name
	}
	return "", ""
}

var addressParser = mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: func(charset string, in io.Reader) (io.Reader, error) {
	b, err := io.ReadAll(in)
	return strings.NewReader(decode(b, charset)), err
}}}

var angled = regexp.MustCompile(`<\s*([^<>\s@]+@[^<>\s@]+)\s*>`)

// messageIDs reads ids in brackets. What is no id in the plain form that everybody writes is none.
func messageIDs(value string) (ids []string) {
	for _, found := range bracketed.FindAllStringSubmatch(value, 200) {
		ids = append(ids, found[1])
	}
	return ids
}

var bracketed = regexp.MustCompile(`<\s*([!-;=?-~]{1,250}@[!-;=?-~]{1,250})\s*>`)

type part struct {
	head textproto.Header
	body []byte
}

// walk reads a part and those within it.
func (l *letter) walk(p part, depth int) {
	if l.parts++; l.parts > maxParts || depth > maxDepth {
		l.cut = true
		return
	}
	media, params := mediaOf(p.head.Get("Content-Type"))
	if inner, ok := strings.CutPrefix(media, "multipart/"); ok {
		l.multipart(inner, params, p, depth)
		return
	}
	disposition, named := dispositionOf(p.head.Get("Content-Disposition"))
	name := fileName(named, params)
	body := unpack(p.body, p.head.Get("Content-Transfer-Encoding"))
	attached := disposition == "attachment" || name != "" && !strings.HasPrefix(media, "text/")
	switch {
	case l.report.kind != "" && l.reported(media, body):
	case !attached && media == "text/plain":
		l.say(decode(body, params["charset"]), params["format"] == "flowed", strings.EqualFold(params["delsp"], "yes"))
	case !attached && media == "text/html" && (name == "" || l.text == ""):
		l.html = true
		l.say(plain([]byte(decode(body, charsetOf(params["charset"], body)))), false, false)
	default:
		l.attach(name, media, body)
	}
}

// charsetOf is what a page says of itself where the mail says nothing.
func charsetOf(named string, page []byte) string {
	if named == "" {
		if m := charsetForm.FindSubmatch(page[:min(len(page), 2048)]); m != nil {
			return strings.Trim(string(m[1]), `"'`)
		}
	}
	return named
}

func (l *letter) multipart(kind string, params map[string]string, p part, depth int) {
	if params["boundary"] == "" {
		l.say(decode(p.body, ""), false, false)
		return
	}
	if kind == "report" {
		l.report.kind = strings.ToLower(params["report-type"])
	}
	r := textproto.NewMultipartReader(bytes.NewReader(p.body), params["boundary"])
	var all []part
	for len(all) < maxParts {
		next, err := r.NextPart()
		if err != nil {
			break
		}
		body, err := io.ReadAll(next)
		all = append(all, part{next.Header, body})
		if err != nil { // it broke off; what came is read
			l.cut = true
			break
		}
	}
	if len(all) == 0 { // it is none, whatever it calls itself
		l.say(decode(p.body, ""), false, false)
		return
	}
	if kind == "alternative" {
		l.alternative(all, depth)
		return
	}
	for _, p := range all {
		l.walk(p, depth+1)
	}
}

// alternative reads the plain one of several forms of a text, or the page when there is none or it is empty.
func (l *letter) alternative(all []part, depth int) {
	before := len(l.text)
	var others []part
	for _, p := range all {
		media, _ := mediaOf(p.head.Get("Content-Type"))
		if media == "text/plain" {
			l.walk(p, depth+1)
		} else {
			others = append(others, p)
		}
	}
	said := strings.TrimSpace(l.text[before:]) != ""
	for _, p := range others {
		media, _ := mediaOf(p.head.Get("Content-Type"))
		if said && media == "text/html" {
			continue
		}
		if said && media == "multipart/related" { // its page says the same; its pictures are files
			l.pictures(p, depth)
			continue
		}
		l.walk(p, depth+1)
	}
}

func (l *letter) pictures(p part, depth int) {
	text, html := l.text, l.html
	l.walk(p, depth+1)
	l.text, l.html = text, html
}

// say adds text. Lines that a program broke are joined (RFC 3676).
func (l *letter) say(s string, flowed, joined bool) {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\x00", "")
	if flowed {
		s = unflow(s, joined)
	}
	if s = strings.TrimSpace(s); s == "" {
		return
	}
	if l.text != "" {
		l.text += "\n\n"
	}
	if left := maxText - len(l.text); len(s) > left {
		l.cut = true
		s = strings.ToValidUTF8(s[:max(0, left)], "")
	}
	l.text += s
}

func unflow(s string, joined bool) string {
	var out strings.Builder
	for line := range strings.SplitAfterSeq(s, "\n") {
		body := strings.TrimSuffix(line, "\n")
		stuffed := strings.TrimPrefix(body, " ")
		if strings.HasPrefix(body, ">") {
			stuffed = body
		}
		if strings.HasSuffix(stuffed, " ") && stuffed != "-- " && !strings.HasPrefix(body, ">") && body != line {
			if joined {
				stuffed = strings.TrimSuffix(stuffed, " ")
			}
			out.WriteString(stuffed)
			continue
		}
		out.WriteString(stuffed)
		if body != line {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

func (l *letter) attach(name, media string, body []byte) {
	if len(l.files) >= maxFiles {
		l.cut = true
		return
	}
	if name == "" {
		name = "file"
		switch ext, _ := mime.ExtensionsByType(media); {
		case media == "message/rfc822":
			name = "message.eml"
		case media == "text/html":
			name = "page.html"
		case media == "text/calendar":
			name = "invitation.ics"
		case media == "image/jpeg":
			name = "picture.jpg"
		case strings.HasPrefix(media, "image/"):
			name = "picture." + path.Base(media)
		case len(ext) > 0:
			name += ext[0]
		}
	}
	l.files = append(l.files, file{name, body})
}

func dispositionOf(value string) (disposition string, params map[string]string) {
	disposition, params, err := mime.ParseMediaType(value)
	if err != nil && disposition == "" {
		disposition, _, _ = strings.Cut(strings.ToLower(value), ";")
		disposition = strings.TrimSpace(disposition)
	}
	return disposition, params
}

// fileName is the name that a sender gives a part, in any of the forms in use; whoever keeps the file cleans it.
func fileName(disposition, media map[string]string) string {
	for _, name := range []string{disposition["filename"], media["name"]} {
		if name == "" {
			continue
		}
		name = header(name)
		if len(name) > maxName {
			ext := path.Ext(name)
			name = strings.ToValidUTF8(name[:maxName-min(len(ext), 20)], "") + ext[:min(len(ext), 20)]
		}
		return name
	}
	return ""
}

// unpack undoes a transfer encoding; what is broken in it is passed over.
func unpack(body []byte, encoding string) []byte {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		kept := bytes.Map(func(r rune) rune {
			if r < utf8.RuneSelf && strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", r) {
				return r
			}
			return -1
		}, body)
		if len(kept)%4 == 1 { // no byte has so few digits
			kept = kept[:len(kept)-1]
		}
		out := make([]byte, base64.RawStdEncoding.DecodedLen(len(kept)))
		n, _ := base64.RawStdEncoding.Decode(out, kept)
		return out[:n]
	case "quoted-printable":
		out, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
		if err != nil { // what follows the mistake is read as it stands
			return body
		}
		return out
	}
	return body
}
