package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"lifeline/store"
	"lifeline/store/fault"
)

// DrillOptions say what to restore into and against which targets.
type DrillOptions struct {
	Identities []age.Identity
	Keys       *store.Keys
	Kinds      []store.Kind // those that this binary opens a store with
	// Open opens a new, empty, temporary engine; done throws it away.
	Open func(context.Context) (engine store.Engine, done func(), err error)
	// Batch says of what a batch is restored too, into the newest backup's store as if that served: Kind and Owners are used. Kind "": no batch is.
	Batch PickOptions
	RPO   time.Duration // a target of one's own beside the tiers'; 0: none
	RTO   time.Duration
	By    string
	Now   time.Time // zero: now

	pick func(n int) int // which of n older backups; nil: at random
}

// Report is what a drill found.
type Report struct {
	At       time.Time     `json:"at"`
	By       string        `json:"by"`
	Place    string        `json:"place"`
	Runs     []Run         `json:"runs"`
	RPO      time.Duration `json:"rpo"` // age of the newest backup, ns: what a loss at that moment would have cost
	RTO      time.Duration `json:"rto"` // the slowest run, ns: restore and checks, without fetching hardware and people
	Tiers    []Measured    `json:"tiers"`
	Batch    *Batch        `json:"batch,omitempty"`    // nil: none was restored
	Problems []string      `json:"problems,omitempty"` // empty: passed
}

// Passed says whether every run was whole and both targets were met.
func (r Report) Passed() bool { return len(r.Problems) == 0 }

// Measured is a tier and whether it was met.
type Measured struct {
	Tier
	Met bool `json:"met"`
}

// measure compares the figures with each tier that Lifeline holds itself to, and with targets of one's own.
func (r *Report) measure(own Tier) {
	all := tiers[:]
	if own.RPO > 0 || own.RTO > 0 {
		own.Number, own.Of = -1, "targets of this drill"
		all = append(slices.Clip(all), own)
	}
	for _, t := range all {
		m := Measured{Tier: t, Met: (t.RPO == 0 || r.RPO < t.RPO) && (t.RTO == 0 || r.RTO < t.RTO)}
		r.Tiers = append(r.Tiers, m)
		if !m.Met {
			r.Problems = append(r.Problems, fmt.Sprintf("%s missed: RPO %s and RTO %s, to be under %s and %s", t.name(), round(r.RPO), round(r.RTO), orNone(t.RPO), orNone(t.RTO)))
		}
	}
}

func (t Tier) name() string {
	if t.Number < 0 {
		return t.Of
	}
	return fmt.Sprintf("Tier %d (%s)", t.Number, t.Of)
}

func round(d time.Duration) time.Duration {
	if d >= time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}

func orNone(d time.Duration) string {
	if d == 0 {
		return "any"
	}
	return d.String()
}

// Run is one backup restored.
type Run struct {
	Backup   string        `json:"backup"`
	Taken    time.Time     `json:"taken"`
	Size     int64         `json:"size"`
	Records  int           `json:"records"` // restored, counted and opened
	Audit    int64         `json:"audit"`   // rows of the audit chain walked
	Restored time.Duration `json:"restored"`
	Checked  time.Duration `json:"checked"`
	Problems []string      `json:"problems,omitempty"`
}

// Drill restores the newest backup and one of the others into temporary stores and looks whether everything is there: counts, each record
// opened, each index, the audit chain. From the first it then takes a large batch out and puts it back. A problem is in the report; the error is for a drill that could not be held.
func (s Shelf) Drill(ctx context.Context, o DrillOptions) (Report, error) {
	now := o.Now
	if now.IsZero() {
		now = time.Now()
	}
	r := Report{At: now.UTC(), By: o.By, Place: s.Place.String(), Tiers: []Measured{}}
	newest, err := s.Find(ctx, time.Time{})
	if err != nil {
		return r, err
	}
	chosen := []Entry{newest}
	entries, err := s.List(ctx)
	if err != nil {
		return r, err
	}
	var others []Entry
	for _, e := range entries {
		if e.Flaw != "" {
			r.Problems = append(r.Problems, e.Name()+": "+e.Flaw)
		} else if e.Present && e.Number != newest.Number {
			others = append(others, e)
		}
	}
	pick := o.pick
	if pick == nil {
		pick = rand.IntN
	}
	if len(others) > 0 {
		chosen = append(chosen, others[pick(len(others))])
	}
	for i, e := range chosen {
		var batch **Batch
		if i == 0 && o.Batch.Kind != "" {
			batch = &r.Batch
		}
		run, err := s.rehearse(ctx, e, o, batch)
		if err != nil {
			return r, err
		}
		r.Runs = append(r.Runs, run)
		r.RTO = max(r.RTO, run.Restored+run.Checked)
		for _, p := range run.Problems {
			r.Problems = append(r.Problems, run.Backup+": "+p)
		}
	}
	r.RPO = now.Sub(newest.Taken)
	r.measure(Tier{RPO: o.RPO, RTO: o.RTO})
	return r, nil
}

// rehearse restores one backup, and a batch from it where that is asked for.
func (s Shelf) rehearse(ctx context.Context, e Entry, o DrillOptions, batch **Batch) (run Run, err error) {
	run = Run{Backup: e.Name(), Taken: e.Taken, Size: e.Size}
	engine, done, err := o.Open(ctx)
	if err != nil {
		return run, fmt.Errorf("open a store for the drill: %w", err)
	}
	defer done()
	by := or(o.By, "system:drill")
	began := time.Now()
	err = s.Restore(ctx, e, engine, RestoreOptions{Identities: o.Identities, Keys: o.Keys, By: by, Reason: "drill"})
	run.Restored = time.Since(began)
	if err == nil {
		began = time.Now()
		if err = run.check(ctx, e, engine, o); err == nil {
			_, err = s.Facts(ctx, e.Page, o.Keys)
		}
		run.Checked = time.Since(began)
	}
	if err == nil && batch != nil {
		*batch, err = s.rehearseBatch(ctx, e, engine, o, &run)
	}
	if ctx.Err() != nil {
		return run, ctx.Err()
	}
	if err != nil {
		run.Problems = append(run.Problems, err.Error())
	}
	return run, nil
}

func (run *Run) problem(format string, args ...any) {
	if len(run.Problems) < 20 {
		run.Problems = append(run.Problems, fmt.Sprintf(format, args...))
	}
}

// check opens the restored store as serving would, and compares it with the manifest.
func (run *Run) check(ctx context.Context, e Entry, engine store.Engine, o DrillOptions) error {
	db, err := store.Open(ctx, engine, store.Options{Keys: o.Keys, Kinds: o.Kinds})
	if err != nil {
		return err
	}
	held := ""
	if err := db.View(ctx, func(tx *store.Tx) (err error) { held, err = store.Held(tx); return err }); err != nil {
		return err
	}
	if held == "" {
		run.problem("the restored store is not held: it would send")
	}
	for _, k := range db.Declared() {
		if err := engine.View(ctx, func(s store.Snapshot) error { return run.checkKind(s, k, e.Counts, o.Keys) }); err != nil {
			return fmt.Errorf("walk kind %s: %w", k.Name, err)
		}
	}
	for kind, n := range e.Counts {
		if _, known := find(db.Declared(), kind); !known && n > 0 {
			run.problem("this binary does not know kind %s, of which the backup has %d", kind, n)
		}
	}
	audit, err := db.VerifyAudit(ctx, e.Head)
	if err != nil {
		return err
	}
	run.Audit = audit.Rows
	for _, f := range audit.Flaws {
		run.problem("audit log: %s %d-%d: %s", f.What, f.First, f.Last, f.Why)
	}
	return nil
}

func find(kinds []store.Kind, name string) (store.Kind, bool) {
	for _, k := range kinds {
		if k.Name == name {
			return k, true
		}
	}
	return store.Kind{}, false
}

func (run *Run) checkKind(s store.Snapshot, k store.Kind, counts map[string]int, keys *store.Keys) error {
	n := 0
	indexed := make([]int, len(k.Indexes))
	for raw, err := range s.Scan(store.Range{Kind: k.Name, Deleted: true}) {
		if err != nil {
			return err
		}
		n++
		for i, t := range raw.Tuples {
			if t != nil && i < len(indexed) {
				indexed[i]++
			}
		}
		if _, err := keys.Open(k, raw.ID, raw.Body); err != nil {
			run.problem("%s %s: %v", k.Name, raw.ID, err)
			continue
		}
		run.Records++
	}
	want, had := counts[k.Name]
	switch {
	case k.Name == "audit":
		want++ // the restore's own row
	case !had && ours(k):
		want = n // made when a store is opened
	}
	if n != want {
		run.problem("%d records of kind %s, the manifest says %d", n, k.Name, want)
	}
	for i, ix := range k.Indexes {
		rows, err := s.Count(store.Range{Kind: k.Name, Index: ix.Name})
		if err != nil {
			return err
		}
		if rows != indexed[i] {
			run.problem("index %s of %s has %d rows, its records ask for %d", ix.Name, k.Name, rows, indexed[i])
		}
	}
	return nil
}

// Markdown is the report for people.
func (r Report) Markdown() string {
	var b bytes.Buffer
	verdict := "passed"
	if !r.Passed() {
		verdict = "FAILED"
	}
	fmt.Fprintf(&b, "# Restore drill of %s: %s\n\n", r.At.Format("2006-01-02 15:04 UTC"), verdict)
	fmt.Fprintf(&b, "Held by %s on the backups in %s.\n\n", or(r.By, "system:drill"), r.Place)
	fmt.Fprintf(&b, "| Measure | Result |\n|---|---|\n| RPO | %s |\n| RTO | %s |\n\n%s.\n\n%s.\n\n", round(r.RPO), round(r.RTO), MeansRPO, MeansRTO)
	b.WriteString("| Held to | RPO under | RTO under | Result |\n|---|---|---|---|\n")
	for _, t := range r.Tiers {
		met := "met"
		if !t.Met {
			met = "MISSED"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", t.name(), orNone(t.RPO), orNone(t.RTO), met)
	}
	b.WriteString("\n")
	b.WriteString("| Backup | Taken | Size (bytes) | Records | Audit rows | Restored in | Checked in | Result |\n|---|---|---|---|---|---|---|---|\n")
	for _, run := range r.Runs {
		result := "whole"
		if len(run.Problems) > 0 {
			result = fmt.Sprintf("%d problems", len(run.Problems))
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %s | %s | %s |\n", run.Backup, run.Taken.UTC().Format(time.RFC3339), run.Size, run.Records, run.Audit,
			run.Restored.Round(time.Millisecond), run.Checked.Round(time.Millisecond), result)
	}
	if r.Batch != nil {
		fmt.Fprintf(&b, "\nA batch was lost and put back from %s, as `lifeline backup restore --accounts` does: %d records of kind %s with theirs, %d in all, in %s.\n",
			r.Runs[0].Backup, r.Batch.Roots, r.Batch.Kind, r.Batch.Records, r.Batch.Took.Round(time.Millisecond))
	}
	if len(r.Problems) > 0 {
		b.WriteString("\n## Problems\n\n")
		for _, p := range r.Problems {
			fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(p, "\n", " "))
		}
	}
	return b.String()
}

// LastDrill reads the newest report in a directory that passed; fault.NotFound when none did.
func LastDrill(dir string) (r Report, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "drill-*.json"))
	if err != nil {
		return r, err
	}
	slices.Sort(paths) // dated
	for _, path := range slices.Backward(paths) {
		content, err := os.ReadFile(path)
		if err != nil {
			return r, err
		}
		r = Report{}
		if err := json.Unmarshal(content, &r); err == nil && !r.At.IsZero() && r.Passed() {
			return r, nil
		}
	}
	return Report{}, fault.New(fault.NotFound, "no drill that passed is kept in %s", dir)
}

// Write keeps the report in a directory, dated, as JSON and as Markdown, and says where.
func (r Report) Write(dir string) (paths []string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep the drill's report: %w", err)
	}
	asJSON, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	base := filepath.Join(dir, "drill-"+r.At.UTC().Format("20060102T150405Z"))
	paths = []string{base + ".json", base + ".md"}
	return paths, errors.Join(os.WriteFile(paths[0], append(asJSON, '\n'), 0o600), os.WriteFile(paths[1], []byte(r.Markdown()), 0o600))
}
