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

// untilRefused has a child of mode single file tickets until one is not acknowledged.
func (w *writer) untilRefused() (number string, kind fault.Kind, why string) {
	w.t.Helper()
	for range 40 {
		if number, kind, why = w.ask(); kind != "" {
			return number, kind, why
		}
		w.said = append(w.said, number)
	}
	w.t.Fatalf("every one of %d tickets was acknowledged", len(w.said))
	return "", "", ""
}

// onFailingSync starts a child whose nth sync fails.
func onFailingSync(t *testing.T, nth int, mode string) (place, *writer) {
	t.Helper()
	p := freshFile(t)
	w := startChild(t, p.at, p.keyDir, mode)
	w.ready()
	FailSync(t, w.cmd.Process, nth)
	return p, w
}

// A commit of the embedded store is two syncs: of the pages, then of the page that makes them count. After the second has failed the
// ticket may well be there, so its writer may not be told that it failed.
func TestACommitWhoseSyncFailsIsUnknown(t *testing.T) {
	there := map[bool]int{}
	for nth := 1; nth <= 4; nth++ {
		p, w := onFailingSync(t, nth, single)
		doubtful, kind, why := w.untilRefused() // when some thread has had its nth sync
		if kind != fault.Unknown || !strings.Contains(why, "idempotency key") {
			t.Errorf("sync %d: kind %q: %s", nth, kind, why)
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
	t.Run("which a store that does not hear of it loses", func(t *testing.T) {
		p, w := onFailingSync(t, 1, deaf)
		w.untilRefused()
		w.kill()
		if lost := missing(t, p.at, p.keys, w.said); lost == nil {
			t.Errorf("none of %d acknowledged tickets is lost", len(w.said))
		}
	})
}

// fillUp files tickets until the disk is full, gives room, and files on until one is acknowledged; then it closes the engine and says which of
// those that were are not there.
func fillUp(t *testing.T, p place, engine store.Engine, free func(), revive func() error) (said, lost []string) {
	t.Helper()
	db, err := store.Open(t.Context(), engine, store.Options{Keys: p.keys, Kinds: TicketKinds()})
	if err != nil {
		t.Fatal(err)
	}
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
		_ = file(fmt.Sprintf("still full-%d", i))
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
	return said, missing(t, p.at, p.keys, said)
}

// fillTwice fills a disk under a store that may lose nothing, then under one that does not hear of its failed commits and so must.
func fillTwice(t *testing.T, fresh func() (p place, engine store.Engine, free func()), revive func() error) {
	t.Helper()
	p, engine, free := fresh()
	if said, lost := fillUp(t, p, engine, free, revive); lost != nil {
		t.Errorf("of %d acknowledged tickets %d are lost: %q", len(said), len(lost), lost)
	}
	p, engine, free = fresh()
	if said, lost := fillUp(t, p, deafen(engine), free, revive); lost == nil {
		t.Errorf("none of %d acknowledged tickets is lost by a store that does not hear of failed commits", len(said))
	}
}

func TestAFullDiskIsSaidAndWaitedOut(t *testing.T) {
	t.Run("bolt", func(t *testing.T) {
		dir := SmallDisk(t, 8<<20)
		n := 0
		fillTwice(t, func() (place, store.Engine, func()) {
			n++
			p := newPlace(t, filepath.Join(dir, fmt.Sprintf("store%d.db", n)))
			free := Fill(t, dir, 256<<10)
			engine, err := bolt.Open(p.at, bolt.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { engine.Close() }) // should the test end before fillUp does
			return p, engine, func() {
				if problems := engine.Unsafe(t.Context()); len(problems) != 1 || !strings.Contains(problems[0], "disk is full") {
					t.Errorf("Unsafe says %q", problems)
				}
				free()
			}
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
		fillTwice(t, func() (place, store.Engine, func()) {
			p := newPlace(t, pgtest.On(t, server.URL()))
			return p, PostgresAt(t, p.at), Fill(t, dir, 1<<20)
		}, func() error { // a server that found no room for its log has ended
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			return server.Restart(ctx)
		})
	})
}
