package desk

import (
	"context"
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// Release lets everybody who may read a ticket read a message that was held, as if it had just come in.
func (d *Desk) Release(ctx context.Context, by, number, message string, version int64) (View, error) {
	return d.act(ctx, store.Act{By: by, Verb: "ticket.release"}, number, version, func(tx *store.Tx, rec store.Rec[Ticket]) error {
		m, meta, err := messageOf(tx, rec.ID, message)
		if err != nil {
			return err
		}
		if m.Held == "" {
			return fault.New(fault.Conflict, "this message is not held")
		}
		m.Held = ""
		tx.On(message)
		if err := messages.Put(tx, message, m, meta.Version); err != nil {
			return err
		}
		rec, err = d.unheld(tx, by, rec)
		if err != nil {
			return err
		}
		return d.hear(tx, by, rec)
	})
}

// unheld counts one held message less.
func (d *Desk) unheld(tx *store.Tx, by string, rec store.Rec[Ticket]) (store.Rec[Ticket], error) {
	t := rec.Value
	t.Held = max(0, t.Held-1)
	if err := d.put(tx, by, rec, t); err != nil {
		return rec, err
	}
	if t.Held == 0 {
		if err := d.Comms.Settle(tx, TaskHeld, rec.ID, by, "looked at"); err != nil {
			return rec, err
		}
	}
	t, meta, err := tickets.Get(tx, rec.ID)
	return store.Rec[Ticket]{Meta: meta, Value: t}, err
}

func messageOf(tx *store.Tx, ticket, id string) (Message, store.Meta, error) {
	m, meta, err := messages.Get(tx, id)
	if err == nil && m.Ticket != ticket {
		err = fault.New(fault.NotFound, "there is no such message in this ticket")
	}
	return m, meta, err
}

// Split makes a customer's message a ticket of its own, which was filed when the message came. A message that came from an address of its own takes nothing
// along of who filed the other ticket. The new ticket has a secret that nobody holds; its writer is sent a link.
func (d *Desk) Split(ctx context.Context, by, number, message, reason string, version int64) (View, error) {
	fresh := secret.Number()
	_, hash := secret.New()
	phrase := secret.Phrase()
	_, err := d.act(ctx, store.Act{By: by, Verb: "ticket.split", Reason: line(reason)}, number, version, func(tx *store.Tx, rec store.Rec[Ticket]) error {
		m, meta, err := messageOf(tx, rec.ID, message)
		if err != nil {
			return err
		}
		if m.From != "customer" {
			return fault.New(fault.Conflict, "only what a customer wrote can become a ticket of its own")
		}
		if m.Held == "" {
			if alone, err := onlyWord(tx, rec.ID, message); err != nil || alone {
				return cmpErr(err, fault.New(fault.Conflict, "ticket %s would be empty without it", rec.Value.Number))
			}
		}
		t := d.Policy.filed(parted(rec.Value, m), m.At)
		t.Number, t.Secret, t.Phrase, t.StartedBy, t.SplitOff, t.ChangedAt = fresh, hash, phrase, by, rec.ID, tx.Now()
		id := tickets.NewID()
		if err := tickets.Put(tx, id, t, 0); err != nil {
			return err
		}
		if m.Held != "" {
			if _, err := d.unheld(tx, by, rec); err != nil {
				return err
			}
		}
		m.Was, m.WasHeld, m.Ticket, m.Held = rec.ID, m.Held, id, ""
		tx.On(id)
		if err := messages.Put(tx, message, m, meta.Version); err != nil {
			return err
		}
		if err := moveFiles(tx, m, id); err != nil {
			return err
		}
		if err := d.Comms.Promise(tx, firstPromise(id, t)); err != nil {
			return err
		}
		return d.tellSplit(tx, id, t, m)
	})
	if err != nil {
		return View{}, err
	}
	return d.Ticket(ctx, fresh)
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// onlyWord says whether a customer wrote nothing else in a ticket that can be read.
func onlyWord(tx *store.Tx, ticket, message string) (bool, error) {
	for m, err := range messages.Scan(tx, store.Query{Index: "ticket", Equal: []any{ticket}}) {
		if err != nil {
			return false, err
		}
		if m.Value.From == "customer" && m.Value.Held == "" && m.ID != message {
			return false, nil
		}
	}
	return true, nil
}

// parted is the ticket that a message of another becomes: new, in the same queue, as urgent as that one.
func parted(t Ticket, m Message) Ticket {
	fresh := Ticket{Locale: t.Locale, Route: m.Via, Incident: t.Incident, Flow: t.Flow, Step: t.Step, Priority: t.Priority, State: New, FiledAt: m.At}
	if fresh.Route == "" {
		fresh.Route = t.Route
	}
	switch {
	case strings.Contains(m.Sender, "@"):
		fresh.Email = m.Sender
	case m.Sender != "":
		fresh.Phone = m.Sender
	default:
		fresh.Name, fresh.Email, fresh.Phone, fresh.Company = t.Name, t.Email, t.Phone, t.Company
		fresh.Account, fresh.Tier = t.Account, t.Tier
	}
	return fresh
}

// tellSplit sends the writer of the new ticket its number and a link, with nothing of what anybody wrote.
func (d *Desk) tellSplit(tx *store.Tx, id string, t Ticket, m Message) error {
	channel, _, err := d.tellsOn(tx, id, t)
	if channel == "" || err != nil {
		return err
	}
	return d.tellNumber(tx, id, t, channel, m.Ref)
}

// Unsplit puts a ticket back into the one that it was split from, as long as nobody answered in it.
func (d *Desk) Unsplit(ctx context.Context, by, number string, version int64) (View, error) {
	home := ""
	number = secret.NormalNumber(number)
	err := d.DB.Update(ctx, store.Act{By: by, Verb: "ticket.unsplit"}, func(tx *store.Tx) error {
		rec, err := byNumber(tx, number)
		if err == nil {
			err = unchanged(rec, version)
		}
		if err != nil {
			return err
		}
		t := rec.Value
		if t.SplitOff == "" {
			return fault.New(fault.Conflict, "ticket %s was not split from another", t.Number)
		}
		whole, meta, err := tickets.Get(tx, t.SplitOff)
		if err != nil {
			return err
		}
		home = whole.Number
		held := 0
		tx.On(rec.ID, t.SplitOff)
		for m, err := range messages.Scan(tx, store.Query{Index: "ticket", Equal: []any{rec.ID}}) {
			if err != nil {
				return err
			}
			if m.Value.Was != t.SplitOff {
				return fault.New(fault.Conflict, "ticket %s has gone on since: merge it instead", t.Number)
			}
			m.Value.Ticket, m.Value.Was, m.Value.Held, m.Value.WasHeld = t.SplitOff, "", m.Value.WasHeld, ""
			if m.Value.Held != "" {
				held++
			}
			if err := messages.Put(tx, m.ID, m.Value, m.Version); err != nil {
				return err
			}
			if err := moveFiles(tx, m.Value, t.SplitOff); err != nil {
				return err
			}
		}
		if held > 0 {
			back := whole
			back.Held += held
			if err := d.put(tx, by, store.Rec[Ticket]{Meta: meta, Value: whole}, back); err != nil {
				return err
			}
		}
		closed := d.Policy.ended(t, Ending{How: ByMerging, By: by, At: tx.Now()})
		if err := d.promise(tx, rec.ID, by, t, closed); err != nil {
			return err
		}
		return tickets.Delete(tx, rec.ID, rec.Version)
	})
	if err != nil {
		return View{}, err
	}
	return d.Ticket(ctx, home)
}
