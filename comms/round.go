package comms

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// round is a standing duty that one replica does at a time, and how far it has come. It has one record for each duty; who claims it does the
// next turn.
type round struct {
	State json.RawMessage `json:"state,omitempty"`
	Due   time.Time       `json:"due"` // of the next turn, by wall time as leases are
}

var rounds = store.Table[round]{
	Kind: store.Kind{Name: "round", Prefix: "rnd", Schema: 1, Composed: true, Leased: true},
	Due:  func(r round) (string, time.Time) { return "", r.Due },
}

// roundLease outlasts a turn: duties do little at a time.
const roundLease = 2 * time.Minute

// duty is something that is to be done again and again. A turn must do little, and nothing that harms when it is done twice: a replica that
// stands still for longer than the lease does its turn beside another.
type duty struct {
	name  string
	every time.Duration // wall time between turns
	turn  func(context.Context, hold) error
}

// shortestTurn is how often somebody looks whether a duty is due.
const shortestTurn = time.Second

// hold proves in a transaction that the duty is still ours.
type hold func(*store.Tx) error

func (d duty) id() string { return "rnd_" + d.name }

// duties are what this room does of itself, and what others gave it to do.
func (r *Room) duties() []duty {
	all := []duty{
		{"coverage", r.Policy.CoverEvery, func(ctx context.Context, _ hold) error { return r.coverAll(ctx) }},
		{campaignDuty, r.Policy.Confirm.Every, r.campaignTurn},
		{arrivalDuty, arrivalsEvery, r.noteArrivals},
		{reviewDuty, reviewsEvery, r.reviewTurn},
		{subscriptionDuty, time.Hour, r.tidySubscriptions},
	}
	for _, d := range r.Also {
		all = append(all, duty{d.Name, d.Every, func(ctx context.Context, _ hold) error { return d.Turn(ctx) }})
	}
	return all
}

// RunDuties does the room's standing duties until ctx ends, each by one replica at a time.
func (r *Room) RunDuties(ctx context.Context) error {
	holder := "duties " + rand.Text()
	tick := time.NewTicker(shortestTurn)
	defer tick.Stop()
	for {
		if err := r.turn(ctx, holder); err != nil && ctx.Err() == nil {
			r.Log.Error("a standing duty failed; it is tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// turn does every duty whose time has come and that nobody holds.
func (r *Room) turn(ctx context.Context, holder string) error {
	if err := r.beginRounds(ctx); err != nil {
		return err
	}
	for {
		claims, err := r.DB.Claim(ctx, store.Lease{Kind: rounds.Name, Holder: holder, For: roundLease, Limit: 1})
		if err != nil || len(claims) == 0 {
			return err
		}
		m := claims[0]
		for _, d := range r.duties() {
			if d.id() == m.ID {
				mine := func(tx *store.Tx) error { return rounds.Fence(tx, m.ID, holder, m.Epoch) }
				if err := d.turn(ctx, mine); err != nil && ctx.Err() == nil {
					r.Log.Error("a standing duty failed; it is tried again", "duty", d.name, "err", err)
				}
				if err := r.endTurn(ctx, d, holder, m.Epoch); err != nil {
					return fmt.Errorf("end a turn of %s: %w", d.name, err)
				}
			}
		}
	}
}

// beginRounds makes the record of every duty that has none yet.
func (r *Room) beginRounds(ctx context.Context) error {
	var missing []duty
	err := r.DB.View(ctx, func(tx *store.Tx) error {
		missing = nil
		for _, d := range r.duties() {
			if _, _, err := rounds.Get(tx, d.id()); fault.Of(err) == fault.NotFound {
				missing = append(missing, d)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for duties to begin: %w", err)
	}
	for _, d := range missing {
		err := r.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error { return rounds.Put(tx, d.id(), round{Due: time.Unix(1, 0).UTC()}, 0) })
		if err != nil && fault.Of(err) != fault.Exists { // another replica was faster
			return fmt.Errorf("begin the duty %s: %w", d.name, err)
		}
	}
	return nil
}

// readRound reads how far a duty has come; a duty that was never begun leaves state as it is.
func readRound(tx *store.Tx, duty string, state any) error {
	v, _, err := rounds.Get(tx, "rnd_"+duty)
	if err == nil && len(v.State) > 0 {
		err = json.Unmarshal(v.State, state)
	}
	if fault.Of(err) == fault.NotFound {
		err = nil
	}
	return err
}

// keepRound notes how far a duty has come, in a transaction that proves to hold it.
func keepRound(tx *store.Tx, duty string, state any, mine hold) error {
	v, m, err := rounds.Get(tx, "rnd_"+duty)
	if err != nil {
		return err
	}
	if v.State, err = json.Marshal(state); err != nil {
		return err
	}
	if err := rounds.Put(tx, m.ID, v, m.Version); err != nil {
		return err
	}
	return mine(tx)
}

func (r *Room) endTurn(ctx context.Context, d duty, holder string, epoch int64) error {
	err := r.DB.Update(context.WithoutCancel(ctx), store.Act{}, func(tx *store.Tx) error {
		v, m, err := rounds.Get(tx, d.id())
		if err != nil {
			return err
		}
		v.Due = time.Now().Add(d.every).UTC()
		if err := rounds.Put(tx, d.id(), v, m.Version); err != nil {
			return err
		}
		return rounds.Release(tx, d.id(), holder, epoch)
	})
	if fault.Of(err) == fault.Fenced { // it took longer than the lease, and is another's
		return nil
	}
	return err
}
