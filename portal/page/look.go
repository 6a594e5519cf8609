package page

import (
	"bytes"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"lifeline/store/fault"
)

// Look is how a vendor's page differs from others: his mark, the colour of links and buttons on light and on dark ground, and where his readers
// may want to go.
type Look struct {
	Logo     []byte // SVG or PNG; none: the name alone
	LogoType string // its Content-Type
	Light    string // "#0a55a8", on light ground; "": the built-in one
	Dark     string // on dark ground
	Links    []Link
}

// Link is a way to another page of the vendor's.
type Link struct{ Name, URL string }

// mostLogo bounds a logo, so that the first load stays small.
const mostLogo = 16 << 10

// The grounds of the two schemes, as style.css has them.
const (
	lightGround = "#faf9f7"
	darkGround  = "#23272d"
)

var colourForm = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// NewLook reads a look: a logo's bytes, "#rrggbb #rrggbb" for light and dark, and "Name=https://..." links separated by semicolons. A colour that
// some readers could not tell from its ground is refused (WCAG 2.2, 1.4.3). The error names every field that is wrong.
func NewLook(logo []byte, colours, links string) (l Look, err error) {
	var f []fault.Field
	bad := func(field, format string, args ...any) {
		f = append(f, fault.Field{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	switch {
	case len(logo) == 0:
	case len(logo) > mostLogo:
		bad("logo", "has %d bytes; %d are the most", len(logo), mostLogo)
	case bytes.HasPrefix(logo, []byte("\x89PNG\r\n\x1a\n")):
		l.Logo, l.LogoType = logo, "image/png"
	case bytes.Contains(logo[:min(len(logo), 1000)], []byte("<svg")):
		l.Logo, l.LogoType = logo, "image/svg+xml"
	default:
		bad("logo", "is neither SVG nor PNG")
	}
	switch given := strings.Fields(colours); len(given) {
	case 0:
	case 2:
		l.Light, l.Dark = given[0], given[1]
		for i, ground := range []string{lightGround, darkGround} {
			if !colourForm.MatchString(given[i]) {
				bad("colours", "%.20q is not of the form #0a55a8", given[i])
			} else if c := contrast(given[i], ground); c < 4.5 {
				bad("colours", "%s on %s has a contrast of %.1f to 1; readers need 4.5", given[i], ground, c)
			}
		}
	default:
		bad("colours", "must be two, such as %q: for light and for dark ground", "#0a55a8 #8fbcff")
	}
	for _, item := range strings.Split(links, ";") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		name, to, _ := strings.Cut(item, "=")
		name, to = strings.TrimSpace(name), strings.TrimSpace(to)
		if u, err := url.Parse(to); name == "" || err != nil || u.Scheme != "https" || u.Host == "" {
			bad("links", "%.80q is not of the form Name=https://...", item)
			continue
		}
		l.Links = append(l.Links, Link{name, to})
	}
	if len(f) > 0 {
		return Look{}, fault.BadFields(f...)
	}
	return l, nil
}

// contrast is that of WCAG 2.2 between two colours.
func contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

func luminance(colour string) float64 {
	part := func(at int) float64 {
		n, _ := strconv.ParseUint(colour[at:at+2], 16, 8) // the form was checked
		c := float64(n) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*part(1) + 0.7152*part(3) + 0.0722*part(5)
}

// Own is a look as pages use it: paths of what was made of it, "" where there is nothing.
type Own struct {
	Sheet, Logo string
	Links       []Link
}

// look puts the vendor's own colours and logo among the assets, under names that carry their hash.
func (r *printing) look() error {
	l := r.press.Look
	r.own = Own{Links: l.Links}
	put := func(stem, ext, media string, body []byte) (string, error) {
		enc, err := r.content(body)
		if err != nil {
			return "", err
		}
		path := "/assets/" + stem + "." + enc.hash[:10] + ext
		r.add(enc, answer{contentType: media, cache: cacheAsset}, path[1:], path)
		return path, nil
	}
	var err error
	if l.Light != "" {
		css := fmt.Sprintf(":root{--link:%s;--info:%s}@media screen and (prefers-color-scheme:dark){:root{--link:%s;--info:%s}}\n", l.Light, l.Light, l.Dark, l.Dark)
		if r.own.Sheet, err = put("look", ".css", "text/css; charset=utf-8", []byte(css)); err != nil {
			return err
		}
	}
	if len(l.Logo) > 0 {
		ext := map[string]string{"image/png": ".png", "image/svg+xml": ".svg"}[l.LogoType]
		if r.own.Logo, err = put("logo", ext, l.LogoType, l.Logo); err != nil {
			return err
		}
	}
	return nil
}
