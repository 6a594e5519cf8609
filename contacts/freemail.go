package contacts

import (
	"cmp"
	_ "embed"
	"strings"
	"sync"
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
	kinds := mailKinds()
	return cmp.Or(kinds[whole], kinds[domain])
}

// mailKinds is the list, by domain.
var mailKinds = sync.OnceValue(func() map[string]string {
	kinds := map[string]string{}
	for line := range strings.Lines(mailForAnyone) {
		kind, domains, _ := strings.Cut(line, ":")
		for _, domain := range strings.Fields(domains) {
			kinds[domain] = kind
		}
	}
	return kinds
})
