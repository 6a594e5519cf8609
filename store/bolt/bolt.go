// Package bolt is the store's embedded engine: one bbolt file, one process, every acknowledged write on disk.
//
// Many small writers share a commit: whoever finds the writer idle becomes its leader and takes along all that queue meanwhile, with
// no timer. A function that fails leaves no trace, because it only reads; its writes are applied after all of them were
// checked. A failed commit is unknown, not failed: the engine then refuses further writes until it is opened again. Only a full disk
// is known to have kept nothing, and waited out.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bbolt "go.etcd.io/bbolt"

	"lifeline/store"
	"lifeline/store/fault"
)

// Options of Open. The zero value is right for production.
type Options struct {
	Log         *slog.Logger
	InitialMmap int           // bytes of address space reserved at open; 0: 10 GiB
	Queue       int           // writers that may wait for a commit; 0: 4096
	Patience    time.Duration // how long a writer waits before it is told to try again; 0: 2 s
	Solo        bool          // a commit for each writer: only to measure what sharing gains
}

// Engine keeps records in one file. It implements store.Engine.
type Engine struct {
	db       *bbolt.DB
	log      *slog.Logger
	patience time.Duration
	solo     bool
	kinds    atomic.Pointer[map[string]store.Kind] // replaced whole: a second Migrate meets writers at work

	queue chan *call
	done  chan struct{}
	once  sync.Once

	trail trail // what was written to followed kinds since the file was opened

	mu     sync.Mutex
	broken error     // why no writes are taken: after a commit of unknown outcome for good, on a full disk for a while
	until  time.Time // when to try again; zero: never
}

var _ store.Engine = (*Engine)(nil)

// Open opens or makes the file at path. A file in use by another process is refused after 2 s.
func Open(path string, o Options) (*Engine, error) {
	if o.InitialMmap == 0 {
		o.InitialMmap = 10 << 30
	}
	if o.Queue == 0 {
		o.Queue = 4096
	}
	if o.Patience == 0 {
		o.Patience = 2 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("make the store: %w", err)
	}
	warm(path)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         2 * time.Second,
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: o.InitialMmap,
		NoStatistics:    true,
	})
	if errors.Is(err, bbolt.ErrTimeout) {
		return nil, fault.New(fault.Unavailable, "the store %s is in use by another process", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", path, err)
	}
	if err := settle(path, db.Info().PageSize); err != nil && !full(err) { // where there is no room it can still be read
		return nil, errors.Join(fmt.Errorf("keep what the store %s shows: %w", path, err), db.Close())
	}
	e := &Engine{db: db, log: o.Log, patience: o.Patience, solo: o.Solo,
		queue: make(chan *call, o.Queue), done: make(chan struct{})}
	e.kinds.Store(&map[string]store.Kind{})
	fault.Go(o.Log, "bolt writer", e.write)
	return e, nil
}

// create makes a new file under another name, syncs it and renames it into place: power lost while bbolt writes its first pages
// would otherwise leave a file that nobody can open. A file that is there may have been named by a process that was killed before the name
// lasted.
func create(path string) error {
	if _, err := os.Stat(path); err == nil {
		return syncDir(filepath.Dir(path))
	}
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := bbolt.Open(tmp, 0o600, &bbolt.Options{Timeout: 2 * time.Second})
	if err != nil {
		return err
	}
	if err := errors.Join(db.Sync(), db.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// settle makes what a file shows last. When the sync of a commit's last page failed in a process before, the system may show that page
// without ever having written it, and takes it for clean (https://wiki.postgresql.org/wiki/Fsync_Errors). So the two pages that say which
// commit counts are written once more, as they are; one torn by a power cut meanwhile is told by its checksum, and the other one counts.
func settle(path string, pageSize int) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	metas := make([]byte, 2*pageSize)
	if _, err := f.ReadAt(metas, 0); err != nil {
		return err
	}
	if _, err := f.WriteAt(metas, 0); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes the names in a directory survive a power cut.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// warm reads the file in order, so that the scan at open finds it in memory; a page at a time would take a minute a gigabyte.
func warm(path string) {
	if f, err := os.Open(path); err == nil {
		_, _ = io.Copy(io.Discard, f)
		f.Close()
	}
}

// Close waits for the writers under way and closes the file.
func (e *Engine) Close() error {
	e.once.Do(func() { close(e.done) })
	return e.db.Close()
}

// View implements store.Engine.
func (e *Engine) View(ctx context.Context, fn func(store.Snapshot) error) error {
	return e.view(ctx, func(tx *bbolt.Tx) error { return fn(snapshot{tx: tx, kinds: *e.kinds.Load()}) })
}

func (e *Engine) view(ctx context.Context, fn func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := e.db.Begin(false)
	if errors.Is(err, bbolt.ErrDatabaseNotOpen) {
		return errClosed
	}
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return fn(tx)
}

// call is one Update or Claim on its way to its commit.
type call struct {
	ctx    context.Context
	fn     func(store.Snapshot) (store.Writes, error)
	claim  func(*bbolt.Tx) error // instead of fn
	since  time.Time
	stage  atomic.Int32
	result chan error
	panic  any
	wrote  []string // the records of followed kinds that fn writes
}

// The stages of a call. Whoever moves it out of waiting decides: the writer, which then runs its function, or its caller, who leaves.
// While it runs the caller stays, because the function is the caller's memory.
const (
	waiting int32 = iota
	running
	settled // its function has ended and its writes wait for the group's commit
	left
)

func (c *call) leave() bool { return c.stage.CompareAndSwap(waiting, left) }

// Update implements store.Engine.
func (e *Engine) Update(ctx context.Context, fn func(store.Snapshot) (store.Writes, error)) error {
	return e.do(&call{ctx: ctx, fn: fn})
}

var (
	errClosed = fault.New(fault.Unavailable, "the store is closed")
	errBusy   = fault.New(fault.Unavailable, "the store is busy; try again in a moment")
)

const unknown = "nobody knows whether this was kept; it is safe to retry with the same idempotency key"

func (e *Engine) do(c *call) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.since = time.Now()
	c.result = make(chan error, 1)
	select {
	case <-e.done:
		return errClosed
	default:
	}
	select {
	case e.queue <- c:
	case <-e.done:
		return errClosed
	default:
		return errBusy
	}
	err := e.await(c)
	if c.panic != nil {
		panic(c.panic)
	}
	return err
}

// await stays with a call until its outcome is known. It leaves while the call still waits for its turn, and when the caller has
// gone and the commit hangs.
func (e *Engine) await(c *call) error {
	patience := time.NewTimer(e.patience)
	defer patience.Stop()
	gone, closed := c.ctx.Done(), e.done
	for {
		select {
		case err := <-c.result:
			return err
		case <-gone:
			if c.leave() {
				return c.ctx.Err()
			}
			gone = nil
		case <-closed:
			if c.leave() {
				return errClosed
			}
			closed = nil
		case <-patience.C:
			if c.leave() {
				return errBusy
			}
			if err := c.ctx.Err(); err != nil && c.stage.Load() == settled {
				return fault.Wrap(fault.Unknown, err, unknown)
			}
			patience.Reset(e.patience)
		}
	}
}

// most is how many writers share a commit at the most: a bound on how much one failed sync leaves unknown.
const most = 512

// write is the one writer. It takes what waits, commits it together, and answers.
func (e *Engine) write() {
	group := make([]*call, 0, most)
	for {
		group = group[:0]
		select {
		case c := <-e.queue:
			group = append(group, c)
		case <-e.done:
			e.refuseRest()
			return
		}
		if !e.solo {
			group = e.gather(group)
		}
		e.commit(group)
	}
}

// gather takes along all that wait. It lets others run before it takes the queue to be empty: those whom the last commit answered are
// about to ask again, and would else wait for a commit of the fastest alone.
func (e *Engine) gather(group []*call) []*call {
	for yielded := false; len(group) < most; {
		select {
		case c := <-e.queue:
			group, yielded = append(group, c), false
			continue
		default:
		}
		if yielded {
			break
		}
		runtime.Gosched()
		yielded = true
	}
	return group
}

func (e *Engine) refuseRest() {
	for {
		select {
		case c := <-e.queue:
			c.result <- errClosed
		default:
			return
		}
	}
}

func (e *Engine) commit(group []*call) {
	if err := e.ok(); err != nil {
		answer(group, err)
		return
	}
	tx, err := e.db.Begin(true)
	if err != nil {
		answer(group, fault.Wrap(fault.Unavailable, err, "begin a transaction"))
		return
	}
	whole := false
	defer func() { // bbolt panics on a page that makes no sense
		if whole {
			return
		}
		err := fmt.Errorf("panic: %v", recover())
		e.log.Error("the store's file could not be written", "err", err, "stack", string(debug.Stack()))
		answer(group, e.broke(err))
		_ = tx.Rollback()
	}()
	e.together(tx, group)
	whole = true
}

// together runs a group's calls in one transaction, commits it and answers them.
func (e *Engine) together(tx *bbolt.Tx, group []*call) {
	applied := group[:0:0]
	for _, c := range group {
		if !c.stage.CompareAndSwap(waiting, running) {
			continue
		}
		wrote, err := e.run(tx, c)
		if errors.Is(err, errHalf) { // the pages in memory are no longer whole
			_ = tx.Rollback()
			answer(group, fault.Wrap(fault.Unavailable, err, "write to the store"))
			return
		}
		if err != nil || !wrote {
			c.result <- err
			continue
		}
		c.stage.Store(settled)
		applied = append(applied, c)
	}
	if len(applied) == 0 {
		_ = tx.Rollback()
		return
	}
	id := tx.ID()
	err := tx.Commit()
	switch {
	case err == nil:
		e.trail.note(applied)
		e.wrote()
		answer(applied, nil)
	case full(err) && !e.shows(id):
		answer(applied, e.rest(err))
	default:
		e.trail.note(applied) // perhaps it stands
		e.log.Error("commit failed: its outcome is unknown and the store takes no more writes", "err", err)
		answer(applied, e.broke(err))
	}
}

// full says that a write found no room. It is no word of a failing disk, unlike an error of a sync.
func full(err error) bool {
	var at *os.PathError
	return errors.As(err, &at) && (errors.Is(at, syscall.ENOSPC) || errors.Is(at, syscall.EDQUOT))
}

// shows says whether a transaction of that id, or a later one, is what readers see.
func (e *Engine) shows(id int) bool {
	tx, err := e.db.Begin(false)
	if err != nil {
		return true // at the worst
	}
	defer tx.Rollback()
	return tx.ID() >= id
}

// retryFull is how long no write is tried after one that found the disk full: after each, bbolt reads its whole file.
const retryFull = time.Second

func (e *Engine) rest(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken == nil {
		e.log.Error("the disk is full: nothing more is kept until there is room", "err", err)
	}
	e.broken = fault.Wrap(fault.Unavailable, fmt.Errorf("%w: %w", fault.ErrFull, err), "this was not kept, for the disk is full; try again later")
	e.until = time.Now().Add(retryFull)
	return e.broken
}

func (e *Engine) wrote() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken != nil {
		e.log.Info("the disk has room again")
	}
	e.broken, e.until = nil, time.Time{}
}

// broke ends all writing, since what the file holds can no longer be told, and is the answer to those whose commit it was.
func (e *Engine) broke(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.until = time.Time{}
	e.broken = fault.Wrap(fault.Unavailable, err, "the store stopped writing after a commit failed; restart to check it")
	return fault.Wrap(fault.Unknown, err, unknown)
}

// ok is why no write can be tried now.
func (e *Engine) ok() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.until.IsZero() && time.Now().After(e.until) {
		return nil
	}
	return e.broken
}

// Unsafe says why writes are not durable or not taken now; empty when all is well.
func (e *Engine) Unsafe(context.Context) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken != nil {
		return []string{e.broken.Error()}
	}
	return nil
}

func answer(group []*call, err error) {
	for _, c := range group {
		select {
		case c.result <- err:
		default: // answered already
		}
	}
}

// errHalf marks an error after the first change of a call was applied.
var errHalf = errors.New("half applied")

// run executes one call within the group's transaction.
func (e *Engine) run(tx *bbolt.Tx, c *call) (wrote bool, err error) {
	if err := c.ctx.Err(); err != nil {
		return false, err
	}
	if time.Since(c.since) > e.patience {
		return false, errBusy
	}
	if c.claim != nil {
		return true, c.claim(tx)
	}
	writes, err := c.ask(snapshot{tx: tx, kinds: *e.kinds.Load()})
	if err != nil || len(writes) == 0 {
		return false, err
	}
	if err := c.ctx.Err(); err != nil {
		return false, err
	}
	plan, err := e.check(tx, writes)
	if err != nil {
		return false, err
	}
	for _, ch := range plan {
		if ch.kind.Followed {
			c.wrote = append(c.wrote, ch.id)
		}
	}
	return true, apply(tx, plan)
}

// ask runs the caller's function; its panic stays the caller's own.
func (c *call) ask(s store.Snapshot) (writes store.Writes, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.panic, err = p, errors.New("panic")
		}
	}()
	return c.fn(s)
}
