package portal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/templates"
)

func rawJSON(s string) json.RawMessage { return json.RawMessage(s) }

func TestDeclaringAnIncident(t *testing.T) {
	h := open(t)
	same(t, "nothing given", h.post(auth.Support, "/api/v1/incidents", map[string]any{}).want(422).named(), []string{"title"})
	same(t, "of the worst", h.post(auth.Support, "/api/v1/incidents", map[string]any{"title": "x", "severity": "P0"}).want(422).named(), []string{"category"})
	same(t, "unknown", h.post(auth.Support, "/api/v1/incidents", map[string]any{"title": "x", "state": "resolved"}).want(422).named(), []string{"state"})
	a := h.post(auth.Support, "/api/v1/incidents", map[string]any{"title": "Sites deleted", "severity": "P0", "category": "data", "impact": "Customers cannot open their sites.",
		"summary": "s", "detected_by": "a customer", "detected_at": outbreak.Add(-time.Hour), "scope_estimate": "about 700"}).want(201)
	id := a.text("id")
	if a.Header.Get("Location") != "/api/v1/incidents/"+id || !strings.HasPrefix(a.text("url"), h.URL+"/incidents/") || a.text("state") != comms.Open {
		t.Errorf("%s", a.body)
	}
	path := "/api/v1/incidents/" + id
	h.get(auth.Auditor, path).want(200).says(`"title":"Sites deleted"`, `"detected_by":"a customer"`, `"scope_estimate":"about 700"`)
	patch := func(as auth.Role, body map[string]any) answer {
		return h.do(ask{as: as, method: "PATCH", path: path, body: body})
	}
	same(t, "no reason", patch(auth.Commander, map[string]any{"severity": "P2"}).want(422).named(), []string{"reason"})
	patch(auth.Commander, map[string]any{"severity": "P2", "reason": "few are hit"}).want(200).says(`"severity":"P2"`)
	patch(auth.Support, map[string]any{"severity": "P1", "reason": "x"}).want(403)
	h.do(ask{as: auth.Security, method: "PUT", path: path + "/security-cause", body: map[string]any{"security_cause": "ruled_out", "reason": "the logs are whole"}}).want(200).
		says(`"security_cause":"ruled_out"`)
	h.do(ask{as: auth.Admin, method: "PUT", path: path + "/security-cause", body: map[string]any{"security_cause": "confirmed", "reason": "x"}}).want(403)
	var log list[entryAnswer]
	h.get(auth.Auditor, path+"/log").want(200).into(&log)
	if len(log.Items) < 3 {
		t.Errorf("the log: %+v", log.Items)
	}
	h.get(auth.Auditor, "/api/v1/incidents/inc_nothing").want(404)
	h.get(auth.Auditor, "/api/v1/incidents?state=nonsense")
}

func TestTheAffectedSetNamesWhatItRefuses(t *testing.T) {
	h := open(t)
	h.loadContacts()
	path := "/api/v1/incidents/" + h.declare() + "/affected"
	load := func(query, media, body string) answer {
		return h.do(ask{as: auth.Automation, method: "PUT", path: path + query, media: media, body: body})
	}
	var account string
	var found list[map[string]any]
	h.get(auth.Auditor, "/api/v1/accounts").want(200).into(&found)
	account = found.Items[0]["id"].(string)

	for media, body := range map[string]string{
		"text/csv":             "site_id,batch\nS-1,one\n" + account + ",one\nno-such-site,\nA-1,\n",
		"application/x-ndjson": `{"site_id":"S-1"}` + "\n" + fmt.Sprintf(`{"site_id":%q}`, account) + "\n" + `{"site_id":"no-such-site"}` + "\n" + `{"site_id":"A-1"}` + "\n",
	} {
		a := load("", media, body).want(422).says(account, "no-such-site")
		if n := len(a.named()); n != 3 {
			t.Errorf("%s: %d lines are named, want three:\n%s", media, n, a.body)
		}
	}
	var figures templates.Figures
	ledger := strings.TrimSuffix(path, "/affected") + "/ledger"
	total := func() int {
		t.Helper()
		h.get(auth.Auditor, ledger).want(200).into(&figures)
		return figures.Sites.Total
	}
	if n := total(); n != 0 {
		t.Errorf("%d sites of a refused file were kept", n)
	}
	var report comms.AffectedReport
	load("?dry_run=true", "text/csv", "site_id\nS-1\nS-2\n").want(200).into(&report)
	if report.Rows != 2 || report.Added != 2 || total() != 0 {
		t.Errorf("a dry run: %+v, %d sites", report, total())
	}
	load("", "text/csv; charset=utf-8", "\ufeffsite_id\r\nS-1\r\nS-2\r\n").want(200).into(&report)
	if report.Added != 2 || report.Total != 2 || total() != 2 {
		t.Errorf("%+v", report)
	}
	load("", "application/x-ndjson", `{"site_id":"S-2"}`+"\n"+`{"site_id":"S-4"}`).want(200).into(&report)
	if report.Added != 1 || report.Unchanged != 1 || report.Total != 3 || total() != 3 {
		t.Errorf("%+v", report)
	}
	load("?dry_run=perhaps", "text/csv", "site_id\nS-1\n").want(422)
	load("", "application/json", `[]`).want(415)
	load("", "text/csv", "").want(422)
	load("", "text/csv", "name\nS-1\n").want(422)
}

// moves sends lines and gives what became of each.
func (h *house) moves(as auth.Role, incident string, lines ...string) comms.MoveReport {
	h.Helper()
	var r comms.MoveReport
	h.do(ask{as: as, method: "POST", path: "/api/v1/incidents/" + incident + "/sites", media: "application/x-ndjson", body: strings.Join(lines, "\n")}).want(200).into(&r)
	return r
}

func TestMovesInTheLedger(t *testing.T) {
	h := open(t)
	incident := h.world()
	states := func() map[string]int {
		t.Helper()
		var f templates.Figures
		h.get(auth.Auditor, "/api/v1/incidents/"+incident+"/ledger").want(200).into(&f)
		return f.Sites.ByState
	}
	// One bad line names itself and spoils no other.
	r := h.moves(auth.Automation, incident, `{"site_id":"S-1","state":"restoring","batch":"b1","method":"snapshot"}`, `{"site_id":"nobody","state":"restoring"}`, `{"site_id":"S-2","state":"gone"}`,
		`not JSON`, `{"site_id":"S-3","state":"restoring","bogus":1}`, `{"site_id":"S-4","state":"restoring","restore_point":"2022-04-05T07:00:00Z"}`)
	for i, line := range r.Results {
		if good := i == 0 || i == 5; line.Line != i+1 || good != (line.Result == comms.ResultMoved) || good != (line.Reason == "") {
			t.Errorf("%+v", line)
		}
	}
	if r.Rejected != 4 || r.Moved != 2 || len(r.Results) != 6 {
		t.Errorf("%d lines were refused, want four: %+v", r.Rejected, r)
	}
	same(t, "after", states(), map[string]int{"lost": 2, "restoring": 2})
	// What a program says goes no further than rebuilt; the rest comes from checks and customers, or from a commander with a reason.
	rebuilt := `{"site_id":"S-1","state":"rebuilt"}`
	passed := `{"site_id":"S-1","state":"passed"}`
	reasoned := `{"site_id":"S-1","state":"passed","reason":"seen with my own eyes"}`
	if r := h.moves(auth.Automation, incident, rebuilt); r.Rejected > 0 {
		t.Errorf("%+v", r)
	}
	for _, as := range []auth.Role{auth.Automation, auth.Engineer} {
		if r := h.moves(as, incident, reasoned); r.Rejected != 1 {
			t.Errorf("%s moved a site to passed: %+v", as, r)
		}
	}
	if r := h.moves(auth.Commander, incident, passed); r.Rejected != 1 {
		t.Errorf("without a reason: %+v", r)
	}
	if r := h.moves(auth.Commander, incident, reasoned); r.Rejected > 0 {
		t.Errorf("%+v", r)
	}
	same(t, "after", states(), map[string]int{"lost": 2, "restoring": 1, "passed": 1})
	h.do(ask{as: auth.Engineer, method: "POST", path: "/api/v1/incidents/inc_nothing/sites", media: "application/x-ndjson", body: rebuilt}).want(404)
}

// The figures are counted here by hand: three sites of Acme and one of Bolt.
func TestLedgerFigures(t *testing.T) {
	h := open(t)
	incident := h.world()
	finish := func(site, state string) string {
		return fmt.Sprintf(`{"site_id":%q,"state":%q,"reason":"by hand"}`, site, state)
	}
	figures := func() templates.Figures {
		t.Helper()
		var f templates.Figures
		h.get(auth.Auditor, "/api/v1/incidents/"+incident+"/ledger").want(200).into(&f)
		if !f.AsOf.Equal(h.clock.Now()) {
			t.Errorf("as of %s", f.AsOf)
		}
		return f
	}
	want := func(what string, rebuilt, checked, confirmed, noAnswer int, sites string, customers int, ofCustomers string) {
		t.Helper()
		f := figures()
		if f.Sites.Total != 4 || f.Sites.Rebuilt != rebuilt || f.Sites.Checked != checked || f.Sites.Confirmed != confirmed || f.Sites.NoAnswer != noAnswer ||
			f.Sites.Percent != sites || f.Customers.Total != 2 || f.Customers.Restored != customers || f.Customers.Percent != ofCustomers {
			t.Errorf("%s: %+v", what, f)
		}
	}
	want("all lost", 0, 0, 0, 0, "0.0", 0, "0.0")
	h.moves(auth.Engineer, incident, `{"site_id":"S-1","state":"rebuilt"}`, `{"site_id":"S-4","state":"rebuilt"}`)
	want("two rebuilt", 2, 0, 0, 0, "0.0", 0, "0.0")
	h.moves(auth.Commander, incident, finish("S-1", "passed"), finish("S-4", "passed"))
	want("two passed", 2, 2, 0, 0, "0.0", 0, "0.0")
	h.moves(auth.Commander, incident, finish("S-1", "handed_back"))
	want("one handed back", 2, 2, 1, 0, "25.0", 0, "0.0")
	h.clock.Turn(72*time.Hour - time.Second)
	want("a second before", 2, 2, 1, 0, "25.0", 0, "0.0")
	h.clock.Turn(time.Second)
	want("no answer for 72 h", 2, 2, 1, 1, "50.0", 1, "50.0") // Bolt's only site
	h.moves(auth.Commander, incident, `{"site_id":"S-2","state":"failed","reason":"x"}`)
	want("one failed", 2, 2, 1, 1, "50.0", 1, "50.0")
}

func TestCoverageNamesWhomNobodyReaches(t *testing.T) {
	h := open(t)
	incident := h.world()
	h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=crm", media: "text/csv", body: "account,account_id,site,site_id\nMute,A-9,Mute,S-9\n"}).want(200)
	h.do(ask{as: auth.Automation, method: "PUT", path: "/api/v1/incidents/" + incident + "/affected", media: "text/csv", body: "site_id\nS-9\n"}).want(200)
	a := h.get(auth.Auditor, "/api/v1/incidents/"+incident+"/coverage").want(200).says("Mute", `"full_at":null`)
	h.get(auth.Auditor, "/api/v1/tasks?incident="+incident).want(200).says(`"what":"outreach"`, `"no_approved_contact"`)
	if strings.Contains(string(a.body), "ann@acme.example") {
		t.Errorf("an address in full: %s", a.body)
	}
}

func TestContactsAreFoundAndMasked(t *testing.T) {
	h := open(t)
	a := h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=billing&dry_run=true", media: "text/csv", body: theContacts}).want(200)
	if n := len(h.items("/api/v1/accounts")); n != 0 {
		t.Errorf("a dry run made %d accounts: %s", n, a.body)
	}
	h.loadContacts()
	h.loadContacts() // changes nothing
	bad := h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=billing", media: "text/csv", body: theContacts + "Bolt,A-2,Bolt,S-4,X,owner,no address,,en,2022-04-01\n"}).want(200)
	bad.says(`"line":6`, `"field":"email"`)
	h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports", media: "text/csv", body: theContacts}).want(422)
	h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=x", media: "image/png", body: theContacts}).want(415)
	accounts := h.items("/api/v1/accounts")
	if len(accounts) != 2 {
		t.Fatalf("%d accounts", len(accounts))
	}
	for _, q := range []string{"Acme", "A-1", "S-1", "ann@acme.example"} {
		h.get(auth.Auditor, "/api/v1/accounts?q="+q).want(200).says("Acme")
	}
	h.get(auth.Auditor, "/api/v1/accounts/A-1").want(200).says("Acme one", "Ann Lee").silent("ann@acme.example", "2025550101")
	h.get(auth.Auditor, "/api/v1/accounts/no-such").want(404)
	h.get(auth.Auditor, "/api/v1/sites/S-4/contacts").want(200).says("Dai Ito").silent("Ann Lee")
	h.get(auth.Auditor, "/api/v1/sites/S-4/contacts?approved=true").want(200)
	h.get(auth.Auditor, "/api/v1/sites/no-such/contacts").want(404)
	h.post(auth.Automation, "/api/v1/events/product", map[string]any{"type": "site.deleted", "site_ids": []string{"S-1"}}).want(200)
	var v accountView
	h.get(auth.Auditor, "/api/v1/accounts/A-1").want(200).into(&v)
	if i := slices.IndexFunc(v.Sites, func(s siteAnswer) bool { return s.Deleted != nil }); i < 0 || len(v.Sites) != 3 {
		t.Errorf("the event marks one site and removes none: %+v", v.Sites)
	}
}

func TestTokensAreIssuedAndRevoked(t *testing.T) {
	h := open(t)
	same(t, "fields", h.post(auth.Admin, "/api/v1/tokens", map[string]any{"role": "root"}).want(422).named(), []string{"role"})
	a := h.post(auth.Admin, "/api/v1/tokens", map[string]any{"role": "support", "name": "Eve", "ttl_seconds": 3600}).want(201)
	token, id := a.text("token"), a.text("id")
	h.do(ask{token: token, method: "GET", path: "/api/v1/tickets"}).want(200)
	if got := h.do(ask{as: auth.Admin, method: "DELETE", path: "/api/v1/tokens/" + id + "?reason=lost"}).want(204); len(got.body) > 0 {
		t.Errorf("%s", got.body)
	}
	h.do(ask{token: token, method: "GET", path: "/api/v1/tickets"}).want(401)
	h.do(ask{as: auth.Admin, method: "DELETE", path: "/api/v1/tokens/tok_nothing"}).want(404)
	link := h.post(auth.Admin, "/api/v1/tokens", map[string]any{"role": "support", "name": "Eve", "link": true}).want(201)
	if !strings.HasPrefix(link.text("link"), h.URL+"/desk/sign-in?link=") {
		t.Errorf("%s", link.body)
	}
	for _, wrong := range []string{"x", token + "x", strings.Repeat("a.", 2000), "Bearer"} {
		h.do(ask{token: wrong, method: "GET", path: "/api/v1/tickets"}).want(401)
	}
}
