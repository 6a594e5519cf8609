package comms

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// The roles that people have in one incident, whatever their role on the staff is.
const (
	RoleCommander   = "commander"
	RoleComms       = "comms"
	RoleApprover    = "approver"
	RoleSupport     = "support_lead"
	RoleEngineering = "engineering_lead"
	RoleSecurity    = "security"
	RoleDriver      = "driver" // moves the decisions along; the commander, unless somebody else is named
)

// incidentRoles are the roles in their order, each with the role on the staff whose people have it. The driver is of no one role, so nobody is called for it.
var incidentRoles = []struct{ role, staff string }{
	{RoleCommander, "commander"}, {RoleComms, "comms"}, {RoleApprover, "approver"}, {RoleSupport, "support"},
	{RoleEngineering, "engineer"}, {RoleSecurity, "security"}, {RoleDriver, ""},
}

// IncidentRoles are the roles in an incident, in their order.
func IncidentRoles() (all []string) {
	for _, r := range incidentRoles {
		all = append(all, r.role)
	}
	return all
}

func staffRole(role string) string {
	for _, r := range incidentRoles {
		if r.role == role {
			return r.staff
		}
	}
	return ""
}

// Seat is who has a role in an incident. Whoever is called confirms it, or the stand-in is called and takes it.
type Seat struct {
	Role        string    `json:"role"`
	Person      string    `json:"person"` // id of staff; "": nobody yet. Of the commander it is the incident's own field
	StandIn     string    `json:"stand_in"`
	CalledAt    time.Time `json:"called_at,omitzero"`
	ConfirmedAt time.Time `json:"confirmed_at,omitzero"`
}

const (
	// RolesDue is the promise that everybody who was called for a role confirms it.
	RolesDue = "roles"
	// SeverityDue is the promise that the commander confirms the severity as she sees it.
	SeverityDue = "severity"
)

// Seat is who has a role in an incident.
func (in Incident) Seat(role string) Seat {
	s := Seat{Role: role}
	for _, have := range in.Crew {
		if have.Role == role {
			s = have
		}
	}
	if role == RoleCommander {
		s.Person = in.Commander
	}
	return s
}

// Seats are all roles of an incident, with nobody in those that are empty.
func (in Incident) Seats() (all []Seat) {
	for _, r := range incidentRoles {
		all = append(all, in.Seat(r.role))
	}
	return all
}

// seat puts somebody in a role.
func (in *Incident) seat(s Seat) {
	if s.Role == RoleCommander {
		in.Commander, s.Person = s.Person, ""
	}
	in.Crew = slices.DeleteFunc(slices.Clone(in.Crew), func(have Seat) bool { return have.Role == s.Role })
	in.Crew = append(in.Crew, s)
}

// unconfirmed are the roles for which somebody was called and nobody has confirmed. Command has a promise of its own.
func (in Incident) unconfirmed() (all []Seat) {
	for _, s := range in.Crew {
		if s.Role != RoleCommander && !s.CalledAt.IsZero() && s.ConfirmedAt.IsZero() {
			all = append(all, s)
		}
	}
	return all
}

// Holds says whether somebody has a role in an incident, or stands in for whoever has.
func (in Incident) Holds(person string) bool {
	return person != "" && slices.ContainsFunc(in.Seats(), func(s Seat) bool { return s.Person == person || s.StandIn == person })
}

// commandedBy refuses what only the commander decides to everybody else, from when somebody has taken command. Before that whoever may command may decide,
// because nothing waits for a person who is still being called.
func (in Incident) commandedBy(by string) error {
	if in.Seat(RoleCommander).ConfirmedAt.IsZero() || in.Commander == by {
		return nil
	}
	return fault.New(fault.Conflict, "%s has command of this incident: ask her, or take command first and say why", in.Commander)
}

// What [Post.Seat] may be besides a role in the incident.
const (
	SeatAll  = "all"  // everybody who has a role
	SeatOpen = "open" // whoever was called and has not confirmed

	SeatOwner = "owner" // of a stream, whoever owns it
)

// posts puts people in the place of the posts that name a role in an incident; record is what the deadline is of. A role that is empty is whoever is on duty for it.
func (in Incident) posts(record string, all []Post) (out []Post) {
	for _, p := range all {
		switch p.Seat {
		case "":
			out = append(out, p)
			continue
		case SeatOwner:
			out = append(out, in.streamOwner(record)...)
			continue
		}
		var of []Seat
		switch p.Seat {
		case SeatAll:
			of = in.Seats()
		case SeatOpen:
			of = in.unconfirmed()
		default:
			of = []Seat{in.Seat(p.Seat)}
		}
		for _, s := range of {
			who := s.Person
			if p.StandIn {
				who = s.StandIn
			}
			switch role := staffRole(s.Role); {
			case who != "" && (p.StandIn || s.Role != RoleCommander || !s.ConfirmedAt.IsZero()):
				out = append(out, Post{Person: who})
			case s.Role == RoleCommander && who != "": // whoever declared it has it, and may not know
				out = append(out, Post{Person: who}, Post{Role: role})
			case p.Seat != SeatAll && slices.Contains([]string{"commander", "comms", "approver"}, role):
				out = append(out, Post{Role: role}) // these few are asked together; nobody wakes every engineer
			}
		}
	}
	return out
}

// crewLadder is who is told of what an incident's roles promise, where the policy has no ladder for it and it is known who the staff are.
func crewLadder(what string) Ladder {
	switch what {
	case RolesDue: // no answer: the stand-in, then the commander, who names somebody, then management
		return Ladder{{Staff: []Post{{Seat: SeatOpen, StandIn: true}}}, {After: 10 * time.Minute, Staff: []Post{{Seat: RoleCommander}}}, {After: 30 * time.Minute, Staff: []Post{{Role: "approver"}}}}
	case StreamDue:
		return Ladder{{Staff: []Post{{Seat: SeatOwner}}}, {After: 15 * time.Minute, Staff: []Post{{Seat: RoleCommander}}}, {After: 45 * time.Minute, Staff: []Post{{Role: "approver"}}}}
	case SeverityDue, PartyDue:
		return Ladder{{Staff: []Post{{Seat: RoleCommander}}}, {After: 10 * time.Minute, Staff: []Post{{Seat: RoleCommander, StandIn: true}}}, {After: 30 * time.Minute, Staff: []Post{{Role: "approver"}}}}
	case ApprovalDue:
		return Ladder{{Staff: []Post{{Seat: RoleApprover}}}, {After: 10 * time.Minute, Staff: []Post{{Seat: RoleApprover, StandIn: true}}}, {After: 20 * time.Minute, Staff: []Post{{Role: "approver"}}}}
	case Meeting: // the reminder, then that it was missed
		return Ladder{{Staff: []Post{{Seat: SeatAll}}}, {After: 15 * time.Minute, Staff: []Post{{Seat: RoleCommander}, {Seat: RoleCommander, StandIn: true}}}, {After: time.Hour, Staff: []Post{{Role: "approver"}}}}
	}
	return nil
}

// rostered is who is on duty for a role of an incident: the first has it, the second stands in. Somebody who has another role already comes last.
func (r *Room) rostered(tx *store.Tx, in Incident, role string) (person, standIn string, err error) {
	staff := staffRole(role)
	if r.Rostered == nil || staff == "" {
		return "", "", nil
	}
	ids, err := r.Rostered(tx, staff, tx.Now())
	if err != nil {
		return "", "", err
	}
	slices.SortStableFunc(ids, func(a, b string) int { return cmp.Compare(busy(in, a), busy(in, b)) })
	ids = append(ids, "", "")
	return ids[0], ids[1], nil
}

func busy(in Incident, person string) int {
	if in.Holds(person) {
		return 1
	}
	return 0
}

// crewUp calls whoever is on duty for each role of a grave incident, and says by whom. A role that nobody of the staff has is not asked for.
func (r *Room) crewUp(tx *store.Tx, p *paging, in *Incident) (called []Post, err error) {
	for _, role := range incidentRoles {
		if role.staff == "" || !in.Seat(role.role).CalledAt.IsZero() {
			continue
		}
		has, err := p.people(Rung{Staff: []Post{{Role: role.staff}}})
		if err != nil {
			return nil, err
		}
		if len(has) == 0 {
			continue
		}
		s := Seat{Role: role.role, CalledAt: tx.Now()}
		person, standIn, err := r.rostered(tx, *in, role.role)
		if err != nil {
			return nil, err
		}
		s.Person, s.StandIn = person, standIn
		if role.role == RoleCommander { // it stays with whoever declared until somebody takes it
			if s.StandIn = person; s.StandIn == in.Commander {
				s.StandIn = standIn
			}
			s.Person = in.Commander
		}
		in.seat(s)
		if person != "" {
			called = append(called, Post{Person: person})
		}
	}
	return called, nil
}

// keepCrew brings what an incident's roles promise to where they stand: that everybody confirms, and that the core team meets. Anew: somebody was called just
// now, and has the whole time to confirm.
func (r *Room) keepCrew(tx *store.Tx, id, by string, in Incident, anew bool) error {
	if in.State == Closed {
		return nil
	}
	switch {
	case len(in.unconfirmed()) == 0:
		return r.keep(tx, id, RolesDue, by)
	case anew:
		return r.Move(tx, Deadline{What: RolesDue, Of: id, Incident: id, Due: tx.Now().Add(r.Policy.Commanded)})
	}
	return nil
}

// becomesGrave calls people out when an incident is graver than it was declared, as a declaration does.
func (r *Room) becomesGrave(tx *store.Tx, id, by string, was Incident, in *Incident) error {
	if grave(was.Severity) || !grave(in.Severity) || in.State != Open {
		return nil
	}
	if err := r.beginPlaybooks(tx, id, by, *in); err != nil || r.Staffed == nil {
		return err
	}
	crew, err := r.crew(tx, in)
	if err != nil {
		return err
	}
	return r.callOut(tx, id, *in, crew)
}

// Naming is what is said of who has a role; what is nil stays.
type Naming struct {
	Person  *string `json:"person"`
	StandIn *string `json:"stand_in"`
	Reason  string  `json:"reason"`
}

// NameRole says who has a role in an incident and who stands in; both are called at once, and whoever has the role confirms it. Only the commander names.
// That the people exist and may do what the role does is the caller's to see.
func (r *Room) NameRole(ctx context.Context, by, incident, role string, n Naming) (store.Rec[Incident], error) {
	return r.change(ctx, store.Act{By: by, Verb: "incident.name", Reason: n.Reason}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		if err := in.mayStaff(by, role); err != nil {
			return in, err
		}
		was := in.Seat(role)
		to := was
		var f []fault.Field
		for _, s := range []struct {
			field string
			from  *string
			to    *string
		}{{"person", n.Person, &to.Person}, {"stand_in", n.StandIn, &to.StandIn}} {
			if s.from != nil {
				*s.to = strings.TrimSpace(*s.from)
				f = shortProse.bad(f, s.field, *s.to)
			}
		}
		if to.Person != "" && to.Person == to.StandIn {
			f = append(f, wrong("stand_in", "has the role herself"))
		}
		if role == RoleCommander && to.Person == "" {
			f = append(f, fault.Field{Field: "person", Code: codeMissing, Reason: "is missing: an incident is never without a commander"})
		}
		f = prose{most: 1000, lines: true, required: was.Person != "" && was.Person != to.Person}.bad(f, "reason", n.Reason)
		if len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		var call []Post
		if to.Person != was.Person {
			to.CalledAt, to.ConfirmedAt = tx.Now(), time.Time{}
			if to.Person == by {
				to.ConfirmedAt = tx.Now()
			} else if to.Person != "" {
				call = append(call, Post{Person: to.Person})
			}
		}
		if to.StandIn != was.StandIn && to.StandIn != "" && to.StandIn != by {
			call = append(call, Post{Person: to.StandIn})
		}
		in.seat(to)
		if to.Person != was.Person {
			if err := r.noteSeat(tx, id, by, was, to, n.Reason); err != nil {
				return in, err
			}
		}
		return in, r.reseated(tx, id, by, in, was, to, call)
	})
}

// mayStaff says whether somebody may change who has a role.
func (in Incident) mayStaff(by, role string) error {
	if !slices.Contains(IncidentRoles(), role) {
		return fault.New(fault.NotFound, "there is no role %.40q in an incident; the roles are %s", role, strings.Join(IncidentRoles(), ", "))
	}
	if err := in.notClosed(); err != nil {
		return err
	}
	return in.commandedBy(by)
}

// reseated keeps what follows when somebody else has a role: the log, whoever is called, and the promises.
func (r *Room) reseated(tx *store.Tx, id, by string, in Incident, was, to Seat, call []Post) error {
	if to.StandIn != was.StandIn {
		if err := r.note(tx, id, by, "stand_in", to.Role+": "+cmp.Or(was.StandIn, "-")+" → "+cmp.Or(to.StandIn, "-")); err != nil {
			return err
		}
	}
	if to.Role == RoleCommander && to.Person != was.Person {
		if err := r.commandPasses(tx, id, by, to, in); err != nil {
			return err
		}
	}
	if err := r.callAll(tx, id, in, call); err != nil {
		return err
	}
	if err := r.keepCrew(tx, id, by, in, to.CalledAt != was.CalledAt); err != nil {
		return err
	}
	return r.meets(tx, id, in)
}

// noteSeat puts into the log who has a role now.
func (r *Room) noteSeat(tx *store.Tx, id, by string, was, to Seat, reason string) error {
	text := "confirmed"
	if was.Person != to.Person {
		text = cmp.Or(was.Person, "-") + " → " + cmp.Or(to.Person, "-")
	}
	if reason != "" {
		text += ": " + reason
	}
	if to.Role == RoleCommander {
		return r.note(tx, id, by, "commander", text)
	}
	return r.note(tx, id, by, "role", to.Role+": "+text)
}

// commandPasses moves what is promised of the commander to the new one.
func (r *Room) commandPasses(tx *store.Tx, id, by string, to Seat, in Incident) error {
	if !to.ConfirmedAt.IsZero() {
		if err := r.keep(tx, id, Command, by); err != nil {
			return err
		}
		return r.asksSeverity(tx, id, in)
	}
	if r.Staffed == nil {
		return nil
	}
	return r.promiseCommand(tx, id)
}

// asksSeverity asks whoever took command of a grave incident whether it is as grave as was said.
func (r *Room) asksSeverity(tx *store.Tx, id string, in Incident) error {
	if !grave(in.Severity) || in.State != Open {
		return nil
	}
	return r.Move(tx, Deadline{What: SeverityDue, Of: id, Incident: id, Page: "/desk/incidents/" + id, Due: tx.Now().Add(r.Policy.SeverityConfirmed)})
}

// callAll tells people of an incident as at its declaration.
func (r *Room) callAll(tx *store.Tx, id string, in Incident, posts []Post) error {
	if len(posts) == 0 {
		return nil
	}
	to, err := r.paging(tx, tx.Now()).people(Rung{Staff: posts})
	if err != nil || len(to) == 0 {
		return err
	}
	return r.sayDeclared(tx, id, in, to)
}

func (r *Room) sayDeclared(tx *store.Tx, id string, in Incident, to []Direct) error {
	if in.Confined() {
		in.Title, in.Summary, in.Impact = r.mailedTitle(in), "", ""
	}
	data, err := json.Marshal(templates.Declared{Title: in.Title, Severity: in.Severity, Category: in.Category, Summary: in.Summary, Impact: in.Impact,
		At: in.DeclaredAt, URL: r.deskURL(id), Drill: in.Drill})
	if err != nil {
		return fmt.Errorf("write the facts of a declaration: %w", err)
	}
	_, err = r.tell(tx, Notice{Lane: LaneUrgent, Name: templates.MsgDeclared, Channels: channelsOf(to), To: to, Data: data})
	return err
}

// TakeRole makes somebody the one who has a role in an incident, or confirms that she has it. The stand-in of somebody who has not confirmed takes it at once;
// who takes it from somebody else says why. That she may do what the role does is the caller's to see.
func (r *Room) TakeRole(ctx context.Context, by, incident, role, reason string) (store.Rec[Incident], error) {
	return r.change(ctx, store.Act{By: by, Verb: "incident.role", Reason: reason}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		if !slices.Contains(IncidentRoles(), role) {
			return in, in.mayStaff(by, role)
		}
		if err := in.notClosed(); err != nil {
			return in, err
		}
		if f := (prose{most: 1000, lines: true}).bad(nil, "reason", reason); len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		was := in.Seat(role)
		standsIn := was.StandIn == by && was.ConfirmedAt.IsZero() && role != RoleCommander
		if was.Person != "" && was.Person != by && !standsIn && strings.TrimSpace(reason) == "" {
			return in, fault.BadField("reason", "is missing: say why it goes over to you")
		}
		to := was
		to.Person, to.ConfirmedAt = by, tx.Now()
		if to.StandIn == by { // no role is left without somebody behind it, as long as somebody is on duty
			person, standIn, err := r.rostered(tx, in, role)
			if err != nil {
				return in, err
			}
			if to.StandIn = person; person == by {
				to.StandIn = standIn
			}
		}
		if to.CalledAt.IsZero() {
			to.CalledAt = tx.Now()
		}
		if role == RoleCommander {
			if err := r.keep(tx, id, Command, by); err != nil {
				return in, err
			}
			if was.ConfirmedAt.IsZero() && was.Person == by {
				if err := r.asksSeverity(tx, id, in); err != nil {
					return in, err
				}
			}
		}
		in.seat(to)
		if err := r.noteSeat(tx, id, by, was, to, reason); err != nil {
			return in, err
		}
		return in, r.reseated(tx, id, by, in, was, to, nil)
	})
}

// ConfirmSeverity is the commander's word for how bad an incident is: that it is as was said, or another severity with the reason.
func (r *Room) ConfirmSeverity(ctx context.Context, by, incident, severity, reason string) (store.Rec[Incident], error) {
	return r.change(ctx, store.Act{By: by, Verb: "incident.severity", Reason: reason}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		if in.Commander != by {
			return in, fault.New(fault.Conflict, "the severity is confirmed by who has command: take command first")
		}
		a := Amend{Severity: &severity, Reason: reason}
		if f := a.bad(r.Policy, in, tx.Now()); len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		if severity == in.Severity {
			if err := r.keep(tx, id, SeverityDue, by); err != nil {
				return in, err
			}
			return in, r.note(tx, id, by, "severity_confirmed", severity)
		}
		return r.amend(tx, id, by, in, a)
	})
}
