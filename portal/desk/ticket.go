package desk

import (
	"strings"
	"time"

	"lifeline/store"
)

// Ticket is one person's case. Address fields are what she typed: nobody has proved them.
type Ticket struct {
	Number    string `json:"number"`               // what people quote; not a secret
	Secret    []byte `json:"secret"`               // hash of what opens it
	Sound     string `json:"sound,omitempty"`      // what it is counted with: see soundOf
	Twin      string `json:"twin,omitempty"`       // the ticket that stands for Site in its incident, when this is a further one about it
	Phrase    string `json:"phrase"`               // two words that staff quote first
	StartedBy string `json:"started_by,omitempty"` // who filed it: "public:…", or the member of staff, who cannot match it
	Name      string `json:"name,omitempty"`
	Email     string `json:"email,omitempty"`
	Phone     string `json:"phone,omitempty"`
	Company   string `json:"company,omitempty"`
	SiteURL   string `json:"site_url,omitempty"` // as typed; never checked
	SiteName  string `json:"site_name,omitempty"`
	Domain    string `json:"domain,omitempty"`
	Invoice   string `json:"invoice,omitempty"`
	OldTicket string `json:"old_ticket,omitempty"`
	Like      string `json:"like,omitempty"` // number of the ticket that it is likely a second try of
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
	Tier      *int   `json:"tier,omitempty"`      // of the account, as it was when it was confirmed
	Private   bool   `json:"private,omitempty"`   // it is about its writer's own record, and not for her colleagues
	Site      string `json:"site,omitempty"`      // our id of the site that it is about, once that is known for certain

	// What only staff see.
	Owner    string   `json:"owner,omitempty"` // id of who works on it
	Category string   `json:"category,omitempty"`
	Flow     string   `json:"flow,omitempty"`    // the workflow of its incident; "": none
	Step     string   `json:"step,omitempty"`    // how far it has come in that
	Labels   []string `json:"labels,omitempty"`  // the team's own words, sorted
	Reviews  []Review `json:"reviews,omitempty"` // how people changed the priority, the newest last
	Held     int      `json:"held,omitempty"`    // messages that wait for a person to release them
	Into     string   `json:"into,omitempty"`    // id of the ticket that it was merged into
	SplitOff string   `json:"split_off,omitempty"`

	Solution *Solution `json:"solution,omitempty"` // what staff say is the end of it, and what she says to that
	Ending   *Ending   `json:"ending,omitempty"`   // how it was closed the last time

	FiledAt   time.Time     `json:"filed_at"`
	AnswerBy  time.Time     `json:"answer_by"`         // the first answer is due
	AnswerAt  time.Time     `json:"answer_at"`         // the first human answer was given
	AskedAt   time.Time     `json:"asked_at,omitzero"` // since when she waits for the next answer; zero: she does not
	NextBy    time.Time     `json:"next_by,omitzero"`  // when that is due
	RunsAt    time.Time     `json:"runs_at,omitzero"`  // since when the clock of the solution runs; zero: it stands
	Worked    time.Duration `json:"worked,omitzero"`   // what it ran before
	SolveBy   time.Time     `json:"solve_by,omitzero"` // when the solution is due; zero: the clock stands, or there is none
	StepBy    time.Time     `json:"step_by,omitzero"`  // when it should have left its step; zero: it may stay
	ChangedAt time.Time     `json:"changed_at"`
}

// Review is a person's word about how urgent a ticket is.
type Review struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	Reason string    `json:"reason"`
}

// Solution is what staff hold to be the end of a ticket. She agrees, says no, or is silent until the policy's rule closes it.
type Solution struct {
	By      string    `json:"by"`
	Text    string    `json:"text"`
	At      time.Time `json:"at"`
	Asked   int       `json:"asked"`    // how often she was asked whether she agrees
	AskedAt time.Time `json:"asked_at"` // the last time
	Next    time.Time `json:"next"`     // when she is asked again, or her silence counts; zero: it never does
}

// Ending is how a ticket was closed.
type Ending struct {
	How string    `json:"how"`
	By  string    `json:"by"` // customer, a staff member's id, system
	At  time.Time `json:"at"`
	Was string    `json:"was"` // the state before
}

// The ways in which a ticket ends.
const (
	ByConsent = "consent" // she said that it is solved
	BySilence = "silence" // the policy's rule for silence
	ByMerging = "merged"  // it goes on in another
)

// The states of a ticket.
const (
	New     = "new"     // nobody has answered
	Waiting = "waiting" // for the customer
	Asked   = "asked"   // the customer wrote last
	Solved  = "solved"  // staff say so; she has not said yet whether she agrees
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
	Kind: store.Kind{Name: "ticket", Prefix: "tic", Schema: 1, Keep: 5 * 365 * 24 * time.Hour, Followed: true, Indexes: []store.Index{
		{Name: "number", Fields: []store.Field{{Name: "number", Type: store.Text}}, Unique: true},
		{Name: "site", Fields: []store.Field{{Name: "site", Type: store.Text}, {Name: "incident", Type: store.Text}}, Unique: true},
		{Name: "sound", Fields: []store.Field{{Name: "sound", Type: store.Blind}, {Name: "at", Type: store.Time}}},
		{Name: "route", Fields: []store.Field{{Name: "route", Type: store.Text}, {Name: "at", Type: store.Time}}},
		{Name: "queue", Fields: []store.Field{{Name: "queue", Type: store.Text}, {Name: "state", Type: store.Text}, {Name: "at", Type: store.Time}}},
		{Name: "state", Fields: []store.Field{{Name: "state", Type: store.Text}, {Name: "at", Type: store.Time}}},
		{Name: "account", Fields: []store.Field{{Name: "account", Type: store.Text}, {Name: "at", Type: store.Time}}},
		{Name: "answered", Fields: []store.Field{{Name: "queue", Type: store.Text}, {Name: "at", Type: store.Time}}}, // see Desk.Wait
		{Name: "into", Fields: []store.Field{{Name: "into", Type: store.Text}}},
		{Name: "silence", Fields: []store.Field{{Name: "next", Type: store.Time}}},
		{Name: "phone", Fields: []store.Field{{Name: "phone", Type: store.Blind}, {Name: "at", Type: store.Time}}},
		{Name: "email", Fields: []store.Field{{Name: "email", Type: store.Blind}, {Name: "at", Type: store.Time}}},
	}},
	Tuples: func(t Ticket) store.Tuples {
		tuples := store.Tuples{"number": {t.Number}, "queue": {t.Queue(), t.State, t.FiledAt}, "state": {t.State, t.FiledAt}}
		if t.Site != "" && t.Incident != "" && t.Twin == "" && t.Into == "" {
			tuples["site"] = []any{t.Site, t.Incident}
		}
		if t.Phone != "" {
			tuples["phone"] = []any{t.Phone, t.FiledAt}
		}
		if t.Email != "" {
			tuples["email"] = []any{strings.ToLower(t.Email), t.FiledAt}
		}
		if t.Sound != "" && t.Incident == "" && t.State != Closed {
			tuples["sound"] = []any{t.Sound, t.FiledAt}
		}
		if t.Route == routeSignal {
			tuples["route"] = []any{t.Route, t.FiledAt}
		}
		if t.Account != "" {
			tuples["account"] = []any{t.Account, t.FiledAt}
		}
		if !t.AnswerAt.IsZero() {
			tuples["answered"] = []any{t.Queue(), t.AnswerAt}
		}
		if t.Into != "" {
			tuples["into"] = []any{t.Into}
		}
		if t.State == Solved && t.Solution != nil && !t.Solution.Next.IsZero() {
			tuples["silence"] = []any{t.Solution.Next}
		}
		return tuples
	},
}

// Message is one entry of a ticket's conversation.
type Message struct {
	ID       string    `json:"-"` // as it is kept under; filled when it is read
	Ticket   string    `json:"ticket"`
	From     string    `json:"from"` // customer, staff, system; update: said to everybody, and not kept here
	By       string    `json:"by"`   // the staff member; "" for the customer
	Text     string    `json:"text"`
	At       time.Time `json:"at"`
	Internal bool      `json:"internal"`         // for staff only
	Via      string    `json:"via,omitempty"`    // how it came: web, api, email, sms, phone
	Files    []string  `json:"files,omitempty"`  // ids of the blobs that came with it
	Held     string    `json:"held,omitempty"`   // why nobody but staff sees it; "" once a person released it
	Untold   string    `json:"untold,omitempty"` // why no text told her of it: a Not constant; "": she was told, or is told by mail
	Ref      string    `json:"ref,omitempty"`    // Message-ID of the mail that it came or went as
	Sender   string    `json:"sender,omitempty"` // address that it came from, when that is none of the ticket's
	Was      string    `json:"was,omitempty"`    // id of the ticket that it was split from
	WasHeld  string    `json:"was_held,omitempty"`
	Number   string    `json:"-"` // of the ticket that it was written to, where staff read it in another
	Headline string    `json:"-"` // of an update

	Also   []string `json:"also,omitempty"`   // numbers of the merged tickets whose writers were told the same
	Copied bool     `json:"copied,omitempty"` // it is such an answer, and stands in the ticket that was answered as well

	Unkept   []Unkept  `json:"unkept,omitempty"` // files that came with it and were not kept
	Attached *Attached `json:"-"`                // files that come with it: say keeps them
}

var messages = store.Table[Message]{
	Kind: store.Kind{Name: "message", Prefix: "msg", Schema: 1, Keep: 5 * 365 * 24 * time.Hour, Indexes: []store.Index{
		{Name: "ticket", Fields: []store.Field{{Name: "ticket", Type: store.Text}, {Name: "at", Type: store.Time}}},
	}},
	Tuples: func(m Message) store.Tuples { return store.Tuples{"ticket": {m.Ticket, m.At}} },
}
