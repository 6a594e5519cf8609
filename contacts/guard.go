package contacts

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Guard is how much may change at once before a person has to look. It stands between the book and a source that fails or lies.
type Guard struct {
	ShrinkPercent   int           `yaml:"shrink_percent"`   // a full snapshot may leave out so many of the records that its source named before
	VanishedSites   int           `yaml:"vanished_sites"`   // so many sites deleted, or left out, at once are perhaps an incident
	VanishedPercent int           `yaml:"vanished_percent"` // as are so many of all sites, from three on
	VanishedWithin  time.Duration `yaml:"vanished_within"`  // "at once", of deletions that are reported one by one
	ChangedPercent  int           `yaml:"changed_percent"`  // a source may add so many of all addresses to customers whom the book knows
	ChangedFloor    int           `yaml:"changed_floor"`    // and so many in any case, since one percent of a small book is nobody
	ChangedWithin   time.Duration `yaml:"changed_within"`   // by all its files in such a while: many small ones are one large one
}

func defaultGuard() Guard {
	return Guard{ShrinkPercent: 5, VanishedSites: 10, VanishedPercent: 1, VanishedWithin: time.Hour, ChangedPercent: 1, ChangedFloor: 20, ChangedWithin: 24 * time.Hour}
}

func (g Guard) check() error {
	for name, n := range map[string]int{"shrink_percent": g.ShrinkPercent, "vanished_percent": g.VanishedPercent, "changed_percent": g.ChangedPercent} {
		if n < 0 || n > 100 {
			return fault.BadField("contacts.guard."+name, "is %d; it must be 0 to 100", n)
		}
	}
	if g.VanishedSites < 1 || g.ChangedFloor < 0 || g.VanishedWithin <= 0 || g.ChangedWithin < 0 {
		return fault.BadField("contacts.guard", "vanished_sites and vanished_within must be above 0, and changed_floor and changed_within not below")
	}
	return nil
}

// fewVanished is how many sites customers delete in any hour without meaning anything by it.
const fewVanished = 3

// many says whether so many vanished sites, of all, ought to be looked at as an incident.
func (g Guard) many(vanished, all int) bool {
	return vanished >= g.VanishedSites || vanished >= fewVanished && vanished*100 >= g.VanishedPercent*all
}

// shrunk says whether a snapshot that leaves out missing of named records, sites among them, has to be looked at.
func (g Guard) shrunk(missing, named, sites int) bool {
	return sites > 0 || missing > 0 && missing*100 > g.ShrinkPercent*named
}

// poisoned says whether a source that adds so many addresses to known customers, in a book of all, waits for a second person.
func (g Guard) poisoned(added, all int) bool {
	return added > max(g.ChangedFloor, all*g.ChangedPercent/100)
}

// lookedAt bounds what a count of all is asked for: beyond it, nothing that is asked depends on the number.
func (g Guard) lookedAt(vanished int) int { return vanished*100/max(g.VanishedPercent, 1) + 1 }

// mostShown bounds the ids of a finding.
const mostShown = 20

// vanished notes in the feed of a source that sites were deleted, and finds when there were too many within a while.
func (b *Book) vanished(tx *store.Tx, source string, gone []string) error {
	if len(gone) == 0 {
		return nil
	}
	rec, err := feedOf(tx, source)
	if err != nil {
		return err
	}
	f := rec.Value
	f.Gone = slices.DeleteFunc(slices.Clone(f.Gone), func(g vanishing) bool { return tx.Now().Sub(g.At) >= b.Policy.Guard.VanishedWithin })
	f.Gone = append(f.Gone, vanishing{At: tx.Now(), Sites: len(gone)})
	n := 0
	for _, g := range f.Gone {
		n += g.Sites
	}
	if over := len(f.Gone) - maxVanishings; over > 0 { // many events with a site each: they are enough for any alarm
		f.Gone[over].Sites += f.Gone[over-1].Sites
		f.Gone = slices.Delete(f.Gone, 0, over)
	}
	if err := putFeed(tx, rec.Meta, f); err != nil {
		return err
	}
	all, err := sites.Count(tx, store.Query{Limit: b.Policy.Guard.lookedAt(n)})
	if err != nil || !b.Policy.Guard.many(n, all) {
		return err
	}
	return b.found(tx, Finding{What: SitesVanished, Source: source, Count: n, Sample: gone[:min(len(gone), mostShown)], Propose: true})
}

const maxVanishings = 200

// Snapshots.

// namedBy is as much of a record as says who named it.
type namedBy struct {
	Sources []Source   `json:"sources"`
	Deleted *time.Time `json:"deleted_in_product"`
}

// absent is what a snapshot left out.
type absent struct {
	named int                 // by this source, when it was last complete
	ids   map[string][]string // missing now, by kind
}

func (g absent) count() (n int) {
	for _, ids := range g.ids {
		n += len(ids)
	}
	return n
}

func (g absent) sample(kinds ...string) (ids []string) {
	for _, k := range kinds {
		ids = append(ids, g.ids[k]...)
	}
	return ids[:min(len(ids), mostShown)]
}

// leftOut walks the book for records that the source named before and this file did not. It reads a thousand at a time, so that no reader
// holds the store for long.
func (b *Book) leftOut(ctx context.Context, source string, named *seen) (g absent, err error) {
	g.ids = map[string][]string{}
	for _, k := range []store.Kind{accounts.Kind, sites.Kind, people.Kind} {
		t := store.Table[namedBy]{Kind: k}
		for after, more := "", true; more; more = after != "" {
			var page []store.Rec[namedBy]
			err := b.DB.View(ctx, func(tx *store.Tx) error {
				page, after, err = t.List(tx, store.Query{After: after, Limit: 1000})
				return err
			})
			if err != nil {
				return g, err
			}
			for _, rec := range page {
				i := slices.IndexFunc(rec.Value.Sources, func(s Source) bool { return s.Source == source })
				if i < 0 || !rec.Value.Sources[i].Missing.IsZero() || rec.Value.Deleted != nil {
					continue
				}
				g.named++
				if !named.has(rec.ID) {
					g.ids[k.Name] = append(g.ids[k.Name], rec.ID)
				}
			}
		}
	}
	return g, nil
}

// snapshot looks at what a full snapshot left out. Nothing is removed, and nobody is told any less: the records are marked as missing from
// this source, once, and a person is told when it is too much. Rows that were rejected may have named anything: with them nothing is marked,
// and as many records as they are may be missing.
func (im *importer) snapshot(ctx context.Context) error {
	b, r := im.book, im.report
	left, err := b.leftOut(ctx, im.say.source, &im.named)
	if err != nil {
		return err
	}
	r.Missing = left.count()
	if im.dry {
		return nil
	}
	missing, vanished := r.Missing-r.RejectedRows, len(left.ids[sites.Name])-r.RejectedRows
	f := Finding{What: Shrunk, Source: im.say.source, Count: r.Missing, Sample: left.sample("site", "contact", "account")}
	act := store.Act{By: im.by, Verb: "contacts.snapshot", Reason: "source " + im.say.source}
	if !b.Policy.Guard.shrunk(missing, left.named, vanished) {
		f.Over, act = r.Missing == 0, store.Act{}
	}
	if f.Over || act.Verb != "" {
		err = again(ctx, func() error {
			return b.DB.Update(ctx, act, func(tx *store.Tx) error {
				tx.On(f.Sample...)
				if err := b.found(tx, f); err != nil || f.Over {
					return err
				}
				return b.leftOutMany(tx, im.say.source, left, vanished)
			})
		})
		if err != nil {
			return err
		}
	}
	if r.RejectedRows > 0 {
		return nil
	}
	act = store.Act{By: im.by, Verb: "contacts.snapshot", Reason: "source " + im.say.source}
	if err := markMissing(ctx, b.DB, act, accounts, left.ids[accounts.Name], im.say, func(a *Account) *Provenance { return &a.Provenance }); err != nil {
		return err
	}
	if err := markMissing(ctx, b.DB, act, sites, left.ids[sites.Name], im.say, func(s *Site) *Provenance { return &s.Provenance }); err != nil {
		return err
	}
	return markMissing(ctx, b.DB, act, people, left.ids[people.Name], im.say, func(c *Contact) *Provenance { return &c.Provenance })
}

// leftOutMany proposes to look for an incident when a snapshot leaves out too many sites.
func (b *Book) leftOutMany(tx *store.Tx, source string, left absent, n int) error {
	all, err := sites.Count(tx, store.Query{Limit: b.Policy.Guard.lookedAt(max(n, 0))})
	if err != nil || !b.Policy.Guard.many(n, all) {
		return err
	}
	return b.found(tx, Finding{What: SitesVanished, Source: source, Count: n, Sample: left.sample("site"), Propose: true})
}

// markMissing notes on records that a source's snapshot leaves them out.
func markMissing[T any](ctx context.Context, db *store.DB, act store.Act, t store.Table[T], ids []string, s statement, of func(*T) *Provenance) error {
	for len(ids) > 0 {
		batch := ids[:min(len(ids), batchRows)]
		ids = ids[len(batch):]
		err := again(ctx, func() error {
			return db.Update(ctx, act, func(tx *store.Tx) error {
				for _, id := range batch {
					v, m, err := t.Get(tx, id)
					if fault.Of(err) == fault.NotFound {
						continue
					}
					if err != nil {
						return err
					}
					p := of(&v)
					i := slices.IndexFunc(p.Sources, func(x Source) bool { return x.Source == s.source })
					if i < 0 || p.Sources[i].LastSeen.After(s.seen) {
						continue
					}
					p.Sources[i].Missing = s.seen
					tx.On(id)
					if err := t.Put(tx, id, v, m.Version); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// seen remembers ids by eight bytes each: a million cost some 40 MB.
type seen struct{ ids map[uint64]struct{} }

func (s *seen) add(id string) {
	if s.ids == nil {
		s.ids = map[uint64]struct{}{}
	}
	s.ids[digestOf(id)] = struct{}{}
}

func (s *seen) has(id string) bool {
	_, ok := s.ids[digestOf(id)]
	return ok
}

// Poisoned imports.

// Waiting is why an import has not begun, and what a second person has to approve.
type Waiting struct {
	Change    string   `json:"change_id"`
	Digest    string   `json:"digest"`    // of the file
	Addresses int      `json:"addresses"` // that it would add to customers whom the book knows
	Before    int      `json:"before"`    // that other files of its source added lately, which nobody approved
	Of        int      `json:"of"`        // addresses that the book holds
	Held      bool     `json:"held"`      // the file is kept: once the change was approved and run it is imported, and nobody has to send it again
	Sample    []Sample `json:"sample"`
}

// importInput is what is approved: this file, of this source, with this effect.
type importInput struct {
	Digest    string   `json:"digest"`
	Source    string   `json:"source"`
	Snapshot  bool     `json:"snapshot"`
	Addresses int      `json:"addresses"`
	Sample    []Sample `json:"sample"`
}

// VerbImport is an import that changes so many addresses that it takes two people.
const VerbImport = "contacts.import"

// ImportVerb lets a second person approve an import that waits. Its file is imported in the background once it was run (see [Book.RunHeld]); where it
// was not kept, whoever sent it sends it again. What is proposed by hand lets nothing through: it has no file, and the import asks for exactly the
// proposal that it would make.
func (b *Book) ImportVerb() Verb {
	return Verb{
		Name: VerbImport, Right: "contact.import", Says: "import a file that adds many addresses to known customers",
		Plan: func(_ *store.Tx, input json.RawMessage) (Plan, error) {
			var in importInput
			if err := ReadInput(input, &in); err != nil {
				return Plan{}, err
			}
			return Plan{Steps: []Step{{Of: in.Source, On: in.Digest}}, Counts: map[string]int{"address": in.Addresses}, Sample: in.Sample}, nil
		},
		Run: func(tx *store.Tx, c store.Rec[Change], _ Step) (json.RawMessage, error) {
			return nil, release(tx, c.ID)
		},
	}
}

// letsMore is by how many percent of what was approved a file may add more addresses by the time that it is imported.
const letsMore = 2

// allow asks for a second person where a source would add too many addresses. nil: the file may run.
func (b *Book) allow(ctx context.Context, by string, in importInput, file *spool, o ImportOptions) (*Waiting, error) {
	if in.Addresses == 0 {
		return nil, nil
	}
	if o.let != nil && in.Digest == o.let.Digest && in.Addresses*100 <= o.let.Addresses*(100+letsMore) {
		return nil, nil
	}
	before, all, err := b.count(ctx, in)
	if err != nil || !b.Policy.Guard.poisoned(before+in.Addresses, all) {
		return nil, err
	}
	if b.Changes == nil {
		return nil, fault.New(fault.Unavailable, "this import would add %d addresses to known customers, and nobody can approve that here", in.Addresses)
	}
	input, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	w := &Waiting{Digest: in.Digest, Addresses: in.Addresses, Before: before, Of: all, Sample: in.Sample}
	asked, err := b.askedBefore(ctx, input)
	switch {
	case err != nil:
		return nil, err
	case asked.ID == "":
		w.Change, w.Held, err = b.askFor(ctx, by, in, Proposal{Verb: VerbImport, Input: input,
			Reason: fmt.Sprintf("a file of %s would add %d addresses to known customers, beside %d that it added lately", in.Source, in.Addresses, before)}, file, o.Format)
		return w, err
	case asked.Value.State == ChangeProposed:
		w.Change = asked.ID
		w.Held, err = b.Held(ctx, asked.ID)
		return w, err
	}
	if _, err = b.Changes.Run(ctx, by, asked.ID); err != nil {
		return nil, err
	}
	return nil, b.drop(ctx, asked.ID) // it was sent again, and is imported here
}

// wouldWait says whether a file that adds so many addresses to known customers would wait for a second person, and asks nobody. nil: it would not.
func (b *Book) wouldWait(ctx context.Context, source string, added int) (w *Waiting, err error) {
	if added == 0 {
		return nil, nil
	}
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		w = &Waiting{Addresses: added, Sample: []Sample{}}
		rec, err := feedOf(tx, source)
		if err != nil {
			return err
		}
		for _, a := range rec.Value.Added {
			if tx.Now().Sub(a.At) < b.Policy.Guard.ChangedWithin {
				w.Before += a.Addresses
			}
		}
		w.Of, err = addresses.Count(tx, store.Query{})
		return err
	})
	if err != nil || !b.Policy.Guard.poisoned(w.Before+added, w.Of) {
		return nil, err
	}
	return w, nil
}

// count says how many addresses other files of the source added lately without anybody's approval, and how many there are. Where they are
// few, this file is one of those from now on; sent again, it counts once.
func (b *Book) count(ctx context.Context, in importInput) (before, all int, err error) {
	err = again(ctx, func() error {
		return b.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
			before = 0
			if all, err = addresses.Count(tx, store.Query{}); err != nil {
				return err
			}
			rec, err := feedOf(tx, in.Source)
			if err != nil {
				return err
			}
			f := rec.Value
			f.Added = slices.DeleteFunc(slices.Clone(f.Added), func(a addition) bool {
				return a.Digest == in.Digest || tx.Now().Sub(a.At) >= b.Policy.Guard.ChangedWithin
			})
			for _, a := range f.Added {
				before += a.Addresses
			}
			if b.Policy.Guard.poisoned(before+in.Addresses, all) {
				return store.ErrNothing
			}
			f.Added = append(f.Added, addition{At: tx.Now(), Digest: in.Digest, Addresses: in.Addresses})
			return putFeed(tx, rec.Meta, f)
		})
	})
	return before, all, err
}

// askedBefore finds the proposal of exactly this import that can still run, an approved one first.
func (b *Book) askedBefore(ctx context.Context, input json.RawMessage) (found store.Rec[Change], err error) {
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		found = store.Rec[Change]{}
		for _, state := range []ChangeState{ChangeApproved, ChangeProposed} {
			for rec, err := range changes.Scan(tx, store.Query{Index: "state", Equal: []any{string(state)}}) {
				if err != nil {
					return err
				}
				if rec.Value.Verb == VerbImport && string(rec.Value.Input) == string(input) && tx.Now().Before(rec.Value.ExpiresAt) {
					found = rec
					return nil
				}
			}
		}
		return nil
	})
	return found, err
}
