package portal

import (
	"bytes"
	"fmt"
	"maps"
	"mime/multipart"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/templates"
)

const form = "application/x-www-form-urlencoded"

func (h *house) file(body map[string]any) receiptAnswer {
	h.Helper()
	var r receiptAnswer
	h.post("", "/api/v1/tickets", body).want(201).into(&r)
	return r
}

func TestAMessageAndOneWayBackAreEnough(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		body map[string]any
		told string
	}{
		{map[string]any{"message": "we cannot log in", "email": "ann@acme.example"}, "email"},
		{map[string]any{"message": "we cannot log in", "phone": "+1 202 555 0101"}, "sms"},
		// What the product is asked for is gone; an address of it that is dead, or no address at all, stops nobody.
		{map[string]any{"message": "help", "email": "bo@acme.example", "site_url": "https://gone.invalid/", "site_name": "Acme", "domain": "acme.example",
			"invoice": "INV-1", "old_ticket": "CS-7", "company": "Acme", "name": "Bo", "impact": "lost_access", "locale": "ja"}, "email"},
		{map[string]any{"message": "help", "email": "dai@bolt.example", "site_url": "not:// an address at all %%%", "impact": "no such impact", "locale": "xx-YY"}, "email"},
	} {
		r := h.file(c.body)
		if r.Number == "" || r.Secret == "" || r.URL != h.URL+"/t/"+r.Number || len(strings.Fields(r.Phrase)) != 2 || r.Level != "L0" || r.Next == "" || r.Told != c.told {
			t.Errorf("%v: %+v", c.body, r)
		}
		h.get(auth.Support, "/api/v1/tickets/"+r.Number).want(200).silent(r.Secret)
	}
	if n := len(h.items("/api/v1/tickets")); n != 4 {
		t.Errorf("%d tickets", n)
	}
}

// Who gives nothing but a number that we do not text is told so on her receipt and on her ticket, in her language; the ticket is filed as any other.
func TestANumberThatIsNotTextedIsToldSo(t *testing.T) {
	h := open(t)
	r := h.file(map[string]any{"message": "we cannot log in", "phone": "+1 900 555 0101"})
	if r.Told != "" || r.Untold != desk.NotSort || !strings.Contains(r.Next, "We send no text messages to numbers of this kind. Please do not wait for a text message") {
		t.Errorf("%+v", r)
	}
	h.do(ask{method: "POST", path: "/t/" + r.Number, media: form, body: url.Values{"secret": {r.Secret}, "here": {"1"}}.Encode()}).want(200).
		says("We send no text messages to numbers of this kind.", "Please read our answers here")
	h.supports("203.0.113.9", url.Values{"message": {"help"}, "phone": {"+37060112345"}, "locale": {"ja"}}).want(201).silent("SMS はお待ちにならないで")
	h.Desk.Policy.Texts.Countries = []string{"US"}
	h.supports("203.0.113.9", url.Values{"message": {"help"}, "phone": {"+37060112346"}, "locale": {"ja"}}).want(201).says("SMS はお待ちにならないで", `class="code"`)
	h.post(auth.Support, "/api/v1/tickets/"+r.Number+"/messages", map[string]any{"text": "We are on it"}).want(201).says(`"not_texted":"sort"`)
	h.sits(auth.Support).page("/desk/tickets/" + r.Number).want(200).says("Not told by text.")
	if n := len(h.items("/api/v1/tickets")); n != 3 {
		t.Errorf("%d tickets", n)
	}
}

func TestEveryWrongFieldIsNamedAtOnce(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		body any
		want []string
	}{
		{map[string]any{}, []string{"email", "message"}},
		{map[string]any{"message": " \n", "email": "   ", "phone": ""}, []string{"email", "message"}},
		{map[string]any{"message": "x", "email": "0"}, []string{"email"}},
		{map[string]any{"message": "x", "email": "ann@acme.example\r\nBcc: all@x.example"}, []string{"email"}},
		{map[string]any{"message": "x", "phone": "12"}, []string{"phone"}},
		{map[string]any{"message": "x", "email": "a@b.example", "level": "L4"}, []string{"level"}},
		{map[string]any{"message": "x", "email": "a@b.example", "Route": "web"}, []string{"Route"}},
		{map[string]any{"message": 7, "email": "a@b.example"}, []string{"message"}},
		{map[string]any{"message": strings.Repeat("x", 64<<10+1), "email": "a@b.example", "company": strings.Repeat("x", 501)}, []string{"company", "message"}},
		{"", nil}, {"null!", nil}, {`{"message":"x","email":"a@b.example"} {}`, nil}, {`[]`, nil},
	} {
		same(t, fmt.Sprintf("%.60v", c.body), h.post("", "/api/v1/tickets", c.body).want(422).named(), c.want)
	}
	h.do(ask{method: "POST", path: "/api/v1/tickets", media: "text/plain", body: filed}).want(415)
	h.do(ask{method: "POST", path: "/api/v1/tickets", media: "application/jsonx", body: filed}).want(415)
	if n := len(h.items("/api/v1/tickets")); n != 0 {
		t.Errorf("%d tickets were filed", n)
	}
}

func TestFormsFileTickets(t *testing.T) {
	h := open(t)
	fields := url.Values{"message": {"we cannot log in\r\n<script>"}, "email": {"ann@acme.example"}, "company": {"Acme & Söhne"}, "impact": {desk.LostAccess}, "locale": {"zh-CN"}}
	post := func(path, media, body string) answer {
		return h.do(ask{method: "POST", path: path, media: media, body: body, header: map[string]string{"Origin": "null"}})
	}
	multi := func(files ...string) (media, body string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for _, f := range files {
			part, err := w.CreateFormFile("attachments", f)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := part.Write([]byte("<svg onload=alert(1)>")); err != nil {
				t.Fatal(err)
			}
		}
		for name := range fields {
			if err := w.WriteField(name, fields.Get(name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return w.FormDataContentType(), b.String()
	}
	page := post("/support", form, fields.Encode()).want(201).says(`<html lang="zh-CN"`)
	number := regexp.MustCompile(`[0-9A-Z]{3}-[0-9A-Z]{3}-[0-9A-Z]{3}`).Find(page.body)
	if number == nil {
		t.Fatalf("no number on %s", page.body)
	}
	media, body := multi()
	post("/support", media, body).want(201)
	post("/api/v1/tickets", media, body).want(201)
	post("/api/v1/tickets", form, fields.Encode()).want(201)
	for _, ticket := range h.items("/api/v1/tickets") {
		if ticket["company"] != "Acme & Söhne" || ticket["priority"] != "P0" || ticket["locale"] != "zh-CN" || ticket["email"] != "ann@acme.example" {
			t.Errorf("%v", ticket)
		}
	}
	h.get(auth.Support, "/api/v1/tickets/"+string(number)).want(200).says(`we cannot log in\n\u003cscript\u003e`)

	// Files come in one field. In another they are refused by its name, and what was typed beside them stays.
	media, body = multi("../../etc/passwd", "x.svg")
	elsewhere := strings.ReplaceAll(body, `name="attachments"`, `name="photo"`)
	same(t, "files", post("/api/v1/tickets", media, elsewhere).want(422).named(), []string{"photo"})
	fields.Del("email")
	media, body = multi("../../etc/passwd", "x.svg")
	post("/support", media, body).want(422).says("we cannot log in", html.EscapeString("Acme & Söhne"), "passwd", "x.svg").silent("<script>", "etc")

	for _, broken := range []struct{ media, body string }{
		{"multipart/form-data", body}, {"multipart/form-data; boundary=none", body}, {media, body[:len(body)/2]}, {form, "message=%zz"}, {form, "message=x&admin=1&zebra=2"},
	} {
		post("/api/v1/tickets", broken.media, broken.body).want(422)
	}
	same(t, "unknown", post("/api/v1/tickets", form, "message=x&zebra=2&admin=1").want(422).named(), []string{"admin", "zebra"})
	h.do(ask{method: "POST", path: "/support", media: form, body: fields.Encode(), header: map[string]string{"Origin": "https://evil.example"}}).want(403)
	if n := len(h.items("/api/v1/tickets")); n != 4 {
		t.Errorf("%d tickets, want four", n)
	}
}

func TestTheFormSpeaksTheReadersLanguage(t *testing.T) {
	h := open(t)
	for _, c := range []struct{ query, accept, want string }{
		{"", "", "en"}, {"", "ja", "ja"}, {"", "zh-Hans-SG, en;q=0.5", "zh-CN"}, {"", "it, ja;q=0.8, en;q=0.5", "ja"}, {"", "it", "en"}, {"", "de-CH", "de"}, {"?lang=pt-BR", "ja", "pt-BR"}, {"?lang=ja", "en", "ja"},
		{"?lang=zh-CN", "", "zh-CN"}, {"?lang=%22%3E%3Cscript%3E", "ja", "en"}, {"", "%%%;;q=9,,", "en"},
	} {
		h.do(ask{method: "GET", path: "/support" + c.query, header: map[string]string{"Accept-Language": c.accept}}).want(200).
			says(`<html lang="` + c.want + `"`).silent("<script>")
	}
	r := h.do(ask{method: "POST", path: "/api/v1/tickets", body: filed, header: map[string]string{"Accept-Language": "ja, en;q=0.1"}}).want(201)
	if got := h.get(auth.Support, "/api/v1/tickets/"+r.text("number")).text("locale"); got != "ja" {
		t.Errorf("the ticket is in %q", got)
	}
	r = h.do(ask{method: "POST", path: "/api/v1/tickets", body: map[string]any{"message": "Notre site a disparu, que pouvons-nous faire ? Je ne peux rien ouvrir.", "email": "eve@elsewhere.example"}}).want(201)
	if got := h.get(auth.Support, "/api/v1/tickets/"+r.text("number")).text("locale"); got != "fr" { // nobody said in which language she reads
		t.Errorf("what is written in French is in %q", got)
	}
}

// No page that a customer sees has a sentence in another language than hers. The templates are the same for all languages, so that Korean, which shares no letter
// with English, shows what stands in them instead of in the catalogs.
func TestPagesOfCustomersAreWhollyInTheirLanguage(t *testing.T) {
	h := open(t)
	mine := h.file(map[string]any{"message": "1", "email": "1@2.example"})
	for _, locale := range templates.Locales() {
		q := "?lang=" + locale
		pages := map[string]answer{"an error": h.do(ask{method: "GET", path: "/nowhere" + q, header: map[string]string{"Accept": "text/html"}}).want(404)}
		for _, path := range []string{"/support", "/card", "/subscribe", "/me", "/verify", "/t/" + mine.Number} {
			pages[path] = h.do(ask{method: "GET", path: path + q, header: map[string]string{"Accept": "text/html"}}).want(200)
		}
		forms := map[string]string{"Origin": h.URL, "Accept": "text/html"}
		pages["her ticket"] = h.do(ask{method: "POST", path: "/t/" + mine.Number + q, media: form, header: forms, body: url.Values{"secret": {mine.Secret}, "here": {"1"}}.Encode()}).want(200)
		pages["a receipt"] = h.do(ask{method: "POST", path: "/support" + q, media: form, header: forms, body: url.Values{"message": {"1"}, "phone": {"+4915123456789"}}.Encode()}).want(201)
		pages["a refusal"] = h.do(ask{method: "POST", path: "/support" + q, media: form, header: forms, body: url.Values{"message": {""}, "email": {"1"}, "phone": {"1"}}.Encode()}).want(422)
		for name, page := range pages {
			page.says(`lang="` + locale + `"`).silent("⟦")
			root, err := html.Parse(bytes.NewReader(page.body))
			if err != nil {
				t.Fatal(err)
			}
			if foreign := latin(root, locale); locale == "ko" && len(foreign) > 0 {
				t.Errorf("%s says in English: %q", name, foreign)
			}
		}
	}
}

// ownNames are words of no language: what is called the same in all of them, and what this house and its tests are called.
var ownNames = regexp.MustCompile(`(https?|mailto|tel):\S+|\S+@\S+|\b(UTC|API|JSON|CSV|RSS|Atom|SMS|DNS|TXT|ZIP|STOP|MiB|KiB|Slack|Microsoft Teams|example\.com|Acme|Vendor|status\.\S+)`)

// latin lists the texts of a page, those of its attributes too, that have words in Latin letters, but for what is marked as of another language.
func latin(n *html.Node, locale string) (all []string) {
	texts := []string{}
	switch n.Type {
	case html.TextNode:
		texts = append(texts, n.Data)
	case html.ElementNode:
		if n.Data == "script" || n.Data == "style" || n.Data == "option" {
			return nil
		}
		for _, a := range n.Attr {
			switch {
			case a.Key == "lang" && a.Val != locale || a.Key == "class" && strings.HasPrefix(a.Val, "code"): // a number, a secret, the two words of a case
				return nil
			case slices.Contains([]string{"aria-label", "title", "placeholder", "alt"}, a.Key):
				texts = append(texts, a.Val)
			}
		}
	}
	for _, text := range texts {
		if latinWord.MatchString(ownNames.ReplaceAllString(text, "")) {
			all = append(all, strings.TrimSpace(text))
		}
	}
	for c := range n.ChildNodes() {
		all = append(all, latin(c, locale)...)
	}
	return all
}

var latinWord = regexp.MustCompile(`[A-Za-z]{3,}`)

func TestWhatWasTypedIsKept(t *testing.T) {
	h := open(t)
	typed := url.Values{"message": {"we <b>cannot</b> log in"}, "email": {"not an address"}, "company": {`"Acme"`}, "invoice": {"INV-1"}}
	kept := func(status int, accept string) answer {
		t.Helper()
		a := h.do(ask{method: "POST", path: "/support", media: form, body: typed.Encode(), header: map[string]string{"Accept-Language": accept, "Accept": "text/html"}}).want(status)
		return a.says("we &lt;b&gt;cannot&lt;/b&gt; log in", "not an address", "&#34;Acme&#34;", "INV-1", `<form`)
	}
	english := kept(422, "en").says(`aria-invalid="true"`)
	japanese := kept(422, "ja").says(`<html lang="ja"`)
	words, err := theWords()
	if err != nil {
		t.Fatal(err)
	}
	english.says(html.EscapeString(words.Catalog("en").T("support.error.email.malformed")))
	japanese.says(words.Catalog("ja").T("support.error.email.malformed"))
}

// A program that files very much pays a little as a person does: by waiting or by work, as the problem document says; only when it goes on and on it waits, and
// nobody else does.
func TestASourceThatPostsTooMuchWaitsAlone(t *testing.T) {
	h := open(t)
	post := func(source, token, proof string) answer {
		return h.do(ask{method: "POST", path: "/api/v1/tickets", body: filed, header: map[string]string{"X-Forwarded-For": source, headerToll: token, headerProof: proof}})
	}
	from := func(source string) answer { return post(source, "", "") }
	owes := func(a answer) *tollAnswer {
		t.Helper()
		var p problem
		if a.want(429).into(&p); p.Toll == nil || p.Toll.Token == "" || a.Header.Get("Retry-After") != itoa(p.Toll.Wait) {
			t.Fatalf("it says neither what to do nor when: %s %q", a.body, a.Header.Get("Retry-After"))
		}
		return p.Toll
	}
	flood := h.Desk.Policy.Flood
	for range flood.Source {
		from("203.0.113.9").want(201)
	}
	toll := owes(from("203.0.113.9").says("Lifeline-Toll", "Lifeline-Proof"))
	from("203.0.113.10").want(201)
	h.do(ask{as: auth.Commander, method: "POST", path: "/api/v1/incidents", body: map[string]any{"title": "x", "severity": "P1", "category": "data", "impact": "y"},
		header: map[string]string{"X-Forwarded-For": "203.0.113.9"}}).want(201) // staff behind the same address work on
	h.do(ask{method: "GET", path: "/support", header: map[string]string{"X-Forwarded-For": "203.0.113.9"}}).want(200)
	h.clock.Turn(time.Second)
	if left := owes(post("203.0.113.9", toll.Token, "")); left.Token != toll.Token || left.Wait != toll.Wait-1 {
		t.Errorf("too early: %+v behind %+v", left, toll)
	}
	h.clock.Turn(time.Duration(toll.Wait-1) * time.Second)
	post("203.0.113.9", toll.Token, "").want(201)
	if again := owes(post("203.0.113.9", toll.Token, "")); again.Token == toll.Token {
		t.Error("paid twice with the same")
	}
	for range flood.Confirmed - 2 { // what was paid twice counts too
		toll = owes(from("203.0.113.9"))
		post("203.0.113.9", toll.Token, prove(toll.Token, toll.Bits)).want(201)
	}
	toll = owes(from("203.0.113.9"))
	a := post("203.0.113.9", toll.Token, prove(toll.Token, toll.Bits)).want(429).silent(`"toll"`)
	if wait, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || wait < 50 || wait > 60 {
		t.Errorf("Retry-After: %q", a.Header.Get("Retry-After"))
	}
	from("203.0.113.10").want(201)
	h.clock.Turn(time.Minute)
	from("203.0.113.9").want(201)
	for i := range flood.Source { // an IPv6 source is its network
		from(fmt.Sprintf("2001:db8::%x", i+1)).want(201)
	}
	owes(from("2001:db8::ffff:1"))
	from("2001:db8:0:1::1").want(201)
}

func TestASecretOpensItsTicketAndNothingElse(t *testing.T) {
	h := open(t)
	mine := h.file(map[string]any{"message": "the first words", "email": "ann@acme.example"})
	other := h.file(map[string]any{"message": "someone else's words", "email": "bo@acme.example"})
	h.post(auth.Support, "/api/v1/tickets/"+mine.Number+"/messages", map[string]any{"text": "we are on it"}).want(201)
	h.post(auth.Support, "/api/v1/tickets/"+mine.Number+"/messages", map[string]any{"text": "careful with her", "internal": true}).want(201)

	h.get("", "/t/"+mine.Number).want(200).silent("the first words", mine.Secret)
	h.get("", "/t/"+mine.Number+"?secret="+mine.Secret).want(200).silent("the first words")
	opened := func(number string, fields url.Values) answer {
		t.Helper()
		fields.Set("here", "1") // a browser that keeps no cookies
		return h.do(ask{method: "POST", path: "/t/" + url.PathEscape(number), media: form, body: fields.Encode()})
	}
	for _, typed := range []string{mine.Secret, strings.ToLower(mine.Secret), strings.ReplaceAll(mine.Secret, "-", " ")} {
		opened(mine.Number, url.Values{"secret": {typed}}).want(200).says("the first words", "we are on it").silent("careful with her", "The support", "stf_")
	}
	opened(strings.ToLower(mine.Number), url.Values{"secret": {mine.Secret}}).want(200)
	write := func(visit, text string) answer {
		t.Helper()
		return h.do(ask{method: "POST", path: "/t/" + mine.Number + "/words", media: form, body: url.Values{"visit": {visit}, "text": {text}}.Encode()})
	}
	visit := visitOf(opened(mine.Number, url.Values{"secret": {mine.Secret}}).want(200))
	write(visit, "and another thing").want(200).says("the first words", "and another thing")

	long := strings.Repeat("<b>word</b> ", 64<<10/12+1)
	write(visit, long).want(422).says("the first words", strings.TrimSpace(html.EscapeString(long)))
	for _, wrong := range []string{"", "x", mine.Secret, visit + "A", strings.Replace(visit, ".", "0.", 1), visitOf(opened(other.Number, url.Values{"secret": {other.Secret}}).want(200))} {
		write(wrong, "let me in").want(404).silent("first words")
	}

	// A wrong secret and a number that nobody has are answered alike, byte by byte but for the number itself.
	alike := map[string]bool{}
	for _, c := range []struct{ number, secret string }{
		{mine.Number, other.Secret}, {mine.Number, "AAAAA-AAAAA-AAAAA-AAAAA-AAAAAA"}, {mine.Number, ""}, {mine.Number, "0"}, {mine.Number, strings.Repeat("A", 500)},
		{"000-000-000", mine.Secret}, {"000-000-000", ""}, {"ZZZ-ZZZ-ZZZ", "0"}, {strings.Repeat("Q", 300), mine.Secret},
	} {
		a := opened(c.number, url.Values{"secret": {c.secret}, "text": {"let me in"}}).want(404).silent("first words")
		body := strings.NewReplacer(url.PathEscape(c.number), "N", html.EscapeString(c.number), "N").Replace(string(a.body))
		alike[body] = true
	}
	if len(alike) != 1 {
		t.Errorf("wrong secrets and unknown numbers are answered in %d ways: %q", len(alike), slices.Collect(maps.Keys(alike)))
	}
	if got := len(ticketSaid(h, mine.Number)); got != 4 {
		t.Errorf("the ticket has %d entries, want four", got)
	}
}

func ticketSaid(h *house, number string) []messageAnswer {
	h.Helper()
	var a ticketAnswer
	h.get(auth.Support, "/api/v1/tickets/"+number).want(200).into(&a)
	return a.Messages
}

// Whoever knows only a number must not be able to keep its owner out, and whoever holds the secret may write as often as she has to.
func TestWrongSecretsLockNobodyOut(t *testing.T) {
	h := open(t)
	mine := h.file(map[string]any{"message": "help", "email": "ann@acme.example"})
	try := func(source, secret string) answer {
		t.Helper()
		return h.do(ask{method: "POST", path: "/t/" + mine.Number, media: form, body: url.Values{"secret": {secret}, "here": {"1"}}.Encode(), header: map[string]string{"X-Forwarded-For": source}})
	}
	for range desk.DefaultPolicy().OpenTries {
		try("203.0.113.1", "wrong").want(404)
	}
	try("203.0.113.2", "wrong").want(429)
	for range desk.DefaultPolicy().OpenTries + 1 {
		try("203.0.113.3", mine.Secret).want(200)
	}
}

// The receipt goes to an address that nobody has proved, so it carries nothing that a stranger wrote.
func TestTheReceiptCarriesNoStrangersWords(t *testing.T) {
	h := open(t)
	sent := h.send()
	r := h.file(map[string]any{"message": "BUY NOW http://spam.example", "email": "victim@acme.example", "name": "BUY NOW", "company": "http://spam.example",
		"site_name": "BUY NOW", "site_url": "http://spam.example", "domain": "spam.example", "invoice": "BUY NOW", "old_ticket": "BUY NOW", "impact": "BUY NOW", "locale": "ja"})
	m := sent.next()
	if m.To != "victim@acme.example" || m.Locale != "ja" || m.Name != "" || m.Auto != "auto-replied" && m.Auto != "auto-generated" {
		t.Errorf("%+v", m)
	}
	whole := m.Subject + m.Text + m.HTML
	if !strings.Contains(whole, r.Number) || !strings.Contains(whole, r.URL) {
		t.Errorf("the receipt does not name the ticket:\n%s", whole)
	}
	for _, theirs := range []string{"BUY", "spam", r.Secret, r.Phrase} {
		if strings.Contains(whole, theirs) {
			t.Errorf("the receipt says %q:\n%s", theirs, whole)
		}
	}
}

// Nobody can make us write to somebody again and again.
func TestReceiptsToOneAddressAreFew(t *testing.T) {
	h := open(t)
	each, daily := desk.DefaultPolicy().AckEach, desk.DefaultPolicy().AckDaily
	told := func() string {
		return h.file(map[string]any{"message": "again", "email": "victim@acme.example"}).Told
	}
	for i := range daily {
		if got := told(); got != "email" {
			t.Errorf("receipt %d: %q", i, got)
		}
		if got := told(); got != "" {
			t.Errorf("another receipt within %s: %q", each, got)
		}
		h.clock.Turn(each)
	}
	if got := told(); got != "" {
		t.Errorf("more than %d receipts in a day: %q", daily, got)
	}
	h.clock.Turn(24 * time.Hour)
	if got := told(); got != "email" {
		t.Errorf("the next day: %q", got)
	}
}

func TestTicketsWaitInTheQueueOfWhatIsGoingOn(t *testing.T) {
	h := open(t)
	before := h.file(map[string]any{"message": "how do I", "email": "a@acme.example", "impact": "question"})
	incident := h.declare()
	hit := h.file(map[string]any{"message": "gone", "email": "b@acme.example"})
	asks := h.file(map[string]any{"message": "May we have an invoice?", "email": "c@acme.example", "impact": "question"})
	for _, c := range []struct {
		number, queue, priority string
		due                     time.Duration
	}{{before.Number, "general", "P3", 24 * time.Hour}, {asks.Number, "general", "P3", 24 * time.Hour}, {hit.Number, incident, "P0", 45 * time.Minute}} {
		var a ticketAnswer
		h.get(auth.Support, "/api/v1/tickets/"+c.number).want(200).into(&a)
		if a.Queue != c.queue || a.Priority != c.priority || !a.AnswerBy.Equal(outbreak.Add(c.due)) || a.State != "new" || a.Verified {
			t.Errorf("%+v", a)
		}
	}
	if got := h.items("/api/v1/tickets?queue=" + incident); len(got) != 1 || got[0]["number"] != hit.Number {
		t.Errorf("the queue: %v", got)
	}
	h.clock.Turn(10 * time.Minute)
	path := "/api/v1/tickets/" + hit.Number + "/messages"
	same(t, "fields", h.post(auth.Support, path, map[string]any{}).want(422).named(), []string{"text"})
	var a ticketAnswer
	h.post(auth.Support, path, map[string]any{"text": "for us", "internal": true}).want(201).into(&a)
	if a.State != "new" || a.AnswerAt != nil {
		t.Errorf("a note for staff answers nobody: %+v", a)
	}
	h.post(auth.Support, path, map[string]any{"text": "we are on it"}).want(201).into(&a)
	if a.State != "waiting" || a.AnswerAt == nil || !a.AnswerAt.Equal(outbreak.Add(10*time.Minute)) {
		t.Errorf("%+v", a)
	}
	h.post(auth.Support, "/api/v1/tickets/000-000-000/messages", map[string]any{"text": "x"}).want(404)
	if got := h.items("/api/v1/tickets?state=waiting"); len(got) != 1 {
		t.Errorf("%d wait for their customers", len(got))
	}
}
