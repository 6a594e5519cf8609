package desk

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
)

// Whoever asks for a code to an address that she typed must not learn, by how long her answer takes, whether the address is known: neither from what is
// looked up nor from what is written. So her request notes the question and nothing else, one row that has the same fields whatever is known, and what
// is known is looked up behind her answer, by whoever runs [Desk.RunCodes]. The note is kept before she is answered, so that no crash loses it.

// asked is what a question that was noted has to say to whoever looks.
type asked struct {
	Number string `json:"number,omitempty"` // of the ticket, as it was typed
	Locale string `json:"locale,omitempty"`

	Held time.Time `json:"held,omitzero"` // somebody is at it until then
}

// unseen says whether nothing may be looked up for the answer: a stranger typed the address.
func (in Ask) unseen() bool {
	return strings.HasPrefix(in.By, "public:") && in.Why != ToProve && in.Yours == nil
}

// noteAsk notes that a code is asked for.
func (d *Desk) noteAsk(ctx context.Context, in Ask) (sent Sent, err error) {
	var q question
	var taking []limit.Taking
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		switch in.Why {
		case ToReach: // in a ticket that she has opened, and whose address she may mean
			a, err := d.prepare(tx, in)
			if q = a.q; err != nil {
				return err
			}
		case ToRegain, ToOpen:
			if q.Channel, q.Address, err = d.readAddress(in.To); err != nil {
				return err
			}
		default:
			return errWhy()
		}
		taking, err = d.mayAsk(tx, in, q)
		return err
	})
	if err != nil {
		return sent, err
	}
	id := questions.NewID()
	err = d.DB.Update(ctx, store.Act{By: in.By, Verb: "identity.ask"}, func(tx *store.Tx) error {
		for _, t := range taking {
			if err := t.In(tx); err != nil {
				return err
			}
		}
		q = question{id: id, Sort: string(in.Why), Case: id, Channel: q.Channel, Address: q.Address, By: in.By, At: tx.Now(), Until: tx.Now().Add(d.Policy.Identity.Code),
			Asked: &asked{Number: clip(in.Number), Locale: in.Locale}}
		tx.On(id)
		tx.After(d.asks.Ring)
		sent = q.sent()
		return questions.Put(tx, id, q, 0)
	})
	return sent, err
}

const (
	codesEvery  = time.Second // how often somebody looks for what another replica left behind
	mostCodes   = 200         // are looked up in one go
	codesAtOnce = 8           // so that they share commits
	codeHeld    = 30 * time.Second
)

// RunCodes sends the codes that strangers asked for until ctx ends. What one replica does not come to, another does; each is sent once.
func (d *Desk) RunCodes(ctx context.Context) {
	tick := time.NewTicker(codesEvery)
	defer tick.Stop()
	for {
		heard := d.asks.Heard()
		n, err := d.SendCodes(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			d.Log.Warn("codes that were asked for were not sent; they are tried again", "err", err)
		case n == mostCodes:
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-heard:
		case <-tick.C:
		}
	}
}

// SendCodes looks up what is known of each address to which a code was asked, the first asked first, and sends it, at most some hundred of them; n is how many
// it took up. One that cannot be sent holds up no other.
func (d *Desk) SendCodes(ctx context.Context) (n int, err error) {
	waiting, err := d.holdAsked(ctx)
	if err != nil || len(waiting) == 0 {
		return 0, err
	}
	var sending sync.WaitGroup
	var mu sync.Mutex
	places := make(chan struct{}, codesAtOnce)
	for _, rec := range waiting {
		places <- struct{}{}
		sending.Add(1)
		fault.Go(d.Log, "code", func() {
			defer func() { <-places; sending.Done() }()
			if failed := d.sendAsked(ctx, rec); failed != nil {
				mu.Lock()
				defer mu.Unlock()
				err = fmt.Errorf("send the code of %s: %w", rec.ID, failed)
			}
		})
	}
	sending.Wait()
	return len(waiting), err
}

// holdAsked takes up what waits, so that no other replica pays for the same code as well.
func (d *Desk) holdAsked(ctx context.Context) (waiting []store.Rec[question], err error) {
	look := func(tx *store.Tx) error {
		waiting = nil
		for rec, err := range questions.Scan(tx, store.Query{Index: "answer", Equal: []any{askWaits, askWaits}, Limit: mostCodes}) {
			if err != nil {
				return err
			}
			if !tx.Now().Before(rec.Value.Asked.Held) {
				waiting = append(waiting, rec)
			}
		}
		return nil
	}
	if err = d.DB.View(ctx, look); err != nil || len(waiting) == 0 { // as nearly always
		return nil, err
	}
	err = d.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		if err := look(tx); err != nil {
			return err
		}
		for i := range waiting {
			rec := &waiting[i]
			rec.Value.Asked.Held = tx.Now().Add(codeHeld)
			if err := questions.Put(tx, rec.ID, rec.Value, rec.Version); err != nil {
				return err
			}
			rec.Version++
		}
		if len(waiting) == 0 {
			return store.ErrNothing
		}
		return nil
	})
	if limit.Lost(err) { // another replica took them up
		return nil, nil
	}
	return waiting, err
}

// sendAsked sends one. It is not sent any more once it could not be given back; what was to be opened by it may be gone by then, too.
func (d *Desk) sendAsked(ctx context.Context, rec store.Rec[question]) error {
	q := rec.Value
	for try := 0; ; try++ {
		var err error = fault.New(fault.NotFound, "its time has gone by")
		if d.DB.Now().Before(q.Until) {
			_, err = d.sendCode(ctx, Ask{Why: Why(q.Sort), Number: q.Asked.Number, To: q.Address, By: q.By, Locale: q.Asked.Locale}, rec)
		}
		switch {
		case fault.Of(err) == fault.NotFound:
			return d.dropAsked(ctx, rec)
		case err == nil || !limit.Lost(err) || try == lookTries:
			return err
		}
	}
}

// dropAsked ends one that nobody can be told of any more.
func (d *Desk) dropAsked(ctx context.Context, rec store.Rec[question]) error {
	return d.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		rec.Value.Asked, rec.Value.Used = nil, tx.Now()
		return questions.Put(tx, rec.ID, rec.Value, rec.Version)
	})
}
