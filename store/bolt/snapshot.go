package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

	bbolt "go.etcd.io/bbolt"

	"lifeline/store"
)

// Buckets: "r/KIND" id -> record; "i/KIND/INDEX" tuple+id -> id; "d/KIND" counted lane, due (8 bytes), id -> id; "meta".

func recordBucket(kind string) []byte       { return []byte("r/" + kind) }
func indexBucket(kind, index string) []byte { return []byte("i/" + kind + "/" + index) }
func dueBucket(kind string) []byte          { return []byte("d/" + kind) }

type snapshot struct {
	tx    *bbolt.Tx
	kinds map[string]store.Kind
}

func (s snapshot) Get(kind, id string) (store.Raw, error) {
	records, err := s.bucket(recordBucket(kind))
	if err != nil {
		return store.Raw{}, err
	}
	v := records.Get([]byte(id))
	if v == nil {
		return store.Raw{}, store.ErrNotFound
	}
	return decode(id, v)
}

func (s snapshot) GetAll(kind string, ids []string) (all []store.Raw, err error) {
	for _, id := range ids {
		raw, err := s.Get(kind, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, raw)
	}
	return all, nil
}

func (s snapshot) bucket(name []byte) (*bbolt.Bucket, error) {
	if b := s.tx.Bucket(name); b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("%s is not declared", name)
}

// order is the bucket that holds a range.
func (s snapshot) order(r store.Range) (*bbolt.Bucket, error) {
	if r.Index != "" {
		return s.bucket(indexBucket(r.Kind, r.Index))
	}
	return s.bucket(recordBucket(r.Kind))
}

func (s snapshot) Scan(r store.Range) iter.Seq2[store.Raw, error] {
	return func(yield func(store.Raw, error) bool) {
		order, err := s.order(r)
		if err != nil {
			yield(store.Raw{}, err)
			return
		}
		records := s.tx.Bucket(recordBucket(r.Kind)).Cursor() // one for all: each Get of a bucket makes its own
		n := 0
		for k, v := range walk(order, r) {
			if r.Index != "" {
				id := v
				if k, v = records.Seek(id); !bytes.Equal(k, id) {
					k, v = id, nil
				}
			}
			raw, err := decode(string(k), v)
			if err == nil && r.Index == "" && !r.Deleted && !raw.Deleted.IsZero() {
				continue
			}
			n++
			if !yield(raw, err) || err != nil || n == r.Limit {
				return
			}
		}
	}
}

func (s snapshot) Count(r store.Range) (int, error) {
	n := 0
	limit := r.Limit
	if r.Index == "" && !r.Deleted {
		for _, err := range s.Scan(r) { // deleted records stand in the same bucket
			if err != nil {
				return 0, err
			}
			n++
		}
		return n, nil
	}
	order, err := s.order(r)
	if err != nil {
		return 0, err
	}
	for range walk(order, r) {
		n++
		if n == limit {
			break
		}
	}
	return n, nil
}

// walk yields the keys and values of the range's bucket. Each step seeks anew only where the range begins: writes to
// the bucket while it is walked are the caller's to avoid, and a store.Tx buffers its own.
func walk(order *bbolt.Bucket, r store.Range) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		c := order.Cursor()
		var mark []byte // exclusive
		if r.AfterID != "" {
			mark = append(append(mark, r.AfterTuple...), r.AfterID...)
		}
		var k, v []byte
		if r.Reverse {
			end := r.Hi
			if mark != nil && (end == nil || bytes.Compare(mark, end) < 0) {
				end = mark
			}
			if end == nil {
				k, v = c.Last()
			} else if k, v = c.Seek(end); k == nil {
				k, v = c.Last()
			}
			for k != nil && end != nil && bytes.Compare(k, end) >= 0 {
				k, v = c.Prev()
			}
			for ; k != nil && (r.Lo == nil || bytes.Compare(k, r.Lo) >= 0); k, v = c.Prev() {
				if !yield(k, v) {
					return
				}
			}
			return
		}
		start := r.Lo
		if mark != nil && bytes.Compare(mark, start) >= 0 {
			start = mark
		}
		if start == nil {
			k, v = c.First()
		} else if k, v = c.Seek(start); mark != nil && bytes.Equal(k, mark) {
			k, v = c.Next()
		}
		for ; k != nil && (r.Hi == nil || bytes.Compare(k, r.Hi) < 0); k, v = c.Next() {
			if !yield(k, v) {
				return
			}
		}
	}
}
