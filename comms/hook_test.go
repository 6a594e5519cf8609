package comms

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/store/fault"
	"lifeline/store/storetest"
	"lifeline/templates"
)

// hooked is a town whose strangers may subscribe webhooks.
func hooked(t *testing.T) *town {
	w := newTown(t, storetest.Bolt(t))
	w.SignSubscription = func(subject string) string { return subject + ".signed" }
	w.Payload = func(_ Public, u templates.Update, locale string) ([]byte, error) {
		return json.Marshal(map[string]string{"headline": u.Statement.Headline, "locale": locale})
	}
	w.people(1)
	return w
}

func toHooks(n *Notice) {
	n.Audience, n.Channels = AudiencePublic, []string{ChannelEmail, ChannelWebhook}
}

// A webhook is told nothing but one question until it answered it or its owner pressed the button; then each what is public, in the form that it reads, and
// no contact is on the board for a channel that she cannot have.
func TestAWebhookIsToldOnceItAnswered(t *testing.T) {
	w := hooked(t)
	ctx := context.Background()
	mail, posts := mails(), &pipe{name: ChannelWebhook}
	posts.answer = func(_ context.Context, m Message, _ int) Outcome {
		return Outcome{State: Sent, Echoed: m.Challenge != "" && strings.HasPrefix(m.To, "https://echo.example")}
	}
	w.start(outbox(w.Room, mail, posts))
	asked := map[string]string{"https://Echo.example/Hook": ChannelWebhook, "https://quiet.example/hook": ChannelWebhook, "https://hooks.chat.example/T0/B0": "slack"}
	for address, channel := range asked {
		if err := w.AskSubscription(ctx, Subscribe{Channel: channel, Address: address, Locale: "ja"}); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "its messages", func() bool { n, _ := posts.counts(); return n == 3 })
	echo := w.subject(ChannelWebhook, "https://echo.example/Hook")
	confirmed := func(subject string) bool {
		s, err := w.Subscription(ctx, subject)
		return err == nil && !s.Value.ConfirmedAt.IsZero()
	}
	await(t, "its messages", func() bool { return confirmed(echo) })
	if confirmed(w.subject(ChannelWebhook, "https://quiet.example/hook")) || confirmed(w.subject("slack", "https://hooks.chat.example/T0/B0")) {
		t.Error("a webhook that answered nothing is told")
	}
	slack := w.subject("slack", "https://hooks.chat.example/T0/B0")
	if err := w.KeepSubscription(ctx, slack, Wanted{}); err != nil {
		t.Fatal(err)
	}

	update, _ := w.publish(toHooks)
	reach := w.done(update)
	if reach.Audience.People != 4 || reach.States[Sent] != 4 || reach.ByChannel[ChannelWebhook][Sent] != 2 || reach.ByChannel[ChannelEmail][Sent] != 2 {
		t.Errorf("the board: %+v", reach)
	}
	told := map[string]Message{}
	for _, m := range posts.all() {
		if strings.Contains(m.Text, "Word 1") {
			told[m.To] = m
		}
		if m.Challenge != "" && (m.Secret == "" || !strings.Contains(m.Text, `"challenge":"`+m.Challenge+`"`) || !strings.Contains(m.Text, `"confirm_url":"https://status.vendor.example/s/`)) {
			t.Errorf("the question: %+v", m)
		}
		if !json.Valid([]byte(m.Text)) {
			t.Errorf("no JSON: %s", m.Text)
		}
	}
	program, chat := told["https://echo.example/Hook"], told["https://hooks.chat.example/T0/B0"]
	if len(told) != 2 || !strings.HasPrefix(program.Secret, "whsec_") || !strings.HasPrefix(program.Text, `{"type":"incident.update","meta":{"unsubscribe":"https://status.vendor.example/s/`+echo+`.signed"`) ||
		!strings.Contains(program.Text, `"locale":"ja"`) || program.Challenge != "" || chat.Secret != "" || !strings.Contains(chat.Text, `"blocks":`) {
		t.Errorf("told: %+v", told)
	}
	// A program is tested by its owner's press, and signed with a new secret once she wants one.
	secret, err := w.NewSecret(ctx, echo)
	if err != nil || secret == program.Secret {
		t.Errorf("the new secret: %v", err)
	}
	if err := w.TestSubscription(ctx, echo); err != nil {
		t.Fatal(err)
	}
	await(t, "its messages", func() bool { n, _ := posts.counts(); return n == 6 })
	for _, m := range posts.all() {
		if strings.Contains(m.Text, `"type":"subscription.message"`) && (m.Secret != secret || !strings.Contains(m.Text, `"test":true`) || m.Challenge != "") {
			t.Errorf("the test: %+v", m)
		}
	}
	if err := w.TestSubscription(ctx, w.subject(ChannelWebhook, "https://quiet.example/hook")); fault.Of(err) != fault.Conflict {
		t.Errorf("one that nobody confirmed is tested: %v", err)
	}
	for _, bad := range []string{"http://a.example/x", "https://10.0.0.1/x", "https://u:p@a.example/", "https://localhost/", "https://a.example/ x", "mailto:a@b.example", "https://a.example:8443/", "https://a.example/" + strings.Repeat("x", 1000)} {
		if err := w.AskSubscription(ctx, Subscribe{Channel: ChannelWebhook, Address: bad}); fault.Of(err) != fault.Invalid {
			t.Errorf("%.60s: %v", bad, err)
		}
	}
}

// A webhook that is gone ends its subscription. One that takes nothing for days is paused, which its owner is told once; what it is after that goes on with one press.
func TestAWebhookThatTakesNothingIsPaused(t *testing.T) {
	w := hooked(t)
	w.Policy.Subscribe.PauseAfter, w.Policy.Subscribe.PauseOver, w.Policy.Retry.Most = 2, time.Hour, 1
	ctx := context.Background()
	var mu sync.Mutex
	takes := true
	mail, posts := mails(), &pipe{name: ChannelWebhook}
	posts.answer = func(_ context.Context, m Message, _ int) Outcome {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case strings.HasPrefix(m.To, "https://gone.") && m.Challenge == "", strings.HasPrefix(m.To, "https://never."):
			return Outcome{State: Suppressed, Reason: "http 410 gone"}
		case takes:
			return Outcome{State: Sent}
		}
		return Outcome{State: Deferred, Reason: "no answer in time"}
	}
	w.start(outbox(w.Room, mail, posts))
	w.asks(Subscribe{Channel: ChannelWebhook, Address: "https://never.example/x"}) // it is gone at the very question
	await(t, "its end", func() bool { return w.subject(ChannelWebhook, "https://never.example/x") == "" })
	gone := w.subscribes(Subscribe{Channel: ChannelWebhook, Address: "https://gone.example/x"})
	subject := w.subscribes(Subscribe{Channel: ChannelWebhook, Address: "https://down.example/x"})
	if err := w.KeepSubscription(ctx, subject, Wanted{Owner: "ops@down.example"}); err != nil {
		t.Fatal(err)
	}
	say := func(answers bool) *Hook {
		t.Helper()
		mu.Lock()
		takes = answers
		mu.Unlock()
		update, _ := w.publish(toHooks)
		w.done(update)
		s, err := w.Subscription(ctx, subject)
		if err != nil {
			t.Fatal(err)
		}
		return s.Value.Hook
	}
	if h := say(false); h.Failures != 1 || h.paused() {
		t.Errorf("after one: %+v", h)
	}
	if _, err := w.Subscription(ctx, gone); fault.Of(err) != fault.NotFound {
		t.Errorf("what is gone is subscribed: %v", err)
	}
	if h := say(true); h.Failures != 0 {
		t.Errorf("after it took one: %+v", h)
	}
	say(false)
	if h := say(false); h.Failures != 2 || h.paused() {
		t.Errorf("within the hour: %+v", h)
	}
	w.clock.Turn(time.Hour)
	if h := say(false); !h.paused() {
		t.Errorf("after the hour: %+v", h)
	}
	before, _ := posts.counts()
	say(true)
	if after, _ := posts.counts(); after != before {
		t.Error("a paused webhook is told")
	}
	owner := func() (n int) {
		for _, m := range mail.all() {
			if m.To == "ops@down.example" && strings.Contains(m.Text, "/s/"+subject+".signed") {
				n++
			}
		}
		return n
	}
	await(t, "its messages", func() bool { return owner() == 1 })
	if err := w.KeepSubscription(ctx, subject, Wanted{}); err != nil {
		t.Fatal(err)
	}
	say(true)
	if after, _ := posts.counts(); after != before+1 || owner() != 1 {
		t.Errorf("it does not go on: %d posts, %d mails", after-before, owner())
	}
}

// Webhooks that hang keep nobody else from being told.
func TestWebhooksThatHangHoldUpNobody(t *testing.T) {
	w := hooked(t)
	w.Policy.Senders = 2 * hookShare
	for i := range 2 * hookShare {
		w.subscribes(Subscribe{Channel: ChannelWebhook, Address: "https://h" + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + ".example/x"})
	}
	over := make(chan struct{})
	var hanging atomic.Int64
	posts := &pipe{name: ChannelWebhook, answer: func(ctx context.Context, m Message, _ int) Outcome {
		if !strings.Contains(m.Text, "incident.update") {
			return Outcome{State: Sent}
		}
		hanging.Add(1)
		select {
		case <-over:
		case <-ctx.Done():
		}
		return Outcome{State: Sent}
	}}
	mail := mails()
	w.start(outbox(w.Room, mail, posts))
	w.publish(toHooks)
	await(t, "every place to be taken", func() bool { return hanging.Load() == hookShare })
	update, _ := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
	if reach := w.done(update); reach.States[Sent] != 2 {
		t.Errorf("the board: %+v", reach)
	}
	if n := hanging.Load(); n != hookShare {
		t.Errorf("%d webhooks hang at once", n)
	}
	close(over)
}

// A process that dies with posts under way loses none, and whoever gets one twice knows it by its id.
func TestAPostThatIsRepeatedKeepsItsID(t *testing.T) {
	w := hooked(t)
	for _, host := range []string{"one", "two", "three"} {
		w.subscribes(Subscribe{Channel: ChannelWebhook, Address: "https://" + host + ".example/x"})
	}
	posts := &pipe{name: ChannelWebhook}
	posts.answer = func(ctx context.Context, m Message, nth int) Outcome {
		if nth == 1 && strings.Contains(m.Text, "incident.update") {
			<-ctx.Done() // it was posted, and the process dies before it hears that it was taken
		}
		return Outcome{State: Sent}
	}
	update, _ := w.publish(func(n *Notice) { n.Audience, n.Channels = AudiencePublic, []string{ChannelWebhook} })
	kill := w.start(outbox(w.Room, posts))
	given := func() (all []Message) {
		for _, m := range posts.all() {
			if strings.Contains(m.Text, "incident.update") {
				all = append(all, m)
			}
		}
		return all
	}
	w.await("the posts to be under way", func() bool { return len(given()) == 3 })
	w.engine.shut.Store(true)
	kill()
	w.engine.shut.Store(false)
	w.expire()
	w.Room = w.open(w.engine)
	w.Payload = func(_ Public, u templates.Update, _ string) ([]byte, error) { return []byte(`{"again":true}`), nil }
	w.start(outbox(w.Room, posts))
	if reach := w.done(update); reach.Audience.People != 3 || reach.States[Sent] != 3 {
		t.Errorf("the board: %+v", reach)
	}
	ids := map[string][]string{}
	for _, m := range given() {
		ids[m.Delivery] = append(ids[m.Delivery], m.ID)
	}
	seen := map[string]bool{}
	for delivery, all := range ids {
		if len(all) != 2 || all[0] != all[1] || all[0] == "" || seen[all[0]] {
			t.Errorf("%s was posted as %q", delivery, all)
		}
		seen[all[0]] = true
	}
}
