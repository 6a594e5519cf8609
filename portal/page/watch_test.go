package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A watch outside tells the true page from one that was altered, forged, put back or given up.
func TestAWatchOutsideSeesWhatIsWrong(t *testing.T) {
	sign := func(m []byte) []byte { s := sha256.Sum256(append([]byte("secret"), m...)); return s[:] }
	dir := filepath.Join(t.TempDir(), "page")
	press := samplePress(t, dir)
	press.Sign = sign
	now := press.Now()
	put := func() {
		t.Helper()
		e, err := press.Render(sampleRecovery())
		if err == nil {
			err = press.Write(e)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put()
	put()
	srv := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(dir, currentLink))))
	defer srv.Close()
	at := now
	w := Watch{URL: srv.URL + "/", Client: srv.Client(), Now: func() time.Time { return at }, Valid: func(m, s []byte) bool { return bytes.Equal(s, sign(m)) }}
	look := func(seen int, want error) Manifest {
		t.Helper()
		m, err := w.Look(context.Background(), seen)
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("the watch says %v, want %v", err, want)
		}
		return m
	}
	if m := look(1, nil); m.Release != 2 || len(m.Files) == 0 {
		t.Errorf("the watch saw number %d with %d files", m.Release, len(m.Files))
	}
	look(3, ErrOldPage)
	at = now.Add(3*Refresh + time.Second)
	look(2, ErrUnkept)
	at = now
	alter := func(name string) (mend func()) {
		t.Helper()
		full := filepath.Join(dir, currentLink, name)
		was, err := os.ReadFile(full)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, append(bytes.Clone(was), ' '), 0o644); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.WriteFile(full, was, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	mend := alter("ja/index.html")
	look(2, ErrAltered)
	mend()
	mend = alter(manifest)
	look(2, ErrUnsigned)
	mend()
	if err := os.Remove(filepath.Join(dir, currentLink, signed)); err != nil {
		t.Fatal(err)
	}
	look(2, ErrUnsigned)
}

// A page is written again every few minutes though nothing happens, so that a copy shows whether anybody still writes it.
func TestAQuietPageIsWrittenAgain(t *testing.T) {
	press := samplePress(t, "")
	now := tenth
	press.Now = func() time.Time { return now }
	e, err := press.Render(sampleEmpty())
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]bool{Refresh - time.Second: false, Refresh: true} {
		if now = tenth.Add(after); press.stale(e) != want {
			t.Errorf("after %s stale is %v", after, !want)
		}
	}
}
