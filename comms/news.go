package comms

import (
	"context"

	"lifeline/store"
	"lifeline/templates"
)

// News is what the ledger says now that it did not say when these readers were told last: enough for an update that has no date to give.
type News struct {
	Update   int               `json:"update"` // since which; 0: nothing was said yet, and nothing is new
	Now      templates.Figures `json:"now"`
	Added    int               `json:"added"`    // sites in the affected set
	Rebuilt  int               `json:"rebuilt"`  // sites
	Restored int               `json:"restored"` // sites handed back
	Whole    int               `json:"whole"`    // customers with all their sites back
}

// News compares an incident's ledger with the figures of the newest update to an audience. A count that fell is a correction and shows as below zero.
func (r *Room) News(ctx context.Context, incident, audience string) (n News, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		now, err := r.ledger(tx, in.ID, in.Value)
		if err != nil || now == nil {
			return err
		}
		n = News{Now: *now}
		said, err := pastOf(tx, in.ID, audience)
		if before := said.newest(); err == nil && before != nil {
			n = before.news(*now)
		}
		return err
	})
	return n, err
}

func (u Update) news(now templates.Figures) News {
	var was templates.Figures
	if u.Figures != nil {
		was = *u.Figures
	}
	n := News{Update: u.Number, Now: now, Rebuilt: now.Sites.Rebuilt - was.Sites.Rebuilt, Restored: now.Sites.Restored - was.Sites.Restored, Whole: now.Customers.Restored - was.Customers.Restored}
	if u.Figures != nil {
		n.Added = now.Sites.Total - was.Sites.Total
	}
	return n
}
