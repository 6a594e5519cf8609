package storetest

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lifeline/store"
	"lifeline/store/bolt"
	"lifeline/store/postgres"
	"lifeline/store/postgres/pgtest"
)

const writers = 64

// BenchmarkTickets files whole tickets by 64 writers: with a commit for each, with the embedded store's group commit, and on a PostgreSQL
// that syncs, beside the same four rows without a store around them. b.N is the number of tickets; the figures that count are tickets/s
// and p99-ms.
func BenchmarkTickets(b *testing.B) {
	embedded := func(o bolt.Options) func(testing.TB) store.Engine {
		return func(t testing.TB) store.Engine {
			o.Patience = time.Minute
			e, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { e.Close() })
			return e
		}
	}
	for _, engine := range []struct {
		name string
		open func(testing.TB) store.Engine
	}{
		{"bolt/alone", embedded(bolt.Options{Solo: true})},
		{"bolt/together", embedded(bolt.Options{})},
		{"postgres", func(t testing.TB) store.Engine {
			e, err := postgres.Open(context.Background(), durable(t), postgres.Options{Patience: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { e.Close() })
			return e
		}},
	} {
		b.Run(engine.name, func(b *testing.B) {
			db := open(b, engine.open(b), TicketKinds(), []Option{Unchecked()})
			var filed atomic.Int64
			b.ResetTimer()
			r, err := together(writers, func() bool { return filed.Add(1) <= int64(b.N) }, func(number string) error {
				_, err := fileTicket(b.Context(), db, number)
				return err
			})
			b.StopTimer()
			if err != nil || r.Acknowledged != b.N {
				b.Fatalf("%d of %d tickets were acknowledged: %v", r.Acknowledged, b.N, err)
			}
			b.ReportMetric(r.PerSecond(), "tickets/s")
			b.ReportMetric(float64(r.P50)/1e6, "p50-ms")
			b.ReportMetric(float64(r.P99)/1e6, "p99-ms")
		})
	}
}

func durable(t testing.TB) string {
	pgtest.URL(t) // says so when there is no PostgreSQL
	url, stop, err := pgtest.Start("", pgtest.Durable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return url
}

// BenchmarkBareRows is what the machine's PostgreSQL gives: rows of a ticket's size and indexes in a plain transaction.
func BenchmarkBareRows(b *testing.B) {
	pool, err := pgxpool.New(b.Context(), durable(b)+"&pool_max_conns=16")
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(b.Context(), "CREATE TABLE rows (id text PRIMARY KEY, a text UNIQUE, b text, c text, body bytea); CREATE INDEX ON rows (b); CREATE INDEX ON rows (c)"); err != nil {
		b.Fatal(err)
	}
	bodies := [][]byte{make([]byte, 500), make([]byte, 120), make([]byte, 120), make([]byte, 180)}
	var filed atomic.Int64
	b.ResetTimer()
	r, err := together(writers, func() bool { return filed.Add(1) <= int64(b.N) }, func(string) error {
		return pgx.BeginFunc(b.Context(), pool, func(tx pgx.Tx) error {
			var batch pgx.Batch
			for i, body := range bodies {
				id := store.NewSuffix()
				var x, y, z *string
				if x = &id; i == 0 {
					y, z = &id, &id
				}
				batch.Queue("INSERT INTO rows VALUES ($1, $2, $3, $4, $5)", id, x, y, z, body)
			}
			return tx.SendBatch(b.Context(), &batch).Close()
		})
	})
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(r.PerSecond(), "tickets/s")
	b.ReportMetric(float64(r.P50)/1e6, "p50-ms")
	b.ReportMetric(float64(r.P99)/1e6, "p99-ms")
}
