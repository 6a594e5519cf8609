package postgres

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeline/store"
)

// The index of changes is one row for each write to a followed kind, under the id of its transaction. A mark is the snapshot in which it was
// taken, so that what became visible since is exactly what that snapshot did not show: no clock decides it, and no window has to be
// longer than the longest transaction. Rows are written blind, at the end of their transaction, and read outside of serializable ones, so
// they make nobody run again.

const changesTable = "lifeline_changes"

var createChanges = []string{
	"CREATE TABLE " + changesTable + " (xact xid8 NOT NULL, at timestamptz NOT NULL, id bytea NOT NULL)",
	"CREATE INDEX " + changesTable + "_xact ON " + changesTable + " (xact, id)",
	"CREATE INDEX " + changesTable + "_at ON " + changesTable + " (at)",
}

const (
	addChanges = "INSERT INTO " + changesTable + " (xact, at, id) SELECT pg_current_xact_id(), clock_timestamp(), id FROM unnest($1::bytea[]) t (id)"
	markNow    = "SELECT pg_current_snapshot()::text, extract(epoch FROM clock_timestamp())::bigint"
	readSince  = "SELECT DISTINCT id FROM " + changesTable +
		" WHERE xact >= pg_snapshot_xmin($1::text::pg_snapshot) AND NOT pg_visible_in_snapshot(xact, $1::text::pg_snapshot) LIMIT $2"
	rewound = "pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax($1::text::pg_snapshot)"
	// One statement, and so one snapshot for all: what the new mark shows is what is told. A search asks it each time, and waits.
	changesSince = markNow + ", " + rewound + ", ARRAY(" + readSince + ")"
	trimChanges  = "DELETE FROM " + changesTable + " WHERE at < clock_timestamp() - $1::bigint * interval '1 second'"
)

// Changes are kept for keepChanges, and a mark holds for markHolds: long before what it asks for could be gone.
const (
	keepChanges = time.Hour
	markHolds   = 45 * time.Minute
	trimEach    = 10 * time.Minute
)

// indexed says whether an index of changes is to be kept, and whether there is one. Compatible databases that know no ids of transactions
// cannot keep it; they tell nothing.
func (m *migration) indexed(kinds []store.Kind) (wanted, has bool, err error) {
	if !slices.ContainsFunc(kinds, func(k store.Kind) bool { return k.Followed }) {
		return false, false, nil
	}
	var types, tables int
	if err := m.ask(&types, "SELECT count(*) FROM pg_catalog.pg_type WHERE typname = 'xid8'"); err != nil {
		return false, false, err
	}
	err = m.ask(&tables, "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = '"+changesTable+"'")
	return types > 0, tables > 0, err
}

// follow writes the index of changes for what the groups write.
func (s *snapshot) follow(p *plan, groups []*group) {
	var written [][]byte
	for _, g := range groups {
		if g.table.followed {
			written = slices.Concat(written, ids(g.removes), ids(g.updates), ids(g.inserts))
		}
	}
	if len(written) > 0 {
		p.add(addChanges, 0, nil, written)
	}
}

// Changes implements store.Engine.
func (e *Engine) Changes(ctx context.Context, since string) (c store.Changes, err error) {
	if !e.follows.Load() {
		return store.Changes{Lost: true}, nil
	}
	conn, err := e.acquire(ctx, e.pool)
	if err != nil {
		return c, err
	}
	defer conn.Release()
	var now int64
	seen, then := parseMark(since)
	if seen == "" {
		if err := conn.QueryRow(ctx, markNow).Scan(&c.Next, &now); err != nil {
			return c, outcome(ctx, err, "ask what changed")
		}
		c.Lost = true
	} else {
		var ids [][]byte
		if err := conn.QueryRow(ctx, changesSince, seen, store.MostChanges+1).Scan(&c.Next, &now, &c.Lost, &ids); err != nil {
			return c, outcome(ctx, err, "ask what changed")
		}
		if c.Lost = c.Lost || now-then > int64(markHolds/time.Second) || len(ids) > store.MostChanges; !c.Lost {
			for _, id := range ids {
				c.IDs = append(c.IDs, string(id))
			}
		}
	}
	c.Next += "@" + strconv.FormatInt(now, 10)
	return c, e.trim(ctx, conn.Conn(), now)
}

func parseMark(mark string) (seen string, at int64) {
	seen, when, _ := strings.Cut(mark, "@")
	at, err := strconv.ParseInt(when, 10, 64)
	if err != nil {
		return "", 0
	}
	return seen, at
}

// trim takes out what no mark asks for any more.
func (e *Engine) trim(ctx context.Context, conn *pgx.Conn, now int64) error {
	last := e.trimmed.Load()
	if now-last < int64(trimEach/time.Second) || !e.trimmed.CompareAndSwap(last, now) {
		return nil
	}
	if _, err := conn.Exec(ctx, trimChanges, int64(keepChanges/time.Second)); err != nil {
		return outcome(ctx, err, "trim the index of changes")
	}
	return nil
}
