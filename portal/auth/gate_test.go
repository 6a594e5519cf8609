package auth

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/secret"
	"lifeline/store/storetest"
)

// house is a gate on a real store, with wall time that the test moves.
type house struct {
	*Gate
	t    testing.TB
	dir  string
	wall *atomic.Int64
	logs *bytes.Buffer
}

func open(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, dir: filepath.Join(t.TempDir(), "keys"), wall: new(atomic.Int64), logs: &bytes.Buffer{}}
	h.wall.Store(time.Date(2026, 4, 5, 7, 38, 0, 0, time.UTC).UnixNano())
	key, err := OpenKey(h.dir, true)
	if err != nil {
		t.Fatal(err)
	}
	wall := func() time.Time { return time.Unix(0, h.wall.Load()).UTC() }
	h.Gate = &Gate{
		DB: storetest.Open(t, append(Kinds(), limit.Kinds()...), storetest.Clock(wall)), Key: key, Cost: Cost{1, 64, 1}, Wall: wall,
		Log: slog.New(slog.NewTextHandler(h.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	return h
}

func (h *house) pass(d time.Duration) { h.wall.Add(int64(d)) }

func (h *house) issue(role Role, name string) Token {
	h.t.Helper()
	token, err := h.Issue(context.Background(), OperatorID, Grantee{Role: role, Name: name})
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// link makes a sign-in link and gives the secret in it.
func (h *house) link(role Role, name string, ttl time.Duration) string {
	h.t.Helper()
	made, err := h.Link(context.Background(), OperatorID, Grantee{Role: role, Name: name, TTL: ttl}, "https://help.example.com/")
	if err != nil {
		h.t.Fatal(err)
	}
	u, err := url.Parse(made)
	if err != nil || u.Scheme+"://"+u.Host+u.Path != "https://help.example.com/desk/sign-in" || u.Query().Get(LinkParam) == "" {
		h.t.Fatalf("link %q: %v", made, err)
	}
	return u.Query().Get(LinkParam)
}

func (h *house) signIn(role Role, name string) string {
	h.t.Helper()
	_, cookie, err := h.Open(context.Background(), h.link(role, name, 0))
	if err != nil {
		h.t.Fatal(err)
	}
	return cookie
}

// unauthentic wants the one refusal that everybody gets.
func unauthentic(t testing.TB, what string, err error) {
	t.Helper()
	var e *fault.Error
	if !errors.As(err, &e) || e.Kind != fault.Unauthentic {
		t.Errorf("%s: %v, want unauthorized", what, err)
		return
	}
	if e.Error() != "what you sent does not hold, or no longer; sign in or get a new token" {
		t.Errorf("%s: the refusal says more than the others: %v", what, e)
	}
}

// forge signs what the test says, with our key unless it says otherwise.
func forge(t testing.TB, method jwt.SigningMethod, key any, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for k, v := range header {
		if v == nil {
			delete(token.Header, k)
			continue
		}
		token.Header[k] = v
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func claimsOf(t testing.TB, token string) jwt.MapClaims {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var c jwt.MapClaims
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTokenNamesItsHolder(t *testing.T) {
	h := open(t)
	token := h.issue(Commander, "  Anna   Kim ")
	p, err := h.Verify(t.Context(), token.JWT)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "Anna Kim" || p.Role != Commander || p.Token != token.ID || p.Interactive || p.Session != "" || !strings.HasPrefix(p.ID, "stf_") {
		t.Errorf("person %+v", p)
	}
	if want := h.now().Add(12 * time.Hour); !p.Expires.Equal(want) || !token.Expires.Equal(want) {
		t.Errorf("expires %v and %v, want %v", p.Expires, token.Expires, want)
	}
	if strings.Contains(fmt.Sprint(claimsOf(t, token.JWT)), "Anna") {
		t.Error("the token carries a name")
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	h := open(t)
	real := h.issue(Support, "Kim")
	other := newSigningKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)))
	head := map[string]any{"typ": tokenType, "kid": h.Key.ID}
	with := func(m map[string]any, k string, v any) map[string]any { m = maps.Clone(m); m[k] = v; return m }
	claim := func(k string, v any) jwt.MapClaims {
		c := claimsOf(t, real.JWT)
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
		return c
	}
	eddsa, ours := jwt.SigningMethodEdDSA, h.Key.private
	now := h.now().Unix()
	parts := strings.Split(real.JWT, ".")
	for what, token := range map[string]string{
		"alg none":               forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, head, claim("", nil)),
		"alg None":               forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, with(head, "alg", "None"), claim("", nil)),
		"alg none said EdDSA":    forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, with(head, "alg", "EdDSA"), claim("", nil)),
		"HS256, public key":      forge(t, jwt.SigningMethodHS256, []byte(h.Key.Public()), head, claim("", nil)),
		"HS256 said EdDSA":       forge(t, jwt.SigningMethodHS256, []byte(h.Key.Public()), with(head, "alg", "EdDSA"), claim("", nil)),
		"another key":            forge(t, eddsa, other.private, head, claim("", nil)),
		"another key, its kid":   forge(t, eddsa, other.private, with(head, "kid", other.ID), claim("", nil)),
		"unknown kid":            forge(t, eddsa, ours, with(head, "kid", "x"), claim("", nil)),
		"no kid":                 forge(t, eddsa, ours, with(head, "kid", nil), claim("", nil)),
		"kid of another type":    forge(t, eddsa, ours, with(head, "kid", 1), claim("", nil)),
		"typ JWT":                forge(t, eddsa, ours, with(head, "typ", "JWT"), claim("", nil)),
		"no typ":                 forge(t, eddsa, ours, with(head, "typ", nil), claim("", nil)),
		"crit":                   forge(t, eddsa, ours, with(head, "crit", []string{"exp"}), claim("", nil)),
		"jwk":                    forge(t, eddsa, other.private, with(head, "jwk", map[string]string{"kty": "OKP"}), claim("", nil)),
		"wrong iss":              forge(t, eddsa, ours, head, claim("iss", "elsewhere")),
		"no iss":                 forge(t, eddsa, ours, head, claim("iss", nil)),
		"wrong aud":              forge(t, eddsa, ours, head, claim("aud", "elsewhere")),
		"two auds":               forge(t, eddsa, ours, head, claim("aud", []string{"lifeline-api", "elsewhere"})),
		"no aud":                 forge(t, eddsa, ours, head, claim("aud", nil)),
		"expired":                forge(t, eddsa, ours, head, claim("exp", now-6)),
		"no exp":                 forge(t, eddsa, ours, head, claim("exp", nil)),
		"not yet":                forge(t, eddsa, ours, head, claim("nbf", now+6)),
		"no nbf":                 forge(t, eddsa, ours, head, claim("nbf", nil)),
		"issued in the future":   forge(t, eddsa, ours, head, claim("iat", now+6)),
		"no iat":                 forge(t, eddsa, ours, head, claim("iat", nil)),
		"no jti":                 forge(t, eddsa, ours, head, claim("jti", nil)),
		"empty jti":              forge(t, eddsa, ours, head, claim("jti", "")),
		"jti without secret":     forge(t, eddsa, ours, head, claim("jti", real.ID)),
		"jti, empty secret":      forge(t, eddsa, ours, head, claim("jti", real.ID+".")),
		"jti, wrong secret":      forge(t, eddsa, ours, head, claim("jti", real.ID+"."+strings.Repeat("7", 26))),
		"jti never issued":       forge(t, eddsa, ours, head, claim("jti", passes.NewID()+"."+strings.Repeat("7", 26))),
		"jti of another kind":    forge(t, eddsa, ours, head, claim("jti", sessions.NewID()+".x")),
		"another's sub":          forge(t, eddsa, ours, head, claim("sub", staff.NewID())),
		"signature cut off":      parts[0] + "." + parts[1] + ".",
		"no signature":           parts[0] + "." + parts[1],
		"claims altered":         parts[0] + "." + parts[1][:20] + "x" + parts[1][21:] + "." + parts[2],
		"signature altered":      real.JWT[:len(real.JWT)-4] + "AAAA",
		"padded":                 real.JWT + "=",
		"four parts":             real.JWT + ".x",
		"a space in front":       " " + real.JWT,
		"empty":                  "",
		"dots":                   "..",
		"zero":                   "0",
		"blank":                  " ",
		"NUL":                    "\x00",
		"far too long":           real.JWT + strings.Repeat("A", 1<<20),
		"the bare secret":        strings.SplitN(claimsOf(t, real.JWT)["jti"].(string), ".", 2)[1],
		"what the store's id is": real.ID,
	} {
		p, err := h.Verify(t.Context(), token)
		unauthentic(t, what, err)
		if p != (Person{}) {
			t.Errorf("%s: somebody came in: %+v", what, p)
		}
	}
	if _, err := h.Verify(t.Context(), real.JWT); err != nil {
		t.Error("the real one:", err)
	}
}

// Even somebody with our key, and with a live token of her own, gets no more than the store holds for her.
func TestRightsComeFromTheStoreNotFromTheToken(t *testing.T) {
	h := open(t)
	token := h.issue(Support, "Kim")
	c := claimsOf(t, token.JWT)
	for _, name := range []string{"role", "roles", "scope", "admin"} {
		c[name] = "admin"
	}
	c["exp"] = h.now().Add(1000 * time.Hour).Unix()
	forged := forge(t, jwt.SigningMethodEdDSA, h.Key.private, map[string]any{"typ": tokenType, "kid": h.Key.ID}, c)
	p, err := h.Verify(t.Context(), forged)
	if err != nil || p.Role != Support || !p.Expires.Equal(token.Expires) {
		t.Fatalf("%+v, %v", p, err)
	}
	h.pass(12 * time.Hour)
	_, err = h.Verify(t.Context(), forged)
	unauthentic(t, "a longer life by claim", err)
}

func TestAStolenKeyIsNoticed(t *testing.T) {
	h := open(t)
	c := claimsOf(t, h.issue(Admin, "Kim").JWT)
	c["jti"] = strings.SplitN(c["jti"].(string), ".", 2)[0] + "." + strings.Repeat("7", 26)
	_, err := h.Verify(t.Context(), forge(t, jwt.SigningMethodEdDSA, h.Key.private, map[string]any{"typ": tokenType, "kid": h.Key.ID}, c))
	unauthentic(t, "forged", err)
	if !strings.Contains(h.logs.String(), "level=WARN") {
		t.Errorf("nothing in the log:\n%s", h.logs)
	}
}

func TestTokensEnd(t *testing.T) {
	h := open(t)
	person, program := h.issue(Comms, "Kim"), h.issue(Automation, "restore-bot")
	h.pass(12*time.Hour - time.Nanosecond)
	if _, err := h.Verify(t.Context(), person.JWT); err != nil {
		t.Error("just before its end:", err)
	}
	h.pass(time.Nanosecond)
	_, err := h.Verify(t.Context(), person.JWT)
	unauthentic(t, "a person's after 12 h", err)
	h.pass(708*time.Hour - time.Second)
	if _, err := h.Verify(t.Context(), program.JWT); err != nil {
		t.Error("a program's before 720 h:", err)
	}
	h.pass(time.Second)
	_, err = h.Verify(t.Context(), program.JWT)
	unauthentic(t, "a program's after 720 h", err)
}

func TestWhatCannotBeIssued(t *testing.T) {
	h := open(t)
	for field, bad := range map[string][]Grantee{
		"ttl": {
			{Role: Admin, Name: "Kim", TTL: 12*time.Hour + 1}, {Role: Automation, Name: "bot", TTL: 720*time.Hour + 1},
			{Role: Admin, Name: "Kim", TTL: -time.Hour}, {Role: Admin, Name: "Kim", TTL: time.Millisecond},
		},
		"role": {{Name: "Kim"}, {Role: "root", Name: "Kim"}},
		"name": {
			{Role: Admin}, {Role: Admin, Name: " \t"}, {Role: Admin, Name: "Kim\r\nBcc: x"[:3] + "\x00"}, {Role: Admin, Name: "Kim\u200bLee"},
			{Role: Admin, Name: strings.Repeat("x", 81)}, {Role: Admin, Name: "\xff"}, {Role: Admin, Name: "Kim\u202e"},
		},
	} {
		for _, g := range bad {
			_, err := h.Issue(t.Context(), OperatorID, g)
			_, err2 := h.Link(t.Context(), OperatorID, g, "https://help.example.com")
			for _, err := range []error{err, err2} {
				var e *fault.Error
				if !errors.As(err, &e) || e.Kind != fault.Invalid || e.Fields[0].Field != field {
					t.Errorf("%+v: %v, want a word about %s", g, err, field)
				}
			}
		}
	}
	if _, err := h.Link(t.Context(), OperatorID, Grantee{Role: Automation, Name: "bot"}, "https://help.example.com"); fault.Of(err) != fault.Invalid {
		t.Errorf("a link for a program: %v", err)
	}
	if page, _, err := h.List(t.Context(), "", 0); err != nil || len(page) != 0 {
		t.Errorf("something was issued: %v, %v", page, err)
	}
	h.Key = SigningKey{}
	if _, err := h.Issue(t.Context(), OperatorID, Grantee{Role: Admin, Name: "Kim"}); err == nil {
		t.Error("issued without a key")
	}
}

// Two tokens for one name are one person, however the name is written, so she cannot approve what she wrote.
func TestOneNameIsOnePerson(t *testing.T) {
	h := open(t)
	first, _ := h.Verify(t.Context(), h.issue(Comms, "Zoë Kim").JWT)
	for _, name := range []string{"zoë kim", "ZOE\u0308  KIM", "Ｚｏë Kim"} {
		p, err := h.Verify(t.Context(), h.issue(Approver, name).JWT)
		if err != nil || p.ID != first.ID || p.Role != Approver {
			t.Errorf("%q is %+v, %v; want %s", name, p, err, first.ID)
		}
	}
	s, _, err := h.Session(t.Context(), h.signIn(Approver, "ZOË KIM"))
	if err != nil || s.ID != first.ID {
		t.Errorf("in a browser she is %+v, %v", s, err)
	}
	if p, _ := h.Verify(t.Context(), h.issue(Approver, "Zoe Kim").JWT); p.ID == first.ID {
		t.Error("two names are one person")
	}
}

func TestTwoTokensForANewNameAtOnceAreOnePerson(t *testing.T) {
	h := open(t)
	ids := make([]string, 8)
	var all sync.WaitGroup
	for i := range ids {
		all.Add(1)
		fault.Go(slog.Default(), "issuer", func() {
			defer all.Done()
			token, err := h.Issue(context.Background(), OperatorID, Grantee{Role: Comms, Name: "Kim"})
			if err != nil {
				t.Error(err)
				return
			}
			p, err := h.Verify(context.Background(), token.JWT)
			if err != nil {
				t.Error(err)
			}
			ids[i] = p.ID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("persons %v", ids)
		}
	}
}

func TestRevokedTokensAreRefusedByEveryReplica(t *testing.T) {
	h := open(t)
	other := &Gate{DB: h.DB, Key: h.Key, Wall: h.Wall} // another process on the same store
	token := h.issue(Automation, "restore-bot")
	for _, g := range []*Gate{h.Gate, other} {
		if _, err := g.Verify(t.Context(), token.JWT); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Revoke(t.Context(), OperatorID, token.ID, "leaked"); err != nil {
		t.Fatal(err)
	}
	_, err := h.Verify(t.Context(), token.JWT)
	unauthentic(t, "where it was revoked", err)
	h.pass(SeenFor)
	_, err = other.Verify(t.Context(), token.JWT)
	unauthentic(t, "on another replica", err)
	if SeenFor > 2*time.Second {
		t.Error("a revocation takes longer than two seconds")
	}
	if err := h.Revoke(t.Context(), OperatorID, token.ID, "again"); err != nil {
		t.Error("a second time:", err)
	}
	for _, id := range []string{"", "tok_", "tok_x", passes.NewID(), sessions.NewID(), staff.NewID(), "aud_" + store.NewSuffix(), "\x00"} {
		if err := h.Revoke(t.Context(), OperatorID, id, ""); fault.Of(err) != fault.NotFound {
			t.Errorf("revoke %q: %v", id, err)
		}
	}
}

func TestRevokingAPersonEndsEverythingOfHers(t *testing.T) {
	h := open(t)
	mine, theirs := h.issue(Comms, "Kim"), h.issue(Comms, "Lee")
	cookie, link, other := h.signIn(Comms, "Kim"), h.link(Comms, "Kim", 0), h.signIn(Comms, "Lee")
	p, err := h.Verify(t.Context(), mine.JWT)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Revoke(t.Context(), OperatorID, p.ID, "left"); err != nil {
		t.Fatal(err)
	}
	_, err = h.Verify(t.Context(), mine.JWT)
	unauthentic(t, "her token", err)
	_, _, err = h.Session(t.Context(), cookie)
	unauthentic(t, "her session", err)
	_, _, err = h.Open(t.Context(), link)
	unauthentic(t, "her link", err)
	if _, err := h.Verify(t.Context(), theirs.JWT); err != nil {
		t.Error("somebody else's token:", err)
	}
	if _, _, err := h.Session(t.Context(), other); err != nil {
		t.Error("somebody else's session:", err)
	}
}

func TestALinkOpensOneSession(t *testing.T) {
	h := open(t)
	link := h.link(Comms, "Kim", 2*time.Hour)
	s, cookie, err := h.Open(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "Kim" || s.Role != Comms || !s.Expires.Equal(h.now().Add(2*time.Hour)) {
		t.Errorf("session %+v", s)
	}
	_, _, err = h.Open(t.Context(), link)
	unauthentic(t, "the link again", err)
	_, err = h.Verify(t.Context(), link)
	unauthentic(t, "a link as a token", err)
	_, _, err = h.Session(t.Context(), link)
	unauthentic(t, "a link as a cookie", err)
	_, _, err = h.Session(t.Context(), cookie[:len(cookie)-26]+strings.Repeat("7", 26))
	unauthentic(t, "a session's id with a wrong secret", err)
	_, _, err = h.Open(t.Context(), cookie)
	unauthentic(t, "a cookie as a link", err)
	_, err = h.Verify(t.Context(), cookie)
	unauthentic(t, "a cookie as a token", err)
	token := h.issue(Comms, "Kim")
	_, _, err = h.Open(t.Context(), claimsOf(t, token.JWT)["jti"].(string))
	unauthentic(t, "a token's jti as a link", err)
	_, _, err = h.Session(t.Context(), claimsOf(t, token.JWT)["jti"].(string))
	unauthentic(t, "a token's jti as a cookie", err)

	fresh := h.link(Comms, "Kim", 0)
	wrong := fresh[:len(fresh)-26] + strings.Repeat("7", 26)
	_, _, err = h.Open(t.Context(), wrong)
	unauthentic(t, "a wrong secret", err)
	c := claimsOf(t, token.JWT)
	c["jti"] = fresh
	_, err = h.Verify(t.Context(), forge(t, jwt.SigningMethodEdDSA, h.Key.private, map[string]any{"typ": tokenType, "kid": h.Key.ID}, c))
	unauthentic(t, "a link in a token that a stolen key signed", err)
	if _, _, err := h.Open(t.Context(), fresh); err != nil {
		t.Error("the link after all these:", err)
	}

	late := h.link(Comms, "Kim", 0)
	h.pass(LinkFor)
	_, _, err = h.Open(t.Context(), late)
	unauthentic(t, "after 15 minutes", err)
	for _, bad := range []string{"", ".", "0", " ", "tok_.", late[:len(late)-1], late[:30] + "." + strings.Repeat("7", 26), strings.Repeat("x", 1<<20), "é\x00"} {
		_, _, err = h.Open(t.Context(), bad)
		unauthentic(t, fmt.Sprintf("the link %.40q", bad), err)
		_, _, err = h.Session(t.Context(), bad)
		unauthentic(t, fmt.Sprintf("the cookie %.40q", bad), err)
	}
}

func TestALinkClickedTwiceAtOnceOpensOneSession(t *testing.T) {
	h := open(t)
	link := h.link(Comms, "Kim", 0)
	var opened atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		fault.Go(slog.Default(), "clicker", func() {
			defer all.Done()
			switch _, _, err := h.Open(context.Background(), link); fault.Of(err) {
			case "":
				opened.Add(1)
			case fault.Unauthentic:
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if opened.Load() != 1 {
		t.Errorf("%d sessions", opened.Load())
	}
}

func TestSessionsEnd(t *testing.T) {
	h := open(t)
	in := func(cookie string) error { _, _, err := h.Session(context.Background(), cookie); return err }

	idle := h.signIn(Comms, "Kim")
	h.pass(30 * time.Minute)
	unauthentic(t, "nobody used it for 30 minutes", in(idle))
	unauthentic(t, "and asking did not bring it back", in(idle))

	used := h.signIn(Comms, "Kim")
	for at := time.Duration(0); at+29*time.Minute < 12*time.Hour; at += 29 * time.Minute {
		if err := in(used); err != nil {
			t.Fatalf("after %v: %v", at, err)
		}
		h.pass(29 * time.Minute)
	}
	if err := in(used); err != nil {
		t.Fatal(err)
	}
	h.pass(25 * time.Minute)
	unauthentic(t, "after 12 hours of use", in(used))

	out := h.signIn(Comms, "Kim")
	if err := h.SignOut(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	unauthentic(t, "signed out", in(out))
	if err := h.SignOut(t.Context(), out); err != nil {
		t.Error("signing out twice:", err)
	}
	ended, spared := h.signIn(Comms, "Kim"), h.signIn(Comms, "Kim")
	p, _, err := h.Session(t.Context(), ended)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Revoke(t.Context(), OperatorID, p.Token, "the link went astray"); err != nil {
		t.Fatal(err)
	}
	unauthentic(t, "its link was revoked", in(ended))
	if err := in(spared); err != nil {
		t.Error("a session of hers from another link:", err)
	}
}

func TestARequestSeldomWrites(t *testing.T) {
	engine := &counting{Engine: storetest.Bolt(t)}
	db, err := store.Open(t.Context(), engine, store.Options{Keys: storetest.Keys(t), Kinds: Kinds()})
	if err != nil {
		t.Fatal(err)
	}
	h := open(t)
	h.DB = db
	cookie, token := h.signIn(Comms, "Kim"), h.issue(Comms, "Lee")
	before := engine.updates.Load()
	for range 180 { // three minutes
		if _, _, err := h.Session(t.Context(), cookie); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Verify(t.Context(), token.JWT); err != nil {
			t.Fatal(err)
		}
		_, _, _ = h.Open(t.Context(), "tok_00000000000000000000000000.guess")
		_, _, _ = h.Session(t.Context(), "ses_00000000000000000000000000.guess")
		h.pass(time.Second)
	}
	if got := engine.updates.Load() - before; got > 4 { // the session's last use twice, the token's once
		t.Errorf("%d writes for 720 requests", got)
	}
}

type counting struct {
	store.Engine
	updates atomic.Int64
}

func (c *counting) Update(ctx context.Context, fn func(store.Snapshot) (store.Writes, error)) error {
	c.updates.Add(1)
	return c.Engine.Update(ctx, fn)
}

func TestAFormTokenBelongsToItsSession(t *testing.T) {
	h := open(t)
	kim, lee := h.signIn(Comms, "Kim"), h.signIn(Comms, "Lee")
	_, a, err := h.Session(t.Context(), kim)
	_, again, err2 := h.Session(t.Context(), kim)
	_, b, err3 := h.Session(t.Context(), lee)
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	if len(a) < 26 || !SameToken(a, again) || SameToken(a, b) || SameToken("", "") || SameToken(a, "") || SameToken(a[:25], a) {
		t.Errorf("form tokens %q, %q, %q", a, again, b)
	}
	if strings.Contains(kim, a) {
		t.Error("the cookie gives the form token away")
	}
	s, cookie, err := h.Renew(t.Context(), kim)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = h.Session(t.Context(), kim)
	unauthentic(t, "the old cookie", err)
	p, c, err := h.Session(t.Context(), cookie)
	if err != nil || SameToken(a, c) || p.Name != "Kim" || !p.Interactive || cookie == kim || s.CSRF != c {
		t.Errorf("renewed: %+v, %v", p, err)
	}
	_, _, err = h.Renew(t.Context(), kim)
	unauthentic(t, "renewing an ended session", err)
}

func TestRenewingDoesNotProlong(t *testing.T) {
	h := open(t)
	first, cookie, err := h.Open(t.Context(), h.link(Comms, "Kim", time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	h.pass(20 * time.Minute)
	s, _, err := h.Renew(t.Context(), cookie)
	if err != nil || !s.Expires.Equal(first.Expires) || !s.Opened.Equal(h.now()) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestOnceThereAreStaffAccountsTokensNeverApprove(t *testing.T) {
	h := open(t)
	token, err := h.Verify(t.Context(), h.issue(Approver, "Kim").JWT)
	if err != nil {
		t.Fatal(err)
	}
	browser, _, err := h.Session(t.Context(), h.signIn(Approver, "Lee"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Person{token, browser, Operator()} {
		if err := h.MayApprove(t.Context(), p); err != nil {
			t.Errorf("before the first account, %s: %v", p.Name, err)
		}
	}
	if err := h.MayApprove(t.Context(), Person{Role: Comms}); fault.Of(err) != fault.Forbidden {
		t.Errorf("without the right: %v", err)
	}
	if err := h.MayApprove(t.Context(), Person{Role: Security}); fault.Of(err) != fault.Forbidden {
		t.Errorf("security, any text: %v", err)
	}
	if err := h.MayApprove(t.Context(), Person{Role: Security}, SecurityTexts); err != nil {
		t.Errorf("security, her texts: %v", err)
	}
	err = h.DB.Update(t.Context(), store.Act{By: OperatorID, Verb: "staff.open"}, func(tx *store.Tx) error {
		now := h.now()
		return staff.Put(tx, staff.NewID(), Staff{Name: "Park", Account: &now}, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Person{token, browser, Operator(), {Role: Approver, Proved: h.now()}, {Role: Approver, Interactive: true, Proved: h.now().Add(-Fresh)}} {
		if err := h.MayApprove(t.Context(), p); fault.Of(err) != fault.Forbidden {
			t.Errorf("after the first account, %+v: %v", p, err)
		}
	}
	if err := h.MayApprove(t.Context(), Person{Role: Approver, Interactive: true, Proved: h.now().Add(-Fresh + time.Second)}); err != nil {
		t.Errorf("in a browser, just proved: %v", err)
	}
}

func TestListsShowWhatStandsAndNoSecret(t *testing.T) {
	h := open(t)
	token := h.issue(Automation, "restore-bot")
	h.issue(Comms, "Kim")
	cookie := h.signIn(Comms, "Kim")
	if _, err := h.Verify(t.Context(), token.JWT); err != nil {
		t.Fatal(err)
	}
	if err := h.Revoke(t.Context(), OperatorID, token.ID, ""); err != nil {
		t.Fatal(err)
	}
	page, next, err := h.List(t.Context(), "", 2)
	if err != nil || len(page) != 2 || next == "" {
		t.Fatalf("%v, %q, %v", page, next, err)
	}
	if l := page[0]; l.ID != token.ID || l.Live || l.For != ForAutomation || l.LastUsed == nil || l.IssuedBy != OperatorID || l.Ended == nil {
		t.Errorf("the revoked one: %+v", l)
	}
	if !page[1].Live || page[1].For != ForPerson {
		t.Errorf("the live one: %+v", page[1])
	}
	rest, next, err := h.List(t.Context(), next, 2)
	if err != nil || len(rest) != 1 || next != "" || rest[0].For != ForLink || rest[0].Live {
		t.Fatalf("the used link: %+v, %q, %v", rest, next, err)
	}
	open, _, err := h.Sessions(t.Context(), "", 0)
	if err != nil || len(open) != 1 || !open[0].Live {
		t.Fatalf("%v, %v", open, err)
	}
	shown, err := json.Marshal([]any{page, rest, open})
	if err != nil {
		t.Fatal(err)
	}
	_, plain, _ := strings.Cut(cookie, ".")
	hash, _ := json.Marshal(secret.Hash(plain))
	if bytes.Contains(shown, hash[1:20]) || bytes.Contains(shown, []byte("csrf")) || bytes.Contains(shown, []byte("secret")) {
		t.Errorf("the list shows a secret: %s", shown)
	}
	h.pass(Kept + MaxAutomation + time.Second)
	if n, err := h.Forget(t.Context(), 3); err != nil || n != 3 {
		t.Errorf("forgot %d, %v", n, err)
	}
	if n, err := h.Forget(t.Context(), 3); err != nil || n != 1 {
		t.Errorf("then forgot %d, %v", n, err)
	}
}

func TestTheAuditLogHoldsNoName(t *testing.T) {
	h := open(t)
	h.issue(Comms, "Anna Kim")
	h.signIn(Comms, "Anna Kim")
	verbs := map[string]int{}
	err := h.DB.View(t.Context(), func(tx *store.Tx) error {
		recs, _, err := store.AuditRows(tx, store.Query{})
		for _, rec := range recs {
			verbs[rec.Value.Verb]++
			if strings.Contains(fmt.Sprint(rec.Value), "Anna") {
				t.Errorf("row %+v", rec.Value)
			}
		}
		return err
	})
	if err != nil || verbs["token.issue"] != 1 || verbs["token.link"] != 1 || verbs["session.open"] != 1 {
		t.Errorf("%v, %v", verbs, err)
	}
}

func TestNothingOfASecretIsLogged(t *testing.T) {
	h := open(t)
	token, cookie, link := h.issue(Comms, "Kim"), h.signIn(Comms, "Kim"), h.link(Comms, "Kim", 0)
	h.pass(13 * time.Hour)
	for _, s := range []string{token.JWT, cookie, link} {
		_, err := h.Verify(t.Context(), s)
		_, _, err2 := h.Session(t.Context(), s)
		_, _, err3 := h.Open(t.Context(), s)
		for _, err := range []error{err, err2, err3} {
			unauthentic(t, "late", err)
		}
		_, plain, _ := strings.Cut(s, ".")
		if strings.Contains(h.logs.String(), plain) {
			t.Errorf("the log shows a secret:\n%s", h.logs)
		}
	}
}

func TestAStoreThatCannotBeAskedIsNoRefusal(t *testing.T) {
	h := open(t)
	token, cookie := h.issue(Comms, "Kim"), h.signIn(Comms, "Kim")
	h.DB = broken(t)
	_, err := h.Verify(t.Context(), token.JWT)
	_, _, err2 := h.Session(t.Context(), cookie)
	for _, err := range []error{err, err2} {
		if fault.Of(err) != fault.Unavailable {
			t.Errorf("%v, want unavailable: she should not sign in again", err)
		}
	}
}

// broken is a store whose reads fail.
func broken(t *testing.T) *store.DB {
	engine := &failing{Engine: storetest.Bolt(t)}
	db, err := store.Open(t.Context(), engine, store.Options{Keys: storetest.Keys(t), Kinds: Kinds()})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

type failing struct{ store.Engine }

func (*failing) View(context.Context, func(store.Snapshot) error) error {
	return fault.New(fault.Unavailable, "the database is gone")
}

func TestKeyFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := OpenKey(dir, false); err == nil {
		t.Error("a key out of nothing")
	}
	key, err := OpenKey(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenKey(dir, false)
	if err != nil || again.ID != key.ID || !again.private.Equal(key.private) {
		t.Errorf("read again: %v", err)
	}
	if third, err := OpenKey(dir, true); err != nil || third.ID != key.ID {
		t.Errorf("with create, a key that is there was replaced: %v", err)
	}
	path := filepath.Join(dir, KeyFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o644} {
		chmod(t, path, mode)
		if _, err := OpenKey(dir, false); err == nil || !strings.Contains(err.Error(), "make it 0600") {
			t.Errorf("mode %#o: %v", mode, err)
		}
	}
	chmod(t, path, 0o400)
	if _, err := OpenKey(dir, false); err != nil {
		t.Errorf("mode 0400: %v", err)
	}
	chmod(t, path, 0o600)
	chmod(t, dir, 0o750)
	if _, err := OpenKey(dir, false); err == nil || !strings.Contains(err.Error(), "make it 0700") {
		t.Errorf("directory 0750: %v", err)
	}
	chmod(t, dir, 0o700)
	for _, text := range []string{"", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKey(dir, true); err == nil {
			t.Errorf("%q was taken for a key, or replaced", text)
		}
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// The thumbprint of RFC 8037, appendix A.3.
func TestKeyIDIsItsThumbprint(t *testing.T) {
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	if id := newSigningKey(ed25519.NewKeyFromSeed(seed)).ID; id != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("id %s", id)
	}
}

func FuzzVerify(f *testing.F) {
	h := open(f)
	token := h.issue(Admin, "Kim")
	f.Add(token.JWT + "x")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Add(forge(f, jwt.SigningMethodHS256, []byte(h.Key.Public()), map[string]any{"typ": tokenType, "kid": h.Key.ID}, claimsOf(f, token.JWT)))
	f.Fuzz(func(t *testing.T, s string) {
		p, err := h.Verify(context.Background(), s)
		if err == nil && s != token.JWT {
			t.Errorf("%q came in as %+v", s, p)
		}
		if err != nil && fault.Of(err) != fault.Unauthentic {
			t.Errorf("%q: %v", s, err)
		}
		_, _, err = h.Open(context.Background(), s)
		_, _, err2 := h.Session(context.Background(), s)
		if fault.Of(err) != fault.Unauthentic || fault.Of(err2) != fault.Unauthentic {
			t.Errorf("%q: %v, %v", s, err, err2)
		}
	})
}

// Programs are not people: a name for which tokens of programs alone were issued is in no list to choose from, nor is whose account is closed; who has a thing
// already stays in the list of those who may have it.
func TestOnlyPeopleWhoAreThereAreOffered(t *testing.T) {
	h, ctx := open(t), context.Background()
	issue := func(role Role, name string) string {
		t.Helper()
		token, err := h.Issue(ctx, OperatorID, Grantee{Role: role, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.Verify(ctx, token.JWT)
		if err != nil {
			t.Fatal(err)
		}
		return p.ID
	}
	probe, kim := issue(Automation, "Site probe"), issue(Support, "Kim Tok")
	issue(Automation, "Kim Tok") // she is no program for it
	issue(Automation, "Ann")
	ann := h.join("Ann", Profile{Roles: []Role{Support}}) // nor is she, once she has an account
	gone := h.join("Gone", Profile{Roles: []Role{Support}})
	if _, err := h.Disable(ctx, "stf_admin", gone.id, ""); err != nil {
		t.Fatal(err)
	}
	offers := func(want []string, kept ...string) {
		t.Helper()
		all, err := h.Members(ctx, kept...)
		var got []string
		for _, m := range all {
			got = append(got, m.Name)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("offered are %q (%v), not %q", got, err, want)
		}
	}
	offers([]string{"Ann", "Kim Tok"})
	offers([]string{"Ann", "Gone", "Kim Tok"}, gone.id, "")
	issue(Commander, "Site probe") // a person had the name after all
	offers([]string{"Ann", "Kim Tok", "Site probe"})
	names, err := h.Names(ctx)
	if err != nil || names[gone.id] != "Gone" || names[probe] != "Site probe" {
		t.Errorf("%v, %v", names, err)
	}
	for id, want := range map[string]bool{probe: true, kim: false, ann.id: false, "stf_none": false} {
		if err := h.DB.View(ctx, func(tx *store.Tx) error {
			has, err := h.HasIn(tx, id, IncidentEdit)
			if has != want {
				t.Errorf("%s: %v", names[id], has)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
}
