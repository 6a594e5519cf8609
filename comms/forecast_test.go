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

// Two methods side by side: each has its own pace, a batch under way takes what batches take, and the last date has the checks and the customers in it.
func TestWhenSitesAreToBeExpectedBack(t *testing.T) {
	now := time.Date(2022, 4, 10, 12, 0, 0, 0, time.UTC)
	ago := func(h float64) time.Time { return now.Add(-time.Duration(h * float64(time.Hour))) }
	row := func(method, batch, state string, at float64, was ...Move) Row {
		return Row{Method: method, Batch: batch, State: state, At: ago(at), History: was}
	}
	began, rebuilt, passed := func(h float64) Move { return Move{State: Restoring, At: ago(h)} }, func(h float64) Move { return Move{State: Rebuilt, At: ago(h)} }, func(h float64) Move { return Move{State: Passed, At: ago(h)} }
	all := []Row{
		row("70 steps", "1", HandedBack, 2, began(20), rebuilt(10), passed(8)),
		row("70 steps", "1", Passed, 6, began(19), rebuilt(10)),
		row("70 steps", "2", Restoring, 3),
		row("30 steps", "3", Rebuilt, 1, began(4)),
		row("30 steps", "3", Rebuilt, 1, began(4)),
		row("30 steps", "3", Lost, 4),
		row("30 steps", "4", FailedSite, 1, began(4), rebuilt(2)),
	}
	headways := func(all []Row) (out []headway) {
		for _, w := range all {
			out = append(out, w.headway())
		}
		return out
	}
	f := forecast(headways(all), now, 72*time.Hour)
	hours := func(what string, at *time.Time, want float64) {
		t.Helper()
		if at == nil || at.Sub(now).Round(time.Minute) != time.Duration(want*float64(time.Hour)).Round(time.Minute) {
			t.Errorf("%s: %v, want in %.1f h", what, at, want)
		}
	}
	if len(f.Methods) != 2 || f.Methods[0].Method != "30 steps" || f.Methods[0].Left != 2 || f.Methods[0].Done != 2 || f.Methods[0].PerHour != 0.5 || f.Methods[1].PerHour != 0.1 || f.Methods[1].Batch != 10*3600 {
		t.Fatalf("%+v", f.Methods)
	}
	hours("30 steps: 2 at one in two hours", f.Methods[0].RebuiltBy, 4)
	hours("70 steps: 1 at one in ten hours, whose batch would have taken 7 more", f.Methods[1].RebuiltBy, 10)
	hours("the last rebuilt", f.RebuiltBy, 10)
	if f.Check != 2*3600 || f.Answer != 6*3600 {
		t.Errorf("%+v", f)
	}
	hours("5 to pass at 2 in ten hours", f.CheckedBy, 25)
	hours("with the customers' time", f.BackBy, 31)

	f = forecast(headways(all[2:]), now, 72*time.Hour) // nothing of one method was ever done: no date at all
	if f.RebuiltBy != nil || f.BackBy != nil || f.Methods[0].RebuiltBy == nil || f.Methods[1].RebuiltBy != nil || f.Answer != 72*3600 {
		t.Errorf("%+v", f)
	}
	if f = forecast(nil, now, time.Hour); f.BackBy != nil || len(f.Methods) != 0 {
		t.Errorf("nothing lost: %+v", f)
	}
	for i := range all { // a pace of yesterday is none
		all[i].At = all[i].At.Add(-48 * time.Hour)
		for j := range all[i].History {
			all[i].History[j].At = all[i].History[j].At.Add(-48 * time.Hour)
		}
	}
	if f = forecast(headways(all), now, 72*time.Hour); f.RebuiltBy != nil {
		t.Errorf("%+v", f)
	}
	slow := []Row{row("x", "1", Rebuilt, 1, began(9)), row("x", "2", Rebuilt, 1, began(1)), row("x", "2", Restoring, 1)}
	hours("a batch under way", forecast(headways(slow), now, time.Hour).Methods[0].RebuiltBy, 7) // of the 8 that the other took, where 2 in nine hours gives 4.5
}

// Another repair plan raises the next word with the old estimate, the new one and the reason, and so does a forecast that moved by more than the policy's share
// of the time that was left; a draft that somebody has taken up is left to her, and what no person wrote takes two.
func TestAnotherEstimateIsTold(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	in := h.declare()
	h.affect(in.ID, "S-1", "S-2", "S-3", "S-4")
	later := func(d time.Duration) *time.Time { at := h.clock.Now().Add(d); return &at }
	_, err := h.ChangePlan(ctx, "stf_eve", in.ID, PlanForm{What: " ", Latest: later(time.Hour), From: later(-9 * 24 * time.Hour)})
	h.refused(err, fault.Invalid, "what", "why", "latest", "from")
	first, err := h.ChangePlan(ctx, "stf_eve", in.ID, PlanForm{What: "By script", Why: "it was written by now"})
	if err != nil || first.Word != "" || len(h.due(EstimateDue)) != 0 {
		t.Fatalf("before the first word there is nothing to put right: %+v, %v", first, err)
	}
	h.say(in.ID, h.said())
	c, err := h.ChangePlan(ctx, "stf_eve", in.ID, PlanForm{What: "By hand, site by site", Why: "The script leaves attachments out", Earliest: later(20 * time.Hour), Latest: later(30 * time.Hour)})
	if err != nil || c.Word == "" {
		t.Fatalf("%+v, %v", c, err)
	}
	u, found, err := h.Update(ctx, c.Word)
	if err != nil {
		t.Fatal(err)
	}
	s := u.Value.Statement
	if s.Timeline.Kind != "range" || s.Timeline.Latest.Before(h.clock.Now().Add(30*time.Hour)) || s.LongBecause[0] != "The script leaves attachments out" || s.Doing[0] != "By hand, site by site" || s.Headline == h.said().Headline || s.Translations["ja"].Headline == "" {
		t.Errorf("%+v", s)
	}
	if f := errorsOf(found); len(f) > 0 {
		t.Errorf("a person would have to mend %+v", f)
	}
	if due := h.due(EstimateDue); len(due) != 1 || !due[0].Due.Equal(h.clock.Now().Add(30*time.Minute)) || !strings.Contains(due[0].Page, c.Word) {
		t.Errorf("%+v", due)
	}
	if _, err := h.Approve(ctx, "stf_bob", c.Word); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Publish(ctx, "stf_com", c.Word, PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	h.view(func(tx *store.Tx) error {
		if _, running, err := h.Waiting(tx, in.ID, EstimateDue); err != nil || running {
			t.Errorf("readers were told, and it is still owed (%v)", err)
		}
		return nil
	})

	// Two of four come at one an hour, and then nothing for a day.
	step := func(d time.Duration) {
		t.Helper()
		h.clock.Turn(d)
		if _, err := h.FireDeadlines(ctx, h.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	drafts := func() (all []store.Rec[Update]) {
		t.Helper()
		page, _, err := h.Updates(ctx, in.ID, "", 200)
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(page, func(u store.Rec[Update]) bool { return u.Value.State != Draft })
	}
	h.move(Mover{By: "automation"}, in.ID, `{"site_id":"S-1","state":"restoring"}`, `{"site_id":"S-2","state":"restoring"}`, `{"site_id":"S-3","state":"restoring"}`, `{"site_id":"S-4","state":"restoring"}`)
	h.clock.Turn(2 * time.Hour)
	h.move(Mover{By: "stf_com", Finish: true}, in.ID, `{"site_id":"S-1","state":"rebuilt"}`, `{"site_id":"S-2","state":"rebuilt"}`)
	h.move(Mover{By: "stf_com", Finish: true}, in.ID, `{"site_id":"S-1","state":"passed","reason":"seen"}`)
	step(time.Minute)
	if got := drafts(); len(got) != 0 {
		t.Errorf("the first look after a word raises %+v", got)
	}
	for range 3 {
		step(20 * time.Minute)
	}
	if got := drafts(); len(got) != 0 {
		t.Errorf("it goes as it was computed, and there is %+v", got)
	}
	step(25 * time.Hour)
	raised := drafts()
	if len(raised) != 1 || raised[0].Value.Author != "system:estimate" || raised[0].Value.Statement.Timeline.Kind != notKnown || !strings.HasPrefix(raised[0].Value.Statement.Changed[templates.FigureTimeline], "Nothing was restored lately") {
		t.Fatalf("nothing came for a day, and there is %+v", raised)
	}
	step(20 * time.Minute)
	if again := drafts(); len(again) != 1 || again[0].Version != raised[0].Version {
		t.Errorf("the same is raised again: %+v", again)
	}
	if _, err := h.Approve(ctx, "stf_com", raised[0].ID); err != nil {
		t.Fatal(err)
	}
	_, err = h.Publish(ctx, "stf_com", raised[0].ID, PublishOptions{})
	h.refused(err, fault.Forbidden, "second person")
	mine := raised[0].Value.Statement
	mine.Headline = "It takes longer than we thought"
	if _, _, err := h.Edit(ctx, "stf_lea", raised[0].ID, 0, mine, nil); err != nil {
		t.Fatal(err)
	}
	h.move(Mover{By: "automation"}, in.ID, `{"site_id":"S-3","state":"rebuilt"}`)
	h.move(Mover{By: "stf_com", Finish: true}, in.ID, `{"site_id":"S-2","state":"passed","reason":"seen"}`)
	step(20 * time.Minute)
	if got := drafts(); len(got) != 1 || got[0].Value.Statement.Headline != mine.Headline {
		t.Errorf("what somebody has taken up was written over: %+v", got)
	}
}

// Steps that name their phase say in which of the four a site is; what each takes is its share of the time, and the last of them end with the checks and the
// customers in it. A time that is said to readers without them is warned of.
func TestPhasesOfARecovery(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	in := h.declare()
	h.affect(in.ID, "S-1", "S-2", "S-4")
	items := ordered(4)
	items[1].Phase, items[3].Phase = PhaseData, PhaseIntegrity
	bad := slices.Clone(items)
	bad[0].Phase = "later"
	_, err := h.PublishChecklist(ctx, "stf_ann", Checklist{Name: MethodList("by hand"), Title: "By hand", Items: bad})
	h.refused(err, fault.Invalid, "items[0].phase")
	if _, err := h.PublishChecklist(ctx, "stf_ann", Checklist{Name: MethodList("by hand"), Title: "By hand", Items: items}); err != nil {
		t.Fatal(err)
	}
	step := func(site string, d time.Duration, keys ...string) {
		t.Helper()
		h.clock.Turn(d)
		found := map[string]Result{}
		for _, key := range keys {
			found[key] = Result{State: ItemDone}
		}
		if _, err := h.DoSteps(ctx, "stf_ann", in.ID, site, found); err != nil {
			t.Fatal(err)
		}
	}
	robot, lead := Mover{By: "tok_robot"}, Mover{By: "stf_ann", Finish: true}
	h.move(robot, in.ID, `{"site_id":"S-1","state":"restoring","method":"by hand"}`)
	step("S-1", time.Hour, "s00")          // one hour of rebuilding
	step("S-1", 2*time.Hour, "s01", "s02") // two of data
	step("S-1", 30*time.Minute, "s03")     // half of its own integrity check
	h.move(robot, in.ID, `{"site_id":"S-1","state":"rebuilt"}`)
	h.clock.Turn(30 * time.Minute) // and half of ours
	h.move(lead, in.ID, `{"site_id":"S-1","state":"passed","reason":"seen"}`)
	h.clock.Turn(4 * time.Hour)
	h.move(lead, in.ID, `{"site_id":"S-1","state":"handed_back","reason":"she says so"}`)
	h.move(robot, in.ID, `{"site_id":"S-2","state":"restoring","method":"by hand"}`)
	h.move(robot, in.ID, `{"site_id":"S-4","state":"failed","method":"by hand"}`)
	step("S-2", time.Hour, "s00")
	f, err := h.Forecast(ctx, in.ID)
	if err != nil || f.Waiting != 1 || len(f.Phases) != 4 || f.BackBy == nil {
		t.Fatalf("%+v, %v", f, err)
	}
	for i, want := range []PhaseForecast{
		{Phase: PhaseRebuild, Through: 2, Took: 3600, Share: 0.125}, {Phase: PhaseData, Sites: 1, Through: 1, Took: 2 * 3600, Share: 0.25},
		{Phase: PhaseIntegrity, Through: 1, Took: 3600, Share: 0.125}, {Phase: PhaseJoint, Through: 1, Took: 4 * 3600, Share: 0.5},
	} {
		got := f.Phases[i]
		by := got.DoneBy
		if got.DoneBy = nil; got != want || by == nil {
			t.Errorf("%+v by %v, want %+v", got, by, want)
		}
	}
	if rebuilt := f.Phases[1].DoneBy; !f.Phases[0].DoneBy.Equal(rebuilt.Add(-2*time.Hour)) || !f.Phases[3].DoneBy.Equal(*f.BackBy) {
		t.Errorf("%+v", f.Phases)
	}
	if s, err := h.SiteSteps(ctx, in.ID, "S-2"); err != nil || s.Phase != PhaseData {
		t.Errorf("%+v, %v", s, err)
	}

	// The same site taken up again begins in the first phase.
	h.move(lead, in.ID, `{"site_id":"S-2","state":"failed","reason":"it broke"}`)
	h.clock.Turn(time.Minute)
	h.move(lead, in.ID, `{"site_id":"S-2","state":"restoring","reason":"once more"}`)
	if f, err = h.Forecast(ctx, in.ID); err != nil || f.Phases[0].Sites != 1 || f.Phases[1].Sites != 0 {
		t.Errorf("%+v, %v", f.Phases, err)
	}

	said := func(latest time.Time) []Finding {
		s := h.said()
		early := h.clock.Now().Add(time.Minute)
		s.Timeline.Kind, s.Timeline.Earliest, s.Timeline.Latest = "range", &early, &latest
		_, found, err := h.Draft(ctx, "stf_com", in.ID, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(found, func(f Finding) bool { return f.Code != "check_left_out" })
	}
	if got := said(f.RebuiltBy.Add(time.Minute)); len(got) != 1 || !strings.Contains(got[0].Reason, "the checks take") {
		t.Errorf("a time without the checks: %+v", got)
	}
	if got := said(f.CheckedBy.Add(time.Minute)); len(got) != 1 || !strings.Contains(got[0].Reason, "customers try") {
		t.Errorf("a time without the customers: %+v", got)
	}
	if got := said(*f.BackBy); len(got) != 0 {
		t.Errorf("a time with both: %+v", got)
	}
}
