package desk

import (
	"context"
	"slices"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// Kept is what customers have for the day on which mail and phone are gone, by account; who has nothing is left out. All evidence is looked at.
func (d *Desk) Kept(ctx context.Context) (all map[string]contacts.Kept, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		all = map[string]contacts.Kept{}
		for rec, err := range questions.Scan(tx, store.Query{Index: "answer", Equal: []any{askRecovery}}) { // those that are used stand in it no more
			if err != nil {
				return err
			}
			who, err := d.Book.Contact(tx, rec.Value.Contact)
			if fault.Of(err) == fault.NotFound {
				continue // she left: her codes prove nothing
			}
			if err != nil {
				return err
			}
			k := all[who.Value.Account]
			k.Codes++
			all[who.Value.Account] = k
		}
		for rec, err := range evidence.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if rec.Value.Class != ClassD {
				continue
			}
			c, err := d.caseOf(tx, rec.Value.Case)
			if fault.Of(err) == fault.NotFound {
				continue
			}
			if err != nil {
				return err
			}
			if c.showsDomain() {
				k := all[c.Account]
				k.Domain = true
				all[c.Account] = k
			}
		}
		return nil
	})
	return all, err
}

// provedOn is how many of an account's newest tickets are looked at for a DNS record that still proves something: what was shown long ago has lapsed, and some
// accounts have thousands of tickets.
const provedOn = 50

// KeptBy is the same of one account (our id), by its contacts and its newest tickets.
func (d *Desk) KeptBy(ctx context.Context, account string) (k contacts.Kept, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		k = contacts.Kept{}
		for who, err := range d.Book.ContactsOf(tx, account) {
			if err != nil {
				return err
			}
			left, err := recoveryLeft(tx, who.ID)
			if err != nil {
				return err
			}
			k.Codes += len(left)
		}
		for t, err := range tickets.Scan(tx, store.Query{Index: "account", Equal: []any{account}, Reverse: true, Limit: provedOn}) {
			if err != nil || k.Domain {
				return err
			}
			all, err := evidenceOf(tx, t.ID)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(all, func(e store.Rec[Evidence]) bool { return e.Value.Class == ClassD }) {
				continue // as nearly all: reading the case whole would tell nothing
			}
			c, err := d.caseOf(tx, t.ID)
			if err != nil {
				return err
			}
			k.Domain = c.showsDomain()
		}
		return nil
	})
	return k, err
}

// showsDomain says whether a DNS record proves, as the book stands now, that a domain of the account is its own.
func (c Case) showsDomain() bool {
	return slices.ContainsFunc(c.Proofs, func(p Proof) bool { return p.Class == ClassD && p.counts() })
}
