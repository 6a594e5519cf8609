package main

import (
	"cmp"
	"context"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"lifeline/comms"
	"lifeline/comms/email"
)

// sender is what stands in From: with the vendor's name where LIFELINE_MAIL_FROM has none, for readers look for that.
func (c config) sender() string {
	from := c.get("LIFELINE_MAIL_FROM")
	a, err := mail.ParseAddress(from)
	if err != nil {
		return cmp.Or(from, "status@lifeline.invalid")
	}
	a.Name = cmp.Or(a.Name, c.get("LIFELINE_VENDOR"))
	return a.String()
}

func (c config) dkim() email.DKIM {
	return email.DKIM{Domain: c.get("LIFELINE_DKIM_DOMAIN"), Selector: c.get("LIFELINE_DKIM_SELECTOR"), Key: c.get("LIFELINE_DKIM_KEY")}
}

// mailChain sends a mail to an address through each relay by itself, and holds what the DNS says of its sender against what we sign with. What the receiver
// made of it stands in the mail that arrives, which is for a person to read.
func (d *doctor) mailChain(ctx context.Context, names mailNames, to string) {
	if a, err := mail.ParseAddress(to); err != nil || a.Address != to {
		d.say("test mail", "bad", fmt.Sprintf("%.80q is no e-mail address", to), "")
		return
	}
	relays := strings.Fields(d.cfg.get("LIFELINE_SMTP"))
	if len(relays) == 0 || strings.HasPrefix(relays[0], "file:") {
		d.say("test mail", "bad", "there is no relay that would take one", "set LIFELINE_SMTP to a relay")
		return
	}
	for _, relay := range relays {
		d.testMail(ctx, relay, to)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, domain, _ := strings.Cut(d.cfg.mailFrom(), "@")
	d.senderRecords(ctx, names, domain)
	records, err := d.cfg.dkim().Records()
	if err != nil {
		d.say("mail records", "bad", "what LIFELINE_DKIM_KEY holds cannot be used: "+err.Error(), "")
	}
	for _, r := range records {
		d.signingRecord(ctx, names, r, domain)
	}
}

// testMail sends the mail through one relay. It is for whoever runs the command, and in her language.
func (d *doctor) testMail(ctx context.Context, relay, to string) {
	m, err := email.Open(email.Config{Relays: []string{relay}, From: d.cfg.sender(), DKIM: d.cfg.dkim()})
	if err != nil {
		d.say("test mail", "bad", err.Error(), "mend LIFELINE_SMTP, LIFELINE_MAIL_FROM or LIFELINE_DKIM_*")
		return
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	host := relay
	if r, err := email.ParseRelay(relay); err == nil {
		host = r.String()
	}
	at := "lifeline.invalid"
	if u, err := url.Parse(d.cfg.url); err == nil && u.Hostname() != "" {
		at = u.Hostname()
	}
	now := time.Now().UTC()
	vendor := d.cfg.get("LIFELINE_VENDOR")
	out := m.Send(ctx, comms.Message{Delivery: "doctor", To: to, Locale: "en", Auto: "auto-generated", ID: fmt.Sprintf("doctor.%d@%s", now.UnixNano(), at),
		Subject: "[" + vendor + "] Test of our mail",
		Text: "This is a test of the mail of " + vendor + " through " + host + ", sent at " + now.Format("2006-01-02 15:04") + " UTC.\n\n" +
			"In the field Authentication-Results of this mail, dkim, spf and dmarc must each say \"pass\".\nIf it lay among the junk, so will what we send in an emergency.\n"})
	if out.State != comms.Sent {
		d.say("test mail", "bad", fmt.Sprintf("%s did not take one for %s: %s", host, to, out.Reason), "what the relay answered says why; each relay has to take mail by itself")
		return
	}
	d.say("test mail", "ok", fmt.Sprintf("%s took one for %s: in the mail that arrives, Authentication-Results must say pass for dkim, spf and dmarc", host, to), "")
}

const recordsDo = "docs/mail.md lists the records that are needed"

// senderRecords says what the DNS lacks of a sender's domain: who sends for it, and that receivers are to refuse what only pretends to.
func (d *doctor) senderRecords(ctx context.Context, names mailNames, domain string) {
	if txt(ctx, names, domain, "v=spf1") == "" {
		d.say("mail records", "warning", domain+" has no SPF record: large receivers refuse or hide mail without it", recordsDo)
	}
	at, tags := "_dmarc."+domain, []string{"p"}
	said := txt(ctx, names, at, "v=DMARC1")
	if root, err := publicsuffix.EffectiveTLDPlusOne(domain); tag(said, "p") == "" && err == nil && root != domain { // RFC 7489, 6.6.3
		said, tags = txt(ctx, names, "_dmarc."+root, "v=DMARC1"), []string{"sp", "p"}
	}
	switch why := unenforced(said, tags...); {
	case tag(said, "p") == "":
		d.say("mail records", "warning", at+" has no DMARC record: large receivers refuse or hide mail without it", recordsDo)
	case why != "":
		d.say("mail records", "warning", fmt.Sprintf("%s says %.20s: whoever imitates us is delivered all the same", at, why), "once the reports are clean say p=quarantine, then p=reject, for all mail: without pct and without t=y")
	}
}

// unenforced is what in a DMARC record lets through what only pretends to come from a domain; "" when receivers are to hold back or refuse all of it. The policy is the
// first of the tags that the record has. A share below all (pct, RFC 7489) leaves some through or, at 0, everything; t=y (DMARCbis) says that the policy is only tried.
func unenforced(record string, tags ...string) string {
	for _, name := range tags {
		policy := strings.ToLower(tag(record, name))
		switch {
		case policy == "":
			continue
		case policy != "reject" && policy != "quarantine":
			return name + "=" + policy
		}
		if share := tag(record, "pct"); share != "" && share != "100" {
			return "pct=" + share
		}
		if strings.EqualFold(tag(record, "t"), "y") {
			return "t=y"
		}
		return ""
	}
	return ""
}

// signingRecord holds a published DKIM key against the one that signs.
func (d *doctor) signingRecord(ctx context.Context, names mailNames, r email.Record, from string) {
	said := txt(ctx, names, r.Name, "")
	switch {
	case said == "":
		d.say("mail records", "bad", r.Name+" has no DKIM key: every signature of ours fails", "publish: "+r.Text)
	case tag(said, "p") != tag(r.Text, "p"):
		d.say("mail records", "bad", r.Name+" has another DKIM key than LIFELINE_DKIM_KEY: every signature of ours fails", "publish: "+r.Text)
	case !aligned(r.Domain, from):
		d.say("mail records", "warning", "we sign for "+r.Domain+", and mail comes from "+from+": for DMARC that signature does not count", "sign for the domain of LIFELINE_MAIL_FROM")
	default:
		d.say("mail records", "ok", r.Name+" has the DKIM key that we sign with", "")
	}
}

// aligned says whether two domains belong together for DMARC, relaxed.
func aligned(a, b string) bool {
	x, errX := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(a))
	y, errY := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(b))
	return strings.EqualFold(a, b) || errX == nil && errY == nil && x == y
}

// txt is the text of a name that begins as such a record does; "" when there is none. A DKIM key need not begin with its version.
func txt(ctx context.Context, names mailNames, name, begins string) string {
	texts, err := names.LookupTXT(ctx, name)
	if err != nil {
		return ""
	}
	for _, s := range texts {
		if strings.HasPrefix(s, begins) && (begins != "" || tag(s, "p") != "") {
			return s
		}
	}
	return ""
}

// tag is the value of a tag in a record of tags (RFC 6376, 3.2).
func tag(record, name string) string {
	for part := range strings.SplitSeq(record, ";") {
		if key, value, ok := strings.Cut(part, "="); ok && strings.TrimSpace(key) == name {
			return strings.Join(strings.Fields(value), "")
		}
	}
	return ""
}
