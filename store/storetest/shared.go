package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// RunShared is the part of the conformance suite for an engine whose database several processes share. fresh makes an empty database; what it
// returns opens another instance on it, as another process would, that lives as long as the test.
func RunShared(t *testing.T, fresh func(testing.TB) (another func() store.Engine)) {
	for _, test := range sharedTests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, fresh(t))
		})
	}
}

// bares opens so many instances at once on an empty database, all of which ready it.
func bares(t *testing.T, n int, another func() store.Engine) []bare {
	t.Helper()
	all := make([]bare, n)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			all[i] = bare{another(), t}
			if _, err := all[i].Migrate(t.Context(), []store.Kind{plain, job}, false); err != nil {
				t.Errorf("instance %d: migrate: %v", i, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() {
		for _, problem := range Check(all[0].Engine, []store.Kind{plain, job}) {
			t.Errorf("the store is not consistent: %s", problem)
		}
	})
	return all
}

var sharedTests = []struct {
	name string
	run  func(t *testing.T, another func() store.Engine)
}{
	{"a change that was begun before a mark and committed behind it is told", lateChange},
	{"one instance's writes are the other's", func(t *testing.T, another func() store.Engine) {
		all := bares(t, 2, another)
		a, b := all[0], all[1]
		a.mustWrite(put("pln_a", 0, "x", "unique"))
		if got := b.mustGet("plain", "pln_a"); got.Version != 1 {
			t.Errorf("version %d, want 1", got.Version)
		}
		b.wantWrite(store.ErrExists, put("pln_a", 0, "y", ""))
		b.wantWrite(store.ErrExists, put("pln_b", 0, "y", "unique"))
		b.mustWrite(put("pln_a", 1, "y", "unique"))
		a.wantWrite(store.ErrConflict, put("pln_a", 1, "z", ""))
		a.wantIDs(store.Range{Kind: "plain", Index: "order"}, "pln_a")
		b.mustWrite(remove("pln_a", 2))
		a.wantGone("plain", "pln_a")
		a.mustWrite(put("pln_b", 0, "", "unique"))
	}},
	{"no update is lost between instances", func(t *testing.T, another func() store.Engine) {
		const writers, times = 3, 10
		all := bares(t, 4, another)
		all[0].mustWrite(put("pln_counter", 0, "x", "x"))
		var wg sync.WaitGroup
		for n, e := range all {
			for range writers {
				wg.Go(func() {
					for range times {
						err := e.Update(t.Context(), func(s store.Snapshot) (store.Writes, error) {
							raw, err := s.Get("plain", "pln_counter")
							return store.Writes{put(raw.ID, raw.Version, "x", "x")}, err
						})
						if err != nil {
							t.Errorf("instance %d: %v", n, err)
						}
					}
				})
			}
		}
		wg.Wait()
		if got, want := all[0].mustGet("plain", "pln_counter").Version, int64(len(all)*writers*times+1); got != want {
			t.Errorf("version %d, want %d", got, want)
		}
	}},
	{"claims of several instances are apart", func(t *testing.T, another func() store.Engine) {
		const jobs = 200
		all := bares(t, 3, another)
		var due store.Writes
		for i := range jobs {
			due = append(due, wait(fmt.Sprintf("job_%03d", i), "", time.Now().Add(-time.Hour)))
		}
		all[0].mustWrite(due...)
		var mu sync.Mutex
		owner := map[string]int{}
		var wg sync.WaitGroup
		for n, e := range all {
			for range 2 {
				wg.Go(func() {
					for {
						got, err := e.Claim(t.Context(), store.Lease{Kind: "job", Holder: fmt.Sprint("instance ", n), For: time.Hour, Limit: 9})
						mu.Lock()
						for _, raw := range got {
							if _, twice := owner[raw.ID]; twice || raw.Epoch != 1 {
								t.Errorf("%s is claimed twice: %+v", raw.ID, raw.Meta)
							}
							owner[raw.ID] = n
						}
						done := len(owner) == jobs
						mu.Unlock()
						if err != nil {
							t.Errorf("instance %d: %v", n, err)
						}
						if done || err != nil {
							return
						}
					}
				})
			}
		}
		wg.Wait()
	}},
	{"a lease that another instance has taken over is fenced off", func(t *testing.T, another func() store.Engine) {
		all := bares(t, 2, another)
		a, b := all[0], all[1]
		a.mustWrite(wait("job_a", "", time.Now().Add(-time.Hour)))
		first := a.claimOne("same name", "", time.Millisecond)
		second := b.claimOne("same name", "", time.Hour)
		for _, what := range []store.Lasting{store.LeaseFence, store.LeaseRelease, store.LeaseRenew} {
			a.wantWrite(store.ErrFenced, put("pln_a", 0, "", ""), touch(first, what))
		}
		a.wantGone("plain", "pln_a")
		a.mustWrite(put("pln_a", 0, "", ""), touch(second, store.LeaseFence)) // the lease counts, not who asks
	}},
	{"an idempotency key that went to several instances acts once", func(t *testing.T, another func() store.Engine) {
		keys := Keys(t)
		var dbs []*store.DB
		for range 2 {
			dbs = append(dbs, open(t, another(), kinds(), []Option{WithKeys(keys)}))
		}
		once := store.NewOnce("tok_a", "POST /things", "key", []byte("body"))
		var mu sync.Mutex
		outcomes := map[fault.Kind]int{}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				err := dbs[i%2].Update(store.WithOnce(context.Background(), once), store.Act{By: "tok_a", Verb: "thing.make"}, func(tx *store.Tx) error {
					return things.Put(tx, things.NewID(), thing{Name: "made once"}, 0)
				})
				mu.Lock()
				defer mu.Unlock()
				outcomes[fault.Of(err)]++
			})
		}
		wg.Wait()
		if outcomes[""] != 1 || outcomes[fault.Exists] != 7 {
			t.Errorf("%v", outcomes)
		}
		for i, db := range dbs {
			if reply, err := db.Replay(t.Context(), once); err != nil || reply == nil {
				t.Errorf("instance %d: %+v, %v", i, reply, err)
			}
		}
	}},
	{"an older instance does not start on what a newer one has written", func(t *testing.T, another func() store.Engine) {
		all := bares(t, 2, another)
		newer := plain
		newer.Schema++
		if _, err := all[0].Migrate(t.Context(), []store.Kind{newer, job}, false); err != nil {
			t.Fatal(err)
		}
		if _, err := all[1].Migrate(t.Context(), []store.Kind{plain, job}, false); err == nil || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	}},
}
