package portal

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/templates"
)

// known is a ticket of somebody who says that she is Ann of Acme, which is in the book for longer than the incident goes on.
func (h *house) known() receiptAnswer {
	h.Helper()
	h.loadContacts()
	h.clock.Turn(40 * 24 * time.Hour)
	var r receiptAnswer
	h.do(ask{method: "POST", path: "/api/v1/tickets", body: map[string]any{"message": "Our site is gone", "email": "ann@elsewhere.example"}}).want(201).into(&r)
	return r
}

var codeForm = regexp.MustCompile(`\b\d{6}\b`)

// Staff see who somebody is taken to be and on what it rests, send codes, record what they did, and take it back; every address is masked.
func TestStaffRecordWhoSomebodyIs(t *testing.T) {
	h := open(t)
	out := h.send()
	r := h.known()
	out.next() // her receipt
	path := "/api/v1/tickets/" + r.Number + "/identity"
	var a identityAnswer
	h.get(auth.Support, path).want(200).into(&a)
	if a.Level != "L0" || !slices.Equal(a.Missing, []string{"code", "account"}) || len(a.Evidence) != 0 || len(a.OnFile) != 0 {
		t.Fatalf("%+v", a)
	}
	same(t, "before anybody said whose it is", h.post(auth.Support, path+"/evidence", map[string]any{"what": "B", "hint": "x"}).want(409).named(), nil)
	h.post(auth.Support, "/api/v1/tickets/"+r.Number+"/account", map[string]any{"account_id": "A-1"}).want(200)
	h.get(auth.Support, path).want(200).silent("ann@acme.example", "+12025550101").into(&a)
	hints := map[string]string{}
	for _, f := range a.OnFile {
		hints[f.To] = f.ID
	}
	var sent desk.Sent
	h.post(auth.Support, path+"/codes", map[string]any{"hint": hints["a…@acme.example"]}).want(201).silent("ann@acme.example").into(&sent)
	m := out.next()
	if m.To != "ann@acme.example" {
		t.Fatalf("the code went to %s", m.To)
	}
	h.post(auth.Support, path+"/codes/give", map[string]any{"id": sent.ID, "code": "no"}).want(422)
	h.post(auth.Support, path+"/codes/give", map[string]any{"id": sent.ID, "code": codeForm.FindString(m.Text)}).want(200).into(&a)
	if a.Level != "L2" || a.By != "class" {
		t.Fatalf("%+v", a)
	}
	h.post(auth.Support, path+"/evidence", map[string]any{"what": "match", "contact": a.Contact}).want(200)
	h.post(auth.Support, path+"/evidence", map[string]any{"what": "B", "hint": hints["+12…01"], "reached": true, "note": "knew her word"}).want(200).silent("+12025550101").into(&a)
	if a.Level != "L3" || a.By != "pair" {
		t.Fatalf("%+v", a)
	}
	last := a.Evidence[len(a.Evidence)-1]
	if last.Class != "B" || last.How != "call" || last.Note != "knew her word" || last.By == "" || !last.Counts {
		t.Errorf("%+v", last)
	}
	same(t, "without a reason", h.post(auth.Commander, path+"/evidence/"+last.ID+"/void", map[string]any{"reason": ""}).want(422).named(), []string{"reason"})
	h.post(auth.Commander, path+"/evidence/"+last.ID+"/void", map[string]any{"reason": "the number was mistyped"}).want(200).into(&a)
	if a.Level != "L2" || a.Evidence[len(a.Evidence)-1].Why != "staff" {
		t.Errorf("%+v", a)
	}
	// Two answer for her, and it shows.
	h.post(auth.Support, path+"/evidence", map[string]any{"what": "override", "note": "her board called the chief executive"}).want(200).into(&a)
	id := a.Evidence[len(a.Evidence)-1].ID
	h.post(auth.Support, path+"/evidence/"+id+"/agree", map[string]any{}).want(403)
	h.post(auth.Commander, path+"/evidence/"+id+"/agree", map[string]any{}).want(200).into(&a)
	if a.Level != "L3" || !a.Override {
		t.Errorf("%+v", a)
	}
	var zone desk.Zone
	h.post(auth.Support, path+"/zones", map[string]any{"domain": "acme.example"}).want(201).into(&zone)
	h.post(auth.Support, path+"/zones", map[string]any{"domain": "-"}).want(422)
	h.post(auth.Support, path+"/zones/check", map[string]any{}).want(200).says(zone.Value)
	for _, bad := range []map[string]any{{"what": "A"}, {"what": "L3"}, {"what": "match", "level": "L4"}, {"what": "number", "phone": "+12025550199", "source": "yearbook", "since": h.clock.Now().Format(time.RFC3339)}} {
		h.post(auth.Support, path+"/evidence", bad).want(422)
	}
	h.get(auth.Auditor, path).want(200)
	h.get(auth.Support, "/api/v1/tickets/000-000-000/identity").want(404)
}

// The ticket page asks who this is: what is known, what would lead on, and a form for each thing that can be done, all of which work without script.
func TestTheTicketPageAsksWhoThisIs(t *testing.T) {
	h := open(t)
	out := h.send()
	r := h.known()
	out.next()
	h.post(auth.Support, "/api/v1/tickets/"+r.Number+"/account", map[string]any{"account_id": "A-1"}).want(200)
	s := h.sits(auth.Support)
	page := "/desk/tickets/" + r.Number
	first := s.page(page).want(200).says("Who is this?", "Nothing is known of her yet.", "a…@acme.example", "Say first: "+r.Phrase).silent("ann@acme.example", "+12025550101")
	hint := regexp.MustCompile(`<option value="([^"]+\.email\.\d+)">a…@acme`).FindSubmatch(first.body)
	if hint == nil {
		t.Fatalf("no address to choose:\n%s", first.body)
	}
	sent := s.press(page+"/identity", "do", "code", "hint", string(hint[1])).want(303)
	m := out.next()
	to, _, _ := strings.Cut(sent.Header.Get("Location"), "#")
	id := regexp.MustCompile(`name="id" value="(qst_[^"]+)"`).FindSubmatch(s.page(to).want(200).says("The code that she reads to you").body)
	s.press(page+"/identity", "do", "give", "id", string(id[1]), "code", codeForm.FindString(m.Text)).want(303)
	s.page(page).want(200).says("She belongs to the customer.", "Evidence of a second sort")
	s.press(page+"/identity", "do", "record", "what", "number", "phone", "+12025550199", "source", "yearbook", "since", "yesterday").want(422).says("must be a day")
	s.press(page+"/identity", "do", "record", "what", "number", "phone", "+12025550199", "source", "yearbook of 2021", "since", "2021-05-31").want(303)
	s.page(page).want(200).says("12025550199", "yearbook of 2021")
	s.page("/desk").want(200).says("/desk/tickets/" + r.Number) // within four hours
	s.press(page+"/identity", "do", "fly").want(422)
}

// The link of a code's mail shows a button to whoever follows it, and no page that a customer sees names a level.
func TestALinkOfACodeIsConfirmedByItsButton(t *testing.T) {
	h := open(t)
	out := h.send()
	r := h.known()
	out.next()
	h.post(auth.Support, "/api/v1/tickets/"+r.Number+"/identity/codes", map[string]any{}).want(201)
	m := out.next()
	_, rest, found := strings.Cut(m.Text, h.URL+"/v/")
	token, _, _ := strings.Cut(rest, "\n")
	if !found || m.To != "ann@elsewhere.example" {
		t.Fatalf("%s: %s", m.To, m.Text)
	}
	link := "/v/" + strings.TrimSpace(token)
	press := func(header map[string]string) answer {
		return h.do(ask{method: "POST", path: link, media: "application/x-www-form-urlencoded", body: "x=1", header: header})
	}
	level := func() string {
		var a identityAnswer
		h.get(auth.Support, "/api/v1/tickets/"+r.Number+"/identity").want(200).into(&a)
		return a.Level
	}
	names := regexp.MustCompile(`\bL[0-4]\b|(?i:unverified)|未确认身份|未验证|未確認`)
	quiet := func(a answer) {
		t.Helper()
		if found := names.Find(a.body); found != nil {
			t.Errorf("a customer reads %q", found)
		}
	}
	for _, lang := range templates.Locales() {
		page := h.do(ask{method: "GET", path: link + "?lang=" + lang}).want(200).says("a…@elsewhere.example", r.Number).silent("ann@elsewhere.example")
		if page.Header.Get("Referrer-Policy") != "no-referrer" || page.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", page.Header)
		}
		quiet(page)
	}
	if level() != "L0" {
		t.Error("a scanner confirmed it")
	}
	press(map[string]string{"Origin": "https://evil.example"}).want(403)
	quiet(press(map[string]string{"Origin": h.URL}).want(200).says("Thank you", "/t/"+r.Number))
	if level() != "L1" {
		t.Error("the button confirmed nothing")
	}
	quiet(press(map[string]string{"Origin": h.URL}).want(404))
	quiet(h.do(ask{method: "GET", path: "/v/none?lang=ja"}).want(404).says("無効"))
	for _, lang := range templates.Locales() {
		quiet(h.do(ask{method: "POST", path: "/t/" + r.Number + "?lang=" + lang, media: "application/x-www-form-urlencoded", body: url.Values{"secret": {r.Secret}, "here": {"1"}}.Encode(), header: map[string]string{"Origin": h.URL}}).want(200))
	}
}
