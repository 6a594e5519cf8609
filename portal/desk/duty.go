package desk

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/store"
	"lifeline/store/fault"
)

var rotas = store.Table[Rota]{
	Kind: store.Kind{Name: "rota", Prefix: "rta", Schema: 1, Indexes: []store.Index{
		{Name: "role", Fields: []store.Field{{Name: "role", Type: store.Text}, {Name: "region", Type: store.Text}}},
	}},
	Tuples: func(r Rota) store.Tuples { return store.Tuples{"role": {r.Role, r.Region}} },
}

var covers = store.Table[Cover]{
	Kind: store.Kind{Name: "cover", Prefix: "cvr", Schema: 1, Indexes: []store.Index{
		{Name: "rota", Fields: []store.Field{{Name: "rota", Type: store.Text}, {Name: "to", Type: store.Time}}},
		{Name: "swap", Fields: []store.Field{{Name: "swap", Type: store.Text}}},
	}},
	Tuples: func(c Cover) store.Tuples {
		t := store.Tuples{"rota": {c.Rota, c.To}}
		if c.Swap != "" {
			t["swap"] = []any{c.Swap}
		}
		return t
	},
}

// RotaPolicy says what must be covered, and what is too much for one person.
type RotaPolicy struct {
	Needs []Need        `yaml:"needs" json:"needs"`
	Ahead time.Duration `yaml:"ahead" json:"ahead"` // how far gaps are looked for
	Day   time.Duration `yaml:"day" json:"day"`     // nobody is on duty for longer within 24 hours without a warning
	Rest  time.Duration `yaml:"rest" json:"rest"`   // between two stretches
}

func defaultRota() RotaPolicy {
	return RotaPolicy{Needs: []Need{{Role: "commander"}, {Role: "comms"}, {Role: "support"}, {Role: "approver"}}, Ahead: 72 * time.Hour, Day: 12 * time.Hour, Rest: 11 * time.Hour}
}

func (p RotaPolicy) check(bad func(field, reason string)) {
	for field, d := range map[string]time.Duration{"rota.ahead": p.Ahead, "rota.day": p.Day, "rota.rest": p.Rest} {
		if d <= 0 || d > longestPlan {
			bad(field, "must be a duration above 0 and no more than 60 days")
		}
	}
	for i, n := range p.Needs {
		if n.Role == "" {
			bad(fmt.Sprintf("rota.needs[%d].role", i), "is missing")
		}
	}
}

// mostRotas bounds how many rotas one installation has: each is read when somebody asks who is on duty.
const mostRotas = 500

// PutRota writes a rota: a new one when id is "", else the successor of that version (0: of any). Whether its people are staff is the caller's to see.
func (d *Desk) PutRota(ctx context.Context, by, id string, version int64, r Rota) (rec store.Rec[Rota], err error) {
	f := r.bad()
	if len(r.Changes) > 0 {
		f = append(f, fault.Field{Field: "changes", Code: "invalid", Reason: "are made one by one, from a day on"})
	}
	if len(f) > 0 {
		return rec, fault.BadFields(f...)
	}
	act := store.Act{By: by, Verb: "rota.put"}
	fresh := id == ""
	if fresh {
		id = rotas.NewID()
	}
	err = d.DB.Update(ctx, act, func(tx *store.Tx) error {
		var was int64
		if fresh {
			n, err := rotas.Count(tx, store.Query{})
			if err != nil {
				return err
			}
			if n >= mostRotas {
				return fault.New(fault.Conflict, "there are %d rotas, and no more are kept; delete one that is over", n)
			}
		} else {
			_, m, err := currentRota(tx, id, version)
			if err != nil {
				return err
			}
			was = m.Version
		}
		tx.On(id)
		if err := rotas.Put(tx, id, r, was); err != nil {
			return err
		}
		v, m, err := rotas.Get(tx, id)
		rec = store.Rec[Rota]{Meta: m, Value: v}
		return err
	})
	return rec, err
}

// DeleteRota removes a rota with its covers.
func (d *Desk) DeleteRota(ctx context.Context, by, id string) error {
	return d.DB.Update(ctx, store.Act{By: by, Verb: "rota.delete"}, func(tx *store.Tx) error {
		_, m, err := rotas.Get(tx, id)
		if err != nil {
			return err
		}
		tx.On(id)
		for rec, err := range covers.Scan(tx, store.Query{Index: "rota", Equal: []any{id}}) {
			if err != nil {
				return err
			}
			if err := covers.Delete(tx, rec.ID, rec.Version); err != nil {
				return err
			}
		}
		return rotas.Delete(tx, id, m.Version)
	})
}

// Rotas lists all rotas.
func (d *Desk) Rotas(ctx context.Context) (all []store.Rec[Rota], err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		all, err = allRotas(tx)
		return err
	})
	return all, err
}

func allRotas(tx *store.Tx) (all []store.Rec[Rota], err error) {
	for rec, err := range rotas.Scan(tx, store.Query{Limit: mostRotas}) {
		if err != nil {
			return nil, err
		}
		all = append(all, rec)
	}
	return all, nil
}

// planned is who is on duty between two moments by all rotas that are wanted, in the order of beginning.
func planned(tx *store.Tx, from, to time.Time, wants func(Rota) bool) (all []Slot, err error) {
	known, err := allRotas(tx)
	if err != nil {
		return nil, err
	}
	for _, rec := range known {
		if !wants(rec.Value) {
			continue
		}
		var changed []Cover
		for c, err := range covers.Scan(tx, store.Query{Index: "rota", Equal: []any{rec.ID}, From: from}) {
			if err != nil {
				return nil, err
			}
			changed = append(changed, c.Value)
		}
		slices.SortStableFunc(changed, func(a, b Cover) int { return a.At.Compare(b.At) }) // the later word counts
		all = append(all, rec.Value.slots(rec.ID, changed, from, to)...)
	}
	slices.SortStableFunc(all, func(a, b Slot) int { return a.Start.Compare(b.Start) })
	return all, nil
}

func anyRota(Rota) bool { return true }

// OnShift is who is on duty for a role at a moment, each person once. With a region it is that region's own people; when it has nobody, whoever is on duty
// for the role anywhere, so that the sun is followed. Without one it is everybody.
func (d *Desk) OnShift(tx *store.Tx, role, region string, at time.Time) ([]Slot, error) {
	all, err := planned(tx, at, at.Add(time.Microsecond), func(r Rota) bool { return r.Role == role })
	if err != nil {
		return nil, err
	}
	if own := slices.DeleteFunc(slices.Clone(all), func(s Slot) bool { return s.Region != region }); region != "" && len(own) > 0 {
		all = own
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(s Slot) bool {
		twice := seen[s.Person]
		seen[s.Person] = true
		return twice
	}), nil
}

// Rostered names who is on duty for a role at a moment, in the order of the rotas.
func (d *Desk) Rostered(tx *store.Tx, role string, at time.Time) (ids []string, err error) {
	on, err := d.OnShift(tx, role, "", at)
	for _, s := range on {
		ids = append(ids, s.Person)
	}
	return ids, err
}

// ShiftEnds is when somebody who is on duty at a moment goes off duty; false when she is not on duty by any rota. Shifts of hers that touch are one.
func (d *Desk) ShiftEnds(tx *store.Tx, person string, at time.Time) (end time.Time, on bool, err error) {
	all, err := planned(tx, at, at.Add(48*time.Hour), anyRota)
	for _, s := range all {
		switch {
		case s.Person != person:
		case !on && !s.Start.After(at), on && !s.Start.After(end):
			on = true
			if s.End.After(end) {
				end = s.End
			}
		}
	}
	return end, on, err
}

// Watch is a plan with what is wrong with it.
type Watch struct {
	Slots   []Slot   `json:"slots"`
	Gaps    []Gap    `json:"gaps"`
	Strains []Strain `json:"strains"`
}

// Plan is who is on duty between two moments, when nobody is for what the policy needs, and for whom it is too much.
func (d *Desk) Plan(ctx context.Context, from, to time.Time) (w Watch, err error) {
	if !to.After(from) || to.Sub(from) > longestPlan {
		return w, fault.BadField("to", "must lie behind from, by no more than 60 days")
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		w, err = d.watch(tx, from, to)
		return err
	})
	return w, err
}

func (d *Desk) watch(tx *store.Tx, from, to time.Time) (w Watch, err error) {
	if w.Slots, err = planned(tx, from, to, anyRota); err != nil {
		return w, err
	}
	for _, n := range d.Policy.Rota.Needs {
		w.Gaps = append(w.Gaps, n.gaps(w.Slots, from, to)...)
	}
	around, err := planned(tx, from.Add(-24*time.Hour), to.Add(24*time.Hour), anyRota)
	w.Strains = slices.DeleteFunc(strains(around, d.Policy.Rota.Day, d.Policy.Rota.Rest), func(s Strain) bool { return s.At.Before(from) || !s.At.Before(to) })
	return w, err
}

// CoverTask is the sort of the task by which somebody is asked to take a shift.
const CoverTask = "rota.cover"

func (c Cover) bad() (f []fault.Field) {
	bad := func(field, reason string) {
		f = append(f, fault.Field{Field: field, Code: "invalid", Reason: reason})
	}
	if c.In == "" && c.Out == "" || c.In == c.Out {
		bad("in", "must be somebody else than out, and one of the two must be there")
	}
	if c.From.IsZero() || !c.To.After(c.From) || c.To.Sub(c.From) > longestPlan {
		bad("to", "must lie behind from, by no more than 60 days")
	}
	if len(c.Reason) > 500 {
		bad("reason", "is longer than 500 bytes")
	}
	return f
}

// Cover changes who is on duty for a while, at once: by those who make the rotas.
func (d *Desk) Cover(ctx context.Context, by string, c Cover) (store.Rec[Cover], error) {
	all, err := d.cover(ctx, store.Act{By: by, Verb: "rota.cover", Reason: c.Reason}, true, c)
	if err != nil {
		return store.Rec[Cover]{}, err
	}
	return all[0], nil
}

// AskCover asks somebody to stand in for the asker. With back it is a swap, and the asker takes back.Out's time in return; both covers count once the
// other has agreed, and until then the plan stands as it was.
func (d *Desk) AskCover(ctx context.Context, by string, c Cover, back *Cover) ([]store.Rec[Cover], error) {
	if c.Out != by || c.In == "" {
		return nil, fault.New(fault.Forbidden, "you can ask somebody to stand in for yourself; for others those do it who make the rotas")
	}
	act := store.Act{By: by, Verb: "rota.ask", Reason: c.Reason}
	if back == nil {
		return d.cover(ctx, act, false, c)
	}
	if back.Out != c.In || back.In != by {
		return nil, fault.BadField("back", "must give you what the other has")
	}
	return d.cover(ctx, act, false, c, *back)
}

func (d *Desk) cover(ctx context.Context, act store.Act, agreed bool, asked ...Cover) (all []store.Rec[Cover], err error) {
	for _, c := range asked {
		if f := c.bad(); len(f) > 0 {
			return nil, fault.BadFields(f...)
		}
	}
	err = d.DB.Update(ctx, act, func(tx *store.Tx) error {
		all = nil
		swap := ""
		for _, c := range asked {
			if _, _, err := rotas.Get(tx, c.Rota); err != nil {
				return err
			}
			if c.Out != "" {
				had, err := planned(tx, c.From, c.To, anyRota)
				if err != nil {
					return err
				}
				if !slices.ContainsFunc(had, func(s Slot) bool { return s.Rota == c.Rota && s.Person == c.Out }) {
					return fault.BadField("out", "is not on duty by this rota then")
				}
			}
			id := covers.NewID()
			if len(asked) > 1 {
				swap = cmp.Or(swap, id)
			}
			c.By, c.At, c.Swap, c.Agreed = act.By, tx.Now(), swap, time.Time{}
			if agreed {
				c.Agreed = tx.Now()
			}
			tx.On(id)
			if err := covers.Put(tx, id, c, 0); err != nil {
				return err
			}
			v, m, err := covers.Get(tx, id)
			if err != nil {
				return err
			}
			all = append(all, store.Rec[Cover]{Meta: m, Value: v})
		}
		if agreed {
			return nil
		}
		first := all[0].Value
		_, err := d.Comms.Owe(tx, comms.Task{What: CoverTask, Of: all[0].ID, Owner: first.In, Due: first.From,
			Title: "Somebody asks you to stand in from " + first.From.UTC().Format("2006-01-02 15:04") + " to " + first.To.UTC().Format("2006-01-02 15:04 UTC")})
		return err
	})
	return all, err
}

// AgreeCover lets what somebody was asked for count; only she can.
func (d *Desk) AgreeCover(ctx context.Context, by, id string) error {
	return d.answerCover(ctx, store.Act{By: by, Verb: "rota.agree"}, id, func(c Cover) bool { return c.In == by }, func(tx *store.Tx, rec store.Rec[Cover]) error {
		c := rec.Value
		c.Agreed = tx.Now()
		return covers.Put(tx, rec.ID, c, rec.Version)
	})
}

// WithdrawCover takes back a cover that has not been agreed to, by who asked or was asked; who makes the rotas takes back any (see [Desk.DropCover]).
func (d *Desk) WithdrawCover(ctx context.Context, by, id string) error {
	return d.answerCover(ctx, store.Act{By: by, Verb: "rota.withdraw"}, id, func(c Cover) bool { return c.In == by || c.By == by }, func(tx *store.Tx, rec store.Rec[Cover]) error {
		return covers.Delete(tx, rec.ID, rec.Version)
	})
}

// answerCover does one thing to a cover that waits for an answer, and to the other half of its swap.
func (d *Desk) answerCover(ctx context.Context, act store.Act, id string, may func(Cover) bool, do func(*store.Tx, store.Rec[Cover]) error) error {
	return d.DB.Update(ctx, act, func(tx *store.Tx) error {
		c, m, err := covers.Get(tx, id)
		if err != nil {
			return err
		}
		both := []store.Rec[Cover]{{Meta: m, Value: c}}
		if c.Swap != "" {
			if both, _, err = covers.List(tx, store.Query{Index: "swap", Equal: []any{c.Swap}}); err != nil {
				return err
			}
		}
		switch {
		case !may(both[0].Value):
			return fault.New(fault.Forbidden, "this was not asked of you")
		case !c.Agreed.IsZero():
			return fault.New(fault.Conflict, "this is agreed already")
		}
		tx.On(id)
		for _, rec := range both {
			if err := do(tx, rec); err != nil {
				return err
			}
		}
		return d.Comms.Settle(tx, CoverTask, both[0].ID, act.By, "")
	})
}

// DropCover removes a cover, agreed or not, by those who make the rotas.
func (d *Desk) DropCover(ctx context.Context, by, id string) error {
	return d.DB.Update(ctx, store.Act{By: by, Verb: "rota.uncover"}, func(tx *store.Tx) error {
		c, m, err := covers.Get(tx, id)
		if err != nil {
			return err
		}
		tx.On(id)
		if err := covers.Delete(tx, id, m.Version); err != nil {
			return err
		}
		return d.Comms.Settle(tx, CoverTask, cmp.Or(c.Swap, id), by, "")
	})
}

// Covers lists the covers of a rota that are not over, the one that ends first in front.
func (d *Desk) Covers(ctx context.Context, rota string) (all []store.Rec[Cover], err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		all, _, err = covers.List(tx, store.Query{Index: "rota", Equal: []any{rota}, From: tx.Now(), Limit: 200})
		return err
	})
	return all, err
}

// gapTask is the sort of the task that a hole in the plan is.
const gapTask = "rota.gap"

// WatchGaps owes a task for each need that is not met within the time looked ahead, due when its first gap begins, and settles it when the hole is closed.
// An installation without any rota is left alone: there everybody of a role is told.
func (d *Desk) WatchGaps(ctx context.Context) error {
	return d.DB.Update(ctx, store.Act{By: "system:rota", Verb: "rota.gaps"}, func(tx *store.Tx) error {
		n, err := rotas.Count(tx, store.Query{})
		if err != nil {
			return err
		}
		if n == 0 {
			return store.ErrNothing
		}
		now := tx.Now()
		w, err := d.watch(tx, now, now.Add(d.Policy.Rota.Ahead))
		if err != nil {
			return err
		}
		open, _, err := d.Comms.Family(tx, "rota", comms.Open, "", 200)
		if err != nil {
			return err
		}
		news := false
		for _, need := range d.Policy.Rota.Needs {
			t := need.task(w.Gaps, now)
			at := slices.IndexFunc(open, func(o store.Rec[comms.Task]) bool { return o.Value.What == gapTask && o.Value.Of == t.Of })
			switch {
			case t.Title == "" && at < 0, at >= 0 && open[at].Value.Title == t.Title:
				continue
			case t.Title == "":
				err = d.Comms.Settle(tx, gapTask, t.Of, "system:rota", "somebody is on duty")
			default:
				_, err = d.Comms.Owe(tx, t)
			}
			if err != nil {
				return err
			}
			news = true
		}
		if !news {
			return store.ErrNothing
		}
		return nil
	})
}

// task is what a need's gaps make somebody owe; without a title nothing is owed.
func (n Need) task(gaps []Gap, now time.Time) comms.Task {
	t := comms.Task{What: gapTask, Of: strings.TrimSuffix(n.Role+"/"+n.Region, "/")}
	first := slices.IndexFunc(gaps, func(g Gap) bool { return g.Need == n })
	if first < 0 {
		return t
	}
	t.Due = gaps[first].From
	when := "now" // and not which minute, or the task would change with each
	if t.Due.After(now) {
		when = "from " + t.Due.UTC().Format("2006-01-02 15:04 UTC")
	}
	t.Title = fmt.Sprintf("Nobody is on duty as %s %s", t.Of, when)
	return t
}
