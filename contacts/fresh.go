package contacts

import (
	"iter"
	"time"

	"lifeline/store"
)

// Freshness is how much the book knows of whether a contact can still be reached.
type Freshness string

// The degrees, best first. Each contact has one.
const (
	Fresh       Freshness = "fresh"       // confirmed within the policy's time
	StaleNow    Freshness = "stale"       // confirmed, but too long ago
	NeverHeard  Freshness = "never"       // never confirmed
	Unreachable Freshness = "unreachable" // no address of hers works, or she wants no messages
)

// Freshnesses are all degrees, best first.
func Freshnesses() []Freshness { return []Freshness{Fresh, StaleNow, NeverHeard, Unreachable} }

// FreshnessOf is a contact's degree at a time.
func (p Policy) FreshnessOf(c Contact, now time.Time) Freshness {
	_, mail := Reach(c, Email)
	_, text := Reach(c, SMS)
	switch {
	case mail != "" && text != "":
		return Unreachable
	case c.ConfirmedAt.IsZero():
		return NeverHeard
	case p.Stale(c, now):
		return StaleNow
	}
	return Fresh
}

// AllContacts walks every contact, in the order of their ids.
func (b *Book) AllContacts(tx *store.Tx) iter.Seq2[store.Rec[Contact], error] {
	return people.Scan(tx, store.Query{})
}

// AllAccounts walks the ids of all accounts.
func (b *Book) AllAccounts(tx *store.Tx) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for m, err := range accounts.ScanMeta(tx, store.Query{}) {
			if !yield(m.ID, err) || err != nil {
				return
			}
		}
	}
}

// SitesByAccount counts the sites of each account.
func (b *Book) SitesByAccount(tx *store.Tx) (map[string]int, error) {
	n := map[string]int{}
	for rec, err := range sites.Scan(tx, store.Query{}) {
		if err != nil {
			return nil, err
		}
		n[rec.Value.Account]++
	}
	return n, nil
}
