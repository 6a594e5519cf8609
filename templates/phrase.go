package templates

import (
	"html/template"
	"strings"
	"time"
	"unicode/utf8"
)

// Phrase is one line of text that still knows which of its pieces are times, links, or words of a person, so that every
// channel writes the same words and a page can mark them up. The zero value is an empty line.
type Phrase []Piece

// Piece is a run of text of one kind.
type Piece struct {
	Text string
	At   time.Time // the moment that Text tells; zero: none
	Lang string    // BCP 47 language of a person's words when it is not the message's own; "" otherwise
	Link string    // absolute address that Text stands for; "" is none
}

// String is the line as plain text.
func (p Phrase) String() string {
	var b strings.Builder
	for _, piece := range p {
		b.WriteString(piece.Text)
	}
	return b.String()
}

// HTML is the line escaped, with times, links and foreign words marked up. Only addresses of the web and of telephones become links.
func (p Phrase) HTML() template.HTML {
	var b strings.Builder
	for _, piece := range p {
		text := template.HTMLEscapeString(piece.Text)
		switch {
		case !piece.At.IsZero():
			b.WriteString(`<time datetime="` + piece.At.UTC().Format(time.RFC3339) + `">` + text + `</time>`)
		case isLink(piece.Link):
			b.WriteString(`<a href="` + template.HTMLEscapeString(piece.Link) + `">` + text + `</a>`)
		case piece.Lang != "":
			b.WriteString(`<span lang="` + template.HTMLEscapeString(piece.Lang) + `">` + text + `</span>`)
		default:
			b.WriteString(text)
		}
	}
	return template.HTML(b.String())
}

func isLink(s string) bool {
	for _, scheme := range []string{"https://", "http://", "tel:+"} {
		if strings.HasPrefix(s, scheme) {
			return true
		}
	}
	return false
}

// join puts phrases one behind the other with sep between those that say something.
func join(sep string, all ...Phrase) Phrase {
	var out Phrase
	for _, p := range all {
		if len(p) == 0 {
			continue
		}
		if len(out) > 0 && sep != "" {
			out = append(out, Piece{Text: sep})
		}
		out = append(out, p...)
	}
	return out
}

// sentences puts sentences one behind the other. A wide full stop brings its own space, any other needs one, whatever the language of the message: a
// person's words may be in another script.
func sentences(all ...Phrase) Phrase {
	var out Phrase
	for _, p := range all {
		if len(p) == 0 {
			continue
		}
		if len(out) > 0 {
			if gap := gapAfter(out.String()); gap != "" {
				out = append(out, Piece{Text: gap})
			}
		}
		out = append(out, p...)
	}
	return out
}

// Sentences puts sentences one behind the other, as those of a message stand.
func Sentences(all ...string) string {
	phrases := make([]Phrase, len(all))
	for i, s := range all {
		if s != "" {
			phrases[i] = Phrase{{Text: s}}
		}
	}
	return sentences(phrases...).String()
}

func gapAfter(s string) string {
	if r, _ := utf8.DecodeLastRuneInString(s); dense(r) {
		return ""
	}
	return " "
}
