package portal

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cookies "github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/page"
	"lifeline/portal/web/webshot"
)

// dusk is when the night begins. Half of the staff goes home soon.
var dusk = time.Date(2022, 4, 5, 21, 40, 0, 0, time.UTC)

// night is one incident from the first ticket to the last hand-back: people with accounts at their browsers, customers with their mails, a clock that the
// story turns. Its pictures and messages are for looking at: go test ./portal -run TestTheNight -artifacts -outputdir DIR keeps them.
type night struct {
	*house
	dir     string
	drawer  *drawer
	people  map[string]*browser
	ids     map[string]string
	window  *webshot.Browser
	tabs    map[string]context.Context // of window, by whose it is
	keeper  *page.Keeper
	looked  int
	sites   map[string]string // by name
	inc, at string            // the incident, and its path in the API
}

// drawer is where every message of the night ends.
type drawer struct {
	t     testing.TB
	now   func() time.Time
	mu    sync.Mutex
	all   []kept
	moved chan struct{} // closed and made anew at each message
}

type kept struct {
	comms.Message
	Channel string
	At      time.Time
}

type slot struct {
	name string
	*drawer
}

func (s slot) Name() string { return s.name }
func (s slot) Live() bool   { return true }
func (s slot) Close() error { return nil }

func (s slot) Send(_ context.Context, m comms.Message) comms.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, kept{m, s.name, s.now()})
	close(s.moved)
	s.moved = make(chan struct{})
	return comms.Outcome{State: comms.Sent, Ref: fmt.Sprintf("SM%032x", len(s.all))}
}

// says waits for a message to somebody that holds some words, and gives it.
func (d *drawer) says(to, words string) kept {
	d.t.Helper()
	late := time.After(patience)
	for {
		d.mu.Lock()
		for _, m := range slices.Backward(d.all) {
			if m.To == to && strings.Contains(m.Subject+"\n"+m.Text, words) {
				d.mu.Unlock()
				return m
			}
		}
		moved := d.moved
		d.mu.Unlock()
		select {
		case <-moved:
		case <-late:
			d.mu.Lock()
			defer d.mu.Unlock()
			var have []string
			for _, m := range d.all {
				have = append(have, m.To+": "+m.Subject+" / "+m.Text[:min(60, len(m.Text))])
			}
			d.t.Fatalf("%s never hears %q; there is\n%s", to, words, strings.Join(have, "\n"))
		}
	}
}

const nightContacts = `account,account_id,site,site_id,name,role,email,phone,locale,confirmed_at
Acme,A-1,Acme wiki,S-1,Ann Lee,owner,ann@acme.example,+12025550101,en,2022-04-01
Acme,A-1,Acme tracker,S-2,Bo Chen,owner,bo@acme.example,,zh-CN,2022-04-01
Bolt,A-2,Bolt,S-3,Dai Ito,owner,dai@bolt.example,,ja,2022-04-01
Cora,A-3,Cora,S-4,Cem Ay,owner,cem@cora.example,,de,2022-04-01
Dune,A-4,Dune,S-5,Dot Fox,owner,dot@dune.example,,en,2022-04-01
Echo,A-5,Echo,S-6,Eli Gay,owner,eli@echo.example,,en,2022-04-01
`

func nightfall(t *testing.T) *night {
	window, err := webshot.Open()
	if err != nil {
		t.Fatalf("the night needs a browser: %v", err)
	}
	t.Cleanup(window.Close)
	n := &night{dir: t.ArtifactDir(), people: map[string]*browser{}, window: window, tabs: map[string]context.Context{},
		sites: map[string]string{"Acme wiki": "S-1", "Acme tracker": "S-2", "Bolt": "S-3", "Cora": "S-4", "Dune": "S-5", "Echo": "S-6"}}
	server := &page.Server{Live: &page.Live{}}
	n.house = open(t, func(p *Portal) {
		p.Gate.Cost = auth.Cost{Passes: 1, KiB: 64, Lanes: 1}
		p.Page = server
		p.Sending = func() Sending { return Sending{Email: "live", SMS: "live"} }
	})
	n.keeper = &page.Keeper{Press: &page.Press{Words: n.Words, Vendor: n.Comms.Vendor, Log: n.Portal.Log}, Server: server, Edition: n.Comms.Edition, Public: n.Comms.Public, Log: n.Portal.Log}
	n.clock.Set(dusk)
	n.keeper.Turn(context.Background())                                        // as the program does before it listens
	n.Comms.Policy.Internal = nil                                              // everybody has an account here
	n.Comms.Policy.Automatic.Rules = map[string]comms.Rule{comms.RuleSite: {}} // every other word of this night is a person's
	n.Desk.Chance = func() float64 { return 1 }
	n.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=billing", media: "text/csv", body: nightContacts}).want(200)

	staff := []auth.Newcomer{
		{Name: "Kim Cho", Profile: auth.Profile{Email: "kim@vendor.example", Phone: "+12025550181", Roles: []auth.Role{auth.Commander}}},
		{Name: "Lea Moss", Profile: auth.Profile{Email: "lea@vendor.example", Phone: "+12025550182", Roles: []auth.Role{auth.Comms}}},
		{Name: "Sam Orr", Profile: auth.Profile{Email: "sam@vendor.example", Roles: []auth.Role{auth.Approver}}},
		{Name: "Sue Ray", Profile: auth.Profile{Email: "sue@vendor.example", Roles: []auth.Role{auth.Support}}},
		{Name: "Bo Lin", Profile: auth.Profile{Email: "bo@vendor.example", Roles: []auth.Role{auth.Support}, Languages: []string{"zh-CN"}}},
		{Name: "Eve Kay", Profile: auth.Profile{Email: "eve@vendor.example", Phone: "+12025550183", Roles: []auth.Role{auth.Engineer}}},
	}
	n.Gate.Granted = nil
	made, err := n.Gate.AddStaff(context.Background(), auth.OperatorID, n.URL, staff)
	if err != nil {
		t.Fatal(err)
	}
	n.ids = map[string]string{}
	for i, m := range made {
		first, _, _ := strings.Cut(staff[i].Name, " ")
		n.ids[first], n.people[first] = m.ID, &browser{h: n.house}
		n.enrolBy(n.people[first], m.Link, url.Values{"name": {staff[i].Name}, "email": {staff[i].Email}})
	}
	n.Comms.Staffed, n.Comms.Rostered = n.Portal.Staffed, n.Desk.Rostered

	n.drawer = &drawer{t: t, now: n.clock.Now, moved: make(chan struct{})}
	outbox := &comms.Outbox{Room: n.Comms, Channels: map[string]comms.Channel{"email": slot{"email", n.drawer}, "sms": slot{"sms", n.drawer}}, Log: n.Portal.Log, Holder: "night"}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- outbox.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			t.Errorf("the outbox: %v", err)
		}
	})
	return n
}

// clock turns to a time of the night, and everything that is due by then comes due on the way, a quarter of an hour at a time.
func (n *night) until(hour, minute int) {
	n.Helper()
	at := time.Date(dusk.Year(), dusk.Month(), dusk.Day(), hour, minute, 0, 0, time.UTC)
	if at.Before(n.clock.Now()) {
		at = at.AddDate(0, 0, 1)
	}
	n.through(at, 15*time.Minute)
}

func (n *night) through(at time.Time, step time.Duration) {
	n.Helper()
	for n.clock.Now().Before(at) {
		n.clock.Set(n.clock.Now().Add(min(step, at.Sub(n.clock.Now()))))
		if err := n.Desk.SweepChecks(context.Background()); err != nil {
			n.Fatal(err)
		}
		if _, err := n.Comms.FireDeadlines(context.Background(), n.clock.Now()); err != nil {
			n.Fatal(err)
		}
	}
}

// says sends JSON as one of the staff, from her browser.
func (n *night) says(who, method, path string, body any) answer {
	n.Helper()
	b := n.people[who]
	_, csrf, err := n.Gate.Session(context.Background(), b.cookie.Value)
	if err != nil {
		n.Fatal(err)
	}
	header := b.header()
	header["X-CSRF-Token"], header["Accept"] = csrf, "application/json"
	if body == nil {
		body = struct{}{}
	}
	return n.do(ask{method: method, path: path, body: body, header: header})
}

// presses sends a form of a page as one of the staff.
func (n *night) presses(who, path string, fields ...string) answer {
	n.Helper()
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Add(fields[i], fields[i+1])
	}
	return n.people[who].post(path, v)
}

// looks takes the pictures of a page as somebody sees it: wide by day, narrow by night. Nobody has to scroll sideways, and no sentence is missing.
func (n *night) looks(who, path, name string) {
	n.Helper()
	n.looked++
	if b := n.people[who]; b != nil {
		b.get(path).want(200)
	} else {
		n.keeper.Turn(context.Background())
	}
	tab := n.tabs[who]
	if tab == nil {
		var leave context.CancelFunc
		tab, leave = n.window.Visit()
		n.Cleanup(leave)
		n.tabs[who] = tab
	}
	ctx, stop := context.WithTimeout(tab, patience)
	defer stop()
	// The browser lives today and the night is long ago: what counts down in a stranger's window would be years late, so she reads without script.
	put := chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
	if b := n.people[who]; b != nil {
		put = chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, cookies.SetCookie, cookies.SetCookieParams{Name: b.cookie.Name, Value: b.cookie.Value, URL: n.URL})
			return err
		})
	}
	if err := chromedp.Do(tab, put); err != nil { // the first act in a tab keeps it for as long as its context
		n.Fatal(err)
	}
	all := []webshot.Look{{Width: 390, Dark: true}, {Width: 1280}}
	kept := flag.Lookup("test.artifacts")
	pictured := kept != nil && kept.Value.String() == "true"
	if !pictured {
		all = all[:1] // nobody will look: the narrow one shows what is too wide
	}
	for _, look := range all {
		file := ""
		if pictured {
			file = filepath.Join(n.dir, fmt.Sprintf("%02d-%s-%s-%d.png", n.looked, n.clock.Now().Format("1504"), name, look.Width))
		}
		over, err := webshot.Shot(ctx, n.URL+path, look, file)
		if err != nil {
			n.Fatal(err)
		}
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
		if over > 0 || err != nil || strings.Contains(text, "\u27e6") || strings.Contains(text, "stf_") {
			n.Errorf("%s at %d: %d pixels too wide, %v:\n%s", path, look.Width, over, err, text)
		}
	}
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil { // a page that stayed open would ask on, hours later by its clock
		n.Fatal(err)
	}
}

// keep writes every message of the night, in the order in which they went, and sees that nothing went to anybody twice.
func (n *night) keep() {
	n.Helper()
	n.drawer.mu.Lock()
	defer n.drawer.mu.Unlock()
	var index bytes.Buffer
	twice := map[string]int{}
	for i, m := range n.drawer.all {
		name := fmt.Sprintf("m%03d-%s-%s-%s.txt", i+1, m.At.Format("02T1504"), m.Channel, strings.Trim(m.To, "+"))
		fmt.Fprintf(&index, "%s %-5s %-22s %s\n", m.At.Format("02 15:04"), m.Channel, m.To, strings.ReplaceAll(m.Subject+" "+firstLine(m.Text), "\n", " "))
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte("To: "+m.To+"\nSubject: "+m.Subject+"\nSent: "+m.At.Format(time.RFC1123)+"\n\n"+m.Text+"\n"), 0o600); err != nil {
			n.Fatal(err)
		}
		if twice[m.Delivery]++; twice[m.Delivery] > 1 {
			n.Errorf("%s is told twice at %s: %s", m.To, m.At, m.Subject)
		}
		if strings.Contains(m.Subject+m.Text, "\u27e6") || strings.Contains(m.Text, "stf_") {
			n.Errorf("a sentence is missing, or a person has no name, in %s: %s\n%s", m.To, m.Subject, m.Text)
		}
	}
	if err := os.WriteFile(filepath.Join(n.dir, "messages.txt"), index.Bytes(), 0o600); err != nil {
		n.Fatal(err)
	}
	n.Logf("%d pictures and %d messages are in %s", 2*n.looked, len(n.drawer.all), n.dir)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// moves brings sites to a state.
func (n *night) moves(state, batch, method string, sites ...string) {
	n.Helper()
	var lines []string
	for _, s := range sites {
		lines = append(lines, fmt.Sprintf(`{"site_id":%q,"state":%q,"batch":%q,"method":%q}`, s, state, batch, method))
	}
	n.do(ask{as: auth.Automation, method: "POST", path: n.at + "/sites", media: "application/x-ndjson", body: strings.Join(lines, "\n")}).want(200).says(fmt.Sprintf(`"moved":%d`, len(sites)))
}

// claims takes the next check that somebody may have; "" when there is none for her.
func (n *night) claims(who string) (id string, epoch int64) {
	n.Helper()
	var page list[checkAnswer]
	n.says(who, "POST", "/api/v1/checks/claim", map[string]any{"incident": n.inc}).want(200).into(&page)
	if len(page.Items) == 0 {
		return "", 0
	}
	return page.Items[0].ID, page.Items[0].Epoch
}

// passed lets people check what waits, one after the other, until so many sites have passed in all.
func (n *night) passed(want int, people ...string) {
	n.Helper()
	for range 10 {
		for _, who := range people {
			var now struct {
				ByState map[string]int `json:"by_state"`
			}
			n.says(who, "GET", n.at+"/checks/figures", nil).want(200).into(&now)
			if now.ByState["passed"] >= want {
				return
			}
			id, epoch := n.claims(who)
			if id == "" {
				continue
			}
			n.clock.Turn(6 * time.Minute)
			list := wholeList()
			list["admin"] = map[string]any{"state": "done", "value": "signed in as owner"}
			n.says(who, "POST", "/api/v1/checks/"+id+"/submit", map[string]any{"epoch": epoch, "verdict": "passed", "results": list}).want(200)
		}
	}
	n.Fatalf("%d sites never passed", want)
}

// publishes drafts, has it approved by a second person, and sends it.
func (n *night) publishes(s map[string]any) updateAnswer {
	n.Helper()
	var u updateAnswer
	n.says("Lea", "POST", n.at+"/updates", s).want(201).into(&u)
	n.says("Lea", "POST", "/api/v1/updates/"+u.ID+"/ask", nil).want(200)
	n.drawer.says("sam@vendor.example", "approv")
	n.clock.Turn(3 * time.Minute)
	n.leaves(u.ID)
	n.says("Lea", "GET", "/api/v1/updates/"+u.ID, nil).want(200).into(&u)
	if u.State != comms.Published {
		n.Fatalf("update %d is %s", u.Number, u.State)
	}
	return u
}

// leaves has a draft approved by one person and published by another.
func (n *night) leaves(update string) {
	n.Helper()
	n.presses("Sam", "/desk/updates/"+update+"/approve").want(303)
	n.presses("Lea", "/desk/updates/"+update+"/publish").want(303)
}

var backLink = regexp.MustCompile(`/b/[^\s?]+`)

// The night of one incident, from the first ticket to the last hand-back: who is called, what is said and when, what falls due and is caught by whom, every
// site under two pairs of eyes, and a customer's own word at the end of each.
func TestTheNightOfAnIncident(t *testing.T) {
	t.Parallel()
	n := nightfall(t)
	for _, who := range []string{"Sam", "Kim"} {
		n.says(who, "POST", "/api/v1/first-notice/approve", nil).want(200)
	}

	// 21:40. A customer who has lost everything writes; support looks, and declares.
	first := n.file(map[string]any{"message": "Our wiki answers with an error and nobody can sign in.", "email": "ann@acme.example", "name": "Ann Lee", "company": "Acme", "impact": "lost_access", "locale": "en"})
	n.drawer.says("ann@acme.example", first.Number)
	n.until(21, 46)
	where := n.presses("Sue", "/desk/incidents", "title", "Customer sites are gone", "severity", "P0", "category", "data", "impact", "Sites answer with an error; their admins cannot sign in").want(303).Header.Get("Location")
	n.inc = strings.TrimPrefix(where, "/desk/incidents/")
	n.at = "/api/v1/incidents/" + n.inc
	n.drawer.says("+12025550181", "P0")
	n.drawer.says("lea@vendor.example", "Customer sites are gone")
	n.looks("Kim", "/desk", "desk")

	// 21:49. Who was called confirms; the first word leaves before anybody knows how many.
	n.until(21, 49)
	n.presses("Kim", where+"/command", "reason", "on duty tonight").want(303)
	n.presses("Kim", where+"/team", "act", "severity", "severity", "P0").want(303)
	for who, role := range map[string]string{"Lea": "comms", "Sam": "approver", "Eve": "engineering_lead", "Sue": "support_lead"} {
		n.presses(who, where+"/team", "act", "take", "role", role, "reason", "on duty").want(303)
	}
	n.do(ask{as: auth.Engineer, method: "PUT", path: n.at + "/affected", media: "text/csv", body: "site_id\nS-1\nS-2\nS-3\nS-4\nS-5\nS-6\n"}).want(200)
	n.presses("Lea", where+"/first-notice", "products", "Wiki, Tracker", "next_update_by", "2022-04-05T22:45").want(303)
	n.drawer.says("cem@cora.example", "22:45")
	n.until(22, 5)
	for _, u := range n.updatesOf() {
		n.presses("Sam", "/desk/updates/"+u.ID+"/read").want(303)
	}
	n.says("Sue", "POST", "/api/v1/tickets/"+first.Number+"/messages", map[string]any{"text": "We see it too, and your wiki is among the sites. We write to you before 22:45."}).want(201)

	// 22:35. The cause is known; the first full update under two pairs of eyes.
	n.until(22, 35)
	n.presses("Kim", where+"/classify", "found_by", "customer_ticket", "customer", "Acme", "detected_at", "2022-04-05T21:40", "scope_estimate", "six sites",
		"impact", "Sites answer with an error; their admins cannot sign in", "severity", "P0", "category", "data").want(303)
	n.says("Eve", "POST", n.at+"/streams", map[string]any{"name": "Restore", "owner": n.ids["Eve"]}).want(201)
	says := func(headline string, mend func(map[string]any)) map[string]any {
		s := n.statement(func(s map[string]any) {
			s["headline"], s["audience"] = headline, "affected"
			s["affected"] = map[string]any{"who": "A site that cannot be opened.", "sites": 6, "customers": 5, "status": "final", "confidence": "high"}
			s["locales"] = []string{"en", "zh-CN", "ja", "de"}
			s["channels"] = []string{"email", "sms", "page", "ticket"}
			s["next_update_by"] = n.clock.Now().Add(2 * time.Hour).Format(time.RFC3339)
		})
		if mend != nil {
			mend(s)
		}
		return s
	}
	one := n.publishes(says("A script of ours deleted your sites", nil))
	n.drawer.says("dai@bolt.example", "第")
	n.drawer.says("ann@acme.example", fmt.Sprintf("Update %d", one.Number))
	n.looks("", "/en/incidents/"+n.short(), "public")

	// 00:50. The promised word is late; whoever promised it hears so before the customers do.
	n.until(0, 55)
	n.drawer.says("kim@vendor.example", "the promised update")
	n.drawer.says("+12025550182", "the promised update")
	n.looks("Lea", where, "room-late")
	n.publishes(says("Restoring has begun", func(s map[string]any) {
		s["no_change"], s["doing"] = false, []string{"Six sites are restored in two batches."}
	}))

	// 01:00. The first batch is rebuilt and checked; the evening's shift hands over to the night's.
	n.moves(comms.Restoring, "first", "by script", "S-1", "S-2", "S-3")
	n.says("Kim", "PUT", n.at+"/batches", map[string]any{"name": "first", "lead": n.ids["Sue"], "stand_in": n.ids["Bo"]}).want(200)
	n.presses("Kim", where+"/batches", "act", "name", "name", "first", "lead", n.ids["Sue"], "stand_in", n.ids["Sue"]).want(422).says("is the lead herself")
	note := n.presses("Sue", where+"/handoffs", "ends_at", n.clock.Now().Add(2*time.Hour).Format("2006-01-02T15:04"), "lead", n.ids["Sue"], "next_lead", n.ids["Bo"]).want(303).Header.Get("Location")
	n.presses("Kim", where+"/team", "act", "meeting", "notes", "The second batch is next. Nobody is tired yet.", "present", n.ids["Kim"], "present", n.ids["Lea"]).want(303)
	n.until(1, 30)
	n.moves(comms.Rebuilt, "first", "by script", "S-1", "S-2", "S-3")
	n.passed(2, "Sue", "Eve")
	n.looks("Bo", "/desk/checks", "checks")
	n.looks("Sue", where+"/batches?name=first", "batch")
	n.presses("Bo", where+"/batches", "act", "close", "name", "first").want(409).says("have not")
	n.looks("Sue", note, "handoff")
	n.presses("Sue", note, "text", "Two of the first batch have passed. Acme tracker waits for its check: its owner reads Chinese.").want(303)
	n.presses("Bo", note, "act", "acknowledge").want(303)
	n.publishes(says("The first sites are back", nil))
	n.until(4, 0)
	n.passed(3, "Bo", "Eve")
	n.plan(where)
	n.drawer.says("dai@bolt.example", "/b/")

	// 05:30. The second batch; one site fails its check and is made anew.
	n.until(5, 30)
	n.moves(comms.Restoring, "second", "by script", "S-4", "S-5", "S-6")
	n.until(6, 0)
	n.moves(comms.Rebuilt, "second", "by script", "S-4", "S-5", "S-6")
	bad, epoch := n.claims("Bo")
	n.says("Bo", "POST", "/api/v1/checks/"+bad+"/submit", map[string]any{"epoch": epoch, "verdict": "failed", "code": n.Desk.Policy.Checks.Codes[0], "reason": "attachments answer 404", "results": map[string]any{"opens": map[string]any{"state": "done"}}}).want(200)
	n.passed(5, "Bo", "Eve")
	n.until(7, 30)
	n.publishes(says("Most sites are back", nil))
	n.looks("Kim", where, "room-morning")

	// 08:30. Customers look. One misses something: her site is made anew, checked again, and is back when she says so.
	n.until(8, 30)
	lost, owner := "Dune", "dot@dune.example"
	if n.site(bad) == lost {
		lost, owner = "Echo", "eli@echo.example"
	}
	links := n.links(owner)
	missing := links[len(links)-1]
	n.do(ask{method: "POST", path: missing, media: form, body: "answer=rejected&words=the+pages+of+March"}).want(200)
	n.looks("Bo", "/desk/tasks", "tasks")
	for i, site := range []string{lost, n.site(bad)} {
		id := n.sites[site]
		n.moves(comms.Restoring, "second", "by hand", id)
		n.clock.Turn(time.Hour)
		n.moves(comms.Rebuilt, "second", "by hand", id)
		n.passed(5+i, "Bo", "Eve")
	}
	n.looks("", missing+"?lang=en", "customer")
	n.drawer.says(owner, "again")
	for _, link := range n.links("") {
		a := n.do(ask{method: "POST", path: link + "?lang=en", media: form, body: "answer=accepted"})
		if a.StatusCode != 404 { // that of a site that was made anew opens nothing any more
			a.want(200).says("works")
		}
	}
	var ledger struct {
		Sites struct {
			Restored, Total int
			Percent         string
		}
	}
	n.says("Kim", "GET", n.at+"/ledger", nil).want(200).into(&ledger)
	if ledger.Sites.Restored != 6 || ledger.Sites.Total != 6 || ledger.Sites.Percent != "100.0" {
		t.Errorf("%+v", ledger)
	}
	n.ends(where, first, says)
	n.looks("Kim", where, "room-end")
	n.keep()
}

// plan changes the way in which sites are repaired: the draft of the word is there with the reason, and leaves by two people.
func (n *night) plan(where string) {
	n.Helper()
	n.presses("Eve", where+"/plan", "what", "By hand", "why", "", "from", "soon").want(422).says("By hand", "must be a time")
	editor := n.presses("Eve", where+"/plan", "what", "The other sites are restored by hand", "why", "The script leaves attachments out", "earliest", "2022-04-06T10:00", "latest", "2022-04-06T14:00").want(303).Header.Get("Location")
	n.looks("Lea", editor, "editor-plan")
	_, id, _ := strings.Cut(editor, "update=")
	n.leaves(id)
	n.drawer.says("dot@dune.example", "The script leaves attachments out")
	id = n.says("Eve", "POST", n.at+"/plan", map[string]any{"what": "The other sites are restored by script again", "why": "It takes attachments now"}).want(201).text("update")
	n.looks("Eve", where+"/sites", "sites-plan")
	n.leaves(id)
	n.drawer.says("dot@dune.example", "It takes attachments now")
}

// ends closes what is open, each by whoever does it, and leaves nothing owed.
func (n *night) ends(where string, first receiptAnswer, says func(string, func(map[string]any)) map[string]any) {
	n.Helper()
	for _, name := range []string{"first", "second"} {
		n.presses("Bo", where+"/batches", "act", "close", "name", name).want(303)
	}
	n.publishes(says("All sites are back", func(s map[string]any) {
		s["phase"], s["next_update_by"] = "resolved", "none"
		s["timeline"] = map[string]any{"kind": "not_known", "confidence": "low", "full_scope_by": "none"}
	}))
	n.says("Sue", "POST", "/api/v1/tickets/"+first.Number+"/solve", map[string]any{"explanation": "Your wiki was restored from the backup of 07:31 on 5 April, and you said that it works."}).want(200)
	var running list[comms.Playbook]
	n.says("Kim", "GET", n.at+"/playbooks", nil).want(200).into(&running)
	for _, b := range running.Items {
		steps := map[string]any{}
		for _, s := range b.Steps {
			steps[s.Key] = map[string]any{"state": "done"}
		}
		n.says("Kim", "POST", n.at+"/playbooks/"+b.ID+"/steps", map[string]any{"steps": steps}).want(200)
	}
	n.says("Kim", "PATCH", n.at, map[string]any{"state": comms.Closed, "reason": "every site is back and confirmed"}).want(200)
	due, err := n.Comms.DueList(context.Background())
	if err != nil {
		n.Fatal(err)
	}
	for _, d := range due {
		if d.Of != n.inc { // a ticket's own clock
			continue
		}
		n.Errorf("still owed after the end: %s %q at %s", d.What, d.Title, d.Due)
	}
}

// updatesOf are the updates of the incident, the newest first.
func (n *night) updatesOf() []updateAnswer {
	n.Helper()
	var all list[updateAnswer]
	n.says("Lea", "GET", n.at+"/updates", nil).want(200).into(&all)
	return all.Items
}

// short is the incident's public id.
func (n *night) short() string {
	n.Helper()
	var in incidentAnswer
	n.says("Lea", "GET", n.at, nil).want(200).into(&in)
	return in.Short
}

// site is what the site of a check is called.
func (n *night) site(check string) string {
	n.Helper()
	var o openedAnswer
	n.says("Bo", "GET", "/api/v1/checks/"+check, nil).want(200).into(&o)
	return o.Name
}

// links are the links by which customers say whether a site works, in the order in which they were mailed; of one person, or of all.
func (n *night) links(to string) (all []string) {
	n.Helper()
	n.drawer.mu.Lock()
	defer n.drawer.mu.Unlock()
	for _, m := range n.drawer.all {
		if m.Channel != "email" || to != "" && m.To != to {
			continue
		}
		for _, link := range backLink.FindAllString(m.Text, -1) {
			if !slices.Contains(all, link) {
				all = append(all, link)
			}
		}
	}
	return all
}
