package comms

import (
	"testing"
	"time"
)

// Two methods side by side: each has its own pace, a batch under way takes what batches take, and the last date has the checks and the customers in it.
func TestWhenSitesAreToBeExpectedBack(t *testing.T) {
	now := time.Date(2022, 4, 10, 12, 0, 0, 0, time.UTC)
	ago := func(h float64) time.Time { return now.Add(-time.Duration(h * float64(time.Hour))) }
	row := func(method, batch, state string, at float64, was ...Move) Row {
		return Row{Method: method, Batch: batch, State: state, At: ago(at), History: was}
	}
	began, rebuilt, passed := func(h float64) Move { return Move{State: Restoring, At: ago(h)} }, func(h float64) Move { return Move{State: Rebuilt, At: ago(h)} }, func(h float64) Move { return Move{State: Passed, At: ago(h)} }
	all := []Row{
		row("70 steps", "1", HandedBack, 2, began(20), rebuilt(10), passed(8)),
		row("70 steps", "1", Passed, 6, began(19), rebuilt(10)),
		row("70 steps", "2", Restoring, 3),
		row("30 steps", "3", Rebuilt, 1, began(4)),
		row("30 steps", "3", Rebuilt, 1, began(4)),
		row("30 steps", "3", Lost, 4),
		row("30 steps", "4", FailedSite, 1, began(4), rebuilt(2)),
	}
	f := forecast(all, now, 72*time.Hour)
	hours := func(what string, at *time.Time, want float64) {
		t.Helper()
		if at == nil || at.Sub(now).Round(time.Minute) != time.Duration(want*float64(time.Hour)).Round(time.Minute) {
			t.Errorf("%s: %v, want in %.1f h", what, at, want)
		}
	}
	if len(f.Methods) != 2 || f.Methods[0].Method != "30 steps" || f.Methods[0].Left != 2 || f.Methods[0].Done != 2 || f.Methods[0].PerHour != 0.5 || f.Methods[1].PerHour != 0.1 || f.Methods[1].Batch != 10*3600 {
		t.Fatalf("%+v", f.Methods)
	}
	hours("30 steps: 2 at one in two hours", f.Methods[0].RebuiltBy, 4)
	hours("70 steps: 1 at one in ten hours, whose batch would have taken 7 more", f.Methods[1].RebuiltBy, 10)
	hours("the last rebuilt", f.RebuiltBy, 10)
	if f.Check != 2*3600 || f.Answer != 6*3600 {
		t.Errorf("%+v", f)
	}
	hours("5 to pass at 2 in ten hours", f.CheckedBy, 25)
	hours("with the customers' time", f.BackBy, 31)

	f = forecast(all[2:], now, 72*time.Hour) // nothing of one method was ever done: no date at all
	if f.RebuiltBy != nil || f.BackBy != nil || f.Methods[0].RebuiltBy == nil || f.Methods[1].RebuiltBy != nil || f.Answer != 72*3600 {
		t.Errorf("%+v", f)
	}
	if f = forecast(nil, now, time.Hour); f.BackBy != nil || len(f.Methods) != 0 {
		t.Errorf("nothing lost: %+v", f)
	}
	for i := range all { // a pace of yesterday is none
		all[i].At = all[i].At.Add(-48 * time.Hour)
		for j := range all[i].History {
			all[i].History[j].At = all[i].History[j].At.Add(-48 * time.Hour)
		}
	}
	if f = forecast(all, now, 72*time.Hour); f.RebuiltBy != nil {
		t.Errorf("%+v", f)
	}
	slow := []Row{row("x", "1", Rebuilt, 1, began(9)), row("x", "2", Rebuilt, 1, began(1)), row("x", "2", Restoring, 1)}
	hours("a batch under way", forecast(slow, now, time.Hour).Methods[0].RebuiltBy, 7) // of the 8 that the other took, where 2 in nine hours gives 4.5
}
