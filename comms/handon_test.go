package comms

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"lifeline/store/storetest"
)

// Whoever cannot be reached at one address is tried at the next, on every channel of the update; when nobody who may speak for a site is reached, a
// person owes it to the customer, until an update gets through.
func TestNobodyIsSilentlyUnreached(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	ctx := context.Background()
	w.people(5,
		"Customer 0000,A-0000,Site 0000,S-0000,Owner 0000,owner,second0000@c0000.example,+12025500000,en,2022-04-01",
		"Customer 0001,A-0001,Site 0001,S-0001,Deputy,owner,deputy@c0001.example,,en,2022-04-01",
		"Customer 0002,A-0002,Site 0002,S-0002,Owner 0002,owner,second0002@c0002.example,+12025500002,en,2022-04-01")
	mail, sms := mails(), texts()
	broken := true
	mail.answer = func(_ context.Context, m Message, _ int) Outcome {
		gone := Outcome{State: Failed, Reason: "smtp 550 5.1.1 no such user", Gone: true}
		switch {
		case !broken:
		case strings.HasPrefix(m.To, "owner0002"): // refused for another reason: the address may be good
			return Outcome{State: Failed, Reason: "smtp 554 5.7.1 refused"}
		case strings.HasPrefix(m.To, "owner0003"), strings.HasPrefix(m.To, "owner0000"), strings.HasPrefix(m.To, "owner0001"):
			return gone
		}
		return Outcome{State: Sent}
	}
	sms.answer = func(_ context.Context, m Message, _ int) Outcome {
		if broken && !strings.HasSuffix(m.To, "4") { // only owner 4's phone works
			return Outcome{State: Failed, Reason: "twilio 30005 unknown number"}
		}
		return Outcome{State: Sent}
	}
	w.start(outbox(w.Room, mail, sms))
	update, notice := w.publish()
	reach := w.done(update)
	w.audit(update)
	ends := map[string]State{}
	for _, d := range w.deliveries(notice) {
		ends[d.Address] = d.State
	}
	for address, want := range map[string]State{"second0000@c0000.example": Sent, "second0002@c0002.example": Sent, "deputy@c0001.example": Sent, "owner0001@c0001.example": Failed, "owner0003@c0003.example": Failed} {
		if ends[address] != want {
			t.Errorf("%s ended as %q, want %q", address, ends[address], want)
		}
	}
	if was, other := w.mailbox("owner0000@c0000.example"), w.mailbox("owner0002@c0002.example"); !was.Bounced || other.Bounced {
		t.Errorf("who is gone is marked, who refused is not: %+v %+v", was, other)
	}
	if reach.UnreachedTotal != 2 { // the owners of 1 and 3; site 1 has a deputy
		t.Errorf("%d unreached: %+v", reach.UnreachedTotal, reach.Unreached)
	}
	outreachTo := func() (of []string) {
		t.Helper()
		if err := w.coverAll(ctx); err != nil {
			t.Fatal(err)
		}
		owed, _, err := w.Tasks(ctx, TaskQuery{Incident: w.incident, State: Open})
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range owed {
			var d UntoldSites
			if err := json.Unmarshal(task.Value.Detail, &d); err != nil || task.Value.What != Outreach || d.Reasons[NotTold] != 1 {
				t.Errorf("%+v %v", task.Value, err)
			}
			of = append(of, d.Sample...)
		}
		return of
	}
	if of := outreachTo(); len(of) != 1 || len(outreachTo()) != 1 {
		t.Errorf("outreach is owed to %v, want the customer of site 3 once", of)
	}
	broken = false
	w.publish(func(n *Notice) { n.Few = 1 }) // it waits for a person, and says nothing yet of whom it reaches
	if of := outreachTo(); len(of) != 1 {
		t.Errorf("outreach is owed to %v while the next update waits behind a stage", of)
	}
	update, _ = w.publish()
	w.done(update)
	if of := outreachTo(); len(of) != 0 {
		t.Errorf("outreach is owed to %v although the next update got through", of)
	}
}

// Whatever becomes of the messages, in whatever order, the board adds up to the audience.
func TestTheBoardAlwaysAddsUpToTheAudience(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.Policy.Retry.Most = 3
	w.Policy.Retry.Waits = w.Policy.Retry.Waits[:1]
	w.Policy.Retry.Waits[0] = 1
	more := []string{"Nobody known,N-1,Lonely,T-1,,,,,,"}
	for i := range 40 {
		more = append(more, fmt.Sprintf("Customer %04d,A-%04d,Site %04d,S-%04d,Owner %04d,owner,second%04d@c%04d.example,,en,2022-04-01", i, i, i, i, i, i, i))
	}
	w.people(60, more...)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := func(m Message, nth int) Outcome {
		r := rand.New(rand.NewPCG(seed, uint64(len(m.Delivery)+nth)*31+uint64(m.Delivery[len(m.Delivery)-7])))
		states := []State{Sent, Sent, Sent, Deferred, Failed, Failed, Unknown, Suppressed, Delivered}
		return Outcome{State: states[r.IntN(len(states))], Reason: "by chance", Gone: r.IntN(2) == 0, Ref: m.Delivery}
	}
	mail, sms := mails(), texts()
	mail.answer = func(_ context.Context, m Message, nth int) Outcome { return random(m, nth) }
	sms.answer = mail.answer
	w.start(outbox(w.Room, mail, sms))
	for range 3 {
		update, notice := w.publish()
		w.await("the end, adding up all the way", func() bool {
			reach := w.reach(update)
			if n := total(reach.States); n != reach.Audience.People {
				t.Errorf("%d people of %d on the board: %v", n, reach.Audience.People, reach.States)
			}
			return reach.Done
		})
		// Reports come late, twice and out of order.
		for key, d := range w.deliveries(notice) {
			if d.Channel != "" && d.Ref != "" {
				for _, s := range []State{Failed, Delivered, Sent} {
					if err := w.Callback(context.Background(), key, d.Ref, s, "a report"); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		w.done(update)
		reach := w.audit(update)
		if reach.UnreachedTotal != reach.States[Failed]+reach.States[Suppressed]+1 {
			t.Errorf("%d unreached of %v and a customer of whom nobody is known", reach.UnreachedTotal, reach.States)
		}
	}
}

func total(states map[State]int) (n int) {
	for _, of := range states {
		n += of
	}
	return n
}
