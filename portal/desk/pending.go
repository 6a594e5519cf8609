package desk

import (
	"context"
	"slices"
	"strings"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// Pending is a change that was asked for in a customer's name and was not carried out yet, as those who may speak for her see it.
type Pending struct {
	ID     string
	Digest string // what an agreement names
	Do     string // add, drop, recovery
	Who    string // the contact's name; "": it is the account's domain
	Value  string // the address, masked, or the domain
	From   time.Time
	Agreed bool // two stand behind it, and it waits for its day
	Mine   bool // whoever asks here cannot agree
	Agree  bool // her word is what it waits for
}

// mostPending bounds how many changes are looked through: they end by themselves within days.
const mostPending = 500

// PendingFor lists them for somebody who may speak for the customer.
func (d *Desk) PendingFor(ctx context.Context, own Own) (all []Pending, err error) {
	if own.May(SeeShared) != nil {
		return nil, nil
	}
	for _, state := range []contacts.ChangeState{contacts.ChangeProposed, contacts.ChangeApproved} {
		found, err := d.amendments(ctx, state)
		if err != nil {
			return nil, err
		}
		err = d.DB.View(ctx, func(tx *store.Tx) error {
			for _, rec := range found {
				p, of, err := d.pending(tx, rec, own)
				if kind := fault.Of(err); kind == fault.NotFound || kind == fault.Forbidden || err == nil && of != own.Account.ID {
					continue
				}
				if err != nil {
					return err
				}
				all = append(all, p)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// amendments are the changes in a state that customers asked for.
func (d *Desk) amendments(ctx context.Context, state contacts.ChangeState) (all []store.Rec[contacts.Change], err error) {
	page, _, err := d.Book.Changes.List(ctx, state, store.Query{Limit: mostPending})
	for _, rec := range page {
		if rec.Value.Verb == VerbAmend {
			all = append(all, rec)
		}
	}
	return all, err
}

// pending reads one, and the account that it is about.
func (d *Desk) pending(tx *store.Tx, rec store.Rec[contacts.Change], own Own) (p Pending, account string, err error) {
	in, err := readAmendment(rec.Value.Input)
	if err != nil {
		return p, "", err
	}
	asked, err := d.askedFor(tx, in)
	if err != nil {
		return p, "", err
	}
	p = Pending{ID: rec.ID, Digest: rec.Value.Digest, Do: "recovery", From: asked.Value.At.Add(d.Policy.Identity.Cooling), Agreed: rec.Value.State == contacts.ChangeApproved}
	p.Mine = in.Case == own.Case || asked.Value.Contact == own.Contact.ID
	p.Agree = !p.Agreed && !p.Mine && strings.HasPrefix(rec.Value.Author, byCase)
	contact := in.Recovery
	if a := in.Amend; a != nil {
		p.Do, p.Value, contact = "add", a.Value, a.Contact
		if a.Channel != "" {
			p.Value = contacts.Mask(a.Channel, a.Value)
		}
		if a.Drop {
			p.Do = "drop"
		}
	}
	if contact != "" {
		who, err := d.Book.Contact(tx, contact)
		if err != nil {
			return p, "", err
		}
		p.Who = who.Value.Name
	}
	of, err := d.Book.Account(tx, asked.Value.Account)
	return p, of.ID, err
}

// mayChange is nil when a change may be asked for and agreed to from her page: she showed within minutes, in this visit, that she may speak for the customer.
func (d *Desk) mayChange(own Own) error {
	if !own.Standing.Fresh(d.DB.Now(), d.Policy.Identity) || own.Ticket.Number == "" {
		return errShowMore
	}
	return nil
}

// MayChange says whether it may.
func (d *Desk) MayChange(own Own) bool { return d.mayChange(own) == nil }

// askedOnPage is the reason of a change that nobody wrote one for.
const askedOnPage = "a contact asked for it on her own page"

// AskChange asks for a change from her own page: see [Desk.AskAmend].
func (d *Desk) AskChange(ctx context.Context, own Own, in Amendment) error {
	if err := d.mayChange(own); err != nil {
		return err
	}
	_, err := d.AskAmend(ctx, Who{Case: own.Case, Account: own.Account.ID}, in, askedOnPage)
	return err
}

// AgreeChange is her word for a change that somebody else of the customer's asked for: see [Desk.AgreeAmend].
func (d *Desk) AgreeChange(ctx context.Context, own Own, id, digest string) error {
	if err := d.mayChange(own); err != nil {
		return err
	}
	_, err := d.AgreeAmend(ctx, Who{Case: own.Case, Account: own.Account.ID}, id, digest)
	return err
}

// RefuseChange ends a change of her company's before it is carried out: anybody who may speak for the customer can say no.
func (d *Desk) RefuseChange(ctx context.Context, own Own, id string) error {
	all, err := d.PendingFor(ctx, own)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(p Pending) bool { return p.ID == id }) {
		return fault.New(fault.NotFound, "there is nothing here that this page leads to")
	}
	_, err = d.Book.Changes.Refuse(ctx, byCase+own.Case, id, "a contact said no on her own page")
	return err
}

// CarryAmendments carries out what two people of a customer's agreed to, once everybody on file had their day to say no. What staff proposed they run themselves.
func (d *Desk) CarryAmendments(ctx context.Context) error {
	if d.Book.Changes == nil {
		return nil
	}
	all, err := d.amendments(ctx, contacts.ChangeApproved)
	for _, rec := range all {
		if !strings.HasPrefix(rec.Value.Author, byCase) {
			continue
		}
		var ready bool
		err := d.DB.View(ctx, func(tx *store.Tx) error {
			given, _, err := store.ApprovalsGiven(tx, rec.ID, rec.Value.Digest)
			ready = err == nil && d.readyAmend(tx, rec, given) == nil
			return err
		})
		if err == nil && ready {
			_, err = d.Book.Changes.Run(ctx, bySystem, rec.ID)
		}
		if err != nil && fault.Of(err) != fault.Conflict { // a change that is void by now says so in the list of changes
			return err
		}
	}
	return err
}
