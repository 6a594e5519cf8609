package desk

import (
	"context"
	"slices"
	"strings"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// Proposals are the accounts that a ticket may belong to, likeliest first, computed when staff look: nothing is kept, nothing is linked, and intake
// neither waits for it nor shows it.
func (d *Desk) Proposals(ctx context.Context, number string) (contacts.Matched, error) {
	v, err := d.Ticket(ctx, number)
	if err != nil {
		return contacts.Matched{}, err
	}
	return d.Book.Match(ctx, traces(v))
}

// traces are what the customer told, in the form and in words. What staff wrote is none: it would propose what they propose.
func traces(v View) contacts.Traces {
	t := v.Ticket
	var said strings.Builder
	for _, m := range v.Messages {
		if m.From == "customer" {
			said.WriteString(m.Text + "\n")
		}
	}
	return contacts.Traces{Name: t.Name, Company: t.Company, SiteURL: t.SiteURL, SiteName: t.SiteName, Domain: t.Domain, Email: t.Email,
		Phone: t.Phone, Invoice: t.Invoice, OldTicket: t.OldTicket, Text: said.String()}
}

// Link is a person's word that a ticket is an account's.
type Link struct {
	Ticket  string // number
	Account string // any id
	Site    string // any id of one of the account's sites; "": nobody said
	Reason  string // optional; kept in the audit log
	Version int64  // of the ticket that the person saw; 0: whatever stands
}

// Confirm hangs a ticket on an account, because a person says so. It says who the ticket is taken to be about and nothing of who wrote it: her
// identity level stays. A ticket that hangs on another account must be taken off first.
func (d *Desk) Confirm(ctx context.Context, by string, l Link) (View, error) {
	return d.relink(ctx, store.Act{By: by, Verb: "ticket.account.confirm", Reason: l.Reason}, l, func(tx *store.Tx, t *Ticket) error {
		a, err := d.Book.Account(tx, l.Account)
		if err != nil {
			return err
		}
		if t.Account != "" && t.Account != a.ID {
			return fault.New(fault.Conflict, "ticket %s hangs on another account; take it off that first", t.Number)
		}
		was := t.Account
		t.Account = a.ID
		if was == "" && a.Value.Tier != nil {
			*t = d.Policy.tiered(*t, *a.Value.Tier, tx.Now())
		}
		if l.Site == "" {
			return nil
		}
		site, err := d.Book.Site(tx, l.Site)
		switch {
		case err != nil:
			return err
		case site.Value.Account != a.ID:
			return fault.BadField("site_id", "is a site of another account")
		}
		t.Site = site.ID
		return nil
	})
}

// Unlink takes a ticket off its account.
func (d *Desk) Unlink(ctx context.Context, by string, l Link) (View, error) {
	return d.relink(ctx, store.Act{By: by, Verb: "ticket.account.unlink", Reason: l.Reason}, l, func(_ *store.Tx, t *Ticket) error {
		if t.Account == "" {
			return fault.New(fault.Conflict, "ticket %s hangs on no account", t.Number)
		}
		t.Account, t.Site, t.Twin = "", "", ""
		return nil
	})
}

const maxReason = 500 // bytes

func (d *Desk) relink(ctx context.Context, act store.Act, l Link, decide func(*store.Tx, *Ticket) error) (View, error) {
	act.Reason = line(act.Reason)
	if len(act.Reason) > maxReason {
		return View{}, fault.BadField("reason", "is longer than %d bytes", maxReason)
	}
	number := secret.NormalNumber(l.Ticket)
	err := d.DB.Update(ctx, act, func(tx *store.Tx) error {
		rec, err := byNumber(tx, number)
		if err == nil {
			err = unchanged(rec, l.Version)
		}
		if err != nil {
			return err
		}
		t, was := rec.Value, rec.Value.Account
		if err := decide(tx, &t); err != nil {
			return err
		}
		if err := d.seatAt(tx, rec, &t); err != nil {
			return err
		}
		tx.On(rec.ID)
		for _, id := range []string{was, t.Account} {
			if id != "" {
				tx.On(id)
				break
			}
		}
		if err := d.put(tx, act.By, rec, t); err != nil {
			return err
		}
		for _, id := range slices.Compact([]string{was, t.Account}) {
			if id == "" {
				continue
			}
			if err := d.arrangeOpen(tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return View{}, err
	}
	return d.Ticket(ctx, number)
}
