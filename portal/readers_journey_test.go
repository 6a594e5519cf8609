package portal_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"lifeline/comms"
	"lifeline/portal"
	"lifeline/portal/desk"
	"lifeline/portal/web/webshot"
	"lifeline/templates"
)

// axeCore is what finds whom a page shuts out: axe-core 4.14.1, MPL 2.0, as its makers publish it.
func axeCore(t *testing.T) string {
	t.Helper()
	f, err := os.Open("testdata/axe.min.js.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	script, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

const axeRun = `;axe.run({runOnly:['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']}).then(r => r.violations.map(v => v.impact + ' ' + v.id + ': ' + v.nodes.map(n => n.target.join(' ')).join(', ')))`

// rich is a vendor in the middle of much: an incident with figures, a correction and answers, one that is over, planned work of every state, and people who wrote.
// It gives the address of each page that anybody may see, by what it is; in each {lang} is the language.
func (w *town) rich() map[string]string {
	w.Helper()
	ctx := w.Context()
	must := func(err error) {
		w.Helper()
		if err != nil {
			w.Fatal(err)
		}
	}
	old, err := w.room.Declare(ctx, "person:test", comms.Declare{Title: "Search is slow", Severity: "P2", Category: w.room.Policy.Categories[0], Impact: "Results take a minute"})
	must(err)
	w.say(old.ID, "Search is slow for some")
	state := comms.Resolved
	_, err = w.room.Amend(ctx, "person:test", old.ID, 0, comms.Amend{State: &state, Reason: "It is as fast as before."})
	must(err)
	in := w.incident()
	w.say(in.ID, "Customer sites cannot be opened")
	wrong := w.say(in.ID, "First sites are back")
	_, err = w.room.Retract(ctx, "person:test", wrong.ID, "The figures were those of a rehearsal.")
	must(err)
	last := w.say(in.ID, "First sites are back; about two more weeks for the rest")
	for i, q := range []string{"Do I have to file a ticket?", "Is my data safe?"} {
		a, err := w.room.DraftAnswer(ctx, "person:test", "", 0, in.ID, comms.AnswerWords{Locale: "en", Question: q, Text: "Only if your site is not named in our mail.\nWe restore it in any case.",
			Translations: map[string]comms.TranslatedText{"ja": {Question: "チケットは必要ですか。", Text: "メールにお客様のサイトの記載がない場合だけです。"}}})
		must(err)
		_, err = w.room.ApproveAnswer(ctx, "person:second", a.ID, a.Version)
		must(err)
		if i == 1 {
			_, err = w.room.WithdrawAnswer(ctx, "person:test", a.ID, "We look into it again.")
			must(err)
		}
	}
	for i, title := range []string{"Database upgrade", "Network cards in two of three halls"} {
		from := time.Now().Add(time.Duration(24*(i+1)) * time.Hour).Truncate(time.Minute)
		plan, err := w.room.PlanMaintenance(ctx, "person:test", comms.Plan{Title: title, Text: "Pages cannot be edited for some minutes.", Components: []string{"Wiki"}, From: from, Until: from.Add(time.Hour)})
		must(err)
		_, err = w.room.AgreeMaintenance(ctx, "person:second", plan.ID)
		must(err)
		if i == 1 {
			_, err = w.room.TurnMaintenance(ctx, "person:test", plan.ID, comms.MaintenanceHeld, "Changes are frozen.")
			must(err)
		}
	}
	receipt, err := w.desk.File(ctx, "public:web", desk.Intake{Message: "Our wiki is gone.\n\nWe need it for an audit on Friday.", Email: "eve@customer.example", Name: "Eve", Company: "Customer 3", Impact: desk.LostAccess, Locale: "en", Route: "web"})
	must(err)
	must(w.room.AskSubscription(ctx, comms.Subscribe{Channel: comms.ChannelEmail, Address: "sue@reader.example", Locale: "en"}))
	must(w.room.AskSubscription(ctx, comms.Subscribe{Channel: comms.ChannelWebhook, Address: "https://a-program-with-a-long-name.reader.example/hook", Locale: "en"}))
	hook := regexp.MustCompile(`/s/[\w.-]+`).FindString((<-w.posts).Text)
	subject, _ := w.gate.Key.OpenLink(portal.LinkSubscription, strings.TrimPrefix(hook, "/s/"))
	must(w.room.KeepSubscription(ctx, subject, comms.Wanted{Owner: "ops@reader.example"}))
	mailed := func(to, prefix string) string { // the path of a link
		return strings.TrimPrefix(w.mailed(to, regexp.MustCompile(regexp.QuoteMeta(w.url+prefix)+`[\w.-]+`)), w.url)
	}
	short := in.Value.Short
	w.shows("/en/", "Database upgrade")
	w.shows("/en/questions", "Do I have to")
	return map[string]string{
		"home": "/{lang}/", "incident": "/{lang}/incidents/" + short, "past": "/{lang}/incidents/" + old.Value.Short, "history": "/{lang}/history", "questions": "/{lang}/questions",
		"verify": "/{lang}/verify", "genuine": "/{lang}/verify/" + templates.CheckCode(last.ID), "fake": "/verify/ZZZZZZZ?lang={lang}", "banner": "/{lang}/banner",
		"form": "/support?lang={lang}", "ticket": "/t/" + receipt.Number + "?lang={lang}", "lost": "/t/" + receipt.Number + "?lost=1&lang={lang}", "mailed ticket": "/t/" + receipt.Number + "?k=x&lang={lang}",
		"own": "/me?lang={lang}", "card": "/card?lang={lang}", "subscribe": "/subscribe?lang={lang}", "subscribe to one": "/subscribe?incident=" + short + "&lang={lang}",
		"subscription": mailed("sue@reader.example", "/s/") + "?lang={lang}", "webhook": hook + "?did=tested&lang={lang}", "no subscription": "/s/x?lang={lang}",
		"yours": mailed("person0@customer0.example", "/y/") + "?lang={lang}", "not yours": "/y/x?lang={lang}",
		"old confirmation": "/c/x?lang={lang}", "old proof": "/v/x?lang={lang}", "back too late": "/b/x?lang={lang}", "nothing": "/nothing?lang={lang}",
	}
}

// measure says what the page in the window took, when nothing was kept from before: bytes on the wire and requests; and what of it lies beyond the edges of the window as it is, from
// right to left, and in letters twice as large.
const measure = `(() => {
	const d = document.documentElement, all = performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource')).filter(e => !e.name.endsWith('/live'));
	const beyond = look => {
		if (d.scrollWidth > d.clientWidth) out.beyond.push(look + ': the page, ' + (d.scrollWidth - d.clientWidth) + ' px');
		for (const e of document.querySelectorAll('body > :not(.skip), main *, footer *')) {
			const r = e.getBoundingClientRect();
			if (r.width && e.checkVisibility() && !e.closest('.unseen') && (r.left < -1 || r.right > d.clientWidth + 1)) { out.beyond.push(look + ': ' + e.outerHTML.slice(0, 120)); break; }
		}
	};
	const out = {bytes: all.reduce((n, e) => n + e.transferSize, 0), requests: all.length, beyond: []};
	beyond('as it is');
	d.dir = 'rtl'; beyond('from right to left'); d.dir = 'ltr';
	d.style.fontSize = '200%'; beyond('in large letters'); d.style.fontSize = '';
	return out;
})()`

type measured struct {
	Bytes, Requests int
	Beyond          []string
}

// Every page that anybody may see can be read by everybody: axe-core finds nothing, nothing is wider than the narrowest window, not from right to left and not in letters twice as
// large, and a first visit takes less than 30 KB.
func TestEveryPublicPageIsForEveryReader(t *testing.T) {
	w := settle(t, func(w *town) {
		w.room.Policy.Components = []comms.ComponentPolicy{{Name: "Website", Kind: "website"}, {Name: "Wiki", Group: "Products", Description: "Pages, search and attachments"}, {Name: "Issue tracker", Group: "Products"}, {Name: "Sign-in", Group: "Platform", Kind: "supplier_software"}}
	})
	all := w.rich()
	script := axeCore(t)
	r := w.arrives(320, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
		return err
	}))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r.goes(strings.ReplaceAll(all[name], "{lang}", "de")) // of our languages the one with the longest words
		if got := find[measured](r, measure); got.Bytes > 30_000 || got.Bytes == 0 || got.Requests > 6 || len(got.Beyond) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
		if wrong := find[[]string](r, soundness); len(wrong) > 0 && name != "banner" {
			t.Errorf("%s: %s", name, strings.Join(wrong, "; "))
		}
		found, err := chromedp.Run(r.ctx, chromedp.Evaluate[[]string](script+axeRun, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatalf("axe: %v", err)
		}
		for _, f := range found {
			t.Errorf("%s: %s", name, f)
		}
	}
	r.content("404")
	if *pictures != "" {
		w.gallery(all)
	}
}

// gallery takes the pictures that people look at: every page in languages, widths, light and dark, printed, in large letters and in forced colours, one sheet for each look.
func (w *town) gallery(all map[string]string) {
	w.Helper()
	do := func(script string) []chromedp.Action[chromedp.Void] {
		return []chromedp.Action[chromedp.Void]{chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script+";true"))
			return err
		})}
	}
	forced := []chromedp.Action[chromedp.Void]{chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}}})
		return err
	})}
	looks := map[string]webshot.Look{
		"320": {Width: 320}, "390": {Width: 390}, "768": {Width: 768}, "1280": {Width: 1280}, "390-dark": {Width: 390, Dark: true}, "1280-dark": {Width: 1280, Dark: true}, "print": {Width: 768, Print: true},
		"large": {Width: 390, Do: do("document.documentElement.style.fontSize='200%'")}, "rtl": {Width: 390, Do: do("document.documentElement.dir='rtl'")}, "forced": {Width: 390, Do: forced},
	}
	languages := []string{"en", "de", "ko", "pt-BR", "zh-CN", "ja"}
	for kind, look := range looks {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			for _, lang := range languages {
				if (kind == "print" || kind == "large" || kind == "rtl" || kind == "forced" || kind == "1280-dark") && lang != "en" && lang != "ko" {
					continue
				}
				file := filepath.Join(*pictures, fmt.Sprintf("%s-%s-%s.png", strings.ReplaceAll(name, " ", "_"), kind, lang))
				over, err := w.browser.Shot(w.url+strings.ReplaceAll(all[name], "{lang}", lang), look, file)
				if err != nil {
					w.Fatal(err)
				}
				if over > 0 {
					w.Errorf("%s is %d pixels wider than its window", file, over)
				}
			}
		}
	}
}
