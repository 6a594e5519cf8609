package comms

import (
	"time"

	"lifeline/templates"
)

// Public is everything that public pages, API answers and feeds show, read in one transaction.
type Public struct {
	Edition    int64 // of the store when it was read; pages rendered from an older one are stale
	AsOf       time.Time
	Incidents  []PublicIncident // newest first; only those with a published update
	Components []Component
}

// PublicIncident is one incident with all that was said, newest first. Facts of a retracted update stay, marked.
type PublicIncident struct {
	templates.Incident            // its ID is the short public one
	State              string     // open, resolved, closed
	Phase              string     // of the newest update
	Created            time.Time  // declared
	Updated            time.Time  // newest change of what is shown
	Monitoring         *time.Time // when it reached that phase
	Resolved           *time.Time
	Products           []string           // of the newest update's scope
	Updates            []templates.Update // newest first
	Now                *templates.Figures // the ledger now; nil: no set loaded
}

// Component is a part of the vendor's service that pages list; the operator names them in the policy. Its state follows
// from the open incidents whose newest update has it in scope.
type Component struct {
	ID          string // 12 lower-case letters and digits, from the name, stable
	Name        string
	Group       string
	Description string
	Status      string // operational, degraded_performance, partial_outage, major_outage, under_maintenance
	Position    int
	Since       time.Time
}
