package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"lifeline/store"
)

// Run is the conformance suite; an engine whose database several processes share must pass RunShared too. fresh opens an empty engine that lives as long as the test, and may be called by several
// tests at a time.
func Run(t *testing.T, fresh func(testing.TB) store.Engine) {
	for _, part := range []struct {
		name  string
		tests []test
	}{
		{"records", recordTests},
		{"ranges", rangeTests},
		{"unique", uniqueTests},
		{"transactions", transactionTests},
		{"kinds", kindTests},
		{"upgrades", upgradeTests},
		{"leases", leaseTests},
		{"tables", tableTests},
		{"walks", walkTests},
		{"acts", actTests},
		{"together", togetherTests},
		{"changes", changeTests},
	} {
		t.Run(part.name, func(t *testing.T) {
			for _, test := range part.tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					test.run(t, fresh)
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(*testing.T, func(testing.TB) store.Engine)
}

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// plain has an index and a unique index; ids and tuples are any bytes. job can be claimed.
var (
	plain = store.Kind{Name: "plain", Prefix: "pln", Schema: 1, Composed: true, Indexes: []store.Index{
		{Name: "order", Fields: []store.Field{{Name: "order", Type: store.Text}}},
		{Name: "one", Fields: []store.Field{{Name: "one", Type: store.Text}}, Unique: true},
	}}
	job = store.Kind{Name: "job", Prefix: "job", Schema: 1, Composed: true, Leased: true, Indexes: []store.Index{
		{Name: "order", Fields: []store.Field{{Name: "order", Type: store.Text}}},
	}}
)

// bare is an engine under test with plain and job.
type bare struct {
	store.Engine
	t *testing.T
}

func openBare(t *testing.T, fresh func(testing.TB) store.Engine) bare {
	t.Helper()
	e := bare{fresh(t), t}
	if _, err := e.Migrate(t.Context(), []store.Kind{plain, job}, false); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	t.Cleanup(func() {
		for _, problem := range Check(e.Engine, []store.Kind{plain, job}) {
			t.Errorf("the store is not consistent: %s", problem)
		}
	})
	return e
}

var created = time.Date(2022, 4, 5, 7, 38, 0, 123456000, time.UTC)

// tuple encodes a text as the store does: no tuple is a prefix of another, which an engine may rely on.
func tuple(s string) []byte {
	return append(bytes.ReplaceAll([]byte(s), []byte{0}, []byte{0, 0xFF}), 0, 1)
}

// put is a Write of a plain record: order and one are texts in its indexes, "" for none.
func put(id string, was int64, order, one string) store.Write {
	w := store.Write{Kind: "plain", Was: was, Raw: store.Raw{
		Meta:   store.Meta{ID: id, Version: was + 1, Created: created, Updated: created},
		Body:   []byte("body of " + id),
		Tuples: make([][]byte, 2),
	}}
	if order != "" {
		w.Tuples[0] = tuple(order)
	}
	if one != "" {
		w.Tuples[1] = tuple(one)
	}
	return w
}

func remove(id string, was int64) store.Write {
	return store.Write{Kind: "plain", Was: was, Remove: true, Raw: store.Raw{Meta: store.Meta{ID: id}}}
}

// write applies writes in one transaction that reads nothing.
func (e bare) write(writes ...store.Write) error {
	return e.Update(e.t.Context(), func(store.Snapshot) (store.Writes, error) { return writes, nil })
}

// readThenWrite applies writes in one transaction that has read each record before.
func (e bare) readThenWrite(writes ...store.Write) error {
	return e.Update(e.t.Context(), func(s store.Snapshot) (store.Writes, error) {
		for _, w := range writes {
			if _, err := s.Get(w.Kind, w.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
		}
		return writes, nil
	})
}

func (e bare) mustWrite(writes ...store.Write) {
	e.t.Helper()
	if err := e.write(writes...); err != nil {
		e.t.Fatalf("write: %v", err)
	}
}

func (e bare) wantWrite(want error, writes ...store.Write) {
	e.t.Helper()
	if err := e.write(writes...); !errors.Is(err, want) {
		e.t.Fatalf("write: got %v, want %v", err, want)
	}
}

// get reads a record into memory of its own.
func (e bare) get(kind, id string) (raw store.Raw, err error) {
	err = e.View(e.t.Context(), func(s store.Snapshot) error {
		r, err := s.Get(kind, id)
		raw = own(r)
		return err
	})
	return raw, err
}

func (e bare) mustGet(kind, id string) store.Raw {
	e.t.Helper()
	raw, err := e.get(kind, id)
	if err != nil {
		e.t.Fatalf("get %s %q: %v", kind, id, err)
	}
	return raw
}

func (e bare) wantGone(kind, id string) {
	e.t.Helper()
	if _, err := e.get(kind, id); !errors.Is(err, store.ErrNotFound) {
		e.t.Fatalf("get %s %q: got %v, want %v", kind, id, err, store.ErrNotFound)
	}
}

// ids walks a range.
func (e bare) ids(r store.Range) []string {
	e.t.Helper()
	var got []string
	err := e.View(e.t.Context(), func(s store.Snapshot) (err error) {
		got, err = idsOf(s.Scan(r))
		if err != nil {
			return err
		}
		n, err := s.Count(r)
		if err == nil && n != len(got) && r.AfterID == "" {
			return fmt.Errorf("Count says %d, Scan %d", n, len(got))
		}
		return err
	})
	if err != nil {
		e.t.Fatalf("walk %+v: %v", r, err)
	}
	return got
}

func idsOf(seq iter.Seq2[store.Raw, error]) ([]string, error) {
	ids := []string{}
	for raw, err := range seq {
		if err != nil {
			return nil, err
		}
		ids = append(ids, raw.ID)
	}
	return ids, nil
}

func (e bare) wantIDs(r store.Range, want ...string) {
	e.t.Helper()
	if got := e.ids(r); !slices.Equal(got, want) {
		e.t.Errorf("walk %+v: got %q, want %q", r, got, want)
	}
}

func own(r store.Raw) store.Raw {
	r.Body = slices.Clone(r.Body)
	tuples := make([][]byte, len(r.Tuples))
	for i := range tuples {
		tuples[i] = slices.Clone(r.Tuples[i])
	}
	r.Tuples = tuples
	return r
}

// eventually asks again until it is told yes, and fails the test when that takes too long.
func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}
