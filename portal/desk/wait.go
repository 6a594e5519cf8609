package desk

import (
	"context"
	"slices"
	"sync"
	"time"

	"lifeline/store"
)

// Wait is how long people in a queue waited for a first answer, as measured: no promise and no estimate.
type Wait struct {
	Answers int           // first answers of the last hours that it is computed from; 0: there were none
	Half    time.Duration // half of those people waited no longer than this
	Longest time.Duration // the longest that anybody is waiting now for a first answer; 0: nobody is
}

const (
	waitSpan = 4 * time.Hour    // how far back first answers count
	waitMost = 200              // how many of them, the newest
	waitHold = 30 * time.Second // how long a measurement is shown before the next one
)

// waits are the last measurements, by queue.
type waits struct {
	mu  sync.Mutex
	all map[string]measured
}

type measured struct {
	wait Wait
	at   time.Time
}

// maxWaits bounds how many queues are remembered at once; there is one for each open incident.
const maxWaits = 100

// Wait measures a queue, at most every half a minute: however many people look at their tickets, the store is asked as often as if one did.
func (d *Desk) Wait(ctx context.Context, queue string) (Wait, error) {
	d.waits.mu.Lock()
	defer d.waits.mu.Unlock()
	now := d.DB.Now()
	if m, ok := d.waits.all[queue]; ok && now.Sub(m.at).Abs() < waitHold {
		return m.wait, nil
	}
	var w Wait
	err := d.DB.View(ctx, func(tx *store.Tx) (err error) {
		w, err = measureWait(tx, queue)
		return err
	})
	if err != nil {
		return Wait{}, err
	}
	if d.waits.all == nil || len(d.waits.all) >= maxWaits {
		d.waits.all = map[string]measured{}
	}
	d.waits.all[queue] = measured{w, now}
	return w, nil
}

func measureWait(tx *store.Tx, queue string) (w Wait, err error) {
	var waited []time.Duration
	for rec, err := range tickets.Scan(tx, store.Query{Index: "answered", Equal: []any{queue}, Reverse: true, Limit: waitMost}) {
		if err != nil {
			return w, err
		}
		if t := rec.Value; tx.Now().Sub(t.AnswerAt) <= waitSpan {
			waited = append(waited, t.AnswerAt.Sub(t.FiledAt))
		}
	}
	w.Answers, w.Half = len(waited), half(waited)
	for rec, err := range tickets.Scan(tx, store.Query{Index: "queue", Equal: []any{queue, New}, Limit: 1}) { // the oldest in front
		if err != nil {
			return w, err
		}
		w.Longest = max(0, tx.Now().Sub(rec.Value.FiledAt))
	}
	return w, nil
}

// half is the time that at least half of the waits were within; 0 when there are none.
func half(waited []time.Duration) time.Duration {
	if len(waited) == 0 {
		return 0
	}
	slices.Sort(waited)
	return waited[(len(waited)-1)/2]
}
