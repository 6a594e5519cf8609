package portal

import (
	"net/url"
	"strings"
	"testing"

	"lifeline/portal/auth"
)

// An official answer is written on the desk without any script, approved there by a second person who sees exactly what is said, corrected over the API
// and withdrawn; what is typed wrong comes back with its reason.
func TestAnOfficialAnswerIsWrittenOnTheDesk(t *testing.T) {
	h := open(t)
	incident := h.declare()
	typed := url.Values{"incident": {incident}, "locale": {"en"}, "question": {"Do I have to file a ticket?"}, "answer": {"No.\r\nYour site is restored in any case."},
		"question.ja": {"チケットは必要ですか。"}, "answer.ja": {""}}
	h.form(auth.Comms, "/desk/questions", typed).want(422).says("Do I have to file a ticket?", "チケットは必要ですか。", `<p class="wrong">is missing</p>`)
	typed.Set("answer.ja", "いいえ。")
	page := h.form(auth.Comms, "/desk/questions", typed).want(303).Header.Get("Location")
	api := "/api/v1" + strings.TrimPrefix(page, "/desk")
	var a officialAnswer
	h.get(auth.Auditor, api).want(200).into(&a)
	if a.Draft == nil || a.Draft.Text != "No.\nYour site is restored in any case." || a.Draft.Translations["ja"].Text != "いいえ。" || len(a.Said) != 0 {
		t.Fatalf("%+v", a)
	}
	h.staffPage(auth.Comms, page).want(200).says("Waits for a second person", "a second person must approve").silent("/approve")
	h.staffPage(auth.Auditor, page).want(200).silent("/approve", "/withdraw", "<textarea")
	h.staffPage(auth.Approver, page).want(200).says(page+"/approve", "Your site is restored in any case.")
	h.form(auth.Approver, page+"/approve", url.Values{"version": {"7"}}).want(412).says("was changed meanwhile")
	h.form(auth.Comms, page+"/approve", url.Values{"version": {"1"}}).want(403)
	h.form(auth.Approver, page+"/approve", url.Values{"version": {"1"}}).want(303)
	h.staffPage(auth.Comms, "/desk/questions").want(200).says("On the page", incident)
	h.get(auth.Auditor, "/api/v1/incidents/"+incident+"/log").want(200).says(`"what":"answered"`)
	h.staffPage(auth.Commander, "/desk/incidents/"+incident).want(200).says("answered on the page: Do I have to file a ticket?", "/desk/questions?incident="+incident)

	next := map[string]any{"locale": "en", "question": "Do I have to file a ticket?", "answer": "Only if your site is not named."}
	same(t, "a correction without its reason", h.do(ask{as: auth.Comms, method: "PUT", path: api, body: next}).want(422).named(), []string{"reason"})
	next["reason"] = "Some sites were missing."
	h.do(ask{as: auth.Comms, method: "PUT", path: api, body: next, header: map[string]string{"If-Match": `"1"`}}).want(412)
	h.do(ask{as: auth.Comms, method: "PUT", path: api, body: next}).want(200)
	a = officialAnswer{}
	h.post(auth.Approver, api+"/approve", map[string]any{}).want(200).into(&a)
	if len(a.Said) != 2 || a.Said[1].Reason != "Some sites were missing." || a.Draft != nil || !strings.HasSuffix(a.URL, "/questions#q-"+a.Short) {
		t.Errorf("%+v", a)
	}
	same(t, "withdrawn without a reason", h.post(auth.Comms, api+"/withdraw", map[string]any{}).want(422).named(), []string{"reason"})
	h.form(auth.Comms, page+"/withdraw", url.Values{"reason": {"We look again."}}).want(303)
	h.staffPage(auth.Comms, page).want(200).says("Withdrawn: do not rely on this answer.", "We look again.")
	if n := len(h.items("/api/v1/questions")); n != 1 {
		t.Errorf("%d answers are listed", n)
	}
}
