package contacts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"lifeline/store"
	"lifeline/store/fault"
)

// Pen writes the records of a step and notes how each was, so that [Shelves.Undo] can put it back. It notes only the fields that the step
// changed: what others wrote into a record meanwhile stays when the step is undone.
type Pen struct {
	Tx    *store.Tx
	notes []note
}

// note is one record before and after.
type note struct {
	Kind string                     `json:"kind"`
	ID   string                     `json:"id"`
	Did  did                        `json:"did"`
	Was  map[string]json.RawMessage `json:"was,omitempty"` // changed: the fields that changed; removed: all
	Now  map[string]json.RawMessage `json:"now,omitempty"` // changed: what they became
}

type did string

const (
	made    did = "made"
	changed did = "changed"
	marked  did = "marked"  // as deleted
	removed did = "removed" // of a kind that keeps nothing
)

// Back is what Run of a verb returns.
func (p *Pen) Back() (json.RawMessage, error) { return json.Marshal(p.notes) }

func fields(v any) (map[string]json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out map[string]json.RawMessage
	return out, json.Unmarshal(b, &out)
}

// Make writes a new record.
func Make[T any](p *Pen, t store.Table[T], v T) error { return makeAs(p, t, t.NewID(), v) }

func makeAs[T any](p *Pen, t store.Table[T], id string, v T) error {
	p.notes = append(p.notes, note{Kind: t.Name, ID: id, Did: made})
	return t.Put(p.Tx, id, v, 0)
}

// Rewrite writes the successor of a record as it was read in this transaction.
func Rewrite[T any](p *Pen, t store.Table[T], r store.Rec[T], v T) error {
	was, err := fields(r.Value)
	if err != nil {
		return err
	}
	now, err := fields(v)
	if err != nil {
		return err
	}
	for name, value := range was {
		if bytes.Equal(value, now[name]) {
			delete(was, name)
			delete(now, name)
		}
	}
	if len(was)+len(now) == 0 {
		return nil
	}
	p.notes = append(p.notes, note{t.Name, r.ID, changed, was, now})
	return t.Put(p.Tx, r.ID, v, r.Version)
}

// Drop deletes a record: it is marked, or of a kind that keeps nothing removed.
func Drop[T any](p *Pen, t store.Table[T], r store.Rec[T]) error {
	n := note{Kind: t.Name, ID: r.ID, Did: marked}
	if t.Keep == 0 {
		was, err := fields(r.Value)
		if err != nil {
			return err
		}
		n.Did, n.Was = removed, was
	}
	p.notes = append(p.notes, n)
	return t.Delete(p.Tx, r.ID, r.Version)
}

// Shelves are the kinds of record whose notes can be undone, each made by [ShelfOf].
type Shelves map[string]func(*store.Tx, note) error

// ShelfOf lets records of a table be put back.
func ShelfOf[T any](t store.Table[T]) Shelves {
	return Shelves{t.Name: func(tx *store.Tx, n note) error { return putBack(tx, t, n) }}
}

// And are both.
func (s Shelves) And(others ...Shelves) Shelves {
	out := maps.Clone(s)
	for _, o := range others {
		maps.Copy(out, o)
	}
	return out
}

// Undo puts back what a Pen wrote, the last first. A record whose changed fields somebody changed again is fault.Conflict.
func (s Shelves) Undo(tx *store.Tx, back json.RawMessage) error {
	var notes []note
	if err := json.Unmarshal(back, &notes); err != nil {
		return fmt.Errorf("read the way back: %w", err)
	}
	for _, n := range slices.Backward(notes) {
		put, ok := s[n.Kind]
		if !ok {
			return fmt.Errorf("undo: nobody puts a %s back", n.Kind)
		}
		if err := put(tx, n); err != nil {
			return err
		}
	}
	return nil
}

func putBack[T any](tx *store.Tx, t store.Table[T], n note) error {
	if n.Did == removed {
		v, err := ofFields[T](n.Was)
		if err != nil {
			return err
		}
		return t.Put(tx, n.ID, v, 0)
	}
	v, m, err := t.GetDeleted(tx, n.ID)
	switch {
	case err != nil:
		return err
	case n.Did == marked:
		return t.Undelete(tx, n.ID, m.Version)
	case !m.Deleted.IsZero():
		return fault.New(fault.Conflict, "%s %s was deleted meanwhile", t.Name, n.ID)
	case n.Did == made:
		return t.Delete(tx, n.ID, m.Version)
	}
	now, err := fields(v)
	if err != nil {
		return err
	}
	for name := range union(n.Was, n.Now) {
		if !bytes.Equal(now[name], n.Now[name]) {
			return fault.New(fault.Conflict, "%s of %s %s was changed meanwhile", name, t.Name, n.ID)
		}
		if was, ok := n.Was[name]; ok {
			now[name] = was
		} else {
			delete(now, name)
		}
	}
	if v, err = ofFields[T](now); err != nil {
		return err
	}
	return t.Put(tx, n.ID, v, m.Version)
}

func union(a, b map[string]json.RawMessage) map[string]bool {
	all := map[string]bool{}
	for name := range a {
		all[name] = true
	}
	for name := range b {
		all[name] = true
	}
	return all
}

func ofFields[T any](fields map[string]json.RawMessage) (v T, err error) {
	b, err := json.Marshal(fields)
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(b, &v)
}
