package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/templates"
)

func without(s map[string]any, path string) map[string]any {
	out := maps.Clone(s)
	head, rest, nested := strings.Cut(path, ".")
	if !nested {
		delete(out, head)
		return out
	}
	out[head] = without(out[head].(map[string]any), rest)
	return out
}

func with(s map[string]any, path string, value any) map[string]any {
	out := maps.Clone(s)
	head, rest, nested := strings.Cut(path, ".")
	if !nested {
		out[head] = value
		return out
	}
	out[head] = with(out[head].(map[string]any), rest, value)
	return out
}

// required are the fields of an update that nobody may leave out.
var required = []string{"phase", "headline", "what_happened", "your_action", "scope", "affected", "timeline", "data_loss", "known", "unknown", "unknown_none",
	"next_update_by", "audience", "channels", "locales"}

func TestEveryMissingFieldOfAnUpdateIsNamed(t *testing.T) {
	h := open(t)
	path := "/api/v1/incidents/" + h.declare() + "/updates"
	whole := h.statement()
	all := h.post(auth.Comms, path, map[string]any{}).want(422).named()
	for _, field := range required {
		if field == "unknown_none" { // false is what leaving it out means
			continue
		}
		if !slices.ContainsFunc(all, func(s string) bool { return s == field || strings.HasPrefix(s, field+".") }) {
			t.Errorf("an empty update misses %s, and nobody says so: %v", field, all)
		}
		got := h.post(auth.Comms, path, without(whole, field)).want(422).named()
		for _, g := range got {
			if g != field && !strings.HasPrefix(g, field+".") {
				t.Errorf("without %s: %v", field, got)
			}
		}
	}
	for _, field := range []string{"scope.products", "scope.text", "affected.who", "affected.sites", "affected.customers", "affected.status", "affected.confidence",
		"timeline.kind", "timeline.confidence", "timeline.full_scope_by", "data_loss.kind", "data_loss.confidence"} {
		same(t, "without "+field, h.post(auth.Comms, path, without(whole, field)).want(422).named(), []string{field})
	}
	for field, wrong := range map[string]any{"phase": "calm", "audience": "everybody", "channels": []string{"fax"}, "locales": []string{"tlh"}, "affected.status": "guess", "timeline.kind": "soon",
		"data_loss.kind": "none_verified", "affected.sites": -1, "known": "text", "next_update_by": "tomorrow", "unknown": []string{}, "timeline.confidence": "none", "headline": 7} {
		got := h.post(auth.Comms, path, with(whole, field, wrong)).want(422).named()
		if !slices.ContainsFunc(got, func(s string) bool {
			return s == field || strings.HasPrefix(s, field+"[") || strings.HasPrefix(s, field+".")
		}) {
			t.Errorf("%s = %v: %v", field, wrong, got)
		}
	}
	// Nobody types what the ledger counts, and no name is taken that is not there.
	for _, field := range []string{"restored", "scope.everything", "approved", "author", "Headline2"} {
		same(t, "with "+field, h.post(auth.Comms, path, with(whole, field, 100)).want(422).named(), []string{field})
	}
	same(t, "several at once", h.post(auth.Comms, path, with(with(without(without(whole, "headline"), "scope.text"), "bogus", 1), "phase", "calm")).want(422).named(),
		[]string{"bogus", "headline", "phase", "scope.text"})
	for _, body := range []string{"", "[]", "null", `{"phase":`, `"x"`} {
		h.post(auth.Comms, path, body).want(422)
	}
	if n := len(h.items(path)); n != 0 {
		t.Errorf("%d updates were drafted", n)
	}
	if err := h.doc.fits(t, "POST", "/api/v1/incidents/{id}/updates", whole); err != nil {
		t.Errorf("the document refuses a whole update: %v", err)
	}
	h.post(auth.Comms, path, whole).want(201)
	resolved := with(with(with(whole, "phase", "resolved"), "next_update_by", "none"), "timeline.full_scope_by", "none")
	h.post(auth.Comms, path, resolved).want(201)
}

// world is an incident with its affected sites loaded, and people who can be reached.
func (h *house) world() (incident string) {
	h.Helper()
	h.loadContacts()
	incident = h.declare()
	h.do(ask{as: auth.Engineer, method: "PUT", path: "/api/v1/incidents/" + incident + "/affected", media: "text/csv", body: "site_id\nS-1\nS-2\nS-3\nS-4\n"}).want(200)
	return incident
}

func (h *house) draft(incident string, s map[string]any) updateAnswer {
	h.Helper()
	var u updateAnswer
	h.post(auth.Comms, "/api/v1/incidents/"+incident+"/updates", s).want(201).into(&u)
	return u
}

func TestADraftBecomesAnUpdateByTwoPeople(t *testing.T) {
	h := open(t)
	incident := h.world()
	u := h.draft(incident, h.statement())
	if u.State != comms.Draft || u.Number != 0 && u.Number != 1 || u.Author == "" || u.PublishedAt != nil || u.Restored != nil {
		t.Errorf("%+v", u)
	}
	path := "/api/v1/updates/" + u.ID
	h.post(auth.Comms, path+"/publish", map[string]any{}).want(403) // nobody has approved it
	// The author may approve nothing of hers, whatever else she is called.
	mine := h.issue(auth.Commander, "the COMMS")
	h.do(ask{token: mine, method: "POST", path: path + "/approve"}).want(403)
	h.do(ask{token: h.issue(auth.Admin, "The comms"), method: "POST", path: path + "/approve"}).want(403)

	h.post(auth.Approver, path+"/approve", nil).want(200)
	var changed updateAnswer
	h.do(ask{as: auth.Comms, method: "PATCH", path: path, body: with(h.statement(), "headline", "A script deleted the sites of some customers")}).want(200).into(&changed)
	if changed.Version == u.Version || changed.Statement.Headline == u.Statement.Headline {
		t.Errorf("nothing was changed: %+v", changed)
	}
	h.post(auth.Comms, path+"/publish", map[string]any{}).want(403) // a change voids the approval
	h.post(auth.Approver, path+"/approve", nil).want(200)
	var said updateAnswer
	h.post(auth.Comms, path+"/publish", nil).want(200).into(&said)
	if said.State != comms.Published || said.Number != 1 || said.People != 3 || said.PublishedAt == nil || said.Restored == nil || said.Restored.Sites.Total != 4 {
		t.Errorf("%+v", said)
	}
	h.post(auth.Comms, path+"/publish", map[string]any{}).want(409)
	h.do(ask{as: auth.Comms, method: "PATCH", path: path, body: h.statement()}).want(409)
	h.post(auth.Approver, path+"/approve", nil).want(409)

	same(t, "no reason", h.post(auth.Comms, path+"/retract", map[string]any{}).want(422).named(), []string{"reason"})
	var correction, gone updateAnswer
	h.post(auth.Comms, path+"/retract", map[string]any{"reason": "the figures were wrong"}).want(200).into(&correction)
	if correction.State != comms.Published || correction.Corrects != said.Number || correction.Number != said.Number+1 {
		t.Errorf("%+v", correction)
	}
	h.get(auth.Auditor, path).want(200).into(&gone)
	if gone.State != comms.Retracted || gone.RetractedAt == nil {
		t.Errorf("%+v", gone)
	}
	h.post(auth.Comms, path+"/retract", map[string]any{"reason": "again"}).want(409)
	h.get(auth.Auditor, "/api/v1/updates/upd_nothing").want(404)
}

func TestABroadcastInStagesGoesOnOrIsStopped(t *testing.T) {
	h := open(t)
	incident := h.world()
	u := h.draft(incident, h.statement())
	path := "/api/v1/updates/" + u.ID
	h.post(auth.Approver, path+"/approve", nil).want(200)
	same(t, "too many", h.post(auth.Comms, path+"/publish", map[string]any{"stages": map[string]any{"few": 20_000}}).want(422).named(), []string{"stages.few"})
	h.post(auth.Comms, path+"/stop", map[string]any{"reason": "not said yet"}).want(409)
	h.post(auth.Comms, path+"/publish", map[string]any{"stages": map[string]any{"few": 2, "after": "PT10M"}}).want(200)
	var reach comms.Reach
	h.get(auth.Auditor, path+"/reach").want(200).into(&reach)
	if reach.Stage == nil || reach.Stage.Name != comms.StageStaff || reach.Stage.Left != 3 || reach.Stage.GoesOnAt == nil || reach.Done {
		t.Errorf("%+v", reach.Stage)
	}
	board := string(h.staffPage(auth.Comms, "/desk/incidents/"+incident).want(200).body)
	for _, part := range []string{`id="stage"`, "/desk/updates/" + u.ID + "/go-on", "/desk/updates/" + u.ID + "/stop"} {
		if !strings.Contains(board, part) {
			t.Errorf("the board lacks %s", part)
		}
	}
	if seen := string(h.staffPage(auth.Auditor, "/desk/incidents/"+incident).want(200).body); strings.Contains(seen, "/go-on") || strings.Contains(seen, "/stop") {
		t.Error("an auditor is offered to go on or to stop")
	}
	h.post(auth.Comms, path+"/go-on", nil).want(200)
	same(t, "no reason", h.post(auth.Support, path+"/stop", map[string]any{}).want(422).named(), []string{"reason"})
	reach = comms.Reach{}
	h.post(auth.Support, path+"/stop", map[string]any{"reason": "the figure is wrong"}).want(200).into(&reach)
	if reach.Stopped == "" || reach.Stage != nil {
		t.Errorf("%+v", reach)
	}
	h.post(auth.Support, path+"/stop", map[string]any{"reason": "again"}).want(409)
	h.post(auth.Comms, path+"/go-on", nil).want(409)
}

func TestAStaleChangeIsRefused(t *testing.T) {
	h := open(t)
	incident := h.declare()
	u := h.draft(incident, h.statement())
	patch := func(path, version string, body any) answer {
		return h.do(ask{as: auth.Commander, method: "PATCH", path: path, body: body, header: map[string]string{"If-Match": version}})
	}
	for _, c := range []struct {
		path    string
		version int64
		body    func(i int) any
	}{
		{"/api/v1/updates/" + u.ID, u.Version, func(i int) any { return with(h.statement(), "headline", fmt.Sprint("headline ", i)) }},
		{"/api/v1/incidents/" + incident, 0, func(i int) any { return map[string]any{"title": fmt.Sprint("title ", i)} }},
	} {
		if c.version == 0 {
			var in object
			h.get(auth.Auditor, c.path).want(200).into(&in)
			c.version = in.Version
		}
		var after object
		patch(c.path, fmt.Sprintf(`"%d"`, c.version), c.body(1)).want(200).into(&after)
		if after.Version <= c.version {
			t.Errorf("version %d after %d", after.Version, c.version)
		}
		patch(c.path, fmt.Sprintf(`"%d"`, c.version), c.body(2)).want(412)
		patch(c.path, fmt.Sprint(after.Version), c.body(2)).want(200)
		patch(c.path, "*", c.body(3)).want(200)
		for _, nonsense := range []string{"x", "0", "-1", `W/"1"`} {
			same(t, nonsense, patch(c.path, nonsense, c.body(4)).want(422).named(), []string{"If-Match"})
		}
	}
}

func TestAPreviewIsWhatWouldBeSent(t *testing.T) {
	h := open(t)
	incident := h.world()
	u := h.draft(incident, with(h.statement(), "channels", []string{"email", "sms", "page", "ticket", "webhook"}))
	h.staffPage(auth.Comms, "/desk/incidents/"+incident+"/editor?update="+u.ID).want(200).says("&#34;status_indicator&#34;", `id="preview"`)
	for _, channel := range []string{"email", "sms", "page", "ticket", "webhook", "slack", "teams"} {
		texts := map[string]bool{}
		for _, locale := range []string{"en", "zh-CN", "ja"} {
			var p previewAnswer
			h.get(auth.Auditor, "/api/v1/updates/"+u.ID+"/preview?channel="+channel+"&locale="+locale).want(200).into(&p)
			if p.Channel != channel || p.Locale != locale || p.People != 3 || p.Text+p.HTML == "" {
				t.Errorf("%+v", p)
			}
			if slices.Contains([]string{"webhook", "slack", "teams"}, channel) && !json.Valid([]byte(p.Text)) {
				t.Errorf("%s gets %s", channel, p.Text)
			}
			if channel == "sms" && p.Segments < 1 || channel == "email" && (p.Subject == "" || p.HTML == "" || p.Text == "") {
				t.Errorf("%+v", p)
			}
			if channel == "sms" && (p.Texts == nil || p.Texts.People != 1 || p.Texts.Segments != p.Segments) {
				t.Errorf("what texting takes: %+v", p.Texts)
			}
			texts[p.Text+p.HTML] = true
		}
		if len(texts) != 3 {
			t.Errorf("%s has %d wordings in three languages", channel, len(texts))
		}
	}
	h.get(auth.Auditor, "/api/v1/updates/"+u.ID+"/preview?channel=fax").want(422)
	h.get(auth.Auditor, "/api/v1/updates/"+u.ID+"/preview?locale=tlh").want(422)
}

func TestTheFirstNoticeIsOnePersonsWord(t *testing.T) {
	h := open(t)
	incident := h.world()
	path := "/api/v1/incidents/" + incident + "/first-notice"
	notice := map[string]any{"products": []string{"Wiki"}, "next_update_by": h.clock.Now().Add(time.Hour).Format(time.RFC3339)}
	h.post(auth.Support, path, notice).want(403) // its words are not approved yet
	h.post(auth.Commander, "/api/v1/first-notice/approve", nil).want(200)
	h.post(auth.Commander, "/api/v1/first-notice/approve", nil)
	h.post(auth.Support, path, notice).want(403) // one person twice is not two
	h.post(auth.Approver, "/api/v1/first-notice/approve", nil).want(200)
	same(t, "missing", h.post(auth.Support, path, map[string]any{}).want(422).named(), []string{"next_update_by", "products"})
	same(t, "unknown", h.post(auth.Support, path, with(notice, "restored", 1)).want(422).named(), []string{"restored"})
	var u updateAnswer
	h.post(auth.Support, path, notice).want(201).into(&u)
	if u.State != comms.Published || !u.Unread || u.Statement.DataLoss.Kind != templates.NotKnown {
		t.Errorf("%+v", u)
	}
	h.post(auth.Support, path, notice).want(409)
	h.do(ask{token: h.issue(auth.Commander, "The support"), method: "POST", path: "/api/v1/updates/" + u.ID + "/read"}).want(403) // her own
	h.post(auth.Approver, "/api/v1/updates/"+u.ID+"/read", nil).want(200).into(&u)
	if u.Unread {
		t.Error("nobody has read it yet")
	}
}

func TestAWorkingCopyKeepsAnything(t *testing.T) {
	h := open(t)
	path := "/api/v1/incidents/" + h.declare() + "/working-copy"
	keep := func(status int, body string) answer {
		return h.do(ask{as: auth.Comms, method: "PUT", path: path, body: body}).want(status)
	}
	for _, typed := range []string{`{}`, `{"headline":"half a sen"}`, `{"headline":7,"no such field":{"a":[1,null,"<script>"]}}`} {
		keep(200, typed)
		var got copyAnswer
		h.get(auth.Auditor, path).want(200).into(&got)
		same(t, "kept", got.Text, rawJSON(typed))
		if got.By == "" || !got.At.Equal(h.clock.Now()) {
			t.Errorf("%+v", got)
		}
	}
	keep(422, "")
	keep(422, `{"headline":"half`)
}

func TestReachAndDeliveries(t *testing.T) {
	h := open(t)
	incident := h.world()
	u := h.draft(incident, h.statement())
	path := "/api/v1/updates/" + u.ID
	var before comms.Reach
	h.get(auth.Auditor, path+"/reach").want(200).into(&before)
	if before.Done || before.Audience.People != 0 {
		t.Errorf("a draft has reached somebody: %+v", before)
	}
	if got := h.items(path + "/deliveries"); len(got) != 0 {
		t.Errorf("a draft was delivered: %v", got)
	}
	h.post(auth.Approver, path+"/approve", nil).want(200)
	sent := h.send()
	h.post(auth.Comms, path+"/publish", map[string]any{}).want(200)
	got := map[string]string{}
	for range 4 { // three by mail, one of them by SMS as well
		for {
			m := sent.next()
			if m.To == "duty@vendor.example" { // staff are told of the incident
				continue
			}
			got[m.To] = m.Locale
			break
		}
	}
	same(t, "who was told", got, map[string]string{"ann@acme.example": "en", "+12025550101": "en", "bo@acme.example": "zh-CN", "dai@bolt.example": "ja"})
	r := h.settled(path, func(r comms.Reach) bool { return r.Done })
	if r.Audience != (comms.ReachAudience{People: 3, Customers: 2, Sites: 4}) || r.ByChannel["email"][comms.Sent] != 3 || r.ByChannel["sms"][comms.Sent] != 1 || r.States[comms.Sent] != 3 {
		t.Errorf("%+v", r)
	}
	told := h.items(path + "/deliveries")
	addresses := map[string]bool{}
	for _, d := range told {
		address := d["address"].(string)
		addresses[address] = true
		masked := strings.ContainsAny(address, "*•…") || address == "" && d["reason"] == "no_address"
		if strings.Contains(address, "ann@") || strings.Contains(address, "2025550101") || !masked {
			t.Errorf("%q is not masked", address)
		}
		if sent := d["state"] == "sent" && d["attempts"] == 1.0; !sent && d["reason"] != "no_address" {
			t.Errorf("%v", d)
		}
	}
	if n := len(told); n != 6 || len(addresses) != 5 { // two have no phone
		t.Errorf("%d deliveries to %v", n, addresses)
	}
	h.staffPage(auth.Comms, "/desk/updates/"+u.ID+"/deliveries").want(200).says(">Acme</a>", ">Bolt</a>").silent("⟦")
	if n := len(h.items(path + "/deliveries?channel=sms&state=sent")); n != 1 {
		t.Errorf("%d texts", n)
	}
	if n := len(h.items(path + "/deliveries?state=failed")); n != 2 {
		t.Errorf("%d failures", n)
	}
}

// settled asks for the reach of an update until it is as it will be.
func (h *house) settled(path string, ok func(comms.Reach) bool) (r comms.Reach) {
	h.Helper()
	end := time.After(patience)
	for {
		asked := time.Now()
		h.get(auth.Auditor, path+"/reach").want(200).into(&r)
		if ok(r) {
			return r
		}
		select {
		case <-time.After(max(20*time.Millisecond, 4*time.Since(asked))): // who asks at once takes the machine from what she waits for
		case <-end:
			h.Fatalf("waited in vain: %+v", r)
		}
	}
}

func TestListsComeInPages(t *testing.T) {
	h := open(t)
	incident := h.declare()
	for range 4 {
		h.draft(incident, h.statement())
	}
	h.declare()
	h.declare()
	for path, want := range map[string]int{"/api/v1/incidents": 3, "/api/v1/incidents/" + incident + "/updates": 4} {
		ids := map[string]bool{}
		for _, item := range h.items(path) {
			ids[item["id"].(string)] = true
		}
		if len(ids) != want {
			t.Errorf("%s: %d different items, want %d", path, len(ids), want)
		}
		for _, wrong := range []string{"0", "-1", "201", "x", "1x", "1.5", "99999999999999999999"} {
			same(t, path+" limit "+wrong, h.get(auth.Auditor, path+"?limit="+wrong).want(422).named(), []string{"limit"})
		}
		if a := h.get(auth.Auditor, path+"?after=nonsense"); a.StatusCode != 422 && a.StatusCode != 200 {
			t.Errorf("a made-up cursor: %d\n%s", a.StatusCode, a.body)
		}
	}
	if n := len(h.items("/api/v1/incidents/" + incident + "/log")); n == 0 {
		t.Error("the log is empty")
	}
}

func TestAnIdempotencyKeyActsOnce(t *testing.T) {
	h := open(t)
	declare := func(as auth.Role, key, title string) answer {
		return h.do(ask{as: as, method: "POST", path: "/api/v1/incidents", header: map[string]string{"Idempotency-Key": key},
			body: map[string]any{"title": title, "severity": "P1", "category": "data", "impact": "y"}})
	}
	first := declare(auth.Commander, "k", "a").want(201)
	again := declare(auth.Commander, "k", "a").want(201)
	if string(again.body) != string(first.body) || again.Header.Get("Idempotency-Replayed") != "true" || first.Header.Get("Idempotency-Replayed") != "" ||
		again.Header.Get("Content-Type") != first.Header.Get("Content-Type") {
		t.Errorf("the answer was another: %s", again.body)
	}
	secure(t, again.Request, again.Response)
	declare(auth.Commander, "k", "b").want(409)
	if id := declare(auth.Support, "k", "a").want(201).text("id"); id == first.text("id") {
		t.Error("one person's key is another's")
	}
	same(t, "a long key", declare(auth.Commander, strings.Repeat("k", 256), "a").want(422).named(), []string{"Idempotency-Key"})
	declare(auth.Commander, "refused", "").want(422)
	declare(auth.Commander, "refused", "c").want(201) // what was refused was not done
	h.clock.Turn(24*time.Hour + time.Second)
	if id := declare(auth.Commander, "k", "a").want(201).text("id"); id == first.text("id") {
		t.Error("a key is remembered for longer than a day")
	}
	if n := len(h.items("/api/v1/incidents")); n != 4 {
		t.Errorf("%d incidents, want four", n)
	}
	// A stranger's ticket as well; the secret is in the answer, so only the same body from the same place gets it.
	file := func(source, message string) answer {
		return h.do(ask{method: "POST", path: "/api/v1/tickets", header: map[string]string{"Idempotency-Key": "t", "X-Forwarded-For": source},
			body: map[string]any{"message": message, "email": "ann@acme.example"}})
	}
	one := file("203.0.113.1", "help").want(201)
	if two := file("203.0.113.1", "help").want(201); string(two.body) != string(one.body) {
		t.Errorf("filed twice: %s", two.body)
	}
	file("203.0.113.1", "other").want(409)
	if two := file("203.0.113.2", "help").want(201); two.text("number") == one.text("number") {
		t.Error("another source got the ticket of the first")
	}
}

// An answer that is replayed is the same in everything that a client goes by.
func TestAReplayNamesWhereItIs(t *testing.T) {
	h := open(t)
	a := ask{as: auth.Commander, method: "POST", path: "/api/v1/incidents", header: map[string]string{"Idempotency-Key": "k"},
		body: map[string]any{"title": "x", "severity": "P1", "category": "data", "impact": "y"}}
	first := h.do(a).want(201)
	if got := first.Header.Get("Location"); got != "/api/v1/incidents/"+first.text("id") {
		t.Errorf("Location: %q", got)
	}
}

// mute is a mail channel that no relay takes anything of.
type mute struct{ tray }

func (mute) Send(context.Context, comms.Message) comms.Outcome {
	return comms.Outcome{State: comms.Deferred, Reason: "no relay took it: refused"}
}

// While no relay takes mail the board offers texts to those who wait, with number, cost and duration; one person asks, and a second one says yes.
func TestTextsInPlaceOfMailTakeTwoPeople(t *testing.T) {
	h := open(t)
	h.Comms.Policy.MailDown, h.Comms.Policy.Texting = time.Nanosecond, comms.Texting{Price: 0.05, Currency: "EUR", Rate: 1}
	incident := h.world()
	u := h.draft(incident, h.statement(func(s map[string]any) { s["channels"] = []string{"email", "page"} }))
	path := "/api/v1/updates/" + u.ID
	h.get(auth.Auditor, path+"/texts").want(409)
	h.post(auth.Approver, path+"/approve", nil).want(200)
	sent := h.send(mute{tray{name: "email"}})
	h.post(auth.Comms, path+"/publish", map[string]any{}).want(200)
	h.settled(path, func(r comms.Reach) bool { return r.ByChannel["email"][comms.Deferred] == 3 })
	board := string(h.staffPage(auth.Comms, "/desk/incidents/"+incident).want(200).body)
	for _, part := range []string{`id="mail-down"`, "mail waits: 3", "/desk/updates/" + u.ID + "/texts"} {
		if !strings.Contains(board, part) {
			t.Errorf("the board lacks %s", part)
		}
	}
	h.staffPage(auth.Comms, "/desk/updates/"+u.ID+"/texts").want(200).says("Ask for it", "EUR", "Of them with a phone").silent("Yes, text them now")
	h.post(auth.Approver, path+"/texts/approve", nil).want(409)
	var o comms.Instead
	h.post(auth.Comms, path+"/texts", nil).want(200).into(&o)
	if o.Waiting != 3 || o.People != 1 || o.Segments < 1 || o.Cost == "" || o.Begun {
		t.Errorf("%+v", o)
	}
	h.staffPage(auth.Approver, "/desk/updates/"+u.ID+"/texts").want(200).says("Yes, text them now", "has asked for it").silent("Ask for it")
	h.post(auth.Approver, path+"/texts/approve", nil).want(200)
	if m := sent.next(); m.To != "+12025550101" || !strings.Contains(m.Text, "A script deleted sites") {
		t.Errorf("told: %+v", m)
	}
	r := h.settled(path, func(r comms.Reach) bool { return r.ByChannel["sms"][comms.Sent] == 1 })
	if r.ByChannel["email"][comms.Suppressed] != 1 || r.ByChannel["email"][comms.Deferred] != 2 || r.States[comms.Sent] != 1 || r.States[comms.Deferred] != 2 {
		t.Errorf("%+v", r)
	}
	h.staffPage(auth.Comms, "/desk/updates/"+u.ID+"/texts").want(200).says("it is under way")
	h.post(auth.Approver, path+"/texts/approve", nil).want(409)
}
