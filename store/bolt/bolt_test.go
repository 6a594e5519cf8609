package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"

	"lifeline/store"
	"lifeline/store/bolt"
)

// The conformance suite runs on this engine in package storetest; here is what only its own writer and its own file can do.

var (
	plain = store.Kind{Name: "plain", Prefix: "pln", Composed: true}
	job   = store.Kind{Name: "job", Prefix: "job", Composed: true, Leased: true}
	kinds = []store.Kind{plain, job}
)

func ready(t *testing.T, path string, o bolt.Options) *bolt.Engine {
	t.Helper()
	e, err := bolt.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	if _, err := e.Migrate(t.Context(), kinds, false); err != nil {
		t.Fatal(err)
	}
	return e
}

func fresh(t *testing.T, o bolt.Options) *bolt.Engine {
	t.Helper()
	return ready(t, filepath.Join(t.TempDir(), "store.db"), o)
}

func record(kind, id string) store.Write {
	now := time.Now()
	return store.Write{Kind: kind, Raw: store.Raw{Meta: store.Meta{ID: id, Version: 1, Created: now, Updated: now}}}
}

func write(ctx context.Context, e *bolt.Engine, writes ...store.Write) error {
	return e.Update(ctx, func(store.Snapshot) (store.Writes, error) { return writes, nil })
}

func has(t *testing.T, e *bolt.Engine, kind, id string) bool {
	t.Helper()
	err := e.View(t.Context(), func(s store.Snapshot) error { _, err := s.Get(kind, id); return err })
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// A second store on an engine readies it again while the first one's writers and workers are at it.
func TestReadyingMeetsWritersAtWork(t *testing.T) {
	e := fresh(t, bolt.Options{Patience: time.Minute})
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for i := range 20 {
				w := record("job", fmt.Sprintf("job_%d.%d", n, i))
				w.Due = time.Now().Add(-time.Hour)
				if err := write(t.Context(), e, w); err != nil {
					t.Error(err)
				}
				if _, err := e.Claim(t.Context(), store.Lease{Kind: "job", Holder: "w", For: time.Hour, Limit: 3}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		if _, err := e.Migrate(t.Context(), kinds, false); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

// hold keeps the writer busy until the returned function is called, which says what became of the call that held it.
func hold(t *testing.T, e *bolt.Engine, id string) (release func() error) {
	t.Helper()
	held, free, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		err := store.ErrUnavailable // an impatient store may be busy
		for errors.Is(err, store.ErrUnavailable) {
			err = e.Update(context.Background(), func(store.Snapshot) (store.Writes, error) {
				close(held)
				<-free
				return store.Writes{record("plain", id)}, nil
			})
		}
		done <- err
	}()
	<-held
	return func() error {
		close(free)
		return <-done
	}
}

func TestACallerWhoLeavesTheQueueTakesTheCallAlong(t *testing.T) {
	for _, test := range []struct {
		name     string
		patience time.Duration
		leave    func(cancel func(), e *bolt.Engine)
		want     error
	}{
		{"the caller gives up", time.Hour, func(cancel func(), _ *bolt.Engine) { cancel() }, context.Canceled},
		{"the patience ends", time.Millisecond, func(func(), *bolt.Engine) {}, store.ErrUnavailable},
		{"the store closes", time.Hour, func(_ func(), e *bolt.Engine) { go e.Close() }, store.ErrUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			e := ready(t, path, bolt.Options{Patience: test.patience})
			for { // an impatient store may be busy
				err := write(t.Context(), e, dueJob("job_a"))
				if err == nil || errors.Is(err, store.ErrExists) {
					break
				}
				if !errors.Is(err, store.ErrUnavailable) {
					t.Fatal(err)
				}
			}
			release := hold(t, e, "pln_held")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			update, claim := make(chan error, 1), make(chan error, 1)
			var mine int // what the function touches is its caller's again once the call has returned
			go func() {
				err := e.Update(ctx, func(store.Snapshot) (store.Writes, error) {
					mine++
					return store.Writes{record("plain", "pln_left")}, nil
				})
				mine++
				update <- err
			}()
			go func() {
				_, err := e.Claim(ctx, store.Lease{Kind: "job", Holder: "w", For: time.Hour, Limit: 1})
				claim <- err
			}()
			test.leave(cancel, e)
			if err := <-update; !errors.Is(err, test.want) {
				t.Errorf("update: got %v, want %v", err, test.want)
			}
			if err := <-claim; !errors.Is(err, test.want) {
				t.Errorf("claim: got %v, want %v", err, test.want)
			}
			if err := release(); err != nil {
				t.Errorf("the call that ran: %v", err)
			}
			e.Close()
			e = ready(t, path, bolt.Options{})
			if !has(t, e, "plain", "pln_held") || has(t, e, "plain", "pln_left") || mine != 1 {
				t.Errorf("held: %v, left: %v, ran: %d", has(t, e, "plain", "pln_held"), has(t, e, "plain", "pln_left"), mine-1)
			}
		})
	}
}

func dueJob(id string) store.Write {
	w := record("job", id)
	w.Due = time.Now().Add(-time.Hour)
	return w
}

func TestASecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	first := ready(t, path, bolt.Options{})
	if _, err := bolt.Open(path, bolt.Options{}); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
	if err := write(t.Context(), first, record("plain", "pln_a")); err != nil {
		t.Error(err)
	}
	first.Close()
	if !has(t, ready(t, path, bolt.Options{}), "plain", "pln_a") {
		t.Error("the record is gone")
	}
}

func TestStartingAgainChangesNothing(t *testing.T) {
	e := fresh(t, bolt.Options{})
	before, err := e.Change(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Migrate(t.Context(), kinds, false); err != nil {
		t.Fatal(err)
	}
	if after, err := e.Change(t.Context()); after != before || err != nil {
		t.Errorf("change %s became %s: %v", before, after, err)
	}
}

func TestAFileOfANewerFormatIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	ready(t, path, bolt.Options{}).Close()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte("meta"))
		if got := string(meta.Get([]byte("format"))); got != "1" {
			t.Errorf("a new file says format %q", got)
		}
		return meta.Put([]byte("format"), []byte("2"))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	e, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, dry := range []bool{true, false} {
		if _, err := e.Migrate(t.Context(), kinds, dry); err == nil || !strings.Contains(err.Error(), "newer Lifeline (format 2; this one knows 1)") {
			t.Errorf("dry: %v: %v", dry, err)
		}
	}
}

// Pages that make no sense make bbolt panic. That ends neither the process nor the writer: its caller learns that the outcome is
// unknown, and all others that the store needs a look.
func TestADamagedFileIsReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	e := ready(t, path, bolt.Options{})
	for i := range 200 {
		w := record("plain", fmt.Sprintf("pln_%03d", i))
		w.Body = make([]byte, 1000)
		if err := write(t.Context(), e, w); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	page := int64(os.Getpagesize())
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for at := 2 * page; at < min(info.Size(), 2000*page); at += page { // every page but those that name the root
		if _, err := file.WriteAt([]byte("not a page of ours, whatever the tree says of it"), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(t.Context(), e, record("plain", "pln_new")); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("got %v, want %v", err, store.ErrUnknown)
	}
	if err := write(t.Context(), e, record("plain", "pln_new")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("then %v, want %v", err, store.ErrUnavailable)
	}
	if problems := e.Unsafe(t.Context()); len(problems) != 1 {
		t.Errorf("Unsafe says %q", problems)
	}
}

// Ids come in order, and so the pages of records are filled: half empty ones would double the file.
func TestPagesOfRecordsAreFilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	e := ready(t, path, bolt.Options{})
	for part := range 20 {
		var all []store.Write
		for i := range 100 {
			w := record("plain", fmt.Sprintf("pln_%08d", 100*part+i))
			w.Body = make([]byte, 200)
			all = append(all, w)
		}
		if err := write(t.Context(), e, all...); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		if s := tx.Bucket([]byte("r/plain")).Stats(); s.KeyN != 2000 || 4*s.LeafInuse < 3*s.LeafAlloc {
			t.Errorf("%d records take %d of %d bytes", s.KeyN, s.LeafInuse, s.LeafAlloc)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
