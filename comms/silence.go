package comms

import (
	"time"

	"lifeline/store"
)

// Silence is the sort of the deadline by which readers of an open incident are owed a word though nothing was promised to them, or nothing that comes
// soon enough. It runs from the declaration, and anew from each update to all readers. A promise that passes in time has a ladder of its own, so
// while one stands there is no silence beside it.
const Silence = "silence"

// mostSilent holds for every severity: an open incident has a word each day.
const mostSilent = 24 * time.Hour

// silence is the longest that readers go without a word: what the policy lets a promise of that severity be.
func (p Policy) silence(severity string) time.Duration {
	if d := p.NextUpdate[severity]; d > 0 {
		return min(d, mostSilent)
	}
	return mostSilent
}

// owesWord sets when an incident's silence has lasted too long, from what was said and promised last; never while it is not open.
func (r *Room) owesWord(tx *store.Tx, id string, in Incident) error {
	last, err := standing(tx, id, AudiencePublic)
	if err != nil {
		return err
	}
	since := in.DeclaredAt
	if last != nil {
		since = *last.PublishedAt
	}
	due := since.Add(r.Policy.silence(in.Severity))
	if in.State != Open || last != nil && last.promised(due) {
		return r.Withdraw(tx, id, Silence)
	}
	d := Deadline{What: Silence, Of: id, Incident: id, Due: due}
	if len(r.Policy.Ladders[Silence]) == 0 {
		d.Ladder = NextUpdate
	}
	return r.Move(tx, d)
}

// promised says that an update names a time for the next one, not behind by.
func (u Update) promised(by time.Time) bool {
	next := u.Statement.NextUpdateBy
	return next.Word == "" && !next.At.IsZero() && !next.At.After(by)
}
