package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"lifeline/contacts"
)

func importCommand() command {
	return command{
		name: "import", args: "FILE --source NAME", short: "read accounts, sites and contacts from a CSV or JSON lines file",
		long: `Reads contacts from FILE ("-" is standard input), CSV with a header or JSON lines, and merges them into the store.
Columns, in any order: account, account_id, domain, site, site_id, site_url, products, region, tier, name, role, email, phone,
locale, time_zone, channels, confirmed_at, invoices, old_tickets, former_names, former_account_ids, former_site_ids. ";" separates several values
(arrays in JSON lines).
role is one or more of owner, site_admin, billing, technical, executive.

Bad rows are named by line, field and reason, and the good ones kept. Nothing is overwritten by a staler or weaker source. Importing the
same file again changes nothing. A file that is all its source knows is named so with --snapshot: then what it leaves out is looked at,
and a person is told when it is much; nothing is ever removed by it. An import that would add addresses to many known customers (over 1 % of
all addresses, and over 20) writes nothing and names a change: once somebody else has approved and run it the file, which is kept, is imported (or import it again).
Exit status 1 when a row was not taken. Works whether or not the server is running.`,
		flags: func(fs *flag.FlagSet) {
			fs.String("source", "", "`name` of where the file comes from: billing, crm, product, outreach ... (required)")
			fs.Bool("dry-run", false, "say what would change, and change nothing")
			fs.Bool("snapshot", false, "this is all that the source knows: look at what it leaves out")
			fs.Bool("json", false, "print the report as JSON")
		},
		run: runImport,
	}
}

func runImport(ctx context.Context, e env, fs *flag.FlagSet) error {
	source := text(fs, "source")
	if fs.NArg() != 1 || source == "" {
		return usage{"import: name one FILE and a --source"}
	}
	cfg, err := readConfig(text(fs, "config"), e.environ)
	if err != nil {
		return err
	}
	in, size, err := openInput(e, fs.Arg(0))
	if err != nil {
		return err
	}
	defer in.Close()
	c, err := connect(ctx, e, cfg)
	if err != nil {
		return err
	}
	defer c.close()
	progress := newProgress(e.stderr, size)
	query := url.Values{"source": {source}}
	if text(fs, "dry-run") == "true" {
		query.Set("dry_run", "true")
	}
	if text(fs, "snapshot") == "true" {
		query.Set("snapshot", "true")
	}
	var answer []byte
	err = c.call(ctx, "POST", "/api/v1/contacts/imports?"+query.Encode(), mediaOf(fs.Arg(0)), progress.reader(in), &answer)
	progress.done()
	if err != nil {
		return err
	}
	var report contacts.Report
	if err := json.Unmarshal(answer, &report); err != nil {
		return err
	}
	if text(fs, "json") == "true" {
		_, err = fmt.Fprintf(e.stdout, "%s\n", answer)
	} else {
		printReport(e, report)
	}
	if err == nil && report.RejectedRows > 0 {
		err = fmt.Errorf("%d of %d rows were not taken; correct them and import the file again: what is in the store already is not taken twice", report.RejectedRows, report.Rows)
	}
	return err
}

func openInput(e env, name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(e.stdin), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory: name a file of contacts in it", name)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// mediaOf goes by the file's name; anything else is looked at by the server.
func mediaOf(name string) string {
	switch {
	case strings.HasSuffix(name, ".csv"):
		return "text/csv"
	case strings.HasSuffix(name, ".jsonl"), strings.HasSuffix(name, ".ndjson"):
		return "application/x-ndjson"
	}
	return "application/octet-stream"
}

func printReport(e env, r contacts.Report) {
	verb := ""
	if r.DryRun {
		verb = "would be "
	}
	fmt.Fprintf(e.stdout, "%d rows: %s%d created, %d updated, %d unchanged, %d conflicts, %d rejected\n",
		r.Rows, verb, r.Created, r.Updated, r.Unchanged, r.Conflicts, r.RejectedRows)
	if r.Created+r.Updated == 0 && r.Unchanged > 0 {
		fmt.Fprintln(e.stdout, "nothing new: the store holds all of this already, and was not changed")
	}
	for _, w := range r.Sample {
		what := "changes"
		if w.New {
			what = "new"
		}
		fmt.Fprintf(e.stdout, "  line %d: %s: %s\n", w.Line, what, w.Says)
	}
	if more := r.Created + r.Updated - len(r.Sample); r.DryRun && len(r.Sample) > 0 && more > 0 {
		fmt.Fprintf(e.stdout, "  ... and %d more rows\n", more)
	}
	if r.Missing > 0 {
		fmt.Fprintf(e.stdout, "%d records that this source named before are not in it; they stay\n", r.Missing)
	}
	if w := r.Waiting; w != nil {
		fmt.Fprintf(e.stdout, "it adds %d addresses to customers who are known, of %d in all: importing it will wait for a second person\n", w.Addresses, w.Of)
	}
	if r.Conflicts > 0 && !r.DryRun {
		fmt.Fprintln(e.stdout, "conflicts wait for a person: /desk/conflicts")
	}
	const shown = 50
	for i, bad := range r.Rejected {
		if i == shown {
			fmt.Fprintf(e.stderr, "... and %d more; --json lists them\n", len(r.Rejected)+r.RejectedMore-shown)
			break
		}
		fmt.Fprintf(e.stderr, "line %d: %s %s\n", bad.Line, bad.Field, bad.Reason)
	}
}

// progress shows how far a long reading is: a bar that moves on a terminal, a plain line now and then elsewhere.
type progress struct {
	out        io.Writer
	size, read int64
	terminal   bool
	next       time.Time
	shown      bool
}

func newProgress(out io.Writer, size int64) *progress {
	f, ok := out.(*os.File)
	return &progress{out: out, size: size, terminal: ok && term.IsTerminal(int(f.Fd())), next: time.Now().Add(time.Second)}
}

func (p *progress) reader(r io.Reader) io.Reader { return progressReader{r, p} }

type progressReader struct {
	r io.Reader
	p *progress
}

func (r progressReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.p.add(int64(n))
	return n, err
}

func (p *progress) add(n int64) {
	p.read += n
	if time.Now().Before(p.next) {
		return
	}
	p.shown = true
	if !p.terminal {
		p.next = time.Now().Add(10 * time.Second)
		fmt.Fprintf(p.out, "read %d MiB%s\n", p.read>>20, p.share())
		return
	}
	p.next = time.Now().Add(100 * time.Millisecond)
	fmt.Fprintf(p.out, "\r%s %d MiB%s ", bar(p.read, p.size), p.read>>20, p.share())
}

// records is add for what is counted in records.
func (p *progress) records(done, total int64) {
	if time.Now().Before(p.next) {
		return
	}
	p.shown = true
	if !p.terminal {
		p.next = time.Now().Add(10 * time.Second)
		fmt.Fprintf(p.out, "%d of %d records\n", done, total)
		return
	}
	p.next = time.Now().Add(100 * time.Millisecond)
	fmt.Fprintf(p.out, "\r%s %d of %d records ", bar(done, total), done, total)
}

func (p *progress) share() string {
	if p.size <= 0 {
		return ""
	}
	return fmt.Sprintf(" of %d MiB (%d %%)", p.size>>20, p.read*100/p.size)
}

func (p *progress) done() {
	if p.shown && p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// bar is thirty characters of how much is done.
func bar(done, of int64) string {
	const width = 30
	if of <= 0 {
		return ""
	}
	n := min(int(done*width/of), width)
	return "[" + strings.Repeat("#", n) + strings.Repeat(".", width-n) + "]"
}
