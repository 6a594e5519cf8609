package contacts

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/fault"
)

// A file that waits for a second person is kept in the store, as a blob of the change that asks for her word: any replica shows it, and whichever
// is first carries it out once it was let through, also after a restart. The blob is what is still owed: it goes with the import's end, or with a no.

const (
	heldLane  = "import"
	mostHeld  = 128 << 20 // bytes; of a larger file only the question is kept, and it is sent again
	heldLook  = time.Hour // how often a file is looked at whose change is undecided
	heldLease = 15 * time.Minute
)

// askFor proposes an import to a second person, and keeps its file where there is room: one file of each source, so that a source that brings another
// each hour fills no store.
func (b *Book) askFor(ctx context.Context, by string, in importInput, p Proposal, file *spool, format string) (id string, held bool, err error) {
	if held, err = b.mayHold(ctx, in.Source); err != nil {
		return "", false, err
	}
	var loose blob.Loose
	if held = held && file.size <= mostHeld; held {
		r, err := file.again()
		if err != nil {
			return "", false, err
		}
		if loose, err = blob.Put(ctx, b.DB, blob.Upload{Name: in.Source, Type: format, From: r, Max: mostHeld}); err != nil {
			return "", false, err
		}
		loose.Lane, loose.Due = heldLane, time.Now().UTC().Add(heldLook)
	}
	err = b.DB.Update(ctx, store.Act{By: by, Verb: "change.propose", Reason: p.Reason}, func(tx *store.Tx) error {
		rec, err := b.Changes.ProposeIn(tx, by, p)
		if id = rec.ID; err != nil || !held {
			return err
		}
		return loose.Keep(tx, id)
	})
	return id, held, err
}

// mayHold says whether no other file of a source waits.
func (b *Book) mayHold(ctx context.Context, source string) (may bool, err error) {
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		may = true
		for _, state := range []ChangeState{ChangeProposed, ChangeApproved} {
			for rec, err := range changes.Scan(tx, store.Query{Index: "state", Equal: []any{string(state)}}) {
				if err != nil {
					return err
				}
				var in importInput
				if rec.Value.Verb != VerbImport || json.Unmarshal(rec.Value.Input, &in) != nil || in.Source != source {
					continue
				}
				files, err := blob.List(tx, rec.ID)
				if err != nil || len(files) > 0 {
					may = false
					return err
				}
			}
		}
		return nil
	})
	return may, err
}

// Held says whether the file of a change is kept here: then the change imports it when it is run, and nobody has to send it again.
func (b *Book) Held(ctx context.Context, change string) (held bool, err error) {
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		files, err := blob.List(tx, change)
		held = len(files) > 0
		return err
	})
	return held, err
}

// release lets the file of a change through, in the transaction that runs the change.
func release(tx *store.Tx, change string) error {
	files, err := blob.List(tx, change)
	if err != nil {
		return err
	}
	for _, f := range files {
		h := f.Value
		h.Due = time.Now().UTC()
		if err := blob.Set(tx, f, h); err != nil {
			return err
		}
	}
	return nil
}

// drop gives up the file of a change: whoever sent it has sent it again, or nobody wants it.
func (b *Book) drop(ctx context.Context, change string) error {
	return b.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error { return blob.RemoveAll(tx, change) })
}

// RunHeld imports the files that waited and were let through, one after the other, and gives up those that were refused or that nobody decided about in
// time. Any number of replicas may call it; what one that died had begun another goes on with when its lease is over, and an import that was cut off
// says nothing twice.
func (b *Book) RunHeld(ctx context.Context, holder string) error {
	for {
		got, err := blob.Claim(ctx, b.DB, heldLane, holder, heldLease, 1)
		if err != nil || len(got) == 0 {
			return err
		}
		if err := b.settle(ctx, holder, got[0]); err != nil {
			return fmt.Errorf("import a file that waited: %w", err) // it is tried again when its lease is over
		}
	}
}

// settle does with one file what its change says.
func (b *Book) settle(ctx context.Context, holder string, m store.Meta) error {
	var file blob.Rec
	var change store.Rec[Change]
	err := b.DB.Update(ctx, store.Act{}, func(tx *store.Tx) (err error) {
		if file, err = blob.Get(tx, m.ID); err != nil {
			return err
		}
		if change, err = read(tx, file.Value.Of); err != nil {
			return err
		}
		switch change.Value.State {
		case ChangeProposed, ChangeApproved, ChangeRunning:
			h := file.Value
			h.Due = time.Now().UTC().Add(heldLook)
			if err := blob.Set(tx, file, h); err != nil {
				return err
			}
			return blob.Release(tx, m, holder)
		case ChangeDone:
			return store.ErrNothing
		}
		return blob.Remove(tx, file.ID)
	})
	if err != nil || change.Value.State != ChangeDone {
		return err
	}
	note, err := b.let(ctx, holder, m, file, change.Value)
	if err != nil {
		return err
	}
	return b.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		if change, err = read(tx, change.ID); err != nil {
			return err
		}
		change.Value.Note = note
		if err := changes.Put(tx, change.ID, change.Value, change.Version); err != nil {
			return err
		}
		return blob.Remove(tx, file.ID)
	})
}

// let imports a file that two people let through, and says what came of it.
func (b *Book) let(ctx context.Context, holder string, m store.Meta, file blob.Rec, change Change) (string, error) {
	var in importInput
	if err := ReadInput(change.Input, &in); err != nil {
		return "", err
	}
	renewed := time.Now()
	renew := func(int) {
		if time.Since(renewed) < heldLease/3 {
			return
		}
		renewed = time.Now()
		if err := b.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error { return blob.Renew(tx, m, holder, heldLease) }); err != nil {
			b.logger().Warn("the lease on a file that is imported was not renewed", "change", file.Value.Of, "err", err)
		}
	}
	r, err := b.Import(ctx, change.RunBy, blob.Open(ctx, b.DB, file), ImportOptions{Source: in.Source, Format: file.Value.Type, Snapshot: in.Snapshot, Progress: renew, let: &in})
	switch {
	case err != nil && ends(fault.Of(err)):
		return fmt.Sprintf("the file could not be imported: %v", err), nil
	case err != nil:
		return "", err
	case r.Waiting != nil:
		return fmt.Sprintf("nothing was imported: by now it would add %d addresses, more than were approved; asked again as %s", r.Waiting.Addresses, r.Waiting.Change), nil
	}
	return fmt.Sprintf("imported: %d rows, %d with something new, %d changed, %d known, %d refused, %d conflicts", r.Rows, r.Created, r.Updated, r.Unchanged, r.RejectedRows, r.Conflicts), nil
}
