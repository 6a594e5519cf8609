package desk

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/secret"
)

// Signing makes and reads tokens that nobody else can make, each for one purpose: a subject, which it shows, and a signature of at least 128
// bits. Without it no mail carries a link that opens a ticket, and a ticket opens by its secret alone, each time.
type Signing struct {
	Sign func(purpose, subject string) string
	Read func(purpose, token string) (subject string, ok bool)
}

func (s Signing) sign(purpose, subject string) string {
	if s.Sign == nil {
		return ""
	}
	return s.Sign(purpose, subject)
}

func (s Signing) read(purpose, token string) (string, bool) {
	if s.Read == nil || token == "" || len(token) > maxToken {
		return "", false
	}
	return s.Read(purpose, token)
}

// maxToken is how many bytes of a token are looked at.
const maxToken = 500

// Key is what somebody shows to open a ticket: its secret, a link that was mailed to her, or the visit that began with one of them. The first that is
// not empty counts.
type Key struct{ Secret, Link, Visit string }

// Visit is one person's stay at one ticket, after she has shown what opens it. It is carried from page to page in place of that, as a token that says
// what it holds and is signed. It ends by itself, when the ticket gets a new secret, and when she leaves the browser; a visit of a higher level
// is another visit, so that nobody who knew the token before gains by what its owner proves later.
type Visit struct {
	Number string
	Began  time.Time // when she showed her key
	Seen   time.Time // when she last asked for something
	By     string    // how it began: secret, or the channel of the link or code
	Level  Level     // the most that it may count on, whatever others show for the ticket meanwhile
	Proved Level     // what was shown for the ticket, in whatever visit
	Token  string    // of this visit, as it is carried on

	Standing Standing // of the ticket's person, no higher than Level
	fresh    bool     // it began with a link young enough to show that its address reaches her
}

// How a visit begins, beside the channels whose link begins one.
const (
	bySecret = "secret"
	byCode   = "code"
)

// The purposes of tokens name the ticket's secret, so that a new one ends them all, and for a link the address that it goes to, so that it opens nothing
// once the ticket has another.
func visitPurpose(t Ticket) string { return "ticket visit\x00" + t.Number + "\x00" + string(t.Secret) }

func linkPurpose(t Ticket, channel string) string {
	return "ticket link\x00" + t.Number + "\x00" + string(t.Secret) + "\x00" + channel + "\x00" + t.address(channel)
}

func (v Visit) subject() string {
	return strings.Join([]string{stamp(v.Began), stamp(v.Seen), v.By, strconv.Itoa(int(v.Level))}, ".")
}

// stamp is a time to the second, short.
func stamp(t time.Time) string { return strconv.FormatInt(t.Unix(), 36) }

func parseStamp(s string) (time.Time, bool) {
	n, err := strconv.ParseInt(s, 36, 64)
	return time.Unix(n, 0), err == nil
}

func parseVisit(subject string) (v Visit, ok bool) {
	parts := strings.Split(subject, ".")
	if len(parts) != 4 {
		return v, false
	}
	began, ok := parseStamp(parts[0])
	seen, also := parseStamp(parts[1])
	level, err := strconv.Atoi(parts[3])
	return Visit{Began: began, Seen: seen, By: parts[2], Level: Level(level)}, ok && also && err == nil
}

// Link is the address of a ticket for a message to the ticket's own address on a channel: whoever opens it there has shown that she reads that channel.
// It holds for [Policy.LinkFor] from at, the time of the transaction that writes the message.
func (d *Desk) Link(t Ticket, channel string, at time.Time) string {
	token := d.Signing.sign(linkPurpose(t, channel), channel[:1]+stamp(at))
	if token == "" {
		return d.url(t.Number)
	}
	return d.url(t.Number) + "?k=" + token
}

// address is where the ticket's writer can be reached on a channel; "" where she cannot.
func (t Ticket) address(channel string) string {
	switch channel {
	case "email":
		return t.Email
	case "sms":
		return t.Phone
	}
	return ""
}

var linkChannels = map[string]string{"e": "email", "s": "sms"}

// letter is a link that opens a ticket: on which channel it went, and when.
type letter struct {
	channel string
	sent    time.Time
}

// opens reads a link to the ticket; false when it opens nothing.
func (d *Desk) opens(t Ticket, token string, now time.Time) (l letter, ok bool) {
	if token == "" {
		return l, false
	}
	l.channel = linkChannels[token[:1]]
	subject, ok := d.Signing.read(linkPurpose(t, l.channel), token)
	if !ok || l.channel == "" || t.address(l.channel) == "" {
		return l, false
	}
	l.sent, ok = parseStamp(subject[1:])
	return l, ok && now.Before(l.sent.Add(d.Policy.LinkFor))
}

// admit decides whether a key opens a ticket, and to how much. A secret and a link are things that can be passed on: they open the ticket itself, and what
// needs more than that needs a code in the same visit. It does the same work for a ticket that does not exist.
func (d *Desk) admit(t Ticket, key Key, now time.Time) (v Visit, ok bool) {
	v = Visit{Number: t.Number, Began: now, Seen: now, Level: L1}
	switch {
	case key.Secret != "":
		v.By = bySecret
		return v, secret.Match(key.Secret, t.Secret) && t.Number != ""
	case key.Link != "":
		l, ok := d.opens(t, key.Link, now)
		v.By, v.fresh = l.channel, now.Before(l.sent.Add(d.Policy.Identity.Link))
		return v, ok
	}
	subject, ok := d.Signing.read(visitPurpose(t), key.Visit)
	v, form := parseVisit(subject)
	if v.Level > L1 && !now.Before(v.Seen.Add(d.Policy.VisitIdle)) {
		v.Level = L1
	}
	v.Number, v.Seen = t.Number, now
	return v, ok && form && t.Number != "" && now.Before(v.Began.Add(d.Policy.VisitFor))
}

// Enter opens a ticket to whoever shows a key, without what staff noted for themselves, and gives the visit to carry on with. All that does not open is
// answered alike, a number that does not exist among it. Only wrong secrets are counted: whoever knows no more than a number cannot keep its owner
// out, and 128 random bits need no limit to be out of reach of guessing.
func (d *Desk) Enter(ctx context.Context, number string, key Key) (View, Visit, error) {
	number = secret.NormalNumber(number)
	var v View
	var now time.Time
	err := d.DB.View(ctx, func(tx *store.Tx) (err error) {
		now = tx.Now()
		v, err = d.read(tx, number)
		return err
	})
	if fault.Of(err) == fault.NotFound {
		v, err = View{Ticket: Ticket{Secret: secret.Hash("no ticket")}}, nil
	}
	if err != nil {
		return View{}, Visit{}, err
	}
	visit, ok := d.admit(v.Ticket, key, now)
	if !ok {
		if key.Secret != "" {
			if err := limit.Take(ctx, d.DB, "open ticket "+number, d.Policy.OpenTries, 15*time.Minute); err != nil {
				return View{}, Visit{}, err
			}
			d.guessed(ctx)
		}
		return View{}, Visit{}, noTicket()
	}
	if visit.fresh && v.Standing.Level < L1 {
		if v.Standing, err = d.Reached(ctx, v.ID, visit.By); err != nil {
			return View{}, Visit{}, err
		}
	}
	v.Messages = forCustomer(v.Messages)
	visit = d.standAt(v, visit)
	return v, visit, d.showStages(ctx, visit, &v)
}

// standAt is the visit with what it may count on now: what was shown, and not more than in this very visit.
func (d *Desk) standAt(v View, visit Visit) Visit {
	visit.Proved = v.Standing.Level
	visit.Level = min(visit.Level, v.Standing.Level)
	visit.Standing = v.Standing
	visit.Standing.Level = visit.Level
	visit.Token = d.Signing.sign(visitPurpose(v.Ticket), visit.subject())
	return visit
}

// May is nil when the visitor may do something, and else says that she has to show more.
func (v Visit) May(what Deed) error { return v.Standing.may(what, "") }

// Leads is what would let the visitor do more, as a word of her page: again, reach, account, file, second, fresh; "": nothing would.
func (d *Desk) Leads(v View, visit Visit) string {
	switch s := visit.Standing; {
	case visit.Level < visit.Proved || s.Asleep:
		return "again"
	case visit.Level == L0:
		return "reach"
	case v.Ticket.Account == "":
		return "account"
	case visit.Level == L1:
		return "file"
	case visit.Level < L3:
		return "second"
	case !s.Fresh(d.DB.Now(), d.Policy.Identity):
		return "fresh"
	}
	return ""
}

// Shown is the visit of somebody who has given a code back: a new one, as high as what she has shown by now.
func (d *Desk) Shown(ctx context.Context, g Given) (View, Visit, error) {
	v, err := d.Ticket(ctx, g.Number)
	if err != nil {
		return View{}, Visit{}, err
	}
	now := d.DB.Now()
	v.Messages = forCustomer(v.Messages)
	return v, d.standAt(v, Visit{Number: g.Number, Began: now, Seen: now, By: byCode, Level: L4}), nil
}

// byCustomer is whose act it is in the audit log, whoever she is.
const byCustomer = "customer"

// againWithin is how long the same words are taken for the same message: a button pressed twice, a page sent again on a bad line.
const againWithin = 10 * time.Minute

// Write appends what the customer writes in a visit. The same words again within a few minutes are not written twice.
func (d *Desk) Write(ctx context.Context, v View, visit Visit, m Message) (View, error) {
	if err := visit.May(AddWords); err != nil {
		return View{}, err
	}
	if !m.Attached.None() {
		if err := visit.May(AttachFile); err != nil {
			return View{}, err
		}
	}
	if m.Attached.None() && saidAlready(v.Messages, text(m.Text), d.DB.Now()) {
		return v, nil
	}
	m.From, m.By, m.Internal, m.Held = "customer", "", false, ""
	said, err := d.Say(ctx, Entry{By: "customer", Number: v.Ticket.Number, Message: m})
	if err != nil {
		return v, err
	}
	said.Messages = forCustomer(said.Messages)
	return said, nil
}

// SayWorks takes a visitor's word on whether it works again. With yes the ticket is closed, unless the rule of its site keeps it open: see [Desk.Consent].
func (d *Desk) SayWorks(ctx context.Context, v View, visit Visit, yes bool) (View, error) {
	if err := visit.May(CloseTicket); err != nil {
		return v, err
	}
	now, err := d.Consent(ctx, v.Ticket.Number, yes, "")
	if err != nil {
		return v, err
	}
	now.Messages = forCustomer(now.Messages)
	return now, nil
}

// saidAlready says whether the customer's last words, of just now, are these.
func saidAlready(all []Message, words string, now time.Time) bool {
	for _, m := range slices.Backward(all) {
		if m.From == "customer" {
			return m.Text == words && now.Sub(m.At) < againWithin
		}
	}
	return false
}

// forCustomer leaves out what only staff see, and who of them wrote.
func forCustomer(all []Message) []Message {
	shown := all[:0]
	for _, m := range all {
		if !m.Internal && m.Held == "" && m.Via != ViaSite { // what is known of the site is added by level
			m.By = ""
			shown = append(shown, m)
		}
	}
	return shown
}
