package storetest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Storage is a server that speaks S3.
type Storage struct {
	Addr, Region, Access, Secret string
}

// S3 starts versitygw, which keeps versions and locks as the protocol says, on a port of the loopback, until the test ends. Where it is not installed the
// test is skipped, loudly.
func S3(t testing.TB) Storage {
	t.Helper()
	bin := os.Getenv("LIFELINE_TEST_VERSITYGW")
	if bin == "" {
		var err error
		if bin, err = exec.LookPath("versitygw"); err != nil {
			fmt.Fprintf(os.Stderr, "\n*** NOT TESTED ON S3: %s needs versitygw (go install github.com/versity/versitygw/cmd/versitygw@v1.8.0, or its path in LIFELINE_TEST_VERSITYGW) ***\n", t.Name())
			t.Skip("not tested on S3: no versitygw")
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	root, versions := t.TempDir(), t.TempDir()
	var out bytes.Buffer
	s := Storage{Addr: addr, Region: "us-east-1", Access: "writer", Secret: "writer-secret"}
	cmd := exec.Command(bin, "--access", s.Access, "--secret", s.Secret, "--port", addr, "posix", "--versioning-dir", versions, root)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return s
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("versitygw does not listen: %s", out.String())
		}
	}
}
