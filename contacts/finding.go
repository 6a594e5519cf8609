package contacts

import "lifeline/store"

// What a finding may say.
const (
	Shrunk        = "contacts_shrunk"      // a full snapshot of a source names too few of the records that it named before, or none of a site
	SitesVanished = "sites_vanished"       // so many sites were deleted at once that somebody should think of an incident
	PullFailed    = "contacts_pull_failed" // a source cannot be fetched
)

// Finding is something about the book that a person has to look at. It holds ids only, and the names of sources, which operators chose.
type Finding struct {
	What    string
	Of      string // our id of the record that it is about; "": the source as a whole
	Account string // our id of the account, where it is about one
	Source  string
	Count   int      // of records
	Sample  []string // our ids of some of them, or the ids by which the product knows them
	Propose bool     // it ought to be looked at as an incident, at once
	Over    bool     // it is so no longer: what was found before under the same What, Of and Source is settled
}

// found tells of a finding in the transaction of the fact. Without anybody to tell it is only logged.
func (b *Book) found(tx *store.Tx, f Finding) error {
	if b.Log != nil && !f.Over {
		tx.After(func() {
			b.Log.Warn("finding about contacts", "what", f.What, "of", f.Of, "source", f.Source, "count", f.Count)
		})
	}
	if b.Found == nil {
		return nil
	}
	return b.Found(tx, f)
}
