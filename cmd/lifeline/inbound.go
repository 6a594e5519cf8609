package main

import (
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"os"

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
