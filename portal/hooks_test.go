package portal

import (
	"net/url"
	"strings"
	"testing"

	"lifeline/comms"
	"lifeline/comms/sms"
	"lifeline/portal/auth"
)

// The provider reports what became of each text: late, twice, in any order, and more often than a stranger may post.
func TestReportsOfTheSMSProvider(t *testing.T) {
	h := open(t)
	incident := h.world()
	u := h.draft(incident, with(h.statement(), "channels", []string{"sms", "page"}))
	path := "/api/v1/updates/" + u.ID
	h.post(auth.Approver, path+"/approve", nil).want(200)
	out := h.send()
	h.post(auth.Comms, path+"/publish", nil).want(200)
	for out.next().To != "+12025550101" {
	}
	h.settled(path, func(r comms.Reach) bool { return r.Done })
	text := func() map[string]any {
		t.Helper()
		for _, d := range h.items(path + "/deliveries?channel=sms") {
			if d["attempts"] == 1.0 {
				return d
			}
		}
		t.Fatal("there is no text")
		return nil
	}
	hook := "/webhooks/twilio/status?delivery=" + url.QueryEscape(text()["id"].(string))
	ref := "SM" + strings.Repeat("0", 32)
	report := func(at, status string, more ...string) answer {
		t.Helper()
		fields := url.Values{"MessageSid": {ref}, "MessageStatus": {status}}
		for i := 0; i < len(more); i += 2 {
			fields.Set(more[i], more[i+1])
		}
		return h.do(ask{method: "POST", path: at, media: form, body: fields.Encode(), header: map[string]string{"X-Twilio-Signature": sms.Signature(smsToken, h.URL+at, fields)}})
	}
	state := func(want string) {
		t.Helper()
		if got := text()["state"]; got != want {
			t.Errorf("the text is %v, want %s", got, want)
		}
	}
	state("sent")

	fields := url.Values{"MessageSid": {ref}, "MessageStatus": {"delivered"}}
	right := sms.Signature(smsToken, h.URL+hook, fields)
	for _, c := range []struct{ at, body, signature string }{
		{hook, fields.Encode(), ""}, {hook, fields.Encode(), "x"}, {hook, fields.Encode(), sms.Signature("another secret", h.URL+hook, fields)},
		{hook, "MessageSid=" + ref + "&MessageStatus=failed", right},              // another body
		{hook + "x", fields.Encode(), right},                                      // another address
		{hook, fields.Encode() + "&ErrorCode=1", right},                           // one field more
		{"/webhooks/twilio/status", fields.Encode(), right}, {hook, "%zz", right}, // no delivery, no form
	} {
		h.do(ask{method: "POST", path: c.at, media: form, body: c.body, header: map[string]string{"X-Twilio-Signature": c.signature}}).want(403)
	}
	state("sent")
	report(hook, "delivered").want(204)
	state("delivered")
	report(hook, "delivered").want(204) // twice
	for _, late := range []string{"queued", "sent", "sending", "accepted", "no such status"} {
		report(hook, late).want(204)
		state("delivered")
	}
	report("/webhooks/twilio/status?delivery="+url.QueryEscape("dlv_nothing"), "sent")
	for range intakePerMinute + 1 { // 400,000 texts make more than thirty reports a minute
		report(hook, "delivered").want(204)
	}
	if p := h.Portal; p.Callback.Valid != nil {
		p.Callback = Callback{}
		report(hook, "delivered").want(403) // no provider: nobody is believed
	}
}

// That a number has opted out is said by the provider too; it must not be asked to repeat a report that we understood.
func TestAReportThatANumberOptedOut(t *testing.T) {
	h := open(t)
	incident := h.world()
	u := h.draft(incident, with(h.statement(), "channels", []string{"sms", "page"}))
	path := "/api/v1/updates/" + u.ID
	h.post(auth.Approver, path+"/approve", nil).want(200)
	out := h.send()
	h.post(auth.Comms, path+"/publish", nil).want(200)
	for out.next().To != "+12025550101" {
	}
	h.settled(path, func(r comms.Reach) bool { return r.Done })
	for _, d := range h.items(path + "/deliveries?channel=sms&state=sent") {
		at := "/webhooks/twilio/status?delivery=" + url.QueryEscape(d["id"].(string))
		fields := url.Values{"MessageSid": {"SM" + strings.Repeat("0", 32)}, "MessageStatus": {"undelivered"}, "ErrorCode": {"21610"}}
		h.do(ask{method: "POST", path: at, media: form, body: fields.Encode(), header: map[string]string{"X-Twilio-Signature": sms.Signature(smsToken, h.URL+at, fields)}}).want(204)
	}
	if n := len(h.items(path + "/deliveries?channel=sms&state=sent")); n != 0 {
		t.Errorf("%d texts still count as sent", n)
	}
}
