package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mmcdole/gofeed"
)

// clientsRead is what testdata/clients/read.js prints: what statuspage.io and rss-parser made of a site.
type clientsRead struct {
	Summary    clientAnswer `json:"summary"`
	Status     clientAnswer `json:"status"`
	Components clientAnswer `json:"components"`
	Incidents  clientAnswer `json:"incidents"`
	Unresolved clientAnswer `json:"unresolved"`
	Upcoming   clientAnswer `json:"upcoming"`
	Atom       clientFeed   `json:"atom"`
	RSS        clientFeed   `json:"rss"`
}

type clientAnswer struct {
	Page   struct{ Name, URL string }
	Status struct{ Indicator, Description string }

	Components   []struct{ ID, Name, Status string }
	Incidents    []clientIncident
	Maintenances []clientIncident `json:"scheduled_maintenances"`
}

type clientIncident struct {
	ID, Name, Status, Impact, Shortlink string

	Updates []struct{ Status, Body string } `json:"incident_updates"`
}

type clientFeed struct {
	Title, Link string
	Items       []clientItem
}

type clientItem struct {
	Title, Link, ID, Content string

	At time.Time
}

// Programs that people have already read the page unchanged, while the portal lives and when only its directory is left.
func TestClientsOfTheCommonAPIReadThePage(t *testing.T) {
	press := samplePress(t, t.TempDir())
	p := sampleRecovery()
	e, err := press.Render(p)
	if err != nil {
		t.Fatal(err)
	}
	sites := everywhere(t, press, e)
	read := byNode(t, sites)
	for _, site := range sites {
		t.Run(site.name, func(t *testing.T) {
			for _, path := range []string{"/history.atom", "/history.rss"} {
				feed, err := gofeed.NewParser().ParseURLWithContext(site.url+path, t.Context())
				if err != nil {
					t.Fatalf("gofeed: %s: %v", path, err)
				}
				got := clientFeed{Title: feed.Title, Link: feed.Link}
				for _, i := range feed.Items {
					item := clientItem{Title: i.Title, Link: i.Link, ID: i.GUID, Content: i.Content + i.Description}
					if i.UpdatedParsed != nil {
						item.At = *i.UpdatedParsed
					} else if i.PublishedParsed != nil {
						item.At = *i.PublishedParsed
					}
					got.Items = append(got.Items, item)
				}
				checkFeed(t, "gofeed: "+path, got, p.Incidents[0].Updated)
			}
			checkTongues(t, press, site.url)
			if read == nil {
				return
			}
			got, ok := read[site.url]
			if !ok {
				t.Fatal("the clients said nothing of it")
			}
			checkFeed(t, "rss-parser: /history.atom", got.Atom, p.Incidents[0].Created) // it takes the time of the first word
			checkFeed(t, "rss-parser: /history.rss", got.RSS, p.Incidents[0].Updated)
			checkStatusClient(t, got)
		})
	}
}

// checkTongues reads the feeds of a site in another language, from the links in those of the first.
func checkTongues(t *testing.T, press *Press, site string) {
	t.Helper()
	read := func(path string) *gofeed.Feed {
		t.Helper()
		feed, err := gofeed.NewParser().ParseURLWithContext(site+path, t.Context())
		if err != nil {
			t.Fatalf("gofeed: %s: %v", path, err)
		}
		return feed
	}
	base, words := sampleVendor().URL, press.Words.Catalog("ja")
	for suffix, first := range map[string]*gofeed.Feed{".atom": read("/history.atom"), ".rss": read("/history.rss")} {
		feed := read("/ja/history" + suffix)
		if feed.Language != "ja" || feed.Title != words.T("page.feed_title", "Example Cloud") || feed.Link != base+"/ja/history" || feed.FeedLink != base+"/ja/history"+suffix {
			t.Errorf("%s: %q in %s at %s, itself at %s", suffix, feed.Title, feed.Language, feed.Link, feed.FeedLink)
		}
		if suffix == ".atom" && (!slices.Contains(first.Links, base+"/ja/history.atom") || !slices.Contains(feed.Links, base+"/history.atom")) {
			t.Errorf("the feeds do not lead to each other: %q, %q", first.Links, feed.Links)
		}
		if len(feed.Items) != len(first.Items) {
			t.Fatalf("%s: %d entries, and %d in the first language", suffix, len(feed.Items), len(first.Items))
		}
		for i, item := range feed.Items {
			if was := first.Items[i]; item.GUID == was.GUID || item.Link != strings.Replace(was.Link, base, base+"/ja", 1) {
				t.Errorf("%s: entry %d is %s at %s, and in the first language %s at %s", suffix, i, item.GUID, item.Link, was.GUID, was.Link)
			}
		}
		said := feed.Items[0].Content + feed.Items[0].Description
		for _, want := range []string{words.T("update.number", 7), words.T("phase.identified"), words.T("update.unknown")} {
			if !strings.Contains(said, want) {
				t.Errorf("%s lacks %q: %.400s", suffix, want, said)
			}
		}
		plan := feed.Items[slices.IndexFunc(feed.Items, func(i *gofeed.Item) bool { return strings.Contains(i.Title, "証明書の更新") })]
		if said = plan.Content + plan.Description; !strings.Contains(said, "<p>数分間編集できません。</p>") {
			t.Errorf("%s: planned work reads %s", suffix, said)
		}
	}
}

func checkFeed(t *testing.T, who string, got clientFeed, at time.Time) {
	t.Helper()
	want := sampleIncident()
	plans := samplePlans()
	if len(got.Items) != 1+len(plans) || !strings.Contains(got.Title, "Example Cloud") || got.Link != sampleVendor().URL+"/history" {
		t.Fatalf("%s: %q at %q with %d entries", who, got.Title, got.Link, len(got.Items))
	}
	for _, plan := range plans {
		is := func(i clientItem) bool { return i.Title == "Planned maintenance: "+plan.Title }
		if n := slices.IndexFunc(got.Items, is); n < 0 || got.Items[n].Link != sampleVendor().URL+"/history#m-"+plan.Short || !strings.Contains(got.Items[n].Content, plan.Text) {
			t.Errorf("%s: %q is not told: %+v", who, plan.Title, got.Items)
		}
	}
	i := got.Items[0]
	if i.Title != want.Title || i.Link != want.URL || i.ID == "" || !i.At.Equal(at) {
		t.Errorf("%s: %q at %q, id %q, %v, want %v", who, i.Title, i.Link, i.ID, i.At, at)
	}
	before := -1
	for _, u := range sampleUpdates() { // the newest first
		at := strings.Index(i.Content, u.Statement.Headline)
		if at <= before {
			t.Errorf("%s: %q stands at %d, after %d", who, u.Statement.Headline, at, before)
		}
		before = at
	}
}

func checkStatusClient(t *testing.T, got clientsRead) {
	t.Helper()
	for name, a := range map[string]clientAnswer{"summary": got.Summary, "status": got.Status, "components": got.Components, "incidents": got.Incidents, "unresolved": got.Unresolved, "upcoming": got.Upcoming} {
		if a.Page.Name != "Example Cloud" || a.Page.URL != sampleVendor().URL {
			t.Errorf("%s: the page is %+v", name, a.Page)
		}
	}
	for name, a := range map[string]clientAnswer{"summary": got.Summary, "status": got.Status} {
		if a.Status.Indicator != "critical" || a.Status.Description != "Major Service Outage" {
			t.Errorf("%s: %+v", name, a.Status)
		}
	}
	for name, a := range map[string]clientAnswer{"summary": got.Summary, "components": got.Components} {
		said := map[string]string{}
		for _, c := range a.Components {
			said[c.Name] = c.Status
		}
		if len(said) != 8 || said["Wiki"] != "major_outage" || said["Products"] != "major_outage" || said["API"] != "operational" {
			t.Errorf("%s: %v", name, said)
		}
	}
	for name, a := range map[string]clientAnswer{"summary": got.Summary, "incidents": got.Incidents, "unresolved": got.Unresolved} {
		if len(a.Incidents) != 1 {
			t.Fatalf("%s: %d incidents", name, len(a.Incidents))
		}
		in := a.Incidents[0]
		if in.ID != sampleID || in.Name != sampleIncident().Title || in.Status != "identified" || in.Impact != "critical" || in.Shortlink != sampleIncident().URL || len(in.Updates) != 3 {
			t.Errorf("%s: %+v", name, in)
			continue
		}
		for i, u := range sampleUpdates() {
			if in.Updates[i].Status != u.Statement.Phase || !strings.Contains(in.Updates[i].Body, u.Statement.Headline) {
				t.Errorf("%s: update %d is %+v", name, i, in.Updates[i])
			}
		}
	}
	for name, want := range map[string]struct {
		answer clientAnswer
		names  string
	}{"summary": {got.Summary, "Network cards, Database upgrade"}, "upcoming": {got.Upcoming, "Network cards"}} {
		var names []string
		for _, m := range want.answer.Maintenances {
			names = append(names, m.Name)
		}
		if strings.Join(names, ", ") != want.names {
			t.Errorf("%s: planned work is %q, want %q", name, names, want.names)
		}
	}
}

// byNode lets the clients that are written for node read every site, in one process; nil when they are not installed.
func byNode(t *testing.T, sites []servedSite) map[string]clientsRead {
	t.Helper()
	dir := filepath.Join("testdata", "clients")
	node, err := exec.LookPath("node")
	if _, missing := os.Stat(filepath.Join(dir, "node_modules", "statuspage.io")); err != nil || missing != nil {
		fmt.Fprintf(os.Stderr, "\n*** NOT READ BY statuspage.io AND rss-parser: %s needs node and npm ci --ignore-scripts in portal/page/%s (.ci/tools does that) ***\n", t.Name(), dir)
		return nil
	}
	args := []string{"read.js"}
	for _, s := range sites {
		args = append(args, s.url)
	}
	cmd := exec.CommandContext(t.Context(), node, args...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "no_proxy=*"}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("the clients: %v\n%s", err, said.String())
	}
	var read map[string]clientsRead
	if err := json.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	return read
}
