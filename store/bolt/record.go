package bolt

import (
	"encoding/binary"
	"fmt"
	"time"

	"lifeline/store"
)

// A record's value is a header of varints and counted strings, then the sealed body. Times are microseconds, 0 when zero.

const format = 1

func encode(r store.Raw) []byte {
	out := make([]byte, 0, 96+len(r.Body))
	out = append(out, format)
	out = binary.AppendVarint(out, r.Version)
	for _, t := range []time.Time{r.Created, r.Updated, r.Deleted, r.Due} {
		out = binary.AppendVarint(out, micro(t))
	}
	out = binary.AppendVarint(out, r.Epoch)
	out = appendBytes(out, []byte(r.Lane))
	out = appendBytes(out, []byte(r.Holder))
	out = binary.AppendUvarint(out, uint64(len(r.Tuples)))
	for _, t := range r.Tuples {
		if t == nil {
			out = append(out, 0)
			continue
		}
		out = append(out, 1)
		out = appendBytes(out, t)
	}
	if r.Body == nil {
		return append(out, 0)
	}
	return append(append(out, 1), r.Body...)
}

func appendBytes(out, b []byte) []byte {
	return append(binary.AppendUvarint(out, uint64(len(b))), b...)
}

// micro is 0 for no time, and never 0 for a time: from 1970 on it counts from 1.
func micro(t time.Time) int64 {
	n := t.UnixMicro()
	switch {
	case t.IsZero():
		return 0
	case n >= 0:
		return n + 1
	}
	return n
}

func fromMicro(n int64) time.Time {
	switch {
	case n == 0:
		return time.Time{}
	case n > 0:
		n--
	}
	return time.UnixMicro(n).UTC()
}

// decode shares memory with v, which the transaction owns: its body and tuples die with the transaction.
func decode(id string, v []byte) (r store.Raw, err error) {
	d := decoder{rest: v}
	if f := d.byte(); f != format {
		return r, fmt.Errorf("record %s has format %d; this binary knows %d", id, f, format)
	}
	r.ID = id
	r.Version = d.varint()
	r.Created, r.Updated = fromMicro(d.varint()), fromMicro(d.varint())
	r.Deleted, r.Due = fromMicro(d.varint()), fromMicro(d.varint())
	r.Epoch = d.varint()
	r.Lane, r.Holder = string(d.bytes()), string(d.bytes())
	if n := d.uvarint(); n > 0 && n < 256 {
		r.Tuples = make([][]byte, n)
		for i := range r.Tuples {
			if d.byte() == 1 {
				r.Tuples[i] = d.bytes()
			}
		}
	}
	if d.byte() == 1 {
		r.Body = d.rest
	}
	if d.bad {
		return r, fmt.Errorf("record %s is damaged", id)
	}
	return r, nil
}

type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.bad = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
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

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.bad = true
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}
