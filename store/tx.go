package store

import (
	"bytes"
	"cmp"
	"errors"
	"iter"
	"slices"
	"time"

	"lifeline/store/fault"
)

// Tx is one transaction: a snapshot, one reading of the clock, and the writes so far.
type Tx struct {
	db       *DB
	snap     Snapshot
	now      time.Time
	oldest   int // version of blind index under which a record may be found in snap
	act      Act
	on       []string
	readonly bool
	pending  map[recordKey]*Write
	order    []recordKey
	after    []func()
}

type recordKey struct{ kind, id string }

// Now is the domain's time, the same throughout the transaction.
func (tx *Tx) Now() time.Time { return tx.now }

// DB is the store that the transaction belongs to.
func (tx *Tx) DB() *DB { return tx.db }

// On names the records that the act is about, for its audit row. Ids only.
func (tx *Tx) On(ids ...string) { tx.on = append(tx.on, ids...) }

// After runs fn once the transaction is durable: for wake-ups only, nothing that must happen.
func (tx *Tx) After(fn func()) { tx.after = append(tx.after, fn) }

var errReadOnly = errors.New("a View cannot write")

func (tx *Tx) get(kind, id string) (Raw, error) {
	if w := tx.pending[recordKey{kind, id}]; w != nil && !w.Touch {
		if w.Remove {
			return Raw{}, ErrNotFound
		}
		return w.Raw, nil
	}
	return tx.snap.Get(kind, id)
}

// getAll reads those of some records that there are.
func (tx *Tx) getAll(kind string, ids []string) (all []Raw, err error) {
	var ask []string
	for _, id := range ids {
		if w := tx.pending[recordKey{kind, id}]; w == nil || w.Touch {
			ask = append(ask, id)
		} else if !w.Remove {
			all = append(all, w.Raw)
		}
	}
	if len(ask) == 0 {
		return all, nil
	}
	kept, err := tx.snap.GetAll(kind, ask)
	return append(all, kept...), err
}

func (tx *Tx) pend(k Kind, id string) (*Write, error) {
	if tx.readonly {
		return nil, errReadOnly
	}
	key := recordKey{k.Name, id}
	if w := tx.pending[key]; w != nil {
		return w, nil
	}
	if tx.pending == nil {
		tx.pending = map[recordKey]*Write{}
	}
	w := &Write{Kind: k.Name, Raw: Raw{Meta: Meta{ID: id}}, Touch: true}
	tx.pending[key] = w
	tx.order = append(tx.order, key)
	return w, nil
}

// put buffers raw, whose Version is the one it succeeds (0: a new record).
func (tx *Tx) put(k Kind, raw Raw) error {
	w, err := tx.pend(k, raw.ID)
	if err != nil {
		return err
	}
	switch {
	case w.Touch: // the first write of this record's body
		w.Was, w.Touch = raw.Version, false
		raw.Version++
		if w.Lease != LeaseKeep {
			raw.Holder, raw.Epoch = w.Holder, w.Epoch
		}
	case w.Remove: // made anew behind its removal in this transaction
		raw.Version = w.Was + 1
	}
	w.Raw, w.Remove = raw, false
	return nil
}

func (tx *Tx) remove(k Kind, id string) error {
	old, err := tx.get(k.Name, id)
	if err != nil {
		return err
	}
	w, err := tx.pend(k, id)
	if err != nil {
		return err
	}
	if w.Touch {
		w.Was, w.Touch = old.Version, false
	}
	if w.Lease != LeaseKeep { // what the fence was asked about, not what is read
		old.Holder, old.Epoch = w.Holder, w.Epoch
	}
	w.Raw, w.Remove = Raw{Meta: old.Meta}, true
	return nil
}

func (tx *Tx) lease(k Kind, m Meta, what Lasting, renew time.Duration) error {
	w, err := tx.pend(k, m.ID)
	if err != nil {
		return err
	}
	w.Holder, w.Epoch = m.Holder, m.Epoch
	if what == LeaseRelease {
		w.Lane, w.Due = m.Lane, m.Due.UTC().Truncate(time.Microsecond)
	}
	if what >= w.Lease {
		w.Lease, w.Renew = what, renew
	}
	return nil
}

func (tx *Tx) writes() Writes {
	out := make(Writes, 0, len(tx.order))
	for _, key := range tx.order {
		w := tx.pending[key]
		if w.Remove && w.Was == 0 {
			continue // made and removed within the transaction
		}
		out = append(out, *w)
	}
	return out
}

// scan walks what a query chooses.
//
//go:noinline
func (tx *Tx) scan(k Kind, q Query) iter.Seq2[Raw, error] {
	return func(yield func(Raw, error) bool) {
		ranges, err := tx.toRanges(k, q)
		if err != nil {
			yield(Raw{}, err)
			return
		}
		n := 0
		for _, r := range ranges {
			if q.Limit > 0 {
				r.Limit = q.Limit - n
			}
			for raw, err := range tx.scanRange(k, r) {
				n++
				if !yield(raw, err) || err != nil || n == q.Limit {
					return
				}
			}
		}
	}
}

// foresee tells an engine that wants to know what will be asked.
func (tx *Tx) foresee(k Kind, q Query, count bool) {
	far, ok := tx.snap.(Foresight)
	if !ok {
		return
	}
	ranges, err := tx.toRanges(k, q)
	if err != nil {
		return // whoever asks is told
	}
	for _, r := range ranges {
		far.Foresee(r, count)
	}
}

// scanRange walks the engine's rows and the buffered ones together.
//
//go:noinline
func (tx *Tx) scanRange(k Kind, r Range) iter.Seq2[Raw, error] {
	return func(yield func(Raw, error) bool) {
		at := k.indexAt(r.Index)
		limit := r.Limit
		own, written := tx.own(k, r, at)
		if limit > 0 {
			r.Limit += len(written) // so many of the engine's rows may be overwritten here
		}
		n := 0
		give := func(raw Raw) bool {
			if w := tx.pending[recordKey{k.Name, raw.ID}]; w != nil && !w.Touch { // perhaps written since the walk began
				if !w.within(r, at) {
					return true
				}
				raw = w.Raw
			}
			n++
			return yield(raw, nil) && (limit == 0 || n < limit)
		}
		for raw, err := range tx.snap.Scan(r) {
			if err != nil {
				yield(Raw{}, err)
				return
			}
			for len(own) > 0 && order(own[0], raw, at, r.Reverse) < 0 {
				if !give(own[0]) {
					return
				}
				own = own[1:]
			}
			if !written[raw.ID] && !give(raw) {
				return
			}
		}
		for _, raw := range own {
			if !give(raw) {
				return
			}
		}
	}
}

func order(a, b Raw, at int, reverse bool) int {
	c := 0
	if at >= 0 {
		c = bytes.Compare(a.Tuples[at], b.Tuples[at])
	}
	if c == 0 {
		c = cmp.Compare(a.ID, b.ID)
	}
	if reverse {
		return -c
	}
	return c
}

// own is the buffered records within r, in its order, and the ids of all that are buffered of its kind.
func (tx *Tx) own(k Kind, r Range, at int) (own []Raw, written map[string]bool) {
	mark := Raw{Meta: Meta{ID: r.AfterID}}
	if at >= 0 {
		mark.Tuples = make([][]byte, len(k.Indexes))
		mark.Tuples[at] = r.AfterTuple
	}
	for key, w := range tx.pending {
		if key.kind != k.Name || w.Touch {
			continue
		}
		if written == nil {
			written = map[string]bool{}
		}
		written[w.ID] = true
		if w.within(r, at) && (r.AfterID == "" || order(w.Raw, mark, at, r.Reverse) > 0) {
			own = append(own, w.Raw)
		}
	}
	slices.SortFunc(own, func(a, b Raw) int { return order(a, b, at, r.Reverse) })
	return own, written
}

// within says whether a walk of r would meet the record that w writes.
func (w *Write) within(r Range, at int) bool {
	if w.Remove || !w.Deleted.IsZero() && !(r.Deleted && at < 0) {
		return false
	}
	key := []byte(w.ID)
	if at >= 0 {
		if key = w.Tuples[at]; key == nil {
			return false
		}
	}
	return (r.Lo == nil || bytes.Compare(key, r.Lo) >= 0) && (r.Hi == nil || bytes.Compare(key, r.Hi) < 0)
}

func (tx *Tx) count(k Kind, q Query) (int, error) {
	for key, w := range tx.pending {
		if key.kind == k.Name && !w.Touch { // rare: walk
			n := 0
			for _, err := range tx.scan(k, q) {
				if err != nil {
					return 0, err
				}
				n++
			}
			return n, nil
		}
	}
	ranges, err := tx.toRanges(k, q)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, r := range ranges {
		n, err := tx.snap.Count(r)
		if err != nil {
			return 0, fault.Wrap(fault.Of(err), err, "count %ss", k.Name)
		}
		if total += n; q.Limit > 0 && total >= q.Limit {
			return q.Limit, nil
		}
	}
	return total, nil
}
