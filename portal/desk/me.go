package desk

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// Own is what is held about a contact, as she may see it herself, having shown that an address on file is hers. Opened from her ticket it stands as high as
// she stood there: nobody matches a page that was opened by a code alone.
type Own struct {
	Case     string
	Standing Standing // no higher than what was shown when the page was opened
	Contact  store.Rec[contacts.Contact]
	Account  store.Rec[contacts.Account]
	Sites    []contacts.Site // that she was named with
	Company  Company
	Ticket   Ticket // from which it was opened; without a Number: from none
	Token    string // of this visit, as it is carried on
}

const ownPurpose = "own page"

// ownVisit is what a token of an own page holds.
type ownVisit struct {
	of          string // the case
	began, seen time.Time
	level       Level
	mark        string // of the ticket's secret, so that a new one ends it
}

// BeginOwn begins a visit of somebody's own page, by the code or link that she gave back.
func (d *Desk) BeginOwn(g Given) (token string) {
	return d.ownToken(ownVisit{of: g.Case, began: d.DB.Now(), seen: d.DB.Now(), level: L4})
}

// BeginOwnFrom begins one from her ticket, when it is known which contact she is. It ends no later than her visit there.
func (d *Desk) BeginOwnFrom(v View, visit Visit) (token string, err error) {
	if err := visit.May(SeeOwnRecord); err != nil {
		return "", err
	}
	return d.ownToken(ownVisit{v.ID, visit.Began, visit.Seen, visit.Level, secretMark(v.Ticket)}), nil
}

func (d *Desk) ownToken(o ownVisit) string {
	return d.Signing.sign(ownPurpose, strings.Join([]string{o.of, stamp(o.began), stamp(o.seen), strconv.Itoa(int(o.level)), o.mark}, "."))
}

// secretMark tells one secret of a ticket from the next, and says nothing of either.
func secretMark(t Ticket) string {
	sum := sha256.Sum256(append([]byte("own page of "), t.Secret...))
	return hex.EncodeToString(sum[:8])
}

func parseOwnVisit(subject string) (o ownVisit, ok bool) {
	parts := strings.Split(subject, ".")
	if len(parts) != 5 {
		return o, false
	}
	began, ok := parseStamp(parts[1])
	seen, also := parseStamp(parts[2])
	level, err := strconv.Atoi(parts[3])
	return ownVisit{parts[0], began, seen, Level(level), parts[4]}, ok && also && err == nil
}

func errOwnOver() error { return fault.New(fault.NotFound, "this page is closed; ask for a new code") }

// Own reads somebody's own page for a visit. It is NotFound when the visit is over or nobody is left whom the page is about.
func (d *Desk) Own(ctx context.Context, token string) (own Own, err error) {
	subject, ok := d.Signing.read(ownPurpose, token)
	o, form := parseOwnVisit(subject)
	if !ok || !form {
		return own, errOwnOver()
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		own = Own{Case: o.of}
		if !tx.Now().Before(o.began.Add(d.Policy.VisitFor)) || !tx.Now().Before(o.seen.Add(d.Policy.VisitIdle)) {
			return errOwnOver()
		}
		o.seen = tx.Now()
		own.Token = d.ownToken(o)
		return d.readOwn(tx, o, &own)
	})
	if err != nil {
		return own, err
	}
	own.Company, err = d.Company(ctx, own.Standing)
	return own, err
}

func (d *Desk) readOwn(tx *store.Tx, o ownVisit, own *Own) (err error) {
	if tickets.CheckID(o.of) == nil {
		t, _, err := tickets.Get(tx, o.of)
		if fault.Of(err) == fault.NotFound || err == nil && secretMark(t) != o.mark {
			return errOwnOver()
		}
		if err != nil {
			return err
		}
		own.Ticket = t
	}
	own.Standing, err = d.standing(tx, o.of)
	if err == nil {
		own.Standing.Level = min(own.Standing.Level, o.level)
		err = own.Standing.may(SeeOwnRecord, "")
	}
	if kind := fault.Of(err); kind == fault.Forbidden || kind == fault.NotFound || err == nil && own.Standing.Contact == "" {
		return errOwnOver()
	}
	if err != nil {
		return err
	}
	if own.Contact, err = d.Book.Contact(tx, own.Standing.Contact); err != nil {
		return err
	}
	if own.Account, err = d.Book.Account(tx, own.Standing.Account); err != nil {
		return err
	}
	for _, id := range own.Contact.Value.Sites {
		site, err := d.Book.Site(tx, id)
		if fault.Of(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		own.Sites = append(own.Sites, site.Value)
	}
	return nil
}

// May is nil when she may do something on her own page.
func (o Own) May(what Deed) error { return o.Standing.may(what, "") }

// from says whether the ticket was filed from an address of the contact.
func (t Ticket) from(c contacts.Contact) bool {
	has := func(channel, value string) bool {
		_, found := c.Address(channel, value)
		return value != "" && found
	}
	return has(contacts.Email, t.Email) || has(contacts.SMS, t.Phone)
}

// Showed are the addresses that she has shown to be hers for this page.
func (o Own) Showed() (all []Proof) {
	for _, p := range o.Standing.Proofs {
		if p.Weak == "" && p.Contact == o.Contact.ID && p.Address != "" {
			all = append(all, p)
		}
	}
	return all
}

// ConfirmOwn notes that what is held about her is right: the addresses that she has shown count as confirmed today.
func (d *Desk) ConfirmOwn(ctx context.Context, own Own) error {
	return d.DB.Update(ctx, store.Act{By: "public:own", Verb: "contact.confirm"}, func(tx *store.Tx) error {
		for _, p := range own.Showed() {
			if err := d.Book.Confirmed(tx, own.Contact.ID, p.Channel, p.Address, tx.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Wish is what somebody asks of her own record.
type Wish string

// The wishes. Neither is done by asking: a person looks at it, and what it comes to is a change that others agree to.
const (
	WishChange Wish = "change"
	WishErase  Wish = "erase"
)

// taskOfWish is the sort of the task that a wish is.
func taskOfWish(w Wish) string { return "contact." + string(w) }

// WishDetail is the detail of a task of a wish.
type WishDetail struct {
	Contact string `json:"contact_id"`
	Ticket  string `json:"ticket"` // number, where her words are
}

// AskOwn files a ticket with what she asks of her own record, and makes it a task for staff, in one transaction. It goes the way of every change: the ticket is how she is
// told, and what she is asked.
func (d *Desk) AskOwn(ctx context.Context, own Own, w Wish, words, locale string) (Receipt, error) {
	if w != WishChange && w != WishErase {
		return Receipt{}, fault.BadField("wish", "must be change or erase")
	}
	if text(words) == "" && w == WishChange {
		return Receipt{}, fault.BadField("words", "is missing: say what should be different")
	}
	if err := own.May(ProposeChange); err != nil {
		return Receipt{}, err
	}
	in := Intake{Message: text(d.Comms.Words.Catalog(locale).T("own.wish."+string(w)) + "\n\n" + words), Name: own.Contact.Value.Name, Company: own.Account.Value.Name,
		Email: own.Ticket.Email, Phone: own.Ticket.Phone, Impact: Question, Locale: locale, Route: "web", private: true}
	for _, p := range own.Showed() {
		if p.Channel == contacts.Email {
			in.Email = p.Address
		} else {
			in.Phone = p.Address
		}
	}
	in.also = func(tx *store.Tx, number string) error {
		detail, err := json.Marshal(WishDetail{Contact: own.Contact.ID, Ticket: number})
		if err != nil {
			return err
		}
		tx.On(own.Contact.ID)
		_, err = d.Comms.Owe(tx, comms.Task{What: taskOfWish(w), Of: own.Contact.ID, Account: own.Account.ID, Title: "a contact asks for her record to be changed or erased: ticket " + number, Detail: detail})
		return err
	}
	return d.File(ctx, "public:own", in)
}

// Held is one thing that is held about somebody, and where it came from.
type Held struct {
	What      string    `json:"what"`  // name, email, phone, locale, time_zone, role, site; of an update: opened, acknowledged
	Value     string    `json:"value"` // of an update its headline, or its id when it is not for everybody
	Source    string    `json:"source"`
	How       string    `json:"how"`
	Since     time.Time `json:"since,omitzero"`
	Confirmed time.Time `json:"confirmed_at,omitzero"`
	State     string    `json:"state,omitempty"` // bounced, opted_out; of a role: as it stands
}

// Held lists all that is held about whoever has her own page open: her record, and which updates she opened by her link or said to have read.
func (d *Desk) Held(ctx context.Context, o Own) (all []Held, err error) {
	all = o.record()
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		read, err := d.Comms.ReadBy(tx, o.Contact)
		for _, was := range read {
			value := cmp.Or(was.Headline, was.Update)
			all = append(all, Held{What: "opened", Value: value, Since: was.Opened})
			if !was.Acknowledged.IsZero() {
				all = append(all, Held{What: "acknowledged", Value: value, Since: was.Acknowledged})
			}
		}
		return err
	})
	return all, err
}

// record lists what her record holds. Addresses are masked but for those that she has shown: who reads a phone that was left on a table learns no other way to reach her.
func (o Own) record() (all []Held) {
	c := o.Contact.Value
	single := func(what, value string) {
		if value != "" {
			at := c.Origins[what]
			if at.Source == "" && len(c.Sources) > 0 {
				at = contacts.Origin{Source: c.Sources[0].Source, Seen: c.Sources[0].FirstSeen}
			}
			all = append(all, Held{What: what, Value: value, Source: at.Source, How: at.How.String(), Since: at.Seen, Confirmed: at.ConfirmedAt})
		}
	}
	single("name", c.Name)
	for channel, list := range map[string][]contacts.Address{contacts.Email: c.Emails, contacts.SMS: c.Phones} {
		for _, a := range list {
			all = append(all, o.heldAddress(channel, a))
		}
	}
	single("locale", c.Locale)
	single("time_zone", c.TimeZone)
	for _, role := range c.Roles {
		all = append(all, Held{What: "role", Value: role, Source: c.OriginOf("role", role).Source, How: c.OriginOf("role", role).How.String(), Since: c.OriginOf("role", role).Seen})
	}
	for _, s := range o.Sites {
		all = append(all, Held{What: "site", Value: cmp.Or(s.Name, s.URL)})
	}
	slices.SortStableFunc(all, func(a, b Held) int { return slices.Index(heldOrder, a.What) - slices.Index(heldOrder, b.What) })
	return all
}

var heldOrder = []string{"name", "email", "phone", "locale", "time_zone", "role", "site"}

func (o Own) heldAddress(channel string, a contacts.Address) Held {
	what := map[string]string{contacts.Email: "email", contacts.SMS: "phone"}[channel]
	h := Held{What: what, Value: contacts.Mask(channel, a.Value), Source: a.Source, How: a.How.String(), Since: a.FirstSeen, Confirmed: a.ConfirmedAt}
	for _, p := range o.Showed() {
		if p.Channel == channel && sameAddress(channel, p.Address, a.Value) {
			h.Value = a.Value
		}
	}
	switch {
	case a.OptedOut:
		h.State = "opted_out"
	case a.Bounced:
		h.State = "bounced"
	}
	return h
}

// Retention is how long what was deleted is kept before it is removed for good: a contact's record, and a ticket.
func (d *Desk) Retention() (contact, ticket time.Duration) {
	for _, k := range d.DB.Declared() {
		if k.Name == "contact" {
			contact = k.Keep
		}
	}
	return contact, tickets.Keep
}
