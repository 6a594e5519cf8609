package portal

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
)

// Whoever may not be reached any more is listed by name with what to do next: on the desk, for programs and for a spreadsheet.
func TestStaleContactsAreListedOneByOne(t *testing.T) {
	h := open(t)
	h.clock.Turn(400 * 24 * time.Hour)
	fresh := h.clock.Now().Format(time.DateOnly)
	h.bring("billing", "account_id,account,name,role,email,phone,confirmed_at\n"+
		"A-1,Acme,Ann Lee,owner,ann@acme.example,+12025550101,2022-04-01\n"+
		"A-1,Acme,Bob Roe,billing,bob@acme.example,,\n"+
		"A-1,Acme,Fay Orr,owner,fay@acme.example,,"+fresh+"\n"+
		"A-2,\"=cmd|'/c calc'!A1\",+Dan Ito,executive,dan@bolt.example,+12025550102,2022-04-01\n")
	err := h.DB.Update(context.Background(), store.Act{By: "system:test"}, func(tx *store.Tx) error {
		dan, err := h.Book.ByAddress(tx, contacts.Email, "dan@bolt.example")
		if err != nil {
			return err
		}
		return h.Book.Bounced(tx, dan[0].ID, contacts.Email, "dan@bolt.example", "no such mailbox")
	})
	if err != nil {
		t.Fatal(err)
	}
	const at = "/api/v1/contacts/stale"
	var all []staleAnswer
	for after, pages := "", 0; after != "" || pages == 0; pages++ {
		var page list[staleAnswer]
		h.get(auth.Auditor, at+"?limit=1&after="+url.QueryEscape(after)).want(200).silent("ann@acme", "2025550101").into(&page)
		all, after = append(all, page.Items...), page.Next
		if pages > 5 {
			t.Fatal("the list has no end")
		}
	}
	said := func(all []staleAnswer) (out []string) {
		for _, c := range all {
			out = append(out, strings.Join([]string{c.Customer, c.Name, string(c.Why), string(c.Next)}, " "))
		}
		slices.Sort(out)
		return out
	}
	same(t, "all", said(all), []string{"=cmd|'/c calc'!A1 +Dan Ito stale ask_sms", "Acme Ann Lee stale ask_mail", "Acme Bob Roe never ask_mail"})
	for query, want := range map[string][]string{
		"why=never":                       {"Acme Bob Roe never ask_mail"},
		"why=stale&approved=true":         {"=cmd|'/c calc'!A1 +Dan Ito stale ask_sms", "Acme Ann Lee stale ask_mail"},
		"why=unreachable":                 nil,
		"account=A-2":                     {"=cmd|'/c calc'!A1 +Dan Ito stale ask_sms"},
		"account=A-1&approved=true&why=":  {"Acme Ann Lee stale ask_mail"},
		"account=A-2&why=never&limit=200": nil,
	} {
		var page list[staleAnswer]
		h.get(auth.Support, at+"?"+query).want(200).into(&page)
		same(t, query, said(page.Items), want)
	}
	same(t, "a degree that is none", h.get(auth.Support, at+"?why=fresh").want(422).named(), []string{"why"})
	same(t, "a cursor that is none", h.get(auth.Support, at+"?after=x").want(422).named(), []string{"after"})
	h.get(auth.Support, at+"?account=nobody").want(404)

	table := h.get(auth.Auditor, at+"?format=csv").want(200)
	table.says("account_id,account,contact_id,name,roles,may_speak,why,", ",'=cmd|'/c calc'!A1,", ",'+Dan Ito,executive,true,stale,d…@bolt.example,'+12…02,", "ask_sms\n").silent("dan@bolt", "Fay")
	if lines := strings.Count(string(table.body), "\n"); lines != 4 || table.Header.Get("Link") != "" {
		t.Errorf("%d lines, %s", lines, table.Header.Get("Link"))
	}
	part := h.get(auth.Auditor, at+"?format=csv&limit=2&approved=true").want(200)
	if link := part.Header.Get("Link"); strings.Count(string(part.body), "\n") != 3 || link != "" {
		t.Errorf("two of two: %s, %s", part.body, link)
	}
	part = h.get(auth.Auditor, at+"?format=csv&limit=1&approved=true").want(200)
	next, _, linked := strings.Cut(strings.TrimPrefix(part.Header.Get("Link"), "<"+h.URL), `>; rel="next"`)
	if !linked || strings.Count(string(h.get(auth.Auditor, next).want(200).body), "\n") != 2 {
		t.Errorf("one of two, and no way to the other: %s", part.Header.Get("Link"))
	}

	desk := h.sits(auth.Support)
	desk.page("/desk/stale").want(200).says("/desk/stale/contacts")
	page := desk.page("/desk/stale/contacts").want(200)
	page.says("Ann Lee", "Bob Roe", "never confirmed", "a…@acme.example", "the address bounced", "Ask by text message", "not asked", "confirmed too long ago", "confirmed 2022-04-01").silent("ann@acme.example", "Fay Orr", "⟦")
	desk.page("/desk/stale/contacts?why=never&approved=true").want(200).says("Nothing in this list").silent("Bob Roe")
	desk.page("/desk/stale/contacts?limit=1").want(200).says("after=")
	desk.page("/desk/stale/contacts?account=A-1&lang=ja").want(200).silent("⟦", "Dan Ito")
}

// Somebody who has to call a contact sees the number, for a reason that is kept, and nobody sees it by reading a list.
func TestAContactIsShownInFullForAReason(t *testing.T) {
	h := open(t)
	h.loadContacts()
	var people list[contactAnswer]
	h.get(auth.Support, "/api/v1/sites/S-1/contacts").want(200).silent("ann@acme.example").into(&people)
	ann, account := people.Items[0].ID, h.accountID("A-1")
	at := "/api/v1/contacts/" + ann + "/unmask"
	same(t, "without a reason", h.post(auth.Support, at, map[string]any{"reason": " "}).want(422).named(), []string{"reason"})
	h.post(auth.Auditor, at, map[string]any{"reason": "x"}).want(403)
	h.post(auth.Support, "/api/v1/contacts/con_none/unmask", map[string]any{"reason": "x"}).want(404)
	h.post(auth.Support, at, map[string]any{"reason": "nobody answers her mail"}).want(200).says(`"ann@acme.example"`)

	desk := h.sits(auth.Support)
	path := "/desk/accounts/" + account
	desk.page(path).want(200).says("Show addresses in full").silent("ann@acme.example")
	desk.press(path+"/unmask", "contact", ann, "reason", "").want(422).silent("ann@acme.example")
	desk.press(path+"/unmask", "contact", ann, "reason", "calls her").want(200).says("ann@acme.example", "Who looked")
	desk.page(path).want(200).silent("ann@acme.example")
	h.sits(auth.Auditor).page(path).want(200).silent("Show addresses in full")
	n := 0
	err := h.DB.View(context.Background(), func(tx *store.Tx) error {
		rows, _, err := store.AuditRows(tx, store.Query{})
		for _, rec := range rows {
			if rec.Value.Verb == "contact.unmask" && slices.Contains(rec.Value.On, ann) {
				n++
			}
		}
		return err
	})
	if err != nil || n != 2 {
		t.Errorf("%d looks are on record, %v; want 2", n, err)
	}
}
