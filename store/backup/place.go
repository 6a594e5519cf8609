package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeline/store/fault"
)

// Place is where backups lie. Files are written once: Put refuses a name that exists with fault.Exists.
type Place interface {
	// Put keeps f whole or not at all, and, where the place can, unremovable until a time.
	Put(ctx context.Context, name string, f *os.File, until time.Time) error
	Get(ctx context.Context, name string) (io.ReadCloser, error) // fault.NotFound
	List(ctx context.Context) ([]string, error)
	Remove(ctx context.Context, name string) error
	String() string
}

// Dir is a directory; "another place" may be a mounted one.
type Dir string

var _ Place = Dir("")

func (d Dir) String() string { return string(d) }

// Put implements Place. A file that was made in the directory itself is only given its name; the bytes must be on disk already.
func (d Dir) Put(_ context.Context, name string, f *os.File, _ time.Time) (err error) {
	doing := func(err error) error { return fmt.Errorf("put %s into %s: %w", name, d, err) }
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return doing(err)
	}
	from := f.Name()
	if filepath.Dir(from) != filepath.Clean(string(d)) {
		if from, err = d.copy(f); err != nil {
			return doing(err)
		}
		defer os.Remove(from)
	}
	if err := os.Chmod(from, 0o400); err != nil {
		return doing(err)
	}
	// A link, unlike a rename, refuses to replace what stands.
	if err := os.Link(from, filepath.Join(string(d), name)); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fault.New(fault.Exists, "%s holds a %s already: does another process back up to it?", d, name)
		}
		return doing(err)
	}
	return d.sync()
}

func (d Dir) copy(f *os.File) (path string, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	tmp, err := d.staging()
	if err != nil {
		return "", err
	}
	if _, err = io.Copy(tmp, f); err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		os.Remove(tmp.Name())
	}
	return tmp.Name(), err
}

const stagingPrefix = ".unfinished-"

// staging opens a new file that List does not show.
func (d Dir) staging() (*os.File, error) {
	return os.OpenFile(filepath.Join(string(d), stagingPrefix+rand.Text()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// sweep removes what runs that were killed left behind.
func (d Dir) sweep(before time.Time) {
	left, _ := filepath.Glob(filepath.Join(string(d), stagingPrefix+"*"))
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && info.ModTime().Before(before) {
			os.Remove(path)
		}
	}
}

func (d Dir) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Get implements Place.
func (d Dir) Get(_ context.Context, name string) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(string(d), filepath.Base(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "%s has no %s", d, name)
	}
	return f, err
}

// List implements Place.
func (d Dir) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Remove implements Place.
func (d Dir) Remove(_ context.Context, name string) error {
	if err := os.Remove(filepath.Join(string(d), filepath.Base(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.sync()
}

// putBytes puts a small file.
func putBytes(ctx context.Context, p Place, name string, content []byte, until time.Time) error {
	dir := os.TempDir()
	if d, ok := p.(Dir); ok {
		if dir = filepath.Clean(string(d)); os.MkdirAll(dir, 0o700) != nil {
			dir = os.TempDir()
		}
	}
	tmp, err := Dir(dir).staging()
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if _, err := io.Copy(tmp, bytes.NewReader(content)); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	return p.Put(ctx, name, tmp, until)
}
