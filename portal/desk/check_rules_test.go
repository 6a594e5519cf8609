package desk

import "testing"

func TestWhoIsLookedAtTwice(t *testing.T) {
	p := defaultChecks()
	plain := Check{Tier: 2, Attempt: 1, Pass: 1}
	with := func(change func(*Check)) Check {
		c := plain
		change(&c)
		return c
	}
	for _, c := range []struct {
		name        string
		check       Check
		waived, all bool
		chance      float64
		want        Second
	}{
		{"nothing asks for it", plain, false, false, 0.15, ""},
		{"drawn by chance", plain, false, false, 0.149, SecondChance},
		{"tier 1", with(func(c *Check) { c.Tier = 1 }), false, false, 1, SecondTier},
		{"tier 0", with(func(c *Check) { c.Tier = 0 }), false, false, 1, SecondTier},
		{"one of the first of its batch", with(func(c *Check) { c.Early = true }), false, false, 1, SecondEarly},
		{"a second attempt", with(func(c *Check) { c.Attempt = 2 }), false, false, 1, SecondAgain},
		{"a required item does not apply", plain, true, false, 1, SecondWaived},
		{"checkers disagree too often", plain, false, true, 1, SecondDisagree},
	} {
		if got := secondLook(p, c.check, c.waived, c.all, c.chance); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// The lower end of Wilson's interval lies above 2 % from three of fifty on.
func TestDisagreementNeedsWeight(t *testing.T) {
	for _, c := range []struct {
		k, n int
		want bool
	}{{0, 0, false}, {1, 1, true}, {0, 50, false}, {1, 50, false}, {2, 50, false}, {3, 50, true}, {1, 10, false}, {50, 50, true}} {
		if got := surelyOver(c.k, c.n, 0.02); got != c.want {
			t.Errorf("%d of %d: %t", c.k, c.n, got)
		}
	}
}

func TestNobodyChecksHerOwnWork(t *testing.T) {
	c := Check{Pass: 1, RebuiltBy: []string{"tok_robot", "Rob Builder"}, First: []string{"stf_ann"}}
	for _, p := range []struct {
		who           Checker
		first, second bool
	}{{Checker{ID: "stf_ann", Name: "Ann"}, true, false}, {Checker{ID: "stf_bob", Name: "Bob"}, true, true}, {Checker{ID: "tok_robot", Name: "robot"}, false, false}, {Checker{ID: "stf_rob", Name: "Rob Builder"}, false, false}} {
		c.Pass = 1
		if got := c.mayCheck(p.who); got != p.first {
			t.Errorf("%s first: %t", p.who.ID, got)
		}
		c.Pass = 2
		if got := c.mayCheck(p.who); got != p.second {
			t.Errorf("%s second: %t", p.who.ID, got)
		}
	}
}
