package desk

import (
	"context"
	"encoding/json"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// CallWish is when and where a customer wants to be called.
type CallWish struct {
	At    time.Time
	Zone  string // IANA; in which she thinks of it
	Phone string // as typed
}

// CallTask is the sort of the tasks that a call is; CallDetail is what they carry.
const CallTask = "call"

// CallDetail is the detail of a task of a call. The number to call stands in the ticket, which fewer may read than tasks.
type CallDetail struct {
	Ticket string    `json:"ticket"` // number
	At     time.Time `json:"at"`
	Zone   string    `json:"zone"`
}

// AskCall notes that a customer wants to be called: a task for staff, due at that time, and an entry of the conversation with the number. Asking again
// moves the call that is not made yet.
func (d *Desk) AskCall(ctx context.Context, v View, visit Visit, w CallWish) (View, error) {
	if err := visit.May(AddWords); err != nil {
		return v, err
	}
	phone, err := contacts.ParsePhone(line(w.Phone), d.Book.Policy.PhoneCountry)
	if err != nil {
		return v, fault.BadField("phone", "is not a phone number we can reach; begin with + and the country code")
	}
	detail, err := json.Marshal(CallDetail{Ticket: v.Ticket.Number, At: w.At.UTC(), Zone: w.Zone})
	if err != nil {
		return v, err
	}
	local := w.At
	if zone, err := time.LoadLocation(w.Zone); err == nil {
		local = w.At.In(zone)
	}
	said := Message{From: "customer", Via: "web", Text: d.Comms.Words.Catalog(v.Ticket.Locale).T("call.asked", local.Format("2006-01-02 15:04"), w.Zone, phone)}
	err = d.DB.Update(ctx, store.Act{By: byCustomer, Verb: "ticket.call"}, func(tx *store.Tx) error {
		if err := d.Comms.Settle(tx, CallTask, v.ID, byCustomer, "asked for another time"); err != nil {
			return err
		}
		if _, err := d.Comms.Owe(tx, comms.Task{What: CallTask, Of: v.ID, Account: v.Ticket.Account, Incident: v.Ticket.Incident, Due: w.At,
			Title: "call the customer of ticket " + v.Ticket.Number, Detail: detail}); err != nil {
			return err
		}
		_, err := d.say(tx, byCustomer, v.ID, said)
		return err
	})
	if err != nil {
		return v, err
	}
	v, err = d.Ticket(ctx, v.Ticket.Number)
	v.Messages = forCustomer(v.Messages)
	return v, err
}
