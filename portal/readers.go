package portal

import (
	"cmp"
	"context"
	"encoding/csv"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store"
)

type outreachBody struct {
	Contacts []string `json:"contacts"`
}

type owedAnswer struct {
	Owed int `json:"owed"` // tasks that are open now, those that were before among them
}

func (p *Portal) readerRoutes() []route {
	const base = "/api/v1/updates/:id"
	return []route{
		{method: "GET", path: base + "/readers", right: auth.UpdateRead, tag: "updates",
			summary: "who said that she has read it, who opened the page behind her link, and who did neither; by person, customer or site, the latter as far as the one of their people who came farthest; a page may hold few or nobody and yet have a next",
			query:   []string{"by", "read", "approved", "after", "limit"}, answer: list[comms.Reader]{}, do: func(k *call) error {
				q, err := k.readerQuery()
				if err != nil {
					return err
				}
				page, next, err := p.Comms.Readers(k.UserContext(), k.Params("id"), q)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, list[comms.Reader]{Items: page, Next: next})
			}},
		{method: "POST", path: base + "/outreach", right: auth.TaskWork, tag: "updates", summary: "have people called who may speak for a customer and have not said that they read it: a task for each, which ends by itself once she says so",
			needs: []string{"contacts"}, body: outreachBody{}, answer: owedAnswer{}, do: func(k *call) error {
				var in outreachBody
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				owed, err := p.Comms.OweReaders(k.UserContext(), k.person.ID, k.Params("id"), in.Contacts)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, owedAnswer{owed})
			}},
		{method: "GET", path: "/desk/updates/:id/readers", page: true, right: auth.UpdateRead, do: func(k *call) error { return k.readerList(200, nil) }},
		{method: "POST", path: "/desk/updates/:id/readers", page: true, right: auth.TaskWork, do: func(k *call) error {
			if _, err := p.Comms.OweReaders(k.UserContext(), k.person.ID, k.Params("id"), k.ticked("contacts")); err != nil {
				return k.readerList(problemOf(err).Status, err)
			}
			rec, _, err := p.Comms.Update(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return k.Redirect("/desk/tasks?incident="+rec.Value.Incident, fiber.StatusSeeOther)
		}},
	}
}

func (k *call) readerQuery() (q comms.ReaderQuery, err error) {
	q = comms.ReaderQuery{By: k.Query("by"), Read: k.Query("read"), After: k.Query("after")}
	if q.Approved, err = boolParam(k.Ctx, "approved"); err != nil {
		return q, err
	}
	q.Limit, err = limitParam(k.Ctx)
	return q, err
}

// readerListView is who has read an update, as the staff read it.
type readerListView struct {
	shell
	Update updateAnswer
	Reach  comms.Reach
	Query  comms.ReaderQuery
	All    []comms.Reader
	Next   string
	Names  map[string]string // of customers, sites and, for whoever may read them, contacts, by our id
	Calls  bool              // whoever looks may have those on the list called
	Reads  []string
	Bys    []string
}

// To is the address of the list with one thing chosen otherwise.
func (v readerListView) To(name, value string) string {
	q := url.Values{"by": {cmp.Or(v.Query.By, "person")}}
	if v.Query.Read != "" {
		q.Set("read", v.Query.Read)
	}
	if v.Query.Approved {
		q.Set("approved", "true")
	}
	if q.Set(name, value); value == "" {
		q.Del(name)
	}
	return "/desk/updates/" + v.Update.ID + "/readers?" + q.Encode()
}

// Called is how people call a customer, a site or a contact; the id when nobody has named it.
func (v readerListView) Called(id string) string { return cmp.Or(v.Names[id], id) }

// Counts are the people of the list's choice who came so far.
func (v readerListView) Counts(read string) int {
	r := v.Reach.Read
	if v.Query.Approved {
		r = v.Reach.ReadApproved
	}
	switch read {
	case comms.ReadAcknowledged:
		return r.Acknowledged
	case comms.ReadOpened:
		return r.Opened
	}
	return r.Neither
}

func (k *call) readerList(status int, refused error) error {
	ctx, id := k.UserContext(), k.Params("id")
	rec, _, err := k.p.Comms.Update(ctx, id)
	if err != nil {
		return err
	}
	v := readerListView{shell: k.shell("desk.reach"), Update: updateOf(rec, nil), Reads: []string{comms.ReadAcknowledged, comms.ReadOpened, comms.ReadNeither}, Bys: []string{"person", "customer", "site"}}
	v.Title = v.Words.T("desk.readers", rec.Value.Number)
	if v.Query, err = k.readerQuery(); err != nil {
		return err
	}
	if v.Reach, err = k.p.Comms.Reach(ctx, id); err != nil {
		return err
	}
	if v.All, v.Next, err = k.p.Comms.Readers(ctx, id, v.Query); err != nil {
		return err
	}
	v.Calls = cmp.Or(v.Query.By, "person") == "person" && v.Query.Approved && v.May(string(auth.TaskWork))
	if v.Names, err = k.readerNames(v.All); err != nil {
		return err
	}
	if refused != nil {
		v.refused(refused)
	}
	return k.p.render(k.Ctx, status, "desk_readers", v)
}

// readerNames are the names of those on a list; of contacts for whoever may read them.
func (k *call) readerNames(all []comms.Reader) (map[string]string, error) {
	var sites, accounts []string
	for _, one := range all {
		accounts = append(accounts, one.Account)
		if one.Site != "" {
			sites = append(sites, one.Site)
		}
	}
	names, err := k.p.Book.Names(k.UserContext(), sites, slices.Compact(accounts))
	if err != nil || k.person.Can(auth.ContactRead) != nil {
		return names, err
	}
	return names, k.p.DB.View(k.UserContext(), func(tx *store.Tx) error {
		for _, one := range all {
			if one.Contact == "" {
				continue
			}
			who, err := k.p.Book.Contact(tx, one.Contact)
			if err := ifThere(err); err != nil {
				return err
			}
			names[one.Contact] = who.Value.Name
		}
		return nil
	})
}

// deliveryTable streams the deliveries of an update that are asked for. That it began is in the audit log before the first byte.
func (k *call) deliveryTable(q comms.DeliveryQuery) error {
	id, p := k.Params("id"), k.p
	if err := p.Comms.NoteTable(k.UserContext(), k.person.ID, id); err != nil {
		return err
	}
	return k.stream("text/csv; charset=utf-8", "reach.csv", func(ctx context.Context, to io.Writer) error {
		w := csv.NewWriter(to)
		if err := w.Write([]string{"account_id", "account", "site_ids", "sites", "contact_id", "may_speak", "channel", "address", "locale", "state", "reason", "attempts", "at", "opened_at", "acknowledged_at"}); err != nil {
			return err
		}
		q.Limit = 1000
		for more := true; more; {
			page, next, err := p.Comms.Deliveries(ctx, id, q)
			if err != nil {
				return err
			}
			var accounts, sites []string
			for _, d := range page {
				accounts, sites = append(accounts, d.Account), append(sites, d.Sites...)
			}
			names, err := p.Book.Names(ctx, distinct(sites), distinct(accounts))
			if err != nil {
				return err
			}
			for _, d := range page {
				if err := writeCells(w, deliveryRow(d, names)); err != nil {
					return err
				}
			}
			q.After, more = next, next != ""
		}
		w.Flush()
		return w.Error()
	})
}

// distinct are the ids of a list, each once, without those that are missing.
func distinct(ids []string) []string {
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == "" })
}

func deliveryRow(d comms.Told, names map[string]string) []string {
	var called []string
	for _, site := range d.Sites {
		called = append(called, names[site])
	}
	row := []string{d.Account, names[d.Account], strings.Join(d.Sites, ";"), strings.Join(called, ";"), d.Contact, strconv.FormatBool(d.Approved), d.Channel, maskAddress(d.Channel, d.Address), d.Locale,
		string(d.State), d.Reason, itoa(d.Attempts), cellTime(d.At), "", ""}
	if d.Opened != nil {
		row[len(row)-2] = cellTime(*d.Opened)
	}
	if d.Acknowledged != nil {
		row[len(row)-1] = cellTime(*d.Acknowledged)
	}
	return row
}
