package comms

import (
	"context"
	"maps"
	"slices"
	"time"

	"lifeline/store"
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
// all before; of drills none counts. Zero times are open ends. It reads every deadline there is.
func (r *Room) KeptReport(ctx context.Context, from, to time.Time) (report PromiseReport, err error) {
	months, years := tallyOf{}, tallyOf{}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		clear(months)
		clear(years)
		drills := map[string]bool{}
		for rec, err := range incidents.Scan(tx, store.Query{Index: "number"}) {
			if err != nil {
				return err
			}
			drills[rec.ID] = rec.Value.Drill
		}
		for rec, err := range deadlines.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			d := rec.Value
			open := d.DoneAt.IsZero()
			if d.Due.Before(from) || !to.IsZero() && !d.Due.Before(to) || drills[d.Incident] || open && !d.Due.Before(tx.Now()) {
				continue
			}
			due := d.Due.UTC()
			months.add(due.Format("2006-01"), d.What, open || d.Late)
			years.add(due.Format("2006"), d.What, open || d.Late)
		}
		return nil
	})
	return PromiseReport{months.spans(), years.spans()}, err
}

// tallyOf counts by span and by what was promised.
type tallyOf map[string]map[string]Punctual

func (t tallyOf) add(span, what string, late bool) {
	if t[span] == nil {
		t[span] = map[string]Punctual{}
	}
	p := t[span][what]
	if late {
		p.Late++
	} else {
		p.Kept++
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
func (r *Room) Routed(ctx context.Context, family string, from, to time.Time) (by map[string]int, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		by = map[string]int{}
		for _, state := range []string{Open, TaskDone, TaskDropped} {
			for rec, err := range tasks.Scan(tx, store.Query{Index: "family", Equal: []any{family, state}}) {
				if err != nil {
					return err
				}
				if at := rec.Value.OpenedAt; at.Before(from) || !to.IsZero() && !at.Before(to) {
					continue
				}
				by[rec.Value.sort()]++
			}
		}
		return nil
	})
	return by, err
}
