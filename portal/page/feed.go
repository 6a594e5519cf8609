package page

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"lifeline/comms"
)

// This file writes the feeds: Atom (RFC 4287) and RSS 2.0, one entry per incident with every update, newest first. A reader that
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
	for _, in := range r.listed() {
		content := r.story(t, in)
		feed.Entries = append(feed.Entries, atomEntry{
			ID: fmt.Sprintf("tag:%s,2005:Incident/%d", host(r.press.Vendor), in.Number), Published: stamp(in.Created), Updated: stamp(in.Updated),
			Link: atomLink{Rel: "alternate", Type: "text/html", Href: base + "/incidents/" + in.ID}, Title: in.Title, Content: atomText{Type: "html", Text: content},
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
	for _, in := range r.listed() {
		content := r.story(t, in)
		link := base + "/incidents/" + in.ID
		feed.Channel.Items = append(feed.Channel.Items, rssItem{Title: in.Title, Description: content, PubDate: rssTime(in.Updated), Link: link, GUID: link})
	}
	return encodeXML(feed)
}

func rssTime(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000") }

// listed are the incidents that feeds tell of.
func (r *printing) listed() []comms.PublicIncident {
	return r.public.Incidents[:min(len(r.public.Incidents), mostIncidents)]
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
