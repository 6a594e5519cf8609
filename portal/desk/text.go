package desk

import (
	"context"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
)

// textRemembered is for how long a text that comes again is known again.
const textRemembered = 7 * 24 * time.Hour

// helpsDaily is how often a number is answered HELP in a day.
const helpsDaily = 3

// TakeText makes of a text message what it is: an opt-out or the way back, a question for help, words for the newest open ticket of its number, or
// a ticket of its own. What it answers goes back as a text; "": nothing. A text that comes again changes nothing and is answered nothing.
//
// A number can be forged more easily than it can be read: what comes from it may add to its own ticket and show nothing.
func (d *Desk) TakeText(ctx context.Context, in comms.Incoming) (answer string, err error) {
	number, err := contacts.ParsePhone(in.From, "")
	if err != nil {
		return "", fault.BadField("from", "is not a number")
	}
	in.From = number
	for try := 0; ; try++ {
		answer, err := d.takeText(ctx, in)
		if try == lookTries || !limit.Lost(err) {
			return answer, err
		}
	}
}

func (d *Desk) takeText(ctx context.Context, in comms.Incoming) (answer string, err error) {
	var once limit.Taking
	var open store.Rec[Ticket]
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		if once, err = limit.Look(tx, "text "+in.Ref, limit.Rule{N: 1, Per: textRemembered}); err != nil {
			return err
		}
		open, err = openTicketOf(tx, in.From)
		return err
	})
	if fault.Of(err) == fault.TooMany {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	word := in.Keyword
	if word == comms.NoKeyword {
		word = comms.KeywordOf(in.Text)
	}
	locale := open.Value.Locale
	if open.ID == "" {
		locale = LocaleOf(in.Text)
	}
	words := d.Comms.Words.Catalog(d.Comms.Words.Match(locale))
	switch word {
	case comms.Stop, comms.Start:
		return "", d.wantTexts(ctx, in, once, word == comms.Start)
	case comms.Help:
		if err := d.DB.Update(ctx, store.Act{}, once.In); err != nil || in.Keyword != comms.NoKeyword {
			return "", err
		}
		if err := limit.Take(ctx, d.DB, "help "+in.From, helpsDaily, 24*time.Hour); fault.Of(err) == fault.TooMany {
			return "", nil
		} else if err != nil {
			return "", err
		}
		return words.T("incoming.text.help", d.Comms.Vendor.Name, d.Comms.Vendor.Support), nil
	}
	said := strings.TrimSpace(in.Text)
	if in.Media > 0 {
		said = strings.TrimSpace(said + "\n\n" + words.T("incoming.text.media", in.Media))
	}
	if said == "" {
		said = words.T("incoming.text.empty")
	}
	if open.ID == "" {
		_, err := d.File(ctx, "public:sms", Intake{Message: said, Phone: in.From, Locale: locale, Route: comms.ChannelSMS, once: &once})
		return "", err
	}
	entry, err := worded(Message{From: "customer", Text: said, Via: comms.ChannelSMS})
	if err != nil {
		return "", err
	}
	return "", d.DB.Update(ctx, store.Act{By: "public:sms", Verb: "ticket.message"}, func(tx *store.Tx) error {
		if err := once.In(tx); err != nil {
			return err
		}
		_, err := d.say(tx, "public:sms", open.ID, entry)
		return err
	})
}

// wantTexts notes whether the owner of a number wants texts: on her contacts, and on her ticket, which is answered there or on its page.
func (d *Desk) wantTexts(ctx context.Context, in comms.Incoming, once limit.Taking, wants bool) error {
	verb := "contact.opt_out"
	if wants {
		verb = "contact.opt_in"
	}
	return d.DB.Update(ctx, store.Act{By: "public:sms", Verb: verb}, func(tx *store.Tx) error {
		err := once.In(tx)
		if err == nil && wants {
			_, err = d.Comms.OptInNumber(tx, in.From)
		} else if err == nil {
			_, err = d.Comms.OptOutNumber(tx, in.From, "answered STOP")
		}
		if err != nil {
			return err
		}
		for rec, err := range tickets.Scan(tx, ticketsOf(in.From)) {
			if err != nil {
				return err
			}
			t := rec.Value
			if t.NoText != wants {
				continue
			}
			t.NoText = !wants
			tx.On(rec.ID)
			if err := tickets.Put(tx, rec.ID, t, rec.Version); err != nil {
				return err
			}
		}
		return nil
	})
}

// mostTicketsOf bounds how many tickets of one number are looked at, the newest first.
const mostTicketsOf = 50

func ticketsOf(number string) store.Query {
	return store.Query{Index: "phone", Equal: []any{number}, Reverse: true, Limit: mostTicketsOf}
}

// openTicketOf is the newest ticket that was filed with a number and is not closed.
func openTicketOf(tx *store.Tx, number string) (store.Rec[Ticket], error) {
	for rec, err := range tickets.Scan(tx, ticketsOf(number)) {
		if err != nil {
			return rec, err
		}
		if rec.Value.State != Closed {
			return rec, nil
		}
	}
	return store.Rec[Ticket]{}, nil
}
