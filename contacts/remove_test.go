package contacts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

func allKinds() []store.Kind { return slices.Concat(Kinds(), ChangeKinds(), blob.Kinds()) }

// calendar is a clock that a test moves.
type calendar struct {
	mu  sync.Mutex
	now time.Time
}

func (c *calendar) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Millisecond)
	return c.now
}

func (c *calendar) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// office is a book with its changes and a calendar.
type office struct {
	testing.TB
	b *Book
	*calendar
	changes *Changes
}

// offices tells a story about changes on both engines.
func offices(t *testing.T, story func(o *office)) {
	days := map[string]*calendar{}
	clock := func() time.Time { return days["now"].clock() }
	storetest.Each(t, allKinds(), func(t *testing.T, db *store.DB) {
		b := newBook(db)
		story(&office{t, b, days["now"], b.changesForTest()})
	}, storetest.Clock(func() time.Time {
		if days["now"] == nil {
			days["now"] = &calendar{now: day}
		}
		return clock()
	}))
}

func anOffice(t testing.TB) *office {
	cal := &calendar{now: day}
	b := newBook(storetest.Open(t, allKinds(), storetest.Clock(cal.clock)))
	return &office{t, b, cal, b.changesForTest()}
}

func (b *Book) changesForTest() *Changes {
	return &Changes{DB: b.DB, Verbs: b.ChangeVerbs(), Log: slog.New(slog.DiscardHandler)}
}

func input(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func (o *office) propose(verb string, in any, rehearse int) store.Rec[Change] {
	o.Helper()
	rec, err := o.changes.Propose(context.Background(), "stf_ann", Proposal{Verb: verb, Input: input(in), Reason: "they asked", Rehearse: rehearse})
	if err != nil {
		o.Fatalf("propose %s: %v", verb, err)
	}
	return rec
}

func (o *office) approve(rec store.Rec[Change]) {
	o.Helper()
	if _, err := o.changes.Approve(context.Background(), "stf_bob", rec.ID, rec.Value.Digest); err != nil {
		o.Fatalf("approve: %v", err)
	}
}

func (o *office) run(id string, want ChangeState) store.Rec[Change] {
	o.Helper()
	rec, err := o.changes.Run(context.Background(), "stf_ann", id)
	if err != nil || rec.Value.State != want {
		o.Fatalf("run: %s, not %s: %v", rec.Value.State, want, err)
	}
	return rec
}

func (o *office) undo(id string) store.Rec[Change] {
	o.Helper()
	rec, err := o.changes.Undo(context.Background(), "stf_ann", id, "a mistake")
	if err != nil || rec.Value.State != ChangeUndone {
		o.Fatalf("undo: %s: %v", rec.Value.State, err)
	}
	return rec
}

func (o *office) export() string {
	o.Helper()
	var out bytes.Buffer
	if _, err := o.b.Export(context.Background(), &out, FormatJSONLines, nil); err != nil {
		o.Fatal(err)
	}
	return out.String()
}

// log is the audit log, oldest first.
func (o *office) log() (all []store.Row) {
	o.Helper()
	err := o.b.DB.View(context.Background(), func(tx *store.Tx) error {
		rows, _, err := store.AuditRows(tx, store.Query{})
		for _, r := range rows {
			all = append(all, r.Value)
		}
		return err
	})
	if err != nil {
		o.Fatal(err)
	}
	return all
}

// logged finds the newest row of a verb.
func (o *office) logged(verb string) store.Row {
	o.Helper()
	var last store.Row
	for _, r := range o.log() {
		if r.Verb == verb && !r.At.Before(last.At) {
			last = r
		}
	}
	if last.Verb == "" {
		o.Fatalf("the log has no %s", verb)
	}
	return last
}

func (o *office) refused(err error, kind fault.Kind, says string) {
	o.Helper()
	if fault.Of(err) != kind || !strings.Contains(err.Error(), says) {
		o.Errorf("got %v, want %s: %s", err, kind, says)
	}
}

// crowd is n accounts with two sites and three contacts each.
func crowd(n int) string {
	var b strings.Builder
	b.WriteString("account_id,account,site_id,name,email,role\n")
	for i := range n {
		fmt.Fprintf(&b, "A-%d,Firm %d,S-%da,Ann,ann@firm%d.example,owner\n", i, i, i, i)
		fmt.Fprintf(&b, "A-%d,Firm %d,S-%db,Ben,ben@firm%d.example,technical\n", i, i, i, i)
		fmt.Fprintf(&b, "A-%d,Firm %d,,Cleo,cleo@firm%d.example,billing\n", i, i, i)
	}
	return b.String()
}

func ids(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("A-%d", i))
	}
	return all
}

func TestADeletedAccountComesBackAsItWas(t *testing.T) {
	offices(t, func(o *office) {
		ctx := context.Background()
		o.b.mustImport(o, "crm", crowd(3))
		whole, was := o.export(), o.b.view(o, "A-1")
		rec := o.propose("account.delete", Named{IDs: []string{"A-1"}}, 0)
		if c := rec.Value; !c.Alone || c.Counts["account"] != 1 || c.Counts["site"] != 2 || c.Counts["contact"] != 3 {
			o.Fatalf("%+v", rec.Value)
		}
		if o.export() != whole {
			o.Fatal("a proposal changed something")
		}
		done := o.run(rec.ID, ChangeDone)
		// It is gone from every list and search, and says until when it can be brought back.
		if n, _ := o.b.Count(ctx); n != (Counts{2, 4, 6}) {
			o.Errorf("%+v", n)
		}
		for _, q := range []string{"Firm 1", "ann@firm1.example", "A-1", "S-1a"} {
			found, err := o.b.Search(ctx, q, 10)
			if err != nil || slices.ContainsFunc(found.Hits, func(h Hit) bool { return h.Account.ID == was.Account.ID }) {
				o.Errorf("%s is found: %+v, %v", q, found.Hits, err)
			}
		}
		for rec, err := range walk(o, func(tx *store.Tx) []store.Rec[Contact] {
			var all []store.Rec[Contact]
			for rec, err := range o.b.ContactsFrom(tx, "") {
				if err != nil {
					o.Fatal(err)
				}
				all = append(all, rec)
			}
			return all
		}) {
			if err.Value.Account == was.Account.ID {
				o.Errorf("%d: %s is still told of what happens", rec, err.ID)
			}
		}
		until := done.Value.DoneAt.Add(kept).Format(time.DateOnly)
		for _, id := range []string{"A-1", was.Account.ID} {
			_, err := in(o, o.b, func(tx *store.Tx) (store.Rec[Account], error) { return o.b.Account(tx, id) })
			o.refused(err, fault.NotFound, "until "+until)
		}
		_, err := in(o, o.b, func(tx *store.Tx) (store.Rec[Contact], error) { return o.b.Contact(tx, was.Contacts[0].ID) })
		o.refused(err, fault.NotFound, "until "+until)

		if _, err := o.changes.Restore(ctx, "stf_ann", was.Account.ID, "they came back"); err != nil {
			o.Fatal(err)
		}
		if got := o.export(); got != whole {
			o.Errorf("it came back another:\n%s\nwas\n%s", got, whole)
		}
		now := o.b.view(o, "A-1")
		same(o, was.Account, now.Account)
		for i := range was.Contacts {
			same(o, was.Contacts[i], now.Contacts[i])
		}
		for i := range was.Sites {
			same(o, was.Sites[i], now.Sites[i])
		}
		if row := o.logged("change.restore"); row.By != "stf_ann" || !slices.Contains(row.On, was.Account.ID) || row.Reason == "" {
			o.Errorf("%+v", row)
		}
		_, err = o.changes.Restore(ctx, "stf_ann", was.Account.ID, "again")
		o.refused(err, fault.Conflict, "was not deleted")
	})
}

func walk[T any](o *office, read func(*store.Tx) []T) (all []T) {
	if err := o.b.DB.View(context.Background(), func(tx *store.Tx) error { all = read(tx); return nil }); err != nil {
		o.Fatal(err)
	}
	return all
}

func same[T any](o *office, a, b store.Rec[T]) {
	o.Helper()
	was, now := string(input(a.Value)), string(input(b.Value))
	if was != now || a.ID != b.ID || !a.Created.Equal(b.Created) {
		o.Errorf("%s was\n%s\nand is\n%s", a.ID, was, now)
	}
}

func TestWhatWasDeletedIsKeptForAWhileAndThenPurged(t *testing.T) {
	offices(t, func(o *office) {
		ctx := context.Background()
		o.b.mustImport(o, "crm", crowd(2))
		was := o.b.view(o, "A-1")
		purge := Proposal{Verb: "account.purge", Input: input(Named{IDs: []string{was.Account.ID}}), Reason: "they asked to be forgotten"}
		_, err := o.changes.Propose(ctx, "stf_ann", purge)
		o.refused(err, fault.Conflict, "is not deleted")
		done := o.run(o.propose("account.delete", Named{IDs: []string{"A-1"}}, 0).ID, ChangeDone)
		o.pass(kept - time.Hour)
		_, err = o.changes.Propose(ctx, "stf_ann", purge)
		o.refused(err, fault.Conflict, "is kept until "+done.Value.DoneAt.Add(kept).Format(time.DateOnly))
		o.pass(2 * time.Hour)
		_, err = o.changes.Restore(ctx, "stf_ann", was.Account.ID, "too late")
		o.refused(err, fault.Conflict, "could be brought back until")

		rec := o.propose("account.purge", Named{IDs: []string{"A-1"}}, 0)
		_, err = o.changes.Run(ctx, "stf_ann", rec.ID)
		o.refused(err, fault.Forbidden, "a second person")
		_, err = o.changes.Approve(ctx, "stf_ann", rec.ID, rec.Value.Digest)
		o.refused(err, fault.Forbidden, "author")
		o.approve(rec)
		o.run(rec.ID, ChangeDone)
		_, err = o.changes.Undo(ctx, "stf_ann", rec.ID, "a mistake")
		o.refused(err, fault.Conflict, "no way back")
		row := o.logged("account.purge")
		if row.By != "stf_ann" || row.Reason == "" || !slices.Contains(row.On, was.Account.ID) || !slices.Contains(row.On, was.Contacts[0].ID) || !slices.Contains(row.On, rec.ID) {
			o.Errorf("%+v", row)
		}
		for _, id := range append([]string{was.Account.ID, was.Sites[0].ID}, was.Contacts[0].ID) {
			if _, err := in(o, o.b, func(tx *store.Tx) (store.Meta, error) { return metaOf(tx, id) }); fault.Of(err) != fault.NotFound {
				o.Errorf("%s is still there: %v", id, err)
			}
		}
		// Its ids and addresses are free again: the import makes a new account of them.
		r := o.b.mustImport(o, "crm", crowd(2))
		expect(o, r, 6, 3, 0, 3, 0, 0)
		if o.b.view(o, "A-1").Account.ID == was.Account.ID {
			o.Error("the purged account is back")
		}
	})
}

func TestIDsOfAnotherKindAreRefusedAndNothingIsDeleted(t *testing.T) {
	offices(t, func(o *office) {
		ctx := context.Background()
		o.b.mustImport(o, "crm", crowd(2))
		whole, v := o.export(), o.b.view(o, "A-0")
		audits := o.b.audits(o)
		for name, c := range map[string]struct {
			verb string
			ids  []string
			says []string
		}{
			"sites for contacts":    {"contact.delete", []string{v.Contacts[0].ID, v.Sites[0].ID, "S-0b", v.Account.ID, "A-1"}, []string{"ids[1]", "of a site", "ids[2]", "S-0b", "ids[3]", "of an account", "ids[4]"}},
			"contacts for accounts": {"account.delete", []string{"A-0", v.Contacts[0].ID, "S-1a"}, []string{"ids[1]", "of a contact", "ids[2]", "of a site"}},
			"unknown":               {"contact.delete", []string{"con_" + store.NewSuffix(), "nonsense"}, []string{"ids[0]", "ids[1]"}},
			"sites for a purge":     {"contact.purge", []string{v.Sites[0].ID}, []string{"ids[0]", "of a site"}},
		} {
			_, err := o.changes.Propose(ctx, "stf_ann", Proposal{Verb: c.verb, Input: input(Named{IDs: c.ids}), Reason: "clean up"})
			if fault.Of(err) != fault.Invalid {
				o.Errorf("%s: %v", name, err)
				continue
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					o.Errorf("%s does not name %s: %v", name, says, err)
				}
			}
			if strings.Contains(err.Error(), "ids[0]") && c.ids[0] == v.Contacts[0].ID {
				o.Errorf("%s names a good id: %v", name, err)
			}
		}
		if o.export() != whole || o.b.audits(o) != audits {
			o.Error("something was done")
		}
		// The dry run counts, shows a few, masked, and does nothing.
		c, err := o.changes.Preview(ctx, "stf_ann", Proposal{Verb: "account.delete", Input: input(Named{IDs: ids(2)}), Reason: "clean up"})
		if err != nil || c.Counts["account"] != 2 || c.Counts["contact"] != 6 || len(c.Sample) != 10 || c.Alone {
			o.Errorf("%+v, %v", c, err)
		}
		if text := string(input(c.Sample)); strings.Contains(text, "ann@") || !strings.Contains(text, "a…@firm0.example") {
			o.Errorf("the sample is %s", text)
		}
		if o.export() != whole || o.b.audits(o) != audits {
			o.Error("the dry run did something")
		}
	})
}

func TestDeletingManyTakesTwoPeopleARehearsalAndComesBackWhole(t *testing.T) {
	offices(t, func(o *office) {
		ctx := context.Background()
		o.b.mustImport(o, "crm", crowd(12))
		whole := o.export()
		rec := o.propose("account.delete", Named{IDs: ids(12)}, 2)
		_, err := o.changes.Run(ctx, "stf_ann", rec.ID)
		o.refused(err, fault.Forbidden, "a second person")
		_, err = o.changes.Approve(ctx, "stf_ann", rec.ID, rec.Value.Digest)
		o.refused(err, fault.Forbidden, "author")
		_, err = o.changes.Approve(ctx, "stf_bob", rec.ID, "another digest")
		o.refused(err, fault.Invalid, "digest")
		o.approve(rec)

		paused := o.run(rec.ID, ChangePaused)
		if n, _ := o.b.Count(ctx); n.Accounts != 10 || paused.Value.Done != 12 {
			o.Fatalf("the rehearsal left %d accounts after %d steps", n.Accounts, paused.Value.Done)
		}
		o.undo(rec.ID)
		if o.export() != whole {
			o.Fatal("the rehearsal did not come back whole")
		}

		rec = o.propose("account.delete", Named{IDs: ids(12)}, 2)
		o.approve(rec)
		o.run(rec.ID, ChangePaused)
		o.run(rec.ID, ChangeDone)
		if n, _ := o.b.Count(ctx); n != (Counts{}) {
			o.Fatalf("%+v", n)
		}
		// Each row names person, change and approval, and the approval's row the second person.
		row, agreed := o.logged("account.delete"), o.logged("change.approve")
		if row.By != "stf_ann" || row.On[0] != rec.ID || !strings.HasPrefix(row.On[1], "apr_") || agreed.By != "stf_bob" || !slices.Contains(agreed.On, rec.ID) {
			o.Errorf("%+v, %+v", row, agreed)
		}
		// One of them comes back alone, the others with the whole.
		one := ""
		for s := range stepsOf(o, rec.ID) {
			one = s.Of
		}
		if _, err := o.changes.Restore(ctx, "stf_ann", one, "this one was wrong"); err != nil {
			o.Fatal(err)
		}
		if n, _ := o.b.Count(ctx); n != (Counts{1, 2, 3}) {
			o.Errorf("%+v", n)
		}
		o.undo(rec.ID)
		if o.export() != whole {
			o.Error("it did not come back whole")
		}
		if row := o.logged("account.delete.undo"); row.By != "stf_ann" || !slices.Contains(row.On, rec.ID) {
			o.Errorf("%+v", row)
		}
	})
}

func stepsOf(o *office, change string) func(func(Step) bool) {
	all := walk(o, func(tx *store.Tx) []store.Rec[Step] {
		all, err := stepsFrom(tx, change, 0, 0, false)
		if err != nil {
			o.Fatal(err)
		}
		return all
	})
	return func(yield func(Step) bool) {
		for _, s := range all {
			if !yield(s.Value) {
				return
			}
		}
	}
}

// Whatever differs from what the second person read voids her word.
func TestAChangeOfAnyRecordVoidsTheApproval(t *testing.T) {
	o := anOffice(t)
	ctx := context.Background()
	o.b.mustImport(t, "crm", crowd(3))
	rec := o.propose("account.delete", Named{IDs: ids(3)}, 0)
	o.approve(rec)
	o.b.mustImport(t, "crm", "account_id,name,email,phone\nA-2,Cleo,cleo@firm2.example,+4930901820\n")
	whole := o.export()
	_, err := o.changes.Run(ctx, "stf_ann", rec.ID)
	o.refused(err, fault.Conflict, "was changed since")
	if now, _ := o.changes.Change(ctx, rec.ID); now.Value.State != ChangeVoid || o.export() != whole {
		t.Errorf("%+v", now.Value)
	}
	// A contact more is a change as well, and the approval itself is refused once it is too late.
	rec = o.propose("account.delete", Named{IDs: ids(3)}, 0)
	o.b.mustImport(t, "crm", "account_id,name,email\nA-2,Dan,dan@firm2.example\n")
	_, err = o.changes.Approve(ctx, "stf_bob", rec.ID, rec.Value.Digest)
	o.refused(err, fault.Conflict, "was changed since")
	rec = o.propose("account.delete", Named{IDs: ids(3)}, 0)
	o.pass(8 * 24 * time.Hour)
	if err := o.changes.Keep(ctx); err != nil {
		t.Fatal(err)
	}
	if now, _ := o.changes.Change(ctx, rec.ID); now.Value.State != ChangeExpired {
		t.Errorf("%+v", now.Value)
	}
}

// A process that dies in the middle leaves a change that the next one ends, forth and back.
func TestAChangeThatWasInterruptedGoesOn(t *testing.T) {
	offices(t, func(o *office) {
		ctx := context.Background()
		o.b.mustImport(o, "crm", crowd(30))
		whole := o.export()
		halfway := func(id string, state ChangeState) {
			o.Helper()
			if rec, err := o.changes.batch(ctx, id); err != nil || rec.Value.State != state || rec.Value.Done == 0 || rec.Value.Done == rec.Value.Steps {
				o.Fatalf("not halfway: %+v, %v", rec.Value, err)
			}
		}
		next := func(id string, want ChangeState) {
			o.Helper()
			o.pass(time.Minute)
			if err := o.b.changesForTest().Keep(ctx); err != nil {
				o.Fatal(err)
			}
			if rec, _ := o.changes.Change(ctx, id); rec.Value.State != want {
				o.Fatalf("%+v", rec.Value)
			}
		}
		rec := o.propose("account.delete", Named{IDs: ids(30)}, 0)
		o.approve(rec)
		if _, err := o.changes.start(ctx, "stf_ann", rec.ID); err != nil {
			o.Fatal(err)
		}
		halfway(rec.ID, ChangeRunning)
		next(rec.ID, ChangeDone)
		if n, _ := o.b.Count(ctx); n != (Counts{}) {
			o.Fatalf("%+v", n)
		}
		if _, err := o.changes.turn(ctx, "stf_ann", rec.ID, "a mistake"); err != nil {
			o.Fatal(err)
		}
		halfway(rec.ID, ChangeUndoing)
		next(rec.ID, ChangeUndone)
		if o.export() != whole {
			o.Error("it did not come back whole")
		}
	})
}

// A record that somebody changes while a change runs stops it; what was done can be undone.
func TestAChangeStopsAtARecordThatWasChangedMeanwhile(t *testing.T) {
	o := anOffice(t)
	ctx := context.Background()
	o.b.mustImport(t, "crm", crowd(30))
	rec := o.propose("account.delete", Named{IDs: ids(30)}, 0)
	o.approve(rec)
	if _, err := o.changes.start(ctx, "stf_ann", rec.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := o.changes.batch(ctx, rec.ID); err != nil {
		t.Fatal(err)
	}
	o.b.mustImport(t, "crm", "account_id,name,email,phone\nA-29,Cleo,cleo@firm29.example,+4930901820\n")
	_, err := o.changes.Run(ctx, "stf_ann", rec.ID)
	o.refused(err, fault.Conflict, "was changed meanwhile")
	if now, _ := o.changes.Change(ctx, rec.ID); now.Value.State != ChangeStopped || now.Value.Note == "" {
		t.Fatalf("%+v", now.Value)
	}
	o.undo(rec.ID)
	if n, _ := o.b.Count(ctx); n != (Counts{30, 60, 90}) {
		t.Errorf("%+v", n)
	}
	if people := o.b.view(t, "A-29").Contacts; len(person(t, View{Contacts: people}, "cleo@firm29.example").Value.Phones) != 1 {
		t.Error("the undo took more back than the change had done")
	}
}

// An import that still names what was deleted is told so; it neither brings it back nor makes it twice.
func TestAnImportIsToldWhatWasDeleted(t *testing.T) {
	for name, c := range map[string]struct{ before, row, says string }{
		"account":           {"", "A-1,Firm 1,,,,\n", "account_id names an account that was deleted on"},
		"account's contact": {"", "A-1,Firm 1,,Cleo,cleo@firm1.example,\n", "account_id names an account that was deleted on"},
	} {
		t.Run(name, func(t *testing.T) {
			o := anOffice(t)
			o.b.mustImport(t, "crm", crowd(2))
			o.run(o.propose("account.delete", Named{IDs: []string{"A-1"}}, 0).ID, ChangeDone)
			r := o.b.mustImport(t, "crm", "account_id,account,site_id,name,email,phone\n"+c.row)
			expect(t, r, 1, 0, 0, 0, 0, 1)
			if got := r.Rejected[0].Field + " " + r.Rejected[0].Reason; !strings.Contains(got, c.says) {
				t.Error(got)
			}
		})
	}
	const header = "account_id,account,name,email,phone\n"
	for name, c := range map[string]struct{ before, row, says string }{
		"by e-mail":            {"A,Acme,Ann,ann@x.example,\n", "A,Acme,Ann,ANN@x.example,\n", "email is that of a contact who was deleted on"},
		"by e-mail of two":     {"A,Acme,Ann,ann@x.example,\nA,Acme,Bob,bob@x.example,\n", "A,Acme,Bob,bob@x.example;ann@x.example,\n", "email is that of a contact who was deleted on"},
		"by phone and name":    {"A,Acme,Ann,,+4930901820\n", "A,Acme,Ann,,+4930901820\n", "phone is that of a contact who was deleted on"},
		"by name alone":        {"A,Acme,Ann,ann@x.example,\n", "A,Acme,Ann,,\n", "name is that of a contact who was deleted on"},
		"a colleague's phone":  {"A,Acme,Ann,ann@x.example,+4930901820\n", "A,Acme,Eve,eve@x.example,+4930901820\n", ""},
		"somebody of the name": {"A,Acme,Ann,ann@x.example,\n", "A,Acme,Ann,ann2@x.example,\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := anOffice(t)
			o.b.mustImport(t, "crm", header+c.before)
			ann := ""
			for _, p := range o.b.view(t, "A").Contacts {
				if p.Value.Name == "Ann" {
					ann = p.ID
				}
			}
			o.run(o.propose("contact.delete", Named{IDs: []string{ann}}, 0).ID, ChangeDone)
			before, _ := o.b.Count(context.Background())
			r := o.b.mustImport(t, "crm", header+c.row)
			after, _ := o.b.Count(context.Background())
			if c.says == "" {
				if r.RejectedRows > 0 || after.Contacts != before.Contacts+1 {
					t.Errorf("%+v", r)
				}
				return
			}
			if r.RejectedRows != 1 || after != before || !strings.Contains(r.Rejected[0].Field+" "+r.Rejected[0].Reason, c.says) {
				t.Errorf("%+v, %+v", r, after)
			}
		})
	}
	t.Run("an account by its name", func(t *testing.T) {
		o := anOffice(t)
		o.b.mustImport(t, "crm", "account,name,email\nAcme,Ann,ann@x.example\n")
		page, _, _ := o.b.Accounts(context.Background(), store.Query{})
		o.run(o.propose("account.delete", Named{IDs: []string{page[0].ID}}, 0).ID, ChangeDone)
		r := o.b.mustImport(t, "crm", "account,name,email\nAcme,Ann,ann@x.example\n")
		expect(t, r, 1, 0, 0, 0, 0, 1)
		expect(t, o.b.mustImport(t, "outreach", "account,name,email\nAcme,Ann,ann@x.example\n"), 1, 1, 0, 0, 0, 0) // another's Acme
	})
}

// A long change goes on behind the answer: it can be paused on the way, gone on with and taken back, and a step is done once however many carry it.
func TestALongChangeGoesOnBehindTheAnswer(t *testing.T) {
	o := anOffice(t)
	ctx := context.Background()
	var list strings.Builder
	list.WriteString("account,account_id\n")
	for i := range atOnce + 5 {
		fmt.Fprintf(&list, "Customer %d,A-%d\n", i, i)
	}
	if _, err := o.b.Import(ctx, "stf_test", strings.NewReader(list.String()), ImportOptions{Source: "billing", Format: FormatCSV}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i := range atOnce + 5 {
		ids = append(ids, fmt.Sprintf("A-%d", i))
	}
	was := o.export()
	rec := o.propose("account.delete", Named{IDs: ids}, 0)
	o.approve(rec)
	o.changes.Behind = make(chan string, 1)
	o.run(rec.ID, ChangeRunning)
	if got, err := o.changes.Change(ctx, rec.ID); err != nil || got.Value.Done != 0 {
		t.Fatalf("%d steps were done before the answer: %v", got.Value.Done, err)
	}
	if id := <-o.changes.Behind; id != rec.ID {
		t.Fatalf("%s waits", id)
	}
	if paused, err := o.changes.Pause(ctx, "stf_ann", rec.ID); err != nil || paused.Value.State != ChangePaused {
		t.Fatalf("%+v %v", paused.Value, err)
	}
	if _, err := o.changes.Pause(ctx, "stf_ann", rec.ID); fault.Of(err) != fault.Conflict {
		t.Errorf("paused twice: %v", err)
	}
	o.changes.GoOn(ctx, rec.ID)
	if got, err := o.changes.Change(ctx, rec.ID); err != nil || got.Value.Done != 0 || got.Value.State != ChangePaused {
		t.Fatalf("a paused change went on: %+v %v", got.Value, err)
	}
	o.run(rec.ID, ChangeRunning)
	var carriers sync.WaitGroup
	for range 2 {
		carriers.Go(func() { o.changes.GoOn(ctx, rec.ID) })
	}
	carriers.Wait()
	if got, err := o.changes.Change(ctx, rec.ID); err != nil || got.Value.Done != len(ids) || got.Value.State != ChangeDone {
		t.Fatalf("%d of %d, %s: %v", got.Value.Done, len(ids), got.Value.State, err)
	}
	<-o.changes.Behind
	if back, err := o.changes.Undo(ctx, "stf_ann", rec.ID, "a mistake"); err != nil || back.Value.State != ChangeUndoing {
		t.Fatalf("%s: %v", back.Value.State, err)
	}
	o.changes.GoOn(ctx, <-o.changes.Behind)
	if now := o.export(); now != was {
		t.Error("what was taken back is not as it was")
	}
	// Where too many wait it is found by whoever looks after changes.
	again := o.propose("account.delete", Named{IDs: ids}, 0)
	o.approve(again)
	o.changes.Behind = make(chan string)
	o.run(again.ID, ChangeRunning)
	o.pass(2 * abandoned)
	if err := o.changes.Keep(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := o.changes.Change(ctx, again.ID); err != nil || got.Value.State != ChangeDone {
		t.Errorf("%s: %v", got.Value.State, err)
	}
}
