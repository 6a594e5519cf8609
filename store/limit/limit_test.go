package limit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/storetest"
)

// clock is a domain clock that a test moves.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.now.Store(time.Date(2022, 4, 5, 7, 38, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) Now() time.Time           { return time.UnixMicro(c.now.Load()) }
func (c *clock) pass(d time.Duration)     { c.now.Add(d.Microseconds()) }
func (c *clock) option() storetest.Option { return storetest.Clock(c.Now) }

func wait(t *testing.T, err error) time.Duration {
	t.Helper()
	var e *fault.Error
	if !errors.As(err, &e) || e.Kind != fault.TooMany {
		t.Fatalf("err = %v, want too many", err)
	}
	return e.Wait
}

func TestAllowanceComesBackWhenItsTimeHasPassed(t *testing.T) {
	c := newClock()
	db := storetest.Open(t, limit.Kinds(), c.option())
	take := func() error { return limit.Take(t.Context(), db, "ack address kim@example.com", 3, time.Hour) }
	for range 3 {
		if err := take(); err != nil {
			t.Fatal(err)
		}
		c.pass(10 * time.Minute)
	}
	if got := wait(t, take()); got != 30*time.Minute {
		t.Errorf("wait %v, want 30m: the first of the three ends then", got)
	}
	c.pass(30*time.Minute - time.Microsecond)
	wait(t, take())
	c.pass(time.Microsecond)
	if err := take(); err != nil {
		t.Error("after an hour:", err)
	}
	if got := wait(t, take()); got != 10*time.Minute {
		t.Errorf("wait %v, want 10m", got)
	}
	if err := limit.Take(t.Context(), db, "ack address lee@example.com", 3, time.Hour); err != nil {
		t.Error("another key:", err)
	}
}

// In no stretch of time as long as the period is more taken than allowed, however the asking is spread.
func TestNoBoundaryLetsMoreThrough(t *testing.T) {
	for _, n := range []int{1, 3, 64, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			c := newClock()
			db := storetest.Open(t, limit.Kinds(), c.option())
			var taken []time.Time
			for step := range 4 * n {
				if err := limit.Take(t.Context(), db, "k", n, time.Minute); err == nil {
					taken = append(taken, c.Now())
				} else if w := wait(t, err); w <= 0 || w > time.Minute+time.Second {
					t.Fatalf("wait %v", w)
				}
				c.pass(time.Minute / time.Duration(2*n))
				if step == n { // a burst after a pause
					c.pass(45 * time.Second)
				}
			}
			for i := n; i < len(taken); i++ {
				if taken[i].Sub(taken[i-n]) < time.Minute {
					t.Fatalf("%d taken in %v", n+1, taken[i].Sub(taken[i-n]))
				}
			}
			if len(taken) < 2*n-n/16 {
				t.Errorf("only %d of %d were allowed in about two minutes", len(taken), 2*n)
			}
		})
	}
}

func TestTogetherManyTakeNoMoreThanAllowed(t *testing.T) {
	for _, n := range []int{20, 1040} {
		db := storetest.Open(t, limit.Kinds())
		var allowed, refused atomic.Int64
		var all sync.WaitGroup
		for i := range 16 {
			all.Add(1)
			fault.Go(slog.Default(), fmt.Sprintf("caller %d", i), func() {
				defer all.Done()
				for range n/16 + 10 {
					switch err := limit.Take(t.Context(), db, "k", n, time.Hour); fault.Of(err) {
					case "":
						allowed.Add(1)
					case fault.TooMany:
						refused.Add(1)
					default:
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if int(allowed.Load()) != n || refused.Load() == 0 {
			t.Errorf("%d allowed of %d, %d refused", allowed.Load(), n, refused.Load())
		}
	}
}

// counting counts the transactions that reach the engine.
type counting struct {
	store.Engine
	updates atomic.Int64
}

func (c *counting) Update(ctx context.Context, fn func(store.Snapshot) (store.Writes, error)) error {
	c.updates.Add(1)
	return c.Engine.Update(ctx, fn)
}

func TestARefusalWritesNothing(t *testing.T) {
	engine := &counting{Engine: storetest.Bolt(t)}
	db, err := store.Open(t.Context(), engine, store.Options{Keys: storetest.Keys(t), Kinds: limit.Kinds()})
	if err != nil {
		t.Fatal(err)
	}
	before := engine.updates.Load()
	for range 500 {
		_ = limit.Take(t.Context(), db, "post from 192.0.2.1", 30, time.Minute)
	}
	if got := engine.updates.Load() - before; got != 30 {
		t.Errorf("%d writes for 30 that were allowed", got)
	}
}

func TestARestartForgetsNothing(t *testing.T) {
	engine, keys := storetest.Bolt(t), storetest.Keys(t)
	for range 2 {
		db, err := store.Open(t.Context(), engine, store.Options{Keys: keys, Kinds: limit.Kinds()})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_ = limit.Take(t.Context(), db, "k", 3, time.Hour)
		}
		wait(t, limit.Take(t.Context(), db, "k", 3, time.Hour))
	}
}

func TestAClockSetBackShutsNobodyOutForLong(t *testing.T) {
	c := newClock()
	db := storetest.Open(t, limit.Kinds(), c.option())
	take := func() error { return limit.Take(t.Context(), db, "k", 1, time.Minute) }
	if err := take(); err != nil {
		t.Fatal(err)
	}
	c.pass(-30 * time.Second)
	if got := wait(t, take()); got > 2*time.Minute {
		t.Errorf("wait %v", got)
	}
	c.pass(-time.Hour)
	if err := take(); err != nil {
		t.Error("an hour back:", err)
	}
}

func TestWhatCountsNoMoreIsForgotten(t *testing.T) {
	c := newClock()
	db := storetest.Open(t, limit.Kinds(), c.option())
	for i := range 5 {
		if err := limit.Take(t.Context(), db, fmt.Sprint("source ", i), 2, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	c.pass(30 * time.Second)
	if err := limit.Take(t.Context(), db, "source 4", 2, time.Minute); err != nil {
		t.Fatal(err)
	}
	c.pass(31 * time.Second)
	for _, want := range []int{3, 1, 0} {
		if n, err := limit.Forget(t.Context(), db, 3); err != nil || n != want {
			t.Errorf("forgot %d (%v), want %d", n, err, want)
		}
	}
	wait(t, func() error {
		_ = limit.Take(t.Context(), db, "source 4", 2, time.Minute)
		return limit.Take(t.Context(), db, "source 4", 2, time.Minute)
	}())
}

func TestNothingIsAllowedOfZero(t *testing.T) {
	db := storetest.Open(t, limit.Kinds())
	for _, n := range []int{0, -1} {
		wait(t, limit.Take(t.Context(), db, "k", n, time.Minute))
	}
}

func TestALongKeyIsNoTrouble(t *testing.T) {
	db := storetest.Open(t, limit.Kinds())
	key := strings.Repeat("\x00é", 10_000)
	if err := limit.Take(t.Context(), db, key, 1, time.Minute); err != nil {
		t.Fatal(err)
	}
	wait(t, limit.Take(t.Context(), db, key, 1, time.Minute))
}

// What comes in sizes is taken whole or not at all, and in no stretch of the period more than is allowed.
func TestSomeAreTakenAtOnceOrNone(t *testing.T) {
	c := newClock()
	db := storetest.Open(t, limit.Kinds(), c.option())
	take := func(some int) error { return limit.TakeSome(t.Context(), db, "bytes from ::/64", some, 200, time.Hour) }
	for _, some := range []int{0, 120, 70, 10} {
		if err := take(some); err != nil {
			t.Fatalf("%d of 200: %v", some, err)
		}
		c.pass(10 * time.Minute)
	}
	if got := wait(t, take(1)); got != 30*time.Minute {
		t.Errorf("wait %v, want 30m: the 120 end then", got)
	}
	c.pass(30 * time.Minute)
	if got := wait(t, take(121)); got != 10*time.Minute {
		t.Errorf("wait %v, want 10m: the 70 end then", got)
	}
	if err := take(120); err != nil {
		t.Error(err)
	}
	if err := take(201); fault.Of(err) != fault.TooMany {
		t.Errorf("more than there ever is: %v", err)
	}
}

// What came too late with what Look found is looked at again, and gets what is left; several things are taken together or not at all.
func TestWhatWasLostIsTakenAgainWhileThereIsSome(t *testing.T) {
	storetest.Each(t, limit.Kinds(), func(t *testing.T, db *store.DB) {
		look := func(key string) (found limit.Taking) {
			t.Helper()
			if err := db.View(t.Context(), func(tx *store.Tx) (err error) {
				found, err = limit.Look(tx, key, limit.Rule{N: 2, Per: time.Hour})
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return found
		}
		first, second, third, other := look("k"), look("k"), look("k"), look("other")
		if err := db.Update(t.Context(), store.Act{}, first.In); err != nil {
			t.Fatal(err)
		}
		if err := db.Update(t.Context(), store.Act{}, second.In); !limit.Lost(err) {
			t.Fatalf("two took the same: %v", err)
		}
		if err := limit.TakeFound(t.Context(), db, second); err != nil {
			t.Error("one was left:", err)
		}
		wait(t, limit.TakeFound(t.Context(), db, third))
		wait(t, limit.TakeFound(t.Context(), db, other, third))
		for range 2 {
			if err := limit.TakeFound(t.Context(), db, other); err != nil {
				t.Error("what was refused together was taken:", err)
			}
		}
		wait(t, limit.TakeFound(t.Context(), db, other))
	})
}
