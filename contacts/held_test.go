package contacts

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// A file is read as often as a person needs, and lies nowhere in plain or under a name.
func TestAHeldFileIsReadAgainAndAgain(t *testing.T) {
	dir := t.TempDir()
	b := &Book{Spool: dir}
	const line = "Acme,ann@acme.example\n"
	text := strings.Repeat(line, 10_000)
	h, err := b.Hold(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if h.Size() != int64(len(text)) {
		t.Errorf("%d bytes, not %d", h.Size(), len(text))
	}
	for range 3 {
		r, err := h.Read()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != text {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("the file has a name: %v, %v", names, err)
	}
	if _, err := h.spool.file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if raw, err := io.ReadAll(h.spool.file); err != nil || bytes.Contains(raw, []byte("acme")) {
		t.Errorf("it lies in plain on the disk (%v)", err)
	}
	h.Close()
	if _, err := h.Read(); err == nil {
		t.Error("it is read after it was given up")
	}
	broken := errors.New("the line broke")
	if _, err := b.Hold(io.MultiReader(strings.NewReader(line), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("half a file is held: %v", err)
	}
}
