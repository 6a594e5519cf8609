package comms

import (
	"context"
	"fmt"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// A broadcast may go in stages: to the people inside, then to a few of the audience, those in greatest need first, then to all. Behind each of the
// first two it waits, for a person's word or for the clock. What it waits for is when its notice is due, so no replica can take it up before, and none
// forgets it. The page shows the update from the first stage on.

// The stages behind which a broadcast waits.
const (
	StageStaff = "staff" // the policy's internal people were told
	StageFew   = "few"   // and the first of the audience
)

// Stages say how a broadcast begins.
type Stages struct {
	Few   int           // people of the second stage; 0: none, it goes from the staff to all
	After time.Duration // how long it waits behind each stage; 0: for a person
}

// mostFew bounds the second stage; more people than that are a broadcast.
const mostFew = 10_000

func (o PublishOptions) bad() (f []fault.Field) {
	switch s := o.Stages; {
	case s == nil:
	case o.PageOnly:
		f = append(f, wrong("stages", "cannot be with page_only, which tells nobody one by one"))
	case s.Few < 0 || s.Few > mostFew:
		f = append(f, wrong("stages.few", "must be 0 to %d people", mostFew))
	case s.After < 0 || s.After > day:
		f = append(f, wrong("stages.after", "must be at most a day"))
	}
	return f
}

// stage makes a notice begin with its first stage, and tells the people inside.
func (r *Room) stage(tx *store.Tx, n *Notice, s *Stages) error {
	if s == nil {
		return nil
	}
	if !wide(n.Audience) {
		return fault.BadField("stages", "are for what goes to public or affected; %.80q is told at once", n.Audience)
	}
	staff := r.listed(AudienceInternal, n.Channels)
	if s.Few == 0 && len(staff) == 0 {
		return fault.BadField("stages.few", "must be above 0, for the policy names nobody inside on these channels")
	}
	n.Few, n.GoOn = s.Few, s.After
	if len(staff) == 0 {
		return nil
	}
	n.Stage = StageStaff
	var err error
	n.Staff, err = r.tell(tx, Notice{Lane: n.Lane, Name: n.Name, Update: n.Update, Channels: n.Channels, To: staff})
	return err
}

// correctStaff tells a correction to the people inside who were told first what it corrects.
func (r *Room) correctStaff(tx *store.Tx, fix Notice) error {
	old, _, err := notices.Get(tx, fix.Only)
	if err != nil || old.Staff == "" {
		return err
	}
	first, _, err := notices.Get(tx, old.Staff)
	if err != nil {
		return err
	}
	_, err = r.tell(tx, Notice{Lane: fix.Lane, Name: fix.Name, Update: fix.Update, Channels: fix.Channels, To: first.To})
	return err
}

// wait lets a notice wait behind a stage.
func (n *Notice) wait(stage string) {
	n.Stage, n.Due, n.Place = stage, time.Time{}, time.Time{}
	if n.GoOn > 0 {
		n.Due = time.Now().Add(n.GoOn).UTC() // by wall time, as leases are
	}
}

// chunkSize is how many people the next transaction of an expansion writes down.
func (n Notice) chunkSize() int {
	switch {
	case n.Few > 0:
		return min(PageSize, n.Few-n.People)
	case n.People == 0:
		return PageSize // so that the first are told at once
	}
	return chunkPages * PageSize
}

// GoOn lets a broadcast that waits behind a stage go on to the next one.
func (r *Room) GoOn(ctx context.Context, by, id string) error {
	return r.DB.Update(ctx, store.Act{By: by, Verb: "update.go_on"}, func(tx *store.Tx) error {
		u, n, m, err := broadcastOf(tx, id)
		if err != nil {
			return err
		}
		if n.State != Expanding || n.Stage == "" {
			return fault.New(fault.Conflict, "update %d does not wait behind a stage", u.Number)
		}
		n.Due = time.Now().UTC()
		if err := notices.Put(tx, u.Notice, n, m.Version); err != nil {
			return err
		}
		tx.On(id, u.Incident)
		tx.After(r.bell.Ring)
		return r.note(tx, u.Incident, by, "went_on", fmt.Sprintf("update %d", u.Number))
	})
}

// Stop is one person's word that what is unsent of an update stays unsent, on every replica and for good. It stands as said for those whom it has
// reached; to take it back too, see Retract.
func (r *Room) Stop(ctx context.Context, by, id, reason string) error {
	return r.DB.Update(ctx, store.Act{By: by, Verb: "update.stop", Reason: reason}, func(tx *store.Tx) error {
		if f := reasonProse.bad(nil, "reason", reason); len(f) > 0 {
			return fault.BadFields(f...)
		}
		u, n, _, err := broadcastOf(tx, id)
		if err != nil {
			return err
		}
		if n.State == Done || n.State == StoppedHere {
			return fault.New(fault.Conflict, "nothing of update %d is unsent", u.Number)
		}
		if err := r.stop(tx, u.Notice); err != nil {
			return err
		}
		tx.On(id, u.Incident)
		return r.note(tx, u.Incident, by, "stopped", fmt.Sprintf("update %d: %s", u.Number, reason))
	})
}

// broadcastOf finds a published update and the notice that carries it.
func broadcastOf(tx *store.Tx, id string) (u Update, n Notice, m store.Meta, err error) {
	if u, _, err = updates.Get(tx, id); err != nil {
		return u, n, m, err
	}
	if u.Notice == "" {
		return u, n, m, fault.New(fault.Conflict, "update %d is told to nobody one by one", u.Number)
	}
	n, m, err = notices.Get(tx, u.Notice)
	return u, n, m, err
}

// ReachStage is the stage behind which a broadcast waits.
type ReachStage struct {
	Name     string        `json:"name"`       // staff, few
	Staff    map[State]int `json:"staff"`      // messages to the people inside
	Left     int           `json:"left"`       // people of the audience who are not written down yet, as counted when it was published
	GoesOnAt *time.Time    `json:"goes_on_at"` // null: once a person says so
}

// stageOf is the stage of a notice; nil when it does not wait behind one.
func stageOf(tx *store.Tx, u Update, n Notice) (*ReachStage, error) {
	if n.State != Expanding || n.Stage == "" {
		return nil, nil
	}
	s := &ReachStage{Name: n.Stage, Staff: map[State]int{}, Left: max(0, u.People-n.People)}
	if !n.Due.IsZero() {
		s.GoesOnAt = &n.Due
	}
	if n.Staff == "" {
		return s, nil
	}
	for rec, err := range deliveries.Scan(tx, under("dlv_"+suffix(n.Staff)+".")) {
		if err != nil {
			return nil, err
		}
		s.Staff[rec.Value.State]++
	}
	return s, nil
}
