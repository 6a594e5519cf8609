package comms

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/storetest"
	"lifeline/templates"
)

// house is a room on a real store, with a clock to turn and two customers: acme with S-1 to S-3, and bolt with S-4.
type house struct {
	*Room
	*testing.T
	clock *storetest.Dial
}

var outbreak = time.Date(2022, 4, 5, 8, 17, 0, 0, time.UTC)

var theWords = sync.OnceValues(func() (*templates.Set, error) { return templates.Load("") })

const theContacts = `account,account_id,site,site_id,name,role,email,phone,locale,confirmed_at
Acme,A-1,Acme one,S-1,Ann Lee,owner,ann@acme.example,+12025550101,en,2022-04-01
Acme,A-1,Acme two,S-2,Bo Chen,technical,bo@acme.example,,zh-CN,2022-04-01
Acme,A-1,Acme three,S-3,,,,,,
Bolt,A-2,Bolt,S-4,Dai Ito,billing,dai@bolt.example,,ja,2022-04-01
`

func houses(t *testing.T, story func(h house)) {
	t.Helper()
	clock := storetest.NewDial(outbreak)
	storetest.Each(t, townKinds(), func(t *testing.T, db *store.DB) { story(furnished(t, clock, db)) }, storetest.Clock(clock.Now))
}

// anyHouse is one on the embedded store, for what no engine could do otherwise.
func anyHouse(t *testing.T) house {
	t.Helper()
	clock := storetest.NewDial(outbreak)
	return furnished(t, clock, storetest.Open(t, townKinds(), storetest.Clock(clock.Now)))
}

func furnished(t *testing.T, clock *storetest.Dial, db *store.DB) house {
	t.Helper()
	clock.Set(outbreak)
	words, err := theWords()
	if err != nil {
		t.Fatal(err)
	}
	book := &contacts.Book{DB: db, Policy: contacts.DefaultPolicy(), Log: quiet()}
	policy := DefaultPolicy()
	policy.Internal = []Direct{{Channel: ChannelEmail, Address: "duty@vendor.example", Locale: "en"}}
	policy.Components = []ComponentPolicy{{Name: "Wiki", Group: "Cloud"}, {Name: "Issues", Group: "Cloud"}}
	h := house{T: t, clock: clock, Room: &Room{DB: db, Book: book, Words: words, Policy: policy, Log: quiet(),
		Vendor: templates.Vendor{Name: "Vendor", URL: "https://status.vendor.example", Support: "https://status.vendor.example/support"}}}
	h.load(theContacts)
	return h
}

func (h house) load(csv string) {
	h.Helper()
	report, err := h.Book.Import(context.Background(), "stf_test", strings.NewReader(csv), contacts.ImportOptions{Source: "billing", Format: contacts.FormatCSV})
	if err != nil || report.RejectedRows > 0 {
		h.Fatalf("import: %+v, %v", report, err)
	}
}

func (h house) declare() store.Rec[Incident] {
	h.Helper()
	in, err := h.Declare(context.Background(), "stf_ann", Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."})
	if err != nil {
		h.Fatal(err)
	}
	return in
}

func (h house) affect(incident string, ids ...string) AffectedReport {
	h.Helper()
	report, err := h.LoadAffected(context.Background(), "tok_auto", incident, CSV, strings.NewReader("site_id\n"+strings.Join(ids, "\n")), false)
	if err != nil {
		h.Fatal(err)
	}
	return report
}

func (h house) move(m Mover, incident string, lines ...string) MoveReport {
	h.Helper()
	report, err := h.MoveSites(context.Background(), m, incident, strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		h.Fatal(err)
	}
	return report
}

// said is a statement in which every field is filled.
func (h house) said(mend ...func(*templates.Statement)) templates.Statement {
	s := whole(h.clock.Now())
	for _, m := range mend {
		m(&s)
	}
	return s
}

// whole is a statement to which nothing is missing at a time.
func whole(now time.Time) templates.Statement {
	most := templates.Span(5 * time.Minute)
	return templates.Statement{
		Phase: Identified, Headline: "A script deleted sites", WhatHappened: "A maintenance script deleted the sites of some customers.", YourAction: "nothing",
		Scope:    templates.Scope{Products: []string{"Wiki"}, Regions: []string{"all"}, Text: "Sites in the cloud."},
		Affected: templates.Affected{Who: "A site that cannot be opened.", Sites: templates.Known(4), Customers: templates.Known(2), OwnSites: "not_counted", Status: "estimate", Confidence: "medium"},
		Timeline: templates.Timeline{Kind: "direction", Text: "days, not hours", Confidence: "low", FullScopeBy: templates.Moment{Word: notKnown}},
		DataLoss: templates.DataLoss{Kind: "at_most", AtMost: &most, Confidence: "medium"},
		Known:    []string{"The list of sites is held."}, Unknown: []string{"How long each site takes."},
		NextUpdateBy: templates.Moment{At: now.Add(time.Hour)}, Audience: AudienceAffected,
		Channels: []string{ChannelEmail, ChannelSMS, ChannelPage}, Locales: []string{"en", "zh-CN", "ja"},
	}
}

func (h house) draft(incident string, s templates.Statement) store.Rec[Update] {
	h.Helper()
	u, _, err := h.Draft(context.Background(), "stf_ann", incident, s, nil)
	if err != nil {
		h.Fatal(err)
	}
	return u
}

// say drafts, approves and publishes.
func (h house) say(incident string, s templates.Statement) store.Rec[Update] {
	h.Helper()
	u := h.draft(incident, s)
	if _, err := h.Approve(context.Background(), "stf_bob", u.ID); err != nil {
		h.Fatal(err)
	}
	u, err := h.Publish(context.Background(), "stf_ann", u.ID, PublishOptions{})
	if err != nil {
		h.Fatal(err)
	}
	return u
}

func (h house) refused(err error, kind fault.Kind, words ...string) {
	h.Helper()
	if fault.Of(err) != kind {
		h.Fatalf("%v is %q, not %q", err, fault.Of(err), kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			h.Errorf("%q does not say %q", err, w)
		}
	}
}

func (h house) view(fn func(*store.Tx) error) {
	h.Helper()
	if err := h.DB.View(context.Background(), fn); err != nil {
		h.Fatal(err)
	}
}

func (h house) notice(id string) (n Notice) {
	h.Helper()
	h.view(func(tx *store.Tx) (err error) { n, _, err = notices.Get(tx, id); return err })
	return n
}

// notices lists the notices of a name.
func (h house) notices(name string) (all []Notice) {
	h.Helper()
	h.view(func(tx *store.Tx) error {
		for rec, err := range notices.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if rec.Value.Name == name {
				all = append(all, rec.Value)
			}
		}
		return nil
	})
	return all
}

// due lists what is open of a sort.
func (h house) due(what string) (all []Deadline) {
	h.Helper()
	list, err := h.DueList(context.Background())
	if err != nil {
		h.Fatal(err)
	}
	for _, d := range list {
		if d.What == what {
			all = append(all, d.Deadline)
		}
	}
	return all
}

func (h house) logged(incident string) (what []string) {
	h.Helper()
	log, _, err := h.IncidentLog(context.Background(), incident, "", 0)
	if err != nil {
		h.Fatal(err)
	}
	for _, e := range log {
		what = append(what, e.Value.What)
	}
	return what
}

func (h house) verbs() (all []string) {
	h.Helper()
	h.view(func(tx *store.Tx) error {
		rows, _, err := store.AuditRows(tx, store.Query{})
		for _, row := range rows {
			all = append(all, row.Value.Verb)
		}
		return err
	})
	return all
}

func (h house) edition() int64 {
	h.Helper()
	n, err := h.Edition(context.Background())
	if err != nil {
		h.Fatal(err)
	}
	return n
}

func TestDeclaringNamesEveryMissingField(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		_, err := h.Declare(ctx, "stf_ann", Declare{})
		h.refused(err, fault.Invalid, "title is missing")
		if rec, err := h.Declare(ctx, "stf_ann", Declare{Title: "Something is odd"}); err != nil || rec.Value.Severity != "P3" || rec.Value.ClassifiedAt != nil {
			h.Errorf("not reviewed: %+v %v", rec.Value, err)
		} else if due, err := h.Promises(ctx, rec.ID); err != nil || len(due) != 2 || due[0].What != Classification || due[1].What != Silence {
			h.Errorf("nobody has to review it: %+v %v", due, err)
		}
		_, err = h.Declare(ctx, "stf_ann", Declare{Title: "a\r\nBcc: x", Severity: "P1", DetectedAt: outbreak.Add(time.Hour)})
		h.refused(err, fault.Invalid, "title holds the character U+000D", "category is missing", "detected_at lies ahead")
		_, err = h.Declare(ctx, "stf_ann", Declare{Title: "x", Severity: "P4", Category: "weather"})
		h.refused(err, fault.Invalid, "severity is \"P4\"", "category is \"weather\"")

		first, second := h.declare(), h.declare()
		if first.Value.Number != 2 || second.Value.Number != 3 || len(first.Value.Short) != 12 || strings.Trim(first.Value.Short, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			t := first.Value
			h.Errorf("%d %d %q", t.Number, second.Value.Number, t.Short)
		}
		if got := h.notices(templates.MsgDeclared); len(got) != 3 || got[0].To[0].Address != "duty@vendor.example" {
			h.Errorf("told inside: %+v", got)
		}
		for _, id := range []string{first.ID, first.Value.Short} {
			if rec, err := h.Incident(ctx, id); err != nil || rec.ID != first.ID {
				h.Errorf("by %s: %v, %v", id, rec.ID, err)
			}
		}
		page, next, err := h.Incidents(ctx, Open, "", 1)
		if err != nil || len(page) != 1 || page[0].ID != second.ID || next == "" {
			h.Fatalf("%v %q %v", page, next, err)
		}
		if page, next, err = h.Incidents(ctx, Open, next, 1); err != nil || len(page) != 1 || page[0].ID != first.ID || next == "" {
			h.Errorf("%v %q %v", page, next, err)
		}
	})
}

func TestSeverityChangesAreKeptInOrder(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in, err := h.Declare(ctx, "stf_ann", Declare{Title: "Slow", Severity: "P3"})
		if err != nil {
			h.Fatal(err)
		}
		p1, data := "P1", "data"
		_, err = h.Amend(ctx, "stf_bob", in.ID, 0, Amend{Severity: &p1})
		h.refused(err, fault.Invalid, "category is missing", "reason is missing")
		for _, s := range []string{"P1", "P0"} {
			h.clock.Turn(time.Minute)
			if in, err = h.Amend(ctx, "stf_bob", in.ID, in.Version, Amend{Severity: &s, Category: &data, Reason: "more reports"}); err != nil {
				h.Fatal(err)
			}
		}
		log, _, err := h.IncidentLog(ctx, in.ID, "", 0)
		if err != nil {
			h.Fatal(err)
		}
		var lines []string
		for _, e := range log {
			lines = append(lines, e.Value.By+" "+e.Value.What+" "+e.Value.Text)
		}
		want := []string{"stf_ann declared P3 ", "stf_bob severity P3 → P1: more reports", "stf_bob category - → data: more reports", "stf_bob severity P1 → P0: more reports"}
		if !slices.Equal(lines, want) {
			h.Errorf("log %q", lines)
		}
		if was := in.Value.Levels; len(was) != 2 || was[0].Severity != "P3" || was[1].Severity != "P1" || was[1].Until.Sub(was[0].Until) != time.Minute {
			h.Errorf("severities before: %+v", was)
		}
		_, err = h.Amend(ctx, "stf_bob", in.ID, 1, Amend{Title: &data})
		h.refused(err, fault.Stale)
		_, err = h.SetSecurity(ctx, "stf_sec", in.ID, "maybe", "")
		h.refused(err, fault.Invalid, "security_cause", "reason is missing")
		if in, err = h.SetSecurity(ctx, "stf_sec", in.ID, "ruled_out", "no foreign session"); err != nil || in.Value.Security != "ruled_out" {
			h.Errorf("%+v %v", in.Value, err)
		}
	})
}

func TestAnAffectedSetIsLoadedWholeOrNotAtAll(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		var bolt string
		h.view(func(tx *store.Tx) error {
			a, err := h.Book.Account(tx, "A-2")
			bolt = a.ID
			return err
		})
		wrong := "site_id,batch\nS-1,b1\nA-1,\n" + bolt + ",\nS-9,\n,\nS-2,x,y\n\"S-3\n"
		report, err := h.LoadAffected(ctx, "tok_auto", in.ID, CSV, strings.NewReader(wrong), false)
		h.refused(err, fault.Invalid, `line 3: site_id "A-1" "A-1" is the id of an account`, "line 4: site_id", "line 5: site_id \"S-9\" is unknown", "line 6: site_id is missing", "line 7: line", "line 8: line is not CSV")
		if len(report.Rejected) != 6 || report.Added != 0 || report.Rows != 7 {
			h.Errorf("%+v", report)
		}
		if f, err := h.Ledger(ctx, in.ID); err != nil || f.Sites.Total != 0 {
			h.Errorf("half loaded: %+v %v", f, err)
		}
		dry, err := h.LoadAffected(ctx, "tok_auto", in.ID, JSONLines, strings.NewReader(`{"site_id":"S-1"}`+"\n\n"+`{"site_id":"S-1"}`+"\n"+`{"site_id":7}`+"\n"+`{"site":"S-1"}`), true)
		if err != nil || dry.Added != 0 || len(dry.Rejected) != 2 || dry.Rejected[0].Line != 4 || dry.Rejected[1].Line != 5 || dry.Rejected[1].Field != "site" {
			h.Errorf("dry: %+v %v", dry, err)
		}
		was := h.edition()
		if got := h.affect(in.ID, "S-1", "S-2", "S-1"); got.Added != 2 || got.Unchanged != 1 || got.Total != 2 {
			h.Errorf("%+v", got)
		}
		if got := h.affect(in.ID, "S-1", "S-2", "S-3", "S-4"); got.Added != 2 || got.Unchanged != 2 || got.Total != 4 {
			h.Errorf("%+v", got)
		}
		if now := h.edition(); now != was+2 {
			h.Errorf("edition %d, then %d", was, now)
		}
		if _, err := h.LoadAffected(ctx, "tok_auto", in.ID, CSV, strings.NewReader("site_id\n"), false); fault.Of(err) != fault.Invalid {
			h.Errorf("an empty set: %v", err)
		}
		if _, err := h.LoadAffected(ctx, "tok_auto", in.ID, CSV, strings.NewReader("url\nx"), false); fault.Of(err) != fault.Invalid {
			h.Errorf("an unknown column: %v", err)
		}
	})
}

func TestTheLedgerCountsSitesAndCustomersApart(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		h.affect(in.ID, "S-1", "S-2", "S-3", "S-4")
		auto, boss := Mover{By: "tok_auto"}, Mover{By: "stf_boss", Finish: true}
		report := h.move(auto, in.ID,
			`{"site_id":"S-1","state":"rebuilt","batch":"b1","method":"new","by":"eng 7","restore_point":"2022-04-05T07:33:00Z"}`,
			`{"site_id":"S-2","state":"passed","reason":"looks fine"}`,
			`{"site_id":"S-3","state":"rebiult"}`,
			`not json`,
			`{"site_id":"S-4","state":"restoring","at":"2022-04-05T09:17:00Z"}`,
			`{"site_id":"A-1","state":"restoring"}`,
			`{"site_id":"S-9","state":"restoring"}`,
			`{"site_id":"S-4","state":"restoring"}`,
			`{"site_id":"S-4","state":"restoring"}`,
		)
		var codes []string
		for _, res := range report.Results {
			codes = append(codes, fmt.Sprintf("%d %s %s %s", res.Line, res.Result, res.Field, res.Code))
		}
		want := []string{"1 moved  ", "2 rejected state may_not_finish", "3 rejected state unknown_state", "4 rejected line wrong", "5 rejected at lies_ahead",
			"6 rejected site_id unknown_site", "7 rejected site_id unknown_site", "8 moved  ", "9 unchanged  "}
		if !slices.Equal(codes, want) || report.Moved != 2 || report.Unchanged != 1 || report.Rejected != 6 {
			h.Errorf("%q", codes)
		}
		h.clock.Turn(time.Hour)
		for _, site := range []string{"S-2", "S-3", "S-4"} {
			h.move(auto, in.ID, `{"site_id":"`+site+`","state":"rebuilt"}`)
		}
		h.move(boss, in.ID, `{"site_id":"S-4","state":"handed_back","reason":"r"}`) // skips the check
		h.move(boss, in.ID, `{"site_id":"S-4","state":"passed"}`)                   // no reason
		f, err := h.Ledger(ctx, in.ID)
		if err != nil || f.Sites.Rebuilt != 4 || f.Sites.Checked != 0 || f.Sites.Percent != "0.0" {
			h.Fatalf("%+v %v", f, err)
		}
		h.move(boss, in.ID, `{"site_id":"S-4","state":"passed","reason":"seen by two"}`, `{"site_id":"S-4","state":"handed_back","reason":"customer said so on the phone"}`,
			`{"site_id":"S-1","state":"passed","reason":"seen by two"}`)
		f, err = h.Ledger(ctx, in.ID)
		if err != nil || f.Sites.Percent != "25.0" || f.Customers.Restored != 1 || f.Customers.Percent != "50.0" || f.Sites.Checked != 2 || f.Sites.Confirmed != 1 || !f.AsOf.Equal(h.clock.Now()) {
			h.Errorf("%+v %v", f, err)
		}
		closed := Closed
		_, err = h.Amend(ctx, "stf_boss", in.ID, 0, Amend{State: &closed, Reason: "done"})
		h.refused(err, fault.Conflict, "3 are not", "Acme")
		h.clock.Turn(73 * time.Hour) // silence
		f, _ = h.Ledger(ctx, in.ID)
		if f.Sites.NoAnswer != 1 || f.Sites.Restored != 2 || f.Sites.Percent != "50.0" || f.Sites.Confirmed != 1 {
			h.Errorf("%+v", f)
		}
		forecast, err := h.Forecast(ctx, in.ID)
		if err != nil {
			h.Fatal(err)
		}
		counts := map[SiteQuery]int{{Reached: Rebuilt}: f.Sites.Rebuilt, {Reached: Passed}: f.Sites.Checked, {Reached: HandedBack}: f.Sites.Restored, {State: HandedBack}: f.Sites.ByState[HandedBack], {Whole: true}: 1}
		for _, p := range forecast.Phases {
			counts[SiteQuery{Phase: p.Phase}] = p.Sites
		}
		for q, n := range counts { // a figure opens what it counts
			if page, _, err := h.Sites(ctx, in.ID, q); err != nil || len(page) != n {
				h.Errorf("%+v lists %d sites and is counted as %d: %v", q, len(page), n, err)
			}
		}
		if course, err := h.Course(ctx, in.ID); err != nil || len(course) == 0 || course[len(course)-1].Sites != f.Sites.Restored {
			h.Errorf("%+v %v", course, err)
		}
		page, _, err := h.Sites(ctx, in.ID, SiteQuery{Whole: true}) // Bolt's one
		if err != nil || len(page) != 1 {
			h.Fatalf("%v %v", page, err)
		}
		row := page[0].Value
		var states []string
		for _, m := range row.History {
			states = append(states, m.State)
		}
		if !slices.Equal(states, []string{Lost, Restoring, Rebuilt, Passed}) || row.Reason != "customer said so on the phone" || row.By != "stf_boss" {
			h.Errorf("%+v", row)
		}
		h.move(boss, in.ID, `{"site_id":"S-4","state":"restoring","reason":"customer: pages are missing"}`)
		if f, _ = h.Ledger(ctx, in.ID); f.Customers.Restored != 0 || f.Sites.Restored != 1 {
			h.Errorf("reopened: %+v", f)
		}
	})
}

func TestCoverageNamesSitesThatNobodyCanBeToldAbout(t *testing.T) {
	houses(t, func(h house) {
		in := h.declare()
		h.affect(in.ID, "S-1", "S-2", "S-3", "S-4")
		c, err := h.Coverage(context.Background(), in.ID)
		if err != nil || c.Sites != 4 || c.Covered != 1 || len(c.Uncovered) != 3 {
			h.Fatalf("%+v %v", c, err)
		}
		reasons := map[string]string{}
		for _, u := range c.Uncovered {
			reasons[u.Customer+"/"+u.Name] = u.Reason
		}
		if want := map[string]string{"Acme/Acme two": NoApproved, "Acme/Acme three": NoApproved, "Bolt/Bolt": NoApproved}; !maps.Equal(reasons, want) {
			h.Errorf("%v", reasons)
		}
		h.load("account,account_id,name,role,email,confirmed_at\nBolt,A-2,Eve,owner,eve@bolt.example,2022-04-01\n")
		if c, err = h.Coverage(context.Background(), in.ID); err != nil || c.Covered != 2 {
			h.Errorf("%+v %v", c, err)
		}
	})
}

func TestAnUpdateTakesTwoPeopleAndSaysItOnce(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		h.affect(in.ID, "S-1", "S-2", "S-4")
		_, _, err := h.Draft(ctx, "stf_ann", in.ID, templates.Statement{}, nil)
		h.refused(err, fault.Invalid, "phase is missing", "affected.confidence is missing", "locales is missing")

		u, found, err := h.Draft(ctx, "stf_ann", in.ID, h.said(), nil)
		if err != nil || u.Value.Number != 1 || u.Version != 1 {
			h.Fatalf("%+v %v", u, err)
		}
		if !slices.ContainsFunc(found, func(f Finding) bool {
			return f.Code == "differs_from_ledger" && f.Level == LevelWarning && f.Field == "affected.sites"
		}) {
			h.Errorf("4 typed, 3 loaded: %+v", found)
		}
		text, people, err := h.Preview(ctx, u.ID, ChannelEmail, "en")
		if err != nil || people != 3 || !strings.Contains(text.Text, "0 of 3 sites") {
			h.Errorf("%d %v\n%s", people, err, text.Text)
		}
		_, err = h.Publish(ctx, "stf_ann", u.ID, PublishOptions{})
		h.refused(err, fault.Forbidden, "second person")
		_, err = h.Approve(ctx, "stf_ann", u.ID)
		h.refused(err, fault.Forbidden)
		if _, err := h.Approve(ctx, "stf_bob", u.ID); err != nil {
			h.Fatal(err)
		}
		if u, _, err = h.Edit(ctx, "stf_ann", u.ID, u.Version, h.said(func(s *templates.Statement) { s.Headline = "Another headline" }), nil); err != nil {
			h.Fatal(err)
		}
		_, err = h.Publish(ctx, "stf_ann", u.ID, PublishOptions{})
		h.refused(err, fault.Forbidden, "second person") // the change voided it
		_, err = h.Approve(ctx, "stf_bob", u.ID)
		if err != nil {
			h.Fatal(err)
		}
		if given, err := h.Approvals(ctx, u.ID); err != nil || len(given) != 1 || given[0].People != 3 {
			h.Errorf("%+v %v", given, err)
		}
		was := h.edition()
		if u, err = h.Publish(ctx, "stf_ann", u.ID, PublishOptions{}); err != nil {
			h.Fatal(err)
		}
		v := u.Value
		if v.State != Published || v.People != 3 || v.Figures == nil || v.Figures.Sites.Total != 3 || v.Digest == "" || !v.PublishedAt.Equal(h.clock.Now()) {
			h.Errorf("%+v", v)
		}
		n := h.notice(v.Notice)
		if n.Update != u.ID || n.Audience != AudienceAffected || !slices.Equal(n.Channels, []string{ChannelEmail, ChannelSMS}) || n.Lane != LaneBroadcast {
			h.Errorf("%+v", n)
		}
		if due := h.due(NextUpdate); len(due) != 1 || due[0].Of != in.ID || !due[0].Due.Equal(h.clock.Now().Add(time.Hour)) {
			h.Errorf("%+v", due)
		}
		if now := h.edition(); now <= was {
			h.Error("the page did not move")
		}
		rec, _ := h.Incident(ctx, in.ID)
		if rec.Value.Phase != Identified || rec.Value.FirstNoticeAt == nil {
			h.Errorf("%+v", rec.Value)
		}
		_, err = h.Publish(ctx, "stf_ann", u.ID, PublishOptions{})
		h.refused(err, fault.Conflict, "published")
		if !slices.Contains(h.verbs(), "update.publish") || !slices.Contains(h.logged(in.ID), "published") {
			h.Error("no trace")
		}
		// Figures stay as they were said, and the ledger moves on.
		h.move(Mover{By: "tok_auto"}, in.ID, `{"site_id":"S-1","state":"rebuilt"}`)
		facts, err := h.Facts(ctx, u.ID)
		if err != nil || facts.Restored.Sites.Rebuilt != 0 || facts.Number != 1 || facts.Incident.ID != in.Value.Short {
			h.Errorf("%+v %v", facts, err)
		}
	})
}

func TestNothingNewIsNotSaidTwice(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		h.say(in.ID, h.said())
		h.clock.Turn(30 * time.Minute)
		again := h.draft(in.ID, h.said())
		_, err := h.Approve(ctx, "stf_bob", again.ID)
		h.refused(err, fault.Invalid, "nothing that update 1 did not say")
		_, _, err = h.Edit(ctx, "stf_ann", again.ID, 0, h.said(func(s *templates.Statement) { s.NoChange = true }), nil)
		h.refused(err, fault.Invalid, "doing is missing")
		again, _, err = h.Edit(ctx, "stf_ann", again.ID, 0, h.said(func(s *templates.Statement) { s.NoChange, s.Doing = true, []string{"Restoring the second batch."} }), nil)
		if err != nil {
			h.Fatal(err)
		}
		if _, err := h.Approve(ctx, "stf_bob", again.ID); err != nil {
			h.Fatal(err)
		}
		if _, err := h.Publish(ctx, "stf_cat", again.ID, PublishOptions{}); err != nil {
			h.Fatal(err)
		}
		if due := h.due(NextUpdate); len(due) != 1 || !due[0].Due.Equal(h.clock.Now().Add(time.Hour)) {
			h.Errorf("one promise is open: %+v", due)
		}
		// What the ledger says is new, too.
		h.affect(in.ID, "S-1")
		h.say(in.ID, h.said())
	})
}

func TestAnOlderDraftIsNotPublishedBehindANewerUpdate(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		old := h.draft(in.ID, h.said())
		if _, err := h.Approve(ctx, "stf_bob", old.ID); err != nil {
			h.Fatal(err)
		}
		h.say(in.ID, h.said(func(s *templates.Statement) { s.Headline = "Newer" }))
		_, err := h.Publish(ctx, "stf_ann", old.ID, PublishOptions{})
		h.refused(err, fault.Conflict, "update 2 was published")
		old, _, err = h.Edit(ctx, "stf_ann", old.ID, 0, h.said(), nil)
		if err != nil || old.Value.Number != 3 {
			h.Errorf("%+v %v", old.Value, err)
		}
	})
}

func TestAnApprovalIsForAboutSoManyPeople(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		h.affect(in.ID, "S-1")
		u := h.draft(in.ID, h.said())
		if _, err := h.Approve(ctx, "stf_bob", u.ID); err != nil {
			h.Fatal(err)
		}
		h.load("account,account_id,name,role,email,confirmed_at\nAcme,A-1,New,owner,new@acme.example,2022-04-01\n")
		_, err := h.Publish(ctx, "stf_ann", u.ID, PublishOptions{})
		h.refused(err, fault.Conflict, "2 people", "approved again")
	})
}

func TestAP0GoesToThePageAloneWhenNobodyIsAwake(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		h.affect(in.ID, "S-1")
		u := h.draft(in.ID, h.said(func(s *templates.Statement) { s.NextUpdateBy.At = s.NextUpdateBy.At.Add(time.Hour) }))
		alone := PublishOptions{PageOnly: true}
		_, err := h.Publish(ctx, "stf_ann", u.ID, alone)
		h.refused(err, fault.Forbidden, "15m")
		h.clock.Turn(16 * time.Minute)
		_, err = h.Publish(ctx, "stf_bob", u.ID, alone)
		h.refused(err, fault.Forbidden, "only the author")
		if u, err = h.Publish(ctx, "stf_ann", u.ID, alone); err != nil {
			h.Fatal(err)
		}
		if !u.Value.Unread || !u.Value.PageOnly || u.Value.Notice != "" || len(h.notices("update")) != 0 {
			h.Errorf("%+v", u.Value)
		}
		p, err := h.Public(ctx)
		if err != nil || len(p.Incidents) != 1 || !p.Incidents[0].Updates[0].Unread {
			h.Fatalf("%+v %v", p, err)
		}
		if due := h.due(SecondReading); len(due) != 1 || due[0].Of != u.ID {
			h.Errorf("%+v", due)
		}
		_, err = h.ReadSecond(ctx, "stf_ann", u.ID)
		h.refused(err, fault.Forbidden)
		if u, err = h.ReadSecond(ctx, "stf_bob", u.ID); err != nil || u.Value.Unread || len(h.due(SecondReading)) != 0 {
			h.Errorf("%+v %v", u.Value, err)
		}
	})
}

func TestRetractingCorrectsThoseWhoGotIt(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		h.affect(in.ID, "S-1")
		h.say(in.ID, h.said())
		bad := h.say(in.ID, h.said(func(s *templates.Statement) {
			s.Phase, s.Headline, s.NextUpdateBy, s.Timeline.FullScopeBy = Resolved, "All is well", templates.Moment{Word: wordNone}, templates.Moment{Word: wordNone}
		}))
		if rec, _ := h.Incident(ctx, in.ID); rec.Value.State != Resolved || rec.Value.ResolvedAt == nil {
			h.Errorf("%+v", rec.Value)
		}
		if len(h.due(NextUpdate)) != 0 {
			h.Error("resolved, and yet something is promised")
		}
		_, err := h.Retract(ctx, "stf_cat", bad.ID, " ")
		h.refused(err, fault.Invalid, "reason is missing")
		fix, err := h.Retract(ctx, "stf_cat", bad.ID, "not true")
		if err != nil {
			h.Fatal(err)
		}
		if fix.Value.Corrects != 2 || fix.Value.Number != 3 || fix.Value.State != Published {
			h.Errorf("%+v", fix.Value)
		}
		if n := h.notice(fix.Value.Notice); n.Only != bad.Value.Notice || n.Update != fix.ID {
			h.Errorf("%+v", n)
		}
		if n := h.notice(bad.Value.Notice); n.State != StoppedHere {
			h.Errorf("the wrong words go on: %+v", n)
		}
		rec, _ := h.Incident(ctx, in.ID)
		if rec.Value.State != Open || rec.Value.Phase != Identified || rec.Value.ResolvedAt != nil {
			h.Errorf("%+v", rec.Value)
		}
		for _, channel := range []string{ChannelEmail, ChannelSMS, ChannelPage} {
			for _, locale := range templates.Locales() {
				if _, _, err := h.Preview(ctx, fix.ID, channel, locale); err != nil {
					h.Errorf("%s in %s: %v", channel, locale, err)
				}
			}
		}
		p, err := h.Public(ctx)
		if err != nil || len(p.Incidents[0].Updates) != 3 || !p.Incidents[0].Updates[1].Retracted || p.Incidents[0].Updates[0].Corrects != 2 {
			h.Errorf("%+v %v", p, err)
		}
		_, err = h.Retract(ctx, "stf_cat", bad.ID, "again")
		h.refused(err, fault.Conflict)
		_, err = h.Retract(ctx, "stf_cat", fix.ID, "again")
		h.refused(err, fault.Conflict, "itself a correction")
	})
}

// What a person made of an incident's state holds when a later update is taken back; a state that came of that update goes with it.
func TestRetractingLeavesWhatAPersonDecided(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	over := func(s *templates.Statement) {
		s.Phase, s.NextUpdateBy, s.Timeline.FullScopeBy = Resolved, templates.Moment{Word: wordNone}, templates.Moment{Word: wordNone}
	}
	for name, c := range map[string]struct {
		steps string // o: told to be over, i: told to be identified, O and R: opened and resolved by hand, x: the newest update is taken back
		state string
		phase string
	}{
		"opened by hand":                        {"oOix", Open, Investigating},
		"opened by hand, and told over":         {"oOox", Open, Investigating},
		"opened by hand, and both taken back":   {"oOioxx", Open, Investigating},
		"opened by the update":                  {"oix", Resolved, Resolved},
		"opened by the update, behind a hand":   {"oOoix", Resolved, Resolved},
		"resolved by hand":                      {"iRix", Resolved, Identified},
		"resolved by hand, with all taken back": {"iRx", Resolved, Investigating},
		"resolved by hand, and told over":       {"iRox", Resolved, Identified},
		"opened and resolved by hand":           {"oORix", Resolved, Resolved},
		"resolved by the update":                {"iox", Open, Identified},
	} {
		in := h.declare()
		h.affect(in.ID, "S-1")
		var said []string
		for at, step := range c.steps {
			h.clock.Turn(time.Second)
			news := func(s *templates.Statement) { s.WhatHappened = fmt.Sprintf("This is what we know as number %d.", at) }
			switch step {
			case 'o':
				said = append(said, h.say(in.ID, h.said(over, news)).ID)
			case 'i':
				said = append(said, h.say(in.ID, h.said(news)).ID)
			case 'O', 'R':
				state := map[rune]string{'O': Open, 'R': Resolved}[step]
				if _, err := h.Amend(ctx, "stf_ann", in.ID, 0, Amend{State: &state, Reason: "as we see it"}); err != nil {
					t.Fatal(err)
				}
			case 'x':
				if _, err := h.Retract(ctx, "stf_cat", said[len(said)-1], "not true"); err != nil {
					t.Fatal(err)
				}
				said = said[:len(said)-1]
			}
		}
		rec, err := h.Incident(ctx, in.ID)
		if v := rec.Value; err != nil || v.State != c.state || v.Phase != c.phase || (v.ResolvedAt == nil) != (c.state == Open) {
			t.Errorf("%s: %s, told %s, resolved at %v; want %s, %s (%v)", name, v.State, v.Phase, v.ResolvedAt, c.state, c.phase, err)
		}
	}
}

func TestACorrectionGoesToTheAddressesThatGotTheWrongWords(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		h.affect(in.ID, "S-1", "S-2", "S-4")
		u := h.say(in.ID, h.said())
		var to []recipient
		h.view(func(tx *store.Tx) error {
			n, _, err := notices.Get(tx, u.Value.Notice)
			if err != nil {
				return err
			}
			for pass := 1; pass <= 2; pass++ {
				after := ""
				for rc, err := range h.recipients(tx, n, pass, "", func() {}) {
					if err != nil {
						return err
					}
					if rc.Account < after {
						h.Error("accounts out of order")
					}
					after = rc.Account
					to = append(to, rc)
				}
			}
			for rc, err := range h.recipients(tx, n, 2, to[1].Account, func() {}) {
				if err != nil || rc.Contact != to[2].Contact {
					h.Errorf("behind the first account: %+v %v", rc, err)
				}
			}
			return nil
		})
		if len(to) != 3 || to[0].C.Name != "Ann Lee" || to[1].C.Name != "Bo Chen" || to[2].C.Name != "Dai Ito" {
			h.Fatalf("approved first, then by account: %+v", to)
		}
		// The outbox told Ann by mail, and failed with Bo.
		told := map[string]State{}
		err := h.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
			for i, rc := range to[:2] {
				state := []State{Sent, Failed}[i]
				key := deliveryKey{Notice: suffix(u.Value.Notice), Pass: i + 1, Account: suffix(rc.Account), Contact: suffix(rc.Contact), Channel: ChannelEmail}
				told[key.String()] = state
				if err := records.Put(tx, key.String(), Delivery{Channel: ChannelEmail, Address: rc.C.Emails[0].Value, Locale: "ja", State: state}, 0); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			h.Fatal(err)
		}
		fix, err := h.Retract(ctx, "stf_cat", u.ID, "not true")
		if err != nil {
			h.Fatal(err)
		}
		var got []recipient
		h.view(func(tx *store.Tx) error {
			n, _, err := notices.Get(tx, fix.Value.Notice)
			if err != nil {
				return err
			}
			for pass := 1; pass <= 2; pass++ {
				for rc, err := range h.recipients(tx, n, pass, "", func() {}) {
					if err != nil {
						return err
					}
					got = append(got, rc)
				}
			}
			return nil
		})
		if len(got) != 1 || got[0].Contact != to[0].Contact || len(got[0].Got) != 1 || got[0].Got[0].Address != "ann@acme.example" || got[0].Got[0].Locale != "ja" {
			h.Errorf("%+v", got)
		}
	})
}

func TestTheFirstNoticeTakesOnePersonOnApprovedWords(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		n := FirstNotice{Products: []string{"Wiki"}, NextUpdateBy: templates.Moment{At: h.clock.Now().Add(time.Hour)}}
		_, err := h.FirstNotice(ctx, "stf_ann", in.ID, n)
		h.refused(err, fault.Forbidden, "2 persons and has 0")
		if _, err := h.ApproveFirstNotice(ctx, "stf_ann"); err != nil {
			h.Fatal(err)
		}
		if _, err := h.ApproveFirstNotice(ctx, "stf_ann"); fault.Of(err) != fault.Conflict && fault.Of(err) != fault.Exists {
			h.Errorf("one person twice: %v", err)
		}
		if ready, by, err := h.FirstNoticeReady(ctx); err != nil || ready || !slices.Equal(by, []string{"stf_ann"}) {
			h.Errorf("%v %v %v", ready, by, err)
		}
		if _, err := h.ApproveFirstNotice(ctx, "stf_bob"); err != nil {
			h.Fatal(err)
		}
		_, err = h.FirstNotice(ctx, "stf_ann", in.ID, FirstNotice{})
		h.refused(err, fault.Invalid, "products is missing", "next_update_by is missing")
		for _, channel := range []string{ChannelEmail, ChannelSMS, ChannelPage} {
			for _, locale := range templates.Locales() {
				if out, err := h.PreviewFirstNotice(ctx, in.ID, n, channel, locale); err != nil || strings.Contains(out.Text+out.HTML, notKnown) {
					h.Errorf("%s in %s: %v\n%s", channel, locale, err, out.Text+out.HTML)
				}
			}
		}
		u, err := h.FirstNotice(ctx, "stf_ann", in.ID, n)
		if err != nil {
			h.Fatal(err)
		}
		s := u.Value.Statement
		if !u.Value.Unread || !u.Value.First || s.Headline != "Sites deleted" || s.DataLoss.Kind != notKnown || s.Affected.Sites.State != templates.CountUnknown || u.Value.Number != 1 {
			h.Errorf("%+v", u.Value)
		}
		if len(h.due(SecondReading)) != 1 || len(h.due(NextUpdate)) != 1 || len(h.notices("update")) != 1 || len(h.notices(templates.MsgSecondReading)) != 1 {
			h.Error("promises and notices")
		}
		_, err = h.FirstNotice(ctx, "stf_ann", in.ID, n)
		h.refused(err, fault.Conflict, "write an update")
		if _, err := h.ReadSecond(ctx, "stf_bob", u.ID); err != nil {
			h.Fatal(err)
		}
		h.Vendor.Name = "Other"
		if ready, _, _ := h.FirstNoticeReady(ctx); ready {
			h.Error("another vendor's name, and still approved")
		}
	})
}

func TestThePageShowsWhatEverybodyMayRead(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		silent, in := h.declare(), h.declare()
		h.affect(in.ID, "S-1")
		h.say(in.ID, h.said(func(s *templates.Statement) { s.Audience, s.Channels = AudienceInternal, []string{ChannelEmail} }))
		if p, err := h.Public(ctx); err != nil || len(p.Incidents) != 0 || len(p.Components) != 2 || p.Components[0].Status != "operational" {
			h.Errorf("%+v %v", p, err)
		}
		internal := h.notices("update")
		if len(internal) != 1 || len(internal[0].To) != 1 {
			h.Errorf("%+v", internal)
		}
		h.say(in.ID, h.said())
		p, err := h.Public(ctx)
		if err != nil || len(p.Incidents) != 1 || len(p.Incidents[0].Updates) != 1 {
			h.Fatalf("%+v %v", p, err)
		}
		got := p.Incidents[0]
		if got.ID != in.Value.Short || got.Phase != Identified || got.Now == nil || got.Updates[0].Number != 2 || p.Edition != h.edition() {
			h.Errorf("%+v", got)
		}
		if p.Components[0].Name != "Wiki" || p.Components[0].Status != "major_outage" || len(p.Components[0].ID) != 12 || p.Components[1].Status != "operational" {
			h.Errorf("%+v", p.Components)
		}
		_ = silent
	})
}

func TestOneAccountIsTold(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		one := func(audience string) templates.Statement {
			return h.said(func(s *templates.Statement) { s.Audience, s.Channels = audience, []string{ChannelEmail} })
		}
		_, _, err := h.Draft(ctx, "stf_ann", in.ID, one("account:A-9"), nil)
		h.refused(err, fault.Invalid, "audience is unknown")
		_, _, err = h.Draft(ctx, "stf_ann", in.ID, one("cohort:x"), nil)
		h.refused(err, fault.Invalid, "names the cohort \"x\", which the incident does not have")
		if c, err := h.CountAudience(ctx, in.ID, "account:A-1", []string{ChannelSMS}); err != nil || c.People != 1 || c.Unreachable != 1 || c.Customers != 1 {
			h.Errorf("%+v %v", c, err)
		}
		u := h.say(in.ID, one("account:A-1"))
		if u.Value.People != 2 || len(h.due(NextUpdate)) != 0 {
			h.Errorf("%+v", u.Value)
		}
		if rec, _ := h.Incident(ctx, in.ID); rec.Value.Phase != "" {
			h.Errorf("one account's word moved the incident: %+v", rec.Value)
		}
	})
}

func TestTypedTextIsKeptWhateverItIs(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		if _, err := h.Copy(ctx, in.ID); fault.Of(err) != fault.NotFound {
			h.Errorf("%v", err)
		}
		for _, text := range []string{`{"phase":"inv`, `[]`, `null`, `{"a":"` + strings.Repeat("x", MaxCopy) + `"}`} {
			if _, err := h.SaveCopy(ctx, "stf_ann", in.ID, json.RawMessage(text)); err == nil {
				h.Errorf("%.20s was kept", text)
			}
		}
		for _, text := range []string{`{"headline":"half"}`, `{"anything":[1,2]}`} {
			if _, err := h.SaveCopy(ctx, "stf_ann", in.ID, json.RawMessage(text)); err != nil {
				h.Fatal(err)
			}
			if c, err := h.Copy(ctx, in.Value.Short); err != nil || string(c.Text) != text || c.By != "stf_ann" {
				h.Errorf("%+v %v", c, err)
			}
		}
	})
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
