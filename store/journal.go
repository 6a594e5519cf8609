package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lifeline/store/fault"
)

// Fact is an act that must hold even in a store that is restored from before it: somebody opted out, a token was revoked, a code was used,
// a person was erased. It is written in the act's transaction and within seconds brought to where the backups lie (package backup), so
// that it survives the loss of what is restored.
type Fact struct {
	What   string          `json:"what"` // names who applies it again: see Applies
	Of     string          `json:"of"`   // the record's id when it happened
	At     time.Time       `json:"at"`   // the domain's time
	Detail json.RawMessage `json:"detail,omitempty"`
}

// Apply lets a fact hold again. It may be called with facts that hold already, and with ones whose record is not there. It changes only
// records that may allows, by id, and must not call Tx.Journal. False: its record is missing and may yet come, so ask again later.
type Apply func(tx *Tx, f Fact, may func(id string) bool) (done bool, err error)

// Applies is who applies which facts, by Fact.What.
type Applies map[string]Apply

// noted is a fact as it is kept: until it was brought out, or as long as it finds no record to hold for.
type noted struct {
	Fact
	State string `json:"state"`
}

const (
	toShip  = "ship"  // to where the backups lie
	toApply = "apply" // the record that it is about was not in the backup
)

var journal = Table[noted]{
	Kind:   Kind{Name: "fact", Prefix: "fct", Schema: 1, Indexes: []Index{{Name: "state", Fields: []Field{{"state", Text}}}}},
	Tuples: func(n noted) Tuples { return Tuples{"state": {n.State}} },
}

// Journal notes, in the transaction of an act on the record of, that it must hold after a restore from before it; detail is what whoever
// applies what needs beside the id, since the record may have another by then. It leaves the store sealed.
func (tx *Tx) Journal(what, of string, detail any) error {
	raw, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("note %s of %s: %w", what, of, err)
	}
	return journal.Put(tx, journal.NewID(), noted{Fact: Fact{What: what, Of: of, At: tx.now, Detail: raw}, State: toShip}, 0)
}

// SealedFact is a fact as it leaves the store; the store's keys open it.
type SealedFact struct {
	ID   string `json:"id"`
	Body []byte `json:"body"`
}

// Waiting is at most limit facts that were not brought out yet, oldest first.
func (db *DB) Waiting(ctx context.Context, limit int) (facts []SealedFact, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		facts = nil
		for raw, err := range tx.scan(journal.Kind, Query{Index: "state", Equal: []any{toShip}, Limit: limit}) {
			if err != nil {
				return fmt.Errorf("read the journal: %w", err)
			}
			facts = append(facts, SealedFact{ID: raw.ID, Body: append([]byte(nil), raw.Body...)})
		}
		return nil
	})
	return facts, err
}

// WaitingFacts is every fact that was not brought out when the transaction began.
func (tx *Tx) WaitingFacts() (facts []Fact, err error) {
	for rec, err := range journal.Scan(tx, Query{Index: "state", Equal: []any{toShip}}) {
		if err != nil {
			return nil, err
		}
		facts = append(facts, rec.Value.Fact)
	}
	return facts, nil
}

// Shipped removes facts that stand where the backups lie. What is gone already is no error.
func (db *DB) Shipped(ctx context.Context, facts []SealedFact) error {
	return db.Update(ctx, Act{}, func(tx *Tx) error {
		for _, f := range facts {
			if err := tx.remove(journal.Kind, f.ID); err != nil && fault.Of(err) != fault.NotFound {
				return err
			}
		}
		return nil
	})
}

// ForgetFacts removes at most limit facts from before a time that nobody ever asked for, as when no backups are taken.
func (db *DB) ForgetFacts(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = db.Update(ctx, Act{}, func(tx *Tx) error {
		n = 0
		for m, err := range journal.ScanMeta(tx, Query{Index: "state", Equal: []any{toShip}, Limit: limit}) {
			if err != nil || !m.Created.Before(before) { // ids, and so the walk, are in the order of time
				return err
			}
			if err := tx.remove(journal.Kind, m.ID); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// Open unseals a fact.
func (f SealedFact) Open(k *Keys) (Fact, error) {
	plain, err := k.open(journal.Kind, f.ID, f.Body)
	if err != nil {
		return Fact{}, fmt.Errorf("read fact %s: %w", f.ID, err)
	}
	var n noted
	if err := json.Unmarshal(plain, &n); err != nil {
		return Fact{}, fmt.Errorf("read fact %s: %w", f.ID, err)
	}
	return n.Fact, nil
}

// JournalState is how the journal stands.
type JournalState struct {
	Waiting int       `json:"waiting"`         // facts that a loss of this machine would lose
	Since   time.Time `json:"since,omitzero"`  // the oldest of them
	Missing int       `json:"missing"`         // facts that hold for nobody until their record is there again
	First   string    `json:"first,omitempty"` // what the first of those is about
}

// Journal says how the journal stands.
func (db *DB) Journal(ctx context.Context) (s JournalState, err error) {
	err = db.View(ctx, func(tx *Tx) (err error) {
		s = JournalState{}
		if s.Waiting, err = journal.Count(tx, Query{Index: "state", Equal: []any{toShip}}); err != nil {
			return err
		}
		if s.Missing, err = journal.Count(tx, Query{Index: "state", Equal: []any{toApply}}); err != nil {
			return err
		}
		if first, err := journal.First(tx, Query{Index: "state", Equal: []any{toShip}}); err == nil {
			s.Since = first.Created
		}
		if first, err := journal.First(tx, Query{Index: "state", Equal: []any{toApply}}); err == nil {
			s.First = first.Value.What + " of " + first.Value.Of
		}
		return nil
	})
	return s, err
}

// Reapplied is what became of facts that were applied again.
type Reapplied struct {
	Applied int      `json:"applied"` // hold now, or held already
	Missing []string `json:"missing"` // "what of id": no record to hold for; kept, and tried again by Retry
}

// knows says that no fact is one that this binary cannot apply.
func (a Applies) knows(facts []Fact) error {
	for _, f := range facts {
		if a[f.What] == nil {
			return fault.New(fault.Conflict, "the journal holds a %.60q, which this Lifeline does not know: restore with the release that wrote it", f.What)
		}
	}
	return nil
}

// apply applies facts in their order and gives the ones that found no record.
func (a Applies) apply(tx *Tx, facts []Fact, may func(id string) bool) (missing []Fact, err error) {
	for _, f := range facts {
		done, err := a[f.What](tx, f, may)
		if err != nil {
			return nil, fmt.Errorf("apply %s of %s again: %w", f.What, f.Of, err)
		}
		if !done {
			missing = append(missing, f)
		}
	}
	return missing, nil
}

const replayPage = 500

// Reapply applies facts again, oldest first, and keeps those whose record is not there.
func (db *DB) Reapply(ctx context.Context, act Act, by Applies, facts []Fact) (r Reapplied, err error) {
	if err := by.knows(facts); err != nil {
		return r, err
	}
	for len(facts) > 0 {
		page := facts[:min(replayPage, len(facts))]
		facts = facts[len(page):]
		var missing []Fact
		err := db.Update(ctx, act, func(tx *Tx) error {
			if missing, err = by.apply(tx, page, func(string) bool { return true }); err != nil {
				return err
			}
			for _, f := range missing {
				if err := journal.Put(tx, journal.NewID(), noted{Fact: f, State: toApply}, 0); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return r, err
		}
		r.Applied += len(page) - len(missing)
		for _, f := range missing {
			r.Missing = append(r.Missing, f.What+" of "+f.Of)
		}
	}
	return r, nil
}

// Reapply applies facts to records of this transaction alone, as when a part of a store was put back: may says which.
func (tx *Tx) Reapply(by Applies, facts []Fact, may func(id string) bool) error {
	if err := by.knows(facts); err != nil {
		return err
	}
	_, err := by.apply(tx, facts, may)
	return err
}

// Retry applies the facts that found no record before: an import may have brought it meanwhile. It says how many hold now.
func (db *DB) Retry(ctx context.Context, by Applies) (n int, err error) {
	waits := 0
	if err := db.View(ctx, func(tx *Tx) error {
		waits, err = journal.Count(tx, Query{Index: "state", Equal: []any{toApply}, Limit: 1})
		return err
	}); err != nil || waits == 0 {
		return 0, err
	}
	err = db.Update(ctx, Act{By: "system:journal", Verb: "journal.retry"}, func(tx *Tx) error {
		n = 0
		for rec, err := range journal.Scan(tx, Query{Index: "state", Equal: []any{toApply}}) {
			if err != nil {
				return err
			}
			if by[rec.Value.What] == nil {
				continue
			}
			missing, err := by.apply(tx, []Fact{rec.Value.Fact}, func(string) bool { return true })
			if err != nil {
				return err
			}
			if len(missing) == 0 {
				n++
				if err := tx.remove(journal.Kind, rec.ID); err != nil {
					return err
				}
			}
		}
		if n == 0 {
			return ErrNothing
		}
		return nil
	})
	return n, err
}
