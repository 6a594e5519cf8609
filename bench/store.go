package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lifeline/comms"
	"lifeline/comms/commstest"
	"lifeline/comms/email"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/postgres"
	"lifeline/store/postgres/pgtest"
	"lifeline/templates"
)

// disk is the rate at which this disk makes single small writes durable: the limit of everything that is acknowledged one by one.
func (b bench) disk() error {
	f, err := os.Create(filepath.Join(b.dir, "sync"))
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 4096)
	n, began := 0, time.Now()
	for time.Since(began) < b.each {
		if _, err := f.WriteAt(block, int64(n%256)*4096); err != nil {
			return err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
		n++
	}
	fmt.Fprintf(b.out, "disk       4 KiB write and fdatasync                %8.0f/s\n", float64(n)/time.Since(began).Seconds())
	return nil
}

// tickets files whole tickets through the desk: record, message, indexes, deadline, receipt notice and audit row, one transaction each.
func (b bench) tickets(ctx context.Context, engine string, e store.Engine) error {
	d, err := b.desk(ctx, e)
	if err != nil {
		return err
	}
	for _, writers := range b.writers {
		r, err := b.rate(writers, func(worker, i int) error { return fileOne(ctx, d, fmt.Sprint("of", writers), worker, i) })
		if err != nil {
			return err
		}
		fmt.Fprintf(b.out, "tickets    %-9s %3d writers                    %s\n", engine, writers, r)
	}
	return nil
}

// desk opens a store with the rooms that file tickets in it, for as many as come.
func (b bench) desk(ctx context.Context, e store.Engine) (*desk.Desk, error) {
	db, err := store.Open(ctx, e, store.Options{Keys: b.keys, Kinds: kinds()})
	if err != nil {
		return nil, err
	}
	words, err := templates.Load("")
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	book := &contacts.Book{DB: db, Policy: contacts.DefaultPolicy(), Log: log}
	room := &comms.Room{DB: db, Book: book, Words: words, Policy: comms.DefaultPolicy(), Log: log, Vendor: templates.Vendor{Name: "Vendor", URL: "https://status.vendor.example"}}
	d := &desk.Desk{DB: db, Book: book, Comms: room, Policy: desk.DefaultPolicy(), Log: log}
	d.Policy.AckHourly, d.Policy.Flood.Busy, d.Policy.Identity.Hourly = 1<<30, 1<<30, 1<<30
	return d, nil
}

// fileOne files a ticket of somebody at a domain of her own.
func fileOne(ctx context.Context, d *desk.Desk, of string, worker, i int) error {
	_, err := d.File(ctx, "public:bench", desk.Intake{Message: "Our site is gone and we have a release on Thursday.", Impact: desk.LostAccess, Route: "api",
		Email: fmt.Sprintf("p@%s-%d-%d.example", of, worker, i)})
	return err
}

// rate is what writers came to together.
type rate struct {
	perSecond     float64
	busy          int64
	p50, p95, p99 time.Duration
}

func (r rate) String() string {
	return fmt.Sprintf("%8.0f/s   p50 %.1f ms  p95 %.1f ms  p99 %.1f ms  told to come back %d", r.perSecond, ms(r.p50), ms(r.p95), ms(r.p99), r.busy)
}

// rate lets so many writers do one thing again and again, for as long as each rate is measured.
func (b bench) rate(writers int, do func(worker, i int) error) (r rate, err error) {
	var busy atomic.Int64
	took := make([][]time.Duration, writers)
	err = together(writers, b.each, func(worker, i int) error {
		began := time.Now()
		err := do(worker, i)
		switch fault.Of(err) {
		case fault.Unavailable: // told to come back: nothing was acknowledged
			busy.Add(1)
			return nil
		case "":
			took[worker] = append(took[worker], time.Since(began))
		}
		return err
	})
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	if err == nil && len(all) == 0 {
		err = errors.New("nothing was acknowledged")
	}
	if err != nil {
		return r, err
	}
	at := func(percent int) time.Duration { return all[len(all)*percent/100] }
	return rate{float64(len(all)) / b.each.Seconds(), busy.Load(), at(50), at(95), at(99)}, nil
}

// bareRows is what the same database gives without a store around it: four rows of a ticket's size, in a transaction that a plain program
// would make.
func (b bench) bareRows(ctx context.Context) error {
	server, stop, err := pgtest.Start("", pgtest.Durable)
	if err != nil {
		return err
	}
	defer stop()
	pool, err := pgxpool.New(ctx, server+"&pool_max_conns=16")
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, "CREATE TABLE rows (id text PRIMARY KEY, a text UNIQUE, b text, c text, body bytea); CREATE INDEX ON rows (b); CREATE INDEX ON rows (c)"); err != nil {
		return err
	}
	r, err := b.rate(64, func(int, int) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			var batch pgx.Batch
			for i, size := range []int{500, 120, 120, 180} {
				id := store.NewSuffix()
				var unique, key *string
				if i == 0 {
					unique, key = &id, &id
				}
				batch.Queue("INSERT INTO rows VALUES ($1, $2, $3, $4, $5)", id, unique, key, key, make([]byte, size))
			}
			return tx.SendBatch(ctx, &batch).Close()
		})
	})
	if err == nil {
		fmt.Fprintf(b.out, "bare rows  postgres   64 writers                    %s\n", r)
	}
	return err
}

// recorder remembers the last writes that went to an engine.
type recorder struct {
	store.Engine
	last store.Writes
}

func (r *recorder) Update(ctx context.Context, fn func(store.Snapshot) (store.Writes, error)) error {
	return r.Engine.Update(ctx, func(s store.Snapshot) (writes store.Writes, err error) {
		writes, err = fn(s)
		r.last = writes
		return writes, err
	})
}

// bareTickets is what the same database gives to a plain program that files whole tickets: the rows of one into the same tables with the same
// indexes, a transaction each. It looks nothing up, keeps no audit log and shares no commit.
func (b bench) bareTickets(ctx context.Context) error {
	server, stop, err := pgtest.Start("", pgtest.Durable)
	if err != nil {
		return err
	}
	defer stop()
	e, err := postgres.Open(ctx, server, postgres.Options{})
	if err != nil {
		return err
	}
	defer e.Close()
	pool, err := pgxpool.New(ctx, server+"&pool_max_conns=16")
	if err != nil {
		return err
	}
	defer pool.Close()
	r := &recorder{Engine: e}
	d, err := b.desk(ctx, r)
	if err != nil {
		return err
	}
	if err := fileOne(ctx, d, "bare", 0, 0); err != nil {
		return err
	}
	var rows []bareRow
	for _, k := range d.DB.Declared() {
		for _, w := range r.last {
			if w.Kind == k.Name && w.Kind != "audit" {
				rows = append(rows, newBareRow(k, w))
			}
		}
	}
	all, err := b.rate(64, func(int, int) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			var batch pgx.Batch
			for _, row := range rows {
				batch.Queue(row.sql, row.fresh()...)
			}
			return tx.SendBatch(ctx, &batch).Close()
		})
	})
	if err == nil {
		fmt.Fprintf(b.out, "bare tickets postgres 64 writers, %d rows each         %s\n", len(rows), all)
	}
	return err
}

// bareRow is a row of a ticket as a plain program inserts it.
type bareRow struct {
	sql    string
	values []any
	own    []int // which of the values no other row may have
}

func newBareRow(k store.Kind, w store.Write) bareRow {
	columns := []string{"id", "version", "created", "updated", "body"}
	r := bareRow{values: []any{[]byte(w.ID), w.Version, w.Created, w.Updated, w.Body}, own: []int{0}}
	for i, ix := range k.Indexes {
		if ix.Unique && w.Tuples[i] != nil {
			r.own = append(r.own, len(columns))
		}
		columns, r.values = append(columns, "ix_"+ix.Name), append(r.values, w.Tuples[i])
	}
	if k.Leased {
		columns, r.values = append(columns, "lane", "due"), append(r.values, []byte(w.Lane), w.Due)
	}
	names, places := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		names[i], places[i] = pgx.Identifier{c}.Sanitize(), fmt.Sprintf("$%d", i+1)
	}
	r.sql = "INSERT INTO " + pgx.Identifier{k.Name}.Sanitize() + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(places, ", ") + ")"
	return r
}

// fresh is the values of one more such row.
func (r bareRow) fresh() []any {
	values := slices.Clone(r.values)
	for _, i := range r.own {
		old := values[i].([]byte)
		values[i] = append(slices.Clone(old[:max(0, len(old)-26)]), store.NewSuffix()...)
	}
	return values
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// together runs work on so many goroutines for as long as d, or until one fails.
func together(workers int, d time.Duration, work func(worker, i int) error) error {
	until := time.Now().Add(d)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := 0; time.Now().Before(until) && errs[w] == nil; i++ {
				errs[w] = work(w, i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

type job struct {
	Text string `json:"text"`
}

var jobs = store.Table[job]{
	Kind: store.Kind{Name: "bench_job", Prefix: "bnj", Schema: 1, Leased: true},
	Due:  func(job) (string, time.Time) { return "bench", time.Unix(0, 0) },
}

// claims leases records by the page and completes each page in one fenced transaction, as the outbox does.
func (b bench) claims(ctx context.Context, engine string, e store.Engine) error {
	db, err := store.Open(ctx, e, store.Options{Keys: b.keys, Kinds: kinds()})
	if err != nil {
		return err
	}
	for _, size := range []int{32, 250} {
		const all = 40_000
		for at := 0; at < all; at += 1000 {
			if err := db.Update(ctx, store.Act{By: "system:bench", Verb: "bench.queue"}, func(tx *store.Tx) error {
				for range 1000 {
					if err := jobs.Put(tx, jobs.NewID(), job{"a page of deliveries"}, 0); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return err
			}
		}
		var done atomic.Int64
		began := time.Now()
		errs := make([]error, 4)
		var wg sync.WaitGroup
		for w := range errs {
			wg.Go(func() { errs[w] = work(ctx, db, fmt.Sprintf("worker%d", w), size, &done) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		if done.Load() != all {
			return fmt.Errorf("%d of %d were completed", done.Load(), all)
		}
		fmt.Fprintf(b.out, "claims     %-9s 4 workers, pages of %-3d         %8.0f/s claimed and completed\n", engine, size, all/time.Since(began).Seconds())
	}
	return nil
}

func work(ctx context.Context, db *store.DB, holder string, size int, done *atomic.Int64) error {
	for {
		page, err := db.Claim(ctx, store.Lease{Kind: jobs.Kind.Name, Lane: "bench", Holder: holder, For: time.Minute, Limit: size})
		if err != nil || len(page) == 0 {
			return err
		}
		err = db.Update(ctx, store.Act{By: "system:bench", Verb: "bench.done"}, func(tx *store.Tx) error {
			for _, m := range page {
				if err := jobs.Fence(tx, m.ID, m.Holder, m.Epoch); err != nil {
					return err
				}
				if err := jobs.Delete(tx, m.ID, m.Version); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		done.Add(int64(len(page)))
	}
}

// deliveries publishes one update to everybody and waits for the last recorded outcome, beside a bare pipelined SMTP loop to the same sink.
func (b bench) deliveries(ctx context.Context, engine string, e store.Engine) error {
	return b.broadcast(ctx, "deliveries", engine, commstest.Broadcast{Engine: e})
}

// signed is deliveries of which each is signed with DKIM, as are those of the bare loop.
func (b bench) signed(ctx context.Context, engine string, e store.Engine) error {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return b.broadcast(ctx, "signed", engine, commstest.Broadcast{Engine: e, DKIM: email.DKIM{Domain: "status.vendor.example", Selector: "bench", Key: string(key)}})
}

// broadcast measures one as a portal sends it: each message with the person's own link and return address.
func (b bench) broadcast(ctx context.Context, what, engine string, one commstest.Broadcast) error {
	key, err := auth.OpenKey(filepath.Join(b.dir, "keys"), true)
	if err != nil {
		return err
	}
	peak := make(chan int, 1)
	var ended chan struct{}
	one.Keys, one.People, one.Sign = b.keys, b.people, key.SignLink
	one.Ready = func() {
		debug.FreeOSMemory() // what the import of the people, or the bare loop, has left behind is not the broadcast's
		mine := make(chan struct{})
		ended = mine
		fault.Go(slog.Default(), "bench memory", func() { peak <- most(mine) })
		if b.ready != nil {
			b.ready()
			b.ready = nil
		}
	}
	one.Told = func() {
		pprof.StopCPUProfile() // the bare loop is none of it
		close(ended)
		fmt.Fprintf(b.out, "%-10s %-9s at most %d MiB of memory, with the sink\n", what, engine, <-peak)
	}
	var ratios, first []float64
	err = one.Rounds(ctx, b.rounds, func(f commstest.Figures) {
		fmt.Fprintf(b.out, "%-10s %-9s %s\n", what, engine, f)
		ratios, first = append(ratios, f.Rate()/f.BareRate()), append(first, f.First.Seconds()*1000)
	})
	if len(ratios) > 1 {
		fmt.Fprintf(b.out, "%-10s %-9s middle of %d: %.2f of the bare loop, first message after %.0f ms\n", what, engine, len(ratios), middle(ratios), middle(first))
	}
	return err
}

func middle(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// most is the most memory that this process holds until something has ended.
func most(ended <-chan struct{}) (peak int) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		peak = max(peak, own())
		select {
		case <-tick.C:
		case <-ended:
			return peak
		}
	}
}

// far is deliveries to a relay at a distance, where round trips are what limits.
func (b bench) far(ctx context.Context, engine string, e store.Engine) error {
	const away, people = 20 * time.Millisecond, 2000
	f, err := commstest.Broadcast{Engine: e, Keys: b.keys, People: people, Away: away}.Run(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "far        %-9s round trips of %v: %s\n", engine, away, f)
	return nil
}
