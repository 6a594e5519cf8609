package portal

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/fault"
)

type taskAnswer struct {
	object
	comms.Task
	Detail  any            `json:"detail,omitempty"` // as an object, not as text
	Propose *comms.Propose `json:"propose_incident,omitempty"`
	URL     string         `json:"url"`
}

func (p *Portal) task(rec store.Rec[comms.Task]) taskAnswer {
	a := taskAnswer{object: objectOf(rec.Meta), Task: rec.Value, URL: p.URL + "/desk/tasks/" + rec.ID}
	if len(rec.Value.Detail) > 0 {
		a.Detail = json.RawMessage(rec.Value.Detail)
	}
	if proposed, ok := rec.Value.Proposed(); ok {
		a.Propose = &proposed
	}
	return a
}

// taskNow is a task with what it counts as it is now.
func (k *call) taskNow(id string) (store.Rec[comms.Task], error) {
	rec, err := k.p.Comms.Task(k.UserContext(), id)
	if err != nil {
		return rec, err
	}
	return k.p.Desk.Counted(k.UserContext(), rec)
}

type taskEnd struct {
	Reason string `json:"reason"`
}

func (p *Portal) taskRoutes() []route {
	const base = "/api/v1/tasks"
	return []route{
		{method: "GET", path: base, right: auth.TaskRead, tag: "tasks", summary: "what is owed, the task due first in front", query: []string{"state", "owner", "incident", "after", "limit"},
			answer: list[taskAnswer]{}, do: func(k *call) error {
				q, err := k.taskQuery()
				if err != nil {
					return err
				}
				all, next, err := p.Comms.Tasks(k.UserContext(), q)
				if err != nil {
					return err
				}
				if all, err = openTo(k, all, ofTask); err != nil {
					return err
				}
				for i := range all {
					if all[i], err = p.Desk.Counted(k.UserContext(), all[i]); err != nil {
						return err
					}
				}
				return sendList(k, all, next, p.task)
			}},
		{method: "GET", path: base + "/:id", right: auth.TaskRead, tag: "tasks", summary: "one task", answer: taskAnswer{}, do: func(k *call) error {
			rec, err := k.taskNow(k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, p.task(rec))
		}},
		{method: "POST", path: base + "/:id/take", right: auth.TaskWork, tag: "tasks", summary: "make it one's own", answer: taskAnswer{}, do: func(k *call) error {
			return k.workTask("take", "")
		}},
		{method: "POST", path: base + "/:id/done", right: auth.TaskWork, tag: "tasks", summary: "end it as done; reason may say what was done", body: taskEnd{}, answer: taskAnswer{}, do: func(k *call) error {
			var in taskEnd
			if err := k.optional(&in); err != nil {
				return err
			}
			return k.workTask("done", in.Reason)
		}},
		{method: "POST", path: base + "/:id/drop", right: auth.TaskWork, tag: "tasks", summary: "end it undone, with the reason", needs: []string{"reason"}, body: taskEnd{}, answer: taskAnswer{}, do: func(k *call) error {
			var in taskEnd
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			return k.workTask("drop", in.Reason)
		}},
		{method: "GET", path: "/desk/tasks", page: true, right: auth.TaskRead, do: (*call).taskList},
		{method: "GET", path: "/desk/tasks/:id", page: true, right: auth.TaskRead, do: func(k *call) error { return k.taskPage(200, nil) }},
		{method: "POST", path: "/desk/tasks/:id", page: true, right: auth.TaskWork, do: func(k *call) error {
			var err error
			if k.FormValue("act") == "talked" {
				if err = k.person.Can(auth.TicketWrite); err == nil {
					err = p.Desk.Talked(k.UserContext(), k.person.ID, k.Params("id"), 0, k.FormValue("notes"))
				}
			} else if k.FormValue("act") == "unmask" { // answered with the page itself: an address in full is never part of a URL
				named, err := k.namedInstead()
				if err != nil {
					return k.taskPage(problemOf(err).Status, err)
				}
				return k.taskPageWith(named, 200, nil)
			} else {
				_, err = k.moveTask(k.FormValue("act"), k.FormValue("reason"), 0)
			}
			if err != nil {
				return k.taskPage(problemOf(err).Status, err)
			}
			return k.Redirect("/desk/tasks/"+k.Params("id"), fiber.StatusSeeOther)
		}},
	}
}

func (k *call) taskQuery() (comms.TaskQuery, error) {
	limit, err := limitParam(k.Ctx)
	return comms.TaskQuery{State: k.Query("state"), Owner: k.Query("owner"), Incident: k.Query("incident"), After: k.Query("after"), Limit: limit}, err
}

func (k *call) workTask(act, reason string) error {
	version, err := k.ifMatch()
	if err != nil {
		return err
	}
	rec, err := k.moveTask(act, reason, version)
	if err != nil {
		return err
	}
	return send(k.Ctx, 200, k.p.task(rec))
}

func (k *call) moveTask(act, reason string, version int64) (store.Rec[comms.Task], error) {
	id := k.Params("id")
	switch act {
	case "take":
		return k.p.Comms.Take(k.UserContext(), k.person.ID, id, version)
	case "drop":
		return k.p.Comms.Drop(k.UserContext(), k.person.ID, id, version, reason)
	}
	return k.p.Comms.Done(k.UserContext(), k.person.ID, id, version, reason)
}

// TaskTitle is the title of a task in the reader's language, from its sort and figures where we have words for them; others stay as they were recorded.
func (s shell) TaskTitle(t comms.Task) string {
	key := "desk.task.title." + t.What
	switch t.What {
	case comms.Outreach:
		var of comms.UntoldSites
		if json.Unmarshal(t.Detail, &of) == nil && of.Sites > 0 {
			return s.Words.T(key, s.Words.T("count.sites", of.Sites))
		}
	case comms.OutreachConfirm, comms.OutreachRead:
		return s.Words.T(key)
	}
	return t.Title
}

// TaskKind is the family of a task in words; "": none of ours.
func (s shell) TaskKind(t comms.Task) string {
	family, _, _ := strings.Cut(t.What, ".")
	if key := "desk.task.kind." + family; s.Words.Has(key) {
		return s.Words.T(key)
	}
	return ""
}

type taskListView struct {
	shell
	Tasks  []store.Rec[comms.Task]
	Filter comms.TaskQuery
	States []string
	Next   string
	Names  map[string]string // of the customers, by our id
}

func (k *call) taskList() error {
	q, err := k.taskQuery()
	if err != nil {
		return err
	}
	if q.State == "" {
		q.State = comms.Open
	}
	v := taskListView{shell: k.shell("desk.tasks"), Filter: q, States: []string{comms.Open, comms.TaskDone, comms.TaskDropped}}
	if v.Tasks, v.Next, err = k.p.Comms.Tasks(k.UserContext(), q); err != nil {
		return err
	}
	if v.Tasks, err = openTo(k, v.Tasks, ofTask); err != nil {
		return err
	}
	var accounts []string
	for _, t := range v.Tasks {
		if id := t.Value.Account; id != "" && !slices.Contains(accounts, id) {
			accounts = append(accounts, id)
		}
	}
	if v.Names, err = k.p.Book.Names(k.UserContext(), nil, accounts); err != nil {
		return err
	}
	return k.p.render(k.Ctx, 200, "desk_tasks", v)
}

// taskDesk is one task on its page. What it carries are ids and figures: those about a contact or about sites are put into words, others
// are shown as they are.
type taskDesk struct {
	shell
	ID      string
	Task    comms.Task
	About   string // what the incident is called
	Propose *comms.Propose
	Detail  string
	Typed   string
	Notes   string // of a call, as typed

	Customer string      // what the account is called
	Who      *personPart // the contact whom the task is about, her addresses masked
	Asked    string      // the address at which she was asked, masked
	Named    string      // the address that was named instead, masked unless somebody asked for it in full
	Shown    bool        // it stands in full

	Reasons  []whyUntold // why nobody of the customer can be told, by number of sites
	Sites    []string    // what the first of those sites are called
	AllSites int

	Impact     string // of the incident that is proposed, as it was typed
	Severities []string
	Categories []string
}

func (k *call) taskPage(status int, refused error) error {
	return k.taskPageWith("", status, refused)
}

// MayUnmask says whether whoever looks may see an address in full, for a reason.
func (v taskDesk) MayUnmask() bool { return v.Person.Can(auth.ContactUnmask, auth.WithAudit) == nil }

// aboutContact is what a task about a contact carries.
type aboutContact struct {
	Contact      string `json:"contact_id"`
	Confirmation string `json:"confirmation_id"`
	Asked        string `json:"asked"`
	Named        string `json:"named"`
}

// whyUntold is one reason why somebody has to be reached by hand, and how many sites it holds for.
type whyUntold struct {
	Why string
	N   int
}

// untold puts a task that asks to reach a customer by hand into words: why, and for which sites.
func (k *call) untold(v *taskDesk) error {
	var of comms.UntoldSites
	if v.Task.What != comms.Outreach || len(v.Task.Detail) == 0 || json.Unmarshal(v.Task.Detail, &of) != nil {
		return nil
	}
	for why, n := range of.Reasons {
		v.Reasons = append(v.Reasons, whyUntold{why, n})
	}
	slices.SortFunc(v.Reasons, func(a, b whyUntold) int { return cmp.Or(b.N-a.N, strings.Compare(a.Why, b.Why)) })
	v.AllSites = of.Sites
	if !v.May(string(auth.AccountRead)) {
		v.Sites = of.Sample
		return nil
	}
	names, err := k.p.Book.Names(k.UserContext(), of.Sample, nil)
	for _, id := range of.Sample {
		v.Sites = append(v.Sites, cmp.Or(names[id], id))
	}
	return err
}

// namedInstead is the address that somebody named instead of hers, in full. The reason is kept.
func (k *call) namedInstead() (string, error) {
	if err := k.person.Can(auth.ContactUnmask, auth.WithAudit); err != nil {
		return "", err
	}
	if err := k.mayUnmask(); err != nil {
		return "", err
	}
	rec, err := k.p.Comms.Task(k.UserContext(), k.Params("id"))
	if err != nil {
		return "", err
	}
	var of aboutContact
	if len(rec.Value.Detail) > 0 {
		if err := json.Unmarshal(rec.Value.Detail, &of); err != nil {
			return "", err
		}
	}
	asked, err := k.p.Comms.Confirmation(k.UserContext(), k.person.ID, of.Confirmation, k.FormValue("reason"))
	return asked.Value.Proposal, err
}

// about puts names beside the ids that a task carries, for whoever may read them.
func (k *call) about(v *taskDesk) error {
	return k.p.DB.View(k.UserContext(), func(tx *store.Tx) error {
		if v.Task.Account == "" || !v.May(string(auth.AccountRead)) {
			return nil
		}
		account, err := k.p.Book.Account(tx, v.Task.Account)
		if err != nil {
			return ifThere(err)
		}
		v.Customer = account.Value.Name
		var of aboutContact
		if len(v.Task.Detail) == 0 || json.Unmarshal(v.Task.Detail, &of) != nil || of.Contact == "" || !v.May(string(auth.ContactRead)) {
			return nil
		}
		who, err := k.p.Book.Contact(tx, of.Contact)
		if err != nil {
			return ifThere(err)
		}
		last, err := k.p.Book.Arrivals(tx, who.Value.Account)
		v.Who, v.Asked, v.Named = &personPart{Words: v.Words, Person: maskedPerson(who, last)}, of.Asked, of.Named
		return err
	})
}

// ifThere passes over what was deleted since.
func ifThere(err error) error {
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	return err
}

// taskPageWith is the page with the address that was named in full; "": masked.
func (k *call) taskPageWith(named string, status int, refused error) error {
	rec, err := k.taskNow(k.Params("id"))
	if err != nil {
		return err
	}
	v := taskDesk{shell: k.shell("desk.tasks"), ID: rec.ID, Task: rec.Value, Impact: k.FormValue("impact"), Severities: []string{"P0", "P1", "P2", "P3"}, Categories: k.p.Comms.Policy.Categories}
	v.Title = v.TaskTitle(rec.Value)
	if rec.Value.Incident != "" {
		in, err := k.p.Comms.Incident(k.UserContext(), rec.Value.Incident)
		if err := ifThere(err); err != nil {
			return err
		}
		v.About = in.Value.Title
	}
	if err := k.about(&v); err != nil {
		return err
	}
	if err := k.untold(&v); err != nil {
		return err
	}
	if named != "" {
		v.Named, v.Shown = named, true
	}
	if proposed, ok := rec.Value.Proposed(); ok {
		v.Propose = &proposed
	} else if len(rec.Value.Detail) > 0 && v.Who == nil && v.AllSites == 0 {
		var plain any
		if err := json.Unmarshal(rec.Value.Detail, &plain); err != nil {
			return err
		}
		indented, err := json.MarshalIndent(plain, "", "  ")
		if err != nil {
			return err
		}
		v.Detail = string(indented)
	}
	if refused != nil {
		v.refused(refused)
		v.Typed, v.Notes = k.FormValue("reason"), k.FormValue("notes")
	}
	return k.p.render(k.Ctx, status, "desk_task", v)
}

// proposed is the form of a new incident, filled with what a task proposes.
func (k *call) proposed() (comms.Declare, error) {
	id := k.Query("task")
	if id == "" {
		return comms.Declare{}, nil
	}
	rec, err := k.p.Comms.Task(k.UserContext(), id)
	if err != nil {
		return comms.Declare{}, err
	}
	p, _ := rec.Value.Proposed()
	return comms.Declare{Title: p.Title, DetectedBy: p.Source}, nil
}
