package templates

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// oneLine makes one clean line of whatever a person or a product gave: no control or direction characters, white space folded.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.Map(harmless, strings.ToValidUTF8(s, "\uFFFD"))), " ")
}

// lines keeps the line breaks of prose and drops empty lines.
func lines(s string) []string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n", "\u0085", "\n", "\v", "\n", "\f", "\n").Replace(s)
	var out []string
	for l := range strings.SplitSeq(s, "\n") {
		if l = oneLine(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// harmless drops what nobody sees: what steers a terminal, turns the reading direction or hides in a word. Joiners stay, because scripts and
// emoji need them.
func harmless(r rune) rune {
	switch {
	case r == '\t' || r == '\n' || r == '\r' || r == '\v' || r == '\f' || r == 0x85 || r == 0x2028 || r == 0x2029:
		return ' '
	case r == 0x200C, r == 0x200D, unicode.Is(unicode.Prepended_Concatenation_Mark, r): // the joiners, and formats that are seen
		return r
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Other_Default_Ignorable_Code_Point):
		return -1
	}
	return r
}

// ended gives a sentence its full stop when it has none, by the script of its last letter; pictures behind it have none.
func ended(s string) string {
	said := strings.TrimRightFunc(s, func(r rune) bool { return r == ' ' || picture(r) })
	r, size := utf8.DecodeLastRuneInString(said)
	switch {
	case s == "" || strings.ContainsRune(".!?:;…。！？：；．｡", r):
		return s
	case strings.ContainsRune(`"')]”’）」』】》`, r):
		before, _ := utf8.DecodeLastRuneInString(said[:len(said)-size])
		if strings.ContainsRune(".!?…。！？", before) {
			return s
		}
	}
	if dense(r) {
		return s + "。"
	}
	return s + "."
}

// picture says whether a character is an emoji or a part of one, and no letter of any script.
func picture(r rune) bool {
	return unicode.In(r, unicode.So, unicode.Sk, unicode.Me, unicode.Cf) || r == 0xFE0E || r == 0xFE0F
}

// shorten cuts a text to what fits, at a word where the script has words, never inside a character, and says so with mark.
// fits must hold for every prefix of a text for which it holds. It is "" when not even one character and the mark fit.
func shorten(s, mark string, fits func(string) bool) string {
	if fits(s) {
		return s
	}
	cuts := boundaries(s)
	lo, hi := 0, len(cuts) // the last cut that fits, by halving
	for lo < hi {
		mid := (lo + hi) / 2
		if fits(trimEnd(s[:cuts[mid]]) + mark) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return ""
	}
	head := s[:cuts[lo-1]]
	if rest := s[len(head):]; !strings.HasPrefix(rest, " ") && !strings.HasSuffix(head, " ") {
		if space := strings.LastIndexByte(head, ' '); space > len(head)/2 { // a word is cut, and dropping it costs little
			head = head[:space]
		}
	}
	return trimEnd(head) + mark
}

func trimEnd(s string) string { return strings.TrimRight(s, " ,.;:、，。；：-–—（([「") }

// boundaries are the byte offsets behind each character as a reader sees it: marks, joiners, skin tones and flags stay whole.
func boundaries(s string) []int {
	var cuts []int
	var before rune
	flags := 0
	for i, r := range s {
		if i > 0 && !glued(before, r, flags) {
			cuts = append(cuts, i)
		}
		if regional(r) {
			flags++
		} else {
			flags = 0
		}
		before = r
	}
	return append(cuts, len(s))
}

func glued(before, r rune, flags int) bool {
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Mc) || r == 0x200D || before == 0x200D || r >= 0x1F3FB && r <= 0x1F3FF ||
		regional(r) && flags%2 == 1
}

func regional(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }
