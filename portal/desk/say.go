package desk

import (
	"cmp"
	"context"
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// Entry is what somebody puts into a conversation.
type Entry struct {
	By      string // staff member's id, or whose act it is in the audit log
	Number  string // of the ticket
	Version int64  // of the ticket that she saw; 0: whatever stands
	Message Message
	Also    *[]string // numbers of the merged tickets whose writers are told an answer; nil: those of the same customer
}

// Say puts a message into a conversation. Of the message it takes all but where and when it is kept. When the ticket is no longer what the writer saw it fails
// with fault.Stale, before anybody is told anything.
func (d *Desk) Say(ctx context.Context, e Entry) (View, error) {
	m, err := worded(e.Message)
	if err != nil {
		return View{}, err
	}
	number := secret.NormalNumber(e.Number)
	err = d.DB.Update(ctx, store.Act{By: e.By, Verb: "ticket.message"}, func(tx *store.Tx) error {
		rec, err := byNumber(tx, number)
		if err == nil {
			err = unchanged(rec, e.Version)
		}
		if err == nil {
			err = d.answer(tx, e.By, rec, m, e.Also)
		}
		return err
	})
	if err != nil {
		return View{}, err
	}
	return d.Ticket(ctx, number)
}

// Add appends what the customer writes with her secret.
func (d *Desk) Add(ctx context.Context, number, plain, words string) (View, error) {
	v, err := d.Open(ctx, number, plain)
	if err != nil {
		return View{}, err
	}
	return d.Say(ctx, Entry{By: "customer", Number: v.Ticket.Number, Message: Message{From: "customer", Text: words}})
}

// Answer appends what staff write; the first one that the customer can see keeps the promise of a first answer.
func (d *Desk) Answer(ctx context.Context, by, number, words string, internal bool) (View, error) {
	return d.Say(ctx, Entry{By: by, Number: number, Message: Message{From: "staff", By: by, Text: words, Internal: internal}})
}

// worded cleans the words of a message. There may be none where files come with it.
func worded(m Message) (Message, error) {
	m.Text = text(m.Text)
	switch {
	case m.Text == "" && m.Attached.None():
		return m, fault.BadField("text", "is missing")
	case len(m.Text) > maxMessage:
		return m, fault.BadField("text", "is longer than 64 KiB")
	}
	if names := unfilled(m.Text); m.From == "staff" && !m.Internal && len(names) > 0 {
		return m, fault.BadField("text", "has a blank that nobody filled: {%s}", strings.Join(names, "}, {"))
	}
	return m, nil
}

// Opens says whether somebody without the security role may read all that the ids are of: a ticket (by its number), a check or a handoff, or what [comms.Room.Opens]
// knows.
func (d *Desk) Opens(ctx context.Context, person string, ids ...string) (open bool, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		open = true
		for _, id := range ids {
			incident, err := incidentOf(tx, id)
			if err == nil && open {
				open, err = d.Comms.Opens(tx, cmp.Or(incident, id), person)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return open, err
}

// incidentOf is the id of the incident of a ticket, a check or a handoff; "": it has none, or there is nothing of that name.
func incidentOf(tx *store.Tx, id string) (incident string, err error) {
	switch {
	case checks.CheckID(id) == nil:
		c, _, failed := checks.Get(tx, id)
		incident, err = c.Incident, failed
	case handoffs.CheckID(id) == nil:
		h, _, failed := handoffs.Get(tx, id)
		incident, err = h.Incident, failed
	default:
		rec, failed := byNumber(tx, secret.NormalNumber(id))
		incident, err = rec.Value.Incident, failed
	}
	if fault.Of(err) == fault.NotFound {
		err = nil
	}
	return incident, err
}

// byNumber finds a ticket, for staff: what is wrong is said.
func byNumber(tx *store.Tx, number string) (store.Rec[Ticket], error) {
	rec, err := tickets.First(tx, store.Query{Index: "number", Equal: []any{number}})
	if fault.Of(err) == fault.NotFound {
		err = fault.New(fault.NotFound, "there is no ticket %.40q", number)
	}
	return rec, err
}

// unchanged refuses to act on a ticket that is no longer the one that somebody saw; version 0 is any.
func unchanged(rec store.Rec[Ticket], version int64) error {
	if version != 0 && version != rec.Version {
		return fault.New(fault.Stale, "ticket %s was changed meanwhile: version %d, not %d", rec.Value.Number, rec.Version, version)
	}
	return nil
}

// say is the one way into a conversation, in the transaction of whatever brings the message (whose text is worded): it keeps it, moves the ticket's state and
// clocks, and tells the customer what staff wrote to her. It gives the id of the message.
//
// What is internal or held moves nothing. What a customer writes to a ticket that was merged stays there, and is waiting for an answer in the one that it was
// merged into; what she writes to a closed one opens it again.
func (d *Desk) say(tx *store.Tx, by, ticket string, m Message) (string, error) {
	t, meta, err := tickets.Get(tx, ticket)
	if err != nil {
		return "", err
	}
	rec := store.Rec[Ticket]{Meta: meta, Value: t}
	m.Ticket, m.At = ticket, tx.Now()
	if err := d.keepFiles(tx, ticket, &m); err != nil {
		return "", err
	}
	if m.From == "staff" && !m.Internal && m.Held == "" {
		if t.Into != "" {
			return "", fault.New(fault.Conflict, "ticket %s goes on in another; answer there", t.Number)
		}
		if m.Untold, err = d.tellAnswer(tx, ticket, t, m); err != nil {
			return "", err
		}
	}
	id := messages.NewID()
	if err := messages.Put(tx, id, m, 0); err != nil {
		return "", err
	}
	tx.On(ticket)
	switch {
	case m.Internal:
		return id, nil
	case m.Held != "":
		t.Held++
		return id, d.put(tx, by, rec, t)
	case m.From == "customer":
		return id, d.hear(tx, by, rec)
	case m.From == "staff":
		t = d.Policy.answered(t, tx.Now())
	}
	return id, d.put(tx, by, rec, t)
}

// hear notes that a customer waits for an answer, in the ticket that is worked on.
func (d *Desk) hear(tx *store.Tx, by string, rec store.Rec[Ticket]) error {
	lead, err := leading(tx, rec)
	if err != nil {
		return err
	}
	if lead.ID != rec.ID {
		tx.On(lead.ID)
	}
	return d.put(tx, by, lead, d.Policy.heard(lead.Value, tx.Now()))
}

// leading is the ticket in which one goes on that was merged; itself when it was not, or when that one is deleted.
func leading(tx *store.Tx, rec store.Rec[Ticket]) (store.Rec[Ticket], error) {
	for range mostMerged {
		if rec.Value.Into == "" {
			return rec, nil
		}
		t, meta, err := tickets.Get(tx, rec.Value.Into)
		if fault.Of(err) == fault.NotFound {
			return rec, nil
		}
		if err != nil {
			return rec, err
		}
		rec = store.Rec[Ticket]{Meta: meta, Value: t}
	}
	return rec, nil
}

// put writes what became of a ticket, with its promises; whoever calls it names the ticket for the audit row.
func (d *Desk) put(tx *store.Tx, by string, was store.Rec[Ticket], now Ticket) error {
	now.ChangedAt = tx.Now()
	if err := d.promise(tx, was.ID, by, was.Value, now); err != nil {
		return err
	}
	return tickets.Put(tx, was.ID, now, was.Version)
}
