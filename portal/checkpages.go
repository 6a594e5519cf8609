package portal

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

func (p *Portal) checkPages() []route {
	return []route{
		{method: "GET", path: "/desk/checks", page: true, right: auth.IncidentRead, do: func(k *call) error { return k.checkQueue(200, nil) }},
		{method: "POST", path: "/desk/checks/claim", page: true, right: auth.CheckWork, do: (*call).claimNext},
		{method: "GET", path: "/desk/checks/:id", page: true, right: auth.IncidentRead, do: func(k *call) error { return k.checkRun(200, nil) }},
		{method: "PUT", path: "/desk/checks/:id/run", page: true, right: auth.CheckWork, do: (*call).keepRun},
		{method: "POST", path: "/desk/checks/:id", page: true, right: auth.CheckWork, do: (*call).endRun},
		{method: "POST", path: "/desk/incidents/:id/handoffs", page: true, right: auth.TaskWork, do: (*call).openHandoff},
		{method: "GET", path: "/desk/handoffs/:id", page: true, right: auth.IncidentRead, do: func(k *call) error { return k.handoffPage(200, nil) }},
		{method: "POST", path: "/desk/handoffs/:id", page: true, right: auth.TaskWork, do: (*call).workHandoff},

		{method: "GET", path: "/b/:token", do: func(k *call) error { return k.backPage(200, "") }},
		{method: "POST", path: "/b/:token", form: true, do: (*call).answerBack},
		{method: "POST", path: "/t/:number/site", form: true, do: (*call).answerSite},
	}
}

// crew is who can be chosen on a page, and what people are called on it.
type crew struct {
	Members []auth.Member
	called  map[string]string
}

// crew is that for a page of an incident; "": of none, or of several.
func (k *call) crew(incident string, has ...string) (c crew, err error) {
	if c.called, err = k.p.Gate.Names(k.UserContext()); err != nil {
		return c, err
	}
	c.Members, err = k.people(incident, has...)
	return c, err
}

// people are those to whom something of an incident can be given, and those who have it already, so that a form does not take it from them unasked.
func (k *call) people(incident string, has ...string) ([]auth.Member, error) {
	all, err := k.p.Gate.Members(k.UserContext(), has...)
	if err != nil {
		return nil, err
	}
	return k.letInOf(incident, all, has...)
}

// letInOf leaves out of a list of people those who may not open an incident.
func (k *call) letInOf(incident string, all []auth.Member, has ...string) ([]auth.Member, error) {
	if incident == "" {
		return all, nil
	}
	var ids []string
	for _, m := range all {
		ids = append(ids, m.ID)
	}
	out, err := k.p.Comms.KeptOut(k.UserContext(), incident, ids)
	return slices.DeleteFunc(all, func(m auth.Member) bool { return out[m.ID] && !slices.Contains(has, m.ID) }), err
}

// Who is what a person is called.
func (c crew) Who(id string) string { return cmp.Or(c.called[id], holder(id)) }

// queueView is the page of all that waits to be checked.
type queueView struct {
	shell
	crew
	Open  []queueOf
	Mine  []checkLine
	Claim desk.Claim // what was asked for last
	Works bool       // she may check
	None  bool       // there was nothing for her
}

// queueOf is one open incident's part of the page.
type queueOf struct {
	Incident incidentAnswer
	Figures  desk.CheckFigures
	Bars     []bar
	Most     int // of an hour; 0: nothing happened in the last 24
	Waiting  []checkLine
	Blocked  []checkLine
	Batches  []store.Rec[comms.Batch]
	Handoffs []store.Rec[desk.Handoff]
	People   []auth.Member // who can lead a shift of it
}

type checkLine struct {
	ID, Name string
	desk.Check
}

// shownWaiting is how many checks that wait an incident's part names.
const shownWaiting = 50

func (k *call) checkLines(all []store.Rec[desk.Check]) ([]checkLine, error) {
	lines := make([]checkLine, len(all))
	err := k.p.DB.View(k.UserContext(), func(tx *store.Tx) error {
		for i, rec := range all {
			lines[i] = checkLine{rec.ID, rec.Value.Site, rec.Value}
			if site, err := k.p.Book.Site(tx, rec.Value.Site); err == nil {
				lines[i].Name = desk.SiteTitle(site)
			} else if fault.Of(err) != fault.NotFound {
				return err
			}
		}
		return nil
	})
	return lines, err
}

func (k *call) checkQueue(status int, refused error) error {
	ctx := k.UserContext()
	v := queueView{shell: k.shell("desk.checks"), Works: k.person.Can(auth.CheckWork) == nil, None: k.Query("none") != "", Claim: k.claimForm()}
	v.Refresh = 60
	var err error
	if v.crew, err = k.crew(""); err != nil {
		return err
	}
	all, _, err := k.incidents(comms.Open, "", 20)
	if err != nil {
		return err
	}
	lines := func(f desk.CheckFilter) ([]checkLine, error) {
		page, _, err := k.p.Desk.ListChecks(ctx, f)
		if err != nil {
			return nil, err
		}
		return k.checkLines(page)
	}
	if v.Mine, err = lines(desk.CheckFilter{Holder: k.person.ID}); err != nil {
		return err
	}
	for _, rec := range all {
		if !rec.Value.Loaded {
			continue
		}
		q := queueOf{Incident: k.p.incident(rec)}
		if q.People, err = k.letInOf(rec.ID, slices.Clone(v.Members)); err != nil {
			return err
		}
		if q.Figures, err = k.p.checksLately(ctx, rec.ID); err != nil {
			return err
		}
		q.Bars, q.Most = bars(q.Figures.Hours, func(h desk.CheckHour) (time.Time, int, int) { return h.From, h.Rebuilt, h.Passed })
		for _, state := range []string{desk.CheckQueued, desk.CheckSecondQueued} {
			some, err := lines(desk.CheckFilter{Incident: rec.ID, State: state, Limit: shownWaiting})
			if err != nil {
				return err
			}
			q.Waiting = append(q.Waiting, some...)
		}
		if q.Blocked, err = lines(desk.CheckFilter{Incident: rec.ID, State: desk.CheckBlocked}); err != nil {
			return err
		}
		if q.Batches, err = k.p.Comms.Batches(ctx, rec.ID); err != nil {
			return err
		}
		if q.Handoffs, _, err = k.p.Desk.Handoffs(ctx, rec.ID, "", 5); err != nil {
			return err
		}
		v.Open = append(v.Open, q)
	}
	if refused != nil {
		v.refused(refused)
	}
	return k.p.render(k.Ctx, status, "desk_checks", v)
}

func (k *call) claimForm() desk.Claim {
	from := func(name string) string {
		if s := k.FormValue(name); s != "" {
			return strings.TrimSpace(s)
		}
		return strings.TrimSpace(k.Query(name))
	}
	return desk.Claim{Incident: from("incident"), Skills: splitList(from("skills"), ","), Regions: splitList(from("regions"), ","), Languages: splitList(from("languages"), ","), Successor: from("successor")}
}

// claimNext takes the next check and opens it.
func (k *call) claimNext() error {
	got, err := k.claim(k.claimForm())
	switch {
	case err != nil:
		return k.checkQueue(problemOf(err).Status, err)
	case len(got) == 0:
		return k.Redirect("/desk/checks?none=1", fiber.StatusSeeOther)
	}
	return k.Redirect("/desk/checks/"+got[0].ID, fiber.StatusSeeOther)
}

// runView is the page on which one site is checked.
type runView struct {
	shell
	crew
	desk.Opened
	Items []runItem
	Notes string
	Mine  bool // she has it
	Lead  bool // she may take it from others
	Codes []string
	Beat  int // seconds between two words of the page that somebody is there

	Reason, Code, Owner, Wake, To string // what was typed of the end
}

// runItem is one line of the list with what stands in it.
type runItem struct {
	comms.Item
	N int
	comms.Result
	Wrong string
}

// Name is what an item is called in a list of what is wrong.
func (v runView) Name(field string) string {
	if key, is := strings.CutPrefix(field, "results."); is {
		for _, it := range v.Items {
			if it.Key == key {
				return itoa(it.N) + "."
			}
		}
	}
	return v.shell.Name(field)
}

// Left is how long the lease goes on.
func (v runView) Left() time.Duration { return max(0, v.Value.Until.Sub(v.Now)).Round(time.Second) }

func (k *call) checkRun(status int, refused error) error {
	o, err := k.p.Desk.Check(k.UserContext(), k.Params("id"))
	if err != nil {
		return err
	}
	v := runView{shell: k.shell("desk.check"), Opened: o, Notes: o.Run.Notes, Codes: k.p.Desk.Policy.Checks.Codes, Beat: int(k.p.Desk.Policy.Checks.Beat.Seconds())}
	if v.crew, err = k.crew(o.Value.Incident); err != nil {
		return err
	}
	v.Title = o.Site
	v.List = o.List.In(v.Words.Locale())
	v.Mine = o.Value.Held() && o.Value.Holder == k.person.ID && v.Now.Before(o.Value.Until)
	if refused != nil {
		v.refused(refused)
		v.Reason, v.Code, v.Owner, v.Wake, v.To = k.FormValue("reason"), k.FormValue("code"), k.FormValue("owner"), k.FormValue("wake"), k.FormValue("to")
	}
	for i, it := range v.List.Items { // what is wrong names items as the list has them
		for j, f := range v.Fields {
			if f.Field == "results."+it.Key {
				v.Fields[j].Reason = strings.Replace(f.Reason, o.List.Items[i].Text, it.Text, 1)
			}
		}
	}
	typed := k.typedRun(o.List)
	if refused != nil && typed.Notes != nil {
		v.Notes = *typed.Notes
	}
	for i, it := range v.List.Items {
		item := runItem{Item: it, N: i + 1, Result: o.Run.Results[it.Key], Wrong: v.shell.Wrong("results." + it.Key)}
		if refused != nil && v.Mine {
			item.Result = typed.Results[it.Key]
		}
		v.Items = append(v.Items, item)
	}
	return k.p.render(k.Ctx, status, "desk_check", v)
}

// typedRun reads the form of a check. An item whose state was not sent is open.
func (k *call) typedRun(list comms.Checklist) desk.Written {
	w := desk.Written{Results: map[string]comms.Result{}}
	if epoch, err := parseInt(k.FormValue("epoch")); err == nil {
		w.Epoch = epoch
	}
	for _, it := range list.Items {
		w.Results[it.Key] = comms.Result{State: k.FormValue("state." + it.Key), Value: k.FormValue("value." + it.Key), Why: k.FormValue("why." + it.Key)}
	}
	notes := unixLines(k.FormValue("notes"))
	w.Notes = &notes
	return w
}

// endRun does what the button says that was pressed: keep, passed, failed, blocked, release or hand over; and for a lead reassign.
func (k *call) endRun() error {
	ctx, id := k.UserContext(), k.Params("id")
	o, err := k.p.Desk.Check(ctx, id)
	if err != nil {
		return err
	}
	w := k.typedRun(o.List)
	switch act := k.FormValue("act"); act {
	case "keep":
		_, err = k.p.Desk.Beat(ctx, k.checker(), id, w)
	case "release":
		_, err = k.p.Desk.Return(ctx, k.checker(), id, w)
	case "hand-over":
		_, err = k.p.Desk.HandOver(ctx, k.checker(), id, k.FormValue("to"), w)
	case "reassign":
		_, err = k.p.Desk.Reassign(ctx, k.person.ID, id, k.FormValue("to"))
	case "unblock":
		_, err = k.p.Desk.Unblock(ctx, k.person.ID, id, k.FormValue("reason"))
	case "one-check":
		_, err = k.p.Desk.ReleaseOne(ctx, k.person.ID, id, k.FormValue("reason"))
	default:
		s := desk.Submission{Written: w, Verdict: act, Code: k.FormValue("code"), Reason: k.FormValue("reason"), Owner: k.FormValue("owner")}
		if s.Wake, err = wakeOf(k.FormValue("wake")); err == nil {
			_, err = k.p.Desk.Submit(ctx, k.checker(), id, s)
		}
	}
	if err != nil {
		return k.checkRun(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/checks/"+id, fiber.StatusSeeOther)
}

// wakeOf reads a time as a field of a form sends it, in UTC; nil when it is empty.
func wakeOf(s string) (*time.Time, error) {
	if s = strings.TrimSpace(s); s == "" {
		return nil, nil
	}
	for _, form := range []string{"2006-01-02T15:04", "2006-01-02 15:04", time.RFC3339} {
		if t, err := time.Parse(form, s); err == nil {
			return &t, nil
		}
	}
	return nil, fault.BadField("wake", "must be a time such as 2022-04-05 11:00 (UTC)")
}

// keptRun says until when the lease goes on.
type keptRun struct {
	Until   time.Time `json:"until"`
	Seconds int       `json:"seconds"`
}

// keepRun keeps what the page's script sends while somebody types, and says that she is there.
func (k *call) keepRun() error {
	var in heldBody
	if err := decode(k.Ctx, &in); err != nil {
		return err
	}
	rec, err := k.p.Desk.Beat(k.UserContext(), k.checker(), k.Params("id"), in.written())
	if err != nil {
		return err
	}
	return send(k.Ctx, 200, keptRun{rec.Value.Until, int(rec.Value.Until.Sub(k.p.DB.Now()).Seconds())})
}

// handoffDesk is the page of a shift's end.
type handoffDesk struct {
	shell
	crew
	ID       string
	Handoff  desk.Handoff
	Facts    desk.HandoffFacts
	Held     []checkLine
	Text     string
	Mine     bool // she leads the shift that ends
	Takes    bool // she leads the one that begins
	Incident incidentAnswer
}

func (k *call) handoffPage(status int, refused error) error {
	v := handoffDesk{shell: k.shell("desk.handoff"), ID: k.Params("id")}
	var err error
	if v.crew, err = k.crew(""); err != nil {
		return err
	}
	rec, facts, draft, err := k.p.Desk.Handoff(k.UserContext(), v.ID, v.Words.Locale(), v.Who)
	if err != nil {
		return err
	}
	if v.Members, err = k.letInOf(rec.Value.Incident, v.Members); err != nil {
		return err
	}
	in, err := k.p.Comms.Incident(k.UserContext(), rec.Value.Incident)
	if err != nil {
		return err
	}
	v.Handoff, v.Facts, v.Text, v.Incident = rec.Value, facts, draft, k.p.incident(in)
	v.Mine, v.Takes = rec.Value.Lead == k.person.ID, rec.Value.Next == k.person.ID
	var held []store.Rec[desk.Check]
	for _, state := range []string{desk.CheckLeased, desk.Checking, desk.CheckSecond} {
		some, _, err := k.p.Desk.ListChecks(k.UserContext(), desk.CheckFilter{Incident: rec.Value.Incident, State: state, Limit: comms.MostListed})
		if err != nil {
			return err
		}
		held = append(held, some...)
	}
	if v.Held, err = k.checkLines(held); err != nil {
		return err
	}
	if refused != nil {
		v.refused(refused)
		if typed := k.FormValue("text"); typed != "" {
			v.Text = typed
		}
	}
	return k.p.render(k.Ctx, status, "desk_handoff", v)
}

func (k *call) openHandoff() error {
	s := desk.ShiftEnd{Lead: k.FormValue("lead"), Next: k.FormValue("next_lead")}
	ends, err := wakeOf(k.FormValue("ends_at"))
	if err == nil && ends != nil {
		s.EndsAt = *ends
	}
	rec, failed := k.p.Desk.OpenHandoff(k.UserContext(), k.person.ID, k.Params("id"), s)
	if err != nil {
		failed = fault.BadField("ends_at", "must be a time such as 2022-04-05 11:00 (UTC)")
	}
	if failed != nil {
		return k.checkQueue(problemOf(failed).Status, failed)
	}
	return k.Redirect("/desk/handoffs/"+rec.ID, fiber.StatusSeeOther)
}

func (k *call) workHandoff() (err error) {
	id := k.Params("id")
	switch k.FormValue("act") {
	case "acknowledge":
		_, err = k.p.Desk.AcknowledgeHandoff(k.UserContext(), k.person.ID, id)
	case "reassign":
		_, err = k.p.Desk.Reassign(k.UserContext(), k.person.ID, k.FormValue("check"), k.FormValue("to"))
	default:
		_, err = k.p.Desk.GiveHandoff(k.UserContext(), k.person.ID, id, k.FormValue("text"))
	}
	if err != nil {
		return k.handoffPage(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/handoffs/"+id, fiber.StatusSeeOther)
}

// backView is the page on which a customer says whether a site works.
type backView struct {
	base
	Token string
	Back  desk.Back
	Old   bool
	Error string
	Typed string
}

// backPage asks and changes nothing: programs that follow every link of a mail answer nothing.
func (k *call) backPage(status int, wrong string) error {
	token := k.Params("token")
	v := backView{base: k.p.base(k.p.locale(k.Ctx), "/b/"+token, "back.title"), Token: token, Typed: k.FormValue("words")}
	if wrong != "" {
		v.Error = v.Words.T(wrong)
	}
	var err error
	v.Back, err = k.p.Desk.BackBy(k.UserContext(), token)
	switch {
	case fault.Of(err) == fault.NotFound:
		v.Old, v.Path, status = true, "/support", fiber.StatusNotFound
	case err != nil:
		return err
	case k.Query("lang") == "" && k.Get(fiber.HeaderAcceptLanguage) == "" && v.Back.Locale != "":
		v.base = k.p.base(k.p.Words.Match(v.Back.Locale), "/b/"+token, "back.title")
	}
	return k.p.render(k.Ctx, status, "back", v)
}

func (k *call) answerBack() error {
	b, err := k.p.Desk.BackBy(k.UserContext(), k.Params("token"))
	if err == nil {
		err = k.p.Desk.AnswerBack(k.UserContext(), "public:back", b.Check, k.FormValue("answer"), k.FormValue("words"))
	}
	switch fault.Of(err) {
	case "", fault.NotFound, fault.Conflict: // what stands now is what the page shows
		return k.backPage(200, "")
	case fault.Invalid:
		return k.backPage(422, "back.words.missing")
	}
	return err
}

// answerSite is the same on the page of a ticket, from whoever has shown enough to see where its site stands.
func (k *call) answerSite() error {
	v, visit, err := k.visitor()
	if err != nil {
		return k.unopened(err)
	}
	if err := visit.May(desk.SeeStage); err != nil {
		return err
	}
	b, asked, err := k.p.Desk.BackOf(k.UserContext(), v.Ticket)
	if err != nil {
		return err
	}
	did := "said"
	if asked {
		err = k.p.Desk.AnswerBack(k.UserContext(), "public:ticket", b.Check, k.FormValue("answer"), k.FormValue("words"))
		if fault.Of(err) == fault.Invalid {
			words := k.p.Words.Catalog(k.speaks(v))
			return k.showTicket(422, v, visit, ticketView{Errors: map[string]string{"missing-words": words.T("back.words.missing")}})
		}
		if err != nil && fault.Of(err) != fault.Conflict {
			return err
		}
	}
	now, _, err := k.visitor()
	if err != nil {
		return k.unopened(err)
	}
	return k.back(now, visit, did)
}

// lasting is a number of seconds as people read it.
func lasting(s float64) string {
	d := time.Duration(s * float64(time.Second)).Round(time.Second)
	if d < 90*time.Second {
		return d.String()
	}
	said := strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	if strings.HasSuffix(said, "h0m") {
		said = strings.TrimSuffix(said, "0m")
	}
	return said
}

// resultLine is one result of a run that is only read.
type resultLine struct {
	N int
	comms.Item
	comms.Result
	Says string
}

// resulted are the results of a run in the order of the list that the page shows.
func resulted(v runView, run comms.Run) (all []resultLine) {
	for i, it := range v.List.Items {
		if res, is := run.Results[it.Key]; is && res.State != "" {
			all = append(all, resultLine{i + 1, it, res, v.Words.T(itemWords[res.State])})
		}
	}
	return all
}

var itemWords = map[string]string{comms.ItemDone: "desk.check.item.done", comms.ItemFailed: "desk.check.failed", comms.ItemNA: "desk.check.item.na"}
