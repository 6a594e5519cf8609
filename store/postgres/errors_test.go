package postgres

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestOnlyARollbackIsCertain(t *testing.T) {
	answer := func(severity, code string) error {
		return fmt.Errorf("commit: %w", &pgconn.PgError{SeverityUnlocalized: severity, Code: code})
	}
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"a collision":                        {answer("ERROR", serializationFailure), true},
		"a deferred check":                   {answer("ERROR", uniqueViolation), true},
		"a rollback as the answer":           {pgx.ErrTxCommitRollback, true},
		"no answer":                          {io.ErrUnexpectedEOF, false},
		"a line found closed":                {errors.New("conn closed"), false},
		"a failed sync of the log":           {answer("PANIC", "58030"), false},
		"a full disk under the log":          {answer("PANIC", "53100"), false},
		"a shutdown":                         {answer("FATAL", "57P01"), false},
		"a server that does not know":        {answer("ERROR", completionUnknown), false},
		"a connection that the server ended": {answer("FATAL", "08006"), false},
	} {
		if got := certain(test.err); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
