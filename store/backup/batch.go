package backup

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Batch is many roots, such as accounts, that a drill took out of a restored store and put back as a restore of a slice does.
type Batch struct {
	Kind    string        `json:"kind"` // of the roots
	Roots   int           `json:"roots"`
	Records int           `json:"records"` // of them and theirs, all of which were put back
	Took    time.Duration `json:"took"`    // to pick them from the backup and put them back
}

// mostBatch is how many roots a drill puts back at once: more than have ever been lost at once.
const mostBatch = 1000

// rehearseBatch takes as many roots as one slice may hold out of the store that e was restored into, with everything of theirs, and puts them back from e. Nil: there
// are none.
func (s Shelf) rehearseBatch(ctx context.Context, e Entry, engine store.Engine, o DrillOptions, run *Run) (*Batch, error) {
	db, err := store.Open(ctx, engine, store.Options{Keys: o.Keys, Kinds: o.Kinds})
	if err != nil {
		return nil, err
	}
	pick := o.Batch
	pick.RestoreOptions = RestoreOptions{Identities: o.Identities, Keys: o.Keys}
	if pick.Roots, err = someOf(ctx, db, pick.Kind); err != nil || len(pick.Roots) == 0 {
		return nil, err
	}
	f, err := os.CreateTemp("", "lifeline-drill-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	began := time.Now()
	counts, err := s.Pick(ctx, e, pick, f)
	for fault.Of(err) == fault.TooLarge && len(pick.Roots) > 1 { // theirs is more than one slice may hold
		pick.Roots = pick.Roots[:len(pick.Roots)/2]
		if err = rewind(f); err == nil {
			began = time.Now()
			counts, err = s.Pick(ctx, e, pick, f)
		}
	}
	b := &Batch{Kind: pick.Kind, Roots: len(pick.Roots), Took: time.Since(began)}
	for _, n := range counts {
		b.Records += n
	}
	if err == nil {
		err = lose(ctx, db, f)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, fmt.Errorf("restore a batch: %w", err)
	}
	began = time.Now()
	done, err := PutSlice(ctx, db, f, SliceOptions{By: or(o.By, "system:drill"), Reason: "drill"})
	if err != nil {
		return nil, err
	}
	b.Took += time.Since(began)
	if done.Gone != b.Records {
		run.problem("of a batch of %d records %d were put back", b.Records, done.Gone)
	}
	again := Run{}
	for kind := range counts { // indexes and all, as before
		k, _ := find(db.Declared(), kind)
		if err := engine.View(ctx, func(s store.Snapshot) error { return again.checkKind(s, k, e.Counts, o.Keys) }); err != nil {
			return nil, err
		}
	}
	for _, p := range again.Problems {
		run.problem("after a batch was put back: %s", p)
	}
	return b, nil
}

// someOf are the ids of the first records of a kind that are not deleted.
func someOf(ctx context.Context, db *store.DB, kind string) (ids []string, err error) {
	err = db.View(ctx, func(tx *store.Tx) error {
		ids = nil
		for raw, err := range tx.Stored(kind) {
			if err != nil {
				return err
			}
			if raw.Deleted.IsZero() {
				ids = append(ids, raw.ID)
			}
			if len(ids) == mostBatch {
				break
			}
		}
		return nil
	})
	return ids, err
}

// lose takes the records of a slice out of a store.
func lose(ctx context.Context, db *store.DB, f *os.File) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	pieces, err := readSlice(ctx, db, f, weight{})
	if err != nil {
		return err
	}
	return db.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		for _, p := range pieces {
			if err := tx.RemoveStored(p.kind.Name, p.raw.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

func rewind(f *os.File) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return f.Truncate(0)
}
