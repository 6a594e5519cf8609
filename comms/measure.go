package comms

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeline/store"
)

// measures is what an outbox counts.
type measures struct {
	outcomes *prometheus.CounterVec   // channel, state, reason
	took     *prometheus.HistogramVec // channel
	made     *prometheus.CounterVec   // lane
	all      []prometheus.Collector

	last  [3]string          // the labels of what was settled last: while a broadcast runs they are those of the next one
	count prometheus.Counter // of these
}

func newMeasures(o *Outbox) *measures {
	m := &measures{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lifeline_outbox_outcomes_total",
			Help: "Attempts by what became of them. The reason is a class, not the peer's words."}, []string{"channel", "state", "reason"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "lifeline_outbox_send_seconds",
			Help: "How long one message took, made and sent.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10)}, []string{"channel"}),
		made: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lifeline_outbox_pages_total",
			Help: "Pages of deliveries that notices were expanded to."}, []string{"lane"}),
	}
	m.all = []prometheus.Collector{m.outcomes, m.took, m.made}
	for lane := range shares {
		window := o.window[lane]
		m.all = append(m.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "lifeline_outbox_unrecorded",
			Help: "Messages sent or under way whose outcome is not recorded.", ConstLabels: prometheus.Labels{"lane": lane}},
			func() float64 { return float64(len(window)) }))
		for _, channel := range sendable {
			queue := pageLane(lane, channel)
			m.all = append(m.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "lifeline_outbox_waiting_pages",
				Help: "Pages with something left to send, those under way and those waiting for a retry included.", ConstLabels: prometheus.Labels{"lane": queue}},
				func() float64 { return o.waiting(queue) }))
		}
	}
	return m
}

func (m *measures) register(to prometheus.Registerer) error {
	if to == nil {
		return nil
	}
	for _, c := range m.all {
		if err := to.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// waiting counts the open pages of a queue; -1 when the store does not answer.
func (o *Outbox) waiting(queue string) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	n := -1
	err := o.Room.DB.View(ctx, func(tx *store.Tx) (err error) {
		n, err = pages.Count(tx, store.Query{Index: "open", Equal: []any{queue}})
		return err
	})
	if err != nil {
		return -1
	}
	return float64(n)
}

// settled counts an attempt that is recorded. Only the settler calls it.
func (m *measures) settled(it item) {
	if it.channel == "" {
		return
	}
	labels := [3]string{it.channel, string(it.verdict.State), reasonClass(it.verdict.Reason)}
	if m.count == nil || labels != m.last {
		m.last, m.count = labels, m.outcomes.WithLabelValues(labels[:]...)
	}
	m.count.Inc()
}

// reasonClass makes one of a few words of a reason, so that a peer's words cannot make new series.
func reasonClass(reason string) string {
	reason = strings.ToLower(reason)
	if reason == "" {
		return ""
	}
	for _, c := range []struct{ in, class string }{
		{"gave up", "gave_up"}, {"smtp 4", "smtp_4xx"}, {"smtp 5", "smtp_5xx"}, {"twilio", "twilio"}, {"http 4", "http_4xx"}, {"http 5", "http_5xx"},
		{"connection lost", "connection_lost"}, {"timeout", "timeout"}, {"deadline exceeded", "timeout"}, {"canceled", "cut_short"}, {"tls", "tls"},
		{"dial", "connect"}, {"connect", "connect"}, {"bad address", "bad_address"}, {"claims ended", "parked"}, {"could not be made", "no_message"},
	} {
		if strings.Contains(reason, c.in) {
			return c.class
		}
	}
	return "other"
}
