package templates

import (
	"strings"
	"testing"
)

// A code is read as people type it, whatever they take for what; two updates have two codes, and what can be no code is none.
func TestACodeIsReadAsItIsTyped(t *testing.T) {
	code := CheckCode("upd_1")
	if len(code) != codeLength || code != CheckCode("upd_1") || code == CheckCode("upd_2") {
		t.Errorf("%q", code)
	}
	shown := ShownCode(code)
	for _, typed := range []string{code, shown, strings.ToLower(shown), " " + shown[:2] + " " + shown[2:] + " "} {
		if got := ReadCode(typed); got != code {
			t.Errorf("%q is read as %q, not %q", typed, got, code)
		}
	}
	if got := ReadCode("oil-1234"); got != "0111234" {
		t.Errorf("letters that look like digits: %q", got)
	}
	for _, typed := range []string{"", "123456", "12345678", "123456U", "ab!-efgh", "１２３４５６７"} {
		if got := ReadCode(typed); got != "" {
			t.Errorf("%q is read as %q", typed, got)
		}
	}
}

// Every channel on which an update goes to people carries its code, and says what we never ask for where it has room.
func TestEveryChannelCarriesTheCode(t *testing.T) {
	for _, s := range scenarios() {
		code := CheckCode(s.update.ID)
		for _, locale := range Locales() {
			for _, channel := range []string{Email, SMS, OnPage, Tickets} {
				r, err := loaded.Update(channel, locale, s.update, s.vendor)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(strings.ReplaceAll(r.Text+r.HTML, "-", ""), code) {
					t.Errorf("%s on %s in %s does not carry %s: %s", s.name, channel, locale, code, r.Text)
				}
			}
		}
	}
}
