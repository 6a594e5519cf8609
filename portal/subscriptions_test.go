package portal

import (
	"net/url"
	"strings"
	"testing"

	"lifeline/comms"
)

// Anybody subscribes without a login: a link comes, following it changes nothing, its button confirms, and one click ends it.
func TestASubscriptionIsConfirmedChangedAndEnded(t *testing.T) {
	h := open(t, func(p *Portal) {
		p.Comms.Policy.Components = []comms.ComponentPolicy{{Name: "Wiki", Group: "Products"}}
		p.Comms.Policy.PageEntry = []string{"P0"}
	})
	out := h.send()
	wiki := h.Comms.Policy.PublicComponents()[0].ID
	press := func(path string, form url.Values) answer {
		return h.do(ask{method: "POST", path: path, media: "application/x-www-form-urlencoded", body: form.Encode(), header: map[string]string{"Origin": h.URL}})
	}
	h.do(ask{method: "GET", path: "/subscribe?lang=ja"}).want(200).says("Wiki", "購読する", `value="`+wiki+`"`)
	press("/subscribe", url.Values{"address": {"nobody"}}).want(422).says(`value="nobody"`, `aria-invalid="true"`, "This is not an e-mail address")
	press("/subscribe", url.Values{"address": {"reader@example.com"}, "channel": {"email"}, "locale": {"ja"}, "components": {wiki}}).want(200).silent("reader@example.com")
	m := out.next()
	_, rest, found := strings.Cut(m.Text, h.URL+"/s/")
	if !found || m.To != "reader@example.com" || m.Locale != "ja" {
		t.Fatalf("%s: %s", m.To, m.Text)
	}
	token, _, _ := strings.Cut(rest, "\n")
	link := "/s/" + strings.TrimSpace(token)
	for range 2 {
		h.do(ask{method: "GET", path: link}).want(200).says("r…@example.com", "はい、お知らせを受け取ります").silent("reader@example.com", "購読をやめる")
	}
	h.do(ask{method: "GET", path: link[:len(link)-1]}).want(404)
	h.do(ask{method: "POST", path: link, media: "application/x-www-form-urlencoded", body: "act=keep", header: map[string]string{"Origin": "https://evil.example"}}).want(403)
	press(link, url.Values{"act": {"keep"}, "locale": {"en"}, "components": {wiki}}).want(303)
	h.do(ask{method: "GET", path: link + "?did=saved"}).want(200).says("Saved. You get updates", "End the subscription", `value="`+wiki+`" checked`)

	// She may hear of one open incident alone instead, and of everything again.
	h.do(ask{method: "GET", path: link}).want(200).silent(`name="incident"`)
	in, err := h.Comms.Incident(t.Context(), h.declare())
	if err != nil {
		t.Fatal(err)
	}
	h.do(ask{method: "GET", path: "/subscribe?incident=" + in.Value.Short}).want(200).says(`value="` + in.Value.Short + `" checked`).silent(in.Value.Title)
	press(link, url.Values{"act": {"keep"}, "locale": {"en"}, "incident": {in.Value.Short}}).want(303)
	h.do(ask{method: "GET", path: link}).want(200).says(`value="`+in.Value.Short+`" checked`, `name="incident" value=""> Everything`)
	press(link, url.Values{"act": {"keep"}, "locale": {"en"}, "components": {wiki}, "incident": {""}}).want(303)

	// Who names the address again learns nothing and changes nothing.
	first := h.do(ask{method: "POST", path: "/api/v1/subscriptions", body: comms.Subscribe{Channel: "email", Address: "reader@example.com", Locale: "zh-CN"}}).want(202)
	other := h.do(ask{method: "POST", path: "/api/v1/subscriptions", body: comms.Subscribe{Channel: "email", Address: "nobody@example.com"}}).want(202)
	if string(first.body) != string(other.body) {
		t.Errorf("a known address is answered %s, an unknown one %s", first.body, other.body)
	}
	for range 2 {
		if m := out.next(); m.To == "reader@example.com" && !strings.Contains(m.Text, link) {
			t.Errorf("the known address got %s", m.Text)
		}
	}
	same(t, "a wrong request", h.do(ask{method: "POST", path: "/api/v1/subscriptions", body: comms.Subscribe{Channel: "fax", Address: "1"}}).want(422).named(), []string{"channel"})

	// A mail program's one click (RFC 8058): no cookie, no page of ours before it, an answer that is no redirect.
	h.do(ask{method: "GET", path: link + "/stop"}).want(303)
	h.do(ask{method: "GET", path: link}).want(200)
	for range 2 {
		h.do(ask{method: "POST", path: link + "/stop", media: "application/x-www-form-urlencoded", body: "List-Unsubscribe=One-Click"}).want(200).says("The subscription has ended")
	}
	h.do(ask{method: "GET", path: link}).want(404)
	press(link, url.Values{"act": {"keep"}}).want(404)
}
