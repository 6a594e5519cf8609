package page

import (
	"strings"
	"testing"
	"time"
)

func TestChooseCoding(t *testing.T) {
	all := func(coding) bool { return true }
	plainOnly := func(c coding) bool { return c == identityCoding }
	for _, c := range []struct {
		accept string
		has    func(coding) bool
		want   coding
	}{
		{"", all, identityCoding},
		{"gzip, deflate, br, zstd", all, brotliCoding},
		{"gzip", all, gzipCoding},
		{"GZIP;Q=0.5", all, gzipCoding},
		{"x-gzip", all, gzipCoding},
		{"br;q=0.1, gzip;q=0.9", all, gzipCoding},
		{"br;q=0, gzip;q=0", all, identityCoding},
		{"br;q=0, *", all, gzipCoding},
		{"*;q=0", all, identityCoding},
		{"*", all, brotliCoding},
		{"identity, gzip;q=0.5", all, identityCoding},
		{"identity;q=0.5, gzip;q=0.50", all, gzipCoding},
		{"identity;q=0, gzip;q=0.001", all, gzipCoding},
		{"br", plainOnly, identityCoding},
		{"brotli, gzi", all, identityCoding},
		{"gzip;q=2", all, identityCoding},
		{"gzip;q=abc, br;q=1.0", all, brotliCoding},
		{",,; ;q=,gzip ;q=0.8;x=1", all, gzipCoding},
	} {
		if got := chooseCoding([][]byte{[]byte(c.accept)}, c.has); got != c.want {
			t.Errorf("Accept-Encoding %q: got %s, want %s", c.accept, tokens[got], tokens[c.want])
		}
	}
	if got := chooseCoding([][]byte{[]byte("gzip;q=0.2"), []byte("br;q=0.1")}, all); got != gzipCoding {
		t.Errorf("two header lines: got %s", tokens[got])
	}
}

func TestNotModified(t *testing.T) {
	modified := time.Date(2022, 4, 5, 8, 37, 0, 0, time.UTC)
	tag := []byte(`"abc"`)
	for _, c := range []struct {
		name, match, since string
		want               bool
	}{
		{"nothing asked", "", "", false},
		{"same tag", `"abc"`, "", true},
		{"weak compare", `W/"abc"`, "", true},
		{"any", `*`, "", true},
		{"in a list", `"x", W/"y","abc"`, "", true},
		{"commas inside a tag", `"x,\"abc", "abc"`, "", false}, // a quote ends a tag: what follows is broken
		{"a tag with a comma", `"x,y", "abc"`, "", true},
		{"another tag", `"abcd"`, "", false},
		{"without quotes", `abc`, "", false},
		{"never closed", `"abc`, "", false},
		{"tag goes before date", `"other"`, "Tue, 05 Apr 2022 08:37:00 GMT", false},
		{"same second", "", "Tue, 05 Apr 2022 08:37:00 GMT", true},
		{"later", "", "Tue, 05 Apr 2022 08:38:00 GMT", true},
		{"earlier", "", "Tue, 05 Apr 2022 08:36:59 GMT", false},
		{"no date", "", "yesterday", false},
		{"a long date", "", strings.Repeat("x", 5000), false},
	} {
		var lines [][]byte
		if c.match != "" {
			lines = [][]byte{[]byte(c.match)}
		}
		if got := notModified(lines, []byte(c.since), tag, modified); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestLanguages(t *testing.T) {
	l := newLanguages([]string{"en", "zh-CN", "ja"})
	for header, want := range map[string]string{
		"":                               "en",
		"de":                             "en",
		"ja":                             "ja",
		"JA-jp,en;q=0.5":                 "ja",
		"zh":                             "zh-CN",
		"zh-Hans-SG":                     "zh-CN",
		"de-DE,de;q=0.9,ja;q=0.8":        "ja",
		"ja;q=0,zh-CN;q=0.1":             "zh-CN",
		"en-GB,ja;q=0.9":                 "en",
		";;;,,,=":                        "en",
		"fr," + strings.Repeat("x", 900): "en",
	} {
		for range 2 { // the second answer is remembered
			if got := l.locales[l.choose([]byte(header))]; got != want {
				t.Errorf("Accept-Language %.40q: got %s, want %s", header, got, want)
			}
		}
	}
}

func TestLanguagesRememberNoMoreThanTheirBound(t *testing.T) {
	l := newLanguages([]string{"en", "ja"})
	for i := range 4 * mostSeenLanguages {
		l.choose([]byte("ja;q=0." + strings.Repeat("1", i%3+1) + ",x-" + strings.Repeat("a", i%8+1) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26))))
	}
	if n := len(*l.seen.Load()); n > mostSeenLanguages {
		t.Errorf("remembers %d headers, want at most %d", n, mostSeenLanguages)
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add("gzip;q=0.5, br", `W/"a", "b"`, "Tue, 05 Apr 2022 08:37:00 GMT", "ja, en;q=0.1")
	f.Add("*;q=", `"`, "", ";;")
	l := newLanguages([]string{"en", "zh-CN", "ja"})
	f.Fuzz(func(t *testing.T, encoding, match, since, lang string) {
		c := chooseCoding([][]byte{[]byte(encoding)}, func(c coding) bool { return c != brotliCoding })
		if c == brotliCoding {
			t.Error("chose a coding that is not there")
		}
		notModified([][]byte{[]byte(match)}, []byte(since), []byte(`"abc"`), morning)
		if i := l.choose([]byte(lang)); i < 0 || i > 2 {
			t.Errorf("language %d", i)
		}
	})
}
