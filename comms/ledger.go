package comms

import (
	"time"

	"lifeline/store"
)

// Site states in the ledger, in the order of a recovery. Failed stands aside.
const (
	Lost       = "lost"
	Restoring  = "restoring"
	Rebuilt    = "rebuilt"
	Verifying  = "verifying"
	Passed     = "passed"
	HandedBack = "handed_back"
	FailedSite = "failed"
)

// Row is one affected site in an incident's ledger. Its id is led_<incident>.<site> (suffixes), so an incident's rows are a
// prefix and a site is in it once. Every percentage and count of states is computed from these rows and from nothing else.
type Row struct {
	Incident     string     `json:"incident"`
	Site         string     `json:"site"`
	Account      string     `json:"account"`
	State        string     `json:"state"`
	Batch        string     `json:"batch,omitempty"`
	RestorePoint *time.Time `json:"restore_point,omitempty"`
	At           time.Time  `json:"at"` // since when it is in State
	By           string     `json:"by"`
	Note         string     `json:"note,omitempty"`
	Reason       string     `json:"reason,omitempty"` // why a commander moved it past the checks
	NoAnswer     bool       `json:"no_answer,omitempty"`
	History      []Move     `json:"history,omitempty"`
}

// Move is one past state of a row.
type Move struct {
	State string    `json:"state"`
	At    time.Time `json:"at"`
	By    string    `json:"by"`
}

var rows = store.Table[Row]{
	Kind: store.Kind{Name: "ledger row", Prefix: "led", Schema: 1, Composed: true},
}
