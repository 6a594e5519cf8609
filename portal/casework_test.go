package portal

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
)

// post sends a form of a staff page as a person of a role who is signed in.
func (h *house) form(as auth.Role, path string, fields url.Values) answer {
	h.Helper()
	cookie, csrf := h.signIn(as)
	return h.do(ask{method: "POST", path: path, media: "application/x-www-form-urlencoded", body: fields.Encode(),
		header: map[string]string{"Cookie": cookie.String(), "X-CSRF-Token": csrf, "Origin": h.URL}})
}

func (h *house) staffPage(as auth.Role, path string) answer {
	h.Helper()
	cookie, _ := h.signIn(as)
	return h.do(ask{method: "GET", path: path, header: map[string]string{"Cookie": cookie.String()}})
}

// Six facts come before an incident is classified; two of them may be empty. Declaring needs fewer, and then promises the rest within the hour. How an incident
// was found is counted, with what was said in public.
func TestAnIncidentIsClassifiedOnSixFacts(t *testing.T) {
	h := open(t)
	declared := map[string]any{"title": "Sites deleted", "severity": "P0", "category": "data", "impact": "Sites cannot be opened."}
	var in incidentAnswer
	h.post(auth.Support, "/api/v1/incidents", declared).want(201).into(&in)
	due, err := h.Comms.DueList(context.Background()) // behind it stand the words that readers are owed
	if err != nil || len(due) != 4 || due[0].What != comms.Classification || !due[0].Due.Equal(in.DeclaredAt.Add(time.Hour)) {
		t.Fatalf("%+v %v", due, err)
	}
	facts := func(without string) map[string]any {
		all := map[string]any{"found_by": "customer_ticket", "customer": "", "system": "", "detected_at": "2022-04-05T07:46:00Z", "scope_estimate": "about 700 sites", "impact": "Sites cannot be opened.",
			"severity": "P0", "category": "data"}
		delete(all, without)
		return all
	}
	path := "/api/v1/incidents/" + in.ID + "/classify"
	for _, needed := range []string{"found_by", "detected_at", "scope_estimate", "impact", "severity"} {
		if got := h.post(auth.Commander, path, facts(needed)).want(422); !strings.Contains(string(got.body), `"`+needed+`"`) {
			t.Errorf("without %s: %s", needed, got.body)
		}
	}
	h.post(auth.Commander, path, facts("customer")).want(200)
	h.post(auth.Commander, path, facts("system")).want(200).into(&in)
	if in.ClassifiedAt == nil || in.FoundBy != comms.FoundByCustomer {
		t.Errorf("%+v", in)
	}
	if due, err := h.Comms.DueList(context.Background()); err != nil || len(due) != 3 || slices.ContainsFunc(due, func(d comms.Due) bool { return d.What == comms.Classification }) {
		t.Errorf("the facts are there and still due: %+v %v", due, err)
	}
	// The same on the page of the room, where what was typed stays when it is refused.
	room := "/desk/incidents/" + in.ID
	typed := url.Values{"found_by": {"monitoring"}, "detected_at": {"2022-04-05T07:40"}, "scope_estimate": {"all of the EU"}, "impact": {"Sites cannot be opened."}, "severity": {"P1"}, "category": {"data"}}
	h.form(auth.Commander, room+"/classify", typed).want(422).says("all of the EU", "What belongs to each level", "app or API cannot be reached")
	typed.Set("reason", "smaller than thought")
	h.form(auth.Commander, room+"/classify", typed).want(303)
	h.staffPage(auth.Engineer, room).want(200).says("Make it graver").silent(`action="` + room + `/classify"`)
	// SRE and management raise a level on judgement, with a reason, and never lower it.
	for _, refused := range []map[string]any{{"severity": "P0"}, {"severity": "P0", "reason": " "}, {"severity": "P2", "reason": "calm"}, {"severity": "P1", "reason": "same"}} {
		h.post(auth.Engineer, "/api/v1/incidents/"+in.ID+"/raise", refused).want(422)
	}
	h.post(auth.Support, "/api/v1/incidents/"+in.ID+"/raise", map[string]any{"severity": "P0", "reason": "x"}).want(403)
	h.form(auth.Engineer, room+"/raise", url.Values{"severity": {"P0"}, "reason": {"the array is losing disks"}}).want(303)
	h.get(auth.Auditor, "/api/v1/incidents/"+in.ID+"/log").want(200).says("P1 → P0: the array is losing disks")
	var levels list[levelAnswer]
	h.get(auth.Comms, "/api/v1/levels").want(200).into(&levels)
	if len(levels.Items) != 4 || levels.Items[3].Text["ja"] == "" {
		t.Errorf("%+v", levels)
	}
	h.post(auth.Commander, path, facts("")).want(200)
	for _, by := range []string{"customer_ticket", "monitoring"} {
		declared["found_by"] = by
		h.post(auth.Support, "/api/v1/incidents", declared).want(201)
	}
	declared["found_by"] = "luck"
	h.post(auth.Support, "/api/v1/incidents", declared).want(422)
	for range 5 {
		h.post(auth.Support, "/api/v1/signals", map[string]any{"words": "is Vendor down?", "link": "https://social.example/1"}).want(201)
	}
	h.post(auth.Support, "/api/v1/signals", map[string]any{"words": ""}).want(422)
	var report IncidentsReport
	h.get(auth.Auditor, "/api/v1/reports/incidents").want(200).into(&report)
	if len(report.Promises.Months) != 1 || report.Promises.Months[0].Span != "2022-04" || report.Promises.Years[0].By[comms.Classification].Percent != "100.0" || report.Incidents != 3 || report.Customers != "66.7" || report.Signals != 5 || report.ByWay[comms.FoundByMonitoring] != 1 {
		t.Errorf("%+v", report)
	}
	h.get(auth.Auditor, "/api/v1/reports/incidents?from=soon").want(422)
	h.get(auth.Auditor, "/api/v1/reports/incidents?from=2022-04-18T00:00:00Z&to=2022-04-05T00:00:00Z").want(422).says("must be after from")
	if public := h.do(ask{method: "GET", path: "/api/v1/public/incidents/" + in.Short}); strings.Contains(string(public.body), "is Vendor down") {
		t.Error("a signal was published")
	}
}

// Three tickets propose an incident, on the task's page and in the API; one step declares it and holds them, and its dashboard shows them.
func TestABurstIsDeclaredInOneStep(t *testing.T) {
	h := open(t)
	media, body := multipartOf(t, map[string]string{"message": "My site is gone", "email": "a@nowhere.example", "impact": "lost_access"}, upload{"what-i-see.txt", []byte("404")})
	h.do(ask{method: "POST", path: "/api/v1/tickets", media: media, body: body}).want(201)
	h.clock.Turn(time.Second)
	for range 2 {
		h.do(ask{method: "POST", path: "/api/v1/tickets", body: map[string]any{"message": "My site is gone", "email": "a@nowhere.example", "impact": "lost_access"}}).want(201)
	}
	var tasks list[taskAnswer]
	h.get(auth.Support, "/api/v1/tasks?state=open").want(200).into(&tasks)
	if len(tasks.Items) != 1 || tasks.Items[0].Propose == nil || tasks.Items[0].Propose.Count != 3 {
		t.Fatalf("%+v", tasks.Items)
	}
	page := "/desk/tasks/" + tasks.Items[0].ID
	h.do(ask{method: "POST", path: "/api/v1/tickets", body: map[string]any{"message": "Mine too", "email": "b@nowhere.example", "impact": "lost_access"}}).want(201)
	h.get(auth.Support, "/api/v1/tasks?state=open").want(200).into(&tasks)
	if n := tasks.Items[0].Propose.Count; n != 4 {
		t.Errorf("a fourth came while somebody thought about it, and the list counts %d", n)
	}
	if got := h.staffPage(auth.Support, page).want(200); !strings.Contains(string(got.body), `action="`+page+`/incident"`) || !strings.Contains(string(got.body), `<span class="number">4</span>`) {
		t.Errorf("the page does not offer it:\n%s", got.body)
	}
	if got := h.form(auth.Support, page+"/incident", url.Values{"title": {"Sites gone"}, "severity": {"P0"}, "impact": {"x"}}).want(422); !strings.Contains(string(got.body), "category") {
		t.Errorf("%s", got.body)
	}
	to := h.form(auth.Support, page+"/incident", url.Values{"title": {"Sites gone"}, "severity": {"P0"}, "category": {"data"}, "impact": {"x"}}).want(303).Header.Get("Location")
	id := to[strings.LastIndex(to, "/")+1:]
	h.post(auth.Support, "/api/v1/tasks/"+tasks.Items[0].ID+"/incident", map[string]any{"severity": "P0", "category": "data", "impact": "x"}).want(409)
	var board struct {
		Tickets int    `json:"tickets"`
		Waiting int    `json:"waiting"`
		Queue   string `json:"queue"`
		NoSite  int    `json:"without_site"`
		First   string `json:"first_ticket"`

		Files []attachmentAnswer `json:"first_ticket_files"`
	}
	h.get(auth.Support, "/api/v1/incidents/"+id+"/tickets").want(200).into(&board)
	if board.Tickets != 4 || board.Waiting != 4 || board.NoSite != 4 || board.Queue != id {
		t.Errorf("%+v", board)
	}
	if len(board.Files) != 1 || board.Files[0].Name != "what-i-see.txt" { // what the first one sent belongs to the record
		t.Fatalf("the files of the first ticket are %+v", board.Files)
	}
	file := "/tickets/" + board.First + "/files/" + board.Files[0].ID
	h.get(auth.Support, "/api/v1"+file).want(200).says("404")
	got := h.staffPage(auth.Support, to+"/tickets").want(200)
	for _, want := range []string{"what-i-see.txt", "/desk" + file, `<svg class="hours"`, "Waits longest", "Without a site", "4"} {
		if !strings.Contains(string(got.body), want) {
			t.Errorf("the dashboard lacks %q", want)
		}
	}
	if room := h.staffPage(auth.Support, to).want(200); !strings.Contains(string(room.body), to+"/tickets") {
		t.Error("the room does not lead to the dashboard")
	}
}

// One account shows all its work objects, to every support role, and nobody else's addresses in full.
func TestAnAccountShowsAllItsWork(t *testing.T) {
	h := open(t)
	var in incidentAnswer
	h.post(auth.Commander, "/api/v1/incidents", map[string]any{"title": "Sites deleted", "severity": "P0", "category": "data", "impact": "x", "found_by": "staff", "scope_estimate": "all"}).want(201).into(&in)
	if _, err := h.Book.Import(context.Background(), "stf_test", strings.NewReader(theContacts), contacts.ImportOptions{Source: "billing", Format: contacts.FormatCSV}); err != nil {
		t.Fatal(err)
	}
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/incidents/" + in.ID + "/affected", media: "text/csv", body: "site_id\nS-1\nS-4\n"}).want(200)
	if err := h.Desk.FollowSites(context.Background()); err != nil {
		t.Fatal(err)
	}
	var logged struct {
		Ticket string `json:"ticket"`
		Task   string `json:"task_id"`
	}
	h.post(auth.Support, "/api/v1/escalations", map[string]any{"route": "executive", "words": "Our board asks when", "account_id": "A-1"}).want(201).into(&logged)
	h.post(auth.Support, "/api/v1/escalations", map[string]any{"route": "fax", "words": "x"}).want(422)
	h.post(auth.Support, "/api/v1/tickets/heard", map[string]any{"route": "phone", "words": "Everything is gone", "impact": "lost_access", "phone": "+12025550133"}).want(201)
	at := h.clock.Now().Add(3 * time.Hour).UTC().Format(time.RFC3339)
	h.post(auth.Support, "/api/v1/tickets/"+logged.Ticket+"/calls", map[string]any{"at": at, "zone": "Nowhere"}).want(422)
	var call taskAnswer
	h.post(auth.Support, "/api/v1/tickets/"+logged.Ticket+"/calls", map[string]any{"at": at, "zone": "Europe/Berlin"}).want(201).into(&call)
	h.post(auth.Support, "/api/v1/calls/"+call.ID+"/notes", map[string]any{"notes": "They need S-1 first."}).want(200)
	var done list[taskAnswer]
	h.get(auth.Engineer, "/api/v1/calls?state=done").want(200).into(&done)
	h.get(auth.Engineer, "/api/v1/calls?state=lost").want(422)
	if len(done.Items) != 1 || done.Items[0].ID != call.ID {
		t.Errorf("%+v", done)
	}
	var tally comms.Tally
	h.get(auth.Support, "/api/v1/escalations/count?incident="+in.ID).want(200).into(&tally)
	var open list[taskAnswer]
	h.get(auth.Support, "/api/v1/escalations").want(200).into(&open)
	h.get(auth.Auditor, "/api/v1/reports/incidents").want(200).says(`"escalations":{"executive":1}`)
	if tally.All != 1 || tally.BySort["executive"] != 1 || len(open.Items) != 1 || open.Items[0].ID != logged.Task {
		t.Errorf("%+v %+v", tally, open)
	}
	for _, role := range []auth.Role{auth.Support, auth.Commander, auth.Comms, auth.Security, auth.Auditor} {
		var v accountView
		got := h.get(role, "/api/v1/accounts/A-1").want(200).into(&v)
		w := v.Work
		if len(v.Sites) != 3 || len(v.Contacts) != 2 || len(w.Tickets) != 2 || len(w.Escalations) != 1 || len(w.Calls) != 1 || len(w.CallNotes) != 1 || len(w.Places) != 1 || w.Places[0].State != comms.Lost {
			t.Errorf("%s: %s", role, got.body)
		}
		if strings.Contains(string(got.body), "ann@acme.example") {
			t.Errorf("%s sees an address in full", role)
		}
	}
	if got := h.staffPage(auth.Support, "/desk/escalations").want(200); !strings.Contains(string(got.body), "Escalation (executive)") {
		t.Errorf("%s", got.body)
	}
	back := h.form(auth.Support, "/desk/escalations", url.Values{"route": {"linkedin"}, "words": {"<b>Do you read this?</b>"}, "mine": {"1"}}).want(303).Header.Get("Location")
	if got := h.staffPage(auth.Support, back).want(200); !strings.Contains(string(got.body), "Escalation (linkedin)") || strings.Contains(string(got.body), "<b>Do you") {
		t.Errorf("%s", got.body)
	}
	// The same on pages: the account shows it all, a call is booked on the ticket's page and ends on the task's with what was said.
	h.staffPage(auth.Support, "/desk/accounts/A-1").want(200).says("They need S-1 first.", "Escalation (executive)", "call the customer of ticket "+logged.Ticket)
	h.staffPage(auth.Engineer, "/desk/accounts/A-1").want(403)
	day := h.clock.Now().Add(24 * time.Hour).Format(time.DateOnly)
	booked := url.Values{"act": {"call"}, "day": {day}, "hour": {"09:30"}, "zone": {"Asia/Tokyo"}}
	h.form(auth.Support, "/desk/tickets/"+logged.Ticket, url.Values{"act": {"call"}, "day": {"yesterday"}, "hour": {"09:30"}, "zone": {"Asia/Tokyo"}}).want(422).says("are not a date")
	h.form(auth.Support, "/desk/tickets/"+logged.Ticket, booked).want(303)
	h.get(auth.Support, "/api/v1/calls?state=open").want(200).into(&open)
	if len(open.Items) != 1 || !open.Items[0].Due.Equal(time.Date(h.clock.Now().Year(), h.clock.Now().Month(), h.clock.Now().Day()+1, 0, 30, 0, 0, time.UTC)) {
		t.Fatalf("%+v", open)
	}
	h.form(auth.Support, "/desk/tasks/"+open.Items[0].ID, url.Values{"act": {"talked"}, "notes": {""}}).want(422)
	h.form(auth.Comms, "/desk/tasks/"+open.Items[0].ID, url.Values{"act": {"talked"}, "notes": {"x"}}).want(403)
	h.form(auth.Support, "/desk/tasks/"+open.Items[0].ID, url.Values{"act": {"talked"}, "notes": {"They have S-1 again."}}).want(303)
	h.staffPage(auth.Support, "/desk/accounts/A-1").want(200).says("They have S-1 again.")
	h.form(auth.Support, "/desk/signals", url.Values{"words": {"their wiki is down"}, "link": {"https://social.example/1"}}).want(303)
	if got := h.form(auth.Support, "/desk/escalations", url.Values{"route": {"phone"}, "words": {""}, "name": {"Ann"}}).want(422); !strings.Contains(string(got.body), `value="Ann"`) {
		t.Error("what was typed is lost")
	}
}
