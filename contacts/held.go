package contacts

import (
	"fmt"
	"io"

	"filippo.io/age"
)

// Held is a file that waits for a person's word before it is imported: sealed with a key that only this process has, under no name, and gone
// with the process. It is read by one at a time.
type Held struct {
	spool  *spool
	sealed bool
	size   int64
}

// Hold takes a whole file. Close gives its room back.
func (b *Book) Hold(r io.Reader) (*Held, error) {
	s, err := newSpool(b.Spool)
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(s, r)
	if err != nil {
		s.close()
		return nil, err
	}
	return &Held{spool: s, size: n}, nil
}

// Read reads the file from its beginning.
func (h *Held) Read() (io.Reader, error) {
	if !h.sealed {
		h.sealed = true
		return h.spool.again()
	}
	if _, err := h.spool.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the file again: %w", err)
	}
	return age.Decrypt(h.spool.file, h.spool.key)
}

// Size is in bytes.
func (h *Held) Size() int64 { return h.size }

// Close forgets the file.
func (h *Held) Close() { h.spool.close() }
