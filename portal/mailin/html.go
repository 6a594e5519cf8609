package mailin

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// mostHTML bounds the bytes of a page that are read, and maxQuote how deep quotations are marked.
const (
	mostHTML = 4 << 20
	maxQuote = 20
)

// blocks begin a line of their own.
var blocks = map[atom.Atom]bool{
	atom.P: true, atom.Div: true, atom.Br: true, atom.Li: true, atom.Ul: true, atom.Ol: true, atom.Tr: true, atom.Table: true, atom.H1: true, atom.H2: true, atom.H3: true,
	atom.H4: true, atom.H5: true, atom.H6: true, atom.Pre: true, atom.Blockquote: true, atom.Hr: true, atom.Section: true, atom.Article: true, atom.Header: true, atom.Footer: true, atom.Dt: true, atom.Dd: true,
}

// apart have an empty line around them.
var apart = map[atom.Atom]bool{atom.P: true, atom.H1: true, atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true, atom.Blockquote: true, atom.Pre: true, atom.Table: true}

// unread hold nothing that a person reads.
var unread = map[atom.Atom]bool{atom.Script: true, atom.Style: true, atom.Head: true, atom.Title: true, atom.Template: true, atom.Noscript: true, atom.Object: true, atom.Iframe: true, atom.Svg: true, atom.Math: true}

// plain is what a page says, as text: quotations marked as in mail, addresses of links beside their words. Nothing is fetched.
func plain(page []byte) string {
	t := &texter{}
	z := html.NewTokenizer(bytes.NewReader(page[:min(len(page), mostHTML)]))
	z.SetMaxBuf(1 << 20)
	for {
		switch z.Next() {
		case html.ErrorToken: // the end, or a token that is larger than any page needs
			return t.text()
		case html.TextToken:
			if t.skip == 0 {
				t.write(string(z.Text()))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			tok := z.Token()
			t.open(tok)
		case html.EndTagToken:
			tok := z.Token()
			t.shut(tok.DataAtom)
		}
	}
}

type texter struct {
	out   strings.Builder
	line  strings.Builder
	skip  int // depth within what nobody reads
	quote int
	pre   int
	gap   bool // an empty line is due
	links []string
}

func (t *texter) open(tok html.Token) {
	a := tok.DataAtom
	if unread[a] {
		if tok.Type == html.StartTagToken {
			t.skip++
		}
		return
	}
	if t.skip > 0 {
		return
	}
	if blocks[a] {
		t.end(apart[a])
	}
	switch a {
	case atom.Blockquote:
		t.quote++
	case atom.Pre:
		t.pre++
	case atom.Li:
		t.line.WriteString("- ")
	case atom.Td, atom.Th:
		if t.line.Len() > 0 {
			t.line.WriteString(" ")
		}
	case atom.A:
		if tok.Type == html.StartTagToken {
			t.links = append(t.links, attribute(tok, "href"))
		}
	case atom.Img:
		if alt := strings.TrimSpace(attribute(tok, "alt")); alt != "" {
			t.write("[" + alt + "]")
		}
	}
}

func (t *texter) shut(a atom.Atom) {
	if unread[a] {
		t.skip = max(0, t.skip-1)
		return
	}
	if t.skip > 0 {
		return
	}
	if a == atom.A && len(t.links) > 0 {
		href := t.links[len(t.links)-1]
		t.links = t.links[:len(t.links)-1]
		if (strings.HasPrefix(href, "https://") || strings.HasPrefix(href, "http://")) && len(href) < 500 && !strings.Contains(t.line.String(), strings.TrimSuffix(href, "/")) {
			t.line.WriteString(" <" + href + ">")
		}
	}
	if blocks[a] {
		t.end(apart[a])
	}
	switch a {
	case atom.Blockquote:
		t.quote = max(0, t.quote-1)
	case atom.Pre:
		t.pre = max(0, t.pre-1)
	}
}

// write adds words to the line; white space is one space, unless it is kept as it is.
func (t *texter) write(s string) {
	if t.pre > 0 {
		for i, part := range strings.Split(s, "\n") {
			if i > 0 {
				t.flush()
			}
			t.line.WriteString(part)
		}
		return
	}
	s = strings.ReplaceAll(s, "\u00a0", " ")
	words := strings.Join(strings.Fields(s), " ")
	if words == "" {
		if s != "" && t.line.Len() > 0 && !strings.HasSuffix(t.line.String(), " ") {
			t.line.WriteByte(' ')
		}
		return
	}
	if strings.TrimLeft(s, " \t\r\n") != s && t.line.Len() > 0 && !strings.HasSuffix(t.line.String(), " ") {
		t.line.WriteByte(' ')
	}
	t.line.WriteString(words)
	if strings.TrimRight(s, " \t\r\n") != s {
		t.line.WriteByte(' ')
	}
}

// end ends the line, and leaves an empty one where blocks stand apart.
func (t *texter) end(apart bool) {
	if strings.TrimSpace(t.line.String()) != "" {
		t.flush()
	}
	t.line.Reset()
	t.gap = t.gap || apart && t.out.Len() > 0
}

func (t *texter) flush() {
	mark := strings.Repeat("> ", min(t.quote, maxQuote))
	if t.gap && t.out.Len() > 0 {
		t.out.WriteString(strings.TrimRight(mark, " ") + "\n")
	}
	t.gap = false
	t.out.WriteString(strings.TrimRight(mark+t.line.String(), " ") + "\n")
	t.line.Reset()
}

func (t *texter) text() string {
	t.end(false)
	return strings.TrimSpace(t.out.String())
}

func attribute(tok html.Token, name string) string {
	for _, a := range tok.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
