package auth

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// tokenType is the typ of our tokens, so that no other JWT is ever taken for one (RFC 8725 section 3.11).
const tokenType = "lifeline-access+jwt"

const (
	maxToken = 2048            // bytes of a JWT that are looked at
	leeway   = 5 * time.Second // between the clocks of replicas; the store's own expiry has none
)

// What a Pass is for.
const (
	ForPerson     = "person"     // a JWT of a person
	ForAutomation = "automation" // a JWT of a program
	ForLink       = "link"       // a sign-in link, good for one session
	ForEnrol      = "enrol"      // an enrolment link, good for one account
	ForFeed       = "calendar"   // the address of somebody's calendar
)

// Pass is what the store holds of a token or sign-in link, and the only source of its rights.
type Pass struct {
	Staff    string     `json:"staff"`
	Name     string     `json:"name"`
	Role     Role       `json:"role"`
	For      string     `json:"for"`
	Secret   []byte     `json:"secret"` // hash of what the jti or link carries
	Issued   time.Time  `json:"issued"`
	IssuedBy string     `json:"issued_by"`
	Expires  time.Time  `json:"expires"`
	Lasts    int64      `json:"lasts,omitempty"` // links: how long the session may last, in seconds
	LastUsed *time.Time `json:"last_used,omitempty"`
	Used     *time.Time `json:"used,omitempty"` // links: when it opened its session
	Revoked  *time.Time `json:"revoked,omitempty"`
}

var passes = store.Table[Pass]{
	Kind: store.Kind{Name: "token", Prefix: "tok", Schema: 1, Indexes: []store.Index{
		{Name: "staff", Fields: []store.Field{{Name: "staff", Type: store.Text}}},
		{Name: "expires", Fields: []store.Field{{Name: "expires", Type: store.Time}}},
	}},
	Tuples: func(p Pass) store.Tuples { return store.Tuples{"staff": {p.Staff}, "expires": {p.Expires}} },
}

// Grantee is whom a token or link is for.
type Grantee struct {
	Role Role
	Name string
	TTL  time.Duration // 0: the most for the role, 12 h for people and 720 h for automation
}

// Token is an issued token. The JWT is shown once and not kept.
type Token struct {
	ID      string
	JWT     string
	Expires time.Time
}

// check completes g and says what is wrong with it.
func (g Grantee) check() (Grantee, error) {
	role, err := ParseRole(string(g.Role))
	if err != nil {
		return g, err
	}
	g.Role = role
	if g.Name, err = cleanName(g.Name); err != nil {
		return g, err
	}
	most := MaxPerson
	if g.Role == Automation {
		most = MaxAutomation
	}
	if g.TTL == 0 {
		g.TTL = most
	}
	switch {
	case g.TTL < time.Second:
		return g, fault.BadField("ttl", "must be at least one second")
	case g.TTL > most:
		return g, fault.BadField("ttl", "is longer than %d hours, the most for the role %s", int(most.Hours()), g.Role)
	}
	return g, nil
}

// Issue makes a token. Whoever calls it has seen to it that by may.
func (g *Gate) Issue(ctx context.Context, by string, to Grantee) (Token, error) {
	to, err := to.check()
	if err != nil {
		return Token{}, err
	}
	if len(g.Key.private) != ed25519.PrivateKeySize {
		return Token{}, errors.New("issue a token: there is no signing key")
	}
	plain, hash := secret.Token()
	now := g.now().Truncate(time.Second) // a JWT's times are whole seconds
	p := Pass{
		Name: to.Name, Role: to.Role, For: ForPerson, Secret: hash,
		Issued: now, IssuedBy: by, Expires: now.Add(to.TTL.Truncate(time.Second)),
	}
	if to.Role == Automation {
		p.For = ForAutomation
	}
	id, staffID, err := g.keep(ctx, store.Act{By: by, Verb: "token.issue"}, p)
	if err != nil {
		return Token{}, err
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.RegisteredClaims{
		Issuer: g.issuer(), Audience: jwt.ClaimStrings{g.audience()}, Subject: staffID, ID: id + "." + plain,
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(p.Expires),
	})
	t.Header["typ"], t.Header["kid"] = tokenType, g.Key.ID
	signed, err := t.SignedString(g.Key.private)
	if err != nil {
		return Token{}, fmt.Errorf("sign token %s: %w", id, err)
	}
	return Token{ID: id, JWT: signed, Expires: p.Expires}, nil
}

// LinkPath and LinkParam make up a sign-in link: baseURL + LinkPath + "?" + LinkParam + "=" + secret. GET there shows a button and
// changes nothing, because mail filters follow links; the button POSTs the secret, and that is handed to [Gate.Open].
const (
	LinkPath  = "/desk/sign-in"
	LinkParam = "link"
)

// Link makes a sign-in link for a browser, good once and for 15 minutes. The session that it opens lasts for to.TTL.
func (g *Gate) Link(ctx context.Context, by string, to Grantee, baseURL string) (string, error) {
	to, err := to.check()
	if err != nil {
		return "", err
	}
	if to.Role == Automation {
		return "", fault.BadField("role", "automation has no browser; issue a token instead of a link")
	}
	plain, hash := secret.Token()
	now := g.now()
	id, _, err := g.keep(ctx, store.Act{By: by, Verb: "token.link"}, Pass{
		Name: to.Name, Role: to.Role, For: ForLink, Secret: hash, Issued: now, IssuedBy: by,
		Expires: now.Add(LinkFor), Lasts: int64(to.TTL / time.Second),
	})
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(baseURL, "/") + LinkPath + "?" + LinkParam + "=" + url.QueryEscape(id+"."+plain), nil
}

func (g *Gate) keep(ctx context.Context, act store.Act, p Pass) (id, staffID string, err error) {
	id = passes.NewID()
	err = retry(func() error {
		return g.DB.Update(ctx, act, func(tx *store.Tx) (err error) {
			if staffID, err = enroll(tx, p.Name, p.For); err != nil {
				return err
			}
			p.Staff = staffID
			tx.On(id, staffID)
			return passes.Put(tx, id, p, 0)
		})
	})
	return id, staffID, err
}

// retry does again what lost a race: two tokens for a new name, two requests touching one session.
func retry(do func() error) (err error) {
	for range 4 {
		if err = do(); fault.Of(err) != fault.Exists && fault.Of(err) != fault.Stale {
			return err
		}
	}
	return err
}

func (g *Gate) issuer() string {
	if g.Issuer == "" {
		return "lifeline"
	}
	return g.Issuer
}

func (g *Gate) audience() string {
	if g.Audience == "" {
		return "lifeline-api"
	}
	return g.Audience
}

// Verify recognises who sent a JWT. It fails with fault.Unauthentic, always in the same words, unless our key signed it with EdDSA for
// us, its times hold, and its jti stands unrevoked in the store; or with the store's own error when that cannot be asked.
func (g *Gate) Verify(ctx context.Context, token string) (Person, error) {
	claims, err := g.parse(token)
	if err != nil {
		return Person{}, g.refuse("not a token of ours", "err", err)
	}
	id, plain, _ := strings.Cut(claims.ID, ".")
	p, err := g.pass(ctx, id)
	if notOurs(err) {
		g.log().Warn("a token that our key signed is not in the store: either it was issued before a restore, or the key is stolen", "token", id)
		return Person{}, g.refuse("not in the store", "token", id)
	}
	if err != nil {
		return Person{}, err
	}
	now := g.now()
	switch {
	case p.For != ForPerson && p.For != ForAutomation:
		return Person{}, g.refuse("a link is no token", "token", id)
	case !secret.Match(plain, p.Secret) || claims.Subject != p.Staff:
		g.log().Warn("a token that our key signed is not the one that was issued: the key may be stolen", "token", id)
		return Person{}, g.refuse("not what was issued", "token", id)
	case p.Revoked != nil:
		return Person{}, g.refuse("revoked", "token", id)
	case !now.Before(p.Expires):
		return Person{}, g.refuse("expired", "token", id)
	}
	return Person{ID: p.Staff, Name: p.Name, Role: p.Role, Token: id, Expires: p.Expires}, nil
}

// parse reads a JWT and checks everything about it that needs no store.
func (g *Gate) parse(token string) (*jwt.RegisteredClaims, error) {
	if len(token) > maxToken {
		return nil, errors.New("too long")
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(), jwt.WithTimeFunc(g.now), jwt.WithLeeway(leeway),
		jwt.WithIssuer(g.issuer()), jwt.WithAudience(g.audience()), jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt(),
	)
	claims := &jwt.RegisteredClaims{}
	t, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		switch {
		case len(t.Header) != 3: // alg, typ, kid; no crit, jku, jwk or x5u is ever looked at
			return nil, errors.New("unexpected header")
		case t.Header["typ"] != tokenType:
			return nil, errors.New("wrong typ")
		case t.Header["kid"] != g.Key.ID:
			return nil, errors.New("unknown kid")
		case len(g.Key.private) != ed25519.PrivateKeySize:
			return nil, errors.New("no key")
		}
		return g.Key.Public(), nil
	})
	if err != nil {
		return nil, err
	}
	if !t.Valid || claims.IssuedAt == nil || claims.ID == "" || len(claims.Audience) != 1 {
		return nil, errors.New("a claim is missing")
	}
	return claims, nil
}

// mostSeen bounds the memory of confirmed tokens.
const mostSeen = 4096

// pass reads a token from the store, or from memory when the store confirmed it less than SeenFor ago.
func (g *Gate) pass(ctx context.Context, id string) (Pass, error) {
	now := g.now()
	g.mu.Lock()
	s, ok := g.seen[id]
	g.mu.Unlock()
	if age := now.Sub(s.at); ok && age >= 0 && age < SeenFor {
		return s.pass, nil
	}
	var p Pass
	err := g.DB.View(ctx, func(tx *store.Tx) (err error) {
		p, _, err = passes.Get(tx, id)
		return err
	})
	if err != nil {
		return Pass{}, err
	}
	g.mu.Lock()
	if g.seen == nil || len(g.seen) >= mostSeen {
		g.seen = map[string]sighting{}
	}
	g.seen[id] = sighting{p, now} // as of before the read, so that a revocation meanwhile is not outlived
	g.mu.Unlock()
	if p.Revoked == nil && now.Before(p.Expires) && (p.LastUsed == nil || now.Sub(*p.LastUsed) >= touchToken) {
		g.touchPass(ctx, id, now)
	}
	return p, nil
}

// touchPass notes that a token is in use, so that one that nobody needs can be found. Losing the note harms nobody.
func (g *Gate) touchPass(ctx context.Context, id string, now time.Time) {
	err := g.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		p, m, err := passes.Get(tx, id)
		if err != nil || p.LastUsed != nil && now.Sub(*p.LastUsed) < touchToken {
			return err
		}
		p.LastUsed = &now
		return passes.Put(tx, id, p, m.Version)
	})
	if err != nil && fault.Of(err) != fault.Stale {
		g.log().Warn("a token's last use was not noted", "token", id, "err", err)
	}
}

func (g *Gate) forget(id string) {
	g.mu.Lock()
	delete(g.seen, id)
	g.mu.Unlock()
}
