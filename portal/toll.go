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

// toll says what is still owed before a ticket is filed; nothing, as a rule. See desk.Toll.
func (k *call) toll(token, proof string) (owed desk.Toll, again bool, err error) {
	source := network(k.p.source(k.Ctx))
	if token != "" {
		owed, err = k.p.Desk.Pay(k.UserContext(), source, token, proof)
		return owed, owed.Token == token, err
	}
	owed, err = k.p.Desk.Ask(k.UserContext(), source)
	return owed, false, err
}

// The headers in which a program brings back what it was asked for, beside the same body.
const (
	headerToll  = "Lifeline-Toll"
	headerProof = "Lifeline-Proof"
)

// paid lets a program go on once it owes nothing; else the error tells it what to do.
func (k *call) paid() error {
	owed, _, err := k.toll(k.Get(headerToll), k.Get(headerProof))
	if err != nil || owed.Token == "" {
		return err
	}
	return owing{owed}
}

// owing is the error of a program that has to pay first, by waiting or by work.
type owing struct{ desk.Toll }

func (o owing) Error() string { return "many write at once" }

func (o owing) Unwrap() error {
	return &fault.Error{Kind: fault.TooMany, Wait: o.Wait, Message: "many write at once, so this costs a little; nothing was kept. Send the same request again with the header " + headerToll +
		": toll.token, once toll.wait_seconds have gone by; or at once with the header " + headerProof + " as well: up to 20 characters so that the SHA-256 of token, colon and proof begins with toll.bits zero bits"}
}

// tollAnswer is what a program owes.
type tollAnswer struct {
	Token string `json:"token"`
	Wait  int    `json:"wait_seconds"`
	Bits  int    `json:"bits"`
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
