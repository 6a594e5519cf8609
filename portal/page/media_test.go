package page

import (
	"mime"
	"strings"
	"testing"
)

// Every public answer says what it is and in which encoding its text stands (RFC 9110 section 8.3); our one drawing is plain ASCII and names none.
func TestEveryPublicAnswerNamesItsMediaType(t *testing.T) {
	s, e := shownServer(t, sampleRecovery())
	get := serve(t, s)
	begins := map[string]string{"text/html": "<!doctype html", "application/json": "{", "application/atom+xml": "<?xml", "application/rss+xml": "<?xml", "image/svg+xml": "<svg", "text/plain": ""}
	paths := append([]string{}, publicPaths...)
	for path := range e.docs {
		if strings.HasPrefix(path, "/assets/") {
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		a := get("GET", path)
		media, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
		if err != nil || a.status != 200 {
			t.Errorf("%s: %d, %q: %v", path, a.status, a.header.Get("Content-Type"), err)
			continue
		}
		if text := strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+xml"); text && !strings.EqualFold(params["charset"], "utf-8") && media != "image/svg+xml" {
			t.Errorf("%s: %q names no encoding", path, a.header.Get("Content-Type"))
		}
		if begin, ok := begins[media]; ok && !strings.HasPrefix(strings.ToLower(string(a.body)), begin) {
			t.Errorf("%s says it is %s, and begins with %.40q", path, media, a.body)
		} else if !ok && media != "text/css" && media != "text/javascript" {
			t.Errorf("%s: an unexpected media type %q", path, media)
		}
	}
}
