package desk

import (
	"strings"
	"unicode"
)

// LocaleOf guesses the language of somebody's words, so that she is answered in it: by their script, and where several of ours share one by small words that only one of them
// has. "" when little tells: better the language of the page or of the vendor than a wrong one.
func LocaleOf(words string) string {
	has := func(scripts ...*unicode.RangeTable) bool {
		return strings.ContainsFunc(words, func(r rune) bool { return unicode.In(r, scripts...) })
	}
	switch {
	case has(unicode.Hiragana, unicode.Katakana):
		return "ja"
	case has(unicode.Hangul): // who writes Korean may write some Han among it
		return "ko"
	case has(unicode.Han):
		return "zh-CN"
	}
	return latin(words)
}

// telling are small words that hardly any sentence in a language lacks, and that none of the others has; English is among them to be outvoted by. A letter stands for
// itself wherever it is.
var telling = map[string][]string{
	"en":    strings.Fields("the and is our we not to my please have this are it can you has been was with i cannot how"),
	"de":    strings.Fields("der das und ist nicht wir unsere unser unserer ich auf bitte ein eine einen seit kann können mehr sind sie uns von mit zu wie meine meinen keine kein den dem im ß"),
	"fr":    strings.Fields("le les nous notre nos est pas je et une avec depuis votre vous mon ma sur sont dans ce ne du ai ça être œ"),
	"es":    strings.Fields("el los las nuestro nuestra nuestros y con mi del hemos puedo podemos ayuda sitio cómo está al ñ ¿ ¡"),
	"pt-BR": strings.Fields("o os nosso nossa não com meu minha da em é estão você ao pelo consigo ã õ"),
}

// leastTelling is how many different ones of them have to be there.
const leastTelling = 2

func latin(words string) (locale string) {
	said, folded := map[string]bool{}, strings.ToLower(words)
	for _, w := range strings.FieldsFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) }) {
		said[w] = true
	}
	for _, r := range "ßœñ¿¡ãõ" {
		if strings.ContainsRune(folded, r) {
			said[string(r)] = true
		}
	}
	best, next := 0, 0
	for l, small := range telling {
		n := 0
		for _, w := range small {
			if said[w] {
				n++
			}
		}
		if n > best {
			locale, best, next = l, n, best
		} else {
			next = max(next, n)
		}
	}
	if best < leastTelling || best == next || locale == "en" {
		return ""
	}
	return locale
}
