package comms

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// MethodList is the name of the checklist that a restore method goes by; a site's method is what the ledger says.
func MethodList(method string) string { return "method:" + method }

// Steps is how far the restoring of one site has come by the steps of its method.
type Steps struct {
	Site   string            `json:"site"`
	Method string            `json:"method"`
	List   string            `json:"list"` // id of the version that it goes by; "": nobody has begun
	Number int               `json:"number"`
	Items  []Item            `json:"items"`
	Phase  string            `json:"phase"` // that it is in by its steps
	Found  map[string]Result `json:"results"`
	Done   int               `json:"done"`
	All    int               `json:"all"`
	Ended  *time.Time        `json:"ended_at"` // every required step is done
}

// SiteSteps reads the steps of an affected site.
func (r *Room) SiteSteps(ctx context.Context, incident, site string) (s Steps, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		row, _, err := r.affectedRow(tx, incident, site)
		if err != nil {
			return err
		}
		run, list, err := r.methodRun(tx, row)
		if err != nil && fault.Of(err) != fault.NotFound {
			return err
		}
		s = stepsOf(row, run, list)
		return nil
	})
	return s, err
}

func stepsOf(row Row, run store.Rec[Run], list store.Rec[Checklist]) Steps {
	s := Steps{Site: row.Site, Method: row.Method, Number: list.Value.Number, Items: list.Value.Items, Found: run.Value.Results, Phase: list.Value.phase(run.Value)}
	if run.ID != "" {
		s.List = run.Value.List
	}
	if !run.Value.EndedAt.IsZero() {
		s.Ended = &run.Value.EndedAt
	}
	s.Done, s.All = list.Value.Done(run.Value)
	return s
}

func (r *Room) affectedRow(tx *store.Tx, incident, site string) (Row, string, error) {
	in, err := findIncident(tx, incident)
	if err != nil {
		return Row{}, "", err
	}
	id, _, err := r.site(tx, site)
	if err != nil {
		return Row{}, "", err
	}
	row, _, err := rows.Get(tx, rowID(in.ID, id))
	if fault.Of(err) == fault.NotFound {
		err = fault.New(fault.NotFound, "site %.80q is not in the incident's affected set", site)
	}
	return row, rowID(in.ID, id), err
}

// methodRun is the newest run of a row's method and its version of the list; without a run the version that one would begin with.
func (r *Room) methodRun(tx *store.Tx, row Row) (run store.Rec[Run], list store.Rec[Checklist], err error) {
	all, err := r.RunsOf(tx, rowID(row.Incident, row.Site))
	if err != nil {
		return run, list, err
	}
	for _, rec := range slices.Backward(all) {
		l, m, err := checklists.Get(tx, rec.Value.List)
		if err != nil {
			return run, list, err
		}
		if l.Name == MethodList(row.Method) {
			return rec, store.Rec[Checklist]{Meta: m, Value: l}, nil
		}
	}
	list, err = newestChecklist(tx, MethodList(row.Method))
	return run, list, err
}

// DoSteps notes what was done of a site's method. Steps of one stage are done in any order, and only once every required one of the stages before is.
// The first word begins the run with the newest version of the method; after the last required step it ends.
func (r *Room) DoSteps(ctx context.Context, by, incident, site string, found map[string]Result) (s Steps, err error) {
	if len(found) == 0 {
		return s, fault.BadFields(missing("results"))
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "ledger.steps"}, func(tx *store.Tx) error {
		row, of, err := r.affectedRow(tx, incident, site)
		if err != nil {
			return err
		}
		if row.Method == "" {
			return fault.New(fault.Conflict, "nobody has said by which method this site is restored; move it with one first")
		}
		run, list, err := r.methodRun(tx, row)
		if err != nil {
			return err
		}
		if run.ID == "" || !run.Value.EndedAt.IsZero() { // it is restored once more
			if list, err = newestChecklist(tx, MethodList(row.Method)); err != nil {
				return err
			}
			if run, err = r.BeginRun(tx, Run{List: list.ID, Of: of, By: by}); err != nil {
				return err
			}
		}
		if run, _, err = r.Mark(tx, run, by, found, nil, time.Time{}); err != nil {
			return err
		}
		if len(list.Value.Open(run.Value)) == 0 && len(list.Value.Failed(run.Value)) == 0 {
			if run, err = r.EndRun(tx, run, TaskDone); err != nil {
				return err
			}
		}
		tx.On(of)
		s = stepsOf(row, run, list)
		return comesTo(tx, of, s.Phase)
	})
	return s, err
}

// comesTo notes in the ledger that the steps of a site being restored have come to another phase.
func comesTo(tx *store.Tx, of, phase string) error {
	row, m, err := rows.Get(tx, of)
	if err != nil || row.State != Restoring || row.headway().phase == phase {
		return err
	}
	row.Phases = maps.Clone(row.Phases)
	if row.Phases == nil {
		row.Phases = map[string]time.Time{}
	}
	row.Phases[phase] = tx.Now()
	return rows.Put(tx, of, row, m.Version)
}

// SiteLoss is what one data store of a site lost: from the restore point to when the site was lost.
type SiteLoss struct {
	Site    string    `json:"site"`
	Account string    `json:"account_id"`
	State   string    `json:"state"`
	Store   string    `json:"data_store"` // "": the site as a whole
	LostAt  time.Time `json:"lost_at"`
	Point   time.Time `json:"restore_point"`
	Seconds float64   `json:"loss_s"`
}

// Spread is how losses lie.
type Spread struct {
	N      int     `json:"n"`
	Least  float64 `json:"least_s"`
	Median float64 `json:"median_s"`
	Most   float64 `json:"most_s"`
}

// Losses is what is lost in an incident, computed from the restore points in its ledger.
type Losses struct {
	AsOf     time.Time         `json:"as_of"`
	Standard float64           `json:"standard_s"`
	Sites    int               `json:"sites"`
	Unknown  int               `json:"unknown"` // sites without any restore point
	All      Spread            `json:"all"`     // by site, its worst data store
	ByStore  map[string]Spread `json:"by_data_store"`
	Older    []SiteLoss        `json:"older"` // whose point is older than the standard, the worst first
}

// losses are those of one row. The site was lost when the ledger says so, else when the product reported it, else when the incident began.
func (w Row) losses(lost time.Time) (all []SiteLoss) {
	add := func(name string, point time.Time) {
		all = append(all, SiteLoss{Site: w.Site, Account: w.Account, State: w.State, Store: name, LostAt: lost, Point: point, Seconds: max(0, lost.Sub(point).Seconds())})
	}
	if w.RestorePoint != nil {
		add("", *w.RestorePoint)
	}
	for name, point := range w.Points {
		add(name, point)
	}
	slices.SortFunc(all, func(a, b SiteLoss) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), strings.Compare(a.Store, b.Store))
	})
	return all
}

// lostAt is when a site was lost, and whether that is known of the site itself.
func (r *Room) lostAt(tx *store.Tx, w Row, in Incident) (at time.Time, known bool) {
	if w.LostAt != nil {
		return *w.LostAt, true
	}
	site, err := r.Book.Site(tx, w.Site)
	if err != nil {
		return in.DetectedAt, false
	}
	return w.lost(site.Value.DeletedInProduct, in)
}

// lost is lostAt where it is known when the product deleted the site; nil: it did not say.
func (w Row) lost(deleted *time.Time, in Incident) (at time.Time, known bool) {
	switch {
	case w.LostAt != nil:
		return *w.LostAt, true
	case deleted != nil:
		return *deleted, true
	}
	return in.DetectedAt, false
}

func spread(all []float64) (s Spread) {
	if s.N = len(all); s.N == 0 {
		return s
	}
	slices.Sort(all)
	s.Least, s.Median, s.Most = all[0], all[(s.N-1)/2], all[s.N-1]
	return s
}

// Losses computes what is lost.
func (r *Room) Losses(ctx context.Context, incident string) (l Losses, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		l, err = r.losses(tx, in)
		return err
	})
	return l, err
}

func (r *Room) losses(tx *store.Tx, in store.Rec[Incident]) (l Losses, err error) {
	l = Losses{AsOf: tx.Now(), Standard: r.Policy.PointStandard.Seconds(), ByStore: map[string]Spread{}, Older: []SiteLoss{}}
	var worst []float64
	stores := map[string][]float64{}
	for rec, err := range ledgerRows(tx, in.ID) {
		if err != nil {
			return l, err
		}
		l.Sites++
		lost, _ := r.lostAt(tx, rec.Value, in.Value)
		all := rec.Value.losses(lost)
		if len(all) == 0 {
			l.Unknown++
			continue
		}
		worst = append(worst, all[0].Seconds)
		for _, one := range all {
			if one.Store != "" {
				stores[one.Store] = append(stores[one.Store], one.Seconds)
			}
			if one.Seconds > l.Standard {
				l.Older = append(l.Older, one)
			}
		}
	}
	l.All = spread(worst)
	for name, all := range stores {
		l.ByStore[name] = spread(all)
	}
	slices.SortStableFunc(l.Older, func(a, b SiteLoss) int { return cmp.Compare(b.Seconds, a.Seconds) })
	return l, nil
}

// PointAudit is what an audit of restore points found and did.
type PointAudit struct {
	Standard float64    `json:"standard_s"`
	Older    []SiteLoss `json:"older"`    // every data store with a point that is older
	Reopened []string   `json:"reopened"` // sites that had passed, and are taken up again
	DryRun   bool       `json:"dry_run"`
}

// AuditPoints looks for sites that were restored from a point older than the standard, and takes up again those that have passed already, as a data correction.
// With dry it only says which.
func (r *Room) AuditPoints(ctx context.Context, m Mover, incident, reason string, dry bool) (a PointAudit, err error) {
	if f := reasonProse.bad(nil, "reason", reason); len(f) > 0 && !dry {
		return a, fault.BadFields(f...)
	}
	look := func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		l, err := r.losses(tx, in)
		if err != nil {
			return err
		}
		a = PointAudit{Standard: l.Standard, Older: l.Older, Reopened: []string{}, DryRun: dry}
		for _, one := range l.Older {
			if (one.State == Passed || one.State == HandedBack) && !slices.Contains(a.Reopened, one.Site) {
				a.Reopened = append(a.Reopened, one.Site)
			}
		}
		if dry {
			return nil
		}
		if len(a.Reopened) == 0 {
			return store.ErrNothing
		}
		tx.On(in.ID)
		var moved []Moved
		for _, site := range a.Reopened {
			now, err := r.moveSite(tx, m, in.ID, site, MoveLine{State: FailedSite, Reason: "data correction: " + strings.TrimSpace(reason), Note: "its restore point is older than the standard"})
			if err != nil {
				return err
			}
			if now != nil {
				moved = append(moved, *now)
			}
		}
		if err := r.tidings(tx, moved...); err != nil { // one message to a person, however many of her sites it is
			return err
		}
		if err := r.touchPages(tx); err != nil {
			return err
		}
		return r.note(tx, in.ID, m.By, "sites_moved", fmt.Sprintf("%d %s", len(a.Reopened), FailedSite))
	}
	if dry {
		return a, r.DB.View(ctx, look)
	}
	return a, r.DB.Update(ctx, store.Act{By: m.By, Verb: "ledger.audit", Reason: reason}, look)
}
