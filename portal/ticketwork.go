package portal

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// clockAnswer is one promise of a ticket.
type clockAnswer struct {
	What  string     `json:"what"`  // first_answer, next_answer, resolution
	State string     `json:"state"` // running, late, paused, kept, missed
	Due   *time.Time `json:"due"`
	Left  int64      `json:"left_seconds"` // of working time where hours hold for the priority; negative once it has passed
}

// TicketWork is what staff do with a ticket, beside what a customer sees of it.
type TicketWork struct {
	Owner    string          `json:"owner"`
	Category string          `json:"category"`
	Flow     string          `json:"workflow,omitempty"` // of its incident
	Step     string          `json:"step,omitempty"`     // of that
	Labels   []string        `json:"labels"`
	Held     int             `json:"held"` // messages that wait for a person to release them
	Into     string          `json:"merged_into,omitempty"`
	Merged   []string        `json:"merged,omitempty"`
	Site     string          `json:"site_id,omitempty"`
	Clocks   []clockAnswer   `json:"clocks"`
	Runs     string          `json:"clocks_run,omitempty"` // when: the working hours that hold for the priority; none: round the clock
	Reviews  []desk.Review   `json:"priority_history"`
	Solution *solutionAnswer `json:"solution,omitempty"`
	Ending   *desk.Ending    `json:"ending,omitempty"`
}

type solutionAnswer struct {
	By      string     `json:"by"`
	Text    string     `json:"text"`
	At      time.Time  `json:"at"`
	Asked   int        `json:"asked"`
	AskedAt time.Time  `json:"asked_at"`
	Next    *time.Time `json:"next"` // when she is asked again or her silence counts
}

func (p *Portal) workOf(t desk.Ticket, into string, merged []string) TicketWork {
	a := TicketWork{Owner: t.Owner, Category: t.Category, Flow: t.Flow, Step: t.Step, Labels: t.Labels, Held: t.Held, Site: t.Site, Reviews: t.Reviews, Ending: t.Ending, Into: into, Merged: merged}
	a.Runs = p.Desk.Policy.Runs(t)
	for _, c := range p.Desk.Policy.Clocks(t, p.DB.Now()) {
		a.Clocks = append(a.Clocks, clockAnswer{What: c.What, State: string(c.State), Due: given(c.Due), Left: int64(c.Left / time.Second)})
	}
	if s := t.Solution; s != nil {
		a.Solution = &solutionAnswer{By: s.By, Text: s.Text, At: s.At, Asked: s.Asked, AskedAt: s.AskedAt, Next: given(s.Next)}
	}
	return a
}

// tallyAnswer is a queue with what is open in it.
type tallyAnswer struct {
	Queue      string         `json:"queue"` // an incident's id, or general
	Title      string         `json:"title"`
	Flow       string         `json:"workflow"` // of its incident; "": none
	URL        string         `json:"url"`
	Open       int            `json:"open"`
	State      map[string]int `json:"by_state"`
	Priority   map[string]int `json:"by_priority"`
	Step       map[string]int `json:"by_step"`
	Overdue    int            `json:"overdue"`
	Unassigned int            `json:"unassigned"`
	Mine       int            `json:"mine"`
	Held       int            `json:"held"`
	Oldest     *time.Time     `json:"oldest_new"`
	DueNext    *time.Time     `json:"next_due"`
}

type handleBody struct {
	Priority *string   `json:"priority,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Owner    *string   `json:"owner,omitempty"` // me, "" for nobody, or a staff member's id
	Category *string   `json:"category,omitempty"`
	Queue    *string   `json:"queue,omitempty"`
	Step     *string   `json:"step,omitempty"` // of its workflow
	Labels   *[]string `json:"labels,omitempty"`
	Label    []string  `json:"label,omitempty"`
	Unlabel  []string  `json:"unlabel,omitempty"`
}

type solveBody struct {
	Explanation string `json:"explanation"`
}

type mergeBody struct {
	Into   string `json:"into"`
	Reason string `json:"reason,omitempty"`
}

type splitBody struct {
	Message string `json:"message"`
	Reason  string `json:"reason,omitempty"`
}

type presenceBody struct {
	Types  bool `json:"types,omitempty"`
	Leaves bool `json:"leaves,omitempty"`
}

type presenceAnswer struct {
	Version int64           `json:"version"`
	Others  []presentAnswer `json:"others"`
}

type presentAnswer struct {
	Staff string `json:"staff"`
	Name  string `json:"name"`
	Types bool   `json:"types"`
	Says  string `json:"says"` // in words
}

type alikeAnswer struct {
	Number  string    `json:"number"`
	State   string    `json:"state"`
	FiledAt time.Time `json:"filed_at"`
	Why     []string  `json:"reasons"`    // site, try, address, words, account; the strongest first
	From    string    `json:"merge_from"` // the younger of the two
	Into    string    `json:"merge_into"`
}

type macroAnswer struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

func (p *Portal) ticketWorkRoutes() []route {
	const base = "/api/v1/tickets/:number"
	shown := func(k *call, v desk.View, err error) error {
		if err != nil {
			return err
		}
		return send(k.Ctx, 200, p.wholeTicket(v))
	}
	return []route{
		{method: "GET", path: "/api/v1/queues", right: auth.TicketRead, tag: "tickets", summary: "the queues: one for each open incident, and general; with what is open in them", answer: list[tallyAnswer]{}, do: func(k *call) error {
			all, err := k.queues()
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, list[tallyAnswer]{Items: all})
		}},
		{method: "PATCH", path: base, right: auth.TicketWrite, tag: "tickets", summary: "change its priority (with a reason), owner, category, queue, step or labels", body: handleBody{}, answer: ticketAnswer{}, do: func(k *call) error {
			var in handleBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			version, err := k.ifMatch()
			if err != nil {
				return err
			}
			v, err := k.handle(in, version)
			return shown(k, v, err)
		}},
		{method: "POST", path: base + "/solve", right: auth.TicketWrite, tag: "tickets", summary: "say what solved it and ask the customer whether she agrees; an explanation that explains nothing is refused", needs: []string{"explanation"},
			body: solveBody{}, answer: ticketAnswer{}, do: func(k *call) error {
				var in solveBody
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				version, err := k.ifMatch()
				if err != nil {
					return err
				}
				v, err := p.Desk.Solve(k.UserContext(), k.person.ID, k.Params("number"), in.Explanation, version)
				return shown(k, v, err)
			}},
		{method: "POST", path: base + "/merge", right: auth.TicketWrite, tag: "tickets", summary: "make it part of another; answers with that one", needs: []string{"into"}, body: mergeBody{}, answer: ticketAnswer{}, do: func(k *call) error {
			var in mergeBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			version, err := k.ifMatch()
			if err != nil {
				return err
			}
			v, err := k.merge(desk.Joining{From: k.Params("number"), Into: in.Into, Reason: in.Reason, Version: version})
			return shown(k, v, err)
		}},
		{method: "DELETE", path: base + "/merge", right: auth.TicketWrite, tag: "tickets", summary: "take it out of the one that it was merged into", answer: ticketAnswer{}, do: func(k *call) error {
			version, err := k.ifMatch()
			if err != nil {
				return err
			}
			v, err := p.Desk.Unmerge(k.UserContext(), k.person.ID, k.Params("number"), version)
			return shown(k, v, err)
		}},
		{method: "POST", path: base + "/split", right: auth.TicketWrite, tag: "tickets", summary: "make a customer's message a ticket of its own; answers with that one", needs: []string{"message"}, body: splitBody{}, answer: ticketAnswer{}, do: func(k *call) error {
			var in splitBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			version, err := k.ifMatch()
			if err != nil {
				return err
			}
			v, err := p.Desk.Split(k.UserContext(), k.person.ID, k.Params("number"), in.Message, in.Reason, version)
			return shown(k, v, err)
		}},
		{method: "DELETE", path: base + "/split", right: auth.TicketWrite, tag: "tickets", summary: "put it back into the one that it was split from", answer: ticketAnswer{}, do: func(k *call) error {
			version, err := k.ifMatch()
			if err != nil {
				return err
			}
			v, err := p.Desk.Unsplit(k.UserContext(), k.person.ID, k.Params("number"), version)
			return shown(k, v, err)
		}},
		{method: "POST", path: base + "/messages/:id/release", right: auth.TicketWrite, tag: "tickets", summary: "let the customer see a message that was held", answer: ticketAnswer{}, do: func(k *call) error {
			version, err := k.ifMatch()
			if err != nil {
				return err
			}
			v, err := p.Desk.Release(k.UserContext(), k.person.ID, k.Params("number"), k.Params("id"), version)
			return shown(k, v, err)
		}},
		{method: "GET", path: base + "/macros", right: auth.TicketRead, tag: "tickets", summary: "answers that are given often, in its language and with its facts; what nobody gave is left as {blank}", answer: list[macroAnswer]{}, do: func(k *call) error {
			v, err := p.Desk.Ticket(k.UserContext(), k.Params("number"))
			if err != nil {
				return err
			}
			all := list[macroAnswer]{}
			for _, m := range p.Desk.Policy.Macros {
				text, err := p.Desk.Macro(k.UserContext(), m.Name, v)
				if err != nil {
					return err
				}
				all.Items = append(all.Items, macroAnswer{m.Name, text})
			}
			return send(k.Ctx, 200, all)
		}},
		{method: "GET", path: base + "/duplicates", right: auth.TicketRead, tag: "tickets", summary: "open tickets that are likely about what it is about, the likeliest first, with reasons; nothing is merged", answer: list[alikeAnswer]{}, do: func(k *call) error {
			v, err := p.Desk.Ticket(k.UserContext(), k.Params("number"))
			if err != nil {
				return err
			}
			found, err := k.alikes(v)
			if err != nil {
				return err
			}
			all := list[alikeAnswer]{}
			for _, a := range found {
				all.Items = append(all.Items, alikeAnswer{a.Rec.Value.Number, a.Rec.Value.State, a.Rec.Value.FiledAt, a.Why, a.From, a.Into})
			}
			return send(k.Ctx, 200, all)
		}},
		{method: "POST", path: base + "/presence", right: auth.TicketWrite, tag: "tickets", summary: "say that one has it open, every few seconds, and hear who else has", body: presenceBody{}, answer: presenceAnswer{}, do: (*call).attend},
	}
}

// handle changes a ticket as a body says.
func (k *call) handle(in handleBody, version int64) (desk.View, error) {
	if in.Owner != nil {
		owner, err := k.member(*in.Owner)
		if err != nil {
			return desk.View{}, err
		}
		in.Owner = &owner
	}
	return k.p.Desk.Handle(k.UserContext(), k.person.ID, k.Params("number"), desk.Handling{Priority: in.Priority, Reason: in.Reason, Owner: in.Owner,
		Category: in.Category, Queue: in.Queue, Step: in.Step, Labels: in.Labels, Label: in.Label, Unlabel: in.Unlabel, Version: version})
}

// member is the staff member of an id, or of "me"; "" is nobody.
func (k *call) member(id string) (string, error) {
	switch id {
	case "":
		return "", nil
	case "me":
		return k.person.ID, nil
	}
	name, err := k.p.Gate.Name(k.UserContext(), id)
	if err == nil && name == "" {
		err = fault.BadField("owner", "must be me, a staff member's id, or empty")
	}
	return id, err
}

// queues are General and the queues of open incidents, and any other in which a ticket is open.
func (k *call) queues() (all []tallyAnswer, err error) {
	tallies, err := k.p.Desk.Tallies(k.UserContext(), k.person.ID)
	if err == nil {
		tallies, err = openTo(k, tallies, func(t desk.Tally) string { return t.Queue })
	}
	if err != nil {
		return nil, err
	}
	by := map[string]desk.Tally{}
	for _, t := range tallies {
		by[t.Queue] = t
	}
	open, _, err := k.incidents(comms.Open, "", maxList)
	if err != nil {
		return nil, err
	}
	queue := func(id, title, flow string) {
		t := by[id]
		delete(by, id)
		all = append(all, tallyAnswer{Queue: id, Title: title, Flow: flow, URL: k.p.URL + "/desk/tickets?queue=" + id, Open: t.Open, State: t.State, Priority: t.Priority, Step: t.Step, Overdue: t.Overdue,
			Unassigned: t.Unassigned, Mine: t.Mine, Held: t.Held, Oldest: given(t.Oldest), DueNext: given(t.DueNext)})
	}
	for _, in := range open {
		queue(in.ID, in.Value.Title, k.p.Desk.Policy.WorkflowOf(in.Value.Category))
	}
	queue(desk.General, k.p.Words.Catalog("en").T("desk.queue.general"), "")
	for _, t := range tallies {
		if _, left := by[t.Queue]; left && t.Open > 0 { // of an incident that is over
			in, err := k.p.Comms.Incident(k.UserContext(), t.Queue)
			if err != nil && fault.Of(err) != fault.NotFound {
				return nil, err
			}
			queue(t.Queue, in.Value.Title, k.p.Desk.Policy.WorkflowOf(in.Value.Category))
		}
	}
	return all, nil
}

// attend answers who else has a ticket open.
func (k *call) attend() error {
	var in presenceBody
	if err := k.optional(&in); err != nil {
		return err
	}
	others, version, err := k.p.Desk.Attend(k.UserContext(), k.person.ID, k.Params("number"), in.Types, in.Leaves)
	if err != nil {
		return err
	}
	a := presenceAnswer{Version: version}
	if a.Others, err = k.others(others); err != nil {
		return err
	}
	return send(k.Ctx, 200, a)
}

func (k *call) others(present []desk.Present) (all []presentAnswer, err error) {
	words := k.p.Words.Catalog(k.p.staffLocale(k.Ctx))
	for _, o := range present {
		name, err := k.p.Gate.Name(k.UserContext(), o.By)
		if err != nil {
			return nil, err
		}
		if name == "" {
			name = holder(o.By)
		}
		key := "desk.present.reads"
		if o.Types {
			key = "desk.present.types"
		}
		all = append(all, presentAnswer{Staff: o.By, Name: name, Types: o.Types, Says: words.T(key, name)})
	}
	return all, nil
}

// alikes are the open tickets that are likely about what a ticket is about, of those that she may read.
func (k *call) alikes(v desk.View) ([]desk.Alike, error) {
	all, err := k.p.Desk.Alikes(k.UserContext(), v)
	if err != nil {
		return nil, err
	}
	return openTo(k, all, func(a desk.Alike) string { return a.Rec.Value.Incident })
}

// merge makes a ticket part of another that she may read as well.
func (k *call) merge(j desk.Joining) (desk.View, error) {
	if err := k.open(j.Into); err != nil {
		return desk.View{}, err
	}
	return k.p.Desk.Merge(k.UserContext(), k.person.ID, j)
}

// choice reads what a list of tickets is to hold.
func (k *call) choice() (desk.Choice, error) {
	c := desk.Choice{Queue: k.Query("queue"), State: k.Query("state"), Priority: k.Query("priority"), Owner: k.Query("owner"), Category: k.Query("category"), Step: k.Query("step"), Site: k.Query("site"),
		Label: k.Query("label"), Overdue: k.QueryBool("overdue"), Held: k.QueryBool("held"), Words: k.Query("q"), Order: k.Query("sort"), After: k.Query("after")}
	if c.Owner == "me" {
		c.Owner = k.person.ID
	}
	var err error
	if c.Limit, err = limitParam(k.Ctx); err == nil {
		c.Closed, err = k.closedTo()
	}
	return c, err
}

// choiceQuery are the parameters of such a list.
var choiceQuery = []string{"queue", "state", "priority", "owner", "category", "step", "site", "label", "overdue", "held", "q", "sort", "after", "limit"}

func (k *call) ticketsAnswer() error {
	c, err := k.choice()
	if err != nil {
		return err
	}
	if c.Order == "" {
		c.Order = desk.ByFiled
	}
	page, err := k.p.Desk.List(k.UserContext(), c)
	if err != nil {
		return err
	}
	levels, err := k.p.Desk.Levels(k.UserContext(), page.Items)
	if err != nil {
		return err
	}
	if !page.Whole {
		k.Set(fiber.HeaderWarning, `199 - "closed tickets are still being read; there may be more"`)
	}
	return sendList(k, page.Items, page.Next, func(r store.Rec[desk.Ticket]) ticketAnswer {
		a := ticketOf(r.ID, r.Version, r.Created, r.Updated, r.Value, levels[r.ID], nil)
		a.TicketWork = k.p.workOf(r.Value, "", nil)
		return a
	})
}
