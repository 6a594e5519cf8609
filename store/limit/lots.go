package limit

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Lots hands out a limit that everybody shares, from memory, a lot at a time. A lot is taken from the store whole, before anything of it is
// handed out, so replicas together never hand out more than is allowed, and neither do restarts. It may be used for a 64th of the period
// and counts until a whole period behind that.
//
// A process begins with single things and doubles its lots while they are used up, to a 64th of the limit at the most. What is left of a lot
// is given back when the next one is taken. What is left when a process ends or crashes stays taken until its lot counts no more: at most a
// 64th of the limit is lost by each crash, and none is won.
//
// The zero value is ready for use and safe for concurrent use.
type Lots struct {
	mu   sync.Mutex
	held map[string]*held
}

// held is a lot and whose turn it is to look at it.
type held struct {
	turn chan struct{}
	lot
}

// lot is what a process holds of one limit.
type lot struct {
	size  int
	left  int
	since time.Time
	until time.Time // not used any more from then on

	none  time.Time // when the store had less than short left,
	again time.Time // and will have as much
	short int
}

// Take is as the function Take, whose limits are others even under the same key.
func (l *Lots) Take(ctx context.Context, db *store.DB, key string, n int, per time.Duration) error {
	return l.TakeSome(ctx, db, key, 1, n, per)
}

// TakeSome takes some of the n things at once, or none of them: what comes in sizes, such as money.
func (l *Lots) TakeSome(ctx context.Context, db *store.DB, key string, some, n int, per time.Duration) error {
	if some <= 0 {
		return nil
	}
	if some > n || per <= 0 {
		return fault.New(fault.TooMany, "this is not allowed here")
	}
	lot := l.of(key)
	select {
	case lot.turn <- struct{}{}:
		defer func() { <-lot.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	now := db.Now()
	if some >= lot.short && !now.Before(lot.none) && now.Before(lot.again) {
		return tooMany(lot.again.Sub(now))
	}
	if lot.left < some || now.Before(lot.since) || !now.Before(lot.until) {
		if err := lot.renew(ctx, db, key+"\x00lots", some, n, per); err != nil {
			return err
		}
	}
	lot.left -= some
	return nil
}

func (l *Lots) of(key string) *held {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]*held{}
	}
	if l.held[key] == nil {
		l.held[key] = &held{turn: make(chan struct{}, 1)}
	}
	return l.held[key]
}

// renew gives back what is left and takes the next lot, of some things at least, in one transaction.
func (l *lot) renew(ctx context.Context, db *store.DB, key string, some, n int, per time.Duration) error {
	was := *l
	*l = lot{} // until the outcome is known nothing is held, and nothing can be given back twice
	var next lot
	var err error
	for try := 0; try <= tries; try++ {
		err = db.Update(ctx, store.Act{}, func(tx *store.Tx) error {
			next = lot{size: was.next(tx.Now(), some, n), since: tx.Now(), until: tx.Now().Add(per / exact)}
			t := under(key)
			if err := t.find(tx); err != nil {
				return err
			}
			rule := Rule{n, per}
			marks := was.giveBack(t.found.Marks, tx.Now(), per)
			var wait time.Duration
			for ; ; next.size = max(some, next.size/2) { // smaller near the end of what is allowed
				lasting := per / exact
				if next.size == some {
					lasting = 0 // it is used at once
				}
				var with []mark
				if with, wait = add(marks, want{tx.Now(), next.size, lasting}, rule); wait == 0 {
					next.left = next.size
					return t.put(tx, with, tx.Now().Add(per+lasting))
				}
				if next.size == some {
					next.size, next.none, next.again, next.short = 0, tx.Now(), tx.Now().Add(wait), some
					return nil
				}
			}
		})
		if err == nil || !Lost(err) {
			break
		}
	}
	switch {
	case Lost(err):
		return fault.Wrap(fault.Unavailable, err, "too much is going on at once; try again in a moment")
	case err != nil:
		return err
	case next.size == 0:
		was.none, was.again, was.short = next.none, next.again, next.short // and what was left can still be given back
		*l = was
		return tooMany(next.again.Sub(next.none))
	}
	*l = next
	return nil
}

// next is how large the lot behind l is.
func (l *lot) next(now time.Time, some, n int) int {
	size := l.size - l.left // it was not used up in its time: as much as was used of it
	if l.left < some && now.Before(l.until) {
		size = 2 * l.size
	}
	return max(some, min(size, n/exact))
}

// giveBack takes what was not used of l out of the marks. Its mark may by now stand for what others took too, and cannot be told from later
// ones; but it is among those that count at least as long as the lot, so taking it from the first of them to end leaves no more free, at
// any time, than taking it from its own would.
func (l *lot) giveBack(marks []mark, now time.Time, per time.Duration) []mark {
	if l.left == 0 || now.Before(l.since) || !now.Before(l.until.Add(per)) {
		return marks
	}
	marks, left := slices.Clone(marks), int64(l.left)
	slices.SortStableFunc(marks, func(a, b mark) int { return cmp.Compare(a[1], b[1]) })
	for i := range marks {
		if marks[i][1] >= l.until.UnixMicro() {
			back := min(left, marks[i][2])
			marks[i][2] -= back
			left -= back
		}
	}
	return slices.DeleteFunc(marks, func(m mark) bool { return m[2] == 0 })
}
