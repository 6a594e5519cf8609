package portal

import (
	"github.com/gofiber/fiber/v2"

	"lifeline/contacts"
	"lifeline/portal/desk"
	"lifeline/store/fault"
	"lifeline/templates"
)

// yoursView is the page behind the link by which a contact sees where her sites stand.
type yoursView struct {
	base
	Token   string
	Old     bool // the link shows nothing any more
	Yours   desk.Yours
	Said    []moreSaid
	To      string // masked: where a code goes
	Pending string
	Sent    *desk.Sent
	Error   string
	Weak    bool // a code was right, and the address shows too little
}

// moreSaid is when the next word about an incident is due.
type moreSaid struct {
	Title, In, URL string // In is the language of the title
	Next           templates.Moment
}

// Tone is the colour and the shape of a state.
func (yoursView) Tone(state string) string {
	return map[string]string{desk.Impaired: "bad", desk.Unsure: "warn", desk.Restored: "good"}[state]
}

func (p *Portal) yoursRoutes() []route {
	return []route{
		{method: "GET", path: "/y/:token", do: func(k *call) error { return k.showYours(200, k.Cookies(p.visitCookie()), yoursView{}) }},
		{method: "POST", path: "/y/:token/code", form: true, do: (*call).askForYours},
		{method: "POST", path: "/y/:token", form: true, do: (*call).openYours},
	}
}

// showYours shows the page. It changes nothing: programs follow the links of mails.
func (k *call) showYours(status int, visit string, v yoursView) error {
	v.Token = k.Params("token")
	path, locale := "/y/"+v.Token, k.p.locale(k.Ctx)
	var err error
	v.Yours, err = k.p.Desk.Yours(k.UserContext(), v.Token, visit)
	switch {
	case fault.Of(err) == fault.NotFound:
		v.Old, v.Weak, path, status = true, false, "/me", fiber.StatusNotFound
	case err != nil:
		return err
	default:
		if k.Query("lang") == "" && k.Get(fiber.HeaderAcceptLanguage) == "" && v.Yours.Locale != "" {
			locale = k.p.Words.Match(v.Yours.Locale)
		}
		v.To = contacts.Mask(contacts.Email, v.Yours.Address)
		if v.Weak = v.Weak && !v.Yours.Fine; v.Yours.Fine {
			k.keep(path, v.Yours.Visit)
		}
		v.Said = k.nextWords(v.Yours)
	}
	v.base = k.p.base(locale, path, "sites.title")
	return k.p.render(k.Ctx, status, "yours", v)
}

// nextWords are the incidents that everybody may read of, with when more is said.
func (k *call) nextWords(y desk.Yours) (all []moreSaid) {
	public, err := k.p.publicly(k.UserContext())
	if err != nil {
		k.p.Log.Warn("when more is said is not shown", "err", err) // how her sites stand is worth more
		return nil
	}
	for _, f := range y.Words {
		for _, i := range public.Incidents {
			if i.ID == f.Short && f.Open {
				all = append(all, moreSaid{i.Title, i.Language(), i.URL, f.Next})
			}
		}
	}
	return all
}

// askForYours sends a code to the address that the link was mailed to, and to no other.
func (k *call) askForYours() error {
	y, err := k.p.Desk.Yours(k.UserContext(), k.Params("token"), "")
	if fault.Of(err) == fault.NotFound {
		return k.showYours(fiber.StatusNotFound, "", yoursView{})
	}
	if err != nil {
		return err
	}
	sent, err := k.p.Desk.AskCode(k.UserContext(), desk.Ask{Why: desk.ToOpen, Yours: &y, By: "public:web", Source: network(k.p.source(k.Ctx)), Locale: k.p.locale(k.Ctx)})
	if err != nil {
		return k.yoursFailed(yoursView{}, err)
	}
	return k.showYours(200, "", yoursView{Sent: &sent, Pending: sent.ID})
}

func (k *call) yoursFailed(v yoursView, err error) (failed error) {
	if v.Error, failed = k.uncoded(err, "code.wrong"); failed != nil {
		return failed
	}
	return k.showYours(problemOf(err).Status, "", v)
}

// openYours takes the code back.
func (k *call) openYours() error {
	v := yoursView{Pending: k.FormValue("pending")}
	given, err := k.p.Desk.GiveCode(k.UserContext(), desk.Give{ID: v.Pending, Code: k.FormValue("code"), By: "public:web", Source: network(k.p.source(k.Ctx))})
	if err != nil {
		return k.yoursFailed(v, err)
	}
	return k.showYours(200, k.p.Desk.BeginOwn(given), yoursView{Weak: true})
}
