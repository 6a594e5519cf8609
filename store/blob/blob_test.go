package blob_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/bolt"
	"lifeline/store/fault"
	"lifeline/store/postgres/pgtest"
	"lifeline/store/storetest"
)

// bytesOf makes n bytes that look like nothing.
func bytesOf(n int) []byte {
	b := make([]byte, n)
	rnd := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	_, _ = rnd.Read(b)
	return b
}

// keep writes a file and hangs it on a record.
func keep(t *testing.T, db *store.DB, of string, content []byte) string {
	t.Helper()
	l, err := blob.Put(t.Context(), db, blob.Upload{Name: "shot.png", Type: "image/png", From: bytes.NewReader(content), Max: 64 << 20})
	if err == nil {
		err = db.Update(t.Context(), store.Act{}, func(tx *store.Tx) error { return l.Keep(tx, of) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return l.ID()
}

func get(t *testing.T, db *store.DB, id string) (r blob.Rec, err error) {
	t.Helper()
	err = db.View(t.Context(), func(tx *store.Tx) error {
		r, err = blob.Get(tx, id)
		return err
	})
	return r, err
}

// counts is how many heads and chunks there are.
func counts(t *testing.T, db *store.DB) (heads, chunks int) {
	t.Helper()
	err := db.View(t.Context(), func(tx *store.Tx) error {
		heads, chunks = 0, 0
		for _, err := range tx.Stored("blob") {
			if err != nil {
				return err
			}
			heads++
		}
		for _, err := range tx.Stored("chunk") {
			if err != nil {
				return err
			}
			chunks++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return heads, chunks
}

func TestAFileComesBackAsItWas(t *testing.T) {
	storetest.Each(t, blob.Kinds(), func(t *testing.T, db *store.DB) {
		for _, size := range []int{0, 1, blob.ChunkSize - 1, blob.ChunkSize, blob.ChunkSize + 1, 4 * blob.ChunkSize, 9*blob.ChunkSize + 77} {
			content := bytesOf(size)
			rec, err := get(t, db, keep(t, db, "tic_a", content))
			if err != nil {
				t.Fatal(err)
			}
			if want := (size + blob.ChunkSize - 1) / blob.ChunkSize; rec.Value.Size != int64(size) || rec.Value.Chunks != want || rec.Value.Of != "tic_a" {
				t.Errorf("%d bytes: %+v, want %d chunks", size, rec.Value, want)
			}
			back, err := blob.ReadAll(t.Context(), db, rec)
			if err != nil || !bytes.Equal(back, content) {
				t.Errorf("%d bytes came back as %d: %v", size, len(back), err)
			}
		}
		err := db.View(t.Context(), func(tx *store.Tx) error {
			all, err := blob.List(tx, "tic_a")
			if len(all) != 7 {
				t.Errorf("the record has %d files", len(all))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestNothingOfALargeFileIsKeptOrShown(t *testing.T) {
	clock := storetest.NewDial(time.Date(2022, 4, 5, 9, 0, 0, 0, time.UTC))
	db := storetest.Open(t, blob.Kinds(), storetest.Clock(clock.Now))
	l, err := blob.Put(t.Context(), db, blob.Upload{From: bytes.NewReader(bytesOf(6 * blob.ChunkSize)), Max: 5 * blob.ChunkSize})
	if fault.Of(err) != fault.TooLarge {
		t.Fatalf("a file over its limit: %v", err)
	}
	if err := l.Discard(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if heads, chunks := counts(t, db); heads+chunks != 0 {
		t.Errorf("%d heads and %d chunks are left", heads, chunks)
	}
	// What nobody keeps cannot be read, and goes after a day; what is kept stays.
	id := keep(t, db, "tic_a", bytesOf(10))
	broken, err := blob.Put(t.Context(), db, blob.Upload{From: io.MultiReader(bytes.NewReader(bytesOf(5*blob.ChunkSize)), failing{}), Max: 64 << 20})
	if err == nil {
		t.Fatal("a file that broke off was taken")
	}
	loose, err := blob.Put(t.Context(), db, blob.Upload{From: bytes.NewReader(bytesOf(70 * blob.ChunkSize)), Max: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for l, whole := range map[blob.Loose]bool{broken: false, loose: true} {
		err := db.View(t.Context(), func(tx *store.Tx) error {
			_, err := blob.Find(tx, l.ID())
			return err
		})
		if (err == nil) != whole {
			t.Errorf("an upload that is whole (%v) was found: %v", whole, err)
		}
		if _, err := get(t, db, l.ID()); fault.Of(err) != fault.NotFound {
			t.Errorf("a file that nobody keeps is shown: %v", err)
		}
	}
	clock.Turn(blob.LooseFor - time.Second)
	if n, err := blob.Sweep(t.Context(), db, 10); n != 0 || err != nil {
		t.Errorf("swept %d too early: %v", n, err)
	}
	clock.Turn(time.Second + time.Microsecond)
	if n, err := blob.Sweep(t.Context(), db, 10); n != 2 || err != nil {
		t.Errorf("swept %d, %v, want the two that nobody kept", n, err)
	}
	if heads, chunks := counts(t, db); heads != 1 || chunks != 1 {
		t.Errorf("%d heads and %d chunks are left, want the one that is kept", heads, chunks)
	}
	if err := db.Update(t.Context(), store.Act{}, func(tx *store.Tx) error { return loose.Keep(tx, "tic_b") }); err == nil {
		t.Error("what was swept was kept")
	}
	if err := db.Update(t.Context(), store.Act{}, func(tx *store.Tx) error { return blob.Remove(tx, id) }); err != nil {
		t.Fatal(err)
	}
	if heads, chunks := counts(t, db); heads+chunks != 0 {
		t.Errorf("removed, and %d heads and %d chunks are left", heads, chunks)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the line broke") }

// Whoever keeps an upload while it is swept either has all of it or is told.
func TestASweepNeverTakesWhatIsKept(t *testing.T) {
	storetest.Each(t, blob.Kinds(), func(t *testing.T, db *store.DB) {
		for range 5 {
			content := bytesOf(70 * 1000)
			l, err := blob.Put(t.Context(), db, blob.Upload{From: bytes.NewReader(content), Max: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			swept := make(chan error, 1)
			go func() { swept <- l.Discard(context.WithoutCancel(t.Context()), db) }()
			kept := db.Update(t.Context(), store.Act{}, func(tx *store.Tx) error { return l.Keep(tx, "tic_a") })
			if err := <-swept; err != nil && fault.Of(err) != fault.Stale {
				t.Fatal(err)
			}
			rec, err := get(t, db, l.ID())
			if (kept == nil) != (err == nil) {
				t.Fatalf("kept: %v, and then: %v", kept, err)
			}
			if kept == nil {
				if back, err := blob.ReadAll(t.Context(), db, rec); err != nil || !bytes.Equal(back, content) {
					t.Fatalf("kept, and %d bytes came back: %v", len(back), err)
				}
			}
		}
	})
}

func TestADamagedFileIsNotGivenAsWhole(t *testing.T) {
	db := storetest.Open(t, blob.Kinds())
	damage := func(change func(tx *store.Tx, first, last store.Raw) error) error {
		rec, err := get(t, db, keep(t, db, "tic_a", bytesOf(2*blob.ChunkSize)))
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(t.Context(), store.Act{}, func(tx *store.Tx) error {
			var all []store.Raw
			for raw, err := range tx.Stored("chunk") {
				if err != nil {
					return err
				}
				if strings.Contains(raw.ID, strings.TrimPrefix(rec.ID, "blb_")) {
					raw.Body = bytes.Clone(raw.Body)
					all = append(all, raw)
				}
			}
			return change(tx, all[0], all[1])
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = blob.ReadAll(t.Context(), db, rec)
		return err
	}
	if err := damage(func(tx *store.Tx, _, _ store.Raw) error { return nil }); err != nil {
		t.Fatalf("nothing was done to it: %v", err)
	}
	if err := damage(func(tx *store.Tx, _, last store.Raw) error { return tx.RemoveStored("chunk", last.ID) }); err == nil {
		t.Error("a file without its end was given as whole")
	}
	if err := damage(func(tx *store.Tx, first, last store.Raw) error {
		first.ID = last.ID // the first part in the last one's place
		return tx.PutStored("chunk", first)
	}); err == nil {
		t.Error("a part in another's place was given")
	}
}

// A file of any size passes through a few chunks' worth of memory, in and out.
func TestALargeFileNeedsLittleMemory(t *testing.T) {
	db := storetest.Open(t, blob.Kinds())
	const size = 12 << 20
	most := uint64(0)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	look := func() {
		var now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&now)
		if now.HeapAlloc > before.HeapAlloc {
			most = max(most, now.HeapAlloc-before.HeapAlloc)
		}
	}
	l, err := blob.Put(t.Context(), db, blob.Upload{From: &watched{Reader: io.LimitReader(rand.NewChaCha8([32]byte{}), size), look: look}, Max: size})
	if err == nil {
		err = db.Update(t.Context(), store.Act{}, func(tx *store.Tx) error { return l.Keep(tx, "tic_a") })
	}
	if err != nil {
		t.Fatal(err)
	}
	rec, err := get(t, db, l.ID())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, &watched{Reader: blob.Open(t.Context(), db, rec), look: look}); n != size || err != nil {
		t.Fatalf("read %d: %v", n, err)
	}
	if most == 0 || most > 4<<20 {
		t.Errorf("a file of 12 MiB took %d bytes of memory", most)
	}
}

type watched struct {
	io.Reader
	n    int
	look func() // at every 2 MiB
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if was := w.n; (was+n)>>21 > was>>21 {
		w.look()
	}
	w.n += n
	return n, err
}

// Neither the name of a file nor anything of its content stands in the data that lie without the keys.
func TestACopyOfTheDataSaysNothingOfAFile(t *testing.T) {
	const secret = "The-passport-of-Grace-Hopper-is-C01X00T47"
	content := []byte(strings.Repeat(secret+" ", 20_000))
	write := func(t *testing.T, engine store.Engine) string {
		db, err := store.Open(t.Context(), engine, store.Options{Keys: storetest.Keys(t), Kinds: blob.Kinds()})
		if err != nil {
			t.Fatal(err)
		}
		l, err := blob.Put(t.Context(), db, blob.Upload{Name: "passport-grace.txt", Type: "text/plain", From: bytes.NewReader(content), Max: 64 << 20})
		if err == nil {
			err = db.Update(t.Context(), store.Act{}, func(tx *store.Tx) error { return l.Keep(tx, "tic_a") })
		}
		if err != nil {
			t.Fatal(err)
		}
		return l.ID()
	}
	look := func(t *testing.T, data []byte, id string) {
		if !bytes.Contains(data, []byte(id)) && !bytes.Contains(data, fmt.Appendf(nil, "%x", id)) {
			t.Fatal("the scan does not even see the id: it proves nothing")
		}
		forms := []string{secret[4:20], "passport-grace", fmt.Sprintf("%x", secret[4:20])}
		for shift := range 3 { // as base64 at each alignment, without the ends that depend on what is beside it
			coded := base64.StdEncoding.EncodeToString([]byte(secret[shift:]))
			forms = append(forms, coded[4:24])
		}
		for _, form := range forms {
			if bytes.Contains(data, []byte(form)) {
				t.Errorf("the data say %q", form)
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
		id := write(t, engine)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		look(t, data, id)
	})
	t.Run("postgres", func(t *testing.T) {
		url := pgtest.URL(t)
		id := write(t, storetest.PostgresAt(t, url))
		data, err := exec.Command("pg_dump", "--dbname", url).Output()
		if err != nil {
			t.Fatalf("pg_dump: %v", err)
		}
		look(t, data, id)
	})
}
