package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// A model of what intake writes for one ticket: the ticket with its indexes, a deadline, a notice that a worker will send, and the audit
// row of the act. Rates and crashes are measured with it, because a store that is fast or safe with one small key proves little.

type ticket struct {
	Number string    `json:"number"`
	From   string    `json:"from"`
	State  string    `json:"state"`
	Queue  string    `json:"queue"`
	At     time.Time `json:"at"`
	Text   string    `json:"text"`
}

type promise struct {
	Ticket string    `json:"ticket"`
	By     time.Time `json:"by"`
}

type notice struct {
	Ticket string    `json:"ticket"`
	Lane   string    `json:"lane"`
	At     time.Time `json:"at"`
}

var (
	tickets = store.Table[ticket]{
		Kind: store.Kind{Name: "model_ticket", Prefix: "mtk", Schema: 1, Keep: kept, Indexes: []store.Index{
			{Name: "number", Fields: []store.Field{{Name: "number", Type: store.Text}}, Unique: true},
			{Name: "from", Fields: []store.Field{{Name: "from", Type: store.Blind}, {Name: "at", Type: store.Time}}},
			{Name: "queue", Fields: []store.Field{{Name: "queue", Type: store.Text}, {Name: "state", Type: store.Text}, {Name: "at", Type: store.Time}}},
		}},
		Tuples: func(v ticket) store.Tuples {
			return store.Tuples{"number": {v.Number}, "from": {v.From, v.At}, "queue": {v.Queue, v.State, v.At}}
		},
	}
	promises = store.Table[promise]{
		Kind: store.Kind{Name: "model_deadline", Prefix: "mdl", Schema: 1, Leased: true, Indexes: []store.Index{
			{Name: "ticket", Fields: []store.Field{{Name: "ticket", Type: store.Text}}},
		}},
		Tuples: func(v promise) store.Tuples { return store.Tuples{"ticket": {v.Ticket}} },
		Due:    func(v promise) (string, time.Time) { return "deadlines", v.By },
	}
	notices = store.Table[notice]{
		Kind: store.Kind{Name: "model_notice", Prefix: "mnt", Schema: 1, Leased: true, Indexes: []store.Index{
			{Name: "ticket", Fields: []store.Field{{Name: "ticket", Type: store.Text}}},
		}},
		Tuples: func(v notice) store.Tuples { return store.Tuples{"ticket": {v.Ticket}} },
		Due:    func(v notice) (string, time.Time) { return v.Lane, v.At },
	}
)

// TicketKinds are the kinds that a store must be opened with for these tickets.
func TicketKinds() []store.Kind { return []store.Kind{tickets.Kind, promises.Kind, notices.Kind} }

const ticketText = "Our board cannot be opened since this morning. Forty people work with it and we have a release on Thursday. " +
	"Please tell us when it will be back, and whether what we wrote yesterday is safe. You can reach me at this address all day."

// fileTicket files one ticket whole, in one transaction, under an act.
func fileTicket(ctx context.Context, db *store.DB, number string) (id string, err error) {
	id = tickets.NewID()
	err = db.Update(ctx, store.Act{By: "system:model", Verb: "ticket.file"}, func(tx *store.Tx) error {
		tx.On(id)
		t := ticket{Number: number, From: number + "@customer.example", State: "new", Queue: "intake", At: tx.Now(), Text: ticketText}
		return errors.Join(
			tickets.Put(tx, id, t, 0),
			promises.Put(tx, promises.NewID(), promise{Ticket: id, By: tx.Now().Add(4 * time.Hour)}, 0),
			notices.Put(tx, notices.NewID(), notice{Ticket: id, Lane: "mail", At: tx.Now()}, 0),
		)
	})
	return id, err
}

// Rate is what writers came to together.
type Rate struct {
	Acknowledged int
	Busy         int           // told to try again
	Took         time.Duration // all of it
	P50, P99     time.Duration // of one acknowledged ticket
}

// PerSecond is how many were acknowledged a second.
func (r Rate) PerSecond() float64 { return float64(r.Acknowledged) / r.Took.Seconds() }

// together lets writers call file, with a number of its own each time, while there is more to do.
func together(writers int, more func() bool, file func(number string) error) (Rate, error) {
	took := make([][]time.Duration, writers)
	busy := make([]int, writers)
	errs := make([]error, writers)
	run := store.NewSuffix()
	began := time.Now()
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for i := 0; more(); i++ {
				since := time.Now()
				err := file(fmt.Sprintf("%s-%d-%d", run, n, i))
				switch {
				case err == nil:
					took[n] = append(took[n], time.Since(since))
				case fault.Of(err) == fault.Unavailable:
					busy[n]++
				default:
					errs[n] = err
					return
				}
			}
		})
	}
	wg.Wait()
	r := Rate{Took: time.Since(began)}
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	r.Acknowledged = len(all)
	for _, n := range busy {
		r.Busy += n
	}
	if len(all) > 0 {
		r.P50, r.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return r, errors.Join(errs...)
}
