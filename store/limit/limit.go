// Package limit counts what strangers may do, in the store, so that replicas and restarts never multiply an allowance.
//
// A limit is exact and sliding: in no stretch of time as long as the period is more taken than allowed, at no boundary. The price is
// one small write for each thing that is allowed ([Take]), or a record more in a transaction that the caller makes anyway ([Look]). What is
// refused costs a read and no write, so a flood that a limit holds back never becomes a flood of commits. Large limits are kept
// coarsely: there what was taken may count up to a 32nd of the period longer than it should, never shorter.
//
// A limit that everybody shares would make all its takers wait for one record. [Lots] takes a share of it at once and hands that out from
// memory; the limit is still never exceeded.
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
	exact  = 64   // a limit up to this is kept exactly
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
		return take(ctx, db, key, 1, n, per)
	}
	var err error
	first := rand.IntN(shards)
	for i := range shards {
		at := (first + i) % shards
		share := n / shards
		if at < n%shards {
			share++
		}
		err = take(ctx, db, key+"\x00"+string(rune('a'+at)), 1, share, per)
		if fault.Of(err) != fault.TooMany {
			return err
		}
	}
	return err
}

// TakeSome takes some of the n things at once, or none of them. It counts what comes in sizes, such as the bytes that a source sends; n is not
// split, however large.
func TakeSome(ctx context.Context, db *store.DB, key string, some, n int, per time.Duration) error {
	if some <= 0 {
		return nil
	}
	if some > n || per <= 0 {
		return fault.New(fault.TooMany, "so many are not allowed here")
	}
	return take(ctx, db, key, some, n, per)
}

func take(ctx context.Context, db *store.DB, key string, some, n int, per time.Duration) error {
	var t Taking
	err := db.View(ctx, func(tx *store.Tx) (err error) {
		t, err = look(tx, key, some, Rule{n, per})
		return err
	})
	if err != nil {
		return err
	}
	return TakeFound(ctx, db, t)
}

// TakeFound takes what Look found free in a transaction of its own, all or nothing, as often as others are faster: for a transaction that was
// [Lost], which would else be lost again and again where many want the same.
func TakeFound(ctx context.Context, db *store.DB, found ...Taking) error {
	for try := 0; ; try++ {
		err := db.Update(ctx, store.Act{}, func(tx *store.Tx) error {
			for _, t := range found {
				if try > 0 { // another took at the same moment: now look in the transaction that takes
					var err error
					if t, err = t.again(tx); err != nil {
						return err
					}
				}
				if err := t.In(tx); err != nil {
					return err
				}
			}
			return nil
		})
		switch {
		case err == nil || !Lost(err):
			return err
		case try == tries:
			return fault.Wrap(fault.Unavailable, err, "too much is going on at once; try again in a moment")
		}
	}
}

// Rule allows N things within any stretch of time as long as Per.
type Rule struct {
	N   int
	Per time.Duration
}

// Taking is one thing that a key allows, found free and not taken yet.
type Taking struct {
	some  int
	at    store.Meta
	found counter
	rules []Rule
}

// Look finds out whether every one of the rules allows one more under a key; else it fails with fault.TooMany as Take does. Nothing is
// taken before the caller has [Taking.In] a transaction of its own. A key must always be used with the same rules, none of which is so large
// that Take would split it.
func Look(tx *store.Tx, key string, rules ...Rule) (Taking, error) { return look(tx, key, 1, rules...) }

// Foresee says that a Look under this key is about to come: see [store.Table.Foresee].
func Foresee(tx *store.Tx, key string) { counters.Foresee(tx, under(key).query()) }

// LookSome is Look for what comes in sizes: some of the things at once, or none of them.
func LookSome(tx *store.Tx, key string, some int, rules ...Rule) (Taking, error) {
	return look(tx, key, some, rules...)
}

func look(tx *store.Tx, key string, some int, rules ...Rule) (Taking, error) {
	t := under(key)
	t.rules, t.some = rules, some
	return t.again(tx)
}

// again looks once more at what t is about.
func (t Taking) again(tx *store.Tx) (Taking, error) {
	err := t.find(tx)
	if err != nil {
		return t, err
	}
	_, wait := add(t.found.Marks, want{tx.Now(), t.some, 0}, t.rules...)
	if wait > 0 {
		return t, tooMany(wait)
	}
	return t, nil
}

// In takes it in the transaction of what it is taken for. It reads nothing, and so does not make that transaction collide with others;
// when another took under the key since Look, the transaction fails and [Lost] says so of its error: look again, or [TakeFound].
func (t Taking) In(tx *store.Tx) error {
	marks, wait := add(t.found.Marks, want{tx.Now(), t.some, 0}, t.rules...)
	if wait > 0 { // the clock was set back since
		return tooMany(wait)
	}
	return t.put(tx, marks, tx.Now().Add(longest(t.rules)))
}

// Lost says of the error of a transaction with a Taking in it whether that may have come too late.
func Lost(err error) bool {
	kind := fault.Of(err)
	return kind == fault.Stale || kind == fault.Exists
}

func tooMany(wait time.Duration) error {
	return &fault.Error{Kind: fault.TooMany, Message: "too many requests; try again later", Wait: wait}
}

func under(key string) Taking {
	sum := sha256.Sum256([]byte(key))
	return Taking{found: counter{Key: hex.EncodeToString(sum[:])}}
}

func (t Taking) query() store.Query {
	return store.Query{Index: "key", Equal: []any{t.found.Key}, Limit: 1}
}

// find reads what was taken under t's key. Nobody has taken under most keys.
func (t *Taking) find(tx *store.Tx) error {
	rec, err := counters.First(tx, t.query())
	switch fault.Of(err) {
	case "":
		t.at, t.found = rec.Meta, rec.Value
	case fault.NotFound:
		t.at, t.found.Marks = store.Meta{ID: counters.NewID()}, nil
	default:
		return err
	}
	return nil
}

func (t Taking) put(tx *store.Tx, marks []mark, until time.Time) error {
	return counters.PutKnown(tx, t.at, counter{Key: t.found.Key, Marks: marks, Until: until})
}

func longest(rules []Rule) (per time.Duration) {
	for _, r := range rules {
		per = max(per, r.Per)
	}
	return per
}

// want is a number of things to be taken at a moment, which may be used until lasting behind it.
type want struct {
	at      time.Time
	n       int
	lasting time.Duration
}

// add decides whether so many more may be taken: the marks with them, or how long to wait.
func add(marks []mark, w want, rules ...Rule) (with []mark, wait time.Duration) {
	at, span := w.at.UnixMicro(), longest(rules).Microseconds()
	live := live(marks, at, span)
	most, grain := 0, span
	for _, r := range rules {
		wait = max(wait, r.wait(live, at, w.n))
		most, grain = max(most, r.N), min(grain, r.Per.Microseconds()/exact)
	}
	if wait > 0 {
		return nil, wait
	}
	until := at + w.lasting.Microseconds()
	if last := len(live) - 1; last >= 0 && (most > exact && at-live[last][0] < grain || len(live) >= 8*exact) {
		live[last][1] = max(until, live[last][1])
		live[last][2] += int64(w.n)
		return live, 0
	}
	return append(live, mark{at, until, int64(w.n)}), 0
}

// live is the marks that still count. What lies a whole period ahead was taken before the clock was set back; it would shut people out for
// longer than a period.
func live(marks []mark, at, span int64) []mark {
	return slices.DeleteFunc(slices.Clone(marks), func(m mark) bool { return m[1] <= at-span || m[1] >= at+span })
}

// wait is how long it takes until n more may be taken beside the marks; 0: they may be taken now.
func (r Rule) wait(marks []mark, at int64, n int) time.Duration {
	span, taken := r.Per.Microseconds(), 0
	var counts []mark
	for _, m := range marks {
		if m[1] > at-span {
			counts = append(counts, m)
			taken += int(m[2])
		}
	}
	if taken+n <= r.N {
		return 0
	}
	free := taken + n - r.N // how many must end first
	slices.SortFunc(counts, func(a, b mark) int { return cmp.Compare(a[1], b[1]) })
	for _, m := range counts {
		if free -= int(m[2]); free <= 0 {
			return time.Duration(m[1]+span-at) * time.Microsecond
		}
	}
	return r.Per
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
