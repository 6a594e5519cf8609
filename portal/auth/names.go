package auth

import (
	"context"
	"slices"
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
)

// Member is a person or program by name.
type Member struct{ ID, Name string }

// mostMembers bounds a list to choose from.
const mostMembers = 500

// Members are those who act here, by name; at most 500.
func (g *Gate) Members(ctx context.Context) (all []Member, err error) {
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		for rec, err := range staff.Scan(tx, store.Query{Limit: mostMembers}) {
			if err != nil {
				return err
			}
			all = append(all, Member{rec.ID, rec.Value.Name})
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
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
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		all = map[string]string{}
		for rec, err := range staff.Scan(tx, store.Query{Limit: mostStaff}) {
			if err != nil {
				return err
			}
			all[rec.ID] = rec.Value.Name
		}
		return nil
	})
	return all, err
}
