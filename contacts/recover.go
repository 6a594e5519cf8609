package contacts

import (
	"strings"
	"time"
)

// Standby is what would let us reach a customer, and let her prove who she is, when the product is gone.
type Standby struct {
	Confirmed int  `json:"confirmed_contacts"` // reachable and confirmed within the policy's time
	Approved  int  `json:"approved_contacts"`  // of those, who may speak for the account
	Domains   int  `json:"mail_domains"`       // on which the confirmed ones have mail
	Channels  int  `json:"channels"`           // by which one of them is reached
	Phone     bool `json:"phone"`              // one of them has one
	Kept
	Sites int `json:"sites"`
}

// Kept is what a customer has beside her contacts, for the day on which mail and phone are gone. The book does not hold it: the room in which people show
// who they are does.
type Kept struct {
	Codes  int  `json:"recovery_codes"`  // saved ones that are still good
	Domain bool `json:"verified_domain"` // a DNS record showed that a domain on file is hers
}

// The reasons why an account could not be recovered, or is recovered by one thread only.
const (
	NoConfirmed  = "no_confirmed_contact" // nobody whom we know to reach
	NoSpeaker    = "no_approved_contact"  // nobody of them may speak for the customer
	OneContact   = "one_contact"          // with no second way beside her
	OneDomain    = "one_mail_domain"      // all mail goes down with one domain
	OneChannel   = "one_channel"
	NoPhone      = "no_phone"
	NoCodes      = "no_recovery_codes"
	NoDomainSeen = "no_verified_domain"
)

// Weaknesses are what is missing, the worst first. An account is recoverable when somebody who may speak for it was confirmed lately, and a
// second way stands beside her: another person, a phone, saved codes or a verified domain. What comes behind those three reasons weakens, and
// decides nothing.
func (s Standby) Weaknesses() (weak []string, recoverable bool) {
	second := s.Confirmed > 1 || s.Phone || s.Codes > 0 || s.Domain
	for _, w := range []struct {
		reason string
		is     bool
	}{
		{NoConfirmed, s.Confirmed == 0}, {NoSpeaker, s.Approved == 0}, {OneContact, s.Confirmed == 1 && !second}, {OneDomain, s.Domains == 1},
		{OneChannel, s.Channels == 1}, {NoPhone, !s.Phone}, {NoCodes, s.Codes == 0}, {NoDomainSeen, !s.Domain},
	} {
		if w.is {
			weak = append(weak, w.reason)
		}
	}
	return weak, s.Confirmed > 0 && s.Approved > 0 && second
}

// StandbyOf adds up the contacts of one account at a time.
func (p Policy) StandbyOf(all []Contact, now time.Time) (s Standby) {
	domains, channels := map[string]bool{}, map[string]bool{}
	for _, c := range all {
		if p.FreshnessOf(c, now) != Fresh {
			continue
		}
		s.Confirmed++
		if c.Approved() {
			s.Approved++
		}
		mail, _ := Reach(c, Email)
		for _, a := range mail {
			_, domain, _ := strings.Cut(a.Value, "@")
			domains[strings.ToLower(domain)], channels[Email] = true, true
		}
		if phones, _ := Reach(c, SMS); len(phones) > 0 {
			s.Phone, channels[SMS] = true, true
		}
	}
	s.Domains, s.Channels = len(domains), len(channels)
	return s
}
