package contacts

import (
	"fmt"
	"slices"
	"time"
)

// provesAfter is how long an address that came by import must have stood before it proves anything: whoever steers the product or a source
// for a while could name his own.
const provesAfter = 30 * 24 * time.Hour

// Proves says whether a code sent to the address can be evidence of who somebody is (classes A and B of the identity ladder), and if not,
// why. An address that is new with this contact since the incident began never is, however it came; moving one to another contact makes it
// new. One that a bounce, an opt-out or a confirmation touched is not: those say nothing about whose it is. Without an incident
// incidentBegan is zero. It judges the address alone: whether it was confirmed too long ago is [Policy.Stale].
func (a Address) Proves(incidentBegan, now time.Time) (ok bool, why string) {
	switch {
	case a.FirstSeen.IsZero():
		return false, "nobody knows since when the contact has it"
	case !incidentBegan.IsZero() && !a.FirstSeen.Before(incidentBegan):
		return false, "it is hers only since the incident began"
	case a.How == ByImport && now.Sub(a.FirstSeen) < provesAfter:
		return false, fmt.Sprintf("it came by an import within the last %d days", provesAfter/(24*time.Hour))
	}
	return true, ""
}

// DomainProves says whether control of a domain, or a mailbox there, can be evidence of belonging to the account: it has to have been on file before the
// incident began, and for a while where an import brought it.
func (a Account) DomainProves(domain string, incidentBegan, now time.Time) bool {
	if !slices.Contains(a.Domains, domain) {
		return false
	}
	origin := a.OriginOf(colDomain.String(), domain)
	switch {
	case origin.Seen.IsZero():
		return false
	case !incidentBegan.IsZero() && !origin.Seen.Before(incidentBegan):
		return false
	case origin.How == ByImport && now.Sub(origin.Seen) < provesAfter:
		return false
	}
	return true
}

// ParseDomain gives a domain name the one form in which it is kept: ASCII, lower case.
func ParseDomain(s string) (string, error) { return parseDomain(s) }

// Address finds an address of a contact, however it is spelt.
func (c Contact) Address(channel, value string) (Address, bool) {
	a, err := c.address(channel, value)
	if err != nil {
		return Address{}, false
	}
	return *a, true
}
