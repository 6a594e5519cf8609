package portal

import (
	"net/url"
	"strings"
	"testing"

	"lifeline/comms/sms"
	"lifeline/contacts"
	"lifeline/portal/desk"
	"lifeline/store"
)

// text is a message that somebody sends to our number; what the provider is answered comes back.
func (h *house) text(ref, from, body string, more ...string) string {
	h.Helper()
	const at = "/webhooks/twilio/inbound"
	fields := url.Values{"MessageSid": {"SM" + ref}, "From": {from}, "To": {"+12025550100"}, "Body": {body}, "NumMedia": {"0"}}
	for i := 0; i < len(more); i += 2 {
		fields.Set(more[i], more[i+1])
	}
	a := h.do(ask{method: "POST", path: at, media: form, body: fields.Encode(), header: map[string]string{"X-Twilio-Signature": sms.Signature(smsToken, h.URL+at, fields)}})
	a.want(200)
	if media := a.Header.Get("Content-Type"); !strings.HasPrefix(media, "text/xml") || !strings.HasPrefix(string(a.body), "<?xml") {
		h.Errorf("%s: %s", media, a.body)
	}
	return string(a.body)
}

const silence = "<Response/>"

// A customer with nothing but a phone writes by text; keywords do what everybody expects of them, and nothing happens twice.
func TestTextsFromCustomers(t *testing.T) {
	h := open(t)
	h.world()
	const hers, anns = "+12025550177", "+12025550101"
	ctx := t.Context()
	tickets := func() []store.Rec[desk.Ticket] {
		page, _, err := h.Desk.Tickets(ctx, desk.Filter{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		return page
	}
	before := len(tickets())
	if got := h.text("1", hers, "サイトが消えました"); !strings.HasSuffix(got, silence) {
		t.Errorf("answered %s", got)
	}
	h.text("1", hers, "サイトが消えました")
	filed := tickets()
	if len(filed) != before+1 {
		t.Fatalf("%d tickets of one text", len(filed)-before)
	}
	var number string
	for _, rec := range filed {
		if rec.Value.Phone == hers {
			number = rec.Value.Number
			if rec.Value.Route != "sms" || rec.Value.Locale != "ja" || rec.Value.Email != "" {
				t.Errorf("%+v", rec.Value)
			}
		}
	}
	said := func(of int) desk.Message {
		t.Helper()
		v, err := h.Desk.Ticket(ctx, number)
		if err != nil {
			t.Fatal(err)
		}
		own := v.Messages[:0:0]
		for _, m := range v.Messages {
			if m.From == "customer" {
				own = append(own, m)
			}
		}
		if len(own) != of {
			t.Fatalf("she said %d things, want %d: %+v", len(own), of, own)
		}
		return own[of-1]
	}
	h.text("2", hers, "まだです", "NumMedia", "2", "MediaUrl0", "http://127.0.0.1:1/secret")
	if m := said(2); !strings.HasPrefix(m.Text, "まだです\n\n") || !strings.Contains(m.Text, "2") || strings.Contains(m.Text, "secret") || m.Via != "sms" {
		t.Errorf("%+v", m)
	}
	h.text("3", hers, "yes") // an answer in a talk, no keyword
	said(3)
	if got := h.text("4", hers, "Help!"); !strings.Contains(got, "<Message>") || !strings.Contains(got, h.URL+"/support") {
		t.Errorf("answered %s", got)
	}
	if got := h.text("4", hers, "Help!"); !strings.HasSuffix(got, silence) {
		t.Errorf("answered the same once more: %s", got)
	}
	if got := h.text("5", hers, "HELP", "OptOutType", "HELP"); !strings.HasSuffix(got, silence) { // the provider has answered
		t.Errorf("answered beside the provider: %s", got)
	}

	ann := func() contacts.Address {
		t.Helper()
		var a contacts.Address
		err := h.DB.View(ctx, func(tx *store.Tx) error {
			who, err := h.Book.ByAddress(tx, contacts.SMS, anns)
			if err == nil {
				a = who[0].Value.Phones[0]
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if h.text("6", anns, " stop. "); !ann().OptedOut {
		t.Error("STOP is not kept")
	}
	if h.text("7", anns, "UNSTOP"); ann().OptedOut {
		t.Error("START is not kept")
	}
	h.text("6", anns, "stop") // the first one again
	if ann().OptedOut {
		t.Error("an old text counts again")
	}
	h.text("8", hers, "退订")
	said(3)
	if v, err := h.Desk.Ticket(ctx, number); err != nil || !v.Ticket.NoText {
		t.Errorf("%+v, %v", v.Ticket, err)
	}
	h.text("9", hers, "訂閱")
	if v, err := h.Desk.Ticket(ctx, number); err != nil || v.Ticket.NoText {
		t.Errorf("%+v, %v", v.Ticket, err)
	}

	fields := url.Values{"MessageSid": {"SM10"}, "From": {hers}, "Body": {"forged"}}
	for _, signature := range []string{"", "x", sms.Signature("another", h.URL+"/webhooks/twilio/inbound", fields)} {
		h.do(ask{method: "POST", path: "/webhooks/twilio/inbound", media: form, body: fields.Encode(), header: map[string]string{"X-Twilio-Signature": signature}}).want(403)
	}
	if got := len(tickets()); got != before+1 {
		t.Errorf("%d tickets", got-before)
	}
	said(3)
}
