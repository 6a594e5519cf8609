package main

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"lifeline/comms"
	"lifeline/comms/email/smtptest"
	"lifeline/comms/sms/smstest"
	"lifeline/portal/auth"
	"lifeline/store"
)

// Who signs in with a break-glass account is heard of by SMS, and so is a role that approves: the alarm is a message that leaves, not a line in a log.
func TestBreakGlassIsHeardOfBySMS(t *testing.T) {
	provider := smstest.Start(t, smstest.Options{})
	m := newMachine(t)
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte("comms:\n  ladders:\n    access.break_glass:\n      - {after: 0s, to: [{channel: sms, address: '+12025550199', locale: en}]}\n    access.granted:\n      - {after: 0s, to: [{channel: sms, address: '+12025550198', locale: en}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	relay := smtptest.Start(t, smtptest.Options{})
	m.env["LIFELINE_POLICY"], m.env["LIFELINE_TWILIO"], m.env["LIFELINE_SMTP"], m.env["LIFELINE_MAIL_FROM"] = policy, provider.URL(), relay.URL(), "status@lifeline.example"
	h, done := m.serve()
	defer done()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- h.outbox.Run(ctx) }()
	defer func() { cancel(); <-sent }()

	enrol := func(out, name, email string) auth.Session {
		t.Helper()
		u, err := url.Parse(regexp.MustCompile(`http\S+/desk/enrol\S+`).FindString(out))
		if err != nil || u.Query().Get(auth.LinkParam) == "" {
			t.Fatalf("no link in %s", out)
		}
		e, err := h.gate.Enrolling(ctx, u.Query().Get(auth.LinkParam))
		if err != nil {
			t.Fatal(err)
		}
		code, err := totp.GenerateCode(e.Secret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		s, _, _, err := h.gate.Enrol(ctx, auth.Enrol{Link: u.Query().Get(auth.LinkParam), Name: name, Email: email, Password: "vier Worte ohne Sinn", Code: code})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first, err := h.gate.SetUp(ctx, "http://127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	enrol(first, "Ruth Root", "ruth@vendor.example")
	if n := provider.Count(); n != 0 {
		t.Errorf("%d texts about the first account", n)
	}
	glass := enrol(m.must("user add --name Glass --email glass@vendor.example --role commander --break-glass"), "", "")
	if err := provider.AwaitCount(ctx, 1); err != nil {
		t.Fatalf("no text about the sign-in: %v", err)
	}
	m.must("user add --name Ann --email ann@vendor.example --role approver")
	if err := provider.AwaitCount(ctx, 2); err != nil {
		t.Fatalf("no text about the approver: %v", err)
	}
	// Nobody has closed the first alarm, and the next sign-in is one of its own all the same.
	err = h.db.Update(ctx, store.Act{By: glass.Staff, Verb: "session.open"}, func(tx *store.Tx) error {
		if err := h.glass(tx, glass.Staff); err != nil {
			return err
		}
		open, _, err := h.comms.Family(tx, "access", comms.Open, "", 10)
		if len(open) != 3 {
			t.Errorf("%d alarms are open about two sign-ins and a role", len(open))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	m.must("user reset glass@vendor.example")
	if err := relay.Await(ctx, func() bool { return relay.Count() >= 3 }); err != nil {
		t.Errorf("%d mails to owners of accounts: %v", relay.Count(), err)
	}
	ways := map[string]int{}
	for _, mail := range relay.Received() {
		if p, err := mail.Parse(); err == nil && strings.Contains(p.Subject, "How you sign in") {
			ways[mail.To[0]]++
		}
	}
	if ways["ruth@vendor.example"] != 1 || ways["glass@vendor.example"] != 2 {
		t.Errorf("the owners were told %v of their ways in", ways)
	}
	all := provider.Messages()
	for i, want := range [][2]string{{"+12025550199", "Glass has signed in"}, {"+12025550198", "Ann may now approve"}} {
		if all[i].To != want[0] || !strings.Contains(all[i].Body, want[1]) {
			t.Errorf("%+v, want %s", all[i], want)
		}
	}
	if !strings.Contains(all[0].Body, glass.Staff) && !strings.Contains(all[0].Body, "/desk/") {
		t.Errorf("%q does not say whose sign-in it was, or where that stands", all[0].Body)
	}
}

// Whom the policy names by address is told of what is late, whether or not staff have accounts.
func TestAnAddressOnDutyIsSomebodyToAlarm(t *testing.T) {
	h := &house{comms: &comms.Room{Policy: comms.Policy{OnDuty: comms.Ladder{{}, {To: []comms.Direct{{Channel: comms.ChannelEmail, Address: "duty@vendor.example"}}}}}}}
	if !h.alarms() {
		t.Error("it says that nobody is told")
	}
}
