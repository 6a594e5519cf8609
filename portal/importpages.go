package portal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/fault"
)

// An import by hand: a file is brought, looked at, and then carried out, while a page says how far it has come. In between the file is held
// sealed in this process, and nowhere else: whoever asks another replica, or comes back after a restart, is told to bring it again, which is
// safe, since an import says nothing new the second time. What waits for a second person waits for longer, and so in the store.

// Bounds of imports by hand.
const (
	importsHeld = 8               // files at once, in this process
	importKept  = 2 * time.Hour   // since somebody last looked (wall time)
	maxFormLine = 1 << 10         // of a field that comes with a file
	heldLook    = 3 * time.Second // between two looks at what two people let through
)

// importJob is one file, from its first look to its end.
type importJob struct {
	id, by   string
	source   string
	snapshot bool
	size     int64

	mu      sync.Mutex
	held    *contacts.Held // nil: given up, or imported
	state   importState
	rows    int
	bytes   int64 // that the step has read of the file
	report  contacts.Report
	err     error
	touched time.Time
}

type importState string

const (
	importLooking importState = "looking" // its dry run waits or goes on
	importLooked  importState = "looked"
	importRunning importState = "running"
	importWaiting importState = "waiting" // for a second person
	importDone    importState = "done"
	importFailed  importState = "failed"
)

// busy says whether something goes on in the background.
func (s importState) busy() bool { return s == importLooking || s == importRunning }

// imports are the files that this process holds, and the queue of what is to be done with them.
type imports struct {
	mu    sync.Mutex
	all   map[string]*importJob
	queue chan *importJob
}

func (i *imports) line() chan *importJob {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.queue == nil {
		i.queue = make(chan *importJob, 2*importsHeld)
	}
	return i.queue
}

// RunImports does what is to be done with files that people brought to the desk, one after the other, until ctx ends.
func (p *Portal) RunImports(ctx context.Context) {
	tick, look := time.NewTicker(time.Minute), time.NewTicker(heldLook)
	defer tick.Stop()
	defer look.Stop()
	defer p.imports.forget(func(*importJob) bool { return true })
	holder := "imports-" + rand.Text()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			p.imports.forget(func(j *importJob) bool { return !j.state.busy() && now.Sub(j.touched) > importKept })
		case j := <-p.imports.line():
			p.doImport(ctx, j)
		case <-look.C:
			if err := p.Book.RunHeld(ctx, holder); err != nil && ctx.Err() == nil {
				p.Log.Error("a file that was let through was not imported", "err", err)
			}
		}
	}
}

// doImport takes the next step with a file. A panic ends the job and not the process.
func (p *Portal) doImport(ctx context.Context, j *importJob) {
	defer func() {
		if r := recover(); r != nil {
			p.Log.Error("an import panicked", "panic", fmt.Sprint(r))
			j.end(contacts.Report{}, errors.New("the import panicked"))
		}
	}()
	o := contacts.ImportOptions{Source: j.source, Format: contacts.FormatAuto, Snapshot: j.snapshot, DryRun: j.is(importLooking), Progress: j.progress}
	file, err := j.read()
	if err != nil {
		j.end(contacts.Report{}, err)
		return
	}
	report, err := p.Book.Import(ctx, j.by, file, o)
	if err != nil && problemOf(err).Ref != "" {
		p.Log.Error("an import failed", "err", err)
	}
	j.end(report, err)
}

func (j *importJob) is(s importState) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state == s
}

func (j *importJob) read() (io.Reader, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.held == nil {
		return nil, fault.New(fault.Conflict, "this file was given up")
	}
	r, err := j.held.Read()
	return reading{r, j}, err
}

// reading counts what is read of a file.
type reading struct {
	io.Reader
	job *importJob
}

func (r reading) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.job.mu.Lock()
	defer r.job.mu.Unlock()
	r.job.bytes += int64(n)
	return n, err
}

// done is how far a step has come, and of how much. A look is told by what it has read; an import by its rows, which were counted by the look, for it
// reads the whole file before it writes any.
func (j *importJob) done() (n, of int64) {
	if j.state == importLooking {
		return j.bytes, j.size
	}
	return int64(j.rows), int64(j.report.Rows)
}

func (j *importJob) progress(rows int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rows = rows
}

// end keeps what became of a step. A file that was imported is held no longer.
func (j *importJob) end(report contacts.Report, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.report, j.err = report, err
	switch {
	case err != nil:
		j.state = importFailed
	case report.Waiting != nil && !report.DryRun:
		if j.state = importWaiting; report.Waiting.Held {
			j.drop() // the store has it
		}
	case j.state == importLooking:
		j.state = importLooked
	default:
		j.state = importDone
		j.drop()
	}
}

func (j *importJob) drop() {
	if j.held != nil {
		j.held.Close()
		j.held = nil
	}
}

// forget gives up the files of which over says so.
func (i *imports) forget(over func(*importJob) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id, j := range i.all {
		j.mu.Lock()
		if over(j) {
			j.drop()
			delete(i.all, id)
		}
		j.mu.Unlock()
	}
}

// keep takes a file in, in place of what the same person brought before.
func (i *imports) keep(j *importJob) error {
	i.forget(func(old *importJob) bool { return old.by == j.by && !old.state.busy() })
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.all) >= importsHeld {
		return fault.New(fault.Unavailable, "%d other files wait to be imported; try again later, or import this one on the machine itself (lifeline import)", len(i.all))
	}
	if i.all == nil {
		i.all = map[string]*importJob{}
	}
	i.all[j.id] = j
	return nil
}

// find gives a person her own file.
func (i *imports) find(by, id string) (*importJob, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	j := i.all[id]
	if j == nil || j.by != by {
		return nil, fault.New(fault.NotFound, "this file is not held here: it was given up, the program was started again, or another machine has it. Bring it again; what is in the book already is not imported twice.")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.touched = time.Now()
	return j, nil
}

// of is the file that a person brought last; nil: none.
func (i *imports) of(by string) *importJob {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, j := range i.all {
		if j.by == by {
			return j
		}
	}
	return nil
}

// lineUp puts the next step of a file into the queue.
func (p *Portal) lineUp(j *importJob, s importState) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	was := j.state
	if was.busy() || j.held == nil {
		return fault.New(fault.Conflict, "this import is %s", was)
	}
	j.state, j.rows, j.bytes, j.err = s, 0, 0, nil
	select {
	case p.imports.line() <- j:
		return nil
	default:
		j.state = was
		return fault.New(fault.Unavailable, "other imports wait; try again in a while")
	}
}

func (p *Portal) importPages() []route {
	const one = "/desk/import/:id"
	return []route{
		{method: "GET", path: "/desk/import", page: true, right: auth.ContactImport, do: func(k *call) error { return k.importForm(200, nil) }},
		{method: "POST", path: "/desk/import", page: true, right: auth.ContactImport, file: "file", do: func(k *call) error {
			j, err := k.bringFile()
			if err != nil {
				return k.importForm(problemOf(err).Status, err)
			}
			return k.Redirect("/desk/import/"+j.id, fiber.StatusSeeOther)
		}},
		{method: "GET", path: one, page: true, right: auth.ContactImport, do: func(k *call) error { return k.importPage("desk_import_job", 200, nil) }},
		{method: "GET", path: one + "/live", page: true, right: auth.ContactImport, do: func(k *call) error { return k.importPage("desk_import_live", 200, nil) }},
		{method: "POST", path: one, page: true, right: auth.ContactImport, do: func(k *call) error {
			j, err := p.imports.find(k.person.ID, k.Params("id"))
			if err != nil {
				return k.importForm(404, err)
			}
			if k.FormValue("act") == "drop" {
				p.imports.forget(func(other *importJob) bool { return other == j && !j.state.busy() })
				return k.Redirect("/desk/import", fiber.StatusSeeOther)
			}
			if err := p.lineUp(j, importRunning); err != nil {
				return k.importPage("desk_import_job", problemOf(err).Status, err)
			}
			return k.Redirect("/desk/import/"+j.id, fiber.StatusSeeOther)
		}},
	}
}

type importFormView struct {
	shell
	Source   string
	Snapshot bool
	Mine     string       // the id of the file that she brought before
	Held     []changeDesk // files that wait for a second person, of whoever brought them
	Most     int64        // MiB
	Columns  []string     // that a file may have
}

// mostImported is how large a file can be that is looked at first.
func (p *Portal) mostImported() int64 {
	return min(p.Book.Policy.MaxImport, p.Book.Policy.MaxDryRun, maxImport)
}

func (k *call) importForm(status int, refused error) error {
	v := importFormView{shell: k.shell("desk.book.import"), Most: k.p.mostImported() >> 20, Columns: contacts.Columns()}
	if j := k.p.imports.of(k.person.ID); j != nil {
		v.Mine = j.id
	}
	for _, state := range []contacts.ChangeState{contacts.ChangeProposed, contacts.ChangeApproved} {
		some, _, err := k.p.Changes.List(k.UserContext(), state, store.Query{})
		if err != nil {
			return err
		}
		for _, rec := range some {
			if rec.Value.Verb != contacts.VerbImport {
				continue
			}
			if c := k.changeDesk(v.shell, rec); c.Held {
				v.Held = append(v.Held, c)
			}
		}
	}
	if refused != nil {
		v.refused(refused)
		v.Source, v.Snapshot = k.fields["source"], k.fields["snapshot"] != ""
	}
	return k.p.render(k.Ctx, status, "desk_import", v)
}

// bringFile holds the file of a form and begins to look at it.
func (k *call) bringFile() (*importJob, error) {
	p := k.p
	source := strings.ToLower(strings.TrimSpace(k.fields["source"]))
	switch {
	case source == "":
		return nil, fault.BadField("source", "is missing: who says what is in the file? Such as billing, crm or product")
	case len(p.Secrets[source]) > 0:
		return nil, fault.BadField("source", "signs what it sends, and nothing else is taken under its name; on the machine itself it can be imported by hand (lifeline import)")
	case k.file == nil:
		return nil, fault.BadField("file", "is missing: choose a file of contacts, CSV or JSON lines")
	}
	held, err := p.Book.Hold(k.file)
	if err != nil {
		return nil, err
	}
	j := &importJob{id: rand.Text(), by: k.person.ID, source: source, snapshot: k.fields["snapshot"] != "", size: held.Size(), held: held, touched: time.Now()}
	if held.Size() == 0 {
		held.Close()
		return nil, fault.BadField("file", "is empty")
	}
	if err := p.imports.keep(j); err != nil {
		held.Close()
		return nil, err
	}
	return j, p.lineUp(j, importLooking)
}

type importPageView struct {
	shell
	ID       string
	Source   string
	Snapshot bool
	Size     int64 // KiB
	State    importState
	Rows     int
	Done     int64 // of Total, while something goes on
	Total    int64
	Report   contacts.Report
	Shown    []contacts.Rejected // a page of what was rejected
	Next     int                 // where the next begins; 0: there is none
	Why      string              // it failed
	Useless  bool                // and would again: the file itself cannot be used
}

// Waits says whether something can be done with the file here.
func (v importPageView) Waits() bool {
	return v.State == importLooked || v.State == importFailed && !v.Useless || v.State == importWaiting && (v.Report.Waiting == nil || !v.Report.Waiting.Held)
}

// Busy says whether the page changes by itself.
func (v importPageView) Busy() bool { return v.State.busy() }

func (k *call) importPage(name string, status int, refused error) error {
	j, err := k.p.imports.find(k.person.ID, k.Params("id"))
	if err != nil {
		if name == "desk_import_live" {
			return err
		}
		return k.importForm(404, err)
	}
	v := importPageView{shell: k.shell("desk.book.import")}
	j.mu.Lock()
	v.ID, v.Source, v.Snapshot, v.Size = j.id, j.source, j.snapshot, (j.size+1023)>>10
	v.State, v.Rows, v.Report = j.state, j.rows, j.report
	v.Done, v.Total = j.done()
	failed := j.err
	j.mu.Unlock()
	if v.Busy() {
		v.Refresh = 3
	}
	if failed != nil {
		pr := problemOf(failed)
		v.Useless = fault.Of(failed) == fault.Invalid || fault.Of(failed) == fault.TooLarge
		v.Why = strings.TrimSpace(pr.Title + ". " + pr.Detail)
		for _, f := range pr.Errors {
			v.Why = pr.Title + ": " + f.Field + " " + f.Reason
		}
	}
	at := offset(k.Query("from"), len(v.Report.Rejected))
	v.Shown = v.Report.Rejected[at:min(len(v.Report.Rejected), at+shownAtOnce)]
	if at+shownAtOnce < len(v.Report.Rejected) {
		v.Next = at + shownAtOnce
	}
	if refused != nil {
		v.refused(refused)
	}
	return k.p.render(k.Ctx, status, name, v)
}

// openForm reads the fields in front of the file of a form (RFC 7578), and leaves the file to be read as it comes: it may be large, and never
// lies on the disk in plain. A body that is no such form brings nothing.
func (k *call) openForm(name string, max int64) error {
	k.fields = map[string]string{}
	media, params, err := mime.ParseMediaType(k.Get(fiber.HeaderContentType))
	if err != nil || media != fiber.MIMEMultipartForm {
		return nil
	}
	parts := multipart.NewReader(stream(k.Ctx, int(max)+maxFormLine*16), params["boundary"])
	for range 16 {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return brokenForm(err)
		}
		if part.FormName() == name {
			if part.FileName() != "" {
				k.file = part
			}
			return nil
		}
		text, err := io.ReadAll(io.LimitReader(part, maxFormLine))
		if err != nil {
			return brokenForm(err)
		}
		k.fields[part.FormName()] = string(text)
	}
	return fault.New(fault.Invalid, "the form has too many fields")
}

func brokenForm(err error) error {
	if fault.Of(err) == fault.TooLarge {
		return err
	}
	return fiber.NewError(fiber.StatusBadRequest, "The form broke off")
}
