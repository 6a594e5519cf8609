package desk

import (
	"context"
	"slices"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// What reaches staff outside the forms is written down by them as a ticket with its route, and what somebody must answer for besides as a task that
// hangs on it: so a word on the phone, a mail to an executive and a post are found, counted and answered where everything else is.

// The routes by which staff write down what reached them.
const (
	RoutePhone     = "phone"
	RouteEmail     = "email"
	RouteExecutive = "executive"
	RouteLinkedIn  = "linkedin"
	RouteSocial    = "social"
	RoutePartner   = "partner"
	RouteTicket    = "ticket" // it is in a ticket already
	routeSignal    = "signal" // said in public, and to nobody: see Signal
)

var routes = []string{RoutePhone, RouteEmail, RouteExecutive, RouteLinkedIn, RouteSocial, RoutePartner, RouteTicket}

// EscalationRoutes are the routes of an escalation, in the order in which a form offers them.
func EscalationRoutes() []string { return slices.Clone(routes) }

// Heard is what reached a member of staff. Words and Route are enough: who posts in public often leaves no address.
type Heard struct {
	Route    string     `json:"route"`
	Words    string     `json:"words"`
	Ticket   string     `json:"ticket,omitempty"` // number, of route "ticket"
	Name     string     `json:"name,omitempty"`
	Email    string     `json:"email,omitempty"`
	Phone    string     `json:"phone,omitempty"`
	Company  string     `json:"company,omitempty"`
	Account  string     `json:"account_id,omitempty"` // any id, when the member of staff knows it
	Impact   string     `json:"impact,omitempty"`
	Locale   string     `json:"locale,omitempty"`
	Incident string     `json:"incident_id,omitempty"` // "": as for any ticket
	Owner    string     `json:"owner,omitempty"`       // of the escalation; "": nobody yet
	Due      *time.Time `json:"due,omitempty"`         // of the escalation; nil: the policy's task_due
}

// Logged is what became of it.
type Logged struct {
	Ticket string `json:"ticket"` // number
	ID     string `json:"ticket_id"`
	Phrase string `json:"phrase"` // to be said to who is on the line
	Task   string `json:"task_id,omitempty"`
}

func (h Heard) bad(country string, now time.Time) (Heard, error) {
	var f []fault.Field
	say := func(field, code, reason string) {
		f = append(f, fault.Field{Field: field, Code: code, Reason: reason})
	}
	if !slices.Contains(routes, h.Route) {
		say("route", "invalid", "must be one of "+strings.Join(routes, ", "))
	}
	if h.Words = text(h.Words); h.Words == "" {
		say("words", "missing", "is missing: what was said, in a few words")
	} else if len(h.Words) > maxMessage {
		say("words", "too_long", "is longer than 64 KiB")
	}
	for _, s := range []struct {
		name string
		at   *string
	}{{"name", &h.Name}, {"company", &h.Company}, {"email", &h.Email}, {"phone", &h.Phone}, {"impact", &h.Impact}, {"owner", &h.Owner}, {"account_id", &h.Account}} {
		if *s.at = line(*s.at); len(*s.at) > maxLine {
			say(s.name, "too_long", "is longer than 500 bytes")
		}
	}
	var err error
	if h.Email != "" {
		if h.Email, err = contacts.ParseEmail(h.Email); err != nil {
			say("email", "malformed", "is not an e-mail address")
		}
	}
	if h.Phone != "" {
		if h.Phone, err = contacts.ParsePhone(h.Phone, country); err != nil {
			say("phone", "malformed", "is not a phone number; begin with + and the country code")
		}
	}
	switch {
	case h.Route == RouteTicket && h.Ticket == "":
		say("ticket", "missing", "is missing: the number of the ticket that it is in")
	case h.Route != RouteTicket && h.Ticket != "":
		say("ticket", "invalid", "belongs to the route ticket only")
	}
	if h.Due != nil && !h.Due.After(now) {
		say("due", "invalid", "lies behind")
	}
	if len(f) > 0 {
		return h, fault.BadFields(f...)
	}
	return h, nil
}

// WriteDown writes down what reached a member of staff, as a ticket that waits where one filed by its writer would.
func (d *Desk) WriteDown(ctx context.Context, by string, h Heard) (Logged, error) {
	return d.writeDown(ctx, store.Act{By: by, Verb: "ticket.log"}, h, false)
}

// Escalate does the same and makes somebody answer for it: a task that hangs on the ticket, with its route.
func (d *Desk) Escalate(ctx context.Context, by string, h Heard) (Logged, error) {
	return d.writeDown(ctx, store.Act{By: by, Verb: "escalation.log"}, h, true)
}

func (d *Desk) writeDown(ctx context.Context, act store.Act, h Heard, owed bool) (out Logged, err error) {
	h, err = h.bad(d.Book.Policy.PhoneCountry, d.DB.Now())
	if err == nil && !owed && h.Route == RouteTicket {
		err = fault.BadField("route", "is in a ticket already: escalate that one")
	}
	if err != nil {
		return Logged{}, err
	}
	number, phrase := secret.Number(), secret.Phrase()
	err = d.DB.Update(ctx, act, func(tx *store.Tx) error {
		rec, err := d.heard(tx, act.By, h, number, phrase)
		if err != nil {
			return err
		}
		out = Logged{Ticket: rec.Value.Number, ID: rec.ID, Phrase: rec.Value.Phrase}
		if !owed {
			return nil
		}
		t := escalationOf(rec, h.Route)
		t.Owner = h.Owner
		if h.Due != nil {
			t.Due = h.Due.UTC()
		}
		out.Task, err = d.Comms.Owe(tx, t)
		return err
	})
	return out, err
}

// escalationOf is the task that an escalation of a ticket is.
func escalationOf(rec store.Rec[Ticket], route string) comms.Task {
	return comms.Task{What: comms.Escalation + "." + route, Of: rec.ID, Account: rec.Value.Account, Incident: rec.Value.Incident,
		Title: "Escalation (" + route + "), ticket " + rec.Value.Number}
}

// heard is the ticket of what was said: a new one, or the one that it is in, to which the words are added for staff.
func (d *Desk) heard(tx *store.Tx, by string, h Heard, number, phrase string) (store.Rec[Ticket], error) {
	if h.Route == RouteTicket {
		rec, err := byNumber(tx, secret.NormalNumber(h.Ticket))
		if err == nil {
			_, err = d.say(tx, by, rec.ID, Message{From: "staff", By: by, Text: h.Words, Internal: true})
		}
		return rec, err
	}
	going, err := d.openIncidents(tx)
	if err != nil {
		return store.Rec[Ticket]{}, err
	}
	incident, priority := triage(h.Impact, going)
	of := among(going, incident)
	if h.Incident != "" {
		in, err := d.Comms.IncidentIn(tx, h.Incident)
		if err != nil {
			return store.Rec[Ticket]{}, err
		}
		of = openOf(in)
	}
	_, hash := secret.New() // nobody reads a secret out on the phone; a code to an address of hers opens it
	t := Ticket{Number: number, Secret: hash, Phrase: phrase, StartedBy: by, Name: h.Name, Email: h.Email, Phone: h.Phone, Company: h.Company, Impact: h.Impact,
		Locale: d.Comms.Words.Match(h.Locale), Route: h.Route, Priority: priority, State: New, FiledAt: tx.Now(), ChangedAt: tx.Now()}
	t = d.Policy.enters(t, of)
	if h.Account != "" {
		a, err := d.Book.Account(tx, h.Account)
		if err != nil {
			return store.Rec[Ticket]{}, err
		}
		t.Account, t.Tier = a.ID, a.Value.Tier
	}
	return d.begin(tx, t, Message{From: "customer", By: by, Text: h.Words, Via: h.Route})
}

// begin writes a ticket that staff opened, with its first words and the promise of a first answer.
func (d *Desk) begin(tx *store.Tx, t Ticket, m Message) (store.Rec[Ticket], error) {
	t = d.Policy.filed(t, tx.Now())
	id := tickets.NewID()
	tx.On(id)
	if err := tickets.Put(tx, id, t, 0); err != nil {
		return store.Rec[Ticket]{}, err
	}
	m.Ticket, m.At = id, tx.Now()
	if err := messages.Put(tx, messages.NewID(), m, 0); err != nil {
		return store.Rec[Ticket]{}, err
	}
	if err := d.Comms.Promise(tx, firstPromise(id, t)); err != nil {
		return store.Rec[Ticket]{}, err
	}
	if t.Account != "" {
		if err := d.arrangeOpen(tx, t.Account); err != nil {
			return store.Rec[Ticket]{}, err
		}
	}
	now, m2, err := tickets.Get(tx, id)
	return store.Rec[Ticket]{Meta: m2, Value: now}, err
}

// Signal is something that was said in public about trouble, and to nobody in particular: a post, an article. It is counted, and answered by none.
type Signal struct {
	Words string `json:"words"`
	Link  string `json:"link,omitempty"` // where it was said
}

// LogSignal writes down a signal. It is a ticket that was closed from the start, so nobody waits in it, no clock runs, and no page shows it.
func (d *Desk) LogSignal(ctx context.Context, by string, s Signal) (number string, err error) {
	s.Words, s.Link = text(s.Words), line(s.Link)
	switch {
	case s.Words == "":
		return "", fault.BadField("words", "is missing")
	case len(s.Words) > maxMessage:
		return "", fault.BadField("words", "is longer than 64 KiB")
	case len(s.Link) > 4*maxLine:
		return "", fault.BadField("link", "is longer than 2000 bytes")
	}
	number = secret.Number()
	_, hash := secret.New()
	err = d.DB.Update(ctx, store.Act{By: by, Verb: "signal.log"}, func(tx *store.Tx) error {
		id := tickets.NewID()
		tx.On(id)
		t := Ticket{Number: number, Secret: hash, Phrase: secret.Phrase(), StartedBy: by, SiteURL: s.Link, Locale: d.Comms.Words.Match(""), Route: routeSignal,
			Priority: "P3", State: Closed, FiledAt: tx.Now(), ChangedAt: tx.Now()}
		if err := tickets.Put(tx, id, t, 0); err != nil {
			return err
		}
		return messages.Put(tx, messages.NewID(), Message{Ticket: id, From: "customer", By: by, Text: s.Words, Via: routeSignal, At: tx.Now()}, 0)
	})
	return number, err
}

// Signals counts the signals that were logged in a span of time.
func (d *Desk) Signals(ctx context.Context, from, to time.Time) (n int, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		q := store.Query{Index: "route", Equal: []any{routeSignal}}
		if !from.IsZero() {
			q.From = from
		}
		if !to.IsZero() {
			q.To = to
		}
		n, err = tickets.Count(tx, q)
		return err
	})
	return n, err
}

// Escalations lists escalations in a state, the one due first in front.
func (d *Desk) Escalations(ctx context.Context, state, after string, most int) (page []store.Rec[comms.Task], next string, err error) {
	return d.family(ctx, comms.Escalation, state, after, most)
}

func (d *Desk) family(ctx context.Context, family, state, after string, most int) (page []store.Rec[comms.Task], next string, err error) {
	switch state {
	case "":
		state = comms.Open
	case comms.Open, comms.TaskDone, comms.TaskDropped:
	default:
		return nil, "", fault.BadField("state", "must be one of open, done, dropped")
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		page, next, err = d.Comms.Family(tx, family, state, after, most)
		return err
	})
	return page, next, err
}
