package portal

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/contacts"
	"lifeline/portal/desk"
	"lifeline/store/fault"
)

// meView is somebody's own page, or what stands before it.
type meView struct {
	base
	To      string // what was typed
	Error   string
	Sent    *desk.Sent
	Pending string
	Over    bool
	Weak    bool // the code or the link was right, and the address shows too little

	Link string // of a mail: a button opens by it
	Old  bool   // the link opens nothing any more

	Own       *desk.Own
	Held      []desk.Held
	Waiting   []desk.Pending // changes that were asked for
	MayChange bool           // she showed so lately who she is
	Change    changeForm
	Errors    map[string]string
	Did       string
	Receipt   *desk.Receipt
	Typed     string // what she typed into a wish that was not taken
	KeptFor   time.Duration
	Tickets   time.Duration
}

func (p *Portal) meRoutes() []route {
	own := func(do func(*call, desk.Own) error) func(*call) error {
		return func(k *call) error {
			o, err := p.Desk.Own(k.UserContext(), k.FormValue("visit"))
			if fault.Of(err) == fault.NotFound {
				return k.meDoor(fiber.StatusNotFound, meView{Over: true})
			}
			if err != nil {
				return err
			}
			return do(k, o)
		}
	}
	return append(sharedRoutes("/me/tickets/:other", (*call).myTicket), []route{
		{method: "GET", path: "/me", do: (*call).lookAtMe},
		{method: "POST", path: "/me", form: true, do: (*call).askForMe},
		{method: "POST", path: "/me/open", form: true, do: (*call).openMe},
		{method: "POST", path: "/me/right", form: true, do: own((*call).meIsRight)},
		{method: "POST", path: "/me/wish", form: true, do: own((*call).wishOfMe)},
		{method: "POST", path: "/me/amend", form: true, do: own((*call).amendOfMe)},
		{method: "POST", path: "/me/agree", form: true, do: own((*call).agreeFromMe)},
		{method: "POST", path: "/me/vouch", form: true, do: own((*call).vouchFromMe)},
		{method: "POST", path: "/me/copy", form: true, do: own((*call).copyOfMe)},
		{method: "POST", path: "/me/leave", do: func(k *call) error {
			k.forget("/me")
			return k.Redirect("/me?lang="+k.p.locale(k.Ctx), fiber.StatusSeeOther)
		}},
	}...)
}

func (k *call) meDoor(status int, v meView) error {
	v.base = k.p.base(k.p.locale(k.Ctx), "/me", "own.title")
	return k.p.render(k.Ctx, status, "own_door", v)
}

// lookAtMe shows her own page to whoever has it open, and else asks for an address that is on file.
func (k *call) lookAtMe() error {
	if link := k.Query("k"); link != "" {
		return k.meDoor(200, meView{Link: link})
	}
	token := k.Cookies(k.p.visitCookie())
	if token == "" {
		return k.meDoor(200, meView{})
	}
	own, err := k.p.Desk.Own(k.UserContext(), token)
	switch fault.Of(err) {
	case "":
		did := k.Query("did")
		if !slices.Contains(ownDids, did) {
			did = ""
		}
		return k.showMe(200, own, meView{Did: did})
	case fault.NotFound:
		k.forget("/me")
		return k.meDoor(200, meView{Over: true})
	}
	return err
}

// ownDids are what her page may say was done.
var ownDids = []string{"right", "changed", "agreed", "refused", "vouched"}

func (k *call) showMe(status int, own desk.Own, v meView) error {
	var err error
	if v.Waiting, err = k.p.Desk.PendingFor(k.UserContext(), own); err != nil {
		k.p.Log.Warn("the changes that wait are not shown", "err", err)
	}
	v.MayChange = k.p.Desk.MayChange(own)
	v.base = k.p.base(k.p.locale(k.Ctx), "/me", "own.title")
	v.Own = &own
	if v.Held, err = k.p.Desk.Held(k.UserContext(), own); err != nil {
		return err
	}
	v.KeptFor, v.Tickets = k.p.Desk.Retention()
	k.keep("/me", own.Token)
	return k.p.render(k.Ctx, status, "own", v)
}

// askForMe sends a code to an address that is on file. The answer is the same for one that is not.
func (k *call) askForMe() error {
	v := meView{To: k.FormValue("to")}
	sent, err := k.p.Desk.AskCode(k.UserContext(), desk.Ask{Why: desk.ToOpen, To: v.To, By: "public:web", Source: network(k.p.source(k.Ctx)), Locale: k.p.locale(k.Ctx)})
	if err != nil {
		return k.meFailed(v, err, "lost.to.wrong")
	}
	v.Sent, v.Pending = &sent, sent.ID
	return k.meDoor(200, v)
}

func (k *call) meFailed(v meView, err error, wrong string) (failed error) {
	if v.Error, failed = k.uncoded(err, wrong); failed != nil {
		return failed
	}
	return k.meDoor(problemOf(err).Status, v)
}

// openMe takes the code back, or the link of the mail that it came in, and opens the page.
func (k *call) openMe() error {
	if link := k.FormValue("k"); link != "" {
		given, err := k.p.Desk.GiveOwnLink(k.UserContext(), link)
		if fault.Of(err) == fault.NotFound {
			return k.meDoor(fiber.StatusNotFound, meView{Old: true})
		}
		if err != nil {
			return err
		}
		return k.welcomeMe(given)
	}
	v := meView{Pending: k.FormValue("pending")}
	given, err := k.p.Desk.GiveCode(k.UserContext(), desk.Give{ID: v.Pending, Code: k.FormValue("code"), By: "public:web", Source: network(k.p.source(k.Ctx))})
	if err != nil {
		return k.meFailed(v, err, "code.wrong")
	}
	return k.welcomeMe(given)
}

func (k *call) welcomeMe(given desk.Given) error {
	own, err := k.p.Desk.Own(k.UserContext(), k.p.Desk.BeginOwn(given))
	if fault.Of(err) == fault.NotFound { // another code would show no more
		return k.meDoor(fiber.StatusForbidden, meView{Weak: true})
	}
	if err != nil {
		return err
	}
	return k.showMe(200, own, meView{})
}

func (k *call) meIsRight(own desk.Own) error {
	if err := k.p.Desk.ConfirmOwn(k.UserContext(), own); err != nil {
		return err
	}
	return k.backToMe(own, "right")
}

// backToMe shows the page again after something was done: by a second request where the browser keeps cookies.
func (k *call) backToMe(own desk.Own, did string) error {
	if k.Cookies(k.p.visitCookie()) == "" {
		again, err := k.p.Desk.Own(k.UserContext(), own.Token)
		if err != nil {
			return err
		}
		return k.showMe(200, again, meView{Did: did})
	}
	k.keep("/me", own.Token)
	return k.Redirect("/me?did="+did+"&lang="+k.p.locale(k.Ctx), fiber.StatusSeeOther)
}

// changeForm asks for a change of an address or a domain.
type changeForm struct{ Do, What, Contact, Value string }

// May says whether she may do something now.
func (v meView) May(what string) bool { return v.Own.May(desk.Deed(what)) == nil }

// Leads is what would let her do more, as a word: ticket, second, fresh; "": nothing would.
func (v meView) Leads() string {
	switch {
	case v.Own.Ticket.Number == "":
		return "ticket"
	case !v.May(string(desk.SeeShared)):
		return "second"
	case !v.MayChange:
		return "fresh"
	}
	return ""
}

// Colleagues are the others whom she can vouch for.
func (v meView) Colleagues() (all []desk.Person) {
	for _, p := range v.Own.Company.People {
		if p.ID != v.Own.Contact.ID {
			all = append(all, p)
		}
	}
	return all
}

// amendOfMe asks for a change of what her company is reached and known by.
func (k *call) amendOfMe(own desk.Own) error {
	form := changeForm{k.FormValue("do"), k.FormValue("what"), k.FormValue("contact"), k.FormValue("value")}
	in, err := form.amendment(own)
	if err == nil {
		err = k.p.Desk.AskChange(k.UserContext(), own, in)
	}
	return k.wished(own, "changed", meView{Change: form}, "value", "own.error.change", err)
}

func (f changeForm) amendment(own desk.Own) (in desk.Amendment, err error) {
	if f.Do == "recovery" {
		return desk.Amendment{Recovery: own.Contact.ID}, nil
	}
	a := contacts.Amend{Value: f.Value, Drop: f.Do == "drop", Contact: f.Contact}
	switch f.What {
	case "email":
		a.Channel = contacts.Email
	case "phone":
		a.Channel = contacts.SMS
	case "domain":
		a.Contact = ""
	default:
		return in, fault.BadField("what", "must be email, phone or domain")
	}
	return desk.Amendment{Amend: &a}, nil
}

// agreeFromMe gives her word for a change that a colleague asked for, or says no to it.
func (k *call) agreeFromMe(own desk.Own) error {
	id := k.FormValue("id")
	if k.FormValue("word") == "no" {
		return k.wished(own, "refused", meView{}, "waits", "own.error.gone", k.p.Desk.RefuseChange(k.UserContext(), own, id))
	}
	return k.wished(own, "agreed", meView{}, "waits", "own.error.gone", k.p.Desk.AgreeChange(k.UserContext(), own, id, k.FormValue("digest")))
}

// vouchFromMe is her word that the writer of a colleague's ticket is that colleague.
func (k *call) vouchFromMe(own desk.Own) error {
	err := own.May(desk.Vouch)
	if err == nil {
		err = k.p.Desk.VouchFor(k.UserContext(), desk.Who{Case: own.Case, Account: own.Account.ID}, k.FormValue("ticket"), k.FormValue("colleague"))
	}
	return k.wished(own, "vouched", meView{}, "colleague", "own.error.vouch", err)
}

// wished shows what became of what she asked for; of what she mistyped, or what has gone meanwhile, the page says so.
func (k *call) wished(own desk.Own, did string, v meView, field, wrong string, err error) error {
	switch fault.Of(err) {
	case "":
		return k.backToMe(own, did)
	case fault.TooMany, fault.Unavailable, fault.Unknown:
		wrong = "support.error.later"
	case fault.Invalid, fault.Conflict, fault.NotFound:
	default:
		return err
	}
	k.later(err)
	v.Errors = map[string]string{field: k.p.Words.Catalog(k.p.locale(k.Ctx)).T(wrong)}
	return k.showMe(problemOf(err).Status, own, v)
}

// wishOfMe asks for a change or the erasure of what is held.
func (k *call) wishOfMe(own desk.Own) error {
	receipt, err := k.p.Desk.AskOwn(k.UserContext(), own, desk.Wish(k.FormValue("wish")), k.FormValue("words"), k.p.locale(k.Ctx))
	switch fault.Of(err) {
	case "":
		return k.showMe(200, own, meView{Receipt: &receipt})
	case fault.Invalid, fault.Unavailable, fault.Unknown:
		k.later(err)
		return k.showMe(problemOf(err).Status, own, meView{Typed: k.FormValue("words"), Error: k.p.Words.Catalog(k.p.locale(k.Ctx)).T("own.error.words")})
	}
	return err
}

// ownAnswer is the copy of what is held about somebody.
type ownAnswer struct {
	Account string      `json:"account"`
	Held    []desk.Held `json:"held"`
	Tickets []string    `json:"tickets"`
	TakenAt time.Time   `json:"taken_at"`
}

func (k *call) copyOfMe(own desk.Own) error {
	held, err := k.p.Desk.Held(k.UserContext(), own)
	if err != nil {
		return err
	}
	a := ownAnswer{Account: own.Account.Value.Name, Held: held, Tickets: []string{}, TakenAt: k.p.DB.Now()}
	for _, t := range own.Company.Tickets {
		a.Tickets = append(a.Tickets, t.Value.Number)
	}
	if k.FormValue("as") != "csv" {
		body, err := json.MarshalIndent(a, "", "  ")
		if err != nil {
			return err
		}
		k.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
		k.Set(fiber.HeaderContentDisposition, `attachment; filename="my-record.json"`)
		return k.Send(body)
	}
	rows := [][]string{{"what", "value", "source", "how", "since", "confirmed_at", "state"}}
	for _, h := range a.Held {
		rows = append(rows, []string{h.What, h.Value, h.Source, h.How, day(h.Since), day(h.Confirmed), h.State})
	}
	for _, number := range a.Tickets {
		rows = append(rows, []string{"ticket", number, "", "", "", "", ""})
	}
	return k.sendCSV("my-record.csv", rows)
}
