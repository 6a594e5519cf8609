package comms

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"lifeline/store"
	"lifeline/store/fault"
)

// Exceeded is the family of the task that a threshold raises; its name stands behind the dot.
const Exceeded = "threshold"

const byThreshold = "system:thresholds"

// Threshold is a figure of our own metrics that pages whoever is on duty when it stands above or below a bound for so long. Its task proposes an
// incident, and ends by itself when the figure is well again before anybody took it.
type Threshold struct {
	Metric string            `yaml:"metric" json:"metric"` // as /metrics names it; of a histogram, how often it was observed
	Labels map[string]string `yaml:"labels" json:"labels"` // which of its series; those that fit are added up
	Above  *float64          `yaml:"above" json:"above"`
	Below  *float64          `yaml:"below" json:"below"`
	For    time.Duration     `yaml:"for" json:"for"`       // how long it must stand there
	Within time.Duration     `yaml:"within" json:"within"` // above 0: it is about how much the figure grew in so long, as of a counter
	Title  string            `yaml:"title" json:"title"`
}

func defaultThresholds() map[string]Threshold {
	waits := func(lane, channel string, pages float64, so time.Duration, title string) Threshold {
		return Threshold{Metric: "lifeline_outbox_waiting_pages", Labels: map[string]string{"lane": pageLane(lane, channel)}, Above: new(pages), For: so, Title: title}
	}
	return map[string]Threshold{
		"codes-email": waits(LaneUrgent, ChannelEmail, 20, 30*time.Second, "Codes and calls to staff wait to be mailed"),
		"codes-sms":   waits(LaneUrgent, ChannelSMS, 20, 30*time.Second, "Codes and calls to staff wait to be texted"),
		"replies":     waits(LaneDirect, ChannelEmail, 200, 2*time.Minute, "Receipts and replies to customers wait to be mailed"),
		"disk":        {Metric: "lifeline_disk_free_ratio", Below: new(0.05), For: 30 * time.Second, Title: "The disk under LIFELINE_DATA is nearly full"},
	}
}

var (
	thresholdForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	metricForm    = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]{0,199}$`)
)

func (p Policy) badThresholds(f []fault.Field) []fault.Field {
	for name, t := range p.Thresholds {
		field := "comms.thresholds." + bounded(name)
		if !thresholdForm.MatchString(name) {
			f = append(f, wrong(field, "must be named with lower-case letters, digits and hyphens"))
		}
		if !metricForm.MatchString(t.Metric) {
			f = append(f, wrong(field+".metric", "must be the name of a metric, as /metrics has it"))
		}
		if (t.Above == nil) == (t.Below == nil) {
			f = append(f, wrong(field, "needs one bound: above or below"))
		}
		if t.For < 0 || t.Within < 0 {
			f = append(f, wrong(field, "has a duration below 0"))
		}
		f = prose{most: 120, required: true}.bad(f, field+".title", t.Title)
	}
	return f
}

// over says whether a figure is past the bound.
func (t Threshold) over(v float64) bool {
	return t.Above != nil && v > *t.Above || t.Below != nil && v < *t.Below
}

// figure is what a threshold looks at, from all that was gathered; false when there is no such series, or none could be read (a gauge below 0).
func (t Threshold) figure(all []*dto.MetricFamily) (sum float64, found bool) {
	for _, family := range all {
		if family.GetName() != t.Metric {
			continue
		}
		for _, series := range family.GetMetric() {
			if t.fits(series) {
				v := valueOf(series)
				sum, found = sum+v, found || v >= 0
			}
		}
	}
	return sum, found
}

func (t Threshold) fits(series *dto.Metric) bool {
	left := len(t.Labels)
	for _, l := range series.GetLabel() {
		if want, asked := t.Labels[l.GetName()]; asked {
			if want != l.GetValue() {
				return false
			}
			left--
		}
	}
	return left == 0
}

func valueOf(m *dto.Metric) float64 {
	switch {
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount())
	}
	return m.GetUntyped().GetValue()
}

// WatchEvery is how often thresholds are looked at: what stands above one for no longer than half a minute pages within a minute.
const WatchEvery = 15 * time.Second

// Watch looks at this process's own metrics. Every replica does: some figures are one process's alone. A task is raised once, whoever sees it first.
type Watch struct {
	Room   *Room
	Gather prometheus.Gatherer

	began time.Time
	seen  map[string]*sighted
}

// sighted is what this process knows of a threshold.
type sighted struct {
	over, well time.Time // since when it stands past its bound, or not; zero: it does not
	raised     bool      // by this process
	was        []sample  // of a figure that is about growth, oldest first
}

type sample struct {
	at    time.Time
	value float64
}

// grown is by how much a figure has grown since the oldest sample within so long; one that was set back, as by a restart, has grown by what it is.
func (s *sighted) grown(now time.Time, v float64, within time.Duration) float64 {
	s.was = append(s.was, sample{now, v})
	for len(s.was) > 1 && now.Sub(s.was[1].at) >= within {
		s.was = s.was[1:]
	}
	if first := s.was[0].value; first <= v {
		return v - first
	}
	s.was = s.was[len(s.was)-1:]
	return v
}

// Look looks once at every threshold.
func (w *Watch) Look(ctx context.Context) error {
	all, err := w.Gather.Gather()
	if err != nil && len(all) == 0 {
		return fmt.Errorf("gather what is measured: %w", err)
	}
	now := w.Room.DB.Now()
	if w.seen == nil {
		w.began, w.seen = now, map[string]*sighted{}
	}
	for _, name := range slices.Sorted(maps.Keys(w.Room.Policy.Thresholds)) {
		t := w.Room.Policy.Thresholds[name]
		v, found := t.figure(all)
		if !found {
			continue
		}
		s := w.seen[name]
		if s == nil {
			s = &sighted{}
			w.seen[name] = s
		}
		if t.Within > 0 {
			v = s.grown(now, v, t.Within)
		}
		if err := w.judge(ctx, name, t, s, v, now); err != nil {
			return fmt.Errorf("look at the threshold %s: %w", name, err)
		}
	}
	return nil
}

func (w *Watch) judge(ctx context.Context, name string, t Threshold, s *sighted, v float64, now time.Time) error {
	if !t.over(v) {
		s.over = time.Time{}
		if s.well.IsZero() {
			s.well = now
		}
		if now.Sub(s.well) < max(t.For, time.Minute) {
			return nil
		}
		return w.recovered(ctx, name, s)
	}
	s.well = time.Time{}
	if s.over.IsZero() {
		s.over = now
	}
	if now.Sub(s.over) < t.For {
		return nil
	}
	s.raised = true
	return w.raise(ctx, name, t, v, s.over)
}

// raise notes an alert and pages, unless somebody was paged already.
func (w *Watch) raise(ctx context.Context, name string, t Threshold, v float64, since time.Time) error {
	what := Exceeded + "." + name
	detail, err := json.Marshal(struct {
		Metric  string    `json:"metric"`
		Figure  float64   `json:"figure"`
		Bound   Threshold `json:"threshold"`
		Propose Propose   `json:"propose_incident"`
	}{t.Metric, v, t, Propose{Title: t.Title, Source: FoundByMonitoring}})
	if err != nil {
		return err
	}
	err = w.Room.DB.Update(ctx, store.Act{By: byThreshold, Verb: "threshold.raise"}, func(tx *store.Tx) error {
		if open, err := w.Room.Owed(tx, what, name); err != nil || open {
			if err == nil {
				err = store.ErrNothing
			}
			return err
		}
		alert, err := w.Room.sight(tx, what, t, since)
		if err != nil {
			return err
		}
		_, err = w.Room.Alarm(tx, Task{What: what, Of: name, Incident: alert, Title: t.Title + ": " + strconv.FormatFloat(v, 'g', 6, 64) + t.bound(), Detail: detail})
		return err
	})
	if kind := fault.Of(err); kind == fault.Exists || kind == fault.Stale { // another was faster
		return nil
	}
	return err
}

func (t Threshold) bound() string {
	if t.Above != nil {
		return fmt.Sprintf(" (more than %g)", *t.Above)
	}
	return fmt.Sprintf(" (less than %g)", *t.Below)
}

// recovered ends a task that nobody took. This process ends what it raised, and what was raised before it began, by one that may be gone; what another
// replica sees is that one's to end.
func (w *Watch) recovered(ctx context.Context, name string, s *sighted) error {
	raised, what := s.raised, Exceeded+"."+name
	var open store.Rec[Task]
	find := func(tx *store.Tx) (err error) {
		open, err = tasks.First(tx, openTask(what, name))
		return err
	}
	if err := w.Room.DB.View(ctx, find); err != nil {
		if fault.Of(err) == fault.NotFound {
			s.raised = false
			return nil
		}
		return err
	}
	if open.Value.Owner != "" || !raised && !open.Value.OpenedAt.Before(w.began) {
		return nil
	}
	s.raised = false
	return w.Room.DB.Update(ctx, store.Act{By: byThreshold, Verb: "threshold.recovered"}, func(tx *store.Tx) error {
		if err := find(tx); err != nil || open.Value.Owner != "" {
			if err == nil || fault.Of(err) == fault.NotFound {
				err = store.ErrNothing
			}
			return err
		}
		if open.Value.Incident != "" {
			alert, err := findIncident(tx, open.Value.Incident)
			if err != nil {
				return err
			}
			if alert.Value.State == Watched {
				_, err = w.Room.recovered(tx, byThreshold, alert, s.well, "the figure is well again")
				return err
			}
		}
		_, err := w.Room.endTask(tx, open, TaskDropped, byThreshold, "recovered before anybody confirmed it")
		return err
	})
}

// Run looks with each tick until ctx ends.
func (w *Watch) Run(ctx context.Context, ticks <-chan time.Time) {
	for {
		if err := w.Look(ctx); err != nil && ctx.Err() == nil {
			w.Room.Log.Error("the thresholds could not be looked at; it is tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
	}
}
