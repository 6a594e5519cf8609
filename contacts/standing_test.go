package contacts

import (
	"math/rand/v2"
	"slices"
	"testing"

	"lifeline/store"
)

// What is kept in little of a contact answers as she does, whatever the ids look like.
func TestAStandingSaysWhatItsContactSays(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	all := []string{"sit_" + store.NewSuffix(), "sit_" + store.NewSuffix(), "site 1", "", "sit_x"}
	for range 2000 {
		some := func() (sites []string) {
			for range rnd.IntN(3) {
				if s := all[rnd.IntN(len(all))]; s != "" && !slices.Contains(sites, s) {
					sites = append(sites, s)
				}
			}
			return sites
		}
		c := Contact{Account: []string{"acc_" + store.NewSuffix(), "acc_1"}[rnd.IntN(2)], Sites: some(), AccountWide: rnd.IntN(4) == 0}
		for range rnd.IntN(3) {
			c.Grants = append(c.Grants, Grant{Role: []string{"owner", "technical"}[rnd.IntN(2)], Sites: some(), State: []RoleState{RoleStated, RoleProposed, ""}[rnd.IntN(3)]})
		}
		s := c.Standing()
		if s.Account() != c.Account {
			t.Fatalf("seed %d: %q has become %q", seed, c.Account, s.Account())
		}
		for _, site := range all {
			if site == "" {
				continue
			}
			if s.For(site) != c.For(site) || s.ApprovedFor(site) != c.ApprovedFor(site) {
				t.Fatalf("seed %d: of %q, %+v says %v and %v, and %+v says %v and %v", seed, site, c, c.For(site), c.ApprovedFor(site), s, s.For(site), s.ApprovedFor(site))
			}
		}
		whole, places := c.speaksFor()
		if anywhere := whole || len(places) > 0; s.Approved() != anywhere || s.ApprovedFor("") != anywhere {
			t.Fatalf("seed %d: %+v speaks for something: %v, %v", seed, c, s.Approved(), s.ApprovedFor(""))
		}
		for _, channel := range []string{Email, SMS} {
			if _, why := Reach(c, channel); s.Not(channel) != why {
				t.Fatalf("seed %d: no %s: %q, not %q", seed, channel, s.Not(channel), why)
			}
		}
	}
}
