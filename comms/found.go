package comms

import (
	"encoding/json"
	"fmt"

	"lifeline/contacts"
	"lifeline/store"
)

// found is the detail of the task that a finding about contacts becomes.
type found struct {
	Source  string   `json:"source,omitempty"`
	Of      string   `json:"of,omitempty"`
	Count   int      `json:"count,omitempty"`
	Sample  []string `json:"sample,omitempty"`
	Propose *Propose `json:"propose_incident,omitempty"`
}

// mostSample bounds the ids that a task shows.
const mostSample = 20

// Found makes a finding about contacts somebody's task, in the transaction of the fact; one that is over ends it. Sites that vanished in
// numbers become a task that proposes an incident: a person declares it, for a wrong alarm would tell every customer.
func (r *Room) Found(tx *store.Tx, f contacts.Finding) error {
	what, of := "finding."+f.What, f.Source
	if f.Of != "" {
		of += "/" + f.Of
	}
	if of == "" { // about the book as a whole
		of = f.What
	}
	if f.Over {
		return r.Settle(tx, what, of, "system:contacts", "it is so no longer")
	}
	d := found{Source: f.Source, Of: f.Of, Count: f.Count, Sample: f.Sample[:min(len(f.Sample), mostSample)]}
	if f.Propose {
		d.Propose = &Propose{Title: "Customers' sites were deleted", Count: f.Count, Sample: d.Sample, Source: f.Source}
	}
	detail, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("write the detail of a finding: %w", err)
	}
	_, err = r.Owe(tx, Task{What: what, Of: of, Account: f.Account, Title: foundTitle(f), Detail: detail})
	return err
}

// foundTitle is what staff read of a finding: ids and figures, no name and no address.
func foundTitle(f contacts.Finding) string {
	switch f.What {
	case contacts.SitesVanished:
		return fmt.Sprintf("%d sites were deleted in the product within a short time: is it an incident?", f.Count)
	case contacts.Shrunk:
		if f.Of != "" {
			return fmt.Sprintf("The source %s names nobody of %s any more", f.Source, f.Of)
		}
		return fmt.Sprintf("The source %s leaves out %d records that it named before", f.Source, f.Count)
	case contacts.PullFailed:
		return fmt.Sprintf("The source %s cannot be fetched", f.Source)
	}
	return fmt.Sprintf("%s: %s %s, %d records", f.What, f.Source, f.Of, f.Count)
}
