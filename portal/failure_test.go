package portal

import (
	"regexp"
	"strings"
	"testing"

	"lifeline/portal/auth"
)

// A defect of ours costs one request. Whoever asked sees a reference and nothing from inside; the log has the rest under that reference.
func TestOurOwnDefectShowsAReferenceAndNothingElse(t *testing.T) {
	h := open(t, func(p *Portal) { p.Desk = nil })
	for _, a := range []ask{
		{method: "POST", path: "/api/v1/tickets", body: filed},
		{as: auth.Support, method: "GET", path: "/api/v1/tickets/000-000-000"},
		{method: "POST", path: "/support", media: form, body: "message=x&email=a%40b.example", header: map[string]string{"Accept": "text/html"}},
	} {
		res := h.do(a).want(500).silent("nil pointer", "goroutine", ".go:", "runtime", "desk.")
		secure(t, res.Request, res.Response)
		ref := regexp.MustCompile(`urn:lifeline:error:[0-9A-Z]{10}`).Find(res.body)
		if ref == nil || !strings.Contains(h.logs.String(), string(ref)) || !strings.Contains(h.logs.String(), "nil pointer") {
			t.Errorf("%s %s: the log does not explain %q:\n%s\n%s", a.method, a.path, ref, res.body, h.logs)
		}
	}
	h.get("", "/card").want(200) // and everything else goes on
}
