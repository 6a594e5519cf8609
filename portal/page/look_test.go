package page

import (
	"encoding/xml"
	"io"
	"slices"
	"strings"
	"testing"

	"lifeline/comms"
	"lifeline/templates"
)

// A vendor's own look is part of every page and of the static site, and one that readers could not read is refused.
func TestAVendorsOwnLook(t *testing.T) {
	logo := []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><rect width="1" height="1"/></svg>`)
	for want, given := range map[string][3]string{
		"neither SVG nor PNG": {"GIF89a", "", ""}, "at most": {strings.Repeat("x", mostLogo+1), "", ""}, "must be two": {"", "#0a55a8", ""}, "form #0a55a8": {"", "blue red", ""},
		"contrast of": {"", "#cccccc #8fbcff", ""}, "form Name=": {"", "", "Terms=http://vendor.example"}, "\"Terms=https://\" is not": {"", "", "Terms=https://"},
		"colours must be two, such as \"#0a55a8 #8fbcff\": for light and for dark ground; links": {"", "red", "Terms"},
	} {
		_, err := NewLook([]byte(given[0]), given[1], given[2])
		if want == "at most" {
			want = "are the most"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", given, err, want)
		}
	}
	look, err := NewLook(logo, "#7a1fa2 #d9a7f0", "Terms=https://vendor.example/terms; Trust = https://trust.vendor.example")
	if err != nil {
		t.Fatal(err)
	}
	press := samplePress(t, "")
	press.Look = look
	e, err := press.Render(sampleRecovery())
	if err != nil {
		t.Fatal(err)
	}
	body := string(e.Body("/ja/", ""))
	for _, want := range []string{`<link rel="stylesheet" href="/assets/look.`, `<img src="/assets/logo.`, `<a href="https://vendor.example/terms">Terms</a>`, `<a href="https://trust.vendor.example">Trust</a>`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	found := 0
	for _, f := range e.files {
		if strings.HasPrefix(f.path, "assets/look.") && strings.Contains(string(f.enc.bytes[identityCoding]), "--link:#7a1fa2") || strings.HasPrefix(f.path, "assets/logo.") {
			found++
		}
	}
	if found != 2 {
		t.Errorf("the static site holds %d files of the look, want 2", found)
	}
	pages := 0
	for _, f := range e.files {
		if body := string(f.enc.bytes[identityCoding]); strings.HasSuffix(f.path, ".html") {
			if pages++; !strings.Contains(body, `<link rel="stylesheet" href="`+e.Own().Sheet) {
				t.Errorf("%s has not the vendor's look", f.path)
			}
		}
	}
	if pages < 30 { // ten or so in each of three languages, and without one
		t.Errorf("the static site holds %d pages", pages)
	}
}

// The badge and the banner say how things are on the vendor's own pages, in every language; the banner alone may be framed.
func TestTheBadgeAndTheBannerGoOnOtherPages(t *testing.T) {
	press := sampleWide(t)
	press.Vendor.Name = "A & <B>"
	public := sampleRecovery()
	lesser := public.Incidents[0] // and newer
	lesser.ID, lesser.Severity, lesser.Updates = "another00001", "P2", slices.Clone(lesser.Updates[:1])
	lesser.Updates[0].Statement.Headline = "Search is slow"
	public.Incidents = append([]comms.PublicIncident{lesser}, public.Incidents...)
	e, err := press.Render(public)
	if err != nil {
		t.Fatal(err)
	}
	for _, locale := range templates.Locales() {
		words := press.Words.Catalog(locale)
		says := words.T("page.state.critical")
		picture := string(e.Body("/"+locale+"/badge.svg", ""))
		d := xml.NewDecoder(strings.NewReader(picture))
		var text strings.Builder
		for {
			tok, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v: %s", locale, err, picture)
			}
			if c, ok := tok.(xml.CharData); ok {
				text.Write(c)
			}
		}
		if !strings.Contains(text.String(), "A & <B>: "+says) {
			t.Errorf("%s: the badge says %q", locale, text.String())
		}
		path := "/" + locale + "/banner"
		if got := pageText(t, e, path); !strings.Contains(got, says) || !strings.Contains(got, sampleUpdates()[0].Statement.Headline) {
			t.Errorf("%s: the banner says %q", locale, got)
		}
		soundPage(t, e.Body(path, ""), locale)
		frames := func(path string) string {
			return string(e.docs[path].reps[identityCoding].headers().full.Peek("Content-Security-Policy"))
		}
		if policy := frames(path); !strings.Contains(policy, "frame-ancestors *") || !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s: the banner is sent with %q", locale, policy)
		}
		if policy := frames("/" + locale + "/"); !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: the page may be framed: %q", locale, policy)
		}
	}
	if string(e.Body("/badge.svg", "")) != string(e.Body("/"+templates.Locales()[0]+"/badge.svg", "")) {
		t.Error("/badge.svg is not the first language's")
	}
}
