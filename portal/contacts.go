package portal

import (
	"io"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/fault"
)

type accountAnswer struct {
	object
	Name        string   `json:"name"`
	ProductIDs  []string `json:"product_ids"`
	Domains     []string `json:"domains"`
	Region      string   `json:"region,omitempty"`
	Tier        *int     `json:"tier"`
	FormerNames []string `json:"former_names,omitempty"`
	Locale      string   `json:"locale,omitempty"`
	TimeZone    string   `json:"time_zone,omitempty"`
	MatchedBy   string   `json:"matched_by,omitempty"` // in a search: see contacts.Hit
	Matched     string   `json:"matched,omitempty"`    // our id of the record that matched
	Similar     bool     `json:"similar,omitempty"`    // it is only similar to what was asked for
}

type siteAnswer struct {
	object
	Account    string     `json:"account_id"`
	Name       string     `json:"name"`
	URL        string     `json:"url,omitempty"`
	ProductIDs []string   `json:"product_ids"`
	Products   []string   `json:"products,omitempty"`
	Region     string     `json:"region,omitempty"`
	Deleted    *time.Time `json:"deleted_in_product"`
}

type contactAnswer struct {
	object
	Account   string         `json:"account_id"`
	Sites     []string       `json:"site_ids"`
	Name      string         `json:"name"`
	Roles     []string       `json:"roles"`
	Approved  bool           `json:"approved"`
	Emails    []reachAddress `json:"emails"` // masked
	Phones    []reachAddress `json:"phones"` // masked
	Locale    string         `json:"locale,omitempty"`
	Confirmed *time.Time     `json:"confirmed_at"`
	Sources   []string       `json:"sources"`
	Grants    []grantAnswer  `json:"grants"`
	Conflicts int            `json:"conflicts"`
}

// grantAnswer is a role with its place, its state and who says so. Only stated and confirmed ones count.
type grantAnswer struct {
	Role  string             `json:"role"`
	Sites []string           `json:"site_ids"` // none: the account as a whole
	State contacts.RoleState `json:"state"`
	From  originAnswer       `json:"from"`
}

type reachAddress struct {
	Value     string     `json:"value"`
	Bounced   bool       `json:"bounced"`
	OptedOut  bool       `json:"opted_out"`
	Confirmed *time.Time `json:"confirmed_at"`
	Source    string     `json:"source"`
	How       string     `json:"how"`
	FirstSeen *time.Time `json:"first_seen"`

	LastDelivered *time.Time `json:"last_delivered_at"`              // of a message that is known to have got there, to the day
	LastState     string     `json:"last_delivered_state,omitempty"` // "delivered", or "accepted": a mail relay took it, and no more is known
}

type accountView struct {
	Account  accountAnswer   `json:"account"`
	Sites    []siteAnswer    `json:"sites"`
	Contacts []contactAnswer `json:"contacts"`
	Work     workAnswer      `json:"work"`
}

type accountList struct {
	Items    []accountAnswer `json:"items"`
	Next     string          `json:"next"`
	Partial  bool            `json:"partial,omitempty"`  // there may be more
	Searched int             `json:"searched,omitempty"` // percent of the book that could be searched; below 100 for a while after a start
}

func accountOf(r store.Rec[contacts.Account]) accountAnswer {
	a := r.Value
	return accountAnswer{object: objectOf(r.Meta), Name: a.Name, ProductIDs: a.ProductIDs, Domains: a.Domains, Region: a.Region, Tier: a.Tier,
		FormerNames: a.FormerNames, Locale: a.Locale, TimeZone: a.TimeZone}
}

func siteOf(r store.Rec[contacts.Site]) siteAnswer {
	s := r.Value
	return siteAnswer{objectOf(r.Meta), s.Account, s.Name, s.URL, s.ProductIDs, s.Products, s.Region, s.DeletedInProduct}
}

// contactOf makes the answer of a contact, with when a message last got to each of her addresses.
func contactOf(r store.Rec[contacts.Contact], last contacts.Arrivals) contactAnswer {
	c := r.Value
	a := contactAnswer{object: objectOf(r.Meta), Account: c.Account, Sites: c.Sites, Name: c.Name, Roles: c.Roles, Approved: c.Approved(),
		Emails: masked(r.ID, contacts.Email, c.Emails, last), Phones: masked(r.ID, contacts.SMS, c.Phones, last), Locale: c.Locale, Confirmed: given(c.ConfirmedAt), Conflicts: c.Waiting()}
	for _, g := range c.AllGrants() {
		a.Grants = append(a.Grants, grantAnswer{g.Role, g.Sites, g.State, originOf(g.Origin)})
	}
	for _, s := range c.Sources {
		a.Sources = append(a.Sources, s.Source)
	}
	return a
}

func masked(contact, channel string, all []contacts.Address, last contacts.Arrivals) []reachAddress {
	out := []reachAddress{}
	for _, a := range all {
		r := reachAddress{Value: maskAddress(channel, a.Value), Bounced: a.Bounced, OptedOut: a.OptedOut, Confirmed: given(a.ConfirmedAt),
			Source: a.Source, How: a.How.String(), FirstSeen: given(a.FirstSeen)}
		if at := last.At(contact, channel, a.Value); !at.At.IsZero() {
			r.LastDelivered, r.LastState = &at.At, lastState(at)
		}
		out = append(out, r)
	}
	return out
}

func lastState(a contacts.Arrival) string {
	if a.Accepted {
		return "accepted"
	}
	return "delivered"
}

func maskAddress(channel, value string) string { return contacts.Mask(channel, value) }

func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (p *Portal) contactRoutes() []route {
	return []route{
		{method: "POST", path: "/api/v1/contacts/imports", right: auth.ContactImport, tag: "contacts", summary: "merge a file of accounts, sites and contacts", query: []string{"source", "dry_run", "snapshot"},
			media: "text/csv application/x-ndjson application/octet-stream", answer: contacts.Report{}, do: func(k *call) error {
				dry, err := boolParam(k.Ctx, "dry_run")
				if err != nil {
					return err
				}
				format := contacts.FormatAuto
				if f, err := fileFormat(k.Ctx); err == nil {
					format = map[string]string{"csv": contacts.FormatCSV, "jsonl": contacts.FormatJSONLines}[f]
				} else if k.Get(fiber.HeaderContentType) != fiber.MIMEOctetStream {
					return err
				}
				snapshot, err := boolParam(k.Ctx, "snapshot")
				if err != nil {
					return err
				}
				return p.importContacts(k, contacts.ImportOptions{Source: k.Query("source"), Format: format, DryRun: dry, Snapshot: snapshot})
			}},
		{method: "POST", path: "/api/v1/events/product", right: auth.ProductEvent, tag: "contacts", summary: "what happened in the product: marks, never removes",
			body: contacts.Event{}, answer: contacts.EventResult{}, do: func(k *call) error {
				var in contacts.Event
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				if err := k.mayReport(in.From()); err != nil {
					return err
				}
				result, err := p.Book.ProductEvent(k.UserContext(), k.person.ID, in)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, result)
			}},
		{method: "GET", path: "/api/v1/accounts", right: auth.AccountRead, tag: "contacts", summary: "search by name, address, domain or any id; without q, list", query: []string{"q", "after", "limit"},
			answer: accountList{}, do: func(k *call) error {
				limit, err := limitParam(k.Ctx)
				if err != nil {
					return err
				}
				if q := strings.TrimSpace(k.Query("q")); q != "" {
					found, err := p.Book.Search(k.UserContext(), q, limit)
					if err != nil {
						return err
					}
					out := accountList{Items: []accountAnswer{}, Partial: found.Partial, Searched: found.Read}
					for _, hit := range found.Hits {
						a := accountOf(hit.Account)
						a.MatchedBy, a.Matched, a.Similar = hit.Why, hit.On, hit.Typo
						out.Items = append(out.Items, a)
					}
					return send(k.Ctx, 200, out)
				}
				page, next, err := p.Book.Accounts(k.UserContext(), store.Query{After: k.Query("after"), Limit: limit})
				if err != nil {
					return err
				}
				return sendList(k, page, next, accountOf)
			}},
		{method: "GET", path: "/api/v1/accounts/:id", right: auth.AccountRead, tag: "contacts", summary: "an account with all its work objects: sites and where they stand, contacts, tickets, tasks, escalations, calls, messages; addresses masked", query: []string{"after"}, answer: accountView{}, do: func(k *call) error {
			v, err := p.Book.AccountView(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			out := accountView{Account: accountOf(v.Account), Sites: []siteAnswer{}, Contacts: []contactAnswer{}}
			for _, s := range v.Sites {
				out.Sites = append(out.Sites, siteOf(s))
			}
			for _, c := range v.Contacts {
				out.Contacts = append(out.Contacts, contactOf(c, v.Arrivals))
			}
			if out.Work, err = k.workOf(v.Account.ID, k.Query("after")); err != nil {
				return err
			}
			return send(k.Ctx, 200, out)
		}},
		{method: "GET", path: "/api/v1/sites/:id/contacts", right: auth.ContactRead, tag: "contacts", summary: "whom to tell of a site; approved=true: who may speak for it", query: []string{"approved"},
			answer: list[contactAnswer]{}, do: func(k *call) error {
				approved, err := boolParam(k.Ctx, "approved")
				if err != nil {
					return err
				}
				who := contacts.Everyone
				if approved {
					who = contacts.ApprovedOnly
				}
				var all []store.Rec[contacts.Contact]
				var last contacts.Arrivals
				err = p.DB.View(k.UserContext(), func(tx *store.Tx) (err error) {
					if all, err = p.Book.ContactsOfSite(tx, k.Params("id"), who); err != nil || len(all) == 0 {
						return err
					}
					last, err = p.Book.Arrivals(tx, all[0].Value.Account)
					return err
				})
				if err != nil {
					return err
				}
				return sendList(k, all, "", func(c store.Rec[contacts.Contact]) contactAnswer { return contactOf(c, last) })
			}},
		{method: "POST", path: "/api/v1/tokens", right: auth.TokenIssue, tag: "staff", summary: "issue a token, or a sign-in link", status: 201, body: tokenBody{}, answer: tokenAnswer{}, do: p.issueToken},
		{method: "DELETE", path: "/api/v1/tokens/:id", right: auth.TokenIssue, tag: "staff", summary: "revoke a token or session", status: 204, do: func(k *call) error {
			if err := p.Gate.Revoke(k.UserContext(), k.person.ID, k.Params("id"), k.Query("reason")); err != nil {
				return err
			}
			return k.SendStatus(fiber.StatusNoContent)
		}},
	}
}

// importContacts imports the body. What a source with a secret sends is not written before its signature was seen to be right.
func (p *Portal) importContacts(k *call, o contacts.ImportOptions) error {
	in := stream(k.Ctx, maxImport)
	s, err := k.signature(o.Source)
	if err != nil {
		return err
	}
	if s != nil {
		in = io.TeeReader(in, s)
		o.Check = func() error { return k.judge(s, o.Source) }
	}
	report, err := p.Book.Import(k.UserContext(), k.person.ID, in, o)
	if err != nil {
		return err
	}
	if w := report.Waiting; w != nil && !o.DryRun {
		then := "send the same file again"
		if w.Held {
			then = "the change is run, and imports the file, which is kept until then"
		}
		return fault.New(fault.Conflict, "nothing was imported: it would add %d addresses to customers whom the book knows, beside %d that other files of this source added lately, to %d in all, "+
			"and that takes a second person. Somebody else approves the change %s (%s/desk/changes/%[4]s); then %[6]s", w.Addresses, w.Before, w.Of, w.Change, p.URL, then)
	}
	return send(k.Ctx, 200, report)
}

// mayReport refuses an event that is not signed as it should be. Once any source of the product's class signs, all that report events do:
// else whoever holds a token would name one that does not.
func (k *call) mayReport(source string) error {
	if len(k.p.Secrets[source]) > 0 {
		return k.signedBody(source)
	}
	if k.Context().UserValue(controlKey) == true {
		return nil
	}
	for other := range k.p.Secrets {
		if k.p.Book.Policy.Class(other) == "product" {
			return errSignature
		}
	}
	return nil
}

type tokenBody struct {
	Role       string `json:"role"`
	Name       string `json:"name"`
	TTLSeconds int    `json:"ttl_seconds,omitempty"`
	Link       bool   `json:"link,omitempty"`
}

type tokenAnswer struct {
	ID      string     `json:"id,omitempty"`
	Token   string     `json:"token,omitempty"`
	Link    string     `json:"link,omitempty"`
	Expires *time.Time `json:"expires_at"`
}

func (p *Portal) issueToken(k *call) error {
	var in tokenBody
	if err := decode(k.Ctx, &in); err != nil {
		return err
	}
	role, err := auth.ParseRole(in.Role)
	if err != nil {
		return err
	}
	if in.TTLSeconds < 0 {
		return fault.BadField("ttl_seconds", "must not be negative")
	}
	to := auth.Grantee{Role: role, Name: in.Name, TTL: time.Duration(in.TTLSeconds) * time.Second}
	if in.Link {
		link, err := p.Gate.Link(k.UserContext(), k.person.ID, to, p.URL)
		if err != nil {
			return err
		}
		return send(k.Ctx, 201, tokenAnswer{Link: link})
	}
	t, err := p.Gate.Issue(k.UserContext(), k.person.ID, to)
	if err != nil {
		return err
	}
	return send(k.Ctx, 201, tokenAnswer{ID: t.ID, Token: t.JWT, Expires: &t.Expires})
}
