package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"lifeline/comms"
	"lifeline/comms/commstest"
	"lifeline/store"
)

// texts tells everybody by text message through a provider that takes each at once, and then reports of each that it has arrived, from so many connections as
// a provider holds.
func (b bench) texts(ctx context.Context, engine string, e store.Engine) error {
	const reporters = 64
	t, err := commstest.Broadcast{Engine: e, Keys: b.keys, People: b.people}.Texts(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "texts      %-9s %d people in %.1f s: %.0f taken by the provider a second\n", engine, len(t.Keys), t.Took.Seconds(), float64(len(t.Keys))/t.Took.Seconds())
	var at atomic.Int64
	began, used := time.Now(), worked()
	errs := make([]error, reporters)
	var all sync.WaitGroup
	for w := range errs {
		all.Go(func() {
			for i := int(at.Add(1)) - 1; i < len(t.Keys) && errs[w] == nil; i = int(at.Add(1)) - 1 {
				errs[w] = t.Room.Callback(ctx, t.Keys[i], t.Refs[i], comms.Delivered, "")
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	took := time.Since(began)
	reach, err := t.Room.Reach(ctx, t.Update)
	if err != nil {
		return err
	}
	if reach.States[comms.Delivered] != len(t.Keys) {
		return fmt.Errorf("of %d texts %d were reported to have arrived", len(t.Keys), reach.States[comms.Delivered])
	}
	fmt.Fprintf(b.out, "texts      %-9s %d reports of the provider in %.1f s: %.0f/s, %.0f us of processor each\n", engine, len(t.Keys), took.Seconds(),
		float64(len(t.Keys))/took.Seconds(), float64((worked()-used).Microseconds())/float64(len(t.Keys)))
	return nil
}
