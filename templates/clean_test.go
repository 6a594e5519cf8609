package templates

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a person gave becomes clean lines: nothing hidden in a word, nothing that turns the reading, while scripts and emoji keep their joiners.
func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"  two\t words\r\n": "two words", "a\x00\x1b[31mb": "a[31mb", "pass\u200bword\u00ad\u2060\ufeff": "password", "\u202eevil\u202c": "evil",
		"a\u00a0b\u3000c": "a b c", "می\u200cخواهم": "می\u200cخواهم", "👩\u200d👧": "👩\u200d👧", "❤\ufe0f": "❤\ufe0f", "\ue000x": "x", "a\u2028b": "a b", "\xffx": "\ufffdx", "": "",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("%q = %q, want %q", text, got, want)
		}
	}
	if got, want := lines("one\r\n\r\n two \u2029three\v\f"), []string{"one", "two", "three"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A sentence ends once, by the rules of its own script.
func TestEnded(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "days": "days.", "days.": "days.", "Really?": "Really?", "so…": "so…", "数日": "数日。", "数日。": "数日。", `He said "no."`: `He said "no."`, "（概数）": "（概数）。",
		"(see below)": "(see below).", "「はい。」": "「はい。」", "opened 😥": "opened 😥.", "開けません😥": "開けません😥。", "Done! 🎉": "Done! 🎉", "😥": "😥.", "❤\ufe0f": "❤\ufe0f.",
	} {
		if got := ended(text); got != want {
			t.Errorf("%q = %q, want %q", text, got, want)
		}
	}
}

// The text of a mail stays within its columns, breaks where its script allows, and keeps a date and its hour on one line.
func TestWrap(t *testing.T) {
	long := strings.Repeat("word ", 40) + "2022-04-05 19:00 UTC+9 (10:00 UTC) " + strings.Repeat("長い文章です。", 20) + "「括弧」"
	for _, text := range []string{long, "- " + long, strings.Repeat("x", 200) + " " + long} {
		got := wrap(text)
		for line := range strings.SplitSeq(got, "\n") {
			if cells(line) > columns && strings.Contains(strings.TrimSpace(line), " ") {
				t.Errorf("%d columns: %s", cells(line), line)
			}
			if strings.HasPrefix(line, "。") || strings.HasPrefix(line, "」") || strings.HasSuffix(line, "「") || strings.HasSuffix(line, " ") {
				t.Errorf("breaks at the wrong place: %q", line)
			}
			if strings.HasPrefix(text, "- ") && !strings.HasPrefix(line, "- ") && !strings.HasPrefix(line, "  ") {
				t.Errorf("an item's line is not indented: %q", line)
			}
		}
		if !strings.Contains(got, "2022-04-05 19:00 UTC+9") {
			t.Errorf("a date was torn from its hour:\n%s", got)
		}
		if a, b := strings.Join(strings.Fields(text), ""), strings.Join(strings.Fields(got), ""); a != b {
			t.Errorf("wrapping changed the words:\n%s\n%s", a, b)
		}
	}
}

// The values of a statement read what they write, and refuse the rest in words that say what is wanted.
func TestValues(t *testing.T) {
	type all struct {
		C Count  `json:"c"`
		M Moment `json:"m"`
		S *Span  `json:"s"`
	}
	for _, text := range []string{
		`{"c":null,"m":null,"s":null}`, `{"c":0,"m":"none","s":"PT5M"}`, `{"c":"not_known","m":"not_known","s":"P1DT2H3M4S"}`,
		`{"c":2147483647,"m":"2022-04-05T11:00:00Z","s":"PT0S"}`,
	} {
		var v all
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := json.Marshal(v); err != nil || string(got) != text {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		`{"c":-1}`: "whole number from 0", `{"c":1.5}`: "whole number", `{"c":"many"}`: "not_known", `{"c":2147483648}`: "2147483647",
		`{"m":"soon"}`: "RFC 3339", `{"m":5}`: "RFC 3339", `{"m":"2022-04-05"}`: "RFC 3339",
		`{"s":"5m"}`: "ISO 8601", `{"s":"P1M"}`: "ISO 8601", `{"s":"P"}`: "ISO 8601", `{"s":"P1DT"}`: "ISO 8601", `{"s":5}`: "ISO 8601", `{"s":"PT1.5S"}`: "ISO 8601", `{"s":"-PT5M"}`: "ISO 8601",
	} {
		if err := json.Unmarshal([]byte(text), &all{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if got := must(ParseSpan("P1W")); got != Span(7*24*time.Hour) || got.String() != "P7D" {
		t.Errorf("a week is %v", got)
	}
	if m := (Moment{}); !m.Absent() || (Moment{Word: "none"}).Absent() || (Moment{At: april(1, 0, 0)}).Absent() {
		t.Error("absent is not absent")
	}
}

// Times, links and words of another language are marked up; nothing else becomes a link.
func TestPhraseHTML(t *testing.T) {
	p := Phrase{{Text: "a<b "}, {Text: "10:00", At: april(5, 10, 0)}, {Text: "call", Link: "tel:+12025550100"}, {Text: "evil", Link: "javascript:alert(1)"}, {Text: "数日", Lang: `ja"x`}}
	want := `a&lt;b <time datetime="2022-04-05T10:00:00Z">10:00</time><a href="tel:+12025550100">call</a>evil<span lang="ja&#34;x">数日</span>`
	if got := string(p.HTML()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := sentences(Phrase{{Text: "Days."}}, nil, Phrase{{Text: "数日。"}}, Phrase{{Text: "No date."}}).String(); got != "Days. 数日。No date." {
		t.Errorf("%q", got)
	}
}
