package templates

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// Every refusal of the catalog is a sentence that some room says, word for word, and is found again among all the others with what stands in it.
func TestRefusalsAreSaidAndFoundAgain(t *testing.T) {
	literal, verb := regexp.MustCompile(`"(?:[^"\\\n]|\\.)*"`), regexp.MustCompile(`%%|%[-+# 0]*[\d.]*[a-zA-Z]`)
	said := map[string]bool{}
	for _, s := range must(sources()) {
		if !strings.HasSuffix(s.path, ".go") {
			continue
		}
		for _, text := range literal.FindAllString(s.text, -1) {
			if n := 0; strings.Contains(text, "%") {
				text = verb.ReplaceAllStringFunc(text, func(v string) string {
					if v == "%%" {
						return "%"
					}
					n++
					return fmt.Sprintf("{%d}", n-1)
				})
			}
			said[strings.ReplaceAll(strings.Trim(text, `"`), `\"`, `"`)] = true
		}
	}
	en, n := loaded.catalogs["en"], 0
	for _, key := range en.keys() {
		if !strings.HasPrefix(key, refusalKey) {
			continue
		}
		n++
		places, filled, args := "", "", []any{}
		for _, p := range en.words[key].form {
			if p.arg < 0 {
				places, filled = places+p.text, filled+p.text
				continue
			}
			if p.arg != len(args) {
				t.Errorf("%s: {%d} stands where {%d} is said", key, p.arg, len(args))
			}
			arg := fmt.Sprintf("\"x, %d: y\"", p.arg)
			places, filled, args = places+fmt.Sprintf("{%d}", p.arg), filled+arg, append(args, arg)
		}
		if !said[places] && !said[strings.TrimSuffix(places, "{0}")] { // what is told of may be put behind it
			t.Errorf("%s: nobody says %q", key, places)
		}
		for _, locale := range StaffLocales()[1:] {
			c := loaded.catalogs[locale]
			if got, want := c.Refusal(filled), c.T(key, args...); got != want {
				t.Errorf("%s in %s is %q, not %q", key, locale, got, want)
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d refusals", n)
	}
	for _, c := range []Catalog{en, loaded.catalogs["ja"], loaded.catalogs["de"]} {
		if got := c.Refusal("is a sentence of nobody's"); got != "is a sentence of nobody's" {
			t.Errorf("%s: %q", c.Locale(), got)
		}
	}
	if got := loaded.catalogs["de"].Refusal("is missing"); got != "is missing" {
		t.Errorf("in a language without a desk: %q", got)
	}
}
