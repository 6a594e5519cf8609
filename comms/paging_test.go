package comms

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/templates"
)

// pages are the notices of deadlines since the last look, as "address of more".
func (h house) pages(seen *int) (all []string) {
	h.Helper()
	told := h.notices("deadline")
	for _, n := range told[*seen:] {
		var d templates.DeadlineNotice
		if err := json.Unmarshal(n.Data, &d); err != nil {
			h.Fatal(err)
		}
		for _, to := range n.To {
			all = append(all, fmt.Sprintf("%s %s %d", to.Address, d.What, d.More))
		}
	}
	*seen = len(told)
	slices.Sort(all)
	return all
}

// A thousand things that are late within a minute page each person once, with the count; what is late while she looks comes together in the next page; and
// who is told is found when it happens, from who is on duty.
func TestAThousandBreachesPageEachPersonOnce(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	onDuty := map[string][]Direct{
		"support":   {{Channel: ChannelEmail, Address: "sue@vendor.example"}, {Channel: ChannelSMS, Address: "+12025550101"}},
		"commander": {{Channel: ChannelEmail, Address: "kim@vendor.example"}},
		"approver":  {{Channel: ChannelEmail, Address: "boss@vendor.example"}},
	}
	h.Staffed = func(_ *store.Tx, p Post, _ time.Time) ([]Direct, error) { return onDuty[p.Role], nil }
	h.Policy.Ladders = map[string]Ladder{"first_answer": {{Staff: []Post{{Role: "support"}}}, {After: 2 * time.Minute, Staff: []Post{{Role: "commander"}}}}}
	promise := func(what string, n int, due time.Time) {
		h.Helper()
		if err := h.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
			for i := range n {
				if err := h.Promise(tx, Deadline{What: what, Of: fmt.Sprintf("tic_%s_%d_%d", what, due.Unix(), i), Title: fmt.Sprint("K7Q-", i), Many: true, Due: due}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			h.Fatal(err)
		}
	}
	start, seen := h.clock.Now(), 0
	promise("first_answer", 500, start.Add(time.Minute))
	promise("first_answer", 499, start.Add(time.Minute+time.Second))
	promise("next_update", 1, start.Add(time.Minute+2*time.Second)) // no ladder of its own
	fire := func(after time.Duration, want ...string) {
		h.Helper()
		h.clock.Turn(after)
		if _, err := h.FireDeadlines(ctx, h.clock.Now()); err != nil {
			h.Fatal(err)
		}
		if got := h.pages(&seen); !slices.Equal(got, want) {
			h.Errorf("after %s: %v, want %v", h.clock.Now().Sub(start), got, want)
		}
	}
	fire(time.Minute, "+12025550101 first_answer 499", "sue@vendor.example first_answer 499")
	fire(time.Second)
	fire(time.Second, "kim@vendor.example next_update 0")
	fire(time.Second)
	fire(58*time.Second, "+12025550101 first_answer 498", "sue@vendor.example first_answer 498")
	fire(59*time.Second, "kim@vendor.example first_answer 499") // their second rung
	fire(time.Second)
	fire(time.Minute, "kim@vendor.example first_answer 498")
	onDuty["commander"], onDuty["comms"] = []Direct{{Channel: ChannelEmail, Address: "lee@vendor.example"}}, []Direct{{Channel: ChannelEmail, Address: "lee@vendor.example"}}
	fire(12*time.Minute+time.Second, "lee@vendor.example next_update 0") // another shift
	fire(30*time.Minute, "boss@vendor.example next_update 0")
	fire(time.Hour)
}
