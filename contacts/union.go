package contacts

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
)

// Merging makes one record of two that are one customer, or one person. Lists are united, single values are weighed as an import weighs
// them (what neither side may overrule waits for a person as a conflict), what belonged to the one that goes belongs to the one that stays,
// and every id that ever led to the first leads to the second for good. It takes two people, and Undo puts both back.

// Merging is what other rooms do when accounts are merged.
type Merging struct {
	Refuse  func(tx *store.Tx, account string) error // why an account cannot be merged now; nil: it always can
	Follow  func(pen *Pen, from, into string) error  // what hangs on the account that goes; nil: nothing does
	Shelves Shelves                                  // of the kinds that Follow writes
}

// Pair is two records that are one.
type Pair struct {
	From string `json:"from"` // goes
	Into string `json:"into"` // stays
}

type pairs struct {
	Merges []Pair `json:"merges"`
}

const scopeContact = "contact" // our id of a contact who was merged into another

func (b *Book) mergeVerbs() []Verb {
	undo := func(tx *store.Tx, _ store.Rec[Change], s Step) error {
		return shelves().And(ShelfOf(openConflicts), b.Merging.Shelves).Undo(tx, s.Back)
	}
	return []Verb{
		{Name: "account.merge", Right: rightMerge, Says: "make one account of two that are one customer", Plan: b.planMergeAccounts, Version: versionHere, Run: b.runMergeAccount, Undo: undo},
		{Name: "contact.merge", Right: rightMerge, Says: "make one contact of two who are one person", Plan: b.planMergeContacts, Version: versionHere, Undo: undo,
			Run: func(tx *store.Tx, _ store.Rec[Change], s Step) (json.RawMessage, error) {
				pen := &Pen{Tx: tx}
				if err := b.joinContacts(pen, s.On, s.To); err != nil {
					return nil, err
				}
				return pen.Back()
			}},
	}
}

// readPairs finds both records of every pair. A record may go once only, and none may stay that goes.
func readPairs(tx *store.Tx, input json.RawMessage, k store.Kind, find func(*store.Tx, string) (Target, error)) (from, into []Target, err error) {
	var in pairs
	if err := ReadInput(input, &in); err != nil {
		return nil, nil, err
	}
	if len(in.Merges) == 0 || len(in.Merges) > MaxSteps {
		return nil, nil, fault.BadField("merges", "must name 1 to %d pairs {from, into}", MaxSteps)
	}
	var bad []fault.Field
	goes := map[string]bool{}
	for i, p := range in.Merges {
		for _, side := range []struct {
			field, id string
			all       *[]Target
		}{{"from", p.From, &from}, {"into", p.Into, &into}} {
			t, err := living(find)(tx, strings.TrimSpace(side.id))
			switch kind := fault.Of(err); {
			case kind == fault.Invalid || kind == fault.NotFound:
				bad = append(bad, fault.Field{Field: fmt.Sprintf("merges[%d].%s", i, side.field), Code: string(kind), Reason: saying(err)})
			case err != nil:
				return nil, nil, err
			}
			*side.all = append(*side.all, t)
		}
		if t := from[i]; t.ID != "" {
			if goes[t.ID] {
				bad = append(bad, fault.Field{Field: fmt.Sprintf("merges[%d].from", i), Reason: "is merged by another pair already"})
			}
			goes[t.ID] = true
		}
	}
	for i, t := range into {
		if t.ID != "" && goes[t.ID] {
			bad = append(bad, fault.Field{Field: fmt.Sprintf("merges[%d].into", i), Reason: "is itself merged into another: one after the other"})
		}
	}
	if bad != nil {
		return nil, nil, fault.BadFields(bad...)
	}
	return from, into, nil
}

func (b *Book) planMergeContacts(tx *store.Tx, input json.RawMessage) (Plan, error) {
	from, into, err := readPairs(tx, input, people.Kind, aContact)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Seen: map[string]int64{}}
	for i := range from {
		a, _, err := people.Get(tx, from[i].ID)
		if err != nil {
			return Plan{}, err
		}
		z, _, err := people.Get(tx, into[i].ID)
		if err != nil {
			return Plan{}, err
		}
		if a.Account != z.Account {
			return Plan{}, fault.BadField(fmt.Sprintf("merges[%d]", i), "names contacts of two accounts: if these are one customer, merge the accounts")
		}
		plan.Steps = append(plan.Steps, Step{Of: from[i].ID, On: from[i].ID, Version: from[i].Version, To: into[i].ID})
		plan.Seen[into[i].ID] = into[i].Version
		plan.Describe(people.Name, from[i].ID, a.says()+" → "+z.says())
	}
	return plan, nil
}

func (b *Book) planMergeAccounts(tx *store.Tx, input json.RawMessage) (Plan, error) {
	from, into, err := readPairs(tx, input, accounts.Kind, anAccount)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Seen: map[string]int64{}}
	for i := range from {
		for _, id := range []string{from[i].ID, into[i].ID} {
			if b.Merging.Refuse == nil {
				break
			}
			if err := b.Merging.Refuse(tx, id); err != nil {
				return Plan{}, err
			}
		}
		if err := b.planMergeAccount(tx, &plan, from[i], into[i]); err != nil {
			return Plan{}, err
		}
	}
	return plan, nil
}

func (b *Book) planMergeAccount(tx *store.Tx, plan *Plan, from, into Target) error {
	a, _, err := accounts.Get(tx, from.ID)
	if err != nil {
		return err
	}
	z, _, err := accounts.Get(tx, into.ID)
	if err != nil {
		return err
	}
	plan.Seen[into.ID] = into.Version
	plan.Describe(accounts.Name, from.ID, a.Name+" → "+z.Name)
	for rec, err := range b.ContactsOf(tx, from.ID) {
		if err != nil {
			return err
		}
		twin, err := twinOf(tx, rec.Value, into.ID)
		if err != nil {
			return err
		}
		says := rec.Value.says()
		if twin.ID != "" {
			says += " → " + twin.Value.says()
			plan.Seen[twin.ID] = twin.Version
		}
		plan.Steps = append(plan.Steps, Step{Of: from.ID, On: rec.ID, Version: rec.Version, To: into.ID})
		plan.Describe(people.Name, rec.ID, says)
	}
	for rec, err := range b.SitesOf(tx, from.ID) {
		if err != nil {
			return err
		}
		plan.Steps = append(plan.Steps, Step{Of: from.ID, On: rec.ID, Version: rec.Version, To: into.ID})
		plan.Describe(sites.Name, rec.ID, rec.Value.says())
	}
	plan.Steps = append(plan.Steps, Step{Of: from.ID, On: from.ID, Version: from.Version, To: into.ID})
	return nil
}

// twinOf finds the contact of another account who has one of a contact's e-mail addresses: she is the same person.
func twinOf(tx *store.Tx, c Contact, account string) (twin store.Rec[Contact], err error) {
	for _, a := range c.Emails {
		at, err := addresses.First(tx, store.Query{Index: "account", Equal: []any{account, Email, addressKey(Email, a.Value)}})
		if fault.Of(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return twin, err
		}
		v, m, err := people.Get(tx, at.Value.Contact)
		switch {
		case fault.Of(err) == fault.NotFound:
			return twin, fault.New(fault.Conflict, "an address of the contact is that of contact %s, who is deleted; bring her back first", at.Value.Contact)
		case err != nil:
			return twin, err
		case twin.ID != "" && twin.ID != m.ID:
			return twin, fault.New(fault.Conflict, "a contact has addresses of both %s and %s; merge these two first", twin.ID, m.ID)
		}
		twin = store.Rec[Contact]{Meta: m, Value: v}
	}
	return twin, nil
}

func (b *Book) runMergeAccount(tx *store.Tx, _ store.Rec[Change], s Step) (json.RawMessage, error) {
	pen := &Pen{Tx: tx}
	var err error
	switch prefix, _, _ := strings.Cut(s.On, "_"); prefix {
	case people.Prefix:
		err = b.moveContact(pen, s.On, s.To)
	case sites.Prefix:
		err = moveSite(pen, s.On, s.To)
	default:
		err = b.joinAccounts(pen, s.On, s.To)
	}
	if err != nil {
		return nil, err
	}
	return pen.Back()
}

// moveContact gives a contact to another account, where she may be known already.
func (b *Book) moveContact(pen *Pen, id, account string) error {
	c, m, err := people.Get(pen.Tx, id)
	if err != nil {
		return err
	}
	twin, err := twinOf(pen.Tx, c, account)
	if err != nil {
		return err
	}
	if twin.ID != "" {
		return b.joinContacts(pen, id, twin.ID)
	}
	if err := readdress(pen, c, id, address{Contact: id, Account: account}); err != nil {
		return err
	}
	if err := refile(pen, c.Conflicts, openConflict{Of: id, Account: account}); err != nil {
		return err
	}
	if c.Name != "" {
		if err := point(pen, scopeContactName, joined(account, fold(c.Name)), id); err != nil {
			return err
		}
	}
	moved := c.clone()
	moved.Account = account
	if len(moved.Sites) == 0 {
		moved.AccountWide = true
	}
	return Rewrite(pen, people, store.Rec[Contact]{Meta: m, Value: c}, moved)
}

// readdress makes the addresses of a contact lead to where they are from now on; one that leads there already is dropped.
func readdress(pen *Pen, c Contact, id string, to address) error {
	for _, of := range []struct {
		channel string
		all     []Address
	}{{Email, c.Emails}, {SMS, c.Phones}} {
		for _, a := range of.all {
			key := addressKey(of.channel, a.Value)
			rec, err := addresses.First(pen.Tx, store.Query{Index: "value", Equal: []any{of.channel, key, id}})
			if err != nil {
				return fmt.Errorf("find the address of %s: %w", id, err)
			}
			now := rec.Value
			now.Contact, now.Account = to.Contact, to.Account
			_, err = addresses.First(pen.Tx, store.Query{Index: "value", Equal: []any{of.channel, key, to.Contact}})
			switch {
			case to.Contact != id && err == nil:
				err = Drop(pen, addresses, rec)
			case to.Contact == id || fault.Of(err) == fault.NotFound:
				err = Rewrite(pen, addresses, rec, now)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// refile lists open conflicts under the record that carries them from now on.
func refile(pen *Pen, all []Conflict, to openConflict) error {
	for _, c := range all {
		if c.ID == "" {
			continue
		}
		v, m, err := openConflicts.Get(pen.Tx, c.ID)
		if fault.Of(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		now := v
		now.Of, now.Account = to.Of, to.Account
		if err := Rewrite(pen, openConflicts, store.Rec[openConflict]{Meta: m, Value: v}, now); err != nil {
			return err
		}
	}
	return nil
}

func moveSite(pen *Pen, id, account string) error {
	s, m, err := sites.Get(pen.Tx, id)
	if err != nil {
		return err
	}
	for rec, err := range aliases.Scan(pen.Tx, store.Query{Index: "of", Equal: []any{id}}) {
		if err != nil {
			return err
		}
		if name, ok := strings.CutPrefix(rec.Value.Value, joined(s.Account, "")); ok && rec.Value.Scope != scopeSite {
			if err := point(pen, rec.Value.Scope, joined(account, name), id); err != nil {
				return err
			}
		}
	}
	if s.URL != "" {
		if err := point(pen, scopeSiteURL, joined(account, URLKey(s.URL)), id); err != nil {
			return err
		}
	}
	if s.Name != "" {
		if err := point(pen, scopeSiteName, joined(account, fold(s.Name)), id); err != nil {
			return err
		}
	}
	if err := refile(pen, s.Conflicts, openConflict{Of: id, Account: account}); err != nil {
		return err
	}
	moved := s.clone()
	moved.Account = account
	return Rewrite(pen, sites, store.Rec[Site]{Meta: m, Value: s}, moved)
}

// joinAccounts ends a merge: what the account that goes has left, its values, and its ids.
func (b *Book) joinAccounts(pen *Pen, from, into string) error {
	for rec, err := range b.ContactsOf(pen.Tx, from) { // those that an import made since
		if err == nil {
			err = b.moveContact(pen, rec.ID, into)
		}
		if err != nil {
			return err
		}
	}
	for rec, err := range b.SitesOf(pen.Tx, from) {
		if err == nil {
			err = moveSite(pen, rec.ID, into)
		}
		if err != nil {
			return err
		}
	}
	a, am, err := accounts.Get(pen.Tx, from)
	if err != nil {
		return err
	}
	z, zm, err := accounts.Get(pen.Tx, into)
	if err != nil {
		return err
	}
	for _, s := range a.Sources { // names are no index of the alias beside others
		for _, name := range append([]string{a.Name}, a.FormerNames...) {
			if name == "" {
				continue
			}
			if err := point(pen, scopeAccountName, joined(s.Source, fold(name)), into); err != nil {
				return err
			}
		}
	}
	if err := lead(pen, scopeAccount, from, into); err != nil {
		return err
	}
	var t tally
	now, err := b.unionAccount(z, a, &t)
	if err != nil {
		return err
	}
	if err := b.settleConflicts(pen, t, a.Conflicts, openConflict{Of: into, Account: into}); err != nil {
		return err
	}
	if b.Merging.Follow != nil {
		if err := b.Merging.Follow(pen, from, into); err != nil {
			return err
		}
	}
	if err := Rewrite(pen, accounts, store.Rec[Account]{Meta: zm, Value: z}, now); err != nil {
		return err
	}
	return Drop(pen, accounts, store.Rec[Account]{Meta: am, Value: a})
}

// lead makes everything that led to a record, and its own id, lead to another.
func lead(pen *Pen, scope, from, into string) error {
	for rec, err := range aliases.Scan(pen.Tx, store.Query{Index: "of", Equal: []any{from}}) {
		if err != nil {
			return err
		}
		a := rec.Value.clone()
		a.Of, a.Also = into, slices.DeleteFunc(a.Also, func(id string) bool { return id == into })
		if err := Rewrite(pen, aliases, rec, a); err != nil {
			return err
		}
	}
	return Make(pen, aliases, Alias{Scope: scope, Value: from, Of: into, Seen: pen.Tx.Now()})
}

// joinContacts makes one contact of two.
func (b *Book) joinContacts(pen *Pen, from, into string) error {
	a, am, err := people.Get(pen.Tx, from)
	if err != nil {
		return err
	}
	z, zm, err := people.Get(pen.Tx, into)
	if err != nil {
		return err
	}
	var t tally
	now, err := b.unionContact(z, a, from, &t)
	if err != nil {
		return err
	}
	if err := readdress(pen, a, from, address{Contact: into, Account: z.Account}); err != nil {
		return err
	}
	if a.Name != "" {
		if err := point(pen, scopeContactName, joined(z.Account, fold(a.Name)), into); err != nil {
			return err
		}
	}
	if err := lead(pen, scopeContact, from, into); err != nil {
		return err
	}
	if err := b.settleConflicts(pen, t, a.Conflicts, openConflict{Of: into, Account: z.Account}); err != nil {
		return err
	}
	if err := Rewrite(pen, people, store.Rec[Contact]{Meta: zm, Value: z}, now); err != nil {
		return err
	}
	return Drop(pen, people, store.Rec[Contact]{Meta: am, Value: a})
}

// settleConflicts brings the list of all conflicts in line with what a union made of them.
func (b *Book) settleConflicts(pen *Pen, t tally, moved []Conflict, to openConflict) error {
	if err := refile(pen, moved, to); err != nil {
		return err
	}
	for _, id := range t.raised {
		c := to
		c.At = pen.Tx.Now()
		if err := makeAs(pen, openConflicts, id, c); err != nil {
			return err
		}
	}
	for _, id := range t.settled {
		v, m, err := openConflicts.Get(pen.Tx, id)
		if fault.Of(err) == fault.NotFound {
			continue
		}
		if err == nil {
			err = Drop(pen, openConflicts, store.Rec[openConflict]{Meta: m, Value: v})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unionAccount is the account that stays with what the other knows.
func (b *Book) unionAccount(z, a Account, t *tally) (Account, error) {
	u := z.clone()
	u.takeOver(t, a.Provenance)
	was := u.Name
	b.weighAll(t, &u.Provenance, a.Provenance, []single{{"account", &u.Name, a.Name}, {"region", &u.Region, a.Region},
		{"locale", &u.Locale, a.Locale}, {"time_zone", &u.TimeZone, a.TimeZone}})
	if a.Tier != nil {
		s := b.wordOf(a.Provenance, "tier")
		u.Tier = u.tier(t, u.Tier, a.Tier, s)
	}
	u.ProductIDs = append(slices.DeleteFunc(slices.Clone(a.ProductIDs), func(id string) bool { return slices.Contains(z.ProductIDs, id) }), u.ProductIDs...)
	u.Domains, u.Products = united(u.Domains, a.Domains), united(u.Products, a.Products)
	u.Invoices, u.OldTickets = united(u.Invoices, a.Invoices), united(u.OldTickets, a.OldTickets)
	u.FormerNames = united(u.FormerNames, append([]string{was, a.Name}, a.FormerNames...))
	u.FormerNames = slices.DeleteFunc(u.FormerNames, func(n string) bool { return n == "" || fold(n) == fold(u.Name) })
	for _, l := range [][]string{u.ProductIDs, u.Domains, u.Products, u.Invoices, u.OldTickets, u.FormerNames} {
		if len(l) > maxKept {
			return u, fault.New(fault.Conflict, "together they would have more than %d values in a list", maxKept)
		}
	}
	return u, nil
}

// unionContact is the contact who stays with what is known of the other.
func (b *Book) unionContact(z, a Contact, from string, t *tally) (Contact, error) {
	u := z.clone()
	grants := z.AllGrants()
	u.takeOver(t, a.Provenance)
	channels := strings.Join(u.Channels, ";")
	b.weighAll(t, &u.Provenance, a.Provenance, []single{{"name", &u.Name, a.Name}, {"locale", &u.Locale, a.Locale},
		{"time_zone", &u.TimeZone, a.TimeZone}, {"channels", &channels, strings.Join(a.Channels, ";")}})
	u.Channels = splitChannels(channels)
	// An address that one of the two was offered while the other had it needs nobody's decision any more.
	u.Conflicts = slices.DeleteFunc(u.Conflicts, func(c Conflict) bool {
		over := c.Field == colEmail.String() && c.Have == from
		if over && c.ID != "" {
			t.settled = append(t.settled, c.ID)
		}
		return over
	})
	u.AccountWide = z.AccountWide || a.AccountWide || len(z.Sites) == 0 || len(a.Sites) == 0
	u.Sites = united(u.Sites, a.Sites)
	u.Grants = slices.Clone(grants)
	for _, g := range a.AllGrants() {
		places := g.Sites
		if len(places) == 0 {
			places = []string{""}
		}
		for _, site := range places {
			if have, there := u.grantAt(g.Role, site); !there || strength(g.State) > strength(have.State) {
				u.setGrant(g.Role, site, g.State, g.Origin)
			}
		}
	}
	u.nameRoles()
	if a.ConfirmedAt.After(u.ConfirmedAt) {
		u.ConfirmedAt = a.ConfirmedAt
	}
	u.Emails, u.Phones = unitedAddresses(Email, u.Emails, a.Emails), unitedAddresses(SMS, u.Phones, a.Phones)
	if len(u.Emails) > maxAddresses || len(u.Phones) > maxAddresses || len(u.Sites) > maxKept {
		return u, fault.New(fault.Conflict, "together they would have more than %d addresses or %d sites", maxAddresses, maxKept)
	}
	return u, nil
}

// strength orders what is known of a role by who said so last: a person's word, also that it was taken away, above any source's.
func strength(s RoleState) int {
	return slices.Index([]RoleState{RoleProposed, RoleStated, RoleConfirmed, RoleRevoked}, s)
}

// single is a single value of both sides.
type single struct {
	field   string
	have    *string
	offered string
}

func (b *Book) weighAll(t *tally, into *Provenance, from Provenance, all []single) {
	for _, s := range all {
		into.value(t, s.field, s.have, s.offered, b.wordOf(from, s.field))
	}
}

// wordOf is what a record says of a field, as if its source said it again.
func (b *Book) wordOf(p Provenance, field string) statement {
	o := p.Origins[field]
	return statement{source: o.Source, how: o.How, rank: b.Policy.rank, confirmed: o.ConfirmedAt, seen: o.Seen}
}

// takeOver adds the sources, list origins, conflicts and decisions of another record.
func (p *Provenance) takeOver(t *tally, from Provenance) {
	lists := map[string]Origin{}
	for _, s := range from.Sources {
		i := slices.IndexFunc(p.Sources, func(x Source) bool { return x.Source == s.Source })
		if i < 0 {
			p.Sources = append(p.Sources, s)
			continue
		}
		x := &p.Sources[i]
		if s.FirstSeen.Before(x.FirstSeen) {
			x.FirstSeen = s.FirstSeen
		}
		if s.LastSeen.After(x.LastSeen) {
			x.LastSeen = s.LastSeen
		}
		if s.ConfirmedAt.After(x.ConfirmedAt) {
			x.ConfirmedAt = s.ConfirmedAt
		}
	}
	for key, o := range from.Lists {
		lists[key] = o
	}
	for key, o := range p.Lists {
		lists[key] = o
	}
	if len(lists) > 0 {
		p.Lists = lists
	}
	for _, c := range from.Conflicts {
		if p.waiting(c.Field, c.Offered, c.Source) || len(p.Conflicts) >= maxConflicts {
			if c.ID != "" {
				t.settled = append(t.settled, c.ID)
			}
			continue
		}
		p.Conflicts = append(p.Conflicts, c)
	}
	p.Decided = append(p.Decided, from.Decided...)
	if over := len(p.Decided) - maxDecided; over > 0 {
		p.Decided = p.Decided[over:]
	}
}

func united(have, more []string) []string {
	var t tally
	var p Provenance
	return p.unite(&t, "", slices.Clone(have), more, statement{})
}

// unitedAddresses unites by what an address leads to. Whatever either side knew to be wrong with one stays: nobody is written to who asked us
// not to.
func unitedAddresses(channel string, have, more []Address) []Address {
	out := slices.Clone(have)
	for _, a := range more {
		i := slices.IndexFunc(out, func(h Address) bool { return addressKey(channel, h.Value) == addressKey(channel, a.Value) })
		if i < 0 {
			out = append(out, a)
			continue
		}
		h := &out[i]
		if a.OptedOut && !h.OptedOut {
			h.OptedOut, h.OptOutReason = true, a.OptOutReason
		}
		if a.Bounced && !h.Bounced {
			h.Bounced, h.BounceReason = true, a.BounceReason
		}
		if a.ConfirmedAt.After(h.ConfirmedAt) {
			h.ConfirmedAt = a.ConfirmedAt
		}
		if a.ChangedAt.After(h.ChangedAt) {
			h.ChangedAt = a.ChangedAt
		}
	}
	return out
}

// survivor finds the record into which another was merged.
func survivor(tx *store.Tx, scope, id string) (string, bool, error) {
	rec, err := aliases.First(tx, store.Query{Index: "value", Equal: []any{scope, id}})
	if fault.Of(err) == fault.NotFound {
		return "", false, nil
	}
	return rec.Value.Of, err == nil, err
}
