package desk

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// Evidence is one thing that says who somebody is: what was shown, how, by whom it was recorded, and when. It is written once and never edited; it
// ends by being voided. No level is ever stored: it is computed from the evidence of a case each time that it is asked for (see [Judge]).
type Evidence struct {
	Case    string `json:"case"` // id of the ticket, or of the question that opened her own page
	Account string `json:"account,omitempty"`
	Contact string `json:"contact,omitempty"` // the contact that it is tied to; "" says nothing of which person
	Class   Class  `json:"class"`
	How     How    `json:"how"`
	Channel string `json:"channel,omitempty"`
	Address string `json:"address,omitempty"` // what was shown to be hers
	Domain  string `json:"domain,omitempty"`  // whose zone she could write to

	Of       string    `json:"of,omitempty"`        // the evidence, or the case of another person, that this builds on
	Bound    string    `json:"bound,omitempty"`     // digest of the evidence that a word was given for
	Source   string    `json:"source,omitempty"`    // where a switchboard's number stands
	SourceAt time.Time `json:"source_at,omitzero"`  // since when it stands there
	Note     string    `json:"note,omitempty"`      // in the words of staff
	Failed   bool      `json:"failed,omitempty"`    // it was tried and shows nothing: nobody answered, or she was not known
	By       string    `json:"by"`                  // staff id, or "public:…"
	Second   string    `json:"second,omitempty"`    // the other member of staff whom it needs
	SecondAt time.Time `json:"second_at,omitzero"`  // when he agreed
	At       time.Time `json:"at"`                  // when it was shown
	Voided   time.Time `json:"voided,omitzero"`     // since when it counts no more
	VoidWhy  string    `json:"void_why,omitempty"`  // code
	VoidBy   string    `json:"voided_by,omitempty"` // who voided it; "" for what happened by itself
}

// Class is what a piece of evidence is worth. E, a sign-in at the customer's own identity provider, is not built.
type Class string

// The classes of what a person shows.
const (
	ClassReach Class = "reach" // a code to an address that she typed: she can be reached there, and no more
	ClassA     Class = "A"     // a code to a contact's mail address on file
	ClassAlike Class = "A'"    // a code to a mailbox at a recorded domain, whoever reads it
	ClassB     Class = "B"     // a call to, or an SMS with a code to, a contact's phone on file
	ClassC     Class = "C"     // a saved recovery code
	ClassD     Class = "D"     // a DNS record in a recorded domain
	ClassF     Class = "F"     // the word of somebody else at L3 on the account
	ClassG     Class = "G"     // what she knows; recorded, and never worth anything
)

// The classes of what staff record about a case.
const (
	ClassMatch    Class = "match"    // she is taken to be this contact of this account
	ClassPair     Class = "pair"     // a second member of staff agrees that correlated evidence shall do
	ClassNumber   Class = "number"   // the switchboard's number, found in a source
	ClassCalled   Class = "called"   // it was called, and she was asked for
	ClassOverride Class = "override" // two members of staff answer for her
)

// How is how something was shown.
type How string

// The ways.
const (
	HowCode     How = "code"
	HowLink     How = "link"
	HowCall     How = "call"
	HowRecovery How = "recovery_code"
	HowDNS      How = "dns"
	HowVouch    How = "vouch"
	HowTold     How = "told"
	HowStaff    How = "staff"
)

// Why evidence counts no more, or not for this account.
const (
	VoidStaff    = "staff"         // a member of staff took it back
	VoidBounced  = "bounced"       // the address bounced since
	VoidGone     = "address_gone"  // the contact does not have the address any more, or only since
	VoidSecret   = "new_secret"    // whoever got the ticket's new secret showed another address
	VoidElse     = "other_account" // it is about another account than the ticket hangs on
	VoidUnlinked = "no_account"    // the ticket hangs on no account
	VoidPerson   = "no_contact"    // the contact is no more, or of another account
	VoidDomain   = "domain_new"    // the domain was not on file before the incident began
	VoidAnyone   = "mail_for_anyone"
	VoidNew      = "address_new" // the address was not on file before the incident began, or only by a recent import
	VoidFailed   = "failed"
	VoidVoucher  = "voucher" // the person who vouched is not sure herself any more
)

var evidence = store.Table[Evidence]{
	Kind: store.Kind{Name: "evidence", Prefix: "evi", Schema: 1, Keep: 5 * 365 * 24 * time.Hour, Indexes: []store.Index{
		{Name: "case", Fields: []store.Field{{Name: "case", Type: store.Text}, {Name: "at", Type: store.Time}}},
		{Name: "contact", Fields: []store.Field{{Name: "contact", Type: store.Text}, {Name: "at", Type: store.Time}}},
	}},
	Tuples: func(e Evidence) store.Tuples {
		t := store.Tuples{"case": {e.Case, e.At}}
		if e.Contact != "" {
			t["contact"] = []any{e.Contact, e.At}
		}
		return t
	},
}

// add records evidence in the transaction of the act that shows it.
func (d *Desk) add(tx *store.Tx, e Evidence) (string, error) {
	e.At = tx.Now()
	id := evidence.NewID()
	tx.On(e.Case, id)
	for _, also := range []string{e.Account, e.Contact} {
		if also != "" {
			tx.On(also)
		}
	}
	return id, evidence.Put(tx, id, e, 0)
}

// void ends a piece of evidence. That it was voided holds after a restore too.
func void(tx *store.Tx, rec store.Rec[Evidence], by, why string) error {
	if !rec.Value.Voided.IsZero() {
		return nil
	}
	rec.Value.Voided, rec.Value.VoidBy, rec.Value.VoidWhy = tx.Now(), by, why
	tx.On(rec.ID)
	if err := evidence.Put(tx, rec.ID, rec.Value, rec.Version); err != nil {
		return err
	}
	return tx.Journal(factVoided, rec.ID, ended{At: tx.Now(), By: by, Why: why})
}

func inCase(id string) store.Query { return store.Query{Index: "case", Equal: []any{id}} }

// evidenceOf reads the evidence of a case, oldest first.
func evidenceOf(tx *store.Tx, id string) (all []store.Rec[Evidence], err error) {
	for rec, err := range evidence.Scan(tx, inCase(id)) {
		if err != nil {
			return nil, err
		}
		all = append(all, rec)
	}
	return all, nil
}

// Bounced voids what an address of a contact proved: it is another's by now, or nobody's. The book calls it in the transaction that notes the bounce.
func (d *Desk) Bounced(tx *store.Tx, contact, channel, value string) error {
	for rec, err := range evidence.Scan(tx, store.Query{Index: "contact", Equal: []any{contact}}) {
		if err != nil {
			return err
		}
		if rec.Value.Channel == channel && sameAddress(channel, rec.Value.Address, value) {
			if err := void(tx, rec, "", VoidBounced); err != nil {
				return err
			}
		}
	}
	return nil
}

// sameAddress compares addresses as the book does: letter case says nothing in mail.
func sameAddress(channel, a, b string) bool {
	return a == b || channel == contacts.Email && strings.EqualFold(a, b)
}

// weigh says what a piece of evidence shows for the case as the book stands now: nothing, with the reason, or what its class says. It is judged anew each
// time, so that an address that is taken away, moved, or known to have come too late stops proving at once.
func (d *Desk) weigh(tx *store.Tx, c Case, rec store.Rec[Evidence]) (Proof, error) {
	p := Proof{ID: rec.ID, Evidence: rec.Value}
	switch {
	case !p.Voided.IsZero():
		p.Weak = p.VoidWhy
		return p, nil
	case p.Failed:
		p.Weak = VoidFailed
		return p, nil
	case p.Class == ClassReach || p.Class == ClassG:
		return d.weighMailbox(tx, c, p)
	case c.Account == "":
		p.Weak = VoidUnlinked
		return p, nil
	}
	if p.Class == ClassD {
		a, err := d.Book.Account(tx, c.Account)
		if err != nil {
			return p, err
		}
		if !a.Value.DomainProves(p.Domain, c.Began, c.Now) {
			p.Weak = VoidDomain
		}
		return p, nil
	}
	return d.weighTied(tx, c, p)
}

// weighMailbox looks whether an address that she typed is a mailbox at a domain of the account, which makes more of it than a way to reach her.
func (d *Desk) weighMailbox(tx *store.Tx, c Case, p Proof) (Proof, error) {
	_, domain, isMail := strings.Cut(p.Address, "@")
	if p.Class != ClassReach || c.Account == "" || p.Channel != contacts.Email || !isMail {
		return p, nil
	}
	a, err := d.Book.Account(tx, c.Account)
	if err != nil {
		return p, err
	}
	domain = strings.ToLower(domain)
	if a.Value.DomainProves(domain, c.Began, c.Now) && !contacts.MailForAnyone(domain) {
		p.Class = ClassAlike
	}
	return p, nil
}

// weighTied weighs what is tied to an account, and mostly to a contact of it.
func (d *Desk) weighTied(tx *store.Tx, c Case, p Proof) (Proof, error) {
	a, err := d.Book.Account(tx, p.Account) // it may have been merged since
	if fault.Of(err) == fault.NotFound || err == nil && a.ID != c.Account {
		p.Weak = VoidElse
		return p, nil
	}
	if err != nil || p.Contact == "" {
		return p, err
	}
	who, err := d.Book.Contact(tx, p.Contact)
	if fault.Of(err) == fault.NotFound || err == nil && who.Value.Account != c.Account {
		p.Weak = VoidPerson
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.Contact, p.Speaks = who.ID, who.Value.Approved()
	p.Stale = c.Now.Sub(who.Value.ConfirmedAt) > d.Book.Policy.StaleAfter.Approved
	if p.Class == ClassF {
		return d.weighVouch(tx, c, p)
	}
	if p.Address == "" {
		return p, nil
	}
	at, has := who.Value.Address(p.Channel, p.Address)
	switch proves, _ := at.Proves(c.Began, p.At); {
	case !has || !at.FirstSeen.Before(p.At):
		p.Weak = VoidGone
	case at.Bounced:
		p.Weak = VoidBounced
	case !proves:
		p.Weak = VoidNew
	case p.Class == ClassA && p.Stale:
		p.Class = ClassAlike
		if _, domain, _ := strings.Cut(p.Address, "@"); contacts.MailForAnyone(domain) {
			p.Weak = VoidAnyone
		}
	}
	return p, nil
}

// weighVouch drops a word whose giver's own evidence was voided since.
func (d *Desk) weighVouch(tx *store.Tx, _ Case, p Proof) (Proof, error) {
	all, err := evidenceOf(tx, p.Of)
	if err != nil {
		return p, err
	}
	for _, rec := range all {
		if !rec.Value.Voided.IsZero() && !rec.Value.At.After(p.At) && rec.Value.Voided.After(p.At) {
			p.Weak = VoidVoucher
		}
	}
	return p, nil
}

// lastHeard is when the person of a ticket last wrote.
func lastHeard(tx *store.Tx, id string) (at time.Time, err error) {
	for m, err := range messages.Scan(tx, store.Query{Index: "ticket", Equal: []any{id}, Reverse: true, Limit: 100}) {
		if err != nil {
			return at, err
		}
		if m.Value.From == "customer" && m.Value.Held == "" {
			return m.Value.At, nil
		}
	}
	return at, nil
}

// caseOf reads a case whole: whose it is, when its incident began and ended, and what was shown in it.
func (d *Desk) caseOf(tx *store.Tx, id string) (c Case, err error) {
	c = Case{ID: id, Now: tx.Now()}
	if tickets.CheckID(id) == nil {
		t, _, err := tickets.Get(tx, id)
		if err != nil {
			return c, err
		}
		c.Account, c.Began, c.StartedBy = t.Account, t.FiledAt, t.StartedBy
		if t.State == Closed {
			c.Over = t.ChangedAt
		}
		if c.Seen, err = lastHeard(tx, id); err != nil {
			return c, err
		}
		if err := d.incidentTimes(tx, t.Incident, &c); err != nil {
			return c, err
		}
	} else {
		q, _, err := questions.Get(tx, id)
		if err != nil {
			return c, err
		}
		c.Account, c.Began, c.Own = q.Account, q.At, true
		if err := d.newestIncident(tx, &c); err != nil {
			return c, err
		}
	}
	if c.Account != "" {
		a, err := d.Book.Account(tx, c.Account)
		if fault.Of(err) == fault.NotFound {
			c.Account = ""
		} else if err != nil {
			return c, err
		} else {
			c.Account = a.ID
		}
	}
	all, err := evidenceOf(tx, id)
	if err != nil {
		return c, err
	}
	for _, rec := range all {
		p, err := d.weigh(tx, c, rec)
		if err != nil {
			return c, err
		}
		c.Proofs = append(c.Proofs, p)
	}
	return c, nil
}

// incidentTimes is when what the case is about began and ended; a ticket of no incident begins with itself.
func (d *Desk) incidentTimes(tx *store.Tx, id string, c *Case) error {
	if id == "" {
		return nil
	}
	in, err := d.Comms.IncidentIn(tx, id)
	if err != nil {
		return err
	}
	began := in.Value.DeclaredAt
	if at := in.Value.DetectedAt; !at.IsZero() && at.Before(began) {
		began = at
	}
	if began.Before(c.Began) {
		c.Began = began
	}
	if at := in.Value.ResolvedAt; at != nil && c.Over.IsZero() {
		c.Over = *at
	}
	return nil
}

// newestIncident lets the case of somebody's own page begin with the oldest incident that is going on.
func (d *Desk) newestIncident(tx *store.Tx, c *Case) error {
	open, err := d.Comms.OpenIncidents(tx)
	for _, in := range open {
		err = cmp.Or(err, d.incidentTimes(tx, in.ID, c))
	}
	return err
}

// boundTo is the digest of the evidence that a second member of staff agrees to.
func boundTo(all []Proof) string {
	var ids []string
	for _, p := range all {
		ids = append(ids, p.ID)
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}
