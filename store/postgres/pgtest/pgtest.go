// Package pgtest starts a private, real PostgreSQL for tests, the bench and the stories.
//
// Tests of one process share a server ([URL]), each with a database of its own. The server listens on a unix socket in a
// directory of its own, and nowhere else. It ends, and its files go, when the process that started it ends, however that
// happens. Its commits are not synced unless [Durable] asks for it, so it is for tests only.
//
// LIFELINE_TEST_POSTGRES names a server to use instead. LIFELINE_TEST_NO_POSTGRES=1 skips the tests that need one,
// loudly; without it a missing PostgreSQL fails them.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// shared is the server of this process, or why there is none.
var shared = sync.OnceValues(func() (string, error) {
	if given := os.Getenv("LIFELINE_TEST_POSTGRES"); given != "" {
		return given, nil
	}
	url, stop, err := Start("") // it ends with the process
	held = stop
	return url, err
})

// held keeps the shared server's tether reachable: the garbage collector would close it, and that ends the server.
var held func()

// URL is that of a fresh, empty database, which is dropped when the test ends. Its server is one for the whole process, and does not sync.
func URL(t testing.TB) string {
	t.Helper()
	skipWithout(t)
	server, err := shared()
	if err != nil {
		t.Fatalf("PostgreSQL is needed (install it, name one in LIFELINE_TEST_POSTGRES, or set LIFELINE_TEST_NO_POSTGRES=1 to go without): %v", err)
	}
	return On(t, server)
}

func skipWithout(t testing.TB) {
	t.Helper()
	if os.Getenv("LIFELINE_TEST_NO_POSTGRES") == "1" {
		fmt.Fprintf(os.Stderr, "\n*** NOT TESTED ON POSTGRESQL (LIFELINE_TEST_NO_POSTGRES=1): %s ***\n", t.Name())
		t.Skip("not tested on PostgreSQL: LIFELINE_TEST_NO_POSTGRES=1")
	}
}

// On is URL on a server of the test's own, such as one that is [Durable]; "": there is none, as where nothing is tested on PostgreSQL.
func On(t testing.TB, server string) string {
	t.Helper()
	skipWithout(t)
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "" {
		t.Fatalf("LIFELINE_TEST_POSTGRES must be a postgres:// URL")
	}
	name := "lifeline_test_" + strings.ToLower(rand.Text())
	if err := execute(server, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("make a test database: %v", err)
	}
	t.Cleanup(func() {
		if err := execute(server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test database: %v", err)
		}
	})
	u.Path = "/" + name
	return u.String()
}

func execute(server, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// Setting is a line of postgresql.conf.
type Setting string

// Durable syncs every commit as a real server does, for figures and for tests of what survives.
const Durable Setting = "fsync=on"

// Start runs a new server with its files under dir ("": a temporary directory) and says how to reach its database "postgres".
// stop ends it and removes the files; both also happen when this process ends. As root the server runs as the user
// postgres, who must be able to reach dir.
func Start(dir string, settings ...Setting) (url string, stop func(), err error) {
	s, err := StartServer(dir, settings...)
	if err != nil {
		return "", nil, err
	}
	return s.URL(), s.Stop, nil
}

// StartServer is Start for tests that also kill the server.
func StartServer(dir string, settings ...Setting) (*Server, error) {
	s := &Server{}
	if err := s.start(dir, s.initdb, settings); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s, nil
}

// Server is one that was started here.
type Server struct {
	bin     string              // where initdb and postgres lie
	base    string              // its files
	sockets string              // its socket; a path of at most 107 bytes, so not under a deep dir
	as      *syscall.Credential // whom it runs as, since it refuses root; nil: as ourselves
	keeper  *exec.Cmd
	tether  *os.File // the keeper reads its other end
	once    sync.Once
}

// findBin finds the directory of initdb and postgres: that of the PATH, else Debian's newest.
func findBin() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), "postgres")); err == nil {
				return filepath.Dir(path), nil
			}
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("neither the PATH nor /usr/lib/postgresql/*/bin has initdb (Debian: apt-get install postgresql)")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	return filepath.Dir(found[0]), nil
}

func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("find a user to run as: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

// own makes a directory that belongs to whom the server runs as.
func (s *Server) own(dir string) (string, error) {
	path, err := os.MkdirTemp(dir, "lifeline-pg-")
	if err == nil && s.as != nil {
		err = os.Chown(path, int(s.as.Uid), int(s.as.Gid))
	}
	return path, err
}

// keep is what the keeper does: it runs the server until the tether ends, which the kernel sees to however this process ends. A line
// on the tether asks for a server that is gone to be started again.
const keep = `run() { "$bin" -D "$base/data" -k "$sockets" -c listen_addresses= "${settings[@]}" >>"$base/log" 2>&1 </dev/null & }
bin=$1 base=$2 sockets=$3 settings=("${@:4}")
run
while read -r _; do
	kill -0 $! 2>/dev/null || run
done
kill -INT $!
wait $!
rm -rf "$2" "$3"`

// start makes the server's files under dir and runs it on them.
func (s *Server) start(dir string, data func() error, settings []Setting) (err error) {
	if s.bin, err = findBin(); err != nil {
		return err
	}
	if s.as, err = unprivileged(); err != nil {
		return err
	}
	if s.base, err = s.own(dir); err != nil {
		return err
	}
	if s.sockets, err = s.own("/tmp"); err != nil {
		return err
	}
	if err := data(); err != nil {
		return err
	}
	if err := s.run(settings); err != nil {
		return err
	}
	if err := s.await(); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.base, "log"))
		return fmt.Errorf("%w: %s", err, log)
	}
	return nil
}

func (s *Server) initdb() error {
	return s.program("initdb", "-D", filepath.Join(s.base, "data"), "-U", "postgres", "-A", "trust",
		"-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
}

// program runs one of the server's programs as whom the server runs as.
func (s *Server) program(name string, args ...string) error {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.sockets
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func (s *Server) run(settings []Setting) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	args := []string{"-c", keep, "keeper", filepath.Join(s.bin, "postgres"), s.base, s.sockets}
	for _, set := range append([]Setting{"max_connections=400", "shared_buffers=128MB", "max_wal_size=4GB", "fsync=off"}, settings...) {
		args = append(args, "-c", string(set)) // the last one of a name counts
	}
	keeper := exec.Command("bash", args...)
	keeper.Dir = s.sockets
	keeper.Stdin = read
	// A group of its own: an interrupt at the terminal ends the tests first, and the server by the tether.
	keeper.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true}
	if err := keeper.Start(); err != nil {
		write.Close()
		return err
	}
	s.keeper, s.tether = keeper, write
	return nil
}

// URL is that of the database "postgres".
func (s *Server) URL() string {
	return "postgres://postgres@/postgres?" + url.Values{"host": {s.sockets}}.Encode()
}

// await returns once the server answers.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
}

// Kill ends the postmaster as SIGKILL does: nothing is flushed, no client is told, and its children end by themselves.
func (s *Server) Kill() error {
	pid, err := s.postmaster()
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// Shut ends the server in order, as its administrator does for work that was planned: clients are sent away, and what was written is with its
// standbys before it is gone.
func (s *Server) Shut() error {
	pid, err := s.postmaster()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := s.postmaster(); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		<-tick.C
	}
}

func (s *Server) postmaster() (int, error) {
	file, err := os.ReadFile(filepath.Join(s.base, "data", "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("end PostgreSQL: %w", err)
	}
	first, _, _ := strings.Cut(string(file), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("end PostgreSQL: postmaster.pid begins with %q", first)
	}
	return pid, nil
}

// Restart starts a server that was killed or has ended, and returns once it has recovered and answers. The children of the one before
// may hold it up for a moment.
func (s *Server) Restart(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := s.tether.WriteString("\n"); err != nil {
			return fmt.Errorf("restart PostgreSQL: %w", err)
		}
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("restart PostgreSQL: %w", err)
		}
	}
}

// Stop ends the server and removes its files.
func (s *Server) Stop() {
	s.once.Do(func() {
		if s.keeper != nil {
			s.tether.Close()
			_ = s.keeper.Wait()
		}
		for _, dir := range []string{s.base, s.sockets} { // what the keeper may not remove when dir is not its own
			if dir != "" {
				os.RemoveAll(dir)
			}
		}
	})
}
