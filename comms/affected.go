package comms

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
)

const (
	maxLine     = 64 << 10 // bytes of one line
	maxAffected = 500_000  // sites of one file
	maxNamed    = 500      // refused lines that a report names
)

// numbered is a line of a file, counted from 1.
type numbered struct {
	n    int
	text []byte
	long bool // longer than maxLine: text is not there
}

// fileLines walks the lines of r that are not empty, without their ends.
func fileLines(r io.Reader) iter.Seq2[numbered, error] {
	return func(yield func(numbered, error) bool) {
		br := bufio.NewReaderSize(r, maxLine)
		for n := 1; ; n++ {
			text, err := br.ReadSlice('\n')
			line := numbered{n: n}
			for errors.Is(err, bufio.ErrBufferFull) {
				line.long = true
				text, err = br.ReadSlice('\n')
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(line, fmt.Errorf("read line %d: %w", n, err))
				return
			}
			if n == 1 {
				text = bytes.TrimPrefix(text, []byte("\ufeff"))
			}
			if text = bytes.TrimSpace(text); line.long {
				text = nil
			}
			if len(text) > 0 || line.long {
				line.text = bytes.Clone(text)
				if !yield(line, nil) {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
}

// AffectedLine is one line of an affected set.
type AffectedLine struct {
	Line   int
	SiteID string
	State  string // "": lost
	Batch  string
}

// RejectedLine is a line that cannot stand.
type RejectedLine struct {
	Line   int    `json:"line"`
	Field  string `json:"field"`
	SiteID string `json:"site_id,omitempty"`
	Reason string `json:"reason"`
}

// AffectedReport is what a load did, or with dry would do.
type AffectedReport struct {
	Rows         int            `json:"rows"`
	Added        int            `json:"added"`
	Unchanged    int            `json:"unchanged"` // there already, or named twice in the file
	Total        int            `json:"total"`     // of the affected set afterwards
	Rejected     []RejectedLine `json:"rejected"`
	RejectedMore int            `json:"rejected_more,omitempty"` // beyond those named
}

func (p *AffectedReport) reject(line int, field, siteID, format string, args ...any) {
	if len(p.Rejected) == maxNamed {
		p.RejectedMore++
		return
	}
	p.Rejected = append(p.Rejected, RejectedLine{Line: line, Field: field, SiteID: bounded(siteID), Reason: fmt.Sprintf(format, args...)})
}

// fault is the error of a file with a line that cannot stand; nil when there is none.
func (p *AffectedReport) fault() error {
	if len(p.Rejected) == 0 {
		return nil
	}
	f := make([]fault.Field, len(p.Rejected))
	for i, rej := range p.Rejected {
		f[i] = fault.Field{Field: fmt.Sprintf("line %d: %s", rej.Line, rej.Field), Reason: rej.Reason}
		if rej.SiteID != "" {
			f[i].Reason = fmt.Sprintf("%q %s", rej.SiteID, rej.Reason)
		}
	}
	return &fault.Error{Kind: fault.Invalid, Message: "nothing was loaded, because lines of the file cannot stand", Fields: f}
}

// The formats of an affected set.
const (
	CSV       = "csv"
	JSONLines = "jsonl"
)

// LoadAffected adds the sites that a file names to an incident's affected set. The format is CSV (column site_id, optional
// state and batch) or JSONLines with the same names; ids are ours or any that the product ever had. A file with one wrong line loads nothing,
// since a set that is half right would be counted as if it were whole: the error is fault.Invalid and the report names each line.
// What is in the set already stays as it is; nothing is ever taken out. With dry nothing is written and wrong lines are only reported.
func (r *Room) LoadAffected(ctx context.Context, by, incident, format string, file io.Reader, dry bool) (report AffectedReport, err error) {
	lines, parsed, err := parseAffected(format, file)
	if err != nil {
		return parsed, err
	}
	load := func(tx *store.Tx) error {
		report = parsed
		report.Rejected = slices.Clone(parsed.Rejected)
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		if err := in.Value.speaks(); err != nil {
			return err
		}
		return r.loadAffected(tx, by, in, lines, &report, dry)
	}
	if dry {
		err = r.DB.View(ctx, load)
		return report, err
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "ledger.load"}, load)
	if err == nil && report.Added > 0 {
		if err := r.coverLoaded(ctx, incident); err != nil { // the duty tries again; the set is loaded
			r.Log.Warn("whom nobody can tell is not known yet", "incident", incident, "err", err)
		}
	}
	return report, err
}

func (r *Room) coverLoaded(ctx context.Context, incident string) error {
	in, err := r.Incident(ctx, incident)
	if err != nil {
		return err
	}
	return r.Cover(ctx, in.ID)
}

func (r *Room) loadAffected(tx *store.Tx, by string, in store.Rec[Incident], lines []AffectedLine, report *AffectedReport, dry bool) error {
	fresh, err := r.newRows(tx, by, in.ID, lines, report)
	if err != nil {
		return err
	}
	had, err := rows.Count(tx, store.Query{Prefix: rowPrefix(in.ID)})
	if err != nil {
		return err
	}
	report.Total = had
	if len(report.Rejected) > 0 {
		report.Added = 0
		if dry {
			return nil
		}
		return report.fault()
	}
	report.Total += report.Added
	if dry {
		return nil
	}
	tx.On(in.ID)
	for _, w := range fresh {
		if room, err := r.intoBatch(tx, in.ID, "", w.Batch); err != nil {
			return err
		} else if !room {
			return fault.BadField("batch", "batch %s has %d sites already, as many as a batch may have", w.Batch, r.Policy.BatchMost)
		}
		if err := rows.Put(tx, rowID(in.ID, w.Site), w, 0); err != nil {
			return err
		}
		if err := r.moved(tx, Moved{Now: w, By: by}); err != nil {
			return err
		}
	}
	if len(fresh) == 0 && in.Value.Loaded {
		return nil
	}
	in.Value.Loaded, in.Value.Integrity = true, nil // a check of before did not see the new sites
	if in.Value.LoadedAt == nil {
		now := tx.Now()
		in.Value.LoadedAt = &now
	}
	if err := incidents.Put(tx, in.ID, in.Value, in.Version); err != nil {
		return err
	}
	if err := r.note(tx, in.ID, by, "affected_loaded", fmt.Sprintf("%d added, %d in all", report.Added, report.Total)); err != nil {
		return err
	}
	return r.touchPages(tx)
}

// newRows turns lines into the rows that are not in the ledger yet, and names the lines that cannot stand.
func (r *Room) newRows(tx *store.Tx, by, incident string, lines []AffectedLine, report *AffectedReport) ([]Row, error) {
	var fresh []Row
	seen := map[string]bool{}
	for _, line := range lines {
		site, account, err := r.site(tx, line.SiteID)
		if refused, err := refusal(err); err != nil {
			return nil, err
		} else if refused != "" {
			report.reject(line.Line, "site_id", line.SiteID, "%s", refused)
			continue
		}
		if seen[site] {
			report.Unchanged++
			continue
		}
		seen[site] = true
		_, _, err = rows.Get(tx, rowID(incident, site))
		switch {
		case err == nil:
			report.Unchanged++
			continue
		case fault.Of(err) != fault.NotFound:
			return nil, err
		}
		w := Row{Incident: incident, Site: site, Account: account, State: line.State, Batch: line.Batch, At: tx.Now(), By: by}
		if w.State == "" {
			w.State = Lost
		}
		fresh = append(fresh, w)
		report.Added++
	}
	return fresh, nil
}

// parseAffected reads the whole file. The error is about the file as a whole; lines that cannot stand are in the report.
func parseAffected(format string, file io.Reader) (lines []AffectedLine, report AffectedReport, err error) {
	add := func(l AffectedLine) error {
		if report.Rows++; report.Rows > maxAffected {
			return fault.New(fault.TooLarge, "the file has over %d lines; load it in parts", maxAffected)
		}
		if f := l.bad(); len(f) > 0 {
			report.reject(l.Line, f[0].Field, l.SiteID, "%s", f[0].Reason)
			return nil
		}
		lines = append(lines, l)
		return nil
	}
	switch format {
	case CSV:
		err = affectedCSV(file, &report, add)
	case JSONLines:
		err = affectedJSON(file, &report, add)
	default:
		err = fault.BadField("format", "is %.20q; it must be csv or jsonl", format)
	}
	if err == nil && report.Rows == 0 {
		err = fault.BadField("file", "names no site; a CSV file needs the column site_id, JSON lines look like {\"site_id\":\"...\"}")
	}
	return lines, report, err
}

func (l AffectedLine) bad() (f []fault.Field) {
	f = prose{most: 200, required: true}.bad(f, "site_id", l.SiteID)
	if l.State != "" {
		f = oneOf(f, "state", l.State, Lost, Restoring, Rebuilt, FailedSite)
	}
	return batchProse.bad(f, "batch", l.Batch)
}

func affectedJSON(file io.Reader, report *AffectedReport, add func(AffectedLine) error) error {
	for raw, err := range fileLines(file) {
		if err != nil {
			return err
		}
		l := AffectedLine{Line: raw.n}
		var f []fault.Field
		if raw.long {
			f = []fault.Field{{Field: "line", Reason: fmt.Sprintf("is longer than %d bytes", maxLine)}}
		} else {
			read("", raw.text, object{"site_id": &l.SiteID, "state": &l.State, "batch": &l.Batch}, &f)
		}
		if len(f) > 0 {
			report.Rows++
			field := f[0].Field
			if field == "" {
				field = "line"
			}
			report.reject(raw.n, field, l.SiteID, "%s", f[0].Reason)
			continue
		}
		if err := add(l); err != nil {
			return err
		}
	}
	return nil
}

// affectedCSV reads line by line: no site id holds a line break, so a quote that was left open spoils its own line only.
func affectedCSV(file io.Reader, report *AffectedReport, add func(AffectedLine) error) error {
	var columns []string
	for raw, err := range fileLines(file) {
		if err != nil {
			return err
		}
		record, err := csvLine(raw)
		if columns == nil {
			if err != nil {
				return fault.BadField("file", "is not CSV: its first line %v", err)
			}
			if columns, err = affectedColumns(record); err != nil {
				return err
			}
			continue
		}
		if err == nil && len(record) > len(columns) {
			err = fmt.Errorf("has %d values under %d columns", len(record), len(columns))
		}
		if err != nil {
			report.Rows++
			report.reject(raw.n, "line", "", "%v", err)
			continue
		}
		l := AffectedLine{Line: raw.n}
		for i, v := range record {
			switch v = strings.TrimSpace(v); columns[i] {
			case "site_id":
				l.SiteID = v
			case "state":
				l.State = v
			case "batch":
				l.Batch = v
			}
		}
		if err := add(l); err != nil {
			return err
		}
	}
	return nil
}

func csvLine(raw numbered) ([]string, error) {
	if raw.long {
		return nil, fmt.Errorf("is longer than %d bytes", maxLine)
	}
	cr := csv.NewReader(bytes.NewReader(raw.text))
	cr.TrimLeadingSpace = true
	record, err := cr.Read()
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		return nil, fmt.Errorf("is not CSV: %w", bad.Err)
	}
	return record, err
}

func affectedColumns(head []string) ([]string, error) {
	var columns []string
	for _, name := range head {
		name = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains([]string{"site_id", "state", "batch"}, name) {
			return nil, fault.BadField("file", "has the column %.40q; the columns are site_id, state, batch", name)
		}
		if slices.Contains(columns, name) {
			return nil, fault.BadField("file", "has the column %q twice", name)
		}
		columns = append(columns, name)
	}
	if !slices.Contains(columns, "site_id") {
		return nil, fault.BadField("file", "has no column site_id")
	}
	return columns, nil
}
