package portal

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
)

// A security incident with its updates, tickets and tasks is there for the security role and for whoever is named in it; to everybody else it is in no list, and
// closed where its id is known. It stays one until the security role says otherwise.
func TestASecurityIncidentIsReadByItsOwnPeople(t *testing.T) {
	h := open(t)
	h.loadContacts()
	id := h.post(auth.Commander, "/api/v1/incidents", map[string]any{"title": "Tokens were read", "severity": "P1", "category": "security", "impact": "Tokens", "detected_by": "staff"}).want(201).text("id")
	at := "/api/v1/incidents/" + id
	update := h.post(auth.Commander, at+"/updates", h.statement(func(s map[string]any) { s["audience"], s["channels"] = "public", []string{"page"} })).want(201).text("id")
	filed := h.post(auth.Support, "/api/v1/tickets", map[string]any{"message": "Who read our tokens?", "email": "amy@acme.example"}).want(201).text("number")
	h.do(ask{as: auth.Support, method: "PATCH", path: "/api/v1/tickets/" + filed, body: map[string]any{"queue": id}}).want(200)
	closed := []string{at, at + "/log", at + "/ledger", at + "/updates", "/api/v1/updates/" + update, "/api/v1/tickets/" + filed, "/desk/incidents/" + id, "/desk/incidents/" + id + "/editor"}
	for _, path := range closed {
		read := h.get
		if strings.HasPrefix(path, "/desk/") {
			read = h.staffPage
		}
		read(auth.Comms, path).want(403).silent("Tokens were read", "Who read our tokens")
		read(auth.Security, path).want(200)
		read(auth.Commander, path).want(200) // she declared it
	}
	for _, path := range []string{"/api/v1/incidents", "/api/v1/tickets", "/desk", "/desk/tickets"} {
		read := h.get
		if strings.HasPrefix(path, "/desk") {
			read = h.staffPage
		}
		says := "Tokens were read"
		if strings.HasSuffix(path, "/tickets") {
			says = filed
		}
		read(auth.Comms, path).want(200).silent(says)
		read(auth.Security, path).want(200).says(says)
	}

	// Nothing of it is given to somebody who could not open it, and nobody is offered who could not.
	ends := h.clock.Now().Add(4 * time.Hour)
	for field, to := range map[string][2]string{"lead": {h.id(auth.Comms), h.id(auth.Security)}, "next_lead": {h.id(auth.Commander), h.id(auth.Engineer)}} {
		h.post(auth.Commander, at+"/handoffs", map[string]any{"ends_at": ends, "lead": to[0], "next_lead": to[1]}).want(422).says(`"field":"`+field+`"`, "security role")
	}
	cookie, csrf := h.signIn(auth.Commander)
	h.do(ask{method: "POST", path: "/desk/incidents/" + id + "/handoffs", media: "application/x-www-form-urlencoded", body: url.Values{"csrf": {csrf}, "ends_at": {ends.Format("2006-01-02T15:04")}, "lead": {h.id(auth.Engineer)}, "next_lead": {h.id(auth.Security)}}.Encode(),
		header: map[string]string{"Cookie": cookie.String(), "Origin": h.URL, "Accept-Language": "zh-CN"}}).want(422).says("此人无权打开该安全事件").silent("may not open")
	h.do(ask{as: auth.Commander, method: "PATCH", path: "/api/v1/tickets/" + filed, body: map[string]any{"owner": h.id(auth.Engineer)}}).want(422).says(`"field":"owner"`)
	h.do(ask{as: auth.Commander, method: "PATCH", path: "/api/v1/tickets/" + filed, body: map[string]any{"owner": h.id(auth.Security)}}).want(200)
	offered := func(path string) map[string]bool {
		has := map[string]bool{}
		page := string(h.staffPage(auth.Commander, path).want(200).body)
		for _, role := range auth.Roles() {
			has[string(role)] = strings.Contains(page, `<option value="`+h.id(role)+`"`)
		}
		return has
	}
	h.do(ask{as: auth.Commander, method: "PUT", path: at + "/affected", media: "text/csv", body: "site_id\nS-1\n"}).want(200)
	for _, path := range []string{"/desk/tickets/" + filed, "/desk/checks"} {
		if has := offered(path); !has["security"] || !has["commander"] || has["engineer"] || has["comms"] {
			t.Errorf("%s offers %v", path, has)
		}
	}
	other := h.post(auth.Commander, at+"/handoffs", map[string]any{"ends_at": ends, "lead": h.id(auth.Commander), "next_lead": h.id(auth.Auditor)}).want(201).text("id")
	h.staffPage(auth.Security, "/desk/handoffs/"+other).want(200).says("The auditor")

	h.post(auth.Comms, at+"/first-notice", map[string]any{"products": []string{"Wiki"}, "next_update_by": "2030-01-01T00:00:00Z"}).want(403)
	h.do(ask{as: auth.Commander, method: "PATCH", path: at, body: map[string]any{"informed": []string{h.id(auth.Comms)}}}).want(200)
	h.get(auth.Comms, at).want(200).says("Tokens were read")

	// The security role approves this text and no other.
	other = h.post(auth.Comms, "/api/v1/incidents/"+h.declare()+"/updates", h.statement()).want(201).text("id")
	h.post(auth.Security, "/api/v1/updates/"+other+"/approve", map[string]any{}).want(403)
	h.post(auth.Approver, "/api/v1/updates/"+update+"/approve", map[string]any{}).want(403) // who is not named cannot read it
	h.post(auth.Security, "/api/v1/updates/"+update+"/approve", map[string]any{}).want(200)
	h.post(auth.Comms, "/api/v1/updates/"+update+"/publish", map[string]any{}).want(200)

	h.do(ask{as: auth.Commander, method: "PATCH", path: at, body: map[string]any{"category": "data"}}).want(403)
	h.form(auth.Security, "/desk/incidents/"+id+"/security-process", url.Values{"reference": {"SEC-17"}, "url": {"https://tracker.vendor.example/17"}}).want(303)
	h.staffPage(auth.Security, "/desk/incidents/"+id).want(200).says("A security incident", `href="https://tracker.vendor.example/17"`, "SEC-17")
}

// What belongs to a security incident is closed to whoever lacks the right and is not named in it, by every route that names it; and whatever else she may read, she
// reads exactly what she read before it was there.
func TestNothingTellsOfASecurityIncident(t *testing.T) {
	h := open(t)
	h.loadContacts()
	h.Comms.Policy.Components = []comms.ComponentPolicy{{Name: "Wiki"}}
	var accounts list[accountAnswer]
	h.get(auth.Support, "/api/v1/accounts?q=Acme").want(200).into(&accounts)
	// one makes an incident with all that can belong to one, and gives the ids by the place in a path where they stand.
	one := func(category, site string) map[string]string {
		id := h.post(auth.Commander, "/api/v1/incidents", map[string]any{"title": "It is " + category, "severity": "P1", "category": category, "impact": "Tokens", "detected_by": "staff"}).want(201).text("id")
		at := "/api/v1/incidents/" + id
		h.do(ask{as: auth.Commander, method: "PUT", path: at + "/affected", media: "text/csv", body: "site_id\n" + site + "\n"}).want(200)
		h.rebuild(id, site)
		ids := map[string]string{"incidents": id, "updates": h.post(auth.Commander, at+"/updates", h.statement()).want(201).text("id")}
		ids["tickets"] = h.post(auth.Support, "/api/v1/tickets", map[string]any{"message": "Who reads our tokens?", "email": "ann@acme.example", "site_url": "https://one.example"}).want(201).text("number")
		in := "/api/v1/tickets/" + ids["tickets"]
		h.do(ask{as: auth.Commander, method: "PATCH", path: in, body: map[string]any{"queue": id, "label": []string{"of " + category}}}).want(200)
		h.post(auth.Commander, in+"/account", map[string]any{"account_id": accounts.Items[0].ID}).want(200)
		h.post(auth.Commander, in+"/messages", map[string]any{"text": "We are looking."}).want(201)
		h.post(auth.Commander, "/api/v1/escalations", map[string]any{"route": "ticket", "words": "She calls the board.", "ticket": ids["tickets"]}).want(201)
		ids["calls"] = h.post(auth.Commander, in+"/calls", map[string]any{"at": h.clock.Now().Add(24 * time.Hour), "zone": "UTC"}).want(201).text("id")
		ids["changes"] = h.post(auth.Commander, "/api/v1/tickets/bulk", map[string]any{"numbers": []string{ids["tickets"]}, "text": "It was them.", "reason": "they ask"}).want(201).text("id")
		var tasks list[taskAnswer]
		h.get(auth.Security, "/api/v1/tasks?incident="+id).want(200).into(&tasks)
		ids["tasks"] = tasks.Items[0].ID
		var checks list[checkAnswer]
		h.get(auth.Security, "/api/v1/checks?incident="+id).want(200).into(&checks)
		ids["checks"] = checks.Items[0].ID
		lead := h.id(auth.Support)
		if category == comms.CategorySecurity {
			lead = h.id(auth.Security)
		}
		ids["handoffs"] = h.post(auth.Commander, at+"/handoffs", map[string]any{"ends_at": h.clock.Now().Add(4 * time.Hour), "lead": lead, "next_lead": h.id(auth.Commander)}).want(201).text("id")
		return ids
	}
	into := func(path string, ids map[string]string) string {
		for at, id := range ids {
			path = strings.NewReplacer("/"+at+"/:id", "/"+at+"/"+id, "/"+at+"/:number", "/"+at+"/"+id).Replace(path)
		}
		return path
	}
	plain := one("data", "S-1")
	one("security", "S-3") // whatever list it goes by stands from now on
	cookie, _ := h.signIn(auth.Support)
	read := func(r route, path string) answer {
		if r.page {
			return h.do(ask{method: r.method, path: path, header: map[string]string{"Cookie": cookie.String()}})
		}
		return h.do(ask{as: auth.Support, method: r.method, path: path})
	}
	plain["accounts"], plain["sites"] = accounts.Items[0].ID, "S-2"
	look := func() map[string]string {
		seen := map[string]string{}
		for _, r := range h.routes() {
			path := into(r.path, plain)
			if r.method != "GET" || r.right == "" && !r.page || strings.Contains(path, ":") || strings.HasPrefix(path, "/desk/account/") { // a passkey is asked for anew each time
				continue
			}
			if got := read(r, path); got.StatusCode == 200 {
				seen[path] = string(got.body)
			}
		}
		return seen
	}
	before := look()
	secret := one("security", "S-2")
	now := look()
	for path, was := range before {
		if now[path] != was {
			t.Errorf("GET %s is\n%s\nand was\n%s", path, now[path], was)
		}
	}
	if len(before) < 90 {
		t.Errorf("only %d routes could be read", len(before))
	}
	for _, r := range h.routes() {
		path := into(r.path, secret)
		if path == r.path || r.right == "" && !r.page {
			continue
		}
		if got := read(r, path); got.StatusCode != 403 {
			t.Errorf("%s %s: %d", r.method, path, got.StatusCode)
		}
	}
	h.get(auth.Support, "/api/v1/escalations/count?incident="+secret["incidents"]).want(403)
	h.post(auth.Support, "/api/v1/tickets/"+plain["tickets"]+"/merge", map[string]any{"into": secret["tickets"]}).want(403)
	h.post(auth.Support, "/api/v1/tickets/bulk", map[string]any{"numbers": []string{secret["tickets"]}, "label": []string{"x"}, "reason": "mine"}).want(403)
	h.post(auth.Support, "/api/v1/tickets/bulk", map[string]any{"choose": map[string]any{"queue": secret["incidents"]}, "label": []string{"x"}, "reason": "mine"}).want(409)
	h.post(auth.Support, "/api/v1/changes", map[string]any{"verb": "ticket.delete", "input": map[string]any{"ids": []string{secret["tickets"]}}, "reason": "mine"}).want(403)
	var had list[checkAnswer]
	h.post(auth.Support, "/api/v1/checks/claim", map[string]any{"most": 2}).want(200).into(&had)
	if len(had.Items) != 1 || had.Items[0].Incident != plain["incidents"] {
		t.Errorf("she was given %+v", had.Items)
	}
}
