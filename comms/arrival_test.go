package comms

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/templates"
)

// note lets the duty go on until it finds nothing more.
func (w *town) note() {
	w.Helper()
	ctx := context.Background()
	if err := w.beginRounds(ctx); err != nil {
		w.Fatal(err)
	}
	if err := w.noteArrivals(ctx, func(*store.Tx) error { return nil }); err != nil {
		w.Fatal(err)
	}
}

// arrived is what the book knows of all addresses, and at which versions its contacts stand.
func (w *town) arrived() (all map[string]contacts.Arrival, versions map[string]int64) {
	w.Helper()
	err := w.DB.View(context.Background(), func(tx *store.Tx) error {
		all, versions = map[string]contacts.Arrival{}, map[string]int64{}
		for rec, err := range w.Book.AllContacts(tx) {
			if err != nil {
				return err
			}
			last, err := w.Book.Arrivals(tx, rec.Value.Account)
			if err != nil {
				return err
			}
			versions[rec.ID] = rec.Version
			for channel, addresses := range map[string][]contacts.Address{ChannelEmail: rec.Value.Emails, ChannelSMS: rec.Value.Phones} {
				for _, a := range addresses {
					if at := last.At(rec.ID, channel, a.Value); !at.At.IsZero() {
						all[a.Value] = at
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return all, versions
}

// What relays and providers said of each address is noted behind the broadcast, once a day, and not on the contacts.
func TestWhenAMessageLastGotToEachAddress(t *testing.T) {
	const customers = 60 // 180 deliveries: more than one batch
	towns(t, func(w *town) {
		w.people(customers)
		mail, sms := mails(), texts()
		mail.answer = func(_ context.Context, m Message, _ int) Outcome {
			if strings.HasPrefix(m.To, "tech0001@") {
				return Outcome{State: Failed, Reason: "smtp 550 5.7.1"}
			}
			return Outcome{State: Sent}
		}
		sms.answer = func(_ context.Context, m Message, _ int) Outcome { return Outcome{State: Sent, Ref: "SM" + m.To} }
		w.start(outbox(w.Room, mail, sms))
		update, notice := w.publish()
		w.done(update)
		for key, d := range w.deliveries(notice) {
			if d.Address == "+12025500000" || d.Address == "+12025500059" {
				if err := w.Callback(context.Background(), key, "SM"+d.Address, Delivered, ""); err != nil {
					w.Fatal(err)
				}
			}
		}
		w.note()
		got, before := w.arrived()
		if len(got) != 0 {
			w.Errorf("noted while reports come: %v", got)
		}

		w.clock.Turn(reportsCome)
		w.note()
		want := map[string]contacts.Arrival{"+12025500000": {At: outbreak}, "+12025500059": {At: outbreak}}
		for i := range customers {
			for _, who := range []string{"owner", "tech"} {
				if address := fmt.Sprintf("%s%04d@c%04d.example", who, i, i); address != "tech0001@c0001.example" {
					want[address] = contacts.Arrival{At: outbreak, Accepted: true}
				}
			}
		}
		got, after := w.arrived()
		if !maps.Equal(got, want) {
			w.Errorf("%d addresses, want %d: %v", len(got), len(want), got)
		}
		if !maps.Equal(before, after) {
			w.Error("the contacts were written")
		}

		// Somebody writes to an address, whoever has it: within the day that says nothing new.
		direct := func() {
			w.Helper()
			id := ""
			err := w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) (err error) {
				id, err = w.tell(tx, Notice{Lane: LaneDirect, Name: templates.MsgDeadline, Data: []byte(`{}`),
					To: []Direct{{Channel: ChannelEmail, Address: "Owner0002@c0002.example", Locale: "en"}, {Channel: ChannelEmail, Address: "stranger@else.example", Locale: "en"}}})
				return err
			})
			if err != nil {
				w.Fatal(err)
			}
			w.await("the message to one", func() (done bool) {
				err := w.DB.View(context.Background(), func(tx *store.Tx) error {
					n, _, err := notices.Get(tx, id)
					done = !n.DoneAt.IsZero()
					return err
				})
				return err == nil && done
			})
			w.clock.Turn(reportsCome)
			w.note()
		}
		direct()
		if got, _ := w.arrived(); !maps.Equal(got, want) {
			w.Errorf("noted again within a day: %v", got)
		}
		w.clock.Turn(day)
		at := w.clock.Now()
		direct()
		want["owner0002@c0002.example"] = contacts.Arrival{At: at, Accepted: true}
		if got, _ := w.arrived(); !maps.Equal(got, want) {
			w.Errorf("%v", got)
		}
	})
}

// The walk waits for whoever is under way, but not for ever, and a report opens a notice again.
func TestWhichNoticesAreNoted(t *testing.T) {
	now := outbreak.Add(10 * day)
	for name, c := range map[string]struct {
		n    Notice
		want bool
	}{
		"just written":        {Notice{CreatedAt: now}, false},
		"under way":           {Notice{CreatedAt: now.Add(-2 * day)}, false},
		"given up waiting":    {Notice{CreatedAt: now.Add(-3 * day)}, true},
		"done this minute":    {Notice{CreatedAt: now.Add(-day), DoneAt: now.Add(-time.Minute)}, false},
		"done an hour ago":    {Notice{CreatedAt: now.Add(-day), DoneAt: now.Add(-time.Hour)}, true},
		"long done and young": {Notice{CreatedAt: now.Add(-time.Hour), DoneAt: now.Add(-time.Hour)}, true},
	} {
		if got := c.n.reported(now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatSaysThatAMessageGotThere(t *testing.T) {
	const id = "dlv_n.1.a.c.e.0"
	for _, c := range []struct {
		d            Delivery
		ok, accepted bool
	}{
		{Delivery{Channel: ChannelEmail, State: Sent}, true, true},
		{Delivery{Channel: ChannelEmail, State: Delivered}, true, false},
		{Delivery{Channel: ChannelSMS, State: Delivered}, true, false},
		{Delivery{Channel: ChannelSMS, State: Sent}, false, false},
		{Delivery{Channel: ChannelEmail, State: Written}, false, false},
		{Delivery{Channel: ChannelEmail, State: Unknown}, false, false},
		{Delivery{Channel: ChannelEmail, State: Failed}, false, false},
	} {
		a, ok, err := arrivalOf(id, c.d)
		if err != nil || ok != c.ok || a.Accepted != c.accepted || ok && a.contact != "con_c" {
			t.Errorf("%+v: %+v %v %v", c.d, a, ok, err)
		}
	}
	if a, ok, err := arrivalOf("dlv_n.1.0.0003.e.0", Delivery{Channel: ChannelEmail, State: Sent}); err != nil || !ok || a.contact != "" {
		t.Errorf("an address that a notice names: %+v %v", a, err)
	}
}
