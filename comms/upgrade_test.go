package comms

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"lifeline/store"
)

// release makes of this binary the one behind it: deliveries, rosters and pages have an index more, bodies of another schema, and what the one before has
// written is read as it must be. It is this one again when the test ends.
func (w *town) release() (older *atomic.Int64) {
	wasNotices, wasPages, wasRosters, wasRecords := notices, pages, rosters, records
	w.Cleanup(func() { notices, pages, rosters, records = wasNotices, wasPages, wasRosters, wasRecords })
	older = &atomic.Int64{}
	notices.Schema++
	pages.Schema++
	rosters.Schema++
	records.Schema++
	pages.Indexes = append([]store.Index{{Name: "channel", Fields: []store.Field{{Name: "channel", Type: store.Text}}}}, pages.Indexes...) // before the old one
	pages.Tuples = func(p Page) store.Tuples {
		all := store.Tuples{"channel": {p.Channel}}
		for name, tuple := range wasPages.Tuples(p) {
			all[name] = tuple
		}
		return all
	}
	rosters.Indexes = []store.Index{{Name: "page", Fields: []store.Field{{Name: "page", Type: store.Int}}}}
	rosters.Tuples = func(ro Roster) store.Tuples { return store.Tuples{"page": {ro.Page}} }
	records.Indexes = []store.Index{{Name: "state", Fields: []store.Field{{Name: "state", Type: store.Text}}}}
	records.Tuples = func(d Delivery) store.Tuples { return store.Tuples{"state": {string(d.State)}} }
	records.Older = func(schema int, body []byte) ([]byte, error) {
		older.Add(1)
		return body, nil
	}
	w.refilled = []store.Refilled{pages, rosters, records}
	return older
}

// A broadcast is half sent when its process is killed. The next release migrates what it finds and goes on: everybody is told, no more are told twice than were under
// way, and every count is right, those of the indexes that are new as well.
func TestAnUpgradeInTheMiddleOfABroadcast(t *testing.T) {
	towns(t, func(w *town) {
		const people, killedAt, putOff = 400, 300, 40
		w.people(people / 2)
		update, notice := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
		mail := mails()
		dies := &shutter{Engine: w.engine.Engine}
		answer := func(_ context.Context, m Message, nth int) Outcome {
			if nth == 1 && strings.Contains(m.To, "5@") { // such have a record of their own from then on
				return Outcome{State: Deferred, Reason: "smtp 451"}
			}
			return Outcome{State: Sent}
		}
		mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
			if n, _ := mail.counts(); n >= killedAt {
				dies.shut.Store(true)
			}
			return answer(ctx, m, nth)
		}
		kill := w.start(outbox(w.open(dies), mail))
		w.await("the moment to die", dies.shut.Load)
		kill()
		w.expire()
		recorded := 0
		for _, d := range w.deliveries(notice) {
			if d.State == Sent {
				recorded++
			}
		}
		if recorded == 0 || recorded == people {
			w.Fatalf("%d of %d are recorded as sent: the broadcast is not half sent", recorded, people)
		}
		before := townKinds()

		older := w.release()
		steps, err := store.Plan(context.Background(), w.engine, townKinds())
		if err != nil || len(steps) != 4 || !slices.ContainsFunc(steps, func(s string) bool { return strings.Contains(s, "delivery") && strings.Contains(s, "new indexes") }) {
			w.Errorf("the plan: %q, %v", steps, err)
		}
		w.Room = w.open(w.engine)
		if older.Load() == 0 {
			w.Error("nothing of the release before was read")
		}
		if board := w.audit(update); board.States[Sent] != recorded {
			w.Errorf("after the migration %d are sent, before %d", board.States[Sent], recorded)
		}
		mail.answer = answer
		w.start(outbox(w.Room, mail))
		if board := w.done(update); board.States[Sent] != people {
			w.Errorf("states %v", board.States)
		}
		n, of := mail.counts()
		if of != people || n-of > Window+putOff {
			w.Errorf("%d messages to %d of %d people", n, of, people)
		}
		w.Logf("killed with %d recorded as sent; %d of %d were told twice", recorded, n-of, of)
		if err := w.DB.View(context.Background(), func(tx *store.Tx) error {
			sent, err := records.Count(tx, store.Query{Index: "state", Equal: []any{string(Sent)}})
			if err != nil {
				return err
			}
			own, err := records.Count(tx, store.Query{})
			if err == nil && (sent != own || own == 0 || own == people) {
				w.Errorf("by the new index %d of %d are sent", sent, own)
			}
			first, err2 := rosters.Count(tx, store.Query{Index: "page", Equal: []any{1}})
			if err2 == nil && first != 1 {
				w.Errorf("by the new index %d rosters are of the first page", first)
			}
			return errors.Join(err, err2)
		}); err != nil {
			w.Error(err)
		}
		if _, err := store.Open(context.Background(), w.engine, store.Options{Keys: w.keys, Kinds: before, Clock: w.clock.Now}); err == nil || !strings.Contains(err.Error(), "newer Lifeline") {
			w.Errorf("the old release on the new one's data: %v", err)
		}
	})
}
