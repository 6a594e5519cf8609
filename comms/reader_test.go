package comms

import (
	"context"
	"strings"
	"testing"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

// Who says that she has read an update is counted once and keeps her first time; who did nothing stays on the list from which calls are owed, and the call ends by itself once she
// says so. Nothing of what became of her message changes by it, and all sums stay the audience.
func TestWhoHasReadAddsUpToTheAudience(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	ctx := context.Background()
	w.people(3)
	w.start(outbox(w.Room, mails(), texts()))
	update, notice := w.publish()
	w.done(update)
	who := map[string]string{} // contacts by the first part of their addresses
	refs := map[string]string{}
	for id, d := range w.deliveries(notice) {
		if k, err := parseKey(id); err == nil && k.Channel == ChannelEmail {
			name, _, _ := strings.Cut(d.Address, "@")
			who[name], refs[name] = "con_"+k.Contact, id
		}
	}
	toRead := func(name string) (out *ToRead) {
		t.Helper()
		if err := w.DB.View(ctx, func(tx *store.Tx) (err error) {
			out, err = w.ToRead(tx, w.incident, who[name], "")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	says := func(name, update string) error { return w.Acknowledge(ctx, w.incident, who[name], update) }
	before := w.deliveries(notice)[refs["owner0001"]]
	for range 2 {
		if err := w.NoteOpened(ctx, *toRead("owner0000")); err != nil {
			t.Fatal(err)
		}
		if err := says("owner0001", update); err != nil {
			t.Fatal(err)
		}
	}
	if err := says("tech0001", update); err != nil {
		t.Fatal(err)
	}
	first := toRead("owner0001").Acknowledged
	if err := w.Callback(ctx, refs["owner0001"], "", Delivered, ""); err != nil { // the provider's word comes late
		t.Fatal(err)
	}
	after := w.deliveries(notice)[refs["owner0001"]]
	if after.State != Delivered || !after.Acknowledged.Equal(first) || before.State != Sent || after.Address != before.Address {
		t.Errorf("%+v became %+v", before, after)
	}
	if err := says("owner0002", ""); fault.Of(err) != fault.NotFound {
		t.Errorf("who names no update says something: %v", err)
	}

	reach := w.audit(update)
	if reach.Read != (Readers{Acknowledged: 2, Opened: 1, Neither: 3}) || reach.ReadApproved != (Readers{Acknowledged: 1, Opened: 1, Neither: 1}) || reach.Audience.People != 6 {
		t.Errorf("of %d people: %+v, approved %+v", reach.Audience.People, reach.Read, reach.ReadApproved)
	}
	list := func(q ReaderQuery) (all []Reader, sum Readers) {
		t.Helper()
		for q.Limit = 1; ; { // one at a time, so that the cursors are used
			page, next, err := w.Readers(ctx, update, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range page {
				sum.add(one.Read, 1)
			}
			if all = append(all, page...); next == "" {
				return all, sum
			}
			q.After = next
		}
	}
	for by, want := range map[string]Readers{"person": reach.Read, "customer": {Acknowledged: 1, Opened: 1, Neither: 1}, "site": {Acknowledged: 1, Opened: 1, Neither: 1}} {
		if _, sum := list(ReaderQuery{By: by}); sum != want {
			t.Errorf("the list by %s has %+v, want %+v", by, sum, want)
		}
	}
	if sites, _ := list(ReaderQuery{By: "site", Read: ReadAcknowledged}); len(sites) != 1 || sites[0].Acknowledged != 2 || sites[0].State != Delivered || !sites[0].AcknowledgedAt.Equal(first) {
		t.Errorf("%+v", sites)
	}
	silent, _ := list(ReaderQuery{Approved: true, Read: ReadNeither})
	if len(silent) != 1 || silent[0].Contact != who["owner0002"] {
		t.Fatalf("%+v", silent)
	}
	if _, _, err := w.Readers(ctx, update, ReaderQuery{By: "x", Read: "x"}); fault.Of(err) != fault.Invalid {
		t.Error(err)
	}

	for _, name := range []string{"owner0001", "tech0002"} { // has said so; may not speak
		if _, err := w.OweReaders(ctx, "stf_ann", update, []string{who["owner0002"], who[name]}); fault.Of(err) != fault.Invalid {
			t.Errorf("%s is to be called: %v", name, err)
		}
	}
	for range 2 {
		if n, err := w.OweReaders(ctx, "stf_ann", update, []string{who["owner0000"], who["owner0002"], who["owner0002"]}); n != 2 || err != nil {
			t.Error(n, err)
		}
	}
	owed := func() (n int) {
		t.Helper()
		all, _, err := w.Tasks(ctx, TaskQuery{Incident: w.incident, State: Open})
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range all {
			if task.Value.What == OutreachRead {
				n++
			}
		}
		return n
	}
	if n := owed(); n != 2 {
		t.Errorf("%d calls are owed", n)
	}
	if err := says("owner0002", update); err != nil || owed() != 1 {
		t.Errorf("%d calls are owed: %v", owed(), err)
	}

	next, _ := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
	w.done(next)
	if of := toRead("owner0001"); of == nil || of.Update != next || !of.Acknowledged.IsZero() {
		t.Errorf("%+v", of)
	}
	if err := says("tech0000", update); err != nil { // what her page showed was the one before
		t.Error(err)
	}
	if reach := w.audit(update); reach.Read != (Readers{Acknowledged: 4, Opened: 1, Neither: 1}) {
		t.Errorf("%+v", reach.Read)
	}
	if reach := w.audit(next); reach.Read != (Readers{Neither: 6}) {
		t.Errorf("%+v", reach.Read)
	}
}
