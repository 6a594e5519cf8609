// Package postgres is the store's engine on PostgreSQL 15 or later: several processes may share one database, and what
// was acknowledged survives each of them.
//
// Each kind is a table in the schema that the URL's search_path names. Caveats:
//
//   - Updates run serializable and are run again when the database asks for it, so their functions must touch nothing
//     but the transaction. Claims run read committed and skip what another worker has locked.
//   - Small Updates whose functions read nothing share a transaction, and so its outcome, with others of the process.
//   - An error while the answer to COMMIT is awaited, a cancelled context included, is of kind fault.Unknown.
//   - An acknowledged write is only as durable as the server is set to make it: see [Engine.Unsafe] and [Engine.Unreplicated].
//   - Nothing here needs advisory locks, LISTEN or sequences, so that compatible distributed databases can serve.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lifeline/store"
	"lifeline/store/fault"
)

// Options of Open. The zero value is right for production.
type Options struct {
	Log        *slog.Logger
	Conns      int32         // connections for reading and writing; 0: the URL's pool_max_conns, else 16
	ClaimConns int32         // connections kept apart for claims, so that intake cannot starve the workers; 0: 2
	Patience   time.Duration // how long a caller waits for a connection; 0: 2 s
}

// Engine keeps records in one PostgreSQL database. It implements store.Engine.
type Engine struct {
	pool     *pgxpool.Pool
	claims   *pgxpool.Pool
	log      *slog.Logger
	patience time.Duration
	several  bool // the URL names more than one server
	tables   atomic.Pointer[map[string]*table]
	follows  atomic.Bool   // there is an index of changes
	trimmed  atomic.Int64  // when this process last trimmed it, Unix seconds
	queue    chan *call    // small writers that wait for a shared commit
	turns    sync.Map      // by Act.Turn: a channel that holds a token while one of its acts is under way
	turn     chan struct{} // holds a token while one of those who lost too often tries again
	done     chan struct{}
	once     sync.Once
}

var _ store.Engine = (*Engine)(nil)

// Open connects to the database at url, a postgres:// URL or a key=value string as libpq takes it; several hosts with
// target_session_attrs=read-write follow a failover. A database that cannot be reached is fault.Unavailable.
func Open(ctx context.Context, url string, o Options) (*Engine, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Patience == 0 {
		o.Patience = 2 * time.Second
	}
	e := &Engine{log: o.Log, patience: o.Patience, queue: make(chan *call, longest), turn: make(chan struct{}, 1),
		done: make(chan struct{})}
	e.tables.Store(&map[string]*table{})
	var err error
	if e.pool, err = connect(ctx, url, o.Conns, 16, sessionSettings); err != nil {
		return nil, err
	}
	e.several = several(e.pool.Config().ConnConfig)
	claimConns := o.ClaimConns
	if claimConns == 0 {
		claimConns = 2
	}
	if e.claims, err = connect(ctx, url, claimConns, claimConns, append([]string{readCommitted}, sessionSettings...)); err != nil {
		e.pool.Close()
		return nil, err
	}
	probe, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := e.pool.Ping(probe); err != nil {
		_ = e.Close()
		return nil, fault.Wrap(fault.Unavailable, err, "reach the database")
	}
	for range hands {
		fault.Go(o.Log, "postgres writer", e.hand)
	}
	return e, nil
}

// sessionSettings keep the planner on indexes. A sequential scan of a small table would be as fast, but under
// serializable it reads, and so conflicts with, every row. Plans are made once per statement. Nothing is compiled: our statements are
// short, and where the planner is left with nothing but what was turned off, as for a count, its cost is so high that it would. No
// worker is started to share a statement: that alone takes ten milliseconds, and what the index of changes might give by its statistics is a million
// times what it gives.
var sessionSettings = []string{
	"SET max_parallel_workers_per_gather = 0",
	"SET enable_sort = off", // every walk has an index in its order; with no statistics yet, as just after a load, the server read and sorted all of a kind for each part of it
	"SET jit = off",
	"SET enable_seqscan = off",
	"SET enable_hashjoin = off",
	"SET enable_mergejoin = off",
	"SET plan_cache_mode = force_generic_plan",
}

const readCommitted = "SET default_transaction_isolation = 'read committed'"

func connect(ctx context.Context, url string, conns, standard int32, settings []string) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err) // pgx leaves the password out
	}
	switch {
	case conns != 0:
		c.MaxConns = conns
	case !namesPoolSize(url):
		c.MaxConns = standard
	}
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	if c.ConnConfig.RuntimeParams["application_name"] == "" {
		c.ConnConfig.RuntimeParams["application_name"] = "lifeline"
	}
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		for _, set := range settings {
			if _, err := conn.Exec(ctx, set); err != nil && broken(err) { // a database that lacks a setting does without
				return err
			}
		}
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "reach the database")
	}
	return pool, nil
}

// Close waits for the transactions under way and closes every connection.
func (e *Engine) Close() error {
	e.once.Do(func() { close(e.done) })
	e.claims.Close()
	e.pool.Close()
	return nil
}

// acquire takes a connection, waiting at the most as long as the engine's patience.
func (e *Engine) acquire(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	wait, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	conn, err := pool.Acquire(wait)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case wait.Err() != nil:
		return nil, fault.Wrap(fault.Unavailable, err, busy)
	}
	return nil, fault.Wrap(fault.Unavailable, err, "reach the database")
}

// View implements store.Engine. Its snapshot is that of its first question.
func (e *Engine) View(ctx context.Context, fn func(store.Snapshot) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := &snapshot{ctx: ctx, engine: e, options: pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, tables: *e.tables.Load()}
	defer s.end()
	err := fn(s)
	return s.verdict(err)
}

// rollback ends a transaction that was not committed, even under a context that is cancelled already.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // after a commit it does nothing; a connection that fails here is thrown away by the pool
}

// Who loses to other writers tries again for longestTurn: it costs less than being told to come back, and a slow machine may take a second
// for one try. From soreTries on it waits for its turn among those who lost as often: many writers of one record would otherwise refuse one
// another without end.
const (
	soreTries   = 5
	longestTurn = 10 * time.Second // until it, or an act that is called for its turn, is told that the store is busy
)

// Update implements store.Engine.
func (e *Engine) Update(ctx context.Context, fn func(store.Snapshot) (store.Writes, error)) error {
	leave, err := e.queueUp(ctx)
	if err != nil {
		return err
	}
	defer leave()
	began, alone, inTurn := time.Now(), false, false
	defer func() {
		if inTurn {
			<-e.turn
		}
	}()
	full := time.NewTimer(longestTurn)
	defer full.Stop()
	for try := 1; ; try++ {
		err := e.update(ctx, fn, alone)
		if errors.Is(err, errAlone) {
			alone = true
			continue
		}
		if !worthAnother(err) {
			return err
		}
		if try >= soreTries && !inTurn {
			select {
			case e.turn <- struct{}{}:
				inTurn = true
			case <-full.C:
				return fault.Wrap(fault.Unavailable, err, busy)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		long := longestTurn
		if broken(err) {
			long = e.patience
		}
		if time.Since(began) > long {
			return fault.Wrap(fault.Unavailable, err, busy)
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}

// queueUp waits for the caller's turn among acts of the same name.
func (e *Engine) queueUp(ctx context.Context) (leave func(), err error) {
	name := store.TurnOf(ctx)
	if name == "" {
		return func() {}, nil
	}
	turn, _ := e.turns.LoadOrStore(name, make(chan struct{}, 1))
	full := time.NewTimer(longestTurn)
	defer full.Stop()
	select {
	case turn.(chan struct{}) <- struct{}{}:
		return func() { <-turn.(chan struct{}) }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-full.C:
		return nil, errBusy
	}
}

// pause waits before another try, at random so that those who collided do not meet again: up to 1 ms, doubling to 64 ms.
func pause(ctx context.Context, try int) error {
	timer := time.NewTimer(rand.N(time.Millisecond << min(try-1, 6)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// update runs fn once. Its transaction begins with what it first reads. Small writes for which nothing was read are shared, unless alone.
func (e *Engine) update(ctx context.Context, fn func(store.Snapshot) (store.Writes, error), alone bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := &snapshot{ctx: ctx, engine: e, options: serializable, tables: *e.tables.Load(), read: map[recordKey][][]byte{}}
	defer s.end() // also when fn panics, which then goes on to the caller
	writes, err := fn(s)
	if err = s.verdict(err); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.tx == nil && !alone && len(writes) > 0 {
		if c := e.small(writes); c != nil {
			return e.share(ctx, c)
		}
	}
	if len(writes) > 0 {
		if err := s.apply(writes); err != nil {
			return err
		}
	}
	if s.tx == nil { // it neither read nor wrote
		return nil
	}
	return commit(ctx, s.tx, len(writes) > 0)
}

var serializable = pgx.TxOptions{IsoLevel: pgx.Serializable}

// commit asks for the outcome. Once COMMIT may have been sent, only an answer of the server makes it known.
func commit(ctx context.Context, tx pgx.Tx, wrote bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if tx.Conn().IsClosed() {
		return outcome(ctx, net.ErrClosed, "commit")
	}
	err := tx.Commit(ctx)
	if err == nil {
		return nil
	}
	if !wrote || certain(err) {
		return outcome(ctx, err, "commit")
	}
	return fault.Wrap(fault.Unknown, err, unknown)
}
