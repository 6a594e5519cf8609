package portal

import (
	"cmp"
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/contacts"
	"lifeline/portal/desk"
	"lifeline/store/fault"
	"lifeline/store/secret"
	"lifeline/templates"
)

// A customer's ticket opens by its secret or by a mailed link, and then by her visit: a cookie that only this ticket's address gets, so that
// looking again, going back and pictures work, and the same token in every form, so that no other site's page can send one (the cookie alone
// never changes anything), and so that a browser which keeps no cookies still works. Neither is ever part of an address.

// doorView is the page before a ticket is open. It says the same of every number.
type doorView struct {
	base
	Number   string
	Link     string // of a mail: a button opens by it, since programs follow the links of mails
	OldLink  bool
	Wrong    bool
	Later    bool // too many wrong secrets, or nothing can be read now
	NoCookie bool // the browser did not keep what would have opened the page
	Lost     lostForm
}

// lostForm regains a lost secret: first where to, then with what was sent there.
type lostForm struct {
	Open    bool
	To      string
	Error   string
	Sent    *desk.Sent
	Pending string // id of what was sent
}

// ticketView is the page of an open ticket.
type ticketView struct {
	base
	Number  string
	Visit   desk.Visit
	Open    desk.View
	Facts   []fact
	Next    templates.Moment // when the next update is due
	Wait    desk.Wait
	Company desk.Company
	Back    *desk.Back // asks whether her site works; nil: there is nothing to ask
	Hints   []desk.Hint
	Records []desk.Zone // records that she was asked to set
	Leads   string      // what would let her do more, as a word
	Files   filesView

	NotTexted string // why no text goes to her number, which is all that we have; "": one may

	Asked     time.Time // when this page was asked for
	Text      string    // what was typed and could not be added
	Error     string
	Errors    map[string]string // of the smaller forms, by field
	Did       string            // what was just done, as a key of words; "": nothing
	Secret    string            // a new one, shown this once
	Code      codeAsked
	Call      callForm
	Undated   bool // no date can be given: a talk is offered
	Plea      pleaForm
	ZoneAsked bool // just now
}

// codeAsked asks for the code that was sent.
type codeAsked struct {
	Pending string
	Channel string
	To      string // masked
}

// callForm asks when to call.
type callForm struct{ Day, Hour, Zone, Phone string }

// May says whether the visitor may do something now.
func (v ticketView) May(what string) bool { return v.Visit.May(desk.Deed(what)) == nil }

// Closed says that the ticket is done with, until she writes again.
func (v ticketView) Closed() bool { return v.Open.Ticket.State == desk.Closed }

// shownDeeds are what the page says that she can do, in that order; each has a sentence.
var shownDeeds = []desk.Deed{desk.ReadTicket, desk.AddWords, desk.AttachFile, desk.CloseTicket, desk.SeeStage, desk.AskEscalation, desk.SeeOwnRecord, desk.SeeSites, desk.SeeShared, desk.AskRestore, desk.Vouch}

// Can is what she can do here now.
func (v ticketView) Can() (all []desk.Deed) {
	for _, d := range shownDeeds {
		if v.Visit.May(d) == nil {
			all = append(all, d)
		}
	}
	return all
}

// Reach is where a code would go to show that it reaches her, masked.
func (v ticketView) Reach() string {
	if t := v.Open.Ticket; t.Email != "" {
		return contacts.MaskEmail(t.Email)
	}
	return contacts.MaskPhone(v.Open.Ticket.Phone)
}

// File is one of the ticket's files as the page names it.
func (v ticketView) File(a desk.Attachment) attachedFile {
	return attachedFile{Attachment: a, Words: v.Words, URL: "/t/" + v.Number + "/files/" + a.ID}
}

type attachedFile struct {
	desk.Attachment
	Words templates.Catalog
	URL   string
}

// Line is the text of a message with the words of the page.
func (v ticketView) Line(text string) spokenText { return spokenText{v.Words, text} }

type spokenText struct {
	Words templates.Catalog
	Text  string
}

func (p *Portal) customerRoutes() []route {
	const at = "/t/:number"
	post := func(path string, do func(*call) error) route {
		return route{method: "POST", path: path, form: true, do: do}
	}
	words := post(at+"/words", (*call).addWords)
	words.files, words.own = true, true
	return append(sharedRoutes(at+"/shared/:other", (*call).sharedTicket), []route{
		{method: "GET", path: at, do: (*call).lookAtTicket},
		{method: "GET", path: at + "/files/:id", do: func(k *call) error { return k.ownFile(k.sendFile) }},
		{method: "GET", path: at + "/files/:id/picture", do: func(k *call) error { return k.ownFile(k.sendPicture) }},
		post(at, (*call).openTicket),
		words,
		post(at+"/works", (*call).sayWorks),
		post(at+"/call", (*call).askCall),
		post(at+"/me", (*call).openOwn),
		post(at+"/plea", (*call).plead),
		post(at+"/domain", (*call).proveDomain),
		post(at+"/code", (*call).askCode),
		post(at+"/proof", (*call).giveCode),
		post(at+"/recovery", (*call).giveRecovery),
		post(at+"/recovery-codes", (*call).takeRecovery),
		post(at+"/lost", (*call).askSecret),
		post(at+"/secret", (*call).newSecret),
		post(at+"/copy", (*call).takeCopy),
		post(at+"/leave", (*call).leave),
	}...)
}

// ticketAddress is a ticket's page in a language.
func ticketAddress(number, locale string) string {
	return "/t/" + url.PathEscape(number) + "?lang=" + locale
}

func (k *call) door(status int, v doorView) error {
	v.base = k.p.base(k.p.locale(k.Ctx), "/t/"+url.PathEscape(k.Params("number")), "ticket.title")
	v.Number = k.Params("number")
	return k.p.render(k.Ctx, status, "door", v)
}

// visitCookie is the name of the cookie that holds a visit; its prefix needs an encrypted address.
func (p *Portal) visitCookie() string {
	if p.https() {
		return "__Secure-lifeline-visit"
	}
	return "lifeline-visit"
}

// keep leaves a visit with the browser, for this page and what lies below it, until the browser is closed.
func (k *call) keep(path, token string) {
	k.Cookie(&fiber.Cookie{Name: k.p.visitCookie(), Value: token, Path: path, Secure: k.p.https(), HTTPOnly: true, SameSite: fiber.CookieSameSiteLaxMode, SessionOnly: true})
}

func (k *call) forget(path string) {
	k.Cookie(&fiber.Cookie{Name: k.p.visitCookie(), Path: path, Secure: k.p.https(), HTTPOnly: true, SameSite: fiber.CookieSameSiteLaxMode, Expires: time.Unix(1, 0)})
}

// lookAtTicket shows a ticket to whoever has it open, and else the door. It changes nothing.
func (k *call) lookAtTicket() error {
	if number := secret.NormalNumber(k.Params("number")); number != "" && number != k.Params("number") { // the cookie is for the one way to write it
		q := k.Context().QueryArgs().String()
		return k.Redirect("/t/"+number+"?"+q, fiber.StatusSeeOther)
	}
	if link := k.Query("k"); link != "" {
		return k.door(200, doorView{Link: link})
	}
	token := k.Cookies(k.p.visitCookie())
	if token == "" {
		return k.door(200, doorView{NoCookie: k.Query("opened") != "", Lost: lostForm{Open: k.Query("lost") != ""}})
	}
	v, visit, err := k.p.Desk.Enter(k.UserContext(), k.Params("number"), desk.Key{Visit: token})
	switch fault.Of(err) {
	case "":
		return k.showTicket(200, v, visit, ticketView{Did: k.did()})
	case fault.NotFound: // the visit is over
		k.forget("/t/" + k.Params("number"))
		return k.door(200, doorView{})
	}
	return err
}

// openTicket opens a ticket by its secret or a mailed link and begins a visit.
func (k *call) openTicket() error {
	key := desk.Key{Secret: k.FormValue("secret"), Link: k.FormValue("k")}
	v, visit, err := k.p.Desk.Enter(k.UserContext(), k.Params("number"), key)
	switch fault.Of(err) {
	case "":
		return k.welcome(v, visit, ticketView{})
	case fault.NotFound:
		return k.door(404, doorView{Wrong: key.Link == "", OldLink: key.Link != ""})
	case fault.TooMany, fault.Unavailable:
		k.later(err)
		return k.door(problemOf(err).Status, doorView{Later: true})
	}
	return err
}

// welcome begins a visit. The page is looked at by a second request, so that looking again or going back later sends nothing twice; only a browser that keeps no
// cookies, which says so by the form's "here", gets it at once.
func (k *call) welcome(v desk.View, visit desk.Visit, page ticketView) error {
	if k.FormValue("here") != "" {
		return k.showTicket(200, v, visit, page)
	}
	k.keep("/t/"+v.Ticket.Number, visit.Token)
	return k.Redirect(ticketAddress(v.Ticket.Number, k.speaks(v))+"&opened=1", fiber.StatusSeeOther)
}

// speaks is the language of an open ticket's page: the reader's choice, or else the one in which she wrote.
func (k *call) speaks(v desk.View) string {
	if lang := k.Query("lang"); lang != "" {
		return k.p.Words.Match(lang)
	}
	return k.p.Words.Match(v.Ticket.Locale)
}

// visitor opens the ticket of a form. It takes the visit from the form alone: see above.
func (k *call) visitor() (desk.View, desk.Visit, error) {
	return k.p.Desk.Enter(k.UserContext(), k.Params("number"), desk.Key{Visit: k.FormValue("visit")})
}

// unopened answers a form whose visit is over, or that could not be looked at. What was typed for the conversation is not lost with it: the browser has it one step back.
func (k *call) unopened(err error) error {
	switch fault.Of(err) {
	case fault.NotFound:
		return k.door(404, doorView{OldLink: true})
	case fault.TooMany, fault.Unavailable:
		k.later(err)
		return k.door(problemOf(err).Status, doorView{Later: true})
	}
	return err
}

// back shows the page again after something was done: by a second request where the browser keeps cookies.
func (k *call) back(v desk.View, visit desk.Visit, did string) error {
	if k.Cookies(k.p.visitCookie()) == "" {
		return k.showTicket(200, v, visit, ticketView{Did: did})
	}
	k.keep("/t/"+v.Ticket.Number, visit.Token)
	return k.Redirect(ticketAddress(v.Ticket.Number, k.speaks(v))+"&did="+did, fiber.StatusSeeOther)
}

// dids are what a page may say was done; the address names one of them and nothing else.
var dids = []string{"said", "closed", "kept_open", "not_yet", "called", "shown", "noted", "asked", "zone"}

func (k *call) did() string {
	for _, d := range dids {
		if k.Query("did") == d {
			return d
		}
	}
	return ""
}

// showTicket renders the page of an open ticket, with what page brings.
func (k *call) showTicket(status int, v desk.View, visit desk.Visit, page ticketView) error {
	ctx := k.UserContext()
	page.base = k.p.base(k.speaks(v), "/t/"+v.Ticket.Number, "ticket.title")
	page.Number, page.Open, page.Visit, page.Asked = v.Ticket.Number, v, visit, k.p.DB.Now()
	if page.Files.Words.Locale() == "" {
		page.Files = k.filesView(page.Words.Locale(), nil)
	}
	page.Facts = k.p.publicFacts(ctx, page.Words.Locale())
	page.Next, page.Undated = k.p.nextWord(ctx, v.Ticket.Incident)
	k.keep("/t/"+v.Ticket.Number, visit.Token)
	page.Wait = k.p.waiting(ctx, v.Ticket.Queue())
	page.NotTexted = k.p.Desk.Untexted(v.Ticket)
	var err error
	page.Leads = k.p.Desk.Leads(v, visit)
	if page.Company, err = k.p.Desk.Company(ctx, visit.Standing); err != nil {
		k.p.Log.Warn("what goes on for her company is not shown", "err", err)
	}
	if visit.Level >= desk.L1 {
		if page.Records, err = k.p.Desk.Zones(ctx, v.Ticket.Number); err != nil {
			k.p.Log.Warn("the records that she was asked for are not shown", "err", err)
		}
	}
	if visit.May(desk.SeeStage) == nil {
		if back, asked, err := k.p.Desk.BackOf(ctx, v.Ticket); err != nil {
			k.p.Log.Warn("whether her site works is not asked", "err", err)
		} else if asked {
			page.Back = &back
		}
	}
	if visit.Level >= desk.L1 && v.Ticket.Account != "" {
		if page.Hints, err = k.p.Desk.OnFile(ctx, "public:web", v.Ticket.Number); err != nil {
			k.p.Log.Warn("the addresses for a code are not offered", "err", err)
		}
	}
	if page.Call.Zone == "" {
		page.Call.Zone = homeZone(page.Words.Locale(), page.Vendor.Zone)
	}
	if page.Call.Phone == "" {
		page.Call.Phone = v.Ticket.Phone
	}
	return k.p.render(k.Ctx, status, "ticket", page)
}

// nextWord is when the next update of an incident is due, as its newest public update promises, and whether that could give no date for the end.
func (p *Portal) nextWord(ctx context.Context, incident string) (next templates.Moment, undated bool) {
	if incident == "" {
		return next, false
	}
	in, err := p.Comms.Incident(ctx, incident)
	public, readErr := p.publicly(ctx)
	if err := cmp.Or(err, readErr); err != nil {
		p.Log.Warn("the next update is not shown", "err", err)
		return next, false
	}
	for _, i := range public.Incidents {
		if i.ID == in.Value.Short && len(i.Updates) > 0 {
			last := i.Updates[0].Statement
			return last.NextUpdateBy, last.Timeline.Undated()
		}
	}
	return next, false
}

// addWords adds what she writes.
func (k *call) addWords() error {
	v, visit, err := k.visitor()
	if err != nil {
		return k.unopened(err)
	}
	err = k.formErr
	if err == nil {
		err = k.p.slow(k) // only here, where what was typed is at hand
	}
	said := v
	if err == nil {
		said, err = k.p.Desk.Write(k.UserContext(), v, visit, desk.Message{Text: k.FormValue("text"), Via: "web", Attached: k.files})
	}
	switch fault.Of(err) {
	case "":
		return k.back(said, visit, "said")
	case fault.Invalid, fault.Conflict, fault.TooMany, fault.Unavailable, fault.Unknown, fault.Stale, fault.TooLarge:
		k.later(err)
		words := k.p.Words.Catalog(k.speaks(v))
		wrong := words.T("support.error.later")
		switch text := strings.TrimSpace(k.FormValue("text")); {
		case fault.Of(err) == fault.Invalid && text == "":
			wrong = words.T("support.error.message.missing")
		case fault.Of(err) == fault.Invalid:
			wrong = words.T("support.error.message.too_long")
		case fault.Of(err) == fault.Conflict:
			wrong = words.T("ticket.state.closed")
		}
		return k.showTicket(problemOf(err).Status, v, visit, ticketView{Text: k.FormValue("text"), Error: wrong, Files: k.filesView(words.Locale(), err)})
	}
	return err
}

// sayWorks takes her word on whether it works again: yes closes the ticket, no keeps it open.
func (k *call) sayWorks() error {
	v, visit, err := k.visitor()
	if err != nil {
		return k.unopened(err)
	}
	yes := k.FormValue("works") == "yes"
	v, err = k.p.Desk.SayWorks(k.UserContext(), v, visit, yes)
	switch fault.Of(err) {
	case "":
		did := "not_yet"
		if yes {
			did = "kept_open"
		}
		if v.Ticket.State == desk.Closed {
			did = "closed"
		}
		return k.back(v, visit, did)
	case fault.Conflict, fault.Unavailable, fault.Unknown:
		k.later(err)
		key := "support.error.later"
		if fault.Of(err) == fault.Conflict { // somebody closed it meanwhile
			key = "ticket.state.closed"
		}
		return k.showTicket(problemOf(err).Status, v, visit, ticketView{Errors: map[string]string{"works": k.p.Words.Catalog(k.speaks(v)).T(key)}})
	}
	return err
}

// ownFile gives a file of the ticket to whoever has it open. It is read by the cookie, as the page is: pictures cannot be asked for by a form.
func (k *call) ownFile(send func(desk.Attachment) error) error {
	v, _, err := k.p.Desk.Enter(k.UserContext(), k.Params("number"), desk.Key{Visit: k.Cookies(k.p.visitCookie())})
	if fault.Of(err) == fault.NotFound {
		return errNoPage
	}
	if err != nil {
		return err
	}
	a, err := v.Attachment(k.Params("id"))
	if err != nil {
		return err
	}
	return send(a)
}

func (k *call) leave() error {
	k.forget("/t/" + k.Params("number"))
	return k.Redirect(ticketAddress(k.Params("number"), k.p.locale(k.Ctx)), fiber.StatusSeeOther)
}
