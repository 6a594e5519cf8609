package portal

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/desk"
	"lifeline/portal/page"
	"lifeline/store/fault"
	"lifeline/templates"
)

// supportView is what the support form shows: what was typed, and what is wrong with it.
type supportView struct {
	base
	In      desk.Intake
	Errors  map[string]string
	Facts   []fact
	Impacts []string
	Files   filesView
	Call    bool // she comes for a call
}

// More says that one of the fields behind "more" was filled in, so that it stays in view.
func (v supportView) More() bool {
	return v.In.Name+v.In.Company+v.In.SiteName+v.In.SiteURL+v.In.Invoice+v.In.OldTicket != ""
}

// fact is one sentence that anybody may know.
type fact struct {
	Title   string `json:"title"`
	Text    string `json:"text"`
	URL     string `json:"url"`
	TitleIn string `json:"-"` // the language of the title, which nobody translates
	TextIn  string `json:"-"`
}

// input is one field of a form.
type input struct{ Name, Value, Label, Hint, Error, Type, Complete string }

var inputTypes = map[string]string{"email": "email", "phone": "tel"}
var autocomplete = map[string]string{"email": "email", "phone": "tel", "name": "name", "company": "organization"}

func (v supportView) Field(name, value, label, hint string) input {
	f := input{Name: name, Value: value, Label: v.Words.T(label), Error: v.Errors[name], Type: inputTypes[name], Complete: autocomplete[name]}
	if hint != "" {
		f.Hint = v.Words.T(hint)
	}
	return f
}

type receiptView struct {
	base
	Receipt desk.Receipt
	Wait    desk.Wait
	Files   filesView
	Facts   []fact
}

// base is what every page of ours has.
type base struct {
	Words  templates.Catalog
	Vendor templates.Vendor
	Path   string   // of this page, for the language chooser
	Langs  []tongue // none: the page is shown in one language
	Title  string
	Look   page.Own // the vendor's own, as the status page has it
}

// tongue is a language under its own name.
type tongue struct{ Locale, Name string }

func (p *Portal) base(locale, path, title string) base {
	words := p.Words.Catalog(locale)
	b := base{Words: words, Vendor: p.Comms.Vendor, Path: path, Title: words.T(title), Langs: tongues(words, templates.Locales())}
	if p.Page != nil {
		if e := p.Page.Shown(); e != nil {
			b.Look = e.Own()
		}
	}
	return b
}

// staffBase is what a page of the desk has.
func (k *call) staffBase(path, title string) base {
	b := k.p.base(k.p.staffLocale(k.Ctx), path, title)
	b.Langs = tongues(b.Words, templates.StaffLocales())
	return b
}

func tongues(words templates.Catalog, locales []string) (all []tongue) {
	for _, l := range locales {
		all = append(all, tongue{l, words.T("lang." + l)})
	}
	return all
}

// locale is the language that the reader chose (?lang=), or the best of those that her browser asks for.
func (p *Portal) locale(c *fiber.Ctx) string {
	if lang := c.Query("lang"); lang != "" {
		return p.Words.Match(lang)
	}
	return p.Words.Match(c.Get(fiber.HeaderAcceptLanguage))
}

// staffLocale is the same among the languages that the desk is written in.
func (p *Portal) staffLocale(c *fiber.Ctx) string {
	if lang := c.Query("lang"); lang != "" {
		return p.Words.MatchStaff(lang)
	}
	return p.Words.MatchStaff(c.Get(fiber.HeaderAcceptLanguage))
}

// publicFacts are what anybody may know now, in a sentence for each open incident, in a language where somebody translated it.
func (p *Portal) publicFacts(ctx context.Context, locale string) []fact {
	facts := []fact{}
	public, err := p.publicly(ctx)
	if err != nil {
		p.Log.Warn("public facts are not shown", "err", err) // the receipt is worth more than they are
		return facts
	}
	for _, i := range public.Incidents {
		if i.State == comms.Open && len(i.Updates) > 0 {
			text, in := i.Standing().Statement.HeadlineIn(locale)
			if i.Reopened() {
				text, in = p.Words.Catalog(locale).T("page.reopened"), locale
			}
			facts = append(facts, fact{Title: i.Title, Text: text, URL: i.URL, TitleIn: i.Language(), TextIn: in})
		}
	}
	return facts
}

// known is what was public at an edition of the page.
type known struct {
	mu      sync.Mutex
	held    bool // the edition is what public says; before the first word it is 0
	edition int64
	public  comms.Public
}

// publicly is what anybody may know now, read from the store only after the public page changed: everybody who comes to ask for help gets it.
func (p *Portal) publicly(ctx context.Context) (comms.Public, error) {
	edition, err := p.Comms.Edition(ctx)
	if err != nil {
		return comms.Public{}, err
	}
	p.known.mu.Lock()
	defer p.known.mu.Unlock()
	if p.known.held && p.known.edition == edition {
		return p.known.public, nil
	}
	public, err := p.Comms.Public(ctx)
	if err == nil {
		p.known.held, p.known.edition, p.known.public = true, public.Edition, public
	}
	return public, err
}

var impacts = []string{desk.LostAccess, desk.Degraded, desk.Question}

func (p *Portal) supportRoutes() []route {
	return []route{
		{method: "GET", path: "/support", do: func(k *call) error {
			locale := p.locale(k.Ctx)
			return p.render(k.Ctx, 200, "support_form", supportView{Call: k.Query("call") != "", Impacts: impacts, base: p.base(locale, "/support", "support.title"), Files: k.filesView(locale, nil), Facts: p.publicFacts(k.UserContext(), locale)})
		}},
		{method: "POST", path: "/support", form: true, max: maxTicket, own: true, files: true, do: func(k *call) error {
			in, err := k.intake()
			in.Route = "web"
			locale := p.Words.Match(in.Locale)
			if in.Locale == "" {
				locale = p.locale(k.Ctx)
				in.Locale = locale
			}
			var receipt desk.Receipt
			if err == nil {
				in.Fare = k.fare(k.FormValue("toll"), k.FormValue("proof"))
				receipt, err = p.Desk.File(k.UserContext(), "public:web", in)
			}
			if owes := (desk.Owing{}); errors.As(err, &owes) {
				return k.tollPage(in, owes, locale)
			}
			switch fault.Of(err) {
			case "":
			case fault.Invalid, fault.Unavailable, fault.Unknown, fault.TooMany, fault.TooLarge, fault.Stale, fault.Exists: // what was typed must not be lost
				k.later(err)
				return p.render(k.Ctx, problemOf(err).Status, "support_form", supportView{Impacts: impacts, base: p.base(locale, "/support", "support.title"), In: in,
					Errors: sayErrors(p.Words.Catalog(locale), err), Files: k.filesView(locale, err), Facts: p.publicFacts(k.UserContext(), locale)})
			default:
				return err
			}
			return p.render(k.Ctx, fiber.StatusCreated, "receipt", receiptView{base: p.base(locale, "/support", "receipt.title"), Receipt: receipt, Files: k.filesView(locale, nil), Wait: p.waiting(k.UserContext(), receipt.Queue),
				Facts: p.publicFacts(k.UserContext(), locale)})
		}},
	}
}

// waiting is how long people in a queue wait, where it can be read: what it stands beside is worth more.
func (p *Portal) waiting(ctx context.Context, queue string) desk.Wait {
	w, err := p.Desk.Wait(ctx, queue)
	if err != nil {
		p.Log.Warn("the waiting time is not shown", "err", err)
	}
	return w
}

// sayErrors puts what is wrong into the reader's language, by field; "" is the form as a whole.
func sayErrors(words templates.Catalog, err error) map[string]string {
	pr := problemOf(err)
	out := map[string]string{}
	for _, f := range pr.Errors {
		key := "support.error." + f.Field + "." + f.Code
		if words.Has(key) {
			out[f.Field] = words.T(key)
		} else {
			out[f.Field] = words.T("support.error.other")
		}
	}
	if len(out) == 0 && fault.Of(err) != fault.TooLarge { // that one stands at the files
		out[""] = words.T("support.error.later")
	}
	return out
}

// render answers with a page of portal/web.
func (p *Portal) render(c *fiber.Ctx, status int, name string, view any) error {
	body, err := renderView(name, view)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/html; charset=utf-8")
	return c.Status(status).Send(body)
}

// errorPage says in the reader's language what went wrong. What a room adds is in English and marked so; where the heading says all, it is left out of other
// languages.
func (p *Portal) errorPage(c *fiber.Ctx, pr problem) error {
	b := p.base(p.locale(c), "/", "error.title")
	home, back := "/"+b.Words.Locale()+"/", "page.current"
	if strings.HasPrefix(c.Path(), "/desk") {
		b = p.base(p.staffLocale(c), "/", "error.title")
		home, back = "/desk", "desk.title"
	}
	heading := "error.is." + strconv.Itoa(pr.Status)
	if !b.Words.Has(heading) {
		heading = "error.is.404"
	}
	in := "en" // what is not in the reader's language says in which it is
	switch said := b.Words.Refusal(pr.Detail); {
	case said != pr.Detail:
		pr.Detail, in = said, b.Words.Locale()
	case b.Words.Locale() != "en" && !slices.Contains([]int{409, 412, 422}, pr.Status):
		pr.Detail = ""
	}
	return p.render(c, pr.Status, "error", struct {
		base
		Heading    string
		Problem    problem
		In         string // the language of why
		Home, Back string // where the way on leads, and what it is called
	}{b, b.Words.T(heading), pr, in, home, b.Words.T(back)})
}
