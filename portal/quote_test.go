package portal

import (
	"strings"
	"testing"
)

func TestWhatIsQuotedIsFoldedAwayAndNothingIsLost(t *testing.T) {
	for _, c := range []struct{ text, said, quoted string }{
		{"it works", "it works", ""},
		{"it works\n\nOn Monday Ann wrote:\n> does it?\n>\n> please look\n", "it works\n\n", "On Monday Ann wrote:\n> does it?\n>\n> please look\n"},
		{"> does it?\nyes\n> and now?\nyes", "yes\nyes", "> does it?\n> and now?\n"},
		{"見えます。\n\n田中さんのメール：\n> 見えますか", "見えます。\n\n", "田中さんのメール：\n> 見えますか"},
		{"> only\n> quotations\n", "> only\n> quotations\n", ""},
		{"a > b\n5 > 4", "a > b\n5 > 4", ""},
		{"", "", ""},
	} {
		var said, quoted, whole strings.Builder
		for _, p := range parts(c.text) {
			whole.WriteString(p.Text)
			if p.Quoted {
				quoted.WriteString(p.Text)
			} else {
				said.WriteString(p.Text)
			}
		}
		if said.String() != c.said || quoted.String() != c.quoted || whole.String() != c.text {
			t.Errorf("%q: said %q, quoted %q, whole %q", c.text, said.String(), quoted.String(), whole.String())
		}
	}
}

func FuzzQuotes(f *testing.F) {
	for _, seed := range []string{"", ">", "a\n> b", "x:\n> y\nz", "\n\n:\n>", ": \n>\n>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var whole strings.Builder
		for _, p := range parts(text) {
			whole.WriteString(p.Text)
		}
		if whole.String() != text {
			t.Errorf("%q became %q", text, whole.String())
		}
	})
}
