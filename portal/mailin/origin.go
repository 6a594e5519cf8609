package mailin

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	"blitiri.com.ar/go/spf"
	"github.com/emersion/go-message/textproto"
	"github.com/emersion/go-msgauth/authres"
	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-msgauth/dmarc"
	"golang.org/x/net/publicsuffix"

	"lifeline/portal/desk"
)

// Resolver asks the DNS; a *net.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

const (
	lookUpFor     = 15 * time.Second // all questions about one mail
	maxSignatures = 5
)

// envelope is what the peer that handed a mail over said of it.
type envelope struct {
	peer netip.Addr
	helo string
	from string // MAIL FROM; "": it is a report, or a program's
	to   []string
	ours bool // the peer is a relay of ours, which has looked at where the mail came from
}

// originOf asks whether a mail comes from the domain that its From field names (RFC 7489): something that the domain, or one of the same organisation,
// vouches for must be behind it, by SPF for the envelope or by DKIM for what it says. A question that the DNS does not answer is as good as no.
func (s *Server) originOf(ctx context.Context, env envelope, l *letter, raw []byte) desk.Origin {
	_, from, ok := cutAddress(l.from)
	if !ok {
		return desk.Unknown
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpFor)
	defer cancel()
	a := alignment{from: from}
	if env.ours {
		a.believe(l.head, s.Policy.Relays.Name)
	} else {
		_, domain, named := cutAddress(env.from)
		if !named {
			domain = strings.ToLower(env.helo)
		}
		result, _ := spf.CheckHostWithSender(env.peer.AsSlice(), env.helo, env.from, spf.WithContext(ctx), spf.WithResolver(s.Resolver)) // the error only explains the result
		a.spf, a.spfDomain = string(result), domain
	}
	checks, _ := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{MaxVerifications: maxSignatures,
		LookupTXT: func(name string) ([]string, error) { return s.Resolver.LookupTXT(ctx, name) }})
	for _, c := range checks {
		if c.Err == nil && covers(c.HeaderKeys, "from") && (c.Expiration.IsZero() || c.Expiration.After(time.Now())) {
			a.dkim = append(a.dkim, strings.ToLower(c.Domain))
		}
	}
	a.policy = s.policyOf(ctx, from)
	return a.judge()
}

func covers(signed []string, field string) bool {
	for _, k := range signed {
		if strings.EqualFold(strings.TrimSpace(k), field) {
			return true
		}
	}
	return false
}

// policyOf is what a domain, or its organisation, wants done with mail that it does not vouch for; nil: it says nothing.
func (s *Server) policyOf(ctx context.Context, domain string) *dmarc.Record {
	look := &dmarc.LookupOptions{LookupTXT: func(name string) ([]string, error) { return s.Resolver.LookupTXT(ctx, name) }}
	if r, err := dmarc.LookupWithOptions(domain, look); err == nil {
		return r
	}
	org := organisation(domain)
	if org == domain {
		return nil
	}
	r, err := dmarc.LookupWithOptions(org, look)
	if err != nil {
		return nil
	}
	if r.SubdomainPolicy != "" {
		r.Policy = r.SubdomainPolicy
	}
	return r
}

// alignment is what is known of where a mail comes from.
type alignment struct {
	from      string   // domain of the From field
	spf       string   // result
	spfDomain string   // that it is about
	dkim      []string // domains whose signature holds
	relay     bool     // a relay of ours found that DMARC passes
	policy    *dmarc.Record
}

// judge says what follows.
func (a alignment) judge() desk.Origin {
	var spfStrict, dkimStrict bool
	if a.policy != nil {
		spfStrict, dkimStrict = a.policy.SPFAlignment == dmarc.AlignmentStrict, a.policy.DKIMAlignment == dmarc.AlignmentStrict
	}
	if a.relay {
		return desk.Vouched
	}
	if a.spf == string(spf.Pass) && aligned(a.spfDomain, a.from, spfStrict) {
		return desk.Vouched
	}
	for _, d := range a.dkim {
		if aligned(d, a.from, dkimStrict) {
			return desk.Vouched
		}
	}
	switch {
	case a.policy != nil && (a.policy.Policy == dmarc.PolicyReject || a.policy.Policy == dmarc.PolicyQuarantine):
		return desk.Disowned
	case a.policy == nil && a.spf == string(spf.Fail) && aligned(a.spfDomain, a.from, false):
		return desk.Disowned
	}
	return desk.Unknown
}

// aligned compares domains: the same, or unless it is strict of the same organisation.
func aligned(domain, from string, strict bool) bool {
	if domain == "" || from == "" {
		return false
	}
	return domain == from || !strict && organisation(domain) == organisation(from)
}

// organisation is the registered domain above a domain, or that itself.
func organisation(domain string) string {
	if org, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return org
	}
	return domain
}

// believe takes over what a relay of ours has found: the topmost field of that kind, and only with the relay's own name in it, since everything
// below may be a stranger's (RFC 8601 5).
func (a *alignment) believe(head textproto.Header, relay string) {
	fields := head.Values("Authentication-Results")
	if len(fields) == 0 || relay == "" {
		return
	}
	name, results, err := authres.Parse(fields[0])
	if err != nil || !strings.EqualFold(name, relay) {
		return
	}
	for _, r := range results {
		switch r := r.(type) {
		case *authres.DMARCResult:
			a.relay = a.relay || r.Value == authres.ResultPass && strings.EqualFold(domainOf(r.From), a.from)
		case *authres.DKIMResult:
			if r.Value == authres.ResultPass && r.Domain != "" {
				a.dkim = append(a.dkim, strings.ToLower(r.Domain))
			}
		case *authres.SPFResult:
			a.spf, a.spfDomain = string(r.Value), strings.ToLower(domainOf(r.From))
			if r.From == "" {
				a.spfDomain = strings.ToLower(r.Helo)
			}
		}
	}
}

// domainOf is the domain of an address, or the text itself when it is one.
func domainOf(s string) string {
	if _, domain, ok := strings.Cut(s, "@"); ok {
		return domain
	}
	return s
}

// cutAddress takes an address apart, its domain in lower case.
func cutAddress(address string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 || at == len(address)-1 {
		return "", "", false
	}
	return address[:at], strings.TrimSuffix(strings.ToLower(address[at+1:]), "."), true
}
