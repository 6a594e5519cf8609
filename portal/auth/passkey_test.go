package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"lifeline/store"
	"lifeline/store/fault"
)

const passkeyHome = "https://help.example.com"

// device is an authenticator in software: one key pair for one account, and what it says of itself.
type device struct {
	t      testing.TB
	key    *ecdsa.PrivateKey
	id     []byte
	handle []byte // whose it is; given at its making
	count  uint32
	tells  telling
}

// telling is what a device and the browser in front of it say; tests bend it.
type telling struct {
	origin, rp, typ string
	flags           byte
	crossed         bool
	challenge       string
	handle          []byte
	id              []byte
	count           uint32
}

const (
	present  = 1 << 0
	verified = 1 << 2
	attested = 1 << 6
)

func newDevice(t testing.TB) *device {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 32)
	_, _ = rand.Read(id)
	return &device{t: t, key: key, id: id}
}

// question is what a browser is handed, as far as a device looks at it.
type question struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		RP        struct {
			ID string `json:"id"`
		} `json:"rp"`
		RPID string `json:"rpId"`
		User struct {
			ID string `json:"id"`
		} `json:"user"`
		Verification string           `json:"userVerification"`
		Allowed      []map[string]any `json:"allowCredentials"`
		Excluded     []map[string]any `json:"excludeCredentials"`
		Selection    struct {
			Resident     string `json:"residentKey"`
			Verification string `json:"userVerification"`
		} `json:"authenticatorSelection"`
	} `json:"publicKey"`
}

func (d *device) read(a Asked) (q question) {
	d.t.Helper()
	text, err := json.Marshal(a.Options)
	if err == nil {
		err = json.Unmarshal(text, &q)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return q
}

var raw64 = base64.RawURLEncoding

// client is the browser's part: what it saw, in JSON.
func (d *device) client(say telling) []byte {
	d.t.Helper()
	text, err := json.Marshal(map[string]any{"type": say.typ, "challenge": say.challenge, "origin": say.origin, "crossOrigin": say.crossed})
	if err != nil {
		d.t.Fatal(err)
	}
	return text
}

// data is the device's part (Web Authentication Level 3, section 6.1).
func (d *device) data(say telling) []byte {
	rp := sha256.Sum256([]byte(say.rp))
	return binary.BigEndian.AppendUint32(append(rp[:], say.flags), say.count)
}

func (d *device) answer(a Asked, response map[string]any, id []byte) Answered {
	d.t.Helper()
	text, err := json.Marshal(map[string]any{"id": raw64.EncodeToString(id), "rawId": raw64.EncodeToString(id), "type": "public-key", "clientExtensionResults": map[string]any{}, "response": response})
	if err != nil {
		d.t.Fatal(err)
	}
	return Answered{Cookie: a.Cookie, Credential: text, Source: "192.0.2.1"}
}

// make answers the question for a new passkey.
func (d *device) make(a Asked, bend ...func(*telling)) Answered {
	d.t.Helper()
	q := d.read(a).PublicKey
	var err error
	if d.handle, err = raw64.DecodeString(q.User.ID); err != nil {
		d.t.Fatal(err)
	}
	say := telling{origin: passkeyHome, rp: q.RP.ID, typ: "webauthn.create", flags: present | verified | attested, challenge: q.Challenge}
	for _, b := range bend {
		b(&say)
	}
	point, err := d.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		d.t.Fatal(err)
	}
	cose, err := webauthncbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		d.t.Fatal(err)
	}
	data := append(d.data(say), make([]byte, 16)...)
	data = append(append(binary.BigEndian.AppendUint16(data, uint16(len(d.id))), d.id...), cose...)
	object, err := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	if err != nil {
		d.t.Fatal(err)
	}
	return d.answer(a, map[string]any{"clientDataJSON": raw64.EncodeToString(d.client(say)), "attestationObject": raw64.EncodeToString(object), "transports": []string{"usb"}}, d.id)
}

// sign answers the question who is there.
func (d *device) sign(a Asked, bend ...func(*telling)) Answered {
	d.t.Helper()
	q := d.read(a).PublicKey
	if d.count > 0 {
		d.count++
	}
	say := telling{origin: passkeyHome, rp: q.RPID, typ: "webauthn.get", flags: present | verified, challenge: q.Challenge, handle: d.handle, id: d.id, count: d.count}
	for _, b := range bend {
		b(&say)
	}
	client := d.client(say)
	hash := sha256.Sum256(client)
	signed := sha256.Sum256(append(d.data(say), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, d.key, signed[:])
	if err != nil {
		d.t.Fatal(err)
	}
	return d.answer(a, map[string]any{"clientDataJSON": raw64.EncodeToString(client), "authenticatorData": raw64.EncodeToString(d.data(say)),
		"signature": raw64.EncodeToString(signature), "userHandle": raw64.EncodeToString(say.handle)}, say.id)
}

// asked is a question, from who is signed in or from nobody.
func (h *house) asked(what Asking, cookie string) (Asked, Person) {
	h.t.Helper()
	var p Person
	var err error
	if cookie != "" {
		if p, _, err = h.Session(context.Background(), cookie); err != nil {
			h.t.Fatal(err)
		}
	}
	a, err := h.AskPasskey(context.Background(), what, p)
	if err != nil {
		h.t.Fatal(err)
	}
	return a, p
}

// gives a member a passkey on a new device.
func (m member) gets(name string) *device {
	m.h.t.Helper()
	d := newDevice(m.h.t)
	a, p := m.h.asked(ToAdd, m.cookie)
	if err := m.h.AddPasskey(context.Background(), p, name, d.make(a)); err != nil {
		m.h.t.Fatal(err)
	}
	return d
}

// comes signs in with a device.
func (d *device) comes(h *house, bend ...func(*telling)) (Session, string, error) {
	d.t.Helper()
	a, _ := h.asked(ToSignIn, "")
	return h.SignInByPasskey(context.Background(), d.sign(a, bend...))
}

// verbs counts the audit rows.
func (h *house) verbs() map[string]int {
	h.t.Helper()
	n := map[string]int{}
	err := h.DB.View(context.Background(), func(tx *store.Tx) error {
		clear(n)
		rows, _, err := store.AuditRows(tx, store.Query{Limit: 500})
		for _, row := range rows {
			n[row.Value.Verb]++
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// A passkey opens what password and second factor open together, once for each question, and goes as it came.
func TestAPasskeySignsInAsTwoFactorsDo(t *testing.T) {
	h, ctx := open(t), context.Background()
	h.URL = passkeyHome
	glass := 0
	h.Glass = func(*store.Tx, string) error { glass++; return nil }
	ann := h.join("Ann", Profile{Roles: []Role{Approver, Support}, Glass: true})
	glass = 0

	h.pass(Fresh)
	p, _, err := h.Session(ctx, ann.cookie)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.AskPasskey(ctx, ToAdd, p); fault.Of(err) != fault.Forbidden {
		t.Errorf("asked for without a fresh second factor: %v", err)
	}
	if _, err := h.AskPasskey(ctx, ToProve, p); fault.Of(err) != fault.Conflict {
		t.Errorf("who has none is asked for one: %v", err)
	}
	if _, ann.cookie, err = h.Prove(ctx, ann.cookie, ann.code()); err != nil {
		t.Fatal(err)
	}
	a, p := h.asked(ToAdd, ann.cookie)
	d := newDevice(t)
	if q := d.read(a).PublicKey; q.RP.ID != "help.example.com" || q.Selection.Resident != "required" || q.Selection.Verification != "required" || len(q.Challenge) < 43 {
		t.Errorf("%+v", q)
	}
	for what, bend := range map[string]func(*telling){
		"another origin":          func(s *telling) { s.origin = "https://help.example.com.evil.example" },
		"a name below ours":       func(s *telling) { s.origin = "https://x.help.example.com" },
		"without encryption":      func(s *telling) { s.origin = "http://help.example.com" },
		"another port":            func(s *telling) { s.origin = "https://help.example.com:8443" },
		"for another name":        func(s *telling) { s.rp = "example.com" },
		"its owner was not asked": func(s *telling) { s.flags &^= verified },
		"nobody was there":        func(s *telling) { s.flags &^= present },
		"another challenge":       func(s *telling) { s.challenge = raw64.EncodeToString(make([]byte, 32)) },
		"a sign-in":               func(s *telling) { s.typ = "webauthn.get" },
		"in somebody's frame":     func(s *telling) { s.crossed = true },
	} {
		if err := h.AddPasskey(ctx, p, "Key", d.make(a, bend)); fault.Of(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	other := p
	other.Session = "ses_other"
	if err := h.AddPasskey(ctx, other, "Key", d.make(a)); fault.Of(err) != fault.Invalid {
		t.Errorf("from another session: %v", err)
	}
	other = p
	other.Proved = h.now().Add(-Fresh)
	if err := h.AddPasskey(ctx, other, "Key", d.make(a)); fault.Of(err) != fault.Forbidden {
		t.Errorf("answered without a fresh second factor: %v", err)
	}
	if err := h.AddPasskey(ctx, p, " ", d.make(a)); fault.Of(err) != fault.Invalid {
		t.Errorf("without a name: %v", err)
	}
	if err := h.AddPasskey(ctx, p, "Blue key", d.make(a)); err != nil {
		t.Fatal(err)
	}
	if err := h.AddPasskey(ctx, p, "Another", newDevice(t).make(a)); fault.Of(err) != fault.Invalid {
		t.Errorf("a question is answered twice: %v", err)
	}
	a, _ = h.asked(ToAdd, ann.cookie)
	if err := h.AddPasskey(ctx, p, "Again", d.make(a)); fault.Of(err) != fault.Conflict || len(d.read(a).PublicKey.Excluded) != 1 {
		t.Errorf("the same device twice: %v", err)
	}

	h.pass(time.Hour)
	s, cookie, err := d.comes(h)
	if err != nil || s.Staff != ann.id || s.Role != Approver || glass != 1 {
		t.Fatalf("%+v, %v, told %d times", s, err, glass)
	}
	if p, _, err = h.Session(ctx, cookie); err != nil || h.MayApprove(ctx, p) != nil {
		t.Errorf("it is no second factor: %v, %v", err, h.MayApprove(ctx, p))
	}
	who, err := h.Account(ctx, ann.id)
	if err != nil || len(who.Passkeys) != 1 || who.Passkeys[0].Name != "Blue key" || who.Passkeys[0].Used == nil || !who.Passkeys[0].Used.Equal(h.now()) || !who.LastSeen.Equal(h.now()) {
		t.Errorf("%+v %v", who, err)
	}

	// Where a fresh factor is asked for it is one too, her own alone.
	h.pass(Fresh)
	if p, _, err = h.Session(ctx, cookie); err != nil || h.MayApprove(ctx, p) == nil {
		t.Errorf("a quarter of an hour later: %v", err)
	}
	bob := h.join("Bob", Profile{Roles: []Role{Support}})
	his := bob.gets("His")
	a, _ = h.asked(ToProve, cookie)
	if len(d.read(a).PublicKey.Allowed) != 1 {
		t.Errorf("%+v", d.read(a))
	}
	forElse, _ := h.asked(ToSignIn, cookie)
	fromElse, _ := h.asked(ToSignIn, "")
	for what, r := range map[string]Answered{
		"another's": his.sign(a), "another's, as hers": his.sign(a, func(s *telling) { s.handle, s.id = []byte(ann.id), d.id }), "not asked": d.sign(fromElse), "asked for something else": d.sign(forElse),
		"its owner was not asked": d.sign(a, func(s *telling) { s.flags = present }),
	} {
		if _, _, err := h.ProveByPasskey(ctx, cookie, r); fault.Of(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	was := cookie
	if _, cookie, err = h.ProveByPasskey(ctx, cookie, d.sign(a)); err != nil {
		t.Fatal(err)
	}
	if p, _, err = h.Session(ctx, cookie); err != nil || h.MayApprove(ctx, p) != nil {
		t.Errorf("proved by passkey: %v", err)
	}
	if _, _, err := h.Session(ctx, was); fault.Of(err) != fault.Unauthentic {
		t.Errorf("the old cookie still holds: %v", err)
	}

	// Removing takes a fresh factor, and holds after a restore; the password stays.
	stale := p
	stale.Proved = h.now().Add(-Fresh)
	if err := h.RemovePasskey(ctx, stale, who.Passkeys[0].ID); fault.Of(err) != fault.Forbidden {
		t.Errorf("removed without a fresh factor: %v", err)
	}
	if err := h.RemovePasskey(ctx, p, h.handleOf(bob.id)); fault.Of(err) != fault.NotFound {
		t.Errorf("somebody else's: %v", err)
	}
	if err := h.RemovePasskey(ctx, p, who.Passkeys[0].ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = d.comes(h)
	unauthentic(t, "removed", err)
	h.pass(time.Minute)
	if _, _, err := ann.signIn(aPassword, ann.code(), "192.0.2.1"); err != nil {
		t.Errorf("her password: %v", err)
	}
	if v := h.verbs(); v["passkey.add"] != 2 || v["passkey.remove"] != 1 {
		t.Errorf("%v", v)
	}
	detail, err := json.Marshal(passkeyFact{his.id})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		_, err := passkeyAgain(tx, store.Fact{Of: bob.id, Detail: detail}, func(string) bool { return true })
		return err
	}); err != nil {
		t.Fatal(err)
	}
	_, _, err = his.comes(h)
	unauthentic(t, "removed before a restore", err)
}

func (h *house) handleOf(id string) string {
	h.t.Helper()
	a, err := h.Account(context.Background(), id)
	if err != nil || len(a.Passkeys) == 0 {
		h.t.Fatalf("%+v, %v", a, err)
	}
	return a.Passkeys[0].ID
}

// What is no answer of the right key, for us, now, from this browser, is refused in the words of every refusal, and counted as wrong passwords are.
func TestWhatIsNoPasskeyOfHers(t *testing.T) {
	h, ctx := open(t), context.Background()
	h.URL = passkeyHome
	ann, bob := h.join("Ann", Profile{Roles: []Role{Support}}), h.join("Bob", Profile{Roles: []Role{Admin}})
	hers, his, strange := ann.gets("Hers"), bob.gets("His"), newDevice(t)
	for what, bend := range map[string]func(*telling){
		"another origin":          func(s *telling) { s.origin = "https://help-example.com" },
		"another port":            func(s *telling) { s.origin = passkeyHome + ":444" },
		"for another name":        func(s *telling) { s.rp = "evil.example" },
		"its owner was not asked": func(s *telling) { s.flags &^= verified },
		"nobody was there":        func(s *telling) { s.flags &^= present },
		"a new passkey":           func(s *telling) { s.typ = "webauthn.create" },
		"in somebody's frame":     func(s *telling) { s.crossed = true },
		"as another account":      func(s *telling) { s.handle = []byte(bob.id) },
		"as another's passkey":    func(s *telling) { s.handle, s.id = []byte(bob.id), his.id },
		"as nobody":               func(s *telling) { s.handle = nil },
		"as who is not there":     func(s *telling) { s.handle = []byte(staff.NewID()) },
		"as no id":                func(s *telling) { s.handle = []byte("../../etc/passwd") },
		"as who has a long name":  func(s *telling) { s.handle = make([]byte, 65) },
	} {
		_, _, err := hers.comes(h, bend)
		unauthentic(t, what, err)
		h.pass(10 * time.Second)
	}
	a, _ := h.asked(ToSignIn, "")
	b, _ := h.asked(ToSignIn, "")
	good := hers.sign(a)
	crossed := good
	crossed.Cookie = b.Cookie
	late := hers.sign(b)
	toAdd, _ := h.asked(ToAdd, bob.cookie)
	wrongKey := strange.sign(a, func(s *telling) { s.handle, s.id = hers.handle, hers.id })
	cut, long := good, good
	cut.Credential = good.Credential[:len(good.Credential)-3]
	long.Credential = append(slices.Clone(good.Credential), make([]byte, mostAnswer)...)
	for what, r := range map[string]Answered{"another browser's question": crossed, "no cookie": {Credential: good.Credential}, "cut off": cut, "too long": long, "another key": wrongKey,
		"a question for something else": hers.sign(toAdd, func(s *telling) { s.rp = "help.example.com" })} {
		_, _, err := h.SignInByPasskey(ctx, r)
		unauthentic(t, what, err)
	}
	if _, _, err := h.SignInByPasskey(ctx, good); err != nil {
		t.Fatalf("and yet it is hers: %v", err)
	}
	_, _, err := h.SignInByPasskey(ctx, good)
	unauthentic(t, "answered twice", err)
	h.pass(passkeyFor)
	_, _, err = h.SignInByPasskey(ctx, late)
	unauthentic(t, "too late", err)

	if _, err := h.Disable(ctx, "stf_admin", bob.id, "left"); err != nil {
		t.Fatal(err)
	}
	_, _, err = his.comes(h)
	unauthentic(t, "a closed account", err)
	if _, err := h.Enable(ctx, "stf_admin", bob.id); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Invite(ctx, "stf_admin", bob.id, "", DropLogin); err != nil {
		t.Fatal(err)
	}
	_, _, err = his.comes(h)
	unauthentic(t, "after a reset", err)

	h.pass(time.Hour)
	for range triesKnown {
		_, _, err = hers.comes(h, func(s *telling) { s.flags = present })
		unauthentic(t, "again and again", err)
	}
	if _, _, err = hers.comes(h); fault.Of(err) != fault.TooMany {
		t.Errorf("after %d wrong tries: %v", triesKnown, err)
	}
	h.pass(triesFor)
	if _, _, err = hers.comes(h); err != nil {
		t.Errorf("and for ever: %v", err)
	}
	if _, err := h.TakePasskey(ctx, "stf_admin", ann.id, h.handleOf(ann.id), "lost"); err != nil {
		t.Fatal(err)
	}
	_, _, err = hers.comes(h)
	unauthentic(t, "taken by who manages staff", err)

	for _, at := range []string{"", "http://help.example.com", "https://192.0.2.1", "https://[2001:db8::1]:8443", "help.example.com"} {
		h.URL = at
		if _, err := h.AskPasskey(ctx, ToSignIn, Person{}); fault.Of(err) != fault.Conflict || h.TakesPasskeys() {
			t.Errorf("passkeys at %q: %v", at, err)
		}
	}
	if h.URL = "http://localhost:8080"; !h.TakesPasskeys() {
		t.Error("none on the machine itself")
	}
}

// A count that does not rise says that two hold the same key: from then on neither is let in, somebody is told, and the log has it.
func TestACopiedPasskeyIsBarred(t *testing.T) {
	h, ctx := open(t), context.Background()
	h.URL = passkeyHome
	told := []string{}
	h.Copied = func(_ *store.Tx, id string) error { told = append(told, id); return nil }
	h.Owner = func(_ *store.Tx, w WayIn) error {
		if w.What == WayInBarredKey {
			told = append(told, w.By+" "+w.Email)
		}
		return nil
	}
	for name, count := range map[string]uint32{"Lower": 6, "Same": 7, "None": 0} {
		m := h.join(name, Profile{Roles: []Role{Support}})
		d, spare := m.gets("Key"), m.gets("Spare")
		d.count = 6
		_, cookie, err := d.comes(h)
		if err != nil {
			t.Fatal(err)
		}
		told = told[:0]
		back := func(s *telling) { s.count = count }
		if name == "Lower" { // as well where it only proves that she is there
			a, _ := h.asked(ToProve, cookie)
			if _, _, err := h.ProveByPasskey(ctx, cookie, d.sign(a, back)); fault.Of(err) != fault.Invalid {
				t.Errorf("%s: proved: %v", name, err)
			}
		} else {
			_, _, err = d.comes(h, back)
			unauthentic(t, name, err)
		}
		_, _, err = d.comes(h)
		unauthentic(t, name+": whoever of the two", err)
		if !slices.Equal(told, []string{m.id, "lifeline " + m.email}) {
			t.Errorf("%s: told %v", name, told)
		}
		if who, err := h.Account(ctx, m.id); err != nil || !who.Passkeys[0].Barred {
			t.Errorf("%s: %+v %v", name, who, err)
		}
		if _, _, err = spare.comes(h); err != nil {
			t.Errorf("%s: her other one: %v", name, err)
		}
	}
	if v := h.verbs(); v["passkey.barred"] != 3 {
		t.Errorf("%v", v)
	}
}

// FuzzPasskey gives what a stranger may post as an answer.
func FuzzPasskey(f *testing.F) {
	h := open(f)
	h.URL = passkeyHome
	d := newDevice(f)
	d.handle = []byte(staff.NewID())
	a, _ := h.asked(ToSignIn, "")
	f.Add(d.sign(a).Credential)
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`))
	f.Fuzz(func(t *testing.T, said []byte) {
		if _, _, err := h.SignInByPasskey(t.Context(), Answered{Cookie: a.Cookie, Credential: said, Source: "192.0.2.1"}); err == nil {
			t.Errorf("%s opens an account", said)
		}
	})
}
