package storetest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Faults of a disk, for the tests of every room.

// NotTested skips a test, loudly: what it would have shown, and what this machine lacks for it.
func NotTested(t testing.TB, what, why string) {
	t.Helper()
	fmt.Fprintf(os.Stderr, "\n*** NOT TESTED: %s (%s): %s ***\n", what, why, t.Name())
	t.Skip("not tested: " + what + ": " + why)
}

// FailSync makes the nth fdatasync of each of a process's threads fail with EIO, counted from now. When the test ends the process is killed,
// if it still runs; to wait for it is up to whoever started it.
func FailSync(t testing.TB, process *os.Process, nth int) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		NotTested(t, "a failing sync", "strace is missing (Debian: apt-get install strace)")
	}
	cmd := exec.Command(strace, "-f", "-o", "/dev/null", "-e", "trace=fdatasync",
		"-e", fmt.Sprintf("inject=fdatasync:error=EIO:when=%d", nth), "-p", fmt.Sprint(process.Pid))
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.Contains(lines.Text(), "attached") {
		_ = cmd.Wait()
		NotTested(t, "a failing sync", "strace says "+lines.Text())
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() { // threads that came later
		}
	}()
	t.Cleanup(func() {
		_ = process.Kill()
		<-read
		_ = cmd.Wait()
	})
}

// SmallDisk mounts a file system of so many bytes for the time of a test.
func SmallDisk(t testing.TB, size int) string {
	t.Helper()
	if os.Geteuid() != 0 {
		NotTested(t, "a full disk", "mounting a small file system needs root")
	}
	dir, err := os.MkdirTemp("/tmp", "lifeline-disk-")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0755", size)); err != nil {
		os.Remove(dir)
		NotTested(t, "a full disk", "mount: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
		os.Remove(dir)
	})
	return dir
}

// Fill takes all the room there is under dir, but for some bytes; the returned function gives it back.
func Fill(t testing.TB, dir string, leave int64) (free func()) {
	t.Helper()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	err := os.WriteFile(ballast, make([]byte, max(0, int64(stat.Bavail)*stat.Bsize-leave)), 0o600)
	if err != nil && !errors.Is(err, syscall.ENOSPC) { // somebody else was faster

		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
}
