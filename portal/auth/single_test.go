package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"lifeline/store/fault"
)

// provider is a single sign-on that looks at all it is asked, and lies where a test wants it to.
type provider struct {
	*httptest.Server
	t     testing.TB
	h     *house
	key   *ecdsa.PrivateKey
	mu    sync.Mutex
	codes map[string]url.Values // what each code was asked for; a code is given once

	claims func(map[string]any)                 // mends what the token says; nil: nothing
	sign   func(payload []byte) (string, error) // signs it otherwise; nil: as the key set says
	down   bool
}

const clientSecret = "s3cret with spaces"

// withProvider gives a house single sign-on.
func withProvider(h *house, roles ...Mapped) *provider {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	p := &provider{t: h.t, h: h, key: key, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"userinfo_endpoint": p.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, r *http.Request) {
		p.answer(w, map[string]any{"sub": "somebody else", "groups": []string{"managers"}})
	})
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewServer(mux)
	h.t.Cleanup(p.Close)
	policy := DefaultPolicy()
	policy.Roles = roles
	h.URL = "https://help.example.com"
	h.Single = &Single{Issuer: p.URL, Client: "lifeline", Secret: clientSecret, Policy: policy, HTTP: p.Client()}
	return p
}

func (p *provider) answer(w http.ResponseWriter, v any) {
	if p.down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// allow looks at what a browser was sent with, and gives the code that it comes back with.
func (p *provider) allow(l Leaving) (state, code string) {
	p.t.Helper()
	u, err := url.Parse(l.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	q := u.Query()
	if q.Get("response_type") != "code" || q.Get("client_id") != "lifeline" || q.Get("redirect_uri") != p.h.URL+SingleBack || q.Get("scope") != "openid profile email" ||
		q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 22 || len(q.Get("nonce")) < 22 || q.Get("state") == q.Get("nonce") {
		p.t.Fatalf("sent to %s", l.URL)
	}
	code = rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.codes[code] = q
	return q.Get("state"), code
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	q, ok := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	p.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	challenge := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	secret, _ = url.QueryUnescape(secret)
	if !ok || id != "lifeline" || secret != clientSecret || r.FormValue("grant_type") != "authorization_code" || r.FormValue("redirect_uri") != q.Get("redirect_uri") ||
		base64.RawURLEncoding.EncodeToString(challenge[:]) != q.Get("code_challenge") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	now := p.h.now()
	says := map[string]any{"iss": p.URL, "aud": "lifeline", "sub": "u-1", "nonce": q.Get("nonce"), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"email": "ann@vendor.example", "name": "Ann Lee", "groups": []string{"helpdesk"}}
	if p.claims != nil {
		p.claims(says)
	}
	maps.DeleteFunc(says, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(says)
	if err != nil {
		p.t.Error(err)
	}
	sign := p.sign
	if sign == nil {
		sign = p.with(jose.ES256, p.key, "one")
	}
	raw, err := sign(payload)
	if err != nil {
		p.t.Error(err)
	}
	p.answer(w, map[string]any{"access_token": "at", "token_type": "Bearer", "expires_in": 300, "id_token": raw})
}

func (p *provider) with(alg jose.SignatureAlgorithm, key any, kid string) func([]byte) (string, error) {
	return func(payload []byte) (string, error) {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", kid))
		if err != nil {
			return "", err
		}
		signed, err := s.Sign(payload)
		if err != nil {
			return "", err
		}
		return signed.CompactSerialize()
	}
}

// come goes to the provider and back; mend changes what comes back.
func (p *provider) come(mend ...func(*Returning)) (Session, string, error) {
	p.t.Helper()
	l, err := p.h.SingleLeave(context.Background(), "192.0.2.1", "")
	if err != nil {
		return Session{}, "", err
	}
	r := Returning{Cookie: l.Cookie, Source: "192.0.2.1"}
	r.State, r.Code = p.allow(l)
	for _, m := range mend {
		m(&r)
	}
	return p.h.SingleReturn(context.Background(), r)
}

var helpdesk = []Mapped{{"helpdesk", Support}, {"sre", Engineer}}

func TestSingleSignOnOpensTheDeskAndProvesNoSecondFactor(t *testing.T) {
	h, ctx := open(t), context.Background()
	p := withProvider(h, helpdesk...)
	if _, _, err := p.come(); fault.Of(err) != fault.Forbidden {
		t.Fatalf("before the first account: %v", err)
	}
	root := h.join("Root", Profile{Roles: []Role{Admin}})
	s, cookie, err := p.come()
	if err != nil || s.Role != Support || s.Proved != nil || s.Name != "Ann Lee" {
		t.Fatalf("%+v %v", s, err)
	}
	ann, _, err := h.Session(ctx, cookie)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.MayManage(ctx, Person{ID: ann.ID, Role: Admin, Interactive: true}); fault.Of(err) != fault.Forbidden {
		t.Errorf("she manages staff without a second factor: %v", err)
	}
	if _, _, err := h.Prove(ctx, cookie, "000000"); err == nil {
		t.Error("there is nothing that she could prove by")
	}
	if got, err := h.Account(ctx, ann.ID); err != nil || got.State != "active" || got.Own || !got.Follows {
		t.Errorf("%+v %v", got, err)
	}
	if _, _, err := h.SignIn(ctx, Credentials{"ann@vendor.example", "", "", "192.0.2.1"}); fault.Of(err) != fault.Unauthentic {
		t.Errorf("an account without a password opens by one: %v", err)
	}
	if n, err := h.WaysIn(ctx); err != nil || n != (WaysIn{Own: 1, Single: 1}) {
		t.Errorf("%+v %v", n, err)
	}

	// What her groups give is looked at each time, and is no more than what the policy says.
	p.claims = func(c map[string]any) { c["groups"] = []string{"sre", "admin", "approver", "managers"} }
	if s, _, err = p.come(); err != nil || s.Role != Engineer || s.Staff != ann.ID {
		t.Errorf("%+v %v", s, err)
	}
	if _, _, err := h.Session(ctx, cookie); fault.Of(err) != fault.Unauthentic {
		t.Errorf("her session in the old role goes on: %v", err)
	}
	_, cookie, _ = p.come()
	p.claims = func(c map[string]any) { c["groups"] = []string{} }
	if _, _, err := p.come(); fault.Of(err) != fault.Forbidden {
		t.Errorf("without a group: %v", err)
	}
	if _, _, err := h.Session(ctx, cookie); fault.Of(err) != fault.Unauthentic {
		t.Errorf("her session goes on when she left the groups: %v", err)
	}
	if _, err := h.ChangeStaff(ctx, root.id, ann.ID, 0, Profile{Email: "ann@vendor.example", Roles: []Role{Comms}}); err != nil {
		t.Fatal(err)
	}
	if s, _, err := p.come(); err != nil || s.Role != Comms { // a person said so, and groups say nothing of it from then on
		t.Errorf("%+v %v", s, err)
	}
	if _, err := h.Disable(ctx, root.id, ann.ID, "left"); err != nil {
		t.Fatal(err)
	}
	_, _, err = p.come()
	unauthentic(t, "a closed account", err)
}

// An account is known by issuer and subject. An address, which a provider may give to anybody, opens nothing.
func TestAnAccountIsLinkedByItsOwnerAndNeverByItsAddress(t *testing.T) {
	h, ctx := open(t), context.Background()
	p := withProvider(h, helpdesk...)
	ann := h.join("Ann", Profile{Roles: []Role{Commander}})
	if _, _, err := p.come(); fault.Of(err) != fault.Forbidden {
		t.Fatalf("an address opens an account: %v", err)
	}
	who, _, err := h.Session(ctx, ann.cookie)
	if err != nil {
		t.Fatal(err)
	}
	link := func(cookie, session string) error {
		l, err := h.SingleLeave(ctx, "192.0.2.1", session)
		if err != nil {
			t.Fatal(err)
		}
		r := Returning{Cookie: l.Cookie, Session: cookie}
		r.State, r.Code = p.allow(l)
		_, opened, err := h.SingleReturn(ctx, r)
		if opened != "" {
			t.Error("linking opened a session")
		}
		return err
	}
	bob := h.join("Bob", Profile{Roles: []Role{Support}})
	unauthentic(t, "another session comes back", link(bob.cookie, who.Session))
	unauthentic(t, "no session comes back", link("", who.Session))
	if err := link(ann.cookie, who.Session); err != nil {
		t.Fatal(err)
	}
	bobs, _, err := h.Session(ctx, bob.cookie)
	if err != nil {
		t.Fatal(err)
	}
	if err := link(bob.cookie, bobs.Session); fault.Of(err) != fault.Conflict {
		t.Errorf("one sign-in opens two accounts: %v", err)
	}
	p.claims = func(c map[string]any) { c["email"], c["groups"] = "other@vendor.example", nil }
	h.Single.Policy.Roles = nil
	if s, _, err := p.come(); err != nil || s.Staff != ann.id || s.Role != Commander || s.Proved != nil {
		t.Errorf("%+v %v", s, err)
	}
	if s, _, err := ann.signIn(aPassword, ann.code(), "192.0.2.1"); err != nil || s.Proved == nil {
		t.Errorf("her password works no more: %+v %v", s, err)
	}
	p.claims = func(c map[string]any) { c["sub"] = "u-2" }
	if _, _, err := p.come(); fault.Of(err) != fault.Forbidden {
		t.Errorf("another subject with her address: %v", err)
	}
	p.claims = nil
	if err := h.Unlink(ctx, who); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.come(); fault.Of(err) != fault.Forbidden {
		t.Errorf("unlinked: %v", err)
	}
}

func TestWhatSingleSignOnMayNotSay(t *testing.T) {
	h := open(t)
	p := withProvider(h, helpdesk...)
	h.join("Root", Profile{Roles: []Role{Admin}})
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := p.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	says := func(name string, value any) func(*provider) {
		return func(p *provider) { p.claims = func(c map[string]any) { c[name] = value } }
	}
	for name, lie := range map[string]func(*provider){
		"another issuer":       says("iss", "https://login.example.com"),
		"another audience":     says("aud", "wiki"),
		"another party":        says("azp", "wiki"),
		"several, and no word": says("aud", []string{"lifeline", "wiki"}),
		"another nonce":        says("nonce", "bm9uY2U"),
		"no nonce":             says("nonce", nil),
		"over":                 says("exp", h.now().Add(-time.Second).Unix()),
		"no end":               says("exp", nil),
		"no subject":           says("sub", nil),
		"a long subject":       says("sub", string(make([]byte, 256))),
		"facts of another":     says("groups", nil), // they come from beside the token, and are somebody else's
		"unsigned": func(p *provider) {
			p.sign = func(b []byte) (string, error) {
				return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(b) + ".", nil
			}
		},
		"signed with our secret":   func(p *provider) { p.sign = p.with(jose.HS256, []byte(clientSecret+clientSecret), "one") },
		"signed with its open key": func(p *provider) { p.sign = p.with(jose.HS256, shown, "one") },
		"signed by somebody else":  func(p *provider) { p.sign = p.with(jose.ES256, other, "one") },
		"signed by an unknown key": func(p *provider) { p.sign = p.with(jose.ES256, other, "two") },
		"no token at all":          func(p *provider) { p.sign = func([]byte) (string, error) { return "", nil } },
		"something that is no JSON": func(p *provider) {
			p.sign = func([]byte) (string, error) { return p.with(jose.ES256, p.key, "one")([]byte("[1]")) }
		},
	} {
		lie(p)
		said := h.logs.Len()
		_, cookie, err := p.come()
		unauthentic(t, name, err)
		if !strings.Contains(h.logs.String()[said:], "level=WARN") {
			t.Errorf("%s: the log does not say why", name)
		}
		if cookie != "" {
			t.Errorf("%s: a session", name)
		}
		p.claims, p.sign = nil, nil
	}
	var mine, before Returning
	for name, mend := range map[string]func(*Returning){
		"no cookie":                 func(r *Returning) { r.Cookie = "" },
		"another browser's cookie":  func(r *Returning) { r.Cookie = before.Cookie },
		"a cookie of another end":   func(r *Returning) { r.Cookie = "9" + r.Cookie },
		"another browser's state":   func(r *Returning) { r.State = before.State },
		"no state":                  func(r *Returning) { r.State = "" },
		"a code of another sign-in": func(r *Returning) { r.Code = before.Code }, // the verifier does not fit
		"a made-up code":            func(r *Returning) { r.Code = "abc" },
		"no code":                   func(r *Returning) { r.Code = "" },
		"a word of refusal":         func(r *Returning) { r.Refused = "access_denied" },
		"the answer of another":     func(r *Returning) { r.Issuer = "https://login.example.com" },
		"too late":                  func(r *Returning) { h.pass(singleFor) },
	} {
		if _, _, err := p.come(func(r *Returning) { before = *r; r.Code = "" }); err == nil { // somebody else is on her way
			t.Fatal("no code, and a session")
		}
		_, _, err := p.come(mend)
		unauthentic(t, name, err)
	}
	if _, _, err := p.come(func(r *Returning) { r.Issuer, mine = p.URL, *r }); err != nil {
		t.Fatal(err)
	}
	_, _, err = h.SingleReturn(context.Background(), mine)
	unauthentic(t, "the same once more", err)

	calls := h.Single.Issuer
	h.Single = &Single{Issuer: calls + "/", Client: "lifeline", HTTP: p.Client()}
	if _, _, err := p.come(); fault.Of(err) != fault.Unavailable {
		t.Errorf("a provider that calls itself otherwise: %v", err)
	}
	h.Single = &Single{Issuer: calls, Client: "lifeline", Secret: clientSecret, Policy: DefaultPolicy(), HTTP: p.Client()}
	if _, _, err := p.come(); fault.Of(err) != fault.Forbidden {
		t.Fatal(err)
	}
	p.down = true
	if _, _, err := p.come(); fault.Of(err) != fault.Unavailable { // what it said of itself is still known; its answer is not
		t.Errorf("%v", err)
	}
	h.pass(singleFresh)
	if _, err := h.SingleLeave(context.Background(), "192.0.2.1", ""); fault.Of(err) != fault.Unavailable {
		t.Errorf("she is sent to a provider that is gone: %v", err)
	}
}

func TestPolicyOfSingleSignOn(t *testing.T) {
	for name, roles := range map[string][]Mapped{"admin": {{"g", Admin}}, "approver": {{"g", Approver}}, "automation": {{"g", Automation}}, "unknown": {{"g", "boss"}}, "no group": {{"", Support}}} {
		if err := (Policy{Claim: "groups", Roles: roles}).Check(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := (Policy{Claim: "groups", Roles: helpdesk}).Check(); err != nil {
		t.Error(err)
	}
	for setting, issuer := range map[string]string{"https://id:sec%20ret@x.example.com/": "https://x.example.com/", "https://id:s@x.example.com/realms/a": "https://x.example.com/realms/a", "http://id:s@127.0.0.1:99": "http://127.0.0.1:99"} {
		if s, err := ParseSingle(setting); err != nil || s.Issuer != issuer || s.Client != "id" {
			t.Errorf("%s: %+v %v", setting, s, err)
		}
	}
	for _, setting := range []string{"https://x.example.com", "http://id:s@x.example.com", "id:s@x", "https://id:s@x.example.com/?a=b", "ftp://id:s@localhost"} {
		if _, err := ParseSingle(setting); err == nil {
			t.Errorf("%s is taken", setting)
		}
	}
	if got := (Policy{Roles: helpdesk}).rolesOf([]string{"sre", "helpdesk", "sre"}); !slices.Equal(got, []Role{Support, Engineer}) {
		t.Errorf("%v", got)
	}
}
