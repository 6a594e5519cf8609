package desk

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Macro is an answer that is given often, in the languages in which it is given.
type Macro struct {
	Name string            `yaml:"name" json:"name"`
	Text map[string]string `yaml:"text" json:"text"` // by locale; {number} and the like become the ticket's own
}

// blanks are what a macro or an answer to many may leave to be filled with a ticket's own facts.
var blanks = []string{"number", "phrase", "name", "company", "site", "url", "stage"}

// Blanks are the blanks as one writes them.
func Blanks() string { return "{" + strings.Join(blanks, "}, {") + "}" }

var blank = regexp.MustCompile(`\{([a-z_]+)\}`)

// facts are what a ticket puts into the blanks of a text.
func (t Ticket) facts(url string) map[string]string {
	return map[string]string{"number": t.Number, "phrase": t.Phrase, "name": t.Name, "company": t.Company, "site": cmp.Or(t.SiteName, t.SiteURL), "url": url}
}

// factsOf are all facts of a ticket, with those that the ledger knows of its site: what people call the site, and where it stands, in a sentence, once she has
// shown enough to be told.
func (d *Desk) factsOf(tx *store.Tx, id string, t Ticket) (map[string]string, error) {
	values := t.facts(d.url(t.Number))
	if t.Site == "" {
		return values, nil
	}
	s, err := d.standing(tx, id)
	if err != nil || s.may(SeeStage, "") != nil {
		return values, err
	}
	values["site"] = cmp.Or(values["site"], d.siteTitle(tx, t.Site))
	where, err := d.Stages(tx, t)
	if len(where) > 0 {
		values["stage"] = where[len(where)-1].Text
	}
	return values, err
}

// fill puts facts into the blanks of a text, and names those that nobody gave. A value is one clean line, and no blank in it is filled again.
func fill(s string, values map[string]string) (filled string, missing []string) {
	filled = blank.ReplaceAllStringFunc(s, func(b string) string {
		name := b[1 : len(b)-1]
		if value := line(values[name]); value != "" {
			return value
		}
		if slices.Contains(blanks, name) && !slices.Contains(missing, name) {
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
func (d *Desk) Macro(ctx context.Context, name string, v View) (filled string, err error) {
	words, err := d.Policy.macro(name, v.Ticket.Locale)
	if err != nil {
		return "", err
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		facts, err := d.factsOf(tx, v.ID, v.Ticket)
		filled, _ = fill(words, facts)
		return err
	})
	return filled, err
}

// macro is a macro as it is written in a language, or in English.
func (p Policy) macro(name, locale string) (string, error) {
	for _, m := range p.Macros {
		if m.Name == name {
			return cmp.Or(m.Text[locale], m.Text["en"]), nil
		}
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
					bad(".text."+locale, "has the blank %s; there are %s", b[0], Blanks())
				}
			}
			if len(words) > maxMessage {
				bad(".text."+locale, "is longer than 64 KiB")
			}
		}
	}
	return f
}
