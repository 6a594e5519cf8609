package contacts

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// The types of product events.
const (
	SiteDeleted  = "site.deleted"
	SiteRestored = "site.restored"
)

// Event is what the product says happened to sites.
type Event struct {
	Type    string            `json:"type"`
	Source  string            `json:"source,omitempty"`  // who says so; "": product
	SiteIDs []string          `json:"site_ids"`          // our ids or product ids
	NewIDs  map[string]string `json:"new_ids,omitempty"` // site.restored: a site's id to the product id under which it came back
}

// EventResult is what an event did. An id that was not understood spoils nothing else.
type EventResult struct {
	Changed   int      `json:"changed"`
	Unchanged int      `json:"unchanged"` // stood so already
	Unknown   []string `json:"unknown"`   // ids of no site
	WrongKind []string `json:"wrong_kind"`
	Taken     []string `json:"taken"` // new ids that another site has: a person must decide
}

// maxEventIDs bounds the ids of one event.
const maxEventIDs = 10_000

// ProductEvent marks sites as deleted in the product, or as back there. It never removes anything: the site, its contacts and all
// its ids stay. A site that came back under a new id is found by both from then on.
func (b *Book) ProductEvent(ctx context.Context, by string, e Event) (EventResult, error) {
	ids, err := e.check()
	if err != nil {
		return EventResult{}, err
	}
	var done EventResult
	err = again(ctx, func() error {
		return b.DB.Update(ctx, store.Act{By: by, Verb: "contacts.product_event", Reason: e.Type}, func(tx *store.Tx) error {
			done = EventResult{Unknown: []string{}, WrongKind: []string{}, Taken: []string{}}
			w := newWork()
			w.tx = tx
			for _, id := range ids {
				if err := b.apply(w, &done, e, id); err != nil {
					return err
				}
			}
			if !w.changed() {
				return store.ErrNothing
			}
			if err := w.flush(); err != nil || e.Type != SiteDeleted {
				return err
			}
			return b.vanished(tx, e.From(), w.sites.dirty)
		})
	})
	return done, err
}

// From is the source that says so.
func (e Event) From() string { return cmp.Or(strings.ToLower(strings.TrimSpace(e.Source)), "product") }

func (e Event) check() (ids []string, err error) {
	if e.Type != SiteDeleted && e.Type != SiteRestored {
		return nil, fault.BadField("type", "%.40q is not known; it may be %s or %s", e.Type, SiteDeleted, SiteRestored)
	}
	if _, err := parseSource(e.From()); err != nil {
		return nil, fault.BadField("source", "%s", err)
	}
	if len(e.NewIDs) > 0 && e.Type != SiteRestored {
		return nil, fault.BadField("new_ids", "belongs to %s only", SiteRestored)
	}
	seen := map[string]bool{}
	for _, id := range append(slices.Clone(e.SiteIDs), slices.Sorted(maps.Keys(e.NewIDs))...) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	switch {
	case len(ids) == 0:
		return nil, fault.BadField("site_ids", "is missing")
	case len(ids) > maxEventIDs:
		return nil, fault.BadField("site_ids", "has more than %d ids; send several events", maxEventIDs)
	}
	for _, id := range ids {
		if clean, err := productID(id); err != nil || clean != id || id == "" {
			return nil, fault.BadField("site_ids", "%.80q is not an id", id)
		}
	}
	for _, id := range e.NewIDs {
		_, ours := kindOf(id, Kinds())
		if clean, err := productID(id); err != nil || clean != id || id == "" || ours {
			return nil, fault.BadField("new_ids", "%.80q is not an id of the product", id)
		}
	}
	return ids, nil
}

// apply carries out an event for one site.
func (b *Book) apply(w *work, done *EventResult, e Event, id string) error {
	ours, err := resolve(w.tx, sites.Kind, scopeSite, scopeAccount, "site_ids", id)
	var site Site
	if err == nil {
		site, err = w.sites.get(w.tx, ours)
	}
	switch fault.Of(err) {
	case "":
	case fault.NotFound:
		done.Unknown = append(done.Unknown, id)
		return nil
	case fault.Invalid:
		done.WrongKind = append(done.WrongKind, id)
		return nil
	default:
		return err
	}
	site = site.clone()
	changed := site.mark(e.Type, w.tx.Now())
	if fresh := e.NewIDs[id]; fresh != "" && !slices.Contains(site.ProductIDs, fresh) {
		others, err := w.named(scopeSite, fresh)
		if err != nil {
			return err
		}
		if len(others) > 0 && others[0] != ours {
			done.Taken = append(done.Taken, fresh)
			return nil
		}
		say := statement{source: e.From(), how: ByEvent, seen: w.tx.Now()}
		if _, err := w.link(scopeSite, fresh, ours, say); err != nil {
			return err
		}
		var t tally
		site.ProductIDs = site.add(&t, ListProductIDs, site.ProductIDs, fresh, say)
		changed = true
	}
	if !changed {
		done.Unchanged++
		return nil
	}
	done.Changed++
	w.sites.put(ours, site)
	return nil
}

func (s *Site) mark(event string, now time.Time) bool {
	deleted := event == SiteDeleted
	if deleted == (s.DeletedInProduct != nil) {
		return false
	}
	if deleted {
		s.DeletedInProduct = &now
	} else {
		s.DeletedInProduct, s.RestoredInProduct = nil, &now
	}
	return true
}
