package portal

import (
	"net/url"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
)

// Work is planned on the desk without any script, agreed there by a second person who sees what readers will see, held and let go on, and ended before its window is
// over; what is typed wrong comes back with its reason, and only what may happen can be pressed.
func TestWorkIsPlannedOnTheDesk(t *testing.T) {
	h := open(t)
	h.Comms.Policy.Components = []comms.ComponentPolicy{{Name: "Wiki", Group: "Products"}, {Name: "Billing"}}
	from := h.clock.Now().Add(48 * time.Hour).Truncate(time.Minute)
	typed := url.Values{"title": {"Database upgrade"}, "text": {"Pages cannot be edited\r\nfor some <b>minutes</b>."}, "components": {"Wiki"}, "locale": {"en"}, "title.ja": {"データベースの更新"}, "from": {"soon"}, "until": {from.Add(2 * time.Hour).Format(minuteForm)}}
	h.form(auth.Comms, "/desk/maintenances", typed).want(422).says("Database upgrade", "is no time such as", `value="Wiki" checked`)
	typed.Set("from", "")
	h.form(auth.Comms, "/desk/maintenances", typed).want(422).says(`<p class="wrong">is missing</p>`)
	typed.Set("from", from.Format(minuteForm))
	h.form(auth.Comms, "/desk/maintenances", typed).want(422).says(`<p class="wrong">is missing</p><textarea id="text.ja"`, `value="データベースの更新"`)
	typed.Set("text.ja", "数分間編集できません。")
	page := h.form(auth.Comms, "/desk/maintenances", typed).want(303).Header.Get("Location")
	h.staffPage(auth.Comms, page).want(200).says("Waits for a second person", "You proposed it", "for some &lt;b&gt;minutes&lt;/b&gt;.", `<div class="quote" lang="ja"><p><strong>データベースの更新</strong>`, "Nobody has translated it", "German").silent("/agree", "/turn")
	h.staffPage(auth.Auditor, page).want(200).silent("/agree", "/turn")
	h.form(auth.Comms, page+"/turn", url.Values{"what": {"held"}, "reason": {"x y"}}).want(409).says("cannot be held")
	h.form(auth.Comms, page+"/agree", nil).want(403)
	h.form(auth.Approver, page+"/agree", nil).want(303)
	h.staffPage(auth.Comms, "/desk/maintenances").want(200).says("Database upgrade", "Scheduled", "Wiki")
	h.staffPage(auth.Comms, page).want(200).says(`value="held"`, `value="cancelled"`).silent(`value="ended"`, `value="resumed"`)
	h.form(auth.Comms, page+"/turn", url.Values{"what": {"held"}, "reason": {""}, "reason.ja": {"変更は凍結されています。"}}).want(422).says(`<p class="wrong">is missing</p>`, `<details open>`, `name="reason.ja" value="変更は凍結されています。"`).silent(`name="reason.en"`)
	h.form(auth.Comms, page+"/turn", url.Values{"what": {"held"}, "reason": {"Changes are frozen."}, "reason.ja": {"変更は凍結されています。"}}).want(303)
	h.staffPage(auth.Comms, page).want(200).says("On hold", `<span lang="en">Changes are frozen.</span>`, `<span lang="ja">変更は凍結されています。</span>`, "Nobody has translated it", `value="resumed"`).silent(`value="held"`)
	h.form(auth.Comms, page+"/turn", url.Values{"what": {"resumed"}, "reason": {"They are not any more."}}).want(303)
	h.clock.Turn(49 * time.Hour)
	h.staffPage(auth.Comms, page).want(200).says("In progress", `value="ended"`).silent(`value="cancelled"`)
	h.form(auth.Comms, page+"/turn", url.Values{"what": {"ended"}, "reason": {"It took half the time."}}).want(303)
	h.staffPage(auth.Auditor, page).want(200).says("Completed", "ended early", "It took half the time.")
	p, err := h.Comms.Public(t.Context())
	if err != nil || len(p.Plans) != 1 || p.Plans[0].Status != comms.PlanCompleted {
		t.Errorf("%+v, %v", p.Plans, err)
	}
	h.staffPage(auth.Auditor, "/desk/maintenances/mnt_none").want(404)
}
