package comms

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"

	"lifeline/store/fault"
)

// The codes of a field that cannot stand.
const (
	codeMissing = "missing"
	codeWrong   = "wrong"
	codeTooLong = "too_long"
	codeHidden  = "hidden_characters"
)

// prose bounds one text that people write: at most so many characters, in one line unless lines.
type prose struct {
	most     int
	lines    bool
	required bool
}

// bad appends what is wrong with s to found, under the name field.
func (p prose) bad(found []fault.Field, field, s string) []fault.Field {
	if strings.TrimSpace(s) == "" {
		if p.required {
			return append(found, missing(field))
		}
		s = strings.Trim(s, " \t\r\n") // some that nobody sees count as space
	}
	if n := utf8.RuneCountInString(s); n > p.most {
		found = append(found, fault.Field{Field: field, Code: codeTooLong, Reason: fmt.Sprintf("has %d characters; %d are allowed", n, p.most)})
	}
	if r, hidden := hiddenIn(s, p.lines); hidden {
		found = append(found, fault.Field{Field: field, Code: codeHidden, Reason: fmt.Sprintf("holds the character %U, which readers cannot see or which breaks a line; take it out", r)})
	}
	return found
}

// hiddenIn finds the first character that could change what a message looks like without being seen: control characters (CR
// and LF would split a mail's header), marks that turn the direction of text, invisible formats and letters, bytes that are no UTF-8. The two joiners stay,
// since emoji and several scripts need them.
func hiddenIn(s string, lines bool) (rune, bool) {
	for i, r := range s {
		switch {
		case r == '\n' && lines, r == '\u200c', r == '\u200d':
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Other_Default_Ignorable_Code_Point):
			return r, true
		case r == utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return r, true
			}
		}
	}
	return 0, false
}

func missing(field string) fault.Field {
	return fault.Field{Field: field, Code: codeMissing, Reason: "is missing"}
}

func wrong(field, format string, args ...any) fault.Field {
	return fault.Field{Field: field, Code: codeWrong, Reason: fmt.Sprintf(format, args...)}
}

// oneOf appends a field that is missing or not among the allowed values.
func oneOf(found []fault.Field, field, s string, allowed ...string) []fault.Field {
	switch {
	case s == "":
		return append(found, missing(field))
	case !slices.Contains(allowed, s):
		return append(found, wrong(field, "is %.40q; it must be one of %s", s, strings.Join(allowed, ", ")))
	}
	return found
}

// linkForm finds what a mail program or phone would turn into a link: a scheme, a www name, or a host name with a path.
var linkForm = regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]*://[^\s<>"]+|\bwww\.[^\s<>"]+|\b(?:[\pL\pN-]+\.)+\pL{2,}/[^\s<>"]*|\bmailto:[^\s<>"]+`)

// strangeLinks are the links in s that lead elsewhere than to the hosts.
func strangeLinks(s string, hosts []string) []string {
	var found []string
	for _, link := range linkForm.FindAllString(s, -1) {
		if !leadsTo(link, hosts) {
			found = append(found, link)
		}
	}
	return found
}

// hostForm finds what may be the name of a host, also in a script that has no spaces.
var hostForm = regexp.MustCompile(`(?i)\b(?:[\pL\pN-]+\.)+[a-z]{2,}\b`)

// bareHosts are the names in s under a public suffix, without scheme or path, that are not among the hosts: programs make links of them by themselves.
func bareHosts(s string, hosts []string) (found []string) {
	s = linkForm.ReplaceAllString(s, " ")
	for _, at := range hostForm.FindAllStringIndex(s, -1) {
		host := strings.ToLower(s[at[0]:at[1]])
		if suffix, listed := publicsuffix.PublicSuffix(host); listed && suffix != host && !strings.HasSuffix(s[:at[0]], "@") && !slices.Contains(hosts, host) {
			found = append(found, s[at[0]:at[1]])
		}
	}
	return found
}

// leadsTo says whether a link goes to one of the hosts and shows nothing else: a name before the host ("https://us@them") is a disguise.
func leadsTo(link string, hosts []string) bool {
	if !strings.Contains(link, "://") && !strings.HasPrefix(strings.ToLower(link), "mailto:") {
		link = "https://" + link
	}
	u, err := url.Parse(strings.TrimRight(link, ".,;:!?)]}'」』。、，"))
	if err != nil || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return false
	}
	return slices.Contains(hosts, strings.ToLower(u.Host))
}

// linkHosts are the hosts that a statement may link to: this portal, and what the operator allows.
func (r *Room) linkHosts() []string {
	var hosts []string
	for _, link := range append([]string{r.Vendor.URL}, r.Policy.Links...) {
		if u, err := url.Parse(link); err == nil && u.Host != "" {
			hosts = append(hosts, strings.ToLower(u.Host))
		} else if link != "" {
			hosts = append(hosts, strings.ToLower(link))
		}
	}
	return hosts
}
