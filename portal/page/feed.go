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

// This file writes the feeds, Atom (RFC 4287) and RSS 2.0 in each language: one entry per incident with every update, newest first, and one per planned work. A
// reader that knows an entry by its id alone would miss later updates, so each update moves the entry's own time. An entry has another id in each language, so that
// whoever reads two feeds gets both.

// mostTold is how many incidents the feeds hold. Readers fetch them over and over, and keep what they had.
const mostTold = 25

const (
	atomType = "application/atom+xml"
	rssType  = "application/rss+xml"
)

// branch is what stands in front of a path in a language's feeds: nothing in the first, whose feeds stand where readers of status pages look for them.
func (r *printing) branch(t tongue) string {
	if t.locale == r.press.tongues[0].locale {
		return ""
	}
	return "/" + t.locale
}

// base is the address of the page, without a slash at its end.
func (r *printing) base() string { return strings.TrimSuffix(r.press.Vendor.URL, "/") }

// feedLinks lead from a feed to itself and to the same in the other languages.
func (r *printing) feedLinks(t tongue, kind, name string) []atomLink {
	links := []atomLink{{Rel: "self", Type: kind, Lang: t.locale, Href: r.base() + r.branch(t) + name}}
	for _, other := range r.press.tongues {
		if other.locale != t.locale {
			links = append(links, atomLink{Rel: "alternate", Type: kind, Lang: other.locale, Href: r.base() + r.branch(other) + name})
		}
	}
	return links
}

type atomFeed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	Lang    string      `xml:"xml:lang,attr"`
	ID      string      `xml:"id"`
	Links   []atomLink  `xml:"link"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Author  atomAuthor  `xml:"author"`
	Entries []atomEntry `xml:"entry"` // none when it is written: they are parts
}

type atomLink struct {
	Rel  string `xml:"rel,attr"`
	Type string `xml:"type,attr"`
	Lang string `xml:"hreflang,attr,omitempty"`
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
	Text string `xml:",innerxml"` // as XML has it
}

// atomTag is what the ids of Atom feeds begin with.
func (r *printing) atomTag() string { return "tag:" + host(r.press.Vendor) + ",2005:" }

func (r *printing) atom(t tongue, told []entry) ([]part, error) {
	tag, at := r.atomTag(), r.base()+r.branch(t)
	feed := atomFeed{
		Lang: t.locale, ID: tag + r.branch(t) + "/history", Title: t.words.T("page.feed_title", r.press.Vendor.Name), Updated: stamp(lastWord(r.public)), Author: atomAuthor{Name: r.press.Vendor.Name},
		Links: append([]atomLink{{Rel: "alternate", Type: "text/html", Lang: t.locale, Href: at + "/history"}}, r.feedLinks(t, atomType, "/history.atom")...),
	}
	return enclose(feed, "\n</feed>", told, func(e entry) part { return e.atom })
}

type rssFeed struct {
	XMLName xml.Name   `xml:"rss"`
	Version string     `xml:"version,attr"`
	Atom    string     `xml:"xmlns:atom,attr"` // RSS has no links of its own to other versions of a feed
	Channel rssChannel `xml:"channel"`
}

type rssChannel struct {
	Title       string     `xml:"title"`
	Link        string     `xml:"link"`
	Links       []atomLink `xml:"atom:link"`
	Description string     `xml:"description"`
	Language    string     `xml:"language"`
	PubDate     string     `xml:"pubDate"`
}

type rssItem struct {
	Title       string  `xml:"title"`
	Description rssText `xml:"description"`
	PubDate     string  `xml:"pubDate"`
	Link        string  `xml:"link"`
	GUID        string  `xml:"guid"` // a permalink, as RSS takes it by default
}

type rssText struct {
	Text string `xml:",innerxml"` // as XML has it
}

func (r *printing) rss(t tongue, told []entry) ([]part, error) {
	at, title := r.base()+r.branch(t), t.words.T("page.feed_title", r.press.Vendor.Name)
	feed := rssFeed{Version: "2.0", Atom: "http://www.w3.org/2005/Atom", Channel: rssChannel{
		Title: title, Link: at + "/history", Links: r.feedLinks(t, rssType, "/history.rss"), Description: title, Language: t.locale, PubDate: rssTime(lastWord(r.public)),
	}}
	return enclose(feed, "\n </channel>", told, func(e entry) part { return e.rss })
}

func rssTime(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000") }

// entry is what one incident or planned work gives to the two feeds of a language. What an incident gives is kept while it stays the same.
type entry struct {
	updated   time.Time
	atom, rss part
}

// entry writes what both feeds say.
func (r *printing) entry(t tongue, f feedEntry) (e entry, err error) {
	at := r.base() + r.branch(t)
	atom, err := element("entry", " ", atomEntry{
		ID: r.atomTag() + strings.TrimPrefix(r.branch(t)+"/"+f.id, "/"), Published: stamp(f.published), Updated: stamp(f.updated),
		Link: atomLink{Rel: "alternate", Type: "text/html", Href: at + f.path}, Title: f.title, Content: atomText{Type: "html", Text: f.content},
	})
	if err != nil {
		return e, err
	}
	rss, err := element("item", "  ", rssItem{Title: f.title, Description: rssText{f.content}, PubDate: rssTime(f.updated), Link: at + f.path, GUID: at + f.path})
	if err != nil {
		return e, err
	}
	e.updated = f.updated
	if e.atom, err = r.pack(atom); err == nil {
		e.rss, err = r.pack(rss)
	}
	return e, err
}

// element writes an element as it stands in a feed, so far to the right.
func element(name, indent string, v any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('\n')
	e := xml.NewEncoder(&b)
	e.Indent(indent, " ")
	if err := e.EncodeElement(v, xml.StartElement{Name: xml.Name{Local: name}}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// enclose puts the entries of a feed in front of its end.
func enclose(feed any, end string, told []entry, of func(entry) part) ([]part, error) {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	e := xml.NewEncoder(&b)
	e.Indent("", " ")
	if err := e.Encode(feed); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	cut := bytes.LastIndex(b.Bytes(), []byte(end))
	if cut < 0 {
		return nil, fmt.Errorf("a feed has no %q", end)
	}
	parts := []part{between(b.String()[:cut])}
	for _, t := range told {
		parts = append(parts, of(t))
	}
	return append(parts, between(b.String()[cut:])), nil
}

// feedEntry is what both feeds say of an incident or of planned work.
type feedEntry struct {
	id, path, title    string
	content            string // HTML, as XML has it
	published, updated time.Time
}

// told are the entries of the feeds of a tongue, by its number: the incidents, the newest first, and the planned work where it last changed among them.
func (r *printing) told(tongue int) (all []entry, err error) {
	t := r.press.tongues[tongue]
	for _, in := range r.public.Incidents[:min(len(r.public.Incidents), mostTold)] {
		all = append(all, r.shares[in.ID].told[tongue])
	}
	for _, m := range r.public.Plans {
		v := t.planned(m)
		e, err := r.entry(t, feedEntry{id: "Maintenance/" + m.Short, path: planPath(m), title: t.words.T("label.colon", t.words.T("page.plans")) + v.Title, content: escaped(t.planStory(v)), published: m.SaidAt, updated: m.Updated})
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b entry) int { return b.updated.Compare(a.updated) })
	return all, nil
}

// planStory is planned work as HTML, for feed readers.
func (t tongue) planStory(v planView) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<p><strong>%s</strong> %s – %s · %s</p>\n", template.HTMLEscapeString(v.State), t.moment(v.From), t.moment(v.Until), template.HTMLEscapeString(v.Components))
	say := func(in string, lines ...string) {
		for _, line := range lines {
			switch text := template.HTMLEscapeString(line); {
			case line == "":
			case in == "":
				fmt.Fprintf(&b, "<p>%s</p>\n", text)
			default:
				fmt.Fprintf(&b, "<p lang=%q>%s</p>\n", in, text)
			}
		}
	}
	say(v.ReasonIn, v.Reason)
	say(v.In, v.Lines...)
	say("", v.Note)
	return b.String()
}

// escaped is a text as XML has it.
func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // the builder never fails
	return b.String()
}
