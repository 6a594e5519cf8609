package portal

import (
	"github.com/gofiber/fiber/v2"

	"lifeline/portal/desk"
)

// tollView asks to confirm what was typed, with all of it in the form.
type tollView struct {
	base
	Toll    desk.Toll
	Again   bool // it was confirmed too early
	Hidden  [][2]string
	Message string
}

// fare is what comes with a ticket: from where, and what its writer was asked for before.
func (k *call) fare(token, proof string) desk.Fare {
	return desk.Fare{Source: network(k.p.source(k.Ctx)), Token: token, Proof: proof}
}

// The headers in which a program brings back what it was asked for, beside the same body.
const (
	headerToll  = "Lifeline-Toll"
	headerProof = "Lifeline-Proof"
)

// howToPay tells a program what to do with what it owes.
const howToPay = "; send the same request again with the header " + headerToll + ": toll.token, once toll.wait_seconds have gone by; or at once with the header " +
	headerProof + " as well: up to 20 characters so that the SHA-256 of token, colon and proof begins with toll.bits zero bits"

// tollAnswer is what a program owes.
type tollAnswer struct {
	Token string `json:"token"`
	Wait  int    `json:"wait_seconds"`
	Bits  int    `json:"bits"`
}

// tollPage keeps everything that was typed, and the files, in a form with one button.
func (k *call) tollPage(in desk.Intake, owes desk.Owing, locale string) error {
	v := tollView{base: k.p.base(locale, "/support", "toll.title"), Toll: owes.Toll, Again: owes.Early, Message: in.Message}
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
	if owes.Early {
		k.later(owes)
		status = fiber.StatusTooManyRequests
	}
	return k.p.render(k.Ctx, status, "confirm_support", v)
}
