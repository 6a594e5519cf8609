package portal

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/portal/page"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// shell is what every staff page has.
type shell struct {
	base
	Person auth.Person
	CSRF   string
	Silent []string // why nobody is being told, and what else must not stay as it is; a banner on every page outside the demo
	Flash  string   // what was just refused, in words
	Fields []fault.Field
	Now    time.Time

	says    func(level, locale string) string // what belongs to a level
	nameOf  func(id string) string            // reads the names of staff once they are asked for
	Refresh int                               // seconds after which the page is asked for again where no script runs; 0: it stands
}

func (k *call) shell(title string) shell {
	s := shell{base: k.staffBase(k.Path(), title), Person: k.person, CSRF: k.csrf, Now: k.p.DB.Now(), says: k.p.Comms.Policy.LevelSays}
	s.Langs = nil
	s.nameOf = k.namer()
	if k.p.Sending != nil {
		if now := k.p.Sending(); !now.Demo {
			for _, c := range []struct{ name, state string }{{"email", now.Email}, {"sms", now.SMS}} {
				if c.state != "live" {
					s.Silent = append(s.Silent, s.Words.T("desk.silent."+c.name+"."+c.state))
				}
			}
		}
	}
	if k.p.Degraded != nil {
		for _, what := range k.p.Degraded(k.UserContext()) {
			s.Silent = append(s.Silent, s.Words.T("desk.degraded."+what))
		}
	}
	return s
}

// namer gives the names of staff, which it reads once and only when one is asked for.
func (k *call) namer() func(id string) string {
	var by map[string]string
	return func(id string) string {
		if by == nil && strings.HasPrefix(id, "stf_") {
			var err error
			if by, err = k.p.Gate.Names(k.UserContext()); err != nil {
				k.p.Log.Error("the names of staff cannot be read", "err", err)
				by = map[string]string{}
			}
		}
		return cmp.Or(by[id], holder(id))
	}
}

// NameOf is the name of somebody who acts here; of what the house does by itself, which part of it did.
func (s shell) NameOf(id string) string { return s.nameOf(id) }

// refused puts an error on the page that it belongs to.
func (s *shell) refused(err error) {
	pr := problemOf(err)
	s.Flash, s.Fields = pr.heading(s.Words), slices.Clone(pr.Errors)
	if pr.Detail != "" && len(pr.Errors) == 0 {
		s.Flash = s.said(pr.Detail)
	}
	for i, f := range s.Fields {
		s.Fields[i].Reason = s.said(f.Reason)
	}
	if pr.Ref != "" {
		s.Flash += " " + pr.Ref
	}
}

// said is why something is refused, in the reader's language and with people's names.
func (s shell) said(english string) string {
	return staffID.ReplaceAllStringFunc(s.Words.Refusal(english), s.nameOf)
}

// Name is the label of a field that something is said about.
func (s shell) Name(field string) string {
	if line, of, found := strings.Cut(strings.TrimPrefix(field, "line "), ": "); found && strings.HasPrefix(field, "line ") { // of a file
		return s.Words.T("desk.book.line", line) + ": " + s.Name(of)
	}
	field, _, _ = strings.Cut(field, "[")
	if strings.HasPrefix(field, "changed.") {
		field = "changed"
	}
	if key := "desk.f." + field; s.Words.Has(key) {
		return s.Words.T(key)
	}
	return field
}

// In is where a field stands on its page; of a list it is the whole, of a group the first.
func (s shell) In(field string) string {
	field, _, _ = strings.Cut(field, "[")
	if first, group := map[string]string{"affected": "affected.sites", "timeline": "timeline.kind", "data_loss": "data_loss.kind", "scope": "scope.products"}[field]; group {
		return first
	}
	return field
}

// Wrong is what is wrong with one field.
func (s shell) Wrong(field string) string {
	for _, f := range s.Fields {
		if f.Field == field {
			return f.Reason
		}
	}
	return ""
}

func (p *Portal) deskRoutes() []route {
	return []route{
		{method: "GET", path: "/desk/sign-in", do: func(k *call) error { return k.signInPage(200, "") }},
		{method: "POST", path: "/desk/sign-in", form: true, own: true, do: (*call).signIn},
		{method: "GET", path: auth.PasskeyPath, do: func(k *call) error { return k.askPasskey(auth.ToSignIn) }},
		{method: "POST", path: auth.PasskeyPath, form: true, own: true, do: (*call).signInByPasskey},
		{method: "GET", path: auth.SinglePath, do: (*call).leaveForSingle},
		{method: "GET", path: auth.SingleBack, do: (*call).backFromSingle},
		{method: "POST", path: "/desk/sign-out", page: true, do: func(k *call) error {
			if err := p.Gate.SignOut(k.UserContext(), k.Cookies(p.cookie())); err != nil {
				return err
			}
			k.setCookie("", time.Unix(0, 0))
			k.Set("Clear-Site-Data", `"cache", "storage"`) // not its cookies: those are cleared for the whole domain, which others use too
			return k.Redirect("/desk/sign-in", fiber.StatusSeeOther)
		}},
		{method: "GET", path: "/desk", page: true, right: auth.PageRead, do: func(k *call) error {
			form, err := k.proposed()
			if err != nil {
				return err
			}
			return k.home(200, form, nil)
		}},
		{method: "POST", path: "/desk/incidents", page: true, right: auth.IncidentDeclare, do: (*call).declare},
		{method: "GET", path: "/desk/incidents/:id", page: true, right: auth.IncidentRead, do: func(k *call) error { return k.room(200, nil) }},
		{method: "POST", path: "/desk/incidents/:id/command", page: true, right: auth.IncidentEdit, do: func(k *call) error {
			if _, err := p.Comms.TakeCommand(k.UserContext(), k.person.ID, k.Params("id"), k.FormValue("reason")); err != nil {
				return k.room(problemOf(err).Status, err)
			}
			return k.Redirect("/desk/incidents/"+k.Params("id"), fiber.StatusSeeOther)
		}},
		{method: "GET", path: "/desk/incidents/:id/live", page: true, right: auth.IncidentRead, do: func(k *call) error {
			v, err := k.roomView()
			if err != nil {
				return err
			}
			return p.render(k.Ctx, 200, "desk_live", v)
		}},
		{method: "POST", path: planPage, page: true, right: auth.LedgerMove, do: (*call).changePlan},
		{method: "GET", path: "/desk/updates/:id/deliveries", page: true, right: auth.UpdateRead, do: (*call).deliveryList},
		{method: "GET", path: "/desk/updates/:id/texts", page: true, right: auth.UpdateRead, do: func(k *call) error { return k.insteadPage(nil) }},
		{method: "POST", path: "/desk/updates/:id/texts", page: true, right: auth.UpdatePublish, do: func(k *call) error {
			_, err := p.Comms.AskTexts(k.UserContext(), k.person.ID, k.Params("id"))
			return k.insteadPage(err)
		}},
		{method: "POST", path: "/desk/updates/:id/texts/approve", page: true, right: auth.UpdateApprove, do: func(k *call) error {
			err := p.Gate.MayApprove(k.UserContext(), k.person)
			if err == nil {
				_, err = p.Comms.ApproveTexts(k.UserContext(), k.person.ID, k.Params("id"))
			}
			return k.insteadPage(err)
		}},
		{method: "POST", path: "/desk/incidents/:id/first-notice", page: true, right: auth.NoticeFirst, do: (*call).firstNotice},
		{method: "GET", path: "/desk/preview", page: true, right: auth.UpdateRead, do: (*call).pagePreview},
		{method: "GET", path: "/desk/incidents/:id/editor", page: true, right: auth.UpdateRead, do: func(k *call) error { return k.editor(200, k.Params("id"), k.Query("update"), nil, nil) }},
		{method: "POST", path: "/desk/incidents/:id/editor", page: true, right: auth.UpdateWrite, do: (*call).saveDraft},
		{method: "PUT", path: "/desk/incidents/:id/copy", page: true, right: auth.UpdateWrite, do: (*call).keepCopy},
		{method: "POST", path: "/desk/updates/:id/approve", page: true, right: auth.UpdateApprove, seenTo: []auth.Grant{auth.SecurityTexts}, do: func(k *call) error {
			_, err := k.approve()
			return k.backToEditor(err)
		}},
		{method: "POST", path: "/desk/updates/:id/ask", page: true, right: auth.UpdateWrite, do: func(k *call) error {
			_, err := p.Comms.AskApproval(k.UserContext(), k.person.ID, k.Params("id"))
			return k.backToEditor(err)
		}},
		{method: "POST", path: "/desk/updates/:id/dismiss", page: true, right: auth.UpdateWrite, do: func(k *call) error {
			_, _, err := p.Comms.Dismiss(k.UserContext(), k.person.ID, k.Params("id"), k.FormValue("field"), k.FormValue("code"))
			return k.backToEditor(err)
		}},
		{method: "POST", path: "/desk/updates/:id/publish", page: true, right: auth.UpdatePublish, do: func(k *call) error {
			o, err := k.publishOptions()
			if err == nil {
				_, err = p.Comms.Publish(k.UserContext(), k.person.ID, k.Params("id"), o)
			}
			return k.backToEditor(err)
		}},
		{method: "POST", path: "/desk/updates/:id/go-on", page: true, right: auth.UpdatePublish, do: func(k *call) error {
			return k.backToEditor(p.Comms.GoOn(k.UserContext(), k.person.ID, k.Params("id")))
		}},
		{method: "POST", path: "/desk/updates/:id/stop", page: true, right: auth.UpdateStop, do: func(k *call) error {
			return k.backToEditor(p.Comms.Stop(k.UserContext(), k.person.ID, k.Params("id"), k.FormValue("reason")))
		}},
		{method: "POST", path: "/desk/updates/:id/read", page: true, right: auth.UpdateApprove, do: func(k *call) error {
			_, err := p.Comms.ReadSecond(k.UserContext(), k.person.ID, k.Params("id"))
			return k.backToEditor(err)
		}},
		{method: "POST", path: "/desk/updates/:id/retract", page: true, right: auth.UpdateRetract, do: func(k *call) error {
			_, err := p.Comms.Retract(k.UserContext(), k.person.ID, k.Params("id"), k.FormValue("reason"))
			return k.backToEditor(err)
		}},
	}
}

// publishOptions reads the form that publishes.
func (k *call) publishOptions() (o comms.PublishOptions, err error) {
	o.PageOnly = k.FormValue("page_only") != ""
	if k.FormValue("stages") == "" {
		return o, nil
	}
	o.Stages = &comms.Stages{}
	number := func(field string) (n int) {
		if text := strings.TrimSpace(k.FormValue(field)); text != "" {
			var bad error
			if n, bad = strconv.Atoi(text); bad != nil && err == nil {
				err = fault.BadField("stages."+field, "must be a number")
			}
		}
		return n
	}
	o.Stages.Few, o.Stages.After = number("few"), time.Duration(number("after"))*time.Minute
	return o, err
}

// signInPage shows a button behind a link, so that a scanner that follows the link of a mail consumes nothing, and else the form of those with accounts.
func (k *call) signInPage(status int, wrong string) error {
	return k.p.render(k.Ctx, status, "desk_signin", struct {
		base
		Link, Wrong, Email string
		Single             string // what single sign-on is called here; "": there is none
		Passkeys           bool
	}{k.staffBase("/desk/sign-in", "desk.sign_in"), k.Query(auth.LinkParam), wrong, k.FormValue("email"), k.p.Gate.Single.Name(), k.p.Gate.TakesPasskeys()})
}

func (k *call) signIn() error {
	var session auth.Session
	var cookie, wrong string
	var err error
	if link := k.FormValue(auth.LinkParam); link != "" || k.FormValue("email") == "" {
		if err := k.p.slow(k); err != nil {
			return err
		}
		wrong = "desk.sign_in.wrong"
		session, cookie, err = k.p.Gate.Open(k.UserContext(), link)
	} else { // how many wrong ones are taken is counted by the account and the source, so that a whole office may sign in at once
		wrong = "desk.sign_in.no"
		session, cookie, err = k.p.Gate.SignIn(k.UserContext(), auth.Credentials{Email: k.FormValue("email"), Password: k.FormValue("password"), Code: k.FormValue("code"), Source: network(k.p.source(k.Ctx))})
	}
	return k.signedIn(session, cookie, wrong, err)
}

// signedIn opens the desk, or says what is wrong.
func (k *call) signedIn(session auth.Session, cookie, wrong string, err error) error {
	switch fault.Of(err) {
	case "":
	case fault.Unauthentic:
		return k.signInPage(401, wrong)
	case fault.TooMany, fault.Unavailable:
		k.later(err)
		return k.signInPage(problemOf(err).Status, "desk.sign_in.wait")
	default:
		return err
	}
	k.setCookie(cookie, session.Expires)
	return k.Redirect("/desk", fiber.StatusSeeOther)
}

func (k *call) setCookie(value string, expires time.Time) { k.setAside(k.p.cookie(), value, expires) }

// setAside keeps something in a cookie of ours that no script reads.
func (k *call) setAside(name, value string, expires time.Time) {
	k.Cookie(&fiber.Cookie{Name: name, Value: value, Path: "/", Expires: expires, Secure: k.p.https(), HTTPOnly: true, SameSite: fiber.CookieSameSiteLaxMode})
}

type homeView struct {
	shell
	Incidents  []incidentAnswer
	Due        dueList
	Form       comms.Declare
	Categories []string
	Severities []string
	Called     func(category string) string // how people call a category
	Ready      bool                         // a first notice could be sent
	Watched    []incidentAnswer             // events and alerts that are there now
	Noted      []string                     // what the form can note
}

// dueLine is one thing that is due, with where it is resolved.
type dueLine struct {
	What  string
	Title string // of a task, or of what a party owes; "": what it is says its sort
	Of    string // the stream of which a word is due, or, where several incidents are open, the incident
	Due   time.Time
	Late  bool
	URL   string
	Tell  int // rungs told
}

func (k *call) home(status int, form comms.Declare, refused error) error {
	page, _, err := k.incidents("", "", 50)
	if err != nil {
		return err
	}
	v := homeView{shell: k.shell("desk.incidents"), Form: form, Categories: k.p.Comms.Policy.Categories, Severities: []string{"P0", "P1", "P2", "P3"},
		Called: k.p.Comms.Policy.CategoryName, Noted: []string{comms.RecordIncident, comms.RecordAlert, comms.RecordEvent}}
	if v.Ready, _, err = k.p.Comms.FirstNoticeReady(k.UserContext()); err != nil {
		return err
	}
	watched, _, err := k.p.Comms.Records(k.UserContext(), comms.RecordQuery{State: comms.Watched, Limit: 20})
	if err != nil {
		return err
	}
	if watched, err = openTo(k, watched, itself); err != nil {
		return err
	}
	for _, rec := range watched {
		v.Watched = append(v.Watched, k.p.incident(rec))
	}
	titles := map[string]string{}
	for _, rec := range page {
		v.Incidents = append(v.Incidents, k.p.incident(rec))
		if rec.Value.State != comms.Closed {
			titles[rec.ID] = rec.Value.Title
		}
	}
	if len(titles) == 1 { // whose it is goes without saying
		titles = nil
	}
	if v.Due, err = k.due("", titles); err != nil {
		return err
	}
	if refused != nil {
		v.refused(refused)
	}
	return k.p.render(k.Ctx, status, "desk_home", v)
}

// dueList is what is due, soonest first: what presses in view, and the rest behind one line that says how soon it will press.
type dueList struct {
	Pressing []dueLine
	Rest     []dueLine
}

// dueShown is one line with what a page says it by.
type dueShown struct {
	dueLine
	Words templates.Catalog
	Now   time.Time
}

const (
	pressing     = 30 * time.Minute // what is due within it stands in view
	mostPressing = 5                // lines in view: under twenty that are late the first few are done first
)

// folded puts the first lines in view that press, one at the least; one that is left over needs no fold.
func folded(lines []dueLine, now time.Time) dueList {
	n := 0
	for n < len(lines) && n < mostPressing && (n == 0 || !lines[n].Due.After(now.Add(pressing))) {
		n++
	}
	if len(lines)-n == 1 {
		n++
	}
	return dueList{lines[:n], lines[n:]}
}

// due lists what is due; of one incident, or of all, which then are called by their titles.
func (k *call) due(incident string, titles map[string]string) (dueList, error) {
	open, err := k.p.Comms.DueList(k.UserContext())
	if err != nil {
		return dueList{}, err
	}
	closed, err := k.closedTo()
	if err != nil {
		return dueList{}, err
	}
	open = slices.DeleteFunc(open, func(d comms.Due) bool { return closed[d.Incident] })
	var lines []dueLine
	for _, d := range open {
		late := k.p.DB.Now().After(d.Due)
		if incident != "" && (d.Incident != incident || (d.What == comms.PartyDue || d.What == comms.StreamDue) && !late) { // what others owe stands in its own place until it is late
			continue
		}
		line := dueLine{What: k.sort(d), Title: k.taskTitle(d), Due: d.Due, Late: late, URL: k.resolves(d), Tell: d.Rung}
		if d.What == comms.StreamDue {
			line.Of = d.Title
		} else if line.Title == "" {
			line.Of = titles[d.Incident]
		}
		lines = append(lines, line)
	}
	return folded(lines, k.p.DB.Now()), nil
}

// sort is what a thing that is due is called on pages: tasks have many sorts and one name.
func (k *call) sort(d comms.Due) string {
	if d.Task() {
		return comms.AnyTask
	}
	return d.What
}

func (k *call) taskTitle(d comms.Due) string {
	if d.Task() || d.What == comms.PartyDue {
		return d.Title
	}
	return ""
}

// resolves is the page on which the thing that is due gets done.
func (k *call) resolves(d comms.Due) string {
	switch k.sort(d) {
	case comms.AnyTask:
		return "/desk/tasks/" + d.Of
	case comms.CoverageDue:
		return "/desk/tasks?incident=" + d.Incident
	case comms.Classification:
		return "/desk/incidents/" + d.Incident + "#classify"
	case comms.RolesDue, comms.SeverityDue, comms.Meeting:
		return "/desk/incidents/" + d.Incident + "/team#" + k.sort(d)
	case comms.PartyDue, comms.StreamDue, comms.EstimateDue:
		return d.Page
	case comms.Command:
		return "/desk/incidents/" + d.Incident
	case desk.FirstAnswer, desk.NextAnswer, desk.Resolution:
		return "/desk/tickets?overdue=true"
	case desk.HandoffDue:
		return "/desk/handoffs/" + d.Of
	case "way_back":
		return "/desk/tickets/" + d.Title
	case "second_reading", comms.ApprovalDue:
		return "/desk/incidents/" + d.Incident + "/editor?update=" + d.Of
	}
	return "/desk/incidents/" + d.Incident + "/editor"
}

func (k *call) declare() error {
	in := comms.Declare{Title: k.FormValue("title"), Severity: k.FormValue("severity"), Category: k.FormValue("category"), Impact: k.FormValue("impact"),
		Summary: k.FormValue("summary"), DetectedBy: k.FormValue("detected_by"), Stage: k.FormValue("stage")}
	rec, err := k.p.Comms.Declare(k.UserContext(), k.person.ID, in)
	if err != nil {
		return k.home(problemOf(err).Status, in, err)
	}
	return k.Redirect("/desk/incidents/"+rec.ID, fiber.StatusSeeOther)
}

// roomView is the incident room: what is due first, then every figure with the list behind it.
type roomView struct {
	shell
	stageForm
	Incident  incidentAnswer
	Age       time.Duration
	Due       dueList
	Ledger    templates.Figures
	Forecast  comms.Forecast
	Checks    desk.CheckFigures // of the sites that were rebuilt
	Chart     *page.Chart       // of what came back; nil: nothing has
	Updates   []updateAnswer
	Told      *updateAnswer // the newest published one
	Reach     *comms.Reach
	MailDown  *time.Time // since when no relay takes mail; nil: it goes
	Log       []entryAnswer
	Waiting   int // new tickets in this incident's queue
	Seats     []seatAnswer
	Streams   []streamAnswer
	Playbooks []comms.Playbook
	Notice    map[string]string
	Ready     bool // the first notice may be sent
	Judged    judged
}

// Commands says that whoever looks has taken command.
func (v roomView) Commands() bool {
	return slices.ContainsFunc(v.Seats, func(s seatAnswer) bool {
		return s.Role == comms.RoleCommander && s.Person == v.Person.ID && !s.ConfirmedAt.IsZero()
	})
}

// Silence says that nothing was said of the incident yet, and that a first notice can break it: of a security incident none can.
func (v roomView) Silence() bool {
	return v.Incident.FirstNoticeAt == nil && v.Told == nil && !v.Incident.Confined()
}

// Untold is how many people of the newest update's audience got nothing.
func (v roomView) Untold() int {
	if v.Reach == nil {
		return 0
	}
	return v.Reach.UnreachedTotal
}

// MailWaits is how many people's mail of the newest update waits while no relay takes any; 0: they need no text instead.
func (v roomView) MailWaits() (n int) {
	if v.MailDown == nil || v.Reach == nil || v.Reach.Stopped != "" || v.Reach.ByChannel[comms.ChannelSMS] != nil {
		return 0
	}
	for _, s := range []comms.State{comms.Queued, comms.Sending, comms.Deferred} {
		n += v.Reach.ByChannel[comms.ChannelEmail][s]
	}
	return n
}

// Stoppable says whether something of the newest update is unsent that the reader may stop.
func (v roomView) Stoppable() bool {
	return v.Reach != nil && !v.Reach.Done && v.Reach.Stopped == "" && v.May(string(auth.UpdateStop))
}

func (k *call) roomView() (roomView, error) {
	ctx, id := k.UserContext(), k.Params("id")
	rec, err := k.p.Comms.Incident(ctx, id)
	if err != nil {
		return roomView{}, err
	}
	id = rec.ID
	v := roomView{shell: k.shell("desk.room"), Incident: k.p.incident(rec), Notice: map[string]string{}, Judged: k.judged(rec.Value), stageForm: k.stageForm(rec.Value)}
	v.Title = rec.Value.Title
	v.Age = v.Now.Sub(rec.Value.DeclaredAt)
	if v.Due, err = k.due(id, nil); err != nil {
		return v, err
	}
	if v.Ledger, err = k.p.ledgerLately(ctx, id); err != nil {
		return v, err
	}
	if v.Forecast, err = k.p.forecastLately(ctx, id); err != nil {
		return v, err
	}
	if v.Ledger.Sites.Total > 0 {
		if v.Checks, err = k.p.checksLately(ctx, id); err != nil {
			return v, err
		}
		course, err := k.p.courseLately(ctx, id, v.Ledger.Sites.Total)
		if err != nil {
			return v, err
		}
		v.Chart = page.Draw(v.Words, rec.Value.DetectedAt, v.Ledger, course)
	}
	said, _, err := k.p.Comms.Updates(ctx, id, "", 50)
	if err != nil {
		return v, err
	}
	for _, u := range said {
		a := updateOf(u, nil)
		v.Updates = append(v.Updates, a)
		if a.State == comms.Published && v.Told == nil {
			v.Told = &a
		}
	}
	if v.Silence() {
		if v.Ready, _, err = k.p.Comms.FirstNoticeReady(ctx); err != nil {
			return v, err
		}
	}
	if v.Told != nil {
		reach, err := k.p.Comms.Reach(ctx, v.Told.ID)
		if err != nil {
			return v, err
		}
		v.Reach, v.MailDown = &reach, k.p.Comms.MailDown()
	}
	if v.Streams, err = k.streams(rec.Value); err != nil {
		return v, err
	}
	log, err := k.p.Comms.NotesOf(ctx, id)
	if err != nil {
		return v, err
	}
	if v.Log, err = k.read(log); err != nil {
		return v, err
	}
	if v.Playbooks, err = k.p.Comms.PlaybooksOf(ctx, id); err != nil {
		return v, err
	}
	stepsSaid(v.Log, v.Playbooks, v.Words.Locale())
	for i, b := range v.Playbooks {
		v.Playbooks[i] = b.In(v.Words.Locale())
	}
	if v.Seats, err = k.seats(rec.Value); err != nil {
		return v, err
	}
	v.Waiting, err = k.p.Desk.CountTickets(ctx, desk.Filter{Queue: id, State: desk.New})
	return v, err
}

func (k *call) room(status int, refused error) error {
	if rec, err := k.p.Comms.Incident(k.UserContext(), k.Params("id")); err != nil {
		return err
	} else if rec.Value.Undeclared() {
		return k.watched(status, rec, refused)
	}
	v, err := k.roomView()
	if err != nil {
		return err
	}
	if refused != nil {
		v.refused(refused)
		v.Notice = map[string]string{"products": k.FormValue("products"), "next_update_by": k.FormValue("next_update_by")}
	}
	return k.p.render(k.Ctx, status, "desk_room", v)
}

func (k *call) firstNotice() error {
	in := comms.FirstNotice{Products: splitList(k.FormValue("products"), ",")}
	if err := json.Unmarshal(mustJSON(moment(k.FormValue("next_update_by"))), &in.NextUpdateBy); err != nil {
		return k.room(422, fault.BadField("next_update_by", "must be a time such as 2022-04-05 11:00 (UTC)"))
	}
	if _, err := k.p.Comms.FirstNotice(k.UserContext(), k.person.ID, k.Params("id"), in); err != nil {
		return k.room(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/incidents/"+k.Params("id"), fiber.StatusSeeOther)
}

// siteListView is the list behind the figures of a ledger.
type siteListView struct {
	shell
	Incident incidentAnswer
	Ledger   templates.Figures
	Forecast comms.Forecast
	Targets  comms.Targets
	State    string
	Reached  string // the figure whose sites are listed
	Phase    string // the phase whose sites are listed
	Whole    bool   // those of customers who have all of theirs back
	States   []string
	Sites    []store.Rec[comms.Row]
	Next     string
	Names    map[string]string // of the sites and their customers, by our id
	Typed    map[string]string // of a change of plan that was refused
	Did      siteWork
	Work     map[string]string // as it was typed, of sites to move or to load
	Mine     []string          // the states into which whoever looks may move sites
	People   crew
}

// Called is how people call a site or a customer of the list; its id when nobody has named it.
func (v siteListView) Called(id string) string { return cmp.Or(v.Names[id], id) }

// countedSites is what is listed that is no state of a site.
type countedSites struct{ Link, Says string }

// Counts names the figure of the room that the list is of; nil: it is of a state, or of all.
func (v siteListView) Counts() *countedSites {
	at, words := "/desk/incidents/"+v.Incident.ID+"/sites?", v.Words
	switch key := "desk.state." + v.Reached; {
	case v.Reached != "" && words.Has(key):
		return &countedSites{at + "reached=" + v.Reached, words.T("desk.sites.reached", words.T(key))}
	case v.Phase != "" && words.Has("desk.phase."+v.Phase):
		return &countedSites{at + "phase=" + v.Phase, words.T("desk.phase." + v.Phase)}
	case v.Whole:
		return &countedSites{at + "whole=true", words.T("desk.customers")}
	}
	return nil
}

// objective is a target beside what was reached, in words.
type objective struct {
	comms.Objective
	Words templates.Catalog
}

func (o objective) Says() string {
	return o.Words.T("desk.targets.says", lasting(o.Actual), lasting(o.Target), o.Met, o.Missed, o.Open)
}

// planFields are what the form of a change of plan asks for, with the times in the order in which they are said.
var planFields = []string{"what", "why", "from", "earliest", "latest"}

const planPage = "/desk/incidents/:id/plan"

// changePlan records a change of the repair plan and opens the draft that it raised.
func (k *call) changePlan() error {
	in := comms.PlanForm{What: k.FormValue("what"), Why: k.FormValue("why")}
	for field, to := range map[string]**time.Time{"from": &in.From, "earliest": &in.Earliest, "latest": &in.Latest} {
		typed := strings.TrimSpace(k.FormValue(field))
		if typed == "" {
			continue
		}
		at, err := time.Parse(minuteForm, typed)
		if err != nil {
			return k.siteList(422, siteWork{}, fault.BadField(field, "must be a time such as 2022-04-05T08:00"))
		}
		*to = &at
	}
	c, err := k.p.Comms.ChangePlan(k.UserContext(), k.person.ID, k.Params("id"), in)
	switch {
	case err != nil:
		return k.siteList(problemOf(err).Status, siteWork{}, err)
	case c.Word == "":
		return k.Redirect("/desk/incidents/"+k.Params("id")+"/sites", fiber.StatusSeeOther)
	}
	return k.Redirect("/desk/incidents/"+k.Params("id")+"/editor?update="+c.Word, fiber.StatusSeeOther)
}

func (k *call) siteList(status int, did siteWork, refused error) error {
	ctx := k.UserContext()
	rec, err := k.p.Comms.Incident(ctx, k.Params("id"))
	if err != nil {
		return err
	}
	v := siteListView{shell: k.shell("desk.sites.list"), Incident: k.p.incident(rec), State: k.Query("state"), Reached: k.Query("reached"), Phase: k.Query("phase"),
		Whole: k.Query("whole") == "true", Typed: map[string]string{}, Did: did, Work: map[string]string{},
		States: []string{comms.Lost, comms.Restoring, comms.Rebuilt, comms.Verifying, comms.Passed, comms.HandedBack, comms.FailedSite}}
	ledger, forecast := k.p.ledgerLately, k.p.forecastLately
	if k.Method() == fiber.MethodPost { // she looks at what she did
		ledger, forecast = k.p.Comms.Ledger, k.p.Comms.Forecast
	}
	if v.Ledger, err = ledger(ctx, rec.ID); err != nil {
		return err
	}
	if v.Forecast, err = forecast(ctx, rec.ID); err != nil {
		return err
	}
	if v.Targets, err = k.p.Comms.Targets(ctx, rec.ID); err != nil {
		return err
	}
	if v.Sites, v.Next, err = k.p.Comms.Sites(ctx, rec.ID, comms.SiteQuery{State: v.State, Reached: v.Reached, Phase: v.Phase, Whole: v.Whole, After: k.Query("after"), Limit: 100}); err != nil {
		return err
	}
	var sites, accounts []string
	for _, rec := range v.Sites {
		sites, accounts = append(sites, rec.Value.Site), append(accounts, rec.Value.Account)
	}
	if v.Names, err = k.p.Book.Names(ctx, sites, accounts); err != nil {
		return err
	}
	if v.People, err = k.crew(rec.ID); err != nil {
		return err
	}
	if refused != nil {
		v.refused(refused)
		if k.Route().Path == planPage {
			for _, field := range planFields {
				v.Typed[field] = k.FormValue(field)
			}
		}
	}
	if k.Method() == fiber.MethodPost && len(v.Typed) == 0 {
		v.keepWork(k)
	}
	v.Mine = []string{comms.Restoring, comms.Rebuilt, comms.FailedSite, comms.Lost}
	if k.person.Can(auth.LedgerFinish, auth.WithReason) == nil {
		v.Mine = v.States
	}
	return k.p.render(k.Ctx, status, "desk_sites", v)
}

// deliveryListView is the list behind the figures of an update's reach.
type deliveryListView struct {
	shell
	Update  updateAnswer
	Reach   comms.Reach
	Channel string
	State   string
	All     []comms.Told
	Next    string
	Names   map[string]string // of the customers, by our id
}

func (k *call) deliveryList() error {
	ctx, id := k.UserContext(), k.Params("id")
	rec, _, err := k.p.Comms.Update(ctx, id)
	if err != nil {
		return err
	}
	v := deliveryListView{shell: k.shell("desk.reach"), Update: updateOf(rec, nil), Channel: k.Query("channel"), State: k.Query("state")}
	v.Title = v.Words.T("desk.deliveries", rec.Value.Number)
	if v.Reach, err = k.p.Comms.Reach(ctx, id); err != nil {
		return err
	}
	if v.All, v.Next, err = k.p.Comms.Deliveries(ctx, id, comms.DeliveryQuery{State: comms.State(v.State), Channel: v.Channel, After: k.Query("after"), Limit: 100}); err != nil {
		return err
	}
	var accounts []string
	for i, told := range v.All {
		v.All[i].Address = maskAddress(told.Channel, told.Address)
		if told.Account != "" && !slices.Contains(accounts, told.Account) {
			accounts = append(accounts, told.Account)
		}
	}
	if v.Names, err = k.p.Book.Names(ctx, nil, accounts); err != nil {
		return err
	}
	return k.p.render(k.Ctx, 200, "desk_deliveries", v)
}

// insteadView is the offer to text those who wait for mail.
type insteadView struct {
	shell
	Update updateAnswer
	Offer  comms.Instead
	Asked  string // the name of who asked for it
}

// insteadPage shows the offer, and why what was pressed is not done.
func (k *call) insteadPage(refused error) error {
	if k.Method() == fiber.MethodPost && refused == nil {
		return k.Redirect("/desk/updates/"+k.Params("id")+"/texts", fiber.StatusSeeOther)
	}
	ctx, id := k.UserContext(), k.Params("id")
	rec, _, err := k.p.Comms.Update(ctx, id)
	if err != nil {
		return err
	}
	v := insteadView{shell: k.shell("desk.instead"), Update: updateOf(rec, nil)}
	v.Title = v.Words.T("desk.instead.title", rec.Value.Number)
	status := fiber.StatusOK
	if v.Offer, err = k.p.Comms.Instead(ctx, id); err != nil {
		refused = err
	}
	if v.Offer.AskedBy != "" {
		name, err := k.names()
		if err != nil {
			return err
		}
		v.Asked = name(v.Offer.AskedBy)
	}
	if refused != nil {
		status = problemOf(refused).Status
		v.refused(refused)
	}
	return k.p.render(k.Ctx, status, "desk_instead", v)
}

func (k *call) ticketPage(status int, refused error) error {
	open, err := k.p.Desk.Ticket(k.UserContext(), k.Params("number"))
	if err != nil {
		return err
	}
	v := ticketDesk{shell: k.shell("ticket.title"), Open: open, Belongs: k.belongs(open), CodeID: k.Query("code")}
	if v.Identity, err = k.identityDesk(open); err != nil {
		return err
	}
	if refused != nil {
		v.refused(refused)
		v.Stale = fault.Of(refused) == fault.Stale
	}
	if k.Method() == fiber.MethodPost { // refused, or not sent yet
		v.Text, v.Explanation, v.Internal = k.FormValue("text"), k.FormValue("explanation"), k.FormValue("internal") != ""
		v.Also = k.also()
	}
	if k.FormValue("act") == "macro" {
		for field, typed := range map[string]*string{"macro": &v.Text, "solution": &v.Explanation} {
			if err := k.addMacro(typed, k.FormValue(field), open); err != nil {
				return err
			}
		}
	}
	if v.Work, err = k.ticketWork(open, v.shell); err != nil {
		return err
	}
	v.Files = k.filesView(v.Words.Locale(), refused)
	v.Files.Label = v.Words.T("desk.files")
	return k.p.render(k.Ctx, status, "desk_ticket", v)
}

// addMacro puts a macro, filled, below what is typed.
func (k *call) addMacro(typed *string, name string, open desk.View) error {
	if name == "" {
		return nil
	}
	filled, err := k.p.Desk.Macro(k.UserContext(), name, open)
	*typed = strings.TrimLeft(strings.TrimRight(*typed, "\r\n")+"\n\n"+filled, "\n")
	return err
}

type ticketDesk struct {
	shell
	Open     desk.View
	Text     string
	Internal bool      // what is typed is for staff only
	Also     *[]string // numbers of the merged tickets that were ticked
	Stale    bool      // it was refused because the ticket was changed meanwhile
	Belongs  belongs

	Identity identityDesk
	CodeID   string // of a code that was just sent, to be given back
	Work     ticketWork

	Explanation string // as typed
	Files       filesView
}

// Facts are what the person told about herself, labelled; nothing of it is proved.
func (v ticketDesk) Facts() (all []struct{ Label, Value string }) {
	t := v.Open.Ticket
	impact := t.Impact
	if key := "support.impact." + impact; v.Words.Has(key) {
		impact = v.Words.T(key)
	}
	for _, f := range []struct{ key, value string }{
		{"desk.f.name", t.Name}, {"support.email", t.Email}, {"support.phone_label", t.Phone}, {"support.company", t.Company},
		{"support.site_name", t.SiteName}, {"support.site_url", t.SiteURL}, {"support.invoice", t.Invoice}, {"support.old_ticket", t.OldTicket},
		{"desk.f.customer_impact", impact}, {"desk.language", v.Words.Language(t.Locale)}, {"desk.route", v.Via(t.Route)},
	} {
		if f.value != "" {
			all = append(all, struct{ Label, Value string }{v.Words.T(f.key), f.value})
		}
	}
	return all
}

// Via is in words how something came. Some ways are routes of an escalation and have their words there.
func (v ticketDesk) Via(how string) string {
	for _, key := range []string{"desk.via." + how, "desk.esc." + how} {
		if v.Words.Has(key) {
			return v.Words.T(key)
		}
	}
	return how
}

// splitList reads "a, b" or one thing a line.
func splitList(s, by string) []string {
	out := []string{}
	for _, part := range strings.Split(s, by) {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// mustJSON writes text and lists, which cannot fail.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return b
}
