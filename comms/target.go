package comms

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Target is what a service of a tier is held to. What took exactly as long, or lost exactly as much, has missed it.
type Target struct {
	RTO time.Duration `yaml:"rto" json:"rto"` // recovery time objective: within it the service is back
	RPO time.Duration `yaml:"rpo" json:"rpo"` // recovery point objective: what was written in the last such time before the loss may be gone
}

// tierCount is how many tiers there are; 0 is the most urgent.
const tierCount = 4

func tierName(tier int) string { return "T" + strconv.Itoa(tier) }

func defaultTargets() map[string]Target {
	return map[string]Target{
		"T0": {RPO: time.Hour, RTO: 4 * time.Hour},
		"T1": {RPO: time.Hour, RTO: 6 * time.Hour},
		"T2": {RPO: 8 * time.Hour, RTO: 24 * time.Hour},
		"T3": {RPO: 24 * time.Hour, RTO: 72 * time.Hour},
	}
}

func (p Policy) badTargets(f []fault.Field) []fault.Field {
	for name, t := range p.Targets {
		if !slices.Contains([]string{"T0", "T1", "T2", "T3"}, name) {
			f = append(f, wrong("comms.targets."+bounded(name), "is none of T0, T1, T2, T3"))
		}
		if t.RTO <= 0 || t.RPO <= 0 {
			f = append(f, wrong("comms.targets."+bounded(name), "must have an rto and an rpo above 0"))
		}
	}
	return f
}

// What became of a target. Open: neither is known yet, since the service is still away and its time not up, or since no restore point is noted.
const (
	TargetMet    = "met"
	TargetMissed = "missed"
	TargetOpen   = "open"
)

// Objective is a target beside what was reached.
type Objective struct {
	State  string  `json:"state"`    // met, missed, open; of several, missed when one is, and open before met
	Target float64 `json:"target_s"` // 0: of several tiers, each has its own
	Actual float64 `json:"actual_s"` // the most of any; of what is still away, so far
	Met    int     `json:"met"`
	Missed int     `json:"missed"`
	Open   int     `json:"open"`
}

// count adds what took so long; over says that it takes no longer.
func (o *Objective) count(took time.Duration, over bool) {
	o.Actual = max(o.Actual, took.Seconds())
	switch {
	case took.Seconds() >= o.Target:
		o.Missed++
	case over:
		o.Met++
	default:
		o.Open++
	}
}

func (o *Objective) join(one Objective) {
	o.Actual = max(o.Actual, one.Actual)
	o.Met, o.Missed, o.Open = o.Met+one.Met, o.Missed+one.Missed, o.Open+one.Open
}

func (o *Objective) judge() {
	switch {
	case o.Missed > 0:
		o.State = TargetMissed
	case o.Open > 0 || o.Met == 0:
		o.State = TargetOpen
	default:
		o.State = TargetMet
	}
}

// Targets is how an incident stands against what its services are held to.
type Targets struct {
	AsOf  time.Time     `json:"as_of"`
	RTO   Objective     `json:"rto"` // over all tiers
	RPO   Objective     `json:"rpo"`
	Tiers []TierTargets `json:"tiers"` // those that it has to do with, the most urgent first
}

// TierTargets is that of one tier: of the affected sites in it, or, of an incident without an affected set, of the service as a whole.
type TierTargets struct {
	Tier  string    `json:"tier"` // T0 to T3
	Sites int       `json:"sites"`
	RTO   Objective `json:"rto"`
	RPO   Objective `json:"rpo"`
}

// Targets compares an incident with the targets of the tiers of its sites: how long each was away, from its loss until it was handed back, and
// how much it lost, from its oldest restore point to its loss. An incident that has no affected set is measured as a whole, from its detection until it
// was resolved, by the most urgent tier of the components that its newest update names.
// Of a large affected set the answer may be seconds old, see [store.Recent].
func (r *Room) Targets(ctx context.Context, incident string) (Targets, error) {
	return r.targets.Of(ctx, incident, targetsFor, func(ctx context.Context) (Targets, bool, error) {
		t, err := r.compareTargets(ctx, incident)
		return t, t.RTO.Met+t.RTO.Missed+t.RTO.Open >= targetsFrom, err
	})
}

func (r *Room) compareTargets(ctx context.Context, incident string) (t Targets, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		tiers := make([]TierTargets, tierCount)
		for i := range tiers {
			at := r.Policy.Targets[tierName(i)]
			tiers[i] = TierTargets{Tier: tierName(i), RTO: Objective{Target: at.RTO.Seconds()}, RPO: Objective{Target: at.RPO.Seconds()}}
		}
		t = Targets{AsOf: tx.Now(), Tiers: []TierTargets{}}
		if in.Value.Loaded {
			err = r.siteTargets(tx, in, tiers)
		} else {
			err = r.serviceTarget(tx, in, tiers)
		}
		if err != nil {
			return err
		}
		for _, one := range tiers {
			if one.RTO.Met+one.RTO.Missed+one.RTO.Open == 0 {
				continue
			}
			one.RTO.judge()
			one.RPO.judge()
			t.RTO.join(one.RTO)
			t.RPO.join(one.RPO)
			t.Tiers = append(t.Tiers, one)
		}
		t.RTO.judge()
		t.RPO.judge()
		return nil
	})
	return t, err
}

// Every site is walked with its tier for these figures. From so many sites on they are kept for a moment, in which many look.
const (
	targetsFrom = 500
	targetsFor  = 5 * time.Second
)

func (r *Room) siteTargets(tx *store.Tx, in store.Rec[Incident], tiers []TierTargets) error {
	var all []Row
	for rec, err := range ledgerRows(tx, in.ID) {
		if err != nil {
			return err
		}
		all = append(all, rec.Value)
	}
	for some := range slices.Chunk(all, sitesAtOnce) {
		if err := r.countTargets(tx, in.Value, some, tiers); err != nil {
			return err
		}
	}
	return nil
}

// sitesAtOnce is how many sites are looked up in the book by one question.
const sitesAtOnce = 500

func (r *Room) countTargets(tx *store.Tx, in Incident, some []Row, tiers []TierTargets) error {
	var ids []string
	for _, w := range some {
		ids = append(ids, w.Site)
	}
	found, err := r.Book.Plights(tx, ids)
	if err != nil {
		return fmt.Errorf("read the tiers of the sites: %w", err)
	}
	for _, w := range some {
		p, known := found[w.Site]
		if !known { // it, or its customer, was merged into another
			if p.Tier, err = r.Book.SiteTier(tx, w.Site); err != nil {
				return fmt.Errorf("read the tier of %s: %w", w.Site, err)
			}
		}
		of := &tiers[min(max(p.Tier, 0), tierCount-1)]
		of.Sites++
		lost, _ := w.lost(p.Deleted, in)
		if !known {
			lost, _ = r.lostAt(tx, w, in)
		}
		back, over := tx.Now(), false
		switch state, silent := w.place().standing(tx.Now(), r.Policy.NoAnswer); {
		case state == HandedBack && silent && w.State == Passed:
			back, over = w.At.Add(r.Policy.NoAnswer), true
		case state == HandedBack:
			back, over = w.At, true
		}
		of.RTO.count(max(0, back.Sub(lost)), over)
		if all := w.losses(lost); len(all) > 0 {
			of.RPO.count(time.Duration(all[0].Seconds*float64(time.Second)), true)
		} else {
			of.RPO.Open++
		}
	}
	return nil
}

func (r *Room) serviceTarget(tx *store.Tx, in store.Rec[Incident], tiers []TierTargets) error {
	products, err := productsOf(tx, in.ID)
	if err != nil {
		return err
	}
	of := &tiers[r.Policy.tierOf(products, r.Book.Policy.DefaultTier)]
	back, over := tx.Now(), false
	if at := in.Value.ResolvedAt; at != nil && in.Value.State != Open {
		back, over = *at, true
	}
	of.RTO.count(back.Sub(in.Value.DetectedAt), over)
	of.RPO.Open++
	return nil
}

// tierOf is the most urgent tier of the components named; otherwise when none of them has one.
func (p Policy) tierOf(products []string, otherwise int) int {
	tier, found := otherwise, false
	for _, c := range p.Components {
		if c.Tier == nil || !slices.ContainsFunc(products, func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), c.Name) }) {
			continue
		}
		if !found || *c.Tier < tier {
			tier, found = *c.Tier, true
		}
	}
	return tier
}
