package portal_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"lifeline/comms/email/smtptest"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/portal/web/webshot"
)

// The comms lead writes an update with findings as she types, loses her window, finds her words again, and publishes after somebody
// else approved. The room counts who is told while the mails go out; the status page says it at once, and asks nobody else.
func TestAnUpdateGoesOutUnderTwoPairsOfEyes(t *testing.T) {
	t.Parallel()
	w := settle(t)
	in := w.incident()
	room := "/desk/incidents/" + in.ID
	lead := w.signsIn(auth.Comms, "Lea", 1280)
	lead.goes(room)
	lead.do(press("#live a.button.strong"), chromedp.WaitReady("#editor"))

	lead.do(chromedp.SendKeys("#in-headline", "Sites come back shortly"))
	lead.sees("#saved", "saved")
	lead.sees("#check .findings", "must mend")
	lead.do(chromedp.Reload(), chromedp.WaitReady("#editor"))
	if typed := find[string](lead, "document.querySelector('#in-headline').value"); typed != "Sites come back shortly" {
		t.Fatalf("after a reload the headline is %q", typed)
	}
	next := time.Now().UTC().Add(time.Hour).Format("2006-01-02 15:04")
	for field, text := range map[string]string{
		"headline": "First sites are back", "what_happened": "A maintenance script deleted the sites of active customers.", "your_action": "nothing",
		"scope.products": "Wiki", "scope.regions": "all regions", "scope.text": "sites in the cloud", "affected.who": "a site that cannot be opened",
		"affected.sites": "60", "affected.customers": "60", "timeline.full_scope_by": "not_known", "known": "Backups exist.", "unknown": "The day for each site.",
		"doing": "Two teams restore.", "next_update_by": next, "audience": "affected",
	} {
		lead.do(chromedp.SetValue("#in-"+strings.ReplaceAll(field, ".", `\.`), text))
	}
	lead.do(press("input[name=channels][value=sms]")) // no relay for it here
	lead.sees("#check", "First sites are back")
	lead.sees("#check", "to 60 people")
	lead.do(press("#editor button.strong"), chromedp.WaitReady(".act"))
	lead.sees(".act", "a second person must approve")
	address := find[string](lead, "document.querySelector('.act .address').href")

	second := w.signsIn(auth.Approver, "Sam", 390)
	second.do(chromedp.Navigate(address), chromedp.WaitReady("#approve"))
	second.fits()
	second.do(press("#approve"), chromedp.WaitReady(".act .tone-good"))

	// The relay takes twenty mails and then makes everybody wait.
	var mu sync.Mutex
	taken, open := 0, make(chan struct{})
	w.relay.SetScript(func(e smtptest.Event) smtptest.Answer {
		if e.Phase != smtptest.Rcpt || !strings.HasPrefix(e.To, "person") {
			return smtptest.Answer{}
		}
		mu.Lock()
		taken++
		wait := taken > 20
		mu.Unlock()
		if wait {
			<-open
		}
		return smtptest.Answer{}
	})
	release := sync.OnceFunc(func() { close(open) })
	t.Cleanup(release)

	lead.goes(strings.TrimPrefix(address, w.url))
	lead.do(press("#publish"), chromedp.WaitReady(".act a.button"))
	stranger := w.arrives(1280, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}})
		return err
	}))
	w.shows("/en/incidents/"+in.Value.Short, "First sites are back")
	stranger.goes("/en/incidents/" + in.Value.Short)
	stranger.do(chromedp.WaitReady(".incident"))
	stranger.sees(".incident", "First sites are back")
	if moves := find[string](stranger, "getComputedStyle(document.documentElement).scrollBehavior"); moves != "auto" {
		t.Errorf("a reader who wants no motion gets scrolling that is %s", moves)
	}
	stranger.sees(".incident .left", "Next update due in")

	lead.goes(room)
	lead.until("Number(document.querySelector('#told')?.innerText) > 0")
	if told := find[int](lead, "Number(document.querySelector('#told').innerText)"); told >= customers {
		t.Errorf("%d are told while the relay holds most of them", told)
	}
	lead.do(chromedp.Func(func(context.Context, *chromedp.Target) error { release(); return nil }))
	lead.sees("#told", "60")
	lead.sees("#live .done", "finished")
	lead.do(press("#told"), chromedp.WaitReady("table"))
	if rows := find[int](lead, "document.querySelectorAll('tbody tr').length"); rows != customers {
		t.Errorf("the list behind the number has %d lines", rows)
	}
	for _, r := range []*reader{lead, second, stranger} {
		r.content()
	}
}

// The editor saves whoever types from magic words and stale figures: a tick stands in place of a number, a change against the last update shows at once, a row is
// taken over as a whole, and only the inputs that a kind uses are there.
func TestTheEditorHelpsWhoeverTypes(t *testing.T) {
	t.Parallel()
	w := settle(t)
	in := w.incident()
	w.say(in.ID, "First sites are back")
	lead := w.signsIn(auth.Comms, "Lea", 1280)
	lead.goes("/desk/incidents/" + in.ID)
	lead.do(chromedp.KeyEvent("?"))
	lead.sees("details.keys[open]", "w write an update")
	lead.do(press("details.keys #keyed input")) // keys off, and off they stay on the next page
	lead.goes("/desk/tickets")
	if find[bool](lead, `['?', '/'].forEach(key => document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true})));
		document.querySelector('details.keys').open || document.activeElement.id === 'find'`) {
		t.Error("a key acts that was switched off")
	}
	lead.goes("/desk/incidents/" + in.ID)
	lead.do(press("details.keys summary"), press("#keyed input"))
	lead.do(chromedp.KeyEvent("w"), chromedp.WaitReady("#editor"))
	sent := func(name string) string {
		return find[string](lead, fmt.Sprintf("new FormData(document.getElementById('editor')).getAll(%q).join('|')", name))
	}
	const sites, changed = `#affected\.sites`, `#affected\.sites .changed`
	lead.do(chromedp.SetValue(`#in-affected\.sites`, "70"))
	lead.sees(changed, "changed from 60")
	lead.do(press(sites + " [data-word]"))
	if got := sent("affected.sites"); got != "|not_known" {
		t.Errorf("a tick beside 70 sends %q", got)
	}
	lead.do(press(`.line:has(` + sites + `) .copy`))
	if got, shown := sent("affected.sites"), find[bool](lead, fmt.Sprintf("document.querySelector(%q).checkVisibility()", changed)); got != "60" || shown {
		t.Errorf("the last update's row brings %q sites; marked as changed: %v", got, shown)
	}
	latest := `document.getElementById('in-timeline.latest')`
	if find[bool](lead, latest+".checkVisibility()") {
		t.Error("a direction asks for a latest time")
	}
	lead.do(press(`input[name="timeline.kind"][value=range]`))
	lead.until(latest + ".checkVisibility() && !" + latest + ".disabled")
	lead.do(press("[data-plus='1']"))
	next, err := time.Parse("2006-01-02 15:04", sent("next_update_by"))
	if ahead := time.Until(next); err != nil || ahead < 50*time.Minute || ahead > 70*time.Minute {
		t.Errorf("one hour ahead is %q, %v", sent("next_update_by"), err)
	}
	lead.do(chromedp.SetValue("#in-headline", "A second word"))
	lead.sees("#check .findings", "must mend")
	lead.do(chromedp.Focus("#in-headline"), chromedp.KeyEvent("\r", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	lead.until("!!document.querySelector('main [role=alert]') || location.search.includes('update=')")
	lead.content("422") // not all of it is filled in
}

// Every page can be walked with the keyboard, says its language, names its fields, has one first heading and no gap below it.
func TestEveryPageHoldsUpWithoutAMouse(t *testing.T) {
	t.Parallel()
	w := settle(t)
	in := w.incident()
	w.say(in.ID, "First sites are back")
	draft := w.draft(in.ID, "Half of the sites are back")
	ticket, err := w.desk.File(t.Context(), "public:web", desk.Intake{Message: "Our wiki is gone.", Email: "eve@customer.example", Locale: "en", Route: "web"})
	if err != nil {
		t.Fatal(err)
	}
	r := w.signsIn(auth.Commander, "Ada", 390)
	for _, path := range append(pages(in.ID, in.Value.Short, draft.ID, ticket.Number), bookPages(in.ID, w.disputed())...) {
		r.goes(path)
		r.sound(path)
		r.do(chromedp.KeyEvent("\t"))
		if first := find[string](r, "document.activeElement.className + ' ' + getComputedStyle(document.activeElement).outlineStyle"); first != "skip solid" {
			t.Errorf("%s: the first Tab reaches %q", path, first)
		}
	}
	r.content("404") // of the page that is not there
}

// soundness lists what is wrong with the page in the window.
const soundness = `(() => {
	const wrong = [], levels = [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].filter(h => h.checkVisibility()).map(h => Number(h.tagName[1]));
	if (!document.documentElement.lang) wrong.push('no language');
	if (/[<>]/.test(document.title)) wrong.push('markup in the title: ' + document.title);
	if (levels.filter(l => l === 1).length !== 1) wrong.push('not one first heading: ' + levels);
	levels.forEach((l, i) => { if (l > (levels[i - 1] ?? 0) + 1) wrong.push('a heading of level ' + l + ' behind ' + (levels[i - 1] ?? 0)); });
	document.querySelectorAll('input:not([type=hidden]),select,textarea').forEach(f => { if (!f.labels.length && !f.getAttribute('aria-label')) wrong.push('no label on ' + f.name); });
	document.querySelectorAll('a,button').forEach(a => { if (!(a.innerText.trim() || a.ariaLabel) && a.checkVisibility()) wrong.push('a nameless ' + a.outerHTML); });
	const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
	ids.forEach((id, i) => { if (ids.indexOf(id) !== i) wrong.push('two of id ' + id); });
	document.querySelectorAll('.button,input:not([type=hidden],[type=checkbox],[type=radio]),select,.choice').forEach(b => { const h = b.getBoundingClientRect().height; if (h && h < 43.5) wrong.push(Math.round(h) + ' px high: ' + (b.innerText || b.name)); });
	if (document.body.innerText.includes('\u27e6')) wrong.push('a sentence is missing: ' + document.body.innerText.match(/\u27e6[^\u27e7]*/)[0]);
	return wrong;
})()`

func pages(incident, short, draft, ticket string) []string {
	room := "/desk/incidents/" + incident
	return []string{
		"/en/", "/ja/", "/zh-CN/", "/en/incidents/" + short, "/en/history", "/support", "/support?lang=ja", "/t/" + ticket + "?lang=zh-CN", "/me", "/me?lang=ja", "/desk/sign-in", "/nothing",
		"/desk", "/desk?lang=ja", room, room + "/editor", room + "/editor?update=" + draft, room + "/sites", "/desk/tickets", "/desk/tickets/" + ticket, "/desk/search", "/desk/search?q=customer", "/desk/search?q=zzzz",
		room + "/playbooks", room + "/tickets", room + "/work", room + "/cohorts", room + "/batches?name=1", "/desk/escalations", "/desk/escalations?lang=ja", "/desk/checks", "/desk/checks?lang=ja", "/desk/checklists", "/desk/checklists?name=site_check&lang=ja", "/desk/rota", "/desk/account", "/desk/tasks", "/subscribe", "/subscribe?lang=ja", "/desk/rules", "/desk/maintenances", "/verify", "/en/verify", "/verify/ZZZZZZZ?lang=ja",
	}
}

// bookPages are the pages about customers.
func bookPages(incident, change string) []string {
	return []string{
		"/desk/accounts/A-3", "/desk/accounts/A-0?lang=ja", "/desk/conflicts", "/desk/stale", "/desk/changes", "/desk/changes/" + change, "/desk/incidents/" + incident + "/coverage",
	}
}

// Somebody brings a file, looks at what it would do, imports it, and decides what it disputes, with the keyboard alone.
func TestAFileIsBroughtAndItsConflictsDecidedByKeyboard(t *testing.T) {
	t.Parallel()
	w := settle(t)
	file := filepath.Join(t.TempDir(), "crm.csv")
	const rows = "account_id,account,name,email,role,confirmed_at\nA-3,Customer Three,Person 3,person3@customer3.example,owner,2026-01-02\n,,nobody,not an address,owner,\n"
	if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	r := w.signsIn(auth.Admin, "Ada", 390)
	r.goes("/desk/import")
	r.fits()
	r.do(chromedp.SetUploadFiles("#file", []string{file}), chromedp.SendKeys("#source", "product-2\r"), chromedp.WaitReady("#live"))
	r.sees("#live", "What the file would do")
	r.sees("#rejected + .scroll", "email")
	r.fits()
	r.do(press("button[value=run]"), chromedp.WaitReady("#live"))
	r.sees("#live", "Imported")
	r.do(press("#live a.button.strong"), chromedp.WaitReady(".conflict"))
	r.fits()
	r.do(chromedp.SendKeys(".conflict input[name=reason]", "asked the customer\t"))
	r.do(chromedp.KeyEvent("t"))
	r.sees("main", "Decided")
	r.sees("main", "Nothing to decide")
	r.goes("/desk/accounts/A-3")
	r.sees("h1", "Customer Three")
	r.content()
}

var pictures = flag.String("pictures", "", "write pictures of every page to this directory")

// TestPictures takes the pictures that people look at before a landing: go test ./portal -run Pictures -pictures DIR.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("NO PICTURES TAKEN: give -pictures DIR to look at the pages in a browser")
	}
	w := settle(t)
	r := w.signsIn(auth.Commander, "Ada", 1280)
	in := w.incident()
	w.picture(r, 0, "/desk/incidents/"+in.ID)
	for _, headline := range []string{"Some customers cannot open their sites", "A maintenance script deleted customer sites", "First sites are back"} {
		w.say(in.ID, headline)
	}
	draft := w.draft(in.ID, "Half of the sites are back")
	ticket, err := w.desk.File(t.Context(), "public:web", desk.Intake{Message: "Our wiki is gone.\n\nWe need it for an audit on Friday.", Email: "eve@customer.example", Name: "Eve", Company: "Customer 3", Impact: desk.LostAccess, Locale: "en", Route: "web"})
	if err != nil {
		t.Fatal(err)
	}
	all := append(pages(in.ID, in.Value.Short, draft.ID, ticket.Number), bookPages(in.ID, w.disputed())...)
	for i, path := range all {
		w.picture(r, i+1, path)
	}
	admin := w.signsIn(auth.Admin, "Ada", 1280)
	file := filepath.Join(t.TempDir(), "crm.csv")
	if err := os.WriteFile(file, []byte("account_id,account,name,email,role\nA-3,Customer,Person 3,person3@customer3.example,owner\nA-99,New,Eve,eve@new.example,owner\n,,nobody,not an address,owner\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.picture(admin, len(all)+1, "/desk/import")
	admin.goes("/desk/import")
	admin.do(chromedp.SetUploadFiles("#file", []string{file}), chromedp.SendKeys("#source", "product\r"), chromedp.WaitReady("#live"))
	admin.sees("#live", "What the file would do")
	w.picture(admin, len(all)+2, find[string](admin, "location.pathname"))
}

// picture looks at a page wide and narrow, light and dark.
func (w *town) picture(r *reader, n int, path string) {
	w.Helper()
	for _, look := range []webshot.Look{{Width: 1280}, {Width: 390}, {Width: 1280, Dark: true}, {Width: 390, Dark: true}} {
		file := filepath.Join(*pictures, fmt.Sprintf("%02d-%d-%s.png", n, look.Width, map[bool]string{true: "dark", false: "light"}[look.Dark]))
		over, err := webshot.Shot(r.ctx, w.url+path, look, file)
		if err != nil {
			w.Fatal(err)
		}
		if over > 0 {
			w.Errorf("%s is %d pixels wider than its window", path, over)
		}
	}
}
