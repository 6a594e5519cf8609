package comms

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeline/store"
	"lifeline/store/fault"
)

// Outbox carries notices to people: it expands them into pages of deliveries, leases the pages, sends outside any transaction
// and records each outcome. One process opens one Outbox; several processes may work on one store.
//
// Sending is at least once. After a crash at most [Window] messages of a process are sent a second time, e-mails under the same
// Message-ID. A shutdown in order repeats nothing.
//
// Each lane and channel has workers of its own, and a share of the window: one worker per channel looks at the urgent lane
// only, one at the urgent and the direct one, one at the broadcasts first, the rest at all, the higher lane first. So neither a broadcast
// nor a relay that hangs holds up a page to staff, or the other channel; and no stream of receipts, which strangers can make, holds up a
// broadcast. In a restored store nothing leaves until a person has released it: see [store.Held].
type Outbox struct {
	Room     *Room
	Channels map[string]Channel // by name; deliveries on a channel that is not here wait
	Log      *slog.Logger
	Metrics  prometheus.Registerer // nil: not measured
	Holder   string                // names this process in leases

	once    sync.Once
	quit    chan struct{} // closed: no more claims
	ended   chan struct{} // closed: Run has returned
	running bool
	mu      sync.Mutex
	abort   context.CancelFunc // cuts messages under way
	holder  string
	items   chan item
	hurry   chan struct{}            // what has gathered is enough, or wanted
	wanted  atomic.Int64             // how many wait for an outcome to be recorded
	window  map[string]chan struct{} // by lane: tokens of deliveries that are sent and not recorded
	hooks   chan struct{}            // those of webhooks
	turns   map[string]chan struct{} // by pageLane: whose turn it is to send alone
	peers   peers
	metrics *measures
	words   wordCache
}

// shares of the window by lane; their sum with hookShare is Window. A broadcast has what the others can spare: while what was sent is recorded, the rest of its
// share is all that it can go on with. The few connections that a relay grants bound the others before theirs does.
var shares = map[string]int{LaneUrgent: 10, LaneDirect: 12, LaneBroadcast: Window - 25 - hookShare, LaneCampaign: 3}

// hookShare is the webhooks' own part of the window, in all lanes: addresses that strangers gave us may hang as long as they please, and must keep nobody else
// from being told.
const hookShare = 20

// idle waits between looks at the store when nothing rings: fast behind work, slower later.
const (
	pollFast = 250 * time.Millisecond
	pollSlow = time.Second
)

func (o *Outbox) ready() {
	o.once.Do(func() {
		o.quit, o.ended = make(chan struct{}), make(chan struct{})
		o.items, o.hurry = make(chan item, 2*Window), make(chan struct{}, 1)
		o.window, o.hooks = map[string]chan struct{}{}, make(chan struct{}, hookShare)
		for lane, share := range shares {
			o.window[lane] = make(chan struct{}, share)
		}
		o.turns = map[string]chan struct{}{}
		for _, lane := range lanes {
			for channel := range o.Channels {
				o.turns[pageLane(lane, channel)] = make(chan struct{}, 1)
			}
		}
		if o.Log == nil {
			o.Log = slog.New(slog.DiscardHandler)
		}
		o.holder = o.Holder + "." + strconv.FormatUint(rand.Uint64(), 36)
		o.metrics = newMeasures(o)
	})
}

func (o *Outbox) leaving() bool {
	select {
	case <-o.quit:
		return true
	default:
		return false
	}
}

func (o *Outbox) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.leaving() {
		close(o.quit)
	}
}

// lease is how long a claim holds unless it is renewed, by wall time.
func (o *Outbox) lease() time.Duration {
	if d := o.Room.Policy.Lease; d > 0 {
		return d
	}
	return 2 * time.Minute
}

// Run works until Stop is called, or ctx ends: then messages under way are cut. It returns when every goroutine that it started has
// ended.
func (o *Outbox) Run(ctx context.Context) error {
	o.ready()
	o.mu.Lock()
	if o.running {
		o.mu.Unlock()
		return errors.New("this outbox runs or ran already")
	}
	o.running = true
	var work context.Context
	work, o.abort = context.WithCancel(ctx)
	o.mu.Unlock()
	defer close(o.ended)
	defer o.abort()
	if err := o.metrics.register(o.Metrics); err != nil {
		return fmt.Errorf("measure the outbox: %w", err)
	}
	var hands, settler sync.WaitGroup
	start := func(wg *sync.WaitGroup, name string, fn func()) {
		wg.Add(1)
		fault.Go(o.Log, name, func() { defer wg.Done(); fn() })
	}
	start(&settler, "outbox settler", func() { o.settle(work) })
	start(&hands, "outbox expander", func() { o.expander(work, lanes[:2]) })
	start(&hands, "outbox expander", func() { o.expander(work, broadcastFirst) })
	start(&hands, "outbox subscriptions", func() { o.answerAsked(work) })
	start(&hands, "outbox deadlines", func() { o.watchDeadlines(work) })
	for name, ch := range o.Channels {
		for i := range max(len(lanes), o.Room.Policy.Workers) {
			mine := looks(i)
			start(&hands, "outbox "+name, func() { o.worker(work, ch, mine) })
		}
	}
	select {
	case <-o.quit:
	case <-ctx.Done():
		o.leave()
	}
	hands.Wait()
	close(o.items)
	settler.Wait()
	return nil
}

// broadcastFirst is the lanes in the order of those whose first duty is that a broadcast goes on.
var broadcastFirst = []string{LaneBroadcast, LaneUrgent, LaneDirect, LaneCampaign}

// looks is the lanes at which a channel's i-th worker looks, in this order.
func looks(i int) []string {
	switch i {
	case 0, 1:
		return lanes[:i+1]
	case 2:
		return broadcastFirst
	}
	return lanes
}

// Stop ends the outbox in order: no more claims, messages under way finish, their outcomes are recorded, leases go back. When ctx
// ends first, what is still under way is cut and Stop returns ctx's error at once.
func (o *Outbox) Stop(ctx context.Context) error {
	o.ready()
	o.leave()
	o.mu.Lock()
	running, abort := o.running, o.abort
	o.mu.Unlock()
	if !running {
		return nil
	}
	select {
	case <-o.ended:
		return nil
	case <-ctx.Done():
		abort()
		return ctx.Err()
	}
}

// rest waits, unless the outbox leaves before.
func (o *Outbox) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.quit:
	case <-ctx.Done():
	}
}

// claimLoop claims records of a kind and hands them to do, the first lane of the list first, until the outbox leaves.
func (o *Outbox) claimLoop(ctx context.Context, kind string, queues []string, do func(store.Meta)) {
	idle := pollFast
	for !o.leaving() {
		heard := o.Room.bell.Heard()
		m, ok, err := o.claim(ctx, kind, queues)
		switch {
		case ok:
			idle = pollFast
			o.guard(kind, func() { do(m) })
			continue
		case err != nil && ctx.Err() == nil:
			o.Log.Warn("the outbox cannot claim work", "kind", kind, "err", err)
			idle = pollSlow
		}
		timer := time.NewTimer(idle)
		select {
		case <-heard:
		case <-timer.C:
			idle = min(2*idle, pollSlow)
		case <-o.quit:
		}
		timer.Stop()
	}
}

func (o *Outbox) claim(ctx context.Context, kind string, queues []string) (store.Meta, bool, error) {
	for _, queue := range queues {
		metas, err := o.Room.DB.Claim(ctx, store.Lease{Kind: kind, Lane: queue, Holder: o.holder, For: o.lease(), Limit: 1})
		if err != nil || len(metas) > 0 {
			return slices.Concat(metas, []store.Meta{{}})[0], err == nil, err
		}
	}
	return store.Meta{}, false, nil
}

// guard keeps a hand alive when its work panics: what it held goes on when the lease ends.
func (o *Outbox) guard(what string, fn func()) {
	defer func() {
		if p := recover(); p != nil {
			o.Log.Error("the outbox panicked", "at", what, "panic", fmt.Sprint(p))
		}
	}()
	fn()
}

func (o *Outbox) expander(ctx context.Context, queues []string) {
	o.claimLoop(ctx, notices.Name, queues, func(m store.Meta) {
		if err := o.expand(ctx, m); err != nil && ctx.Err() == nil {
			// It is claimed again when the lease ends. Pages that were written stand and are sent.
			o.Log.Error("a notice cannot be expanded", "notice", m.ID, "err", err)
		}
	})
}

func (o *Outbox) worker(ctx context.Context, ch Channel, mine []string) {
	queues := make([]string, len(mine))
	for i, lane := range mine {
		queues[i] = pageLane(lane, ch.Name())
	}
	if o.released(ctx) {
		o.claimLoop(ctx, pages.Name, queues, func(m store.Meta) { o.work(ctx, ch, m) })
	}
}

// released returns once nothing holds what leaves, as a restore does until a person has looked; false when the outbox leaves before. A hold
// never begins while a store is open.
func (o *Outbox) released(ctx context.Context) bool {
	tick := time.NewTicker(pollSlow)
	defer tick.Stop()
	for said := ""; ; {
		var held string
		err := o.Room.DB.View(ctx, func(tx *store.Tx) (err error) {
			held, err = store.Held(tx)
			return err
		})
		switch {
		case err == nil && held == "":
			return true
		case err == nil && held != said:
			o.Log.Warn("messages are held back", "why", held)
			said = held
		}
		select {
		case <-tick.C:
		case <-o.quit:
			return false
		}
	}
}

func (o *Outbox) watchDeadlines(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-o.quit:
			return
		case <-tick.C:
		}
		o.guard("deadlines", func() {
			if _, err := o.Room.FireDeadlines(ctx, o.Room.DB.Now()); err != nil && ctx.Err() == nil {
				o.Log.Error("deadlines cannot be fired", "err", err)
			}
		})
	}
}
