package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// thing has an index on every type of field; it is kept for 30 days after a delete.
type thing struct {
	Name string    `json:"name"`
	Rank int       `json:"rank"`
	At   time.Time `json:"at"`
	Flag bool      `json:"flag"`
	Mail string    `json:"mail"`
}

const kept = 30 * 24 * time.Hour

var things = store.Table[thing]{
	Kind: store.Kind{Name: "thing", Prefix: "thg", Schema: 1, Keep: kept, Indexes: []store.Index{
		{Name: "name", Fields: []store.Field{{Name: "name", Type: store.Text}}, Unique: true},
		{Name: "rank", Fields: []store.Field{{Name: "rank", Type: store.Int}}},
		{Name: "at", Fields: []store.Field{{Name: "at", Type: store.Time}}},
		{Name: "flag", Fields: []store.Field{{Name: "flag", Type: store.Bool}, {Name: "rank", Type: store.Int}, {Name: "name", Type: store.Text}}},
		{Name: "mail", Fields: []store.Field{{Name: "mail", Type: store.Blind}}},
	}},
	Tuples: func(v thing) store.Tuples {
		all := store.Tuples{"rank": {v.Rank}, "at": {v.At}, "flag": {v.Flag, v.Rank, v.Name}}
		if v.Name != "" {
			all["name"] = []any{v.Name}
		}
		if v.Mail != "" {
			all["mail"] = []any{v.Mail}
		}
		return all
	},
}

// scrap is kept nowhere after a delete, and its ids are made by hand.
type scrap struct {
	N int `json:"n"`
}

var scraps = store.Table[scrap]{
	Kind:   store.Kind{Name: "scrap", Prefix: "scr", Schema: 1, Composed: true, Indexes: []store.Index{{Name: "n", Fields: []store.Field{{Name: "n", Type: store.Int}}}}},
	Tuples: func(v scrap) store.Tuples { return store.Tuples{"n": {v.N}} },
}

// errand waits in a lane until a worker has done it.
type errand struct {
	Lane string    `json:"lane"`
	Due  time.Time `json:"due"`
	Done int       `json:"done"`
}

var errands = store.Table[errand]{
	Kind: store.Kind{Name: "errand", Prefix: "err", Schema: 1, Leased: true},
	Due:  func(v errand) (string, time.Time) { return v.Lane, v.Due },
}

func kinds() []store.Kind { return []store.Kind{things.Kind, scraps.Kind, errands.Kind} }

// room is a store under test and the clock that it tells.
type room struct {
	*store.DB
	t     *testing.T
	clock *Dial
}

func openRoom(t *testing.T, fresh func(testing.TB) store.Engine) room {
	t.Helper()
	d := NewDial(time.Date(2022, 4, 5, 7, 38, 0, 123456789, time.UTC))
	return room{open(t, fresh(t), kinds(), []Option{Clock(d.Now)}), t, d}
}

func (r room) update(fn func(*store.Tx) error) error {
	return r.Update(r.t.Context(), store.Act{}, fn)
}

func (r room) must(fn func(*store.Tx) error) {
	r.t.Helper()
	if err := r.update(fn); err != nil {
		r.t.Fatal(err)
	}
}

func (r room) see(fn func(*store.Tx) error) {
	r.t.Helper()
	if err := r.View(r.t.Context(), fn); err != nil {
		r.t.Fatal(err)
	}
}

// add makes things and returns their ids, in the order of the ids.
func (r room) add(all ...thing) []string {
	r.t.Helper()
	ids := make([]string, len(all))
	for i := range ids {
		ids[i] = things.NewID()
	}
	slices.Sort(ids)
	r.must(func(tx *store.Tx) error {
		for i, v := range all {
			if err := things.Put(tx, ids[i], v, 0); err != nil {
				return err
			}
		}
		return nil
	})
	return ids
}

func names(tx *store.Tx, q store.Query) ([]string, error) {
	got := []string{}
	for rec, err := range things.Scan(tx, q) {
		if err != nil {
			return nil, err
		}
		got = append(got, rec.Value.Name)
	}
	return got, nil
}

func (r room) wantNames(q store.Query, want ...string) {
	r.t.Helper()
	r.see(func(tx *store.Tx) error {
		got, err := names(tx, q)
		if err == nil && !slices.Equal(got, want) {
			r.t.Errorf("%+v: got %q, want %q", q, got, want)
		}
		n, err2 := things.Count(tx, q)
		if err2 == nil && n != len(want) {
			r.t.Errorf("%+v: Count says %d, want %d", q, n, len(want))
		}
		return errors.Join(err, err2)
	})
}

func wantKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if fault.Of(err) != want {
		t.Errorf("got %v (%s), want an error of kind %s", err, fault.Of(err), want)
	}
}

var tableTests = []test{
	{"a record's life", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		id := r.add(thing{Name: "a", Rank: 1})[0]
		made := r.Now()
		want := func(version int64, deleted bool, rank int) {
			t.Helper()
			r.see(func(tx *store.Tx) error {
				v, m, err := things.GetDeleted(tx, id)
				if err != nil {
					return err
				}
				if m.ID != id || m.Version != version || !m.Created.Equal(made) || !m.Updated.Equal(r.Now()) || m.Deleted.IsZero() == deleted || v.Rank != rank {
					t.Errorf("%+v %+v, want version %d, deleted %v, rank %d, updated %v", v, m, version, deleted, rank, r.Now())
				}
				_, _, err = things.Get(tx, id)
				if deleted {
					wantKind(t, err, fault.NotFound)
					return nil
				}
				return err
			})
		}
		want(1, false, 1)
		r.clock.Turn(time.Hour)
		r.must(func(tx *store.Tx) error { return things.Put(tx, id, thing{Name: "a", Rank: 2}, 1) })
		want(2, false, 2)
		wantKind(t, r.update(func(tx *store.Tx) error { return things.Put(tx, id, thing{}, 1) }), fault.Stale)
		wantKind(t, r.update(func(tx *store.Tx) error { return things.Put(tx, id, thing{}, 0) }), fault.Exists)
		wantKind(t, r.update(func(tx *store.Tx) error { return things.Delete(tx, id, 1) }), fault.Stale)
		wantKind(t, r.update(func(tx *store.Tx) error { return things.Undelete(tx, id, 2) }), fault.Conflict)
		wantKind(t, r.update(func(tx *store.Tx) error { return things.Purge(tx, id) }), fault.Conflict)
		want(2, false, 2)
		r.clock.Turn(time.Hour)
		r.must(func(tx *store.Tx) error { return things.Delete(tx, id, 2) })
		want(3, true, 2)
		for _, q := range []store.Query{{}, {Index: "name"}, {Index: "rank"}, {Index: "flag"}} {
			r.wantNames(q)
		}
		r.wantNames(store.Query{Deleted: true}, "a")
		wantKind(t, r.update(func(tx *store.Tx) error { return things.Put(tx, id, thing{}, 3) }), fault.NotFound)
		wantKind(t, r.update(func(tx *store.Tx) error { return things.Delete(tx, id, 3) }), fault.NotFound)
		r.clock.Turn(time.Hour)
		r.must(func(tx *store.Tx) error { return things.Undelete(tx, id, 3) })
		want(4, false, 2)
		r.wantNames(store.Query{Index: "name", Equal: []any{"a"}}, "a")
		r.must(func(tx *store.Tx) error { return things.Delete(tx, id, 4) })
		r.clock.Turn(kept - time.Microsecond)
		wantKind(t, r.update(func(tx *store.Tx) error { return things.Purge(tx, id) }), fault.Conflict)
		r.clock.Turn(time.Microsecond)
		r.must(func(tx *store.Tx) error { return things.Purge(tx, id) })
		r.wantNames(store.Query{Deleted: true})
		wantKind(t, r.update(func(tx *store.Tx) error { return things.Undelete(tx, id, 5) }), fault.NotFound)
	}},
	{"many records are read at once", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		ids := r.add(thing{Name: "kept"}, thing{Name: "deleted"}, thing{Name: "changed"}, thing{Name: "removed"})
		r.must(func(tx *store.Tx) error { return things.Delete(tx, ids[1], 1) })
		r.must(func(tx *store.Tx) error {
			if err := errors.Join(things.Put(tx, ids[2], thing{Name: "anew"}, 1), things.Delete(tx, ids[3], 1)); err != nil {
				return err
			}
			made := things.NewID()
			if err := things.Put(tx, made, thing{Name: "made"}, 0); err != nil {
				return err
			}
			all, err := things.GetAll(tx, append(ids, made, things.NewID()))
			if len(all) != 3 || all[ids[0]].Value.Name != "kept" || all[ids[2]].Value.Name != "anew" || all[ids[2]].Version != 2 || all[made].Value.Name != "made" {
				t.Errorf("%+v", all)
			}
			none, errNone := things.GetAll(tx, nil)
			_, wrong := things.GetAll(tx, []string{ids[0], "scr_" + store.NewSuffix()})
			wantKind(t, wrong, fault.NotFound)
			if len(none) > 0 {
				t.Errorf("none: %+v", none)
			}
			return errors.Join(err, errNone)
		})
	}},
	{"what was foreseen is read as it is", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		ids := r.add(thing{Name: "a", Mail: "a@b.example"}, thing{Name: "b"}, thing{Name: "c"})
		all, one, mail := store.Query{Index: "name"}, store.Query{Index: "name", Limit: 1, Reverse: true}, store.Query{Index: "mail", Equal: []any{"a@b.example"}}
		foresee := func(tx *store.Tx) {
			for _, q := range []store.Query{all, one, mail, all, {Index: "name", Equal: []any{"never asked"}}, {Index: "no such index"}} {
				things.Foresee(tx, q)
				things.ForeseeCount(tx, q)
			}
		}
		look := func(tx *store.Tx, first string, want ...string) {
			for range 2 { // the second time nothing is foreseen
				for _, asked := range []struct {
					q    store.Query
					want []string
				}{{mail, []string{first}}, {all, want}, {one, want[len(want)-1:]}} {
					got, err := names(tx, asked.q)
					n, err2 := things.Count(tx, asked.q)
					if err := errors.Join(err, err2); err != nil || !slices.Equal(got, asked.want) || n != len(asked.want) {
						t.Errorf("%+v: %q, %d, %v; want %q", asked.q, got, n, err, asked.want)
					}
				}
			}
		}
		r.see(func(tx *store.Tx) error {
			foresee(tx)
			look(tx, "a", "a", "b", "c")
			return nil
		})
		r.must(func(tx *store.Tx) error { // of what the transaction has written itself, what was foreseen knows nothing
			foresee(tx)
			if err := errors.Join(things.Put(tx, ids[0], thing{Name: "0", Mail: "a@b.example"}, 1), things.Delete(tx, ids[1], 1)); err != nil {
				return err
			}
			look(tx, "0", "0", "c")
			return nil
		})
	}},
	{"a kind that keeps nothing loses what is deleted", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		r.must(func(tx *store.Tx) error { return scraps.Put(tx, "scr_1", scrap{}, 0) })
		r.must(func(tx *store.Tx) error { return scraps.Delete(tx, "scr_1", 1) })
		r.see(func(tx *store.Tx) error {
			_, _, err := scraps.GetDeleted(tx, "scr_1")
			wantKind(t, err, fault.NotFound)
			return nil
		})
	}},
	{"an id of another kind is refused", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		for _, id := range []string{"", "thg", "thg_", "scr_" + store.NewSuffix(), "thg_" + strings.Repeat("8", 26), "thg_" + store.NewSuffix() + "x", "thg_" + strings.ToUpper(store.NewSuffix()), "thg_\x00"} {
			r.see(func(tx *store.Tx) error {
				_, _, err := things.Get(tx, id)
				wantKind(t, err, fault.NotFound)
				return nil
			})
			if err := r.update(func(tx *store.Tx) error { return things.Put(tx, id, thing{}, 0) }); err == nil {
				t.Errorf("a thing was put under the id %q", id)
			}
		}
	}},
	{"a view does not write", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		id := r.add(thing{Name: "a"})[0]
		for i, write := range []func(*store.Tx) error{
			func(tx *store.Tx) error { return things.Put(tx, things.NewID(), thing{}, 0) },
			func(tx *store.Tx) error { return things.Put(tx, id, thing{}, 1) },
			func(tx *store.Tx) error { return things.Delete(tx, id, 1) },
			func(tx *store.Tx) error { return errands.Fence(tx, errands.NewID(), "w", 1) },
		} {
			if err := r.View(t.Context(), write); err == nil {
				t.Errorf("write %d was taken in a View", i)
			}
		}
	}},
	{"unique values through a table", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		ids := r.add(thing{Name: "a"}, thing{Name: "b"})
		wantKind(t, r.update(func(tx *store.Tx) error { return things.Put(tx, things.NewID(), thing{Name: "a"}, 0) }), fault.Exists)
		wantKind(t, r.update(func(tx *store.Tx) error { return things.Put(tx, ids[1], thing{Name: "a"}, 1) }), fault.Exists)
		r.must(func(tx *store.Tx) error { // swapped
			return errors.Join(things.Put(tx, ids[0], thing{Name: "b"}, 1), things.Put(tx, ids[1], thing{Name: "a"}, 1))
		})
		r.must(func(tx *store.Tx) error { return things.Delete(tx, ids[0], 2) })
		third := r.add(thing{Name: "b"})[0]
		wantKind(t, r.update(func(tx *store.Tx) error { return things.Undelete(tx, ids[0], 3) }), fault.Exists)
		r.must(func(tx *store.Tx) error { // one goes, one comes back
			return errors.Join(things.Delete(tx, third, 1), things.Undelete(tx, ids[0], 3))
		})
		r.wantNames(store.Query{Index: "name"}, "a", "b")
	}},
	{"ranges of every type", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		day := func(n int) time.Time { return time.Date(1970, 1, n, 0, 0, 0, 0, time.UTC) }
		r.add(
			thing{Name: "b", Rank: 0, At: day(1).Add(time.Microsecond), Flag: true},
			thing{Name: "a\x00", Rank: -1, At: day(1), Flag: true},
			thing{Name: "a", Rank: -1 << 62, At: day(-400000), Flag: false},
			thing{Name: "ab", Rank: 1 << 62, At: day(90000).In(time.FixedZone("east", 3600*9)), Flag: false},
			thing{Name: "\xff", Rank: 7, At: day(0), Flag: true},
		)
		r.wantNames(store.Query{Index: "name"}, "a", "a\x00", "ab", "b", "\ufffd")
		r.wantNames(store.Query{Index: "name", Equal: []any{"a"}}, "a")
		r.wantNames(store.Query{Index: "name", Equal: []any{"\xff"}}, "\ufffd") // the index keeps bytes; the value is JSON
		r.wantNames(store.Query{Index: "name", From: "a\x00", To: "b"}, "a\x00", "ab")
		r.wantNames(store.Query{Index: "name", From: "a\x00", To: "b", Reverse: true, Limit: 1}, "ab")
		r.wantNames(store.Query{Index: "name", From: "b", To: "a"})
		r.wantNames(store.Query{Index: "rank"}, "a", "a\x00", "b", "\ufffd", "ab")
		r.wantNames(store.Query{Index: "rank", From: -1, To: int64(7)}, "a\x00", "b")
		r.wantNames(store.Query{Index: "rank", Equal: []any{-1}}, "a\x00")
		r.wantNames(store.Query{Index: "at"}, "a", "\ufffd", "a\x00", "b", "ab")
		r.wantNames(store.Query{Index: "at", From: day(1), To: day(1).Add(2 * time.Microsecond)}, "a\x00", "b")
		r.wantNames(store.Query{Index: "at", To: day(1)}, "a", "\ufffd")
		r.wantNames(store.Query{Index: "flag", Equal: []any{false}}, "a", "ab")
		r.wantNames(store.Query{Index: "flag", Equal: []any{true}, From: -1, To: 7}, "a\x00", "b")
		r.wantNames(store.Query{Index: "flag", Equal: []any{true, 0}}, "b")
		r.wantNames(store.Query{Index: "flag", Equal: []any{true, 0, "b"}}, "b")
		r.wantNames(store.Query{Index: "flag", Equal: []any{true}, Reverse: true}, "\ufffd", "b", "a\x00")
		r.wantNames(store.Query{Prefix: "thg_"}, "b", "a\x00", "a", "ab", "\ufffd")
		r.wantNames(store.Query{Prefix: "thg_z"})
		r.see(func(tx *store.Tx) error {
			for _, q := range []store.Query{{Index: "none"}, {Index: "rank", Equal: []any{"text"}}, {Index: "rank", Equal: []any{1}, From: 2}, {Index: "rank", Equal: []any{1, 2}}} {
				if _, err := names(tx, q); err == nil {
					t.Errorf("%+v was walked", q)
				}
			}
			for _, mark := range []string{"?", "AA", "_____w", strings.Repeat("/", 40)} {
				_, err := names(tx, store.Query{Index: "rank", After: mark})
				wantKind(t, err, fault.Invalid)
			}
			return nil
		})
		wantKind(t, r.update(func(tx *store.Tx) error {
			return things.Put(tx, things.NewID(), thing{Name: strings.Repeat("x", 257)}, 0)
		}), fault.Invalid)
		r.add(thing{Name: strings.Repeat("\x00", 256)}) // the longest encoding
	}},
	{"a cursor of one list does not fit another", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		r.add(thing{Name: "a"}, thing{Name: "b"})
		r.see(func(tx *store.Tx) error {
			_, byID, err := things.List(tx, store.Query{Limit: 1})
			_, byName, err2 := things.List(tx, store.Query{Index: "name", Limit: 1})
			if err := errors.Join(err, err2); err != nil || byID == "" || byName == "" {
				return fmt.Errorf("cursors %q, %q: %w", byID, byName, err)
			}
			_, _, err = things.List(tx, store.Query{Index: "name", After: byID})
			wantKind(t, err, fault.Invalid)
			_, _, err = things.List(tx, store.Query{After: byName})
			wantKind(t, err, fault.Invalid)
			return nil
		})
	}},
	{"a blind index finds what it never shows", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		engine := fresh(t)
		keys := Keys(t)
		db := open(t, engine, kinds(), []Option{WithKeys(keys)})
		r := room{db, t, &Dial{}}
		const mail, name = "ada@customer.example", "Countess of Lovelace"
		r.add(thing{Name: "c", Mail: mail, At: r.Now()}, thing{Name: "b", Mail: "bob@customer.example"}, thing{Name: "a", Mail: mail}, thing{})
		id := scraps.Prefix + "_1"
		r.must(func(tx *store.Tx) error { return scraps.Put(tx, id, scrap{N: 123454321}, 0) })
		r.wantNames(store.Query{Index: "mail", Equal: []any{mail}}, "c", "a")
		r.wantNames(store.Query{Index: "mail", Equal: []any{"carol@customer.example"}})
		r.wantNames(store.Query{Index: "mail", Equal: []any{strings.ToUpper(mail)}})
		r.must(func(tx *store.Tx) error { return things.Put(tx, things.NewID(), thing{Mail: name}, 0) })
		err := engine.View(t.Context(), func(s store.Snapshot) error {
			for _, k := range kinds() {
				for raw, err := range s.Scan(store.Range{Kind: k.Name, Deleted: true}) {
					if err != nil {
						return err
					}
					for _, part := range append(slices.Clone(raw.Tuples), raw.Body) {
						for _, secret := range []string{mail, name, "customer", "Countess", "123454321", `"mail"`} {
							if bytes.Contains(part, []byte(secret)) {
								t.Errorf("%s %s shows %q: %q", k.Name, raw.ID, secret, part)
							}
						}
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}},
	{"other keys are refused", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		engine, keys := fresh(t), Keys(t)
		r := room{open(t, engine, kinds(), []Option{WithKeys(keys)}), t, &Dial{}}
		id := r.add(thing{Name: "a"})[0]
		if _, err := store.Open(t.Context(), engine, store.Options{Keys: Keys(t), Kinds: kinds()}); err == nil || !strings.Contains(err.Error(), "keys") {
			t.Errorf("opened with other keys: %v", err)
		}
		again, err := store.Open(t.Context(), engine, store.Options{Keys: keys, Kinds: kinds()})
		if err != nil {
			t.Fatal(err)
		}
		err = again.View(t.Context(), func(tx *store.Tx) error {
			v, _, err := things.Get(tx, id)
			if err == nil && v.Name != "a" {
				t.Errorf("read %+v", v)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}},
	{"a body moved to another record does not open", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		engine := fresh(t)
		r := room{open(t, engine, kinds(), []Option{Unchecked()}), t, &Dial{}}
		ids := r.add(thing{Name: "a"}, thing{Name: "b"})
		err := engine.Update(t.Context(), func(s store.Snapshot) (store.Writes, error) {
			a, err := s.Get("thing", ids[0])
			b, err2 := s.Get("thing", ids[1])
			b.Body = bytes.Clone(a.Body)
			b.Version++
			return store.Writes{{Kind: "thing", Raw: own(b), Was: 1}}, errors.Join(err, err2)
		})
		if err != nil {
			t.Fatal(err)
		}
		err = r.View(t.Context(), func(tx *store.Tx) error {
			_, _, err := things.Get(tx, ids[1])
			return err
		})
		if err == nil {
			t.Error("a body opened under another record's id")
		}
	}},
	{"a lease through a table", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		id := errands.NewID()
		past := time.Now().Add(-time.Hour)
		r.must(func(tx *store.Tx) error { return errands.Put(tx, id, errand{Lane: "a", Due: past}, 0) })
		claim := func(lane string, d time.Duration) store.Meta {
			t.Helper()
			var got []store.Meta
			eventually(t, "an errand in lane "+lane, func() bool {
				var err error
				if got, err = r.Claim(t.Context(), store.Lease{Kind: "errand", Lane: lane, Holder: "w", For: d, Limit: 1}); err != nil {
					t.Fatal(err)
				}
				return len(got) == 1
			})
			return got[0]
		}
		if _, err := r.Claim(t.Context(), store.Lease{Kind: "thing", Limit: 1}); err == nil {
			t.Error("a kind without leases could be claimed")
		}
		stale := claim("a", time.Millisecond)
		held := claim("a", time.Hour)
		if held.ID != id || held.Epoch != 2 {
			t.Fatalf("claimed %+v", held)
		}
		write := func(m store.Meta, and func(*store.Tx) error) error {
			return r.update(func(tx *store.Tx) error {
				if err := errands.Fence(tx, id, m.Holder, m.Epoch); err != nil {
					return err
				}
				v, now, err := errands.Get(tx, id)
				if err != nil {
					return err
				}
				v.Done++
				v.Lane = "b"
				if err := errands.Put(tx, id, v, now.Version); err != nil {
					return err
				}
				return and(tx)
			})
		}
		nothing := func(*store.Tx) error { return nil }
		wantKind(t, write(stale, nothing), fault.Fenced)
		wantKind(t, write(stale, func(tx *store.Tx) error { return errands.Delete(tx, id, 2) }), fault.Fenced)
		wantKind(t, r.update(func(tx *store.Tx) error {
			return errors.Join(errands.Fence(tx, id, "w", stale.Epoch), errands.Delete(tx, id, 1))
		}), fault.Fenced)
		if err := write(held, nothing); err != nil {
			t.Fatal(err)
		}
		wantKind(t, r.update(func(tx *store.Tx) error { return errands.Release(tx, id, "w", stale.Epoch) }), fault.Fenced)
		wantKind(t, r.update(func(tx *store.Tx) error { return errands.Renew(tx, id, "other", held.Epoch, time.Hour) }), fault.Fenced)
		r.must(func(tx *store.Tx) error { return errands.Renew(tx, id, "w", held.Epoch, 2*time.Hour) })
		r.see(func(tx *store.Tx) error {
			v, m, err := errands.Get(tx, id)
			if d := time.Until(m.Due); err == nil && (v.Done != 1 || m.Version != 2 || m.Holder != "w" || m.Epoch != 2 || m.Lane != "a" || d < 110*time.Minute) {
				t.Errorf("%+v %+v", v, m)
			}
			return err
		})
		if err := write(held, func(tx *store.Tx) error { return errands.Release(tx, id, "w", held.Epoch) }); err != nil {
			t.Fatal(err)
		}
		if again := claim("b", time.Hour); again.ID != id || again.Epoch != 3 || again.Version != 3 {
			t.Errorf("claimed %+v", again)
		}
		r.must(func(tx *store.Tx) error {
			return errors.Join(errands.Fence(tx, id, "w", 3), errands.Delete(tx, id, 3))
		})
	}},
}

// twice runs every Update's function again, as an engine may.
type twice struct{ store.Engine }

func (e twice) Update(ctx context.Context, fn func(store.Snapshot) (store.Writes, error)) error {
	return e.Engine.Update(ctx, func(s store.Snapshot) (store.Writes, error) {
		if writes, err := fn(s); err != nil {
			return writes, err
		}
		return fn(s)
	})
}
