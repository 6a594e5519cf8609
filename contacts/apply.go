package contacts

import (
	"slices"
	"strconv"
	"strings"

	"lifeline/store/fault"
)

// outcome is what became of a row.
type outcome struct {
	created   bool
	changed   bool
	conflicts int
	named     [3]string // our ids of account, site and contact
	rejected  *Rejected
}

// refusal is why a row cannot be applied though its values are well-formed. It never leaves apply.
type refusal struct{ field, reason string }

func (r *refusal) Error() string { return r.field + " " + r.reason }

func refuse(col column, reason string) error { return &refusal{col.String(), reason} }

// apply carries out a row. It first finds the records and decides about all of them, and only then changes them, so that a
// row is applied whole or not at all.
func (w *work) apply(r row, s statement) (outcome, error) {
	p := plan{work: w, row: r, s: s}
	for _, step := range []func() error{p.findAccount, p.findSite, p.findContact, p.mergeAccount, p.mergeSite, p.mergeContact} {
		err := step()
		if no, ok := err.(*refusal); ok {
			return outcome{named: p.ids(), rejected: &Rejected{Line: r.line, Field: no.field, Reason: no.reason}}, nil
		}
		if err != nil {
			return outcome{}, err
		}
	}
	return p.write()
}

// plan is a row on its way: the records that it speaks of, and what they will be.
type plan struct {
	*work
	row row
	s   statement

	account part[Account]
	site    part[Site]
	contact part[Contact]
	links   []link            // aliases that the row brings
	reached [][2]string       // channel and address that the contact gets
	others  map[string]string // e-mail addresses of the row that are another contact's, and whose
}

func (p *plan) ids() [3]string { return [3]string{p.account.id, p.site.id, p.contact.id} }

// part is one record of a row. Without an id the row speaks of none.
type part[T any] struct {
	id    string
	value T
	fresh bool // to be made
	tally tally
}

type link struct{ scope, value, of string }

func (p *plan) findAccount() error {
	byID, err := p.lookup(scopeAccount, accounts.Prefix, p.row.accountID, colAccountID)
	if err != nil {
		return err
	}
	bySite, err := p.findKnownSite()
	if err != nil {
		return err
	}
	id := byID
	if id == "" {
		if id, err = p.accountByName(bySite); err != nil {
			return err
		}
	}
	if id == "" && bySite != "" {
		free, err := p.unclaimed(bySite)
		if err != nil {
			return err
		}
		if free {
			id = bySite
		}
	}
	switch {
	case bySite != "" && id != bySite:
		return refuse(colSiteID, "is a site of another account; a person must decide whether it moved")
	case id == "" && p.row.account == "" && p.row.accountID == "":
		return refuse(colAccount, "is missing and site_id is not known: name the account by account or account_id")
	case id == "":
		p.account.id, p.account.fresh = accounts.NewID(), true
		return nil
	}
	a, err := p.accounts.get(p.tx, id)
	if fault.Of(err) == fault.NotFound {
		return p.deletedAccount(id, refuse(colAccountID, "names an account that does not exist or was deleted"))
	}
	p.account.id, p.account.value = id, a.clone()
	return err
}

// findKnownSite finds the site by its id, and says whose it is.
func (p *plan) findKnownSite() (account string, err error) {
	id, err := p.lookup(scopeSite, sites.Prefix, p.row.siteID, colSiteID)
	if err != nil || id == "" {
		return "", err
	}
	site, err := p.sites.get(p.tx, id)
	if fault.Of(err) == fault.NotFound {
		return "", refuse(colSiteID, "names a site that does not exist or was deleted here")
	}
	p.site.id, p.site.value = id, site.clone()
	return site.Account, err
}

// lookup finds a record by our own id or a product id; "" when nobody knows the product id.
func (p *plan) lookup(scope, prefix, id string, col column) (string, error) {
	if k, ok := kindOf(id, Kinds()); ok {
		if k.Prefix != prefix {
			return "", refuse(col, "is the id of "+article(k.Name))
		}
		into, err := p.named(scope, id)
		if err != nil {
			return "", err
		}
		if len(into) > 0 { // merged into another
			return into[0], nil
		}
		return id, nil
	}
	if id == "" {
		return "", nil
	}
	ids, err := p.named(scope, id)
	if err != nil || len(ids) == 0 {
		return "", err
	}
	return ids[0], nil
}

// accountByName finds an account among those that this source named. With several of that name the site decides, or nobody.
func (p *plan) accountByName(bySite string) (string, error) {
	if p.row.account == "" {
		return "", nil
	}
	ids, err := p.named(scopeAccountName, joined(p.s.source, fold(p.row.account)))
	if err != nil {
		return "", err
	}
	if bySite != "" && slices.Contains(ids, bySite) {
		ids = []string{bySite}
	}
	var free []string
	for _, id := range ids {
		ok, err := p.unclaimed(id)
		if err != nil {
			return "", err
		}
		if ok {
			free = append(free, id)
		}
	}
	switch {
	case len(free) == 1:
		return free[0], nil
	case len(free) > 1 && p.row.accountID == "":
		return "", refuse(colAccount, "is the name of several accounts of this source: give account_id")
	}
	if len(free) == 0 {
		return "", p.deletedByName(ids)
	}
	return "", nil
}

// unclaimed says whether the row can mean this account: it lives, and if the row brings a product id it has none yet.
func (p *plan) unclaimed(id string) (bool, error) {
	a, err := p.accounts.get(p.tx, id)
	if fault.Of(err) == fault.NotFound {
		return false, nil
	}
	return err == nil && (p.row.accountID == "" || len(a.ProductIDs) == 0), err
}

func (p *plan) findSite() error {
	if !p.row.hasSite() || p.site.id != "" {
		return nil
	}
	id, err := p.siteByURL()
	if err == nil && id == "" {
		id, err = p.siteByName()
	}
	if err != nil {
		return err
	}
	if id == "" {
		p.site.id, p.site.fresh = sites.NewID(), true
		p.site.value.Account = p.account.id
		return nil
	}
	site, err := p.sites.get(p.tx, id)
	p.site.id, p.site.value = id, site.clone()
	return err
}

func (p *plan) siteByURL() (string, error) {
	if p.row.siteURL == "" {
		return "", nil
	}
	return p.oneSite(scopeSiteURL, URLKey(p.row.siteURL), colSiteURL, func(s Site) bool {
		return p.row.siteID == "" || len(s.ProductIDs) == 0 || s.DeletedInProduct != nil
	})
}

func (p *plan) siteByName() (string, error) {
	if p.row.site == "" {
		return "", nil
	}
	return p.oneSite(scopeSiteName, fold(p.row.site), colSite, func(s Site) bool {
		return (p.row.siteID == "" || len(s.ProductIDs) == 0) &&
			(p.row.siteURL == "" || s.URL == "" || URLKey(s.URL) == URLKey(p.row.siteURL))
	})
}

// oneSite finds the account's one site behind an alias that may be meant. Several are refused unless the row brings an id, by
// which the next import will know it.
func (p *plan) oneSite(scope, key string, col column, may func(Site) bool) (string, error) {
	ids, err := p.named(scope, joined(p.account.id, key))
	if err != nil {
		return "", err
	}
	var fits []string
	for _, id := range ids {
		s, err := p.sites.get(p.tx, id)
		switch {
		case fault.Of(err) == fault.NotFound:
		case err != nil:
			return "", err
		case may(s):
			fits = append(fits, id)
		}
	}
	switch {
	case len(fits) == 1:
		return fits[0], nil
	case len(fits) > 1 && p.row.siteID == "":
		return "", refuse(col, "is that of several sites of this account: give site_id")
	}
	return "", nil
}

func (p *plan) findContact() error {
	if !p.row.hasContact() {
		return nil
	}
	id, err := p.byEmail()
	if err == nil && id == "" {
		id, err = p.byPhone()
	}
	if err == nil && id == "" {
		id, err = p.byNameAlone()
	}
	if err == nil {
		err = p.deletedContact(id)
	}
	if err != nil {
		return err
	}
	if id == "" {
		p.contact.id, p.contact.fresh = people.NewID(), true
		p.contact.value.Account = p.account.id
		return nil
	}
	c, err := p.people.get(p.tx, id)
	p.contact.id, p.contact.value = id, c.clone()
	return err
}

// byEmail finds the contact by the first address that somebody has. Further addresses that are somebody else's stay hers.
func (p *plan) byEmail() (id string, err error) {
	for _, v := range p.row.emails {
		ids, err := p.at(p.account.id, Email, v)
		if err != nil {
			return "", err
		}
		switch {
		case len(ids) == 0:
		case id == "":
			id = ids[0]
		case ids[0] != id:
			if p.others == nil {
				p.others = map[string]string{}
			}
			p.others[v] = ids[0]
		}
	}
	return id, nil
}

// byPhone finds the contact among those who share the phones: the one of that name, or one whose name or address nobody knew.
func (p *plan) byPhone() (string, error) {
	var nameless string
	for _, v := range p.row.phones {
		ids, err := p.at(p.account.id, SMS, v)
		if err != nil {
			return "", err
		}
		for _, id := range ids {
			c, err := p.people.get(p.tx, id)
			switch {
			case err != nil:
				return "", err
			case p.row.name != "" && fold(c.Name) == fold(p.row.name):
				return id, nil
			case nameless == "" && (p.row.name == "" || c.Name == "") && (len(p.row.emails) == 0 || len(c.Emails) == 0):
				nameless = id
			}
		}
	}
	return nameless, nil
}

// byNameAlone finds a contact of that name who has no address yet of the sort that the row brings.
func (p *plan) byNameAlone() (string, error) {
	if p.row.name == "" {
		return "", nil
	}
	ids, err := p.called(p.account.id, p.row.name)
	if err != nil {
		return "", err
	}
	var fits, here []string
	for _, id := range ids {
		c, err := p.people.get(p.tx, id)
		if err != nil {
			return "", err
		}
		if (len(p.row.emails) == 0 || len(c.Emails) == 0) && (len(p.row.phones) == 0 || len(c.Phones) == 0) {
			fits = append(fits, id)
			if p.site.id != "" && slices.Contains(c.Sites, p.site.id) {
				here = append(here, id)
			}
		}
	}
	if len(here) == 1 {
		return here[0], nil // of several of the name, the one who was named with this site
	}
	switch {
	case len(fits) == 1:
		return fits[0], nil
	case len(fits) > 1 && len(p.row.emails)+len(p.row.phones) == 0:
		return "", refuse(colName, "is the name of several contacts of this account: give an e-mail address or a phone")
	}
	return "", nil
}

func (p *plan) mergeAccount() error {
	a, t, r := &p.account.value, &p.account.tally, p.row
	was := a.Name
	a.value(t, "account", &a.Name, r.account, p.s)
	if was != "" && fold(was) != fold(a.Name) {
		a.FormerNames = a.unite(t, colFormerNames.String(), a.FormerNames, []string{was}, p.s)
	}
	if err := p.formerly(t, &a.Provenance, &a.ProductIDs, formerIDs{scopeAccount, colFormerAccountIDs, r.accountID, p.account.id}, r.formerAccounts); err != nil {
		return err
	}
	if r.accountID != "" && r.accountID != p.account.id {
		a.ProductIDs = a.add(t, ListProductIDs, a.ProductIDs, r.accountID, p.s)
		p.link(scopeAccount, r.accountID, p.account.id)
	}
	if r.account != "" {
		p.link(scopeAccountName, joined(p.s.source, fold(r.account)), p.account.id)
	}
	if !r.hasSite() {
		a.value(t, "region", &a.Region, r.region, p.s)
		a.Tier = a.tier(t, a.Tier, r.tier, p.s)
		a.Products = a.unite(t, colProducts.String(), a.Products, r.products, p.s)
	}
	if !r.hasContact() {
		a.value(t, "locale", &a.Locale, r.locale, p.s)
		a.value(t, "time_zone", &a.TimeZone, r.zone, p.s)
	}
	a.Domains = a.unite(t, colDomain.String(), a.Domains, r.domains, p.s)
	a.FormerNames = a.unite(t, colFormerNames.String(), a.FormerNames, r.formerNames, p.s)
	a.Invoices = a.unite(t, colInvoices.String(), a.Invoices, r.invoices, p.s)
	a.OldTickets = a.unite(t, colOldTickets.String(), a.OldTickets, r.oldTickets, p.s)
	a.said(t, p.s)
	return full(
		list{colAccountID, len(a.ProductIDs), maxKept}, list{colDomain, len(a.Domains), maxKept}, list{colProducts, len(a.Products), maxKept},
		list{colFormerNames, len(a.FormerNames), maxKept}, list{colInvoices, len(a.Invoices), maxKept}, list{colOldTickets, len(a.OldTickets), maxKept})
}

func (p *plan) mergeSite() error {
	if p.site.id == "" {
		return nil
	}
	s, t, r := &p.site.value, &p.site.tally, p.row
	s.value(t, "site", &s.Name, r.site, p.s)
	s.value(t, "site_url", &s.URL, r.siteURL, p.s)
	s.value(t, "region", &s.Region, r.region, p.s)
	s.Tier = s.tier(t, s.Tier, r.tier, p.s)
	s.Products = s.unite(t, colProducts.String(), s.Products, r.products, p.s)
	if err := p.formerly(t, &s.Provenance, &s.ProductIDs, formerIDs{scopeSite, colFormerSiteIDs, r.siteID, p.site.id}, r.formerSites); err != nil {
		return err
	}
	if r.siteID != "" && r.siteID != p.site.id {
		s.ProductIDs = s.add(t, ListProductIDs, s.ProductIDs, r.siteID, p.s)
		p.link(scopeSite, r.siteID, p.site.id)
	}
	if r.siteURL != "" {
		p.link(scopeSiteURL, joined(p.account.id, URLKey(r.siteURL)), p.site.id)
	}
	if r.site != "" {
		p.link(scopeSiteName, joined(p.account.id, fold(r.site)), p.site.id)
	}
	s.said(t, p.s)
	return full(list{colSiteID, len(s.ProductIDs), maxKept}, list{colProducts, len(s.Products), maxKept})
}

func (p *plan) mergeContact() error {
	if p.contact.id == "" {
		return nil
	}
	c, t, r := &p.contact.value, &p.contact.tally, p.row
	c.value(t, "name", &c.Name, r.name, p.s)
	c.value(t, "locale", &c.Locale, r.locale, p.s)
	c.value(t, "time_zone", &c.TimeZone, r.zone, p.s)
	channels := strings.Join(c.Channels, ";")
	c.value(t, "channels", &channels, strings.Join(r.channels, ";"), p.s)
	c.Channels = splitChannels(channels)
	for _, role := range r.roles {
		c.offer(t, role, p.site.id, p.s)
	}
	switch {
	case p.site.id != "":
		c.Sites = c.add(t, ListSites, c.Sites, p.site.id, p.s)
	case !c.AccountWide:
		c.AccountWide, t.changed = true, true
	}
	if r.confirmed.After(c.ConfirmedAt) {
		c.ConfirmedAt, t.changed = r.confirmed, true
	}
	emails, phones := len(c.Emails), len(c.Phones)
	c.Emails = t.reach(Email, c.Emails, p.ownEmails(), p.s)
	c.Phones = t.reach(SMS, c.Phones, r.phones, p.s)
	for _, a := range c.Emails[emails:] {
		p.reached = append(p.reached, [2]string{Email, a.Value})
	}
	for _, a := range c.Phones[phones:] {
		p.reached = append(p.reached, [2]string{SMS, a.Value})
	}
	if len(r.emails)+len(r.phones) == 0 {
		p.link(scopeContactName, joined(p.account.id, fold(r.name)), p.contact.id)
	}
	c.said(t, p.s)
	return full(list{colSiteID, len(c.Sites), maxKept}, list{colEmail, len(c.Emails), maxAddresses}, list{colPhone, len(c.Phones), maxAddresses})
}

// ownEmails is the row's addresses without those of other contacts, which become conflicts: whether two contacts are one
// person is for a person to decide.
func (p *plan) ownEmails() []string {
	var free []string
	for _, v := range p.row.emails {
		other, taken := p.others[v]
		if !taken {
			free = append(free, v)
			continue
		}
		if !p.contact.value.turnedDown(colEmail.String(), v, p.s) {
			p.contact.value.dispute(&p.contact.tally, Conflict{Field: colEmail.String(), Have: other, Offered: v, Source: p.s.source, At: p.s.seen, ConfirmedAt: p.s.confirmed})
		}
	}
	return free
}

func splitChannels(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ";")
}

// tier merges a tier as the number that it is.
func (p *Provenance) tier(t *tally, have, offered *int, s statement) *int {
	if offered == nil {
		return have
	}
	value := ""
	if have != nil {
		value = strconv.Itoa(*have)
	}
	p.value(t, "tier", &value, strconv.Itoa(*offered), s)
	n, err := strconv.Atoi(value)
	if err != nil {
		return have
	}
	return &n
}

type list struct {
	col  column
	len  int
	most int
}

// full refuses a row that would make a list longer than a record should carry.
func full(lists ...list) error {
	for _, l := range lists {
		if l.len > l.most {
			return refuse(l.col, "would be more than "+strconv.Itoa(l.most)+" for one record")
		}
	}
	return nil
}

// link notes an alias that the row brings.
func (p *plan) link(scope, value, of string) {
	p.links = append(p.links, link{scope, value, of})
}

// write makes the decided changes.
func (p *plan) write() (outcome, error) {
	done := outcome{named: p.ids()}
	for _, l := range p.links {
		wrote, err := p.work.link(l.scope, l.value, l.of, p.s)
		if err != nil {
			return outcome{}, err
		}
		done.changed = done.changed || wrote
	}
	save(p, &done, &p.accounts, p.account)
	save(p, &done, &p.sites, p.site)
	save(p, &done, &p.people, p.contact)
	for _, r := range p.reached {
		p.addAddress(p.account.id, p.contact.id, r[0], r[1])
	}
	if p.contact.fresh && p.contact.value.Name != "" {
		at := joined(p.account.id, fold(p.contact.value.Name))
		p.byName[at] = append(p.byName[at], p.contact.id)
	}
	return done, nil
}

func save[T any](of *plan, done *outcome, s *shelf[T], p part[T]) {
	if p.id == "" {
		return
	}
	done.conflicts += p.tally.conflicts
	for _, id := range p.tally.raised {
		of.raised = append(of.raised, raised{id, openConflict{Of: p.id, Account: of.account.id, At: of.s.seen}})
	}
	of.settled = append(of.settled, p.tally.settled...)
	done.created = done.created || p.fresh
	if p.fresh || p.tally.changed {
		done.changed = true
		s.put(p.id, p.value)
	}
}
