package contacts

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// ImportOptions say what an import file is.
type ImportOptions struct {
	Source   string         // who says what is in it: "product", "billing-2024"; its rank is in the policy
	Format   string         // FormatCSV, FormatJSONLines or FormatAuto
	DryRun   bool           // go through everything, count, and write nothing
	Progress func(rows int) // called after every batch with the rows so far; may be nil
}

// Report is what an import did, or with DryRun would do. Rows = Created + Updated + Unchanged + RejectedRows.
type Report struct {
	Rows         int        `json:"rows"`          // without empty ones
	Created      int        `json:"created"`       // rows that made at least one record
	Updated      int        `json:"updated"`       // rows that made none and changed at least one
	Unchanged    int        `json:"unchanged"`     // rows that said nothing new
	Conflicts    int        `json:"conflicts"`     // values that wait for a person, those that waited before among them
	RejectedRows int        `json:"rejected_rows"` // rows that were refused
	Rejected     []Rejected `json:"rejected"`      // why, in the order of lines; a row is named once for each bad field
	RejectedMore int        `json:"rejected_more,omitempty"`
	DryRun       bool       `json:"dry_run,omitempty"`
}

// Rejected names a row that was refused.
type Rejected struct {
	Line   int    `json:"line"` // of the file, from 1; the CSV header is a line
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

const (
	batchRows    = 200
	batchBytes   = 4 << 20 // read for one batch
	maxRejected  = 10_000  // listed in a report
	importTrials = 8       // of one batch
)

// Import reads a file of contacts and merges it into the book by the package's rules, a batch of rows in each transaction. An
// error ends it (fault.Invalid: the file as a whole cannot be used; fault.TooLarge); the report then says what was done so
// far and stays done. It is safe to import the same file again.
func (b *Book) Import(ctx context.Context, by string, r io.Reader, o ImportOptions) (Report, error) {
	report := Report{Rejected: []Rejected{}, DryRun: o.DryRun}
	source, err := parseSource(o.Source)
	if err != nil {
		return report, fault.BadField("source", "%s", err)
	}
	most := b.Policy.MaxImport
	if o.DryRun {
		most = min(most, b.Policy.MaxDryRun)
	}
	file, err := newReader(r, o.Format, most)
	if err != nil {
		return report, err
	}
	im := importer{book: b, by: by, dry: o.DryRun, report: &report,
		say: statement{source: source, rank: b.Policy.rank, mayState: b.Policy.mayState(source), seen: b.DB.Now()}}
	if o.DryRun {
		im.rehearsal = newWork()
	}
	for last := false; !last; {
		var batch []checked
		if batch, last, err = im.read(file); err != nil {
			return report, err
		}
		if err := im.commit(ctx, batch); err != nil {
			return report, err
		}
		if o.Progress != nil && len(batch) > 0 {
			o.Progress(report.Rows)
		}
	}
	return report, nil
}

type importer struct {
	book      *Book
	by        string
	dry       bool
	say       statement
	rehearsal *work // dry runs: what would have been written so far
	report    *Report
}

// checked is a row, or why it is none.
type checked struct {
	row row
	bad []Rejected
}

// read takes the next batch from the file.
func (im *importer) read(file reader) (batch []checked, last bool, err error) {
	start := file.left
	for len(batch) < batchRows && start-file.left < batchBytes {
		raw, err := file.next()
		if errors.Is(err, io.EOF) {
			return batch, true, nil
		}
		if err != nil {
			// The batch is not kept: it may end in the middle of somebody.
			return nil, true, err
		}
		if raw.empty() {
			continue
		}
		var c checked
		c.row, c.bad = check(raw, im.book.Policy, im.say.seen)
		batch = append(batch, c)
	}
	return batch, false, nil
}

// commit carries out a batch in one transaction, again if somebody else was faster.
func (im *importer) commit(ctx context.Context, batch []checked) error {
	if len(batch) == 0 {
		return nil
	}
	for trial := 1; ; trial++ {
		done, err := im.try(ctx, batch)
		if err == nil {
			im.count(batch, done)
			return nil
		}
		switch fault.Of(err) {
		case fault.Exists, fault.Stale, fault.Conflict, fault.Unavailable:
		default:
			return err
		}
		if trial == importTrials {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(10 * time.Millisecond << trial)):
		}
	}
}

// errNothing ends a transaction that has nothing to write, so that it leaves no audit row either.
var errNothing = errors.New("nothing to write")

func (im *importer) try(ctx context.Context, batch []checked) (done []outcome, err error) {
	if im.dry {
		err = im.book.DB.View(ctx, func(tx *store.Tx) error {
			done, err = im.apply(tx, im.rehearsal, batch)
			im.rehearsal.settle()
			return err
		})
		return done, err
	}
	err = im.book.DB.Update(ctx, store.Act{By: im.by, Verb: "contacts.import", Reason: "source " + im.say.source}, func(tx *store.Tx) error {
		w := newWork()
		if done, err = im.apply(tx, w, batch); err != nil {
			return err
		}
		if !w.changed() {
			return errNothing
		}
		return w.flush()
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	return done, err
}

func (im *importer) apply(tx *store.Tx, w *work, batch []checked) ([]outcome, error) {
	w.tx = tx
	done := make([]outcome, len(batch))
	for i, c := range batch {
		if len(c.bad) > 0 {
			continue
		}
		say := im.say
		say.confirmed = c.row.confirmed
		var err error
		if done[i], err = w.apply(c.row, say); err != nil {
			return nil, err
		}
	}
	return done, nil
}

func (im *importer) count(batch []checked, done []outcome) {
	r := im.report
	for i, d := range done {
		r.Rows++
		bad := batch[i].bad
		if d.rejected != nil {
			bad = []Rejected{*d.rejected}
		}
		r.Conflicts += d.conflicts
		switch {
		case len(bad) > 0:
			r.RejectedRows++
			r.reject(bad)
		case d.created:
			r.Created++
		case d.changed:
			r.Updated++
		default:
			r.Unchanged++
		}
	}
}

func (r *Report) reject(bad []Rejected) {
	bad = slices.Clone(bad)
	slices.SortStableFunc(bad, func(a, b Rejected) int { return cmp.Compare(a.Line, b.Line) })
	room := min(len(bad), maxRejected-len(r.Rejected))
	r.Rejected = append(r.Rejected, bad[:room]...)
	r.RejectedMore += len(bad) - room
}
