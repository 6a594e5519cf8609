package templates

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// hostile is what a stranger, a product or a careless hand may put where a person's words belong.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</title></head><body onload=alert(1)>`, `<!--`, `]]>`, `&lt;b&gt; &#x3c;`, `<a href="javascript:alert(1)">x</a>`,
	"a\r\nBcc: everybody@example.com\r\n\r\nbody", "a\nSubject: b", "a\vb\fc\u0085d\u2028e\u2029f", "\x00\x1b[2Jx\x7f\u009b",
	"\u202egnp.exe", "\u2066a\u2069\u200f\u061c", "pass\u200bword\u00ad\u2060\ufeff", "\U000e0041\U000e0042x", "\ue000private",
	"{{.Vendor.Name}} {{template \"x\"}}", "{0} {1} {n}", "%s %d %!v(MISSING)", "⟦update.number⟧", "${x} #{x} <%= x %> [[x]] %%name%%", "*|NAME|*",
	strings.Repeat("w", 1100), strings.Repeat("長", 700), strings.Repeat("😥", 300), "e" + strings.Repeat("\u0301", 200), strings.Repeat("👩‍", 100),
	"\xff\xfe broken \xc3", "=?utf-8?q?x?=", ".", "-- ", "- item", "", "   ", "\u200d", "🇯🇵🇩",
}

// victim is an update in which a person's words stand wherever they may.
func victim(words string) (Update, Vendor) {
	u := named("02_identified").update
	u.Statement.Headline, u.Statement.WhatHappened, u.Statement.YourAction, u.Statement.Technical = words, words, words, words
	u.Statement.Scope = Scope{Products: []string{words}, Regions: []string{words}, Text: words}
	u.Statement.Affected.Who, u.Statement.Timeline.Text, u.Statement.DataLoss.Text = words, words, words
	u.Statement.Known, u.Statement.Unknown, u.Statement.Doing = []string{words}, []string{words}, []string{words}
	u.Pinned, u.Incident.Title = []string{words}, words
	return u, acme
}

// Whatever is written, it stays words: no element, no header, no second line in a subject, nothing that turns the reading direction, nothing read as a template.
func TestHostileWords(t *testing.T) {
	for _, words := range hostile {
		u, v := victim(words)
		for _, locale := range []string{"en", "ja", "fr", "ko"} { // one of each sort of script and of spaces; the others differ in words alone
			checkUpdate(t, locale, u, v)
		}
		for _, name := range Messages() {
			checkMessage(t, name, words)
		}
	}
	// What looks like a placeholder is shown as it was written.
	for _, words := range []string{"{{.Vendor.Name}} is down", "{0} of {1}", "%s %d"} {
		u, v := victim(words)
		for channel, text := range channelTexts(t, "en", scenario{"hostile", v, u}) {
			if !strings.Contains(text, words) {
				t.Errorf("%s lacks %q: %s", channel, words, text)
			}
		}
	}
}

func checkMessage(t *testing.T, name, words string) {
	t.Helper()
	data := map[string]any{
		MsgTicketAck: TicketAck{Number: words, URL: words}, MsgDeadline: DeadlineNotice{What: words, Of: words, URL: words},
		MsgDeclared:      Declared{Title: words, Severity: words, Category: words, Summary: words, Impact: words, URL: words},
		MsgAccount:       AccountNotice{What: words, Number: words, URL: words},
		MsgCode:          Code{Code: words, Minutes: 10, Number: words, URL: words},
		MsgSubscribe:     Subscribe{URL: words},
		MsgMaintenance:   Planned{Title: words, Lines: []string{words}, Components: words, What: words, Reason: words, URL: words},
		MsgConfirm:       Confirm{URL: words, Card: words, From: words, Number: words, Account: words},
		MsgTicketAnswer:  TicketAnswer{Number: words, URL: words, Phrase: words, Lines: []string{words, "", words}, Files: 1, Reply: true},
		MsgSiteNews:      SiteNews{Back: []string{words}, Passed: []string{words}, Failed: []string{words}, Again: []string{words}, URL: words},
		MsgSiteBack:      SiteBack{Site: words, URL: words},
		MsgWayIn:         WayIn{What: words, By: words, URL: words},
		MsgSecondReading: SecondReading{Title: words, Severity: words, Headline: words, URL: words},
	}[name]
	for _, channel := range []string{Email, SMS} {
		r, err := loaded.Message(channel, name, "ja", data, acme)
		if err != nil {
			t.Errorf("%s with %.40q: %v", name, words, err)
			continue
		}
		checkRendered(t, channel, r, acme, oneLine(words)) // the address is data
	}
}

func checkUpdate(t *testing.T, locale string, u Update, v Vendor) {
	t.Helper()
	for _, channel := range []string{Email, SMS, OnPage, Tickets} {
		r, err := loaded.Update(channel, locale, u, v)
		if err != nil {
			t.Fatalf("%s in %s with %.60q: %v", channel, locale, u.Statement.Headline, err)
		}
		checkRendered(t, channel, r, v, u.Incident.URL)
	}
}

func checkRendered(t *testing.T, channel string, r Rendered, v Vendor, page string) {
	t.Helper()
	for part, text := range map[string]string{"subject": r.Subject, "text": r.Text, "HTML": r.HTML} {
		if !utf8.ValidString(text) {
			t.Fatalf("%s: the %s is no UTF-8: %.200q", channel, part, text)
		}
		for _, c := range text {
			if c != '\n' && c != '\u200c' && c != '\u200d' && unicode.In(c, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || c == '\n' && part == "subject" {
				t.Fatalf("%s: the %s holds %U: %.200q", channel, part, c, text)
			}
		}
	}
	if channel == SMS {
		if n, _ := Segments(r.Text); n > maxSegments || n != r.Segments || n == 0 {
			t.Fatalf("%d segments, said to be %d: %q", n, r.Segments, r.Text)
		}
	}
	if r.HTML != "" {
		checkHTML(t, r.HTML, []string{v.Support, callAddress(v.Support), v.URL, v.URL + "/verify", page, "tel:" + v.Phone})
	}
}

var (
	ourTags  = strings.Fields("html head meta title style body main h1 h2 h3 h4 p ul li div strong a time span hr article dl dt dd")
	ourAttrs = strings.Fields("lang charset name content class datetime href id")
)

// checkHTML reads what a browser would read and finds only our own elements, attributes and links.
func checkHTML(t *testing.T, text string, links []string) {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(text))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.CommentToken:
			t.Fatalf("a comment: %.300q", z.Raw())
		case html.StartTagToken, html.SelfClosingTagToken:
			tag := z.Token()
			if !slices.Contains(ourTags, tag.Data) {
				t.Fatalf("an element of somebody else: %s", tag)
			}
			for _, a := range tag.Attr {
				if !slices.Contains(ourAttrs, a.Key) {
					t.Fatalf("an attribute of somebody else: %s", tag)
				}
				base, _, _ := strings.Cut(a.Val, "#")
				if a.Key == "href" && !slices.Contains(links, base) {
					t.Fatalf("a link of somebody else: %s", tag)
				}
			}
		}
	}
}

func FuzzUpdate(f *testing.F) {
	for i := 0; i < len(hostile); i += 5 { // [TestHostileWords] tries them all
		f.Add(hostile[i], "Acme", "en", uint8(i), int64(i)*1e9)
	}
	f.Fuzz(func(t *testing.T, words, vendor, prose string, shape uint8, seconds int64) {
		all := scenarios()
		base := all[int(shape)%len(all)].update
		u, v := victim(words)
		u.Number, u.Statement.Phase, u.Statement.Affected, u.Statement.Timeline, u.Statement.DataLoss = base.Number, base.Statement.Phase, base.Statement.Affected, base.Statement.Timeline, base.Statement.DataLoss
		u.FirstWord, u.Unread, u.Corrects, u.Retracted, u.Drill, u.Restored, u.Security = base.FirstWord, base.Unread, base.Corrects, base.Retracted, base.Drill, base.Restored, base.Security
		u.Statement.Affected.Who, u.Statement.Timeline.Text, u.Statement.DataLoss.Text = words, words, words
		u.Statement.Locales = []string{prose, "en"}
		u.Statement.NextUpdateBy.At = time.Unix(seconds%(1<<33), 0)
		v.Name, v.Zone = vendor, prose
		for _, locale := range []string{"en", "ja", "fr", "ko"} { // one of each sort of script and of spaces; the others differ in words alone
			checkUpdate(t, locale, u, v)
		}
		for _, name := range Messages() {
			checkMessage(t, name, words)
		}
	})
}

func FuzzSMS(f *testing.F) {
	for i, words := range hostile {
		f.Add(words, "Do nothing yet", "Acme", "https://status.acme.example", i%2 == 0)
	}
	f.Add("お客様のサイトが削除されました", "操作は不要です", "アクメ株式会社", "https://x.example/"+strings.Repeat("y", 200), true)
	f.Fuzz(func(t *testing.T, headline, action, vendor, address string, foreign bool) {
		u := named("03_range").update
		u.Statement.Headline, u.Statement.YourAction, u.Pinned = headline, action, []string{action, headline}
		u.Statement.Locales = []string{"en"}
		if foreign {
			u.Statement.Locales = []string{"ja", "en", "zh-CN"}
		}
		for _, locale := range Locales() {
			r, err := loaded.Update(SMS, locale, u, Vendor{Name: vendor, URL: address, Support: address + "/support", Zone: "Asia/Tokyo"})
			if err != nil {
				t.Fatal(err)
			}
			checkRendered(t, SMS, r, acme, "")
			c := loaded.Catalog(locale)
			next := plainly(c.T("sms.next", c.short(u.Statement.NextUpdateBy.At, "Asia/Tokyo")))
			if !strings.Contains(plainly(firstSegment(r.Text)), next) {
				t.Fatalf("%s: the first segment lacks the next time: %q", locale, r.Text)
			}
			if !strings.Contains(plainly(r.Text), "112") { // the restored figures are the last to go
				t.Fatalf("%s: lacks the figures: %q", locale, r.Text)
			}
		}
	})
}
