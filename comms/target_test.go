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

// Away for exactly as long as the target, or losing exactly as much, has missed it; a second less has met it.
func TestEachTierIsMeasuredAgainstItsTargets(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	in := h.declare()
	lost := in.Value.DetectedAt.UTC()
	book, sites, points := "account,account_id,tier,site,site_id\n", []string{}, []string{}
	line := func(site string, loss time.Duration) string {
		return fmt.Sprintf(`{"site_id":%q,"state":"rebuilt","lost_at":%q,"restore_point":%q}`, site, lost.Format(time.RFC3339), lost.Add(-loss).Format(time.RFC3339))
	}
	type move struct {
		at   time.Duration
		site string
	}
	var back []move
	for tier := range tierCount {
		target := h.Policy.Targets[tierName(tier)]
		for i, short := range []time.Duration{time.Second, 0} { // a second within it, and just at its border
			site := fmt.Sprintf("T%d-%d", tier, i)
			book += fmt.Sprintf("Tier %d,T-%d,%d,%s,%s\n", tier, tier, tier, site, site)
			sites = append(sites, site)
			points = append(points, line(site, target.RPO-short))
			back = append(back, move{target.RTO - short, site})
		}
	}
	h.load(book)
	h.affect(in.ID, append(sites, "S-4")...) // of which nothing is known: of the book's default tier
	h.move(Mover{By: "tok_robot"}, in.ID, points...)
	slices.SortStableFunc(back, func(a, b move) int { return int(a.at - b.at) })
	lead := Mover{By: "stf_lead", Finish: true}
	for _, m := range back {
		h.clock.Set(lost.Add(m.at))
		h.move(lead, in.ID, fmt.Sprintf(`{"site_id":%q,"state":"passed","reason":"seen by two"}`, m.site), fmt.Sprintf(`{"site_id":%q,"state":"handed_back","reason":"said so"}`, m.site))
	}
	got, err := h.Targets(ctx, in.ID)
	if err != nil || len(got.Tiers) != tierCount {
		t.Fatalf("%+v: %v", got, err)
	}
	for i, of := range got.Tiers {
		target, missed := h.Policy.Targets[tierName(i)], 1
		if i == 2 {
			missed = 2 // S-4 is still away
		}
		if of.Tier != tierName(i) || of.RTO.Target != target.RTO.Seconds() || of.RPO.Target != target.RPO.Seconds() {
			t.Errorf("%+v is not the target of %s", of, tierName(i))
		}
		if of.RTO.Met != 1 || of.RTO.Missed != missed || of.RTO.Open != 0 || of.RTO.State != TargetMissed {
			t.Errorf("%s: back %+v", of.Tier, of.RTO)
		}
		if of.RPO.Met != 1 || of.RPO.Missed != 1 || of.RPO.Open != missed-1 || of.RPO.Actual != target.RPO.Seconds() {
			t.Errorf("%s: lost %+v", of.Tier, of.RPO)
		}
	}
	if got.RTO.State != TargetMissed || got.RTO.Met != 4 || got.RTO.Missed != 5 || got.RPO.Open != 1 {
		t.Errorf("all: %+v %+v", got.RTO, got.RPO)
	}
}

// What has no affected set is measured as a whole, by the most urgent of the components that it names.
func TestAServiceIsMeasuredByItsTier(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	urgent, owner := 0, "Head of Wiki"
	h.Policy.Components[0].Tier, h.Policy.Components[0].Owner = &urgent, owner
	in := h.declare()
	state := func(tier, state string) {
		t.Helper()
		got, err := h.Targets(ctx, in.ID)
		if err != nil || len(got.Tiers) != 1 || got.Tiers[0].Tier != tier || got.RTO.State != state || got.RPO.State != TargetOpen {
			t.Errorf("%+v: %v, wanted %s %s", got, err, tier, state)
		}
	}
	state("T2", TargetOpen)
	h.say(in.ID, h.said())
	state("T0", TargetOpen)
	h.clock.Set(in.Value.DetectedAt.Add(4 * time.Hour))
	state("T0", TargetMissed) // though it is still away

	broken := h.Policy
	broken.Targets = map[string]Target{"T4": {RTO: time.Hour, RPO: time.Hour}, "T1": {RTO: time.Hour}}
	wrong := 7
	broken.Components = []ComponentPolicy{{Name: "Wiki", Tier: &wrong}}
	err := broken.Check()
	for _, field := range []string{"comms.targets.T4", "comms.targets.T1", "comms.components[0].tier"} {
		if fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}
