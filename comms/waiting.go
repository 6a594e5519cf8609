package comms

import (
	"context"

	"lifeline/store"
	"lifeline/store/fault"
)

// Waiting names what nobody but the staff may read yet, so that it can be seen on the pages before it is said: an update, an official answer or planned work,
// by their ids; "" is none.
type Waiting struct {
	Update, Answer, Plan string
}

// PublicWith is [Room.Public] as it would be if what waits were said now, with the ledger's figures of now. Nothing is kept. An update that goes to no page is refused.
func (r *Room) PublicWith(ctx context.Context, w Waiting) (p Public, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		p, err = r.publicWith(tx, w)
		return err
	})
	return p, err
}

func (r *Room) publicWith(tx *store.Tx, w Waiting) (p Public, err error) {
	l := laid{answer: w.Answer, plan: w.Plan}
	if l.update, err = r.waitingUpdate(tx, w.Update); err != nil {
		return p, err
	}
	if w.Answer != "" {
		if _, _, err := answers.Get(tx, w.Answer); err != nil {
			return p, err
		}
	}
	if w.Plan != "" {
		if _, _, err := plans.Get(tx, w.Plan); err != nil {
			return p, err
		}
	}
	return r.public(tx, l)
}

// laid is what waits, laid over what was said.
type laid struct {
	update *store.Rec[Update] // as if it were published now; nil: none
	answer string
	plan   string
}

// waitingUpdate is a draft as it would be if it were published now.
func (r *Room) waitingUpdate(tx *store.Tx, id string) (*store.Rec[Update], error) {
	if id == "" {
		return nil, nil
	}
	v, m, err := updates.Get(tx, id)
	if err != nil {
		return nil, err
	}
	in, err := findIncident(tx, v.Incident)
	if err != nil {
		return nil, err
	}
	switch {
	case !v.onPage():
		return nil, fault.New(fault.Conflict, "this update goes to no page: its audience or its channels leave the page out")
	case in.Value.Drill:
		return nil, fault.New(fault.Conflict, "an exercise is on no page")
	}
	if v.State != Draft { // it was said, and stands there
		return nil, nil
	}
	if v.Figures, err = r.figuresFor(tx, in, v.Statement); err != nil {
		return nil, err
	}
	if v.Before, err = since(tx, v); err != nil {
		return nil, err
	}
	now := tx.Now()
	v.State, v.PublishedAt, v.Security, v.Pinned, v.Cohorts = Published, &now, in.Value.Security, in.Value.Pinned, in.Value.losses()
	m.Updated = now
	return &store.Rec[Update]{Meta: m, Value: v}, nil
}

// incident is an incident as it would stand behind what waits.
func (l laid) incident(tx *store.Tx, in store.Rec[Incident]) store.Rec[Incident] {
	if l.update != nil && l.update.Value.Incident == in.ID {
		in.Value, in.Updated = in.Value.after(l.update.Value, tx.Now()), tx.Now()
	}
	return in
}

// said is an answer with what waits for a second person as its newest version.
func (l laid) said(tx *store.Tx, a store.Rec[Answer]) Answer {
	v := a.Value
	if l.answer != a.ID || v.Draft == nil {
		return v
	}
	v.Said = append(v.Said[:len(v.Said):len(v.Said)], AnswerSaid{AnswerWords: v.Draft.AnswerWords, At: tx.Now(), Author: v.Draft.Author})
	return v
}

// planned is a plan that everybody may read if it waits for that.
func (l laid) planned(tx *store.Tx, m store.Rec[Maintenance]) Maintenance {
	v := m.Value
	if l.plan == m.ID && v.SaidAt.IsZero() {
		v.SaidAt = tx.Now()
	}
	return v
}
