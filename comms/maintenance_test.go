package comms

import (
	"context"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

// A plan is said by two persons, told ahead to those who subscribed to its components, begins and ends by its window, and is held by a freeze.
func TestPlannedWorkIsToldAheadAndMovesByItsWindow(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.Policy.Components = []ComponentPolicy{{Name: "Wiki"}, {Name: "Billing"}}
	w.people(1)
	ctx := context.Background()
	w.subscribes(Subscribe{Channel: ChannelEmail, Address: "wiki@reader.example", Components: []string{componentID("", "Wiki")}})
	w.subscribes(Subscribe{Channel: ChannelEmail, Address: "wiki@leser.example", Components: []string{componentID("", "Wiki")}, Locale: "de"})
	w.subscribes(Subscribe{Channel: ChannelEmail, Address: "wiki@yomu.example", Components: []string{componentID("", "Wiki")}, Locale: "ja"})
	w.subscribes(Subscribe{Channel: ChannelEmail, Address: "billing@reader.example", Components: []string{componentID("", "Billing")}})
	start := w.clock.Now().Add(24 * time.Hour)
	work := Plan{PlanWords: PlanWords{Title: "Database upgrade", Text: "Pages cannot be edited for some minutes.", Translations: map[string]PlanText{"ja": {Title: "データベースの更新", Text: "数分間編集できません。"}}}, Components: []string{"Wiki"}, From: start, Until: start.Add(2 * time.Hour)}
	for field, mend := range map[string]func(*Plan){
		"title": func(p *Plan) { p.Title = "" }, "components": func(p *Plan) { p.Components = nil }, "components[0]": func(p *Plan) { p.Components = []string{"Moon"} },
		"locale": func(p *Plan) { p.Locale = "xx" }, "translations.en": func(p *Plan) { p.Translations = map[string]PlanText{"en": {Title: "a", Text: "b"}} },
		"translations.de.text": func(p *Plan) { p.Translations = map[string]PlanText{"de": {Title: "Datenbank"}} },
		"from":                 func(p *Plan) { p.From = w.clock.Now() }, "until": func(p *Plan) { p.Until = p.From },
	} {
		bad := work
		mend(&bad)
		if _, err := w.PlanMaintenance(ctx, "stf_sue", bad); fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	rec, err := w.PlanMaintenance(ctx, "stf_sue", work)
	if err != nil {
		t.Fatal(err)
	}
	public := func() (status, wiki string, edition int64) {
		p, err := w.Public(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Plans) > 0 {
			status = p.Plans[0].Status
		}
		return status, p.Components[0].Status, p.Edition
	}
	_, _, before := public()
	if status, _, _ := public(); status != "" {
		t.Errorf("a draft is public: %s", status)
	}
	if _, err := w.AgreeMaintenance(ctx, "stf_sue", rec.ID); fault.Of(err) != fault.Forbidden {
		t.Errorf("its author agreed: %v", err)
	}
	for range 2 { // twice changes nothing and tells nobody again
		if rec, err = w.AgreeMaintenance(ctx, "stf_bob", rec.ID); err != nil {
			t.Fatal(err)
		}
	}
	if status, wiki, edition := public(); status != PlanScheduled || wiki != "operational" || edition != before+1 {
		t.Errorf("%s, %s, edition %d after %d", status, wiki, edition, before)
	}
	mail := mails()
	w.start(outbox(w.Room, mail))
	told := func(address string) (subjects []string) {
		for _, m := range mail.all() {
			if m.To == address && strings.Contains(m.Subject, "aintenance") {
				subjects = append(subjects, m.Subject)
			}
		}
		return subjects
	}
	w.await("the mail ahead", func() bool { return len(told("wiki@reader.example")) == 1 })

	// It reads each in her language where somebody translated it, and says which version prevails.
	for address, want := range map[string][]string{
		"wiki@yomu.example":  {"データベースの更新", "数分間編集できません。", w.Words.Catalog("ja").T("update.prevails", "英語")},
		"wiki@leser.example": {"Database upgrade", "Pages cannot be edited", "auf Englisch geschrieben"},
	} {
		var read string
		w.await("the mail to "+address, func() bool {
			for _, m := range mail.all() {
				if m.To == address {
					read = m.Subject + m.Text
				}
			}
			return strings.Contains(read, want[0])
		})
		whole := strings.Join(strings.Fields(read), "") // lines are wrapped
		for _, say := range want {
			if !strings.Contains(whole, strings.Join(strings.Fields(say), "")) {
				t.Errorf("%s reads %q without %q", address, read, say)
			}
		}
	}

	// The window alone moves it.
	w.clock.Turn(24*time.Hour + time.Minute)
	if status, wiki, _ := public(); status != PlanInProgress || wiki != "under_maintenance" {
		t.Errorf("in its window: %s, %s", status, wiki)
	}
	w.clock.Turn(2 * time.Hour)
	if status, wiki, _ := public(); status != PlanCompleted || wiki != "operational" {
		t.Errorf("behind its window: %s, %s", status, wiki)
	}
	if _, err := w.TurnMaintenance(ctx, "stf_sue", rec.ID, MaintenanceCancelled, TurnWords{Reason: "late"}); fault.Of(err) != fault.Conflict {
		t.Errorf("what is over was cancelled: %v", err)
	}

	// A freeze refuses new plans and holds those that have not begun; it does not let them go on.
	work.From, work.Until = w.clock.Now().Add(time.Hour), w.clock.Now().Add(2*time.Hour)
	if rec, err = w.PlanMaintenance(ctx, "stf_sue", work); err == nil {
		_, err = w.AgreeMaintenance(ctx, "stf_bob", rec.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Freeze(ctx, "stf_ann", w.incident, true, "no changes while we restore"); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := public(); status != PlanHeld {
		t.Errorf("under a freeze it is %s", status)
	}
	held, err := w.PlannedWork(ctx, rec.ID)
	if turn := held.Value.Turns[len(held.Value.Turns)-1]; err != nil || strings.Contains(turn.Reason, "no changes while") || len(turn.Missing(held.Value.Locale)) > 0 {
		t.Errorf("why it is held: %+v, %v", turn, err)
	}
	for what, err := range map[string]error{
		"plan": func() error { _, err := w.PlanMaintenance(ctx, "stf_sue", work); return err }(),
		"resume": func() error {
			_, err := w.TurnMaintenance(ctx, "stf_sue", rec.ID, MaintenanceResumed, TurnWords{Reason: "it is safe"})
			return err
		}(),
	} {
		if fault.Of(err) != fault.Conflict || !strings.Contains(err.Error(), "frozen") {
			t.Errorf("%s under a freeze: %v", what, err)
		}
	}
	w.await("the word that it is held", func() bool { return len(told("wiki@reader.example")) == 3 })
	if _, err := w.Freeze(ctx, "stf_ann", w.incident, false, "all sites are back"); err != nil {
		t.Fatal(err)
	}
	w.clock.Turn(30 * time.Minute)
	if status, _, _ := public(); status != PlanHeld {
		t.Errorf("after the freeze it is %s", status)
	}
	if rec, err = w.TurnMaintenance(ctx, "stf_sue", rec.ID, MaintenanceResumed, TurnWords{Reason: "it is safe"}); err != nil || rec.Value.State(w.clock.Now()) != PlanScheduled {
		t.Errorf("it does not go on: %v", err)
	}
	why := TurnWords{Reason: "not needed", Translations: map[string]string{"en": "no need"}}
	if _, err = w.TurnMaintenance(ctx, "stf_sue", rec.ID, MaintenanceCancelled, why); fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "translations.en") {
		t.Errorf("a reason in the plan's own language twice: %v", err)
	}
	why.Translations = map[string]string{"ja": " 不要になりました。 "}
	if _, err = w.TurnMaintenance(ctx, "stf_sue", rec.ID, MaintenanceCancelled, why); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := public(); status != PlanCancelled {
		t.Errorf("cancelled it is %s", status)
	}
	w.await("the word that it is cancelled", func() bool { return len(told("wiki@reader.example")) == 5 })
	for address, want := range map[string][]string{ // the reason too in her language, or in the plan's, which the mail names
		"wiki@yomu.example":  {"理由：不要になりました。\n", w.Words.Catalog("ja").T("update.prevails", "英語")},
		"wiki@leser.example": {"Grund: not needed\n", "auf Englisch geschrieben"},
	} {
		w.await(want[0]+want[1]+" to "+address, func() bool {
			for _, m := range mail.all() {
				if m.To == address && strings.Contains(m.Text, want[0]) && strings.Contains(strings.Join(strings.Fields(m.Text), ""), strings.Join(strings.Fields(want[1]), "")) {
					return true
				}
			}
			return false
		})
	}
	if got := told("billing@reader.example"); got != nil {
		t.Errorf("who subscribed to another component was told %q", got)
	}
	var in Incident
	if err := w.DB.View(ctx, func(tx *store.Tx) (err error) { in, _, err = incidents.Get(tx, w.incident); return err }); err != nil || in.FrozenAt != nil {
		t.Errorf("still frozen: %v, %v", in.FrozenAt, err)
	}
}

func TestATurnFitsWhereAPlanStands(t *testing.T) {
	now := time.Date(2022, 4, 5, 9, 0, 0, 0, time.UTC)
	plan := func(from, until time.Duration, last string) Maintenance {
		m := Maintenance{SaidAt: now.Add(-day), From: now.Add(from), Until: now.Add(until)}
		if last != "" {
			m.Turns = []Turn{{What: last}}
		}
		return m
	}
	for _, c := range []struct {
		m     Maintenance
		state string
		may   string
	}{
		{plan(time.Hour, 2*time.Hour, ""), PlanScheduled, "held cancelled"},
		{plan(time.Hour, 2*time.Hour, MaintenanceHeld), PlanHeld, "resumed cancelled"},
		{plan(-time.Hour, 2*time.Hour, MaintenanceHeld), PlanHeld, "cancelled"},
		{plan(-time.Hour, time.Hour, ""), PlanInProgress, "ended"},
		{plan(-time.Hour, time.Hour, MaintenanceResumed), PlanInProgress, "ended"},
		{plan(-time.Hour, time.Hour, MaintenanceEnded), PlanCompleted, ""},
		{plan(-2*time.Hour, -time.Hour, ""), PlanCompleted, ""},
		{plan(time.Hour, 2*time.Hour, MaintenanceCancelled), PlanCancelled, ""},
		{Maintenance{From: now.Add(time.Hour)}, PlanDraft, ""},
	} {
		var may []string
		for _, what := range []string{MaintenanceHeld, MaintenanceResumed, MaintenanceCancelled, MaintenanceEnded} {
			if ok, why := c.m.may(what, now); ok {
				may = append(may, what)
			} else if why == "" {
				t.Errorf("%s is refused without a word", what)
			}
		}
		if c.m.State(now) != c.state || strings.Join(may, " ") != c.may {
			t.Errorf("%+v is %s and may be %v, want %s and %s", c.m, c.m.State(now), may, c.state, c.may)
		}
	}
}

// The least incident is told as the gravest is: a statement, a second person, the page and a mail.
func TestTheLeastIncidentIsToldByTheSameProcedure(t *testing.T) {
	h := anyHouse(t)
	in, err := h.Declare(context.Background(), "stf_ann", Declare{Title: "Icons are missing", Severity: "P3", Category: "availability", Impact: "Some icons are not shown."})
	if err != nil {
		t.Fatal(err)
	}
	h.say(in.ID, h.said())
	p, err := h.Public(context.Background())
	if err != nil || len(p.Incidents) != 1 || p.Incidents[0].Severity != "P3" || p.Incidents[0].Category != "availability" || len(h.notices("update")) != 1 {
		t.Errorf("%+v, %v", p.Incidents, err)
	}
}
