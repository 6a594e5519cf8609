package templates

import (
	"strings"
	"unicode/utf16"
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

func gsm(text string) bool {
	_, ucs2 := Segments(text)
	return !ucs2
}
