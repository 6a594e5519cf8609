package portal

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// A security incident, with its updates, tickets and tasks, is read by the security role and by whoever is named in it.

// letIn keeps everybody else out of what the path names. A program that writes what it has found reads nothing by it.
func (k *call) letIn(r route) error {
	if k.person.Can(auth.SecurityRead) == nil || k.person.Role == auth.Automation && r.method != fiber.MethodGet {
		return nil
	}
	id := k.Params("id")
	if number := k.Params("number"); number != "" && strings.Contains(r.path, "/tickets/") {
		var err error
		if id, err = k.p.Desk.IncidentOf(k.UserContext(), number); err != nil {
			return err
		}
	}
	if id == "" {
		return nil
	}
	open, err := k.p.Comms.Opens(k.UserContext(), id, k.person.ID)
	if err != nil || open {
		return err
	}
	return fault.New(fault.Forbidden, "this belongs to a security incident: it is read by the security role and by whoever is named in it")
}

// closedTo are the incidents that she may not read.
func (k *call) closedTo() (map[string]bool, error) {
	if k.person.Can(auth.SecurityRead) == nil {
		return nil, nil
	}
	return k.p.Comms.ClosedTo(k.UserContext(), k.person.ID)
}

// openTo leaves out of a page of a list what belongs to an incident that she may not read.
func openTo[T any](k *call, page []store.Rec[T], incident func(store.Rec[T]) string) ([]store.Rec[T], error) {
	closed, err := k.closedTo()
	if err != nil || len(closed) == 0 {
		return page, err
	}
	return slices.DeleteFunc(page, func(rec store.Rec[T]) bool { return closed[incident(rec)] }), nil
}

func itself(rec store.Rec[comms.Incident]) string { return rec.ID }

func ofTask(rec store.Rec[comms.Task]) string { return rec.Value.Incident }

func ofTicket(rec store.Rec[desk.Ticket]) string { return rec.Value.Incident }

// approve is a second person's word for an update. The security role has it for what waits for that role, and for nothing else.
func (k *call) approve() (store.Approval, error) {
	ctx, id := k.UserContext(), k.Params("id")
	if refused := k.person.Can(auth.UpdateApprove); refused != nil {
		needs, err := k.p.Comms.NeedsSecurity(ctx, id)
		if err != nil || !needs {
			if err == nil {
				err = refused
			}
			return store.Approval{}, err
		}
	}
	if err := k.p.Gate.MayApprove(ctx, k.person, auth.SecurityTexts); err != nil {
		return store.Approval{}, err
	}
	if k.person.Can(auth.SecuritySet) == nil {
		return k.p.Comms.ApproveSecurity(ctx, k.person.ID, id)
	}
	return k.p.Comms.Approve(ctx, k.person.ID, id)
}

// mayRecategorise keeps a security incident one until the security role says otherwise: another category would open it to everybody.
func (k *call) mayRecategorise(category string) error {
	if category == "" || category == comms.CategorySecurity {
		return nil
	}
	rec, err := k.p.Comms.Incident(k.UserContext(), k.Params("id"))
	if err != nil || !rec.Value.Confined() {
		return err
	}
	return k.person.Can(auth.SecuritySet)
}

func (p *Portal) confinedRoutes() []route {
	return []route{
		{method: "PUT", path: "/api/v1/incidents/:id/security-process", right: auth.SecuritySet, tag: "incidents", summary: "record where the security team goes on with a security incident: their number of it, and its address", needs: []string{"reference"}, body: comms.SecurityProcess{}, answer: incidentAnswer{}, do: func(k *call) error {
			var in comms.SecurityProcess
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, err := p.Comms.FollowSecurity(k.UserContext(), k.person.ID, k.Params("id"), in)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, p.incident(rec))
		}},
		{method: "POST", path: "/desk/incidents/:id/security-process", page: true, right: auth.SecuritySet, do: func(k *call) error {
			_, err := p.Comms.FollowSecurity(k.UserContext(), k.person.ID, k.Params("id"), comms.SecurityProcess{Reference: k.FormValue("reference"), URL: k.FormValue("url")})
			return k.backToRoom(err)
		}},
	}
}
