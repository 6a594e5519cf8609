package page

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/templates"
)

// What these tests publish: the incident of April 2022 at four moments.

var (
	morning  = time.Date(2022, 4, 5, 8, 17, 0, 0, time.UTC)
	tenth    = time.Date(2022, 4, 10, 13, 2, 0, 0, time.UTC)
	finished = time.Date(2022, 4, 18, 0, 0, 0, 0, time.UTC)
)

const sampleID = "k3v9x0q2m7ab"

func sampleVendor() templates.Vendor {
	return templates.Vendor{Name: "Example Cloud", URL: "https://status.example.com", Support: "https://status.example.com/support"}
}

// sampleWords are loaded once: loading rehearses every message in every language.
var sampleWords = sync.OnceValues(func() (*templates.Set, error) { return templates.Load("") })

// samplePress writes three languages, sampleWide all that there are.
func samplePress(t testing.TB, dir string) *Press {
	t.Helper()
	words, err := sampleWords()
	if err != nil {
		t.Fatalf("load the words: %v", err)
	}
	now := tenth.Add(4 * time.Minute)
	return &Press{few: []string{"en", "zh-CN", "ja"}, Words: words, Vendor: sampleVendor(), Dir: dir, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return now }}
}

func sampleWide(t testing.TB) *Press {
	t.Helper()
	p := samplePress(t, "")
	p.few = nil
	return p
}

func sampleComponents(bad ...string) []comms.Component {
	var out []comms.Component
	for i, c := range []struct{ name, group, about string }{
		{"Website", "", ""},
		{"Wiki", "Products", "Pages, search and attachments"},
		{"Issue tracker", "Products", ""},
		{"Service desk", "Products", ""},
		{"API", "Platform", ""},
		{"Sign-in", "Platform", ""},
	} {
		status := "operational"
		for _, b := range bad {
			if b == c.name {
				status = "major_outage"
			}
		}
		out = append(out, comms.Component{
			ID: shortID("component", c.name), Name: c.name, Group: c.group, Description: c.about, Status: status, Position: i + 1,
			Since: time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC), Uptime: sampleUptime(status), Kind: map[string]string{"Website": "website", "API": "api", "Sign-in": "supplier_software"}[c.name],
		})
	}
	return out
}

// sampleUptime is a record with a bad week behind it, ending in a state.
func sampleUptime(status string) comms.Uptime {
	u := comms.Uptime{Percent: "99.42"}
	for i := range comms.UptimeDays {
		d := comms.DayRecord{Date: tenth.AddDate(0, 0, i+1-comms.UptimeDays), Status: "operational"}
		switch {
		case i >= comms.UptimeDays-6:
			d.Status = status
		case i == 30:
			d.Status = "degraded_performance"
		case i == 31:
			d.Status = "partial_outage"
		}
		u.Days = append(u.Days, d)
	}
	return u
}

// sampleEmpty is a quiet day.
func sampleEmpty() comms.Public {
	return comms.Public{Edition: 1, AsOf: tenth, Components: sampleComponents()}
}

// sampleReports is a morning on which people write and nobody has looked yet.
func sampleReports() comms.Public {
	p := sampleEmpty()
	p.Reports = &comms.Reports{Since: tenth.Add(-20 * time.Minute), Said: tenth.Add(-10 * time.Minute)}
	return p
}

// sampleUnknown is the first notice: nobody knows anything yet.
func sampleUnknown() comms.Public {
	u := firstNotice()
	return comms.Public{
		Edition: 2, AsOf: morning.Add(25 * time.Minute), Components: sampleComponents("Wiki", "Issue tracker"),
		Incidents: []comms.PublicIncident{incidentOf("open", u)},
	}
}

// sampleRecovery is the middle: three updates, one of them taken back, figures from the ledger.
func sampleRecovery() comms.Public {
	in := incidentOf("open", sampleUpdates()...)
	now := figures(tenth.Add(2*time.Minute), 131, 120, 112, 8, 64)
	in.Now = &now
	in.Category = "data"
	in.Course = []comms.CoursePoint{{At: morning.Add(40 * time.Hour), Sites: 8, Customers: 3}, {At: tenth.Add(-24 * time.Hour), Sites: 61, Customers: 30}, {At: tenth, Sites: 112, Customers: 64}}
	in.Promises = []comms.Promised{{Update: 1, Due: morning.Add(103 * time.Minute), Kept: morning.Add(90 * time.Minute)},
		{Update: 6, Due: tenth.Add(-20 * time.Minute), Kept: tenth}, {Update: 7, Due: tenth.Add(3 * time.Hour)}}
	return comms.Public{Edition: 7, AsOf: tenth.Add(4 * time.Minute), Components: sampleComponents("Wiki", "Issue tracker"), Incidents: []comms.PublicIncident{in}, Plans: samplePlans(), Answers: sampleAnswers()}
}

// sampleResolved is the end.
func sampleResolved() comms.Public {
	last := sampleUpdates()[0]
	last.ID, last.Number, last.At, last.Unread, last.Corrects = "upd_01h0000000000000000000009", 9, finished, false, 0
	all := figures(finished, 883, 883, 883, 12, 775)
	last.Restored = &all
	s := &last.Statement
	s.Phase, s.Headline = "resolved", "All sites are back with their customers"
	s.WhatHappened = "A maintenance script deleted sites of active customers. Every site was restored and checked, and has been handed back."
	s.YourAction = "nothing"
	s.Affected.Sites, s.Affected.Customers, s.Affected.Status, s.Affected.Confidence = templates.Known(883), templates.Known(775), "final", "high"
	s.Timeline = templates.Timeline{Kind: "at", Earliest: &finished, Latest: &finished, Text: "done", Confidence: "high", FullScopeBy: templates.Moment{Word: "none"}}
	s.Known, s.Unknown, s.UnknownNone, s.Doing = []string{"All 883 sites are handed back."}, nil, true, []string{"A public review will follow."}
	s.NextUpdateBy = templates.Moment{Word: "none"}
	in := incidentOf("resolved", append([]templates.Update{last}, sampleUpdates()...)...)
	in.Resolved, in.Monitoring, in.Now = &finished, &tenth, &all
	return comms.Public{Edition: 9, AsOf: finished.Add(time.Hour), Components: sampleComponents(), Incidents: []comms.PublicIncident{in}}
}

// samplePlans are work that is held, under way, and over.
func samplePlans() []comms.PublicMaintenance {
	plan := func(short, title, status string, from time.Duration, turns ...comms.Turn) comms.PublicMaintenance {
		return comms.PublicMaintenance{Status: status, Updated: tenth, Maintenance: comms.Maintenance{Short: short, PlanWords: comms.PlanWords{Title: title, Text: "Pages cannot be edited for some minutes.", Locale: "en"},
			Components: []string{"API"}, From: tenth.Add(from), Until: tenth.Add(from + time.Hour), SaidAt: tenth.Add(-96 * time.Hour), Turns: turns}}
	}
	all := []comms.PublicMaintenance{
		plan("m00000000003", "Network cards", comms.PlanHeld, 48*time.Hour, comms.Turn{What: comms.MaintenanceHeld, At: tenth, By: "stf_ann", TurnWords: comms.TurnWords{Reason: "Changes are frozen.", Translations: map[string]string{"ja": "変更は凍結されています。"}}}),
		plan("m00000000002", "Database upgrade", comms.PlanInProgress, -10*time.Minute),
		plan("m00000000001", "Certificates", comms.PlanCompleted, -72*time.Hour),
	}
	all[2].Translations = map[string]comms.PlanText{"ja": {Title: "証明書の更新", Text: "数分間編集できません。"}}
	return all
}

// sampleAnswers are one that was put right, one that was withdrawn, both about the incident, and one about none.
func sampleAnswers() []comms.PublicAnswer {
	version := func(ago time.Duration, reason, question, text string, translations map[string]comms.TranslatedText) comms.AnswerSaid {
		return comms.AnswerSaid{At: tenth.Add(-ago), Author: "stf_ann", By: "stf_bob",
			AnswerWords: comms.AnswerWords{Locale: "en", Question: question, Text: text, Reason: reason, Translations: translations}}
	}
	gone := version(time.Hour, "We are looking into it again.", "Will all of my data be back?", "Yes.", nil)
	gone.Withdrawn = true
	return []comms.PublicAnswer{
		{Short: "q00000000001", Incident: sampleID, Said: []comms.AnswerSaid{
			version(2*time.Hour, "Some sites were missing from our list.", "Do I have to file a ticket?", "Only if your site is not named in our mail.\nWe restore it in any case.",
				map[string]comms.TranslatedText{"ja": {Question: "チケットは必要ですか。", Text: "メールにお客様のサイトの記載がない場合だけです。"}}),
			version(48*time.Hour, "", "Do I have to file a ticket?", "No, never.", nil),
		}},
		{Short: "q00000000002", Incident: sampleID, Said: []comms.AnswerSaid{gone, version(48*time.Hour, "", "Will all of my data be back?", "Yes.", nil)}},
		{Short: "q00000000003", Said: []comms.AnswerSaid{version(72*time.Hour, "", "Where do I read <b>the truth</b>?", "Here.", nil)}},
	}
}

func incidentOf(state string, updates ...templates.Update) comms.PublicIncident {
	newest := updates[0]
	return comms.PublicIncident{
		Incident: sampleIncident(), State: state, Phase: newest.Statement.Phase, Created: morning, Updated: newest.At,
		Products: newest.Statement.Scope.Products, Updates: updates,
	}
}

func sampleIncident() templates.Incident {
	return templates.Incident{
		ID: sampleID, Number: 41, Title: "Sites cannot be opened", Severity: "P0", Impact: "Customers cannot open their sites",
		Started: morning.Add(-44 * time.Minute), URL: "https://status.example.com/incidents/" + sampleID,
	}
}

func firstNotice() templates.Update {
	in := sampleIncident()
	unknown := templates.Count{State: templates.CountUnknown}
	return templates.Update{
		ID: "upd_01h0000000000000000000001", Number: 1, Incident: in, At: morning.Add(20 * time.Minute), FirstWord: true, Unread: true,
		Statement: templates.Statement{
			Phase: "investigating", Headline: "Some customers cannot open their sites", WhatHappened: "Since 07:33 UTC some sites answer with an error. We are looking for the cause.",
			YourAction: "nothing", Scope: templates.Scope{Products: []string{"Wiki", "Issue tracker"}, Regions: []string{"All regions"}, Text: "Wiki and issue tracker, in all regions"},
			Affected:     templates.Affected{Who: "a site that does not open, or opens empty", Sites: unknown, Customers: unknown, Status: "estimate", Confidence: "low"},
			Timeline:     templates.Timeline{Kind: "not_known", Confidence: "low", FullScopeBy: templates.Moment{Word: "not_known"}},
			DataLoss:     templates.DataLoss{Kind: "not_known", Confidence: "low"},
			Unknown:      []string{"how many sites", "the cause", "when they will be back", "whether data is lost"},
			Doing:        []string{"Two teams are looking for the cause."},
			NextUpdateBy: templates.Moment{At: morning.Add(103 * time.Minute)}, Audience: "public",
			Channels: []string{"email", "sms", "page"}, Locales: []string{"en", "zh-CN", "ja"},
		},
	}
}

// sampleUpdates are newest first: a correction, the update that it takes back, the first notice.
func sampleUpdates() []templates.Update {
	bound := templates.Span(5 * time.Minute)
	scopeBy := time.Date(2022, 4, 11, 12, 0, 0, 0, time.UTC)
	from, to := time.Date(2022, 4, 14, 0, 0, 0, 0, time.UTC), time.Date(2022, 4, 24, 0, 0, 0, 0, time.UTC)
	at := figures(tenth, 124, 112, 106, 6, 60)

	third := firstNotice()
	third.ID, third.Number, third.At, third.FirstWord, third.Unread = "upd_01h0000000000000000000003", 7, tenth, false, true
	third.Restored, third.Security, third.Pinned, third.Corrects = &at, "ruled_out", []string{"This was not a cyber attack."}, 6
	third.Statement = templates.Statement{
		Phase: "identified", Headline: "First sites are back; about two more weeks for the rest",
		WhatHappened: "A maintenance script deleted sites of active customers. It was given the ids of whole sites where it should have been given the ids of one old app. Nobody from outside was involved.",
		YourAction:   "Please leave your site's settings and domain as they are, and do not create a new site under the old name. We write to you before your site is handed back.",
		Technical:    "Restores run in batches of up to 60 sites. The site id, and with it every link, stays the same.",
		Scope:        templates.Scope{Products: []string{"Wiki", "Issue tracker"}, Regions: []string{"All regions"}, Text: "Wiki and issue tracker, in all regions"},
		Affected:     templates.Affected{Who: "a site that was deleted on 5 April and belonged to an active customer", Sites: templates.Known(883), Customers: templates.Known(775), Status: "final", Confidence: "high"},
		Timeline:     templates.Timeline{Kind: "range", Earliest: &from, Latest: &to, Text: "batches take four to five days each", Confidence: "medium", FullScopeBy: templates.Moment{At: scopeBy}},
		DataLoss:     templates.DataLoss{Kind: "at_most", AtMost: &bound, Text: "mostly none; a few customers lose up to five minutes before the deletion", Confidence: "medium"},
		Known:        []string{"Backups of every site exist and are readable.", "112 sites were checked by a person and work."},
		Unknown:      []string{"The exact day for each single site."},
		Doing:        []string{"Three teams restore around the clock.", "A faster method is being tested; it would save about a week."},
		NextUpdateBy: templates.Moment{At: tenth.Add(3 * time.Hour)}, Audience: "public",
		Channels: []string{"email", "sms", "page"}, Locales: []string{"en", "zh-CN", "ja"},
	}
	second := third
	second.ID, second.Number, second.At, second.Corrects, second.Unread, second.Retracted = "upd_01h0000000000000000000002", 6, tenth.Add(-time.Hour), 0, false, true
	second.Statement.Headline = "First sites are back; a few days for the rest"
	second.Statement.Affected.Sites = templates.Known(700)
	return []templates.Update{third, second, firstNotice()}
}

func figures(asOf time.Time, rebuilt, checked, restored, silent, customers int) templates.Figures {
	return templates.Figures{
		AsOf: asOf,
		Sites: templates.SiteFigures{
			Total: 883, Rebuilt: rebuilt, Checked: checked, Confirmed: restored - silent, NoAnswer: silent, Restored: restored,
			ByState: map[string]int{"lost": 883 - rebuilt, "rebuilt": rebuilt - checked, "passed": checked - restored, "handed_back": restored},
			Percent: percent(restored, 883),
		},
		Customers: templates.CustomerFigures{Total: 775, Restored: customers, Percent: percent(customers, 775)},
	}
}

func percent(n, of int) string { return fmt.Sprintf("%.1f", float64(n)*100/float64(of)) }

// hostile is a public state in which every free text tries to break out of its place.
func hostile() comms.Public {
	const evil = `</title></script><script>alert(1)</script>"'><img src=x onerror=alert(1)>&]]>` + "\u202e"
	p := sampleRecovery()
	in := &p.Incidents[0]
	in.Title = evil
	for i := range in.Updates {
		u := &in.Updates[i]
		u.Pinned = []string{evil}
		s := &u.Statement
		s.Headline, s.WhatHappened, s.YourAction, s.Technical, s.Scope.Text = evil, evil, evil, evil, evil
		s.Affected.Who, s.Timeline.Text, s.DataLoss.Text = evil, evil, evil
		s.Known, s.Unknown, s.Doing = []string{evil}, []string{evil}, []string{evil}
	}
	p.Components[1].Name, p.Components[1].Description, p.Components[1].Group = evil, evil, evil
	return p
}
