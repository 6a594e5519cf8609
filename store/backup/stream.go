package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"lifeline/store"
)

// A backup's content, inside zstd inside age, is a line that names the format and then frames: a letter, the length of what follows, and
// that. H is the header (JSON), K begins a kind (its name), R is a record of it, E is the end (JSON). A stream without its end was
// cut. Numbers are varints, times 0 for none or 1 and microseconds, and a
// field that can be absent is its length plus one, or 0.

const (
	magic     = "lifeline backup 1\n"
	mostFrame = 64 << 20
)

// header opens the stream.
type header struct {
	Instance string       `json:"instance"`
	Taken    time.Time    `json:"taken"`
	Kinds    []store.Kind `json:"kinds"`
}

// ending closes it.
type ending struct {
	Counts map[string]int `json:"counts"`
}

type streamWriter struct {
	w      *bufio.Writer
	buf    []byte
	counts map[string]int
	kind   string
}

func newStreamWriter(w io.Writer, h header) (*streamWriter, error) {
	s := &streamWriter{w: bufio.NewWriterSize(w, 1<<16), counts: map[string]int{}}
	if _, err := s.w.WriteString(magic); err != nil {
		return nil, err
	}
	return s, s.json('H', h)
}

func (s *streamWriter) frame(letter byte, payload []byte) error {
	head := binary.AppendUvarint([]byte{letter}, uint64(len(payload)))
	if _, err := s.w.Write(head); err != nil {
		return err
	}
	_, err := s.w.Write(payload)
	return err
}

func (s *streamWriter) json(letter byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.frame(letter, b)
}

func (s *streamWriter) begin(kind string) error {
	s.kind, s.counts[kind] = kind, 0
	return s.frame('K', []byte(kind))
}

// record writes one record and says how many bytes it took.
func (s *streamWriter) record(raw store.Raw) (int, error) {
	s.buf = appendRecord(s.buf[:0], raw)
	if len(s.buf) > mostFrame {
		return 0, fmt.Errorf("%s %s is larger than %d bytes", s.kind, raw.ID, mostFrame)
	}
	s.counts[s.kind]++
	return len(s.buf), s.frame('R', s.buf)
}

func (s *streamWriter) end() error {
	if err := s.json('E', ending{s.counts}); err != nil {
		return err
	}
	return s.w.Flush()
}

// contentSum is a digest of what records hold: ids, versions, times, tuples and sealed bodies. Leases are left out, since a restore ends them,
// and so is the record that says which store it is.
type contentSum struct {
	sum  hash.Hash
	buf  []byte
	skip bool
}

func newContentSum() *contentSum { return &contentSum{sum: sha256.New()} }

func (c *contentSum) begin(kind string) {
	c.buf = appendBytes(append(c.buf[:0], 'K'), []byte(kind))
	c.sum.Write(c.buf)
	c.skip = kind == "instance"
}

func (c *contentSum) record(raw store.Raw) {
	if c.skip {
		return
	}
	raw.Lane, raw.Due, raw.Holder, raw.Epoch = "", time.Time{}, "", 0
	c.buf = appendRecord(append(c.buf[:0], 'R'), raw)
	c.sum.Write(c.buf)
}

func (c *contentSum) String() string { return hex.EncodeToString(c.sum.Sum(nil)) }

func appendRecord(out []byte, r store.Raw) []byte {
	out = appendBytes(out, []byte(r.ID))
	out = binary.AppendVarint(out, r.Version)
	for _, t := range []time.Time{r.Created, r.Updated, r.Deleted, r.Due} {
		out = appendTime(out, t)
	}
	out = binary.AppendVarint(out, r.Epoch)
	out = appendBytes(out, []byte(r.Lane))
	out = appendBytes(out, []byte(r.Holder))
	out = binary.AppendUvarint(out, uint64(len(r.Tuples)))
	for _, t := range r.Tuples {
		out = appendOptional(out, t)
	}
	return appendOptional(out, r.Body)
}

func appendBytes(out, b []byte) []byte {
	return append(binary.AppendUvarint(out, uint64(len(b))), b...)
}

func appendOptional(out, b []byte) []byte {
	if b == nil {
		return append(out, 0)
	}
	return append(binary.AppendUvarint(out, uint64(len(b))+1), b...)
}

func appendTime(out []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(out, 0)
	}
	return binary.AppendVarint(append(out, 1), t.UnixMicro())
}

var errDamaged = errors.New("a record in the backup is damaged")

// readRecord shares memory with b.
func readRecord(b []byte) (r store.Raw, err error) {
	d := decoder{rest: b}
	r.ID = string(d.bytes())
	r.Version = d.varint()
	r.Created, r.Updated, r.Deleted, r.Due = d.time(), d.time(), d.time(), d.time()
	r.Epoch = d.varint()
	r.Lane, r.Holder = string(d.bytes()), string(d.bytes())
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		return r, errDamaged
	}
	if n > 0 {
		r.Tuples = make([][]byte, n)
	}
	for i := range r.Tuples {
		r.Tuples[i] = d.optional()
	}
	r.Body = d.optional()
	if d.bad || len(d.rest) > 0 {
		return r, errDamaged
	}
	return r, nil
}

type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) varint() int64 {
	n, used := binary.Varint(d.rest)
	if used <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[used:]
	return n
}

func (d *decoder) uvarint() uint64 {
	n, used := binary.Uvarint(d.rest)
	if used <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[used:]
	return n
}

func (d *decoder) time() time.Time {
	if d.uvarint() == 0 {
		return time.Time{}
	}
	return time.UnixMicro(d.varint()).UTC()
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.bad = true
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) bytes() []byte { return d.take(d.uvarint()) }

func (d *decoder) optional() []byte {
	n := d.uvarint()
	if n == 0 {
		return nil
	}
	return d.take(n - 1)
}

// readStream hands each record of a stream to fn, whose memory is the record's own, and returns what the end says once it has
// compared it with what was read.
func readStream(r io.Reader, begin func(header) error, fn func(k store.Kind, raw store.Raw) error) (h header, counts map[string]int, err error) {
	br := bufio.NewReaderSize(r, 1<<16)
	first := make([]byte, len(magic))
	if _, err := io.ReadFull(br, first); err != nil {
		return h, nil, fmt.Errorf("read the backup: %w", err)
	}
	if string(first) != magic {
		return h, nil, errors.New("this is no backup that this Lifeline can read")
	}
	kinds := map[string]store.Kind{}
	counts = map[string]int{}
	var kind *store.Kind
	for n := 0; ; n++ {
		letter, payload, err := readFrame(br)
		if err != nil {
			return h, counts, fmt.Errorf("read the backup: %w", err)
		}
		switch {
		case (letter == 'H') != (n == 0):
			return h, counts, errors.New("the backup's header is not where it should be")
		case letter == 'H':
			if err := json.Unmarshal(payload, &h); err != nil {
				return h, counts, fmt.Errorf("read the backup's header: %w", err)
			}
			for _, k := range h.Kinds {
				kinds[k.Name] = k
			}
			if err := begin(h); err != nil {
				return h, counts, err
			}
		case letter == 'K':
			k, ok := kinds[string(payload)]
			if _, twice := counts[k.Name]; !ok || twice {
				return h, counts, fmt.Errorf("the backup's kind %.40q is not in its header, or comes twice", payload)
			}
			kind, counts[k.Name] = &k, 0
		case letter == 'R' && kind != nil:
			raw, err := readRecord(payload)
			if err != nil {
				return h, counts, err
			}
			counts[kind.Name]++
			if err := fn(*kind, raw); err != nil {
				return h, counts, err
			}
		case letter == 'E':
			var e ending
			if err := json.Unmarshal(payload, &e); err != nil {
				return h, counts, fmt.Errorf("read the backup's end: %w", err)
			}
			if _, err := br.ReadByte(); err != io.EOF {
				return h, counts, errors.New("the backup goes on behind its end")
			}
			return h, counts, sameCounts(counts, e.Counts)
		default:
			return h, counts, fmt.Errorf("the backup has a frame %q out of place", letter)
		}
	}
}

func sameCounts(got, want map[string]int) error {
	for kind := range want {
		if got[kind] != want[kind] {
			return fmt.Errorf("the backup has %d records of kind %s where it promises %d", got[kind], kind, want[kind])
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("the backup has %d kinds where it promises %d", len(got), len(want))
	}
	return nil
}

func readFrame(br *bufio.Reader) (letter byte, payload []byte, err error) {
	if letter, err = br.ReadByte(); err != nil {
		return 0, nil, eof(err)
	}
	n, err := binary.ReadUvarint(br)
	if err != nil {
		return 0, nil, eof(err)
	}
	if n > mostFrame {
		return 0, nil, errDamaged
	}
	if n <= 1<<16 {
		payload = make([]byte, n)
		_, err = io.ReadFull(br, payload)
		return letter, payload, eof(err)
	}
	payload, err = io.ReadAll(io.LimitReader(br, int64(n))) // memory for what is there, not for what is claimed
	if err == nil && uint64(len(payload)) < n {
		err = io.ErrUnexpectedEOF
	}
	return letter, payload, err
}

// eof: a stream must not end before its end frame.
func eof(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
