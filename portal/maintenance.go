package portal

import (
	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store"
)

// planAnswer is planned work, with where it stands.
type planAnswer struct {
	object
	State string `json:"state"`
	comms.Maintenance
}

type turnBody struct {
	What string `json:"what"` // held, resumed, cancelled, ended
	comms.TurnWords
}

type freezeBody struct {
	On     bool   `json:"on"`
	Reason string `json:"reason"`
}

func (p *Portal) planAnswer(rec store.Rec[comms.Maintenance]) planAnswer {
	return planAnswer{objectOf(rec.Meta), rec.Value.State(p.DB.Now()), rec.Value}
}

func (p *Portal) maintenanceRoutes() []route {
	const base = "/api/v1/maintenances"
	return []route{
		{method: "POST", path: base, right: auth.UpdateWrite, tag: "maintenance", summary: "plan work; nobody is told before a second person agrees", needs: []string{"title", "text", "components", "from", "until"}, status: 201,
			body: comms.Plan{}, answer: planAnswer{}, do: func(k *call) error {
				var in comms.Plan
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				rec, err := p.Comms.PlanMaintenance(k.UserContext(), k.person.ID, in)
				if err != nil {
					return err
				}
				return send(k.Ctx, fiber.StatusCreated, p.planAnswer(rec))
			}},
		{method: "GET", path: base, right: auth.UpdateRead, tag: "maintenance", summary: "planned work, drafts among it, the latest window first", query: []string{"after", "limit"}, answer: list[planAnswer]{}, do: func(k *call) error {
			limit, err := limitParam(k.Ctx)
			if err != nil {
				return err
			}
			page, next, err := p.Comms.Maintenances(k.UserContext(), k.Query("after"), limit)
			if err != nil {
				return err
			}
			return sendList(k, page, next, p.planAnswer)
		}},
		{method: "POST", path: base + "/:id/agree", right: auth.UpdateApprove, tag: "maintenance", summary: "a second person's word: the page shows the plan, and subscribers are told", body: struct{}{}, answer: planAnswer{}, do: func(k *call) error {
			rec, err := k.agreePlan()
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, p.planAnswer(rec))
		}},
		{method: "POST", path: base + "/:id/turn", right: auth.UpdateWrite, tag: "maintenance", summary: "hold a plan, let it go on, cancel it, or end it early", needs: []string{"what", "reason"}, body: turnBody{}, answer: planAnswer{}, do: func(k *call) error {
			var in turnBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, err := p.Comms.TurnMaintenance(k.UserContext(), k.person.ID, k.Params("id"), in.What, in.TurnWords)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, p.planAnswer(rec))
		}},
		{method: "POST", path: "/api/v1/incidents/:id/freeze", right: auth.IncidentEdit, tag: "incidents", summary: "forbid planned changes while a P0 or P1 is open, which holds every plan that has not begun; or allow them again", needs: []string{"on", "reason"},
			body: freezeBody{}, answer: incidentAnswer{}, do: func(k *call) error {
				var in freezeBody
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				rec, err := p.Comms.Freeze(k.UserContext(), k.person.ID, k.Params("id"), in.On, in.Reason)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, p.incident(rec))
			}},
	}
}

// agreePlan gives a second person's word for planned work.
func (k *call) agreePlan() (rec store.Rec[comms.Maintenance], err error) {
	if err := k.p.Gate.MayApprove(k.UserContext(), k.person); err != nil {
		return rec, err
	}
	return k.p.Comms.AgreeMaintenance(k.UserContext(), k.person.ID, k.Params("id"))
}
