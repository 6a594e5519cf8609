package comms

import (
	"context"
	"math/rand/v2"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// item is one outcome on its way to the store, or the end of a run.
type item struct {
	run      *run
	key      string
	verdict  verdict
	attempts int
	ref      string
	known    *boardDelivery // what was read when the page was claimed; nil: not known any more
	channel  string         // set when it counts as an attempt
	token    chan struct{}  // its place in the window, free once recorded
	recorded chan struct{}  // not nil: closed once it is recorded, or lost
	finish   bool
}

// awaited says that somebody goes on only once it is recorded.
func (it item) awaited() bool { return it.finish || it.recorded != nil }

// hand gives an outcome to the settler.
func (o *Outbox) hand(it item) {
	if it.awaited() {
		o.wanted.Add(1)
	}
	if o.items <- it; it.awaited() || len(o.items) >= enough {
		o.hurryUp()
	}
}

// hurryUp has the settler look whether somebody waits for what has gathered, or it is enough.
func (o *Outbox) hurryUp() {
	select {
	case o.hurry <- struct{}{}:
	default: // it was told
	}
}

// mostSettled bounds one transaction of outcomes.
const mostSettled = 2 * Window

// settleWait is how long an outcome waits for others to share its transaction, which costs nearly as much for one as for many, and hurryWait how long
// when somebody waits: for a place in the window, or for what was recorded. Once enough have gathered none waits longer; the rest of the window then lasts for those under way
// while they are written.
const (
	settleWait = 8 * time.Millisecond
	hurryWait  = time.Millisecond
	enough     = 110
)

func chance() float64 { return rand.Float64() }

// settle takes all outcomes that have gathered, writes them in one transaction, and frees their places in the window. While the store
// takes no writes the places stay taken, so that sending stops within the window.
func (o *Outbox) settle(ctx context.Context) {
	batch := make([]item, 0, mostSettled)
	room := make([]boardDelivery, mostSettled)
	late := time.NewTimer(0)
	defer late.Stop()
	for first := range o.items {
		batch = append(batch[:0], first)
		o.othersGather(late)
	gather:
		for len(batch) < mostSettled {
			select {
			case it, ok := <-o.items:
				if !ok {
					break gather
				}
				batch = append(batch, it)
			default:
				break gather
			}
		}
		dropped, ok := o.recordAll(ctx, batch, room)
		for i, it := range batch {
			if it.token != nil {
				<-it.token
			}
			if it.recorded != nil {
				close(it.recorded)
			}
			if it.awaited() {
				o.wanted.Add(-1)
			}
			if ok && !dropped[i] {
				o.metrics.settled(it)
			}
			if it.finish {
				close(it.run.done)
			}
		}
	}
}

// othersGather returns when the outcomes that have come in the meantime are to be written.
func (o *Outbox) othersGather(late *time.Timer) {
	late.Reset(settleWait)
	for hurried := false; len(o.items) < enough; {
		if !hurried && o.wanted.Load() > 0 {
			hurried = true
			late.Reset(hurryWait)
		}
		select {
		case <-late.C:
			return
		case <-o.hurry:
		}
	}
}

// recordAll writes a batch, and tries again for as long as the store refuses. It gives up only when ctx has ended: what it then leaves is what a
// crash would leave.
func (o *Outbox) recordAll(ctx context.Context, batch []item, room []boardDelivery) (dropped []bool, ok bool) {
	pause := 50 * time.Millisecond
	for try := 1; ; try++ {
		write, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		err := o.Room.DB.Update(write, store.Act{}, func(tx *store.Tx) (err error) {
			dropped, err = apply(tx, batch, room, try == 1)
			return err
		})
		cancel()
		switch k := fault.Of(err); {
		case err == nil:
			for i := range batch {
				if dropped[i] && !batch[i].finish {
					o.Log.Warn("an outcome came after its lease was lost and is not recorded", "delivery", batch[i].key, "state", string(batch[i].verdict.State))
				}
			}
			return dropped, true
		case ctx.Err() != nil:
			o.Log.Error("outcomes are lost: the store takes no writes and the outbox was told to end", "outcomes", len(batch), "err", err)
			return nil, false
		case try < 4 && (k == fault.Fenced || k == fault.Stale || k == fault.Conflict):
			continue // somebody took a page or reported on a delivery meanwhile; the next reading sees it
		default:
			o.Log.Error("outcomes cannot be recorded; sending stops until they can", "outcomes", len(batch), "err", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		pause = min(2*pause, 2*time.Second)
	}
}

// apply records a batch and says which items came too late: their page is somebody else's by now. With trusting it takes what the
// items know of their deliveries for what stands: the versions tell when that is wrong. room is memory for as many deliveries as there are items, whose content nobody needs
// afterwards.
func apply(tx *store.Tx, batch []item, room []boardDelivery, trusting bool) (dropped []bool, err error) {
	dropped = make([]bool, len(batch))
	b := newBoard(tx)
	b.deliveries = make(map[string]*boardDelivery, len(batch))
	unread := map[*run]int{}
	for i, it := range batch {
		if trusting && it.known != nil {
			known := &room[i]
			*known = *it.known
			if p, err := b.page(it.run.id); err != nil {
				return nil, err
			} else if known.row == 0 || p.fates[known.row-1].State == "" { // else somebody reported on it meanwhile
				b.deliveries[it.key] = known
			}
		}
		if !trusting || it.known == nil || it.run.page.Mixed {
			unread[it.run]++
		} else if _, ok := unread[it.run]; !ok {
			unread[it.run] = 0
		}
	}
	lost := map[*run]bool{}
	for i, it := range batch {
		p, err := b.page(it.run.id)
		if err != nil {
			return nil, err
		}
		if n, first := unread[it.run]; first {
			delete(unread, it.run)
			m := it.run.meta
			if p.meta.Holder != m.Holder || p.meta.Epoch != m.Epoch {
				lost[it.run] = true
			} else if err := pages.Fence(tx, it.run.id, m.Holder, m.Epoch); err != nil {
				return nil, err
			} else if n > prefetchFrom {
				if _, err := b.prefetch(p); err != nil {
					return nil, err
				}
			}
		}
		switch {
		case lost[it.run]:
			dropped[i] = true
		case it.finish:
			err = b.end(p, it.run)
		case it.channel != "" && it.verdict.State == Suppressed:
			err = b.optedOut(it.run.o.Room, it.key, it.verdict.Reason, it.attempts, it.ref)
		case it.channel != "" && it.verdict.State == Failed:
			err = b.failed(it.run.o.Room, it.key, it.verdict, it.attempts, it.ref)
		default:
			err = b.record(it.key, it.verdict, it.attempts, it.ref)
		}
		if err == nil && it.channel == ChannelWebhook && !dropped[i] {
			err = it.run.o.Room.heard(tx, it.key, it.verdict.State)
		}
		if err != nil {
			return nil, err
		}
	}
	return dropped, b.write()
}

// prefetchFrom is the number of outcomes of a page from which one walk over it costs less than reading each.
const prefetchFrom = 32

// end releases a page: it is worked on again when its earliest retry is due, at once when some were not started, or never.
func (b *board) end(p *boardPage, r *run) error {
	due := r.due()
	if !p.Again.IsZero() && (due.IsZero() || p.Again.Before(due)) {
		due = p.Again
	}
	p.Again = time.Time{}
	if !due.IsZero() {
		n, err := b.notice(p.Notice)
		if err != nil {
			return err
		}
		if n.State == StoppedHere {
			due = time.Now().UTC() // to be suppressed
		}
	}
	p.Clean, p.release = r.meta.Epoch, true
	return b.finish(p, due)
}
