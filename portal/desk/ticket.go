package desk

import (
	"time"

	"lifeline/store"
)

// Ticket is one person's case. Address fields are what she typed: nobody has proved them.
type Ticket struct {
	Number    string `json:"number"` // what people quote; not a secret
	Secret    []byte `json:"secret"` // hash of what opens it
	Phrase    string `json:"phrase"` // two words that staff quote first
	Level     string `json:"level"`  // of the identity ladder; L0 until evidence says more
	Name      string `json:"name,omitempty"`
	Email     string `json:"email,omitempty"`
	Phone     string `json:"phone,omitempty"`
	Company   string `json:"company,omitempty"`
	SiteURL   string `json:"site_url,omitempty"` // as typed; never checked
	SiteName  string `json:"site_name,omitempty"`
	Domain    string `json:"domain,omitempty"`
	Invoice   string `json:"invoice,omitempty"`
	OldTicket string `json:"old_ticket,omitempty"`
	Impact    string `json:"impact,omitempty"`
	Locale    string `json:"locale"`
	Route     string `json:"route"`              // web, api
	Incident  string `json:"incident,omitempty"` // whose queue it waits in
	Priority  string `json:"priority"`
	Reviewed  bool   `json:"reviewed"` // a person set the priority
	State     string `json:"state"`
	MailLost  bool   `json:"mail_lost,omitempty"` // the last mail to her came back
	NoText    bool   `json:"no_text,omitempty"`   // she wants no text messages
	Account   string `json:"account,omitempty"`   // once a person confirmed it

	FiledAt   time.Time `json:"filed_at"`
	AnswerBy  time.Time `json:"answer_by"` // the first answer is due
	AnswerAt  time.Time `json:"answer_at"` // the first human answer was given
	ChangedAt time.Time `json:"changed_at"`
}

// The states of a ticket.
const (
	New     = "new"     // nobody has answered
	Waiting = "waiting" // for the customer
	Asked   = "asked"   // the customer wrote last
	Closed  = "closed"
)

// General is the queue of tickets that belong to no incident.
const General = "general"

// Queue is where the ticket waits: its incident's id, or General.
func (t Ticket) Queue() string {
	if t.Incident == "" {
		return General
	}
	return t.Incident
}

var tickets = store.Table[Ticket]{
	Kind: store.Kind{Name: "ticket", Prefix: "tic", Schema: 1, Keep: 5 * 365 * 24 * time.Hour, Indexes: []store.Index{
		{Name: "number", Fields: []store.Field{{Name: "number", Type: store.Text}}, Unique: true},
		{Name: "queue", Fields: []store.Field{{Name: "queue", Type: store.Text}, {Name: "state", Type: store.Text}, {Name: "at", Type: store.Time}}},
		{Name: "state", Fields: []store.Field{{Name: "state", Type: store.Text}, {Name: "at", Type: store.Time}}},
		{Name: "account", Fields: []store.Field{{Name: "account", Type: store.Text}, {Name: "at", Type: store.Time}}},
	}},
	Tuples: func(t Ticket) store.Tuples {
		tuples := store.Tuples{"number": {t.Number}, "queue": {t.Queue(), t.State, t.FiledAt}, "state": {t.State, t.FiledAt}}
		if t.Account != "" {
			tuples["account"] = []any{t.Account, t.FiledAt}
		}
		return tuples
	},
}

// Message is one entry of a ticket's conversation.
type Message struct {
	Ticket   string    `json:"ticket"`
	From     string    `json:"from"` // customer, staff, system; update: said to everybody, and not kept here
	By       string    `json:"by"`   // the staff member; "" for the customer
	Text     string    `json:"text"`
	At       time.Time `json:"at"`
	Internal bool      `json:"internal"`        // for staff only
	Via      string    `json:"via,omitempty"`   // how it came: web, api, email, sms, phone
	Files    []string  `json:"files,omitempty"` // ids of the blobs that came with it
	Held     string    `json:"held,omitempty"`  // why nobody but staff sees it; "" once a person released it
	Ref      string    `json:"ref,omitempty"`   // Message-ID of the mail that it came or went as

	Unkept   []Unkept  `json:"unkept,omitempty"` // files that came with it and were not kept
	Attached *Attached `json:"-"`                // files that come with it: say keeps them
}

var messages = store.Table[Message]{
	Kind: store.Kind{Name: "message", Prefix: "msg", Schema: 1, Keep: 5 * 365 * 24 * time.Hour, Indexes: []store.Index{
		{Name: "ticket", Fields: []store.Field{{Name: "ticket", Type: store.Text}, {Name: "at", Type: store.Time}}},
	}},
	Tuples: func(m Message) store.Tuples { return store.Tuples{"ticket": {m.Ticket, m.At}} },
}
