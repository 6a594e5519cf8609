package comms

import (
	"time"

	"lifeline/store"
)

// Window is how many deliveries of one process, all its workers together, may be sent but not yet recorded: the bound on how
// many people can be told twice after a crash.
const Window = 250

// PageSize is how many deliveries are leased at once.
const PageSize = 250

// The lanes of the outbox, in the order in which workers look at them.
const (
	LaneUrgent    = "a-urgent"    // one-time codes, staff pages
	LaneDirect    = "b-direct"    // receipts, replies
	LaneBroadcast = "c-broadcast" // updates
	LaneCampaign  = "d-campaign"  // questions that nobody waits for: is this address still right
)

// Notice is something that must be told, written in the transaction of the fact. A worker turns it into pages of deliveries.
type Notice struct {
	Lane     string   `json:"lane"`
	Name     string   `json:"name"`     // which words: "update", or a message of templates
	Update   string   `json:"update"`   // the update it carries, or ""
	Audience string   `json:"audience"` // as in the statement, or "" when To says it
	Only     string   `json:"only"`     // audience of a correction: those who got this notice
	Channels []string `json:"channels"`
	To       []Direct `json:"to"`             // addresses given one by one
	Data     []byte   `json:"data"`           // JSON of the message's data, for messages that are no update
	ReplyTo  bool     `json:"reply_to"`       // answers something: Auto-Submitted auto-replied
	Talk     *Talk    `json:"talk,omitempty"` // the conversation that it belongs to; nil: none
	// Components are those that it is about, when it carries no update: of the subscribers it concerns those who chose one of them.
	Components []string `json:"components,omitempty"`
	// Subscription is the one whose webhook it goes to, when it goes to one address only.
	Subscription string `json:"subscription,omitempty"`
	// Rule is the rule by which it is said; what waits of it goes no further once the rule was stopped.
	Rule string `json:"rule,omitempty"`
	// Instead says that those whose mail waits are told by text, although SMS is none of Channels.
	Instead bool `json:"instead,omitempty"`

	ByDay bool `json:"by_day,omitempty"` // nobody is told at night, but for who chose to be

	State     string        `json:"state"`            // expanding, sending, done, stopped
	Unsent    State         `json:"unsent,omitempty"` // once stopped: what becomes of whoever was not told
	Reason    string        `json:"reason,omitempty"` // and why
	Stage     string        `json:"stage,omitempty"`  // behind which stage it waits to go on: StageStaff, StageFew; "": it does not wait
	Few       int           `json:"few,omitempty"`    // it waits once so many people are written down; 0: it does not
	GoOn      time.Duration `json:"go_on,omitempty"`  // and goes on by itself after so long; 0: by a person's word
	Staff     string        `json:"staff,omitempty"`  // the notice that told the staff first
	Newer     string        `json:"newer,omitempty"`  // the newer update that was said to the same readers, when it does not go everywhere where this one goes
	Cut       bool          `json:"cut,omitempty"`    // that came before everybody was written down
	Place     time.Time     `json:"place,omitzero"`   // where its pages stand in the queue, by wall time: see supersede
	Cursor    string        `json:"cursor"`
	Clear     bool          `json:"clear,omitempty"` // the first pass has met nobody whom it leaves to the next two
	Pass      int           `json:"pass"`
	Pages     int           `json:"pages"`
	Pending   int           `json:"pending"` // pages that are not done
	People    int           `json:"people"`
	Customers int           `json:"customers"`
	Sites     int           `json:"sites"`
	Nobody    int           `json:"nobody,omitempty"` // customers of whom no contact is known
	Due       time.Time     `json:"due"`              // when the expansion goes on; zero: never
	CreatedAt time.Time     `json:"created_at"`
	DoneAt    time.Time     `json:"done_at"`
}

// Direct is an address that a notice names itself.
type Direct struct {
	Channel string `json:"channel"`
	Address string `json:"address"`
	Name    string `json:"name"`
	Locale  string `json:"locale"`
}

// The states of a notice.
const (
	Expanding   = "expanding"
	SendingNow  = "sending"
	Done        = "done"
	StoppedHere = "stopped"
)

var notices = store.Table[Notice]{
	Kind: store.Kind{Name: "notice", Prefix: "ntc", Schema: 1, Leased: true},
	Due:  func(n Notice) (string, time.Time) { return n.Lane, n.Due },
}

// Page is at most PageSize deliveries of one channel with neighbouring keys, leased and settled together. Its id is
// pag_<notice>.<number>.<e|s|w>. Pages of different channels over the same people are worked on by different workers, so that a
// relay that hangs holds up nobody's SMS.
//
// Counts are the states of its deliveries by channel ("email/sent") and, on the page that Board names, the best state of each
// of its people ("people/sent"); beside them, how many of its deliveries say that their person has opened or acknowledged it
// ("read/opened"). They move in the transactions that move the deliveries, so a board is the sum of pages.
type Page struct {
	Notice  string         `json:"notice"`
	Number  int            `json:"number"`
	Channel string         `json:"channel"`
	Lane    string         `json:"lane"` // the notice's lane and the channel: see pageLane
	From    string         `json:"from"` // first delivery key
	To      string         `json:"to"`   // last delivery key; keys of other channels may lie between
	Counts  map[string]int `json:"counts"`
	Listed  int            `json:"listed,omitempty"` // deliveries on its roster; 0: each has a record of its own
	Fates   []byte         `json:"fates,omitempty"`  // what became of those on the roster: see appendFates
	Board   string         `json:"board"`            // the page on which its people are counted
	Mixed   bool           `json:"mixed,omitempty"`  // its people have deliveries on another channel too
	Clean   int64          `json:"clean"`            // the epoch of the last claim that ended with a release: later ones died
	Again   time.Time      `json:"again,omitzero"`   // work came up while it was held: due then, once the holder releases it
	Due     time.Time      `json:"due"`              // zero: nothing left to do
}

var pages = store.Table[Page]{
	Kind: store.Kind{Name: "page", Prefix: "pag", Schema: 2, Leased: true, Composed: true, Indexes: []store.Index{
		{Name: "open", Fields: []store.Field{{Name: "lane", Type: store.Text}}},
	}},
	Tuples: func(p Page) store.Tuples {
		if p.Due.IsZero() {
			return nil
		}
		return store.Tuples{"open": {p.Lane}}
	},
	Due: func(p Page) (string, time.Time) { return p.Lane, p.Due },
}

// Delivery is one notice to one address of one person, or the reason why there is none: a row on a roster, or a record of its own. Its id is
//
//	dlv_<notice>.<pass>.<account>.<contact>.<e|s|w>.<address number>
//
// (suffixes of ids), so walking accounts in order of id, and contacts within them, walks deliveries in order of key. An address
// that a notice names itself has "0" for the account and its position for the contact.
type Delivery struct {
	Page     int       `json:"page"` // number of its page
	Channel  string    `json:"channel"`
	Address  string    `json:"address"`
	Name     string    `json:"name,omitempty"`
	Locale   string    `json:"locale"`
	Sites    []string  `json:"sites,omitempty"` // why the person is told: at most a few of them
	State    State     `json:"state"`
	Reason   string    `json:"reason,omitempty"`
	Attempts int       `json:"attempts"`           // that ended with an outcome
	Starts   int       `json:"starts,omitempty"`   // attempts noted before they began, since the last outcome: see run.mark
	Unknowns int       `json:"unknowns,omitempty"` // outcomes that nobody knows
	Next     time.Time `json:"next,omitzero"`      // when it is tried again; zero: never, or at once if queued
	Ref      string    `json:"ref,omitempty"`
	Past     []string  `json:"past,omitempty"` // refs of messages to addresses of hers that have opted out since
	At       time.Time `json:"at"`             // of the last change

	Opened       time.Time `json:"opened,omitzero"`       // when the page behind her link was opened; kept in the first of a person's deliveries, as is
	Acknowledged time.Time `json:"acknowledged,omitzero"` // when she said that she has read it
}

// records are the deliveries that have a record of their own; all of them are found by deliveries.
var records = store.Table[Delivery]{
	Kind: store.Kind{Name: "delivery", Prefix: "dlv", Schema: 1, Composed: true},
}
