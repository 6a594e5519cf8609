package backup

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"lifeline/store"
	"lifeline/store/fault"
)

// Shelf is a place with backups and the public half of the key that signed them.
type Shelf struct {
	Place   Place
	Trusted ed25519.PublicKey
}

// Entry is a backup on a shelf.
type Entry struct {
	Manifest
	Present bool   `json:"present"`        // its file is there; thinned out or lost otherwise
	Flaw    string `json:"flaw,omitempty"` // why its manifest is not to be believed
	digest  string
}

func (s Shelf) read(ctx context.Context, name string) ([]byte, error) {
	r, err := s.Place.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, 1<<20))
}

// numbers is the numbers of the manifests that stand, in order, and the names of all files.
func (s Shelf) numbers(ctx context.Context) (numbers []int64, names []string, err error) {
	if names, err = s.Place.List(ctx); err != nil {
		return nil, nil, fmt.Errorf("look into %s: %w", s.Place, err)
	}
	for _, name := range names {
		var m Manifest
		if _, err := fmt.Sscanf(name, "backup-%d.json", &m.Number); err == nil && m.manifest() == name {
			numbers = append(numbers, m.Number)
		}
	}
	slices.Sort(numbers)
	return numbers, names, nil
}

// newest is the last manifest and its digest; fault.NotFound on an empty shelf. Of a manifest that is not to be believed it is the number alone,
// with the error.
func (s Shelf) newest(ctx context.Context) (Manifest, string, error) {
	numbers, _, err := s.numbers(ctx)
	if err != nil {
		return Manifest{}, "", err
	}
	if len(numbers) == 0 {
		return Manifest{}, "", fault.New(fault.NotFound, "%s holds no backup", s.Place)
	}
	m := Manifest{Number: numbers[len(numbers)-1]}
	file, err := s.read(ctx, m.manifest())
	if err != nil {
		return Manifest{}, "", err
	}
	m, digest, err := readManifest(file, s.Trusted)
	if n := numbers[len(numbers)-1]; err != nil {
		return Manifest{Number: n}, digest, fmt.Errorf("the manifest of backup %d: %w", n, err)
	}
	return m, digest, nil
}

// List is every backup whose manifest stands, oldest first, with what is wrong with a manifest: its signature, or its place in the chain.
func (s Shelf) List(ctx context.Context) ([]Entry, error) {
	numbers, names, err := s.numbers(ctx)
	if err != nil {
		return nil, err
	}
	has := map[string]bool{}
	for _, name := range names {
		has[name] = true
	}
	var entries []Entry
	for i, number := range numbers {
		e := Entry{Manifest: Manifest{Number: number}}
		file, err := s.read(ctx, e.manifest())
		if err != nil {
			return nil, fmt.Errorf("read the manifest of %s: %w", e.Name(), err)
		}
		m, digest, err := readManifest(file, s.Trusted)
		e.digest = digest
		switch {
		case err != nil:
			e.Flaw = err.Error()
		case m.Number != number:
			e.Flaw = fmt.Sprintf("it is the manifest of backup %d", m.Number)
		default:
			e.Manifest = m
		}
		if i > 0 && e.Flaw == "" {
			before := entries[i-1]
			if before.Number != number-1 {
				e.Flaw = fmt.Sprintf("the manifests of backups %d to %d are gone", before.Number+1, number-1)
			} else if m.Previous != before.digest {
				e.Flaw = "it was not written behind the manifest that stands before it"
			}
		}
		e.Present = has[e.file()]
		entries = append(entries, e)
	}
	return entries, nil
}

// Find is the newest backup not taken after a time (zero: the newest of all) whose file is there.
func (s Shelf) Find(ctx context.Context, at time.Time) (Entry, error) {
	entries, err := s.List(ctx)
	if err != nil {
		return Entry{}, err
	}
	for _, e := range slices.Backward(entries) {
		if e.Flaw == "" && e.Present && (at.IsZero() || !e.Taken.After(at)) {
			return e, nil
		}
	}
	if at.IsZero() {
		return Entry{}, fault.New(fault.NotFound, "%s holds no backup that can be restored", s.Place)
	}
	return Entry{}, fault.New(fault.NotFound, "%s holds no backup taken by %s", s.Place, at.UTC().Format(time.RFC3339))
}

// Number is the backup of a number; fault.NotFound, or fault.Conflict when it is not to be trusted.
func (s Shelf) Number(ctx context.Context, number int64) (Entry, error) {
	entries, err := s.List(ctx)
	if err != nil {
		return Entry{}, err
	}
	for _, e := range entries {
		if e.Number == number && e.Flaw != "" {
			return e, fault.New(fault.Conflict, "%s is not to be trusted: %s", e.Name(), e.Flaw)
		}
		if e.Number == number {
			return e, nil
		}
	}
	return Entry{}, fault.New(fault.NotFound, "%s holds no backup %d", s.Place, number)
}

// Identities reads private keys of age, as the file that age-keygen writes.
func Identities(r io.Reader) ([]age.Identity, error) {
	ids, err := age.ParseIdentities(r)
	if err != nil {
		return nil, fault.BadField("identity", "is no private key of age: %v", err)
	}
	return ids, nil
}

// open walks a backup's records. What fn was given is true only once open returned nil: the hash and the counts are compared at the end.
func (s Shelf) open(ctx context.Context, m Manifest, ids []age.Identity, begin func(header) error, fn func(store.Kind, store.Raw) error) error {
	doing := func(err error) error { return fmt.Errorf("open %s: %w", m.Name(), err) }
	file, err := s.Place.Get(ctx, m.file())
	if err != nil {
		return doing(err)
	}
	defer file.Close()
	sum := sha256.New()
	tee := io.TeeReader(file, sum)
	plain, err := age.Decrypt(tee, ids...)
	if err != nil {
		return doing(err)
	}
	unpacked, err := zstd.NewReader(plain, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		return doing(err)
	}
	defer unpacked.Close()
	n := 0
	h, counts, err := readStream(unpacked, begin, func(k store.Kind, raw store.Raw) error {
		if n++; n%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return fn(k, raw)
	})
	if err != nil {
		return doing(err)
	}
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return doing(err)
	}
	switch {
	case hex.EncodeToString(sum.Sum(nil)) != m.Hash:
		return doing(errors.New("the file is not the one that its manifest was signed for"))
	case h.Instance != m.Instance || !h.Taken.Equal(m.Taken):
		return doing(errors.New("the file says another store or time than its manifest"))
	}
	if err := sameCounts(counts, m.Counts); err != nil {
		return doing(err)
	}
	return nil
}

// VerifyOptions say how deep to look, beyond manifests and the files' hashes.
type VerifyOptions struct {
	Identities []age.Identity // nil: no file is decrypted
	Keys       *store.Keys    // nil: no record is opened
	Number     int64          // only this backup; 0: all
	Keep, Thin time.Duration  // what should stand, as in Backups; 0: as there
	Now        time.Time      // zero: now
}

// Checked is what Verify found of one backup.
type Checked struct {
	Entry
	Opened   bool   `json:"opened"`            // it was decrypted and counted
	Unsealed int    `json:"unsealed"`          // records whose body the keys opened
	Problem  string `json:"problem,omitempty"` // "": it is whole
	Thinned  bool   `json:"thinned"`           // its file was removed in its time
}

// Verify compares each backup with its manifest and the manifests with each other. The error is for what could not be looked at; what is wrong is
// in the Problem of each.
func (s Shelf) Verify(ctx context.Context, o VerifyOptions) ([]Checked, error) {
	entries, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	now := o.Now
	if now.IsZero() {
		now = time.Now()
	}
	var all []Manifest
	for _, e := range entries {
		all = append(all, e.Manifest)
	}
	stay := keeping(all, now, or(o.Keep, 30*24*time.Hour), or(o.Thin, 48*time.Hour))
	var found []Checked
	for _, e := range entries {
		if o.Number != 0 && e.Number != o.Number {
			continue
		}
		c := Checked{Entry: e}
		switch {
		case e.Flaw != "":
			c.Problem = e.Flaw
		case !e.Present && stay[e.Number]:
			c.Problem = "its file is gone"
		case !e.Present:
			c.Thinned = true
		default:
			c.Problem = s.verify(ctx, &c, o)
		}
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
		found = append(found, c)
	}
	if o.Number != 0 && len(found) == 0 {
		return nil, fault.New(fault.NotFound, "%s holds no backup %d", s.Place, o.Number)
	}
	return found, nil
}

func (s Shelf) verify(ctx context.Context, c *Checked, o VerifyOptions) string {
	if problem := s.hash(ctx, c.Manifest); problem != "" || len(o.Identities) == 0 {
		return problem
	}
	var refused []string
	err := s.open(ctx, c.Manifest, o.Identities, func(header) error { return nil }, func(k store.Kind, raw store.Raw) error {
		if o.Keys == nil {
			return nil
		}
		if _, err := o.Keys.Open(k, raw.ID, raw.Body); err != nil {
			refused = append(refused, raw.ID)
			return nil
		}
		c.Unsealed++
		return nil
	})
	if err != nil {
		return err.Error()
	}
	c.Opened = true
	if len(refused) > 0 {
		return fmt.Sprintf("the keys do not open %d of its records: %s", len(refused), strings.Join(refused[:min(5, len(refused))], ", "))
	}
	return ""
}

func (s Shelf) hash(ctx context.Context, m Manifest) string {
	file, err := s.Place.Get(ctx, m.file())
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err.Error()
	}
	if hex.EncodeToString(sum.Sum(nil)) != m.Hash {
		return "the file is not the one that its manifest was signed for"
	}
	return ""
}

// NeededKeys is the id of every key that a backup on the shelf may need: none of them may be given up.
func NeededKeys(entries []Entry) []string {
	var keys []string
	for _, e := range entries {
		for _, k := range e.Keys {
			if e.Present && !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	slices.Sort(keys)
	return keys
}
