package store

import (
	"iter"
	"sync"
)

// Kept holds the gists of records: the little that is asked of very many of them again and again. Each stands by its record's version, so
// a walk unseals only what is new since the walk before. The zero value is ready, and safe for concurrent use.
type Kept[S any] struct {
	mu    sync.Mutex
	gists map[string]kept[S]
}

type kept[S any] struct {
	version, updated int64
	gist             S
}

// mostKept bounds how many gists are held at once; beyond it a walk begins to hold them anew.
const mostKept = 1 << 20

// Gists walks the records that q chooses as Scan does, each as what of makes of its value, and holds that in k for the next walk. of must
// be the same for all walks that share k, and copy nothing that it does not need.
func Gists[T, S any](tx *Tx, t Table[T], k *Kept[S], of func(T) S, q Query) iter.Seq2[Rec[S], error] {
	return func(yield func(Rec[S], error) bool) {
		for raw, err := range tx.scan(t.Kind, q) {
			rec := Rec[S]{Meta: raw.Meta}
			if err == nil {
				rec.Value, err = k.of(tx, raw, func() (s S, err error) {
					v, err := t.open(tx, raw)
					if err == nil {
						s = of(v)
					}
					return s, err
				})
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// of is the gist of a record. Only what is committed is held: a version that an Update has written may yet become another's.
func (k *Kept[S]) of(tx *Tx, raw Raw, open func() (S, error)) (S, error) {
	if !tx.readonly {
		return open()
	}
	updated := raw.Updated.UnixMicro()
	k.mu.Lock()
	have, ok := k.gists[raw.ID]
	k.mu.Unlock()
	if ok && have.version == raw.Version && have.updated == updated {
		return have.gist, nil
	}
	s, err := open()
	if err != nil {
		return s, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gists == nil || len(k.gists) >= mostKept && !ok {
		k.gists = map[string]kept[S]{}
	}
	k.gists[raw.ID] = kept[S]{raw.Version, updated, s}
	return s, nil
}
