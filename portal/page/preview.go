package page

import (
	"bytes"
	"net/url"
	"slices"

	"lifeline/comms"
	"lifeline/store/fault"
)

// Preview is how a page is looked at before what is on it is said.
type Preview struct {
	Page     string     // PreviewHome and so on; "": the first page
	Incident string     // public id of the one whose page is among them; "": none is
	Locale   string     // "": the first language
	Query    url.Values // what names the preview in the address, beside page and locale
}

// The pages that can be looked at.
const (
	PreviewHome      = "home"
	PreviewIncident  = "incident"
	PreviewQuestions = "questions"
	PreviewHistory   = "history"
	PreviewBanner    = "banner"
)

// previewLink leads to one of the pages in the same preview.
type previewLink struct {
	Name, Path string
	Here       bool
}

// Preview renders one page in one language from what would be public, by the words and templates of the real ones and marked as a preview. It is in no edition, and nothing
// of it is kept.
func (p *Press) Preview(public comms.Public, of Preview) ([]byte, error) {
	p.rendering.Lock()
	defer p.rendering.Unlock()
	if err := p.prepare(); err != nil {
		return nil, err
	}
	if of.Locale == "" {
		of.Locale = p.tongues[0].locale
	}
	i := slices.IndexFunc(p.tongues, func(t tongue) bool { return t.locale == of.Locale })
	if i < 0 {
		return nil, fault.BadField("locale", "is no language of the pages")
	}
	if of.Page == "" {
		of.Page = PreviewHome
	}
	run := &printing{press: p, public: public, contents: map[string]*encoded{}, preview: &of,
		edition: &Edition{Number: public.Edition, AsOf: public.AsOf.UTC(), Written: p.now(), docs: map[string]*document{}, languages: p.languages}}
	if err := run.look(); err != nil { // its paths; the shown edition has what stands there
		return nil, err
	}
	t := p.tongues[i]
	view, v, err := run.previewed(t, of)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.views.ExecuteTemplate(&b, view, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// previewed is a page with what stands on it.
func (r *printing) previewed(t tongue, of Preview) (view string, v any, err error) {
	switch of.Page {
	case PreviewHome:
		v, err = r.home(t)
		return "public_home.html", v, err
	case PreviewQuestions:
		v, err = r.questions(t)
		return "public_questions.html", v, err
	case PreviewHistory:
		v, err = r.history(t)
		return "public_history.html", v, err
	case PreviewBanner:
		v, err = r.banner(t)
		return "public_banner.html", v, err
	case PreviewIncident:
		for _, in := range r.public.Incidents {
			if in.ID == of.Incident {
				v, err = r.incident(t, in)
				return "public_incident.html", v, err
			}
		}
	}
	return "", nil, fault.New(fault.NotFound, "there is no page %.20q in this preview", of.Page)
}

// path is the address of a page in a preview.
func (of Preview) path(page, locale string) string {
	q := url.Values{"page": {page}, "locale": {locale}}
	for name, values := range of.Query {
		q[name] = values
	}
	return "?" + q.Encode()
}

// mark makes a sheet one of a preview: its languages are those of the preview, and it leads to the other pages of it.
func (of Preview) mark(t tongue, s sheet) sheet {
	for i := range s.Tongues {
		s.Tongues[i].Path = of.path(of.Page, s.Tongues[i].Locale)
	}
	for _, l := range []struct{ page, key string }{{PreviewHome, "page.current"}, {PreviewIncident, "page.preview.incident"}, {PreviewQuestions, "page.qa.title"}, {PreviewHistory, "page.history"}, {PreviewBanner, "page.preview.banner"}} {
		if l.page == PreviewIncident && of.Incident == "" {
			continue
		}
		s.Preview = append(s.Preview, previewLink{t.words.T(l.key), of.path(l.page, t.locale), l.page == of.Page})
	}
	return s
}
