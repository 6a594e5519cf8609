package bolt

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"

	bbolt "go.etcd.io/bbolt"

	"lifeline/store"
)

var (
	metaBucket  = []byte("meta")
	kindsKey    = []byte("kinds")
	unfilledKey = []byte("unfilled") // kinds with a new index that may lack records, as JSON
	formatKey   = []byte("format")   // of buckets and records, as a number in digits; a file without it has format 1
)

// errNothingNew rolls a migration back that has nothing to do, so that starting again is no change (see Change).
var errNothingNew = errors.New("nothing new")

// checkFormat refuses a file that a newer Lifeline laid out.
func checkFormat(meta *bbolt.Bucket) error {
	v := meta.Get(formatKey)
	if v == nil {
		return nil
	}
	n, err := strconv.Atoi(string(v))
	if err != nil {
		return fmt.Errorf("read the store's format: %w", err)
	}
	if n > format {
		return fmt.Errorf("the store was written by a newer Lifeline (format %d; this one knows %d): run that version", n, format)
	}
	return nil
}

// Migrate implements store.Engine: buckets for new kinds and, with a higher schema, for new indexes. Other changes of a kind's indexes are
// refused while it holds records.
func (e *Engine) Migrate(_ context.Context, kinds []store.Kind, dry bool) (steps []string, err error) {
	run := e.db.Update
	if dry {
		run = e.db.View
	}
	err = run(func(tx *bbolt.Tx) error {
		steps = nil
		b := tx.Bucket(metaBucket)
		known, unfilled, err := declared(b)
		if err != nil {
			return err
		}
		for _, k := range kinds {
			old, had := known[k.Name]
			records := tx.Bucket(recordBucket(k.Name))
			filled := false
			if records != nil {
				first, _ := records.Cursor().First()
				filled = first != nil
			}
			switch {
			case had && k.Schema < old.Schema:
				return fmt.Errorf("kind %s was written by a newer Lifeline (schema %d; this one knows %d): run that version", k.Name, old.Schema, k.Schema)
			case had && filled && (k.Leased != old.Leased || k.Schema == old.Schema && !reflect.DeepEqual(k.Indexes, old.Indexes)):
				return fmt.Errorf("kind %s has records and its indexes changed: no migration is written for that", k.Name)
			case had && filled && !reflect.DeepEqual(k.Indexes, old.Indexes):
				steps = append(steps, "changed kind "+k.Name+": its records get new indexes")
				if !dry {
					if err := reshape(tx, old, k); err != nil {
						return fmt.Errorf("kind %s: %w", k.Name, err)
					}
					if !slices.Contains(unfilled, k.Name) {
						unfilled = append(unfilled, k.Name)
					}
				}
			case !had:
				steps = append(steps, "new kind "+k.Name)
			case !reflect.DeepEqual(k, old):
				steps = append(steps, "changed kind "+k.Name)
			}
			known[k.Name] = k
			if dry {
				continue
			}
			if err := buckets(tx, k); err != nil {
				return err
			}
		}
		if dry {
			return nil
		}
		if len(steps) == 0 && b != nil {
			return errNothingNew
		}
		meta, err := tx.CreateBucketIfNotExists(metaBucket)
		if err != nil {
			return err
		}
		all, err := json.Marshal(known)
		if err != nil {
			return err
		}
		return errors.Join(meta.Put(formatKey, strconv.AppendInt(nil, format, 10)), meta.Put(kindsKey, all), putUnfilled(meta, unfilled))
	})
	if errors.Is(err, errNothingNew) {
		err = nil
	}
	if err == nil && !dry {
		declared := map[string]store.Kind{}
		for _, k := range kinds {
			declared[k.Name] = k
		}
		e.kinds.Store(&declared)
	}
	return steps, err
}

// declared reads what was readied before; nothing when meta is nil.
func declared(meta *bbolt.Bucket) (known map[string]store.Kind, unfilled []string, err error) {
	known = map[string]store.Kind{}
	if meta == nil {
		return known, nil, nil
	}
	if err := checkFormat(meta); err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(meta.Get(kindsKey), &known); err != nil {
		return nil, nil, fmt.Errorf("read the declared kinds: %w", err)
	}
	if v := meta.Get(unfilledKey); v != nil {
		if err := json.Unmarshal(v, &unfilled); err != nil {
			return nil, nil, fmt.Errorf("read which indexes are not filled: %w", err)
		}
	}
	return known, unfilled, nil
}

func putUnfilled(meta *bbolt.Bucket, unfilled []string) error {
	if len(unfilled) == 0 {
		return meta.Delete(unfilledKey)
	}
	v, err := json.Marshal(unfilled)
	if err != nil {
		return err
	}
	return meta.Put(unfilledKey, v)
}

// reshape carries the records of a kind over to other indexes: tuples of an index that stays move to its new place, those of a new one are
// missing.
func reshape(tx *bbolt.Tx, old, k store.Kind) error {
	from := make([]int, len(k.Indexes)) // by place, the old place
	for i, ix := range k.Indexes {
		from[i] = slices.IndexFunc(old.Indexes, func(o store.Index) bool { return reflect.DeepEqual(o, ix) })
	}
	for i, ix := range old.Indexes {
		if !slices.Contains(from, i) {
			if err := tx.DeleteBucket(indexBucket(k.Name, ix.Name)); err != nil {
				return fmt.Errorf("drop index %s: %w", ix.Name, err)
			}
		}
	}
	records := tx.Bucket(recordBucket(k.Name))
	var keys [][]byte
	if err := records.ForEach(func(key, _ []byte) error {
		keys = append(keys, bytes.Clone(key))
		return nil
	}); err != nil {
		return err
	}
	for _, key := range keys {
		raw, err := decode(string(key), records.Get(key))
		if err != nil {
			return err
		}
		tuples := make([][]byte, len(k.Indexes))
		for i, at := range from {
			if at >= 0 && at < len(raw.Tuples) {
				tuples[i] = raw.Tuples[at]
			}
		}
		raw.Tuples = tuples
		if err := records.Put(key, encode(raw)); err != nil {
			return err
		}
	}
	return nil
}

// Stored implements store.Engine.
func (e *Engine) Stored(context.Context) (s store.Stored, err error) {
	err = e.db.View(func(tx *bbolt.Tx) error {
		known, unfilled, err := declared(tx.Bucket(metaBucket))
		s = store.Stored{Kinds: slices.SortedFunc(maps.Values(known), func(a, b store.Kind) int { return cmp.Compare(a.Name, b.Name) }), Unfilled: unfilled}
		return err
	})
	return s, err
}

// Filled implements store.Engine.
func (e *Engine) Filled(_ context.Context, kind string) error {
	return e.db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		_, unfilled, err := declared(meta)
		if err != nil {
			return err
		}
		return putUnfilled(meta, slices.DeleteFunc(unfilled, func(name string) bool { return name == kind }))
	})
}

// CopyTo writes a copy of the file as it stands to path, which must not exist, and syncs it.
func (e *Engine) CopyTo(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = e.db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(f)
		return err
	})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncDir(filepath.Dir(path))
}

func buckets(tx *bbolt.Tx, k store.Kind) error {
	names := [][]byte{recordBucket(k.Name)}
	for _, ix := range k.Indexes {
		names = append(names, indexBucket(k.Name, ix.Name))
	}
	if k.Leased {
		names = append(names, dueBucket(k.Name))
	}
	for _, name := range names {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}
