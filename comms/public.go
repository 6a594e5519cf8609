package comms

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/templates"
)

// Public is everything that public pages, API answers and feeds show, read in one transaction.
type Public struct {
	Edition    int64 // of the store when it was read; pages rendered from an older one are stale
	AsOf       time.Time
	Incidents  []PublicIncident // newest first; only those with a published update
	Components []Component
	Plans      []PublicMaintenance // the latest window first
	Answers    []PublicAnswer      // in the order in which pages show them
	Reports    *Reports            // that come in and that nobody has confirmed; nil: the page says nothing of them
}

// PublicIncident is one incident with all that was said, newest first. Facts of a retracted update stay, marked.
type PublicIncident struct {
	templates.Incident            // its ID is the short public one
	State              string     // open, resolved, closed
	Phase              string     // of the newest update
	Levels             []LevelWas // the severities that it had before, oldest first
	Created            time.Time  // declared
	Updated            time.Time  // newest change of what is shown
	Monitoring         *time.Time // when it reached that phase
	Resolved           *time.Time
	Products           []string           // of the newest update's scope
	Updates            []templates.Update // newest first
	Now                *templates.Figures // the ledger now; nil: no set loaded
	Category           string             // of the policy's, by the name under which people know it
	Course             []CoursePoint      // how the ledger got there; nil: nothing is restored yet
	Promises           []Promised         // of a next word, oldest first
	Detected           time.Time          // when it was found
	FirstWord          *time.Time         // when the first word was public; nil: nobody has said anything yet
}

// SeverityAt is the severity that it had at a moment.
func (p PublicIncident) SeverityAt(at time.Time) string { return severityAt(p.Levels, p.Severity, at) }

// Newest is the update that holds now: the newest that was not taken back, or the newest of all when every one was; nil when there is none.
func (p PublicIncident) Newest() *templates.Update {
	i := slices.IndexFunc(p.Updates, func(u templates.Update) bool { return !u.Retracted })
	if i < 0 && len(p.Updates) > 0 {
		i = 0
	}
	if i < 0 {
		return nil
	}
	return &p.Updates[i]
}

// Standing is the newest update that says how things are: the one that holds now, or the one before it when that only takes another one back.
func (p PublicIncident) Standing() *templates.Update {
	latest := p.Newest()
	if latest == nil || latest.Corrects == 0 || latest.Statement.Headline != "" {
		return latest
	}
	for i := range p.Updates {
		if u := &p.Updates[i]; !u.Retracted && u.Statement.Headline != "" {
			return u
		}
	}
	return latest
}

// Reopened says that it is open again, and that nobody has said anything since it was told to be over.
func (p PublicIncident) Reopened() bool {
	u := p.Standing()
	return p.State == Open && p.Phase != Resolved && u != nil && u.Statement.Phase == Resolved
}

// Language is the one that the title is in: that of what was said first, as a title has none of its own. "": nobody has said anything yet.
func (p PublicIncident) Language() string {
	if len(p.Updates) == 0 {
		return ""
	}
	return p.Updates[len(p.Updates)-1].Statement.Language()
}

// entryOf says whether an incident of which nobody has said anything yet is on the page for its level alone. What its declarer typed is not shown:
// nobody else has read it. A security incident is not on the page before somebody decides so.
func (p Policy) entryOf(in Incident) bool {
	return in.State == Open && !in.Drill && in.FirstNoticeAt == nil && !in.Confined() && slices.Contains(p.PageEntry, in.Severity)
}

// entry is an incident of which the page says no more than that it is there, and how bad it is.
func (r *Room) entry(in store.Rec[Incident]) PublicIncident {
	v := in.Value
	facts := r.incidentFacts(v)
	facts.Title, facts.Impact = r.Words.Catalog(templates.Locales()[0]).T("page.entry.title"), ""
	return PublicIncident{Incident: facts, State: v.State, Phase: Investigating, Levels: v.Levels, Created: v.DeclaredAt, Updated: v.DeclaredAt, Detected: v.DetectedAt,
		Category: r.Policy.CategoryName(v.Category)}
}

// Component is a part of the vendor's service that pages list; the operator names them in the policy. Its state follows
// from the open incidents whose newest update has it in scope.
type Component struct {
	ID          string // 12 lower-case letters and digits, from the name, stable
	Name        string
	Group       string
	Description string
	Kind        string // one of componentKinds, or ""
	Status      string // operational, degraded_performance, partial_outage, major_outage, under_maintenance
	Position    int
	Since       time.Time // when it came into that state; zero: never was in another
	Uptime      Uptime
}

// Public reads everything that public pages show. Exercises are not shown.
func (r *Room) Public(ctx context.Context) (p Public, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		p, err = r.public(tx, laid{})
		return err
	})
	return p, err
}

func (r *Room) public(tx *store.Tx, l laid) (p Public, err error) {
	p = Public{AsOf: tx.Now()}
	byID := map[string]PublicIncident{}
	if p.Edition, err = editionOf(tx); err != nil {
		return p, err
	}
	told, err := r.everSaid(tx, l)
	if err != nil {
		return p, err
	}
	for in, err := range store.Gists(tx, incidents, &r.onPages.incidents, unchanged, store.Query{Index: "number", Reverse: true}) {
		if err != nil {
			return p, err
		}
		in = l.incident(tx, in)
		if in.Value.Drill || in.Value.FirstNoticeAt == nil {
			if r.Policy.entryOf(in.Value) {
				p.Incidents = append(p.Incidents, r.entry(in))
				byID[in.ID] = p.Incidents[len(p.Incidents)-1]
			}
			continue
		}
		shown, err := r.publicIncident(tx, in, told[in.ID])
		if err != nil {
			return p, err
		}
		if len(shown.Updates) > 0 {
			p.Incidents = append(p.Incidents, shown)
			byID[in.ID] = shown
		}
	}
	p.Components = components(r.Policy.Components, p.Incidents)
	if p.Plans, err = publicPlans(tx, l); err != nil {
		return p, err
	}
	underMaintenance(p.Components, p.Plans)
	if p.Answers, err = publicAnswers(tx, byID, l); err != nil {
		return p, err
	}
	if p.Reports, err = r.reportsSaid(tx); err != nil {
		return p, err
	}
	for i := range p.Components {
		p.Components[i].Uptime = uptime(p.Components[i].Name, p.Incidents, p.AsOf)
	}
	return p, nil
}

// onPages is what public pages show again and again, as it was read last: an edition reads what is new in it and no more. Who is given it must not change it.
type onPages struct {
	incidents store.Kept[Incident]
	updates   store.Kept[Update]
}

// unchanged is a record that is kept as it is.
func unchanged[T any](v T) T { return v }

// everSaid is what was said of each incident, newest first, those taken back among it, with what waits in front. It is one walk: a question for each of hundreds of incidents would take
// a database longer than to answer them.
func (r *Room) everSaid(tx *store.Tx, l laid) (map[string][]store.Rec[Update], error) {
	all := map[string][]store.Rec[Update]{}
	if l.update != nil {
		of := l.update.Value.Incident
		all[of] = append(all[of], *l.update)
	}
	for rec, err := range store.Gists(tx, updates, &r.onPages.updates, unchanged, store.Query{Index: "incident", Reverse: true}) {
		if err != nil {
			return nil, err
		}
		if of := rec.Value.Incident; rec.Value.State != Draft {
			all[of] = append(all[of], rec)
		}
	}
	return all, nil
}

func (r *Room) publicIncident(tx *store.Tx, in store.Rec[Incident], told []store.Rec[Update]) (PublicIncident, error) {
	v := in.Value
	p := PublicIncident{
		Incident: r.incidentFacts(v), State: v.State, Phase: v.Phase, Levels: v.Levels, Created: v.DeclaredAt, Detected: v.DetectedAt, FirstWord: v.FirstNoticeAt, Updated: in.Updated, Monitoring: v.MonitoringAt, Resolved: v.ResolvedAt,
	}
	for _, rec := range told {
		if !rec.Value.onPage() {
			continue
		}
		if rec.Updated.After(p.Updated) {
			p.Updated = rec.Updated
		}
		if p.Products == nil && rec.Value.State == Published {
			p.Products = rec.Value.Statement.Scope.Products
		}
		p.Updates = append(p.Updates, r.said(rec, v))
	}
	if len(p.Updates) == 0 {
		return p, nil
	}
	var err error
	if p.Now, p.Course, err = r.standing(tx, in.ID, v); err != nil {
		return p, err
	}
	p.Category, p.Promises = r.Policy.CategoryName(v.Category), promised(p.Updates)
	return p, nil
}

// The states of a component, from good to bad.
var componentStates = []string{"operational", "degraded_performance", "partial_outage", "major_outage"}

// componentState is what an open incident of a severity makes of a component in its scope. A P3 changes nothing that customers would notice.
func componentState(severity string) string {
	switch severity {
	case "P0":
		return "major_outage"
	case "P1":
		return "partial_outage"
	case "P2":
		return "degraded_performance"
	}
	return "operational"
}

// components computes the state of each component of the policy from the incidents shown; the worst open one counts.
func components(policy []ComponentPolicy, shown []PublicIncident) []Component {
	var out []Component
	for i, cp := range policy {
		c := Component{ID: componentID(cp.Group, cp.Name), Name: cp.Name, Group: cp.Group, Description: cp.Description, Kind: cp.Kind, Status: componentStates[0], Position: i + 1}
		var ended time.Time
		for _, in := range shown {
			if !slices.ContainsFunc(in.Products, func(p string) bool { return strings.EqualFold(strings.TrimSpace(p), cp.Name) }) {
				continue
			}
			if in.State != Open {
				if in.Resolved != nil && in.Resolved.After(ended) {
					ended = *in.Resolved
				}
				continue
			}
			state := componentState(in.Severity)
			switch a, b := slices.Index(componentStates, state), slices.Index(componentStates, c.Status); {
			case a > b:
				c.Status, c.Since = state, in.Started
			case a == b && a > 0 && in.Started.Before(c.Since):
				c.Since = in.Started
			}
		}
		if c.Status == componentStates[0] {
			c.Since = ended
		}
		out = append(out, c)
	}
	return out
}

// componentID makes a stable id of 12 lower-case letters and digits.
func componentID(group, name string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(group) + "\x00" + strings.ToLower(name)))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:12]
}

// PublicComponents are the policy's, all of them well: for who chooses among them.
func (p Policy) PublicComponents() []Component { return components(p.Components, nil) }
