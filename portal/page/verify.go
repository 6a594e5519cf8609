package page

import (
	"html/template"
	"time"

	"lifeline/comms"
	"lifeline/templates"
)

// This file writes /verify: every message that everybody may read, under the code that it carries, so that it can be told from an imitation even on a copy of
// the page behind which no program runs.

type verifyPage struct {
	sheet
	Codes []codeView
}

type codeView struct {
	Code, Path string
	Headline   template.HTML
	At         time.Time
}

type genuinePage struct {
	sheet
	Code     string
	At       time.Time
	About    template.HTML // the incident
	Path     string
	Marks    []string
	Senders  []string
	Host     string
	Message  template.HTML
	CheckAll string
}

// listed is what a message is known by in a list: one that only takes another back has no headline, but says of which.
func (t tongue) listed(u templates.Update) template.HTML {
	if u.Statement.Headline == "" && u.Corrects > 0 {
		return t.typed(t.words.T("mark.correction", u.Corrects), t.locale)
	}
	return t.headline(u)
}

// mostCodes bounds the list of codes: the newest ones are asked for.
const mostCodes = 50

func (r *printing) verify() error {
	err := r.page("verify", "public_verify.html", false, func(t tongue) (any, error) {
		v := verifyPage{sheet: r.sheet(t, "verify", t.words.T("verify.title")+" · "+t.words.T("page.title", r.press.Vendor.Name), t.words.T("verify.intro"))}
		for _, in := range r.public.Incidents {
			for _, u := range in.Updates {
				if len(v.Codes) < mostCodes {
					code := templates.CheckCode(u.ID)
					v.Codes = append(v.Codes, codeView{templates.ShownCode(code), "/" + t.locale + "/verify/" + code, t.listed(u), u.At})
				}
			}
		}
		return v, nil
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	for _, path := range spellings("", "verify") { // there the portal asks for a code; a file server, which can ask nobody, has this page
		delete(r.edition.docs, path)
	}
	r.mu.Unlock()
	for _, in := range r.public.Incidents {
		for _, u := range in.Updates {
			code := templates.CheckCode(u.ID)
			err := r.page("verify/"+code, "public_genuine.html", r.known.updates[u.ID], func(t tongue) (any, error) { return r.genuine(t, in, u, code) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *printing) genuine(t tongue, in comms.PublicIncident, u templates.Update, code string) (genuinePage, error) {
	said, err := r.update(t, in, u, false)
	if err != nil {
		return genuinePage{}, err
	}
	title := t.words.T("verify.genuine", r.press.Vendor.Name)
	v := genuinePage{Code: templates.ShownCode(code), At: u.At, About: t.titled(in), Path: t.path(in), Marks: said.Marks, Senders: r.press.Senders, Host: host(r.press.Vendor),
		Message: said.Body, CheckAll: "/" + t.locale + "/verify"}
	v.sheet = r.sheet(t, "verify/"+code, title+" · "+t.words.T("page.title", r.press.Vendor.Name), title)
	v.sheet.Word, v.sheet.Live, v.sheet.Dated = u.At, false, false // it says the same for ever, so its bytes stay the same too
	return v, nil
}
