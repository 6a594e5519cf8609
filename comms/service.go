package comms

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/store"
)

// Service is a component of the policy with what it is held to, who answers for it, and how its last incident went.
type Service struct {
	Name     string    `json:"name"`
	Group    string    `json:"group"`
	Kind     string    `json:"kind"`
	Tier     string    `json:"tier"` // T0 to T3
	RTO      float64   `json:"rto_s"`
	RPO      float64   `json:"rpo_s"`
	Owner    string    `json:"owner"` // "": nobody answers for its targets
	Measured *Measured `json:"measured"`

	// Duties are who champions its recovery, keeps it running, and leads, in this order, as the policy names them.
	Duties []Charge `json:"-"`
}

// The duties that somebody has for a service.
const (
	DutyChampion = "champion"
	DutySRE      = "sre"
	DutyLead     = "lead"
)

// Charge is one duty and whom the policy names for it: an account's id, name or e-mail address, or "".
type Charge struct {
	Duty   string `json:"duty"`
	Person string `json:"person"`
}

// Measured is how the last incident or exercise of a service that is over went against its targets.
type Measured struct {
	Incident string    `json:"incident_id"`
	Title    string    `json:"title"`
	At       time.Time `json:"at"` // when it began
	Drill    bool      `json:"drill"`
	RTO      Objective `json:"rto"`
	RPO      Objective `json:"rpo"`
}

func (c ComponentPolicy) duties() []Charge {
	return []Charge{{DutyChampion, c.Champion}, {DutySRE, c.SRE}, {DutyLead, c.Lead}}
}

// mostMeasured bounds how many incidents are looked at for the last of each service.
const mostMeasured = MostListed

// Services are the components of the policy, in its order. Those of an incident are what its newest update names.
func (r *Room) Services(ctx context.Context, closed map[string]bool) (all []Service, err error) {
	last := make([]store.Rec[Incident], len(r.Policy.Components))
	over, _, err := r.Incidents(ctx, "", "", mostMeasured)
	if err != nil {
		return nil, err
	}
	if err := r.DB.View(ctx, func(tx *store.Tx) error {
		for _, in := range over {
			if in.Value.State == Open || closed[in.ID] || !slices.ContainsFunc(last, func(had store.Rec[Incident]) bool { return had.ID == "" }) {
				continue
			}
			products, err := productsOf(tx, in.ID)
			if err != nil {
				return err
			}
			for i, c := range r.Policy.Components {
				if last[i].ID == "" && slices.ContainsFunc(products, func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), c.Name) }) {
					last[i] = in
				}
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	all = []Service{}
	for i, c := range r.Policy.Components {
		tier := tierName(r.Policy.tierOf([]string{c.Name}, r.Book.Policy.DefaultTier))
		to := r.Policy.Targets[tier]
		s := Service{Name: c.Name, Group: c.Group, Kind: c.Kind, Tier: tier, RTO: to.RTO.Seconds(), RPO: to.RPO.Seconds(), Owner: c.Owner, Duties: c.duties()}
		if in := last[i]; in.ID != "" {
			t, err := r.Targets(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			s.Measured = &Measured{Incident: in.ID, Title: in.Value.Title, At: in.Value.DetectedAt, Drill: in.Value.Drill, RTO: t.RTO, RPO: t.RPO}
		}
		all = append(all, s)
	}
	return all, nil
}

// productsOf are those that the newest update of an incident names.
func productsOf(tx *store.Tx, incident string) (products []string, err error) {
	for rec, err := range spoken(tx, incident) {
		if err != nil {
			return nil, err
		}
		if products = rec.Value.Statement.Scope.Products; len(products) > 0 {
			break
		}
	}
	return products, nil
}

// Named is somebody whom the policy names, and where it does.
type Named struct {
	Field  string `json:"field"`
	Person string `json:"person"`
	ID     bool   `json:"id"` // only the id of her account will do
}

// Named are all whom the policy names by their account. One who has none is told of nothing, and the policy alone does not show it.
func (p Policy) Named() (all []Named) {
	posts := func(field string, posts []Post) {
		for i, post := range posts {
			if post.Person != "" {
				all = append(all, Named{fmt.Sprintf("%s[%d].person", field, i), post.Person, true})
			}
		}
	}
	ladder := func(field string, l Ladder) {
		for i, rung := range l {
			posts(fmt.Sprintf("%s[%d].staff", field, i), rung.Staff)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(p.Ladders)) {
		ladder("comms.ladders."+what, p.Ladders[what])
	}
	ladder("comms.on_duty", p.OnDuty)
	posts("comms.call", p.Call)
	for i, c := range p.Components {
		for _, d := range c.duties() {
			if d.Person != "" {
				all = append(all, Named{fmt.Sprintf("comms.components[%d].%s", i, d.Duty), d.Person, false})
			}
		}
	}
	return all
}
