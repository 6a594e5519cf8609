package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

func auditRows(t *testing.T, db *store.DB) (rows []store.Row) {
	t.Helper()
	err := db.View(t.Context(), func(tx *store.Tx) error {
		recs, _, err := store.AuditRows(tx, store.Query{})
		for _, rec := range recs {
			rows = append(rows, rec.Value)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// losesAnswers is an engine that no longer hears whether its commits took effect.
type losesAnswers struct {
	store.Engine
	lose, keep bool
}

func (e *losesAnswers) Update(ctx context.Context, fn func(store.Snapshot) (store.Writes, error)) error {
	if !e.lose {
		return e.Engine.Update(ctx, fn)
	}
	err := e.Engine.Update(ctx, func(s store.Snapshot) (store.Writes, error) {
		writes, err := fn(s)
		if !e.keep {
			writes = nil
		}
		return writes, err
	})
	return errors.Join(err, fault.New(fault.Unknown, "nobody knows"))
}

var actTests = []test{
	{"an act that finds nothing to do leaves no trace and is no error", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		id, told := things.NewID(), false
		err := r.Update(t.Context(), store.Act{By: "stf_ada", Verb: "thing.make"}, func(tx *store.Tx) error {
			tx.After(func() { told = true })
			if err := things.Put(tx, id, thing{Name: "a"}, 0); err != nil {
				return err
			}
			return store.ErrNothing
		})
		if err != nil || told || len(auditRows(t, r.DB)) > 0 {
			t.Errorf("%v, told %v, rows %+v", err, told, auditRows(t, r.DB))
		}
		r.see(func(tx *store.Tx) error {
			_, _, err := things.Get(tx, id)
			wantKind(t, err, fault.NotFound)
			return nil
		})
	}},
	{"an act and its audit row are one", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		id := things.NewID()
		act := store.Act{By: "stf_ada", Verb: "thing.make", Reason: "because"}
		err := r.Update(t.Context(), act, func(tx *store.Tx) error {
			tx.On(id)
			return things.Put(tx, id, thing{Name: "a"}, 0)
		})
		if err != nil {
			t.Fatal(err)
		}
		rows := auditRows(t, r.DB)
		if len(rows) != 1 || rows[0].By != act.By || rows[0].Verb != act.Verb || rows[0].Reason != act.Reason || fmt.Sprint(rows[0].On) != "["+id+"]" || !rows[0].At.Equal(r.Now()) {
			t.Fatalf("%+v", rows)
		}
		err = r.Update(t.Context(), act, func(tx *store.Tx) error { return things.Put(tx, things.NewID(), thing{Name: "a"}, 0) })
		wantKind(t, err, fault.Exists)
		if err := r.Update(t.Context(), act, func(*store.Tx) error { return errOurs }); !errors.Is(err, errOurs) {
			t.Errorf("got %v", err)
		}
		if err := r.Update(t.Context(), store.Act{Verb: "thing.make"}, func(*store.Tx) error { return nil }); err == nil {
			t.Error("an act without a person was taken")
		}
		r.must(func(*store.Tx) error { return nil })
		if rows := auditRows(t, r.DB); len(rows) != 1 {
			t.Errorf("%d rows, want 1: %+v", len(rows), rows)
		}
		err = r.Update(t.Context(), act, func(tx *store.Tx) error {
			for range 60 {
				tx.On(things.NewID())
			}
			return nil
		})
		if rows := auditRows(t, r.DB); err != nil || len(rows) != 2 || len(rows[1].On) != 50 || rows[1].More != 10 {
			t.Errorf("a bulk act: %v, %+v", err, rows)
		}
	}},
	{"a function that runs twice acts once", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		db := open(t, twice{fresh(t)}, kinds(), nil)
		id := scraps.Prefix + "_1"
		woken := 0
		for i := range 3 {
			once := store.WithOnce(t.Context(), store.NewOnce("tok", "POST /", fmt.Sprint(i), nil))
			err := db.Update(once, store.Act{By: "system:test", Verb: "scrap.count"}, func(tx *store.Tx) error {
				tx.After(func() { woken++ })
				v, m, err := scraps.Get(tx, id)
				if err != nil && fault.Of(err) != fault.NotFound {
					return err
				}
				tx.On(id)
				return scraps.Put(tx, id, scrap{v.N + 1}, m.Version)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		err := db.View(t.Context(), func(tx *store.Tx) error {
			v, m, err := scraps.Get(tx, id)
			if v.N != 3 || m.Version != 3 {
				t.Errorf("%+v %+v", v, m)
			}
			return err
		})
		if rows := auditRows(t, db); err != nil || len(rows) != 3 || woken != 3 || len(rows[0].On) != 1 {
			t.Errorf("%v; woken %d times; %+v", err, woken, rows)
		}
	}},
	{"what runs ahead acts once, whether it reads or not", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		db := open(t, twice{fresh(t)}, kinds(), nil)
		id, woken, tries := scraps.Prefix+"_1", 0, 0
		act := store.Act{By: "system:test", Verb: "scrap.count", Ahead: true}
		blind := func(tx *store.Tx) error {
			tries++
			tx.After(func() { woken++ })
			tx.On(id)
			return scraps.PutKnown(tx, store.Meta{ID: id}, scrap{1})
		}
		if err := db.Update(t.Context(), act, blind); err != nil || tries != 1 {
			t.Errorf("tried %d times: %v", tries, err)
		}
		wantKind(t, db.Update(t.Context(), act, blind), fault.Exists)
		if err := db.Update(t.Context(), act, func(*store.Tx) error { return store.ErrNothing }); err != nil {
			t.Errorf("what writes nothing: %v", err)
		}
		reads := func(tx *store.Tx) error {
			tx.After(func() { woken++ })
			v, m, err := scraps.Get(tx, id)
			if err != nil {
				return err
			}
			tx.On(id)
			return scraps.Put(tx, id, scrap{v.N + 1}, m.Version)
		}
		if err := db.Update(t.Context(), act, reads); err != nil {
			t.Errorf("what reads: %v", err)
		}
		once := store.WithOnce(t.Context(), store.NewOnce("tok", "POST /", "key", nil))
		if err := db.Update(once, act, reads); err != nil {
			t.Errorf("under a key: %v", err)
		}
		err := db.View(t.Context(), func(tx *store.Tx) error {
			v, m, err := scraps.Get(tx, id)
			if v.N != 3 || m.Version != 3 {
				t.Errorf("%+v %+v", v, m)
			}
			return err
		})
		if rows := auditRows(t, db); err != nil || len(rows) != 3 || woken != 3 {
			t.Errorf("%v; woken %d times; %+v", err, woken, rows)
		}
	}},
	{"wake-ups come after the commit, or not at all", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		woken := false
		id := things.NewID()
		r.must(func(tx *store.Tx) error {
			tx.After(func() {
				woken = true
				r.see(func(tx *store.Tx) error {
					_, _, err := things.Get(tx, id)
					return err
				})
			})
			return things.Put(tx, id, thing{}, 0)
		})
		if !woken {
			t.Error("nobody was woken")
		}
		err := r.update(func(tx *store.Tx) error {
			tx.After(func() { t.Error("woken after a failure") })
			return things.Put(tx, id, thing{}, 7)
		})
		wantKind(t, err, fault.Stale)
	}},
	{"a request under an idempotency key acts once", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		act := store.Act{By: "tok_a", Verb: "thing.make"}
		make := func(once store.Once, fail error) error {
			ctx := store.WithOnce(t.Context(), once)
			return r.Update(ctx, act, func(tx *store.Tx) error {
				id := things.NewID()
				tx.On(id)
				return errors.Join(things.Put(tx, id, thing{}, 0), fail)
			})
		}
		replay := func(once store.Once) *store.Reply {
			t.Helper()
			reply, err := r.Replay(t.Context(), once)
			if err != nil {
				t.Fatal(err)
			}
			return reply
		}
		once := store.NewOnce("tok_a", "POST /things", "key", []byte("body"))
		if replay(once) != nil {
			t.Error("a new key has a reply")
		}
		if err := make(once, errOurs); !errors.Is(err, errOurs) || replay(once) != nil {
			t.Errorf("a request that failed used its key up: %v", err)
		}
		if err := make(once, nil); err != nil {
			t.Fatal(err)
		}
		wantKind(t, make(once, nil), fault.Exists)
		if reply := replay(once); reply == nil || reply.Done || len(reply.On) != 1 {
			t.Errorf("%+v", reply)
		}
		if err := r.Answered(t.Context(), once, 201, "application/json", []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if reply := replay(once); reply == nil || !reply.Done || reply.Status != 201 || string(reply.Answer) != "{}" {
			t.Errorf("%+v", reply)
		}
		_, err := r.Replay(t.Context(), store.NewOnce("tok_a", "POST /things", "key", []byte("another body")))
		wantKind(t, err, fault.Conflict)
		for _, other := range []store.Once{store.NewOnce("tok_b", "POST /things", "key", nil), store.NewOnce("tok_a", "POST /other", "key", nil), store.NewOnce("tok_a", "POST /thing", "skey", nil)} {
			if err := make(other, nil); err != nil {
				t.Errorf("another caller's or route's key: %v", err)
			}
		}
		r.clock.Turn(store.ReplyKept + time.Second)
		if replay(once) != nil {
			t.Error("a key is remembered too long")
		}
		if err := make(once, nil); err != nil {
			t.Errorf("a key whose time has passed: %v", err)
		}
		if n, err := r.ForgetReplies(t.Context(), 2); err != nil || n != 2 {
			t.Errorf("forgot %d: %v", n, err)
		}
		if n, err := r.ForgetReplies(t.Context(), 100); err != nil || n != 1 {
			t.Errorf("forgot %d: %v", n, err)
		}
		if replay(once) == nil {
			t.Error("a fresh key was forgotten")
		}
	}},
	{"the same key at the same time acts once", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		once := store.NewOnce("tok_a", "POST /things", "key", nil)
		var mu sync.Mutex
		outcomes := map[fault.Kind]int{}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				err := r.Update(store.WithOnce(context.Background(), once), store.Act{By: "tok_a", Verb: "thing.make"}, func(tx *store.Tx) error {
					return things.Put(tx, things.NewID(), thing{Name: "made once"}, 0)
				})
				mu.Lock()
				defer mu.Unlock()
				outcomes[fault.Of(err)]++
			})
		}
		wg.Wait()
		if outcomes[""] != 1 || outcomes[fault.Exists] != 7 {
			t.Errorf("%v", outcomes)
		}
	}},
	{"an outcome that nobody knows is settled by its idempotency key", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		lossy := &losesAnswers{Engine: fresh(t)}
		db := open(t, lossy, kinds(), nil)
		for _, kept := range []bool{true, false} {
			name := fmt.Sprint("kept: ", kept)
			once := store.NewOnce("tok_a", "POST /things", name, nil)
			make := func() error {
				return db.Update(store.WithOnce(t.Context(), once), store.Act{By: "tok_a", Verb: "thing.make"}, func(tx *store.Tx) error {
					tx.After(func() {
						if lossy.lose {
							t.Error("woken although nobody knows")
						}
					})
					return things.Put(tx, things.NewID(), thing{Name: name}, 0)
				})
			}
			lossy.lose, lossy.keep = true, kept
			wantKind(t, make(), fault.Unknown)
			lossy.lose = false
			if again := make(); kept {
				wantKind(t, again, fault.Exists)
			} else if again != nil {
				t.Error(again)
			}
			if reply, err := db.Replay(t.Context(), once); reply == nil || err != nil {
				t.Errorf("%v, %v", reply, err)
			}
		}
		err := db.View(t.Context(), func(tx *store.Tx) error {
			n, err := things.Count(tx, store.Query{})
			if n != 2 {
				t.Errorf("%d things, want 2", n)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}},
	{"a second person approves one exact thing", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		id := things.NewID()
		approve := func(digest, author, by string) error {
			return r.Update(t.Context(), store.Act{By: by, Verb: "thing.approve"}, func(tx *store.Tx) error {
				return store.Approve(tx, store.Approval{Of: id, Digest: digest, People: 100, Author: author, By: by})
			})
		}
		wantKind(t, approve("d1", "ada", "ada"), fault.Forbidden)
		if err := errors.Join(approve("d1", "ada", "bob"), approve("d1", "ada", "cyd"), approve("d2", "ada", "bob")); err != nil {
			t.Fatal(err)
		}
		if err := approve("d1", "ada", "bob"); fault.Of(err) != fault.Conflict && fault.Of(err) != fault.Exists {
			t.Errorf("approved twice: %v", err)
		}
		r.see(func(tx *store.Tx) error {
			given, err := store.Approvals(tx, id, "d1")
			if len(given) != 2 || !given[0].At.Equal(r.Now()) {
				t.Errorf("%+v", given)
			}
			return err
		})
		if rows := auditRows(t, r.DB); len(rows) != 3 {
			t.Errorf("%+v", rows)
		}
	}},
}

var togetherTests = []test{
	{"no update is lost among many writers", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		const writers, times = 16, 15
		id := scraps.Prefix + "_counter"
		var wg sync.WaitGroup
		for n := range writers {
			wg.Go(func() {
				for i := range times {
					add := func(tx *store.Tx) error {
						v, m, err := scraps.Get(tx, id)
						if err != nil && fault.Of(err) != fault.NotFound {
							return err
						}
						own := fmt.Sprintf("scr_%d.%d", n, i)
						return errors.Join(scraps.Put(tx, id, scrap{v.N + 1}, m.Version), scraps.Put(tx, own, scrap{-1}, 0))
					}
					err := r.update(add)
					for fault.Of(err) == fault.Unavailable { // too busy, as a slow machine may be: nothing was kept
						err = r.update(add)
					}
					if err != nil {
						t.Errorf("writer %d: %v", n, err)
						return
					}
				}
			})
		}
		wg.Wait()
		r.see(func(tx *store.Tx) error {
			v, m, err := scraps.Get(tx, id)
			if v.N != writers*times || m.Version != writers*times {
				t.Errorf("%+v %+v, want %d", v, m, writers*times)
			}
			n, err2 := scraps.Count(tx, store.Query{Index: "n", Equal: []any{-1}})
			if n != writers*times {
				t.Errorf("%d own records, want %d", n, writers*times)
			}
			return errors.Join(err, err2)
		})
	}},
	{"two who look before they write do not both win", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		// Each takes a place only when fewer than three are taken: by a walk, so that only a serializable store counts right.
		r := openRoom(t, fresh)
		errFull := errors.New("full")
		var wg sync.WaitGroup
		for n := range 12 {
			wg.Go(func() {
				err := r.update(func(tx *store.Tx) error {
					taken, err := scraps.Count(tx, store.Query{Index: "n", Equal: []any{1}})
					if err != nil {
						return err
					}
					if taken >= 3 {
						return errFull
					}
					return scraps.Put(tx, fmt.Sprintf("scr_%d", n), scrap{1}, 0)
				})
				if err != nil && !errors.Is(err, errFull) {
					t.Errorf("writer %d: %v", n, err)
				}
			})
		}
		wg.Wait()
		r.see(func(tx *store.Tx) error {
			n, err := scraps.Count(tx, store.Query{Index: "n", Equal: []any{1}})
			if n != 3 {
				t.Errorf("%d places are taken, want 3", n)
			}
			return err
		})
	}},
	{"readers see whole transactions", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		r.must(func(tx *store.Tx) error {
			return errors.Join(scraps.Put(tx, "scr_a", scrap{0}, 0), scraps.Put(tx, "scr_b", scrap{0}, 0))
		})
		done := make(chan struct{})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					err := r.View(t.Context(), func(tx *store.Tx) error {
						a, _, err := scraps.Get(tx, "scr_a")
						b, _, err2 := scraps.Get(tx, "scr_b")
						if a != b {
							return fmt.Errorf("a is %d, b is %d", a.N, b.N)
						}
						return errors.Join(err, err2)
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for i := range 100 {
			r.must(func(tx *store.Tx) error {
				return errors.Join(scraps.Put(tx, "scr_a", scrap{i + 1}, int64(i+1)), scraps.Put(tx, "scr_b", scrap{i + 1}, int64(i+1)))
			})
		}
		close(done)
		wg.Wait()
	}},
}
