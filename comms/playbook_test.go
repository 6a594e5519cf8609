package comms

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// A grave incident begins with the playbooks of its category; steps are done or skipped with a reason, by name and time; closing it ends them and owes their
// review, and a new version leaves what has begun as it was.
func TestPlaybooksOfAnIncident(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	h.Policy.Playbooks["data"] = append(h.Policy.Playbooks["data"], "misspelt")
	in := h.declare()
	running := func() (names []string) {
		t.Helper()
		all, err := h.PlaybooksOf(ctx, in.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range all {
			names = append(names, b.Name)
		}
		return names
	}
	if got := running(); !slices.Equal(got, []string{"major_incident", "data_deletion"}) || !slices.Contains(h.logged(in.ID), "playbook_missing") {
		t.Fatalf("begun: %v", got)
	}
	if _, err := h.Begin(ctx, "stf_ann", in.ID, "data_deletion"); fault.Of(err) != fault.Conflict {
		t.Errorf("begun twice: %v", err)
	}
	if _, err := h.Begin(ctx, "stf_ann", in.ID, "no such"); fault.Of(err) != fault.Invalid {
		t.Errorf("none of that name: %v", err)
	}
	if _, err := h.Begin(ctx, "stf_ann", in.ID, "backup_lost"); err != nil || len(running()) != 3 {
		t.Error(err)
	}
	all, err := h.PlaybooksOf(ctx, in.ID)
	if err != nil {
		t.Fatal(err)
	}
	run := all[1]
	do := func(key, state, note string) (Playbook, error) {
		return h.MarkSteps(ctx, "stf_eve", in.ID, run.ID, map[string]StepForm{key: {State: state, Note: note}})
	}
	for what, c := range map[string][3]string{"skipped without a reason": {"halt", "skipped", " "}, "no such step": {"dance", "done", ""}, "failed": {"halt", "failed", ""}} {
		if _, err := do(c[0], c[1], c[2]); fault.Of(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := do("older", "done", "none are older"); err != nil { // the last one first: no step waits for another
		t.Error(err)
	}
	b, err := do("login", "skipped", "the login works")
	if err != nil || b.Done != 1 || b.Skipped != 1 || b.Next().Key != "halt" {
		t.Errorf("%+v %v", b, err)
	}
	for _, s := range b.Steps {
		if s.Key == "login" && (s.By != "stf_eve" || s.At == nil || !s.At.Equal(h.clock.Now()) || s.Note != "the login works") {
			t.Errorf("%+v", s)
		}
	}
	if b, err = do("older", "", ""); err != nil || b.Done != 0 {
		t.Errorf("taken back: %+v %v", b, err)
	}
	var told []string
	for _, what := range h.logged(in.ID) {
		if strings.HasPrefix(what, "step_") {
			told = append(told, what)
		}
	}
	if !slices.Equal(told, []string{"step_done", "step_skipped", "step_reopened"}) {
		t.Errorf("the log: %v", told)
	}
	if _, err := h.PublishChecklist(ctx, "stf_ann", Checklist{Name: "playbook:data_deletion", Title: "Shorter", Items: []Item{{Key: "halt", Text: "Stop", MayBeNA: true, Role: RoleEngineering}}}); err != nil {
		t.Fatal(err)
	}
	versions, _, err := h.Checklists(ctx, "playbook:data_deletion", "", 0)
	if err != nil || len(versions) != 2 || len(versions[1].Value.Items) != len(run.Steps) {
		t.Errorf("the old version is not readable: %v", err)
	}
	if b, err = do("halt", "done", ""); err != nil || len(b.Steps) != len(run.Steps) || b.Number != 1 {
		t.Errorf("%+v %v", b, err)
	}
	closed := Closed
	if _, err := h.Amend(ctx, "stf_ann", in.ID, 0, Amend{State: &closed, Reason: "over"}); err != nil {
		t.Fatal(err)
	}
	if _, err := do("hold", "done", ""); fault.Of(err) != fault.Conflict {
		t.Errorf("a step of a closed incident: %v", err)
	}
	owed, _, err := h.Tasks(ctx, TaskQuery{Incident: in.ID, State: Open})
	if err != nil || len(owed) != 1 || owed[0].Value.What != playbookReview || !strings.Contains(owed[0].Value.Title, "data_deletion version 1, 1 of 12 done, 1 skipped") {
		t.Errorf("%+v %v", owed, err)
	}
	if _, err := h.Done(ctx, "stf_ann", owed[0].ID, 0, ""); fault.Of(err) != fault.Invalid {
		t.Errorf("reviewed without a word: %v", err)
	}
}

// What comes with the program is sound, and so is what the policy names.
func TestPlaybooksThatComeWithTheProgram(t *testing.T) {
	for _, name := range shippedPlaybooks() {
		l, err := shippedPlaybook(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range l.Items {
			l.Items[i].Evidence = EvidenceNone
			if l.Items[i].Role == "" {
				t.Errorf("%s: nobody does %s", name, l.Items[i].Key)
			}
		}
		if f := l.bad(); len(f) > 0 || l.About == "" {
			t.Errorf("%s: %v", name, f)
		}
		inEveryLanguage(t, l)
	}
	inEveryLanguage(t, Checklist{Name: SiteCheckList, Items: defaultSiteCheck()})
	for category, names := range DefaultPolicy().Playbooks {
		for _, name := range names {
			if _, err := shippedPlaybook(PlaybookPrefix + name); err != nil {
				t.Errorf("%s: %v", category, err)
			}
		}
	}
}

// inEveryLanguage wants every text of a list in every language of the desk, in a script of its own and not the same in two.
func inEveryLanguage(t *testing.T, l Checklist) {
	t.Helper()
	for _, locale := range templates.StaffLocales()[1:] {
		type pair struct{ what, is, other string }
		all := []pair{{"title", l.Titles[locale], l.Title}, {"about", l.Abouts[locale], l.About}}
		for _, it := range l.Items {
			all = append(all, pair{it.Key, it.Texts[locale], it.Text})
		}
		for _, p := range all {
			script := unicode.Han
			if locale == "ja" {
				script = unicode.Hiragana
			}
			own := strings.ContainsFunc(p.is, func(r rune) bool { return unicode.In(r, script, unicode.Katakana) })
			if p.other != "" && (!own || strings.Count(p.is, "\n") != strings.Count(p.other, "\n")) {
				t.Errorf("%s, %s in %s: %q", l.Name, p.what, locale, p.is)
			}
		}
	}
}

// What a list says in other languages stays as long as the text is the same, goes with a text that changed or when it is taken away, and is as clean as the
// text. One that was kept before it was said in them goes on, and its next run is begun with the version that is.
func TestAListIsSaidInTheLanguagesOfTheDesk(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	name := PlaybookPrefix + "region_lost"
	old, err := shippedPlaybook(name)
	if err != nil {
		t.Fatal(err)
	}
	sentences := old.translations()
	old.Titles, old.Abouts, old.Number, old.By, old.Items = nil, nil, 1, byPolicy, slices.Clone(old.Items)
	for i := range old.Items {
		old.Items[i].Texts, old.Items[i].Evidence = nil, EvidenceNone
	}
	newest := func() (l Checklist) {
		t.Helper()
		if err := h.DB.Update(ctx, store.Act{By: "test", Verb: "test"}, func(tx *store.Tx) error {
			rec, err := h.NewestChecklist(tx, name)
			l = rec.Value
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return l
	}
	if err := h.DB.Update(ctx, store.Act{By: "test", Verb: "test"}, func(tx *store.Tx) error {
		return checklists.Put(tx, checklists.NewID(), old, 0)
	}); err != nil {
		t.Fatal(err)
	}
	if in := old.In("ja"); in.Title != old.Title || in.Items[0].Text != old.Items[0].Text {
		t.Errorf("a list without other languages in Japanese: %+v", in)
	}
	for range 2 {
		if l := newest(); l.Number != 2 || l.translations() != sentences || l.Items[0].Text != old.Items[0].Text {
			t.Errorf("version %d with %d texts", l.Number, l.translations())
		}
	}
	publish := func(title string, titles Said, items ...Item) (Checklist, error) {
		rec, err := h.PublishChecklist(ctx, "stf_ann", Checklist{Name: name, Title: title, Titles: titles, Items: items})
		return rec.Value, err
	}
	same, mended, added := newest().Items[0], newest().Items[1], Item{Key: "dance", Text: "Dance", Texts: Said{"ja": " 踊る "}}
	same.Texts, mended.Text, mended.Texts = Said{"ja": ""}, "Another text", nil
	l, err := publish(old.Title, nil, same, mended, added)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%d %d %d %q %d %v", len(l.Titles), len(l.Abouts), len(l.Items[0].Texts), l.Items[0].Texts["ja"], len(l.Items[1].Texts), l.Items[2].Texts); got != `2 0 1 "" 0 map[ja:踊る]` {
		t.Errorf("what stands of the other languages: %s", got)
	}
	if in := l.In("ja"); in.Items[0].Text != same.Text || in.Items[2].Text != "踊る" || l.Items[2].Text != "Dance" {
		t.Errorf("in Japanese: %+v", in.Items)
	}
	if l := newest(); l.Number != 3 { // what somebody has published stands as she wrote it
		t.Errorf("version %d", l.Number)
	}
	for field, texts := range map[string]Said{"titles.xx": {"xx": "text"}, "titles.ja": {"ja": "\u202eturned"}, "titles.zh-CN": {"zh-CN": strings.Repeat("长", 121)}} {
		if _, err := publish("Title", texts, added); !strings.Contains(fmt.Sprint(err), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := publish("Title", nil, Item{Key: "a", Text: "A", Texts: Said{"ja": "a\x00"}}); !strings.Contains(fmt.Sprint(err), "items[0].texts.ja") {
		t.Error(err)
	}
}
