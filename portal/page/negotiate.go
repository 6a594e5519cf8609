package page

import (
	"bytes"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/text/language"
)

// coding is a content coding that we keep bytes in, in the order of our own preference.
type coding int

const (
	brotliCoding coding = iota
	gzipCoding
	identityCoding
	codings
)

// tokens are their names in headers, suffixes those of their files.
var (
	tokens   = [codings]string{"br", "gzip", "identity"}
	suffixes = [codings]string{".br", ".gz", ""}
)

// chooseCoding picks among the codings that a document has by the Accept-Encoding lines of a request (RFC 9110 12.5.3): the highest
// weight wins, the smaller bytes win a tie, and a request that refuses everything gets identity all the same, because an
// answer that a client may be unable to read is better than none in an outage.
func chooseCoding(lines [][]byte, has func(coding) bool) coding {
	weight := [codings]int{-1, -1, -1}
	star := -1
	for _, line := range lines {
		for len(line) > 0 {
			var item []byte
			item, line = cutItem(line)
			name, q := splitWeight(item)
			switch {
			case foldEqual(name, "br"):
				weight[brotliCoding] = q
			case foldEqual(name, "gzip"), foldEqual(name, "x-gzip"):
				weight[gzipCoding] = q
			case foldEqual(name, "identity"):
				weight[identityCoding] = q
			case string(name) == "*":
				star = q
			}
		}
	}
	best, top := identityCoding, 0
	for c := range codings {
		q := weight[c]
		if q < 0 {
			q = star
		}
		if q > top && has(c) {
			best, top = c, q
		}
	}
	return best
}

// cutItem takes the first item off a comma-separated list.
func cutItem(list []byte) (item, rest []byte) {
	if i := bytes.IndexByte(list, ','); i >= 0 {
		return bytes.TrimSpace(list[:i]), list[i+1:]
	}
	return bytes.TrimSpace(list), nil
}

// splitWeight parts "gzip;q=0.5" into its name and its weight in thousandths. A weight that makes no sense counts as 0.
func splitWeight(item []byte) (name []byte, q int) {
	name, rest, _ := bytes.Cut(item, []byte{';'})
	q = 1000
	for len(rest) > 0 {
		var param []byte
		param, rest, _ = bytes.Cut(rest, []byte{';'})
		param = bytes.TrimSpace(param)
		if len(param) >= 2 && (param[0] == 'q' || param[0] == 'Q') && param[1] == '=' {
			q = parseWeight(param[2:])
		}
	}
	return bytes.TrimSpace(name), q
}

// parseWeight reads "1", "0.5" or "0.125" as thousandths (RFC 9110 12.4.2).
func parseWeight(b []byte) int {
	if len(b) == 0 || len(b) > 5 || b[0] != '0' && b[0] != '1' || len(b) > 1 && b[1] != '.' {
		return 0
	}
	q, unit := int(b[0]-'0')*1000, 100
	for _, d := range b[min(2, len(b)):] {
		if d < '0' || d > '9' {
			return 0
		}
		q += int(d-'0') * unit
		unit /= 10
	}
	return min(q, 1000)
}

// foldEqual compares with a lower-case ASCII name without regard to case.
func foldEqual(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// notModified decides by RFC 9110 13.2.2: If-None-Match, compared weakly, goes before If-Modified-Since.
func notModified(noneMatch [][]byte, since, opaque []byte, modified time.Time) bool {
	if len(noneMatch) > 0 {
		for _, line := range noneMatch {
			if matchesTag(line, opaque) {
				return true
			}
		}
		return false
	}
	if len(since) == 0 || len(since) > 64 {
		return false
	}
	t, err := http.ParseTime(string(since))
	return err == nil && !modified.Truncate(time.Second).After(t)
}

var weakMark = []byte("W/")

// matchesTag walks a list of entity tags, looking for one whose opaque part (with its quotes) is the given one. Opaque parts
// may hold commas, so quotes lead the walk.
func matchesTag(list, opaque []byte) bool {
	for {
		list = bytes.TrimLeft(list, " \t,")
		if len(list) == 0 {
			return false
		}
		if list[0] == '*' {
			return true
		}
		list = bytes.TrimPrefix(list, weakMark)
		if len(list) == 0 || list[0] != '"' {
			return false
		}
		end := bytes.IndexByte(list[1:], '"')
		if end < 0 {
			return false
		}
		if bytes.Equal(list[:end+2], opaque) {
			return true
		}
		list = list[end+2:]
	}
}

// languages matches Accept-Language headers to the locales that pages are written in. Browsers send few different headers, so
// their answers are remembered, up to a bound that strangers cannot push.
type languages struct {
	locales []string
	matcher language.Matcher

	mu   sync.Mutex
	seen atomic.Pointer[map[string]int]
}

const (
	longestLanguages  = 256 // bytes of the header that are looked at
	mostSeenLanguages = 512
)

// newLanguages matches among locales; the first is the one for readers who speak none of them.
func newLanguages(locales []string) *languages {
	tags := make([]language.Tag, len(locales))
	for i, l := range locales {
		tags[i] = language.Make(l)
	}
	return &languages{locales: locales, matcher: language.NewMatcher(tags)}
}

// choose returns the index of the locale for a header; 0 when it is empty, broken or asks for none of ours.
func (l *languages) choose(header []byte) int {
	if len(header) == 0 {
		return 0
	}
	if len(header) > longestLanguages {
		header = header[:longestLanguages]
		if i := bytes.LastIndexByte(header, ','); i > 0 {
			header = header[:i]
		}
	}
	seen := l.seen.Load()
	if seen != nil {
		if i, ok := (*seen)[string(header)]; ok {
			return i
		}
	}
	i := l.match(string(header))
	if seen == nil || len(*seen) < mostSeenLanguages {
		l.remember(string(header), i)
	}
	return i
}

func (l *languages) match(header string) int {
	tags, weights, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return 0
	}
	for i, w := range weights { // sorted by weight; a zero means "not this one"
		if w <= 0 {
			tags = tags[:i]
			break
		}
	}
	if len(tags) == 0 {
		return 0
	}
	_, i, confidence := l.matcher.Match(tags...)
	if confidence == language.No {
		return 0
	}
	return i
}

func (l *languages) remember(header string, i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := map[string]int{}
	if seen := l.seen.Load(); seen != nil {
		if len(*seen) >= mostSeenLanguages {
			return
		}
		next = maps.Clone(*seen)
	}
	next[header] = i
	l.seen.Store(&next)
}
