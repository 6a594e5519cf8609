// Package blob keeps files of any size as ordinary records, so that whatever is true of records is true of files: they are sealed, backed up,
// restored, re-sealed by new keys and moved between engines like everything else, and no second place has to be looked after.
//
// A blob is a head and chunks of at most [ChunkSize] bytes. It is written in several transactions ([Upload]) and belongs to nobody until
// the transaction of the record that it belongs to takes it ([Loose.Keep]); what nobody took within a day is swept ([Sweep]). A blob never
// changes. Its SHA-256 is kept beside it and proved by whoever reads it to the end.
//
// Names and types are text to this package: it never makes a path or a decision of them.
package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

const (
	// ChunkSize is how many bytes of a file one record holds: sealed, with its base64, it stays below 256 KiB.
	ChunkSize = 190 << 10
	// batch is how many chunks one transaction writes, and one transaction of a sweep removes.
	batch      = 4
	sweepBatch = 64
	// LooseFor is how long an upload may wait to be kept.
	LooseFor = 24 * time.Hour
)

// Head is what is known of a file beside its bytes.
type Head struct {
	Of     string    `json:"of"` // id of the record that it belongs to; "" while it is loose
	Name   string    `json:"name"`
	Type   string    `json:"type"`
	Size   int64     `json:"size"`
	Sum    string    `json:"sum"` // SHA-256, hexadecimal
	Chunks int       `json:"chunks"`
	Made   time.Time `json:"made"`

	State string    `json:"state,omitempty"` // in the words of the room that keeps it
	Note  string    `json:"note,omitempty"`  // why it has that state
	Lane  string    `json:"lane,omitempty"`  // what is still to be done with it, for who claims it
	Due   time.Time `json:"due,omitzero"`    // when, by wall time; zero: nothing
}

// chunk is a part of a file. Its id is the blob's and the part's number, both in the seal: no chunk can stand in another's place.
type chunk struct {
	Blob string `json:"blob"`
	Data []byte `json:"data"`
}

var heads = store.Table[Head]{
	Kind: store.Kind{Name: "blob", Prefix: "blb", Schema: 1, Leased: true, Indexes: []store.Index{
		{Name: "of", Fields: []store.Field{{Name: "of", Type: store.Text}, {Name: "at", Type: store.Time}}},
		{Name: "loose", Fields: []store.Field{{Name: "at", Type: store.Time}}},
	}},
	Tuples: func(h Head) store.Tuples {
		if h.Of == "" {
			return store.Tuples{"loose": {h.Made}}
		}
		return store.Tuples{"of": {h.Of, h.Made}}
	},
	Due: func(h Head) (string, time.Time) { return h.Lane, h.Due },
}

var chunks = store.Table[chunk]{Kind: store.Kind{Name: "chunk", Prefix: "chk", Schema: 1, Composed: true, Large: true}}

// Kinds lists the records that files are made of.
func Kinds() []store.Kind { return []store.Kind{heads.Kind, chunks.Kind} }

// Owners is whose the records are: a head's are those of the kinds that files hang on, a chunk is its head's.
func Owners(kinds ...string) map[string]store.Owner {
	return map[string]store.Owner{
		heads.Name:  {Field: "of", Kinds: kinds},
		chunks.Name: {Field: "blob", Kinds: []string{heads.Name}},
	}
}

func chunkPrefix(blob string) string {
	return chunks.Prefix + "_" + strings.TrimPrefix(blob, heads.Prefix+"_") + "_"
}

func chunkID(blob string, n int) string { return fmt.Sprintf("%s%06d", chunkPrefix(blob), n) }

// Upload is a file on its way in.
type Upload struct {
	Name, Type string
	From       io.Reader
	Max        int64 // bytes; a longer file is fault.TooLarge
}

// Loose is a file that is written and belongs to nobody yet.
type Loose struct {
	Head
	meta store.Meta
}

// ID is the id under which it can be read once it is kept.
func (l Loose) ID() string { return l.meta.ID }

// Put writes a file to its end, a few chunks a transaction, with constant memory. On an error nothing of it can be kept, and what was
// written is swept.
func Put(ctx context.Context, db *store.DB, u Upload) (Loose, error) {
	l := Loose{Head: Head{Name: u.Name, Type: u.Type}, meta: store.Meta{ID: heads.NewID()}}
	sum := sha256.New()
	from := io.TeeReader(io.LimitReader(u.From, u.Max+1), sum)
	for end := false; !end; {
		var parts [][]byte
		for len(parts) < batch && !end {
			part := make([]byte, ChunkSize)
			n, err := io.ReadFull(from, part)
			end = err == io.EOF || err == io.ErrUnexpectedEOF
			if err != nil && !end {
				return l, fmt.Errorf("read a file: %w", err)
			}
			if n > 0 {
				parts = append(parts, part[:n])
				l.Size += int64(n)
			}
		}
		if l.Size > u.Max {
			return l, fault.New(fault.TooLarge, "the file is larger than %s", Bytes(u.Max))
		}
		if end {
			l.Sum = hex.EncodeToString(sum.Sum(nil))
		}
		if err := l.write(ctx, db, parts); err != nil {
			return l, fmt.Errorf("keep a file: %w", err)
		}
	}
	return l, nil
}

// write adds parts: with the first of them the head, by which a sweep finds them, and with the last what makes it whole.
func (l *Loose) write(ctx context.Context, db *store.DB, parts [][]byte) error {
	now := *l
	err := db.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		now = *l
		for _, part := range parts {
			if err := chunks.PutKnown(tx, store.Meta{ID: chunkID(l.meta.ID, now.Chunks)}, chunk{l.meta.ID, part}); err != nil {
				return err
			}
			now.Chunks++
		}
		if l.meta.Version > 0 && l.Sum == "" {
			return nil
		}
		if l.meta.Version == 0 {
			now.Made = tx.Now()
		}
		now.meta.Version, now.meta.Created = l.meta.Version+1, now.Made
		return heads.PutKnown(tx, l.meta, now.Head)
	})
	if err == nil {
		*l = now
	}
	return err
}

// Find is a whole upload that nobody has kept yet.
func Find(tx *store.Tx, id string) (Loose, error) {
	h, m, err := heads.Get(tx, id)
	if err == nil && (h.Of != "" || h.Sum == "") {
		err = fault.New(fault.NotFound, "there is no upload %.80q", id)
	}
	return Loose{h, m}, err
}

// Keep makes it a file of the record of, in the transaction that writes that record. It reads nothing. When the sweep was faster, a day
// later, the transaction fails.
func (l Loose) Keep(tx *store.Tx, of string) error {
	h := l.Head
	h.Of = of
	return heads.PutKnown(tx, l.meta, h)
}

// Rec is a file that is kept.
type Rec = store.Rec[Head]

// Get reads what is known of a file that somebody keeps.
func Get(tx *store.Tx, id string) (Rec, error) {
	h, m, err := heads.Get(tx, id)
	if err == nil && h.Of == "" {
		err = fault.New(fault.NotFound, "there is no file %.80q", id)
	}
	return Rec{Meta: m, Value: h}, err
}

// Set writes what has become known of a file. Nothing that says what its bytes are can be changed.
func Set(tx *store.Tx, r Rec, h Head) error {
	was := r.Value
	h.Size, h.Sum, h.Chunks, h.Made = was.Size, was.Sum, was.Chunks, was.Made
	if h.Of == "" {
		return fmt.Errorf("file %s: it must stay somebody's", r.ID)
	}
	return heads.Put(tx, r.ID, h, r.Version)
}

// List reads the files of a record, oldest first.
func List(tx *store.Tx, of string) (all []Rec, err error) {
	for rec, err := range heads.Scan(tx, store.Query{Index: "of", Equal: []any{of}}) {
		if err != nil {
			return nil, err
		}
		all = append(all, rec)
	}
	return all, nil
}

// Claim leases files that are due in a lane. Who claimed one ends with Release, in the transaction that notes what was done.
func Claim(ctx context.Context, db *store.DB, lane, holder string, d time.Duration, limit int) ([]store.Meta, error) {
	return db.Claim(ctx, store.Lease{Kind: heads.Name, Lane: lane, Holder: holder, For: d, Limit: limit})
}

// Release gives a claimed file back, due when its head says.
func Release(tx *store.Tx, m store.Meta, holder string) error {
	return heads.Release(tx, m.ID, holder, m.Epoch)
}

// Renew lets the claim on a file last for d more from now.
func Renew(tx *store.Tx, m store.Meta, holder string, d time.Duration) error {
	return heads.Renew(tx, m.ID, holder, m.Epoch, d)
}

// RemoveAll removes all files of something for good.
func RemoveAll(tx *store.Tx, of string) error {
	all, err := List(tx, of)
	if err != nil {
		return err
	}
	for _, f := range all {
		if err := Remove(tx, f.ID); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes a file for good, with its chunks.
func Remove(tx *store.Tx, id string) error {
	_, m, err := heads.Get(tx, id)
	if err != nil {
		return err
	}
	for m, err := range chunks.ScanMeta(tx, store.Query{Prefix: chunkPrefix(id)}) {
		if err == nil {
			err = chunks.Delete(tx, m.ID, m.Version)
		}
		if err != nil {
			return err
		}
	}
	return heads.Delete(tx, id, m.Version)
}

// Discard removes an upload that nobody will keep, and leaves what it cannot remove to the sweep.
func (l Loose) Discard(ctx context.Context, db *store.DB) error {
	if l.meta.Version == 0 {
		return nil
	}
	return sweepOne(ctx, db, l.meta)
}

// Sweep removes at most limit uploads that nobody kept within LooseFor and says how many.
func Sweep(ctx context.Context, db *store.DB, limit int) (n int, err error) {
	var old []store.Meta
	err = db.View(ctx, func(tx *store.Tx) error {
		old = nil
		for m, err := range heads.ScanMeta(tx, store.Query{Index: "loose", To: tx.Now().Add(-LooseFor), Limit: limit}) {
			if err != nil {
				return err
			}
			old = append(old, m)
		}
		return nil
	})
	for _, m := range old {
		if err == nil {
			err = sweepOne(ctx, db, m)
		}
		if err == nil {
			n++
		}
	}
	if err != nil {
		return n, fmt.Errorf("sweep unfinished files: %w", err)
	}
	return n, nil
}

// sweepOne removes a loose file, its chunks first and a few at a time. The head's version guards them: once it was kept, nothing of it goes.
func sweepOne(ctx context.Context, db *store.DB, m store.Meta) error {
	for more := true; more; {
		err := db.Update(ctx, store.Act{}, func(tx *store.Tx) error {
			h, now, err := heads.Get(tx, m.ID)
			if fault.Of(err) == fault.NotFound || err == nil && (h.Of != "" || now.Version != m.Version) {
				more = false // another was faster
				return store.ErrNothing
			}
			if err != nil {
				return err
			}
			n := 0
			for c, err := range chunks.ScanMeta(tx, store.Query{Prefix: chunkPrefix(m.ID), Limit: sweepBatch}) {
				if err == nil {
					err = chunks.Delete(tx, c.ID, c.Version)
				}
				if err != nil {
					return err
				}
				n++
			}
			if more = n == sweepBatch; more {
				// Rewritten, so that who keeps it meanwhile collides with this.
				return heads.Put(tx, m.ID, h, now.Version)
			}
			return heads.Delete(tx, m.ID, now.Version)
		})
		if err != nil {
			return err
		}
		m.Version++
	}
	return nil
}

// Reader gives a file's bytes from first to last, one chunk in memory, each chunk read in a transaction of its own: who reads slowly keeps no
// snapshot open. Its end proves that the bytes are the ones that were written; else the last Read fails.
type Reader struct {
	ctx  context.Context
	db   *store.DB
	rec  Rec
	at   int
	size int64
	rest []byte
	sum  interface {
		io.Writer
		Sum([]byte) []byte
	}
}

// Open readies a file for reading.
func Open(ctx context.Context, db *store.DB, r Rec) *Reader {
	return &Reader{ctx: ctx, db: db, rec: r, sum: sha256.New()}
}

func (r *Reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.at == r.rec.Value.Chunks {
			return 0, r.end()
		}
		err := r.db.View(r.ctx, func(tx *store.Tx) error {
			c, _, err := chunks.Get(tx, chunkID(r.rec.ID, r.at))
			r.rest = c.Data
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("read file %s: %w", r.rec.ID, err)
		}
		r.at++
		r.size += int64(len(r.rest))
		r.sum.Write(r.rest)
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *Reader) end() error {
	if sum := hex.EncodeToString(r.sum.Sum(nil)); sum != r.rec.Value.Sum || r.size != r.rec.Value.Size {
		return fmt.Errorf("file %s is damaged: %d bytes with SHA-256 %s, not %d with %s", r.rec.ID, r.size, sum, r.rec.Value.Size, r.rec.Value.Sum)
	}
	return io.EOF
}

// ReadAll reads a file whole, which the caller knows to be small.
func ReadAll(ctx context.Context, db *store.DB, r Rec) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(r.Value.Size))
	_, err := b.ReadFrom(Open(ctx, db, r))
	return b.Bytes(), err
}

// Bytes says a number of bytes to people, in the largest unit that it fills.
func Bytes(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
