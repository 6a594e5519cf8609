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
		{method: "GET", path: "/y/:token", do: (*call).lookAtYours},
		{method: "POST", path: "/y/:token/read", form: true, do: (*call).readYours},
		{method: "POST", path: "/y/:token/code", form: true, do: (*call).askForYours},
		{method: "POST", path: "/y/:token", form: true, do: (*call).openYours},
	}
}

// lookAtYours shows the page to whoever follows the link, and keeps that a browser did.
func (k *call) lookAtYours() error {
	v, err := k.yours(200, k.Cookies(k.p.visitCookie()), yoursView{})
	if err != nil {
		return err
	}
	if v.Yours.ToRead != nil && k.goneThere() {
		if err := k.p.Comms.NoteOpened(k.UserContext(), *v.Yours.ToRead); err != nil {
			k.p.Log.Warn("that a link was opened is not kept", "update", v.Yours.ToRead.Update, "err", err) // what she came for is worth more
		}
	}
	return nil
}

// goneThere says whether a browser asks because somebody went to the page, and not a program, or a browser ahead of need (Fetch Metadata, "Sec-Fetch-Mode" and
// "Sec-Purpose"). What names neither is taken for a program: to count one browser too few sends somebody a call, to count a program keeps it from her.
func (k *call) goneThere() bool {
	return k.Method() == fiber.MethodGet && k.Get("Sec-Fetch-Mode") == "navigate" && k.Get("Sec-Fetch-Dest") == "document" && k.Get("Sec-Purpose") == ""
}

// readYours takes it that she has read the update that the page showed. A program that posts to every link that it finds names no update, and says nothing by that.
func (k *call) readYours() error {
	err := k.p.Desk.HasRead(k.UserContext(), k.Params("token"), k.FormValue("update"))
	if err != nil && fault.Of(err) != fault.NotFound {
		return err
	}
	return k.Redirect("/y/"+k.Params("token")+"?lang="+k.p.locale(k.Ctx)+"#read", fiber.StatusSeeOther)
}

// showYours shows the page.
func (k *call) showYours(status int, visit string, v yoursView) error {
	_, err := k.yours(status, visit, v)
	return err
}

// yours shows the page, and says what it showed.
func (k *call) yours(status int, visit string, v yoursView) (yoursView, error) {
	v.Token = k.Params("token")
	path, locale := "/y/"+v.Token, k.p.locale(k.Ctx)
	var err error
	v.Yours, err = k.p.Desk.Yours(k.UserContext(), v.Token, visit)
	switch {
	case fault.Of(err) == fault.NotFound:
		v.Old, v.Weak, path, status = true, false, "/me", fiber.StatusNotFound
	case err != nil:
		return v, err
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
	return v, k.p.render(k.Ctx, status, "yours", v)
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
