package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"lifeline/comms/email/smtptest"
)

// The doctor sends through each relay by itself, and reads in the DNS what a receiver would: whether our signature holds, and whether imitations are refused.
func TestTheDoctorTestsTheWholeMailChain(t *testing.T) {
	good := smtptest.Start(t, smtptest.Options{Bare: true})
	bad := smtptest.Start(t, smtptest.Options{Bare: true, Script: smtptest.Refuse(550, [3]int{5, 7, 1}, "not from you", "ann@far.example")})
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{"LIFELINE_SMTP": good.URL() + " " + bad.URL(), "LIFELINE_MAIL_FROM": "status@mail.vendor.com", "LIFELINE_VENDOR": "Vendor",
		"LIFELINE_DKIM_DOMAIN": "vendor.com", "LIFELINE_DKIM_SELECTOR": "s1", "LIFELINE_DKIM_KEY": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}
	cfg := config{values: settings, url: "https://status.vendor.com"}
	records, err := cfg.dkim().Records()
	if err != nil || len(records) != 1 || records[0].Name != "s1._domainkey.vendor.com" {
		t.Fatalf("%+v: %v", records, err)
	}
	d := &doctor{cfg: cfg}
	d.mailChain(t.Context(), zone{texts: map[string]string{"mail.vendor.com": "v=spf1 mx -all", "_dmarc.vendor.com": "v=DMARC1; p=none; sp=quarantine", records[0].Name: records[0].Text}}, "ann@far.example")
	var levels []string
	for _, f := range d.found {
		levels = append(levels, f.What+" "+f.Level)
	}
	if want := []string{"test mail ok", "test mail bad", "mail records ok"}; !slices.Equal(levels, want) {
		t.Errorf("%q, not %q: %+v", levels, want, d.found)
	}
	if !strings.Contains(d.found[1].Says, "not from you") {
		t.Errorf("it does not say what the relay said: %+v", d.found[1])
	}
	if got := good.Received(); len(got) != 1 || !slices.Equal(got[0].To, []string{"ann@far.example"}) || !bytes.Contains(got[0].Data, []byte("From: \"Vendor\" <status@mail.vendor.com>")) || !bytes.Contains(got[0].Data, []byte("DKIM-Signature:")) {
		t.Errorf("%+v", got)
	}
	for what, c := range map[string]struct {
		texts map[string]string
		level string
		says  string
	}{
		"nothing":       {nil, "warning", "no SPF record"},
		"nothing of us": {nil, "warning", "no DMARC record"},
		"no key":        {nil, "bad", "has no DKIM key"},
		"imitations":    {map[string]string{"_dmarc.vendor.com": "v=DMARC1; p=none"}, "warning", "p=none"},
		"another key":   {map[string]string{records[0].Name: "k=rsa; p=AAAA"}, "bad", "another DKIM key"},
	} {
		d := &doctor{cfg: cfg}
		d.senderRecords(t.Context(), zone{texts: c.texts}, "mail.vendor.com")
		d.signingRecord(t.Context(), zone{texts: c.texts}, records[0], "mail.vendor.com")
		if !slices.ContainsFunc(d.found, func(f finding) bool { return f.Level == c.level && strings.Contains(f.Says, c.says) && f.Do != "" }) {
			t.Errorf("%s: %+v", what, d.found)
		}
	}
	d = &doctor{cfg: cfg}
	if d.signingRecord(t.Context(), zone{texts: map[string]string{records[0].Name: records[0].Text}}, records[0], "elsewhere.org"); d.found[0].Level != "warning" {
		t.Errorf("it signs for another domain than mail comes from: %+v", d.found)
	}
	for settings, to := range map[string]string{"file:/tmp/x": "ann@far.example", good.URL(): "no address"} {
		d := &doctor{cfg: config{values: map[string]string{"LIFELINE_SMTP": settings}}}
		if d.mailChain(t.Context(), zone{}, to); len(d.found) != 1 || d.found[0].Level != "bad" {
			t.Errorf("%s to %s: %+v", settings, to, d.found)
		}
	}
	if n := good.Count(); n != 1 {
		t.Errorf("%d mails went out", n)
	}
}

// A DMARC record that names a policy and does not ask for it to be followed protects nobody.
func TestEnforcedDMARC(t *testing.T) {
	const own, root = "_dmarc.mail.vendor.com", "_dmarc.vendor.com"
	for record, says := range map[[2]string]string{
		{own, "v=DMARC1; p=reject"}:                            "",
		{own, "v=DMARC1;p=Quarantine;pct=100;t=n"}:             "",
		{own, "v=DMARC1; p=reject; pct=0"}:                     "says pct=0",
		{own, "v=DMARC1; p=quarantine; pct=50"}:                "says pct=50",
		{own, "v=DMARC1; p=reject; t=y"}:                       "says t=y",
		{own, "v=DMARC1; p=reject; sp=none"}:                   "", // sp is for names below this one
		{own, "v=DMARC1; p=none; sp=reject"}:                   "says p=none",
		{own, "v=DMARC1; rua=mailto:a@vendor.com"}:             "has no DMARC record",
		{root, "v=DMARC1; p=reject"}:                           "",
		{root, "v=DMARC1; p=none; sp=reject"}:                  "",
		{root, "v=DMARC1; p=reject; sp=none"}:                  "says sp=none",
		{root, "v=DMARC1; p=reject; sp=quarantine; pct=0"}:     "says pct=0",
		{root, "v=DMARC1; p=none; sp=reject; t=y"}:             "says t=y",
		{root, "v=DMARC1; p=reject; t=y; rua=mailto:a@b.test"}: "says t=y",
	} {
		d := &doctor{}
		d.senderRecords(t.Context(), zone{texts: map[string]string{"mail.vendor.com": "v=spf1 mx -all", record[0]: record[1]}}, "mail.vendor.com")
		if says == "" && len(d.found) > 0 || says != "" && (len(d.found) != 1 || d.found[0].Level != "warning" || !strings.Contains(d.found[0].Says, says)) {
			t.Errorf("%s %s: %+v, want %q", record[0], record[1], d.found, says)
		}
	}
}
