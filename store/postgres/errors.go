package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lifeline/store/fault"
)

// SQLSTATE codes (PostgreSQL manual, appendix A).
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	completionUnknown    = "40003"
	uniqueViolation      = "23505"
	duplicateTable       = "42P07"
	duplicateObject      = "42710" // the type of a table that another process makes
	readOnlyTransaction  = "25006"
	diskFull             = "53100"
)

// tryAgain is an error that says nothing about the caller's act: the same function may well succeed in a new transaction.
type tryAgain struct{ error }

func (t tryAgain) Unwrap() error { return t.error }

func worthAnother(err error) bool {
	var again tryAgain
	return errors.As(err, &again)
}

func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// broken says that err came from the connection, or ended it, and so is not a living server's answer to a statement.
func broken(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return true
	}
	severity := cmp.Or(pg.SeverityUnlocalized, pg.Severity)
	return severity == "FATAL" || severity == "PANIC" || strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "57P")
}

// certain says that a COMMIT which was sent and returned err did surely not take effect: the server rolled it back, and lives. One that
// fails while it makes the commit durable ends with PANIC, and may find it committed when it has recovered. What the driver says of the
// connection does not count: it calls a COMMIT whose answer never came "safe to retry" when it found the line closed.
func certain(err error) bool {
	return errors.Is(err, pgx.ErrTxCommitRollback) || !broken(err) && code(err) != completionUnknown
}

// outcome gives an error of a transaction that was not committed its kind.
func outcome(ctx context.Context, err error, doing string) error {
	switch c := code(err); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case c == serializationFailure || c == deadlockDetected:
		return tryAgain{fault.Wrap(fault.Unavailable, err, "%s", doing)}
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return tryAgain{fault.Wrap(fault.Unavailable, err, "%s", doing)}
	case broken(err):
		return tryAgain{fault.Wrap(fault.Unavailable, err, "the database cannot be reached: %s", doing)}
	case c == diskFull:
		return fault.Wrap(fault.Unavailable, fmt.Errorf("%w: %w", fault.ErrFull, err), "this was not kept, for the database's disk is full; try again later")
	case c == readOnlyTransaction, strings.HasPrefix(c, "53"): // a standby; out of memory or connections
		return fault.Wrap(fault.Unavailable, err, "the database takes no writes now: %s", doing)
	}
	return fault.Wrap(fault.Internal, err, "%s", doing)
}

// namesPoolSize says whether a connection string sets pgxpool's own pool_max_conns.
func namesPoolSize(s string) bool {
	if u, err := url.Parse(s); err == nil && u.Scheme != "" {
		return u.Query().Has("pool_max_conns")
	}
	return strings.Contains(s, "pool_max_conns")
}
