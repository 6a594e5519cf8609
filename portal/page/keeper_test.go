package page

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/comms"
)

// shelf stands for the store: an edition, what is public, and what goes wrong.
type shelf struct {
	edition atomic.Int64
	public  atomic.Pointer[comms.Public]
	broken  atomic.Pointer[error]
}

func (s *shelf) publish(p comms.Public) {
	s.public.Store(&p)
	s.edition.Store(p.Edition)
}

func (s *shelf) keeper(t *testing.T, dir string) *Keeper {
	return &Keeper{
		Press: samplePress(t, dir), Server: &Server{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Edition: func(context.Context) (int64, error) { return s.edition.Load(), nil },
		Public: func(context.Context) (comms.Public, error) {
			if err := s.broken.Load(); err != nil && *err != nil {
				return comms.Public{}, *err
			}
			return *s.public.Load(), nil
		},
	}
}

func TestKeeperFollowsTheStore(t *testing.T) {
	var s shelf
	s.publish(sampleEmpty())
	dir := filepath.Join(t.TempDir(), "page")
	k := s.keeper(t, dir)
	wake := make(chan struct{}, 1)
	k.Wake, k.Poll = wake, time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	until(t, func() bool { return k.State().Written == 1 })

	s.publish(sampleRecovery())
	wake <- struct{}{}
	until(t, func() bool { st := k.State(); return st.Shown == 7 && st.Written == 7 })
	if !k.Server.Shown().Has("/incidents/" + sampleID) {
		t.Error("the incident is not shown")
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
}

func TestKeeperKeepsTheLastGoodPage(t *testing.T) {
	var s shelf
	s.publish(sampleEmpty())
	k := s.keeper(t, filepath.Join(t.TempDir(), "page"))
	ctx := context.Background()
	k.Turn(ctx)
	good := k.Server.Shown()
	if good == nil || k.State().LastError != "" {
		t.Fatalf("no first page: %+v", k.State())
	}

	broken := sampleRecovery()
	broken.Incidents[0].ID = "../../etc"
	s.publish(broken)
	k.Turn(ctx)
	if st := k.State(); k.Server.Shown() != good || st.Wanted != 7 || st.Shown != 1 || st.Failures != 1 || !strings.Contains(st.LastError, "etc") {
		t.Errorf("after a page that cannot be rendered: %+v", st)
	}
	trouble := errors.New("the store is gone")
	s.broken.Store(&trouble)
	k.Turn(ctx)
	if st := k.State(); k.Server.Shown() != good || st.Failures != 2 {
		t.Errorf("after a store that does not answer: %+v", st)
	}
	s.broken.Store(nil)
	s.publish(sampleRecovery())
	k.Turn(ctx)
	if st := k.State(); st.Shown != 7 || st.LastError != "" || k.Server.Shown() == good {
		t.Errorf("after it came back: %+v", st)
	}
}

func TestKeeperShowsWhatItCannotWrite(t *testing.T) {
	var s shelf
	s.publish(sampleRecovery())
	dir := t.TempDir()
	put(t, dir, "theirs", "x")
	k := s.keeper(t, dir)
	k.Turn(context.Background())
	st := k.State()
	if st.Shown != 7 || st.Written != 0 || !strings.Contains(st.LastError, "theirs") {
		t.Errorf("%+v", st)
	}
	if err := os.Remove(filepath.Join(dir, "theirs")); err != nil {
		t.Fatal(err)
	}
	k.Turn(context.Background())
	if st := k.State(); st.Written != 7 || st.LastError != "" || st.Renders != 1 {
		t.Errorf("after the directory was emptied: %+v", st)
	}
}

// A promise that passes changes the page although nothing was published.
func TestKeeperSaysWhenAPromiseIsLate(t *testing.T) {
	var s shelf
	s.publish(sampleRecovery())
	k := s.keeper(t, "")
	now := tenth.Add(4 * time.Minute)
	k.Press.Now = func() time.Time { return now }
	k.Turn(context.Background())
	late := k.Press.Words.Catalog("en").T("page.next_overdue")
	if strings.Contains(pageText(t, k.Server.Shown(), "/en/"), late) {
		t.Error("the page says late before the time")
	}
	now = tenth.Add(3*time.Hour + time.Minute)
	p := sampleRecovery()
	p.AsOf = now
	s.publish(p)
	k.Turn(context.Background())
	if !strings.Contains(pageText(t, k.Server.Shown(), "/en/"), late) {
		t.Error("the page does not say that the promised update is late")
	}
	if n := k.State().Renders; n != 2 {
		t.Errorf("rendered %d times, want 2", n)
	}
	k.Turn(context.Background())
	if n := k.State().Renders; n != 2 {
		t.Errorf("rendered %d times for nothing", n)
	}
}

// until waits for what another goroutine does.
func until(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline.C:
			t.Fatal("it did not happen within 10 s")
		case <-tick.C:
		}
	}
}

// Writing a copy of thousands of files takes a slow disk long: readers of the page itself wait for none of it.
func TestAWordIsShownWhileTheCopyOfTheOneBeforeIsWritten(t *testing.T) {
	var s shelf
	s.publish(sampleEmpty())
	k := s.keeper(t, filepath.Join(t.TempDir(), "page"))
	wake, begun, goOn := make(chan struct{}, 1), make(chan struct{}, 9), make(chan struct{})
	k.Wake, k.Poll = wake, time.Hour
	k.Press.Sign = func([]byte) []byte {
		begun <- struct{}{}
		<-goOn
		return []byte("signed")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	<-begun
	s.publish(sampleRecovery())
	wake <- struct{}{}
	until(t, func() bool { return k.State().Shown == 7 })
	if n := k.State().Written; n != 0 {
		t.Errorf("edition %d is on disk, and its copy is not finished", n)
	}
	cancel()
	close(goOn)
	<-done
	if n := k.State().Written; n != 7 {
		t.Errorf("edition %d is on disk when the process ends, want the one that was shown last", n)
	}
	if n := len(begun); n != 1 {
		t.Errorf("%d more copies were written, want the newest alone", n)
	}
}
