package comms

import (
	"context"
	"testing"
	"time"

	"lifeline/templates"
)

func TestUptimeIsWhatWasPublished(t *testing.T) {
	now := time.Date(2022, 4, 10, 12, 0, 0, 0, time.UTC)
	hit := func(severity string, from, lasts time.Duration) PublicIncident {
		in := PublicIncident{Incident: templates.Incident{Severity: severity, Started: now.Add(from)}, State: Resolved, Products: []string{" wiki "}}
		end := now.Add(from + lasts)
		in.Resolved = &end
		if lasts == 0 {
			in.State, in.Resolved = Open, nil
		}
		return in
	}
	graver := func(in PublicIncident, was string, until time.Duration) PublicIncident {
		in.Levels = []LevelWas{{was, now.Add(until)}}
		return in
	}
	whole := (UptimeDays-1)*24*time.Hour + 12*time.Hour
	for name, c := range map[string]struct {
		shown   []PublicIncident
		percent string
		worst   map[int]string // by days ago
	}{
		"nothing happened":                 {nil, "100.00", nil},
		"one second is no hundred":         {[]PublicIncident{hit("P0", -48*time.Hour, time.Second)}, "99.99", map[int]string{2: "major_outage"}},
		"it counts from its begin":         {[]PublicIncident{hit("P1", -time.Hour, 0)}, upPercent(whole, time.Hour), map[int]string{0: "partial_outage"}},
		"what overlaps counts once":        {[]PublicIncident{hit("P0", -50*time.Hour, 2*time.Hour), hit("P1", -51*time.Hour, 4*time.Hour)}, upPercent(whole, 4*time.Hour), map[int]string{2: "major_outage"}},
		"slowness is shown, and no outage": {[]PublicIncident{hit("P2", -24*time.Hour, time.Hour)}, "100.00", map[int]string{1: "degraded_performance"}},
		"what is older is not counted":     {[]PublicIncident{hit("P0", -100*24*time.Hour, 24*time.Hour)}, "100.00", nil},
		"each severity for its own time":   {[]PublicIncident{graver(hit("P0", -50*time.Hour, 4*time.Hour), "P3", -48*time.Hour)}, upPercent(whole, 2*time.Hour), map[int]string{2: "major_outage"}},
		"raised after its end":             {[]PublicIncident{graver(hit("P0", -50*time.Hour, 2*time.Hour), "P2", -time.Hour)}, "100.00", map[int]string{2: "degraded_performance"}},
		"over midnight":                    {[]PublicIncident{hit("P0", -13*time.Hour, 2*time.Hour)}, upPercent(whole, 2*time.Hour), map[int]string{0: "major_outage", 1: "major_outage"}},
	} {
		u := uptime("Wiki", c.shown, now)
		if u.Percent != c.percent || len(u.Days) != UptimeDays {
			t.Errorf("%s: %s over %d days, want %s", name, u.Percent, len(u.Days), c.percent)
		}
		for i, d := range u.Days {
			want := c.worst[UptimeDays-1-i]
			if want == "" {
				want = "operational"
			}
			if d.Status != want {
				t.Errorf("%s: %s was %s, want %s", name, d.Date.Format(time.DateOnly), d.Status, want)
			}
		}
	}
	if other := uptime("Billing", []PublicIncident{hit("P0", -time.Hour, 0)}, now); other.Percent != "100.00" {
		t.Errorf("another component's record: %s", other.Percent)
	}
}

// A grave incident is on the page by its declaration where the policy says so, without a word of the declarer's; others wait for the first word.
func TestAGraveIncidentIsOnThePageAtOnce(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	declare := func(severity, category string) {
		t.Helper()
		_, err := h.Declare(ctx, "stf_ann", Declare{Title: "The secret codename", Severity: severity, Category: category, Impact: "unread words"})
		if err != nil {
			t.Fatal(err)
		}
	}
	declare("P1", "availability")
	if p, err := h.Public(ctx); err != nil || len(p.Incidents) != 0 {
		t.Errorf("without the policy's word: %+v, %v", p.Incidents, err)
	}
	h.Policy.PageEntry = []string{"P0", "P1"}
	declare("P3", "availability")
	declare("P0", "security")
	p, err := h.Public(ctx)
	if err != nil || len(p.Incidents) != 1 {
		t.Fatalf("%+v, %v", p.Incidents, err)
	}
	got := p.Incidents[0]
	if got.Severity != "P1" || got.Title != "An incident is being investigated" || got.Impact != "" || got.Updates != nil || got.Category != "availability" || got.Detected.IsZero() {
		t.Errorf("%+v", got)
	}
	declare("P0", "availability")
	if now, err := h.Edition(ctx); err != nil || now == p.Edition {
		t.Errorf("pages are not written anew when an incident comes onto them: %d, %v", now, err)
	}
	if h.Policy.PageEntry = []string{"P7"}; h.Policy.Check() == nil {
		t.Error("a severity that is none was taken")
	}
}
