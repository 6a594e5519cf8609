package portal

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/templates"
)

var yoursLink = regexp.MustCompile(`/y/\S+`)

// announced publishes a statement and gives, by address, the link to their own sites that mails to contacts carry.
func (h *house) announced(out *sent, incident string, s map[string]any, to ...string) map[string]string {
	h.Helper()
	s["channels"] = []string{"email", "page"}
	u := h.draft(incident, s)
	h.post(auth.Approver, "/api/v1/updates/"+u.ID+"/approve", nil).want(200)
	h.post(auth.Comms, "/api/v1/updates/"+u.ID+"/publish", nil).want(200)
	links := map[string]string{}
	for len(links) < len(to) {
		m := out.next()
		all := yoursLink.FindAllString(m.Text, -1)
		for _, address := range to {
			if m.To != address || len(all) == 0 {
				continue
			}
			links[address] = all[0]
			before, _, _ := strings.Cut(m.Text, h.URL+all[0])
			if words := h.Portal.Words.Catalog(m.Locale).T("yours.mail"); len(all) != 1 || !strings.HasSuffix(strings.TrimSpace(before), words) || !strings.HasSuffix(strings.TrimSpace(m.Text), all[0]) {
				h.Errorf("the link of %s is not the last thing in her mail, and in it once:\n%s", address, m.Text)
			}
			if strings.Count(m.HTML, `href="`+h.URL+all[0]+`"`) != 1 {
				h.Errorf("the link of %s stands elsewhere in the page of her mail", address)
			}
		}
	}
	return links
}

// A contact sees by the link in her mail how her own sites stand; with a code to the same address what they are restored to. Whoever it is forwarded to sees no more than the
// link shows, and it shows nothing once she has no role.
func TestAContactSeesHerOwnSitesByTheLinkInHerMail(t *testing.T) {
	h := open(t)
	h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=billing", media: "text/csv", body: theContacts +
		"Acme,A-1,,,Cy Roe,executive,cy@acme.example,,de,2022-04-01\nAcme,A-1,Acme four,S-5,,,,,,\n"}).want(200)
	h.clock.Turn(31 * 24 * time.Hour) // what was imported just now proves nothing
	incident := h.declare()
	h.do(ask{as: auth.Engineer, method: "PUT", path: "/api/v1/incidents/" + incident + "/affected", media: "text/csv", body: "site_id\nS-1\nS-2\nS-3\nS-4\n"}).want(200)
	out := h.send()
	links := h.announced(out, incident, h.statement(), "ann@acme.example", "bo@acme.example", "cy@acme.example")
	look := func(link string, header ...string) answer {
		t.Helper()
		a := ask{method: "GET", path: link + "?lang=en"}
		if len(header) > 0 {
			a.header = map[string]string{"Cookie": header[0]}
		}
		return h.do(a)
	}
	ann, cy := links["ann@acme.example"], links["cy@acme.example"]

	point := h.clock.Now().Add(-26 * time.Hour).Format(time.RFC3339)
	h.moves(auth.Engineer, incident, fmt.Sprintf(`{"site_id":"S-1","state":"restoring","restore_point":%q}`, point), `{"site_id":"S-2","state":"rebuilt"}`)
	for _, state := range []string{"passed", "handed_back"} {
		h.moves(auth.Commander, incident, fmt.Sprintf(`{"site_id":"S-2","state":%q,"reason":"she said so by phone"}`, state))
	}
	private := []string{"Cy Roe", "Ann Lee", "Bo Chen", "@acme.example\"", "ann@", "Restore point</dt>", "Confidence", point[:10], "L1", "L2"}
	look(cy).want(200).says("Acme one", "Impaired", "being restored", "Acme two", "Restored", "Acme three", "waits to be restored", "Acme four", "Not known yet", "next update to everyone is due", "c…@acme.example").silent(private...)
	look(ann).want(200).says("Acme one", "Impaired").silent(append(private[3:], "Acme two", "Acme three", "Bolt")...)
	for _, l := range templates.Locales() {
		h.do(ask{method: "GET", path: cy + "?lang=" + l}).want(200).says(`lang="` + l + `"`).silent("⟦")
	}
	if in := h.do(ask{method: "GET", path: cy}).want(200); !strings.Contains(string(in.body), `<html lang="de"`) {
		t.Error("a browser that names no language does not get the contact's")
	}

	// Nobody makes one of hers out of another's.
	mine, others := strings.Split(strings.TrimPrefix(ann, "/y/"), "."), strings.Split(strings.TrimPrefix(cy, "/y/"), ".")
	for _, forged := range []string{others[0] + "." + mine[1] + "." + mine[2], mine[0] + "." + mine[1] + "x." + mine[2], mine[0] + "." + mine[1], "x", h.Gate.Key.SignLink(comms.SitesPurpose("eve@acme.example"), mine[0]+"."+mine[1])} {
		look("/y/" + forged).want(404).silent("Acme")
	}

	// A code goes to the address of the link, whatever is typed.
	asked := h.do(ask{method: "POST", path: cy + "/code?lang=en", media: form, body: url.Values{"to": {"eve@evil.example"}}.Encode()}).want(200).says("c…@acme.example")
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/incidents/" + incident + "/cohorts/older", body: map[string]any{"name": "Older copies", "at_most": "PT48H", "site_ids": []string{"S-3"}}}).want(200)
	code, pending := "", string(pendingField.FindSubmatch(asked.body)[1])
	for code == "" { // news of her sites goes out as well
		mail := out.to("cy@acme.example")
		if code = sixDigits.FindString(mail.Text); code != "" && strings.Contains(mail.Text, "/me?k=") {
			t.Errorf("the mail with the code opens another page:\n%s", mail.Text)
		}
	}
	wrong := "000000"
	if code == wrong {
		wrong = "111111"
	}
	give := func(link, code string) answer {
		t.Helper()
		return h.do(ask{method: "POST", path: link + "?lang=en", media: form, body: url.Values{"pending": {pending}, "code": {code}}.Encode()})
	}
	give(cy, wrong).want(422).silent("Restore point</dt>")
	fine := give(cy, code).want(200).says("Restore point</dt>", point[:10], "Work lost from before the failure: 1 day 2 hours", "Confidence: low", "Not known yet, nor is how much is lost", "At most 2 days of data may be lost").silent("Ann Lee", "Bo Chen", "Cy Roe")
	cookie, _, _ := strings.Cut(fine.Header.Get("Set-Cookie"), ";")
	look(cy, cookie).says("Restore point</dt>")
	look(cy).silent("Restore point</dt>")          // forwarded
	look(ann, cookie).silent("Restore point</dt>") // a code for one shows nothing of another's
	h.clock.Turn(time.Hour)
	look(cy, cookie).want(200).silent("Restore point</dt>")

	// All affected sites are known by now: the others are not impaired.
	again := h.announced(out, incident, h.statement(func(s map[string]any) {
		s["affected"] = map[string]any{"who": "A site that cannot be opened.", "sites": 4, "customers": 2, "status": "final", "confidence": "high"}
	}), "cy@acme.example")
	if again["cy@acme.example"] != cy {
		t.Error("each mail of an incident has another link")
	}
	look(cy).says("Not impaired", "Impaired").silent("Not known yet")

	err := h.DB.Update(t.Context(), store.Act{By: "stf_test", Verb: "contact.role"}, func(tx *store.Tx) error {
		who, err := h.Book.ByAddress(tx, contacts.Email, "cy@acme.example")
		if err != nil || len(who) != 1 {
			return fmt.Errorf("%d contacts, %w", len(who), err)
		}
		return h.Book.SetRole(tx, contacts.RoleChange{Contact: who[0].ID, Role: contacts.Executive, State: contacts.RoleRevoked, Why: "she left", By: "stf_test", How: contacts.ByStaff})
	})
	if err != nil {
		t.Fatal(err)
	}
	look(cy).want(404).says("no longer on file", "/support", "/me").silent("Acme", "Impaired")
	h.do(ask{method: "POST", path: cy + "/code", media: form, body: ""}).want(404)
	look(ann).want(200)
}

// The link says nothing of an incident that nobody was told of, nothing of a drill, and nothing at all once its own incident is long over. A code to an address that was imported
// just now proves nothing.
func TestTheLinkToHerSitesSaysNothingAheadOfTheNews(t *testing.T) {
	h := open(t)
	h.loadContacts()
	first := h.declare()
	load := func(incident string) {
		t.Helper()
		h.do(ask{as: auth.Engineer, method: "PUT", path: "/api/v1/incidents/" + incident + "/affected", media: "text/csv", body: "site_id\nS-1\n"}).want(200)
	}
	load(first)
	out := h.send()
	link := h.announced(out, first, h.statement(), "ann@acme.example")["ann@acme.example"] + "?lang=en"
	h.moves(auth.Engineer, first, `{"site_id":"S-1","state":"rebuilt"}`)
	for _, state := range []string{"passed", "handed_back"} {
		h.moves(auth.Commander, first, fmt.Sprintf(`{"site_id":"S-1","state":%q,"reason":"by hand"}`, state))
	}
	look := func() answer {
		t.Helper()
		return h.do(ask{method: "GET", path: link})
	}
	second := h.declare()
	load(second)
	look().want(200).says("Restored").silent("Impaired")

	asked := h.do(ask{method: "POST", path: strings.Replace(link, "?", "/code?", 1), media: form, body: ""}).want(200)
	code := ""
	for code == "" {
		code = sixDigits.FindString(out.to("ann@acme.example").Text)
	}
	h.do(ask{method: "POST", path: link, media: form, body: url.Values{"pending": {string(pendingField.FindSubmatch(asked.body)[1])}, "code": {code}}.Encode()}).want(200).
		says("recorded too recently", "Restored").silent("Restore point</dt>")

	h.announced(out, second, h.statement(), "ann@acme.example")
	look().want(200).says("Impaired").silent("Restored</span>")

	err := h.DB.Update(t.Context(), store.Act{By: "stf_test", Verb: "contact.amend"}, func(tx *store.Tx) error {
		who, err := h.Book.ByAddress(tx, contacts.Email, "ann@acme.example")
		if err != nil || len(who) != 1 {
			return fmt.Errorf("%d contacts, %w", len(who), err)
		}
		return h.Book.Amend(tx, contacts.Amend{Account: who[0].Value.Account, Contact: who[0].ID, Channel: contacts.Email, Value: "ann@acme.example", Drop: true})
	})
	if err != nil {
		t.Fatal(err)
	}
	look().want(404).silent("Acme")
}

// She says by a button that she has read an update. Programs that follow her link, or post to it, say nothing for her; the board, the lists and the table of the staff agree.
func TestSheAloneSaysThatSheHasRead(t *testing.T) {
	h := open(t)
	h.loadContacts()
	h.clock.Turn(31 * 24 * time.Hour) // what was imported just now proves nothing
	incident := h.world()
	out := h.send()
	link := h.announced(out, incident, h.statement(), "ann@acme.example", "bo@acme.example", "dai@bolt.example")["ann@acme.example"]
	said := h.items("/api/v1/incidents/" + incident + "/updates")[0]["id"].(string)
	path := "/api/v1/updates/" + said
	h.settled(path, func(r comms.Reach) bool { return r.Done })
	read := func() (r comms.Reach) {
		t.Helper()
		h.get(auth.Auditor, path+"/reach").want(200).into(&r)
		if sum := r.Read.Acknowledged + r.Read.Opened + r.Read.Neither + r.Read.NoLink; sum != r.Audience.People {
			t.Errorf("%+v of %d people", r.Read, r.Audience.People)
		}
		return r
	}
	look := func(header ...string) answer {
		t.Helper()
		a := ask{method: "GET", path: link + "?lang=en", header: map[string]string{}}
		for i := 0; i < len(header); i += 2 {
			a.header[header[i]] = header[i+1]
		}
		return h.do(a).want(200)
	}
	press := func(body string) answer {
		t.Helper()
		return h.do(ask{method: "POST", path: link + "/read?lang=en", media: form, body: body}).want(303)
	}
	look().says("I have read this", "Update 1,", "A script deleted sites").silent("You told us")
	look("Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Purpose", "prefetch")
	press("")
	press("update=upd_x")
	h.do(ask{method: "POST", path: link + "/read", media: form, body: "update=" + said, header: map[string]string{"Sec-Fetch-Site": "cross-site"}}).want(403)
	if r := read().Read; r != (comms.Readers{Neither: 3}) {
		t.Errorf("programs read for people: %+v", r)
	}
	look("Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
	if r := read().Read; r != (comms.Readers{Opened: 1, Neither: 2}) {
		t.Errorf("%+v", r)
	}
	h.post(auth.Support, path+"/outreach", map[string]any{}).want(422)
	silent := h.items(path + "/readers?approved=true&read=opened")
	if len(silent) != 1 {
		t.Fatalf("%v", silent)
	}
	listed := "/desk/updates/" + said + "/readers?approved=true&read=opened"
	h.staffPage(auth.Support, listed).want(200).says("Ann Lee", "Have those ticked called", silent[0]["contact_id"].(string)).silent("⟦")
	h.form(auth.Support, listed, url.Values{"contacts": {silent[0]["contact_id"].(string)}}).want(303)
	owed := h.items("/api/v1/tasks?incident=" + incident)
	calls := slices.IndexFunc(owed, func(task map[string]any) bool { return task["what"] == comms.OutreachRead })
	if calls < 0 {
		t.Fatalf("nobody is owed a call: %v", owed)
	}
	h.staffPage(auth.Support, "/desk/tasks/"+owed[calls]["id"].(string)).want(200).says("Ann Lee", "a…@acme.example")
	h.staffPage(auth.Commander, "/desk/incidents/"+incident).want(200).says("1 person to be called who has not said that she read update 1").silent("⟦")

	field := regexp.MustCompile(`name="update" value="([^"]+)"`).FindSubmatch(look().body)
	if field == nil {
		t.Fatal("the form names no update")
	}
	press("update=" + string(field[1]))
	press("update=" + string(field[1]))
	if r := read(); r.Read != (comms.Readers{Acknowledged: 1, Neither: 2}) || r.ReadApproved.Acknowledged != 1 {
		t.Errorf("%+v", r)
	}
	for _, l := range templates.Locales() {
		h.do(ask{method: "GET", path: link + "?lang=" + l}).want(200).says(h.Portal.Words.Catalog(l).T("yours.read.title")).silent("⟦", "<button class=\"button strong\" type=\"submit\">"+h.Portal.Words.Catalog(l).T("yours.read"))
	}
	for _, by := range []string{"person", "customer", "site"} {
		if n := len(h.items(path + "/readers?read=acknowledged&by=" + by)); n == 0 {
			t.Errorf("nobody acknowledged by %s", by)
		}
		h.staffPage(auth.Comms, "/desk/updates/"+said+"/readers?by="+by).want(200).says("acknowledged", ">Acme</a>").silent("⟦")
	}
	h.get(auth.Support, "/api/v1/tasks/"+owed[calls]["id"].(string)).want(200).says(`"done"`)

	// What is kept of her reading is in what she sees and takes away of her own record.
	g := h.opensOwn(out, "ann@acme.example")
	for _, l := range templates.Locales() {
		h.do(ask{method: "GET", path: "/me?lang=" + l, header: map[string]string{"Cookie": g.cookie}}).want(200).says(h.Portal.Words.Catalog(l).T("own.what.opened"), h.Portal.Words.Catalog(l).T("own.what.acknowledged")).silent("⟦")
	}
	var mine struct{ Held []desk.Held }
	h.do(ask{method: "POST", path: "/me/copy", media: form, body: url.Values{"visit": {visitOf(g.page)}}.Encode()}).want(200).into(&mine)
	hers := map[string]string{}
	for _, held := range mine.Held {
		if !held.Since.IsZero() && (held.What == "opened" || held.What == "acknowledged") {
			hers[held.What] = held.Value
		}
	}
	same(t, "what is kept of her reading", hers, map[string]string{"opened": "A script deleted sites", "acknowledged": "A script deleted sites"})

	table := h.get(auth.Auditor, path+"/deliveries?format=csv").want(200)
	rows, err := csv.NewReader(bytes.NewReader(table.body)).ReadAll()
	if err != nil || len(rows) != 1+len(h.items(path+"/deliveries")) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	told := map[string]int{}
	for _, row := range rows[1:] {
		if row[14] != "" {
			told[row[1]+" "+row[6]+" "+row[9]]++
		}
		if strings.Contains(row[7], "ann@") || strings.Contains(row[7], "+1202555") {
			t.Errorf("%q is not masked", row[7])
		}
	}
	same(t, "who acknowledged, in the table", told, map[string]int{"Acme email sent": 1})
	if !slices.ContainsFunc(h.items("/api/v1/audit?of="+said), func(row map[string]any) bool { return row["verb"] == "update.reach.fetch" }) {
		t.Error("who took the table away is not in the audit log")
	}
}
