package portal

import (
	"context"
	"slices"

	"lifeline/comms"
	"lifeline/portal/auth"
)

// Services: what each is held to, who answers for it, and whether those are people who are here.

// The states of a duty.
const (
	dutyNamed   = "named"
	dutyMissing = "missing" // nobody is named
	dutyNobody  = "nobody"  // who is named has no account, or none that is open
	dutyShared  = "shared"  // she has it, or another one, elsewhere as well, so she is not dedicated to it
)

type dutyAnswer struct {
	comms.Charge
	ID    string `json:"person_id"` // of her account; "": nobody's
	Name  string `json:"name"`
	State string `json:"state"` // named, missing, nobody, shared
}

type serviceAnswer struct {
	comms.Service
	Duties []dutyAnswer `json:"duties"`
	Ready  bool         `json:"ready"` // it has an owner, and each duty somebody of her own
}

// Services are the services of the policy with who answers for each. How an incident of those that are closed went is not said.
func (p *Portal) Services(ctx context.Context, closed map[string]bool) ([]serviceAnswer, error) {
	services, err := p.Comms.Services(ctx, closed)
	if err != nil {
		return nil, err
	}
	var who []string
	for _, s := range services {
		for _, d := range s.Duties {
			who = append(who, d.Person)
		}
	}
	accounts, err := p.Gate.Accounts(ctx, who...)
	if err != nil {
		return nil, err
	}
	return staffed(services, accounts), nil
}

// staffed judges the duties of services, where it is known whose account each name is. Whoever leads may lead several services; the others are dedicated.
func staffed(services []comms.Service, accounts map[string]auth.Member) []serviceAnswer {
	held := map[string]int{} // by account: how many duties
	for _, s := range services {
		for _, d := range s.Duties {
			if m, is := accounts[d.Person]; is && d.Duty != comms.DutyLead {
				held[m.ID]++
			}
		}
	}
	all := []serviceAnswer{}
	for _, s := range services {
		a := serviceAnswer{Service: s, Duties: []dutyAnswer{}, Ready: s.Owner != ""}
		for _, d := range s.Duties {
			m, known := accounts[d.Person]
			one := dutyAnswer{Charge: d, ID: m.ID, Name: d.Person, State: dutyNamed}
			switch {
			case d.Person == "":
				one.State = dutyMissing
			case !known:
				one.State = dutyNobody
			case d.Duty != comms.DutyLead && held[m.ID] > 1 || d.Duty == comms.DutyLead && held[m.ID] > 0:
				one.State = dutyShared
			}
			if known {
				one.Name = m.Name
			}
			a.Ready = a.Ready && one.State == dutyNamed
			a.Duties = append(a.Duties, one)
		}
		all = append(all, a)
	}
	return all
}

// Nobodies are those whom the policy names and who have no account that is open, each with where it names them.
func (p *Portal) Nobodies(ctx context.Context) ([]comms.Named, error) {
	named := p.Comms.Policy.Named()
	var who []string
	for _, n := range named {
		who = append(who, n.Person)
	}
	accounts, err := p.Gate.Accounts(ctx, who...)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(named, func(n comms.Named) bool {
		m, known := accounts[n.Person]
		return known && (!n.ID || m.ID == n.Person)
	}), nil
}

func (p *Portal) serviceRoutes() []route {
	return []route{
		{method: "GET", path: "/api/v1/services", right: auth.IncidentRead, tag: "incidents", summary: "the services of the policy: tier, targets, owner, who champions the recovery of each, keeps it running and leads, and how the last incident went", answer: list[serviceAnswer]{}, do: func(k *call) error {
			closed, err := k.closedTo()
			if err != nil {
				return err
			}
			all, err := p.Services(k.UserContext(), closed)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, list[serviceAnswer]{Items: all})
		}},
		{method: "GET", path: "/desk/services", page: true, right: auth.IncidentRead, do: func(k *call) error {
			v := servicesView{shell: k.shell("desk.services")}
			closed, err := k.closedTo()
			if err != nil {
				return err
			}
			if v.Services, err = p.Services(k.UserContext(), closed); err != nil {
				return err
			}
			return p.render(k.Ctx, 200, "desk_services", v)
		}},
	}
}

type servicesView struct {
	shell
	Services []serviceAnswer
}

// Red is how many services lack something.
func (v servicesView) Red() (n int) {
	for _, s := range v.Services {
		if !s.Ready {
			n++
		}
	}
	return n
}
