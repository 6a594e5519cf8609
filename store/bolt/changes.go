package bolt

import (
	"context"
	"strconv"
	"sync"

	"lifeline/store"
)

// trail is what was written to followed kinds, in the order of commits. It lives in memory: nobody but this process writes the file, and who
// follows changes begins anew with the process.
type trail struct {
	mu   sync.Mutex
	ids  []string
	last int64 // how many there ever were; ids are the last of them
}

func (t *trail) add(ids []string) {
	t.ids = append(t.ids, ids...)
	t.last += int64(len(ids))
	if len(t.ids) > 2*store.MostChanges {
		t.ids = append([]string(nil), t.ids[len(t.ids)-store.MostChanges:]...)
	}
}

// since is what was added behind a count; ok says that all of it is still known.
func (t *trail) since(n int64) (ids []string, ok bool) {
	if n > t.last || t.last-n > store.MostChanges || t.last-n > int64(len(t.ids)) {
		return nil, false
	}
	seen := map[string]bool{}
	for _, id := range t.ids[int64(len(t.ids))-(t.last-n):] {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids, true
}

func (t *trail) note(written []*call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range written {
		t.add(c.wrote)
	}
}

// Changes implements store.Engine. A write is told before its writer is answered.
func (e *Engine) Changes(ctx context.Context, since string) (c store.Changes, err error) {
	if err := ctx.Err(); err != nil {
		return c, err
	}
	e.trail.mu.Lock()
	defer e.trail.mu.Unlock()
	c.Next = strconv.FormatInt(e.trail.last, 10)
	n, err := strconv.ParseInt(since, 10, 64)
	if err != nil {
		c.Lost = true
		return c, nil
	}
	ids, ok := e.trail.since(n)
	c.IDs, c.Lost = ids, !ok
	return c, nil
}
