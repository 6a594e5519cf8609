package portal

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

func (p *Portal) ticketPages() []route {
	return []route{
		{method: "GET", path: "/desk/tickets", page: true, right: auth.TicketRead, do: (*call).ticketList},
		{method: "GET", path: "/desk/tickets/:number", page: true, right: auth.TicketRead, do: func(k *call) error { return k.ticketPage(200, nil) }},
		{method: "POST", path: "/desk/tickets/:number", page: true, right: auth.TicketWrite, max: maxTicket, own: true, files: true, do: (*call).workTicket},
		{method: "POST", path: "/desk/tickets/:number/presence", page: true, right: auth.TicketWrite, do: (*call).attendPage},
	}
}

// ticketRow is a line of the list.
type ticketRow struct {
	store.Rec[desk.Ticket]
	Clock  clockShown
	About  string // the customer, and the site, of a ticket in which nobody has named herself
	Site   string
	Owner  string
	Level  desk.Level
	Closed bool
}

type ticketListView struct {
	shell
	Rows       []ticketRow
	Choice     desk.Choice
	Asked      map[string]string // the query as it came
	Queues     []tallyAnswer
	Here       tallyAnswer // of the queue that is shown, or of all
	States     []string
	Priorities []string
	Labels     []string
	Steps      []stepShown // of the queue that is shown
	Step       func(desk.Ticket) string
	Next       string
	Whole      bool

	Bulk       bool // she may change many of them at once
	Marked     []string
	Typed      map[string]string
	Members    []auth.Member
	Categories []string
	Macros     []desk.Macro
	Blanks     string
	Alone      int // so many customers one person may write to in one go
}

// Ticked says whether a ticket was marked in what was sent and refused.
func (v ticketListView) Ticked(number string) bool { return slices.Contains(v.Marked, number) }

// BulkLink is where the form below the list goes, with what the list holds.
func (v ticketListView) BulkLink() string {
	return "/desk/tickets/bulk?" + strings.TrimPrefix(v.Link(), "/desk/tickets?")
}

func (v ticketListView) Link(pairs ...string) string {
	q := url.Values{}
	for name, value := range v.Asked {
		if value != "" {
			q.Set(name, value)
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	return "/desk/tickets?" + q.Encode()
}

// listed is what the list of tickets holds, whose query may leave out the most of it.
func (k *call) listed() (desk.Choice, error) {
	c, err := k.choice()
	if c.State == "" && c.Words == "" {
		c.State = desk.AnyOpen
	}
	if c.State == desk.Closed && c.Order == "" {
		c.Order = desk.ByChanged
	}
	return c, err
}

func (k *call) ticketList() error { return k.ticketListWith(200, nil) }

func (k *call) ticketListWith(status int, refused error) error {
	c, err := k.listed()
	if err != nil {
		return err
	}
	c.Limit = 50
	v := ticketListView{shell: k.shell("desk.tickets"), Marked: k.marked(), Typed: k.bulkTyped(), Asked: map[string]string{}, States: []string{desk.New, desk.Asked, desk.Waiting, desk.Solved, desk.Closed}, Priorities: []string{"P0", "P1", "P2", "P3"}}
	for _, name := range choiceQuery {
		if name != "after" && name != "limit" {
			v.Asked[name] = k.Query(name)
		}
	}
	v.Choice = c
	page, err := k.p.Desk.List(k.UserContext(), c)
	if err != nil {
		return err
	}
	v.Next, v.Whole = page.Next, page.Whole
	levels, err := k.p.Desk.Levels(k.UserContext(), page.Items)
	if err != nil {
		return err
	}
	names, err := k.names()
	if err != nil {
		return err
	}
	var sites, accounts []string
	for _, rec := range page.Items {
		if t := rec.Value; t.Company == "" && t.Name == "" && t.Account != "" {
			sites, accounts = append(sites, t.Site), append(accounts, t.Account)
		}
	}
	about, err := k.p.Book.Names(k.UserContext(), slices.DeleteFunc(sites, func(id string) bool { return id == "" }), accounts)
	if err != nil {
		return err
	}
	for _, rec := range page.Items {
		v.Rows = append(v.Rows, ticketRow{About: about[rec.Value.Account], Site: about[rec.Value.Site], Rec: rec, Clock: k.first(v.Words, rec.Value), Owner: names(rec.Value.Owner), Level: levels[rec.ID], Closed: rec.Value.State == desk.Closed})
	}
	if v.Queues, err = k.queues(); err != nil {
		return err
	}
	v.Here = tallyAnswer{State: map[string]int{}, Priority: map[string]int{}}
	for _, q := range v.Queues {
		if c.Queue == "" || c.Queue == q.Queue {
			v.Here.add(q)
		}
		if c.Queue == q.Queue {
			v.Steps = k.p.steps(v.Words, q.Flow, q.Step)
		}
	}
	v.Step = k.p.stepOf(v.Words)
	if v.Labels, err = k.p.Desk.Labels(k.UserContext(), c.Closed); err != nil {
		return err
	}
	if v.May(string(auth.TicketWrite)) && v.May(string(auth.ChangePropose)) {
		if v.Members, err = k.people(c.Queue); err != nil {
			return err
		}
		v.Bulk, v.Categories, v.Macros, v.Alone, v.Blanks = true, k.p.Desk.Policy.Categories, k.p.Desk.Policy.Macros, k.p.Desk.Policy.Bulk.Alone, desk.Blanks()
	}
	if refused != nil {
		v.refused(refused)
	}
	return k.p.render(k.Ctx, status, "desk_tickets", v)
}

// stepShown is a step of a workflow, with how many tickets are in it.
type stepShown struct {
	Name, Says string
	N          int
}

func (p *Portal) steps(words templates.Catalog, flow string, counts map[string]int) (all []stepShown) {
	for _, name := range p.Desk.Policy.Steps(flow) {
		all = append(all, stepShown{name, p.Desk.Policy.StepSays(flow, name, words.Locale()), counts[name]})
	}
	return all
}

// stepOf says how far a ticket has come in its workflow; "" where it has none.
func (p *Portal) stepOf(words templates.Catalog) func(desk.Ticket) string {
	return func(t desk.Ticket) string {
		if t.Step == "" {
			return ""
		}
		return p.Desk.Policy.StepSays(t.Flow, t.Step, words.Locale())
	}
}

func (t *tallyAnswer) add(q tallyAnswer) {
	t.Open, t.Overdue, t.Unassigned, t.Mine, t.Held = t.Open+q.Open, t.Overdue+q.Overdue, t.Unassigned+q.Unassigned, t.Mine+q.Mine, t.Held+q.Held
	for state, n := range q.State {
		t.State[state] += n
	}
	for priority, n := range q.Priority {
		t.Priority[priority] += n
	}
}

// names finds staff members' names for a page; one that is gone is called by its id.
func (k *call) names() (func(id string) string, error) {
	by, err := k.p.Gate.Names(k.UserContext())
	return func(id string) string {
		if id == "" {
			return ""
		}
		return cmp.Or(by[id], holder(id))
	}, err
}

// clockShown is a clock in words and form.
type clockShown struct {
	desk.Clock
	Name string
	Says string
	Sign string // a mark beside the words, so that colour says nothing alone
	Tone string
}

func showClock(words templates.Catalog, c desk.Clock) clockShown {
	left := spanSaid(c.Left)
	if c.Hours { // a day of them is no day
		left = hoursSaid(c.Left)
	}
	s := clockShown{Clock: c, Name: words.T("desk.due." + c.What), Says: words.T("desk.clock."+string(c.State), left)}
	switch c.State {
	case desk.ClockLate, desk.ClockMissed:
		s.Sign, s.Tone = "!", "tone-dire"
	case desk.ClockStands:
		s.Sign, s.Tone = "‖", ""
	case desk.ClockKept:
		s.Sign, s.Tone = "✓", "tone-good"
	default:
		s.Sign, s.Tone = "→", "tone-info"
		if c.Left < soon {
			s.Tone = "tone-warn"
		}
	}
	return s
}

// soon is when a clock that runs takes the colour of what is near its end.
const soon = 30 * time.Minute

// spanSaid is a stretch of time in its two largest units: 3 d 4 h, 2 h 5 min, 7 min.
func spanSaid(d time.Duration) string {
	d = d.Abs().Round(time.Minute)
	if days, hours := int(d/(24*time.Hour)), int(d/time.Hour)%24; days > 0 {
		return itoa(days) + " d " + itoa(hours) + " h"
	}
	return hoursSaid(d)
}

// hoursSaid is one in hours, however many: 240 h 0 min, 7 min.
func hoursSaid(d time.Duration) string {
	d = d.Abs().Round(time.Minute)
	hours, minutes := int(d/time.Hour), int(d/time.Minute)%60
	if hours > 0 {
		return itoa(hours) + " h " + itoa(minutes) + " min"
	}
	return itoa(minutes) + " min"
}

// first is the clock of a ticket that ends first, or how its first answer went.
func (k *call) first(words templates.Catalog, t desk.Ticket) clockShown {
	all := k.p.Desk.Policy.Clocks(t, k.p.DB.Now())
	if len(all) == 0 {
		return clockShown{}
	}
	best := all[0]
	for _, c := range all {
		runs := c.State == desk.ClockRuns || c.State == desk.ClockLate
		was := best.State == desk.ClockRuns || best.State == desk.ClockLate
		if runs && (!was || c.Left < best.Left) {
			best = c
		}
	}
	return showClock(words, best)
}

// ticketWork is the part of a ticket's page with which staff work on it.
type ticketWork struct {
	Clocks     []clockShown
	Runs       string // when they run; "": round the clock
	Others     []presentAnswer
	Owner      string
	Mine       bool
	Members    []auth.Member
	Categories []string
	Steps      []stepShown
	Step       string
	Queues     []tallyAnswer
	Macros     []string
	Alike      []desk.Alike
	Zones      []zoneOption
	Day, Hour  string // of a call, as typed
	Names      func(string) string
	Priorities []string
	Ended      bool
}

func (k *call) ticketWork(open desk.View, s shell) (w ticketWork, err error) {
	t := open.Ticket
	w = ticketWork{Mine: t.Owner == k.person.ID, Categories: k.p.Desk.Policy.Categories, Priorities: []string{"P0", "P1", "P2", "P3"}, Ended: t.State == desk.Closed}
	for _, c := range k.p.Desk.Policy.Clocks(t, k.p.DB.Now()) {
		w.Clocks = append(w.Clocks, showClock(s.Words, c))
	}
	w.Runs = k.p.Desk.Policy.Runs(t)
	present, err := k.p.Desk.Who(k.UserContext(), open.ID, k.person.ID)
	if err != nil {
		return w, err
	}
	if w.Others, err = k.others(present); err != nil {
		return w, err
	}
	if w.Members, err = k.people(t.Incident, t.Owner); err != nil {
		return w, err
	}
	if w.Names, err = k.names(); err != nil {
		return w, err
	}
	w.Owner, w.Step, w.Steps = w.Names(t.Owner), k.p.stepOf(s.Words)(t), k.p.steps(s.Words, t.Flow, nil)
	if w.Queues, err = k.queues(); err != nil {
		return w, err
	}
	w.Zones, w.Day, w.Hour = zonesAt(s.Now, cmp.Or(k.FormValue("zone"), homeZone(t.Locale, ""))), k.FormValue("day"), k.FormValue("hour")
	if w.Alike, err = k.alikes(open); err != nil {
		return w, err
	}
	for _, m := range k.p.Desk.Policy.Macros {
		w.Macros = append(w.Macros, m.Name)
	}
	return w, nil
}

// workTicket does what a button of a ticket's page says.
func (k *call) workTicket() error {
	ctx, by, number := k.UserContext(), k.person.ID, k.Params("number")
	version, _ := parseInt(k.FormValue("version"))
	to := number
	if k.formErr != nil {
		return k.ticketPage(problemOf(k.formErr).Status, k.formErr)
	}
	var v desk.View
	var err error
	switch k.FormValue("act") {
	case "take":
		me := by
		v, err = k.p.Desk.Handle(ctx, by, number, desk.Handling{Owner: &me})
	case "handle":
		v, err = k.handleForm(version)
	case "solve":
		v, err = k.p.Desk.Solve(ctx, by, number, k.FormValue("explanation"), version)
	case "merge":
		v, err = k.merge(desk.Joining{From: number, Into: k.FormValue("into"), Reason: k.FormValue("why"), Version: version})
		to = v.Ticket.Number
	case "unmerge":
		v, err = k.p.Desk.Unmerge(ctx, by, number, version)
	case "split":
		v, err = k.p.Desk.Split(ctx, by, number, k.FormValue("message"), "", version)
		to = v.Ticket.Number
	case "unsplit":
		v, err = k.p.Desk.Unsplit(ctx, by, number, version)
		to = v.Ticket.Number
	case "call":
		err = k.bookCall()
	case "macro": // to be read before it is sent; whatever came meanwhile is said all the same
		if v, err = k.p.Desk.Ticket(ctx, number); err == nil && version == v.Version {
			return k.ticketPage(200, nil)
		} else if err == nil {
			err = fault.New(fault.Stale, "ticket %s was changed meanwhile", number)
		}
	case "release":
		v, err = k.p.Desk.Release(ctx, by, number, k.FormValue("message"), version)
	default:
		internal := k.FormValue("internal") != ""
		if internal || k.FormValue("again") != "" { // a note collides with nobody; and she was told, and sends it all the same
			version = 0
		}
		_, err = k.p.Desk.Say(ctx, desk.Entry{By: by, Number: number, Version: version, Also: k.also(), Message: desk.Message{From: "staff", By: by, Text: k.FormValue("text"), Internal: internal, Via: "web", Attached: k.files}})
	}
	if fault.Of(err) == fault.Stale {
		err = fault.New(fault.Stale, "%s", k.p.Words.Catalog(k.p.staffLocale(k.Ctx)).T("desk.stale"))
	}
	if err != nil {
		return k.ticketPage(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/tickets/"+url.PathEscape(to), fiber.StatusSeeOther)
}

// bookCall books the call that a ticket's page asks for, in the customer's zone.
func (k *call) bookCall() error {
	at, err := callTime(callForm{Zone: k.FormValue("zone"), Day: k.FormValue("day"), Hour: k.FormValue("hour")}, k.p.DB.Now())
	if err != nil {
		return err
	}
	_, err = k.p.Desk.BookCall(k.UserContext(), k.person.ID, desk.Booking{Ticket: k.Params("number"), At: at, Zone: k.FormValue("zone"), Owner: k.person.ID})
	return err
}

// handleForm changes what differs from what the form was filled with.
func (k *call) handleForm(version int64) (desk.View, error) {
	open, err := k.p.Desk.Ticket(k.UserContext(), k.Params("number"))
	if err != nil {
		return open, err
	}
	t := open.Ticket
	in := handleBody{Reason: k.FormValue("reason")}
	differs := func(name, was string) *string {
		value := k.FormValue(name)
		if value == was {
			return nil
		}
		return &value
	}
	in.Priority, in.Owner, in.Category, in.Queue = differs("priority", t.Priority), differs("owner", t.Owner), differs("category", t.Category), differs("queue", t.Queue())
	if len(k.p.Desk.Policy.Steps(t.Flow)) > 0 {
		in.Step = differs("step", t.Step)
	}
	if labels := splitList(k.FormValue("labels"), ","); !slices.Equal(labels, t.Labels) {
		in.Labels = &labels
	}
	if in.Priority == nil && in.Reason != "" { // looked at, and right
		same := t.Priority
		in.Priority = &same
	}
	return k.handle(in, version)
}

// attendPage is attend for the page's script, which sends a form.
func (k *call) attendPage() error {
	others, version, err := k.p.Desk.Attend(k.UserContext(), k.person.ID, k.Params("number"), k.FormValue("types") != "", k.FormValue("leaves") != "")
	if err != nil {
		return err
	}
	a := presenceAnswer{Version: version}
	if a.Others, err = k.others(others); err != nil {
		return err
	}
	return send(k.Ctx, 200, a)
}

// labelLine is labels as one types them.
func labelLine(all []string) string { return strings.Join(all, ", ") }

// macroChoice is the list from which a macro goes into what is typed.
type macroChoice struct {
	Words templates.Catalog
	Field string
	Names []string
}

// MacrosFor are the macros for one of the page's two texts.
func (v ticketDesk) MacrosFor(field string) macroChoice {
	return macroChoice{v.Words, field, v.Work.Macros}
}

// also are the merged tickets whose boxes were ticked; nil where there were none to tick.
func (k *call) also() *[]string {
	if k.Method() != fiber.MethodPost || k.FormValue("joined") == "" {
		return nil
	}
	all := k.ticked("also")
	return &all
}

// Tells says whether the box of a merged ticket is ticked.
func (v ticketDesk) Tells(j desk.Joined) bool {
	if v.Also != nil {
		return slices.Contains(*v.Also, j.Number)
	}
	return j.Same
}

// File is a file of the ticket as its page names it.
func (v ticketDesk) File(a desk.Attachment) attachedFile {
	return attachedFile{Attachment: a, Words: v.Words, URL: "/desk/tickets/" + v.Open.Ticket.Number + "/files/" + a.ID}
}

// heldSays is why a message is held, in words; a reason that has none is itself.
func heldSays(words templates.Catalog, why string) string {
	if key := "desk.held." + why; words.Has(key) {
		return words.T(key)
	}
	return why
}

// Line is the text of a message with the words of the page.
func (v ticketDesk) Line(text string) spokenText { return spokenText{v.Words, text} }
