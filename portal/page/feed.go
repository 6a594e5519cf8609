package page

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
)

// This file writes the feeds: Atom (RFC 4287) and RSS 2.0, one entry per incident with every update, newest first, and one per planned work. A reader that
// knows an entry by its id alone would miss later updates, so each update moves the entry's own time.

type atomFeed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	Lang    string      `xml:"xml:lang,attr"`
	ID      string      `xml:"id"`
	Links   []atomLink  `xml:"link"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Author  atomAuthor  `xml:"author"`
	Entries []atomEntry `xml:"entry"`
}

type atomLink struct {
	Rel  string `xml:"rel,attr"`
	Type string `xml:"type,attr"`
	Href string `xml:"href,attr"`
}

type atomAuthor struct {
	Name string `xml:"name"`
}

type atomEntry struct {
	ID        string   `xml:"id"`
	Published string   `xml:"published"`
	Updated   string   `xml:"updated"`
	Link      atomLink `xml:"link"`
	Title     string   `xml:"title"`
	Content   atomText `xml:"content"`
}

type atomText struct {
	Type string `xml:"type,attr"`
	Text string `xml:",chardata"`
}

func (r *printing) atom(t tongue) ([]byte, error) {
	base := strings.TrimSuffix(r.press.Vendor.URL, "/")
	feed := atomFeed{
		Lang: t.locale, ID: "tag:" + host(r.press.Vendor) + ",2005:/history", Title: t.words.T("page.feed_title", r.press.Vendor.Name),
		Updated: stamp(lastWord(r.public)), Author: atomAuthor{Name: r.press.Vendor.Name},
		Links: []atomLink{{Rel: "alternate", Type: "text/html", Href: base + "/history"}, {Rel: "self", Type: "application/atom+xml", Href: base + "/history.atom"}},
	}
	for _, f := range r.told(t) {
		feed.Entries = append(feed.Entries, atomEntry{
			ID: "tag:" + host(r.press.Vendor) + ",2005:" + f.id, Published: stamp(f.published), Updated: stamp(f.updated),
			Link: atomLink{Rel: "alternate", Type: "text/html", Href: base + f.path}, Title: f.title, Content: atomText{Type: "html", Text: f.content},
		})
	}
	return encodeXML(feed)
}

type rssFeed struct {
	XMLName xml.Name   `xml:"rss"`
	Version string     `xml:"version,attr"`
	Channel rssChannel `xml:"channel"`
}

type rssChannel struct {
	Title       string    `xml:"title"`
	Link        string    `xml:"link"`
	Description string    `xml:"description"`
	Language    string    `xml:"language"`
	PubDate     string    `xml:"pubDate"`
	Items       []rssItem `xml:"item"`
}

type rssItem struct {
	Title       string `xml:"title"`
	Description string `xml:"description"`
	PubDate     string `xml:"pubDate"`
	Link        string `xml:"link"`
	GUID        string `xml:"guid"` // a permalink, as RSS takes it by default
}

func (r *printing) rss(t tongue) ([]byte, error) {
	base := strings.TrimSuffix(r.press.Vendor.URL, "/")
	title := t.words.T("page.feed_title", r.press.Vendor.Name)
	feed := rssFeed{Version: "2.0", Channel: rssChannel{
		Title: title, Link: base + "/history", Description: title, Language: t.locale, PubDate: rssTime(lastWord(r.public)),
	}}
	for _, f := range r.told(t) {
		feed.Channel.Items = append(feed.Channel.Items, rssItem{Title: f.title, Description: f.content, PubDate: rssTime(f.updated), Link: base + f.path, GUID: base + f.path})
	}
	return encodeXML(feed)
}

func rssTime(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000") }

// feedEntry is what both feeds say of an incident or of planned work.
type feedEntry struct {
	id, path, title, content string
	published, updated       time.Time
}

// told are the entries of the feeds: the incidents, the newest first, and the planned work where it last changed among them.
func (r *printing) told(t tongue) (all []feedEntry) {
	for _, in := range r.public.Incidents[:min(len(r.public.Incidents), mostIncidents)] {
		all = append(all, feedEntry{id: fmt.Sprintf("Incident/%d", in.Number), path: "/incidents/" + in.ID, title: in.Title, content: r.story(t, in), published: in.Created, updated: in.Updated})
	}
	for _, m := range r.public.Plans {
		v := t.planned(m)
		all = append(all, feedEntry{id: "Maintenance/" + m.Short, path: planPath(m), title: t.words.T("label.colon", t.words.T("page.plans")) + v.Title, content: t.planStory(v), published: m.SaidAt, updated: m.Updated})
	}
	slices.SortStableFunc(all, func(a, b feedEntry) int { return b.updated.Compare(a.updated) })
	return all
}

// planStory is planned work as HTML, for feed readers.
func (t tongue) planStory(v planView) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<p><strong>%s</strong> %s – %s · %s</p>\n", template.HTMLEscapeString(v.State), t.moment(v.From), t.moment(v.Until), template.HTMLEscapeString(v.Components))
	for _, line := range append([]string{v.Reason}, append(v.Lines, v.Note)...) {
		if line != "" {
			fmt.Fprintf(&b, "<p>%s</p>\n", template.HTMLEscapeString(line))
		}
	}
	return b.String()
}

func encodeXML(v any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	e := xml.NewEncoder(&b)
	e.Indent("", " ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
