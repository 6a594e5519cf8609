package contacts

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// The field that a term of the index was found in, and so why a record is a hit.
const (
	inAccount = iota
	inFormerName
	inDomain
	inAccountID
	inInvoice
	inOldTicket
	inSite
	inSiteURL
	inSiteID
	inContact
	inEmail
	inEmailDomain
	inPhone
	inLookalike // for matching only
	fieldCount
)

// whys are the fields by the names that answers give them.
var whys = [fieldCount]string{"account", "former_name", "domain", "account_id", "invoice", "old_ticket", "site", "site_url", "site_id",
	"contact", "email", "email_domain", "phone", "lookalike"}

// Terms stand in namespaces, told apart by a first byte that no word begins with.
const (
	wholeName = "="
	phoneEnd  = "#" // digits of an E.164 number, last one first: what people type lacks the country more often than the end
	code      = "!" // ids of the product, invoices, old tickets: letters and digits alone
	siteKey   = "/" // URLKey
	skeletons = "~" // what a domain looks like, see lookalike.go
)

// plain folds letter case, width, accents, the two kana alphabets and the ways in which a Chinese sign is written, so that what people type finds what was
// kept.
func plain(s string) string {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < 0x80
	}
	if ascii {
		return strings.ToLower(s)
	}
	s = norm.NFD.String(fold(width.Fold.String(s)))
	return norm.NFC.String(strings.Map(plainRune, s))
}

func plainRune(r rune) rune {
	switch {
	case r == 0x3099 || r == 0x309A: // voicing clues tell syllables apart
		return r
	case unicode.Is(unicode.Mn, r):
		return -1
	case r >= 0x30A1 && r <= 0x30F6: // katakana
		return r - 0x60
	}
	if unicode.Is(unicode.Han, r) {
		return sign(r)
	}
	switch r {
	case 'ø':
		return 'o'
	case 'ł':
		return 'l'
	case 'đ', 'ð':
		return 'd'
	case 'ı':
		return 'i'
	}
	return r
}

//go:embed han.txt
var hanFile string

// signs leads from a sign to the one that stands for all ways to write it.
var signs = sync.OnceValue(func() map[rune]rune {
	all := map[rune]rune{}
	for line := range strings.Lines(hanFile) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			continue
		}
		one, n := utf8.DecodeRuneInString(line)
		for _, r := range line[n:] {
			all[r] = one
		}
	}
	return all
})

// sign is what stands for all ways to write a Chinese sign: traditional and simplified, new and old forms in Japan, and those of names.
func sign(r rune) rune {
	if one, ok := signs()[r]; ok {
		return one
	}
	return r
}

// bigrammed says whether a script is written without spaces, so that its words cannot be told and its pairs of letters stand for them.
func bigrammed(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) || r == 'ー'
}

// script tells apart what stands side by side without a space: words of Latin, of Chinese signs, of kana.
func script(r rune) int {
	switch {
	case !bigrammed(r):
		return 0
	case unicode.Is(unicode.Han, r):
		return 1
	}
	return 2
}

// words cuts what plain made into runs of letters and digits; of scripts without spaces, into pairs.
func words(s string) []string {
	var out []string
	var run []rune
	flush := func() {
		switch {
		case len(run) == 0:
		case bigrammed(run[0]) && len(run) > 1:
			for i := range len(run) - 1 {
				out = append(out, string(run[i:i+2]))
			}
		default:
			out = append(out, string(run))
		}
		run = run[:0]
	}
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != 'ー' && !unicode.Is(unicode.Mn, r) {
			flush()
			continue
		}
		if len(run) > 0 && script(run[0]) != script(r) {
			flush()
		}
		if len(run) < maxTerm {
			run = append(run, r)
		}
	}
	flush()
	return out
}

// maxTerm bounds a term, in letters; longer ones are cut.
const maxTerm = 64

// codeKey is what two ways of writing an id or an invoice number have in common.
func codeKey(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, plain(s))
	if len(s) > 4*maxTerm {
		s = s[:4*maxTerm]
	}
	return s
}

// digitsBack is the digits of a phone number, last one first, without the zeros and the plus in front.
func digitsBack(s string) string {
	var out []byte
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] >= '0' && s[i] <= '9' {
			out = append(out, s[i])
		}
	}
	return strings.TrimRight(string(out), "0")
}

// clue is one term of a record and where it was found.
type clue struct {
	term  string
	field uint8
}

type clues []clue

func (m *clues) add(field uint8, term string) {
	if strings.TrimLeft(term, "=#!/~") != "" {
		*m = append(*m, clue{term, field})
	}
}

// name adds a name: its words, and the whole.
func (m *clues) name(field uint8, name string) {
	p := plain(name)
	for _, w := range words(p) {
		m.add(field, w)
	}
	if field != inContact {
		m.add(field, wholeName+wholeKey(p))
	}
}

func wholeKey(p string) string { return strings.Join(strings.Fields(p), " ") }

// domain adds a domain: as it is written, the words between its dots but for the last, and what it looks like.
func (m *clues) domain(field uint8, d string) {
	m.add(field, d)
	labels := strings.Split(d, ".")
	for _, label := range labels[:len(labels)-1] {
		for _, w := range words(plain(label)) {
			m.add(field, w)
		}
	}
}

func cluesOfAccount(a Account) (m clues) {
	m.name(inAccount, a.Name)
	for _, name := range a.FormerNames {
		m.name(inFormerName, name)
	}
	for _, d := range a.Domains {
		m.domain(inDomain, d)
		m.add(inLookalike, skeletons+looks(d))
	}
	for _, id := range a.ProductIDs {
		m.add(inAccountID, code+codeKey(id))
	}
	for _, n := range a.Invoices {
		m.add(inInvoice, code+codeKey(n))
	}
	for _, n := range a.OldTickets {
		m.add(inOldTicket, code+codeKey(n))
	}
	return m
}

func cluesOfSite(s Site) (m clues) {
	m.name(inSite, s.Name)
	for _, id := range s.ProductIDs {
		m.add(inSiteID, code+codeKey(id))
	}
	if key := URLKey(s.URL); key != "" {
		m.add(inSiteURL, siteKey+key)
		for _, w := range words(plain(key)) {
			m.add(inSiteURL, w)
		}
		m.add(inLookalike, skeletons+looks(hostOf(key)))
	}
	return m
}

func cluesOfContact(c Contact) (m clues) {
	m.name(inContact, c.Name)
	for _, a := range c.Emails {
		key := addressKey(Email, a.Value)
		local, domain, _ := strings.Cut(key, "@")
		m.add(inEmail, key)
		for _, w := range words(plain(local)) {
			m.add(inEmail, w)
		}
		m.add(inEmailDomain, domain)
	}
	for _, a := range c.Phones {
		m.add(inPhone, phoneEnd+digitsBack(a.Value))
	}
	return m
}

// hostOf is the host of a URLKey.
func hostOf(key string) string {
	host, _, _ := strings.Cut(key, "/")
	host, _, _ = strings.Cut(host, ":")
	return host
}
