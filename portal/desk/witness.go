package desk

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
	"lifeline/templates"
)

// What staff record of who somebody is. They record evidence and never a level.

// Record is one thing that a member of staff records about the person of a ticket. Which fields it needs depends on what is recorded.
type Record struct {
	Ticket  string    `json:"-"`       // number
	What    Class     `json:"what"`    // match, B (a call back), G (what she knows), number, called, pair, override
	Contact string    `json:"contact"` // our id
	Hint    string    `json:"hint"`    // of the phone that was called: see [Desk.OnFile]
	Phone   string    `json:"phone"`   // of the switchboard
	Source  string    `json:"source"`  // where its number stands
	Since   time.Time `json:"since"`   // since when it stands there
	Of      string    `json:"of"`      // the number that was called
	Reached bool      `json:"reached"` // of a call: she was spoken to, knew her half of the phrase, and was who she says
	Note    string    `json:"note"`
}

// Record takes down what a member of staff did or found out. Result, method, person and time are kept, whatever came of it.
func (d *Desk) Record(ctx context.Context, by string, in Record) (Standing, error) {
	if in.Note = line(in.Note); len(in.Note) > maxReason {
		return Standing{}, fault.BadField("note", "is longer than %d bytes", maxReason)
	}
	return d.onTicket(ctx, store.Act{By: by, Verb: "identity.record", Reason: in.Note}, in.Ticket, func(tx *store.Tx, t store.Rec[Ticket]) error {
		e := Evidence{Case: t.ID, Account: t.Value.Account, Class: in.What, How: HowStaff, Note: in.Note, By: by}
		c, err := d.caseOf(tx, t.ID)
		if err != nil {
			return err
		}
		if e, err = d.fill(tx, c, in, e); err != nil {
			return err
		}
		id, err := d.add(tx, e)
		if err != nil {
			return err
		}
		return d.afterRecord(tx, t, id, e)
	})
}

// onTicket does something about a ticket and says how its person stands then.
func (d *Desk) onTicket(ctx context.Context, act store.Act, number string, do func(*store.Tx, store.Rec[Ticket]) error) (s Standing, err error) {
	number = secret.NormalNumber(number)
	err = d.DB.Update(ctx, act, func(tx *store.Tx) error {
		t, err := tickets.First(tx, store.Query{Index: "number", Equal: []any{number}})
		if fault.Of(err) == fault.NotFound {
			return fault.New(fault.NotFound, "there is no ticket %.40q", number)
		}
		if err == nil {
			err = do(tx, t)
		}
		if err != nil {
			return err
		}
		s, err = d.standing(tx, t.ID)
		return err
	})
	return s, err
}

// fill completes evidence from what was recorded, or refuses it.
func (d *Desk) fill(tx *store.Tx, c Case, in Record, e Evidence) (Evidence, error) {
	if c.Account == "" && in.What != ClassG {
		return e, fault.New(fault.Conflict, "say first whose ticket it is: it hangs on no account")
	}
	switch in.What {
	case ClassMatch:
		return d.fillMatch(tx, c, in, e)
	case ClassB:
		return d.fillCall(tx, c, in, e)
	case ClassG:
		e.How = HowTold
		return e, needNote(in, "what she knew")
	case ClassNumber:
		return d.fillNumber(c, in, e)
	case ClassCalled:
		e.How, e.Of, e.Failed = HowCall, in.Of, !in.Reached
		return e, checkCalled(c, in, e)
	case ClassPair:
		return d.fillPair(c, e)
	case ClassOverride:
		return e, needNote(in, "why two members of staff answer for her")
	}
	return e, fault.BadField("what", "must be match, B, G, number, called, pair or override")
}

func needNote(in Record, what string) error {
	if in.Note == "" {
		return fault.BadField("note", "is missing: %s", what)
	}
	return nil
}

// fillMatch: she is taken to be a contact of the account; without one, somebody of it whom the switchboard knows.
func (d *Desk) fillMatch(tx *store.Tx, c Case, in Record, e Evidence) (Evidence, error) {
	if e.By == c.StartedBy {
		return e, fault.New(fault.Forbidden, "whoever filed a ticket cannot match it; somebody else must")
	}
	if in.Contact == "" {
		return e, nil
	}
	who, err := d.Book.Contact(tx, in.Contact)
	if err != nil {
		return e, err
	}
	if who.Value.Account != c.Account {
		return e, fault.BadField("contact", "is a contact of another account")
	}
	e.Contact = who.ID
	return e, nil
}

// fillCall: only a number on file counts, whoever called it.
func (d *Desk) fillCall(tx *store.Tx, c Case, in Record, e Evidence) (Evidence, error) {
	who, at, channel, err := d.hinted(tx, c.Account, in.Hint)
	if err != nil {
		return e, err
	}
	if channel != contacts.SMS {
		return e, fault.BadField("hint", "is no phone")
	}
	e.Contact, e.Channel, e.Address, e.How, e.Failed = who.ID, channel, at.Value, HowCall, !in.Reached
	return e, nil
}

func (d *Desk) fillNumber(c Case, in Record, e Evidence) (Evidence, error) {
	phone, err := contacts.ParsePhone(in.Phone, d.Book.Policy.PhoneCountry)
	if err != nil {
		return e, fault.BadField("phone", "is not a phone number; begin with + and the country code")
	}
	source := line(in.Source)
	switch {
	case source == "":
		return e, fault.BadField("source", "is missing: where does the number stand?")
	case len(source) > maxReason:
		return e, fault.BadField("source", "is longer than %d bytes", maxReason)
	case in.Since.IsZero() || !in.Since.Before(c.Began):
		return e, fault.BadField("since", "must be a time before the incident began: a source that is younger proves nothing")
	case e.By == c.StartedBy:
		return e, fault.New(fault.Forbidden, "whoever filed the ticket cannot find the number; somebody else must")
	}
	e.Channel, e.Address, e.Source, e.SourceAt = contacts.SMS, phone, source, in.Since.UTC()
	return e, nil
}

// checkCalled: the number was found by somebody else than whoever calls it.
func checkCalled(c Case, in Record, e Evidence) error {
	i := slices.IndexFunc(c.Proofs, func(p Proof) bool { return p.ID == in.Of && p.Class == ClassNumber && p.counts() })
	switch {
	case i < 0:
		return fault.BadField("of", "is no number that was found for this ticket")
	case c.Proofs[i].By == e.By:
		return fault.New(fault.Forbidden, "whoever found the number cannot be the one who calls it; somebody else must")
	}
	return nil
}

// fillPair binds the word of a second member of staff to exactly the evidence that there is.
func (d *Desk) fillPair(c Case, e Evidence) (Evidence, error) {
	for _, m := range c.Proofs {
		if m.Class != ClassMatch || !m.counts() || m.Contact == "" {
			continue
		}
		if m.By == e.By || c.StartedBy == e.By {
			return e, fault.New(fault.Forbidden, "whoever matched or filed the ticket cannot agree to this; a second member of staff must")
		}
		if pairs := correlatedPairs(firstOf(c, m)); len(pairs) > 0 {
			e.Contact, e.Bound = m.Contact, boundTo(pairs[0])
			return e, nil
		}
	}
	return e, fault.New(fault.Conflict, "there is nothing to agree to: it takes a match with a contact, a code to her address on file, and a DNS record or a mailbox at the account's domain")
}

// afterRecord starts and keeps the promises that go with what was recorded, and tells everybody on file where the ladder asks for it.
func (d *Desk) afterRecord(tx *store.Tx, t store.Rec[Ticket], id string, e Evidence) error {
	switch e.Class {
	case ClassNumber:
		return d.Comms.Promise(tx, comms.Deadline{What: "way_back", Of: t.ID, Title: t.Value.Number, Incident: t.Value.Incident, Due: tx.Now().Add(d.Policy.Identity.WayBack)})
	case ClassCalled:
		if !e.Failed {
			return d.Comms.Keep(tx, t.ID, "way_back", e.By)
		}
	case ClassPair:
		return d.tellOnFile(tx, e.Account, templates.AccountNotice{What: templates.NoticePair, Number: t.Value.Number, From: tx.Now().Add(d.Policy.Identity.PairHold)})
	}
	return nil
}

// Agree is a second member of staff's word for an override.
func (d *Desk) Agree(ctx context.Context, by, number, id string) (Standing, error) {
	return d.onTicket(ctx, store.Act{By: by, Verb: "identity.agree"}, number, func(tx *store.Tx, t store.Rec[Ticket]) error {
		e, m, err := evidence.Get(tx, id)
		if err != nil {
			return err
		}
		switch {
		case e.Case != t.ID || e.Class != ClassOverride || !e.Voided.IsZero():
			return fault.BadField("id", "is no override of this ticket that waits")
		case e.Second != "":
			return fault.New(fault.Conflict, "somebody agreed to it already")
		case e.By == by:
			return fault.New(fault.Forbidden, "whoever asks for an override cannot agree to it; a second member of staff must")
		}
		e.Second, e.SecondAt = by, tx.Now()
		tx.On(t.ID, id)
		return evidence.Put(tx, id, e, m.Version)
	})
}

// Void takes evidence back, for a reason that is kept.
func (d *Desk) Void(ctx context.Context, by, number, id, reason string) (Standing, error) {
	if reason = line(reason); reason == "" || len(reason) > maxReason {
		return Standing{}, fault.BadField("reason", "must say in at most %d bytes why it counts no more", maxReason)
	}
	return d.onTicket(ctx, store.Act{By: by, Verb: "identity.void", Reason: reason}, number, func(tx *store.Tx, t store.Rec[Ticket]) error {
		e, m, err := evidence.Get(tx, id)
		if err != nil {
			return err
		}
		if e.Case != t.ID {
			return fault.BadField("id", "is no evidence of this ticket")
		}
		tx.On(t.ID)
		return void(tx, store.Rec[Evidence]{Meta: m, Value: e}, by, VoidStaff)
	})
}

// VouchFor is the word of a person at L3 for the person of another ticket of the same account: that she is this contact. Nobody vouches for herself.
func (d *Desk) VouchFor(ctx context.Context, who Who, number, contact string) error {
	_, err := d.onTicket(ctx, store.Act{By: "public:vouch", Verb: "identity.vouch"}, number, func(tx *store.Tx, t store.Rec[Ticket]) error {
		s, err := d.may(tx, who, Vouch)
		if err != nil {
			return err
		}
		named, err := d.Book.Contact(tx, contact)
		gone := fault.Of(err) == fault.NotFound || fault.Of(err) == fault.Invalid
		if err != nil && !gone {
			return err
		}
		other, err := d.caseOf(tx, t.ID)
		if err != nil {
			return err
		}
		switch {
		case gone || other.Account != s.Account || named.Value.Account != s.Account:
			return fault.New(fault.NotFound, "there is nothing here that this ticket leads to")
		case t.ID == who.Case || named.ID == s.Contact || s.Contact == "":
			return fault.New(fault.Forbidden, "nobody vouches for herself")
		}
		_, err = d.add(tx, Evidence{Case: t.ID, Account: s.Account, Contact: named.ID, Class: ClassF, How: HowVouch, Of: who.Case, By: "public:vouch"})
		return err
	})
	return err
}

// tellOnFile tells every address on file of an account that something is being done in its name, so that the right people can say no.
func (d *Desk) tellOnFile(tx *store.Tx, account string, what templates.AccountNotice) error {
	a, err := d.Book.Account(tx, account)
	if err != nil {
		return err
	}
	var to []comms.Direct
	channels := map[string]bool{}
	for who, err := range d.Book.ContactsOf(tx, a.ID) {
		if err != nil {
			return err
		}
		for _, channel := range []string{contacts.Email, contacts.SMS} {
			for _, at := range addressesOf(who.Value, channel) {
				if at.OptedOut || len(to) == mostTold {
					continue
				}
				to = append(to, comms.Direct{Channel: channel, Address: at.Value, Locale: d.Comms.Words.Match(who.Value.Locale)})
				channels[channel] = true
			}
		}
	}
	if len(to) == 0 {
		return nil
	}
	what.URL = d.Comms.Vendor.URL + "/support"
	data, err := json.Marshal(what)
	if err != nil {
		return err
	}
	n := comms.Notice{Lane: comms.LaneUrgent, Name: templates.MsgAccount, Data: data, To: to}
	for _, c := range []string{contacts.Email, contacts.SMS} {
		if channels[c] {
			n.Channels = append(n.Channels, c)
		}
	}
	_, err = d.Comms.Tell(tx, n)
	return err
}

// mostTold bounds the addresses of one account that are told.
const mostTold = 500
