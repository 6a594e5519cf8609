package portal

import (
	"context"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"lifeline/portal/auth"
)

// grouped is zitadel's provider, certified by the OpenID Foundation, with the groups that its example has not.
type grouped struct{ *storage.Storage }

func (g grouped) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	info.AppendClaims("groups", []string{"helpdesk"})
	return g.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin)
}

// Staff sign in by a real provider with a browser that keeps cookies and follows where it is sent; the administrator, who has an account, links it. When the
// provider is gone the page says so, and her password opens the desk.
func TestStaffSignInByARealProvider(t *testing.T) {
	var router http.Handler
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { router.ServeHTTP(w, r) }))
	defer idp.Close()
	issuer := strings.Replace(idp.URL, "127.0.0.1", "localhost", 1)
	h := open(t, func(p *Portal) {
		p.Gate.Cost = auth.Cost{Passes: 1, KiB: 64, Lanes: 1}
		policy := auth.DefaultPolicy()
		policy.Name, policy.Roles = "Example Login", []auth.Mapped{{Group: "helpdesk", Role: auth.Support}}
		p.Gate.URL, p.Gate.Single = p.URL, &auth.Single{Issuer: issuer, Client: "lifeline", Secret: "s3cret", Policy: policy, HTTP: http.DefaultClient}
	})
	storage.RegisterClients(storage.WebClient("lifeline", "s3cret", h.URL+auth.SingleBack))
	router = exampleop.SetupServer(issuer, grouped{storage.NewStorage(storage.NewUserStore(issuer))}, nil, false)

	link, err := h.Gate.SetUp(context.Background(), h.URL)
	if err != nil {
		t.Fatal(err)
	}
	root := &browser{h: h}
	factor, _ := h.enrolBy(root, link, url.Values{"name": {"Ruth Root"}, "email": {"ruth@vendor.example"}})

	// One who has no account here: her groups make one.
	ann := &browser{h: h}
	ann.get("/desk/sign-in").want(200).says("Sign in with Example Login", `href="/desk/sign-in/single"`)
	way := ann.get(auth.SinglePath).want(303)
	first := way.bring("test-user2", "verysecure")
	stranger := &browser{h: h}
	stranger.get(first).want(403).says("did not let you in") // the address alone, in another browser, opens nothing
	ann.back(way, first).want(303)
	ann.get("/desk").want(200).says("Test User2")
	ann.get("/desk/account").want(200).says("You came by Example Login").silent(`name="code"`)
	ann.back(way, first).want(403)

	// One who has: she links it with a fresh second factor, and signs in by it from then on.
	toLink := regexp.MustCompile(`class="button strong" href="([^"]+)"`)
	leave := root.post("/desk/account", url.Values{"act": {"single"}}).want(200).says("Go on at Example Login")
	at := html.UnescapeString(string(toLink.FindSubmatch(leave.body)[1]))
	root.back(leave, bring(t, at, "test-user2", "verysecure")).want(409).says("no account here is yours by it") // it is somebody else's
	leave = root.post("/desk/account", url.Values{"act": {"single"}}).want(200)
	at = html.UnescapeString(string(toLink.FindSubmatch(leave.body)[1]))
	root.back(leave, bring(t, at, "test-user@localhost", "verysecure")).want(303)
	root.get("/desk/account").want(200).says("Take Example Login off")
	again := &browser{h: h}
	way = again.get(auth.SinglePath).want(303)
	again.back(way, way.bring("test-user@localhost", "verysecure")).want(303)
	again.get("/desk").want(200).says("Ruth Root")
	again.post("/desk/staff", url.Values{"name": {"X"}, "email": {"x@vendor.example"}, "role": {"support"}}).want(403) // not before her second factor
	again.post("/desk/account", url.Values{"act": {"single"}}).want(422)
	again.post("/desk/account", url.Values{"act": {"prove"}, "code": {factor.code()}}).want(303)
	again.post("/desk/staff", url.Values{"name": {"X"}, "email": {"x@vendor.example"}, "role": {"support"}}).want(200)
	again.post("/desk/account", url.Values{"act": {"unlink"}}).want(303)

	idp.Close()
	h.Gate.Single = &auth.Single{Issuer: issuer, Client: "lifeline", HTTP: http.DefaultClient} // as after a restart: nothing is known of it
	late := &browser{h: h}
	late.get(auth.SinglePath).want(503).says("Single sign-on does not answer now", `name="password"`)
	late.post("/desk/sign-in", url.Values{"email": {"ruth@vendor.example"}, "password": {longPassword}, "code": {factor.code()}}).want(303)
	late.get("/desk").want(200).says("Ruth Root")
}

// back is a browser that comes back from the provider with the cookie that it left with.
func (b *browser) back(left answer, path string) answer {
	b.h.Helper()
	header := b.header()
	for _, c := range left.Cookies() {
		if strings.HasSuffix(c.Name, "-single") {
			if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
				b.h.Errorf("cookie %s", c.Raw)
			}
			header["Cookie"] = strings.Trim(header["Cookie"]+"; "+c.Name+"="+c.Value, "; ")
		}
	}
	header["Sec-Fetch-Site"] = "cross-site"
	return b.take(b.h.do(ask{method: "GET", path: path, header: header}))
}

// bring signs somebody in at the provider to which an answer sends her, and gives the path of ours to which it sends her back.
func (a answer) bring(user, password string) string {
	a.t.Helper()
	return bring(a.t, a.Header.Get("Location"), user, password)
}

func bring(t testing.TB, at, user, password string) string {
	t.Helper()
	var form *url.URL
	var ours string
	client := &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == auth.SingleBack {
			ours = r.URL.RequestURI()
			return http.ErrUseLastResponse
		}
		form = r.URL
		return nil
	}}
	res, err := client.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 || form == nil {
		t.Fatalf("%s: %s", at, res.Status)
	}
	res, err = client.PostForm(form.Scheme+"://"+form.Host+form.Path, url.Values{"username": {user}, "password": {password}, "id": {form.Query().Get("authRequestID")}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if ours == "" {
		t.Fatalf("the provider sends nobody back: %s", res.Status)
	}
	return ours
}
