package auth

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// Session is a browser's sign-in. It ends 30 minutes after its last use, at Expires, or when somebody ends it.
type Session struct {
	Staff   string     `json:"staff"`
	Name    string     `json:"name"`
	Role    Role       `json:"role"`
	From    string     `json:"from"`   // the link that opened it
	Secret  []byte     `json:"secret"` // hash of what the cookie carries
	CSRF    string     `json:"csrf"`
	Opened  time.Time  `json:"opened"`
	Seen    time.Time  `json:"seen"` // last use, to the minute
	Expires time.Time  `json:"expires"`
	Proved  *time.Time `json:"proved,omitempty"` // when it last saw a second factor; nil: never
	Ended   *time.Time `json:"ended,omitempty"`
}

var sessions = store.Table[Session]{
	Kind: store.Kind{Name: "session", Prefix: "ses", Schema: 1, Indexes: []store.Index{
		{Name: "staff", Fields: []store.Field{{Name: "staff", Type: store.Text}}},
		{Name: "expires", Fields: []store.Field{{Name: "expires", Type: store.Time}}},
	}},
	Tuples: func(s Session) store.Tuples { return store.Tuples{"staff": {s.Staff}, "expires": {s.Expires}} },
}

// ended says why a session is over, "" while it is not.
func (s Session) ended(now time.Time) string {
	switch {
	case s.Ended != nil:
		return "ended"
	case !now.Before(s.Expires):
		return "expired"
	case now.Sub(s.Seen) >= Idle:
		return "idle"
	}
	return ""
}

func (s Session) person(id string) Person {
	p := Person{ID: s.Staff, Name: s.Name, Role: s.Role, Token: s.From, Session: id, Expires: s.Expires, Interactive: true}
	if s.Proved != nil {
		p.Proved = *s.Proved
	}
	return p
}

// Open consumes a sign-in link and opens a session. The cookie's value is shown once; its cookie must be Secure, HttpOnly, SameSite=Lax
// and end with the session. It fails with fault.Unauthentic in the same words for a link that is wrong, used, revoked or too old.
func (g *Gate) Open(ctx context.Context, link string) (Session, string, error) {
	id, plain, _ := strings.Cut(link, ".")
	value, s, sid := g.newSession()
	refused := ""
	err := g.DB.View(ctx, func(tx *store.Tx) error { // so that guessing never reaches the writers
		p, _, err := passes.Get(tx, id)
		if err == nil {
			if refused = p.closed(plain, s.Opened); refused != "" {
				return fault.New(fault.NotFound, "%s", refused)
			}
		}
		return err
	})
	if notOurs(err) {
		return Session{}, "", g.refuse("link: "+refused, "token", id)
	}
	if err != nil {
		return Session{}, "", err
	}
	err = retry(func() error {
		refused = ""
		return g.DB.Update(ctx, store.Act{By: "system:sign-in", Verb: "session.open"}, func(tx *store.Tx) error {
			p, m, err := passes.Get(tx, id)
			if err != nil {
				return err
			}
			if refused = p.closed(plain, s.Opened); refused != "" {
				return fault.New(fault.NotFound, "%s", refused)
			}
			used := s.Opened
			p.Used = &used
			s.Staff, s.Name, s.Role, s.From = p.Staff, p.Name, p.Role, id
			s.Expires = s.Opened.Add(min(time.Duration(p.Lasts)*time.Second, MaxPerson))
			tx.On(sid, id, p.Staff)
			if err := passes.Put(tx, id, p, m.Version); err != nil {
				return err
			}
			if err := tx.Journal(factUsed, id, when{used}); err != nil {
				return err
			}
			return sessions.Put(tx, sid, s, 0)
		})
	})
	if notOurs(err) {
		return Session{}, "", g.refuse("link: "+refused, "token", id)
	}
	if err != nil {
		return Session{}, "", err
	}
	return s, value, nil
}

// closed says why a link opens nothing, "" when it opens a session.
func (p Pass) closed(plain string, now time.Time) string {
	if p.For != ForLink {
		return "not a link"
	}
	return p.spent(plain, now)
}

// spent says why what was made to be used once does not hold, "" while it does.
func (p Pass) spent(plain string, now time.Time) string {
	switch {
	case !secret.Match(plain, p.Secret):
		return "wrong secret"
	case p.Revoked != nil:
		return "revoked"
	case p.Used != nil:
		return "used"
	case !now.Before(p.Expires):
		return "expired"
	}
	return ""
}

func (g *Gate) newSession() (value string, s Session, id string) {
	plain, hash := secret.Token()
	now := g.now()
	id = sessions.NewID()
	return id + "." + plain, Session{Secret: hash, CSRF: rand.Text(), Opened: now, Seen: now}, id
}

// Session recognises who sent a cookie and gives the token that her forms must carry (see [SameToken]). It fails with
// fault.Unauthentic when there is no such session, or no longer.
func (g *Gate) Session(ctx context.Context, cookie string) (Person, string, error) {
	id, s, err := g.session(ctx, cookie)
	if err != nil {
		return Person{}, "", err
	}
	now := g.now()
	if now.Sub(s.Seen) >= touchSession {
		g.touchSession(ctx, id, now)
	}
	return s.person(id), s.CSRF, nil
}

func (g *Gate) session(ctx context.Context, cookie string) (string, Session, error) {
	id, plain, _ := strings.Cut(cookie, ".")
	var s Session
	err := g.DB.View(ctx, func(tx *store.Tx) (err error) {
		s, _, err = sessions.Get(tx, id)
		return err
	})
	if notOurs(err) {
		return "", Session{}, g.refuse("no such session")
	}
	if err != nil {
		return "", Session{}, err
	}
	if !secret.Match(plain, s.Secret) {
		return "", Session{}, g.refuse("wrong cookie", "session", id)
	}
	if why := s.ended(g.now()); why != "" {
		return "", Session{}, g.refuse(why, "session", id)
	}
	return id, s, nil
}

// touchSession notes the last use. When the note is lost the session ends a little early, which is the safe side.
func (g *Gate) touchSession(ctx context.Context, id string, now time.Time) {
	err := g.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		s, m, err := sessions.Get(tx, id)
		if err != nil || s.ended(now) != "" || !now.After(s.Seen) {
			return err
		}
		s.Seen = now
		return sessions.Put(tx, id, s, m.Version)
	})
	if err != nil && fault.Of(err) != fault.Stale {
		g.log().Warn("a session's last use was not noted", "session", id, "err", err)
	}
}

// Renew ends a session and opens another for the same person, with a new cookie and a new form token, as at every change of level: who
// knew the old cookie gains nothing by it. The new one ends no later than the old one would have.
func (g *Gate) Renew(ctx context.Context, cookie string) (Session, string, error) {
	return g.renew(ctx, cookie, func(*store.Tx, *Session, time.Time) error { return nil })
}

// renew is Renew with something that changes in the same transaction, or refuses it.
func (g *Gate) renew(ctx context.Context, cookie string, change func(*store.Tx, *Session, time.Time) error) (Session, string, error) {
	old, _, err := g.session(ctx, cookie)
	if err != nil {
		return Session{}, "", err
	}
	value, fresh, id := g.newSession()
	var s Session
	err = retry(func() error {
		return g.DB.Update(ctx, store.Act{By: "system:sign-in", Verb: "session.renew"}, func(tx *store.Tx) error {
			was, m, err := sessions.Get(tx, old)
			if err != nil {
				return err
			}
			if why := was.ended(fresh.Opened); why != "" {
				return fault.New(fault.NotFound, "%s", why)
			}
			s = was
			s.Secret, s.CSRF, s.Opened, s.Seen = fresh.Secret, fresh.CSRF, fresh.Opened, fresh.Seen
			if err := change(tx, &s, fresh.Opened); err != nil {
				return err
			}
			was.Ended = &fresh.Opened
			tx.On(id, old, s.Staff)
			if err := sessions.Put(tx, old, was, m.Version); err != nil {
				return err
			}
			if err := tx.Journal(factEnded, old, when{fresh.Opened}); err != nil {
				return err
			}
			return sessions.Put(tx, id, s, 0)
		})
	})
	if notOurs(err) {
		return Session{}, "", g.refuse("ended meanwhile", "session", old)
	}
	if err != nil {
		return Session{}, "", err
	}
	return s, value, nil
}

// SignOut ends the session of a cookie. One that has ended already, or never was, is no error.
func (g *Gate) SignOut(ctx context.Context, cookie string) error {
	id, s, err := g.session(ctx, cookie)
	if fault.Of(err) == fault.Unauthentic {
		return nil
	}
	if err != nil {
		return err
	}
	return g.Revoke(ctx, s.Staff, id, "signed out")
}
