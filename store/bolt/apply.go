package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	bbolt "go.etcd.io/bbolt"

	"lifeline/store"
	"lifeline/store/fault"
)

// change is a checked write: what stands and what shall stand.
type change struct {
	kind   store.Kind
	id     string
	old    *store.Raw
	new    *store.Raw // nil: remove
	oldDue []byte
}

// check verifies every write against the transaction and the writes before it, and touches nothing.
func (e *Engine) check(tx *bbolt.Tx, writes store.Writes) ([]change, error) {
	s := snapshot{tx: tx, kinds: *e.kinds.Load()}
	now := time.Now().UTC().Truncate(time.Microsecond)
	plan := make([]change, 0, len(writes))
	taken := map[string]string{} // unique tuples that this transaction takes, by bucket and tuple
	freed := map[string]string{} // and gives up
	for _, w := range writes {
		k, ok := s.kinds[w.Kind]
		if !ok {
			return nil, fmt.Errorf("kind %q is not declared", w.Kind)
		}
		c := change{kind: k, id: w.ID}
		old, err := s.Get(w.Kind, w.ID)
		switch {
		case err == nil:
			c.old = &old
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
		if err := fence(w, c.old); err != nil {
			return nil, err
		}
		if w.Touch {
			if c.old == nil {
				return nil, store.ErrNotFound
			}
			if w.Lease == store.LeaseFence || w.Lease == store.LeaseKeep {
				continue
			}
			next := *c.old
			leaseInto(&next, w, c.old, now)
			c.new = &next
			plan = append(plan, c)
			continue
		}
		switch {
		case c.old == nil && w.Was != 0:
			return nil, fault.New(fault.Stale, "%s %s is gone", w.Kind, w.ID)
		case c.old != nil && w.Was == 0:
			return nil, fault.New(fault.Exists, "%s %s exists", w.Kind, w.ID)
		case c.old != nil && c.old.Version != w.Was:
			return nil, fault.New(fault.Stale, "%s %s was changed meanwhile", w.Kind, w.ID)
		}
		if c.old != nil {
			for i, ix := range k.Indexes {
				if ix.Unique && i < len(c.old.Tuples) && c.old.Tuples[i] != nil {
					freed[ix.Name+"\x00"+w.Kind+"\x00"+string(c.old.Tuples[i])] = w.ID
				}
			}
		}
		if !w.Remove {
			next := w.Raw
			if k.Leased {
				leaseInto(&next, w, c.old, now)
			}
			c.new = &next
		}
		plan = append(plan, c)
	}
	for _, c := range plan {
		if c.new == nil {
			continue
		}
		for i, ix := range c.kind.Indexes {
			if !ix.Unique || i >= len(c.new.Tuples) || c.new.Tuples[i] == nil {
				continue
			}
			key := ix.Name + "\x00" + c.kind.Name + "\x00" + string(c.new.Tuples[i])
			owner, other := taken[key], ""
			if k, v := tx.Bucket(indexBucket(c.kind.Name, ix.Name)).Cursor().Seek(c.new.Tuples[i]); bytes.HasPrefix(k, c.new.Tuples[i]) {
				other = string(v)
			}
			if owner != "" && owner != c.id || other != "" && other != c.id && freed[key] != other {
				return nil, fault.New(fault.Exists, "another %s has the same %s", c.kind.Name, ix.Name)
			}
			taken[key] = c.id
		}
	}
	return plan, nil
}

func fence(w store.Write, old *store.Raw) error {
	if w.Lease == store.LeaseKeep {
		return nil
	}
	if old == nil || old.Holder == "" || old.Holder != w.Holder || old.Epoch != w.Epoch {
		return fault.New(fault.Fenced, "the lease on %s %s is no longer yours", w.Kind, w.ID)
	}
	return nil
}

// leaseInto sets next's lease columns from what stands and what w asks.
func leaseInto(next *store.Raw, w store.Write, old *store.Raw, now time.Time) {
	lane, due := w.Lane, w.Due
	next.Holder, next.Epoch = "", 0
	if old != nil {
		next.Holder, next.Epoch = old.Holder, old.Epoch
	}
	switch {
	case w.Lease == store.LeaseRelease:
		next.Holder = ""
	case w.Lease == store.LeaseRenew:
		lane, due = old.Lane, now.Add(w.Renew)
	case next.Holder != "":
		lane, due = old.Lane, old.Due
	}
	next.Lane, next.Due = lane, due
	if !next.Deleted.IsZero() {
		next.Due = time.Time{}
	}
}

// apply carries a checked plan out. Only a fault of the file can stop it, and then nothing of the group is kept.
func apply(tx *bbolt.Tx, plan []change) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %w", errHalf, err)
		}
	}()
	for _, c := range plan { // first what goes, so that a unique value can change hands
		if c.old == nil {
			continue
		}
		for i, ix := range c.kind.Indexes {
			if i >= len(c.old.Tuples) || c.old.Tuples[i] == nil || same(c.new, i, c.old.Tuples[i]) {
				continue
			}
			if err := tx.Bucket(indexBucket(c.kind.Name, ix.Name)).Delete(indexKey(c.old.Tuples[i], c.id)); err != nil {
				return err
			}
		}
		if c.kind.Leased && !c.old.Due.IsZero() {
			if err := tx.Bucket(dueBucket(c.kind.Name)).Delete(dueKey(c.old.Meta)); err != nil {
				return err
			}
		}
		if c.new == nil {
			if err := tx.Bucket(recordBucket(c.kind.Name)).Delete([]byte(c.id)); err != nil {
				return err
			}
		}
	}
	for _, c := range plan {
		if c.new == nil {
			continue
		}
		for i, ix := range c.kind.Indexes {
			if i >= len(c.new.Tuples) || c.new.Tuples[i] == nil || c.old != nil && i < len(c.old.Tuples) && bytes.Equal(c.old.Tuples[i], c.new.Tuples[i]) && c.old.Tuples[i] != nil {
				continue
			}
			if err := places(tx, c.kind, ix).Put(indexKey(c.new.Tuples[i], c.id), []byte(c.id)); err != nil {
				return err
			}
		}
		if c.kind.Leased && !c.new.Due.IsZero() {
			if err := tx.Bucket(dueBucket(c.kind.Name)).Put(dueKey(c.new.Meta), []byte(c.id)); err != nil {
				return err
			}
		}
		if err := packed(tx.Bucket(recordBucket(c.kind.Name))).Put([]byte(c.id), encode(*c.new)); err != nil {
			return err
		}
	}
	return nil
}

// packed fills the pages of a bucket whose keys come in order, as ids do. A page that is full is split, and bbolt would leave half of each free
// for keys in between, of which there are none.
func packed(b *bbolt.Bucket) *bbolt.Bucket {
	b.FillPercent = 0.9
	return b
}

// places is the bucket of an index. Blind values lie anywhere; all others are ids, states and times, behind which new ones come last.
func places(tx *bbolt.Tx, k store.Kind, ix store.Index) *bbolt.Bucket {
	b := tx.Bucket(indexBucket(k.Name, ix.Name))
	if slices.ContainsFunc(ix.Fields, func(f store.Field) bool { return f.Type == store.Blind }) {
		return b
	}
	return packed(b)
}

func same(r *store.Raw, i int, tuple []byte) bool {
	return r != nil && i < len(r.Tuples) && r.Tuples[i] != nil && bytes.Equal(r.Tuples[i], tuple)
}

func indexKey(tuple []byte, id string) []byte {
	return append(append(make([]byte, 0, len(tuple)+len(id)), tuple...), id...)
}

// dueKey is the counted lane, then the due time with its sign bit flipped so that bytes order as times do, then the id.
func dueKey(m store.Meta) []byte {
	key := binary.BigEndian.AppendUint64(laneKey(m.Lane), uint64(m.Due.UnixMicro())^1<<63)
	return append(key, m.ID...)
}

// laneKey begins the keys of one lane and no other's.
func laneKey(lane string) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(lane))), lane...)
}

// Claim implements store.Engine.
func (e *Engine) Claim(ctx context.Context, l store.Lease) ([]store.Raw, error) {
	k, ok := (*e.kinds.Load())[l.Kind]
	if !ok || !k.Leased {
		return nil, fmt.Errorf("kind %q cannot be claimed", l.Kind)
	}
	idle := true
	if err := e.view(ctx, func(tx *bbolt.Tx) error { // a look first: an idle worker must not cost a commit
		key, _ := tx.Bucket(dueBucket(l.Kind)).Cursor().Seek(laneKey(l.Lane))
		idle = !dueBy(key, laneKey(l.Lane), time.Now())
		return nil
	}); err != nil || idle {
		return nil, err
	}
	var claimed []store.Raw
	err := e.do(&call{ctx: ctx, claim: func(tx *bbolt.Tx) error {
		claimed = nil
		now := time.Now().UTC().Truncate(time.Microsecond)
		s := snapshot{tx: tx, kinds: *e.kinds.Load()}
		var plan []change
		c := tx.Bucket(dueBucket(l.Kind)).Cursor()
		lane := laneKey(l.Lane)
		for key, id := c.Seek(lane); dueBy(key, lane, now) && len(plan) < l.Limit; key, id = c.Next() {
			old, err := s.Get(l.Kind, string(id))
			if err != nil {
				return fmt.Errorf("claim a %s: %w", l.Kind, err)
			}
			next := old
			next.Holder, next.Epoch, next.Due = l.Holder, old.Epoch+1, now.Add(l.For)
			plan = append(plan, change{kind: k, id: old.ID, old: &old, new: &next})
			claimed = append(claimed, store.Raw{Meta: next.Meta})
		}
		return apply(tx, plan)
	}})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

func dueBy(key, lane []byte, now time.Time) bool {
	return len(key) >= len(lane)+8 && bytes.HasPrefix(key, lane) &&
		int64(binary.BigEndian.Uint64(key[len(lane):])^1<<63) <= now.UnixMicro()
}
