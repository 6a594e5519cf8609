package templates

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
)

// Catalog is every sentence of one language. It is a small value that is safe to copy and to use from many goroutines.
type Catalog struct {
	locale string
	tag    language.Tag
	words  map[string]entry // never written after Load
}

// entry is one sentence, parsed. With plural forms the first argument, a whole number, chooses among them.
type entry struct {
	form  form                 // when there is only one
	forms map[plural.Form]form // nil: one form
}

// form is a sentence cut at its placeholders: literal, {n}, literal, {m} ...
type form []part

type part struct {
	text string
	arg  int // -1: text
}

// Locale is the language of the catalog, one of [Locales]. It fits a lang attribute.
func (c Catalog) Locale() string { return c.locale }

// T is the sentence of key with its placeholders {0}, {1} ... filled in, as plain text: a page must escape it. Whole numbers
// are grouped as the language does, durations and times are put in words, the rest is printed as it is. A key that does
// not exist, or an argument that lacks, shows as ⟦key⟧, which no test may let pass; [Catalog.Try] answers it as an error.
func (c Catalog) T(key string, args ...any) string {
	s, err := c.Try(key, args...)
	if err != nil {
		return "⟦" + key + "⟧"
	}
	return s
}

// Try is T for template functions, where an error stops the rendering and names the line.
func (c Catalog) Try(key string, args ...any) (string, error) {
	p, err := c.phrase(key, args...)
	return p.String(), err
}

// Has says whether the key exists.
func (c Catalog) Has(key string) bool { _, ok := c.words[key]; return ok }

// Number writes n with the grouping of the language.
func (c Catalog) Number(n int) string {
	return message.NewPrinter(c.tag).Sprint(number.Decimal(n))
}

// Decimal writes a number that was computed as digits and a point, such as "12.7", with the marks of the language. What is no such number stays as it is.
func (c Catalog) Decimal(text string) string {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.Trim(text, "0123456789.") != "" {
		return oneLine(text)
	}
	_, behind, _ := strings.Cut(text, ".")
	return message.NewPrinter(c.tag).Sprint(number.Decimal(n, number.Scale(len(behind))))
}

// phrase fills in a sentence and keeps what kind of thing each argument was.
func (c Catalog) phrase(key string, args ...any) (Phrase, error) {
	e, ok := c.words[key]
	if !ok {
		return nil, fmt.Errorf("no sentence %q in %s", key, c.locale)
	}
	f := e.form
	if e.forms != nil {
		var err error
		if f, err = c.choose(key, e, args); err != nil {
			return nil, err
		}
	}
	var out Phrase
	for _, p := range f {
		switch {
		case p.arg < 0:
			out = append(out, Piece{Text: beside(out, p.text)})
		case p.arg >= len(args):
			return nil, fmt.Errorf("sentence %q in %s lacks its argument %d", key, c.locale, p.arg)
		default:
			out = append(out, c.piece(args[p.arg])...)
		}
	}
	return out, nil
}

// beside drops the space before a literal when what was filled in ends with a wide mark, which brings its own.
func beside(out Phrase, literal string) string {
	if r, _ := utf8.DecodeLastRuneInString(out.String()); strings.ContainsRune("）」』】》、。，：；！？", r) {
		return strings.TrimPrefix(literal, " ")
	}
	return literal
}

func (c Catalog) choose(key string, e entry, args []any) (form, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("sentence %q in %s lacks the number that chooses its form", key, c.locale)
	}
	n, ok := args[0].(int)
	if !ok {
		return nil, fmt.Errorf("sentence %q in %s wants a whole number first, not %T", key, c.locale, args[0])
	}
	n = max(n, -n)
	if f, ok := e.forms[plural.Many]; ok && n > 0 && n%1_000_000 == 0 { // whole millions in French, Spanish and Portuguese since CLDR 38, of which x/text does not know yet
		return f, nil
	}
	if f, ok := e.forms[plural.Cardinal.MatchPlural(c.tag, n, 0, 0, 0, 0)]; ok {
		return f, nil
	}
	return e.forms[plural.Other], nil
}

func (c Catalog) piece(arg any) Phrase {
	switch v := arg.(type) {
	case Phrase:
		return v
	case string:
		return Phrase{{Text: v}}
	case int:
		return Phrase{{Text: c.Number(v)}}
	case time.Duration:
		return Phrase{{Text: c.Duration(v)}}
	case time.Time:
		return c.moment(v, "")
	}
	return Phrase{{Text: fmt.Sprint(arg)}}
}

// keys lists the catalog's keys in order.
func (c Catalog) keys() []string { return slices.Sorted(maps.Keys(c.words)) }

var pluralForms = map[string]plural.Form{"zero": plural.Zero, "one": plural.One, "two": plural.Two, "few": plural.Few, "many": plural.Many, "other": plural.Other}

// parseCatalog reads one language's file: an object from key to sentence, or to an object of plural forms by CLDR's names. A
// reason names the line.
func parseCatalog(data []byte) (map[string]entry, error) {
	words := map[string]entry{}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	fail := func(reason error) error { return lineError{line: lineAt(data, int(dec.InputOffset())), reason: reason} }
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fail(errors.Join(errors.New("must be one object from key to sentence"), err))
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, fail(err)
		}
		key, _ := t.(string) // a decoder gives no other kind here
		if _, twice := words[key]; twice {
			return nil, fail(fmt.Errorf("%q stands here twice", key))
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fail(fmt.Errorf("%q: %w", key, err))
		}
		if words[key], err = parseEntry(raw); err != nil {
			return nil, fail(fmt.Errorf("%q: %w", key, err))
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, fail(err)
	}
	if dec.More() {
		return nil, fail(errors.New("something follows the object"))
	}
	return words, nil
}

func parseEntry(raw json.RawMessage) (entry, error) {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		f, err := parseForm(one)
		return entry{form: f}, err
	}
	var several map[string]string
	if err := json.Unmarshal(raw, &several); err != nil {
		return entry{}, errors.New("must be a sentence, or an object of plural forms")
	}
	if _, ok := several["other"]; !ok {
		return entry{}, errors.New(`plural forms need "other"`)
	}
	e := entry{forms: map[plural.Form]form{}}
	for name, text := range several {
		p, ok := pluralForms[name]
		if !ok {
			return entry{}, fmt.Errorf("%q is not a plural form; there are zero, one, two, few, many, other", name)
		}
		f, err := parseForm(text)
		if err != nil {
			return entry{}, err
		}
		e.forms[p] = f
	}
	return e, nil
}

func parseForm(s string) (form, error) {
	f := form{}
	for s != "" {
		open := strings.IndexByte(s, '{')
		if open < 0 {
			return append(f, part{text: s, arg: -1}), nil
		}
		if open > 0 {
			f = append(f, part{text: s[:open], arg: -1})
		}
		end := strings.IndexByte(s[open:], '}')
		if end < 0 {
			return nil, errors.New("a { has no }")
		}
		n, err := strconv.ParseUint(s[open+1:open+end], 10, 4)
		if err != nil {
			return nil, fmt.Errorf("%s is not a placeholder; they are {0}, {1} ...", s[open:open+end+1])
		}
		f = append(f, part{arg: int(n)})
		s = s[open+end+1:]
	}
	return f, nil
}

// places is the set of placeholders of a sentence over all its forms, in order; two languages must agree on it.
func (e entry) places() []int {
	set := map[int]bool{}
	add := func(f form) {
		for _, p := range f {
			if p.arg >= 0 {
				set[p.arg] = true
			}
		}
	}
	add(e.form)
	for _, f := range e.forms {
		add(f)
	}
	return slices.Sorted(maps.Keys(set))
}

type lineError struct {
	line   int
	reason error
}

func (e lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.reason) }
func (e lineError) Unwrap() error { return e.reason }

func lineAt(data []byte, offset int) int {
	return 1 + strings.Count(string(data[:min(offset, len(data))]), "\n")
}
