package comms

import (
	"context"
	"slices"
	"sync"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// What a provider reports of its messages comes at the pace at which they arrive: of a broadcast by text, hundreds a second about the same few pages. Reports
// that come while others are written wait for them, and are then written together, so a page is read and written once for all of them.

// callback is one report, and who waits for it to be written.
type callback struct {
	key, ref string
	state    State
	reason   string
	read     string // not a provider's, but how far the person came: see [board.noteRead]

	turn chan bool // of one: true, to write those that wait; false, err is the answer
	err  error
}

// callbacks are the reports that wait for those that are being written. Whoever finds nobody writing writes; she takes all that wait, and then hands that
// on to the first who came meanwhile.
type callbacks struct {
	mu      sync.Mutex
	waiting []*callback
	writing bool
}

// mostCallbacks bounds one transaction of reports.
const mostCallbacks = PageSize

// writeCallbacks is how long a provider is kept waiting for one transaction.
const writeCallbacks = 10 * time.Second

// Callback takes a provider's report on a message that it took. Reports come late, twice and in any order; one that ranks no higher than
// what stands changes nothing. A report on an older copy of a message that was sent again counts only if it is good news. Suppressed says
// that the address has opted out: see [board.optedOut]. An unknown key is fault.NotFound. It returns once the report is written, whatever becomes of ctx meanwhile.
func (r *Room) Callback(ctx context.Context, key, ref string, state State, reason string) error {
	if _, err := parseKey(key); err != nil {
		return err
	}
	if state != Sending && state != Sent && state != Delivered && state != Failed && state != Suppressed {
		return fault.BadField("state", "%.40q is not what a provider can report", string(state))
	}
	return r.take(ctx, &callback{key: key, ref: ref, state: state, reason: reason})
}

// take has one report written, with those that came meanwhile.
func (r *Room) take(ctx context.Context, one *callback) error {
	one.turn = make(chan bool, 1)
	if !r.callbacks.join(one) && !<-one.turn {
		return one.err
	}
	group := r.callbacks.take()
	defer r.callbacks.handOn(group, one)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeCallbacks)
	defer cancel()
	r.report(ctx, group)
	return one.err
}

// join queues a report; true: nobody is writing, and the caller is to.
func (c *callbacks) join(one *callback) (write bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, one)
	write, c.writing = !c.writing, true
	return write
}

// take gives the next group to whoever writes, her own report in it: she has waited longest.
func (c *callbacks) take() []*callback {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(mostCallbacks, len(c.waiting))
	group := slices.Clone(c.waiting[:n])
	c.waiting = slices.Delete(c.waiting, 0, n)
	for _, one := range group {
		one.err = fault.New(fault.Unknown, "nobody knows whether this report was kept; it is safe to send it again") // should writing it panic
	}
	return group
}

// handOn answers a group, and has the first who waits write next.
func (c *callbacks) handOn(group []*callback, writer *callback) {
	for _, one := range group {
		if one != writer {
			one.turn <- false
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing = len(c.waiting) > 0; c.writing {
		c.waiting[0].turn <- true
	}
}

// report writes a group of reports: together, or where that fails each alone, so that one that cannot be written holds up no other.
func (r *Room) report(ctx context.Context, group []*callback) {
	err := r.reportAll(ctx, group)
	for _, one := range group {
		if one.err = err; err != nil && len(group) > 1 {
			one.err = r.reportAll(ctx, []*callback{one})
		}
	}
}

func (r *Room) reportAll(ctx context.Context, group []*callback) error {
	for try := 1; ; try++ {
		err := r.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
			b := newBoard(tx)
			about := map[string]int{} // pages, by how many reports
			for _, one := range group {
				if err := b.ahead(one.key, about); err != nil {
					return err
				}
				if err := b.report(r, *one); err != nil {
					return err
				}
			}
			return b.write()
		})
		if k := fault.Of(err); try < 5 && (k == fault.Stale || k == fault.Conflict) { // a worker was faster
			continue
		}
		return err
	}
}

// ahead reads a delivery, and with the second of a page all of it: to read one by one unpacks the page's roster for each.
func (b *board) ahead(key string, about map[string]int) error {
	d, err := b.delivery(key)
	if err != nil || d.row == 0 {
		return err
	}
	k, err := parseKey(key)
	if err != nil {
		return err
	}
	id := pageID(k.Notice, d.Page, k.Channel)
	if about[id]++; about[id] != 2 {
		return nil
	}
	p, err := b.page(id)
	if err == nil && !p.read {
		_, err = b.prefetch(p)
	}
	return err
}

// report takes one report.
func (b *board) report(r *Room, one callback) error {
	if one.read != "" {
		return b.noteRead(r, one.key, one.read)
	}
	d, err := b.delivery(one.key)
	if err != nil {
		return err
	}
	ref, reason := clip(one.ref, 100), clip(one.reason, mostReason)
	other := one.ref != "" && d.Ref != "" && d.Ref != one.ref
	switch lost := one.state == Failed || one.state == Suppressed; {
	case one.state == Sending || one.state.Rank() <= d.State.Rank() || other && lost || slices.Contains(d.Past, one.ref):
		return nil
	case one.state == Suppressed:
		b.tx.After(r.bell.Ring)
		return b.optedOut(r, one.key, reason, d.Attempts, ref)
	case one.state == Failed:
		b.tx.After(r.bell.Ring)
		return b.failed(r, one.key, verdict{State: Failed, Reason: reason}, d.Attempts, ref)
	}
	next := d.Delivery
	next.State, next.Reason, next.Next = one.state, reason, time.Time{}
	if ref != "" {
		next.Ref = ref
	}
	return b.put(one.key, next)
}
