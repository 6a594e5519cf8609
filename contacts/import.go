package contacts

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// ImportOptions say what an import file is.
type ImportOptions struct {
	Source   string         // who says what is in it: "product", "billing-2024"; its rank is in the policy
	Format   string         // FormatCSV, FormatJSONLines or FormatAuto
	DryRun   bool           // go through everything, count, and write nothing
	Snapshot bool           // it is all that the source knows: what it leaves out is looked at, and never removed
	Check    func() error   // asked when all of the file was read and before anything is written, such as for its signature; may be nil
	Progress func(rows int) // called after every batch with the rows so far; may be nil

	let *importInput // two people let exactly this through
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
	Missing      int        `json:"missing,omitempty"` // records that the source named before and its full snapshot leaves out; they stay
	DryRun       bool       `json:"dry_run,omitempty"`
	Sample       []Would    `json:"sample,omitempty"`  // of a dry run: the first rows that would make or change something
	Waiting      *Waiting   `json:"waiting,omitempty"` // nothing was done: a second person must approve it first; of a dry run: would have to, and was not asked
}

// Would is a row of a dry run that would make or change something.
type Would struct {
	Line int    `json:"line"`
	New  bool   `json:"new"`  // it would make at least one record
	Says string `json:"says"` // addresses masked
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
// error ends it (fault.Invalid: the file as a whole cannot be used; fault.TooLarge). It is safe to import the same file again.
//
// Into a book that holds contacts nothing is written before all of the file was read once, so a file that turns out unusable changes nothing,
// and one that would add more addresses to known customers than the policy allows waits for a second person: see [Report.Waiting]. Into an
// empty book it is written as it comes; then what was done before an error stays done, and the report says what that was.
func (b *Book) Import(ctx context.Context, by string, r io.Reader, o ImportOptions) (Report, error) {
	source, err := parseSource(o.Source)
	if err != nil {
		return b.report(o), fault.BadField("source", "%s", err)
	}
	if source == staffWord {
		return b.report(o), fault.BadField("source", "%q is what people decide here; no file may call itself so", source)
	}
	im := importer{book: b, by: by, options: o, dry: o.DryRun,
		say: statement{source: source, rank: b.Policy.rank, mayState: b.Policy.mayState(source), seen: b.DB.Now()}}
	known, err := b.knowsPeople(ctx)
	if err != nil {
		return b.report(o), err
	}
	if o.DryRun {
		report, err := im.run(ctx, r)
		if err == nil {
			report.Waiting, err = b.wouldWait(ctx, source, im.rehearsal.distinct())
		}
		return report, err
	}
	if !known && o.Check == nil {
		return im.run(ctx, r)
	}
	kept, err := newSpool(b.Spool)
	if err != nil {
		return b.report(o), err
	}
	defer kept.close()
	scout := im
	scout.scout = &scouted{}
	seen, err := scout.run(ctx, io.TeeReader(r, kept))
	if err != nil {
		return b.report(o), err
	}
	if o.Check != nil {
		if err := o.Check(); err != nil {
			return b.report(o), err
		}
	}
	waits, err := b.allow(ctx, by, importInput{Digest: kept.digest(), Source: source, Snapshot: o.Snapshot, Addresses: len(scout.scout.added.ids), Sample: scout.scout.sample}, kept, o)
	if err != nil || waits != nil {
		report := b.report(o)
		report.Waiting = waits
		return report, err
	}
	if seen.Created+seen.Updated == 0 { // it says nothing new: that was all
		if o.Snapshot {
			scout.scout, scout.report = nil, &seen
			err = scout.snapshot(ctx)
		}
		return seen, err
	}
	again, err := kept.again()
	if err != nil {
		return b.report(o), err
	}
	return im.run(ctx, again)
}

func (b *Book) report(o ImportOptions) Report {
	return Report{Rejected: []Rejected{}, DryRun: o.DryRun}
}

// knowsPeople says whether the book holds any contact.
func (b *Book) knowsPeople(ctx context.Context) (known bool, err error) {
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		n, err := people.Count(tx, store.Query{Limit: 1})
		known = n > 0
		return err
	})
	return known, err
}

// run goes through the file once.
func (im *importer) run(ctx context.Context, r io.Reader) (report Report, err error) {
	b, o := im.book, im.options
	report = b.report(o)
	im.report = &report
	most := b.Policy.MaxImport
	if im.dry {
		most = min(most, b.Policy.MaxDryRun)
		im.rehearsal = newWork()
	}
	file, err := newReader(r, o.Format, most)
	if err != nil {
		return report, err
	}
	for last := false; !last; {
		var batch []checked
		if batch, last, err = im.read(file); err != nil {
			return report, err
		}
		if err := im.commit(ctx, batch); err != nil {
			return report, err
		}
		if o.Progress != nil && len(batch) > 0 && im.scout == nil {
			o.Progress(report.Rows)
		}
	}
	if o.Snapshot && im.scout == nil {
		err = im.snapshot(ctx)
	}
	return report, err
}

type importer struct {
	book      *Book
	by        string
	options   ImportOptions
	dry       bool
	say       statement
	rehearsal *work    // dry runs: what would have been written so far
	scout     *scouted // a first reading, which only looks
	named     seen     // snapshots: the records that the file names
	report    *Report
}

// scouted is what a first reading of a file looks for.
type scouted struct {
	added  seen     // addresses that customers would get whom the book knows
	sample []Sample // some of them, in the order of the file
}

// note counts what a batch would add to accounts that are in the store. Every batch is looked at by itself, so what belongs to an account
// or a contact that an earlier batch would have made is counted as new there.
func (s *scouted) note(w *work) {
	for _, a := range w.added {
		key := joined(a.Account, a.Channel, a.Key)
		if s.added.has(key) {
			continue
		}
		s.added.add(key)
		if len(s.sample) < MaxSample {
			sample := Sample{accounts.Name, a.Account, "a new contact with " + Mask(a.Channel, a.Key)}
			if !w.people.isNew(a.Contact) {
				sample = Sample{people.Name, a.Contact, "also " + Mask(a.Channel, a.Key)}
			}
			s.sample = append(s.sample, sample)
		}
	}
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
	return again(ctx, func() error {
		done, err := im.try(ctx, batch)
		if err == nil {
			im.count(batch, done)
		}
		return err
	})
}

// again does what somebody else may have been faster at, up to eight times.
func again(ctx context.Context, do func() error) error {
	for trial := 1; ; trial++ {
		err := do()
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

func (im *importer) try(ctx context.Context, batch []checked) (done []outcome, err error) {
	if im.dry {
		err = im.book.DB.View(ctx, func(tx *store.Tx) error {
			done, err = im.apply(tx, im.rehearsal, batch)
			im.rehearsal.settle()
			return err
		})
		return done, err
	}
	if im.scout != nil {
		w := newWork()
		err = im.book.DB.View(ctx, func(tx *store.Tx) error {
			done, err = im.apply(tx, w, batch)
			return err
		})
		if err == nil {
			im.scout.note(w)
		}
		return done, err
	}
	err = im.book.DB.Update(ctx, store.Act{By: im.by, Verb: "contacts.import", Reason: "source " + im.say.source}, func(tx *store.Tx) error {
		w := newWork()
		if done, err = im.apply(tx, w, batch); err != nil {
			return err
		}
		if !w.changed() {
			return store.ErrNothing
		}
		return w.flush()
	})
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
		if im.options.Snapshot {
			for _, id := range d.named {
				if id != "" {
					im.named.add(id)
				}
			}
		}
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
		if im.dry && len(bad) == 0 && (d.created || d.changed) && len(r.Sample) < MaxSample {
			r.Sample = append(r.Sample, Would{Line: batch[i].row.line, New: d.created, Says: batch[i].row.says()})
		}
	}
}

// says shows a row to whoever decides about its file, addresses masked.
func (r row) says() string {
	var parts []string
	for _, s := range []string{cmp.Or(r.account, r.accountID), cmp.Or(r.site, r.siteID, r.siteURL), r.name} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	for _, a := range r.emails {
		parts = append(parts, MaskEmail(a))
	}
	for _, a := range r.phones {
		parts = append(parts, MaskPhone(a))
	}
	return strings.Join(append(parts, r.roles...), " · ")
}

func (r *Report) reject(bad []Rejected) {
	bad = slices.Clone(bad)
	slices.SortStableFunc(bad, func(a, b Rejected) int { return cmp.Compare(a.Line, b.Line) })
	room := min(len(bad), maxRejected-len(r.Rejected))
	r.Rejected = append(r.Rejected, bad[:room]...)
	r.RejectedMore += len(bad) - room
}
