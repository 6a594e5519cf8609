package portal

import (
	"github.com/gofiber/fiber/v2"

	"lifeline/portal/desk"
	"lifeline/store/fault"
)

// tollView asks to confirm what was typed, with all of it in the form.
type tollView struct {
	base
	Toll    desk.Toll
	Again   bool // it was confirmed too early
	Hidden  [][2]string
	Message string
}

// toll says what is still owed before a ticket from the form is filed; nothing, as a rule. See desk.Toll.
func (k *call) toll() (owed desk.Toll, again bool, err error) {
	source := network(k.p.source(k.Ctx))
	if token := k.FormValue("toll"); token != "" {
		owed, err = k.p.Desk.Pay(k.UserContext(), source, token, k.FormValue("proof"))
		return owed, owed.Token == token, err
	}
	owed, err = k.p.Desk.Ask(k.UserContext(), source)
	return owed, false, err
}

// tollPage keeps everything that was typed, and the files, in a form with one button.
func (k *call) tollPage(in desk.Intake, owed desk.Toll, again bool, locale string) error {
	v := tollView{base: k.p.base(locale, "/support", "toll.title"), Toll: owed, Again: again, Message: in.Message}
	v.Langs = nil // another language would be another page, without what was typed
	for name, at := range intakeFields(&in) {
		if *at != "" {
			v.Hidden = append(v.Hidden, [2]string{name, *at})
		}
	}
	if carried := k.files.Carry(); carried != "" {
		v.Hidden = append(v.Hidden, [2]string{fieldUploads, carried})
	}
	status := fiber.StatusOK
	if again {
		k.later(fault.New(fault.TooMany, "wait a moment"))
		status = fiber.StatusTooManyRequests
	}
	return k.p.render(k.Ctx, status, "confirm_support", v)
}
