package comms

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Covering is how an affected set comes to have somebody to tell: for every customer with a site of whom nobody who may speak for it can be
// reached there is an outreach task, which ends by itself once there is somebody. All of them are due together, through one deadline of the
// incident: twenty thousand tasks must not bury the next update in the list of what is due.

// Outreach is the What of a task to reach a customer by hand; CoverageDue of the deadline that all outreach of an incident has in common.
const (
	Outreach    = "outreach"
	CoverageDue = "coverage"
)

// UntoldSites is the detail of such a task: for how many sites, the first of them, and why nobody who may speak for them can be told.
type UntoldSites struct {
	Sites   int            `json:"sites"`
	Sample  []string       `json:"site_ids"`
	Reasons map[string]int `json:"reasons"`
	Set     string         `json:"set"` // digest of the uncovered sites: what a person has ended stays ended until they are others
}

// gap is one customer's uncovered sites.
type gap struct {
	account string
	sites   []string
	reasons map[string]int
}

func (g gap) detail() UntoldSites {
	sum := sha256.Sum256([]byte(strings.Join(g.sites, " ")))
	return UntoldSites{Sites: len(g.sites), Sample: g.sites[:min(len(g.sites), mostSample)], Reasons: g.reasons, Set: hex.EncodeToString(sum[:8])}
}

func outreachOf(incident, account string) string { return incident + "/" + account }

// mostCovered is how many tasks one transaction makes or ends.
const mostCovered = 100

// coverAll covers every incident that is not closed.
func (r *Room) coverAll(ctx context.Context) error {
	var open []store.Rec[Incident]
	err := r.DB.View(ctx, func(tx *store.Tx) (err error) {
		open = nil
		for _, state := range []string{Open, Resolved} { // what is resolved may still have customers to be told so
			some, _, err := incidents.List(tx, store.Query{Index: "state", Equal: []any{state}})
			if err != nil {
				return err
			}
			open = append(open, some...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, in := range open {
		if !in.Value.Loaded {
			continue
		}
		if err := r.Cover(ctx, in.ID); err != nil {
			return fmt.Errorf("cover incident %s: %w", in.ID, err)
		}
	}
	return r.dropOutreach(ctx)
}

// dropOutreach ends the outreach of incidents that were closed: there is nothing left to tell of them.
func (r *Room) dropOutreach(ctx context.Context) error {
	var over []store.Rec[Task]
	err := r.DB.View(ctx, func(tx *store.Tx) error {
		over = nil
		closed := map[string]bool{}
		for rec, err := range tasks.Scan(tx, store.Query{Index: "family", Equal: []any{Outreach, Open}}) {
			if err != nil {
				return err
			}
			id := rec.Value.Incident
			if rec.Value.What != Outreach {
				continue
			}
			if _, seen := closed[id]; !seen {
				in, _, err := incidents.Get(tx, id)
				if err != nil {
					return err
				}
				closed[id] = in.State == Closed
			}
			if closed[id] {
				over = append(over, rec)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for outreach that is over: %w", err)
	}
	for some := range slices.Chunk(over, mostCovered) {
		err := r.DB.Update(ctx, store.Act{By: "system:coverage", Verb: "coverage.drop"}, func(tx *store.Tx) error {
			for _, rec := range some {
				if _, err := r.endTask(tx, rec, TaskDropped, "system:coverage", "the incident is closed"); err != nil {
					return err
				}
			}
			return nil
		})
		if fault.Of(err) == fault.Stale { // somebody ended one at this moment: the next look finds the others
			continue
		}
		if err != nil {
			return fmt.Errorf("drop outreach: %w", err)
		}
	}
	return nil
}

// untold are the contacts whom the newest update to all readers of an incident will not reach: every address of theirs on every channel of it failed, or
// wants none. One that was stopped says nothing of their addresses, and neither does one that waits behind a stage or is still being written down: outreach that is
// owed since the one before stays owed.
func (r *Room) untold(tx *store.Tx, incident string) (map[string]bool, error) {
	for rec, err := range spoken(tx, incident) {
		if err != nil {
			return nil, err
		}
		u := rec.Value
		if u.State != Published || u.Corrects > 0 || u.Notice == "" || !wide(u.Statement.Audience) {
			continue
		}
		n, _, err := notices.Get(tx, u.Notice)
		if err != nil {
			return nil, err
		}
		if n.State != StoppedHere && n.State != Expanding {
			return missedBy(tx, suffix(u.Notice))
		}
	}
	return nil, nil
}

// missedBy are the contacts whom a notice did not reach and will not.
func missedBy(tx *store.Tx, notice string) (map[string]bool, error) {
	spans, err := lostSpans(tx, notice, func(Page, string, State, int) {})
	if err != nil {
		return nil, err
	}
	missed := map[string]bool{}
	for _, s := range spans {
		best := map[string]State{}
		for rec, err := range deliveries.Scan(tx, s) {
			if err != nil {
				return nil, err
			}
			k, err := parseKey(rec.ID)
			if err != nil {
				return nil, err
			}
			best[k.Contact] = better(best[k.Contact], rec.Value.State)
		}
		for who, state := range best {
			if unreached(state) {
				missed["con_"+who] = true
			}
		}
	}
	return missed, nil
}

// Cover compares an incident's affected set with whom the book can reach: it owes outreach to customers without somebody to tell, ends the
// outreach that has become needless, and keeps the time at which the last site was covered.
func (r *Room) Cover(ctx context.Context, incident string) error {
	var owe []gap
	var needless []string
	var report CoverageReport
	err := r.DB.View(ctx, func(tx *store.Tx) (err error) {
		owe, needless = nil, nil
		if report, err = r.coverage(tx, incident, false); err != nil {
			return err
		}
		owe, needless, err = outreachNews(tx, incident, report.gaps())
		return err
	})
	if err != nil {
		return err
	}
	act := store.Act{By: "system:coverage", Verb: "coverage.outreach"}
	for some := range slices.Chunk(owe, mostCovered) {
		err := r.DB.Update(ctx, act, func(tx *store.Tx) error {
			tx.On(incident)
			for _, g := range some {
				if err := r.oweOutreach(tx, incident, g); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for some := range slices.Chunk(needless, mostCovered) {
		err := r.DB.Update(ctx, act, func(tx *store.Tx) error {
			for _, of := range some {
				if err := r.Settle(tx, Outreach, of, "system:coverage", "somebody who may speak for the sites can be reached"); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return r.keepCoverage(ctx, incident, report)
}

func (r *Room) oweOutreach(tx *store.Tx, incident string, g gap) error {
	detail, err := json.Marshal(g.detail())
	if err != nil {
		return fmt.Errorf("write the detail of an outreach: %w", err)
	}
	_, err = r.Owe(tx, Task{What: Outreach, Of: outreachOf(incident, g.account), Account: g.account, Incident: incident, Detail: detail, Shared: true,
		Title: fmt.Sprintf("Reach a customer by hand: nobody who may speak for %d of its affected sites can be told", len(g.sites))})
	return err
}

// outreachNews is what the gaps mean for the outreach tasks of an incident: those to owe, anew or with other sites, and those that are
// needless. What a person has ended is not owed again for the same sites.
func outreachNews(tx *store.Tx, incident string, gaps []gap) (owe []gap, needless []string, err error) {
	latest := map[string]Task{}
	for rec, err := range tasks.Scan(tx, store.Query{Index: "incident", Equal: []any{incident}}) {
		if err != nil {
			return nil, nil, err
		}
		t := rec.Value
		if was, ok := latest[t.Of]; t.What == Outreach && (!ok || t.State == Open || was.State != Open && t.OpenedAt.After(was.OpenedAt)) {
			latest[t.Of] = t
		}
	}
	for _, g := range gaps {
		t, known := latest[outreachOf(incident, g.account)]
		var had UntoldSites
		if known {
			if err := json.Unmarshal(t.Detail, &had); err != nil {
				return nil, nil, fmt.Errorf("read the detail of an outreach: %w", err)
			}
		}
		bySystem := strings.HasPrefix(t.EndedBy, "system:")
		if !known || had.Set != g.detail().Set || t.State != Open && bySystem {
			owe = append(owe, g)
		}
		delete(latest, outreachOf(incident, g.account))
	}
	for of, t := range latest {
		if t.State == Open {
			needless = append(needless, of)
		}
	}
	slices.Sort(needless)
	return owe, needless, nil
}

// gaps are the uncovered sites by customer, in the order of accounts.
func (c CoverageReport) gaps() (all []gap) {
	for _, u := range c.Uncovered {
		if len(all) == 0 || all[len(all)-1].account != u.Account {
			all = append(all, gap{account: u.Account, reasons: map[string]int{}})
		}
		g := &all[len(all)-1]
		g.sites = append(g.sites, u.Site)
		g.reasons[u.Reason]++
	}
	return all
}

// keepCoverage notes when an affected set came to be covered as a whole, and when it is so no longer.
func (r *Room) keepCoverage(ctx context.Context, incident string, c CoverageReport) error {
	full := c.Sites > 0 && c.Covered == c.Sites
	err := r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err == nil && (in.Value.CoveredAt != nil) == full && (full || in.Value.GapSince != nil) {
			return errAsItWas
		}
		return err
	})
	if err != nil {
		return asItWas(err)
	}
	return asItWas(r.DB.Update(ctx, store.Act{By: "system:coverage", Verb: "coverage.keep"}, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		v, text := in.Value, fmt.Sprintf("%d of %d", c.Covered, c.Sites)
		if (v.CoveredAt != nil) == full && (full || v.GapSince != nil) {
			return errAsItWas
		}
		tx.On(in.ID)
		now := tx.Now()
		what := "covered"
		if full {
			v.CoveredAt, v.GapSince = &now, nil
			if err := r.keep(tx, in.ID, CoverageDue, "system:coverage"); err != nil {
				return err
			}
		} else {
			what = "uncovered"
			v.CoveredAt, v.GapSince = nil, &now
			if v.State == Open { // of what is over somebody is told so, and nothing is at stake until then
				if err := r.promiseCoverage(tx, in.ID); err != nil {
					return err
				}
			}
		}
		if err := incidents.Put(tx, in.ID, v, in.Version); err != nil {
			return err
		}
		return r.note(tx, in.ID, "system:coverage", what, text)
	}))
}

// promiseCoverage makes it due that every affected site has somebody to tell.
func (r *Room) promiseCoverage(tx *store.Tx, incident string) error {
	return r.Move(tx, Deadline{What: CoverageDue, Of: incident, Incident: incident, Due: tx.Now().Add(r.Policy.taskDue(Outreach))})
}

// errAsItWas ends an act that would change nothing.
var errAsItWas = fault.New(fault.Conflict, "it is so already")

func asItWas(err error) error {
	if err == errAsItWas {
		return nil
	}
	return err
}

// coverageTimes are the times of an incident's coverage.
type coverageTimes struct {
	LoadedAt *time.Time `json:"loaded_at"` // the first affected set
	FullAt   *time.Time `json:"full_at"`   // every affected site has somebody to tell since; null: not yet, or no longer
	Took     string     `json:"took,omitempty"`
}

// coverTimes says when the set was loaded, when it was covered, and how long that took.
func coverTimes(in Incident) (t coverageTimes) {
	t.LoadedAt, t.FullAt = in.LoadedAt, in.CoveredAt
	if t.LoadedAt != nil && t.FullAt != nil {
		t.Took = t.FullAt.Sub(*t.LoadedAt).Round(time.Second).String()
	}
	return t
}
