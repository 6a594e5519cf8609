// Package templates holds the words: one source per message and language for subject, text, HTML, SMS and page, the
// catalogs of every sentence that a page shows, and the data contract (this file) that operators' own templates may rely on.
//
// It knows nothing of who sends a message or where it is stored. Text from people arrives here as data and is escaped for
// its channel; only the files under words/ are trusted.
package templates

import "time"

// NotKnown is the honest value of a fact that nobody has yet.
const NotKnown = "not_known"

// Statement is what a person writes in one structured update. JSON names are the outside contract.
// Validation is comms's; here it is only rendered.
type Statement struct {
	Phase        string   `json:"phase"` // investigating, identified, monitoring, resolved
	Headline     string   `json:"headline"`
	WhatHappened string   `json:"what_happened"`
	YourAction   string   `json:"your_action"` // "nothing" is a value
	Technical    string   `json:"technical,omitempty"`
	Scope        Scope    `json:"scope"`
	Affected     Affected `json:"affected"`
	Timeline     Timeline `json:"timeline"`
	DataLoss     DataLoss `json:"data_loss"`
	Known        []string `json:"known"`
	Unknown      []string `json:"unknown"`
	Doing        []string `json:"doing"`
	UnknownNone  bool     `json:"unknown_none,omitempty"`
	NextUpdateBy Moment   `json:"next_update_by"` // a time, or "none" on resolved
	NoChange     bool     `json:"no_change,omitempty"`
	Audience     string   `json:"audience"`
	Channels     []string `json:"channels"`
	Locales      []string `json:"locales"`
}

// Scope is where the trouble is.
type Scope struct {
	Products []string `json:"products"`
	Regions  []string `json:"regions"`
	Text     string   `json:"text"`
}

// Affected counts who is hit; Sites and Customers are a number or not_known.
type Affected struct {
	Who        string `json:"who"`
	Sites      Count  `json:"sites"`
	Customers  Count  `json:"customers"`
	Status     string `json:"status"`     // estimate, final
	Confidence string `json:"confidence"` // low, medium, high
}

// Timeline says when it will be over, in one of five honest forms.
type Timeline struct {
	Kind        string     `json:"kind"` // at, range, direction, no_date_possible, not_known
	Earliest    *time.Time `json:"earliest"`
	Latest      *time.Time `json:"latest"`
	Text        string     `json:"text"`
	Confidence  string     `json:"confidence"`
	FullScopeBy Moment     `json:"full_scope_by"` // a time, not_known, or none on resolved
}

// DataLoss is an upper bound or an admission; bounds are ISO 8601 durations such as PT5M.
type DataLoss struct {
	Kind       string `json:"kind"` // not_known, direction, at_most, range, none_verified
	AtLeast    *Span  `json:"at_least"`
	AtMost     *Span  `json:"at_most"`
	Text       string `json:"text"`
	Confidence string `json:"confidence"`
}

// Figures are what the ledger says at one moment. They are computed, never typed.
type Figures struct {
	AsOf      time.Time       `json:"as_of"`
	Sites     SiteFigures     `json:"sites"`
	Customers CustomerFigures `json:"customers"`
}

// SiteFigures counts sites: Rebuilt, Checked and Confirmed are cumulative (a confirmed site was also checked and rebuilt);
// NoAnswer is the part of the handed-back sites whose customer stayed silent for 72 h. Percent is handed back of total, one decimal,
// half up, and 100.0 only when all are.
type SiteFigures struct {
	Total     int            `json:"total"`
	ByState   map[string]int `json:"by_state"`
	Rebuilt   int            `json:"rebuilt"`
	Checked   int            `json:"checked"`
	Confirmed int            `json:"confirmed"`
	NoAnswer  int            `json:"no_answer"`
	Restored  int            `json:"restored"` // handed back: confirmed or without an answer
	Percent   string         `json:"percent"`  // "12.7"
}

// CustomerFigures counts customers; one is restored when all her affected sites are handed back.
type CustomerFigures struct {
	Total    int    `json:"total"`
	Restored int    `json:"restored"`
	Percent  string `json:"percent"`
}

// Update is everything a published (or previewed) update says, ready to be rendered in any language and channel.
type Update struct {
	ID        string    `json:"id"`
	Number    int       `json:"number"`
	Incident  Incident  `json:"incident"`
	Statement Statement `json:"statement"`
	Restored  *Figures  `json:"restored"` // nil: no affected set is loaded yet
	Security  string    `json:"security_cause"`
	Pinned    []string  `json:"pinned"`
	At        time.Time `json:"at"`       // published at; zero in a preview
	Unread    bool      `json:"unread"`   // not yet read by a second person
	FirstWord bool      `json:"first"`    // the incident's first notice
	Corrects  int       `json:"corrects"` // the number of the update that this one takes back; 0: none
	Retracted bool      `json:"retracted"`
	Drill     bool      `json:"drill"`
}

// Incident is the part of an incident that strangers may read.
type Incident struct {
	ID       string    `json:"id"`
	Number   int       `json:"number"` // for feed ids
	Title    string    `json:"title"`
	Severity string    `json:"severity"` // P0 to P3
	Impact   string    `json:"impact"`
	Started  time.Time `json:"started_at"`
	URL      string    `json:"url"` // absolute, of its public page
}

// Vendor is who speaks: set by the operator.
type Vendor struct {
	Name    string `json:"name"`
	URL     string `json:"url"`     // public base URL of this portal
	Support string `json:"support"` // absolute URL of the support form
	Phone   string `json:"phone"`   // optional support number, E.164
	Zone    string `json:"zone"`    // IANA zone shown beside UTC; "" is UTC alone
}
