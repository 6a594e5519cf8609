package templates

import (
	"strings"
	"testing"
)

// A post says in one piece which update it is, what changed, what is restored of how much, and where the rest stands, and is never too long.
func TestAPostCarriesTheSameFacts(t *testing.T) {
	for _, s := range scenarios() {
		for _, locale := range Locales() {
			r := must(loaded.Update(Social, locale, s.update, s.vendor))
			if n := postWeight(r.Text); n > maxPost {
				t.Errorf("%s, %s: %d signs, at most %d:\n%s", s.name, locale, n, maxPost, r.Text)
			}
			wanted := []string{s.vendor.Name, s.update.Incident.URL}
			if f := s.update.Restored; f != nil && f.Sites.Total > 0 {
				wanted = append(wanted, loaded.Catalog(locale).Decimal(f.Sites.Percent))
			}
			for _, want := range wanted {
				if !strings.Contains(r.Text, want) {
					t.Errorf("%s, %s lacks %q:\n%s", s.name, locale, want, r.Text)
				}
			}
			if strings.TrimSpace(r.Text) != r.Text || strings.Contains(r.Text, "\n\n") {
				t.Errorf("%s, %s has empty lines:\n%q", s.name, locale, r.Text)
			}
		}
	}
}
