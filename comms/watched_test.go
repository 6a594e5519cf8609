package comms

import (
	"context"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// A record goes up step by step, each with its reason in the log: nobody but those on duty hears of it before it is declared, a declaration is asked for what
// every declaration is, and what is over leaves a problem that somebody owes to understand.
func TestARecordMovesThroughItsStages(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	_, err := h.Declare(ctx, "stf_ann", Declare{Title: "Odd", Stage: "later"})
	h.refused(err, fault.Invalid, "stage")
	rec, err := h.Declare(ctx, "stf_ann", Declare{Title: "Writes are slow", Stage: RecordEvent, DetectedBy: "staff"})
	if err != nil || rec.Value.State != Watched || rec.Value.Commander != "" {
		t.Fatalf("%+v, %v", rec.Value, err)
	}
	move := func(form StageForm) error {
		t.Helper()
		now, err := h.MoveStage(ctx, "stf_ann", rec.ID, 0, form)
		if err == nil {
			rec = now
		}
		return err
	}
	owed := func(what string) bool {
		t.Helper()
		is := false
		h.view(func(tx *store.Tx) (err error) {
			is, err = h.Owed(tx, what, rec.ID)
			return err
		})
		return is
	}
	if due, err := h.DueList(ctx); err != nil || len(due) > 0 || owed(Alert) {
		t.Errorf("an event is nobody's to look at: %+v, %v", due, err)
	}
	h.refused(move(StageForm{Stage: RecordAlert}), fault.Invalid, "reason")
	h.refused(move(StageForm{Stage: RecordEvent, Reason: "same"}), fault.Conflict, "that already")
	h.refused(move(StageForm{Stage: RecordProblem, Reason: "deep"}), fault.Conflict, "declare it first")
	if err := move(StageForm{Stage: RecordAlert, Reason: "it goes on"}); err != nil || !owed(Alert) {
		t.Fatalf("whoever is on duty is to look at an alert: %v", err)
	}

	// Nothing is said, loaded or changed in the name of what is not declared, and no list or report of incidents has it.
	for _, try := range []func() error{
		func() error { _, _, err := h.Draft(ctx, "stf_com", rec.ID, h.said(), nil); return err },
		func() error {
			title := "x"
			_, err := h.Amend(ctx, "stf_ann", rec.ID, 0, Amend{Title: &title})
			return err
		},
		func() error {
			_, err := h.MoveSites(ctx, Mover{By: "tok"}, rec.ID, strings.NewReader(`{"site_id":"S-1","state":"rebuilt"}`))
			return err
		},
		func() error {
			_, err := h.FirstNotice(ctx, "stf_ann", rec.ID, FirstNotice{Products: []string{"Wiki"}})
			return err
		},
	} {
		h.refused(try(), fault.Conflict, "declare it first")
	}
	listed := func(q RecordQuery) int {
		t.Helper()
		page, _, err := h.Records(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		return len(page)
	}
	if p, err := h.Public(ctx); err != nil || len(p.Incidents) > 0 || listed(RecordQuery{}) > 0 || listed(RecordQuery{Stage: RecordAlert}) != 1 || listed(RecordQuery{State: Watched}) != 1 {
		t.Errorf("an alert stands where incidents do: %+v, %v", p.Incidents, err)
	}
	if found, err := h.FoundReport(ctx, time.Time{}, time.Time{}, nil); err != nil || found.Incidents != 0 {
		t.Errorf("%+v, %v", found, err)
	}

	seen := rec.Value.DetectedAt
	h.clock.Turn(10 * time.Minute)
	h.refused(move(StageForm{Stage: RecordIncident, Reason: "customers see it", Severity: "P1"}), fault.Invalid, "category")
	if err := move(StageForm{Stage: RecordIncident, Reason: "customers see it", Severity: "P1", Category: "data", Impact: "Pages do not save"}); err != nil {
		t.Fatal(err)
	}
	if in := rec.Value; in.State != Open || in.Commander != "stf_ann" || !in.DetectedAt.Equal(seen) || !in.DeclaredAt.Equal(seen.Add(10*time.Minute)) || owed(Alert) || listed(RecordQuery{}) != 1 {
		t.Errorf("%+v", in)
	}
	h.view(func(tx *store.Tx) error {
		if _, running, err := h.Waiting(tx, rec.ID, Classification); err != nil || !running {
			t.Errorf("nothing of a declaration follows (%v)", err)
		}
		return nil
	})
	h.refused(move(StageForm{Stage: RecordAlert, Reason: "not so bad"}), fault.Conflict, "stays an incident")
	h.refused(move(StageForm{Stage: RecordProblem, Reason: "why"}), fault.Conflict, "goes on")

	over := func(id string) {
		t.Helper()
		state := Closed
		if _, err := h.Amend(ctx, "stf_ann", id, 0, Amend{State: &state, Reason: "over"}); err != nil {
			t.Fatal(err)
		}
	}
	over(rec.ID)
	again, err := h.Declare(ctx, "stf_ann", Declare{Title: "Slow again", Severity: "P2"})
	if err != nil {
		t.Fatal(err)
	}
	h.refused(move(StageForm{Stage: RecordProblem, Reason: "why", Incidents: []string{"inc_none", rec.ID, again.ID}}), fault.Invalid, "incidents[0]", "incidents[1]", "incidents[2]")
	over(again.ID)
	if err := move(StageForm{Stage: RecordProblem, Reason: "twice in a day", Incidents: []string{again.Value.Short}}); err != nil || rec.Value.AtStage() != RecordProblem || rec.Value.State != Closed || !owed(ProblemFamily) {
		t.Fatalf("%+v, %v", rec.Value, err)
	}
	if err := move(StageForm{Stage: RecordIncident, Reason: "its cause is known"}); err != nil || owed(ProblemFamily) || rec.Value.State != Closed {
		t.Fatalf("down with a reason: %v", err)
	}
	h.Policy.MajorProblem = 2
	if err := move(StageForm{Stage: RecordProblem, Reason: "no, it is not"}); err != nil || rec.Value.AtStage() != RecordMajor {
		t.Fatalf("two of them are many by the rule: %+v, %v", rec.Value, err)
	}
	var said []string
	log, err := h.NotesOf(ctx, rec.ID, "stage")
	for _, e := range log {
		said = append(said, e.Value.Text)
	}
	want := "- → event | event → alert: it goes on | alert → incident: customers see it | incident → problem: twice in a day | problem → incident: its cause is known | incident → problem: no, it is not | problem → major_problem: 2 incidents come of it"
	if got := strings.Join(said, " | "); err != nil || got != want || len(rec.Value.Stages) != len(said) {
		t.Errorf("the log says %q (%v)", got, err)
	}
}

// What passes before anybody confirms it is closed as that, with how long it was there; it can come back, and be declared yet.
func TestAnAlertRecoversBeforeItIsConfirmed(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	rec, err := h.Declare(ctx, "tok_probe", Declare{Title: "One probe failed", Stage: RecordAlert})
	if err != nil {
		t.Fatal(err)
	}
	h.clock.Turn(90 * time.Second)
	_, err = h.Recover(ctx, "tok_probe", rec.ID, h.clock.Now().Add(time.Hour), " ")
	h.refused(err, fault.Invalid, "at", "reason")
	rec, err = h.Recover(ctx, "tok_probe", rec.ID, h.clock.Now().Add(-30*time.Second), "it answers again")
	if err != nil || rec.Value.State != Recovered || rec.Value.Stages[1].Lasted != 60 {
		t.Fatalf("%+v, %v", rec.Value, err)
	}
	if due, err := h.DueList(ctx); err != nil || len(due) > 0 {
		t.Errorf("somebody is still to look at it: %+v, %v", due, err)
	}
	_, err = h.Recover(ctx, "tok_probe", rec.ID, time.Time{}, "twice")
	h.refused(err, fault.Conflict, "only what is watched recovers")
	if rec, err = h.MoveStage(ctx, "stf_ann", rec.ID, 0, StageForm{Stage: RecordAlert, Reason: "it failed again"}); err != nil || rec.Value.State != Watched {
		t.Fatalf("%+v, %v", rec.Value, err)
	}
	if rec, err = h.MoveStage(ctx, "stf_ann", rec.ID, 0, StageForm{Stage: RecordIncident, Reason: "and stays so", Severity: "P2"}); err != nil || rec.Value.State != Open || rec.Value.RecoveredAt != nil {
		t.Errorf("%+v, %v", rec.Value, err)
	}
}
