package comms

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Cohort is a part of an incident's affected sites that fares otherwise than the rest, such as those with an older restore point. It has a bound of its
// own for lost data, is told by the audience cohort:ID, counted apart, and owed a task until it is closed. Its sites are marked in the ledger.
type Cohort struct {
	ID        string          `json:"id"`   // lower-case letters, digits and hyphens
	Name      string          `json:"name"` // as readers of wide updates see it: what its sites have in common
	AtMost    *templates.Span `json:"at_most"`
	Sites     int             `json:"sites"` // in it
	Integrity *Integrity      `json:"integrity"`
	OpenedAt  time.Time       `json:"opened_at"`
	OpenedBy  string          `json:"opened_by"`
	ClosedAt  *time.Time      `json:"closed_at"`
	ClosedBy  string          `json:"closed_by,omitempty"`
	Reason    string          `json:"reason,omitempty"` // of the close
}

// Integrity is a recorded check of whether data is lost. Only one that passed allows to say that none is.
type Integrity struct {
	Passed bool      `json:"passed"`
	Method string    `json:"method"`   // what was compared with what
	Found  string    `json:"evidence"` // where the result lies
	At     time.Time `json:"at"`
	By     string    `json:"by"`
}

const (
	cohortAudience = "cohort:"
	mostCohorts    = 20
	mostInCohort   = 50_000
)

// CohortOwed is the task of a cohort that is not closed; its Of is [CohortOf].
const CohortOwed = "cohort"

// CohortOf names a cohort of an incident where one text stands for both.
func CohortOf(incident, cohort string) string { return incident + "/" + cohort }

var cohortForm = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$`)

// CohortInput says which sites a cohort takes in. Of the three ways one is used; sites that are in it stay.
type CohortInput struct {
	Name          string          `json:"name"`
	AtMost        *templates.Span `json:"at_most"`
	SiteIDs       []string        `json:"site_ids"`
	RestoreBefore *time.Time      `json:"restore_point_before"` // sites whose restore point is older
	Batch         string          `json:"batch"`
}

func (c CohortInput) bad(id string) (f []fault.Field) {
	if !cohortForm.MatchString(id) {
		f = append(f, wrong("cohort", "is %.60q; it must be at most 40 lower-case letters, digits and hyphens", id))
	}
	f = prose{most: 120, required: true}.bad(f, "name", c.Name)
	f = prose{most: 100}.bad(f, "batch", c.Batch)
	if c.AtMost != nil && *c.AtMost <= 0 {
		f = append(f, wrong("at_most", "must be above zero; leave it out while nobody knows a bound"))
	}
	if len(c.SiteIDs) > mostInCohort {
		f = append(f, wrong("site_ids", "names %d sites; %d are allowed", len(c.SiteIDs), mostInCohort))
	}
	ways := 0
	for _, given := range []bool{len(c.SiteIDs) > 0, c.RestoreBefore != nil, c.Batch != ""} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		f = append(f, wrong("site_ids", "goes alone: give site_ids, restore_point_before or batch"))
	}
	return f
}

func (c CohortInput) takes(w Row) bool {
	switch {
	case c.RestoreBefore != nil:
		return w.RestorePoint != nil && w.RestorePoint.Before(*c.RestoreBefore)
	case c.Batch != "":
		return w.Batch == c.Batch
	}
	return false
}

// cohort finds one by its id.
func (in Incident) cohort(id string) (int, bool) {
	i := slices.IndexFunc(in.Cohorts, func(c Cohort) bool { return c.ID == id })
	return i, i >= 0
}

// SetCohort makes a cohort, or takes more sites into it. A site is in one cohort at most; the last word holds. From then on somebody owes it, until
// it is closed.
func (r *Room) SetCohort(ctx context.Context, by, incident, id string, c CohortInput) (state CohortState, err error) {
	if f := c.bad(id); len(f) > 0 {
		return state, fault.BadFields(f...)
	}
	ids, err := r.cohortRows(ctx, incident, c)
	if err != nil {
		return state, err
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "cohort.set"}, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		if err := in.Value.speaks(); err != nil {
			return err
		}
		moved, left := 0, map[string]int{}
		for _, rowID := range ids {
			w, m, err := rows.Get(tx, rowID)
			if err != nil {
				return err
			}
			if w.Cohort == id {
				continue
			}
			left[w.Cohort]++
			moved++
			w.Cohort = id
			if err := rows.Put(tx, rowID, w, m.Version); err != nil {
				return err
			}
		}
		cohorts := slices.Clone(in.Value.Cohorts)
		for i := range cohorts {
			cohorts[i].Sites -= left[cohorts[i].ID]
		}
		at, known := in.Value.cohort(id)
		if !known {
			if len(cohorts) == mostCohorts {
				return fault.New(fault.Conflict, "an incident has at most %d cohorts", mostCohorts)
			}
			at, cohorts = len(cohorts), append(cohorts, Cohort{ID: id, OpenedAt: tx.Now(), OpenedBy: by})
		}
		own := &cohorts[at]
		own.Name, own.AtMost, own.Sites = c.Name, c.AtMost, own.Sites+moved
		if moved > 0 { // what was checked before was not checked on these
			own.Integrity, own.ClosedAt, own.ClosedBy, own.Reason = nil, nil, "", ""
		}
		if own.Sites == 0 {
			return fault.BadField("site_ids", "no affected site is in the cohort")
		}
		in.Value.Cohorts = cohorts
		if _, err := put(tx, incidents, in.ID, in.Value, in.Version); err != nil {
			return err
		}
		tx.On(in.ID)
		if own.ClosedAt == nil {
			if _, err := r.Owe(tx, Task{What: CohortOwed, Of: CohortOf(in.ID, id), Incident: in.ID, Title: fmt.Sprintf("Cohort %s: its own message, and its close", id)}); err != nil {
				return err
			}
		}
		if err := r.note(tx, in.ID, by, "cohort", fmt.Sprintf("%s: %d sites, %d of them new", id, own.Sites, moved)); err != nil {
			return err
		}
		return r.touchPages(tx)
	})
	if err != nil {
		return state, err
	}
	return r.Cohort(ctx, incident, id)
}

// cohortRows are the rows that an input chooses; ids that are not affected are refused, each by its place.
func (r *Room) cohortRows(ctx context.Context, incident string, c CohortInput) (ids []string, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		ids = nil
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		var f []fault.Field
		for i, anyID := range c.SiteIDs {
			site, _, err := r.site(tx, anyID)
			refused, err := refusal(err)
			if err != nil {
				return err
			}
			id := rowID(in.ID, site)
			if refused == "" {
				if _, _, err := rows.Get(tx, id); fault.Of(err) == fault.NotFound {
					refused = "is not in the incident's affected set"
				} else if err != nil {
					return err
				}
			}
			if refused != "" {
				f = append(f, wrong(fmt.Sprintf("site_ids[%d]", i), "%s", refused))
				continue
			}
			ids = append(ids, id)
		}
		if len(f) > 0 {
			return fault.BadFields(f[:min(len(f), 50)]...)
		}
		if c.RestoreBefore == nil && c.Batch == "" {
			return nil
		}
		for rec, err := range ledgerRows(tx, in.ID) {
			if err != nil {
				return err
			}
			if c.takes(rec.Value) {
				if ids = append(ids, rec.ID); len(ids) > mostInCohort {
					return fault.BadField("restore_point_before", "chooses over %d sites; that is no cohort", mostInCohort)
				}
			}
		}
		return nil
	})
	return ids, err
}

// CohortState is a cohort with its counts of now.
type CohortState struct {
	Cohort
	Ledger templates.Figures `json:"ledger"`
	Told   int               `json:"told"` // number of the newest update to it; 0: none
}

// Cohort reads one cohort with its counts.
func (r *Room) Cohort(ctx context.Context, incident, id string) (CohortState, error) {
	all, err := r.Cohorts(ctx, incident)
	if err != nil {
		return CohortState{}, err
	}
	for _, c := range all {
		if c.ID == id {
			return c, nil
		}
	}
	return CohortState{}, fault.New(fault.NotFound, "the incident has no cohort %.60q", id)
}

// Cohorts are an incident's cohorts, each with its own counts.
func (r *Room) Cohorts(ctx context.Context, incident string) (all []CohortState, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		all, err = r.cohorts(tx, in)
		return err
	})
	return all, err
}

func (r *Room) cohorts(tx *store.Tx, in store.Rec[Incident]) (all []CohortState, err error) {
	if len(in.Value.Cohorts) == 0 {
		return nil, nil
	}
	counts := map[string]*tally{}
	for rec, err := range r.placesOf(tx, store.Query{Prefix: rowPrefix(in.ID)}) {
		if err != nil {
			return nil, err
		}
		if id := rec.Value.is().Cohort; id != "" {
			if counts[id] == nil {
				counts[id] = &tally{}
			}
			counts[id].add(rec.Value, tx.Now(), r.Policy.NoAnswer)
		}
	}
	told := map[string]int{}
	for rec, err := range spoken(tx, in.ID) {
		if err != nil {
			return nil, err
		}
		if to := rec.Value.Statement.Audience; rec.Value.State == Published && rec.Value.Corrects == 0 && told[to] == 0 {
			told[to] = rec.Value.Number
		}
	}
	for _, c := range in.Value.Cohorts {
		t := counts[c.ID]
		if t == nil {
			t = &tally{}
		}
		all = append(all, CohortState{Cohort: c, Ledger: t.figures(tx.Now()), Told: told[cohortAudience+c.ID]})
	}
	return all, nil
}

// CloseCohort ends the following of a cohort: every site of it is handed back, and it was told.
func (r *Room) CloseCohort(ctx context.Context, by, incident, id, reason string) (state CohortState, err error) {
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "cohort.close", Reason: reason}, func(tx *store.Tx) error {
		if f := reasonProse.bad(nil, "reason", reason); len(f) > 0 {
			return fault.BadFields(f...)
		}
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		all, err := r.cohorts(tx, in)
		if err != nil {
			return err
		}
		at, known := in.Value.cohort(id)
		if !known {
			return fault.New(fault.NotFound, "the incident has no cohort %.60q", id)
		}
		switch c := all[at]; {
		case c.ClosedAt != nil:
			return fault.New(fault.Conflict, "cohort %s is closed", id)
		case c.Told == 0:
			return fault.New(fault.Conflict, "cohort %s was not told yet; publish an update to %s%s first", id, cohortAudience, id)
		case c.Ledger.Sites.Restored < c.Ledger.Sites.Total:
			return fault.New(fault.Conflict, "%d of %d sites of cohort %s are not handed back", c.Ledger.Sites.Total-c.Ledger.Sites.Restored, c.Ledger.Sites.Total, id)
		}
		now := tx.Now()
		in.Value.Cohorts = slices.Clone(in.Value.Cohorts)
		own := &in.Value.Cohorts[at]
		own.ClosedAt, own.ClosedBy, own.Reason = &now, by, reason
		tx.On(in.ID)
		if _, err := put(tx, incidents, in.ID, in.Value, in.Version); err != nil {
			return err
		}
		if err := r.Settle(tx, CohortOwed, CohortOf(in.ID, id), by, reason); err != nil {
			return err
		}
		if err := r.keep(tx, CohortOf(in.ID, id), NextUpdate, by); err != nil {
			return err
		}
		return r.note(tx, in.ID, by, "cohort_closed", id+": "+reason)
	})
	if err != nil {
		return state, err
	}
	return r.Cohort(ctx, incident, id)
}

// openCohorts refuses while one is followed.
func (in Incident) openCohorts() error {
	for _, c := range in.Cohorts {
		if c.ClosedAt == nil {
			return fault.New(fault.Conflict, "the incident stays open until cohort %s is closed", c.ID)
		}
	}
	return nil
}

// IntegrityInput is the result of a check of whether data is lost.
type IntegrityInput struct {
	Cohort   string `json:"cohort,omitempty"` // "": of the whole affected set
	Passed   bool   `json:"passed"`
	Method   string `json:"method"`
	Evidence string `json:"evidence"`
}

// RecordIntegrity keeps the result of an integrity check. Sites that are affected later were not in it, so they void it.
func (r *Room) RecordIntegrity(ctx context.Context, by, incident string, i IntegrityInput) (rec store.Rec[Incident], err error) {
	return r.change(ctx, store.Act{By: by, Verb: "integrity.record"}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		f := prose{most: 500, lines: true, required: true}.bad(nil, "method", i.Method)
		f = prose{most: 500, lines: true, required: true}.bad(f, "evidence", i.Evidence)
		if !in.Loaded {
			f = append(f, wrong("passed", "cannot be said before an affected set is loaded"))
		}
		at, known := in.cohort(i.Cohort)
		if i.Cohort != "" && !known {
			f = append(f, wrong("cohort", "is %.60q, which the incident does not have", i.Cohort))
		}
		if len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		check := &Integrity{Passed: i.Passed, Method: i.Method, Found: i.Evidence, At: tx.Now(), By: by}
		of := "all affected sites"
		if known {
			in.Cohorts = slices.Clone(in.Cohorts)
			in.Cohorts[at].Integrity, of = check, i.Cohort
		} else {
			in.Integrity = check
		}
		what := "integrity_failed"
		if i.Passed {
			what = "integrity_passed"
		}
		return in, r.note(tx, id, by, what, of+"; "+i.Method)
	})
}

// verified says whether a passed check covers the readers of an audience.
func (in Incident) verified(audience string) bool {
	if at, known := in.cohort(cutCohort(audience)); known && in.Cohorts[at].Integrity != nil {
		return in.Cohorts[at].Integrity.Passed
	}
	return in.Integrity != nil && in.Integrity.Passed
}

// losses are what wide updates say of the cohorts, beside the bound for all.
func (in Incident) losses() (all []templates.CohortLoss) {
	for _, c := range in.Cohorts {
		if c.AtMost != nil && c.ClosedAt == nil {
			all = append(all, templates.CohortLoss{Name: c.Name, Sites: c.Sites, AtMost: *c.AtMost})
		}
	}
	return all
}
