package backup

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
}

const (
	pageRecords = 2000
	pageBytes   = 8 << 20
)

// Restore fills an engine that never kept anything, of either kind, with a backup. Only when the file proved whole can the store be opened; it is
// then another instance, and held (store.Held).
func (s Shelf) Restore(ctx context.Context, e Entry, engine store.Engine, o RestoreOptions) error {
	if e.Flaw != "" {
		return fault.New(fault.Conflict, "%s is not to be trusted: %s", e.Name(), e.Flaw)
	}
	var r *store.Restore
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
	err := s.open(ctx, e.Manifest, o.Identities, func(h header) (err error) {
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
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	act := store.Act{By: o.By, Verb: "store.restore", Reason: o.Reason}
	if err := r.Finish(ctx, act, store.Restored{Backup: e.Name(), Taken: e.Taken, At: time.Now().UTC().Truncate(time.Microsecond), Head: e.Head}); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// SliceOptions say which records to put back into a live store.
type SliceOptions struct {
	RestoreOptions
	// Belongs says whether a record is part of the slice, such as one account's, by its value (JSON).
	Belongs func(k store.Kind, id string, value json.RawMessage) bool
	// Newer says what becomes of records of the slice that the backup does not know.
	Newer Newer
}

// Newer is what becomes of records that came after the backup.
type Newer int

// They stay, or they go so that the slice is exactly what it was.
const (
	KeepNewer Newer = iota
	RemoveNewer
)

// Sliced is what a slice did, by id.
type Sliced struct {
	Restored []string `json:"restored"` // put back, over what stood or where nothing stood
	Same     int      `json:"same"`     // stood as in the backup
	Newer    []string `json:"newer"`    // unknown to the backup: kept or removed as asked
}

// mostSliced bounds one slice, which is one transaction.
const mostSliced = 50_000

// ours are the store's own kinds, which no slice touches.
func ours(k store.Kind) bool {
	return slices.ContainsFunc(store.Kinds(), func(own store.Kind) bool { return own.Name == k.Name })
}

// Slice puts the records that belong back into a live store, in one transaction, and touches no other. Messages that they would cause to be
// sent are not held: see what the records are before.
func (s Shelf) Slice(ctx context.Context, e Entry, db *store.DB, o SliceOptions) (done Sliced, err error) {
	if e.Flaw != "" {
		return done, fault.New(fault.Conflict, "%s is not to be trusted: %s", e.Name(), e.Flaw)
	}
	type key struct{ kind, id string }
	type piece struct {
		key
		raw   store.Raw
		value json.RawMessage
	}
	belongs := func(k store.Kind, raw store.Raw) (json.RawMessage, error) {
		if ours(k) {
			return nil, nil
		}
		value, err := db.Keys().Open(k, raw.ID, raw.Body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", k.Name, raw.ID, err)
		}
		if !o.Belongs(k, raw.ID, value) {
			return nil, nil
		}
		return value, nil
	}
	var old []piece
	known := map[key]bool{}
	err = s.open(ctx, e.Manifest, o.Identities, func(header) error { return nil }, func(k store.Kind, raw store.Raw) error {
		value, err := belongs(k, raw)
		if value == nil || err != nil {
			return err
		}
		if len(old) == mostSliced {
			return fault.New(fault.TooLarge, "more than %d records belong to it: restore the whole backup elsewhere and export from there", mostSliced)
		}
		p := piece{key{k.Name, raw.ID}, raw, value}
		old, known[p.key] = append(old, p), true
		return nil
	})
	if err != nil {
		return done, fmt.Errorf("restore a slice: %w", err)
	}
	live := map[key][sha256.Size]byte{} // digests of the values that stand
	var newer []piece
	err = db.View(ctx, func(tx *store.Tx) error {
		clear(live)
		newer = nil
		for _, k := range db.Declared() {
			if ours(k) {
				continue
			}
			for raw, err := range tx.Stored(k.Name) {
				if err != nil {
					return err
				}
				p := piece{key: key{k.Name, raw.ID}}
				if !known[p.key] {
					if value, err := belongs(k, raw); err != nil {
						return err
					} else if value != nil {
						p.raw.Version = raw.Version
						newer = append(newer, p)
					}
					continue
				}
				value, err := db.Keys().Open(k, raw.ID, raw.Body)
				if err != nil {
					return err
				}
				live[p.key] = digest(value, raw)
			}
		}
		return nil
	})
	if err != nil {
		return done, fmt.Errorf("restore a slice: %w", err)
	}
	act := store.Act{By: o.By, Verb: "store.slice", Reason: o.Reason}
	err = db.Update(ctx, act, func(tx *store.Tx) error {
		done = Sliced{}
		for _, p := range old {
			if d, stands := live[p.key]; stands && d == digest(p.value, p.raw) {
				done.Same++
				continue
			}
			if err := tx.PutStored(p.kind, p.raw); err != nil {
				return err
			}
			done.Restored = append(done.Restored, p.id)
		}
		for _, p := range newer {
			done.Newer = append(done.Newer, p.id)
			if o.Newer == RemoveNewer {
				if err := tx.RemoveStored(p.kind, p.id); err != nil {
					return err
				}
			}
		}
		if len(done.Restored) == 0 && (len(done.Newer) == 0 || o.Newer == KeepNewer) {
			return errNothing
		}
		tx.On(done.Restored...)
		if o.Newer == RemoveNewer {
			tx.On(done.Newer...)
		}
		return nil
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	if err != nil {
		return Sliced{}, fmt.Errorf("restore a slice: %w", err)
	}
	return done, nil
}

var errNothing = errors.New("nothing differs")

// digest is of a value and whether it was deleted, the two that a slice brings back.
func digest(value []byte, raw store.Raw) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s %s", raw.Deleted.UTC().Format(time.RFC3339Nano), value))
}
