package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"lifeline/store"
)

// Claim implements store.Engine. It is one statement of its own, read committed: a record that another worker is taking at this
// moment is passed over. When the answer is lost, what was claimed comes free as its lease ends.
func (e *Engine) Claim(ctx context.Context, l store.Lease) ([]store.Raw, error) {
	t := (*e.tables.Load())[l.Kind]
	if t == nil || !t.kind.Leased {
		return nil, fmt.Errorf("kind %q cannot be claimed", l.Kind)
	}
	if l.Limit <= 0 {
		return nil, nil
	}
	for try := 1; ; try++ {
		claimed, err := e.claim(ctx, t, l)
		if !worthAnother(err) || try == 5 {
			return claimed, err
		}
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
	}
}

func (e *Engine) claim(ctx context.Context, t *table, l store.Lease) ([]store.Raw, error) {
	conn, err := e.acquire(ctx, e.claims)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	rows, err := conn.Query(ctx, t.claim, []byte(l.Lane), l.Limit, []byte(l.Holder), l.For.Microseconds())
	if err != nil {
		return nil, outcome(ctx, err, "claim a "+l.Kind)
	}
	defer rows.Close()
	type claim struct {
		since time.Time // when it was due
		raw   store.Raw
	}
	var claims []claim
	for rows.Next() {
		var c claim
		var id, lane, holder []byte
		if err := rows.Scan(&c.since, &id, &c.raw.Version, &c.raw.Created, &c.raw.Updated, &lane, &c.raw.Due, &holder, &c.raw.Epoch); err != nil {
			return nil, outcome(ctx, err, "claim a "+l.Kind)
		}
		c.raw.ID, c.raw.Lane, c.raw.Holder = string(id), string(lane), string(holder)
		c.raw.Created, c.raw.Updated, c.raw.Due = c.raw.Created.UTC(), c.raw.Updated.UTC(), c.raw.Due.UTC()
		claims = append(claims, c)
	}
	if err := rows.Err(); err != nil {
		return nil, outcome(ctx, err, "claim a "+l.Kind)
	}
	slices.SortFunc(claims, func(a, b claim) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.raw.ID, b.raw.ID))
	})
	raws := make([]store.Raw, len(claims))
	for i, c := range claims {
		raws[i] = c.raw
	}
	return raws, nil
}
