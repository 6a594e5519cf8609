package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lifeline/store"
)

func TestFiguresThatTakeLongAreCountedBehindThoseWhoLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen store.Recent[int]
		n, large, takes, wrong := 0, true, time.Second, error(nil)
		rest := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		look := func(want int, waits time.Duration) {
			t.Helper()
			began := time.Now()
			got, err := seen.Of(t.Context(), "it", 3*time.Second, func(context.Context) (int, bool, error) {
				n++
				now := n
				time.Sleep(takes)
				return now, large, wrong
			})
			if waited := time.Since(began); got != want || err != nil || waited != waits {
				t.Errorf("%d after %v, %v; %d after %v is right", got, waited, err, want, waits)
			}
		}
		look(1, time.Second) // nobody has looked before
		rest(9 * time.Second)
		look(1, 0) // a second's count holds for ten
		rest(2 * time.Second)
		look(1, 0) // this one has it counted anew
		look(1, 0) // and this one not once more
		rest(2 * time.Second)
		look(2, 0)
		takes = time.Millisecond
		rest(10 * time.Second)
		look(2, 0)
		rest(2 * time.Second)
		look(3, 0) // a quick one holds for as long as was asked
		wrong = errors.New("no store")
		rest(2 * time.Second)
		look(3, 0)
		rest(time.Second)
		look(3, 0) // it failed meanwhile, and is tried again
		rest(time.Second)
		wrong, n = nil, 10
		rest(2 * time.Minute)
		look(11, time.Millisecond) // too old to be shown
		large = false
		rest(4 * time.Second)
		look(11, 0)
		rest(time.Second)
		look(13, time.Millisecond) // it has become small, and is counted whenever somebody looks
		look(14, time.Millisecond)
	})
}
