package storetest

import "testing"

func TestBolt(t *testing.T)     { Run(t, Bolt) }
func TestPostgres(t *testing.T) { Run(t, Postgres) }
