package page

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"
	"unicode"

	"lifeline/comms"
)

// bannerView is what a vendor's own error page shows in a frame: how things are, the newest word on the gravest incident, and the way to the page.
type bannerView struct {
	sheet
	Tone, Overall string
	Headline      template.HTML
}

func (r *printing) banner(t tongue) (bannerView, error) {
	level := overall(r.public)
	v := bannerView{Tone: level.tone(), Overall: t.words.T("page.state." + level.name())}
	var worst *comms.PublicIncident // which says more of how things are than the newest does
	for i := range r.public.Incidents {
		in := &r.public.Incidents[i]
		if isOpen(*in) && (worst == nil || levelOfSeverity(in.Severity) > levelOfSeverity(worst.Severity)) {
			worst = in
		}
	}
	if worst != nil {
		v.Headline = t.past(*worst).Headline
	}
	v.sheet = r.sheet(t, "banner", t.words.T("page.title", r.press.Vendor.Name), v.Overall)
	return v, nil
}

// badges draw how things are as a small picture for other pages, one for each language; /badge.svg is the first one's.
func (r *printing) badges() error {
	level := overall(r.public)
	for i, t := range r.press.tongues {
		enc, err := r.content(badge(r.press.Vendor.Name, t.words.T("page.state."+level.name()), level.tone()))
		if err != nil {
			return err
		}
		a := answer{contentType: "image/svg+xml", cache: cachePage, locale: t.locale, cors: true}
		r.add(enc, a, t.locale+"/badge.svg", "/"+t.locale+"/badge.svg")
		if i == 0 {
			r.add(enc, a, "badge.svg", "/badge.svg")
		}
	}
	return nil
}

// badgeColours are white words' grounds, each with a contrast of at least 4.5 to 1.
var badgeColours = map[string]string{"good": "#17693f", "info": "#1f55a5", "warn": "#7d5200", "bad": "#a33c05", "dire": "#a5162b"}

// badge is two fields side by side: whose status, and which. The words say it all; the colour only says it again.
func badge(name, says, tone string) []byte {
	nameWidth, saysWidth := textWidth(name), textWidth(says)*11/10 // bold letters are wider
	left, right := nameWidth+16, saysWidth+16
	var b bytes.Buffer
	label := template.HTMLEscapeString(name + ": " + says)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="24" viewBox="0 0 %d 24" role="img" aria-label="%s"><title>%s</title>`, left+right, left+right, label, label)
	fmt.Fprintf(&b, `<rect width="%d" height="24" rx="4" fill="#2b2f36"/><path d="M%d 0h%dq4 0 4 4v16q0 4-4 4h-%dz" fill="%s"/>`, left+right, left, right-4, right-4, badgeColours[tone])
	fmt.Fprintf(&b, `<g fill="#fff" font-family="system-ui,sans-serif" font-size="12" text-anchor="middle"><text x="%d" y="16" textLength="%d" lengthAdjust="spacingAndGlyphs">%s</text><text x="%d" y="16" font-weight="600" textLength="%d" lengthAdjust="spacingAndGlyphs">%s</text></g></svg>`,
		left/2, nameWidth, template.HTMLEscapeString(name), left+right/2, saysWidth, template.HTMLEscapeString(says))
	return b.Bytes()
}

// textWidth guesses how wide a text is at 12 pixels: wide scripts take a square each. Which letters a reader's machine has nobody knows, so the picture
// also says how long each text is to be.
func textWidth(s string) (w int) {
	for _, c := range s {
		switch {
		case unicode.In(c, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) || c >= 0xff00:
			w += 12
		case strings.ContainsRune("iljtf.,:;' ", c):
			w += 4
		case strings.ContainsRune("mwMW&@%", c):
			w += 11
		case unicode.IsUpper(c):
			w += 9
		default:
			w += 7
		}
	}
	return w
}
