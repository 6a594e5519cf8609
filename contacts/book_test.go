package contacts

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

func (b *Book) do(t testing.TB, fn func(*store.Tx) error) {
	t.Helper()
	if err := b.DB.Update(context.Background(), store.Act{By: "stf_test", Verb: "test.act"}, fn); err != nil {
		t.Fatal(err)
	}
}

// in reads in a snapshot.
func in[T any](t testing.TB, b *Book, fn func(*store.Tx) (T, error)) (v T, err error) {
	t.Helper()
	if e := b.DB.View(context.Background(), func(tx *store.Tx) error { v, err = fn(tx); return nil }); e != nil {
		t.Fatal(e)
	}
	return v, err
}

func TestDeletingSitesInTheProductRemovesNobody(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		b.mustImport(t, "product", file(t, "product.csv"))
		before, _ := b.Count(context.Background())
		done, err := b.ProductEvent(context.Background(), "tok_product", Event{Type: SiteDeleted, SiteIDs: []string{"S-1", "S-2", "S-3", "S-9", "A-100"}})
		if err != nil {
			t.Fatal(err)
		}
		if done.Changed != 3 || !slices.Equal(done.Unknown, []string{"S-9"}) || !slices.Equal(done.WrongKind, []string{"A-100"}) {
			t.Errorf("%+v", done)
		}
		if after, _ := b.Count(context.Background()); after != before {
			t.Errorf("before %+v, after %+v", before, after)
		}
		people, err := in(t, b, func(tx *store.Tx) ([]store.Rec[Contact], error) { return b.ContactsOfSite(tx, "S-1", ApprovedOnly) })
		if err != nil || len(people) != 1 || people[0].Value.Name != "Ann Lee" {
			t.Errorf("%v, %v", people, err)
		}
		for _, s := range b.view(t, "A-100").Sites {
			if s.Value.DeletedInProduct == nil {
				t.Errorf("%s is not marked", s.Value.Name)
			}
		}
		audits := b.audits(t)
		again, err := b.ProductEvent(context.Background(), "tok_product", Event{Type: SiteDeleted, SiteIDs: []string{"S-1"}})
		if err != nil || again.Unchanged != 1 || again.Changed != 0 || b.audits(t) != audits {
			t.Errorf("the same event again: %+v, %v", again, err)
		}
	})
}

func TestASiteThatComesBackIsTheSameSite(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		ctx := context.Background()
		b.mustImport(t, "product", file(t, "product.csv"))
		if _, err := b.ProductEvent(ctx, "tok_product", Event{Type: SiteDeleted, SiteIDs: []string{"S-1", "S-2"}}); err != nil {
			t.Fatal(err)
		}
		site := func(id string) store.Rec[Site] {
			t.Helper()
			s, err := in(t, b, func(tx *store.Tx) (store.Rec[Site], error) { return b.Site(tx, id) })
			if err != nil {
				t.Fatalf("site %s: %v", id, err)
			}
			return s
		}
		was1, was2 := site("S-1").ID, site("S-2").ID
		done, err := b.ProductEvent(ctx, "tok_product", Event{Type: SiteRestored, SiteIDs: []string{"S-2"}, NewIDs: map[string]string{"S-1": "S-101", "S-3": "S-2"}})
		if err != nil || done.Changed != 2 || !slices.Equal(done.Taken, []string{"S-2"}) {
			t.Fatalf("%+v, %v", done, err)
		}
		for id, ours := range map[string]string{"S-1": was1, "S-101": was1, was1: was1, "S-2": was2} {
			if got := site(id); got.ID != ours || got.Value.DeletedInProduct != nil || got.Value.RestoredInProduct == nil {
				t.Errorf("%s leads to %s: %+v", id, got.ID, got.Value)
			}
		}
		if got := site("S-1").Value.ProductIDs; !slices.Equal(got, []string{"S-1", "S-101"}) {
			t.Errorf("product ids %v", got)
		}
		// An import that knows the new id speaks of the same site.
		r := b.mustImport(t, "product", "account_id,site_id,site\nA-100,S-101,Acme Wiki\n")
		expect(t, r, 1, 0, 0, 1, 0, 0)
	})
}

// A site deleted in the product that an import names under a new id and its old address came back.
func TestAnImportLinksANewIDByTheAddressOfADeletedSite(t *testing.T) {
	b := one(t)
	b.mustImport(t, "product", file(t, "product.csv"))
	row := "account_id,site_id,site_url\nA-100,S-7,https://acme.example/wiki/\n"
	if _, err := b.ProductEvent(context.Background(), "tok_product", Event{Type: SiteDeleted, SiteIDs: []string{"S-1"}}); err != nil {
		t.Fatal(err)
	}
	expect(t, b.mustImport(t, "product", row), 1, 0, 1, 0, 0, 0)
	// A living site keeps its own: two products may share an address.
	expect(t, b.mustImport(t, "product", "account_id,site_id,site_url\nA-100,S-8,https://acme.example/desk/\n"), 1, 1, 0, 0, 0, 0)
	r := b.mustImport(t, "product", "account_id,site_url\nA-100,https://acme.example/desk\n")
	expect(t, r, 1, 0, 0, 0, 0, 1)
	if n, _ := b.Count(context.Background()); n.Sites != 4 {
		t.Errorf("%+v", n)
	}
}

func TestIDsOfTheWrongKindAreSaidToBe(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		b.mustImport(t, "product", file(t, "product.csv"))
		v := b.view(t, "A-100")
		for _, c := range []struct {
			id   string
			kind fault.Kind
			says string
		}{
			{"A-100", fault.Invalid, "is the id of an account, not of a site"},
			{v.Account.ID, fault.Invalid, "is the id of an account, not of a site"},
			{v.Contacts[0].ID, fault.Invalid, "is the id of a contact, not of a site"},
			{"S-404", fault.NotFound, `no site "S-404"`},
			{"sit_" + store.NewSuffix(), fault.NotFound, "no site"},
			{"", fault.Invalid, "must be an id"},
			{strings.Repeat("x", 300), fault.Invalid, "must be an id"},
		} {
			_, err := in(t, b, func(tx *store.Tx) (store.Rec[Site], error) { return b.Site(tx, c.id) })
			if fault.Of(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q: %v", c.id, err)
			}
		}
		if _, err := in(t, b, func(tx *store.Tx) (store.Rec[Account], error) { return b.Account(tx, "S-1") }); fault.Of(err) != fault.Invalid {
			t.Errorf("a site's id for an account: %v", err)
		}
		r := b.mustImport(t, "billing", fmt.Sprintf("account_id,site_id\n%s,\n%s,\n,%s\n", v.Sites[0].ID, v.Account.ID, v.Account.ID))
		expect(t, r, 3, 0, 1, 0, 0, 2)
	})
}

func TestLookUps(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		b.mustImport(t, "product", file(t, "product.csv"))
		b.mustImport(t, "billing", file(t, "billing.jsonl"))
		v := b.view(t, "A-100")
		if v.Tier != 1 {
			t.Errorf("tier %d, want the most urgent of the sites'", v.Tier)
		}
		who := func(which Who) (names []string) {
			recs, err := in(t, b, func(tx *store.Tx) ([]store.Rec[Contact], error) { return b.ContactsOfSite(tx, "S-3", which) })
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range recs {
				names = append(names, r.Value.Name)
			}
			return names
		}
		if got := who(Everyone); !slices.Equal(got, []string{"Tanaka, Yui", "Keiko Mori"}) {
			t.Errorf("everyone: %v", got)
		}
		if got := who(ApprovedOnly); !slices.Equal(got, []string{"Tanaka, Yui"}) {
			t.Errorf("approved: %v", got)
		}
		for _, c := range []struct{ channel, value string }{{Email, "Ann@ACME.example"}, {SMS, "+49 30 901820"}} {
			recs, err := in(t, b, func(tx *store.Tx) ([]store.Rec[Contact], error) { return b.ByAddress(tx, c.channel, c.value) })
			if err != nil || len(recs) != 1 || recs[0].Value.Name != "Ann Lee" {
				t.Errorf("%s: %v, %v", c.value, recs, err)
			}
		}
		if _, err := in(t, b, func(tx *store.Tx) ([]store.Rec[Contact], error) { return b.ByAddress(tx, Email, "nonsense") }); fault.Of(err) != fault.Invalid {
			t.Errorf("nonsense: %v", err)
		}
		page, next, err := b.Accounts(context.Background(), store.Query{Limit: 1})
		if err != nil || len(page) != 1 || next == "" {
			t.Fatalf("%v, %q, %v", page, next, err)
		}
		page, next, err = b.Accounts(context.Background(), store.Query{Limit: 1, After: next})
		if err != nil || len(page) != 1 || next != "" || page[0].Value.Name != "株式会社ソラ" {
			t.Errorf("%v, %q, %v", page, next, err)
		}
	})
}

func TestSearch(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		b.mustImport(t, "product", file(t, "product.csv"))
		b.mustImport(t, "billing", file(t, "billing.jsonl"))
		acme, sora := b.view(t, "A-100"), b.view(t, "A-200")
		for q, want := range map[string]string{
			"A-100": acme.Account.ID + " account_id", acme.Account.ID: acme.Account.ID + " id", acme.Sites[0].ID: acme.Account.ID + " id",
			acme.Contacts[0].ID: acme.Account.ID + " id", "S-3": sora.Account.ID + " site_id", "ANN@acme.example": acme.Account.ID + " email",
			"+4930901820": acme.Account.ID + " phone", "aCmE co": acme.Account.ID + " account", "ソラ": sora.Account.ID + " account",
			"sora kk": sora.Account.ID + " former_name", "acme.ex": acme.Account.ID + " domain", "acme desk": acme.Account.ID + " site",
			"http://www.acme.example/wiki": acme.Account.ID + " site_url", "nothing": "",
		} {
			found, err := b.Search(context.Background(), q, 10)
			got := ""
			if len(found.Hits) > 0 {
				got = found.Hits[0].Account.ID + " " + found.Hits[0].Why
			}
			if err != nil || got != want || len(found.Hits) > 1 || found.Partial {
				t.Errorf("%q: got %q (%d), want %q; %v", q, got, len(found.Hits), want, err)
			}
		}
		for _, q := range []string{"", " ", "a\nb", strings.Repeat("x", 201)} {
			if _, err := b.Search(context.Background(), q, 10); fault.Of(err) != fault.Invalid {
				t.Errorf("%q: %v", q, err)
			}
		}
		if found, err := b.Search(context.Background(), "example", 1); err != nil || len(found.Hits) != 1 || !found.Partial {
			t.Errorf("limit: %+v, %v", found, err)
		}
	})
}

func TestWhatBecameOfAnAddress(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		b.mustImport(t, "billing", file(t, "billing.jsonl"))
		keiko := person(t, b.view(t, "A-200"), "pay@sora.example")
		b.do(t, func(tx *store.Tx) error {
			return b.Bounced(tx, keiko.ID, Email, "PAY@sora.example", "550 5.1.1\r\nno such user")
		})
		now := person(t, b.view(t, "A-200"), "pay@sora.example").Value
		if a := now.Emails[0]; !a.Bounced || a.BounceReason != "550 5.1.1  no such user" || !a.ChangedAt.After(a.FirstSeen) {
			t.Errorf("%+v", a)
		}
		if usable, _ := Reach(now, Email); len(usable) != 1 || usable[0].Value != "keiko@sora.example" {
			t.Errorf("usable %v", usable)
		}
		b.do(t, func(tx *store.Tx) error { return b.OptOut(tx, keiko.ID, Email, "keiko@sora.example", "unsubscribed") })
		if _, reason := Reach(person(t, b.view(t, "A-200"), "pay@sora.example").Value, Email); reason != Bounced {
			t.Errorf("reason %q", reason)
		}
		// An import says nothing about bounces: it does not bring the address back.
		expect(t, b.mustImport(t, "billing", file(t, "billing.jsonl")), 2, 0, 0, 2, 0, 0)
		b.do(t, func(tx *store.Tx) error { return b.OptIn(tx, keiko.ID, Email, "keiko@sora.example") })
		b.do(t, func(tx *store.Tx) error { return b.Confirmed(tx, keiko.ID, Email, "pay@sora.example", tx.Now()) })
		usable, _ := Reach(person(t, b.view(t, "A-200"), "pay@sora.example").Value, Email)
		if len(usable) != 2 || usable[0].Value != "pay@sora.example" {
			t.Errorf("usable %v", usable)
		}
		err := b.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error {
			return b.Bounced(tx, keiko.ID, SMS, "+491", "x")
		})
		if fault.Of(err) != fault.NotFound {
			t.Errorf("an address that she does not have: %v", err)
		}
	})
}

// People are told apart, or recognised, by the package's rules.
func TestWhoIsWho(t *testing.T) {
	const header = "account_id,name,email,phone,role\n"
	for name, c := range map[string]struct {
		rows     string
		contacts int
		rejected int
	}{
		"letter case of an address": {"A,Ann,ann@x.example,,\nA,Ann,ANN@X.example,,\n", 1, 0},
		"one address of several":    {"A,Ann,ann@x.example,,\nA,Ann,ann@y.example;ann@x.example,,\n", 1, 0},
		"colleagues share a phone":  {"A,Ann,ann@x.example,+4930901820,\nA,Bob,bob@x.example,+4930901820,\nA,Bob,,+4930901820,\n", 2, 0},
		"another name, one phone":   {"A,Ann,ann@x.example,+4930901820,\nA,Bob,,+4930901820,owner\n", 2, 0},
		"phone, then address":       {"A,Ann,,+4930901820,\nA,Ann,ann@x.example,+4930901820,\n", 1, 0},
		"name, then address":        {"A,Ann,,,\nA,ann,ann@x.example,,\nA,Ann,,+4930901820,\n", 1, 0},
		"same name, two addresses":  {"A,Ann,ann@x.example,,\nA,Ann,ann@y.example,,\n", 2, 0},
		"a name that two have":      {"A,Ann,ann@x.example,,\nA,Ann,ann@y.example,,\nA,Ann,,,owner\n", 2, 1},
		"two accounts":              {"A,Ann,ann@x.example,,\nB,Ann,ann@x.example,,\n", 2, 0},
		"nameless phone":            {"A,,,+4930901820,\nA,Ann,,+4930901820,\n", 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := one(t)
			r := b.mustImport(t, "crm", header+c.rows)
			n, _ := b.Count(context.Background())
			if n.Contacts != c.contacts || r.RejectedRows != c.rejected {
				t.Errorf("%d contacts, %d rejected; want %d, %d: %+v", n.Contacts, r.RejectedRows, c.contacts, c.rejected, r.Rejected)
			}
			again := b.mustImport(t, "crm", header+c.rows)
			if again.Created+again.Updated > 0 {
				t.Errorf("the same rows again: %+v", again)
			}
		})
	}
}

// An address that is somebody else's is not taken: a person decides whether the two are one.
// Two of one name, of whom one has no address where she is named: read again, the file means the same people.
func TestPeopleOfOneNameAreToldByTheirSites(t *testing.T) {
	b := one(t)
	text := "account,site,name,email\nAcme,North,Ann Lee,\nAcme,East,Ann Lee,ann@acme.example\nAcme,South,Ann Lee,lee@acme.example\n"
	expect(t, b.mustImport(t, "product", text), 3, 3, 0, 0, 0, 0)
	expect(t, b.mustImport(t, "product", text), 3, 0, 0, 3, 0, 0)
	expect(t, b.mustImport(t, "product", "account,site,name\nAcme,West,Ann Lee\n"), 1, 0, 0, 0, 0, 1)
}

func TestARowThatSpeaksOfTwoPeople(t *testing.T) {
	b := one(t)
	r := b.mustImport(t, "crm", "account_id,name,email\nA,Ann,ann@x.example\nA,Bob,bob@x.example\nA,Ann,ann@x.example;bob@x.example\n")
	expect(t, r, 3, 2, 1, 0, 1, 0)
	v := b.view(t, "A")
	ann, bob := person(t, v, "ann@x.example"), person(t, v, "bob@x.example")
	if ann.ID == bob.ID || len(ann.Value.Emails) != 1 || len(ann.Value.Conflicts) != 1 || ann.Value.Conflicts[0].Have != bob.ID {
		t.Errorf("%+v", ann.Value)
	}
}

// Accounts are found by name within a source, and a source may tell the id later.
func TestAccountsByName(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		ctx := context.Background()
		b.mustImport(t, "crm", "account,email\nAcme,ann@x.example\n")
		b.mustImport(t, "crm", "account,email\n ACME ,ann@x.example\n")
		b.mustImport(t, "crm", "account,account_id\nAcme,A-1\n")
		if n, _ := b.Count(ctx); n != (Counts{1, 0, 1}) {
			t.Fatalf("%+v", n)
		}
		expect(t, b.mustImport(t, "outreach", "account,email\nAcme,zoe@x.example\n"), 1, 1, 0, 0, 0, 0) // another source's Acme may be another
		if n, _ := b.Count(ctx); n.Accounts != 2 {
			t.Fatalf("%+v", n)
		}
		b.mustImport(t, "crm", "account,account_id\nAcme,A-2\n")
		r := b.mustImport(t, "crm", "account,account_id,email\nAcme,,x@x.example\nAcme,A-1,x@x.example\n")
		expect(t, r, 2, 1, 0, 0, 0, 1)
		if r.Rejected[0].Field != "account" {
			t.Errorf("%+v", r.Rejected)
		}
		// A stronger source renames it; the weaker one still finds it by the old name.
		b.mustImport(t, "customer", "account_id,account\nA-1,Acme Holding\n")
		v := b.view(t, "A-1")
		if v.Account.Value.Name != "Acme Holding" || !slices.Equal(v.Account.Value.FormerNames, []string{"Acme"}) {
			t.Errorf("%+v", v.Account.Value)
		}
		expect(t, b.mustImport(t, "customer", "account\nacme holding\n"), 1, 0, 0, 1, 0, 0)
	})
}

// A source that contradicts itself in one file is a conflict each time, and never flips back and forth.
func TestAFileThatContradictsItself(t *testing.T) {
	b := one(t)
	rows := "account_id,name,email\nA,Ann,ann@x.example\nA,Anna,ann@x.example\n"
	expect(t, b.mustImport(t, "crm", rows), 2, 1, 1, 0, 1, 0)
	for range 3 {
		expect(t, b.mustImport(t, "crm", rows), 2, 0, 0, 2, 1, 0)
	}
	// In another import it corrects itself.
	expect(t, b.mustImport(t, "crm", "account_id,name,email\nA,Anne,ann@x.example\n"), 1, 0, 1, 0, 0, 0)
	if got := person(t, b.view(t, "A"), "ann@x.example").Value.Name; got != "Anne" {
		t.Errorf("name %q", got)
	}
}

func TestStale(t *testing.T) {
	p := DefaultPolicy()
	now := time.Date(2022, 4, 5, 0, 0, 0, 0, time.UTC)
	c := Contact{Roles: []string{Owner}, ConfirmedAt: now.Add(-200 * 24 * time.Hour)}
	if !p.Stale(c, now) {
		t.Error("an owner confirmed 200 days ago is not stale")
	}
	c.Roles = []string{Billing}
	if p.Stale(c, now) {
		t.Error("a billing contact confirmed 200 days ago is stale")
	}
}
