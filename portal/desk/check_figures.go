package desk

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"lifeline/comms"
	"lifeline/store"
)

// CheckFigures is how the checks of an incident stand.
type CheckFigures struct {
	AsOf       time.Time      `json:"as_of"`
	Incident   string         `json:"incident"`
	ByState    map[string]int `json:"by_state"`
	Waiting    int            `json:"waiting"`       // for a first or second pair of eyes
	Oldest     *time.Time     `json:"oldest"`        // since when the one waits that waits longest
	Wait       float64        `json:"wait_median_s"` // of those that wait now
	InWork     int            `json:"in_work"`
	Returned   int            `json:"leases_expired"` // leases that ended without a word
	Rebuilt    float64        `json:"rebuilt_per_hour"`
	Rate       float64        `json:"passed_per_hour"`  // over the policy's hours
	Backlog    int            `json:"backlog"`          // waiting and in work
	ETA        *time.Time     `json:"eta"`              // backlog over rate; null: nothing passes, or nothing waits
	FirstYield string         `json:"first_pass_yield"` // percent; "": no first attempt has ended
	Seconds    int            `json:"second_looks"`     // the last ones, that disagreement is taken from
	Against    int            `json:"disagreed"`
	Twice      bool           `json:"all_twice"`  // two people look at every site, until they agree again
	Bottleneck bool           `json:"bottleneck"` // checks hold the recovery up
	Accepted   int            `json:"accepted"`
	Rejected   int            `json:"rejected"`
	NoAnswer   int            `json:"no_answer"`
	OneCheck   int            `json:"one_check"`
	Hours      []CheckHour    `json:"hours"` // the last 24, oldest first
	Items      []ItemFigures  `json:"items"`
}

// CheckHour is one hour of an incident's checks.
type CheckHour struct {
	From    time.Time `json:"from"`
	Rebuilt int       `json:"rebuilt"` // sites that came to be checked
	Passed  int       `json:"passed"`
}

// ItemFigures is how long one item of the list takes.
type ItemFigures struct {
	Key    string     `json:"key"`
	Text   string     `json:"text"`
	Texts  comms.Said `json:"texts,omitempty"`
	N      int        `json:"n"`
	P50    float64    `json:"p50_s"`
	P95    float64    `json:"p95_s"`
	Failed int        `json:"failed"`
}

// checkMark is the little of a check that figures and lists ask for.
type checkMark struct {
	Incident, Holder  string
	State, Answer     string
	Attempt, Returned int
	One, Agreed       bool
	Queued, Rebuilt   time.Time
	Passed            time.Time
}

func (c Check) mark() checkMark {
	m := checkMark{Incident: c.Incident, Holder: c.Holder, State: c.State, Answer: c.Answer, Attempt: c.Attempt, Returned: c.Returned, One: c.One, Agreed: c.Agreed, Queued: c.QueuedAt, Rebuilt: c.RebuiltAt}
	if c.PassedAt != nil {
		m.Passed = *c.PassedAt
	}
	return m
}

// itemsFrom is how many of the last runs the times of items are taken from.
const itemsFrom = 100

// CheckFigures counts the checks of an incident.
func (d *Desk) CheckFigures(ctx context.Context, incident string) (f CheckFigures, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		in, err := d.Comms.IncidentIn(tx, incident)
		if err != nil {
			return err
		}
		if f, err = d.countChecks(tx, in.ID); err != nil {
			return err
		}
		return d.timeItems(tx, &f)
	})
	return f, err
}

func (d *Desk) countChecks(tx *store.Tx, incident string) (f CheckFigures, err error) {
	pol := d.Policy.Checks
	f = CheckFigures{AsOf: tx.Now(), Incident: incident, ByState: map[string]int{}, Items: []ItemFigures{}}
	since := f.AsOf.Add(-pol.Rate)
	for i := range hoursShown {
		f.Hours = append(f.Hours, CheckHour{From: f.AsOf.Truncate(time.Hour).Add(time.Duration(i+1-hoursShown) * time.Hour)})
	}
	hour := func(at time.Time) *CheckHour {
		if i := int(at.Sub(f.Hours[0].From) / time.Hour); !at.Before(f.Hours[0].From) && i < len(f.Hours) {
			return &f.Hours[i]
		}
		return new(CheckHour) // before them: nobody looks
	}
	began := f.AsOf
	var waits []time.Duration
	passed, rebuilt, firstDone, firstGood := 0, 0, 0, 0
	for rec, err := range store.Gists(tx, checks, &d.marks, Check.mark, store.Query{Prefix: checkPrefix(incident)}) {
		if err != nil {
			return f, err
		}
		m := rec.Value
		f.ByState[m.State]++
		f.Returned += m.Returned
		switch m.State {
		case CheckQueued, CheckSecondQueued:
			f.Waiting++
			waits = append(waits, f.AsOf.Sub(m.Queued))
			if f.Oldest == nil || m.Queued.Before(*f.Oldest) {
				queued := m.Queued
				f.Oldest = &queued
			}
		case CheckLeased, Checking, CheckSecond:
			f.InWork++
		case CheckPassed:
			if m.One {
				f.OneCheck++
			}
			if m.Answer == "" && !f.AsOf.Before(m.Passed.Add(d.Comms.Policy.NoAnswer)) {
				f.NoAnswer++
			}
		}
		switch m.Answer {
		case Accepted:
			f.Accepted++
		case Rejected:
			f.Rejected++
		}
		if m.Attempt > 1 || m.State == CheckFailed || m.State == CheckPassed {
			firstDone++
			if m.Attempt == 1 && m.State == CheckPassed {
				firstGood++
			}
		}
		hour(m.Rebuilt).Rebuilt++
		if m.Rebuilt.After(since) {
			rebuilt++
		}
		hour(m.Passed).Passed++
		if m.Passed.After(since) {
			passed++
		}
		if m.Rebuilt.Before(began) {
			began = m.Rebuilt
		}
	}
	hours := min(pol.Rate, max(f.AsOf.Sub(began), time.Hour)).Hours() // a rate of minutes says nothing of an hour
	f.Rebuilt, f.Rate = round1(float64(rebuilt)/hours), round1(float64(passed)/hours)
	f.Backlog = f.Waiting + f.InWork
	if f.Backlog > 0 && passed > 0 {
		eta := f.AsOf.Add(time.Duration(float64(f.Backlog) / (float64(passed) / hours) * float64(time.Hour)))
		f.ETA = &eta
	}
	slices.Sort(waits)
	f.Wait = quantile(waits, 0.5).Seconds()
	if firstDone > 0 {
		f.FirstYield = comms.Percent(firstGood, firstDone)
	}
	f.Bottleneck = f.Oldest != nil && f.AsOf.Sub(*f.Oldest) > pol.Waiting && rebuilt > passed
	if f.Seconds, f.Against, err = d.disagreed(tx, incident); err != nil {
		return f, err
	}
	f.Twice = surelyOver(f.Against, f.Seconds, pol.Over)
	return f, nil
}

func round1(x float64) float64 { return math.Round(x*10) / 10 }

// timeItems takes the times of the items from the last runs.
func (d *Desk) timeItems(tx *store.Tx, f *CheckFigures) error {
	last, err := d.Comms.LastRuns(tx, f.Incident, itemsFrom)
	if err != nil || len(last) == 0 {
		return err
	}
	list, err := d.Comms.ChecklistIn(tx, last[0].Value.List)
	if err != nil {
		return err
	}
	for _, it := range list.Items {
		item := ItemFigures{Key: it.Key, Text: it.Text, Texts: it.Texts}
		var took []float64
		for _, run := range last {
			res, is := run.Value.Results[it.Key]
			if !is {
				continue
			}
			took = append(took, res.Took)
			if res.State == comms.ItemFailed {
				item.Failed++
			}
		}
		slices.Sort(took)
		item.N, item.P50, item.P95 = len(took), round1(quantile(took, 0.5)), round1(quantile(took, 0.95))
		f.Items = append(f.Items, item)
	}
	return nil
}

// surelyOver says whether k of n shows a share above over with statistical weight: the lower end of the 95 % interval (Wilson score) lies above it.
func surelyOver(k, n int, over float64) bool {
	if n == 0 {
		return false
	}
	const z = 1.959964
	p, m := float64(k)/float64(n), float64(n)
	low := (p + z*z/(2*m) - z*math.Sqrt(p*(1-p)/m+z*z/(4*m*m))) / (1 + z*z/m)
	return low > over
}

// taskBottleneck is the sort of the task that says that checks hold a recovery up.
const taskBottleneck = "check.bottleneck"

// TendChecks takes back leases that are over and says when checks hold a recovery up.
func (d *Desk) TendChecks(ctx context.Context) error {
	if err := d.SweepChecks(ctx); err != nil {
		return err
	}
	var turned []CheckFigures // narrow without a task, or wide with one
	err := d.DB.View(ctx, func(tx *store.Tx) error {
		turned = nil
		open, err := d.Comms.OpenIncidents(tx)
		if err != nil {
			return err
		}
		for _, in := range open {
			f, err := d.countChecks(tx, in.ID)
			if err != nil {
				return err
			}
			owed, err := d.Comms.Owed(tx, taskBottleneck, in.ID)
			if err != nil {
				return err
			}
			if owed != f.Bottleneck {
				turned = append(turned, f)
			}
		}
		return nil
	})
	for _, f := range turned {
		if err != nil {
			return err
		}
		err = d.DB.Update(ctx, store.Act{By: bySystem, Verb: "check.bottleneck"}, func(tx *store.Tx) error {
			if !f.Bottleneck {
				return d.Comms.Settle(tx, taskBottleneck, f.Incident, bySystem, "checks keep up again")
			}
			_, err := d.Comms.Alarm(tx, comms.Task{What: taskBottleneck, Of: f.Incident, Incident: f.Incident,
				Title: fmt.Sprintf("checks hold the recovery up: %d sites wait, the oldest for %s; %.1f an hour come, %.1f pass", f.Waiting, f.AsOf.Sub(*f.Oldest).Round(time.Minute), f.Rebuilt, f.Rate)})
			return err
		})
	}
	return err
}
