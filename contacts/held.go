package contacts

import "io"

// Held is a file that is looked at before it is imported: sealed with a key that only this process has, under no name, and gone
// with the process. It is read by one at a time.
type Held struct {
	spool *spool
}

// Hold takes a whole file. Close gives its room back.
func (b *Book) Hold(r io.Reader) (*Held, error) {
	s, err := newSpool(b.Spool)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(s, r); err != nil {
		s.close()
		return nil, err
	}
	return &Held{spool: s}, nil
}

// Read reads the file from its beginning.
func (h *Held) Read() (io.Reader, error) { return h.spool.again() }

// Size is in bytes.
func (h *Held) Size() int64 { return h.spool.size }

// Close forgets the file.
func (h *Held) Close() { h.spool.close() }
