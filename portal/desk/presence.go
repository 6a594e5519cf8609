package desk

import (
	"context"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// presence says that somebody of the staff has a ticket open, for as long as she says so again every few seconds. It is told by wall time, as leases are.
type presence struct {
	Ticket string    `json:"ticket"`
	By     string    `json:"by"`
	Types  bool      `json:"types"` // there are words in her answer
	Until  time.Time `json:"until"`
}

var presences = store.Table[presence]{
	Kind: store.Kind{Name: "presence", Prefix: "pre", Schema: 1, Composed: true, Indexes: []store.Index{
		{Name: "until", Fields: []store.Field{{Name: "until", Type: store.Time}}},
	}},
	Tuples: func(p presence) store.Tuples { return store.Tuples{"until": {p.Until}} },
}

// PresenceFor is how long somebody counts as there who said so.
const PresenceFor = 25 * time.Second

func presenceID(ticket, by string) string {
	return presences.Prefix + "_" + suffix(ticket) + "." + suffix(by)
}

func suffix(id string) string {
	_, s, _ := strings.Cut(id, "_")
	if s == "" {
		s = id
	}
	return strings.NewReplacer("_", "-", ".", "-").Replace(s)
}

// Present is somebody who has a ticket open.
type Present struct {
	By    string
	Types bool
}

// Attend notes that somebody has a ticket open, or with leaves that she has no more, and says who else has, and which version of the ticket stands.
func (d *Desk) Attend(ctx context.Context, by, number string, types, leaves bool) (others []Present, version int64, err error) {
	number = secret.NormalNumber(number)
	err = d.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		rec, err := byNumber(tx, number)
		if err != nil {
			return err
		}
		version = rec.Version
		if others, err = present(tx, rec.ID, by); err != nil {
			return err
		}
		id := presenceID(rec.ID, by)
		p, meta, err := presences.Get(tx, id)
		switch {
		case fault.Of(err) == fault.NotFound && leaves:
			return store.ErrNothing
		case err != nil && fault.Of(err) != fault.NotFound:
			return err
		case leaves:
			return presences.Delete(tx, id, meta.Version)
		}
		p = presence{Ticket: rec.ID, By: by, Types: types, Until: time.Now().Add(PresenceFor).UTC()}
		return presences.Put(tx, id, p, meta.Version)
	})
	if kind := fault.Of(err); kind == fault.Stale || kind == fault.Exists { // she herself, in another window
		err = nil
	}
	return others, version, err
}

// Who says who else has a ticket open.
func (d *Desk) Who(ctx context.Context, ticket, by string) (others []Present, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		others, err = present(tx, ticket, by)
		return err
	})
	return others, err
}

func present(tx *store.Tx, ticket, by string) (others []Present, err error) {
	for rec, err := range presences.Scan(tx, store.Query{Prefix: presences.Prefix + "_" + suffix(ticket) + "."}) {
		if err != nil {
			return nil, err
		}
		if rec.Value.By != by && time.Now().Before(rec.Value.Until) {
			others = append(others, Present{rec.Value.By, rec.Value.Types})
		}
	}
	return others, nil
}

// ForgetPresence removes at most so many who left without saying so.
func (d *Desk) ForgetPresence(ctx context.Context, most int) error {
	return d.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		for rec, err := range presences.Scan(tx, store.Query{Index: "until", To: time.Now().UTC(), Limit: most}) {
			if err != nil {
				return err
			}
			if err := presences.Delete(tx, rec.ID, rec.Version); err != nil {
				return err
			}
		}
		return nil
	})
}
