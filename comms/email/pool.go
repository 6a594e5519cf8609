package email

import (
	"container/list"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"lifeline/comms"
)

// relay is the pool's view of one server. The pool's lock guards it.
type relay struct {
	Relay
	at int // its place in the order of preference

	busy       int // slots handed out
	up         int // sessions that stand, in use or idle
	idle       []*session
	quota      int // how many sessions at once
	quotaUntil time.Time

	fails    int // troubles in a row
	pause    time.Time
	probing  bool      // the pause is over and one message is finding out
	chunks   bool      // its sessions take several messages in one turn
	apart    time.Time // until then it is given one message at a time
	why      string    // the last trouble
	progress time.Time
}

// pool hands out sessions: those of the first relay that is fit, in the order given. A relay in trouble is left alone for a
// pause that grows, one message then finds out; a relay that is full and answers nobody is passed over. Every relay has
// its own quota, so one that hangs holds up no more messages than its quota.
type pool struct {
	log    *slog.Logger
	t      Timeouts
	quota  int
	now    func() time.Time
	relays []*relay

	mu       sync.Mutex
	waiting  *list.List // of *waiter, oldest first
	retrying int        // those among them that some relay has failed already
	inflight int
	closed   bool
	drained  chan struct{} // closed when closed and nothing is in flight
}

// waiter is a message that waits for a session.
type waiter struct {
	tried  uint64
	env    envelope
	size   int        // bytes of its content
	many   bool       // it is several: no session is promised to it
	ready  chan *slot // of one; nil says: look again
	queued bool
	steps  []step // its commands, once a session was promised to it
	gone   bool   // it waits no longer
}

// slot is the right to use one session of a relay; session is nil when it is yet to be dialled.
type slot struct {
	relay   *relay
	session *session
	taken   time.Time
	given   []step  // commands of this message that went out behind the message before, their answers not read
	next    *waiter // whose commands went out behind this message: the session is its own next
}

func newPool(relays []Relay, quota int, t Timeouts, log *slog.Logger) *pool {
	p := &pool{log: log, t: t, quota: quota, now: time.Now, waiting: list.New(), drained: make(chan struct{})}
	for i, r := range relays {
		p.relays = append(p.relays, &relay{Relay: r, at: i, quota: quota})
	}
	return p
}

// enter counts a message in; false once the pool is closed.
func (p *pool) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.inflight++
	return true
}

func (p *pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inflight--
	if p.closed && p.inflight == 0 {
		close(p.drained)
	}
}

// verdict is what pick found for a message.
type verdict int

const (
	take verdict = iota // here is a slot
	wait                // a fit relay is full: wait for it
	none                // every relay is paused or was tried
)

// pick finds a slot for a message. The caller holds the lock. With wait comes how long the waiting makes sense.
func (p *pool) pick(tried uint64, now time.Time) (*slot, verdict, time.Duration) {
	full := false
	for _, r := range p.relays {
		if tried&(1<<r.at) != 0 || now.Before(r.pause) {
			continue
		}
		if r.quota < p.quota && now.After(r.quotaUntil) {
			r.quota = p.quota
		}
		if r.fails > 0 && r.probing {
			full = true
			continue
		}
		if r.busy < r.quota {
			return r.take(now), take, 0
		}
		full = true
		if left := p.t.Stall - now.Sub(r.progress); left > 0 && len(p.relays) > 1 {
			return nil, wait, left
		}
	}
	switch {
	case !full:
		return nil, none, 0
	case len(p.relays) == 1:
		return nil, wait, p.t.Queue
	}
	return nil, wait, p.t.Stall
}

func (r *relay) take(now time.Time) *slot {
	s := &slot{relay: r, taken: now}
	r.busy++
	r.probing = r.fails > 0
	if n := len(r.idle); n > 0 {
		s.session = r.idle[n-1]
		r.idle = r.idle[:n-1]
	}
	if r.busy == 1 {
		r.progress = now // the relay was idle: it has not stalled
	}
	return s
}

// acquire waits for a slot. Without one it says why, and when it makes sense to come again.
func (p *pool) acquire(ctx context.Context, who waiter) (*slot, *refusal) {
	deadline := p.now().Add(p.t.Queue)
	for {
		p.mu.Lock()
		now := p.now()
		if p.closed {
			p.mu.Unlock()
			return nil, &refusal{reason: "the mailer is closing"}
		}
		s, v, patience := p.pick(who.tried, now)
		if v == take {
			p.mu.Unlock()
			return s, nil
		}
		if v == none || !now.Before(deadline) {
			defer p.mu.Unlock()
			return nil, p.refuse(who.tried, now, v)
		}
		w := &waiter{tried: who.tried, env: who.env, size: who.size, many: who.many, ready: make(chan *slot, 1)}
		e := p.enqueue(w)
		p.mu.Unlock()

		timer := time.NewTimer(min(patience, deadline.Sub(now)))
		select {
		case s = <-w.ready:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if s == nil {
			s = p.withdraw(e, w)
		}
		if ctx.Err() != nil {
			if s != nil {
				p.release(s, result{})
			}
			return nil, &refusal{reason: "stopped while waiting for a connection: " + context.Cause(ctx).Error()}
		}
		if s != nil {
			return s, nil
		}
	}
}

// enqueue and dequeue keep the queue and its count; the caller holds the lock. Several that travel together let everybody else go first: a code that
// somebody waits for must not stand behind a broadcast, of which each turn takes as long as all its messages.
func (p *pool) enqueue(w *waiter) *list.Element {
	if w.tried != 0 {
		p.retrying++
	}
	w.queued = true
	for e := p.waiting.Front(); e != nil && !w.many; e = e.Next() {
		if e.Value.(*waiter).many {
			return p.waiting.InsertBefore(w, e)
		}
	}
	return p.waiting.PushBack(w)
}

func (p *pool) dequeue(e *list.Element) *waiter {
	w := p.waiting.Remove(e).(*waiter)
	if w.queued && w.tried != 0 {
		p.retrying--
	}
	w.queued = false
	return w
}

// withdraw takes a waiter out of the queue; a slot that was handed to it in the same moment is its own.
func (p *pool) withdraw(e *list.Element, w *waiter) *slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dequeue(e)
	w.gone = true
	select {
	case s := <-w.ready:
		return s
	default:
		return nil
	}
}

// follow promises a session to the message that has waited longest: its commands may travel behind the content of the message that has the session
// now, which saves it a round trip (RFC 2920). It gives those commands; none when nobody waits, or whoever does could not go on here.
func (p *pool) follow(s *slot) []step {
	if !s.session.pipelining {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.waiting.Front()
	if e == nil || p.closed || s.relay.fails > 0 || s.relay.busy > s.relay.quota {
		return nil
	}
	w := e.Value.(*waiter)
	if w.many || w.tried&(1<<s.relay.at) != 0 || w.env.utf8 && !s.session.utf8 {
		return nil
	}
	p.dequeue(e)
	w.steps = s.session.steps(w.env, w.size, false)
	s.next = w
	return w.steps
}

// handOn gives a session to whom it was promised. Not ok: it broke, or whoever waited has gone and left commands in it that nobody goes on with.
// The caller holds the lock.
func (p *pool) handOn(s *slot, res result, now time.Time) (ok bool) {
	w := s.next
	if w == nil {
		return false
	}
	s.next = nil
	switch {
	case res.broken:
		w.ready <- nil
	case w.gone:
		return false
	default:
		w.ready <- &slot{relay: s.relay, session: s.session, taken: now, given: w.steps}
		return true
	}
	return false
}

// refusal is why no relay could be asked.
type refusal struct {
	reason string
	wait   time.Duration
}

// outcome is what it comes to for a message that has met these troubles before.
func (f *refusal) outcome(troubles []string) comms.Outcome {
	if f.reason != "" {
		troubles = append(troubles, f.reason)
	}
	return comms.Outcome{State: comms.Deferred, Reason: "no relay took it: " + clean(strings.Join(troubles, "; ")), Wait: f.wait}
}

func (p *pool) refuse(tried uint64, now time.Time, v verdict) *refusal {
	f := &refusal{}
	var reasons []string
	for _, r := range p.relays {
		if left := r.pause.Sub(now); left > 0 && (f.wait == 0 || left < f.wait) {
			f.wait = left
		}
		if tried&(1<<r.at) != 0 {
			continue
		}
		switch {
		case now.Before(r.pause):
			reasons = append(reasons, fmt.Sprintf("%s %s", r, r.why))
		case v == wait:
			reasons = append(reasons, fmt.Sprintf("%s all %d connections busy", r, r.busy))
		}
	}
	f.reason = strings.Join(reasons, "; ")
	return f
}

// dialled notes a session that now stands.
func (p *pool) dialled(s *slot, session *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.session = session
	s.relay.up++
	s.relay.chunks = session.chunking
}

// takesSeveral says whether some relay would take several messages in one turn.
func (p *pool) takesSeveral() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for _, r := range p.relays {
		if r.up > 0 && r.severalAt(now) {
			return true
		}
	}
	return false
}

func (r *relay) severalAt(now time.Time) bool {
	return r.chunks && r.fails == 0 && !now.Before(r.apart)
}

// forSeveral says whether a slot's session stands and takes several in one turn. One that is yet to be dialled shows with one message what its relay is like.
func (p *pool) forSeveral(s *slot) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.session != nil && s.session.chunking && s.relay.severalAt(p.now())
}

// release gives a slot back with what became of it, and hands what is free to those who wait. It says whether the message
// may try the same relay again.
func (p *pool) release(s *slot, res result) (again bool) {
	p.mu.Lock()
	now, r := p.now(), s.relay
	var surplus []*session
	promised := s.next != nil
	if res.lost > 1 {
		r.apart = now.Add(p.t.PauseMax)
	}
	handed := p.handOn(s, res, now)
	if !handed {
		r.busy--
	}
	switch {
	case s.session == nil, handed:
	case res.broken:
		r.up--
	case p.closed, promised, s.given != nil: // in the last two, commands were given and nobody goes on with them
		r.up--
		surplus = append(surplus, s.session)
	default:
		s.session.idle = now
		r.idle = append(r.idle, s.session)
	}
	switch {
	case res.crowded && r.up > 0:
		again, r.probing = true, false
		r.quota, r.quotaUntil = r.up, now.Add(p.t.PauseMax)
		p.log.Warn("mail relay takes no more connections; using fewer", "relay", r.String(), "connections", r.quota)
	case res.stale:
		again, r.probing = true, false
		surplus = append(surplus, r.drop()...)
	case res.blame == blameRelay:
		surplus = append(surplus, r.drop()...)
		p.trouble(r, s, res.out.Reason, now)
	case s.session != nil && !res.elsewhere && !res.broken && res.out.State != "":
		if r.fails > 0 {
			p.log.Info("mail relay works again", "relay", r.String())
		}
		r.fails, r.probing, r.pause, r.progress = 0, false, time.Time{}, now
	default:
		r.probing = false
	}
	p.dispatch(now)
	p.mu.Unlock()
	for _, old := range surplus {
		old.abort()
	}
	return again
}

// drop takes the idle sessions of a relay away: when one has gone, the others have most likely gone with it.
func (r *relay) drop() []*session {
	old := r.idle
	r.idle = nil
	r.up -= len(old)
	return old
}

// trouble opens the breaker of a relay, or opens it for longer. Sessions that were taken before the breaker opened and fail
// after it tell nothing new.
func (p *pool) trouble(r *relay, s *slot, why string, now time.Time) {
	r.why, r.probing = why, false
	if r.fails > 0 && s.taken.Before(r.pause) && now.Before(r.pause) {
		return
	}
	r.fails++
	r.pause = now.Add(pause(r.fails, p.t.Pause, p.t.PauseMax, rand.Float64()))
	p.log.Warn("mail relay in trouble; leaving it alone", "relay", r.String(), "reason", why, "for", r.pause.Sub(now).Round(time.Millisecond))
}

// pause is how long a relay is left alone after so many troubles in a row: doubled each time up to most, less up to half by
// chance, so that many processes do not come back as one.
func pause(fails int, first, most time.Duration, chance float64) time.Duration {
	d := most
	if shift := fails - 1; shift < 30 && first<<shift < most {
		d = first << shift
	}
	return d - time.Duration(chance*float64(d)/2)
}

// dispatch hands free slots to those who wait, oldest first. The caller holds the lock.
func (p *pool) dispatch(now time.Time) {
	for e := p.waiting.Front(); e != nil; {
		next := e.Next()
		s, v, _ := p.pick(e.Value.(*waiter).tried, now)
		switch {
		case v != wait:
			p.dequeue(e).ready <- s
		case p.retrying == 0:
			return // whoever came later would wait as well
		}
		e = next
	}
}

// sweep closes sessions that have been idle for too long: relays and firewalls forget them, some without a word.
func (p *pool) sweep() {
	var old []*session
	p.mu.Lock()
	limit := p.now().Add(-p.t.Idle)
	for _, r := range p.relays {
		n := 0
		for n < len(r.idle) && r.idle[n].idle.Before(limit) {
			n++
		}
		old = append(old, r.idle[:n]...)
		r.idle = append(r.idle[:0:0], r.idle[n:]...)
		r.up -= n
	}
	p.mu.Unlock()
	for _, s := range old {
		s.quit()
	}
}

// close refuses new messages, waits for those in flight, and returns the sessions that are left.
func (p *pool) close() []*session {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		if p.inflight == 0 {
			close(p.drained)
		}
		for e := p.waiting.Front(); e != nil; e = p.waiting.Front() {
			p.dequeue(e).ready <- nil
		}
	}
	p.mu.Unlock()
	<-p.drained
	p.mu.Lock()
	defer p.mu.Unlock()
	var rest []*session
	for _, r := range p.relays {
		rest = append(rest, r.drop()...)
	}
	return rest
}
