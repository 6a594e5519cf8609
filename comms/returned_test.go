package comms

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"sync"
	"testing"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// What comes back of a broadcast is recorded for the one that it was for, tried at the next address, and believed only from an address that we made.
func TestMailThatComesBack(t *testing.T) {
	towns(t, func(w *town) {
		w.people(4, "Customer 0000,A-0000,Site 0000,S-0000,Owner 0000,owner,second0000@c0000.example,+12025500000,en,2022-04-01")
		w.Returns = Returns{Local: "bounce", Domain: "vendor.example", Sign: func(purpose, subject string) string {
			sum := sha256.Sum256([]byte(purpose + "\x00" + subject))
			return subject + "." + base64.RawURLEncoding.EncodeToString(sum[:16])
		}}
		if err := w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error { // owner 1 has nothing but her mail
			_, err := w.OptOutNumber(tx, "+12025500001", "answered STOP")
			return err
		}); err != nil {
			w.Fatal(err)
		}
		mail := mails()
		var mu sync.Mutex
		back := map[string]string{} // by address: where it comes back to
		mail.answer = func(_ context.Context, m Message, _ int) Outcome {
			mu.Lock()
			defer mu.Unlock()
			back[m.To] = m.Return
			return Outcome{State: Sent, Ref: "250"}
		}
		update, notice := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
		w.start(outbox(w.Room, mail))
		w.done(update)
		at := func(address string) string {
			mu.Lock()
			defer mu.Unlock()
			return back[address]
		}
		take := func(to string, state State, gone bool) (Returned, error) {
			return w.TakeReport(context.Background(), Report{To: to, State: state, Reason: "returned 5.1.1", Gone: gone})
		}
		first, only, full, angry := "owner0000@c0000.example", "owner0001@c0001.example", "owner0002@c0002.example", "owner0003@c0003.example"
		seen := map[string]bool{}
		for _, a := range []string{first, only, full, angry} {
			if r := at(a); !strings.HasPrefix(r, "bounce+") || !strings.HasSuffix(r, "@vendor.example") || len(r)-len("@vendor.example") > 64 || seen[r] {
				w.Fatalf("mail to %s comes back to %q", a, r)
			}
			seen[at(a)] = true
		}
		for _, to := range []string{"", "bounce@vendor.example", "bounce+@vendor.example", at(first) + "x", strings.Replace(at(first), "vendor", "other", 1),
			at(first)[:60] + "aaaa", strings.Replace(at(first), "bounce", "support", 1)} {
			if _, err := take(to, Failed, true); to != at(first) && fault.Of(err) != fault.NotFound {
				w.Errorf("%q: %v", to, err)
			}
		}
		stale := at(first)
		if r, err := take(strings.ToUpper(stale), Failed, true); err != nil || !r.News || r.Address != first {
			w.Fatal(r, err)
		}
		w.await("the next address", func() bool { return at("second0000@c0000.example") != "" })
		w.done(update)
		if r, err := take(stale, Failed, true); fault.Of(err) != fault.NotFound { // the report comes again, and must not be taken for one on the new address
			w.Errorf("%+v, %v", r, err)
		}
		for range 2 { // the same report twice is one sign
			if _, err := take(at(only), Failed, true); err != nil {
				w.Fatal(err)
			}
		}
		if _, err := take(at(full), Failed, false); err != nil {
			w.Fatal(err)
		}
		if _, err := take(at(angry), Suppressed, false); err != nil {
			w.Fatal(err)
		}
		for address, want := range map[string]contacts.Address{first: {Bounced: true}, only: {}, full: {}, angry: {OptedOut: true}} {
			if got := w.mailbox(address); got.Bounced != want.Bounced || got.OptedOut != want.OptedOut {
				w.Errorf("%s: %+v", address, got)
			}
		}
		states := map[string]State{}
		for _, d := range w.deliveries(notice) {
			states[d.Address] = d.State
		}
		if states[only] != Failed || states[full] != Failed || states[angry] != Suppressed || states["second0000@c0000.example"] != Sent {
			w.Errorf("%v", states)
		}

		update, _ = w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
		w.done(update)
		if _, err := take(at(only), Failed, true); err != nil {
			w.Fatal(err)
		}
		if !w.mailbox(only).Bounced {
			w.Error("what bounced twice still counts as an address")
		}
		if _, err := take(at(full), Sent, false); fault.Of(err) != fault.Invalid {
			w.Error(err)
		}
	})
}

// mailbox is what a contact's record says of an address.
func (w *town) mailbox(address string) (a contacts.Address) {
	w.Helper()
	err := w.DB.View(context.Background(), func(tx *store.Tx) error {
		hits, err := w.Book.ByAddress(tx, ChannelEmail, address)
		if err != nil || len(hits) == 0 {
			return err
		}
		for _, e := range hits[0].Value.Emails {
			if strings.EqualFold(e.Value, address) {
				a = e
			}
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return a
}
