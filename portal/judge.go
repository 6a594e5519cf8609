package portal

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store/fault"
)

// How bad something is: what belongs to each level, the six facts on which an incident is classified, and who may make it graver.

type levelAnswer struct {
	Level string            `json:"level"`
	Text  map[string]string `json:"text"` // by language
}

type raiseBody struct {
	Severity string `json:"severity"`
	Reason   string `json:"reason"`
}

func (p *Portal) judgeRoutes() []route {
	const api, page = "/api/v1/incidents/:id", "/desk/incidents/:id"
	return []route{
		{method: "GET", path: "/api/v1/levels", right: auth.IncidentRead, tag: "incidents", summary: "what belongs to each level, as the policy defines it; what nobody has judged is P3", answer: list[levelAnswer]{}, do: func(k *call) error {
			all := list[levelAnswer]{}
			for _, level := range comms.Severities() {
				all.Items = append(all.Items, levelAnswer{level, p.Comms.Policy.Levels[level]})
			}
			return send(k.Ctx, 200, all)
		}},
		{method: "POST", path: api + "/raise", right: auth.IncidentRaise, seenTo: []auth.Grant{auth.WithReason}, tag: "incidents", summary: "make it graver by judgement; the reason is kept", needs: []string{"severity", "reason"},
			body: raiseBody{}, answer: incidentAnswer{}, do: func(k *call) error {
				var in raiseBody
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				version, err := k.ifMatch()
				if err != nil {
					return err
				}
				rec, err := p.Comms.Raise(k.UserContext(), k.person.ID, k.Params("id"), version, in.Severity, in.Reason)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, p.incident(rec))
			}},
		{method: "POST", path: page + "/raise", page: true, right: auth.IncidentRaise, seenTo: []auth.Grant{auth.WithReason}, do: func(k *call) error {
			_, err := p.Comms.Raise(k.UserContext(), k.person.ID, k.Params("id"), 0, k.FormValue("severity"), k.FormValue("reason"))
			return k.backToRoom(err)
		}},
		{method: "POST", path: page + "/classify", page: true, right: auth.IncidentEdit, do: (*call).classifyForm},
		{method: "POST", path: "/desk/signals", page: true, right: auth.TicketFile, do: func(k *call) error {
			if _, err := p.Desk.LogSignal(k.UserContext(), k.person.ID, desk.Signal{Words: k.FormValue("words"), Link: k.FormValue("link")}); err != nil {
				return k.escalations(problemOf(err).Status, desk.Heard{}, err)
			}
			return k.Redirect("/desk/escalations?signal=1", fiber.StatusSeeOther)
		}},
	}
}

// backToRoom shows the room of an incident again, with what was refused.
func (k *call) backToRoom(err error) error {
	if err != nil {
		return k.room(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/incidents/"+k.Params("id"), fiber.StatusSeeOther)
}

func (k *call) classifyForm() error {
	in := comms.Classify{FoundBy: k.FormValue("found_by"), Customer: k.FormValue("customer"), System: k.FormValue("system"), ScopeEstimate: k.FormValue("scope_estimate"),
		Impact: k.FormValue("impact"), Severity: k.FormValue("severity"), Category: k.FormValue("category"), Reason: k.FormValue("reason")}
	if typed := strings.TrimSpace(k.FormValue("detected_at")); typed != "" {
		at, err := time.Parse(minuteForm, typed)
		if err != nil {
			return k.backToRoom(fault.BadField("detected_at", "must be a time such as 2022-04-05T08:00"))
		}
		in.DetectedAt = &at
	}
	if err := k.mayRecategorise(in.Category); err != nil {
		return k.backToRoom(err)
	}
	_, err := k.p.Comms.Classify(k.UserContext(), k.person.ID, k.Params("id"), 0, in)
	return k.backToRoom(err)
}

// minuteForm is how a browser sends a time, here always in UTC.
const minuteForm = "2006-01-02T15:04"

// levelShown is what belongs to a level.
type levelShown struct{ Level, Says string }

// Levels are what belongs to each level, wherever one is chosen.
func (s shell) Levels() (all []levelShown) {
	for _, level := range comms.Severities() {
		all = append(all, levelShown{level, s.says(level, s.Words.Locale())})
	}
	return all
}

// judged is an incident as the forms of its room show it: as it stands, or as it was typed.
type judged struct {
	Form                  map[string]string
	Severities, FoundBys  []string
	Categories            []string
	Called                func(string) string
	Graver                []string // levels that are graver than its own
	MayRaise, MayClassify bool
}

func (k *call) judged(in comms.Incident) judged {
	j := judged{Severities: comms.Severities(), FoundBys: comms.FoundBys(), Categories: k.p.Comms.Policy.Categories, Called: k.p.Comms.Policy.CategoryName,
		MayRaise: k.person.Can(auth.IncidentRaise, auth.WithReason) == nil, MayClassify: k.person.Can(auth.IncidentEdit) == nil,
		Form: map[string]string{"found_by": in.FoundBy, "customer": in.Customer, "system": in.System, "scope_estimate": in.ScopeEstimate, "impact": in.Impact, "severity": in.Severity,
			"category": in.Category, "detected_at": in.DetectedAt.UTC().Format(minuteForm)}}
	for _, level := range j.Severities {
		if level < in.Severity {
			j.Graver = append(j.Graver, level)
		}
	}
	if k.Method() == fiber.MethodPost {
		for name := range j.Form {
			if typed := k.FormValue(name); typed != "" {
				j.Form[name] = typed
			}
		}
		j.Form["reason"] = k.FormValue("reason")
	}
	return j
}
