package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

// quit is an act that must never be undone: a person leaves, and her money is gone.
func quit(tx *store.Tx, id string) error {
	p, m, err := people.Get(tx, id)
	if err != nil {
		return err
	}
	p.Money = 0
	if err := people.Put(tx, id, p, m.Version); err != nil {
		return err
	}
	return tx.Journal("person.quit", id, map[string]string{"mail": p.Mail})
}

// applies finds the person by id, or by her mail where she has another by now.
var applies = store.Applies{"person.quit": func(tx *store.Tx, f store.Fact, may func(string) bool) (bool, error) {
	var was struct{ Mail string }
	if err := json.Unmarshal(f.Detail, &was); err != nil {
		return false, err
	}
	id := f.Of
	p, m, err := people.Get(tx, id)
	if fault.Of(err) == fault.NotFound {
		rec, err2 := people.First(tx, store.Query{Index: "mail", Equal: []any{was.Mail}})
		id, p, m, err = rec.ID, rec.Value, rec.Meta, err2
	}
	switch {
	case fault.Of(err) == fault.NotFound:
		return false, nil
	case err != nil || p.Money == 0 || !may(id):
		return true, err
	}
	p.Money = 0
	return true, people.Put(tx, id, p, m.Version)
}}

func money(t testing.TB, db *store.DB, id string) (n int) {
	t.Helper()
	err := db.View(t.Context(), func(tx *store.Tx) error {
		p, _, err := people.Get(tx, id)
		n = p.Money
		return err
	})
	if err != nil {
		t.Errorf("%s: %v", id, err)
	}
	return n
}

func (v *vendor) ship(want int) {
	v.Helper()
	if n, err := v.ShipJournal(v.Context()); err != nil || n != want {
		v.Errorf("%d facts were brought out, want %d: %v", n, want, err)
	}
}

func (v *vendor) replaying(told *store.Reapplied) RestoreOptions {
	o := v.options()
	o.Kinds, o.Applies, o.Journal = kinds(), applies, func(r store.Reapplied) { *told = r }
	return o
}

func TestWhatIsNewerThanTheBackupHoldsAfterARestore(t *testing.T) {
	for into, fresh := range engines {
		t.Run("into_"+into, func(t *testing.T) {
			each(t, func(v *vendor) {
				v.settle(10)
				v.update(v.DB, func(tx *store.Tx) error { return quit(tx, "per_0002") })
				v.ship(1)
				m := v.back()
				v.update(v.DB, func(tx *store.Tx) error { return quit(tx, "per_0004") })
				v.update(v.DB, func(tx *store.Tx) error { // somebody whom the backup does not know
					if err := put(tx, "per_new", person{Account: "acc_a", Mail: "new@example.com", Money: 7}); err != nil {
						return err
					}
					return quit(tx, "per_new")
				})
				v.ship(2)
				v.update(v.DB, func(tx *store.Tx) error { return quit(tx, "per_0006") })
				if s, err := v.DB.Journal(v.Context()); err != nil || s.Waiting != 1 || s.Since.IsZero() {
					v.Errorf("what a loss would lose now: %+v, %v", s, err)
				}
				v.ship(1)
				v.ship(0)
				if m.Page != 1 {
					v.Errorf("the backup holds page %d", m.Page)
				}

				// The machine is lost: what remains is the backup, the pages beside it, and the keys.
				var told store.Reapplied
				engine := fresh(v.T)
				v.must(v.Shelf().Restore(v.Context(), v.find(time.Time{}), engine, v.replaying(&told)))
				if told.Applied != 2 || fmt.Sprint(told.Missing) != "[person.quit of per_new]" {
					v.Errorf("%+v", told)
				}
				db, err := store.Open(v.Context(), engine, store.Options{Keys: v.keys, Kinds: kinds()})
				v.must(err)
				for id, want := range map[string]int{"per_0002": 0, "per_0004": 0, "per_0006": 0, "per_0008": 100} {
					if got := money(v.T, db, id); got != want {
						v.Errorf("%s has %d, want %d", id, got, want)
					}
				}
				// She comes back by an import, under another id: the fact finds her then.
				if n, err := db.Retry(v.Context(), applies); n != 0 || err != nil {
					v.Errorf("%d, %v", n, err)
				}
				v.update(db, func(tx *store.Tx) error {
					return put(tx, "per_again", person{Account: "acc_a", Mail: "new@example.com", Money: 7})
				})
				if s, err := db.Journal(v.Context()); err != nil || s.Missing != 1 || s.First != "person.quit of per_new" {
					v.Errorf("%+v, %v", s, err)
				}
				if n, err := db.Retry(v.Context(), applies); n != 1 || err != nil || money(v.T, db, "per_again") != 0 {
					v.Errorf("%d, %v", n, err)
				}
				if n, err := db.Retry(v.Context(), applies); n != 0 || err != nil {
					v.Errorf("once more: %d, %v", n, err)
				}
				for _, problem := range storetest.Check(engine, db.Declared()) {
					v.Error(problem)
				}
			})
		})
	}
}

func TestAFactNobodyKnowsStopsARestoreBeforeItIsOver(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	v.settle(4)
	v.back()
	v.update(v.DB, func(tx *store.Tx) error { return tx.Journal("person.sang", "per_0002", nil) })
	v.ship(1)
	var told store.Reapplied
	engine := storetest.Bolt(t)
	if err := v.Shelf().Restore(v.Context(), v.find(time.Time{}), engine, v.replaying(&told)); err == nil || !strings.Contains(err.Error(), "person.sang") {
		t.Errorf("a fact of a newer release: %v", err)
	}
	if _, err := store.Open(v.Context(), engine, store.Options{Keys: v.keys, Kinds: kinds()}); err == nil || !strings.Contains(err.Error(), "did not finish") {
		t.Errorf("a store without its journal was opened: %v", err)
	}
}

func TestWhatWasDoneToTheJournalIsNamed(t *testing.T) {
	for want, do := range map[string]func(v *vendor, page string){
		"pages 2 to 2": func(v *vendor, page string) { v.must(os.Remove(page)) },
		"signature":    func(v *vendor, page string) { edit(v, page, `journal_page`, `journal_pagE`) },
		"it is not that": func(v *vendor, page string) {
			content, err := os.ReadFile(filepath.Join(string(v.dir), pageName(1)))
			v.must(err)
			replace(v, page, content)
		},
		"is not that page": func(v *vendor, page string) {
			content, err := os.ReadFile(filepath.Join(string(v.dir), "backup-00000001.json"))
			v.must(err)
			replace(v, page, content)
		},
	} {
		v := newVendor(t, storetest.Bolt(t))
		v.settle(10)
		v.back()
		for i := range 3 {
			v.update(v.DB, func(tx *store.Tx) error { return quit(tx, fmt.Sprintf("per_%04d", 2*i)) })
			v.ship(1)
		}
		do(v, filepath.Join(string(v.dir), pageName(2)))
		var told store.Reapplied
		o := v.replaying(&told)
		engine := storetest.Bolt(t)
		if err := v.Shelf().Restore(t.Context(), v.find(time.Time{}), engine, o); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--without-journal") {
			t.Errorf("want %q: %v", want, err)
		}
		if untouched, err := store.Fresh(t.Context(), engine); err != nil || !untouched {
			t.Errorf("%s: the engine was touched, %v", want, err)
		}
		o.Applies = nil
		v.must(v.Shelf().Restore(t.Context(), v.find(time.Time{}), engine, o))
		v.update(v.DB, func(tx *store.Tx) error { return quit(tx, "per_0008") }) // what was done to one page does not stop the next
		v.ship(1)
	}
}

func TestFurtherPlacesCatchUpWithTheJournal(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	v.settle(10)
	away := true
	far := Dir(filepath.Join(t.TempDir(), "far"))
	v.Places = append(v.Places, placeFunc{far, func(string) error {
		if away {
			return errors.New("unreachable")
		}
		return nil
	}})
	var said []string
	v.Trouble = func(_ context.Context, what, detail string) { said = append(said, what+": "+detail) }
	v.update(v.DB, func(tx *store.Tx) error { return quit(tx, "per_0002") })
	n, err := v.ShipJournal(t.Context())
	v.tell(t.Context(), TroubleJournal, err)
	if n != 1 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	if s, err := v.DB.Journal(t.Context()); err != nil || s.Waiting != 0 {
		t.Errorf("the first place has it: %+v, %v", s, err)
	}
	away = false
	_, err = v.ShipJournal(t.Context()) // nothing new, and yet
	v.tell(t.Context(), TroubleJournal, err)
	v.must(err)
	facts, err := Shelf{Place: far, Trusted: v.Shelf().Trusted}.Facts(t.Context(), 0, v.keys)
	if err != nil || len(facts) != 1 || facts[0].Of != "per_0002" {
		t.Errorf("%+v, %v", facts, err)
	}
	if len(said) != 2 || !strings.Contains(said[0], "unreachable") || said[1] != "journal: " {
		t.Errorf("%q", said)
	}
}

func TestPagesThatNoBackupNeedsGo(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	v.settle(10)
	v.update(v.DB, func(tx *store.Tx) error { return quit(tx, "per_0002") })
	v.ship(1)
	v.back()
	v.update(v.DB, func(tx *store.Tx) error { return quit(tx, "per_0004") })
	v.ship(1)
	v.back()
	pages := func() []int64 {
		names, err := v.dir.List(t.Context())
		v.must(err)
		return pageNumbers(names)
	}
	if got := pages(); fmt.Sprint(got) != "[2]" { // the first backup needs the second page, nobody the first
		t.Errorf("%v", got)
	}
	v.update(v.DB, func(tx *store.Tx) error { return quit(tx, "per_0008") })
	v.ship(1)
	v.pass(40 * 24 * time.Hour)
	v.back()
	if got := pages(); fmt.Sprint(got) != "[3]" { // the newest stays, so that numbers go on
		t.Errorf("%v", got)
	}
	v.must(v.dir.Remove(t.Context(), pageName(3)))
	v.update(v.DB, func(tx *store.Tx) error { return quit(tx, "per_0006") })
	v.ship(1)
	var told store.Reapplied
	v.must(v.Shelf().Restore(t.Context(), v.find(time.Time{}), storetest.Bolt(t), v.replaying(&told)))
	if told.Applied != 1 || fmt.Sprint(pages()) != "[4]" {
		t.Errorf("%+v, pages %v", told, pages())
	}
}

func TestWhoOptedOutSinceStaysOutOfASlice(t *testing.T) {
	each(t, func(v *vendor) {
		v.settleAccounts(10)
		m := v.back()
		v.update(v.DB, func(tx *store.Tx) error { return quit(tx, "per_0002") })
		v.ship(1)
		v.update(v.DB, func(tx *store.Tx) error { return quit(tx, "per_0004") }) // waits
		v.update(v.DB, func(tx *store.Tx) error {
			for _, id := range []string{"per_0002", "per_0004", "per_0006"} {
				if err := tx.RemoveStored("person", id); err != nil {
					return err
				}
			}
			return nil
		})
		o := SliceOptions{Applies: applies, Facts: func() ([]store.Fact, error) { return v.Shelf().Facts(v.Context(), m.Page, v.keys) }}
		if done, err := v.slice(PickOptions{Roots: []string{"acc_a"}}, o); err != nil || done.Gone != 3 {
			v.Fatalf("%+v, %v", done, err)
		}
		for id, want := range map[string]int{"per_0002": 0, "per_0004": 0, "per_0006": 100} {
			if got := money(v.T, v.DB, id); got != want {
				v.Errorf("%s has %d, want %d", id, got, want)
			}
		}
	})
}
