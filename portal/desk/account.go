package desk

import (
	"context"
	"strings"

	"lifeline/comms"
	"lifeline/store"
)

// Work is everything that is and was done for one account.
type Work struct {
	Tickets     []store.Rec[Ticket]
	Tasks       []store.Rec[comms.Task] // owed to it, but what stands below
	Escalations []store.Rec[comms.Task] // open first, then ended
	Calls       []store.Rec[comms.Task]
	Notes       map[string][]Message // of the calls, by ticket
	Next        string               // the cursor of further tickets
	Cut         bool                 // there are more tasks, escalations or calls than are shown
}

// mostWork bounds each list of Work.
const mostWork = 50

// WorkOf reads what was done for an account (our id); after is the cursor of a page of tickets before.
func (d *Desk) WorkOf(ctx context.Context, account, after string) (w Work, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		w = Work{Notes: map[string][]Message{}}
		w.Tickets, w.Next, err = tickets.List(tx, store.Query{Index: "account", Equal: []any{account}, Reverse: true, After: after, Limit: mostWork})
		if err != nil {
			return err
		}
		for _, state := range []string{comms.Open, comms.TaskDone, comms.TaskDropped} {
			page, next, err := d.Comms.OfAccount(tx, account, state, "", comms.MostListed)
			if err != nil {
				return err
			}
			w.Cut = w.Cut || next != ""
			for _, rec := range page {
				w.sort(rec)
			}
		}
		for _, call := range w.Calls {
			if call.Value.State != comms.TaskDone || w.Notes[call.Value.Of] != nil {
				continue
			}
			if w.Notes[call.Value.Of], err = notes(tx, call.Value.Of); err != nil {
				return err
			}
		}
		return nil
	})
	return w, err
}

// sort puts a task where it belongs. Of what ended only escalations and calls are shown: the rest is history.
func (w *Work) sort(rec store.Rec[comms.Task]) {
	into := &w.Tasks
	switch family := familyOf(rec.Value); {
	case family == comms.Escalation:
		into = &w.Escalations
	case family == comms.Call:
		into = &w.Calls
	case rec.Value.State != comms.Open:
		return
	}
	if len(*into) == mostWork {
		w.Cut = true
		return
	}
	*into = append(*into, rec)
}

// familyOf is what stands before the dot in the sort of a task.
func familyOf(t comms.Task) string {
	family, _, _ := strings.Cut(t.What, ".")
	return family
}

// notes are what was written down about calls in a ticket.
func notes(tx *store.Tx, ticket string) (all []Message, err error) {
	for rec, err := range messages.Scan(tx, store.Query{Index: "ticket", Equal: []any{ticket}}) {
		if err != nil {
			return nil, err
		}
		if m := rec.Value; m.Internal && m.Via == RoutePhone {
			m.ID = rec.ID
			all = append(all, m)
		}
	}
	return all, nil
}
