package comms

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

// When no relay takes mail, two people may have those who wait told by text: exactly those, each once, also when mail comes back while it is under way; whoever
// has no phone still gets her mail, and the board adds up all the time.
func TestWhoWaitsForMailIsToldByText(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	ctx := context.Background()
	const owners = 130 // two pages with those who have no phone
	w.people(owners)
	w.Policy.Texting = Texting{Price: 0.01, Currency: "USD", Rate: 10}
	w.Policy.Retry.Waits, w.Policy.MailDown = []time.Duration{200 * time.Millisecond}, 30*time.Millisecond
	w.Policy.Retry.Most = 1_000_000
	var down atomic.Bool
	mail, sms := mails(), texts()
	mail.answer = func(_ context.Context, m Message, _ int) Outcome {
		if !down.Load() {
			return Outcome{State: Sent}
		}
		return Outcome{State: Deferred, Reason: "smtp 452 4.2.2 over quota"} // the relay can be spoken to, and takes nothing
	}
	w.start(outbox(w.Room, mail, sms))
	conflict := func(what string, err error) {
		t.Helper()
		if k := fault.Of(err); k != fault.Conflict && k != fault.Forbidden {
			t.Errorf("%s: %v", what, err)
		}
	}
	byMail := func(n *Notice) { n.Channels = []string{ChannelEmail, ChannelPage} }
	early, _ := w.publish(byMail)
	w.done(early)
	_, err := w.AskTexts(ctx, "stf_ann", early)
	conflict("while mail goes", err)

	down.Store(true)
	update, notice := w.publish(byMail)
	w.await("mail to be down", func() bool { return w.MailDown() != nil && !w.reach(update).Expanding })
	o, err := w.Instead(ctx, update)
	if err != nil || o.Waiting != 2*owners || o.People != owners || o.Segments < owners || o.Cost == "" || o.Seconds < owners/10 || o.AskedBy != "" {
		t.Fatalf("the offer: %+v, %v", o, err)
	}
	_, err = w.ApproveTexts(ctx, "stf_bo", update)
	conflict("a yes to what nobody asked for", err)
	if o, err = w.AskTexts(ctx, "stf_ann", update); err != nil || o.AskedBy != "stf_ann" || o.Begun {
		t.Fatalf("to ask: %+v, %v", o, err)
	}
	_, err = w.AskTexts(ctx, "stf_bo", update)
	conflict("asked twice", err)
	_, err = w.ApproveTexts(ctx, "stf_ann", update)
	conflict("one's own yes", err)
	if n, _ := sms.counts(); n != 0 {
		t.Errorf("%d texts before two people said yes", n)
	}
	if o, err = w.ApproveTexts(ctx, "stf_bo", update); err != nil || !o.Begun {
		t.Fatalf("to say yes: %+v, %v", o, err)
	}
	_, err = w.ApproveTexts(ctx, "stf_cy", update)
	conflict("a yes after it began", err)
	w.await("the first text", func() bool { n, _ := sms.counts(); return n > 0 })
	down.Store(false) // mail comes back while it is under way
	reach := w.done(update)
	if n := reach.ByChannel; reach.States[Sent] != 2*owners || n[ChannelSMS][Sent]+n[ChannelEmail][Sent] != 2*owners || n[ChannelEmail][Suppressed] != n[ChannelSMS][Sent] || n[ChannelEmail][Sent] < owners {
		t.Errorf("the board: %+v", reach)
	}
	told := map[string]string{}
	for _, d := range w.deliveries(notice) {
		if d.State == Suppressed && d.Reason != insteadSaid {
			t.Errorf("%+v", d)
		}
		if d.State != Sent {
			continue
		}
		who := d.Name
		if other := told[who]; other != "" {
			t.Errorf("%s is told at %s and %s", who, other, d.Address)
		}
		told[who] = d.Address
		if strings.HasPrefix(who, "Tech") != (d.Channel == ChannelEmail) && !strings.HasPrefix(who, "Owner") {
			t.Errorf("%s is told by %s", who, d.Channel)
		}
	}
	if len(told) != 2*owners || w.MailDown() != nil {
		t.Errorf("%d are told, and mail is down since %v", len(told), w.MailDown())
	}
	texted := reach.ByChannel[ChannelSMS][Sent]
	if n, _ := sms.counts(); n == 0 || n != texted {
		t.Errorf("%d texts, %d on the board", n, texted)
	}
	// Who got wrong words by text is corrected by text.
	if err := w.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error { // the town's updates are not counted on their incident
		in, m, err := incidents.Get(tx, w.incident)
		if err != nil {
			return err
		}
		in.LastUpdate = w.last
		return incidents.Put(tx, w.incident, in, m.Version)
	}); err != nil {
		t.Fatal(err)
	}
	fix, err := w.Retract(ctx, "stf_ann", update, "the figures were wrong")
	if err != nil {
		t.Fatal(err)
	}
	if reach := w.done(fix.ID); reach.ByChannel[ChannelSMS][Sent] != texted || reach.ByChannel[ChannelEmail][Sent] != 2*owners-texted {
		t.Errorf("the correction: %+v", reach)
	}
}
