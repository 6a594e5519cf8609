package desk

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/fault"
	"lifeline/store/limit"
)

// A file comes in before the message that it belongs to is written, and is kept by the message's own transaction:
//
//	files := d.Receive(ctx, source)          // where it comes from, for what one source may send in an hour
//	err := files.Add(ctx, name, reader)      // each; only a broken reader is an error
//	in.Files = files                         // of File; Message.Attached of Say and Write
//	files.Drop(ctx)                          // when nothing was written; else it does nothing
//
// A file that is not taken never stops its message: the message says which one it was and why.

// FilePolicy is how much may come with a message, in a MiB of 1,048,576 bytes where it is about bytes.
type FilePolicy struct {
	Most    int      `yaml:"most" json:"most"`                           // of one message
	Each    int      `yaml:"each_mib" json:"each_mib"`                   // bytes of a file
	Message int      `yaml:"message_mib" json:"message_mib"`             // of all of a message
	Ticket  int      `yaml:"ticket_mib" json:"ticket_mib"`               // of all of a ticket
	Source  int      `yaml:"source_hourly_mib" json:"source_hourly_mib"` // from one source in an hour
	Hourly  int      `yaml:"hourly_mib" json:"hourly_mib"`               // from all strangers in an hour
	Kinds   []string `yaml:"kinds" json:"kinds"`                         // that are kept: see the Kind constants
	Clamd   string   `yaml:"clamd" json:"clamd"`                         // address of a ClamAV daemon, host:port or unix:PATH; "": nothing is looked at
}

func defaultFiles() FilePolicy {
	return FilePolicy{Most: 10, Each: 10, Message: 20, Ticket: 100, Source: 200, Hourly: 4096,
		Kinds: []string{KindPicture, KindDocument, KindMedia, KindArchive, KindActive, KindOther}}
}

func (p FilePolicy) check(bad func(field, reason string)) {
	for field, n := range map[string]int{"most": p.Most, "each_mib": p.Each, "message_mib": p.Message, "ticket_mib": p.Ticket, "source_hourly_mib": p.Source, "hourly_mib": p.Hourly} {
		if n < 1 {
			bad("files."+field, "must be at least 1")
		}
	}
	if p.Each > p.Message || p.Message > p.Ticket {
		bad("files.each_mib", "must not be above message_mib, nor that above ticket_mib")
	}
	for _, k := range p.Kinds {
		if !slices.Contains(fileKinds, k) {
			bad("files.kinds", "names a kind that is none of "+strings.Join(fileKinds, ", "))
		}
	}
	if _, err := parseClamd(p.Clamd); err != nil {
		bad("files.clamd", err.Error())
	}
}

const mib = 1 << 20

// Why a file was not kept: the words of it are file.unkept.NAME.
const (
	UnkeptTooMany   = "too_many"     // more than a message may have
	UnkeptTooLarge  = "too_large"    // larger than a file may be
	UnkeptMessage   = "message_full" // the files of the message are too large together
	UnkeptTicket    = "ticket_full"  // those of the ticket
	UnkeptEmpty     = "empty"
	UnkeptKind      = "kind"       // programs, as a rule
	UnkeptRoom      = "no_room"    // the disk is nearly full: files are refused first, tickets last
	UnkeptTooMuch   = "too_much"   // the source, or everybody, sent too many bytes in an hour
	UnkeptUnwritten = "not_stored" // our failure
)

// Unkept is a file that came and was not kept.
type Unkept struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Attached is what came with one message and is not kept yet. A nil *Attached is none.
type Attached struct {
	d      *Desk
	source string
	files  []blob.Loose
	unkept []Unkept
	size   int64
	kept   bool
}

// Receive readies the desk for the files of one message. Source is where they come from, such as a network or a mail domain; "": staff, whose
// files are not counted.
func (d *Desk) Receive(source string) *Attached { return &Attached{d: d, source: source} }

// Add reads a file to its end and writes it. What cannot be kept is noted, and is no error; an error says that from broke off, or that
// ctx ended.
func (a *Attached) Add(ctx context.Context, name string, from io.Reader) error {
	name = FileName(name)
	broken := &breaks{r: from}
	why := a.take(ctx, name, broken)
	if broken.err != nil {
		return broken.err
	}
	if why != "" {
		a.unkept = append(a.unkept, Unkept{name, why})
	}
	return ctx.Err()
}

// breaks remembers that the reader failed, so that the sender's failure is not taken for ours.
type breaks struct {
	r   io.Reader
	err error
}

func (b *breaks) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// take writes a file, or says why not.
func (a *Attached) take(ctx context.Context, name string, from io.Reader) (why string) {
	p := a.d.Policy.Files
	switch {
	case len(a.files) >= p.Most:
		return UnkeptTooMany
	case a.d.Short != nil && a.d.Short():
		return UnkeptRoom
	}
	r := bufio.NewReaderSize(from, sniffed)
	head, err := r.Peek(sniffed)
	if len(head) == 0 || err != nil && err != io.EOF {
		return UnkeptEmpty
	}
	kind, media := KindOf(name, head)
	if !slices.Contains(p.Kinds, kind) {
		return UnkeptKind
	}
	left := int64(p.Message)*mib - a.size
	most := min(int64(p.Each)*mib, left)
	l, err := blob.Put(ctx, a.d.DB, blob.Upload{Name: name, Type: media, From: r, Max: most})
	if err == nil {
		err = a.pay(ctx, l.Size)
	}
	switch fault.Of(err) {
	case "":
		a.files = append(a.files, l)
		a.size += l.Size
		return ""
	case fault.TooLarge:
		why = UnkeptTooLarge
		if most == left {
			why = UnkeptMessage
		}
	case fault.TooMany:
		why = UnkeptTooMuch
	default:
		why = UnkeptUnwritten
		if ctx.Err() == nil {
			a.d.Log.Warn("a file was not kept", "err", err)
		}
	}
	if errors.Is(err, fault.ErrFull) {
		why = UnkeptRoom
	}
	a.discard(ctx, l)
	return why
}

// pay counts the bytes of a stranger against what her source and all strangers may send in an hour.
func (a *Attached) pay(ctx context.Context, size int64) error {
	if a.source == "" {
		return nil
	}
	p, n := a.d.Policy.Files, int((size+mib-1)/mib)
	if err := limit.TakeSome(ctx, a.d.DB, "file MiB from "+a.source, n, p.Source, time.Hour); err != nil {
		return err
	}
	return a.d.sent.TakeSome(ctx, a.d.DB, "file MiB", n, p.Hourly, time.Hour)
}

func (a *Attached) discard(ctx context.Context, l blob.Loose) {
	if err := l.Discard(context.WithoutCancel(ctx), a.d.DB); err != nil {
		a.d.Log.Debug("an unfinished file is left to the sweep", "err", err)
	}
}

// None says that nothing came.
func (a *Attached) None() bool { return a == nil || len(a.files)+len(a.unkept) == 0 }

// Names are of the files that are here, and Unkept those that are not.
func (a *Attached) Names() (names []string) {
	if a != nil {
		for _, l := range a.files {
			names = append(names, l.Name)
		}
	}
	return names
}

// Unkept is what came and is not kept.
func (a *Attached) Unkept() []Unkept {
	if a == nil {
		return nil
	}
	return a.unkept
}

// Drop removes what no message has kept.
func (a *Attached) Drop(ctx context.Context) {
	if a == nil || a.kept {
		return
	}
	for _, l := range a.files {
		a.discard(ctx, l)
	}
	a.files = nil
}

// uploads names the purpose of a token that carries uploads from one page of a form to the next.
const uploads = "ticket uploads"

// Carry is a token for a form that has to be sent once more, such as one with a field to mend: it brings the files back without sending them again,
// for a day and once. They are not dropped then.
func (a *Attached) Carry() string {
	if a == nil || len(a.files) == 0 {
		return ""
	}
	ids := make([]string, len(a.files))
	for i, l := range a.files {
		ids[i] = strings.TrimPrefix(l.ID(), "blb_")
	}
	a.kept = true
	return a.d.Signing.sign(uploads, strings.Join(ids, "."))
}

// Resume brings back what a token carries. What is there no more is passed over: it was kept, or a day went by.
func (a *Attached) Resume(ctx context.Context, token string) error {
	ids, ok := a.d.Signing.read(uploads, token)
	if !ok {
		return nil
	}
	came := a.files
	return a.d.DB.View(ctx, func(tx *store.Tx) error {
		a.files, a.size = nil, 0
		for _, id := range strings.Split(ids, ".") {
			l, err := blob.Find(tx, "blb_"+id)
			if fault.Of(err) == fault.NotFound {
				continue
			}
			if err != nil {
				return err
			}
			a.files = append(a.files, l)
			a.size += l.Size
		}
		for _, l := range came { // they have room behind those
			switch p := a.d.Policy.Files; {
			case len(a.files) >= p.Most:
				a.unkept = append(a.unkept, Unkept{l.Name, UnkeptTooMany})
			case a.size+l.Size > int64(p.Message)*mib:
				a.unkept = append(a.unkept, Unkept{l.Name, UnkeptMessage})
			default:
				a.files = append(a.files, l)
				a.size += l.Size
			}
		}
		return nil
	})
}

// keep makes them files of a ticket, in the transaction that writes their message m. had is what the ticket's files have in bytes.
func (a *Attached) keep(tx *store.Tx, ticket string, m *Message, had int64) error {
	if a == nil {
		return nil
	}
	m.Files, m.Unkept = nil, slices.Clone(a.unkept)
	for _, l := range a.files {
		if had += l.Size; had > int64(a.d.Policy.Files.Ticket)*mib {
			m.Unkept = append(m.Unkept, Unkept{l.Name, UnkeptTicket}) // left to the sweep
			continue
		}
		l.State = FileUnchecked
		if a.d.Policy.Files.Clamd != "" {
			l.State, l.Lane, l.Due = FileWaiting, laneCheck, time.Now().UTC()
		}
		if err := l.Keep(tx, ticket); err != nil {
			return err
		}
		m.Files = append(m.Files, l.ID())
	}
	tx.After(func() { a.kept = true })
	return nil
}

// keepFiles is keep for a message of a ticket that may have files already.
func (d *Desk) keepFiles(tx *store.Tx, ticket string, m *Message) error {
	if m.Attached.None() {
		return nil
	}
	all, err := blob.List(tx, ticket)
	if err != nil {
		return err
	}
	had := int64(0)
	for _, f := range all {
		had += f.Value.Size
	}
	return m.Attached.keep(tx, ticket, m, had)
}

// moveFiles hangs a message's files on another ticket, for who moves the message there.
func moveFiles(tx *store.Tx, m Message, ticket string) error {
	for _, id := range m.Files {
		rec, err := blob.Get(tx, id)
		if err != nil {
			return err
		}
		h := rec.Value
		h.Of = ticket
		if err := blob.Set(tx, rec, h); err != nil {
			return err
		}
	}
	return nil
}

// What is known of a file's harmlessness: the words of it are file.state.NAME.
const (
	FileUnchecked = "unchecked" // nobody looked: staff are told before they open it
	FileWaiting   = "waiting"   // to be looked at; until then nobody gets it
	FileClean     = "clean"     // nothing was found
	FileInfected  = "infected"  // nobody gets it
)

// Attachment is a file of a message, as it is shown.
type Attachment struct {
	ID    string
	Name  string
	Type  string // the media type that it is handed out with, by its content; application/octet-stream for what a browser could run
	Kind  string
	Size  int64
	State string
	Note  string // what was found
	Odd   bool   // its name promises another type
	rec   blob.Rec
}

// Open says whether somebody may have it.
func (a Attachment) Open() bool { return a.State == FileUnchecked || a.State == FileClean }

// Picture says whether it can be shown as a picture that we draw anew: see Desk.Picture.
func (a Attachment) Picture() bool { return a.Open() && a.Kind == KindPicture }

// Says is its size for people.
func (a Attachment) Says() string { return blob.Bytes(a.Size) }

func attachmentOf(r blob.Rec) Attachment {
	h := r.Value
	kind := kindOfType(h.Name, h.Type)
	return Attachment{ID: r.ID, Name: h.Name, Type: handedOut(kind, h.Type), Kind: kind, Size: h.Size, State: h.State, Note: h.Note, Odd: !fits(h.Name, h.Type), rec: r}
}

// readFiles reads what is known of the files of the messages of a view. One that cannot be found, as after a restore of a part, is passed over.
func (v *View) readFiles(tx *store.Tx) error {
	v.Files = nil
	for _, m := range v.Messages {
		for _, id := range m.Files {
			rec, err := blob.Get(tx, id)
			if fault.Of(err) == fault.NotFound {
				continue
			}
			if err != nil {
				return err
			}
			if v.Files == nil {
				v.Files = map[string]Attachment{}
			}
			v.Files[id] = attachmentOf(rec)
		}
	}
	return nil
}

// FilesOf are the files of one of its messages.
func (v View) FilesOf(m Message) (all []Attachment) {
	for _, id := range m.Files {
		if a, ok := v.Files[id]; ok {
			all = append(all, a)
		}
	}
	return all
}

// Attachment is a file of a message that stands in the view, whoever the view was made for: a customer's view lacks what only staff see, and so
// does this. Any other is NotFound.
func (v View) Attachment(id string) (Attachment, error) {
	for _, m := range v.Messages {
		if a, ok := v.Files[id]; ok && slices.Contains(m.Files, id) {
			return a, nil
		}
	}
	return Attachment{}, fault.New(fault.NotFound, "this ticket has no file %.40q", id)
}

// Bytes gives a file's content to whoever a says may have it. Its last Read fails when the file is damaged.
func (d *Desk) Bytes(ctx context.Context, a Attachment) (io.Reader, error) {
	switch a.State {
	case FileUnchecked, FileClean:
		return blob.Open(ctx, d.DB, a.rec), nil
	case FileWaiting:
		return nil, fault.New(fault.Conflict, "%q is still being checked for malware; try again in a minute", a.Name)
	}
	return nil, fault.New(fault.Conflict, "%q was found to carry malware and is given to nobody", a.Name)
}

// Fetched leaves an audit row of who took a file out.
func (d *Desk) Fetched(ctx context.Context, by string, v View, a Attachment) error {
	return d.DB.Update(ctx, store.Act{By: by, Verb: "ticket.file.fetch"}, func(tx *store.Tx) error {
		tx.On(v.ID, a.ID)
		return nil
	})
}

// Copied leaves an audit row of who took a whole ticket out.
func (d *Desk) Copied(ctx context.Context, by string, v View) error {
	return d.DB.Update(ctx, store.Act{By: by, Verb: "ticket.copy"}, func(tx *store.Tx) error {
		tx.On(v.ID)
		return nil
	})
}

// FileOwners is whose files are: they come back with their tickets.
func FileOwners() map[string]store.Owner { return blob.Owners(tickets.Name) }
