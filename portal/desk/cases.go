package desk

import "time"

// CasePolicy is the part of the desk's policy about incidents as their customers meet them.
type CasePolicy struct {
	SiteEvery time.Duration `yaml:"site_every" json:"site_every"` // how soon a site that became affected has its ticket
}

func defaultCases() CasePolicy {
	return CasePolicy{SiteEvery: 5 * time.Second}
}

// check names every value that cannot be used.
func (p CasePolicy) check(bad func(field, reason string)) {
	if p.SiteEvery < time.Second {
		bad("cases.site_every", "must be at least 1s")
	}
}
