package desk

import (
	"cmp"
	"encoding/json"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// ChangeVerbs are what the desk can change: it handles and answers many tickets at once, deletes tickets with their conversation, and purges what was deleted long
// enough ago.
func (d *Desk) ChangeVerbs() []contacts.Verb {
	return append(d.bulkVerbs(), []contacts.Verb{
		{Name: "ticket.delete", Right: "record.delete", Says: "delete tickets with their conversation; they can be brought back", Apart: true, Keep: tickets.Keep,
			Plan: d.planDelete, Version: ticketVersion, Run: runDelete, Undo: undoDelete},
		d.amendVerb(),
		{Name: "ticket.purge", Right: "record.purge", Says: "remove deleted tickets for good", Plan: d.planPurge, Run: runPurge},
	}...)
}

// aTicket finds a ticket, deleted or not, by its id; one that lives by its number as well.
func aTicket(tx *store.Tx, id string) (contacts.Target, error) {
	for _, k := range tx.DB().Declared() {
		if !k.Composed && k.Prefix != tickets.Prefix && k.CheckID(id) == nil {
			return contacts.Target{}, fault.BadField("ids", "%q is the id of a record of kind %s, not of a ticket", id, k.Name)
		}
	}
	if tickets.CheckID(id) != nil {
		rec, err := tickets.First(tx, store.Query{Index: "number", Equal: []any{secret.NormalNumber(id)}})
		if fault.Of(err) == fault.NotFound {
			err = fault.New(fault.NotFound, "there is no ticket %.40q", id)
		}
		return contacts.Target{ID: rec.ID, Version: rec.Version}, err
	}
	_, m, err := tickets.GetDeleted(tx, id)
	return contacts.Target{ID: m.ID, Version: m.Version, Deleted: m.Deleted}, err
}

func ticketVersion(tx *store.Tx, id string) (int64, error) {
	_, m, err := tickets.Get(tx, id)
	return m.Version, err
}

func (d *Desk) planDelete(tx *store.Tx, input json.RawMessage) (contacts.Plan, error) {
	return plan(tx, input, func(all []contacts.Target) error {
		for _, t := range all {
			if !t.Deleted.IsZero() {
				return fault.New(fault.Conflict, "ticket %s is deleted", t.ID)
			}
		}
		return nil
	})
}

func (d *Desk) planPurge(tx *store.Tx, input json.RawMessage) (contacts.Plan, error) {
	p, err := plan(tx, input, func(all []contacts.Target) error { return contacts.Purgeable(tx, tickets.Kind, all) })
	p.Alone = false
	return p, err
}

// plan finds the tickets and lets check refuse them. Their steps stand under their numbers, which no index knows once they are deleted. A sample shows numbers and states, nothing that a customer wrote.
func plan(tx *store.Tx, input json.RawMessage, check func([]contacts.Target) error) (contacts.Plan, error) {
	named, err := contacts.ParseNamed(input)
	if err != nil {
		return contacts.Plan{}, err
	}
	all, err := named.Each(tickets.Kind, func(id string) (contacts.Target, error) { return aTicket(tx, id) })
	if err == nil {
		err = check(all)
	}
	if err != nil {
		return contacts.Plan{}, err
	}
	p := contacts.Plan{Alone: len(all) == 1}
	for _, f := range all {
		t, _, err := tickets.GetDeleted(tx, f.ID)
		if err != nil {
			return contacts.Plan{}, err
		}
		p.Steps = append(p.Steps, contacts.Step{Of: t.Number, On: f.ID, Version: f.Version})
		p.Describe(tickets.Name, f.ID, t.Number+", "+t.State)
	}
	return p, nil
}

func runDelete(tx *store.Tx, _ store.Rec[contacts.Change], s contacts.Step) (json.RawMessage, error) {
	pen := &contacts.Pen{Tx: tx}
	for m, err := range messages.Scan(tx, store.Query{Index: "ticket", Equal: []any{s.On}}) {
		if err == nil {
			err = contacts.Drop(pen, messages, m)
		}
		if err != nil {
			return nil, err
		}
	}
	for e, err := range evidence.Scan(tx, store.Query{Index: "case", Equal: []any{s.On}}) {
		if err == nil {
			err = contacts.Drop(pen, evidence, e)
		}
		if err != nil {
			return nil, err
		}
	}
	t, m, err := tickets.Get(tx, s.On)
	if err == nil {
		err = contacts.Drop(pen, tickets, store.Rec[Ticket]{Meta: m, Value: t})
	}
	if err != nil {
		return nil, err
	}
	return pen.Back()
}

func undoDelete(tx *store.Tx, _ store.Rec[contacts.Change], s contacts.Step) error {
	return contacts.ShelfOf(tickets).And(contacts.ShelfOf(messages), contacts.ShelfOf(evidence)).Undo(tx, s.Back)
}

func runPurge(tx *store.Tx, _ store.Rec[contacts.Change], s contacts.Step) (json.RawMessage, error) {
	_, m, err := tickets.GetDeleted(tx, s.On)
	if err != nil {
		return nil, err
	}
	if m.Version != s.Version {
		return nil, fault.New(fault.Stale, "%s was changed meanwhile", s.On)
	}
	if err := blob.RemoveAll(tx, s.On); err != nil {
		return nil, err
	}
	said, err := contacts.DeletedWith(tx, s.Of, messages.Kind)
	if err != nil {
		return nil, err
	}
	for _, id := range said {
		err = cmp.Or(err, messages.Purge(tx, id))
	}
	shown, lost := contacts.DeletedWith(tx, s.Of, evidence.Kind)
	err = cmp.Or(err, lost)
	for _, id := range shown {
		err = cmp.Or(err, evidence.Purge(tx, id))
	}
	return nil, cmp.Or(err, tickets.Purge(tx, s.On))
}

// Merging is what the desk does when accounts are merged: their tickets follow.
func (d *Desk) Merging() contacts.Merging {
	return contacts.Merging{
		Refuse:  d.Comms.MayMerge,
		Shelves: contacts.ShelfOf(tickets),
		Follow: func(pen *contacts.Pen, from, into string) error {
			for rec, err := range tickets.Scan(pen.Tx, store.Query{Index: "account", Equal: []any{from}}) {
				if err != nil {
					return err
				}
				t := rec.Value
				t.Account = into
				if err := contacts.Rewrite(pen, tickets, rec, t); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
