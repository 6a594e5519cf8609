// Package desk is staff work without HTTP: tickets from people who may have lost everything but a phone, and what support does
// with them.
//
// A ticket needs a message and one way to reach the person, and nothing that the product holds: no login, no site address, no account.
// Whatever else it carries are traces for a person to look at; they never decide whether or how fast somebody is helped.
package desk

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
)

// Desk is the room; everything in it is handed in once, at start.
type Desk struct {
	DB     *store.DB
	Book   *contacts.Book
	Comms  *comms.Room
	Policy Policy
	Log    *slog.Logger

	sites   followed // up to where affected sites have their tickets
	easels  store.Recent[Dashboard]
	answers store.Recent[FirstAnswers]
	briefs  store.Kept[brief]

	Signing Signing // of links and visits
	Inbox   Inbox   // of what customers answer

	Short func() bool // the disk is nearly full: files are refused before tickets are; nil: it is not

	Chance func() float64 // draws the sites that two people check; nil: the machine's own

	LookupTXT func(ctx context.Context, name string) ([]string, error) // of the DNS; nil: no domain proves anything

	Refused *prometheus.CounterVec // messages to strangers that a limit refused: NewRefusals; nil: they are not counted

	receipts limit.Lots // of what strangers may be sent in all
	asks     comms.Bell // rung when a code was asked for
	turns    limit.Turns
	easel    easel
	board    board
	followed atomic.Bool // somebody keeps the board all the time
	sent     limit.Lots  // of what strangers may send in files
	waits    waits
	attended atomic.Pointer[attended]
	marks    store.Kept[checkMark]
}

// Policy is the desk's section of the policy file.
type Policy struct {
	Checks       CheckPolicy              `yaml:"checks" json:"checks"`                 // of sites that were rebuilt
	Cases        CasePolicy               `yaml:"cases" json:"cases"`                   // affected sites, bursts, calls
	FirstAnswer  map[string]time.Duration `yaml:"first_answer" json:"first_answer"`     // by priority
	NextAnswer   map[string]time.Duration `yaml:"next_answer" json:"next_answer"`       // by priority, from when the customer wrote again
	Resolution   map[string]time.Duration `yaml:"resolution" json:"resolution"`         // by priority; the time we wait for the customer does not count
	Tiers        map[int]Times            `yaml:"tiers" json:"tiers"`                   // shorter times, by the tier of the account that a ticket was confirmed to be of
	Hours        Hours                    `yaml:"hours" json:"hours"`                   // when the clocks of what can wait run
	Categories   []string                 `yaml:"categories" json:"categories"`         // of tickets
	Silence      Silence                  `yaml:"silence" json:"silence"`               // what happens when a customer does not say whether it is solved
	Workflows    map[string]Workflow      `yaml:"workflows" json:"workflows"`           // of sorts of incidents
	Macros       []Macro                  `yaml:"macros" json:"macros"`                 // answers that are given often
	Bulk         BulkPolicy               `yaml:"bulk" json:"bulk"`                     // many tickets at once
	AckEach      time.Duration            `yaml:"ack_each" json:"ack_each"`             // one receipt to an address in this time
	AckDaily     int                      `yaml:"ack_daily" json:"ack_daily"`           // receipts to one address in a day
	AckHourly    int                      `yaml:"ack_hourly" json:"ack_hourly"`         // receipts by mail to strangers in an hour, in all
	AckSMSHourly int                      `yaml:"ack_sms_hourly" json:"ack_sms_hourly"` // by SMS
	MailHourly   int                      `yaml:"mail_hourly" json:"mail_hourly"`       // receipts and codes to strangers at one mail domain in an hour
	FreeHourly   int                      `yaml:"free_hourly" json:"free_hourly"`       // and at one where anybody has a mailbox
	Texts        TextPolicy               `yaml:"texts" json:"texts"`                   // to numbers that nobody has proved
	OpenTries    int                      `yaml:"open_tries" json:"open_tries"`         // wrong secrets for one ticket in 15 minutes
	Files        FilePolicy               `yaml:"files" json:"files"`                   // that come with messages
	Flood        FloodPolicy              `yaml:"flood" json:"flood"`                   // from when on filing costs something
	Duplicate    time.Duration            `yaml:"duplicate" json:"duplicate"`           // another ticket from the same address within it is likely a second try
	LinkFor      time.Duration            `yaml:"link_for" json:"link_for"`             // a mailed link opens its ticket for this long
	VisitFor     time.Duration            `yaml:"visit_for" json:"visit_for"`           // then its secret or a link is asked for again
	Identity     Identity                 `yaml:"identity" json:"identity"`             // who is this person
	VisitIdle    time.Duration            `yaml:"visit_idle" json:"visit_idle"`         // then what a code showed in the visit counts no more in it
	Rota         RotaPolicy               `yaml:"rota" json:"rota"`                     // who must be on duty
}

// DefaultPolicy is what is in force when the policy file says nothing. Forty-five minutes is the longest that the first answer took in
// April 2022.
func DefaultPolicy() Policy {
	return Policy{
		Checks:       defaultChecks(),
		Cases:        defaultCases(),
		FirstAnswer:  map[string]time.Duration{"P0": 45 * time.Minute, "P1": time.Hour, "P2": 8 * time.Hour, "P3": 24 * time.Hour},
		NextAnswer:   map[string]time.Duration{"P0": 2 * time.Hour, "P1": 4 * time.Hour, "P2": 24 * time.Hour, "P3": 48 * time.Hour},
		Resolution:   map[string]time.Duration{"P0": 24 * time.Hour, "P1": 72 * time.Hour, "P2": 10 * 24 * time.Hour, "P3": 30 * 24 * time.Hour},
		Categories:   []string{"access", "data", "performance", "billing", "question", "other"},
		Silence:      Silence{Asks: 2, Every: 72 * time.Hour, After: 7 * 24 * time.Hour},
		Workflows:    defaultWorkflows(),
		Bulk:         BulkPolicy{Alone: 20},
		AckEach:      15 * time.Minute,
		AckDaily:     3,
		AckHourly:    20_000,
		AckSMSHourly: 500,
		MailHourly:   300,
		FreeHourly:   8000,
		Texts:        defaultTexts(),
		OpenTries:    10,
		Files:        defaultFiles(),
		Flood:        FloodPolicy{Source: 30, Confirmed: 30, Busy: 6000},
		Duplicate:    10 * time.Minute,
		LinkFor:      7 * 24 * time.Hour,
		VisitFor:     12 * time.Hour,
		Identity:     defaultIdentity(),
		VisitIdle:    30 * time.Minute,
		Rota:         defaultRota(),
	}
}

// Kinds lists the records that the desk keeps.
func Kinds() []store.Kind {
	return []store.Kind{tickets.Kind, messages.Kind, evidence.Kind, questions.Kind, presences.Kind, rotas.Kind, covers.Kind, checks.Kind, handoffs.Kind}
}

// Check names every value that cannot be used, by its name in the policy file.
func (p Policy) Check() error {
	var f []fault.Field
	bad := func(field, reason string) {
		f = append(f, fault.Field{Field: "desk." + field, Code: "invalid", Reason: reason})
	}
	p.Checks.check(bad)
	p.Cases.check(bad)
	for _, priority := range priorities {
		if p.FirstAnswer[priority] <= 0 {
			bad("first_answer."+priority, "must be a duration above 0")
		}
	}
	p.Files.check(bad)
	p.Flood.check(bad)
	p.Texts.check(bad)
	if p.Duplicate <= 0 {
		bad("duplicate", "must be a duration above 0")
	}
	f = append(f, Times{p.FirstAnswer, p.NextAnswer, p.Resolution}.bad("desk")...)
	for tier, times := range p.Tiers {
		if tier < 0 || tier > 3 {
			bad("tiers", "names a tier that is none of 0, 1, 2, 3")
		}
		f = append(f, times.bad(fmt.Sprintf("desk.tiers.%d", tier))...)
	}
	f = append(f, p.Hours.bad()...)
	f = append(f, p.Silence.bad()...)
	f = append(f, badMacros(p.Macros)...)
	f = append(f, badWorkflows(p.Workflows)...)
	for field, t := range map[string]time.Duration{"ack_each": p.AckEach, "link_for": p.LinkFor, "visit_for": p.VisitFor, "visit_idle": p.VisitIdle} {
		if t <= 0 {
			bad(field, "must be a duration above 0")
		}
	}
	for field, n := range map[string]int{"ack_daily": p.AckDaily, "ack_hourly": p.AckHourly, "ack_sms_hourly": p.AckSMSHourly, "mail_hourly": p.MailHourly, "free_hourly": p.FreeHourly, "open_tries": p.OpenTries, "bulk.alone": p.Bulk.Alone} {
		if n < 1 {
			bad(field, "must be at least 1")
		}
	}
	p.Identity.check(bad)
	p.Rota.check(bad)
	if len(f) > 0 {
		return fault.BadFields(f...)
	}
	return nil
}
