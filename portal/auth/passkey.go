package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/secret"
)

// passkey is a key pair whose private half an authenticator of its owner's keeps (Web Authentication Level 3). The authenticator looks at its owner, by a PIN
// or a finger, before it signs, and signs for our address alone: so it stands for password and second factor at once, and no other site can ask for it. It
// stands beside them and never instead: it goes with them, and who has no login of her own has none.
type passkey struct {
	ID     []byte     `json:"id"`
	Key    []byte     `json:"key"` // the public half, COSE (RFC 9052)
	Name   string     `json:"name"`
	Added  time.Time  `json:"added"`
	Used   *time.Time `json:"used,omitempty"`
	Count  uint32     `json:"count,omitempty"`  // of its signatures, as it says; 0: it does not count
	Synced bool       `json:"synced,omitempty"` // it may be on several devices of its owner's
	Ways   []string   `json:"ways,omitempty"`   // by which a browser reaches it: usb, nfc, internal and so on
	Barred *time.Time `json:"barred,omitempty"` // since when it opens nothing, because its count went back
}

const (
	passkeyFor    = 5 * time.Minute // from the question until the answer
	mostPasskeys  = 10              // of one account
	mostAnswer    = 64 << 10        // bytes of what an authenticator says
	wentBack      = "the passkey's count went back"
	passkeyClosed = "passkeys need https and a name: open the desk at its https address, or at http://localhost on the machine itself; whoever runs Lifeline sets the address as LIFELINE_URL"
)

// PasskeyPath is where a passkey signs in: GET gives the question, POST takes the answer.
const PasskeyPath = "/desk/sign-in/passkey"

// Asking is what an authenticator is asked for.
type Asking string

// What it is asked for.
const (
	ToSignIn Asking = "sign-in"
	ToProve  Asking = "prove" // that somebody signed in is there in person
	ToAdd    Asking = "add"   // for a new passkey
)

// Asked is a question to an authenticator: what a script hands the browser, and the cookie that only this browser brings back with the answer.
type Asked struct {
	Options any
	Cookie  string
	Until   time.Time
}

// Answered is what an authenticator said, as the browser gives it (JSON), with the cookie of its question.
type Answered struct {
	Cookie     string
	Credential []byte
	Source     string // network she comes from
}

// Passkey is what its owner and those who manage staff see of one.
type Passkey struct {
	ID     string     `json:"id"`
	Name   string     `json:"name"`
	Added  time.Time  `json:"added_at"`
	Used   *time.Time `json:"last_used_at,omitempty"`
	Synced bool       `json:"synced"`
	Barred bool       `json:"barred"` // its count went back: there may be a copy of it, and it opens nothing
}

// handle names a passkey to people; what the authenticator calls it may be long.
func (p passkey) handle() string {
	sum := sha256.Sum256(p.ID)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// TakesPasskeys says whether browsers can have passkeys for our address: they take them for names alone, and from https or the machine itself.
func (g *Gate) TakesPasskeys() bool {
	_, err := g.relying()
	return err == nil
}

// relying is our side of it: the name that passkeys are for is the host of the public address, and they are taken from exactly that origin.
func (g *Gate) relying() (*webauthn.WebAuthn, error) {
	u, err := url.Parse(g.URL)
	if err != nil || u.Scheme != "https" && u.Hostname() != "localhost" {
		return nil, fault.New(fault.Conflict, passkeyClosed)
	}
	limits := webauthn.TimeoutConfig{Timeout: passkeyFor}
	rp, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: u.Hostname(), RPOrigins: []string{u.Scheme + "://" + u.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(), UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: limits, Registration: limits},
	})
	if err != nil { // an address by number has no passkeys
		return nil, fault.New(fault.Conflict, passkeyClosed)
	}
	return rp, nil
}

// passkeySigns are the signatures that every authenticator can make one of: EdDSA, ES256, RS256.
func passkeySigns() []protocol.CredentialParameter {
	return webauthn.CredentialParametersRecommendedL3()
}

// holder shows an account to the library.
type holder struct {
	id string
	Staff
}

func (h holder) WebAuthnID() []byte          { return []byte(h.id) }
func (h holder) WebAuthnName() string        { return h.Email }
func (h holder) WebAuthnDisplayName() string { return h.Name }

func (h holder) WebAuthnCredentials() (all []webauthn.Credential) {
	if h.Login == nil {
		return nil
	}
	for _, p := range h.Login.Passkeys {
		c := webauthn.Credential{ID: p.ID, PublicKey: p.Key, Flags: webauthn.CredentialFlags{BackupEligible: p.Synced}}
		for _, way := range p.Ways {
			c.Transport = append(c.Transport, protocol.AuthenticatorTransport(way))
		}
		all = append(all, c)
	}
	return all
}

// challenge is what an authenticator has to sign: made from the cookie by a key of this machine, so that nothing is kept until it comes back, and who knows
// the one does not know the other.
func (g *Gate) challenge(cookie string) []byte {
	sum := g.Key.whole("passkey challenge", cookie)
	return sum[:]
}

// AskPasskey begins: it gives the question for who signs in, or for who is signed in. Asking for a new passkey takes a fresh second factor.
func (g *Gate) AskPasskey(ctx context.Context, what Asking, p Person) (a Asked, err error) {
	rp, err := g.relying()
	if err != nil {
		return a, err
	}
	var who holder
	if what != ToSignIn {
		if who, err = g.holder(ctx, p); err != nil {
			return a, err
		}
	}
	plain, _ := secret.Token()
	a.Until = g.now().Add(passkeyFor)
	a.Cookie = strings.Join([]string{strconv.FormatInt(a.Until.Unix(), 10), string(what), p.Session, plain}, ".")
	challenge := g.challenge(a.Cookie)
	switch what {
	case ToSignIn:
		a.Options, _, err = rp.BeginDiscoverableLogin(webauthn.WithChallenge(challenge))
	case ToProve:
		if len(who.Login.Passkeys) == 0 {
			return a, fault.New(fault.Conflict, "you have no passkey")
		}
		a.Options, _, err = rp.BeginLogin(who, webauthn.WithChallenge(challenge))
	case ToAdd:
		if err := g.justProved(p); err != nil {
			return a, err
		}
		a.Options, _, err = rp.BeginRegistration(who, webauthn.WithCredentialParameters(passkeySigns()), webauthn.WithExclusions(webauthn.Credentials(who.WebAuthnCredentials()).CredentialDescriptors()),
			func(o *protocol.PublicKeyCredentialCreationOptions) error {
				o.Challenge = challenge
				return nil
			})
	default:
		err = fault.BadField("for", "is none of prove, add")
	}
	return a, err
}

// holder is the account of who is signed in, who has a login of her own.
func (g *Gate) holder(ctx context.Context, p Person) (who holder, err error) {
	who.id = p.ID
	err = g.DB.View(ctx, func(tx *store.Tx) (err error) {
		who.Staff, _, err = staff.Get(tx, p.ID)
		return err
	})
	if notOurs(err) || err == nil && who.closed(g.now()) != "" {
		err = fault.New(fault.Forbidden, "only who has an account with a password of her own has passkeys")
	}
	return who, err
}

// awaited is what an answer has to hold to be one to our question: for this, from this browser and session, in time; or why it cannot be.
func (g *Gate) awaited(cookie string, what Asking, session string) (s webauthn.SessionData, why string) {
	part := strings.SplitN(cookie, ".", 4)
	if len(part) != 4 || part[1] != string(what) || part[2] != session {
		return s, "another browser's question"
	}
	if ends, err := strconv.ParseInt(part[0], 10, 64); err != nil || g.now().Unix() >= ends {
		return s, "too late"
	}
	return webauthn.SessionData{Challenge: base64.RawURLEncoding.EncodeToString(g.challenge(cookie)), UserVerification: protocol.VerificationRequired}, ""
}

// readAssertion reads an answer, and whose it says it is.
func readAssertion(said []byte) (a *protocol.ParsedCredentialAssertionData, id string, err error) {
	if len(said) > mostAnswer {
		return nil, "", fault.New(fault.TooLarge, "too long")
	}
	a, err = protocol.ParseCredentialRequestResponseBytes(said)
	if err != nil {
		return nil, "", err
	}
	if len(a.Response.UserHandle) > protocol.MaximumUserHandleLength {
		return nil, "", fault.New(fault.TooLarge, "a name that no account has")
	}
	return a, string(a.Response.UserHandle), nil
}

// SignInByPasskey opens a session for who answered, as password and second factor together do. Its refusals are SignIn's, and are counted as wrong
// passwords are.
func (g *Gate) SignInByPasskey(ctx context.Context, r Answered) (s Session, cookie string, err error) {
	rp, err := g.relying()
	if err != nil {
		return s, "", err
	}
	asked, why := g.awaited(r.Cookie, ToSignIn, "")
	if why != "" {
		return s, "", g.refuse("passkey: " + why)
	}
	said, id, err := readAssertion(r.Credential)
	if err != nil {
		return s, "", g.refuse("passkey: cannot be read", "err", err)
	}
	who := holder{id: id}
	keys := []string{"sign-in from " + r.Source}
	err = g.DB.View(ctx, func(tx *store.Tx) (err error) {
		if staff.CheckID(id) == nil {
			who.Staff, _, err = staff.Get(tx, id)
			if err != nil && !notOurs(err) {
				return err
			}
			if err == nil {
				keys = signInLimits(id, r.Source, who.Login.knows(r.Source))
			}
		}
		return mayTry(tx, keys)
	})
	if err != nil {
		return s, "", err
	}
	asked.UserID = who.WebAuthnID()
	if _, err := rp.ValidateLogin(who, asked, said); err != nil {
		why = "passkey: " + err.Error()
	} else if s, cookie, why, err = g.admitPasskey(ctx, who.id, asked.Challenge, said, r.Source); err != nil || why == "" {
		return s, cookie, err
	}
	if err := g.missed(ctx, keys); err != nil {
		return Session{}, "", err
	}
	return Session{}, "", g.refuseAt(slog.LevelInfo, why, "staff", who.id)
}

// admitPasskey opens a session for whose passkey answered rightly, if it may; else it says why not.
func (g *Gate) admitPasskey(ctx context.Context, id, challenge string, said *protocol.ParsedCredentialAssertionData, source string) (s Session, cookie, why string, err error) {
	s, cookie, why, err = g.letIn(ctx, id, source, func(tx *store.Tx, st Staff, now time.Time) (*login, string, error) {
		next, why := st.Login.signed(said, now)
		if why != "" {
			return nil, why, nil
		}
		err := answerOnce(tx, challenge)
		if fault.Of(err) == fault.TooMany {
			return nil, "passkey: answered already", nil
		}
		return next, "", err
	})
	if err == nil && why == wentBack {
		err = g.bar(ctx, id, said.RawID)
	}
	return s, cookie, why, err
}

// answerOnce takes a question in the transaction of what its answer does; it fails with fault.TooMany when it was answered before.
func answerOnce(tx *store.Tx, challenge string) error {
	free, err := limit.Look(tx, "passkey "+challenge, limit.Rule{N: 1, Per: passkeyFor})
	if err != nil {
		return err
	}
	return free.In(tx)
}

// signed is the login after one of its passkeys answered, or why that counts for nothing. A count that does not rise says that two keep the same key (Web
// Authentication Level 3, section 6.1.1).
func (l *login) signed(said *protocol.ParsedCredentialAssertionData, now time.Time) (next *login, why string) {
	count := said.Response.AuthenticatorData.Counter
	why = "passkey: removed meanwhile"
	next = l.with(said.RawID, func(p *passkey) {
		switch {
		case p.Barred != nil:
			why = "passkey: barred"
		case count <= p.Count && (count != 0 || p.Count != 0):
			why = wentBack
		default:
			why, p.Count, p.Used = "", count, &now
		}
	})
	return next, why
}

// with is the login with one of its passkeys changed.
func (l *login) with(id []byte, change func(*passkey)) *login {
	next := *l
	next.Passkeys = slices.Clone(l.Passkeys)
	for i := range next.Passkeys {
		if bytes.Equal(next.Passkeys[i].ID, id) {
			change(&next.Passkeys[i])
		}
	}
	return &next
}

// without is the login without one of its passkeys.
func (l *login) without(gone func(passkey) bool) *login {
	next := *l
	next.Passkeys = slices.DeleteFunc(slices.Clone(l.Passkeys), gone)
	return &next
}

// bar shuts out a passkey whose count went back, whoever holds it, also after a restore from before it, and tells who has to know: one of two is not its owner.
func (g *Gate) bar(ctx context.Context, id string, key []byte) error {
	g.log().Warn("a passkey's count went back: there may be a copy of it, and it opens nothing now", "staff", id)
	_, err := g.withStaff(ctx, store.Act{By: "system:sign-in", Verb: "passkey.barred"}, id, 0, func(tx *store.Tx, st *Staff, now time.Time) error {
		if st.Login == nil {
			return store.ErrNothing
		}
		st.Login = st.Login.with(key, func(p *passkey) { p.Barred = &now })
		if g.Copied != nil {
			if err := g.Copied(tx, id); err != nil {
				return err
			}
		}
		if err := g.tellOwner(tx, *st, WayIn{Staff: id, What: WayInBarredKey, By: ByLifeline}); err != nil {
			return err
		}
		return tx.Journal(factPasskey, id, passkeyFact{Key: key})
	})
	return err
}

// ProveByPasskey renews a session as [Gate.Prove] does, by a passkey of hers instead of a code.
func (g *Gate) ProveByPasskey(ctx context.Context, cookie string, r Answered) (Session, string, error) {
	no := fault.BadField("passkey", "was not taken; try again, or type a code of your app")
	id, old, err := g.session(ctx, cookie)
	if err != nil {
		return Session{}, "", err
	}
	if err := limit.Take(ctx, g.DB, "prove "+old.Staff, triesKnown, triesFor); err != nil {
		return Session{}, "", err
	}
	rp, err := g.relying()
	if err != nil {
		return Session{}, "", err
	}
	asked, why := g.awaited(r.Cookie, ToProve, id)
	if why != "" {
		g.log().Debug("passkey not taken", "reason", why, "session", id)
		return Session{}, "", no
	}
	said, _, err := readAssertion(r.Credential)
	if err != nil {
		g.log().Debug("passkey not taken", "reason", err, "session", id)
		return Session{}, "", no
	}
	who, err := g.holder(ctx, old.person(id))
	if err != nil {
		return Session{}, "", err
	}
	asked.UserID = who.WebAuthnID()
	if _, err := rp.ValidateLogin(who, asked, said); err != nil {
		g.log().Debug("passkey not taken", "reason", err, "session", id)
		return Session{}, "", no
	}
	s, value, err := g.renew(ctx, cookie, func(tx *store.Tx, s *Session, now time.Time) error {
		st, m, err := staff.Get(tx, s.Staff)
		if err != nil {
			return err
		}
		if why = st.closed(now); why == "" {
			st.Login, why = st.Login.signed(said, now)
		}
		if why != "" {
			return no
		}
		if err := answerOnce(tx, asked.Challenge); fault.Of(err) == fault.TooMany {
			return no
		} else if err != nil {
			return err
		}
		s.Proved = &now
		return staff.Put(tx, s.Staff, st, m.Version)
	})
	if why == wentBack {
		if err := g.bar(ctx, old.Staff, said.RawID); err != nil {
			return Session{}, "", err
		}
	}
	return s, value, err
}

// AddPasskey gives who is signed in, and has just given her second factor, one more passkey.
func (g *Gate) AddPasskey(ctx context.Context, p Person, name string, r Answered) error {
	if err := g.justProved(p); err != nil {
		return err
	}
	name, err := cleanName(name)
	if err != nil {
		return fault.BadField("passkey_name", "is missing, longer than %d bytes, or has a character that nobody can see", maxName)
	}
	rp, err := g.relying()
	if err != nil {
		return err
	}
	no := fault.BadField("passkey", "was not taken; try again")
	asked, why := g.awaited(r.Cookie, ToAdd, p.Session)
	if why != "" || len(r.Credential) > mostAnswer {
		g.log().Debug("passkey not taken", "reason", why, "session", p.Session)
		return no
	}
	who, err := g.holder(ctx, p)
	if err != nil {
		return err
	}
	asked.UserID, asked.CredParams = who.WebAuthnID(), passkeySigns()
	var made *webauthn.Credential
	said, err := protocol.ParseCredentialCreationResponseBytes(r.Credential)
	if err == nil {
		made, err = rp.CreateCredential(who, asked, said)
	}
	if err != nil {
		g.log().Debug("passkey not taken", "reason", err, "session", p.Session)
		return no
	}
	_, err = g.withStaff(ctx, store.Act{By: p.ID, Verb: "passkey.add"}, p.ID, 0, func(tx *store.Tx, st *Staff, now time.Time) error {
		switch {
		case st.closed(now) != "":
			return fault.New(fault.Forbidden, "only who has an account with a password of her own has passkeys")
		case len(st.Login.Passkeys) >= mostPasskeys:
			return fault.New(fault.Conflict, "you have %d passkeys, and more are not kept; remove one first", mostPasskeys)
		case slices.ContainsFunc(st.Login.Passkeys, func(k passkey) bool { return bytes.Equal(k.ID, made.ID) }):
			return fault.New(fault.Conflict, "you have this passkey already")
		}
		if err := answerOnce(tx, asked.Challenge); fault.Of(err) == fault.TooMany {
			return no
		} else if err != nil {
			return err
		}
		k := passkey{ID: made.ID, Key: made.PublicKey, Name: name, Added: now, Count: made.Authenticator.SignCount, Synced: made.Flags.BackupEligible}
		for _, way := range made.Transport[:min(len(made.Transport), 8)] {
			if len(way) <= 20 {
				k.Ways = append(k.Ways, string(way))
			}
		}
		next := *st.Login
		next.Passkeys = append(slices.Clone(next.Passkeys), k)
		st.Login = &next
		return g.wayIn(tx, p.ID, *st, p.ID, WayInPasskey)
	})
	return err
}

// RemovePasskey takes a passkey from who is signed in and has just given her second factor. Her password and app stay.
func (g *Gate) RemovePasskey(ctx context.Context, p Person, passkey string) error {
	if err := g.justProved(p); err != nil {
		return err
	}
	_, err := g.withStaff(ctx, store.Act{By: p.ID, Verb: "passkey.remove"}, p.ID, 0, func(tx *store.Tx, st *Staff, _ time.Time) error {
		return g.dropPasskey(tx, p.ID, p.ID, st, passkey)
	})
	return err
}

// TakePasskey takes a passkey from somebody's account, as when the device is lost, and ends her sessions: one may be open on it.
func (g *Gate) TakePasskey(ctx context.Context, by, id, passkey, reason string) (Account, error) {
	return g.withStaff(ctx, store.Act{By: by, Verb: "passkey.remove", Reason: reason}, id, 0, func(tx *store.Tx, st *Staff, now time.Time) error {
		if err := g.dropPasskey(tx, by, id, st, passkey); err != nil {
			return err
		}
		return endSessions(tx, id, "", now, time.Time{})
	})
}

// dropPasskey takes one off, also after a restore from before it.
func (g *Gate) dropPasskey(tx *store.Tx, by, id string, s *Staff, handle string) error {
	if s.Login != nil {
		for _, k := range s.Login.Passkeys {
			if k.handle() == handle {
				s.Login = s.Login.without(func(p passkey) bool { return p.handle() == handle })
				if err := g.wayIn(tx, id, *s, by, WayInNoPasskey); err != nil {
					return err
				}
				return tx.Journal(factPasskey, id, passkeyFact{Key: k.ID})
			}
		}
	}
	return fault.New(fault.NotFound, "there is no passkey %.40q of this account", handle)
}

// passkeys is what is shown of those of an account.
func (l *login) passkeys() (all []Passkey) {
	for _, p := range l.Passkeys {
		all = append(all, Passkey{ID: p.handle(), Name: p.Name, Added: p.Added, Used: p.Used, Synced: p.Synced, Barred: p.Barred != nil})
	}
	return all
}
