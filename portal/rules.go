package portal

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store"
)

// ruleRoutes are the rules by which the ledger speaks by itself: seen, proposed, approved by a second person, and stopped by anyone who may stop a broadcast.
func (p *Portal) ruleRoutes() []route {
	const base = "/api/v1/rules"
	return []route{
		{method: "GET", path: base, right: auth.UpdateRead, tag: "updates", summary: "the rules by which the ledger speaks by itself, and where each stands", answer: list[comms.RuleState]{}, do: func(k *call) error {
			all, err := p.Comms.Rules(k.UserContext())
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, list[comms.RuleState]{Items: all})
		}},
		{method: "POST", path: base + "/:name/approve", right: auth.UpdateApprove, tag: "updates", summary: "propose a rule as it is, or approve it as the second person, which puts it in force; of one that was stopped this ends the stop",
			body: struct{}{}, answer: comms.RuleState{}, do: func(k *call) error {
				s, err := k.approveRule()
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, s)
			}},
		{method: "POST", path: base + "/:name/stop", right: auth.UpdateStop, tag: "updates", summary: "stop a rule, and what is unsent of its updates, on every replica and for good", needs: []string{"reason"}, body: reasonBody{}, answer: comms.RuleState{}, do: func(k *call) error {
			var in reasonBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			s, err := p.Comms.StopRule(k.UserContext(), k.person.ID, k.Params("name"), in.Reason)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, s)
		}},
		{method: "GET", path: "/desk/rules", page: true, right: auth.UpdateRead, do: func(k *call) error { return k.rulesPage(200, nil) }},
		{method: "POST", path: "/desk/first-notice/approve", page: true, right: auth.UpdateApprove, do: func(k *call) error {
			_, err := k.approveFirst()
			return k.backToRules(err)
		}},
		{method: "POST", path: "/desk/rules/:name/approve", page: true, right: auth.UpdateApprove, do: func(k *call) error {
			_, err := k.approveRule()
			return k.backToRules(err)
		}},
		{method: "POST", path: "/desk/rules/:name/stop", page: true, right: auth.UpdateStop, do: func(k *call) error {
			_, err := p.Comms.StopRule(k.UserContext(), k.person.ID, k.Params("name"), k.FormValue("reason"))
			return k.backToRules(err)
		}},
	}
}

func (k *call) approveRule() (comms.RuleState, error) {
	if err := k.p.Gate.MayApprove(k.UserContext(), k.person); err != nil {
		return comms.RuleState{}, err
	}
	return k.p.Comms.ApproveRule(k.UserContext(), k.person.ID, k.Params("name"))
}

// firstAnswer is the text of first notices, and whether one may be sent.
type firstAnswer struct {
	Ready bool     `json:"ready"`
	By    []string `json:"approved_by"` // ids of staff
	Needs int      `json:"needs"`       // people who approve it as it is
	Text  string   `json:"text"`        // the mail, with three dots where an incident gives its own words
}

func (k *call) firstText(locale string) (f firstAnswer, err error) {
	f = firstAnswer{Needs: comms.FirstNeeds}
	if f.Ready, f.By, err = k.p.Comms.FirstNoticeReady(k.UserContext()); err != nil {
		return f, err
	}
	f.By = append([]string{}, f.By...)
	f.Text, err = k.p.Comms.FirstNoticeText(locale)
	return f, err
}

func (k *call) approveFirst() (store.Approval, error) {
	if err := k.p.Gate.MayApprove(k.UserContext(), k.person); err != nil {
		return store.Approval{}, err
	}
	return k.p.Comms.ApproveFirstNotice(k.UserContext(), k.person.ID)
}

func (k *call) backToRules(refused error) error {
	if refused != nil {
		return k.rulesPage(problemOf(refused).Status, refused)
	}
	return k.Redirect("/desk/rules", fiber.StatusSeeOther)
}

// rulesView is what the ledger says by itself, and what holds for all of it.
type rulesView struct {
	shell
	First     firstAnswer
	Rules     []comms.RuleState
	Automatic comms.Automatic
	Hours     int    // between two words of it
	Asked     string // the rule whose stop was refused
	Reason    string // as it was typed
}

// Who are the names of people.
func (v rulesView) Who(ids []string) string {
	var names []string
	for _, id := range ids {
		names = append(names, v.NameOf(id))
	}
	return strings.Join(names, ", ")
}

func (k *call) rulesPage(status int, refused error) (err error) {
	v := rulesView{shell: k.shell("desk.rules"), Automatic: k.p.Comms.Policy.Automatic, Hours: int(k.p.Comms.Policy.Automatic.Every.Hours()), Asked: k.Params("name"), Reason: k.FormValue("reason")}
	if refused != nil {
		v.refused(refused)
	}
	if v.First, err = k.firstText(v.Words.Locale()); err != nil {
		return err
	}
	if v.Rules, err = k.p.Comms.Rules(k.UserContext()); err != nil {
		return err
	}
	return k.p.render(k.Ctx, status, "desk_rules", v)
}
