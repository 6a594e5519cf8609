package portal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"lifeline/comms"
	"lifeline/comms/email"
	"lifeline/comms/email/smtptest"
	"lifeline/contacts"
	"lifeline/portal"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/portal/page"
	"lifeline/portal/web/webshot"
	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/limit"
	"lifeline/store/storetest"
	"lifeline/templates"
)

// town is a whole vendor: every room wired as the program wires it, the public page in front, workers that send to a real relay, and
// a browser to look at it with. Its clock is wall time, as a reader's is.
type town struct {
	*testing.T
	url     string
	room    *comms.Room
	desk    *desk.Desk
	book    *contacts.Book
	changes *contacts.Changes
	gate    *auth.Gate
	relay   *smtptest.Server
	browser *webshot.Browser
	posts   posts
	booked  time.Duration // how long ago its customers were put on record: what came by import just now proves nothing
	behind  atomic.Int64  // by how many nanoseconds the store's clock is behind
}

// posts are what goes to webhooks.
type posts chan comms.Message

func (p posts) Name() string { return comms.ChannelWebhook }
func (p posts) Live() bool   { return true }
func (p posts) Close() error { return nil }

func (p posts) Send(ctx context.Context, m comms.Message) comms.Outcome {
	select {
	case p <- m:
		return comms.Outcome{State: comms.Sent}
	case <-ctx.Done():
		return comms.Outcome{State: comms.Deferred, Reason: "the test is over"}
	}
}

const customers = 60 // each with one site and one contact

var townWords = sync.OnceValues(func() (*templates.Set, error) { return templates.Load("") })

// settle opens a town; before is what it has that others have not, done while nobody is at work in it yet.
func settle(t *testing.T, before ...func(w *town)) *town {
	t.Helper()
	browser, err := webshot.Open()
	if err != nil {
		t.Fatalf("journeys need a browser: %v", err)
	}
	t.Cleanup(browser.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &town{T: t, url: "http://" + listener.Addr().String(), relay: smtptest.Start(t, smtptest.Options{}), browser: browser, posts: make(posts, 8)}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	var kinds []store.Kind
	for _, some := range [][]store.Kind{contacts.Kinds(), contacts.ChangeKinds(), comms.Kinds(), desk.Kinds(), auth.Kinds(), limit.Kinds(), blob.Kinds()} {
		kinds = append(kinds, some...)
	}
	db := storetest.Open(t, kinds, storetest.Clock(func() time.Time { return time.Now().Add(-time.Duration(w.behind.Load())) }))
	words, err := townWords()
	if err != nil {
		t.Fatal(err)
	}
	vendor := templates.Vendor{Name: "Example Cloud", URL: w.url, Support: w.url + "/support"}
	book := &contacts.Book{DB: db, Policy: contacts.DefaultPolicy(), Log: log}
	w.room = &comms.Room{DB: db, Book: book, Words: words, Policy: comms.DefaultPolicy(), Vendor: vendor, Log: log}
	w.desk = &desk.Desk{DB: db, Book: book, Comms: w.room, Policy: desk.DefaultPolicy(), Log: log}
	w.book, w.changes = book, &contacts.Changes{DB: db, Verbs: append(book.ChangeVerbs(), w.desk.ChangeVerbs()...), Log: log}
	book.Changes = w.changes
	key, err := auth.OpenKey(filepath.Join(t.TempDir(), "keys"), true)
	if err != nil {
		t.Fatal(err)
	}
	w.gate = &auth.Gate{DB: db, Key: key, Issuer: w.url, Log: log}
	w.desk.Signing = desk.Signing{Sign: key.SignLink, Read: key.OpenLink}
	w.room.SignSites = key.SignLink
	w.room.SignSubscription = func(subject string) string { return key.SignLink(portal.LinkSubscription, subject) }
	for _, do := range before {
		do(w)
	}
	mail, err := email.Open(email.Config{Relays: []string{w.relay.URL()}, From: "status@vendor.example", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	server := &page.Server{Live: &page.Live{}}
	p := &portal.Portal{DB: db, Book: book, Changes: w.changes, Comms: w.room, Desk: w.desk, Gate: w.gate, Words: words, Page: server, Log: log, URL: w.url,
		Sending: func() portal.Sending { return portal.Sending{Email: "live", SMS: "live"} }}
	edited := make(chan struct{}, 1)
	w.room.Edited = func() {
		select {
		case edited <- struct{}{}:
		default:
		}
	}
	keeper := &page.Keeper{Press: &page.Press{Words: words, Vendor: vendor, Log: log}, Server: server, Edition: w.room.Edition, Public: w.room.Public, Wake: edited, Log: log}
	outbox := &comms.Outbox{Room: w.room, Channels: map[string]comms.Channel{"email": mail, "webhook": w.posts}, Log: log, Holder: "town"}
	public := portal.Server(p.Handler(), log)

	work, stop := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	busy.Go(func() { _ = public.Serve(listener) })
	keeper.Turn(work) // as the program does before it listens
	busy.Go(func() { _ = keeper.Run(work) })
	busy.Go(func() { server.Live.Run(work) })
	busy.Go(func() { _ = outbox.Run(work) })
	busy.Go(func() { w.desk.RunCodes(work) })
	busy.Go(func() { p.RunImports(work) })
	t.Cleanup(func() {
		grace, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := outbox.Stop(grace); err != nil {
			t.Errorf("stop the outbox: %v", err)
		}
		if err := public.ShutdownWithContext(grace); err != nil {
			t.Errorf("stop serving: %v", err)
		}
		stop()
		busy.Wait()
		if err := mail.Close(); err != nil {
			t.Errorf("close the mailer: %v", err)
		}
	})

	var list bytes.Buffer
	fmt.Fprintln(&list, "account,account_id,site,site_id,name,role,email,locale,confirmed_at")
	for i := range customers {
		fmt.Fprintf(&list, "Customer %d,A-%d,Site %d,S-%d,Person %d,owner,person%d@customer%d.example,%s,2026-01-02\n", i, i, i, i, i, i, i, [...]string{"en", "ja", "zh-CN"}[i%3])
	}
	w.behind.Store(int64(w.booked))
	if _, err := book.Import(t.Context(), "system:test", &list, contacts.ImportOptions{Source: "product", Format: contacts.FormatCSV}); err != nil {
		t.Fatal(err)
	}
	w.behind.Store(0)
	return w
}

// incident declares one with every customer's site in it, some of them further than others.
func (w *town) incident() store.Rec[comms.Incident] {
	w.Helper()
	ctx := w.Context()
	in, err := w.room.Declare(ctx, "person:test", comms.Declare{Title: "Customer sites cannot be opened", Severity: "P0", Category: w.room.Policy.Categories[0], Impact: "Sites answer with an error"})
	if err != nil {
		w.Fatal(err)
	}
	var affected bytes.Buffer
	for i := range customers {
		fmt.Fprintf(&affected, "{\"site_id\":\"S-%d\"}\n", i)
	}
	if _, err := w.room.LoadAffected(ctx, "person:test", in.ID, contacts.FormatJSONLines, &affected, false); err != nil {
		w.Fatal(err)
	}
	for _, step := range []struct {
		state string
		upTo  int
	}{{comms.Rebuilt, 21}, {comms.Passed, 12}, {comms.HandedBack, 7}} {
		var lines bytes.Buffer
		for i := range step.upTo {
			fmt.Fprintf(&lines, "{\"site_id\":\"S-%d\",\"state\":%q,\"batch\":\"1\",\"reason\":\"restored\"}\n", i, step.state)
		}
		report, err := w.room.MoveSites(ctx, comms.Mover{By: "person:test", Finish: true}, in.ID, &lines)
		if err != nil || report.Rejected > 0 {
			w.Fatalf("move to %s: %+v, %v", step.state, report, err)
		}
	}
	return in
}

// statement is a complete update.
func statement(headline string) templates.Statement {
	most := templates.Span(5 * time.Minute)
	return templates.Statement{
		Phase: comms.Identified, Headline: headline, WhatHappened: "A maintenance script deleted the sites of active customers. Nobody from outside was involved.",
		YourAction: "Leave your site's settings and domain as they are. We write to you before your site is handed back.",
		Scope:      templates.Scope{Products: []string{"Wiki"}, Regions: []string{"all regions"}, Text: "sites in the cloud"},
		Affected:   templates.Affected{Who: "a site that cannot be opened", Sites: templates.Known(customers), Customers: templates.Known(customers), Status: "estimate", Confidence: "medium"},
		Timeline:   templates.Timeline{Kind: "direction", Text: "days, not hours", Confidence: "low", FullScopeBy: templates.Moment{Word: templates.NotKnown}},
		DataLoss:   templates.DataLoss{Kind: "at_most", AtMost: &most, Text: "mostly none", Confidence: "medium"},
		Known:      []string{"Backups of every site exist and are readable."}, Unknown: []string{"The day for each single site."}, Doing: []string{"Two teams restore around the clock."},
		NextUpdateBy: templates.Moment{At: time.Now().UTC().Add(time.Hour).Truncate(time.Minute)}, Audience: comms.AudienceAffected,
		Channels: []string{comms.ChannelEmail, comms.ChannelPage}, Locales: []string{"en", "zh-CN", "ja"},
	}
}

// say drafts, approves and publishes an update.
func (w *town) say(incident, headline string) store.Rec[comms.Update] {
	w.Helper()
	u := w.draft(incident, headline)
	if _, err := w.room.Approve(w.Context(), "person:second", u.ID); err != nil {
		w.Fatal(err)
	}
	u, err := w.room.Publish(w.Context(), "person:test", u.ID, comms.PublishOptions{})
	if err != nil {
		w.Fatal(err)
	}
	w.shows("/en/", headline)
	return u
}

func (w *town) draft(incident, headline string) store.Rec[comms.Update] {
	w.Helper()
	u, found, err := w.room.Draft(w.Context(), "person:test", incident, statement(headline), nil)
	if err != nil {
		w.Fatalf("draft: %v, %+v", err, found)
	}
	return u
}

// reader is one person at a browser with cookies of its own. What the browser complains about, and whom it asks, is kept.
type reader struct {
	*testing.T
	ctx context.Context
	url string

	mu        sync.Mutex
	trouble   []string
	strangers []string
}

// shows waits until a public page says something: it is rendered a moment behind the act.
func (w *town) shows(path, words string) {
	w.Helper()
	late := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		res, err := http.Get(w.url + path)
		if err == nil {
			body, readErr := io.ReadAll(res.Body)
			res.Body.Close()
			if err = readErr; err == nil && res.StatusCode == http.StatusOK && strings.Contains(string(body), words) {
				return
			}
		}
		select {
		case <-tick.C:
		case <-late:
			w.Fatalf("%s never says %q (%v)", path, words, err)
		}
	}
}

// arrives opens a browser for somebody: as wide as that, and with these steps before the first page.
func (w *town) arrives(width int64, before ...chromedp.Action[chromedp.Void]) *reader {
	w.Helper()
	ctx, leave := w.browser.Visit()
	w.Cleanup(leave)
	r := &reader{T: w.T, ctx: ctx, url: w.url}
	err := chromedp.Listen(ctx, func(ev any) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if asked, ok := ev.(*network.EventRequestWillBeSent); ok && !strings.HasPrefix(asked.Request.URL, w.url+"/") && !strings.HasPrefix(asked.Request.URL, "data:") {
			r.strangers = append(r.strangers, asked.Request.URL)
		}
	})
	if err != nil {
		w.Fatal(err)
	}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type != "log" && m.Type != "debug" && m.Type != "info" {
				r.mu.Lock()
				r.trouble = append(r.trouble, fmt.Sprintf("%s: %s", m.Type, m.Text))
				r.mu.Unlock()
			}
		}
	}()
	r.do(append([]chromedp.Action[chromedp.Void]{chromedp.EmulateViewport(width, 900)}, before...)...)
	return r
}

// signs in with a link, as a person of a role.
func (w *town) signsIn(role auth.Role, name string, width int64) *reader {
	w.Helper()
	link, err := w.gate.Link(w.Context(), auth.OperatorID, auth.Grantee{Role: role, Name: name}, w.url)
	if err != nil {
		w.Fatal(err)
	}
	r := w.arrives(width)
	r.do(chromedp.Navigate(link), press("main form button"), chromedp.WaitReady("body.desk"))
	return r
}

// patience is the longest that anything in a browser may take on a machine that does much else.
const patience = 40 * time.Second

func (r *reader) do(steps ...chromedp.Action[chromedp.Void]) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	for i, step := range steps {
		if err := chromedp.Do(ctx, step); err != nil {
			var at, text string
			at, _ = chromedp.Run(r.ctx, chromedp.Evaluate[string]("location.href"))
			text, _ = chromedp.Run(r.ctx, chromedp.Evaluate[string]("document.body.innerText"))
			r.Fatalf("step %d at %s: %v\n%s", i+1, at, err, text)
		}
	}
}

// press clicks what a selector names, once it is there, can be used and is what a pointer in its middle would meet. Looking and clicking are one step
// of the page, so that a line which moves in between, as when findings arrive while somebody types, cannot be missed. The tab remembers that it was done: when
// the page goes away so soon that nobody hears of it, it is not done again on the next one.
func press(sel string) chromedp.Action[chromedp.Void] {
	script := fmt.Sprintf(`((sel, done) => {
		if (sessionStorage.getItem(done)) return '';
		const e = document.querySelector(sel);
		if (!e) return 'is not there';
		e.scrollIntoView({block: 'center', behavior: 'instant'});
		const at = e.getBoundingClientRect(), met = document.elementFromPoint(at.x + at.width / 2, at.y + at.height / 2);
		if (!met || !e.contains(met) && met.closest('label')?.control !== e) return 'lies under ' + (met?.outerHTML ?? 'nothing');
		if (e.disabled) return 'cannot be used';
		e.focus({preventScroll: true});
		sessionStorage.setItem(done, 'yes');
		e.click();
		return '';
	})(%q, %q)`, sel, "pressed "+rand.Text())
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			why, err := chromedp.Run(ctx, chromedp.Evaluate[string](script))
			if err == nil && why == "" {
				return nil
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("%s %s (%v)", sel, why, err)
			}
		}
	})
}

func (r *reader) goes(path string) {
	r.Helper()
	r.do(chromedp.Navigate(r.url+path), chromedp.WaitReady("main"))
}

// text is what a part of the page says.
func (r *reader) text(sel string) string {
	r.Helper()
	return find[string](r, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", sel))
}

func find[T any](r *reader, script string) T {
	r.Helper()
	v, err := chromedp.Run(r.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		r.Fatalf("%s: %v", script, err)
	}
	return v
}

// sees waits until a part of the page can be seen and says something: what is hidden has its words before it is shown.
func (r *reader) sees(sel, want string) {
	r.Helper()
	r.until(fmt.Sprintf("(e => !!e?.checkVisibility() && e.innerText.includes(%q))(document.querySelector(%q))", want, sel))
}

// until waits until the page makes a condition true, across navigations.
func (r *reader) until(script string) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script)); err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			r.Fatalf("never: %s\nat %s\n%s", script, find[string](r, "location.href"), r.text("body"))
		case <-tick.C:
		}
	}
}

// content fails the story when the browser complained, but for what is expected, or asked anybody but us.
func (r *reader) content(expected ...string) {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = slices.DeleteFunc(r.trouble, func(said string) bool {
		return slices.ContainsFunc(expected, func(part string) bool { return strings.Contains(said, part) })
	})
	if len(r.trouble) > 0 {
		r.Errorf("the browser complains: %q", r.trouble)
	}
	if len(r.strangers) > 0 {
		r.Errorf("the page asks others: %q", r.strangers)
	}
}

// fits fails the story when a reader would have to scroll sideways, and when one would who has letters twice as large.
func (r *reader) fits() {
	r.Helper()
	over := find[[]int](r, `["", "200%"].map(size => {
		const d = document.documentElement;
		d.style.fontSize = size;
		const over = d.scrollWidth - d.clientWidth;
		d.style.fontSize = "";
		return over;
	})`)
	if over[0] > 0 || over[1] > 0 {
		r.Errorf("%s is %d pixels too wide, and %d in large letters", find[string](r, "location.pathname"), over[0], over[1])
	}
}

// disputed is a customer about whom sources differ, one of whose sites nobody speaks for, and a change of it that waits for somebody.
func (w *town) disputed() (change string) {
	w.Helper()
	const long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
	for _, file := range []struct{ source, rows string }{
		{"billing", "account_id,account,domain,name,email,phone,role,site_id,site,invoices,former_names\n" +
			"A-3,Customer 3,customer3.example," + long + " <b>Ann</b>,ann@customer3.example,+12025550123,billing,,,INV-2021-17,Third Widgets\n" +
			"A-3,Customer 3,,,,,,S-3b,https://a.very.long.address.example/" + strings.Repeat("and-on", 20) + ",,\n"},
		{"crm", "account_id,account,name,email,role\nA-3,Customer Three,Person 3,person3@customer3.example;ann@customer3.example,owner\n"},
		{"crm-2", "account_id,account,name,email,role\nA-4,Customer Four Inc,Personne 4,person4@customer4.example,owner\n"},
		{"billing", "account_id,account,name,email,role\nA-4,Customer Four,P. 4,person4@customer4.example,owner\n"},
	} {
		if _, err := w.book.Import(w.Context(), "system:test", strings.NewReader(file.rows), contacts.ImportOptions{Source: file.source, Format: contacts.FormatCSV}); err != nil {
			w.Fatal(err)
		}
	}
	if _, err := w.book.ProductEvent(w.Context(), "system:test", contacts.Event{Type: contacts.SiteDeleted, SiteIDs: []string{"S-3"}}); err != nil {
		w.Fatal(err)
	}
	id, err := w.book.AccountID(w.Context(), "A-3")
	if err != nil {
		w.Fatal(err)
	}
	rec, err := w.changes.Propose(w.Context(), "person:Sam", contacts.Proposal{Verb: "account.delete", Reason: "Both were made by a test of ours, see the ticket of last week.",
		Input: []byte(`{"ids":["` + id + `","A-5"]}`), Rehearse: 1})
	if err != nil {
		w.Fatal(err)
	}
	return rec.ID
}
