package comms

import (
	"time"

	"lifeline/store"
)

// Incident is one disturbance, from its declaration to its close. Its public id is Short.
type Incident struct {
	Number        int        `json:"number"` // counts up from 1; in feed ids
	Short         string     `json:"short"`  // 12 lower-case letters and digits, stable for ever; the id on public pages
	Title         string     `json:"title"`
	Severity      string     `json:"severity"` // P0 to P3
	Category      string     `json:"category"`
	Summary       string     `json:"summary"`
	Impact        string     `json:"impact"`
	ScopeEstimate string     `json:"scope_estimate"`
	DetectedAt    time.Time  `json:"detected_at"`
	DetectedBy    string     `json:"detected_by"`
	DeclaredAt    time.Time  `json:"declared_at"`
	DeclaredBy    string     `json:"declared_by"`
	State         string     `json:"state"` // open, resolved, closed
	Phase         string     `json:"phase"` // of the newest published update; "" before the first
	Security      string     `json:"security_cause"`
	Pinned        []string   `json:"pinned"`
	Commander     string     `json:"commander"`
	LastUpdate    int        `json:"last_update"` // the highest number given to an update
	Loaded        bool       `json:"loaded"`      // an affected set is loaded
	FirstNoticeAt *time.Time `json:"first_notice_at"`
	ResolvedAt    *time.Time `json:"resolved_at"`
	MonitoringAt  *time.Time `json:"monitoring_at"`
	Drill         bool       `json:"drill"`
}

// The states of an incident.
const (
	Open     = "open"
	Resolved = "resolved"
	Closed   = "closed"
)

var incidents = store.Table[Incident]{
	Kind: store.Kind{Name: "incident", Prefix: "inc", Schema: 1, Keep: 10 * 365 * 24 * time.Hour, Indexes: []store.Index{
		{Name: "number", Fields: []store.Field{{Name: "number", Type: store.Int}}, Unique: true},
		{Name: "short", Fields: []store.Field{{Name: "short", Type: store.Text}}, Unique: true},
		{Name: "state", Fields: []store.Field{{Name: "state", Type: store.Text}, {Name: "number", Type: store.Int}}},
	}},
	Tuples: func(i Incident) store.Tuples {
		return store.Tuples{"number": {i.Number}, "short": {i.Short}, "state": {i.State, i.Number}}
	},
}

// Entry is one line of an incident's log, in order and never edited: declared, severity changed, set loaded, update published.
type Entry struct {
	Incident string    `json:"incident"`
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	What     string    `json:"what"` // a code the catalog has a sentence for, such as "severity"
	Text     string    `json:"text"` // figures and reasons, no personal data
}

var entries = store.Table[Entry]{
	Kind: store.Kind{Name: "entry", Prefix: "ent", Schema: 1, Indexes: []store.Index{
		{Name: "incident", Fields: []store.Field{{Name: "incident", Type: store.Text}, {Name: "at", Type: store.Time}}},
	}},
	Tuples: func(e Entry) store.Tuples { return store.Tuples{"incident": {e.Incident, e.At}} },
}
