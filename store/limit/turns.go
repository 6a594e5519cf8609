package limit

import (
	"context"
	"sync"
)

// Turns lets those of one process who take under the same key wait for each other, from [Look] until what they take is kept. They would else refuse each
// other's transactions, and where commits are shared everybody's beside them. How long that can last is bounded by the limit itself when whoever is
// refused by it leaves at once.
//
// The zero value is ready for use and safe for concurrent use.
type Turns struct {
	mu    sync.Mutex
	lines map[string]*line
}

// line is those who wait for a key, and whose turn it is.
type line struct {
	waiting int
	turn    chan struct{}
}

// Wait waits for the turn of a key, which lasts until done is called; more than once does no harm. Whoever waits for several asks for sorts of keys in the same order as
// everybody else.
func (t *Turns) Wait(ctx context.Context, key string) (done func(), err error) {
	t.mu.Lock()
	if t.lines == nil {
		t.lines = map[string]*line{}
	}
	l := t.lines[key]
	if l == nil {
		l = &line{turn: make(chan struct{}, 1)}
		t.lines[key] = l
	}
	l.waiting++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if l.waiting--; l.waiting == 0 {
			delete(t.lines, key)
		}
	}
	select {
	case l.turn <- struct{}{}:
		return sync.OnceFunc(func() { <-l.turn; leave() }), nil
	case <-ctx.Done():
		leave()
		return func() {}, ctx.Err()
	}
}
