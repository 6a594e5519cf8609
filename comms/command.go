package comms

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Command is the promise that somebody takes command of a grave incident: who is on duty is called when it is declared, and until somebody says that she has
// it the ladder is climbed.
const Command = "command"

// grave says whether people are called out of their beds.
func grave(severity string) bool { return severity == "P0" || severity == "P1" }

// callOut tells those inside that an incident was declared: the policy's internal people, and of a grave one whoever is on duty for the roles that are called,
// by every way on which they are told.
func (r *Room) callOut(tx *store.Tx, id string, in Incident) error {
	to := r.Policy.Internal
	if grave(in.Severity) && r.Staffed != nil {
		p := r.paging(tx, tx.Now())
		called, err := p.people(Rung{To: to, Staff: r.Policy.Call})
		if err != nil {
			return err
		}
		if err := r.promise(tx, Deadline{What: Command, Of: id, Incident: id, Due: tx.Now().Add(r.Policy.Commanded)}); err != nil {
			return err
		}
		to = called
	}
	if len(to) == 0 {
		return nil
	}
	data, err := json.Marshal(templates.Declared{Title: in.Title, Severity: in.Severity, Category: in.Category, Summary: in.Summary, Impact: in.Impact,
		At: in.DeclaredAt, URL: r.deskURL(id), Drill: in.Drill})
	if err != nil {
		return fmt.Errorf("write the facts of a declaration: %w", err)
	}
	_, err = r.tell(tx, Notice{Lane: LaneUrgent, Name: templates.MsgDeclared, Channels: channelsOf(to), To: to, Data: data})
	return err
}

// TakeCommand makes somebody the one commander of an incident. Who takes it from somebody else says why, and both stand in the log; who has it already
// confirms that she does. That she may command is the caller's to see.
func (r *Room) TakeCommand(ctx context.Context, by, incident, reason string) (store.Rec[Incident], error) {
	return r.change(ctx, store.Act{By: by, Verb: "incident.command", Reason: reason}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		if in.State == Closed {
			return in, fault.New(fault.Conflict, "this incident is closed")
		}
		if f := (prose{most: 1000, lines: true}).bad(nil, "reason", reason); len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		if in.Commander != "" && in.Commander != by && strings.TrimSpace(reason) == "" {
			return in, fault.BadField("reason", "is missing: say why command goes over to you")
		}
		if err := r.keep(tx, id, Command, by); err != nil {
			return in, err
		}
		text := "confirmed"
		if in.Commander != by {
			text = cmp.Or(in.Commander, "-") + " → " + by
		}
		if reason != "" {
			text += ": " + reason
		}
		in.Commander = by
		return in, r.note(tx, id, by, "commander", text)
	})
}

// defaultCall is who is called when a grave incident is declared, and how long command may stand open.
func defaultCall() ([]Post, time.Duration) {
	return []Post{{Role: "commander"}, {Role: "comms"}}, 5 * time.Minute
}
