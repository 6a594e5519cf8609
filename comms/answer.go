package comms

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Answer is an official answer to a question that many ask, about one incident or in general. An update belongs to its moment and is sent out; an
// answer stands in one place until it is put right, and then says what it said before and why that has changed. Two people say each version of it.
type Answer struct {
	Short    string       `json:"short"`           // 12 lower-case letters and digits, stable for ever; its id on public pages
	Incident string       `json:"incident"`        // "": it is about no incident alone
	Said     []AnswerSaid `json:"said"`            // oldest first; the last one holds
	Draft    *AnswerDraft `json:"draft,omitempty"` // what waits for a second person
}

// AnswerWords are one version of an answer.
type AnswerWords struct {
	Locale       string                    `json:"locale"` // in which it is written
	Question     string                    `json:"question"`
	Text         string                    `json:"answer"`
	Translations map[string]TranslatedText `json:"translations,omitempty"` // by other locales; who reads one that is missing gets the original, marked as such
	Reason       string                    `json:"reason,omitempty"`       // why it differs from the version before
}

// TranslatedText is an answer in another language, made by a person.
type TranslatedText struct {
	Question string `json:"question"`
	Text     string `json:"answer"`
}

// AnswerDraft is a version that nobody but the staff may read yet.
type AnswerDraft struct {
	AnswerWords
	Author  string    `json:"author"` // whoever wrote it last: she may not approve it
	AskedAt time.Time `json:"asked_at"`
}

// AnswerSaid is a version that everybody may read.
type AnswerSaid struct {
	AnswerWords
	At        time.Time `json:"at"`
	Author    string    `json:"author"`
	By        string    `json:"by"`        // the second person, or who withdrew it
	Withdrawn bool      `json:"withdrawn"` // from here on it holds no more; Reason says why
}

// In are the words in a language, and the language that they are in.
func (w AnswerWords) In(locale string) (TranslatedText, string) {
	if t, ok := w.Translations[locale]; ok && locale != w.Locale {
		return t, locale
	}
	return TranslatedText{w.Question, w.Text}, w.Locale
}

var answers = store.Table[Answer]{Kind: store.Kind{Name: "answer", Prefix: "ans", Schema: 1, Keep: 10 * 365 * 24 * time.Hour}}

const (
	mostAnswers  = 200 // that pages show
	mostVersions = 50  // of one answer
)

// holds is the version that everybody reads now; nil when none was said.
func (a Answer) holds() *AnswerSaid {
	if len(a.Said) == 0 {
		return nil
	}
	return &a.Said[len(a.Said)-1]
}

// badAnswer names what is wrong with an answer: its form, and what no official words may hold, by the same rules as an update's. verified says that the
// integrity check of its incident is recorded as passed.
func (r *Room) badAnswer(w AnswerWords, corrects, verified bool) (f []fault.Field) {
	f = oneOf(f, "locale", w.Locale, templates.Locales()...)
	s := templates.Statement{Headline: w.Question, WhatHappened: w.Text, Locales: []string{w.Locale}, Translations: map[string]templates.Translation{}}
	f = badAnswerText(f, "", TranslatedText{w.Question, w.Text})
	for _, locale := range slices.Sorted(maps.Keys(w.Translations)) {
		at := "translations." + bounded(locale)
		if locale == w.Locale || !slices.Contains(templates.Locales(), locale) {
			f = append(f, wrong(at, "is no language of the pages beside the one that it is written in"))
			continue
		}
		t := w.Translations[locale]
		f = badAnswerText(f, at+".", t)
		s.Locales = append(s.Locales, locale)
		s.Translations[locale] = templates.Translation{Headline: t.Question, WhatHappened: t.Text}
	}
	switch {
	case corrects:
		f = reasonProse.bad(f, "reason", w.Reason)
	case w.Reason != "":
		f = append(f, wrong("reason", "goes with a correction; there is nothing to correct yet"))
	}
	k := situation{Policy: r.Policy, Phone: r.Vendor.Phone}
	if verified {
		k.Rules.Checked, s.DataLoss.Kind = true, "none_verified"
	}
	for _, found := range slices.Concat(linkFindings(s, r.linkHosts()), lossFindings(s, k), privateFindings(s, k)) {
		if found.Level == LevelError {
			f = append(f, fault.Field{Field: answerFields.Replace(found.Field), Code: found.Code, Reason: found.Reason + "; " + found.Mend})
		}
	}
	return f
}

// answerFields are the fields of an answer by those of an update that the same rules look at.
var answerFields = strings.NewReplacer("headline", "question", "what_happened", "answer")

func badAnswerText(f []fault.Field, path string, t TranslatedText) []fault.Field {
	f = prose{most: 300, required: true}.bad(f, path+"question", t.Question)
	return prose{most: 4000, lines: true, required: true}.bad(f, path+"answer", t.Text)
}

// DraftAnswer keeps an answer that everybody shall read once a second person agrees: a new one, or with id another version of what is there. version is
// the one that the writer saw; 0 is any. incident is looked at for a new one only; "": it is about none alone.
func (r *Room) DraftAnswer(ctx context.Context, by, id string, version int64, incident string, w AnswerWords) (rec store.Rec[Answer], err error) {
	w.Question, w.Text, w.Reason = strings.TrimSpace(w.Question), strings.TrimSpace(w.Text), strings.TrimSpace(w.Reason)
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "answer.draft"}, func(tx *store.Tx) error {
		a := Answer{Short: strings.ToLower(rand.Text()[:12]), Incident: incident, Said: []AnswerSaid{}}
		was, to := int64(0), id
		if id == "" {
			to = answers.NewID()
		} else {
			have, m, err := answers.Get(tx, id)
			if err != nil {
				return err
			}
			if version != 0 && version != m.Version {
				return fault.New(fault.Stale, "the answer was changed meanwhile: version %d, not %d", m.Version, version)
			}
			a, was = have, m.Version
		}
		verified := false
		if a.Incident != "" {
			in, err := findIncident(tx, a.Incident)
			if err != nil {
				return err
			}
			a.Incident, verified = in.ID, in.Value.verified(AudiencePublic)
		}
		if f := r.badAnswer(w, len(a.Said) > 0, verified); len(f) > 0 {
			return fault.BadFields(f...)
		}
		if len(a.Said) >= mostVersions {
			return fault.New(fault.Conflict, "it has %d versions; withdraw it and write another", len(a.Said))
		}
		a.Draft = &AnswerDraft{AnswerWords: w, Author: by, AskedAt: tx.Now()}
		tx.On(to)
		rec, err = put(tx, answers, to, a, was)
		return err
	})
	return rec, err
}

// digest binds a second person's word to what will be said, and to what it takes the place of.
func (a Answer) digest(words string) (string, error) {
	b, err := json.Marshal([]any{a.Incident, a.Draft.AnswerWords, len(a.Said), words})
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), err
}

// ApproveAnswer is the second person's word for a draft: pages show it at once. version is the one that she read; 0 is any.
func (r *Room) ApproveAnswer(ctx context.Context, by, id string, version int64) (store.Rec[Answer], error) {
	return r.turnAnswer(ctx, store.Act{By: by, Verb: "answer.approve"}, id, version, func(tx *store.Tx, a Answer) (Answer, error) {
		switch {
		case a.Draft == nil && len(a.Said) > 0:
			return a, errAsItWas
		case a.Draft == nil:
			return a, fault.New(fault.Conflict, "nothing waits for a second person")
		case r.Barred != "":
			return a, fault.New(fault.Conflict, "%s", r.Barred)
		}
		digest, err := a.digest(r.Words.Version())
		if err != nil {
			return a, err
		}
		if err := store.Approve(tx, store.Approval{Of: id, Digest: digest, Author: a.Draft.Author, By: by}); err != nil {
			return a, err
		}
		a.Said = append(slices.Clone(a.Said), AnswerSaid{AnswerWords: a.Draft.AnswerWords, At: tx.Now(), Author: a.Draft.Author, By: by})
		a.Draft = nil
		return a, r.noteAnswer(tx, a, by)
	})
}

// WithdrawAnswer is one person's word that an answer holds no more. The page keeps the question, says so and why, and shows what stood there.
// What waits for a second person goes with it; a draft that was never said is deleted.
func (r *Room) WithdrawAnswer(ctx context.Context, by, id, reason string) (rec store.Rec[Answer], err error) {
	if f := reasonProse.bad(nil, "reason", reason); len(f) > 0 {
		return rec, fault.BadFields(f...)
	}
	return r.turnAnswer(ctx, store.Act{By: by, Verb: "answer.withdraw", Reason: reason}, id, 0, func(tx *store.Tx, a Answer) (Answer, error) {
		last := a.holds()
		switch {
		case last == nil && a.Draft == nil, last != nil && last.Withdrawn && a.Draft == nil:
			return a, errAsItWas
		case last == nil || last.Withdrawn:
			a.Draft = nil
			return a, nil
		}
		w := last.AnswerWords
		w.Reason = strings.TrimSpace(reason)
		a.Said = append(slices.Clone(a.Said), AnswerSaid{AnswerWords: w, At: tx.Now(), Author: by, By: by, Withdrawn: true})
		a.Draft = nil
		return a, r.noteAnswer(tx, a, by)
	})
}

// noteAnswer keeps in the incident's log that an answer was said, corrected or withdrawn.
func (r *Room) noteAnswer(tx *store.Tx, a Answer, by string) error {
	if a.Incident == "" {
		return nil
	}
	what, last := "answered", a.holds()
	switch {
	case last.Withdrawn:
		what = "answer_withdrawn"
	case len(a.Said) > 1:
		what = "answer_corrected"
	}
	return r.note(tx, a.Incident, by, what, last.Question)
}

// turnAnswer changes an answer and the page with it.
func (r *Room) turnAnswer(ctx context.Context, act store.Act, id string, version int64, decide func(*store.Tx, Answer) (Answer, error)) (rec store.Rec[Answer], err error) {
	err = r.DB.Update(ctx, act, func(tx *store.Tx) error {
		was, m, err := answers.Get(tx, id)
		if err != nil {
			return err
		}
		if version != 0 && version != m.Version && was.Draft != nil {
			return fault.New(fault.Stale, "the answer was changed meanwhile: version %d, not %d", m.Version, version)
		}
		tx.On(id)
		rec = store.Rec[Answer]{Meta: m, Value: was}
		a, err := decide(tx, was)
		if err != nil {
			return err
		}
		if len(a.Said) == 0 && a.Draft == nil {
			return answers.Delete(tx, id, m.Version)
		}
		if rec, err = put(tx, answers, id, a, m.Version); err != nil {
			return err
		}
		return r.touchPages(tx)
	})
	return rec, asItWas(err)
}

// Answers lists answers, the newest question first, with drafts.
func (r *Room) Answers(ctx context.Context, after string, most int) (page []store.Rec[Answer], next string, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		page, next, err = answers.List(tx, store.Query{Reverse: true, After: after, Limit: limit(most)})
		return err
	})
	return page, next, err
}

// OfficialAnswer is one answer.
func (r *Room) OfficialAnswer(ctx context.Context, id string) (rec store.Rec[Answer], err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		rec.Value, rec.Meta, err = answers.Get(tx, id)
		return err
	})
	return rec, err
}

// PublicAnswer is an answer as everybody may read it.
type PublicAnswer struct {
	Short    string
	Incident string       // the short id of an incident that pages show; "": it is about none alone
	Said     []AnswerSaid // newest first; there is at least one
}

// publicAnswers are the answers that pages show, those about open incidents first, then those about none, then the others; within these the oldest
// question first. What is about an incident that is on no page is on none either.
func publicAnswers(tx *store.Tx, shown map[string]PublicIncident, l laid) (all []PublicAnswer, err error) {
	for rec, err := range answers.Scan(tx, store.Query{Reverse: true}) {
		if err != nil {
			return nil, err
		}
		a := l.said(tx, rec)
		in, there := shown[a.Incident]
		if len(a.Said) == 0 || a.Incident != "" && !there {
			continue
		}
		said := slices.Clone(a.Said)
		slices.Reverse(said)
		if all = append(all, PublicAnswer{Short: a.Short, Incident: in.ID, Said: said}); len(all) == mostAnswers {
			break
		}
	}
	open := map[string]bool{}
	for _, in := range shown {
		open[in.ID] = in.State == Open
	}
	order := func(a PublicAnswer) int {
		switch {
		case a.Incident == "":
			return 1
		case open[a.Incident]:
			return 0
		}
		return 2
	}
	slices.Reverse(all)
	slices.SortStableFunc(all, func(a, b PublicAnswer) int { return order(a) - order(b) })
	return all, nil
}
