package portal

import (
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store"
)

// A record moves from event to alert, incident, problem and major problem. Until it is declared it has a page of its own, for nothing that is done in an
// incident can be done in it.

type recoveredBody struct {
	At     time.Time `json:"at"` // when the condition was over; none: now
	Reason string    `json:"reason"`
}

func (p *Portal) stageRoutes() []route {
	const api, page = "/api/v1/incidents/:id", "/desk/incidents/:id"
	return []route{
		{method: "POST", path: api + "/stage", right: auth.IncidentDeclare, tag: "incidents", summary: "move a record from event to alert, incident, problem or major_problem; a step over one, and one down, as far as what was declared stays declared. Only who may change an incident makes it a problem", needs: []string{"stage", "reason"}, body: comms.StageForm{}, answer: incidentAnswer{}, do: func(k *call) error {
			var in comms.StageForm
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			version, err := k.ifMatch()
			if err != nil {
				return err
			}
			rec, err := k.moveStage(version, in)
			if err != nil {
				return err
			}
			return send(k.Ctx, fiber.StatusOK, p.incident(rec))
		}},
		{method: "POST", path: api + "/recovered", right: auth.IncidentDeclare, tag: "incidents", summary: "close an event or an alert that passed before anybody confirmed it; how long it lasted is measured", needs: []string{"reason"}, body: recoveredBody{}, answer: incidentAnswer{}, do: func(k *call) error {
			var in recoveredBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, err := p.Comms.Recover(k.UserContext(), k.person.ID, k.Params("id"), in.At, in.Reason)
			if err != nil {
				return err
			}
			return send(k.Ctx, fiber.StatusOK, p.incident(rec))
		}},
		{method: "POST", path: page + "/stage", page: true, right: auth.IncidentDeclare, do: func(k *call) error {
			_, err := k.moveStage(0, comms.StageForm{Stage: k.FormValue("stage"), Reason: k.FormValue("reason"), Severity: k.FormValue("severity"), Category: k.FormValue("category"),
				Impact: k.FormValue("impact"), Incidents: splitList(k.FormValue("incidents"), ",")})
			return k.backToRoom(err)
		}},
		{method: "POST", path: page + "/recovered", page: true, right: auth.IncidentDeclare, do: func(k *call) error {
			_, err := p.Comms.Recover(k.UserContext(), k.person.ID, k.Params("id"), time.Time{}, k.FormValue("reason"))
			return k.backToRoom(err)
		}},
	}
}

// moveStage moves a record on. What is over is the commander's to reopen as a problem.
func (k *call) moveStage(version int64, in comms.StageForm) (rec store.Rec[comms.Incident], err error) {
	if rec, err = k.p.Comms.Incident(k.UserContext(), k.Params("id")); err != nil {
		return rec, err
	}
	if !rec.Value.Undeclared() {
		if err := k.person.Can(auth.IncidentEdit); err != nil {
			return rec, err
		}
	}
	return k.p.Comms.MoveStage(k.UserContext(), k.person.ID, rec.ID, version, in)
}

// watchedView is the page of an event or an alert.
type watchedView struct {
	shell
	stageForm
	Incident incidentAnswer
	Log      []entryAnswer
}

// stageForm is what moves a record on, with what was typed and is refused.
type stageForm struct {
	Stages     []string // that it can go to
	Typed      map[string]string
	Severities []string
	Categories []string
	Called     func(string) string
	MayStage   bool
	Undeclared bool
}

func (k *call) stageForm(in comms.Incident) stageForm {
	f := stageForm{Typed: map[string]string{}, Severities: comms.Severities(), Categories: k.p.Comms.Policy.Categories, Called: k.p.Comms.Policy.CategoryName, Undeclared: in.Undeclared()}
	right := auth.IncidentEdit
	if in.Undeclared() {
		right = auth.IncidentDeclare
	}
	f.MayStage = k.person.Can(right) == nil
	for _, stage := range comms.RecordStages() {
		if in.MayBecome(stage) {
			f.Stages = append(f.Stages, stage)
		}
	}
	for _, field := range []string{"stage", "reason", "severity", "category", "impact", "incidents"} {
		f.Typed[field] = k.FormValue(field)
	}
	return f
}

// Steps are the stages that a form offers: of what is not declared, the declaration has a form of its own.
func (f stageForm) Steps() []string {
	if f.Undeclared {
		return slices.DeleteFunc(slices.Clone(f.Stages), func(s string) bool { return s == comms.RecordIncident })
	}
	return f.Stages
}

func (k *call) watched(status int, rec store.Rec[comms.Incident], refused error) error {
	v := watchedView{shell: k.shell("desk.room"), stageForm: k.stageForm(rec.Value), Incident: k.p.incident(rec)}
	v.Title = rec.Value.Title
	if refused != nil {
		v.refused(refused)
	}
	log, err := k.p.Comms.NotesOf(k.UserContext(), rec.ID)
	if err != nil {
		return err
	}
	if v.Log, err = k.read(log); err != nil {
		return err
	}
	return k.p.render(k.Ctx, status, "desk_watched", v)
}
