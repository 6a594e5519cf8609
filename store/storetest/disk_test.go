package storetest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/bolt"
	"lifeline/store/fault"
	"lifeline/store/postgres"
	"lifeline/store/postgres/pgtest"
)

// ask has a child of mode single file a ticket.
func (w *writer) ask() (number string, kind fault.Kind, why string) {
	w.t.Helper()
	if _, err := fmt.Fprintln(w.in); err != nil {
		w.t.Fatal(err)
	}
	if !w.out.Scan() {
		w.t.Fatalf("the writing process ended by itself: %v", w.out.Err())
	}
	if _, err := fmt.Sscanf(w.out.Text(), "%s %q %q", &number, &kind, &why); err != nil {
		w.t.Fatalf("the writing process says %q: %v", w.out.Text(), err)
	}
	return number, kind, why
}

// A commit of the embedded store is two syncs: of the pages, then of the page that makes them count. After the second has failed the
// ticket may well be there, so its writer may not be told that it failed.
func TestACommitWhoseSyncFailsIsUnknown(t *testing.T) {
	there := map[bool]int{}
	for nth := 1; nth <= 4; nth++ {
		p := newPlace(t, freshFile(t))
		w := startChild(t, p.at, p.keyDir, single)
		if !w.out.Scan() || w.out.Text() != "ready" {
			t.Fatalf("the writing process says %q", w.out.Text())
		}
		FailSync(t, w.cmd.Process, nth)
		var doubtful string
		for range 40 { // by then some thread has had its nth sync
			number, kind, why := w.ask()
			if kind == "" {
				w.said = append(w.said, number)
				continue
			}
			if kind != fault.Unknown || !strings.Contains(why, "idempotency key") {
				t.Errorf("sync %d: kind %q: %s", nth, kind, why)
			}
			doubtful = number
			break
		}
		if doubtful == "" {
			t.Fatalf("sync %d: every one of %d tickets was acknowledged", nth, len(w.said))
		}
		if _, kind, why := w.ask(); kind != fault.Unavailable || !strings.Contains(why, "restart") {
			t.Errorf("after a failed sync: kind %q: %s", kind, why)
		}
		w.kill()
		if lost := missing(t, p.at, p.keys, w.said); lost != nil {
			t.Errorf("sync %d: lost %q", nth, lost)
		}
		kept := missing(t, p.at, p.keys, []string{doubtful}) == nil
		there[kept]++
		t.Logf("sync %d: %d acknowledged, then one unknown, which is there: %v", nth, len(w.said), kept)
	}
	if there[true] == 0 {
		t.Error("no ticket of unknown outcome is there: the second sync was never the one that failed")
	}
}

// fillUp files tickets until the disk is full, gives room, and files on until one is acknowledged; then all that were must be there.
func fillUp(t *testing.T, p place, engine store.Engine, free func(), revive func() error) {
	t.Helper()
	db, err := store.Open(t.Context(), engine, store.Options{Keys: p.keys, Kinds: TicketKinds()})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	file := func(number string) error {
		_, err := fileTicket(t.Context(), db, number)
		if err == nil {
			said = append(said, number)
		} else if kind := fault.Of(err); kind != fault.Unavailable && kind != fault.Unknown {
			t.Fatalf("kind %q: %v", kind, err)
		}
		return err
	}
	for i := 0; err == nil; i++ {
		err = file(fmt.Sprintf("full-%d", i))
	}
	if fault.Of(err) == fault.Unavailable && !errors.Is(err, fault.ErrFull) && !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("nobody can tell that the disk is full from %v", err)
	}
	t.Logf("%d tickets, then %q: %v", len(said), fault.Of(err), err)
	for i := range 3 {
		if again := file(fmt.Sprintf("still full-%d", i)); again != nil {
			err = again
		}
	}
	free()
	if err := revive(); err != nil {
		t.Fatal(err)
	}
	n := 0
	eventually(t, "a ticket is filed once there is room", func() bool {
		n++
		return file(fmt.Sprintf("room-%d", n)) == nil
	})
	if err := engine.Close(); err != nil {
		t.Error(err)
	}
	if lost := missing(t, p.at, p.keys, said); lost != nil {
		t.Errorf("of %d acknowledged tickets %d are lost: %q", len(said), len(lost), lost)
	}
}

func TestAFullDiskIsSaidAndWaitedOut(t *testing.T) {
	t.Run("bolt", func(t *testing.T) {
		dir := SmallDisk(t, 8<<20)
		p := newPlace(t, filepath.Join(dir, "store.db"))
		free := Fill(t, dir, 1<<20)
		engine, err := bolt.Open(p.at, bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Close()
		fillUp(t, p, engine, func() {
			if problems := engine.Unsafe(t.Context()); len(problems) != 1 || !strings.Contains(problems[0], "disk is full") {
				t.Errorf("Unsafe says %q", problems)
			}
			free()
		}, func() error { return nil })
	})
	t.Run("postgres", func(t *testing.T) {
		pgtest.URL(t) // says so when there is no PostgreSQL
		dir := SmallDisk(t, 192<<20)
		server, err := pgtest.StartServer(dir, pgtest.Durable, "max_wal_size=32MB", "min_wal_size=32MB")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Stop)
		p := newPlace(t, server.URL())
		free := Fill(t, dir, 2<<20)
		engine, err := postgres.Open(t.Context(), p.at, postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Close()
		fillUp(t, p, engine, free, func() error { // a server that found no room for its log has ended
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			return server.Restart(ctx)
		})
	})
}
