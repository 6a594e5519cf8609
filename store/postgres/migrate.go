package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/jackc/pgx/v5"

	"lifeline/store"
)

// metaTable has one row per fact about the store: its format, and the declared kinds as JSON.
const metaTable = "lifeline_meta"

// format is the layout of tables that this binary writes.
const format = 1

// meta is what the database says about itself.
type meta struct {
	Format int                   `json:"format"`
	Kinds  map[string]store.Kind `json:"kinds"`
	// Unfilled is the kinds with a new index that may lack records.
	Unfilled []string `json:"unfilled,omitempty"`
}

// Migrate implements store.Engine: a table for each new kind. The indexes of a kind that holds records may change with a higher schema only.
// What a newer Lifeline wrote is refused. Several processes may start at once; a row lock lets one after another through.
func (e *Engine) Migrate(ctx context.Context, kinds []store.Kind, dry bool) ([]string, error) {
	tables := map[string]*table{}
	for _, k := range kinds {
		t, err := newTable(k)
		if err != nil {
			return nil, err
		}
		tables[k.Name] = t
	}
	var steps []string
	for try := 1; ; try++ {
		var err error
		if steps, err = e.migrate(ctx, kinds, tables, dry); err == nil {
			break
		}
		// Two processes that make the same table at the same time: the slower one finds it made.
		c := code(err)
		if again := worthAnother(err) || c == uniqueViolation || c == duplicateTable || c == duplicateObject; !again || try == 10 {
			return nil, err
		}
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
	}
	if !dry {
		e.tables.Store(&tables)
	}
	return steps, nil
}

func (e *Engine) migrate(ctx context.Context, kinds []store.Kind, tables map[string]*table, dry bool) ([]string, error) {
	conn, err := e.acquire(ctx, e.pool)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return nil, outcome(ctx, err, "begin a migration")
	}
	defer rollback(ctx, tx)
	m := &migration{ctx: ctx, tx: tx}
	made, err := m.made()
	if err != nil {
		return nil, err
	}
	known := meta{Format: format}
	if made {
		if known, err = m.read(""); err != nil {
			return nil, err
		}
	}
	follows, indexed, err := m.indexed(kinds)
	if err != nil {
		return nil, err
	}
	steps, todo, err := m.compare(known, kinds, tables)
	if err == nil && follows && !indexed {
		steps = append(steps, "index of changes")
	}
	for _, t := range tables {
		t.followed = t.kind.Followed && follows
	}
	if err == nil && !dry {
		e.follows.Store(follows)
	}
	if err != nil || dry || made && len(steps) == 0 {
		return steps, err
	}
	if !made {
		if err := m.exec("CREATE TABLE " + name(metaTable) + " (key text PRIMARY KEY, value text NOT NULL)"); err != nil {
			return nil, err
		}
	} else if known, err = m.read(" FOR UPDATE"); err != nil {
		return nil, err
	} else if steps, todo, err = m.compare(known, kinds, tables); err != nil { // another process may have come first
		return nil, err
	}
	if follows && !indexed {
		todo = append(todo, createChanges...)
	}
	for _, sql := range todo {
		if err := m.exec(sql); err != nil {
			return nil, err
		}
	}
	if known.Kinds == nil {
		known.Kinds = map[string]store.Kind{}
	}
	for _, k := range kinds {
		known.Kinds[k.Name] = k
	}
	for _, name := range m.unfilled {
		if !slices.Contains(known.Unfilled, name) {
			known.Unfilled = append(known.Unfilled, name)
		}
	}
	if err := m.write(known); err != nil {
		return nil, err
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, outcome(ctx, err, "commit a migration")
	}
	return steps, nil
}

type migration struct {
	ctx      context.Context
	tx       pgx.Tx
	unfilled []string // kinds that get a new index and hold records
}

// Stored implements store.Engine.
func (e *Engine) Stored(ctx context.Context) (s store.Stored, err error) {
	err = e.aside(ctx, func(m *migration) error {
		s = store.Stored{}
		if made, err := m.made(); err != nil || !made {
			return err
		}
		known, err := m.read("")
		if err != nil {
			return err
		}
		s.Unfilled = known.Unfilled
		s.Kinds = slices.SortedFunc(maps.Values(known.Kinds), func(a, b store.Kind) int { return cmp.Compare(a.Name, b.Name) })
		return nil
	})
	return s, err
}

// Filled implements store.Engine.
func (e *Engine) Filled(ctx context.Context, kind string) error {
	return e.aside(ctx, func(m *migration) error {
		known, err := m.read(" FOR UPDATE")
		if err != nil {
			return err
		}
		known.Unfilled = slices.DeleteFunc(known.Unfilled, func(name string) bool { return name == kind })
		return m.write(known)
	})
}

// aside runs fn in a transaction of its own, and commits it.
func (e *Engine) aside(ctx context.Context, fn func(*migration) error) error {
	conn, err := e.acquire(ctx, e.pool)
	if err != nil {
		return err
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return outcome(ctx, err, "begin a migration")
	}
	defer rollback(ctx, tx)
	if err := fn(&migration{ctx: ctx, tx: tx}); err != nil {
		return err
	}
	return commit(ctx, tx, true)
}

func (m *migration) exec(sql string, args ...any) error {
	if _, err := m.tx.Exec(m.ctx, sql, args...); err != nil {
		return outcome(m.ctx, err, "migrate: "+sql)
	}
	return nil
}

func (m *migration) ask(to any, sql string, args ...any) error {
	err := m.tx.QueryRow(m.ctx, sql, args...).Scan(to)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return outcome(m.ctx, err, "migrate: "+sql)
	}
	return err
}

// made says whether the schema holds a store already.
func (m *migration) made() (bool, error) {
	var schema *string
	if err := m.ask(&schema, "SELECT current_schema()"); err != nil {
		return false, err
	}
	if schema == nil {
		return false, errors.New("no schema of the database URL's search_path exists: create it first")
	}
	var n int
	err := m.ask(&n, "SELECT count(*) FROM information_schema.tables WHERE table_schema = $1 AND table_name = $2", *schema, metaTable)
	return n > 0, err
}

func (m *migration) read(lock string) (known meta, err error) {
	var value string
	err = m.ask(&value, "SELECT value FROM "+name(metaTable)+" WHERE key = 'store'"+lock)
	if err != nil {
		return known, fmt.Errorf("read the declared kinds: %w", err)
	}
	if err := json.Unmarshal([]byte(value), &known); err != nil {
		return known, fmt.Errorf("read the declared kinds: %w", err)
	}
	if known.Format > format {
		return known, fmt.Errorf("the database was written by a newer Lifeline (format %d; this one knows %d): run that version", known.Format, format)
	}
	return known, nil
}

func (m *migration) write(known meta) error {
	value, err := json.Marshal(known)
	if err != nil {
		return err
	}
	return m.exec("INSERT INTO "+name(metaTable)+" (key, value) VALUES ('store', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value", string(value))
}

// compare says in words what is new, and which statements would make it so.
func (m *migration) compare(known meta, kinds []store.Kind, tables map[string]*table) (steps, todo []string, err error) {
	m.unfilled = nil
	for _, k := range kinds {
		old, had := known.Kinds[k.Name]
		t := tables[k.Name]
		switch {
		case !had:
			steps = append(steps, "new kind "+k.Name)
			todo = append(todo, t.create()...)
			continue
		case k.Schema < old.Schema:
			return nil, nil, fmt.Errorf("kind %s was written by a newer Lifeline (schema %d; this one knows %d): run that version", k.Name, old.Schema, k.Schema)
		case reflect.DeepEqual(k, old):
			continue
		}
		steps = append(steps, "changed kind "+k.Name)
		if k.Leased == old.Leased && reflect.DeepEqual(k.Indexes, old.Indexes) {
			continue
		}
		var filled bool
		if err := m.ask(&filled, "SELECT EXISTS (SELECT 1 FROM "+t.name()+")"); err != nil {
			return nil, nil, err
		}
		if filled && (k.Leased != old.Leased || k.Schema == old.Schema) {
			return nil, nil, fmt.Errorf("kind %s has records and its indexes changed: no migration is written for that", k.Name)
		}
		if filled {
			steps[len(steps)-1] += ": its records get new indexes"
			todo = append(todo, t.reshape(old)...)
			m.unfilled = append(m.unfilled, k.Name)
			continue
		}
		todo = append(todo, "DROP TABLE "+t.name())
		todo = append(todo, t.create()...)
	}
	return steps, todo, nil
}
