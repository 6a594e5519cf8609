package limit_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/storetest"
)

// Two replicas, several callers in each: together they hand out no more than is allowed, and leave no more than a lot each.
func TestReplicasHandOutNoMoreThanAllowed(t *testing.T) {
	storetest.Each(t, limit.Kinds(), func(t *testing.T, db *store.DB) {
		const n = 1000
		var replicas [2]limit.Lots
		var allowed atomic.Int64
		var all sync.WaitGroup
		for i := range 8 {
			all.Add(1)
			fault.Go(slog.Default(), fmt.Sprintf("caller %d", i), func() {
				defer all.Done()
				for range n {
					switch err := replicas[i%2].Take(t.Context(), db, "k", n, time.Hour); fault.Of(err) {
					case "":
						allowed.Add(1)
					case fault.TooMany:
						return
					default:
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		if got := allowed.Load(); got > n || got < n-2*n/64 {
			t.Errorf("%d handed out of %d", got, n)
		}
	})
}

// Over hours with bursts and pauses, three replicas of which now and then one crashes and comes back: in no stretch as long as the period
// is more handed out than allowed.
func TestNoStretchOfTimeGivesMoreInLots(t *testing.T) {
	const per = time.Hour
	for _, n := range []int{10, 100, 300} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			c := newClock()
			db := storetest.Open(t, limit.Kinds(), c.option())
			random := rand.New(rand.NewPCG(uint64(n), 7))
			replicas := make([]limit.Lots, 3)
			var taken []time.Time
			refused := 0
			for range 5 * n {
				at := random.IntN(len(replicas))
				if random.IntN(100) == 0 {
					replicas[at] = limit.Lots{} // a crash
				}
				some := 1 + random.IntN(min(n/50+1, 4)) // sizes, where there is room for them
				if err := replicas[at].TakeSome(t.Context(), db, "k", some, n, per); err == nil {
					taken = append(taken, slices.Repeat([]time.Time{c.Now()}, some)...)
				} else if w := wait(t, err); w <= 0 || w > per+per/16 {
					t.Fatalf("wait %v", w)
				} else {
					refused++
				}
				switch random.IntN(n) {
				case 0:
					c.pass(per / 3)
				case 1:
					c.pass(per / 40)
				default:
					c.pass(time.Duration(random.Int64N(int64(per) / int64(n))))
				}
			}
			noMoreThan(t, n, per, taken)
			if refused == 0 {
				t.Error("nothing was ever refused: the test shows nothing")
			}
		})
	}
}

func noMoreThan(t *testing.T, n int, per time.Duration, taken []time.Time) {
	t.Helper()
	for i := n; i < len(taken); i++ {
		if d := taken[i].Sub(taken[i-n]); d < per {
			t.Fatalf("%d handed out in %v", n+1, d)
		}
	}
}

// What is handed out at the end of a lot's life counts for a whole period from then, not from when the lot was taken.
func TestWhatIsHandedOutLateCountsFromThen(t *testing.T) {
	c := newClock()
	db := storetest.Open(t, limit.Kinds(), c.option())
	const n = 6400
	var lots limit.Lots
	var taken []time.Time
	take := func(most int) {
		for range most {
			if err := lots.Take(t.Context(), db, "k", n, time.Hour); err != nil {
				wait(t, err)
				return
			}
			taken = append(taken, c.Now())
		}
	}
	take(127) // lots up to one of 64
	c.pass(50 * time.Second)
	take(23) // of one of 100
	c.pass(time.Hour/64 - time.Microsecond)
	take(n) // the rest of it, and all there is
	c.pass(time.Hour - time.Hour/64 + time.Microsecond)
	take(n)
	noMoreThan(t, n, time.Hour, taken)
	c.pass(time.Hour / 16)
	before := len(taken)
	take(n)
	if len(taken) == before {
		t.Error("nothing comes back")
	}
	noMoreThan(t, n, time.Hour, taken)
}

// What a crash loses is a lot, and comes back when its time has passed; it never gives more.
func TestACrashLosesALotAtTheMost(t *testing.T) {
	c := newClock()
	db := storetest.Open(t, limit.Kinds(), c.option())
	const n = 6400
	took := 0
	drain := func(l *limit.Lots, most int) {
		for range most {
			if err := l.Take(t.Context(), db, "k", n, time.Hour); err != nil {
				wait(t, err)
				return
			}
			took++
		}
	}
	drain(&limit.Lots{}, 200) // in the middle of a lot
	drain(&limit.Lots{}, 2*n)
	if took > n || took < n-n/64 {
		t.Errorf("%d handed out of %d around a crash", took, n)
	}
	wait(t, (&limit.Lots{}).Take(t.Context(), db, "k", n, time.Hour))
	c.pass(time.Hour + time.Hour/16)
	took = 0
	drain(&limit.Lots{}, 2*n)
	if took != n {
		t.Errorf("%d of %d an hour later", took, n)
	}
}

// A trickle must not use up in leftovers what a flood will need.
func TestWhatIsLeftOfALotIsGivenBack(t *testing.T) {
	c := newClock()
	db := storetest.Open(t, limit.Kinds(), c.option())
	const n = 6400
	var lots limit.Lots
	take := func() error { return lots.Take(t.Context(), db, "k", n, time.Hour) }
	took := 0
	for range 9 { // bursts that make lots large, with pauses longer than a lot lives
		for range 150 {
			if err := take(); err != nil {
				t.Fatal(err)
			}
			took++
		}
		c.pass(2 * time.Minute)
	}
	for take() == nil {
		took++
	}
	if took != n {
		t.Errorf("%d handed out of %d", took, n)
	}
}

func TestLotsCostFewWritesAndARefusalNone(t *testing.T) {
	c := newClock()
	engine := &counting{Engine: storetest.Bolt(t)}
	db, err := store.Open(t.Context(), engine, store.Options{Keys: storetest.Keys(t), Kinds: limit.Kinds(), Clock: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	const n = 20_000
	var lots limit.Lots
	before := engine.updates.Load()
	for range n {
		if err := lots.Take(t.Context(), db, "k", n, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if got := engine.updates.Load() - before; got > 100 {
		t.Errorf("%d writes for %d", got, n)
	}
	wait(t, lots.Take(t.Context(), db, "k", n, time.Hour))
	before = engine.updates.Load()
	for range 1000 {
		wait(t, lots.Take(t.Context(), db, "k", n, time.Hour))
	}
	if got := engine.updates.Load() - before; got != 0 {
		t.Errorf("%d transactions for what was refused", got)
	}
	for _, n := range []int{0, -1} {
		wait(t, lots.Take(t.Context(), db, "k", n, time.Hour))
	}
}

func TestAClockSetBackEndsALot(t *testing.T) {
	c := newClock()
	db := storetest.Open(t, limit.Kinds(), c.option())
	var lots limit.Lots
	const n = 640
	took := 0
	for range n/2 + 3 {
		if err := lots.Take(t.Context(), db, "k", n, time.Hour); err != nil {
			t.Fatal(err)
		}
		took++
	}
	c.pass(-10 * time.Minute) // what was taken still counts
	for lots.Take(t.Context(), db, "k", n, time.Hour) == nil {
		took++
	}
	if took > n || took < n-n/32 {
		t.Errorf("%d handed out of %d", took, n)
	}
}

// In the transaction of what it is for: several rules, nothing taken by what fails, and of two at the same moment one.
func TestTakingInATransactionOfOnesOwn(t *testing.T) {
	c := newClock()
	storetest.Each(t, limit.Kinds(), func(t *testing.T, db *store.DB) {
		rules := []limit.Rule{{N: 1, Per: 15 * time.Minute}, {N: 3, Per: 24 * time.Hour}}
		look := func() (taking limit.Taking, err error) {
			err = db.View(t.Context(), func(tx *store.Tx) error {
				taking, err = limit.Look(tx, "ack kim@example.com", rules...)
				return err
			})
			return taking, err
		}
		take := func(taking limit.Taking, after error) error {
			return db.Update(t.Context(), store.Act{}, func(tx *store.Tx) error {
				if err := taking.In(tx); err != nil {
					return err
				}
				return after
			})
		}
		failed := fault.New(fault.Conflict, "what it was for failed")
		var waits []time.Duration
		taken := 0
		for range 5 {
			first, err := look()
			if err != nil {
				waits = append(waits, wait(t, err))
				c.pass(15 * time.Minute)
				continue
			}
			second, err := look()
			if err != nil {
				t.Fatal(err)
			}
			if err := take(first, failed); fault.Of(err) != fault.Conflict {
				t.Fatal(err)
			}
			if err := take(first, nil); err != nil {
				t.Fatal(err)
			}
			if err := take(second, nil); !limit.Lost(err) {
				t.Errorf("another at the same moment: %v", err)
			}
			_, err = look()
			taken++
			if w, want := wait(t, err), []time.Duration{0, 15 * time.Minute, 15 * time.Minute, 24*time.Hour - 30*time.Minute}[taken]; w != want {
				t.Errorf("wait %v after %d, want %v", w, taken, want)
			}
			c.pass(15 * time.Minute)
		}
		if want := []time.Duration{24*time.Hour - 45*time.Minute, 24*time.Hour - time.Hour}; !slices.Equal(waits, want) {
			t.Errorf("waits %v, want %v", waits, want)
		}
		c.pass(24 * time.Hour)
	}, c.option())
}
