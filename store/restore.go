package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"time"

	"lifeline/store/fault"
)

// Restored is one restore in a store's past.
type Restored struct {
	Backup string    `json:"backup"`          // its name
	Taken  time.Time `json:"taken"`           // when the backup was taken
	At     time.Time `json:"at"`              // when it was restored
	From   string    `json:"from"`            // the instance that wrote it
	Head   Head      `json:"head"`            // where the audit chain ended in it
	Facts  int       `json:"facts,omitempty"` // of the journal, applied again
}

// instance is the one record that says which store this is; reading it proves the keys.
type instance struct {
	Instance   string     `json:"instance"`
	Restores   []Restored `json:"restores,omitempty"`   // oldest first
	Unfinished bool       `json:"unfinished,omitempty"` // a restore into this store began and did not end
	Held       string     `json:"held,omitempty"`       // why nothing may leave; "": nothing is held
	Place      string     `json:"place,omitempty"`      // where it lay when it was last opened: see Stand
}

var instances = Table[instance]{Kind: Kind{Name: "instance", Prefix: "ins", Schema: 1, Composed: true}}

const instanceID = "ins_this"

// Instance names this store: a restored copy has another name.
func Instance(tx *Tx) (string, error) {
	v, _, err := instances.Get(tx, instanceID)
	return v.Instance, err
}

// Restores is what this store was restored from, oldest first; empty for a store that never was.
func Restores(tx *Tx) ([]Restored, error) {
	v, _, err := instances.Get(tx, instanceID)
	return v.Restores, err
}

// Held says why nothing may be sent, "" when all may: a restored store does not know what was sent since its backup, so a person
// looks first, and neither does a copy. A hold begins only before anybody serves from a store, so a sender reads it when it starts and,
// while it is held, before each claim.
func Held(tx *Tx) (string, error) {
	v, _, err := instances.Get(tx, instanceID)
	return v.Held, err
}

// Release ends the hold; act is who looked, and why it is right to send again.
func (db *DB) Release(ctx context.Context, act Act) error {
	return db.Update(ctx, act, func(tx *Tx) error {
		v, m, err := instances.Get(tx, instanceID)
		if err != nil {
			return err
		}
		if v.Held == "" {
			return fault.New(fault.Conflict, "nothing is held")
		}
		v.Held = ""
		tx.On(instanceID)
		return instances.Put(tx, instanceID, v, m.Version)
	})
}

// leftBehind says whether a head known outside names a row that a restore left behind: written after the backup, in the store before.
func leftBehind(restores []Restored, h Head, now string) bool {
	for _, r := range restores {
		if r.From == h.Instance && h.Instance != now && h.Number > r.Head.Number {
			return true
		}
	}
	return false
}

// Restore is a store being filled from a backup, record for record: ids, versions, times, bodies and tuples stay what they were; leases
// end. Until [Restore.Finish] nobody can open it.
type Restore struct {
	db   *DB
	from instance // what the backup says of itself
}

// BeginRestore readies an engine that never kept anything for the kinds of a backup.
func BeginRestore(ctx context.Context, engine Engine, keys *Keys, kinds []Kind) (*Restore, error) {
	fresh, err := Fresh(ctx, engine)
	if err != nil {
		return nil, err
	}
	if !fresh {
		return nil, fault.New(fault.Conflict, "the store is not empty: restore into a new one, then put it in the old one's place")
	}
	if _, err := engine.Migrate(ctx, kinds, false); err != nil {
		return nil, fmt.Errorf("ready the store: %w", err)
	}
	r := &Restore{db: &DB{engine: engine, keys: keys, kinds: map[string]Kind{}, clock: time.Now}}
	for _, k := range kinds {
		r.db.kinds[k.Name] = k
	}
	return r, r.db.Update(ctx, Act{}, func(tx *Tx) error {
		return instances.Put(tx, instanceID, instance{Instance: rand.Text(), Unfinished: true}, 0)
	})
}

// Put writes a page of records. It keeps none of their memory.
func (r *Restore) Put(ctx context.Context, kind string, raws []Raw) error {
	if kind == instances.Name {
		for _, raw := range raws {
			if raw.ID != instanceID {
				continue
			}
			var err error
			if r.from, err = instances.open(&Tx{db: r.db}, raw); err != nil {
				return fmt.Errorf("these keys do not belong to this backup: %w", err)
			}
		}
		return nil
	}
	writes := make(Writes, len(raws))
	for i, raw := range raws {
		writes[i] = Write{Kind: kind, Raw: raw}
	}
	return r.db.engine.Update(ctx, func(Snapshot) (Writes, error) { return writes, nil })
}

// Finish gives the store an identity of its own, remembers what it came from, and holds what it would send. Before that, while nobody else can
// open it, replay applies what is newer than the backup, on a store of the kinds given, which are those of this binary; nil: nothing.
func (r *Restore) Finish(ctx context.Context, act Act, from Restored, kinds []Kind, replay func(*DB) (facts int, err error)) error {
	if r.from.Instance == "" {
		return fault.New(fault.Permanent, "the backup does not say which store it is of")
	}
	from.From = r.from.Instance
	db := r.db
	if replay != nil {
		var err error
		if db, err = open(ctx, r.db.engine, Options{Keys: r.db.keys, Kinds: kinds}, true); err != nil {
			return err
		}
		if from.Facts, err = replay(db); err != nil {
			return err
		}
	}
	return db.Update(ctx, act, func(tx *Tx) error {
		v, m, err := instances.Get(tx, instanceID)
		if err != nil {
			return err
		}
		v.Unfinished = false
		v.Restores = append(r.from.Restores, from)
		v.Held = fmt.Sprintf("restored from backup %s of %s: look what was sent since, then release", from.Backup, from.Taken.UTC().Format(time.RFC3339))
		tx.On(instanceID)
		return instances.Put(tx, instanceID, v, m.Version)
	})
}

// Walk hands out every record of a kind as it was restored, in the order of ids, to be compared with what the backup promised.
func (r *Restore) Walk(ctx context.Context, kind string, fn func(Raw) error) error {
	return r.db.engine.View(ctx, func(s Snapshot) error {
		for raw, err := range s.Scan(Range{Kind: kind, Deleted: true}) {
			if err == nil {
				err = fn(raw)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Stand says where the store lies, in a way that a copy of it cannot share, "" where nobody can tell. A store that lies elsewhere than when it
// was last opened is a copy, or was moved, which look alike: it becomes another instance, and is held as after a restore, so that it never
// sends beside the one that it was made from. True: that happened.
func (db *DB) Stand(ctx context.Context, place string) (copied bool, err error) {
	if place == "" {
		return false, nil
	}
	var v instance
	if err := db.View(ctx, func(tx *Tx) error { v, _, err = instances.Get(tx, instanceID); return err }); err != nil || v.Place == place {
		return false, err
	}
	act := Act{}
	if copied = v.Place != ""; copied {
		act = Act{By: "system:store", Verb: "store.copied", Reason: "it lies elsewhere than when it was last opened"}
	}
	return copied, db.Update(ctx, act, func(tx *Tx) error {
		v, m, err := instances.Get(tx, instanceID)
		if err != nil {
			return err
		}
		if v.Place != "" {
			v.Instance = rand.Text()
			if v.Held == "" {
				v.Held = "this store was copied or moved: see that the one it was made from does not run, then release"
			}
			tx.On(instanceID)
		}
		v.Place = place
		return instances.Put(tx, instanceID, v, m.Version)
	})
}

// Stored walks a kind's records as the engine keeps them, deleted ones too, in the order of ids: for backups.
func (tx *Tx) Stored(kind string) iter.Seq2[Raw, error] {
	return tx.snap.Scan(Range{Kind: kind, Deleted: true})
}

// Owner says whose the records of a kind are: a field of their value holds the id of a record of one of these kinds.
type Owner struct {
	Field string
	Kinds []string
}

// StoredOne is one record as the engine keeps it, deleted or not; ErrNotFound.
func (tx *Tx) StoredOne(kind, id string) (Raw, error) { return tx.get(kind, id) }

// PutStored puts one record back as a backup holds it, under the keys of today, over the one that stands, whose successor it becomes.
func (tx *Tx) PutStored(kind string, raw Raw) error {
	k, ok := tx.db.kinds[kind]
	if !ok {
		return fmt.Errorf("kind %q is not declared", kind)
	}
	fresh, err := tx.db.refresh(tx.db.keys.ring.Load(), k, raw)
	if err != nil {
		return err
	}
	if fresh != nil {
		raw = *fresh
	}
	raw.Version = 0
	old, err := tx.get(kind, raw.ID)
	switch {
	case err == nil:
		raw.Version = old.Version
	case fault.Of(err) != fault.NotFound:
		return err
	}
	raw.Holder, raw.Epoch = "", 0
	return tx.put(k, raw)
}

// RemoveStored takes one record out, whatever its kind keeps.
func (tx *Tx) RemoveStored(kind, id string) error {
	k, ok := tx.db.kinds[kind]
	if !ok {
		return fmt.Errorf("kind %q is not declared", kind)
	}
	return tx.remove(k, id)
}

// Change names the state of the store: two equal names mean that nothing was written between. "" when the engine cannot tell.
func (db *DB) Change(ctx context.Context) (string, error) {
	e, ok := db.engine.(interface {
		Change(context.Context) (string, error)
	})
	if !ok {
		return "", nil
	}
	return e.Change(ctx)
}

// Keys is what the store was opened with.
func (db *DB) Keys() *Keys { return db.keys }
