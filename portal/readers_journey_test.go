package portal_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
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

// axeRun holds the page in the window against axe-core, which is there already. Only what is wrong is worked out, and nothing is fetched for rules that we do not ask.
const axeRun = `axe.run(document, {resultTypes: ['violations'], preload: false, runOnly: ['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']}).then(r => r.violations.map(v => v.impact + ' ' + v.id + ': ' + v.nodes.map(n => n.target.join(' ')).join(', ')))`

// readable fails the story when axe-core finds that the page in the window shuts somebody out. It brings axe-core along where it is not there yet.
func (r *reader) readable(what string) {
	r.Helper()
	if !find[bool](r, "'axe' in window") {
		r.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](axeCore(r.T)+";true"))
			return err
		}))
	}
	found, err := chromedp.Run(r.ctx, chromedp.Evaluate[[]string](axeRun, chromedp.EvalAwaitPromise))
	if err != nil {
		r.Fatalf("axe: %v", err)
	}
	for _, f := range found {
		r.Errorf("%s: %s", what, f)
	}
}

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
		plan, err := w.room.PlanMaintenance(ctx, "person:test", comms.Plan{PlanWords: comms.PlanWords{Title: title, Text: "Pages cannot be edited for some minutes."}, Components: []string{"Wiki"}, From: from, Until: from.Add(time.Hour)})
		must(err)
		_, err = w.room.AgreeMaintenance(ctx, "person:second", plan.ID)
		must(err)
		if i == 1 {
			_, err = w.room.TurnMaintenance(ctx, "person:test", plan.ID, comms.MaintenanceHeld, comms.TurnWords{Reason: "Changes are frozen."})
			must(err)
		}
	}
	receipt, err := w.desk.File(ctx, "public:web", desk.Intake{Message: "Our wiki is gone.\n\nWe need it for an audit on Friday.", Email: "eve@customer.example", Name: "Eve", Company: "Customer 3", Impact: desk.LostAccess, Locale: "en", Route: "web"})
	must(err)
	_, err = w.desk.AskCode(ctx, desk.Ask{Why: desk.ToReach, Number: receipt.Number, By: "person:test", Locale: "en"})
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
		"old confirmation": "/c/x?lang={lang}", "proof": mailed("eve@customer.example", "/v/") + "?lang={lang}", "old proof": "/v/x?lang={lang}", "back too late": "/b/x?lang={lang}", "nothing": "/nothing?lang={lang}",
	}
}

// beyond says what of the page in the window lies beyond its edges: as it is, from right to left, and in letters twice as large.
const beyond = `(() => {
	const d = document.documentElement, out = [];
	const beyond = look => {
		if (d.scrollWidth > d.clientWidth) out.push(look + ': the page, ' + (d.scrollWidth - d.clientWidth) + ' px');
		for (const e of document.querySelectorAll('body > :not(.skip), main *, footer *')) {
			const r = e.getBoundingClientRect();
			if (r.width && e.checkVisibility() && !e.closest('.unseen') && (r.left < -1 || r.right > d.clientWidth + 1)) { out.push(look + ': ' + e.outerHTML.slice(0, 120)); break; }
		}
	};
	beyond('as it is');
	d.dir = 'rtl'; beyond('from right to left'); d.dir = 'ltr';
	d.style.fontSize = '200%'; beyond('in large letters'); d.style.fontSize = '';
	return out;
})()`

// onPaper says what is wrong with the page in the window as it would be printed.
const onPaper = `(() => {
	const out = [], style = getComputedStyle(document.body), seen = e => e.checkVisibility();
	if (style.color !== 'rgb(0, 0, 0)' || style.backgroundColor !== 'rgb(255, 255, 255)') out.push(style.color + ' on ' + style.backgroundColor);
	for (const e of document.querySelectorAll('button, input, select, textarea, .tongues, .foot nav')) if (seen(e)) { out.push('a control: ' + e.outerHTML.slice(0, 120)); break; }
	for (const e of document.querySelectorAll('main details:not([open]):not(form *, .screen *) > :not(summary, form)')) if (!seen(e)) { out.push('folded away: ' + e.outerHTML.slice(0, 120)); break; }
	return out;
})()`

// printed shows the page in the window as a printer would, to somebody who prefers dark pages.
func (r *reader) printed() {
	r.Helper()
	r.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
		return err
	}))
}

// drawn puts a page that was fetched already in the place of the one in the window, with its styles and without its script. What the window has in its memory, such as axe-core, stays.
const drawn = `(async html => {
	const next = new DOMParser().parseFromString(html, 'text/html').documentElement;
	const styled = [...next.querySelectorAll('link[rel=stylesheet]')].map(l => new Promise(done => { l.onload = l.onerror = done; }));
	document.replaceChild(document.adoptNode(next), document.documentElement);
	scrollTo(0, 0);
	await Promise.all(styled);
	return true;
})(%s)`

// draws shows a page in the window as the reader sees it who prefers dark pages, or light ones.
func (r *reader) draws(html string, dark bool) {
	r.Helper()
	quoted, err := json.Marshal(html)
	if err != nil {
		r.Fatal(err)
	}
	scheme := map[bool]string{true: "dark", false: "light"}[dark]
	r.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(drawn, quoted), chromedp.EvalAwaitPromise))
		return err
	}))
}

// errand is one request of somebody whose cookies are kept.
type errand struct {
	path   string // {lang} is the language
	form   url.Values
	origin string  // "": ours
	status int     // 0: 200; [whatever]
	often  int     // asked until it is answered so, at most this often; 0: once
	by     *caller // whose cookies it takes; nil: those of whoever runs it
}

// caller runs errands, and weighs what they bring.
type caller struct {
	*town
	http    http.Client
	weights map[string]int // of what pages load, on the wire, by path
}

func (w *town) caller() *caller {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	return &caller{town: w, http: http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, weights: map[string]int{}}
}

// gets runs an errand: the page, and what it took on the wire.
func (c *caller) gets(e errand, lang string) (html string, took int) {
	c.Helper()
	c = cmp.Or(e.by, c)
	path := strings.ReplaceAll(e.path, "{lang}", lang)
	status := 0
	for range max(e.often, 1) {
		method, body := http.MethodGet, ""
		if e.form != nil {
			method, body = http.MethodPost, strings.ReplaceAll(e.form.Encode(), url.QueryEscape("{lang}"), lang)
		}
		req, err := http.NewRequestWithContext(c.Context(), method, c.url+path, strings.NewReader(body))
		if err != nil {
			c.Fatal(err)
		}
		req.Header.Set("Accept", "text/html")
		req.Header.Set("Accept-Encoding", "gzip")
		if e.form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", cmp.Or(e.origin, c.url))
		}
		res, err := c.http.Do(req)
		if err != nil {
			c.Fatal(err)
		}
		wire, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			c.Fatal(err)
		}
		status, took, html = res.StatusCode, headBytes+len(wire), string(wire)
		if res.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(bytes.NewReader(wire))
			if err != nil {
				c.Fatal(err)
			}
			plain, err := io.ReadAll(z)
			if err != nil {
				c.Fatal(err)
			}
			html = string(plain)
		}
		if e.status == whatever || status == cmp.Or(e.status, http.StatusOK) {
			return html, took
		}
	}
	c.Fatalf("%s answers %d: %.300s", path, status, html)
	return "", 0
}

// whatever is any status.
const whatever = -1

// headBytes is what the header of an answer takes, about.
const headBytes = 700

var loaded = regexp.MustCompile(`<(?:link rel="(?:stylesheet|icon)"[^>]* href|script[^>]* src|img[^>]* src)="(/[^"]+)"`)

// whole is what a first visit takes: the page and all that it loads.
func (c *caller) whole(html string, took int) (bytes, requests int) {
	c.Helper()
	bytes, requests = took, 1
	for _, m := range loaded.FindAllStringSubmatch(html, -1) {
		if _, known := c.weights[m[1]]; !known {
			_, c.weights[m[1]] = c.gets(errand{path: m[1]}, "")
		}
		bytes, requests = bytes+c.weights[m[1]], requests+1
	}
	return bytes, requests
}

// more are the pages that come of a press, and those that say that something cannot be done.
func (w *town) more(all map[string]string) map[string]errand {
	w.Helper()
	receipt, err := w.desk.File(w.Context(), "public:web", desk.Intake{Message: "Our wiki is gone.\n\n> On Monday you wrote:\n> please wait", Email: "max@customer.example", Impact: desk.LostAccess, Locale: "en", Route: "web"})
	if err != nil {
		w.Fatal(err)
	}
	more := map[string]errand{
		"receipt":      {path: "/support?lang={lang}", form: url.Values{"message": {"Our wiki is gone."}, "email": {"eve@customer.example"}, "locale": {"{lang}"}}, status: http.StatusCreated},
		"half a form":  {path: "/support?lang={lang}", form: url.Values{"message": {""}, "email": {"eve"}, "locale": {"{lang}"}}, status: http.StatusUnprocessableEntity},
		"open ticket":  {path: "/t/" + receipt.Number + "?lang={lang}", form: url.Values{"secret": {receipt.Secret}, "here": {"1"}}},
		"own, by code": {path: "/me?lang={lang}", form: url.Values{"to": {"person3@customer3.example"}}},
		"subscribed":   {path: "/subscribe?lang={lang}", form: url.Values{"channel": {"email"}, "address": {"ann@reader.example"}, "locale": {"{lang}"}}},
		"forbidden":    {path: "/support?lang={lang}", form: url.Values{"message": {"x"}}, origin: "https://elsewhere.example", status: http.StatusForbidden},
		"not this way": {path: "/card?lang={lang}", form: url.Values{"x": {"y"}}, status: http.StatusMethodNotAllowed},
		"too large":    {path: "/subscribe?lang={lang}", form: url.Values{"address": {strings.Repeat("x", 1<<20)}}, status: http.StatusRequestEntityTooLarge},
		"too often":    {path: "/t/" + receipt.Number + "?lang={lang}", form: url.Values{"secret": {"wrong-wrong"}, "here": {"1"}}, status: http.StatusTooManyRequests, often: 20},
		"our defect":   {path: "/b/" + defect + "?lang={lang}", status: http.StatusInternalServerError},
	}
	for name, path := range all {
		more[name] = errand{path: path, status: whatever} // some are of links that open nothing any more
	}
	return more
}

// defect is a token on which the house breaks.
const defect = "breaks"

var pendingCode = regexp.MustCompile(`name="pending" value="([^"]+)"`)

// proves opens with codes what a link or an address alone does not: somebody's own sites with what is lost of each, and another's own record.
func (w *town) proves() map[string]errand {
	w.Helper()
	c := w.caller()
	sites := strings.TrimPrefix(c.mailed("person20@customer20.example", regexp.MustCompile(regexp.QuoteMeta(c.url+"/y/")+`[\w.-]+`)), c.url)
	opened := map[string]errand{}
	for _, p := range []struct {
		name, page, ask, open, email, says string
		to                                 url.Values
	}{
		{"yours, by code", sites, sites + "/code", sites, "person20@customer20.example", "Restore point", url.Values{}},
		{"own, opened", "/me", "/me", "/me/open", "person21@customer21.example", "contact of Customer 21", url.Values{"to": {"person21@customer21.example"}}},
	} {
		asked, _ := c.gets(errand{path: p.ask + "?lang=en", form: p.to}, "")
		code := url.Values{"pending": {pendingCode.FindStringSubmatch(asked)[1]}, "code": {c.mailed(p.email, codeInMail)}}
		if page, _ := c.gets(errand{path: p.open + "?lang=en", form: code, status: whatever}, ""); !strings.Contains(page, p.says) {
			c.Fatalf("%s does not say %q: %s", p.name, p.says, page)
		}
		opened[p.name] = errand{path: p.page + "?lang={lang}", by: c}
	}
	return opened
}

// Every page that anybody may see can be read by everybody: axe-core finds nothing, nothing is wider than the narrowest window, not from right to left and not in letters twice as
// large, it is black on white and without controls on paper, and a first visit takes less than 30 KB. The pages take turns in languages, and in light and dark; how wide they are is looked at in the language with the longest words.
func TestEveryPublicPageIsForEveryReader(t *testing.T) {
	t.Parallel()
	w := settle(t, func(w *town) {
		w.booked = 31 * 24 * time.Hour
		w.room.Policy.Components = []comms.ComponentPolicy{{Name: "Website", Kind: "website"}, {Name: "Wiki", Group: "Products", Description: "Pages, search and attachments"}, {Name: "Issue tracker", Group: "Products"}, {Name: "Sign-in", Group: "Platform", Kind: "supplier_software"}}
		read := w.desk.Signing.Read
		w.desk.Signing.Read = func(purpose, token string) (string, bool) {
			if strings.Contains(token, defect) {
				panic("a defect of ours")
			}
			return read(purpose, token)
		}
	})
	all := w.rich()
	c := w.caller()
	pages := w.more(all)
	maps.Copy(pages, w.proves())
	r := w.arrives(320)
	r.goes("/de/") // as it is, with its script; the pages below are drawn in its place
	turns := []string{"de", "ja", "fr", "pt-BR"}
	for i, name := range slices.Sorted(maps.Keys(pages)) {
		lang, e := turns[i%len(turns)], pages[name]
		html, took := c.gets(e, lang)
		if bytes, requests := c.whole(html, took); bytes > 30_000 || requests > 6 {
			t.Errorf("%s: a first visit takes %d bytes in %d requests", name, bytes, requests)
		}
		r.draws(html, i%2 == 1)
		what := fmt.Sprintf("%s in %s", name, lang)
		if wrong := find[[]string](r, soundness); len(wrong) > 0 && name != "banner" {
			t.Errorf("%s: %s", what, strings.Join(wrong, "; "))
		}
		r.readable(what)
		if lang != "de" && e.form == nil {
			html, _ = c.gets(e, "de")
			r.draws(html, false)
		}
		if wrong := find[[]string](r, beyond); len(wrong) > 0 {
			t.Errorf("%s: %s", name, strings.Join(wrong, "; "))
		}
		r.printed()
		if wrong := find[[]string](r, onPaper); len(wrong) > 0 && name != "banner" {
			t.Errorf("%s on paper: %s", name, strings.Join(wrong, "; "))
		}
	}
	r.content()
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
