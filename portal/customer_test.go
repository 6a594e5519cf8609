package portal

import (
	"archive/zip"
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store/secret"
)

// guest is a customer at a browser that keeps cookies, looking at her ticket.
type guest struct {
	*house
	at     string // the page's address
	page   answer
	cookie string
}

var visitField = regexp.MustCompile(`name="visit" value="([^"]+)"`)

// visitOf is the visit that the forms of a page carry.
func visitOf(page answer) string {
	page.t.Helper()
	m := visitField.FindSubmatch(page.body)
	if m == nil {
		page.t.Fatalf("no form of the page carries a visit:\n%s", page.body)
	}
	return string(m[1])
}

// comes opens a ticket with a key and looks at it.
func (h *house) comes(number string, key url.Values) *guest {
	h.Helper()
	g := &guest{house: h, at: "/t/" + number}
	g.sends("", key)
	return g
}

// sends posts one of the page's forms, and looks at the page that it leads to.
func (g *guest) sends(form_ string, fields url.Values) answer {
	g.Helper()
	if form_ != "" && fields.Get("visit") == "" {
		fields.Set("visit", visitOf(g.page))
	}
	path := g.at
	if form_ != "" {
		path += "/" + form_
	}
	a := g.do(ask{method: "POST", path: path, media: form, body: fields.Encode(), header: map[string]string{"Cookie": g.cookie}})
	g.kept(a)
	if a.StatusCode == http.StatusSeeOther {
		g.page = g.do(ask{method: "GET", path: a.Header.Get("Location"), header: map[string]string{"Cookie": g.cookie}}).want(200)
		g.kept(g.page)
		return a
	}
	g.page = a
	return a
}

func (g *guest) kept(a answer) {
	for _, c := range a.Cookies() {
		if c.Name == g.visitCookie() {
			g.cookie = c.Name + "=" + c.Value
		}
	}
}

// looks reads the page again.
func (g *guest) looks() answer {
	g.Helper()
	return g.do(ask{method: "GET", path: g.at, header: map[string]string{"Cookie": g.cookie}})
}

var mailedLink = regexp.MustCompile(`/t/([0-9A-Z-]+)\?k=([^&\s"<]+)`)

// The mailed link shows a button and opens nothing; pressed, it opens its ticket, shows that the address reaches her, and holds for a week.
func TestAMailedLinkOpensItsTicketByAButton(t *testing.T) {
	h := open(t)
	out := h.send()
	mine := h.file(map[string]any{"message": "our wiki is gone", "email": "ann@acme.example", "locale": "ja"})
	mail := out.next()
	m := mailedLink.FindStringSubmatch(mail.Text)
	if m == nil || m[1] != mine.Number || strings.Contains(mail.Text, mine.Secret) {
		t.Fatalf("the receipt has no link to its ticket: %s", mail.Text)
	}
	k := m[2]
	h.get("", "/t/"+mine.Number+"?k="+k).want(200).says(`name="k" value="`+k+`"`).silent("our wiki is gone", `name="visit"`)
	if s := h.standing(mine.ID); s.Level != desk.L0 {
		t.Errorf("a look at the link made it %v", s.Level)
	}
	for _, wrong := range []string{"", "x", k[1:], "s" + k[1:], k + "A", "e", "."} {
		h.comes(mine.Number, url.Values{"k": {wrong}}).page.want(404).silent("our wiki is gone")
	}
	other := h.file(map[string]any{"message": "another", "email": "ann@acme.example"})
	h.comes(other.Number, url.Values{"k": {k}}).page.want(404)

	g := h.comes(mine.Number, url.Values{"k": {k}})
	g.page.says("our wiki is gone", `lang="ja"`)
	if s := h.standing(mine.ID); s.Level != desk.L1 {
		t.Errorf("opened by the mailed link, it is %v", s.Level)
	}
	h.clock.Turn(7*24*time.Hour - time.Second)
	h.comes(mine.Number, url.Values{"k": {k}}).page.says("our wiki is gone")
	h.clock.Turn(2 * time.Second)
	h.comes(mine.Number, url.Values{"k": {k}}).page.want(404).silent("our wiki is gone")
}

// standing is who staff would see the person of a ticket to be.
func (h *house) standing(id string) desk.Standing {
	h.Helper()
	s, err := h.Desk.Standing(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	return s
}

// A visit is carried by a cookie that only looks, and by the forms: so no other site's page writes anything, looking again sends nothing twice, and a
// browser without cookies works. It ends after half a day, when she leaves, and when the ticket gets a new secret.
func TestAVisitIsCarriedFromPageToPage(t *testing.T) {
	h := open(t)
	mine := h.file(map[string]any{"message": "our wiki is gone", "email": "ann@acme.example"})
	g := h.comes(mine.Number, url.Values{"secret": {mine.Secret}})
	g.page.says("our wiki is gone").silent(mine.Secret)
	if set := g.page.Header.Get("Set-Cookie"); !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") || !strings.Contains(strings.ToLower(set), "path=/t/"+strings.ToLower(mine.Number)) {
		t.Errorf("the cookie is %q", set)
	}
	before := g.cookie
	if a := g.sends("words", url.Values{"text": {"and the forum"}}); a.StatusCode != http.StatusSeeOther {
		t.Errorf("%d", a.StatusCode)
	}
	g.page.says("and the forum")
	g.sends("words", url.Values{"text": {"and the forum"}}) // pressed twice
	if n := len(ticketSaid(h, mine.Number)); n != 2 {
		t.Errorf("the ticket has %d entries, want two", n)
	}
	h.do(ask{method: "POST", path: "/t/" + mine.Number + "/words", media: form, body: "text=by+another+site", header: map[string]string{"Cookie": g.cookie}}).want(404)
	h.do(ask{method: "POST", path: "/t/" + mine.Number + "/words", media: form, body: url.Values{"text": {"x"}, "visit": {visitOf(g.page)}}.Encode(),
		header: map[string]string{"Cookie": g.cookie, "Sec-Fetch-Site": "cross-site"}}).want(403)
	h.do(ask{method: "GET", path: "/t/" + strings.ToLower(mine.Number) + "?lang=ja"}).want(303)

	h.clock.Turn(12*time.Hour - time.Minute)
	g.looks().says("our wiki is gone")
	h.clock.Turn(2 * time.Minute)
	g.looks().silent("our wiki is gone")
	h.do(ask{method: "GET", path: "/t/" + mine.Number, header: map[string]string{"Cookie": before}}).silent("our wiki is gone")

	g = h.comes(mine.Number, url.Values{"secret": {mine.Secret}})
	visit := visitOf(g.page)
	g.sends("leave", url.Values{})
	if g.cookie != h.visitCookie()+"=" {
		t.Errorf("after she left the browser holds %q", g.cookie)
	}
	g.page = h.do(ask{method: "POST", path: "/t/" + mine.Number + "/words", media: form, body: url.Values{"text": {"still here"}, "visit": {visit}}.Encode()}).want(200)
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

// A code to the address that she gave lets her do more, in this visit and in no other that was open before.
func TestACodeLetsHerDoMoreInTheVisitInWhichSheGaveIt(t *testing.T) {
	h := open(t)
	out := h.send()
	mine := h.file(map[string]any{"message": "our wiki is gone", "email": "ann@acme.example"})
	out.next()
	g := h.comes(mine.Number, url.Values{"secret": {mine.Secret}})
	stolen := *g
	g.page.says("Send a code to a…@acme.example").silent("Close this ticket", "L0", "L1", "nverified")
	g.sends("code", url.Values{}).want(200)
	pending := regexp.MustCompile(`name="pending" value="([^"]+)"`).FindSubmatch(g.page.body)
	if pending == nil {
		t.Fatalf("no code is asked for: %s", g.page.body)
	}
	code := sixDigits.FindString(out.next().Text)
	wrong := "000000"
	if code == wrong {
		wrong = "111111"
	}
	g.sends("proof", url.Values{"pending": {string(pending[1])}, "code": {wrong}}).want(422)
	g.page.says("not the one that we sent", `name="pending"`)
	g.sends("proof", url.Values{"pending": {string(pending[1])}, "code": {code}}).want(303)
	g.page.says("shows you more now", "Close this ticket").silent("L1", "nverified")
	if page := stolen.looks(); strings.Contains(string(page.body), "Close this ticket") {
		t.Error("a visit that began before gained by the code")
	}
	g.sends("proof", url.Values{"pending": {string(pending[1])}, "code": {code}}).want(422)
	// Another code to the same address opens nothing more, and the page does not say that it does.
	g.sends("code", url.Values{}).want(200).says("Send another code")
	pending = regexp.MustCompile(`name="pending" value="([^"]+)"`).FindSubmatch(g.page.body)
	g.sends("proof", url.Values{"pending": {string(pending[1])}, "code": {sixDigits.FindString(out.next().Text)}}).want(303)
	g.page.says("By itself it does not show you more").silent("shows you more now")
}

// Whoever lost her secret gets a new one by a code to the ticket's address. A number that does not exist and an address that is not the ticket's are answered alike.
func TestALostSecretIsRegained(t *testing.T) {
	h := open(t)
	out := h.send()
	mine := h.file(map[string]any{"message": "our wiki is gone", "email": "ann@acme.example"})
	link := mailedLink.FindStringSubmatch(out.next().Text)[2]
	asks := func(number, to string) answer {
		return h.do(ask{method: "POST", path: "/t/" + number + "/lost", media: form, body: url.Values{"to": {to}}.Encode()}).want(200)
	}
	alike := map[string]bool{}
	var pending string
	codes := map[string]string{}
	for _, c := range [][2]string{{"000-000-000", "ann@acme.example"}, {mine.Number, "eve@acme.example"}, {mine.Number, "ann@acme.example"}} {
		a := asks(c[0], c[1])
		pending = string(regexp.MustCompile(`name="pending" value="([^"]+)"`).FindSubmatch(a.body)[1])
		alike[strings.NewReplacer(c[0], "N", pending, "P", "a…@acme.example", "M", "e…@acme.example", "M").Replace(string(a.body))] = true
		codes[c[0]+c[1]] = sixDigits.FindString(out.next().Text)
	}
	if len(alike) != 1 {
		t.Errorf("known and unknown are answered in %d ways", len(alike))
	}
	if codes["000-000-000ann@acme.example"]+codes[mine.Number+"eve@acme.example"] != "" {
		t.Errorf("a code went to whom nothing belongs: %v", codes)
	}
	old := h.comes(mine.Number, url.Values{"secret": {mine.Secret}})
	a := h.do(ask{method: "POST", path: "/t/" + mine.Number + "/secret", media: form, body: url.Values{"pending": {pending}, "code": {codes[mine.Number+"ann@acme.example"]}}.Encode()}).want(200).says("our wiki is gone", "Your new secret")
	got := regexp.MustCompile(`class="code secret">([^<]+)<`).FindSubmatch(a.body)
	if got == nil || secret.Normal(string(got[1])) == "" {
		t.Fatalf("no new secret: %s", a.body)
	}
	h.comes(mine.Number, url.Values{"secret": {string(got[1])}}).page.says("our wiki is gone")
	h.comes(mine.Number, url.Values{"secret": {mine.Secret}}).page.want(404)
	h.comes(mine.Number, url.Values{"k": {link}}).page.want(404)
	old.looks().silent("our wiki is gone")
}

// She says when she wants to be called, in her own time: a task for staff at that moment, and the number stands in the ticket alone.
func TestACallIsAskedForAtATime(t *testing.T) {
	h := open(t)
	mine := h.file(map[string]any{"message": "our wiki is gone", "email": "ann@acme.example", "locale": "en"})
	g := h.comes(mine.Number, url.Values{"secret": {mine.Secret}})
	ask := func(day, hour, zone, phone string) answer {
		t.Helper()
		return g.sends("call", url.Values{"day": {day}, "hour": {hour}, "zone": {zone}, "phone": {phone}})
	}
	for _, c := range [][4]string{{"2022-04-05", "08:16", "UTC", "+12025550101"}, {"2022-04-19", "08:18", "UTC", "+12025550101"}, {"soon", "", "UTC", "+12025550101"}, {"2022-04-05", "20:00", "Mars/Olympus", "+12025550101"},
		{"2022-04-05", "20:00", "Local", "+12025550101"}, {"2022-04-05", "20:00", "Asia/Tokyo", "me"}} {
		ask(c[0], c[1], c[2], c[3]).want(422).says(c[0], `aria-invalid="true"`)
	}
	ask("2022-04-05", "20:00", "Asia/Tokyo", "+1 202 555 0101").want(303) // 11:00 UTC
	g.page.says("noted your call", "2022-04-05 20:00 (Asia/Tokyo), &#43;12025550101")
	ask("2022-04-06", "09:00", "America/New_York", "+1 202 555 0101").want(303)
	var tasks struct {
		Items []struct {
			What   string      `json:"what"`
			Due    time.Time   `json:"due"`
			Title  string      `json:"title"`
			Detail desk.Booked `json:"detail"`
		} `json:"items"`
	}
	h.get(auth.Support, "/api/v1/tasks?state=open").want(200).silent("2025550101").into(&tasks)
	if len(tasks.Items) != 1 || tasks.Items[0].What != comms.Call || tasks.Items[0].Due.UTC().Format(time.RFC3339) != "2022-04-06T13:00:00Z" || tasks.Items[0].Detail.Zone != "America/New_York" {
		t.Errorf("%+v", tasks)
	}
}

// A copy holds what the page shows and the files, names nothing outside itself, and no path in it leaves it.
func TestATicketIsTakenAlong(t *testing.T) {
	h := open(t)
	out := h.send()
	mine := h.file(map[string]any{"message": "our wiki is <b>gone</b>", "email": "ann@acme.example", "locale": "ja"})
	link := mailedLink.FindStringSubmatch(out.next().Text)[2]
	h.post(auth.Support, "/api/v1/tickets/"+mine.Number+"/messages", map[string]any{"text": "we are on it"}).want(201)
	h.post(auth.Support, "/api/v1/tickets/"+mine.Number+"/messages", map[string]any{"text": "careful with her", "internal": true}).want(201)
	g := h.comes(mine.Number, url.Values{"k": {link}})
	for _, name := range []string{`..\..\evil.txt`, "evil.txt"} {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for field, value := range map[string]string{"visit": visitOf(g.page), "text": "see " + name} {
			if err := w.WriteField(field, value); err != nil {
				t.Fatal(err)
			}
		}
		part, err := w.CreateFormFile("attachments", name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write([]byte("the log says no")); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		g.page = h.do(ask{method: "POST", path: "/t/" + mine.Number + "/words", media: w.FormDataContentType(), body: b.String()}).want(200).says("evil.txt")
	}
	a := g.do(ask{method: "POST", path: "/t/" + mine.Number + "/copy", media: form, body: url.Values{"visit": {visitOf(g.page)}}.Encode()}).want(200)
	z, err := zip.NewReader(bytes.NewReader(a.body), int64(len(a.body)))
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]string{}
	for _, f := range z.File {
		if !filepath.IsLocal(f.Name) || strings.Contains(f.Name, `\`) || held[f.Name] != "" {
			t.Errorf("a path of the copy is %q", f.Name)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		held[f.Name] = string(body)
	}
	page, data := held["ticket-"+mine.Number+"/ticket.html"], held["ticket-"+mine.Number+"/ticket.json"]
	if len(held) != 4 || !strings.Contains(page, "we are on it") || !strings.Contains(page, `lang="ja"`) || !strings.Contains(page, "&lt;b&gt;gone") || !strings.Contains(data, "we are on it") {
		t.Errorf("the copy is %v", held)
	}
	for name, body := range held {
		if strings.Contains(body, "careful with her") || strings.Contains(body, mine.Secret) || strings.Contains(body, "stf_") || strings.Contains(body, "://") {
			t.Errorf("%s says too much: %s", name, body)
		}
	}
	for _, path := range regexp.MustCompile(`href="(files/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		if held["ticket-"+mine.Number+"/"+path[1]] != "the log says no" {
			t.Errorf("the page leads to %q, which is not there", path[1])
		}
	}
	h.do(ask{method: "POST", path: "/t/" + mine.Number + "/copy", media: form, body: "visit=x"}).want(404)
}

// The receipt and the ticket say how long people wait, as it was measured: nothing while nobody was answered, half of those of the last hours, and who waits longest.
func TestTheWaitingTimeIsMeasured(t *testing.T) {
	h := open(t)
	fields := url.Values{"message": {"our wiki is gone"}, "email": {"eve@acme.example"}, "locale": {"en"}}
	files := func() answer {
		return h.do(ask{method: "POST", path: "/support", media: form, body: fields.Encode()}).want(201)
	}
	files().says("Nobody was answered in the last four hours")
	var filed []receiptAnswer
	for range 3 {
		filed = append(filed, h.file(map[string]any{"message": "help", "email": "ann@acme.example"}))
	}
	for _, r := range filed {
		h.clock.Turn(10 * time.Minute)
		h.post(auth.Support, "/api/v1/tickets/"+r.Number+"/messages", map[string]any{"text": "we are on it"}).want(201)
	}
	h.clock.Turn(time.Minute)
	files().says("a first answer within 20 minutes", "anybody is waiting now: 31 minutes")
	h.clock.Turn(5 * time.Hour)
	files().says("Nobody was answered in the last four hours")
}

// Where her sites stand is shown to whoever has shown that she belongs to the customer, and to nobody else.
func TestTheStageOfHerSitesIsShownToWhomItConcerns(t *testing.T) {
	h := open(t)
	h.loadContacts()
	h.clock.Turn(31 * 24 * time.Hour) // what was imported just now proves nothing
	out := h.send()
	incident := h.declare()
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/incidents/" + incident + "/affected", media: "application/x-ndjson", body: "{\"site_id\":\"S-1\"}\n{\"site_id\":\"S-2\"}\n{\"site_id\":\"S-4\"}\n"}).want(200)
	h.do(ask{as: auth.Commander, method: "POST", path: "/api/v1/incidents/" + incident + "/sites", media: "application/x-ndjson", body: "{\"site_id\":\"S-1\",\"state\":\"restoring\"}\n"}).want(200)
	mine := h.file(map[string]any{"message": "our wiki is gone", "email": "ann@private.example", "locale": "en"})
	g := h.comes(mine.Number, url.Values{"secret": {mine.Secret}})
	prove := func(fields url.Values, to string) {
		t.Helper()
		g.sends("code", fields).want(200)
		pending := string(pendingField.FindSubmatch(g.page.body)[1])
		for {
			if m := out.next(); m.To == to && sixDigits.MatchString(m.Text) {
				g.sends("proof", url.Values{"pending": {pending}, "code": {sixDigits.FindString(m.Text)}}).want(303)
				return
			}
		}
	}
	prove(url.Values{}, "ann@private.example")
	g.page.silent("Your sites", "acme.example")
	h.post(auth.Support, "/api/v1/tickets/"+mine.Number+"/account", map[string]any{"account_id": "A-1"}).want(200)
	g.page = g.looks().silent("Your sites").says("E-mail to a…@acme.example")
	hint := regexp.MustCompile(`name="hint" value="([^"]+)"`).FindSubmatch(g.page.body)
	prove(url.Values{"hint": {string(hint[1])}}, "ann@acme.example")
	g.page.says("Your sites", "1 site</span> <strong>being restored", "1 site</span> <strong>waiting to be restored").silent("Acme two", "Bolt", "L2")
	h.comes(mine.Number, url.Values{"secret": {mine.Secret}}).page.silent("Your sites") // another visit has not shown it
	h.clock.Turn(31 * time.Minute)
	if page := g.looks(); strings.Contains(string(page.body), "Your sites") {
		t.Error("after half an hour it is still shown")
	}
}

// Somebody who was called back and matched sees each of her sites, takes recovery codes home, and is known again by one of them.
func TestRecoveryCodesAreTakenAndUsedOnTheTicket(t *testing.T) {
	h := open(t)
	h.loadContacts()
	h.clock.Turn(31 * 24 * time.Hour)
	out := h.send()
	incident := h.declare()
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/incidents/" + incident + "/affected", media: "application/x-ndjson", body: "{\"site_id\":\"S-1\"}\n{\"site_id\":\"S-4\"}\n"}).want(200)
	g, mine := h.recognised(out, "ann@acme.example", "a…@acme.example")
	g.page.says("Acme one", "Get recovery codes").silent("Bolt", "L3", "nverified")
	g.sends("recovery-codes", url.Values{}).want(200).silent("Acme one")
	codes := regexp.MustCompile(`<li>([0-9A-Z]{4}(?:-[0-9A-Z]{4}){5})</li>`).FindAllSubmatch(g.page.body, -1)
	if len(codes) < 5 {
		t.Fatalf("the page shows %d codes", len(codes))
	}
	h.get(auth.Support, "/api/v1/contacts/recoverability").want(200).says(`"recovery_codes":8`)
	desk := h.sits(auth.Support)
	desk.page("/desk/accounts/A-1").want(200).silent("no recovery codes")
	desk.page("/desk/accounts/A-2").want(200).says("no recovery codes")
	h.clock.Turn(25 * time.Hour)
	again := h.comes(mine.Number, url.Values{"secret": {mine.Secret}})
	again.page.silent("Your sites")
	again.sends("recovery-codes", url.Values{}).want(403)
	again.page = again.looks()
	again.sends("recovery", url.Values{"saved": {"AAAA-BBBB-CCCC-DDDD"}}).want(422).says(`id="saved"`)
	again.sends("recovery", url.Values{"saved": {string(codes[0][1])}}).want(303)
	again.page.says("Your sites")
	again.sends("recovery", url.Values{"saved": {string(codes[0][1])}}).want(422) // once
}

// While no date can be given a talk is offered: on the ticket's page with the form open, and by a link of the update's mail to whoever has no ticket yet.
func TestATalkIsOfferedWhileNoDateCanBeGiven(t *testing.T) {
	h := open(t)
	h.loadContacts()
	out := h.send()
	incident := h.declare()
	mine := h.file(map[string]any{"message": "our wiki is gone", "email": "ann@acme.example", "locale": "en"})
	g := h.comes(mine.Number, url.Values{"secret": {mine.Secret}})
	g.page.silent("If you would rather talk")
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/incidents/" + incident + "/affected", media: "application/x-ndjson", body: "{\"site_id\":\"S-1\"}\n"}).want(200)
	u := h.draft(incident, h.statement(func(s map[string]any) {
		s["timeline"] = map[string]any{"kind": "no_date_possible", "confidence": "low", "full_scope_by": "not_known"}
	}))
	h.post(auth.Approver, "/api/v1/updates/"+u.ID+"/approve", nil).want(200)
	h.post(auth.Comms, "/api/v1/updates/"+u.ID+"/publish", nil).want(200)
	for !strings.Contains(out.to("ann@acme.example").Text, h.URL+"/support?call=1") {
	}
	g.looks().says("If you would rather talk", `<details class="more screen" open>`)
	h.get("", "/support?call=1").want(200).says("choose day and hour")
	h.get("", "/support").want(200).silent("choose day and hour")
}
