package portal

import (
	"html/template"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/store/fault"
	"lifeline/templates"
)

// verifyView is the answer to whether a message is ours.
type verifyView struct {
	base
	Asked   bool
	Typed   string
	Code    string         // as people read it
	Found   *comms.Genuine // nil: no message of ours has the code
	Message template.HTML  // what it truly says, where everybody may read it
	Card    Card
	Host    string // to which our links lead
}

// verifyRoutes tell our messages from imitations. Codes of what is public have a page of their own in the edition, which is served before these are asked; here
// come all others, and those that were said a moment ago.
func (p *Portal) verifyRoutes() []route {
	return []route{
		{method: "GET", path: "/verify", do: func(k *call) error { return k.verifyPage(verifyView{}) }},
		{method: "GET", path: "/verify/:code", do: func(k *call) error { return k.verify(k.Params("code")) }},
		{method: "POST", path: "/verify", form: true, do: func(k *call) error { return k.verify(k.FormValue("code")) }},
	}
}

func (k *call) verify(typed string) error {
	v := verifyView{Asked: true, Typed: strings.TrimSpace(typed)}
	found, err := k.p.Comms.ByCode(k.UserContext(), v.Typed)
	if fault.Of(err) == fault.NotFound {
		return k.verifyPage(v)
	}
	if err != nil {
		return err
	}
	v.Found, v.Code = &found, templates.ShownCode(templates.ReadCode(v.Typed))
	if found.Open {
		said, err := k.p.Words.Update(templates.OnPage, k.p.locale(k.Ctx), found.Update, k.p.Comms.Vendor)
		if err != nil {
			return err
		}
		v.Message = template.HTML(said.HTML)
	}
	return k.verifyPage(v)
}

func (k *call) verifyPage(v verifyView) error {
	v.base, v.Card = k.p.base(k.p.locale(k.Ctx), "/verify", "verify.title"), k.p.card()
	if u, err := url.Parse(v.Vendor.URL); err == nil {
		v.Host = u.Host
	}
	status := fiber.StatusOK
	if v.Asked && v.Found == nil {
		status, v.Title = fiber.StatusNotFound, v.Words.T("verify.fake")
	}
	return k.p.render(k.Ctx, status, "verify", v)
}
