package comms

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/contacts"
	"lifeline/store"
)

// A set is loaded, and for every customer without anybody to tell there is an outreach; each ends by itself when there is somebody, and the
// time at which the last one had somebody is kept.
func TestOutreachIsOwedUntilEverySiteHasSomebody(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		h.affect(in.ID, "S-1", "S-2", "S-3", "S-4")
		owed := h.owed(TaskQuery{Incident: in.ID, State: Open})
		if len(owed) != 2 {
			h.Fatalf("%+v", owed)
		}
		sites := map[int]bool{}
		for _, task := range owed {
			var d UntoldSites
			if err := json.Unmarshal(task.Detail, &d); err != nil {
				h.Fatal(err)
			}
			sites[d.Sites] = d.Reasons[NoApproved] == d.Sites && len(d.Sample) == d.Sites && task.Account != ""
		}
		if !sites[1] || !sites[2] {
			h.Errorf("Acme lacks two and Bolt one: %v", sites)
		}
		if due := h.due(CoverageDue); len(due) != 1 || !due[0].Due.Equal(outbreak.Add(24*time.Hour)) || len(h.due(Outreach)) != 0 {
			h.Errorf("the tasks are due together: %+v", due)
		}
		c, err := h.Coverage(ctx, in.ID)
		if err != nil || c.FullAt != nil || c.LoadedAt == nil || !c.LoadedAt.Equal(outbreak) {
			h.Errorf("%+v %v", c, err)
		}

		h.clock.Turn(time.Hour)
		h.load("account,account_id,name,role,email,confirmed_at\nBolt,A-2,Eve,owner,eve@bolt.example,2022-04-01\n")
		for range 2 { // a second look changes nothing
			if err := h.coverAll(ctx); err != nil {
				h.Fatal(err)
			}
		}
		if left := h.owed(TaskQuery{Incident: in.ID, State: Open}); len(left) != 1 || left[0].Count != 1 {
			h.Errorf("%+v", left)
		}
		h.clock.Turn(time.Hour)
		h.load("account,account_id,name,role,email,confirmed_at\nAcme,A-1,Fay,owner,fay@acme.example,2022-04-01\n")
		if err := h.coverAll(ctx); err != nil {
			h.Fatal(err)
		}
		c, err = h.Coverage(ctx, in.ID)
		if err != nil || c.Covered != 4 || c.FullAt == nil || !c.FullAt.Equal(outbreak.Add(2*time.Hour)) || c.Took != "2h0m0s" {
			h.Errorf("%+v %v", c, err)
		}
		if left := h.owed(TaskQuery{Incident: in.ID, State: Open}); len(left) != 0 || len(h.due(CoverageDue)) != 0 {
			h.Errorf("%+v, %+v", left, h.due(CoverageDue))
		}
		log := h.logged(in.ID)
		if !slices.Contains(log, "uncovered") || log[len(log)-1] != "covered" {
			h.Errorf("%v", log)
		}

		// Whoever opts out leaves a gap again.
		h.clock.Turn(time.Hour)
		h.optOut("eve@bolt.example")
		if err := h.coverAll(ctx); err != nil {
			h.Fatal(err)
		}
		if left := h.owed(TaskQuery{Incident: in.ID, State: Open}); len(left) != 1 || !strings.Contains(string(left[0].Detail), "opted_out") {
			h.Errorf("%+v", left)
		}
		if c, err = h.Coverage(ctx, in.ID); err != nil || c.FullAt != nil {
			h.Errorf("%+v %v", c, err)
		}
	})
}

// A person who ended an outreach is not asked again for the same sites, but is for others.
func TestAnOutreachThatSomebodyEndedIsNotOwedAgain(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		h.affect(in.ID, "S-2")
		page, _, err := h.Tasks(ctx, TaskQuery{Incident: in.ID})
		if err != nil || len(page) != 1 {
			h.Fatalf("%+v %v", page, err)
		}
		if _, err := h.Done(ctx, "stf_ann", page[0].ID, 0, "reached by phone"); err != nil {
			h.Fatal(err)
		}
		if err := h.coverAll(ctx); err != nil {
			h.Fatal(err)
		}
		if left := h.owed(TaskQuery{Incident: in.ID, State: Open}); len(left) != 0 {
			h.Errorf("owed again: %+v", left)
		}
		h.affect(in.ID, "S-3")
		if left := h.owed(TaskQuery{Incident: in.ID, State: Open}); len(left) != 1 || !strings.Contains(string(left[0].Detail), `"sites":2`) {
			h.Errorf("%+v", left)
		}
	})
}

// Two replicas stand their duties; each turn is done by one.
func TestADutyIsDoneByOneReplicaAtATime(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		h.affect(in.ID, "S-1", "S-4")
		h.load("account,account_id,name,role,email,confirmed_at\nBolt,A-2,Eve,owner,eve@bolt.example,2022-04-01\n")
		if err := h.turn(ctx, "one"); err != nil {
			h.Fatal(err)
		}
		if c, err := h.Coverage(ctx, in.ID); err != nil || c.FullAt == nil {
			h.Fatalf("the duty was not done: %+v %v", c, err)
		}
		h.optOut("eve@bolt.example")
		if err := h.turn(ctx, "two"); err != nil { // its time has not come
			h.Fatal(err)
		}
		if c, err := h.Coverage(ctx, in.ID); err != nil || c.FullAt == nil {
			h.Errorf("the duty was done before its time: %+v %v", c, err)
		}
	})
}

// optOut takes an e-mail address out, whoever has it.
func (h house) optOut(address string) {
	h.Helper()
	err := h.DB.Update(context.Background(), store.Act{By: "x", Verb: "contacts.opt_out"}, func(tx *store.Tx) error {
		all, err := h.Book.ByAddress(tx, contacts.Email, address)
		for _, rec := range all {
			if err == nil {
				err = h.Book.OptOut(tx, rec.ID, contacts.Email, address, "asked")
			}
		}
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
}
