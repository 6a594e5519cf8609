package portal

import (
	"testing"

	"lifeline/portal/auth"
)

// Pages and JSON say what they are and in which encoding; a problem document has no such parameter (RFC 9457 section 6.1).
func TestEveryAnswerNamesItsMediaType(t *testing.T) {
	h := open(t)
	cookie, _ := h.signIn(auth.Commander)
	page, data, problem := "text/html; charset=utf-8", "application/json; charset=utf-8", "application/problem+json"
	in := map[string]string{"Cookie": cookie.String(), "Accept": "text/html"}
	for _, c := range []struct {
		ask
		want string
	}{
		{ask{method: "GET", path: "/support"}, page}, {ask{method: "POST", path: "/support", media: form, body: "message=x"}, page}, {ask{method: "GET", path: "/t/000-000-000"}, page},
		{ask{method: "GET", path: "/desk/sign-in"}, page}, {ask{method: "GET", path: "/desk", header: in}, page}, {ask{method: "GET", path: "/desk/tickets", header: in}, page},
		{ask{method: "GET", path: "/nowhere", header: map[string]string{"Accept": "text/html"}}, page},
		{ask{method: "POST", path: "/api/v1/tickets", body: filed}, data}, {ask{as: auth.Auditor, method: "GET", path: "/api/v1/incidents"}, data}, {ask{method: "GET", path: "/api/v1/openapi.json"}, data},
		{ask{method: "POST", path: "/api/v1/tickets", body: "{}"}, problem}, {ask{method: "GET", path: "/api/v1/incidents"}, problem}, {ask{method: "GET", path: "/nowhere"}, problem},
	} {
		if got := h.do(c.ask).Header.Get("Content-Type"); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.path, got, c.want)
		}
	}
}
