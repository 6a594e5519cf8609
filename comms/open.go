package comms

import "lifeline/store"

// OpenIncidents are the incidents that are going on, newest first.
func (r *Room) OpenIncidents(tx *store.Tx) ([]store.Rec[Incident], error) {
	all, _, err := incidents.List(tx, goingOn())
	return all, err
}

func goingOn() store.Query {
	return store.Query{Index: "state", Equal: []any{Open}, Reverse: true}
}

// ForeseeOpenIncidents says that OpenIncidents is about to come: see [store.Table.Foresee].
func (r *Room) ForeseeOpenIncidents(tx *store.Tx) { incidents.Foresee(tx, goingOn()) }

// IncidentIn finds an incident by either of its ids, in a transaction of the caller's.
func (r *Room) IncidentIn(tx *store.Tx, id string) (store.Rec[Incident], error) {
	return findIncident(tx, id)
}
