package contacts

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed freemail.txt
var mailForAnyone string

// Who gives mail addresses to anyone.
const (
	Freemail   = "freemail"
	Disposable = "disposable"
)

// MailForAnyone says whether anyone can have an address at a domain, so that a mailbox there says nothing of whom she belongs to.
func MailForAnyone(domain string) bool { return mailProvider(domain) != "" }

// mailProvider says whether anyone can have an address at a domain, so that it says nothing of whom she belongs to: Freemail, Disposable or "".
func mailProvider(domain string) string {
	whole, _, ok := registrable(domain)
	if !ok {
		whole = domain
	}
	for line := range strings.Lines(mailForAnyone) {
		kind, domains, _ := strings.Cut(line, ":")
		if names := strings.Fields(domains); slices.Contains(names, whole) || slices.Contains(names, domain) {
			return kind
		}
	}
	return ""
}
