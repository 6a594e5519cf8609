package comms

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

func TestARosterReadsAsItWasWritten(t *testing.T) {
	at := time.Date(2022, 4, 5, 7, 38, 0, 0, time.UTC)
	k := deliveryKey{Notice: "n1", Pass: 2, Account: "a1", Contact: "c1", Channel: ChannelSMS}
	next := func(account, contact string) deliveryKey {
		k := k
		k.Account, k.Contact = account, contact
		return k
	}
	rows := []row{
		{key: k, Delivery: Delivery{Address: "+12025550001", Name: "Ann Lee", Locale: "ja", State: Queued, Sites: []string{"sit_1", "sit_2"}}},
		{key: next("a1", "c2"), Delivery: Delivery{Locale: "en", State: Failed, Reason: "no_address"}},
		{key: next("a2", "c1"), Delivery: Delivery{Address: "+12025550002", Name: strings.Repeat("名", 200), Locale: "zh-CN", State: Suppressed, Reason: "opted_out", Sites: []string{"sit_3"}}},
	}
	rows[2].key.Number = 300
	ro := Roster{Page: 7, From: rows[0].key.String(), At: at, Rows: encodeRows(rows)}
	got, err := ro.rows()
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		rows[i].id = rows[i].key.String()
		rows[i].Page, rows[i].Channel, rows[i].At = 7, ChannelSMS, at
	}
	if !reflect.DeepEqual(got, rows) {
		t.Errorf("read %+v\nwrote %+v", got, rows)
	}
	for n := 1; n < len(ro.Rows); n++ { // cut anywhere it is damaged, or holds fewer rows; never more, and nothing panics
		cut := Roster{From: ro.From, Rows: ro.Rows[:n]}
		if got, err := cut.rows(); err == nil && len(got) >= len(rows) {
			t.Errorf("cut at %d it reads as %d rows", n, len(got))
		}
	}
}

func TestFatesReadAsTheyWereWritten(t *testing.T) {
	at := time.Date(2022, 4, 5, 7, 38, 0, 123_000, time.UTC)
	sent := func(row int, ref string) noted {
		return noted{row, fate{State: Sent, Attempts: 1, Ref: ref, At: at}}
	}
	p := Page{Listed: 5}
	p.Fates = appendFates(p.Fates, []noted{sent(0, "2.0.0 Ok: queued as 4F1"), sent(3, "2.0.0 Ok: queued as 4F2"), {1, fate{State: apart, At: at}}})
	p.Fates = appendFates(p.Fates, []noted{{3, fate{State: Failed, Reason: "smtp 550 5.1.1", Attempts: 1, Ref: "x", At: at.Add(time.Hour)}}, sent(4, "")})
	want := []fate{sent(0, "2.0.0 Ok: queued as 4F1").fate, {State: apart, At: at}, {}, {State: Failed, Reason: "smtp 550 5.1.1", Attempts: 1, Ref: "x", At: at.Add(time.Hour)}, sent(4, "").fate}
	got, err := p.fates()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v\nwrote %+v", got, err, want)
	}
	for n := 1; n < len(p.Fates); n++ {
		cut := Page{Listed: 5, Fates: p.Fates[:n]}
		if _, err := cut.fates(); err != nil && fault.Of(err) != fault.Internal {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	if _, err := (Page{Listed: 3, Fates: p.Fates}).fates(); err == nil {
		t.Error("a fate of somebody who is not on the roster is taken")
	}
}

// TestDeliveriesAreFoundWhereverTheyStand compares each way to a delivery, whether it has a record of its own or not.
func TestDeliveriesAreFoundWhereverTheyStand(t *testing.T) {
	towns(t, func(w *town) {
		w.people(130)
		mail := mails()
		mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
			switch {
			case nth == 1 && strings.Contains(m.To, "7@"):
				return Outcome{State: Deferred, Reason: "smtp 451 later"}
			case strings.Contains(m.To, "8@"):
				return Outcome{State: Failed, Reason: "smtp 554 no"}
			}
			return Outcome{State: Sent, Ref: "queued as " + m.To}
		}
		update, notice := w.publish()
		w.start(outbox(w.Room, mail, texts()))
		w.done(update)
		all := w.deliveries(notice)
		keys := slices.Sorted(maps.Keys(all))
		own := 0
		w.read(func(tx *store.Tx) error {
			for range records.Scan(tx, under("dlv_"+suffix(notice)+".").query()) {
				own++
			}
			for _, key := range keys {
				d, _, err := deliveries.Get(tx, key)
				if err != nil || !reflect.DeepEqual(d, all[key]) {
					w.Fatalf("%s reads as %+v, %v; the walk says %+v", key, d, err, all[key])
				}
			}
			at := len(keys) / 2
			k, _ := parseKey(keys[at])
			for _, s := range []span{under(k.person()), under(k.account()), {keys[at] + "\x00", keys[at+9]}, {k.account(), under(k.pass()).to}, {keys[at], "dlv_" + k.Notice + "/"}} {
				var want, got []string
				for _, key := range keys {
					if key >= s.from && key < s.to {
						want = append(want, key)
					}
				}
				for rec, err := range deliveries.Scan(tx, s) {
					if err != nil {
						return err
					}
					got = append(got, rec.ID)
				}
				if len(want) == 0 || !slices.Equal(got, want) {
					w.Errorf("from %s to %s: %d deliveries, want %d in their order", s.from, s.to, len(got), len(want))
				}
			}
			k.Contact = "0"
			if _, _, err := deliveries.Get(tx, k.String()); fault.Of(err) != fault.NotFound {
				w.Errorf("a delivery to nobody: %v", err)
			}
			return nil
		})
		if own != 26 { // those whose first try was put off
			w.Errorf("%d of %d deliveries have a record of their own", own, len(all))
		}
		if d := all[keys[0]]; d.State != Sent || d.Attempts != 1 || !strings.HasPrefix(d.Ref, "queued as ") || d.Address == "" || len(d.Sites) != 1 {
			w.Errorf("one that a page speaks for: %+v", d)
		}
	})
}

// TestABroadcastOfTheOlderLayoutFinishes sends what an earlier release wrote down, a record for each delivery, and dies on the way.
func TestABroadcastOfTheOlderLayoutFinishes(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.people(120)
	update, notice := w.publish()
	o := outbox(w.Room)
	o.ready()
	m, ok, err := o.claim(context.Background(), notices.Name, lanes)
	if err != nil || !ok {
		w.Fatal(ok, err)
	}
	if err := o.expand(context.Background(), m); err != nil {
		w.Fatal(err)
	}
	w.asBefore()

	mail, dies := mails(), &shutter{Engine: w.engine.Engine}
	mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
		if n, _ := mail.counts(); n >= 70 {
			dies.shut.Store(true)
		}
		return Outcome{State: Sent, Ref: m.To}
	}
	sms := texts()
	kill := w.start(outbox(w.open(dies), mail, sms))
	w.await("the moment to die", dies.shut.Load)
	kill()
	w.expire()
	mail.answer = nil
	w.start(outbox(w.Room, mail, sms))
	reach := w.done(update)
	if want := map[State]int{Sent: 240}; !maps.Equal(reach.States, want) || reach.ByChannel[ChannelSMS][Sent] != 120 {
		w.Errorf("states %v, %v", reach.States, reach.ByChannel)
	}
	if n, of := mail.counts(); of != 240 || n-of > Window {
		w.Errorf("%d mails to %d people", n, of)
	}
	for key, d := range w.deliveries(notice) {
		if d.Channel == ChannelSMS && d.State == Sent {
			if err := w.Callback(context.Background(), key, d.Ref, Delivered, ""); err != nil {
				w.Error(err)
			}
			break
		}
	}
	if reach := w.audit(update); reach.States[Delivered] != 1 {
		w.Errorf("after a report %v", reach.States)
	}
}

// asBefore writes rosters as releases before them did.
func (w *town) asBefore() {
	w.Helper()
	older := pages
	older.Schema = 1
	err := w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error {
		for rec, err := range rosters.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			rows, err := rec.Value.rows()
			if err != nil {
				return err
			}
			for _, r := range rows {
				if err := records.PutKnown(tx, store.Meta{ID: r.id}, r.Delivery); err != nil {
					return err
				}
			}
			if err := rosters.Delete(tx, rec.ID, rec.Version); err != nil {
				return err
			}
		}
		for rec, err := range pages.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if rec.Value.Listed == 0 {
				return fmt.Errorf("page %s has no roster", rec.ID)
			}
			rec.Value.Listed = 0
			if err := older.Put(tx, rec.ID, rec.Value, rec.Version); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *town) read(fn func(*store.Tx) error) {
	w.Helper()
	if err := w.DB.View(context.Background(), fn); err != nil {
		w.Fatal(err)
	}
}

// Get reads one delivery. Its Version is 0 when it is on a roster.
func (delivered) Get(tx *store.Tx, key string) (Delivery, store.Meta, error) {
	d, err := findDelivery(tx, key, func(id string) (Page, []fate, error) {
		p, _, err := pages.Get(tx, id)
		if err != nil {
			return p, nil, err
		}
		all, err := p.fates()
		return p, all, err
	})
	if err != nil {
		return Delivery{}, store.Meta{}, err
	}
	return d.Delivery, d.meta, nil
}
