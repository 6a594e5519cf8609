package portal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store/fault"
	"lifeline/templates"
)

// planPages are planned work on the desk: written by one person, read by a second as readers will see it, and then held, let go on, cancelled or ended early. It begins and
// ends by its window.
func (p *Portal) planPages() []route {
	const page = "/desk/maintenances"
	return []route{
		{method: "GET", path: page, page: true, right: auth.UpdateRead, do: func(k *call) error { return k.planList(200, nil) }},
		{method: "POST", path: page, page: true, right: auth.UpdateWrite, do: func(k *call) error {
			in, err := k.typedPlan()
			if err != nil {
				return k.planList(problemOf(err).Status, err)
			}
			rec, err := p.Comms.PlanMaintenance(k.UserContext(), k.person.ID, in)
			if err != nil {
				return k.planList(problemOf(err).Status, err)
			}
			return k.Redirect(page+"/"+rec.ID, fiber.StatusSeeOther)
		}},
		{method: "GET", path: page + "/:id", page: true, right: auth.UpdateRead, do: func(k *call) error { return k.planPage(200, nil) }},
		{method: "POST", path: page + "/:id/agree", page: true, right: auth.UpdateApprove, do: func(k *call) error {
			_, err := k.agreePlan()
			return k.backToPlan(err)
		}},
		{method: "POST", path: page + "/:id/turn", page: true, right: auth.UpdateWrite, do: func(k *call) error {
			_, err := p.Comms.TurnMaintenance(k.UserContext(), k.person.ID, k.Params("id"), k.FormValue("what"), k.turnWords())
			return k.backToPlan(err)
		}},
	}
}

// planForm is new work as it was typed.
type planForm struct {
	comms.PlanWords
	From, Until string
	Components  []string
}

// Translated is what the form holds in another language.
func (f planForm) Translated(locale string) comms.PlanText { return f.Translations[locale] }

// planWords reads what a plan says. A language of which both fields are empty has no translation.
func (k *call) planWords() comms.PlanWords {
	w := comms.PlanWords{Title: k.FormValue("title"), Text: unixLines(k.FormValue("text")), Locale: k.FormValue("locale"), Translations: map[string]comms.PlanText{}}
	for _, locale := range templates.Locales() {
		t := comms.PlanText{Title: k.FormValue("title." + locale), Text: unixLines(k.FormValue("text." + locale))}
		if locale != w.Locale && t != (comms.PlanText{}) {
			w.Translations[locale] = t
		}
	}
	return w
}

// turnWords reads why something happens to a plan. A language of which the field is empty has no translation.
func (k *call) turnWords() comms.TurnWords {
	w := comms.TurnWords{Reason: k.FormValue("reason"), Translations: map[string]string{}}
	for _, locale := range templates.Locales() {
		if t := k.FormValue("reason." + locale); t != "" {
			w.Translations[locale] = t
		}
	}
	return w
}

// Has says whether a component was ticked.
func (f planForm) Has(component string) bool { return slices.Contains(f.Components, component) }

// typedPlan reads the form; its times are UTC.
func (k *call) typedPlan() (in comms.Plan, err error) {
	in = comms.Plan{PlanWords: k.planWords(), Components: k.ticked("components")}
	var bad []fault.Field
	for field, to := range map[string]*time.Time{"from": &in.From, "until": &in.Until} {
		typed := strings.TrimSpace(k.FormValue(field))
		if typed == "" {
			continue // the room says that it is missing
		}
		if *to, err = time.Parse(minuteForm, typed); err != nil {
			bad = append(bad, fault.Field{Field: field, Reason: fmt.Sprintf("%.40q is no time such as 2022-04-05T08:00", typed)})
		}
	}
	if len(bad) > 0 {
		slices.SortFunc(bad, func(a, b fault.Field) int { return strings.Compare(a.Field, b.Field) })
		return in, fault.BadFields(bad...)
	}
	return in, nil
}

type planListView struct {
	shell
	Plans []planAnswer
	Next  string
	Parts []comms.Component
	Form  planForm

	Locales []tongue
}

func (k *call) planList(status int, refused error) error {
	v := planListView{shell: k.shell("page.plans"), Parts: k.p.Comms.Policy.PublicComponents(), Locales: tongues(k.p.Words.Catalog("en"), templates.Locales())}
	v.Form.Locale = templates.Locales()[0]
	if refused != nil {
		v.refused(refused)
		v.Form = planForm{k.planWords(), k.FormValue("from"), k.FormValue("until"), k.ticked("components")}
	}
	all, next, err := k.p.Comms.Maintenances(k.UserContext(), k.Query("after"), maxList)
	if err != nil {
		return err
	}
	for _, rec := range all {
		v.Plans = append(v.Plans, k.p.planAnswer(rec))
	}
	v.Next = next
	return k.p.render(k.Ctx, status, "desk_plans", v)
}

// planned is planned work with the words to say where it stands.
type planned struct {
	Words templates.Catalog
	Plan  planAnswer
}

type planPageView struct {
	shell
	Plan   planAnswer
	Mine   bool            // whoever looks wrote it
	Turns  []string        // what may happen to it now
	Others []tongue        // the languages into which the reason may be put
	Asked  string          // what was refused
	Why    comms.TurnWords // as it was typed
}

func (k *call) planPage(status int, refused error) error {
	rec, err := k.p.Comms.PlannedWork(k.UserContext(), k.Params("id"))
	if err != nil {
		return err
	}
	v := planPageView{shell: k.shell("page.plans"), Plan: k.p.planAnswer(rec), Mine: rec.Value.Author == k.person.ID, Turns: rec.Value.Possible(k.p.DB.Now())}
	v.Others = slices.DeleteFunc(tongues(k.p.Words.Catalog("en"), templates.Locales()), func(t tongue) bool { return t.Locale == rec.Value.Locale })
	if refused != nil {
		v.refused(refused)
		v.Asked, v.Why = k.FormValue("what"), k.turnWords()
	}
	return k.p.render(k.Ctx, status, "desk_plan", v)
}

// backToPlan shows planned work again after something was done with it, or why it was not.
func (k *call) backToPlan(err error) error {
	if err != nil {
		return k.planPage(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/maintenances/"+k.Params("id"), fiber.StatusSeeOther)
}
