package templates

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// All languages say the same things: every key stands in each of them and asks for the same arguments; the words of the desk stand in the languages of the
// desk and in no other.
func TestCatalogsAgree(t *testing.T) {
	en := loaded.catalogs["en"]
	for _, locale := range Locales()[1:] {
		c := loaded.catalogs[locale]
		desk := slices.Contains(StaffLocales(), locale)
		for _, key := range en.keys() {
			if want := desk || !ForStaff(key); c.Has(key) != want {
				t.Errorf("%s has %q: %v", locale, key, !want)
			} else if !want {
				continue
			} else if a, b := en.words[key].places(), c.words[key].places(); !slices.Equal(a, b) {
				t.Errorf("%s: %q uses the placeholders %v, en %v", locale, key, b, a)
			}
		}
		for _, key := range c.keys() {
			if !en.Has(key) {
				t.Errorf("%s has %q, en does not", locale, key)
			}
		}
	}
	for _, locale := range Locales() {
		if !en.Has("lang."+locale) || !en.Has("language."+locale) {
			t.Errorf("the language %s has no name", locale)
		}
	}
}

// What customers and strangers read asks for no word of the desk, which half of the languages lack; and a sentence that only the desk asks for is called
// one of its words, so that nobody translates it for readers who never see it.
func TestWordsOfTheDeskStayThere(t *testing.T) {
	var public, desk strings.Builder
	for _, s := range must(sources()) {
		room, base := filepath.Dir(s.path), filepath.Base(s.path)
		atDesk := strings.HasPrefix(base, "desk_") || slices.Contains([]string{"views.go", "deskpages.go", "editor.go", "ticketpages.go", "bookpages.go", "handoff.go"}, base)
		if atDesk {
			desk.WriteString(s.text)
		} else {
			public.WriteString(s.text)
		}
		shared := room == "../portal" && filepath.Ext(base) == ".go" || room == "../portal/desk" || strings.HasPrefix(room, "../cmd") // pages of both are served from one file
		for _, key := range s.keys {
			if ForStaff(key) && loaded.catalogs["en"].Has(key) && !atDesk && !shared {
				t.Errorf("%s asks for %q, a word of the desk", s.path, key)
			}
		}
		for _, begun := range s.begins {
			if ForStaff(begun) && !atDesk && !shared {
				t.Errorf("%s asks for words that begin with %q, which are the desk's", s.path, begun)
			}
		}
	}
	for _, key := range loaded.Keys() {
		if quoted := `"` + key + `"`; !ForStaff(key) && strings.Contains(desk.String(), quoted) && !strings.Contains(public.String(), quoted) {
			t.Errorf("only the desk asks for %q, which is not called one of its words", key)
		}
	}
}

// source is a file of a room, and what it asks for.
type source struct {
	path, text   string
	keys, begins []string // quoted words that look like keys, and beginnings of those that are put together
}

// sources are the files of all rooms but for their tests.
var sources = sync.OnceValues(func() (all []source, err error) {
	for _, room := range []string{"cmd", "comms", "contacts", "portal", "templates"} {
		err = cmp.Or(err, filepath.WalkDir(filepath.Join("..", room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || !slices.Contains([]string{".go", ".html", ".txt"}, filepath.Ext(path)) {
				return err
			}
			b, err := os.ReadFile(path)
			s, text := source{path: path}, strings.Builder{}
			for line := range strings.Lines(string(b)) {
				if !strings.Contains(line, `"`) { // asks for nothing
					continue
				}
				text.WriteString(line)
				for _, m := range keyLiteral.FindAllStringSubmatch(line, -1) {
					s.keys = append(s.keys, m[1])
				}
				for _, m := range builtPrefix.FindAllStringSubmatch(line, -1) {
					s.begins = append(s.begins, m[1]+m[2]+m[3])
				}
			}
			s.text = text.String()
			all = append(all, s)
			return err
		}))
	}
	return all, err
})

var (
	keyLiteral  = regexp.MustCompile(`"([a-z][a-z_]*(?:\.[A-Za-z0-9_-]+)+)"`)
	builtPrefix = regexp.MustCompile(`(?:print |word )"([a-z][a-z_.]*[._])"|"([a-z][a-z_]*\.(?:[a-z_.]*[._])?)" ?\+|, "([a-z_.]+\.)", `)
	asksFor     = regexp.MustCompile(`\b(?:t|said|T|Try|say|phrase)[ (]"([a-z][a-z_]*(?:\.[A-Za-z0-9_-]*[A-Za-z0-9])+)"[ ,)}]`)
	asksFields  = regexp.MustCompile(`\.Field "[^}]*`)
)

// No sentence is asked for that nobody wrote, and none is kept that nobody asks for: the sources of all rooms are read for the keys that they name,
// whole or by the beginning that a value is put behind.
func TestEverySentenceIsUsed(t *testing.T) {
	whole, begun, asked := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, s := range must(sources()) {
		for _, key := range s.keys {
			whole[key] = true
		}
		for _, begins := range s.begins {
			begun[begins] = true
		}
		for _, m := range asksFor.FindAllStringSubmatch(s.text, -1) {
			asked[m[1]] = s.path
		}
		for _, call := range asksFields.FindAllString(s.text, -1) {
			for _, m := range keyLiteral.FindAllStringSubmatch(call, -1) {
				asked[m[1]] = s.path
			}
		}
	}
	if len(asked) < 100 || len(begun) < 10 {
		t.Fatalf("found only %d keys and %d beginnings: the search is broken", len(asked), len(begun))
	}
	for key, path := range asked {
		if !loaded.catalogs["en"].Has(key) {
			t.Errorf("%s asks for %q, which no catalog has", path, key)
		}
	}
	for _, key := range loaded.Keys() {
		used := whole[key]
		for prefix := range begun {
			used = used || strings.HasPrefix(key, prefix)
		}
		if !used {
			t.Errorf("nobody asks for %q", key)
		}
	}
}

// A sentence is never shown with what it lacks, and a number chooses its form.
func TestSentences(t *testing.T) {
	en, ja := loaded.Catalog("en"), loaded.Catalog("ja")
	for _, c := range []struct {
		catalog Catalog
		key     string
		args    []any
		want    string
	}{
		{en, "count.sites", []any{0}, "0 sites"},
		{en, "count.sites", []any{1}, "1 site"},
		{en, "count.sites", []any{1234567}, "1,234,567 sites"},
		{en, "count.sites", nil, "⟦count.sites⟧"},
		{en, "count.sites", []any{"1"}, "⟦count.sites⟧"},
		{en, "count.sites", []any{10_000_001}, "10,000,001 sites"},
		{ja, "count.sites", []any{1}, "1サイト"},
		{loaded.Catalog("de"), "count.sites", []any{1234}, "1.234 Websites"},
		{loaded.Catalog("fr"), "count.sites", []any{0}, "0 site"},
		{loaded.Catalog("fr"), "count.sites", []any{2}, "2 sites"},
		{loaded.Catalog("fr"), "count.sites", []any{3_000_000}, "3\u00a0000\u00a0000 de sites"},
		{loaded.Catalog("es"), "count.sites", []any{1_000_000}, "1.000.000 de sitios"},
		{loaded.Catalog("pt-BR"), "count.sites", []any{1}, "1 site"},
		{loaded.Catalog("pt-BR"), "count.customers", []any{2_000_000}, "2.000.000 de clientes"},
		{loaded.Catalog("ko"), "count.sites", []any{1}, "사이트 1개"},
		{en, "update.number", nil, "⟦update.number⟧"},
		{en, "no.such.key", nil, "⟦no.such.key⟧"},
		{en, "recovery.at", []any{april(5, 9, 0)}, "We expect recovery at 2022-04-05 09:00 UTC."},
		{en, "data_loss.at_most", []any{90 * time.Minute}, "At most 1 hour 30 minutes of data may be lost. This is an upper bound."},
		{en, "update.number", []any{"{0} {1}"}, "Update {0} {1}"}, // an argument is never read again
	} {
		if got := c.catalog.T(c.key, c.args...); got != c.want {
			t.Errorf("%s %s%v = %q, want %q", c.catalog.Locale(), c.key, c.args, got, c.want)
		}
	}
}

// A bound must not shrink by being told.
func TestDurationsRoundUp(t *testing.T) {
	for _, c := range []struct {
		d          time.Duration
		en, zh, ja string
	}{
		{-time.Hour, "0 seconds", "0 秒", "0秒"},
		{0, "0 seconds", "0 秒", "0秒"},
		{time.Millisecond, "1 second", "1 秒", "1秒"},
		{59*time.Second + 1, "1 minute", "1 分钟", "1分"},
		{5 * time.Minute, "5 minutes", "5 分钟", "5分"},
		{59*time.Minute + 59*time.Second + 1, "1 hour", "1 小时", "1時間"},
		{90 * time.Minute, "1 hour 30 minutes", "1 小时 30 分钟", "1時間30分"},
		{23*time.Hour + 59*time.Minute + time.Second, "1 day", "1 天", "1日"},
		{25 * time.Hour, "1 day 1 hour", "1 天 1 小时", "1日1時間"},
		{400 * 24 * time.Hour, "400 days", "400 天", "400日"},
	} {
		for locale, want := range map[string]string{"en": c.en, "zh-CN": c.zh, "ja": c.ja} {
			if got := loaded.Catalog(locale).Duration(c.d); got != want {
				t.Errorf("%s: %v = %q, want %q", locale, c.d, got, want)
			}
		}
	}
}

// A time never stands without its zone.
func TestTimes(t *testing.T) {
	for _, c := range []struct {
		zone, en, ja string
		at           time.Time
	}{
		{"", "2022-04-05 20:30 UTC", "2022-04-05 20:30 UTC", april(5, 20, 30)},
		{"Nowhere/Else", "2022-04-05 20:30 UTC", "2022-04-05 20:30 UTC", april(5, 20, 30)},
		{"Asia/Tokyo", "2022-04-06 05:30 UTC+9 (2022-04-05 20:30 UTC)", "2022-04-06 05:30 UTC+9（2022-04-05 20:30 UTC）", april(5, 20, 30)},
		{"Asia/Kolkata", "2022-04-05 15:30 UTC+5:30 (10:00 UTC)", "2022-04-05 15:30 UTC+5:30（10:00 UTC）", april(5, 10, 0)},
		{"America/New_York", "2022-04-05 06:00 UTC-4 (10:00 UTC)", "2022-04-05 06:00 UTC-4（10:00 UTC）", april(5, 10, 0)},
		{"Europe/London", "2022-01-05 10:00 UTC", "2022-01-05 10:00 UTC", time.Date(2022, 1, 5, 10, 0, 0, 0, time.UTC)},
		{"Asia/Tokyo", "", "", time.Time{}},
	} {
		if got := loaded.Time("en", c.at, c.zone); got != c.en {
			t.Errorf("en %s: %q, want %q", c.zone, got, c.en)
		}
		if got := loaded.Time("ja", c.at, c.zone); got != c.ja {
			t.Errorf("ja %s: %q, want %q", c.zone, got, c.ja)
		}
	}
}

// Whoever asks gets the nearest language; nothing that a browser sends breaks it.
func TestMatch(t *testing.T) {
	for accept, want := range map[string]string{
		"en": "en", "ja": "ja", "zh-CN": "zh-CN", "zh": "zh-CN", "zh-Hans-SG": "zh-CN", "ja-JP,en;q=0.5": "ja", "fr": "fr", "": "en", "it": "en", "pt": "pt-BR", "pt-PT": "pt-BR", "es-MX": "es",
		"de-AT": "de", "ko-KR": "ko", "it-IT,ja;q=0.3": "ja", "*": "en", ";;;q=": "en", strings.Repeat("ja,", 5000): "ja", "\x00": "en",
	} {
		if got := loaded.Match(accept); got != want {
			t.Errorf("%.40q = %s, want %s", accept, got, want)
		}
	}
	for accept, want := range map[string]string{"de": "en", "ja": "ja", "ko-KR,zh;q=0.5": "zh-CN", "": "en"} {
		if got := loaded.MatchStaff(accept); got != want {
			t.Errorf("at the desk %q = %s, want %s", accept, got, want)
		}
	}
}
