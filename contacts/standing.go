package contacts

import (
	"iter"
	"slices"
	"strings"

	"lifeline/store"
)

// Standing is the little of a contact that decides whether she is told of what happens to a site, and where.
type Standing struct {
	Account  string
	Approved bool     // she may speak for the account, or for Speaks
	Speaks   []string // sites; none though she is approved: all of the account
	Sites    []string // that concern her; none: all of the account
	NoEmail  string   // why no e-mail reaches her; "": one does
	NoSMS    string
}

// Standing is where the contact stands.
func (c Contact) Standing() Standing {
	s := Standing{Account: c.Account}
	all, speaks := c.speaksFor()
	s.Approved = all || len(speaks) > 0
	if !all {
		s.Speaks = speaks
	}
	if !c.AccountWide {
		s.Sites = c.Sites
	}
	if slices.Equal(s.Speaks, s.Sites) { // as with nearly everybody: once in memory is enough
		s.Speaks = s.Sites
	}
	_, s.NoEmail = Reach(c, Email)
	_, s.NoSMS = Reach(c, SMS)
	return s
}

// For is [Contact.For].
func (s Standing) For(site string) bool { return len(s.Sites) == 0 || slices.Contains(s.Sites, site) }

// ApprovedFor is [Contact.ApprovedFor].
func (s Standing) ApprovedFor(site string) bool {
	return s.Approved && (len(s.Speaks) == 0 || slices.Contains(s.Speaks, site))
}

// Not says why a channel does not reach her; "": it does.
func (s Standing) Not(channel string) string {
	switch channel {
	case Email:
		return s.NoEmail
	case SMS:
		return s.NoSMS
	}
	return NoAddress
}

// Concerns says whether a record of that id is one of those that decide who is told: see [store.DB.Changes].
func Concerns(id string) bool {
	kind, _, _ := strings.Cut(id, "_")
	return kind == people.Prefix || kind == accounts.Prefix || kind == sites.Prefix
}

func fromAccount(account string) store.Query { return store.Query{Index: "account", From: account} }

// ContactsFrom walks the contacts of all accounts from one on (our id; "": from the first), in the order of accounts and of
// contacts within them, without their provenance.
func (b *Book) ContactsFrom(tx *store.Tx, account string) iter.Seq2[store.Rec[Contact], error] {
	return func(yield func(store.Rec[Contact], error) bool) {
		for rec, err := range bares.Scan(tx, fromAccount(account)) {
			if !yield(store.Rec[Contact]{Meta: rec.Meta, Value: rec.Value.Contact}, err) {
				return
			}
		}
	}
}

// StandingsFrom is ContactsFrom for whoever only counts. What it read it remembers: 400,000 contacts cost some 70 MB.
func (b *Book) StandingsFrom(tx *store.Tx, account string) iter.Seq2[store.Rec[Standing], error] {
	return store.Gists(tx, bares, &b.standings, func(c bare) Standing { return c.Standing() }, fromAccount(account))
}
