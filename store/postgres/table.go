package postgres

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeline/store"
)

// table is a declared kind and the statements that read and write it. A colon or a dot sets the names of indexes apart
// from those of tables, which share one name space; kinds have neither.
type table struct {
	kind     store.Kind
	columns  string
	heads    string // the same with nothing for the body
	followed bool   // what is written goes into the index of changes

	get    string
	getAll string
	insert string
	update string
	remove string
	free   string // takes the unique values away from records that are about to be written
	fence  string
	lease  string
	claim  string
}

func name(parts ...string) string { return pgx.Identifier{strings.Join(parts, "")}.Sanitize() }

func (t *table) name() string             { return name(t.kind.Name) }
func column(ix store.Index) string        { return name("ix_", ix.Name) }
func (t *table) indexName(i int) string   { return t.kind.Name + "." + t.kind.Indexes[i].Name }
func (t *table) primaryKeyName() string   { return t.kind.Name + ":id" }
func (t *table) dueIndexName() string     { return t.kind.Name + ":due" }
func (t *table) where(cond string) string { return " FROM " + t.name() + " WHERE " + cond }

const longestName = 63 // bytes; PostgreSQL cuts longer ones silently

func newTable(k store.Kind) (*table, error) {
	t := &table{kind: k}
	names := []string{t.primaryKeyName(), t.dueIndexName()}
	for i, ix := range k.Indexes {
		names = append(names, t.indexName(i), "ix_"+ix.Name)
	}
	for _, n := range names {
		if len(n) > longestName || strings.ContainsRune(n, 0) {
			return nil, fmt.Errorf("kind %s needs the name %q in the database, which must be at most %d bytes without NUL", k.Name, n, longestName)
		}
	}
	if k.Name == "" || strings.ContainsAny(k.Name, ".:") || k.Name == metaTable || k.Name == changesTable {
		return nil, fmt.Errorf("kind %q cannot have a table of that name", k.Name)
	}

	base := []string{"id", "version", "created", "updated", "deleted", "body"}
	types := []string{"bytea", "bigint", "timestamptz", "timestamptz", "timestamptz", "bytea"}
	for _, ix := range k.Indexes {
		base = append(base, column(ix))
		types = append(types, "bytea")
	}
	read := base
	if k.Leased {
		read = append(slices.Clone(base), "lane", "due", "holder", "epoch")
		base = append(slices.Clone(base), "lane", "due")
		types = append(types, "bytea", "timestamptz")
	}
	t.columns = strings.Join(read, ", ")
	t.heads = strings.Replace(t.columns, ", body", ", NULL::bytea", 1)
	t.get = "SELECT " + t.columns + t.where("id = $1")
	t.getAll = "SELECT " + t.columns + t.where("id = ANY($1)")
	t.insert = "INSERT INTO " + t.name() + " (" + strings.Join(base, ", ") + ") SELECT * FROM " + arrays(types)
	t.update = t.updateSQL(base, types)
	t.remove = "DELETE FROM " + t.name() + " t USING " + arrays([]string{"bytea", "bigint"}) + " v (id, was) WHERE t.id = v.id AND t.version = v.was"
	t.free = t.freeSQL()
	if k.Leased {
		t.leaseSQL()
	}
	return t, nil
}

// arrays is unnest($1::a[], $2::b[], ...): rows given as one array per column, so that a statement's text does not depend
// on their number.
func arrays(types []string) string {
	var args []string
	for i, typ := range types {
		args = append(args, fmt.Sprintf("$%d::%s[]", i+1, typ))
	}
	return "unnest(" + strings.Join(args, ", ") + ")"
}

// updateSQL takes the columns of insert, then was and, of leased kinds, what becomes of the lease.
func (t *table) updateSQL(columns, types []string) string {
	given := append(slices.Clone(columns), "was")
	types = append(slices.Clone(types), "bigint")
	if t.kind.Leased {
		given = append(given, "lasting", "renew")
		types = append(types, "bigint", "bigint")
	}
	var set []string
	for _, c := range columns[1:] {
		if c != "lane" && c != "due" {
			set = append(set, c+" = v."+c)
		}
	}
	if t.kind.Leased {
		set = append(set, leaseColumns("v.deleted")...)
	}
	return "UPDATE " + t.name() + " t SET " + strings.Join(set, ", ") + " FROM " + arrays(types) +
		" v (" + strings.Join(given, ", ") + ") WHERE t.id = v.id AND t.version = v.was"
}

// leaseColumns sets the lease columns of a record t from a row v as store.Lasting says. The clock is the database's.
func leaseColumns(deleted string) []string {
	return []string{
		fmt.Sprintf("lane = CASE WHEN v.lasting = %d THEN v.lane WHEN t.holder <> '' THEN t.lane ELSE v.lane END", store.LeaseRelease),
		fmt.Sprintf("due = CASE WHEN %s IS NOT NULL THEN NULL WHEN v.lasting = %d THEN v.due"+
			" WHEN v.lasting = %d THEN clock_timestamp() + v.renew * interval '1 microsecond'"+
			" WHEN t.holder <> '' THEN t.due ELSE v.due END", deleted, store.LeaseRelease, store.LeaseRenew),
		fmt.Sprintf("holder = CASE WHEN v.lasting = %d THEN '' ELSE t.holder END", store.LeaseRelease),
	}
}

func (t *table) freeSQL() string {
	var set []string
	for _, ix := range t.kind.Indexes {
		if ix.Unique {
			set = append(set, column(ix)+" = NULL")
		}
	}
	return "UPDATE " + t.name() + " SET " + strings.Join(set, ", ") + " WHERE id = ANY($1::bytea[])"
}

func (t *table) leaseSQL() {
	// The lock makes a claim that came between fail this transaction, although claims are not serializable.
	t.fence = "SELECT t.id FROM " + arrays([]string{"bytea", "bytea", "bigint"}) + " v (id, holder, epoch) JOIN " + t.name() +
		" t ON t.id = v.id AND t.holder = v.holder AND t.epoch = v.epoch WHERE t.holder <> '' FOR UPDATE OF t"
	t.lease = "UPDATE " + t.name() + " t SET " + strings.Join(leaseColumns("t.deleted"), ", ") + " FROM " +
		arrays([]string{"bytea", "bytea", "timestamptz", "bigint", "bigint"}) + " v (id, lane, due, lasting, renew) WHERE t.id = v.id"
	t.claim = "WITH picked AS MATERIALIZED (SELECT id, due" + t.where("lane = $1 AND due <= clock_timestamp() AND deleted IS NULL") +
		" ORDER BY due, id LIMIT $2 FOR UPDATE SKIP LOCKED)" +
		" UPDATE " + t.name() + " t SET epoch = t.epoch + 1, holder = $3, due = clock_timestamp() + $4::bigint * interval '1 microsecond'" +
		" FROM picked WHERE t.id = picked.id" +
		" RETURNING picked.due, t.id, t.version, t.created, t.updated, t.lane, t.due, t.holder, t.epoch"
}

// create is the statements that make the table and its indexes.
func (t *table) create() []string {
	columns := []string{
		"id bytea NOT NULL", "version bigint NOT NULL", "created timestamptz NOT NULL", "updated timestamptz NOT NULL",
		"deleted timestamptz", "body bytea",
	}
	for _, ix := range t.kind.Indexes {
		columns = append(columns, column(ix)+" bytea")
	}
	if t.kind.Leased {
		columns = append(columns, "lane bytea NOT NULL DEFAULT ''", "due timestamptz", "holder bytea NOT NULL DEFAULT ''", "epoch bigint NOT NULL DEFAULT 0")
	}
	columns = append(columns, "CONSTRAINT "+name(t.primaryKeyName())+" PRIMARY KEY (id)")
	steps := []string{"CREATE TABLE " + t.name() + " (" + strings.Join(columns, ", ") + ")"}
	for i := range t.kind.Indexes {
		steps = append(steps, t.createIndex(i))
	}
	if t.kind.Leased {
		steps = append(steps, "CREATE INDEX "+name(t.dueIndexName())+" ON "+t.name()+" (lane, due, id) WHERE due IS NOT NULL")
	}
	return steps
}

func (t *table) createIndex(i int) string {
	ix := t.kind.Indexes[i]
	c := column(ix)
	unique, key := "", c+", id"
	if ix.Unique {
		unique, key = "UNIQUE ", c
	}
	return "CREATE " + unique + "INDEX " + name(t.indexName(i)) + " ON " + t.name() + " (" + key + ") WHERE " + c + " IS NOT NULL"
}

// reshape is the statements that give a table which holds records other indexes. One that stays keeps its column; a new one's is empty.
func (t *table) reshape(old store.Kind) (steps []string) {
	same := func(ix store.Index) func(store.Index) bool {
		return func(other store.Index) bool { return reflect.DeepEqual(other, ix) }
	}
	for _, ix := range old.Indexes {
		if !slices.ContainsFunc(t.kind.Indexes, same(ix)) {
			steps = append(steps, "ALTER TABLE "+t.name()+" DROP COLUMN "+column(ix)) // and with it its index
		}
	}
	for i, ix := range t.kind.Indexes {
		if !slices.ContainsFunc(old.Indexes, same(ix)) {
			steps = append(steps, "ALTER TABLE "+t.name()+" ADD COLUMN "+column(ix)+" bytea", t.createIndex(i))
		}
	}
	return steps
}

// scan reads one record.
func (t *table) scan(rows pgx.Row) (store.Raw, error) {
	var raw store.Raw
	var id, lane, holder []byte
	var deleted, due *time.Time
	to := append(make([]any, 0, 16), &id, &raw.Version, &raw.Created, &raw.Updated, &deleted, &raw.Body)
	if n := len(t.kind.Indexes); n > 0 {
		raw.Tuples = make([][]byte, n)
		for i := range raw.Tuples {
			to = append(to, &raw.Tuples[i])
		}
	}
	if t.kind.Leased {
		to = append(to, &lane, &due, &holder, &raw.Epoch)
	}
	if err := rows.Scan(to...); err != nil {
		return store.Raw{}, err
	}
	raw.ID, raw.Lane, raw.Holder = string(id), string(lane), string(holder)
	raw.Created, raw.Updated = raw.Created.UTC(), raw.Updated.UTC()
	raw.Deleted, raw.Due = orZero(deleted), orZero(due)
	return raw, nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
