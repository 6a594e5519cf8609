package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/bolt"
	"lifeline/store/fault"
	"lifeline/store/postgres"
	"lifeline/store/postgres/pgtest"
)

// What was acknowledged survives the death of the process that wrote it, or of the database server, at any moment. A child of this
// test files tickets and says on a pipe which were acknowledged; it, or the server, is killed under load; then every acknowledged ticket
// must be there whole, and every index row right. LIFELINE_CRASH=1 plays 200 rounds of each instead of 3.

const (
	childStore = "LIFELINE_CRASH_CHILD_STORE" // path of a file, or a postgres:// URL
	childKeys  = "LIFELINE_CRASH_CHILD_KEYS"
	childMode  = "LIFELINE_CRASH_CHILD_MODE"
)

// What a child does.
const (
	honest = "honest" // says so once a ticket is acknowledged
	hasty  = "hasty"  // says so before it asks for the commit: the control that must lose data
	single = "single" // files a ticket for each line that it reads, and says what came of it
	deaf   = "deaf"   // single, on a store that does not hear of its first failures: the control that must lose data
	first  = "first"  // honest, on a store and with keys that it makes if there are none
	mapped = "mapped" // no store: looks at a file through a mapping while it writes it
)

func TestMain(m *testing.M) {
	if at := os.Getenv(childStore); at != "" {
		if err := child(at, os.Getenv(childKeys), os.Getenv(childMode)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func openPlace(ctx context.Context, at string) (store.Engine, error) {
	if strings.HasPrefix(at, "postgres://") {
		return postgres.Open(ctx, at, postgres.Options{})
	}
	return bolt.Open(at, bolt.Options{})
}

// deafened is a store that answers its first failed commits as if they were durable, which every suite of failing commits must see.
type deafened struct {
	store.Engine
	left atomic.Int32
}

func deafen(e store.Engine) *deafened {
	d := &deafened{Engine: e}
	d.left.Store(3)
	return d
}

func (d *deafened) Update(ctx context.Context, fn func(store.Snapshot) (store.Writes, error)) error {
	err := d.Engine.Update(ctx, fn)
	if err != nil && d.left.Add(-1) >= 0 {
		return nil
	}
	return err
}

// start opens a store as the house does: at a first start it makes what there is not.
func start(ctx context.Context, at, keyDir, mode string) (*store.DB, error) {
	fresh := mode == first
	if fresh {
		if err := store.MakeDir(filepath.Dir(at)); err != nil {
			return nil, err
		}
	}
	engine, err := openPlace(ctx, at)
	if err != nil {
		return nil, err
	}
	if mode == deaf {
		engine = deafen(engine)
	}
	if fresh {
		if fresh, err = store.Fresh(ctx, engine); err != nil {
			return nil, errors.Join(err, engine.Close())
		}
	}
	keys, err := store.OpenKeys(keyDir, fresh)
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	db, err := store.Open(ctx, engine, store.Options{Keys: keys, Kinds: TicketKinds()})
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return db, nil
}

// child is the process that is killed.
func child(at, keyDir, mode string) error {
	ctx := context.Background()
	if mode == mapped {
		return writeMapped(at)
	}
	db, err := start(ctx, at, keyDir, mode)
	if err != nil {
		return err
	}
	run := store.NewSuffix()
	if mode == single || mode == deaf {
		fmt.Println("ready")
		in := bufio.NewScanner(os.Stdin)
		for i := 0; in.Scan(); i++ {
			number := fmt.Sprintf("%s-%d", run, i)
			_, err := fileTicket(ctx, db, number)
			fmt.Printf("%s %q %q\n", number, fault.Of(err), fmt.Sprint(err))
		}
		return in.Err()
	}
	const writers = 16
	failed := make(chan error, writers)
	for n := range writers {
		go func() {
			for i := 0; ; i++ {
				number := fmt.Sprintf("%s-%d-%d", run, n, i)
				if mode == hasty {
					fmt.Println("filed", number)
				}
				_, err := fileTicket(ctx, db, number)
				switch kind := fault.Of(err); {
				case err == nil && mode != hasty:
					fmt.Println("filed", number) // one write of less than a pipe's atomic size
				case err != nil && kind != fault.Unavailable && kind != fault.Unknown:
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// writer is a child at work, seen from its parent.
type writer struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	said []string // numbers of tickets that it said were acknowledged
	ends bool     // it may end by itself, with an error
}

func startChild(t *testing.T, at, keyDir, mode string) *writer {
	t.Helper()
	w := &writer{t: t, cmd: exec.Command(os.Args[0])}
	w.cmd.Env = append(os.Environ(), childStore+"="+at, childKeys+"="+keyDir, childMode+"="+mode)
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err == nil {
		w.in, err = w.cmd.StdinPipe()
	}
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	w.out = bufio.NewScanner(out)
	t.Cleanup(func() { w.kill() })
	return w
}

// hear waits until the child has said n more acknowledgements.
func (w *writer) hear(n int) {
	w.t.Helper()
	for range n {
		if !w.out.Scan() {
			w.t.Fatalf("the writing process ended by itself after %d acknowledgements: %v", len(w.said), w.out.Err())
		}
		w.note()
	}
}

func (w *writer) note() {
	number, ok := strings.CutPrefix(w.out.Text(), "filed ")
	if !ok {
		if !w.ends {
			w.t.Errorf("the writing process says %q", w.out.Text())
		}
		return
	}
	w.said = append(w.said, number)
}

// kill ends the child at once, and hears what it had said until then.
func (w *writer) kill() {
	if w.cmd.ProcessState != nil {
		return
	}
	_ = w.cmd.Process.Kill()
	for w.out.Scan() {
		w.note()
	}
	_ = w.cmd.Wait()
}

// missing opens the place as the next process would, names the acknowledged tickets that it lacks, and fails the test when anything in it
// is half.
func missing(t *testing.T, at string, keys *store.Keys, said []string) (lost []string) {
	t.Helper()
	engine, err := openPlace(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	db, err := store.Open(t.Context(), engine, store.Options{Keys: keys, Kinds: TicketKinds()})
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range Check(engine, db.Declared()) {
		t.Errorf("the store is not consistent: %s", problem)
	}
	// All in one view: the database may still be ending a commit that the killed process had asked for.
	err = db.View(t.Context(), func(tx *store.Tx) error {
		acts := map[string]int{}
		rows, _, err := store.AuditRows(tx, store.Query{})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Value.Verb == "ticket.file" && len(row.Value.On) == 1 {
				acts[row.Value.On[0]]++
			}
		}
		for _, number := range said {
			rec, err := tickets.First(tx, store.Query{Index: "number", Equal: []any{number}})
			switch {
			case errors.Is(err, store.ErrNotFound):
				lost = append(lost, number)
			case err != nil:
				return err
			case rec.Value.Number != number || rec.Value.Text != ticketText:
				t.Errorf("ticket %s reads %+v", number, rec.Value)
			}
		}
		n := 0
		for rec, err := range tickets.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			n++
			ours := store.Query{Index: "ticket", Equal: []any{rec.ID}}
			due, err1 := promises.Count(tx, ours)
			told, err2 := notices.Count(tx, ours)
			if due != 1 || told != 1 || acts[rec.ID] != 1 || err1 != nil || err2 != nil {
				t.Errorf("ticket %s has %d deadlines, %d notices, %d audit rows: %v", rec.Value.Number, due, told, acts[rec.ID], errors.Join(err1, err2))
			}
		}
		for kind, count := range map[string]func(*store.Tx, store.Query) (int, error){"deadlines": promises.Count, "notices": notices.Count} {
			if all, err := count(tx, store.Query{}); all != n || err != nil {
				t.Errorf("%d tickets but %d %s: %v", n, all, kind, err)
			}
		}
		if len(acts) != n {
			t.Errorf("%d tickets but audit rows of %d", n, len(acts))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lost
}

// place is a store to crash. Its keys lie beside it.
type place struct {
	at, keyDir string
	keys       *store.Keys
}

func newPlace(t *testing.T, at string) place {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	keys, err := store.OpenKeys(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	p := place{at, dir, keys}
	missing(t, at, keys, nil) // readies it
	return p
}

func rounds() int {
	if os.Getenv("LIFELINE_CRASH") == "1" {
		return 200
	}
	return 3
}

// perPlace bounds how large a store grows over the rounds, since each round looks at all of it.
const perPlace = 10

// crashRounds kills the writing process in every round, after disturb has had its way while it writes. It ends with the first round that lost
// anything.
func crashRounds(t *testing.T, rounds int, fresh func(*testing.T) place, mode string, disturb func()) (said int, lost []string) {
	t.Helper()
	var p place
	round := 0
	for ; round < rounds && len(lost) == 0 && !t.Failed(); round++ {
		if round%perPlace == 0 {
			p = fresh(t)
		}
		w := startChild(t, p.at, p.keyDir, mode)
		w.hear(20 + rand.IntN(100))
		if disturb != nil {
			disturb()
			w.hear(20 + rand.IntN(100)) // and the service has resumed
		}
		w.kill()
		said, lost = said+len(w.said), missing(t, p.at, p.keys, w.said)
	}
	t.Logf("%d rounds: %d acknowledged, %d lost", round, said, len(lost))
	return said, lost
}

// survives is crashRounds of what may lose nothing.
func survives(t *testing.T, fresh func(*testing.T) place, disturb func()) {
	t.Helper()
	if said, lost := crashRounds(t, rounds(), fresh, honest, disturb); len(lost) > 0 {
		t.Errorf("of %d acknowledged tickets %d are lost: %q", said, len(lost), lost)
	}
}

// seesLoss is crashRounds of what must lose something, sooner or later: a suite that cannot see a loss proves nothing.
func seesLoss(t *testing.T, fresh func(*testing.T) place, mode string, disturb func()) {
	t.Helper()
	if said, lost := crashRounds(t, 20, fresh, mode, disturb); len(lost) == 0 {
		t.Errorf("none of %d acknowledged tickets is lost", said)
	}
}

func freshFile(t *testing.T) place { return newPlace(t, filepath.Join(t.TempDir(), "store.db")) }

func freshDatabase(t *testing.T) place { return newPlace(t, pgtest.URL(t)) }

func TestWhatWasAcknowledgedSurvivesAKilledProcess(t *testing.T) {
	t.Run("bolt", func(t *testing.T) { survives(t, freshFile, nil) })
	t.Run("postgres", func(t *testing.T) { survives(t, freshDatabase, nil) })
}

func TestACrashSuiteSeesWhatIsAcknowledgedTooEarly(t *testing.T) {
	t.Run("bolt", func(t *testing.T) { seesLoss(t, freshFile, hasty, nil) })
	t.Run("postgres", func(t *testing.T) { seesLoss(t, freshDatabase, hasty, nil) })
}

// killedServer gives fresh places on a server of their own, and what kills that server and starts it again.
func killedServer(t *testing.T, settings ...pgtest.Setting) (fresh func(*testing.T) place, disturb func()) {
	pgtest.URL(t) // says so when there is no PostgreSQL
	var server *pgtest.Server
	return func(t *testing.T) place {
			if server != nil {
				server.Stop()
			}
			var err error
			if server, err = pgtest.StartServer("", append(settings, pgtest.Durable)...); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Stop)
			return newPlace(t, server.URL())
		}, func() {
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := server.Restart(ctx); err != nil {
				t.Fatal(err)
			}
		}
}

func TestWhatWasAcknowledgedSurvivesAKilledServer(t *testing.T) {
	fresh, disturb := killedServer(t)
	survives(t, fresh, disturb)
}

// A server that acknowledges what it has not written keeps the last page of its log in its own memory: a few tickets, at three kills of four.
func TestACrashSuiteSeesAServerThatDoesNotSync(t *testing.T) {
	fresh, disturb := killedServer(t, "wal_writer_delay=10s")
	seesLoss(t, func(t *testing.T) place {
		p := fresh(t)
		p.at += "&options=-c%20synchronous_commit%3Doff" // what readied the place is synced
		return p
	}, honest, disturb)
}
