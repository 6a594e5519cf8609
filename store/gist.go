package store

import (
	"bytes"
	"errors"
	"hash/maphash"
	"iter"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"

	"lifeline/store/fault"
)

// Kept holds the gists of records: the little that is asked of very many of them again and again. Each stands by its record's version, so
// a walk unseals only what is new since the walk before. The zero value is ready, and safe for concurrent use.
type Kept[S any] struct {
	mu    sync.Mutex
	seeds [2]maphash.Seed // of idSum; made with the first place
	place map[idSum]int32 // in gists: a map of what is kept would be a third empty, and that is much
	gists [][]kept[S]     // keptTogether in each
}

// idSum stands for an id, which takes five times as much: 128 bits under seeds of this process, so that no two ids ever meet in one.
type idSum [2]uint64

func (k *Kept[S]) sum(id string) idSum {
	return idSum{maphash.String(k.seeds[0], id), maphash.String(k.seeds[1], id)}
}

// find is where the gist of a record stands. next is where it is looked for first, and becomes where the one behind it stands: a walk in the order of an
// earlier one then asks the map, which lies all over the memory, for none of them.
func (k *Kept[S]) find(id idSum, next *int32) (at int32, ok bool) {
	at, ok = *next, int(*next) < len(k.place) && k.at(*next).of == id
	if !ok {
		at, ok = k.place[id]
	}
	*next = at + 1
	return at, ok
}

func (k *Kept[S]) at(i int32) *kept[S] { return &k.gists[i/keptTogether][i%keptTogether] }

const keptTogether = 512

type kept[S any] struct {
	of               idSum
	version, updated int64
	gist             S
}

// mostKept bounds how many gists are held at once; beyond it a walk begins to hold them anew.
const mostKept = 1 << 20

// mostAhead bounds how many records a walk over gists reads before it hands out the first of them.
const mostAhead = 512

// Gists walks the records that q chooses as Scan does, each as what of makes of its value, and holds that in k for the next walk. In a View
// it reads ahead and unseals on all cores, so of is called from several goroutines. All walks that share k must have the same of.
func Gists[T, S any](tx *Tx, t Table[T], k *Kept[S], of func(T) S, q Query) iter.Seq2[Rec[S], error] {
	return func(yield func(Rec[S], error) bool) {
		ahead, next := 1, int32(0)
		q.heads = tx.readonly && k.some()
		at := t.indexAt(q.Index)
		var batch []unsealing[S]
		hand := func() bool {
			if err := bodies(tx, t.Kind, batch); err != nil {
				yield(Rec[S]{}, err)
				return false
			}
			unsealAll(batch, func(u *unsealing[S]) {
				var v T
				if v, u.err = t.open(tx, u.raw); u.err == nil {
					u.rec.Value = of(v)
				}
			})
			for _, u := range batch {
				if !u.known && u.err == nil {
					k.keep(tx, u.rec.Meta, u.rec.Value) // in the order of the walk: see find
				}
				if !yield(u.rec, u.err) || u.err != nil {
					return false
				}
			}
			batch = batch[:0]
			if tx.readonly {
				ahead = min(2*ahead, mostAhead)
			}
			return true
		}
		for raw, err := range tx.scan(t.Kind, q) {
			u := unsealing[S]{rec: Rec[S]{Meta: raw.Meta}, err: err}
			if err == nil {
				u.rec.tuple = raw.tuple(at)
				if u.rec.Value, u.known = k.get(tx, raw.Meta, &next); !u.known {
					u.raw = Raw{Meta: raw.Meta, Body: bytes.Clone(raw.Body)} // a row is valid until the next step
				}
			}
			if u.known && len(batch) == 0 { // nothing to wait for
				if !yield(u.rec, nil) {
					return
				}
				continue
			}
			if batch = append(batch, u); err != nil || len(batch) == ahead {
				if !hand() {
					return
				}
			}
		}
		hand()
	}
}

// ListKept is ListOf where the gist of a record says whether it is wanted: of what lies between, only what is new since the walk before is read whole.
func ListKept[T, S any](tx *Tx, t Table[T], k *Kept[S], of func(T) S, q Query, wants func(S) bool) (page []Rec[T], next string, err error) {
	limit := q.Limit
	q.Limit = 0
	var chosen []Rec[S]
	var ids []string
	for rec, err := range Gists(tx, t, k, of, q) {
		if err != nil {
			return nil, "", err
		}
		if !wants(rec.Value) {
			continue
		}
		if limit > 0 && len(chosen) == limit {
			next = chosen[limit-1].Cursor()
			break
		}
		chosen, ids = append(chosen, rec), append(ids, rec.ID)
	}
	whole, err := t.GetAll(tx, ids)
	if err != nil {
		return nil, "", err
	}
	for _, rec := range chosen {
		page = append(page, Rec[T]{Meta: rec.Meta, Value: whole[rec.ID].Value, tuple: rec.tuple})
	}
	return page, next, nil
}

// bodies reads what a walk over heads left out of records that are not known.
func bodies[S any](tx *Tx, k Kind, batch []unsealing[S]) error {
	at := map[string]int{}
	for i, u := range batch {
		if u.err == nil && !u.known && len(u.raw.Body) == 0 {
			at[u.raw.ID] = i
		}
	}
	if len(at) == 0 {
		return nil
	}
	all, err := tx.snap.GetAll(k.Name, slices.Collect(maps.Keys(at)))
	for _, raw := range all {
		batch[at[raw.ID]].raw.Body = bytes.Clone(raw.Body)
	}
	return err
}

// unsealing is a record of a walk over gists before it is handed out.
type unsealing[S any] struct {
	rec   Rec[S]
	raw   Raw
	known bool
	err   error
}

// worthAHand is how many records to unseal are worth a goroutine.
const worthAHand = 16

func unsealAll[S any](batch []unsealing[S], unseal func(*unsealing[S])) {
	var todo []*unsealing[S]
	for i := range batch {
		if u := &batch[i]; !u.known && u.err == nil {
			todo = append(todo, u)
		}
	}
	hands := min(runtime.GOMAXPROCS(0), len(todo)/worthAHand)
	if hands < 2 {
		for _, u := range todo {
			unseal(u)
		}
		return
	}
	var all sync.WaitGroup
	for hand := range hands {
		all.Add(1)
		fault.Go(slog.Default(), "unsealing", func() {
			defer all.Done()
			for i := hand; i < len(todo); i += hands {
				todo[i].err = errHalfUnsealed // should what follows panic
				unseal(todo[i])
			}
		})
	}
	all.Wait()
}

var errHalfUnsealed = errors.New("a record was not unsealed to the end")

// some says whether any gist is held.
func (k *Kept[S]) some() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.place) > 0
}

// get finds the gist of a record as it stands. Only what is committed is held: a version that an Update has written may yet become another's.
func (k *Kept[S]) get(tx *Tx, m Meta, next *int32) (s S, ok bool) {
	if !tx.readonly {
		return s, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.place == nil {
		return s, false
	}
	at, ok := k.find(k.sum(m.ID), next)
	if !ok {
		return s, false
	}
	have := k.at(at)
	if have.version != m.Version || have.updated != m.Updated.UnixMicro() {
		return s, false
	}
	return have.gist, true
}

func (k *Kept[S]) keep(tx *Tx, m Meta, s S) {
	if !tx.readonly {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.place == nil {
		k.anew()
	}
	of := k.sum(m.ID)
	at, ok := k.place[of]
	if !ok {
		if len(k.place) >= mostKept {
			k.anew()
			of = k.sum(m.ID)
		}
		at = int32(len(k.place))
		k.place[of] = at
		if at%keptTogether == 0 {
			k.gists = append(k.gists, make([]kept[S], keptTogether))
		}
	}
	*k.at(at) = kept[S]{of, m.Version, m.Updated.UnixMicro(), s}
}

func (k *Kept[S]) anew() {
	k.place, k.gists, k.seeds = map[idSum]int32{}, nil, [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
}
