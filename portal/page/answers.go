package page

import (
	"html/template"
	"slices"
	"strings"
	"time"

	"lifeline/comms"
)

// answerView is an official answer, with what it said before where it was put right.
type answerView struct {
	ID        string
	Withdrawn bool
	Corrected bool
	Reason    string // why it differs from what stood there before
	ReasonIn  string // the language of that; "": the page's own
	Now       answerText
	Before    []answerText // newest first
}

// answerText is one version of an answer.
type answerText struct {
	At       time.Time
	Question string
	Lines    []string
	In       string // the language of the words; "": the page's own
	InName   string // its name in the page's language
}

// answerGroup are the answers about one incident, or about none.
type answerGroup struct {
	Path    string        // of the incident; "": they are about none
	Title   template.HTML // the same
	Answers []answerView
}

type questionsView struct {
	sheet
	Groups []answerGroup
}

func (t tongue) answer(a comms.PublicAnswer) answerView {
	last := a.Said[0]
	v := answerView{ID: a.Short, Withdrawn: last.Withdrawn, Corrected: len(a.Said) > 1 && !last.Withdrawn, Reason: last.Reason, Now: t.answerText(last)}
	if last.Locale != t.locale {
		v.ReasonIn = last.Locale
	}
	earlier := a.Said[1:]
	if last.Withdrawn && len(earlier) > 0 { // it repeats the words that hold no more
		earlier = earlier[1:]
	}
	for _, s := range earlier {
		if !s.Withdrawn {
			v.Before = append(v.Before, t.answerText(s))
		}
	}
	return v
}

func (t tongue) answerText(s comms.AnswerSaid) answerText {
	words, in := s.In(t.locale)
	v := answerText{At: s.At, Question: words.Question}
	for line := range strings.SplitSeq(words.Text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			v.Lines = append(v.Lines, line)
		}
	}
	if in != t.locale {
		v.In, v.InName = in, in
		if key := "language." + in; t.words.Has(key) {
			v.InName = t.words.T(key)
		}
	}
	return v
}

// answersAbout are the answers about an incident.
func (r *printing) answersAbout(t tongue, in comms.PublicIncident) (out []answerView) {
	for _, a := range about(r.public, in.ID) {
		out = append(out, t.answer(a))
	}
	return out
}

// questions is the one place that holds every official answer.
func (r *printing) questions(t tongue) (questionsView, error) {
	var v questionsView
	for _, a := range r.public.Answers {
		g := answerGroup{}
		if i := slices.IndexFunc(r.public.Incidents, func(in comms.PublicIncident) bool { return a.Incident != "" && in.ID == a.Incident }); i >= 0 {
			g.Path, g.Title = t.path(r.public.Incidents[i]), t.titled(r.public.Incidents[i])
		}
		at := slices.IndexFunc(v.Groups, func(had answerGroup) bool { return had.Path == g.Path })
		if at < 0 {
			at, v.Groups = len(v.Groups), append(v.Groups, g)
		}
		v.Groups[at].Answers = append(v.Groups[at].Answers, t.answer(a))
	}
	title := t.words.T("page.qa.title")
	v.sheet = r.sheet(t, "questions", title+" · "+t.words.T("page.title", r.press.Vendor.Name), title)
	return v, nil
}

// factsAnswer is an official answer with all that was said before.
type factsAnswer struct {
	ID        string               `json:"id"`
	Incident  string               `json:"incident"` // "": it is about none alone
	URL       string               `json:"url"`
	State     string               `json:"state"` // answered, corrected, withdrawn
	CreatedAt time.Time            `json:"created_at"`
	UpdatedAt time.Time            `json:"updated_at"`
	Versions  []factsAnswerVersion `json:"versions"` // newest first: the first one holds, unless it is withdrawn
}

type factsAnswerVersion struct {
	At           time.Time                       `json:"at"`
	Locale       string                          `json:"locale"`
	Question     string                          `json:"question"`
	Answer       string                          `json:"answer"`
	Translations map[string]comms.TranslatedText `json:"translations"`
	Reason       string                          `json:"reason"` // why it differs from the one before
	Withdrawn    bool                            `json:"withdrawn"`
}

type factsAnswers struct {
	Items []factsAnswer `json:"items"`
	Next  string        `json:"next"`
}

func (r *printing) factsAnswers() factsAnswers {
	list := factsAnswers{Items: []factsAnswer{}}
	for _, a := range r.public.Answers {
		newest, oldest := a.Said[0], a.Said[len(a.Said)-1]
		item := factsAnswer{ID: a.Short, Incident: a.Incident, URL: strings.TrimSuffix(r.press.Vendor.URL, "/") + "/questions#q-" + a.Short, State: "answered",
			CreatedAt: oldest.At.UTC(), UpdatedAt: newest.At.UTC()}
		switch {
		case newest.Withdrawn:
			item.State = "withdrawn"
		case len(a.Said) > 1:
			item.State = "corrected"
		}
		for _, s := range a.Said { // who wrote and who read it stays inside
			v := factsAnswerVersion{At: s.At.UTC(), Locale: s.Locale, Question: s.Question, Answer: s.Text, Translations: s.Translations, Reason: s.Reason, Withdrawn: s.Withdrawn}
			if v.Translations == nil {
				v.Translations = map[string]comms.TranslatedText{}
			}
			item.Versions = append(item.Versions, v)
		}
		list.Items = append(list.Items, item)
	}
	return list
}
