package comms

import (
	"context"
	"strings"
	"testing"
	"time"

	"lifeline/store/fault"
	"lifeline/store/storetest"
)

// An answer is said by two persons, put right by two, and withdrawn by one; readers see what it said before and why that changed, and nothing of what
// waits for a second person.
func TestAnOfficialAnswerIsSaidByTwoAndCorrectedInTheOpen(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.people(1)
	ctx := context.Background()
	words := AnswerWords{Locale: "en", Question: "Do I have to file a ticket?", Text: "No. Every affected site is being restored.",
		Translations: map[string]TranslatedText{"ja": {"チケットは必要ですか。", "いいえ。対象のサイトはすべて復旧を進めています。"}}}
	for field, mend := range map[string]func(*AnswerWords){
		"locale": func(a *AnswerWords) { a.Locale = "tlh" }, "question": func(a *AnswerWords) { a.Question = " " },
		"answer": func(a *AnswerWords) { a.Text = "See https://elsewhere.example/why" }, "reason": func(a *AnswerWords) { a.Reason = "it was wrong" },
		"translations.en": func(a *AnswerWords) { a.Translations = map[string]TranslatedText{"en": {"q", "a"}} },
		"translations.ja.answer": func(a *AnswerWords) {
			a.Translations = map[string]TranslatedText{"ja": {"q", "データ損失はありません。"}}
		},
	} {
		bad := words
		mend(&bad)
		if _, err := w.DraftAnswer(ctx, "stf_sue", "", 0, w.incident, bad); fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	public := func() (all []PublicAnswer, edition int64) {
		t.Helper()
		p, err := w.Public(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return p.Answers, p.Edition
	}
	_, before := public()
	rec, err := w.DraftAnswer(ctx, "stf_sue", "", 0, w.incident, words)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ApproveAnswer(ctx, "stf_sue", rec.ID, 0); fault.Of(err) != fault.Forbidden {
		t.Errorf("its author approved it: %v", err)
	}
	if all, edition := public(); len(all) > 0 || edition != before {
		t.Errorf("a draft is public: %+v, edition %d after %d", all, edition, before)
	}
	for range 2 { // twice changes nothing
		if rec, err = w.ApproveAnswer(ctx, "stf_bob", rec.ID, 0); err != nil {
			t.Fatal(err)
		}
	}
	// What is about an incident of which the page does not tell yet waits for it.
	if all, edition := public(); len(all) > 0 || edition != before+1 {
		t.Errorf("said of a hidden incident: %+v, edition %d after %d", all, edition, before)
	}
	w.Policy.PageEntry = []string{"P0"}
	if all, _ := public(); len(all) != 1 || all[0].Incident == "" || len(all[0].Said) != 1 {
		t.Fatalf("said: %+v", all)
	}
	if got, in := rec.Value.Said[0].In("ja"); in != "ja" || got.Question != words.Translations["ja"].Question {
		t.Errorf("in Japanese: %q in %s", got.Question, in)
	}
	if got, in := rec.Value.Said[0].In("de"); in != "en" || got.Text != words.Text {
		t.Errorf("in a language that it has not: %q in %s", got.Text, in)
	}

	// One about no incident stands behind those about what is open.
	general := AnswerWords{Locale: "en", Question: "Where is the truth?", Text: "On this page."}
	other, err := w.DraftAnswer(ctx, "stf_bob", "", 0, "", general)
	if err == nil {
		_, err = w.ApproveAnswer(ctx, "stf_sue", other.ID, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if all, _ := public(); len(all) != 2 || all[0].Short != rec.Value.Short || all[1].Incident != "" {
		t.Errorf("in order: %+v", all)
	}

	// A correction needs its reason, and a second person for the very words that she saw.
	words.Text, words.Translations = "Only if your site is not in the list.", nil
	if _, err := w.DraftAnswer(ctx, "stf_sue", rec.ID, 0, "", words); fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "reason") {
		t.Errorf("without a reason: %v", err)
	}
	words.Reason = "Some sites were missing from the list."
	if _, err := w.DraftAnswer(ctx, "stf_sue", rec.ID, rec.Version-1, "", words); fault.Of(err) != fault.Stale {
		t.Errorf("over another's version: %v", err)
	}
	w.clock.Turn(time.Hour)
	if rec, err = w.DraftAnswer(ctx, "stf_sue", rec.ID, rec.Version, "", words); err != nil {
		t.Fatal(err)
	}
	if all, _ := public(); len(all[0].Said) != 1 {
		t.Errorf("a correction is public before a second person read it: %+v", all[0])
	}
	if _, err := w.ApproveAnswer(ctx, "stf_bob", rec.ID, rec.Version-1); fault.Of(err) != fault.Stale {
		t.Errorf("words that the second person did not read: %v", err)
	}
	if rec, err = w.ApproveAnswer(ctx, "stf_bob", rec.ID, rec.Version); err != nil {
		t.Fatal(err)
	}
	if all, _ := public(); len(all[0].Said) != 2 || all[0].Said[0].Text != words.Text || all[0].Said[0].Reason != words.Reason || all[0].Said[1].Text == words.Text {
		t.Errorf("corrected: %+v", all[0])
	}
	for range 2 {
		if rec, err = w.WithdrawAnswer(ctx, "stf_sue", rec.ID, "We are looking into it again."); err != nil {
			t.Fatal(err)
		}
	}
	if all, _ := public(); len(all[0].Said) != 3 || !all[0].Said[0].Withdrawn {
		t.Errorf("withdrawn: %+v", all[0])
	}
	log, _, err := w.IncidentLog(ctx, w.incident, "", 50)
	var kept []string
	for _, e := range log {
		if strings.HasPrefix(e.Value.What, "answer") {
			kept = append(kept, e.Value.What)
		}
	}
	if got := strings.Join(kept, " "); err != nil || got != "answered answer_corrected answer_withdrawn" {
		t.Errorf("the log keeps %q: %v", got, err)
	}

	// A draft that was never said goes without a trace on any page.
	draft, err := w.DraftAnswer(ctx, "stf_sue", "", 0, "", general)
	if err == nil {
		_, err = w.WithdrawAnswer(ctx, "stf_sue", draft.ID, "not needed")
	}
	if all, _, err2 := w.Answers(ctx, "", 0); err != nil || err2 != nil || len(all) != 2 {
		t.Errorf("%d answers are listed: %v, %v", len(all), err, err2)
	}
}
