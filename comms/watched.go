package comms

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// The stages of a record. An event is something that was seen, an alert something that somebody must look at; neither is told to customers, and an alert calls
// nobody but whoever is on duty. An incident is declared. A problem is what is left to be understood once it is over, and a major one has come back, or was as
// grave as can be.
const (
	RecordEvent    = "event"
	RecordAlert    = "alert"
	RecordIncident = "incident"
	RecordProblem  = "problem"
	RecordMajor    = "major_problem"
)

var recordStages = []string{RecordEvent, RecordAlert, RecordIncident, RecordProblem, RecordMajor}

// RecordStages are the stages of a record, in their order.
func RecordStages() []string { return slices.Clone(recordStages) }

// The states of an event or an alert. None of what is said or done in an incident can be before it is declared.
const (
	Watched   = "watched"
	Recovered = "recovered" // before anybody confirmed it
)

// Alert is the sort of the task to look at an alert, and ProblemFamily that of the task to understand a problem.
const (
	Alert         = "alert"
	ProblemFamily = "problem"
)

// StageMove is one step of a record from stage to stage.
type StageMove struct {
	Stage  string    `json:"stage"` // or recovered
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Lasted float64   `json:"lasted_s,omitempty"` // of what recovered: from when it was seen
}

// keptStages bounds the steps that a record keeps; its log has all.
const keptStages = 50

// StageForm is what is said when a record moves to another stage. The fields of a declaration are asked for once it becomes an incident; what is empty stays
// as it was noted.
type StageForm struct {
	Stage         string   `json:"stage"`
	Reason        string   `json:"reason"`
	Severity      string   `json:"severity"`
	Category      string   `json:"category"`
	Impact        string   `json:"impact"`
	ScopeEstimate string   `json:"scope_estimate"`
	Incidents     []string `json:"incidents"` // of a problem: others that come of the same, by either of their ids
}

// AtStage is the stage of a record; those from before there were others are incidents.
func (in Incident) AtStage() string { return cmp.Or(in.Stage, RecordIncident) }

// Undeclared says that it is an event or an alert.
func (in Incident) Undeclared() bool { return in.State == Watched || in.State == Recovered }

// declared refuses what is done in an incident only.
func (in Incident) declared() error {
	if in.Undeclared() {
		return fault.New(fault.Conflict, "this is an %s, and no incident is declared: declare it first", in.AtStage())
	}
	return nil
}

// stageRefusal says why a record cannot go from one stage to another; "": it can. What is declared stays declared, for people were told. A problem
// is what is left of an incident that is over.
func stageRefusal(in Incident, to string) string {
	from := in.AtStage()
	a, b, declared := slices.Index(recordStages, from), slices.Index(recordStages, to), slices.Index(recordStages, RecordIncident)
	switch {
	case from == to && in.State != Recovered:
		return "it is that already"
	case a >= declared && b < declared:
		return "what was declared stays an incident: close it, and say in the reason what it was"
	case a < declared && b > declared:
		return "only an incident leaves a problem: declare it first"
	case b > declared && in.State == Open:
		return "the incident goes on: a problem is what is left once it is resolved or closed"
	}
	return ""
}

// MayBecome says whether a record can go to a stage.
func (in Incident) MayBecome(stage string) bool { return stageRefusal(in, stage) == "" }

// step adds one to the steps that are kept.
func (in *Incident) step(m StageMove) {
	in.Stages = append(slices.Clone(in.Stages), m)
	in.Stages = in.Stages[max(0, len(in.Stages)-keptStages):]
}

// watch writes down an event or an alert.
func (r *Room) watch(tx *store.Tx, id, by string, in Incident, reason string) (store.Rec[Incident], error) {
	in.State, in.Commander, in.DeclaredBy = Watched, "", by
	return r.comesToStage(tx, store.Rec[Incident]{Meta: store.Meta{ID: id}, Value: in}, by, in.Stage, reason)
}

// comesToStage moves a record on to a stage, or has it recover, and writes it.
func (r *Room) comesToStage(tx *store.Tx, rec store.Rec[Incident], by, to, reason string) (store.Rec[Incident], error) {
	in, was := rec.Value, ""
	if rec.Version > 0 {
		was = in.AtStage()
	}
	in.Stage = to
	in.step(StageMove{Stage: to, At: tx.Now(), By: by, Reason: strings.TrimSpace(reason)})
	now, err := put(tx, incidents, rec.ID, in, rec.Version)
	if err != nil {
		return now, err
	}
	text := cmp.Or(was, "-") + " → " + to
	if reason != "" {
		text += ": " + reason
	}
	return now, r.note(tx, rec.ID, by, "stage", text)
}

// lookAt tells whoever is on duty of an alert.
func (r *Room) lookAt(tx *store.Tx, rec store.Rec[Incident]) error {
	_, err := r.Alarm(tx, Task{What: Alert, Of: rec.ID, Incident: rec.ID, Title: r.mailedTitle(rec.Value)})
	return err
}

// settleWatched ends the tasks to look at an event or an alert.
func (r *Room) settleWatched(tx *store.Tx, id, state, by, reason string) error {
	var open []store.Rec[Task]
	for t, err := range tasks.Scan(tx, store.Query{Index: "incident", Equal: []any{id, Open}}) {
		if err != nil {
			return err
		}
		if f := family(t.Value.What); f == Alert || f == Exceeded {
			open = append(open, t)
		}
	}
	for _, t := range open {
		if _, err := r.endTask(tx, t, state, by, reason); err != nil {
			return err
		}
	}
	return nil
}

// MoveStage moves a record to another stage, for a reason that stays in its log. Who may is the caller's to decide. version is the one that she saw; 0 is any.
func (r *Room) MoveStage(ctx context.Context, by, incident string, version int64, form StageForm) (rec store.Rec[Incident], err error) {
	if form.Stage == RecordIncident {
		return r.declareWatched(ctx, by, incident, version, Declare{Severity: form.Severity, Category: form.Category, Impact: form.Impact, ScopeEstimate: form.ScopeEstimate}, form.Reason, nil)
	}
	return r.staged(ctx, by, incident, version, form.Stage, form.Reason, func(tx *store.Tx, have store.Rec[Incident]) (store.Rec[Incident], error) {
		switch form.Stage {
		case RecordEvent, RecordAlert:
			have.Value.State, have.Value.RecoveredAt = Watched, nil
			now, err := r.comesToStage(tx, have, by, form.Stage, form.Reason)
			switch {
			case err != nil:
				return now, err
			case form.Stage == RecordAlert:
				return now, r.lookAt(tx, now)
			}
			return now, r.settleWatched(tx, have.ID, TaskDropped, by, form.Reason)
		}
		return r.becomesProblem(tx, by, have, form)
	})
}

// staged reads a record that is to move, refuses what cannot be, and lets do move it.
func (r *Room) staged(ctx context.Context, by, incident string, version int64, to, reason string, do func(*store.Tx, store.Rec[Incident]) (store.Rec[Incident], error)) (rec store.Rec[Incident], err error) {
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "incident.stage", Reason: reason}, func(tx *store.Tx) error {
		have, err := seenIncident(tx, incident, version)
		if err != nil {
			return err
		}
		if f := reasonProse.bad(oneOf(nil, "stage", to, recordStages...), "reason", reason); len(f) > 0 {
			return fault.BadFields(f...)
		}
		if why := stageRefusal(have.Value, to); why != "" {
			return fault.New(fault.Conflict, "it cannot become %s from %s: %s", to, have.Value.AtStage(), why)
		}
		tx.On(have.ID)
		rec, err = do(tx, have)
		return err
	})
	return rec, err
}

// declareWatched makes an incident of an event or an alert: it keeps its number and its times, and all that follows a declaration follows. Down from a problem it
// is an incident again, and nothing else follows.
func (r *Room) declareWatched(ctx context.Context, by, incident string, version int64, d Declare, reason string, also func(tx *store.Tx, incident string) error) (store.Rec[Incident], error) {
	return r.staged(ctx, by, incident, version, RecordIncident, reason, func(tx *store.Tx, have store.Rec[Incident]) (store.Rec[Incident], error) {
		in := have.Value
		if !in.Undeclared() {
			rec, err := r.comesToStage(tx, have, by, RecordIncident, reason)
			if err != nil {
				return rec, err
			}
			return rec, r.Settle(tx, ProblemFamily, have.ID, by, reason)
		}
		for _, s := range []struct {
			said *string
			was  string
		}{{&d.Title, in.Title}, {&d.Category, in.Category}, {&d.Summary, in.Summary}, {&d.Impact, in.Impact}, {&d.ScopeEstimate, in.ScopeEstimate}, {&d.DetectedBy, in.DetectedBy}, {&d.FoundBy, in.FoundBy}} {
			*s.said = cmp.Or(strings.TrimSpace(*s.said), s.was)
		}
		judged := d.Severity != ""
		d.Severity, d.DetectedAt = cmp.Or(d.Severity, in.Severity), in.DetectedAt
		if f := r.Policy.badDeclare(d, tx.Now()); len(f) > 0 {
			return have, fault.BadFields(f...)
		}
		in.Title, in.Severity, in.Category, in.Summary, in.Impact, in.ScopeEstimate = d.Title, d.Severity, d.Category, d.Summary, d.Impact, d.ScopeEstimate
		in.DetectedBy, in.FoundBy = d.DetectedBy, d.FoundBy
		in.State, in.DeclaredAt, in.DeclaredBy, in.Commander, in.RecoveredAt = Open, tx.Now(), by, by, nil
		have.Value = in
		rec, err := r.comesToStage(tx, have, by, RecordIncident, reason)
		if err != nil {
			return rec, err
		}
		if rec, err = r.opens(tx, by, rec, judged, also); err != nil {
			return rec, err
		}
		return rec, r.settleWatched(tx, have.ID, TaskDone, by, "declared as an incident")
	})
}

// DeclareWatched is DeclareWith for what has been noted as an event or an alert.
func (r *Room) DeclareWatched(ctx context.Context, by, incident string, d Declare, reason string, also func(tx *store.Tx, incident string) error) (store.Rec[Incident], error) {
	return r.declareWatched(ctx, by, incident, 0, d, reason, also)
}

// mostRelated bounds the incidents of one problem.
const mostRelated = 50

// becomesProblem makes a problem of an incident that is over: somebody owes that it is understood. By the policy's rule it is a major one at once.
func (r *Room) becomesProblem(tx *store.Tx, by string, have store.Rec[Incident], form StageForm) (store.Rec[Incident], error) {
	in := have.Value
	var f []fault.Field
	for i, id := range form.Incidents {
		field := fmt.Sprintf("incidents[%d]", i)
		other, err := findIncident(tx, id)
		switch {
		case fault.Of(err) == fault.NotFound:
			f = append(f, wrong(field, "is no incident"))
		case err != nil:
			return have, err
		case other.ID == have.ID:
			f = append(f, wrong(field, "is this record itself"))
		case other.Value.Undeclared() || other.Value.State == Open:
			f = append(f, wrong(field, "is not over: it is %s", other.Value.State))
		case !slices.Contains(in.Related, other.ID):
			in.Related = append(slices.Clone(in.Related), other.ID)
		}
	}
	if len(in.Related) > mostRelated {
		f = append(f, wrong("incidents", "are more than %d", mostRelated))
	}
	if len(f) > 0 {
		return have, fault.BadFields(f...)
	}
	have.Value = in
	rec, err := r.comesToStage(tx, have, by, form.Stage, form.Reason)
	if err != nil {
		return rec, err
	}
	if why := r.Policy.majorProblem(in); form.Stage == RecordProblem && why != "" {
		if rec, err = r.comesToStage(tx, rec, "system:major_problem", RecordMajor, why); err != nil {
			return rec, err
		}
	}
	_, err = r.Owe(tx, Task{What: ProblemFamily, Of: have.ID, Incident: have.ID, Owner: by, Title: fmt.Sprintf("Understand problem %d: %s", in.Number, in.Title)})
	return rec, err
}

// majorProblem is why a problem is a major one by the policy; "": it is none.
func (p Policy) majorProblem(in Incident) string {
	switch n := len(in.Related) + 1; {
	case in.Severity == severities[0]:
		return "it was " + in.Severity
	case n >= p.MajorProblem:
		return fmt.Sprintf("%d incidents come of it", n)
	}
	return ""
}

// Recover ends an event or an alert whose condition has passed before anybody confirmed it; at zero it was now. How long it lasted is measured from when
// it was seen.
func (r *Room) Recover(ctx context.Context, by, incident string, at time.Time, reason string) (rec store.Rec[Incident], err error) {
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "incident.recover", Reason: reason}, func(tx *store.Tx) error {
		have, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		f := reasonProse.bad(nil, "reason", reason)
		if at.IsZero() {
			at = tx.Now()
		}
		if at.After(tx.Now()) || at.Before(have.Value.DetectedAt) {
			f = append(f, wrong("at", "must lie between when it was seen and now"))
		}
		if len(f) > 0 {
			return fault.BadFields(f...)
		}
		rec, err = r.recovered(tx, by, have, at, reason)
		return err
	})
	return rec, err
}

func (r *Room) recovered(tx *store.Tx, by string, have store.Rec[Incident], at time.Time, reason string) (store.Rec[Incident], error) {
	in := have.Value
	if in.State != Watched {
		return have, fault.New(fault.Conflict, "only what is watched recovers; this is %s", in.State)
	}
	at = at.UTC()
	lasted := max(0, at.Sub(in.DetectedAt))
	in.State, in.RecoveredAt = Recovered, &at
	in.step(StageMove{Stage: Recovered, At: at, By: by, Reason: reason, Lasted: lasted.Seconds()})
	tx.On(have.ID)
	rec, err := put(tx, incidents, have.ID, in, have.Version)
	if err != nil {
		return rec, err
	}
	if err := r.settleWatched(tx, have.ID, TaskDropped, by, "recovered before anybody confirmed it"); err != nil {
		return rec, err
	}
	return rec, r.note(tx, have.ID, by, "recovered", lasted.Round(time.Second).String()+": "+reason)
}

// sightedAgain is how long after it recovered the same condition is the same record: one that comes and goes would else fill the list.
const sightedAgain = day

// sight notes that a threshold was passed, as an alert; its own task calls whoever is on duty. One that recovered lately is taken up again.
func (r *Room) sight(tx *store.Tx, what string, t Threshold, since time.Time) (string, error) {
	last, err := r.LastOf(tx, Exceeded, TaskDropped, func(t Task) bool { return t.What == what && t.Incident != "" })
	if err != nil && fault.Of(err) != fault.NotFound {
		return "", err
	}
	if err == nil && tx.Now().Sub(last.Value.EndedAt) < sightedAgain {
		have, err := findIncident(tx, last.Value.Incident)
		if err != nil {
			return "", err
		}
		if have.Value.State == Recovered {
			have.Value.State, have.Value.RecoveredAt, have.Value.DetectedAt = Watched, nil, since
			_, err = r.comesToStage(tx, have, byThreshold, RecordAlert, "it is there again")
			return have.ID, err
		}
	}
	in, err := r.newIncident(tx, byThreshold, Declare{Title: t.Title, Severity: notJudged, FoundBy: FoundByMonitoring, DetectedBy: t.Metric, DetectedAt: since, Stage: RecordAlert})
	if err != nil {
		return "", err
	}
	id := incidents.NewID()
	tx.On(id)
	_, err = r.watch(tx, id, byThreshold, in, "")
	return id, err
}

// RecordQuery chooses records; with neither a state nor a stage, all that were declared.
type RecordQuery struct {
	State, Stage string
	After        string
	Limit        int
}

// Records lists records, newest first, and the cursor behind the page.
func (r *Room) Records(ctx context.Context, q RecordQuery) (page []store.Rec[Incident], next string, err error) {
	walk := store.Query{Index: "number", Reverse: true, After: q.After, Limit: limit(q.Limit)}
	var f []fault.Field
	if q.State != "" {
		f = oneOf(f, "state", q.State, Open, Resolved, Closed, Watched, Recovered)
		walk.Index, walk.Equal = "state", []any{q.State}
	}
	if q.Stage != "" {
		f = oneOf(f, "stage", q.Stage, recordStages...)
	}
	if len(f) > 0 {
		return nil, "", fault.BadFields(f...)
	}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		page, next, err = incidents.ListOf(tx, walk, func(in Incident) bool {
			if q.Stage == "" {
				return q.State != "" || !in.Undeclared()
			}
			return in.AtStage() == q.Stage
		})
		return err
	})
	return page, next, err
}
