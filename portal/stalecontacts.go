package portal

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/templates"
)

// staleAnswer is a contact who may not be reached any more: why, what was tried and what comes next.
type staleAnswer struct {
	object
	Account   string             `json:"account_id"`
	Customer  string             `json:"account"`
	Name      string             `json:"name"`
	Roles     []string           `json:"roles"`
	Approved  bool               `json:"approved"`
	Why       contacts.Freshness `json:"why"`
	Emails    []reachAddress     `json:"emails"` // masked
	Phones    []reachAddress     `json:"phones"` // masked
	Confirmed *time.Time         `json:"confirmed_at"`
	Asked     *time.Time         `json:"asked_at"`
	Answered  *time.Time         `json:"answered_at"`
	Answer    string             `json:"answer"`
	Next      comms.NextStep     `json:"next_step"`
}

func staleOf(c comms.StaleContact) staleAnswer {
	v := c.Value
	return staleAnswer{object: objectOf(c.Meta), Account: v.Account, Customer: c.Customer, Name: v.Name, Roles: v.Roles, Approved: v.Approved(), Why: c.Why,
		Emails: masked(c.ID, contacts.Email, v.Emails, c.Last), Phones: masked(c.ID, contacts.SMS, v.Phones, c.Last), Confirmed: given(v.ConfirmedAt),
		Asked: given(c.Asked.AskedAt), Answered: given(c.Asked.AnsweredAt), Answer: c.Asked.Answer, Next: c.Next}
}

func (p *Portal) staleRoutes() []route {
	return []route{
		{method: "GET", path: "/api/v1/contacts/stale", right: auth.ContactRead, tag: "contacts",
			summary: "contacts who may not be reached any more, in the order of accounts, with what was tried and what comes next; a page may hold few or nobody and yet have a next; format=csv for a table",
			query:   []string{"why", "approved", "account", "after", "limit", "format"}, answer: list[staleAnswer]{}, gives: "text/csv", do: (*call).staleContacts},
		{method: "POST", path: "/api/v1/contacts/:id/unmask", right: auth.ContactUnmask, seenTo: []auth.Grant{auth.WithAudit}, tag: "contacts", summary: "a contact's addresses in full; the reason is kept",
			needs: []string{"reason"}, body: reasonBody{}, answer: unmaskedAnswer{}, do: func(k *call) error {
				var in reasonBody
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				if err := k.mayUnmask(); err != nil {
					return err
				}
				rec, err := p.Book.Unmask(k.UserContext(), k.person.ID, k.Params("id"), in.Reason)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, unmaskedAnswer{objectOf(rec.Meta), rec.Value.Account, rec.Value.Name, values(rec.Value.Emails), values(rec.Value.Phones)})
			}},
	}
}

type unmaskedAnswer struct {
	object
	Account string   `json:"account_id"`
	Name    string   `json:"name"`
	Emails  []string `json:"emails"`
	Phones  []string `json:"phones"`
}

func values(all []contacts.Address) (out []string) {
	for _, a := range all {
		out = append(out, a.Value)
	}
	return out
}

// staleQuery reads which contacts are asked for. The account may be named by any id that it ever had.
func (k *call) staleQuery() (q contacts.StaleQuery, err error) {
	q = contacts.StaleQuery{Why: contacts.Freshness(k.Query("why")), After: k.Query("after")}
	if err := q.Check(); err != nil {
		return q, err
	}
	if q.Speaks, err = boolParam(k.Ctx, "approved"); err != nil {
		return q, err
	}
	if q.Limit, err = limitParam(k.Ctx); err != nil {
		return q, err
	}
	if account := k.Query("account"); account != "" {
		err = k.p.DB.View(k.UserContext(), func(tx *store.Tx) error {
			rec, err := k.p.Book.Account(tx, account)
			q.Account = rec.ID
			return err
		})
	}
	return q, err
}

func (k *call) staleContacts() error {
	q, err := k.staleQuery()
	if err != nil {
		return err
	}
	if k.wantsTable() {
		return k.staleTable(q)
	}
	page, next, err := k.p.Comms.StaleContacts(k.UserContext(), q)
	if err != nil {
		return err
	}
	out := list[staleAnswer]{Next: next}
	for _, c := range page {
		out.Items = append(out.Items, staleOf(c))
	}
	return send(k.Ctx, 200, out)
}

// mostRows bounds a table, which is made in memory. What is behind it has a link (RFC 8288).
const mostRows = 100_000

// staleTable answers with all that is asked for, or with as many as were.
func (k *call) staleTable(q contacts.StaleQuery) error {
	most := mostRows
	if k.Query("limit") != "" {
		most = q.Limit
	}
	rows := [][]string{{"account_id", "account", "contact_id", "name", "roles", "may_speak", "why", "emails", "phones", "confirmed_at", "delivered_at", "bounced", "opted_out", "asked_at", "answered_at", "answer", "next_step"}}
	for more := true; more; {
		q.Limit = min(1000, most-len(rows)+1)
		page, next, err := k.p.Comms.StaleContacts(k.UserContext(), q)
		if err != nil {
			return err
		}
		for _, c := range page {
			rows = append(rows, staleRow(c))
		}
		q.After, more = next, next != "" && len(rows) <= most
	}
	if q.After != "" {
		k.Set(fiber.HeaderLink, "<"+k.p.URL+"/api/v1/contacts/stale?"+staleLink(q, "format", "csv").Encode()+`>; rel="next"`)
	}
	return k.sendCSV("stale-contacts.csv", rows)
}

// staleLink is the query of a link that goes on where q ends.
func staleLink(q contacts.StaleQuery, more ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	for name, value := range map[string]string{"why": string(q.Why), "account": q.Account, "after": q.After} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Speaks {
		v.Set("approved", "true")
	}
	return v
}

func staleRow(c comms.StaleContact) []string {
	v := c.Value
	var delivered time.Time
	cell := map[string][]string{} // what is said of addresses, by column
	for _, a := range addressesOf(c.Rec, c.Last) {
		shown := maskAddress(a.Channel, a.Value)
		cell[a.Channel] = append(cell[a.Channel], shown)
		if a.Bounced {
			cell["bounced"] = append(cell["bounced"], shown)
		}
		if a.OptedOut {
			cell["opted_out"] = append(cell["opted_out"], shown)
		}
		if a.Last.At.After(delivered) {
			delivered = a.Last.At
		}
	}
	in := func(column string) string { return strings.Join(cell[column], ";") }
	return []string{v.Account, c.Customer, c.ID, v.Name, strings.Join(v.Roles, ";"), strconv.FormatBool(v.Approved()), string(c.Why), in(contacts.Email), in(contacts.SMS), cellTime(v.ConfirmedAt),
		cellTime(delivered), in("bounced"), in("opted_out"), cellTime(c.Asked.AskedAt), cellTime(c.Asked.AnsweredAt), c.Asked.Answer, string(c.Next)}
}

// staleDesk is the list as people read it.
type staleDesk struct {
	shell
	Query    contacts.StaleQuery
	Customer string // of whom alone it is; "": of all
	All      []stalePerson
	Whys     []contacts.Freshness
	Table    string // of the same as a file
	First    string // the first page, when it is not this
	More     string
}

// stalePerson is one of them with her addresses, masked.
type stalePerson struct {
	comms.StaleContact
	Person personDesk
	Words  templates.Catalog
}

func (k *call) stalePeople() error {
	q, err := k.staleQuery()
	if err != nil {
		return err
	}
	v := staleDesk{shell: k.shell("desk.book.stale.people"), Query: q, Whys: []contacts.Freshness{contacts.StaleNow, contacts.NeverHeard, contacts.Unreachable}}
	page, next, err := k.p.Comms.StaleContacts(k.UserContext(), q)
	if err != nil {
		return err
	}
	for _, c := range page {
		v.All = append(v.All, stalePerson{c, maskedPerson(c.Rec, c.Last), v.Words})
		v.Customer = c.Customer
	}
	const at = "/desk/stale/contacts?"
	if q.After != "" {
		q.After = ""
		v.First = at + staleLink(q).Encode()
	}
	v.Table = "/api/v1/contacts/stale?" + staleLink(q, "format", "csv").Encode()
	if next != "" {
		q.After = next
		v.More = at + staleLink(q).Encode()
	}
	return k.p.render(k.Ctx, 200, "desk_stale_contacts", v)
}

// maskedPerson is a contact with her addresses as a page shows them.
func maskedPerson(c store.Rec[contacts.Contact], last contacts.Arrivals) personDesk {
	p := personDesk{ID: c.ID, Contact: c.Value, Addresses: addressesOf(c, last)}
	for i, a := range p.Addresses {
		p.Addresses[i].Value = maskAddress(a.Channel, a.Value)
	}
	return p
}
