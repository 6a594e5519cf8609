package desk_test

import (
	"strings"
	"testing"

	"lifeline/portal/desk"
)

// What the programs of our customers put around an answer is told from the answer.
func TestQuotationsAreFolded(t *testing.T) {
	for _, c := range []struct{ what, text, own string }{
		{"nothing quoted", "It is gone.\n\nAnn", "It is gone.\n\nAnn"},
		{"Gmail", "Thanks!\n\nOn Tue, Apr 5, 2022 at 9:00 AM Vendor <support@vendor.example> wrote:\n\n> We look\n>\n> Eve\n", "Thanks!\n\n"},
		{"Gmail, broken lines", "Thanks!\n\nOn Tue, Apr 5, 2022 at 9:00 AM Vendor Status Desk\n<support+abc@vendor.example> wrote:\n\n> We look", "Thanks!\n\n"},
		{"Gmail without marks, from a page", "Thanks!\n\nOn Tue, Apr 5, 2022 at 9:00 AM Vendor <support@vendor.example> wrote:\n\nWe look\nEve", "Thanks!\n\n"},
		{"Gmail in Chinese", "谢谢\n\nVendor <support@vendor.example> 于2022年4月5日周二 09:00写道：\n\n> 我们在看", "谢谢\n\n"},
		{"Gmail in Japanese", "ありがとう\n\n2022年4月5日(火) 9:00 Vendor <support@vendor.example>:\n\n> 確認中", "ありがとう\n\n2022年4月5日(火) 9:00 Vendor <support@vendor.example>:\n\n"},
		{"Thunderbird in German", "Danke\n\nAm 05.04.22 um 09:00 schrieb Vendor:\n> Wir sehen nach\n", "Danke\n\n"},
		{"Outlook", "Thanks\n\n________________________________\nFrom: Vendor <support@vendor.example>\nSent: Tuesday, April 5, 2022 9:00 AM\nTo: Ann\nSubject: Re\n\nWe look", "Thanks\n\n"},
		{"Outlook without a rule", "Thanks\n\nFrom: Vendor\nSent: Tuesday\nTo: Ann\nSubject: x\n\nWe look", "Thanks\n\n"},
		{"Outlook in Chinese", "谢谢\n\n发件人: Vendor\n发送时间: 2022年4月5日\n收件人: Ann\n主题: x\n\n我们在看", "谢谢\n\n"},
		{"Outlook in Japanese", "了解\n\n差出人: Vendor\n送信日時: 2022年4月5日\n宛先: Ann\n件名: x\n\n確認中", "了解\n\n"},
		{"an old divider", "Thanks\n\n-----Original Message-----\nFrom: Vendor\n\nWe look", "Thanks\n\n"},
		{"QQ", "谢谢\n\n------------------ 原始邮件 ------------------\n发件人: \"Vendor\"\n", "谢谢\n\n"},
		{"below", "> We look\n\nThanks", "\nThanks"},
		{"between", "> Which site?\nThe wiki.\n> Since when?\nEight.\n", "The wiki.\nEight.\n"},
		{"all of it", "> It is gone", "> It is gone"},
		{"a short introduction right above", "it works\n\nOn Monday Ann wrote:\n> does it?\n>\n> please look\n", "it works\n\n"},
		{"and in Japanese", "見えます。\n\n田中さんのメール：\n> 見えますか", "見えます。\n\n"},
		{"between, twice", "> does it?\nyes\n> and now?\nyes", "yes\nyes"},
		{"signs of a comparison", "a > b\n5 > 4", "a > b\n5 > 4"},
		{"nothing", "", ""},
		{"her own words that look alike", "On Monday my boss wrote:\nwe are lost", "On Monday my boss wrote:\nwe are lost"},
		{"a colon is no header", "From: what I see, everything is gone.\nPlease help", "From: what I see, everything is gone.\nPlease help"},
	} {
		own, whole := "", ""
		for _, p := range desk.Fold(c.text) {
			whole += p.Text
			if !p.Quoted {
				own += p.Text
			}
		}
		if whole != c.text {
			t.Errorf("%s: something is lost: %q", c.what, whole)
		}
		if strings.TrimSpace(own) != strings.TrimSpace(c.own) {
			t.Errorf("%s: %q, want %q", c.what, own, c.own)
		}
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"", "a", "> a\n\n> b", "On 5 Apr x <a@b> wrote:\n> c", "x:\n> y\nz", "\n\n:\n>", ": \n>\n>", "From: a\nDate: b\n\nc", strings.Repeat("On 1 ", 300) + "wrote:\n", "____________________\n\nFrom: x\nSent: y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		whole, own := "", false
		for _, p := range desk.Fold(text) {
			if p.Text == "" {
				t.Error("an empty piece")
			}
			whole += p.Text
			own = own || !p.Quoted
		}
		if whole != text || text != "" && !own {
			t.Errorf("%q became %q", text, whole)
		}
	})
}
