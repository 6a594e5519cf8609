package portal

import (
	"slices"
	"strings"
	"testing"
)

// twins are the calls of the API that do what a form of the desk does, where they do not stand under the same path. A page that nobody can do without belongs here
// before it is finished.
var twins = map[string]string{
	"POST /desk/incidents/:id/affected":         "PUT incidents/:id/affected",
	"POST /desk/incidents/:id/batches":          "PUT incidents/:id/batches, POST incidents/:id/batches/close, POST incidents/:id/batches/except",
	"POST /desk/incidents/:id/cohorts":          "PUT incidents/:id/cohorts/:cohort",
	"PUT /desk/incidents/:id/copy":              "PUT incidents/:id/working-copy",
	"POST /desk/incidents/:id/editor":           "POST incidents/:id/updates, PATCH updates/:id",
	"POST /desk/incidents/:id/team":             "PUT incidents/:id/roles/:role, POST incidents/:id/roles/:role/take, POST incidents/:id/severity, POST incidents/:id/meetings, PATCH incidents/:id",
	"POST /desk/incidents/:id/work":             "POST incidents/:id/links, DELETE incidents/:id/links/:link, POST incidents/:id/parties, PATCH incidents/:id/parties/:party, DELETE incidents/:id/parties/:party, POST incidents/:id/parties/:party/wait, POST incidents/:id/parties/:party/answer, POST incidents/:id/streams, PATCH incidents/:id/streams/:stream, POST incidents/:id/streams/:stream/log",
	"POST /desk/handoffs/:id":                   "PUT handoffs/:id, POST handoffs/:id/acknowledge",
	"POST /desk/tasks/:id":                      "POST tasks/:id/take, POST tasks/:id/done, POST tasks/:id/drop",
	"POST /desk/checks/:id":                     "POST checks/:id/submit, POST checks/:id/release, POST checks/:id/hand-over, POST checks/:id/reassign, POST checks/:id/unblock, POST checks/:id/one-check, POST checks/:id/again",
	"PUT /desk/checks/:id/run":                  "POST checks/:id/heartbeat",
	"POST /desk/tickets/:number":                "POST tickets/:number/messages, PATCH tickets/:number, POST tickets/:number/solve, POST tickets/:number/merge, POST tickets/:number/split, POST tickets/:number/messages/:id/release, DELETE tickets/:number/merge, POST tickets/:number/calls, POST calls/:id/notes, DELETE tickets/:number",
	"POST /desk/tickets/:number/identity":       "POST tickets/:number/identity/evidence, POST tickets/:number/identity/evidence/:id/agree, POST tickets/:number/identity/evidence/:id/void, POST tickets/:number/identity/codes, POST tickets/:number/identity/codes/give, POST tickets/:number/identity/zones, POST tickets/:number/identity/zones/check",
	"POST /desk/tickets/:number/account":        "POST tickets/:number/account, DELETE tickets/:number/account",
	"POST /desk/accounts/:id/unmask":            "POST contacts/:id/unmask",
	"POST /desk/incidents/:id/security-process": "PUT incidents/:id/security-process",
	"POST /desk/accounts/:id/delete":            "DELETE accounts/:id, DELETE contacts/:id",
	"POST /desk/accounts/:id/contacts":          "POST changes",
	"POST /desk/accounts/:id/roles":             "POST changes",
	"POST /desk/accounts/:id/merge":             "POST changes",
	"POST /desk/changes/:id":                    "POST changes/:id/approve, POST changes/:id/refuse, POST changes/:id/pause, POST changes/:id/run, POST changes/:id/undo, POST changes/:id/hasten",
	"POST /desk/conflicts":                      "POST contacts/conflicts/decisions, POST contacts/conflicts/reopenings",
	"POST /desk/import":                         "POST contacts/imports",
	"POST /desk/import/:id":                     "POST contacts/imports",
	"POST /desk/questions/:id":                  "PUT questions/:id",
	"POST /desk/staff/:id":                      "PUT staff/:id, POST staff/:id/disable, POST staff/:id/enable, POST staff/:id/invite, POST staff/:id/reset, POST changes, DELETE tokens/:id",
	"POST /desk/rota":                           "POST rotas, DELETE rotas/:id, POST rota/covers, POST rota/covers/:id/agree, DELETE rota/covers/:id, POST rota/feed",
	"POST /desk/rota/:id":                       "POST rotas/:id/changes, DELETE rotas/:id/changes",
	"POST /desk/updates/:id/readers":            "POST updates/:id/outreach",
	"POST /desk/sign-in":                        "", // these are a person's own browser session, which a program has no part in
	"POST /desk/sign-in/passkey":                "",
	"POST /desk/sign-out":                       "",
	"POST /desk/account":                        "",
	"POST /desk/enrol":                          "",
}

// Everything on the pages is in the API: each form of the desk names the calls that do the same, and where one stands under the same path it asks for the same right.
func TestEveryFormOfTheDeskHasItsCall(t *testing.T) {
	all := (&Portal{}).routes()
	find := func(name string) *route {
		i := slices.IndexFunc(all, func(r route) bool { return r.method+" "+r.path == name })
		if i < 0 {
			return nil
		}
		return &all[i]
	}
	used := map[string]bool{}
	for _, r := range all {
		if r.method == "GET" || !strings.HasPrefix(r.path, "/desk") {
			continue
		}
		name := r.method + " " + r.path
		calls, named := twins[name]
		if !named {
			if twin := find(r.method + " /api/v1" + strings.TrimPrefix(r.path, "/desk")); twin == nil {
				t.Errorf("%s: nobody has said which call of the API does it", name)
			} else if twin.right != r.right {
				t.Errorf("%s asks for %q, and its call for %q", name, r.right, twin.right)
			}
			continue
		}
		used[name] = true
		for call := range strings.SplitSeq(calls, ", ") {
			method, path, _ := strings.Cut(call, " ")
			if call != "" && find(method+" /api/v1/"+path) == nil {
				t.Errorf("%s is done by %s, which there is not", name, call)
			}
		}
	}
	for name := range twins {
		if !used[name] {
			t.Errorf("there is no form %s", name)
		}
	}
}
