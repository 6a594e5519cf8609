package mailin

import (
	"bytes"
	"mime"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"encoding/base64"
	"io"
	"mime/quotedprintable"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode/utf32"
)

// decode reads text in the character set that its sender names. Senders name none, or another one than they use: what is valid UTF-8 is read as that
// unless the set named is one that shifts, and what the set named cannot read is read in the first set that can. UTF-7 is refused, since text in it
// can hide what it says: its bytes are shown as they are.
func decode(b []byte, charset string) string {
	named := lookUp(charset)
	shifts := named == japanese.ISO2022JP || named == simplifiedchinese.HZGB2312
	if bytes.Contains(b, []byte("\x1b$")) && !shifts { // ISO-2022-JP under another name
		named, shifts = japanese.ISO2022JP, true
	}
	if !shifts && utf8.Valid(b) && !wide(charset) {
		return string(b)
	}
	if named != nil {
		if s, ok := read(b, named); ok {
			return s
		}
	}
	if s, ok := guess(b); ok {
		return s
	}
	if named != nil {
		s, _ := read(b, named)
		return s
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// guesses are the sets that people use without naming them, the likelier first.
var guesses = []encoding.Encoding{simplifiedchinese.GB18030, japanese.ShiftJIS, japanese.EUCJP, korean.EUCKR, traditionalchinese.Big5}

// guess reads text in the set in which it looks most like one of our languages: by characters that hardly any text in them lacks.
func guess(b []byte) (best string, ok bool) {
	most := -1 << 30
	for _, e := range guesses {
		s, whole := read(b, e)
		if !whole {
			continue
		}
		if n := likeness(s); n > most {
			best, most, ok = s, n, true
		}
	}
	return best, ok
}

// often are the commonest characters of Chinese, in both scripts.
const often = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重並這個們來為國時說會對發後裡種經麼學現當沒動還進樣開實無與長機關點業兩間問"

func likeness(s string) (n int) {
	for _, r := range s {
		switch {
		case r >= 0xFF61 && r <= 0xFF9F: // narrow katakana, which other sets read as
			n -= 2
		case unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
			n += 2
		case r > 0x2E80 && strings.ContainsRune(often, r):
			n += 2
		case r >= 0x80 && !unicode.Is(unicode.Han, r) && !unicode.IsPunct(r):
			n--
		}
	}
	return n
}

func wide(charset string) bool {
	charset = strings.ToLower(charset)
	return strings.HasPrefix(charset, "utf-16") || strings.HasPrefix(charset, "utf-32")
}

// lookUp finds the character set of a name; nil: there is none by that name, or none of its own.
func lookUp(charset string) encoding.Encoding {
	charset = strings.ToLower(strings.Trim(strings.TrimSpace(charset), `"'`))
	switch charset {
	case "", "us-ascii", "ascii", "ansi_x3.4-1968", "utf-8", "utf8", "utf-7", "unicode-1-1-utf-7", "unknown-8bit", "8bit", "x-unknown", "default":
		return nil
	case "gb2312", "gbk", "x-gbk", "cp936", "ms936": // senders name the smaller set and use the larger
		return simplifiedchinese.GB18030
	case "cp932", "ms932", "windows-31j", "x-sjis":
		return japanese.ShiftJIS
	case "iso-2022-jp-ms", "cp50220", "cp50221":
		return japanese.ISO2022JP
	case "ks_c_5601-1987", "cp949", "uhc":
		return korean.EUCKR
	case "utf-32":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	}
	if e, err := htmlindex.Get(charset); err == nil {
		return e
	}
	if e, err := ianaindex.MIME.Encoding(charset); err == nil && e != nil {
		return e
	}
	return nil
}

// read decodes, and says whether the text had no gap and nothing that no text has.
func read(b []byte, e encoding.Encoding) (string, bool) {
	out, err := e.NewDecoder().Bytes(b)
	s := string(out)
	ok := err == nil && !strings.ContainsFunc(s, func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' || unicode.Is(unicode.Co, r)
	})
	return strings.ToValidUTF8(s, "\uFFFD"), ok
}

var encodedWord = regexp.MustCompile(`=\?([^?\s]{1,40})\?([BbQq])\?([^?\s]*)\?=`)

// header reads a header field: encoded words (RFC 2047), also where a sender cut a character in two between them, and bytes that are in no such word.
func header(raw string) string {
	raw = strings.NewReplacer("\r\n", "", "\n", "").Replace(raw)
	var out strings.Builder
	var held []byte
	var heldIn string
	flush := func() {
		if held != nil {
			out.WriteString(decode(held, heldIn))
			held, heldIn = nil, ""
		}
	}
	for raw != "" {
		at := encodedWord.FindStringSubmatchIndex(raw)
		if at == nil {
			break
		}
		between := raw[:at[0]]
		charset, _, _ := strings.Cut(strings.ToLower(raw[at[2]:at[3]]), "*") // RFC 2231 5: a language may follow
		word := wordBytes(raw[at[4]:at[5]], raw[at[6]:at[7]])
		if held == nil || strings.TrimSpace(between) != "" || charset != heldIn {
			flush()
			if held == nil && out.Len() > 0 && strings.TrimSpace(between) == "" {
				between = ""
			}
			out.WriteString(decode([]byte(between), ""))
		}
		held, heldIn = append(held, word...), charset
		raw = raw[at[1]:]
	}
	flush()
	out.WriteString(decode([]byte(raw), ""))
	return out.String()
}

func wordBytes(how, text string) []byte {
	if strings.EqualFold(how, "b") {
		text = strings.TrimRight(text, "=")
		if b, err := base64.RawStdEncoding.DecodeString(text); err == nil {
			return b
		}
		return []byte(text)
	}
	b, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(strings.ReplaceAll(text, "_", " ") + "\n")))
	if err != nil {
		return []byte(text)
	}
	return bytes.TrimSuffix(b, []byte("\n"))
}

// mediaOf reads a Content-Type as senders write it; what cannot be read is text (RFC 2045 5.2).
func mediaOf(value string) (media string, params map[string]string) {
	media, params, err := mime.ParseMediaType(value)
	if err != nil && media == "" {
		media, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(value)), ";")
		media = strings.TrimSpace(media)
		params = map[string]string{}
		if m := boundaryForm.FindStringSubmatch(value); m != nil {
			params["boundary"] = strings.Trim(m[1], `"`)
		}
		if m := charsetForm.FindStringSubmatch(value); m != nil {
			params["charset"] = strings.Trim(m[1], `"`)
		}
	}
	if !strings.Contains(media, "/") {
		media = "text/plain"
	}
	return media, params
}

var (
	boundaryForm = regexp.MustCompile(`(?i)boundary\s*=\s*("[^"]{1,100}"|[^\s;"]{1,100})`)
	charsetForm  = regexp.MustCompile(`(?i)charset\s*=\s*("[^"]{1,40}"|[^\s;"]{1,40})`)
)
