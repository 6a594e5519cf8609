package comms

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/storetest"
)

// leftOutTask is the open task for those whom a newer update leaves out; none: zero.
func (w *town) leftOutTask(update string) (d LeftOut) {
	w.Helper()
	err := w.DB.View(context.Background(), func(tx *store.Tx) error {
		for rec, err := range tasks.Scan(tx, openTask(OutreachLeftOut, update)) {
			if err != nil {
				return err
			}
			return json.Unmarshal(rec.Value.Detail, &d)
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return d
}

// A newer update by fewer channels and to fewer readers: whoever gets it gets no older word behind it on any channel, and whoever does not is on the board, with a
// task that ends once she is told.
func TestNobodyGetsAnOlderWordBehindANewerOne(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.people(4, "Customer 0004,A-0004,Site 0004,S-0004,Owner 0004,owner,,+12025500004,en,2022-04-01",
		"Customer 0000,A-0000,Site 0000,S-0000,Owner 0000,owner,second0000@c0000.example,+12025500000,en,2022-04-01")
	w.SignSubscription = func(subject string) string { return subject + ".signed" }
	w.subscribes(Subscribe{Channel: ChannelEmail, Address: "reader@far.example", Locale: "en"})
	mail, sms := mails(), texts()
	late := func(ctx context.Context, m Message, nth int) Outcome {
		if strings.Contains(m.Text, "Word 2") {
			return Outcome{State: Deferred, Reason: "451", Wait: time.Hour}
		}
		return Outcome{State: Sent, Ref: "SM" + m.To}
	}
	mail.answer, sms.answer = late, late
	w.start(outbox(w.Room, mail, sms))
	everywhere := func(n *Notice) {
		n.Audience, n.Channels = AudiencePublic, []string{ChannelEmail, ChannelSMS, ChannelPage}
	}
	narrow := func(n *Notice) { n.Channels = []string{ChannelEmail, ChannelPage} }

	zero, before := w.publish(everywhere)
	w.done(zero)
	first, notice := w.publish(everywhere)
	w.await("the first tries", func() bool { return w.reach(first).States[Deferred] == 10 })
	second, _ := w.publish(narrow)
	reach := w.done(first)
	if want := map[State]int{Superseded: 8, Suppressed: 2}; !maps.Equal(reach.States, want) || reach.UnreachedTotal != 2 || reach.Unreached[0].Reason != "email: no_address; sms: left_out" {
		t.Errorf("the older one: %v, want %v; %+v", reach.States, want, reach.Unreached)
	}
	if by := reach.ByChannel; by[ChannelSMS][Superseded] != 4 || by[ChannelSMS][Suppressed] != 1 || by[ChannelEmail][Superseded] != 8 || by[ChannelEmail][Suppressed] != 1 {
		t.Errorf("by channel: %v", by)
	}
	if reach := w.done(second); reach.States[Sent] != 8 || reach.States[Failed] != 1 {
		t.Errorf("the newer one: %v", reach.States)
	}
	w.await("the task", func() bool { return w.leftOutTask(first) == LeftOut{Update: 2, Newer: 3, People: 2} })

	for key, d := range w.deliveries(before) { // what comes back now goes to no further address with the oldest word
		if d.Channel == ChannelEmail && d.Address == "owner0000@c0000.example" {
			if err := w.Callback(context.Background(), key, d.Ref, Suppressed, "complained"); err != nil {
				t.Error(err)
			}
			if d := w.deliveries(before)[key]; d.State != Suppressed || d.Address != "owner0000@c0000.example" {
				t.Errorf("what came back: %+v", d)
			}
		}
	}
	for _, d := range w.deliveries(notice) {
		if d.open() {
			t.Errorf("%+v is still to be sent", d)
		}
	}

	third, _ := w.publish(everywhere)
	w.done(third)
	if got := w.leftOutTask(first); got.People != 0 {
		t.Errorf("everybody was told, and the task stays: %+v", got)
	}
}

// What makes nothing untrue, or goes to others, ends nothing.
func TestWhatLeavesTheOlderWordOnItsWay(t *testing.T) {
	was := Notice{Audience: AudiencePublic, Channels: []string{ChannelEmail, ChannelSMS}}
	w := newTown(t, storetest.Bolt(t))
	w.people(1)
	for name, c := range map[string]struct {
		u     func(*Update)
		ended bool
	}{
		"news by fewer channels": {func(*Update) {}, true},
		"no change":              {func(u *Update) { u.Statement.NoChange = true }, false},
		"said by a rule":         {func(u *Update) { u.Rule = RuleStep }, false},
		"for the page alone":     {func(u *Update) { u.PageOnly = true }, false},
		"a correction":           {func(u *Update) { u.Corrects = 1 }, false},
		"to partners":            {func(u *Update) { u.Statement.Audience = AudiencePartners }, false},
		"to a cohort":            {func(u *Update) { u.Statement.Audience = cohortAudience + "a" }, false},
		"no change, to all, by all": {func(u *Update) {
			u.Statement.NoChange, u.Statement.Audience, u.Statement.Channels = true, AudiencePublic, was.Channels
		}, true},
	} {
		_, notice := w.publish(func(n *Notice) { n.Audience, n.Channels = was.Audience, was.Channels })
		u := Update{Incident: w.incident, Number: 100, Statement: whole(outbreak)}
		u.Statement.Audience, u.Statement.Channels = AudienceAffected, []string{ChannelEmail}
		c.u(&u)
		err := w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error {
			n := Notice{Audience: u.Statement.Audience, Channels: u.outbound()}
			if err := w.supersede(tx, store.Rec[Update]{Meta: store.Meta{ID: updates.NewID()}, Value: u}, &n); err != nil {
				return err
			}
			old, _, err := notices.Get(tx, notice)
			if ended := old.State == StoppedHere; ended != c.ended || ended != !n.Place.IsZero() || ended && !n.Place.Before(old.Place) {
				t.Errorf("%s: %+v; its place is %s", name, old, n.Place)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
