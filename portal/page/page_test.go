package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/html"

	"lifeline/comms"
	"lifeline/templates"
)

var moments = map[string]func() comms.Public{
	"empty": sampleEmpty, "unknown": sampleUnknown, "recovery": sampleRecovery, "resolved": sampleResolved, "hostile": hostile,
}

// Every page in every language is what a browser, a screen reader and the content policy expect.
func TestPagesAreSound(t *testing.T) {
	for name, public := range moments {
		press := sampleWide(t)
		e, err := press.Render(public())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, locale := range templates.Locales() {
			for _, path := range []string{"/" + locale + "/", "/" + locale + "/history", "/" + locale + "/questions", "/" + locale + "/incidents/" + sampleID, "/" + locale + "/verify", "/" + locale + "/verify/" + templates.CheckCode(firstNotice().ID)} {
				if !e.Has(path) {
					continue
				}
				t.Run(name+path, func(t *testing.T) { soundPage(t, e.Body(path, ""), locale) })
			}
		}
	}
}

func soundPage(t *testing.T, body []byte, locale string) {
	t.Helper()
	if bytes.ContainsAny(body, "⟦⟧") {
		t.Errorf("a sentence is missing: %s", around(body, "⟦"))
	}
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	ids, refs := map[string]int{}, map[string]bool{}
	level, firsts := 0, 0
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		attrs := map[string]string{}
		for _, a := range n.Attr {
			attrs[a.Key] = a.Val
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("<%s> has a %s attribute, which the content policy forbids", n.Data, a.Key)
			}
		}
		if id := attrs["id"]; id != "" {
			ids[id]++
		}
		for _, key := range []string{"aria-labelledby", "aria-describedby"} {
			if attrs[key] != "" {
				refs[attrs[key]] = true
			}
		}
		switch n.Data {
		case "html":
			if attrs["lang"] != locale {
				t.Errorf("lang is %q, want %q", attrs["lang"], locale)
			}
		case "script":
			if attrs["src"] == "" || n.FirstChild != nil {
				t.Error("a script stands in the page")
			}
		case "style", "iframe", "object", "embed", "base", "form":
			t.Errorf("there is a <%s>", n.Data)
		case "img":
			t.Errorf("there is an <img>: %v", n.Attr)
		case "h1", "h2", "h3", "h4", "h5", "h6":
			now := int(n.Data[1] - '0')
			if now > level+1 {
				t.Errorf("<%s> %q follows <h%d>", n.Data, text(n), level)
			}
			if level = now; now == 1 {
				firsts++
			}
			if strings.TrimSpace(text(n)) == "" {
				t.Errorf("<%s> is empty", n.Data)
			}
		case "svg":
			if attrs["aria-hidden"] != "true" && (attrs["role"] != "img" || attrs["aria-label"] == "") {
				t.Errorf("a drawing has no words: %v", n.Attr)
			}
		case "time":
			if _, err := time.Parse(time.RFC3339, attrs["datetime"]); err != nil || text(n) == "" {
				t.Errorf("<time> %v: %v", n.Attr, err)
			}
		case "a":
			if strings.TrimSpace(text(n)) == "" {
				t.Errorf("a link has no words: %v", n.Attr)
			}
		}
		for _, key := range []string{"href", "src"} {
			if v, ok := attrs[key]; ok {
				ours(t, v)
			}
		}
	}
	if firsts != 1 {
		t.Errorf("%d <h1>, want 1", firsts)
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("id %q stands there %d times", id, n)
		}
	}
	for id := range refs {
		if ids[id] == 0 {
			t.Errorf("aria refers to %q, which is not there", id)
		}
	}
}

// ours fails when a link leads to anybody but the vendor.
func ours(t *testing.T, link string) {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Errorf("link %q: %v", link, err)
		return
	}
	switch {
	case u.Scheme == "" && u.Host == "" && (link == "" || strings.HasPrefix(link, "/") || strings.HasPrefix(link, "#")):
	case u.Scheme == "tel":
	case strings.HasPrefix(link, sampleVendor().URL+"/"):
	default:
		t.Errorf("link to a stranger: %q", link)
	}
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return folded(b.String())
}

func around(body []byte, what string) string {
	i := bytes.Index(body, []byte(what))
	return string(body[max(0, i-80):min(len(body), i+120)])
}

// folded is a text as [text] gives it: a space of any kind is one.
func folded(s string) string { return strings.Join(strings.Fields(s), " ") }

// page is the text of a rendered page.
func pageText(t *testing.T, e *Edition, path string) string {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(e.Body(path, "")))
	if err != nil {
		t.Fatal(err)
	}
	return text(root)
}

// Every fact of the newest update stands on the page in every language, with its number and the figures of the ledger.
func TestEveryFactIsOnThePage(t *testing.T) {
	press := sampleWide(t)
	p := sampleRecovery()
	e, err := press.Render(p)
	if err != nil {
		t.Fatal(err)
	}
	u := p.Incidents[0].Updates[0]
	s := u.Statement
	wanted := []string{
		p.Incidents[0].Title, s.Headline, s.WhatHappened, s.YourAction, s.Technical, s.Affected.Who, s.Timeline.Text, s.DataLoss.Text,
		u.Pinned[0], "883", "775", "131", "120", "112", "64", "2022-04-14", "2022-04-24", "2022-04-11", "2022-04-10 16:02 UTC",
	}
	wanted = append(append(append(append(wanted, s.Known...), s.Unknown...), s.Doing...), s.Scope.Products...)
	for _, locale := range templates.Locales() {
		words := press.Words.Catalog(locale)
		for _, path := range []string{"/" + locale + "/", "/" + locale + "/incidents/" + sampleID} {
			got := pageText(t, e, path)
			for _, want := range append(wanted, words.Decimal("12.7"), words.Decimal("8.3"), words.T("severity.P0"), words.T("phase.identified"), words.T("mark.unread"), words.T("mark.correction", 6),
				words.T("mark.retracted"), words.T("page.support_hint"), words.T("update.number", 7), words.T("security.ruled_out")) {
				if !strings.Contains(got, folded(want)) {
					t.Errorf("%s lacks %q", path, want)
				}
			}
			if follow := `href="/subscribe?incident=` + sampleID; strings.Contains(string(e.Body(path, "")), follow) != strings.Contains(path, "incidents") {
				t.Errorf("%s: only the incident's own page, while it is open, leads to being told of it alone", path)
			}
			if action, happened := strings.Index(got, s.YourAction), strings.Index(got, s.WhatHappened); action > happened {
				t.Errorf("%s: what to do stands behind what happened", path)
			}
		}
	}
}

// A word that only takes another one back leaves the reader with what was said before it, and whatever a person wrote is in the reader's language where somebody
// translated it, and marked with its own where nobody did.
func TestAWordTakenBackLeavesWhatStoodBefore(t *testing.T) {
	press := samplePress(t, "")
	p := sampleEmpty()
	first, wrong := firstNotice(), sampleUpdates()[1]
	first.Statement.Translations = map[string]templates.Translation{"ja": {Headline: "サイトを開けない障害"}}
	fix := templates.Update{ID: "upd_01h0000000000000000000004", Number: 7, Incident: first.Incident, At: tenth, Corrects: 6,
		Statement: templates.Statement{Phase: "identified", Locales: wrong.Statement.Locales}}
	p.Incidents = []comms.PublicIncident{incidentOf("open", fix, wrong, first)}
	e, err := press.Render(p)
	if err != nil {
		t.Fatal(err)
	}
	for locale, headline := range map[string]string{"en": first.Statement.Headline, "ja": "サイトを開けない障害"} {
		words := press.Words.Catalog(locale)
		got := pageText(t, e, "/"+locale+"/")
		after, ok := strings.CutPrefix(got[max(0, strings.Index(got, words.T("update.action_correction", 6))):], words.T("update.action_correction", 6))
		stands := strings.Index(after, words.T("page.still"))
		if said := strings.Index(after, headline); !ok || stands < 0 || said < stands || strings.Index(after, words.T("page.updates_older")) < said {
			t.Errorf("%s: the page does not say what still holds", locale)
		}
		if got := pageText(t, e, "/"+locale+"/banner"); !strings.Contains(got, headline) {
			t.Errorf("%s: the banner says %q", locale, got)
		}
	}
	title := `<span lang="en">` + first.Incident.Title + `</span>`
	for _, path := range []string{"/ja/", "/ja/incidents/" + sampleID, "/ja/history", "/ja/verify/" + templates.CheckCode(wrong.ID)} {
		if body := string(e.Body(path, "")); !strings.Contains(body, title) || strings.Contains(string(e.Body(strings.Replace(path, "ja", "en", 1), "")), `lang="en">`+first.Incident.Title) {
			t.Errorf("%s does not say in which language the title is", path)
		}
	}
}

func TestWhatNobodyKnowsIsSaidPlainlyAndNoDateIsInvented(t *testing.T) {
	press := sampleWide(t)
	e, err := press.Render(sampleUnknown())
	if err != nil {
		t.Fatal(err)
	}
	for _, locale := range templates.Locales() {
		got := pageText(t, e, "/"+locale+"/")
		if want := press.Words.Catalog(locale).T("fold.many_long_loss"); !strings.Contains(got, want) {
			t.Errorf("%s lacks %q", locale, want)
		}
		if strings.Contains(got, "not_known") || strings.Contains(got, "2022-04-06") {
			t.Errorf("%s shows a raw word or an invented date", locale)
		}
	}
}

func TestAQuietDay(t *testing.T) {
	press := samplePress(t, "")
	e, err := press.Render(sampleEmpty())
	if err != nil {
		t.Fatal(err)
	}
	got, words := pageText(t, e, "/en/"), press.Words.Catalog("en")
	for _, want := range []string{"All Systems Operational", "Issue tracker", words.T("page.incidents_none"), words.T("page.support_hint")} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q", want)
		}
	}
}

// Reports that nobody has confirmed are said as that, in every language, wherever the page says how things are, and no incident is made of them.
func TestReportsAreSaidAndNotInvented(t *testing.T) {
	press := sampleWide(t)
	public := sampleReports()
	e, err := press.Render(public)
	if err != nil {
		t.Fatal(err)
	}
	for _, tongue := range press.tongues {
		words := tongue.words
		state, since := words.T("page.state.reports"), words.T("page.reports", words.Time(public.Reports.Since, ""))
		for path, want := range map[string][]string{"/": {state, since}, "/banner": {state}, "/badge.svg": {state}} {
			got := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(string(e.Body("/"+tongue.locale+path, "")), ""))
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("/%s%s lacks %q", tongue.locale, path, w)
				}
			}
			if strings.Contains(got, words.T("page.incidents_none")) || strings.Contains(got, words.T("page.state.none")) {
				t.Errorf("/%s%s says that all is well", tongue.locale, path)
			}
		}
	}
	var summary struct{ Incidents, Components []struct{ Status string } }
	if err := json.Unmarshal(e.Body("/api/v2/summary.json", ""), &summary); err != nil || len(summary.Incidents) > 0 || slices.ContainsFunc(summary.Components, func(c struct{ Status string }) bool { return c.Status != "operational" }) {
		t.Errorf("%+v %v", summary, err)
	}
}

// The whole first load stays under 30 KB on the wire.
func TestTheFirstLoadIsSmall(t *testing.T) {
	e, err := sampleWide(t).Render(sampleRecovery())
	if err != nil {
		t.Fatal(err)
	}
	for _, locale := range templates.Locales() {
		size, page := map[coding]int{}, map[coding]int{}
		for path, d := range e.docs {
			shown, loaded := path == "/"+locale+"/" || strings.HasPrefix(path, "/"+locale+"/incidents/"), strings.HasPrefix(path, "/assets/style") || strings.HasPrefix(path, "/assets/page") || path == "/favicon.svg"
			for _, c := range []coding{brotliCoding, gzipCoding} {
				r := d.reps[c]
				if r == nil {
					r = d.reps[identityCoding]
				}
				if loaded {
					size[c] += len(r.body)
				} else if shown {
					page[c] = max(page[c], len(r.body))
				}
			}
		}
		for c, most := range page { // the heavier of the first page and those of incidents
			size[c] += most
		}
		t.Logf("%s: %d bytes in brotli, %d in gzip", locale, size[brotliCoding], size[gzipCoding])
		if size[gzipCoding] > 30_000 {
			t.Errorf("%s: the first load is %d bytes", locale, size[gzipCoding])
		}
	}
}

// An incident that is open again is shown as open, and the word that it was over does not stand for how things are.
func TestWhatIsOpenAgainIsNotSaidToBeOver(t *testing.T) {
	p := sampleResolved()
	p.Incidents[0].State, p.Incidents[0].Phase, p.Incidents[0].Resolved = comms.Open, comms.Investigating, nil
	press := samplePress(t, "")
	again := press.Words.Catalog("en").T("page.reopened")
	for name, over := range map[string]bool{PreviewHome: true, PreviewIncident: true, PreviewBanner: false} {
		body, err := press.Preview(p, Preview{Page: name, Incident: sampleID, Locale: "en"})
		if err != nil || !strings.Contains(string(body), again) || strings.Contains(string(body), "All sites are back with their customers") != over {
			t.Errorf("%s: %v, %s", name, err, body)
		}
	}
	if body, err := press.Payload(p, p.Incidents[0].Updates[0], "en"); err != nil || !strings.Contains(string(body), `"status":"investigating","created_at"`) {
		t.Errorf("programs read %v, %s", err, body)
	}
}

// What did not change keeps its bytes and its date, so that caches and the static site do not carry it again.
func TestUnchangedPagesKeepTheirTags(t *testing.T) {
	press := samplePress(t, "")
	now := finished
	press.Now = func() time.Time { return now }
	one, err := press.Render(sampleResolved())
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	p := sampleResolved()
	p.Edition, p.AsOf = 10, now
	two, err := press.Render(p)
	if err != nil {
		t.Fatal(err)
	}
	path := "/ja/incidents/" + sampleID
	if strings.Contains(string(one.Body(path, "")), "/subscribe?incident=") {
		t.Error("one may ask to be told of what is over")
	}
	a, b := one.docs[path], two.docs[path]
	if !bytes.Equal(a.reps[brotliCoding].tag, b.reps[brotliCoding].tag) || !a.modified.Equal(b.modified) {
		t.Errorf("a resolved incident's page changed: %s %s, %v %v", a.reps[brotliCoding].tag, b.reps[brotliCoding].tag, a.modified, b.modified)
	}
	if bytes.Equal(one.docs["/en/"].reps[identityCoding].tag, two.docs["/en/"].reps[identityCoding].tag) {
		t.Error("the first page does not say when it was written")
	}
}

func TestHistoryIsBounded(t *testing.T) {
	p := sampleResolved()
	one := p.Incidents[0]
	one.Updates = one.Updates[:1] // a list shows the newest
	p.Incidents = nil
	for i := range mostIncidents + 5 {
		in := one
		in.ID, in.Number = fmt.Sprintf("%012d", i), i+1
		p.Incidents = append(p.Incidents, in)
	}
	press := samplePress(t, "")
	press.few = press.few[:1]
	e, err := press.Render(p)
	if err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(bytes.NewReader(e.Body("/en/history", "")))
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for n := range root.Descendants() {
		for _, a := range n.Attr {
			if n.Data == "a" && strings.HasPrefix(a.Val, "/en/incidents/") {
				links++
			}
		}
	}
	if links != mostIncidents {
		t.Errorf("%d incidents in the history, want %d", links, mostIncidents)
	}
}

// What an edition takes over from the one before is byte for byte what it would have rendered anew, whatever changed meanwhile.
func TestWhatIsTakenOverIsWhatWouldBeRendered(t *testing.T) {
	over, open := sampleResolved().Incidents[0], sampleRecovery().Incidents[0]
	over.ID, over.Updates = "0verandd0ne1", slices.Clone(over.Updates[:2])
	for i := range over.Updates {
		over.Updates[i].ID += "0"
	}
	public := sampleRecovery()
	public.Incidents = []comms.PublicIncident{open, over}
	inEnglish := func() *Press {
		press := samplePress(t, "")
		press.few = press.few[:1]
		return press
	}
	grows := inEnglish()
	for _, step := range []struct {
		what   string
		change func()
		kept   int // pages of incidents and messages that are taken over
		shares int // parts of lists that are
		bodies int // wordings of the open incident's updates that are
	}{
		{"at first", func() {}, 0, 0, 0},
		{"nothing", func() {}, 1 + len(open.Updates) + 2, 2, 3},
		{"the time", func() { public.AsOf = public.AsOf.Add(time.Minute) }, 1 + len(open.Updates) + 2, 2, 3},
		{"a headline", func() {
			u := slices.Clone(public.Incidents[0].Updates)
			u[0].Statement.Headline = "Most sites are back"
			public.Incidents[0].Updates = u
		}, 1 + len(open.Updates) - 1 + 2, 1, 2},
		{"an answer about what is over", func() {
			a := public.Answers[0]
			a.Incident = over.ID
			public.Answers = append(slices.Clone(public.Answers), a)
		}, len(open.Updates) + 2, 2, 3},
		{"a title", func() { public.Incidents[1].Title = "Wikis could not be opened" }, len(open.Updates), 1, 3},
		{"a security cause", func() {
			u := slices.Clone(public.Incidents[0].Updates)
			u[0].Security = "under_investigation"
			public.Incidents[0].Updates = u
		}, 1 + len(open.Updates) - 1 + 2, 1, 2},
		{"a correction", func() {
			u := slices.Insert(slices.Clone(public.Incidents[0].Updates), 0, public.Incidents[0].Updates[0])
			u[0].ID, u[0].Number, u[0].Corrects, u[1].Retracted = "upd_01h0000000000000000000008", 8, 7, true
			public.Incidents[0].Updates = u
		}, 1 + len(open.Updates) - 1 + 2, 1, 2},
		{"a service's name, and planned work", func() {
			public.Components, public.Plans = slices.Clone(public.Components), slices.Clone(public.Plans)
			public.Components[1].Name, public.Plans[1].Title = "Documents", "Database and cache"
		}, 1 + len(open.Updates) + 1 + 2, 2, 4},
		{"the ledger", func() {
			now := figures(tenth.Add(3*time.Minute), 140, 121, 113, 8, 65)
			public.Incidents[0].Now = &now
		}, 1 + len(open.Updates) + 1 + 2, 1, 4},
		{"a category", func() { public.Incidents[1].Category = "network" }, len(open.Updates) + 1 + 2, 1, 4},
		{"an end", func() { public.Incidents[0].State, public.Incidents[0].Phase = "resolved", "resolved" }, 1 + len(open.Updates) + 1 + 2, 1, 0},
		{"an incident less", func() { public.Incidents = public.Incidents[1:] }, 1 + 2, 1, 0},
	} {
		public.Incidents = slices.Clone(public.Incidents) // the press has the others
		step.change()
		had, shares, bodies := grows.leaves, grows.shares, grows.bodies
		got, err := grows.Render(public)
		if err != nil {
			t.Fatal(err)
		}
		want, err := inEnglish().Render(public)
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for rest, l := range grows.leaves {
			if had[rest] == l {
				kept++
			}
		}
		if kept != step.kept {
			t.Errorf("%s: %d pages are taken over, want %d", step.what, kept, step.kept)
		}
		taken := 0
		for id, now := range grows.shares {
			if was := shares[id]; was != nil && was.doc == now.doc && &was.told[0].atom.body[0] == &now.told[0].atom.body[0] {
				taken++
			}
		}
		if taken != step.shares {
			t.Errorf("%s: %d incidents are as they were in lists, want %d", step.what, taken, step.shares)
		}
		worded := 0
		for key, body := range grows.bodies {
			if sameString(body, bodies[key]) {
				worded++
			}
		}
		if worded != step.bodies {
			t.Errorf("%s: %d updates are not worded again, want %d", step.what, worded, step.bodies)
		}
		if !maps.EqualFunc(got.docs, want.docs, sameDocument) {
			for path, d := range want.docs {
				if got.docs[path] == nil || !sameDocument(d, got.docs[path]) {
					t.Errorf("%s: %s is not what it would be", step.what, path)
				}
			}
		}
		if !slices.EqualFunc(got.pieces(), want.pieces(), func(a, b piece) bool { return a.name == b.name && a.hash == b.hash }) {
			t.Errorf("%s: the static site holds something else", step.what)
		}
	}
}

// sameString says whether two strings are the same bytes in memory.
func sameString(a, b string) bool { return unsafe.StringData(a) == unsafe.StringData(b) }

// A press that is given other settings keeps nothing of what it made by those before.
func TestOtherSettingsShowEverywhere(t *testing.T) {
	public := sampleResolved()
	grows := samplePress(t, "")
	grows.few = grows.few[:1]
	last, err := grows.Render(public)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		what   string
		change func()
		path   string // of what is over, and shows it
		shows  string
	}{
		{"the vendor's name", func() { grows.Vendor.Name = "Other Cloud" }, "/en/incidents/" + sampleID, "Other Cloud"},
		{"the time zone", func() { grows.Vendor.Zone = "Asia/Tokyo" }, "/history.atom", "UTC+9"},
		{"the address", func() { grows.Vendor.URL = "https://status.other.example" }, factsPath + "/" + sampleID, "https://status.example.com/incidents/"},
		{"the senders", func() { grows.Senders = []string{"news@other.example"} }, "/en/verify/" + templates.CheckCode(public.Incidents[0].Updates[0].ID), "news@other.example"},
		{"the logo", func() { grows.Look = Look{Logo: []byte("<svg/>"), LogoType: "image/svg+xml"} }, "/en/incidents/" + sampleID, "/assets/logo."},
	} {
		step.change()
		got, err := grows.Render(public)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(got.Body(step.path, "en"), []byte(step.shows)) {
			t.Errorf("%s: %s does not show %q", step.what, step.path, step.shows)
		}
		last = got
	}
	want, err := (&Press{few: grows.few, Words: grows.Words, Vendor: grows.Vendor, Senders: grows.Senders, Look: grows.Look, Log: grows.Log, Now: grows.Now}).Render(public)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(last.docs, want.docs, sameDocument) {
		t.Error("not everything is as a new press makes it")
	}
}

func sameDocument(a, b *document) bool {
	for c := range codings {
		if a.has(c) != b.has(c) || a.has(c) && (!bytes.Equal(a.reps[c].body, b.reps[c].body) || !bytes.Equal(a.reps[c].tag, b.reps[c].tag)) {
			return false
		}
	}
	return slices.EqualFunc(a.perLocale, b.perLocale, sameDocument)
}

// BenchmarkPublish renders an edition in which one word is new, with 200 incidents of four updates each behind it, no two of which read the same (limit 100 ms).
func BenchmarkPublish(b *testing.B) {
	press, p := sampleWide(b), sampleRecovery()
	over := sampleResolved().Incidents[0]
	random := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("a site page link team batch backup region cause fix check day hour list queue disk host rule ticket copy was were is are has had and or of in on by with without all some most first last new old open slow full empty lost found")
	text := func() string {
		var said []string
		for range 60 {
			said = append(said, words[random.IntN(len(words))])
		}
		return strings.Join(said, " ") + "."
	}
	for i := range 200 {
		in := over
		in.ID, in.Number, in.Updates = fmt.Sprintf("%012d", i), i+2, slices.Clone(over.Updates)
		for j := range in.Updates {
			u := &in.Updates[j]
			u.ID, u.Statement.WhatHappened, u.Statement.Known = fmt.Sprintf("upd_01h%013d%010d", i, j), text(), []string{text()}
		}
		p.Incidents = append(p.Incidents, in)
	}
	if _, err := press.Render(p); err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		n++
		updates := slices.Clone(p.Incidents[0].Updates)
		updates[0].Statement.Headline = fmt.Sprintf("%d sites are back", n)
		p.Incidents = slices.Clone(p.Incidents) // the press has the others
		p.Incidents[0].Updates, p.AsOf = updates, p.AsOf.Add(time.Second)
		if _, err := press.Render(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	press := samplePress(b, "")
	p := sampleRecovery()
	for b.Loop() {
		press.made = settings{} // so that nothing is taken over
		if _, err := press.Render(p); err != nil {
			b.Fatal(err)
		}
	}
}
