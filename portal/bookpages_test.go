package portal

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
)

// sitting is somebody at a browser, signed in.
type sitting struct {
	*house
	cookie, csrf string
}

func (h *house) sits(role auth.Role) sitting {
	h.Helper()
	cookie, csrf := h.signIn(role)
	return sitting{h, cookie.String(), csrf}
}

func (s sitting) page(path string) answer {
	s.Helper()
	return s.do(ask{method: "GET", path: path, header: map[string]string{"Cookie": s.cookie, "Accept": "text/html"}})
}

// press sends a form.
func (s sitting) press(path string, fields ...string) answer {
	s.Helper()
	form := url.Values{"csrf": {s.csrf}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return s.do(ask{method: "POST", path: path, media: "application/x-www-form-urlencoded", body: form.Encode(),
		header: map[string]string{"Cookie": s.cookie, "Origin": s.URL, "Accept": "text/html"}})
}

// brings sends a file.
func (s sitting) brings(csrf, source, snapshot, file string) answer {
	s.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range [][2]string{{"csrf", csrf}, {"source", source}, {"snapshot", snapshot}} {
		if f[1] != "" {
			if err := w.WriteField(f[0], f[1]); err != nil {
				s.Fatal(err)
			}
		}
	}
	part, err := w.CreateFormFile("file", "../contacts.csv")
	if err == nil {
		_, err = part.Write([]byte(file))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		s.Fatal(err)
	}
	return s.do(ask{method: "POST", path: "/desk/import", media: w.FormDataContentType(), body: b.String(),
		header: map[string]string{"Cookie": s.cookie, "Origin": s.URL, "Accept": "text/html"}})
}

// imports runs what people bring to the desk until the test ends.
func (h *house) importing() {
	h.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); h.RunImports(ctx) }()
	h.Cleanup(func() { stop(); <-done })
}

// settled waits until nothing goes on behind the page any more.
func (s sitting) settled(path string) answer {
	s.Helper()
	late := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		a := s.page(path).want(200)
		if !bytes.Contains(a.body, []byte("<progress")) {
			return a
		}
		select {
		case <-tick.C:
		case <-late:
			s.Fatalf("%s goes on for ever:\n%s", path, a.body)
		}
	}
}

func (h *house) bring(source, rows string) {
	h.Helper()
	h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=" + source, media: "text/csv", body: rows}).want(200)
}

func (h *house) accountID(any string) string {
	h.Helper()
	id, err := h.Book.AccountID(context.Background(), any)
	if err != nil {
		h.Fatal(err)
	}
	return id
}

// One page says all that is known of a customer, in an incident as well, and never an address in full or a stranger's markup.
func TestAnAccountIsOnePage(t *testing.T) {
	t.Parallel()
	h := open(t)
	const evil = `<script>alert(1)</script>`
	h.bring("billing", `account,account_id,site,site_id,site_url,name,role,email,phone,locale,confirmed_at,domain,tier,former_names
"Acme `+evil+`",A-1,Acme one,S-1,https://one.acme.example,Ann Lee,owner,ann@acme.example,+12025550101,en,2022-04-01,acme.example,0,Acme Widgets
,A-1,Acme two,S-2,,Bo `+strings.Repeat("x", 150)+`,technical,bo@acme.example,,zh-CN,2022-04-01,,,
,A-1,,S-3,,,,,,,,,,
`)
	h.bring("crm", "account,account_id,confirmed_at\nAcme Inc,A-1,2022-04-01\n")
	h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/events/product", body: map[string]any{"type": "site.deleted", "site_ids": []string{"S-2"}}}).want(200)
	inc := h.declare()
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/incidents/" + inc + "/affected", media: "text/csv", body: "site_id\nS-1\nS-2\n"}).want(200)
	id := h.accountID("A-1")
	err := h.DB.Update(context.Background(), store.Act{By: "tok_auto", Verb: "test.find"}, func(tx *store.Tx) error {
		return h.Comms.Found(tx, contacts.Finding{What: contacts.Shrunk, Source: "billing", Of: id, Account: id, Count: 1})
	})
	if err != nil {
		t.Fatal(err)
	}
	u := h.post(auth.Comms, "/api/v1/incidents/"+inc+"/updates", h.statement()).want(201)
	h.post(auth.Approver, "/api/v1/updates/"+u.text("id")+"/approve", nil).want(200)
	out := h.send()
	h.post(auth.Comms, "/api/v1/updates/"+u.text("id")+"/publish", nil).want(200)
	for range 3 {
		out.next()
	}

	lead := h.sits(auth.Support)
	page := lead.page("/desk/accounts/A-1").want(200)
	page.says("Acme &lt;script&gt;", "formerly", "Acme Widgets", "A-1", id, "acme.example", "S-1", "Tier 0",
		"a…@acme.example", "owner · stated", "technical · stated", "May speak for the customer", "To be told only",
		"lost", "deleted in the product 2022-04-05", "confirmed 2022-04-01", "A script deleted sites",
		"The source billing names nobody", "billing", "crm", "desk/conflicts?account="+id)
	page.silent(evil, "ann@acme.example", "+12025550101", "⟦")
	// The owner was named with S-1 alone: nobody speaks for the others.
	page.says("1 of 3 sites", "nobody may speak for it: 2 sites")
	h.sits(auth.Engineer).page("/desk/accounts/A-1").want(403)
	lead.page("/desk/accounts/nobody").want(404).says(`<a href="/desk">Desk</a>`) // the way back leads to the desk, not to the public page
	h.sits(auth.Auditor).page("/desk/accounts/A-1").want(200).silent("/delete", "/roles")
}

// What one person may do on the page is done with a reason and can be taken back; what takes two becomes a change, which the other one finds.
func TestACustomerIsDeletedAndBroughtBack(t *testing.T) {
	h := open(t)
	h.loadContacts()
	desk := h.sits(auth.Support)
	id := h.accountID("A-1")
	at := "/desk/accounts/" + id
	if a := desk.press(at+"/delete", "reason", "").want(422); !bytes.Contains(a.body, []byte(`role="alert"`)) {
		t.Errorf("nothing is said of the missing reason:\n%s", a.body)
	}
	desk.press(at+"/delete", "reason", "asked to").want(303)
	gone := desk.page(at).want(200)
	gone.says("was deleted on 2022-04-05", "Bring it back")
	gone.silent("Ann Lee")
	h.get(auth.Support, "/api/v1/accounts/A-1").want(404)
	desk.press(at+"/restore", "reason", "a mistake").want(303)
	desk.page(at).want(200).says("Ann Lee", "S-3")

	var account accountView
	h.get(auth.Support, "/api/v1/accounts/A-1").want(200).into(&account)
	ann := account.Contacts[0]
	desk.press(at+"/roles", "contact", ann.ID, "role", ann.Roles[0], "site", ann.Sites[0], "state", "sideways", "reason", "x").want(422)
	to := desk.press(at+"/roles", "contact", ann.ID, "role", ann.Roles[0], "site", ann.Sites[0], "state", "revoked", "reason", "she left").want(303).Header.Get("Location")
	desk.page(at).says(to, "Confirm a role or take it away")
	second := h.sits(auth.Approver)
	second.page("/desk/changes").want(200).says(to, "she left", "waits for you")
	second.press(at+"/roles", "contact", ann.ID).want(403)
	second.press(at+"/delete", "reason", "x").want(403)
	desk.press(at+"/merge", "other", "A-2", "reason", "one customer").want(303)
	desk.press(at+"/merge", "other", " ", "reason", "one customer").want(422).says(`class="wrong"`)
	desk.press(at+"/contacts", "contact", ann.ID, "reason", "asked to").want(303)
	desk.page(at).silent("Ann Lee")
}

// A change is read, approved by somebody else, run and undone; a button is there only for whom it will not refuse.
func TestAChangeTakesTwoPeopleOnItsPage(t *testing.T) {
	h := open(t)
	h.loadContacts()
	author, second, reader := h.sits(auth.Support), h.sits(auth.Approver), h.sits(auth.Auditor)
	author.page("/desk/changes").want(200).says("Nothing waits for a second person")
	rec, err := h.Changes.Propose(context.Background(), h.personOf(author), contacts.Proposal{Verb: "account.delete", Reason: "<b>both</b> are tests",
		Input: []byte(`{"ids":["A-1","A-2"]}`), Rehearse: 1})
	if err != nil {
		t.Fatal(err)
	}
	at := "/desk/changes/" + rec.ID
	mine := author.page(at).want(200)
	mine.says("Delete customers", "&lt;b&gt;both", "2 accounts", "Acme", "a second person must approve", "stops after", "Take it back")
	mine.silent(`value="approve"`, `value="run"`, "ann@acme")
	reader.page(at).want(200).silent(`name="act"`)
	reader.press(at, "act", "run").want(403)
	author.press(at, "act", "approve", "digest", rec.Value.Digest).want(403)
	author.press(at, "act", "run").want(403).says(`role="alert"`)
	second.page(at).want(200).says(`value="approve"`, rec.Value.Digest)
	second.press(at, "act", "approve", "digest", "another").want(422)
	second.press(at, "act", "approve", "digest", rec.Value.Digest).want(303)
	second.press(at, "act", "run").want(403) // she may approve, and not do it
	author.page(at).want(200).says(`value="run"`)
	author.press(at, "act", "run").want(303)
	author.page(at).want(200).says("Rehearsed", "Go on with the rest")
	h.get(auth.Support, "/api/v1/accounts/A-2").want(200)
	author.press(at, "act", "run").want(303)
	h.get(auth.Support, "/api/v1/accounts/A-2").want(404)
	author.page(at).want(200).says("Undo all of it", "Can be undone until")
	author.press(at, "act", "undo", "reason", "they were not").want(303)
	author.page(at).want(200).says("Undone").silent(`value="undo"`)
	h.get(auth.Support, "/api/v1/accounts/A-2").want(200)
	author.press(at, "act", "dance").want(422)

	lead := h.sits(auth.Commander)
	lead.press("/desk/changes", "reason", "").want(422)
	out := lead.press("/desk/changes", "reason", "for the print run").want(303).Header.Get("Location")
	second.page("/desk/changes").says(out)
	second.press(out, "act", "refuse", "reason", "no").want(303)
	lead.page(out).want(200).says("Refused").silent(`name="act"`)
	lead.page("/desk/changes?state=refused").want(200).says(out)
	lead.page("/desk/changes?state=all").want(200).says(out, at)
}

// personOf is the id of whoever sits there.
func (h *house) personOf(s sitting) string {
	h.Helper()
	_, value, _ := strings.Cut(s.cookie, "=")
	person, _, err := h.Gate.Session(context.Background(), value)
	if err != nil {
		h.Fatal(err)
	}
	return person.ID
}

// Both sides of a conflict are on the page; one key decides, and the same word is not asked about again.
func TestConflictsAreDecidedOnTheirPage(t *testing.T) {
	h := open(t)
	h.Book.Changes = h.Changes
	desk := h.sits(auth.Support)
	desk.page("/desk/conflicts").want(200).says("Nothing to decide")
	const head = "account_id,account,name,email,role\n"
	h.bring("crm", head+"A-1,Acme,Ann,ann@acme.example,owner\nA-1,Acme,Bob,bob@acme.example,billing\n")
	h.bring("billing", head+"A-1,Acme,<i>Anna</i>,ann@acme.example;bob@acme.example,owner\n")
	page := desk.page("/desk/conflicts?account=A-1").want(200)
	page.says("&lt;i&gt;Anna", "Ann<", "crm · billing or CRM", "billing · billing or CRM", `data-press="t"`, `data-press="s"`, "b…@acme.example", "never confirmed")
	page.silent("bob@acme.example", "<i>Anna")
	h.sits(auth.Auditor).page("/desk/conflicts").want(200).says("Anna").silent("data-press")
	h.sits(auth.Auditor).press("/desk/conflicts").want(403)

	open, _, err := h.Book.OpenConflicts(context.Background(), "", store.Query{})
	if err != nil || len(open) != 2 {
		t.Fatalf("%+v, %v", open, err)
	}
	for _, c := range open {
		if c.Field == contacts.Email {
			to := desk.press("/desk/conflicts", "conflict", c.ID, "decision", "same_person", "reason", "one desk").want(303).Header.Get("Location")
			desk.page(to).want(200).says("Merge contacts that are one person")
			desk.press("/desk/conflicts", "conflict", c.ID, "decision", "keep_apart", "reason", "asked").want(303)
			continue
		}
		desk.press("/desk/conflicts", "conflict", c.ID, "decision", "take_offered", "reason", " ").want(422).says(`class="wrong"`)
		desk.press("/desk/conflicts", "conflict", c.ID, "decision", "keep_apart", "reason", "asked").want(422)
		to := desk.press("/desk/conflicts", "conflict", c.ID, "decision", "take_offered", "reason", "asked her").want(303).Header.Get("Location")
		desk.page(to).want(200).says("not asked about again", `value="asked her"`, "Take it back")
		h.sits(auth.Auditor).press("/desk/conflicts", "act", "reopen", "of", c.Of, "conflict", c.ID).want(403)
		desk.page(desk.press("/desk/conflicts", "act", "reopen", "of", c.Of, "conflict", c.ID).want(303).Header.Get("Location")).want(200).says("it waits again", "Anna")
		desk.press("/desk/conflicts", "act", "reopen", "of", c.Of, "conflict", c.ID).want(404)
		var again struct{ Items []struct{ ID string } }
		h.do(ask{as: auth.Support, method: "GET", path: "/api/v1/contacts/conflicts?account=A-1"}).want(200).into(&again)
		for _, waits := range again.Items {
			desk.press("/desk/conflicts", "conflict", waits.ID, "decision", "take_offered", "reason", "asked her")
		}
	}
	desk.page("/desk/conflicts").want(200).says("Nothing to decide")
	desk.page("/desk/accounts/A-1").want(200).says("&lt;i&gt;Anna")
	desk.page("/desk/conflicts?account=nobody").want(404)
}

// A file is looked at, nothing changes, and then it is imported; what it would do, what is refused and why stand on the page.
func TestAFileIsLookedAtBeforeItIsImported(t *testing.T) {
	h := open(t)
	h.Secrets = Secrets{"signed": {[]byte("0123456789abcdef")}}
	h.importing()
	admin := h.sits(auth.Admin)
	h.sits(auth.Support).page("/desk/import").want(403)
	h.sits(auth.Support).brings("", "crm", "", "x").want(403)
	admin.page("/desk/import").want(200).says(`type="file"`, "at most 128 MiB", "former_site_ids")
	const file = "account_id,account,name,email,role\nA-1,Acme,<u>Ann</u>,ann@acme.example,owner\nA-2,Bolt,Bo,no address,owner\n"
	admin.brings("", "crm", "", file).want(403)
	admin.brings(admin.csrf+"x", "crm", "", file).want(403)
	admin.brings(admin.csrf, "", "", file).want(422).says(`class="wrong"`)
	admin.brings(admin.csrf, "Signed", "", file).want(422).says("signs what it sends")
	admin.brings(admin.csrf, "crm", "", "").want(422).says("is empty")
	admin.press("/desk/import", "source", "crm").want(403) // a form without a file has no place for the token either
	at := admin.brings(admin.csrf, "crm", "yes", file).want(303).Header.Get("Location")
	looked := admin.settled(at)
	looked.says("What the file would do", "&lt;u&gt;Ann", "a…@acme.example", "line 2", `<td class="number">3</td>`, "email", "full snapshot", "Import it")
	looked.silent("ann@acme.example", "<u>Ann")
	if n, err := h.Book.Count(context.Background()); err != nil || n != (contacts.Counts{}) {
		t.Fatalf("looking wrote %+v, %v", n, err)
	}
	admin.page("/desk/import").want(200).says(at)
	other := h.sits(auth.Admin)
	_ = other // the same person in another browser sees it too
	other.page(at).want(200)
	admin.press(at, "act", "run").want(303)
	admin.settled(at+"/live").says("Imported").silent("<html", `value="run"`)
	admin.press(at, "act", "run").want(409) // it is held no longer
	h.get(auth.Support, "/api/v1/accounts/A-1").want(200)
	h.get(auth.Support, "/api/v1/accounts/A-2").want(404)

	broken := admin.brings(admin.csrf, "crm", "", "no,columns,that,anybody,knows\n1,2,3,4,5\n").want(303).Header.Get("Location")
	admin.settled(broken).says("It did not work", "Bring another file").silent(`value="run"`) // it would not work the next time either
	again := admin.brings(admin.csrf, "crm", "", "account_id,account,name,email,role\nA-1,Acme,<u>Ann</u>,ann@acme.example,owner\n").want(303).Header.Get("Location")
	admin.settled(again)
	admin.press(again, "act", "run").want(303)
	admin.settled(again).says("Nothing new")
	broken = admin.brings(admin.csrf, "crm", "", "no,columns,that,anybody,knows\n").want(303).Header.Get("Location")
	admin.settled(broken)
	admin.press(broken, "act", "drop").want(303)
	admin.page(broken).want(404).says("Bring it again")
	admin.page(broken + "/live").want(404)
}

// An import that adds many addresses to customers whom the book knows waits; the page says for what, and goes on once somebody else agreed.
func TestAnImportByHandWaitsForASecondPerson(t *testing.T) {
	h := open(t)
	h.Book.Changes = h.Changes
	h.importing()
	rows := func(more string) string {
		var b strings.Builder
		b.WriteString("account_id,name,email,role\n")
		for i := range 40 {
			n := strconv.Itoa(i)
			b.WriteString("A" + n + ",P,p" + n + "@x.example" + strings.ReplaceAll(more, "N", n) + ",owner\n")
		}
		return b.String()
	}
	h.bring("product", rows(""))
	admin, second := h.sits(auth.Admin), h.sits(auth.Approver)
	at := admin.brings(admin.csrf, "product", "", rows(";evilN@bad.example")).want(303).Header.Get("Location")
	admin.settled(at).says("What the file would do", "40")
	admin.press(at, "act", "run").want(303)
	waits := admin.settled(at)
	waits.says("waits for a second person", "40 addresses", "also e…@bad.example", "The file is kept").silent(`value="run"`)
	to := regexp.MustCompile(`/desk/changes/chg_[0-9a-z]+`).FindString(string(waits.body))
	rec, err := h.Changes.Change(context.Background(), strings.TrimPrefix(to, "/desk/changes/"))
	if err != nil {
		t.Fatal(err)
	}
	second.page(to).want(200).says("Import a file that adds many addresses", `value="approve"`).silent(`value="run"`, "evil0@bad")
	second.press(to, "act", "approve", "digest", rec.Value.Digest).want(303)
	admin.page("/desk/import").says(to, "Files that wait for a second person")
	second.press(to, "act", "run").want(403) // she may approve, and not import
	admin.page(to).says(`value="run"`)
	admin.press(at, "act", "run").want(409) // what was brought is kept in the store by now, and not here
	admin.press(to, "act", "run").want(303)
	another := &contacts.Book{DB: h.DB, Policy: h.Book.Policy, Changes: h.Changes} // of another process
	if err := another.RunHeld(context.Background(), "another"); err != nil {
		t.Fatal(err)
	}
	admin.page(to).says("imported: 40 rows").silent(`value="run"`, "is being imported")
	admin.page("/desk/import").silent(to)
	admin.page("/desk/accounts/A0").want(200).says("e…@bad.example")
}

// How much of an affected set is covered, since when, and who reaches the others by hand.
func TestCoverageHasAPage(t *testing.T) {
	h := open(t)
	h.loadContacts()
	inc := h.declare()
	at := "/desk/incidents/" + inc + "/coverage"
	desk := h.sits(auth.Support)
	desk.page(at).want(200).says("No affected set is loaded yet")
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/incidents/" + inc + "/affected", media: "text/csv", body: "site_id\nS-1\nS-4\n"}).want(200)
	if err := h.Comms.Cover(context.Background(), inc); err != nil {
		t.Fatal(err)
	}
	desk.page(at).want(200).says("Covered 1 of 2 sites", "Bolt", "S-4", "nobody may speak for it", "/desk/tasks/tsk_", "nobody yet")
	desk.page("/desk/accounts/A-2").want(200).says("Reach a customer by hand", "Nobody may speak for this customer")
	var owed list[struct{ ID string }]
	h.get(auth.Support, "/api/v1/tasks?incident="+inc).want(200).into(&owed)
	desk.page("/desk/tasks/"+owed.Items[0].ID).want(200).says("Reach somebody", ">Sites deleted</a>", "nobody may speak for it", "(1 site)", "<dd>Bolt</dd>").silent("site_ids", "no_approved_contact", ">"+inc)
	desk.page("/desk/tasks").want(200).says("Reach the customer by hand: of 1 site nobody").silent(" late<")
	desk.page("/desk/tasks?lang=ja").want(200).says("お客様に手作業で連絡する：1サイト").silent("by hand")
	h.bring("billing", "account_id,name,email,role\nA-2,Eve,eve@bolt.example,owner\n")
	h.clock.Turn(25 * time.Hour)
	h.sits(auth.Support).page("/desk/tasks").want(200).says(" late<")
	if err := h.Comms.Cover(context.Background(), inc); err != nil {
		t.Fatal(err)
	}
	desk.page(at).want(200).says("Covered 2 of 2 sites", "Complete since", "took 25h0m0s").silent("Nobody to tell")
	h.page(auth.Automation, at)
}

// page is a staff page asked for with a program's token, which opens none.
func (h *house) page(as auth.Role, path string) {
	h.Helper()
	if a := h.get(as, path); a.StatusCode != 303 {
		h.Errorf("%s with a token: %d", path, a.StatusCode)
	}
}

// The headline says how many customers could be recovered, and the worst come first.
func TestWhoCouldNotBeRecoveredStandsInFront(t *testing.T) {
	h := open(t)
	desk := h.sits(auth.Support)
	desk.page("/desk/stale").want(200).says("Nothing in this list")
	h.loadContacts()
	page := desk.page("/desk/stale").want(200)
	page.says("Recoverable: 50.0 % of customers, 75.0 % of sites", "of 2 customers and 4 sites", "nobody confirmed may speak", "no phone", "format=csv", "nobody")
	page.silent("ann@acme.example", "⟦")
	if bad, good := bytes.Index(page.body, []byte(">Bolt<")), bytes.Index(page.body, []byte(">Acme<")); bad < 0 || good < bad {
		t.Errorf("Bolt, of whom nobody may speak, stands at %d and Acme at %d", bad, good)
	}
	desk.page("/desk/stale?after=x").want(422)
	desk.page("/desk/accounts/A-2").want(200).says("nobody confirmed may speak")
	h.sits(auth.Engineer).page("/desk/stale").want(403)
}

func TestHowFarACustomerCanBeReached(t *testing.T) {
	now := outbreak
	policy := contacts.DefaultPolicy()
	person := func(role, site string, confirmed time.Time, mend func(*contacts.Address)) store.Rec[contacts.Contact] {
		a := contacts.Address{Value: "p@x.example"}
		if mend != nil {
			mend(&a)
		}
		g := contacts.Grant{Role: role, State: contacts.RoleStated}
		if site != "" {
			g.Sites = []string{site}
		}
		return store.Rec[contacts.Contact]{Value: contacts.Contact{Grants: []contacts.Grant{g}, Emails: []contacts.Address{a}, ConfirmedAt: confirmed}}
	}
	bounced, fresh := func(a *contacts.Address) { a.Bounced = true }, now.Add(-time.Hour)
	sites := []store.Rec[contacts.Site]{{Meta: store.Meta{ID: "one"}}, {Meta: store.Meta{ID: "two"}}}
	for name, c := range map[string]struct {
		people []store.Rec[contacts.Contact]
		sites  []store.Rec[contacts.Site]
		want   string
	}{
		"nobody":                      {nil, sites, "no 0 0/2 no_approved_contact=2"},
		"nobody, and no site":         {nil, nil, "no 0 0/1 no_approved_contact=1"},
		"billing only":                {[]store.Rec[contacts.Contact]{person(contacts.Billing, "", fresh, nil)}, sites, "no 0 0/2 no_approved_contact=2"},
		"an owner":                    {[]store.Rec[contacts.Contact]{person(contacts.Owner, "", fresh, nil)}, sites, "yes 2 2/2 "},
		"an owner of long ago":        {[]store.Rec[contacts.Contact]{person(contacts.Owner, "", time.Time{}, nil)}, sites, "stale 0 2/2 stale=2"},
		"one bounced":                 {[]store.Rec[contacts.Contact]{person(contacts.Owner, "", fresh, bounced)}, sites, "no 0 0/2 bounced=2"},
		"one bounced, one of one":     {[]store.Rec[contacts.Contact]{person(contacts.Owner, "", fresh, bounced), person(contacts.SiteAdmin, "one", fresh, nil)}, sites, "part 1 1/2 bounced=1"},
		"the fresh one counts":        {[]store.Rec[contacts.Contact]{person(contacts.Owner, "", time.Time{}, nil), person(contacts.Owner, "", fresh, nil)}, sites, "yes 2 2/2 "},
		"an owner, and no site known": {[]store.Rec[contacts.Contact]{person(contacts.Owner, "", fresh, nil)}, nil, "yes 1 1/1 "},
	} {
		r := recoveryOf(contacts.View{Sites: c.sites, Contacts: c.people}, policy, now)
		var why []string
		for _, reason := range r.Reasons {
			why = append(why, reason.Why+"="+strconv.Itoa(reason.N))
		}
		if got := r.State() + " " + strconv.Itoa(r.Fresh) + " " + strconv.Itoa(r.Reached) + "/" + strconv.Itoa(r.Sites) + " " + strings.Join(why, " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
