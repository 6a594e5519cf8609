package desk

import (
	"cmp"
	"context"
	"slices"
	"time"

	"lifeline/comms"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// Company is what somebody may know of what is going on for the customer whom she stands for. How much that is the table of the ladder says: nothing, her
// own tickets and how many sites stand where, or all that her colleagues have written and each site.
type Company struct {
	Sites   Sites
	Tickets []store.Rec[Ticket] // the newest in front
	Owed    []Owed
	People  []Person // who may be named; none before she may speak for the customer
}

// Owed is something that the customer was promised by name of a ticket. What staff call it stays theirs.
type Owed struct {
	What   string // call, escalation, restore_point
	Ticket string // number
	Due    time.Time
}

// Person is a contact as her colleagues may see her.
type Person struct{ ID, Name string }

const (
	mostCompanyTickets = 50
	companyLooked      = 1000 // tickets of the account that are looked through for hers
)

// shared says whether a ticket of the account is for all who may speak for it: what somebody asks of her own record is hers.
func (t Ticket) shared() bool { return t.Into == "" && !t.Private }

// Company reads it for a standing, which is that of a visit and so no higher than what was shown in it.
func (d *Desk) Company(ctx context.Context, s Standing) (c Company, err error) {
	if s.may(SeeStage, "") != nil {
		return c, nil
	}
	known, err := d.Comms.Customer(ctx, s.Account)
	if err != nil {
		return c, err
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		c = Company{}
		if c.Sites, err = d.sitesIn(tx, s, known.Places); err != nil {
			return err
		}
		if c.Tickets, err = d.ticketsFor(tx, s); err != nil || s.may(SeeShared, "") != nil {
			return err
		}
		if c.Owed, err = owedFor(tx, known.Tasks); err != nil {
			return err
		}
		for who, err := range d.Book.ContactsOf(tx, s.Account) {
			if err != nil {
				return err
			}
			c.People = append(c.People, Person{who.ID, who.Value.Name})
		}
		return nil
	})
	return c, err
}

// sitesIn is what may be known of the sites.
func (d *Desk) sitesIn(tx *store.Tx, s Standing, all []comms.Place) (out Sites, err error) {
	var places []comms.Place
	out.Stages, places = staged(all)
	if s.may(SeeSites, "") != nil {
		return out, nil
	}
	for _, p := range places {
		site, err := d.Book.Site(tx, p.Site)
		if fault.Of(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return out, err
		}
		out.Each = append(out.Each, SiteStage{cmp.Or(site.Value.Name, site.Value.URL, p.Site), stageOf(p.State)})
	}
	return out, nil
}

// ticketsFor are the account's tickets that she may know of: those from an address of hers, or all that are shared.
func (d *Desk) ticketsFor(tx *store.Tx, s Standing) (all []store.Rec[Ticket], err error) {
	every := s.may(SeeShared, "") == nil
	if s.may(SeeOwnTickets, "") != nil || !every && s.Contact == "" {
		return nil, nil
	}
	her := func(Ticket) bool { return false }
	if s.Contact != "" {
		who, err := d.Book.Contact(tx, s.Contact)
		if err != nil {
			return nil, err
		}
		her = func(t Ticket) bool { return t.from(who.Value) }
	}
	for rec, err := range tickets.Scan(tx, store.Query{Index: "account", Equal: []any{s.Account}, Reverse: true, Limit: companyLooked}) {
		if err != nil {
			return nil, err
		}
		if t := rec.Value; her(t) || every && t.shared() {
			if all = append(all, rec); len(all) == mostCompanyTickets {
				break
			}
		}
	}
	return all, nil
}

// owedKinds are the families of tasks that a customer hears of.
var owedKinds = []string{comms.Call, comms.Escalation, RestorePoint}

func owedFor(tx *store.Tx, tasks []store.Rec[comms.Task]) (all []Owed, err error) {
	for _, rec := range tasks {
		family := familyOf(rec.Value)
		if !slices.Contains(owedKinds, family) {
			continue
		}
		t, _, err := tickets.Get(tx, rec.Value.Of)
		if fault.Of(err) == fault.NotFound || err == nil && !t.shared() {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, Owed{family, t.Number, rec.Value.Due})
	}
	return all, nil
}

// SharedTicket reads a ticket of her company for somebody who may speak for it, as its writer sees it. Whatever leads nowhere is answered alike: a ticket of
// another customer, one that hangs on none, and a number that does not exist.
func (d *Desk) SharedTicket(ctx context.Context, s Standing, number string) (v View, err error) {
	if err := s.may(SeeShared, ""); err != nil {
		return v, err
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		v, err = d.read(tx, secret.NormalNumber(number))
		if fault.Of(err) == fault.NotFound {
			return noTicket()
		}
		if err != nil {
			return err
		}
		of, err := d.Book.Account(tx, v.Ticket.Account)
		if err != nil || of.ID != s.Account || !v.Ticket.shared() {
			return noTicket()
		}
		where, err := d.Stages(tx, v.Ticket)
		v.Messages = inOrder(append(forCustomer(v.Messages), where...))
		return err
	})
	if err != nil {
		return View{}, err
	}
	return v, nil
}

func inOrder(all []Message) []Message {
	slices.SortStableFunc(all, func(a, b Message) int { return a.At.Compare(b.At) })
	return all
}
