package comms

import "lifeline/store"

// OpenIncidents are the incidents that are going on, newest first.
func (r *Room) OpenIncidents(tx *store.Tx) ([]store.Rec[Incident], error) {
	all, _, err := incidents.List(tx, store.Query{Index: "state", Equal: []any{Open}, Reverse: true})
	return all, err
}
