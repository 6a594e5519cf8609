package comms

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store/fault"
	"lifeline/templates"
)

var noon = time.Date(2022, 4, 5, 12, 0, 0, 0, time.UTC)

var offered = rules{Now: noon, Locales: []string{"en", "zh-CN", "ja"}}

func fieldsOf(f []fault.Field) (names []string) {
	for _, x := range f {
		names = append(names, x.Field)
	}
	return names
}

// fromJSON reads a statement as a request brings it.
func fromJSON(body string, k rules) []fault.Field {
	s, unread := ParseStatement([]byte(body))
	return merge(unread, validate(s, k))
}

// without takes a field out of the JSON of a whole statement.
func without(t *testing.T, path string) string {
	t.Helper()
	var all map[string]any
	b, _ := json.Marshal(whole(noon))
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	in := all
	if parent, child, nested := strings.Cut(path, "."); nested {
		in, path = all[parent].(map[string]any), child
	}
	if _, there := in[path]; !there {
		t.Fatalf("a whole statement has no %s", path)
	}
	delete(in, path)
	b, _ = json.Marshal(all)
	return string(b)
}

func TestEachMissingFieldIsNamed(t *testing.T) {
	if b, _ := json.Marshal(whole(noon)); len(fromJSON(string(b), offered)) > 0 {
		t.Fatalf("a whole statement lacks %v", fromJSON(string(b), offered))
	}
	required := []string{
		"phase", "headline", "what_happened", "your_action", "scope.products", "scope.regions", "scope.text",
		"affected.who", "affected.sites", "affected.customers", "affected.status", "affected.confidence",
		"timeline.kind", "timeline.text", "timeline.confidence", "timeline.full_scope_by", "data_loss.kind", "data_loss.at_most", "data_loss.confidence",
		"known", "unknown", "next_update_by", "audience", "channels", "locales",
	}
	for _, path := range required {
		got := fieldsOf(fromJSON(without(t, path), offered))
		if path == "timeline.kind" || path == "data_loss.kind" { // what the kind would need cannot be said then
			got = got[:1]
		}
		if !slices.Equal(got, []string{path}) {
			t.Errorf("without %s: %v", path, got)
		}
	}
	for _, path := range []string{"doing", "timeline.earliest", "timeline.latest", "data_loss.at_least", "data_loss.text"} {
		if got := fromJSON(without(t, path), offered); len(got) > 0 {
			t.Errorf("without %s: %v", path, got)
		}
	}
	all := fieldsOf(fromJSON(`{}`, offered))
	for _, path := range required {
		if path != "timeline.text" && path != "data_loss.at_most" && !slices.Contains(all, path) {
			t.Errorf("an empty statement does not lack %s", path)
		}
	}
	for _, group := range []string{"scope", "affected", "timeline", "data_loss"} {
		if got := fromJSON(without(t, group), offered); len(got) < 2 {
			t.Errorf("without %s: %v", group, got)
		}
	}
}

func TestWhatDoesNotFitIsRefusedByName(t *testing.T) {
	in := func(d time.Duration) *time.Time { at := noon.Add(d); return &at }
	span := func(d time.Duration) *templates.Span { s := templates.Span(d); return &s }
	word := func(w string) templates.Moment { return templates.Moment{Word: w} }
	type S = templates.Statement
	for name, c := range map[string]struct {
		mend func(*S)
		want []string
	}{
		"phase":                       {func(s *S) { s.Phase = "postmortem" }, []string{"phase"}},
		"line break in the headline":  {func(s *S) { s.Headline = "a\nb" }, []string{"headline"}},
		"long headline":               {func(s *S) { s.Headline = strings.Repeat("字", 201) }, []string{"headline"}},
		"longest headline":            {func(s *S) { s.Headline = strings.Repeat("字", 200) }, nil},
		"carriage return":             {func(s *S) { s.WhatHappened = "a\r\nBcc: b" }, []string{"what_happened"}},
		"paragraphs":                  {func(s *S) { s.WhatHappened = "a\n\nb" }, nil},
		"turned direction":            {func(s *S) { s.YourAction = "pay \u202egro.live" }, []string{"your_action"}},
		"a letter that is not seen":   {func(s *S) { s.Headline = "pass\u3164word" }, []string{"headline"}},
		"a line end that is not seen": {func(s *S) { s.Technical = "\u0085 " }, []string{"technical"}},
		"zero width":                  {func(s *S) { s.Technical = "a\u200bb" }, []string{"technical"}},
		"emoji of several":            {func(s *S) { s.Technical = "\U0001F469\u200d\U0001F527" }, nil},
		"no UTF-8":                    {func(s *S) { s.Technical = "a\xffb" }, []string{"technical"}},
		"NUL in a list":               {func(s *S) { s.Known = []string{"fine", "a\x00"} }, []string{"known[1]"}},
		"empty entry":                 {func(s *S) { s.Doing = []string{" "} }, []string{"doing[0]"}},
		"spaces are no text":          {func(s *S) { s.Scope.Text = " \n" }, []string{"scope.text"}},
		"unknown confidence":          {func(s *S) { s.Affected.Confidence, s.DataLoss.Confidence = "sure", "" }, []string{"affected.confidence", "data_loss.confidence"}},
		"counts not known": {func(s *S) {
			s.Affected.Sites, s.Affected.Customers = templates.Count{State: templates.CountUnknown}, templates.Known(0)
		}, nil},
		"at needs a time":            {func(s *S) { s.Timeline.Kind = "at" }, []string{"timeline.earliest"}},
		"at has one time":            {func(s *S) { s.Timeline.Kind, s.Timeline.Earliest, s.Timeline.Latest = "at", in(1), in(2) }, []string{"timeline.latest"}},
		"range needs both":           {func(s *S) { s.Timeline.Kind, s.Timeline.Earliest = "range", in(1) }, []string{"timeline.latest"}},
		"range in order":             {func(s *S) { s.Timeline.Kind, s.Timeline.Earliest, s.Timeline.Latest = "range", in(2), in(1) }, []string{"timeline.latest"}},
		"range":                      {func(s *S) { s.Timeline.Kind, s.Timeline.Earliest, s.Timeline.Latest = "range", in(1), in(2) }, nil},
		"no date, and yet a date":    {func(s *S) { s.Timeline.Kind, s.Timeline.Earliest = "no_date_possible", in(1) }, []string{"timeline.earliest"}},
		"no date":                    {func(s *S) { s.Timeline.Kind, s.Timeline.Text = "no_date_possible", "" }, nil},
		"direction without text":     {func(s *S) { s.Timeline.Text = "" }, []string{"timeline.text"}},
		"a change that nobody named": {func(s *S) { s.Changed = map[string]string{"mood": "x"} }, []string{"changed"}},
		"a change in two lines":      {func(s *S) { s.Changed = map[string]string{"sites": "a\nb"} }, []string{"changed.sites"}},
		"a word of our own":          {func(s *S) { s.WasNot = []string{"intent", "aliens"} }, []string{"was_not[1]"}},
		"half a picture":             {func(s *S) { s.Picture.Contacts.Confidence = "high" }, []string{"picture.contacts.state"}},
		"whose sites":                {func(s *S) { s.Affected.OwnSites = "some" }, []string{"affected.own_sites"}},
		"full scope none":            {func(s *S) { s.Timeline.FullScopeBy = word("none") }, []string{"timeline.full_scope_by"}},
		"full scope passed":          {func(s *S) { s.Timeline.FullScopeBy = templates.Moment{At: noon} }, []string{"timeline.full_scope_by"}},
		"full scope known": {func(s *S) {
			s.Timeline.FullScopeBy.Word = ""
			s.Timeline.FullScopeBy.At, s.Affected.Status = noon, "final"
		}, nil},
		"loss direction":                    {func(s *S) { s.DataLoss = templates.DataLoss{Kind: "direction", Confidence: "low"} }, []string{"data_loss.text"}},
		"loss not known with bound":         {func(s *S) { s.DataLoss.Kind = notKnown }, []string{"data_loss.at_most"}},
		"loss at most nothing":              {func(s *S) { s.DataLoss.AtMost = span(0) }, []string{"data_loss.at_most"}},
		"loss at most, with least":          {func(s *S) { s.DataLoss.AtLeast = span(1) }, []string{"data_loss.at_least"}},
		"loss range":                        {func(s *S) { s.DataLoss.Kind, s.DataLoss.AtLeast = "range", span(time.Minute) }, nil},
		"loss range turned":                 {func(s *S) { s.DataLoss.Kind, s.DataLoss.AtLeast = "range", span(time.Hour) }, []string{"data_loss.at_most"}},
		"loss range needs both":             {func(s *S) { s.DataLoss.Kind = "range" }, []string{"data_loss.at_least"}},
		"none verified":                     {func(s *S) { s.DataLoss = templates.DataLoss{Kind: "none_verified", Confidence: "high"} }, []string{"data_loss.kind"}},
		"nothing known":                     {func(s *S) { s.Known = []string{} }, nil},
		"nothing unknown":                   {func(s *S) { s.Unknown = nil }, []string{"unknown"}},
		"nothing unknown, and said":         {func(s *S) { s.Unknown, s.UnknownNone = nil, true }, nil},
		"something unknown, and denied":     {func(s *S) { s.UnknownNone = true }, []string{"unknown_none"}},
		"no change without work":            {func(s *S) { s.NoChange = true }, []string{"doing"}},
		"next passed":                       {func(s *S) { s.NextUpdateBy.At = noon }, []string{"next_update_by"}},
		"next none":                         {func(s *S) { s.NextUpdateBy = word("none") }, []string{"next_update_by"}},
		"next not known":                    {func(s *S) { s.NextUpdateBy = word(notKnown) }, []string{"next_update_by"}},
		"next far":                          {func(s *S) { s.NextUpdateBy.At = noon.AddDate(2, 0, 0) }, []string{"next_update_by"}},
		"resolved, no next":                 {func(s *S) { s.Phase, s.NextUpdateBy, s.Timeline.FullScopeBy = Resolved, word("none"), word("none") }, nil},
		"resolved, next not known":          {func(s *S) { s.Phase, s.NextUpdateBy = Resolved, word(notKnown) }, []string{"next_update_by"}},
		"partners":                          {func(s *S) { s.Audience = "partners" }, []string{"channels"}},
		"slice":                             {func(s *S) { s.Audience, s.Channels = "slice:Wiki/eu", []string{"email"} }, nil},
		"slice without region":              {func(s *S) { s.Audience, s.Channels = "slice:Wiki", []string{"email"} }, []string{"audience"}},
		"nobody":                            {func(s *S) { s.Audience, s.Channels = "everyone", []string{"email"} }, []string{"audience"}},
		"an account without id":             {func(s *S) { s.Audience, s.Channels = "account:", []string{"email"} }, []string{"audience"}},
		"an account on the page":            {func(s *S) { s.Audience = "account:A-1" }, []string{"channels"}},
		"internal":                          {func(s *S) { s.Audience, s.Channels = "internal", []string{"sms"} }, nil},
		"unknown channel, and one twice":    {func(s *S) { s.Channels = []string{"fax", "sms", "sms"} }, []string{"channels[0]", "channels[2]"}},
		"every channel":                     {func(s *S) { s.Channels = []string{"email", "sms", "page", "ticket", "webhook"} }, nil},
		"a language that there is no word":  {func(s *S) { s.Locales = []string{"en", "de"} }, []string{"locales[1]"}},
		"no language":                       {func(s *S) { s.Locales = []string{} }, []string{"locales"}},
		"too many knowns":                   {func(s *S) { s.Known = slices.Repeat([]string{"x"}, 31) }, []string{"known"}},
		"resolved, and full scope is later": {func(s *S) { s.Phase, s.Timeline.FullScopeBy = Resolved, templates.Moment{At: noon.Add(-time.Hour)} }, nil},
	} {
		s := whole(noon)
		c.mend(&s)
		got := fieldsOf(validate(s, offered))
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
}

func TestWhatCannotBeReadIsNamedAllAtOnce(t *testing.T) {
	f := fromJSON(`{"phase":7,"headlin":"x","affected":{"sites":-1,"customers":"many","who":null,"extra":1},"timeline":"soon","data_loss":{"at_most":"5 minutes"},
		"known":"all","unknown_none":"yes","next_update_by":"tomorrow","locales":["en",7]}`, offered)
	var got []string
	for _, x := range f {
		if x.Code != codeMissing {
			got = append(got, x.Field)
		}
		if strings.Contains(x.Reason, "Go ") || strings.Contains(x.Reason, "json:") {
			t.Errorf("%s %s", x.Field, x.Reason)
		}
	}
	want := []string{"affected.customers", "affected.extra", "affected.sites", "data_loss.at_most", "headlin", "known", "locales", "next_update_by", "phase", "timeline", "unknown_none"}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	names := fieldsOf(f)
	for _, x := range want {
		if n := len(slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s != x })); n != 1 {
			t.Errorf("%s is named %d times", x, n)
		}
	}
	if slices.ContainsFunc(names, func(s string) bool { return strings.HasPrefix(s, "timeline.") }) {
		t.Errorf("a timeline that is no object is named once: %v", names)
	}
	for _, body := range []string{``, `[]`, `7`, `{`, `null`} {
		if got := fromJSON(body, offered); len(got) == 0 || body != "null" && got[0].Field != "" {
			t.Errorf("%q: %v", body, got)
		}
	}
}

func TestTheContractsExampleCanBeRead(t *testing.T) {
	_, unread := ParseStatement([]byte(`{"phase":"identified", "headline":"x", "what_happened":"x", "your_action":"nothing", "technical":"",
 "scope":{"products":[],"regions":[],"text":""},
 "affected":{"who":"definition of affected","sites":700,"customers":"not_known","status":"estimate","confidence":"low"},
 "timeline":{"kind":"direction","earliest":null,"latest":null,"text":"days, not hours","confidence":"low","full_scope_by":"2022-04-06T12:00:00Z"},
 "data_loss":{"kind":"at_most","at_least":null,"at_most":"PT5M","text":"","confidence":"medium"},
 "known":[], "unknown":[], "doing":[], "unknown_none":false,
 "next_update_by":"2022-04-05T11:00:00Z", "no_change":false,
 "audience":"affected", "channels":["email","sms","page","ticket","webhook"], "locales":["en","zh-CN","ja"]}`))
	if len(unread) > 0 {
		t.Error(unread)
	}
}

func FuzzStatement(f *testing.F) {
	b, _ := json.Marshal(whole(noon))
	f.Add(b)
	f.Add([]byte(`{"timeline":{"earliest":"2022-04-05T11:00:00+25:00"},"affected":{"sites":1e9},"known":[null]}`))
	if found, err := os.ReadFile("testdata/statement.json"); err == nil {
		f.Add(found)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, unread := ParseStatement(body)
		found := merge(unread, validate(s, offered))
		for _, x := range found {
			if x.Reason == "" {
				t.Errorf("%q has no reason", x.Field)
			}
			if _, hidden := hiddenIn(x.Field+x.Reason, false); hidden {
				t.Errorf("hidden characters come back: %q %q", x.Field, x.Reason)
			}
		}
		findings(s, situation{Rules: offered, Policy: DefaultPolicy(), Severity: "P0", Hosts: []string{"a.example"}, Past: past{same: []Update{{Statement: s}}}})
		if len(found) > 0 {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		back, unread := ParseStatement(again)
		if len(unread) > 0 || gist(back) != gist(s) {
			t.Errorf("what was accepted does not come back: %v", unread)
		}
	})
}
