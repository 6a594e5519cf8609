package desk

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
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

// File takes a ticket: one transaction writes it, the deadline of its first answer, the notice of its receipt, the audit row and what it takes of
// the limits on its source and its address. It never asks the product, and never waits for a mail server. With [Owing] something has to be paid first.
//
// That transaction reads nothing, so that tickets are in nobody's way: what is going on and what its source and its address have had are looked up before.
func (d *Desk) File(ctx context.Context, by string, in Intake) (Receipt, error) {
	in, wrong := validate(in, d.Book.Policy.PhoneCountry)
	if wrong != nil {
		if err := d.tried(ctx, in.Fare); fault.Of(err) == fault.TooMany {
			return Receipt{}, err
		}
		return Receipt{}, wrong
	}
	in.Locale = d.Comms.Words.Match(cmp.Or(in.Locale, LocaleOf(in.Message)))
	ended, err := d.waitTurn(ctx, "source "+in.Fare.Source, in.Fare.Source != "")
	defer ended()
	if err != nil {
		return Receipt{}, err
	}
	told, err := d.waitTurn(ctx, "mail domain "+contacts.MailDomain(in.Email), in.Email != "" && !contacts.MailForAnyone(contacts.MailDomain(in.Email)))
	defer told()
	if err != nil {
		return Receipt{}, err
	}
	seen, err := d.look(ctx, in)
	if fault.Of(err) == fault.TooMany {
		d.count(ctx, seen.fare)
	}
	if err != nil {
		return Receipt{}, err
	}
	if seen.ack.channel == "" { // her domain had enough: nobody waits for that
		told()
	}
	receipt, err := d.write(ctx, by, in, seen)
	if limit.Lost(err) { // another replica was faster
		if seen, err = d.takeBefore(ctx, seen); err == nil {
			receipt, err = d.write(ctx, by, in, seen)
		}
	}
	if err == nil && seen.burst {
		if err := d.alarm(ctx, seen.sound); err != nil { // the duty tries again; her ticket is filed
			d.Log.Warn("nobody was alarmed of a burst of tickets", "err", err)
		}
	}
	return receipt, err
}

const lookTries = 3

// waitTurn waits where others of this process may be taking under the same key.
func (d *Desk) waitTurn(ctx context.Context, key string, taken bool) (done func(), err error) {
	if !taken {
		return func() {}, nil
	}
	return d.turns.Wait(ctx, key)
}

// tried counts a try that came to nothing because of what was typed; it fails where the source has had enough of them.
func (d *Desk) tried(ctx context.Context, f Fare) error {
	var taken []limit.Taking
	err := d.DB.View(ctx, func(tx *store.Tx) (err error) {
		taken, err = d.fare(tx, f)
		return err
	})
	if err == nil {
		d.count(ctx, taken)
	}
	return err
}

// takeBefore takes what a ticket costs before it is written. Where many come to several replicas from one source, or of one mail domain, their tickets would else refuse
// each other again and again; so they do that with small transactions, and none is told to come back.
func (d *Desk) takeBefore(ctx context.Context, s seen) (seen, error) {
	err := limit.TakeFound(ctx, d.DB, s.fare...)
	if fault.Of(err) == fault.TooMany {
		return s, Owing{Toll: d.owe(1)}
	}
	if err != nil {
		return s, err
	}
	if err := limit.TakeFound(ctx, d.DB, s.ack.taken...); err != nil {
		s.ack.channel = "" // she still has her receipt on the screen
		if fault.Of(err) != fault.TooMany {
			d.Log.Warn("receipt not sent: its budget could not be taken", "err", err)
		}
	}
	s.fare, s.ack.taken = nil, nil
	return s, nil
}

// write files a ticket as look found it.
func (d *Desk) write(ctx context.Context, by string, in Intake, seen seen) (receipt Receipt, err error) {
	plain, hash := secret.New()
	number := secret.Number()
	phrase := secret.Phrase()
	err = d.DB.Update(ctx, store.Act{By: by, Verb: "ticket.file", Ahead: true}, func(tx *store.Tx) error {
		if in.once != nil {
			if err := in.once.In(tx); err != nil {
				return err
			}
		}
		for _, t := range slices.Concat(seen.fare, seen.ack.taken) {
			if err := t.In(tx); err != nil {
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
		if seen.ack.channel == "" {
			return nil
		}
		return d.tellNumber(tx, id, t, seen.ack.channel, in.Ref)
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
	fare  []limit.Taking
	ack   ack
	sound string
	burst bool // with this one there is a burst
}

// ack is how a receipt goes out, and what is taken for it of what its address may get. Without a channel there is none.
type ack struct {
	channel string
	taken   []limit.Taking
	free    bool   // anybody has a mailbox at her mail domain: what it may get is taken before
	onFile  bool   // it is a number that is on file
	not     string // why a stranger's number would get none: hers may be on file, and get it
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
	var own, texts []limit.Taking
	s.sound = soundOf(in)
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		d.foresee(tx, in, channel, address)
		if s.fare, err = d.fare(tx, in.Fare); err != nil {
			return err
		}
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
		if in.quiet {
			return nil
		}
		var t limit.Taking
		if t, budget = limit.Look(tx, ackKey(address), limit.Rule{N: 1, Per: d.Policy.AckEach}, limit.Rule{N: d.Policy.AckDaily, Per: 24 * time.Hour}); budget != nil {
			return nil
		}
		own = append(own[:0], t)
		if channel == comms.ChannelSMS {
			if s.ack.onFile, err = d.onFile(tx, channel, address); err == nil {
				texts, s.ack.not, err = d.mayText(tx, address)
			}
			return err
		}
		var domain *limit.Taking
		if domain, s.ack.free, budget = d.mayMail(tx, address); domain != nil {
			own = append(own, *domain)
		}
		return nil
	})
	if err == nil {
		err = d.crowd(ctx, in.Fare)
	}
	if err != nil || in.quiet {
		return s, err
	}
	if budget == nil {
		budget = d.mayAcknowledge(ctx, &s.ack, channel, address)
	}
	s.ack.taken = texts
	if budget == nil {
		s.ack.channel, s.ack.taken = channel, append(own, texts...)
	} else if fault.Of(budget) != fault.TooMany {
		d.Log.Warn("receipt not sent: its budget could not be read", "err", budget)
	}
	return s, nil
}

func ackKey(address string) string { return "ack " + address }

// foresee says what look reads of almost every ticket, so that a database that is far away is asked once.
func (d *Desk) foresee(tx *store.Tx, in Intake, channel, address string) {
	if in.Fare.Source != "" && in.Fare.Token == "" {
		limit.Foresee(tx, in.Fare.key())
	}
	d.Comms.ForeseeOpenIncidents(tx)
	for _, q := range d.alike(tx, in) {
		tickets.Foresee(tx, q)
	}
	if in.quiet {
		return
	}
	limit.Foresee(tx, ackKey(address))
	if domain := contacts.MailDomain(address); channel == comms.ChannelEmail && !contacts.MailForAnyone(domain) {
		limit.Foresee(tx, mailKey(domain))
	}
}

// mayAcknowledge takes what a receipt costs of what many share. With fault.TooMany there is none.
func (d *Desk) mayAcknowledge(ctx context.Context, a *ack, channel, address string) (err error) {
	all, hourly := "ack all "+channel, d.Policy.AckHourly
	switch {
	case channel == comms.ChannelSMS:
		if a.not, err = d.payText(ctx, d.Policy.Texts.receipts(), address, a.not); err != nil {
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
