package comms

import (
	"context"
	"maps"
	"testing"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// Who answers STOP is sent nothing more at that number, and is told at the next one that she has.
func TestAnOptedOutNumber(t *testing.T) {
	const stop = "twilio 21610 opted out"
	towns(t, func(w *town) {
		w.people(5,
			"Customer 0000,A-0000,Site 0000,S-0000,Owner 0000,owner,owner0000@c0000.example,+12025590000,en,2022-04-01",
			"Customer 0001,A-0001,Site 0001,S-0001,Owner 0001,owner,owner0001@c0001.example,+12025590001,en,2022-04-01",
			"Customer 0002,A-0002,Site 0002,S-0002,Owner 0002,owner,owner0002@c0002.example,+12025590002,en,2022-04-01")
		sms := texts()
		hold := make(chan struct{})
		sms.answer = func(ctx context.Context, m Message, nth int) Outcome {
			switch m.To {
			case "+12025500000": // the provider refuses it at once
				return Outcome{State: Suppressed, Reason: stop}
			case "+12025500004":
				select {
				case <-hold:
				case <-ctx.Done():
				}
			}
			return Outcome{State: Sent, Ref: "SM" + m.To}
		}
		update, notice := w.publish(func(n *Notice) { n.Channels = []string{ChannelSMS} })
		w.start(outbox(w.Room, sms))
		at := func(address string) (key string, d Delivery) {
			for key, d := range w.deliveries(notice) {
				if d.Address == address {
					return key, d
				}
			}
			return "", Delivery{}
		}
		sent := func(address string) {
			w.Helper()
			w.await("a text to "+address, func() bool { _, d := at(address); return d.State == Sent })
		}
		report := func(key, address string) {
			w.Helper()
			if err := w.Callback(context.Background(), key, "SM"+address, Suppressed, stop); err != nil {
				w.Error(err)
			}
		}
		// While the page is worked on: one was refused at once, of another the report comes later.
		sent("+12025500001")
		first, _ := at("+12025500001")
		report(first, "+12025500001")
		close(hold)
		sent("+12025590000")
		sent("+12025590001")
		w.done(update)

		// Once all is done: a report opens the page again, and another of the same message opens nothing.
		second, _ := at("+12025500002")
		report(second, "+12025500002")
		sent("+12025590002")
		report(second, "+12025500002")
		report(first, "+12025500001")
		third, _ := at("+12025500003") // has no other number
		report(third, "+12025500003")
		reach := w.done(update)
		if want := map[State]int{Sent: 4, Suppressed: 1, Failed: 5}; !maps.Equal(reach.States, want) {
			w.Errorf("states %v, want %v", reach.States, want)
		}
		if d := w.deliveries(notice)[third]; d.Reason != stop {
			w.Errorf("%+v", d)
		}
		if n, of := sms.counts(); n != 8 || of != 5 {
			w.Errorf("%d texts of %d deliveries", n, of)
		}
		for number, out := range map[string]bool{
			"+12025500000": true, "+12025500001": true, "+12025500002": true, "+12025500003": true, "+12025500004": false,
			"+12025590000": false, "+12025590001": false, "+12025590002": false,
		} {
			if got := w.phone(number); got.OptedOut != out || out && got.OptOutReason != stop {
				w.Errorf("%s: %+v", number, got)
			}
		}
		if err := w.Callback(context.Background(), first, "SM1", Deferred, ""); fault.Of(err) != fault.Invalid {
			w.Error(err)
		}
	})
}

// phone is what a contact's record says of a number that one contact has.
func (w *town) phone(number string) (a contacts.Address) {
	w.Helper()
	err := w.DB.View(context.Background(), func(tx *store.Tx) error {
		hits, err := w.Book.ByAddress(tx, ChannelSMS, number)
		if err != nil {
			return err
		}
		for _, hit := range hits {
			for _, p := range hit.Value.Phones {
				if p.Value == number {
					a = p
				}
			}
		}
		return nil
	})
	if err != nil || a.Value == "" {
		w.Fatalf("%s: %v", number, err)
	}
	return a
}
