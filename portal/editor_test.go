package portal

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/templates"
)

// The editor's form takes what people type: lengths and times in their own way, and a ticked box in place of a magic word.
func TestTheEditorReadsWhatPeopleType(t *testing.T) {
	for text, want := range map[string]string{
		"5 min": "PT5M", "PT5M": "PT5M", "2h": "PT2H", "1 h 30 min": "PT1H30M", "1 day, 2 hours": "P1DT2H", "5 分钟": "PT5M", "1時間 30分": "PT1H30M", "90 Minutes": "PT1H30M", "1 小时": "PT1H", "0 min": "PT0S",
		"5": "5", "a while": "a while", "5 months": "5 months", "about 5 min": "about 5 min", "": "",
	} {
		if got := length(text); got != want {
			t.Errorf("the length %q is read as %q, not %q", text, got, want)
		}
	}
	for _, d := range []time.Duration{0, time.Second, 5 * time.Minute, 26*time.Hour + 90*time.Second} {
		if got := length(written(templates.Span(d))); got != templates.Span(d).String() {
			t.Errorf("%s is written %q and read back as %q", d, written(templates.Span(d)), got)
		}
	}
	for _, one := range []struct {
		name  string
		typed []string
		want  string
	}{
		{"affected.sites", []string{"", "not_known"}, "not_known"}, {"affected.sites", []string{"60"}, "60"}, {"affected.sites", []string{"not_known", "not_known"}, "not_known"},
		{"affected.sites", []string{"60", "not_known"}, "60\nnot_known"}, {"your_action", []string{"", "nothing"}, "nothing"}, {"your_action", []string{"Wait.\r\nThen look.", "nothing"}, "Wait.\nThen look."}, {"your_action", []string{"nothing", "Wait."}, "Wait."}, {"your_action", []string{"nothing", ""}, "nothing"},
		{"audience", []string{"account:", "A-1"}, "account:A-1"}, {"audience", []string{"affected", ""}, "affected"}, {"known", []string{"a\r\nb"}, "a\nb"},
	} {
		if got := formOf(url.Values{one.name: one.typed})[one.name]; got != one.want {
			t.Errorf("%s of %q is %q, not %q", one.name, one.typed, got, one.want)
		}
	}
	_, unread := comms.ParseStatement(formStatement(url.Values{"affected.sites": {"60", "not_known"}, "data_loss.at_most": {"a while"}, "next_update_by": {"2026-11-25 22:00", "none"}}))
	for _, f := range unread {
		if unreadable[f.Field] == "" {
			t.Errorf("%s, %q, has no sentence", f.Field, f.Reason)
		}
	}
	if len(unread) != 3 {
		t.Errorf("two values at odds and a length without a figure are read as %+v", unread)
	}
}

// A statement goes through the form unchanged, with what may stand in place of a number, a time or a text.
func TestAStatementGoesThroughTheForm(t *testing.T) {
	most := templates.Span(90 * time.Minute)
	s := templates.Statement{
		Phase: comms.Identified, Headline: "One", WhatHappened: "Two\nthree", YourAction: "nothing", Scope: templates.Scope{Products: []string{"A", "B"}, Regions: []string{"all"}, Text: "x"},
		Affected: templates.Affected{Who: "y", Sites: templates.Count{State: templates.CountUnknown}, Customers: templates.Known(7), Users: templates.Between(10, 50), OwnSites: "none", Status: "estimate", Confidence: "low"},
		Picture:  templates.Picture{SiteList: templates.Established{State: "partly", Confidence: "high"}}, LongBecause: []string{"d", "e"}, Apology: templates.ApologyStandard, SignedBy: "Ada Lind, CEO", WasNot: []string{"intent", "capacity"},
		Unaffected: true, Changed: map[string]string{templates.FigureSites: "f"},
		Timeline: templates.Timeline{Kind: "not_known", Confidence: "low", FullScopeBy: templates.Moment{Word: templates.NotKnown}},
		DataLoss: templates.DataLoss{Kind: "at_most", AtMost: &most, Confidence: "low"}, Known: []string{"a", "b"}, Unknown: []string{}, UnknownNone: true, Doing: []string{"c"},
		NextUpdateBy: templates.Moment{At: time.Date(2026, 11, 25, 22, 0, 0, 0, time.UTC)}, Audience: "account:A-1", Channels: []string{"email"}, Locales: []string{"en", "ja"},
	}
	form := url.Values{}
	for name, text := range statementForm(s) {
		typed, ticked := apart(name, text)
		form[name] = append([]string{typed}, ticked...)
	}
	got, unread := comms.ParseStatement(formStatement(form))
	if a, b := string(mustJSON(s)), string(mustJSON(got)); a != b || len(unread) > 0 {
		t.Errorf("%s\nbecame\n%s\n%+v", a, b, unread)
	}
}

// A line of the log is a sentence in each language; one of a form that is not known stands as it is.
func TestTheLogSpeaksInWords(t *testing.T) {
	set, err := templates.Load("")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct{ what, text, en string }{
		{"sites_moved", "7 handed_back, 1 lost", "7 sites handed back, 1 site lost"}, {"sites_moved", "7 eaten", "7 eaten"},
		{"published", "update 3, 60 people", "update 3 published to 60 people"}, {"approved", "update 3, 1 people", "update 3 approved for 1 person"},
		{"published_page_only", "update 3, 0 people", "update 3 published on the page only"}, {"drafted", "update 3", "update 3 drafted"}, {"retracted", "update 3: wrong: very", "update 3 retracted: wrong: very"},
		{"cohort", "old: 57 sites, 3 of them new", "cohort old: 57 sites, 3 of them new"}, {"cohort_closed", "old: all well", "cohort old closed: all well"}, {"integrity_passed", "old; hashes", "integrity check passed: old; hashes"},
		{"asked_approval", "update 2", "approval asked for update 2"}, {"read_by_second", "update 1", "update 1 read by a second person"}, {"declared", "P0 mass-loss", "declared as P0, mass-loss"}, {"affected_loaded", "60 added, 61 in all", "60 affected sites added, 61 in all"},
		{"state", "open → resolved: all back", "State: Open → Resolved (all back)"}, {"commander", "- → person:ada", "Commander: ada"},
		{"deadline", "next_update was due at 2022-04-05T11:00:00Z; rung 1 of 3, 2 told", "Next update promised was due 5 Apr 11:00 UTC; 2 people told"},
		{"deadline", "full_scope was due at 2022-04-05T11:00:00Z; no ladder, nobody told", "Full extent promised was due 5 Apr 11:00 UTC; 0 people told"},
		{"unkept", "command was due at 2022-04-05T08:22:00Z", "Somebody takes command was due 5 Apr 08:22 UTC and was not done by the end"},
		{"unheard_of", "1 2 3", "unheard_of 1 2 3"},
	} {
		e := entryAnswer{Entry: comms.Entry{What: one.what, Text: one.text}}
		if got := logLine(set.Catalog("en"), e); got != one.en {
			t.Errorf("%s %q is said as %q, not %q", one.what, one.text, got, one.en)
		}
		for _, locale := range templates.StaffLocales() {
			if got := logLine(set.Catalog(locale), e); got == "" {
				t.Errorf("%s %q is nothing in %s", one.what, one.text, locale)
			}
		}
	}
}

// Every field of the editor has a name in every language.
func TestEveryFieldOfTheEditorHasAName(t *testing.T) {
	set, err := templates.Load("")
	if err != nil {
		t.Fatal(err)
	}
	for _, locale := range templates.StaffLocales() {
		var v editorView
		v.Words = set.Catalog(locale)
		for name := range statementFields {
			if in := v.Input(name); in.Label == "" || strings.Contains(in.Label+in.Hint, "⟦") {
				t.Errorf("%s: %s is called %q, with the hint %q", locale, name, in.Label, in.Hint)
			}
		}
	}
}
