package portal

import (
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/page"
)

// Staff see the public pages as they would be: with the draft, and word for word as they are once it is said. Nothing of it is public, kept, or written to the directory.
func TestAPageIsSeenBeforeItIsSaid(t *testing.T) {
	t.Parallel()
	var press *page.Press
	server, dir := &page.Server{}, filepath.Join(t.TempDir(), "page")
	h := open(t, func(p *Portal) {
		p.Comms.Policy.Components = []comms.ComponentPolicy{{Name: "Wiki", Group: "Products"}, {Name: "API"}}
		look, err := page.NewLook([]byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), "#7a1fa2 #d9a7f0", "Imprint=https://vendor.example/imprint")
		if err != nil {
			t.Fatal(err)
		}
		press = &page.Press{Look: look, Words: p.Words, Vendor: p.Comms.Vendor, Dir: dir, Log: p.Log, Now: p.DB.Now}
		p.Page, p.Press = server, press
	})
	keeper := &page.Keeper{Press: press, Server: server, Edition: h.Comms.Edition, Public: h.Comms.Public, Log: h.Portal.Log}
	keeper.Turn(t.Context())
	for _, path := range []string{"/en/", "/subscribe?lang=en"} { // the forms look as the page does
		h.do(ask{method: "GET", path: path}).want(200).says(`<link rel="stylesheet" href="/assets/look.`, `<img src="/assets/logo.`, `<a href="https://vendor.example/imprint">Imprint</a>`)
	}
	for path, status := range map[string]int{"/support?lang=en": 200, "/verify": 200, "/me": 200, "/card": 200, "/card?frame=1": 200, "/s/x": 404, "/c/x": 404, "/b/x": 404, "/v/x": 404, "/y/x": 404, "/t/x": 200, "/nothing": 404} {
		h.do(ask{method: "GET", path: path, header: map[string]string{"Accept": "text/html"}}).want(status).says(`<link rel="stylesheet" href="/assets/look.`)
	}
	incident := h.world()
	const said = "A script deleted sites of some customers"
	u := h.draft(incident, h.statement(func(s map[string]any) {
		s["headline"], s["audience"], s["channels"], s["scope"] = said, "public", []string{"page"}, map[string]any{"products": []string{"Wiki"}, "regions": []string{"EU"}, "text": "Wiki"}
	}))
	at := "/desk/preview?update=" + u.ID
	cookie, _ := h.signIn(auth.Comms)
	ask := func(address string) answer {
		t.Helper()
		return h.do(ask{method: "GET", path: address, header: map[string]string{"Cookie": cookie.String()}})
	}
	see := func(address string) string {
		t.Helper()
		a := ask(address).want(200)
		if strings.HasPrefix(address, "/desk/preview") && a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept: %v", address, a.Header)
		}
		return string(a.body)
	}
	public := func(path string) string { return string(server.Shown().Body(path, "en")) }
	for _, locale := range []string{"en", "zh-CN", "ja", "de", "fr", "es", "pt-BR", "ko"} {
		words := h.Words.Catalog(locale)
		for of, wants := range map[string][]string{"home": {said, words.T("component.major_outage")}, "incident": {said}, "questions": {words.T("page.qa.title")}, "history": {said}, "banner": {said}} {
			got := see(at + "&page=" + of + "&locale=" + locale)
			for _, want := range append(wants, `lang="`+locale+`"`, html.EscapeString(words.T("page.preview.text")), "page=banner&amp;update="+u.ID) {
				if !strings.Contains(got, want) {
					t.Errorf("%s in %s lacks %q", of, locale, want)
				}
			}
			if strings.Contains(got, "<script") {
				t.Errorf("%s in %s runs a script, which would look for newer pages", of, locale)
			}
		}
	}
	if !strings.Contains(see("/desk/incidents/"+incident+"/editor?update="+u.ID), at) {
		t.Error("the editor does not lead to the preview")
	}
	keeper.Turn(t.Context())
	if strings.Contains(public("/en/"), said) {
		t.Error("a draft is public")
	}
	_ = filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if b, err := os.ReadFile(name); err != nil || strings.Contains(string(b), said) || strings.Contains(string(b), h.Words.Catalog("en").T("page.preview.text")) {
				t.Errorf("%s holds a preview: %v", name, err)
			}
		}
		return err
	})
	before := map[string]string{}
	short := regexp.MustCompile(`/en/incidents/([0-9a-z]{12})`).FindStringSubmatch(see(at))
	if short == nil {
		t.Fatal("the first page leads to no incident")
	}
	for of, path := range map[string]string{"home": "/en/", "incident": "/en/incidents/" + short[1], "history": "/en/history"} {
		before[path] = see(at + "&page=" + of)
	}
	h.post(auth.Approver, "/api/v1/updates/"+u.ID+"/approve", nil).want(200)
	h.post(auth.Comms, "/api/v1/updates/"+u.ID+"/publish", nil).want(200)
	keeper.Turn(t.Context())
	content := func(body string) string {
		_, body, _ = strings.Cut(body, "<main")
		body, _, _ = strings.Cut(body, "</main>")
		return regexp.MustCompile(` data-[a-z]+="[^"]*"|<p id="newer".*?</p>\n`).ReplaceAllString(body, "")
	}
	for path, was := range before {
		if now := content(public(path)); now == "" || now != content(was) {
			t.Errorf("%s is not what was seen before:\n%s\n\nbefore:\n%s", path, now, content(was))
		}
	}

	// An official answer that waits for its second person; an address that names what is not there, and an update that goes to no page.
	var q officialAnswer
	h.post(auth.Comms, "/api/v1/questions", map[string]any{"incident": incident, "locale": "en", "question": "Must I file a ticket?", "answer": "No."}).want(201).into(&q)
	if got := see("/desk/preview?page=questions&answer=" + q.ID); !strings.Contains(got, "Must I file a ticket?") {
		t.Error("the answer is not on its page")
	}
	if got := see("/desk/preview?page=questions"); strings.Contains(got, "Must I file a ticket?") {
		t.Error("an answer that waits is on a page that nobody asked to see with it")
	}
	inside := h.draft(incident, h.statement(func(s map[string]any) { s["audience"], s["channels"] = "internal", []string{"email"} }))
	for address, status := range map[string]int{"update=" + inside.ID: 409, "update=upd_nothing": 404, "page=attic": 404, "page=incident": 404, "locale=tlh": 422, "answer=ans_nothing": 404} {
		ask("/desk/preview?" + address).want(status)
	}
}
