package comms

import (
	"context"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// What must be looked at each quarter is owed each quarter, once however often and by however many it is looked for, and is not ended without a
// word of what was found.
func TestReviewsAreOwedEachQuarterAndEndWithWhatWasFound(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		turn := func() []store.Rec[Task] {
			h.Helper()
			for range 2 {
				if err := h.reviewTurn(ctx, func(*store.Tx) error { return nil }); err != nil {
					h.Fatal(err)
				}
			}
			open, _, err := h.Tasks(ctx, TaskQuery{State: Open})
			if err != nil {
				h.Fatal(err)
			}
			return open
		}
		if err := h.beginRounds(ctx); err != nil {
			h.Fatal(err)
		}
		if open := turn(); len(open) != 0 {
			h.Fatalf("owed on the first day: %+v", open)
		}
		h.clock.Turn(91*24*time.Hour - time.Second)
		if open := turn(); len(open) != 0 {
			h.Fatalf("owed too early: %+v", open)
		}
		h.clock.Turn(time.Second)
		open := turn()
		if len(open) != len(h.Policy.Reviews) || open[0].Value.Due.Sub(h.DB.Now()) != h.Policy.TaskDue[reviewFamily] {
			h.Fatalf("after a quarter: %+v", open)
		}
		if _, err := h.Done(ctx, "stf_ann", open[0].ID, 0, ""); fault.Of(err) != fault.Invalid {
			h.Errorf("ended without a word: %v", err)
		}
		for _, task := range open {
			if _, err := h.Done(ctx, "stf_ann", task.ID, 0, "The phone number of the second custodian is old."); err != nil {
				h.Fatal(err)
			}
		}
		if open := turn(); len(open) != 0 {
			h.Errorf("owed again at once: %+v", open)
		}
		done, _, err := h.Tasks(ctx, TaskQuery{State: TaskDone})
		if err != nil || len(done) != len(open) || done[0].Value.Reason == "" || done[0].Value.EndedBy != "stf_ann" {
			h.Errorf("no record of the review: %+v %v", done, err)
		}
		h.clock.Turn(91 * 24 * time.Hour)
		if open := turn(); len(open) != len(h.Policy.Reviews) {
			h.Errorf("the next quarter: %+v", open)
		}
	})
}
