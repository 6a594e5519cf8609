package page

import (
	"encoding/json"
	"strings"
	"testing"
)

// Every official answer stands in one place, with what it said before and why that changed, in the reader's language where a person wrote it so; an
// incident's page has those about it, and the first page names them.
func TestOfficialAnswersAreShown(t *testing.T) {
	s, e := shownServer(t, sampleRecovery())
	get := serve(t, s)
	has := func(path string, wanted ...string) {
		t.Helper()
		body := string(get("GET", path).body)
		for _, want := range wanted {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not hold %q", path, want)
			}
		}
	}
	hasNot := func(path string, unwanted ...string) {
		t.Helper()
		body := string(get("GET", path).body)
		for _, no := range unwanted {
			if strings.Contains(body, no) {
				t.Errorf("%s holds %q", path, no)
			}
		}
	}
	has("/en/questions", `id="q-q00000000001"`, "<p>Only if your site is not named in our mail.</p>\n<p>We restore it in any case.</p>", "Some sites were missing from our list.", "<p>No, never.</p>",
		"Withdrawn: do not rely on this answer.", "We are looking into it again.", "&lt;b&gt;the truth&lt;/b&gt;", "General questions", `<a href="/en/incidents/`+sampleID+`">`)
	has("/ja/questions", "チケットは必要ですか。", "メールにお客様のサイトの記載がない場合だけです。", `<h3 lang="en">Will all of my data be back?</h3>`, "原文は英語です。", `<p lang="en"><strong>Do I have to file a ticket?</strong></p>`)
	hasNot("/ja/questions", "Only if your site")
	has("/en/incidents/"+sampleID, `id="q-q00000000001"`, `id="q-q00000000002"`, `<a href="/en/questions">`)
	hasNot("/en/incidents/"+sampleID, "q-q00000000003", "stf_")
	has("/en/", `<a href="/en/questions#q-q00000000001">Do I have to file a ticket?</a>`, `<a href="/en/questions">`)

	body := e.Body(answersPath, "")
	var list struct {
		Items []struct {
			ID, Incident, URL, State string
			Versions                 []struct{ Question, Answer, Reason string }
		}
	}
	if err := json.Unmarshal(body, &list); err != nil || len(list.Items) != 3 {
		t.Fatalf("%d items: %v", len(list.Items), err)
	}
	first, last := list.Items[0], list.Items[2]
	if first.State != "corrected" || first.Incident != sampleID || len(first.Versions) != 2 || first.Versions[1].Answer != "No, never." || list.Items[1].State != "withdrawn" ||
		last.State != "answered" || last.Incident != "" || last.URL != "https://status.example.com/questions#q-q00000000003" {
		t.Errorf("%+v", list.Items)
	}
	if strings.Contains(string(body), "stf_") {
		t.Error("who wrote an answer is public")
	}
}
