package limit_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"lifeline/store/limit"
)

// Whoever waits for a key gets it behind those before her, other keys wait for nobody, and who has gone stands in nobody's way.
func TestTurnsOfAKeyComeOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns limit.Turns
		first, err := turns.Wait(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		other, err := turns.Wait(t.Context(), "other")
		if err != nil {
			t.Fatal(err)
		}
		other()
		gone, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { _, err := turns.Wait(gone, "k"); left <- err }()
		var mine atomic.Bool
		go func() {
			done, err := turns.Wait(t.Context(), "k")
			if err != nil {
				t.Error(err)
			}
			mine.Store(true)
			done()
		}()
		synctest.Wait()
		if leave(); !errors.Is(<-left, context.Canceled) || mine.Load() {
			t.Error("a turn was had by two, or by one who left")
		}
		first()
		first()
		if synctest.Wait(); !mine.Load() {
			t.Error("a turn that ended is not the next one's")
		}
	})
}
