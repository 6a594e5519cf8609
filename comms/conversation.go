package comms

import (
	"slices"
	"time"

	"lifeline/store"
)

// Spoken is an update as an entry of a conversation.
type Spoken struct {
	Update   string
	At       time.Time
	Headline string // as it was written, in no other language
	Text     string
}

// Spoken are the updates of an incident that go to tickets, in a language, oldest first: the one that stood at a time, and all since. They are
// read where a conversation is shown and copied into none, so that a ticket and the page can never disagree, and what was taken back says so at once.
func (r *Room) Spoken(tx *store.Tx, incident, locale string, since time.Time) (all []Spoken, err error) {
	in, err := findIncident(tx, incident)
	if err != nil {
		return nil, err
	}
	for rec, err := range spoken(tx, in.ID) { // newest first
		if err != nil {
			return nil, err
		}
		u := rec.Value
		if u.PublishedAt == nil || u.PageOnly || !wide(u.Statement.Audience) || !slices.Contains(u.Statement.Channels, ChannelTicket) {
			continue
		}
		out, err := r.render(ChannelTicket, locale, r.said(rec, in.Value))
		if err != nil {
			return nil, err
		}
		all = append(all, Spoken{Update: rec.ID, At: *u.PublishedAt, Headline: u.Statement.Headline, Text: out.Text})
		if u.PublishedAt.Before(since) && u.State == Published {
			break
		}
	}
	slices.Reverse(all)
	return all, nil
}
