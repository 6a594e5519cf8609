package templates

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The GSM 7-bit default alphabet and its extension (3GPP TS 23.038, sections 6.2.1 and 6.2.1.1). A character of the
// extension takes two septets.
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmMore  = "\f^{}\\[~]|€"
)

// Segments says in how many parts a provider sends an SMS, and whether it must do so in UCS-2. A text in the GSM alphabet takes
// 160 septets alone or 153 per part, any other 70 or 67 units of UTF-16; neither an escaped character nor a surrogate pair is
// ever split. An empty text has none.
func Segments(text string) (n int, ucs2 bool) {
	if text == "" {
		return 0, false
	}
	costs := make([]int, 0, len(text))
	for _, r := range text {
		c := septets(r)
		if c == 0 {
			return pack(units(text), 70, 67), true
		}
		costs = append(costs, c)
	}
	return pack(costs, 160, 153), false
}

func septets(r rune) int {
	switch {
	case strings.ContainsRune(gsmBasic, r):
		return 1
	case strings.ContainsRune(gsmMore, r):
		return 2
	}
	return 0
}

func units(text string) []int {
	costs := make([]int, 0, len(text))
	for _, r := range text {
		costs = append(costs, max(1, utf16.RuneLen(r)))
	}
	return costs
}

func pack(costs []int, alone, joined int) int {
	sum, n, used := 0, 1, 0
	for _, c := range costs {
		sum += c
		if used+c > joined {
			n, used = n+1, 0
		}
		used += c
	}
	if sum <= alone {
		return 1
	}
	return n
}

// plainer writes quotes, dashes and dots in the GSM alphabet when that makes the whole text fit it, because one such
// character more than halves what a segment holds.
var plainer = strings.NewReplacer("“", `"`, "”", `"`, "„", `"`, "‘", "'", "’", "'", "–", "-", "—", "-", "−", "-", "‑", "-",
	"…", "...", "\u00a0", " ", "\u202f", " ", "\u2009", " ", "•", "-", "·", "-", "×", "x", "\t", " ")

// plainly is plainer for what else can be written plainly: letters lose marks that the alphabet does not hold, pictures go.
func plainly(text string) string {
	var out []byte
	gone := false // the character before was dropped
	for _, r := range plainer.Replace(text) {
		switch {
		case r == ' ' && gone && (len(out) == 0 || out[len(out)-1] == ' '):
			continue
		case septets(r) > 0:
			out = utf8.AppendRune(out, r)
		case unicode.Is(unicode.Latin, r):
			for _, bare := range norm.NFD.String(string(r)) {
				if !unicode.Is(unicode.Mn, bare) {
					out = utf8.AppendRune(out, bare)
				}
			}
		case picture(r) || unicode.Is(unicode.Mn, r):
			out = bytes.TrimSuffix(out, []byte(" "))
			gone = true
			continue
		default:
			out = utf8.AppendRune(out, r)
		}
		gone = false
	}
	return string(out)
}

// tight takes out the spaces between ideographs and what stands beside them: fine typography that an SMS has no room for.
func tight(text string) string {
	all := []rune(text)
	var b strings.Builder
	for i, r := range all {
		if r == ' ' && i > 0 && i+1 < len(all) && (cjk(all[i-1]) && alnum(all[i+1]) || alnum(all[i-1]) && cjk(all[i+1])) {
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func cjk(r rune) bool   { return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) }
func alnum(r rune) bool { return unicode.In(r, unicode.Letter, unicode.Nd) }

func gsm(text string) bool {
	_, ucs2 := Segments(text)
	return !ucs2
}
