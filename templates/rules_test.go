package templates

import (
	"fmt"
	"html"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var tags = regexp.MustCompile(`<[^>]*>`)

// channelTexts is what each channel says, as a reader sees it.
func channelTexts(t *testing.T, locale string, s scenario) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, channel := range []string{Email, SMS, OnPage, Tickets} {
		r, err := loaded.Update(channel, locale, s.update, s.vendor)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if r.Text != "" {
			out[channel] = strings.Join(strings.Fields(r.Text), " ")
		}
		if r.HTML != "" {
			out[channel+" HTML"] = strings.Join(strings.Fields(strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&#43;", "+", "&amp;", "&").Replace(tags.ReplaceAllString(style.ReplaceAllString(r.HTML, ""), " "))), " ")
		}
	}
	return out
}

func named(name string) scenario {
	for _, s := range scenarios() {
		if s.name == name {
			return s
		}
	}
	panic("no scenario " + name)
}

// Every channel carries every fact: what happened, who is affected, when it ends, what is restored of how much and as of when, what is lost, how sure we are
// of each, when the next word comes, and how to reach us. Only the definition of affected may lack in an SMS, for room.
func TestEveryChannelCarriesEveryFact(t *testing.T) {
	for _, c := range []struct {
		scenario string
		words    []string // in the channels that have room
		sms      []string
	}{
		{"02_identified",
			[]string{"A maintenance script deleted customer sites", "Please do not create a new site", "About 700 sites and about 400 customers", "This is an estimate. Confidence: medium",
				"sites that the script deleted", "days, not hours. This is a direction, not a date. Confidence: low.", "very little, if any. This is a direction, not a measurement. Confidence: low.",
				"full extent by 2022-04-06 21:00 UTC+9", "2022-04-05 23:00 UTC+9 (14:00 UTC)", "we have no list of affected sites", "+12025550100", "https://status.acme.example/support",
				"No backup was lost", "An attack has been ruled out", "the English version prevails"},
			[]string{"A maintenance script deleted customer sites", "Action: Please do not create a new site", "about 700 sites, about 400 customers (confidence medium)",
				"days, not hours; no date yet (confidence low)", "very little, if any; not measured yet (confidence low)", "Restored: not known yet", "5 Apr 23:00 UTC+9", "Help: +12025550100"}},
		{"03_range",
			[]string{"About 883 sites. We do not know yet how many customers.", "between 2022-04-18 09:00 UTC+9 (00:00 UTC) and 2022-04-26 09:00 UTC+9 (00:00 UTC). Confidence: medium.",
				"At most 5 minutes of data may be lost. This is an upper bound. Confidence: medium.", "112 of 883 sites (12.7%), 64 of 775 customers (8.3%), as of 2022-04-14 09:00 UTC+9 (00:00 UTC)",
				"5 of the restored sites count as restored because their customers have not answered."},
			[]string{"about 883 sites, customer count not known yet (confidence high)", "18 Apr 09:00 to 26 Apr 09:00 UTC+9 (confidence medium)", "at most 5 minutes (confidence medium)",
				"112 of 883 sites (12.7%), 64 of 775 customers (8.3%), as of 14 Apr 09:00 UTC+9", "Help: +12025550100"}},
		{"04_no_date_no_change",
			[]string{"No change since the last update.", "We cannot name a date now and will not guess one.", "We do not know yet how many, or whether data is lost. Next word at 2022-04-16 01:00 UTC+9"},
			[]string{"No change since the last update.", "no date possible now", "We do not know yet how many, or whether data is lost."}},
		{"05_monitoring",
			[]string{"We expect recovery at 2022-04-18 12:00 UTC. Confidence: high.", "Between 1 minute and 1 hour 30 minutes of data may be lost.", "882 of 883 sites (99.9%)", "This count is final."},
			[]string{"expected 18 Apr 12:00 UTC (confidence high)", "1 minute to 1 hour 30 minutes (confidence high)", "882 of 883 sites (99.9%)", "Help: https://status.acme.example/support"}},
		{"06_correction",
			[]string{"update 5 was wrong", "Please disregard update 5."},
			[]string{"CORRECTION of update 5", "Please disregard update 5."}},
		{"08_resolved",
			[]string{"Recovered at 2022-04-18 21:00 UTC+9", "No data is lost. An integrity check has confirmed it. Confidence: high.", "883 of 883 sites (100.0%)", "No further update is planned.", "We have no open questions."},
			[]string{"done at 18 Apr 21:00 UTC+9 (confidence high)", "none, verified (confidence high)", "883 of 883 sites (100.0%)", "No further update."}},
	} {
		for channel, text := range channelTexts(t, "en", named(c.scenario)) {
			words := c.words
			if channel == SMS {
				words = c.sms
			}
			for _, want := range words {
				if channel == OnPage+" HTML" {
					want = strings.ReplaceAll(want, " .", ".")
				}
				if !strings.Contains(strings.ReplaceAll(text, " .", "."), want) {
					t.Errorf("%s, %s lacks %q:\n%s", c.scenario, channel, want, text)
				}
			}
		}
	}
}

// What nobody knows yet is one plain sentence, not a list of empty fields.
func TestWhatIsNotKnownIsOneSentence(t *testing.T) {
	for locale, want := range map[string]string{
		"en":    "We do not know yet how many, how long, or whether data is lost. Next word at 2022-04-05 19:00 UTC+9 (10:00 UTC).",
		"zh-CN": "我们还不知道有多少站点和客户受影响、恢复需要多长时间，以及是否有数据丢失。下次通报不晚于 2022-04-05 19:00 UTC+9（10:00 UTC）。",
		"ja":    "影響を受けた件数、復旧までの時間、データが失われたかどうかは、いずれもまだわかっていません。次回は2022-04-05 19:00 UTC+9（10:00 UTC）までにお知らせします。",
	} {
		r := must(loaded.Update(Tickets, locale, named("01_first_notice").update, acme))
		if !strings.Contains(r.Text, want) {
			t.Errorf("%s lacks %q:\n%s", locale, want, r.Text)
		}
		for _, key := range []string{"affected.not_known", "recovery.not_known", "data_loss.not_known"} {
			if strings.Contains(r.Text, loaded.Catalog(locale).T(key)) {
				t.Errorf("%s says %s again:\n%s", locale, key, r.Text)
			}
		}
	}
}

// The action, or in an SMS that has no room for it where it stands, follows the headline at once, in every channel and language; a correction has one though nobody wrote it.
func TestActionFollowsHeadline(t *testing.T) {
	for _, s := range scenarios() {
		locale := "en"
		if s.update.Statement.Locales[0] == "ja" {
			locale = "ja"
		}
		headline := s.update.Statement.Headline
		if headline == "" {
			headline = s.update.Incident.Title
		}
		c := loaded.Catalog(locale)
		for channel, text := range channelTexts(t, locale, s) {
			_, behind, found := strings.Cut(text, string([]rune(headline)[:12]))
			if !found {
				t.Errorf("%s, %s lacks the headline: %s", s.name, channel, text)
				continue
			}
			action := strings.SplitN(strings.Join(strings.Fields(s.update.Statement.YourAction), " ")+"                ", "\n", 2)[0][:16]
			switch {
			case nothing(s.update.Statement.YourAction):
				action = c.T("update.action_nothing")
			case s.update.Corrects > 0:
				action = c.T("update.action_correction", s.update.Corrects)
			case locale == "ja":
				action = "同じ名前で"
			}
			if see := c.T("sms.action_see"); channel == SMS && strings.Contains(text, see) { // there is no room for a whole sentence of it
				action = see
			}
			at := strings.Index(behind, strings.TrimSpace(action))
			fact := strings.Index(behind, c.T("update.what_happened"))
			if at < 0 || fact >= 0 && fact < at {
				t.Errorf("%s, %s: the action %q does not follow the headline:\n%s", s.name, channel, action, text)
			}
		}
	}
}

var dates = regexp.MustCompile(`\d{4}-\d\d-\d\d|\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b|\d{1,2}月\d{1,2}日`)

// No message prints a date that nobody gave.
func TestNoInventedDates(t *testing.T) {
	for _, s := range scenarios() {
		given := map[string]bool{}
		st := s.update.Statement
		moments := []time.Time{s.update.At, st.NextUpdateBy.At, st.Timeline.FullScopeBy.At}
		for _, m := range []*time.Time{st.Timeline.Earliest, st.Timeline.Latest} {
			if m != nil {
				moments = append(moments, *m)
			}
		}
		if b := s.update.Before; b != nil {
			moments = append(moments, *b.Timeline.Earliest)
		}
		if s.update.Restored != nil {
			moments = append(moments, s.update.Restored.AsOf)
		}
		for _, m := range moments {
			for _, zone := range []*time.Location{time.UTC, must(time.LoadLocation("Asia/Tokyo"))} {
				for _, layout := range []string{time.DateOnly, "2 Jan", "1月2日"} {
					given[m.In(zone).Format(layout)] = true
				}
			}
		}
		for _, locale := range Locales() {
			for channel, text := range channelTexts(t, locale, s) {
				for _, date := range dates.FindAllString(text, -1) {
					if !given[date] {
						t.Errorf("%s, %s in %s prints %s", s.name, channel, locale, date)
					}
				}
			}
		}
	}
	empty := channelTexts(t, "en", scenario{"an update that says nothing", Vendor{Name: "Acme"}, Update{Incident: Incident{Title: "Outage"}}})
	for channel, text := range empty {
		if found := dates.FindString(text); found != "" {
			t.Errorf("%s of an empty update prints %s", channel, found)
		}
	}
}

// A day that is over is not promised, and what lies ahead is not reported as done.
func TestTimeOfSpeaking(t *testing.T) {
	say := func(change func(*Update)) string {
		u := named("09_resolved_more_to_come").update
		change(&u)
		return must(loaded.Update(Tickets, "en", u, acme)).Text
	}
	for _, c := range []struct {
		name   string
		change func(*Update)
		has    string
		not    string
	}{
		{"final", func(u *Update) {}, "The full extent is known.", "We expect to know"},
		{"over, and not final", func(u *Update) { u.Statement.Affected.Status = "estimate" }, "The last site is back", "Full extent"},
		{"a draft", func(u *Update) { u.At = time.Time{} }, "We expect to know the full extent by", "is known"},
		{"resolved before it is over", func(u *Update) { u.At = april(18, 10, 0) }, "We expect recovery at", "Recovered at"},
	} {
		text := say(c.change)
		if !strings.Contains(text, c.has) || strings.Contains(text, c.not) {
			t.Errorf("%s: wants %q and not %q:\n%s", c.name, c.has, c.not, text)
		}
	}
}

// Several languages: each message names the version that prevails, in its own words.
func TestPrevailingVersionIsNamed(t *testing.T) {
	for locale, want := range map[string]string{"en": "English version prevails", "zh-CN": "以英文版", "ja": "英語版が優先"} {
		for channel, text := range channelTexts(t, locale, named("06_correction")) {
			if channel == SMS && locale == "ja" {
				continue // room for more needed facts only
			}
			if !strings.Contains(text, want) {
				t.Errorf("%s in %s lacks %q: %s", channel, locale, want, text)
			}
		}
	}
	for channel, text := range channelTexts(t, "en", named("11_drill_and_long_words")) {
		if strings.Contains(text, "prevails") {
			t.Errorf("%s speaks of versions though there is one: %s", channel, text)
		}
	}
}

// Who gets a mail learns why, and nobody is called what she is not.
func TestWhy(t *testing.T) {
	for audience, want := range map[string]string{
		"public": "or subscribed", "affected": "contact of an affected customer.", "cohort:57": "contact of an affected customer.", "account:acc_1": "contact of an affected customer.",
		"slice:Wiki/EU": "contact of an affected customer.", "internal": "on the list", "partners": "on the list", "media": "on the list", "list:press": "on the list",
	} {
		u := named("02_identified").update
		u.Statement.Audience = audience
		text := strings.Join(strings.Fields(must(loaded.Update(Email, "en", u, acme)).Text), " ")
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %q: %s", audience, want, text[len(text)-200:])
		}
	}
}

var ugly = regexp.MustCompile(`⟦|\{\{|\{\d|  |[。、，：；（「] | [。、，：；）」.,;]|[^.]\.\.[^.]|[。，、]{2}|[.!?][。]|\(\)|（）|: *$|%!`)

// Nothing looks like a machine's: no hole, no double space, no two stops, no mark of another script's typography.
func TestTypography(t *testing.T) {
	for _, locale := range Locales() {
		for _, s := range scenarios() {
			for _, channel := range []string{Email, SMS, Tickets} {
				for i, line := range strings.Split(must(loaded.Update(channel, locale, s.update, s.vendor)).Text, "\n") {
					line = strings.TrimPrefix(strings.TrimLeft(line, " "), "- ")
					if strings.HasSuffix(line, ":") {
						line = strings.TrimSuffix(line, ":") // a heading
					}
					if m := ugly.FindString(line); m != "" {
						t.Errorf("%s, %s in %s, line %d has %q: %s", s.name, channel, locale, i+1, m, line)
					}
				}
			}
		}
	}
}

// A value that the words have no sentence for is an error that names the field, never a hole in a message.
func TestUnknownValuesAreRefused(t *testing.T) {
	for field, change := range map[string]func(*Update){
		"phase":                func(u *Update) { u.Statement.Phase = "exploding" },
		"affected.status":      func(u *Update) { u.Statement.Affected.Status = "guess" },
		"affected.confidence":  func(u *Update) { u.Statement.Affected.Confidence = "some" },
		"timeline.kind":        func(u *Update) { u.Statement.Timeline.Kind = "soon" },
		"timeline.confidence":  func(u *Update) { u.Statement.Timeline.Confidence = "some" },
		"data_loss.kind":       func(u *Update) { u.Statement.DataLoss.Kind = "none" },
		"data_loss.confidence": func(u *Update) { u.Statement.DataLoss.Confidence = "some" },
		"security_cause":       func(u *Update) { u.Security = "perhaps" },
	} {
		u := named("02_identified").update
		change(&u)
		for _, channel := range []string{Email, SMS, OnPage, Tickets} {
			if _, err := loaded.Update(channel, "en", u, acme); err == nil || !strings.Contains(err.Error(), field+":") {
				t.Errorf("%s, %s: %v", field, channel, err)
			}
		}
	}
	if _, err := loaded.Update("pigeon", "en", named("02_identified").update, acme); err == nil {
		t.Error("a channel that does not exist has words")
	}
	if _, err := loaded.Message(Email, "greeting", "en", nil, acme); err == nil || !strings.Contains(err.Error(), "there are account, code, confirm") {
		t.Error(err)
	}
	if _, err := loaded.Message(Email, MsgTicketAck, "en", []byte(`{"number":"1","url":"x","name":"Eve"}`), acme); err == nil {
		t.Error("data with a field that the message has no room for was taken")
	}
	if _, err := loaded.Message(Email, MsgTicketAck, "en", Declared{}, acme); err == nil || !strings.Contains(err.Error(), "TicketAck") {
		t.Error(err)
	}
	for _, data := range []any{TicketAck{Number: "1"}, &TicketAck{Number: "1"}, []byte(`{"number":"1"}`)} {
		if _, err := loaded.Message(SMS, MsgTicketAck, "en", data, acme); err != nil {
			t.Errorf("%T: %v", data, fmt.Sprint(err))
		}
	}
}

// How many users there are is a number, a range or not known, and reads back as it was written.
func TestAmounts(t *testing.T) {
	for text, want := range map[string]Amount{
		`1000`: Between(1000, 1000), `"1000-5000"`: Between(1000, 5000), `" 7 to 9 "`: Between(7, 9), `"7 to 9"`: Between(7, 9), `"not_known"`: {State: CountUnknown}, `null`: {},
	} {
		var got Amount
		err := got.UnmarshalJSON([]byte(text))
		if err != nil || got != want {
			t.Errorf("%s: %+v %v", text, got, err)
			continue
		}
		var back Amount
		if b := must(got.MarshalJSON()); back.UnmarshalJSON(b) != nil || back != got {
			t.Errorf("%s: %s reads as %+v", text, b, back)
		}
	}
	for _, text := range []string{`"5000-1000"`, `"many"`, `-1`, `1.5`, `"5-5"`, `{}`} {
		if new(Amount).UnmarshalJSON([]byte(text)) == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

// What a reader gets first is short and plain: at most 60 words that say what, what to do and when more comes; and no sentence of our own is longer than
// 20 words or harder than what eight years of school prepare for.
func TestEnglishIsPlain(t *testing.T) {
	for _, s := range scenarios() {
		if s.name == "11_drill_and_long_words" || s.update.Statement.Locales[0] != "en" {
			continue
		}
		w := writer{Catalog: loaded.catalogs["en"], u: s.update, v: s.vendor, st: s.update.Statement, prose: "en"}
		sheet := must(w.sheet())
		summary := sheet.Headline.String() + " " + sheet.Next.String()
		for _, a := range sheet.Action {
			summary += " " + a.String()
		}
		if n := len(strings.Fields(summary)); n > 60 {
			t.Errorf("%s begins with %d words: %s", s.name, n, summary)
		}
	}
	words, sentences, syllables := 0, 0, 0
	groups := strings.Fields("affected apology assured data_loss fold full_scope mark pass_on picture recovery restored security update was_not")
	for _, key := range loaded.Keys() {
		if group, _, _ := strings.Cut(key, "."); !slices.Contains(groups, group) {
			continue
		}
		e := loaded.catalogs["en"].words[key]
		for _, f := range append([]form{e.form}, slices.Collect(maps.Values(e.forms))...) {
			text := ""
			for _, p := range f {
				text += p.text
				if p.arg >= 0 {
					text += "x"
				}
			}
			for _, sentence := range regexp.MustCompile(`[.:?!](?:\s|$)`).Split(text, -1) {
				all := strings.Fields(sentence)
				if len(all) > 20 {
					t.Errorf("%s has a sentence of %d words: %s", key, len(all), sentence)
				}
				if len(all) < 3 { // a label
					continue
				}
				sentences++
				words += len(all)
				for _, word := range all {
					syllables += max(1, len(regexp.MustCompile(`(?i)[aeiouy]+`).FindAllString(strings.TrimSuffix(strings.TrimRight(word, ".,;"), "e"), -1)))
				}
			}
		}
	}
	grade := 0.39*float64(words)/float64(sentences) + 11.8*float64(syllables)/float64(words) - 15.59 // Flesch and Kincaid, 1975
	if sentences < 40 || grade > 8 {
		t.Errorf("grade %.1f over %d sentences", grade, sentences)
	}
	t.Logf("grade %.1f over %d sentences", grade, sentences)
}

var written = regexp.MustCompile(`\d(?:[\d.,\x{a0}\x{202f}:-]*\d)?`)

// A fact is the same in every language: read back from the page without the marks that each language puts into its numbers, all of them give the same
// numbers and the same moments. Many goroutines write at once, and no language gets into another's text.
func TestEveryLanguageGivesTheSameNumbers(t *testing.T) {
	read := func(locale string, s scenario) (numbers []string) {
		page := html.UnescapeString(tags.ReplaceAllString(must(loaded.Update(OnPage, locale, s.update, s.vendor)).HTML, " "))
		for _, n := range written.FindAllString(page, -1) {
			numbers = append(numbers, strings.Map(func(r rune) rune {
				if r < '0' || r > '9' {
					return -1
				}
				return r
			}, n))
		}
		slices.Sort(numbers)
		return slices.Compact(numbers)
	}
	var all sync.WaitGroup
	for _, s := range scenarios() {
		want := read("en", s)
		for _, locale := range Locales()[1:] {
			all.Go(func() {
				if got := read(locale, s); !slices.Equal(got, want) {
					t.Errorf("%s in %s says %q, in English %q", s.name, locale, got, want)
				}
			})
		}
	}
	all.Wait()
}

// Newspapers get the same facts as a statement to them, without what only customers are told, and with the code that proves it.
func TestThePressGetsAStatement(t *testing.T) {
	u := named("02_identified").update
	u.Statement.Audience = "media"
	for locale, want := range map[string]string{"en": "Statement to the press by Acme", "ja": "報道関係者向け声明"} {
		words := loaded.Catalog(locale)
		r := must(loaded.Update(Email, locale, u, acme))
		for part, text := range map[string]string{"text": r.Text, "HTML": r.HTML} {
			for _, has := range []string{want, acme.URL + "/verify", words.T("update.data_loss")} {
				if !strings.Contains(text, has) {
					t.Errorf("the %s in %s lacks %q:\n%s", part, locale, has, text)
				}
			}
			for _, not := range []string{words.T("update.pass_on"), words.T("update.technical"), words.T("update.action")} {
				if strings.Contains(text, not) {
					t.Errorf("the %s in %s tells the press %q:\n%s", part, locale, not, text)
				}
			}
		}
	}
}

// A letter greets, tells, and closes with who signs it; what is handed on and the technical part stand behind that, apart. A message that nobody signs is no letter.
func TestALetterReadsAsOne(t *testing.T) {
	s := named("12_figures_changed")
	for _, locale := range Locales() {
		c := loaded.Catalog(locale)
		for channel, text := range channelTexts(t, locale, s) {
			if channel == SMS {
				continue
			}
			rest := text
			for _, next := range []string{c.T("letter.customers"), c.T("update.what_happened"), c.T("update.doing"), c.T("letter.closing"), s.update.Statement.SignedBy, c.T("update.pass_on"), c.T("update.technical"), c.T("update.support")} {
				_, behind, found := strings.Cut(rest, next)
				if !found {
					t.Errorf("%s in %s lacks %q in its place:\n%s", channel, locale, next, text)
				}
				rest = behind
			}
		}
		u := s.update
		u.Statement.Audience = "partners"
		if r := must(loaded.Update(Email, locale, u, acme)); !strings.Contains(r.Text, c.T("letter.others")) || strings.Contains(r.Text, c.T("letter.customers")) {
			t.Errorf("partners are greeted otherwise in %s:\n%s", locale, r.Text)
		}
		u.Statement.Audience, u.Statement.SignedBy = "affected", ""
		if r := must(loaded.Update(Email, locale, u, acme)); strings.Contains(r.Text+r.HTML, c.T("letter.customers")) || strings.Contains(r.Text+r.HTML, c.T("letter.closing")+"\n") || strings.Contains(r.Text, "* * *") {
			t.Errorf("without a signature it is a letter in %s:\n%s", locale, r.Text)
		}
	}
}
