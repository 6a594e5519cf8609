package store

import "context"

// Changes is what became visible since a mark.
type Changes struct {
	IDs  []string // of records of followed kinds that were put, deleted or removed, each once, in no order
	Next string   // the mark to ask from the next time; "": this engine keeps no index of changes
	Lost bool     // what changed since the mark is no longer known: read everything anew, and go on from Next
}

// MostChanges is how many changes an engine tells at once. When there were more, reading everything is cheaper.
const MostChanges = 1 << 17

// Changes names the records of followed kinds (see Kind.Followed) that were written since a mark, by whatever process. Nothing is left out: a
// transaction that began before the mark and was committed after it is told, and one that was told is not told again. What is read in
// a later View is at least as new. The mark "" is the beginning, of which nothing is known: the answer is Lost, with the mark from
// which to follow. Marks are for the process that got them and grow stale within an hour, or when a backup is put in the database's place.
func (db *DB) Changes(ctx context.Context, since string) (Changes, error) {
	return db.engine.Changes(ctx, since)
}
