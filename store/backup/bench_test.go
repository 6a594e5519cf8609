package backup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"lifeline/store"
	"lifeline/store/storetest"
)

// BenchmarkBackup takes and restores a backup of 100,000 people, or as many as LIFELINE_BENCH_PEOPLE says, and says how long writers beside it
// waited for a commit, and how much memory the process had at most, beside what it had before. The restore is compared with the backup,
// record for record.
func BenchmarkBackup(b *testing.B) {
	n := 100_000
	if more, err := strconv.Atoi(os.Getenv("LIFELINE_BENCH_PEOPLE")); err == nil {
		n = more
	}
	for name, fresh := range engines {
		b.Run(name, func(b *testing.B) {
			keys := storetest.Keys(b)
			db, err := store.Open(b.Context(), fresh(b), store.Options{Keys: keys, Kinds: kinds()})
			if err != nil {
				b.Fatal(err)
			}
			for from := 0; from < n; from += 1000 {
				err := db.Update(b.Context(), store.Act{}, func(tx *store.Tx) error {
					for i := from; i < from+1000; i++ {
						p := person{Account: fmt.Sprint("acc_", i%400), Name: fmt.Sprint("Grace Hopper ", i), Mail: fmt.Sprint("grace.", i, "@example.com")}
						if err := people.Put(tx, fmt.Sprintf("per_%07d", i), p, 0); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			signer, err := OpenSigner(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			id, err := age.GenerateX25519Identity()
			if err != nil {
				b.Fatal(err)
			}
			other, err := age.GenerateX25519Identity()
			if err != nil {
				b.Fatal(err)
			}
			for range b.N {
				bs := &Backups{DB: db, Places: []Place{Dir(filepath.Join(b.TempDir(), "backups"))}, Signer: signer, Recipients: []age.Recipient{id.Recipient(), other.Recipient()}}
				ctx, stop := context.WithCancel(b.Context())
				var writer sync.WaitGroup
				var waits []time.Duration
				writer.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						began := time.Now()
						err := db.Update(b.Context(), store.Act{By: "stf_ada", Verb: "person.put"}, func(tx *store.Tx) error {
							return put(tx, fmt.Sprintf("per_%07d", i%n), person{Account: "acc_0", Name: "again", Mail: fmt.Sprint("grace.", i%n, "@example.com")})
						})
						if err != nil {
							b.Error(err)
							return
						}
						waits = append(waits, time.Since(began))
					}
				})
				peak := watchMemory()
				began := time.Now()
				m, err := bs.Now(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(began).Seconds(), "backup-s")
				b.ReportMetric(peak(), "backup-peak-MB")
				stop()
				writer.Wait()
				slices.Sort(waits)
				b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "write-p99-ms")
				b.ReportMetric(float64(waits[len(waits)-1].Microseconds())/1000, "write-max-ms")
				b.ReportMetric(float64(m.Size)/1e6, "MB")
				e, err := bs.Shelf().Find(b.Context(), time.Time{})
				if err != nil {
					b.Fatal(err)
				}
				peak = watchMemory()
				began = time.Now()
				if err := bs.Shelf().Restore(b.Context(), e, fresh(b), RestoreOptions{Identities: []age.Identity{id}, Keys: keys, By: "system:bench"}); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(began).Seconds(), "restore-s")
				b.ReportMetric(peak(), "restore-peak-MB")
				if e.Counts["person"] != n || e.Content == "" {
					b.Errorf("%d people in the backup, content %q", e.Counts["person"], e.Content)
				}
			}
		})
	}
}

// watchMemory looks twenty times a second at what the Go runtime holds (pages of a mapped file are the kernel's), and gives the most, in MB, when it is
// asked, once.
func watchMemory() func() float64 {
	debug.FreeOSMemory()
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		peak := uint64(0)
		for {
			metrics.Read(samples)
			peak = max(peak, samples[0].Value.Uint64()-samples[1].Value.Uint64())
			select {
			case <-tick.C:
			case <-stop:
				most <- peak
				return
			}
		}
	}()
	return func() float64 { close(stop); return float64(<-most) / 1e6 }
}
