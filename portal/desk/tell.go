package desk

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"strings"

	"lifeline/comms"
	"lifeline/store"
	"lifeline/store/secret"
	"lifeline/templates"
)

// Inbox is where the answers of customers come in. Without a Domain mail is not read, and without Texts no text message; what we send says so.
type Inbox struct {
	Local  string // of the address: support
	Domain string // status.example.com
	Texts  bool
}

// tellAnswer tells the writer of a ticket what staff answered, in the transaction that writes the answer: by mail whole, by text message only that
// there is an answer. Nobody is told what only staff see. Untold says why no text goes to her number.
func (d *Desk) tellAnswer(tx *store.Tx, id string, t Ticket, m Message) (untold string, err error) {
	channel, untold, err := d.tellsOn(tx, id, t)
	if channel == "" || err != nil {
		return untold, err
	}
	talk := d.talk(id, t)
	if talk.Answers, err = lastMail(tx, id); err != nil {
		return "", err
	}
	reply := talk.ReplyTo != ""
	if channel == comms.ChannelSMS {
		reply = d.Inbox.Texts
	}
	data, err := json.Marshal(templates.TicketAnswer{Number: t.Number, URL: d.Link(t, channel, tx.Now()), Phrase: t.Phrase,
		Lines: strings.Split(m.Text, "\n"), Files: len(m.Files), Reply: reply})
	if err != nil {
		return "", err
	}
	_, err = d.Comms.Tell(tx, comms.Notice{
		Lane: comms.LaneDirect, Name: templates.MsgTicketAnswer, Channels: []string{channel}, Data: data, Talk: &talk,
		To: []comms.Direct{{Channel: channel, Address: t.address(channel), Locale: t.Locale}},
	})
	return "", err
}

// tellsOn is the channel on which the writer of a ticket is told something now. When that would be a text and none may go, it is none, untold says why, and
// somebody has to find another way to her.
func (d *Desk) tellsOn(tx *store.Tx, id string, t Ticket) (channel, untold string, err error) {
	switch channel = t.tellOn(); {
	case channel == "" && t.Phone != "":
		untold = NotWanted
	case channel != comms.ChannelSMS:
		return channel, "", nil
	default:
		if untold, err = d.mayAnswer(tx, id, t.Phone); untold == "" || err != nil {
			return channel, "", err
		}
	}
	_, err = d.Comms.Owe(tx, comms.Task{What: TaskUnreached, Of: id, Account: t.Account, Incident: t.Incident,
		Title: "The writer of ticket " + t.Number + " is told nothing by text (" + untold + "): find another way to reach her"})
	return "", untold, err
}

// tellOn is the channel on which the writer of a ticket is told: by mail, unless it came back and there is a number to send to.
func (t Ticket) tellOn() string {
	text := t.Phone != "" && !t.NoText
	switch {
	case t.Email != "" && !(t.MailLost && text):
		return comms.ChannelEmail
	case text:
		return comms.ChannelSMS
	}
	return ""
}

// talk is the conversation that every message about a ticket belongs to.
func (d *Desk) talk(id string, t Ticket) comms.Talk {
	talk := comms.Talk{Of: id}
	token := d.mailToken(t.Number)
	if token == "" {
		return talk
	}
	talk.Root = "t." + token
	if d.Inbox.Domain != "" {
		talk.ReplyTo = d.Inbox.Local + "+" + token + "@" + d.Inbox.Domain
	}
	return talk
}

// lastMail is the Message-ID of the last mail that she wrote to the ticket; "" when she wrote none lately.
func lastMail(tx *store.Tx, id string) (string, error) {
	for m, err := range messages.Scan(tx, store.Query{Index: "ticket", Equal: []any{id}, Reverse: true, Limit: lastLooked}) {
		if err != nil {
			return "", err
		}
		if m.Value.From == "customer" && m.Value.Held == "" && m.Value.Ref != "" {
			return m.Value.Ref, nil
		}
	}
	return "", nil
}

// lastLooked bounds how far back a conversation is searched for her last mail.
const lastLooked = 50

// mailPurpose is what the signature of a ticket's number in a mail address or a Message-ID is for. It says which ticket a mail is meant for and
// opens nothing: who wrote it decides whether it is added.
const mailPurpose = "ticket mail"

// mailToken is a ticket's number and a signature of it, in characters that survive when a relay changes case; "" when nothing is signed.
func (d *Desk) mailToken(number string) string {
	signed := d.Signing.sign(mailPurpose, number)
	sum, err := base64.RawURLEncoding.DecodeString(signed[strings.LastIndexByte(signed, '.')+1:])
	if signed == "" || err != nil {
		return ""
	}
	return strings.ToLower(strings.ReplaceAll(number, "-", "")) + "." + mailDigits.EncodeToString(sum)
}

// mailTicket reads the number behind a token; "" when it is none of ours.
func (d *Desk) mailTicket(token string) string {
	number, sum, ok := strings.Cut(strings.ToLower(token), ".")
	raw, err := mailDigits.DecodeString(sum)
	if number = secret.NormalNumber(number); !ok || err != nil || number == "" {
		return ""
	}
	if _, ok := d.Signing.read(mailPurpose, number+"."+base64.RawURLEncoding.EncodeToString(raw)); !ok {
		return ""
	}
	return number
}

// mailDigits are base 32's in lower case.
var mailDigits = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
