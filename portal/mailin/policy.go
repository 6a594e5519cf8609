package mailin

import (
	"net/netip"
	"strings"
	"time"

	"lifeline/store/fault"
)

// Policy is the section "mail" of the policy file: what comes in by mail.
type Policy struct {
	Support string   `yaml:"support" json:"support"` // local part of the address that customers write to, and that answers go to with a tag
	Bounce  string   `yaml:"bounce" json:"bounce"`   // of the return addresses
	Domain  string   `yaml:"domain" json:"domain"`   // of both; "": that of LIFELINE_MAIL_FROM
	Also    []string `yaml:"also" json:"also"`       // further addresses, of any domain, at which mail is a ticket
	Relays  Relays   `yaml:"relays" json:"relays"`   // of ours, that hand us what they took

	Connections int           `yaml:"connections" json:"connections"` // at a time, in all
	PerSource   int           `yaml:"per_source" json:"per_source"`   // of them from one network
	PerMinute   int           `yaml:"per_minute" json:"per_minute"`   // mails from one network in a minute
	Recipients  int           `yaml:"recipients" json:"recipients"`   // of one mail
	MiB         int           `yaml:"mib" json:"mib"`                 // of one mail
	MemoryMiB   int           `yaml:"memory_mib" json:"memory_mib"`   // of all that are read at a time
	Idle        time.Duration `yaml:"idle" json:"idle"`               // the longest wait for a peer's next command or line
	Longest     time.Duration `yaml:"longest" json:"longest"`         // that a mail may take to come in
	Certificate []string      `yaml:"certificate" json:"certificate"` // files of certificate and key for STARTTLS, PEM; none: it is not offered
	Unencrypted bool          `yaml:"unencrypted" json:"unencrypted"` // with a certificate: mail is also taken in the clear, as almost everybody does
}

// Relays are servers of ours in front of this one. What they say of where a mail came from is believed, and they are not counted as one source.
type Relays struct {
	Networks []string `yaml:"networks" json:"networks"` // addresses or networks
	Name     string   `yaml:"name" json:"name"`         // in the Authentication-Results that they write (RFC 8601)
}

// DefaultPolicy is what is in force when the policy file says nothing.
func DefaultPolicy() Policy {
	return Policy{Support: "support", Bounce: "bounce", Connections: 100, PerSource: 10, PerMinute: 60, Recipients: 100, MiB: 25, MemoryMiB: 256,
		Idle: 5 * time.Minute, Longest: 15 * time.Minute, Unencrypted: true}
}

// longestLocal leaves room behind the plus for what names a delivery, within the 64 characters of RFC 5321 4.5.3.1.1.
const longestLocal = 15

// Check names every value that cannot be used, by its name in the policy file.
func (p Policy) Check() error {
	var f []fault.Field
	bad := func(field, reason string) {
		f = append(f, fault.Field{Field: "mail." + field, Code: "invalid", Reason: reason})
	}
	for field, local := range map[string]string{"support": p.Support, "bounce": p.Bounce} {
		if local == "" || len(local) > longestLocal || strings.Trim(strings.ToLower(local), "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
			bad(field, "must be 1 to 15 letters, digits, points and hyphens: what stands before the @")
		}
	}
	if strings.EqualFold(p.Support, p.Bounce) {
		bad("bounce", "must differ from support")
	}
	for _, a := range p.Also {
		if _, _, ok := cutAddress(a); !ok {
			bad("also", "holds something that is no address")
		}
	}
	if _, err := p.Relays.networks(); err != nil {
		bad("relays.networks", "holds something that is neither an address nor a network")
	}
	for field, n := range map[string]int{"connections": p.Connections, "per_source": p.PerSource, "per_minute": p.PerMinute, "recipients": p.Recipients, "mib": p.MiB} {
		if n < 1 {
			bad(field, "must be at least 1")
		}
	}
	if p.MemoryMiB < p.MiB {
		bad("memory_mib", "must not be below mib")
	}
	if p.Idle <= 0 || p.Longest <= 0 {
		bad("idle", "and longest must be durations above 0")
	}
	if len(p.Certificate) != 0 && len(p.Certificate) != 2 {
		bad("certificate", "must be two files: certificate and key")
	}
	if len(f) > 0 {
		return fault.BadFields(f...)
	}
	return nil
}

func (r Relays) networks() (all []netip.Prefix, err error) {
	for _, s := range r.Networks {
		if a, err := netip.ParseAddr(s); err == nil {
			all = append(all, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, err
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
