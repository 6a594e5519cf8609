package store

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"

	"lifeline/store/fault"
)

// Rotating the keys adds one to each set, which seals from then on, and re-seals every record behind that. Old keys stay, because backups
// name them.
//
// A record's blind index can be moved to a new key without knowing its value: the tag of version n is the HMAC, under key n, of the tag of
// version n-1. So no room has to be asked what its tuples were made of, and who steals an old key learns nothing of new tags. Until
// every record is moved, look-ups go through both versions, and so do unique values.

// ring is the keys as they stand in the files.
type ring struct {
	aead   tink.AEAD
	sealer uint32    // id of the key that seals
	seals  []uint32  // ids of all keys that open
	blinds []prf.PRF // by version, from 1
	names  []string

	mu     sync.Mutex
	fields map[string][][]byte // a blind index's keys by "kind.field"
}

const mostBlinds = 255 // the version is one byte

func newRing(seal, blind *keyset.Handle) (*ring, error) {
	r := &ring{fields: map[string][][]byte{}, names: append(names("seal", seal), names("blind", blind)...), sealer: seal.KeysetInfo().GetPrimaryKeyId()}
	var err error
	if r.aead, err = aead.New(seal); err != nil {
		return nil, fmt.Errorf("read %s: %w", sealFile, err)
	}
	set, err := prf.NewPRFSet(blind)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", blindFile, err)
	}
	for _, key := range seal.KeysetInfo().GetKeyInfo() {
		r.seals = append(r.seals, key.GetKeyId())
	}
	for _, key := range blind.KeysetInfo().GetKeyInfo() {
		f, ok := set.PRFs[key.GetKeyId()]
		if !ok {
			return nil, fmt.Errorf("read %s: key %d is not enabled: every key must stay", blindFile, key.GetKeyId())
		}
		r.blinds = append(r.blinds, f)
	}
	if len(r.blinds) > mostBlinds {
		return nil, fmt.Errorf("read %s: it has more than %d keys", blindFile, mostBlinds)
	}
	return r, nil
}

func names(set string, h *keyset.Handle) (all []string) {
	for _, key := range h.KeysetInfo().GetKeyInfo() {
		all = append(all, fmt.Sprintf("%s:%d", set, key.GetKeyId()))
	}
	return all
}

// version is that of the blind indexes that are written.
func (r *ring) version() int { return len(r.blinds) }

// tagSize is a blind index: its version and 16 bytes.
const tagSize = 17

// blind is a value's tag of a version.
func (r *ring) blind(field, value string, version int) []byte {
	return r.lift(field, []byte(value), 0, version)
}

// lift makes the tag of version to out of that of version from, whose 16 bytes it is given; of version 0 that is the value itself.
func (r *ring) lift(field string, tag []byte, from, to int) []byte {
	keys := r.fieldKeys(field)
	for version := from + 1; version <= to; version++ {
		mac := hmac.New(sha256.New, keys[version-1])
		mac.Write(tag)
		tag = mac.Sum(nil)[:tagSize-1]
	}
	return append([]byte{byte(to)}, tag...)
}

func (r *ring) fieldKeys(field string) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := r.fields[field]
	for len(keys) < len(r.blinds) {
		key, err := r.blinds[len(keys)].ComputePRF([]byte("blind index "+field), 32)
		if err != nil {
			panic(fmt.Sprintf("derive the key of blind index %s: %v", field, err)) // a PRF of 32 bytes cannot fail
		}
		keys = append(keys, key)
	}
	r.fields[field] = keys
	return keys
}

// Names is the id of every key held, for the manifest of a backup: as long as the backup is kept, each of them must be.
func (k *Keys) Names() []string { return slices.Clone(k.ring.Load().names) }

// Open unseals a body as a backup holds it.
func (k *Keys) Open(kind Kind, id string, sealed []byte) ([]byte, error) {
	return k.open(kind, id, sealed)
}

// rotate adds a key to each set and seals with it from now on. The files are replaced whole, one after the other: when the process dies
// between the two, one set has its new key and the other gets it next time.
func (k *Keys) rotate() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	handles := map[string]*keyset.Handle{}
	for _, set := range []struct {
		file     string
		template func() *tinkpb.KeyTemplate
	}{{sealFile, aead.XChaCha20Poly1305KeyTemplate}, {blindFile, prf.HMACSHA256PRFKeyTemplate}} {
		path := filepath.Join(k.dir, set.file)
		old, err := readKeyset(path, false, nil)
		if err != nil {
			return err
		}
		if set.file == blindFile && len(old.KeysetInfo().GetKeyInfo()) >= mostBlinds {
			return fault.New(fault.Permanent, "the blind indexes had %d keys: there is no version left", mostBlinds)
		}
		m := keyset.NewManagerFromHandle(old)
		id, err := m.Add(set.template())
		if err == nil {
			err = m.SetPrimary(id)
		}
		if err == nil {
			handles[set.file], err = m.Handle()
		}
		if err == nil {
			err = WriteKeyFile(path, func(f *os.File) error {
				return insecurecleartextkeyset.Write(handles[set.file], keyset.NewJSONWriter(f))
			})
		}
		if err != nil {
			return fmt.Errorf("rotate %s: %w", set.file, err)
		}
	}
	r, err := newRing(handles[sealFile], handles[blindFile])
	if err != nil {
		return err
	}
	k.ring.Store(r)
	return nil
}

// rotation says with which keys records are sealed.
type rotation struct {
	Seal     uint32    `json:"seal"`   // the key, once finished, of every body
	Blind    int       `json:"blind"`  // the version, once finished, of every tuple
	Oldest   int       `json:"oldest"` // the version that the last finished rotation left
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	Kind     string    `json:"kind,omitempty"` // how far it is: this kind,
	After    string    `json:"after,omitempty"`
	Done     int       `json:"done"`
	Total    int       `json:"total"`
	Changed  int       `json:"changed"` // in this pass
	Again    bool      `json:"again"`   // a later pass, for what was written with the old keys while the first went by
}

// oldest is the version of blind index that a record may still have.
func (r rotation) oldest() int {
	if r.Finished.IsZero() {
		return r.Oldest
	}
	return r.Blind
}

var rotations = Table[rotation]{Kind: Kind{Name: "rotation", Prefix: "rot", Schema: 1, Composed: true}}

const rotationID = "rot_this"

func beginRotation(tx *Tx, fresh bool) (rotation, error) {
	r, _, err := rotations.Get(tx, rotationID)
	if fault.Of(err) != fault.NotFound {
		return r, err
	}
	keys := tx.db.keys.ring.Load()
	r = rotation{Seal: keys.sealer, Blind: keys.version(), Oldest: keys.version(), Started: tx.now, Finished: tx.now}
	if !fresh { // written before there were rotations
		r = rotation{Oldest: 1, Started: tx.now}
	}
	return r, rotations.Put(tx, rotationID, r, 0)
}

// Progress is how far the re-sealing of records is.
type Progress struct {
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"` // zero: not yet
	Done     int       `json:"done"`
	Total    int       `json:"total"` // as counted at its start
}

// RotationProgress says how far re-sealing under the newest keys is; when no one has begun it, nothing is done.
func (db *DB) RotationProgress(ctx context.Context) (p Progress, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		r, _, err := rotations.Get(tx, rotationID)
		if err != nil {
			return err
		}
		p = Progress{Started: r.Started, Finished: r.Finished, Done: r.Done, Total: r.Total}
		if keys := db.keys.ring.Load(); r.Seal != keys.sealer || r.Blind != keys.version() {
			p = Progress{}
		}
		return nil
	})
	return p, err
}

// Rotate adds new keys and seals with them from now on; [DB.Reseal] brings the records after. Another process that has this store open and shares
// the key directory reads the new keys when it meets what they seal; one with a directory of its own cannot read that until the files were
// copied to it. The escrow must be made anew.
func (db *DB) Rotate(ctx context.Context, act Act) error {
	// The row first: a rotation that nobody answers for must not be.
	if err := db.Update(ctx, act, func(tx *Tx) error { tx.On(rotationID); return nil }); err != nil {
		return err
	}
	return db.keys.rotate()
}

const (
	resealRead  = 1000    // records read in one transaction,
	resealPage  = 64      // written,
	resealBytes = 1 << 20 // and about so many bytes of them
)

// Reseal seals every record with the newest keys while others read and write, a page at a time, and rests after each as long as it took. It
// goes on where it stopped, so call it at each start: with nothing to do it returns at once. More than one at a time only collide. tell
// may be nil.
func (db *DB) Reseal(ctx context.Context, tell func(Progress)) error {
	again := false
	for {
		began := time.Now()
		r, err := db.resealPage(ctx)
		wait := time.Since(began)
		switch fault.Of(err) {
		case "":
			if !r.Finished.IsZero() {
				db.oldestBlind.Store(int32(r.oldest()))
			}
			if tell != nil {
				tell(Progress{Started: r.Started, Finished: r.Finished, Done: r.Done, Total: r.Total})
			}
			if !r.Finished.IsZero() {
				return nil
			}
			if r.Again && !again { // the other processes have met new keys by then, and what they wrote with the old ones is found by the pass that begins now
				again, wait = true, max(wait, db.others)
			}
		case fault.Unavailable, fault.Stale, fault.Unknown: // writers come first
			wait = 250 * time.Millisecond
		default:
			return fmt.Errorf("re-seal the records: %w", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// resealPage does the next page, and says where that leaves it.
func (db *DB) resealPage(ctx context.Context) (r rotation, err error) {
	kinds := slices.DeleteFunc(db.Declared(), func(k Kind) bool { return k.Name == rotations.Name })
	keys := db.keys.ring.Load()
	total := 0
	if err := db.View(ctx, func(tx *Tx) error {
		if r, _, err = rotations.Get(tx, rotationID); err != nil || r.Seal == keys.sealer && r.Blind == keys.version() {
			return err
		}
		for _, k := range kinds {
			n, err := tx.snap.Count(Range{Kind: k.Name, Deleted: true})
			if err != nil {
				return err
			}
			total += n
		}
		return nil
	}); err != nil {
		return r, err
	}
	if r.Seal == keys.sealer && r.Blind == keys.version() && !r.Finished.IsZero() {
		return r, nil
	}
	err = db.Update(ctx, Act{}, func(tx *Tx) error {
		var m Meta
		if r, m, err = rotations.Get(tx, rotationID); err != nil {
			return err
		}
		if r.Seal != keys.sealer || r.Blind != keys.version() { // a new one, perhaps before the last was finished
			r = rotation{Seal: keys.sealer, Blind: keys.version(), Oldest: r.oldest(), Started: tx.now, Total: total, Kind: kinds[0].Name}
		} else if err := db.resealNext(tx, keys, kinds, &r); err != nil {
			return err
		}
		return rotations.Put(tx, rotationID, r, m.Version)
	})
	return r, err
}

// resealNext re-seals the records behind where r is, and moves it on.
func (db *DB) resealNext(tx *Tx, keys *ring, kinds []Kind, r *rotation) error {
	at := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name >= r.Kind })
	switch {
	case at < 0 && r.Changed > 0: // a transaction that began before the keys changed may have ended after we passed
		r.Kind, r.After, r.Changed, r.Again = kinds[0].Name, "", 0, true
		return nil
	case at < 0:
		r.Kind, r.After, r.Finished = "", "", tx.now
		return nil
	}
	k := kinds[at]
	if k.Name != r.Kind { // a kind that this binary no longer knows
		r.Kind, r.After = k.Name, ""
	}
	n, changed, size := 0, 0, 0
	for raw, err := range tx.snap.Scan(Range{Kind: k.Name, Deleted: true, AfterID: r.After, Limit: resealRead}) {
		if err != nil {
			return err
		}
		n++
		r.After = raw.ID
		if !r.Again {
			r.Done++
		}
		fresh, err := db.refresh(keys, k, raw)
		if err != nil {
			return err
		}
		if fresh != nil {
			if err := tx.rewrite(k, *fresh); err != nil {
				return err
			}
			r.Changed++
			changed, size = changed+1, size+len(raw.Body)
		}
		if changed == resealPage || size > resealBytes {
			return nil
		}
	}
	if n < resealRead {
		r.Kind, r.After = k.Name+"\x00", "" // the next one
	}
	return nil
}

// rewrite puts a record with the version that it has: nothing that its readers see has changed.
func (tx *Tx) rewrite(k Kind, raw Raw) error {
	w, err := tx.pend(k, raw.ID)
	if err != nil {
		return err
	}
	w.Raw, w.Was, w.Touch = raw, raw.Version, false
	return nil
}

// refresh is a record under the newest keys; nil when it is already.
func (db *DB) refresh(keys *ring, k Kind, raw Raw) (*Raw, error) {
	fresh := Raw{Meta: raw.Meta, Body: raw.Body, Tuples: slices.Clone(raw.Tuples)}
	changed := false
	if with, ok := sealedWith(raw.Body); raw.Body != nil && (!ok || with != keys.sealer) {
		plain, err := db.keys.open(k, raw.ID, raw.Body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", k.Name, raw.ID, err)
		}
		if fresh.Body, err = keys.aead.Encrypt(plain, aad(k, raw.ID)); err != nil {
			return nil, err
		}
		changed = true
	}
	for i, tuple := range raw.Tuples {
		if tuple == nil || i >= len(k.Indexes) || !slices.ContainsFunc(k.Indexes[i].Fields, blindField) {
			continue
		}
		lifted, err := keys.liftTuple(k, k.Indexes[i], tuple)
		if err != nil {
			return nil, fmt.Errorf("%s %s, index %s: %w", k.Name, raw.ID, k.Indexes[i].Name, err)
		}
		changed = changed || !bytes.Equal(lifted, tuple)
		fresh.Tuples[i] = lifted
	}
	if !changed {
		return nil, nil
	}
	return &fresh, nil
}

// tinkPrefix begins what tink seals; the key's id follows.
const tinkPrefix = 1

// sealedWith is the id of the key that sealed a body.
func sealedWith(body []byte) (id uint32, ok bool) {
	if len(body) < 5 || body[0] != tinkPrefix {
		return 0, false
	}
	return binary.BigEndian.Uint32(body[1:]), true
}

var errTuple = errors.New("its tuple is malformed")

// liftTuple brings a tuple's blind fields to the newest version.
func (r *ring) liftTuple(k Kind, ix Index, tuple []byte) ([]byte, error) {
	out, rest := make([]byte, 0, len(tuple)), tuple
	for _, f := range ix.Fields {
		n := 8 // Int, Time
		switch f.Type {
		case Bool:
			n = 1
		case Blind:
			n = tagSize
		case Text:
			n = textEnd(rest)
		}
		if n <= 0 || n > len(rest) {
			return nil, errTuple
		}
		field := rest[:n]
		rest = rest[n:]
		if f.Type == Blind {
			version := int(field[0])
			if version < 1 || version > r.version() {
				return nil, fmt.Errorf("its blind index has version %d; the keys know %d", version, r.version())
			}
			field = r.lift(k.Name+"."+f.Name, field[1:], version, r.version())
		}
		out = append(out, field...)
	}
	if len(rest) > 0 {
		return nil, errTuple
	}
	return out, nil
}

// textEnd is the length of the encoded text that b begins with.
func textEnd(b []byte) int {
	for i := 0; i+1 < len(b); i++ {
		if b[i] == 0 {
			if b[i+1] == 1 {
				return i + 2
			}
			i++
		}
	}
	return 0
}

// onlyOne refuses a unique value that another record holds under an older version of its blind index, where the engine cannot see that it is
// the same.
func (t Table[T]) onlyOne(tx *Tx, id string, v T) error {
	newest, oldest := tx.db.keys.ring.Load().version(), tx.oldest
	if oldest >= newest || t.Tuples == nil {
		return nil
	}
	var named Tuples
	for _, ix := range t.Indexes {
		if !ix.Unique || !slices.ContainsFunc(ix.Fields, blindField) {
			continue
		}
		if named == nil {
			named = t.Tuples(v)
		}
		values, ok := named[ix.Name]
		if !ok {
			continue
		}
		for version := max(oldest, 1); version < newest; version++ {
			tuple, err := tx.db.encodeAt(t.Kind, ix, values, version)
			if err != nil {
				return err
			}
			for other, err := range tx.scanRange(t.Kind, Range{Kind: t.Name, Index: ix.Name, Lo: tuple, Hi: after(tuple)}) {
				if err != nil {
					return err
				}
				if other.ID != id {
					return fault.New(fault.Exists, "another %s has the same %s", t.Name, ix.Name)
				}
			}
		}
	}
	return nil
}

// Custodian is somebody who keeps a copy of the keys, and proved to be able to open it.
type Custodian struct {
	Name    string    `json:"name"`
	At      time.Time `json:"at"`
	Keys    []string  `json:"keys"` // what the copy held
	Current bool      `json:"-"`    // it held every key that the store uses now
}

var custodians = Table[Custodian]{Kind: Kind{Name: "custodian", Prefix: "cus", Schema: 1, Composed: true}}

// Custodians lists who proved to be able to open the keys. Two whose proof is current make the escrow good; a rotation ends all.
func Custodians(tx *Tx) (all []Custodian, err error) {
	for rec, err := range custodians.Scan(tx, Query{}) {
		if err != nil {
			return nil, err
		}
		c := rec.Value
		c.Current = !slices.ContainsFunc(tx.db.keys.Names(), func(name string) bool { return !slices.Contains(c.Keys, name) })
		all = append(all, c)
	}
	return all, nil
}

// ProveEscrow records that a custodian could open the key files given: they must hold every key of this store and open what is in it.
func (db *DB) ProveEscrow(ctx context.Context, act Act, custodian string, files map[string][]byte) error {
	if custodian == "" || len(custodian) > 60 || strings.Trim(custodian, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fault.BadField("custodian", "must be of a-z, 0-9 and -, at most 60")
	}
	copied, err := ringOf(files)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the copy does not hold the keys")
	}
	now := db.keys.ring.Load()
	for _, name := range now.names {
		if !slices.Contains(copied.names, name) {
			return fault.New(fault.Conflict, "the copy lacks key %s: it was made before the last rotation, or of another store", name)
		}
	}
	const check = "escrow"
	if !bytes.Equal(copied.blind(check, check, now.version()), now.blind(check, check, now.version())) {
		return fault.New(fault.Conflict, "the copy's keys have the right names and are others")
	}
	return db.Update(ctx, act, func(tx *Tx) error {
		raw, err := tx.snap.Get(instances.Name, instanceID)
		if err != nil {
			return err
		}
		var of Keys
		of.ring.Store(copied)
		if _, err := of.open(instances.Kind, instanceID, raw.Body); err != nil {
			return fault.New(fault.Conflict, "the copy's keys do not open this store")
		}
		id := "cus_" + custodian
		_, m, err := custodians.Get(tx, id)
		if err != nil && fault.Of(err) != fault.NotFound {
			return err
		}
		tx.On(id)
		return custodians.Put(tx, id, Custodian{Name: custodian, At: tx.now, Keys: copied.names}, m.Version)
	})
}

func ringOf(files map[string][]byte) (*ring, error) {
	var handles []*keyset.Handle
	for _, name := range []string{sealFile, blindFile} {
		h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(files[name])))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		handles = append(handles, h)
	}
	return newRing(handles[0], handles[1])
}
