package contacts

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// kindOf says of which kind a well-formed id of our own is.
func kindOf(id string, kinds []store.Kind) (store.Kind, bool) {
	head, suffix, found := strings.Cut(id, "_")
	if !found || len(suffix) != 26 {
		return store.Kind{}, false
	}
	for _, k := range kinds {
		if k.Prefix == head && (k.Composed || k.CheckID(id) == nil) {
			return k, true
		}
	}
	return store.Kind{}, false
}

// KindOf is the name of the kind of an account's, a site's or a contact's id.
func KindOf(id string) string {
	k, _ := kindOf(id, []store.Kind{accounts.Kind, sites.Kind, people.Kind})
	return k.Name
}

// article puts a or an in front of a noun.
func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// resolve finds our id behind any id: our own, or a product id of the scope ever held. An id of another kind is fault.Invalid and
// says so; one that nobody knows is fault.NotFound.
func resolve(tx *store.Tx, want store.Kind, scope, other, field, id string) (string, error) {
	id = strings.TrimSpace(id)
	if id == "" || len(id) > maxID {
		return "", fault.BadField(field, "must be an id of 1 to %d bytes", maxID)
	}
	if k, ok := kindOf(id, tx.DB().Declared()); ok {
		if k.Prefix != want.Prefix {
			return "", fault.BadField(field, "%q is the id of %s, not of %s", id, article(k.Name), article(want.Name))
		}
		return id, nil
	}
	rec, err := aliases.First(tx, store.Query{Index: "value", Equal: []any{scope, id}})
	if err == nil {
		return rec.Value.Of, nil
	}
	if fault.Of(err) != fault.NotFound {
		return "", err
	}
	_, err = aliases.First(tx, store.Query{Index: "value", Equal: []any{other, id}})
	switch {
	case err == nil:
		return "", fault.BadField(field, "%q is the id of %s, not of %s", id, article(other), article(want.Name))
	case fault.Of(err) != fault.NotFound:
		return "", err
	}
	return "", fault.New(fault.NotFound, "there is no %s %.80q", want.Name, id)
}

func find[T any](tx *store.Tx, t store.Table[T], scope, other, id string) (store.Rec[T], error) {
	ours, err := resolve(tx, t.Kind, scope, other, t.Name+"_id", id)
	if err != nil {
		return store.Rec[T]{}, err
	}
	v, m, err := t.Get(tx, ours)
	if fault.Of(err) == fault.NotFound {
		if into, merged, lost := survivor(tx, scope, ours); merged || lost != nil {
			v, m, err = t.Get(tx, into)
			err = cmp.Or(lost, err)
		}
	}
	return store.Rec[T]{Meta: m, Value: v}, gone(t.Kind, m, err)
}

// gone says of a record that is deleted when it was, and until when it can be brought back.
func gone(k store.Kind, m store.Meta, err error) error {
	if fault.Of(err) != fault.NotFound || m.Deleted.IsZero() {
		return err
	}
	return fault.New(fault.NotFound, "%s %s was deleted on %s; it can be brought back until %s", k.Name, m.ID,
		m.Deleted.Format(time.DateOnly), m.Deleted.Add(k.Keep).Format(time.DateOnly))
}

// Site finds a site by our id or by any product id that it ever had. fault.Invalid says that the id is of another kind ("is the id
// of an account, not of a site"), fault.NotFound that nobody knows it.
func (b *Book) Site(tx *store.Tx, anyID string) (store.Rec[Site], error) {
	return find(tx, sites, scopeSite, scopeAccount, anyID)
}

// Account finds an account by our id or by any product id that it ever had; errors as for Site.
func (b *Book) Account(tx *store.Tx, anyID string) (store.Rec[Account], error) {
	return find(tx, accounts, scopeAccount, scopeSite, anyID)
}

// SiteTier is how urgent a site is: its own tier, else its account's, else what holds where nobody named one. A site that is no longer kept counts as one of those.
func (b *Book) SiteTier(tx *store.Tx, anyID string) (int, error) {
	site, err := b.Site(tx, anyID)
	if err == nil && site.Value.Tier == nil {
		var a store.Rec[Account]
		if a, err = b.Account(tx, site.Value.Account); err == nil {
			site.Value.Tier = a.Value.Tier
		}
	}
	if err != nil && fault.Of(err) != fault.NotFound {
		return 0, err
	}
	if site.Value.Tier == nil {
		return b.Policy.DefaultTier, nil
	}
	return *site.Value.Tier, nil
}

// Plight is what of a site its targets are measured by.
type Plight struct {
	Tier    int        // as SiteTier says
	Deleted *time.Time // in the product; nil: it said nothing of that
}

// Plights reads those of many sites by our ids, in few questions. A site that is no longer kept under its id, or whose account is not, is left out.
func (b *Book) Plights(tx *store.Tx, ids []string) (map[string]Plight, error) {
	found, err := sites.GetAll(tx, ids)
	if err != nil {
		return nil, err
	}
	var of []string
	for _, rec := range found {
		if rec.Value.Tier == nil {
			of = append(of, rec.Value.Account)
		}
	}
	slices.Sort(of)
	whose, err := accounts.GetAll(tx, slices.Compact(of))
	if err != nil {
		return nil, err
	}
	all := map[string]Plight{}
	for id, rec := range found {
		p, tier := Plight{b.Policy.DefaultTier, rec.Value.DeletedInProduct}, rec.Value.Tier
		if tier == nil {
			a, known := whose[rec.Value.Account]
			if !known {
				continue
			}
			tier = a.Value.Tier
		}
		if tier != nil {
			p.Tier = *tier
		}
		all[id] = p
	}
	return all, nil
}

// ProductID is the id that the product uses now; "": it never said one.
func (s Site) ProductID() string {
	if len(s.ProductIDs) == 0 {
		return ""
	}
	return s.ProductIDs[len(s.ProductIDs)-1]
}

// Called is how people call a site: by its name, else its address, else the product's id; "": by nothing.
func (s Site) Called() string { return cmp.Or(s.Name, s.URL, s.ProductID()) }

// Names is how people call sites and accounts, by our id. What is no longer kept is not in it.
func (b *Book) Names(ctx context.Context, siteIDs, accountIDs []string) (names map[string]string, err error) {
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		names = map[string]string{}
		ours, err := sites.GetAll(tx, siteIDs)
		if err != nil {
			return err
		}
		for id, rec := range ours {
			names[id] = rec.Value.Called()
		}
		whose, err := accounts.GetAll(tx, accountIDs)
		for id, rec := range whose {
			names[id] = rec.Value.Name
		}
		return err
	})
	return names, err
}

// Contact finds a contact by our id.
func (b *Book) Contact(tx *store.Tx, id string) (store.Rec[Contact], error) {
	if k, ok := kindOf(id, tx.DB().Declared()); ok && k.Prefix != people.Prefix {
		return store.Rec[Contact]{}, fault.BadField("contact_id", "%q is the id of %s, not of a contact", id, article(k.Name))
	}
	v, m, err := people.Get(tx, id)
	if fault.Of(err) == fault.NotFound {
		if into, merged, lost := survivor(tx, scopeContact, id); merged || lost != nil {
			v, m, err = people.Get(tx, into)
			err = cmp.Or(lost, err)
		}
	}
	return store.Rec[Contact]{Meta: m, Value: v}, gone(people.Kind, m, err)
}

// Unmask gives a contact to somebody who has to see her addresses in full, to call her say. Who looked, at whom and why is kept in the audit log.
func (b *Book) Unmask(ctx context.Context, by, id, reason string) (rec store.Rec[Contact], err error) {
	if reason, err = givenReason(reason); err != nil {
		return rec, err
	}
	err = b.DB.Update(ctx, store.Act{By: by, Verb: "contact.unmask", Reason: reason}, func(tx *store.Tx) error {
		rec, err = b.Contact(tx, id)
		tx.On(rec.ID)
		return err
	})
	return rec, err
}

// SitesOf walks the sites of an account (our id), oldest first, those deleted in the product among them.
func (b *Book) SitesOf(tx *store.Tx, account string) iter.Seq2[store.Rec[Site], error] {
	return sites.Scan(tx, store.Query{Index: "account", Equal: []any{account}})
}

// ContactsOf walks the contacts of an account (our id) in the order of their ids.
func (b *Book) ContactsOf(tx *store.Tx, account string) iter.Seq2[store.Rec[Contact], error] {
	return people.Scan(tx, store.Query{Index: "account", Equal: []any{account}})
}

// Who chooses among contacts.
type Who int

// Everyone, or only those who may speak for the customer.
const (
	Everyone Who = iota
	ApprovedOnly
)

// ContactsOfSite lists the contacts whom a site (our id or any product id) concerns: its own, and the account-wide ones.
func (b *Book) ContactsOfSite(tx *store.Tx, anyID string, who Who) ([]store.Rec[Contact], error) {
	site, err := b.Site(tx, anyID)
	if err != nil {
		return nil, err
	}
	var out []store.Rec[Contact]
	for rec, err := range b.ContactsOf(tx, site.Value.Account) {
		if err != nil {
			return nil, err
		}
		if rec.Value.For(site.ID) && (who == Everyone || rec.Value.ApprovedFor(site.ID)) {
			out = append(out, rec)
		}
	}
	return out, nil
}

// ParseAddress gives an address of a channel the form in which the book keeps it.
func (b *Book) ParseAddress(channel, value string) (string, error) {
	return parseAddress(channel, value, b.Policy.PhoneCountry)
}

// ByAddress lists the contacts, of all accounts, who have an e-mail address or phone.
func (b *Book) ByAddress(tx *store.Tx, channel, value string) ([]store.Rec[Contact], error) {
	value, err := parseAddress(channel, value, b.Policy.PhoneCountry)
	if err != nil {
		return nil, fault.BadField(channel, "%s", err)
	}
	var out []store.Rec[Contact]
	for at, err := range addresses.Scan(tx, store.Query{Index: "value", Equal: []any{channel, addressKey(channel, value)}}) {
		if err != nil {
			return nil, err
		}
		c, m, err := people.Get(tx, at.Value.Contact)
		if fault.Of(err) == fault.NotFound {
			continue // deleted, and not yet purged
		}
		if err != nil {
			return nil, err
		}
		out = append(out, store.Rec[Contact]{Meta: m, Value: c})
	}
	return out, nil
}

// TierOf is the tier of an account: its own, else the most urgent of its sites', else the policy's.
func (b *Book) TierOf(tx *store.Tx, account store.Rec[Account]) (int, error) {
	if account.Value.Tier != nil {
		return *account.Value.Tier, nil
	}
	var best *int
	for rec, err := range b.SitesOf(tx, account.ID) {
		if err != nil {
			return 0, err
		}
		if t := rec.Value.Tier; t != nil && (best == nil || *t < *best) {
			best = t
		}
	}
	if best != nil {
		return *best, nil
	}
	return b.Policy.DefaultTier, nil
}

// Stale says whether a contact was not confirmed for so long that it ought to be asked.
func (p Policy) Stale(c Contact, now time.Time) bool {
	limit := p.StaleAfter.Others
	if c.Approved() {
		limit = p.StaleAfter.Approved
	}
	return now.Sub(c.ConfirmedAt) > limit
}

// Accounts lists accounts in the order of their making, a page at a time; next is the Query.After of the page behind, "" at the end.
func (b *Book) Accounts(ctx context.Context, q store.Query) (page []store.Rec[Account], next string, err error) {
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		page, next, err = accounts.List(tx, q)
		return err
	})
	return page, next, err
}

// View is an account with what belongs to it, at most MaxView sites and contacts.
type View struct {
	Account      store.Rec[Account]
	Tier         int
	Sites        []store.Rec[Site]
	Contacts     []store.Rec[Contact]
	Arrivals     Arrivals
	MoreSites    bool
	MoreContacts bool
}

// MaxView bounds the sites and the contacts of a View.
const MaxView = 1000

// AccountView reads an account by any id, its sites and its contacts in one snapshot.
func (b *Book) AccountView(ctx context.Context, anyID string) (v View, err error) {
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		v = View{}
		if v.Account, err = b.Account(tx, anyID); err != nil {
			return err
		}
		if v.Tier, err = b.TierOf(tx, v.Account); err != nil {
			return err
		}
		if v.Sites, v.MoreSites, err = some(b.SitesOf(tx, v.Account.ID)); err != nil {
			return err
		}
		if v.Contacts, v.MoreContacts, err = some(b.ContactsOf(tx, v.Account.ID)); err != nil {
			return err
		}
		v.Arrivals, err = b.Arrivals(tx, v.Account.ID)
		return err
	})
	return v, err
}

func some[T any](all iter.Seq2[store.Rec[T], error]) (out []store.Rec[T], more bool, err error) {
	for rec, err := range all {
		if err != nil {
			return nil, false, err
		}
		if len(out) == MaxView {
			return out, true, nil
		}
		out = append(out, rec)
	}
	return out, false, nil
}

// Counts is how much the book holds.
type Counts struct {
	Accounts int `json:"accounts"`
	Sites    int `json:"sites"`
	Contacts int `json:"contacts"`
}

// Count counts what is in the book.
func (b *Book) Count(ctx context.Context) (n Counts, err error) {
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		n, err = b.counts(tx)
		return err
	})
	return n, err
}

// Totals counts the accounts and sites on record.
func (b *Book) Totals(tx *store.Tx) (allAccounts, allSites int, err error) {
	if allAccounts, err = accounts.Count(tx, store.Query{}); err != nil {
		return 0, 0, err
	}
	allSites, err = sites.Count(tx, store.Query{})
	return allAccounts, allSites, err
}

func (b *Book) counts(tx *store.Tx) (n Counts, err error) {
	if n.Accounts, n.Sites, err = b.Totals(tx); err != nil {
		return n, err
	}
	n.Contacts, err = people.Count(tx, store.Query{})
	return n, err
}

// Reasons why a contact cannot be reached in a channel.
const (
	NoAddress  = "no_address"
	Bounced    = "bounced"
	OptedOut   = "opted_out"
	ChannelOff = "channel_off" // the contact chose other channels
)

// Reach lists the addresses at which a contact can be reached in a channel, the one confirmed last first, or says why there is
// none. Of several reasons the one that a person could mend by a call comes first: bounced before opted out.
func Reach(c Contact, channel string) (usable []Address, reason string) {
	all := c.Emails
	if channel == SMS {
		all = c.Phones
	}
	switch {
	case channel != Email && channel != SMS, len(all) == 0:
		return nil, NoAddress
	case len(c.Channels) > 0 && !slices.Contains(c.Channels, channel):
		return nil, ChannelOff
	}
	for _, a := range all {
		switch {
		case a.OptedOut && reason == "":
			reason = OptedOut
		case a.Bounced && !a.OptedOut:
			reason = Bounced
		case !a.OptedOut:
			usable = append(usable, a)
		}
	}
	if len(usable) > 0 {
		reason = ""
	}
	slices.SortStableFunc(usable, func(a, b Address) int { return b.ConfirmedAt.Compare(a.ConfirmedAt) })
	return usable, reason
}

// MaskEmail hides all but the first letter of the part before the @: "a…@example.com".
func MaskEmail(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at <= 0 {
		return "…"
	}
	first := []rune(s[:at])[:1]
	return string(first) + "…" + s[at:]
}

// MaskPhone hides all but the beginning and the last two digits: "+49…67".
func MaskPhone(s string) string {
	if len(s) < 8 {
		return "…"
	}
	return s[:3] + "…" + s[len(s)-2:]
}

// Mask hides most of an address of a channel; where there is none it hides none.
func Mask(channel, value string) string {
	if value == "" {
		return ""
	}
	if channel == Email {
		return MaskEmail(value)
	}
	if host, ok := strings.CutPrefix(value, "https://"); ok { // what follows the host is as good as a password
		host, _, _ = strings.Cut(host, "/")
		return "https://" + host + "/…"
	}
	return MaskPhone(value)
}
