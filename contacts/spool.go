package contacts

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	"filippo.io/age"
)

// spool keeps a file while it is read a first time, for the second. It is sealed with a key that only this process ever holds, and its name
// is gone as soon as it is open, so that nothing readable stays behind, whatever happens.
type spool struct {
	file   *os.File
	key    *age.X25519Identity
	sealed io.WriteCloser
	sum    hash.Hash
	size   int64
	ended  bool // nothing more is written
}

// newSpool makes a spool in a directory; "": the system's for temporary files.
func newSpool(dir string) (s *spool, err error) {
	s = &spool{sum: sha256.New()}
	if s.file, err = os.CreateTemp(dir, "import-*"); err != nil {
		return nil, fmt.Errorf("keep the file while it is read: %w", err)
	}
	if err = os.Remove(s.file.Name()); err == nil {
		if s.key, err = age.GenerateX25519Identity(); err == nil {
			s.sealed, err = age.Encrypt(s.file, s.key.Recipient())
		}
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("keep the file while it is read: %w", err)
	}
	return s, nil
}

// Write implements io.Writer.
func (s *spool) Write(b []byte) (int, error) {
	s.sum.Write(b)
	s.size += int64(len(b))
	return s.sealed.Write(b)
}

// again ends the writing and reads from the beginning, as often as it is asked; who read before does not go on.
func (s *spool) again() (io.Reader, error) {
	if !s.ended {
		s.ended = true
		if err := s.sealed.Close(); err != nil {
			return nil, fmt.Errorf("keep the file while it is read: %w", err)
		}
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the file again: %w", err)
	}
	return age.Decrypt(s.file, s.key)
}

// digest binds every byte of the file.
func (s *spool) digest() string { return hex.EncodeToString(s.sum.Sum(nil)) }

func (s *spool) close() { _ = s.file.Close() }
