package desk

import (
	"context"
	"encoding/json"
	"time"

	"lifeline/comms"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/secret"
	"lifeline/templates"
)

// Receipt is what the person sees at once, and the only time that she sees the secret.
type Receipt struct {
	ID       string   `json:"id"`
	Number   string   `json:"number"`
	Secret   string   `json:"secret"`
	URL      string   `json:"url"`
	Phrase   string   `json:"phrase"`
	Level    string   `json:"level"`
	Priority string   `json:"-"`
	Queue    string   `json:"-"`
	Locale   string   `json:"-"`
	Unkept   []Unkept `json:"-"` // files that came and were not kept
	Told     string   `json:"-"` // "email" or "sms" when a receipt is on its way, "" when the address has had enough of them
	Untold   string   `json:"-"` // why there are no texts to her number, which is all that she gave: a Not constant
}

// File takes a ticket: one transaction writes it, the deadline of its first answer, the notice of its receipt and the audit row. It
// never asks the product, and never waits for a mail server.
//
// That transaction reads nothing, so that tickets are in nobody's way: what is going on and what the address has had are looked up before.
func (d *Desk) File(ctx context.Context, by string, in Intake) (Receipt, error) {
	in, err := validate(in, d.Book.Policy.PhoneCountry)
	if err != nil {
		return Receipt{}, err
	}
	in.Locale = d.Comms.Words.Match(in.Locale)
	for try := 0; ; try++ {
		seen, err := d.look(ctx, in)
		if err != nil {
			return Receipt{}, err
		}
		if try == lookTries { // she still has her receipt on the screen
			seen.ack = ack{not: seen.ack.not}
		}
		receipt, err := d.write(ctx, by, in, seen)
		if err == nil && seen.burst {
			if err := d.alarm(ctx, seen.sound); err != nil { // the duty tries again; her ticket is filed
				d.Log.Warn("nobody was alarmed of a burst of tickets", "err", err)
			}
		}
		if seen.ack.channel == "" || !limit.Lost(err) { // else another ticket of the same address was faster
			return receipt, err
		}
	}
}

const lookTries = 3

func (d *Desk) write(ctx context.Context, by string, in Intake, seen seen) (receipt Receipt, err error) {
	plain, hash := secret.New()
	number := secret.Number()
	phrase := secret.Phrase()
	err = d.DB.Update(ctx, store.Act{By: by, Verb: "ticket.file"}, func(tx *store.Tx) error {
		if in.once != nil {
			if err := in.once.In(tx); err != nil {
				return err
			}
		}
		incident, priority := triage(in.Impact, seen.going)
		t := Ticket{
			Number: number, Secret: hash, Phrase: phrase, StartedBy: by,
			Name: in.Name, Email: in.Email, Phone: in.Phone, Company: in.Company, SiteURL: in.SiteURL, SiteName: in.SiteName,
			Domain: in.Domain, Invoice: in.Invoice, OldTicket: in.OldTicket, Like: seen.like, Impact: in.Impact, Locale: in.Locale, Route: in.Route, Private: in.private,
			Priority: priority, State: New, Sound: seen.sound,
			FiledAt: tx.Now(), ChangedAt: tx.Now(),
		}
		t = d.Policy.filed(d.Policy.enters(t, among(seen.going, incident)), tx.Now())
		id := tickets.NewID()
		if err := tickets.Put(tx, id, t, 0); err != nil {
			return err
		}
		var came Message
		if err := in.Files.keep(tx, id, &came, 0); err != nil {
			return err
		}
		if err := messages.Put(tx, messages.NewID(), Message{Ticket: id, Files: came.Files, Unkept: came.Unkept, From: "customer", Text: in.Message, At: tx.Now(), Via: in.Route, Ref: in.Ref}, 0); err != nil {
			return err
		}
		if err := d.Comms.Promise(tx, firstPromise(id, t)); err != nil { // it looks for none that stands
			return err
		}
		receipt = Receipt{ID: id, Number: number, Secret: plain, URL: d.url(number), Phrase: phrase, Level: L0.String(),
			Priority: priority, Queue: t.Queue(), Locale: in.Locale, Told: seen.ack.told(), Untold: seen.ack.not}
		tx.On(id)
		if in.also != nil {
			if err := in.also(tx, number); err != nil {
				return err
			}
		}
		return d.acknowledge(tx, id, t, in.Ref, seen.ack)
	})
	receipt.Unkept = in.Files.Unkept()
	return receipt, err
}

func (d *Desk) url(number string) string { return d.Comms.Vendor.URL + "/t/" + number }

func (d *Desk) openIncidents(tx *store.Tx) ([]open, error) {
	all, err := d.Comms.OpenIncidents(tx)
	if err != nil {
		return nil, err
	}
	going := make([]open, len(all))
	for i, rec := range all {
		going[i] = openOf(rec)
	}
	return going, nil
}

func openOf(in store.Rec[comms.Incident]) open {
	return open{ID: in.ID, Severity: in.Value.Severity, Category: in.Value.Category}
}

// among finds an incident among those that go on; of none it is none.
func among(going []open, id string) open {
	for _, o := range going {
		if o.ID == id {
			return o
		}
	}
	return open{ID: id}
}

// seen is what the store said before a ticket was written.
type seen struct {
	going []open
	like  string
	ack   ack
	sound string
	burst bool // with this one there is a burst
}

// ack is how a receipt goes out, and what is taken for it of what its address may get. Without a channel there is none.
type ack struct {
	channel string
	taking  limit.Taking
	domain  *limit.Taking // of what her mail domain may get,
	free    bool          // unless anybody has a mailbox there
	onFile  bool          // it is a number that is on file
	not     string        // why a stranger's number would get none: hers may be on file, and get it
}

// told is what she hears of it, which is the same whether or not her number is on file.
func (a ack) told() string {
	if a.not != "" {
		return ""
	}
	return a.channel
}

// look reads what is going on, and decides whether and how a receipt goes to an address that nobody has proved: a stranger must not be able
// to make us write to somebody again and again. When a budget is used up the person still has her receipt on the screen.
func (d *Desk) look(ctx context.Context, in Intake) (s seen, err error) {
	channel, address := comms.ChannelEmail, in.Email
	if address == "" {
		channel, address = comms.ChannelSMS, in.Phone
	}
	var budget error
	s.sound = soundOf(in)
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		if s.going, err = d.openIncidents(tx); err != nil {
			return err
		}
		if s.like, err = d.likely(tx, in); err != nil {
			return err
		}
		if held, _ := triage(in.Impact, s.going); held == "" {
			if s.burst, err = d.bursts(tx, s.sound, 1); err != nil {
				return err
			}
		}
		s.ack.taking, budget = limit.Look(tx, "ack "+address, limit.Rule{N: 1, Per: d.Policy.AckEach}, limit.Rule{N: d.Policy.AckDaily, Per: 24 * time.Hour})
		if budget == nil && channel == comms.ChannelSMS {
			s.ack.onFile, err = d.onFile(tx, channel, address)
		} else if budget == nil {
			s.ack.domain, s.ack.free, budget = d.mayMail(tx, address)
		}
		return err
	})
	if err != nil || in.quiet {
		return s, err
	}
	if budget == nil {
		budget = d.mayAcknowledge(ctx, &s.ack, channel, address)
	}
	if budget == nil {
		s.ack.channel = channel
	} else if fault.Of(budget) != fault.TooMany {
		d.Log.Warn("receipt not sent: its budget could not be read", "err", budget)
	}
	return s, nil
}

// mayAcknowledge takes what a receipt costs of what many share. With fault.TooMany there is none.
func (d *Desk) mayAcknowledge(ctx context.Context, a *ack, channel, address string) (err error) {
	all, hourly := "ack all "+channel, d.Policy.AckHourly
	switch {
	case channel == comms.ChannelSMS:
		if a.not, err = d.mayText(ctx, d.Policy.Texts.receipts(), address); err != nil {
			return err
		}
		if a.not != "" && !a.onFile {
			return fault.New(fault.TooMany, "this number is not texted")
		}
		if hourly = d.Policy.AckSMSHourly; a.onFile {
			all += " on file"
		}
	case a.free:
		if err := d.mayMailFree(ctx, address); err != nil {
			return err
		}
	}
	return d.receipts.Take(ctx, d.DB, all, hourly, time.Hour)
}

func (d *Desk) acknowledge(tx *store.Tx, id string, t Ticket, answers string, ack ack) error {
	channel := ack.channel
	if channel == "" {
		return nil
	}
	if err := ack.taking.In(tx); err != nil {
		return err
	}
	if ack.domain != nil {
		if err := ack.domain.In(tx); err != nil {
			return err
		}
	}
	return d.tellNumber(tx, id, t, channel, answers)
}

// tellNumber tells the writer of a ticket its number, with a link that opens it and nothing that anybody wrote.
func (d *Desk) tellNumber(tx *store.Tx, id string, t Ticket, channel, answers string) error {
	talk := d.talk(id, t)
	talk.Begins, talk.Answers = true, answers
	data, err := json.Marshal(templates.TicketAck{Number: t.Number, URL: d.Link(t, channel, tx.Now()), Reply: talk.ReplyTo != ""})
	if err != nil {
		return err
	}
	_, err = d.Comms.Tell(tx, comms.Notice{
		Lane: comms.LaneDirect, Name: "ticket_ack", Channels: []string{channel}, ReplyTo: true, Data: data, Talk: &talk,
		To: []comms.Direct{{Channel: channel, Address: t.address(channel), Locale: t.Locale}}, // no name: the text of a stranger goes nowhere
	})
	return err
}
