package comms

import (
	"slices"

	"lifeline/store"
)

// The promises that end with an incident: nobody can keep them any more. Readers who were promised a word still have it coming when an incident is resolved in
// silence, its team meets once more, and it is still to be classified, so these end when it is closed.
var (
	endResolved = []string{Command, RolesDue, SeverityDue, FullScope, CoverageDue, EstimateDue}
	endClosed   = []string{NextUpdate, Classification, Meeting}
)

// turns brings the promises of an incident to its new state. Once it is open again people are called again, and have the whole time.
func (r *Room) turns(tx *store.Tx, id, by string, was Incident, in Incident) error {
	var over []string
	switch {
	case was.State == in.State:
		return nil
	case in.State == Open:
		return r.opensAgain(tx, id, by, in)
	case in.State == Closed:
		over = endClosed
	}
	for _, what := range slices.Concat(endResolved, over) {
		if err := r.lapse(tx, id, what); err != nil {
			return err
		}
	}
	if in.State == Resolved {
		return r.meetsOnceMore(tx, id, in)
	}
	return nil
}

// meetsOnceMore puts a meeting that was missed behind, and sets the last one.
func (r *Room) meetsOnceMore(tx *store.Tx, id string, in Incident) error {
	m, running, err := r.Waiting(tx, id, Meeting)
	if err != nil || !running || !tx.Now().After(m.Due) {
		return err
	}
	if err := r.lapse(tx, id, Meeting); err != nil {
		return err
	}
	return r.meets(tx, id, in)
}

// opensAgain promises anew what had ended.
func (r *Room) opensAgain(tx *store.Tx, id, by string, in Incident) error {
	if in.GapSince != nil {
		if err := r.promiseCoverage(tx, id); err != nil {
			return err
		}
	}
	if r.Staffed == nil || !grave(in.Severity) {
		return nil
	}
	if in.Seat(RoleCommander).ConfirmedAt.IsZero() {
		if err := r.promiseCommand(tx, id); err != nil {
			return err
		}
	}
	return r.keepCrew(tx, id, by, in, true)
}
