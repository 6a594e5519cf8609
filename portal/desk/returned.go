package desk

import (
	"context"
	"encoding/json"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/templates"
)

// TaskUnreached is owed for a ticket whose writer our mails do not reach, when there is no number to send to either.
const TaskUnreached = "ticket.unreached"

// MailReturned notes on a ticket that a mail to its writer came back, and tries her number; without one somebody has to find another way. The ticket is
// named by its id, and by the address the note stays true when another was put in since.
func (d *Desk) MailReturned(ctx context.Context, id, address, reason string) error {
	return d.DB.Update(ctx, store.Act{By: "system:mail", Verb: "ticket.mail_returned"}, func(tx *store.Tx) error {
		t, meta, err := tickets.Get(tx, id)
		if err != nil {
			return err
		}
		if t.MailLost || !sameMailbox(t.Email, address) {
			return nil
		}
		t.MailLost = true
		if err := tickets.Put(tx, id, t, meta.Version); err != nil {
			return err
		}
		note := "Mail to " + contacts.MaskEmail(address) + " came back: " + line(reason)
		if _, err := d.say(tx, "system:mail", id, Message{From: "system", Internal: true, Text: note}); err != nil {
			return err
		}
		if t.tellOn() != comms.ChannelSMS {
			_, err := d.Comms.Owe(tx, comms.Task{What: TaskUnreached, Of: id, Account: t.Account, Incident: t.Incident,
				Title: "Mail to the writer of ticket " + t.Number + " comes back: find another way to reach her"})
			return err
		}
		data, err := json.Marshal(templates.TicketAnswer{Number: t.Number, URL: d.Link(t, comms.ChannelSMS, tx.Now()), Phrase: t.Phrase, Reply: d.Inbox.Texts})
		if err != nil || t.AnswerAt.IsZero() { // the receipt came back: there is nothing to tell her yet
			return err
		}
		if channel, _, err := d.tellsOn(tx, id, t); channel == "" || err != nil {
			return err
		}
		talk := d.talk(id, t)
		_, err = d.Comms.Tell(tx, comms.Notice{Lane: comms.LaneDirect, Name: templates.MsgTicketAnswer, Channels: []string{comms.ChannelSMS}, Data: data, Talk: &talk,
			To: []comms.Direct{{Channel: comms.ChannelSMS, Address: t.Phone, Locale: t.Locale}}})
		return err
	})
}

// TicketReferred is the id of the ticket that a Message-ID of ours is about; "" when it is about none.
func (d *Desk) TicketReferred(ctx context.Context, messageID string) (id, email string, err error) {
	number := d.referred(messageID)
	if number == "" {
		return "", "", nil
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		for rec, err := range tickets.Scan(tx, store.Query{Index: "number", Equal: []any{number}}) {
			if err != nil {
				return err
			}
			id, email = rec.ID, rec.Value.Email
		}
		return nil
	})
	return id, email, err
}
