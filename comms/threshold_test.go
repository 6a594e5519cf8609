package comms

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// A queue that stands above its bound for as long as the threshold says pages within a minute, once, whoever looks; it proposes an incident; and it is over by itself
// once the queue has been well for a minute and nobody has taken it.
func TestAFigureOverItsThresholdPagesOnce(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	h.Policy.Thresholds = map[string]Threshold{
		"queue": {Metric: "queue_pages", Labels: map[string]string{"lane": "codes"}, Above: new(20.0), For: 30 * time.Second, Title: "Codes wait"},
		"gone":  {Metric: "nobody_measures_this", Above: new(0.0), Title: "Never"},
	}
	metrics := prometheus.NewRegistry()
	queue := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "queue_pages", Help: "x"}, []string{"lane", "kind"})
	metrics.MustRegister(queue)
	queue.WithLabelValues("codes", "a").Set(15)
	queue.WithLabelValues("codes", "b").Set(5)
	queue.WithLabelValues("broadcast", "a").Set(9000)
	here, there := &Watch{Room: h.Room, Gather: metrics}, &Watch{Room: h.Room, Gather: metrics}
	look := func(watches ...*Watch) (open []store.Rec[Task]) {
		t.Helper()
		for _, w := range watches {
			if err := w.Look(ctx); err != nil {
				t.Fatal(err)
			}
		}
		h.view(func(tx *store.Tx) (err error) {
			open, _, err = h.Family(tx, Exceeded, Open, "", 10)
			return err
		})
		return open
	}
	after := func(d time.Duration) { h.clock.Set(h.clock.Now().Add(d)) }
	if open := look(here, there); len(open) > 0 {
		t.Fatalf("just at the bound: %+v", open)
	}
	queue.WithLabelValues("codes", "b").Set(6)
	if open := look(here, there); len(open) > 0 {
		t.Fatalf("over it for no time: %+v", open)
	}
	after(WatchEvery)
	look(here, there)
	queue.WithLabelValues("codes", "b").Set(0) // a dent begins it anew
	look(here, there)
	queue.WithLabelValues("codes", "b").Set(600)
	look(here, there)
	after(2 * WatchEvery)
	open := look(here, there, here)
	if len(open) != 1 || open[0].Value.What != "threshold.queue" || !strings.Contains(open[0].Value.Title, "Codes wait: 615 (more than 20)") {
		t.Fatalf("%+v", open)
	}
	if p, ok := open[0].Value.Proposed(); !ok || p.Title != "Codes wait" || p.Source != FoundByMonitoring {
		t.Errorf("it proposes %+v", p)
	}
	if n := len(h.notices(templates.MsgDeadline)); n != 1 {
		t.Errorf("%d people's notices, wanted one", n)
	}
	alert, err := h.Incident(ctx, open[0].Value.Incident)
	if err != nil || alert.Value.State != Watched || alert.Value.AtStage() != RecordAlert || alert.Value.FoundBy != FoundByMonitoring {
		t.Errorf("the alert of it: %+v, %v", alert.Value, err)
	}

	queue.WithLabelValues("codes", "b").Set(1)
	look(here, there)
	after(59 * time.Second)
	if open := look(here, there); len(open) != 1 {
		t.Fatal("it ended before it had been well for a minute")
	}
	after(time.Second)
	if open := look(here, there); len(open) != 0 {
		t.Fatalf("%+v is still open", open)
	}
	ended, err := h.Task(ctx, open[0].ID)
	if err != nil || ended.Value.State != TaskDropped || !strings.Contains(ended.Value.Reason, "recovered before anybody confirmed it") {
		t.Errorf("%+v %v", ended.Value, err)
	}
	if alert, err = h.Incident(ctx, alert.ID); err != nil || alert.Value.State != Recovered || alert.Value.Stages[1].Lasted != 30 {
		t.Errorf("the alert has recovered after the 30 s that it was over: %+v, %v", alert.Value, err)
	}

	// What somebody has taken is hers to end; and what another process sees is that one's.
	queue.WithLabelValues("codes", "b").Set(600)
	look(here)
	after(time.Minute)
	open = look(here)
	if len(open) != 1 {
		t.Fatal("nothing was raised the second time")
	}
	if open[0].Value.Incident != alert.ID {
		t.Errorf("the same condition is noted twice, as %s and %s", alert.ID, open[0].Value.Incident)
	}
	queue.WithLabelValues("codes", "b").Set(1)
	look(there)
	after(2 * time.Minute)
	if len(look(there)) != 1 {
		t.Error("a replica ended what another sees")
	}
	newcomer := &Watch{Room: h.Room, Gather: metrics}
	look(newcomer)
	after(time.Minute)
	if len(look(newcomer)) != 0 {
		t.Error("what a process raised that is gone stays for ever")
	}
	queue.WithLabelValues("codes", "b").Set(600)
	look(here)
	after(time.Minute)
	open = look(here)
	if len(open) != 1 {
		t.Fatal("nothing was raised the third time")
	}
	if _, err := h.Take(ctx, "stf_ann", open[0].ID, 0); err != nil {
		t.Fatal(err)
	}
	queue.WithLabelValues("codes", "b").Set(1)
	look(here)
	after(time.Hour)
	if len(look(here)) != 1 {
		t.Error("it was ended under the hands of whoever took it")
	}
}

// Of a counter the growth counts, and a restart is no growth below 0.
func TestGrowthWithinATimeIsMeasured(t *testing.T) {
	var s sighted
	at := outbreak
	for i, step := range []struct{ value, grown float64 }{{100, 0}, {110, 10}, {150, 50}, {150, 50}, {155, 45}, {3, 3}, {4, 1}} {
		if got := s.grown(at.Add(time.Duration(i)*time.Minute), step.value, 3*time.Minute); got != step.grown {
			t.Errorf("look %d: %g, wanted %g", i, got, step.grown)
		}
	}
	p := DefaultPolicy()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	p.Thresholds = map[string]Threshold{"Big Name": {Metric: "not a metric", Title: ""}}
	err := p.Check()
	for _, field := range []string{"comms.thresholds.Big Name", ".metric", ".title"} {
		if fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}
