package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standby starts a second server that follows this one, and returns once it streams. Commits do not wait for it before [Server.Synchronous]
// was called. See "High Availability, Load Balancing, and Replication" in the PostgreSQL manual.
func (s *Server) Standby(settings ...Setting) (*Server, error) {
	standby := &Server{}
	copied := func() error {
		data := filepath.Join(standby.base, "data")
		if err := standby.program("pg_basebackup", "-D", data, "-h", s.sockets, "-U", "postgres", "-c", "fast", "-R", "--no-sync"); err != nil {
			return err
		}
		// The last line of a name counts; a standby is known by its application_name.
		conf, err := os.OpenFile(filepath.Join(data, "postgresql.auto.conf"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(conf, "primary_conninfo = 'host=%s user=postgres application_name=standby'\n", s.sockets)
		return errors.Join(err, conf.Close())
	}
	err := standby.start("", copied, settings)
	if err == nil {
		err = s.until("SELECT count(*) = 1 FROM pg_stat_replication WHERE application_name = 'standby' AND state = 'streaming'")
	}
	if err != nil {
		standby.Stop()
		return nil, fmt.Errorf("start a standby of PostgreSQL: %w", err)
	}
	return standby, nil
}

// Pair starts a server that syncs every commit and a standby of it, which end with the test.
func Pair(t testing.TB) (primary, standby *Server) {
	t.Helper()
	skipWithout(t)
	primary, err := StartServer("", Durable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(primary.Stop)
	if standby, err = primary.Standby(Durable); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)
	return primary, standby
}

// Synchronous lets every commit of this server wait, from now on, until its standby has synced it too.
func (s *Server) Synchronous() error {
	err := execute(s.URL(), "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
	if err == nil {
		err = execute(s.URL(), "SELECT pg_reload_conf()")
	}
	if err == nil {
		err = s.until("SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
	}
	if err != nil {
		return fmt.Errorf("wait for the standby at each commit: %w", err)
	}
	return nil
}

// CatchUp returns once the standby has synced all that was committed before.
func (s *Server) CatchUp() error {
	return s.until("SELECT coalesce(bool_and(flush_lsn >= pg_current_wal_flush_lsn()), false) FROM pg_stat_replication WHERE application_name = 'standby'")
}

// Detach stops a standby from hearing of anything new, as a line that is cut does.
func (s *Server) Detach() error {
	err := execute(s.URL(), "ALTER SYSTEM SET primary_conninfo = ''")
	if err == nil {
		err = execute(s.URL(), "SELECT pg_reload_conf()")
	}
	if err == nil {
		err = s.until("SELECT count(*) = 0 FROM pg_stat_wal_receiver")
	}
	if err != nil {
		return fmt.Errorf("detach the standby: %w", err)
	}
	return nil
}

// Promote makes a standby take writes, and returns once it does.
func (s *Server) Promote() error {
	if err := execute(s.URL(), "SELECT pg_promote(true, 60)"); err != nil {
		return fmt.Errorf("promote the standby: %w", err)
	}
	return s.until("SELECT NOT pg_is_in_recovery()")
}

// until returns once a query of one truth says yes.
func (s *Server) until(query string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var yes bool
		if err := conn.QueryRow(ctx, query).Scan(&yes); err != nil || yes {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %q", query)
		}
	}
}

// Either is the URL of two servers of which one takes writes: whoever connects by it follows a failover.
func Either(a, b *Server) string {
	return "postgres://postgres@/postgres?" + url.Values{"host": {a.sockets + "," + b.sockets}, "target_session_attrs": {"read-write"}}.Encode()
}
