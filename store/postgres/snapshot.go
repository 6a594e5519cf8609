package postgres

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lifeline/store"
)

type recordKey struct{ kind, id string }

// snapshot reads within one transaction, on its one connection: a walk fetches a page, and only then hands out its rows, so that
// other reads can come between. The transaction begins with its first statement, in the same round trip.
type snapshot struct {
	ctx     context.Context
	engine  *Engine
	options pgx.TxOptions
	tables  map[string]*table
	conn    *pgxpool.Conn          // what end gives back; nil: the transaction has not begun
	tx      pgx.Tx                 // nil until then
	read    map[recordKey][][]byte // in an Update: the tuples of what was read, of kinds with unique indexes
	failed  error                  // the first statement that failed; the transaction is lost with it
	shared  bool                   // what is written is of several callers
	ahead   []statement            // what was foreseen and goes along with the next question
	told    []told                 // what was foreseen and is answered
}

// statement is one that reads.
type statement struct {
	table *table // whose records it gives; nil: it counts
	sql   string
	args  []any
}

// same says whether two ask the same. Arguments are bytes and numbers.
func (st statement) same(other statement) bool {
	return st.sql == other.sql && slices.EqualFunc(st.args, other.args, func(a, b any) bool {
		x, ok := a.([]byte)
		y, ok2 := b.([]byte)
		if ok && ok2 {
			return bytes.Equal(x, y)
		}
		return !ok && !ok2 && a == b
	})
}

// answer is what a statement found.
type answer struct {
	raws []store.Raw
	n    int
}

type told struct {
	statement
	answer
}

// ask runs a statement. What was foreseen goes along in the same round trip, and is not asked again.
func (s *snapshot) ask(st statement, doing string) (answer, error) {
	if s.failed != nil {
		return answer{}, s.failed
	}
	all := []statement{st}
	for i, known := range s.told {
		if st.same(known.statement) {
			s.told = slices.Delete(s.told, i, i+1)
			return known.answer, nil
		}
	}
	for _, other := range s.ahead {
		if !st.same(other) {
			all = append(all, other)
		}
	}
	s.ahead = nil
	answers := make([]answer, len(all))
	var err error
	if s.tx != nil && len(all) == 1 {
		rows, _ := s.tx.Query(s.ctx, st.sql, st.args...) // an error is also that of the rows
		answers[0], err = s.take(st, rows)
	} else {
		err = s.together(all, answers)
	}
	if err != nil {
		return answer{}, s.fail(err, doing)
	}
	for i, other := range all[1:] {
		s.told = append(s.told, told{other, answers[i+1]})
	}
	return answers[0], nil
}

// together asks everything in one round trip. A connection that turns out to be dead as the transaction begins is worth another try, since
// nothing has come of it.
func (s *snapshot) together(all []statement, answers []answer) error {
	for try := 0; ; try++ {
		begins := s.tx == nil
		err := s.send(func(batch *pgx.Batch) {
			for i, st := range all {
				batch.Queue(st.sql, st.args...).Query(func(rows pgx.Rows) (err error) {
					answers[i], err = s.take(st, rows)
					return err
				})
			}
		}, pgx.BatchResults.Close)
		if err == nil || s.failed != nil || !begins || !broken(err) || s.ctx.Err() != nil || try == 2 {
			return err
		}
		s.end()
	}
}

// send has a batch carried out, with the transaction's beginning where it has not begun, and read.
func (s *snapshot) send(fill func(*pgx.Batch), read func(pgx.BatchResults) error) error {
	var batch pgx.Batch
	if s.tx != nil {
		fill(&batch)
		results := s.tx.SendBatch(s.ctx, &batch)
		defer results.Close()
		return read(results)
	}
	conn, err := s.engine.acquire(s.ctx, s.engine.pool)
	if err != nil {
		s.failed = err
		return err
	}
	batch.BeginTx(s.options)
	fill(&batch)
	results := conn.SendBatch(s.ctx, &batch)
	defer results.Close()
	s.conn, s.tx = conn, results.Tx()
	if _, err := results.Exec(); err != nil {
		return err
	}
	return read(results)
}

// end gives up what was begun and not committed.
func (s *snapshot) end() {
	if s.conn == nil {
		return
	}
	rollback(s.ctx, s.tx)
	s.conn.Release()
	s.conn, s.tx = nil, nil
}

// take reads what a statement found.
func (s *snapshot) take(st statement, rows pgx.Rows) (a answer, err error) {
	defer rows.Close()
	for rows.Next() {
		if st.table == nil {
			if err := rows.Scan(&a.n); err != nil {
				return a, err
			}
			continue
		}
		raw, err := st.table.scan(rows)
		if err != nil {
			return a, err
		}
		s.note(st.table, raw)
		a.raws = append(a.raws, raw)
	}
	return a, rows.Err()
}

// Foresee implements store.Foresight.
func (s *snapshot) Foresee(r store.Range, count bool) {
	t, err := s.table(r.Kind)
	if err != nil {
		return // whoever asks is told
	}
	var st statement
	if count {
		st, err = t.counting(r)
	} else {
		st, _, err = t.walking(r, t.rowsOf(r.Limit))
	}
	if err == nil {
		s.ahead = append(s.ahead, st)
	}
}

// verdict is what a transaction whose function returned err came to. A failed statement weighs more than what the function made of it.
func (s *snapshot) verdict(err error) error {
	if s.failed != nil {
		return s.failed
	}
	return err
}

func (s *snapshot) fail(err error, doing string) error {
	if s.failed == nil {
		s.failed = outcome(s.ctx, err, doing)
	}
	return s.failed
}

func (s *snapshot) table(kind string) (*table, error) {
	if t := s.tables[kind]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("kind %q is not declared", kind)
}

func (s *snapshot) note(t *table, raw store.Raw) {
	if s.read != nil && t.hasUnique() {
		s.read[recordKey{t.kind.Name, raw.ID}] = raw.Tuples
	}
}

// Get implements store.Snapshot.
func (s *snapshot) Get(kind, id string) (store.Raw, error) {
	t, err := s.table(kind)
	if err != nil {
		return store.Raw{}, err
	}
	a, err := s.ask(statement{t, t.get, []any{[]byte(id)}}, "read a "+kind)
	if err != nil {
		return store.Raw{}, err
	}
	if len(a.raws) == 0 {
		return store.Raw{}, store.ErrNotFound
	}
	return a.raws[0], nil
}

// GetAll implements store.Snapshot.
func (s *snapshot) GetAll(kind string, ids []string) ([]store.Raw, error) {
	t, err := s.table(kind)
	if err != nil {
		return nil, err
	}
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = []byte(id)
	}
	a, err := s.ask(statement{t, t.getAll, []any{keys}}, "read "+kind+" records")
	return a.raws, err
}

// pageRows is how many records a walk fetches at a time, largeRows how many of a kind whose records are large, headRows the most of
// records without their bodies.
const (
	pageRows  = 256
	largeRows = 8
	headRows  = 4096
)

// Scan implements store.Snapshot.
func (s *snapshot) Scan(r store.Range) iter.Seq2[store.Raw, error] {
	return func(yield func(store.Raw, error) bool) {
		t, err := s.table(r.Kind)
		if err != nil {
			yield(store.Raw{}, err)
			return
		}
		left := r.Limit
		for most := pageRows; ; most = min(2*most, headRows) {
			page := t.rowsOf(left)
			if r.Heads && left == 0 {
				page = most
			}
			st, at, err := t.walking(r, page)
			var found answer
			if err == nil {
				found, err = s.ask(st, "walk "+r.Kind+" records")
			}
			if err != nil {
				yield(store.Raw{}, err)
				return
			}
			raws := found.raws
			for _, raw := range raws {
				if !yield(raw, nil) {
					return
				}
			}
			left -= len(raws)
			if len(raws) < page || r.Limit > 0 && left == 0 {
				return
			}
			last := raws[len(raws)-1]
			r.AfterID = last.ID
			if at >= 0 {
				r.AfterTuple = last.Tuples[at]
			}
		}
	}
}

// rowsOf is how many records a walk of which so many are left (0: all) fetches next.
func (t *table) rowsOf(left int) int {
	rows := pageRows
	if t.kind.Large {
		rows = largeRows
	}
	if left > 0 {
		rows = min(rows, left)
	}
	return rows
}

// walking reads the first rows of a range, and says at which tuple its order is, -1 for ids.
func (t *table) walking(r store.Range, rows int) (statement, int, error) {
	w, err := t.narrow(r)
	if err != nil {
		return statement{}, 0, err
	}
	columns := t.columns
	if r.Heads {
		columns = t.heads
	}
	sql := "SELECT " + columns + w.sql() + " ORDER BY " + w.order + " LIMIT " + w.bind(rows)
	return statement{t, sql, w.args}, w.at, nil
}

// counting counts a range.
func (t *table) counting(r store.Range) (statement, error) {
	w, err := t.narrow(r)
	if err != nil {
		return statement{}, err
	}
	sql := "SELECT count(*)" + w.sql()
	if r.Limit > 0 {
		sql = "SELECT count(*) FROM (SELECT 1" + w.sql() + " LIMIT " + w.bind(r.Limit) + ") counted"
	}
	return statement{nil, sql, w.args}, nil
}

// Count implements store.Snapshot.
func (s *snapshot) Count(r store.Range) (n int, err error) {
	t, err := s.table(r.Kind)
	if err != nil {
		return 0, err
	}
	st, err := t.counting(r)
	if err != nil {
		return 0, err
	}
	a, err := s.ask(st, "count "+r.Kind+" records")
	return a.n, err
}

// narrowed is a range as SQL.
type narrowed struct {
	table string
	at    int // the index's place, -1 for ids
	conds []string
	args  []any
	order string
}

func (w *narrowed) bind(v any) string {
	w.args = append(w.args, v)
	return fmt.Sprintf("$%d", len(w.args))
}

func (w *narrowed) sql() string {
	if len(w.conds) == 0 {
		return " FROM " + w.table
	}
	return " FROM " + w.table + " WHERE " + strings.Join(w.conds, " AND ")
}

func (t *table) narrow(r store.Range) (*narrowed, error) {
	w := &narrowed{table: t.name(), at: -1}
	key, keys := "id", []string{"id"}
	if r.Index != "" {
		for i, ix := range t.kind.Indexes {
			if ix.Name != r.Index {
				continue
			}
			w.at, key = i, column(ix)
			keys = []string{key, "id"}
			if ix.Unique {
				keys = keys[:1]
			}
		}
		if w.at < 0 {
			return nil, fmt.Errorf("kind %s has no index %q", r.Kind, r.Index)
		}
		w.conds = append(w.conds, key+" IS NOT NULL")
	} else if !r.Deleted {
		w.conds = append(w.conds, "deleted IS NULL")
	}
	// Behind a record the bound that lies before it says nothing more, and PostgreSQL would begin each page of a walk there (a btree starts
	// at the first condition on its first column), so that a walk of n pages would read n²/2.
	marked := w.at >= 0 && r.AfterID != ""
	if r.Lo != nil && !(marked && !r.Reverse && bytes.Compare(r.AfterTuple, r.Lo) >= 0) {
		w.conds = append(w.conds, key+" >= "+w.bind(r.Lo))
	}
	if r.Hi != nil && !(marked && r.Reverse && bytes.Compare(r.AfterTuple, r.Hi) < 0) {
		w.conds = append(w.conds, key+" < "+w.bind(r.Hi))
	}
	behind, direction := " > ", ""
	if r.Reverse {
		behind, direction = " < ", " DESC"
	}
	switch {
	case r.AfterID == "":
	case w.at < 0:
		w.conds = append(w.conds, "id"+behind+w.bind([]byte(r.AfterID)))
	default:
		w.conds = append(w.conds, "("+key+", id)"+behind+"("+w.bind(r.AfterTuple)+", "+w.bind([]byte(r.AfterID))+")")
	}
	w.order = strings.Join(keys, direction+", ") + direction
	return w, nil
}
