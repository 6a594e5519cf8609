package portal

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/contacts"
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
	named := []string{k.Query("incident")}
	switch {
	case strings.Contains(r.path, "/tickets/:number"):
		named = append(named, k.Params("number"))
	case strings.Contains(r.path, "/changes/:id"):
		return k.letIntoChange()
	case k.Params("id") != "":
		named = append(named, k.Params("id"))
	}
	return k.open(named...)
}

// open refuses what ids are of, when that is a security incident, or belongs to one, that she may not read: a ticket by its number, and the rest by their ids.
func (k *call) open(ids ...string) error {
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == "" })
	if len(ids) == 0 || k.person.Can(auth.SecurityRead) == nil {
		return nil
	}
	open, err := k.p.Desk.Opens(k.UserContext(), k.person.ID, ids...)
	if err != nil || open {
		return err
	}
	return errConfined
}

var errConfined = fault.New(fault.Forbidden, "this belongs to a security incident: it is read by the security role and by whoever is named in it")

// letIntoChange keeps her out of a change of tickets of which she may not read one: its dry run shows what is in them.
func (k *call) letIntoChange() error {
	rec, err := k.p.Changes.Change(k.UserContext(), k.Params("id"))
	if fault.Of(err) == fault.NotFound || fault.Of(err) == fault.Invalid {
		return nil // which is said by whoever reads it
	}
	if err != nil {
		return err
	}
	return k.openAll(rec.Value.Verb, rec.Value.Input)
}

// openAll refuses a change, or a proposal of one, that is of tickets of which she may not read one.
func (k *call) openAll(verb string, input json.RawMessage) error {
	closed, err := k.closedTo()
	if err != nil || len(closed) == 0 {
		return err
	}
	is, err := k.p.Desk.ChangesAny(k.UserContext(), closed, verb, input)
	if err == nil && is {
		err = errConfined
	}
	return err
}

// changes is a page of the changes that she may read, the newest first.
func (k *call) changes(state contacts.ChangeState, q store.Query) (page []store.Rec[contacts.Change], next string, err error) {
	closed, err := k.closedTo()
	if err != nil {
		return nil, "", err
	}
	if page, next, err = k.p.Changes.List(k.UserContext(), state, q); err != nil || len(closed) == 0 {
		return page, next, err
	}
	page = slices.DeleteFunc(page, func(rec store.Rec[contacts.Change]) bool {
		is, failed := k.p.Desk.ChangesAny(k.UserContext(), closed, rec.Value.Verb, rec.Value.Input)
		err = cmp.Or(err, failed)
		return is
	})
	return page, next, err
}

// closedTo are the incidents that she may not read.
func (k *call) closedTo() (map[string]bool, error) {
	if k.person.Can(auth.SecurityRead) == nil {
		return nil, nil
	}
	return k.p.Comms.ClosedTo(k.UserContext(), k.person.ID)
}

// openTo leaves out of a page of a list what belongs to an incident that she may not read.
func openTo[T any](k *call, page []T, incident func(T) string) ([]T, error) {
	closed, err := k.closedTo()
	if err != nil {
		return nil, err
	}
	return leaveOut(closed, page, incident), nil
}

// leaveOut leaves out what belongs to closed incidents.
func leaveOut[T any](closed map[string]bool, page []T, incident func(T) string) []T {
	if len(closed) == 0 {
		return page
	}
	return slices.DeleteFunc(page, func(one T) bool { return closed[incident(one)] })
}

// incidents is a page of the incidents that she may read, the newest first.
func (k *call) incidents(state, after string, limit int) (page []store.Rec[comms.Incident], next string, err error) {
	page, next, err = k.p.Comms.Incidents(k.UserContext(), state, after, limit)
	if err == nil {
		page, err = openTo(k, page, itself)
	}
	return page, next, err
}

// customer is what is known of an account (our id), and workOn what is done for it, as far as she may read the incidents that it is of.
func (k *call) customer(account string) (c comms.Customer, err error) {
	closed, err := k.closedTo()
	if err == nil {
		c, err = k.p.Comms.Customer(k.UserContext(), account)
	}
	c.Places = leaveOut(closed, c.Places, func(p comms.Place) string { return p.Incident })
	c.Said = leaveOut(closed, c.Said, func(w comms.Word) string { return w.Incident })
	c.Tasks = leaveOut(closed, c.Tasks, ofTask)
	return c, err
}

func (k *call) workOn(account, after string) (w desk.Work, err error) {
	closed, err := k.closedTo()
	if err == nil {
		w, err = k.p.Desk.WorkOf(k.UserContext(), account, after)
	}
	w.Tickets = leaveOut(closed, w.Tickets, ofTicket)
	w.Tasks, w.Escalations, w.Calls = leaveOut(closed, w.Tasks, ofTask), leaveOut(closed, w.Escalations, ofTask), leaveOut(closed, w.Calls, ofTask)
	return w, err
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
