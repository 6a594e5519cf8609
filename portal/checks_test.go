package portal

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
)

// ward is a house in which four sites were lost and are rebuilt.
func ward(t *testing.T) (*house, string) {
	h := open(t)
	h.loadContacts()
	id := h.declare()
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/incidents/" + id + "/affected", media: "text/csv", body: "site_id\nS-1\nS-2\nS-3\nS-4\n"}).want(200)
	h.Desk.Chance = func() float64 { return 1 }
	return h, id
}

func (h *house) rebuild(incident string, sites ...string) {
	h.Helper()
	var lines []string
	for _, s := range sites {
		lines = append(lines, `{"site_id":"`+s+`","state":"rebuilt","batch":"1"}`)
	}
	h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/incidents/" + incident + "/sites", media: "application/x-ndjson", body: strings.Join(lines, "\n")}).want(200)
}

// claimed is the next check of somebody, and the epoch of her lease.
func (h *house) claimed(as auth.Role) (id string, epoch int64) {
	h.Helper()
	var page list[checkAnswer]
	h.post(as, "/api/v1/checks/claim", map[string]any{}).want(200).into(&page)
	if len(page.Items) != 1 {
		h.Fatalf("%d checks", len(page.Items))
	}
	return page.Items[0].ID, page.Items[0].Epoch
}

func wholeList() map[string]any {
	done := func(value string) map[string]any { return map[string]any{"state": "done", "value": value} }
	return map[string]any{"opens": done(""), "newest": done("07:31"), "files": done("3"), "apps": done(""), "people": done("")}
}

func TestChecksInTheAPI(t *testing.T) {
	h, incident := ward(t)
	h.rebuild(incident, "S-1")
	h.clock.Turn(time.Minute)
	h.rebuild(incident, "S-4")
	h.clock.Turn(time.Minute)
	h.post(auth.Commander, "/api/v1/checks/claim", nil).want(403)
	id, epoch := h.claimed(auth.Support)
	at := "/api/v1/checks/" + id
	h.post(auth.Automation, at+"/probes", map[string]any{"results": map[string]any{"opens": map[string]any{"state": "done"}}}).want(422).says("no item that asks for a probe")
	h.post(auth.Automation, at+"/probes", map[string]any{"results": map[string]any{"admin": map[string]any{"state": "done", "value": "signed in at 08:10"}}}).want(200)
	h.post(auth.Support, at+"/heartbeat", map[string]any{"epoch": epoch, "results": map[string]any{"opens": map[string]any{"state": "done"}}, "notes": "opens well"}).want(200)
	h.post(auth.Engineer, at+"/heartbeat", map[string]any{"epoch": epoch, "notes": "mine?"}).want(409).says("somebody else")
	h.post(auth.Support, at+"/submit", map[string]any{"epoch": epoch + 1, "verdict": "passed", "results": wholeList()}).want(409).says("draft")
	if got := h.post(auth.Support, at+"/submit", map[string]any{"epoch": epoch, "verdict": "passed"}).want(422).named(); len(got) != 4 {
		t.Errorf("%v: the probe filled in one item and she another", got)
	}
	h.post(auth.Support, at+"/submit", map[string]any{"epoch": epoch, "verdict": "passed", "results": wholeList()}).want(200).says(`"state":"second_queued"`, `"second":"early"`)
	h.clock.Turn(time.Minute)
	second, epoch := h.claimed(auth.Engineer) // the other site waits longer
	if second == id {
		t.Errorf("the second look at a site comes before the first at one that waits longer")
	}
	h.post(auth.Engineer, "/api/v1/checks/"+second+"/hand-over", map[string]any{"epoch": epoch, "to": ""}).want(422)
	h.post(auth.Engineer, "/api/v1/checks/"+second+"/submit", map[string]any{"epoch": epoch, "verdict": "blocked"}).want(422).says("owner", "wake", "reason")
	h.post(auth.Engineer, "/api/v1/checks/"+second+"/release", map[string]any{"epoch": epoch, "notes": "too late for me"}).want(200).says(`"state":"queued"`)
	var opened openedAnswer
	h.get(auth.Auditor, at).want(200).into(&opened)
	if opened.Name != "Acme one" && opened.Name != "Bolt" || len(opened.Items) != 6 || len(opened.Earlier) != 1 || len(opened.Drafts) != 2 {
		t.Errorf("%+v", opened)
	}
	var figures desk.CheckFigures
	h.get(auth.Comms, "/api/v1/incidents/"+incident+"/checks/figures").want(200).into(&figures)
	if figures.Waiting != 2 || figures.ByState["second_queued"] != 1 || figures.Items[0].N != 1 {
		t.Errorf("%+v", figures)
	}
	h.get(auth.Support, "/api/v1/checks?incident="+incident+"&state=queued").want(200).says(second)
	h.get(auth.Support, "/api/v1/checks?state=lost").want(422)

	// A version never changes what has begun.
	items := []any{map[string]any{"key": "opens", "text": "It opens", "required": true}}
	h.post(auth.Commander, "/api/v1/checklists", map[string]any{"name": "site_check", "title": "Shorter", "items": items}).want(201).says(`"number":2`)
	h.post(auth.Commander, "/api/v1/checklists", map[string]any{"name": "site_check", "title": "Twice", "items": append(items, items...)}).want(422).says("there twice")
	h.post(auth.Commander, "/api/v1/checklists", map[string]any{"name": "site_check", "number": 2, "title": "Mine", "items": items}).want(409).says("version 2 stands")
	var versions list[comms.ListVersion]
	h.get(auth.Support, "/api/v1/checklists/versions?name=site_check").want(200).into(&versions)
	if len(versions.Items) != 2 || versions.Items[0].Runs != 0 || versions.Items[1].Runs != 2 || versions.Items[1].Open != 1 {
		t.Errorf("%+v", versions.Items)
	}
	h.get(auth.Support, "/api/v1/checklists/versions").want(200).says(`"number":2`, "playbook:region_lost")
	h.get(auth.Support, "/api/v1/checklists/difference?name=site_check").want(200).says(`"added":[],"removed":[{"key":"admin"`, `"what":["text","texts","stop_on_fail"]`)
	h.get(auth.Support, "/api/v1/checklists/difference?name=site_check&from=2&to=9").want(404)
	h.get(auth.Support, "/api/v1/checks/"+second).want(200).says(`"key":"files"`)
	h.rebuild(incident, "S-2")
	h.get(auth.Support, "/api/v1/checklists?name=site_check").want(200).says("Shorter", "site_check")
	var waiting list[checkAnswer]
	h.get(auth.Support, "/api/v1/checks?incident="+incident).want(200).into(&waiting)
	if len(waiting.Items) != 3 || waiting.Items[1].List == "" {
		t.Errorf("%+v", waiting)
	}

	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/incidents/" + incident + "/batches", body: map[string]any{"name": "1", "lead": "stf_lea", "stand_in": "stf_lea"}}).want(422)
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/incidents/" + incident + "/batches", body: map[string]any{"name": "1", "lead": "stf_lea", "stand_in": "stf_leo"}}).want(200).says(`"sites":3`)
	h.get(auth.Support, "/api/v1/incidents/"+incident+"/batches").want(200).says("stf_leo")
	h.post(auth.Support, "/api/v1/incidents/"+incident+"/batches/close", map[string]any{"name": "1"}).want(409).says("3 have not")
	h.post(auth.Support, "/api/v1/incidents/"+incident+"/batches/except", map[string]any{"name": "1", "site_id": "S-1", "reason": "left"}).want(403)
	h.post(auth.Support, at+"/one-check", map[string]any{"reason": "nobody came"}).want(403)
	h.post(auth.Support, at+"/again", map[string]any{"item": "opens"}).want(403)
	h.post(auth.Support, at+"/unblock", nil).want(409).says("not blocked")
	h.post(auth.Support, "/api/v1/checks/"+second+"/reassign", nil).want(403)
}

// Steps of a method and losses by data store, and the audit that takes sites up again whose points are too old.
func TestStepsAndLossesInTheAPI(t *testing.T) {
	h, incident := ward(t)
	at := "/api/v1/incidents/" + incident
	items := []any{map[string]any{"key": "one", "text": "First", "required": true}, map[string]any{"key": "two", "text": "Then", "required": true, "stage": 1, "phase": "data_restore"}}
	h.post(auth.Commander, "/api/v1/checklists", map[string]any{"name": "method:by hand", "title": "By hand", "items": items}).want(201)
	lines := `{"site_id":"S-1","state":"rebuilt","method":"by hand","lost_at":"2022-04-05T07:38:00Z","restore_points":{"pages":"2022-04-05T07:33:00Z","files":"2022-04-05T04:38:00Z"}}`
	h.do(ask{as: auth.Automation, method: "POST", path: at + "/sites", media: "application/x-ndjson", body: lines}).want(200).says(`"moved":1`)
	h.post(auth.Automation, at+"/steps", map[string]any{"site_id": "S-1", "results": map[string]any{"two": map[string]any{"state": "done"}}}).want(422).says("comes after")
	h.post(auth.Automation, at+"/steps", map[string]any{"site_id": "S-1", "results": map[string]any{"one": map[string]any{"state": "done"}}}).want(200).says(`"done":1`)
	h.get(auth.Comms, at+"/steps?site_id=S-1").want(200).says(`"all":2`, `"phase":"data_restore"`)
	h.get(auth.Comms, at+"/losses").want(200).says(`"most_s":10800`, `"unknown":3`)
	h.get(auth.Comms, at+"/targets").want(200).says(`"tier":"T2"`, `"target_s":28800,"actual_s":10800,"met":1,"missed":0,"open":3`)
	for _, state := range []string{"verifying", "passed"} {
		h.do(ask{as: auth.Commander, method: "POST", path: at + "/sites", media: "application/x-ndjson", body: `{"site_id":"S-1","state":"` + state + `","reason":"seen by me"}`}).want(200).says(`"moved":1`)
	}
	h.get(auth.Support, "/api/v1/checks?incident="+incident).want(200).says(`"state":"settled"`, "seen by me")
	h.post(auth.Commander, at+"/point-audit", map[string]any{"reason": ""}).want(422)
	h.post(auth.Commander, at+"/point-audit", map[string]any{"reason": "files of the night", "dry_run": true}).want(200).says(`"dry_run":true`)
	h.post(auth.Commander, at+"/point-audit", map[string]any{"reason": "files of the night"}).want(200).says(`"reopened":["sit_`)
	h.get(auth.Support, at+"/ledger").want(200).says(`"failed":1`)
	cookie, _ := h.signIn(auth.Support)
	h.browse(cookie, "GET", "/desk/incidents/"+incident+"/sites?state=failed", nil).want(200).says("its restore point is older than the standard", "data correction: files of the night", "by hand", "All sites expected back", "Not begun, or failed: 4.", "Integrity check", "Time away (RTO)", "at most 3h, target under 8h; 1 met, 0 missed, 3 open", `href="/desk/accounts/acc_`, ">Acme<")
	h.get(auth.Comms, at+"/forecast").want(200).says(`"method":"by hand"`, `"left":1`, `"back_by":null`, `{"phase":"joint_test","sites":0,`)
	h.rebuild(incident, "S-1")
	h.get(auth.Support, "/api/v1/checks?incident="+incident).want(200).says(`"state":"queued"`, `"attempt":2`)
	room := "/desk/incidents/" + incident
	if strings.Contains(string(h.browse(cookie, "GET", room, nil).want(200).body), "<polyline") {
		t.Error("a curve is drawn of what has not begun to come back")
	}
	for _, state := range []string{"verifying", "passed", "handed_back"} {
		h.do(ask{as: auth.Commander, method: "POST", path: at + "/sites", media: "application/x-ndjson", body: `{"site_id":"S-1","state":"` + state + `","reason":"seen by me"}`}).want(200).says(`"moved":1`)
	}
	h.browse(cookie, "GET", room, nil).want(200).says(`<polyline class="sites" points="0,240 `, "sites handed back rose to 1 of 4, customers with all sites back to 0 of 2", `href="`+room+`/sites?reached=rebuilt"`, `href="`+room+`/sites?whole=true"`)
	h.browse(cookie, "GET", room+"/sites?reached=rebuilt", nil).want(200).says("rebuilt or further", "handed back</td>")
}

// A better list is written on the page, without any script: lines are put in order, taken out and added, and what changes is shown before it is published.
func TestABetterListIsPublishedOnThePages(t *testing.T) {
	h := open(t)
	cookie, csrf := h.signIn(auth.Commander)
	const at = "/desk/checklists"
	h.browse(cookie, "GET", at, nil).want(200).says("as it came, not used yet", `href="/desk/checklists?name=playbook%3aregion_lost"`, "Write a new list")
	body := string(h.browse(cookie, "GET", at+"?name=site_check", nil).want(200).says("Nobody has published or used this list yet", "Write version 1").body)
	sent := func(body string) url.Values {
		v := url.Values{"csrf": {csrf}, "number": {"1"}, "name": {"site_check"}, "title": {"Sites"}}
		for _, m := range regexp.MustCompile(`<input id="([a-z_.0-9]+)" name="(?:text|key|place|stage)\.\d+" value="([^"]*)"`).FindAllStringSubmatch(body, -1) {
			v.Set(m[1], html.UnescapeString(m[2]))
		}
		for _, m := range regexp.MustCompile(`name="(\w+\.\d+)" value="1" checked`).FindAllStringSubmatch(body, -1) {
			v.Set(m[1], "1")
		}
		for _, m := range regexp.MustCompile(`name="(evidence\.\d+)">.*?value="(\w+)" selected`).FindAllStringSubmatch(body, -1) {
			v.Set(m[1], m[2])
		}
		return v
	}
	typed := sent(body)
	typed.Set("act", "publish")
	h.browse(cookie, "POST", at, typed).want(303)
	body = string(h.browse(cookie, "GET", at+"?name=site_check", nil).want(200).says("Write version 2", "Version 1").body)
	typed = sent(body)
	was := typed.Get("text.0")
	typed.Set("number", "2")
	typed.Set("out.1", "1")
	typed.Set("text.6", "Ask <her>")
	typed.Set("key.6", "Ask her")
	typed.Set("place.6", "0") // before all others
	typed.Set("act", "look")
	h.browse(cookie, "POST", at, typed).want(200).says("What this version would change", "<ins>Ask &lt;her&gt;</ins>", `<code class="soft">admin</code>`).silent("another order")
	typed.Set("act", "publish")
	h.browse(cookie, "POST", at, typed).want(422).says("small letters", `href="#item-0"`, "Ask &lt;her&gt;", "Item 1 · Key")
	typed.Set("key.6", "ask")
	typed.Set("place.0", "99")
	if to := h.browse(cookie, "POST", at, typed).want(303).Header.Get("Location"); to != at+"?name=site_check" {
		t.Error(to)
	}
	h.browse(cookie, "POST", at, typed).want(409).says("version 2 stands", "Ask &lt;her&gt;") // sent twice, or somebody was faster
	h.browse(cookie, "GET", at+"?name=site_check", nil).want(200).says("From version 1 to version 2", "The items stand in another order", "<del>", "<ins>Ask &lt;her&gt;</ins>")
	h.browse(cookie, "GET", at+"?name=site_check&from=2&to=2", nil).want(200).says("Nothing differs.")
	h.browse(cookie, "GET", at+"?name=site_check&from=x", nil).want(422)
	h.browse(cookie, "GET", at+"?name=nothing", nil).want(404)
	var all list[comms.ListVersion]
	h.get(auth.Support, "/api/v1/checklists/versions?name=site_check").want(200).into(&all)
	items := all.Items[0].Items
	if last := items[len(items)-1]; items[0].Key != "ask" || last.Text != was || !last.Required || !last.Stop || len(items) != len(all.Items[1].Items) {
		t.Errorf("%+v", items)
	}
	support := firstOf(h.signIn(auth.Support))
	h.browse(support, "GET", at+"?name=site_check", nil).want(200).says("Version 2").silent("Write version 3")
}

// browse is a request of a browser in which somebody has signed in.
func (h *house) browse(cookie *http.Cookie, method, path string, form url.Values) answer {
	h.Helper()
	a := ask{method: method, path: path, header: map[string]string{"Cookie": cookie.String(), "Origin": h.URL}}
	if form != nil {
		a.media, a.body = "application/x-www-form-urlencoded", form.Encode()
	}
	return h.do(a)
}

// Somebody checks a site on the pages without any script, a second does, and the customer says by the link of her mail that something is missing.
func TestASiteIsCheckedOnThePages(t *testing.T) {
	h, incident := ward(t)
	h.rebuild(incident, "S-4")
	form := func(csrf string, more ...string) url.Values {
		v := url.Values{"csrf": {csrf}}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	h.browse(firstOf(h.signIn(auth.Auditor)), "GET", "/desk/checks", nil).want(200).says("Waits for a check", "Bolt", "rebuilt on the left", `<svg class="hours"`).silent("Claim the next")
	for i, role := range []auth.Role{auth.Support, auth.Engineer} {
		cookie, csrf := h.signIn(role)
		at := h.browse(cookie, "POST", "/desk/checks/claim", form(csrf)).want(303).Header.Get("Location")
		body := string(h.browse(cookie, "GET", at, nil).want(200).says("Bolt", []string{"first pass", "second pass"}[i], "until 5 Apr 08:37 UTC").body)
		epoch := regexp.MustCompile(`name="epoch" value="(\d+)"`).FindStringSubmatch(body)[1]
		typed := form(csrf, "epoch", epoch, "act", "passed", "state.opens", "done", "state.admin", "done", "value.admin", "owner signed in", "notes", "all looks <well>")
		h.browse(cookie, "POST", at, typed).want(422).says("all looks &lt;well&gt;", "owner signed in", `href="#results.people"`, `value="done" checked`)
		h.do(ask{method: "POST", path: at, media: "application/x-www-form-urlencoded", body: typed.Encode(), header: map[string]string{"Cookie": cookie.String(), "Origin": h.URL, "Accept-Language": "ja"}}).want(422).
			says("管理者がサインインできる", "入力が正しくありません", "未完了です：ユーザー、グループ、権限が揃っている").silent("Users, groups and permissions", "The site opens")
		for _, key := range []string{"newest", "apps", "people"} {
			typed.Set("state."+key, "done")
			typed.Set("value."+key, "07:31")
		}
		typed.Set("state.files", "na")
		h.browse(cookie, "POST", at, typed).want(422).says("needs the reason why")
		typed.Set("why.files", "this site has no attachments")
		h.browse(cookie, "POST", at, typed).want(303)
		h.browse(cookie, "GET", at, nil).want(200).says([]string{"Waits for a second check", "The customer has been told"}[i])
	}
	h.get(auth.Comms, "/api/v1/incidents/"+incident+"/ledger").want(200).says(`"checked":1`, `"restored":0`)
	id := ""
	var page list[checkAnswer]
	h.get(auth.Support, "/api/v1/checks?incident="+incident).want(200).into(&page)
	id = page.Items[0].ID
	link := "/b/" + h.Gate.Key.SignLink("site back", id+".1") + "?lang=en"
	h.get("", link).want(200).says("Bolt", "Yes, it works")
	h.get("", "/b/nothing?lang=en").want(404).says("opens nothing any more")
	h.do(ask{method: "POST", path: link, media: "application/x-www-form-urlencoded", body: "answer=accepted"}).want(200).says("You said that Bolt works")
	h.get(auth.Comms, "/api/v1/incidents/"+incident+"/ledger").want(200).says(`"confirmed":1`, `"percent":"25.0"`)
	h.do(ask{method: "POST", path: link, media: "application/x-www-form-urlencoded", body: "answer=rejected"}).want(422).says("say what is missing")
	h.do(ask{method: "POST", path: link, media: "application/x-www-form-urlencoded", body: "answer=rejected&words=the+files+of+March"}).want(200).says("working on this site again")
	h.get(auth.Comms, "/api/v1/incidents/"+incident+"/ledger").want(200).says(`"confirmed":0`, `"failed":1`)
	err := h.DB.View(context.Background(), func(tx *store.Tx) error {
		owed, err := h.Comms.Owed(tx, "check.rejected", id)
		if !owed {
			t.Error("nobody owes the customer anything")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func firstOf(c *http.Cookie, _ string) *http.Cookie { return c }

// The end of a shift: a claim near it names who goes on, what is open passes to her when it ends, and the note is written by one lead and read by the other.
func TestAShiftEndsOnThePages(t *testing.T) {
	h, incident := ward(t)
	h.rebuild(incident, "S-1", "S-2", "S-3", "S-4")
	out, csrf := h.signIn(auth.Support)
	in, inCSRF := h.signIn(auth.Engineer)
	who := func(c *http.Cookie) string {
		person, _, err := h.Gate.Session(context.Background(), c.Value)
		if err != nil {
			t.Fatal(err)
		}
		return person.ID
	}
	at := "/desk/incidents/" + incident + "/handoffs"
	ends := h.clock.Now().Add(25 * time.Minute)
	h.browse(out, "POST", at, url.Values{"csrf": {csrf}, "ends_at": {"soon"}, "lead": {who(out)}, "next_lead": {who(in)}}).want(422)
	note := h.browse(out, "POST", at, url.Values{"csrf": {csrf}, "ends_at": {ends.Format("2006-01-02T15:04")}, "lead": {who(out)}, "next_lead": {who(in)}}).want(303).Header.Get("Location")
	h.clock.Turn(10 * time.Minute)
	h.browse(out, "POST", "/desk/checks/claim", url.Values{"csrf": {csrf}}).want(422).says("your shift ends at")
	check := h.browse(out, "POST", "/desk/checks/claim", url.Values{"csrf": {csrf}, "successor": {who(in)}}).want(303).Header.Get("Location")
	h.browse(out, "GET", note, nil).want(200).says("Waiting for a check: 3", "The site opens", who(in)[strings.Index(who(in), ":")+1:])
	h.do(ask{method: "GET", path: note, header: map[string]string{"Cookie": out.String(), "Accept-Language": "ja"}}).want(200).says("サイトが開く").silent("The site opens")
	h.browse(in, "POST", note, url.Values{"csrf": {inCSRF}, "act": {"acknowledge"}}).want(409).says("no note yet")
	h.browse(in, "POST", note, url.Values{"csrf": {inCSRF}, "text": {"mine"}}).want(403)
	h.browse(out, "POST", note, url.Values{"csrf": {csrf}, "text": {"Watch batch 1."}}).want(303)
	h.clock.Turn(16 * time.Minute)
	if err := h.Desk.SweepChecks(context.Background()); err != nil {
		t.Fatal(err)
	}
	h.browse(in, "GET", check, nil).want(200).says(`data-run="`)
	h.clock.Turn(11 * time.Minute)
	if n, err := h.Comms.FireDeadlines(context.Background(), h.clock.Now()); err != nil || n == 0 {
		t.Errorf("nobody was told that the note is late: %d %v", n, err)
	}
	h.browse(in, "GET", "/desk", nil).want(200).says("A handoff note has to be acknowledged", note)
	h.browse(in, "POST", note, url.Values{"csrf": {inCSRF}, "act": {"acknowledge"}}).want(303)
	h.browse(in, "GET", note, nil).want(200).says("Watch batch 1.", "Acknowledged")
	h.browse(in, "GET", "/desk", nil).want(200).silent("A handoff note")
	id := strings.TrimPrefix(note, "/desk/handoffs/")
	h.get(auth.Auditor, "/api/v1/handoffs/"+id).want(200).says("Watch batch 1.", `"passed":0`)
	h.get(auth.Auditor, "/api/v1/incidents/"+incident+"/handoffs").want(200).says(id)
	h.do(ask{as: auth.Support, method: "PUT", path: "/api/v1/handoffs/" + id, body: map[string]any{"text": "again"}}).want(409)
	h.post(auth.Support, "/api/v1/incidents/"+incident+"/handoffs", map[string]any{"ends_at": h.clock.Now(), "lead": "", "next_lead": ""}).want(422)
}
