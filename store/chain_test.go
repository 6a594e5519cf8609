package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/storetest"
)

// log is a store with an audit log, and the engine below it for those who tamper.
type log struct {
	*store.DB
	t      *testing.T
	engine store.Engine
}

func eachLog(t *testing.T, fn func(l log)) {
	for name, fresh := range map[string]func(testing.TB) store.Engine{"bolt": storetest.Bolt, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			engine := fresh(t)
			db, err := store.Open(t.Context(), engine, store.Options{Keys: storetest.Keys(t)})
			if err != nil {
				t.Fatal(err)
			}
			fn(log{db, t, engine})
		})
	}
}

func (l log) act(n int) {
	l.t.Helper()
	for i := range n {
		err := l.Update(l.t.Context(), store.Act{By: "stf_ada", Verb: "thing.do", Reason: fmt.Sprint(i)}, func(tx *store.Tx) error {
			tx.On(fmt.Sprintf("thg_%d", i))
			return nil
		})
		if err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l log) seal() (head store.Head) {
	l.t.Helper()
	s := store.Sealer{DB: l.DB, Sink: func(h store.Head) error { head = h; return nil }}
	if _, err := s.Seal(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	return head
}

func (l log) verify(known ...store.Head) store.AuditReport {
	l.t.Helper()
	r, err := l.VerifyAudit(l.t.Context(), known...)
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// rows is the chained part of the log as the engine keeps it, in order, with its values.
func (l log) rows() (raws []store.Raw, rows []store.Row) {
	l.t.Helper()
	err := l.engine.View(l.t.Context(), func(s store.Snapshot) error {
		raws = nil
		for raw, err := range s.Scan(store.Range{Kind: "audit", Index: "chain", Lo: []byte{1}}) {
			if err != nil {
				return err
			}
			own := store.Raw{Meta: raw.Meta, Body: slices.Clone(raw.Body)}
			own.Tuples = [][]byte{slices.Clone(raw.Tuples[0])}
			raws = append(raws, own)
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	byID := map[string]store.Row{}
	err = l.View(l.t.Context(), func(tx *store.Tx) error {
		recs, _, err := store.AuditRows(tx, store.Query{})
		for _, rec := range recs {
			byID[rec.ID] = rec.Value
		}
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, raw := range raws {
		rows = append(rows, byID[raw.ID])
	}
	return raws, rows
}

func (l log) tamper(writes ...store.Write) {
	l.t.Helper()
	if err := l.engine.Update(l.t.Context(), func(store.Snapshot) (store.Writes, error) { return writes, nil }); err != nil {
		l.t.Fatal(err)
	}
}

func over(raw store.Raw) store.Write {
	was := raw.Version
	raw.Version++
	return store.Write{Kind: "audit", Was: was, Raw: raw}
}

func out(raw store.Raw) store.Write {
	return store.Write{Kind: "audit", Was: raw.Version, Remove: true, Raw: raw}
}

func (l log) forge(m store.Meta, row store.Row) store.Raw {
	l.t.Helper()
	raw, err := store.ForgeRow(l.DB, m, row)
	if err != nil {
		l.t.Fatal(err)
	}
	return raw
}

func TestRowsAreChainedInOrder(t *testing.T) {
	eachLog(t, func(l log) {
		if r := l.verify(); len(r.Flaws) != 0 || r.Head.Number != 0 {
			l.t.Fatalf("an empty log: %+v", r)
		}
		l.act(3)
		if r := l.verify(); r.Waits != 3 || r.Rows != 0 || r.Oldest.IsZero() || len(r.Flaws) != 0 {
			l.t.Fatalf("before the sealer came: %+v", r)
		}
		first := l.seal()
		l.act(600) // more than two pages
		second := l.seal()
		if first.Number != 3 || second.Number != 603 || second.Instance == "" || second.At.IsZero() {
			l.t.Fatalf("heads %+v and %+v", first, second)
		}
		_, rows := l.rows()
		for i, row := range rows {
			if want := fmt.Sprint((i + 600 - 3) % 600); i < 3 && row.Reason != fmt.Sprint(i) || i >= 3 && row.Reason != want || row.Place != int64(i+1) {
				l.t.Fatalf("row %d of the chain is %+v", i, row)
			}
		}
		r := l.verify(first, second)
		if r.Rows != 603 || r.Waits != 0 || len(r.Flaws) != 0 || r.Known != 2 || r.Head != second {
			l.t.Fatalf("verify: %+v", r)
		}
		for _, problem := range storetest.Check(l.engine, l.Declared()) {
			l.t.Error(problem)
		}
	})
}

// A transaction that made its row's id early can commit after the sealer has passed that id.
func TestALateRowWithAnEarlyIDIsChained(t *testing.T) {
	eachLog(t, func(l log) {
		early := "aud_" + store.NewSuffix()
		l.act(5)
		known := l.seal()
		at := l.Now()
		late := l.forge(store.Meta{ID: early, Version: 1, Created: at, Updated: at}, store.Row{At: at, By: "stf_ada", Verb: "thing.late"})
		l.tamper(store.Write{Kind: "audit", Raw: late})
		if head := l.seal(); head.Number != 6 {
			l.t.Fatalf("the chain ends at %d", head.Number)
		}
		if r := l.verify(known); r.Rows != 6 || len(r.Flaws) != 0 {
			l.t.Errorf("verify: %+v", r)
		}
		if _, rows := l.rows(); rows[5].Verb != "thing.late" {
			l.t.Errorf("the last row is %+v", rows[5])
		}
	})
}

func TestWhatWasDoneToTheLogIsNamed(t *testing.T) {
	relink := func(l log, from int, rows []store.Row, raws []store.Raw) (writes []store.Write, head store.Head) {
		before := ""
		if from > 0 {
			before = rows[from-1].Hash
		}
		for i := from; i < len(rows); i++ {
			hash, err := store.Link(before, rows[i].Place, raws[i].ID, rows[i])
			if err != nil {
				l.t.Fatal(err)
			}
			rows[i].Hash, before = hash, hash
			writes = append(writes, over(l.forge(raws[i].Meta, rows[i])))
		}
		return writes, store.Head{Number: int64(len(rows)), Hash: before, At: l.Now()}
	}
	setHead := func(l log, h store.Head) {
		if err := l.Update(l.t.Context(), store.Act{}, func(tx *store.Tx) error { return store.SetHead(tx, h) }); err != nil {
			l.t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		do      func(l log, raws []store.Raw, rows []store.Row)
		inside  []string // flaws found without a head from outside: what, first-last
		outside []string // and with one
	}{
		{"nothing", func(log, []store.Raw, []store.Row) {}, nil, nil},
		{"bytes of a row", func(l log, raws []store.Raw, _ []store.Row) {
			raws[4].Body[20] ^= 1
			l.tamper(over(raws[4]))
		}, []string{"altered 5-5"}, []string{"altered 5-5"}},
		{"the words of a row, with the keys", func(l log, raws []store.Raw, rows []store.Row) {
			rows[4].By = "stf_eve"
			l.tamper(over(l.forge(raws[4].Meta, rows[4])))
		}, []string{"altered 5-5"}, []string{"altered 5-5"}},
		{"the words and the hash of a row", func(l log, raws []store.Raw, rows []store.Row) {
			rows[4].By = "stf_eve"
			rows[4].Hash, _ = store.Link(rows[3].Hash, 5, raws[4].ID, rows[4])
			l.tamper(over(l.forge(raws[4].Meta, rows[4])))
		}, []string{"altered 6-6"}, []string{"altered 6-6"}},
		{"one row taken out", func(l log, raws []store.Raw, _ []store.Row) { l.tamper(out(raws[4])) },
			[]string{"missing 5-5"}, []string{"missing 5-5"}},
		{"two rows taken out", func(l log, raws []store.Raw, _ []store.Row) { l.tamper(out(raws[0]), out(raws[1])) },
			[]string{"missing 1-2"}, []string{"missing 1-2"}},
		{"two rows exchanged", func(l log, raws []store.Raw, rows []store.Row) {
			raws[2].Tuples, raws[3].Tuples = raws[3].Tuples, raws[2].Tuples
			l.tamper(over(raws[2]), over(raws[3]))
		}, []string{"altered 3-3", "altered 4-4", "altered 5-5"}, []string{"altered 3-3", "altered 4-4", "altered 5-5"}},
		{"a row hidden from the index", func(l log, raws []store.Raw, _ []store.Row) {
			raws[4].Tuples[0] = nil
			l.tamper(over(raws[4]))
		}, []string{"unlisted 0-0", "missing 5-5"}, []string{"unlisted 0-0", "missing 5-5"}},
		{"the tail cut", func(l log, raws []store.Raw, _ []store.Row) { l.tamper(out(raws[8]), out(raws[9])) },
			[]string{"cut 9-10"}, []string{"cut 9-10"}},
		{"the tail cut and the head moved", func(l log, raws []store.Raw, rows []store.Row) {
			l.tamper(out(raws[8]), out(raws[9]))
			setHead(l, store.Head{Number: 8, Hash: rows[7].Hash})
		}, nil, []string{"cut 9-10"}},
		{"the chain written anew", func(l log, raws []store.Raw, rows []store.Row) {
			rows[4].By = "stf_eve"
			writes, head := relink(l, 4, rows, raws)
			l.tamper(writes...)
			setHead(l, head)
		}, nil, []string{"rewritten 1-10"}},
		{"the head moved", func(l log, _ []store.Raw, rows []store.Row) {
			setHead(l, store.Head{Number: 8, Hash: rows[7].Hash})
		}, []string{"unlisted 0-0"}, []string{"unlisted 0-0", "cut 9-10"}},
		{"a waiting row", func(l log, _ []store.Raw, _ []store.Row) {
			at := l.Now()
			raw := l.forge(store.Meta{ID: "aud_" + store.NewSuffix(), Version: 1, Created: at, Updated: at}, store.Row{At: at, By: "a", Verb: "b"})
			raw.Body[20] ^= 1
			l.tamper(store.Write{Kind: "audit", Raw: raw})
			l.act(1)
			l.seal() // the good one is chained all the same
		}, []string{"altered 0-0"}, []string{"altered 0-0"}},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			eachLog(t, func(l log) {
				l.act(10)
				known := l.seal()
				raws, rows := l.rows()
				c.do(l, raws, rows)
				for _, look := range []struct {
					known []store.Head
					want  []string
				}{{nil, c.inside}, {[]store.Head{known}, c.outside}} {
					var got []string
					for _, f := range l.verify(look.known...).Flaws {
						got = append(got, fmt.Sprintf("%s %d-%d", f.What, f.First, f.Last))
					}
					if !slices.Equal(got, look.want) {
						l.t.Errorf("with %d heads from outside: found %q, want %q", len(look.known), got, look.want)
					}
				}
			})
		})
	}
}

// Several processes seal beside writers: one chain, every row in it once.
func TestSealersShareOneChain(t *testing.T) {
	eachLog(t, func(l log) {
		ctx, stop := context.WithCancel(l.t.Context())
		var sealers, writers sync.WaitGroup
		for range 3 {
			s := store.Sealer{DB: l.DB, Every: time.Millisecond}
			sealers.Go(func() {
				if err := s.Run(ctx); err != nil {
					l.t.Error(err)
				}
			})
		}
		for range 4 {
			writers.Go(func() { l.act(100) })
		}
		writers.Wait()
		stop()
		sealers.Wait()
		wait, cancel := context.WithTimeout(l.t.Context(), time.Minute)
		defer cancel()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		r := l.verify()
		for ; r.Waits > 0 && wait.Err() == nil; r = l.verify() { // one that was stopped in its claim may hold the lease until it lapses
			l.seal()
			<-tick.C
		}
		if r.Rows != 400 || r.Waits != 0 || len(r.Flaws) != 0 {
			l.t.Errorf("verify: %+v", r)
		}
	})
}

func TestASealersLeaseEndsWithIt(t *testing.T) {
	eachLog(t, func(l log) {
		l.act(1)
		lease := store.HeadLease("another")
		lease.For = time.Hour
		if got, err := l.Claim(l.t.Context(), lease); err != nil || len(got) != 1 {
			l.t.Fatalf("%v, %v", got, err)
		}
		if head := l.seal(); head.Number != 0 {
			l.t.Fatalf("sealed beside another: %+v", head)
		}
		if r := l.verify(); r.Waits != 1 {
			l.t.Fatalf("%+v", r)
		}
	})
	eachLog(t, func(l log) {
		l.act(1)
		lease := store.HeadLease("one that died")
		lease.For = time.Microsecond
		if got, err := l.Claim(l.t.Context(), lease); err != nil || len(got) != 1 {
			l.t.Fatalf("%v, %v", got, err)
		}
		if head := l.seal(); head.Number != 1 {
			l.t.Fatalf("not sealed after another died: %+v", head)
		}
	})
}

func TestAHeadIsOfferedOutsideUntilItIsTaken(t *testing.T) {
	eachLog(t, func(l log) {
		l.act(2)
		full := errors.New("disk full")
		var taken []int64
		s := store.Sealer{DB: l.DB, Sink: func(h store.Head) error {
			if full != nil {
				return full
			}
			taken = append(taken, h.Number)
			return nil
		}}
		if n, err := s.Seal(l.t.Context()); n != 2 || !errors.Is(err, full) {
			l.t.Fatalf("%d, %v", n, err)
		}
		full = nil
		for range 3 {
			if n, err := s.Seal(l.t.Context()); n != 0 || err != nil {
				l.t.Fatalf("%d, %v", n, err)
			}
		}
		if fmt.Sprint(taken) != "[2]" {
			l.t.Errorf("the sink took %v", taken)
		}
	})
}

// The hash of a known row: were it to change, every log kept so far would look altered.
func TestTheLinkIsWhatItWas(t *testing.T) {
	row := store.Row{At: time.Date(2022, 4, 5, 7, 38, 0, 123456000, time.UTC), By: "stf_ada", Verb: "incident.declare", On: []string{"inc_1"}, More: 2, Reason: "sites are gone", Place: 9, Hash: "ignored"}
	got, err := store.Link(strings.Repeat("ab", 32), 7, "aud_01h45ytscbebyvny4gc8cr8ma2", row)
	if want := "57e52c04b197917f012d3d502e7bc481d5352035601252d000adf6ac9ece0c49"; err != nil || got != want {
		t.Errorf("got %s, want %s (%v)", got, want, err)
	}
	if _, err := store.Link("short", 7, "aud_x", row); err == nil {
		t.Error("a malformed hash was taken")
	}
}

// BenchmarkAct is what an act costs with the sealer at work beside it, and without: the chain must stay off its path.
func BenchmarkAct(b *testing.B) {
	for name, fresh := range map[string]func(testing.TB) store.Engine{"bolt": storetest.Bolt, "postgres": storetest.Postgres} {
		for _, sealed := range []string{"alone", "sealed"} {
			b.Run(name+"/"+sealed, func(b *testing.B) {
				db, err := store.Open(b.Context(), fresh(b), store.Options{Keys: storetest.Keys(b)})
				if err != nil {
					b.Fatal(err)
				}
				ctx, stop := context.WithCancel(b.Context())
				var sealer sync.WaitGroup
				if sealed == "sealed" {
					s := store.Sealer{DB: db, Every: 100 * time.Millisecond}
					sealer.Go(func() { _ = s.Run(ctx) })
				}
				b.SetParallelism(32)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := db.Update(b.Context(), store.Act{By: "stf_ada", Verb: "thing.do"}, func(*store.Tx) error { return nil }); err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.StopTimer()
				stop()
				sealer.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acts/s")
			})
		}
	}
}
