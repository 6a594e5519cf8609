package portal

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"lifeline/portal/auth"
)

// Staff work on a ticket by the API and on its page: a new incident has its queue at once, a stale version is refused, and an explanation has to
// explain.
func TestStaffWorkOnATicket(t *testing.T) {
	h := open(t)
	var in struct {
		ID        string            `json:"id"`
		Queue     string            `json:"queue"`
		QueueURL  string            `json:"queue_url"`
		Dashboard string            `json:"dashboard_url"`
		SLA       map[string]string `json:"first_answer_within"`
	}
	decodeInto(t, h.do(ask{as: auth.Commander, method: "POST", path: "/api/v1/incidents", body: map[string]any{"title": "Sites deleted", "severity": "P0", "category": "data", "impact": "Customers cannot open their sites."}}), 201, &in)
	if in.Queue != in.ID || !strings.Contains(in.QueueURL, in.ID) || !strings.HasSuffix(in.Dashboard, "/tickets") || in.SLA["P0"] != "45m0s" {
		t.Errorf("the answer to declaring: %+v", in)
	}
	var receipt struct{ Number, Secret string }
	decodeInto(t, h.do(ask{method: "POST", path: "/api/v1/tickets", body: map[string]any{"message": "gone", "email": "ann@acme.example", "impact": "lost_access"}}), 201, &receipt)
	mine := h.comes(receipt.Number, url.Values{"secret": {receipt.Secret}})
	mine.sends("words", url.Values{"text": {"still gone\n\nOn Monday you wrote:\n> is it back?"}})
	mine.page.says(`<details class="quoted">`)
	var queues struct {
		Items []struct {
			Queue string
			Open  int
		}
	}
	decodeInto(t, h.do(ask{as: auth.Support, method: "GET", path: "/api/v1/queues"}), 200, &queues)
	if len(queues.Items) != 2 || queues.Items[0].Queue != in.ID || queues.Items[0].Open != 1 || queues.Items[1].Queue != "general" {
		t.Errorf("%+v", queues)
	}
	path := "/api/v1/tickets/" + receipt.Number
	var ticket struct {
		Version int64
		Owner   string
		Labels  []string
		State   string
		Clocks  []struct{ What, State string }
	}
	decodeInto(t, h.do(ask{as: auth.Support, method: "PATCH", path: path, body: map[string]any{"owner": "me", "labels": []string{"secret-label"}}}), 200, &ticket)
	if ticket.Owner == "" || len(ticket.Labels) != 1 || len(ticket.Clocks) != 2 || ticket.Clocks[0].State != "running" {
		t.Errorf("%+v", ticket)
	}
	h.comes(receipt.Number, url.Values{"secret": {receipt.Secret}}).page.says("gone").silent("secret-label") // labels are for staff
	for _, public := range []string{"/", "/incidents/" + in.ID, "/api/v1/public/incidents/" + in.ID} {
		h.get("", public).silent("secret-label")
	}
	if got := h.do(ask{as: auth.Support, method: "POST", path: path + "/messages", body: map[string]any{"text": "we are on it"}, header: map[string]string{"If-Match": "1"}}); got.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("a stale version: %d %s", got.StatusCode, got.body)
	}
	if got := h.do(ask{as: auth.Support, method: "POST", path: path + "/solve", body: map[string]any{"explanation": "fixed"}}); got.StatusCode != 422 || !strings.Contains(string(got.body), "explanation") {
		t.Errorf("a hollow explanation: %d %s", got.StatusCode, got.body)
	}
	decodeInto(t, h.do(ask{as: auth.Support, method: "POST", path: path + "/solve", body: map[string]any{"explanation": "Your site was restored from the backup of 5 April 02:10 UTC; later edits are lost."}}), 200, &ticket)
	if ticket.State != "solved" {
		t.Errorf("%+v", ticket)
	}
	decodeInto(t, h.do(ask{as: auth.Support, method: "POST", path: path + "/presence", body: map[string]any{"types": true}}), 200, &struct{}{})

	cookie, csrf := h.signIn(auth.Commander)
	staff := map[string]string{"Cookie": cookie.String(), "X-CSRF-Token": csrf, "Origin": h.URL}
	for page, want := range map[string][]string{
		"/desk/tickets?queue=" + in.ID:       {receipt.Number, "secret-label"},
		"/desk/tickets?q=acme.example":       {receipt.Number},
		"/desk/tickets/" + receipt.Number:    {"secret-label", "The support is writing an answer.", "First answer", `<details class="quoted">`},
		"/desk/tickets?label=nothing-has-it": {"No ticket here."},
	} {
		got := h.do(ask{method: "GET", path: page, header: staff})
		for _, w := range want {
			if got.StatusCode != 200 || !strings.Contains(string(got.body), w) {
				t.Errorf("%s: %d lacks %q", page, got.StatusCode, w)
			}
		}
	}
	form := url.Values{"csrf": {csrf}, "version": {"1"}, "text": {"my long answer"}}
	got := h.do(ask{method: "POST", path: "/desk/tickets/" + receipt.Number, media: "application/x-www-form-urlencoded", body: form.Encode(), header: staff})
	if got.StatusCode != http.StatusPreconditionFailed || !strings.Contains(string(got.body), "my long answer") || !strings.Contains(string(got.body), "was changed while you had it open") {
		t.Errorf("the second answer on the page: %d", got.StatusCode)
	}
}

func decodeInto(t *testing.T, a answer, status int, into any) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%d, not %d: %s", a.StatusCode, status, a.body)
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatal(err)
	}
}
