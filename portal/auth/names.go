package auth

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Member is a person or program by name.
type Member struct{ ID, Name string }

// face is the little of a staff record that lists of people are made of.
func (s Staff) face() Staff {
	return Staff{Name: s.Name, Program: s.Program, Disabled: s.Disabled, Profile: Profile{Email: s.Email, Roles: s.Roles, Until: s.Until}}
}

// works says whether something can be given to somebody to do: a person whose account is open, or who comes with tokens alone.
func (s Staff) works(now time.Time) bool {
	if s.Email == "" {
		return !s.Program && s.Disabled == nil
	}
	return s.shut(now) == ""
}

// faced are all who act here, each with her face.
func (g *Gate) faced(ctx context.Context) (all []store.Rec[Staff], err error) {
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		all = nil // a snapshot may be read again
		for rec, err := range store.Gists(tx, staff, &g.faces, Staff.face, store.Query{Limit: mostStaff}) {
			if err != nil {
				return err
			}
			all = append(all, rec)
		}
		return nil
	})
	return all, err
}

// Members are the people to whom something can be given to do, by name, with those of the ids whom a thing has already: neither programs nor whose account is
// closed or over.
func (g *Gate) Members(ctx context.Context, kept ...string) (all []Member, err error) {
	now := g.now()
	faced, err := g.faced(ctx)
	for _, rec := range faced {
		if rec.Value.works(now) || slices.Contains(kept, rec.ID) {
			all = append(all, Member{rec.ID, rec.Value.Name})
		}
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID)) })
	return all, err
}

// Accounts says whose open account each id, name or e-mail address is; what is nobody's is not in it.
func (g *Gate) Accounts(ctx context.Context, who ...string) (all map[string]Member, err error) {
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		all = map[string]Member{}
		for _, w := range who {
			rec, err := accountOf(tx, w)
			switch {
			case fault.Of(err) == fault.NotFound:
			case err != nil:
				return err
			case rec.Value.Email != "" && rec.Value.shut(tx.Now()) == "":
				all[w] = Member{rec.ID, rec.Value.Name}
			}
		}
		return nil
	})
	return all, err
}

func accountOf(tx *store.Tx, who string) (store.Rec[Staff], error) {
	switch {
	case staff.CheckID(who) == nil:
		s, m, err := staff.Get(tx, who)
		return store.Rec[Staff]{Meta: m, Value: s}, err
	case strings.Contains(who, "@"):
		return byEmail(tx, who)
	}
	return staff.First(tx, store.Query{Index: "name", Equal: []any{FoldName(who)}})
}

// Name is a member's name; "" when the id is nobody's.
func (g *Gate) Name(ctx context.Context, id string) (name string, err error) {
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		name, err = g.NameIn(tx, id)
		return err
	})
	return name, err
}

// NameIn is Name in somebody's transaction.
func (g *Gate) NameIn(tx *store.Tx, id string) (string, error) {
	if staff.CheckID(id) != nil {
		return "", nil
	}
	s, _, err := staff.Get(tx, id)
	if fault.Of(err) == fault.NotFound {
		return "", nil
	}
	return s.Name, err
}

// Names are the names of all staff, by id; at most 5000.
func (g *Gate) Names(ctx context.Context) (all map[string]string, err error) {
	faced, err := g.faced(ctx)
	all = make(map[string]string, len(faced))
	for _, rec := range faced {
		all[rec.ID] = rec.Value.Name
	}
	return all, err
}

// HasIn says, in somebody's transaction, whether somebody can have a right without a condition: in one of the roles of her account, or by a token that holds.
func (g *Gate) HasIn(tx *store.Tx, id string, right Right) (bool, error) {
	if staff.CheckID(id) != nil {
		return false, nil
	}
	s, _, err := staff.Get(tx, id)
	if notOurs(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	now := g.now()
	if s.Email != "" {
		return s.shut(now) == "" && slices.ContainsFunc(s.Roles, func(r Role) bool { return Can(r, right) == Yes }), nil
	}
	for p, err := range passes.Scan(tx, store.Query{Index: "staff", Equal: []any{id}}) {
		if err != nil {
			return false, err
		}
		if p.Value.Revoked == nil && now.Before(p.Value.Expires) && Can(p.Value.Role, right) == Yes {
			return true, nil
		}
	}
	return false, nil
}
