package comms

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// inForce has two people put a rule in force.
func (h house) inForce(names ...string) {
	h.Helper()
	for _, name := range names {
		for _, by := range []string{"stf_ann", "stf_bob"} {
			if _, err := h.ApproveRule(context.Background(), by, name); err != nil {
				h.Fatal(err)
			}
		}
	}
}

// back hands sites back by a commander's word.
func (h house) back(incident string, sites ...string) {
	h.Helper()
	for _, state := range []string{Rebuilt, Passed, HandedBack} {
		var lines []string
		for _, s := range sites {
			lines = append(lines, `{"site_id":"`+s+`","state":"`+state+`","reason":"the customer is on the phone"}`)
		}
		if got := h.move(Mover{By: "stf_com", Finish: true}, incident, lines...); got.Rejected > 0 {
			h.Fatalf("%+v", got.Results)
		}
	}
}

// byRules are an incident's updates that rules began, oldest first, once what is due now was done, twice as two replicas would.
func (h house) byRules(incident string, after time.Duration) (all []Update) {
	h.Helper()
	h.clock.Turn(after)
	for range 2 {
		if _, err := h.FireDeadlines(context.Background(), h.clock.Now()); err != nil {
			h.Fatal(err)
		}
	}
	page, _, err := h.Updates(context.Background(), incident, "", 200)
	if err != nil {
		h.Fatal(err)
	}
	for _, u := range page {
		if u.Value.Rule != "" {
			all = append(all, u.Value)
		}
	}
	slices.Reverse(all)
	return all
}

func said(all []Update) (what []string) {
	for _, u := range all {
		what = append(what, strings.Trim(u.Rule+" "+u.State+" "+u.Held, " "))
	}
	return what
}

// The ledger speaks by rules that two people approved: a step at a time and at most once in four hours, in every language, with all that was said last
// and still holds; that all is over at once and everywhere.
func TestTheLedgerSpeaksByApprovedRules(t *testing.T) {
	h := anyHouse(t)
	h.Policy.Automatic.Jump = 60 // of four sites, one is 25 points
	in := h.declare()
	h.affect(in.ID, "S-1", "S-2", "S-3", "S-4")
	h.say(in.ID, h.said())
	h.back(in.ID, "S-1")
	h.told("nobody approved it", said(h.byRules(in.ID, time.Second)))
	h.refused(func() error { _, err := h.ApproveRule(context.Background(), "stf_ann", "nonsense"); return err }(), fault.NotFound)
	h.inForce(RuleStep, RuleWhole)
	h.back(in.ID, "S-2")
	all := h.byRules(in.ID, time.Second)
	h.told("half is back", said(all), "step published")
	u := all[0]
	if u.Figures.Sites.Percent != "50.0" || u.PublishedBy != "rule.step" || u.Statement.Audience != AudienceAffected || slices.Contains(u.Statement.Channels, ChannelSMS) {
		t.Errorf("%+v", u)
	}
	if s := u.Statement; s.Phase != Identified || s.DataLoss.AtMost == nil || !s.NextUpdateBy.At.Equal(outbreak.Add(time.Hour)) || s.Translations["ja"].Headline == "" || s.Translations["zh-CN"].WhatHappened == "" || s.Translations["ko"].Headline == "" || !slices.Contains(s.Locales, "pt-BR") {
		t.Errorf("it does not say what holds, in every language: %+v", s)
	}
	h.back(in.ID, "S-3")
	h.told("too soon", said(h.byRules(in.ID, time.Hour)), "step published")
	h.told("four hours later", said(h.byRules(in.ID, 3*time.Hour)), "step published", "step published")
	h.back(in.ID, "S-4")
	all = h.byRules(in.ID, time.Second)
	h.told("all is back", said(all), "step published", "step published", "whole published")
	if s := all[2].Statement; s.Phase != Monitoring || s.Audience != AudiencePublic || !slices.Contains(s.Channels, ChannelSMS) || !slices.Contains(s.Channels, ChannelTicket) || !s.NextUpdateBy.At.After(h.clock.Now()) || len(s.Doing) > 0 {
		t.Errorf("%+v", s)
	}
	if n := h.notice(all[0].Notice); n.State != StoppedHere || n.Reason != "superseded by a newer update" {
		t.Errorf("the older word is still on its way: %+v", n)
	}
	h.told("nothing more to say", said(h.byRules(in.ID, 9*time.Hour)), "step published", "step published", "whole published")
}

// What a rule may not send waits for a person: without two people's word, behind a jump of the ledger, with too many people within the hour. The approvers
// are asked once, and what somebody has taken up is left to her.
func TestWhatARuleMayNotSendWaitsForAPerson(t *testing.T) {
	begin := func(h house) store.Rec[Incident] {
		in := h.declare()
		h.ladder(ApprovalDue, map[time.Duration]string{0: "approver@vendor.example"})
		h.affect(in.ID, "S-1", "S-2", "S-3", "S-4")
		h.say(in.ID, h.said())
		return in
	}
	t.Run("the last site", func(t *testing.T) {
		h := anyHouse(t)
		in := begin(h)
		h.back(in.ID, "S-1", "S-2", "S-3", "S-4")
		all := h.byRules(in.ID, time.Second)
		h.told("all is back", said(all), "whole draft not_approved")
		if asked := h.notices(templates.MsgDeadline); len(asked) != 1 || asked[0].To[0].Address != "approver@vendor.example" {
			t.Errorf("the approvers were asked: %+v", asked)
		}
		page, _, err := h.Updates(context.Background(), in.ID, "", 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Approve(context.Background(), "stf_bob", page[0].ID); err != nil {
			t.Fatal(err)
		}
		if u, err := h.Publish(context.Background(), "stf_ann", page[0].ID, PublishOptions{}); err != nil || u.Value.Held != "" || u.Value.PublishedBy != "stf_ann" {
			t.Errorf("%+v, %v", u.Value, err)
		}
	})
	t.Run("a jump", func(t *testing.T) {
		h := anyHouse(t)
		in := begin(h)
		h.inForce(RuleStep)
		h.back(in.ID, "S-1")
		h.told("25 points at once", said(h.byRules(in.ID, time.Second)), "step draft jump")
		h.back(in.ID, "S-2")
		h.Policy.Automatic.Jump = 60
		all := h.byRules(in.ID, time.Second)
		h.told("no jump any more, but nobody has looked at the first", said(all), "step draft jump")
		page, _, _ := h.Updates(context.Background(), in.ID, "", 1)
		if _, _, err := h.Edit(context.Background(), "stf_ann", page[0].ID, 0, h.said(func(s *templates.Statement) { s.Headline = "Half of the sites are back" }), nil); err != nil {
			t.Fatal(err)
		}
		h.back(in.ID, "S-3")
		if all = h.byRules(in.ID, time.Second); len(all) != 1 || all[0].Statement.Headline != "Half of the sites are back" {
			t.Errorf("it writes over a person: %+v", all)
		}
	})
	t.Run("too many people", func(t *testing.T) {
		h := anyHouse(t)
		h.Policy.Automatic.Jump, h.Policy.Automatic.PerHour = 100, 2
		in := begin(h)
		h.inForce(RuleStep)
		h.back(in.ID, "S-1")
		h.told("three people", said(h.byRules(in.ID, time.Second)), "step draft cap")
	})
	t.Run("before anybody spoke", func(t *testing.T) {
		h := anyHouse(t)
		h.inForce(RuleWhole)
		in := h.declare()
		h.affect(in.ID, "S-4")
		h.back(in.ID, "S-4")
		h.told("the first word is a person's", said(h.byRules(in.ID, time.Second)))
	})
}

// One person's word ends a rule on every replica, with what is unsent of it, and after a restart; two people put it in force again.
func TestOnePersonStopsARule(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	h.Policy.Automatic.Jump = 100
	in := h.declare()
	h.affect(in.ID, "S-1", "S-2", "S-3", "S-4")
	h.say(in.ID, h.said())
	h.inForce(RuleStep)
	h.back(in.ID, "S-1")
	all := h.byRules(in.ID, time.Second)
	h.told("a step", said(all), "step published")
	_, err := h.StopRule(ctx, "stf_sup", RuleStep, "")
	h.refused(err, fault.Invalid, "reason")
	if s, err := h.StopRule(ctx, "stf_sup", RuleStep, "the ledger is wrong"); err != nil || s.State != RuleStopped || !slices.Equal(s.By, []string{"stf_sup"}) {
		t.Fatalf("%+v, %v", s, err)
	}
	if n := h.notice(all[0].Notice); n.State != StoppedHere || n.Unsent != Suppressed {
		t.Errorf("what is unsent goes on: %+v", n)
	}
	_, err = h.StopRule(ctx, "stf_sup", RuleStep, "once more")
	h.refused(err, fault.Conflict)
	h.back(in.ID, "S-2")
	h.told("stopped", said(h.byRules(in.ID, 5*time.Hour)), "step published")
	if s, err := h.ApproveRule(ctx, "stf_ann", RuleStep); err != nil || s.State != RuleProposed {
		t.Fatalf("one word is enough: %+v, %v", s, err)
	}
	h.back(in.ID, "S-3")
	h.told("proposed only", said(h.byRules(in.ID, time.Second)), "step published")
	if s, err := h.ApproveRule(ctx, "stf_bob", RuleStep); err != nil || s.State != RuleInForce {
		t.Fatalf("%+v, %v", s, err)
	}
	h.Policy.Automatic.Rules = map[string]Rule{RuleStep: {Audience: AudiencePublic, Channels: []string{ChannelPage}, Percent: 10}}
	if rules, err := h.Rules(ctx); err != nil || len(rules) != 1 || rules[0].State != RuleOff {
		t.Errorf("another rule passes for the one that was approved: %+v, %v", rules, err)
	}
	err = h.DB.View(ctx, func(tx *store.Tx) error { // and one that the policy leaves out is off, and stands in nobody's way
		if on, err := h.RuleInForce(tx, RuleSite); on || err != nil {
			t.Errorf("a rule that is none: %t, %v", on, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The night is the person's, and by night nobody is told by a rule but who chose it.
func TestNobodyIsToldByARuleAtNight(t *testing.T) {
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		t, _ := time.ParseInLocation("2006-01-02 15:04", s, tokyo)
		return t
	}
	for _, c := range []struct{ now, until string }{
		{"2022-04-05 21:59", "2022-04-05 21:59"}, {"2022-04-05 22:00", "2022-04-06 07:00"}, {"2022-04-06 00:30", "2022-04-06 07:00"},
		{"2022-04-06 06:59", "2022-04-06 07:00"}, {"2022-04-06 07:00", "2022-04-06 07:00"},
	} {
		if got := (Night{From: 22, To: 7}).until(tokyo, at(c.now).UTC()); !got.Equal(at(c.until)) {
			t.Errorf("at %s: until %s, not %s", c.now, got.In(tokyo), c.until)
		}
	}
	if got := (Night{From: 1, To: 5}).until(tokyo, at("2022-04-05 23:00")); !got.Equal(at("2022-04-05 23:00")) {
		t.Errorf("a night within one day: %s", got)
	}
	if got := (Night{}).until(tokyo, at("2022-04-05 03:00")); !got.Equal(at("2022-04-05 03:00")) {
		t.Errorf("no night at all: %s", got)
	}
	h := anyHouse(t)
	h.Policy.Automatic.Jump = 100
	in := h.declare()
	h.affect(in.ID, "S-1", "S-4")
	h.say(in.ID, h.said())
	h.inForce(RuleStep)
	h.back(in.ID, "S-4")
	all := h.byRules(in.ID, 15*time.Hour) // 23:17, where nobody said which day is hers
	h.told("by night", said(all), "step published")
	held := func() (names []string) {
		t.Helper()
		n := h.notice(all[0].Notice)
		err := h.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error {
			n := n
			c, err := h.chunk(tx, suffix(all[0].Notice), n)
			if err != nil {
				return err
			}
			if err := outbox(h.Room).writeChunk(tx, all[0].Notice, &n, c, map[string]int{}); err != nil {
				return err
			}
			names = nil
			for rec, err := range deliveries.Scan(tx, under("dlv_"+suffix(all[0].Notice)+".")) { // as a worker finds them
				if err != nil {
					return err
				}
				if wait := time.Until(rec.Value.Next); wait > 7*time.Hour && wait < 8*time.Hour && rec.Value.State == Queued {
					names = append(names, rec.Value.Name)
				}
			}
			return store.ErrNothing
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	h.told("until seven", held(), "Ann Lee") // she alone may speak for a customer, and the others are written down behind her
	err = h.DB.Update(context.Background(), store.Act{By: "stf_test"}, func(tx *store.Tx) error {
		people, err := h.Book.ByAddress(tx, ChannelEmail, "ann@acme.example")
		if err != nil {
			return err
		}
		return h.Book.TellAtNight(tx, people[0].ID, true)
	})
	if err != nil {
		t.Fatal(err)
	}
	h.told("but not who chose the night", held())
}
