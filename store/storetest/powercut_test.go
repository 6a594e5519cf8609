package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeline/store/fault"
)

// What was acknowledged survives a power cut. The writing process keeps its store on a volatile disk; the power is cut in the middle of a
// commit, the disk forgets what was not synced, and the store must open and show every acknowledged ticket whole. LIFELINE_CRASH=1 plays
// more rounds.

// writeMapped is a check of the volatile disk itself: bbolt writes a file with pwrite and reads it through a mapping, so the two must
// always agree.
func writeMapped(path string) error {
	const size = 1 << 20
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		return err
	}
	view, err := syscall.Mmap(int(file.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	want := make([]byte, size)
	for i := range 300 {
		piece := bytes.Repeat([]byte{byte(i)}, 1+rand.IntN(3*4096))
		at := rand.IntN(size - len(piece))
		copy(want[at:], piece)
		if _, err := file.WriteAt(piece, int64(at)); err != nil {
			return err
		}
		if i%10 == 0 {
			if err := syscall.Fdatasync(int(file.Fd())); err != nil {
				return err
			}
		}
		if !bytes.Equal(view, want) {
			return fmt.Errorf("after write %d the mapping does not show what was written", i)
		}
	}
	fmt.Println("filed all")
	return nil
}

func TestTheVolatileDiskIsADisk(t *testing.T) {
	v := newVolatile(t)
	unmount := v.mount()
	w := startChild(t, filepath.Join(v.at, "file"), "", mapped)
	w.hear(1)
	w.kill()
	unmount()
	live := func() []byte { return v.nodes[1].names["file"].live }
	written := bytes.Clone(live())
	if v.lose(losses[0]) == 0 {
		t.Error("everything was synced")
	}
	if v.nodes[1].names["file"] != nil {
		t.Error("a name that was not synced survived")
	}
	n := v.nodes[2]
	if len(n.live) != len(written) || bytes.Equal(n.live, written) || bytes.Equal(n.live, make([]byte, len(written))) {
		t.Error("of the file survived all or nothing, but it was synced in between")
	}
}

func cutRounds() int {
	if os.Getenv("LIFELINE_CRASH") == "1" {
		return 200
	}
	return len(losses)
}

// awaitCut returns once the power is cut, and has ended the process that it was cut for.
func (v *volatile) awaitCut(w *writer) {
	v.t.Helper()
	select {
	case <-v.cut:
	case <-time.After(time.Minute):
		v.t.Fatal("the power was never cut: the writing process stands still")
	}
	w.kill()
}

func TestWhatWasAcknowledgedSurvivesAPowerCut(t *testing.T) {
	said, unsynced := 0, 0
	var v *volatile
	var keyDir string
	for round := range cutRounds() {
		if round%perPlace == 0 {
			v, keyDir = newVolatile(t), filepath.Join(t.TempDir(), "keys")
			firstStart(t, v, keyDir)
		}
		l := losses[round%len(losses)]
		unmount := v.mount()
		w := startChild(t, filepath.Join(v.at, "store.db"), keyDir, honest)
		w.hear(20 + rand.IntN(60))
		v.cutWhen(after(rand.IntN(80)))
		v.awaitCut(w)
		unmount()
		unsynced += v.lose(l)
		said += len(w.said)
		if lost := v.missing(keyDir, w.said); lost != nil {
			t.Errorf("round %d, %s: of %d acknowledged tickets %d are lost: %q", round, l.name, len(w.said), len(lost), lost)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rounds: %d acknowledged, none lost; %d changes were not synced at the cuts", cutRounds(), said, unsynced)
	if unsynced == 0 {
		t.Error("the power was never cut between a write and its sync")
	}
}

// firstStart makes a store on the disk, and its keys elsewhere.
func firstStart(t *testing.T, v *volatile, keyDir string) {
	t.Helper()
	unmount := v.mount()
	defer unmount()
	w := startChild(t, filepath.Join(v.at, "store.db"), keyDir, first)
	w.hear(1)
	w.kill()
	v.lose(loss{keep: 1})
}

// missing looks at what the disk holds, on another disk.
func (v *volatile) missing(keyDir string, said []string) []string {
	v.t.Helper()
	dir := v.t.TempDir()
	if err := v.copyTo(dir); err != nil {
		v.t.Fatal(err)
	}
	db, err := start(v.t.Context(), filepath.Join(dir, "store.db"), keyDir, honest)
	if err != nil {
		v.t.Fatalf("the store does not open after the power cut: %v", err)
	}
	report, err := db.VerifyAudit(v.t.Context())
	if err != nil || len(report.Flaws) > 0 {
		v.t.Errorf("the audit log: %+v, %v", report, err)
	}
	keys := db.Keys()
	if err := db.Close(); err != nil {
		v.t.Fatal(err)
	}
	return missing(v.t, filepath.Join(dir, "store.db"), keys, said)
}

// A suite that cannot see a loss proves nothing: a disk that answers a sync without one is, to what is above it, a store that does not sync.
func TestAPowerCutSuiteSeesWhatWasNotSynced(t *testing.T) {
	v, keyDir := newVolatile(t), filepath.Join(t.TempDir(), "keys")
	firstStart(t, v, keyDir)
	v.lies = true
	unmount := v.mount()
	w := startChild(t, filepath.Join(v.at, "store.db"), keyDir, honest)
	w.hear(100)
	v.cutWhen(after(0))
	v.awaitCut(w)
	unmount()
	v.lose(losses[0])
	if lost := v.missing(keyDir, w.said); len(lost) == 0 {
		t.Errorf("none of %d tickets is lost whose syncs did nothing", len(w.said))
	}
}

// afterFirstStart says which tickets are missing after a first start that lost power, and fails the test when the next start does not
// come up as if nothing had been.
func (v *volatile) afterFirstStart(l loss, said []string) []string {
	v.t.Helper()
	v.lose(l)
	dir := v.t.TempDir()
	if err := v.copyTo(dir); err != nil {
		v.t.Fatal(err)
	}
	at, keyDir := filepath.Join(dir, "data", "store.db"), filepath.Join(dir, "keys")
	db, err := start(v.t.Context(), at, keyDir, first)
	if err != nil {
		v.t.Errorf("%s: the next start fails: %v", l.name, err)
		return said
	}
	keys := db.Keys()
	if err := db.Close(); err != nil {
		v.t.Fatal(err)
	}
	return missing(v.t, at, keys, said)
}

// The first start makes directories, keys and a store. Whenever the power is cut, the next one begins again or goes on, and loses nothing
// that was acknowledged meanwhile.
func TestAFirstStartSurvivesAPowerCut(t *testing.T) {
	cuts := []int{0, 8, 20, 60, 150}
	if os.Getenv("LIFELINE_CRASH") == "1" {
		cuts = cuts[:0]
		for n := range 200 {
			cuts = append(cuts, n)
		}
	}
	acknowledged := 0
	for i, n := range cuts {
		l := losses[(n+i)%len(losses)]
		v := newVolatile(t)
		unmount := v.mount()
		v.cutWhen(after(n))
		w := startChild(t, filepath.Join(v.at, "data", "store.db"), filepath.Join(v.at, "keys"), first)
		w.ends = true
		v.awaitCut(w)
		unmount()
		acknowledged += len(w.said)
		if lost := v.afterFirstStart(l, w.said); len(lost) > 0 {
			t.Errorf("cut after %d operations, %s: of %d acknowledged tickets %d are lost", n, l.name, len(w.said), len(lost))
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d first starts cut, %d tickets acknowledged before, none lost", len(cuts), acknowledged)
}

// A first start that is killed where it has given something its name, but not made the name last, leaves that to the next one.
func TestAStartMakesLastWhatAKilledOneHasNamed(t *testing.T) {
	for _, named := range []string{"rename to store.db", "rename to seal.json", "rename to blind.json"} {
		v := newVolatile(t)
		unmount := v.mount()
		v.late = false
		seen := false
		v.cutWhen(func(op string) bool {
			seen = seen || op == named
			return seen && strings.HasPrefix(op, "sync")
		})
		at, keyDir := filepath.Join(v.at, "data", "store.db"), filepath.Join(v.at, "keys")
		w := startChild(t, at, keyDir, first)
		w.ends = true
		v.awaitCut(w)
		v.power() // the process was killed, no more: what it wrote is still to be seen
		w = startChild(t, at, keyDir, first)
		w.hear(30)
		v.cutWhen(after(0))
		v.awaitCut(w)
		unmount()
		if lost := v.afterFirstStart(losses[0], w.said); len(lost) > 0 {
			t.Errorf("killed after %s: of %d tickets that the next start acknowledged %d are lost", named, len(w.said), len(lost))
		}
	}
}

// After a sync that failed, Linux takes the pages for clean: they are shown, and no later sync writes them. A store that was opened again
// tells those who ask once more what it shows, so that must last from then on.
func TestWhatIsShownAfterAFailedSyncLasts(t *testing.T) {
	shownOnce := false
	for nth := 1; nth <= 2; nth++ {
		v, keyDir := newVolatile(t), filepath.Join(t.TempDir(), "keys")
		firstStart(t, v, keyDir)
		unmount := v.mount()
		w := startChild(t, filepath.Join(v.at, "store.db"), keyDir, single)
		w.ready()
		v.mu.Lock()
		v.failing = nth
		v.mu.Unlock()
		number, kind, why := w.ask()
		if kind != fault.Unknown {
			t.Fatalf("sync %d: kind %q: %s", nth, kind, why)
		}
		w.kill()
		shown := v.missing(keyDir, []string{number}) == nil
		shownOnce = shownOnce || shown
		w = startChild(t, filepath.Join(v.at, "store.db"), keyDir, single)
		w.ready()
		w.ends = true
		v.cutWhen(after(0))
		fmt.Fprintln(w.in)
		v.awaitCut(w)
		unmount()
		v.lose(losses[0])
		if lost := v.missing(keyDir, []string{number}); shown && len(lost) > 0 {
			t.Errorf("sync %d: the store that was opened again showed a ticket that the power cut took", nth)
		}
	}
	if !shownOnce {
		t.Error("no failed sync left a ticket to be seen")
	}
}

// ready returns once a child of mode single has opened its store.
func (w *writer) ready() {
	w.t.Helper()
	if !w.out.Scan() || w.out.Text() != "ready" {
		w.t.Fatalf("the writing process says %q", w.out.Text())
	}
}
