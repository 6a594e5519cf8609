package templates

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// How many parts a provider makes of a text, at every edge of both alphabets (3GPP TS 23.038).
func TestSegments(t *testing.T) {
	a := func(n int) string { return strings.Repeat("a", n) }
	for _, c := range []struct {
		name, text string
		n          int
		ucs2       bool
	}{
		{"nothing", "", 0, false},
		{"160 a", a(160), 1, false},
		{"161 a", a(161), 2, false},
		{"306 a", a(306), 2, false},
		{"307 a", a(307), 3, false},
		{"80 euro", strings.Repeat("€", 80), 1, false},
		{"81 euro", strings.Repeat("€", 81), 2, false},
		{"159 a and a euro", a(159) + "€", 2, false},
		{"a euro that may not straddle", a(152) + "€" + a(152), 3, false},
		{"70 e with circumflex", strings.Repeat("ê", 70), 1, true},
		{"71 e with circumflex", strings.Repeat("ê", 71), 2, true},
		{"35 emoji", strings.Repeat("😥", 35), 1, true},
		{"36 emoji", strings.Repeat("😥", 36), 2, true},
		{"an emoji that may not straddle", a(66) + "😥" + a(66), 3, true},
		{"every two-septet character", `^{}\[~]|€`, 1, false},
		{"line breaks are one septet", strings.Repeat("\n", 160), 1, false},
		{"a backquote is in no table", "`", 1, true},
		{"broken UTF-8", "\xff", 1, true},
	} {
		n, ucs2 := Segments(c.text)
		if n != c.n || ucs2 != c.ucs2 {
			t.Errorf("%s: %d segments, UCS-2 %v; want %d, %v", c.name, n, ucs2, c.n, c.ucs2)
		}
	}
}

// firstSegment is what a phone shows when only the first part has come.
func firstSegment(text string) string {
	n, ucs2 := Segments(text)
	room := 153
	switch {
	case n < 2:
		return text
	case ucs2:
		room = 67
	}
	used := 0
	for i, r := range text {
		if used += weight(string(r), ucs2); used > room {
			return text[:i]
		}
	}
	return text
}

// In every language and at every moment the first segment says who speaks, what changed, when the next word comes and where the rest is.
func TestFirstSegmentStandsAlone(t *testing.T) {
	for _, locale := range Locales() {
		for _, s := range scenarios() {
			r := must(loaded.Update(SMS, locale, s.update, s.vendor))
			if n, _ := Segments(r.Text); n > maxSegments || n != r.Segments {
				t.Errorf("%s %s: %d segments, said to be %d", s.name, locale, n, r.Segments)
			}
			c := loaded.Catalog(locale)
			change := string([]rune(cmp.Or(s.update.Statement.Headline, s.update.Incident.Title))[:12])
			if !sameLanguage(s.update.Statement.Locales[0], locale) {
				change = c.T("phase." + s.update.Statement.Phase)
				if t := s.update.Statement.Translations[locale]; t.YourAction != "" { // all of the first segment is in her language
					change = string([]rune(t.Headline)[:12])
				}
			}
			next := c.T("sms.next_none")
			if at := s.update.Statement.NextUpdateBy.At; !at.IsZero() {
				next = c.T("sms.next", c.short(at, s.vendor.Zone))
			}
			for _, want := range []string{s.vendor.Name, change, next, "status.acme.example"} {
				if gsm(r.Text) {
					want = plainly(want)
				}
				if got := firstSegment(r.Text); !strings.Contains(got, tight(want)) {
					t.Errorf("%s %s: the first segment lacks %q: %s", s.name, locale, want, got)
				}
			}
		}
	}
}

// One smart character must not halve the room: quotes, dashes, accents and pictures are written plainly when that makes the text GSM.
func TestSMSIsWrittenPlainly(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"“Sites” are ‘back’ – really…", `"Sites" are 'back' - really...`},
		{"Zoë’s fiancé ate crêpes", "Zoe's fiancé ate crepes"}, // é is in the alphabet
		{"Opened 😥.", "Opened."},
		{"😥 Opened", "Opened"},
		{"all 👩‍👩‍👧 back 🇯🇵", "all back"},
		{"Łódź", "Łodz"}, // a stroke is no mark that can be taken off
		{"復旧…", "復旧..."},
	} {
		if got := plainly(c.text); got != c.want {
			t.Errorf("%q = %q, want %q", c.text, got, c.want)
		}
	}
	for text, want := range map[string]string{"最多 5 分钟，使用 Wiki 的站点": "最多5分钟，使用Wiki的站点", "Wiki and 3 sites": "Wiki and 3 sites", "사이트 삭제": "사이트 삭제", "open. 操作": "open. 操作"} {
		if got := tight(text); got != want {
			t.Errorf("%q = %q, want %q", text, got, want)
		}
	}
	s := scenarios()[1]
	s.update.Statement.Headline = "“Wiki” – naïve crêpe 😥"
	r := must(loaded.Update(SMS, "en", s.update, s.vendor))
	if _, ucs2 := Segments(r.Text); ucs2 || !strings.Contains(r.Text, `"Wiki" - naive crepe. Next update`) {
		t.Errorf("UCS-2 %v: %s", ucs2, r.Text)
	}
}

// What is cut is cut between characters as a reader sees them, and says so.
func TestShorten(t *testing.T) {
	within := func(n int) func(string) bool {
		return func(s string) bool { return len(utf16.Encode([]rune(s))) <= n }
	}
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"short", 10, "short"},
		{"one two three four", 12, "one two…"},
		{"一二三四五六", 4, "一二三…"},
		{"😥😥😥", 4, "😥…"},
		{"👩‍👩‍👧👩‍👩‍👧", 10, "👩‍👩‍👧…"},
		{"e\u0301e\u0301e\u0301", 4, "e\u0301…"},
		{"🇯🇵🇩🇪🇫🇷", 9, "🇯🇵🇩🇪…"},
		{"abc", 0, ""},
		{"Word, word", 7, "Word…"},
		{"（復旧（", 3, "（復…"},
	} {
		if got := shorten(c.text, "…", within(c.n)); got != c.want || !utf8.ValidString(got) {
			t.Errorf("%q within %d = %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

// What to do stands in whole sentences or not at all, for half of one may say the opposite; and nobody is pointed to a page that does not say it.
func TestAnSMSNeverTurnsWhatToDoAround(t *testing.T) {
	s := scenarios()[1]
	for locale, action := range map[string]string{
		"de":    "Bitte Ihre Site unter ihrem alten Namen, auch versuchsweise oder zum Vergleich, bis zu unserer nächsten Meldung nicht neu anlegen",
		"ja":    "当社から次のお知らせを差し上げるまで、確認のためであっても、以前と同じ名前で新しいサイトを作成しないでください",
		"ko":    "다음 안내를 드릴 때까지 확인이나 비교를 위해서라도 예전과 같은 이름으로 새 사이트를 만들지 마세요",
		"en":    "Create a new site under the old name, whether to try it out or to compare it with a copy of yours, only once we have told you that yours is back",
		"fr":    "Créez un site sous l'ancien nom, que ce soit pour essayer ou pour comparer avec une copie du vôtre, seulement après notre prochain message",
		"es":    "Cree un sitio con el nombre anterior, ya sea para probarlo o para compararlo con una copia del suyo, solo después de nuestro próximo aviso",
		"pt-BR": "Crie um site com o nome anterior, seja para testar ou para comparar com uma cópia do seu, somente depois do nosso próximo aviso, por favor",
		"zh-CN": "用原来的名称重新创建站点，无论是为了测试、确认还是为了与您手中的备份副本进行比较，都请等到我们下一次通知之后再进行操作",
	} {
		c, words := loaded.Catalog(locale), []rune(action)
		short := strings.TrimSpace(string(words[len(words)-20:]))
		for _, want := range []struct {
			words    string
			channels []string
			says     string
		}{
			{short, []string{SMS, OnPage}, short},
			{ended(short) + " " + strings.ToUpper(string(words[:1])) + string(words[1:]), []string{SMS, OnPage}, c.T("sms.action") + short}, // the sentence for which there is room
			{action, []string{SMS, OnPage}, c.T("sms.action_see")},
			{action, []string{SMS}, c.T("sms.action_ask")}, // what went to a part of the readers is on no page
		} {
			u := s.update
			u.Statement.Channels = want.channels
			u.Statement.Translations = map[string]Translation{locale: {Headline: string(words[:12]), YourAction: want.words}}
			if locale == "en" {
				u.Statement.Headline, u.Statement.YourAction = string(words[:12]), want.words
			}
			text := must(loaded.Update(SMS, locale, u, s.vendor)).Text
			if !strings.Contains(text, want.says) && !strings.Contains(text, plainly(want.says)) {
				t.Errorf("%s by %v lacks %q: %s", locale, want.channels, want.says, text)
			}
			post := must(loaded.Update(Social, locale, u, s.vendor)).Text
			if _, told, found := strings.Cut(post, c.T("sms.action")); found && !strings.HasPrefix(told, short) && !strings.HasPrefix(told, ended(action)) {
				t.Errorf("a post in %s tells a part of what to do: %s", locale, post)
			}
		}
	}
}

// A text is cut between sentences, and nowhere that only looks like it.
func TestPartly(t *testing.T) {
	for text, want := range map[string][]string{
		"Keep the old site. Tell your users! Then wait.": {"Keep the old site. Tell your users!...", "Keep the old site..."},
		"Wait until 5 p.m. Monday.":                      nil,
		"Do not open e.g. Wiki.":                         nil,
		"Nehmen Sie Nr. 5 oder z. B. Wiki nicht.":        nil,
		"Use version 2. 5 is too new.":                   nil,
		"Call support.acme.example now.":                 nil,
		"No cree sitios. ¿Tiene dudas? Escríbanos.":      {"No cree sitios. ¿Tiene dudas?...", "No cree sitios..."},
		"お待ちください。新しいサイトは作成しないでください。":                     {"お待ちください..."},
		"「まだです。」とあればお待ちください。":                            nil,
		"기다려 주세요. 새 사이트는 만들지 마세요.":                       {"기다려 주세요..."},
		"broken \xff. End":                               nil,
		"":                                               nil,
	} {
		if got := partly(text, "..."); got[0] != text || !slices.Equal(got[1:], want) {
			t.Errorf("%q: %q, want %q", text, got[1:], want)
		}
	}
}
