package bolt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	bbolt "go.etcd.io/bbolt"

	"lifeline/store"
)

var (
	metaBucket = []byte("meta")
	kindsKey   = []byte("kinds")
	formatKey  = []byte("format") // of buckets and records, as a number in digits; a file without it has format 1
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

// Migrate implements store.Engine: buckets for new kinds. A kind whose indexes changed while it holds records is refused.
func (e *Engine) Migrate(_ context.Context, kinds []store.Kind, dry bool) (steps []string, err error) {
	run := e.db.Update
	if dry {
		run = e.db.View
	}
	err = run(func(tx *bbolt.Tx) error {
		steps = nil
		known := map[string]store.Kind{}
		b := tx.Bucket(metaBucket)
		if b != nil {
			if err := checkFormat(b); err != nil {
				return err
			}
			if err := json.Unmarshal(b.Get(kindsKey), &known); err != nil {
				return fmt.Errorf("read the declared kinds: %w", err)
			}
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
			case had && filled && (k.Leased != old.Leased || !reflect.DeepEqual(k.Indexes, old.Indexes)):
				return fmt.Errorf("kind %s has records and its indexes changed: no migration is written for that", k.Name)
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
		return errors.Join(meta.Put(formatKey, strconv.AppendInt(nil, format, 10)), meta.Put(kindsKey, all))
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
