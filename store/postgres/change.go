package postgres

import "context"

// Change names which transactions had ended (see pg_current_snapshot in the PostgreSQL manual). Others in the same cluster move it
// too, so a store that did not change may seem to. A database that has no such function says nothing.
func (e *Engine) Change(ctx context.Context) (string, error) {
	conn, err := e.acquire(ctx, e.pool)
	if err != nil {
		return "", err
	}
	defer conn.Release()
	var name string
	if err := conn.QueryRow(ctx, "SELECT pg_current_snapshot()::text").Scan(&name); err != nil {
		if code(err) == undefinedFunction {
			return "", nil
		}
		return "", outcome(ctx, err, "ask what changed")
	}
	return name, nil
}

const undefinedFunction = "42883"
