package portal

import (
	"net/url"
	"strings"
	"testing"

	"lifeline/portal/auth"
)

// A security incident with its updates, tickets and tasks is there for the security role and for whoever is named in it; to everybody else it is in no list, and
// closed where its id is known. It stays one until the security role says otherwise.
func TestASecurityIncidentIsReadByItsOwnPeople(t *testing.T) {
	h := open(t)
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
	h.post(auth.Comms, at+"/first-notice", map[string]any{"products": []string{"Wiki"}, "next_update_by": "2030-01-01T00:00:00Z"}).want(403)
	h.do(ask{as: auth.Commander, method: "PATCH", path: at, body: map[string]any{"informed": []string{h.id(auth.Comms)}}}).want(200)
	h.get(auth.Comms, at).want(200).says("Tokens were read")

	// The security role approves this text and no other.
	other := h.post(auth.Comms, "/api/v1/incidents/"+h.declare()+"/updates", h.statement()).want(201).text("id")
	h.post(auth.Security, "/api/v1/updates/"+other+"/approve", map[string]any{}).want(403)
	h.post(auth.Approver, "/api/v1/updates/"+update+"/approve", map[string]any{}).want(403) // who is not named cannot read it
	h.post(auth.Security, "/api/v1/updates/"+update+"/approve", map[string]any{}).want(200)
	h.post(auth.Comms, "/api/v1/updates/"+update+"/publish", map[string]any{}).want(200)

	h.do(ask{as: auth.Commander, method: "PATCH", path: at, body: map[string]any{"category": "data"}}).want(403)
	h.form(auth.Security, "/desk/incidents/"+id+"/security-process", url.Values{"reference": {"SEC-17"}, "url": {"https://tracker.vendor.example/17"}}).want(303)
	h.staffPage(auth.Security, "/desk/incidents/"+id).want(200).says("A security incident", `href="https://tracker.vendor.example/17"`, "SEC-17")
}
