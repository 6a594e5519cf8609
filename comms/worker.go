package comms

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeline/store"
	"lifeline/store/fault"
)

// run is one claim of a page: its worker, its senders, and what is left to do.
//
// A claim that ends without a release (the process died, or stood still for longer than the lease) may have sent messages whose
// outcomes are lost. The next claim is then careful: it notes each attempt in the delivery before it begins, in a transaction of its
// own, and sends those that were noted by an earlier careful claim behind all others and alone: one at a time in all pages of its lane,
// each once the outcome of the one before is recorded. A delivery noted twice without an outcome has been claimed three times with nothing to show: it is parked as
// failed. So one message that kills the process costs three restarts, and only it is parked.
type run struct {
	o      *Outbox
	ch     Channel
	id     string
	meta   store.Meta
	page   Page
	n      Notice
	window chan struct{}
	host   string // under which its messages are made
	barred bool   // the rule by which it is said was stopped
	took   prometheus.Observer

	halt     chan struct{} // closed: start nothing more
	haltOnce sync.Once

	mu   sync.Mutex
	next time.Time // the earliest retry
	left bool      // some were not started

	done chan struct{} // closed: recorded and released, or lost
}

// mostStarts is how many noted attempts without an outcome park a delivery.
const mostStarts = 2

func (r *run) careful() bool { return r.meta.Epoch-r.page.Clean >= 2 }

func (r *run) stop() { r.haltOnce.Do(func() { close(r.halt) }) }

func (r *run) halted() bool {
	select {
	case <-r.halt:
		return true
	case <-r.o.quit:
		return true
	default:
		return false
	}
}

// again notes that there is something to do at t.
func (r *run) again(t time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !t.IsZero() && (r.next.IsZero() || t.Before(r.next)) {
		r.next = t
	}
}

func (r *run) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = true
}

// due is when the page has to be claimed again; zero: never.
func (r *run) due() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left {
		return time.Now().UTC()
	}
	return r.next
}

// task is a delivery that is open, as it was read when its page was claimed.
type task struct {
	*paged
	peer string  // whom it is for: see peerOf
	end  verdict // what becomes of it when the notice was stopped
}

// work carries out one claim of a page. It returns when every outcome is recorded and the page released, or the lease lost.
func (o *Outbox) work(ctx context.Context, ch Channel, m store.Meta) {
	r := &run{o: o, ch: ch, id: m.ID, meta: m, host: o.Room.host(), halt: make(chan struct{}), done: make(chan struct{})}
	tasks, err := r.load(ctx)
	if err != nil {
		if ctx.Err() == nil {
			o.Log.Error("a page cannot be read", "page", m.ID, "err", err)
		}
		return // the lease runs out
	}
	r.took = o.metrics.took.WithLabelValues(r.page.Channel)
	if r.window = o.window[r.n.Lane]; r.page.Channel == ChannelWebhook {
		r.window = o.hooks
	}
	if r.barred {
		if err := r.stopNotice(ctx); err != nil {
			o.Log.Error("what a stopped rule had to say cannot be stopped", "page", m.ID, "err", err)
			return // the lease runs out
		}
	}
	if r.n.State == StoppedHere {
		for _, t := range tasks {
			if t.end.State == "" { // stopped since it was read
				t.end = t.unsent(r.n)
			}
			o.hand(item{run: r, key: t.key, verdict: t.end, attempts: t.Attempts})
		}
	} else {
		watched := make(chan struct{})
		ending := make(chan struct{})
		fault.Go(o.Log, "outbox watch", func() { defer close(watched); r.watch(ctx, ending) })
		r.send(ctx, tasks)
		o.hand(item{run: r, finish: true})
		<-r.done
		close(ending)
		<-watched
		return
	}
	o.hand(item{run: r, finish: true})
	<-r.done
}

// load reads the page, its notice and the deliveries that are open.
func (r *run) load(ctx context.Context) (tasks []task, err error) {
	err = r.o.Room.DB.View(ctx, func(tx *store.Tx) (err error) {
		tasks = nil
		if r.page, _, err = pages.Get(tx, r.id); err != nil {
			return err
		}
		if r.n, _, err = notices.Get(tx, r.page.Notice); err != nil {
			return err
		}
		if r.barred, err = r.o.Room.ruleStopped(tx, r.n.Rule); err != nil {
			return err
		}
		fates, err := r.page.fates()
		if err != nil {
			return err
		}
		by, err := r.o.Room.newerThan(tx, r.n)
		if err != nil {
			return err
		}
		all, err := ofPage(tx, r.page, fates)
		if err != nil {
			return err
		}
		for i := range all {
			d := &all[i]
			if !d.open() {
				continue
			}
			t := task{paged: d, peer: peerOf(r.page.Channel, d.Address)}
			if r.n.State == StoppedHere {
				if t.end, err = r.o.Room.unsentFor(tx, by, r.n, d.key, d.Delivery); err != nil {
					return err
				}
			}
			tasks = append(tasks, t)
		}
		return nil
	})
	return tasks, err
}

// send starts every delivery whose time has come, and returns when the last one that it started has an outcome.
func (r *run) send(ctx context.Context, tasks []task) {
	now := time.Now()
	first, alone := make([]task, 0, len(tasks)), []task(nil)
	for _, t := range tasks {
		switch {
		case t.Next.After(now):
			r.again(t.Next)
		case t.Starts >= mostStarts:
			v := verdict{State: Failed, Reason: "three claims ended without an outcome"}
			r.o.hand(item{run: r, key: t.key, verdict: v, attempts: t.Attempts + t.Starts, channel: r.page.Channel})
		case t.Starts > 0:
			alone = append(alone, t)
		default:
			first = append(first, t)
		}
	}
	r.sendAll(ctx, first, max(1, r.o.Room.Policy.Senders))
	for _, t := range alone {
		if !r.sendAlone(ctx, t) {
			r.leave()
			return
		}
	}
}

// sendAlone sends one message while no other page of its lane sends one alone, and returns once its outcome is recorded. A death then
// loses the outcome of this message and no other's. Not ok: nothing more is to be started.
func (r *run) sendAlone(ctx context.Context, t task) (ok bool) {
	turn := r.o.turns[r.page.Lane]
	select {
	case turn <- struct{}{}:
	case <-r.halt:
		return false
	case <-r.o.quit:
		return false
	}
	defer func() { <-turn }()
	if !r.token(ctx) {
		return false
	}
	recorded := make(chan struct{})
	if r.sendOne(ctx, t, recorded) {
		<-recorded
	}
	return true
}

func (r *run) sendAll(ctx context.Context, tasks []task, senders int) {
	if len(tasks) == 0 {
		return
	}
	var wg sync.WaitGroup
	var turn sync.Mutex
	take := func(i int) task {
		t := tasks[i]
		copy(tasks[1:i+1], tasks[:i]) // those that were passed over stay in front, and nothing moves when none was
		tasks = tasks[1:]
		return t
	}
	next := func(room []task) []task { // whoever waits for a place or a token waits for all
		turn.Lock()
		defer turn.Unlock()
		if len(tasks) == 0 {
			return nil
		}
		i, ok := r.pick(tasks)
		if !ok {
			tasks = nil
			return nil
		}
		several := append(room[:0], take(i))
		if !r.token(ctx) {
			r.o.peers.free(several[0].peer)
			r.leave()
			tasks = nil
			return nil
		}
		for most := r.together(len(tasks)); len(several) < most; { // more as long as there is no waiting for them
			select {
			case r.window <- struct{}{}:
			default:
				return several
			}
			i := r.o.peers.pick(tasks, r.o.Room.Policy.PerDomain)
			if i < 0 {
				<-r.window
				return several
			}
			several = append(several, take(i))
		}
		return several
	}
	for range min(senders, len(tasks)) {
		wg.Add(1)
		fault.Go(r.o.Log, "outbox sender", func() {
			defer wg.Done()
			var room turnRoom
			for several := next(nil); len(several) > 0; several = next(several) {
				if len(several) == 1 {
					r.sendOne(ctx, several[0], nil)
				} else {
					r.sendSeveral(ctx, several, &room)
				}
				for _, t := range several {
					r.o.peers.free(t.peer)
				}
			}
		})
	}
	wg.Wait()
}

// together is how many of a page's deliveries, of which so many are left, its channel is given at once: most of them in as large a number as it is
// glad of, and the last ones each to a sender of its own.
func (r *run) together(left int) int {
	if c, ok := r.ch.(Convoy); ok && !r.careful() {
		return min(1+left/4, c.Together())
	}
	return 1
}

// pick chooses what is sent next: the first whose domain has a place. When none gets one for a second, the rest of the page is put back, so that
// other pages have their turn. Not ok: nothing more is to be started.
func (r *run) pick(tasks []task) (int, bool) {
	most := r.o.Room.Policy.PerDomain
	if i := r.o.peers.pick(tasks, most); i >= 0 {
		return i, true
	}
	late := time.NewTimer(pollSlow)
	defer late.Stop()
	for {
		heard := r.o.peers.freed.Heard()
		if i := r.o.peers.pick(tasks, most); i >= 0 {
			return i, true
		}
		select {
		case <-heard:
		case <-late.C:
			r.again(time.Now().Add(pollSlow).UTC())
			return 0, false
		case <-r.halt:
			r.leave()
			return 0, false
		case <-r.o.quit:
			r.leave()
			return 0, false
		}
	}
}

// token takes a place in the window; not ok: nothing more is to be started.
func (r *run) token(ctx context.Context) bool {
	if r.halted() || ctx.Err() != nil {
		return false
	}
	select {
	case r.window <- struct{}{}:
		return true
	default:
	}
	r.o.wanted.Add(1)
	defer r.o.wanted.Add(-1)
	r.o.hurryUp()
	select {
	case r.window <- struct{}{}:
		return true
	case <-r.halt:
	case <-r.o.quit:
	}
	return false
}

// sendOne makes one attempt. It holds a token, which goes on to the settler with the outcome. Not ok: there was no attempt, and
// recorded stays open.
func (r *run) sendOne(ctx context.Context, t task, recorded chan struct{}) (ok bool) {
	it := item{run: r, key: t.key, token: r.window, recorded: recorded, channel: r.page.Channel, attempts: t.Attempts + t.Starts + 1}
	if !r.careful() {
		it.known = &t.boardDelivery
	} else if err := r.mark(ctx, t); err != nil {
		<-r.window
		r.leave()
		r.stop()
		if ctx.Err() == nil && fault.Of(err) != fault.Fenced {
			r.o.Log.Warn("an attempt cannot be noted", "delivery", t.key, "err", err)
		}
		return false
	}
	r.tell(it, t, r.attempt(ctx, t))
	return true
}

// tell hands the outcome of an attempt to the settler.
func (r *run) tell(it item, t task, out Outcome) {
	it.verdict = decide(r.o.Room.Policy.Retry, t.Delivery, it.attempts, out, time.Now().UTC(), chance())
	it.ref = clip(out.Ref, 100)
	r.again(it.verdict.Next)
	r.o.hand(it)
}

// sendSeveral makes one attempt at each of several, which its channel takes together. It holds a token for each.
func (r *run) sendSeveral(ctx context.Context, several []task, room *turnRoom) {
	outs := r.attemptAll(ctx, several, room)
	for i, t := range several {
		r.tell(item{run: r, key: t.key, token: r.window, channel: r.page.Channel, attempts: t.Attempts + t.Starts + 1, known: &t.boardDelivery}, t, outs[i])
	}
}

// turnRoom is memory that a sender uses for one turn after the other.
type turnRoom struct {
	outs     []Outcome
	messages []Message
	of       []int // which of the several each message is
}

// attemptAll is attempt for several. The outcomes are in room.
func (r *run) attemptAll(ctx context.Context, several []task, room *turnRoom) []Outcome {
	outs, messages, of := room.outs[:0], room.messages[:0], room.of[:0]
	outs = append(outs, make([]Outcome, len(several))...)
	defer func() { room.outs, room.messages, room.of = outs, messages, of }()
	for i, t := range several {
		outs[i] = panicked
		r.guarded(t.key, func() {
			var m Message
			if m, outs[i] = r.made(ctx, t); outs[i].State == "" {
				messages, of = append(messages, m), append(of, i)
			}
		})
	}
	began := time.Now()
	r.guarded("several", func() {
		for i, out := range r.ch.(Convoy).SendAll(ctx, messages) {
			if out.State != "" {
				outs[of[i]] = r.heard(ctx, out)
			}
		}
	})
	for i := range outs {
		if outs[i].State == "" {
			outs[i] = panicked
		}
		r.took.Observe(time.Since(began).Seconds())
	}
	return outs
}

// panicked is the outcome of an attempt of which nobody knows how far it went.
var panicked = Outcome{State: Unknown, Reason: "the channel panicked"}

// guarded does what may panic.
func (r *run) guarded(delivery string, do func()) {
	defer func() {
		if p := recover(); p != nil {
			r.o.Log.Error("a channel panicked", "channel", r.page.Channel, "delivery", delivery, "panic", fmt.Sprint(p))
		}
	}()
	do()
}

// attempt makes the message and hands it to the channel. It never panics.
func (r *run) attempt(ctx context.Context, t task) Outcome {
	began := time.Now()
	out := panicked
	r.guarded(t.key, func() {
		m, not := r.made(ctx, t)
		if not.State != "" {
			out = not
			return
		}
		out = r.heard(ctx, r.ch.Send(ctx, m))
	})
	r.took.Observe(time.Since(began).Seconds())
	return out
}

// made is the message of a delivery, or the outcome of an attempt for which there is none.
func (r *run) made(ctx context.Context, t task) (Message, Outcome) {
	m, err := r.message(ctx, t)
	switch {
	case r.page.Channel == ChannelWebhook && fault.Of(err) == fault.NotFound:
		return m, Outcome{State: Suppressed, Reason: "the subscription has ended"}
	case err != nil:
		r.o.Log.Error("a message cannot be made", "delivery", t.key, "err", err)
		return m, Outcome{State: Deferred, Reason: "the message could not be made"}
	}
	return m, Outcome{}
}

// heard is what an outcome of the channel comes to.
func (r *run) heard(ctx context.Context, out Outcome) Outcome {
	if r.page.Channel == ChannelEmail && ctx.Err() == nil {
		r.o.Room.relays.heard(out, time.Now())
	}
	if out.Echoed {
		if err := r.o.Room.echoed(ctx, r.n.Subscription); err != nil {
			r.o.Log.Warn("an answer to a challenge cannot be kept", "subscription", r.n.Subscription, "err", err)
			return Outcome{State: Deferred, Reason: "the answer to the challenge could not be kept"}
		}
	}
	if !r.ch.Live() && (out.State == Sent || out.State == Delivered) {
		out.State = Written
	}
	return out
}

// message is everything that the channel needs; the same delivery gives the same message at every try.
func (r *run) message(ctx context.Context, t task) (Message, error) {
	form := r.page.Channel
	var hook Subscription
	var subscription string
	if form == ChannelWebhook {
		var err error
		if subscription, hook, err = r.o.Room.receiver(ctx, r.n, t.key); err != nil {
			return Message{}, err
		}
		form = hook.Channel
	}
	w, err := r.o.wordsFor(ctx, r.page.Notice, r.n, form, t.Locale)
	if err != nil {
		return Message{}, err
	}
	k, err := parseKey(t.key)
	if err != nil {
		return Message{}, err
	}
	room := r.o.Room
	m := Message{
		Delivery: t.key, To: t.Address, Name: t.Name, Locale: t.Locale,
		Subject: w.subject, Text: w.text, HTML: w.html, Auto: "auto-generated",
	}
	if !w.first || w.incident == "" { // else it begins the thread, whose id it has
		m.ID = messageID(r.host, "delivery", t.key)
	}
	if r.n.ReplyTo {
		m.Auto = "auto-replied"
	}
	if r.page.Channel == ChannelEmail {
		m.Return = room.Returns.address(k, t.key, t.Delivery)
	}
	if r.n.Talk != nil {
		r.n.Talk.thread(&m, r.host)
	}
	if w.incident != "" {
		who := k.Account + "." + k.Contact
		if k.Account == "0" {
			who = t.Address
		}
		m.Root = messageID(r.host, "thread", w.incident, who)
		if w.first {
			m.ID = m.Root
		}
	}
	if r.n.Lane == LaneBroadcast {
		m.List = "incidents." + r.host
		m = room.toContact(room.toSubscriber(m, k, r.page.Channel), k, r.page.Channel, w)
	}
	if r.page.Channel == ChannelSMS {
		m.Valid = room.Policy.SMSValid
		m.Callback = room.Vendor.URL + "/webhooks/twilio/status?delivery=" + url.QueryEscape(t.key)
	}
	if r.page.Channel == ChannelWebhook {
		return room.toReceiver(m, r.n, subscription, hook)
	}
	return m, nil
}

// mark notes an attempt before it begins.
func (r *run) mark(ctx context.Context, t task) error {
	return r.o.Room.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		if err := pages.Fence(tx, r.id, r.meta.Holder, r.meta.Epoch); err != nil {
			return err
		}
		b := newBoard(tx)
		d, err := b.delivery(t.key)
		if err != nil {
			return err
		}
		if !d.open() {
			return fault.New(fault.Fenced, "the delivery was settled meanwhile")
		}
		next := d.Delivery
		next.State, next.Starts = Sending, t.Starts+1
		if err := b.put(t.key, next); err != nil {
			return err
		}
		return b.write()
	})
}

// stopHeard is how often a worker asks whether what it sends was stopped, each replica for itself: one person's word halts them all within it, but for the messages under way.
const stopHeard = 500 * time.Millisecond

// watch looks after a page while it is worked on: it renews the lease, and halts the run when the notice is stopped or the lease lost.
func (r *run) watch(ctx context.Context, ending <-chan struct{}) {
	lease := r.o.lease()
	tick := time.NewTicker(min(stopHeard, lease/4))
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ending:
			return
		case <-r.done:
			return
		case <-tick.C:
		}
		if !r.halted() && r.stopped(ctx) {
			r.o.Log.Info("a page is halted, for its notice was stopped", "page", r.id)
			r.stop()
		}
		if time.Since(renewed) < lease/3 {
			continue
		}
		at := time.Now()
		err := r.o.Room.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
			return pages.Renew(tx, r.id, r.meta.Holder, r.meta.Epoch, lease)
		})
		switch {
		case err == nil:
			renewed = at
		case fault.Of(err) == fault.Fenced || time.Since(renewed) > lease:
			r.stop()
		case ctx.Err() == nil:
			r.o.Log.Warn("a lease cannot be renewed", "page", r.id, "err", err)
		}
	}
}

func (r *run) stopped(ctx context.Context) (yes bool) {
	err := r.o.Room.DB.View(ctx, func(tx *store.Tx) error {
		n, _, err := notices.Get(tx, r.page.Notice)
		if yes = n.State == StoppedHere; yes || err != nil {
			return err
		}
		yes, err = r.o.Room.ruleStopped(tx, n.Rule)
		return err
	})
	return err == nil && yes
}

// stopNotice stops the notice of the page, and so all its pages.
func (r *run) stopNotice(ctx context.Context) error {
	return r.o.Room.DB.Update(ctx, store.Act{}, func(tx *store.Tx) (err error) {
		if err := r.o.Room.stop(tx, r.page.Notice); err != nil {
			return err
		}
		r.n, _, err = notices.Get(tx, r.page.Notice)
		return err
	})
}
