package desk

import (
	"context"
	"time"

	"lifeline/store"
	"lifeline/store/secret"
)

// Filled is a ticket that a house is filled with. Of the ticket everything is taken but its number, secret, phrase and clocks; AnswerAt says whether and when it was
// answered, and with the state Closed it was solved then as well.
type Filled struct {
	Ticket
	Words string // of its first message
}

// Fill writes tickets, each with its message and its deadlines, in one transaction, and gives their numbers. Nobody is told anything: it is for those who need a house that
// is full within minutes, to measure or rehearse.
func (d *Desk) Fill(ctx context.Context, by string, all []Filled) (numbers []string, err error) {
	err = d.DB.Update(ctx, store.Act{By: by, Verb: "ticket.fill"}, func(tx *store.Tx) error {
		numbers = numbers[:0]
		for _, f := range all {
			t := f.Ticket
			end := t.State
			_, hash := secret.New()
			t.Number, t.Secret, t.Phrase, t.StartedBy, t.State, t.AnswerAt, t.ChangedAt = secret.Number(), hash, secret.Phrase(), by, New, time.Time{}, t.FiledAt
			t = d.Policy.filed(t, t.FiledAt)
			id := tickets.NewID()
			if err := d.Comms.Promise(tx, firstPromise(id, t)); err != nil {
				return err
			}
			was := t
			if at := f.AnswerAt; !at.IsZero() {
				t = d.Policy.answered(t, at)
			}
			if end == Closed {
				t = d.Policy.ended(t, Ending{How: BySilence, By: by, At: f.AnswerAt})
			}
			if err := d.promise(tx, id, by, was, t); err != nil {
				return err
			}
			if err := tickets.Put(tx, id, t, 0); err != nil {
				return err
			}
			if err := messages.Put(tx, messages.NewID(), Message{Ticket: id, From: "customer", Text: f.Words, At: t.FiledAt, Via: t.Route}, 0); err != nil {
				return err
			}
			numbers = append(numbers, t.Number)
		}
		return nil
	})
	return numbers, err
}
