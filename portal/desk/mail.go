package desk

import (
	"context"
	"regexp"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/secret"
)

// Mail is what somebody sent us, read and judged. All that it says is a stranger's; who sent it is what its domain vouches for.
type Mail struct {
	Key     string   // the same for every copy of it, and for no other mail
	ID      string   // its Message-ID; "": none that could be answered
	From    string   // the address in its From field
	Name    string   // beside it
	Origin  Origin   // whether it comes from there
	To      []string // those of our addresses that it came to
	Refs    []string // Message-IDs that it names, the nearest first
	Subject string
	Text    string
	Locale  string
	Auto    Auto

	Files func(context.Context) (*Attached, error) // reads what came with it, when it is kept; nil: nothing
}

// Origin is what the domain of a sender says of a mail (DMARC, RFC 7489).
type Origin string

// What a domain can say.
const (
	Vouched  Origin = "pass" // it is from there
	Unknown  Origin = "none" // nobody knows
	Disowned Origin = "fail" // it is not, and the domain wants to be believed
)

// Auto says whether a program wrote a mail on its own.
type Auto string

// How sure that is.
const (
	ByHand    Auto = ""
	AutoMaybe Auto = "maybe" // it reads like one: it is kept, and not answered
	AutoSure  Auto = "sure"  // it says so itself (RFC 3834): it is never a ticket
)

// Why a message is held: the words of it are desk.held.NAME.
const (
	HeldStranger = "stranger" // its sender is not on the ticket
	HeldUnproved = "unproved" // it names the ticket's own address, and nothing shows that it comes from there
	HeldForged   = "forged"   // the domain that it names says that it does not
)

// What becomes of a mail.
const (
	MailTicket = "ticket" // a ticket of its own
	MailReply  = "reply"
	MailHeld   = "held"  // on the ticket that it is meant for, for staff to look at
	MailNote   = "note"  // a program's answer: staff see it, and nothing moves
	MailNobody = "none"  // a program's, about nothing of ours
	MailRepeat = "again" // it was here before
)

// Taken is what became of a mail or text.
type Taken struct {
	How    string
	Ticket string // its number, where there is one
}

// mailRemembered is for how long a mail that comes again is known again. Relays try for five days (RFC 5321 4.5.4.1).
const mailRemembered = 8 * 24 * time.Hour

// ErrStaffMail refuses what staff write by mail: an address in a mail is no session with a second factor.
var ErrStaffMail = fault.New(fault.Forbidden, "staff answer on the desk, not by mail")

// TakeMail makes a ticket or a reply of a mail, once for all its copies. It adds to a ticket only what its own writer sent: a mail that carries the
// ticket's token or answers one of its mails, from the ticket's address, for which the domain vouches. Anything else that is meant for a ticket is
// held there, where only staff see it; a number alone, which anybody may know, does not reach a stranger's ticket at all.
func (d *Desk) TakeMail(ctx context.Context, m Mail) (Taken, error) {
	from, err := contacts.ParseEmail(m.From)
	if err != nil {
		return Taken{}, fault.BadField("from", "is not an address that we could answer")
	}
	m.From = from
	if d.staffAddress(from) && m.Auto == ByHand {
		return Taken{}, ErrStaffMail
	}
	for try := 0; ; try++ {
		taken, err := d.takeMail(ctx, m)
		if try == lookTries || !limit.Lost(err) {
			return taken, err
		}
	}
}

func (d *Desk) takeMail(ctx context.Context, m Mail) (taken Taken, err error) {
	var once limit.Taking
	var found mailFound
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		if once, err = limit.Look(tx, "mail "+m.Key, limit.Rule{N: 1, Per: mailRemembered}); err != nil {
			return err
		}
		found, err = d.findMailed(tx, m)
		return err
	})
	if fault.Of(err) == fault.TooMany {
		return Taken{How: MailRepeat}, nil
	}
	if err != nil {
		return taken, err
	}
	how, held := sortMail(m, found)
	taken = Taken{How: how}
	var files *Attached
	if m.Files != nil && how != MailNobody {
		if files, err = m.Files(ctx); err != nil {
			return taken, err
		}
		defer files.Drop(ctx)
	}
	switch how {
	case MailNobody:
		return taken, d.DB.Update(ctx, store.Act{}, once.In)
	case MailTicket:
		receipt, err := d.File(ctx, "public:email", Intake{Message: opening(m, d.Comms.Words.Catalog(m.Locale).T("incoming.mail.empty")), Email: m.From, Name: clipped(m.Name), Locale: m.Locale,
			Route: comms.ChannelEmail, Ref: m.ID, Files: files, OldTicket: found.closed, once: &once, quiet: m.Origin == Disowned || m.Auto != ByHand})
		taken.Ticket = receipt.Number
		return taken, err
	}
	taken.Ticket = found.ticket.Value.Number
	entry := Message{From: "customer", Text: m.Text, Via: comms.ChannelEmail, Ref: m.ID, Held: held, Attached: files}
	if how == MailNote {
		entry = Message{From: "system", Internal: true, Via: comms.ChannelEmail, Text: "A program answered from " + m.From + ":\n" + m.Subject + "\n\n" + m.Text, Attached: files}
	}
	if !sameMailbox(m.From, found.ticket.Value.Email) {
		entry.Sender = m.From
	}
	if strings.TrimSpace(entry.Text) == "" {
		entry.Text = d.Comms.Words.Catalog(m.Locale).T("incoming.mail.empty")
	}
	if entry, err = worded(entry); err != nil {
		return taken, err
	}
	return taken, d.DB.Update(ctx, store.Act{By: "public:email", Verb: "ticket.message"}, func(tx *store.Tx) error {
		if err := once.In(tx); err != nil {
			return err
		}
		return d.hearMail(tx, found.ticket.ID, how, entry)
	})
}

func (d *Desk) hearMail(tx *store.Tx, id, how string, entry Message) error {
	t, meta, err := tickets.Get(tx, id)
	if err != nil {
		return err
	}
	if how == MailReply && t.MailLost { // her mailbox works again
		t.MailLost = false
		if err := tickets.Put(tx, id, t, meta.Version); err != nil {
			return err
		}
	}
	if how == MailHeld {
		if _, err := d.Comms.Owe(tx, comms.Task{What: TaskHeld, Of: id, Account: t.Account, Incident: t.Incident, Title: "Look at what is held on ticket " + t.Number}); err != nil {
			return err
		}
	}
	_, err = d.say(tx, "public:email", id, entry)
	return err
}

// TaskHeld is owed while something is held on a ticket, for nobody else sees it.
const TaskHeld = "ticket.held"

// mailFound is the ticket that a mail is meant for.
type mailFound struct {
	ticket store.Rec[Ticket]
	signed bool   // by a token that only we can make; else it merely names a number
	closed string // number of a ticket that is deleted or gone, for the new one to name
}

// findMailed finds the ticket that a mail is meant for: by our address, by the mails that it answers, or by the number in its subject.
func (d *Desk) findMailed(tx *store.Tx, m Mail) (f mailFound, err error) {
	numbers := d.signedNumbers(m)
	f.signed = len(numbers) > 0
	if !f.signed {
		numbers = namedNumbers(m.Subject)
	}
	for _, number := range numbers {
		rec, err := tickets.First(tx, store.Query{Index: "number", Equal: []any{number}})
		if fault.Of(err) == fault.NotFound { // deleted, or never was
			if f.signed {
				f.closed = number
			}
			continue
		}
		f.ticket = rec
		return f, err
	}
	return mailFound{closed: f.closed}, nil
}

// signedNumbers are the tickets whose token a mail carries, that of its address first.
func (d *Desk) signedNumbers(m Mail) (numbers []string) {
	for _, to := range m.To {
		local, _, _ := strings.Cut(to, "@")
		if _, token, ok := strings.Cut(local, "+"); ok {
			if n := d.mailTicket(token); n != "" {
				numbers = append(numbers, n)
			}
		}
	}
	for _, ref := range m.Refs[:min(len(m.Refs), mostRefs)] {
		if n := d.referred(ref); n != "" {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// referred is the ticket that a Message-ID of ours is about; "" when it is none of ours.
func (d *Desk) referred(id string) string {
	left, _, _ := strings.Cut(id, "@")
	parts := strings.Split(left, ".")
	if len(parts) < 3 || !strings.EqualFold(parts[0], "t") {
		return ""
	}
	return d.mailTicket(parts[1] + "." + parts[2])
}

// mostRefs bounds how many of the ids that a mail names are looked at.
const mostRefs = 50

var numberForm = regexp.MustCompile(`(?i)\b[0-9a-z]{3}-[0-9a-z]{3}-[0-9a-z]{3}\b`)

func namedNumbers(subject string) (numbers []string) {
	for _, found := range numberForm.FindAllString(subject, 3) {
		if n := secret.NormalNumber(found); n != "" {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// sortMail decides what becomes of a mail, and why it is held if it is.
func sortMail(m Mail, f mailFound) (how, held string) {
	found := f.ticket.ID != ""
	hers := found && sameMailbox(m.From, f.ticket.Value.Email)
	switch {
	case m.Auto == AutoSure && found && f.signed:
		return MailNote, ""
	case m.Auto == AutoSure:
		return MailNobody, ""
	case hers && m.Origin == Vouched:
		return MailReply, ""
	case !found || !f.signed:
		return MailTicket, ""
	case m.Origin == Disowned:
		return MailHeld, HeldForged
	case hers:
		return MailHeld, HeldUnproved
	}
	return MailHeld, HeldStranger
}

// sameMailbox compares addresses as mail systems do in practice: without regard to case. A tag behind a plus makes another address.
func sameMailbox(a, b string) bool { return a != "" && strings.EqualFold(a, b) }

// staffAddress says whether an address is one at which staff are told of what is due.
func (d *Desk) staffAddress(address string) bool {
	for _, ladder := range d.Comms.Policy.Ladders {
		for _, rung := range ladder {
			for _, to := range rung.To {
				if to.Channel == comms.ChannelEmail && sameMailbox(to.Address, address) {
					return true
				}
			}
		}
	}
	return false
}

// opening is the first message of a ticket that came as a mail: its subject, unless the text begins with it, and its text.
func opening(m Mail, empty string) string {
	subject, words := line(m.Subject), strings.TrimSpace(m.Text)
	switch {
	case words == "" && subject == "":
		return empty
	case words == "":
		return subject
	case subject == "" || strings.HasPrefix(words, subject):
		return words
	}
	return subject + "\n\n" + words
}

// clipped is a name as a field of a ticket holds it: a mail with a longer one is not refused for it.
func clipped(s string) string {
	s = line(s)
	if len(s) <= maxLine {
		return s
	}
	return strings.ToValidUTF8(s[:maxLine], "")
}
