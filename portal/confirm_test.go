package portal

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
)

// asks runs the duties until the campaign has written its first mail, and gives the path of its link.
func (h *house) asks(out *sent) string {
	h.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Comms.RunDuties(ctx) }()
	m := out.next()
	cancel()
	<-done
	_, rest, found := strings.Cut(m.Text, h.URL+"/c/")
	if !found || m.To != "ann@acme.example" {
		h.Fatalf("%s: %s", m.To, m.Text)
	}
	token, _, _ := strings.Cut(rest, "\n")
	return "/c/" + strings.TrimSpace(token)
}

// The link of a confirmation mail changes nothing when it is followed, and confirms when its button is pressed.
func TestAnAddressIsConfirmedByAButtonAndByNoScanner(t *testing.T) {
	h := open(t)
	h.loadContacts()
	h.clock.Turn(400*24*time.Hour + time.Hour)
	link := h.asks(h.send())
	press := func(path string, form url.Values) answer {
		return h.do(ask{method: "POST", path: path, media: "application/x-www-form-urlencoded", body: form.Encode(), header: map[string]string{"Origin": h.URL}})
	}
	contact := func() string {
		return string(h.get(auth.Support, "/api/v1/sites/S-1/contacts?approved=true").want(200).body)
	}
	before := contact()
	for range 3 {
		page := h.do(ask{method: "GET", path: link}).want(200).says("a…@acme.example", "Acme", `value="yes"`).silent("ann@acme.example")
		if page.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("the link would leak: %q", page.Header.Get("Referrer-Policy"))
		}
		h.do(ask{method: "HEAD", path: link}).want(200)
	}
	if contact() != before {
		t.Error("a scanner confirmed the address")
	}
	h.do(ask{method: "GET", path: link[:len(link)-2]}).want(404).silent("acme")
	press(strings.Replace(link, ".1.", ".2.", 1), url.Values{"answer": {"yes"}}).want(404)
	h.do(ask{method: "POST", path: link, media: "application/x-www-form-urlencoded", body: "answer=yes", header: map[string]string{"Origin": "https://evil.example"}}).want(403)
	press(link, url.Values{"answer": {"other"}, "address": {"no address"}}).want(422).says(`value="no address"`, `aria-invalid="true"`)
	if contact() != before {
		t.Error("what was refused changed something")
	}
	press(link, url.Values{"answer": {"yes"}, "at_night": {"1"}}).want(200).says("Thank you", "/card.vcf")
	err := h.DB.View(context.Background(), func(tx *store.Tx) error {
		people, err := h.Book.ByAddress(tx, contacts.Email, "ann@acme.example")
		if err == nil && !people[0].Value.AtNight {
			t.Error("she asked to be told by night too")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := contact(); after == before || !strings.Contains(after, h.clock.Now().UTC().Format("2006-01-02T15:04")) {
		t.Errorf("not confirmed: %s", after)
	}
	h.do(ask{method: "GET", path: link, header: map[string]string{"Accept-Language": "ja"}}).want(200).says("ありがとうございます")
}

// Another address is a proposal: staff see it in full for a reason that is kept.
func TestAnotherAddressIsShownToStaffForAReason(t *testing.T) {
	h := open(t)
	h.loadContacts()
	h.clock.Turn(400*24*time.Hour + time.Hour)
	link := h.asks(h.send())
	h.do(ask{method: "POST", path: link, media: "application/x-www-form-urlencoded", body: url.Values{"answer": {"other"}, "address": {"new@acme.example"}}.Encode(),
		header: map[string]string{"Origin": h.URL}}).want(200)
	var tasks list[map[string]any]
	h.get(auth.Support, "/api/v1/tasks?state=open").want(200).silent("new@acme.example").into(&tasks)
	id := tasks.Items[0]["detail"].(map[string]any)["confirmation_id"].(string)
	path := "/api/v1/confirmations/" + id + "/unmask"
	same(t, "without a reason", h.post(auth.Support, path, map[string]any{"reason": ""}).want(422).named(), []string{"reason"})
	h.post(auth.Support, path, map[string]any{"reason": "called the customer"}).want(200).says("new@acme.example")
	h.post(auth.Auditor, path, map[string]any{"reason": "x"}).want(403)
	h.post(auth.Support, "/api/v1/confirmations/cfm_none/unmask", map[string]any{"reason": "x"}).want(404)

	// The task says whom it is about and where she is to be found, and shows the address on its own page.
	desk, task := h.sits(auth.Support), "/desk/tasks/"+tasks.Items[0]["id"].(string)
	desk.page(task).want(200).says("Ann Lee", ">Acme<", "a…@acme.example", "n…@acme.example", "Show addresses in full").silent("new@acme.example", "ann@acme.example", "confirmation_id", "⟦")
	desk.press(task, "act", "unmask", "reason", "").want(422).silent("new@acme.example")
	desk.press(task, "act", "unmask", "reason", "calls her").want(200).says("new@acme.example").silent("ann@acme.example")
	h.sits(auth.Auditor).page(task).want(200).silent("Show addresses in full")
	h.sits(auth.Approver).page(task).want(200).silent("Ann Lee", "Acme<")
}

func TestTheCardSaysWhereWeAreAndAsWhomWeWrite(t *testing.T) {
	h := open(t, func(p *Portal) { p.Comms.Vendor.Name = "Vendor; Söhne, Ltd"; p.Comms.Vendor.Phone = "+12025550199" })
	h.do(ask{method: "GET", path: "/card"}).want(200).says(h.URL+"/support", "status@vendor.example", "12025550100", "12025550199", "/card.vcf")
	h.do(ask{method: "GET", path: "/card?lang=zh-CN"}).want(200).says("通讯录")
	policy := func(a answer) string { return a.Header.Get("Content-Security-Policy") }
	if a := h.do(ask{method: "GET", path: "/card"}); !strings.Contains(policy(a), "frame-ancestors 'none'") {
		t.Errorf("the page may be framed: %s", policy(a))
	}
	frame := h.do(ask{method: "GET", path: "/card?frame=1&lang=ja"}).want(200).says(h.URL+"/support", "status@vendor.example", "12025550100", `target="_top"`).silent("<form", "<script", "<nav")
	if !strings.Contains(policy(frame), "frame-ancestors *") || !strings.Contains(policy(frame), "default-src 'none'") {
		t.Errorf("the vendor's own page cannot show the card: %s", policy(frame))
	}
	a := h.do(ask{method: "GET", path: "/card.vcf?lang=ja"}).want(200)
	if media := a.Header.Get("Content-Type"); media != "text/vcard; charset=utf-8" {
		t.Error(media)
	}
	card := string(a.body)
	if !strings.HasPrefix(card, "BEGIN:VCARD\r\nVERSION:3.0\r\n") || !strings.HasSuffix(card, "END:VCARD\r\n") {
		t.Errorf("%q", card)
	}
	whole := strings.ReplaceAll(card, "\r\n ", "")
	for _, want := range []string{`ORG:Vendor\; Söhne\, Ltd`, "EMAIL;TYPE=INTERNET:status@vendor.example", "TEL;TYPE=CELL,MSG:+12025550100", "URL:" + h.URL + "\r\n", "NOTE:パスワード"} {
		if !strings.Contains(whole, want) {
			t.Errorf("the card lacks %q: %q", want, whole)
		}
	}
	for _, line := range strings.Split(card, "\r\n") {
		if len(line) > 75 || strings.ToValidUTF8(line, "?") != line {
			t.Errorf("a line of %d bytes: %q", len(line), line)
		}
	}
	if got := (Card{Mail: "a@b\r\nNOTE:x"}).vCard("n", ""); strings.Contains(got, "\nNOTE") {
		t.Errorf("a line was smuggled in: %q", got)
	}
}
