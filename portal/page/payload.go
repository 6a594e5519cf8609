package page

import (
	"slices"

	"lifeline/comms"
	"lifeline/templates"
)

// payload is what a webhook's receiver reads of an update: the page and the incident as other status pages post them, then all facts of the update, and its
// words in the receiver's language.
type payload struct {
	Page     payloadPage     `json:"page"`
	Incident *statusIncident `json:"incident"` // null: the page does not show it
	Update   factsUpdate     `json:"update"`
	Locale   string          `json:"locale"`
	Title    string          `json:"title"`
	Text     string          `json:"text"`
	URL      string          `json:"url"`
}

type payloadPage struct {
	ID          string `json:"id"`
	Indicator   string `json:"status_indicator"`
	Description string `json:"status_description"`
}

// Payload makes what programs read of an update. The incident's updates are in the first language, as the status API has them.
func (p *Press) Payload(public comms.Public, u templates.Update, locale string) ([]byte, error) {
	words := func(locale string, u templates.Update) (string, error) {
		return tongue{locale: locale, set: p.Words, vendor: p.Vendor}.plain(u)
	}
	level := overall(public)
	out := payload{Page: payloadPage{pageIDOf(p.Vendor), level.indicator(), level.description()}, Update: factsUpdateOf(u), Locale: locale, Title: u.Incident.Title, URL: u.Incident.URL}
	var err error
	if out.Text, err = words(locale, u); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(public.Incidents, func(in comms.PublicIncident) bool { return in.ID == u.Incident.ID })
	if i >= 0 {
		bodies := map[string]string{}
		for _, said := range public.Incidents[i].Updates {
			if bodies[said.ID], err = words(templates.Locales()[0], said); err != nil {
				return nil, err
			}
		}
		row := statusIncidentOf(public.Incidents[i], public.Components, statusComponents(public, out.Page.ID), out.Page.ID, func(update string) string { return bodies[update] })
		out.Incident = &row
	}
	return encodeJSON(out)
}
