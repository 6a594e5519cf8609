package main

import (
	"context"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"lifeline/portal/mailin"
)

// mailFrom is the bare address of LIFELINE_MAIL_FROM; "" when there is none.
func (c config) mailFrom() string {
	from, err := mail.ParseAddress(c.get("LIFELINE_MAIL_FROM"))
	if err != nil {
		return ""
	}
	return from.Address
}

// takesMail says whether customers' mail comes in here: only then do our mails ask for an answer, and name an address to come back to.
func (c config) takesMail() bool { return c.get("LIFELINE_INBOUND") != "" }

// openInbox tells the rooms where answers come in.
func (h *house) openInbox() {
	if h.cfg.takesMail() {
		from := h.cfg.mailFrom()
		h.desk.Inbox = h.cfg.policy.Mail.Inbox(from)
		h.comms.Returns = h.cfg.policy.Mail.Returns(from, h.gate.Key.SignLink)
	}
	h.desk.Inbox.Texts = h.portal.Callback.Inbound != nil
}

// listenInbound opens the listener of LIFELINE_INBOUND; nil: mail is not read.
func (h *house) listenInbound() (net.Listener, error) {
	if !h.cfg.takesMail() {
		return nil, nil
	}
	l, err := net.Listen("tcp", h.cfg.get("LIFELINE_INBOUND"))
	if err != nil {
		return nil, fmt.Errorf("LIFELINE_INBOUND: %w", err)
	}
	return l, nil
}

func (h *house) inbound() *mailin.Server {
	host, err := os.Hostname()
	if u, bad := url.Parse(h.cfg.url); bad == nil && !loopback(u.Hostname()) || err != nil {
		host = u.Hostname()
	}
	return &mailin.Server{DB: h.db, Desk: h.desk, Comms: h.comms, Policy: h.cfg.policy.Mail, From: h.cfg.mailFrom(), Host: host,
		Resolver: net.DefaultResolver, Metrics: h.metrics, Log: h.log}
}

// mailNames is what the doctor asks of the DNS; a *net.Resolver is one.
type mailNames interface {
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// inbound says whether customers' answers come in, and what the DNS says of the domain that they are sent to.
func (d *doctor) inbound(ctx context.Context) {
	if !d.cfg.takesMail() {
		d.say("inbound mail", "warning", "answers to our mail, and what comes back of it, are not read here", "set LIFELINE_INBOUND and point the domain's MX at it (docs/mail.md), or see to it that somebody reads the mailbox of LIFELINE_MAIL_FROM")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	own, err := net.InterfaceAddrs()
	if err != nil {
		own = nil // then it cannot be told, and is not said
	}
	d.mailRecords(ctx, net.DefaultResolver, d.cfg.policy.Mail.Inbox(d.cfg.mailFrom()).Domain, own)
}

func (d *doctor) mailRecords(ctx context.Context, names mailNames, domain string, own []net.Addr) {
	switch mx, err := names.LookupMX(ctx, domain); {
	case err != nil || len(mx) == 0:
		d.say("inbound mail", "bad", "the DNS names no server for mail to "+domain, recordsDo)
	default:
		host := strings.TrimSuffix(mx[0].Host, ".")
		addresses, err := names.LookupHost(ctx, host)
		switch {
		case err != nil || len(addresses) == 0:
			d.say("inbound mail", "bad", "mail to "+domain+" goes to "+host+", which has no address", recordsDo)
		case slices.ContainsFunc(addresses, func(a string) bool { return has(own, a) }):
			d.say("inbound mail", "ok", "mail to "+domain+" goes to "+host+", which is this machine", "")
		default:
			d.say("inbound mail", "ok", "mail to "+domain+" goes to "+host+" ("+addresses[0]+"); that it is handed on to LIFELINE_INBOUND cannot be seen from here", "")
		}
	}
	d.senderRecords(ctx, names, domain)
}

func has(own []net.Addr, address string) bool {
	return slices.ContainsFunc(own, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(net.ParseIP(address))
	})
}
