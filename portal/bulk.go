package portal

import (
	"cmp"
	"encoding/json"

	"github.com/gofiber/fiber/v2"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// bulkChoice chooses tickets as a list does; without a state the open ones.
type bulkChoice struct {
	Queue    string `json:"queue,omitempty"`
	State    string `json:"state,omitempty"`
	Priority string `json:"priority,omitempty"`
	Owner    string `json:"owner,omitempty"`
	Category string `json:"category,omitempty"`
	Step     string `json:"step,omitempty"`
	Label    string `json:"label,omitempty"`
	Overdue  bool   `json:"overdue,omitempty"`
	Held     bool   `json:"held,omitempty"`
	Words    string `json:"q,omitempty"`
}

type bulkBody struct {
	Numbers  []string    `json:"numbers,omitempty"` // these tickets
	Choose   *bulkChoice `json:"choose,omitempty"`  // or all that a list would hold
	Owner    *string     `json:"owner,omitempty"`
	Priority *string     `json:"priority,omitempty"`
	Category *string     `json:"category,omitempty"`
	Queue    *string     `json:"queue,omitempty"`
	Step     *string     `json:"step,omitempty"`
	Label    []string    `json:"label,omitempty"`
	Unlabel  []string    `json:"unlabel,omitempty"`
	Macro    string      `json:"macro,omitempty"`
	Text     string      `json:"text,omitempty"`
	Solve    bool        `json:"solve,omitempty"`
	Reason   string      `json:"reason"`
}

// bulkAnswer is a change of many tickets with the first answers as their customers would read them.
type bulkAnswer struct {
	changeAnswer
	Drafts []desk.Draft `json:"drafts"`
}

// shownDrafts is how many answers are shown before many are sent.
const shownDrafts = 3

func (p *Portal) bulkRoutes() []route {
	return []route{
		{method: "POST", path: "/api/v1/tickets/bulk", right: auth.TicketWrite, tag: "tickets", summary: "propose one act on many tickets, named or chosen as a list chooses: handle them, or answer each with its own facts; it is run, approved and undone as every change; dry_run=true: what it would do",
			query: []string{"dry_run"}, status: 201, needs: []string{"reason"}, max: maxBulk, body: bulkBody{}, answer: bulkAnswer{}, do: (*call).proposeBulk},
		{method: "POST", path: "/desk/tickets/bulk", page: true, right: auth.TicketWrite, do: (*call).bulkForm},
	}
}

// maxBulk holds as many numbers as one change has steps.
const maxBulk = 1 << 20

// bulk makes of a body what is done to tickets that were named or chosen, as they are now.
func (k *call) bulk(in bulkBody, chosen *desk.Choice) (contacts.Proposal, error) {
	none := contacts.Proposal{}
	if err := k.person.Can(auth.ChangePropose); err != nil {
		return none, err
	}
	b := desk.Bulk{Owner: in.Owner, Priority: in.Priority, Category: in.Category, Queue: in.Queue, Step: in.Step, Label: in.Label, Unlabel: in.Unlabel,
		Macro: in.Macro, Text: in.Text, Solve: in.Solve}
	if in.Owner != nil {
		owner, err := k.member(*in.Owner)
		if err != nil {
			return none, err
		}
		b.Owner = &owner
	}
	var err error
	switch {
	case (chosen == nil) == (len(in.Numbers) == 0):
		return none, fault.BadField("numbers", "or choose must be there, and not both")
	case chosen != nil:
		b.Named, err = k.p.Desk.Gather(k.UserContext(), *chosen)
	default:
		b.Named, err = k.p.Desk.Seen(k.UserContext(), in.Numbers)
	}
	if err != nil {
		return none, err
	}
	input, err := json.Marshal(b)
	if err == nil {
		err = k.openAll(b.Verb(), input)
	}
	return contacts.Proposal{Verb: b.Verb(), Input: input, Reason: in.Reason}, err
}

func (k *call) proposeBulk() error {
	var in bulkBody
	dry, err := boolParam(k.Ctx, "dry_run")
	if err == nil {
		err = decode(k.Ctx, &in)
	}
	if err != nil {
		return err
	}
	var chosen *desk.Choice
	if c := in.Choose; c != nil {
		if c.Owner == "me" {
			c.Owner = k.person.ID
		}
		closed, err := k.closedTo()
		if err != nil {
			return err
		}
		chosen = &desk.Choice{Closed: closed, Queue: c.Queue, State: cmp.Or(c.State, desk.AnyOpen), Priority: c.Priority, Owner: c.Owner, Category: c.Category, Step: c.Step, Label: c.Label, Overdue: c.Overdue,
			Held: c.Held, Words: c.Words}
	}
	proposal, err := k.bulk(in, chosen)
	if err != nil {
		return err
	}
	var rec store.Rec[contacts.Change]
	if dry {
		rec.Value, err = k.p.Changes.Preview(k.UserContext(), k.person.ID, proposal)
	} else {
		rec, err = k.p.Changes.Propose(k.UserContext(), k.person.ID, proposal)
	}
	if err != nil {
		return err
	}
	a := bulkAnswer{changeAnswer: changeOf(rec)}
	a.DryRun = dry
	if a.Drafts, err = k.p.Desk.Drafts(k.UserContext(), rec.Value, shownDrafts); err != nil {
		return err
	}
	if !dry {
		k.Set(fiber.HeaderLocation, "/api/v1/changes/"+rec.ID)
	}
	return send(k.Ctx, 201, a)
}

// bulkForm proposes what the form below the list of tickets says, and shows what it would do: nothing is done before somebody says so there.
func (k *call) bulkForm() error {
	in := bulkBody{Macro: k.FormValue("macro"), Text: k.FormValue("text"), Solve: k.FormValue("solve") != "", Reason: k.FormValue("reason"),
		Label: splitList(k.FormValue("label_on"), ","), Unlabel: splitList(k.FormValue("label_off"), ",")}
	for name, at := range map[string]**string{"set_owner": &in.Owner, "set_priority": &in.Priority, "set_category": &in.Category, "set_queue": &in.Queue, "set_step": &in.Step} {
		if value := k.FormValue(name); value != "" {
			*at = &value
		}
	}
	if in.Owner != nil && *in.Owner == desk.Nobody {
		*in.Owner = ""
	}
	var chosen *desk.Choice
	if k.FormValue("which") == "all" {
		c, err := k.listed()
		if err != nil {
			return err
		}
		chosen = &c
	} else if in.Numbers = k.marked(); len(in.Numbers) == 0 {
		return k.ticketListWith(422, fault.BadField("which", "marks no ticket"))
	}
	proposal, err := k.bulk(in, chosen)
	var rec store.Rec[contacts.Change]
	if err == nil {
		rec, err = k.p.Changes.Propose(k.UserContext(), k.person.ID, proposal)
	}
	if err != nil {
		return k.ticketListWith(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/changes/"+rec.ID, fiber.StatusSeeOther)
}

// bulkTyped is what was typed below the list, for when it was refused.
func (k *call) bulkTyped() map[string]string {
	typed := map[string]string{}
	if k.Method() == fiber.MethodPost {
		for _, name := range []string{"which", "set_owner", "set_priority", "set_category", "set_queue", "set_step", "label_on", "label_off", "macro", "text", "solve", "reason"} {
			typed[name] = k.FormValue(name)
		}
	}
	return typed
}

// marked are the tickets whose boxes were ticked.
func (k *call) marked() (numbers []string) {
	if k.Method() == fiber.MethodPost {
		numbers = k.ticked("number")
	}
	return numbers
}
