package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lifeline/store"
)

type recordKey struct{ kind, id string }

// snapshot reads within one transaction, on its one connection: a walk fetches a page, and only then hands out its rows, so that
// other reads can come between.
type snapshot struct {
	ctx    context.Context
	tx     pgx.Tx
	tables map[string]*table
	read   map[recordKey][][]byte // in an Update: the tuples of what was read, of kinds with unique indexes
	failed error                  // the first statement that failed; the transaction is lost with it
	begin  func() error           // of an Update: sets conn and tx, before the first statement
	conn   *pgxpool.Conn          // what end gives back
	shared bool                   // what is written is of several callers
}

// ready begins the transaction of an Update if it has not begun, and says why no statement can be run.
func (s *snapshot) ready() error {
	if s.failed == nil && s.tx == nil {
		s.failed = s.begin()
	}
	return s.failed
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
	if err := s.ready(); err != nil {
		return store.Raw{}, err
	}
	raw, err := t.scan(s.tx.QueryRow(s.ctx, t.get, []byte(id)))
	if errors.Is(err, pgx.ErrNoRows) {
		return store.Raw{}, store.ErrNotFound
	}
	if err != nil {
		return store.Raw{}, s.fail(err, "read a "+kind)
	}
	s.note(t, raw)
	return raw, nil
}

// GetAll implements store.Snapshot.
func (s *snapshot) GetAll(kind string, ids []string) ([]store.Raw, error) {
	t, err := s.table(kind)
	if err != nil {
		return nil, err
	}
	if err := s.ready(); err != nil {
		return nil, err
	}
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = []byte(id)
	}
	found, err := s.tx.Query(s.ctx, t.getAll, keys)
	if err != nil {
		return nil, s.fail(err, "read "+kind+" records")
	}
	return s.collect(t, found, "read "+kind+" records")
}

// collect takes what a statement found.
func (s *snapshot) collect(t *table, found pgx.Rows, doing string) ([]store.Raw, error) {
	defer found.Close()
	var raws []store.Raw
	for found.Next() {
		raw, err := t.scan(found)
		if err != nil {
			return nil, s.fail(err, doing)
		}
		s.note(t, raw)
		raws = append(raws, raw)
	}
	if err := found.Err(); err != nil {
		return nil, s.fail(err, doing)
	}
	return raws, nil
}

// pageRows is how many records a walk fetches at a time, largeRows how many of a kind whose records are large.
const (
	pageRows  = 256
	largeRows = 8
)

// Scan implements store.Snapshot.
func (s *snapshot) Scan(r store.Range) iter.Seq2[store.Raw, error] {
	return func(yield func(store.Raw, error) bool) {
		left := r.Limit
		for {
			page := pageRows
			if t, err := s.table(r.Kind); err == nil && t.kind.Large {
				page = largeRows
			}
			if r.Limit > 0 {
				page = min(page, left)
			}
			raws, at, err := s.page(r, page)
			if err != nil {
				yield(store.Raw{}, err)
				return
			}
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

// page reads the first rows of a range, and says at which tuple its order is, -1 for ids.
func (s *snapshot) page(r store.Range, rows int) ([]store.Raw, int, error) {
	t, err := s.table(r.Kind)
	if err != nil {
		return nil, 0, err
	}
	w, err := t.narrow(r)
	if err != nil {
		return nil, 0, err
	}
	if err := s.ready(); err != nil {
		return nil, 0, err
	}
	found, err := s.tx.Query(s.ctx, "SELECT "+t.columns+w.sql()+" ORDER BY "+w.order+" LIMIT "+w.bind(rows), w.args...)
	if err != nil {
		return nil, 0, s.fail(err, "walk "+r.Kind+" records")
	}
	raws, err := s.collect(t, found, "walk "+r.Kind+" records")
	return raws, w.at, err
}

// Count implements store.Snapshot.
func (s *snapshot) Count(r store.Range) (n int, err error) {
	t, err := s.table(r.Kind)
	if err != nil {
		return 0, err
	}
	w, err := t.narrow(r)
	if err != nil {
		return 0, err
	}
	if err := s.ready(); err != nil {
		return 0, err
	}
	sql := "SELECT count(*)" + w.sql()
	if r.Limit > 0 {
		sql = "SELECT count(*) FROM (SELECT 1" + w.sql() + " LIMIT " + w.bind(r.Limit) + ") counted"
	}
	if err := s.tx.QueryRow(s.ctx, sql, w.args...).Scan(&n); err != nil {
		return 0, s.fail(err, "count "+r.Kind+" records")
	}
	return n, nil
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
