package comms

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Each service has its targets by its tier, whoever the policy names for it, and how its last incident that is over went.
func TestServicesAndWhoAnswersForThem(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	top := 0
	h.Policy.Components = []ComponentPolicy{{Name: "Wiki", Tier: &top, Owner: "Platform", Champion: "Ann", SRE: "bob@example.com"}, {Name: "Search"}}
	in := h.declare()
	s := h.said()
	s.Scope.Products = []string{" wiki "}
	h.say(in.ID, s)
	measured := func() *Measured {
		t.Helper()
		all, err := h.Services(ctx, nil)
		if err != nil || len(all) != 2 || all[0].Tier != "T0" || all[0].RTO != (4*time.Hour).Seconds() || all[0].Owner != "Platform" || all[1].Owner != "" || all[1].Measured != nil {
			t.Fatalf("%+v, %v", all, err)
		}
		if got := fmt.Sprint(all[0].Duties); got != "[{champion Ann} {sre bob@example.com} {lead }]" {
			t.Error(got)
		}
		return all[0].Measured
	}
	if m := measured(); m != nil {
		t.Errorf("it is not over, and measured: %+v", m)
	}
	h.clock.Turn(5 * time.Hour)
	state := Resolved
	if _, err := h.Amend(ctx, in.Value.Commander, in.ID, 0, Amend{State: &state, Reason: "over"}); err != nil {
		t.Fatal(err)
	}
	if m := measured(); m == nil || m.Incident != in.ID || m.RTO.State != TargetMissed || m.RTO.Actual < (5*time.Hour).Seconds() {
		t.Errorf("%+v", m)
	}

	h.Policy.Ladders = map[string]Ladder{"task": {{Staff: []Post{{Role: "commander"}, {Person: "stf_gone"}}}}}
	h.Policy.OnDuty, h.Policy.Call = nil, []Post{{Person: "stf_ann"}}
	if got := fmt.Sprint(h.Policy.Named()); got != "[{comms.ladders.task[0].staff[1].person stf_gone true} {comms.call[0].person stf_ann true} {comms.components[0].champion Ann false} {comms.components[0].sre bob@example.com false}]" {
		t.Error(got)
	}
}
