package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"lifeline/store"
	"lifeline/store/fault"
)

const aPassword = "vier Worte ohne Sinn"

// member is somebody with an account, and the app on her phone.
type member struct {
	h      *house
	id     string
	email  string
	secret string
	codes  []string
	cookie string
}

// code is what her app shows.
func (m member) code() string {
	m.h.t.Helper()
	c, err := totp.GenerateCode(m.secret, m.h.now())
	if err != nil {
		m.h.t.Fatal(err)
	}
	return c
}

func (m member) signIn(password, code, source string) (Session, string, error) {
	return m.h.SignIn(context.Background(), Credentials{m.email, password, code, source})
}

// secretOf is what stands in a link.
func secretOf(t testing.TB, link, path string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil || u.Path != path || u.Query().Get(LinkParam) == "" {
		t.Fatalf("link %q: %v", link, err)
	}
	return u.Query().Get(LinkParam)
}

// join gives somebody an account and enrols her.
func (h *house) join(name string, p Profile) member {
	h.t.Helper()
	p.Email = strings.ToLower(name) + "@vendor.example"
	made, err := h.AddStaff(context.Background(), "stf_admin", "https://help.example.com", []Newcomer{{name, p}})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.enrol(made[0].ID, p.Email, secretOf(h.t, made[0].Link, EnrolPath))
}

func (h *house) enrol(id, email, link string) member {
	h.t.Helper()
	seen, err := h.Enrolling(context.Background(), link)
	if err != nil {
		h.t.Fatal(err)
	}
	m := member{h: h, id: id, email: email, secret: seen.Secret}
	if _, m.cookie, m.codes, err = h.Enrol(context.Background(), Enrol{Link: link, Password: aPassword, Code: m.code(), Source: "192.0.2.1"}); err != nil {
		h.t.Fatal(err)
	}
	h.pass(time.Minute)
	return m
}

// Somebody enrols behind her link, signs in with password and second factor, and nothing of it works twice.
func TestAnAccountSignsInWithTwoFactors(t *testing.T) {
	h, ctx := open(t), context.Background()
	until := h.now().Add(3 * 24 * time.Hour)
	made, err := h.AddStaff(ctx, "stf_admin", "https://help.example.com/", []Newcomer{{"Ann Lee", Profile{Email: "Ann@Vendor.example", Phone: "+12025550101",
		Roles: []Role{Engineer, Support}, Zone: "Europe/Berlin", Regions: []string{"EMEA"}, Until: &until}}})
	if err != nil {
		t.Fatal(err)
	}
	link := secretOf(t, made[0].Link, EnrolPath)
	first, err := h.Enrolling(ctx, link)
	again, err2 := h.Enrolling(ctx, link)
	if err != nil || err2 != nil || first != again || first.Name != "Ann Lee" || len(first.Secret) != 32 {
		t.Fatalf("%+v %v, %+v %v", first, err, again, err2)
	}
	if key, err := otp.NewKeyFromURL(first.URL); err != nil || key.Secret() != first.Secret || key.AccountName() != "Ann@Vendor.example" || key.Period() != 30 {
		t.Errorf("%s: %v", first.URL, err)
	}
	if _, _, err := h.Open(ctx, link); fault.Of(err) != fault.Unauthentic {
		t.Errorf("an enrolment link signs in: %v", err)
	}
	a := member{h: h, id: made[0].ID, email: "ann@vendor.EXAMPLE ", secret: first.Secret}
	for name, e := range map[string]Enrol{
		"a short password":     {Link: link, Password: "short pass1", Code: a.code()},
		"one of her name":      {Link: link, Password: "my name is Ann Vendor", Code: a.code()},
		"the same many times":  {Link: link, Password: "abcabcabcabcabc", Code: a.code()},
		"one that all try":     {Link: link, Password: "qwertyuiopas", Code: a.code()},
		"a common one":         {Link: link, Password: "Password-2022", Code: a.code()},
		"a wrong code":         {Link: link, Password: aPassword, Code: "000000"},
		"no code":              {Link: link, Password: aPassword},
		"a link that is wrong": {Link: link + "x", Password: aPassword, Code: a.code()},
	} {
		if _, _, _, err := h.Enrol(ctx, e); fault.Of(err) != fault.Invalid && name != "a link that is wrong" || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := a.signIn(aPassword, a.code(), "192.0.2.1"); fault.Of(err) != fault.Unauthentic {
		t.Errorf("before she enrolled: %v", err)
	}
	s, cookie, codes, err := h.Enrol(ctx, Enrol{Link: link, Password: aPassword, Code: a.code(), Source: "192.0.2.1"})
	if err != nil || s.Role != Engineer || len(codes) != savedCodes {
		t.Fatalf("%+v %v", s, err)
	}
	if p, _, err := h.Session(ctx, cookie); err != nil || p.ID != a.id || p.Proved.IsZero() || !p.Interactive {
		t.Errorf("%+v %v", p, err)
	}
	if _, err := h.Enrolling(ctx, link); fault.Of(err) != fault.Unauthentic {
		t.Errorf("the link works twice: %v", err)
	}
	if _, _, err := a.signIn(aPassword, a.code(), "192.0.2.1"); fault.Of(err) != fault.Unauthentic {
		t.Errorf("a code works twice: %v", err)
	}
	h.pass(time.Minute)
	for name, c := range map[string][2]string{"wrong password": {"vier Worte mit Sinn", a.code()}, "wrong code": {aPassword, "123456"}, "no code": {aPassword, ""}, "nothing": {"", ""}} {
		_, _, err := a.signIn(c[0], c[1], "192.0.2.1")
		unauthentic(t, name, err)
	}
	_, _, err = h.SignIn(ctx, Credentials{"nobody@vendor.example", aPassword, a.code(), "192.0.2.1"})
	unauthentic(t, "no such account", err)
	if _, _, err := a.signIn(aPassword, a.code(), "192.0.2.9"); err != nil {
		t.Errorf("%v", err)
	}
	if _, _, err := a.signIn(aPassword, codes[2], "192.0.2.1"); err != nil {
		t.Errorf("a recovery code: %v", err)
	}
	if _, _, err := a.signIn(aPassword, codes[2], "192.0.2.1"); fault.Of(err) != fault.Unauthentic {
		t.Errorf("a recovery code twice: %v", err)
	}
	if got, err := h.Account(ctx, a.id); err != nil || got.Codes != savedCodes-1 || got.State != "active" || got.Zone != "Europe/Berlin" {
		t.Errorf("%+v %v", got, err)
	}

	h.pass(71*time.Hour + 50*time.Minute) // ten minutes before the campaign is over
	s, cookie, err = a.signIn(aPassword, a.code(), "192.0.2.1")
	if err != nil || !s.Expires.Equal(until) {
		t.Fatalf("%+v %v", s, err)
	}
	h.pass(20 * time.Minute)
	if _, _, err := h.Session(ctx, cookie); fault.Of(err) != fault.Unauthentic {
		t.Errorf("a session outlives the campaign: %v", err)
	}
	_, _, err = a.signIn(aPassword, a.code(), "192.0.2.1")
	unauthentic(t, "after the campaign", err)
	if !strings.Contains(h.logs.String(), `level=INFO msg="sign-in refused" reason="`) || !strings.Contains(h.logs.String(), "staff="+a.id) {
		t.Errorf("who is turned away is not in the log:\n%s", h.logs)
	}
	if strings.Contains(h.logs.String(), aPassword) || strings.Contains(h.logs.String(), "vendor") || strings.Contains(h.logs.String(), codes[0]) {
		t.Error("the log holds a secret or an address")
	}
}

// What everybody tries opens nothing here, with a year behind it or not; words that do not belong together do.
func TestCommonPasswordsAreRefused(t *testing.T) {
	for p := range common() {
		if utf8.RuneCountInString(p) >= shortestPassword && badPassword(p) == "" {
			t.Errorf("%q is taken, though it is on the list", p)
		}
	}
	for _, p := range []string{"Password1234", "!!dragon-2024!!", "michael.michael", "iloveyou2022!", "SummerWinter99", "Qwertyuiop12", "1Welcome2Monkey3"} {
		if badPassword(p) == "" {
			t.Errorf("%q is taken", p)
		}
	}
	for _, p := range []string{aPassword, "correct horse battery staple", "quartz-lantern-seven", "Ein Wal im Gebirge", "k9#vTq2!mZp4"} {
		if why := badPassword(p); why != "" {
			t.Errorf("%q %s", p, why)
		}
	}
}

// Whoever guesses shuts out herself: who is where she signed in before gets in, and everybody else as soon as the time is over.
func TestWrongPasswordsLockNobodyOutForEver(t *testing.T) {
	h := open(t)
	a, b := h.join("Ann", Profile{Roles: []Role{Support}}), h.join("Bo", Profile{Roles: []Role{Support}})
	for i := range triesElse {
		_, _, err := a.signIn("guess", "000000", fmt.Sprint("198.51.100.", i))
		unauthentic(t, "a guess", err)
	}
	if _, _, err := a.signIn(aPassword, a.code(), "198.51.100.77"); fault.Of(err) != fault.TooMany {
		t.Errorf("one guess more, and the right one at that: %v", err)
	}
	if _, _, err := a.signIn(aPassword, a.code(), "192.0.2.1"); err != nil {
		t.Errorf("where she was before: %v", err)
	}
	if _, _, err := b.signIn(aPassword, b.code(), "198.51.100.77"); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	for i := range triesSource { // one source tries everybody
		if _, _, err := h.SignIn(context.Background(), Credentials{fmt.Sprint("u", i, "@vendor.example"), "guess", "", "203.0.113.5"}); fault.Of(err) != fault.Unauthentic {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if _, _, err := h.SignIn(context.Background(), Credentials{"another@vendor.example", "guess", "", "203.0.113.5"}); fault.Of(err) != fault.TooMany {
		t.Errorf("one source: %v", err)
	}
	h.pass(triesFor + time.Second)
	if _, _, err := a.signIn(aPassword, a.code(), "198.51.100.77"); err != nil {
		t.Errorf("after a while: %v", err)
	}
}

// Of one link that several people press at once one gets in.
func TestALinkEnrolsOnce(t *testing.T) {
	h, ctx := open(t), context.Background()
	made, err := h.AddStaff(ctx, "stf_admin", "", []Newcomer{{"Ann", Profile{Email: "ann@vendor.example", Roles: []Role{Support}}}})
	if err != nil {
		t.Fatal(err)
	}
	link := secretOf(t, made[0].Link, EnrolPath)
	seen, err := h.Enrolling(ctx, link)
	if err != nil {
		t.Fatal(err)
	}
	code := member{h: h, secret: seen.Secret}.code()
	var in sync.WaitGroup
	var mu sync.Mutex
	let := 0
	for range 4 {
		in.Go(func() {
			if _, _, _, err := h.Enrol(ctx, Enrol{Link: link, Password: aPassword, Code: code}); err == nil {
				mu.Lock()
				let++
				mu.Unlock()
			}
		})
	}
	if in.Wait(); let != 1 {
		t.Errorf("%d got in", let)
	}
}

// A session is another one at each change of level, and an account ends at once when it is closed or its roles change.
func TestSessionsFollowTheAccount(t *testing.T) {
	h, ctx := open(t), context.Background()
	told := []string{}
	h.Granted = func(_ *store.Tx, g Granting) error { told = append(told, g.By+" "+g.Staff); return nil }
	h.Glass = func(_ *store.Tx, id string) error { told = append(told, "glass "+id); return nil }
	first := h.join("First", Profile{Roles: []Role{Admin}})
	if len(told) != 0 {
		t.Errorf("before there was any account: %v", told)
	}
	a := h.join("Ann", Profile{Roles: []Role{Support, Approver}})
	if !slices.Equal(told, []string{"stf_admin " + a.id}) {
		t.Errorf("granting: %v", told)
	}
	p, _, err := h.Session(ctx, a.cookie)
	if err != nil || p.Role != Support || h.MayApprove(ctx, p) == nil {
		t.Errorf("%+v %v", p, err)
	}
	if _, _, err := h.ActAs(ctx, a.cookie, Security); fault.Of(err) != fault.Invalid {
		t.Errorf("a role that is not hers: %v", err)
	}
	_, approver, err := h.ActAs(ctx, a.cookie, Approver)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Session(ctx, a.cookie); fault.Of(err) != fault.Unauthentic {
		t.Errorf("the old cookie still holds: %v", err)
	}
	if p, _, err = h.Session(ctx, approver); err != nil || h.MayApprove(ctx, p) != nil {
		t.Errorf("%+v %v %v", p, err, h.MayApprove(ctx, p))
	}
	h.pass(Fresh)
	if p, _, err = h.Session(ctx, approver); err != nil || h.MayApprove(ctx, p) == nil {
		t.Errorf("a quarter of an hour later: %+v %v", p, err)
	}
	if _, _, err := h.Prove(ctx, approver, "000000"); fault.Of(err) != fault.Invalid {
		t.Errorf("a wrong code: %v", err)
	}
	if err := h.NewPassword(ctx, p, aPassword, "ganz andere Worte hier"); fault.Of(err) != fault.Forbidden {
		t.Errorf("a new password without the second factor: %v", err)
	}
	_, proved, err := h.Prove(ctx, approver, a.code())
	if err != nil {
		t.Fatal(err)
	}
	if p, _, err = h.Session(ctx, proved); err != nil || h.MayApprove(ctx, p) != nil {
		t.Errorf("proved anew: %+v %v", p, err)
	}
	h.pass(time.Minute)
	_, other, err := a.signIn(aPassword, a.code(), "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.NewPassword(ctx, p, "not it", "ganz andere Worte hier"); fault.Of(err) != fault.Invalid {
		t.Errorf("a wrong old password: %v", err)
	}
	if err := h.NewPassword(ctx, p, aPassword, "ganz andere Worte hier"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Session(ctx, other); fault.Of(err) != fault.Unauthentic {
		t.Errorf("another session outlives a new password: %v", err)
	}
	if _, _, err := h.Session(ctx, proved); err != nil {
		t.Errorf("her own session: %v", err)
	}
	before, err := h.Account(ctx, a.id)
	if err != nil {
		t.Fatal(err)
	}
	to := before.Profile
	to.Roles = []Role{Support}
	if _, err := h.ChangeStaff(ctx, "stf_admin", a.id, before.Version-1, to); fault.Of(err) != fault.Stale {
		t.Errorf("a stale version: %v", err)
	}
	if _, err := h.ChangeStaff(ctx, "stf_admin", a.id, before.Version, to); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Session(ctx, proved); fault.Of(err) != fault.Unauthentic {
		t.Errorf("a session with a role that is gone: %v", err)
	}
	h.pass(time.Minute)
	_, cookie, err := a.signIn("ganz andere Worte hier", a.code(), "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Disable(ctx, "stf_admin", a.id, "left"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Session(ctx, cookie); fault.Of(err) != fault.Unauthentic {
		t.Errorf("a session of a closed account: %v", err)
	}
	h.pass(time.Minute)
	_, _, err = a.signIn("ganz andere Worte hier", a.code(), "192.0.2.1")
	unauthentic(t, "a closed account", err)
	if _, err := h.Enable(ctx, "stf_admin", a.id); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Invite(ctx, "stf_admin", a.id, "", KeepLogin); fault.Of(err) != fault.Conflict {
		t.Errorf("a link for who has enrolled: %v", err)
	}
	anew, err := h.Invite(ctx, "stf_admin", a.id, "", DropLogin)
	if err != nil {
		t.Fatal(err)
	}
	h.pass(time.Minute)
	_, _, err = a.signIn("ganz andere Worte hier", a.code(), "192.0.2.1")
	unauthentic(t, "after a reset", err)
	h.enrol(a.id, a.email, secretOf(t, anew.Link, EnrolPath))

	told = nil
	to = Profile{Email: "first@vendor.example", Roles: []Role{Admin}, Glass: true}
	if _, err := h.ChangeStaff(ctx, "stf_admin", first.id, 0, to); err != nil || len(told) != 0 {
		t.Errorf("%v %v", told, err)
	}
	if _, _, err := first.signIn(aPassword, first.code(), "192.0.2.1"); err != nil || !slices.Equal(told, []string{"glass " + first.id}) {
		t.Errorf("break-glass: %v %v", told, err)
	}
}

// Four hundred and fifty people get their accounts out of one file, each with a link of her own, or nobody does and every wrong line is named.
func TestManyAreInvitedAtOnce(t *testing.T) {
	h, ctx := open(t), context.Background()
	var crowd []Newcomer
	for i := range 450 {
		crowd = append(crowd, Newcomer{fmt.Sprint("Engineer ", i), Profile{Email: fmt.Sprint("e", i, "@vendor.example"), Roles: []Role{Engineer}}})
	}
	wrong := slices.Clone(crowd)
	wrong[3].Email, wrong[5].Roles, wrong[7].Name, wrong[9].Zone = "nonsense", nil, "Engineer 8", "Mars/Olympus"
	_, err := h.AddStaff(ctx, "stf_admin", "https://x.example", wrong)
	var named *fault.Error
	if !errors.As(err, &named) {
		t.Fatal(err)
	}
	if got := fmt.Sprint(named.Fields); !strings.Contains(got, "staff[3].email") || !strings.Contains(got, "staff[5].roles") || !strings.Contains(got, "staff[8].name") || !strings.Contains(got, "staff[9].time_zone") || len(named.Fields) != 4 {
		t.Errorf("%v", err)
	}
	all, err := h.AddStaff(ctx, "stf_admin", "https://x.example", crowd)
	if err != nil || len(all) != 450 {
		t.Fatalf("%d %v", len(all), err)
	}
	links := map[string]bool{}
	for _, i := range all {
		links[i.Link] = true
	}
	if len(links) != 450 {
		t.Errorf("%d links", len(links))
	}
	if _, err := h.AddStaff(ctx, "stf_admin", "", crowd[:1]); fault.Of(err) != fault.Invalid {
		t.Errorf("twice: %v", err)
	}
	if a, err := h.Account(ctx, all[0].ID); err != nil || a.State != "invited" {
		t.Errorf("%+v %v", a, err)
	}
}

// The first administrator makes her own account behind a link that only the machine shows, and with that the way is closed.
func TestSetUpClosesBehindItself(t *testing.T) {
	h, ctx := open(t), context.Background()
	old, err := h.SetUp(ctx, "https://x.example")
	if err != nil {
		t.Fatal(err)
	}
	link, err := h.SetUp(ctx, "https://x.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enrolling(ctx, secretOf(t, old, EnrolPath)); fault.Of(err) != fault.Unauthentic {
		t.Errorf("the link of the start before: %v", err)
	}
	plain := secretOf(t, link, EnrolPath)
	seen, err := h.Enrolling(ctx, plain)
	if err != nil || !seen.First {
		t.Fatalf("%+v %v", seen, err)
	}
	m := member{h: h, secret: seen.Secret, email: "root@vendor.example"}
	if _, _, _, err := h.Enrol(ctx, Enrol{Link: plain, Password: aPassword, Code: m.code()}); fault.Of(err) != fault.Invalid {
		t.Errorf("without a name: %v", err)
	}
	s, _, _, err := h.Enrol(ctx, Enrol{Link: plain, Password: aPassword, Code: m.code(), Name: "Ruth", Email: m.email})
	if err != nil || s.Role != Admin || s.Name != "Ruth" {
		t.Fatalf("%+v %v", s, err)
	}
	if _, err := h.Enrolling(ctx, plain); fault.Of(err) != fault.Unauthentic {
		t.Errorf("twice: %v", err)
	}
	if link, err := h.SetUp(ctx, "https://x.example"); err != nil || link != "" {
		t.Errorf("%q %v", link, err)
	}
	h.pass(time.Minute)
	if _, _, err := m.signIn(aPassword, m.code(), "192.0.2.1"); err != nil {
		t.Error(err)
	}
}

// The codes are those of RFC 6238 appendix B, in six digits, and a step is taken once.
func TestSecondFactorIsTheOneOfTheStandard(t *testing.T) {
	kept := plain32.EncodeToString([]byte("12345678901234567890"))
	for unix, code := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		at := time.Unix(unix, 0)
		step, ok := stepOf(kept, code[:3]+" "+code[3:], 0, at)
		if !ok || step != unix/30 {
			t.Errorf("%d: %d %v", unix, step, ok)
		}
		if _, ok := stepOf(kept, code, step, at); ok {
			t.Errorf("%d is taken twice", unix)
		}
		if _, ok := stepOf(kept, code, 0, at.Add(90*time.Second)); ok {
			t.Errorf("%d is taken late", unix)
		}
	}
}

// The default cost is the one of RFC 9106, and a hash of another cost still counts.
func TestPasswordsAreHashedWithArgon2id(t *testing.T) {
	h := open(t)
	kept, err := h.hash(context.Background(), aPassword)
	if err != nil || !strings.HasPrefix(kept, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatalf("%q %v", kept, err)
	}
	h.Cost = Cost{2, 128, 1}
	for password, want := range map[string]bool{aPassword: true, aPassword + " ": false, "": false} {
		if got, err := h.matches(context.Background(), password, kept); err != nil || got != want {
			t.Errorf("%q: %v %v", password, got, err)
		}
	}
	for _, broken := range []string{"", "$argon2id$v=19$m=64,t=0,p=1$AAAA$AAAA", strings.Replace(kept, "argon2id", "argon2i", 1)} {
		if got, err := h.matches(context.Background(), aPassword, broken); err != nil || got {
			t.Errorf("%q: %v %v", broken, got, err)
		}
	}
	if (Cost{}).or() != (Cost{3, 64 << 10, 4}) {
		t.Error("the default cost is another")
	}
	// A vector of the reference implementation (argon2 phc-winner, test.c): argon2id, version 19, two passes, 64 MiB, one lane.
	if got, err := h.matches(context.Background(), "password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"); err != nil || !got {
		t.Errorf("the reference's own hash: %v %v", got, err)
	}
}

func TestAQRCodeIsDrawn(t *testing.T) {
	got := DrawQR("HELLO WORLD")
	if got.Size != 21+8 || !strings.HasPrefix(got.Path, "M4 4h7v1h-7z") || DrawQR(strings.Repeat("x", 5000)).Size != 0 {
		t.Errorf("%+v", got)
	}
}
