// Package backup takes sealed copies of a store of either engine, proves that they can be restored, and restores them:
// whole into an empty store of either engine, or one account's records into a live one.
//
// A backup is one file: a consistent snapshot, compressed (zstd), encrypted (age) to at least two recipients whose public keys are all
// that the server holds. Beside it lies a manifest, signed, numbered without gaps, each with the digest of the one before.
//
// Two types. [Backups] takes them while the store is open: Now, Run, Thaw. A [Shelf] is where they lie, and needs no store: List, Find,
// Verify, Restore, Slice, Drill. So the commands are:
//
//	backup now      Backups.Now           (ErrUnchanged: nothing to do; ErrFrozen: taken, and look at once)
//	backup list     Shelf.List
//	backup verify   Shelf.Verify          (with identities it opens each backup, with keys each record)
//	backup restore  Shelf.Find, Shelf.Prove, then Shelf.Restore into an engine that nobody opened yet, or Shelf.Pick and Apply into a store.DB
//	backup drill    Shelf.Drill, then Report.Write
//	key rotate      store.DB.Rotate, then store.DB.Reseal
//	key escrow      Escrow; each custodian proves hers by OpenEscrow and store.DB.ProveEscrow
//
// Caveats:
//
//   - What was written since the newest backup is lost with the machine: that is the recovery point, a quarter of an hour as a rule.
//   - The bodies in a backup are sealed once more with the store's own keys, which no backup holds. Without an escrowed copy of the key
//     directory a backup is worth nothing.
//   - The snapshot is read at a bounded rate and ends before anything is uploaded; writers wait for neither.
//   - After a restore the store is held: see store.Held.
//   - One process backs up one store to one place. A second one is refused by the number that it would take twice.
package backup

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"lifeline/store"
	"lifeline/store/fault"
)

// Errors of Now.
var (
	// ErrUnchanged: nothing was written since the newest backup, so none was taken.
	ErrUnchanged = errors.New("nothing changed since the newest backup")
	// ErrFrozen: a backup was taken, but the store had shrunk so much that nothing older is removed until a person thaws it.
	ErrFrozen = errors.New("old backups are frozen")
)

// Backups takes backups of a store. Fields without a value get the one named.
type Backups struct {
	DB         *store.DB
	Places     []Place            // the first is read for what stands; each gets every backup
	Recipients []age.Recipient    // at least two
	Signer     ed25519.PrivateKey // see OpenSigner; nil: of KeyDir, where the first backup makes it
	KeyDir     string
	Log        *slog.Logger     // nil: discarded
	Clock      func() time.Time // wall time; nil: time.Now
	Every      time.Duration    // 15 min
	Keep       time.Duration    // how long daily points stay; 30 days
	Thin       time.Duration    // how long all others stay; 48 h
	Shrink     float64          // the share that no kind may lose between two backups; 0.2
	MayShrink  []string         // kinds that come and go by nature, such as sessions; the store's own replies always may
	Rate       int64            // bytes of records read per second; 64 MiB
	Ship       time.Duration    // how often the journal is brought out; 5 s
	Outcome    func(Manifest, error)
	// Trouble is told what is wrong (Trouble...), and with detail "" that it is not any more; nil: the log alone is.
	Trouble func(ctx context.Context, what, detail string)

	pace     func(ctx context.Context, bytes int) error // instead of Rate, for tests
	mu       sync.Mutex
	signing  sync.Mutex
	shipping sync.Mutex
	behind   bool // under shipping: a further place misses pages of the journal
	telling  sync.Mutex
	told     map[string]string // what was last said, by what
}

// signer is who signs, made when there is none.
func (b *Backups) signer() (key ed25519.PrivateKey, err error) {
	b.signing.Lock()
	defer b.signing.Unlock()
	if b.Signer == nil && b.KeyDir != "" {
		b.Signer, err = OpenSigner(b.KeyDir)
	}
	return b.Signer, err
}

func (b *Backups) log() *slog.Logger {
	if b.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return b.Log
}

func (b *Backups) now() time.Time {
	if b.Clock == nil {
		return time.Now().UTC()
	}
	return b.Clock().UTC()
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (b *Backups) keep() time.Duration { return or(b.Keep, 30*24*time.Hour) }
func (b *Backups) thin() time.Duration { return or(b.Thin, 48*time.Hour) }

func (b *Backups) mayShrink(kind string) bool {
	return kind == "reply" || kind == "fact" || slices.Contains(b.MayShrink, kind)
}

// Shelf is where this store's backups lie; without a key that signs, none of them is trusted.
func (b *Backups) Shelf() Shelf {
	s := Shelf{Place: b.Places[0]}
	if key, err := b.signer(); err == nil && len(key) == ed25519.PrivateKeySize {
		s.Trusted = key.Public().(ed25519.PublicKey)
	}
	return s
}

func (b *Backups) check() error {
	key, err := b.signer()
	switch {
	case err != nil:
		return err
	case len(b.Places) == 0:
		return errors.New("there is no place to back up to")
	case len(key) != ed25519.PrivateKeySize:
		return errors.New("there is no key to sign backups with")
	}
	return checkRecipients(b.Recipients)
}

func checkRecipients(rs []age.Recipient) error {
	distinct := map[string]bool{}
	for _, r := range rs {
		distinct[fmt.Sprint(r)] = true
	}
	if len(distinct) < 2 {
		return fault.BadField("recipients", "must be at least two different ones, so that no single loss makes the backups unreadable")
	}
	return nil
}

// Recipients reads public keys (age1...), one a line, # begins a comment.
func Recipients(text string) ([]age.Recipient, error) {
	rs, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		return nil, fault.BadField("recipients", "are not public keys of age: %v", err)
	}
	return rs, checkRecipients(rs)
}

// Run takes a backup at once and then every b.Every until ctx ends. Failures go to the log and to b.Outcome, and it goes on.
func (b *Backups) Run(ctx context.Context) error {
	tick := time.NewTicker(or(b.Every, 15*time.Minute))
	defer tick.Stop()
	for {
		m, err := b.Now(ctx)
		if ctx.Err() != nil {
			return nil
		}
		b.Note(ctx, m, err)
		if b.Outcome != nil {
			b.Outcome(m, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Now takes a backup unless nothing changed. An error beside a manifest with a number means that it was taken, and that something else went
// wrong: see ErrFrozen, or a further place did not take it.
func (b *Backups) Now(ctx context.Context) (Manifest, error) { return b.take(ctx, store.Act{}) }

// Thaw takes a backup of a store that shrank, as who looked and found it right; old backups are removed in their time again. The audit log says who and why,
// in this backup already. It is fault.Conflict while nothing is frozen.
func (b *Backups) Thaw(ctx context.Context, who, why string) (Manifest, error) {
	if who == "" {
		return Manifest{}, fault.BadField("who", "is needed")
	}
	if why == "" {
		return Manifest{}, fault.BadField("reason", "is needed: say what removed the records, and that it was right; it is kept in the audit log")
	}
	return b.take(ctx, store.Act{By: who, Verb: "backup.thaw", Reason: why})
}

// take takes a backup; with an act it is the one that thaws.
func (b *Backups) take(ctx context.Context, thaw store.Act) (m Manifest, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.check(); err != nil {
		return m, err
	}
	shelf := b.Shelf()
	last, digest, err := shelf.newest(ctx)
	if err != nil && fault.Of(err) != fault.NotFound && last.Number == 0 {
		return m, fmt.Errorf("read the newest manifest: %w", err)
	}
	var problems []error
	if last.Number > 0 && err != nil { // what was done to one backup must not stop the next
		problems = append(problems, err)
	}
	if thaw.Verb != "" {
		if last.Frozen == "" {
			return m, fault.New(fault.Conflict, "old backups are not frozen")
		}
		if err := b.DB.Update(ctx, thaw, func(*store.Tx) error { return nil }); err != nil {
			return m, err
		}
	}
	m = Manifest{Number: last.Number + 1, Taken: b.now().Truncate(time.Microsecond), Previous: digest, Thawed: thaw.By,
		Keys: b.DB.Keys().Names()}
	m.Daily = last.Taken.UTC().Format(time.DateOnly) != m.Taken.Format(time.DateOnly)
	if m.Page, err = shelf.newestPage(ctx); err != nil { // before the snapshot: what stands in a page is in it
		return Manifest{}, err
	}
	for _, r := range b.Recipients {
		m.Recipients = append(m.Recipients, fmt.Sprint(r))
	}
	// Asked before the snapshot is taken: what is written between the two is in this backup and seems new to the next.
	if m.Change, err = b.DB.Change(ctx); err != nil {
		return Manifest{}, err
	}
	if err := b.DB.View(ctx, func(tx *store.Tx) (err error) { m.Instance, err = store.Instance(tx); return err }); err != nil {
		return Manifest{}, err
	}
	if m.Change != "" && m.Change == last.Change && m.Instance == last.Instance && !m.Daily && thaw.Verb == "" {
		return last, ErrUnchanged
	}
	f, err := b.stage()
	if err != nil {
		return Manifest{}, fmt.Errorf("make a backup file: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := b.snapshot(ctx, f, &m); err != nil {
		return Manifest{}, fmt.Errorf("take a backup: %w", err)
	}
	switch lost := shrunk(last.Counts, m.Counts, or(b.Shrink, 0.2), b.mayShrink); {
	case thaw.Verb != "":
	case last.Frozen != "":
		m.Frozen = last.Frozen
	case len(lost) > 0: // also when it is another store by now: an empty new one is the worst loss of all
		slices.Sort(lost)
		m.Frozen = fmt.Sprintf("since backup %d the store lost %s", last.Number, strings.Join(lost, ", "))
	}
	signer, err := b.signer()
	if err != nil {
		return Manifest{}, err
	}
	content, err := sign(m, signer)
	if err != nil {
		return Manifest{}, err
	}
	for i, p := range b.Places {
		if i > 0 {
			if err := b.fill(ctx, p, m); err != nil {
				b.log().Warn("older backups were not brought to a further place", "place", p.String(), "err", err)
			}
		}
		err := b.put(ctx, p, m, f, content)
		if err != nil && i == 0 {
			return Manifest{}, err
		}
		if err != nil {
			problems = append(problems, err)
		}
	}
	if err := b.catchUp(ctx); err != nil {
		b.log().Warn("the journal was not brought to a further place", "err", err)
	}
	if m.Frozen != "" {
		return m, errors.Join(append(problems, fmt.Errorf("%w: %s", ErrFrozen, m.Frozen))...)
	}
	for _, p := range b.Places {
		if err := b.prune(ctx, p); err != nil { // a place whose credentials can only put does this by rules of its own
			b.log().Warn("old backups were not removed", "place", p.String(), "err", err)
		}
	}
	return m, errors.Join(problems...)
}

// stage opens the file that a backup grows in: in the first place when that is a directory. It is encrypted from its first byte.
func (b *Backups) stage() (*os.File, error) {
	d, ok := b.Places[0].(Dir)
	if !ok {
		return Dir(os.TempDir()).staging()
	}
	d = Dir(filepath.Clean(string(d)))
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, err
	}
	d.sweep(time.Now().Add(-24 * time.Hour))
	return d.staging()
}

// snapshot writes the store as of one moment into f and fills in what the manifest says of it.
func (b *Backups) snapshot(ctx context.Context, f *os.File, m *Manifest) error {
	sum := sha256.New()
	sealed, err := age.Encrypt(io.MultiWriter(f, sum), b.Recipients...)
	if err != nil {
		return err
	}
	packed, err := zstd.NewWriter(sealed, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	defer packed.Close()
	pace := b.pace
	if pace == nil {
		pace = throttle(or(b.Rate, 64<<20))
	}
	began := time.Now()
	var content *contentSum
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		kinds := b.DB.Declared()
		content = newContentSum()
		if m.Head, err = store.AuditHead(tx); err != nil {
			return err
		}
		w, err := newStreamWriter(packed, header{Instance: m.Instance, Taken: m.Taken, Kinds: kinds})
		if err != nil {
			return err
		}
		m.Counts = w.counts
		due := 0
		for _, k := range kinds {
			if err := w.begin(k.Name); err != nil {
				return err
			}
			content.begin(k.Name)
			for raw, err := range tx.Stored(k.Name) {
				if err != nil {
					return fmt.Errorf("walk kind %s: %w", k.Name, err)
				}
				content.record(raw)
				n, err := w.record(raw)
				if err != nil {
					return err
				}
				if due += n; due >= 1<<16 {
					if err := pace(ctx, due); err != nil {
						return err
					}
					due = 0
				}
			}
		}
		return w.end()
	})
	if err != nil {
		return err
	}
	m.Took, m.Content = time.Since(began), content.String()
	if err := errors.Join(packed.Close(), sealed.Close()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	m.Hash = hex.EncodeToString(sum.Sum(nil))
	m.Size, err = f.Seek(0, io.SeekEnd)
	return err
}

// throttle waits so long that no more than rate bytes a second pass.
func throttle(rate int64) func(context.Context, int) error {
	var passed int64
	began := time.Now()
	return func(ctx context.Context, n int) error {
		passed += int64(n)
		wait := time.Duration(float64(passed)/float64(rate)*float64(time.Second)) - time.Since(began)
		if wait <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// put gives a place the backup and then its manifest: a manifest without its file would promise what is not there.
func (b *Backups) put(ctx context.Context, p Place, m Manifest, f *os.File, manifest []byte) error {
	until := m.Taken.Add(b.thin())
	if m.Daily {
		until = m.Taken.Add(b.keep())
	}
	err := p.Put(ctx, m.file(), f, until)
	if fault.Of(err) == fault.Exists { // a run was killed between the two, else the manifest exists as well
		if names, err2 := p.List(ctx); err2 == nil && !slices.Contains(names, m.manifest()) {
			if err = p.Remove(ctx, m.file()); err == nil {
				err = p.Put(ctx, m.file(), f, until)
			}
		}
	}
	if err != nil {
		return err
	}
	return putBytes(ctx, p, m.manifest(), manifest, m.Taken.Add(b.keep()))
}

// fill brings a further place what it missed while it could not be reached: its chain must have no gaps either.
func (b *Backups) fill(ctx context.Context, p Place, before Manifest) error {
	has, err := p.List(ctx)
	if err != nil {
		return err
	}
	entries, err := b.Shelf().List(ctx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Flaw != "" || e.Number >= before.Number || slices.Contains(has, e.manifest()) {
			continue
		}
		until := e.Taken.Add(b.thin())
		if e.Daily {
			until = e.Taken.Add(b.keep())
		}
		if e.Present && !slices.Contains(has, e.file()) {
			if err := b.copy(ctx, p, e.file(), until); err != nil {
				return err
			}
		}
		if err := b.copy(ctx, p, e.manifest(), e.Taken.Add(b.keep())); err != nil {
			return err
		}
	}
	return nil
}

func (b *Backups) copy(ctx context.Context, to Place, name string, until time.Time) error {
	from, err := b.Places[0].Get(ctx, name)
	if err != nil {
		return err
	}
	defer from.Close()
	tmp, err := Dir(os.TempDir()).staging()
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if _, err := io.Copy(tmp, from); err != nil {
		return err
	}
	return to.Put(ctx, name, tmp, until)
}

// prune removes the files whose time is over, and manifests behind them from the old end of the chain.
func (b *Backups) prune(ctx context.Context, p Place) error {
	entries, err := Shelf{Place: p, Trusted: b.Shelf().Trusted}.List(ctx)
	if err != nil {
		return err
	}
	now := b.now()
	var all []Manifest
	for _, e := range entries {
		if e.Flaw != "" {
			return fmt.Errorf("%s is not as it was written (%s): nothing is removed beside it", e.Name(), e.Flaw)
		}
		all = append(all, e.Manifest)
	}
	stay := keeping(all, now, b.keep(), b.thin())
	problems := []error{b.prunePages(ctx, p, stay, entries)}
	oldEnd := true
	for _, e := range entries {
		oldEnd = oldEnd && !stay[e.Number] && now.Sub(e.Taken) > b.keep()
		if !stay[e.Number] && e.Present {
			problems = append(problems, p.Remove(ctx, e.file()))
		}
		if oldEnd {
			problems = append(problems, p.Remove(ctx, e.manifest()))
		}
	}
	return errors.Join(problems...)
}
