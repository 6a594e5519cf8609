package comms

import (
	"context"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Genuine is a message of ours as its code finds it.
type Genuine struct {
	templates.Update      // of one that everybody may read; else only its time
	Open             bool // it is on the page
}

// ByCode finds the update whose messages carry a code; fault.NotFound: none of ours does. What went to a limited circle is said to be ours, and nothing more.
func (r *Room) ByCode(ctx context.Context, code string) (g Genuine, err error) {
	none := fault.New(fault.NotFound, "no message of ours has this code")
	if code = templates.ReadCode(code); code == "" {
		return g, none
	}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		for known, err := range store.Gists(tx, updates, &r.spoke, Update.spoke, store.Query{}) {
			if err != nil {
				return err
			}
			if !bool(known.Value) || templates.CheckCode(known.ID) != code {
				continue
			}
			u, m, err := updates.Get(tx, known.ID)
			if err != nil {
				return err
			}
			in, err := findIncident(tx, u.Incident)
			if err != nil {
				return err
			}
			if g.Open = u.onPage() && !in.Value.Drill; g.Open {
				g.Update = r.said(store.Rec[Update]{Meta: m, Value: u}, in.Value)
			} else {
				g.At = *u.PublishedAt
			}
			return nil
		}
		return none
	})
	return g, err
}

// wasSaid is whether an update was published, which is all that a walk for a code asks of each.
type wasSaid bool

func (u Update) spoke() wasSaid { return u.PublishedAt != nil }
