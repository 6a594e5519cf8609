package page

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/templates"
)

// This file writes /api/v2/: the shape that status clients, exporters and chat bots already parse. Key order, enums, 12-character
// ids, milliseconds and present-but-empty lists are what they rely on; our own richer facts are in facts.go.

// statusTime is a time with milliseconds in UTC.
type statusTime time.Time

func (t statusTime) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

func statusTimeOf(t *time.Time) *statusTime {
	if t == nil || t.IsZero() {
		return nil
	}
	s := statusTime(*t)
	return &s
}

type statusPage struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	URL       string     `json:"url"`
	TimeZone  string     `json:"time_zone"`
	UpdatedAt statusTime `json:"updated_at"`
}

type statusWord struct {
	Indicator   string `json:"indicator"`
	Description string `json:"description"`
}

type statusComponent struct {
	ID                 string     `json:"id"`
	Name               string     `json:"name"`
	Status             string     `json:"status"`
	CreatedAt          statusTime `json:"created_at"`
	UpdatedAt          statusTime `json:"updated_at"`
	Position           int        `json:"position"`
	Description        *string    `json:"description"`
	Showcase           bool       `json:"showcase"`
	StartDate          *string    `json:"start_date"`
	GroupID            *string    `json:"group_id"`
	PageID             string     `json:"page_id"`
	Group              bool       `json:"group"`
	OnlyShowIfDegraded bool       `json:"only_show_if_degraded"`
	Components         []string   `json:"components,omitempty"` // only of a group
}

type statusIncident struct {
	ID                string            `json:"id"`
	Name              string            `json:"name"`
	Status            string            `json:"status"`
	CreatedAt         statusTime        `json:"created_at"`
	UpdatedAt         statusTime        `json:"updated_at"`
	MonitoringAt      *statusTime       `json:"monitoring_at"`
	ResolvedAt        *statusTime       `json:"resolved_at"`
	Impact            string            `json:"impact"`
	Shortlink         string            `json:"shortlink"`
	StartedAt         statusTime        `json:"started_at"`
	PageID            string            `json:"page_id"`
	IncidentUpdates   []statusUpdate    `json:"incident_updates"`
	Components        []statusComponent `json:"components"`
	ReminderIntervals *string           `json:"reminder_intervals"`
}

type statusUpdate struct {
	ID                   string           `json:"id"`
	Status               string           `json:"status"`
	Body                 string           `json:"body"`
	IncidentID           string           `json:"incident_id"`
	CreatedAt            statusTime       `json:"created_at"`
	UpdatedAt            statusTime       `json:"updated_at"`
	DisplayAt            statusTime       `json:"display_at"`
	AffectedComponents   []statusAffected `json:"affected_components"` // null when none
	DeliverNotifications bool             `json:"deliver_notifications"`
	CustomTweet          *string          `json:"custom_tweet"`
	TweetID              *string          `json:"tweet_id"`
}

type statusAffected struct {
	Code      string `json:"code"`
	Name      string `json:"name"`
	OldStatus string `json:"old_status"`
	NewStatus string `json:"new_status"`
}

// statusMaintenance is an incident with a window.
type statusMaintenance struct {
	statusIncident
	ScheduledFor   statusTime `json:"scheduled_for"`
	ScheduledUntil statusTime `json:"scheduled_until"`
}

// The answers, in the order of keys that clients know.
type (
	summaryAnswer struct {
		Page         statusPage          `json:"page"`
		Components   []statusComponent   `json:"components"`
		Incidents    []statusIncident    `json:"incidents"`
		Maintenances []statusMaintenance `json:"scheduled_maintenances"`
		Status       statusWord          `json:"status"`
	}
	statusAnswer struct {
		Page   statusPage `json:"page"`
		Status statusWord `json:"status"`
	}
	componentsAnswer struct {
		Page       statusPage        `json:"page"`
		Components []statusComponent `json:"components"`
	}
	incidentsAnswer struct {
		Page      statusPage       `json:"page"`
		Incidents []statusIncident `json:"incidents"`
	}
	maintenancesAnswer struct {
		Page         statusPage          `json:"page"`
		Maintenances []statusMaintenance `json:"scheduled_maintenances"`
	}
)

// mostIncidents is how many the lists of the status API and the history show.
const mostIncidents = 50

// statusAnswers makes every /api/v2/ document by its path, in the first language.
func (r *printing) statusAnswers(t tongue) map[string]any {
	p, v := r.public, r.press.Vendor
	page := statusPage{ID: pageIDOf(v), Name: v.Name, URL: strings.TrimSuffix(v.URL, "/"), TimeZone: "Etc/UTC", UpdatedAt: statusTime(lastWord(p))}
	components := statusComponents(p, page.ID)
	incidents := make([]statusIncident, 0, len(p.Incidents))
	unresolved := []statusIncident{}
	for _, in := range p.Incidents {
		row := statusIncidentOf(in, p.Components, components, page.ID, func(update string) string { return r.plains[update][0] })
		if len(incidents) < mostIncidents {
			incidents = append(incidents, row)
		}
		if isOpen(in) {
			unresolved = append(unresolved, row)
		}
	}
	level := overall(p)
	status := statusWord{Indicator: level.indicator(), Description: level.description()}
	plans := r.statusPlans(t, page.ID, components)
	of := func(states ...string) []statusMaintenance {
		return slices.DeleteFunc(slices.Clone(plans), func(m statusMaintenance) bool { return !slices.Contains(states, m.Status) })
	}
	return map[string]any{
		"/api/v2/summary.json":                         summaryAnswer{page, components, unresolved, of("scheduled", "in_progress"), status},
		"/api/v2/status.json":                          statusAnswer{page, status},
		"/api/v2/components.json":                      componentsAnswer{page, components},
		"/api/v2/incidents.json":                       incidentsAnswer{page, incidents},
		"/api/v2/incidents/unresolved.json":            incidentsAnswer{page, unresolved},
		"/api/v2/scheduled-maintenances.json":          maintenancesAnswer{page, plans},
		"/api/v2/scheduled-maintenances/upcoming.json": maintenancesAnswer{page, of("scheduled")},
		"/api/v2/scheduled-maintenances/active.json":   maintenancesAnswer{page, of("in_progress", "verifying")},
	}
}

// pageIDOf is the page's id, which stays while the vendor keeps its name.
func pageIDOf(v templates.Vendor) string { return shortID("page", v.Name) }

// statusComponents lists every component, each group object before its members.
func statusComponents(p comms.Public, pageID string) []statusComponent {
	out := []statusComponent{}
	first := firstWord(p)
	since := func(c comms.Component) statusTime { // one that never changed has no time of its own, and must not seem to change whenever the page does
		if c.Since.IsZero() {
			return statusTime(first)
		}
		return statusTime(c.Since)
	}
	for i, g := range groups(p.Components) {
		var groupID *string
		if g.Name != "" {
			id := shortID("group", g.Name)
			groupID = &id
			group := statusComponent{ID: id, Name: g.Name, Status: "operational", Position: i + 1, PageID: pageID, Group: true, Components: []string{}}
			for _, c := range g.Members {
				group.Components = append(group.Components, c.ID)
				if rank(c.Status) > rank(group.Status) {
					group.Status = componentStatus(c.Status)
				}
				if t := since(c); time.Time(t).After(time.Time(group.UpdatedAt)) {
					group.UpdatedAt = t
				}
			}
			group.CreatedAt = statusTime(first)
			out = append(out, group)
		}
		for _, c := range g.Members {
			row := statusComponent{
				ID: c.ID, Name: c.Name, Status: componentStatus(c.Status), CreatedAt: statusTime(first), UpdatedAt: since(c),
				Position: c.Position, GroupID: groupID, PageID: pageID,
			}
			if c.Description != "" {
				row.Description = &c.Description
			}
			out = append(out, row)
		}
	}
	return out
}

// toPeople says whether what is said on a channel is sent to people one by one, and does not wait where they look.
func toPeople(channel string) bool {
	return channel != comms.ChannelPage && channel != comms.ChannelTicket
}

func statusIncidentOf(in comms.PublicIncident, all []comms.Component, rows []statusComponent, pageID string, body func(update string) string) statusIncident {
	out := statusIncident{
		ID: in.ID, Name: in.Title, Status: phase(in.Phase), CreatedAt: statusTime(in.Created), UpdatedAt: statusTime(in.Updated),
		MonitoringAt: statusTimeOf(in.Monitoring), ResolvedAt: statusTimeOf(in.Resolved), Impact: impact(in.Severity),
		Shortlink: in.URL, StartedAt: statusTime(in.Started), PageID: pageID,
		IncidentUpdates: []statusUpdate{}, Components: []statusComponent{},
	}
	before := map[string]string{}
	for _, u := range slices.Backward(in.Updates) { // oldest first, to know what each one changed
		row := statusUpdate{
			ID: shortID("update", u.ID), Status: phase(u.Statement.Phase), Body: body(u.ID), IncidentID: in.ID,
			CreatedAt: statusTime(u.At), UpdatedAt: statusTime(u.At), DisplayAt: statusTime(u.At),
			AffectedComponents: affectedComponents(u, scopeAt(in, u), in.SeverityAt(u.At), all, before), DeliverNotifications: slices.ContainsFunc(u.Statement.Channels, toPeople),
		}
		out.IncidentUpdates = append(out.IncidentUpdates, row)
	}
	slices.Reverse(out.IncidentUpdates)
	named := inScope(everInScope(in), all)
	for _, row := range rows {
		if slices.ContainsFunc(named, func(c comms.Component) bool { return c.ID == row.ID }) {
			out.Components = append(out.Components, row)
		}
	}
	return out
}

// affectedComponents says how an update moved the components: those in its scope, and those that the update before had and this one has no more, which are well
// again. It remembers where they stand now.
func affectedComponents(u templates.Update, scope []string, severity string, all []comms.Component, before map[string]string) []statusAffected {
	var out []statusAffected
	now := inScope(scope, all)
	for _, c := range all {
		named := slices.ContainsFunc(now, func(n comms.Component) bool { return n.ID == c.ID })
		was := cmp.Or(before[c.ID], "operational")
		if !named && was == "operational" {
			continue
		}
		name := c.Name
		if c.Group != "" {
			name = c.Group + " - " + c.Name
		}
		row := statusAffected{Code: c.ID, Name: name, OldStatus: was, NewStatus: "operational"}
		if named {
			row.NewStatus = statusUnder(severity, u.Statement.Phase)
		}
		before[c.ID] = row.NewStatus
		out = append(out, row)
	}
	return out
}

// scopeAt is what is in scope from an update on. One that takes another back says nothing of it: what was said before that one holds again.
func scopeAt(in comms.PublicIncident, u templates.Update) []string {
	if u.Corrects == 0 || len(u.Statement.Scope.Products) > 0 {
		return u.Statement.Scope.Products
	}
	for _, older := range in.Updates { // newest first
		if older.Number < u.Number && !older.Retracted && older.Corrects == 0 {
			return older.Statement.Scope.Products
		}
	}
	return nil
}

// everInScope is what an incident had in scope in any update that was not taken back: clients find an incident by a component though it is well again.
func everInScope(in comms.PublicIncident) []string {
	ever := slices.Clone(in.Products)
	for _, u := range in.Updates {
		if !u.Retracted {
			ever = append(ever, u.Statement.Scope.Products...)
		}
	}
	return ever
}

// inScope are the components that a scope names, by name or id.
func inScope(products []string, all []comms.Component) []comms.Component {
	var out []comms.Component
	for _, c := range all {
		if slices.ContainsFunc(products, func(p string) bool { return strings.EqualFold(p, c.Name) || p == c.ID }) {
			out = append(out, c)
		}
	}
	return out
}

// shortID makes one of the API's 12-character ids out of something that never changes.
func shortID(kind, name string) string {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(kind + "\x00" + name))
	id := make([]byte, 12)
	for i := range id {
		id[i] = alphabet[int(sum[i])%len(alphabet)]
	}
	return string(id)
}

// encodeJSON writes without HTML escapes, as other servers of this API do, and without a newline at the end.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// host is the authority of the vendor's public URL, for the feed's tag URIs (RFC 4151).
func host(v templates.Vendor) string {
	u, err := url.Parse(v.URL)
	if err != nil || u.Hostname() == "" {
		return "localhost"
	}
	return u.Hostname()
}
