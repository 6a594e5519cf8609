package contacts

import (
	"context"
	"slices"
	"strings"
	"testing"

	"lifeline/store"
	"lifeline/store/fault"
)

const (
	fromProduct = "account_id,account,site_id,site_url,region,tier,name,role,email,phone,confirmed_at\n" +
		"A-1,Acme Corp,S-1,https://acme.example/wiki,eu,1,Ann Lee,owner,ann@acme.example,+4930901820,2021-01-10\n" +
		"A-1,Acme Corp,S-2,https://acme.example/desk,eu,2,Ben Ito,technical,ben@acme.example,,2021-01-10\n"
	fromBilling = "account_id,account,domain,invoices,name,role,email,phone,confirmed_at\n" +
		"B-9,ACME Corporation,acme.example,INV-1;INV-2,Anne Lee,billing,ann@acme.example;invoices@acme.example,+4930901820,2022-01-10\n" +
		"B-9,ACME Corporation,,,Cleo,executive,cleo@acme.example,,2022-01-10\n"
)

func TestTwoAccountsOfOneCustomerBecomeOneAndTwoAgain(t *testing.T) {
	offices(t, func(o *office) {
		ctx := context.Background()
		o.b.mustImport(o, "product", fromProduct)
		o.b.mustImport(o, "billing", fromBilling)
		whole, a, b := o.export(), o.b.view(o, "A-1"), o.b.view(o, "B-9")
		rec := o.propose("account.merge", pairs{[]Pair{{From: "B-9", Into: "A-1"}}}, 0)
		if rec.Value.Alone || rec.Value.Counts["contact"] != 2 || rec.Value.Counts["account"] != 1 {
			o.Errorf("%+v", rec.Value)
		}
		_, err := o.changes.Run(ctx, "stf_ann", rec.ID)
		o.refused(err, fault.Forbidden, "second person")
		o.approve(rec)
		o.run(rec.ID, ChangeDone)

		one := o.b.view(o, "A-1")
		if n, _ := o.b.Count(ctx); n != (Counts{1, 2, 3}) {
			o.Errorf("%+v", n)
		}
		// The billing system is the stronger source of a name, and the product's stays known.
		if got := one.Account.Value; got.Name != "ACME Corporation" || !slices.Contains(got.FormerNames, "Acme Corp") || !slices.Equal(got.ProductIDs, []string{"B-9", "A-1"}) ||
			!slices.Equal(got.Invoices, []string{"INV-1", "INV-2"}) || len(got.Sources) != 2 {
			o.Errorf("%+v", got)
		}
		for _, id := range []string{"B-9", b.Account.ID, a.Account.ID} {
			if got := o.b.view(o, id).Account.ID; got != a.Account.ID {
				o.Errorf("%s leads to %s", id, got)
			}
		}
		ann := person(o, one, "invoices@acme.example")
		if ann.ID != person(o, a, "ann@acme.example").ID || len(ann.Value.Emails) != 2 || len(ann.Value.Phones) != 1 || !slices.Contains(ann.Value.Roles, Billing) || !slices.Contains(ann.Value.Roles, Owner) {
			o.Errorf("%+v", ann.Value)
		}
		gone := person(o, b, "ann@acme.example").ID
		if got, err := in(o, o.b, func(tx *store.Tx) (store.Rec[Contact], error) { return o.b.Contact(tx, gone) }); err != nil || got.ID != ann.ID {
			o.Errorf("her old id leads to %s: %v", got.ID, err)
		}
		for _, address := range []string{"ann@acme.example", "invoices@acme.example", "cleo@acme.example"} {
			at, err := in(o, o.b, func(tx *store.Tx) ([]store.Rec[Contact], error) { return o.b.ByAddress(tx, Email, address) })
			if err != nil || len(at) != 1 || at[0].Value.Account != a.Account.ID {
				o.Errorf("%s: %+v, %v", address, at, err)
			}
		}
		o.undo(rec.ID)
		if got := o.export(); got != whole {
			o.Errorf("they did not come apart as they were:\n%s\nwas\n%s", got, whole)
		}
		for _, was := range []View{a, b} {
			now := o.b.view(o, was.Account.ID)
			same(o, was.Account, now.Account)
			for i := range was.Contacts {
				same(o, was.Contacts[i], now.Contacts[i])
			}
			for i := range was.Sites {
				same(o, was.Sites[i], now.Sites[i])
			}
		}
	})
}

// Both files come again after a merge: neither makes anything a second time.
func TestAnImportFindsWhatWasMerged(t *testing.T) {
	o := anOffice(t)
	o.b.mustImport(t, "product", fromProduct)
	o.b.mustImport(t, "billing", fromBilling)
	old := o.b.view(t, "B-9").Account.ID
	rec := o.propose("account.merge", pairs{[]Pair{{From: "B-9", Into: "A-1"}}}, 0)
	o.approve(rec)
	o.run(rec.ID, ChangeDone)
	before, _ := o.b.Count(context.Background())
	for _, again := range []struct{ source, file string }{{"product", fromProduct}, {"billing", fromBilling}, {"crm", "account_id,name,email\n" + old + ",Cleo,cleo@acme.example\n"},
		{"billing", "account,name,email\nACME Corporation,Cleo,cleo@acme.example\n"}} {
		if r := o.b.mustImport(t, again.source, again.file); r.Created > 0 || r.RejectedRows > 0 {
			t.Errorf("%s: %+v", again.source, r)
		}
	}
	if after, _ := o.b.Count(context.Background()); after != before {
		t.Errorf("%+v, then %+v", before, after)
	}
}

func TestTwoContactsWhoAreOnePersonBecomeOne(t *testing.T) {
	offices(t, func(o *office) {
		ctx := context.Background()
		o.b.mustImport(o, "crm", "account_id,name,role,email,phone\nA,Ann,owner,ann@x.example,+4930901820\nA,Anna L,technical,ann@y.example,+4930901820\nB,Eve,owner,eve@x.example,\n")
		v := o.b.view(o, "A")
		stays, goes := person(o, v, "ann@x.example"), person(o, v, "ann@y.example")
		eve := person(o, o.b.view(o, "B"), "eve@x.example")
		o.b.do(o, func(tx *store.Tx) error { return o.b.OptOut(tx, goes.ID, SMS, "+4930901820", "STOP") })
		whole := o.export()
		for name, c := range map[string]struct {
			pairs []Pair
			says  string
		}{
			"two accounts": {[]Pair{{goes.ID, eve.ID}}, "two accounts"},
			"itself":       {[]Pair{{goes.ID, goes.ID}}, "one after the other"},
			"twice":        {[]Pair{{goes.ID, stays.ID}, {goes.ID, stays.ID}}, "already"},
			"a site":       {[]Pair{{v.Account.ID, stays.ID}}, "of an account"},
		} {
			_, err := o.changes.Propose(ctx, "stf_ann", Proposal{Verb: "contact.merge", Input: input(pairs{c.pairs}), Reason: "one person"})
			if fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), c.says) {
				o.Errorf("%s: %v", name, err)
			}
		}
		rec := o.propose("contact.merge", pairs{[]Pair{{goes.ID, stays.ID}}}, 0)
		o.approve(rec)
		o.run(rec.ID, ChangeDone)
		ann := person(o, o.b.view(o, "A"), "ann@y.example")
		if _, reason := Reach(ann.Value, SMS); ann.ID != stays.ID || len(ann.Value.Emails) != 2 || reason != OptedOut {
			o.Errorf("%+v, %s", ann.Value, reason)
		}
		if row := o.logged("contact.merge"); row.By != "stf_ann" || !slices.Contains(row.On, goes.ID) || !strings.HasPrefix(row.On[1], "apr_") {
			o.Errorf("%+v", row)
		}
		// What happened to her since does not stand in the way, and stays.
		o.b.do(o, func(tx *store.Tx) error { return o.b.Bounced(tx, eve.ID, Email, "eve@x.example", "550") })
		o.undo(rec.ID)
		if o.export() != whole {
			o.Error("they did not come apart as they were")
		}
		now := o.b.view(o, "A")
		if _, reason := Reach(person(o, now, "ann@x.example").Value, SMS); reason != "" {
			o.Errorf("the opt-out of one stayed with the other: %s", reason)
		}
		// What somebody changed in the very fields cannot be undone over her head.
		rec = o.propose("contact.merge", pairs{[]Pair{{goes.ID, stays.ID}}}, 0)
		o.approve(rec)
		o.run(rec.ID, ChangeDone)
		o.b.do(o, func(tx *store.Tx) error { return o.b.Bounced(tx, stays.ID, Email, "ann@y.example", "550") })
		_, err := o.changes.Undo(ctx, "stf_ann", rec.ID, "a mistake")
		o.refused(err, fault.Conflict, "emails of contact")
		if now, _ := o.changes.Change(ctx, rec.ID); now.Value.State != ChangeDone {
			o.Errorf("half undone: %s", now.Value.State)
		}
	})
}
