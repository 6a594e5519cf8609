package page

import (
	_ "embed" // the schema
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/templates"
)

// This file writes /api/v1/public/: all structured facts, for programs that want more than the status API can say, and the schema that they follow.

// SchemaPath is where the JSON Schema (2020-12) of these answers stands.
const SchemaPath = "/api/v1/public/schema.json"

//go:embed schema.json
var factsSchema string

// schema is the schema under the address from which it is read.
func schema(v templates.Vendor) []byte {
	return []byte(strings.Replace(factsSchema, `"$id": "`, `"$id": "`+strings.TrimSuffix(v.URL, "/"), 1))
}

// factsIncident is one incident with every update in full, newest first.
type factsIncident struct {
	ID          string              `json:"id"`
	Version     int64               `json:"version"` // moves with updated_at
	CreatedAt   time.Time           `json:"created_at"`
	UpdatedAt   time.Time           `json:"updated_at"`
	Number      int                 `json:"number"`
	Title       string              `json:"title"`
	Severity    string              `json:"severity"`
	Impact      string              `json:"impact"`
	State       string              `json:"state"`
	Phase       string              `json:"phase"`
	DetectedAt  time.Time           `json:"detected_at"`
	FirstWordAt *time.Time          `json:"first_word_at"`
	StartedAt   time.Time           `json:"started_at"`
	Monitoring  *time.Time          `json:"monitoring_at"`
	Resolved    *time.Time          `json:"resolved_at"`
	URL         string              `json:"url"`
	Support     string              `json:"support_url"`
	Products    []string            `json:"products"`
	Category    string              `json:"category"`
	RestoredNow *templates.Figures  `json:"restored_now"` // the ledger's figures at as_of; each update holds those of its own moment
	Course      []comms.CoursePoint `json:"restored_over_time"`
	Promises    []comms.Promised    `json:"promised_updates"`
	Updates     []factsUpdate       `json:"updates"`
}

type factsUpdate struct {
	ID        string                 `json:"id"`
	Number    int                    `json:"number"`
	At        time.Time              `json:"at"`
	Statement templates.Statement    `json:"statement"`
	Restored  *templates.Figures     `json:"restored"`
	Before    *templates.Before      `json:"before"` // nil: it is the first to these readers
	Cohorts   []templates.CohortLoss `json:"cohorts"`
	Security  string                 `json:"security_cause"`
	Pinned    []string               `json:"pinned"`
	Unread    bool                   `json:"unread"` // not yet read by a second person
	FirstWord bool                   `json:"first"`
	Corrects  int                    `json:"corrects"` // the number of the update that this one takes back, or 0
	Retracted bool                   `json:"retracted"`
	Drill     bool                   `json:"drill"`
}

type factsList struct {
	Items []factsIncident `json:"items"`
	Next  string          `json:"next"`
}

func factsOf(in comms.PublicIncident, v templates.Vendor) factsIncident {
	out := factsIncident{
		ID: in.ID, Version: in.Updated.UnixMilli(), CreatedAt: in.Created.UTC(), UpdatedAt: in.Updated.UTC(), Number: in.Number, Title: in.Title,
		Severity: in.Severity, Impact: in.Impact, State: in.State, Phase: in.Phase, DetectedAt: in.Detected.UTC(), FirstWordAt: utc(in.FirstWord), StartedAt: in.Started.UTC(),
		Monitoring: utc(in.Monitoring), Resolved: utc(in.Resolved), URL: in.URL, Support: v.Support,
		Products: present(in.Products), RestoredNow: in.Now, Updates: []factsUpdate{},
		Category: in.Category, Course: append([]comms.CoursePoint{}, in.Course...), Promises: append([]comms.Promised{}, in.Promises...),
	}
	for _, u := range in.Updates {
		out.Updates = append(out.Updates, factsUpdateOf(u))
	}
	return out
}

func factsUpdateOf(u templates.Update) factsUpdate {
	s := u.Statement
	s.Scope.Products, s.Scope.Regions = present(s.Scope.Products), present(s.Scope.Regions)
	s.Known, s.Unknown, s.Doing = present(s.Known), present(s.Unknown), present(s.Doing)
	s.Channels, s.Locales = present(s.Channels), present(s.Locales)
	return factsUpdate{
		ID: u.ID, Number: u.Number, At: u.At.UTC(), Statement: s, Restored: u.Restored, Before: u.Before, Cohorts: append([]templates.CohortLoss{}, u.Cohorts...), Security: u.Security, Pinned: present(u.Pinned),
		Unread: u.Unread, FirstWord: u.FirstWord, Corrects: u.Corrects, Retracted: u.Retracted, Drill: u.Drill,
	}
}

// present makes a missing list an empty one: a list is never omitted.
func present(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
