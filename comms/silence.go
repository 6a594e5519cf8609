package comms

import (
	"maps"
	"slices"
	"strings"
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
	if err := r.owesFirst(tx, id, in); err != nil {
		return err
	}
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
		return r.lapse(tx, id, Silence)
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

// FirstWord begins the sort of the deadline by which the first word of a grave incident is owed on one channel: page, email and so on. Who reads one of them
// does not read the others, so a word on the page ends none but the page's.
const FirstWord = "first_word_"

// owesFirst sets when the first word is due on each channel of the policy that has had none, and ends what has had one; never while an incident is not grave
// or not open.
func (r *Room) owesFirst(tx *store.Tx, id string, in Incident) error {
	first := map[string]Update{} // by channel
	for rec, err := range spoken(tx, id) {
		if err != nil {
			return err
		}
		u := rec.Value
		if u.Corrects > 0 || !wide(u.Statement.Audience) {
			continue
		}
		for _, channel := range u.heardOn() {
			first[channel] = u
		}
	}
	for _, channel := range slices.Sorted(maps.Keys(r.Policy.FirstWord)) {
		what := FirstWord + channel
		_, running, err := r.Waiting(tx, id, what)
		u, said := first[channel]
		switch {
		case err != nil:
			return err
		case said:
			err = r.keep(tx, id, what, u.PublishedBy)
		case in.State != Open || !grave(in.Severity):
			err = r.lapse(tx, id, what)
		case !running:
			target := r.Policy.FirstWord[channel]
			due := in.DeclaredAt.Add(target)
			if due.Before(tx.Now()) { // it became grave later
				due = tx.Now().Add(target)
			}
			err = r.promise(tx, Deadline{What: what, Ladder: r.wordLadder(), Of: id, Incident: id, Due: due})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// heardOn are the channels on which an update went out.
func (u Update) heardOn() []string {
	if u.PageOnly {
		return []string{ChannelPage}
	}
	return u.Statement.Channels
}

// wordLadder is who hears that a first word is missing: whom the policy names for it, or for silence, or for a promise.
func (r *Room) wordLadder() string {
	for _, name := range []string{strings.TrimSuffix(FirstWord, "_"), Silence} {
		if len(r.Policy.Ladders[name]) > 0 {
			return name
		}
	}
	return NextUpdate
}
