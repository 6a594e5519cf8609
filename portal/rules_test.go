package portal

import (
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
)

// A rule is proposed by one person and put in force by another; whoever may stop a broadcast stops it, with a reason. The page shows each state, and its
// forms do the same as the API.
func TestARuleIsProposedApprovedAndStopped(t *testing.T) {
	h := open(t)
	h.Comms.Policy.Automatic.Rules[comms.RuleReports] = comms.Rule{People: 5, After: 10 * time.Minute}
	h.get(auth.Support, "/api/v1/rules").want(200).says(`"name":"step"`, `"state":"off"`, `"percent":10`, `"name":"site","state":"in_force"`)
	h.post(auth.Comms, "/api/v1/rules/step/approve", map[string]any{}).want(403)
	h.post(auth.Approver, "/api/v1/rules/none/approve", map[string]any{}).want(404)
	h.post(auth.Commander, "/api/v1/rules/step/approve", map[string]any{}).want(200).says(`"state":"proposed"`)
	h.post(auth.Commander, "/api/v1/rules/step/approve", map[string]any{}).want(409)
	second := h.sits(auth.Approver)
	second.page("/desk/rules").want(200).says("Each 10 % of the affected sites handed back", "Reports from 5 people that nobody here has answered for 10 minutes", "We are receiving reports of problems", "More sites have been handed back", "Approve this rule", "proposed")
	second.press("/desk/rules/step/approve").want(303)
	h.get(auth.Auditor, "/api/v1/rules").want(200).says(`"name":"step","audience":"affected","channels":["email","page","ticket"],"percent":10,"state":"in_force"`)
	support := h.sits(auth.Support)
	support.page("/desk/rules").want(200).silent("Approve this rule", "Propose this rule").says("/desk/rules/step/stop")
	support.press("/desk/rules/step/stop", "reason", " ").want(422).says("is missing")
	support.press("/desk/rules/step/stop", "reason", "the ledger is wrong").want(303)
	support.page("/desk/rules").want(200).says("Stopped by").silent("/desk/rules/step/stop")
}

// The text of first notices is read and approved on the page of rules by two people before the day; until then the desk and the room of a grave incident say
// so above everything else, and then the room offers the notice itself there.
func TestTheFirstNoticeIsApprovedOnAPage(t *testing.T) {
	h := open(t)
	incident := h.declare()
	one, two := h.sits(auth.Commander), h.sits(auth.Approver)
	const cannot = "The first notice cannot be sent at once"
	room := "/desk/incidents/" + incident
	one.page("/desk").want(200).says(cannot, "/desk/rules#first")
	one.page(room).want(200).says(cannot).silent("Send the first notice")
	h.sits(auth.Support).page("/desk/rules").want(200).says("approved by 0 of 2", "Next update by").silent("Approve this text")
	one.page("/desk/rules").want(200).says("Approve this text")
	one.press("/desk/first-notice/approve").want(303)
	one.press("/desk/first-notice/approve").want(409)
	h.get(auth.Support, "/api/v1/first-notice").want(200).says(`"ready":false`, `"needs":2`)
	two.press("/desk/first-notice/approve").want(303)
	h.get(auth.Support, "/api/v1/first-notice").want(200).says(`"ready":true`, "Investigating")
	two.page("/desk/rules").want(200).says("approved by 2 of 2").silent("Approve this text", "stf_")
	one.page("/desk").want(200).silent(cannot)
	if page := string(one.page(room).want(200).body); !(strings.Index(page, "Send the first notice") < strings.Index(page, `id="due"`)) || !strings.Contains(page, "Send the first notice") {
		t.Error("the first notice does not stand above what is due")
	}
}
