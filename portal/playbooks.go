package portal

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
)

// Playbooks: what to do in a grave incident, step by step, with who did it and when.

type playbookAnswer struct {
	Name   string       `json:"name"`
	Number int          `json:"number"` // of its newest version; 0: as it came with the program
	Title  string       `json:"title"`
	Titles comms.Said   `json:"titles,omitempty"`
	About  string       `json:"about"`
	Abouts comms.Said   `json:"abouts,omitempty"`
	Items  []comms.Item `json:"items"`
}

type playbookBody struct {
	Name string `json:"name"`
}

type markBody struct {
	Steps map[string]comms.StepForm `json:"steps"` // by key
}

func playbookOf(l comms.Checklist) playbookAnswer {
	return playbookAnswer{Name: strings.TrimPrefix(l.Name, comms.PlaybookPrefix), Number: l.Number, Title: l.Title, Titles: l.Titles, About: l.About, Abouts: l.Abouts, Items: l.Items}
}

func (p *Portal) playbookRoutes() []route {
	const api, page = "/api/v1/incidents/:id/playbooks", "/desk/incidents/:id/playbooks"
	return []route{
		{method: "GET", path: "/api/v1/playbooks", right: auth.IncidentRead, tag: "playbooks", summary: "all playbooks in their newest version; older ones stay readable among the checklists, named playbook:NAME, and a new one is published there", answer: list[playbookAnswer]{}, do: func(k *call) error {
			all, err := p.Comms.Playbooks(k.UserContext())
			if err != nil {
				return err
			}
			out := list[playbookAnswer]{Items: []playbookAnswer{}}
			for _, l := range all {
				out.Items = append(out.Items, playbookOf(l))
			}
			return send(k.Ctx, 200, out)
		}},
		{method: "GET", path: api, right: auth.IncidentRead, tag: "playbooks", summary: "the playbooks of an incident, with what became of each step", answer: list[comms.Playbook]{}, do: func(k *call) error {
			all, err := p.Comms.PlaybooksOf(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, list[comms.Playbook]{Items: append([]comms.Playbook{}, all...)})
		}},
		{method: "POST", path: api, right: auth.TaskWork, tag: "playbooks", summary: "begin a playbook in an incident; those that the policy names for it begin by themselves", status: 201, needs: []string{"name"}, body: playbookBody{}, answer: comms.Playbook{}, do: func(k *call) error {
			var in playbookBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			b, err := p.Comms.Begin(k.UserContext(), k.person.ID, k.Params("id"), in.Name)
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, b)
		}},
		{method: "POST", path: api + "/:run/steps", right: auth.TaskWork, tag: "playbooks", summary: "mark steps as done or skipped, or take that back; skipping needs the reason as its note", needs: []string{"steps"}, body: markBody{}, answer: comms.Playbook{}, do: func(k *call) error {
			var in markBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			b, err := p.Comms.MarkSteps(k.UserContext(), k.person.ID, k.Params("id"), k.Params("run"), in.Steps)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, b)
		}},
		{method: "GET", path: page, page: true, right: auth.IncidentRead, do: func(k *call) error { return k.playbookPage(200, nil) }},
		{method: "POST", path: page, page: true, right: auth.TaskWork, do: func(k *call) error {
			var err error
			at := ""
			if run := k.FormValue("run"); run != "" {
				key := k.FormValue("step")
				_, err = p.Comms.MarkSteps(k.UserContext(), k.person.ID, k.Params("id"), run, map[string]comms.StepForm{key: {State: k.FormValue("state"), Note: k.FormValue("note")}})
				at = "#" + run + "-" + key
			} else {
				_, err = p.Comms.Begin(k.UserContext(), k.person.ID, k.Params("id"), k.FormValue("name"))
			}
			if err != nil {
				return k.playbookPage(problemOf(err).Status, err)
			}
			return k.Redirect("/desk/incidents/"+k.Params("id")+"/playbooks"+at, fiber.StatusSeeOther)
		}},
	}
}

// stepsSaid puts what lines of the log say of the titles and steps of playbooks into a language. The log keeps them as they stood in the list.
func stepsSaid(log []entryAnswer, all []comms.Playbook, locale string) {
	for i, e := range log {
		was, now := "", ""
		find := func(text string, texts comms.Said, end string) {
			if len(text) > len(was) && (e.Text == text || strings.HasPrefix(e.Text, text+end)) {
				was, now = text, texts.Of(text, locale)
			}
		}
		for _, b := range all {
			switch e.What {
			case "playbook":
				find(b.Title, b.Titles, ", version ")
			case "step_done", "step_skipped", "step_reopened":
				for _, s := range b.Steps {
					find(s.Text, s.Texts, ": ")
				}
			}
		}
		log[i].Text = now + strings.TrimPrefix(e.Text, was)
	}
}

// playbookView is the page of an incident's playbooks.
type playbookView struct {
	shell
	Incident  incidentAnswer
	Playbooks []comms.Playbook
	Others    []playbookAnswer // that do not run in it
	People    map[string]string
	Typed     string // a reason that was refused
	At        string // the step that it was for
}

func (k *call) playbookPage(status int, refused error) error {
	ctx := k.UserContext()
	rec, err := k.p.Comms.Incident(ctx, k.Params("id"))
	if err != nil {
		return err
	}
	v := playbookView{shell: k.shell("desk.playbooks"), Incident: k.p.incident(rec), People: map[string]string{}}
	if refused != nil {
		v.refused(refused)
		v.Typed, v.At = k.FormValue("note"), k.FormValue("step")
	}
	if v.Playbooks, err = k.p.Comms.PlaybooksOf(ctx, rec.ID); err != nil {
		return err
	}
	running := map[string]bool{}
	for i, b := range v.Playbooks {
		v.Playbooks[i] = b.In(v.Words.Locale())
		running[b.Name] = running[b.Name] || b.EndedAt == nil
		for _, s := range b.Steps {
			if s.By != "" && v.People[s.By] == "" {
				name, err := k.p.Gate.Name(ctx, s.By)
				if err != nil {
					return err
				}
				if v.People[s.By] = name; name == "" {
					v.People[s.By] = holder(s.By)
				}
			}
		}
	}
	all, err := k.p.Comms.Playbooks(ctx)
	if err != nil {
		return err
	}
	for _, l := range all {
		if a := playbookOf(l.In(v.Words.Locale())); !running[a.Name] {
			v.Others = append(v.Others, a)
		}
	}
	return k.p.render(k.Ctx, status, "desk_playbooks", v)
}
