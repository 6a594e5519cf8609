package comms

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/storetest"
)

// ears count what an outbox says.
type ears struct {
	slog.Handler
	of string // how it begins
	n  atomic.Int64
}

func (h *ears) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, h.of) {
		h.n.Add(1)
	}
	return h.Handler.Handle(ctx, r)
}

func (h *ears) Enabled(context.Context, slog.Level) bool { return true }

func TestOneWordStopsBothReplicas(t *testing.T) {
	towns(t, func(w *town) {
		w.people(400) // four pages, two for each replica's workers
		senders := DefaultPolicy().Senders
		mail := mails()
		mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
			<-ctx.Done()
			return Outcome{State: Deferred, Reason: "cut short"} // to be sent again, were it not for the stop
		}
		update, notice := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
		var kills []func()
		var heard [2]*ears
		for i, room := range []*Room{w.Room, w.open(w.engine)} {
			heard[i] = &ears{Handler: slog.DiscardHandler, of: "a page is halted"}
			o := outbox(room, mail)
			o.Log = slog.New(heard[i])
			kills = append(kills, w.start(o))
		}
		under := func() int { n, _ := mail.counts(); return n }
		w.await("every worker to be under way", func() bool { return under() == 4*senders && !w.reach(update).Expanding })
		if err := w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error { return w.stop(tx, notice) }); err != nil {
			w.Fatal(err)
		}
		said := time.Now()
		w.await("the word to reach each page", func() bool { return heard[0].n.Load() == 2 && heard[1].n.Load() == 2 })
		w.Logf("both replicas were halted after %v", time.Since(said).Round(time.Millisecond))
		if stopHeard > time.Second { // of two seconds, the other is for reading the store while everybody writes
			w.Errorf("a worker asks every %v whether it is to stop", stopHeard)
		}
		for _, kill := range kills {
			kill()
		}
		if begun := under() - 4*senders; begun > 4 { // one of each page had its place in the window when the word came
			w.Errorf("%d were begun after the stop", begun)
		}
		last := mails()
		w.start(outbox(w.open(w.engine), last))
		w.start(outbox(w.open(w.engine), last))
		if reach := w.done(update); reach.States[Suppressed] != 800 || reach.Stopped == "" {
			w.Errorf("states %v, stopped %q", reach.States, reach.Stopped)
		}
		next, _ := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
		w.done(next)
		for _, m := range last.all() {
			if strings.HasPrefix(m.Delivery, "dlv_"+suffix(notice)+".") {
				w.Fatalf("%s was sent after the restart", m.Delivery)
			}
		}
		if _, of := last.counts(); of != 800 {
			w.Errorf("%d of the next update", of)
		}
	})
}

func TestAnExpansionGoesOnWhenTheStoreIsBack(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.people(2)
	update, _ := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
	mail := mails()
	o := outbox(w.Room, mail)
	log := &ears{Handler: slog.DiscardHandler, of: "the store is away"}
	o.Log = slog.New(log)
	w.engine.deaf.Store(true)
	w.start(o)
	w.await("the expander to find the store away", func() bool { return log.n.Load() > 0 })
	w.engine.deaf.Store(false)
	if reach := w.done(update); reach.States[Sent] != 4 { // well within the lease, at whose end the notice would be claimed anew
		t.Errorf("%v", reach.States)
	}
}
