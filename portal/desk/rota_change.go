package desk

import (
	"context"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// RotaPhase is how a rota goes on from a day: its first plan, or what was changed since. What went by an earlier one stays as it was.
type RotaPhase struct {
	RotaForm
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// Phases are the first plan of a rota and its changes, in the order of their days: each holds until the next begins.
func (r Rota) Phases() []RotaPhase {
	return append([]RotaPhase{{RotaForm: RotaForm{From: r.From, Until: r.Until, Zone: r.Zone, Shifts: r.Shifts}}}, r.Changes...)
}

// On is the phase by which a day goes; before the first one it is that.
func (r Rota) On(day string) RotaPhase {
	all := r.Phases()
	for _, p := range slices.Backward(all) {
		if p.From <= day {
			return p
		}
	}
	return all[0]
}

// Last is the phase that was decided last, which may not have begun.
func (r Rota) Last() RotaPhase {
	all := r.Phases()
	return all[len(all)-1]
}

// Today is the day that a phase's clock shows.
func (p RotaPhase) Today(now time.Time) string {
	zone, err := time.LoadLocation(p.Zone)
	if err != nil {
		zone = time.UTC
	}
	return now.In(zone).Format(time.DateOnly)
}

// mostPhases bounds how often one rota is changed: each change holds all that the rota is from then on.
const mostPhases = 50

// RotaForm is what a rota becomes from a day on.
type RotaForm struct {
	From   string  `json:"from"`            // the first day; turns are counted from it anew
	Until  string  `json:"until,omitempty"` // the last day; "": it goes on
	Zone   string  `json:"zone"`
	Shifts []Shift `json:"shifts"`
}

// RotaMove is what a change of a rota means to one person.
type RotaMove struct {
	Person string     `json:"staff_id"`
	Gains  int        `json:"gains"` // shifts that she did not have, or had at another time
	Gained *time.Time `json:"first_gained"`
	Loses  int        `json:"loses"`
	Lost   *time.Time `json:"first_lost"`
}

// RotaDifference is what a change of a rota changes in the plan of all rotas together, with everybody who stands in.
type RotaDifference struct {
	From    time.Time  `json:"from"`
	To      time.Time  `json:"to"` // so far it was looked
	Moves   []RotaMove `json:"moves"`
	Gaps    []Gap      `json:"gaps"`    // that it opens
	Closed  []Gap      `json:"closed"`  // that it closes
	Strains []Strain   `json:"strains"` // that it brings
}

// differenceFor is how far ahead a change is looked at: four weeks hold a turn of each of a crew.
const differenceFor = 28 * 24 * time.Hour

// ChangeRota lets a rota go on differently from a day that has not begun, and says what that changes in the plan; as a trial nothing is written. What was planned
// for later has to be undone first. Whether its people are staff is the caller's to see.
func (d *Desk) ChangeRota(ctx context.Context, by, id string, version int64, in RotaForm, trial bool) (rec store.Rec[Rota], diff RotaDifference, err error) {
	err = d.DB.Update(ctx, store.Act{By: by, Verb: "rota.change"}, func(tx *store.Tx) error {
		r, m, err := currentRota(tx, id, version)
		if err != nil {
			return err
		}
		next := RotaPhase{RotaForm: in, By: by, At: tx.Now()}
		if f := (Rota{Name: r.Name, Role: r.Role, Zone: next.Zone, From: next.From, Until: next.Until, Shifts: next.Shifts}).bad(); len(f) > 0 {
			return fault.BadFields(f...)
		}
		switch last := r.Last(); {
		case next.From <= last.From:
			return fault.BadField("from", "must lie behind %s, from when the rota goes by the last change", last.From)
		case next.From <= next.Today(tx.Now()):
			return fault.BadField("from", "must lie behind today: what is past stays as it was, and for today somebody stands in")
		case len(r.Changes) >= mostPhases:
			return fault.New(fault.Conflict, "this rota was changed %d times, and no more is kept; end it and make a new one", mostPhases)
		}
		day, err := time.Parse(time.DateOnly, next.From)
		if err != nil {
			return err
		}
		from := day.Add(-24 * time.Hour) // a day begins that much earlier in the east
		was, err := d.watch(tx, from, from.Add(differenceFor))
		if err != nil {
			return err
		}
		r.Changes = append(slices.Clone(r.Changes), next)
		tx.On(id)
		if err := rotas.Put(tx, id, r, m.Version); err != nil {
			return err
		}
		is, err := d.watch(tx, from, from.Add(differenceFor))
		if err != nil {
			return err
		}
		diff = differ(was, is)
		diff.From, diff.To = from, from.Add(differenceFor)
		if trial {
			rec = store.Rec[Rota]{Meta: m, Value: r}
			return store.ErrNothing
		}
		v, m, err := rotas.Get(tx, id)
		rec = store.Rec[Rota]{Meta: m, Value: v}
		return err
	})
	return rec, diff, err
}

// UndoRota takes the last change of a rota back, as long as it has not begun.
func (d *Desk) UndoRota(ctx context.Context, by, id string, version int64) (rec store.Rec[Rota], err error) {
	err = d.DB.Update(ctx, store.Act{By: by, Verb: "rota.undo"}, func(tx *store.Tx) error {
		r, m, err := currentRota(tx, id, version)
		switch {
		case err != nil:
			return err
		case len(r.Changes) == 0:
			return fault.New(fault.Conflict, "nothing was changed in this rota")
		case r.Last().From <= r.Last().Today(tx.Now()):
			return fault.New(fault.Conflict, "the rota goes by this change since %s; change it once more", r.Last().From)
		}
		r.Changes = r.Changes[:len(r.Changes)-1]
		tx.On(id)
		if err := rotas.Put(tx, id, r, m.Version); err != nil {
			return err
		}
		v, m, err := rotas.Get(tx, id)
		rec = store.Rec[Rota]{Meta: m, Value: v}
		return err
	})
	return rec, err
}

// Rota is one rota.
func (d *Desk) Rota(ctx context.Context, id string) (rec store.Rec[Rota], err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		v, m, err := rotas.Get(tx, id)
		rec = store.Rec[Rota]{Meta: m, Value: v}
		return err
	})
	return rec, err
}

// currentRota is a rota, if it still is the version that somebody saw; 0 is any.
func currentRota(tx *store.Tx, id string, version int64) (Rota, store.Meta, error) {
	r, m, err := rotas.Get(tx, id)
	if err == nil && version != 0 && version != m.Version {
		err = fault.New(fault.Stale, "rota %s was changed meanwhile: version %d, not %d", id, m.Version, version)
	}
	return r, m, err
}

// differ says what is in one plan and not in the other.
func differ(was, is Watch) (d RotaDifference) {
	type key struct {
		person, rota, shift string
		start, end          int64
	}
	keyOf := func(s Slot) key { return key{s.Person, s.Rota, s.Shift, s.Start.Unix(), s.End.Unix()} }
	count := func(plan []Slot) map[key]bool {
		all := map[key]bool{}
		for _, s := range plan {
			all[keyOf(s)] = true
		}
		return all
	}
	moves := map[string]*RotaMove{}
	walk := func(plan []Slot, other map[key]bool, note func(*RotaMove, time.Time)) {
		for _, s := range plan {
			if s.Person == "" || other[keyOf(s)] {
				continue
			}
			if moves[s.Person] == nil {
				moves[s.Person] = &RotaMove{Person: s.Person}
			}
			note(moves[s.Person], s.Start)
		}
	}
	walk(was.Slots, count(is.Slots), func(m *RotaMove, at time.Time) {
		if m.Loses++; m.Lost == nil {
			m.Lost = &at
		}
	})
	walk(is.Slots, count(was.Slots), func(m *RotaMove, at time.Time) {
		if m.Gains++; m.Gained == nil {
			m.Gained = &at
		}
	})
	for _, m := range moves {
		d.Moves = append(d.Moves, *m)
	}
	slices.SortFunc(d.Moves, func(a, b RotaMove) int { return strings.Compare(a.Person, b.Person) })
	only := func(some, others []Gap) []Gap {
		return slices.DeleteFunc(slices.Clone(some), func(g Gap) bool { return slices.Contains(others, g) })
	}
	d.Gaps, d.Closed = only(is.Gaps, was.Gaps), only(was.Gaps, is.Gaps)
	d.Strains = slices.DeleteFunc(slices.Clone(is.Strains), func(s Strain) bool { return slices.Contains(was.Strains, s) })
	return d
}
