package store

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"lifeline/store/fault"
)

// Recent keeps figures that take long to count, by what they are of: many look at the same time, and one count serves them all. Nobody waits for a
// count but who looks when nobody has for a while. The zero value is ready, and safe for concurrent use. What it hands out several hold: it must not be changed.
type Recent[T any] struct {
	mu  sync.Mutex
	all map[string]*recent[T]
}

type recent[T any] struct {
	figures T
	until   time.Time // by wall time: who looks later has it counted anew behind her
	past    time.Time // and who looks later than this waits for that
	busy    bool      // it is being counted
}

const (
	mostRecent  = 100         // are kept at once
	recentPart  = 10          // counting takes at most one part in so many of the time
	recentStays = time.Minute // behind until
)

// Of gives the figures that count gave less than hold ago, or less than ten times as long ago as it took. Those that are older, by up to a minute, are given once more,
// while count runs behind them. What count says is not large is not kept: it is counted whenever somebody looks.
func (r *Recent[T]) Of(ctx context.Context, of string, hold time.Duration, count func(context.Context) (figures T, large bool, err error)) (T, error) {
	r.mu.Lock()
	kept, now := r.all[of], time.Now()
	if kept != nil && now.Before(kept.past) {
		if !kept.busy && !now.Before(kept.until) {
			kept.busy = true
			fault.Go(slog.Default(), "count anew", func() {
				defer r.rest(kept)
				_, _ = r.count(context.WithoutCancel(ctx), of, hold, count) // who looks when these are past gets the error
			})
		}
		r.mu.Unlock()
		return kept.figures, nil
	}
	r.mu.Unlock()
	return r.count(ctx, of, hold, count)
}

func (r *Recent[T]) rest(kept *recent[T]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept.busy = false
}

func (r *Recent[T]) count(ctx context.Context, of string, hold time.Duration, count func(context.Context) (T, bool, error)) (T, error) {
	began := time.Now()
	figures, large, err := count(ctx)
	if err != nil {
		return figures, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !large {
		delete(r.all, of)
		return figures, nil
	}
	if r.all == nil || len(r.all) >= mostRecent {
		r.all = map[string]*recent[T]{}
	}
	until := time.Now().Add(max(hold, recentPart*time.Since(began)))
	r.all[of] = &recent[T]{figures: figures, until: until, past: until.Add(recentStays)}
	return figures, nil
}
