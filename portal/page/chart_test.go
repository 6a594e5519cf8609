package page

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"lifeline/comms"
	"lifeline/templates"
)

// The incident's own page draws how sites came back, says the same in words and in a table, and keeps the record of its promises.
func TestAnIncidentsPageShowsItsCourseAndItsPromises(t *testing.T) {
	press := sampleWide(t)
	p := sampleRecovery()
	e, err := press.Render(p)
	if err != nil {
		t.Fatal(err)
	}
	in := p.Incidents[0]
	for _, locale := range templates.Locales() {
		words, path := press.Words.Catalog(locale), "/"+locale+"/incidents/"+sampleID
		got := pageText(t, e, path)
		for _, want := range []string{words.T("label.colon", words.T("page.category")) + words.T("category.data"), words.T("page.promises", 1, 1), words.T("page.promise_open"),
			words.T("page.promise_late", in.Promises[1].Late(p.AsOf)), words.T("page.chart")} {
			if !strings.Contains(got, folded(want)) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
		root, err := html.Parse(bytes.NewReader(e.Body(path, "")))
		if err != nil {
			t.Fatal(err)
		}
		lines, cells, says := 0, 0, ""
		for n := range root.Descendants() {
			switch n.Data {
			case "polyline":
				lines++
				for _, a := range n.Attr {
					if a.Key == "points" && (!strings.HasPrefix(a.Val, "0,240 ") || !strings.Contains(a.Val, " 1000,")) {
						t.Errorf("%s: a line does not reach from end to end: %s", path, a.Val)
					}
				}
				for _, a := range n.Parent.Attr {
					if a.Key == "aria-label" {
						says = a.Val
					}
				}
			case "td":
				cells++
			}
		}
		if want := words.T("page.chart_says", in.Started, in.Course[2].At, 112, 883, 64, 775); lines != 2 || cells != 9 || says != want {
			t.Errorf("%s: %d lines, %d cells, says %q, want %q", path, lines, cells, says, want)
		}
	}
	if got := pageText(t, e, "/en/"); strings.Contains(got, "Restored over time") || !strings.Contains(got, "API (API)") || !strings.Contains(got, "Sign-in (Supplier's software)") {
		t.Error("the first page draws the curve, or does not name the kinds of its components")
	}
	p.Incidents[0].Category = "Ours alone"
	if e, err = press.Render(p); err != nil || !strings.Contains(pageText(t, e, "/ja/"), "Ours alone") {
		t.Errorf("an operator's own name for a category is not shown: %v", err)
	}
}

// A component's record is a strip of days that says in words what it draws.
func TestComponentsShowTheirRecord(t *testing.T) {
	press := sampleWide(t)
	p := sampleEmpty()
	for i := range p.Components {
		p.Components[i].Uptime = comms.Uptime{}
	}
	p.Components[4].Uptime.Percent = "98.74"
	for i := range comms.UptimeDays {
		day := comms.DayRecord{Date: tenth.AddDate(0, 0, i-89), Status: "operational"}
		if i == 40 || i == 41 {
			day.Status = "major_outage"
		}
		p.Components[4].Uptime.Days = append(p.Components[4].Uptime.Days, day)
	}
	e, err := press.Render(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, locale := range templates.Locales() {
		words, body := press.Words.Catalog(locale), html.UnescapeString(string(e.Body("/"+locale+"/", "")))
		share := words.Decimal("98.74")
		for _, want := range []string{words.T("page.uptime_says", 2, comms.UptimeDays, share), words.T("page.uptime_percent", share), `class="tone-dire" d="M400 0h8v30h-8zM410 0h8v30h-8z"`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", locale, want)
			}
		}
		if n := strings.Count(body, `class="strip"`); n != 1 {
			t.Errorf("%s draws %d strips, want one", locale, n)
		}
	}
}

// An incident of which nobody has said anything yet is there, and nothing is made up about it.
func TestAnEntryWithoutWordsIsSound(t *testing.T) {
	press := sampleWide(t)
	p := sampleEmpty()
	in := incidentOf("open", firstNotice())
	in.Updates, in.Phase, in.Products, in.Title = nil, "investigating", nil, "An incident is being investigated"
	p.Incidents = []comms.PublicIncident{in}
	e, err := press.Render(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, locale := range templates.Locales() {
		words := press.Words.Catalog(locale)
		for _, path := range []string{"/" + locale + "/", "/" + locale + "/incidents/" + sampleID} {
			soundPage(t, e.Body(path, ""), locale)
			if got := pageText(t, e, path); !strings.Contains(got, folded(words.T("page.entry.title"))) || !strings.Contains(got, folded(words.T("page.entry.text"))) {
				t.Errorf("%s does not say what is known", path)
			}
		}
		var feed atomFeed
		if err := xml.Unmarshal(e.Body("/"+locale+"/history.atom", ""), &feed); err != nil || len(feed.Entries) != 1 || feed.Entries[0].Title != words.T("page.entry.title") || feed.Entries[0].Content.Text != escaped("<p>"+html.EscapeString(words.T("page.entry.text"))+"</p>\n") {
			t.Errorf("%s: the feed says %+v of it, %v", locale, feed.Entries, err)
		}
	}
	checkIncident(t, parseOrdered(t, e.Body("/api/v2/incidents/unresolved.json", "")).at["incidents"].list[0])
	// Once somebody has spoken, the page says how long that took from the moment it was found.
	p = sampleRecovery()
	word := morning.Add(20 * time.Minute)
	p.Incidents[0].Detected, p.Incidents[0].FirstWord = morning.Add(-9*time.Minute), &word
	if e, err = press.Render(p); err != nil || !strings.Contains(pageText(t, e, "/en/"), "first word 29 minutes after we noticed") {
		t.Errorf("the page does not say how long the first word took: %v", err)
	}
}
