package store

import (
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"lifeline/store/fault"
)

// Tuples maps an index's name to the values of its fields. A record whose Tuples lack an index is not in it.
type Tuples map[string][]any

// Table is a kind whose values are of type T, kept as JSON and sealed.
type Table[T any] struct {
	Kind
	Tuples func(T) Tuples                       // nil: no index
	Due    func(T) (lane string, due time.Time) // leased kinds: where and when a record nobody holds can be claimed; zero: never
	// Older makes a body that was written under an older schema into one of today's; nil: its JSON is read as it is.
	Older func(schema int, body []byte) ([]byte, error)
	// Read reads a body that is JSON, for a kind of which very many are read at once; nil: encoding/json does.
	Read func(body []byte, v *T) error
}

// Rec is a record as a Scan yields it.
type Rec[T any] struct {
	Meta
	Value T
	tuple string // its place in the index that was walked; "": it was walked by id
}

// Cursor continues a list behind this record, as Query.After. It is made when it is asked for: most walks never do.
func (r Rec[T]) Cursor() string { return cursor(r.tuple, r.ID) }

// NewID makes an id for a new record. Ids are not secrets.
func (t Table[T]) NewID() string { return t.Prefix + "_" + NewSuffix() }

// Get reads a live record; ErrNotFound names an id of another kind as such.
func (t Table[T]) Get(tx *Tx, id string) (T, Meta, error) {
	v, m, err := t.GetDeleted(tx, id)
	if err == nil && !m.Deleted.IsZero() {
		err = t.notFound(id)
	}
	return v, m, err
}

// GetDeleted reads a record, whether or not it was deleted.
func (t Table[T]) GetDeleted(tx *Tx, id string) (v T, m Meta, err error) {
	if err := t.CheckID(id); err != nil {
		return v, m, err
	}
	raw, err := tx.get(t.Name, id)
	if err != nil {
		if fault.Of(err) == fault.NotFound {
			err = t.notFound(id)
		}
		return v, m, err
	}
	v, err = t.open(tx, raw)
	return v, raw.Meta, err
}

// GetAll reads those of some live records that there are, by their ids. It asks the engine once, where Get asks once for each.
func (t Table[T]) GetAll(tx *Tx, ids []string) (map[string]Rec[T], error) {
	for _, id := range ids {
		if err := t.CheckID(id); err != nil {
			return nil, err
		}
	}
	raws, err := tx.getAll(t.Name, ids)
	if err != nil {
		return nil, err
	}
	all := make(map[string]Rec[T], len(raws))
	for _, raw := range raws {
		if !raw.Deleted.IsZero() {
			continue
		}
		v, err := t.open(tx, raw)
		if err != nil {
			return nil, err
		}
		all[raw.ID] = Rec[T]{Meta: raw.Meta, Value: v}
	}
	return all, nil
}

func (t Table[T]) notFound(id string) error {
	return fault.New(fault.NotFound, "there is no %s %.80q", t.Name, id)
}

func (t Table[T]) open(tx *Tx, raw Raw) (v T, err error) {
	plain, schema, err := tx.db.keys.openAny(t.Kind, raw.ID, raw.Body)
	if err == nil && schema < t.Schema && t.Older != nil {
		plain, err = t.Older(schema, plain)
	}
	switch {
	case err != nil:
	case t.Read != nil:
		err = t.Read(plain, &v)
	default:
		err = json.Unmarshal(plain, &v)
	}
	if err != nil {
		return v, fmt.Errorf("read %s %s: %w", t.Name, raw.ID, err)
	}
	return v, nil
}

// Put writes a record: a new one when was is 0 (ErrExists if there is one), else the successor of version was
// (ErrConflict if the newest is another). Within one transaction a second Put names the version that Get now shows. Whether an id that
// NewID made exists is asked by the engine alone, at the commit.
func (t Table[T]) Put(tx *Tx, id string, v T, was int64) error {
	if err := t.CheckID(id); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	old, err := Raw{}, ErrNotFound
	// New ids stand side by side: two who looked for theirs before they wrote them would collide on a serializable engine.
	if was != 0 || t.Composed || tx.pending[recordKey{t.Name, id}] != nil {
		old, err = tx.get(t.Name, id)
	}
	switch {
	case fault.Of(err) == fault.NotFound && was == 0:
		old = Raw{Meta: Meta{ID: id, Created: tx.now}}
	case err != nil:
		return err
	case was == 0:
		return fault.New(fault.Exists, "%s %.80q exists", t.Name, id)
	case !old.Deleted.IsZero():
		return t.notFound(id)
	case old.Version != was:
		return fault.New(fault.Stale, "%s %s was changed meanwhile: version %d, not %d", t.Name, id, old.Version, was)
	}
	return t.write(tx, old, v)
}

// PutKnown is Put by a caller who has read the record's Meta before, in this transaction or an earlier one, or who knows that there is no
// such record (nothing but the ID is set). It reads nothing: the engine alone compares versions, at the commit.
func (t Table[T]) PutKnown(tx *Tx, m Meta, v T) error {
	if tx.pending[recordKey{t.Name, m.ID}] != nil {
		return t.Put(tx, m.ID, v, m.Version)
	}
	if err := t.CheckID(m.ID); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	if !m.Deleted.IsZero() {
		return t.notFound(m.ID)
	}
	if m.Version == 0 {
		m = Meta{ID: m.ID, Created: tx.now}
	}
	return t.write(tx, Raw{Meta: m}, v)
}

func (t Table[T]) write(tx *Tx, old Raw, v T) error {
	raw := Raw{Meta: old.Meta}
	raw.Updated = tx.now
	plain, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s %s: %w", t.Name, raw.ID, err)
	}
	if raw.Body, err = tx.db.keys.seal(t.Kind, raw.ID, plain); err != nil {
		return fmt.Errorf("write %s %s: %w", t.Name, raw.ID, err)
	}
	if raw.Tuples, err = t.tuples(tx.db, v); err != nil {
		return fmt.Errorf("write %s %s: %w", t.Name, raw.ID, err)
	}
	if err := t.onlyOne(tx, raw.ID, v); err != nil {
		return err
	}
	if t.Leased && t.Due != nil {
		raw.Lane, raw.Due = t.Due(v)
		raw.Due = raw.Due.UTC().Truncate(time.Microsecond)
	}
	return tx.put(t.Kind, raw)
}

func (t Table[T]) tuples(db *DB, v T) ([][]byte, error) {
	if len(t.Indexes) == 0 {
		return nil, nil
	}
	named := t.Tuples(v)
	out := make([][]byte, len(t.Indexes))
	for i, ix := range t.Indexes {
		values, ok := named[ix.Name]
		if !ok {
			continue
		}
		if len(values) != len(ix.Fields) {
			return nil, fmt.Errorf("index %s wants %d values, not %d", ix.Name, len(ix.Fields), len(values))
		}
		var err error
		if out[i], err = db.encode(t.Kind, ix, values); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Delete marks a record as deleted and takes it out of every index; a kind that keeps nothing loses it.
func (t Table[T]) Delete(tx *Tx, id string, was int64) error {
	_, m, err := t.Get(tx, id)
	if err != nil {
		return err
	}
	if m.Version != was {
		return fault.New(fault.Stale, "%s %s was changed meanwhile: version %d, not %d", t.Name, id, m.Version, was)
	}
	if t.Keep == 0 {
		return tx.remove(t.Kind, id)
	}
	raw, err := tx.get(t.Name, id)
	if err != nil {
		return err
	}
	raw.Deleted, raw.Updated = tx.now, tx.now
	raw.Tuples = make([][]byte, len(t.Indexes))
	raw.Due = time.Time{}
	return tx.put(t.Kind, raw)
}

// Undelete brings a deleted record back as it was; ErrExists when one of its unique values is taken by now.
func (t Table[T]) Undelete(tx *Tx, id string, was int64) error {
	v, m, err := t.GetDeleted(tx, id)
	if err != nil {
		return err
	}
	if m.Deleted.IsZero() {
		return fault.New(fault.Conflict, "%s %s is not deleted", t.Name, id)
	}
	if m.Version != was {
		return fault.New(fault.Stale, "%s %s was changed meanwhile: version %d, not %d", t.Name, id, m.Version, was)
	}
	m.Deleted = time.Time{}
	return t.write(tx, Raw{Meta: m}, v)
}

// Purge removes a deleted record for good; before its kind's retention has passed it is refused.
func (t Table[T]) Purge(tx *Tx, id string) error {
	_, m, err := t.GetDeleted(tx, id)
	if err != nil {
		return err
	}
	if m.Deleted.IsZero() {
		return fault.New(fault.Conflict, "%s %s is not deleted", t.Name, id)
	}
	if until := m.Deleted.Add(t.Keep); tx.now.Before(until) {
		return fault.New(fault.Conflict, "%s %s is kept until %s", t.Name, id, until.Format(time.RFC3339))
	}
	return tx.remove(t.Kind, id)
}

// Scan walks the records that q chooses, this transaction's own writes among them. Writing to the kind while
// walking it is allowed: a record that is rewritten ahead of the walk is met at its old place with its new value, one that
// is new may be missed.
//
// It is not inlined, nor is what it walks: the compiler would write the whole walk anew for each kind and at each of the places that walk,
// which was a seventh of the program, and as much of the time that building it takes.
//
//go:noinline
func (t Table[T]) Scan(tx *Tx, q Query) iter.Seq2[Rec[T], error] {
	return func(yield func(Rec[T], error) bool) {
		at := t.indexAt(q.Index)
		for raw, err := range tx.scan(t.Kind, q) {
			var rec Rec[T]
			if err == nil {
				rec.Meta, rec.tuple = raw.Meta, raw.tuple(at)
				rec.Value, err = t.open(tx, raw)
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// tuple is a record's place in the index with that number; of ids, -1, there is none.
func (r Raw) tuple(at int) string {
	if at < 0 {
		return ""
	}
	return string(r.Tuples[at])
}

// ScanMeta is Scan for whoever asks only which records there are: it opens none.
//
//go:noinline
func (t Table[T]) ScanMeta(tx *Tx, q Query) iter.Seq2[Meta, error] {
	return func(yield func(Meta, error) bool) {
		for raw, err := range tx.scan(t.Kind, q) {
			if !yield(raw.Meta, err) || err != nil {
				return
			}
		}
	}
}

// First is the first record that q chooses; ErrNotFound when there is none.
func (t Table[T]) First(tx *Tx, q Query) (Rec[T], error) {
	q.Limit = 1
	for rec, err := range t.Scan(tx, q) {
		return rec, err
	}
	return Rec[T]{}, fault.New(fault.NotFound, "there is no such %s", t.Name)
}

// List reads a page of at most q.Limit records and the cursor behind it, "" at the end.
func (t Table[T]) List(tx *Tx, q Query) (page []Rec[T], next string, err error) {
	limit := q.Limit
	if limit > 0 {
		q.Limit++
	}
	return t.fill(tx, q, limit, func(T) bool { return true })
}

// ListOf is List of the records that are wanted among those that q chooses. It reads all that lie between them.
func (t Table[T]) ListOf(tx *Tx, q Query, wants func(T) bool) (page []Rec[T], next string, err error) {
	limit := q.Limit
	q.Limit = 0
	return t.fill(tx, q, limit, wants)
}

func (t Table[T]) fill(tx *Tx, q Query, limit int, wants func(T) bool) (page []Rec[T], next string, err error) {
	for rec, err := range t.Scan(tx, q) {
		if err != nil {
			return nil, "", err
		}
		if !wants(rec.Value) {
			continue
		}
		if limit > 0 && len(page) == limit {
			return page, page[limit-1].Cursor(), nil
		}
		page = append(page, rec)
	}
	return page, "", nil
}

// Foresee says that a Scan (First, List) with exactly this query, its Limit included, is about to come: an engine that is far away then answers
// all that was foreseen in one round trip. Only what is sure to be asked is worth it.
func (t Table[T]) Foresee(tx *Tx, q Query) { tx.foresee(t.Kind, q, false) }

// ForeseeCount is Foresee for a Count.
func (t Table[T]) ForeseeCount(tx *Tx, q Query) { tx.foresee(t.Kind, q, true) }

// Count counts what Scan would walk.
func (t Table[T]) Count(tx *Tx, q Query) (int, error) { return tx.count(t.Kind, q) }

// Release ends the lease on a record, whose next due time is again what its value says.
func (t Table[T]) Release(tx *Tx, id, holder string, epoch int64) error {
	v, m, err := t.GetDeleted(tx, id)
	if err != nil {
		return err
	}
	m.Holder, m.Epoch = holder, epoch
	if t.Due != nil {
		m.Lane, m.Due = t.Due(v)
	}
	return tx.lease(t.Kind, m, LeaseRelease, 0)
}

// Renew lets a lease last for d more from now, by wall time.
func (t Table[T]) Renew(tx *Tx, id, holder string, epoch int64, d time.Duration) error {
	return tx.lease(t.Kind, Meta{ID: id, Holder: holder, Epoch: epoch}, LeaseRenew, d)
}

// Fence makes the transaction fail with ErrFenced unless holder still has the lease of that epoch.
func (t Table[T]) Fence(tx *Tx, id, holder string, epoch int64) error {
	return tx.lease(t.Kind, Meta{ID: id, Holder: holder, Epoch: epoch}, LeaseFence, 0)
}
