package page

import (
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/comms"
)

// planView is planned work in a list.
type planView struct {
	ID, Title, State, Tone, Components, Reason string
	From, Until                                time.Time
	Lines                                      []string
	In                                         string // the language of title and lines; "": the page's own
	ReasonIn                                   string // that of the reason
	Note                                       string // which version prevails; "": there is but this one
}

// recentPlans is how long planned work that is over stays on the first page.
const recentPlans = 2 * 24 * time.Hour

// plans are what a page shows of planned work: on the first page what is ahead or under way, soonest first, with what ended just now; else all of
// it, the latest first.
func (t tongue) plans(p comms.Public, first bool) (out []planView) {
	for _, m := range p.Plans {
		over := m.Status == comms.PlanCompleted || m.Status == comms.PlanCancelled
		if first && over && p.AsOf.Sub(m.Updated) > recentPlans {
			continue
		}
		out = append(out, t.planned(m))
	}
	if first {
		slices.Reverse(out)
	}
	return out
}

// planned is planned work in the words of a page.
func (t tongue) planned(m comms.PublicMaintenance) planView {
	words, in := m.In(t.locale)
	v := planView{ID: m.Short, Title: words.Title, In: t.foreign(in), State: t.words.T("page.plan." + m.Status), Tone: planTone(m.Status), Components: strings.Join(m.Components, ", "),
		From: m.From, Until: m.Until}
	several := len(m.Translations) > 0
	if n := len(m.Turns); n > 0 {
		last := m.Turns[n-1]
		several = several || len(last.Translations) > 0
		reason, in := last.In(t.locale, m.Locale)
		v.Reason, v.ReasonIn = reason, t.foreign(in)
	}
	v.Note = t.words.Versions(m.Locale, several, v.In != "" || v.Reason != "" && v.ReasonIn != "")
	for line := range strings.SplitSeq(words.Text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			v.Lines = append(v.Lines, line)
		}
	}
	return v
}

// planPath is where planned work stands for good.
func planPath(m comms.PublicMaintenance) string { return "/history#m-" + m.Short }

func planTone(status string) string {
	switch status {
	case comms.PlanHeld:
		return "warn"
	case comms.PlanCompleted, comms.PlanCancelled:
		return "good"
	}
	return "info"
}

// planStatus is where planned work stands in the words of the status API, which knows none for what is held or cancelled.
func planStatus(status string) string {
	switch status {
	case comms.PlanInProgress:
		return "in_progress"
	case comms.PlanCompleted, comms.PlanCancelled:
		return "completed"
	}
	return "scheduled"
}

// statusPlans are planned work for the status API, the latest window first.
func (r *printing) statusPlans(t tongue, pageID string, rows []statusComponent) []statusMaintenance {
	out := []statusMaintenance{}
	for _, m := range r.public.Plans {
		status, at := planStatus(m.Status), m.Updated
		words, _ := m.In(t.locale)
		row := statusMaintenance{
			statusIncident: statusIncident{ID: m.Short, Name: words.Title, Status: status, CreatedAt: statusTime(m.SaidAt), UpdatedAt: statusTime(at), Impact: "maintenance",
				Shortlink: strings.TrimSuffix(r.press.Vendor.URL, "/") + planPath(m), StartedAt: statusTime(m.From), PageID: pageID, Components: []statusComponent{}},
			ScheduledFor: statusTime(m.From), ScheduledUntil: statusTime(m.Until),
		}
		if status == "completed" {
			row.ResolvedAt = statusTimeOf(&at)
		}
		for _, c := range rows {
			if !c.Group && slices.Contains(m.Components, c.Name) {
				row.Components = append(row.Components, c)
			}
		}
		add := func(what, status, body string, at time.Time) {
			row.IncidentUpdates = append(row.IncidentUpdates, statusUpdate{ID: shortID("plan", m.Short+what+stamp(at)), Status: status, Body: body, IncidentID: m.Short,
				CreatedAt: statusTime(at), UpdatedAt: statusTime(at), DisplayAt: statusTime(at), DeliverNotifications: true})
		}
		if m.Status == comms.PlanInProgress || m.Status == comms.PlanCompleted { // what came by itself
			if m.Status == comms.PlanCompleted && m.Ended.IsZero() {
				add("until", "completed", t.words.T("page.plan.completed"), m.Until)
			}
			add("from", "in_progress", t.words.T("page.plan.in_progress"), m.From)
		}
		for _, turn := range slices.Backward(m.Turns) {
			became := map[string]string{comms.MaintenanceHeld: comms.PlanHeld, comms.MaintenanceCancelled: comms.PlanCancelled, comms.MaintenanceEnded: comms.PlanCompleted, comms.MaintenanceResumed: comms.PlanScheduled}[turn.What]
			reason, _ := turn.In(t.locale, m.Locale)
			add(turn.What, planStatus(became), t.words.T("label.colon", t.words.T("page.plan."+became))+reason, turn.At)
		}
		add("said", "scheduled", words.Text, m.SaidAt)
		slices.SortStableFunc(row.IncidentUpdates, func(a, b statusUpdate) int { return time.Time(b.CreatedAt).Compare(time.Time(a.CreatedAt)) })
		out = append(out, row)
	}
	return out
}

// factsPlan is planned work with all that is known of it.
type factsPlan struct {
	ID           string                    `json:"id"`
	Title        string                    `json:"title"`
	Text         string                    `json:"text"`
	Locale       string                    `json:"locale"` // of title, text and reasons; it prevails. "": it is not known
	Translations map[string]comms.PlanText `json:"translations"`
	State        string                    `json:"state"` // scheduled, held, in_progress, completed, cancelled
	Components   []string                  `json:"components"`
	From         time.Time                 `json:"from"`
	Until        time.Time                 `json:"until"`
	SaidAt       time.Time                 `json:"said_at"`
	UpdatedAt    time.Time                 `json:"updated_at"`
	Turns        []factsTurn               `json:"turns"`
}

type factsPlans struct {
	Items []factsPlan `json:"items"`
	Next  string      `json:"next"`
}

type factsTurn struct {
	What         string            `json:"what"`
	At           time.Time         `json:"at"`
	Reason       string            `json:"reason"`
	Translations map[string]string `json:"translations"` // of the reason
}

func factsPlanOf(m comms.PublicMaintenance) factsPlan {
	out := factsPlan{ID: m.Short, Title: m.Title, Text: m.Text, Locale: m.Locale, Translations: maps.Clone(m.Translations), State: m.Status, Components: present(m.Components), From: m.From, Until: m.Until, SaidAt: m.SaidAt, UpdatedAt: m.Updated,
		Turns: []factsTurn{}}
	if out.Translations == nil {
		out.Translations = map[string]comms.PlanText{}
	}
	for _, turn := range m.Turns { // who did it stays inside
		others := maps.Clone(turn.Translations)
		if others == nil {
			others = map[string]string{}
		}
		out.Turns = append(out.Turns, factsTurn{turn.What, turn.At, turn.Reason, others})
	}
	return out
}
