package portal

import (
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
