package postgres

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"lifeline/store"
	"lifeline/store/fault"
)

// group is the writes to one kind, by what they do.
type group struct {
	table                             *table
	fences, removes, updates, inserts []store.Write
	leases                            []store.Write // touches that change lease columns
	free                              [][]byte      // ids that must let go of unique values first
}

// plan is statements that write and, of each, how many rows it must meet.
type plan []writing

type writing struct {
	sql     string
	args    []any
	rows    int
	refusal error // nil: any number will do
}

func (p *plan) add(sql string, rows int, refusal error, args ...any) {
	*p = append(*p, writing{sql, args, rows, refusal})
}

// apply carries the writes out in one batch. Each statement says by the number of rows it met whether the check it stands for
// held; the first that does not ends the transaction.
func (s *snapshot) apply(writes store.Writes) error {
	if s.failed != nil {
		return s.failed
	}
	groups, err := s.group(writes)
	if err != nil {
		return err
	}
	var p plan
	// What lets go comes before what takes, so that a unique value can change hands.
	for _, g := range groups {
		g.check(&p)
	}
	for _, g := range groups {
		g.let(&p)
	}
	for _, g := range groups {
		g.take(&p)
	}
	s.follow(&p, groups)
	if len(p) == 0 {
		return nil
	}
	var refusal error
	err = s.send(func(batch *pgx.Batch) {
		for _, w := range p {
			batch.Queue(w.sql, w.args...)
		}
	}, func(results pgx.BatchResults) error {
		for _, w := range p {
			tag, err := results.Exec()
			if err != nil {
				return err
			}
			if w.refusal != nil && tag.RowsAffected() != int64(w.rows) {
				refusal = w.refusal
				return nil
			}
		}
		return results.Close()
	})
	if err != nil {
		return s.refused(err)
	}
	return refusal
}

// refused names the record or the index that a unique violation is about.
func (s *snapshot) refused(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != uniqueViolation {
		return s.fail(err, "write")
	}
	t := s.tables[pg.TableName]
	if t == nil {
		return s.fail(err, "write")
	}
	for i, ix := range t.kind.Indexes {
		if t.indexName(i) == pg.ConstraintName {
			return fault.New(fault.Exists, "another %s has the same %s", t.kind.Name, ix.Name)
		}
	}
	return fault.New(fault.Exists, "the %s exists", t.kind.Name)
}

// group sorts the writes by kind and id, so that two transactions lock in the same order.
func (s *snapshot) group(writes store.Writes) ([]*group, error) {
	writes = slices.Clone(writes)
	slices.SortFunc(writes, func(a, b store.Write) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
	var groups []*group
	for i, w := range writes {
		if i == 0 || w.Kind != writes[i-1].Kind {
			t, err := s.table(w.Kind)
			if err != nil {
				return nil, err
			}
			groups = append(groups, &group{table: t})
		}
		if err := s.sort(groups[len(groups)-1], w); err != nil {
			return nil, err
		}
	}
	for _, g := range groups {
		s.findFree(g)
	}
	return groups, nil
}

func (s *snapshot) sort(g *group, w store.Write) error {
	if w.Lease != store.LeaseKeep {
		if !g.table.kind.Leased {
			return fault.New(fault.Fenced, "the lease on %s %s is no longer yours", w.Kind, w.ID)
		}
		g.fences = append(g.fences, w)
	}
	switch {
	case w.Touch && w.Lease == store.LeaseKeep:
		_, err := s.Get(w.Kind, w.ID)
		return err
	case w.Touch && w.Lease == store.LeaseFence:
	case w.Touch:
		g.leases = append(g.leases, w)
	case w.Remove:
		g.removes = append(g.removes, w)
	case w.Was == 0:
		g.inserts = append(g.inserts, w)
	default:
		g.updates = append(g.updates, w)
	}
	return nil
}

// findFree finds the updates whose old unique value another write of the group takes. What was not read in this transaction
// is taken to hold any value.
func (s *snapshot) findFree(g *group) {
	if s.shared || !g.table.hasUnique() || len(g.updates) == 0 || len(g.updates)+len(g.inserts) < 2 {
		return
	}
	type value struct {
		at    int
		tuple string
	}
	taken := map[value]string{}
	for _, w := range slices.Concat(g.updates, g.inserts) {
		for i, ix := range g.table.kind.Indexes {
			if ix.Unique && i < len(w.Tuples) && w.Tuples[i] != nil {
				taken[value{i, string(w.Tuples[i])}] = w.ID
			}
		}
	}
	for _, w := range g.updates {
		old, known := s.read[recordKey{w.Kind, w.ID}]
		free := !known
		for i, ix := range g.table.kind.Indexes {
			if ix.Unique && i < len(old) && old[i] != nil {
				by := taken[value{i, string(old[i])}]
				free = free || by != "" && by != w.ID
			}
		}
		if free {
			g.free = append(g.free, []byte(w.ID))
		}
	}
}

func (t *table) hasUnique() bool {
	return slices.ContainsFunc(t.kind.Indexes, func(ix store.Index) bool { return ix.Unique })
}

func (g *group) check(p *plan) {
	if n := len(g.fences); n > 0 {
		p.add(g.table.fence, n, g.refusal(fault.Fenced, g.fences, "the lease on it is no longer yours"),
			ids(g.fences), each(g.fences, func(w store.Write) []byte { return []byte(w.Holder) }), each(g.fences, func(w store.Write) int64 { return w.Epoch }))
	}
}

func (g *group) let(p *plan) {
	if n := len(g.removes); n > 0 {
		p.add(g.table.remove, n, g.refusal(fault.Stale, g.removes, "was changed meanwhile"), ids(g.removes), each(g.removes, was))
	}
	if len(g.free) > 0 {
		p.add(g.table.free, 0, nil, g.free)
	}
}

func (g *group) take(p *plan) {
	if n := len(g.updates); n > 0 {
		args := append(g.columns(g.updates), each(g.updates, was))
		if g.table.kind.Leased {
			args = append(args, each(g.updates, lasting), each(g.updates, renew))
		}
		p.add(g.table.update, n, g.refusal(fault.Stale, g.updates, "was changed meanwhile"), args...)
	}
	if n := len(g.leases); n > 0 {
		p.add(g.table.lease, n, g.refusal(fault.Fenced, g.leases, "the lease on it is no longer yours"), ids(g.leases),
			each(g.leases, lane), each(g.leases, due), each(g.leases, lasting), each(g.leases, renew))
	}
	if n := len(g.inserts); n > 0 {
		p.add(g.table.insert, n, g.refusal(fault.Exists, g.inserts, "exists"), g.columns(g.inserts)...)
	}
}

// columns is the arrays that insert and update share.
func (g *group) columns(ws []store.Write) []any {
	args := []any{
		ids(ws),
		each(ws, func(w store.Write) int64 { return w.Version }),
		each(ws, func(w store.Write) pgtype.Timestamptz { return pgtype.Timestamptz{Time: w.Created, Valid: true} }),
		each(ws, func(w store.Write) pgtype.Timestamptz { return pgtype.Timestamptz{Time: w.Updated, Valid: true} }),
		each(ws, func(w store.Write) pgtype.Timestamptz { return orNull(w.Deleted) }),
		each(ws, func(w store.Write) []byte { return w.Body }),
	}
	for i := range g.table.kind.Indexes {
		args = append(args, each(ws, func(w store.Write) []byte {
			if i < len(w.Tuples) {
				return w.Tuples[i]
			}
			return nil
		}))
	}
	if g.table.kind.Leased {
		args = append(args, each(ws, lane), each(ws, due))
	}
	return args
}

// refusal is the error of a statement that met fewer records than it should. Of several it cannot say which.
func (g *group) refusal(kind fault.Kind, ws []store.Write, why string) error {
	if len(ws) == 1 {
		return fault.New(kind, "%s %.80q: %s", g.table.kind.Name, ws[0].ID, why)
	}
	return fault.New(kind, "one of %d records of kind %s: %s", len(ws), g.table.kind.Name, why)
}

func each[T any](ws []store.Write, of func(store.Write) T) []T {
	out := make([]T, len(ws))
	for i, w := range ws {
		out[i] = of(w)
	}
	return out
}

func ids(ws []store.Write) [][]byte {
	return each(ws, func(w store.Write) []byte { return []byte(w.ID) })
}

func was(w store.Write) int64     { return w.Was }
func lane(w store.Write) []byte   { return []byte(w.Lane) }
func lasting(w store.Write) int64 { return int64(w.Lease) }
func renew(w store.Write) int64   { return w.Renew.Microseconds() }
func due(w store.Write) pgtype.Timestamptz {
	if !w.Deleted.IsZero() {
		return pgtype.Timestamptz{}
	}
	return orNull(w.Due)
}

func orNull(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t, Valid: !t.IsZero()}
}
