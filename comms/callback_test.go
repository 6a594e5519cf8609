package comms

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"lifeline/store"
	"lifeline/store/fault"
)

// TestReportsThatComeTogetherAreWrittenTogether: whoever reports while others are written is answered with what became of her own report, the page is
// written once for all of them, and one that is about nothing holds up nobody.
func TestReportsThatComeTogetherAreWrittenTogether(t *testing.T) {
	towns(t, func(w *town) {
		w.people(20)
		update, notice := w.publish(func(n *Notice) { n.Channels = []string{ChannelSMS} })
		w.start(outbox(w.Room, texts()))
		w.done(update)
		ctx := context.Background()
		all := w.deliveries(notice)
		sent := map[string]Delivery{}
		maps.Copy(sent, all)
		maps.DeleteFunc(sent, func(_ string, d Delivery) bool { return d.State != Sent })
		if len(sent) < 20 {
			w.Fatalf("%d texts", len(sent))
		}
		versions := func() (sum int64) {
			err := w.DB.View(ctx, func(tx *store.Tx) error {
				sum = 0
				for rec, err := range pages.Scan(tx, store.Query{Prefix: "pag_" + suffix(notice) + "."}) {
					if err != nil {
						return err
					}
					sum += rec.Version
				}
				return nil
			})
			if err != nil {
				w.Fatal(err)
			}
			return sum
		}
		// together gives reports while somebody writes, each of which must be answered once she is done.
		together := func(keys []string, state State, last string) map[string]error {
			w.Helper()
			w.callbacks.join(&callback{})
			w.callbacks.take()
			answers := make([]error, len(keys))
			var given sync.WaitGroup
			for i, key := range keys {
				given.Go(func() { answers[i] = w.Callback(ctx, key, sent[key].Ref, state, last) })
			}
			w.await("every report to wait", func() bool {
				w.callbacks.mu.Lock()
				defer w.callbacks.mu.Unlock()
				return len(w.callbacks.waiting) == len(keys)
			})
			w.callbacks.handOn(nil, nil)
			given.Wait()
			by := map[string]error{}
			for i, key := range keys {
				by[key] = answers[i]
			}
			return by
		}
		was := versions()
		keys := slices.Sorted(maps.Keys(sent))
		for key, err := range together(keys, Delivered, "") {
			if err != nil {
				w.Errorf("%s: %v", key, err)
			}
		}
		if wrote := versions() - was; wrote != 1 {
			w.Errorf("the page was written %d times for %d reports", wrote, len(keys))
		}
		if got := w.reach(update).States[Delivered]; got != len(keys) {
			w.Errorf("%d of %d were delivered", got, len(keys))
		}
		absent, _ := parseKey(keys[0])
		absent.Contact = "zz"
		for key, err := range together(append(keys[:3:3], absent.String()), Failed, "twilio 30003 unreachable") { // late, but for one that is about nothing
			if want := key == absent.String(); want != (fault.Of(err) == fault.NotFound) || !want && err != nil {
				w.Errorf("%s: %v", key, err)
			}
		}
		w.audit(update)
		if n := len(w.callbacks.waiting); n > 0 || w.callbacks.writing {
			w.Errorf("%d reports are left, somebody writes: %t", n, w.callbacks.writing)
		}
	})
}
