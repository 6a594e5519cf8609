// Package limit counts what strangers may do, in the store, so that replicas and restarts never multiply an allowance.
//
// A limit is exact and sliding: in no stretch of time as long as the period is more taken than allowed, at no boundary. The price is
// one small write for each thing that is allowed. What is refused costs a read and no write, so a flood that a limit holds back
// never becomes a flood of commits. Large limits are kept coarsely: there what was taken may count up to a 64th of the period
// longer than it should, never shorter.
//
// Keys are looked up blind and kept hashed: an address in a key is not readable in the data. Limits run on the domain's clock.
package limit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// counter is what was taken under one key.
type counter struct {
	Key   string    `json:"key"` // digest
	Marks []mark    `json:"marks"`
	Until time.Time `json:"until"` // when nothing in it counts any more
}

// mark is a number of things taken between two moments, in microseconds: first, last, number.
type mark [3]int64

var counters = store.Table[counter]{
	Kind: store.Kind{Name: "counter", Prefix: "cnt", Schema: 1, Indexes: []store.Index{
		{Name: "key", Fields: []store.Field{{Name: "key", Type: store.Blind}}, Unique: true},
		{Name: "until", Fields: []store.Field{{Name: "until", Type: store.Time}}},
	}},
	Tuples: func(c counter) store.Tuples { return store.Tuples{"key": {c.Key}, "until": {c.Until}} },
}

// Kinds lists the records that limits keep.
func Kinds() []store.Kind { return []store.Kind{counters.Kind} }

const (
	most   = 64   // marks in a counter; a limit up to this is kept exactly
	wide   = 1024 // a limit from here on is split among several counters, so that busy writers do not wait for each other
	shards = 16
	tries  = 8 // on a counter that others change at the same moment
)

// Take takes one of the n things that key allows within any stretch of time as long as per. When all are taken it fails with
// fault.TooMany, whose Wait says when the next one is free. A key should name what is limited and for whom ("open ticket K7M-…"), by
// the target or the source, never by anything the caller can vary.
//
// A limit of 1,024 or more is split among 16 counters: it is still never exceeded, and all of it can be taken, but the Wait is that of one
// of them.
func Take(ctx context.Context, db *store.DB, key string, n int, per time.Duration) error {
	if n <= 0 || per <= 0 {
		return fault.New(fault.TooMany, "this is not allowed here")
	}
	if n < wide {
		return take(ctx, db, key, n, per)
	}
	var err error
	first := rand.IntN(shards)
	for i := range shards {
		at := (first + i) % shards
		share := n / shards
		if at < n%shards {
			share++
		}
		err = take(ctx, db, key+"\x00"+string(rune('a'+at)), share, per)
		if fault.Of(err) != fault.TooMany {
			return err
		}
	}
	return err
}

func take(ctx context.Context, db *store.DB, key string, n int, per time.Duration) error {
	sum := sha256.Sum256([]byte(key))
	key = hex.EncodeToString(sum[:])
	read := func(tx *store.Tx) (store.Rec[counter], error) {
		rec, err := counters.First(tx, store.Query{Index: "key", Equal: []any{key}})
		if fault.Of(err) == fault.NotFound {
			err = nil
			rec.Value.Key = key
		}
		return rec, err
	}
	var wait time.Duration
	fresh := false // nobody has taken under the key: then it is written unread, so that writers of other new keys are in nobody's way
	err := db.View(ctx, func(tx *store.Tx) error {
		rec, err := read(tx)
		if err != nil {
			return err
		}
		fresh = rec.ID == ""
		_, wait = add(rec.Value.Marks, tx.Now(), n, per)
		return nil
	})
	if err != nil {
		return err
	}
	for try := 0; wait == 0; try++ {
		err = db.Update(ctx, store.Act{}, func(tx *store.Tx) (err error) {
			rec := store.Rec[counter]{Value: counter{Key: key}}
			if !fresh {
				if rec, err = read(tx); err != nil {
					return err
				}
			}
			c := rec.Value
			if c.Marks, wait = add(c.Marks, tx.Now(), n, per); wait > 0 {
				return nil
			}
			c.Until = tx.Now().Add(per)
			if rec.ID == "" {
				rec.ID = counters.NewID()
			}
			return counters.Put(tx, rec.ID, c, rec.Version)
		})
		switch fault.Of(err) {
		case "":
			if wait == 0 {
				return nil
			}
		case fault.Stale, fault.Exists: // another took at the same moment
			fresh = false
			if try == tries {
				return fault.Wrap(fault.Unavailable, err, "too much is going on at once; try again in a moment")
			}
		default:
			return err
		}
	}
	return &fault.Error{Kind: fault.TooMany, Message: "too many requests; try again later", Wait: wait}
}

// add decides whether one more may be taken at now: the marks with it, or how long to wait.
func add(marks []mark, now time.Time, n int, per time.Duration) (with []mark, wait time.Duration) {
	at, span := now.UnixMicro(), per.Microseconds()
	// What lies a whole period ahead was taken before the clock was set back; it would shut people out for longer than a period.
	live := slices.DeleteFunc(slices.Clone(marks), func(m mark) bool { return m[1] <= at-span || m[1] >= at+span })
	taken := 0
	for _, m := range live {
		taken += int(m[2])
	}
	if taken >= n {
		free := taken - n + 1 // how many must end first
		slices.SortFunc(live, func(a, b mark) int { return cmp.Compare(a[1], b[1]) })
		for _, m := range live {
			if free -= int(m[2]); free <= 0 {
				return nil, time.Duration(m[1]+span-at) * time.Microsecond
			}
		}
	}
	if last := len(live) - 1; n > most && last >= 0 && at-live[last][0] < span/most {
		live[last][1] = max(at, live[last][1])
		live[last][2]++
		return live, 0
	}
	return append(live, mark{at, at, 1}), 0
}

// Forget removes at most limit counters in which nothing counts any more, and says how many. Somebody must call it now and then:
// every new source makes a counter.
func Forget(ctx context.Context, db *store.DB, limit int) (n int, err error) {
	err = db.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		n = 0
		for rec, err := range counters.Scan(tx, store.Query{Index: "until", To: tx.Now(), Limit: limit}) {
			if err != nil {
				return err
			}
			if err := counters.Delete(tx, rec.ID, rec.Version); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}
