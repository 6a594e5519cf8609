package page

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// settle returns when everything under dir is on disk, with whatever else its file system has to write (syncfs(2)). A release is thousands of files, and a call for each of them,
// with a turn of the journal each, takes a busy disk minutes.
func settle(root *os.Root, dir string) error {
	d, err := root.Open(filepath.FromSlash(dir))
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}
