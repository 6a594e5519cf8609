package contacts

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Change is something that is done to many records at once, or that nobody may do alone: what was asked, what it would touch, and how far
// it has come. It is proposed by one person, approved by another, carried out step by step, and for a while it can be undone.
type Change struct {
	Verb   string          `json:"verb"`
	Author string          `json:"author"`
	Reason string          `json:"reason"`
	Input  json.RawMessage `json:"input"` // what the verb was asked to do
	State  ChangeState     `json:"state"`
	Note   string          `json:"note,omitempty"` // why it stands still

	Digest string         `json:"digest"` // of verb, input, reason, steps and the version of every record that they were planned from
	Alone  bool           `json:"alone"`  // so little that one person may
	Counts map[string]int `json:"counts"` // of records, by kind
	Sample []Sample       `json:"sample"` // the first of them
	Steps  int            `json:"steps"`
	Done   int            `json:"done"`
	Left   int            `json:"left,omitempty"` // of those done: steps that left their record as it was
	Stop   int            `json:"stop,omitempty"` // a rehearsal: behind this many steps it waits for somebody to look

	Approved   []string  `json:"approved,omitempty"` // ids of the approvals that carried it
	RunBy      string    `json:"run_by,omitempty"`
	UndoneBy   string    `json:"undone_by,omitempty"`
	ProposedAt time.Time `json:"proposed_at"`
	ExpiresAt  time.Time `json:"expires_at"` // until then it can begin
	DoneAt     time.Time `json:"done_at,omitzero"`
	UndoUntil  time.Time `json:"undo_until,omitzero"` // zero: there is no way back
}

// ChangeState is how far a change has come.
type ChangeState string

// The states of a change. From running and undoing it goes on by itself, after a crash as well.
const (
	ChangeProposed ChangeState = "proposed"
	ChangeApproved ChangeState = "approved"
	ChangeRunning  ChangeState = "running"
	ChangePaused   ChangeState = "paused"  // the rehearsal is done: go on, or undo
	ChangeStopped  ChangeState = "stopped" // it met a record that somebody changed meanwhile: undo, and propose again
	ChangeDone     ChangeState = "done"
	ChangeUndoing  ChangeState = "undoing"
	ChangeUndone   ChangeState = "undone"
	ChangeRefused  ChangeState = "refused" // the second person said no
	ChangeVoid     ChangeState = "void"    // a record that it touches was changed before it began
	ChangeExpired  ChangeState = "expired"
)

// Sample shows one record of a change to whoever decides about it.
type Sample struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Says string `json:"says"` // addresses masked
}

// Step is the part of a change that is done in one transaction or not at all.
type Step struct {
	Change  string          `json:"change"`
	N       int             `json:"n"`       // from 1
	Of      string          `json:"of"`      // the id that was named, for whose sake this is done
	On      string          `json:"on"`      // the record that it is done to
	Version int64           `json:"version"` // of that record, as planned
	Do      string          `json:"do,omitempty"`
	To      string          `json:"to,omitempty"`
	State   StepState       `json:"state,omitempty"`
	Note    string          `json:"note,omitempty"` // why the record was left as it was
	Back    json.RawMessage `json:"back,omitempty"` // what Undo needs
}

// StepState says whether a step was carried out.
type StepState string

// The states of a step.
const (
	StepDone   StepState = "done"
	StepUndone StepState = "undone"
	StepLeft   StepState = "left" // what it was to be done to no longer fits, and stays as it is
)

// Leave is what a verb's Run gives back, before it has written anything, when the record of one step no longer fits: it stays as it is, the reason is kept, and
// the change goes on with the others.
func Leave(format string, args ...any) error { return &leaving{fmt.Sprintf(format, args...)} }

type leaving struct{ why string }

func (l *leaving) Error() string { return l.why }

// Plan is what a change would do. Nothing is done by making one.
type Plan struct {
	Steps  []Step // Of, On, Version, Do, To
	Counts map[string]int
	Sample []Sample         // at most MaxSample
	Seen   map[string]int64 // versions of further records from which it was planned: a change of any voids it
	Alone  bool             // one person may
}

// Verb is one sort of change. A room declares its verbs; cmd gathers them in [Changes].
type Verb struct {
	Name  string // noun.verb: also the verb of its audit rows
	Right string // that proposing, running and undoing it need; approving has one of its own
	Says  string // what it does, for people

	// Plan reads and writes nothing. It refuses an input that it does not understand with fault.Invalid, ids of the wrong kind among it,
	// each by name.
	Plan func(tx *store.Tx, input json.RawMessage) (Plan, error)
	// Proposed is told, in the transaction, that somebody asked for it; nil: nobody is.
	Proposed func(tx *store.Tx, c store.Rec[Change]) error
	// Run does one step and gives back what Undo needs. It may run again, as everything inside an Update. The record that the step is
	// on has been found at its planned version; a fault of kind Stale, NotFound, Conflict, Exists or Invalid stops the change, what [Leave] makes does not.
	Run func(tx *store.Tx, c store.Rec[Change], s Step) (back json.RawMessage, err error)
	// Ready refuses to begin a change that was approved and that has to wait, or lacks the right people; nil: it is ready once it is approved.
	Ready func(tx *store.Tx, c store.Rec[Change], given []store.Approval) error
	// Undo takes back one step that was done; the steps behind it are taken back already. nil: there is no way back.
	Undo func(tx *store.Tx, c store.Rec[Change], s Step) error
	// Keep is how long it can be undone; 0 is as long as a deleted contact is kept.
	Keep time.Duration
	// Apart says that what was done to one of the named records can be taken back without the others.
	Apart bool
	// Version finds the version of a record that a step is on; nil: Run looks itself.
	Version func(tx *store.Tx, id string) (int64, error)
}

// Limits of a change.
const (
	MaxSample     = 10
	MaxSteps      = 10_000
	proposedFor   = 7 * 24 * time.Hour
	stepsAtOnce   = 100
	abandoned     = 30 * time.Second // since its last batch: whoever ran it is gone
	changeTrials  = 8
	maxWhy        = 2000
	maxChangeBody = 1 << 20
)

var changes = store.Table[Change]{
	Kind: store.Kind{Name: "change", Prefix: "chg", Schema: 1, Indexes: []store.Index{
		{Name: "at", Fields: []store.Field{{Name: "at", Type: store.Time}}},
		{Name: "state", Fields: []store.Field{{Name: "state", Type: store.Text}, {Name: "at", Type: store.Time}}},
	}},
	Tuples: func(c Change) store.Tuples {
		return store.Tuples{"at": {c.ProposedAt}, "state": {string(c.State), c.ProposedAt}}
	},
}

var steps = store.Table[Step]{
	Kind: store.Kind{Name: "step", Prefix: "stp", Schema: 1, Indexes: []store.Index{
		{Name: "change", Fields: []store.Field{{Name: "change", Type: store.Text}, {Name: "n", Type: store.Int}}, Unique: true},
		{Name: "of", Fields: []store.Field{{Name: "of", Type: store.Text}}},
	}},
	Tuples: func(s Step) store.Tuples {
		return store.Tuples{"change": {s.Change, int64(s.N)}, "of": {s.Of}}
	},
}

// Changes is where what takes two people is proposed, approved, carried out and undone.
type Changes struct {
	DB    *store.DB
	Verbs []Verb
	Log   *slog.Logger
	// Behind takes the ids of changes of more than atOnce steps, for somebody who carries them with [Changes.GoOn] while whoever asked looks on; nil: whoever asks waits.
	Behind chan string
}

// atOnce is how many steps a person waits for.
const atOnce = 200

// Proposal asks for a change.
type Proposal struct {
	Verb     string          `json:"verb"`
	Input    json.RawMessage `json:"input"`
	Reason   string          `json:"reason"`
	Rehearse int             `json:"rehearse,omitempty"` // do it to so many of the named records first, and wait for somebody to look
}

// Verb finds a verb by its name.
func (c *Changes) Verb(name string) (Verb, error) {
	i := slices.IndexFunc(c.Verbs, func(v Verb) bool { return v.Name == name })
	if i >= 0 {
		return c.Verbs[i], nil
	}
	names := make([]string, len(c.Verbs))
	for i, v := range c.Verbs {
		names[i] = v.Name
	}
	return Verb{}, fault.BadField("verb", "%.80q is not known; it may be %s", name, strings.Join(names, ", "))
}

// check refuses a proposal that no person could read later.
func (p Proposal) check() error {
	var bad []fault.Field
	switch reason := strings.TrimSpace(p.Reason); {
	case reason == "":
		bad = append(bad, fault.Field{Field: "reason", Reason: "is missing: whoever approves this, or looks for it later, has to know why"})
	case len(reason) > maxWhy:
		bad = append(bad, fault.Field{Field: "reason", Reason: fmt.Sprintf("is longer than %d bytes", maxWhy)})
	}
	if p.Rehearse < 0 {
		bad = append(bad, fault.Field{Field: "rehearse", Reason: "must not be negative"})
	}
	if len(p.Input) > maxChangeBody {
		bad = append(bad, fault.Field{Field: "input", Reason: "is too large"})
	}
	if bad != nil {
		return fault.BadFields(bad...)
	}
	return nil
}

// plan makes a change out of a proposal, as the store stands.
func (c *Changes) plan(tx *store.Tx, by string, p Proposal) (Change, Plan, error) {
	v, err := c.Verb(p.Verb)
	if err != nil {
		return Change{}, Plan{}, err
	}
	if err := p.check(); err != nil {
		return Change{}, Plan{}, err
	}
	plan, err := v.Plan(tx, p.Input)
	switch {
	case err != nil:
		return Change{}, Plan{}, err
	case len(plan.Steps) > MaxSteps:
		return Change{}, Plan{}, fault.New(fault.TooLarge, "this would touch %d records; at most %d at once: split it", len(plan.Steps), MaxSteps)
	case len(plan.Steps) == 0:
		return Change{}, Plan{}, fault.New(fault.Conflict, "there is nothing to do")
	}
	change := Change{Verb: v.Name, Author: by, Reason: strings.TrimSpace(p.Reason), Input: p.Input, State: ChangeProposed, Alone: plan.Alone,
		Counts: plan.Counts, Sample: plan.Sample[:min(len(plan.Sample), MaxSample)], Steps: len(plan.Steps), Stop: rehearsal(plan.Steps, p.Rehearse),
		ProposedAt: tx.Now(), ExpiresAt: tx.Now().Add(proposedFor)}
	change.Digest, err = digest(change, plan)
	return change, plan, err
}

// rehearsal is how many steps belong to the first n named records; 0 when that is all of them.
func rehearsal(all []Step, n int) int {
	if n == 0 {
		return 0
	}
	var named []string
	for i, s := range all {
		if !slices.Contains(named, s.Of) {
			if len(named) == n {
				return i
			}
			named = append(named, s.Of)
		}
	}
	return 0
}

// digest binds what was asked and every record from which the answer was planned, in the version that it had.
func digest(c Change, p Plan) (string, error) {
	var input bytes.Buffer
	if err := json.Compact(&input, []byte(cmp.Or(string(c.Input), "null"))); err != nil {
		return "", fault.BadField("input", "is not JSON")
	}
	b, err := json.Marshal(struct {
		Verb, Reason, Input string
		Stop                int
		Steps               []Step
		Seen                map[string]int64
	}{c.Verb, c.Reason, input.String(), c.Stop, p.Steps, p.Seen})
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), err
}

// Preview says what a proposal would do, and writes nothing.
func (c *Changes) Preview(ctx context.Context, by string, p Proposal) (change Change, err error) {
	err = c.DB.View(ctx, func(tx *store.Tx) error {
		change, _, err = c.plan(tx, by, p)
		return err
	})
	return change, err
}

// Propose writes a change down and does nothing yet. What one person may do alone can be run at once, everything else has to be approved.
func (c *Changes) Propose(ctx context.Context, by string, p Proposal) (rec store.Rec[Change], err error) {
	err = c.DB.Update(ctx, store.Act{By: by, Verb: "change.propose", Reason: strings.TrimSpace(p.Reason)}, func(tx *store.Tx) error {
		rec, err = c.ProposeIn(tx, by, p)
		return err
	})
	return rec, err
}

// ProposeIn is Propose within a transaction of the caller's, whose act it is part of.
func (c *Changes) ProposeIn(tx *store.Tx, by string, p Proposal) (store.Rec[Change], error) {
	change, _, err := c.plan(tx, by, p)
	if err != nil {
		return store.Rec[Change]{}, err
	}
	id := changes.NewID()
	tx.On(id)
	if err := changes.Put(tx, id, change, 0); err != nil {
		return store.Rec[Change]{}, err
	}
	rec, err := read(tx, id)
	if v, known := c.Verb(p.Verb); err == nil && known == nil && v.Proposed != nil {
		err = v.Proposed(tx, rec)
	}
	return rec, err
}

func read(tx *store.Tx, id string) (store.Rec[Change], error) {
	v, m, err := changes.Get(tx, id)
	return store.Rec[Change]{Meta: m, Value: v}, err
}

// Change reads one change.
func (c *Changes) Change(ctx context.Context, id string) (rec store.Rec[Change], err error) {
	err = c.DB.View(ctx, func(tx *store.Tx) error {
		rec, err = read(tx, id)
		return err
	})
	return rec, err
}

// List lists changes, the newest first; state "" is all.
func (c *Changes) List(ctx context.Context, state ChangeState, q store.Query) (page []store.Rec[Change], next string, err error) {
	q.Index, q.Reverse = "at", true
	if state != "" {
		q.Index, q.Equal = "state", []any{string(state)}
	}
	err = c.DB.View(ctx, func(tx *store.Tx) error {
		page, next, err = changes.List(tx, q)
		return err
	})
	return page, next, err
}

// Left are the steps of a change that left their record as it was, with the reason of each; at most so many.
func (c *Changes) Left(ctx context.Context, id string, most int) (all []Step, err error) {
	err = c.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		for rec, err := range steps.Scan(tx, store.Query{Index: "change", Equal: []any{id}}) {
			if err != nil || len(all) == most {
				return err
			}
			if rec.Value.State == StepLeft {
				all = append(all, rec.Value)
			}
		}
		return nil
	})
	return all, err
}

// Approve records that by, who is not the author, agrees to exactly what the digest binds.
func (c *Changes) Approve(ctx context.Context, by, id, digest string) (store.Rec[Change], error) {
	return c.judge(ctx, store.Act{By: by, Verb: "change.approve"}, id, func(tx *store.Tx, rec store.Rec[Change]) (Change, error) {
		change := rec.Value
		if digest != change.Digest {
			return change, fault.BadField("digest", "is not this change's: read it again, and approve what you read")
		}
		if change.State != ChangeProposed {
			return change, fault.New(fault.Conflict, "this change is %s", change.State)
		}
		if err := store.Approve(tx, store.Approval{Of: id, Digest: change.Digest, People: change.Steps, Author: change.Author, By: by}); err != nil {
			return change, err
		}
		if change, _, err := c.still(tx, change); change.State == ChangeVoid || err != nil {
			return change, err
		}
		change.State = ChangeApproved
		return change, nil
	})
}

// Refuse ends a change before it began. The author may take it back herself.
func (c *Changes) Refuse(ctx context.Context, by, id, reason string) (store.Rec[Change], error) {
	return c.judge(ctx, store.Act{By: by, Verb: "change.refuse", Reason: reason}, id, func(_ *store.Tx, rec store.Rec[Change]) (Change, error) {
		change := rec.Value
		if change.State != ChangeProposed && change.State != ChangeApproved {
			return change, fault.New(fault.Conflict, "this change is %s", change.State)
		}
		change.State, change.Note = ChangeRefused, "refused"
		return change, nil
	})
}

// judge writes what decide makes of a change; one that turns out void is kept as such, and said to be.
func (c *Changes) judge(ctx context.Context, act store.Act, id string, decide func(*store.Tx, store.Rec[Change]) (Change, error)) (rec store.Rec[Change], err error) {
	err = c.DB.Update(ctx, act, func(tx *store.Tx) error {
		if rec, err = read(tx, id); err != nil {
			return err
		}
		tx.On(id)
		change, err := decide(tx, rec)
		if err == nil {
			rec, err = replace(tx, rec, change)
		}
		return err
	})
	if err == nil && (rec.Value.State == ChangeVoid || rec.Value.State == ChangeExpired) {
		return rec, fault.New(fault.Conflict, "%s", rec.Value.Note)
	}
	return rec, err
}

// still plans a change again: it is void when anything differs from what was approved.
func (c *Changes) still(tx *store.Tx, change Change) (Change, Plan, error) {
	v, err := c.Verb(change.Verb)
	if err != nil {
		return change, Plan{}, err
	}
	if tx.Now().After(change.ExpiresAt) {
		change.State, change.Note = ChangeExpired, "it was proposed too long ago: propose it again"
		return change, Plan{}, nil
	}
	plan, err := v.Plan(tx, change.Input)
	now := ""
	if err == nil {
		if now, err = digest(change, plan); err != nil {
			return change, Plan{}, err
		}
	}
	switch kind := fault.Of(err); {
	case err != nil && !ends(kind):
		return change, Plan{}, err
	case err != nil, now != change.Digest:
		change.State, change.Note = ChangeVoid, "a record that this change touches was changed since it was proposed: propose it again"
	}
	return change, plan, nil
}

// ends says whether an error will be the same next time, so that a change has to stand still.
func ends(kind fault.Kind) bool {
	return slices.Contains([]fault.Kind{fault.NotFound, fault.Conflict, fault.Exists, fault.Stale, fault.Invalid, fault.Permanent, fault.TooLarge}, kind)
}

// Run carries a change out, or goes on with one that waited after its rehearsal. It comes back when the change is done, waits or stopped.
func (c *Changes) Run(ctx context.Context, by, id string) (store.Rec[Change], error) {
	rec, err := c.start(ctx, by, id)
	if err != nil || c.behind(rec) {
		return rec, err
	}
	return c.carry(ctx, id)
}

// behind leaves a long change that is to go on to somebody else. When too many wait there it goes on all the same, once Keep finds it.
func (c *Changes) behind(rec store.Rec[Change]) bool {
	if s := rec.Value.State; c.Behind == nil || rec.Value.Steps <= atOnce || s != ChangeRunning && s != ChangeUndoing {
		return false
	}
	select {
	case c.Behind <- rec.ID:
	default:
	}
	return true
}

// GoOn carries a change that was left behind to its end, or to where it stops.
func (c *Changes) GoOn(ctx context.Context, id string) {
	if _, err := c.carry(ctx, id); err != nil && ctx.Err() == nil {
		c.Log.Warn("a change did not go on", "change", id, "err", err)
	}
}

// Pause has a running change stop behind the steps that are under way. It goes on with Run, and what was done is undone with Undo.
func (c *Changes) Pause(ctx context.Context, by, id string) (store.Rec[Change], error) {
	return c.judge(ctx, store.Act{By: by, Verb: "change.pause"}, id, func(tx *store.Tx, rec store.Rec[Change]) (Change, error) {
		change := rec.Value
		if change.State != ChangeRunning {
			return change, fault.New(fault.Conflict, "this change is %s, and only a running one is paused", change.State)
		}
		v, err := c.Verb(change.Verb)
		if err != nil {
			return change, err
		}
		change.State, change.UndoUntil = ChangePaused, v.undoUntil(tx.Now())
		return change, nil
	})
}

func (c *Changes) start(ctx context.Context, by, id string) (store.Rec[Change], error) {
	return c.judge(ctx, store.Act{By: by, Verb: "change.run"}, id, func(tx *store.Tx, rec store.Rec[Change]) (Change, error) {
		return c.begin(tx, by, rec)
	})
}

// begin checks in one transaction that what will be done is what was approved, and writes its steps down.
func (c *Changes) begin(tx *store.Tx, by string, rec store.Rec[Change]) (Change, error) {
	change := rec.Value
	switch change.State {
	case ChangePaused:
		change.State, change.Stop, change.RunBy = ChangeRunning, 0, by
		return change, nil
	case ChangeRunning:
		return change, nil
	case ChangeProposed, ChangeApproved:
	default:
		return change, fault.New(fault.Conflict, "this change is %s", change.State)
	}
	if !change.Alone {
		given, ids, err := store.ApprovalsGiven(tx, rec.ID, change.Digest)
		if err != nil {
			return change, err
		}
		if v := store.Judge(given, change.Steps, 1); v != store.Approved {
			return change, fault.New(fault.Forbidden, "a second person must approve this first (%s)", v)
		}
		change.Approved = ids
		if v, err := c.Verb(change.Verb); err != nil || v.Ready != nil {
			if err == nil {
				err = v.Ready(tx, rec, given)
			}
			if err != nil {
				return change, err
			}
		}
	}
	change, plan, err := c.still(tx, change)
	if err != nil || change.State == ChangeVoid || change.State == ChangeExpired {
		return change, err
	}
	for i, s := range plan.Steps {
		s.Change, s.N = rec.ID, i+1
		if err := steps.Put(tx, steps.NewID(), s, 0); err != nil {
			return change, err
		}
	}
	change.State, change.RunBy = ChangeRunning, by
	return change, nil
}

// carry does batch after batch of a change that is running or being undone. Whoever calls it, and how many at once, a step is done once.
func (c *Changes) carry(ctx context.Context, id string) (rec store.Rec[Change], err error) {
	for failed := 0; ; {
		rec, err = c.batch(ctx, id)
		var stop *standstill
		switch {
		case err == nil && (rec.Value.State == ChangeRunning || rec.Value.State == ChangeUndoing):
			failed = 0
			continue
		case err == nil:
			return rec, nil
		case errors.As(err, &stop):
			return c.stop(ctx, id, stop)
		case fault.Of(err) != fault.Stale && fault.Of(err) != fault.Unavailable && fault.Of(err) != fault.Exists:
			return rec, err
		}
		if failed++; failed == changeTrials {
			return rec, err
		}
		select {
		case <-ctx.Done():
			return rec, ctx.Err()
		case <-time.After(10 * time.Millisecond << failed):
		}
	}
}

// standstill is the step at which a change cannot go on.
type standstill struct {
	step Step
	err  error
}

func (s *standstill) Error() string {
	return fmt.Sprintf("step %d, on %s: %v", s.step.N, s.step.On, s.err)
}
func (s *standstill) Unwrap() error { return s.err }

func (c *Changes) stop(ctx context.Context, id string, why *standstill) (rec store.Rec[Change], err error) {
	rec, err = c.judge(ctx, store.Act{By: "system:changes", Verb: "change.stop"}, id, func(_ *store.Tx, rec store.Rec[Change]) (Change, error) {
		change := rec.Value
		if change.State == ChangeRunning || change.State == ChangeUndoing {
			change.State, change.Note = ChangeStopped, why.Error()
		}
		return change, nil
	})
	if err != nil {
		return rec, err
	}
	return rec, fault.New(fault.Conflict, "it stands still at %s; what was done so far can be undone", why)
}

// batch does the next steps of a change in one transaction, whose audit row names the change and the approvals that carry it.
func (c *Changes) batch(ctx context.Context, id string) (rec store.Rec[Change], err error) {
	before, err := c.Change(ctx, id)
	if err != nil {
		return before, err
	}
	act := store.Act{By: before.Value.RunBy, Verb: before.Value.Verb, Reason: before.Value.Reason}
	if before.Value.State == ChangeUndoing {
		act.By, act.Verb = before.Value.UndoneBy, act.Verb+".undo"
	}
	err = c.DB.Update(ctx, act, func(tx *store.Tx) error {
		if rec, err = read(tx, id); err != nil {
			return err
		}
		if rec.Version != before.Version {
			return fault.New(fault.Stale, "somebody else went on with it")
		}
		tx.On(id)
		tx.On(rec.Value.Approved...)
		change := rec.Value
		switch change.State {
		case ChangeRunning:
			err = c.forth(tx, rec, &change)
		case ChangeUndoing:
			err = c.back(tx, rec, &change)
		default:
			return nil
		}
		if err == nil {
			rec, err = replace(tx, rec, change)
		}
		return err
	})
	return rec, err
}

// replace writes what became of a change, and reads how it stands then.
func replace(tx *store.Tx, was store.Rec[Change], now Change) (store.Rec[Change], error) {
	if err := changes.Put(tx, was.ID, now, was.Version); err != nil {
		return was, err
	}
	return read(tx, was.ID)
}

// stepsFrom reads the steps of a change behind n, or from n backwards.
func stepsFrom(tx *store.Tx, id string, n, limit int, reverse bool) (all []store.Rec[Step], err error) {
	q := store.Query{Index: "change", Equal: []any{id}, From: int64(n + 1), Limit: limit}
	if reverse {
		q.From, q.To, q.Reverse = nil, int64(n+1), true
	}
	for rec, err := range steps.Scan(tx, q) {
		if err != nil {
			return nil, err
		}
		all = append(all, rec)
	}
	return all, nil
}

func (c *Changes) forth(tx *store.Tx, rec store.Rec[Change], change *Change) error {
	v, err := c.Verb(change.Verb)
	if err != nil {
		return err
	}
	last := change.Steps
	if change.Stop > 0 {
		last = change.Stop
	}
	todo, err := stepsFrom(tx, rec.ID, change.Done, min(stepsAtOnce, last-change.Done), false)
	if err != nil {
		return err
	}
	for _, s := range todo {
		if err := v.do(tx, rec, &s.Value); err != nil {
			return err
		}
		if err := steps.PutKnown(tx, s.Meta, s.Value); err != nil {
			return err
		}
		if s.Value.State == StepLeft {
			change.Left++
		} else {
			tx.On(s.Value.On)
		}
		change.Done = s.Value.N
	}
	switch {
	case change.Done == change.Steps:
		change.State, change.DoneAt, change.UndoUntil = ChangeDone, tx.Now(), v.undoUntil(tx.Now())
	case change.Done == last:
		change.State, change.UndoUntil = ChangePaused, v.undoUntil(tx.Now())
	}
	return nil
}

func (v Verb) undoUntil(now time.Time) time.Time {
	if v.Undo == nil {
		return time.Time{}
	}
	return now.Add(cmp.Or(v.Keep, kept))
}

func (v Verb) do(tx *store.Tx, rec store.Rec[Change], s *Step) error {
	fail := func(err error) error {
		if ends(fault.Of(err)) {
			return &standstill{*s, err}
		}
		return err
	}
	if v.Version != nil {
		version, err := v.Version(tx, s.On)
		if err != nil {
			return fail(err)
		}
		if version != s.Version {
			return fail(fault.New(fault.Stale, "%s was changed meanwhile: version %d, not %d", s.On, version, s.Version))
		}
	}
	back, err := v.Run(tx, rec, *s)
	var left *leaving
	if errors.As(err, &left) {
		s.State, s.Note = StepLeft, left.why
		return nil
	}
	if err != nil {
		return fail(err)
	}
	s.State, s.Back = StepDone, back
	return nil
}

// Undo takes a change back: everything that it did so far, or nothing. It tries all of it first.
func (c *Changes) Undo(ctx context.Context, by, id, reason string) (store.Rec[Change], error) {
	rec, err := c.Change(ctx, id)
	if err == nil && rec.Value.State != ChangeUndoing {
		rec, err = c.turn(ctx, by, id, reason)
	}
	if err != nil || c.behind(rec) {
		return rec, err
	}
	return c.carry(ctx, id)
}

// turn makes a change go back from now on.
func (c *Changes) turn(ctx context.Context, by, id, reason string) (store.Rec[Change], error) {
	if err := c.tryBack(ctx, id); err != nil {
		return store.Rec[Change]{}, err
	}
	return c.judge(ctx, store.Act{By: by, Verb: "change.undo", Reason: reason}, id, func(tx *store.Tx, rec store.Rec[Change]) (Change, error) {
		change := rec.Value
		change.State, change.UndoneBy, change.Note = ChangeUndoing, by, ""
		return change, c.mayUndo(tx, rec.Value)
	})
}

func (c *Changes) mayUndo(tx *store.Tx, change Change) error {
	v, err := c.Verb(change.Verb)
	if err != nil {
		return err
	}
	switch {
	case v.Undo == nil:
		return fault.New(fault.Conflict, "there is no way back from %s", v.Name)
	case change.State != ChangeDone && change.State != ChangePaused && change.State != ChangeStopped:
		return fault.New(fault.Conflict, "this change is %s", change.State)
	case change.UndoUntil.IsZero() && change.State != ChangeStopped:
		return fault.New(fault.Conflict, "it can no longer be undone")
	case !change.UndoUntil.IsZero() && tx.Now().After(change.UndoUntil):
		return fault.New(fault.Conflict, "it could be undone until %s", change.UndoUntil.Format(time.RFC3339))
	}
	return nil
}

// tryBack takes everything back in a transaction that is thrown away.
func (c *Changes) tryBack(ctx context.Context, id string) error {
	err := c.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		rec, err := read(tx, id)
		if err != nil {
			return err
		}
		if err := c.mayUndo(tx, rec.Value); err != nil {
			return err
		}
		for change := rec.Value; change.Done > 0; {
			if err := c.back(tx, rec, &change); err != nil {
				return err
			}
		}
		return store.ErrNothing
	})
	var stop *standstill
	if errors.As(err, &stop) {
		return fault.New(fault.Conflict, "it cannot be undone any more: %v", stop)
	}
	return err
}

func (c *Changes) back(tx *store.Tx, rec store.Rec[Change], change *Change) error {
	v, err := c.Verb(change.Verb)
	if err != nil {
		return err
	}
	todo, err := stepsFrom(tx, rec.ID, change.Done, stepsAtOnce, true)
	if err != nil {
		return err
	}
	for _, s := range todo {
		if err := v.takeBack(tx, rec, s); err != nil {
			return err
		}
		tx.On(s.Value.On)
		change.Done = s.Value.N - 1
	}
	if change.Done == 0 {
		change.State, change.UndoUntil = ChangeUndone, time.Time{}
	}
	return nil
}

// takeBack undoes one step, unless that was done before.
func (v Verb) takeBack(tx *store.Tx, rec store.Rec[Change], s store.Rec[Step]) error {
	if s.Value.State != StepDone {
		return nil
	}
	if err := v.Undo(tx, rec, s.Value); err != nil {
		if ends(fault.Of(err)) {
			return &standstill{s.Value, err}
		}
		return err
	}
	s.Value.State, s.Value.Back = StepUndone, nil
	return steps.PutKnown(tx, s.Meta, s.Value)
}

// Keep goes on with changes that a crash interrupted, and ends what waited too long: proposals that nobody ran, and the way back of
// changes whose time for it has passed. It is safe to call at any time, on every replica.
func (c *Changes) Keep(ctx context.Context) error {
	for _, state := range []ChangeState{ChangeRunning, ChangeUndoing} {
		ids, err := c.in(ctx, state, func(r store.Rec[Change], now time.Time) bool { return now.Sub(r.Updated) > abandoned })
		if err != nil {
			return err
		}
		for _, id := range ids {
			c.GoOn(ctx, id)
		}
	}
	for _, state := range []ChangeState{ChangeProposed, ChangeApproved} {
		old, err := c.in(ctx, state, func(r store.Rec[Change], now time.Time) bool { return now.After(r.Value.ExpiresAt) })
		if err != nil {
			return err
		}
		for _, id := range old {
			_, err := c.judge(ctx, store.Act{By: "system:changes", Verb: "change.expire"}, id, func(_ *store.Tx, rec store.Rec[Change]) (Change, error) {
				change := rec.Value
				if change.State == state {
					change.State, change.Note = ChangeExpired, "nobody ran it in time"
				}
				return change, nil
			})
			if err != nil && fault.Of(err) != fault.Conflict {
				return err
			}
		}
	}
	return c.forget(ctx)
}

// forget drops what was kept for a way back that has ended: how records were before it, which nobody could erase there. What deletions keep
// is only which records went together, and a purge needs it.
func (c *Changes) forget(ctx context.Context) error {
	over, err := c.in(ctx, ChangeDone, func(r store.Rec[Change], now time.Time) bool {
		v, err := c.Verb(r.Value.Verb)
		return err == nil && !v.Apart && !r.Value.UndoUntil.IsZero() && now.After(r.Value.UndoUntil)
	})
	if err != nil {
		return err
	}
	for _, id := range over {
		for at, more := 0, true; more; {
			next := 0
			err := c.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
				next = 0
				all, err := stepsFrom(tx, id, at, stepsAtOnce, false)
				if err != nil {
					return err
				}
				for _, s := range all {
					s.Value.Back = nil
					if err := steps.PutKnown(tx, s.Meta, s.Value); err != nil {
						return err
					}
				}
				if len(all) == stepsAtOnce {
					next = all[len(all)-1].Value.N
					return nil
				}
				rec, err := read(tx, id)
				if err != nil {
					return err
				}
				rec.Value.UndoUntil, rec.Value.Note = time.Time{}, "it can no longer be undone"
				return changes.Put(tx, id, rec.Value, rec.Version)
			})
			if err != nil {
				return err
			}
			at, more = next, next > 0
		}
	}
	return nil
}

func (c *Changes) in(ctx context.Context, state ChangeState, chosen func(store.Rec[Change], time.Time) bool) (ids []string, err error) {
	err = c.DB.View(ctx, func(tx *store.Tx) error {
		ids = nil
		for rec, err := range changes.Scan(tx, store.Query{Index: "state", Equal: []any{string(state)}}) {
			if err != nil {
				return err
			}
			if chosen(rec, tx.Now()) {
				ids = append(ids, rec.ID)
			}
		}
		return nil
	})
	return ids, err
}

// ChangeKinds lists the kinds of record in which changes are kept.
func ChangeKinds() []store.Kind { return []store.Kind{changes.Kind, steps.Kind} }
