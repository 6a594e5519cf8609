package portal

import (
	"net/url"
	"strings"
	"testing"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
)

// Staff see which account a ticket may belong to and why, confirm it, find the ticket at the account, and can take it back. The customer sees
// nothing of it.
func TestStaffHangATicketOnTheAccountThatIsProposed(t *testing.T) {
	h := open(t)
	h.loadContacts()
	r, err := h.Desk.File(t.Context(), "public:web", desk.Intake{Message: "Our site is gone", Company: "acme", Email: "somebody@gmail.com"})
	if err != nil {
		t.Fatal(err)
	}
	api := "/api/v1/tickets/" + r.Number
	var likely proposalsAnswer
	h.get(auth.Support, api+"/accounts").want(200).into(&likely)
	if len(likely.Items) == 0 || likely.Items[0].Score == 0 || len(likely.Items[0].Reasons) == 0 || len(likely.Flags) != 1 || likely.Flags[0].Code != "freemail" || likely.Searched != 100 {
		t.Fatalf("%+v", likely)
	}
	account := likely.Items[0].Account.ID
	h.get(auth.Support, api).want(200).says(`"account_id":""`)

	cookie, csrf := h.signIn(auth.Support)
	page := func(path string) answer {
		return h.do(ask{method: "GET", path: path, header: map[string]string{"Cookie": cookie.String()}})
	}
	page("/desk/tickets/"+r.Number).want(200).says("/desk/accounts/"+account, "anybody can have an address at gmail.com", `value="`+account+`"`)
	press := func(account string) answer {
		return h.do(ask{method: "POST", path: "/desk/tickets/" + r.Number + "/account", media: "application/x-www-form-urlencoded",
			body: url.Values{"account": {account}, "csrf": {csrf}}.Encode(), header: map[string]string{"Cookie": cookie.String(), "Origin": h.URL}})
	}
	press(account).want(303)
	page("/desk/tickets/" + r.Number).want(200).says("Take it off this account").silent("It is this account")
	page("/desk/accounts/" + account).want(200).says(r.Number)
	press("").want(303)
	press("").want(409)
	page("/desk/accounts/" + account).want(200).silent(r.Number)

	if got := h.post(auth.Support, api+"/account", map[string]any{"account_id": account, "reason": "called back"}).want(200); got.text("account_id") != account || got.text("level") != "L0" {
		t.Errorf("%s", got.body)
	}
	h.do(ask{as: auth.Support, method: "DELETE", path: api + "/account", header: map[string]string{"If-Match": `"1"`}}).want(412)
	h.do(ask{as: auth.Support, method: "DELETE", path: api + "/account?reason=mistaken"}).want(200)
	same(t, "without an account", h.post(auth.Support, api+"/account", map[string]any{"reason": "x"}).want(422).named(), []string{"account_id"})
	h.get(auth.Support, "/api/v1/tickets/LL-NONE/accounts").want(404)
}

// One box finds accounts and tickets; where nothing is found it says what to try; and nothing unmasked stands on the pages.
func TestTheSearchPage(t *testing.T) {
	h := open(t)
	h.loadContacts()
	cookie, _ := h.signIn(auth.Support)
	page := func(path string) answer {
		return h.do(ask{method: "GET", path: path, header: map[string]string{"Cookie": cookie.String()}})
	}
	page("/desk/search").want(200).says(`name="q"`).silent("Nothing for")
	var found accountList
	h.get(auth.Support, "/api/v1/accounts?q=Acme").want(200).into(&found)
	if len(found.Items) == 0 || found.Searched != 100 {
		t.Fatalf("%+v", found)
	}
	page("/desk/search?q=acme").want(200).says("/desk/accounts/"+found.Items[0].ID, "by its name")
	page("/desk/search?q="+url.QueryEscape("<b>qqq")).want(200).says("Nothing for “&lt;b&gt;qqq”", "invoice number")
	page("/desk/search?q=" + strings.Repeat("x", 201)).want(422)
	r, err := h.Desk.File(t.Context(), "public:web", desk.Intake{Message: "help", Email: "x@y.example"})
	if err != nil {
		t.Fatal(err)
	}
	page("/desk/search?q=" + r.Number).want(200).says("/desk/tickets/" + r.Number)
	whole := page("/desk/accounts/"+found.Items[0].ID).want(200).says(found.Items[0].Name, "…@").body
	for line := range strings.Lines(string(whole)) {
		if strings.Contains(line, "ann@") || strings.Contains(line, "+4930901820") {
			t.Errorf("an address in full: %s", line)
		}
	}
	page("/desk/accounts/acc_none").want(404)
}
