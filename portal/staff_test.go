package portal

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"lifeline/portal/auth"
)

// form posts a form as a browser does, with the cookies that it has, and keeps those that it gets.
func (b *browser) post(path string, fields url.Values) answer {
	b.h.Helper()
	if b.cookie != nil {
		_, csrf, err := b.h.Gate.Session(context.Background(), b.cookie.Value)
		if err == nil {
			fields.Set("csrf", csrf)
		}
	}
	return b.take(b.h.do(ask{method: "POST", path: path, media: "application/x-www-form-urlencoded", body: fields.Encode(), header: b.header()}))
}

// browser is one that keeps its session.
type browser struct {
	h      *house
	cookie *http.Cookie
}

func (b *browser) get(path string) answer {
	b.h.Helper()
	return b.take(b.h.do(ask{method: "GET", path: path, header: b.header()}))
}

func (b *browser) header() map[string]string {
	all := map[string]string{"Origin": b.h.URL, "Accept": "text/html"}
	if b.cookie != nil {
		all["Cookie"] = b.cookie.String()
	}
	return all
}

func (b *browser) take(a answer) answer {
	for _, c := range a.Cookies() {
		if c.Name == b.h.cookie() {
			b.cookie = &http.Cookie{Name: c.Name, Value: c.Value}
		}
	}
	return a
}

var shownSecret = regexp.MustCompile(`class="code spaced">([A-Z2-7]{32})<`)

// app is the second factor of somebody: what her authenticator app shows, a step later at each look so that no code is given twice.
type app struct {
	testing.TB
	secret string
	steps  int
}

func (a *app) code() string {
	a.Helper()
	code, err := totp.GenerateCode(a.secret, time.Now().Add(time.Duration(a.steps)*30*time.Second))
	if err != nil {
		a.Fatal(err)
	}
	a.steps++
	return code
}

const longPassword = "vier Worte ohne Sinn"

// enrolBy takes an account behind its link, as its owner does, and gives the app and one recovery code.
func (h *house) enrolBy(b *browser, link string, who url.Values) (*app, string) {
	h.Helper()
	path := strings.TrimPrefix(link, h.URL)
	page := b.get(path).want(200)
	found := shownSecret.FindSubmatch(page.body)
	if found == nil {
		h.Fatalf("no key on the page:\n%s", page.body)
	}
	a := &app{TB: h.TB, secret: string(found[1]), steps: -1}
	u, err := url.Parse(link)
	if err != nil {
		h.Fatal(err)
	}
	who.Set("link", u.Query().Get("link"))
	who.Set("password", "short")
	who.Set("code", "000000")
	b.post(auth.EnrolPath, who).want(422).says(`class="wrong"`)
	who.Set("password", longPassword)
	who.Set("code", a.code())
	done := b.post(auth.EnrolPath, who).want(200)
	codes := regexp.MustCompile(`<li>([0-9A-Z-]{26,})</li>`).FindAllSubmatch(done.body, -1)
	if len(codes) != 8 || done.Header.Get("Cache-Control") != "no-store" {
		h.Fatalf("%d recovery codes:\n%s", len(codes), done.body)
	}
	b.get(path).want(410)
	return a, string(codes[0][1])
}

// From an empty installation to an approver who approves: the first administrator sets herself up, invites a crowd out of a table, one of them enrols on her
// phone, and what she may not do is refused in words.
func TestStaffFromNothing(t *testing.T) {
	h := open(t, func(p *Portal) { p.Gate.Cost = auth.Cost{Passes: 1, KiB: 64, Lanes: 1} })
	ctx := context.Background()
	link, err := h.Gate.SetUp(ctx, h.URL)
	if err != nil {
		t.Fatal(err)
	}
	root := &browser{h: h}
	factor, saved := h.enrolBy(root, link, url.Values{"name": {"Ruth Root"}, "email": {"ruth@vendor.example"}})
	root.get("/desk").want(200).says("Ruth Root")
	root.get("/desk/account").want(200).says("ruth@vendor.example")
	if again, err := h.Gate.SetUp(ctx, h.URL); err != nil || again != "" {
		t.Errorf("%q %v", again, err)
	}
	h.post(auth.Admin, "/api/v1/staff", map[string]any{"name": "X", "email": "x@vendor.example", "roles": []string{"engineer"}}).want(403) // a token, however mighty

	table := "name,email,phone,roles,time_zone,regions,until\n"
	for i := range 20 {
		table += fmt.Sprintf("Engineer %d,e%d@vendor.example,+1202555010%d,engineer;support,Europe/Berlin,EMEA,2099-04-18\n", i, i, i%10)
	}
	root.post("/desk/staff", url.Values{"staff": {"name,shoe size\nA,42\n"}}).want(422).says("shoe size")
	root.post("/desk/staff", url.Values{"staff": {"name,email,roles\nA,a@vendor.example,support\n\nB,nowhere,support\n"}}).want(422).says("line 4: E-mail", "must be an e-mail address")
	root.post("/desk/staff", url.Values{"staff": {"name,email,roles\nA,a@vendor.example,supper\n"}}).want(422).says("line 2: Roles", "holds what is no role")
	made := root.post("/desk/staff", url.Values{"staff": {table}}).want(200).says("<svg class=\"qr\"")
	links := regexp.MustCompile(`class="address code">([^<]+)<`).FindAllSubmatch(made.body, -1)
	if len(links) != 20 {
		t.Fatalf("%d links", len(links))
	}
	eve := &browser{h: h}
	phone, _ := h.enrolBy(eve, string(links[7][1]), url.Values{})
	eve.get("/desk/staff").want(403)
	eve.get("/desk/account").want(200).says("engineer", "support")
	old := *eve.cookie
	eve.post("/desk/account", url.Values{"act": {"role"}, "role": {"admin"}}).want(422)
	eve.post("/desk/account", url.Values{"act": {"role"}, "role": {"support"}}).want(303)
	if eve.cookie.Value == old.Value {
		t.Error("the cookie is the same after a change of level")
	}
	if res := h.do(ask{method: "GET", path: "/desk", header: map[string]string{"Cookie": old.String()}}); res.StatusCode != 303 {
		t.Errorf("the old cookie opens the desk: %d", res.StatusCode)
	}

	again := &browser{h: h}
	again.post("/desk/sign-in", url.Values{"email": {"E7@vendor.example"}, "password": {longPassword}, "code": {"000000"}}).want(401).says("does not hold")
	again.post("/desk/sign-in", url.Values{"email": {"E7@vendor.example"}, "password": {longPassword}, "code": {phone.code()}}).want(303)
	again.get("/desk").want(200)
	e7, _, err := h.Gate.Session(ctx, again.cookie.Value)
	if err != nil {
		t.Fatal(err)
	}
	root.get("/desk/staff/" + e7.ID).want(200).says("e7@vendor.example")
	root.post("/desk/staff/"+e7.ID, url.Values{"act": {"change"}, "version": {"1"}, "email": {"e7@vendor.example"}, "role": {"support"}, "skills": {"typed once"}}).want(412).says("typed once")
	root.post("/desk/staff/"+e7.ID, url.Values{"act": {"disable"}, "reason": {"left"}}).want(303)
	again.get("/desk").want(303)

	second := &browser{h: h}
	second.post("/desk/sign-in", url.Values{"email": {"ruth@vendor.example"}, "password": {longPassword}, "code": {saved}}).want(303)
	second.post("/desk/account", url.Values{"act": {"prove"}, "code": {factor.code()}}).want(303)
	var all struct{ Items []struct{ ID, Name string } }
	h.get(auth.Admin, "/api/v1/sessions").want(200).into(&all)
	if len(all.Items) < 5 {
		t.Errorf("%+v", all)
	}
	mine, _, err := h.Gate.Session(ctx, root.cookie.Value)
	if err != nil {
		t.Fatal(err)
	}
	second.post("/desk/account", url.Values{"act": {"end"}, "session": {e7.Session}}).want(404) // not hers
	second.post("/desk/account", url.Values{"act": {"end"}, "session": {mine.Session}}).want(303)
	root.get("/desk").want(303)
}
