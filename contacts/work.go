package contacts

import (
	"slices"
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
)

// work is what a batch of rows has read and changed so far. Rows of a batch see what the rows before them did, and each changed
// record is written once, at the end. A dry run keeps one work over all its batches and never writes it.
type work struct {
	tx        *store.Tx
	accounts  shelf[Account]
	sites     shelf[Site]
	people    shelf[Contact]
	aliases   shelf[Alias]
	addresses shelf[address]

	goneAt    map[string][]string // deleted contacts who had an address, as far as anybody asked
	aliasAt   map[string]string   // alias ids by scope and value; "": there is none
	atAddress map[string][]string // contacts that got an address here
	byName    map[string][]string // contacts made here, by account and name

	added   []address // to accounts that were there before
	raised  []raised  // conflicts for the list of all
	settled []string  // and those that are over
}

type raised struct {
	id    string
	value openConflict
}

func newWork() *work {
	return &work{
		accounts: newShelf(accounts), sites: newShelf(sites), people: newShelf(people), aliases: newShelf(aliases), addresses: newShelf(addresses),
		goneAt: map[string][]string{}, aliasAt: map[string]string{}, atAddress: map[string][]string{}, byName: map[string][]string{},
	}
}

// shelf holds the records of one kind that a work has touched.
type shelf[T any] struct {
	table store.Table[T]
	slots map[string]*slot[T]
	dirty []string // in the order of their first change
}

type slot[T any] struct {
	value   T
	version int64 // 0: new
	dirty   bool
}

func newShelf[T any](t store.Table[T]) shelf[T] {
	return shelf[T]{table: t, slots: map[string]*slot[T]{}}
}

func (s *shelf[T]) get(tx *store.Tx, id string) (T, error) {
	if have := s.slots[id]; have != nil {
		return have.value, nil
	}
	v, m, err := s.table.Get(tx, id)
	if err == nil {
		s.slots[id] = &slot[T]{value: v, version: m.Version}
	}
	return v, err
}

// hold puts a record that a scan found on the shelf, unless a newer one lies there.
func (s *shelf[T]) hold(r store.Rec[T]) {
	if s.slots[r.ID] == nil {
		s.slots[r.ID] = &slot[T]{value: r.Value, version: r.Version}
	}
}

func (s *shelf[T]) put(id string, v T) {
	have := s.slots[id]
	if have == nil {
		have = &slot[T]{}
		s.slots[id] = have
	}
	have.value = v
	if !have.dirty {
		have.dirty = true
		s.dirty = append(s.dirty, id)
	}
}

// isNew says whether the record was made here, so that the store holds nothing that belongs to it.
func (s *shelf[T]) isNew(id string) bool {
	have := s.slots[id]
	return have != nil && have.version == 0
}

func (s *shelf[T]) flush(tx *store.Tx) error {
	for _, id := range s.dirty {
		have := s.slots[id]
		if err := s.table.Put(tx, id, have.value, have.version); err != nil {
			return err
		}
	}
	return nil
}

// settle forgets what was only read.
func (s *shelf[T]) settle() {
	for id, have := range s.slots {
		if !have.dirty {
			delete(s.slots, id)
		}
	}
}

func (w *work) changed() bool {
	return len(w.accounts.dirty)+len(w.sites.dirty)+len(w.people.dirty)+len(w.aliases.dirty)+len(w.addresses.dirty) > 0
}

func (w *work) flush() error {
	w.tx.On(w.people.dirty...)
	w.tx.On(w.sites.dirty...)
	w.tx.On(w.accounts.dirty...)
	for _, flush := range []func(*store.Tx) error{w.accounts.flush, w.sites.flush, w.people.flush, w.aliases.flush, w.addresses.flush} {
		if err := flush(w.tx); err != nil {
			return err
		}
	}
	for _, r := range w.raised {
		if err := openConflicts.Put(w.tx, r.id, r.value, 0); err != nil {
			return err
		}
	}
	return closeConflicts(w.tx, w.settled)
}

// closeConflicts takes conflicts that are over from the list of all.
func closeConflicts(tx *store.Tx, ids []string) error {
	for _, id := range ids {
		_, m, err := openConflicts.Get(tx, id)
		if fault.Of(err) == fault.NotFound {
			continue
		}
		if err == nil {
			err = openConflicts.Delete(tx, id, m.Version)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// distinct is how many addresses it would give to customers who are in the store.
func (w *work) distinct() int {
	var keys seen
	for _, a := range w.added {
		keys.add(joined(a.Account, a.Channel, a.Key))
	}
	return len(keys.ids)
}

// settle ends a dry batch: what was only read may have changed by the next.
func (w *work) settle() {
	w.accounts.settle()
	w.sites.settle()
	w.people.settle()
	w.aliases.settle()
	for key, id := range w.aliasAt {
		if w.aliases.slots[id] == nil {
			delete(w.aliasAt, key)
		}
	}
	w.raised, w.settled = nil, nil
}

func joined(parts ...string) string { return strings.Join(parts, "\x00") }

// alias finds the alias of a scope and value; found is false when there is none.
func (w *work) alias(scope, value string) (id string, a Alias, found bool, err error) {
	key := joined(scope, value)
	id, known := w.aliasAt[key]
	if !known {
		rec, err := aliases.First(w.tx, store.Query{Index: "value", Equal: []any{scope, value}})
		switch {
		case fault.Of(err) == fault.NotFound:
		case err != nil:
			return "", a, false, err
		default:
			id = rec.ID
			w.aliases.hold(rec)
		}
		w.aliasAt[key] = id
	}
	if id == "" {
		return "", a, false, nil
	}
	a, err = w.aliases.get(w.tx, id)
	return id, a, err == nil, err
}

// named are the records that an alias leads to.
func (w *work) named(scope, value string) ([]string, error) {
	_, a, found, err := w.alias(scope, value)
	if err != nil || !found {
		return nil, err
	}
	return append([]string{a.Of}, a.Also...), nil
}

// link makes an alias lead to a record, beside those that it leads to already, and says whether it did not before.
func (w *work) link(scope, value, of string, s statement) (bool, error) {
	id, a, found, err := w.alias(scope, value)
	switch {
	case err != nil:
		return false, err
	case !found:
		id, a = aliases.NewID(), Alias{Scope: scope, Value: value, Of: of, Source: s.source, Seen: s.seen}
		w.aliasAt[joined(scope, value)] = id
	case a.Of == of || slices.Contains(a.Also, of):
		return false, nil
	default:
		a = a.clone()
		a.Also = append(a.Also, of)
	}
	w.aliases.put(id, a)
	return true, nil
}

// at lists the account's contacts who have an address.
func (w *work) at(account, channel, value string) ([]string, error) {
	key := addressKey(channel, value)
	ids := slices.Clone(w.atAddress[joined(account, channel, key)])
	if w.accounts.isNew(account) {
		return ids, nil
	}
	for rec, err := range addresses.Scan(w.tx, store.Query{Index: "account", Equal: []any{account, channel, key}}) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, rec.Value.Contact)
	}
	alive, err := w.living(ids)
	w.goneAt[joined(account, channel, key)] = slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(alive, id) })
	return alive, err
}

// living leaves out contacts that were deleted.
func (w *work) living(ids []string) ([]string, error) {
	var out []string
	for _, id := range ids {
		_, err := w.people.get(w.tx, id)
		if fault.Of(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out, nil
}

// called lists the account's contacts of a name.
func (w *work) called(account, name string) ([]string, error) {
	ids, err := w.named(scopeContactName, joined(account, fold(name)))
	if err != nil {
		return nil, err
	}
	ids = append(ids, w.byName[joined(account, fold(name))]...)
	if !w.accounts.isNew(account) {
		for rec, err := range people.Scan(w.tx, store.Query{Index: "name", Equal: []any{account, fold(name)}}) {
			if err != nil {
				return nil, err
			}
			w.people.hold(rec)
			ids = append(ids, rec.ID)
		}
	}
	return w.living(ids)
}

// addAddress makes a contact be found by an address.
func (w *work) addAddress(account, contact, channel, value string) {
	key := addressKey(channel, value)
	a := address{Contact: contact, Account: account, Channel: channel, Key: key}
	w.addresses.put(addresses.NewID(), a)
	if !w.accounts.isNew(account) {
		w.added = append(w.added, a)
	}
	at := joined(account, channel, key)
	w.atAddress[at] = append(w.atAddress[at], contact)
}
