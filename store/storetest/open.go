// Package storetest is what a store engine must do, as tests, and opens stores for the tests of every room.
//
// [Open] and [Each] give a room's tests a fresh store with fresh keys and check, when the test ends, that every index
// row has its record and every record its index rows. [Run] is the conformance suite: an engine that passes it can
// carry Lifeline.
package storetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/bolt"
	"lifeline/store/postgres"
	"lifeline/store/postgres/pgtest"
)

// Option changes how Open and Each open a store.
type Option func(*options)

type options struct {
	clock     store.Clock
	keys      *store.Keys
	unchecked bool
}

// Clock gives the store a domain clock; without it the store tells wall time.
func Clock(c store.Clock) Option { return func(o *options) { o.clock = c } }

// WithKeys opens the store with these keys instead of fresh ones.
func WithKeys(k *store.Keys) Option { return func(o *options) { o.keys = k } }

// Unchecked leaves out the look at the indexes after the test, for a test that breaks the store on purpose.
func Unchecked() Option { return func(o *options) { o.unchecked = true } }

// Keys makes fresh keys in a directory of the test's own.
func Keys(t testing.TB) *store.Keys {
	t.Helper()
	keys, err := store.OpenKeys(filepath.Join(t.TempDir(), "keys"), true)
	if err != nil {
		t.Fatalf("make keys: %v", err)
	}
	return keys
}

// Open opens a fresh embedded store for the kinds, closes it when the test ends, and then checks its indexes.
func Open(t testing.TB, kinds []store.Kind, opts ...Option) *store.DB {
	t.Helper()
	return open(t, Bolt(t), kinds, opts)
}

// Bolt opens a fresh embedded engine, closed when the test ends.
func Bolt(t testing.TB) store.Engine {
	t.Helper()
	engine, err := bolt.Open(filepath.Join(scratch(t), "store.db"), bolt.Options{})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return engine
}

// scratch is a directory of the test's own: in memory, where nobody waits for a disk to sync, if there is plenty of it.
func scratch(t testing.TB) string {
	t.Helper()
	const memory, plenty = "/dev/shm", 2 << 30
	var at syscall.Statfs_t
	if err := syscall.Statfs(memory, &at); err != nil || at.Bavail*uint64(at.Bsize) < plenty {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "lifeline-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the store: %v", err)
		}
	})
	return dir
}

// Postgres opens an engine on a fresh PostgreSQL database, closed when the test ends. See package pgtest for where the
// server comes from.
func Postgres(t testing.TB) store.Engine {
	t.Helper()
	return PostgresAt(t, pgtest.URL(t))
}

// PostgresAt opens another engine on a database, as a second process would.
func PostgresAt(t testing.TB, url string) store.Engine {
	t.Helper()
	engine, err := postgres.Open(context.Background(), url, postgres.Options{Patience: 20 * time.Second})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return engine
}

// Each runs fn as a subtest on a fresh store of either engine.
func Each(t *testing.T, kinds []store.Kind, fn func(t *testing.T, db *store.DB), opts ...Option) {
	t.Helper()
	t.Run("bolt", func(t *testing.T) { fn(t, open(t, Bolt(t), kinds, opts)) })
	t.Run("postgres", func(t *testing.T) { fn(t, open(t, Postgres(t), kinds, opts)) })
}

func open(t testing.TB, engine store.Engine, kinds []store.Kind, opts []Option) *store.DB {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if o.keys == nil {
		o.keys = Keys(t)
	}
	db, err := store.Open(context.Background(), engine, store.Options{Keys: o.keys, Kinds: kinds, Clock: o.clock})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		if o.unchecked {
			return
		}
		for _, problem := range Check(engine, db.Declared()) {
			t.Errorf("the store is not consistent: %s", problem)
		}
	})
	return db
}

// Check walks every kind and names each record that an index lacks, each index row without a record or out of order,
// each deleted record that is still in an index, and each unique value held twice.
func Check(engine store.Engine, kinds []store.Kind) (problems []string) {
	report := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	err := engine.View(context.Background(), func(s store.Snapshot) error {
		for _, k := range kinds {
			if err := checkKind(s, k, report); err != nil {
				return fmt.Errorf("walk kind %s: %w", k.Name, err)
			}
		}
		return nil
	})
	if err != nil {
		report("%v", err)
	}
	return problems
}

// entry is one index row, or what the records say that it should be.
type entry struct {
	tuple []byte
	id    string
}

func checkKind(s store.Snapshot, k store.Kind, report func(string, ...any)) error {
	want := make([][]entry, len(k.Indexes))
	lastID, live := "", 0
	for raw, err := range s.Scan(store.Range{Kind: k.Name, Deleted: true}) {
		if err != nil {
			return err
		}
		if lastID != "" && raw.ID <= lastID {
			report("%s: id %q stands behind %q", k.Name, raw.ID, lastID)
		}
		lastID = raw.ID
		if raw.Deleted.IsZero() {
			live++
		} else if !raw.Due.IsZero() {
			report("%s %q is deleted and yet due", k.Name, raw.ID)
		}
		if raw.Version < 1 {
			report("%s %q has version %d", k.Name, raw.ID, raw.Version)
		}
		for i, tuple := range raw.Tuples {
			if tuple == nil {
				continue
			}
			if i >= len(k.Indexes) {
				report("%s %q has a tuple for index %d of %d", k.Name, raw.ID, i, len(k.Indexes))
				continue
			}
			if !raw.Deleted.IsZero() {
				report("%s %q is deleted and yet in index %s", k.Name, raw.ID, k.Indexes[i].Name)
			}
			want[i] = append(want[i], entry{bytes.Clone(tuple), raw.ID})
		}
	}
	if n, err := s.Count(store.Range{Kind: k.Name}); err != nil {
		return err
	} else if n != live {
		report("%s: Count says %d live records, a walk %d", k.Name, n, live)
	}
	for i, ix := range k.Indexes {
		if err := checkIndex(s, k, ix, i, want[i], report); err != nil {
			return fmt.Errorf("index %s: %w", ix.Name, err)
		}
	}
	return nil
}

func checkIndex(s store.Snapshot, k store.Kind, ix store.Index, at int, want []entry, report func(string, ...any)) error {
	slices.SortFunc(want, func(a, b entry) int {
		return cmp.Or(bytes.Compare(a.tuple, b.tuple), cmp.Compare(a.id, b.id))
	})
	if n, err := s.Count(store.Range{Kind: k.Name, Index: ix.Name}); err != nil {
		return err
	} else if n != len(want) {
		report("%s: index %s has %d rows, its records ask for %d", k.Name, ix.Name, n, len(want))
	}
	n := 0
	for raw, err := range s.Scan(store.Range{Kind: k.Name, Index: ix.Name}) {
		if err != nil {
			return err
		}
		if n >= len(want) {
			report("%s: index %s shows %q, which no record asks for", k.Name, ix.Name, raw.ID)
			break
		}
		if raw.ID != want[n].id || at >= len(raw.Tuples) || !bytes.Equal(raw.Tuples[at], want[n].tuple) {
			report("%s: index %s shows %q where the records ask for %q", k.Name, ix.Name, raw.ID, want[n].id)
			break
		}
		if ix.Unique && n > 0 && bytes.Equal(want[n].tuple, want[n-1].tuple) {
			report("%s: %q and %q share a value of the unique index %s", k.Name, want[n-1].id, want[n].id, ix.Name)
		}
		n++
	}
	return nil
}
