package comms

import (
	"context"
	"slices"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Duty is a standing duty of another room, done as this room does its own: again and again, by one replica at a time. A turn must do little,
// and nothing that harms when it is done twice.
type Duty struct {
	Name  string // unlike any other's
	Every time.Duration
	Turn  func(context.Context) error
}

// Affected is a site of an incident's affected set, as other rooms need to know it.
type Affected struct {
	Site, Account string
}

// AffectedPage walks an incident's affected sites (our id) by account, so that those of one account stand together, and gives the cursor behind
// the page.
func (r *Room) AffectedPage(tx *store.Tx, incident, after string, most int) (page []Affected, next string, err error) {
	all, next, err := rows.List(tx, store.Query{Index: "account", Equal: []any{incident}, After: after, Limit: most})
	for _, rec := range all {
		page = append(page, Affected{rec.Value.Site, rec.Value.Account})
	}
	return page, next, err
}

// AffectedOf are the sites of an account that an incident has in its affected set, in the order of their ids.
func (r *Room) AffectedOf(tx *store.Tx, incident, account string) (sites []string, err error) {
	for rec, err := range rows.Scan(tx, store.Query{Index: "account", Equal: []any{incident, account}}) {
		if err != nil {
			return nil, err
		}
		sites = append(sites, rec.Value.Site)
	}
	slices.Sort(sites)
	return sites, nil
}

// Step is a state that an affected site came to.
type Step struct {
	State    string
	At       time.Time
	NoAnswer bool // it counts as handed back because the customer stayed silent
}

// Journey is the way of an affected site through an incident, oldest first; the last step is where it counts as standing now. A site that is not
// in the affected set has none.
func (r *Room) Journey(tx *store.Tx, incident, site string) ([]Step, error) {
	w, _, err := rows.Get(tx, rowID(incident, site))
	if fault.Of(err) == fault.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	steps := make([]Step, 0, len(w.History)+2)
	for _, m := range w.History {
		steps = append(steps, Step{State: m.State, At: m.At})
	}
	steps = append(steps, Step{State: w.State, At: w.At, NoAnswer: w.NoAnswer})
	if state, silent := w.standing(tx.Now(), r.Policy.NoAnswer); state != w.State {
		steps = append(steps, Step{State: state, At: w.At.Add(r.Policy.NoAnswer), NoAnswer: silent})
	}
	return steps, nil
}

// Back says whether an affected site counts as handed back. A site that is not in the incident's affected set holds nothing up.
func (r *Room) Back(tx *store.Tx, incident, site string) (bool, error) {
	steps, err := r.Journey(tx, incident, site)
	return len(steps) == 0 || steps[len(steps)-1].State == HandedBack, err
}
