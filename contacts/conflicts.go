package contacts

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
)

// Decision is what a person makes of a conflict.
type Decision string

// The decisions. The last three are for an e-mail address that belongs to another contact.
const (
	TakeOffered Decision = "take_offered"
	KeepOurs    Decision = "keep_ours"
	SamePerson  Decision = "same_person"  // proposes to merge the two, which takes a second person
	MoveAddress Decision = "move_address" // it is this contact's, not the other's
	KeepApart   Decision = "keep_apart"   // they are two, and the address stays where it is
)

// OpenConflict is a conflict that waits, with both sides.
type OpenConflict struct {
	Entry      store.Meta // in the list of all
	Of         string     // our id of the record
	Kind       string     // account, site or contact
	Account    string
	Conflict          // both sides; Have is what stands now
	HaveOrigin Origin // of the value that stands
	Waiting    int    // how many wait on the record, this one among them
	Version    int64  // of the record
}

// Decisions are what a person may answer.
func (c OpenConflict) Decisions() []Decision {
	if c.Field == colEmail.String() {
		return []Decision{SamePerson, MoveAddress, KeepApart}
	}
	return []Decision{TakeOffered, KeepOurs}
}

// OpenConflicts lists what waits for a person, over all records or those of one account (our id), the oldest first, a page at a time.
func (b *Book) OpenConflicts(ctx context.Context, account string, q store.Query) (page []OpenConflict, next string, err error) {
	q.Index = "at"
	if account != "" {
		q.Index, q.Equal = "account", []any{account}
	}
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		page = nil
		var all []store.Rec[openConflict]
		if all, next, err = openConflicts.List(tx, q); err != nil {
			return err
		}
		for _, rec := range all {
			c, err := b.conflict(tx, rec)
			if fault.Of(err) == fault.NotFound {
				continue // its record was deleted
			}
			if err != nil {
				return err
			}
			page = append(page, c)
		}
		return nil
	})
	return page, next, err
}

// CountConflicts is how many wait in the list of all.
func (b *Book) CountConflicts(ctx context.Context) (n int, err error) {
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		n, err = openConflicts.Count(tx, store.Query{})
		return err
	})
	return n, err
}

func (b *Book) conflict(tx *store.Tx, rec store.Rec[openConflict]) (OpenConflict, error) {
	d, err := b.disputed(tx, rec.Value.Of)
	if err != nil {
		return OpenConflict{}, err
	}
	i := slices.IndexFunc(d.provenance.Conflicts, func(c Conflict) bool { return c.ID == rec.ID })
	if i < 0 {
		return OpenConflict{}, fault.New(fault.NotFound, "this conflict is over")
	}
	c := OpenConflict{Entry: rec.Meta, Of: rec.Value.Of, Kind: d.kind, Account: rec.Value.Account, Conflict: d.provenance.Conflicts[i],
		HaveOrigin: d.provenance.Origins[d.provenance.Conflicts[i].Field], Waiting: d.provenance.Waiting(), Version: d.version}
	if now, single := d.current(c.Field); single {
		c.Have = now
	}
	return c, nil
}

// disputed is a record of any of the three kinds, as far as conflicts go.
type disputed struct {
	kind       string
	account    string // whose it is; our id
	version    int64
	provenance *Provenance
	current    func(field string) (string, bool) // of a single value
	set        func(field, value string) error
	put        func(*store.Tx) error
}

func (b *Book) disputed(tx *store.Tx, id string) (disputed, error) {
	k, _ := kindOf(id, Kinds())
	switch k.Name {
	case accounts.Name:
		a, m, err := accounts.Get(tx, id)
		a = a.clone()
		return disputed{k.Name, id, m.Version, &a.Provenance, a.current, func(f, v string) error { return a.set(f, v, tx) },
			func(tx *store.Tx) error { return accounts.Put(tx, id, a, m.Version) }}, err
	case sites.Name:
		s, m, err := sites.Get(tx, id)
		s = s.clone()
		return disputed{k.Name, s.Account, m.Version, &s.Provenance, s.current, s.set, func(tx *store.Tx) error { return sites.Put(tx, id, s, m.Version) }}, err
	case people.Name:
		c, m, err := people.Get(tx, id)
		c = c.clone()
		return disputed{k.Name, c.Account, m.Version, &c.Provenance, c.current, c.set, func(tx *store.Tx) error { return people.Put(tx, id, c, m.Version) }}, err
	}
	return disputed{}, fault.New(fault.NotFound, "there is no record %.80q", id)
}

// single is where the text of a field is kept; nil: it is not a text of its own.
func (a *Account) single(field string) *string {
	return map[string]*string{"account": &a.Name, "region": &a.Region, "locale": &a.Locale, "time_zone": &a.TimeZone}[field]
}

func (s *Site) single(field string) *string {
	return map[string]*string{"site": &s.Name, "site_url": &s.URL, "region": &s.Region}[field]
}

func (c *Contact) single(field string) *string {
	return map[string]*string{"name": &c.Name, "locale": &c.Locale, "time_zone": &c.TimeZone}[field]
}

func (a *Account) current(field string) (string, bool) {
	return valueOf(a.single(field), field, a.Tier)
}

func (s *Site) current(field string) (string, bool) { return valueOf(s.single(field), field, s.Tier) }

func (c *Contact) current(field string) (string, bool) {
	if field == colChannels.String() {
		return strings.Join(c.Channels, ";"), true
	}
	return valueOf(c.single(field), field, nil)
}

func valueOf(text *string, field string, tier *int) (string, bool) {
	switch {
	case text != nil:
		return *text, true
	case field == colTier.String() && tier != nil:
		return strconv.Itoa(*tier), true
	}
	return "", false
}

func (a *Account) set(field, value string, tx *store.Tx) error {
	was := a.Name
	if err := setText(a.single(field), field, value, &a.Tier); err != nil {
		return err
	}
	if was != "" && fold(was) != fold(a.Name) {
		var t tally
		a.FormerNames = a.unite(&t, colFormerNames.String(), a.FormerNames, []string{was}, statement{source: staffWord, how: ByStaff, seen: tx.Now()})
	}
	return nil
}

func (s *Site) set(field, value string) error {
	return setText(s.single(field), field, value, &s.Tier)
}

func (c *Contact) set(field, value string) error {
	if field == colChannels.String() {
		c.Channels = splitChannels(value)
		return nil
	}
	return setText(c.single(field), field, value, nil)
}

func setText(text *string, field, value string, tier **int) error {
	if field == colTier.String() && tier != nil {
		n, err := strconv.Atoi(value)
		*tier = &n
		return err
	}
	if text == nil {
		return fault.New(fault.Internal, "%q is no single value", field)
	}
	*text = value
	return nil
}

// ConflictAnswer is a person's decision about one conflict.
type ConflictAnswer struct {
	Conflict string   `json:"conflict_id"`
	Decision Decision `json:"decision"`
	Reason   string   `json:"reason"`
}

// DecideConflict carries a decision out and remembers it, so that the same word of the same source is not asked about again. SamePerson
// answers with the change that was proposed; the conflict waits until that is done or somebody decides otherwise.
func (b *Book) DecideConflict(ctx context.Context, by string, a ConflictAnswer) (done OpenConflict, proposed string, err error) {
	if a.Reason, err = givenReason(a.Reason); err != nil {
		return done, "", err
	}
	err = b.DB.Update(ctx, store.Act{By: by, Verb: "contacts.decide", Reason: string(a.Decision)}, func(tx *store.Tx) error {
		entry, m, err := openConflicts.Get(tx, a.Conflict)
		if err != nil {
			return err
		}
		if done, err = b.conflict(tx, store.Rec[openConflict]{Meta: m, Value: entry}); err != nil {
			return err
		}
		if !slices.Contains(done.Decisions(), a.Decision) {
			return fault.BadField("decision", "%.40q is not one of %s", a.Decision, joinDecisions(done.Decisions()))
		}
		tx.On(done.Of)
		switch a.Decision {
		case SamePerson, MoveAddress:
			proposed, err = b.proposeFor(tx, by, done, a)
			return err
		}
		return b.decide(tx, by, done, a)
	})
	return done, proposed, err
}

// givenReason is a person's reason for what she does, which is kept.
func givenReason(s string) (string, error) {
	if s = strings.TrimSpace(s); s == "" {
		return "", fault.BadField("reason", "is missing: whoever looks for it later has to know why")
	}
	s, err := text(s, maxReason)
	if err != nil {
		return "", fault.BadField("reason", "%s", err)
	}
	return s, nil
}

func joinDecisions(all []Decision) string {
	names := make([]string, len(all))
	for i, d := range all {
		names[i] = string(d)
	}
	return strings.Join(names, ", ")
}

// decide does what needs no second person.
func (b *Book) decide(tx *store.Tx, by string, c OpenConflict, a ConflictAnswer) error {
	d, err := b.disputed(tx, c.Of)
	if err != nil {
		return err
	}
	p := d.provenance
	origin := Origin{Source: staffWord, ConfirmedAt: tx.Now(), Seen: tx.Now(), How: ByStaff, By: by, Why: a.Reason}
	no := Decided{Field: c.Field, Offered: c.Offered, Source: c.Source, Verdict: a.Decision, By: by, Why: a.Reason, At: tx.Now(),
		About: c.Conflict, Was: c.HaveOrigin}
	var t tally
	switch a.Decision {
	case TakeOffered:
		no.Offered, no.Source = c.Have, cmp.Or(c.HaveOrigin.Source, no.Source)
		if err := d.set(c.Field, c.Offered); err != nil {
			return err
		}
		p.adopt(&t, c.Field, c.Offered, origin)
	case KeepOurs:
		p.adopt(&t, c.Field, c.Have, origin)
		fallthrough
	case KeepApart:
		p.Conflicts = slices.DeleteFunc(p.Conflicts, func(w Conflict) bool { return w.ID == c.ID })
		t.settled = append(t.settled, c.ID)
	}
	p.decided(no)
	if err := closeConflicts(tx, t.settled); err != nil {
		return err
	}
	return d.put(tx)
}

// decided remembers an offer that was turned down.
func (p *Provenance) decided(d Decided) {
	p.Decided = append(p.Decided, d)
	if over := len(p.Decided) - maxDecided; over > 0 {
		p.Decided = slices.Delete(p.Decided, 0, over)
	}
}

// Reopening takes a decision back.
type Reopening struct {
	Of       string `json:"of"` // our id of the record
	Conflict string `json:"conflict_id"`
}

// ReopenConflict takes back a decision that needed no second person: the record is as it was before, and the conflict waits again, in an
// entry of its own. What was changed since stays, and the decision with it (fault.Conflict).
func (b *Book) ReopenConflict(ctx context.Context, by string, r Reopening) (entry string, err error) {
	err = b.DB.Update(ctx, store.Act{By: by, Verb: "contacts.reopen"}, func(tx *store.Tx) error {
		d, err := b.disputed(tx, r.Of)
		if err != nil {
			return err
		}
		p := d.provenance
		i := slices.IndexFunc(p.Decided, func(d Decided) bool { return d.About.ID != "" && d.About.ID == r.Conflict })
		if i < 0 {
			return fault.New(fault.NotFound, "there is no decision of this conflict to take back")
		}
		was := p.Decided[i]
		left := was.About.Have
		if was.Verdict == TakeOffered {
			left = was.About.Offered
		}
		if now, single := d.current(was.Field); single && now != left {
			return fault.New(fault.Conflict, "the value was changed since: it says %.80q now", now)
		}
		if was.Verdict == TakeOffered {
			if err := d.set(was.Field, was.About.Have); err != nil {
				return err
			}
		}
		switch {
		case was.Verdict == KeepApart: // left it as it was
		case was.Was == Origin{}:
			delete(p.Origins, was.Field)
		case p.Origins != nil:
			p.Origins[was.Field] = was.Was
		}
		p.Decided = slices.Delete(p.Decided, i, i+1)
		var t tally
		about := was.About
		about.ID = ""
		p.dispute(&t, about)
		tx.On(r.Of)
		for _, entry = range t.raised {
			if err := openConflicts.Put(tx, entry, openConflict{Of: r.Of, Account: d.account, At: about.At}, 0); err != nil {
				return err
			}
		}
		return d.put(tx)
	})
	return entry, err
}

// proposeFor proposes what a decision needs a second person for.
func (b *Book) proposeFor(tx *store.Tx, by string, c OpenConflict, a ConflictAnswer) (string, error) {
	if b.Changes == nil {
		return "", fault.New(fault.Unavailable, "nothing can be proposed here")
	}
	verb, input := VerbMoveAddress, any(AddressMove{Contact: c.Of, From: c.Have, Channel: Email, Value: c.Offered})
	if a.Decision == SamePerson {
		verb, input = "contact.merge", pairs{Merges: []Pair{{From: c.Have, Into: c.Of}}}
	}
	body, err := json.Marshal(input)
	if err != nil {
		return "", err
	}
	rec, err := b.Changes.ProposeIn(tx, by, Proposal{Verb: verb, Input: body, Reason: a.Reason})
	return rec.ID, err
}
