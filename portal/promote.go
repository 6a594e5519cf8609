package portal

import (
	"encoding/json"
	"fmt"
	"time"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/fault"
)

const verbPromote = "staff.promote"

// StaffVerbs are what can be changed about staff by two people. Proposed is told, in the transaction, that somebody asked for it; nil: nobody is.
func StaffVerbs(gate *auth.Gate, proposed func(tx *store.Tx, p auth.Promotion) error) []contacts.Verb {
	read := func(input json.RawMessage) (p auth.Promotion, err error) { return p, contacts.ReadInput(input, &p) }
	return []contacts.Verb{{
		Name: verbPromote, Right: string(auth.StaffManage), Says: "give somebody the role of an approver or administrator",
		Plan: func(tx *store.Tx, input json.RawMessage) (contacts.Plan, error) {
			p, err := read(input)
			if err != nil {
				return contacts.Plan{}, err
			}
			rec, err := gate.Promoting(tx, p)
			if err != nil {
				return contacts.Plan{}, err
			}
			return contacts.Plan{Steps: []contacts.Step{{Of: p.Staff, On: p.Staff, To: fmt.Sprint(rec.Value.Roles)}}, Counts: map[string]int{"staff": 1}, // not its version, which every sign-in moves
				Sample: []contacts.Sample{{Kind: "staff", ID: p.Staff, Says: rec.Value.Name + ": " + string(p.Role)}}}, nil
		},
		Proposed: func(tx *store.Tx, c store.Rec[contacts.Change]) error {
			p, err := read(c.Value.Input)
			if err == nil && proposed != nil {
				err = proposed(tx, p)
			}
			return err
		},
		Ready: func(tx *store.Tx, c store.Rec[contacts.Change], given []store.Approval) error {
			if at := c.Value.ProposedAt.Add(auth.PromoteAfter); tx.Now().Before(at) {
				return fault.New(fault.Conflict, "it waits until %s, so that whoever was told of it can step in; who runs the machine can give the role at once, which raises an alarm", at.UTC().Format(time.RFC3339))
			}
			p, err := read(c.Value.Input)
			if err != nil {
				return err
			}
			_, err = secondOf(p, c.Value, given)
			return err
		},
		Run: func(tx *store.Tx, c store.Rec[contacts.Change], _ contacts.Step) (json.RawMessage, error) {
			p, err := read(c.Value.Input)
			if err != nil {
				return nil, err
			}
			given, _, err := store.ApprovalsGiven(tx, c.ID, c.Value.Digest)
			if err != nil {
				return nil, err
			}
			second, err := secondOf(p, c.Value, given)
			if err != nil {
				return nil, err
			}
			return nil, gate.Promote(tx, p, c.Value.Author, second)
		},
	}}
}

// secondOf is who approved a promotion and is neither its author nor the one who gains by it.
func secondOf(p auth.Promotion, c contacts.Change, given []store.Approval) (string, error) {
	for _, a := range given {
		if a.By != c.Author && a.By != p.Staff {
			return a.By, nil
		}
	}
	return "", fault.New(fault.Forbidden, "a second person must approve it, who is not the one who is given the role")
}

// promote proposes a role that one person does not give.
func (k *call) promote() error {
	rec, err := k.proposeChange(verbPromote, auth.Promotion{Staff: k.Params("id"), Role: auth.Role(k.FormValue("role"))}, k.FormValue("reason"), 0)
	if err != nil {
		return k.memberPage(problemOf(err).Status, nil, err)
	}
	return k.Redirect("/desk/changes/"+rec.ID, 303)
}
