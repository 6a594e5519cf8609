package pgtest

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const childEnv = "LIFELINE_PGTEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	at, _, err := Start("")
	if err != nil {
		os.Stdout.WriteString("error " + err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString(at + "\n")
	select {} // until it is killed
}

func TestTheServerEndsWithTheProcessThatStartedIt(t *testing.T) {
	URL(t) // says so when there is no PostgreSQL
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	at, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(at, "postgres://") {
		t.Fatalf("%q, %v", at, err)
	}
	u, err := url.Parse(strings.TrimSpace(at))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	wantGone(t, u.Query().Get("host"))
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("the server lives on")
	}
}

func wantGone(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s is still there", dir)
		}
	}
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	one, two := URL(t), URL(t)
	for _, at := range []string{one, two} {
		if err := execute(at, "CREATE TABLE same (id int)"); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestStopRemovesTheFiles(t *testing.T) {
	URL(t)
	dir, err := os.MkdirTemp("/tmp", "lifeline-pgtest-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, stop, err := Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	stop()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestAKilledServerComesBackWithItsData(t *testing.T) {
	URL(t)
	s, err := StartServer("")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if err := execute(s.URL(), "CREATE TABLE kept (id int)"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := s.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := execute(s.URL(), "SELECT * FROM kept"); err != nil {
			t.Fatal(err)
		}
	}
	s.Stop()
	wantGone(t, s.base)
}

func TestAStandbyTakesOverWithWhatItHasHeard(t *testing.T) {
	URL(t)
	primary, err := StartServer("")
	if err != nil {
		t.Fatal(err)
	}
	defer primary.Stop()
	standby, err := primary.Standby()
	if err != nil {
		t.Fatal(err)
	}
	defer standby.Stop()
	if err := primary.Synchronous(); err != nil {
		t.Fatal(err)
	}
	either := Either(standby, primary)
	if err := execute(either, "CREATE TABLE kept (id int)"); err != nil {
		t.Fatal(err)
	}
	if err := execute(standby.URL(), "INSERT INTO kept VALUES (1)"); err == nil {
		t.Error("a standby takes writes")
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := execute(either, "INSERT INTO kept VALUES (1)"); err == nil {
		t.Error("somebody takes writes though the primary is gone")
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	if err := execute(either, "INSERT INTO kept VALUES (1)"); err != nil {
		t.Error(err)
	}
}
