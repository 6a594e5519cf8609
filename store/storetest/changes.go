package storetest

import (
	"slices"
	"strings"
	"testing"

	"lifeline/store"
)

// watched is a kind whose changes are followed; plain's are not.
var watched = store.Kind{Name: "watched", Prefix: "wat", Schema: 1, Composed: true, Followed: true}

func openWatched(t *testing.T, e store.Engine) bare {
	t.Helper()
	if _, err := e.Migrate(t.Context(), []store.Kind{plain, watched}, false); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	return bare{e, t}
}

func watch(id string, was int64) store.Write {
	w := put(id, was, "", "")
	w.Kind, w.Tuples = watched.Name, nil
	return w
}

// changes asks what changed, and wants these ids.
func (e bare) changes(since string, want ...string) (next string) {
	e.t.Helper()
	c, err := e.Changes(e.t.Context(), since)
	slices.Sort(c.IDs)
	if err != nil || c.Lost || !slices.Equal(c.IDs, want) {
		e.t.Errorf("since %q: %q, lost %v, %v; want %q", since, c.IDs, c.Lost, err, want)
	}
	return c.Next
}

// begin is the first mark, before which nothing is known.
func (e bare) begin() string {
	e.t.Helper()
	c, err := e.Changes(e.t.Context(), "")
	if err != nil || !c.Lost || c.Next == "" || len(c.IDs) > 0 {
		e.t.Fatalf("the first mark: %+v, %v", c, err)
	}
	return c.Next
}

var changeTests = []test{
	{"what is put, marked as deleted or removed is told once", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openWatched(t, fresh(t))
		e.mustWrite(watch("wat_before", 0))
		mark := e.begin()
		mark = e.changes(mark)
		e.mustWrite(watch("wat_a", 0), watch("wat_b", 0), put("pln_a", 0, "x", ""))
		e.mustWrite(watch("wat_a", 1))
		mark = e.changes(mark, "wat_a", "wat_b")
		mark = e.changes(mark)
		gone := watch("wat_a", 2)
		gone.Deleted = created
		away := watch("wat_b", 1)
		away.Remove = true
		e.mustWrite(gone, away)
		e.changes(mark, "wat_a", "wat_b")
		e.changes(mark, "wat_a", "wat_b") // the same question has the same answer
	}},
	{"what was refused is no change", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openWatched(t, fresh(t))
		mark := e.begin()
		e.wantWrite(store.ErrConflict, watch("wat_a", 7))
		e.changes(mark)
	}},
	{"a mark that says nothing is lost", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openWatched(t, fresh(t))
		for _, mark := range []string{"nonsense", "99999999", "9:9:"} {
			if c, err := e.Changes(t.Context(), mark); err != nil || !c.Lost || c.Next == "" {
				t.Errorf("%q: %+v, %v", mark, c, err)
			}
		}
	}},
}

func lateChange(t *testing.T, another func() store.Engine) {
	a, b := openWatched(t, another()), openWatched(t, another())
	mark := a.begin()
	began, seen := make(chan struct{}), make(chan string)
	late, told := make(chan error, 1), false
	go func() {
		late <- b.Update(t.Context(), func(s store.Snapshot) (store.Writes, error) {
			if _, err := s.Get(watched.Name, "wat_none"); err == nil {
				t.Error("there is one")
			}
			if !told { // the transaction has its snapshot; when it runs again nobody waits
				told = true
				began <- struct{}{}
				<-seen
			}
			return store.Writes{watch("wat_late", 0)}, nil
		})
	}()
	<-began
	a.mustWrite(watch("wat_early", 0))
	mark = a.changes(mark, "wat_early")
	close(seen)
	if err := <-late; err != nil {
		t.Fatal(err)
	}
	mark = a.changes(mark, "wat_late")
	a.changes(mark)
	if strings.Contains(mark, "wat") {
		t.Errorf("a mark names records: %q", mark)
	}
}
