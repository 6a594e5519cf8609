package portal

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"lifeline/comms"
	"lifeline/comms/webhook"
	"lifeline/store/outbound"
)

// hook is a stranger's server that keeps what is posted to it.
type hook struct {
	url  string
	port int
	came chan *http.Request // with the body in its Form, under body
}

func (h *house) hook() (*hook, comms.Channel) {
	h.Helper()
	at := &hook{came: make(chan *http.Request, 20)}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Form = url.Values{"body": {string(body)}}
		at.came <- r
	}))
	h.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		h.Fatal(err)
	}
	at.url = "https://example.com:" + u.Port() + "/Hook?key=s3cret"
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	at.port, _ = strconv.Atoi(u.Port())
	here := netip.MustParseAddr("127.0.0.1")
	return at, webhook.Open(webhook.Config{Ports: []int{at.port}, Roots: roots, Dialer: &outbound.Dialer{Allow: []netip.Prefix{netip.PrefixFrom(here, 32)},
		Lookup: func(context.Context, string, string) ([]netip.Addr, error) { return []netip.Addr{here}, nil }}})
}

// A program is subscribed with its webhook: the link in the first post confirms it, the secret is shown once and signs what follows, a test shows that it
// arrives, and nothing of the address but its host is shown.
func TestAWebhookIsSubscribedTestedAndEnded(t *testing.T) {
	h := open(t)
	at, channel := h.hook()
	h.Comms.Policy.Subscribe.Ports = []int{at.port}
	h.send(channel)
	press := func(path string, form url.Values) answer {
		return h.do(ask{method: "POST", path: path, media: "application/x-www-form-urlencoded", body: form.Encode(), header: map[string]string{"Origin": h.URL}})
	}
	h.do(ask{method: "GET", path: "/subscribe?lang=de"}).want(200).says(`value="webhook"`, `value="slack"`, `value="teams"`, "Adresse eines Webhooks")
	press("/subscribe", url.Values{"channel": {"webhook"}, "address": {"http://example.com/x"}}).want(422).says("must begin with https://")
	press("/subscribe", url.Values{"channel": {"webhook"}, "address": {at.url}, "locale": {"de"}}).want(200).silent("s3cret")
	var first struct {
		Type, Challenge string
		ConfirmURL      string `json:"confirm_url"`
		Locale, Title   string
	}
	read := func(into any) *http.Request {
		t.Helper()
		r := <-at.came
		if err := json.Unmarshal([]byte(r.Form.Get("body")), into); err != nil || r.URL.RequestURI() != "/Hook?key=s3cret" {
			t.Fatalf("%s: %v: %s", r.URL, err, r.Form.Get("body"))
		}
		return r
	}
	read(&first)
	link, found := strings.CutPrefix(first.ConfirmURL, h.URL)
	if !found || first.Type != "subscription.challenge" || first.Challenge == "" || first.Locale != "de" {
		t.Fatalf("the first post: %+v", first)
	}
	h.do(ask{method: "GET", path: link}).want(200).says("https://example.com:", "/…", `name="owner"`).silent("s3cret", "whsec_", `value="test"`)
	press(link, url.Values{"act": {"test"}}).want(409)
	press(link, url.Values{"act": {"keep"}, "locale": {"en"}, "owner": {"nobody"}}).want(422).says(`aria-invalid="true"`)
	press(link, url.Values{"act": {"keep"}, "locale": {"en"}, "owner": {"ops@example.com"}}).want(303)
	h.do(ask{method: "GET", path: link + "?did=saved"}).want(200).says("Saved. You get updates", `value="ops@example.com"`, `value="test"`, `value="secret"`).silent("whsec_")

	shown := press(link, url.Values{"act": {"secret"}}).want(200).says("shown only this once")
	secret := regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+`).FindString(strings.ReplaceAll(string(shown.body), "&#43;", "+"))
	h.do(ask{method: "GET", path: link}).want(200).silent("whsec_")
	press(link, url.Values{"act": {"test"}}).want(303)
	h.do(ask{method: "GET", path: link + "?did=tested"}).want(200).says("A test is on its way")
	var test struct {
		Type string
		Data struct{ Test bool }
		Meta struct{ Unsubscribe string }
	}
	r := read(&test)
	want, err := webhook.Sign(secret, r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), []byte(r.Form.Get("body")))
	if err != nil || want != r.Header.Get("webhook-signature") || test.Type != "subscription.message" || !test.Data.Test || test.Meta.Unsubscribe != first.ConfirmURL {
		t.Errorf("the test: %v, %s, %s, %+v", err, want, r.Header, test)
	}

	// Who names the address again is answered as everybody is, and the link goes to the webhook alone.
	press("/subscribe", url.Values{"channel": {"webhook"}, "address": {at.url}}).want(200).silent(link)
	if read(&first); first.ConfirmURL != h.URL+link && test.Meta.Unsubscribe != h.URL+link {
		t.Errorf("the second question: %+v", first)
	}
	press(link, url.Values{"act": {"end"}}).want(200).says("The subscription has ended")
	h.do(ask{method: "GET", path: link}).want(404)
	press(link, url.Values{"act": {"secret"}}).want(404)
}
