package comms

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Task is something that somebody owes: a customer to be reached by hand, a finding to be looked at, a remedy, a promised review. It is due
// through a [Deadline] of the same What, so it stands in every list of what is due, and its ladder is told when it passes.
type Task struct {
	What     string          `json:"what"` // its sort: "outreach", "finding.sites_vanished"; what stands before the dot is its family
	Of       string          `json:"of"`   // what it is about: an id of ours, or a name such as a source's; one open task for each What and Of
	Account  string          `json:"account_id,omitempty"`
	Incident string          `json:"incident_id,omitempty"`
	Title    string          `json:"title"`            // one line; ids and figures, no name and no address, for it goes into mails to staff
	Detail   json.RawMessage `json:"detail,omitempty"` // a small object of ids and figures, by What
	Count    int             `json:"count"`            // how often it was found since it is open
	Shared   bool            `json:"shared,omitempty"` // it is due with others, through a deadline that is not its own
	Owner    string          `json:"owner,omitempty"`
	State    string          `json:"state"`            // open, done, dropped
	Reason   string          `json:"reason,omitempty"` // why it was dropped, or what was done
	Due      time.Time       `json:"due"`
	OpenedAt time.Time       `json:"opened_at"`
	SeenAt   time.Time       `json:"seen_at"` // found last
	TakenAt  time.Time       `json:"taken_at,omitzero"`
	SaidAt   time.Time       `json:"said_at,omitzero"` // since when the page says of it that reports come in
	EndedAt  time.Time       `json:"ended_at,omitzero"`
	EndedBy  string          `json:"ended_by,omitempty"`
}

// The states of a task beside [Open].
const (
	TaskDone    = "done"
	TaskDropped = "dropped"
)

// dueOtherwise is the entry of the policy's task_due for tasks of which it does not speak.
const dueOtherwise = "default"

// AnyTask is the ladder of the tasks whose What has none of its own.
const AnyTask = "task"

var tasks = store.Table[Task]{
	Kind: store.Kind{Name: "task", Prefix: "tsk", Schema: 1, Indexes: []store.Index{
		{Name: "open", Fields: []store.Field{{Name: "what", Type: store.Text}, {Name: "of", Type: store.Text}}, Unique: true},
		{Name: "state", Fields: []store.Field{{Name: "state", Type: store.Text}, {Name: "due", Type: store.Time}}},
		{Name: "owner", Fields: []store.Field{{Name: "owner", Type: store.Text}, {Name: "state", Type: store.Text}, {Name: "due", Type: store.Time}}},
		{Name: "incident", Fields: []store.Field{{Name: "incident", Type: store.Text}, {Name: "state", Type: store.Text}, {Name: "due", Type: store.Time}}},
		{Name: "account", Fields: []store.Field{{Name: "account", Type: store.Text}, {Name: "state", Type: store.Text}, {Name: "due", Type: store.Time}}},
		{Name: "family", Fields: []store.Field{{Name: "family", Type: store.Text}, {Name: "state", Type: store.Text}, {Name: "due", Type: store.Time}}},
	}},
	Tuples: func(t Task) store.Tuples {
		all := store.Tuples{"state": {t.State, t.Due}, "family": {family(t.What), t.State, t.Due}}
		if t.State == Open {
			all["open"] = []any{t.What, t.Of}
		}
		if t.Owner != "" {
			all["owner"] = []any{t.Owner, t.State, t.Due}
		}
		if t.Incident != "" {
			all["incident"] = []any{t.Incident, t.State, t.Due}
		}
		if t.Account != "" {
			all["account"] = []any{t.Account, t.State, t.Due}
		}
		return all
	},
}

// maxDetail bounds what a task carries: what it is about has a record of its own.
const maxDetail = 8 << 10

var taskTitle = prose{most: 300, required: true}

func (t Task) bad() (f []fault.Field) {
	f = prose{most: 100, required: true}.bad(f, "what", t.What)
	f = prose{most: 200, required: true}.bad(f, "of", t.Of)
	f = taskTitle.bad(f, "title", t.Title)
	if n := max(len(t.What), len(t.Of)); n > 256 { // bytes, what an index holds
		f = append(f, fault.Field{Field: "of", Code: codeTooLong, Reason: fmt.Sprintf("has %d bytes; 256 are allowed", n)})
	}
	if len(t.Detail) > maxDetail {
		f = append(f, fault.Field{Field: "detail", Code: codeTooLong, Reason: fmt.Sprintf("has %d bytes; %d are allowed", len(t.Detail), maxDetail)})
	}
	if len(t.Detail) > 0 && !json.Valid(t.Detail) {
		f = append(f, wrong("detail", "is not JSON"))
	}
	return f
}

// Owe notes in the transaction of the fact that somebody owes something. Of t it takes What, Of, Account, Incident, Title, Detail, Owner, Shared
// and Due; without a Due the policy's task_due for What holds. While a task of the same What and Of is open there is no second one: the first
// takes the new title and detail and counts once more, and keeps its owner and the time by which it is due.
func (r *Room) Owe(tx *store.Tx, t Task) (string, error) {
	if f := t.bad(); len(f) > 0 {
		return "", fault.BadFields(f...)
	}
	rec, err := tasks.First(tx, openTask(t.What, t.Of))
	if err == nil {
		have := rec.Value
		have.Title, have.Detail, have.SeenAt = t.Title, t.Detail, tx.Now()
		have.Count++
		tx.On(rec.ID)
		return rec.ID, tasks.Put(tx, rec.ID, have, rec.Version)
	}
	if fault.Of(err) != fault.NotFound {
		return "", err
	}
	if err := r.MayHave(tx, t.Incident, "owner", t.Owner); err != nil {
		return "", err
	}
	t = Task{What: t.What, Of: t.Of, Account: t.Account, Incident: t.Incident, Title: t.Title, Detail: t.Detail, Owner: t.Owner, Due: t.Due,
		State: Open, Count: 1, OpenedAt: tx.Now(), SeenAt: tx.Now(), Shared: t.Shared}
	if t.Due.IsZero() {
		t.Due = tx.Now().Add(r.Policy.taskDue(t.What))
	}
	if t.Owner != "" {
		t.TakenAt = tx.Now()
	}
	id := tasks.NewID()
	tx.On(id)
	if err := tasks.Put(tx, id, t, 0); err != nil {
		return "", err
	}
	if t.Shared {
		return id, nil
	}
	return id, r.promise(tx, Deadline{What: t.What, Of: id, Incident: t.Incident, Title: t.Title, Due: t.Due})
}

func openTask(what, of string) store.Query {
	return store.Query{Index: "open", Equal: []any{what, of}}
}

// Owed says whether a task of a What and Of is open.
func (r *Room) Owed(tx *store.Tx, what, of string) (bool, error) {
	n, err := tasks.Count(tx, openTask(what, of))
	return n > 0, err
}

// taskDue is how long a task of a sort may take: by its What, else by its family, else as any other.
func (p Policy) taskDue(what string) time.Duration {
	for _, name := range []string{what, family(what)} {
		if d, ok := p.TaskDue[name]; ok {
			return d
		}
	}
	return p.TaskDue[dueOtherwise]
}

// Settle ends the open task of a What and Of because what it was about is so no longer. Without one it does nothing.
func (r *Room) Settle(tx *store.Tx, what, of, by, reason string) error {
	rec, err := tasks.First(tx, openTask(what, of))
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = r.endTask(tx, rec, TaskDone, by, reason)
	return err
}

func (r *Room) endTask(tx *store.Tx, rec store.Rec[Task], state, by, reason string) (store.Rec[Task], error) {
	t := rec.Value
	t.State, t.Reason, t.EndedAt, t.EndedBy = state, reason, tx.Now(), by
	tx.On(rec.ID)
	for _, what := range []string{t.What, Soon} {
		if err := r.keep(tx, rec.ID, what, by); err != nil {
			return rec, err
		}
	}
	if !t.SaidAt.IsZero() { // somebody has looked, and the page need not say it any more
		if err := r.touchPages(tx); err != nil {
			return rec, err
		}
	}
	return put(tx, tasks, rec.ID, t, rec.Version)
}

// Take makes a task its taker's, also one that somebody else has taken: shifts end. version is the one that she saw; 0 is any.
func (r *Room) Take(ctx context.Context, by, id string, version int64) (store.Rec[Task], error) {
	return r.withTask(ctx, store.Act{By: by, Verb: "task.take"}, id, version, func(tx *store.Tx, rec store.Rec[Task]) (store.Rec[Task], error) {
		t := rec.Value
		if t.Owner == by {
			return rec, nil
		}
		t.Owner, t.TakenAt = by, tx.Now()
		return put(tx, tasks, id, t, rec.Version)
	})
}

// Done ends a task as done; note says what was done, and may be empty but for a review.
func (r *Room) Done(ctx context.Context, by, id string, version int64, note string) (store.Rec[Task], error) {
	if f := (prose{most: 1000, lines: true}).bad(nil, "reason", note); len(f) > 0 {
		return store.Rec[Task]{}, fault.BadFields(f...)
	}
	return r.withTask(ctx, store.Act{By: by, Verb: "task.done"}, id, version, func(tx *store.Tx, rec store.Rec[Task]) (store.Rec[Task], error) {
		if err := rec.Value.reviewed(note); err != nil {
			return rec, err
		}
		return r.endTask(tx, rec, TaskDone, by, note)
	})
}

// Drop ends a task that will not be done, with the reason why not.
func (r *Room) Drop(ctx context.Context, by, id string, version int64, reason string) (store.Rec[Task], error) {
	if f := reasonProse.bad(nil, "reason", reason); len(f) > 0 {
		return store.Rec[Task]{}, fault.BadFields(f...)
	}
	return r.withTask(ctx, store.Act{By: by, Verb: "task.drop"}, id, version, func(tx *store.Tx, rec store.Rec[Task]) (store.Rec[Task], error) {
		return r.endTask(tx, rec, TaskDropped, by, reason)
	})
}

func (r *Room) withTask(ctx context.Context, act store.Act, id string, version int64, do func(*store.Tx, store.Rec[Task]) (store.Rec[Task], error)) (rec store.Rec[Task], err error) {
	err = r.DB.Update(ctx, act, func(tx *store.Tx) error {
		t, m, err := tasks.Get(tx, id)
		if err != nil {
			return err
		}
		if version != 0 && version != m.Version {
			return fault.New(fault.Stale, "task %s was changed meanwhile: version %d, not %d", id, m.Version, version)
		}
		if t.State != Open {
			return fault.New(fault.Conflict, "this task is %s already", t.State)
		}
		tx.On(id)
		rec, err = do(tx, store.Rec[Task]{Meta: m, Value: t})
		return err
	})
	return rec, err
}

// Task reads one task.
func (r *Room) Task(ctx context.Context, id string) (rec store.Rec[Task], err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		t, m, err := tasks.Get(tx, id)
		rec = store.Rec[Task]{Meta: m, Value: t}
		return err
	})
	return rec, err
}

// TaskQuery chooses tasks; "" is any.
type TaskQuery struct {
	State, Owner, Incident string
	After                  string
	Limit                  int
}

func (q TaskQuery) wants(t Task) bool {
	return (q.State == "" || t.State == q.State) && (q.Owner == "" || t.Owner == q.Owner) && (q.Incident == "" || t.Incident == q.Incident)
}

// Tasks lists tasks, the one due first in front, and the cursor behind the page. Without a state they are in the order of states, or of
// their making.
func (r *Room) Tasks(ctx context.Context, q TaskQuery) (page []store.Rec[Task], next string, err error) {
	if q.State != "" {
		if f := oneOf(nil, "state", q.State, Open, TaskDone, TaskDropped); len(f) > 0 {
			return nil, "", fault.BadFields(f...)
		}
	}
	if q.Incident != "" {
		in, err := r.Incident(ctx, q.Incident)
		if err != nil {
			return nil, "", err
		}
		q.Incident = in.ID
	}
	walk := store.Query{After: q.After, Limit: limit(q.Limit)}
	switch {
	case q.Incident != "":
		walk.Index, walk.Equal = "incident", []any{q.Incident}
	case q.Owner != "":
		walk.Index, walk.Equal = "owner", []any{q.Owner}
	case q.State != "":
		walk.Index = "state"
	}
	if q.State != "" {
		walk.Equal = append(walk.Equal, q.State)
	}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		page, next, err = tasks.ListOf(tx, walk, q.wants)
		return err
	})
	return page, next, err
}

// Propose is the detail of a task that proposes an incident: what would be declared, and with which sites.
type Propose struct {
	Title  string   `json:"title"`
	Count  int      `json:"count"`
	Sample []string `json:"sample,omitempty"` // our ids of some of the sites
	Source string   `json:"source,omitempty"`
}

// Proposed is the incident that a task proposes; false when it proposes none.
func (t Task) Proposed() (p Propose, ok bool) {
	var d struct {
		Propose *Propose `json:"propose_incident"`
	}
	if len(t.Detail) == 0 || json.NewDecoder(bytes.NewReader(t.Detail)).Decode(&d) != nil || d.Propose == nil {
		return p, false
	}
	return *d.Propose, true
}
