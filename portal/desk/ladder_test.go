package desk

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store/fault"
)

var (
	ladderDay = time.Date(2022, 4, 6, 12, 0, 0, 0, time.UTC)
	ladderIn  = defaultIdentity()
)

// shownFor makes the evidence of one class as it is weighed: of Ann where it is tied to a contact.
func shownFor(class Class, stale bool, at time.Time) Proof {
	p := Proof{ID: "evi_" + string(class), Evidence: Evidence{Class: class, At: at, By: "public:web"}}
	switch class {
	case ClassReach, ClassAlike, ClassA, ClassB:
		p.How, p.Channel, p.Address = HowCode, "email", string(class)+"@acme.example"
	case ClassC:
		p.How = HowRecovery
	case ClassD:
		p.How, p.Domain = HowDNS, "acme.example"
	case ClassF:
		p.How = HowVouch
	case ClassG:
		p.How = HowTold
	}
	if slices.Contains([]Class{ClassA, ClassB, ClassC, ClassF}, class) {
		p.Contact, p.Speaks, p.Stale = "con_ann", true, stale
	}
	return p
}

// oracle says which level a set of classes gives, read off the text of the ladder and written without looking at how it is computed: every pair and every
// three that do are listed.
func oracle(set string, stale, matched, agreed bool) Level {
	has := func(classes string) bool {
		for _, c := range strings.Fields(classes) {
			if !slices.Contains(strings.Fields(set), c) {
				return false
			}
		}
		return true
	}
	any := func(lists ...string) bool { return slices.ContainsFunc(lists, has) }
	fresh := any("A B", "A C", "B C", "B D", "B A'", "C D", "C A'", "F A", "F B", "F C", "F D", "F A'")
	left := any("F D", "F A'", "B C D", "B C A'", "B C F", "B D F", "B A' F", "C D F", "C A' F") // A counts as A' of somebody who may have left
	two := fresh
	if stale {
		two = left
	}
	switch {
	case matched && (two || !stale && agreed && any("A D", "A A'")):
		return L3
	case any("A", "A'", "D"), !stale && any("B", "C"), stale && any("B C"):
		return L2
	case any("reach", "B"):
		return L1
	}
	return L0
}

// Every set of classes, of a contact who was confirmed lately or not, matched by nobody, by whoever filed it, or by somebody else, with and without a second
// member of staff for correlated evidence.
func TestTheLadderIsTheOneThatWasAgreed(t *testing.T) {
	classes := []Class{ClassReach, ClassA, ClassAlike, ClassB, ClassC, ClassD, ClassF, ClassG}
	tried := map[Level]int{}
	for bits := range 1 << len(classes) {
		for _, how := range []string{"", "stale"} {
			for _, matcher := range []string{"", "stf_starter", "stf_eve"} {
				for _, agreed := range []string{"", "too early", "stf_starter", "stf_eve", "stf_bob"} {
					c := Case{Account: "acc_1", StartedBy: "stf_starter", Began: ladderDay.Add(-72 * time.Hour), Now: ladderDay}
					var names []string
					at := ladderDay.Add(-time.Hour)
					for i, class := range classes {
						if bits&(1<<i) == 0 || how == "stale" && class == ClassA {
							continue // of somebody who may have left, A is weighed as A'
						}
						names = append(names, string(class))
						c.Proofs = append(c.Proofs, shownFor(class, how == "stale", at))
					}
					if matcher != "" {
						c.Proofs = append(c.Proofs, Proof{ID: "evi_match", Speaks: true, Evidence: Evidence{Class: ClassMatch, Contact: "con_ann", By: matcher, At: at}})
					}
					word := Evidence{Class: ClassPair, By: agreed, At: ladderDay.Add(-25 * time.Hour)}
					if agreed == "too early" {
						word.By, word.At = "stf_bob", ladderDay.Add(-23*time.Hour)
					}
					for _, other := range []Class{ClassD, ClassAlike} {
						if agreed != "" {
							word.Bound = boundTo([]Proof{shownFor(ClassA, false, at), shownFor(other, false, at)})
							c.Proofs = append(c.Proofs, Proof{ID: "evi_word_" + string(other), Evidence: word})
						}
					}
					set := strings.Join(names, " ")
					got, want := ladderIn.Judge(c), oracle(set, how == "stale", matcher == "stf_eve", agreed == "stf_bob")
					if got.Level != want {
						t.Fatalf("{%s} %s, matched by %q, agreed %q: %s, not %s", set, how, matcher, agreed, got.Level, want)
					}
					tried[want]++
					if got.Level == L3 && (got.Contact != "con_ann" || got.Until.IsZero()) || got.Level == L4 {
						t.Fatalf("{%s}: %+v", set, got)
					}
				}
			}
		}
	}
	for _, l := range []Level{L0, L1, L2, L3} {
		if tried[l] == 0 {
			t.Errorf("no set gives %s", l)
		}
	}
}

// What one person showed and what another did never add up, and neither does what is tied to a contact who may not speak for the customer.
func TestEvidenceOfTwoPeopleIsNotOnePersons(t *testing.T) {
	match := Proof{ID: "evi_m", Speaks: true, Evidence: Evidence{Class: ClassMatch, Contact: "con_ann", By: "stf_eve", At: ladderDay}}
	a, b := shownFor(ClassA, false, ladderDay), shownFor(ClassB, false, ladderDay)
	c := Case{Account: "acc_1", Now: ladderDay.Add(time.Minute), Proofs: []Proof{match, a, b}}
	if s := ladderIn.Judge(c); s.Level != L3 {
		t.Fatalf("%+v", s)
	}
	other := b
	other.Contact = "con_bo"
	c.Proofs = []Proof{match, a, other}
	if s := ladderIn.Judge(c); s.Level != L2 {
		t.Errorf("Ann's mail and Bo's phone: %s", s.Level)
	}
	match.Speaks = false
	c.Proofs = []Proof{match, a, b}
	if s := ladderIn.Judge(c); s.Level != L2 {
		t.Errorf("a contact who may not speak for the customer: %s", s.Level)
	}
	c.Own, match.Speaks = true, true
	c.Proofs[0] = match
	if s := ladderIn.Judge(c); s.Level != L2 {
		t.Errorf("her own page, which nobody matched: %s", s.Level)
	}
}

// Each level ends as it was agreed, and what renews it is a code to what was proved.
func TestLevelsEndAndAreRenewed(t *testing.T) {
	at := ladderDay
	match := Proof{ID: "evi_m", Speaks: true, Evidence: Evidence{Class: ClassMatch, Contact: "con_ann", By: "stf_eve", At: at}}
	for _, l := range []struct {
		what  string
		c     Case
		level Level
		lasts time.Duration
		then  Level
	}{
		{"a reached address", Case{Proofs: []Proof{shownFor(ClassReach, false, at)}}, L1, 7 * 24 * time.Hour, L0},
		{"somebody who was heard of since", Case{Seen: at.Add(72 * time.Hour), Proofs: []Proof{shownFor(ClassReach, false, at)}}, L1, 10 * 24 * time.Hour, L0},
		{"a mailbox of the customer's", Case{Proofs: []Proof{shownFor(ClassAlike, false, at)}}, L2, 24 * time.Hour, L1},
		{"a record in the customer's zone", Case{Proofs: []Proof{shownFor(ClassD, false, at)}}, L2, 24 * time.Hour, L0},
		{"two classes", Case{Proofs: []Proof{match, shownFor(ClassA, false, at), shownFor(ClassC, false, at)}}, L3, 24 * time.Hour, L1},
	} {
		for _, moment := range []struct {
			after time.Duration
			want  Level
		}{{l.lasts - time.Second, l.level}, {l.lasts, l.then}} {
			c := l.c
			c.Account, c.Now = "acc_1", at.Add(moment.after)
			if s := ladderIn.Judge(c); s.Level != moment.want {
				t.Errorf("%s, %s after: %s, not %s", l.what, moment.after, s.Level, moment.want)
			}
		}
	}
	c := Case{Account: "acc_1", Now: at.Add(80 * time.Hour), Proofs: []Proof{match, shownFor(ClassA, false, at), shownFor(ClassC, false, at)}}
	if s := ladderIn.Judge(c); !s.Asleep || !slices.Equal(s.Missing, []string{"code_again"}) {
		t.Errorf("days later: %+v", s)
	}
	wrong, again := shownFor(ClassReach, false, at.Add(79*time.Hour)), shownFor(ClassA, false, at.Add(79*time.Hour))
	again.ID = "evi_again"
	c.Proofs = append(c.Proofs, wrong)
	if s := ladderIn.Judge(c); s.Level != L1 {
		t.Errorf("a code to another address woke it: %s", s.Level)
	}
	c.Proofs = append(c.Proofs, again)
	s := ladderIn.Judge(c)
	if s.Level != L3 || !s.Shown.Equal(again.At) || !s.Until.Equal(again.At.Add(24*time.Hour)) {
		t.Errorf("a code to the proven channel: %+v", s)
	}
	if s.Fresh(c.Now, ladderIn) || !s.Fresh(again.At.Add(14*time.Minute), ladderIn) {
		t.Error("what needs L4 is asked for within 15 minutes")
	}
	c.Over = at.Add(50 * time.Hour)
	if s := ladderIn.Judge(c); s.Level >= L3 || s.Asleep {
		t.Errorf("the incident ended, and a code renewed it: %+v", s)
	}
}

// Mail dead, phone changed, no recovery code: a DNS record, and a call to a number that somebody else found in an old source.
func TestTheWayBackFromNothing(t *testing.T) {
	at := ladderDay
	whole := func(mend func(zone, number, call, match *Proof)) Case {
		zone := shownFor(ClassD, false, at)
		number := Proof{ID: "evi_n", Evidence: Evidence{Class: ClassNumber, By: "stf_bob", SourceAt: at.Add(-1000 * time.Hour), At: at}}
		call := Proof{ID: "evi_c", Evidence: Evidence{Class: ClassCalled, Of: "evi_n", By: "stf_eve", At: at}}
		match := Proof{ID: "evi_m", Evidence: Evidence{Class: ClassMatch, By: "stf_eve", At: at}}
		mend(&zone, &number, &call, &match)
		return Case{Account: "acc_1", StartedBy: "stf_starter", Began: at.Add(-100 * time.Hour), Now: at.Add(time.Hour), Proofs: []Proof{shownFor(ClassReach, false, at), zone, number, call, match}}
	}
	if s := ladderIn.Judge(whole(func(_, _, _, _ *Proof) {})); s.Level != L3 || s.By != "way_back" {
		t.Fatalf("%+v", s)
	}
	for what, mend := range map[string]func(zone, number, call, match *Proof){
		"no DNS record":                        func(z, _, _, _ *Proof) { z.Weak = VoidDomain },
		"a source from after the incident":     func(_, n, _, _ *Proof) { n.SourceAt = at.Add(-99 * time.Hour) },
		"nobody was reached":                   func(_, _, c, _ *Proof) { c.Weak = VoidFailed },
		"one person found and called":          func(_, n, _, _ *Proof) { n.By = "stf_eve" },
		"whoever filed it found the number":    func(_, n, _, _ *Proof) { n.By = "stf_starter" },
		"another number was called":            func(_, _, c, _ *Proof) { c.Of = "evi_x" },
		"whoever filed it matched it":          func(_, _, _, m *Proof) { m.By = "stf_starter" },
		"the match is of another account":      func(_, _, _, m *Proof) { m.Weak = VoidElse },
		"the number was taken back afterwards": func(_, n, _, _ *Proof) { n.Weak = VoidStaff },
	} {
		if s := ladderIn.Judge(whole(mend)); s.Level >= L3 {
			t.Errorf("%s: %+v", what, s)
		}
	}
	c := whole(func(_, _, _, _ *Proof) {})
	c.Now = at.Add(30 * time.Hour)
	again := shownFor(ClassReach, false, at.Add(29*time.Hour))
	c.Proofs = append(c.Proofs, again)
	if s := ladderIn.Judge(c); s.Level != L3 {
		t.Errorf("a code to where she could be reached then does not renew it: %+v", s)
	}
}

// An override takes two, and says that it is one.
func TestAnOverrideTakesTwoAndSaysSo(t *testing.T) {
	o := Proof{ID: "evi_o", Evidence: Evidence{Class: ClassOverride, By: "stf_ann", At: ladderDay}}
	c := Case{Account: "acc_1", Now: ladderDay.Add(time.Hour), Proofs: []Proof{o}}
	for second, want := range map[string]Level{"": L0, "stf_ann": L0, "stf_bob": L3} {
		c.Proofs[0].Second, c.Proofs[0].SecondAt = second, ladderDay
		if s := ladderIn.Judge(c); s.Level != want || s.Override != (want == L3) {
			t.Errorf("second %q: %+v", second, s)
		}
	}
}

// Every level, every deed, her account and another one: what the text allows, and nothing else.
func TestEveryLevelByEveryDeedByAnotherAccount(t *testing.T) {
	allowed := map[Level]string{
		L0: "ticket.file ticket.read ticket.add",
		L1: "ticket.attach ticket.close subscribe site.answer",
		L2: "account.stage tickets.own contact.own restore_point.see escalation.ask change.propose",
		L3: "tickets.shared sites lead restore_point.ask account.export recovery.take vouch",
		L4: "contact.change domain.change recovery.change export.bulk record.delete",
	}
	listed := 0
	for level := L0; level <= L4; level++ {
		var may []string
		for l := L0; l <= level; l++ {
			may = append(may, strings.Fields(allowed[l])...)
		}
		listed += len(strings.Fields(allowed[level]))
		s := Standing{Level: level, Account: "acc_1"}
		for _, what := range Deeds() {
			if got, want := s.may(what, ""), slices.Contains(may, string(what)); (got == nil) != want {
				t.Errorf("%s, %s: %v", level, what, got)
			}
			if got, want := s.may(what, "acc_1"), slices.Contains(may, string(what)); (got == nil) != want {
				t.Errorf("%s, %s of her account: %v", level, what, got)
			}
			if err := s.may(what, "acc_2"); fault.Of(err) != fault.NotFound {
				t.Errorf("%s, %s of another account: %v", level, what, err)
			}
		}
		unlinked := Standing{Level: level}
		for _, what := range Deeds() {
			if needed, _ := Needs(what); needed >= L2 && unlinked.may(what, "") == nil {
				t.Errorf("%s, %s without an account", level, what)
			}
		}
		if s.may("rocket.launch", "") == nil {
			t.Errorf("%s may do what is in no table", level)
		}
		if err := fmt.Sprint(errShowMore); strings.Contains(err, level.String()) || strings.Contains(err, "verified") {
			t.Errorf("a customer reads %q", err)
		}
	}
	if listed != len(Deeds()) {
		t.Errorf("%d deeds, %d of them agreed", len(Deeds()), listed)
	}
}
