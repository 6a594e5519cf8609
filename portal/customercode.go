package portal

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/portal/desk"
	"lifeline/store/fault"
)

// askCode sends a code to the ticket's own address, or to one that is on file for its customer.
func (k *call) askCode() error {
	v, visit, err := k.visitor()
	if err != nil {
		return k.unopened(err)
	}
	ask := desk.Ask{Why: desk.ToReach, Number: v.Ticket.Number, By: "public:web", Source: network(k.p.source(k.Ctx)), Locale: k.speaks(v)}
	if hint := k.FormValue("hint"); hint != "" {
		if err := visit.May(desk.AttachFile); err != nil { // who has not shown that she can be reached picks no address on file
			return err
		}
		ask.Why, ask.Hint = desk.ToProve, hint
	}
	sent, err := k.p.Desk.AskCode(k.UserContext(), ask)
	if err != nil {
		return k.codeFailed(v, visit, codeAsked{}, err)
	}
	return k.showTicket(200, v, visit, ticketView{Code: codeAsked{Pending: sent.ID, Channel: sent.Channel, To: sent.To}})
}

// codeFailed shows the page with why no code was sent, or why it opened nothing.
func (k *call) codeFailed(v desk.View, visit desk.Visit, form codeAsked, err error) error {
	return k.failed(v, visit, "code", form, err)
}

func (k *call) failed(v desk.View, visit desk.Visit, field string, form codeAsked, err error) error {
	key := ""
	switch fault.Of(err) {
	case fault.Invalid:
		key = "code.wrong"
	case fault.TooMany:
		key = "code.many"
	case fault.Unavailable, fault.Unknown:
		key = "support.error.later"
	default:
		return err
	}
	k.later(err)
	return k.showTicket(problemOf(err).Status, v, visit, ticketView{Code: form, Errors: map[string]string{field: k.p.Words.Catalog(k.speaks(v)).T(key)}})
}

// giveCode takes a code back and goes on with a new visit, which is as high as what was shown by now.
func (k *call) giveCode() error {
	v, visit, err := k.visitor()
	if err != nil {
		return k.unopened(err)
	}
	given, err := k.p.Desk.GiveCode(k.UserContext(), desk.Give{ID: k.FormValue("pending"), Case: v.ID, Code: k.FormValue("code"), By: "public:web", Source: network(k.p.source(k.Ctx))})
	if err != nil {
		return k.codeFailed(v, visit, codeAsked{Pending: k.FormValue("pending"), Channel: k.FormValue("channel"), To: k.FormValue("sent_to")}, err)
	}
	return k.shown(v, visit, given)
}

// shown goes on with what was shown, and says whether it opens more to her: a code to an address that is too new does not, nor does one that waits for staff.
func (k *call) shown(before desk.View, visit desk.Visit, given desk.Given) error {
	v, now, err := k.p.Desk.Shown(k.UserContext(), given)
	if err != nil {
		return err
	}
	did := "shown"
	if now.Level == visit.Level && k.p.Desk.Leads(v, now) == k.p.Desk.Leads(before, visit) {
		did = "noted"
	}
	return k.back(v, now, did)
}

// askSecret sends a code to whoever lost her secret, if the address is the ticket's. The answer is the same for every number and address.
func (k *call) askSecret() error {
	form := lostForm{Open: true, To: k.FormValue("to")}
	sent, err := k.p.Desk.AskCode(k.UserContext(), desk.Ask{Why: desk.ToRegain, Number: k.Params("number"), To: form.To, By: "public:web", Source: network(k.p.source(k.Ctx)), Locale: k.p.locale(k.Ctx)})
	if err != nil {
		return k.lostFailed(form, err, "lost.to.wrong")
	}
	form.Sent, form.Pending = &sent, sent.ID
	return k.door(200, doorView{Lost: form})
}

// newSecret gives whoever gives the code back a new secret, which she sees this once, and opens her ticket.
func (k *call) newSecret() error {
	form := lostForm{Open: true, Pending: k.FormValue("pending")}
	given, err := k.p.Desk.GiveCode(k.UserContext(), desk.Give{ID: form.Pending, Code: k.FormValue("code"), By: "public:web", Source: network(k.p.source(k.Ctx))})
	if err != nil {
		return k.lostFailed(form, err, "code.wrong")
	}
	v, visit, err := k.p.Desk.Shown(k.UserContext(), given)
	if err != nil {
		return err
	}
	return k.showTicket(fiber.StatusOK, v, visit, ticketView{Secret: given.Secret})
}

func (k *call) lostFailed(form lostForm, err error, wrong string) (failed error) {
	if form.Error, failed = k.uncoded(err, wrong); failed != nil {
		return failed
	}
	return k.door(problemOf(err).Status, doorView{Lost: form})
}

// uncoded says to her, by the key of what is wrong with what she typed, why no code was sent or taken; other errors are for whoever answers them.
func (k *call) uncoded(err error, wrong string) (says string, other error) {
	switch fault.Of(err) {
	case fault.Invalid:
	case fault.TooMany:
		wrong = "code.many"
	case fault.Unavailable, fault.Unknown:
		wrong = "support.error.later"
	default:
		return "", err
	}
	k.later(err)
	return k.p.Words.Catalog(k.p.locale(k.Ctx)).T(wrong), nil
}

// giveRecovery uses a saved recovery code up and goes on with a new visit.
func (k *call) giveRecovery() error {
	v, visit, err := k.visitor()
	if err != nil {
		return k.unopened(err)
	}
	given, err := k.p.Desk.GiveRecovery(k.UserContext(), desk.Give{Case: v.ID, Code: k.FormValue("saved"), By: "public:web", Source: network(k.p.source(k.Ctx))})
	if err != nil {
		return k.failed(v, visit, "saved", codeAsked{}, err)
	}
	return k.shown(v, visit, given)
}

// takeRecovery makes recovery codes for her to print, which she sees this once.
func (k *call) takeRecovery() error {
	v, visit, err := k.visitor()
	if err != nil {
		return k.unopened(err)
	}
	if err := visit.May(desk.TakeRecovery); err != nil {
		return err
	}
	codes, err := k.p.Desk.RecoveryCodes(k.UserContext(), desk.Who{Case: v.ID})
	if err != nil {
		return err
	}
	return k.p.render(k.Ctx, fiber.StatusOK, "sheet", sheetView{k.p.base(k.speaks(v), "/t/"+v.Ticket.Number, "saved.title"), codes, k.p.DB.Now()})
}

// sheetView is the sheet of recovery codes, to be printed.
type sheetView struct {
	base
	Codes []string // shown this once
	At    time.Time
}
