package contacts

import (
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // time zones must be known on machines without a zone database
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// Limits of single values. Lengths are in characters unless they say bytes.
const (
	maxName   = 200
	maxID     = 200  // bytes, of a product id
	maxURL    = 2048 // bytes
	maxRegion = 64
	maxList   = 100 // values of one column in one row
)

// text cleans a value that people typed: outer space off, Unicode normalised (NFC). Control characters, line breaks and the
// marks that turn the direction of text are refused, since they would reach mail headers, terminals and pages.
func text(s string, most int) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("is not UTF-8; save the file as UTF-8")
	}
	s = strings.TrimSpace(norm.NFC.String(s))
	for _, r := range s {
		switch {
		case r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029':
			return "", errors.New("contains a line break")
		case unicode.IsControl(r):
			return "", fmt.Errorf("contains the control character %U", r)
		case r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\ufeff':
			return "", fmt.Errorf("contains the invisible mark %U", r)
		}
	}
	if utf8.RuneCountInString(s) > most {
		return "", fmt.Errorf("is longer than %d characters", most)
	}
	return s, nil
}

// fold makes names that differ only in letter case, width or spacing equal.
func fold(s string) string {
	return strings.Join(strings.Fields(cases.Fold().String(norm.NFKC.String(s))), " ")
}

// hosts turns domain names into the ASCII form that the DNS knows (RFC 5891), lower case, with its length limits.
var hosts = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

func parseDomain(s string) (string, error) {
	d, err := hosts.ToASCII(strings.TrimSpace(s))
	if err != nil || !strings.Contains(d, ".") {
		return "", fmt.Errorf("%.80q is not a domain name such as example.com", s)
	}
	if top := d[strings.LastIndexByte(d, '.')+1:]; strings.Trim(top, "0123456789") == "" {
		return "", fmt.Errorf("%.80q is not a domain name: it ends in a number", s)
	}
	return d, nil
}

// ParseEmail checks an e-mail address and gives it the one form in which it is kept: the domain in lower-case ASCII, the part
// before the @ as it was written. Lengths are those of RFC 5321, section 4.5.3.1.
func ParseEmail(s string) (string, error) {
	s, err := text(s, 320)
	if err != nil {
		return "", err
	}
	bad := fmt.Errorf("%.80q is not an e-mail address such as ann@example.com", s)
	a, err := mail.ParseAddress(s)
	if err != nil || a.Name != "" || strings.ContainsAny(s, "<>() ") {
		return "", bad
	}
	at := strings.LastIndexByte(s, '@')
	local, domain := s[:at], s[at+1:]
	if a.Address != s || strings.ContainsAny(local, "\"\\,;:[]") {
		return "", bad
	}
	if len(local) > 64 {
		return "", fmt.Errorf("%.80q has more than 64 bytes before the @", s)
	}
	if domain, err = parseDomain(domain); err != nil {
		return "", err
	}
	if len(local)+1+len(domain) > 254 {
		return "", fmt.Errorf("%.80q is longer than 254 bytes", s)
	}
	return local + "@" + domain, nil
}

var phoneMarks = regexp.MustCompile(`^[+＋]?[\d\s\-\x{2010}-\x{2015}().\x{00a0}/０-９]+$`)

// ParsePhone gives a phone number its E.164 form. A number without + is read as one of the country (ISO 3166, "" refuses
// it). It must have a length that its country uses; whether its range is in use is not asked, because new ranges appear
// before our tables know them and a person would be lost.
func ParsePhone(s, country string) (string, error) {
	s, err := text(s, 40)
	if err != nil {
		return "", err
	}
	if !phoneMarks.MatchString(s) {
		return "", fmt.Errorf("%.40q is not a phone number (digits, spaces, and + in front; no extension)", s)
	}
	if country == "" && !strings.HasPrefix(s, "+") && !strings.HasPrefix(s, "＋") {
		return "", fmt.Errorf("%.40q has no country: write it as +49 30 1234567", s)
	}
	n, err := phonenumbers.Parse(s, country)
	if err != nil {
		return "", fmt.Errorf("%.40q is not a phone number", s)
	}
	if phonenumbers.IsPossibleNumberWithReason(n) != phonenumbers.IS_POSSIBLE {
		return "", fmt.Errorf("%.40q is too long, too short or of no known country", s)
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

// Texting says what can be told from a number in E.164 form: the ISO 3166 code of its country, "001" for numbers of none, and whether it is fit to be texted: a number that
// can exist, and none whose owner earns by what is sent to it or that nobody reads.
func Texting(number string) (country string, fit bool) {
	n, err := phonenumbers.Parse(number, "")
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return "", false
	}
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.PREMIUM_RATE, phonenumbers.SHARED_COST, phonenumbers.TOLL_FREE, phonenumbers.PERSONAL_NUMBER, phonenumbers.PAGER, phonenumbers.UAN, phonenumbers.VOICEMAIL:
		return "", false
	}
	return phonenumbers.GetRegionCodeForNumber(n), true
}

// Country says whether an ISO 3166 code is of a country that has phone numbers.
func Country(code string) bool { return phonenumbers.GetSupportedRegions()[code] }

// parseAddress checks a value of a channel.
func parseAddress(channel, value, country string) (string, error) {
	switch channel {
	case Email:
		return ParseEmail(value)
	case SMS:
		return ParsePhone(value, country)
	}
	return "", fmt.Errorf("%.20q is not a channel; they are email, sms", channel)
}

// addressKey is what two spellings of an address have in common.
func addressKey(channel, value string) string {
	if channel == Email {
		return strings.ToLower(value)
	}
	return value
}

func parseURL(s string) (string, error) {
	s, err := text(s, maxURL)
	if err != nil {
		return "", err
	}
	full := s
	if !strings.Contains(full, "://") {
		full = "https://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsAny(s, " <>\"\\") {
		return "", fmt.Errorf("%.80q is not a web address such as https://acme.example", s)
	}
	if _, err := netip.ParseAddr(strings.Trim(u.Hostname(), "[]")); err != nil {
		if _, err := hosts.ToASCII(u.Hostname()); err != nil {
			return "", fmt.Errorf("%.80q is not a web address: its host name is not one", s)
		}
	}
	if len(full) > maxURL {
		return "", fmt.Errorf("is longer than %d bytes", maxURL)
	}
	return full, nil
}

// URLKey is what two spellings of a site's address have in common: host and path, without scheme, "www.", default port,
// closing slash, query and fragment. It is "" for what is no address.
func URLKey(s string) string {
	s, err := parseURL(s)
	if err != nil {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	host := u.Hostname()
	if ascii, err := hosts.ToASCII(host); err == nil {
		host = ascii
	}
	host = strings.TrimPrefix(strings.ToLower(host), "www.")
	if p := u.Port(); p != "" && p != "80" && p != "443" {
		host += ":" + p
	}
	return host + strings.TrimRight(u.EscapedPath(), "/")
}

func parseLocale(s string) (string, error) {
	tag, err := language.Parse(s)
	if err != nil || tag == language.Und {
		return "", fmt.Errorf("%.40q is not a language tag (BCP 47) such as en, zh-CN, ja", s)
	}
	return tag.String(), nil
}

func parseZone(s string) (string, error) {
	if _, err := time.LoadLocation(s); err != nil || s == "Local" || s == "" {
		return "", fmt.Errorf("%.60q is not a time zone (IANA) such as Europe/Berlin", s)
	}
	return s, nil
}

// parseConfirmed reads a day or an RFC 3339 time. More than a day ahead of now is refused: such a statement could
// never be corrected by a fresher one.
func parseConfirmed(s string, now time.Time) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t, err = time.Parse(time.DateOnly, s)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is not a time such as 2022-04-05T07:33:00Z or a day such as 2022-04-05", s)
	}
	if t.Year() < 1990 || t.After(now.Add(24*time.Hour)) {
		return time.Time{}, fmt.Errorf("%.40q lies before 1990 or in the future", s)
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

func oneOf(s string, allowed []string) (string, error) {
	s = strings.ToLower(s)
	if !slices.Contains(allowed, s) {
		return "", fmt.Errorf("%.40q is not one of %s", s, strings.Join(allowed, ", "))
	}
	return s, nil
}

var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9._:-]{0,63}$`)

func parseSource(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if !sourceName.MatchString(s) {
		return "", fmt.Errorf("%.80q must be 1 to 64 letters, digits, dots, dashes, colons or underscores, such as billing-2024", s)
	}
	return s, nil
}

// isCountry says whether a region is a country whose phone numbers are known.
func isCountry(region string) bool {
	return len(region) == 2 && phonenumbers.GetCountryCodeForRegion(strings.ToUpper(region)) != 0
}
