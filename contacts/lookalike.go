package contacts

import (
	"strings"

	"github.com/mtibben/confusables"
	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// registrable is the part of a domain that somebody registered: what stands in front of its public suffix, with it. ok says that there is one.
func registrable(domain string) (whole, label string, ok bool) {
	whole, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return "", "", false
	}
	label, _, _ = strings.Cut(whole, ".")
	return whole, label, true
}

// MailDomain is the domain of an e-mail address as somebody registered it, so that nobody has more of them by making subdomains.
func MailDomain(address string) string {
	_, domain, _ := strings.Cut(strings.ToLower(address), "@")
	if whole, _, ok := registrable(domain); ok {
		return whole
	}
	return domain
}

// looks is what the registered label of a domain looks like to a hasty eye: the skeleton of UTS 39, without hyphens and without the suffix, so
// that domains that differ in nothing else are the same. "" for what nobody can register.
func looks(domain string) string {
	_, label, ok := registrable(domain)
	if !ok {
		return ""
	}
	if shown, err := idna.Punycode.ToUnicode(label); err == nil {
		label = shown
	}
	s := confusables.Skeleton(plain(label))
	// UTS 39 tells digits from letters by font alone; whoever registers a lookalike does not.
	return strings.NewReplacer("-", "", "\u2010", "", "0", "o", "O", "o", "1", "l", "I", "l", "vv", "w").Replace(s)
}
