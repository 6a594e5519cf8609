package portal

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
)

// twoOwners are further contacts of Acme and Bolt who may speak for them.
const twoOwners = `account,account_id,domain,site_id,name,role,email,phone,locale,confirmed_at
Acme,A-1,acme.example,S-1,Cy Moe,owner,cy@acme.example,+12025550109,en,2022-04-01
Bolt,A-2,bolt.example,S-4,Eli Poe,owner,eli@bolt.example,+12025550108,en,2022-04-01
`

// company is a house forty days after Acme and Bolt came into the book, on the day of an incident that has two sites of Acme's and one of Bolt's.
func company(t *testing.T, mend ...func(*Portal)) (*house, *sent) {
	t.Helper()
	h := open(t, mend...)
	h.loadContacts()
	h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=crm", media: "text/csv", body: twoOwners}).want(200)
	h.Book.Changes = h.Changes
	h.clock.Turn(40 * 24 * time.Hour)
	incident := h.declare()
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/incidents/" + incident + "/affected", media: "application/x-ndjson", body: "{\"site_id\":\"S-1\"}\n{\"site_id\":\"S-2\"}\n{\"site_id\":\"S-4\"}\n"}).want(200)
	return h, h.send()
}

// to is the next message to an address.
func (s *sent) to(address string) comms.Message {
	s.t.Helper()
	for {
		if m := s.next(); m.To == address {
			return m
		}
	}
}

// code gives back the code that comes to an address.
func (g *guest) code(out *sent, ask url.Values, to string) {
	g.Helper()
	g.sends("code", ask).want(200)
	pending := string(pendingField.FindSubmatch(g.page.body)[1])
	for {
		if code := sixDigits.FindString(out.to(to).Text); code != "" {
			g.sends("proof", url.Values{"pending": {pending}, "code": {code}}).want(303)
			return
		}
	}
}

// own goes from her ticket to her own page, which has a cookie of its own.
func (g *guest) own() *guest {
	g.Helper()
	own := *g
	own.sends("me", url.Values{}).want(200)
	own.at = "/me"
	return &own
}

// hint is the address on file that reads so when it is masked.
func (h *house) hint(number, masked string) string {
	h.Helper()
	all, err := h.Desk.OnFile(h.Context(), "stf_eve", number)
	if err != nil {
		h.Fatal(err)
	}
	for _, hint := range all {
		if hint.To == masked {
			return hint.ID
		}
	}
	h.Fatalf("%s is not on file: %+v", masked, all)
	return ""
}

// recognised is a contact of Acme's at her ticket who was called back, matched, and gave a code to her address on file.
func (h *house) recognised(out *sent, mail, masked string) (*guest, receiptAnswer) {
	h.Helper()
	mine := h.file(map[string]any{"message": "our wiki is gone, says " + mail, "email": mail, "locale": "en"})
	h.post(auth.Support, "/api/v1/tickets/"+mine.Number+"/account", map[string]any{"account_id": "A-1"}).want(200)
	at := h.hint(mine.Number, masked)
	contact, _, _ := strings.Cut(at, ".")
	for _, r := range []desk.Record{{Ticket: mine.Number, What: desk.ClassMatch, Contact: contact}, {Ticket: mine.Number, What: desk.ClassB, Hint: contact + ".sms.0", Reached: true, Note: "knew her words"}} {
		if _, err := h.Desk.Record(h.Context(), "stf_eve", r); err != nil {
			h.Fatal(err)
		}
	}
	g := h.comes(mine.Number, url.Values{"secret": {mine.Secret}})
	g.page.silent("Acme one", "Get recovery codes")
	g.code(out, url.Values{}, mail)
	g.page = g.looks()
	if !strings.Contains(string(g.page.body), "Get recovery codes") {
		g.code(out, url.Values{"hint": {at}}, mail)
	}
	return g, mine
}

// What the page of a ticket and her own page show of her company, at every level, of her account and of another: her own tickets and counts first, then all that
// her colleagues wrote and each site; and of another customer never anything, by whatever number she asks.
func TestWhatIsShownOfACompanyAtEachLevel(t *testing.T) {
	h, out := company(t)
	filed := func(account, mail, words string) receiptAnswer {
		t.Helper()
		r := h.file(map[string]any{"message": words, "email": mail, "name": "Writer of " + mail, "locale": "en"})
		if account != "" {
			h.post(auth.Support, "/api/v1/tickets/"+r.Number+"/account", map[string]any{"account_id": account}).want(200)
		}
		return r
	}
	colleague := filed("A-1", "bo@acme.example", "Bo's words about the wiki")
	attach := func(number, text, internal string, u upload) (id string) {
		t.Helper()
		media, body := multipartOf(t, map[string]string{"text": text, "internal": internal}, u)
		var v ticketAnswer
		h.do(ask{as: auth.Support, method: "POST", path: "/api/v1/tickets/" + number + "/messages", media: media, body: body}).want(201).into(&v)
		for _, m := range v.Messages {
			for _, f := range m.Files {
				if f.Name == u.name {
					id = f.ID
				}
			}
		}
		return id
	}
	plan := attach(colleague.Number, "how we restore", "false", upload{"plan.txt", []byte("first the wiki")})
	shot := attach(colleague.Number, "what we see", "false", upload{"shot.png", aPicture(t, 4, 4)})
	note := attach(colleague.Number, "careful with Bo", "true", upload{"note.txt", []byte("careful with Bo")})
	other := filed("A-2", "dai@bolt.example", "Dai's words about the shop")
	others := attach(other.Number, "for Dai", "false", upload{"dai.txt", []byte("Dai's plan")})
	nobodys := filed("", "x@acme.example", "words that hang on no account")
	second := filed("A-1", "ann@acme.example", "Ann's other words")
	mine := filed("A-1", "ann@private.example", "our wiki is gone")
	company := []string{"Acme two", "Bo's words", "Writer of", colleague.Number}
	never := []string{"Bolt", other.Number, nobodys.Number, "Dai", "careful with Bo"}

	shared := func(g *guest, at string) map[string]int {
		t.Helper()
		got := map[string]int{}
		for _, n := range []string{colleague.Number, other.Number, nobodys.Number, "000-000-000"} {
			a := g.do(ask{method: "GET", path: at + n, header: map[string]string{"Cookie": g.cookie}})
			got[n] = a.StatusCode
			a.silent(never[3:]...)
			if a.StatusCode == 200 {
				a.says("Bo&#39;s words about the wiki", at+n+"/files/"+plan, at+n+"/files/"+shot+"/picture").silent(`name="visit"`, never[0], "note.txt")
			}
			// A file opens where its ticket does, to whoever the page is shown, and nowhere else.
			for id, says := range map[string]string{plan: "first the wiki", shot: "PNG", shot + "/picture": "PNG", note: "", others: ""} {
				file := g.do(ask{method: "GET", path: at + n + "/files/" + id, header: map[string]string{"Cookie": g.cookie}})
				if opens := file.StatusCode == 200; opens != (a.StatusCode == 200 && says != "") || opens && !strings.Contains(string(file.body), says) {
					t.Errorf("file %s at %s%s: %d %.40q", id, at, n, file.StatusCode, file.body)
				}
				file.silent(never[3:]...)
			}
		}
		return got
	}
	none := map[string]int{colleague.Number: 404, other.Number: 404, nobodys.Number: 404, "000-000-000": 404}
	at := h.hint(mine.Number, "a…@acme.example")
	contact, _, _ := strings.Cut(at, ".")

	g := h.comes(mine.Number, url.Values{"secret": {mine.Secret}})
	g.page.says("Confirm with a code that we reach you there").silent(append(append(company, second.Number), never...)...) // L0
	same(t, "nothing shown yet", shared(g, g.at+"/shared/"), none)
	g.sends("plea", url.Values{"plea": {"escalation"}, "why": {"now"}}).want(403)
	g.page = g.looks()
	g.sends("me", url.Values{}).want(403)
	g.page = g.looks()
	g.sends("domain", url.Values{"domain": {"acme.example"}}).want(403)
	g.page = g.looks()

	g.code(out, url.Values{}, "ann@private.example")
	g.page.says("a saved recovery code, or with a record").silent(append(append(company, second.Number), never...)...) // L1
	same(t, "reached", shared(g, g.at+"/shared/"), none)
	g.sends("me", url.Values{}).want(403)
	g.page = g.looks()

	g.code(out, url.Values{"hint": {at}}, "ann@acme.example")
	g.page.says("2 sites", second.Number, "we need a second sign").silent(append(company, never...)...) // L2
	same(t, "affiliated", shared(g, g.at+"/shared/"), none)
	g.sends("plea", url.Values{"plea": {"older"}, "why": {"the backup lacks Friday"}}).want(403)
	g.page = g.looks()
	own := g.own()
	own.page.says("ann@acme.example", "2 sites", second.Number, "with a second sign").silent(append(company, never...)...)
	same(t, "affiliated, on her own page", shared(own, "/me/tickets/"), none)
	g.page = g.looks()

	for _, r := range []desk.Record{{Ticket: mine.Number, What: desk.ClassMatch, Contact: contact}, {Ticket: mine.Number, What: desk.ClassB, Hint: contact + ".sms.0", Reached: true}} {
		if _, err := h.Desk.Record(t.Context(), "stf_eve", r); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]int{colleague.Number: 200, other.Number: 404, nobodys.Number: 404, "000-000-000": 404}
	g.page = g.looks().says("You have shown us more before").silent(company...) // a visit gains nothing by what others show
	g.code(out, url.Values{"hint": {at}}, "ann@acme.example")
	g.page.says("Acme one", "Acme two", "waiting to be restored", colleague.Number, "Writer of bo@acme.example").silent(never...) // L3
	same(t, "she may speak for Acme", shared(g, g.at+"/shared/"), all)
	if page := own.looks(); strings.Contains(string(page.body), colleague.Number) {
		t.Error("a page that was opened before gained by what was shown since")
	}
	own = g.own()
	own.page.says("Acme two", colleague.Number, "Change how your company is reached").silent(never...)
	same(t, "on her own page", shared(own, "/me/tickets/"), all)
	stranger := h.comes(mine.Number, url.Values{"secret": {mine.Secret}})
	stranger.page.says("You have shown us more before").silent(append(company, never...)...)
	same(t, "somebody else with her secret", shared(stranger, stranger.at+"/shared/"), none)

	// A new secret ends the visit and the page that was opened from it.
	a := h.do(ask{method: "POST", path: "/t/" + mine.Number + "/lost", media: form, body: url.Values{"to": {"ann@private.example"}}.Encode()}).want(200)
	for {
		if m := out.to("ann@private.example"); sixDigits.MatchString(m.Text) {
			h.do(ask{method: "POST", path: "/t/" + mine.Number + "/secret", media: form, body: url.Values{"pending": {string(pendingField.FindSubmatch(a.body)[1])}, "code": {sixDigits.FindString(m.Text)}}.Encode()}).want(200).says("Your new secret")
			break
		}
	}
	own.looks().silent("Acme", "ann@acme.example")
	g.looks().silent("Acme two")
}

// She asks for what an answer does not give: it stands in the conversation with her words, and somebody answers for it by a time.
func TestMoreThanAnAnswerIsAskedForOnTheTicket(t *testing.T) {
	h, out := company(t)
	g, mine := h.recognised(out, "ann@acme.example", "a…@acme.example")
	g.sends("plea", url.Values{"plea": {"escalation"}, "why": {" "}}).want(422).says("say why in a few words", `id="why"`)
	g.sends("plea", url.Values{"plea": {"everything"}, "why": {"x"}}).want(422)
	for _, plea := range []string{"escalation", "older", "newer"} {
		g.sends("plea", url.Values{"plea": {plea}, "why": {"because of " + plea}}).want(303)
		g.page.says("Somebody answers for it", "because of "+plea)
	}
	g.page.says("What we owe you", "An answer to an escalation", "An answer about a restore")
	found := map[string]map[string]any{}
	for _, task := range h.items("/api/v1/tasks?state=open") {
		found[task["what"].(string)] = task
	}
	esc, point := found["escalation.ticket"], found[desk.RestorePoint]
	if esc == nil || point == nil || point["count"].(float64) != 2 || point["detail"].(map[string]any)["want"] != "newer" {
		t.Fatalf("%v", found)
	}
	for _, task := range found {
		if strings.Contains(task["title"].(string), "because") {
			t.Errorf("her words stand in %q", task["title"])
		}
	}
	h.get(auth.Support, "/api/v1/escalations").want(200).says("escalation.ticket", mine.ID)
	h.get(auth.Support, "/api/v1/escalations/count").want(200).says(`"ticket":1`)
	h.get(auth.Support, "/api/v1/accounts/A-1").want(200).says(desk.RestorePoint, "escalation.ticket")
	h.clock.Turn(31 * time.Minute)
	g.looks().silent("Ask for more than an answer")
}

var changeField = regexp.MustCompile(`name="id" value="(chg_[^"]+)"><input type="hidden" name="digest" value="([^"]+)"`)

// A change of how a company is reached is asked for on one contact's own page, agreed to or stopped on another's, and carried out after a day by nobody's hand.
// The asker cannot agree, and neither can anybody of another customer or whoever showed who she is too long ago.
func TestAChangeOfContactsIsWalkedOnTheirOwnPages(t *testing.T) {
	h, out := company(t)
	page := func(mail, masked string) *guest {
		t.Helper()
		g, _ := h.recognised(out, mail, masked)
		return g.own()
	}
	ann := page("ann@acme.example", "a…@acme.example")
	ann.sends("amend", url.Values{"do": {"add"}, "what": {"email"}, "contact": {"con_none"}, "value": {"ann@new.example"}}).want(404).says(`id="value"`, `aria-invalid="true"`)
	me := regexp.MustCompile(`<option value="(con_[^"]+)" selected>Ann Lee`).FindSubmatch(ann.page.body)
	if me == nil {
		t.Fatalf("she is not chosen: %s", ann.page.body)
	}
	add := func(value string) url.Values {
		return url.Values{"do": {"add"}, "what": {"email"}, "contact": {string(me[1])}, "value": {value}}
	}
	ann.sends("amend", add("ann@acme.example")).want(409)
	ann.sends("amend", add("ann@new.example")).want(303)
	ann.page.says("told everybody whom we know", "a…@new.example is added", "It waits for a second person").silent("I agree", "ann@new.example")
	id := changeField.FindSubmatch(ann.page.body)
	agree := url.Values{"id": {string(id[1])}, "digest": {string(id[2])}, "word": {"yes"}}
	ann.sends("agree", agree).want(403)
	ann.page = ann.looks()
	ann.sends("amend", url.Values{"do": {"add"}, "what": {"domain"}, "value": {"new.example"}}).want(303)

	cy := page("cy@acme.example", "c…@acme.example")
	cy.page.says("a…@new.example is added", "I agree", "new.example is added")
	for _, m := range changeField.FindAllSubmatch(cy.page.body, -1) {
		if string(m[1]) != string(id[1]) {
			cy.sends("agree", url.Values{"id": {string(m[1])}, "word": {"no"}}).want(303)
		}
	}
	cy.page.says("The change is stopped.").silent("new.example is added to")
	cy.sends("agree", url.Values{"id": {string(id[1])}, "digest": {"x"}, "word": {"yes"}}).want(422)
	agree.Del("visit")
	cy.sends("agree", agree).want(303)
	cy.page.says("You have agreed to the change.", "Two stand behind it")
	state := func() string {
		t.Helper()
		if err := h.Desk.CarryAmendments(t.Context()); err != nil {
			t.Fatal(err)
		}
		rec, err := h.Changes.Change(t.Context(), string(id[1]))
		if err != nil {
			t.Fatal(err)
		}
		return string(rec.Value.State)
	}
	if s := state(); s != string(contacts.ChangeApproved) {
		t.Errorf("at once it is %s", s)
	}
	h.clock.Turn(16 * time.Minute)
	ann.page = ann.looks().says("show in your ticket with a code").silent("Ask for this change", "I agree")
	ann.sends("amend", add("late@new.example")).want(403)
	h.clock.Turn(24 * time.Hour)
	if s := state(); s != string(contacts.ChangeDone) {
		t.Errorf("a day later it is %s", s)
	}
	h.get(auth.Support, "/api/v1/sites/S-1/contacts").want(200).says("a…@new.example")

	// A page that was opened by a code alone stands no higher, and leads on.
	plain := h.opensOwn(out, "ann@acme.example")
	plain.page.want(200).says("open a ticket of yours").silent("Ask for this change", "Vouch for")
	plain.sends("amend", add("x@new.example")).want(403)
}

// opensOwnLink is the link of a mailed code to somebody's own page.
var opensOwnLink = regexp.MustCompile(`/me\?k=([^\s"<]+)`)

// The mail with the code to her own page has a link too: it shows a button, opens the page once, and nothing else.
func TestHerOwnPageOpensByAMailedLink(t *testing.T) {
	h, out := company(t)
	h.do(ask{method: "POST", path: "/me", media: form, body: url.Values{"to": {"eve@nobody.example"}}.Encode()}).want(200)
	if m := out.to("eve@nobody.example"); opensOwnLink.MatchString(m.Text) {
		t.Errorf("whom nobody knows gets a link: %s", m.Text)
	}
	h.do(ask{method: "POST", path: "/me", media: form, body: url.Values{"to": {"ann@acme.example"}}.Encode()}).want(200)
	link := opensOwnLink.FindStringSubmatch(out.to("ann@acme.example").Text)
	if link == nil {
		t.Fatal("the mail has no link")
	}
	h.get("", "/me?k="+link[1]).want(200).says(`name="k" value="` + link[1] + `"`).silent("Ann Lee")
	h.get("", "/v/"+link[1]).want(404)
	open := func(k string) answer {
		return h.do(ask{method: "POST", path: "/me/open", media: form, body: url.Values{"k": {k}}.Encode()})
	}
	h.do(ask{method: "POST", path: "/v/" + link[1], media: form, body: "x=1"}).want(404)
	open(link[1] + "x").want(404).says("not valid any more")
	open(link[1]).want(200).says("Ann Lee", "ann@acme.example")
	open(link[1]).want(404).silent("Ann Lee")
}

// A colleague's word and a record in the company's domain are two signs, given on the customers' own pages; what she sees names no level.
func TestAColleagueVouchesAndADomainProves(t *testing.T) {
	h, out := company(t)
	if err := h.Desk.FollowSites(t.Context()); err != nil { // tickets that nobody wrote, so that nobody can be vouched for in them
		t.Fatal(err)
	}
	zone := map[string]string{}
	h.Desk.LookupTXT = func(_ context.Context, name string) ([]string, error) { return []string{zone[name]}, nil }
	mine := h.file(map[string]any{"message": "our wiki is gone", "email": "bo@private.example", "name": "Bo", "locale": "en"})
	h.post(auth.Support, "/api/v1/tickets/"+mine.Number+"/account", map[string]any{"account_id": "A-1"}).want(200)
	g := h.comes(mine.Number, url.Values{"secret": {mine.Secret}})
	g.code(out, url.Values{}, "bo@private.example")
	g.sends("domain", url.Values{"domain": {"not a domain"}}).want(422).says(`id="domain"`)
	g.sends("domain", url.Values{"domain": {"acme.example"}}).want(200)
	g.page.says("_lifeline-challenge.acme.example", "TXT")
	value := regexp.MustCompile(`record">([0-9a-f]{32})<`).FindSubmatch(g.page.body)
	g.sends("domain", url.Values{}).want(200).says("We do not see the record yet")
	zone["_lifeline-challenge.acme.example."] = string(value[1])
	g.sends("domain", url.Values{}).want(303)
	g.page.says("We see the record", "You have shown us more before")
	g.code(out, url.Values{}, "bo@private.example")
	g.page.says("Your sites", "2 sites")

	ann, _ := h.recognised(out, "ann@acme.example", "a…@acme.example")
	own := ann.own()
	cy := regexp.MustCompile(`<option value="(con_[^"]+)">Cy Moe`).FindSubmatch(own.page.says("Vouch for a colleague", "We have opened this ticket for your site").silent("We have answered").body)
	if n := len(regexp.MustCompile(`<option value="[0-9A-Z]{3}-`).FindAll(own.page.body, -1)); n != 2 { // his and hers, and none of a site
		t.Errorf("she is offered to vouch for the writers of %d tickets", n)
	}
	own.sends("vouch", url.Values{"ticket": {"000-000-000"}, "colleague": {string(cy[1])}}).want(404).says("It was not noted")
	own.sends("vouch", url.Values{"ticket": {mine.Number}, "colleague": {string(cy[1])}}).want(303)
	own.page.says("We have noted your word.")
	if _, err := h.Desk.Record(t.Context(), "stf_eve", desk.Record{Ticket: mine.Number, What: desk.ClassMatch, Contact: string(cy[1])}); err != nil {
		t.Fatal(err)
	}
	g.page = g.looks()
	g.code(out, url.Values{}, "bo@private.example")
	g.page.says("Acme two", "Get recovery codes").silent("L3", "L2")
	if s := h.standing(mine.ID); s.By != "vouch" {
		t.Errorf("%+v", s)
	}
}

// A site's moves that its contacts should hear of are sent to them, all that one report moved in one mail to a person, and stand in the site's ticket; nobody of
// another customer, and nobody who may not speak for the site, hears of it.
func TestASitesMovesAreSentToItsContacts(t *testing.T) {
	h, out := company(t)
	h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=billing", media: "text/csv", body: "account,account_id,site_id,name,role,email\nAcme,A-1,S-2,Ann Lee,owner,ann@acme.example\n"}).want(200)
	incident := h.items("/api/v1/incidents")[0]["id"].(string)
	moves := func(lines ...string) {
		t.Helper()
		h.do(ask{as: auth.Commander, method: "POST", path: "/api/v1/incidents/" + incident + "/sites", media: "application/x-ndjson", body: strings.Join(lines, "\n")}).want(200).silent(`"rejected":1`)
	}
	heard := func() map[string]string { // what the three who may speak for a site read next
		t.Helper()
		got := map[string]string{}
		for len(got) < 3 {
			m := out.next()
			if strings.HasPrefix(m.To, "bo@") || strings.HasPrefix(m.To, "dai@") {
				t.Errorf("%s hears of it: %s", m.To, m.Text)
			}
			if !strings.HasPrefix(m.To, "duty@") {
				got[m.To] += m.Text
			}
		}
		return got
	}
	read := func(got map[string]string, to string, says, not []string) {
		t.Helper()
		for _, w := range says {
			if !strings.Contains(got[to], w) {
				t.Errorf("%s does not read %q: %s", to, w, got[to])
			}
		}
		for _, w := range not {
			if strings.Contains(got[to], w) {
				t.Errorf("%s reads %q", to, w)
			}
		}
	}
	moves(`{"site_id":"S-1","state":"restoring","restore_points":{"files":"2022-04-05T04:00:00Z"}}`, `{"site_id":"S-2","state":"restoring"}`, `{"site_id":"S-4","state":"restoring"}`) // which is no news
	moves(`{"site_id":"S-1","state":"failed"}`, `{"site_id":"S-2","state":"failed"}`, `{"site_id":"S-4","state":"failed"}`)
	got := heard()
	read(got, "ann@acme.example", []string{"did not succeed", "- Acme one", "- Acme two"}, []string{"Bolt", "Handed back"})
	read(got, "cy@acme.example", []string{"- Acme one"}, []string{"Acme two", "Bolt"})
	read(got, "eli@bolt.example", []string{"- Bolt"}, []string{"Acme one"})
	rebuilt := func(state string) (all []string) {
		for _, site := range []string{"S-1", "S-4"} {
			all = append(all, `{"site_id":"`+site+`","state":"`+state+`","reason":"the customer was on the phone"}`)
		}
		return all
	}
	// What comes up within four hours is one message behind them, of where each site stands by then.
	h.clock.Turn(time.Hour)
	moves(rebuilt("rebuilt")...)
	moves(rebuilt("passed")...)
	h.clock.Turn(4 * time.Hour)
	read(heard(), "cy@acme.example", []string{"checked by us", "- Acme one"}, []string{"did not succeed"})
	moves(rebuilt("handed_back")...)
	moves(`{"site_id":"S-2","state":"rebuilt"}`)
	h.clock.Turn(4 * time.Hour)
	read(heard(), "ann@acme.example", []string{"Handed back to you", "- Acme one"}, []string{"Acme two", "checked by us"})
	// By night nobody is told, and a stopped rule tells nobody at all.
	waits := func() (due comms.Due, running bool) {
		t.Helper()
		err := h.DB.View(context.Background(), func(tx *store.Tx) error {
			people, err := h.Book.ContactsOfSite(tx, "S-4", contacts.ApprovedOnly)
			if err != nil {
				return err
			}
			for _, p := range people {
				if p.Value.Name == "Eli Poe" {
					due, running, err = h.Comms.Waiting(tx, p.ID, "site_news")
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return due, running
	}
	h.clock.Turn(6 * time.Hour) // 23:17
	if _, err := h.Comms.FireDeadlines(context.Background(), h.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if due, running := waits(); running {
		t.Errorf("a fold with nothing in it is left: %+v", due)
	}
	moves(`{"site_id":"S-4","state":"failed","reason":"the disk again"}`)
	if due, _ := waits(); due.Due.Hour() != 7 || due.Due.Minute() != 0 || len(due.About) != 1 {
		t.Errorf("by night: %+v", due)
	}
	h.clock.Turn(8 * time.Hour)
	if m := out.to("eli@bolt.example"); !strings.Contains(m.Text, "taken them up again") || strings.Contains(m.Text, "did not succeed") { // it had been handed back
		t.Errorf("in the morning: %s", m.Text)
	}
	// An audit that takes a site up again says so to its people, and to nobody else.
	h.post(auth.Commander, "/api/v1/incidents/"+incident+"/point-audit", map[string]any{"reason": "its files are of the night before"}).want(200).says(`"reopened":["sit_`)
	audited := map[string]string{}
	for len(audited) < 2 {
		if m := out.next(); !strings.HasPrefix(m.To, "duty@") {
			audited[m.To] += m.Text
		}
	}
	for _, to := range []string{"ann@acme.example", "cy@acme.example"} {
		read(audited, to, []string{"taken them up again", "- Acme one"}, []string{"did not succeed", "Acme two"})
	}
	h.post(auth.Support, "/api/v1/rules/site/stop", map[string]any{"reason": "the ledger is wrong"}).want(200).says(`"state":"stopped"`)
	was, _ := waits()
	moves(`{"site_id":"S-4","state":"rebuilt","reason":"from the start"}`)
	moves(`{"site_id":"S-4","state":"failed","reason":"and again"}`)
	if due, _ := waits(); len(due.About) != len(was.About) {
		t.Errorf("a stopped rule notes what it would tell: %+v", due)
	}
	h.post(auth.Commander, "/api/v1/rules/site/approve", map[string]any{}).want(200).says(`"state":"in_force"`)
}
