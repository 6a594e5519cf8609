package portal

import (
	"testing"

	"lifeline/portal/auth"
)

// Those who look behind others read the audit log, on a page and over the API: all of it, or what one person did and what was done to one record.
func TestTheAuditLogIsRead(t *testing.T) {
	h := open(t)
	incident := h.declare()
	h.do(ask{as: auth.Commander, method: "PATCH", path: "/api/v1/incidents/" + incident, body: map[string]any{"severity": "P1", "reason": "fewer than we thought"}}).want(200)
	var all, of struct {
		Items []struct{ By, Verb, Reason string }
		Next  string
	}
	h.get(auth.Auditor, "/api/v1/audit?limit=100").want(200).into(&all)
	h.get(auth.Auditor, "/api/v1/audit?limit=1&of="+incident).want(200).into(&of)
	if len(of.Items) != 1 || of.Items[0].Reason != "fewer than we thought" || len(all.Items) < 3 || of.Next == "" {
		t.Fatalf("%+v\n%+v", of, all)
	}
	by := of.Items[0].By
	h.get(auth.Auditor, "/api/v1/audit?limit=1&of="+incident+"&after="+of.Next).want(200).says(`"verb":"`).silent("fewer than we thought")
	h.sits(auth.Security).page("/desk/audit?of="+by).want(200).says("fewer than we thought", "The commander", of.Items[0].Verb)
	h.sits(auth.Auditor).page("/desk").want(200).says(`href="/desk/audit"`)
	h.sits(auth.Commander).page("/desk").want(200).silent(`href="/desk/audit"`)
}
