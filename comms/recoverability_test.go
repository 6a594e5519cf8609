package comms

import (
	"context"
	"testing"
	"time"
)

// Who could be recovered is counted anew each time while that is quick; where it is not, what was counted is shown with its time, and counted again behind it.
func TestALongCountOfTheRecoverableIsShownWithItsTime(t *testing.T) {
	h := anyHouse(t)
	ask := func(accounts int, at time.Time) {
		t.Helper()
		r, err := h.Recoverability(context.Background(), "", 10)
		if err != nil || r.Accounts != accounts || len(r.Items) != accounts || !r.AsOf.Equal(at) {
			t.Fatalf("%d accounts as of %s, %v; want %d as of %s", r.Accounts, r.AsOf, err, accounts, at)
		}
	}
	ask(2, outbreak)
	h.clock.Turn(time.Minute)
	h.load("account_id,account,email,role\nA-3,Cork,cy@cork.example,owner\n")
	ask(3, outbreak.Add(time.Minute))

	h.standby.took = standbyFor
	h.clock.Turn(standbyFor - time.Second)
	h.load("account_id,account,email,role\nA-4,Dune,di@dune.example,owner\n")
	ask(3, outbreak.Add(time.Minute))
	h.clock.Turn(time.Second)
	h.standby.busy = make(chan struct{}) // a count goes on: nobody waits for it
	ask(3, outbreak.Add(time.Minute))
	h.standby.busy = nil
	if _, err := h.Recoverability(context.Background(), "", 10); err != nil { // sets it going
		t.Fatal(err)
	}
	h.standby.mu.Lock()
	busy := h.standby.busy
	h.standby.mu.Unlock()
	if busy != nil {
		<-busy
	}
	ask(4, h.clock.Now())
}
