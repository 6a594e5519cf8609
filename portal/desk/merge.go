package desk

import (
	"context"
	"slices"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// mostMerged bounds how many tickets lead one into another, and how many are shown together.
const mostMerged = 50

// Joining is a person's word that a ticket is about what another is about.
type Joining struct {
	From, Into string // numbers
	Reason     string
	Version    int64 // of From, as it was seen; 0: whatever stands
}

// Merge makes a ticket part of another: it is closed, staff see both conversations as one and answer in the other. Its own customer still sees hers and no
// other, since the two may be two people; what she writes waits for an answer in the other, and see [Joined] for who is told that one.
func (d *Desk) Merge(ctx context.Context, by string, j Joining) (View, error) {
	into := secret.NormalNumber(j.Into)
	_, err := d.act(ctx, store.Act{By: by, Verb: "ticket.merge", Reason: line(j.Reason)}, j.From, j.Version, func(tx *store.Tx, from store.Rec[Ticket]) error {
		to, err := byNumber(tx, into)
		if err != nil {
			return fault.BadField("into", "is no ticket's number")
		}
		return d.merge(tx, by, from, to)
	})
	if err != nil {
		return View{}, err
	}
	return d.Ticket(ctx, into)
}

func (d *Desk) merge(tx *store.Tx, by string, from, into store.Rec[Ticket]) error {
	f, i := from.Value, into.Value
	switch {
	case from.ID == into.ID:
		return fault.BadField("into", "is the ticket itself")
	case f.Into != "":
		return fault.New(fault.Conflict, "ticket %s goes on in another already", f.Number)
	case i.Into != "":
		return fault.New(fault.Conflict, "ticket %s goes on in another: merge it into that one", i.Number)
	case f.Account != "" && i.Account != "" && f.Account != i.Account:
		return fault.New(fault.Conflict, "tickets %s and %s are of two accounts", f.Number, i.Number)
	}
	waits := f.State == New || f.State == Asked
	f.Into = into.ID
	f = d.Policy.ended(f, Ending{How: ByMerging, By: by, At: tx.Now()})
	tx.On(into.ID)
	if err := d.put(tx, by, from, f); err != nil {
		return err
	}
	if waits && i.State != New && i.State != Asked { // else she waits there already
		i = d.Policy.heard(i, tx.Now())
	}
	return d.put(tx, by, into, i)
}

// Unmerge takes a ticket out of the one that it was merged into, and lets it be as it was.
func (d *Desk) Unmerge(ctx context.Context, by, number string, version int64) (View, error) {
	return d.act(ctx, store.Act{By: by, Verb: "ticket.unmerge"}, number, version, func(tx *store.Tx, rec store.Rec[Ticket]) error {
		if rec.Value.Into == "" || rec.Value.Ending == nil {
			return fault.New(fault.Conflict, "ticket %s is not merged", rec.Value.Number)
		}
		tx.On(rec.Value.Into)
		t := d.Policy.unended(rec.Value, tx.Now())
		own, err := d.read(tx, t.Number)
		if err != nil {
			return err
		}
		if t.State == Waiting && hersLast(own.Messages) { // she wrote meanwhile
			t = d.Policy.heard(t, tx.Now())
		}
		return d.put(tx, by, rec, t)
	})
}

// unended is a ticket as it was before it was merged, as of now.
func (p Policy) unended(t Ticket, now time.Time) Ticket {
	t.State, t.Ending, t.Into = t.Ending.Was, nil, ""
	switch t.State {
	case New:
		return p.run(t, now)
	case Asked:
		return p.heard(t, now)
	}
	return t
}

// hersLast says whether the customer had the last word in a conversation.
func hersLast(all []Message) (hers bool) {
	for _, m := range all {
		if !m.Internal && m.Held == "" && (m.From == "customer" || m.From == "staff") {
			hers = m.From == "customer"
		}
	}
	return hers
}

// merged are the tickets that lead into one, at whatever remove, oldest first.
func merged(tx *store.Tx, id string) (all []store.Rec[Ticket], err error) {
	for look := []string{id}; len(look) > 0 && len(all) < mostMerged; look = look[1:] {
		for rec, err := range tickets.Scan(tx, store.Query{Index: "into", Equal: []any{look[0]}, Limit: mostMerged}) {
			if err != nil {
				return nil, err
			}
			all = append(all, rec)
			look = append(look, rec.ID)
		}
	}
	slices.SortFunc(all, func(a, b store.Rec[Ticket]) int { return a.Value.FiledAt.Compare(b.Value.FiledAt) })
	return all, nil
}

// together gives a ticket, for staff, the conversations of those that were merged into it, and says where it goes on itself.
func (d *Desk) together(tx *store.Tx, v *View) error {
	if v.Ticket.Into != "" {
		t, _, err := tickets.Get(tx, v.Ticket.Into)
		if err != nil && fault.Of(err) != fault.NotFound {
			return err
		}
		v.Into = t.Number
	}
	all, err := merged(tx, v.ID)
	if err != nil {
		return err
	}
	for _, rec := range all {
		v.Merged = append(v.Merged, rec.Value.Number)
		own, err := d.read(tx, rec.Value.Number)
		if err != nil {
			return err
		}
		j := joins(v.Ticket, rec)
		j.Waits = hersLast(own.Messages)
		for _, m := range own.Messages {
			if m.From != "update" && !m.Copied { // each of these stands in the other as well
				m.Number = rec.Value.Number
				v.Messages = append(v.Messages, m)
			}
		}
		v.Joined = append(v.Joined, j)
		for id, file := range own.Files {
			if v.Files == nil {
				v.Files = map[string]Attachment{}
			}
			v.Files[id] = file
		}
	}
	slices.SortStableFunc(v.Messages, func(a, b Message) int { return a.At.Compare(b.At) })
	return nil
}
