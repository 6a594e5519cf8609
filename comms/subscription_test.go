package comms

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/storetest"
	"lifeline/templates"
)

// asks asks for a subscription, and the address whether that is so.
func (w *town) asks(in Subscribe) {
	w.Helper()
	if err := w.AskSubscription(context.Background(), in); err != nil {
		w.Fatal(err)
	}
	if _, err := w.AnswerSubscriptions(context.Background()); err != nil {
		w.Fatal(err)
	}
}

// subscribes asks for a subscription and presses its button.
func (w *town) subscribes(in Subscribe) (subject string) {
	w.Helper()
	ctx := context.Background()
	w.asks(in)
	subject = w.subject(in.Channel, strings.ToLower(in.Address))
	if err := w.KeepSubscription(ctx, subject, Wanted{Components: in.Components, Incident: in.Incident}); err != nil {
		w.Fatal(err)
	}
	return subject
}

// subject is that of an address's subscription; "" when there is none.
func (w *town) subject(channel, address string) (subject string) {
	w.Helper()
	err := w.DB.View(context.Background(), func(tx *store.Tx) error {
		rec, err := subscriptions.First(tx, store.Query{Index: "address", Equal: []any{channel, address}})
		subject = suffix(rec.ID)
		if fault.Of(err) == fault.NotFound {
			subject = ""
			return nil
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return subject
}

// Everybody who subscribed is told what is public, once, behind the customers: in her language, on what she chose, and with a way to end it.
func TestSubscribersAreToldWhatIsPublic(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.SignSubscription = func(subject string) string { return subject + ".signed" }
	w.Policy.Components = []ComponentPolicy{{Name: "Wiki"}, {Name: "Billing"}}
	wiki, billing := componentID("", "Wiki"), componentID("", "Billing")
	w.people(2)
	ctx := context.Background()
	ask := func(address string, components ...string) Subscribe {
		return Subscribe{Channel: ChannelEmail, Address: address, Locale: "ja", Components: components}
	}
	all := w.subscribes(ask("all@reader.example"))
	w.subscribes(ask("wiki@reader.example", wiki))
	w.subscribes(ask("billing@reader.example", billing))
	w.subscribes(ask("owner0001@c0001.example"))                          // who is told as a contact is not told twice
	w.subscribes(Subscribe{Channel: ChannelSMS, Address: "+12025557777"}) // not on a channel of the update
	w.asks(ask("silent@reader.example"))                                  // never pressed the button
	if c, err := w.CountAudience(ctx, w.incident, AudiencePublic, []string{ChannelEmail}); err != nil || c.People != 4+4 {
		t.Errorf("the audience counts %d people, %v", c.People, err)
	}
	if c, err := w.CountAudience(ctx, w.incident, AudienceAffected, []string{ChannelEmail}); err != nil || c.People != 4 {
		t.Errorf("the affected count %d people, %v", c.People, err)
	}
	public := func(n *Notice) { n.Audience, n.Channels = AudiencePublic, []string{ChannelEmail} }
	update, notice := w.publish(public)
	mail := mails()
	w.start(outbox(w.Room, mail))
	if reach := w.done(update); reach.Audience.People != 6 || reach.States[Sent] != 6 {
		t.Errorf("the board: %+v", reach)
	}
	told := map[string]Message{}
	for _, m := range mail.all() {
		if strings.HasSuffix(m.To, "@reader.example") && m.List != "" {
			told[m.To] = m
		}
	}
	if len(told) != 2 {
		t.Errorf("told %v", told)
	}
	for _, address := range []string{"all@reader.example", "wiki@reader.example"} {
		m := told[address]
		page := "https://status.vendor.example/s/" + w.subject(ChannelEmail, address) + ".signed"
		if m.Locale != "ja" || !strings.Contains(m.Text, "\n"+page+"\n") || !strings.Contains(m.HTML, `href="`+page+`"`) || m.Unsub != page+"/stop" || m.List == "" {
			t.Errorf("%s got %+v", address, m)
		}
	}
	for key, d := range w.deliveries(notice) {
		if k, err := parseKey(key); err != nil || strings.HasSuffix(d.Address, "@reader.example") != (k.Pass == passSubscribers) {
			t.Errorf("%s: %s, %v", key, d.Address, err)
		}
	}
	for _, m := range mail.all() {
		if strings.HasSuffix(m.To, ".example") && strings.HasPrefix(m.To, "owner") && (m.Unsub != "" || strings.Contains(m.Text, "/s/")) && m.List != "" {
			t.Errorf("a contact was told as a subscriber: %+v", m)
		}
	}

	// What is for the affected alone goes to no subscriber, and who ended it gets nothing, also after a restore from before that.
	if err := w.EndSubscription(ctx, all); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Subscription(ctx, all); fault.Of(err) != fault.NotFound {
		t.Errorf("it can still be read: %v", err)
	}
	if err := w.EndSubscription(ctx, all); err != nil {
		t.Errorf("to end it twice: %v", err)
	}
	update, _ = w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
	if reach := w.done(update); reach.Audience.People != 4 {
		t.Errorf("the affected's board: %+v", reach)
	}
	corrected, _ := w.publish(public, func(n *Notice) { n.Only = notice })
	if reach := w.done(corrected); reach.Audience.People != 5 { // the wrong words reached six
		t.Errorf("the correction's board: %+v", reach)
	}
	if update, _ = w.publish(public); w.done(update).Audience.People != 5 {
		t.Errorf("the board after one ended: %+v", w.reach(update))
	}
	err := w.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		facts, err := tx.WaitingFacts()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(facts, func(f store.Fact) bool { return f.What == factUnsubscribed })
		if i < 0 {
			t.Fatal("the end is not in the journal")
		}
		if err := subscriptions.Put(tx, facts[i].Of, Subscription{Channel: ChannelEmail, Address: "all@reader.example", ConfirmedAt: tx.Now()}, 0); err != nil { // as a restore does
			return err
		}
		done, err := Applies()[factUnsubscribed](tx, facts[i], func(string) bool { return true })
		if !done {
			t.Error("the end does not hold again")
		}
		return err
	})
	if err != nil || w.subject(ChannelEmail, "all@reader.example") != "" {
		t.Errorf("the subscription came back: %v", err)
	}
}

// Anybody may name any address: it is asked little, told nothing before its button is pressed, and who names it learns nothing.
func TestAnAddressIsAskedLittleAndNothingIsLearntOfIt(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.SignSubscription = func(subject string) string { return subject + ".signed" }
	w.Policy.Subscribe = Subscribing{PerAddress: 2, Texts: 4, PerRange: 3, Unanswered: time.Hour}
	ctx := context.Background()
	questions := func() (all []Notice) {
		err := w.DB.View(ctx, func(tx *store.Tx) error {
			all = nil
			for rec, err := range notices.Scan(tx, store.Query{}) {
				if err != nil {
					return err
				}
				if rec.Value.Name == templates.MsgSubscribe {
					all = append(all, rec.Value)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	in := Subscribe{Channel: ChannelEmail, Address: "Reader@Example.com"}
	subject := w.subscribes(in)
	for range 3 { // the one who asks again cannot change what is confirmed, and is answered the same however often
		w.asks(Subscribe{Channel: ChannelEmail, Address: "reader@example.com", Locale: "ja"})
	}
	before := len(questions())
	for _, address := range []string{"reader@example.com", "nobody@example.com"} { // what the answer to either waits for is the same
		if err := w.AskSubscription(ctx, Subscribe{Channel: ChannelEmail, Address: address}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(questions()); n != before {
		t.Errorf("%d questions were written before anybody was answered", n-before)
	}
	if all := questions(); len(all) != 2 || !strings.Contains(string(all[1].Data), subject) {
		t.Errorf("%d questions went out: %+v", len(all), all)
	}
	if s, err := w.Subscription(ctx, subject); err != nil || s.Value.Locale != "en" {
		t.Errorf("a stranger changed it: %+v, %v", s.Value, err)
	}
	var kinds []fault.Kind
	if _, err := w.AnswerSubscriptions(ctx); err != nil {
		t.Fatal(err)
	}
	before = len(questions())
	for _, number := range []string{"+12025550001", "+12025550001", "+12025550001", "+12025550002", "+12025550003", "+4930123456", "+33123456789"} {
		kinds = append(kinds, fault.Of(w.AskSubscription(ctx, Subscribe{Channel: ChannelSMS, Address: number})))
		if _, err := w.AnswerSubscriptions(ctx); err != nil {
			t.Fatal(err)
		}
	}
	// That one number was asked too often nobody is told, and it takes nothing from what all share.
	if want := []fault.Kind{"", "", "", "", fault.TooMany, "", fault.TooMany}; !slices.Equal(kinds, want) || len(questions()) != before+4 {
		t.Errorf("texts: %q, want %q; %d questions", kinds, want, len(questions())-before)
	}
	for name, bad := range map[string]Subscribe{
		"channel": {Channel: "fax", Address: "1"}, "address": {Channel: ChannelEmail, Address: "nobody"}, "components": {Channel: ChannelEmail, Address: "a@b.example", Components: []string{"x"}},
		"incident": {Channel: ChannelEmail, Address: "a@b.example", Incident: "k3v9x0q2m7ab"},
	} {
		if err := w.AskSubscription(ctx, bad); fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.Asking.Live = func(channel string) bool { return channel == ChannelEmail }
	if !slices.Equal(w.SubscriptionChannels(), []string{ChannelEmail}) {
		t.Error("texts are offered although none reaches anybody")
	}
	w.Asking.Live = nil
	if w.Policy.Subscribe.Texts = 0; !slices.Equal(w.SubscriptionChannels(), []string{ChannelEmail}) {
		t.Error("texts are offered without a budget")
	}
	w.clock.Turn(2 * time.Hour)
	if err := w.tidySubscriptions(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if w.subject(ChannelSMS, "+12025550001") != "" || w.subject(ChannelEmail, "reader@example.com") == "" {
		t.Error("what nobody answered stays, or what was confirmed goes")
	}
	// A text that says STOP ends it as well.
	w.Policy.Subscribe.Texts = 3
	w.clock.Turn(25 * time.Hour)
	w.subscribes(Subscribe{Channel: ChannelSMS, Address: "+12025550009"})
	err := w.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		_, err := w.OptOutNumber(tx, "+12025550009", "answered STOP")
		return err
	})
	if err != nil || w.subject(ChannelSMS, "+12025550009") != "" {
		t.Errorf("STOP did not end it: %v", err)
	}
}

// A subscription to one incident ends by itself when that has been closed for long and nothing in it was changed since; others stay.
func TestASubscriptionEndsBehindItsIncident(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.SignSubscription = func(subject string) string { return subject }
	w.Policy.PageEntry = []string{"P0"}
	ctx := context.Background()
	in, err := w.Declare(ctx, "stf_ann", Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."})
	if err != nil {
		t.Fatal(err)
	}
	w.subscribes(Subscribe{Channel: ChannelEmail, Address: "all@reader.example"})
	w.subscribes(Subscribe{Channel: ChannelEmail, Address: "one@reader.example", Incident: in.ID})
	for _, c := range []struct {
		state string // that somebody gives it
		after time.Duration
		stays bool
	}{
		{"", 2 * OutlivesIncident, true}, {Resolved, 2 * OutlivesIncident, true}, {Closed, OutlivesIncident, true}, {Open, 2 * OutlivesIncident, true},
		{Closed, OutlivesIncident, true}, {"", time.Second, false},
	} {
		if c.state != "" {
			if _, err := w.Amend(ctx, "stf_ann", in.ID, 0, Amend{State: &c.state, Reason: "as it is"}); err != nil {
				t.Fatal(err)
			}
		}
		w.clock.Turn(c.after)
		if err := w.tidySubscriptions(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if got := w.subject(ChannelEmail, "one@reader.example") != ""; got != c.stays {
			t.Errorf("%q, and %s later: it stays is %t", c.state, c.after, got)
		}
	}
	if w.subject(ChannelEmail, "all@reader.example") == "" {
		t.Error("one to everything ended with it")
	}
	err = w.DB.View(ctx, func(tx *store.Tx) error {
		facts, err := tx.WaitingFacts()
		if len(facts) != 1 || facts[0].What != factUnsubscribed {
			t.Errorf("the journal keeps %+v", facts)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
