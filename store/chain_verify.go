package store

import (
	"context"
	"fmt"
	"time"
)

// What can be wrong with the audit log.
const (
	RowAltered     = "altered"   // a row's content, or its place, is not what was chained
	RowMissing     = "missing"   // places without a row
	RowUnlisted    = "unlisted"  // rows that stand in no part of the index, or more than the head counts
	TailCut        = "cut"       // the chain ends before a head that is known
	ChainRewritten = "rewritten" // the chain contradicts a head that is known
)

// Flaw is one thing wrong with the audit log. Places are from First to Last.
type Flaw struct {
	What  string `json:"what"`
	First int64  `json:"first,omitempty"`
	Last  int64  `json:"last,omitempty"`
	ID    string `json:"id,omitempty"` // of the row, where there is one
	Why   string `json:"why"`
}

// AuditReport is what a walk of the chain found.
type AuditReport struct {
	Head   Head      `json:"head"`
	Rows   int64     `json:"rows"`             // chained and walked
	Waits  int       `json:"waits"`            // not chained yet
	Oldest time.Time `json:"oldest,omitzero"`  // of those, the act's time; minutes ago means that no sealer runs
	Lost   []Head    `json:"lost,omitempty"`   // heads known outside of what a restore left behind
	Flaws  []Flaw    `json:"flaws,omitempty"`  // empty: the log is whole
	More   int       `json:"more,omitempty"`   // flaws beyond those named
	Known  int       `json:"known,omitempty"`  // outside heads that were compared
	Newest int64     `json:"newest,omitempty"` // the highest of their numbers
}

// mostFlaws bounds a report; a broken log breaks at many rows.
const mostFlaws = 100

func (r *AuditReport) flaw(f Flaw) {
	if len(r.Flaws) == mostFlaws {
		r.More++
		return
	}
	r.Flaws = append(r.Flaws, f)
}

// VerifyAudit walks the chain, a page at a time beside the writers, and compares it with the heads that are known outside. Without any of them
// a chain that was rewritten or cut together with its head goes unseen.
func (db *DB) VerifyAudit(ctx context.Context, known ...Head) (r AuditReport, err error) {
	var restores []Restored
	if err := db.View(ctx, func(tx *Tx) error { return r.begin(tx, &restores) }); err != nil {
		return r, fmt.Errorf("verify the audit log: %w", err)
	}
	at := map[int64][]Head{}
	for _, h := range known {
		r.Known++
		r.Newest = max(r.Newest, h.Number)
		switch {
		case h.Number == 0:
		case leftBehind(restores, h, r.Head.Instance):
			r.Lost = append(r.Lost, h)
		case h.Number > r.Head.Number:
			r.flaw(Flaw{What: TailCut, First: r.Head.Number + 1, Last: h.Number,
				Why: fmt.Sprintf("a head known outside names row %d (%s), and the chain ends at %d", h.Number, h.At.Format(time.RFC3339), r.Head.Number)})
		default:
			at[h.Number] = append(at[h.Number], h)
		}
	}
	walk := chainWalk{report: &r, at: at}
	for more := true; more; {
		if err := db.View(ctx, func(tx *Tx) error { more, err = walk.page(tx); return err }); err != nil {
			return r, fmt.Errorf("verify the audit log behind row %d: %w", walk.place, err)
		}
	}
	walk.end()
	return r, nil
}

func (r *AuditReport) begin(tx *Tx, restores *[]Restored) error {
	h, _, err := heads.Get(tx, headID)
	if err != nil {
		r.flaw(Flaw{What: ChainRewritten, Why: fmt.Sprintf("the head of the chain cannot be read: %v", err)})
	}
	r.Head = h
	if r.Head.Instance, err = Instance(tx); err != nil {
		return err
	}
	if *restores, err = Restores(tx); err != nil {
		return err
	}
	sealed, err := auditRows.Count(tx, Query{Index: "chain", Equal: []any{true}})
	if err != nil {
		return err
	}
	if r.Waits, err = auditRows.Count(tx, Query{Index: "chain", Equal: []any{false}}); err != nil {
		return err
	}
	all, err := auditRows.Count(tx, Query{Deleted: true})
	if err != nil {
		return err
	}
	if all != sealed+r.Waits {
		r.flaw(Flaw{What: RowUnlisted, Why: fmt.Sprintf("the log has %d rows, its index %d", all, sealed+r.Waits)})
	}
	if int64(sealed) > h.Number {
		r.flaw(Flaw{What: RowUnlisted, Why: fmt.Sprintf("the chain has %d rows, its head counts %d", sealed, h.Number)})
	}
	for raw, err := range tx.scan(auditRows.Kind, Query{Index: "chain", Equal: []any{false}, Limit: sealPage}) {
		if err != nil {
			return err
		}
		if r.Oldest.IsZero() {
			r.Oldest = time.UnixMicro(placeOf(raw.Tuples[0])).UTC()
		}
		if _, err := auditRows.open(tx, raw); err != nil {
			r.flaw(Flaw{What: RowAltered, ID: raw.ID, Why: "its seal does not open, and it was never chained"})
		}
	}
	return nil
}

// chainWalk is how far a walk has come.
type chainWalk struct {
	report *AuditReport
	at     map[int64][]Head
	place  int64
	hash   string // stored with the row at place; "" when it cannot be known
	after  Raw
}

const verifyPage = 2000

func (w *chainWalk) page(tx *Tx) (more bool, err error) {
	r, n := w.report, 0
	q := Query{Index: "chain", Equal: []any{true}, Limit: verifyPage}
	if w.after.ID != "" {
		q.After = cursor(w.after.Tuples[0], w.after.ID)
	}
	for raw, err := range tx.scan(auditRows.Kind, q) {
		if err != nil {
			return false, err
		}
		n++
		w.after = Raw{Meta: raw.Meta, Tuples: [][]byte{append([]byte(nil), raw.Tuples[0]...)}}
		place := placeOf(raw.Tuples[0])
		if place > r.Head.Number {
			return false, nil // chained since the walk began, or named already as more than the head counts
		}
		w.row(tx, raw, place)
	}
	return n == verifyPage, nil
}

// placeOf reads the place out of a tuple of a chained row.
func placeOf(tuple []byte) int64 {
	var n uint64
	for _, b := range tuple[1:] {
		n = n<<8 | uint64(b)
	}
	return int64(n ^ 1<<63)
}

func (w *chainWalk) row(tx *Tx, raw Raw, place int64) {
	r := w.report
	if place <= w.place {
		r.flaw(Flaw{What: RowAltered, First: place, Last: place, ID: raw.ID, Why: "two rows claim this place"})
		return
	}
	if place > w.place+1 {
		w.missing(w.place+1, place-1)
		w.hash = ""
	}
	follows := place == 1 || w.hash != ""
	before := w.hash
	w.place, w.hash = place, ""
	r.Rows++
	row, err := auditRows.open(tx, raw)
	if err != nil {
		r.flaw(Flaw{What: RowAltered, First: place, Last: place, ID: raw.ID, Why: "its seal does not open"})
		return
	}
	w.hash = row.Hash
	if row.Place != place {
		r.flaw(Flaw{What: RowAltered, First: place, Last: place, ID: raw.ID, Why: fmt.Sprintf("it was chained at place %d", row.Place)})
	} else if follows {
		if want, err := link(before, place, raw.ID, row); err != nil || want != row.Hash {
			r.flaw(Flaw{What: RowAltered, First: place, Last: place, ID: raw.ID, Why: "its hash does not follow from its content and the row before it"})
		}
	}
	for _, h := range w.at[place] {
		if h.Hash != row.Hash {
			r.flaw(Flaw{What: ChainRewritten, First: 1, Last: place, ID: raw.ID,
				Why: fmt.Sprintf("the head known outside of %s has another hash for row %d", h.At.Format(time.RFC3339), place)})
		}
	}
	delete(w.at, place)
}

func (w *chainWalk) missing(first, last int64) {
	w.report.flaw(Flaw{What: RowMissing, First: first, Last: last, Why: "no row stands there"})
}

func (w *chainWalk) end() {
	r := w.report
	if w.place < r.Head.Number {
		r.flaw(Flaw{What: TailCut, First: w.place + 1, Last: r.Head.Number, Why: fmt.Sprintf("the chain ends at %d, its head names %d", w.place, r.Head.Number)})
	} else if w.hash != "" && w.hash != r.Head.Hash {
		r.flaw(Flaw{What: ChainRewritten, First: w.place, Last: w.place, Why: "the head has another hash than the last row"})
	}
}
