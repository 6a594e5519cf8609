package contacts

import (
	"testing"
	"time"
)

func TestEachContactHasOneDegreeOfFreshness(t *testing.T) {
	now := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)
	p := DefaultPolicy()
	ago := func(days int) time.Time { return now.Add(-time.Duration(days) * 24 * time.Hour) }
	mail := []Address{{Value: "a@b.example"}}
	for _, c := range []struct {
		name string
		c    Contact
		want Freshness
	}{
		{"confirmed lately", Contact{Emails: mail, ConfirmedAt: ago(300)}, Fresh},
		{"too long ago for whoever may speak", Contact{Emails: mail, Roles: []string{Owner}, ConfirmedAt: ago(300)}, StaleNow},
		{"too long ago for anybody", Contact{Emails: mail, ConfirmedAt: ago(400)}, StaleNow},
		{"never", Contact{Emails: mail}, NeverHeard},
		{"no address", Contact{Roles: []string{Owner}, ConfirmedAt: ago(1)}, Unreachable},
		{"bounced", Contact{Emails: []Address{{Value: "a@b.example", Bounced: true}}, ConfirmedAt: ago(1)}, Unreachable},
		{"bounced, and a phone", Contact{Emails: []Address{{Value: "a@b.example", Bounced: true}}, Phones: []Address{{Value: "+12025550100"}}, ConfirmedAt: ago(1)}, Fresh},
		{"opted out", Contact{Emails: []Address{{Value: "a@b.example", OptedOut: true}}, ConfirmedAt: ago(1)}, Unreachable},
		{"she wants text messages and has no phone", Contact{Emails: mail, Channels: []string{SMS}, ConfirmedAt: ago(1)}, Unreachable},
	} {
		if got := p.FreshnessOf(c.c, now); got != c.want {
			t.Errorf("%s: %s, not %s", c.name, got, c.want)
		}
	}
}
