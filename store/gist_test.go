package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"lifeline/store"
	"lifeline/store/storetest"
)

// bothEngines tells a story on each engine.
func bothEngines(t *testing.T, story func(h house)) {
	t.Run("bolt", func(t *testing.T) {
		story(openHouse(t, storetest.Bolt(t), filepath.Join(t.TempDir(), "keys"), true))
	})
	t.Run("postgres", func(t *testing.T) {
		story(openHouse(t, storetest.Postgres(t), filepath.Join(t.TempDir(), "keys"), true))
	})
}

func (h house) seat(id string, g guest, was int64) {
	h.t.Helper()
	if err := h.Update(h.t.Context(), store.Act{}, func(tx *store.Tx) error { return guests.Put(tx, id, g, was) }); err != nil {
		h.t.Fatal(err)
	}
}

func TestAWalkOverGistsUnsealsOnlyWhatIsNew(t *testing.T) {
	bothEngines(t, func(h house) {
		var all store.Kept[string]
		var opened atomic.Int64
		names := func(tx *store.Tx) (names []string) {
			opened.Store(0)
			of := func(g guest) string { opened.Add(1); return g.Name }
			for rec, err := range store.Gists(tx, guests, &all, of, store.Query{}) {
				if err != nil {
					h.t.Fatal(err)
				}
				names = append(names, rec.Value)
			}
			return names
		}
		seen := func() (seen []string) {
			if err := h.View(h.t.Context(), func(tx *store.Tx) error { seen = names(tx); return nil }); err != nil {
				h.t.Fatal(err)
			}
			return seen
		}
		var want []string
		err := h.Update(h.t.Context(), store.Act{}, func(tx *store.Tx) error {
			want = nil
			for i := range 100 {
				want = append(want, fmt.Sprint("guest ", i))
				if err := guests.Put(tx, fmt.Sprintf("gst_%02d", i), guest{Name: want[i], Mail: fmt.Sprint(i)}, 0); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			h.t.Fatal(err)
		}
		if got := seen(); !slices.Equal(got, want) || opened.Load() != 100 {
			h.t.Errorf("%v, %d opened", got, opened.Load())
		}
		if got := seen(); !slices.Equal(got, want) || opened.Load() != 0 {
			h.t.Errorf("again: %v, %d opened", got, opened.Load())
		}
		no := errors.New("not after all")
		err = h.Update(h.t.Context(), store.Act{}, func(tx *store.Tx) error {
			if err := guests.Put(tx, "gst_01", guest{Name: "nobody", Mail: "1"}, 1); err != nil {
				return err
			}
			if got := names(tx); got[1] != "nobody" {
				h.t.Errorf("own write: %v", got)
			}
			return no
		})
		if !errors.Is(err, no) {
			h.t.Fatal(err)
		}
		h.seat("gst_01", guest{Name: "somebody", Mail: "1"}, 1) // under the number of the version that never was
		want[1] = "somebody"
		if got := seen(); !slices.Equal(got, want) || opened.Load() != 1 {
			h.t.Errorf("after a change: %v, %d opened", got, opened.Load())
		}
		for _, index := range []string{"", "phone"} { // all stand at one place of the index, in the order of their ids
			var pages [][]string
			opened.Store(0)
			for after, more := "", true; more; more = after != "" {
				err := h.View(h.t.Context(), func(tx *store.Tx) error {
					of := func(g guest) string { opened.Add(1); return g.Name }
					q := store.Query{Index: index, After: after, Limit: 4}
					if index != "" {
						q.Equal = []any{"", true}
					}
					page, next, err := store.ListKept(tx, guests, &all, of, q, func(name string) bool { return strings.HasSuffix(name, "7") })
					var names []string
					for _, rec := range page {
						names = append(names, rec.Value.Name+" "+rec.Value.Mail)
					}
					pages, after = append(pages, names), next
					return err
				})
				if err != nil {
					h.t.Fatal(err)
				}
			}
			if got := fmt.Sprint(pages); got != "[[guest 7 7 guest 17 17 guest 27 27 guest 37 37] [guest 47 47 guest 57 57 guest 67 67 guest 77 77] [guest 87 87 guest 97 97]]" || opened.Load() != 0 {
				h.t.Errorf("chosen by their gists in the order of %q: %v, %d opened", index, got, opened.Load())
			}
		}
	})
}

func TestAPutOfWhatWasReadBeforeIsCheckedAtTheCommit(t *testing.T) {
	bothEngines(t, func(h house) {
		put := func(m store.Meta, name string) error {
			return h.Update(h.t.Context(), store.Act{}, func(tx *store.Tx) error {
				if err := guests.PutKnown(tx, m, guest{Name: "first", Mail: "m"}); err != nil {
					return err
				}
				m.Version++
				return guests.PutKnown(tx, m, guest{Name: name, Mail: "m"}) // within one transaction the second names the first
			})
		}
		read := func() (g guest, m store.Meta) {
			err := h.View(h.t.Context(), func(tx *store.Tx) (err error) { g, m, err = guests.Get(tx, "gst_a"); return err })
			if err != nil {
				h.t.Fatal(err)
			}
			return g, m
		}
		if err := put(store.Meta{ID: "gst_a"}, "new"); err != nil {
			h.t.Fatal(err)
		}
		if err := put(store.Meta{ID: "gst_a"}, "again"); !errors.Is(err, store.ErrExists) {
			h.t.Errorf("a second new one: %v", err)
		}
		_, old := read()
		h.seat("gst_a", guest{Name: "other", Mail: "m"}, old.Version)
		if err := put(old, "late"); !errors.Is(err, store.ErrConflict) {
			h.t.Errorf("behind somebody else: %v", err)
		}
		g, m := read()
		if g.Name != "other" || !m.Created.Equal(old.Created) {
			h.t.Errorf("%+v %+v", g, m)
		}
		if err := put(m, "next"); err != nil {
			h.t.Error(err)
		}
		if g, now := read(); g.Name != "next" || now.Version <= m.Version || !now.Created.Equal(m.Created) {
			h.t.Errorf("%+v %+v", g, now)
		}
	})
}

// A gist is looked for first behind the one found before it. Whatever is written, deleted and added, and in whatever order it is walked, it is that of the record.
func TestAGistIsTheRecordsInWhateverOrder(t *testing.T) {
	h := openHouse(t, storetest.Bolt(t), filepath.Join(t.TempDir(), "keys"), true)
	rnd := rand.New(rand.NewPCG(1, 2))
	var all store.Kept[string]
	walks := []store.Query{{}, {Reverse: true}, {Prefix: "gst_1"}, {From: "gst_3"}, {Index: "phone", Equal: []any{"", true}}, {Index: "phone", Equal: []any{"", true}, Reverse: true}, {Limit: 7}}
	next := 0
	for range 40 {
		err := h.Update(t.Context(), store.Act{}, func(tx *store.Tx) error {
			for rec, err := range guests.Scan(tx, store.Query{}) {
				switch {
				case err != nil:
					return err
				case rnd.IntN(10) == 0:
					err = guests.Delete(tx, rec.ID, rec.Version)
				case rnd.IntN(4) == 0:
					err = guests.Put(tx, rec.ID, guest{Name: rec.Value.Name + "'", Mail: rec.Value.Mail, Phone: rec.Value.Phone}, rec.Version)
				}
				if err != nil {
					return err
				}
			}
			for range rnd.IntN(9) {
				next++
				if err := guests.Put(tx, fmt.Sprintf("gst_%d.%d", rnd.IntN(5), next), guest{Name: fmt.Sprint(next), Mail: fmt.Sprint(next), Phone: fmt.Sprint(rnd.IntN(1000))}, 0); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		q := walks[rnd.IntN(len(walks))]
		if err := h.View(t.Context(), func(tx *store.Tx) error {
			var got, want []string
			for rec, err := range store.Gists(tx, guests, &all, func(g guest) string { return g.Name }, q) {
				if err != nil {
					return err
				}
				got = append(got, rec.ID+" "+rec.Value)
			}
			for rec, err := range guests.Scan(tx, q) {
				if err != nil {
					return err
				}
				want = append(want, rec.ID+" "+rec.Value.Name)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v:\n%v, not\n%v", q, got, want)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if next < 50 {
		t.Errorf("only %d guests came", next)
	}
}
