package storetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store"
)

// A release and the one behind it, which knows the state of a parcel from an index, calls an address another name, and no longer asks by road.

type parcelBefore struct {
	To   string `json:"to"`
	Road string `json:"road"`
	Sent bool   `json:"sent"`
}

type parcelAfter struct {
	Address string `json:"address"`
	Road    string `json:"road"`
	Sent    bool   `json:"sent"`
}

var (
	parcelAddress = store.Index{Name: "address", Fields: []store.Field{{Name: "address", Type: store.Blind}}, Unique: true}
	parcelsBefore = store.Table[parcelBefore]{
		Kind: store.Kind{Name: "parcel", Prefix: "prc", Schema: 1, Keep: kept, Leased: true, Indexes: []store.Index{
			{Name: "road", Fields: []store.Field{{Name: "road", Type: store.Text}}}, parcelAddress,
		}},
		Tuples: func(v parcelBefore) store.Tuples { return store.Tuples{"road": {v.Road}, "address": {v.To}} },
		Due: func(v parcelBefore) (string, time.Time) {
			if v.Sent {
				return "", time.Time{}
			}
			return "parcels", time.Unix(1, 0)
		},
	}
	parcelsAfter = store.Table[parcelAfter]{
		Kind: store.Kind{Name: "parcel", Prefix: "prc", Schema: 2, Keep: kept, Leased: true, Indexes: []store.Index{
			parcelAddress, {Name: "sent", Fields: []store.Field{{Name: "sent", Type: store.Bool}}},
		}},
		Tuples: func(v parcelAfter) store.Tuples { return store.Tuples{"address": {v.Address}, "sent": {v.Sent}} },
		Due: func(v parcelAfter) (string, time.Time) {
			if v.Sent {
				return "", time.Time{}
			}
			return "parcels", time.Unix(1, 0)
		},
		Older: func(_ int, body []byte) ([]byte, error) {
			return bytes.Replace(body, []byte(`{"to":`), []byte(`{"address":`), 1), nil
		},
	}
)

// carrier sends parcels by the page: it claims, sends, and records.
type carrier struct {
	t    *testing.T
	db   *store.DB
	sent map[string]int // by address, over all processes
}

const parcelPage = 10

func (c carrier) claim(d time.Duration) []store.Meta {
	c.t.Helper()
	page, err := c.db.Claim(c.t.Context(), store.Lease{Kind: "parcel", Lane: "parcels", Holder: "carrier", For: d, Limit: parcelPage})
	if err != nil {
		c.t.Fatal(err)
	}
	return page
}

// carry sends a page and, unless the process is killed before, records it.
func carry[T any](c carrier, parcels store.Table[T], page []store.Meta, send func(*T) string, killed bool) {
	c.t.Helper()
	err := c.db.Update(c.t.Context(), store.Act{}, func(tx *store.Tx) error {
		for _, m := range page {
			v, at, err := parcels.Get(tx, m.ID)
			if err != nil {
				return err
			}
			send(&v)
			if err := parcels.Put(tx, m.ID, v, at.Version); err != nil {
				return err
			}
			if err := parcels.Release(tx, m.ID, m.Holder, m.Epoch); err != nil {
				return err
			}
		}
		if killed {
			return errOurs
		}
		return nil
	})
	if err != nil && !killed {
		c.t.Fatal(err)
	}
	if err := c.db.View(c.t.Context(), func(tx *store.Tx) error {
		for _, m := range page {
			v, _, err := parcels.Get(tx, m.ID)
			if err != nil {
				return err
			}
			c.sent[send(&v)]++
		}
		return nil
	}); err != nil {
		c.t.Fatal(err)
	}
}

func openRelease(t *testing.T, engine store.Engine, keys *store.Keys, k store.Kind, refill ...store.Refilled) (*store.DB, error) {
	t.Helper()
	return store.Open(t.Context(), engine, store.Options{Keys: keys, Kinds: []store.Kind{k}, Refill: refill})
}

var upgradeTests = []test{
	{"an upgrade in the middle of a broadcast", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		engine, keys := fresh(t), Keys(t)
		db, err := openRelease(t, engine, keys, parcelsBefore.Kind)
		if err != nil {
			t.Fatal(err)
		}
		const parcels = 95
		var gone string
		if err := db.Update(t.Context(), store.Act{By: "stf_ada", Verb: "parcel.post"}, func(tx *store.Tx) error {
			for n := range parcels + 1 {
				id := parcelsBefore.NewID()
				if err := parcelsBefore.Put(tx, id, parcelBefore{To: fmt.Sprintf("p%d@customer.example", n), Road: "north"}, 0); err != nil {
					return err
				}
				gone = id
			}
			return parcelsBefore.Delete(tx, gone, 1)
		}); err != nil {
			t.Fatal(err)
		}
		old := carrier{t, db, map[string]int{}}
		send := func(v *parcelBefore) string { v.Sent = true; return v.To }
		for range 3 {
			carry(old, parcelsBefore, old.claim(time.Hour), send, false)
		}
		carry(old, parcelsBefore, old.claim(time.Millisecond), send, true) // killed behind the last word and before the record

		// A release that does not know how to fill its index refuses before it touches anything, and the old one goes on.
		if _, err := openRelease(t, engine, keys, parcelsAfter.Kind); err == nil || !strings.Contains(err.Error(), "parcel") {
			t.Fatalf("without a table to fill from: %v", err)
		}
		if _, err := openRelease(t, engine, keys, parcelsBefore.Kind); err != nil {
			t.Fatalf("the old release after a refused upgrade: %v", err)
		}
		steps, err := store.Plan(t.Context(), engine, []store.Kind{parcelsAfter.Kind})
		if err != nil || len(steps) != 1 || !strings.Contains(steps[0], "parcel") {
			t.Errorf("the plan: %q, %v", steps, err)
		}
		// The first try of the new one is killed between making the index and filling it.
		if _, err := engine.Migrate(t.Context(), append(store.Kinds(), parcelsAfter.Kind), false); err != nil {
			t.Fatal(err)
		}
		if db, err = openRelease(t, engine, keys, parcelsAfter.Kind, parcelsAfter); err != nil {
			t.Fatal(err)
		}
		late := carrier{t, db, old.sent}
		eventually(t, "everything is sent", func() bool {
			carry(late, parcelsAfter, late.claim(time.Hour), func(v *parcelAfter) string { v.Sent = true; return v.Address }, false)
			n := 0
			if err := db.View(t.Context(), func(tx *store.Tx) (err error) {
				n, err = parcelsAfter.Count(tx, store.Query{Index: "sent", Equal: []any{true}})
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return n == parcels
		})
		if len(late.sent) != parcels {
			t.Errorf("%d were sent, want %d", len(late.sent), parcels)
		}
		twice := 0
		for address, n := range late.sent {
			twice += n - 1
			if !strings.HasSuffix(address, "@customer.example") {
				t.Errorf("sent to %q", address)
			}
		}
		if twice > parcelPage {
			t.Errorf("%d were sent twice: more than the page that was under way", twice)
		}
		if err := db.View(t.Context(), func(tx *store.Tx) error {
			v, m, err := parcelsAfter.GetDeleted(tx, gone)
			if err == nil && (m.Deleted.IsZero() || v.Address != fmt.Sprintf("p%d@customer.example", parcels)) {
				t.Errorf("the deleted one: %+v, %+v", v, m)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		for _, problem := range Check(engine, db.Declared()) {
			t.Errorf("the store is not consistent: %s", problem)
		}
		if _, err := openRelease(t, engine, keys, parcelsBefore.Kind); err == nil || !strings.Contains(err.Error(), "newer Lifeline") {
			t.Errorf("the old release on the new one's data: %v", err)
		}
	}},
	{"indexes change with a higher schema", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := bare{fresh(t), t}
		if _, err := e.Migrate(t.Context(), []store.Kind{plain, job}, false); err != nil {
			t.Fatal(err)
		}
		e.mustWrite(put("pln_a", 0, "x", "one a"), put("pln_b", 0, "", "one b"))
		newer := plain
		newer.Schema = 2
		third := store.Index{Name: "third", Fields: []store.Field{{Name: "third", Type: store.Int}}}
		newer.Indexes = []store.Index{third, plain.Indexes[0]} // one is new, one moves, one goes
		for _, dry := range []bool{true, false} {
			steps, err := e.Migrate(t.Context(), []store.Kind{newer, job}, dry)
			if err != nil || len(steps) != 1 || !strings.Contains(steps[0], "plain") || !strings.Contains(steps[0], "new indexes") {
				t.Fatalf("dry %v: %q, %v", dry, steps, err)
			}
		}
		e.wantIDs(store.Range{Kind: "plain", Index: "order"}, "pln_a")
		e.wantIDs(store.Range{Kind: "plain", Index: "third"})
		e.wantIDs(store.Range{Kind: "plain"}, "pln_a", "pln_b")
		if raw := e.mustGet("plain", "pln_a"); len(raw.Tuples) != 2 || !bytes.Equal(raw.Tuples[1], tuple("x")) || raw.Tuples[0] != nil || raw.Version != 1 {
			t.Errorf("a record is now %+v", raw)
		}
		stored, err := e.Stored(t.Context())
		if err != nil || !slices.Equal(stored.Unfilled, []string{"plain"}) || len(stored.Kinds) != 2 || !sameJSON(stored.Kinds[1], newer) {
			t.Errorf("stored: %+v, %v", stored, err)
		}
		if err := e.Filled(t.Context(), "plain"); err != nil {
			t.Fatal(err)
		}
		if stored, err = e.Stored(t.Context()); err != nil || len(stored.Unfilled) != 0 {
			t.Errorf("after it was filled: %+v, %v", stored, err)
		}
		w := put("pln_c", 0, "3", "y") // what was one's value is free again
		e.mustWrite(w)
		e.wantIDs(store.Range{Kind: "plain", Index: "third"}, "pln_c")
		leased := newer
		leased.Leased, leased.Schema = true, 3
		if _, err := e.Migrate(t.Context(), []store.Kind{leased, job}, false); err == nil || !strings.Contains(err.Error(), "plain") {
			t.Errorf("records that suddenly can be claimed: %v", err)
		}
		for _, problem := range Check(e.Engine, []store.Kind{newer, job}) {
			t.Errorf("the store is not consistent: %s", problem)
		}
	}},
	{"nothing was ever kept in a new engine", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		engine := fresh(t)
		stored, err := engine.Stored(t.Context())
		if err != nil || len(stored.Kinds) != 0 || len(stored.Unfilled) != 0 {
			t.Errorf("%+v, %v", stored, err)
		}
		if is, err := store.Fresh(t.Context(), engine); err != nil || !is {
			t.Errorf("fresh: %v, %v", is, err)
		}
		if steps, err := store.Plan(t.Context(), engine, []store.Kind{plain}); err != nil || len(steps) != 0 {
			t.Errorf("a plan for it: %q, %v", steps, err)
		}
		db, err := openRelease(t, engine, Keys(t), plain)
		if err != nil {
			t.Fatal(err)
		}
		if is, err := store.Fresh(t.Context(), engine); err != nil || is {
			t.Errorf("fresh after it was opened: %v, %v", is, err)
		}
		stored, err = engine.Stored(t.Context())
		if err != nil || len(stored.Kinds) != len(db.Declared()) {
			t.Errorf("%+v, %v", stored, err)
		}
	}},
	{"a store as it is before a migration", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		engine, keys := fresh(t), Keys(t)
		db, err := openRelease(t, engine, keys, parcelsBefore.Kind)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(t.Context(), store.Act{By: "stf_ada", Verb: "parcel.post"}, func(tx *store.Tx) error {
			return parcelsBefore.Put(tx, parcelsBefore.NewID(), parcelBefore{To: "kim@customer.example", Road: "north"}, 0)
		}); err != nil {
			t.Fatal(err)
		}
		change, err := db.Change(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		before, err := store.OpenStored(t.Context(), engine, keys)
		if err != nil {
			t.Fatal(err)
		}
		if len(before.Declared()) != len(db.Declared()) {
			t.Errorf("it knows %d kinds, want %d", len(before.Declared()), len(db.Declared()))
		}
		if err := before.View(t.Context(), func(tx *store.Tx) error {
			rec, err := parcelsBefore.First(tx, store.Query{Index: "address", Equal: []any{"kim@customer.example"}})
			if err == nil && rec.Value.Road != "north" {
				t.Errorf("found %+v", rec)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		if now, err := before.Change(t.Context()); err != nil || change != "" && strings.Count(change, ":") == 0 && now != change {
			t.Errorf("to look changed the store: %q, then %q, %v", change, now, err)
		}
		if _, err := store.OpenStored(t.Context(), engine, Keys(t)); err == nil {
			t.Error("opened with keys of another store")
		}
	}},
}

func sameJSON(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}
