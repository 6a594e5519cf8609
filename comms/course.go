package comms

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"lifeline/store"
	"lifeline/templates"
)

// CoursePoint is how many sites and customers were restored at a moment.
type CoursePoint struct {
	At        time.Time `json:"at"`
	Sites     int       `json:"sites"`
	Customers int       `json:"customers"`
}

// mostPoints bounds the course of a ledger: a drawing shows no more.
const mostPoints = 48

// course is how the sites that count as handed back became so, oldest first and ending at asOf. It is read from where the sites stand now: a site
// that was handed back and fell out again is not restored, and no curve shows it as if it were.
func course(all []place, asOf time.Time, silence time.Duration) []CoursePoint {
	type customer struct {
		whole bool
		last  time.Time // when the last of her sites came back
	}
	var sites, customers []time.Time
	of := map[store.Brief]customer{}
	for _, w := range all {
		c, seen := of[w.account]
		state, _ := w.standing(asOf, silence)
		at := w.since(asOf, silence)
		if state == HandedBack {
			sites = append(sites, at)
		}
		c.whole = state == HandedBack && (c.whole || !seen)
		if at.After(c.last) {
			c.last = at
		}
		of[w.account] = c
	}
	for _, c := range of {
		if c.whole {
			customers = append(customers, c.last)
		}
	}
	if len(sites) == 0 {
		return nil
	}
	slices.SortFunc(sites, time.Time.Compare)
	slices.SortFunc(customers, time.Time.Compare)
	var steps []CoursePoint // several at once are one
	done := 0
	for i, at := range sites {
		if i+1 < len(sites) && sites[i+1].Equal(at) {
			continue
		}
		for done < len(customers) && !customers[done].After(at) {
			done++
		}
		steps = append(steps, CoursePoint{At: at, Sites: i + 1, Customers: done})
	}
	out := steps
	if n := len(steps); n > mostPoints { // of a thousand steps the curve keeps some, the last among them
		out = nil
		for i, step := range steps {
			if (i+1)*mostPoints/n != i*mostPoints/n {
				out = append(out, step)
			}
		}
	}
	if last := out[len(out)-1]; last.At.Before(asOf) {
		out = append(out, CoursePoint{At: asOf, Sites: last.Sites, Customers: last.Customers})
	}
	return out
}

// Course is how the ledger of an incident (our id) got to where it is; nil while nothing is restored. What is over is as it ended.
func (r *Room) Course(ctx context.Context, incident string) (all []CoursePoint, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, _, err := incidents.Get(tx, incident)
		if err != nil {
			return err
		}
		_, all, err = r.standing(tx, incident, in)
		return err
	})
	return all, err
}

// standing is where an incident's ledger stands and how it got there, for everybody; nil while no affected set is loaded. Of what is over the figures are those of now with the time
// from which on they hold, and the course is drawn as it ended: nothing of it moves with the clock alone, so neither do the pages that show it.
func (r *Room) standing(tx *store.Tx, id string, in Incident) (*templates.Figures, []CoursePoint, error) {
	if !in.Loaded {
		return nil, nil, nil
	}
	now, silence := tx.Now(), r.Policy.NoAnswer
	ended := now
	if in.State != Open && in.ResolvedAt != nil {
		ended = *in.ResolvedAt
	}
	since := ended
	var all []place
	var t tally
	for rec, err := range r.placesOf(tx, store.Query{Prefix: rowPrefix(id)}) {
		if err != nil {
			return nil, nil, fmt.Errorf("read the ledger of %s: %w", id, err)
		}
		w := rec.Value
		all = append(all, w)
		t.add(w, now, silence)
		if at := w.since(now, silence); at.After(since) {
			since = at
		}
	}
	f := t.figures(since)
	return &f, course(all, ended, silence), nil
}

// since is when a row came into the state that it counts as.
func (w place) since(asOf time.Time, silence time.Duration) time.Time {
	if state, _ := w.standing(asOf, silence); state == HandedBack && w.is().State == Passed {
		return w.at.Add(silence)
	}
	return w.at
}

// Promised is the promise of a next word that an update made, and what became of it.
type Promised struct {
	Update int       `json:"update"` // the number of the update that made it
	Due    time.Time `json:"due"`
	Kept   time.Time `json:"kept,omitzero"` // when the next word came; zero: it has not come yet
}

// Late is how late the next word came, or is by now; 0: it was in time, or is not due yet.
func (p Promised) Late(now time.Time) time.Duration {
	if !p.Kept.IsZero() {
		now = p.Kept
	}
	return max(0, now.Sub(p.Due))
}

// promised are all promises of a next word that an incident's updates made, oldest first.
func promised(newestFirst []templates.Update) []Promised {
	told := slices.Clone(newestFirst)
	slices.SortStableFunc(told, func(a, b templates.Update) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Number, b.Number)) })
	var out []Promised
	for i, u := range told {
		if u.Statement.NextUpdateBy.At.IsZero() {
			continue
		}
		p := Promised{Update: u.Number, Due: u.Statement.NextUpdateBy.At}
		if i+1 < len(told) {
			p.Kept = told[i+1].At
		}
		out = append(out, p)
	}
	return out
}
