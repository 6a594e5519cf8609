package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

var walkTests = []test{
	{"a transaction reads its own writes", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		ids := r.add(thing{Name: "a", Rank: 1}, thing{Name: "b", Rank: 2}, thing{Name: "c", Rank: 3}, thing{Name: "d", Rank: 4})
		r.must(func(tx *store.Tx) error {
			ended := errors.Join(
				things.Put(tx, ids[0], thing{Name: "a", Rank: 9}, 1),
				things.Delete(tx, ids[1], 1),
				things.Put(tx, things.NewID(), thing{Name: "ab", Rank: 3}, 0),
			)
			for _, want := range []struct {
				q    store.Query
				want []string
			}{
				{store.Query{Index: "rank"}, []string{"c", "ab", "d", "a"}},
				{store.Query{Index: "rank", Reverse: true}, []string{"a", "d", "ab", "c"}},
				{store.Query{Index: "rank", Limit: 2}, []string{"c", "ab"}},
				{store.Query{Index: "rank", From: 4}, []string{"d", "a"}},
				{store.Query{Index: "rank", To: 3}, []string{}},
				{store.Query{Index: "name"}, []string{"a", "ab", "c", "d"}},
				{store.Query{}, []string{"a", "c", "d", "ab"}},
				{store.Query{Limit: 1}, []string{"a"}},
				{store.Query{Reverse: true, Limit: 2}, []string{"ab", "d"}},
				{store.Query{Deleted: true}, []string{"a", "b", "c", "d", "ab"}},
			} {
				got, err := names(tx, want.q)
				if err != nil || !slices.Equal(got, want.want) {
					t.Errorf("%+v: got %q (%v), want %q", want.q, got, err, want.want)
				}
				if n, err := things.Count(tx, want.q); err != nil || n != len(want.want) {
					t.Errorf("%+v: Count says %d (%v), want %d", want.q, n, err, len(want.want))
				}
			}
			_, m, err := things.Get(tx, ids[0])
			if err != nil || m.Version != 2 {
				t.Errorf("%+v, %v", m, err)
			}
			_, _, err = things.Get(tx, ids[1])
			wantKind(t, err, fault.NotFound)
			return ended
		})
	}},
	{"what is written twice in a transaction has one version more", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		r.must(func(tx *store.Tx) error {
			return errors.Join(scraps.Put(tx, "scr_a", scrap{1}, 0), scraps.Put(tx, "scr_a", scrap{2}, 1),
				scraps.Put(tx, "scr_b", scrap{1}, 0), scraps.Delete(tx, "scr_b", 1), // leaves nothing
				scraps.Put(tx, "scr_c", scrap{1}, 0), scraps.Delete(tx, "scr_c", 1), scraps.Put(tx, "scr_c", scrap{2}, 0))
		})
		r.must(func(tx *store.Tx) error { // removed and made anew
			return errors.Join(scraps.Delete(tx, "scr_a", 1), scraps.Put(tx, "scr_a", scrap{3}, 0))
		})
		r.see(func(tx *store.Tx) error {
			_, a, err := scraps.Get(tx, "scr_a")
			_, _, err2 := scraps.Get(tx, "scr_b")
			wantKind(t, err2, fault.NotFound)
			_, c, err3 := scraps.Get(tx, "scr_c")
			if a.Version != 2 || c.Version != 1 {
				t.Errorf("versions %d and %d, want 2 and 1", a.Version, c.Version)
			}
			return errors.Join(err, err3)
		})
		r.must(func(tx *store.Tx) error { return scraps.Put(tx, "scr_a", scrap{4}, 2) })
	}},
	{"writing while walking", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		for _, index := range []string{"", "n"} {
			prefix := "scr_" + index
			r.must(func(tx *store.Tx) error {
				for i := range 600 {
					if err := scraps.Put(tx, fmt.Sprintf("%s%03d", prefix, i), scrap{i}, 0); err != nil {
						return err
					}
				}
				return nil
			})
			r.must(func(tx *store.Tx) error {
				seen := map[string]int{}
				last := ""
				q := store.Query{Index: index}
				if index == "" {
					q.Prefix = prefix
				}
				for rec, err := range scraps.Scan(tx, q) {
					if err != nil {
						return err
					}
					seen[rec.ID]++
					if rec.ID == last { // it was rewritten before the walk came to it
						if rec.Value.N < 1000 {
							return fmt.Errorf("%s is met with its old value", rec.ID)
						}
						continue
					}
					if err := scraps.Put(tx, rec.ID, scrap{rec.Value.N}, rec.Version); err != nil {
						return err
					}
					if last = fmt.Sprintf("%s%03d", prefix, rec.Value.N+1); rec.Value.N%2 != 0 || rec.Value.N > 1000 {
						last = ""
						continue
					}
					if err := scraps.Put(tx, last, scrap{rec.Value.N + 1001}, 1); err != nil {
						return err
					}
				}
				for i := range 600 {
					if n := seen[fmt.Sprintf("%s%03d", prefix, i)]; n != 1 {
						return fmt.Errorf("index %q: record %d was met %d times", index, i, n)
					}
				}
				return nil
			})
			r.must(func(tx *store.Tx) error {
				for rec, err := range scraps.Scan(tx, store.Query{}) {
					if err != nil {
						return err
					}
					if err := scraps.Delete(tx, rec.ID, rec.Version); err != nil {
						return err
					}
				}
				return nil
			})
			r.see(func(tx *store.Tx) error {
				n, err := scraps.Count(tx, store.Query{})
				if err == nil && n != 0 {
					err = fmt.Errorf("%d records are left", n)
				}
				return err
			})
		}
	}},
	{"pages stay whole while records come and go", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		for _, reverse := range []bool{false, true} {
			r := openRoom(t, fresh)
			var all []thing
			for i := range 100 {
				all = append(all, thing{Name: fmt.Sprintf("m%03d", i), Rank: i / 10})
			}
			ids := r.add(all...)
			met := map[string]int{}
			q := store.Query{Index: "rank", Limit: 7, Reverse: reverse}
			for n := 0; ; n++ {
				var next string
				r.see(func(tx *store.Tx) error {
					page, after, err := things.List(tx, q)
					next = after
					for _, rec := range page {
						met[rec.ID]++
					}
					if after != "" && len(page) != 7 {
						t.Errorf("a page of %d before the last", len(page))
					}
					return err
				})
				if next == "" {
					break
				}
				q.After = next
				r.add(thing{Name: fmt.Sprintf("before %d", n), Rank: -1}, thing{Name: fmt.Sprintf("between %d", n), Rank: n % 10}, thing{Name: fmt.Sprintf("behind %d", n), Rank: 99})
			}
			for _, id := range ids {
				if met[id] != 1 {
					t.Errorf("reverse %v: a record that was there all the time was met %d times", reverse, met[id])
				}
			}
			for id, n := range met {
				if n != 1 {
					t.Errorf("reverse %v: %s was met %d times", reverse, id, n)
				}
			}
		}
	}},
	{"random writes and walks match a plain list", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		r := openRoom(t, fresh)
		rnd := rand.New(rand.NewPCG(20220405, 738))
		m := model{}
		for range 60 {
			next := m.clone()
			err := r.update(func(tx *store.Tx) error {
				next = m.clone()
				for range 1 + rnd.IntN(6) {
					if err := next.step(tx, rnd); err != nil {
						return err
					}
					for range 3 {
						if err := next.compare(tx, rnd); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			m = next
			r.see(func(tx *store.Tx) error {
				for range 5 {
					if err := m.compare(tx, rnd); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}},
}

// model is what the things should be, by id.
type model map[string]modelled

type modelled struct {
	thing
	deleted bool
}

func (m model) clone() model {
	next := model{}
	for id, v := range m {
		next[id] = v
	}
	return next
}

func (m model) any(rnd *rand.Rand) string {
	ids := m.sorted(func(a, b string) int { return cmp.Compare(a, b) })
	if len(ids) == 0 {
		return ""
	}
	return ids[rnd.IntN(len(ids))]
}

func (m model) sorted(order func(a, b string) int) []string {
	var ids []string
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, order)
	return ids
}

// step does one random thing to the store and to the model.
func (m model) step(tx *store.Tx, rnd *rand.Rand) error {
	v := thing{Rank: rnd.IntN(5) - 2, At: time.UnixMicro(int64(rnd.IntN(5))), Flag: rnd.IntN(2) == 0, Mail: fmt.Sprintf("m%d", rnd.IntN(3))}
	id := m.any(rnd)
	if id == "" || rnd.IntN(3) == 0 {
		id = things.NewID()
		m[id] = modelled{v, false}
		return things.Put(tx, id, v, 0)
	}
	_, meta, err := things.GetDeleted(tx, id)
	if err != nil {
		return err
	}
	old := m[id]
	switch {
	case old.deleted:
		m[id] = modelled{old.thing, false}
		return things.Undelete(tx, id, meta.Version)
	case rnd.IntN(3) == 0:
		m[id] = modelled{old.thing, true}
		return things.Delete(tx, id, meta.Version)
	}
	m[id] = modelled{v, false}
	return things.Put(tx, id, v, meta.Version)
}

// compare asks one random question of both.
func (m model) compare(tx *store.Tx, rnd *rand.Rand) error {
	var q store.Query
	q.Reverse, q.Limit = rnd.IntN(2) == 0, rnd.IntN(4)*rnd.IntN(5)
	in := func(string) bool { return true }
	order := func(a, b string) int { return cmp.Compare(a, b) }
	from := rnd.IntN(5) - 2
	switch rnd.IntN(5) {
	case 0:
		q.Deleted = rnd.IntN(2) == 0
		if from := m.any(rnd); from != "" && rnd.IntN(2) == 0 {
			q.From = from
			in = func(id string) bool { return id >= from }
		}
	case 1:
		q.Index, q.From, q.To = "rank", from, from+2
		in = func(id string) bool { return m[id].Rank >= from && m[id].Rank < from+2 }
		order = func(a, b string) int { return cmp.Compare(m[a].Rank, m[b].Rank) }
	case 2:
		q.Index, q.From = "at", time.UnixMicro(int64(from))
		in = func(id string) bool { return m[id].At.UnixMicro() >= int64(from) }
		order = func(a, b string) int { return m[a].At.Compare(m[b].At) }
	case 3:
		q.Index, q.Equal, q.To = "flag", []any{true}, from
		in = func(id string) bool { return m[id].Flag && m[id].Rank < from }
		order = func(a, b string) int { return cmp.Compare(m[a].Rank, m[b].Rank) }
	case 4:
		q.Index, q.Equal = "mail", []any{"m1"}
		in = func(id string) bool { return m[id].Mail == "m1" }
	}
	want := m.sorted(func(a, b string) int { return cmp.Or(order(a, b), cmp.Compare(a, b)) })
	want = slices.DeleteFunc(want, func(id string) bool { return !in(id) || m[id].deleted && !q.Deleted })
	if q.Reverse {
		slices.Reverse(want)
	}
	if q.Limit > 0 && len(want) > q.Limit {
		want = want[:q.Limit]
	}
	var got []string
	for rec, err := range things.Scan(tx, q) {
		if err != nil {
			return err
		}
		got = append(got, rec.ID)
		if len(got) == 3 && rnd.IntN(2) == 0 { // go on from a cursor
			q.After = rec.Cursor()
			if q.Limit > 0 {
				if q.Limit -= 3; q.Limit == 0 {
					break
				}
			}
			rest, _, err := things.List(tx, q)
			if err != nil {
				return err
			}
			for _, rec := range rest {
				got = append(got, rec.ID)
			}
			break
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%+v: got %q, want %q", q, got, want)
	}
	return nil
}
