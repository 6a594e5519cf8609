package auth

import (
	"context"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// Account is a staff record as those who manage staff see it; nothing in it opens anything.
type Account struct {
	ID      string
	Version int64
	Created time.Time
	Updated time.Time
	Name    string
	Profile
	State    string
	LastSeen time.Time // of her last sign-in
	Own      bool      // she signs in with a password and second factor of her own
	Single   bool      // and by single sign-on
	Follows  bool      // and her roles are those that her groups there give
	Program  bool      // it is none of the people
	Codes    int       // recovery codes left
	Passkeys []Passkey // that open it, beside her password
}

func (g *Gate) account(rec store.Rec[Staff]) Account {
	s := rec.Value
	a := Account{ID: rec.ID, Version: rec.Version, Created: rec.Created, Updated: rec.Updated, Name: s.Name, Profile: s.Profile, State: s.State(g.now()), Program: s.Program}
	if s.Login != nil {
		a.Own, a.LastSeen, a.Codes, a.Passkeys = true, s.Login.At, len(s.Login.Codes), s.Login.passkeys()
	}
	if s.Single != nil {
		a.Single, a.Follows = true, s.Single.Follows
		if s.Single.At.After(a.LastSeen) {
			a.LastSeen = s.Single.At
		}
	}
	return a
}

// Staff is a page of those who act here, in the order in which they came, and the cursor behind it.
func (g *Gate) Staff(ctx context.Context, after string, limit int) (page []Account, next string, err error) {
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		recs, cursor, err := staff.List(tx, store.Query{After: after, Limit: limit})
		page, next = nil, cursor
		for _, rec := range recs {
			page = append(page, g.account(rec))
		}
		return err
	})
	return page, next, err
}

// Account reads one of the staff.
func (g *Gate) Account(ctx context.Context, id string) (a Account, err error) {
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		s, m, err := staff.Get(tx, id)
		a = g.account(store.Rec[Staff]{Meta: m, Value: s})
		return err
	})
	return a, err
}

// Reachable is those whose account is open and has a role, as [Gate.Who] finds them.
type Reachable struct {
	ID, Name, Email, Phone, Locale string
	Regions                        []string
}

// Who finds, in somebody's transaction, those with one of the ids, or with a role when no ids are given, whose accounts are not closed. Who was invited counts:
// she can be told before she has enrolled.
func (g *Gate) Who(tx *store.Tx, role Role, ids []string) (all []Reachable, err error) {
	now := g.now()
	for rec, err := range staff.Scan(tx, store.Query{Index: "email", Limit: mostStaff}) {
		if err != nil {
			return nil, err
		}
		s := rec.Value
		wanted := slices.Contains(ids, rec.ID) || len(ids) == 0 && slices.Contains(s.Roles, role)
		if state := s.State(now); !wanted || state != "active" && state != "invited" {
			continue
		}
		all = append(all, Reachable{ID: rec.ID, Name: s.Name, Email: s.Email, Phone: s.Phone, Locale: s.locale(), Regions: s.Regions})
	}
	return all, nil
}

// WaysIn counts the people whose accounts are open, by what lets them in.
type WaysIn struct {
	Own    int `json:"own"`    // a password and second factor of their own, with single sign-on or without
	Single int `json:"single"` // single sign-on alone: they are kept out while it is down
}

// WaysIn counts who could sign in now.
func (g *Gate) WaysIn(ctx context.Context) (n WaysIn, err error) {
	now := g.now()
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		n = WaysIn{}
		for rec, err := range staff.Scan(tx, store.Query{Index: "email", Limit: mostStaff}) {
			switch s := rec.Value; {
			case err != nil:
				return err
			case s.shut(now) != "":
			case s.Login != nil:
				n.Own++
			case s.Single != nil:
				n.Single++
			}
		}
		return nil
	})
	return n, err
}

// ChangeStaff replaces what an account says of somebody. Version is the one that the caller saw; 0 is any. Sessions of hers end when her roles or the end of
// the account changed. Whoever changes roles that followed groups of single sign-on says them from then on.
func (g *Gate) ChangeStaff(ctx context.Context, by, id string, version int64, to Profile) (Account, error) {
	return g.withStaff(ctx, store.Act{By: by, Verb: "staff.change"}, id, version, func(tx *store.Tx, s *Staff, now time.Time) error {
		if f := to.bad(now); len(f) > 0 {
			return fault.BadFields(f...)
		}
		if other, err := byEmail(tx, to.Email); err == nil && other.ID != id {
			return fault.BadField("email", "belongs to somebody else who has an account")
		}
		if s.Email != "" && foldEmail(s.Email) != foldEmail(to.Email) { // told where she is reached until now: whoever changed it reads the new one
			if err := g.wayIn(tx, id, *s, by, WayInEmail); err != nil {
				return err
			}
		}
		was := s.Profile
		s.Profile = to
		if s.Single != nil && s.Single.Follows && !slices.Equal(was.Roles, to.Roles) {
			l := *s.Single
			l.Follows = false
			s.Single = &l
		}
		if err := g.granted(tx, by, id, gained(was.Roles, to.Roles)); err != nil {
			return err
		}
		if !slices.Equal(was.Roles, to.Roles) || (was.Until == nil) != (to.Until == nil) || was.Until != nil && !was.Until.Equal(*to.Until) {
			return endSessions(tx, id, "", now, time.Time{})
		}
		return nil
	})
}

// gained are the roles that somebody has now and had not.
func gained(was, now []Role) []Role {
	return slices.DeleteFunc(slices.Clone(now), func(r Role) bool { return slices.Contains(was, r) })
}

// Disable closes an account at once and ends everything of its owner's, also after a restore from before it.
func (g *Gate) Disable(ctx context.Context, by, id, reason string) (Account, error) {
	var ended []string
	a, err := g.withStaff(ctx, store.Act{By: by, Verb: "staff.disable", Reason: reason}, id, 0, func(tx *store.Tx, s *Staff, now time.Time) (err error) {
		s.Disabled = &now
		if ended, err = end(tx, id, now, time.Time{}); err != nil {
			return err
		}
		return tx.Journal(factAccount, id, accountFact{At: now, Disabled: true})
	})
	for _, t := range ended {
		g.forget(t)
	}
	return a, err
}

// Enable opens a disabled account again.
func (g *Gate) Enable(ctx context.Context, by, id string) (Account, error) {
	return g.withStaff(ctx, store.Act{By: by, Verb: "staff.enable"}, id, 0, func(tx *store.Tx, s *Staff, now time.Time) error {
		if s.Disabled == nil {
			return nil
		}
		s.Disabled = nil
		if err := g.granted(tx, by, id, s.Roles); err != nil {
			return err
		}
		return tx.Journal(factAccount, id, accountFact{At: now})
	})
}

// Invite makes a new link to enrol with, and ends the one before. With reset what she signed in with ends too, with all her sessions: as when the phone is lost.
func (g *Gate) Invite(ctx context.Context, by, id, baseURL string, reset Reset) (made Invited, err error) {
	_, err = g.withStaff(ctx, store.Act{By: by, Verb: "staff.invite"}, id, 0, func(tx *store.Tx, s *Staff, now time.Time) (err error) {
		switch {
		case s.Email == "":
			return fault.New(fault.Conflict, "%s is known by tokens alone; add an account for that name first", s.Name)
		case s.Login != nil && reset == KeepLogin:
			return fault.New(fault.Conflict, "this account is enrolled; reset it when what its owner signs in with is lost")
		case s.Login != nil: // whoever holds the new link is let in as her
			if err := g.granted(tx, by, id, s.Roles); err != nil {
				return err
			}
			if err := tx.Journal(factAccount, id, accountFact{At: now, Reset: true}); err != nil {
				return err
			}
		}
		if reset == DropLogin && (s.Login != nil || s.Single != nil) {
			if err := g.wayIn(tx, id, *s, by, WayInReset); err != nil {
				return err
			}
		}
		if reset == DropLogin {
			s.Single = nil
		}
		s.Login = nil
		if err := endSessions(tx, id, "", now, time.Time{}); err != nil {
			return err
		}
		made, err = g.invite(tx, by, store.Rec[Staff]{Meta: store.Meta{ID: id}, Value: *s}, now)
		return err
	})
	made.Link = linkTo(baseURL, EnrolPath, made.Link)
	return made, err
}

// Reset says whether a new link may take the place of what somebody signs in with.
type Reset string

// What an invitation does to what there is.
const (
	KeepLogin Reset = ""
	DropLogin Reset = "drop"
)

func (g *Gate) withStaff(ctx context.Context, act store.Act, id string, version int64, do func(*store.Tx, *Staff, time.Time) error) (a Account, err error) {
	now := g.now()
	err = retry(func() error {
		return g.DB.Update(ctx, act, func(tx *store.Tx) error {
			s, m, err := staff.Get(tx, id)
			if err != nil {
				return err
			}
			if version != 0 && version != m.Version {
				return fault.New(fault.Stale, "this account was changed meanwhile: version %d, not %d", m.Version, version)
			}
			tx.On(id)
			if err := do(tx, &s, now); err != nil {
				return err
			}
			if err := staff.Put(tx, id, s, m.Version); err != nil {
				return err
			}
			s, m, err = staff.Get(tx, id)
			a = g.account(store.Rec[Staff]{Meta: m, Value: s})
			return err
		})
	})
	return a, err
}

// mostSessions bounds a list of what one person has open.
const mostSessions = 50

// SessionsOf is what one person has open.
func (g *Gate) SessionsOf(ctx context.Context, id string) (all []Listed, err error) {
	now := g.now()
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		for rec, err := range sessions.Scan(tx, store.Query{Index: "staff", Equal: []any{id}}) {
			if err != nil {
				return err
			}
			if l := listed(rec, now); l.Live && len(all) < mostSessions {
				all = append(all, l)
			}
		}
		return nil
	})
	return all, err
}

// EndOwn ends a session of who asks; one of somebody else's is not found.
func (g *Gate) EndOwn(ctx context.Context, p Person, session string) error {
	if err := g.DB.View(ctx, func(tx *store.Tx) error {
		s, _, err := sessions.Get(tx, session)
		if err == nil && s.Staff != p.ID {
			err = fault.New(fault.NotFound, "there is no session %.80q of yours", session)
		}
		return err
	}); err != nil {
		return err
	}
	return g.Revoke(ctx, p.ID, session, "ended by its owner")
}

// SetUp makes the link by which the first account of all is made: an administrator's. It is made anew at each start, the one before ends, and none works once
// somebody has an account. "" says that somebody has.
func (g *Gate) SetUp(ctx context.Context, baseURL string) (string, error) {
	now := g.now()
	plain, hash := secret.Token()
	id, closed := passes.NewID(), false
	err := retry(func() error {
		return g.DB.Update(ctx, store.Act{By: "system:start", Verb: "staff.setup"}, func(tx *store.Tx) error {
			n, err := staff.Count(tx, store.Query{Index: "account", Equal: []any{true}})
			if closed = n > 0; err != nil || closed {
				if err == nil {
					err = store.ErrNothing
				}
				return err
			}
			for rec, err := range passes.Scan(tx, store.Query{Index: "staff", Equal: []any{""}}) {
				if err == nil {
					err = passes.Delete(tx, rec.ID, rec.Version)
				}
				if err != nil {
					return err
				}
			}
			tx.On(id)
			return passes.Put(tx, id, Pass{For: ForEnrol, Secret: hash, Issued: now, IssuedBy: OperatorID, Expires: now.Add(24 * time.Hour)}, 0)
		})
	})
	if err != nil || closed {
		return "", err
	}
	return linkTo(baseURL, EnrolPath, id+"."+plain), nil
}

// Able are those of the staff who can be called and who have a right in one of their roles without a condition, by name.
func (g *Gate) Able(ctx context.Context, right Right) (all []Member, err error) {
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		now := g.now()
		for rec, err := range staff.Scan(tx, store.Query{Index: "email", Limit: mostStaff}) {
			if err != nil {
				return err
			}
			able := slices.ContainsFunc(rec.Value.Roles, func(r Role) bool { return Can(r, right) == Yes })
			if state := rec.Value.State(now); able && (state == "active" || state == "invited") {
				all = append(all, Member{rec.ID, rec.Value.Name})
			}
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}
