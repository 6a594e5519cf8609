package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// Booking is a talk with a customer at a time.
type Booking struct {
	Ticket string    `json:"ticket"`   // number
	At     time.Time `json:"at"`       // when we call
	Zone   string    `json:"zone"`     // IANA, in which she is told the time
	Owner  string    `json:"owner"`    // id of who calls; "": nobody yet
	Quiet  bool      `json:"internal"` // she is not told, because she asked for just this
}

// Booked is what the task of a call carries beside its time. The number to call stands in the ticket, which fewer people read than tasks.
type Booked struct {
	Ticket string    `json:"ticket"`
	At     time.Time `json:"at"`
	Zone   string    `json:"zone"`
}

// farthest is how far ahead a call is booked at most.
const farthest = 90 * 24 * time.Hour

// BookCall books a call on a ticket: a task that is due then, a reminder before it, and a word to the customer in her language. A call that is booked
// already is moved.
func (d *Desk) BookCall(ctx context.Context, by string, b Booking) (task store.Rec[comms.Task], err error) {
	zone, err := time.LoadLocation(b.Zone)
	now := d.DB.Now()
	switch {
	case b.Zone == "" || b.Zone == "Local" || err != nil:
		return task, fault.BadField("zone", "must be a time zone such as Europe/Berlin")
	case !b.At.After(now):
		return task, fault.BadField("at", "lies behind")
	case b.At.After(now.Add(farthest)):
		return task, fault.BadField("at", "is more than 90 days ahead")
	}
	number := secret.NormalNumber(b.Ticket)
	err = d.DB.Update(ctx, store.Act{By: by, Verb: "call.book"}, func(tx *store.Tx) error {
		rec, err := byNumber(tx, number)
		if err != nil {
			return err
		}
		if task, err = d.bookCall(tx, by, rec, b); err != nil || b.Quiet {
			return err
		}
		said := d.Comms.Words.Catalog(rec.Value.Locale).T("ticket.call.booked", b.At.In(zone).Format("2006-01-02 15:04"), b.Zone)
		_, err = d.say(tx, by, rec.ID, Message{From: "system", By: by, Text: said})
		return err
	})
	return task, err
}

// bookCall writes the task of a call and the reminder before it, in place of the call that was booked before.
func (d *Desk) bookCall(tx *store.Tx, by string, rec store.Rec[Ticket], b Booking) (task store.Rec[comms.Task], err error) {
	at := b.At.UTC()
	detail, err := json.Marshal(Booked{Ticket: rec.Value.Number, At: at, Zone: b.Zone})
	if err != nil {
		return task, fmt.Errorf("write the detail of a call: %w", err)
	}
	if err := d.Comms.Settle(tx, comms.Call, rec.ID, by, "moved to another time"); err != nil {
		return task, err
	}
	t := comms.Task{What: comms.Call, Of: rec.ID, Account: rec.Value.Account, Incident: rec.Value.Incident, Owner: b.Owner, Due: at, Detail: detail,
		Title: "call the customer of ticket " + rec.Value.Number}
	id, err := d.Comms.Owe(tx, t)
	if err != nil {
		return task, err
	}
	if remind := at.Add(-d.Policy.Cases.CallRemind); remind.After(tx.Now()) {
		if err := d.Comms.Remind(tx, id, t, remind); err != nil {
			return task, err
		}
	}
	return d.Comms.TaskIn(tx, id)
}

// CallWish is when and where a customer wants to be called.
type CallWish struct {
	At    time.Time
	Zone  string // IANA; in which she thinks of it
	Phone string // as typed
}

// AskCall books the call that a customer asks for, with her words and the number to call in the conversation. Asking again moves the call that is not
// made yet.
func (d *Desk) AskCall(ctx context.Context, v View, visit Visit, w CallWish) (View, error) {
	if err := visit.May(AddWords); err != nil {
		return v, err
	}
	phone, err := contacts.ParsePhone(line(w.Phone), d.Book.Policy.PhoneCountry)
	if err != nil {
		return v, fault.BadField("phone", "is not a phone number we can reach; begin with + and the country code")
	}
	zone, err := time.LoadLocation(w.Zone)
	if err != nil {
		return v, fault.BadField("zone", "is no time zone")
	}
	said := d.Comms.Words.Catalog(v.Ticket.Locale).T("call.asked", w.At.In(zone).Format("2006-01-02 15:04"), w.Zone, phone)
	err = d.DB.Update(ctx, store.Act{By: byCustomer, Verb: "ticket.call"}, func(tx *store.Tx) error {
		rec, err := byNumber(tx, v.Ticket.Number)
		if err != nil {
			return err
		}
		if _, err := d.bookCall(tx, byCustomer, rec, Booking{At: w.At, Zone: w.Zone}); err != nil {
			return err
		}
		_, err = d.say(tx, byCustomer, rec.ID, Message{From: "customer", Via: "web", Text: said})
		return err
	})
	if err != nil {
		return v, err
	}
	v, err = d.Ticket(ctx, v.Ticket.Number)
	v.Messages = forCustomer(v.Messages)
	return v, err
}

// Talked ends a call with what was said in it. The notes are kept in the ticket, for staff, and so under the account.
func (d *Desk) Talked(ctx context.Context, by, task string, version int64, notes string) error {
	m, err := worded(Message{From: "staff", By: by, Text: notes, Internal: true, Via: RoutePhone})
	if err != nil {
		return err
	}
	return d.DB.Update(ctx, store.Act{By: by, Verb: "call.notes"}, func(tx *store.Tx) error {
		rec, err := d.Comms.TaskIn(tx, task)
		switch {
		case err != nil:
			return err
		case rec.Value.What != comms.Call:
			return fault.New(fault.Conflict, "this task is no call")
		case version != 0 && version != rec.Version:
			return fault.New(fault.Stale, "task %s was changed meanwhile: version %d, not %d", task, rec.Version, version)
		}
		if _, err := d.say(tx, by, rec.Value.Of, m); err != nil {
			return err
		}
		return d.Comms.EndTask(tx, task, comms.TaskDone, by, "the notes stand in the ticket")
	})
}

// Calls lists calls in a state, the next one in front.
func (d *Desk) Calls(ctx context.Context, state, after string, most int) (page []store.Rec[comms.Task], next string, err error) {
	return d.family(ctx, comms.Call, state, after, most)
}
