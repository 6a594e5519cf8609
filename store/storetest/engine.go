package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/store"
)

var recordTests = []test{
	{"a record comes back as it was given", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		for i, id := range []string{"pln_a", "pln_\x00", "pln_\xff\xfe", "pln_ü", "pln_" + strings.Repeat("long", 100)} {
			for j, body := range [][]byte{nil, {}, {0}, []byte("\x00\xff' \\ \"{}"), bytes.Repeat([]byte("x"), 1<<20)} {
				w := put(fmt.Sprintf("%s%d", id, j), 0, fmt.Sprintf("\x00\xff%d", i), fmt.Sprintf("\xff\x00%d.%d", i, j))
				w.Body = body
				w.Created = time.Date(1969, 7, 20, 20, 17, 40, 1000, time.UTC)
				w.Updated = time.Date(2199, 12, 31, 23, 59, 59, 999999000, time.UTC)
				e.mustWrite(w)
				got := e.mustGet("plain", w.ID)
				if !bytes.Equal(got.Body, body) || (got.Body == nil) != (body == nil) {
					t.Errorf("%q: body %.40q (nil: %v), want %.40q (nil: %v)", w.ID, got.Body, got.Body == nil, body, body == nil)
				}
				if got.ID != w.ID || got.Version != 1 || !got.Created.Equal(w.Created) || !got.Updated.Equal(w.Updated) || !got.Deleted.IsZero() {
					t.Errorf("got %+v, want %+v", got.Meta, w.Meta)
				}
				if got.Created.Location() != time.UTC || got.Updated.Location() != time.UTC {
					t.Errorf("times are in %v, not in UTC", got.Created.Location())
				}
				for k := range w.Tuples {
					if !bytes.Equal(got.Tuples[k], w.Tuples[k]) {
						t.Errorf("tuple %d: got %q, want %q", k, got.Tuples[k], w.Tuples[k])
					}
				}
			}
		}
	}},
	{"a write names the version that it succeeds", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		e.wantWrite(store.ErrConflict, put("pln_a", 1, "", ""))
		e.wantWrite(store.ErrConflict, remove("pln_a", 1))
		e.mustWrite(put("pln_a", 0, "x", ""))
		e.wantWrite(store.ErrExists, put("pln_a", 0, "y", ""))
		e.wantWrite(store.ErrConflict, put("pln_a", 2, "y", ""))
		e.wantWrite(store.ErrConflict, remove("pln_a", 2))
		e.wantIDs(store.Range{Kind: "plain", Index: "order", Lo: []byte("x"), Hi: []byte("y")}, "pln_a")
		e.mustWrite(put("pln_a", 1, "y", ""))
		if got := e.mustGet("plain", "pln_a"); got.Version != 2 {
			t.Errorf("version %d, want 2", got.Version)
		}
		e.wantIDs(store.Range{Kind: "plain", Index: "order"}, "pln_a")
		e.mustWrite(remove("pln_a", 2))
		e.wantGone("plain", "pln_a")
		e.wantIDs(store.Range{Kind: "plain", Index: "order"})
		e.mustWrite(put("pln_a", 0, "z", "")) // what was removed can be made anew
	}},
	{"what is marked as deleted is read by id alone", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		e.mustWrite(put("pln_a", 0, "x", "x"), put("pln_b", 0, "x", "y"))
		gone := put("pln_a", 1, "", "")
		gone.Deleted = created.Add(time.Hour)
		e.mustWrite(gone)
		if got := e.mustGet("plain", "pln_a"); !got.Deleted.Equal(gone.Deleted) {
			t.Errorf("deleted at %v, want %v", got.Deleted, gone.Deleted)
		}
		e.wantIDs(store.Range{Kind: "plain"}, "pln_b")
		e.wantIDs(store.Range{Kind: "plain", Deleted: true}, "pln_a", "pln_b")
		e.wantIDs(store.Range{Kind: "plain", Limit: 1}, "pln_b")
		e.wantIDs(store.Range{Kind: "plain", Deleted: true, Limit: 1, Reverse: true}, "pln_b")
		e.wantIDs(store.Range{Kind: "plain", Index: "order"}, "pln_b")
		e.wantIDs(store.Range{Kind: "plain", Index: "one"}, "pln_b")
	}},
	{"a kind that was not declared is an error", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		stray := put("str_a", 0, "", "")
		stray.Kind = "stray"
		if err := e.write(stray); err == nil {
			t.Error("a write to an undeclared kind was taken")
		}
		if _, err := e.Claim(t.Context(), store.Lease{Kind: "plain", Holder: "w", For: time.Hour, Limit: 1}); err == nil {
			t.Error("a kind without leases could be claimed")
		}
	}},
}

var rangeTests = []test{
	{"ids are ordered by their bytes", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		ids := []string{"pln_", "pln_\x00", "pln_-", "pln_A", "pln_B", "pln_a", "pln_a\x00", "pln_aa", "pln_b", "pln_ä", "pln_\xff"}
		slices.Sort(ids)
		for _, i := range []int{3, 9, 0, 7, 10, 2, 5, 1, 8, 4, 6} {
			e.mustWrite(put(ids[i], 0, "", ""))
		}
		e.wantEveryPart(store.Range{Kind: "plain"}, ids, func(id string) []byte { return []byte(id) }, nil)
	}},
	{"an index is ordered by its tuples, then by id", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		var ids []string
		tuples := map[string][]byte{}
		for _, at := range []string{"A", "a", "a\x00", "ab", "ä", "\xff"} {
			for i := range 3 {
				id := fmt.Sprintf("pln_%d%x", 9-i, at) // ids run against the tuples
				tuples[id] = tuple(at)
				ids = append(ids, id)
				e.mustWrite(put(id, 0, at, ""))
			}
		}
		e.mustWrite(put("pln_without", 0, "", ""))
		slices.SortFunc(ids, func(a, b string) int {
			if c := bytes.Compare(tuples[a], tuples[b]); c != 0 {
				return c
			}
			return strings.Compare(a, b)
		})
		e.wantEveryPart(store.Range{Kind: "plain", Index: "order"}, ids, func(id string) []byte { return tuples[id] }, tuples)
	}},
	{"a unique index is walked like any other", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		var ids []string
		tuples := map[string][]byte{}
		for i, at := range []string{"", "A", "a", "a\x00", "b", "\xff"} {
			id := fmt.Sprintf("pln_%d", 9-i)
			ids = append(ids, id)
			tuples[id] = tuple("t" + at)
			e.mustWrite(put(id, 0, "", "t"+at))
		}
		e.wantEveryPart(store.Range{Kind: "plain", Index: "one"}, ids, func(id string) []byte { return tuples[id] }, tuples)
	}},
	{"a long walk leaves room for other reads", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		const records = 1000
		var all []store.Write
		for i := range records {
			all = append(all, put(fmt.Sprintf("pln_%04d", i), 0, fmt.Sprintf("%02d", i%7), ""))
		}
		e.mustWrite(all...)
		for _, r := range []store.Range{{Kind: "plain"}, {Kind: "plain", Reverse: true}, {Kind: "plain", Index: "order"}, {Kind: "plain", Index: "order", Reverse: true}} {
			seen := map[string]bool{}
			look := func(s store.Snapshot) error {
				clear(seen)
				for raw, err := range s.Scan(r) {
					if err != nil {
						return err
					}
					id := raw.ID
					seen[id] = true
					if len(seen)%100 != 0 {
						continue
					}
					if other, err := s.Get("plain", "pln_0500"); err != nil || string(other.Body) != "body of pln_0500" {
						return fmt.Errorf("get within a walk: %q, %w", other.Body, err)
					}
					inner, err := idsOf(s.Scan(store.Range{Kind: "plain", Index: "order", Lo: []byte("03"), Hi: []byte("04"), Limit: 300}))
					if err != nil || len(inner) != 143 {
						return fmt.Errorf("walk within a walk: %d records, %w", len(inner), err)
					}
				}
				return nil
			}
			if err := e.View(t.Context(), look); err != nil || len(seen) != records {
				t.Errorf("%+v: saw %d of %d: %v", r, len(seen), records, err)
			}
			err := e.Update(t.Context(), func(s store.Snapshot) (store.Writes, error) { return nil, look(s) })
			if err != nil || len(seen) != records {
				t.Errorf("%+v in an Update: saw %d of %d: %v", r, len(seen), records, err)
			}
			r.Limit = 600
			if got := e.ids(r); len(got) != 600 {
				t.Errorf("%+v: %d records", r, len(got))
			}
		}
	}},
}

// wantEveryPart compares every combination of bounds, mark, limit and direction with a plain slice in order.
func (e bare) wantEveryPart(r store.Range, ids []string, key func(string) []byte, tuples map[string][]byte) {
	e.t.Helper()
	err := e.View(e.t.Context(), func(s store.Snapshot) error {
		bounds := [][]byte{nil}
		for _, id := range ids {
			bounds = append(bounds, key(id))
		}
		for _, lo := range bounds {
			for _, hi := range bounds {
				for after := -1; after < len(ids); after += 2 {
					for mode := range 6 {
						r := r
						r.Lo, r.Hi, r.Reverse, r.Limit = lo, hi, mode%2 == 1, mode/2
						var want []string
						for i, id := range ids {
							in := (lo == nil || bytes.Compare(key(id), lo) >= 0) && (hi == nil || bytes.Compare(key(id), hi) < 0)
							if in && (after < 0 || !r.Reverse && i > after || r.Reverse && i < after) {
								want = append(want, id)
							}
						}
						if after >= 0 {
							r.AfterID, r.AfterTuple = ids[after], tuples[ids[after]]
						}
						if r.Reverse {
							slices.Reverse(want)
						}
						if r.Limit > 0 && len(want) > r.Limit {
							want = want[:r.Limit]
						}
						got, err := idsOf(s.Scan(r))
						if err != nil {
							return err
						}
						if !slices.Equal(got, want) {
							return fmt.Errorf("%+v: got %q, want %q", r, got, want)
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		e.t.Error(err)
	}
}

var uniqueTests = []test{
	{"a unique value has one owner", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		e.mustWrite(put("pln_a", 0, "", "x"), put("pln_b", 0, "", "y"), put("pln_c", 0, "", ""), put("pln_d", 0, "", ""))
		e.wantWrite(store.ErrExists, put("pln_e", 0, "", "x"))
		e.wantWrite(store.ErrExists, put("pln_b", 1, "", "x"))
		e.wantWrite(store.ErrExists, put("pln_e", 0, "", "z"), put("pln_f", 0, "", "z"))
		e.mustWrite(put("pln_a", 1, "", "x")) // its own value does not stand in a record's way
		e.wantIDs(store.Range{Kind: "plain", Index: "one"}, "pln_a", "pln_b")
		if err := e.write(put("pln_e", 0, "", "x")); err == nil || !strings.Contains(err.Error(), "one") {
			t.Errorf("the error %q does not name the index", err)
		}
	}},
	{"unique values change hands within a transaction", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		for _, read := range []bool{false, true} {
			e := openBare(t, fresh)
			write := e.write
			if read {
				write = e.readThenWrite
			}
			e.mustWrite(put("pln_a", 0, "", "1"), put("pln_b", 0, "", "2"), put("pln_c", 0, "", "3"))
			if err := write(put("pln_a", 1, "", "2"), put("pln_b", 1, "", "3"), put("pln_c", 1, "", "1")); err != nil {
				t.Fatalf("rotate (read before: %v): %v", read, err)
			}
			e.wantIDs(store.Range{Kind: "plain", Index: "one"}, "pln_c", "pln_a", "pln_b")
			if err := write(put("pln_new", 0, "", "1"), put("pln_c", 2, "", "4")); err != nil {
				t.Fatalf("hand over to a new record (read before: %v): %v", read, err)
			}
			if err := write(put("pln_newer", 0, "", "4"), remove("pln_c", 3)); err != nil {
				t.Fatalf("hand over by removal (read before: %v): %v", read, err)
			}
			if err := write(put("pln_a", 2, "", "9"), put("pln_b", 2, "", "4")); !errors.Is(err, store.ErrExists) {
				t.Fatalf("take the value of a third (read before: %v): %v", read, err)
			}
			e.wantIDs(store.Range{Kind: "plain", Index: "one"}, "pln_new", "pln_a", "pln_b", "pln_newer")
		}
	}},
	{"a delete frees a unique value", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		e.mustWrite(put("pln_a", 0, "", "x"))
		gone := put("pln_a", 1, "", "")
		gone.Deleted = created
		e.mustWrite(gone)
		e.mustWrite(put("pln_b", 0, "", "x"))
		back := put("pln_a", 2, "", "x")
		e.wantWrite(store.ErrExists, back)
		e.mustWrite(remove("pln_b", 1))
		e.mustWrite(back)
	}},
}

var errOurs = errors.New("the function's own error")

var transactionTests = []test{
	{"all of a transaction is kept, or nothing", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		e.mustWrite(put("pln_a", 0, "x", "x"))
		e.wantWrite(store.ErrConflict, put("pln_b", 0, "", "b"), put("pln_a", 7, "", "c"))
		e.wantWrite(store.ErrExists, put("pln_b", 0, "", "b"), put("pln_c", 0, "", "x"))
		e.wantWrite(store.ErrExists, remove("pln_a", 1), put("pln_c", 0, "", "c"), put("pln_d", 0, "", "c"))
		e.wantWrite(store.ErrFenced, put("pln_b", 0, "", ""), store.Write{Kind: "job", Raw: store.Raw{Meta: store.Meta{ID: "job_a", Holder: "w", Epoch: 1}}, Touch: true, Lease: store.LeaseFence})
		e.wantIDs(store.Range{Kind: "plain"}, "pln_a")
		err := e.Update(t.Context(), func(store.Snapshot) (store.Writes, error) {
			return store.Writes{put("pln_b", 0, "", "")}, errOurs
		})
		if !errors.Is(err, errOurs) {
			t.Errorf("got %v, want the function's own error", err)
		}
		e.wantIDs(store.Range{Kind: "plain"}, "pln_a")
	}},
	{"a panic passes through and leaves nothing", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		for range 40 { // more often than there can be connections
			func() {
				defer func() {
					if p := recover(); p != "ours" {
						t.Errorf("recovered %v", p)
					}
				}()
				_ = e.Update(t.Context(), func(s store.Snapshot) (store.Writes, error) {
					_, _ = s.Get("plain", "pln_a")
					panic("ours")
				})
			}()
			func() {
				defer func() {
					if p := recover(); p != "ours" {
						t.Errorf("recovered %v", p)
					}
				}()
				_ = e.View(t.Context(), func(store.Snapshot) error { panic("ours") })
			}()
		}
		e.mustWrite(put("pln_a", 0, "", ""))
	}},
	{"a context that ends before the commit leaves nothing", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		ctx, cancel := context.WithCancel(t.Context())
		err := e.Update(ctx, func(store.Snapshot) (store.Writes, error) {
			cancel()
			return store.Writes{put("pln_a", 0, "", "")}, nil
		})
		if !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnknown) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		ran := false
		err = e.Update(ctx, func(store.Snapshot) (store.Writes, error) {
			ran = true
			return store.Writes{put("pln_a", 0, "", "")}, nil
		})
		if !errors.Is(err, context.Canceled) || ran {
			t.Errorf("got %v (function ran: %v), want %v", err, ran, context.Canceled)
		}
		if err := e.View(ctx, func(store.Snapshot) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("view: got %v, want %v", err, context.Canceled)
		}
		e.wantGone("plain", "pln_a")
		e.mustWrite(put("pln_a", 0, "", ""))
	}},
	{"a context that ends at any moment leaves all, nothing, or an unknown outcome", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		const writers, times = 8, 25
		type outcome struct {
			id  string
			err error
		}
		outcomes := make(chan outcome, writers*times)
		var wg sync.WaitGroup
		for n := range writers {
			wg.Go(func() {
				for i := range times {
					id := fmt.Sprintf("pln_%d.%d", n, i)
					ctx, cancel := context.WithCancel(t.Context())
					gone := make(chan struct{})
					go func() { // sooner or later than the commit
						defer close(gone)
						for range rand.IntN(20_000) {
							runtime.Gosched()
						}
						cancel()
					}()
					err := e.Update(ctx, func(store.Snapshot) (store.Writes, error) {
						return store.Writes{put(id, 0, "x", id), put(id+"'", 0, "y", "")}, nil
					})
					outcomes <- outcome{id, err}
					<-gone
				}
			})
		}
		wg.Wait()
		close(outcomes)
		seen := map[string]int{}
		for o := range outcomes {
			_, err1 := e.get("plain", o.id)
			_, err2 := e.get("plain", o.id+"'")
			if (err1 == nil) != (err2 == nil) {
				t.Errorf("%s is half there: %v, %v", o.id, err1, err2)
			}
			switch {
			case o.err == nil:
				seen["kept"]++
				if err1 != nil {
					t.Errorf("%s was acknowledged: %v", o.id, err1)
				}
			case errors.Is(o.err, store.ErrUnknown):
				seen["unknown"]++
			case errors.Is(o.err, context.Canceled):
				seen["cancelled"]++
				if err1 == nil {
					t.Errorf("%s was cancelled for certain, and yet is there", o.id)
				}
			default:
				t.Errorf("%s: %v", o.id, o.err)
			}
		}
		t.Logf("%v", seen)
	}},
	{"a view stays as it began", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		e.mustWrite(put("pln_a", 0, "x", ""))
		err := e.View(t.Context(), func(s store.Snapshot) error {
			if _, err := s.Get("plain", "pln_a"); err != nil {
				return err
			}
			done := make(chan error, 1)
			go func() { done <- e.write(put("pln_a", 1, "y", ""), put("pln_b", 0, "y", "")) }()
			if err := <-done; err != nil {
				return fmt.Errorf("write beside a view: %w", err)
			}
			raw, err := s.Get("plain", "pln_a")
			if err != nil || raw.Version != 1 {
				return fmt.Errorf("the view now shows version %d: %w", raw.Version, err)
			}
			ids, err := idsOf(s.Scan(store.Range{Kind: "plain", Index: "order"}))
			if err != nil || !slices.Equal(ids, []string{"pln_a"}) {
				return fmt.Errorf("the view now shows %q: %w", ids, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		e.wantIDs(store.Range{Kind: "plain", Index: "order"}, "pln_a", "pln_b")
	}},
	{"an error in a view is its own", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		if err := e.View(t.Context(), func(store.Snapshot) error { return errOurs }); !errors.Is(err, errOurs) {
			t.Errorf("got %v, want the function's own error", err)
		}
		err := e.View(t.Context(), func(s store.Snapshot) error { // to look for what is not there breaks nothing
			if _, err := s.Get("plain", "pln_none"); !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("got %w", err)
			}
			_, err := idsOf(s.Scan(store.Range{Kind: "plain"}))
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}},
	{"a large transaction", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		const records = 5000
		var first, second store.Writes
		for i := range records {
			id := fmt.Sprintf("pln_%05d", i)
			first = append(first, put(id, 0, "a", "u"+id))
			if i%2 == 0 {
				second = append(second, put(id, 1, "b", "u"+id))
			} else {
				second = append(second, remove(id, 1))
			}
		}
		e.mustWrite(first...)
		if err := e.readThenWrite(second...); err != nil {
			t.Fatal(err)
		}
		if n := len(e.ids(store.Range{Kind: "plain", Index: "order", Lo: []byte("b")})); n != records/2 {
			t.Errorf("%d records, want %d", n, records/2)
		}
	}},
}

var kindTests = []test{
	{"a dry migration says what it would do and does nothing", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := fresh(t)
		for range 2 {
			steps, err := e.Migrate(t.Context(), []store.Kind{plain, job}, true)
			if err != nil || len(steps) != 2 || !strings.Contains(steps[0], "plain") || !strings.Contains(steps[1], "job") {
				t.Fatalf("dry: %q, %v", steps, err)
			}
		}
		for i := range 2 {
			steps, err := e.Migrate(t.Context(), []store.Kind{plain, job}, false)
			if err != nil || len(steps) != 2-2*i {
				t.Fatalf("time %d: %q, %v", i, steps, err)
			}
		}
		if steps, err := e.Migrate(t.Context(), []store.Kind{plain, job}, true); err != nil || len(steps) != 0 {
			t.Fatalf("dry, with nothing to do: %q, %v", steps, err)
		}
	}},
	{"new kinds come beside old ones", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		e.mustWrite(put("pln_a", 0, "x", ""))
		odd := store.Kind{Name: `select "x" from`, Prefix: "odd", Composed: true, Indexes: []store.Index{{Name: `in"dex`, Unique: true}, {Name: "due"}, {Name: "id"}}, Leased: true}
		steps, err := e.Migrate(t.Context(), []store.Kind{plain, job, odd}, false)
		if err != nil || len(steps) != 1 {
			t.Fatalf("%q, %v", steps, err)
		}
		w := put("odd_a", 0, "1", "2")
		w.Kind, w.Tuples = odd.Name, append(w.Tuples, tuple("3"))
		e.mustWrite(w)
		for i, ix := range odd.Indexes {
			e.wantIDs(store.Range{Kind: odd.Name, Index: ix.Name, Lo: w.Tuples[i]}, "odd_a")
		}
		e.mustGet("plain", "pln_a")
	}},
	{"changed indexes are refused while there are records", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		other := plain
		other.Indexes = append(slices.Clone(plain.Indexes), store.Index{Name: "third", Fields: []store.Field{{Name: "third", Type: store.Int}}})
		e.mustWrite(put("pln_a", 0, "x", ""))
		for _, dry := range []bool{true, false} {
			if _, err := e.Migrate(t.Context(), []store.Kind{other, job}, dry); err == nil || !strings.Contains(err.Error(), "plain") {
				t.Fatalf("changed indexes of a kind with records (dry: %v): %v", dry, err)
			}
		}
		e.mustGet("plain", "pln_a") // and it serves on as before
		e.mustWrite(remove("pln_a", 1))
		if _, err := e.Migrate(t.Context(), []store.Kind{other, job}, false); err != nil {
			t.Fatalf("changed indexes of an empty kind: %v", err)
		}
		w := put("pln_b", 0, "x", "y")
		w.Tuples = append(w.Tuples, tuple("z"))
		e.mustWrite(w)
		e.wantIDs(store.Range{Kind: "plain", Index: "third"}, "pln_b")
		e.mustWrite(remove("pln_b", 1))
	}},
	{"what a newer Lifeline wrote is refused", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		newer := plain
		newer.Schema = 2
		if _, err := e.Migrate(t.Context(), []store.Kind{newer, job}, false); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Migrate(t.Context(), []store.Kind{plain, job}, false); err == nil || !strings.Contains(err.Error(), "newer") {
			t.Errorf("an older schema: %v", err)
		}
	}},
}
