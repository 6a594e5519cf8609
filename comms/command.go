package comms

import (
	"context"
	"slices"
	"time"

	"lifeline/store"
)

// Command is the promise that somebody takes command of a grave incident: who is on duty is called when it is declared, and until somebody says that she has
// it the ladder is climbed.
const Command = "command"

// grave says whether people are called out of their beds.
func grave(severity string) bool { return severity == "P0" || severity == "P1" }

// crew calls up the roles of a grave incident that is declared.
func (r *Room) crew(tx *store.Tx, in *Incident) ([]Post, error) {
	if !grave(in.Severity) || r.Staffed == nil {
		return nil, nil
	}
	return r.crewUp(tx, r.paging(tx, tx.Now()), in)
}

// callOut tells those inside that an incident was declared: the policy's internal people, and of a grave one whoever is on duty for the roles that are called,
// by every way on which they are told.
func (r *Room) callOut(tx *store.Tx, id string, in Incident, crew []Post) error {
	to := r.Policy.Internal
	if grave(in.Severity) && r.Staffed != nil {
		called, err := r.paging(tx, tx.Now()).people(Rung{To: to, Staff: append(slices.Clone(r.Policy.Call), crew...)})
		if err != nil {
			return err
		}
		if in.Seat(RoleCommander).ConfirmedAt.IsZero() {
			if err := r.promiseCommand(tx, id); err != nil {
				return err
			}
		}
		if err := r.keepCrew(tx, id, in.DeclaredBy, in, true); err != nil {
			return err
		}
		if err := r.meets(tx, id, in); err != nil {
			return err
		}
		to = called
	}
	if len(to) == 0 {
		return nil
	}
	return r.sayDeclared(tx, id, in, to)
}

// promiseCommand gives the one who was called the whole time to take command.
func (r *Room) promiseCommand(tx *store.Tx, id string) error {
	return r.Move(tx, Deadline{What: Command, Of: id, Incident: id, Due: tx.Now().Add(r.Policy.Commanded)})
}

// TakeCommand makes somebody the one commander of an incident. Who takes it from somebody else says why, and both stand in the log; who has it already
// confirms that she does. From then on nobody else decides what the commander decides.
func (r *Room) TakeCommand(ctx context.Context, by, incident, reason string) (store.Rec[Incident], error) {
	return r.TakeRole(ctx, by, incident, RoleCommander, reason)
}

// defaultCall is who is called when a grave incident is declared, and how long command may stand open.
func defaultCall() ([]Post, time.Duration) {
	return []Post{{Role: "commander"}, {Role: "comms"}}, 5 * time.Minute
}
