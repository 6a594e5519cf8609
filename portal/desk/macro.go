package desk

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lifeline/store/fault"
	"lifeline/templates"
)

// Macro is an answer that is given often, in the languages in which it is given.
type Macro struct {
	Name string            `yaml:"name" json:"name"`
	Text map[string]string `yaml:"text" json:"text"` // by locale; {number} and the like become the ticket's own
}

// blanks are what a macro or an answer to many may leave to be filled with a ticket's own facts.
var blanks = []string{"number", "phrase", "name", "company", "site", "url"}

var blank = regexp.MustCompile(`\{([a-z_]+)\}`)

// fill puts a ticket's facts into the blanks of a text, and names those that nobody gave. A value is one clean line, and no blank in it is filled again.
func fill(s string, t Ticket, url string) (filled string, missing []string) {
	site := t.SiteName
	if site == "" {
		site = t.SiteURL
	}
	values := map[string]string{"number": t.Number, "phrase": t.Phrase, "name": t.Name, "company": t.Company, "site": site, "url": url}
	filled = blank.ReplaceAllStringFunc(s, func(b string) string {
		name := b[1 : len(b)-1]
		value, known := values[name]
		if known && line(value) != "" {
			return line(value)
		}
		if known && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
		return b
	})
	return filled, missing
}

// unfilled names the blanks that are left in an answer.
func unfilled(s string) (names []string) {
	for _, m := range blank.FindAllStringSubmatch(s, -1) {
		if slices.Contains(blanks, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

// Macro is a macro in the language of a ticket, filled with its facts; what nobody gave stays a blank, for the writer to see.
func (d *Desk) Macro(name string, t Ticket) (string, error) {
	for _, m := range d.Policy.Macros {
		if m.Name != name {
			continue
		}
		words := m.Text[t.Locale]
		if words == "" {
			words = m.Text["en"]
		}
		filled, _ := fill(words, t, d.url(t.Number))
		return filled, nil
	}
	return "", fault.New(fault.NotFound, "there is no macro %.80q", name)
}

func badMacros(all []Macro) (f []fault.Field) {
	var seen []string
	for i, m := range all {
		bad := func(field, format string, args ...any) {
			f = append(f, fault.Field{Field: fmt.Sprintf("desk.macros[%d]", i) + field, Code: "invalid", Reason: fmt.Sprintf(format, args...)})
		}
		if m.Name == "" || line(m.Name) != m.Name || slices.Contains(seen, m.Name) {
			bad(".name", "must be one line, and no other macro's name")
		}
		seen = append(seen, m.Name)
		if strings.TrimSpace(m.Text["en"]) == "" {
			bad(".text.en", "is missing: it stands in for languages that have none")
		}
		for locale, words := range m.Text {
			if !slices.Contains(templates.Locales(), locale) {
				bad(".text", "names %q, which is none of %s", locale, strings.Join(templates.Locales(), ", "))
			}
			for _, b := range blank.FindAllStringSubmatch(words, -1) {
				if !slices.Contains(blanks, b[1]) {
					bad(".text."+locale, "has the blank %s; there are {%s}", b[0], strings.Join(blanks, "}, {"))
				}
			}
			if len(words) > maxMessage {
				bad(".text."+locale, "is longer than 64 KiB")
			}
		}
	}
	return f
}
