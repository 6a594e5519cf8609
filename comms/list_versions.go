package comms

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unique"

	"lifeline/store"
)

// ListVersion is a version of a checklist and how many runs went by it.
type ListVersion struct {
	ID string `json:"id"` // "": nobody has published or used it; it is as the policy or the program brings it, with the number 0
	Checklist
	Runs int `json:"runs"`      // that were begun, without drafts
	Open int `json:"runs_open"` // of them those that have not ended
}

// ListDifference is what one version of a list has otherwise than another.
type ListDifference struct {
	Title   bool         `json:"title"`
	About   bool         `json:"about"`
	Moved   bool         `json:"moved"` // the items of both stand in another order
	Added   []Item       `json:"added"`
	Removed []Item       `json:"removed"`
	Changed []ItemChange `json:"changed"`
}

// ItemChange is an item that both versions have, by its key, and what differs.
type ItemChange struct {
	Was  Item     `json:"was"`
	Now  Item     `json:"now"`
	What []string `json:"what"` // names of fields
}

// None says that the two are the same.
func (d ListDifference) None() bool {
	return !d.Title && !d.About && !d.Moved && len(d.Added)+len(d.Removed)+len(d.Changed) == 0
}

// Since is what l has otherwise than an earlier version.
func (l Checklist) Since(was Checklist) ListDifference {
	d := ListDifference{Title: l.Title != was.Title || !maps.Equal(l.Titles, was.Titles), About: l.About != was.About || !maps.Equal(l.Abouts, was.Abouts), Added: []Item{}, Removed: []Item{}, Changed: []ItemChange{}}
	var before, after []string // the keys of both
	for _, it := range was.Items {
		if _, stays := l.Item(it.Key); stays {
			before = append(before, it.Key)
		} else {
			d.Removed = append(d.Removed, it)
		}
	}
	for _, it := range l.Items {
		old, was := was.Item(it.Key)
		if !was {
			d.Added = append(d.Added, it)
			continue
		}
		after = append(after, it.Key)
		if what := it.since(old); len(what) > 0 {
			d.Changed = append(d.Changed, ItemChange{Was: old, Now: it, What: what})
		}
	}
	d.Moved = !slices.Equal(before, after)
	return d
}

// Would is what l would change as the next version after was, of which it keeps what is said in other languages.
func (l Checklist) Would(was Checklist) ListDifference { return l.after(was).Since(was) }

func (it Item) since(was Item) (what []string) {
	for _, f := range []struct {
		name   string
		differ bool
	}{
		{"text", it.Text != was.Text}, {"texts", !maps.Equal(it.Texts, was.Texts)}, {"required", it.Required != was.Required}, {"evidence", it.Evidence != was.Evidence}, {"may_be_na", it.MayBeNA != was.MayBeNA},
		{"stop_on_fail", it.Stop != was.Stop}, {"stage", it.Stage != was.Stage}, {"role", it.Role != was.Role}, {"phase", it.Phase != was.Phase},
	} {
		if f.differ {
			what = append(what, f.name)
		}
	}
	return what
}

// NewestLists are all lists in their newest version, by name.
func (r *Room) NewestLists(ctx context.Context, closed map[string]bool) (all []ListVersion, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		if all, err = r.newestLists(tx); err != nil {
			return err
		}
		return countRuns(tx, &r.went, all, closed)
	})
	return all, err
}

// newestLists are those lists with no run counted. One that nobody has published yet has neither id nor number.
func (r *Room) newestLists(tx *store.Tx) (all []ListVersion, err error) {
	newest := map[string]ListVersion{}
	for _, name := range slices.AppendSeq(shippedPlaybooks(), maps.Keys(r.Policy.Checklists)) {
		l, is, err := r.unpublished(name)
		if err != nil {
			return nil, err
		}
		if is {
			newest[name] = ListVersion{Checklist: l}
		}
	}
	for rec, err := range checklists.Scan(tx, store.Query{Index: "name"}) {
		if err != nil {
			return nil, err
		}
		newest[rec.Value.Name] = ListVersion{ID: rec.ID, Checklist: rec.Value}
	}
	for _, name := range slices.Sorted(maps.Keys(newest)) {
		all = append(all, newest[name])
	}
	return all, nil
}

// ListVersions are the versions of one list, the newest first.
func (r *Room) ListVersions(ctx context.Context, name string, closed map[string]bool) (all []ListVersion, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		for rec, err := range checklists.Scan(tx, store.Query{Index: "name", Equal: []any{name}, Reverse: true}) {
			if err != nil {
				return err
			}
			all = append(all, ListVersion{ID: rec.ID, Checklist: rec.Value})
		}
		if len(all) > 0 {
			return countRuns(tx, &r.went, all, closed)
		}
		l, is, err := r.unpublished(name)
		if err == nil && !is {
			_, err = newestChecklist(tx, name)
		}
		all = []ListVersion{{Checklist: l}}
		return err
	})
	return all, err
}

// wentBy is the little of a run that is counted.
type wentBy struct {
	list         string
	incident     unique.Handle[string]
	draft, ended bool
}

func (v Run) wentBy() wentBy {
	of, _, _ := strings.Cut(suffix(v.Of), ".") // an incident, or a row or check of one, whose id begins with the incident's
	return wentBy{v.List, unique.Make(incidents.Prefix + "_" + of), v.Draft, !v.EndedAt.IsZero()}
}

// countRuns fills in how many runs went by each version. It walks over all runs, of which it keeps the little that it needs.
func countRuns(tx *store.Tx, kept *store.Kept[wentBy], all []ListVersion, closed map[string]bool) error {
	at := map[string]*ListVersion{}
	for i := range all {
		at[all[i].ID] = &all[i]
	}
	for rec, err := range store.Gists(tx, runs, kept, Run.wentBy, store.Query{}) {
		if err != nil {
			return err
		}
		l := at[rec.Value.list]
		if l == nil || rec.Value.draft || closed[rec.Value.incident.Value()] {
			continue
		}
		l.Runs++
		if !rec.Value.ended {
			l.Open++
		}
	}
	return nil
}
