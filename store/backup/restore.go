package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"lifeline/store"
	"lifeline/store/fault"
)

// RestoreOptions say what to open a backup with and who restores it.
type RestoreOptions struct {
	Identities []age.Identity
	Keys       *store.Keys // the store's, from the key directory or from escrow
	By         string      // staff id or "system:..."
	Reason     string
	Kinds      []store.Kind  // those that this binary opens a store with; needed with Applies
	Applies    store.Applies // who applies the journal behind the backup; nil: nobody does, and what it would hold is lost
	Journal    func(store.Reapplied)
	Progress   func(done, total int) // records
}

func (o RestoreOptions) progress(e Entry) func() {
	done, total := 0, 0
	for _, n := range e.Counts {
		total += n
	}
	return func() {
		if done++; o.Progress != nil && (done%1000 == 0 || done == total) {
			o.Progress(done, total)
		}
	}
}

var errProved = errors.New("proved")

// Prove looks, before anything is touched, whether a backup can be restored: its manifest is ours and stands in its chain, the keys are all
// there, the identity opens the file, and the keys open a record in it. What does not hold is said with what to do about it.
func (s Shelf) Prove(ctx context.Context, e Entry, o RestoreOptions) error {
	if e.Flaw != "" {
		return fault.New(fault.Conflict, "%s is not to be trusted: %s. Choose another with --at, and find out who touched it", e.Name(), e.Flaw)
	}
	if !e.Present {
		return fault.New(fault.Conflict, "the file of %s is gone from %s: choose another with --at, or name another place first in LIFELINE_BACKUPS", e.Name(), s.Place)
	}
	if o.Keys == nil {
		return fault.New(fault.Conflict, "there are no keys: lifeline key restore makes the directory from a custodian's file")
	}
	held := o.Keys.Names()
	for _, name := range e.Keys {
		if !slices.Contains(held, name) {
			return fault.New(fault.Conflict, "the key %s, which %s needs, is not in the key directory: put a newer copy back from escrow (lifeline key restore)", name, e.Name())
		}
	}
	err := s.open(ctx, e.Manifest, o.Identities, func(header) error { return nil }, func(k store.Kind, raw store.Raw) error {
		if _, err := o.Keys.Open(k, raw.ID, raw.Body); err != nil {
			return fault.Wrap(fault.Conflict, err, "the keys do not open %s %s: they belong to another store", k.Name, raw.ID)
		}
		return errProved
	})
	var no *age.NoIdentityMatchError
	switch {
	case errors.Is(err, errProved):
		return nil
	case errors.As(err, &no):
		return fault.Wrap(fault.Conflict, err, "this identity is none that %s was encrypted to (%s): ask the owner of one of those", e.Name(), strings.Join(e.Recipients, ", "))
	case err == nil:
		err = errors.New("it holds no record")
	}
	return fmt.Errorf("prove %s before restoring: %w", e.Name(), err)
}

const (
	pageRecords = 2000
	pageBytes   = 8 << 20
)

// Restore proves a backup (Prove), fills with it an engine that never kept anything, of either kind, compares what then stands with what the
// manifest promises, and applies the journal. Only when all that went well can the store be opened; it is then another instance, and held
// (store.Held).
func (s Shelf) Restore(ctx context.Context, e Entry, engine store.Engine, o RestoreOptions) error {
	if err := s.Prove(ctx, e, o); err != nil {
		return err
	}
	var replay func(*store.DB) (int, error)
	if o.Applies != nil {
		facts, err := s.Facts(ctx, e.Page, o.Keys)
		if err != nil {
			return fmt.Errorf("%w. What it says since %s cannot be applied: without it (--without-journal) people who opted out since are written to again, and what was revoked opens again",
				err, e.Taken.UTC().Format(time.RFC3339))
		}
		replay = func(db *store.DB) (int, error) {
			done, err := db.Reapply(ctx, store.Act{By: o.By, Verb: "journal.reapply", Reason: o.Reason}, o.Applies, facts)
			if err == nil && o.Journal != nil {
				o.Journal(done)
			}
			return len(facts), err
		}
	}
	r, kinds, err := s.refill(ctx, e, engine, o)
	if err == nil {
		err = sameContent(ctx, r, kinds, e)
	}
	if err == nil {
		act := store.Act{By: o.By, Verb: "store.restore", Reason: o.Reason}
		from := store.Restored{Backup: e.Name(), Taken: e.Taken, At: time.Now().UTC().Truncate(time.Microsecond), Head: e.Head}
		err = r.Finish(ctx, act, from, o.Kinds, replay)
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// refill writes every record of a backup into an engine.
func (s Shelf) refill(ctx context.Context, e Entry, engine store.Engine, o RestoreOptions) (r *store.Restore, kinds []store.Kind, err error) {
	var kind string
	var page []store.Raw
	size := 0
	flush := func() error {
		if len(page) == 0 {
			return nil
		}
		if err := r.Put(ctx, kind, page); err != nil {
			return fmt.Errorf("write records of kind %s: %w", kind, err)
		}
		page, size = page[:0], 0
		return nil
	}
	step := o.progress(e)
	err = s.open(ctx, e.Manifest, o.Identities, func(h header) (err error) {
		kinds = h.Kinds
		r, err = store.BeginRestore(ctx, engine, o.Keys, h.Kinds)
		return err
	}, func(k store.Kind, raw store.Raw) error {
		if k.Name != kind || len(page) == pageRecords || size > pageBytes {
			if err := flush(); err != nil {
				return err
			}
			kind = k.Name
		}
		page, size = append(page, raw), size+len(raw.Body)
		step()
		return nil
	})
	if err == nil {
		err = flush()
	}
	return r, kinds, err
}

// sameContent says whether the store that was filled holds what the backup's manifest was signed for, record for record.
func sameContent(ctx context.Context, r *store.Restore, kinds []store.Kind, e Entry) error {
	if e.Content == "" { // taken before manifests said so
		return nil
	}
	sum := newContentSum()
	for _, k := range kinds {
		sum.begin(k.Name)
		if err := r.Walk(ctx, k.Name, func(raw store.Raw) error { sum.record(raw); return nil }); err != nil {
			return fmt.Errorf("read back kind %s: %w", k.Name, err)
		}
	}
	if got := sum.String(); got != e.Content {
		return fmt.Errorf("the restored records are not those of the backup: their digest is %s, the manifest says %s", got, e.Content)
	}
	return nil
}
