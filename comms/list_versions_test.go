package comms

import (
	"context"
	"slices"
	"testing"

	"lifeline/store/fault"
)

// Two people write a better list at once: one of them is told, and what runs went by stays countable.
func TestVersionsOfAListCanBeTold(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	name := MethodList("by hand")
	one := []Item{{Key: "stop", Text: "Stop the jobs", Required: true}, {Key: "copy", Text: "Copy", Required: true}, {Key: "start", Text: "Start"}}
	two := []Item{{Key: "start", Text: "Start"}, {Key: "stop", Text: "Stop all jobs", Evidence: EvidenceNumber}, {Key: "count", Text: "Count the rows", Stage: 1}}
	publish := func(by string, number int, items []Item) error {
		_, err := h.PublishChecklist(ctx, by, Checklist{Name: name, Number: number, Title: "By hand", Items: items})
		return err
	}
	if err := publish("stf_ann", 1, one); err != nil {
		h.Fatal(err)
	}
	in := h.declare()
	h.affect(in.ID, "S-1")
	h.move(Mover{By: "tok_robot"}, in.ID, `{"site_id":"S-1","state":"restoring","method":"by hand"}`)
	if _, err := h.DoSteps(ctx, "stf_ann", in.ID, "S-1", map[string]Result{"stop": {State: ItemDone}}); err != nil {
		h.Fatal(err)
	}
	if err := publish("stf_ann", 2, two); err != nil {
		h.Fatal(err)
	}
	h.refused(publish("stf_bo", 2, one), fault.Conflict, "version 2 stands")

	all, err := h.ListVersions(ctx, name, nil)
	if err != nil || len(all) != 2 || all[0].Number != 2 || all[0].Runs != 0 || all[1].Runs != 1 || all[1].Open != 1 {
		h.Fatalf("%+v: %v", all, err)
	}
	d := all[0].Since(all[1].Checklist)
	if len(d.Added) != 1 || d.Added[0].Key != "count" || len(d.Removed) != 1 || d.Removed[0].Key != "copy" || !d.Moved || d.Title || d.About || d.None() {
		h.Errorf("%+v", d)
	}
	if len(d.Changed) != 1 || d.Changed[0].Was.Text != "Stop the jobs" || !slices.Equal(d.Changed[0].What, []string{"text", "required", "evidence"}) {
		h.Errorf("%+v", d.Changed)
	}
	if d := all[0].Since(all[0].Checklist); !d.None() {
		h.Errorf("a version differs from itself: %+v", d)
	}

	// What nobody has published is there all the same, and nothing is kept by looking at it.
	for range 2 {
		if all, err := h.ListVersions(ctx, SiteCheckList, nil); err != nil || len(all) != 1 || all[0].Number != 0 || all[0].ID != "" || len(all[0].Items) == 0 {
			h.Errorf("%+v: %v", all, err)
		}
	}
	newest, err := h.NewestLists(ctx, nil)
	if err != nil {
		h.Fatal(err)
	}
	numbers := map[string]int{}
	for _, l := range newest {
		numbers[l.Name] = l.Number
	}
	if n, is := numbers[SiteCheckList]; !is || n != 0 || numbers[name] != 2 {
		h.Errorf("%v", numbers)
	}
	_, err = h.ListVersions(ctx, "method:none", nil)
	h.refused(err, fault.NotFound, "method:none")
}
