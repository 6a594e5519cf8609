package postgres

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Unsafe names each setting of the server that would let an acknowledged write be lost, and says when it takes none; empty when all is
// well. See "Reliability and the Write-Ahead Log" in the PostgreSQL manual.
func (e *Engine) Unsafe(ctx context.Context) []string {
	conn, err := e.acquire(ctx, e.pool)
	if err != nil {
		return []string{err.Error()}
	}
	defer conn.Release()
	var commit, fsync, pages string
	var recovery bool
	err = conn.QueryRow(ctx, `SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'),
		pg_is_in_recovery()`).Scan(&commit, &fsync, &pages, &recovery)
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
	return problems
}

// Unreplicated says why a write that this server acknowledges is lost with it, though the URL names several servers, which promises the contrary;
// "" when a commit waits for another server, one server alone is named, or nobody answers. Unlike what Unsafe says this is no reason to send people
// away: a standby that was just promoted has no standby of its own, and it is all that there is. Several servers behind one name are not
// seen to be several.
func (e *Engine) Unreplicated(ctx context.Context) string {
	if !e.several {
		return ""
	}
	conn, err := e.acquire(ctx, e.pool)
	if err != nil {
		return "" // Unsafe says so
	}
	defer conn.Release()
	var standbys string
	if err := conn.QueryRow(ctx, "SELECT current_setting('synchronous_standby_names')").Scan(&standbys); err != nil || standbys != "" {
		return ""
	}
	return "several database servers are named, but the one in use has no synchronous_standby_names: what it acknowledges is lost with it"
}

// several says whether a URL leads to more than one server. A server is named once for each way to speak to it, with TLS and without.
func several(c *pgx.ConnConfig) bool {
	for _, f := range c.Fallbacks {
		if f.Host != c.Host || f.Port != c.Port {
			return true
		}
	}
	return false
}

// Readable names the machines of a database's URL to which it may be spoken in clear text, or without knowing that it is they; not this machine itself. Of
// anything else that LIFELINE_STORE may hold it names none.
func Readable(url string) (hosts []string) {
	c, err := pgconn.ParseConfig(url)
	if err != nil || !strings.HasPrefix(url, "postgres") {
		return nil
	}
	tried := []*pgconn.FallbackConfig{{Host: c.Host, TLSConfig: c.TLSConfig}}
	for _, f := range append(tried, c.Fallbacks...) {
		ip := net.ParseIP(f.Host)
		here := strings.HasPrefix(f.Host, "/") || f.Host == "localhost" || ip != nil && ip.IsLoopback()
		sure := f.TLSConfig != nil && (!f.TLSConfig.InsecureSkipVerify || f.TLSConfig.VerifyPeerCertificate != nil)
		if !here && !sure && !slices.Contains(hosts, f.Host) {
			hosts = append(hosts, f.Host)
		}
	}
	return hosts
}
