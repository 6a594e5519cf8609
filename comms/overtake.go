package comms

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Nobody gets an older word behind a newer one. What is unsent of an update ends when a newer one is said to the same readers: whoever gets the newer one,
// on whatever channel, is superseded; whoever does not is left out, stands on the older one's board as not told, and somebody owes her the newer word. Only
// "no change" leaves what it does not replace on its way, for it makes nothing untrue. See docs/adr/0019-newer-words.md.

// leftOut is the reason of a delivery that is not sent because a newer update is out, which does not go to its person.
const leftOut = "left_out"

// OutreachLeftOut is the What of a task to say an update to those who waited for the one before and do not get it. Of is the update for which they waited.
const OutreachLeftOut = "outreach.left_out"

const supersededBy = "superseded by a newer update"

// LeftOut is the detail of such a task.
type LeftOut struct {
	Update int `json:"update"` // number of the one for which they waited
	Newer  int `json:"newer"`  // and of the one that leaves them out
	People int `json:"people"`
}

// supersede ends what is unsent of the updates of the same incident that were said to the same readers before, and gives n the place in the queue of the one
// that waits longest of them, so that nobody waits until what is not sent any more is written down. Corrections are left alone: those who got the wrong words are owed
// them. What one person put on the page alone, before a second one read it, ends nothing.
func (r *Room) supersede(tx *store.Tx, u store.Rec[Update], n *Notice) error {
	if u.Value.PageOnly || u.Value.Corrects > 0 {
		return nil
	}
	for rec, err := range updates.Scan(tx, store.Query{Index: "incident", Equal: []any{u.Value.Incident}}) {
		if err != nil {
			return err
		}
		old := rec.Value
		if rec.ID == u.ID || old.Notice == "" || old.Corrects > 0 || !sameReaders(u.Value.Statement.Audience, old.Statement.Audience) {
			continue
		}
		was, m, err := notices.Get(tx, old.Notice)
		if err != nil {
			return err
		}
		all := covers(*n, was)
		if all {
			why := fmt.Sprintf("update %d goes to all of them", u.Value.Number)
			if err := r.Settle(tx, OutreachLeftOut, rec.ID, "system:updates", why); err != nil {
				return err
			}
		}
		if was.Newer != "" || was.State == StoppedHere || !all && !u.Value.outdates() {
			continue
		}
		if !all || was.State == Done { // what comes back of one that is done goes to no further address
			if was.Newer = u.ID; was.State == Expanding {
				was.Cut = true
			}
			if err := notices.Put(tx, old.Notice, was, m.Version); err != nil {
				return err
			}
		}
		if was.State == Done {
			continue
		}
		if at := was.Place.Add(-time.Millisecond); !was.Place.IsZero() && (n.Place.IsZero() || at.Before(n.Place)) {
			n.Place = at
		}
		if err := r.halt(tx, old.Notice, Superseded, supersededBy); err != nil {
			return err
		}
	}
	return nil
}

// outdates says whether an update makes untrue what was said before: "no change" does not, and what a rule says is what a person said last with newer counts.
func (u Update) outdates() bool { return !u.Statement.NoChange && u.Rule == "" }

// sameReaders says whether two audiences are told one story. Everybody may read what is said to all or to the affected, so the newer of the two is what holds; what is
// said to a part of them stands beside it.
func sameReaders(a, b string) bool { return a == b || wide(a) && wide(b) }

// covers says whether everybody whom old is for gets n on the same channels.
func covers(n, old Notice) bool {
	if old.Only != "" || len(n.To) > 0 != (len(old.To) > 0) {
		return false
	}
	for _, c := range old.Channels {
		if !slices.Contains(n.Channels, c) {
			return false
		}
	}
	return n.Audience == old.Audience && slices.Equal(n.To, old.To) || n.Audience == AudiencePublic && old.Audience == AudienceAffected
}

// overtaken lists by number the updates of an incident that are still being sent to readers of a statement, and that it would not replace for all of them.
func overtaken(tx *store.Tx, incident string, s templates.Statement) (all []int, err error) {
	n := Notice{Audience: s.Audience, Channels: Update{Statement: s}.outbound()}
	for rec, err := range spoken(tx, incident) {
		if err != nil {
			return nil, err
		}
		u := rec.Value
		if u.Notice == "" || u.State != Published || u.Corrects > 0 || !sameReaders(u.Statement.Audience, s.Audience) {
			continue
		}
		old, _, err := notices.Get(tx, u.Notice)
		if err != nil {
			return nil, err
		}
		if (old.State == Expanding || old.State == SendingNow) && old.Audience != "" && !covers(n, old) {
			all = append(all, u.Number)
		}
	}
	return all, nil
}

// newer is an update that ends an older one, as far as it takes to say whom it reaches.
type newer struct {
	number   int
	audience string
	channels []string
	to       []Direct
}

// newerThan is the update that ended a notice; nil when none did, or when it goes to everybody.
func (r *Room) newerThan(tx *store.Tx, n Notice) (*newer, error) {
	if n.Newer == "" {
		return nil, nil
	}
	u, _, err := updates.Get(tx, n.Newer)
	if err != nil {
		return nil, err
	}
	by := &newer{number: u.Number, audience: u.Statement.Audience, channels: u.outbound()}
	if listed(by.audience) {
		by.to = r.listed(by.audience, by.channels)
	}
	return by, nil
}

// unsentFor is what becomes of an open delivery when its notice was stopped: by is the update that ended it, if one did that does not go to everybody.
func (r *Room) unsentFor(tx *store.Tx, by *newer, n Notice, key string, d Delivery) (verdict, error) {
	v := d.unsent(n)
	if by == nil || v.State == Unknown {
		return v, nil
	}
	reached, err := r.reaches(tx, *by, key, d)
	if err == nil && !reached {
		v = verdict{State: Suppressed, Reason: leftOut}
	}
	return v, err
}

// reaches says whether the person of an older update's delivery gets the newer one.
func (r *Room) reaches(tx *store.Tx, by newer, key string, d Delivery) (bool, error) {
	k, err := parseKey(key)
	if err != nil {
		return false, err
	}
	here := slices.Contains(by.channels, d.Channel)
	switch {
	case k.Account == "0":
		return slices.ContainsFunc(by.to, func(to Direct) bool {
			return to.Channel == d.Channel && to.Address == d.Address || to.Name != "" && to.Name == d.Name
		}), nil
	case k.Pass == passSubscribers:
		return here && by.audience == AudiencePublic, nil
	case here:
		return true, nil
	}
	c, err := r.Book.Contact(tx, "con_"+k.Contact)
	if fault.Of(err) == fault.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(by.channels, func(channel string) bool {
		to, _ := contacts.Reach(c.Value, channel)
		return slices.Contains(personal, channel) && len(to) > 0
	}), nil
}

// countLeftOut counts the people whom a stopped notice has not told and the newer update leaves out, each once.
func (r *Room) countLeftOut(tx *store.Tx, id string, n Notice) (left LeftOut, err error) {
	by, err := r.newerThan(tx, n)
	if err != nil || by == nil {
		return left, err
	}
	u, _, err := updates.Get(tx, n.Update)
	if err != nil {
		return left, err
	}
	left.Update, left.Newer = u.Number, by.number
	subscribers, last := 0, ""
	for rec, err := range deliveries.Scan(tx, under("dlv_"+suffix(id)+".")) {
		if err != nil {
			return left, err
		}
		k, err := parseKey(rec.ID)
		if err != nil {
			return left, err
		}
		if k.Pass == passSubscribers {
			subscribers++
		}
		if rec.Value.Reason == leftOut && k.person() != last {
			last = k.person()
			left.People++
		}
	}
	if n.Cut && n.Audience == AudiencePublic && by.audience != AudiencePublic { // subscribers who were not written down yet stand on neither board
		all, err := countSubscribers(tx, u.Incident, n.Channels)
		if err != nil {
			return left, err
		}
		left.People += max(0, all-subscribers)
	}
	return left, nil
}

// oweLeftOut has somebody look after those whom a newer update leaves out.
func (r *Room) oweLeftOut(tx *store.Tx, n Notice, left LeftOut) error {
	if left.People == 0 {
		return nil
	}
	u, _, err := updates.Get(tx, n.Update)
	if err != nil {
		return err
	}
	detail, err := json.Marshal(left)
	if err != nil {
		return fmt.Errorf("write whom an update leaves out: %w", err)
	}
	_, err = r.Owe(tx, Task{What: OutreachLeftOut, Of: n.Update, Incident: u.Incident, Detail: detail,
		Title: fmt.Sprintf("Update %d leaves out %d people who were to get update %d and now get neither: say the newer one on their channels and to their audience, or tell them another way", left.Newer, left.People, left.Update)})
	return err
}
