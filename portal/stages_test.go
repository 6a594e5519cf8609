package portal

import (
	"net/url"
	"testing"

	"lifeline/portal/auth"
)

// A program notes an alert, which no list of incidents shows; somebody declares it on its page, and once it is closed the commander makes a problem of it.
func TestARecordMovesThroughItsStagesOnThePages(t *testing.T) {
	h := open(t)
	id := h.post(auth.Automation, "/api/v1/incidents", map[string]any{"title": "A disk fills", "stage": "alert", "detected_by": "disk probe"}).want(201).says(`"stage":"alert"`, `"state":"watched"`).text("id")
	at, page := "/api/v1/incidents/"+id, "/desk/incidents/"+id
	h.get(auth.Auditor, "/api/v1/incidents").want(200).silent(id)
	h.get(auth.Auditor, "/api/v1/incidents?stage=alert").want(200).says(id)
	h.get(auth.Auditor, "/api/v1/incidents?stage=odd").want(422)
	h.post(auth.Comms, at+"/updates", h.statement()).want(409).says("declare it first")
	h.post(auth.Automation, at+"/recovered", map[string]any{"reason": "it was cleaned up"}).want(200).says(`"state":"recovered"`, `"reason":"it was cleaned up"`)
	h.post(auth.Automation, at+"/stage", map[string]any{"stage": "alert", "reason": "it fills again"}).want(200).says(`"state":"watched"`)

	cookie, csrf := h.signIn(auth.Commander)
	form := func(path string, fields url.Values) answer {
		t.Helper()
		fields.Set("csrf", csrf)
		return h.browse(cookie, "POST", path, fields)
	}
	h.browse(cookie, "GET", "/desk", nil).want(200).says("Events and alerts", "A disk fills", `href="`+page+`"`)
	h.browse(cookie, "GET", page, nil).want(200).says("Nothing is declared.", "It has recovered", "recovered before it was confirmed, after", "Stage: Alert → Alert (it fills again)", "disk probe")
	form(page+"/stage", url.Values{"stage": {"incident"}, "reason": {"customers see it"}, "severity": {"P1"}, "category": {""}, "impact": {"Pages do not save"}}).want(422).says("Pages do not save", "is missing; P1 needs one of")
	form(page+"/stage", url.Values{"stage": {"incident"}, "reason": {"customers see it"}, "severity": {"P1"}, "category": {"data"}, "impact": {"Pages do not save"}}).want(303)
	h.browse(cookie, "GET", page, nil).want(200).says("Stage: Alert → Incident (customers see it)")
	h.get(auth.Auditor, "/api/v1/incidents").want(200).says(id)
	h.post(auth.Support, at+"/stage", map[string]any{"stage": "problem", "reason": "why"}).want(403)
	h.post(auth.Commander, at+"/stage", map[string]any{"stage": "problem", "reason": "why"}).want(409).says("goes on")
	h.do(ask{as: auth.Commander, method: "PATCH", path: at, body: map[string]any{"state": "closed", "reason": "over"}}).want(200)
	h.browse(cookie, "GET", page, nil).want(200).says("Move to another stage", `<option value="problem">`)
	form(page+"/stage", url.Values{"stage": {"problem"}, "reason": {"disks fill in many places"}, "incidents": {""}}).want(303)
	h.get(auth.Auditor, "/api/v1/incidents?stage=problem").want(200).says(id)
	h.browse(cookie, "GET", page, nil).want(200).says(">Problem</span>")
	h.browse(cookie, "GET", "/desk/tasks", nil).want(200).says("Understand problem 1: A disk fills")
}
