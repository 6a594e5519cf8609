package portal

import (
	"encoding/csv"
	"encoding/json"
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

	Own     *desk.Own
	Did     string
	Receipt *desk.Receipt
	Typed   string // what she typed into a wish that was not taken
	KeptFor time.Duration
	Tickets time.Duration
}

func (p *Portal) meRoutes() []route {
	own := func(do func(*call, desk.Own) error) func(*call) error {
		return func(k *call) error {
			if k.foreign() {
				return fault.New(fault.Forbidden, "this form was sent from another site")
			}
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
	return []route{
		{method: "GET", path: "/me", do: (*call).lookAtMe},
		{method: "POST", path: "/me", do: (*call).askForMe},
		{method: "POST", path: "/me/open", do: (*call).openMe},
		{method: "POST", path: "/me/right", do: own((*call).meIsRight)},
		{method: "POST", path: "/me/wish", do: own((*call).wishOfMe)},
		{method: "POST", path: "/me/copy", do: own((*call).copyOfMe)},
		{method: "POST", path: "/me/leave", do: func(k *call) error {
			k.forget("/me")
			return k.Redirect("/me?lang="+k.p.locale(k.Ctx), fiber.StatusSeeOther)
		}},
	}
}

func (k *call) meDoor(status int, v meView) error {
	v.base = k.p.base(k.p.locale(k.Ctx), "/me", "own.title")
	return k.p.render(k.Ctx, status, "own_door", v)
}

// lookAtMe shows her own page to whoever has it open, and else asks for an address that is on file.
func (k *call) lookAtMe() error {
	token := k.Cookies(k.p.visitCookie())
	if token == "" {
		return k.meDoor(200, meView{})
	}
	own, err := k.p.Desk.Own(k.UserContext(), token)
	switch fault.Of(err) {
	case "":
		did := k.Query("did")
		if did != "right" {
			did = ""
		}
		return k.showMe(200, own, meView{Did: did})
	case fault.NotFound:
		k.forget("/me")
		return k.meDoor(200, meView{Over: true})
	}
	return err
}

func (k *call) showMe(status int, own desk.Own, v meView) error {
	v.base = k.p.base(k.p.locale(k.Ctx), "/me", "own.title")
	v.Own = &own
	v.KeptFor, v.Tickets = k.p.Desk.Retention()
	k.keep("/me", own.Token)
	return k.p.render(k.Ctx, status, "own", v)
}

// askForMe sends a code to an address that is on file. The answer is the same for one that is not.
func (k *call) askForMe() error {
	if k.foreign() {
		return fault.New(fault.Forbidden, "this form was sent from another site")
	}
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

// openMe takes the code back and opens the page.
func (k *call) openMe() error {
	if k.foreign() {
		return fault.New(fault.Forbidden, "this form was sent from another site")
	}
	v := meView{Pending: k.FormValue("pending")}
	given, err := k.p.Desk.GiveCode(k.UserContext(), desk.Give{ID: v.Pending, Code: k.FormValue("code"), By: "public:web", Source: network(k.p.source(k.Ctx))})
	if err != nil {
		return k.meFailed(v, err, "code.wrong")
	}
	own, err := k.p.Desk.Own(k.UserContext(), k.p.Desk.BeginOwn(given))
	if fault.Of(err) == fault.NotFound {
		return k.meDoor(fiber.StatusNotFound, meView{Over: true})
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
	if k.Cookies(k.p.visitCookie()) == "" {
		again, err := k.p.Desk.Own(k.UserContext(), own.Token)
		if err != nil {
			return err
		}
		return k.showMe(200, again, meView{Did: "right"})
	}
	return k.Redirect("/me?did=right&lang="+k.p.locale(k.Ctx), fiber.StatusSeeOther)
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
	a := ownAnswer{Account: own.Account.Value.Name, Held: own.Held(), Tickets: []string{}, TakenAt: k.p.DB.Now()}
	for _, t := range own.Tickets {
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
	k.Set(fiber.HeaderContentType, "text/csv; charset=utf-8")
	k.Set(fiber.HeaderContentDisposition, `attachment; filename="my-record.csv"`)
	w := csv.NewWriter(k)
	rows := [][]string{{"what", "value", "source", "how", "since", "confirmed_at", "state"}}
	for _, h := range a.Held {
		rows = append(rows, []string{h.What, h.Value, h.Source, h.How, day(h.Since), day(h.Confirmed), h.State})
	}
	for _, number := range a.Tickets {
		rows = append(rows, []string{"ticket", number, "", "", "", "", ""})
	}
	for _, row := range rows {
		for i := range row {
			row[i] = contacts.Guarded(row[i])
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}
