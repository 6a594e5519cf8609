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
	ID       string `json:"id"`
	Number   string `json:"number"`
	Secret   string `json:"secret"`
	URL      string `json:"url"`
	Phrase   string `json:"phrase"`
	Level    string `json:"level"`
	Priority string `json:"-"`
	Queue    string `json:"-"`
	Locale   string `json:"-"`
	Told     string `json:"-"` // "email" or "sms" when a receipt is on its way, "" when the address has had enough of them
}

// File takes a ticket: one transaction writes it, the deadline of its first answer, the notice of its receipt and the audit row. It
// never asks the product, and never waits for a mail server.
func (d *Desk) File(ctx context.Context, by string, in Intake) (Receipt, error) {
	in, err := validate(in, d.Book.Policy.PhoneCountry)
	if err != nil {
		return Receipt{}, err
	}
	in.Locale = d.Comms.Words.Match(in.Locale)
	plain, hash := secret.New()
	number := secret.Number()
	phrase := secret.Phrase()
	ack := d.ackChannel(ctx, in)
	var receipt Receipt
	err = d.DB.Update(ctx, store.Act{By: by, Verb: "ticket.file"}, func(tx *store.Tx) error {
		going, err := d.openIncidents(tx)
		if err != nil {
			return err
		}
		incident, priority := triage(in.Impact, going)
		t := Ticket{
			Number: number, Secret: hash, Phrase: phrase, Level: "L0",
			Name: in.Name, Email: in.Email, Phone: in.Phone, Company: in.Company, SiteURL: in.SiteURL, SiteName: in.SiteName,
			Domain: in.Domain, Invoice: in.Invoice, OldTicket: in.OldTicket, Impact: in.Impact, Locale: in.Locale, Route: in.Route,
			Incident: incident, Priority: priority, State: New,
			FiledAt: tx.Now(), ChangedAt: tx.Now(), AnswerBy: tx.Now().Add(d.firstAnswer(priority)),
		}
		id := tickets.NewID()
		if err := tickets.Put(tx, id, t, 0); err != nil {
			return err
		}
		if err := messages.Put(tx, messages.NewID(), Message{Ticket: id, From: "customer", Text: in.Message, At: tx.Now()}, 0); err != nil {
			return err
		}
		if err := d.Comms.Promise(tx, comms.Deadline{What: "first_answer", Of: id, Incident: incident, Due: t.AnswerBy}); err != nil {
			return err
		}
		receipt = Receipt{ID: id, Number: number, Secret: plain, URL: d.url(number), Phrase: phrase, Level: t.Level,
			Priority: priority, Queue: t.Queue(), Locale: in.Locale, Told: ack}
		tx.On(id)
		return d.acknowledge(tx, t, ack)
	})
	return receipt, err
}

func (d *Desk) url(number string) string { return d.Comms.Vendor.URL + "/t/" + number }

func (d *Desk) firstAnswer(priority string) time.Duration {
	if t, ok := d.Policy.FirstAnswer[priority]; ok {
		return t
	}
	return 24 * time.Hour
}

func (d *Desk) openIncidents(tx *store.Tx) ([]open, error) {
	all, err := d.Comms.OpenIncidents(tx)
	if err != nil {
		return nil, err
	}
	going := make([]open, len(all))
	for i, rec := range all {
		going[i] = open{ID: rec.ID, Severity: rec.Value.Severity}
	}
	return going, nil
}

// ackChannel decides whether and how a receipt goes to an address that nobody has proved: a stranger must not be able to
// make us write to somebody again and again. When a budget is used up the person still has her receipt on the screen.
func (d *Desk) ackChannel(ctx context.Context, in Intake) string {
	channel, address, hourly := "email", in.Email, d.Policy.AckHourly
	if address == "" {
		channel, address, hourly = "sms", in.Phone, d.Policy.AckSMSHourly
	}
	for _, budget := range []struct {
		key string
		n   int
		per time.Duration
	}{
		{"ack address " + address, 1, d.Policy.AckEach},
		{"ack daily " + address, d.Policy.AckDaily, 24 * time.Hour},
		{"ack all " + channel, hourly, time.Hour},
	} {
		if err := limit.Take(ctx, d.DB, budget.key, budget.n, budget.per); err != nil {
			if fault.Of(err) != fault.TooMany {
				d.Log.Warn("receipt not sent: its budget could not be read", "err", err)
			}
			return ""
		}
	}
	return channel
}

func (d *Desk) acknowledge(tx *store.Tx, t Ticket, channel string) error {
	if channel == "" {
		return nil
	}
	address := t.Email
	if channel == "sms" {
		address = t.Phone
	}
	data, err := json.Marshal(templates.TicketAck{Number: t.Number, URL: d.url(t.Number)})
	if err != nil {
		return err
	}
	_, err = d.Comms.Tell(tx, comms.Notice{
		Lane: comms.LaneDirect, Name: "ticket_ack", Channels: []string{channel}, ReplyTo: true, Data: data,
		To: []comms.Direct{{Channel: channel, Address: address, Locale: t.Locale}}, // no name: the text of a stranger goes nowhere
	})
	return err
}
