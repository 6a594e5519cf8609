package portal

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Who does what in an incident: the roles with their stand-ins, the word for how bad it is, and the meetings of the core team.

// seatRights is what somebody must be able to do to have a role in an incident.
var seatRights = map[string]auth.Right{
	comms.RoleCommander: auth.IncidentEdit, comms.RoleComms: auth.UpdatePublish, comms.RoleApprover: auth.UpdateApprove, comms.RoleSupport: auth.TicketWrite,
	comms.RoleEngineering: auth.LedgerMove, comms.RoleSecurity: auth.SecuritySet, comms.RoleDriver: auth.IncidentRole,
}

type seatAnswer struct {
	comms.Seat
	Name        string `json:"name"` // of the person; "": nobody, or nobody of the staff
	StandInName string `json:"stand_in_name"`
}

type severityBody struct {
	Severity string `json:"severity"`
	Reason   string `json:"reason,omitempty"`
}

type meetingAnswer struct {
	NextAt time.Time `json:"next_at"`
}

func (p *Portal) crewRoutes() []route {
	const api, page = "/api/v1/incidents/:id", "/desk/incidents/:id/team"
	return []route{
		{method: "GET", path: api + "/roles", right: auth.IncidentRead, tag: "incidents", summary: "who has which role, who stands in, and who has confirmed", answer: list[seatAnswer]{}, do: func(k *call) error {
			rec, err := p.Comms.Incident(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			all, err := k.seats(rec.Value)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, list[seatAnswer]{Items: all})
		}},
		{method: "POST", path: api + "/roles/:role/take", right: auth.IncidentRole, tag: "incidents", summary: "confirm that one has a role, or take it: as a stand-in at once, from somebody else with a reason", body: reasonBody{}, answer: incidentAnswer{}, do: func(k *call) error {
			var in reasonBody
			if err := k.optional(&in); err != nil {
				return err
			}
			rec, err := k.takeRole(k.Params("role"), in.Reason)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, p.incident(rec))
		}},
		{method: "PUT", path: api + "/roles/:role", right: auth.IncidentEdit, tag: "incidents", summary: "say who has a role and who stands in; both are called; only the commander does", body: comms.Naming{}, answer: incidentAnswer{}, do: func(k *call) error {
			var in comms.Naming
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, err := k.nameRole(k.Params("role"), in)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, p.incident(rec))
		}},
		{method: "POST", path: api + "/severity", right: auth.IncidentEdit, tag: "incidents", summary: "the commander confirms the severity, or sets another with the reason", needs: []string{"severity"}, body: severityBody{}, answer: incidentAnswer{}, do: func(k *call) error {
			var in severityBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, err := p.Comms.ConfirmSeverity(k.UserContext(), k.person.ID, k.Params("id"), in.Severity, in.Reason)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, p.incident(rec))
		}},
		{method: "POST", path: api + "/meetings", right: auth.TaskWork, tag: "incidents", summary: "end a meeting of the core team with its notes, which sets the next", status: 201, needs: []string{"notes"}, body: comms.MeetingNotes{}, answer: meetingAnswer{}, do: func(k *call) error {
			var in comms.MeetingNotes
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			next, err := p.Comms.CloseMeeting(k.UserContext(), k.person.ID, k.Params("id"), in)
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, meetingAnswer{next})
		}},
		{method: "GET", path: page, page: true, right: auth.IncidentRead, do: func(k *call) error { return k.teamPage(200, nil) }},
		{method: "POST", path: page, page: true, right: auth.IncidentRole, do: (*call).changeTeam},
	}
}

// seats are the roles of an incident with the names of who has them.
func (k *call) seats(in comms.Incident) (all []seatAnswer, err error) {
	for _, s := range in.Seats() {
		a := seatAnswer{Seat: s}
		for _, n := range []struct {
			id string
			to *string
		}{{s.Person, &a.Name}, {s.StandIn, &a.StandInName}} {
			if *n.to, err = k.p.Gate.Name(k.UserContext(), n.id); err != nil {
				return nil, err
			}
		}
		all = append(all, a)
	}
	return all, nil
}

func (k *call) takeRole(role, reason string) (rec store.Rec[comms.Incident], err error) {
	if right, known := seatRights[role]; known {
		if err := k.person.Can(right); err != nil {
			return rec, err
		}
	}
	return k.p.Comms.TakeRole(k.UserContext(), k.person.ID, k.Params("id"), role, reason)
}

// nameRole names people who can be called and may do what the role does.
func (k *call) nameRole(role string, in comms.Naming) (rec store.Rec[comms.Incident], err error) {
	if right, known := seatRights[role]; known {
		able, err := k.p.Gate.Able(k.UserContext(), right)
		if err != nil {
			return rec, err
		}
		for _, n := range []struct {
			field string
			id    *string
		}{{"person", in.Person}, {"stand_in", in.StandIn}} {
			if n.id != nil && *n.id != "" && *n.id != k.person.ID && !slices.ContainsFunc(able, func(m auth.Member) bool { return m.ID == *n.id }) {
				return rec, fault.BadField(n.field, "names %.60q, who is none of the staff with an account that may do this", *n.id)
			}
		}
	}
	return k.p.Comms.NameRole(k.UserContext(), k.person.ID, k.Params("id"), role, in)
}

// teamView is the page on which an incident's roles and meetings are kept. Form is what was typed and refused.
type teamView struct {
	shell
	Incident incidentAnswer
	Seats    []seatAnswer
	Naming   string // the role for which somebody is being named
	Able     []auth.Member
	Members  []auth.Member // of the core team, for who was there
	Sides    []teamSide
	Meeting  *comms.Due
	Minutes  []entryAnswer // of the meetings, newest first
	Form     map[string]string
	Here     []string
	Levels   []string // that may be chosen
	Commands bool     // the reader is the commander
}

// teamSide is a list of people beside the roles.
type teamSide struct {
	What   string // contributors, informed
	People []auth.Member
}

func (k *call) teamPage(status int, refused error) error {
	ctx := k.UserContext()
	rec, err := k.p.Comms.Incident(ctx, k.Params("id"))
	if err != nil {
		return err
	}
	v := teamView{shell: k.shell("desk.team"), Incident: k.p.incident(rec), Naming: k.Query("name"), Form: map[string]string{}, Levels: comms.Severities(), Commands: rec.Value.Commander == k.person.ID}
	if v.Seats, err = k.seats(rec.Value); err != nil {
		return err
	}
	if refused != nil {
		v.refused(refused)
		for _, field := range []string{"act", "role", "person", "stand_in", "reason", "notes", "next_at", "severity"} {
			v.Form[field] = k.FormValue(field)
		}
		if v.Here = k.values("present"); v.Form["act"] == "name" {
			v.Naming = v.Form["role"]
		}
	}
	if right, known := seatRights[v.Naming]; known {
		if v.Able, err = k.p.Gate.Able(ctx, right); err != nil {
			return err
		}
	} else if v.Naming != "" {
		if v.Able, err = k.p.Gate.Able(ctx, auth.PageRead); err != nil {
			return err
		}
	}
	seen := map[string]bool{"": true}
	for _, s := range v.Seats {
		for _, m := range []auth.Member{{ID: s.Person, Name: s.Name}, {ID: s.StandIn, Name: s.StandInName}} {
			if !seen[m.ID] && m.Name != "" {
				v.Members = append(v.Members, m)
			}
			seen[m.ID] = true
		}
	}
	for _, side := range []struct {
		what string
		ids  []string
	}{{"contributors", rec.Value.Contributors}, {"informed", rec.Value.Informed}} {
		s := teamSide{What: side.what}
		for _, id := range side.ids {
			name, err := k.p.Gate.Name(ctx, id)
			if err != nil {
				return err
			}
			s.People = append(s.People, auth.Member{ID: id, Name: name})
		}
		v.Sides = append(v.Sides, s)
	}
	due, err := k.p.Comms.Promises(ctx, rec.ID)
	if err != nil {
		return err
	}
	for _, d := range due {
		if d.What == comms.Meeting {
			v.Meeting = &d
		}
	}
	minutes, err := k.p.Comms.NotesOf(ctx, rec.ID, comms.Meeting, comms.MeetingLate)
	if err != nil {
		return err
	}
	if v.Minutes, err = k.read(minutes); err != nil {
		return err
	}
	return k.p.render(k.Ctx, status, "desk_team", v)
}

// Chosen says which of the staff a form has chosen: as was typed, else as it stands.
func (v teamView) Chosen(field, id string) bool {
	if v.Form["act"] == "name" {
		return v.Form[field] == id
	}
	s := v.Incident.Seat(v.Naming)
	return field == "person" && s.Person == id || field == "stand_in" && s.StandIn == id
}

// NamesRole says that somebody is being named for a role.
func (v teamView) NamesRole() bool { return seatRights[v.Naming] != "" }

// There says that somebody was ticked as present at a meeting.
func (v teamView) There(id string) bool { return slices.Contains(v.Here, id) }

// Level is the severity that the form offers.
func (v teamView) Level() string {
	if v.Form["act"] == "severity" {
		return v.Form["severity"]
	}
	return v.Incident.Severity
}

// Says is what belongs to each severity.
func (v teamView) Says() map[string]string {
	all := map[string]string{}
	for _, l := range v.shell.Levels() {
		all[l.Level] = l.Says
	}
	return all
}

// whoever is somebody by name, or by id where no name is known.
type whoever struct {
	Words    templates.Catalog
	ID, Name string
}

// seated is how far a role is taken.
type seated struct {
	seatAnswer
	Words templates.Catalog
	Now   time.Time
}

// Asked are the roles for which the reader was called and that nobody has confirmed.
func (v roomView) Asked() (all []seatAnswer) {
	for _, s := range v.Seats {
		called := !s.CalledAt.IsZero() && s.ConfirmedAt.IsZero()
		mine := s.Person == v.Person.ID || s.StandIn == v.Person.ID
		if right, known := seatRights[s.Role]; called && mine && known && v.Person.Can(right) == nil {
			all = append(all, s)
		}
	}
	return all
}

// values are all values of a field of a form.
func (k *call) values(field string) (all []string) {
	form, err := url.ParseQuery(string(k.Body()))
	if err != nil {
		return nil
	}
	return form[field]
}

func (k *call) changeTeam() error {
	ctx, id := k.UserContext(), k.Params("id")
	var err error
	switch act := k.FormValue("act"); act {
	case "take":
		_, err = k.takeRole(k.FormValue("role"), k.FormValue("reason"))
	case "meeting":
		n := comms.MeetingNotes{Notes: unixLines(k.FormValue("notes")), Present: k.values("present")}
		if typed := strings.TrimSpace(k.FormValue("next_at")); typed != "" {
			at, bad := time.Parse(minuteForm, typed)
			if bad != nil {
				return k.teamPage(422, fault.BadField("next_at", "must be a time such as 2022-04-05T08:00"))
			}
			n.NextAt = &at
		}
		if err = k.person.Can(auth.TaskWork); err == nil {
			_, err = k.p.Comms.CloseMeeting(ctx, k.person.ID, id, n)
		}
	default: // what only who commands may do
		if err = k.person.Can(auth.IncidentEdit); err != nil {
			break
		}
		switch act {
		case "name":
			person, standIn := k.FormValue("person"), k.FormValue("stand_in")
			_, err = k.nameRole(k.FormValue("role"), comms.Naming{Person: &person, StandIn: &standIn, Reason: k.FormValue("reason")})
		case "severity":
			_, err = k.p.Comms.ConfirmSeverity(ctx, k.person.ID, id, k.FormValue("severity"), k.FormValue("reason"))
		case "contributors", "informed":
			err = k.changeSide(act, k.FormValue("person"), k.FormValue("gone"))
		default:
			err = fault.BadField("act", "is none of take, name, severity, meeting, contributors and informed")
		}
	}
	if err != nil {
		return k.teamPage(problemOf(err).Status, err)
	}
	if back := k.FormValue("back"); back == "room" {
		return k.Redirect("/desk/incidents/"+id, fiber.StatusSeeOther)
	}
	return k.Redirect("/desk/incidents/"+id+"/team", fiber.StatusSeeOther)
}

// changeSide adds somebody to those who contribute or are informed, or takes somebody off.
func (k *call) changeSide(side, added, gone string) error {
	rec, err := k.p.Comms.Incident(k.UserContext(), k.Params("id"))
	if err != nil {
		return err
	}
	people := rec.Value.Contributors
	if side == "informed" {
		people = rec.Value.Informed
	}
	people = slices.DeleteFunc(slices.Clone(people), func(id string) bool { return id == gone || id == added })
	if added != "" {
		people = append(people, added)
	}
	in := comms.Amend{Contributors: &people}
	if side == "informed" {
		in = comms.Amend{Informed: &people}
	}
	return k.amend(rec.ID, rec.Version, in)
}

// amend changes an incident whose people, where some are named, are all staff.
func (k *call) amend(id string, version int64, in comms.Amend) error {
	if err := k.allStaff(in); err != nil {
		return err
	}
	_, err := k.p.Comms.Amend(k.UserContext(), k.person.ID, id, version, in)
	return err
}

func (k *call) allStaff(in comms.Amend) error {
	for field, ids := range map[string]*[]string{"contributors": in.Contributors, "informed": in.Informed} {
		if ids == nil {
			continue
		}
		for _, id := range *ids {
			if name, err := k.p.Gate.Name(k.UserContext(), id); err != nil || name == "" {
				if err != nil {
					return err
				}
				return fault.BadField(field, "names %.60q, who is none of the staff", id)
			}
		}
	}
	return nil
}

var staffID = regexp.MustCompile(`stf_[0-9a-z]{26}`)

// read are lines of a log, the newest first, with the names of people where the log holds their ids.
func (k *call) read(log []store.Rec[comms.Entry]) (all []entryAnswer, err error) {
	names := map[string]string{}
	named := func(text string) string {
		return staffID.ReplaceAllStringFunc(text, func(id string) string {
			if names[id] == "" {
				names[id] = id
				name, failed := k.p.Gate.Name(k.UserContext(), id)
				if failed != nil {
					err = failed
				} else if name != "" {
					names[id] = name
				}
			}
			return names[id]
		})
	}
	for _, e := range log {
		a := entryAnswer{e.ID, e.Value}
		a.Text, a.By = named(a.Text), named(a.By)
		all = append(all, a)
	}
	slices.Reverse(all)
	return all, err
}
