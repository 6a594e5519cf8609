package comms

import (
	"lifeline/store"
	"lifeline/store/fault"
)

// MayMerge refuses to merge an account whose sites an open incident has in its ledger: the people of an affected site are found by the account
// that the ledger noted for it, so they would not be told.
func (r *Room) MayMerge(tx *store.Tx, account string) error {
	open, err := r.OpenIncidents(tx)
	if err != nil {
		return err
	}
	for _, i := range open {
		n, err := rows.Count(tx, store.Query{Index: "account", Equal: []any{i.ID, account}, Limit: 1})
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.New(fault.Conflict, "account %s is affected by incident %s: merge it when that is over", account, i.ID)
		}
	}
	return nil
}
