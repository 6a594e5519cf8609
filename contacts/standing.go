package contacts

import (
	"iter"
	"slices"
	"strings"
	"unique"

	"lifeline/store"
)

// Standing is the little of a contact that decides whether she is told of what happens to a site, and where. Of a hundred thousand of them there are many in memory: ids are
// in brief, and what many have in common stands there once.
type Standing struct {
	account, site store.Brief // site: where one is all that concerns her, and all that she speaks for
	places        *places     // where it is more; nil: see like
	like          unique.Handle[common]
}

type places struct {
	speaks []store.Brief // sites; none though she is approved: all of the account
	sites  []store.Brief // that concern her; none: all of the account
}

type common struct {
	approved bool   // she may speak for the account, or for some sites
	one      bool   // site counts; without it and without places it is all of the account
	noEmail  string // why no e-mail reaches her; "": one does
	noSMS    string
	account  string // its id, where that is none of ours
}

// Standing is where the contact stands.
func (c Contact) Standing() Standing {
	var s Standing
	var is common
	var whole bool
	if s.account, whole = store.Briefly(c.Account); !whole {
		is.account = c.Account
	}
	all, speaks := c.speaksFor()
	is.approved = all || len(speaks) > 0
	if all {
		speaks = nil
	}
	sites := c.Sites
	if c.AccountWide {
		sites = nil
	}
	switch {
	case len(speaks) == 0 && len(sites) == 0:
	case len(sites) == 1 && (!is.approved || slices.Equal(speaks, sites)):
		is.one = true
		s.site, _ = store.Briefly(sites[0])
	default:
		s.places = &places{briefly(speaks), briefly(sites)}
	}
	_, is.noEmail = Reach(c, Email)
	_, is.noSMS = Reach(c, SMS)
	s.like = unique.Make(is)
	return s
}

func briefly(ids []string) (all []store.Brief) {
	for _, id := range ids {
		b, _ := store.Briefly(id)
		all = append(all, b)
	}
	return all
}

// Account is the id of the account that she is a contact of.
func (s Standing) Account() string {
	if odd := s.like.Value().account; odd != "" {
		return odd
	}
	return accounts.Prefix + "_" + s.account.Suffix()
}

// Approved says that she may speak for the account, or for some of its sites.
func (s Standing) Approved() bool { return s.like.Value().approved }

// For is [Contact.For].
func (s Standing) For(site string) bool {
	return s.among(site, func(p *places) []store.Brief { return p.sites })
}

// ApprovedFor is [Contact.ApprovedFor]; "" asks for any of the account's sites.
func (s Standing) ApprovedFor(site string) bool {
	return s.Approved() && (site == "" || s.among(site, func(p *places) []store.Brief { return p.speaks }))
}

// among says whether a site is one of those listed, none of which means all.
func (s Standing) among(site string, listed func(*places) []store.Brief) bool {
	switch {
	case s.places != nil:
		all := listed(s.places)
		b, _ := store.Briefly(site)
		return len(all) == 0 || slices.Contains(all, b)
	case s.like.Value().one:
		b, _ := store.Briefly(site)
		return b == s.site
	}
	return true
}

// Not says why a channel does not reach her; "": it does.
func (s Standing) Not(channel string) string {
	switch channel {
	case Email:
		return s.like.Value().noEmail
	case SMS:
		return s.like.Value().noSMS
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

// StandingsFrom is ContactsFrom for whoever only counts. What it read it remembers: 400,000 contacts cost some 40 MB.
func (b *Book) StandingsFrom(tx *store.Tx, account string) iter.Seq2[store.Rec[Standing], error] {
	return store.Gists(tx, bares, &b.standings, func(c bare) Standing { return c.Standing() }, fromAccount(account))
}
