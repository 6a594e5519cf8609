package portal

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// placeAnswer is where a site of an account stands in an incident that is open.
type placeAnswer struct {
	Incident string    `json:"incident_id"`
	Title    string    `json:"title"`
	Site     string    `json:"site_id"`
	State    string    `json:"state"`
	NoAnswer bool      `json:"no_answer"`
	At       time.Time `json:"at"`
}

// wordAnswer is an update that an account was told, with what became of it on the way to each address.
type wordAnswer struct {
	Update   string       `json:"update_id"`
	Incident string       `json:"incident_id"`
	Number   int          `json:"number"`
	Headline string       `json:"headline"`
	At       time.Time    `json:"at"`
	Told     []toldAnswer `json:"deliveries"`
	More     bool         `json:"more"`
}

type toldAnswer struct {
	Contact string    `json:"contact_id,omitempty"`
	Channel string    `json:"channel"`
	Address string    `json:"address"` // masked
	State   string    `json:"state"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at"`
}

// noteAnswer is what was written down about a call.
type noteAnswer struct {
	Ticket string    `json:"ticket_id"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Text   string    `json:"text"`
}

// workAnswer is everything that is and was done for an account beside its sites and contacts. A list that the caller may not read is empty.
type workAnswer struct {
	Tickets     []ticketAnswer `json:"tickets"` // newest first
	Next        string         `json:"tickets_next"`
	Tasks       []taskAnswer   `json:"tasks"`
	Escalations []taskAnswer   `json:"escalations"`
	Calls       []taskAnswer   `json:"calls"`
	CallNotes   []noteAnswer   `json:"call_notes"`
	Places      []placeAnswer  `json:"places"`
	Messages    []wordAnswer   `json:"messages"`
	Cut         bool           `json:"cut"` // there is more than is shown
}

// workOf reads an account's work, as far as the person who asks may see it.
func (k *call) workOf(account, after string) (workAnswer, error) {
	a := workAnswer{Tickets: []ticketAnswer{}, Tasks: []taskAnswer{}, Escalations: []taskAnswer{}, Calls: []taskAnswer{}, CallNotes: []noteAnswer{}, Places: []placeAnswer{}, Messages: []wordAnswer{}}
	w, err := k.workOn(account, after)
	if err != nil {
		return a, err
	}
	known, err := k.customer(account)
	if err != nil {
		return a, err
	}
	a.Cut = w.Cut
	for _, p := range known.Places {
		a.Places = append(a.Places, placeAnswer{p.Incident, p.Title, p.Site, p.State, p.NoAnswer, p.At})
	}
	if k.person.Can(auth.TicketRead) == nil {
		a.Next = w.Next
		levels, err := k.p.Desk.Levels(k.UserContext(), w.Tickets)
		if err != nil {
			return a, err
		}
		for _, rec := range w.Tickets {
			a.Tickets = append(a.Tickets, ticketOf(rec.ID, rec.Version, rec.Created, rec.Updated, rec.Value, levels[rec.ID], nil))
		}
		for _, call := range w.Calls {
			for _, m := range w.Notes[call.Value.Of] {
				a.CallNotes = append(a.CallNotes, noteAnswer{call.Value.Of, m.By, m.At, m.Text})
			}
			delete(w.Notes, call.Value.Of)
		}
	}
	if k.person.Can(auth.TaskRead) == nil {
		for _, l := range []struct {
			from []store.Rec[comms.Task]
			to   *[]taskAnswer
		}{{w.Tasks, &a.Tasks}, {w.Escalations, &a.Escalations}, {w.Calls, &a.Calls}} {
			for _, rec := range l.from {
				*l.to = append(*l.to, k.p.task(rec))
			}
		}
	}
	if k.person.Can(auth.UpdateRead) == nil {
		for _, s := range known.Said {
			a.Messages = append(a.Messages, wordOf(s))
		}
	}
	return a, nil
}

func wordOf(s comms.Word) wordAnswer {
	w := wordAnswer{Update: s.Update, Incident: s.Incident, Number: s.Number, Headline: s.Headline, At: s.At, Told: []toldAnswer{}, More: s.More}
	for _, t := range s.Told {
		w.Told = append(w.Told, toldAnswer{t.Contact, t.Channel, maskAddress(t.Channel, t.Address), string(t.State), t.Reason, t.At})
	}
	return w
}

// IncidentsReport says how incidents were found, with the signals that were logged in the same time; how soon tickets were answered, by which routes customers
// escalated, and how promises were kept.
type IncidentsReport struct {
	comms.Found
	Signals     int                 `json:"signals"`
	Answers     desk.FirstAnswers   `json:"first_answers"`
	Escalations map[string]int      `json:"escalations"` // by route
	Promises    comms.PromiseReport `json:"promises"`
}

// boardAnswer is how the tickets of an incident stand, with the files that its record begins with.
type boardAnswer struct {
	desk.Dashboard
	Files []attachmentAnswer `json:"first_ticket_files"`
}

type signalAnswer struct {
	Ticket string `json:"ticket"`
}

type callBody struct {
	At    time.Time `json:"at"`
	Zone  string    `json:"zone"`
	Owner string    `json:"owner,omitempty"`
}

type notesBody struct {
	Notes string `json:"notes"`
}

func (p *Portal) caseRoutes() []route {
	const api = "/api/v1"
	return []route{
		{method: "GET", path: api + "/incidents/:id/tickets", right: auth.TicketRead, tag: "tickets", summary: "how the tickets of an incident stand, with a site or without; general: those of none", answer: boardAnswer{}, do: func(k *call) error {
			b, err := p.Desk.Dashboard(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			files, err := p.Desk.FirstFiles(k.UserContext(), b)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, boardAnswer{b, attachmentsOf(files)})
		}},
		{method: "POST", path: api + "/incidents/:id/classify", right: auth.IncidentEdit, tag: "incidents", summary: "say how bad it is, on six facts; customer and system may be empty", needs: []string{"found_by", "detected_at", "scope_estimate", "impact", "severity"},
			body: comms.Classify{}, answer: incidentAnswer{}, do: func(k *call) error {
				var in comms.Classify
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				version, err := k.ifMatch()
				if err != nil {
					return err
				}
				if err := k.mayRecategorise(in.Category); err != nil {
					return err
				}
				rec, err := p.Comms.Classify(k.UserContext(), k.person.ID, k.Params("id"), version, in)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, p.incident(rec))
			}},
		{method: "POST", path: api + "/tasks/:id/incident", right: auth.IncidentDeclare, tag: "tasks", summary: "declare the incident that a task proposes; the tickets of a burst are held by it", status: 201, needs: []string{"severity"},
			body: comms.Declare{}, answer: incidentAnswer{}, do: func(k *call) error {
				var in comms.Declare
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				rec, err := p.Desk.Promote(k.UserContext(), k.person.ID, k.Params("id"), in)
				if err != nil {
					return err
				}
				k.Set(fiber.HeaderLocation, api+"/incidents/"+rec.ID)
				return send(k.Ctx, 201, p.incident(rec))
			}},
		{method: "GET", path: api + "/reports/incidents", right: auth.IncidentRead, tag: "incidents", summary: "how incidents were found, and what part by customers; first answers, escalations by route, and by month and year how promises were kept", query: []string{"from", "to"}, answer: IncidentsReport{}, do: (*call).foundReport},
		{method: "POST", path: api + "/signals", right: auth.TicketFile, tag: "tickets", summary: "write down what was said in public about trouble; it is counted and never shown", status: 201, needs: []string{"words"},
			body: desk.Signal{}, answer: signalAnswer{}, do: func(k *call) error {
				var in desk.Signal
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				number, err := p.Desk.LogSignal(k.UserContext(), k.person.ID, in)
				if err != nil {
					return err
				}
				return send(k.Ctx, 201, signalAnswer{number})
			}},
		{method: "POST", path: api + "/escalations", right: auth.TicketFile, tag: "tickets", summary: "write down an escalation, whatever route it came by, as a ticket and a task", status: 201, needs: []string{"route", "words"},
			body: desk.Heard{}, answer: desk.Logged{}, do: func(k *call) error { return k.heard(p.Desk.Escalate) }},
		{method: "POST", path: api + "/tickets/heard", right: auth.TicketFile, tag: "tickets", summary: "write down what reached staff outside the forms, as a ticket", status: 201, needs: []string{"route", "words"},
			body: desk.Heard{}, answer: desk.Logged{}, do: func(k *call) error { return k.heard(p.Desk.WriteDown) }},
		{method: "GET", path: api + "/escalations", right: auth.TaskRead, tag: "tickets", summary: "escalations, the one due first in front", query: []string{"state", "after", "limit"}, answer: list[taskAnswer]{}, do: func(k *call) error {
			return k.tasksOf(p.Desk.Escalations)
		}},
		{method: "GET", path: api + "/escalations/count", right: auth.TaskRead, tag: "tickets", summary: "open escalations by route and by owner, of one incident or of all", query: []string{"incident"}, answer: comms.Tally{}, do: func(k *call) error {
			t, err := k.tally()
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, t)
		}},
		{method: "GET", path: api + "/calls", right: auth.TaskRead, tag: "tickets", summary: "calls that were promised, the next one in front", query: []string{"state", "after", "limit"}, answer: list[taskAnswer]{}, do: func(k *call) error {
			return k.tasksOf(p.Desk.Calls)
		}},
		{method: "POST", path: api + "/tickets/:number/calls", right: auth.TicketWrite, tag: "tickets", summary: "book a call, or move the one that is booked; the customer is told", status: 201, needs: []string{"at", "zone"},
			body: callBody{}, answer: taskAnswer{}, do: func(k *call) error {
				var in callBody
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				rec, err := p.Desk.BookCall(k.UserContext(), k.person.ID, desk.Booking{Ticket: k.Params("number"), At: in.At, Zone: in.Zone, Owner: in.Owner})
				if err != nil {
					return err
				}
				return send(k.Ctx, 201, p.task(rec))
			}},
		{method: "POST", path: api + "/calls/:id/notes", right: auth.TicketWrite, tag: "tickets", summary: "end a call with what was said in it", needs: []string{"notes"},
			body: notesBody{}, answer: taskAnswer{}, do: func(k *call) error {
				var in notesBody
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				version, err := k.ifMatch()
				if err != nil {
					return err
				}
				if err := p.Desk.Talked(k.UserContext(), k.person.ID, k.Params("id"), version, in.Notes); err != nil {
					return err
				}
				rec, err := p.Comms.Task(k.UserContext(), k.Params("id"))
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, p.task(rec))
			}},
		{method: "GET", path: "/desk/incidents/:id/tickets", page: true, right: auth.TicketRead, do: (*call).dashboard},
		{method: "GET", path: "/desk/escalations", page: true, right: auth.TaskRead, do: func(k *call) error { return k.escalations(200, desk.Heard{}, nil) }},
		{method: "POST", path: "/desk/escalations", page: true, right: auth.TicketFile, do: (*call).escalate},
		{method: "POST", path: "/desk/tasks/:id/incident", page: true, right: auth.IncidentDeclare, do: func(k *call) error {
			in := comms.Declare{Title: k.FormValue("title"), Severity: k.FormValue("severity"), Category: k.FormValue("category"), Impact: k.FormValue("impact")}
			rec, err := p.Desk.Promote(k.UserContext(), k.person.ID, k.Params("id"), in)
			if err != nil {
				return k.taskPage(problemOf(err).Status, err)
			}
			return k.Redirect("/desk/incidents/"+rec.ID, fiber.StatusSeeOther)
		}},
	}
}

func (k *call) heard(do func(context.Context, string, desk.Heard) (desk.Logged, error)) error {
	var in desk.Heard
	if err := decode(k.Ctx, &in); err != nil {
		return err
	}
	out, err := do(k.UserContext(), k.person.ID, in)
	if err != nil {
		return err
	}
	return send(k.Ctx, 201, out)
}

func (k *call) tasksOf(read func(context.Context, string, string, int) ([]store.Rec[comms.Task], string, error)) error {
	limit, err := limitParam(k.Ctx)
	if err != nil {
		return err
	}
	page, next, err := read(k.UserContext(), k.Query("state"), k.Query("after"), limit)
	if err == nil {
		page, err = openTo(k, page, ofTask)
	}
	if err != nil {
		return err
	}
	return sendList(k, page, next, k.p.task)
}

// tally counts the open escalations, of the incident that the query names or of all.
func (k *call) tally() (comms.Tally, error) {
	id := k.Query("incident")
	if id != "" {
		in, err := k.p.Comms.Incident(k.UserContext(), id)
		if err != nil {
			return comms.Tally{}, err
		}
		id = in.ID
	}
	closed, err := k.closedTo()
	if err != nil {
		return comms.Tally{}, err
	}
	return k.p.Comms.CountFamily(k.UserContext(), comms.Escalation, id, closed)
}

func (k *call) foundReport() error {
	from, err := timeParam(k.Ctx, "from")
	if err != nil {
		return err
	}
	to, err := timeParam(k.Ctx, "to")
	if err != nil {
		return err
	}
	if !to.IsZero() && !from.Before(to) {
		return fault.BadField("to", "must be after from")
	}
	closed, err := k.closedTo()
	if err != nil {
		return err
	}
	found, err := k.p.Comms.FoundReport(k.UserContext(), from, to, closed)
	if err != nil {
		return err
	}
	signals, err := k.p.Desk.Signals(k.UserContext(), from, to)
	if err != nil {
		return err
	}
	a := IncidentsReport{Found: found, Signals: signals}
	if a.Answers, err = k.p.Desk.Answered(k.UserContext(), from, to, closed); err != nil {
		return err
	}
	if a.Escalations, err = k.p.Comms.Routed(k.UserContext(), comms.Escalation, from, to, closed); err != nil {
		return err
	}
	if a.Promises, err = k.p.Comms.KeptReport(k.UserContext(), from, to, closed); err != nil {
		return err
	}
	return send(k.Ctx, 200, a)
}

// dashboardView is how the tickets of one incident stand.
type dashboardView struct {
	shell
	Incident incidentAnswer
	Board    desk.Dashboard
	Affected int
	Signals  int
	Tally    comms.Tally
	Steps    []stepShown
	Bars     []bar
	Most     int
	Files    []attachedFile // of the first ticket
}

// bar is an hour of a picture, on a field of 1000 by 100: two counts beside each other, as high as they are and as they are counted.
type bar struct {
	X, Left, LeftY, Right, RightY int
	From                          time.Time
	N, M                          int
}

func (k *call) dashboard() error {
	ctx := k.UserContext()
	rec, err := k.p.Comms.Incident(ctx, k.Params("id"))
	if err != nil {
		return err
	}
	v := dashboardView{shell: k.shell("desk.dash.title"), Incident: k.p.incident(rec)}
	if v.Board, err = k.p.Desk.Dashboard(ctx, rec.ID); err != nil {
		return err
	}
	first, err := k.p.Desk.FirstFiles(ctx, v.Board)
	if err != nil {
		return err
	}
	for _, a := range first {
		v.Files = append(v.Files, attachedFile{Attachment: a, Words: v.Words, URL: "/desk/tickets/" + v.Board.First + "/files/" + a.ID})
	}
	ledger, err := k.p.ledgerLately(ctx, rec.ID)
	if err != nil {
		return err
	}
	v.Affected = ledger.Sites.Total
	if v.Tally, err = k.p.Comms.CountFamily(ctx, comms.Escalation, rec.ID, nil); err != nil {
		return err
	}
	if v.Signals, err = k.p.Desk.Signals(ctx, rec.Value.DetectedAt.Add(-24*time.Hour), time.Time{}); err != nil {
		return err
	}
	v.Steps = k.p.steps(v.Words, v.Incident.Flow, v.Board.ByStep)
	v.Bars, v.Most = bars(v.Board.Hours, func(h desk.Hour) (time.Time, int, int) { return h.From, h.Filed, h.Answered })
	return k.p.render(k.Ctx, 200, "desk_dashboard", v)
}

// bars draw hours, the highest as high as the field.
func bars[H any](hours []H, of func(H) (from time.Time, left, right int)) (all []bar, most int) {
	for _, h := range hours {
		_, n, m := of(h)
		most = max(most, n, m)
	}
	for i, h := range hours {
		b := bar{X: i * 1000 / len(hours)}
		if b.From, b.N, b.M = of(h); most > 0 {
			b.Left, b.Right = b.N*100/most, b.M*100/most
		}
		b.LeftY, b.RightY = 100-b.Left, 100-b.Right
		all = append(all, b)
	}
	return all, most
}

// escalationsView is the list of escalations and the form for one more.
type escalationsView struct {
	shell
	Open    []store.Rec[comms.Task]
	Next    string
	Tally   comms.Tally
	Routes  []string
	Form    desk.Heard
	Impacts []string
	Done    string // number of the ticket that was just written down
	Calls   []store.Rec[comms.Task]
	Signal  bool // one was just written down
}

func (k *call) escalations(status int, form desk.Heard, refused error) error {
	ctx := k.UserContext()
	v := escalationsView{shell: k.shell("desk.esc.title"), Routes: desk.EscalationRoutes(), Form: form, Done: k.Query("done"), Signal: k.Query("signal") != "", Impacts: []string{desk.LostAccess, desk.Degraded, desk.Question}}
	closed, err := k.closedTo()
	if err != nil {
		return err
	}
	if v.Open, v.Next, err = k.p.Desk.Escalations(ctx, comms.Open, k.Query("after"), 100); err != nil {
		return err
	}
	if v.Tally, err = k.p.Comms.CountFamily(ctx, comms.Escalation, "", closed); err != nil {
		return err
	}
	if v.Calls, _, err = k.p.Desk.Calls(ctx, comms.Open, "", 50); err != nil {
		return err
	}
	v.Open, v.Calls = leaveOut(closed, v.Open, ofTask), leaveOut(closed, v.Calls, ofTask)
	if refused != nil {
		v.refused(refused)
	}
	return k.p.render(k.Ctx, status, "desk_escalations", v)
}

func (k *call) escalate() error {
	in := desk.Heard{Route: k.FormValue("route"), Words: k.FormValue("words"), Ticket: k.FormValue("ticket"), Name: k.FormValue("name"), Email: k.FormValue("email"),
		Phone: k.FormValue("phone"), Company: k.FormValue("company"), Account: k.FormValue("account_id"), Impact: k.FormValue("impact")}
	if k.FormValue("mine") != "" {
		in.Owner = k.person.ID
	}
	out, err := k.p.Desk.Escalate(k.UserContext(), k.person.ID, in)
	if err != nil {
		return k.escalations(problemOf(err).Status, in, err)
	}
	return k.Redirect("/desk/escalations?done="+out.Ticket, fiber.StatusSeeOther)
}

// timeParam reads a time of the query; zero when it is not there.
func timeParam(c *fiber.Ctx, name string) (time.Time, error) {
	if c.Query(name) == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, c.Query(name))
	if err != nil {
		return at, fault.BadField(name, "must be a time such as 2022-04-05T08:00:00Z")
	}
	return at, nil
}
