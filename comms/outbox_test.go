package comms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	limits "lifeline/store/limit"
	"lifeline/store/storetest"
	"lifeline/templates"
)

// town is a room with customers on a real store, for stories of the outbox.
type town struct {
	testing.TB
	*Room
	clock    *storetest.Dial
	engine   *shutter
	keys     *store.Keys
	incident string
	last     int              // number of the newest update
	refilled []store.Refilled // whose indexes are new since the release before
}

// shutter is an engine that can be closed to writers, as a dead process or a full disk closes it.
type shutter struct {
	store.Engine
	shut atomic.Bool
	deaf atomic.Bool // it still lets claim
}

var errShut = fault.New(fault.Unavailable, "the store takes no writes")

func (s *shutter) Update(ctx context.Context, fn func(store.Snapshot) (store.Writes, error)) error {
	if s.shut.Load() || s.deaf.Load() {
		return errShut
	}
	return s.Engine.Update(ctx, fn)
}

func (s *shutter) Claim(ctx context.Context, l store.Lease) ([]store.Raw, error) {
	if s.shut.Load() {
		return nil, errShut
	}
	return s.Engine.Claim(ctx, l)
}

func townKinds() []store.Kind {
	return slices.Concat(contacts.Kinds(), Kinds(), limits.Kinds())
}

// towns tells a story on both engines.
func towns(t *testing.T, story func(w *town)) {
	t.Helper()
	t.Run("bolt", func(t *testing.T) { story(newTown(t, storetest.Bolt(t))) })
	t.Run("postgres", func(t *testing.T) { story(newTown(t, storetest.Postgres(t))) })
}

func newTown(t testing.TB, engine store.Engine) *town {
	t.Helper()
	w := &town{TB: t, clock: storetest.NewDial(outbreak), engine: &shutter{Engine: engine}, keys: storetest.Keys(t)}
	w.Room = w.open(w.engine)
	if !testing.Short() {
		t.Cleanup(func() {
			for _, problem := range storetest.Check(engine, w.DB.Declared()) {
				t.Errorf("the store is not consistent: %s", problem)
			}
		})
	}
	return w
}

// open opens a room on the town's data, as another process would.
func (w *town) open(engine store.Engine) *Room {
	w.Helper()
	words, err := theWords()
	if err != nil {
		w.Fatal(err)
	}
	db, err := store.Open(context.Background(), engine, store.Options{Keys: w.keys, Kinds: townKinds(), Clock: w.clock.Now, Refill: w.refilled})
	if err != nil {
		w.Fatal(err)
	}
	policy := DefaultPolicy()
	policy.Retry.Waits = []time.Duration{5 * time.Millisecond}
	return &Room{DB: db, Book: &contacts.Book{DB: db, Policy: contacts.DefaultPolicy(), Log: quiet()}, Words: words, Policy: policy, Log: quiet(),
		Vendor: templates.Vendor{Name: "Vendor", URL: "https://status.vendor.example", Support: "https://status.vendor.example/support"}}
}

// settle makes n customers with a site each; each has an owner with e-mail and phone, and a technical contact with e-mail alone. All sites are
// affected. More lines may be given.
func (w *town) people(n int, more ...string) {
	w.Helper()
	lines := []string{"account,account_id,site,site_id,name,role,email,phone,locale,confirmed_at"}
	for i := range n {
		lines = append(lines,
			fmt.Sprintf("Customer %04d,A-%04d,Site %04d,S-%04d,Owner %04d,owner,owner%04d@c%04d.example,+120255%05d,%s,2022-04-01", i, i, i, i, i, i, i, i, []string{"en", "ja", "zh-CN", "de"}[i%4]),
			fmt.Sprintf("Customer %04d,A-%04d,Site %04d,S-%04d,Tech %04d,technical,tech%04d@c%04d.example,,en,2022-04-01", i, i, i, i, i, i, i))
	}
	lines = append(lines, more...)
	ctx := context.Background()
	report, err := w.Book.Import(ctx, "stf_test", strings.NewReader(strings.Join(lines, "\n")), contacts.ImportOptions{Source: "billing", Format: contacts.FormatCSV})
	if err != nil || report.RejectedRows > 0 {
		w.Fatalf("import: %+v, %v", report, err)
	}
	in, err := w.Declare(ctx, "stf_ann", Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."})
	if err != nil {
		w.Fatal(err)
	}
	w.incident = in.ID
	sites := map[string]bool{}
	for _, l := range lines[1:] {
		sites[strings.Split(l, ",")[3]] = true
	}
	file := "site_id\n" + strings.Join(slices.Sorted(maps.Keys(sites)), "\n")
	if _, err := w.LoadAffected(ctx, "tok_auto", w.incident, CSV, strings.NewReader(file), false); err != nil {
		w.Fatal(err)
	}
}

// publish writes an update and its notice, as publishing does.
func (w *town) publish(mend ...func(*Notice)) (update, notice string) {
	w.Helper()
	w.last++
	n := Notice{Lane: LaneBroadcast, Name: nameUpdate, Audience: AudienceAffected, Channels: []string{ChannelEmail, ChannelSMS, ChannelPage}}
	for _, m := range mend {
		m(&n)
	}
	err := w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) (err error) {
		update = updates.NewID()
		at := tx.Now()
		u := Update{Incident: w.incident, Number: w.last, State: Published, Statement: whole(at), PublishedAt: &at}
		u.Statement.Headline = fmt.Sprintf("Word %d", w.last)
		u.Statement.Channels = n.Channels
		if n.Audience != "" {
			u.Statement.Audience = n.Audience
		}
		if err := updates.Put(tx, update, u, 0); err != nil {
			return err
		}
		n.Update = update
		if n.Only == "" {
			if err := w.supersede(tx, store.Rec[Update]{Meta: store.Meta{ID: update}, Value: u}, &n); err != nil {
				return err
			}
		}
		if u.Notice, err = w.tell(tx, n); err != nil {
			return err
		}
		notice = u.Notice
		return updates.Put(tx, update, u, 1)
	})
	if err != nil {
		w.Fatal(err)
	}
	return update, notice
}

// pipe is a channel that keeps what it is given and answers as told.
type pipe struct {
	name   string
	file   bool
	answer func(ctx context.Context, m Message, nth int) Outcome // nil: sent; nth counts the message's attempts from 1

	mu  sync.Mutex
	got map[string][]Message
}

func (p *pipe) Name() string { return p.name }
func (p *pipe) Live() bool   { return !p.file }
func (p *pipe) Close() error { return nil }

func (p *pipe) Send(ctx context.Context, m Message) Outcome {
	p.mu.Lock()
	if p.got == nil {
		p.got = map[string][]Message{}
	}
	p.got[m.Delivery] = append(p.got[m.Delivery], m.Whole())
	nth := len(p.got[m.Delivery])
	p.mu.Unlock()
	if p.answer != nil {
		return p.answer(ctx, m, nth)
	}
	return Outcome{State: Sent, Ref: "ref-" + m.Delivery}
}

// counts says how many messages were given, of how many deliveries.
func (p *pipe) counts() (messages, of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, all := range p.got {
		messages += len(all)
	}
	return messages, len(p.got)
}

func (p *pipe) all() (all []Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(p.got)) {
		all = append(all, p.got[key]...)
	}
	return all
}

func mails() *pipe { return &pipe{name: ChannelEmail} }
func texts() *pipe { return &pipe{name: ChannelSMS} }

func outbox(r *Room, channels ...Channel) *Outbox {
	o := &Outbox{Room: r, Channels: map[string]Channel{}, Log: quiet(), Holder: "test"}
	for _, c := range channels {
		o.Channels[c.Name()] = c
	}
	return o
}

// start runs an outbox until the test ends, or the function that it returns is called.
func (w *town) start(o *Outbox) (kill func()) {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	kill = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				w.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			w.Error("the outbox does not end")
		}
	})
	w.Cleanup(kill)
	return kill
}

// patience is how long a test waits for what must come: long, since it costs nothing where all is well.
const patience = 2 * time.Minute

// await looks until ok, and rests between two looks for four times as long as one took: a look at a large board takes the machine from the very
// work that it waits for.
func (w *town) await(what string, ok func() bool) {
	w.Helper()
	await(w.TB, what, ok)
}

func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := time.After(patience)
	for asked := time.Now(); !ok(); asked = time.Now() {
		select {
		case <-time.After(max(2*time.Millisecond, min(4*time.Since(asked), 500*time.Millisecond))):
		case <-late:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func (w *town) reach(update string) Reach {
	w.Helper()
	reach, err := w.Reach(context.Background(), update)
	if err != nil {
		w.Fatal(err)
	}
	return reach
}

// done waits until nothing of the update is left to do, and returns its board.
func (w *town) done(update string) Reach {
	w.Helper()
	w.await("everybody's outcome", func() bool { return w.reach(update).Done })
	return w.audit(update)
}

// expire lets every lease run out, as time does.
func (w *town) expire() {
	w.Helper()
	err := w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error {
		for rec, err := range pages.Scan(tx, store.Query{}) {
			if err == nil && rec.Holder != "" {
				err = pages.Release(tx, rec.ID, rec.Holder, rec.Epoch)
			}
			if err != nil {
				return err
			}
		}
		for rec, err := range notices.Scan(tx, store.Query{}) {
			if err == nil && rec.Holder != "" {
				err = notices.Release(tx, rec.ID, rec.Holder, rec.Epoch)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *town) deliveries(notice string) map[string]Delivery {
	w.Helper()
	all := map[string]Delivery{}
	err := w.DB.View(context.Background(), func(tx *store.Tx) error {
		clear(all)
		for rec, err := range deliveries.Scan(tx, under("dlv_"+suffix(notice)+".")) {
			if err != nil {
				return err
			}
			all[rec.ID] = rec.Value
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return all
}

// audit counts the board anew from the deliveries and compares.
func (w *town) audit(update string) Reach {
	w.Helper()
	reach := w.reach(update)
	var u Update
	err := w.DB.View(context.Background(), func(tx *store.Tx) (err error) {
		u, _, err = updates.Get(tx, update)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	people := map[string]State{}
	channels := map[string]map[State]int{ChannelEmail: {}, ChannelSMS: {}, ChannelWebhook: {}}
	for id, d := range w.deliveries(u.Notice) {
		k, err := parseKey(id)
		if err != nil {
			w.Fatal(err)
		}
		if d.Channel == "" {
			continue
		}
		people[k.person()] = better(people[k.person()], d.State)
		channels[d.Channel][d.State]++
	}
	states := map[State]int{}
	sum := 0
	for _, s := range people {
		states[s]++
	}
	for _, n := range reach.States {
		sum += n
	}
	if sum != reach.Audience.People || len(people) != sum {
		w.Errorf("the board shows %d people of %d, there are %d: %v", sum, reach.Audience.People, len(people), reach.States)
	}
	if !maps.Equal(states, reach.States) {
		w.Errorf("the board shows %v, the deliveries say %v", reach.States, states)
	}
	for channel, counts := range reach.ByChannel {
		if !maps.Equal(channels[channel], counts) {
			w.Errorf("the board shows %v by %s, the deliveries say %v", counts, channel, channels[channel])
		}
	}
	return reach
}

func TestEverybodyIsToldInTheirLanguage(t *testing.T) {
	towns(t, func(w *town) {
		w.people(4,
			"Customer 0001,A-0001,Site 0001,S-0001,Nameless,owner,,,en,2022-04-01",
			"Unknown,A-9,Nobody's,S-9,,,,,,")
		update, _ := w.publish()
		mail, sms := mails(), texts()
		w.start(outbox(w.Room, mail, sms))
		reach := w.done(update)
		if got := (ReachAudience{People: 9, Customers: 5, Sites: 5}); reach.Audience.People != got.People {
			w.Errorf("the audience is %+v, want %+v", reach.Audience, got)
		}
		if want := map[State]int{Sent: 8, Failed: 1}; !maps.Equal(reach.States, want) {
			w.Errorf("states %v, want %v", reach.States, want)
		}
		if want := map[State]int{Sent: 4, Failed: 5}; !maps.Equal(reach.ByChannel[ChannelSMS], want) {
			w.Errorf("by SMS %v, want %v", reach.ByChannel[ChannelSMS], want)
		}
		if len(reach.Unreached) != 2 || reach.UnreachedTotal != 2 {
			w.Fatalf("unreached: %+v", reach.Unreached)
		}
		if u := reach.Unreached[0]; u.Reason != "email: no_address; sms: no_address" || u.Customer == "" || u.Contact == "" || u.Site == "" {
			w.Errorf("the one without an address: %+v", u)
		}
		if u := reach.Unreached[1]; u.Reason != reasonNobody || u.Contact != "" || u.Customer == "" || u.Site == "" {
			w.Errorf("the customer without a contact: %+v", u)
		}
		for _, m := range mail.all() {
			want := map[string]string{"owner0001@c0001.example": "ja", "owner0002@c0002.example": "zh-CN"}[m.To]
			if want == "" {
				want = "en"
			}
			if m.Locale != want || m.Text == "" || m.HTML == "" || m.Subject == "" {
				w.Errorf("%s got %q: %+v", m.To, m.Locale, m)
			}
			if m.ID == "" || m.Root != m.ID || m.Auto != "auto-generated" || m.List == "" || strings.Contains(m.ID, "c000") {
				w.Errorf("the first mail's identity: %+v", m)
			}
		}
		for _, m := range sms.all() {
			if !strings.HasPrefix(m.Callback, "https://status.vendor.example/webhooks/twilio/status?delivery=dlv_") || m.Valid == 0 {
				w.Errorf("a text without callback or end: %+v", m)
			}
		}

		second, _ := w.publish()
		w.done(second)
		roots := map[string]int{}
		for _, m := range mail.all() {
			roots[m.Root]++
		}
		if len(roots) != 8 {
			w.Errorf("two mails to each of 8 people form %d threads", len(roots))
		}
	})
}

func TestExpansionIsInOrderAndGoesOnWhereItEnded(t *testing.T) {
	towns(t, func(w *town) {
		var crowd []string
		for i := range 530 { // one account that fills several pages
			crowd = append(crowd, fmt.Sprintf("Big,A-big,Big,S-big,P%03d,%s,p%03d@big.example,,en,2022-04-01", i, []string{"technical", "owner"}[i%2], i))
		}
		w.people(40, crowd...)
		w.Policy.Lease = time.Millisecond
		update, notice := w.publish()
		ctx := context.Background()
		claim := func(o *Outbox) store.Meta {
			o.ready()
			var m store.Meta
			w.await("the lease to run out", func() bool {
				got, ok, err := o.claim(ctx, notices.Name, lanes)
				if err != nil {
					w.Fatal(err)
				}
				m = got
				return ok
			})
			return m
		}
		first, second := outbox(w.Room), outbox(w.Room)
		lost := claim(first)
		if more, err := first.expandSome(ctx, lost); err != nil || !more {
			w.Fatalf("the first chunk: %v, %v", more, err)
		}
		taken := claim(second)
		if _, err := first.expandSome(ctx, lost); fault.Of(err) != fault.Fenced {
			w.Errorf("an expander without a lease: %v", err)
		}
		w.Policy.Lease = time.Minute
		if err := second.expand(ctx, taken); err != nil {
			w.Fatal(err)
		}
		reach := w.audit(update)
		if reach.Audience.People != 80+530 || reach.Expanding {
			w.Errorf("the audience: %+v", reach.Audience)
		}
		err := w.DB.View(ctx, func(tx *store.Tx) error {
			last := ""
			for rec, err := range pages.Scan(tx, store.Query{Prefix: "pag_" + suffix(notice) + "."}) {
				if err != nil {
					return err
				}
				p := rec.Value
				n := 0
				for name, count := range p.Counts {
					if strings.HasPrefix(name, p.Channel+"/") {
						n += count
					}
				}
				if n == 0 || n > PageSize {
					w.Errorf("%s holds %d deliveries", rec.ID, n)
				}
				if p.Channel == ChannelEmail {
					if p.From <= last || p.To < p.From {
						w.Errorf("%s begins at %s, the page before ends at %s", rec.ID, p.From, last)
					}
					last = p.To
				}
			}
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
		for id := range w.deliveries(notice) {
			if k, err := parseKey(id); err != nil || k.String() != id {
				w.Errorf("key %s reads as %+v, %v", id, k, err)
			}
		}
	})
}

// TestKilled ends an outbox as kill -9 does, twice: nothing that is under way is recorded, leases run out, and another one goes on.
func TestKilled(t *testing.T) {
	towns(t, func(w *town) {
		w.people(200)
		update, _ := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
		mail := mails()
		for i, at := range []int{100, 250} {
			by := []Channel{mail, &ferry{pipe: mail}}[i]
			dies := &shutter{Engine: w.engine.Engine}
			mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
				if n, _ := mail.counts(); n >= at {
					dies.shut.Store(true)
				}
				return Outcome{State: Sent}
			}
			kill := w.start(outbox(w.open(dies), by))
			w.await("the moment to die", dies.shut.Load)
			kill()
			w.expire()
		}
		mail.answer = nil
		w.start(outbox(w.Room, mail))
		reach := w.done(update)
		if reach.States[Sent] != 400 {
			w.Errorf("states %v", reach.States)
		}
		n, of := mail.counts()
		if of != 400 || n-of > 2*Window {
			w.Errorf("%d messages to %d people after two deaths", n, of)
		}
		w.Logf("%d of %d were told twice after two deaths", n-of, of)
	})
}

// TestOneThatKills shows that a message at which the process dies each time is parked, and nobody else.
func TestOneThatKills(t *testing.T) {
	towns(t, func(w *town) {
		w.people(20)
		update, _ := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
		mail := mails()
		deaths := 0
		for range 10 {
			dies := &shutter{Engine: w.engine.Engine}
			mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
				if strings.HasPrefix(m.To, "owner0007@") {
					dies.shut.Store(true)
				}
				return Outcome{State: Sent}
			}
			kill := w.start(outbox(w.open(dies), mail))
			w.await("death or the end", func() bool { return dies.shut.Load() || w.reach(update).Done })
			kill()
			w.expire()
			if !dies.shut.Load() {
				break
			}
			deaths++
		}
		reach := w.audit(update)
		if deaths != 3 || reach.States[Sent] != 39 || reach.States[Failed] != 1 {
			w.Errorf("after %d deaths: %v", deaths, reach.States)
		}
		if len(reach.Unreached) != 1 || !strings.Contains(reach.Unreached[0].Reason, "three claims ended without an outcome") {
			w.Errorf("unreached: %+v", reach.Unreached)
		}
	})
}

func TestAChannelThatHangsHoldsUpNothingElse(t *testing.T) {
	towns(t, func(w *town) {
		w.people(130)
		mail, sms := mails(), texts()
		free := make(chan struct{})
		mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
			if strings.HasPrefix(m.To, "duty@") {
				return Outcome{State: Sent}
			}
			select {
			case <-free:
			case <-ctx.Done():
			}
			return Outcome{State: Sent}
		}
		update, _ := w.publish()
		w.start(outbox(w.Room, mail, sms))
		w.await("every text", func() bool {
			r := w.reach(update)
			return r.ByChannel[ChannelSMS][Sent] == 130 && !r.Expanding
		})
		if got := w.audit(update).ByChannel[ChannelEmail]; got[Queued] != 260 {
			w.Errorf("mails while the relay hangs: %v", got)
		}
		// A page to staff goes through the same relay's hanging broadcast, and past the receipts of a flood of tickets that hang there as well.
		err := w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error {
			for range 2 * shares[LaneDirect] {
				if _, err := w.Tell(tx, Notice{Lane: LaneDirect, Name: templates.MsgTicketAck, Data: []byte(`{"number":"T-1","url":"https://status.vendor.example/t/T-1"}`),
					To: []Direct{{Channel: ChannelEmail, Address: "someone@else.example"}}}); err != nil {
					return err
				}
			}
			_, err := w.Tell(tx, Notice{Lane: LaneUrgent, Name: templates.MsgDeadline, Data: []byte(`{}`),
				To: []Direct{{Channel: ChannelEmail, Address: "duty@vendor.example", Name: "Duty"}}})
			return err
		})
		if err != nil {
			w.Fatal(err)
		}
		w.await("the page to staff", func() bool {
			return slices.ContainsFunc(mail.all(), func(m Message) bool { return m.To == "duty@vendor.example" })
		})
		close(free)
		if reach := w.done(update); reach.States[Sent] != 260 {
			w.Errorf("states %v", reach.States)
		}
	})
}

// A stranger's ticket makes a receipt; a stream of them must not keep everybody else from being told.
func TestAStreamOfReceiptsDoesNotHoldUpABroadcast(t *testing.T) {
	towns(t, func(w *town) {
		w.people(50)
		mail := mails()
		var told atomic.Bool // everybody was
		receipt := func() {
			err := w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error {
				_, err := w.Tell(tx, Notice{Lane: LaneDirect, Name: templates.MsgTicketAck, Data: []byte(`{"number":"T-1","url":"https://status.vendor.example/t/T-1"}`),
					To: []Direct{{Channel: ChannelEmail, Address: "someone@else.example", Name: "N"}}})
				return err
			})
			if err != nil {
				w.Error(err)
			}
		}
		mail.answer = func(_ context.Context, m Message, _ int) Outcome {
			if m.To == "someone@else.example" && !told.Load() { // each that leaves makes two more: they never run out
				receipt()
				receipt()
			}
			return Outcome{State: Sent}
		}
		for range 40 {
			receipt()
		}
		update, _ := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
		w.start(outbox(w.Room, mail))
		if reach := w.done(update); reach.States[Sent] != 100 {
			w.Errorf("states %v", reach.States)
		}
		told.Store(true)
	})
}

func TestOutcomes(t *testing.T) {
	towns(t, func(w *town) {
		w.people(6)
		w.Policy.Retry.Most = 3
		mail, sms := mails(), texts()
		mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
			switch m.To[:len("owner0000")] {
			case "owner0000": // greylisted
				if nth == 1 {
					return Outcome{State: Deferred, Reason: "smtp 451 4.7.1"}
				}
			case "owner0001":
				return Outcome{State: Deferred, Reason: "smtp 421"}
			case "owner0002":
				return Outcome{State: Failed, Reason: "smtp 550 5.1.1"}
			case "owner0003":
				return Outcome{State: Unknown, Reason: "connection lost after data"}
			case "owner0004":
				if nth == 1 {
					panic("a defect")
				}
			}
			return Outcome{State: Sent, Ref: "r"}
		}
		sms.answer = func(ctx context.Context, m Message, nth int) Outcome {
			if strings.HasSuffix(m.To, "00005") {
				return Outcome{State: Unknown, Reason: "timeout"}
			}
			return Outcome{State: Sent, Ref: "SM" + m.To}
		}
		update, notice := w.publish()
		w.start(outbox(w.Room, mail, sms))
		reach := w.done(update)
		if want := map[State]int{Sent: 9, Failed: 2, Unknown: 1}; !maps.Equal(reach.ByChannel[ChannelEmail], want) {
			w.Errorf("by mail: %v, want %v", reach.ByChannel[ChannelEmail], want)
		}
		if want := map[State]int{Sent: 5, Unknown: 1, Failed: 6}; !maps.Equal(reach.ByChannel[ChannelSMS], want) {
			w.Errorf("by text: %v, want %v", reach.ByChannel[ChannelSMS], want)
		}
		type end struct {
			state    State
			attempts int
			reason   string
		}
		want := map[string]end{
			"owner0000@c0000.example": {Sent, 2, ""},
			"owner0001@c0001.example": {Failed, 3, "gave up after 3 attempts: smtp 421"},
			"owner0002@c0002.example": {Failed, 1, "smtp 550 5.1.1"},
			"owner0003@c0003.example": {Unknown, 2, "connection lost after data"},
			"owner0004@c0004.example": {Sent, 2, ""},
			"+12025500005":            {Unknown, 1, "timeout"},
		}
		for key, d := range w.deliveries(notice) {
			wanted, ok := want[d.Address]
			if !ok {
				continue
			}
			if got := (end{d.State, d.Attempts, d.Reason}); got != wanted {
				w.Errorf("%s ended as %+v, want %+v", d.Address, got, wanted)
			}
			if d.Channel == ChannelEmail {
				ids := map[string]bool{}
				for _, m := range mail.got[key] {
					ids[m.ID] = true
				}
				if len(mail.got[key]) != wanted.attempts || len(ids) != 1 {
					w.Errorf("%s got %d mails under %d ids", d.Address, len(mail.got[key]), len(ids))
				}
			}
		}
	})
}

func TestStopMidway(t *testing.T) {
	towns(t, func(w *town) {
		w.people(300)
		mail := mails()
		enough := make(chan struct{})
		var once sync.Once
		mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
			if n, _ := mail.counts(); n >= 100 {
				once.Do(func() { close(enough) })
				<-ctx.Done() // nobody else goes out while the word spreads
				return Outcome{State: Sent}
			}
			if strings.HasPrefix(m.To, "tech") {
				return Outcome{State: Deferred, Reason: "smtp 451", Wait: time.Hour}
			}
			return Outcome{State: Sent}
		}
		update, notice := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
		kill := w.start(outbox(w.Room, mail))
		<-enough
		w.await("everybody to be written down", func() bool { return !w.reach(update).Expanding })
		if err := w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error { return w.stop(tx, notice) }); err != nil {
			w.Fatal(err)
		}
		before, _ := mail.counts()
		w.await("what waits to be suppressed", func() bool { return w.reach(update).ByChannel[ChannelEmail][Suppressed] > 0 })
		kill()
		mail.answer = nil
		w.start(outbox(w.Room, mail)) // the stop survives the restart
		reach := w.done(update)
		after, _ := mail.counts()
		if after-before > 4*DefaultPolicy().Senders { // those whose turn had come when the word went out
			w.Errorf("%d were begun after the stop", after-before)
		}
		if reach.States[Sent]+reach.States[Suppressed] != 600 || reach.States[Suppressed] == 0 {
			w.Errorf("states %v of %d", reach.States, reach.Audience.People)
		}
	})
}

func TestANewerUpdateTakesThePlaceOfWhatIsUnsent(t *testing.T) {
	towns(t, func(w *town) {
		w.people(10)
		mail := mails()
		mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
			if strings.HasPrefix(m.To, "tech") && strings.Contains(m.Text, "Word 1") {
				return Outcome{State: Deferred, Reason: "smtp 451", Wait: time.Hour}
			}
			return Outcome{State: Sent}
		}
		w.start(outbox(w.Room, mail))
		only := func(n *Notice) { n.Channels = []string{ChannelEmail} }
		first, _ := w.publish(only)
		w.await("the first tries", func() bool {
			s := w.reach(first).States
			return s[Sent] == 10 && s[Deferred] == 10
		})
		for _, c := range []struct {
			audience string
			channels []string
			behind   []int
		}{
			{AudienceAffected, []string{ChannelEmail, ChannelPage}, nil}, {AudiencePublic, []string{ChannelEmail}, nil}, {AudienceInternal, []string{ChannelPage}, nil},
			{AudienceAffected, []string{ChannelPage}, []int{1}}, {AudiencePublic, []string{ChannelSMS, ChannelPage}, []int{1}},
		} {
			if err := w.DB.View(context.Background(), func(tx *store.Tx) error {
				behind, err := overtaken(tx, w.incident, templates.Statement{Audience: c.audience, Channels: c.channels})
				if !slices.Equal(behind, c.behind) {
					w.Errorf("said to %s by %v it overtakes %v, want %v", c.audience, c.channels, behind, c.behind)
				}
				return err
			}); err != nil {
				w.Fatal(err)
			}
		}
		second, _ := w.publish(only)
		reach := w.done(first)
		if want := map[State]int{Sent: 10, Superseded: 10}; !maps.Equal(reach.States, want) {
			w.Errorf("the old update: %v, want %v", reach.States, want)
		}
		if reach := w.done(second); reach.States[Sent] != 20 {
			w.Errorf("the new one: %v", reach.States)
		}
	})
}

func TestACorrectionGoesExactlyToThoseWhoGotIt(t *testing.T) {
	towns(t, func(w *town) {
		w.people(10)
		mail, sms := mails(), texts()
		mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
			if strings.HasPrefix(m.To, "tech") && strings.Contains(m.Text, "Word 1") {
				return Outcome{State: Deferred, Reason: "smtp 451", Wait: time.Hour}
			}
			return Outcome{State: Sent}
		}
		first, notice := w.publish()
		w.start(outbox(w.Room, mail, sms))
		w.await("the first tries", func() bool {
			r := w.reach(first)
			return r.ByChannel[ChannelEmail][Deferred] == 10 && r.ByChannel[ChannelSMS][Sent] == 10 && r.ByChannel[ChannelEmail][Sent] == 10
		})
		if err := w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error { return w.stop(tx, notice) }); err != nil {
			w.Fatal(err)
		}
		correction, _ := w.publish(func(n *Notice) { n.Only = notice })
		w.done(first)
		reach := w.done(correction)
		if want := map[State]int{Sent: 10}; !maps.Equal(reach.States, want) {
			w.Errorf("the correction: %v, want %v", reach.States, want)
		}
		for _, m := range mail.all() {
			if strings.HasPrefix(m.To, "tech") && strings.Contains(m.Text, "Word 2") {
				w.Errorf("%s got a correction of what never arrived", m.To)
			}
		}
	})
}

func TestReportsOfTheProvider(t *testing.T) {
	towns(t, func(w *town) {
		w.people(5)
		sms := texts()
		hold := make(chan struct{})
		sms.answer = func(ctx context.Context, m Message, nth int) Outcome {
			if strings.HasSuffix(m.To, "00003") { // the report is faster than our own record
				<-hold
				return Outcome{State: Unknown, Reason: "timeout", Ref: "SM" + m.To}
			}
			return Outcome{State: Sent, Ref: "SM" + m.To}
		}
		update, notice := w.publish(func(n *Notice) { n.Channels = []string{ChannelSMS} })
		w.start(outbox(w.Room, sms))
		w.await("four texts", func() bool { return w.reach(update).States[Sent] == 4 })
		keys := map[string]string{}
		for key, d := range w.deliveries(notice) {
			if d.Address != "" {
				keys[d.Address[len(d.Address)-1:]] = key
			}
		}
		ctx := context.Background()
		report := func(who string, s State, reason string) {
			w.Helper()
			if err := w.Callback(ctx, keys[who], "SM+1202550000"+who, s, reason); err != nil {
				w.Errorf("report %s: %v", s, err)
			}
		}
		report("0", Delivered, "")
		report("0", Sent, "") // late
		report("0", Delivered, "")
		report("1", Sent, "")
		report("1", Failed, "twilio 30003 unreachable")
		report("1", Sent, "")
		report("2", Sending, "")
		report("3", Delivered, "")
		w.audit(update)
		close(hold)
		reach := w.done(update)
		if want := map[State]int{Delivered: 2, Failed: 6, Sent: 2}; !maps.Equal(reach.States, want) {
			w.Errorf("states %v, want %v", reach.States, want)
		}
		if err := w.Callback(ctx, "dlv_nobody.1.0.0.s.0", "SM1", Delivered, ""); fault.Of(err) != fault.NotFound {
			w.Errorf("a report on nothing: %v", err)
		}
		if err := w.Callback(ctx, keys["0"], "SM1", Queued, ""); fault.Of(err) != fault.Invalid {
			w.Errorf("a report that none can be: %v", err)
		}
	})
}

func TestTwoOutboxesSendNothingTwice(t *testing.T) {
	towns(t, func(w *town) {
		w.people(150)
		update, _ := w.publish()
		mail, sms := mails(), texts()
		w.start(outbox(w.Room, mail, sms))
		w.start(outbox(w.open(w.engine), mail, sms))
		reach := w.done(update)
		if reach.States[Sent] != 300 {
			w.Errorf("states %v", reach.States)
		}
		for _, p := range []*pipe{mail, sms} {
			if n, of := p.counts(); n != of {
				w.Errorf("%d %s messages for %d deliveries", n, p.name, of)
			}
		}
	})
}

func TestShutdownInOrderRepeatsNothing(t *testing.T) {
	towns(t, func(w *town) {
		w.people(160)
		update, notice := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
		mail := mails()
		o := outbox(w.Room, mail)
		stopping := make(chan error, 1)
		var once sync.Once
		mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
			if n, _ := mail.counts(); n >= 150 {
				once.Do(func() { go func() { stopping <- o.Stop(context.Background()) }() })
			}
			return Outcome{State: Sent}
		}
		w.start(o)
		select {
		case err := <-stopping:
			if err != nil {
				w.Fatal(err)
			}
		case <-time.After(patience):
			w.Fatal("no end")
		}
		sent, _ := mail.counts()
		if got := w.audit(update).States[Sent]; got != sent {
			w.Errorf("%d were sent before the shutdown, %d are recorded", sent, got)
		}
		for key, d := range w.deliveries(notice) {
			if d.State == Queued && (d.Attempts > 0 || d.Starts > 0) {
				w.Errorf("%s keeps an attempt from a shutdown: %+v", key, d)
			}
		}
		mail.answer = nil
		w.start(outbox(w.Room, mail))
		w.done(update)
		if n, of := mail.counts(); n != of || of != 320 {
			w.Errorf("%d messages to %d people", n, of)
		}
	})
}

func TestSendingStopsWithinTheWindowWhenOutcomesCannotBeRecorded(t *testing.T) {
	towns(t, func(w *town) {
		w.people(400)
		w.Policy.Workers, w.Policy.Senders = 6, 64
		update, _ := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
		mail := mails()
		all := make(chan struct{}) // are in the queue: what is not claimed by then could not fill a window
		var shut sync.Once
		mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
			<-all
			if n, _ := mail.counts(); n >= 100 {
				shut.Do(func() { w.engine.shut.Store(true) })
			}
			return Outcome{State: Sent}
		}
		o := outbox(w.Room, &ferry{pipe: mail})
		w.start(o)
		w.await("everybody to be in the queue", func() bool { return !w.reach(update).Expanding })
		close(all)
		w.await("a full window", func() bool {
			return w.engine.shut.Load() && len(o.window[LaneBroadcast]) == cap(o.window[LaneBroadcast])
		})
		var recorded int
		w.await("the board to stand still", func() bool {
			was := recorded
			recorded = w.reach(update).States[Sent]
			return was == recorded
		})
		if n, _ := mail.counts(); n-recorded > Window {
			w.Errorf("%d messages went out and %d are recorded", n, recorded)
		}
		w.engine.shut.Store(false)
		w.done(update)
		if n, of := mail.counts(); n != of || of != 800 {
			w.Errorf("%d messages to %d people", n, of)
		}
	})
}

func TestWhatGoesToAFileIsNeverSent(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.people(3)
	mail, sms := mails(), texts()
	mail.file, sms.file = true, true
	update, _ := w.publish()
	w.start(outbox(w.Room, mail, sms))
	if reach := w.done(update); reach.States[Written] != 6 || reach.States[Sent] != 0 {
		t.Errorf("states %v", reach.States)
	}
}

func TestNamedAddresses(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.people(1)
	mail, sms := mails(), texts()
	w.start(outbox(w.Room, mail, sms))
	var to []Direct
	for i := range 600 {
		to = append(to, Direct{Channel: sendable[i%2], Address: fmt.Sprintf("%d@named.example", i), Name: "N", Locale: []string{"ja", "", "fr"}[i%3]})
	}
	var id string
	err := w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) (err error) {
		id, err = w.Tell(tx, Notice{Lane: LaneDirect, Name: templates.MsgTicketAck, Data: []byte(`{"number":"T-1","url":"https://status.vendor.example/t/T-1"}`), To: to, ReplyTo: true})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.await("all of them", func() bool {
		n, _ := mail.counts()
		m, _ := sms.counts()
		return n == 300 && m == 300
	})
	for _, m := range mail.all() {
		if m.Auto != "auto-replied" || m.List != "" || m.Root != "" || m.Text == "" {
			t.Fatalf("an acknowledgement: %+v", m)
		}
	}
	w.await("the end", func() bool {
		var n Notice
		err := w.DB.View(context.Background(), func(tx *store.Tx) (err error) {
			n, _, err = notices.Get(tx, id)
			return err
		})
		return err == nil && n.State == Done && n.People == 600 && n.Pending == 0
	})
}

func TestNoticesThatNobodyCanSend(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	for _, bad := range []Notice{
		{},
		{Lane: "z", Name: "x", Audience: AudiencePublic},
		{Lane: LaneDirect, Audience: AudiencePublic},
		{Lane: LaneDirect, Name: "x", To: []Direct{{Channel: "pigeon", Address: "roof"}}},
		{Lane: LaneDirect, Name: "x", To: []Direct{{Channel: ChannelEmail}}},
		{Lane: LaneDirect, Name: "x", To: slices.Repeat([]Direct{{Channel: ChannelEmail, Address: "a@b.example"}}, mostDirect+1)},
	} {
		err := w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error {
			_, err := w.Tell(tx, bad)
			return err
		})
		if fault.Of(err) != fault.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestStopEndsWithItsContext(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.people(1)
	mail := mails()
	begun := make(chan struct{}, 10)
	mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
		begun <- struct{}{}
		<-ctx.Done()
		return Outcome{State: Unknown, Reason: "canceled"}
	}
	update, _ := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
	o := outbox(w.Room, mail)
	w.start(o)
	<-begun
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := o.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stop out of time: %v", err)
	}
	w.await("what was cut to be recorded", func() bool { return w.reach(update).States[Unknown] > 0 })
}

// TestARestoredStoreSendsNothingUntilSomebodyHasLooked restores a store as a backup does: what it would send may have been sent.
func TestARestoredStoreSendsNothingUntilSomebodyHasLooked(t *testing.T) {
	old := newTown(t, storetest.Bolt(t))
	ctx := context.Background()
	engine := storetest.Bolt(t)
	restore, err := store.BeginRestore(ctx, engine, old.keys, append(townKinds(), store.Kinds()...))
	if err != nil {
		t.Fatal(err)
	}
	err = old.DB.View(ctx, func(tx *store.Tx) error {
		for raw, err := range tx.Stored("instance") {
			if err != nil {
				return err
			}
			if err := restore.Put(ctx, "instance", []store.Raw{raw}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := restore.Finish(ctx, store.Act{By: "stf_ann", Verb: "store.restore"}, store.Restored{Backup: "b1"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	w := &town{TB: t, clock: old.clock, engine: &shutter{Engine: engine}, keys: old.keys}
	w.Room = w.open(w.engine)
	w.people(3)
	update, _ := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
	var released atomic.Bool
	mail := mails()
	mail.answer = func(ctx context.Context, m Message, nth int) Outcome {
		if !released.Load() {
			t.Errorf("%s was told before anybody had looked", m.To)
		}
		return Outcome{State: Sent}
	}
	w.start(outbox(w.Room, mail))
	w.await("everybody to be written down", func() bool { return !w.reach(update).Expanding })
	released.Store(true)
	if err := w.DB.Release(ctx, store.Act{By: "stf_ann", Verb: "store.release", Reason: "nothing was sent since"}); err != nil {
		t.Fatal(err)
	}
	if reach := w.done(update); reach.States[Sent] != 6 {
		t.Errorf("states %v", reach.States)
	}
}
