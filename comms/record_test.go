package comms

import (
	"context"
	"encoding/csv"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store/fault"
	"lifeline/templates"
)

// moment is one line of the record of a real outage: what was said or not said by then, and what Lifeline makes of it.
type moment struct {
	at    string // as the record has it, day or minute
	event string // words of the line
	clock string // when it is replayed, where the record gives a day only

	raised  []string                                                 // what was owed and passed since the moment before: somebody more was told
	late    []string                                                 // what stands on the board as late, where everybody was told before
	says    func(h house, s templates.Statement) templates.Statement // what the record said then; nil: nothing, or to others
	missing string                                                   // a field without which it is refused, as the record had it
	found   string                                                   // what is found in it
}

// record reads the lines of an outage.
func record(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// replays walks the moments of a record: each stands in it, what passed unsaid until then was raised, and what said nothing was found out.
func (h house) replays(path, incident string, moments []moment) {
	h.Helper()
	ctx := context.Background()
	lines := record(h.T, path)
	seen := len(h.raisedOf(incident))
	for _, m := range moments {
		if !slices.ContainsFunc(lines, func(l []string) bool { return l[0] == m.at && strings.Contains(strings.Join(l, " "), m.event) }) {
			h.Errorf("%s %q is not in the record", m.at, m.event)
		}
		if m.clock == "" {
			m.clock = m.at
		}
		at, err := time.Parse(time.RFC3339, m.clock)
		if err != nil {
			h.Fatal(err)
		}
		for h.clock.Now().Before(at) { // as the clock of a server that looks again and again
			h.clock.Set(slices.MinFunc([]time.Time{h.clock.Now().Add(20 * time.Minute), at}, time.Time.Compare))
			if _, err := h.FireDeadlines(ctx, h.clock.Now()); err != nil {
				h.Fatal(err)
			}
		}
		raised := h.raisedOf(incident)
		got := slices.Compact(slices.Sorted(slices.Values(raised[seen:])))
		seen = len(raised)
		slices.Sort(m.raised)
		h.told(m.clock+": "+m.event, got, m.raised...)
		if len(m.raised) == 0 && len(m.late) > 0 {
			h.told(m.clock+" on the board", h.lateOf(incident), m.late...)
		}
		if m.says == nil {
			continue
		}
		s := m.says(h, h.said(func(s *templates.Statement) {
			s.Audience, s.Channels, s.NextUpdateBy.At = AudiencePublic, []string{ChannelPage}, h.clock.Now().Add(2*time.Hour)
		}))
		if m.missing != "" {
			as := s
			as.NextUpdateBy, as.Unknown = templates.Moment{}, nil
			_, _, err := h.Draft(ctx, "stf_ann", incident, as, nil)
			h.refused(err, fault.Invalid, m.missing)
		}
		u, found, err := h.Draft(ctx, "stf_ann", incident, s, nil)
		if err != nil {
			h.Fatal(err)
		}
		if m.found != "" && !slices.ContainsFunc(found, func(f Finding) bool { return f.Code == m.found }) {
			h.Errorf("%s %q: %s is not found: %+v", m.clock, m.event, m.found, found)
		}
		if len(errorsOf(found)) > 0 { // it says nothing, or what may not be said: it stays unsaid
			_, err := h.Approve(ctx, "stf_bob", u.ID)
			h.refused(err, fault.Invalid)
			continue
		}
		if _, err := h.Approve(ctx, "stf_bob", u.ID); err != nil {
			h.Fatal(err)
		}
		if _, err := h.Publish(ctx, "stf_ann", u.ID, PublishOptions{}); err != nil {
			h.Fatal(err)
		}
	}
}

// raisedOf are the words to readers that an incident owed and that passed unsaid, each as often as somebody was told.
func (h house) raisedOf(incident string) (what []string) {
	h.Helper()
	log, _, err := h.IncidentLog(context.Background(), incident, "", 200)
	if err != nil {
		h.Fatal(err)
	}
	for _, e := range log {
		sort, _, passed := strings.Cut(e.Value.Text, " was due at ")
		if e.Value.What == "deadline" && passed && word(sort) {
			what = append(what, sort)
		}
	}
	return what
}

// lateOf are the words to readers that an incident owes and that are late.
func (h house) lateOf(incident string) (what []string) {
	h.Helper()
	list, err := h.DueList(context.Background())
	if err != nil {
		h.Fatal(err)
	}
	for _, d := range list {
		if d.Incident == incident && word(d.What) && d.Due.Before(h.clock.Now()) {
			what = append(what, d.What)
		}
	}
	slices.Sort(what)
	return what
}

func word(sort string) bool {
	return sort == Silence || sort == NextUpdate || strings.HasPrefix(sort, FirstWord)
}

// climbs gives all words to readers one ladder, as an operator would.
func (h house) climbs() {
	for _, what := range []string{Silence, NextUpdate} {
		h.ladder(what, map[time.Duration]string{0: "owner@vendor.example", 30 * time.Minute: "standin@vendor.example", 2 * time.Hour: "management@vendor.example"})
	}
}

const (
	firstMail = FirstWord + ChannelEmail
	firstPage = FirstWord + ChannelPage
)

// In April 2022 the page was read by those who looked, nobody was written to for three days, and for days on end the same text stood there. Each such stretch
// raises what was owed, and each text that said nothing is found out.
func TestTheRecordOfApril2022IsHeard(t *testing.T) {
	h := anyHouse(t)
	h.climbs()
	in := h.declare() // 08:17, the incident is confirmed
	h.affect(in.ID, "S-1", "S-2", "S-3", "S-4")
	text := func(phase, headline, what string, mend ...func(*templates.Statement)) func(house, templates.Statement) templates.Statement {
		return func(_ house, s templates.Statement) templates.Statement {
			s.Phase, s.Headline, s.WhatHappened = phase, headline, what
			for _, m := range mend {
				m(&s)
			}
			return s
		}
	}
	repeated := text(Identified, "Repair is under way", "Some instances are in verification. Updates go through tickets, and the work goes on around the clock.")
	h.replays("../cmd/lifeline/april2022/april2022_timeline.csv", in.ID, []moment{
		{at: "2022-04-05T09:03:00Z", event: "investigating", missing: "next_update_by",
			says: text(Investigating, "We are investigating", "Some sites cannot be opened.")},
		{at: "2022-04-05T11:13:00Z", event: "root cause found", raised: []string{firstMail, NextUpdate}, missing: "unknown",
			says: text(Identified, "The root cause is found", "A fix is under way.")},
		{at: "2022-04-05", event: "promises more detail later", clock: "2022-04-05T20:00:00Z", raised: []string{firstMail, NextUpdate}, found: "promise_without_time",
			says: text(Identified, "Repair is under way", "Repair of the sites is under way. More details will be given on this page.")},
		{at: "2022-04-06T01:00:00Z", event: "Replies on the first tickets", raised: []string{NextUpdate}}, // to those alone who had managed to file one
		{at: "2022-04-06", event: "Same status-page text repeated", clock: "2022-04-06T08:00:00Z", says: repeated},
		{at: "2022-04-06", event: "Same status-page text repeated", clock: "2022-04-06T12:00:00Z", raised: []string{NextUpdate}, found: "nothing_new", says: repeated},
		{at: "2022-04-06", event: "no figures, no estimate, no new facts", clock: "2022-04-06T16:00:00Z", late: []string{firstMail, NextUpdate}, found: "nothing_new", says: repeated},
		{at: "2022-04-07T00:56:00Z", event: "First broad external message", late: []string{firstMail, NextUpdate}}, // on a social network; management knows since noon
		{at: "2022-04-08T01:50:00Z", event: "Apology e-mail",
			says: text(Identified, "We are sorry", "We deleted sites by mistake and are rebuilding them.", func(s *templates.Statement) { s.Channels = []string{ChannelEmail, ChannelPage} })},
		{at: "2022-04-12", event: "CTO post", clock: "2022-04-12T12:00:00Z", raised: []string{NextUpdate},
			says: text(Identified, "What happened and what comes", "A script deleted the sites of some customers. We hold all backups and rebuild in batches.")},
		{at: "2022-04-14", event: "About 53 % of customers restored", clock: "2022-04-14T12:00:00Z", raised: []string{NextUpdate}, found: "bare_share",
			says: text(Identified, "More sites are back", "About 53 % of customers are restored, the rest over the next two weeks.")},
		{at: "2022-04-18", event: "all affected customer sites are fully restored", clock: "2022-04-18T12:00:00Z", found: "sites_open",
			says: text(Resolved, "All sites are back", "All affected sites are restored.")},
	})
}

// In October 2023 nothing at all was said until all was over, nearly eight hours later, and then that no data is lost.
func TestTheRecordOfOctober2023IsHeard(t *testing.T) {
	h := anyHouse(t)
	h.climbs()
	h.clock.Set(time.Date(2023, 10, 23, 6, 7, 0, 0, time.UTC))
	in := h.declare()
	h.affect(in.ID, "S-1", "S-2", "S-3", "S-4")
	h.replays("testdata/october2023_timeline.csv", in.ID, []moment{
		{at: "2023-10-23T07:00:00Z", event: "plan changed"},
		{at: "2023-10-23T07:10:00Z", event: "restore from backup starts"},
		{at: "2023-10-23T11:00:00Z", event: "Data restore done", raised: []string{firstMail, firstPage, Silence}, found: "loss_denied",
			says: func(_ house, s templates.Statement) templates.Statement {
				s.WhatHappened = "The data is restored. No data was lost."
				return s
			}},
		{at: "2023-10-23T14:00:00Z", event: "Full service restored", late: []string{firstMail, firstPage, Silence}}, // management knows since ten
		{at: "2023-10-23", event: "Public notice", clock: "2023-10-23T15:00:00Z", missing: "next_update_by",
			says: func(_ house, s templates.Statement) templates.Statement {
				s.Headline, s.WhatHappened = "Service is back", "An upgrade tool took storage machines offline."
				return s
			}},
	})
	told := h.notices(templates.MsgDeadline)
	if last := told[len(told)-1].To[0].Address; last != "management@vendor.example" {
		t.Errorf("silence of eight hours ends at %s", last)
	}
}
