package store

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"lifeline/store/fault"
)

// Tuples are encoded so that bytes order as values do, on both engines: text with its zero bytes escaped and an end mark, integers
// and microseconds big-endian with the sign bit flipped, so no field is a prefix of another and a tuple's leading
// fields are a prefix of it.

const maxText = 256

func (db *DB) encode(k Kind, ix Index, values []any) ([]byte, error) {
	return db.encodeAt(k, ix, values, db.keys.ring.Load().version())
}

// encodeAt encodes with a version of the blind indexes.
func (db *DB) encodeAt(k Kind, ix Index, values []any, version int) ([]byte, error) {
	if len(values) > len(ix.Fields) {
		return nil, fmt.Errorf("index %s of %s has %d fields, not %d", ix.Name, k.Name, len(ix.Fields), len(values))
	}
	var out []byte
	for i, v := range values {
		var err error
		if out, err = db.appendField(out, k, ix.Fields[i], v, version); err != nil {
			return nil, fmt.Errorf("index %s of %s: %w", ix.Name, k.Name, err)
		}
	}
	return out, nil
}

func (db *DB) appendField(out []byte, k Kind, f Field, v any, version int) ([]byte, error) {
	switch f.Type {
	case Text:
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("field %s wants text, not %T", f.Name, v)
		}
		if len(s) > maxText {
			return nil, fault.BadField(f.Name, "is longer than %d bytes", maxText)
		}
		return appendText(out, s), nil
	case Blind:
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("field %s wants text, not %T", f.Name, v)
		}
		return append(out, db.keys.ring.Load().blind(k.Name+"."+f.Name, s, version)...), nil
	case Int:
		switch n := v.(type) {
		case int:
			return appendInt(out, int64(n)), nil
		case int64:
			return appendInt(out, n), nil
		}
		return nil, fmt.Errorf("field %s wants an integer, not %T", f.Name, v)
	case Time:
		t, ok := v.(time.Time)
		if !ok {
			return nil, fmt.Errorf("field %s wants a time, not %T", f.Name, v)
		}
		return appendInt(out, t.UnixMicro()), nil
	case Bool:
		b, ok := v.(bool)
		if !ok {
			return nil, fmt.Errorf("field %s wants a bool, not %T", f.Name, v)
		}
		if b {
			return append(out, 1), nil
		}
		return append(out, 0), nil
	}
	return nil, fmt.Errorf("field %s has no type", f.Name)
}

func appendText(out []byte, s string) []byte {
	for i := range len(s) {
		if s[i] == 0 {
			out = append(out, 0, 0xFF)
		} else {
			out = append(out, s[i])
		}
	}
	return append(out, 0, 1)
}

func appendInt(out []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(out, uint64(n)^1<<63)
}

// after is the smallest key behind every key that begins with prefix; nil when there is none.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xFF {
			out := append([]byte(nil), prefix[:i+1]...)
			out[i]++
			return out
		}
	}
	return nil
}

// Query chooses records of one kind.
type Query struct {
	Index    string // "": the order of ids
	Equal    []any  // the index's leading fields
	From, To any    // on the field behind Equal, or on ids (text): inclusive, exclusive; nil is open
	Prefix   string // id order: ids that begin with it
	After    string // a Cursor
	Limit    int    // 0: all
	Reverse  bool
	Deleted  bool // id order only: deleted records too

	heads bool // see Range.Heads
}

// toRanges is the ranges to walk for a query, in the order of the walk: one for each version of blind index that records may have. Tuples
// order by version, so that the walks one behind another are in the index's order.
func (tx *Tx) toRanges(k Kind, q Query) (ranges []Range, err error) {
	newest := tx.db.keys.ring.Load().version()
	oldest := newest
	if ix, err := k.index(q.Index); err == nil && slices.ContainsFunc(ix.Fields[:min(len(ix.Fields), len(q.Equal))], blindField) {
		oldest = min(newest, tx.oldest)
	}
	for version := oldest; version <= newest; version++ {
		r, err := tx.db.toRange(k, q, version)
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	if q.Reverse {
		slices.Reverse(ranges)
	}
	return ranges, nil
}

func blindField(f Field) bool { return f.Type == Blind }

func (db *DB) toRange(k Kind, q Query, version int) (Range, error) {
	r := Range{Kind: k.Name, Index: q.Index, Limit: q.Limit, Reverse: q.Reverse, Deleted: q.Deleted, Heads: q.heads}
	if q.After != "" {
		raw, err := base64.RawURLEncoding.DecodeString(q.After)
		n, used := binary.Uvarint(raw)
		if err != nil || used <= 0 || uint64(len(raw)-used) < n {
			return Range{}, fault.BadField("after", "is not a cursor of this list")
		}
		r.AfterTuple, r.AfterID = raw[used:used+int(n)], string(raw[used+int(n):])
		if (q.Index == "") != (n == 0) {
			return Range{}, fault.BadField("after", "is not a cursor of this list")
		}
	}
	if q.Index == "" {
		if q.Prefix != "" {
			r.Lo, r.Hi = []byte(q.Prefix), after([]byte(q.Prefix))
		}
		if s, ok := q.From.(string); ok {
			r.Lo = []byte(s)
		}
		if s, ok := q.To.(string); ok {
			r.Hi = []byte(s)
		}
		return r, nil
	}
	ix, err := k.index(q.Index)
	if err != nil {
		return Range{}, err
	}
	prefix, err := db.encodeAt(k, ix, q.Equal, version)
	if err != nil {
		return Range{}, err
	}
	r.Lo, r.Hi = prefix, after(prefix)
	for _, end := range []struct {
		v  any
		to *[]byte
	}{{q.From, &r.Lo}, {q.To, &r.Hi}} {
		if end.v == nil {
			continue
		}
		if len(q.Equal) >= len(ix.Fields) {
			return Range{}, fmt.Errorf("index %s of %s has no field behind %d", ix.Name, k.Name, len(q.Equal))
		}
		if *end.to, err = db.appendField(append([]byte(nil), prefix...), k, ix.Fields[len(q.Equal)], end.v, version); err != nil {
			return Range{}, err
		}
	}
	return r, nil
}

func cursor[T string | []byte](tuple T, id string) string {
	raw := binary.AppendUvarint(nil, uint64(len(tuple)))
	return base64.RawURLEncoding.EncodeToString(append(append(raw, tuple...), id...))
}
