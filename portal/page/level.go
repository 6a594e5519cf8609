package page

import (
	"slices"
	"time"

	"lifeline/comms"
)

// level is how bad things are altogether, as the page's first line and the status API say it.
type level int

const (
	allWell level = iota
	maintenance
	reported // people say that something is wrong, and nobody has confirmed it
	degraded // a service answers, but badly
	minor
	major
	critical
)

// indicator is one of the status API's words.
func (l level) indicator() string {
	return [...]string{"none", "maintenance", "minor", "minor", "minor", "major", "critical"}[l]
}

// description is the sentence that clients of the status API know; pages take theirs from the catalog.
func (l level) description() string {
	return [...]string{"All Systems Operational", "Service Under Maintenance", "Receiving Reports of Problems", "Partially Degraded Service",
		"Minor Service Outage", "Partial System Outage", "Major Service Outage"}[l]
}

// name is the last part of the level's catalog key.
func (l level) name() string {
	return [...]string{"none", "maintenance", "reports", "minor", "minor_outage", "major", "critical"}[l]
}

// overall is the worst of every open incident, every component, and of reports that nobody has confirmed.
func overall(p comms.Public) level {
	worst := allWell
	if p.Reports != nil {
		worst = reported
	}
	for _, in := range p.Incidents {
		if isOpen(in) {
			worst = max(worst, levelOfSeverity(in.Severity))
		}
	}
	for _, c := range p.Components {
		worst = max(worst, [...]level{allWell, maintenance, degraded, major, critical}[rank(c.Status)])
	}
	return worst
}

func levelOfSeverity(severity string) level {
	switch severity {
	case "P0":
		return critical
	case "P1":
		return major
	case "P2":
		return minor
	}
	return degraded
}

// impact is the status API's word for a severity. An incident that is on the page at all is at least minor.
func impact(severity string) string { return levelOfSeverity(severity).indicator() }

// componentStatuses are in the order of their badness; what is not among them is never emitted.
var componentStatuses = []string{"operational", "under_maintenance", "degraded_performance", "partial_outage", "major_outage"}

func rank(status string) int { return max(0, slices.Index(componentStatuses, status)) }

func componentStatus(status string) string { return componentStatuses[rank(status)] }

// statusUnder is the state that an incident of a severity gives the components in its scope.
func statusUnder(severity, phase string) string {
	switch {
	case phase == "resolved", severity == "P3": // of which customers notice nothing
		return "operational"
	case severity == "P0":
		return "major_outage"
	case severity == "P1":
		return "partial_outage"
	}
	return "degraded_performance"
}

// phase keeps to the status API's words.
func phase(p string) string {
	if slices.Contains([]string{"investigating", "identified", "monitoring", "resolved"}, p) {
		return p
	}
	return "investigating"
}

// isOpen says whether readers still wait for this incident's end.
func isOpen(in comms.PublicIncident) bool { return in.State == "open" && in.Phase != "resolved" }

// lastWord is when anything that the page shows last changed.
func lastWord(p comms.Public) time.Time {
	var last time.Time
	if p.Reports != nil {
		last = p.Reports.Said
	}
	for _, in := range p.Incidents {
		if in.Updated.After(last) {
			last = in.Updated
		}
	}
	for _, m := range p.Plans {
		if m.Updated.After(last) {
			last = m.Updated
		}
	}
	for _, a := range p.Answers {
		if a.Said[0].At.After(last) {
			last = a.Said[0].At
		}
	}
	for _, c := range p.Components {
		if c.Since.After(last) {
			last = c.Since
		}
	}
	if last.IsZero() {
		return p.AsOf
	}
	return last
}

// firstWord is from when the oldest thing is that the page shows; of a page that never showed any, the beginning of the day.
func firstWord(p comms.Public) time.Time {
	first := p.AsOf.UTC().Truncate(24 * time.Hour)
	for _, in := range p.Incidents {
		if in.Started.Before(first) {
			first = in.Started
		}
	}
	for _, m := range p.Plans {
		if m.SaidAt.Before(first) {
			first = m.SaidAt
		}
	}
	return first
}

// group is components under one heading; those without a group come first, under none.
type group struct {
	Name    string
	Members []comms.Component
}

func groups(all []comms.Component) []group {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b comms.Component) int { return a.Position - b.Position })
	var out []group
	for _, c := range sorted {
		i := slices.IndexFunc(out, func(g group) bool { return g.Name == c.Group })
		if i < 0 {
			out = append(out, group{Name: c.Group})
			i = len(out) - 1
		}
		out[i].Members = append(out[i].Members, c)
	}
	slices.SortStableFunc(out, func(a, b group) int {
		if (a.Name == "") != (b.Name == "") {
			if a.Name == "" {
				return -1
			}
			return 1
		}
		return 0
	})
	return out
}
