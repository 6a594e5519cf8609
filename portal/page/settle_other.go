//go:build !linux

package page

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// settle returns when everything under dir is on disk.
func settle(root *os.Root, dir string) error {
	return fs.WalkDir(root.FS(), dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() && !e.Type().IsRegular() {
			return err
		}
		f, err := root.Open(filepath.FromSlash(name))
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
