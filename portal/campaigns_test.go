package portal

import (
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
)

func TestHowWellCustomersCouldBeRecovered(t *testing.T) {
	h := open(t)
	h.loadContacts()
	var r comms.Recoverability
	h.get(auth.Auditor, "/api/v1/contacts/recoverability?limit=1").want(200).into(&r)
	if r.Accounts != 2 || r.AccountsPercent != "50.0" || r.Sites != 4 || r.SitesPercent != "75.0" || len(r.Items) != 1 || r.Items[0].Recoverable || r.Items[0].Reasons[0] != "no_approved_contact" || r.Next == "" {
		t.Fatalf("%+v", r)
	}
	h.get(auth.Auditor, "/api/v1/contacts/recoverability?limit=1&after="+r.Next).want(200).into(&r)
	if len(r.Items) != 1 || !r.Items[0].Recoverable || r.Next != "" {
		t.Errorf("%+v", r)
	}
	h.get(auth.Auditor, "/api/v1/contacts/recoverability?after=x").want(422)
	for query, lines := range map[string]int{"format=csv": 3, "format=csv&limit=1": 2} { // a table is whole unless somebody asks for less
		if got := strings.Count(string(h.get(auth.Auditor, "/api/v1/contacts/recoverability?"+query).want(200).body), "\n"); got != lines {
			t.Errorf("%s: %d lines", query, got)
		}
	}
	var a comms.Audit
	h.get(auth.Auditor, "/api/v1/contacts/report").want(200).into(&a)
	if a.Contacts != 3 || a.Last != nil {
		t.Errorf("%+v", a)
	}
	h.post(auth.Support, "/api/v1/contacts/report", nil).want(200)
	h.clock.Turn(400 * 24 * time.Hour)
	h.get(auth.Auditor, "/api/v1/contacts/report").want(200).says(`"fresh":-3`, `"stale":3`)
	// A customer may be called as she likes: no spreadsheet reckons with it.
	h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=crm", media: "text/csv", body: "account_id,account,email\nA-3,\"=cmd|'/c calc'!A1\",x@three.example\nA-4,＝1+1,x@four.example\n"}).want(200)
	h.get(auth.Auditor, "/api/v1/contacts/recoverability?format=csv").want(200).says("account_id,account,recoverable,reasons", ",'=cmd|'/c calc'!A1,", ",'＝1+1,", ",Acme,")
}
