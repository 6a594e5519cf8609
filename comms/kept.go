package comms

import (
	"context"
	"maps"
	"slices"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Punctual is how many promises of a sort were kept in time, and how many late or not at all.
type Punctual struct {
	Kept    int    `json:"kept"`
	Late    int    `json:"late"`
	Percent string `json:"kept_percent"` // with one decimal
}

// PromiseSpan is how the promises of a month or a year were kept, by what was promised.
type PromiseSpan struct {
	Span string              `json:"span"` // 2022-04, or 2022
	By   map[string]Punctual `json:"by"`
}

// PromiseReport is how promises were kept: first answers, next answers and solutions of tickets, updates, and whatever else is due at a time.
type PromiseReport struct {
	Months []PromiseSpan `json:"months"`
	Years  []PromiseSpan `json:"years"`
}

// KeptReport counts the promises that were due in a span of time, by month and year in UTC. One that is open counts as late once its time has passed, and not at
// all before; of drills none counts. Zero times are open ends. It counts entries of an index, and reads one deadline for each month of a sort.
func (r *Room) KeptReport(ctx context.Context, from, to time.Time, closed map[string]bool) (report PromiseReport, err error) {
	months, years := tallyOf{}, tallyOf{}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		clear(months)
		clear(years)
		of := []string{""} // what belongs to no incident
		for rec, err := range incidents.Scan(tx, store.Query{Index: "number"}) {
			if err != nil {
				return err
			}
			if !rec.Value.Drill && !closed[rec.ID] {
				of = append(of, rec.ID)
			}
		}
		for _, incident := range of {
			if err := eachPromise(tx, incident, from, to, func(due time.Time, what string, late bool, n int) {
				months.add(due.Format("2006-01"), what, late, n)
				years.add(due.Format("2006"), what, late, n)
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return PromiseReport{months.spans(), years.spans()}, err
}

// eachPromise counts the promises of an incident, by month, sort, and whether they were kept.
func eachPromise(tx *store.Tx, incident string, from, to time.Time, found func(due time.Time, what string, late bool, n int)) error {
	for what := ""; ; {
		q := store.Query{Index: "kept", Equal: []any{incident}, From: what + " "} // the next sort: none has a space in its name
		if what == "" {
			q.From = nil
		}
		rec, err := deadlines.First(tx, q)
		if fault.Of(err) == fault.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		what = rec.Value.What
		for _, how := range []string{promiseOpen, promiseKept, promiseLate} {
			until := to
			if now := tx.Now(); how == promiseOpen && (to.IsZero() || now.Before(to)) {
				until = now
			}
			err := eachMonth(tx, []any{incident, what, how}, from, until, func(due time.Time, n int) { found(due, what, how != promiseKept, n) })
			if err != nil {
				return err
			}
		}
	}
}

// eachMonth counts what is due within a span, month by month, and passes over the months in which nothing is.
func eachMonth(tx *store.Tx, equal []any, from, to time.Time, found func(due time.Time, n int)) error {
	q := store.Query{Index: "kept", Equal: equal}
	if !to.IsZero() {
		q.To = to
	}
	for {
		if !from.IsZero() {
			q.From = from
		}
		first, err := deadlines.First(tx, q)
		if fault.Of(err) == fault.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		due := first.Value.Due.UTC()
		next := time.Date(due.Year(), due.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		month := q
		month.From, month.To = due, next
		if !to.IsZero() && to.Before(next) {
			month.To = to
		}
		n, err := deadlines.Count(tx, month)
		if err != nil {
			return err
		}
		found(due, n)
		from = next
	}
}

// tallyOf counts by span and by what was promised.
type tallyOf map[string]map[string]Punctual

func (t tallyOf) add(span, what string, late bool, n int) {
	if t[span] == nil {
		t[span] = map[string]Punctual{}
	}
	p := t[span][what]
	if late {
		p.Late += n
	} else {
		p.Kept += n
	}
	p.Percent = percent(p.Kept, p.Kept+p.Late)
	t[span][what] = p
}

func (t tallyOf) spans() (all []PromiseSpan) {
	for _, span := range slices.Sorted(maps.Keys(t)) {
		all = append(all, PromiseSpan{span, t[span]})
	}
	return all
}

// Routed counts the tasks of a family that were opened in a span of time, ended or not, by their sort. Zero times are open ends.
func (r *Room) Routed(ctx context.Context, family string, from, to time.Time, closed map[string]bool) (by map[string]int, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		by = map[string]int{}
		for _, state := range []string{Open, TaskDone, TaskDropped} {
			for rec, err := range tasks.Scan(tx, store.Query{Index: "family", Equal: []any{family, state}}) {
				if err != nil {
					return err
				}
				if at := rec.Value.OpenedAt; closed[rec.Value.Incident] || at.Before(from) || !to.IsZero() && !at.Before(to) {
					continue
				}
				by[rec.Value.sort()]++
			}
		}
		return nil
	})
	return by, err
}
