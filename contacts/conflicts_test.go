package contacts

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"lifeline/store"
	"lifeline/store/fault"
)

func (b *Book) waiting(t testing.TB, account string, q store.Query) ([]OpenConflict, string) {
	t.Helper()
	page, next, err := b.OpenConflicts(context.Background(), account, q)
	if err != nil {
		t.Fatal(err)
	}
	return page, next
}

func (b *Book) answer(t testing.TB, c OpenConflict, d Decision) {
	t.Helper()
	if _, _, err := b.DecideConflict(context.Background(), "stf_ada", ConflictAnswer{Conflict: c.ID, Decision: d, Reason: "asked by phone"}); err != nil {
		t.Fatalf("%s: %v", d, err)
	}
}

func TestAConflictIsDecidedOnce(t *testing.T) {
	for _, c := range []struct {
		decision Decision
		want     string
	}{{TakeOffered, "Anne Lee"}, {KeepOurs, "Ann Lee"}} {
		t.Run(string(c.decision), func(t *testing.T) {
			each(t, func(t *testing.T, b *Book) {
				b.mustImport(t, "product", file(t, "product.csv"))
				b.mustImport(t, "billing", file(t, "billing.jsonl"))
				open, _ := b.waiting(t, "", store.Query{})
				if len(open) != 1 || open[0].Field != "name" || open[0].Have != "Ann Lee" || open[0].Offered != "Anne Lee" || open[0].Source != "billing" ||
					open[0].HaveOrigin.Source != "product" || open[0].Kind != "contact" {
					t.Fatalf("waiting: %+v", open)
				}
				b.answer(t, open[0], c.decision)
				ann := person(t, b.view(t, "A-100"), "ann@acme.example").Value
				if ann.Name != c.want || len(ann.Conflicts) != 0 {
					t.Fatalf("after the decision: %q, %+v", ann.Name, ann.Conflicts)
				}
				if o := ann.Origins["name"]; o.Source != "staff" || o.By != "stf_ada" || o.How != ByStaff || o.Why != "asked by phone" || o.Seen.IsZero() {
					t.Errorf("who decided is not kept: %+v", o)
				}
				if open, _ := b.waiting(t, "", store.Query{}); len(open) != 0 {
					t.Errorf("still waiting: %+v", open)
				}
				// Both sides say their word again: nobody is asked, and nothing changes.
				for range 2 {
					expect(t, b.mustImport(t, "product", file(t, "product.csv")), 3, 0, 0, 3, 0, 0)
					expect(t, b.mustImport(t, "billing", file(t, "billing.jsonl")), 2, 0, 0, 2, 0, 0)
				}
				if got := person(t, b.view(t, "A-100"), "ann@acme.example").Value.Name; got != c.want {
					t.Errorf("name %q after the next imports", got)
				}
				if _, _, err := b.DecideConflict(context.Background(), "stf_ada", ConflictAnswer{open[0].ID, c.decision, "again"}); fault.Of(err) != fault.NotFound {
					t.Errorf("deciding twice: %v", err)
				}
				// Taken back, everything is as it was and waits for another decision.
				entry, err := b.ReopenConflict(context.Background(), "stf_ada", Reopening{open[0].Of, open[0].ID})
				waits, _ := b.waiting(t, "", store.Query{})
				if err != nil || len(waits) != 1 || waits[0].Entry.ID != entry || waits[0].Have != "Ann Lee" || waits[0].Offered != "Anne Lee" || waits[0].HaveOrigin.Source != "product" {
					t.Fatalf("taken back: %v, %+v", err, waits)
				}
				if _, err := b.ReopenConflict(context.Background(), "stf_ada", Reopening{open[0].Of, open[0].ID}); fault.Of(err) != fault.NotFound {
					t.Errorf("taking back twice: %v", err)
				}
				b.answer(t, waits[0], TakeOffered)
				if ann := person(t, b.view(t, "A-100"), "ann@acme.example").Value; ann.Name != "Anne Lee" || len(ann.Conflicts) != 0 {
					t.Errorf("decided anew: %q, %+v", ann.Name, ann.Conflicts)
				}
			})
		})
	}
}

// What a stronger source said without a date is turned down; the same undated word stays so, and one dated later is heard.
func TestADecisionHoldsAgainstAStrongerSource(t *testing.T) {
	b := one(t)
	b.mustImport(t, "product", "account_id,name,email,confirmed_at\nA,Ann,ann@x.example,2022-01-01\n")
	again := "account_id,name,email\nA,Anna,ann@x.example\n"
	expect(t, b.mustImport(t, "customer", again), 1, 0, 1, 0, 1, 0)
	open, _ := b.waiting(t, "", store.Query{})
	b.answer(t, open[0], KeepOurs)
	expect(t, b.mustImport(t, "customer", again), 1, 0, 0, 1, 0, 0)
	later := "account_id,name,email,confirmed_at\nA,Anna,ann@x.example,2022-04-06T00:00:00Z\n" // the clock stands at 5 April; a day ahead is allowed
	expect(t, b.mustImport(t, "customer", later), 1, 0, 1, 0, 0, 0)
}

func TestEveryFieldInConflictCanBeDecided(t *testing.T) {
	b := one(t)
	first := "account_id,account,site_id,site,site_url,region,tier,name,email,locale,time_zone,channels\n" +
		"A,Acme,S,Wiki,https://a.example,eu,1,Ann,ann@x.example,en,Europe/Berlin,email\n"
	other := "account_id,account,site_id,site,site_url,region,tier,name,email,locale,time_zone,channels\n" +
		"A,Bcme,S,Desk,https://b.example,us,2,Eve,ann@x.example,ja,Asia/Tokyo,sms\n"
	b.mustImport(t, "crm", first)
	b.mustImport(t, "billing", other) // as strong, as undated
	open, _ := b.waiting(t, "", store.Query{})
	var fields []string
	for _, c := range open {
		fields = append(fields, c.Kind+" "+c.Field)
		b.answer(t, c, TakeOffered)
	}
	slices.Sort(fields)
	if want := []string{"account account", "contact channels", "contact locale", "contact name", "contact time_zone", "site region", "site site", "site site_url", "site tier"}; !slices.Equal(fields, want) {
		t.Fatalf("in conflict: %v", fields)
	}
	v := b.view(t, "A")
	a, s, ann := v.Account.Value, v.Sites[0].Value, v.Contacts[0].Value
	if a.Name != "Bcme" || !slices.Equal(a.FormerNames, []string{"Acme"}) || a.OriginOf("former_names", "Acme").How != ByStaff {
		t.Errorf("account %+v", a)
	}
	if s.Name != "Desk" || s.URL != "https://b.example" || s.Region != "us" || *s.Tier != 2 {
		t.Errorf("site %+v", s)
	}
	if ann.Name != "Eve" || ann.Locale != "ja" || ann.TimeZone != "Asia/Tokyo" || !slices.Equal(ann.Channels, []string{"sms"}) {
		t.Errorf("contact %+v", ann)
	}
	for _, f := range []string{first, other} {
		expect(t, b.mustImport(t, map[bool]string{true: "crm", false: "billing"}[f == first], f), 1, 0, 0, 1, 0, 0)
	}
}

func TestConflictsAreListedAPageAtATime(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		var one, two strings.Builder
		for i := range 7 {
			fmt.Fprintf(&one, "A%d,P%d,p%d@x.example\n", i, i, i)
			fmt.Fprintf(&two, "A%d,Q%d,p%d@x.example\n", i, i, i)
		}
		b.mustImport(t, "crm", "account_id,name,email\n"+one.String())
		b.mustImport(t, "billing", "account_id,name,email\n"+two.String())
		var seen []string
		after := ""
		for {
			page, next := b.waiting(t, "", store.Query{Limit: 3, After: after})
			for _, c := range page {
				seen = append(seen, c.Offered)
			}
			if after = next; after == "" {
				break
			}
		}
		slices.Sort(seen)
		if want := []string{"Q0", "Q1", "Q2", "Q3", "Q4", "Q5", "Q6"}; !slices.Equal(seen, want) {
			t.Errorf("listed %v", seen)
		}
		account := b.view(t, "A3").Account.ID
		if page, _ := b.waiting(t, account, store.Query{}); len(page) != 1 || page[0].Offered != "Q3" {
			t.Errorf("of one account: %+v", page)
		}
		if n, err := b.CountConflicts(context.Background()); err != nil || n != 7 {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// A record lists twenty, counts on, and the next moves up when there is room.
func TestMoreConflictsThanAreListedAreCounted(t *testing.T) {
	b := one(t)
	var rows strings.Builder
	rows.WriteString("account_id,name,email\nA,Ann,ann@x.example\n")
	for i := range maxConflicts + 5 {
		fmt.Fprintf(&rows, "A,Ann%d,ann@x.example\n", i)
	}
	b.mustImport(t, "crm", rows.String())
	for range 2 {
		ann := b.view(t, "A").Contacts[0].Value
		if len(ann.Conflicts) != maxConflicts || ann.Waiting() != maxConflicts+5 {
			t.Fatalf("%d listed, %d wait", len(ann.Conflicts), ann.Waiting())
		}
		expect(t, b.mustImport(t, "crm", rows.String()), maxConflicts+6, 0, 0, maxConflicts+6, maxConflicts+5, 0)
	}
	open, _ := b.waiting(t, "", store.Query{})
	b.answer(t, open[0], KeepOurs)
	if w := b.view(t, "A").Contacts[0].Value.Waiting(); w != maxConflicts+4 {
		t.Errorf("%d wait after one was decided", w)
	}
}

// An address that another contact has: they stay two, or the address moves when a second person agrees.
func TestAnAddressThatBelongsToAnotherContact(t *testing.T) {
	const rows = "account_id,name,email\nA,Ann,ann@x.example\nA,Bob,bob@x.example\nA,Ann,ann@x.example;bob@x.example\n"
	t.Run("keep apart", func(t *testing.T) {
		each(t, func(t *testing.T, b *Book) {
			expect(t, b.mustImport(t, "crm", rows), 3, 2, 1, 0, 1, 0)
			open, _ := b.waiting(t, "", store.Query{})
			if len(open) != 1 || !slices.Contains(open[0].Decisions(), SamePerson) {
				t.Fatalf("%+v", open)
			}
			if _, _, err := b.DecideConflict(context.Background(), "stf_ada", ConflictAnswer{open[0].ID, TakeOffered, "why not"}); fault.Of(err) != fault.Invalid {
				t.Errorf("a decision of the other sort: %v", err)
			}
			if _, _, err := b.DecideConflict(context.Background(), "stf_ada", ConflictAnswer{open[0].ID, KeepApart, " "}); fault.Of(err) != fault.Invalid {
				t.Errorf("no reason: %v", err)
			}
			b.answer(t, open[0], KeepApart)
			expect(t, b.mustImport(t, "crm", rows), 3, 0, 0, 3, 0, 0)
			expect(t, b.mustImport(t, "billing", rows), 3, 0, 3, 0, 1, 0) // another's word is another question
		})
	})
	t.Run("one person", func(t *testing.T) {
		b := one(t)
		b.Changes = &Changes{DB: b.DB, Verbs: b.ChangeVerbs(), Log: b.Log}
		b.mustImport(t, "crm", rows)
		open, _ := b.waiting(t, "", store.Query{})
		ctx := context.Background()
		_, id, err := b.DecideConflict(ctx, "stf_ada", ConflictAnswer{open[0].ID, SamePerson, "she married"})
		if err != nil {
			t.Fatal(err)
		}
		change, err := b.Changes.Change(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Changes.Approve(ctx, "stf_bea", id, change.Value.Digest); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Changes.Run(ctx, "stf_ada", id); err != nil {
			t.Fatal(err)
		}
		if v := b.view(t, "A"); len(v.Contacts) != 1 || len(v.Contacts[0].Value.Emails) != 2 {
			t.Errorf("after the merge: %+v", v.Contacts)
		}
	})
	t.Run("move", func(t *testing.T) {
		each(t, func(t *testing.T, b *Book) {
			b.Changes = &Changes{DB: b.DB, Verbs: []Verb{b.MoveAddressVerb(), b.RoleVerb()}, Log: b.Log}
			b.mustImport(t, "crm", rows)
			open, _ := b.waiting(t, "", store.Query{})
			ctx := context.Background()
			_, id, err := b.DecideConflict(ctx, "stf_ada", ConflictAnswer{open[0].ID, MoveAddress, "Bob left, Ann reads it"})
			if err != nil {
				t.Fatal(err)
			}
			if got := person(t, b.view(t, "A"), "bob@x.example").Value.Name; got != "Bob" {
				t.Fatalf("moved before a second person agreed: %s", got)
			}
			change, err := b.Changes.Change(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Changes.Approve(ctx, "stf_ada", id, change.Value.Digest); fault.Of(err) != fault.Forbidden {
				t.Fatalf("approved by who proposed: %v", err)
			}
			if _, err := b.Changes.Approve(ctx, "stf_bea", id, change.Value.Digest); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Changes.Run(ctx, "stf_ada", id); err != nil {
				t.Fatal(err)
			}
			v := b.view(t, "A")
			ann := person(t, v, "bob@x.example").Value
			if ann.Name != "Ann" || len(ann.Emails) != 2 || len(ann.Conflicts) != 0 || ann.Emails[1].How != ByStaff {
				t.Errorf("after the move: %+v", ann)
			}
			for _, c := range v.Contacts {
				if c.Value.Name == "Bob" && len(c.Value.Emails) != 0 {
					t.Errorf("Bob keeps it: %+v", c.Value.Emails)
				}
			}
			found, err := in(t, b, func(tx *store.Tx) ([]store.Rec[Contact], error) { return b.ByAddress(tx, Email, "bob@x.example") })
			if err != nil || len(found) != 1 || found[0].Value.Name != "Ann" {
				t.Errorf("found by the address: %+v, %v", found, err)
			}
			if open, _ := b.waiting(t, "", store.Query{}); len(open) != 0 {
				t.Errorf("still waiting: %+v", open)
			}
		})
	})
}

func TestEveryValueOfAListSaysWhoBroughtIt(t *testing.T) {
	b := one(t)
	b.mustImport(t, "product", "account_id,account,domain,products,site_id,name,email,role\nA,Acme,acme.example,wiki,S-1,Ann,ann@x.example,owner\nA,,,,S-2,Ann,ann@x.example,owner\n")
	b.mustImport(t, "billing", "account_id,domain,invoices,site_id,name,email,role\nA,acme.example;acme.test,INV-1,S-1,Ann,ann@x.example,billing\nA,,,S-3,Ann,ann@x.example,owner\n")
	if _, err := b.ProductEvent(context.Background(), "tok_product", Event{Type: SiteRestored, NewIDs: map[string]string{"S-1": "S-9"}}); err != nil {
		t.Fatal(err)
	}
	v := b.view(t, "A")
	a, ann := v.Account.Value, v.Contacts[0].Value
	for _, c := range []struct {
		got    Origin
		source string
		how    How
	}{
		{a.OriginOf("domain", "acme.example"), "product", ByImport}, {a.OriginOf("domain", "acme.test"), "billing", ByImport},
		{a.OriginOf("invoices", "INV-1"), "billing", ByImport}, {a.OriginOf(ListProductIDs, "A"), "product", ByImport},
		{ann.OriginOf(ListSites, v.Sites[1].ID), "product", ByImport}, {ann.OriginOf(ListSites, v.Sites[2].ID), "billing", ByImport},
		{v.Sites[0].Value.OriginOf(ListProductIDs, "S-9"), "product", ByEvent},
	} {
		if c.got.Source != c.source || c.got.How != c.how || c.got.Seen.IsZero() {
			t.Errorf("got %+v, want %s by %s", c.got, c.source, c.how)
		}
	}
	// What came with the record costs it nothing.
	if len(ann.Lists) != 1 {
		t.Errorf("notes: %+v", ann.Lists)
	}
	for _, g := range ann.Grants {
		if g.Source == "" || g.Seen.IsZero() {
			t.Errorf("a role from nowhere: %+v", g)
		}
	}
}

func TestRolesAreOfASiteOrOfTheAccount(t *testing.T) {
	b := one(t)
	b.mustImport(t, "crm", "account_id,site_id,name,email,role\nA,S-1,Ann,ann@x.example,owner\nA,S-2,Ann,ann@x.example,billing\nA,S-3,Ann,ann@x.example,owner\nA,,Eve,eve@x.example,executive\n")
	v := b.view(t, "A")
	ann, eve := person(t, v, "ann@x.example").Value, person(t, v, "eve@x.example").Value
	s := map[string]string{}
	for _, site := range v.Sites {
		s[site.Value.ProductIDs[0]] = site.ID
	}
	for site, want := range map[string]bool{"S-1": true, "S-2": false, "S-3": true} {
		if ann.ApprovedFor(s[site]) != want || ann.Standing().ApprovedFor(s[site]) != want {
			t.Errorf("Ann for %s: not %v", site, want)
		}
		if !eve.ApprovedFor(s[site]) || !eve.Standing().ApprovedFor(s[site]) {
			t.Errorf("Eve is an executive of the account, and not for %s", site)
		}
	}
	who, err := in(t, b, func(tx *store.Tx) ([]store.Rec[Contact], error) { return b.ContactsOfSite(tx, "S-2", ApprovedOnly) })
	if err != nil || len(who) != 1 || who[0].Value.Name != "Eve" {
		t.Errorf("approved for S-2: %+v, %v", who, err)
	}
	if len(ann.Grants) != 2 {
		t.Errorf("places with one story share an entry: %+v", ann.Grants)
	}
}

// A source that the policy does not believe proposes; a stronger one states.
func TestAWeakSourceOnlyProposesWhoSpeaks(t *testing.T) {
	b := one(t)
	rows := "account_id,name,email,role\nA,Ann,ann@x.example,owner;billing\n"
	b.mustImport(t, "spreadsheet", rows)
	ann := b.view(t, "A").Contacts[0].Value
	if ann.Approved() || !slices.Equal(ann.Roles, []string{"billing"}) || len(ann.Grants) != 2 || ann.Grants[0].State != RoleProposed {
		t.Fatalf("%v %+v", ann.Roles, ann.Grants)
	}
	expect(t, b.mustImport(t, "spreadsheet", rows), 1, 0, 0, 1, 0, 0)
	expect(t, b.mustImport(t, "product", rows), 1, 0, 1, 0, 0, 0)
	if ann = b.view(t, "A").Contacts[0].Value; !ann.Approved() || ann.Grants[len(ann.Grants)-1].Source != "product" {
		t.Errorf("the product states it: %+v", ann.Grants)
	}
	expect(t, b.mustImport(t, "spreadsheet", rows), 1, 0, 0, 1, 0, 0)
	b.Policy.StateRoles = []string{"customer"}
	b.mustImport(t, "billing", "account_id,name,email,role\nA,Bob,bob@x.example,owner\n")
	if person(t, b.view(t, "A"), "bob@x.example").Value.Approved() {
		t.Error("an operator's stricter policy is not heeded")
	}
}

// Records from before roles had places keep their rights.
func TestRolesWithoutGrantsCountAsStated(t *testing.T) {
	var c Contact
	if err := json.Unmarshal([]byte(`{"account":"acc_1","sites":["sit_1"],"roles":["owner","billing"],"sources":[{"source":"crm","first_seen":"2022-01-01T00:00:00Z","last_seen":"2022-01-01T00:00:00Z"}]}`), &c); err != nil {
		t.Fatal(err)
	}
	if !c.Approved() || !c.ApprovedFor("sit_1") || c.ApprovedFor("sit_2") || c.AllGrants()[0].Source != "crm" {
		t.Errorf("%+v", c.AllGrants())
	}
	c.setGrant("owner", "sit_1", RoleRevoked, Origin{Source: "staff"})
	if c.Approved() || !slices.Equal(c.Roles, []string{"billing"}) {
		t.Errorf("revoked: %v %+v", c.Roles, c.Grants)
	}
}

func TestARevokedRoleStaysRevoked(t *testing.T) {
	b := one(t)
	rows := "account_id,name,email,role,confirmed_at\nA,Ann,ann@x.example,owner,2022-04-01\n"
	b.mustImport(t, "crm", rows)
	ann := b.view(t, "A").Contacts[0]
	do := func(by string, state RoleState) error {
		return b.DB.Update(context.Background(), store.Act{By: by, Verb: "test.role"}, func(tx *store.Tx) error {
			return b.SetRole(tx, RoleChange{Contact: ann.ID, Role: Owner, State: state, Why: "left the company", By: by, How: ByStaff})
		})
	}
	if err := do("stf_ada", RoleRevoked); err != nil {
		t.Fatal(err)
	}
	if b.view(t, "A").Contacts[0].Value.Approved() {
		t.Fatal("she still speaks for the account")
	}
	for _, source := range []string{"crm", "product", "spreadsheet", "outreach", "customer"} {
		expect(t, b.mustImport(t, source, rows), 1, 0, map[bool]int{true: 0, false: 1}[source == "crm"], map[bool]int{true: 1, false: 0}[source == "crm"], 0, 0)
		if b.view(t, "A").Contacts[0].Value.Approved() {
			t.Errorf("brought back by a stale word of %s", source)
		}
	}
	fresh := strings.Replace(rows, "2022-04-01", "2022-04-05T23:00:00Z", 1)
	b.mustImport(t, "billing", fresh)
	if b.view(t, "A").Contacts[0].Value.Approved() {
		t.Error("brought back by a fresher and weaker word")
	}
	b.mustImport(t, "customer", fresh)
	if !b.view(t, "A").Contacts[0].Value.Approved() {
		t.Error("the customer's own and fresher word is not heard")
	}
	// Who proposed cannot confirm.
	if err := do("stf_ada", RoleRevoked); err != nil {
		t.Fatal(err)
	}
	if err := do("stf_ada", RoleProposed); err != nil {
		t.Fatal(err)
	}
	if err := do("stf_ada", RoleConfirmed); fault.Of(err) != fault.Forbidden {
		t.Errorf("one person proposed and confirmed: %v", err)
	}
	if err := do("stf_bea", RoleConfirmed); err != nil {
		t.Error(err)
	}
	g, _ := b.view(t, "A").Contacts[0].Value.grantAt(Owner, "")
	if g.State != RoleConfirmed || g.By != "stf_bea" || g.Why == "" || g.Seen.IsZero() {
		t.Errorf("%+v", g)
	}
}

func TestAChangeOfARoleTakesTwoPeople(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		ctx := context.Background()
		b.Changes = &Changes{DB: b.DB, Verbs: []Verb{b.RoleVerb()}, Log: b.Log}
		b.mustImport(t, "crm", "account_id,site_id,name,email,role\nA,S-1,Ann,ann@x.example,billing\nB,S-2,Bob,bob@x.example,owner\n")
		ann := b.view(t, "A").Contacts[0]
		input := func(site string) json.RawMessage {
			return json.RawMessage(fmt.Sprintf(`{"contact_id":%q,"role":"owner","site_id":%q,"state":"confirmed"}`, ann.ID, site))
		}
		if _, err := b.Changes.Propose(ctx, "stf_ada", Proposal{Verb: VerbRole, Input: input("S-2"), Reason: "she is"}); fault.Of(err) != fault.Invalid {
			t.Fatalf("a site of another account: %v", err)
		}
		rec, err := b.Changes.Propose(ctx, "stf_ada", Proposal{Verb: VerbRole, Input: input("S-1"), Reason: "called the switchboard"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Changes.Run(ctx, "stf_ada", rec.ID); fault.Of(err) != fault.Forbidden {
			t.Fatalf("run by one person: %v", err)
		}
		if _, err := b.Changes.Approve(ctx, "stf_bea", rec.ID, rec.Value.Digest); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Changes.Run(ctx, "stf_ada", rec.ID); err != nil {
			t.Fatal(err)
		}
		now := b.view(t, "A").Contacts[0].Value
		g, _ := now.grantAt(Owner, b.view(t, "A").Sites[0].ID)
		if !now.Approved() || g.Source != "staff" || g.Why != "called the switchboard" {
			t.Errorf("%+v", now.Grants)
		}
		if _, err := b.Changes.Undo(ctx, "stf_bea", rec.ID, "a mistake"); err != nil {
			t.Fatal(err)
		}
		if b.view(t, "A").Contacts[0].Value.Approved() {
			t.Error("undone, and she still speaks for the site")
		}
	})
}
