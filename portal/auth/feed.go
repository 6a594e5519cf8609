package auth

import (
	"context"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// FeedPath is where a person's calendar is read, by a token of its own that opens nothing else and can be revoked like any.
const (
	FeedPath = "/rota"
	feedFor  = 180 * 24 * time.Hour
)

// Feed is the address of a calendar. It is shown once.
type Feed struct {
	ID      string
	URL     string
	Expires time.Time
}

// Feed makes the address at which a person's calendar reads her shifts; the one before ends.
func (g *Gate) Feed(ctx context.Context, p Person, baseURL string) (Feed, error) {
	now := g.now()
	plain, hash := secret.Token()
	id := passes.NewID()
	f := Feed{ID: id, Expires: now.Add(feedFor), URL: strings.TrimSuffix(baseURL, "/") + FeedPath + "/" + id + "." + plain + ".ics"}
	if p.ID == OperatorID {
		return f, fault.New(fault.Conflict, "the operator of the machine has no shifts")
	}
	err := retry(func() error {
		return g.DB.Update(ctx, store.Act{By: p.ID, Verb: "token.feed"}, func(tx *store.Tx) error {
			for rec, err := range passes.Scan(tx, store.Query{Index: "staff", Equal: []any{p.ID}}) {
				if err != nil {
					return err
				}
				if old := rec.Value; old.For == ForFeed && old.Revoked == nil {
					old.Revoked = &now
					if err := passes.Put(tx, rec.ID, old, rec.Version); err != nil {
						return err
					}
				}
			}
			tx.On(id, p.ID)
			return passes.Put(tx, id, Pass{Staff: p.ID, Name: p.Name, For: ForFeed, Secret: hash, Issued: now, IssuedBy: p.ID, Expires: f.Expires}, 0)
		})
	})
	return f, err
}

// OpenFeed says whose calendar an address is. It ends with her account.
func (g *Gate) OpenFeed(ctx context.Context, token string) (who string, err error) {
	id, plain, _ := strings.Cut(token, ".")
	why := ""
	err = g.DB.View(ctx, func(tx *store.Tx) error {
		p, _, err := passes.Get(tx, id)
		if err != nil {
			return err
		}
		if why = p.spent(plain, g.now()); p.For != ForFeed {
			why = "not a calendar"
		}
		if why != "" {
			return fault.New(fault.NotFound, "%s", why)
		}
		s, _, err := staff.Get(tx, p.Staff)
		if err == nil && (s.Disabled != nil || s.Until != nil && !g.now().Before(*s.Until)) {
			err = fault.New(fault.NotFound, "the account is closed")
		}
		who = p.Staff
		return err
	})
	if notOurs(err) {
		return "", g.refuse("calendar: "+why, "token", id)
	}
	return who, err
}
