package auth

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/secret"
)

// Single is the vendor's single sign-on: a provider of OpenID Connect, asked by the code flow with PKCE (OpenID Connect Core 1.0 section 3.1, RFC 7636). It
// opens the desk and no more: what its word never is, is a second factor, so that whoever holds the provider, which may share fate with the product, approves
// nothing here and makes no staff. It may be gone at any time; accounts with credentials of their own go on without it.
//
// Somebody is known by the provider's issuer and subject and never by her address, which a provider may give to somebody else. Her account is linked by
// herself, signed in with a fresh second factor; or, where the policy maps groups to roles, made at her first sign-in.
type Single struct {
	Issuer string // exactly as its tokens name it
	Client string
	Secret string
	Policy Policy
	HTTP   *http.Client // how it is asked; nil: it is not

	mu       sync.Mutex
	provider *oidc.Provider
	found    time.Time
}

// Policy is the section sign_in of the policy: what is taken from single sign-on. Without roles only accounts that their owners linked are let in.
type Policy struct {
	Name   string   `yaml:"name"`   // of it, as staff call it; "": its host
	Claim  string   `yaml:"claim"`  // that names the groups somebody is in
	Scopes []string `yaml:"scopes"` // asked for besides openid
	Roles  []Mapped `yaml:"roles"`  // what groups make of people, the role to begin with first
}

// Mapped is a role that everybody in a group has.
type Mapped struct {
	Group string `yaml:"group"`
	Role  Role   `yaml:"role"`
}

// DefaultPolicy lets in whoever linked her account.
func DefaultPolicy() Policy {
	return Policy{Claim: "groups", Scopes: []string{"profile", "email"}, Roles: []Mapped{}}
}

// Check names what is wrong with a policy.
func (p Policy) Check() error {
	for i, m := range p.Roles {
		switch {
		case m.Group == "":
			return fmt.Errorf("sign_in.roles[%d].group is missing", i)
		case !slices.Contains(Roles(), m.Role) || m.Role == Automation:
			return fmt.Errorf("sign_in.roles[%d].role: %q is no role of people", i, m.Role)
		case sensitive([]Role{m.Role}):
			return fmt.Errorf("sign_in.roles[%d].role: %s is given here and by people, never by a group of another system", i, m.Role)
		}
	}
	if len(p.Roles) > 0 && p.Claim == "" {
		return errors.New("sign_in.claim is missing: it names the groups that sign_in.roles speaks of")
	}
	return nil
}

// ParseSingle reads https://CLIENT:SECRET@ISSUER; "" is none. Plain http is for a provider on this machine.
func ParseSingle(setting string) (*Single, error) {
	if setting == "" {
		return nil, nil
	}
	u, err := url.Parse(setting)
	if err != nil || u.Host == "" || u.User == nil || u.User.Username() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("must be https://CLIENT:SECRET@ISSUER, such as https://lifeline:s3cret@login.example.com/realms/staff")
	}
	if host := u.Hostname(); u.Scheme != "https" && (u.Scheme != "http" || host != "localhost" && host != "127.0.0.1" && host != "::1") {
		return nil, errors.New("must be https: what it answers decides who is let in")
	}
	s := &Single{Client: u.User.Username()}
	s.Secret, _ = u.User.Password()
	u.User = nil
	s.Issuer = u.String()
	return s, nil
}

// Name is what staff call it; "" where there is none.
func (s *Single) Name() string {
	switch {
	case s == nil:
		return ""
	case s.Policy.Name != "":
		return s.Policy.Name
	}
	u, err := url.Parse(s.Issuer)
	if err != nil {
		return s.Issuer
	}
	return u.Hostname()
}

const (
	// SinglePath is where the way to single sign-on begins, and SingleBack, registered with the provider as the only address, where it ends.
	SinglePath = "/desk/sign-in/single"
	SingleBack = "/desk/sign-in/back"

	singleFor    = 10 * time.Minute // from the button until she is back
	singleWait   = 4 * time.Second  // for one answer of the provider, so that a page says within seconds that it is gone
	singleKept   = time.Hour        // how long what it said of itself is believed, by who is on her way back
	singleFresh  = time.Minute      // and before anybody is sent there, so that nobody is sent to one that is gone
	singleTries  = 300              // of one network
	mostSubject  = 255              // bytes (OpenID Connect Core section 2)
	mostGroups   = 1000
	singleClosed = "single sign-on is not set up here"
)

// Only signatures that the provider alone can make: with HS256 whoever knows our secret could, and none is no signature (RFC 8725 section 3.1).
var singleSigned = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

// linked says whose somebody is at the provider.
type linked struct {
	Issuer  string    `json:"issuer"`
	Subject string    `json:"subject"`
	Follows bool      `json:"follows,omitempty"` // the account was made by its groups, and has the roles that they say
	At      time.Time `json:"at"`                // of the last sign-in by it
}

func (l linked) key() string { return l.Issuer + "\x00" + l.Subject }

// Leaving is a way to the provider: the address to send a browser to, and the cookie that only this browser brings back.
type Leaving struct {
	URL, Cookie string
	Until       time.Time
}

// SingleLeave begins a sign-in. Session is the one whose account is to be linked; "" for signing in. State, nonce and the verifier of PKCE are made from the
// cookie by a key of this machine, so that nothing is kept here, and none of them tells another.
func (g *Gate) SingleLeave(ctx context.Context, source, session string) (l Leaving, err error) {
	if err := limit.Take(ctx, g.DB, "single sign-on from "+source, singleTries, triesFor); err != nil {
		return l, err
	}
	p, config, err := g.single(ctx, singleFresh)
	if err != nil {
		return l, err
	}
	l.Until = g.now().Add(singleFor)
	plain, _ := secret.Token()
	l.Cookie = strings.Join([]string{strconv.FormatInt(l.Until.Unix(), 10), session, plain}, ".")
	verifier := g.singleSecret("verifier", l.Cookie)
	config.Endpoint = p.Endpoint()
	l.URL = config.AuthCodeURL(g.singleSecret("state", l.Cookie), oidc.Nonce(g.singleSecret("nonce", l.Cookie)), oauth2.S256ChallengeOption(verifier))
	return l, nil
}

// singleSecret is one of the three secrets of a way to the provider.
func (g *Gate) singleSecret(purpose, cookie string) string {
	sum := g.Key.whole("single sign-on "+purpose, cookie)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// single is the provider as it described itself no longer ago than so, and our side of it. It fails with fault.Unavailable when it does not answer.
func (g *Gate) single(ctx context.Context, so time.Duration) (*oidc.Provider, *oauth2.Config, error) {
	s := g.Single
	if s == nil {
		return nil, nil, fault.New(fault.NotFound, singleClosed)
	}
	config := &oauth2.Config{ClientID: s.Client, ClientSecret: s.Secret, RedirectURL: strings.TrimSuffix(g.URL, "/") + SingleBack, Scopes: append([]string{oidc.ScopeOpenID}, s.Policy.Scopes...)}
	s.mu.Lock()
	p, found := s.provider, s.found
	s.mu.Unlock()
	if p != nil && g.now().Sub(found) < so {
		return p, config, nil
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, s.client()), singleWait)
	defer cancel()
	p, err := oidc.NewProvider(ctx, s.Issuer) // refuses one that calls itself otherwise
	if err != nil {
		return nil, nil, g.gone(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.provider, s.found = p, g.now()
	return p, config, nil
}

func (s *Single) client() *http.Client {
	c := *s.HTTP
	c.Timeout = singleWait
	return &c
}

// gone says that the provider does not answer, or not as one; the log has why.
func (g *Gate) gone(err error) error {
	args := []any{"issuer", g.Single.Issuer, "err", err}
	if fault.Of(err) == fault.Permanent { // its address is not public
		args = append(args, "mend", "name the address or its network in LIFELINE_ALLOW")
	}
	g.log().Warn("single sign-on does not answer", args...)
	return fault.New(fault.Unavailable, "single sign-on does not answer")
}

// Returning is how a browser comes back from the provider.
type Returning struct {
	Cookie  string // of [Leaving]
	State   string
	Code    string
	Issuer  string // RFC 9207; "" where the provider does not say it
	Refused string // what the provider says instead of giving a code
	Session string // the session cookie, where an account is linked
	Source  string // network she comes from
}

// SingleReturn ends a sign-in: it opens a session, or links the account of the session from which it began and gives none. It fails with fault.Unauthentic when
// what came back does not hold, with fault.Forbidden when the provider knows her and no account here is hers, with fault.Unavailable when the provider is gone.
func (g *Gate) SingleReturn(ctx context.Context, r Returning) (s Session, cookie string, err error) {
	if g.Single == nil {
		return s, "", fault.New(fault.NotFound, singleClosed)
	}
	until, rest, _ := strings.Cut(r.Cookie, ".")
	from, _, _ := strings.Cut(rest, ".")
	ends, err := strconv.ParseInt(until, 10, 64)
	switch {
	case err != nil || !SameToken(r.State, g.singleSecret("state", r.Cookie)):
		return s, "", g.refuse("single sign-on: another browser's state")
	case g.now().Unix() >= ends:
		return s, "", g.refuse("single sign-on: too late")
	case r.Issuer != "" && r.Issuer != g.Single.Issuer:
		return s, "", g.refuse("single sign-on: another issuer answers", "issuer", r.Issuer)
	case r.Refused != "" || r.Code == "":
		return s, "", g.refuse("single sign-on: the provider refused", "error", r.Refused)
	}
	if err := limit.Take(ctx, g.DB, "single sign-on "+r.State, 1, singleFor); err != nil {
		if fault.Of(err) == fault.TooMany {
			err = g.refuse("single sign-on: came back twice")
		}
		return s, "", err
	}
	who, err := g.singleClaims(ctx, r)
	if err != nil {
		return s, "", err
	}
	if from != "" {
		return s, "", g.tie(ctx, r.Session, from, who)
	}
	return g.openSingle(ctx, who)
}

// doubt refuses what the provider itself gave us. That needs somebody whom it lets in, so the log says it: its clock, or what is set here or there, is wrong.
func (g *Gate) doubt(reason string, args ...any) error {
	return g.refuseAt(slog.LevelWarn, "single sign-on: "+reason, args...)
}

// claims are what the provider says of somebody.
type claims struct {
	Subject   string
	Email     string
	Name      string
	Preferred string
	Groups    []string
	told      map[string]json.RawMessage
}

// singleClaims exchanges the code and judges the ID token (OpenID Connect Core section 3.1.3.7): signature, issuer, audience, authorised party, end, nonce.
func (g *Gate) singleClaims(ctx context.Context, r Returning) (c claims, err error) {
	p, config, err := g.single(ctx, singleKept)
	if err != nil {
		return c, err
	}
	config.Endpoint = p.Endpoint()
	var about struct {
		Auth     []string `json:"token_endpoint_auth_methods_supported"`
		UserInfo string   `json:"userinfo_endpoint"`
	}
	if err := p.Claims(&about); err != nil {
		return c, g.gone(err)
	}
	config.Endpoint.AuthStyle = oauth2.AuthStyleInHeader // what holds where it does not say; trying both would spend the code
	if len(about.Auth) > 0 && !slices.Contains(about.Auth, "client_secret_basic") {
		config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, g.Single.client()), 2*singleWait)
	defer cancel()
	token, err := config.Exchange(ctx, r.Code, oauth2.VerifierOption(g.singleSecret("verifier", r.Cookie)))
	var answered *oauth2.RetrieveError
	switch {
	case errors.As(err, &answered) && slices.Contains([]string{"invalid_client", "unauthorized_client"}, answered.ErrorCode): // nobody is let in until our own setting is right
		return c, g.doubt("the provider does not know us: look at the client and the secret in LIFELINE_OIDC", "err", answered.ErrorCode)
	case errors.As(err, &answered) && answered.Response.StatusCode < 500:
		return c, g.refuse("single sign-on: the code does not hold", "err", answered.ErrorCode)
	case err != nil:
		return c, g.gone(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := p.Verifier(&oidc.Config{ClientID: g.Single.Client, SupportedSigningAlgs: singleSigned, Now: g.now}).Verify(ctx, raw)
	if err != nil {
		return c, g.doubt("the token does not hold", "err", err)
	}
	if !SameToken(id.Nonce, g.singleSecret("nonce", r.Cookie)) {
		return c, g.doubt("a token of another sign-in")
	}
	if err := id.Claims(&c.told); err != nil {
		return c, g.doubt("claims that cannot be read", "err", err)
	}
	if azp := c.text("azp"); azp != g.Single.Client && (azp != "" || len(id.Audience) > 1) {
		return c, g.doubt("a token for another client", "azp", azp)
	}
	if c.Subject = id.Subject; c.Subject == "" || len(c.Subject) > mostSubject {
		return c, g.doubt("no subject")
	}
	if len(g.Single.Policy.Roles) > 0 && about.UserInfo != "" && (c.told["email"] == nil || c.told[g.Single.Policy.Claim] == nil) {
		if err := g.userInfo(ctx, p, token, &c); err != nil {
			return c, err
		}
	}
	c.Email, c.Name, c.Preferred = c.text("email"), c.text("name"), c.text("preferred_username")
	c.Groups = c.list(g.Single.Policy.Claim)
	return c, nil
}

// userInfo adds what the provider tells beside the token; many keep addresses and groups for it. It counts for the same subject only (section 5.3.2).
func (g *Gate) userInfo(ctx context.Context, p *oidc.Provider, token *oauth2.Token, c *claims) error {
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return g.gone(err)
	}
	if info.Subject != c.Subject {
		return g.doubt("facts about somebody else", "subject", info.Subject)
	}
	more := map[string]json.RawMessage{}
	if err := info.Claims(&more); err != nil {
		return g.doubt("claims that cannot be read", "err", err)
	}
	for name, value := range more {
		if c.told[name] == nil {
			c.told[name] = value
		}
	}
	return nil
}

// text is a claim that is a string, "" when it is none.
func (c claims) text(name string) (s string) {
	_ = json.Unmarshal(c.told[name], &s) // what is no text says nothing
	return s
}

// list is a claim that is a list of strings, or one.
func (c claims) list(name string) (all []string) {
	if one := c.text(name); one != "" {
		return []string{one}
	}
	_ = json.Unmarshal(c.told[name], &all) // as above
	return all[:min(len(all), mostGroups)]
}

// rolesOf is what groups make of somebody.
func (p Policy) rolesOf(groups []string) (roles []Role) {
	for _, m := range p.Roles {
		if slices.Contains(groups, m.Group) && !slices.Contains(roles, m.Role) && len(roles) < mostRoles {
			roles = append(roles, m.Role)
		}
	}
	return roles
}

func bySubject(tx *store.Tx, l linked) (store.Rec[Staff], error) {
	return staff.First(tx, store.Query{Index: "subject", Equal: []any{l.key()}})
}

// openSingle opens a session of the account that is linked to who came, or of the one that her groups make. No second factor was seen.
func (g *Gate) openSingle(ctx context.Context, who claims) (s Session, cookie string, err error) {
	now := g.now()
	roles := g.Single.Policy.rolesOf(who.Groups)
	var refused error
	err = retry(func() error {
		refused = nil
		return g.DB.Update(ctx, store.Act{By: "system:sign-in", Verb: "session.open"}, func(tx *store.Tx) error {
			rec, err := bySubject(tx, linked{Issuer: g.Single.Issuer, Subject: who.Subject})
			if fault.Of(err) == fault.NotFound {
				rec, err = g.newcomer(tx, who, roles, now)
			}
			if fault.Of(err) == fault.Forbidden {
				refused = err
				return store.ErrNothing
			}
			if err != nil {
				return err
			}
			l := *rec.Value.Single
			l.At = now
			rec.Value.Single = &l
			if why := rec.Value.shut(now); why != "" && !(l.Follows && why == noRoles) {
				refused = g.refuse("single sign-on: "+why, "staff", rec.ID)
				return store.ErrNothing
			}
			if l.Follows && !slices.Equal(rec.Value.Roles, roles) {
				rec.Value.Roles = roles
				if err := endSessions(tx, rec.ID, "", now, time.Time{}); err != nil {
					return err
				}
			}
			if len(rec.Value.Roles) == 0 { // she left the groups: what she had open has ended
				refused = fault.New(fault.Forbidden, "single sign-on knows you, and no group of yours has a role here")
				tx.On(rec.ID)
				return staff.Put(tx, rec.ID, rec.Value, rec.Version)
			}
			s, cookie, err = g.openFor(tx, rec, rec.Value.Login, nil, now)
			return err
		})
	})
	if refused != nil {
		if fault.Of(refused) == fault.Forbidden { // the page says the same of each of these reasons
			g.log().Info("single sign-on opens nothing", "reason", refused, "subject", who.Subject)
		}
		return Session{}, "", refused
	}
	return s, cookie, err
}

// newcomer is the account of somebody whom no account is linked to, made of what her groups give. One with the same address is never taken for hers.
func (g *Gate) newcomer(tx *store.Tx, who claims, roles []Role, now time.Time) (rec store.Rec[Staff], err error) {
	if len(roles) == 0 {
		return rec, fault.New(fault.Forbidden, "single sign-on knows you, and no account here is linked to that")
	}
	if n, err := staff.Count(tx, store.Query{Index: "account", Equal: []any{true}}); err != nil {
		return rec, err
	} else if n == 0 {
		return rec, fault.New(fault.Forbidden, "nobody has an account here yet; the first is made on the machine, not by another system")
	}
	p := Profile{Email: who.Email, Roles: roles}
	if f := p.bad(now); len(f) > 0 {
		return rec, fault.New(fault.Forbidden, "single sign-on says nothing here that an account can be made of: %s %s", f[0].Field, f[0].Reason)
	}
	if _, err := byEmail(tx, p.Email); err == nil {
		return rec, fault.New(fault.Forbidden, "an account here has your address and is not linked to single sign-on: sign in with it, and link it under My account")
	} else if !notOurs(err) {
		return rec, err
	}
	name, err := cleanName(cmp.Or(who.Name, who.Preferred, who.Email))
	if err != nil {
		name = p.Email
	}
	if _, err := staff.First(tx, store.Query{Index: "name", Equal: []any{FoldName(name)}}); err == nil { // a namesake, who is somebody else
		if name, err = cleanName(fmt.Sprintf("%.40s (%.36s)", name, p.Email)); err != nil {
			name = p.Email
		}
		if _, err := staff.First(tx, store.Query{Index: "name", Equal: []any{FoldName(name)}}); err == nil {
			return rec, fault.New(fault.Forbidden, "somebody else here has your name")
		}
	}
	rec.ID = staff.NewID()
	rec.Value = Staff{Name: name, Profile: p, Single: &linked{Issuer: g.Single.Issuer, Subject: who.Subject, Follows: true, At: now}}
	return rec, nil
}

// tie links the account of a session to who came back from the provider in the same browser.
func (g *Gate) tie(ctx context.Context, cookie, from string, who claims) error {
	id, s, err := g.session(ctx, cookie)
	if err != nil {
		return err
	}
	if id != from {
		return g.refuse("single sign-on: another session", "session", id)
	}
	_, err = g.withStaff(ctx, store.Act{By: s.Staff, Verb: "staff.link"}, s.Staff, 0, func(tx *store.Tx, st *Staff, now time.Time) error {
		if st.closed(now) != "" {
			return fault.New(fault.Forbidden, "only an account with a password of its own is linked")
		}
		l := linked{Issuer: g.Single.Issuer, Subject: who.Subject, At: now}
		if other, err := bySubject(tx, l); err == nil && other.ID != s.Staff {
			return fault.New(fault.Conflict, "this sign-in belongs to another account here")
		} else if err != nil && !notOurs(err) {
			return err
		}
		st.Single = &l
		return g.wayIn(tx, s.Staff, *st, s.Staff, WayInSingle)
	})
	return err
}

// Unlink takes single sign-on off the account of who asks, who keeps her password; also after a restore from before it.
func (g *Gate) Unlink(ctx context.Context, p Person) error {
	_, err := g.withStaff(ctx, store.Act{By: p.ID, Verb: "staff.unlink"}, p.ID, 0, func(tx *store.Tx, st *Staff, now time.Time) error {
		if st.Login == nil {
			return fault.New(fault.Conflict, "it is your only way in")
		}
		st.Single = nil
		if err := g.wayIn(tx, p.ID, *st, p.ID, WayInNotSingle); err != nil {
			return err
		}
		return tx.Journal(factAccount, p.ID, accountFact{At: now, Unlinked: true})
	})
	return err
}
