package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeline/store"
	"lifeline/store/postgres/pgtest"
)

// crowd is an engine both of whose hands are held up by a lock, so that everybody else must wait for a shared transaction.
type crowd struct {
	*Engine
	t    *testing.T
	db   string
	lock *pgx.Conn
	held sync.WaitGroup
}

var item = store.Kind{Name: "item", Prefix: "itm", Composed: true, Indexes: []store.Index{{Name: "one", Unique: true}}}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{t: t, db: pgtest.URL(t)}
	var err error
	if c.Engine, err = Open(t.Context(), c.db, Options{Patience: 20 * time.Second}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Migrate(t.Context(), []store.Kind{item}, false); err != nil {
		t.Fatal(err)
	}
	if err := c.put(t.Context(), "itm_old", "old"); err != nil {
		t.Fatal(err)
	}
	if c.lock, err = pgx.Connect(t.Context(), c.db); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.lock.Close(context.Background()) })
	c.exec("BEGIN")
	c.exec("LOCK TABLE item IN EXCLUSIVE MODE")
	for i := range hands {
		c.held.Go(func() {
			if err := c.put(t.Context(), fmt.Sprintf("itm_held%d", i), ""); err != nil {
				t.Error(err)
			}
		})
		c.until(func() bool { return c.count("SELECT count(*) FROM pg_locks WHERE NOT granted") == i+1 })
	}
	return c
}

func (c *crowd) exec(sql string) {
	c.t.Helper()
	if _, err := c.lock.Exec(c.t.Context(), sql); err != nil {
		c.t.Fatal(err)
	}
}

func (c *crowd) count(sql string) (n int) {
	c.t.Helper()
	if err := c.lock.QueryRow(c.t.Context(), sql).Scan(&n); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// until asks again until it is told yes.
func (c *crowd) until(ask func() bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.t.Fatal("waited in vain")
		}
	}
}

func (c *crowd) put(ctx context.Context, id, one string) error {
	return c.Update(ctx, func(store.Snapshot) (store.Writes, error) { return store.Writes{write(id, 0, one)}, nil })
}

func write(id string, was int64, one string) store.Write {
	now := time.Now()
	w := store.Write{Kind: "item", Was: was, Raw: store.Raw{Meta: store.Meta{ID: id, Version: was + 1, Created: now, Updated: now}, Tuples: make([][]byte, 1)}}
	if one != "" {
		w.Tuples[0] = []byte(one)
	}
	return w
}

// all has so many writers wait, lets the hands go, and gathers what each was told.
func (c *crowd) all(writers int, put func(n int) error) []error {
	c.t.Helper()
	told := make([]error, writers)
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() { told[n] = put(n) })
	}
	c.until(func() bool { return len(c.queue) == writers })
	c.exec("COMMIT")
	wg.Wait()
	c.held.Wait()
	return told
}

func TestSmallWritersShareATransaction(t *testing.T) {
	c := newCrowd(t)
	for n, err := range c.all(100, func(n int) error {
		if n > 0 {
			return c.put(t.Context(), fmt.Sprintf("itm_%d", n), fmt.Sprint(n))
		}
		return c.Update(t.Context(), func(store.Snapshot) (store.Writes, error) { // each keeps its own unique value, which nobody can know before
			return store.Writes{write("itm_old", 1, "old"), write("itm_0", 0, "0")}, nil
		})
	}) {
		if err != nil {
			t.Errorf("writer %d: %v", n, err)
		}
	}
	rows, transactions := c.count("SELECT count(*) FROM item"), c.count("SELECT count(DISTINCT xmin::text) FROM item")
	if rows != 103 || transactions > hands+hands {
		t.Errorf("%d rows by %d transactions", rows, transactions)
	}
}

// One whose writes are refused must not be another's fault, nor another's hers.
func TestWhoIsRefusedIsRefusedAlone(t *testing.T) {
	c := newCrowd(t)
	told := c.all(40, func(n int) error {
		switch n {
		case 7:
			return c.put(t.Context(), "itm_old", "new")
		case 8:
			return c.put(t.Context(), "itm_new", "old")
		}
		return c.put(t.Context(), fmt.Sprintf("itm_%d", n), fmt.Sprint(n))
	})
	for n, err := range told {
		if refused := errors.Is(err, store.ErrExists); refused != (n == 7 || n == 8) || err != nil && !refused {
			t.Errorf("writer %d: %v", n, err)
		}
	}
	if n := c.count("SELECT count(*) FROM item"); n != 41 {
		t.Errorf("%d rows, want 41", n)
	}
}

func TestOfSeveralWhoWantTheSameOneGetsIt(t *testing.T) {
	for _, test := range []struct {
		name string
		put  func(*crowd, int) error
	}{
		{"record", func(c *crowd, n int) error { return c.put(c.t.Context(), "itm_same", fmt.Sprint(n)) }},
		{"unique value", func(c *crowd, n int) error { return c.put(c.t.Context(), fmt.Sprintf("itm_%d", n), "same") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCrowd(t)
			won := 0
			for n, err := range c.all(10, func(n int) error { return test.put(c, n) }) {
				if err == nil {
					won++
				} else if !errors.Is(err, store.ErrExists) {
					t.Errorf("writer %d: %v", n, err)
				}
			}
			if won != 1 {
				t.Errorf("%d got it", won)
			}
		})
	}
}

func TestWhoLeavesTheQueueHasWrittenNothing(t *testing.T) {
	c := newCrowd(t)
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan error, 1)
	go func() { told <- c.put(ctx, "itm_left", "") }()
	c.until(func() bool { return len(c.queue) == 1 })
	cancel()
	if err := <-told; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c.exec("COMMIT")
	c.held.Wait()
	if err := c.put(t.Context(), "itm_next", ""); err != nil {
		t.Error(err)
	}
	if n := c.count("SELECT count(*) FROM item WHERE id = 'itm_left'"); n != 0 {
		t.Error("what was given up is there")
	}
}

// Whoever searches asks what changed, and waits: no worker is started for that, however much the statistics promise.
func TestNoWorkerIsStartedToSayWhatChanged(t *testing.T) {
	e, err := Open(t.Context(), pgtest.URL(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	followed := item
	followed.Followed = true
	if _, err := e.Migrate(t.Context(), []store.Kind{followed}, false); err != nil {
		t.Fatal(err)
	}
	conn, err := e.acquire(t.Context(), e.pool)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	// The planner starts workers wherever they are allowed, as it would by itself with millions of rows. Since version 16 the setting has another name.
	if _, err := conn.Exec(t.Context(), "SET force_parallel_mode = on"); err != nil {
		if _, err := conn.Exec(t.Context(), "SET debug_parallel_query = on"); err != nil {
			t.Fatal(err)
		}
	}
	var plan string
	if err := conn.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) "+readSince, "9999:9999:", 10).Scan(&plan); err != nil || strings.Contains(plan, "Gather") {
		t.Errorf("%v: %s", err, plan)
	}
}
