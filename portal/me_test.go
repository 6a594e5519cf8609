package portal

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
)

var pendingField = regexp.MustCompile(`name="pending" value="([^"]+)"`)

// opensOwn asks for a code to an address and opens the page that it leads to.
func (h *house) opensOwn(out *sent, to string) *guest {
	h.Helper()
	a := h.do(ask{method: "POST", path: "/me", media: form, body: url.Values{"to": {to}}.Encode()}).want(200)
	code := sixDigits.FindString(out.next().Text)
	g := &guest{house: h, at: "/me"}
	g.page = h.do(ask{method: "POST", path: "/me/open", media: form, body: url.Values{"pending": {string(pendingField.FindSubmatch(a.body)[1])}, "code": {code}}.Encode()})
	g.kept(g.page)
	return g
}

// Somebody sees what is held about her and where it came from, in part; confirms it; takes it with her. It takes a code to an address on file, and who has none there is
// answered alike.
func TestSomebodySeesWhatIsHeldAboutHer(t *testing.T) {
	h := open(t)
	h.loadContacts()
	out := h.send()
	a := h.do(ask{method: "POST", path: "/me", media: form, body: url.Values{"to": {"ann@acme.example"}}.Encode()}).want(200)
	right := url.Values{"pending": {string(pendingField.FindSubmatch(a.body)[1])}, "code": {sixDigits.FindString(out.next().Text)}}.Encode()
	h.do(ask{method: "POST", path: "/me/open", media: form, body: right}).want(403).says("recorded too recently", `href="/support`).silent("Ann Lee", "new code")
	h.clock.Turn(31 * 24 * time.Hour) // what was imported just now proves nothing
	alike := map[string]bool{}
	for _, to := range []string{"ann@acme.example", "eve@acme.example"} {
		a := h.do(ask{method: "POST", path: "/me", media: form, body: url.Values{"to": {to}}.Encode()}).want(200)
		alike[strings.NewReplacer(string(pendingField.FindSubmatch(a.body)[1]), "P", to[:1]+"…@", "M").Replace(string(a.body))] = true
		if code := sixDigits.FindString(out.next().Text); (code != "") != (to == "ann@acme.example") {
			t.Errorf("%s gets the code %q", to, code)
		}
	}
	if len(alike) != 1 {
		t.Errorf("who is on file and who is not are answered in %d ways", len(alike))
	}
	h.do(ask{method: "POST", path: "/me", media: form, body: "to=nobody"}).want(422).says("neither an e-mail address")

	h.clock.Turn(time.Hour)
	mine := h.file(map[string]any{"message": "our wiki is gone", "email": "ann@acme.example"})
	h.post(auth.Support, "/api/v1/tickets/"+mine.Number+"/account", map[string]any{"account_id": "A-1"}).want(200)
	out.next() // its receipt
	g := h.opensOwn(out, "ann@acme.example")
	g.page.want(200).says("Ann Lee", "Acme", "ann@acme.example", "billing", "Owner", mine.Number).silent("2025550101", "bo@acme", "Bo Chen", "L2", "nverified")
	g.looks().want(200).says("Ann Lee")
	h.do(ask{method: "POST", path: "/me/right", media: form, body: "visit=", header: map[string]string{"Cookie": g.cookie}}).want(404)

	g.sends("right", url.Values{}).want(303)
	g.page.says("right as of today", "Confirmed on ")

	j := g.do(ask{method: "POST", path: "/me/copy", media: form, body: url.Values{"visit": {visitOf(g.page)}, "as": {"json"}}.Encode()}).want(200).says("Ann Lee", mine.Number).silent("2025550101")
	if !strings.HasPrefix(j.Header.Get("Content-Disposition"), "attachment") {
		t.Error("the copy is shown, not kept")
	}
	rows, err := csv.NewReader(strings.NewReader(string(g.do(ask{method: "POST", path: "/me/copy", media: form, body: url.Values{"visit": {visitOf(g.page)}, "as": {"csv"}}.Encode()}).want(200).body))).ReadAll()
	if err != nil || len(rows) < 5 {
		t.Errorf("%v, %v", rows, err)
	}
	for _, row := range rows {
		for _, cell := range row {
			if strings.HasPrefix(cell, "+") {
				t.Errorf("a spreadsheet reckons with %q", cell)
			}
		}
	}
	h.clock.Turn(31 * time.Minute)
	g.looks().silent("Ann Lee")
}

// What she asks of her own record is a ticket with her words and a task for a person; nothing of the record changes by asking.
func TestAChangeOfOnesOwnRecordIsAskedForAndNotDone(t *testing.T) {
	h := open(t)
	h.loadContacts()
	h.clock.Turn(31 * 24 * time.Hour)
	out := h.send()
	g := h.opensOwn(out, "ann@acme.example")
	g.sends("wish", url.Values{"wish": {"change"}, "words": {" "}}).want(422).says(`aria-invalid="true"`)
	g.sends("wish", url.Values{"wish": {"everything"}, "words": {"x"}}).want(422)
	g.sends("wish", url.Values{"wish": {"change"}, "words": {"My phone is +49 30 1234567 now."}}).want(200).says("Write the secret down")
	g.sends("wish", url.Values{"wish": {"erase"}}).want(200).says("180 days", "Write the secret down")
	broken, err := h.Desk.Own(t.Context(), visitOf(g.page))
	if err != nil {
		t.Fatal(err)
	}
	before := len(h.items("/api/v1/tickets"))
	broken.Contact.ID = strings.Repeat("x", 300) // about which no task can be
	if _, err := h.Desk.AskOwn(t.Context(), broken, desk.WishErase, "", "en"); err == nil {
		t.Error("a wish without its task is taken")
	}
	if n := len(h.items("/api/v1/tickets")); n != before {
		t.Errorf("there are %d tickets, and %d before a wish that failed", n, before)
	}
	tasks := h.items("/api/v1/tasks?state=open")
	asked := map[string]string{}
	for _, task := range tasks {
		if what := task["what"].(string); strings.HasPrefix(what, "contact.") {
			asked[what] = task["detail"].(map[string]any)["ticket"].(string)
			if title := task["title"].(string); strings.Contains(title, "Ann") || strings.Contains(title, "1234567") {
				t.Errorf("the task says %q", title)
			}
		}
	}
	if len(asked) != 2 {
		t.Fatalf("%v", tasks)
	}
	h.get(auth.Support, "/api/v1/tickets/"+asked["contact.change"]).want(200).says("+49 30 1234567", "ann@acme.example")
	h.get(auth.Support, "/api/v1/sites/S-1/contacts").want(200).says("Ann Lee").silent("4930")
	if h.get("", "/me").want(http.StatusOK); strings.Contains(string(g.page.body), "Bo Chen") {
		t.Error("she sees a colleague")
	}
}
