package auth

import (
	"context"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Revoke ends what id names: a token or link with every session that it opened, a session, or everything of a person (tok_, ses_,
// stf_). Every replica refuses it within two seconds. What has ended already stays as it is; an id that is none of these is not found.
func (g *Gate) Revoke(ctx context.Context, by, id, reason string) error {
	now := g.now()
	var ended []string
	err := retry(func() error {
		return g.DB.Update(ctx, store.Act{By: by, Verb: "token.revoke", Reason: reason}, func(tx *store.Tx) (err error) {
			tx.On(id)
			if ended, err = end(tx, id, now, time.Time{}); err != nil {
				return err
			}
			return tx.Journal(factEnded, id, when{now})
		})
	})
	if err != nil {
		return err
	}
	for _, t := range ended {
		g.forget(t)
	}
	return nil
}

// end ends what an id names; what began behind until stays, unless until is zero.
func end(tx *store.Tx, id string, now, until time.Time) (ended []string, err error) {
	switch prefix, _, _ := strings.Cut(id, "_"); prefix {
	case passes.Prefix:
		return endPass(tx, id, now)
	case sessions.Prefix:
		return nil, endSession(tx, id, now)
	case staff.Prefix:
		return endStaff(tx, id, now, until)
	}
	return nil, fault.New(fault.NotFound, "%.80q names no token, session or person", id)
}

func endPass(tx *store.Tx, id string, now time.Time) ([]string, error) {
	p, m, err := passes.Get(tx, id)
	if err != nil {
		return nil, err
	}
	if p.Revoked == nil {
		p.Revoked = &now
		if err := passes.Put(tx, id, p, m.Version); err != nil {
			return nil, err
		}
	}
	return []string{id}, endSessions(tx, p.Staff, id, now, time.Time{})
}

func endStaff(tx *store.Tx, id string, now, until time.Time) ([]string, error) {
	if _, _, err := staff.Get(tx, id); err != nil {
		return nil, err
	}
	var ended []string
	for rec, err := range passes.Scan(tx, store.Query{Index: "staff", Equal: []any{id}}) {
		if err != nil {
			return nil, err
		}
		if p := rec.Value; p.Revoked == nil && (until.IsZero() || !p.Issued.After(until)) {
			p.Revoked = &now
			if err := passes.Put(tx, rec.ID, p, rec.Version); err != nil {
				return nil, err
			}
			ended = append(ended, rec.ID)
		}
	}
	return ended, endSessions(tx, id, "", now, until)
}

// endSessions ends the sessions of a person, or only those that one link opened.
func endSessions(tx *store.Tx, staffID, from string, now, until time.Time) error {
	for rec, err := range sessions.Scan(tx, store.Query{Index: "staff", Equal: []any{staffID}}) {
		if err != nil {
			return err
		}
		if from != "" && rec.Value.From != from || !until.IsZero() && rec.Value.Opened.After(until) {
			continue
		}
		if err := endSession(tx, rec.ID, now); err != nil {
			return err
		}
	}
	return nil
}

func endSession(tx *store.Tx, id string, now time.Time) error {
	s, m, err := sessions.Get(tx, id)
	if err != nil || s.Ended != nil {
		return err
	}
	s.Ended = &now
	return sessions.Put(tx, id, s, m.Version)
}

// Listed is a token, link or session as those who manage them see it; nothing in it opens anything.
type Listed struct {
	ID       string     `json:"id"`
	Staff    string     `json:"staff"`
	Name     string     `json:"name"`
	Role     Role       `json:"role"`
	For      string     `json:"for"` // person, automation, link, session
	Issued   time.Time  `json:"issued"`
	IssuedBy string     `json:"issued_by,omitempty"`
	Expires  time.Time  `json:"expires"`
	LastUsed *time.Time `json:"last_used,omitempty"`
	Ended    *time.Time `json:"ended,omitempty"` // revoked, signed out, or a link's use
	Live     bool       `json:"live"`
}

// List is a page of tokens and links in the order in which they were issued, and the cursor behind it.
func (g *Gate) List(ctx context.Context, after string, limit int) (page []Listed, next string, err error) {
	now := g.now()
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		recs, cursor, err := passes.List(tx, store.Query{After: after, Limit: limit})
		for _, rec := range recs {
			p := rec.Value
			l := Listed{ID: rec.ID, Staff: p.Staff, Name: p.Name, Role: p.Role, For: p.For, Issued: p.Issued, IssuedBy: p.IssuedBy,
				Expires: p.Expires, LastUsed: p.LastUsed, Ended: p.Revoked}
			if l.Ended == nil {
				l.Ended = p.Used
			}
			l.Live = l.Ended == nil && now.Before(p.Expires)
			page = append(page, l)
		}
		next = cursor
		return err
	})
	return page, next, err
}

// Sessions is a page of sessions in the order in which they were opened, and the cursor behind it.
func (g *Gate) Sessions(ctx context.Context, after string, limit int) (page []Listed, next string, err error) {
	now := g.now()
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		recs, cursor, err := sessions.List(tx, store.Query{After: after, Limit: limit})
		for _, rec := range recs {
			page = append(page, listed(rec, now))
		}
		next = cursor
		return err
	})
	return page, next, err
}

func listed(rec store.Rec[Session], now time.Time) Listed {
	s := rec.Value
	return Listed{ID: rec.ID, Staff: s.Staff, Name: s.Name, Role: s.Role, For: "session", Issued: s.Opened, IssuedBy: s.From, Expires: s.Expires, LastUsed: &s.Seen,
		Ended: s.Ended, Live: s.ended(now) == ""}
}

// Forget removes at most limit tokens and sessions whose time ended over [Kept] ago, and says how many. The audit log keeps that they
// were.
func (g *Gate) Forget(ctx context.Context, limit int) (n int, err error) {
	q := store.Query{Index: "expires", To: g.now().Add(-Kept), Limit: limit}
	err = g.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		n = 0
		for rec, err := range passes.Scan(tx, q) {
			if err == nil {
				err = passes.Delete(tx, rec.ID, rec.Version)
			}
			if err != nil {
				return err
			}
			n++
		}
		if n == limit {
			return nil
		}
		q := q
		q.Limit = limit - n
		for rec, err := range sessions.Scan(tx, q) {
			if err == nil {
				err = sessions.Delete(tx, rec.ID, rec.Version)
			}
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}
