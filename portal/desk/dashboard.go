package desk

import (
	"context"
	"fmt"
	"slices"
	"time"
	"unique"

	"lifeline/comms"
	"lifeline/store"
)

// Dashboard is how an incident's tickets stand, or those of no incident. It counts every ticket of the queue, with a site or without.
type Dashboard struct {
	AsOf       time.Time      `json:"as_of"`
	Queue      string         `json:"queue"`
	Tickets    int            `json:"tickets"`
	Waiting    int            `json:"waiting"`    // for us: new, or the customer wrote last
	Overdue    int            `json:"overdue"`    // waiting, and past the time that was promised
	Unassigned int            `json:"unassigned"` // waiting, and nobody's
	NoSite     int            `json:"without_site"`
	Made       int            `json:"made"`    // for affected sites whose customers have not written
	Sites      int            `json:"sites"`   // for which a ticket stands
	Twins      int            `json:"further"` // further ones about a site that has one
	Oldest     *time.Time     `json:"oldest"`  // since when the one waits that waits longest
	OldestNo   string         `json:"oldest_ticket"`
	First      string         `json:"first_ticket"` // the one that somebody filed first, else the first that was made: what belongs to the record of the incident is attached there
	ByState    map[string]int `json:"by_state"`
	ByPriority map[string]int `json:"by_priority"` // of those that are not closed
	ByStep     map[string]int `json:"by_step"`     // of its workflow, of those that are not closed
	ByLocale   map[string]int `json:"by_language"`
	Answered   int            `json:"answered"`
	Median     float64        `json:"first_answer_median_s"` // of those that were answered
	Slowest    float64        `json:"first_answer_p90_s"`
	InTime     int            `json:"answered_in_time"`
	Hours      []Hour         `json:"hours"` // the last 24, oldest first

	first brief
}

// Hour is how many tickets were filed in an hour, and how many had their first answer.
type Hour struct {
	From     time.Time `json:"from"`
	Filed    int       `json:"filed"`
	Answered int       `json:"answered"`
}

// hoursShown is how far back a dashboard shows hour by hour.
const hoursShown = 24

// brief is the little of a ticket that a dashboard counts.
type brief struct {
	Number, State, Priority, Locale string
	Incident                        unique.Handle[string]
	Step                            string
	Owned, Site, Twin, Made, Gone   bool
	Filed, AnswerBy, AnswerAt       time.Time
	AskedAt, NextBy                 time.Time
}

func (t Ticket) brief() brief {
	return brief{Number: t.Number, Incident: unique.Make(t.Incident), State: t.State, Priority: t.Priority, Locale: t.Locale, Step: t.Step, Owned: t.Owner != "", Site: t.Site != "", Twin: t.Twin != "", Made: t.silent(),
		Gone: t.Into != "" || t.Route == byIncident && t.Twin != "", Filed: t.FiledAt, AnswerBy: t.AnswerBy, AnswerAt: t.AnswerAt, AskedAt: t.AskedAt, NextBy: t.NextBy}
}

// waits says since when and until when a ticket waits for us; false: it does not.
func (b brief) waits() (since, by time.Time, is bool) {
	switch b.State {
	case New:
		return b.Filed, b.AnswerBy, true
	case Asked:
		if b.AskedAt.IsZero() {
			return b.Filed, b.NextBy, true
		}
		return b.AskedAt, b.NextBy, true
	}
	return since, by, false
}

// add counts one ticket. One that went on in another is not counted again.
func (d *Dashboard) add(b brief, took *[]time.Duration) {
	if b.Gone {
		return
	}
	d.Tickets++
	if d.first.Number == "" || d.first.Made && !b.Made || d.first.Made == b.Made && b.Filed.Before(d.first.Filed) {
		d.first, d.First = b, b.Number
	}
	d.ByState[b.State]++
	d.ByLocale[b.Locale]++
	switch {
	case !b.Site:
		d.NoSite++
	case b.Twin:
		d.Twins++
	default:
		d.Sites++
	}
	if b.Made {
		d.Made++
	}
	if b.State != Closed {
		d.ByPriority[b.Priority]++
		if b.Step != "" {
			d.ByStep[b.Step]++
		}
	}
	if since, by, is := b.waits(); is {
		d.Waiting++
		if !by.IsZero() && d.AsOf.After(by) {
			d.Overdue++
		}
		if !b.Owned {
			d.Unassigned++
		}
		if d.Oldest == nil || since.Before(*d.Oldest) {
			d.Oldest, d.OldestNo = &since, b.Number
		}
	}
	if !b.AnswerAt.IsZero() {
		d.Answered++
		*took = append(*took, b.AnswerAt.Sub(b.Filed))
		if !b.AnswerAt.After(b.AnswerBy) {
			d.InTime++
		}
		d.hour(b.AnswerAt, func(h *Hour) { h.Answered++ })
	}
	if !b.Made {
		d.hour(b.Filed, func(h *Hour) { h.Filed++ })
	}
}

func (d *Dashboard) hour(at time.Time, count func(*Hour)) {
	if at.Before(d.Hours[0].From) {
		return
	}
	if i := int(at.Sub(d.Hours[0].From) / time.Hour); i < len(d.Hours) {
		count(&d.Hours[i])
	}
}

func emptyBoard(queue string, now time.Time) Dashboard {
	d := Dashboard{AsOf: now, Queue: queue, ByState: map[string]int{}, ByPriority: map[string]int{}, ByStep: map[string]int{}, ByLocale: map[string]int{}}
	first := now.UTC().Truncate(time.Hour).Add(-(hoursShown - 1) * time.Hour)
	for i := range hoursShown {
		d.Hours = append(d.Hours, Hour{From: first.Add(time.Duration(i) * time.Hour)})
	}
	return d
}

// quantile is the value below which a part of sorted values lies, by the nearest rank; 0 of none.
func quantile[T time.Duration | float64](sorted []T, part float64) T {
	if len(sorted) == 0 {
		return 0
	}
	at := int(part*float64(len(sorted))+0.999999) - 1
	return sorted[max(0, min(at, len(sorted)-1))]
}

// FirstAnswers is how soon tickets had their first answer.
type FirstAnswers struct {
	Answered int     `json:"answered"`
	InTime   int     `json:"in_time"`
	Percent  string  `json:"in_time_percent"`
	Median   float64 `json:"median_s"`
	Slowest  float64 `json:"p90_s"`
}

// Answered counts the first answers to tickets that were filed in a span of time, but for those of the incidents that are closed to whoever asks. Zero times are
// open ends. Where very many were answered the figures may be seconds old.
func (d *Desk) Answered(ctx context.Context, from, to time.Time, closed map[string]bool) (FirstAnswers, error) {
	return d.answers.Of(ctx, fmt.Sprint(from, to, closed), easedFor, func(ctx context.Context) (FirstAnswers, bool, error) {
		a, all, err := d.countAnswers(ctx, from, to, closed)
		return a, all >= easedFrom, err
	})
}

// countAnswers says besides how many answers it looked at.
func (d *Desk) countAnswers(ctx context.Context, from, to time.Time, closed map[string]bool) (a FirstAnswers, all int, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		a, all = FirstAnswers{}, 0
		var took []time.Duration
		for rec, err := range store.Gists(tx, tickets, &d.briefs, Ticket.brief, store.Query{Index: "answered"}) {
			if err != nil {
				return err
			}
			all++
			b := rec.Value
			if closed[b.Incident.Value()] || b.Gone || b.Filed.Before(from) || !to.IsZero() && !b.Filed.Before(to) {
				continue
			}
			took = append(took, b.AnswerAt.Sub(b.Filed))
			if !b.AnswerAt.After(b.AnswerBy) {
				a.InTime++
			}
		}
		slices.Sort(took)
		a.Answered, a.Percent, a.Median, a.Slowest = len(took), comms.Percent(a.InTime, len(took)), quantile(took, 0.5).Seconds(), quantile(took, 0.9).Seconds()
		return nil
	})
	return a, all, err
}

// The eye sees nothing of these seconds, and a queue of 100,000 is walked once in them.
const easedFor = 3 * time.Second

// easedFrom is how many tickets must be counted so that the figures are kept; of fewer they are counted anew.
const easedFrom = 2000

// Dashboard counts the tickets of a queue: an incident's, by either of its ids, or [General]. Of a large queue it may be seconds old, see [store.Recent]; its AsOf says so.
func (d *Desk) Dashboard(ctx context.Context, queue string) (Dashboard, error) {
	return d.easels.Of(ctx, queue, easedFor, func(ctx context.Context) (Dashboard, bool, error) {
		b, err := d.paint(ctx, queue)
		return b, b.Tickets >= easedFrom, err
	})
}

func (d *Desk) paint(ctx context.Context, queue string) (b Dashboard, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		id := queue
		if queue != General {
			in, err := d.Comms.IncidentIn(tx, queue)
			if err != nil {
				return err
			}
			id = in.ID
		}
		b = emptyBoard(id, tx.Now())
		var took []time.Duration
		for rec, err := range store.Gists(tx, tickets, &d.briefs, Ticket.brief, store.Query{Index: "queue", Equal: []any{id}}) {
			if err != nil {
				return err
			}
			b.add(rec.Value, &took)
		}
		slices.Sort(took)
		b.Median, b.Slowest = quantile(took, 0.5).Seconds(), quantile(took, 0.9).Seconds()
		return nil
	})
	return b, err
}

// FirstFiles are the files of the ticket with which the record of an incident begins: what its first writer sent before anybody knew of an incident, and what
// staff attached since.
func (d *Desk) FirstFiles(ctx context.Context, b Dashboard) (all []Attachment, err error) {
	if b.First == "" || b.Queue == General {
		return nil, nil
	}
	v, err := d.Ticket(ctx, b.First)
	for _, m := range v.Messages {
		all = append(all, v.FilesOf(m)...)
	}
	return all, err
}
