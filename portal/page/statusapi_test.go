package page

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"html"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/templates"
)

// node is JSON with the order of its keys kept.
type node struct {
	keys []string
	at   map[string]*node
	list []*node
	leaf any
	kind byte // o, l, or v
}

func parseOrdered(t *testing.T, body []byte) *node {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	n := readNode(t, d)
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("something follows the answer: %v", err)
	}
	return n
}

func readNode(t *testing.T, d *json.Decoder) *node {
	t.Helper()
	tok, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch tok {
	case json.Delim('{'):
		n := &node{kind: 'o', at: map[string]*node{}}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			n.keys = append(n.keys, key.(string))
			n.at[key.(string)] = readNode(t, d)
		}
		d.Token()
		return n
	case json.Delim('['):
		n := &node{kind: 'l'}
		for d.More() {
			n.list = append(n.list, readNode(t, d))
		}
		d.Token()
		return n
	}
	return &node{kind: 'v', leaf: tok}
}

const (
	pageKeys      = "id,name,url,time_zone,updated_at"
	componentKeys = "id,name,status,created_at,updated_at,position,description,showcase,start_date,group_id,page_id,group,only_show_if_degraded"
	incidentKeys  = "id,name,status,created_at,updated_at,monitoring_at,resolved_at,impact,shortlink,started_at,page_id,incident_updates,components,reminder_intervals"
	updateKeys    = "id,status,body,incident_id,created_at,updated_at,display_at,affected_components,deliver_notifications,custom_tweet,tweet_id"
)

var (
	shortRule = regexp.MustCompile(`^[0-9a-z]{12}$`)
	stampRule = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
)

func TestStatusAPIKeepsItsShape(t *testing.T) {
	for name, public := range moments {
		e, err := samplePress(t, "").Render(public())
		if err != nil {
			t.Fatal(err)
		}
		for path, keys := range map[string]string{
			"summary.json": "page,components,incidents,scheduled_maintenances,status", "status.json": "page,status", "components.json": "page,components",
			"incidents.json": "page,incidents", "incidents/unresolved.json": "page,incidents", "scheduled-maintenances.json": "page,scheduled_maintenances",
			"scheduled-maintenances/upcoming.json": "page,scheduled_maintenances", "scheduled-maintenances/active.json": "page,scheduled_maintenances",
		} {
			t.Run(name+"/"+path, func(t *testing.T) {
				n := parseOrdered(t, e.Body("/api/v2/"+path, ""))
				wantKeys(t, n, keys)
				wantKeys(t, n.at["page"], pageKeys)
				checkComponents(t, n.at["components"])
				for _, list := range []string{"components", "incidents", "scheduled_maintenances"} {
					if l := n.at[list]; l != nil && l.kind != 'l' {
						t.Errorf("%s is not a list", list)
					}
				}
				if s := n.at["status"]; s != nil {
					wantKeys(t, s, "indicator,description")
					oneOf(t, s.at["indicator"], "none", "minor", "major", "critical", "maintenance")
					oneOf(t, s.at["description"], "All Systems Operational", "Partially Degraded Service", "Minor Service Outage", "Partial System Outage", "Major Service Outage", "Service Under Maintenance")
				}
				if n.at["incidents"] != nil {
					for _, in := range n.at["incidents"].list {
						checkIncident(t, in)
					}
				}
				if n.at["scheduled_maintenances"] != nil {
					for _, m := range n.at["scheduled_maintenances"].list {
						checkMaintenance(t, m)
					}
				}
				checkLeaves(t, "", n)
			})
		}
	}
}

func checkMaintenance(t *testing.T, m *node) {
	t.Helper()
	wantKeys(t, m, incidentKeys+",scheduled_for,scheduled_until")
	oneOf(t, m.at["status"], "scheduled", "in_progress", "verifying", "completed")
	oneOf(t, m.at["impact"], "maintenance")
	if !stampRule.MatchString(m.at["scheduled_for"].leaf.(string)) || !stampRule.MatchString(m.at["scheduled_until"].leaf.(string)) {
		t.Errorf("its window is %v to %v", m.at["scheduled_for"].leaf, m.at["scheduled_until"].leaf)
	}
	checkComponentsOf(t, m)
	before := ""
	for _, u := range m.at["incident_updates"].list {
		wantKeys(t, u, updateKeys)
		oneOf(t, u.at["status"], "scheduled", "in_progress", "verifying", "completed")
		if now := u.at["created_at"].leaf.(string); before != "" && now > before {
			t.Error("updates of a maintenance are not newest first")
		} else {
			before = now
		}
	}
}

// Planned work stands in the lists that clients ask for, and on the page in every language.
func TestPlannedWorkIsShown(t *testing.T) {
	press := sampleWide(t)
	e, err := press.Render(sampleRecovery())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"scheduled-maintenances.json": "Network cards,Database upgrade,Certificates", "scheduled-maintenances/upcoming.json": "Network cards",
		"scheduled-maintenances/active.json": "Database upgrade", "summary.json": "Network cards,Database upgrade"} {
		var got []string
		for _, m := range parseOrdered(t, e.Body("/api/v2/"+path, "")).at["scheduled_maintenances"].list {
			got = append(got, m.at["name"].leaf.(string))
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%s lists %q, want %s", path, got, want)
		}
	}
	for _, locale := range templates.Locales() {
		words := press.Words.Catalog(locale)
		home, history := pageText(t, e, "/"+locale+"/"), pageText(t, e, "/"+locale+"/history")
		reason := "Changes are frozen."
		if locale == "ja" {
			reason = "変更は凍結されています。"
		}
		for _, want := range []string{words.T("page.plans"), words.T("page.plan.held"), reason, words.T("page.plan.in_progress"), "Database upgrade"} {
			if !strings.Contains(home, folded(want)) || !strings.Contains(history, folded(want)) {
				t.Errorf("%s: the pages lack %q", locale, want)
			}
		}
		if strings.Index(home, "Database upgrade") > strings.Index(home, "Network cards") {
			t.Error("the first page does not begin with what is soonest")
		}
	}
	// What happens elsewhere changes nothing of a component that is well.
	later := sampleRecovery()
	later.AsOf, later.Incidents[0].Updated = later.AsOf.Add(48*time.Hour), later.AsOf.Add(47*time.Hour)
	next, err := press.Render(later)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := e.Body("/api/v2/components.json", ""), next.Body("/api/v2/components.json", ""); !bytes.Equal(a[bytes.Index(a, []byte(`"components"`)):], b[bytes.Index(b, []byte(`"components"`)):]) {
		t.Errorf("components seem to have changed: %s, then %s", a, b)
	}
	for locale, want := range map[string][]string{ // of the one that somebody translated, and of the two that nobody did
		"ja": {`<h3>証明書の更新`, press.Words.Catalog("ja").T("update.prevails", "英語"), `<h3 lang="en">Network cards`, `<p>変更は凍結されています。`, press.Words.Catalog("ja").T("update.foreign", "英語")},
		"en": {`<h3>Certificates`, press.Words.Catalog("en").T("update.prevails", "English"), `<h3>Network cards`, `<p>Changes are frozen.`},
		"de": {`<h3 lang="en">Certificates`, `<p lang="en">Changes are frozen.`},
	} {
		body := string(e.Body("/"+locale+"/history", ""))
		for _, say := range want {
			if !strings.Contains(body, say) {
				t.Errorf("%s: planned work lacks %q", locale, say)
			}
		}
	}
	if body := string(e.Body("/api/v1/public/maintenances", "")); !strings.Contains(body, `"state":"held"`) || !strings.Contains(body, `"reason":"Changes are frozen.","translations":{"ja":"変更は凍結されています。"}`) || strings.Contains(body, "stf_ann") {
		t.Errorf("the structured facts: %s", body)
	}
	// The page is written again when a window begins or ends, whatever else happens.
	for status, want := range map[string]time.Duration{comms.PlanScheduled: time.Minute, comms.PlanInProgress: 2 * time.Minute} {
		p := sampleEmpty()
		p.AsOf = press.Now()
		p.Plans = []comms.PublicMaintenance{{Status: status, Maintenance: comms.Maintenance{Short: "m00000000001", From: p.AsOf.Add(time.Minute), Until: p.AsOf.Add(2 * time.Minute)}}}
		if e, err = press.Render(p); err != nil || !e.staleAt.Equal(p.AsOf.Add(want)) {
			t.Errorf("a plan that is %s: written again at %v, %v", status, e.staleAt, err)
		}
	}
}

func checkComponents(t *testing.T, list *node) {
	t.Helper()
	if list == nil {
		return
	}
	groups := map[any]bool{}
	for _, c := range list.list {
		if c.at["group"].leaf == true {
			wantKeys(t, c, componentKeys+",components")
			groups[c.at["id"].leaf] = true
		} else {
			wantKeys(t, c, componentKeys)
		}
		oneOf(t, c.at["status"], "operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance")
	}
	for _, c := range list.list {
		if id := c.at["group_id"].leaf; id != nil && !groups[id] {
			t.Errorf("component %v names group %v, which is not there", c.at["name"].leaf, id)
		}
	}
}

func checkIncident(t *testing.T, in *node) {
	t.Helper()
	wantKeys(t, in, incidentKeys)
	oneOf(t, in.at["status"], "investigating", "identified", "monitoring", "resolved", "postmortem")
	oneOf(t, in.at["impact"], "none", "minor", "major", "critical")
	checkComponentsOf(t, in)
	before := ""
	for _, u := range in.at["incident_updates"].list {
		wantKeys(t, u, updateKeys)
		oneOf(t, u.at["status"], "investigating", "identified", "monitoring", "resolved", "postmortem")
		now := u.at["created_at"].leaf.(string)
		if before != "" && now > before {
			t.Error("updates are not newest first")
		}
		before = now
		if a := u.at["affected_components"]; a.kind == 'l' {
			for _, c := range a.list {
				wantKeys(t, c, "code,name,old_status,new_status")
			}
		} else if a.leaf != nil {
			t.Errorf("affected_components is %v", a.leaf)
		}
		if body := u.at["body"].leaf.(string); body == "" || strings.ContainsAny(body, "⟦") {
			t.Errorf("body %q", body)
		}
	}
}

func checkComponentsOf(t *testing.T, in *node) {
	t.Helper()
	for _, c := range in.at["components"].list {
		if !strings.HasPrefix(strings.Join(c.keys, ","), componentKeys) {
			t.Errorf("an incident's component is not a full object: %v", c.keys)
		}
	}
}

// checkLeaves looks at every id and every time.
func checkLeaves(t *testing.T, key string, n *node) {
	t.Helper()
	for k, v := range n.at {
		checkLeaves(t, k, v)
	}
	for _, v := range n.list {
		checkLeaves(t, key, v)
	}
	s, ok := n.leaf.(string)
	switch {
	case !ok:
	case key == "id" || strings.HasSuffix(key, "_id") || key == "code":
		if !shortRule.MatchString(s) {
			t.Errorf("%s %q is not 12 lower-case letters and digits", key, s)
		}
	case strings.HasSuffix(key, "_at"):
		if !stampRule.MatchString(s) {
			t.Errorf("%s %q has no milliseconds in UTC", key, s)
		}
	}
}

func wantKeys(t *testing.T, n *node, keys string) {
	t.Helper()
	if n == nil {
		t.Errorf("missing, want an object of %s", keys)
	} else if got := strings.Join(n.keys, ","); got != keys {
		t.Errorf("keys %s\nwant %s", got, keys)
	}
}

func oneOf(t *testing.T, n *node, words ...string) {
	t.Helper()
	if s, _ := n.leaf.(string); !slices.Contains(words, s) {
		t.Errorf("%v is none of %v", n.leaf, words)
	}
}

func TestStatusSaysHowBadItIs(t *testing.T) {
	for name, c := range map[string]struct {
		public func() comms.Public
		want   string
	}{
		"quiet":    {sampleEmpty, `{"indicator":"none","description":"All Systems Operational"}`},
		"recovery": {sampleRecovery, `{"indicator":"critical","description":"Major Service Outage"}`},
		"resolved": {sampleResolved, `{"indicator":"none","description":"All Systems Operational"}`},
		"a slow part": {func() comms.Public {
			p := sampleEmpty()
			p.Components[0].Status = "degraded_performance"
			return p
		}, `{"indicator":"minor","description":"Partially Degraded Service"}`},
		"reports": {sampleReports, `{"indicator":"minor","description":"Receiving Reports of Problems"}`},
		"reports during a grave incident": {func() comms.Public {
			p := sampleRecovery()
			p.Reports = sampleReports().Reports
			return p
		}, `{"indicator":"critical","description":"Major Service Outage"}`},
		"a word that clients do not know": {func() comms.Public {
			p := sampleEmpty()
			p.Components[0].Status = "restoring"
			return p
		}, `{"indicator":"none","description":"All Systems Operational"}`},
		"a small incident": {func() comms.Public {
			p := sampleUnknown()
			p.Components = nil
			p.Incidents[0].Severity = "P2"
			return p
		}, `{"indicator":"minor","description":"Minor Service Outage"}`},
	} {
		e, err := samplePress(t, "").Render(c.public())
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Body("/api/v2/status.json", ""); !bytes.HasSuffix(got, []byte(`"status":`+c.want+"}")) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestUpdatesTellHowTheyMovedComponents(t *testing.T) {
	e, err := samplePress(t, "").Render(sampleResolved())
	if err != nil {
		t.Fatal(err)
	}
	body := e.Body("/api/v2/incidents.json", "")
	if !bytes.Contains(body, []byte(`{"code":"`+shortID("component", "Wiki")+`","name":"Products - Wiki","old_status":"major_outage","new_status":"operational"}`)) {
		t.Errorf("the last update does not bring the wiki back: %s", body)
	}
	if !bytes.Contains(body, []byte(`"old_status":"operational","new_status":"major_outage"`)) {
		t.Error("the first update does not take the wiki down")
	}
}

// Page, API, facts and feeds carry the same facts and the same update number.
func TestEveryChannelSaysTheSame(t *testing.T) {
	press := samplePress(t, "")
	p := sampleRecovery()
	e, err := press.Render(p)
	if err != nil {
		t.Fatal(err)
	}
	u := p.Incidents[0].Updates[0]
	for _, path := range []string{"/en/", "/api/v2/summary.json", "/api/v1/public/incidents/" + sampleID, "/history.atom", "/history.rss"} {
		got := string(e.Body(path, ""))
		for _, want := range []string{u.Statement.Headline, u.Statement.WhatHappened[:40], u.Statement.Affected.Who, u.Statement.Unknown[0]} {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
		number := press.Words.Catalog("en").T("update.number", u.Number)
		if strings.HasPrefix(path, "/api/v1/") {
			number = `"number":7,`
		}
		if !strings.Contains(got, number) {
			t.Errorf("%s lacks the update's number", path)
		}
	}
}

func TestFactsAreComplete(t *testing.T) {
	e, err := samplePress(t, "").Render(sampleRecovery())
	if err != nil {
		t.Fatal(err)
	}
	n := parseOrdered(t, e.Body("/api/v1/public/incidents/"+sampleID, ""))
	updates := n.at["updates"].list
	if len(updates) != 3 || updates[0].at["number"].leaf != float64(7) || updates[1].at["retracted"].leaf != true {
		t.Fatalf("%d updates", len(updates))
	}
	s := updates[0].at["statement"]
	for _, key := range []string{"phase", "headline", "what_happened", "your_action", "scope", "affected", "timeline", "data_loss", "known", "unknown", "doing", "next_update_by"} {
		if s.at[key] == nil {
			t.Errorf("the statement lacks %s", key)
		}
	}
	if got := n.at["restored_now"].at["sites"].at["percent"].leaf; got != "12.7" {
		t.Errorf("restored now: %v %%", got)
	}
	if got := s.at["data_loss"].at["at_most"].leaf; got != "PT5M" {
		t.Errorf("data loss at most %v", got)
	}
	list := parseOrdered(t, e.Body("/api/v1/public/incidents.json", ""))
	wantKeys(t, list, "items,next")
}

// Feeds stay well-formed whatever people write, and what they write arrives as text.
func TestFeedsStandHostileText(t *testing.T) {
	for name, public := range moments {
		e, err := samplePress(t, "").Render(public())
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/history.atom", "/history.rss", "/ja/history.atom", "/ja/history.rss"} {
			d := xml.NewDecoder(bytes.NewReader(e.Body(path, "")))
			d.Strict = true
			for {
				tok, err := d.Token()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%s %s: %v", name, path, err)
				}
				if s, ok := tok.(xml.StartElement); ok && strings.EqualFold(s.Name.Local, "script") {
					t.Errorf("%s %s: text became an element", name, path)
				}
			}
		}
	}
	e, err := samplePress(t, "").Render(hostile())
	if err != nil {
		t.Fatal(err)
	}
	var feed atomFeed
	if err := xml.Unmarshal(e.Body("/history.atom", ""), &feed); err != nil {
		t.Fatal(err)
	}
	entry := feed.Entries[0]
	content := html.UnescapeString(entry.Content.Text)
	if entry.ID != "tag:status.example.com,2005:Incident/41" || entry.Content.Type != "html" || strings.Contains(content, "<script") || strings.Contains(content, "<img") || !strings.Contains(content, "&lt;img") {
		t.Errorf("entry %s %s: %s", entry.ID, entry.Content.Type, content)
	}
}

// A released id never changes: clients have it in their databases.
func TestIDsAreStable(t *testing.T) {
	for kind, want := range map[string]string{"page": "j2u29lqwckm5", "component": "vogjsrfqqe94", "update": "wq6ayfbnukj5"} {
		if got := shortID(kind, "Wiki"); got != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}

// The newest update that holds says which components are affected: one that it names no more is well again, and the API says so in that update; the incident stays
// found by it. What a correction takes back holds no more, and what was said before it does.
func TestANewerUpdateNamesOtherComponents(t *testing.T) {
	p := sampleUnknown()
	first := p.Incidents[0].Updates[0] // Wiki and the issue tracker
	say := func(number int, at time.Duration, products ...string) templates.Update {
		u := first
		u.ID, u.Number, u.At, u.FirstWord = first.ID[:len(first.ID)-1]+string(rune('1'+number)), number, first.At.Add(at), false
		u.Statement.Scope.Products = products
		return u
	}
	second, wrong, back := say(2, time.Hour, "Wiki", "API"), say(3, 2*time.Hour, "Website"), say(4, 3*time.Hour)
	wrong.Retracted, back.Corrects = true, 3
	in := incidentOf("open", back, wrong, second, first)
	in.Products = second.Statement.Scope.Products
	p.Incidents = []comms.PublicIncident{in}
	e, err := samplePress(t, "").Render(p)
	if err != nil {
		t.Fatal(err)
	}
	var got incidentsAnswer
	if err := json.Unmarshal(e.Body("/api/v2/incidents/unresolved.json", ""), &got); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"Website major_outage>operational, Products - Wiki operational>major_outage, Platform - API operational>major_outage",
		"Website operational>major_outage, Products - Wiki major_outage>operational, Platform - API major_outage>operational",
		"Products - Wiki major_outage>major_outage, Products - Issue tracker major_outage>operational, Platform - API operational>major_outage",
		"Products - Wiki operational>major_outage, Products - Issue tracker operational>major_outage",
	} {
		var said []string
		for _, c := range got.Incidents[0].IncidentUpdates[i].AffectedComponents {
			said = append(said, c.Name+" "+c.OldStatus+">"+c.NewStatus)
		}
		if s := strings.Join(said, ", "); s != want {
			t.Errorf("update %d says %q, want %q", 4-i, s, want)
		}
	}
	var names []string
	for _, c := range got.Incidents[0].Components {
		names = append(names, c.Name)
	}
	if s := strings.Join(names, ", "); s != "Wiki, Issue tracker, API" {
		t.Errorf("the incident is found by %q", s)
	}
}

func (t *statusTime) UnmarshalJSON(b []byte) error { return (*time.Time)(t).UnmarshalJSON(b) }

// What was put on the page alone is told to programs as an update of which nobody was notified.
func TestAWordOnThePageAloneNotifiedNobody(t *testing.T) {
	p := sampleRecovery()
	p.Incidents[0].Updates[0].Statement.Channels = []string{comms.ChannelPage}
	p.Incidents[0].Updates[1].Statement.Channels = []string{comms.ChannelPage, comms.ChannelEmail}
	body, err := samplePress(t, "").Payload(p, p.Incidents[0].Updates[0], "en")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Incident struct {
			Updates []struct {
				Notifies bool `json:"deliver_notifications"`
			} `json:"incident_updates"`
		}
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if u := got.Incident.Updates; u[0].Notifies || !u[1].Notifies {
		t.Errorf("%+v", u)
	}
}
