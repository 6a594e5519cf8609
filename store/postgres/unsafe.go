package postgres

import (
	"context"
	"fmt"
)

// Unsafe names each setting of the server that would let an acknowledged write be lost, and says when it takes none; empty when all is
// well. See "Reliability and the Write-Ahead Log" in the PostgreSQL manual.
func (e *Engine) Unsafe(ctx context.Context) []string {
	conn, err := e.acquire(ctx, e.pool)
	if err != nil {
		return []string{err.Error()}
	}
	defer conn.Release()
	var commit, fsync, pages, standbys string
	var recovery bool
	err = conn.QueryRow(ctx, `SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'),
		current_setting('synchronous_standby_names'), pg_is_in_recovery()`).Scan(&commit, &fsync, &pages, &standbys, &recovery)
	if err != nil {
		return []string{"the database does not say how durable it is: " + err.Error()}
	}
	var problems []string
	if commit != "on" && commit != "remote_apply" {
		problems = append(problems, fmt.Sprintf("the database has synchronous_commit=%s: set it to on", commit))
	}
	if fsync != "on" {
		problems = append(problems, "the database has fsync=off: set it to on")
	}
	if pages != "on" {
		problems = append(problems, "the database has full_page_writes=off: set it to on")
	}
	if recovery {
		problems = append(problems, "the database is a standby in recovery: it takes no writes")
	}
	if e.replicated && standbys == "" {
		problems = append(problems, "a synchronous standby is declared, but the database has no synchronous_standby_names")
	}
	return problems
}
