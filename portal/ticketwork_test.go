package portal

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
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
		Flow      string            `json:"workflow"`
		SLA       map[string]string `json:"first_answer_within"`
	}
	decodeInto(t, h.do(ask{as: auth.Commander, method: "POST", path: "/api/v1/incidents", body: map[string]any{"title": "Sites deleted", "severity": "P0", "category": "data", "impact": "Customers cannot open their sites."}}), 201, &in)
	if in.Queue != in.ID || !strings.Contains(in.QueueURL, in.ID) || !strings.HasSuffix(in.Dashboard, "/tickets") || in.SLA["P0"] != "45m0s" || in.Flow != "loss" {
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
		"/desk/tickets?queue=" + in.ID:          {receipt.Number, "secret-label"},
		"/desk/tickets?q=acme.example":          {receipt.Number},
		"/desk/tickets/" + receipt.Number:       {"secret-label", "The support is writing an answer.", "First answer", "Being looked at", `<details class="quoted">`},
		"/desk/incidents/" + in.ID + "/tickets": {"Finding whose site it is"},
		"/desk/tickets?label=nothing-has-it":    {"No ticket here."},
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

// Staff make one ticket of two and two of one, release what was held, and are told who else is there; with no request can a message of one ticket be reached by
// way of another, and what is done to a ticket that changed meanwhile is refused.
func TestTicketsAreMergedSplitAndReleasedByRequest(t *testing.T) {
	h := open(t, func(p *Portal) {
		p.Desk.Policy.Macros = []desk.Macro{{Name: "hello", Text: map[string]string{"en": "Dear {name}, {number}: {site}", "ja": "{name} 様"}}}
	})
	ctx := context.Background()
	one := h.fileTicket(desk.Intake{Message: "our site is gone", Name: "Ann", Email: "ann@acme.example"})
	h.clock.Turn(time.Minute)
	two := h.fileTicket(desk.Intake{Message: "it is still gone", Name: "安", Email: "ann@acme.example", Locale: "ja"})
	for _, from := range []string{"customer", ""} {
		m := desk.Message{From: "customer", Text: "and the invoice is wrong"}
		if from == "" {
			m = desk.Message{From: "customer", Text: "pay here instead", Held: "other_sender", Sender: "eve@evil.example"}
		}
		if _, err := h.Desk.Say(ctx, desk.Entry{By: "system:mail", Number: one.Number, Message: m}); err != nil {
			t.Fatal(err)
		}
	}
	path := func(number string) string { return "/api/v1/tickets/" + number }
	read := func(number string) (a ticketAnswer) {
		t.Helper()
		h.get(auth.Support, path(number)).want(200).into(&a)
		return a
	}
	act := func(method, path string, body any, version int64) answer {
		t.Helper()
		a := ask{as: auth.Support, method: method, path: path, body: body}
		if version > 0 {
			a.header = map[string]string{"If-Match": `"` + itoa(int(version)) + `"`}
		}
		return h.do(a)
	}
	whole := read(one.Number)
	invoice, held := whole.Messages[1], whole.Messages[2]
	if held.Held != "other_sender" || whole.Held != 1 {
		t.Fatalf("%+v", whole)
	}

	// Macros are filled in the ticket's language; what nobody gave stays a blank.
	var macros list[macroAnswer]
	h.get(auth.Support, path(one.Number)+"/macros").want(200).into(&macros)
	if len(macros.Items) != 1 || macros.Items[0].Text != "Dear Ann, "+one.Number+": {site}" {
		t.Errorf("%+v", macros)
	}

	// On the page a macro goes below what is typed, in either text. What was typed for staff only stays so when it has to be sent again: who overlooks that
	// would send it to the customer.
	cookie, csrf := h.signIn(auth.Support)
	send := func(number string, form url.Values) answer {
		return h.do(ask{method: "POST", path: "/desk/tickets/" + number, media: "application/x-www-form-urlencoded", body: form.Encode(),
			header: map[string]string{"Cookie": cookie.String(), "X-CSRF-Token": csrf, "Origin": h.URL, "Accept": "text/html"}})
	}
	version := []string{itoa(int(read(two.Number).Version))}
	const sure, again = `name="internal" value="yes" checked`, `name="again"`
	send(two.Number, url.Values{"act": {"macro"}, "macro": {"hello"}, "text": {"typed before"}, "internal": {"yes"}, "version": version}).want(200).says("typed before\n\n安 様", sure).silent(again)
	send(two.Number, url.Values{"act": {"macro"}, "solution": {"hello"}, "explanation": {""}, "version": version}).want(200).says(`aria-describedby="explanation-hint">安 様`).silent(sure)
	send(two.Number, url.Values{"act": {"macro"}, "macro": {"hello"}, "version": {"99"}}).want(412).says("安 様", again)
	send(one.Number, url.Values{"text": {strings.Repeat("x", 64<<10+1)}, "internal": {"yes"}}).want(422).says(sure).silent(again)
	if v := read(two.Number).Version; itoa(int(v)) != version[0] {
		t.Errorf("a macro that was only read made version %d", v)
	}

	// The collision notice: each hears of the other and of what was said meanwhile, and hears it no more once she left.
	cookie, csrf = h.signIn(auth.Commander)
	attend := func(form string) (now presenceAnswer) {
		t.Helper()
		h.do(ask{method: "POST", path: "/desk/tickets/" + one.Number + "/presence", media: "application/x-www-form-urlencoded", body: form,
			header: map[string]string{"Cookie": cookie.String(), "X-CSRF-Token": csrf, "Origin": h.URL}}).want(200).into(&now)
		return now
	}
	var other presenceAnswer
	if now := attend("types=yes"); len(now.Others) != 0 || now.Version != whole.Version {
		t.Errorf("%+v", now)
	}
	act("POST", path(one.Number)+"/presence", map[string]any{}, 0).want(200).into(&other)
	if len(other.Others) != 1 || !other.Others[0].Types || !strings.Contains(other.Others[0].Says, "is writing an answer") {
		t.Errorf("%+v", other)
	}
	act("POST", path(one.Number)+"/presence", map[string]any{"leaves": true}, 0).want(200)
	if now := attend(""); len(now.Others) != 0 {
		t.Errorf("she left: %+v", now)
	}

	// A message of one ticket is none of another's.
	for _, deed := range []ask{{path: path(two.Number) + "/messages/" + held.ID + "/release"}, {path: path(two.Number) + "/split", body: map[string]any{"message": invoice.ID}}} {
		act("POST", deed.path, deed.body, 0).want(404)
	}
	act("POST", path(one.Number)+"/messages/"+held.ID+"/release", nil, whole.Version+5).want(412)
	var now ticketAnswer
	act("POST", path(one.Number)+"/messages/"+held.ID+"/release", nil, whole.Version).want(200).into(&now)
	if now.Held != 0 || now.Messages[2].Held != "" {
		t.Errorf("released: %+v", now)
	}
	act("POST", path(one.Number)+"/messages/"+held.ID+"/release", nil, 0).want(409)
	if shown := attend(""); shown.Version <= whole.Version {
		t.Errorf("nobody is told that something changed: %+v", shown)
	}

	// Split and back.
	act("POST", path(one.Number)+"/split", map[string]any{"message": invoice.ID}, whole.Version).want(412)
	var part ticketAnswer
	act("POST", path(one.Number)+"/split", map[string]any{"message": invoice.ID, "reason": "another matter"}, now.Version).want(200).into(&part)
	if part.Number == one.Number || len(part.Messages) != 1 || part.Email != "ann@acme.example" || len(read(one.Number).Messages) != 2 {
		t.Fatalf("%+v", part)
	}
	act("DELETE", path(part.Number)+"/split", nil, 0).want(200).into(&now)
	if now.Number != one.Number || len(now.Messages) != 3 {
		t.Fatalf("%+v", now)
	}
	act("DELETE", path(part.Number)+"/split", nil, 0).want(404)

	// The other is offered as a likely duplicate, the younger to be merged, and one of somebody else's is not.
	stranger := h.fileTicket(desk.Intake{Message: "slow", Email: "bob@other.example"})
	var found list[alikeAnswer]
	h.get(auth.Support, path(two.Number)+"/duplicates").want(200).into(&found)
	if len(found.Items) != 1 || found.Items[0].Number != one.Number || found.Items[0].From != two.Number || found.Items[0].Into != one.Number || found.Items[0].Why[0] != desk.AlikeTry {
		t.Errorf("%+v", found)
	}
	h.staffPage(auth.Support, "/desk/tickets/"+one.Number).want(200).says("Merge it into this one", "minutes apart").silent(stranger.Number)
	h.staffPage(auth.Auditor, "/desk/tickets/"+one.Number).want(200).says("minutes apart").silent("Merge it into this one")

	// Merge and back; each customer goes on seeing her own.
	act("POST", path(two.Number)+"/merge", map[string]any{"into": two.Number}, 0).want(422)
	act("POST", path(two.Number)+"/merge", map[string]any{"into": one.Number}, 77).want(412)
	act("POST", path(two.Number)+"/merge", map[string]any{"into": one.Number}, 0).want(200).into(&now)
	if now.Number != one.Number || len(now.Messages) != 4 || len(now.Merged) != 1 || read(two.Number).Into != one.Number {
		t.Fatalf("%+v", now)
	}
	// An answer goes to her by both, unless staff take the box away.
	h.staffPage(auth.Support, "/desk/tickets/"+one.Number).want(200).says(`name="also" value="`+two.Number+`" checked`, "has no answer yet")
	send(one.Number, url.Values{"text": {"we know nothing yet"}, "joined": {"yes"}}).want(303)
	send(one.Number, url.Values{"text": {"we restore it tonight"}, "joined": {"yes"}, "also": {two.Number}}).want(303)
	h.staffPage(auth.Support, "/desk/tickets/"+one.Number).want(200).says("Sent also in").silent("has no answer yet")
	act("POST", path(one.Number)+"/messages", map[string]any{"text": "hello", "also": []string{"ZZZ-ZZZ-ZZZ"}}, 0).want(422).says("also[0]")
	h.comes(two.Number, url.Values{"secret": {two.Secret}}).page.says("it is still gone", "we restore it tonight").silent("pay here instead", "we know nothing yet", `id="text-hint"`)
	act("POST", path(two.Number)+"/messages", map[string]any{"text": "hello"}, 0).want(409)
	act("DELETE", path(two.Number)+"/merge", nil, 0).want(200).into(&now)
	if now.Number != two.Number || now.State != desk.New || now.Into != "" {
		t.Fatalf("%+v", now)
	}
	act("DELETE", path(two.Number)+"/merge", nil, 0).want(409)
	for _, role := range []auth.Role{auth.Comms, auth.Security, auth.Auditor, auth.Engineer} { // they read at most
		h.post(role, path(two.Number)+"/merge", map[string]any{"into": one.Number}).want(403)
	}
}
