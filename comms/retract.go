package comms

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Retract takes an update back: what is unsent of it is stopped, it stays on the page marked as retracted, and a correction in fixed words goes to
// exactly those whom it has reached. It returns the correction.
func (r *Room) Retract(ctx context.Context, by, id, reason string) (rec store.Rec[Update], err error) {
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.retract", Reason: reason}, func(tx *store.Tx) error {
		if f := reasonProse.bad(nil, "reason", reason); len(f) > 0 {
			return fault.BadFields(f...)
		}
		u, m, err := updates.Get(tx, id)
		switch {
		case err != nil:
			return err
		case u.State != Published:
			return fault.New(fault.Conflict, "update %d is %s; only what was published can be taken back", u.Number, u.State)
		case u.Corrects > 0:
			return fault.New(fault.Conflict, "update %d is itself a correction; say what is right in a new update", u.Number)
		}
		rec, err = r.retract(tx, by, store.Rec[Update]{Meta: m, Value: u}, reason)
		return err
	})
	return rec, err
}

func (r *Room) retract(tx *store.Tx, by string, u store.Rec[Update], reason string) (rec store.Rec[Update], err error) {
	now := tx.Now()
	v := u.Value
	if v.Notice != "" {
		if err := r.stop(tx, v.Notice); err != nil {
			return rec, err
		}
	}
	v.State, v.RetractedAt, v.RetractedBy, v.Unread = Retracted, &now, by, false
	if _, err := put(tx, updates, u.ID, v, u.Version); err != nil {
		return rec, err
	}
	if err := r.keep(tx, u.ID, SecondReading, by); err != nil {
		return rec, err
	}
	in, err := findIncident(tx, v.Incident)
	if err != nil {
		return rec, err
	}
	if wide(v.Statement.Audience) {
		to, err := r.phaseBack(tx, in)
		if err != nil {
			return rec, err
		}
		if err := r.turns(tx, in.ID, by, in.Value, to); err != nil {
			return rec, err
		}
		in.Value = to
	}
	in.Value.LastUpdate++
	if in, err = put(tx, incidents, in.ID, in.Value, in.Version); err != nil {
		return rec, err
	}
	tx.On(u.ID)
	if err := r.note(tx, in.ID, by, "retracted", fmt.Sprintf("update %d: %s", v.Number, reason)); err != nil {
		return rec, err
	}
	fix := Update{Incident: in.ID, Number: in.Value.LastUpdate, State: Draft, Author: by, AskedAt: now, Corrects: v.Number, PageOnly: v.PageOnly,
		Statement: correction(v.Statement, in.Value.Phase, now)}
	fix.Digest = r.digest(fix, in.Value)
	if rec, err = put(tx, updates, updates.NewID(), fix, 0); err != nil {
		return rec, err
	}
	figures, err := r.ledger(tx, in.ID, in.Value)
	if err != nil {
		return rec, err
	}
	return r.release(tx, by, rec, in, survey{figures: figures, crowd: Crowd{People: v.People}}, v.Notice)
}

// phaseBack puts an incident into the phase of what still stands. What a person made of its state after that was said stands as well.
func (r *Room) phaseBack(tx *store.Tx, in store.Rec[Incident]) (Incident, error) {
	last, err := standing(tx, in.ID, AudiencePublic)
	if err != nil {
		return in.Value, err
	}
	phase, turn := Investigating, in.Value.ByHand
	if last != nil {
		phase = last.Statement.Phase
		if turn != nil && !last.PublishedAt.Before(turn.At) {
			turn = nil
		}
	}
	if turn != nil && turn.State == Open && phase == Resolved {
		phase = Investigating
	}
	to := in.Value.inPhase(phase, tx.Now())
	if turn != nil && turn.State == Resolved && to.State == Open {
		to.State, to.ResolvedAt = Resolved, cmp.Or(in.Value.ResolvedAt, &turn.At)
	}
	return to, nil
}

// correction is a statement that says nothing but what the fixed words say, to the same readers. The promise of the next update stands if it
// is still ahead.
func correction(s templates.Statement, phase string, now time.Time) templates.Statement {
	fix := templates.Statement{Phase: phase, Audience: s.Audience, Channels: s.Channels, Locales: s.Locales}
	if s.NextUpdateBy.Word == "" && s.NextUpdateBy.At.After(now) {
		fix.NextUpdateBy = s.NextUpdateBy
	}
	return fix
}
