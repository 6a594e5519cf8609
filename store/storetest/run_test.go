package storetest

import (
	"testing"

	"lifeline/store"
	"lifeline/store/postgres/pgtest"
)

func TestBolt(t *testing.T)     { Run(t, Bolt) }
func TestPostgres(t *testing.T) { Run(t, Postgres) }

func TestPostgresShared(t *testing.T) {
	RunShared(t, func(t testing.TB) func() store.Engine {
		url := pgtest.URL(t)
		return func() store.Engine { return PostgresAt(t, url) }
	})
}
