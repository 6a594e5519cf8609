package comms

import (
	"context"
	"slices"
	"testing"
	"time"

	"lifeline/templates"
)

// What was promised of an incident ends with it: a promise that had passed stays broken for whoever counts, and is in the log; one that had not is nobody's fault.
// Once the incident is open again, people are called again.
func TestPromisesEndWithTheirIncident(t *testing.T) {
	move := func(h house, incident, state string) {
		if _, err := h.Amend(context.Background(), "kim", incident, 0, Amend{State: &state, Reason: "as agreed"}); err != nil {
			h.Fatal(err)
		}
	}
	for name, resolve := range map[string]func(h house, incident string){
		"by hand": func(h house, incident string) { move(h, incident, Resolved) },
		"by its last update": func(h house, incident string) {
			h.say(incident, h.said(func(s *templates.Statement) {
				s.Phase, s.NextUpdateBy, s.Timeline.FullScopeBy = Resolved, templates.Moment{Word: wordNone}, templates.Moment{Word: wordNone}
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := staffed(t)
			ctx := context.Background()
			in := h.declare()
			h.affect(in.ID, "S-1", "S-3")
			open := func() (what []string) {
				t.Helper()
				all, err := h.DueList(ctx)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range all {
					what = append(what, d.What)
				}
				slices.Sort(what)
				return what
			}
			late := func() map[string]Punctual {
				t.Helper()
				report, err := h.KeptReport(ctx, time.Time{}, time.Time{}, nil)
				if err != nil || len(report.Years) != 1 {
					t.Fatalf("%+v %v", report, err)
				}
				return report.Years[0].By
			}
			h.clock.Turn(10 * time.Minute)
			before := late()
			resolve(h, in.ID)
			for _, what := range endResolved {
				if slices.Contains(open(), what) {
					t.Errorf("%s is still due", what)
				}
			}
			if got := open(); !slices.Contains(got, Meeting) || !slices.Contains(got, Classification) {
				t.Errorf("what is owed until it is closed ended: %v", got)
			}
			if got := late(); got[Command] != (Punctual{Late: 1, Percent: "0.0"}) || got[Command] != before[Command] || got[RolesDue] != before[RolesDue] {
				t.Errorf("nobody took command, and nobody confirmed a role: %+v, before %+v", got, before)
			}
			if got := late(); got[CoverageDue] != (Punctual{}) {
				t.Errorf("it was over before everybody had to have somebody to tell: %+v", got)
			}
			log, err := h.NotesOf(ctx, in.ID, "unkept")
			if err != nil || len(log) != 2 || log[0].Value.Text != "command was due at 2022-04-05T08:22:00Z" {
				t.Errorf("%+v %v", log, err)
			}
			if err := h.coverAll(ctx); err != nil || slices.Contains(open(), CoverageDue) || len(h.owed(TaskQuery{Incident: in.ID, State: Open})) == 0 {
				t.Errorf("whoever could not be told is still owed a word, and no more: %v, %v", open(), err)
			}

			if all := h.due(Meeting); len(all) != 1 || !all[0].Due.Equal(outbreak.Add(3*time.Hour)) {
				t.Errorf("the meeting that was not missed: %+v", all)
			}

			move(h, in.ID, Open)
			if again, err := h.Incident(ctx, in.ID); err != nil || again.Value.Phase == Resolved || again.Value.ResolvedAt != nil {
				t.Errorf("it is open again and resolved: %+v, %v", again.Value, err)
			}
			got := open()
			for _, what := range []string{Command, RolesDue, CoverageDue} {
				if !slices.Contains(got, what) {
					t.Errorf("it is open again and %s is not due: %v", what, got)
				}
			}
		})
	}
}

// A meeting that was missed is put behind when the incident is resolved, and the last one is still to come.
func TestAResolvedIncidentMeetsOnceMore(t *testing.T) {
	h := staffed(t)
	in := h.declare()
	h.clock.Turn(10 * time.Hour)
	state := Resolved
	if _, err := h.Amend(context.Background(), "kim", in.ID, 0, Amend{State: &state, Reason: "all is back"}); err != nil {
		t.Fatal(err)
	}
	if all := h.due(Meeting); len(all) != 1 || !all[0].Due.Equal(h.clock.Now().Add(3*time.Hour)) {
		t.Errorf("%+v", all)
	}
}

// Outreach for an incident that was closed is dropped: there is nothing left to tell of it.
func TestOutreachEndsWithAClosedIncident(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	in, other := h.declare(), h.declare()
	h.affect(in.ID, "S-3")
	h.affect(other.ID, "S-3")
	for _, state := range []string{Rebuilt, Passed, HandedBack} {
		h.move(Mover{By: "stf_ann", Finish: true}, in.ID, `{"site_id":"S-3","state":"`+state+`","reason":"restored by hand"}`)
	}
	state := Closed
	if _, err := h.Amend(ctx, "stf_ann", in.ID, 0, Amend{State: &state, Reason: "all is well"}); err != nil {
		t.Fatal(err)
	}
	if err := h.coverAll(ctx); err != nil {
		t.Fatal(err)
	}
	if got := h.owed(TaskQuery{Incident: in.ID, State: TaskDropped}); len(got) != 1 || got[0].What != Outreach || got[0].EndedBy != "system:coverage" {
		t.Errorf("%+v", got)
	}
	if got := h.owed(TaskQuery{Incident: other.ID, State: Open}); len(got) != 1 || got[0].What != Outreach {
		t.Errorf("the other incident is not over: %+v", got)
	}
}
