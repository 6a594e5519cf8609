package store_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/bolt"
	"lifeline/store/fault"
	"lifeline/store/postgres/pgtest"
	"lifeline/store/storetest"
)

// guest is found by an address that may be held once, and by a place and a phone that may be shared.
type guest struct {
	Name  string `json:"name"`
	Mail  string `json:"mail"`
	Place string `json:"place"`
	Phone string `json:"phone"`
	Rank  int    `json:"rank"`
}

var guests = store.Table[guest]{
	Kind: store.Kind{Name: "guest", Prefix: "gst", Schema: 1, Keep: time.Hour, Composed: true, Indexes: []store.Index{
		{Name: "mail", Fields: []store.Field{{Name: "mail", Type: store.Blind}}, Unique: true},
		{Name: "phone", Fields: []store.Field{{Name: "place", Type: store.Text}, {Name: "known", Type: store.Bool}, {Name: "phone", Type: store.Blind}, {Name: "rank", Type: store.Int}}},
	}},
	Tuples: func(g guest) store.Tuples {
		return store.Tuples{"mail": {g.Mail}, "phone": {g.Place, true, g.Phone, g.Rank}}
	},
}

// house is a store with its key directory.
type house struct {
	*store.DB
	t      *testing.T
	engine store.Engine
	keyDir string
	keys   *store.Keys
}

func openHouse(t *testing.T, engine store.Engine, keyDir string, create bool) house {
	t.Helper()
	keys, err := store.OpenKeys(keyDir, create)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), engine, store.Options{Keys: keys, Kinds: []store.Kind{guests.Kind}})
	if err != nil {
		t.Fatal(err)
	}
	return house{db, t, engine, keyDir, keys}
}

func eachHouse(t *testing.T, fn func(h house)) {
	for name, fresh := range map[string]func(testing.TB) store.Engine{"bolt": storetest.Bolt, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			h := openHouse(t, fresh(t), filepath.Join(t.TempDir(), "keys"), true)
			fn(h)
			for _, problem := range storetest.Check(h.engine, h.Declared()) {
				t.Error(problem)
			}
		})
	}
}

func (h house) update(fn func(tx *store.Tx) error) {
	h.t.Helper()
	if err := h.Update(h.t.Context(), store.Act{By: "stf_ada", Verb: "guest.put"}, fn); err != nil {
		h.t.Fatal(err)
	}
}

func guestNumber(i int) guest {
	return guest{Name: fmt.Sprintf("Grace Hopper %d", i), Mail: fmt.Sprintf("grace.%d@example.com", i), Place: "New\x00York", Phone: fmt.Sprintf("+1555%d", i%10), Rank: i}
}

func (h house) invite(from, to int) {
	h.t.Helper()
	h.update(func(tx *store.Tx) error {
		for i := from; i < to; i++ {
			if err := guests.Put(tx, fmt.Sprintf("gst_%05d", i), guestNumber(i), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// find asks for guests from to to by address, and says who is not found.
func (h house) find(from, to int) (problem string) {
	err := h.View(h.t.Context(), func(tx *store.Tx) error {
		for i := from; i < to; i++ {
			rec, err := guests.First(tx, store.Query{Index: "mail", Equal: []any{guestNumber(i).Mail}})
			if err != nil || rec.Value.Name != guestNumber(i).Name {
				problem = fmt.Sprintf("guest %d: %+v, %v", i, rec, err)
			}
		}
		return nil
	})
	if err != nil {
		return err.Error()
	}
	return problem
}

// ranks walks the guests with a phone, a page of three at a time.
func (h house) ranks(phone string, reverse bool) (ranks []int, n int) {
	h.t.Helper()
	err := h.View(h.t.Context(), func(tx *store.Tx) error {
		q := store.Query{Index: "phone", Equal: []any{"New\x00York", true, phone}, Limit: 3, Reverse: reverse}
		for {
			page, next, err := guests.List(tx, q)
			if err != nil {
				return err
			}
			for _, rec := range page {
				ranks = append(ranks, rec.Value.Rank)
			}
			if q.After = next; next == "" {
				break
			}
		}
		var err error
		q.After, q.Limit = "", 0
		n, err = guests.Count(tx, q)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return ranks, n
}

func (h house) rotate() {
	h.t.Helper()
	if err := h.Rotate(h.t.Context(), store.Act{By: "stf_ada", Verb: "key.rotate", Reason: "yearly"}); err != nil {
		h.t.Fatal(err)
	}
}

// sealedWith counts the records by the key that sealed their body and the version of their address's blind index.
func (h house) sealedWith() map[string]int {
	h.t.Helper()
	counts := map[string]int{}
	err := h.engine.View(h.t.Context(), func(s store.Snapshot) error {
		for _, k := range h.Declared() {
			for raw, err := range s.Scan(store.Range{Kind: k.Name, Deleted: true}) {
				if err != nil {
					return err
				}
				counts[fmt.Sprintf("body %x", raw.Body[1:5])]++
				if k.Name == "guest" && raw.Tuples[0] != nil {
					counts[fmt.Sprintf("mail %d", raw.Tuples[0][0])]++
				}
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return counts
}

func TestKeysAreRotatedUnderAStoreThatServes(t *testing.T) {
	eachHouse(t, func(h house) {
		h.invite(0, 300)
		h.update(func(tx *store.Tx) error { return guests.Delete(tx, "gst_00299", 1) })
		h.rotate()
		if problem := h.find(0, 299); problem != "" {
			h.t.Fatalf("rotated and nothing re-sealed: %s", problem)
		}
		h.invite(300, 320)
		if problem := h.find(0, 299); problem != "" {
			h.t.Fatal(problem)
		}
		// An address is held once, whichever key hides it.
		err := h.Update(h.t.Context(), store.Act{By: "stf_ada", Verb: "guest.put"}, func(tx *store.Tx) error {
			return guests.Put(tx, "gst_twin", guestNumber(7), 0)
		})
		if fault.Of(err) != fault.Exists {
			h.t.Errorf("an address under the old key was taken again: %v", err)
		}
		h.update(func(tx *store.Tx) error { // and can change hands in one transaction
			g, m, err := guests.Get(tx, "gst_00008")
			if err != nil {
				return err
			}
			g.Mail = "moved@example.com"
			if err := guests.Put(tx, "gst_00008", g, m.Version); err != nil {
				return err
			}
			taker := guestNumber(8)
			taker.Rank = 9999
			return guests.Put(tx, "gst_taker", taker, 0)
		})
		// In the midst: some records under the old key, some under the new. Lists are whole either way round, and in order within a key.
		ctx, stop := context.WithCancel(h.t.Context())
		seen := 0
		err = h.Reseal(ctx, func(p store.Progress) {
			seen++
			if p.Finished.IsZero() && p.Done > 0 {
				for _, reverse := range []bool{false, true} {
					if got, n := h.ranks("+15555", reverse); len(got) != 32 || n != 32 {
						h.t.Errorf("in the midst a list has %d, counted %d: %v", len(got), n, got)
					}
				}
				if problem := h.find(20, 299); problem != "" {
					h.t.Errorf("in the midst: %s", problem)
				}
			}
			if p.Done >= 100 {
				stop()
			}
		})
		if err != context.Canceled || seen < 2 {
			h.t.Fatalf("stopped: %v after %d pages", err, seen)
		}
		between := h.sealedWith()
		if between["mail 1"] == 0 || between["mail 2"] == 0 {
			h.t.Fatalf("not in the midst: %v", between)
		}
		// The process dies here; another goes on.
		h = openHouse(h.t, h.engine, h.keyDir, false)
		if problem := h.find(20, 299); problem != "" {
			h.t.Fatalf("opened again in the midst: %s", problem)
		}
		p, err := h.RotationProgress(h.t.Context())
		if err != nil || p.Done < 100 || p.Done >= p.Total || !p.Finished.IsZero() {
			h.t.Fatalf("%+v, %v", p, err)
		}
		var last store.Progress
		if err := h.Reseal(h.t.Context(), func(p store.Progress) { last = p }); err != nil {
			h.t.Fatal(err)
		}
		if last.Finished.IsZero() || last.Done < 320 || last.Done > last.Total {
			h.t.Errorf("%+v", last)
		}
		after := h.sealedWith()
		if len(after) != 2 || after["mail 2"] != 320 {
			h.t.Errorf("sealed with %v", after)
		}
		if problem := h.find(20, 299); problem != "" {
			h.t.Error(problem)
		}
		if got, _ := h.ranks("+15555", false); fmt.Sprint(got[:3]) != "[5 15 25]" {
			h.t.Errorf("%v", got)
		}
		h.update(func(tx *store.Tx) error { // versions stay: whoever read before can write after
			g, m, err := guests.Get(tx, "gst_00042")
			if err != nil || m.Version != 1 {
				h.t.Errorf("%+v, %v", m, err)
			}
			return guests.Put(tx, "gst_00042", g, 1)
		})
		h.update(func(tx *store.Tx) error { return guests.Undelete(tx, "gst_00299", 2) })
		if problem := h.find(299, 300); problem != "" {
			h.t.Error(problem)
		}
		commits, _ := h.Change(h.t.Context())
		if err := h.Reseal(h.t.Context(), nil); err != nil {
			h.t.Fatal(err)
		}
		if now, _ := h.Change(h.t.Context()); now != commits {
			h.t.Error("with nothing to do it wrote")
		}
		// Twice more, the first of them never finished.
		h.rotate()
		h.rotate()
		if problem := h.find(20, 300); problem != "" {
			h.t.Fatalf("two more: %s", problem)
		}
		if err := h.Reseal(h.t.Context(), nil); err != nil {
			h.t.Fatal(err)
		}
		if after := h.sealedWith(); len(after) != 2 || after["mail 4"] != 321 {
			h.t.Errorf("sealed with %v", after)
		}
		h = openHouse(h.t, h.engine, h.keyDir, false)
		if problem := h.find(20, 300); problem != "" {
			h.t.Error(problem)
		}
	})
}

// A reader whose snapshot is older than the end of a re-sealing finds everybody.
func TestWhoReadsWhileResealingEndsFindsEverybody(t *testing.T) {
	eachHouse(t, func(h house) {
		h.invite(0, 20)
		h.rotate()
		err := h.View(h.t.Context(), func(tx *store.Tx) error {
			for i := range 20 {
				if _, err := guests.First(tx, store.Query{Index: "mail", Equal: []any{guestNumber(i).Mail}}); err != nil {
					return fmt.Errorf("guest %d: %w", i, err)
				}
				if i == 9 {
					if err := h.Reseal(h.t.Context(), nil); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			h.t.Error(err)
		}
		if problem := h.find(0, 20); problem != "" {
			h.t.Error(problem)
		}
	})
}

// Writers write, readers look up, and the audit log is sealed, all beside the re-sealing.
func TestResealingBesideWriters(t *testing.T) {
	eachHouse(t, func(h house) {
		h.invite(0, 400)
		h.rotate()
		ctx, stop := context.WithCancel(h.t.Context())
		var others sync.WaitGroup
		sealer := store.Sealer{DB: h.DB, Every: time.Millisecond}
		others.Go(func() {
			if err := sealer.Run(ctx); err != nil {
				h.t.Errorf("sealer: %v", err)
			}
		})
		wrote := make([]int, 2)
		for w := range wrote {
			others.Go(func() {
				for ctx.Err() == nil {
					id := fmt.Sprintf("gst_%05d", w*200+wrote[w]%200)
					err := h.Update(h.t.Context(), store.Act{By: "stf_ada", Verb: "guest.put"}, func(tx *store.Tx) error {
						g, m, err := guests.Get(tx, id)
						if err != nil {
							return err
						}
						return guests.Put(tx, id, g, m.Version)
					})
					if err != nil {
						h.t.Errorf("write %s: %v", id, err)
						return
					}
					wrote[w]++
					if problem := h.find(w*200, w*200+20); problem != "" {
						h.t.Error(problem)
						return
					}
				}
			})
		}
		if err := h.Reseal(h.t.Context(), nil); err != nil {
			h.t.Error(err)
		}
		stop()
		others.Wait()
		if after := h.sealedWith(); len(after) != 2 || after["mail 2"] != 400 {
			h.t.Errorf("sealed with %v", after)
		}
		versions := 0
		err := h.View(h.t.Context(), func(tx *store.Tx) error {
			versions = 0
			for rec, err := range guests.Scan(tx, store.Query{}) {
				if err != nil {
					return err
				}
				versions += int(rec.Version) - 1
			}
			return nil
		})
		if err != nil || versions != wrote[0]+wrote[1] {
			h.t.Errorf("%d writes were kept of %v: %v", versions, wrote, err)
		}
		if r, err := h.VerifyAudit(h.t.Context()); err != nil || len(r.Flaws) != 0 {
			h.t.Errorf("the audit log: %+v, %v", r, err)
		}
	})
}

func TestRotatingKeepsEveryKeyAndItsFilesPrivate(t *testing.T) {
	eachHouse(t, func(h house) {
		before := h.keys.Names()
		h.rotate()
		now := h.keys.Names()
		if len(before) != 2 || len(now) != 4 {
			h.t.Fatalf("%v became %v", before, now)
		}
		for _, name := range before {
			if !strings.Contains(strings.Join(now, " "), name) {
				h.t.Errorf("key %s is gone", name)
			}
		}
		entries, err := os.ReadDir(h.keyDir)
		if err != nil || len(entries) != 2 {
			h.t.Fatalf("%v, %v", entries, err)
		}
		for _, e := range entries {
			if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
				h.t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
			}
		}
		// Another process that shares the directory has the new keys once it has looked how far the rotation is: each finds what the other wrote.
		other := openHouse(h.t, h.engine, h.keyDir, false)
		h.rotate()
		h.invite(0, 3)
		if err := h.Reseal(h.t.Context(), nil); err != nil {
			h.t.Fatal(err)
		}
		if _, err := other.RotationProgress(h.t.Context()); err != nil || len(other.keys.Names()) != 6 {
			h.t.Errorf("%v, %v", other.keys.Names(), err)
		}
		other.invite(3, 5)
		if problem := h.find(0, 5) + other.find(0, 5); problem != "" {
			h.t.Error(problem)
		}
		// One whose directory was not given them says so.
		apart := filepath.Join(h.t.TempDir(), "keys")
		if err := os.CopyFS(apart, os.DirFS(h.keyDir)); err != nil {
			h.t.Fatal(err)
		}
		for _, e := range entries {
			if err := os.Chmod(filepath.Join(apart, e.Name()), 0o600); err != nil {
				h.t.Fatal(err)
			}
		}
		if err := os.Chmod(apart, 0o700); err != nil {
			h.t.Fatal(err)
		}
		stranger := openHouse(h.t, h.engine, apart, false)
		h.rotate()
		if err := h.Reseal(h.t.Context(), nil); err != nil {
			h.t.Fatal(err)
		}
		if _, err := stranger.RotationProgress(h.t.Context()); err == nil {
			h.t.Error("it reads what the new keys seal")
		}
		if err := h.Rotate(h.t.Context(), store.Act{Verb: "key.rotate"}); err == nil || len(h.keys.Names()) != 8 {
			h.t.Errorf("nobody rotated the keys: %v", err)
		}
	})
}

func TestAMissingOrWrongKeysetRefusesAndMakesNone(t *testing.T) {
	eachHouse(t, func(h house) {
		h.invite(0, 3)
		empty := filepath.Join(h.t.TempDir(), "keys")
		if err := os.Mkdir(empty, 0o700); err != nil {
			h.t.Fatal(err)
		}
		if _, err := store.OpenKeys(empty, false); err == nil {
			h.t.Error("no keys were taken for keys")
		}
		if left, err := os.ReadDir(empty); err != nil || len(left) != 0 {
			h.t.Errorf("keys were made: %v, %v", left, err)
		}
		if fresh, err := store.Fresh(h.t.Context(), h.engine); err != nil || fresh {
			h.t.Errorf("a store with records is called fresh: %v", err)
		}
		other := storetest.Keys(h.t)
		if _, err := store.Open(h.t.Context(), h.engine, store.Options{Keys: other, Kinds: []store.Kind{guests.Kind}}); err == nil || !strings.Contains(err.Error(), "keys do not belong") {
			h.t.Errorf("other keys: %v", err)
		}
		// The right keys lose a part: of the two files one is another's.
		path := filepath.Join(h.keyDir, "seal.json")
		whole, err := os.ReadFile(path)
		if err != nil {
			h.t.Fatal(err)
		}
		if err := os.WriteFile(path, whole[:len(whole)/2], 0o600); err != nil {
			h.t.Fatal(err)
		}
		if _, err := store.OpenKeys(h.keyDir, false); err == nil {
			h.t.Error("half a keyset was taken")
		}
		if err := os.Remove(path); err != nil {
			h.t.Fatal(err)
		}
		if _, err := store.OpenKeys(h.keyDir, false); err == nil {
			h.t.Error("a key directory without its seals was taken")
		}
	})
}

func TestTwoCustodiansProveTheEscrow(t *testing.T) {
	eachHouse(t, func(h house) {
		files := func(dir string) map[string][]byte {
			all := map[string][]byte{}
			for _, name := range []string{"seal.json", "blind.json"} {
				content, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					h.t.Fatal(err)
				}
				all[name] = content
			}
			return all
		}
		current := func() (n int) {
			err := h.View(h.t.Context(), func(tx *store.Tx) error {
				all, err := store.Custodians(tx)
				for _, c := range all {
					if c.Current {
						n++
					}
				}
				return err
			})
			if err != nil {
				h.t.Fatal(err)
			}
			return n
		}
		act := store.Act{By: "stf_ada", Verb: "key.escrow"}
		for i, name := range []string{"notary", "founder", "notary"} {
			if err := h.ProveEscrow(h.t.Context(), act, name, files(h.keyDir)); err != nil {
				h.t.Fatal(err)
			}
			if n := current(); n != min(i+1, 2) {
				h.t.Errorf("after %d proofs %d stand", i+1, n)
			}
		}
		otherDir := filepath.Join(h.t.TempDir(), "keys")
		if _, err := store.OpenKeys(otherDir, true); err != nil {
			h.t.Fatal(err)
		}
		mixed := files(h.keyDir)
		mixed["seal.json"] = files(otherDir)["seal.json"]
		for what, copied := range map[string]map[string][]byte{"another store's": files(otherDir), "nothing": {}, "half another's": mixed} {
			if err := h.ProveEscrow(h.t.Context(), act, "thief", copied); err == nil {
				h.t.Errorf("%s keys proved something", what)
			}
		}
		if err := h.ProveEscrow(h.t.Context(), act, "No Name", files(h.keyDir)); fault.Of(err) != fault.Invalid {
			h.t.Errorf("a name that is none: %v", err)
		}
		old := files(h.keyDir)
		h.rotate()
		if n := current(); n != 0 {
			h.t.Errorf("after a rotation %d proofs stand", n)
		}
		if err := h.ProveEscrow(h.t.Context(), act, "notary", old); fault.Of(err) != fault.Conflict {
			h.t.Errorf("a copy from before the rotation: %v", err)
		}
		if err := h.ProveEscrow(h.t.Context(), act, "notary", files(h.keyDir)); err != nil || current() != 1 {
			h.t.Errorf("%v, %d stand", err, current())
		}
	})
}

// A copy of the data without the keys shows no name, address, phone or message.
func TestDataWithoutKeysSaysNothing(t *testing.T) {
	written := func(t *testing.T, engine store.Engine) (h house, secrets []string) {
		h = openHouse(t, engine, filepath.Join(t.TempDir(), "keys"), true)
		h.invite(0, 50)
		h.update(func(tx *store.Tx) error {
			if err := guests.Put(tx, "gst_x", guest{Name: "Message: we are sorry about your site", Mail: "secret@customer.example", Phone: "+4915112345678"}, 0); err != nil {
				return err
			}
			return guests.Delete(tx, "gst_00003", 1)
		})
		h.rotate()
		if err := h.Reseal(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		return h, []string{"Grace", "Hopper", "grace.", "@example.com", "@customer", "we are sorry", "4915112345678", "+1555"}
	}
	look := func(t *testing.T, data []byte, secrets []string) {
		if !bytes.Contains(data, []byte("gst_00007")) && !bytes.Contains(data, []byte(fmt.Sprintf("%x", "gst_00007"))) {
			t.Fatal("the scan does not even see an id: it proves nothing")
		}
		for _, secret := range secrets {
			for _, form := range []string{secret, fmt.Sprintf("%x", secret)} {
				if bytes.Contains(data, []byte(form)) {
					t.Errorf("the data say %q", secret)
				}
			}
		}
	}
	t.Run("bolt", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "store.db")
		engine, err := bolt.Open(path, bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Close()
		_, secrets := written(t, engine)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		look(t, data, secrets)
	})
	t.Run("postgres", func(t *testing.T) {
		url := pgtest.URL(t)
		_, secrets := written(t, storetest.PostgresAt(t, url))
		data, err := exec.Command("pg_dump", "--dbname", url).Output()
		if err != nil {
			t.Fatalf("pg_dump: %v", err)
		}
		look(t, data, secrets)
	})
}
