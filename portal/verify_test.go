package portal

import (
	"net/url"
	"strings"
	"testing"

	"lifeline/portal/auth"
	"lifeline/templates"
)

// The code of a message leads to what the message truly says, who writes and where links lead; of what went to some customers only it says that it is ours and
// no more; a draft's code and one that nobody sent are called fake, and so is what can be no code.
func TestACodeTellsAMessageFromAnImitation(t *testing.T) {
	h := open(t)
	out := h.send()
	incident := h.world()
	publish := func(s map[string]any) updateAnswer {
		t.Helper()
		u := h.draft(incident, s)
		h.post(auth.Approver, "/api/v1/updates/"+u.ID+"/approve", nil).want(200)
		h.post(auth.Comms, "/api/v1/updates/"+u.ID+"/publish", nil).want(200)
		return u
	}
	check := func(code, locale string) answer {
		t.Helper()
		return h.do(ask{method: "POST", path: "/verify?lang=" + locale, media: "application/x-www-form-urlencoded", body: url.Values{"code": {code}}.Encode(), header: map[string]string{"Origin": h.URL}})
	}
	u := publish(h.statement())
	code := templates.CheckCode(u.ID)
	mail := out.to("ann@acme.example")
	if shown := templates.ShownCode(code); !strings.Contains(mail.Text, shown) || !strings.Contains(mail.Text, h.URL+"/verify") || !strings.Contains(mail.HTML, shown) {
		t.Errorf("the mail does not carry %s: %s", shown, mail.Text)
	}
	h.get(auth.Comms, "/api/v1/updates/"+u.ID+"/preview?channel=sms").want(200).says("#" + code)
	h.get(auth.Comms, "/api/v1/updates/"+u.ID+"/preview?channel=ticket&locale=ja").want(200).says(templates.ShownCode(code))
	headline := u.Statement.Headline
	check(" "+strings.ToLower(templates.ShownCode(code)), "en").want(200).says("sent a message with this code", headline, "status@vendor.example", "12025550100", "127.0.0.1", "never ask")
	h.do(ask{method: "GET", path: "/verify/" + code + "?lang=ja"}).want(200).says("この番号のメッセージを送りました")
	h.do(ask{method: "GET", path: "/verify"}).want(200).says(`name="code"`)

	draft := h.draft(incident, with(h.statement(), "headline", "Not said yet"))
	var one struct{ Items []struct{ ID string } }
	h.get(auth.Commander, "/api/v1/accounts?q=Bolt").want(200).into(&one)
	closed := publish(with(with(with(h.statement(), "headline", "For Bolt alone"), "audience", "account:"+one.Items[0].ID), "channels", []string{"email"}))
	check(templates.CheckCode(closed.ID), "en").want(200).says("some of our customers only").silent("For Bolt alone")
	for _, wrong := range []string{templates.CheckCode(draft.ID), "ZZZ-ZZZZ", "", "<script>"} {
		check(wrong, "en").want(404).says("No message of ours has this code", "treat the message as fake", "/support").silent("Not said yet", "<script>")
	}
	check("ZZZ-ZZZZ", "zh-CN").want(404).says("假消息")
	h.do(ask{method: "POST", path: "/verify", media: "application/x-www-form-urlencoded", body: "code=x", header: map[string]string{"Origin": "https://elsewhere.example"}}).want(403)
}
