// Package store keeps records of declared kinds under one transaction API, on one of two engines, and
// knows nothing of what the records mean.
//
// Bodies are sealed before they reach an engine and look-ups by address go through blind indexes, so a copy of
// the data without the keys shows no name, address or message. Caveats that callers must know:
//
//   - The function given to [DB.Update] may run more than once and must touch nothing but its [Tx]. No network,
//     no channel, no clock but [Tx.Now].
//   - A nil error from Update means durable. An error of kind fault.Unknown means that nobody knows; retry under
//     the same idempotency key.
//   - A Tx buffers its writes, sees them itself, and hands them to the engine only when the function returned nil.
//   - Scans walk in key order. A page of a list is a keyset: pass the last record's [Rec.Cursor] as Query.After.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"lifeline/store/fault"
)

// Errors that callers compare with errors.Is; the ones returned carry more words.
var (
	ErrNotFound    error = &fault.Error{Kind: fault.NotFound}
	ErrExists      error = &fault.Error{Kind: fault.Exists}
	ErrConflict    error = &fault.Error{Kind: fault.Stale}
	ErrUnknown     error = &fault.Error{Kind: fault.Unknown}
	ErrFenced      error = &fault.Error{Kind: fault.Fenced}
	ErrUnavailable error = &fault.Error{Kind: fault.Unavailable}
)

// ErrNothing ends the function of an Update that turned out to have nothing to do, or was only a trial: nothing is written, no audit row either,
// and Update returns nil.
var ErrNothing = errors.New("nothing to write")

// Type is what a field of an index holds.
type Type int

// The field types. Text is at most 256 bytes; Blind is text that leaves the store only as a keyed hash, so it can
// be looked up by equality and nothing else.
const (
	Text Type = iota + 1
	Int
	Time
	Bool
	Blind
)

// Field is one part of an index's tuple.
type Field struct {
	Name string
	Type Type
}

// Index is one tuple per record; a unique index is unique among the records that are not deleted.
type Index struct {
	Name   string
	Fields []Field
	Unique bool
}

// Kind declares a sort of record.
type Kind struct {
	Name     string        // noun, singular, lower case
	Prefix   string        // of its ids: Prefix + "_" + TypeID suffix
	Schema   int           // in the seal's associated data
	Keep     time.Duration // retention of a soft delete; 0: Delete removes
	Leased   bool          // records can be claimed by workers
	Composed bool          // ids are built by the room (Prefix + "_" + parts), not made by NewID
	Followed bool          // what is written stands in the index of changes: see DB.Changes
	Large    bool          // records of hundreds of KiB: a walk fetches few at a time
	Indexes  []Index
}

func (k Kind) index(name string) (Index, error) {
	for _, ix := range k.Indexes {
		if ix.Name == name {
			return ix, nil
		}
	}
	return Index{}, fmt.Errorf("kind %s has no index %q", k.Name, name)
}

// indexAt is which of a kind's indexes has a name; -1: none, as for a walk in the order of ids.
func (k Kind) indexAt(name string) int {
	return slices.IndexFunc(k.Indexes, func(ix Index) bool { return ix.Name == name })
}

// Meta is what the store knows of a record besides its value.
type Meta struct {
	ID      string
	Version int64 // 1 for a new record, one more at each Put
	Created time.Time
	Updated time.Time
	Deleted time.Time // zero while it lives
	Lane    string    // leased kinds: which queue it waits in
	Due     time.Time // leased kinds: when it can be claimed; zero: never
	Holder  string    // leased kinds: who holds it
	Epoch   int64     // leased kinds: one more at each claim; a fence
}

// Clock tells the domain's time. A demo's runs fast; leases never use it.
type Clock func() time.Time

// Act is who does what in an Update: it becomes the audit row of that transaction. An Act without a Verb leaves no
// row: bookkeeping that no person would ask about, such as recording a delivery's outcome.
type Act struct {
	By     string // staff id, token name, "system:…"
	Verb   string // "incident.declare"
	Reason string
	// Turn names what acts that read one queue have in common: on an engine that would let them run at once, find that they had met and begin anew,
	// those of one process go one after the other. It is about speed only, and promises nothing.
	Turn string
	// Ahead says that the act's function reads nothing as a rule, and so means the same whenever it runs: it runs before the engine's turn for it has
	// come, beside those of others. If it does read it gets an error, which it must return, and runs anew in its turn. It too is about speed only.
	Ahead bool
}

type turnKey struct{}

// TurnOf is the Turn of the act that an engine's Update is called for; "": none.
func TurnOf(ctx context.Context) string {
	turn, _ := ctx.Value(turnKey{}).(string)
	return turn
}

// Lease asks for records that are due.
type Lease struct {
	Kind   string
	Lane   string
	Holder string
	For    time.Duration // wall time
	Limit  int
}

// Options of Open.
type Options struct {
	Keys  *Keys
	Kinds []Kind
	Clock Clock // nil: the wall clock
	// Others is how long other processes, if any have this store open, may go on with old keys after a rotation; 0: there are none.
	Others time.Duration
	// Refill is the tables whose indexes are others than in a release that is still in use.
	Refill []Refilled
}

// DB is a store: an engine, the keys, and the declared kinds. It is safe for concurrent use.
type DB struct {
	engine Engine
	keys   *Keys
	kinds  map[string]Kind
	clock  Clock
	others time.Duration

	oldestBlind atomic.Int32 // the oldest version of blind index that a record may still be found under
}

// Open readies an engine for the declared kinds and proves that the keys open what is stored: with a store that
// is not empty and other keys it refuses.
func Open(ctx context.Context, engine Engine, o Options) (*DB, error) {
	return open(ctx, engine, o, false)
}

// open opens, with restoring, also a store whose restore is not finished.
func open(ctx context.Context, engine Engine, o Options, restoring bool) (*DB, error) {
	db := newDB(engine, o)
	prefixes := map[string]string{}
	for _, k := range append(slices.Clone(o.Kinds), Kinds()...) {
		if _, dup := db.kinds[k.Name]; dup {
			return nil, fmt.Errorf("kind %q is declared twice", k.Name)
		}
		if other, dup := prefixes[k.Prefix]; dup {
			return nil, fmt.Errorf("kinds %q and %q share the prefix %q", k.Name, other, k.Prefix)
		}
		prefixes[k.Prefix] = k.Name
		db.kinds[k.Name] = k
	}
	all := make([]Kind, 0, len(db.kinds))
	for _, k := range db.kinds {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b Kind) int { return cmp.Compare(a.Name, b.Name) })
	if err := db.canRefill(ctx, o.Refill); err != nil {
		return nil, fmt.Errorf("ready the store: %w", err)
	}
	if _, err := engine.Migrate(ctx, all, false); err != nil {
		return nil, fmt.Errorf("ready the store: %w", err)
	}
	if err := db.checkKeys(ctx, restoring); err != nil {
		return nil, err
	}
	if err := db.refill(ctx, o.Refill); err != nil {
		return nil, fmt.Errorf("ready the store: %w", err)
	}
	return db, nil
}

func newDB(engine Engine, o Options) *DB {
	db := &DB{engine: engine, keys: o.Keys, kinds: map[string]Kind{}, clock: o.Clock, others: o.Others}
	if db.clock == nil {
		db.clock = time.Now
	}
	return db
}

// Fresh says whether nothing was ever kept in an engine, so that keys may be made for it.
func Fresh(ctx context.Context, engine Engine) (bool, error) {
	stored, err := engine.Stored(ctx)
	return err == nil && len(stored.Kinds) == 0, err
}

// Kinds lists the kinds that the store itself keeps.
func Kinds() []Kind {
	return []Kind{instances.Kind, auditRows.Kind, heads.Kind, rotations.Kind, custodians.Kind, approvals.Kind, replies.Kind, journal.Kind}
}

// Declared is every kind that this store was opened with, the store's own included.
func (db *DB) Declared() []Kind {
	var all []Kind
	for _, k := range db.kinds {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b Kind) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Now is the domain's time outside a transaction, in microseconds and UTC as records keep it.
func (db *DB) Now() time.Time { return db.clock().UTC().Truncate(time.Microsecond) }

// Close closes the engine.
func (db *DB) Close() error { return db.engine.Close() }

// View runs fn on one consistent snapshot. Writes inside are refused.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	oldest := int(db.oldestBlind.Load()) // before the snapshot, which may be of a moment before a re-sealing ended
	return db.engine.View(ctx, func(s Snapshot) error {
		return fn(&Tx{db: db, snap: s, now: db.Now(), oldest: oldest, readonly: true})
	})
}

// Update runs fn and applies what it wrote, all or nothing. fn may run again, and may end with ErrNothing.
func (db *DB) Update(ctx context.Context, act Act, fn func(*Tx) error) error {
	var after []func()
	once, _ := ctx.Value(onceKey{}).(*onceUse)
	if act.Verb == "" || once != nil && *once.used {
		once = nil
	}
	oldest := int(db.oldestBlind.Load()) // as in View
	if act.Turn != "" {
		ctx = context.WithValue(ctx, turnKey{}, act.Turn)
	}
	run := func(s Snapshot) (Writes, error) {
		tx := &Tx{db: db, snap: s, now: db.Now(), oldest: oldest, act: act}
		if err := fn(tx); err != nil {
			return nil, err
		}
		if err := tx.writeAudit(); err != nil {
			return nil, err
		}
		if once != nil {
			if err := once.write(tx); err != nil {
				return nil, err
			}
		}
		after = tx.after
		return tx.writes(), nil
	}
	if act.Ahead && once == nil { // under a key it reads whether that was used
		var s unread
		if writes, err := run(&s); !s.asked {
			run = func(Snapshot) (Writes, error) { return writes, err }
		}
	}
	err := db.engine.Update(ctx, run)
	if errors.Is(err, ErrNothing) {
		return nil
	}
	if err != nil {
		return err
	}
	if once != nil {
		*once.used = true
	}
	for _, f := range after {
		f()
	}
	return nil
}

// unread is the snapshot of a function that runs ahead: it refuses every question, and notes that there was one.
type unread struct{ asked bool }

var errUnread = errors.New("nothing can be read ahead of the transaction")

func (u *unread) refuse() error {
	u.asked = true
	return errUnread
}

func (u *unread) Get(string, string) (Raw, error)        { return Raw{}, u.refuse() }
func (u *unread) GetAll(string, []string) ([]Raw, error) { return nil, u.refuse() }
func (u *unread) Count(Range) (int, error)               { return 0, u.refuse() }
func (u *unread) Scan(Range) iter.Seq2[Raw, error] {
	return func(yield func(Raw, error) bool) { yield(Raw{}, u.refuse()) }
}

// Claim leases due records to l.Holder, oldest due first, in a short transaction of its own; each claim adds one to
// the record's epoch. Only the lease columns change: versions stay.
func (db *DB) Claim(ctx context.Context, l Lease) ([]Meta, error) {
	k, ok := db.kinds[l.Kind]
	if !ok || !k.Leased {
		return nil, fmt.Errorf("kind %q cannot be claimed", l.Kind)
	}
	raws, err := db.engine.Claim(ctx, l)
	if err != nil {
		return nil, err
	}
	metas := make([]Meta, len(raws))
	for i, r := range raws {
		metas[i] = r.Meta
	}
	return metas, nil
}

// Engine is everything that is written twice. Bodies and tuples are opaque bytes to it.
type Engine interface {
	// View runs fn on one consistent snapshot.
	View(ctx context.Context, fn func(Snapshot) error) error
	// Update runs fn, checks every Write against its Was and its unique tuples, and applies all or none.
	// It may run fn again. A nil error means durable.
	Update(ctx context.Context, fn func(Snapshot) (Writes, error)) error
	// Claim leases due, live records of a lane, oldest first, in its own transaction, by wall time.
	Claim(ctx context.Context, l Lease) ([]Raw, error)
	// Changes names the records of followed kinds that became visible since a mark: see DB.Changes.
	Changes(ctx context.Context, since string) (Changes, error)
	// Migrate readies the engine for the kinds and says what it did, or with dry would do.
	// Indexes of a kind that holds records may change with a higher Schema: their places are then made, and the kind is Unfilled.
	Migrate(ctx context.Context, kinds []Kind, dry bool) ([]string, error)
	// Stored says what was readied before; an engine of a newer Lifeline is refused.
	Stored(ctx context.Context) (Stored, error)
	// Filled says that a kind is no longer Unfilled.
	Filled(ctx context.Context, kind string) error
	Close() error
}

// Snapshot is what a transaction reads.
type Snapshot interface {
	// Get reads a record, deleted or not; ErrNotFound.
	Get(kind, id string) (Raw, error)
	// GetAll reads those of some records that there are, deleted or not, in no order: one question to the engine, however many they are.
	GetAll(kind string, ids []string) ([]Raw, error)
	// Scan walks a range in key order, or backwards. Rows are valid only until the next step.
	Scan(Range) iter.Seq2[Raw, error]
	Count(Range) (int, error)
}

// Foresight is a Snapshot to which every question is a way to another machine: what will be asked goes along with the next one. It changes nothing
// of what is read.
type Foresight interface {
	Foresee(r Range, count bool)
}

// Raw is a record as an engine keeps it.
type Raw struct {
	Meta
	Body   []byte
	Tuples [][]byte // by position in Kind.Indexes; nil: not in that index
}

// Range is a part of a kind's records in the order of one index, or of ids when Index is "".
type Range struct {
	Kind       string
	Index      string
	Lo, Hi     []byte // inclusive, exclusive; nil is open. Tuples of the index, or ids
	AfterTuple []byte // with AfterID: continue behind this record, in the direction of the walk
	AfterID    string
	Limit      int // 0: all
	Reverse    bool
	Deleted    bool // id order only: deleted records too
	Heads      bool // Body may be left out: most of these records are known
}

// Writes is what a transaction changes, at most one Write per record.
type Writes []Write

// Lasting says what a Write does to the lease columns of a record of a leased kind.
type Lasting int

// What becomes of a lease.
const (
	LeaseKeep    Lasting = iota // a held record keeps its lease; one that nobody holds takes Lane and Due from the Write
	LeaseFence                  // as LeaseKeep, but first Holder and Epoch must be the engine's, else ErrFenced
	LeaseRelease                // after the same check the holder is cleared, and Lane and Due come from the Write
	LeaseRenew                  // after the same check the engine's due time becomes its wall time plus Renew
)

// Write puts or removes one record. The engine refuses it with ErrConflict unless the record has version Was (0: does not
// exist, else ErrExists), and with ErrExists when a unique tuple belongs to another live record. It keeps Meta.Version as given.
type Write struct {
	Kind string
	Raw
	Was    int64
	Remove bool
	Touch  bool // lease columns only: body, tuples and version stay, Was is not checked
	Lease  Lasting
	Renew  time.Duration
}
