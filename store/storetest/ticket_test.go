package storetest

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/bolt"
	"lifeline/store/postgres"
	"lifeline/store/postgres/pgtest"
)

// BenchmarkTickets files whole tickets by 64 writers: with a commit for each, with the embedded store's group commit, and on a PostgreSQL
// that syncs. b.N is the number of tickets; the figures that count are tickets/s and p99-ms.
func BenchmarkTickets(b *testing.B) {
	const writers = 64
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
			pgtest.URL(t) // says so when there is no PostgreSQL
			url, stop, err := pgtest.Start("", pgtest.Durable)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			e, err := postgres.Open(context.Background(), url, postgres.Options{Patience: time.Minute})
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
			r, err := fileTickets(b.Context(), db, writers, func() bool { return filed.Add(1) <= int64(b.N) })
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
