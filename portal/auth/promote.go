package auth

import (
	"slices"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// PromoteAfter is how long a role that approves or administrates waits after it was proposed, so that whoever is alarmed by it can step in.
const PromoteAfter = 24 * time.Hour

// Promotion gives somebody with an account one more role, approver or admin. It takes two people, neither of them she, and [PromoteAfter].
type Promotion struct {
	Staff string `json:"staff_id"`
	Role  Role   `json:"role"`
}

// Granting says that somebody was given a role that approves or administrates, or a new way into one.
type Granting struct {
	Staff  string
	By     string
	Second string // who approved it before; "": nobody
}

// Promoting reads whom a promotion is about, as long as it can be done.
func (g *Gate) Promoting(tx *store.Tx, p Promotion) (store.Rec[Staff], error) {
	if !sensitive([]Role{p.Role}) {
		return store.Rec[Staff]{}, fault.BadField("role", "must be approver or admin; one person gives any other")
	}
	s, m, err := staff.Get(tx, p.Staff)
	switch {
	case notOurs(err):
		return store.Rec[Staff]{}, fault.BadField("staff_id", "is nobody here")
	case err != nil:
		return store.Rec[Staff]{}, err
	case slices.Contains(s.Roles, p.Role):
		return store.Rec[Staff]{}, fault.BadField("role", "is one that she has")
	case len(s.Roles) >= mostRoles:
		return store.Rec[Staff]{}, fault.BadField("role", "is one too many: an account has %d at the most", mostRoles)
	case s.shut(g.now()) != "":
		return store.Rec[Staff]{}, fault.New(fault.Conflict, "the account is closed, or has never been open")
	}
	return store.Rec[Staff]{Meta: m, Value: s}, nil
}

// Promote does it, in the transaction of the change that two people agreed to. Her sessions end, as with any change of roles.
func (g *Gate) Promote(tx *store.Tx, p Promotion, by, second string) error {
	rec, err := g.Promoting(tx, p)
	if err != nil {
		return err
	}
	if second == "" || slices.Contains([]string{by, p.Staff}, second) || by == p.Staff {
		return fault.New(fault.Forbidden, "this takes two people besides the one who is given the role")
	}
	rec.Value.Roles = append(slices.Clone(rec.Value.Roles), p.Role)
	if l := rec.Value.Single; l != nil && l.Follows { // or the next sign-in would take it away
		own := *l
		own.Follows = false
		rec.Value.Single = &own
	}
	if g.Granted != nil {
		if err := g.Granted(tx, Granting{Staff: p.Staff, By: by, Second: second}); err != nil {
			return err
		}
	}
	if err := endSessions(tx, p.Staff, "", g.now(), time.Time{}); err != nil {
		return err
	}
	return staff.Put(tx, p.Staff, rec.Value, rec.Version)
}
