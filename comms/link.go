package comms

import (
	"context"
	"crypto/rand"
	"net/url"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Link leads to something that belongs to an incident and is kept elsewhere: a call, a chat, a document of the diagnosis.
type Link struct {
	ID      string    `json:"id"`
	Sort    string    `json:"sort"` // call, chat, document
	Title   string    `json:"title"`
	URL     string    `json:"url"` // https only
	AddedBy string    `json:"added_by"`
	AddedAt time.Time `json:"added_at"`
}

// LinkSorts are what a link may lead to.
func LinkSorts() []string { return []string{"call", "chat", "document"} }

// Host is where a link leads; its title is what somebody typed.
func (l Link) Host() string {
	u, err := url.Parse(l.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// LinkForm is what is said of a link that is added.
type LinkForm struct {
	Sort  string `json:"sort"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

// mostLinks bounds the links of an incident, which are kept in its record.
const mostLinks = 50

var lineProse = prose{most: 200, required: true}

func (l LinkForm) bad(in Incident) (f []fault.Field) {
	f = oneOf(f, "sort", l.Sort, LinkSorts()...)
	f = lineProse.bad(f, "title", l.Title)
	f = prose{most: 1000, required: true}.bad(f, "url", l.URL)
	switch bad := l.badURL(nil); {
	case l.URL == "":
	case len(bad) > 0:
		f = append(f, bad...)
	case slices.ContainsFunc(in.Links, func(have Link) bool { return have.URL == l.URL }):
		f = append(f, wrong("url", "is kept on this incident already"))
	case len(in.Links) >= mostLinks:
		f = append(f, wrong("url", "is one too many: an incident keeps %d links", mostLinks))
	}
	return f
}

func (l LinkForm) badURL(f []fault.Field) []fault.Field {
	u, err := url.Parse(l.URL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.ContainsAny(l.URL, " \\") {
		f = append(f, wrong("url", "must be a link with https:// and a host, without a name or password before the host"))
	}
	return f
}

// partID is the id of a part of an incident that is kept in its record.
func partID() string { return strings.ToLower(rand.Text()[:12]) }

// AddLink keeps a link on an incident, also on one that is closed: documents of the diagnosis come late.
func (r *Room) AddLink(ctx context.Context, by, incident string, form LinkForm) (l Link, err error) {
	_, err = r.change(ctx, store.Act{By: by, Verb: "incident.link"}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		form.Title, form.URL = strings.TrimSpace(form.Title), strings.TrimSpace(form.URL)
		if f := form.bad(in); len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		l = Link{ID: partID(), Sort: form.Sort, Title: form.Title, URL: form.URL, AddedBy: by, AddedAt: tx.Now()}
		in.Links = append(slices.Clone(in.Links), l)
		return in, r.note(tx, id, by, "link_added", l.Title+" ("+l.Host()+")")
	})
	return l, err
}

// RemoveLink takes a link off an incident; the log keeps its title and where it led.
func (r *Room) RemoveLink(ctx context.Context, by, incident, link string) error {
	_, err := r.change(ctx, store.Act{By: by, Verb: "incident.unlink"}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		i := slices.IndexFunc(in.Links, func(l Link) bool { return l.ID == link })
		if i < 0 {
			return in, fault.New(fault.NotFound, "this incident has no link %.40q", link)
		}
		l := in.Links[i]
		in.Links = slices.Delete(slices.Clone(in.Links), i, i+1)
		return in, r.note(tx, id, by, "link_removed", l.Title+" ("+l.URL+")")
	})
	return err
}
