package contacts

import (
	"strings"
	"testing"
	"time"
)

func TestParseEmail(t *testing.T) {
	for in, want := range map[string]string{
		"ann@example.com":                        "ann@example.com",
		" Ann.Lee+x@EXAMPLE.com ":                "Ann.Lee+x@example.com",
		"o'neil@example.co.uk":                   "o'neil@example.co.uk",
		"info@bücher.example":                    "info@xn--bcher-kva.example",
		"用户@例子.公司":                               "用户@xn--fsqu00a.xn--55qx5d",
		"a@xn--bcher-kva.example":                "a@xn--bcher-kva.example",
		strings.Repeat("a", 64) + "@example.com": strings.Repeat("a", 64) + "@example.com",

		"":                                       "",
		"ann":                                    "",
		"ann@":                                   "",
		"@example.com":                           "",
		"ann@example":                            "",
		"ann@localhost":                          "",
		"ann@10.0.0.1":                           "",
		"ann@[10.0.0.1]":                         "",
		"ann@@example.com":                       "",
		"ann..lee@example.com":                   "",
		"ann@exa mple.com":                       "",
		"ann lee@example.com":                    "",
		`"ann lee"@example.com`:                  "",
		"Ann <ann@example.com>":                  "",
		"<ann@example.com>":                      "",
		"ann@example.com,bob@e.com":              "",
		"ann@example.com(comment)":               "",
		"ann@example.com\nBcc: x@y.zz":           "",
		"ann@exam\u202eple.com":                  "",
		"ann@-example.com":                       "",
		"ann@exa_mple.com":                       "",
		"ann\x00@example.com":                    "",
		"ann@example.com\xff":                    "",
		strings.Repeat("a", 65) + "@example.com": "",
		"a@" + strings.Repeat("a.", 130) + "example.com":                 "",
		"a@" + strings.Repeat("x", 64) + ".com":                          "",
		strings.Repeat("é", 40) + "@example.com":                         "",
		strings.Repeat("a", 60) + "@" + strings.Repeat("b.", 97) + "com": "",
	} {
		got, err := ParseEmail(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestParsePhone(t *testing.T) {
	for _, c := range []struct{ in, country, want string }{
		{"+49 30 901820", "", "+4930901820"},
		{"+1 (202) 555-0100", "", "+12025550100"},
		{"030 901820", "DE", "+4930901820"},
		{"0049 30 901820", "DE", "+4930901820"},
		{"+81 3 1234 5678", "US", "+81312345678"},
		{"＋４９３０９０１８２０", "", "+4930901820"},
		{"030 901820", "", ""},
		{"+1 555 0100", "", ""}, // local only
		{"+999 123456789", "", ""},
		{"+49 30 901820 ext. 7", "", ""},
		{"1-800-FLOWERS", "US", ""},
		{"tel:+4930901820", "", ""},
		{"110", "DE", ""},
		{"+4930901820\r\nX", "", ""},
		{strings.Repeat("1", 41), "DE", ""},
		{"", "DE", ""},
	} {
		got, err := ParsePhone(c.in, c.country)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q in %q: got %q, %v; want %q", c.in, c.country, got, err, c.want)
		}
	}
}

func TestOtherValues(t *testing.T) {
	now := time.Date(2022, 4, 5, 0, 0, 0, 0, time.UTC)
	confirmed := func(s string) (string, error) {
		at, err := parseConfirmed(s, now)
		return at.Format(time.RFC3339), err
	}
	name := func(s string) (string, error) { return text(s, 10) }
	for _, c := range []struct {
		parse    func(string) (string, error)
		in, want string // "!": refused
	}{
		{parseLocale, "zh-cn", "zh-CN"}, {parseLocale, "ja", "ja"}, {parseLocale, "pt_BR", "pt-BR"}, {parseLocale, "english", "!"}, {parseLocale, "xx-", "!"}, {parseLocale, "und", "!"},
		{parseZone, "Europe/Berlin", "Europe/Berlin"}, {parseZone, "UTC", "UTC"}, {parseZone, "Local", "!"}, {parseZone, "../etc/passwd", "!"}, {parseZone, "Mars/Base", "!"},
		{confirmed, "2022-04-04", "2022-04-04T00:00:00Z"}, {confirmed, "2022-04-04T10:00:00+02:00", "2022-04-04T08:00:00Z"},
		{confirmed, "2022-05-01", "!"}, {confirmed, "1970-01-01", "!"}, {confirmed, "04/05/2022", "!"},
		{parseDomain, "Bücher.Example", "xn--bcher-kva.example"}, {parseDomain, "example", "!"}, {parseDomain, "https://example.com", "!"}, {parseDomain, "10.0.0.1", "!"},
		{parseURL, "acme.example/wiki", "https://acme.example/wiki"}, {parseURL, "http://10.0.0.1:8080/x", "http://10.0.0.1:8080/x"},
		{parseURL, "javascript:alert(1)", "!"}, {parseURL, "ftp://acme.example", "!"}, {parseURL, "https://user:pass@acme.example", "!"}, {parseURL, "https://a b.example", "!"}, {parseURL, "https://", "!"},
		{name, "  A\u0301nn ", "Ánn"}, {name, "a\tb", "!"}, {name, "a\u2028b", "!"}, {name, "a\u202eb", "!"}, {name, "12345678901", "!"}, {name, "😀😀😀😀😀😀😀😀😀😀", "😀😀😀😀😀😀😀😀😀😀"},
	} {
		got, err := c.parse(c.in)
		if err != nil {
			got = "!"
		}
		if got != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestURLKey(t *testing.T) {
	for _, same := range [][]string{
		{"https://acme.example/wiki", "http://www.ACME.example:80/wiki/", "acme.example/wiki?x=1#y"},
		{"https://bücher.example", "xn--bcher-kva.example/"},
		{"https://acme.example:8443", "acme.example:8443/"},
	} {
		for _, s := range same[1:] {
			if URLKey(s) != URLKey(same[0]) {
				t.Errorf("%q has key %q, %q has %q", s, URLKey(s), same[0], URLKey(same[0]))
			}
		}
	}
	if URLKey("https://acme.example/a") == URLKey("https://acme.example/b") || URLKey("not a url") != "" {
		t.Error("keys that must differ are equal")
	}
}

func TestMasks(t *testing.T) {
	for in, want := range map[string]string{"ann@example.com": "a…@example.com", "用户@example.com": "用…@example.com", "x": "…", "@x": "…"} {
		if got := MaskEmail(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	if got := Mask(SMS, "+4930901867"); got != "+49…67" {
		t.Error(got)
	}
}

func TestWeigh(t *testing.T) {
	p := DefaultPolicy()
	old, young := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name              string
		have, offers      string
		haveAt, offeredAt time.Time
		later             bool // another import than the one that said what stands
		want              verdict
	}{
		{"weaker, fresher", "customer", "product", old, young, true, keep},
		{"weaker, undated", "billing", "other-thing", time.Time{}, time.Time{}, true, keep},
		{"stronger, fresher", "product", "customer", old, young, true, take},
		{"stronger, as fresh", "product", "billing", old, old, true, take},
		{"both undated, stronger", "product", "billing", time.Time{}, time.Time{}, true, take},
		{"stronger, staler", "product", "customer", young, old, true, conflict},
		{"stronger, undated", "product", "customer", young, time.Time{}, true, conflict},
		{"as strong, fresher", "billing", "crm", old, young, true, take},
		{"as strong, staler", "billing", "crm", young, old, true, keep},
		{"as strong, as fresh", "billing", "crm", old, old, true, conflict},
		{"as strong, undated", "billing", "crm", time.Time{}, time.Time{}, true, conflict},
		{"as strong, dated over undated", "billing", "crm", time.Time{}, old, true, take},
		{"corrects itself later", "billing", "billing", time.Time{}, time.Time{}, true, take},
		{"contradicts itself in one file", "billing", "billing", time.Time{}, time.Time{}, false, conflict},
		{"itself, staler", "billing", "billing", young, old, true, keep},
		{"dated names of one class", "billing-2021", "billing-2022", old, old, true, conflict},
	} {
		seen := young
		if c.later {
			seen = young.Add(time.Hour)
		}
		got := weigh(Origin{Source: c.have, ConfirmedAt: c.haveAt, Seen: young}, statement{source: c.offers, rank: p.rank, confirmed: c.offeredAt, seen: seen})
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestReach(t *testing.T) {
	at := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		name    string
		contact Contact
		channel string
		want    string // first usable address, or the reason
	}{
		{"none", Contact{}, Email, NoAddress},
		{"other channel", Contact{Phones: []Address{{Value: "+1"}}}, Email, NoAddress},
		{"confirmed last first", Contact{Emails: []Address{{Value: "a", ConfirmedAt: at(2020)}, {Value: "b", ConfirmedAt: at(2021)}}}, Email, "b"},
		{"order kept", Contact{Emails: []Address{{Value: "a"}, {Value: "b"}}}, Email, "a"},
		{"bounced passed over", Contact{Emails: []Address{{Value: "a", Bounced: true}, {Value: "b"}}}, Email, "b"},
		{"all bounced", Contact{Emails: []Address{{Value: "a", Bounced: true}}}, Email, Bounced},
		{"opted out", Contact{Phones: []Address{{Value: "a", OptedOut: true}}}, SMS, OptedOut},
		{"both", Contact{Phones: []Address{{Value: "a", OptedOut: true}, {Value: "b", Bounced: true}}}, SMS, Bounced},
		{"channel off", Contact{Channels: []string{SMS}, Emails: []Address{{Value: "a"}}}, Email, ChannelOff},
		{"channel on", Contact{Channels: []string{Email}, Emails: []Address{{Value: "a"}}}, Email, "a"},
		{"no such channel", Contact{Emails: []Address{{Value: "a"}}}, "fax", NoAddress},
	} {
		usable, got := Reach(c.contact, c.channel)
		if len(usable) > 0 {
			got += usable[0].Value
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestPolicyCheck(t *testing.T) {
	if err := DefaultPolicy().Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Policy){
		"contacts.phone_country":    func(p *Policy) { p.PhoneCountry = "Germany" },
		"contacts.tiers":            func(p *Policy) { p.Tiers["gold"] = 4 },
		"contacts.default_tier":     func(p *Policy) { p.DefaultTier = -1 },
		"contacts.sources":          func(p *Policy) { p.Sources["friends"] = nil },
		"contacts.max_import_bytes": func(p *Policy) { p.MaxImport = 0 },
		"contacts.stale_after":      func(p *Policy) { p.StaleAfter.Others = 0 },
	} {
		p := DefaultPolicy()
		spoil(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
