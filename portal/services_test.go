package portal

import (
	"context"
	"fmt"
	"testing"

	"lifeline/comms"
	"lifeline/portal/auth"
)

// A service is ready when it has an owner and each duty somebody of its own with an open account; what lacks is seen at once, and whom the policy names in vain
// is known at start.
func TestServicesAndTheirPeople(t *testing.T) {
	h := open(t)
	ids := h.staffed(auth.Newcomer{Name: "Amy Poe", Profile: auth.Profile{Email: "amy@vendor.example", Roles: []auth.Role{auth.Engineer}}},
		auth.Newcomer{Name: "Eve Kay", Profile: auth.Profile{Email: "eve@vendor.example", Roles: []auth.Role{auth.Engineer}}},
		auth.Newcomer{Name: "Lea Roy", Profile: auth.Profile{Email: "lea@vendor.example", Roles: []auth.Role{auth.Approver}}})
	h.get(auth.Auditor, "/api/v1/services").want(200).says(`"items":[]`)
	top := 0
	h.Comms.Policy.Components = []comms.ComponentPolicy{
		{Name: "Wiki", Tier: &top, Owner: "Platform", Champion: "amy poe", SRE: "eve@vendor.example", Lead: ids["Lea Roy"]},
		{Name: "Search", Owner: "Platform", Champion: "Zoe Gone", Lead: "Lea Roy"},
	}
	var got list[serviceAnswer]
	h.get(auth.Auditor, "/api/v1/services").want(200).into(&got)
	says := ""
	for _, s := range got.Items {
		says += fmt.Sprintf("%s %v:", s.Name, s.Ready)
		for _, d := range s.Duties {
			says += " " + d.Name + " " + d.State + ","
		}
	}
	if says != "Wiki true: Amy Poe named, Eve Kay named, Lea Roy named,Search false: Zoe Gone nobody,  missing, Lea Roy named," {
		t.Error(says)
	}
	h.staffPage(auth.Auditor, "/desk/services").want(200).says("Services that lack somebody: 1 of 2", "Zoe Gone <span", "has no account", "nobody named", "4h / 1h")

	h.Comms.Policy.Components[1].Champion = ids["Amy Poe"] // of two services, so of neither alone
	h.get(auth.Auditor, "/api/v1/services").want(200).into(&got)
	if a, b := got.Items[0].Duties[0].State, got.Items[1].Duties[0].State; a != dutyShared || b != dutyShared || got.Items[0].Ready {
		t.Errorf("%s, %s", a, b)
	}
	h.Comms.Policy.Ladders = map[string]comms.Ladder{"task": {{Staff: []comms.Post{{Person: "Amy Poe"}, {Person: ids["Eve Kay"]}}}}}
	if nobodies, err := h.Portal.Nobodies(context.Background()); err != nil || fmt.Sprint(nobodies) != "[{comms.ladders.task[0].staff[0].person Amy Poe true}]" {
		t.Errorf("a ladder takes ids alone: %v, %v", nobodies, err)
	}
}
