package portal

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/templates"
)

// officialAnswer is an official answer to a question, with every version of it.
type officialAnswer struct {
	object
	URL string `json:"url"`
	comms.Answer
}

type questionBody struct {
	Incident string `json:"incident,omitempty"`
	comms.AnswerWords
}

func (p *Portal) officialAnswer(rec store.Rec[comms.Answer]) officialAnswer {
	return officialAnswer{objectOf(rec.Meta), p.URL + "/questions#q-" + rec.Value.Short, rec.Value}
}

func (p *Portal) questionRoutes() []route {
	const base, page = "/api/v1/questions", "/desk/questions"
	needs := []string{"locale", "question", "answer"}
	answered := func(k *call, status int, rec store.Rec[comms.Answer], err error) error {
		if err != nil {
			return err
		}
		return send(k.Ctx, status, p.officialAnswer(rec))
	}
	return []route{
		{method: "POST", path: base, right: auth.UpdateWrite, tag: "questions", summary: "write an official answer to a question; nobody reads it before a second person agrees", needs: needs, status: 201,
			body: questionBody{}, answer: officialAnswer{}, do: func(k *call) error {
				var in questionBody
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				rec, err := p.Comms.DraftAnswer(k.UserContext(), k.person.ID, "", 0, in.Incident, in.AnswerWords)
				if err == nil {
					k.Set(fiber.HeaderLocation, base+"/"+rec.ID)
				}
				return answered(k, fiber.StatusCreated, rec, err)
			}},
		{method: "GET", path: base, right: auth.UpdateRead, tag: "questions", summary: "official answers, drafts among them, the newest question first", query: []string{"after", "limit"}, answer: list[officialAnswer]{}, do: func(k *call) error {
			limit, err := limitParam(k.Ctx)
			if err != nil {
				return err
			}
			page, next, err := p.Comms.Answers(k.UserContext(), k.Query("after"), limit)
			if err != nil {
				return err
			}
			return sendList(k, page, next, p.officialAnswer)
		}},
		{method: "GET", path: base + "/:id", right: auth.UpdateRead, tag: "questions", summary: "one official answer", answer: officialAnswer{}, do: func(k *call) error {
			rec, err := p.Comms.OfficialAnswer(k.UserContext(), k.Params("id"))
			return answered(k, 200, rec, err)
		}},
		{method: "PUT", path: base + "/:id", right: auth.UpdateWrite, tag: "questions", summary: "write another version; with a reason where readers have one already, and it is theirs to read", needs: needs,
			body: comms.AnswerWords{}, answer: officialAnswer{}, do: func(k *call) error {
				var in comms.AnswerWords
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				version, err := k.ifMatch()
				if err != nil {
					return err
				}
				rec, err := p.Comms.DraftAnswer(k.UserContext(), k.person.ID, k.Params("id"), version, "", in)
				return answered(k, 200, rec, err)
			}},
		{method: "POST", path: base + "/:id/approve", right: auth.UpdateApprove, tag: "questions", summary: "a second person's word: the page shows it at once", body: struct{}{}, answer: officialAnswer{}, do: func(k *call) error {
			version, err := k.ifMatch()
			if err != nil {
				return err
			}
			rec, err := k.approveAnswer(version)
			return answered(k, 200, rec, err)
		}},
		{method: "POST", path: base + "/:id/withdraw", right: auth.UpdateRetract, tag: "questions", summary: "say that it holds no more; the page says so and why", needs: []string{"reason"}, body: reasonBody{}, answer: officialAnswer{}, do: func(k *call) error {
			var in reasonBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, err := p.Comms.WithdrawAnswer(k.UserContext(), k.person.ID, k.Params("id"), in.Reason)
			return answered(k, 200, rec, err)
		}},

		{method: "GET", path: page, page: true, right: auth.UpdateRead, do: func(k *call) error { return k.questionList(200, nil) }},
		{method: "POST", path: page, page: true, right: auth.UpdateWrite, do: func(k *call) error {
			rec, err := p.Comms.DraftAnswer(k.UserContext(), k.person.ID, "", 0, k.FormValue("incident"), k.answerWords())
			if err != nil {
				return k.questionList(problemOf(err).Status, err)
			}
			return k.Redirect(page+"/"+rec.ID, fiber.StatusSeeOther)
		}},
		{method: "GET", path: page + "/:id", page: true, right: auth.UpdateRead, do: func(k *call) error { return k.questionPage(200, nil) }},
		{method: "POST", path: page + "/:id", page: true, right: auth.UpdateWrite, do: func(k *call) error {
			version, err := parseInt(k.FormValue("version"))
			if err == nil {
				_, err = p.Comms.DraftAnswer(k.UserContext(), k.person.ID, k.Params("id"), version, "", k.answerWords())
			}
			return k.backToQuestion(err)
		}},
		{method: "POST", path: page + "/:id/approve", page: true, right: auth.UpdateApprove, do: func(k *call) error {
			version, err := parseInt(k.FormValue("version"))
			if err == nil {
				_, err = k.approveAnswer(version)
			}
			return k.backToQuestion(err)
		}},
		{method: "POST", path: page + "/:id/withdraw", page: true, right: auth.UpdateRetract, do: func(k *call) error {
			rec, err := p.Comms.WithdrawAnswer(k.UserContext(), k.person.ID, k.Params("id"), k.FormValue("reason"))
			if err == nil && len(rec.Value.Said) == 0 { // it was never said and is gone
				return k.Redirect(page, fiber.StatusSeeOther)
			}
			return k.backToQuestion(err)
		}},
	}
}

// approveAnswer gives a second person's word for the version that she saw.
func (k *call) approveAnswer(version int64) (rec store.Rec[comms.Answer], err error) {
	if err := k.p.Gate.MayApprove(k.UserContext(), k.person); err != nil {
		return rec, err
	}
	return k.p.Comms.ApproveAnswer(k.UserContext(), k.person.ID, k.Params("id"), version)
}

// answerWords reads the form of an answer. A language of which both fields are empty has no translation.
func (k *call) answerWords() comms.AnswerWords {
	w := comms.AnswerWords{Locale: k.FormValue("locale"), Question: k.FormValue("question"), Text: unixLines(k.FormValue("answer")), Reason: k.FormValue("reason"), Translations: map[string]comms.TranslatedText{}}
	for _, locale := range templates.Locales() {
		t := comms.TranslatedText{Question: k.FormValue("question." + locale), Text: unixLines(k.FormValue("answer." + locale))}
		if locale != w.Locale && t != (comms.TranslatedText{}) {
			w.Translations[locale] = t
		}
	}
	return w
}

// unixLines ends lines as programs do; forms send them as mail does.
func unixLines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// questionForm is the form of an answer, as it was typed or as it stands.
type questionForm struct {
	shell
	comms.AnswerWords
	Action   string
	Incident string // of a new one
	Version  int64  // 0: it is new
	Corrects bool   // readers have one already, so a reason is asked for
	Locales  []tongue
}

type questionListView struct {
	questionForm
	All  []officialAnswer
	Next string
}

type questionPageView struct {
	questionForm
	ID       string
	Answer   comms.Answer
	Now      *comms.AnswerSaid // nil: readers have none
	Mine     bool              // whoever looks wrote the draft
	Withdraw string            // a reason, as typed
}

// Others are the languages beside the one that the answer is written in.
func (f questionForm) Others() (all []tongue) {
	for _, t := range f.Locales {
		if t.Locale != f.Locale {
			all = append(all, t)
		}
	}
	return all
}

// In is what the form holds in another language.
func (f questionForm) In(locale string) comms.TranslatedText { return f.Translations[locale] }

func (k *call) questionForm(refused error) questionForm {
	f := questionForm{shell: k.shell("page.qa.title"), Locales: tongues(k.p.Words.Catalog("en"), templates.Locales()), AnswerWords: comms.AnswerWords{Locale: templates.Locales()[0]}}
	if refused != nil {
		f.refused(refused)
		f.AnswerWords = k.answerWords()
	}
	return f
}

func (k *call) questionList(status int, refused error) error {
	v := questionListView{questionForm: k.questionForm(refused)}
	v.Action, v.Incident = "/desk/questions", k.Query("incident", k.FormValue("incident"))
	all, next, err := k.p.Comms.Answers(k.UserContext(), k.Query("after"), maxList)
	if err != nil {
		return err
	}
	for _, rec := range all {
		v.All = append(v.All, k.p.officialAnswer(rec))
	}
	v.Next = next
	return k.p.render(k.Ctx, status, "desk_questions", v)
}

func (k *call) questionPage(status int, refused error) error {
	rec, err := k.p.Comms.OfficialAnswer(k.UserContext(), k.Params("id"))
	if err != nil {
		return err
	}
	a := rec.Value
	v := questionPageView{questionForm: k.questionForm(refused), ID: rec.ID, Answer: a, Withdraw: k.FormValue("reason")}
	v.Action, v.Version, v.Corrects = "/desk/questions/"+rec.ID, rec.Version, len(a.Said) > 0
	if n := len(a.Said); n > 0 {
		v.Now = &a.Said[n-1]
	}
	typed := refused != nil && k.FormValue("question") != ""
	switch {
	case typed:
	case a.Draft != nil:
		v.AnswerWords, v.Mine = a.Draft.AnswerWords, a.Draft.Author == k.person.ID
	case v.Now != nil:
		v.AnswerWords = v.Now.AnswerWords
		v.Reason = ""
	}
	return k.p.render(k.Ctx, status, "desk_question", v)
}

// backToQuestion shows an answer again after something was done with it, or why it was not.
func (k *call) backToQuestion(err error) error {
	if err != nil {
		return k.questionPage(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/questions/"+k.Params("id"), fiber.StatusSeeOther)
}
