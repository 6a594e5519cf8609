package comms

import (
	"context"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Meeting is the promise that the core team of a grave incident meets. It begins at the declaration, each meeting is closed with its notes and sets the next
// one, and the last one is that of the end: an incident that is closed has none.
const Meeting = "meeting"

// MeetingLate is the line of the log of a meeting that was closed late.
const MeetingLate = "meeting_late"

// longestPause is how far ahead the next meeting may be put.
const longestPause = 24 * time.Hour

// MeetingNotes is what is written when a meeting ends.
type MeetingNotes struct {
	Notes   string     `json:"notes"`
	Present []string   `json:"present,omitempty"` // ids of staff
	NextAt  *time.Time `json:"next_at,omitempty"` // null: after the policy's interval
}

var meetingList = list{most: 100, prose: shortProse}

func (n MeetingNotes) bad(now time.Time) (f []fault.Field) {
	f = prose{most: 4000, lines: true, required: true}.bad(f, "notes", n.Notes)
	f = meetingList.bad(f, "present", n.Present)
	if n.NextAt != nil && (!n.NextAt.After(now) || n.NextAt.After(now.Add(longestPause))) {
		f = append(f, wrong("next_at", "must lie ahead, within 24 hours"))
	}
	return f
}

// meets sets the first meeting of an incident that has become grave.
func (r *Room) meets(tx *store.Tx, id string, in Incident) error {
	if !grave(in.Severity) || len(in.Crew) == 0 || in.State == Closed {
		return nil
	}
	_, err := r.openPromise(tx, id, Meeting)
	if fault.Of(err) != fault.NotFound {
		return err
	}
	return r.promise(tx, r.meetingAt(id, tx.Now().Add(r.Policy.Meeting)))
}

func (r *Room) meetingAt(id string, due time.Time) Deadline {
	return Deadline{What: Meeting, Of: id, Incident: id, Page: "/desk/incidents/" + id, Due: due.UTC()}
}

// CloseMeeting keeps the notes of a meeting of the core team, and promises the next. A meeting that was late is marked so.
func (r *Room) CloseMeeting(ctx context.Context, by, incident string, n MeetingNotes) (next time.Time, err error) {
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "incident.meeting"}, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		if err := in.Value.notClosed(); err != nil {
			return err
		}
		if f := n.bad(tx.Now()); len(f) > 0 {
			return fault.BadFields(f...)
		}
		tx.On(in.ID)
		text := strings.TrimSpace(n.Notes)
		if len(n.Present) > 0 {
			text = strings.Join(n.Present, ", ") + "\n" + text
		}
		what := Meeting
		had, err := r.openPromise(tx, in.ID, Meeting)
		switch {
		case err == nil && tx.Now().After(had.Value.Due.Add(r.Policy.MeetingLate)):
			what = MeetingLate
		case err != nil && fault.Of(err) != fault.NotFound:
			return err
		}
		if err := r.keep(tx, in.ID, Meeting, by); err != nil {
			return err
		}
		if err := r.note(tx, in.ID, by, what, text); err != nil {
			return err
		}
		next = tx.Now().Add(r.Policy.Meeting)
		if n.NextAt != nil {
			next = *n.NextAt
		}
		return r.promise(tx, r.meetingAt(in.ID, next))
	})
	return next, err
}
