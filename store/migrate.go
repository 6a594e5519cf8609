package store

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"

	"lifeline/store/fault"
)

// A release may declare a kind with a higher Schema than the one before. Bodies sealed under an older one stay readable ([Table.Older] says
// what has become of their fields) and are sealed anew when they are written. With a higher Schema the indexes may change too: the
// engine makes their places, and Open fills them from the records ([Options.Refill]) before anybody can use the store; when the process ends
// in between, the next Open goes on. A release that knows only the lower Schema refuses the store from then on.

// Stored is what an engine holds.
type Stored struct {
	Kinds    []Kind   // as they were last declared, by name; none: nothing was ever kept
	Unfilled []string // kinds of which an index is new and may lack records
}

// Refilled is a table whose indexes are not those of a release that is still in use: every [Table] is one.
type Refilled interface {
	declared() Kind
	retuple(db *DB, raw Raw) ([][]byte, error)
}

func (t Table[T]) declared() Kind { return t.Kind }

func (t Table[T]) retuple(db *DB, raw Raw) ([][]byte, error) {
	v, err := t.open(&Tx{db: db}, raw)
	if err != nil {
		return nil, err
	}
	return t.tuples(db, v)
}

// Plan says what [Open] would change in an engine, and changes nothing; empty when the store is as this binary wants it, or when nothing was
// ever kept in it.
func Plan(ctx context.Context, engine Engine, kinds []Kind) ([]string, error) {
	fresh, err := Fresh(ctx, engine)
	if err != nil || fresh {
		return nil, err
	}
	steps, err := engine.Migrate(ctx, append(slices.Clone(kinds), Kinds()...), true)
	if err != nil {
		return nil, fmt.Errorf("look at the store: %w", err)
	}
	return steps, nil
}

// OpenStored opens a store with the kinds that it holds and changes nothing in it, so that it can be backed up before it is migrated.
func OpenStored(ctx context.Context, engine Engine, keys *Keys) (*DB, error) {
	stored, err := engine.Stored(ctx)
	if err != nil {
		return nil, err
	}
	o := Options{Keys: keys}
	db := newDB(engine, o)
	for _, k := range stored.Kinds {
		db.kinds[k.Name] = k
	}
	if _, err := engine.Migrate(ctx, stored.Kinds, false); err != nil { // tells the engine what there is
		return nil, fmt.Errorf("read the store: %w", err)
	}
	return db, db.View(ctx, func(tx *Tx) error {
		_, _, err := instances.Get(tx, instanceID)
		if err != nil {
			return fmt.Errorf("these keys do not belong to this store: %w", err)
		}
		r, _, err := rotations.Get(tx, rotationID)
		if err == nil {
			db.oldestBlind.Store(int32(r.oldest()))
		}
		return err
	})
}

// canRefill refuses a change of indexes that nobody could carry to its end, before it begins.
func (db *DB) canRefill(ctx context.Context, tables []Refilled) error {
	stored, err := db.engine.Stored(ctx)
	if err != nil {
		return err
	}
	for _, old := range stored.Kinds {
		k, ok := db.kinds[old.Name]
		if !ok || k.Schema <= old.Schema || reflect.DeepEqual(k.Indexes, old.Indexes) {
			continue
		}
		if refill(tables, k.Name) == nil {
			return fmt.Errorf("the indexes of kind %s changed and no table is named that could fill them", k.Name)
		}
	}
	return nil
}

func refill(tables []Refilled, kind string) Refilled {
	for _, t := range tables {
		if t.declared().Name == kind {
			return t
		}
	}
	return nil
}

const refillPage = 500 // records read and written in one transaction

// refill fills the indexes that are new.
func (db *DB) refill(ctx context.Context, tables []Refilled) error {
	stored, err := db.engine.Stored(ctx)
	if err != nil {
		return err
	}
	for _, name := range stored.Unfilled {
		t := refill(tables, name)
		if t == nil {
			return fmt.Errorf("an index of kind %s is not filled and no table is named that could", name)
		}
		for after, more := "", true; more; {
			if after, more, err = db.refillPage(ctx, t, after); err != nil {
				return fmt.Errorf("fill the indexes of kind %s: %w", name, err)
			}
		}
		if err := db.engine.Filled(ctx, name); err != nil {
			return fmt.Errorf("fill the indexes of kind %s: %w", name, err)
		}
	}
	return nil
}

func (db *DB) refillPage(ctx context.Context, t Refilled, after string) (last string, more bool, err error) {
	k := t.declared()
	err = db.Update(ctx, Act{}, func(tx *Tx) error {
		last, more = after, false
		n := 0
		for raw, err := range tx.snap.Scan(Range{Kind: k.Name, Deleted: true, AfterID: after, Limit: refillPage}) {
			if err != nil {
				return err
			}
			last = raw.ID
			if n++; n == refillPage {
				more = true
			}
			if !raw.Deleted.IsZero() { // it is in no index
				continue
			}
			tuples, err := t.retuple(db, raw)
			if err != nil {
				return err
			}
			if slices.EqualFunc(tuples, raw.Tuples, bytes.Equal) {
				continue
			}
			fresh := Raw{Meta: raw.Meta, Body: bytes.Clone(raw.Body), Tuples: tuples}
			if err := tx.rewrite(k, fresh); err != nil {
				return err
			}
		}
		return nil
	})
	if fault.Of(err) == fault.Exists {
		err = fmt.Errorf("records behind %q are not unique by it: %w", after, err)
	}
	return last, more, err
}
