package backup

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

// person is a record with every sort of index; errand can be claimed.
type person struct {
	Account string `json:"account"`
	Name    string `json:"name"`
	Mail    string `json:"mail"`
	Money   int    `json:"money"`
}

var people = store.Table[person]{
	Kind: store.Kind{Name: "person", Prefix: "per", Schema: 1, Keep: time.Hour, Composed: true, Indexes: []store.Index{
		{Name: "account", Fields: []store.Field{{Name: "account", Type: store.Text}, {Name: "money", Type: store.Int}}},
		{Name: "mail", Fields: []store.Field{{Name: "mail", Type: store.Blind}}, Unique: true},
	}},
	Tuples: func(p person) store.Tuples {
		all := store.Tuples{"account": {p.Account, p.Money}}
		if p.Mail != "" {
			all["mail"] = []any{p.Mail}
		}
		return all
	},
}

type errand struct {
	Due time.Time `json:"due"`
}

var errands = store.Table[errand]{
	Kind: store.Kind{Name: "errand", Prefix: "err", Schema: 1, Leased: true},
	Due:  func(e errand) (string, time.Time) { return "lane", e.Due },
}

// Accounts own people, and people own notes.
var (
	accounts = store.Table[string]{Kind: store.Kind{Name: "account", Prefix: "acc", Schema: 1, Composed: true}}
	notes    = store.Table[note]{Kind: store.Kind{Name: "note", Prefix: "not", Schema: 1, Composed: true}}
)

type note struct {
	Of string `json:"of"`
}

func kinds() []store.Kind {
	return append([]store.Kind{people.Kind, errands.Kind, accounts.Kind, notes.Kind}, blob.Kinds()...)
}

var engines = map[string]func(testing.TB) store.Engine{"bolt": storetest.Bolt, "postgres": storetest.Postgres}

// vendor is a store with what backs it up.
type vendor struct {
	*testing.T
	*Backups
	engine   store.Engine
	keys     *store.Keys
	dir      Dir
	ids      []*age.X25519Identity
	mu       sync.Mutex
	wallTime time.Time
}

func newVendor(t *testing.T, engine store.Engine) *vendor {
	t.Helper()
	v := &vendor{T: t, engine: engine, keys: storetest.Keys(t), dir: Dir(filepath.Join(t.TempDir(), "backups")), wallTime: time.Now().UTC().Truncate(time.Microsecond)}
	db, err := store.Open(t.Context(), engine, store.Options{Keys: v.keys, Kinds: kinds()})
	v.must(err)
	signer, err := OpenSigner(t.TempDir())
	v.must(err)
	v.Backups = &Backups{DB: db, Places: []Place{v.dir}, Signer: signer, Clock: v.now}
	for range 2 {
		id, err := age.GenerateX25519Identity()
		v.must(err)
		v.ids = append(v.ids, id)
		v.Recipients = append(v.Recipients, id.Recipient())
	}
	return v
}

func each(t *testing.T, fn func(v *vendor)) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) { fn(newVendor(t, fresh(t))) })
	}
}

func (v *vendor) now() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.wallTime
}

func (v *vendor) pass(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wallTime = v.wallTime.Add(d)
}

func (v *vendor) must(err error) {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
}

func (v *vendor) update(db *store.DB, fn func(tx *store.Tx) error) {
	v.Helper()
	v.must(db.Update(v.Context(), store.Act{By: "stf_ada", Verb: "person.put"}, fn))
}

// put writes a person over whoever stood there, unless that one was deleted.
func put(tx *store.Tx, id string, p person) error {
	_, m, err := people.GetDeleted(tx, id)
	if err != nil && fault.Of(err) != fault.NotFound || !m.Deleted.IsZero() {
		return err
	}
	return people.Put(tx, id, p, m.Version)
}

// settle fills the store with n people of two accounts, one of them deleted, and errands, one of them claimed.
func (v *vendor) settle(n int) {
	v.Helper()
	v.update(v.DB, func(tx *store.Tx) error {
		for i := range n {
			p := person{Account: "acc_" + string('a'+rune(i%2)), Name: fmt.Sprintf("Grace Hopper %d", i), Mail: fmt.Sprintf("grace.%d@example.com", i), Money: 100}
			if err := put(tx, fmt.Sprintf("per_%04d", i), p); err != nil {
				return err
			}
		}
		for range 3 {
			if err := errands.Put(tx, errands.NewID(), errand{Due: tx.Now().Add(-time.Minute)}, 0); err != nil {
				return err
			}
		}
		return nil
	})
	v.update(v.DB, func(tx *store.Tx) error {
		_, m, err := people.Get(tx, "per_0001")
		if fault.Of(err) == fault.NotFound { // deleted when it was settled before
			return nil
		}
		return people.Delete(tx, "per_0001", m.Version)
	})
	_, err := v.DB.Claim(v.Context(), store.Lease{Kind: "errand", Lane: "lane", Holder: "worker", For: time.Hour, Limit: 1})
	v.must(err)
	v.seal()
}

func (v *vendor) seal() (head store.Head) {
	v.Helper()
	s := store.Sealer{DB: v.DB, Sink: func(h store.Head) error { head = h; return nil }}
	_, err := s.Seal(v.Context())
	v.must(err)
	return head
}

func (v *vendor) back() Manifest {
	v.Helper()
	m, err := v.Now(v.Context())
	v.must(err)
	return m
}

func (v *vendor) options() RestoreOptions {
	return RestoreOptions{Identities: []age.Identity{v.ids[0]}, Keys: v.keys, By: "stf_ada", Reason: "the machine burnt"}
}

func (v *vendor) restore(e Entry, engine store.Engine) *store.DB {
	v.Helper()
	v.must(v.Shelf().Restore(v.Context(), e, engine, v.options()))
	db, err := store.Open(v.Context(), engine, store.Options{Keys: v.keys, Kinds: kinds()})
	v.must(err)
	return db
}

func (v *vendor) find(at time.Time) Entry {
	v.Helper()
	e, err := v.Shelf().Find(v.Context(), at)
	v.must(err)
	return e
}

// records is every record of the rooms' kinds as the engine keeps it, without leases.
func records(t testing.TB, db *store.DB) map[string]store.Raw {
	t.Helper()
	all := map[string]store.Raw{}
	err := db.View(t.Context(), func(tx *store.Tx) error {
		for _, k := range kinds() {
			for raw, err := range tx.Stored(k.Name) {
				if err != nil {
					return err
				}
				raw.Body = slices.Clone(raw.Body)
				tuples := raw.Tuples
				raw.Tuples = nil
				for _, tuple := range tuples {
					raw.Tuples = append(raw.Tuples, slices.Clone(tuple))
				}
				raw.Holder, raw.Epoch = "", 0
				all[raw.ID] = raw
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestABackupOfOneEngineIsRestoredIntoEither(t *testing.T) {
	for to, fresh := range engines {
		t.Run("into_"+to, func(t *testing.T) {
			each(t, func(v *vendor) {
				v.settle(700)
				m := v.back()
				if m.Number != 1 || !m.Daily || m.Counts["person"] != 700 || m.Counts["errand"] != 3 || m.Head.Number != 2 || len(m.Keys) != 2 || m.Previous != "" {
					v.Fatalf("manifest %+v", m)
				}
				engine := fresh(v.T)
				db := v.restore(v.find(time.Time{}), engine)
				if was, is := records(v.T, v.DB), records(v.T, db); !reflect.DeepEqual(was, is) {
					v.Errorf("%d records became %d others", len(was), len(is))
				}
				for _, problem := range storetest.Check(engine, db.Declared()) {
					v.Error(problem)
				}
				v.must(db.View(v.Context(), func(tx *store.Tx) error {
					rec, err := people.First(tx, store.Query{Index: "mail", Equal: []any{"grace.42@example.com"}})
					if err != nil || rec.Value.Name != "Grace Hopper 42" || rec.Version != 1 {
						v.Errorf("looked up by address: %+v, %v", rec, err)
					}
					return nil
				}))
				// A lease does not outlive its store: the claimed errand can be claimed when its lease would have lapsed, the others now.
				got, err := db.Claim(v.Context(), store.Lease{Kind: "errand", Lane: "lane", Holder: "another", For: time.Hour, Limit: 9})
				if err != nil || len(got) != 2 || got[0].Epoch != 1 {
					v.Errorf("claimed %+v, %v", got, err)
				}
			})
		})
	}
}

func TestARestoredStoreIsAnotherInstanceAndHeld(t *testing.T) {
	each(t, func(v *vendor) {
		v.settle(4)
		v.back()
		ask := func(db *store.DB) (instance, held string, restores []store.Restored) {
			v.must(db.View(v.Context(), func(tx *store.Tx) (err error) {
				if instance, err = store.Instance(tx); err == nil {
					if held, err = store.Held(tx); err == nil {
						restores, err = store.Restores(tx)
					}
				}
				return err
			}))
			return
		}
		was, held, restores := ask(v.DB)
		if held != "" || len(restores) != 0 {
			v.Fatalf("a store that was never restored: %q, %v", held, restores)
		}
		v.settle(6) // more rows of the audit log, which the restore will leave behind
		outside := v.seal()
		db := v.restore(v.find(time.Time{}), storetest.Bolt(v.T))
		is, held, restores := ask(db)
		if is == was || !strings.Contains(held, "backup-00000001") || len(restores) != 1 || restores[0].From != was || restores[0].Head.Number != 2 {
			v.Fatalf("instance %s was %s; held %q; %+v", is, was, held, restores)
		}
		v.must(db.Release(v.Context(), store.Act{By: "stf_ada", Verb: "lanes.release", Reason: "nothing was sent twice"}))
		if _, held, _ := ask(db); held != "" {
			v.Errorf("still held: %s", held)
		}
		if err := db.Release(v.Context(), store.Act{By: "stf_ada", Verb: "lanes.release"}); fault.Of(err) != fault.Conflict {
			v.Errorf("released twice: %v", err)
		}
		s := store.Sealer{DB: db}
		if n, err := s.Seal(v.Context()); n != 2 || err != nil { // the restore and the release
			v.Fatalf("sealed %d, %v", n, err)
		}
		r, err := db.VerifyAudit(v.Context(), outside)
		if err != nil || len(r.Flaws) != 0 || len(r.Lost) != 1 || r.Rows != 4 {
			v.Errorf("the audit log: %+v, %v", r, err)
		}
		forged := outside
		forged.Instance = is // a head of this very store that it does not reach is no head left behind
		if r, err := db.VerifyAudit(v.Context(), forged); err != nil || len(r.Flaws) == 0 && forged.Number > 4 {
			v.Errorf("the audit log: %+v, %v", r, err)
		}
	})
}

func TestASnapshotIsOfOneMomentAndWritersDoNotWait(t *testing.T) {
	each(t, func(v *vendor) {
		v.settle(400)
		moves := 0
		v.Backups.pace = func(ctx context.Context, _ int) error { // in the midst of the snapshot: a write, which must go through at once
			moves++
			return v.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
				for id, by := range map[string]int{"per_0002": -1, "per_0399": 1} {
					p, m, err := people.Get(tx, id)
					if err != nil {
						return err
					}
					p.Money += by
					if err := people.Put(tx, id, p, m.Version); err != nil {
						return err
					}
				}
				return nil
			})
		}
		v.back()
		if moves == 0 {
			v.Fatal("nothing was written during the snapshot")
		}
		db := v.restore(v.find(time.Time{}), storetest.Bolt(v.T))
		v.must(db.View(v.Context(), func(tx *store.Tx) error {
			for _, id := range []string{"per_0002", "per_0399"} {
				p, m, err := people.Get(tx, id)
				if err != nil || p.Money != 100 || m.Version != 1 {
					v.Errorf("%s in the backup: %+v %+v %v", id, p, m, err)
				}
			}
			return nil
		}))
		m, err := v.Now(v.Context()) // what was written meanwhile is new to the next one
		if err != nil || m.Number != 2 {
			v.Errorf("%+v, %v", m, err)
		}
	})
}

// watched counts the views of an engine that are open.
type watched struct {
	store.Engine
	views atomic.Int32
}

func (w *watched) View(ctx context.Context, fn func(store.Snapshot) error) error {
	w.views.Add(1)
	defer w.views.Add(-1)
	return w.Engine.View(ctx, fn)
}

// placeFunc is a place that runs a function before each Put.
type placeFunc struct {
	Place
	put func(name string) error
}

func (p placeFunc) Put(ctx context.Context, name string, f *os.File, until time.Time) error {
	if err := p.put(name); err != nil {
		return err
	}
	return p.Place.Put(ctx, name, f, until)
}

func TestNoSnapshotIsOpenWhileABackupIsUploaded(t *testing.T) {
	each(t, func(v *vendor) {
		w := &watched{Engine: v.engine}
		db, err := store.Open(v.Context(), w, store.Options{Keys: v.keys, Kinds: kinds()})
		v.must(err)
		v.DB = db
		v.settle(10)
		puts := 0
		v.Places = append(v.Places, placeFunc{Dir(v.TempDir()), func(string) error {
			puts++
			if n := w.views.Load(); n != 0 {
				v.Errorf("%d views are open", n)
			}
			return nil
		}})
		v.back()
		if puts != 2 {
			v.Errorf("%d files were put", puts)
		}
	})
}

func TestNothingNewIsSkippedButADay(t *testing.T) {
	each(t, func(v *vendor) {
		v.wallTime = time.Date(2022, 4, 5, 10, 0, 0, 0, time.UTC)
		v.settle(4)
		v.back()
		v.pass(15 * time.Minute)
		if m, err := v.Now(v.Context()); !errors.Is(err, ErrUnchanged) || m.Number != 1 {
			v.Fatalf("%+v, %v", m, err)
		}
		v.update(v.DB, func(tx *store.Tx) error { return put(tx, "per_0002", person{Account: "acc_a", Name: "new"}) })
		if m := v.back(); m.Number != 2 || m.Daily {
			v.Fatalf("%+v", m)
		}
		v.pass(24 * time.Hour)
		if m := v.back(); m.Number != 3 || !m.Daily {
			v.Fatalf("%+v", m)
		}
	})
}

func TestWhichBackupsStay(t *testing.T) {
	now := time.Date(2022, 5, 20, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		age   time.Duration
		daily bool
		stays bool
	}{
		{time.Hour, false, true}, {2 * day, false, true}, {2*day + 1, false, false}, {2*day + 1, true, true},
		{30 * day, true, true}, {30*day + 1, true, false}, {40 * day, false, false},
	} {
		all := []Manifest{{Number: 1, Taken: now.Add(-c.age), Daily: c.daily}, {Number: 2, Taken: now}}
		if got := keeping(all, now, 30*day, 2*day)[1]; got != c.stays {
			t.Errorf("%+v: stays %v", c, got)
		}
	}
	// Another retention: of 35 days the copy of day 34 stays, that of day 36 goes.
	p := DefaultPolicy()
	p.KeepDays = 35
	all := []Manifest{{Number: 1, Taken: now.Add(-36 * day), Daily: true}, {Number: 2, Taken: now.Add(-34 * day), Daily: true}, {Number: 3, Taken: now}}
	if stay := keeping(all, now, p.Keep(), p.Thin); p.Check() != nil || stay[1] || !stay[2] {
		t.Errorf("of 35 days: %v", stay)
	}
	old := []Manifest{{Number: 1, Taken: now.Add(-99 * day)}, {Number: 2, Taken: now.Add(-90 * day)}}
	if stay := keeping(old, now, 30*day, 2*day); stay[1] || !stay[2] {
		t.Errorf("the newest stays whatever its age: %v", stay)
	}
}

func TestThirtyDaysStayAndTheChainHolds(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	v.wallTime = time.Date(2022, 4, 5, 0, 30, 0, 0, time.UTC)
	v.settle(4)
	for i := range 35 * 2 {
		v.update(v.DB, func(tx *store.Tx) error {
			return put(tx, "per_0002", person{Account: "acc_a", Name: fmt.Sprint(i), Money: i})
		})
		v.back()
		v.pass(12 * time.Hour)
	}
	v.pass(-12 * time.Hour) // the moment of the last one
	found, err := v.Shelf().Verify(v.Context(), VerifyOptions{Now: v.now(), Identities: []age.Identity{v.ids[1]}, Keys: v.keys})
	v.must(err)
	daily, others := 0, 0
	for _, c := range found {
		switch {
		case c.Problem != "":
			v.Errorf("%s: %s", c.Name(), c.Problem)
		case c.Present && c.Daily:
			daily++
		case c.Present:
			others++
		}
	}
	if daily != 30 || others != 3 { // of the last 48 h: one a day beside the daily one, and one of exactly 48 h
		v.Errorf("%d daily points and %d others stand", daily, others)
	}
	if first := found[0]; first.Number == 1 || v.now().Sub(first.Taken) > 31*24*time.Hour {
		v.Errorf("the oldest manifest is %d of %s", first.Number, first.Taken)
	}
	// Back to a chosen moment: the newest not after it.
	at := time.Date(2022, 4, 20, 17, 0, 0, 0, time.UTC)
	e := v.find(at)
	if !e.Daily || e.Taken.Day() != 20 || e.Taken.After(at) {
		v.Fatalf("for %s: %s", at, e.Taken)
	}
	db := v.restore(e, storetest.Bolt(t))
	v.must(db.View(v.Context(), func(tx *store.Tx) error {
		p, _, err := people.Get(tx, "per_0002")
		if err != nil || p.Money != 15*2 {
			v.Errorf("%+v, %v", p, err)
		}
		return nil
	}))
	if _, err := v.Shelf().Find(v.Context(), time.Date(2022, 4, 1, 0, 0, 0, 0, time.UTC)); fault.Of(err) != fault.NotFound {
		v.Errorf("before the first: %v", err)
	}
}

func TestWhatWasDoneToABackupIsNamed(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(v *vendor, path func(string) string)
		want []string // problems by number of backup
	}{
		{"nothing", func(*vendor, func(string) string) {}, []string{"", "", ""}},
		{"a bit of a file", func(v *vendor, path func(string) string) {
			flip(v, path("backup-00000002.age"), 500)
		}, []string{"", "not the one that its manifest was signed for", ""}},
		{"a file cut", func(v *vendor, path func(string) string) {
			v.must(os.Chmod(path("backup-00000002.age"), 0o600))
			v.must(os.Truncate(path("backup-00000002.age"), 300))
		}, []string{"", "not the one", ""}},
		{"a file gone", func(v *vendor, path func(string) string) { v.must(os.Remove(path("backup-00000002.age"))) },
			[]string{"", "its file is gone", ""}},
		{"a file exchanged", func(v *vendor, path func(string) string) {
			v.must(os.Rename(path("backup-00000001.age"), path("backup-00000002.age")))
		}, []string{"its file is gone", "not the one", ""}},
		{"a manifest's words", func(v *vendor, path func(string) string) {
			edit(v, path("backup-00000002.json"), `"person":6`, `"person":5`)
		}, []string{"", "signature", "not written behind"}},
		{"a manifest signed by another", func(v *vendor, path func(string) string) {
			m := Manifest{Number: 3}
			other, err := OpenSigner(v.TempDir())
			v.must(err)
			content, err := sign(m, other)
			v.must(err)
			replace(v, path("backup-00000003.json"), content)
		}, []string{"", "", "signature"}},
		{"a manifest gone", func(v *vendor, path func(string) string) { v.must(os.Remove(path("backup-00000002.json"))) },
			[]string{"", "backups 2 to 2 are gone"}},
		{"a manifest in another's place", func(v *vendor, path func(string) string) {
			content, err := os.ReadFile(path("backup-00000001.json"))
			v.must(err)
			replace(v, path("backup-00000003.json"), content)
		}, []string{"", "", "manifest of backup 1"}},
		{"a chain written anew, even with the key", func(v *vendor, path func(string) string) {
			content, err := os.ReadFile(path("backup-00000002.json"))
			v.must(err)
			m, _, err := readManifest(content, v.Shelf().Trusted)
			v.must(err)
			m.Counts["person"] = 1
			content, err = sign(m, v.Signer)
			v.must(err)
			replace(v, path("backup-00000002.json"), content)
		}, []string{"", "1", "not written behind"}},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			v := newVendor(t, storetest.Bolt(t))
			for i := range 3 {
				v.settle(4 + 2*i)
				v.back()
			}
			c.do(v, func(name string) string { return filepath.Join(string(v.dir), name) })
			found, err := v.Shelf().Verify(v.Context(), VerifyOptions{Identities: []age.Identity{v.ids[0]}, Keys: v.keys})
			v.must(err)
			var got []string
			for i, f := range found {
				got = append(got, f.Problem)
				if i >= len(c.want) || c.want[i] == "" && f.Problem != "" || !strings.Contains(f.Problem, c.want[i]) {
					t.Errorf("backup %d: %q", f.Number, f.Problem)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func flip(v *vendor, path string, at int) {
	content, err := os.ReadFile(path)
	v.must(err)
	content[at] ^= 1
	replace(v, path, content)
}

func edit(v *vendor, path, old, with string) {
	content, err := os.ReadFile(path)
	v.must(err)
	if !bytes.Contains(content, []byte(old)) {
		v.Fatalf("%s has no %s", path, old)
	}
	replace(v, path, bytes.Replace(content, []byte(old), []byte(with), 1))
}

func replace(v *vendor, path string, content []byte) {
	v.must(os.Remove(path))
	v.must(os.WriteFile(path, content, 0o400))
}

func TestFilesAreReadOnlyAndSayNothing(t *testing.T) {
	each(t, func(v *vendor) {
		v.settle(20)
		m := v.back()
		for _, name := range []string{m.file(), m.manifest()} {
			path := filepath.Join(string(v.dir), name)
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o400 {
				v.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
			content, err := os.ReadFile(path)
			v.must(err)
			for _, secret := range []string{"Hopper", "grace", "example.com", v.ids[0].String()} {
				if bytes.Contains(content, []byte(secret)) {
					v.Errorf("%s says %q", name, secret)
				}
			}
		}
		left, _ := filepath.Glob(filepath.Join(string(v.dir), ".*"))
		if len(left) != 0 {
			v.Errorf("left behind: %q", left)
		}
	})
}

func TestEitherRecipientOpensABackupAndNobodyElse(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	v.settle(4)
	v.back()
	stranger, err := age.GenerateX25519Identity()
	v.must(err)
	for i, id := range []age.Identity{v.ids[0], v.ids[1], stranger} {
		found, err := v.Shelf().Verify(v.Context(), VerifyOptions{Identities: []age.Identity{id}, Keys: v.keys})
		v.must(err)
		if opened := found[0].Opened && found[0].Unsealed > 6 && found[0].Problem == ""; opened != (i < 2) {
			t.Errorf("identity %d: %+v", i, found[0])
		}
	}
	if found, err := v.Shelf().Verify(v.Context(), VerifyOptions{Identities: []age.Identity{v.ids[0]}, Keys: storetest.Keys(t)}); err != nil || !strings.Contains(found[0].Problem, "keys do not open") {
		t.Errorf("other keys: %+v, %v", found, err)
	}
	v.Recipients = v.Recipients[:1]
	if _, err := v.Now(v.Context()); fault.Of(err) != fault.Invalid {
		t.Errorf("one recipient: %v", err)
	}
	v.Recipients = append(v.Recipients, v.Recipients[0])
	if _, err := v.Now(v.Context()); fault.Of(err) != fault.Invalid {
		t.Errorf("the same recipient twice: %v", err)
	}
	for text, ok := range map[string]bool{
		"": false, "nonsense": false, v.ids[0].Recipient().String(): false,
		"# custodians\n" + v.ids[0].Recipient().String() + "\n" + v.ids[1].Recipient().String(): true,
	} {
		if _, err := Recipients(text); (err == nil) != ok {
			t.Errorf("recipients %q: %v", text, err)
		}
	}
}

func TestAStoreThatShrinksFreezesOldBackups(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	v.Backups.Keep, v.Thin = 48*time.Hour, time.Hour
	v.settle(100)
	v.back()
	lose := func(from, to int) {
		v.update(v.DB, func(tx *store.Tx) error {
			for i := from; i < to; i++ {
				if err := tx.RemoveStored("person", fmt.Sprintf("per_%04d", i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	lose(0, 15)
	v.pass(time.Minute)
	v.back() // 15 of 100: within what comes and goes
	lose(15, 60)
	v.pass(72 * time.Hour)
	m, err := v.Now(v.Context())
	if !errors.Is(err, ErrFrozen) || m.Number != 3 || !strings.Contains(err.Error(), "person from 85 to 40") {
		t.Fatalf("%+v, %v", m, err)
	}
	v.pass(72 * time.Hour)
	if _, err := v.Now(v.Context()); !errors.Is(err, ErrFrozen) { // as long as nobody looked
		t.Fatalf("%v", err)
	}
	names, err := v.dir.List(t.Context())
	v.must(err)
	if len(names) != 8 {
		t.Errorf("old backups were removed: %q", names)
	}
	for _, act := range [][2]string{{"", "they left"}, {"stf_ada", ""}} {
		if _, err := v.Thaw(t.Context(), act[0], act[1]); fault.Of(err) != fault.Invalid {
			t.Errorf("thawed by %q because of %q: %v", act[0], act[1], err)
		}
	}
	m, err = v.Thaw(t.Context(), "stf_ada", "45 people left with their company")
	if err != nil || m.Thawed != "stf_ada" || m.Frozen != "" {
		t.Fatalf("%+v, %v", m, err)
	}
	names, err = v.dir.List(t.Context())
	v.must(err)
	if len(names) >= 8 || !slices.Contains(names, m.file()) {
		t.Errorf("after the thaw: %q", names)
	}
	if _, err := v.Thaw(t.Context(), "stf_ada", "once more"); fault.Of(err) != fault.Conflict {
		t.Errorf("thawed what is not frozen: %v", err)
	}
	thawed := 0
	v.must(v.DB.View(t.Context(), func(tx *store.Tx) error {
		rows, _, err := store.AuditRows(tx, store.Query{})
		for _, row := range rows {
			if row.Value.Verb == "backup.thaw" && row.Value.By == "stf_ada" && row.Value.Reason == "45 people left with their company" {
				thawed++
			}
		}
		return err
	}))
	if thawed != 1 {
		t.Errorf("the audit log has %d rows of the thaw", thawed)
	}
	v.MayShrink = []string{"person"}
	lose(60, 99)
	v.pass(24 * time.Hour)
	v.back()
}

func TestARestoreRefusesWhatItCannotProve(t *testing.T) {
	each(t, func(v *vendor) {
		v.settle(4000) // more than one chunk of the file
		v.back()
		e := v.find(time.Time{})
		restore := func(engine store.Engine, o RestoreOptions) error { return v.Shelf().Restore(v.Context(), e, engine, o) }
		if err := restore(v.engine, v.options()); fault.Of(err) != fault.Conflict {
			v.Errorf("into a store that is not empty: %v", err)
		}
		stranger, err := age.GenerateX25519Identity()
		v.must(err)
		for want, spoil := range map[string]func(*RestoreOptions, *Entry){
			"lifeline key restore":     func(o *RestoreOptions, _ *Entry) { o.Keys = nil },
			"is not in the key":        func(o *RestoreOptions, _ *Entry) { o.Keys = storetest.Keys(v.T) },
			"belong to another store":  func(o *RestoreOptions, e *Entry) { o.Keys, e.Keys = storetest.Keys(v.T), nil },
			"none that backup-":        func(o *RestoreOptions, _ *Entry) { o.Identities = []age.Identity{stranger} },
			"the file of backup-":      func(_ *RestoreOptions, e *Entry) { e.Present = false },
			"Choose another with --at": func(_ *RestoreOptions, e *Entry) { e.Flaw = "its signature is not that of our key" },
		} {
			o, bad, engine := v.options(), e, storetest.Bolt(v.T)
			spoil(&o, &bad)
			if err := v.Shelf().Restore(v.Context(), bad, engine, o); err == nil || !strings.Contains(err.Error(), want) {
				v.Errorf("want %q: %v", want, err)
			}
			if untouched, err := store.Fresh(v.Context(), engine); err != nil || !untouched {
				v.Errorf("%q: the engine was touched before the proof, %v", want, err)
			}
		}
		other := e
		other.Content = strings.Repeat("0", 64)
		if err := v.Shelf().Restore(v.Context(), other, storetest.Bolt(v.T), v.options()); err == nil || !strings.Contains(err.Error(), "are not those of the backup") {
			v.Errorf("other records than the manifest was signed for: %v", err)
		}
		flip(v, filepath.Join(string(v.dir), e.file()), int(e.Size)-20) // the very end: everything before was written already
		engine := storetest.Bolt(v.T)
		if err := restore(engine, v.options()); err == nil {
			v.Error("an altered file was restored")
		}
		if _, err := store.Open(v.Context(), engine, store.Options{Keys: v.keys, Kinds: kinds()}); err == nil || !strings.Contains(err.Error(), "did not finish") {
			v.Errorf("a store that is half restored was opened: %v", err)
		}
	})
}

// Who knows the public keys can encrypt a backup of the same store, moment and counts with other records in it.
func TestAForgedFileIsRefused(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	v.settle(10)
	v.back()
	v.update(v.DB, func(tx *store.Tx) error { return tx.RemoveStored("person", "per_0004") })
	v.update(v.DB, func(tx *store.Tx) error { return put(tx, "per_evil", person{Account: "acc_a", Name: "Eve"}) })
	s := store.Sealer{DB: v.DB}
	_, err := s.Seal(t.Context())
	v.must(err)
	forger := &Backups{DB: v.DB, Places: []Place{Dir(t.TempDir())}, Recipients: v.Recipients, Signer: v.Signer, Clock: v.now}
	forged, err := forger.Now(t.Context())
	v.must(err)
	e := v.find(time.Time{})
	content, err := os.ReadFile(filepath.Join(forger.Places[0].String(), forged.file()))
	v.must(err)
	replace(v, filepath.Join(string(v.dir), e.file()), content)
	e.Counts = forged.Counts // so that nothing but the hash tells
	engine := storetest.Bolt(t)
	if err := v.Shelf().Restore(t.Context(), e, engine, v.options()); err == nil || !strings.Contains(err.Error(), "not the one that its manifest was signed for") {
		t.Errorf("a forged file: %v", err)
	}
	if _, err := store.Open(t.Context(), engine, store.Options{Keys: v.keys, Kinds: kinds()}); err == nil {
		t.Error("the forged store was opened")
	}
}

func TestADamagedManifestDoesNotStopTheNextBackup(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	v.settle(4)
	v.back()
	edit(v, filepath.Join(string(v.dir), "backup-00000001.json"), `"person":4`, `"person":3`)
	v.settle(6)
	if m, err := v.Now(t.Context()); m.Number != 2 || !errors.Is(err, errSignature) {
		t.Fatalf("%+v, %v", m, err)
	}
	if e := v.find(time.Time{}); e.Number != 2 {
		t.Errorf("found %+v", e)
	}
	v.settle(8)
	v.back()
}

// A drill's own stores are embedded ones, as the command opens them.
func TestADrillRestoresTheNewestAndAnother(t *testing.T) {
	each(t, func(v *vendor) {
		for i := range 3 {
			v.settle(20 + 10*i)
			v.back()
			v.pass(20 * time.Minute)
		}
		opened := 0
		o := DrillOptions{Identities: []age.Identity{v.ids[1]}, Keys: v.keys, Kinds: kinds(), By: "stf_ada", Now: v.now(),
			Open: func(context.Context) (store.Engine, func(), error) {
				opened++
				return storetest.Bolt(v.T), func() { opened-- }, nil
			},
			pick: func(int) int { return 0 }}
		r, err := v.Shelf().Drill(v.Context(), o)
		if err != nil || !r.Passed() || len(r.Runs) != 2 || r.Runs[0].Backup != "backup-00000003" || r.Runs[1].Backup != "backup-00000001" {
			v.Fatalf("%+v, %v", r, err)
		}
		// 40 people, 9 errands, 7 audit rows (one of them the restore's), a head, an instance and a rotation
		if n := r.Runs[0].Records; n != 40+9+7+3 || r.Runs[0].Audit != 6 || r.RPO != 20*time.Minute || r.RTO <= 0 || opened != 0 {
			v.Errorf("%+v, still open %d", r, opened)
		}
		paths, err := r.Write(filepath.Join(v.TempDir(), "drills"))
		v.must(err)
		var again Report
		asJSON, err := os.ReadFile(paths[0])
		v.must(err)
		if err := json.Unmarshal(asJSON, &again); err != nil || !reflect.DeepEqual(again, r) {
			v.Errorf("%s: %+v, %v", asJSON, again, err)
		}
		if text, err := os.ReadFile(paths[1]); err != nil || !strings.Contains(string(text), ": passed") || !strings.Contains(string(text), "| RPO | 20m0s |") ||
			!strings.Contains(string(text), "| Tier 0 (contact store and status page) | 1h0m0s | 4h0m0s | met |") ||
			!strings.Contains(string(text), "| Tier 1 (Lifeline as a whole) | 1h0m0s | 6h0m0s | met |") || !strings.Contains(string(text), MeansRTO) {
			v.Errorf("%s, %v", text, err)
		}
		o.RPO, o.RTO = time.Minute, time.Nanosecond
		if r, err := v.Shelf().Drill(v.Context(), o); err != nil || len(r.Problems) != 1 || !strings.Contains(r.Markdown(), "FAILED") || !strings.Contains(r.Markdown(), "| targets of this drill | 1m0s | 1ns | MISSED |") {
			v.Errorf("missed targets: %+v, %v", r, err)
		}
		o.RPO, o.RTO = 0, 0
		late := o
		late.Now = v.now().Add(time.Hour) // the newest is 80 minutes old: no tier allows that
		if r, err := v.Shelf().Drill(v.Context(), late); err != nil || len(r.Problems) != 2 || r.Tiers[0].Met || r.Tiers[1].Met {
			v.Errorf("missed tiers: %+v, %v", r, err)
		}
		if last, err := LastDrill(filepath.Dir(paths[0])); err != nil || !last.At.Equal(v.now()) {
			v.Errorf("%+v, %v", last, err)
		}
		if _, err := LastDrill(v.TempDir()); fault.Of(err) != fault.NotFound {
			v.Error(err)
		}
		o.Kinds = o.Kinds[:1] // people alone
		if r, err := v.Shelf().Drill(v.Context(), o); err != nil || r.Passed() {
			v.Errorf("a binary that does not know a kind: %+v, %v", r, err)
		}
		o.Kinds = kinds()
		flip(v, filepath.Join(string(v.dir), "backup-00000001.age"), 700)
		r, err = v.Shelf().Drill(v.Context(), o)
		if err != nil || r.Passed() || len(r.Runs[0].Problems) != 0 || len(r.Runs[1].Problems) == 0 {
			v.Errorf("an altered backup: %+v, %v", r, err)
		}
	})
}

// A drill loses a batch of accounts with everything of theirs and puts them back, where that fits into one slice, and else as many as do.
func TestADrillRestoresABatch(t *testing.T) {
	each(t, func(v *vendor) {
		v.settleAccounts(30)
		v.back()
		o := DrillOptions{Identities: []age.Identity{v.ids[0]}, Keys: v.keys, Kinds: kinds(), Now: v.now(), Batch: PickOptions{Kind: "account", Owners: belongings()},
			Open: func(context.Context) (store.Engine, func(), error) { return storetest.Bolt(v.T), func() {}, nil }}
		r, err := v.Shelf().Drill(v.Context(), o)
		if err != nil || !r.Passed() || r.Batch == nil || r.Batch.Roots != 2 || r.Batch.Records != 2+30+30 || r.Batch.Took <= 0 || !strings.Contains(r.Markdown(), "62 in all") {
			v.Errorf("%+v, %+v, %v", r, r.Batch, err)
		}
		o.Batch.most = 5000 // bytes: one account's fits
		if r, err := v.Shelf().Drill(v.Context(), o); err != nil || !r.Passed() || r.Batch == nil || r.Batch.Roots != 1 || r.Batch.Records != 1+15+15 {
			v.Errorf("half of it: %+v, %+v, %v", r, r.Batch, err)
		}
		o.Batch.most = 1
		if r, err := v.Shelf().Drill(v.Context(), o); err != nil || r.Passed() || !strings.Contains(r.Markdown(), "FAILED") {
			v.Errorf("nothing fits, and nobody is told: %+v, %v", r, err)
		}
	})
}

func TestAFurtherPlaceCatchesUp(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	down := errors.New("no route to host")
	far := Dir(filepath.Join(t.TempDir(), "far"))
	v.Places = append(v.Places, placeFunc{far, func(string) error { return down }})
	for i := range 2 {
		v.settle(4 + i)
		if m, err := v.Now(t.Context()); !errors.Is(err, down) || m.Number != int64(i+1) {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	down = nil
	v.settle(9)
	v.back()
	v.must(os.RemoveAll(string(v.dir))) // and now the first place burns
	far2 := Shelf{Place: far, Trusted: v.Shelf().Trusted}
	found, err := far2.Verify(t.Context(), VerifyOptions{Identities: []age.Identity{v.ids[0]}, Keys: v.keys})
	v.must(err)
	for _, c := range found {
		if c.Problem != "" || !c.Opened {
			t.Errorf("%+v", c)
		}
	}
	if len(found) != 3 {
		t.Errorf("%d backups", len(found))
	}
	e, err := far2.Find(t.Context(), time.Time{})
	v.must(err)
	v.must(far2.Restore(t.Context(), e, storetest.Bolt(t), v.options()))
}

func TestARunThatWasKilledIsSweptUp(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	v.settle(4)
	v.must(os.MkdirAll(string(v.dir), 0o700))
	v.must(os.WriteFile(filepath.Join(string(v.dir), "backup-00000001.age"), []byte("without its manifest"), 0o400))
	old := filepath.Join(string(v.dir), stagingPrefix+"OLD")
	v.must(os.WriteFile(old, []byte("half"), 0o600))
	past := time.Now().Add(-48 * time.Hour)
	v.must(os.Chtimes(old, past, past))
	v.back()
	if names, err := filepath.Glob(filepath.Join(string(v.dir), ".*")); err != nil || len(names) != 0 {
		t.Errorf("%q, %v", names, err)
	}
	v.restore(v.find(time.Time{}), storetest.Bolt(t))
}

// Two processes that back up to one place never overwrite each other: the number is taken by one of them.
func TestASecondProcessIsRefused(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	v.settle(4)
	v.back()
	v.settle(5)
	other := &Backups{DB: v.DB, Places: v.Places, Recipients: v.Recipients, Signer: v.Signer}
	v.Places = []Place{placeFunc{v.dir, func(name string) error {
		if strings.HasSuffix(name, ".age") {
			m, err := other.Now(t.Context())
			if m.Number != 2 {
				t.Errorf("%+v", m)
			}
			return err
		}
		return nil
	}}}
	if m, err := v.Now(t.Context()); fault.Of(err) != fault.Exists {
		t.Fatalf("%+v, %v", m, err)
	}
	found, err := other.Shelf().Verify(t.Context(), VerifyOptions{Identities: []age.Identity{v.ids[0]}})
	v.must(err)
	for _, c := range found {
		if c.Problem != "" {
			t.Errorf("%s: %s", c.Name(), c.Problem)
		}
	}
}

func TestRunGoesOnAfterFailures(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	v.settle(4)
	ctx, stop := context.WithCancel(t.Context())
	broken, outcomes := atomic.Bool{}, 0
	broken.Store(true)
	v.Places = []Place{placeFunc{v.dir, func(string) error {
		if broken.Load() {
			return errors.New("disk full")
		}
		return nil
	}}}
	v.Every = time.Millisecond
	v.Outcome = func(m Manifest, err error) {
		outcomes++
		switch {
		case broken.Load() && err == nil:
			t.Error("a full disk took a backup")
		case outcomes == 2:
			broken.Store(false)
		case errors.Is(err, ErrUnchanged): // one was taken, and nothing is new since
			stop()
		}
	}
	v.must(v.Backups.Run(ctx))
	if m := v.find(time.Time{}); m.Number != 1 {
		t.Errorf("%+v", m)
	}
}

func TestASignerIsPrivateAndStays(t *testing.T) {
	dir := t.TempDir()
	first, err := OpenSigner(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenSigner(dir)
	if err != nil || !first.Equal(again) {
		t.Errorf("the key changed: %v", err)
	}
	path := filepath.Join(dir, KeyFile)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSigner(dir); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("a key that others can read: %v", err)
	}
	if _, _, err := readManifest([]byte(`{"manifest":{},"signature":""}`), ed25519.PublicKey(nil)); !errors.Is(err, errSignature) {
		t.Errorf("without a key everything is believed: %v", err)
	}
}

// Whatever stands in a file that decrypts, reading it ends in an error or in what was written.
func FuzzStream(f *testing.F) {
	var b bytes.Buffer
	w, err := newStreamWriter(&b, header{Instance: "i", Taken: time.Unix(1, 0).UTC(), Kinds: kinds()})
	if err != nil {
		f.Fatal(err)
	}
	if err := w.begin("person"); err != nil {
		f.Fatal(err)
	}
	raw := store.Raw{Meta: store.Meta{ID: "per_\x00\xff", Version: 3, Created: time.Unix(1, 0).UTC(), Lane: "l"}, Body: []byte("body"), Tuples: [][]byte{nil, {}, {1}}}
	if _, err := w.record(raw); err != nil {
		f.Fatal(err)
	}
	if err := w.end(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, in []byte) {
		var got []store.Raw
		_, counts, err := readStream(bytes.NewReader(in), func(header) error { return nil }, func(k store.Kind, r store.Raw) error {
			got = append(got, r)
			return nil
		})
		if err == nil && bytes.Equal(in, b.Bytes()) && (counts["person"] != 1 || len(got) != 1 || !reflect.DeepEqual(got[0], raw)) {
			t.Errorf("%+v, %v", got, counts)
		}
		for n := range min(len(in), b.Len()) { // no shorter stream is whole
			if bytes.Equal(in, b.Bytes()) {
				if _, _, err := readStream(bytes.NewReader(in[:n]), func(header) error { return nil }, func(store.Kind, store.Raw) error { return nil }); err == nil {
					t.Fatalf("cut at %d it was taken", n)
				}
			}
		}
	})
}
