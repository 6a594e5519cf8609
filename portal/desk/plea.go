package desk

import (
	"context"
	"encoding/json"

	"lifeline/store"
	"lifeline/store/fault"
)

// RestorePoint is the family of tasks in which a customer asks for her data of another time than the one that was restored.
const RestorePoint = "restore_point"

// Plea is what a customer asks of us from her ticket, beyond an answer.
type Plea string

// The pleas.
const (
	Escalate Plea = "escalation"
	Older    Plea = "older" // a restore of older data
	Newer    Plea = "newer"
)

// PointAsked is the detail of a task of a restore point.
type PointAsked struct {
	Ticket string `json:"ticket"` // number, where her words are
	Want   Plea   `json:"want"`   // older, newer
}

// Plead writes what she asks into the conversation, and makes somebody answer for it by a time: one transaction. Asking again adds her words and no second task.
func (d *Desk) Plead(ctx context.Context, v View, visit Visit, p Plea, words string) (View, error) {
	needed := AskRestore
	switch p {
	case Escalate:
		needed = AskEscalation
	case Older, Newer:
	default:
		return v, fault.BadField("plea", "must be escalation, older or newer")
	}
	if err := visit.May(needed); err != nil {
		return v, err
	}
	if words = text(words); words == "" {
		return v, fault.BadField("why", "is missing: say in a few words what you need, and why")
	}
	m, err := worded(Message{From: "customer", Via: "web", Text: d.Comms.Words.Catalog(v.Ticket.Locale).T("plea.said."+string(p)) + "\n\n" + words})
	if err != nil {
		return v, err
	}
	err = d.DB.Update(ctx, store.Act{By: byCustomer, Verb: "ticket.plead"}, func(tx *store.Tx) error {
		rec, err := byNumber(tx, v.Ticket.Number)
		if err != nil {
			return err
		}
		t := escalationOf(rec, RouteTicket)
		if p != Escalate {
			detail, err := json.Marshal(PointAsked{rec.Value.Number, p})
			if err != nil {
				return err
			}
			t.What, t.Detail, t.Title = RestorePoint, detail, "A restore of "+string(p)+" data is asked for, ticket "+rec.Value.Number
		}
		if _, err := d.Comms.Owe(tx, t); err != nil {
			return err
		}
		_, err = d.say(tx, byCustomer, rec.ID, m)
		return err
	})
	if err != nil {
		return v, err
	}
	return d.again(ctx, v, visit)
}

// again reads an open ticket after its customer did something in it.
func (d *Desk) again(ctx context.Context, v View, visit Visit) (View, error) {
	v, err := d.Ticket(ctx, v.Ticket.Number)
	if err != nil {
		return v, err
	}
	v.Messages = forCustomer(v.Messages)
	return v, d.showStages(ctx, visit, &v)
}
