package desk

import (
	"context"
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
	By     string    // how it began: secret, email, sms
	Token  string    // of this visit, as it is carried on
}

// How a visit begins beside the channels whose link or code begins one.
const bySecret = "secret"

// The purposes of tokens name the ticket's secret, so that a new one ends them all, and for a link the address that it goes to, so that it opens nothing
// once the ticket has another.
func visitPurpose(t Ticket) string { return "ticket visit\x00" + t.Number + "\x00" + string(t.Secret) }

func linkPurpose(t Ticket, channel string) string {
	return "ticket link\x00" + t.Number + "\x00" + string(t.Secret) + "\x00" + channel + "\x00" + t.address(channel)
}

func (v Visit) subject() string {
	return strings.Join([]string{stamp(v.Began), stamp(v.Seen), v.By}, ".")
}

// stamp is a time to the second, short.
func stamp(t time.Time) string { return strconv.FormatInt(t.Unix(), 36) }

func parseStamp(s string) (time.Time, bool) {
	n, err := strconv.ParseInt(s, 36, 64)
	return time.Unix(n, 0), err == nil
}

func parseVisit(subject string) (v Visit, ok bool) {
	parts := strings.Split(subject, ".")
	if len(parts) != 3 {
		return v, false
	}
	began, ok := parseStamp(parts[0])
	seen, also := parseStamp(parts[1])
	return Visit{Began: began, Seen: seen, By: parts[2]}, ok && also
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

// opens says on which channel a link to the ticket was sent; "" when it opens nothing.
func (d *Desk) opens(t Ticket, token string, now time.Time) (channel string) {
	if token == "" {
		return ""
	}
	channel = linkChannels[token[:1]]
	subject, ok := d.Signing.read(linkPurpose(t, channel), token)
	if !ok || channel == "" || t.address(channel) == "" {
		return ""
	}
	sent, ok := parseStamp(subject[1:])
	if !ok || !now.Before(sent.Add(d.Policy.LinkFor)) {
		return ""
	}
	return channel
}

// admit decides whether a key opens a ticket. It does the same work for a ticket that does not exist.
func (d *Desk) admit(t Ticket, key Key, now time.Time) (Visit, bool) {
	began := Visit{Number: t.Number, Began: now, Seen: now}
	switch {
	case key.Secret != "":
		began.By = bySecret
		return began, secret.Match(key.Secret, t.Secret) && t.Number != ""
	case key.Link != "":
		began.By = d.opens(t, key.Link, now)
		return began, began.By != ""
	}
	subject, ok := d.Signing.read(visitPurpose(t), key.Visit)
	v, form := parseVisit(subject)
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
		}
		return View{}, Visit{}, noTicket()
	}
	visit.Token = d.Signing.sign(visitPurpose(v.Ticket), visit.subject())
	v.Messages = forCustomer(v.Messages)
	return v, visit, nil
}

// forCustomer leaves out what only staff see, and who of them wrote.
func forCustomer(all []Message) []Message {
	shown := all[:0]
	for _, m := range all {
		if !m.Internal && m.Held == "" {
			m.By = ""
			shown = append(shown, m)
		}
	}
	return shown
}
