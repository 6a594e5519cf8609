package contacts

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"lifeline/store"
)

// Traces are what somebody said about herself who could prove nothing. Every field may be empty, and any may be a lie.
type Traces struct {
	Name, Company, SiteURL, SiteName, Domain, Email, Phone, Invoice, OldTicket string

	Text string // what she wrote; addresses and numbers in it are traces too
}

// Reason is one trace that speaks for an account. Its points are added up.
type Reason struct {
	Code   string
	Points int
	Words  string // for staff, in English; of addresses no more than the domain
	On     string // our id of the record that matched
}

// Flag is a reason for caution.
type Flag struct {
	Code  string // freemail, disposable, lookalike, shared, unconfirmed
	Words string
}

// Likely is an account that the traces speak for. It is never more than a proposal: a person decides.
type Likely struct {
	Account store.Rec[Account]
	Score   int // 0 to 100
	Reasons []Reason
	Flags   []Flag
}

// Matched is what Match found, the likeliest first.
type Matched struct {
	Proposals []Likely
	Flags     []Flag // of the traces as such
	Read      int    // percent of the book that could be searched
}

const (
	mostProposals = 5
	mostSharers   = 25 // accounts that may share a trace; beyond it says nothing
	mostTokens    = 200
	mostText      = 16 << 10
	knowledgeTop  = 80 // what anybody could know, all of it together
)

// The traces, by what they are worth. What can be read on a website, an invoice or in an old mail proposes and no more; whatever the
// sum, it is no evidence of who she is (see the desk's identity levels). Of one group only the best counts, since its members come from
// one another.
var worth = map[string]struct {
	points int
	group  string
	known  bool // to whoever read a website or an invoice
	words  string
}{
	"contact_email":    {65, "mail", false, "a contact of this account has this e-mail address"},
	"contact_phone":    {35, "phone", false, "a contact of this account has this phone"},
	"email_domain":     {45, "mail", true, "the e-mail address is at this account's domain %s"},
	"colleague_domain": {30, "mail", true, "contacts of this account have addresses at %s"},
	"site_url":         {45, "site", true, "this is the address of one of its sites"},
	"site_host":        {35, "site", true, "one of its sites is at %s"},
	"domain":           {35, "site", true, "%s is this account's domain"},
	"company":          {30, "company", true, "the company has this name"},
	"former_name":      {25, "company", true, "the company had this name"},
	"similar_name":     {15, "company", true, "the company's name is similar"},
	"site_name":        {20, "site name", true, "one of its sites has this name"},
	"person":           {10, "person", true, "a contact has this name"},
	"invoice":          {40, "invoice", true, "this is one of its invoices"},
	"old_ticket":       {35, "old ticket", true, "this is one of its former tickets"},
	"product_id":       {35, "id", true, "the message names an id of this account"},
	"lookalike":        {5, "mail", true, "%s only looks like a domain of this account"},
}

// Match proposes the accounts that the traces speak for. It reads the index and a few records, changes nothing, and must be called for staff
// alone, never on a customer's request: neither her answer nor its time may tell whom we know.
func (b *Book) Match(ctx context.Context, t Traces) (m Matched, err error) {
	sight, _, err := b.current(ctx)
	if err != nil {
		return m, err
	}
	c := &matching{book: b, sight: sight, found: map[uint32]*suspicion{}}
	c.traces(t)
	m.Read, m.Flags = sight.percent(), c.flags
	likely := c.ranked()
	var of, whose []string
	for _, l := range likely {
		if of = append(of, sight.seat(l.account).id.String()); l.contact != "" {
			whose = append(whose, l.contact)
		}
	}
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		m.Proposals = nil
		known, err := accounts.GetAll(tx, of)
		if err != nil {
			return err
		}
		theirs, err := people.GetAll(tx, whose)
		if err != nil {
			return err
		}
		for i, l := range likely {
			a, ok := known[of[i]]
			if !ok {
				continue // deleted this moment
			}
			p := Likely{Account: a, Score: l.score(), Reasons: l.reasons, Flags: l.flags}
			if c, ok := theirs[l.contact]; ok && b.Policy.Stale(c.Value, tx.Now()) {
				p.Flags = append(slices.Clone(p.Flags), Flag{"unconfirmed", "nobody confirmed this contact for a long time: she may have left"})
			}
			m.Proposals = append(m.Proposals, p)
		}
		return nil
	})
	return m, err
}

// suspicion is what speaks for one account.
type suspicion struct {
	account uint32
	reasons []Reason
	flags   []Flag
	contact string // whose e-mail address it is
}

func (s *suspicion) score() int {
	all, known := 0, 0
	for _, r := range s.reasons {
		if w := worth[r.Code]; w.known {
			known += r.Points
		} else {
			all += r.Points
		}
	}
	return min(100, all+min(known, knowledgeTop))
}

// matching is one call of Match.
type matching struct {
	book  *Book
	sight *sight
	found map[uint32]*suspicion
	flags []Flag
	asked map[string]bool // domains that were looked at
}

func (c *matching) traces(t Traces) {
	text := &t.Text
	if len(*text) > mostText {
		*text = strings.ToValidUTF8((*text)[:mostText], "")
	}
	if t.Email != "" {
		c.email(t.Email)
	}
	if phone, err := ParsePhone(t.Phone, c.book.Policy.PhoneCountry); err == nil {
		c.say("contact_phone", "", c.holders(phoneEnd+digitsBack(phone), inPhone))
	}
	c.site(t.SiteURL)
	c.domain(t.Domain, "domain")
	c.code(t.Invoice, "invoice", inInvoice)
	c.code(t.OldTicket, "old_ticket", inOldTicket)
	c.company(t.Company)
	if t.SiteName != "" {
		c.say("site_name", "", c.holders(wholeName+wholeKey(plain(t.SiteName)), inSite))
	}
	for _, token := range tokens(*text) {
		c.token(token)
	}
	c.person(t.Name)
}

// holders is the accounts whose records have a term in one of the fields; more than mostSharers are none.
func (c *matching) holders(term string, in ...uint8) (all []sighting) {
	for i, seg := range c.sight.segments {
		lo, hi := seg.exactly(term)
		for _, p := range seg.postings(lo, hi) {
			doc, field := p>>4, uint8(p&15)
			if !slices.Contains(in, field) || seg.isDead(doc) || slices.ContainsFunc(all, func(g sighting) bool { return g.account == seg.accounts[doc] }) {
				continue
			}
			if all = append(all, sighting{account: seg.accounts[doc], field: field, segment: i, doc: doc}); len(all) > mostSharers {
				return nil
			}
		}
	}
	return all
}

// say counts a trace for all whom it speaks for: the less, the more there are. Within a group the best one counts.
func (c *matching) say(code, what string, for_ []sighting) {
	w := worth[code]
	points := w.points
	if len(for_) > 1 {
		points = max(1, points*2/(1+len(for_)))
	}
	words := w.words
	if strings.Contains(words, "%s") {
		words = fmt.Sprintf(words, what)
	}
	if len(for_) > 1 {
		words += fmt.Sprintf("; the same is true of %d others", len(for_)-1)
	}
	for _, g := range for_ {
		s := c.found[g.account]
		if s == nil {
			s = &suspicion{account: g.account}
			c.found[g.account] = s
		}
		r := Reason{code, points, words, c.sight.record(g)}
		if code == "contact_email" {
			s.contact = r.On
		}
		at := slices.IndexFunc(s.reasons, func(have Reason) bool { return worth[have.Code].group == w.group })
		switch {
		case at < 0:
			s.reasons = append(s.reasons, r)
		case s.reasons[at].Points < points:
			s.reasons[at] = r
		}
	}
}

func (c *matching) flag(code, words string) {
	if f := (Flag{code, words}); !slices.Contains(c.flags, f) {
		c.flags = append(c.flags, f)
	}
}

func (c *matching) email(address string) {
	key := addressKey(Email, address)
	_, domain, ok := strings.Cut(key, "@")
	if !ok {
		return
	}
	c.say("contact_email", "", c.holders(key, inEmail))
	switch mailProvider(domain) {
	case Freemail:
		c.flag(Freemail, "anybody can have an address at "+domain+": it says nothing of a company")
	case Disposable:
		c.flag(Disposable, domain+" gives addresses away for minutes: do not rely on reaching her there")
	default:
		c.domain(domain, "email_domain")
	}
}

func (c *matching) site(typed string) {
	key := URLKey(typed)
	if key == "" || !strings.Contains(key, ".") {
		return
	}
	c.say("site_url", "", c.holders(siteKey+key, inSiteURL))
	c.domain(hostOf(key), "site_host")
}

// domain looks for a domain as it is, then as what stands below a registered one, and then for whom it could be mistaken for.
func (c *matching) domain(typed, code string) {
	domain, err := parseDomain(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(typed)), "www."))
	if err != nil || mailProvider(domain) != "" || c.asked[code+domain] {
		return
	}
	if c.asked == nil {
		c.asked = map[string]bool{}
	}
	c.asked[code+domain] = true
	whole, _, ok := registrable(domain)
	for _, d := range slices.Compact([]string{domain, whole}) {
		if d == "" {
			continue
		}
		ofAccount, ofSite, ofColleague := c.holders(d, inDomain), c.holders(siteKey+d, inSiteURL), c.holders(d, inEmailDomain)
		c.say(code, d, ofAccount)
		c.say("site_host", d, ofSite)
		if code == "email_domain" {
			c.say("colleague_domain", d, ofColleague)
		}
		if len(ofAccount)+len(ofSite)+len(ofColleague) > 0 {
			return
		}
	}
	if ok && !c.taken(whole) {
		c.lookalike(domain)
	}
}

// taken says whether so many know a domain that it is nobody's lookalike.
func (c *matching) taken(domain string) bool {
	for _, seg := range c.sight.segments {
		if lo, hi := seg.exactly(domain); lo < hi {
			return true
		}
	}
	return false
}

// lookalike flags a domain that nobody has and that could be taken for somebody's: the same to the eye, with or without a hyphen, under another
// suffix, or one letter off.
func (c *matching) lookalike(domain string) {
	skeleton := looks(domain)
	if skeleton == "" {
		return
	}
	of := c.holders(skeletons+skeleton, inLookalike)
	if len(of) == 0 && len(skeleton) >= 5 {
		for i, seg := range c.sight.segments {
			seg.near(skeletons+skeleton, 1, 1, func(term, _ int) {
				for _, g := range c.holders(string(seg.term(term)), inLookalike) {
					if g.segment == i && len(of) <= mostSharers {
						of = append(of, g)
					}
				}
			})
		}
	}
	if len(of) == 0 || len(of) > mostSharers {
		return
	}
	c.say("lookalike", domain, of)
	for _, g := range of {
		s := c.found[g.account]
		if f := (Flag{"lookalike", domain + " is not a domain of this account and looks like one: it may be a deception"}); !slices.Contains(s.flags, f) {
			s.flags = append(s.flags, f)
		}
	}
	c.flag("lookalike", domain+" is no customer's domain and looks like one")
}

func (c *matching) code(typed, as string, field uint8) {
	if key := codeKey(typed); len(key) >= 2 {
		c.say(as, "", c.holders(code+key, field))
	}
}

func (c *matching) company(name string) {
	if name == "" {
		return
	}
	whole := wholeName + wholeKey(plain(name))
	exact, former := c.holders(whole, inAccount), c.holders(whole, inFormerName)
	c.say("company", "", exact)
	c.say("former_name", "", former)
	if len(exact)+len(former) > 0 || len(plain(name)) < 3 {
		return
	}
	got, _ := c.book.ask(c.sight, name, asking{limit: mostProposals, edits: 1, only: 1<<inAccount | 1<<inFormerName})
	c.say("similar_name", "", got)
}

// person speaks only for accounts that something else speaks for: many people share a name.
func (c *matching) person(name string) {
	want := words(plain(name))
	if len(want) < 2 || len(c.found) == 0 {
		return
	}
	slices.Sort(want)
	got := map[uint32]sighting{}
	for i, seg := range c.sight.segments {
		var docs map[uint32]int
		for n, w := range slices.Compact(slices.Clone(want)) {
			lo, hi := seg.exactly(w)
			next := map[uint32]int{}
			for _, p := range seg.postings(lo, hi) {
				doc := p >> 4
				if uint8(p&15) != inContact || c.found[seg.accounts[doc]] == nil || seg.isDead(doc) {
					continue
				}
				if n == 0 || docs[doc] == n {
					next[doc] = n + 1
				}
			}
			docs = next
		}
		for doc := range docs {
			got[seg.accounts[doc]] = sighting{account: seg.accounts[doc], field: inContact, segment: i, doc: doc}
		}
	}
	for _, g := range got {
		c.say("person", "", []sighting{g})
	}
}

// tokens cuts a text into what could be an address, a domain or a number.
func tokens(text string) (out []string) {
	for _, t := range strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune("<>()[]{}\"'“”„«»,;|", r) || r > 0x2E80 && unicode.IsLetter(r)
	}) {
		t = strings.Trim(t, ".:!?#*_")
		if len(t) < 4 || len(t) > 300 || !strings.ContainsAny(t, "0123456789.@") {
			continue
		}
		if out = append(out, t); len(out) == mostTokens {
			return out
		}
	}
	return out
}

func (c *matching) token(t string) {
	switch {
	case strings.Contains(t, "@"):
		if address, err := ParseEmail(t); err == nil {
			c.email(address)
		}
	case strings.Contains(t, "."):
		c.site(t)
		fallthrough
	default:
		if strings.ContainsAny(t, "0123456789") && !strings.Contains(t, "://") {
			c.code(t, "invoice", inInvoice)
			c.code(t, "old_ticket", inOldTicket)
			key := codeKey(t)
			if len(key) >= 3 {
				c.say("product_id", "", c.holders(code+key, inAccountID, inSiteID))
			}
		}
	}
}

func (c *matching) ranked() []*suspicion {
	var all []*suspicion
	for _, s := range c.found {
		slices.SortStableFunc(s.reasons, func(a, b Reason) int { return cmp.Compare(b.Points, a.Points) })
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *suspicion) int {
		return cmp.Or(cmp.Compare(b.score(), a.score()), cmp.Compare(a.account, b.account))
	})
	return all[:min(len(all), mostProposals)]
}
