package contacts

import (
	"maps"
	"slices"
	"time"

	"lifeline/store"
)

// Account is a customer.
type Account struct {
	Name        string   `json:"name"`
	ProductIDs  []string `json:"product_ids,omitempty"` // every id that it has or had in the product, oldest first
	Domains     []string `json:"domains,omitempty"`     // ASCII, lower case
	Region      string   `json:"region,omitempty"`
	Tier        *int     `json:"tier,omitempty"` // 0 (most urgent) to 3; nil: nobody said. See Book.TierOf
	Locale      string   `json:"locale,omitempty"`
	TimeZone    string   `json:"time_zone,omitempty"`
	Products    []string `json:"products,omitempty"` // named for the account as a whole
	FormerNames []string `json:"former_names,omitempty"`
	Invoices    []string `json:"invoices,omitempty"`
	OldTickets  []string `json:"old_tickets,omitempty"`
	Provenance
}

// Site is one of an account's instances of the product.
type Site struct {
	Account    string   `json:"account"`
	Name       string   `json:"name,omitempty"`
	URL        string   `json:"url,omitempty"`
	ProductIDs []string `json:"product_ids,omitempty"` // oldest first; the last is the one in use
	Products   []string `json:"products,omitempty"`
	Region     string   `json:"region,omitempty"`
	Tier       *int     `json:"tier,omitempty"`

	DeletedInProduct  *time.Time `json:"deleted_in_product,omitempty"` // the product said so; the record stays
	RestoredInProduct *time.Time `json:"restored_in_product,omitempty"`
	Provenance
}

// Contact is a person who belongs to an account.
type Contact struct {
	Account     string    `json:"account"`
	AccountWide bool      `json:"account_wide,omitempty"` // speaks for the account, whatever Sites says
	Sites       []string  `json:"sites,omitempty"`        // our ids of the sites it was named with
	Name        string    `json:"name,omitempty"`
	Roles       []string  `json:"roles,omitempty"`  // the names of what she is now, anywhere; Grants says where, and on whose word
	Grants      []Grant   `json:"grants,omitempty"` // none beside Roles: a record from before they were kept
	Emails      []Address `json:"emails,omitempty"`
	Phones      []Address `json:"phones,omitempty"`
	Locale      string    `json:"locale,omitempty"`    // BCP 47
	TimeZone    string    `json:"time_zone,omitempty"` // IANA
	Channels    []string  `json:"channels,omitempty"`  // the only ones to use; empty: all
	AtNight     bool      `json:"at_night,omitempty"`  // she wants to be told by night too
	ConfirmedAt time.Time `json:"confirmed_at,omitzero"`
	Provenance
}

// Address is one way to reach a contact, with what became of it.
type Address struct {
	Value        string    `json:"value"` // e-mail address, or E.164
	Source       string    `json:"source,omitempty"`
	How          How       `json:"how,omitempty"`
	FirstSeen    time.Time `json:"first_seen,omitzero"` // as hers
	ChangedAt    time.Time `json:"changed_at,omitzero"` // when anything below last changed; FirstSeen until then
	ConfirmedAt  time.Time `json:"confirmed_at,omitzero"`
	Bounced      bool      `json:"bounced,omitempty"`
	BounceReason string    `json:"bounce_reason,omitempty"`
	OptedOut     bool      `json:"opted_out,omitempty"`
	OptOutReason string    `json:"opt_out_reason,omitempty"`
}

// The roles.
const (
	Owner     = "owner"
	SiteAdmin = "site_admin"
	Billing   = "billing"
	Technical = "technical"
	Executive = "executive"
)

var roles = []string{Owner, SiteAdmin, Billing, Technical, Executive}

// The channels that a contact may choose among.
const (
	Email = "email"
	SMS   = "sms"
)

// For says whether what happens to the site (our id) concerns the contact: hers, or she is account-wide. The caller has
// made sure that the site is of her account.
func (c Contact) For(site string) bool {
	return c.AccountWide || len(c.Sites) == 0 || slices.Contains(c.Sites, site)
}

// Provenance is where a record's facts come from.
type Provenance struct {
	Sources   []Source          `json:"sources,omitempty"`
	Origins   map[string]Origin `json:"origins,omitempty"`   // of each single value, by column name
	Lists     map[string]Origin `json:"lists,omitempty"`     // of the values of lists that were not there from the first; see OriginOf
	Conflicts []Conflict        `json:"conflicts,omitempty"` // waiting for a person, oldest first
	Beyond    []uint64          `json:"beyond,omitempty"`    // digests of further ones that wait, unlisted
	Decided   []Decided         `json:"decided,omitempty"`   // offers that a person turned down, oldest first
}

// Waiting is how many conflicts wait for a person, those that are not listed among them.
func (p Provenance) Waiting() int { return len(p.Conflicts) + len(p.Beyond) }

// OriginOf is who brought a value of a list first, when, and how. Most values came with the record itself, so only of the others an origin
// is kept. Field is a column's name or one of ListProductIDs, ListSites.
func (p Provenance) OriginOf(field, value string) Origin {
	if o, later := p.Lists[listKey(field, value)]; later || len(p.Sources) == 0 {
		return o
	}
	return Origin{Source: p.Sources[0].Source, Seen: p.Sources[0].FirstSeen}
}

// Lists that no column is named after.
const (
	ListProductIDs = "product_ids"
	ListSites      = "sites"
)

func listKey(field, value string) string { return field + ":" + value }

// How is the road by which a fact came.
type How string

// The roads.
const (
	ByImport   How = "" // a file or a pull; nearly all came so, and this keeps them short
	ByCustomer How = "customer"
	ByStaff    How = "staff"
	ByOutreach How = "outreach"
	ByEvent    How = "event"
)

// String is the road's name.
func (h How) String() string {
	if h == ByImport {
		return "import"
	}
	return string(h)
}

// Source is one source's standing in a record.
type Source struct {
	Source      string    `json:"source"`
	FirstSeen   time.Time `json:"first_seen"`            // the import that first named the record
	LastSeen    time.Time `json:"last_seen"`             // the last import in which it said something new
	ConfirmedAt time.Time `json:"confirmed_at,omitzero"` // its newest confirmed_at
	Missing     time.Time `json:"missing,omitzero"`      // since when its full snapshots lack the record
}

// Origin is who said a value, how, and how fresh that was.
type Origin struct {
	Source      string    `json:"source"`
	ConfirmedAt time.Time `json:"confirmed_at,omitzero"`
	Seen        time.Time `json:"seen"`
	How         How       `json:"how,omitempty"`
	By          string    `json:"by,omitempty"` // the person who decided, where one did
	Why         string    `json:"why,omitempty"`
}

// Decided is an offer that a person turned down. The same word of the same source is not asked about again, unless it is confirmed
// after the decision.
type Decided struct {
	Field   string    `json:"field"`
	Offered string    `json:"offered"`
	Source  string    `json:"source"`
	Verdict Decision  `json:"verdict"`
	By      string    `json:"by"`
	Why     string    `json:"why,omitempty"`
	At      time.Time `json:"at"`
	// What it was about, and where the value that stood was from, so that it can be taken back; an older decision cannot.
	About Conflict `json:"about,omitzero"`
	Was   Origin   `json:"was,omitzero"`
}

// Conflict is a value that a source offered and that nobody may adopt without a person's decision.
type Conflict struct {
	ID      string    `json:"id,omitempty"` // of its entry in the list of all; "": from before that was kept
	Field   string    `json:"field"`
	Have    string    `json:"have"`
	Offered string    `json:"offered"`
	Source  string    `json:"source"`
	At      time.Time `json:"at"`

	ConfirmedAt time.Time `json:"confirmed_at,omitzero"` // what the source says of when its word was confirmed
}

// Alias leads from a key by which others know a record to our id. It is never removed.
type Alias struct {
	Scope  string    `json:"scope"`
	Value  string    `json:"value"`
	Of     string    `json:"of"`
	Also   []string  `json:"also,omitempty"` // names only: other records of the same name, so that the name alone says nothing
	Source string    `json:"source,omitempty"`
	Seen   time.Time `json:"seen"`
}

// The scopes of aliases. Values of all but the product ids begin with what they are unique in: the source, or the account's id.
const (
	scopeAccount     = "account"      // product id
	scopeSite        = "site"         // product id
	scopeAccountName = "account_name" // source, folded name
	scopeSiteURL     = "site_url"     // account, key of the URL
	scopeSiteName    = "site_name"    // account, folded name
	scopeContactName = "contact_name" // account, folded name of somebody with no address
)

// address leads from an e-mail address or phone to a contact, for want of a multi-valued index.
type address struct {
	Contact string `json:"contact"`
	Account string `json:"account"`
	Channel string `json:"channel"`
	Key     string `json:"key"` // the value, letter case folded

	Arrived Arrival `json:"arrived,omitzero"` // see [Book.Arrived]
}

// kept is how long a deleted account, site or contact can be brought back.
const kept = 180 * 24 * time.Hour

var accounts = store.Table[Account]{Kind: store.Kind{Name: "account", Prefix: "acc", Schema: 1, Keep: kept, Followed: true}}

var sites = store.Table[Site]{
	Kind: store.Kind{Name: "site", Prefix: "sit", Schema: 1, Keep: kept, Followed: true, Indexes: []store.Index{
		{Name: "account", Fields: []store.Field{{Name: "account", Type: store.Text}}},
	}},
	Tuples: func(s Site) store.Tuples { return store.Tuples{"account": {s.Account}} },
}

var people = store.Table[Contact]{
	Kind: store.Kind{Name: "contact", Prefix: "con", Schema: 1, Keep: kept, Followed: true, Indexes: []store.Index{
		{Name: "account", Fields: []store.Field{{Name: "account", Type: store.Text}}},
		{Name: "name", Fields: []store.Field{{Name: "account", Type: store.Text}, {Name: "name", Type: store.Blind}}},
	}},
	Tuples: func(c Contact) store.Tuples {
		t := store.Tuples{"account": {c.Account}}
		if c.Name != "" {
			t["name"] = []any{c.Account, fold(c.Name)}
		}
		return t
	},
}

var aliases = store.Table[Alias]{
	Kind: store.Kind{Name: "alias", Prefix: "ali", Schema: 1, Indexes: []store.Index{
		{Name: "value", Fields: []store.Field{{Name: "scope", Type: store.Text}, {Name: "value", Type: store.Blind}}, Unique: true},
		{Name: "of", Fields: []store.Field{{Name: "of", Type: store.Text}}},
	}},
	Tuples: func(a Alias) store.Tuples {
		return store.Tuples{"value": {a.Scope, a.Value}, "of": {a.Of}}
	},
}

var addresses = store.Table[address]{
	Kind: store.Kind{Name: "address", Prefix: "adr", Schema: 1, Indexes: []store.Index{
		{Name: "value", Fields: []store.Field{{Name: "channel", Type: store.Text}, {Name: "value", Type: store.Blind}, {Name: "contact", Type: store.Text}}, Unique: true},
		// Within an account. Colleagues may share a phone, an e-mail address is one person's: the last field is empty for it, so that
		// two imports at once cannot both make her.
		{Name: "account", Fields: []store.Field{{Name: "account", Type: store.Text}, {Name: "channel", Type: store.Text},
			{Name: "value", Type: store.Blind}, {Name: "sharer", Type: store.Text}}, Unique: true},
	}},
	Tuples: func(a address) store.Tuples {
		sharer := a.Contact
		if a.Channel == Email {
			sharer = ""
		}
		return store.Tuples{"value": {a.Channel, a.Key, a.Contact}, "account": {a.Account, a.Channel, a.Key, sharer}}
	},
}

// openConflict lists a conflict among those of all records, for want of an index into lists. What it is about stands on the record.
type openConflict struct {
	Of      string    `json:"of"` // our id of the record
	Account string    `json:"account"`
	At      time.Time `json:"at"`
}

var openConflicts = store.Table[openConflict]{
	Kind: store.Kind{Name: "conflict", Prefix: "cfl", Schema: 1, Indexes: []store.Index{
		{Name: "at", Fields: []store.Field{{Name: "at", Type: store.Time}}},
		{Name: "account", Fields: []store.Field{{Name: "account", Type: store.Text}, {Name: "at", Type: store.Time}}},
	}},
	Tuples: func(c openConflict) store.Tuples { return store.Tuples{"at": {c.At}, "account": {c.Account, c.At}} },
}

// A record that is about to change is cloned first, so that a row that turns out bad leaves no trace.

func (a Account) clone() Account {
	a.ProductIDs, a.Domains, a.Products = slices.Clone(a.ProductIDs), slices.Clone(a.Domains), slices.Clone(a.Products)
	a.FormerNames, a.Invoices, a.OldTickets = slices.Clone(a.FormerNames), slices.Clone(a.Invoices), slices.Clone(a.OldTickets)
	a.Provenance = a.Provenance.clone()
	return a
}

func (s Site) clone() Site {
	s.ProductIDs, s.Products = slices.Clone(s.ProductIDs), slices.Clone(s.Products)
	s.Provenance = s.Provenance.clone()
	return s
}

func (c Contact) clone() Contact {
	c.Sites, c.Roles, c.Channels = slices.Clone(c.Sites), slices.Clone(c.Roles), slices.Clone(c.Channels)
	c.Grants = slices.Clone(c.Grants) // their sites are replaced, never changed
	c.Emails, c.Phones = slices.Clone(c.Emails), slices.Clone(c.Phones)
	c.Provenance = c.Provenance.clone()
	return c
}

func (a Alias) clone() Alias {
	a.Also = slices.Clone(a.Also)
	return a
}

func (p Provenance) clone() Provenance {
	p.Sources, p.Conflicts, p.Origins = slices.Clone(p.Sources), slices.Clone(p.Conflicts), maps.Clone(p.Origins)
	p.Lists, p.Beyond, p.Decided = maps.Clone(p.Lists), slices.Clone(p.Beyond), slices.Clone(p.Decided)
	return p
}
