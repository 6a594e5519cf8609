package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/secret"
)

// Profile is what an account says of somebody: who she is, what she may be here, and how she is reached.
type Profile struct {
	Email     string     `json:"email,omitempty"` // she signs in with it, and alerts go to it
	Phone     string     `json:"phone,omitempty"` // for alerts by SMS, +12025550101
	Roles     []Role     `json:"roles,omitempty"` // she acts as one at a time, as the first after signing in
	Zone      string     `json:"time_zone,omitempty"`
	Languages []string   `json:"languages,omitempty"`
	Regions   []string   `json:"regions,omitempty"`
	Skills    []string   `json:"skills,omitempty"`
	Until     *time.Time `json:"until,omitempty"` // the account ends then, as with a campaign; nil: it stays
	Glass     bool       `json:"break_glass,omitempty"`
}

// login is what she signs in with. Nothing of it leaves this package.
type login struct {
	Password string    `json:"password"` // PHC
	Factor   string    `json:"factor"`   // secret of the second factor, base 32
	Step     int64     `json:"step"`     // the last one that was taken
	Codes    [][]byte  `json:"codes"`    // hashes of recovery codes that are left
	Places   [][]byte  `json:"places"`   // digests of networks she signed in from, the newest first
	At       time.Time `json:"at"`       // of her last sign-in
	Passkeys []passkey `json:"passkeys,omitempty"`
}

const (
	EnrolFor    = 14 * 24 * time.Hour // an enrolment link; an account that ends earlier ends it
	mostRoles   = 4
	mostWords   = 20 // languages, regions, skills
	mostStaff   = 5000
	knownPlaces = 5
)

var phoneForm = regexp.MustCompile(`^\+[1-9][0-9]{5,14}$`) // E.164

func (p Profile) bad(now time.Time) (f []fault.Field) {
	bad := func(field, format string, args ...any) {
		f = append(f, fault.Field{Field: field, Code: "invalid", Reason: fmt.Sprintf(format, args...)})
	}
	if a, err := mail.ParseAddress(p.Email); err != nil || a.Address != p.Email || len(p.Email) > 254 {
		bad("email", "must be an e-mail address such as ann@example.com")
	}
	if p.Phone != "" && !phoneForm.MatchString(p.Phone) {
		bad("phone", "must be a number such as +12025550101")
	}
	if len(p.Roles) == 0 || len(p.Roles) > mostRoles {
		bad("roles", "must name 1 to %d roles", mostRoles)
	}
	for _, r := range p.Roles {
		if !slices.Contains(Roles(), r) || r == Automation {
			bad("roles", "may hold roles of people, and %.40q is none", r)
			break
		}
	}
	if _, err := time.LoadLocation(p.Zone); err != nil || p.Zone == "Local" {
		bad("time_zone", "is no IANA time zone such as Europe/Berlin")
	}
	for field, words := range map[string][]string{"languages": p.Languages, "regions": p.Regions, "skills": p.Skills} {
		if len(words) > mostWords || slices.ContainsFunc(words, func(w string) bool { return w == "" || len(w) > 60 }) {
			bad(field, "may hold %d words of at most 60 bytes", mostWords)
		}
	}
	if p.Until != nil && !p.Until.After(now) {
		bad("until", "lies in the past")
	}
	slices.SortStableFunc(f, func(a, b fault.Field) int { return strings.Compare(a.Field, b.Field) })
	return f
}

// shut says why nobody is let in as the owner of an account, "" when she is.
func (s Staff) shut(now time.Time) string {
	switch {
	case s.Disabled != nil:
		return "disabled"
	case s.Until != nil && !now.Before(*s.Until):
		return "over"
	case len(s.Roles) == 0:
		return noRoles
	}
	return ""
}

const noRoles = "without a role"

// closed says why an account lets nobody in by its own password and second factor, "" when it is open.
func (s Staff) closed(now time.Time) string {
	if why := s.shut(now); why != "" {
		return why
	}
	if s.Login == nil {
		return "not enrolled"
	}
	return ""
}

// State says in a word where an account stands: none (known by tokens alone), invited, active, disabled, over.
func (s Staff) State(now time.Time) string {
	switch why := s.shut(now); {
	case s.Email == "":
		return "none"
	case why == noRoles || why == "" && s.Login == nil && s.Single == nil:
		return "invited"
	case why == "":
		return "active"
	default:
		return why
	}
}

func foldEmail(email string) string { return FoldName(email) }

// Newcomer is somebody to be given an account.
type Newcomer struct {
	Name string `json:"name"`
	Profile
}

// Invited is an account that waits for its owner, with the link by which she enrols. The link is shown once.
type Invited struct {
	ID    string
	Name  string
	Link  string
	Until time.Time
}

// EnrolPath is the page behind an enrolment link.
const EnrolPath = "/desk/enrol"

// sensitive says whether roles can undo what others decide; granting one takes more than one person's word.
func sensitive(roles []Role) bool {
	return slices.Contains(roles, Admin) || slices.Contains(roles, Approver)
}

// AddStaff gives people accounts and a link each to enrol with; all of them or, when one row is wrong, none: the field names it, "staff[3].email". A name that
// is known by tokens alone gets its account. Who may do so is the caller's to see; granted is told in the transaction of each account that can approve or
// administrate, and may refuse.
func (g *Gate) AddStaff(ctx context.Context, by, baseURL string, people []Newcomer) ([]Invited, error) {
	if len(people) == 0 || len(people) > 1000 {
		return nil, fault.BadField("staff", "must be 1 to 1000 people")
	}
	now := g.now()
	var f []fault.Field
	seen := map[string]bool{}
	for i := range people {
		at := ""
		if len(people) > 1 {
			at = fmt.Sprintf("staff[%d].", i)
		}
		p := &people[i]
		name, err := cleanName(p.Name)
		if err != nil {
			f = append(f, fault.Field{Field: at + "name", Code: "invalid", Reason: "is missing, too long, or has a character that nobody can see"})
		}
		p.Name = name
		for _, wrong := range p.Profile.bad(now) {
			wrong.Field = at + wrong.Field
			f = append(f, wrong)
		}
		for field, value := range map[string]string{"name": FoldName(p.Name), "email": foldEmail(p.Email)} {
			if seen[field+value] {
				f = append(f, fault.Field{Field: at + field, Code: "twice", Reason: "is there twice"})
			}
			seen[field+value] = true
		}
	}
	if len(f) > 0 {
		return nil, fault.BadFields(f...)
	}
	var all []Invited
	err := retry(func() error {
		all = nil
		return g.DB.Update(ctx, store.Act{By: by, Verb: "staff.add"}, func(tx *store.Tx) error {
			all = nil
			for i, p := range people {
				at := ""
				if len(people) > 1 {
					at = fmt.Sprintf("staff[%d].", i)
				}
				rec, err := g.addOne(tx, by, at, p)
				if err != nil {
					return err
				}
				made, err := g.invite(tx, by, rec, now)
				if err != nil {
					return err
				}
				all = append(all, made)
			}
			return nil
		})
	})
	for i := range all {
		all[i].Link = linkTo(baseURL, EnrolPath, all[i].Link)
	}
	return all, err
}

func linkTo(baseURL, path, plain string) string {
	return strings.TrimSuffix(baseURL, "/") + path + "?" + LinkParam + "=" + url.QueryEscape(plain)
}

func (g *Gate) addOne(tx *store.Tx, by, at string, p Newcomer) (rec store.Rec[Staff], err error) {
	if _, err := byEmail(tx, p.Email); err == nil {
		return rec, fault.BadField(at+"email", "belongs to somebody who has an account")
	} else if fault.Of(err) != fault.NotFound {
		return rec, err
	}
	rec, err = staff.First(tx, store.Query{Index: "name", Equal: []any{FoldName(p.Name)}})
	switch {
	case fault.Of(err) == fault.NotFound:
		rec.ID = staff.NewID()
	case err != nil:
		return rec, err
	case rec.Value.Email != "":
		return rec, fault.BadField(at+"name", "belongs to somebody who has an account; a middle name or an initial tells them apart")
	}
	tx.On(rec.ID)
	if err := staff.Put(tx, rec.ID, Staff{Name: p.Name, Profile: p.Profile}, rec.Version); err != nil {
		return rec, err
	}
	if err := g.granted(tx, by, rec.ID, p.Roles); err != nil {
		return rec, err
	}
	rec.Value, rec.Meta, err = staff.Get(tx, rec.ID)
	return rec, err
}

// granted tells who has to know that somebody was given roles. Until there is a first account there is nobody whom they could be kept from.
func (g *Gate) granted(tx *store.Tx, by, id string, roles []Role) error {
	if !sensitive(roles) || g.Granted == nil {
		return nil
	}
	if n, err := staff.Count(tx, store.Query{Index: "account", Equal: []any{true}}); err != nil || n == 0 {
		return err
	}
	return g.Granted(tx, Granting{Staff: id, By: by})
}

// invite makes the one link by which somebody enrols; an older one ends.
func (g *Gate) invite(tx *store.Tx, by string, of store.Rec[Staff], now time.Time) (Invited, error) {
	id, s := of.ID, of.Value
	for rec, err := range passes.Scan(tx, store.Query{Index: "staff", Equal: []any{id}}) {
		if err != nil {
			return Invited{}, err
		}
		if p := rec.Value; p.For == ForEnrol && p.Used == nil && p.Revoked == nil {
			p.Revoked = &now
			if err := passes.Put(tx, rec.ID, p, rec.Version); err != nil {
				return Invited{}, err
			}
		}
	}
	plain, hash := secret.Token()
	p := Pass{Staff: id, Name: s.Name, For: ForEnrol, Secret: hash, Issued: now, IssuedBy: by, Expires: now.Add(EnrolFor)}
	if s.Until != nil && s.Until.Before(p.Expires) {
		p.Expires = *s.Until
	}
	pass := passes.NewID()
	tx.On(pass, id)
	return Invited{ID: id, Name: s.Name, Link: pass + "." + plain, Until: p.Expires}, passes.Put(tx, pass, p, 0)
}

func byEmail(tx *store.Tx, email string) (store.Rec[Staff], error) {
	return staff.First(tx, store.Query{Index: "email", Equal: []any{foldEmail(email)}})
}

// Enrolment is what somebody sees behind her link before she has an account.
type Enrolment struct {
	Name, Email string
	First       bool   // the first account of all: she names herself
	Secret, URL string // of the second factor
}

// Enrolling reads an enrolment link. It consumes nothing and may be looked at again.
func (g *Gate) Enrolling(ctx context.Context, link string) (e Enrolment, err error) {
	id, plain, _ := strings.Cut(link, ".")
	refused := ""
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		p, s, err := g.enrolment(tx, id, plain, &refused)
		e = Enrolment{Name: s.Value.Name, Email: s.Value.Email, First: p.Value.Staff == ""}
		return err
	})
	if notOurs(err) {
		return e, g.refuse("enrolment: "+refused, "token", id)
	}
	e.Secret = g.Key.factorOf(link)
	account := e.Email
	if e.First {
		account = "first administrator"
	}
	e.URL = factorURL(g.issuer(), account, e.Secret)
	return e, err
}

// enrolment finds the pass of an enrolment link and whose it is; nobody's when it is for the first account of all.
func (g *Gate) enrolment(tx *store.Tx, id, plain string, refused *string) (p store.Rec[Pass], s store.Rec[Staff], err error) {
	if p.Value, p.Meta, err = passes.Get(tx, id); err != nil {
		return p, s, err
	}
	switch {
	case p.Value.For != ForEnrol:
		*refused = "not for enrolling"
	default:
		*refused = p.Value.spent(plain, g.now())
	}
	if *refused == "" && p.Value.Staff == "" {
		n, err := staff.Count(tx, store.Query{Index: "account", Equal: []any{true}})
		if err != nil {
			return p, s, err
		}
		if n > 0 {
			*refused = "somebody has an account already"
		}
	}
	if *refused != "" {
		return p, s, fault.New(fault.NotFound, "%s", *refused)
	}
	if p.Value.Staff != "" {
		s.Value, s.Meta, err = staff.Get(tx, p.Value.Staff)
		if err == nil && (s.Value.Disabled != nil || s.Value.Email == "") {
			*refused = "the account is closed"
			err = fault.New(fault.NotFound, "%s", *refused)
		}
	}
	return p, s, err
}

// Enrol is what somebody brings who enrols.
type Enrol struct {
	Link, Password, Code string
	Name, Email          string // of the first account of all
	Source               string // network she comes from
}

// Enrol gives an account its password and second factor, opens a session, and shows the recovery codes once. The link is used by it.
func (g *Gate) Enrol(ctx context.Context, e Enrol) (s Session, cookie string, codes []string, err error) {
	seen, err := g.Enrolling(ctx, e.Link)
	if err != nil {
		return s, "", nil, err
	}
	id, plain, _ := strings.Cut(e.Link, ".")
	if err := limit.Take(ctx, g.DB, "enrol by "+id, 30, 15*time.Minute); err != nil {
		return s, "", nil, err
	}
	now := g.now()
	who := Newcomer{seen.Name, Profile{Email: seen.Email}}
	var f []fault.Field
	if seen.First {
		who = Newcomer{e.Name, Profile{Email: strings.TrimSpace(e.Email), Roles: []Role{Admin}}}
		if who.Name, err = cleanName(e.Name); err != nil {
			f = append(f, fault.Field{Field: "name", Code: "invalid", Reason: "is missing or cannot be read"})
		}
		f = append(f, who.Profile.bad(now)...)
	}
	if why := badPassword(e.Password, who.Name, who.Email); why != "" {
		f = append(f, fault.Field{Field: "password", Code: "weak", Reason: why})
	}
	step, ok := stepOf(seen.Secret, e.Code, 0, now)
	if !ok {
		f = append(f, fault.Field{Field: "code", Code: "wrong", Reason: "is not what your app shows now; look at the clock of your phone and type the newest one"})
	}
	if len(f) > 0 {
		return s, "", nil, fault.BadFields(f...)
	}
	kept, err := g.hash(ctx, e.Password)
	if err != nil {
		return s, "", nil, err
	}
	codes, hashes := newCodes()
	has := &login{Password: kept, Factor: seen.Secret, Step: step, Codes: hashes, Places: [][]byte{place(e.Source)}, At: now}
	refused := ""
	err = retry(func() error {
		return g.DB.Update(ctx, store.Act{By: "system:sign-in", Verb: "staff.enrol"}, func(tx *store.Tx) error {
			p, rec, err := g.enrolment(tx, id, plain, &refused)
			if err != nil {
				return err
			}
			if seen.First {
				if rec, err = g.addOne(tx, OperatorID, "", who); err != nil {
					return err
				}
				p.Value.Staff = rec.ID
			}
			rec.Value.Account, rec.Value.Login = &now, has
			p.Value.Used = &now
			if err := passes.Put(tx, id, p.Value, p.Version); err != nil {
				return err
			}
			if err := tx.Journal(factUsed, id, when{now}); err != nil {
				return err
			}
			if err := g.wayIn(tx, rec.ID, rec.Value, rec.ID, WayInSetUp); err != nil {
				return err
			}
			tx.On(id)
			s, cookie, err = g.openFor(tx, rec, has, &now, now)
			return err
		})
	})
	if notOurs(err) {
		return s, "", nil, g.refuse("enrolment: "+refused, "token", id)
	}
	return s, cookie, codes, err
}

// openFor keeps what a sign-in changed of an account, and opens a session of it; proved is when it saw the second factor, nil when it did not.
func (g *Gate) openFor(tx *store.Tx, rec store.Rec[Staff], has *login, proved *time.Time, now time.Time) (Session, string, error) {
	value, s, sid := g.newSession()
	st := rec.Value
	st.Login = has
	if err := staff.Put(tx, rec.ID, st, rec.Version); err != nil {
		return s, "", err
	}
	s.Staff, s.Name, s.Role, s.Proved = rec.ID, st.Name, st.Roles[0], proved
	s.Expires = now.Add(MaxPerson)
	if st.Until != nil && st.Until.Before(s.Expires) {
		s.Expires = *st.Until
	}
	tx.On(sid, rec.ID)
	if st.Glass && g.Glass != nil {
		if err := g.Glass(tx, rec.ID); err != nil {
			return s, "", err
		}
	}
	return s, value, sessions.Put(tx, sid, s, 0)
}

// place is the digest of a network that somebody signs in from.
func place(source string) []byte {
	sum := sha256.Sum256([]byte("lifeline place\x00" + source))
	return sum[:16]
}

func (l *login) knows(source string) bool {
	return l != nil && slices.ContainsFunc(l.Places, func(p []byte) bool { return string(p) == string(place(source)) })
}

// came notes a sign-in and where it came from.
func (l *login) came(source string, now time.Time) {
	if !l.knows(source) {
		l.Places = append([][]byte{place(source)}, l.Places...)
		l.Places = l.Places[:min(len(l.Places), knownPlaces)]
	}
	l.At = now
}

// Credentials are what somebody signs in with.
type Credentials struct {
	Email, Password string
	Code            string // of the second factor, or a recovery code
	Source          string // network she comes from
}

// Wrong tries are counted by the account and by where they come from, and only those. Where she has signed in before, her account has a count of its own, so
// that nobody elsewhere keeps her out; each ends by itself.
const (
	triesKnown  = 15 // of one account from a network that it signed in from
	triesElse   = 20 // of one account from everywhere else
	triesSource = 60 // from one network, of all accounts
	triesFor    = 15 * time.Minute
)

func signInLimits(account, source string, known bool) []string {
	if known {
		return []string{"sign-in of " + account + " from " + source}
	}
	return []string{"sign-in of " + account + " from elsewhere", "sign-in from " + source}
}

func triesOf(key string) limit.Rule {
	switch {
	case strings.HasSuffix(key, " from elsewhere"):
		return limit.Rule{N: triesElse, Per: triesFor}
	case strings.HasPrefix(key, "sign-in from "):
		return limit.Rule{N: triesSource, Per: triesFor}
	}
	return limit.Rule{N: triesKnown, Per: triesFor}
}

// mayTry fails with fault.TooMany after too many wrong tries.
func mayTry(tx *store.Tx, keys []string) error {
	for _, key := range keys {
		if _, err := limit.Look(tx, key, triesOf(key)); err != nil {
			return err
		}
	}
	return nil
}

// missed counts a wrong try.
func (g *Gate) missed(ctx context.Context, keys []string) error {
	for _, key := range keys {
		rule := triesOf(key)
		if err := limit.Take(ctx, g.DB, key, rule.N, rule.Per); err != nil && fault.Of(err) != fault.TooMany {
			return err
		}
	}
	return nil
}

// SignIn opens a session for an account. It fails with fault.Unauthentic in the same words and after the same work whatever was wrong, or with fault.TooMany
// after too many wrong tries.
func (g *Gate) SignIn(ctx context.Context, c Credentials) (s Session, cookie string, err error) {
	var rec store.Rec[Staff]
	var keys []string
	c.Email = strings.TrimSpace(c.Email)
	if len(c.Email) > 254 || len(c.Code) > 100 {
		return s, "", g.refuse("too long")
	}
	err = g.DB.View(ctx, func(tx *store.Tx) (err error) {
		rec, err = byEmail(tx, c.Email)
		if err != nil && !notOurs(err) {
			return err
		}
		of := rec.ID
		if of == "" {
			of = foldEmail(c.Email)
		}
		keys = signInLimits(of, c.Source, rec.Value.Login.knows(c.Source))
		return mayTry(tx, keys)
	})
	if err != nil {
		return s, "", err
	}
	kept := ""
	if rec.Value.Login != nil {
		kept = rec.Value.Login.Password
	}
	right, err := g.matches(ctx, c.Password, kept)
	if err != nil {
		return s, "", err
	}
	why := "wrong password"
	if right {
		s, cookie, why, err = g.admit(ctx, rec.ID, c)
		if err != nil || why == "" {
			return s, cookie, err
		}
	}
	if err := g.missed(ctx, keys); err != nil {
		return Session{}, "", err
	}
	return Session{}, "", g.refuseAt(slog.LevelInfo, why, "staff", rec.ID)
}

// admit opens a session for who knew the password, if the second factor holds too; else it says why not.
func (g *Gate) admit(ctx context.Context, id string, c Credentials) (s Session, cookie, why string, err error) {
	return g.letIn(ctx, id, c.Source, func(tx *store.Tx, st Staff, now time.Time) (*login, string, error) {
		next, ok, err := g.prove(tx, id, st, c.Code, now)
		if err != nil || !ok {
			return nil, "wrong second factor", err
		}
		return next, "", nil
	})
}

// letIn opens a session for whom proof convinces, in one transaction with what the proof uses up; else it says why not.
func (g *Gate) letIn(ctx context.Context, id, source string, proof func(*store.Tx, Staff, time.Time) (next *login, why string, err error)) (s Session, cookie, why string, err error) {
	now := g.now()
	err = retry(func() error {
		return g.DB.Update(ctx, store.Act{By: "system:sign-in", Verb: "session.open"}, func(tx *store.Tx) error {
			st, m, err := staff.Get(tx, id)
			if err != nil {
				return err
			}
			if why = st.closed(now); why != "" {
				return store.ErrNothing
			}
			var has *login
			if has, why, err = proof(tx, st, now); err != nil || why != "" {
				return cmp.Or(err, store.ErrNothing)
			}
			has.came(source, now)
			s, cookie, err = g.openFor(tx, store.Rec[Staff]{Meta: m, Value: st}, has, &now, now)
			return err
		})
	})
	return s, cookie, why, err
}

// prove is somebody's login after a code of the second factor or a recovery code was given; each works once, also after a restore.
func (g *Gate) prove(tx *store.Tx, id string, s Staff, code string, now time.Time) (*login, bool, error) {
	l, next := s.Login, *s.Login
	if step, ok := stepOf(l.Factor, code, l.Step, now); ok {
		next.Step = step
		return &next, true, nil
	}
	for i, hash := range l.Codes {
		if secret.Match(code, hash) {
			next.Codes = slices.Delete(slices.Clone(l.Codes), i, i+1)
			if err := g.tellOwner(tx, s, WayIn{Staff: id, What: WayInRecovery, By: ByOwner, Left: len(next.Codes)}); err != nil {
				return nil, false, err
			}
			return &next, true, tx.Journal(factAccount, id, accountFact{At: now, Code: hash})
		}
	}
	return l, false, nil
}

// Prove renews a session by the second factor, so that she may approve for a while: a new cookie and a new form token, as at every change of level.
func (g *Gate) Prove(ctx context.Context, cookie, code string) (Session, string, error) {
	_, old, err := g.session(ctx, cookie)
	if err != nil {
		return Session{}, "", err
	}
	if err := limit.Take(ctx, g.DB, "prove "+old.Staff, triesKnown, triesFor); err != nil {
		return Session{}, "", err
	}
	return g.renew(ctx, cookie, func(tx *store.Tx, s *Session, now time.Time) error {
		st, m, err := staff.Get(tx, s.Staff)
		if err != nil {
			return err
		}
		if st.closed(now) != "" {
			return fault.New(fault.Forbidden, "only who has an account of her own has a second factor; a sign-in link opens no more than it says")
		}
		has, ok, err := g.prove(tx, s.Staff, st, code, now)
		if err != nil {
			return err
		}
		if !ok {
			return fault.BadField("code", "is not what your app shows now, or was used already; wait for the next one")
		}
		st.Login, s.Proved = has, &now
		return staff.Put(tx, s.Staff, st, m.Version)
	})
}

// ActAs renews a session in another of the roles that her account has.
func (g *Gate) ActAs(ctx context.Context, cookie string, role Role) (Session, string, error) {
	return g.renew(ctx, cookie, func(tx *store.Tx, s *Session, now time.Time) error {
		st, _, err := staff.Get(tx, s.Staff)
		if err != nil {
			return err
		}
		if st.shut(now) != "" || !slices.Contains(st.Roles, role) {
			return fault.BadField("role", "is not one of yours")
		}
		s.Role = role
		return nil
	})
}

// justProved is nil when somebody has just given her second factor.
func (g *Gate) justProved(p Person) error {
	if p.Proved.IsZero() || g.now().Sub(p.Proved) >= Fresh {
		return fault.New(fault.Forbidden, "give your second factor first; it counts for %d minutes", int(Fresh.Minutes()))
	}
	return nil
}

// NewPassword changes the password of who is signed in and has just given her second factor, and ends all her other sessions.
func (g *Gate) NewPassword(ctx context.Context, p Person, old, password string) error {
	if err := g.justProved(p); err != nil {
		return err
	}
	var st Staff
	if err := g.DB.View(ctx, func(tx *store.Tx) (err error) {
		st, _, err = staff.Get(tx, p.ID)
		return err
	}); err != nil {
		return err
	}
	if st.Login == nil {
		return fault.New(fault.Forbidden, "you have no account of your own")
	}
	if why := badPassword(password, st.Name, st.Email); why != "" {
		return fault.BadField("password", "%s", why)
	}
	if err := limit.Take(ctx, g.DB, "new password of "+p.ID, triesKnown, triesFor); err != nil {
		return err
	}
	if right, err := g.matches(ctx, old, st.Login.Password); err != nil || !right {
		if err == nil {
			err = fault.BadField("old", "is not your password")
		}
		return err
	}
	kept, err := g.hash(ctx, password)
	if err != nil {
		return err
	}
	now := g.now()
	return g.DB.Update(ctx, store.Act{By: p.ID, Verb: "staff.password"}, func(tx *store.Tx) error {
		st, m, err := staff.Get(tx, p.ID)
		if err != nil {
			return err
		}
		has := *st.Login
		has.Password = kept
		st.Login = &has
		tx.On(p.ID)
		if err := g.wayIn(tx, p.ID, st, p.ID, WayInPassword); err != nil {
			return err
		}
		for rec, err := range sessions.Scan(tx, store.Query{Index: "staff", Equal: []any{p.ID}}) {
			if err != nil {
				return err
			}
			if rec.ID == p.Session {
				continue
			}
			if err := endSession(tx, rec.ID, now); err != nil {
				return err
			}
		}
		return staff.Put(tx, p.ID, st, m.Version)
	})
}
