package portal

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"lifeline/portal/auth"
)

// mayUse says who may use each route, as the table of roles was agreed with everyone who builds on Lifeline: commander, comms, approver,
// support, engineer, security, automation, auditor. An administrator may do all of it but set the security cause. Rights that a role has
// only under a condition that no route can see to (an engineer's own checks, an automation's approved rule, a security reader's own
// texts) are not here: such a request is refused. "public" needs nobody.
var mayUse = map[string]string{
	"POST /api/v1/incidents":                   "commander comms support automation",
	"GET /api/v1/incidents":                    everyone,
	"GET /api/v1/incidents/:id":                everyone,
	"PATCH /api/v1/incidents/:id":              "commander",
	"POST /api/v1/incidents/:id/command":       "commander",
	"POST /desk/incidents/:id/command":         "commander",
	"PUT /api/v1/incidents/:id/security-cause": "security",
	"GET /api/v1/incidents/:id/log":            everyone,
	"PUT /api/v1/incidents/:id/affected":       "commander engineer automation",
	"POST /api/v1/incidents/:id/sites":         "commander engineer automation",
	"GET /api/v1/incidents/:id/ledger":         everyone,
	"GET /api/v1/incidents/:id/forecast":       everyone,
	"POST /api/v1/incidents/:id/plan":          "commander engineer automation",
	"GET /desk/incidents/:id/batches":          everyone,
	"POST /desk/incidents/:id/batches":         workers,
	"POST /desk/incidents/:id/plan":            "commander engineer automation",
	"POST /desk/incidents/:id/sites":           "commander engineer automation",
	"POST /desk/incidents/:id/affected":        "commander engineer automation",
	"GET /api/v1/incidents/:id/coverage":       everyone,

	"GET /api/v1/incidents/:id/news":                   readers,
	"GET /api/v1/incidents/:id/cohorts":                everyone,
	"PUT /api/v1/incidents/:id/cohorts/:cohort":        "commander engineer automation",
	"POST /api/v1/incidents/:id/cohorts/:cohort/close": "commander",
	"POST /api/v1/incidents/:id/integrity":             "support engineer",

	"PUT /api/v1/incidents/:id/working-copy":  writers,
	"GET /api/v1/incidents/:id/working-copy":  readers,
	"POST /api/v1/incidents/:id/updates":      writers,
	"GET /api/v1/incidents/:id/updates":       readers,
	"POST /api/v1/incidents/:id/first-notice": writers,
	"POST /api/v1/first-notice/approve":       approvers,
	"GET /api/v1/first-notice":                readers,
	"POST /desk/first-notice/approve":         approvers,
	"GET /verify":                             "public",
	"GET /verify/:code":                       "public",
	"POST /verify":                            "public",
	"GET /api/v1/rules":                       readers,
	"POST /api/v1/rules/:name/approve":        approvers,
	"POST /api/v1/rules/:name/stop":           "commander comms approver support",
	"GET /desk/rules":                         readers,
	"POST /desk/rules/:name/approve":          approvers,
	"POST /desk/rules/:name/stop":             "commander comms approver support",
	"GET /api/v1/updates/:id":                 readers,
	"PATCH /api/v1/updates/:id":               writers,
	"GET /api/v1/updates/:id/preview":         readers,
	"POST /api/v1/updates/:id/approve":        approvers + " security", // what waits for that role
	"POST /api/v1/updates/:id/ask":            writers,
	"POST /api/v1/updates/:id/dismiss":        writers,
	"POST /api/v1/updates/:id/publish":        "commander comms",
	"POST /api/v1/updates/:id/read":           approvers,
	"POST /api/v1/updates/:id/retract":        "commander comms",
	"POST /api/v1/updates/:id/go-on":          "commander comms",
	"POST /api/v1/updates/:id/stop":           "commander comms approver support",
	"GET /api/v1/updates/:id/reach":           readers,
	"GET /api/v1/updates/:id/deliveries":      readers,
	"GET /api/v1/updates/:id/readers":         readers,
	"POST /api/v1/updates/:id/outreach":       "commander comms support engineer security",
	"GET /api/v1/updates/:id/texts":           readers,
	"POST /api/v1/updates/:id/texts":          "commander comms",
	"POST /api/v1/updates/:id/texts/approve":  approvers,

	"GET /api/v1/contacts/report":           desks,
	"POST /api/v1/contacts/report":          "commander support",
	"GET /api/v1/contacts/recoverability":   desks,
	"GET /api/v1/contacts/stale":            desks,
	"POST /api/v1/contacts/:id/unmask":      "commander support security",
	"GET /c/:token":                         "public",
	"POST /c/:token":                        "public",
	"GET /card":                             "public",
	"GET /card.vcf":                         "public",
	"POST /api/v1/subscriptions":            "public",
	"POST /api/v1/maintenances":             writers,
	"GET /api/v1/maintenances":              readers,
	"POST /api/v1/maintenances/:id/agree":   approvers,
	"POST /api/v1/maintenances/:id/turn":    writers,
	"POST /api/v1/incidents/:id/freeze":     "commander",
	"POST /api/v1/questions":                writers,
	"GET /api/v1/questions":                 readers,
	"GET /api/v1/questions/:id":             readers,
	"PUT /api/v1/questions/:id":             writers,
	"POST /api/v1/questions/:id/approve":    approvers,
	"POST /api/v1/questions/:id/withdraw":   "commander comms",
	"GET /subscribe":                        "public",
	"POST /subscribe":                       "public",
	"GET /s/:token":                         "public",
	"POST /s/:token":                        "public",
	"GET /s/:token/stop":                    "public",
	"POST /s/:token/stop":                   "public",
	"POST /api/v1/confirmations/:id/unmask": "commander support security",

	"GET /api/v1/incidents/:id/tickets":   desks,
	"POST /api/v1/incidents/:id/classify": "commander",
	"POST /api/v1/tasks/:id/incident":     "commander comms support automation",
	"GET /api/v1/reports/incidents":       everyone,
	"POST /api/v1/signals":                "commander support automation",
	"POST /api/v1/escalations":            "commander support automation",
	"POST /api/v1/tickets/heard":          "commander support automation",
	"GET /api/v1/escalations":             pages,
	"GET /api/v1/escalations/count":       pages,
	"GET /api/v1/calls":                   pages,
	"POST /api/v1/tickets/:number/calls":  "commander support",
	"POST /api/v1/calls/:id/notes":        "commander support",
	"GET /desk/incidents/:id/tickets":     desks,
	"GET /desk/escalations":               pages,
	"POST /desk/escalations":              "commander support",
	"POST /desk/tasks/:id/incident":       writers,

	"POST /api/v1/rotas/:id/changes":   "commander",
	"DELETE /api/v1/rotas/:id/changes": "commander",
	"GET /desk/rota/:id":               pages,
	"POST /desk/rota/:id":              "commander",

	"GET /api/v1/audit":           "security auditor",
	"GET /desk/audit":             "security auditor",
	"GET /api/v1/tasks":           pages,
	"GET /api/v1/tasks/:id":       pages,
	"POST /api/v1/tasks/:id/take": workers,
	"POST /api/v1/tasks/:id/done": workers,
	"POST /api/v1/tasks/:id/drop": workers,
	"GET /desk/tasks":             pages,
	"GET /desk/tasks/:id":         pages,
	"POST /desk/tasks/:id":        workers,

	"POST /api/v1/tickets":                  "public",
	"GET /api/v1/tickets":                   desks,
	"GET /api/v1/tickets/:number":           desks,
	"POST /api/v1/tickets/:number/messages": "commander support",

	"GET /api/v1/tickets/:number/files/:id":       desks,
	"GET /desk/tickets/:number/files/:id":         desks,
	"GET /api/v1/tickets/:number/copy":            desks,
	"GET /desk/tickets/:number/copy":              desks,
	"GET /desk/tickets/:number/files/:id/picture": desks,

	"GET /api/v1/tickets/:number/identity":                     desks,
	"POST /api/v1/tickets/:number/identity/evidence":           "commander support",
	"POST /api/v1/tickets/:number/identity/evidence/:id/agree": "commander support",
	"POST /api/v1/tickets/:number/identity/evidence/:id/void":  "commander support",
	"POST /api/v1/tickets/:number/identity/codes":              "commander support",
	"POST /api/v1/tickets/:number/identity/codes/give":         "commander support",
	"POST /api/v1/tickets/:number/identity/zones":              "commander support",
	"POST /api/v1/tickets/:number/identity/zones/check":        "commander support",
	"POST /desk/tickets/:number/identity":                      "commander support",
	"POST /api/v1/changes/:id/hasten":                          "commander",
	"GET /v/:token":                                            "public",
	"POST /v/:token":                                           "public",

	"GET /api/v1/tickets/:number/accounts":   desks,
	"POST /api/v1/tickets/:number/account":   "commander support",
	"DELETE /api/v1/tickets/:number/account": "commander support",
	"POST /desk/tickets/:number/account":     "commander support",
	"GET /desk/search":                       desks,

	"GET /api/v1/incidents/:id/roles":                 everyone,
	"POST /api/v1/incidents/:id/roles/:role/take":     members,
	"PUT /api/v1/incidents/:id/roles/:role":           "commander",
	"POST /api/v1/incidents/:id/severity":             "commander",
	"POST /api/v1/incidents/:id/meetings":             workers,
	"GET /api/v1/playbooks":                           everyone,
	"GET /api/v1/incidents/:id/playbooks":             everyone,
	"POST /api/v1/incidents/:id/playbooks":            workers,
	"POST /api/v1/incidents/:id/playbooks/:run/steps": workers,
	"GET /desk/incidents/:id/playbooks":               pages,
	"POST /desk/incidents/:id/playbooks":              workers,
	"GET /desk/incidents/:id/team":                    pages,
	"POST /desk/incidents/:id/team":                   members,

	"GET /api/v1/incidents/:id/links":                  everyone,
	"POST /api/v1/incidents/:id/links":                 workers,
	"DELETE /api/v1/incidents/:id/links/:link":         workers,
	"GET /api/v1/incidents/:id/parties":                everyone,
	"POST /api/v1/incidents/:id/parties":               workers,
	"PATCH /api/v1/incidents/:id/parties/:party":       workers,
	"DELETE /api/v1/incidents/:id/parties/:party":      workers,
	"POST /api/v1/incidents/:id/parties/:party/wait":   workers,
	"POST /api/v1/incidents/:id/parties/:party/answer": workers,
	"GET /api/v1/incidents/:id/streams":                everyone,
	"POST /api/v1/incidents/:id/streams":               workers,
	"PATCH /api/v1/incidents/:id/streams/:stream":      workers,
	"GET /api/v1/incidents/:id/streams/:stream/log":    everyone,
	"POST /api/v1/incidents/:id/streams/:stream/log":   workers,
	"GET /desk/incidents/:id/work":                     pages,
	"POST /desk/incidents/:id/work":                    workers,

	"GET /api/v1/levels":                         everyone,
	"POST /api/v1/incidents/:id/raise":           "commander approver engineer",
	"PUT /api/v1/incidents/:id/security-process": "security",
	"POST /desk/incidents/:id/security-process":  "security",
	"GET /api/v1/services":                       everyone,
	"GET /desk/services":                         pages,
	"POST /api/v1/incidents/:id/stage":           "commander comms support automation",
	"POST /desk/incidents/:id/stage":             "commander comms support",
	"POST /api/v1/incidents/:id/recovered":       "commander comms support automation",
	"POST /desk/incidents/:id/recovered":         "commander comms support",
	"POST /desk/incidents/:id/raise":             "commander approver engineer",

	"POST /desk/incidents/:id/classify": "commander",
	"POST /desk/signals":                "commander support",

	"POST /api/v1/tickets/bulk": "commander support",
	"POST /desk/tickets/bulk":   "commander support",

	"GET /api/v1/queues":                   desks,
	"PATCH /api/v1/tickets/:number":        "commander support",
	"POST /api/v1/tickets/:number/solve":   "commander support",
	"POST /api/v1/tickets/:number/merge":   "commander support",
	"DELETE /api/v1/tickets/:number/merge": "commander support",
	"POST /api/v1/tickets/:number/split":   "commander support",
	"DELETE /api/v1/tickets/:number/split": "commander support",
	"GET /api/v1/tickets/:number/macros":   desks,

	"GET /api/v1/tickets/:number/duplicates": desks,

	"POST /api/v1/tickets/:number/presence": "commander support",

	"POST /api/v1/tickets/:number/messages/:id/release": "commander support",

	"GET /desk/accounts/:id":                         desks,
	"POST /desk/accounts/:id/delete":                 "commander support",
	"POST /desk/accounts/:id/restore":                "commander support",
	"POST /desk/accounts/:id/contacts":               "commander support",
	"POST /desk/accounts/:id/roles":                  "commander support",
	"POST /desk/accounts/:id/merge":                  "commander support",
	"GET /desk/import":                               "automation",
	"POST /desk/import":                              "automation",
	"GET /desk/import/:id":                           "automation",
	"GET /desk/import/:id/live":                      "automation",
	"POST /desk/import/:id":                          "automation",
	"GET /desk/stale":                                desks,
	"GET /desk/stale/contacts":                       desks,
	"POST /desk/accounts/:id/unmask":                 "commander support security",
	"GET /desk/conflicts":                            desks,
	"POST /desk/conflicts":                           "commander support",
	"GET /desk/changes":                              changers,
	"POST /desk/changes":                             "commander",
	"GET /desk/changes/:id":                          changers,
	"POST /desk/changes/:id":                         changers,
	"GET /desk/incidents/:id/coverage":               pages,
	"GET /desk/incidents/:id/cohorts":                pages,
	"POST /desk/incidents/:id/cohorts":               "commander engineer",
	"POST /desk/incidents/:id/cohorts/:cohort/close": "commander",

	"POST /api/v1/contacts/imports":              "automation",
	"POST /api/v1/events/product":                "automation",
	"GET /api/v1/contacts/conflicts":             desks,
	"POST /api/v1/contacts/conflicts/decisions":  "commander support",
	"POST /api/v1/contacts/conflicts/reopenings": "commander support",
	"GET /api/v1/accounts":                       desks,
	"GET /api/v1/accounts/:id":                   desks,
	"GET /api/v1/sites/:id/contacts":             desks,
	"POST /api/v1/tokens":                        "",
	"DELETE /api/v1/tokens/:id":                  "",

	"GET /api/v1/tokens":             "",
	"GET /api/v1/sessions":           "",
	"GET /api/v1/staff":              "",
	"POST /api/v1/staff":             "",
	"POST /api/v1/staff/imports":     "",
	"GET /api/v1/staff/:id":          "",
	"PUT /api/v1/staff/:id":          "",
	"POST /api/v1/staff/:id/disable": "",
	"POST /api/v1/staff/:id/enable":  "",
	"POST /api/v1/staff/:id/invite":  "",
	"POST /api/v1/staff/:id/reset":   "",

	"DELETE /api/v1/staff/:id/passkeys/:passkey": "",

	"GET /desk/enrol":           "public",
	"POST /desk/enrol":          "public",
	"GET /desk/account":         pages, // whoever has a session
	"POST /desk/account":        pages,
	"GET /desk/account/passkey": pages,
	"GET /desk/staff":           "",
	"POST /desk/staff":          "",
	"GET /desk/staff/:id":       "",
	"POST /desk/staff/:id":      "",

	"GET /api/v1/rotas":                  pages,
	"POST /api/v1/rotas":                 "commander",
	"PUT /api/v1/rotas/:id":              "commander",
	"DELETE /api/v1/rotas/:id":           "commander",
	"GET /api/v1/rotas/:id/covers":       pages,
	"GET /api/v1/rota":                   pages,
	"GET /api/v1/rota/now":               pages,
	"POST /api/v1/rota/covers":           pages,
	"POST /api/v1/rota/covers/:id/agree": pages,
	"DELETE /api/v1/rota/covers/:id":     pages,
	"POST /api/v1/rota/feed":             pages,
	"GET /rota/:token":                   "public",
	"GET /desk/rota":                     pages,
	"POST /desk/rota":                    pages,

	"GET /api/v1/openapi.json":         "public",
	"GET /support":                     "public",
	"POST /support":                    "public",
	"GET /t/:number":                   "public",
	"POST /t/:number":                  "public",
	"GET /me":                          "public",
	"POST /me":                         "public",
	"POST /me/open":                    "public",
	"POST /me/right":                   "public", // with a visit of her own page, as all below it
	"POST /me/wish":                    "public",
	"POST /me/copy":                    "public",
	"POST /me/amend":                   "public",
	"POST /me/agree":                   "public",
	"POST /me/vouch":                   "public",
	"GET /me/tickets/:other":           "public",
	"GET /me/tickets/:other/files/:id": "public",
	"GET /t/:number/shared/:other":     "public", // with a visit of the ticket, as all below it

	"GET /me/tickets/:other/files/:id/picture":       "public",
	"GET /t/:number/shared/:other/files/:id":         "public",
	"GET /t/:number/shared/:other/files/:id/picture": "public",
	"POST /t/:number/me":                             "public",
	"POST /t/:number/plea":                           "public",
	"POST /t/:number/domain":                         "public",
	"POST /me/leave":                                 "public",
	"GET /t/:number/files/:id":                       "public",
	"GET /t/:number/files/:id/picture":               "public",
	"POST /t/:number/words":                          "public", // with a visit of this ticket, as all below it
	"POST /t/:number/call":                           "public",
	"POST /t/:number/code":                           "public",
	"POST /t/:number/proof":                          "public",
	"POST /t/:number/lost":                           "public",
	"POST /t/:number/secret":                         "public",
	"POST /t/:number/leave":                          "public",
	"POST /t/:number/recovery":                       "public",
	"POST /t/:number/recovery-codes":                 "public",
	"POST /t/:number/works":                          "public",
	"POST /t/:number/copy":                           "public",
	"POST /webhooks/twilio/status":                   "public", // signed by the provider
	"POST /webhooks/twilio/inbound":                  "public", // signed by the provider

	"GET /desk/sign-in":                     "public",
	"POST /desk/sign-in":                    "public",
	"GET /desk/sign-in/single":              "public",
	"GET /desk/sign-in/passkey":             "public",
	"POST /desk/sign-in/passkey":            "public",
	"GET /desk/sign-in/back":                "public",
	"POST /desk/sign-out":                   pages, // whoever has a session
	"GET /desk":                             pages,
	"POST /desk/incidents":                  writers,
	"GET /desk/incidents/:id":               pages,
	"GET /desk/incidents/:id/live":          pages,
	"GET /desk/incidents/:id/sites":         pages,
	"GET /desk/updates/:id/deliveries":      readers,
	"GET /desk/updates/:id/readers":         readers,
	"POST /desk/updates/:id/readers":        "commander comms support engineer security",
	"GET /desk/updates/:id/texts":           readers,
	"POST /desk/updates/:id/texts":          "commander comms",
	"POST /desk/updates/:id/texts/approve":  approvers,
	"POST /desk/incidents/:id/first-notice": writers,
	"GET /desk/incidents/:id/editor":        readers,
	"POST /desk/incidents/:id/editor":       writers,
	"PUT /desk/incidents/:id/copy":          writers,
	"POST /desk/updates/:id/approve":        approvers + " security", // what waits for that role
	"POST /desk/updates/:id/ask":            writers,
	"POST /desk/updates/:id/dismiss":        writers,
	"POST /desk/updates/:id/publish":        "commander comms",
	"POST /desk/updates/:id/read":           approvers,
	"POST /desk/updates/:id/retract":        "commander comms",
	"POST /desk/updates/:id/go-on":          "commander comms",
	"POST /desk/updates/:id/stop":           "commander comms approver support",
	"GET /desk/maintenances":                readers,
	"POST /desk/maintenances":               writers,
	"GET /desk/maintenances/:id":            readers,
	"POST /desk/maintenances/:id/agree":     approvers,
	"POST /desk/maintenances/:id/turn":      writers,
	"GET /desk/preview":                     readers,
	"GET /desk/questions":                   readers,
	"POST /desk/questions":                  writers,
	"GET /desk/questions/:id":               readers,
	"POST /desk/questions/:id":              writers,
	"POST /desk/questions/:id/approve":      approvers,
	"POST /desk/questions/:id/withdraw":     "commander comms",
	"GET /desk/tickets":                     desks,
	"GET /desk/tickets/:number":             desks,
	"POST /desk/tickets/:number":            "commander support",
	"POST /desk/tickets/:number/presence":   "commander support",

	"GET /api/v1/checks":                        everyone,
	"POST /api/v1/checks/claim":                 checkers,
	"GET /api/v1/checks/:id":                    everyone,
	"POST /api/v1/checks/:id/heartbeat":         checkers,
	"POST /api/v1/checks/:id/submit":            checkers,
	"POST /api/v1/checks/:id/release":           checkers,
	"POST /api/v1/checks/:id/hand-over":         checkers,
	"POST /api/v1/checks/:id/reassign":          checkers,
	"POST /api/v1/checks/:id/unblock":           checkers,
	"POST /api/v1/checks/:id/one-check":         checkers,
	"POST /api/v1/checks/:id/again":             checkers,
	"POST /api/v1/checks/:id/probes":            "commander engineer automation",
	"GET /api/v1/incidents/:id/checks/figures":  everyone,
	"GET /api/v1/checklists":                    everyone,
	"POST /api/v1/checklists":                   "commander",
	"GET /api/v1/checklists/versions":           everyone,
	"GET /api/v1/checklists/difference":         everyone,
	"GET /desk/checklists":                      pages,
	"POST /desk/checklists":                     "commander",
	"GET /api/v1/incidents/:id/steps":           everyone,
	"POST /api/v1/incidents/:id/steps":          "commander engineer automation",
	"GET /api/v1/incidents/:id/losses":          everyone,
	"GET /api/v1/incidents/:id/targets":         everyone,
	"POST /api/v1/incidents/:id/point-audit":    "commander",
	"GET /api/v1/incidents/:id/batches":         everyone,
	"PUT /api/v1/incidents/:id/batches":         "commander",
	"POST /api/v1/incidents/:id/batches/except": checkers,
	"POST /api/v1/incidents/:id/batches/close":  checkers,
	"POST /api/v1/incidents/:id/handoffs":       workers,
	"GET /api/v1/incidents/:id/handoffs":        everyone,
	"GET /api/v1/handoffs/:id":                  everyone,
	"PUT /api/v1/handoffs/:id":                  workers,
	"POST /api/v1/handoffs/:id/acknowledge":     workers,
	"GET /desk/checks":                          pages,
	"POST /desk/checks/claim":                   checkers,
	"GET /desk/checks/:id":                      pages,
	"PUT /desk/checks/:id/run":                  checkers,
	"POST /desk/checks/:id":                     checkers,
	"POST /desk/incidents/:id/handoffs":         workers,
	"GET /desk/handoffs/:id":                    pages,
	"POST /desk/handoffs/:id":                   workers,
	"GET /y/:token":                             "public",
	"POST /y/:token":                            "public",
	"POST /y/:token/code":                       "public",
	"POST /y/:token/read":                       "public",
	"GET /b/:token":                             "public",
	"POST /b/:token":                            "public",
	"POST /t/:number/site":                      "public",

	"GET /api/v1/contacts/export":          "commander",
	"POST /api/v1/changes":                 "commander support",
	"GET /api/v1/changes":                  "commander comms approver support security auditor",
	"GET /api/v1/changes/:id":              "commander comms approver support security auditor",
	"POST /api/v1/changes/:id/approve":     approvers,
	"POST /api/v1/changes/:id/refuse":      "commander comms approver support security auditor", // but for the author only who may approve
	"POST /api/v1/changes/:id/pause":       "commander support",
	"POST /api/v1/changes/:id/run":         "commander support",
	"POST /api/v1/changes/:id/undo":        "commander support",
	"DELETE /api/v1/accounts/:id":          "commander support",
	"POST /api/v1/accounts/:id/restore":    "commander support",
	"DELETE /api/v1/contacts/:id":          "commander support",
	"POST /api/v1/contacts/:id/restore":    "commander support",
	"DELETE /api/v1/tickets/:number":       "commander support",
	"POST /api/v1/tickets/:number/restore": "commander support",
}

const (
	everyone  = "commander comms approver support engineer security automation auditor"
	pages     = "commander comms approver support engineer security auditor"
	readers   = "commander comms approver support engineer security auditor"
	writers   = "commander comms support"
	approvers = "commander approver"
	checkers  = "support engineer"
	workers   = "commander comms support engineer security"
	members   = "commander comms approver support engineer security"
	changers  = "commander comms approver support security auditor"
	desks     = "commander comms support security auditor"
)

func TestEveryRouteByEveryRole(t *testing.T) {
	t.Parallel()
	h := open(t)
	cookies := map[auth.Role]*http.Cookie{}
	tokens := map[auth.Role]string{}
	for _, role := range auth.Roles() {
		if role != auth.Automation { // a program has no browser
			cookies[role], tokens[role] = h.signIn(role)
		}
	}
	seen := map[string]bool{}
	for _, r := range h.routes() {
		name := r.method + " " + r.path
		who, known := mayUse[name]
		if !known {
			t.Errorf("nobody has said who may use %s", name)
			continue
		}
		seen[name] = true
		path := strings.NewReplacer(":id", "inc_0190b0f0-0000-7000-8000-000000000000", ":number", "000-000-000").Replace(r.path)
		staffPage := r.path == "/desk" || strings.HasPrefix(r.path, "/desk/")
		stranger := h.do(ask{method: r.method, path: path})
		switch {
		case who == "public":
			if s := stranger.StatusCode; s == 401 && path != "/desk/sign-in" || s == 403 && !strings.HasPrefix(path, "/webhooks/") {
				t.Errorf("a stranger gets %d of %s", s, name)
			}
			continue
		case staffPage:
			if stranger.StatusCode != 303 || stranger.Header.Get("Location") != "/desk/sign-in" {
				t.Errorf("a stranger gets %d of %s, and is not sent to sign in", stranger.StatusCode, name)
			}
		case stranger.StatusCode != 401 || stranger.Header.Get("WWW-Authenticate") == "":
			t.Errorf("a stranger gets %d of %s", stranger.StatusCode, name)
		}
		if r.path == "/desk/sign-out" { // it would end the sessions of this test
			continue
		}
		for _, role := range auth.Roles() {
			a := ask{as: role, method: r.method, path: path}
			if staffPage && cookies[role] == nil {
				continue
			}
			if staffPage {
				a = ask{method: r.method, path: path, header: map[string]string{"Cookie": cookies[role].String(), "X-CSRF-Token": tokens[role], "Origin": h.URL}}
			}
			may := slices.Contains(strings.Fields(who), string(role))
			if role == auth.Admin {
				may = !strings.Contains(r.path, "/security-")
			}
			got := h.do(a)
			switch refused := got.StatusCode == 403; {
			case got.StatusCode == 401 || got.StatusCode == 303 && got.Header.Get("Location") == "/desk/sign-in" || got.StatusCode >= 500:
				t.Errorf("%s, %s: %d\n%s", role, name, got.StatusCode, got.body)
			case may && refused:
				t.Errorf("%s may not %s\n%s", role, name, got.body)
			case !may && !refused:
				t.Errorf("%s may %s: %d", role, name, got.StatusCode)
			case staffPage && got.StatusCode == 200 && bytes.Contains(got.body, []byte("<html")) && !bytes.Contains(got.body, []byte(`action="/desk/sign-out"`)):
				t.Errorf("%s cannot sign out at %s", role, name)
			}
		}
	}
	for name := range mayUse {
		if !seen[name] {
			t.Errorf("there is no route %s", name)
		}
	}
}

// signIn opens a browser session and gives its cookie and the token of its forms.
func (h *house) signIn(role auth.Role) (*http.Cookie, string) {
	h.Helper()
	link, err := h.Gate.Link(context.Background(), auth.OperatorID, auth.Grantee{Role: role, Name: "The " + string(role)}, h.URL)
	if err != nil {
		h.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil {
		h.Fatal(err)
	}
	_, value, err := h.Gate.Open(context.Background(), u.Query().Get(auth.LinkParam))
	if err != nil {
		h.Fatal(err)
	}
	_, csrf, err := h.Gate.Session(context.Background(), value)
	if err != nil {
		h.Fatal(err)
	}
	return &http.Cookie{Name: h.cookie(), Value: value}, csrf
}
