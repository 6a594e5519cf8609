package contacts

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// finds collects what the book finds.
func (b *Book) finds() *[]Finding {
	var all []Finding
	b.Found = func(tx *store.Tx, f Finding) error {
		tx.After(func() { all = append(all, f) })
		return nil
	}
	return &all
}

func what(all []Finding) (names []string) {
	for _, f := range all {
		name := f.What
		if f.Over {
			name += " over"
		}
		names = append(names, name)
	}
	return names
}

// customers is a file of n accounts with a site and a contact each.
func customers(n int, more func(i int) string) string {
	var text strings.Builder
	text.WriteString("account_id,site_id,name,email,role\n")
	for i := range n {
		fmt.Fprintf(&text, "A%d,S%d,P%d,p%d@x.example%s,owner\n", i, i, i, i, more(i))
	}
	return text.String()
}

func noMore(int) string { return "" }

func (b *Book) snapshot(t testing.TB, source, text string) Report {
	t.Helper()
	r, err := b.Import(context.Background(), "tok_sync", strings.NewReader(text), ImportOptions{Source: source, Snapshot: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestASnapshotThatLeavesRecordsOutRemovesNothing(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		found := b.finds()
		all := customers(50, noMore)
		lines := strings.SplitAfter(all, "\n")
		without := func(skip ...int) string { // 0 is the header
			var kept []string
			for i, l := range lines {
				if !slices.Contains(skip, i) {
					kept = append(kept, l)
				}
			}
			return strings.Join(kept, "")
		}
		b.snapshot(t, "product", all)
		before, _ := b.Count(context.Background())
		audits := b.audits(t)
		if r := b.snapshot(t, "product", all); r.Missing != 0 || b.audits(t) != audits || !slices.Equal(what(*found), []string{"contacts_shrunk over", "contacts_shrunk over"}) {
			t.Fatalf("the same snapshot again: %+v, %v", r, what(*found))
		}
		*found = nil
		// One site, its account and its contact are left out: two percent, but a site is a site.
		if r := b.snapshot(t, "product", without(7)); r.Missing != 3 || r.Unchanged != 49 {
			t.Fatalf("%+v", r)
		}
		if len(*found) != 1 || (*found)[0].What != Shrunk || (*found)[0].Count != 3 || (*found)[0].Source != "product" || (*found)[0].Propose {
			t.Fatalf("found %+v", *found)
		}
		for _, id := range (*found)[0].Sample {
			if _, ours := kindOf(id, Kinds()); !ours {
				t.Errorf("%q is no id", id)
			}
		}
		// It is found once: the next such snapshot leaves out nothing that was there before.
		*found = nil
		if r := b.snapshot(t, "product", without(7)); r.Missing != 0 || !slices.Equal(what(*found), []string{"contacts_shrunk over"}) {
			t.Errorf("%+v %v", r, what(*found))
		}
		// A fifth of the sites vanishes at once: perhaps an incident.
		*found = nil
		b.snapshot(t, "product", without(7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19))
		if !slices.Equal(what(*found), []string{"contacts_shrunk", "sites_vanished"}) || !(*found)[1].Propose || (*found)[1].Count != 10 {
			t.Errorf("found %+v", *found)
		}
		if after, _ := b.Count(context.Background()); after != before {
			t.Errorf("before %+v, after %+v", before, after)
		}
		s := person(t, b.view(t, "A9"), "p9@x.example").Value
		if s.Sources[0].Missing.IsZero() || !s.Approved() {
			t.Errorf("she is not marked, or lost her role: %+v", s)
		}
		// What comes back is there again; another source's snapshot says nothing about this one's.
		b.snapshot(t, "product", all)
		if s := person(t, b.view(t, "A9"), "p9@x.example").Value; !s.Sources[0].Missing.IsZero() {
			t.Error("still marked though it was named again")
		}
		*found = nil
		if r := b.snapshot(t, "billing", without(7, 10)); r.Missing != 0 || len(what(*found)) != 1 {
			t.Errorf("billing: %+v %v", r, *found)
		}
	})
}

// A snapshot with rows that cannot be read may have named anything in them.
func TestRejectedRowsOfASnapshotAreNotMissing(t *testing.T) {
	b := one(t)
	found := b.finds()
	all := customers(30, noMore)
	b.snapshot(t, "product", all)
	*found = nil
	r := b.snapshot(t, "product", strings.Replace(all, "p3@x.example", "nonsense", 1))
	if r.RejectedRows != 1 || r.Missing != 3 || slices.Contains(what(*found), Shrunk+" over") {
		t.Errorf("%+v %v", r, what(*found))
	}
	if s := person(t, b.view(t, "A3"), "p3@x.example").Value; !s.Sources[0].Missing.IsZero() {
		t.Error("marked as missing although a row could not be read")
	}
}

func TestManySitesThatVanishAreFound(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		found := b.finds()
		b.mustImport(t, "product", customers(400, noMore))
		for i := range 12 { // reported one by one, within the hour
			if _, err := b.ProductEvent(context.Background(), "tok_p", Event{Type: SiteDeleted, SiteIDs: []string{fmt.Sprintf("S%d", i)}}); err != nil {
				t.Fatal(err)
			}
			want := 0
			if i >= 3 { // the fourth is one percent of all sites
				want = i - 2
			}
			if len(*found) != want {
				t.Fatalf("after %d: %+v", i+1, *found)
			}
		}
		last := (*found)[len(*found)-1]
		if last.What != SitesVanished || !last.Propose || last.Count != 12 || last.Source != "product" {
			t.Errorf("%+v", last)
		}
		*found = nil
		if _, err := b.ProductEvent(context.Background(), "tok_p", Event{Type: SiteDeleted, SiteIDs: []string{"S0", "S1"}}); err != nil || len(*found) > 0 {
			t.Errorf("nothing new: %+v, %v", *found, err)
		}
	})
}

func TestWhatCountsAsMany(t *testing.T) {
	g := defaultGuard()
	for _, c := range []struct {
		vanished, all int
		want          bool
	}{{1, 1, false}, {2, 2, false}, {3, 3, true}, {3, 300, true}, {3, 301, false}, {9, 1000, false}, {10, 400_000, true}} {
		if g.many(c.vanished, c.all) != c.want {
			t.Errorf("%d of %d: not %v", c.vanished, c.all, c.want)
		}
	}
	for _, c := range []struct {
		missing, named, sites int
		want                  bool
	}{{0, 0, 0, false}, {5, 100, 0, false}, {6, 100, 0, true}, {1, 1000, 1, true}, {-3, 100, -3, false}} {
		if g.shrunk(c.missing, c.named, c.sites) != c.want {
			t.Errorf("%+v", c)
		}
	}
	for _, c := range []struct {
		added, all int
		want       bool
	}{{20, 50, false}, {21, 50, true}, {100, 10_000, false}, {101, 10_000, true}} {
		if g.poisoned(c.added, c.all) != c.want {
			t.Errorf("%+v", c)
		}
	}
}

// An intruder in the product gives every contact an address of his own: nothing is written until somebody else agrees to this very file.
func TestAPoisonedImportWaitsForASecondPerson(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		ctx := context.Background()
		b.Spool = t.TempDir()
		b.Changes = &Changes{DB: b.DB, Verbs: []Verb{b.ImportVerb()}, Log: b.Log}
		if r := b.mustImport(t, "product", customers(60, noMore)); r.Waiting != nil || r.Created != 60 {
			t.Fatalf("a first import waits: %+v", r)
		}
		poisoned := customers(60, func(i int) string { return fmt.Sprintf(";evil%d@bad.example", i) })
		few := customers(60, func(i int) string { return map[bool]string{true: fmt.Sprintf(";second%d@x.example", i)}[i < 20] })
		if r := b.mustImport(t, "product", few); r.Waiting != nil || r.Updated != 20 {
			t.Fatalf("twenty addresses: %+v", r)
		}
		if r := b.mustImport(t, "product", few); r.Waiting != nil || r.Unchanged != 60 {
			t.Fatalf("the same again: %+v", r)
		}
		// What a source brings drop by drop counts together for a day; another source has its own.
		drop := "account_id,email,role\nA7,drop@bad.example,owner\n"
		if r := b.mustImport(t, "product", drop); r.Waiting == nil || r.Waiting.Addresses != 1 || r.Waiting.Before != 20 {
			t.Fatalf("one more: %+v", r)
		}
		if r := b.mustImport(t, "crm", strings.Replace(drop, "drop@", "crm@", 1)); r.Waiting != nil {
			t.Fatalf("of another source: %+v", r)
		}
		day := b.Policy.Guard.ChangedWithin
		b.Policy.Guard.ChangedWithin = time.Nanosecond // it is over
		if r := b.mustImport(t, "product", drop); r.Waiting != nil || r.Created != 1 {
			t.Fatalf("a day later: %+v", r)
		}
		b.Policy.Guard.ChangedWithin = day
		audits := b.audits(t)
		send := func(by, text string) Report {
			t.Helper()
			r, err := b.Import(ctx, by, strings.NewReader(text), ImportOptions{Source: "product"})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		r := send("tok_sync", poisoned)
		w := r.Waiting
		if w == nil || w.Addresses != 60 || w.Of != 82 || len(w.Sample) != MaxSample || r.Rows != 0 || w.Sample[0].Says != "also e…@bad.example" {
			t.Fatalf("%+v %+v", r, w)
		}
		dry, err := b.Import(ctx, "tok_sync", strings.NewReader(poisoned), ImportOptions{Source: "product", DryRun: true})
		if err != nil || dry.Updated != 60 || dry.Waiting == nil || dry.Waiting.Addresses != 60 || dry.Waiting.Of != 82 || dry.Waiting.Change != "" {
			t.Fatalf("a dry run does not say that it would wait: %+v %+v, %v", dry, dry.Waiting, err)
		}
		if dry, err := b.Import(ctx, "tok_sync", strings.NewReader(customers(60, noMore)), ImportOptions{Source: "product", DryRun: true}); err != nil || dry.Waiting != nil {
			t.Fatalf("nothing new would wait: %+v, %v", dry.Waiting, err)
		}
		if again := send("tok_sync", poisoned); again.Waiting == nil || again.Waiting.Change != w.Change {
			t.Fatalf("sent again it asks again: %+v", again.Waiting)
		}
		if b.audits(t) != audits+1 { // the proposal
			t.Errorf("%d audit rows", b.audits(t)-audits)
		}
		change, err := b.Changes.Change(ctx, w.Change)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Changes.Approve(ctx, "tok_sync", w.Change, change.Value.Digest); fault.Of(err) != fault.Forbidden {
			t.Fatalf("approved by who sent it: %v", err)
		}
		if _, err := b.Changes.Approve(ctx, "stf_bea", w.Change, change.Value.Digest); err != nil {
			t.Fatal(err)
		}
		// Another file, be it by a byte, is another question.
		if other := send("tok_sync", strings.Replace(poisoned, "evil7@", "evil8x@", 1)); other.Waiting == nil || other.Waiting.Change == w.Change {
			t.Fatalf("%+v", other.Waiting)
		}
		if r := send("tok_sync", poisoned); r.Waiting != nil || r.Updated != 60 {
			t.Fatalf("approved, and: %+v", r)
		}
		if r := send("tok_sync", poisoned); r.Waiting != nil || r.Unchanged != 60 {
			t.Errorf("the approved file again: %+v", r)
		}
		if left, err := os.ReadDir(b.Spool); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

// A file that waits is kept: whichever replica comes first imports it once it was let through, and once; a no, or a source's next file, keeps nothing.
func TestAFileThatWaitsIsKeptUntilItIsLetThrough(t *testing.T) {
	b := one(t)
	ctx := context.Background()
	b.Changes = &Changes{DB: b.DB, Verbs: []Verb{b.ImportVerb()}, Log: b.Log}
	another := newBook(b.DB) // which never saw the file
	another.Changes = b.Changes
	b.mustImport(t, "product", customers(60, noMore))
	evil := func(name string) string {
		return customers(60, func(i int) string { return fmt.Sprintf(";%s%d@bad.example", name, i) })
	}
	let := func(w *Waiting) {
		t.Helper()
		change, err := b.Changes.Change(ctx, w.Change)
		if err == nil {
			_, err = b.Changes.Approve(ctx, "stf_bea", w.Change, change.Value.Digest)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	run := func(w *Waiting) (note string, held bool) {
		t.Helper()
		if err := another.RunHeld(ctx, "another"); err != nil {
			t.Fatal(err)
		}
		change, err := b.Changes.Change(ctx, w.Change)
		if err != nil {
			t.Fatal(err)
		}
		if held, err = another.Held(ctx, w.Change); err != nil {
			t.Fatal(err)
		}
		return change.Value.Note, held
	}
	w := b.mustImport(t, "product", evil("evil")).Waiting
	if w == nil || !w.Held {
		t.Fatalf("%+v", w)
	}
	if next := b.mustImport(t, "product", evil("next")).Waiting; next == nil || next.Held || next.Change == w.Change {
		t.Fatalf("a second file of the source: %+v", next)
	}
	if same := b.mustImport(t, "product", evil("evil")).Waiting; same == nil || !same.Held || same.Change != w.Change {
		t.Fatalf("the same again: %+v", same)
	}
	let(w)
	if note, held := run(w); note != "" || !held {
		t.Fatalf("imported before it was run: %q, %v", note, held)
	}
	if _, err := b.Changes.Run(ctx, "stf_ann", w.Change); err != nil {
		t.Fatal(err)
	}
	audits := b.audits(t)
	if note, held := run(w); !strings.HasPrefix(note, "imported: 60 rows") || !strings.Contains(note, "60 changed") || held {
		t.Fatalf("%q, %v", note, held)
	}
	if b.audits(t) == audits {
		t.Error("the import left no audit row")
	}
	audits = b.audits(t)
	if _, held := run(w); held || b.audits(t) != audits {
		t.Error("it was imported twice")
	}
	if r := b.mustImport(t, "product", evil("evil")); r.Waiting != nil || r.Unchanged != 60 {
		t.Errorf("%+v", r)
	}

	// Whoever says no keeps nothing, and whoever said yes to less is asked again.
	no := b.mustImport(t, "crm", evil("no")).Waiting
	if _, err := b.Changes.Refuse(ctx, "stf_bea", no.Change, "who is that?"); err != nil {
		t.Fatal(err)
	}
	b.due(t, no)
	if _, held := run(no); held {
		t.Error("a refused file is kept")
	}
	less := b.mustImport(t, "crm", evil("less")).Waiting
	let(less)
	b.do(t, func(tx *store.Tx) error { // what was approved was less than the file adds by now
		rec, err := read(tx, less.Change)
		if err != nil {
			return err
		}
		rec.Value.Input = bytes.Replace(rec.Value.Input, []byte(`"addresses":60`), []byte(`"addresses":40`), 1)
		rec.Value.State, rec.Value.RunBy = ChangeDone, "stf_ann"
		return changes.Put(tx, rec.ID, rec.Value, rec.Version)
	})
	b.due(t, less)
	if note, held := run(less); !strings.Contains(note, "more than were approved; asked again as chg_") || held {
		t.Errorf("%q, %v", note, held)
	}
}

// due lets the file of a change be looked at now.
func (b *Book) due(t *testing.T, w *Waiting) {
	t.Helper()
	b.do(t, func(tx *store.Tx) error { return release(tx, w.Change) })
}

// A proposal that somebody wrote by hand, with kinder figures than the file's, lets nothing through.
func TestAForgedProposalLetsNoImportThrough(t *testing.T) {
	b := one(t)
	ctx := context.Background()
	b.Changes = &Changes{DB: b.DB, Verbs: []Verb{b.ImportVerb()}, Log: b.Log}
	b.mustImport(t, "product", customers(30, noMore))
	poisoned := customers(30, func(i int) string { return fmt.Sprintf(";evil%d@bad.example", i) })
	r := b.mustImport(t, "product", poisoned)
	forged := fmt.Sprintf(`{"digest":%q,"source":"product","snapshot":false,"addresses":1,"sample":[]}`, r.Waiting.Digest)
	rec, err := b.Changes.Propose(ctx, "tok_evil", Proposal{Verb: VerbImport, Input: []byte(forged), Reason: "one address"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Changes.Approve(ctx, "stf_bea", rec.ID, rec.Value.Digest); err != nil {
		t.Fatal(err)
	}
	if r := b.mustImport(t, "product", poisoned); r.Waiting == nil {
		t.Error("it ran on a forged proposal")
	}
	b.Changes = nil
	if _, err := b.Import(ctx, "tok_sync", strings.NewReader(poisoned), ImportOptions{Source: "product"}); fault.Of(err) != fault.Unavailable {
		t.Errorf("where nobody can approve: %v", err)
	}
}

// Into a book that holds people a file goes whole or not at all as far as its form goes; a failed check stops it before the first write.
func TestNothingIsWrittenBeforeTheFileWasRead(t *testing.T) {
	b := one(t)
	ctx := context.Background()
	b.mustImport(t, "crm", "account_id,email\nA,a@x.example\n")
	before, audits := b.view(t, "A").Account.Version, b.audits(t)
	cut := io.MultiReader(strings.NewReader(customers(450, noMore)), &brokenOff{})
	if r, err := b.Import(ctx, "tok", cut, ImportOptions{Source: "crm"}); err == nil || r.Rows != 0 {
		t.Errorf("a body that breaks off: %+v, %v", r, err)
	}
	b.Policy.MaxImport = 1000
	if _, err := b.Import(ctx, "tok", strings.NewReader(customers(100, noMore)), ImportOptions{Source: "crm"}); fault.Of(err) != fault.TooLarge {
		t.Errorf("too large: %v", err)
	}
	no := fault.New(fault.Forbidden, "the signature is not right")
	if _, err := b.Import(ctx, "tok", strings.NewReader(customers(5, noMore)), ImportOptions{Source: "crm", Check: func() error { return no }}); err != no {
		t.Errorf("the check: %v", err)
	}
	if n, _ := b.Count(ctx); n.Accounts != 1 || b.view(t, "A").Account.Version != before || b.audits(t) != audits {
		t.Errorf("something was written: %+v", n)
	}
	// The check comes before the first write into an empty book, too.
	empty := one(t)
	if _, err := empty.Import(ctx, "tok", strings.NewReader(customers(5, noMore)), ImportOptions{Source: "crm", Check: func() error { return no }}); err != no {
		t.Error(err)
	}
	if n, _ := empty.Count(ctx); n != (Counts{}) {
		t.Errorf("%+v", n)
	}
	if _, err := b.Import(ctx, "tok", strings.NewReader("account\nx\n"), ImportOptions{Source: "staff"}); fault.Of(err) != fault.Invalid {
		t.Errorf("a file that calls itself staff: %v", err)
	}
}

type brokenOff struct{}

func (*brokenOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestASpoolIsSealedAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := newSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	text := strings.Repeat("ann@acme.example\n", 10_000)
	if _, err := io.Copy(s, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	back, err := s.again()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(back)
	if err != nil || string(got) != text {
		t.Fatalf("%d bytes back of %d: %v", len(got), len(text), err)
	}
	raw := make([]byte, len(text))
	if _, err := s.file.ReadAt(raw, 0); err != nil || bytes.Contains(raw, []byte("acme")) {
		t.Errorf("readable on the disk, or unread: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
