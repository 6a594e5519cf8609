package templates

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// refusalKey begins the keys of the sentences in which something is refused. Where it is decided they are English, as programs are told them; the desk finds a
// sentence again by its form, so that nobody who decides has to know of languages.
const refusalKey = "desk.no."

// refusals are the forms of our own English sentences: whatever an operator makes of them, these are what is said. A sentence that has no figure or name in it
// is found by itself.
var refusals = sync.OnceValue(func() (all struct {
	whole map[string]string
	forms []refusal
}) {
	all.whole = map[string]string{}
	data, err := ours.ReadFile("words/en.json")
	if err != nil {
		return all
	}
	words, err := parseCatalog(data)
	if err != nil {
		return all
	}
	for key, e := range words {
		if !strings.HasPrefix(key, refusalKey) {
			continue
		}
		form, text := strings.Builder{}, ""
		for _, p := range e.form {
			if p.arg >= 0 {
				form.WriteString("(.+)")
				continue
			}
			form.WriteString(regexp.QuoteMeta(p.text))
			text += p.text
		}
		if len(e.form) == 1 && e.form[0].arg < 0 {
			all.whole[text] = key
		} else {
			all.forms = append(all.forms, refusal{key, regexp.MustCompile("(?s)^" + form.String() + "$"), len(text)})
		}
	}
	slices.SortFunc(all.forms, func(a, b refusal) int { return cmp.Or(b.fixed-a.fixed, strings.Compare(a.key, b.key)) })
	return all
})

// refusal is a form with what stands between its words; the one with more words of its own is looked for first.
type refusal struct {
	key   string
	form  *regexp.Regexp
	fixed int
}

// Refusal is an English sentence, or the end of one behind the name of a field, in the language of the catalog; as it is where the catalog does not have it.
func (c Catalog) Refusal(english string) string {
	if english == "" || c.locale == locales[0] {
		return english
	}
	all := refusals()
	if key := all.whole[english]; key != "" && c.Has(key) {
		return c.T(key)
	}
	for _, r := range all.forms {
		if !c.Has(r.key) {
			continue
		}
		if parts := r.form.FindStringSubmatch(english); parts != nil {
			var args []any
			for _, part := range parts[1:] {
				args = append(args, part)
			}
			return c.T(r.key, args...)
		}
	}
	return english
}
