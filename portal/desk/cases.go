package desk

import "time"

// CasePolicy is the part of the desk's policy about incidents as their customers meet them.
type CasePolicy struct {
	SiteEvery  time.Duration `yaml:"site_every" json:"site_every"`   // how soon a site that became affected has its ticket
	BurstOf    int           `yaml:"burst_of" json:"burst_of"`       // so many tickets that sound alike
	BurstIn    time.Duration `yaml:"burst_in" json:"burst_in"`       // within this time alarm somebody
	BurstEvery time.Duration `yaml:"burst_every" json:"burst_every"` // how soon a burst is found of which nobody could tell at once
	CallRemind time.Duration `yaml:"call_remind" json:"call_remind"` // before a call that was promised
}

func defaultCases() CasePolicy {
	return CasePolicy{SiteEvery: 5 * time.Second, BurstOf: 3, BurstIn: 10 * time.Minute, BurstEvery: 15 * time.Second, CallRemind: 15 * time.Minute}
}

// check names every value that cannot be used.
func (p CasePolicy) check(bad func(field, reason string)) {
	for field, d := range map[string]time.Duration{"site_every": p.SiteEvery, "burst_every": p.BurstEvery} {
		if d < time.Second {
			bad("cases."+field, "must be at least 1s")
		}
	}
	if p.BurstOf < 2 {
		bad("cases.burst_of", "must be at least 2")
	}
	if p.BurstIn <= 0 {
		bad("cases.burst_in", "must be a duration above 0")
	}
	if p.CallRemind < 0 {
		bad("cases.call_remind", "must not be negative")
	}
}
