package contacts

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
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

// SitesByAccount counts the sites of each account, in many short Views.
func (b *Book) SitesByAccount(ctx context.Context) (map[string]int, error) {
	n := map[string]int{}
	err := readAll(ctx, b, bareSites, func(rec store.Rec[bareSite]) error {
		n[rec.Value.Account]++
		return nil
	})
	return n, err
}

// Standbys is the standby of every account that has contacts, as of about now: the book is walked in many short Views, an account in one of them.
func (b *Book) Standbys(ctx context.Context) (map[string]Standby, error) {
	out := map[string]Standby{}
	for from, more := "", true; more; {
		err := b.DB.View(ctx, func(tx *store.Tx) error {
			more = false
			var account string
			var all []Contact
			n := 0
			for rec, err := range b.ContactsFrom(tx, from) {
				if err != nil {
					return err
				}
				if of := rec.Value.Account; of != account {
					if len(all) > 0 {
						out[account] = b.Policy.StandbyOf(all, tx.Now())
					}
					if n >= buildPage {
						from, more = of, true
						return nil
					}
					account, all = of, all[:0]
				}
				all = append(all, rec.Value)
				n++
			}
			if len(all) > 0 {
				out[account] = b.Policy.StandbyOf(all, tx.Now())
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read the contacts: %w", err)
		}
	}
	return out, nil
}

// StaleQuery asks for contacts who ought to be asked, or replaced, before an incident.
type StaleQuery struct {
	Why     Freshness // "": any degree but fresh
	Speaks  bool      // only those who may speak for a customer
	Account string    // our id; "": of all accounts
	After   string    // the next of a page before
	Limit   int       // contacts on a page
}

// Check names the first value that cannot be used.
func (q StaleQuery) Check() error {
	if q.Why != "" && (q.Why == Fresh || !slices.Contains(Freshnesses(), q.Why)) {
		return fault.BadField("why", "must be %s, %s or %s", StaleNow, NeverHeard, Unreachable)
	}
	return nil
}

// mostLooked bounds the contacts that one page of StaleContacts looks at, half a second of them.
const mostLooked = 20_000

// StaleContacts is a page of contacts, without their provenance, in the order of accounts; next is "" at the end. In a large book of which little is
// stale a page may hold fewer than its limit, or nobody, and yet have a next.
func (b *Book) StaleContacts(tx *store.Tx, q StaleQuery) (page []store.Rec[Contact], next string, err error) {
	if err := q.Check(); err != nil {
		return nil, "", err
	}
	walk := store.Query{Index: "account", After: q.After}
	if q.Account != "" {
		walk.Equal = []any{q.Account}
	}
	looked := 0
	for rec, err := range bares.Scan(tx, walk) {
		if err != nil {
			return nil, "", err
		}
		if len(page) == q.Limit || looked == mostLooked {
			return page, next, nil
		}
		looked++
		next = rec.Cursor()
		c := rec.Value.Contact
		why := b.Policy.FreshnessOf(c, tx.Now())
		if why == Fresh || q.Why != "" && why != q.Why || q.Speaks && !c.Approved() {
			continue
		}
		page = append(page, store.Rec[Contact]{Meta: rec.Meta, Value: c})
	}
	return page, "", nil
}
