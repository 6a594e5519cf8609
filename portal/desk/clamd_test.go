package desk_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lifeline/portal/desk"
	"lifeline/store/fault"
)

// eicar is the file that every scanner finds (https://www.eicar.org), in two parts so that none finds it here.
const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-` + `STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

// scanner speaks as clamd does: zINSTREAM, then pieces behind their length in network order, one of length 0 at the end.
type scanner struct {
	t     *testing.T
	mu    sync.Mutex
	most  int    // StreamMaxLength
	says  string // instead of a verdict
	asked int
}

// serve answers until the test ends.
func (s *scanner) serve(network, address string) string {
	s.t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		s.t.Fatal(err)
	}
	var open sync.WaitGroup
	s.t.Cleanup(func() {
		l.Close()
		open.Wait()
	})
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				fmt.Fprintf(conn, "%s\x00", s.answer(conn))
			})
		}
	})
	return l.Addr().String()
}

func (s *scanner) answer(conn net.Conn) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	r := bufio.NewReader(conn)
	if command, err := r.ReadString(0); err != nil || command != "zINSTREAM\x00" {
		s.t.Errorf("the command is %q: %v", command, err)
		return "UNKNOWN COMMAND"
	}
	var file bytes.Buffer
	for {
		var n uint32
		if err := binary.Read(r, binary.BigEndian, &n); err != nil {
			s.t.Errorf("the stream broke off behind %d bytes: %v", file.Len(), err)
			return "stream: ERROR"
		}
		if n == 0 {
			break
		}
		if file.Len()+int(n) > s.most {
			return "INSTREAM size limit exceeded. ERROR"
		}
		if _, err := io.CopyN(&file, r, int64(n)); err != nil {
			s.t.Errorf("a piece of %d bytes: %v", n, err)
		}
	}
	switch {
	case s.says != "":
		return s.says
	case strings.Contains(file.String(), eicar):
		return "stream: Eicar-Signature FOUND"
	}
	return "stream: OK"
}

// Until a scanner has looked at a file nobody gets it; one that carries malware nobody gets at all; when the scanner is away files wait for it.
func TestAFileWaitsUntilAScannerHasLooked(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		s := &scanner{t: c.T, most: 1 << 20}
		c.Policy.Files.Clamd = "unix:" + s.serve("unix", filepath.Join(t.TempDir(), "clamd"))
		files := c.Receive("203.0.113.1")
		for name, content := range map[string]string{"good.txt": strings.Repeat("good words ", 20_000), "bad.txt": eicar, "long.txt": strings.Repeat("x", 1<<20+1)} {
			if err := files.Add(ctx, name, strings.NewReader(content)); err != nil {
				c.Fatal(err)
			}
		}
		receipt, err := c.File(ctx, "public:test", desk.Intake{Message: "three files", Email: "ann@acme.example", Files: files})
		if err != nil {
			c.Fatal(err)
		}
		state := func() (all map[string]desk.Attachment) {
			c.Helper()
			v, err := c.Open(ctx, receipt.Number, receipt.Secret)
			if err != nil {
				c.Fatal(err)
			}
			all = map[string]desk.Attachment{}
			for _, a := range v.FilesOf(v.Messages[0]) {
				all[a.Name] = a
			}
			return all
		}
		given := func(a desk.Attachment) string {
			c.Helper()
			r, err := c.Bytes(ctx, a)
			if err != nil {
				return string(fault.Of(err))
			}
			content, err := io.ReadAll(r)
			if err != nil || len(content) != int(a.Size) {
				c.Errorf("%s: %d bytes: %v", a.Name, len(content), err)
			}
			return "given"
		}
		for name, a := range state() {
			if a.State != desk.FileWaiting || given(a) != string(fault.Conflict) || a.Picture() {
				c.Errorf("%s is %s before anybody looked, and %s", name, a.State, given(a))
			}
		}
		s.says = "stream: cannot allocate memory ERROR"
		if n, err := c.CheckFiles(ctx, "a"); n != 3 || err != nil {
			c.Fatalf("took up %d: %v", n, err)
		}
		if n, err := c.CheckFiles(ctx, "a"); n != 0 || err != nil {
			c.Fatalf("at once again: %d, %v", n, err)
		}
		for name, a := range state() {
			if a.Name != "long.txt" && a.State != desk.FileWaiting {
				c.Errorf("%s is %s though the scanner failed", name, a.State)
			}
		}
	})
	onBolt(t, func(c counter) {
		ctx := context.Background()
		s := &scanner{t: c.T, most: 1 << 20}
		c.Policy.Files.Clamd = s.serve("tcp", "127.0.0.1:0")
		files := c.Receive("")
		for _, f := range [][2]string{{"good.txt", strings.Repeat("good words ", 20_000)}, {"bad.txt", eicar}, {"long.txt", strings.Repeat("x", 1<<20+1)}} {
			if err := files.Add(ctx, f[0], strings.NewReader(f[1])); err != nil {
				c.Fatal(err)
			}
		}
		receipt, err := c.File(ctx, "public:test", desk.Intake{Message: "three files", Email: "ann@acme.example", Files: files})
		if err != nil {
			c.Fatal(err)
		}
		if n, err := c.CheckFiles(ctx, "a"); n != 3 || err != nil || s.asked != 3 {
			c.Fatalf("took up %d, asked %d times: %v", n, s.asked, err)
		}
		v, err := c.Ticket(ctx, receipt.Number)
		if err != nil {
			c.Fatal(err)
		}
		for i, want := range []struct{ state, note string }{{desk.FileClean, ""}, {desk.FileInfected, "Eicar-Signature"}, {desk.FileUnchecked, "larger than the scanner takes"}} {
			a := v.FilesOf(v.Messages[0])[i]
			_, err := c.Bytes(ctx, a)
			if a.State != want.state || a.Note != want.note || (err == nil) == (want.state == desk.FileInfected) {
				c.Errorf("%s is %s (%s), and is given: %v", a.Name, a.State, a.Note, err)
			}
		}
		if n, err := c.CheckFiles(ctx, "b"); n != 0 || err != nil {
			c.Errorf("what was looked at is taken up again: %d, %v", n, err)
		}
	})
}

func TestTheAddressOfAScanner(t *testing.T) {
	for address, ok := range map[string]bool{"": true, "127.0.0.1:3310": true, "[::1]:3310": true, "unix:/run/clamd": true, "unix:": false, "clamd": false, "host:": false} {
		p := desk.DefaultPolicy()
		p.Files.Clamd = address
		if err := p.Check(); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}
