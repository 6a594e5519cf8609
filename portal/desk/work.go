package desk

import (
	"context"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// View is a ticket with its conversation.
type View struct {
	ID       string
	Version  int64
	Created  time.Time
	Updated  time.Time
	Ticket   Ticket
	Messages []Message
	Standing Standing              // who its person is taken to be
	Files    map[string]Attachment // that came with the messages, by id: see FilesOf
	Merged   []string              // for staff: numbers of the tickets whose conversations are in this one
	Joined   []Joined              // for staff: the same, with whose they are
	Into     string                // number of the ticket in which it goes on
}

// noTicket is the one answer to a wrong number and to a wrong secret, so that neither can be told from the other.
func noTicket() error {
	return fault.New(fault.NotFound, "no ticket opens with this number and secret; check both, or file a new one")
}

// Open shows a ticket to whoever holds its secret.
func (d *Desk) Open(ctx context.Context, number, plain string) (View, error) {
	v, _, err := d.Enter(ctx, number, Key{Secret: plain})
	return v, err
}

func (d *Desk) read(tx *store.Tx, number string) (View, error) {
	rec, err := tickets.First(tx, store.Query{Index: "number", Equal: []any{number}})
	if err != nil {
		return View{}, err
	}
	v := View{ID: rec.ID, Version: rec.Version, Created: rec.Created, Updated: rec.Updated, Ticket: rec.Value}
	if v.Standing, err = d.standing(tx, rec.ID); err != nil {
		return View{}, err
	}
	for m, err := range messages.Scan(tx, store.Query{Index: "ticket", Equal: []any{rec.ID}}) {
		if err != nil {
			return View{}, err
		}
		m.Value.ID = m.ID
		v.Messages = append(v.Messages, m.Value)
	}
	if err := v.readFiles(tx); err != nil {
		return View{}, err
	}
	if v.Ticket.Incident == "" {
		return v, nil
	}
	said, err := d.Comms.Spoken(tx, v.Ticket.Incident, v.Ticket.Locale, v.Ticket.FiledAt)
	for _, u := range said {
		v.Messages = append(v.Messages, Message{Ticket: rec.ID, From: "update", Headline: u.Headline, Text: u.Text, At: u.At})
	}
	v.Messages = inOrder(v.Messages)
	return v, err
}

// Ticket shows a ticket to staff, whole.
func (d *Desk) Ticket(ctx context.Context, number string) (v View, err error) {
	number = secret.NormalNumber(number)
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		v, err = d.read(tx, number)
		if fault.Of(err) == fault.NotFound {
			return fault.New(fault.NotFound, "there is no ticket %.40q", number)
		}
		if err != nil {
			return err
		}
		where, err := d.Stages(tx, v.Ticket)
		if err != nil {
			return err
		}
		v.Messages = append(v.Messages, where...)
		return d.together(tx, &v)
	})
	return v, err
}

// Filter chooses tickets for a list.
type Filter struct {
	Queue   string // an incident's id, or General; "" is all
	State   string // "" is all
	Account string // our id; then Queue and State are not asked
	After   string
	Limit   int
}

// query chooses them in the order in which they were filed.
func (f Filter) query() store.Query {
	q := store.Query{After: f.After, Limit: f.Limit}
	switch {
	case f.Account != "":
		q.Index, q.Equal = "account", []any{f.Account}
	case f.Queue != "" && f.State != "":
		q.Index, q.Equal = "queue", []any{f.Queue, f.State}
	case f.Queue != "":
		q.Index, q.Equal = "queue", []any{f.Queue}
	case f.State != "":
		q.Index, q.Equal = "state", []any{f.State}
	}
	return q
}

// Tickets lists tickets, oldest first, and gives the cursor behind the page.
func (d *Desk) Tickets(ctx context.Context, f Filter) (page []store.Rec[Ticket], next string, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) (err error) {
		page, next, err = tickets.List(tx, f.query())
		return err
	})
	return page, next, err
}

// CountTickets counts what Tickets lists, and reads none of it.
func (d *Desk) CountTickets(ctx context.Context, f Filter) (n int, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) (err error) {
		n, err = tickets.Count(tx, f.query())
		return err
	})
	return n, err
}
