package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Small writers share a transaction. An Update whose function reads nothing is no more than its writes, each with the version that it
// succeeds, and so it means the same whatever others write beside it. What queues while one transaction is under way goes into the next one
// together: a statement for each kind and a sync for all, with no timer. When a shared transaction is refused nothing of it is kept and
// each of those who shared it tries again alone, so nobody is told of another's fault, and values that change hands find a way. When its
// outcome is unknown, it is so for all.

const (
	hands     = 2    // shared transactions at a time: one awaits its sync while the next is filled
	mostCalls = 256  // in one of them: a bound on how much a lost answer to COMMIT leaves unknown
	mostSmall = 64   // writes of a call that is small
	longest   = 4096 // calls that wait
)

// call is the writes of one Update on their way to a shared commit.
type call struct {
	writes  store.Writes
	swaps   bool // a unique value may change hands among them, which only a transaction of their own sees to
	stage   atomic.Int32
	result  chan error
	abandon func() // its caller no longer waits for the outcome; set before it is under way
}

// The stages of a call. Whoever moves it out of waiting decides: a hand, which then writes it, or its caller, who leaves.
const (
	waiting int32 = iota
	underWay
	left
)

func (c *call) leave() bool { return c.stage.CompareAndSwap(waiting, left) }

// errAlone says that nothing of a call was kept, and that it may succeed in a transaction of its own.
var errAlone = errors.New("the shared transaction was refused")

var (
	errClosed = fault.New(fault.Unavailable, "the store is closed")
	errBusy   = fault.New(fault.Unavailable, busy)
)

const busy = "the store is busy; try again in a moment"

const unknown = "nobody knows whether this was kept; it is safe to retry with the same idempotency key"

// small makes a call of writes that were made without reading anything, if they may be shared with those of others; else nil.
func (e *Engine) small(writes store.Writes) *call {
	if len(writes) > mostSmall {
		return nil
	}
	tables := *e.tables.Load()
	c := &call{writes: writes, result: make(chan error, 1)}
	unique, updates := map[string]int{}, map[string]bool{}
	for _, w := range writes {
		t := tables[w.Kind]
		if t == nil || w.Touch && w.Lease == store.LeaseKeep { // is refused, or reads
			return nil
		}
		if !t.hasUnique() || w.Touch || w.Remove {
			continue
		}
		unique[w.Kind]++
		updates[w.Kind] = updates[w.Kind] || w.Was != 0
		c.swaps = c.swaps || updates[w.Kind] && unique[w.Kind] > 1 // see findFree; as a rule each keeps its own value
	}
	return c
}

// share has a call's writes committed together with those of others, and returns their outcome.
func (e *Engine) share(ctx context.Context, c *call) error {
	select {
	case <-e.done:
		return errClosed
	default:
	}
	select {
	case e.queue <- c:
	default:
		return errBusy
	}
	patience := time.NewTimer(e.patience)
	defer patience.Stop()
	gone, late, closed := ctx.Done(), patience.C, e.done
	for {
		select {
		case err := <-c.result:
			return err
		case <-gone:
			if c.leave() {
				return ctx.Err()
			}
			c.abandon()
			return fault.Wrap(fault.Unknown, ctx.Err(), unknown)
		case <-late:
			if c.leave() {
				return errBusy
			}
			late = nil
		case <-closed:
			if c.leave() {
				return errClosed
			}
			closed = nil
		}
	}
}

// hand commits together what waits, again and again, until the engine closes.
func (e *Engine) hand() {
	for {
		select {
		case c := <-e.queue:
			e.together(e.gather(c))
		case <-e.done:
			return
		}
	}
}

// gather takes along all that wait and have no record and no unique value in common. It lets others run before it takes the queue to be
// empty: those whom the last commit answered are about to ask again.
func (e *Engine) gather(first *call) []*call {
	tables := *e.tables.Load()
	taken := map[string]bool{}
	group := []*call{first}
	note(taken, tables, first.writes)
	for yielded := false; len(group) < mostCalls; {
		select {
		case c := <-e.queue:
			if note(taken, tables, c.writes) {
				group, yielded = append(group, c), false
			} else {
				c.result <- errAlone
			}
			continue
		default:
		}
		if yielded {
			break
		}
		runtime.Gosched()
		yielded = true
	}
	return group
}

// note takes what writes are about, or nothing when one of it is taken.
func note(taken map[string]bool, tables map[string]*table, writes store.Writes) bool {
	var keys []string
	for _, w := range writes {
		keys = append(keys, w.Kind+"\x00"+w.ID)
		if t := tables[w.Kind]; t != nil {
			for i, ix := range t.kind.Indexes {
				if ix.Unique && i < len(w.Tuples) && w.Tuples[i] != nil {
					keys = append(keys, w.Kind+"."+ix.Name+"\x00"+string(w.Tuples[i]))
				}
			}
		}
	}
	for _, key := range keys {
		if taken[key] {
			return false
		}
	}
	for _, key := range keys {
		taken[key] = true
	}
	return true
}

// together commits a group's writes and answers its callers. It goes on as long as one of them waits.
func (e *Engine) together(group []*call) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var callers atomic.Int64
	var writes store.Writes
	staying := group[:0]
	for _, c := range group {
		c.abandon = func() {
			if callers.Add(-1) == 0 {
				cancel()
			}
		}
		callers.Add(1)
		if c.stage.CompareAndSwap(waiting, underWay) {
			staying, writes = append(staying, c), append(writes, c.writes...)
		} else {
			callers.Add(-1)
		}
	}
	if len(staying) == 0 {
		return
	}
	err := fmt.Errorf("commit: %w", fault.New(fault.Unknown, unknown)) // should what follows panic
	defer func() {
		if p := recover(); p != nil {
			e.log.Error("a shared commit panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
		for _, c := range staying {
			c.result <- err
		}
	}()
	err = e.writeAll(ctx, writes)
	if (len(staying) > 1 || staying[0].swaps) && refusal(err) {
		err = errAlone
	}
}

// refusal says whether err speaks of what was written, and so perhaps of one of several callers.
func refusal(err error) bool {
	switch fault.Of(err) {
	case "", fault.Unknown:
		return false
	case fault.Unavailable:
		return worthAnother(err)
	}
	return true
}

// writeAll commits writes that nothing was read for.
func (e *Engine) writeAll(ctx context.Context, writes store.Writes) error {
	s := &snapshot{ctx: ctx, engine: e, options: serializable, tables: *e.tables.Load(), shared: true}
	defer s.end()
	if err := s.apply(writes); err != nil {
		return err
	}
	return commit(ctx, s.tx, true)
}
