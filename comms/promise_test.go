package comms

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/templates"
)

// ladder sets whom a promise that passes is told to: one address after the other.
func (h house) ladder(what string, rungs map[time.Duration]string) {
	var l Ladder
	for after, who := range rungs {
		l = append(l, Rung{After: after, To: []Direct{{Channel: ChannelEmail, Address: who, Locale: "en"}}})
	}
	slices.SortFunc(l, func(a, b Rung) int { return int(a.After - b.After) })
	h.Policy.Ladders[what] = l
}

// fires turns the clock and fires what has passed, twice as two replicas would: who was told since the last time.
func (h house) fires(after time.Duration) (who []string) {
	h.Helper()
	before := len(h.notices(templates.MsgDeadline))
	h.clock.Turn(after)
	for range 2 {
		if _, err := h.FireDeadlines(context.Background(), h.clock.Now()); err != nil {
			h.Fatal(err)
		}
	}
	for _, n := range h.notices(templates.MsgDeadline)[before:] {
		if n.Lane != LaneUrgent {
			h.Errorf("a page to staff in lane %q", n.Lane)
		}
		who = append(who, n.To[0].Address)
	}
	slices.Sort(who)
	return who
}

// about is what the last page said.
func (h house) about() (about templates.DeadlineNotice) {
	h.Helper()
	all := h.notices(templates.MsgDeadline)
	if err := json.Unmarshal(all[len(all)-1].Data, &about); err != nil {
		h.Fatal(err)
	}
	return about
}

func (h house) told(what string, got []string, want ...string) {
	h.Helper()
	if !slices.Equal(got, want) {
		h.Errorf("%s: told %q, want %q", what, got, want)
	}
}

// The next word that was promised and does not come pages the comms owner, then the stand-in, then management, each once; the word ends it.
func TestAPromiseThatPassesClimbsItsLadder(t *testing.T) {
	houses(t, func(h house) {
		h.ladder(NextUpdate, map[time.Duration]string{-5 * time.Minute: "early@vendor.example", 0: "owner@vendor.example", 10 * time.Minute: "standin@vendor.example", 30 * time.Minute: "management@vendor.example"})
		h.ladder(FullScope, map[time.Duration]string{0: "scope@vendor.example"})
		in := h.declare()
		h.say(in.ID, h.said(func(s *templates.Statement) {
			s.Timeline.FullScopeBy = templates.Moment{At: h.clock.Now().Add(95 * time.Minute)}
		}))
		h.told("long before its time", h.fires(55*time.Minute-time.Second))
		h.told("when its time is near", h.fires(time.Second), "early@vendor.example")
		if about := h.about(); !about.Near || about.Rung != 1 {
			h.Errorf("what is near is told as %+v", about)
		}
		h.told("before its time", h.fires(5*time.Minute-time.Second))
		h.told("at its time", h.fires(time.Second), "owner@vendor.example")
		if about := h.about(); about.Near || about.Rung != 1 {
			h.Errorf("who hears first that it passed is told %+v", about)
		}
		h.told("9 minutes late", h.fires(9*time.Minute))
		h.told("10 minutes late", h.fires(time.Minute), "standin@vendor.example")
		h.told("30 minutes late", h.fires(20*time.Minute), "management@vendor.example")
		h.told("the day by which the full extent was to be known", h.fires(5*time.Minute), "scope@vendor.example")
		h.told("the ladder has no more rungs", h.fires(time.Hour))
		if open := h.due(NextUpdate); len(open) != 1 || open[0].Rung != 4 {
			h.Errorf("the breach is not shown: %+v", open)
		}
		if n := len(slices.DeleteFunc(h.logged(in.ID), func(what string) bool { return what != "deadline" })); n != 6 { // the facts of the incident, for which nobody is named, among it
			h.Errorf("the incident's log has %d lines of what passed", n)
		}

		// Words end both: the extent is known now, and the next promise stands by itself.
		h.say(in.ID, h.said(func(s *templates.Statement) {
			s.Headline, s.Affected.Status, s.Timeline.FullScopeBy = "All sites are listed", "final", templates.Moment{At: h.clock.Now()}
		}))
		if open := h.due(FullScope); len(open) != 0 {
			h.Errorf("the extent is known, and still due: %+v", open)
		}
		h.told("the second promise", h.fires(time.Hour), "early@vendor.example", "owner@vendor.example")
		h.say(in.ID, h.said(func(s *templates.Statement) { // a promise of minutes is near at once, and nobody is told of that
			s.Headline, s.NextUpdateBy = "First sites are back", templates.Moment{At: h.clock.Now().Add(4 * time.Minute)}
		}))
		h.told("a promise of minutes", h.fires(4*time.Minute), "owner@vendor.example")
		h.say(in.ID, h.said(func(s *templates.Statement) { s.Headline = "More sites are back" }))
		h.told("sending stopped the ladder", h.fires(54*time.Minute))
	})
}

// Without a ladder of the policy's own, those on duty hear of a promise to readers before it passes, and of everything else once it has.
func TestThoseOnDutyHearThatAPromiseIsNear(t *testing.T) {
	r := &Room{Policy: DefaultPolicy(), Staffed: func(*store.Tx, Post, time.Time) ([]Direct, error) { return nil, nil }}
	first := func(what string) time.Duration { return r.ladder(Deadline{What: what})[0].After }
	for _, what := range []string{NextUpdate, Silence, FirstWord + ChannelEmail} {
		if at := first(what); at != -15*time.Minute {
			t.Errorf("%s is told at %s", what, at)
		}
	}
	if at := first(FullScope); at != 0 {
		t.Errorf("the full extent is told at %s", at)
	}
	r.Policy.Near = 0
	if at := first(NextUpdate); at != 0 {
		t.Errorf("what shall not be told before is told at %s", at)
	}
}

// Nothing was promised yet, or nothing that comes soon enough: then the silence itself is due, by severity and at least once a day, and climbs a ladder
// until there is a word.
func TestSilenceClimbsItsLadder(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		h.ladder(NextUpdate, map[time.Duration]string{0: "promise@vendor.example"})
		h.ladder(Silence, map[time.Duration]string{0: "owner@vendor.example", 10 * time.Minute: "standin@vendor.example", 30 * time.Minute: "management@vendor.example"})
		in := h.declare() // a P0, of which readers hear within two hours
		h.told("before the first word is due", h.fires(2*time.Hour-time.Second))
		h.told("no first word", h.fires(time.Second), "owner@vendor.example")
		h.told("10 minutes later", h.fires(10*time.Minute), "standin@vendor.example")
		promise := func(after time.Duration) func(*templates.Statement) {
			return func(s *templates.Statement) {
				s.NextUpdateBy = templates.Moment{At: h.clock.Now().Add(after)}
				s.Headline += " (" + after.String() + ")"
				s.WhatHappened += " We look at it for " + after.String() + "."
			}
		}
		h.say(in.ID, h.said(promise(time.Hour)))
		if open := h.due(Silence); len(open) != 0 {
			h.Errorf("beside a promise that comes in time: %+v", open)
		}
		h.told("a word ended the ladder, and the promise has its own", h.fires(time.Hour), "promise@vendor.example")
		h.say(in.ID, h.said(promise(90*time.Hour))) // with a finding, and a second person
		severity := "P3"
		if _, err := h.Amend(ctx, "stf_ann", in.ID, 0, Amend{Severity: &severity, Reason: "it is small"}); err != nil {
			h.Fatal(err)
		}
		said := h.clock.Now()
		if open := h.due(Silence); len(open) != 1 || !open[0].Due.Equal(said.Add(24*time.Hour)) {
			h.Errorf("a promise of four days leaves the reader a day: %+v", open)
		}
		h.told("for a day", h.fires(24*time.Hour-time.Second))
		h.told("after a day", h.fires(time.Second), "owner@vendor.example")
		resolved := Resolved
		if _, err := h.Amend(ctx, "stf_ann", in.ID, 0, Amend{State: &resolved, Reason: "it is over"}); err != nil {
			h.Fatal(err)
		}
		if open := h.due(Silence); len(open) != 0 {
			h.Errorf("what is resolved may be silent: %+v", open)
		}
	})
}

// What is pinned, and what is known of an attack, stands in every update on every channel until somebody changes it, and the log says who.
func TestPinnedFactsStandInEveryUpdate(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		h.affect(in.ID, "S-1")
		h.Vendor.Phone = "+12025550100" // which takes less of a text message than the form's address
		facts := []string{"No backup was lost.", "Passwords are safe."}
		if _, err := h.Amend(ctx, "stf_ann", in.ID, 0, Amend{Pinned: &facts}); err != nil {
			h.Fatal(err)
		}
		if _, err := h.SetSecurity(ctx, "stf_sec", in.ID, "ruled_out", "no foreign session"); err != nil {
			h.Fatal(err)
		}
		says := func(update string, words []string, not ...string) {
			h.Helper()
			for _, channel := range []string{ChannelEmail, ChannelSMS, ChannelPage, ChannelTicket} {
				out, _, err := h.Preview(ctx, update, channel, "en")
				if err != nil {
					h.Fatal(err)
				}
				text := strings.Join(strings.Fields(out.Text+" "+out.HTML), " ")
				for _, w := range words {
					if !strings.Contains(text, w) {
						h.Errorf("%s lacks %q:\n%s", channel, w, text)
					}
				}
				for _, w := range not {
					if strings.Contains(text, w) {
						h.Errorf("%s still says %q:\n%s", channel, w, text)
					}
				}
				if want := h.Words.Catalog("en").T(map[bool]string{true: "sms.security.ruled_out", false: "security.ruled_out"}[channel == ChannelSMS]); !strings.Contains(text, want) {
					h.Errorf("%s lacks %q:\n%s", channel, want, text)
				}
			}
		}
		var last store.Rec[Update]
		for _, headline := range []string{"One", "Two", "Three", "Four", "Five"} {
			h.clock.Turn(time.Minute)
			last = h.say(in.ID, h.said(func(s *templates.Statement) { s.Headline = headline }))
			says(last.ID, facts)
		}
		other := []string{"No backup was lost.", "Passwords were reset."}
		if _, err := h.Amend(ctx, "stf_bob", in.ID, 0, Amend{Pinned: &other}); err != nil {
			h.Fatal(err)
		}
		log, _, err := h.IncidentLog(ctx, in.ID, "", 0)
		if err != nil {
			h.Fatal(err)
		}
		if e := log[len(log)-1].Value; e.By != "stf_bob" || e.What != "pinned" || !strings.Contains(e.Text, "Passwords are safe.") || !strings.Contains(e.Text, "Passwords were reset.") {
			h.Errorf("the log ends with %+v", e)
		}
		says(h.say(in.ID, h.said(func(s *templates.Statement) { s.Headline = "Six" })).ID, other, "Passwords are safe.")
		says(last.ID, facts, "Passwords were reset.") // what was said stays as it was said
	})
}

// The first words to customers say the four things that they are owed, and those inside have been told before. Of an SMS only the English one is sure to have room.
func TestTheFirstNoticeSaysWhatReadersAreOwed(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		if told := h.notices(templates.MsgDeclared); len(told) != 1 || told[0].To[0].Address != "duty@vendor.example" || len(h.notices(nameUpdate)) != 0 {
			h.Errorf("told inside: %+v", told)
		}
		n := FirstNotice{Products: []string{"Wiki"}, NextUpdateBy: templates.Moment{At: h.clock.Now().Add(time.Hour)}}
		for _, locale := range templates.Locales() {
			words := h.Words.Catalog(locale)
			for _, channel := range []string{ChannelEmail, ChannelPage, ChannelTicket, ChannelSMS} {
				keys := []string{"assured.working", "assured.review", "assured.escalated", "assured.told"}
				if channel == ChannelSMS {
					if locale != "en" {
						continue
					}
					keys = []string{"sms.assured"}
				}
				out, err := h.PreviewFirstNotice(ctx, in.ID, n, channel, locale)
				if err != nil {
					h.Fatal(err)
				}
				text := strings.Join(strings.Fields(out.Text+out.HTML), "")
				for _, key := range keys {
					if !strings.Contains(text, strings.Join(strings.Fields(words.T(key)), "")) {
						h.Errorf("%s in %s lacks %s:\n%s", channel, locale, key, out.Text+out.HTML)
					}
				}
			}
		}
	})
}

// The page follows the ledger: one site's move makes it stale and shows in the figures beside the last update.
func TestAMoveMovesThePage(t *testing.T) {
	houses(t, func(h house) {
		in := h.declare()
		h.affect(in.ID, "S-1", "S-4")
		h.say(in.ID, h.said())
		was := h.edition()
		h.move(Mover{By: "tok_auto"}, in.ID, `{"site_id":"S-1","state":"rebuilt"}`)
		if now := h.edition(); now != was+1 {
			h.Errorf("edition %d, then %d", was, now)
		}
		p, err := h.Public(context.Background())
		if err != nil || len(p.Incidents) != 1 || p.Incidents[0].Now == nil || p.Incidents[0].Now.Sites.Rebuilt != 1 || p.Incidents[0].Updates[0].Restored.Sites.Rebuilt != 0 {
			h.Errorf("%+v %v", p, err)
		}
	})
}

// The first word of a grave incident is due on each channel that the policy names: a word on the page ends the page's alone, the others climb until theirs is out.
// What is not grave owes none, and owes it once it is.
func TestTheFirstWordIsDueOnEachChannel(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	h.Policy.FirstWord = map[string]time.Duration{ChannelPage: 30 * time.Minute, ChannelEmail: time.Hour, ChannelTicket: 90 * time.Minute}
	h.ladder("first_word", map[time.Duration]string{0: "owner@vendor.example", 20 * time.Minute: "management@vendor.example"})
	open := func() (what []string) {
		for _, channel := range []string{ChannelEmail, ChannelPage, ChannelTicket} {
			if len(h.due(FirstWord+channel)) > 0 {
				what = append(what, channel)
			}
		}
		return what
	}
	in := h.declare()
	h.told("declared", open(), ChannelEmail, ChannelPage, ChannelTicket)
	h.told("nothing on the page", h.fires(30*time.Minute), "owner@vendor.example")
	h.say(in.ID, h.said(func(s *templates.Statement) {
		s.Channels, s.NextUpdateBy.At = []string{ChannelPage}, h.clock.Now().Add(2*time.Hour)
	}))
	h.told("a word on the page", open(), ChannelEmail, ChannelTicket)
	h.told("no mail", h.fires(30*time.Minute), "owner@vendor.example")
	h.told("still no mail", h.fires(20*time.Minute), "management@vendor.example")
	h.say(in.ID, h.said(func(s *templates.Statement) {
		s.Channels, s.Headline, s.NextUpdateBy.At = []string{ChannelEmail, ChannelTicket}, "The sites are being rebuilt", h.clock.Now().Add(2*time.Hour)
	}))
	h.told("a word everywhere", open())
	h.told("and nobody is told", h.fires(time.Hour))

	small, err := h.Declare(ctx, "stf_ann", Declare{Title: "Slow search", Severity: "P2", Category: "performance", Impact: "Search is slow."})
	if err != nil {
		t.Fatal(err)
	}
	h.told("what is small", open())
	level := func(severity string) {
		t.Helper()
		if _, err := h.Amend(ctx, "stf_ann", small.ID, 0, Amend{Severity: &severity, Reason: "as it turns out"}); err != nil {
			t.Fatal(err)
		}
	}
	h.clock.Turn(5 * time.Hour)
	level("P1")
	if due := h.due(FirstWord + ChannelPage); len(due) != 1 || !due[0].Due.Equal(h.clock.Now().Add(30*time.Minute)) {
		t.Errorf("what became grave: %+v", due)
	}
	level("P3")
	h.told("and was not", open())
}

// PreviewFirstNotice is what a first notice would say.
func (r *Room) PreviewFirstNotice(ctx context.Context, incident string, n FirstNotice, channel, locale string) (templates.Rendered, error) {
	var says templates.Update
	err := r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		figures, err := r.ledger(tx, in.ID, in.Value)
		says = r.saying("", Update{Number: in.Value.LastUpdate + 1, First: true, Statement: firstStatement(in.Value, n)}, in.Value, figures)
		return err
	})
	if err != nil {
		return templates.Rendered{}, err
	}
	return r.render(channel, locale, says)
}
