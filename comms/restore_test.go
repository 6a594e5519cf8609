package comms

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store/fault"
)

// ordered is a method of so many steps, one behind the other; parallel one whose steps but the last may be done in any order.
func ordered(n int) (items []Item) {
	for i := range n {
		items = append(items, Item{Key: fmt.Sprintf("s%02d", i), Text: fmt.Sprintf("Step %d", i), Required: true, Evidence: EvidenceNone, Stage: i})
	}
	return items
}

func parallel(n int) []Item {
	items := ordered(n)
	for i := range items[:n-1] {
		items[i].Stage = 0
	}
	items[n-1].Stage = 1
	return items
}

func TestStepsOfAMethodAreDoneInTheirOrder(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	in := h.declare()
	h.affect(in.ID, "S-1", "S-2")
	for name, items := range map[string][]Item{"by hand": ordered(70), "at once": parallel(31)} {
		if _, err := h.PublishChecklist(ctx, "stf_ann", Checklist{Name: MethodList(name), Title: name, Items: items}); err != nil {
			h.Fatal(err)
		}
	}
	done := map[string]Result{"s01": {State: ItemDone}}
	_, err := h.DoSteps(ctx, "stf_ann", in.ID, "S-1", done)
	h.refused(err, fault.Conflict, "by which method")
	h.move(Mover{By: "tok_robot"}, in.ID, `{"site_id":"S-1","state":"restoring","method":"by hand"}`, `{"site_id":"S-2","state":"restoring","method":"at once"}`)
	_, err = h.DoSteps(ctx, "stf_ann", in.ID, "S-1", done)
	h.refused(err, fault.Invalid, "results.s01 comes after")
	if s, err := h.DoSteps(ctx, "stf_ann", in.ID, "S-1", map[string]Result{"s00": {State: ItemDone}, "s01": {State: ItemDone}}); err != nil || s.Done != 2 || s.All != 70 {
		h.Errorf("%d of %d: %v", s.Done, s.All, err)
	}
	_, err = h.DoSteps(ctx, "stf_ann", in.ID, "S-2", map[string]Result{"s30": {State: ItemDone}})
	h.refused(err, fault.Invalid, "results.s30")
	for i := range 30 {
		if _, err := h.DoSteps(ctx, "stf_ann", in.ID, "S-2", map[string]Result{fmt.Sprintf("s%02d", 29-i): {State: ItemDone}}); err != nil {
			h.Fatal(err)
		}
	}
	// A new version changes nothing of what has begun.
	if _, err := h.PublishChecklist(ctx, "stf_ann", Checklist{Name: MethodList("at once"), Title: "longer", Items: parallel(40)}); err != nil {
		h.Fatal(err)
	}
	if s, err := h.DoSteps(ctx, "stf_ann", in.ID, "S-2", map[string]Result{"s30": {State: ItemDone}}); err != nil || s.Done != 31 || s.All != 31 || s.Ended == nil || s.Number != 1 {
		h.Errorf("%+v %v", s, err)
	}
	if s, err := h.SiteSteps(ctx, in.ID, "S-1"); err != nil || s.Done != 2 || s.Ended != nil {
		h.Errorf("%+v %v", s, err)
	}
}

// Points five minutes and three hours before: at most three hours are lost, and the second site is the one to speak to.
func TestLossIsComputedFromRestorePoints(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	in := h.declare()
	h.affect(in.ID, "S-1", "S-2", "S-4")
	lost := in.Value.DetectedAt.Add(-time.Hour).UTC()
	at := func(before time.Duration) string { return lost.Add(-before).Format(time.RFC3339) }
	h.move(Mover{By: "tok_robot"}, in.ID,
		`{"site_id":"S-1","state":"rebuilt","restore_point":"`+at(5*time.Minute)+`","lost_at":"`+lost.Format(time.RFC3339)+`","restore_points":{"pages":"`+at(time.Minute)+`"}}`,
		`{"site_id":"S-2","state":"rebuilt","lost_at":"`+lost.Format(time.RFC3339)+`","restore_points":{"pages":"`+at(2*time.Minute)+`","files":"`+at(3*time.Hour)+`"}}`)
	l, err := h.Losses(ctx, in.ID)
	if err != nil || l.Sites != 3 || l.Unknown != 1 || l.All.Most != 3*3600 || l.All.Least != 300 || l.ByStore["pages"].Most != 120 || l.ByStore["files"].N != 1 {
		h.Fatalf("%+v %v", l, err)
	}
	if len(l.Older) != 1 || l.Older[0].Store != "files" {
		h.Errorf("%+v", l.Older)
	}
	m := Mover{By: "stf_ann", Finish: true}
	for _, state := range []string{Verifying, Passed} {
		if _, err := h.MoveSites(ctx, m, in.ID, strings.NewReader(`{"site_id":"S-1","state":"`+state+`","reason":"checked"}`+"\n"+`{"site_id":"S-2","state":"`+state+`","reason":"checked"}`)); err != nil {
			h.Fatal(err)
		}
	}
	_, err = h.AuditPoints(ctx, m, in.ID, "", false)
	h.refused(err, fault.Invalid, "reason")
	a, err := h.AuditPoints(ctx, m, in.ID, "", true)
	if err != nil || len(a.Reopened) != 1 || a.Reopened[0] != l.Older[0].Site {
		h.Fatalf("%+v %v", a, err)
	}
	if f, _ := h.Ledger(ctx, in.ID); f.Sites.Checked != 2 {
		h.Errorf("a trial moved sites: %+v", f.Sites)
	}
	for range 2 { // what is taken up again is not taken up twice
		if _, err = h.AuditPoints(ctx, m, in.ID, "files are from the night before", false); err != nil {
			h.Fatal(err)
		}
	}
	page, _, err := h.Sites(ctx, in.ID, SiteQuery{State: FailedSite})
	if err != nil || len(page) != 1 || page[0].Value.Site != a.Reopened[0] || !strings.Contains(page[0].Value.Reason, "data correction") || len(page[0].Value.History) != 4 {
		h.Errorf("%+v %v", page, err)
	}
}

// The 61st site does not go into a batch of 60, however it comes; one that leaves makes room.
func TestABatchHasAtMostSixtySites(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	h.Policy.BatchMost = 2
	in := h.declare()
	h.affect(in.ID, "S-1", "S-2", "S-4")
	into := func(site, batch string) string {
		return fmt.Sprintf(`{"site_id":%q,"state":"restoring","batch":%q}`, site, batch)
	}
	h.move(Mover{By: "tok_robot"}, in.ID, into("S-1", "1"), into("S-2", "1"))
	report, err := h.MoveSites(ctx, Mover{By: "tok"}, in.ID, strings.NewReader(into("S-4", "1")))
	if err != nil || report.Rejected != 1 || report.Results[0].Code != "batch_full" || report.Results[0].Field != "batch" {
		h.Fatalf("%+v %v", report, err)
	}
	h.move(Mover{By: "tok_robot"}, in.ID, into("S-1", "2"), into("S-4", "1"))
	all, err := h.Batches(ctx, in.ID)
	if err != nil || len(all) != 2 || all[0].Value.Sites != 2 || all[1].Value.Sites != 1 || all[1].Value.Wave != 2 {
		h.Errorf("%+v %v", all, err)
	}
	if DefaultPolicy().BatchMost != 60 {
		h.Error("a batch has another limit than 60 by default")
	}
}

func TestMarkingAList(t *testing.T) {
	l := Checklist{Number: 1, Items: []Item{
		{Key: "a", Text: "A", Required: true, Evidence: EvidenceNumber, Stop: true}, {Key: "b", Text: "B", Required: true, Evidence: EvidenceNone, MayBeNA: true}, {Key: "c", Text: "C", Evidence: EvidenceText}}}
	now := time.Date(2022, 4, 9, 3, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		found map[string]Result
		wrong []string
		open  []string
	}{
		{"nothing", nil, nil, []string{"results.a", "results.b"}},
		{"a number that is none", map[string]Result{"a": {State: ItemDone, Value: "three"}, "b": {State: ItemDone}}, nil, []string{"results.a"}},
		{"no evidence", map[string]Result{"a": {State: ItemDone}, "b": {State: ItemDone}}, nil, []string{"results.a"}},
		{"all", map[string]Result{"a": {State: ItemDone, Value: "-1.5"}, "b": {State: ItemNA, Why: "none there"}}, nil, nil},
		{"what stops", map[string]Result{"a": {State: ItemFailed}}, nil, nil},
		{"n/a where it always applies", map[string]Result{"a": {State: ItemNA, Why: "x"}}, []string{"results.a"}, nil},
		{"n/a without why", map[string]Result{"b": {State: ItemNA}}, []string{"results.b"}, nil},
		{"unknown", map[string]Result{"z": {State: ItemDone}, "b": {State: "maybe"}}, []string{"results.b", "results.z"}, nil},
	} {
		v, f := l.Marked(Run{StartedAt: now.Add(-time.Minute)}, "stf_ann", c.found, time.Time{}, now)
		names := func(f []fault.Field) (all []string) {
			for _, one := range f {
				all = append(all, one.Field)
			}
			return all
		}
		if got := names(f); !slices.Equal(got, c.wrong) {
			t.Errorf("%s: %v", c.name, got)
		}
		if got := names(l.Open(v)); f == nil && !slices.Equal(got, c.open) {
			t.Errorf("%s: open are %v", c.name, got)
		}
	}
	v, _ := l.Marked(Run{StartedAt: now.Add(-time.Hour)}, "stf_ann", map[string]Result{"a": {State: ItemDone, Value: "1"}, "b": {State: ItemDone}}, now.Add(-time.Minute), now)
	if got := v.Results["a"].Took; got != 30 {
		t.Errorf("two results of one minute took %v s each", got)
	}
	again, _ := l.Marked(v, "stf_bob", map[string]Result{"a": {State: ItemDone, Value: "1"}}, time.Time{}, now.Add(time.Hour))
	if again.Results["a"] != v.Results["a"] {
		t.Errorf("the same result is another's now: %+v", again.Results["a"])
	}
}
