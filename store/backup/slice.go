package backup

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"lifeline/store"
	"lifeline/store/fault"
)

// A slice is the records that belong to some roots, such as accounts. Pick copies it out of a backup, where the private key is, and PutSlice
// puts it into a live store, which needs no private key.

// PickOptions say which records to pick.
type PickOptions struct {
	RestoreOptions
	Kind  string   // that the roots are of
	Roots []string // their ids, or names that Named knows
	// Named reads, from a record that says so, another name of a root and its id; "": this record says none.
	Named  func(kind string, value json.RawMessage) (name, id string)
	Owners map[string]store.Owner // by kind: whose its records are

	most int // bytes; 0: mostHeld
}

// ownerOf is the id of the record that a value's record belongs to; "": none.
func ownerOf(o store.Owner, value json.RawMessage) string {
	var all map[string]json.RawMessage
	var id string
	if o.Field == "" || json.Unmarshal(value, &all) != nil || json.Unmarshal(all[o.Field], &id) != nil {
		return ""
	}
	return id
}

// owns says whether records of a kind may own others.
func (o PickOptions) owns(kind string) bool {
	for _, owner := range o.Owners {
		if slices.Contains(owner.Kinds, kind) {
			return true
		}
	}
	return false
}

// mostSliced bounds one slice, which is one transaction.
const mostSliced = 100_000

// mostHeld bounds it by bytes as well, in what its records take as they are sealed: all of it is held in memory.
const mostHeld = 512 << 20

// weight counts what a slice holds.
type weight struct {
	records int
	bytes   int
	most    int // bytes; 0: mostHeld
}

func (w *weight) add(body []byte) error {
	w.records++
	w.bytes += len(body)
	most := cmp.Or(w.most, mostHeld)
	if w.records > mostSliced || w.bytes > most {
		return fault.New(fault.TooLarge, "more than %d records or %d bytes belong to it: restore fewer at a time", mostSliced, most)
	}
	return nil
}

// Pick proves a backup and writes the slice of it that belongs to the roots into w. It walks the file several times and keeps nothing but ids. Roots
// that the backup does not know are an error that names them.
func (s Shelf) Pick(ctx context.Context, e Entry, o PickOptions, w io.Writer) (counts map[string]int, err error) {
	if err := s.Prove(ctx, e, o.RestoreOptions); err != nil {
		return nil, err
	}
	belong, err := s.roots(ctx, e, o)
	// Owners come in any order: each walk finds who belongs to those that are known, until nobody new is found.
	for known := 0; err == nil && len(belong) > known; {
		known = len(belong)
		step := o.progress(e)
		err = s.walk(ctx, e, o, func(k store.Kind, _ store.Raw) bool { step(); return o.owns(k.Name) }, func(k store.Kind, raw store.Raw, value json.RawMessage) error {
			if belong[ownerOf(o.Owners[k.Name], value)] {
				belong[raw.ID] = true
			}
			return nil
		})
	}
	if err == nil {
		counts, err = s.copySlice(ctx, e, o, belong, w)
	}
	if err != nil {
		return nil, fmt.Errorf("pick a slice: %w", err)
	}
	return counts, nil
}

// roots gives the ids of the roots, however they are named, all of which must be in the backup.
func (s Shelf) roots(ctx context.Context, e Entry, o PickOptions) (ids map[string]bool, err error) {
	wanted, ids := map[string]bool{}, map[string]bool{}
	for _, root := range o.Roots {
		wanted[root] = true
	}
	err = s.walk(ctx, e, o, func(k store.Kind, raw store.Raw) bool {
		if k.Name == o.Kind && wanted[raw.ID] {
			ids[raw.ID] = true
			delete(wanted, raw.ID)
		}
		return o.Named != nil
	}, func(k store.Kind, _ store.Raw, value json.RawMessage) error {
		if name, id := o.Named(k.Name, value); name != "" && wanted[name] {
			ids[id] = true
			delete(wanted, name)
		}
		return nil
	})
	if err == nil && len(wanted) > 0 {
		unknown := slices.Sorted(maps.Keys(wanted))
		err = fault.New(fault.NotFound, "%s does not know %d of those named: %q. Nothing was restored", e.Name(), len(unknown), unknown[:min(20, len(unknown))])
	}
	return ids, err
}

// walk opens the records of a backup that can belong to others, or others to them, and of those the ones that look wants.
func (s Shelf) walk(ctx context.Context, e Entry, o PickOptions, look func(store.Kind, store.Raw) bool, fn func(store.Kind, store.Raw, json.RawMessage) error) error {
	return s.open(ctx, e.Manifest, o.Identities, func(header) error { return nil }, func(k store.Kind, raw store.Raw) error {
		if !look(k, raw) || o.Owners[k.Name].Field == "" || ours(k) {
			return nil
		}
		value, err := o.Keys.Open(k, raw.ID, raw.Body)
		if err != nil {
			return fmt.Errorf("%s %s: %w", k.Name, raw.ID, err)
		}
		return fn(k, raw, value)
	})
}

func (s Shelf) copySlice(ctx context.Context, e Entry, o PickOptions, belong map[string]bool, w io.Writer) (map[string]int, error) {
	var out *streamWriter
	has := weight{most: o.most}
	put := func(k store.Kind, raw store.Raw) error {
		if err := has.add(raw.Body); err != nil {
			return err
		}
		if out.kind != k.Name {
			if err := out.begin(k.Name); err != nil {
				return err
			}
		}
		_, err := out.record(raw)
		return err
	}
	err := s.open(ctx, e.Manifest, o.Identities, func(h header) (err error) {
		out, err = newStreamWriter(w, h)
		return err
	}, func(k store.Kind, raw store.Raw) error {
		owner, known := o.Owners[k.Name]
		if ours(k) || !known && !o.owns(k.Name) {
			return nil
		}
		if belong[raw.ID] {
			return put(k, raw)
		}
		value, err := o.Keys.Open(k, raw.ID, raw.Body)
		if err != nil {
			return fmt.Errorf("%s %s: %w", k.Name, raw.ID, err)
		}
		if !belong[ownerOf(owner, value)] {
			return nil
		}
		return put(k, raw)
	})
	if err != nil {
		return nil, err
	}
	return out.counts, out.end()
}

// ours are the store's own kinds, which no slice touches.
func ours(k store.Kind) bool {
	return slices.ContainsFunc(store.Kinds(), func(own store.Kind) bool { return own.Name == k.Name })
}

// SliceOptions say what to do with a slice.
type SliceOptions struct {
	By, Reason string
	Applies    store.Applies                          // who applies the facts of the journal to what comes back
	Facts      func() (facts []store.Fact, err error) // those behind the backup that was picked from
	Dry        bool                                   // say what would be done, and do nothing

	most int // bytes; 0: mostHeld
}

// Sliced is what a slice did, or would do.
type Sliced struct {
	Restored map[string]int `json:"restored"` // by kind: put back, over what stood or where nothing stood
	Gone     int            `json:"gone"`     // of those, how many stood nowhere, or were deleted
	Same     int            `json:"same"`     // stood as in the backup
	Sample   []string       `json:"sample"`   // ids of some of those put back
	Dry      bool           `json:"dry_run"`
}

// Total is how many records were put back.
func (s Sliced) Total() (n int) {
	for _, some := range s.Restored {
		n += some
	}
	return n
}

// piece is a record of a slice, of a kind as this binary declares it.
type piece struct {
	kind  store.Kind
	raw   store.Raw
	value [sha256.Size]byte // digest of it: with its files, a slice would be held twice
}

// PutSlice puts a slice that Pick wrote back into a live store, in one transaction, and touches no other record; what came to the same
// owners after the backup stays. Facts newer than the backup hold for what came back: who opted out since stays out. Messages that the records
// would cause to be sent are not held: see what the records are before.
func PutSlice(ctx context.Context, db *store.DB, r io.Reader, o SliceOptions) (done Sliced, err error) {
	pieces, err := readSlice(ctx, db, r, weight{most: o.most})
	if err != nil {
		return done, fmt.Errorf("restore a slice: %w", err)
	}
	facts, err := o.facts()
	if err != nil {
		return done, fmt.Errorf("restore a slice: %w", err)
	}
	back := map[string]bool{}
	may := func(id string) bool { return back[id] }
	act := store.Act{By: o.By, Verb: "store.slice", Reason: o.Reason}
	err = db.Update(ctx, act, func(tx *store.Tx) error {
		done = Sliced{Restored: map[string]int{}, Sample: []string{}, Dry: o.Dry}
		clear(back)
		for _, p := range pieces {
			old, err := tx.StoredOne(p.kind.Name, p.raw.ID)
			if err != nil && fault.Of(err) != fault.NotFound {
				return err
			}
			stands := err == nil
			if stands {
				if same, err := p.stands(db.Keys(), old); err != nil {
					return err
				} else if same {
					done.Same++
					continue
				}
			}
			if !stands || !old.Deleted.IsZero() {
				done.Gone++
			}
			done.Restored[p.kind.Name]++
			if len(done.Sample) < 10 {
				done.Sample = append(done.Sample, p.raw.ID)
			}
			back[p.raw.ID] = true
			tx.On(p.raw.ID)
			if err := tx.PutStored(p.kind.Name, p.raw); err != nil {
				return err
			}
		}
		if o.Dry || len(back) == 0 {
			return store.ErrNothing
		}
		waiting, err := tx.WaitingFacts()
		if err != nil {
			return err
		}
		return tx.Reapply(o.Applies, slices.Concat(facts, waiting), may)
	})
	if err == nil && !o.Dry && len(back) > 0 {
		err = o.applyLater(ctx, db, facts, may)
	}
	if err != nil {
		return Sliced{}, fmt.Errorf("restore a slice: %w", err)
	}
	return done, nil
}

func (o SliceOptions) facts() ([]store.Fact, error) {
	if o.Facts == nil {
		return nil, nil
	}
	return o.Facts()
}

// applyLater is for facts that were neither in a page when those were read nor waiting when the slice was written: brought out between the two.
func (o SliceOptions) applyLater(ctx context.Context, db *store.DB, had []store.Fact, may func(string) bool) error {
	all, err := o.facts()
	if err != nil || len(all) <= len(had) {
		return err
	}
	return db.Update(ctx, store.Act{By: o.By, Verb: "journal.reapply", Reason: o.Reason}, func(tx *store.Tx) error {
		return tx.Reapply(o.Applies, all[len(had):], may)
	})
}

// readSlice reads a slice whole: nothing of one that was cut or altered is used, and nothing that these keys did not seal.
func readSlice(ctx context.Context, db *store.DB, r io.Reader, has weight) (pieces []piece, err error) {
	declared := map[string]store.Kind{}
	for _, k := range db.Declared() {
		if !ours(k) {
			declared[k.Name] = k
		}
	}
	_, _, err = readStream(r, func(header) error { return nil }, func(k store.Kind, raw store.Raw) error {
		now, known := declared[k.Name]
		if !known {
			return fault.New(fault.Invalid, "a slice holds no %s", k.Name)
		}
		if err := has.add(raw.Body); err != nil {
			return err
		}
		value, err := db.Keys().Open(k, raw.ID, raw.Body)
		if err != nil {
			return fault.Wrap(fault.Invalid, err, "%s %s", k.Name, raw.ID)
		}
		pieces = append(pieces, piece{now, raw, sha256.Sum256(value)})
		return ctx.Err()
	})
	return pieces, err
}

// stands says whether a record is as the slice has it, as far as a slice brings it back: its value, and whether it was deleted.
func (p piece) stands(keys *store.Keys, old store.Raw) (bool, error) {
	value, err := keys.Open(p.kind, old.ID, old.Body)
	return err == nil && sha256.Sum256(value) == p.value && old.Deleted.Equal(p.raw.Deleted), err
}
