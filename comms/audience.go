package comms

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// The audiences. Public means affected and those who subscribed; only the two are shown on the page.
const (
	AudiencePublic   = "public"
	AudienceAffected = "affected"
	AudienceInternal = "internal"
	accountAudience  = "account:"
)

// Of what is addressed to a list, the policy's lists name the addresses.
const (
	AudiencePartners = "partners"
	AudienceMedia    = "media"
	listAudience     = "list:"
	sliceAudience    = "slice:"
)

// cutCohort is the cohort of an audience that is one; "" otherwise.
func cutCohort(audience string) string {
	id, one := strings.CutPrefix(audience, cohortAudience)
	if !one {
		return ""
	}
	return id
}

// cutList is the name in the policy's lists of an audience that is one; "" otherwise.
func cutList(audience string) string {
	if audience == AudiencePartners || audience == AudienceMedia {
		return audience
	}
	name, one := strings.CutPrefix(audience, listAudience)
	if !one {
		return ""
	}
	return name
}

// cutSlice is the product and the region of an audience that is a slice; "*" is any.
func cutSlice(audience string) (product, region string, one bool) {
	rest, one := strings.CutPrefix(audience, sliceAudience)
	if !one {
		return "", "", false
	}
	at := strings.LastIndexByte(rest, '/')
	if at < 0 {
		return rest, "", true
	}
	return strings.TrimSpace(rest[:at]), strings.TrimSpace(rest[at+1:]), true
}

// ofSites says whether an audience is made of affected sites: all of them or a part.
func ofSites(audience string) bool {
	return wide(audience) || strings.HasPrefix(audience, cohortAudience) || strings.HasPrefix(audience, sliceAudience)
}

// listed says whether an audience is a list of addresses.
func listed(audience string) bool { return audience == AudienceInternal || cutList(audience) != "" }

// wide says whether everybody may read what is said to the audience.
func wide(audience string) bool { return audience == AudiencePublic || audience == AudienceAffected }

// cutAccount is the account of an audience that is one account's.
func cutAccount(audience string) (id string, one bool) {
	return strings.CutPrefix(audience, accountAudience)
}

// badAudience names what is wrong with an audience's form.
func badAudience(s string) []fault.Field {
	const field = "audience"
	kind, id, named := strings.Cut(s, ":")
	switch {
	case s == "":
		return []fault.Field{missing(field)}
	case !named && (wide(s) || s == AudienceInternal):
		return nil
	case kind == "account" && id == "":
		return []fault.Field{wrong(field, "names no account; write account:ID")}
	case kind == "account":
		return prose{most: 200, required: true}.bad(nil, field, s)
	case !named && cutList(s) != "", kind == "list" && id != "":
		return prose{most: 100, required: true}.bad(nil, field, s)
	case kind == "cohort" && cohortForm.MatchString(id):
		return nil
	case kind == "slice":
		if product, region, _ := cutSlice(s); product == "" || region == "" {
			return []fault.Field{wrong(field, "is %.80q; a slice is slice:PRODUCT/REGION, where * is any", s)}
		}
		return prose{most: 200, required: true}.bad(nil, field, s)
	}
	return []fault.Field{wrong(field, "is %.80q; it must be public, affected, internal, partners, media, account:ID, cohort:ID, slice:PRODUCT/REGION or list:NAME", s)}
}

// recipient is one person whom a notice concerns.
type recipient struct {
	Account string
	Contact string
	C       contacts.Contact
	Sites   []string // affected sites that concern her; none for an audience of one account
	Got     []Direct // a correction: the addresses that got the wrong words, and no others; nil: all that reach her
}

// recipients walks whom a notice concerns in the order of accounts and of contacts within them, behind the account
// afterAccount ("": from the first). Pass 1 are the approved contacts, pass 2 the others. A notice that names its addresses itself concerns nobody here.
// The walk calls others when it has met, or may have met, somebody for another pass, or a customer without a contact.
func (r *Room) recipients(tx *store.Tx, n Notice, pass int, afterAccount string, others func()) iter.Seq2[recipient, error] {
	if n.Only != "" {
		others()
		return r.got(tx, n.Only, pass, afterAccount)
	}
	incident := ""
	if n.Update != "" {
		u, _, err := updates.Get(tx, n.Update)
		if err != nil {
			return failed[recipient](err)
		}
		incident = u.Incident
	}
	return r.concerned(tx, n.Audience, incident, func(c contacts.Contact) bool { return c.Approved() == (pass == passApproved) }, afterAccount, others)
}

func failed[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}

// concerned walks the contacts of an audience whom choose takes, and calls others as recipients does.
func (r *Room) concerned(tx *store.Tx, audience, incident string, choose func(contacts.Contact) bool, afterAccount string, others func()) iter.Seq2[recipient, error] {
	if id, one := cutAccount(audience); one {
		others()
		return r.ofAccount(tx, id, choose, afterAccount)
	}
	if !ofSites(audience) {
		return func(func(recipient, error) bool) {}
	}
	return func(yield func(recipient, error) bool) {
		people := beside[store.Rec[contacts.Contact]]{tx: tx, from: r.Book.ContactsFrom, account: func(c store.Rec[contacts.Contact]) string { return c.Value.Account }}
		defer people.close()
		for a, err := range r.accountsIn(tx, audience, incident, afterAccount) {
			if err != nil {
				yield(recipient{}, err)
				return
			}
			met := false
			for rec, err := range people.of(a.account) {
				if err != nil {
					yield(recipient{}, err)
					return
				}
				if !choose(rec.Value) {
					others()
					continue
				}
				if sites := a.of(rec.Value); len(sites) > 0 {
					met = true
					if !yield(recipient{Account: a.account, Contact: rec.ID, C: rec.Value, Sites: sites}, nil) {
						return
					}
				}
			}
			if !met {
				others()
			}
		}
	}
}

// beside walks people in the order of accounts beside another walk in that order, so that a crowd is two walks and not a look-up for each
// account.
type beside[R any] struct {
	tx      *store.Tx
	from    func(tx *store.Tx, account string) iter.Seq2[R, error]
	account func(R) string

	next func() (R, error, bool)
	stop func()
	head R // read, and not yet asked for
	have bool
	end  bool
}

// mostSkipped is how many people of other accounts are passed over before the walk jumps.
const mostSkipped = 16

// of walks those of an account, which must come behind the account asked for before.
func (b *beside[R]) of(account string) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		for skipped := 0; !b.end; {
			if b.next == nil || skipped > mostSkipped {
				b.close()
				b.next, b.stop = iter.Pull2(b.from(b.tx, account))
				skipped = 0
			}
			if !b.have {
				var err error
				var ok bool
				if b.head, err, ok = b.next(); !ok {
					b.end = true
					return
				} else if err != nil {
					yield(b.head, err)
					return
				}
				b.have = true
			}
			switch c := strings.Compare(b.account(b.head), account); {
			case c > 0:
				return
			case c < 0:
				b.have = false
				skipped++
			default:
				b.have = false
				if !yield(b.head, nil) {
					return
				}
			}
		}
	}
}

func (b *beside[R]) close() {
	if b.stop != nil {
		b.stop()
	}
}

func (r *Room) ofAccount(tx *store.Tx, id string, choose func(contacts.Contact) bool, afterAccount string) iter.Seq2[recipient, error] {
	return func(yield func(recipient, error) bool) {
		account, err := r.Book.Account(tx, id)
		if err != nil {
			yield(recipient{}, err)
			return
		}
		if account.ID <= afterAccount {
			return
		}
		for rec, err := range r.Book.ContactsOf(tx, account.ID) {
			if err != nil {
				yield(recipient{}, err)
				return
			}
			if choose(rec.Value) && !yield(recipient{Account: account.ID, Contact: rec.ID, C: rec.Value}, nil) {
				return
			}
		}
	}
}

// affectedAccount is an account with its affected sites.
type affectedAccount struct {
	account string
	sites   []string
}

// of are the affected sites that concern a contact.
func (a affectedAccount) of(c contacts.Contact) []string {
	var sites []string
	for _, site := range a.sites {
		if c.For(site) {
			sites = append(sites, site)
		}
	}
	return sites
}

// affectedAccounts walks an incident's ledger account by account, in the order of their ids.
func (r *Room) affectedAccounts(tx *store.Tx, incident, after string) iter.Seq2[affectedAccount, error] {
	return r.accountsWith(tx, incident, after, func(place) (bool, error) { return true, nil })
}

// accountsIn is affectedAccounts with only those sites that an audience means.
func (r *Room) accountsIn(tx *store.Tx, audience, incident, after string) iter.Seq2[affectedAccount, error] {
	if cohort := cutCohort(audience); cohort != "" {
		return r.accountsWith(tx, incident, after, func(w place) (bool, error) { return w.is().Cohort == cohort, nil })
	}
	if product, region, one := cutSlice(audience); one {
		return r.accountsWith(tx, incident, after, func(w place) (bool, error) { return r.inSlice(tx, w, product, region) })
	}
	return r.affectedAccounts(tx, incident, after)
}

// inSlice says whether a site is of a product and in a region. A site of which the book says neither has its account's.
func (r *Room) inSlice(tx *store.Tx, w place, product, region string) (bool, error) {
	site, err := r.Book.Site(tx, w.Site())
	if fault.Of(err) == fault.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	products, in := site.Value.Products, site.Value.Region
	if len(products) == 0 || in == "" {
		account, err := r.Book.Account(tx, w.Account())
		if err != nil && fault.Of(err) != fault.NotFound {
			return false, err
		}
		if len(products) == 0 {
			products = account.Value.Products
		}
		in = cmp.Or(in, account.Value.Region)
	}
	of := product == "*" || slices.ContainsFunc(products, func(p string) bool { return strings.EqualFold(p, product) })
	return of && (region == "*" || strings.EqualFold(in, region)), nil
}

func (r *Room) accountsWith(tx *store.Tx, incident, after string, keep func(place) (bool, error)) iter.Seq2[affectedAccount, error] {
	q := store.Query{Index: "account", Equal: []any{incident}}
	if after != "" {
		q.From = after + "\x00" // the first text behind it
	}
	return func(yield func(affectedAccount, error) bool) {
		var a affectedAccount
		var of store.Brief // a's account
		for rec, err := range r.placesOf(tx, q) {
			if err != nil {
				yield(affectedAccount{}, fmt.Errorf("read the ledger of %s: %w", incident, err))
				return
			}
			if mine, err := keep(rec.Value); err != nil {
				yield(affectedAccount{}, err)
				return
			} else if !mine {
				continue
			}
			if rec.Value.account != of || a.account == "" {
				if a.account != "" && !yield(a, nil) {
					return
				}
				a, of = affectedAccount{account: rec.Value.Account()}, rec.Value.account
			}
			a.sites = append(a.sites, rec.Value.Site())
		}
		if a.account != "" {
			yield(a, nil)
		}
	}
}

// got walks whom a notice has reached, or may have reached, by its deliveries; without those who have ended their subscription since and were promised
// to hear no more.
func (r *Room) got(tx *store.Tx, notice string, pass int, afterAccount string) iter.Seq2[recipient, error] {
	prefix := fmt.Sprintf("dlv_%s.%d.", suffix(notice), pass)
	all := under(prefix)
	if afterAccount != "" {
		all.from = prefix + suffix(afterAccount) + "/" // behind "."
	}
	return func(yield func(recipient, error) bool) {
		var to recipient
		for rec, err := range deliveries.Scan(tx, all) {
			if err != nil {
				yield(recipient{}, err)
				return
			}
			if !mayHaveArrived(rec.Value.State) {
				continue
			}
			key, err := parseKey(rec.ID)
			ended := false
			if err == nil && pass == passSubscribers {
				ended, err = hasEnded(tx, key.Contact)
			}
			if err != nil {
				yield(recipient{}, err)
				return
			}
			if ended {
				continue
			}
			if contact := "con_" + key.Contact; to.Contact != contact {
				if to.Contact != "" && !yield(to, nil) {
					return
				}
				if to, err = r.again(tx, "acc_"+key.Account, contact, rec.Value); err != nil {
					yield(recipient{}, err)
					return
				}
			}
			to.Got = append(to.Got, Direct{Channel: rec.Value.Channel, Address: rec.Value.Address, Name: rec.Value.Name, Locale: rec.Value.Locale})
		}
		if to.Contact != "" {
			yield(to, nil)
		}
	}
}

func mayHaveArrived(s State) bool {
	switch s {
	case Sending, Sent, Written, Delivered, Unknown:
		return true
	}
	return false
}

// again is the person of a delivery; one who was deleted since is still owed the correction, in the language of the first message.
func (r *Room) again(tx *store.Tx, account, contact string, d Delivery) (recipient, error) {
	to := recipient{Account: account, Contact: contact, C: contacts.Contact{Account: account, Name: d.Name, Locale: d.Locale}}
	rec, err := r.Book.Contact(tx, contact)
	switch {
	case err == nil:
		to.C = rec.Value
	case fault.Of(err) != fault.NotFound:
		return to, err
	}
	return to, nil
}

// Crowd counts whom an update is meant for.
type Crowd struct {
	People      int `json:"people"`    // who have an address on one of the channels
	Customers   int `json:"customers"` // accounts
	Sites       int `json:"sites"`     // affected sites of theirs
	Unreachable int `json:"unreachable"`
}

// crowd counts anew: two walks over what is sealed. A person costs some thirty microseconds of CPU the first time, on all cores, and five from then on.
func (r *Room) crowd(tx *store.Tx, incident, audience string, channels []string) (c Crowd, err error) {
	if listed(audience) {
		c.People = len(r.listed(audience, channels))
		return c, nil
	}
	if !ofSites(audience) {
		everyone := func(contacts.Contact) bool { return true }
		for to, err := range r.concerned(tx, audience, incident, everyone, "", func() {}) {
			if err != nil {
				return c, err
			}
			c.Customers = 1
			c.add(to.C.Standing(), channels)
		}
		return c, nil
	}
	people := r.standings(tx)
	defer people.close()
	for a, err := range r.accountsIn(tx, audience, incident, "") {
		if err != nil {
			return c, err
		}
		c.Customers++
		c.Sites += len(a.sites)
		for rec, err := range people.of(a.account) {
			if err != nil {
				return c, err
			}
			if slices.ContainsFunc(a.sites, rec.Value.For) {
				c.add(rec.Value, channels)
			}
		}
	}
	if audience == AudiencePublic {
		n, err := countSubscribers(tx, incident, channels)
		if err != nil {
			return c, err
		}
		c.People += n
	}
	return c, nil
}

func (r *Room) standings(tx *store.Tx) beside[store.Rec[contacts.Standing]] {
	return beside[store.Rec[contacts.Standing]]{tx: tx, from: r.Book.StandingsFrom, account: func(s store.Rec[contacts.Standing]) string { return s.Value.Account() }}
}

func (c *Crowd) add(s contacts.Standing, channels []string) {
	if reachable(s, channels) {
		c.People++
	} else {
		c.Unreachable++
	}
}

// reachable says whether an address of a contact works on one of the channels.
func reachable(s contacts.Standing, channels []string) bool {
	return slices.ContainsFunc(channels, func(channel string) bool {
		return (channel == ChannelEmail || channel == ChannelSMS) && s.Not(channel) == ""
	})
}

// counts are the crowds counted last, for those who look at a draft again and again while they write, and for whoever publishes what was just
// approved.
type counts struct {
	mu   sync.Mutex
	all  map[string]counted
	mark string // of the store's changes, as of the last look
	age  int    // grows with every look that found the book changed, or could not tell
}

type counted struct {
	Crowd
	at  time.Time
	set int64 // version of the incident, which moves with its affected set
	age int   // of the book that was counted
}

func crowdKey(incident, audience string, channels []string) string {
	return strings.Join(append([]string{incident, audience}, channels...), " ")
}

// bookAge looks whether anybody's contacts have changed since the last look. What is read in a View that begins later is of this age or newer.
func (r *Room) bookAge(ctx context.Context) int {
	r.counts.mu.Lock()
	defer r.counts.mu.Unlock()
	c, err := r.DB.Changes(ctx, r.counts.mark)
	if err != nil || c.Next == "" || c.Lost || slices.ContainsFunc(c.IDs, contacts.Concerns) {
		r.counts.age++
	}
	r.counts.mark = c.Next
	return r.counts.age
}

// exactly is crowd, but counts nobody again while neither the book nor the affected set has changed since a count: the first message of an update must
// not wait until a hundred thousand people were counted a second time. Age is bookAge before the View.
func (r *Room) exactly(tx *store.Tx, age int, in store.Rec[Incident], audience string, channels []string) (c Crowd, err error) {
	key := crowdKey(in.ID, audience, channels)
	r.counts.mu.Lock()
	last, ok := r.counts.all[key]
	r.counts.mu.Unlock()
	if ok && last.age == age && last.set == in.Version {
		return last.Crowd, nil
	}
	if c, err = r.crowd(tx, in.ID, audience, channels); err == nil {
		r.counts.keep(key, counted{c, time.Now(), in.Version, age})
	}
	return c, err
}

func (c *counts) keep(key string, last counted) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil || len(c.all) > 100 {
		c.all = map[string]counted{}
	}
	c.all[key] = last
}

// A crowd that took long to count may be shown for some seconds, also by one who counts on another snapshot. A small one is counted anew.
const (
	countedFrom = 10_000
	countedFor  = 5 * time.Second
)

// about is crowd for the eye: the number of a large crowd may be some seconds old. Nothing is decided by it.
func (r *Room) about(tx *store.Tx, incident, audience string, channels []string) (c Crowd, err error) {
	key := crowdKey(incident, audience, channels)
	now := time.Now()
	r.counts.mu.Lock()
	last, ok := r.counts.all[key]
	r.counts.mu.Unlock()
	if ok && last.People+last.Unreachable >= countedFrom && now.Sub(last.at) < countedFor {
		return last.Crowd, nil
	}
	if c, err = r.crowd(tx, incident, audience, channels); err != nil || c.People+c.Unreachable < countedFrom {
		return c, err
	}
	r.counts.keep(key, counted{Crowd: c, at: time.Now(), age: -1})
	return c, nil
}

// listed are the addresses of a list of the policy on the channels.
func (r *Room) listed(audience string, channels []string) []Direct {
	all := r.Policy.Lists[cutList(audience)]
	if audience == AudienceInternal {
		all = r.Policy.Internal
	}
	var to []Direct
	for _, d := range all {
		if slices.Contains(channels, d.Channel) {
			to = append(to, d)
		}
	}
	return to
}

// site finds our id of a site, and of its account, by any id.
func (r *Room) site(tx *store.Tx, anyID string) (site, account string, err error) {
	rec, err := r.Book.Site(tx, anyID)
	return rec.ID, rec.Value.Account, err
}

// siteName is what people call a site.
func (r *Room) siteName(tx *store.Tx, id string) string {
	rec, err := r.Book.Site(tx, id)
	if err != nil {
		return "?"
	}
	return cmp.Or(rec.Value.Called(), "unnamed")
}

// CoverageReport is how many affected sites have an approved contact who can be reached, and which have none.
type CoverageReport struct {
	AsOf      time.Time   `json:"as_of"`
	Sites     int         `json:"sites"`
	Covered   int         `json:"covered"`
	Uncovered []Uncovered `json:"uncovered"`
	coverageTimes
}

// Uncovered is an affected site that nobody who may speak for it can be told about.
type Uncovered struct {
	Site       string   `json:"site_id"`
	ProductIDs []string `json:"product_ids"`
	Name       string   `json:"name"`
	Account    string   `json:"account_id"`
	Customer   string   `json:"customer"`
	Reason     string   `json:"reason"` // no_approved_contact, not_told, or why the approved ones cannot be reached
}

// The reasons of a site that nobody may speak for, and of one of which everybody who may has addresses, and the last update reached none of them.
const (
	NoApproved = "no_approved_contact"
	NotTold    = "not_told"
)

// Coverage reports the affected sites without a reachable approved contact.
func (r *Room) Coverage(ctx context.Context, incident string) (c CoverageReport, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		c, err = r.coverage(tx, incident, true)
		return err
	})
	return c, err
}

// coverage walks an affected set beside the book; with names it says what people call the sites and their customers.
func (r *Room) coverage(tx *store.Tx, incident string, names bool) (c CoverageReport, err error) {
	c = CoverageReport{AsOf: tx.Now(), Uncovered: []Uncovered{}}
	in, err := findIncident(tx, incident)
	if err != nil {
		return c, err
	}
	c.coverageTimes = coverTimes(in.Value)
	untold, err := r.untold(tx, in.ID)
	if err != nil {
		return c, fmt.Errorf("read whom the last update did not reach: %w", err)
	}
	people := r.standings(tx)
	defer people.close()
	for a, err := range r.affectedAccounts(tx, in.ID, "") {
		if err != nil {
			return c, err
		}
		if err := r.cover(tx, a, people.of(a.account), untold, &c, names); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (r *Room) cover(tx *store.Tx, a affectedAccount, people iter.Seq2[store.Rec[contacts.Standing], error], untold map[string]bool, c *CoverageReport, names bool) error {
	var approved, missed []contacts.Standing
	for rec, err := range people {
		switch {
		case err != nil:
			return err
		case rec.Value.Approved() && untold[rec.ID]:
			missed = append(missed, rec.Value)
		case rec.Value.Approved():
			approved = append(approved, rec.Value)
		}
	}
	for _, site := range a.sites {
		c.Sites++
		reason := WhyUncovered(site, approved)
		switch {
		case reason == "":
			c.Covered++
			continue
		case WhyUncovered(site, missed) == "":
			reason = NotTold
		}
		u := Uncovered{Site: site, Account: a.account, Reason: reason}
		if names {
			var err error
			if u, err = r.uncovered(tx, site, a.account, reason); err != nil {
				return err
			}
		}
		c.Uncovered = append(c.Uncovered, u)
	}
	return nil
}

// WhyUncovered says why none of an account's approved contacts can be reached about a site; "" when one can.
func WhyUncovered(site string, approved []contacts.Standing) string {
	reason := NoApproved
	for _, c := range approved {
		if !c.ApprovedFor(site) {
			continue
		}
		if reachable(c, []string{ChannelEmail, ChannelSMS}) {
			return ""
		}
		for _, channel := range []string{ChannelSMS, ChannelEmail} { // what mail says weighs more
			if why := c.Not(channel); why != contacts.NoAddress || reason == NoApproved {
				reason = why
			}
		}
	}
	return reason
}

func (r *Room) uncovered(tx *store.Tx, site, account, reason string) (Uncovered, error) {
	u := Uncovered{Site: site, Account: account, Reason: reason, Name: r.siteName(tx, site)}
	s, err := r.Book.Site(tx, site)
	if err != nil && fault.Of(err) != fault.NotFound {
		return u, err
	}
	u.ProductIDs = s.Value.ProductIDs
	acc, err := r.Book.Account(tx, account)
	if err != nil && fault.Of(err) != fault.NotFound {
		return u, err
	}
	u.Customer = acc.Value.Name
	return u, nil
}
