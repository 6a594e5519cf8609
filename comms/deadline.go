package comms

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Deadline is anything that is due: the next update, a first answer, a second reading. When it passes, the rungs of its ladder
// are told one after the other until the thing is done. Firing is a transaction, so it happens once.
type Deadline struct {
	What     string    `json:"what"`             // "next_update", "first_answer", "second_reading"
	Ladder   string    `json:"ladder,omitempty"` // name of the ladder that it climbs, where the policy has that; else it is the one of What
	Of       string    `json:"of"`               // the record it is about
	Incident string    `json:"incident"`
	Title    string    `json:"title,omitempty"` // what people call it; "": the incident's title
	Page     string    `json:"page,omitempty"`  // path of the page on which it is done; "": the incident's, or the desk
	Many     bool      `json:"many,omitempty"`  // one of so many that no list of what is due holds them: whose they are shows them
	Due      time.Time `json:"due"`             // when the promise passes
	Fire     time.Time `json:"fire"`            // when the next rung is told; zero: done or no rung left
	Rung     int       `json:"rung"`            // rungs told so far
	DoneAt   time.Time `json:"done_at"`
	DoneBy   string    `json:"done_by"`
	Late     bool      `json:"late"` // it was done after Due

	Count int      `json:"count,omitempty"` // sites handed back when a ledger was last weighed
	About []string `json:"about,omitempty"` // what has come up for a person meanwhile, and is told when it passes
}

var deadlines = store.Table[Deadline]{
	Kind: store.Kind{Name: "deadline", Prefix: "ddl", Schema: 1, Indexes: []store.Index{
		{Name: "fire", Fields: []store.Field{{Name: "fire", Type: store.Time}}},
		{Name: "open", Fields: []store.Field{{Name: "due", Type: store.Time}}},
		{Name: "of", Fields: []store.Field{{Name: "of", Type: store.Text}, {Name: "what", Type: store.Text}}},
		{Name: "kept", Fields: []store.Field{{Name: "incident", Type: store.Text}, {Name: "what", Type: store.Text}, {Name: "how", Type: store.Text}, {Name: "due", Type: store.Time}}}, // see KeptReport
	}},
	Tuples: func(d Deadline) store.Tuples {
		t := store.Tuples{"of": {d.Of, d.What}, "kept": {d.Incident, d.What, d.how(), d.Due}}
		if d.DoneAt.IsZero() && !d.Many {
			t["open"] = []any{d.Due}
		}
		if !d.Fire.IsZero() {
			t["fire"] = []any{d.Fire}
		}
		return t
	},
}

// How a promise stands, for who counts them.
const (
	promiseOpen = "open"
	promiseKept = "kept"
	promiseLate = "late"
)

func (d Deadline) how() string {
	switch {
	case d.DoneAt.IsZero():
		return promiseOpen
	case d.Late:
		return promiseLate
	}
	return promiseKept
}

// Task says that the deadline is a task's: Of is its id.
func (d Deadline) Task() bool { return strings.HasPrefix(d.Of, tasks.Prefix+"_") }

// ladder is who is told when a deadline passes. A task climbs that of its sort, else of its family, else the one of all tasks.
func (p Policy) ladder(d Deadline) Ladder {
	if l, ok := p.Ladders[d.Ladder]; ok && d.Ladder != "" {
		return l
	}
	if !d.Task() {
		return p.Ladders[d.What]
	}
	for _, name := range []string{d.What, family(d.What)} {
		if l, ok := p.Ladders[name]; ok {
			return l
		}
	}
	return p.Ladders[AnyTask]
}

// Promise notes that something is due. The rungs of the policy's ladder for d.What are told when it passes; without a ladder the
// incident's log still shows the breach. Of d it takes What, Ladder, Of, Incident, Title, Page, Many and Due.
func (r *Room) Promise(tx *store.Tx, d Deadline) error { return r.promise(tx, d) }

func (r *Room) promise(tx *store.Tx, d Deadline) error {
	switch {
	case d.What == "" || d.Of == "":
		return fault.New(fault.Internal, "a deadline needs what is due and what it is of")
	case d.Due.IsZero():
		return fault.BadField("due", "must be a time")
	}
	return deadlines.Put(tx, deadlines.NewID(), r.armed(tx, d), 0)
}

// armed is a promise before any rung of its ladder was told. A rung that is told before the promise passes is left out where its time is over by now:
// whoever promises something within minutes need not be told at once that it is near.
func (r *Room) armed(tx *store.Tx, d Deadline) Deadline {
	d = Deadline{What: d.What, Ladder: d.Ladder, Of: d.Of, Incident: d.Incident, Title: d.Title, Page: d.Page, Many: d.Many, Due: d.Due, Fire: d.Due}
	ladder := r.ladder(d)
	for d.Rung < len(ladder) && ladder[d.Rung].After < 0 && !d.Due.Add(ladder[d.Rung].After).After(tx.Now()) {
		d.Rung++
	}
	if d.Rung < len(ladder) {
		d.Fire = d.Due.Add(ladder[d.Rung].After)
	}
	return d
}

// early is how many rungs of a ladder are told before the deadline passes.
func (l Ladder) early() (n int) {
	for n < len(l) && l[n].After < 0 {
		n++
	}
	return n
}

// Move gives the open promise of d.What and d.Of another time, and its ladder begins anew; with none open it is Promise.
func (r *Room) Move(tx *store.Tx, d Deadline) error {
	rec, err := r.openPromise(tx, d.Of, d.What)
	if fault.Of(err) == fault.NotFound {
		return r.promise(tx, d)
	}
	if err != nil {
		return err
	}
	return deadlines.Put(tx, rec.ID, r.armed(tx, d), rec.Version)
}

// Withdraw forgets the open promise of a sort, because it no longer holds. With none open it does nothing.
func (r *Room) Withdraw(tx *store.Tx, of, what string) error {
	rec, err := r.openPromise(tx, of, what)
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return deadlines.Delete(tx, rec.ID, rec.Version)
}

// Waiting is the open deadline of a sort; not running: there is none.
func (r *Room) Waiting(tx *store.Tx, of, what string) (d Due, running bool, err error) {
	rec, err := r.openPromise(tx, of, what)
	if fault.Of(err) == fault.NotFound {
		return d, false, nil
	}
	return Due{rec.ID, rec.Value}, err == nil, err
}

// Wait keeps a deadline of a deed, which fires when it is due; with an empty ID it is a new one.
func (r *Room) Wait(tx *store.Tx, d Due) error {
	id, was := cmp.Or(d.ID, deadlines.NewID()), int64(0)
	if d.ID != "" {
		_, m, err := deadlines.Get(tx, id)
		if err != nil {
			return err
		}
		was = m.Version
	}
	d.Fire = d.Due
	return deadlines.Put(tx, id, d.Deadline, was)
}

// lapse ends the open promise of a sort because what it was for is over. One that had not passed yet is withdrawn, since nobody broke it; one that had passed was
// never kept: it ends as late, whoever counts promises, and the incident's log says so. With none open it does nothing.
func (r *Room) lapse(tx *store.Tx, of, what string) error {
	rec, err := r.openPromise(tx, of, what)
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if d := rec.Value; !tx.Now().After(d.Due) {
		return deadlines.Delete(tx, rec.ID, rec.Version)
	} else if err := r.note(tx, d.Incident, deadlinesBy, "unkept", fmt.Sprintf("%s was due at %s", what, d.Due.UTC().Format(time.RFC3339))); err != nil {
		return err
	}
	return r.keep(tx, of, what, deadlinesBy)
}

// deadlinesBy is who does what happens to deadlines by itself.
const deadlinesBy = "system:deadlines"

func (r *Room) openPromise(tx *store.Tx, of, what string) (store.Rec[Deadline], error) {
	for rec, err := range deadlines.Scan(tx, store.Query{Index: "of", Equal: []any{of, what}}) {
		if err != nil || rec.Value.DoneAt.IsZero() {
			return rec, err
		}
	}
	return store.Rec[Deadline]{}, fault.New(fault.NotFound, "%s of %s is not promised", what, of)
}

// Keep marks every open promise of that sort as done, late or not. With none open it does nothing.
func (r *Room) Keep(tx *store.Tx, of, what, by string) error { return r.keep(tx, of, what, by) }

func (r *Room) keep(tx *store.Tx, of, what, by string) error {
	for rec, err := range deadlines.Scan(tx, store.Query{Index: "of", Equal: []any{of, what}}) {
		if err != nil {
			return err
		}
		d := rec.Value
		if !d.DoneAt.IsZero() {
			continue
		}
		d.DoneAt, d.DoneBy, d.Late, d.Fire = tx.Now(), by, tx.Now().After(d.Due), time.Time{}
		if err := deadlines.Put(tx, rec.ID, d, rec.Version); err != nil {
			return err
		}
	}
	return nil
}

// Promises are the open deadlines of a record.
func (r *Room) Promises(ctx context.Context, of string) (list []Due, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		list = nil
		for rec, err := range deadlines.Scan(tx, store.Query{Index: "of", Equal: []any{of}}) {
			if err != nil {
				return err
			}
			if rec.Value.DoneAt.IsZero() {
				list = append(list, Due{rec.ID, rec.Value})
			}
		}
		return nil
	})
	return list, err
}

// Due is an open deadline.
type Due struct {
	ID string
	Deadline
}

// mostDue bounds a list of what is open, and the deadlines fired at one go.
const mostDue = 500

// DueList is the open deadlines but those of which there are many, the one that passes or passed first in front; at most 500.
func (r *Room) DueList(ctx context.Context) (list []Due, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		list = nil
		for rec, err := range deadlines.Scan(tx, store.Query{Index: "open", Limit: mostDue}) {
			if err != nil {
				return err
			}
			list = append(list, Due{rec.ID, rec.Value})
		}
		return nil
	})
	return list, err
}

// DueWithin are the open deadlines of an incident (our id) that pass by a time, the first in front; those of which there are many are not among them.
func (r *Room) DueWithin(tx *store.Tx, incident string, by time.Time) (list []Due, err error) {
	for rec, err := range deadlines.Scan(tx, store.Query{Index: "open", To: by, Limit: mostDue}) {
		if err != nil {
			return nil, err
		}
		if rec.Value.Incident == incident {
			list = append(list, Due{rec.ID, rec.Value})
		}
	}
	return list, nil
}
