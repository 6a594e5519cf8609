package comms

import (
	"context"

	"lifeline/store"
	"lifeline/templates"
)

// facts is everything that an update says, ready to be put into words.
func (r *Room) facts(tx *store.Tx, updateID string) (templates.Update, error) {
	u, m, err := updates.Get(tx, updateID)
	if err != nil {
		return templates.Update{}, err
	}
	in, err := findIncident(tx, u.Incident)
	if err != nil {
		return templates.Update{}, err
	}
	if u.State != Draft {
		return r.said(store.Rec[Update]{Meta: m, Value: u}, in.Value), nil
	}
	now, err := r.figuresFor(tx, in, u.Statement)
	if err != nil {
		return templates.Update{}, err
	}
	if u.Before, err = since(tx, u); err != nil {
		return templates.Update{}, err
	}
	return r.saying(updateID, u, in.Value, now), nil
}

// said is what a published update says for ever: with the figures, pins and cause of that moment.
func (r *Room) said(rec store.Rec[Update], in Incident) templates.Update {
	u := rec.Value
	f := templates.Update{
		ID: rec.ID, Number: u.Number, Incident: r.incidentFacts(in), Statement: u.Statement, Restored: u.Figures, Before: u.Before, Cohorts: shownTo(u.Statement.Audience, u.Cohorts), Security: u.Security, Pinned: u.Pinned,
		Unread: u.Unread, FirstWord: u.First, Corrects: u.Corrects, Retracted: u.State == Retracted, Drill: in.Drill,
	}
	if u.PublishedAt != nil {
		f.At = *u.PublishedAt
	}
	return f
}

// saying is what a draft would say if it were published now.
func (r *Room) saying(id string, u Update, in Incident, figures *templates.Figures) templates.Update {
	return templates.Update{
		ID: id, Number: u.Number, Incident: r.incidentFacts(in), Statement: u.Statement, Restored: figures, Before: u.Before, Cohorts: shownTo(u.Statement.Audience, in.losses()), Security: in.Security, Pinned: in.Pinned,
		Unread: u.First, FirstWord: u.First, Corrects: u.Corrects, Drill: in.Drill,
	}
}

// Facts is everything that an update says: a draft's with the ledger's figures of now, a published one's as they were frozen.
func (r *Room) Facts(ctx context.Context, updateID string) (f templates.Update, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		f, err = r.facts(tx, updateID)
		return err
	})
	return f, err
}

// shownTo are the cohorts' bounds for those who read about all of them; a cohort itself and other parts have a bound of their own in the statement.
func shownTo(audience string, all []templates.CohortLoss) []templates.CohortLoss {
	if wide(audience) {
		return all
	}
	return nil
}
