package templates

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// columns is the width of the text part of a mail; RFC 5322 section 2.1.1 wants at most 78.
const columns = 72

// wrap breaks long lines at words, and between ideographs, so that no line is wider than columns unless one word is. A list item's
// later lines stand under its text. No line begins with closing or ends with opening punctuation.
func wrap(text string) string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		out = append(out, wrapLine(line)...)
	}
	return strings.Join(out, "\n")
}

func wrapLine(line string) []string {
	indent := ""
	if strings.HasPrefix(line, "- ") {
		indent = "  "
	}
	var out []string
	now := ""
	line = clockTime.ReplaceAllStringFunc(line, func(s string) string { return strings.ReplaceAll(s, " ", "\u00a0") })
	for _, w := range unbreakable(line) {
		if strings.TrimSpace(now) != "" && cells(now)+cells(strings.TrimRight(w, " ")) > columns {
			out = append(out, strings.TrimRight(now, " "))
			now = indent
		}
		now += w
	}
	out = append(out, strings.TrimRight(now, " "))
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], "\u00a0", " ")
	}
	return out
}

// clockTime is a moment as package templates writes it: nobody should have to put a date and its hour together from two lines.
var clockTime = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d UTC\S*|\(\d\d:\d\d UTC\)`)

// unbreakable cuts a line into runs, each with the spaces behind it, between which it may be broken.
func unbreakable(line string) []string {
	var out []string
	start := 0
	var before rune
	for i, r := range line {
		if i > 0 && i > start && breakable(before, r) {
			out = append(out, line[start:i])
			start = i
		}
		before = r
	}
	if start < len(line) {
		out = append(out, line[start:])
	}
	if len(out) > 1 && out[0] == "- " {
		out[1] = "- " + out[1]
		out = out[1:]
	}
	return out
}

const (
	closing = "、。，．：；！？）」』】》〉”’…ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ%％)]"
	opening = "（「『【《〈“‘(["
)

func breakable(before, r rune) bool {
	switch {
	case r == ' ':
		return false
	case before == ' ':
		return true
	case strings.ContainsRune(closing, r) || strings.ContainsRune(opening, before) || glued(before, r, 0):
		return false
	}
	return dense(before) || dense(r)
}

func wide(r rune) bool {
	if r < 0x1100 {
		return false
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return true
	}
	return false
}

// dense says whether a character is of a script that is written without spaces and with wide marks. Korean is as wide, and has both spaces and narrow marks.
func dense(r rune) bool { return wide(r) && !unicode.Is(unicode.Hangul, r) }

// cells is how many columns a text takes on a terminal.
func cells(s string) int {
	n := utf8.RuneCountInString(s)
	for _, r := range s {
		if wide(r) {
			n++
		}
	}
	return n
}
