package portal

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store/fault"
	"lifeline/templates"
)

// How an incident's work is parted: streams with their owners, third parties and stakeholders with what we wait for, and links to what is kept elsewhere.

type streamBody struct {
	Name  string `json:"name"`
	Owner string `json:"owner,omitempty"` // id of staff; "": who opens it
}

type streamAnswer struct {
	comms.Stream
	OwnerName string `json:"owner_name"` // "": nobody of the staff
}

type wordBody struct {
	Word string `json:"word"`
}

type awaitBody struct {
	For   string    `json:"for"`
	Until time.Time `json:"until"`
}

type answerBody struct {
	Answer string `json:"answer"`
}

func (p *Portal) workRoutes() []route {
	const api, page = "/api/v1/incidents/:id", "/desk/incidents/:id/work"
	return []route{
		{method: "GET", path: api + "/links", right: auth.IncidentRead, tag: "incidents", summary: "links to calls, chats and documents that belong to an incident", answer: list[comms.Link]{}, do: func(k *call) error {
			rec, err := p.Comms.Incident(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, list[comms.Link]{Items: append([]comms.Link{}, rec.Value.Links...)})
		}},
		{method: "POST", path: api + "/links", right: auth.TaskWork, tag: "incidents", summary: "keep a link on an incident: https only; sort is call, chat or document", status: 201, needs: []string{"sort", "title", "url"}, body: comms.LinkForm{}, answer: comms.Link{}, do: func(k *call) error {
			var in comms.LinkForm
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			l, err := p.Comms.AddLink(k.UserContext(), k.person.ID, k.Params("id"), in)
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, l)
		}},
		{method: "DELETE", path: api + "/links/:link", right: auth.TaskWork, tag: "incidents", summary: "take a link off an incident; its log keeps what it was", status: 204, do: func(k *call) error {
			if err := p.Comms.RemoveLink(k.UserContext(), k.person.ID, k.Params("id"), k.Params("link")); err != nil {
				return err
			}
			return k.SendStatus(fiber.StatusNoContent)
		}},
		{method: "GET", path: api + "/parties", right: auth.IncidentRead, tag: "incidents", summary: "third parties and stakeholders of an incident, with what we wait for and until when", answer: list[comms.Party]{}, do: func(k *call) error {
			rec, err := p.Comms.Incident(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, list[comms.Party]{Items: append([]comms.Party{}, rec.Value.Parties...)})
		}},
		{method: "POST", path: api + "/parties", right: auth.TaskWork, tag: "incidents", summary: "name a third party or stakeholder; side is third_party, customer or internal", status: 201, needs: []string{"name", "side"}, body: comms.PartyForm{}, answer: comms.Party{}, do: func(k *call) error {
			var in comms.PartyForm
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			party, err := p.Comms.AddParty(k.UserContext(), k.person.ID, k.Params("id"), in)
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, party)
		}},
		{method: "PATCH", path: api + "/parties/:party", right: auth.TaskWork, tag: "incidents", summary: "change what is known of a third party or stakeholder", body: comms.PartyForm{}, answer: comms.Party{}, do: func(k *call) error {
			var in comms.PartyForm
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			return k.sendParty(p.Comms.ChangeParty(k.UserContext(), k.person.ID, k.Params("id"), k.Params("party"), in))
		}},
		{method: "DELETE", path: api + "/parties/:party", right: auth.TaskWork, tag: "incidents", summary: "take a third party or stakeholder off an incident, unless it is waited for", status: 204, do: func(k *call) error {
			if err := p.Comms.RemoveParty(k.UserContext(), k.person.ID, k.Params("id"), k.Params("party")); err != nil {
				return err
			}
			return k.SendStatus(fiber.StatusNoContent)
		}},
		{method: "POST", path: api + "/parties/:party/wait", right: auth.TaskWork, tag: "incidents", summary: "say what we wait for and until when; when that passes the commander is told, then who stands in, then management", needs: []string{"for", "until"}, body: awaitBody{}, answer: comms.Party{}, do: func(k *call) error {
			var in awaitBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			return k.sendParty(p.Comms.AwaitParty(k.UserContext(), k.person.ID, k.Params("id"), k.Params("party"), in.For, in.Until))
		}},
		{method: "POST", path: api + "/parties/:party/answer", right: auth.TaskWork, tag: "incidents", summary: "record what was answered, which ends the wait", needs: []string{"answer"}, body: answerBody{}, answer: comms.Party{}, do: func(k *call) error {
			var in answerBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			return k.sendParty(p.Comms.PartyAnswered(k.UserContext(), k.person.ID, k.Params("id"), k.Params("party"), in.Answer))
		}},
		{method: "GET", path: api + "/streams", right: auth.IncidentRead, tag: "incidents", summary: "the streams of an incident's work, each with its owner and its last word", answer: list[streamAnswer]{}, do: func(k *call) error {
			rec, err := p.Comms.Incident(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			all, err := k.streams(rec.Value)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, list[streamAnswer]{Items: append([]streamAnswer{}, all...)})
		}},
		{method: "POST", path: api + "/streams", right: auth.TaskWork, tag: "incidents", summary: "open a stream of the work; its owner is told", status: 201, needs: []string{"name"}, body: streamBody{}, answer: comms.Stream{}, do: func(k *call) error {
			var in streamBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			s, err := k.openStream(in)
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, s)
		}},
		{method: "PATCH", path: api + "/streams/:stream", right: auth.TaskWork, tag: "incidents", summary: "hand a stream over, name it anew, end it or open it again; the last two need a word", body: comms.StreamForm{}, answer: comms.Stream{}, do: func(k *call) error {
			var in comms.StreamForm
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			return k.sendStream(k.changeStream(k.Params("stream"), in))
		}},
		{method: "GET", path: api + "/streams/:stream/log", right: auth.IncidentRead, tag: "incidents", summary: "a stream's own log, oldest first; its lines stand in the incident's as well", answer: list[entryAnswer]{}, do: func(k *call) error {
			log, err := p.Comms.StreamLog(k.UserContext(), k.Params("id"), k.Params("stream"))
			if err != nil {
				return err
			}
			out := list[entryAnswer]{Items: []entryAnswer{}}
			for _, e := range log {
				out.Items = append(out.Items, entryAnswer{e.ID, e.Value})
			}
			return send(k.Ctx, 200, out)
		}},
		{method: "POST", path: api + "/streams/:stream/log", right: auth.TaskWork, tag: "incidents", summary: "write a word into a stream's log", status: 201, needs: []string{"word"}, body: wordBody{}, answer: comms.Stream{}, do: func(k *call) error {
			var in wordBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			s, err := k.changeStream(k.Params("stream"), comms.StreamForm{Word: in.Word})
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, s)
		}},
		{method: "GET", path: page, page: true, right: auth.IncidentRead, do: func(k *call) error { return k.workPage(200, nil) }},
		{method: "POST", path: page, page: true, right: auth.TaskWork, do: (*call).changeWork},
	}
}

func (k *call) sendParty(p comms.Party, err error) error {
	if err != nil {
		return err
	}
	return send(k.Ctx, 200, p)
}

func (k *call) sendStream(s comms.Stream, err error) error {
	if err != nil {
		return err
	}
	return send(k.Ctx, 200, s)
}

func (k *call) openStream(in streamBody) (s comms.Stream, err error) {
	owner := cmp.Or(strings.TrimSpace(in.Owner), k.person.ID)
	if err := k.mayOwn(owner); err != nil {
		return s, err
	}
	return k.p.Comms.OpenStream(k.UserContext(), k.person.ID, k.Params("id"), in.Name, owner)
}

func (k *call) changeStream(stream string, in comms.StreamForm) (s comms.Stream, err error) {
	if in.Owner != nil {
		if err := k.mayOwn(*in.Owner); err != nil {
			return s, err
		}
	}
	return k.p.Comms.ChangeStream(k.UserContext(), k.person.ID, k.Params("id"), stream, in)
}

// mayOwn refuses an owner who could not write into her stream.
func (k *call) mayOwn(id string) error {
	if id == k.person.ID {
		return nil
	}
	able, err := k.p.Gate.Able(k.UserContext(), auth.TaskWork)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(able, func(m auth.Member) bool { return m.ID == id }) {
		return fault.BadField("owner", "names %.60q, who is none of the staff with an account that may do this", id)
	}
	return nil
}

// streams are the streams of an incident with the names of who owns them, those that are open first.
func (k *call) streams(in comms.Incident) (all []streamAnswer, err error) {
	for _, s := range in.Streams {
		name, err := k.p.Gate.Name(k.UserContext(), s.Owner)
		if err != nil {
			return nil, err
		}
		all = append(all, streamAnswer{s, name})
	}
	slices.SortStableFunc(all, func(a, b streamAnswer) int { return strings.Compare(b.State, a.State) }) // open, done
	return all, nil
}

// workView is the page of an incident's streams, third parties and links.
type workView struct {
	shell
	Streams  []streamAnswer
	Logs     map[string][]entryAnswer // by stream, newest first
	Able     []auth.Member            // who may own a stream
	Incident incidentAnswer
	Sides    []string
	Sorts    []string
	People   map[string]string // by id
	Act      string            // the form that was refused
	Part     string            // what it was for
	Typed    map[string]string
}

// workField is one field of a form of the page.
type workField struct {
	ID, Name, Label, Value, Wrong string
	Type                          string // of an input; "lines": several
	Required                      bool
	Most                          int // characters
}

var workFields = []string{"name", "side", "contact", "escalate", "reference", "for", "until", "answer", "sort", "title", "url", "owner", "word"}

// Name is the label of a field of this page.
func (v workView) Name(field string) string {
	if key := "desk.work." + field; v.Words.Has(key) {
		return v.Words.T(key)
	}
	return v.shell.Name(field)
}

// Is says that a form was refused, so that it stands open with what was typed.
func (v workView) Is(act, part string) bool { return v.Act == act && v.Part == part }

// Chosen is the value of a choice: as was typed, else as it stands.
func (v workView) Chosen(act, part, name, value string) string {
	if v.Is(act, part) {
		return v.Typed[name]
	}
	return value
}

// Field is a field with what stands in it.
func (v workView) Field(act, part, name, value string) workField {
	f := workField{ID: act + "-" + part + "-" + name, Name: name, Label: v.Name(name), Value: v.Chosen(act, part, name, value), Type: "text", Most: 200,
		Required: !slices.Contains([]string{"contact", "escalate", "reference"}, name)}
	switch name {
	case "url":
		f.Type, f.Most = "url", 1000
	case "until":
		f.Type = "datetime-local"
		f.Label += " (UTC)"
	case "answer":
		f.Type, f.Most = "lines", 1000
	case "word":
		f.Type, f.Most = "lines", 2000
	case "reference":
		f.Most = 100
	}
	if v.Is(act, part) {
		f.Wrong = v.Wrong(name)
	}
	return f
}

// Until is the time of a wait as a form shows it.
func (v workView) Until(a *comms.Awaited) string {
	if a == nil {
		return ""
	}
	return a.Until.UTC().Format(minuteForm)
}

// Awaits are the parties of an incident for which somebody waits.
func (v roomView) Awaits() (n int) {
	for _, p := range v.Incident.Parties {
		if p.Awaited != nil {
			n++
		}
	}
	return n
}

// awaited is what is waited for, as people read it.
type awaited struct {
	Words templates.Catalog
	Now   time.Time
	comms.Party
}

// Late says that the time has passed.
func (a awaited) Late() bool { return a.Now.After(a.Awaited.Until) }

// Mine says that a choice of an owner begins with the reader, who is not among the staff that can be called.
func (v workView) Mine() bool {
	return !slices.ContainsFunc(v.Able, func(m auth.Member) bool { return m.ID == v.Person.ID })
}

// linked is a link with where it leads.
type linked struct {
	Words templates.Catalog
	comms.Link
}

// sideChoice is the choice of a side.
type sideChoice struct {
	Words     templates.Catalog
	ID, Value string
	Sides     []string
}

func (v workView) choice(act, part, value string) sideChoice {
	return sideChoice{v.Words, act + "-" + part + "-side", v.Chosen(act, part, "side", value), v.Sides}
}

func (k *call) workPage(status int, refused error) error {
	rec, err := k.p.Comms.Incident(k.UserContext(), k.Params("id"))
	if err != nil {
		return err
	}
	v := workView{shell: k.shell("desk.work"), Incident: k.p.incident(rec), Sides: comms.Sides(), Sorts: comms.LinkSorts(), People: map[string]string{}, Typed: map[string]string{}, Logs: map[string][]entryAnswer{}}
	if refused != nil {
		v.refused(refused)
		v.Act, v.Part = k.FormValue("act"), k.FormValue("part")
		for _, field := range workFields {
			v.Typed[field] = k.FormValue(field)
		}
	}
	if v.Streams, err = k.streams(rec.Value); err != nil {
		return err
	}
	log, err := k.p.Comms.StreamLog(k.UserContext(), rec.ID, "")
	if err != nil {
		return err
	}
	lines, err := k.read(log)
	if err != nil {
		return err
	}
	for _, e := range lines {
		v.Logs[e.Stream] = append(v.Logs[e.Stream], e)
	}
	if k.person.Can(auth.TaskWork) == nil {
		if v.Able, err = k.p.Gate.Able(k.UserContext(), auth.TaskWork); err != nil {
			return err
		}
		var owners []string
		for _, s := range rec.Value.Streams {
			owners = append(owners, s.Owner)
		}
		if v.Able, err = k.letInOf(rec.ID, v.Able, owners...); err != nil {
			return err
		}
	}
	ids := []string{}
	for _, p := range rec.Value.Parties {
		ids = append(ids, p.AnsweredBy)
	}
	for _, l := range rec.Value.Links {
		ids = append(ids, l.AddedBy)
	}
	for _, id := range ids {
		if id == "" || v.People[id] != "" {
			continue
		}
		name, err := k.p.Gate.Name(k.UserContext(), id)
		if err != nil {
			return err
		}
		if v.People[id] = name; name == "" {
			v.People[id] = holder(id)
		}
	}
	return k.p.render(k.Ctx, status, "desk_work", v)
}

func (k *call) changeWork() error {
	ctx, by, id, part := k.UserContext(), k.person.ID, k.Params("id"), k.FormValue("part")
	party := func() (f comms.PartyForm) {
		for _, s := range []struct {
			name string
			to   **string
		}{{"name", &f.Name}, {"side", &f.Side}, {"contact", &f.Contact}, {"escalate", &f.Escalate}, {"reference", &f.Reference}} {
			typed := k.FormValue(s.name)
			*s.to = &typed
		}
		return f
	}
	at := "#" + part
	var err error
	switch k.FormValue("act") {
	case "party":
		var made comms.Party
		made, err = k.p.Comms.AddParty(ctx, by, id, party())
		at += made.ID
	case "change":
		_, err = k.p.Comms.ChangeParty(ctx, by, id, part, party())
	case "off":
		err, at = k.p.Comms.RemoveParty(ctx, by, id, part), ""
	case "wait":
		until, bad := time.Parse(minuteForm, strings.TrimSpace(k.FormValue("until")))
		if bad != nil {
			return k.workPage(422, fault.BadField("until", "must be a time such as 2022-04-05T08:00"))
		}
		_, err = k.p.Comms.AwaitParty(ctx, by, id, part, k.FormValue("for"), until)
	case "answer":
		_, err = k.p.Comms.PartyAnswered(ctx, by, id, part, unixLines(k.FormValue("answer")))
	case "stream":
		var s comms.Stream
		s, err = k.openStream(streamBody{Name: k.FormValue("name"), Owner: k.FormValue("owner")})
		at += s.ID
	case "word":
		form := comms.StreamForm{Word: unixLines(k.FormValue("word"))}
		if state := k.FormValue("state"); state != "" {
			form.State = &state
		}
		_, err = k.changeStream(part, form)
	case "owner":
		owner := k.FormValue("owner")
		_, err = k.changeStream(part, comms.StreamForm{Owner: &owner, Word: unixLines(k.FormValue("word"))})
	case "link":
		_, err = k.p.Comms.AddLink(ctx, by, id, comms.LinkForm{Sort: k.FormValue("sort"), Title: k.FormValue("title"), URL: k.FormValue("url")})
		at = "#links"
	case "unlink":
		err, at = k.p.Comms.RemoveLink(ctx, by, id, part), "#links"
	default:
		err = fault.BadField("act", "is none of stream, word, owner, party, change, off, wait, answer, link and unlink")
	}
	if err != nil {
		return k.workPage(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/incidents/"+id+"/work"+at, fiber.StatusSeeOther)
}
