package portal

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/comms/sms"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/portal/page"
	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/limit"
	"lifeline/store/storetest"
	"lifeline/templates"
)

// house is the portal with every room behind it, on a real store, served on a loopback listener under the limits of production. Its
// domain clock stands until the test turns it.
type house struct {
	testing.TB
	*Portal
	clock  *storetest.Dial
	logs   *logs
	client *http.Client
	doc    *document
	tokens map[auth.Role]string // one person of each role, named after it
}

// logs keeps what was logged, from any goroutine.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var outbreak = time.Date(2022, 4, 5, 8, 17, 0, 0, time.UTC)

// theWords are parsed once; they never change.
var theWords = sync.OnceValues(func() (*templates.Set, error) { return templates.Load("") })

// theContacts are two customers: Acme with S-1 to S-3, and Bolt with S-4.
const theContacts = `account,account_id,site,site_id,name,role,email,phone,locale,confirmed_at
Acme,A-1,Acme one,S-1,Ann Lee,owner,ann@acme.example,+12025550101,en,2022-04-01
Acme,A-1,Acme two,S-2,Bo Chen,technical,bo@acme.example,,zh-CN,2022-04-01
Acme,A-1,Acme three,S-3,,,,,,
Bolt,A-2,Bolt,S-4,Dai Ito,billing,dai@bolt.example,,ja,2022-04-01
`

// smsToken is the secret that the SMS provider signs with.
const smsToken = "0123456789abcdef0123456789abcdef"

// open wires a house as the program does. Mend changes the portal before it serves.
func open(t testing.TB, mend ...func(*Portal)) *house {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{TB: t, clock: storetest.NewDial(outbreak), logs: &logs{}, tokens: map[auth.Role]string{}}
	log := slog.New(slog.NewTextHandler(h.logs, nil))
	var kinds []store.Kind
	for _, some := range [][]store.Kind{contacts.Kinds(), contacts.ChangeKinds(), comms.Kinds(), desk.Kinds(), auth.Kinds(), limit.Kinds(), blob.Kinds()} {
		kinds = append(kinds, some...)
	}
	db := storetest.Open(t, kinds, storetest.Clock(h.clock.Now))
	words, err := theWords()
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + listener.Addr().String()
	vendor := templates.Vendor{Name: "Vendor", URL: address, Support: address + "/support"}
	book := &contacts.Book{DB: db, Policy: contacts.DefaultPolicy(), Log: log}
	policy := comms.DefaultPolicy()
	policy.Internal = []comms.Direct{{Channel: comms.ChannelEmail, Address: "duty@vendor.example", Locale: "en"}}
	room := &comms.Room{DB: db, Book: book, Words: words, Policy: policy, Vendor: vendor, Log: log}
	key, err := auth.OpenKey(filepath.Join(t.TempDir(), "keys"), true)
	if err != nil {
		t.Fatal(err)
	}
	h.Portal = &Portal{DB: db, Book: book, Comms: room, Desk: &desk.Desk{DB: db, Book: book, Comms: room, Policy: desk.DefaultPolicy(), Log: log},
		Gate: &auth.Gate{DB: db, Key: key, Issuer: address, Log: log}, Words: words, Log: log, URL: address, Trusted: loopback(),
		Sending: func() Sending { return Sending{Email: "off", SMS: "off"} },
		Callback: Callback{Status: sms.Status, Inbound: sms.Inbound, Answer: sms.Answer, Valid: func(full string, form url.Values, signature string) bool {
			return sms.ValidSignature(smsToken, full, form, signature)
		}}}
	room.Payload = (&page.Press{Words: words, Vendor: vendor, Log: log}).Payload
	h.Desk.Signing = desk.Signing{Sign: key.SignLink, Read: key.OpenLink}
	book.Merging, room.Follow, room.Tidings = h.Desk.Merging(), h.Desk.FollowMove, h.Desk.TellMoves
	room.Deeds, room.Kept, room.Cleared = h.Desk.Deeds(), h.Desk.Kept, h.Cleared
	h.Changes = &contacts.Changes{DB: db, Verbs: slices.Concat(book.ChangeVerbs(), h.Desk.ChangeVerbs(), StaffVerbs(h.Gate, nil)), Log: log}
	room.SignSites = key.SignLink
	room.SignSubscription = func(subject string) string { return key.SignLink(LinkSubscription, subject) }
	room.Asking = comms.Asking{Sign: func(subject string) string { return key.SignLink(LinkConfirm, subject) }, Live: func(string) bool { return true }, From: "status@vendor.example", Number: "+12025550100"}
	for _, m := range mend {
		m(h.Portal)
	}
	server := Server(h.Handler(), log)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	h.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		h.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := server.ShutdownWithContext(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if t.Failed() {
			t.Logf("the log:\n%s", h.logs)
		}
	})
	for _, role := range auth.Roles() {
		h.tokens[role] = h.issue(role, "The "+string(role))
	}
	h.doc = documentOf(h)
	return h
}

func loopback() []*net.IPNet {
	_, four, err := net.ParseCIDR("127.0.0.0/8")
	if err != nil {
		panic(err)
	}
	_, six, err := net.ParseCIDR("::1/128")
	if err != nil {
		panic(err)
	}
	return []*net.IPNet{four, six}
}

// issue makes a token for a person.
func (h *house) issue(role auth.Role, name string) string {
	h.Helper()
	token, err := h.Gate.Issue(context.Background(), auth.OperatorID, auth.Grantee{Role: role, Name: name})
	if err != nil {
		h.Fatal(err)
	}
	return token.JWT
}

// ask is one request of a story.
type ask struct {
	as     auth.Role // the person of that role; "": a stranger
	token  string    // or this token
	method string
	path   string
	media  string // of the body; "": JSON when there is a body
	body   any    // text as it is, anything else as JSON
	header map[string]string
}

// answer is what came back, its body read.
type answer struct {
	*http.Response
	body []byte
	t    testing.TB
}

func (h *house) do(a ask) answer {
	h.Helper()
	var body io.Reader
	switch b := a.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			h.Fatal(err)
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequest(a.method, h.URL+a.path, body)
	if err != nil {
		h.Fatal(err)
	}
	switch {
	case a.media != "":
		req.Header.Set("Content-Type", a.media)
	case body != nil:
		req.Header.Set("Content-Type", "application/json")
	}
	if a.as != "" {
		a.token = h.tokens[a.as]
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	for name, value := range a.header {
		req.Header.Set(name, value)
	}
	res, err := h.client.Do(req)
	if err != nil {
		h.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		h.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	out := answer{res, got, h.TB}
	h.doc.check(h.TB, a.method, req.URL.Path, out)
	return out
}

// get, post and the rest are requests of a person of a role.
func (h *house) get(as auth.Role, path string) answer {
	h.Helper()
	return h.do(ask{as: as, method: "GET", path: path})
}

func (h *house) post(as auth.Role, path string, body any) answer {
	h.Helper()
	return h.do(ask{as: as, method: "POST", path: path, body: body})
}

// want stops the story when the status is another.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.StatusCode != status {
		a.t.Fatalf("%s %s: %d, want %d\n%s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.body)
	}
	return a
}

// into reads the answer's JSON.
func (a answer) into(v any) answer {
	a.t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.t.Fatalf("%s %s: %v\n%s", a.Request.Method, a.Request.URL.Path, err, a.body)
	}
	return a
}

// text is one field of a JSON answer.
func (a answer) text(field string) string {
	a.t.Helper()
	var all map[string]any
	a.into(&all)
	s, ok := all[field].(string)
	if !ok {
		a.t.Fatalf("%s is not text in %s", field, a.body)
	}
	return s
}

// named are the fields that a refusal names, sorted.
func (a answer) named() []string {
	a.t.Helper()
	var p problem
	a.into(&p)
	if p.Status != a.StatusCode || p.Title == "" || p.Type != "about:blank" {
		a.t.Errorf("%s is no problem document with the status %d", a.body, a.StatusCode)
	}
	var names []string
	for _, f := range p.Errors {
		if f.Reason == "" {
			a.t.Errorf("%s has no reason: %s", f.Field, a.body)
		}
		names = append(names, f.Field)
	}
	slices.Sort(names)
	return names
}

// says wants words in the answer.
func (a answer) says(words ...string) answer {
	a.t.Helper()
	for _, w := range words {
		if !bytes.Contains(a.body, []byte(w)) {
			a.t.Errorf("%s %s does not say %q:\n%s", a.Request.Method, a.Request.URL.Path, w, a.body)
		}
	}
	return a
}

func (a answer) silent(words ...string) answer {
	a.t.Helper()
	for _, w := range words {
		said := bytes.Contains(a.body, []byte(w))
		if len(w) == 2 { // such as L2: the letters alone also stand in what is random, like the value of a visit, in every two-hundredth of them
			said = regexp.MustCompile(`\b` + w + `\b`).Match(a.body)
		}
		if said {
			a.t.Errorf("%s %s says %q:\n%s", a.Request.Method, a.Request.URL.Path, w, a.body)
		}
	}
	return a
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	g, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g, w) {
		t.Errorf("%s: %s, want %s", what, g, w)
	}
}

// loadContacts puts the two customers into the book.
func (h *house) loadContacts() {
	h.Helper()
	h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=billing", media: "text/csv", body: theContacts}).want(200)
}

// declare opens an incident and gives its id.
func (h *house) declare() string {
	h.Helper()
	return h.post(auth.Commander, "/api/v1/incidents", map[string]any{
		"title": "Sites deleted", "severity": "P0", "category": "data", "impact": "Customers cannot open their sites."}).want(201).text("id")
}

// statement is an update in which every required field is given.
func (h *house) statement(mend ...func(map[string]any)) map[string]any {
	s := map[string]any{
		"phase": "identified", "headline": "A script deleted sites", "what_happened": "A maintenance script deleted the sites of some customers.", "your_action": "nothing",
		"scope":     map[string]any{"products": []string{"Wiki"}, "regions": []string{"all"}, "text": "Sites in the cloud."},
		"affected":  map[string]any{"who": "A site that cannot be opened.", "sites": 4, "customers": 2, "status": "estimate", "confidence": "medium"},
		"timeline":  map[string]any{"kind": "direction", "text": "days, not hours", "confidence": "low", "full_scope_by": "not_known"},
		"data_loss": map[string]any{"kind": "at_most", "at_most": "PT5M", "confidence": "medium"},
		"known":     []string{"The list of sites is held."}, "unknown": []string{"How long each site takes."}, "unknown_none": false,
		"next_update_by": h.clock.Now().Add(time.Hour).Format(time.RFC3339), "audience": "affected",
		"channels": []string{"email", "sms", "page"}, "locales": []string{"en", "zh-CN", "ja"},
	}
	for _, m := range mend {
		m(s)
	}
	return s
}

// sent is what went out: both channels of this house hand every message to the test.
type sent struct {
	t    testing.TB
	came chan comms.Message
}

type tray struct {
	name string
	*sent
}

func (c tray) Name() string { return c.name }
func (c tray) Live() bool   { return true }
func (c tray) Close() error { return nil }

func (c tray) Send(ctx context.Context, m comms.Message) comms.Outcome {
	select {
	case c.came <- m.Whole():
		return comms.Outcome{State: comms.Sent, Ref: "SM" + strings.Repeat("0", 32)}
	case <-ctx.Done():
		return comms.Outcome{State: comms.Deferred, Reason: "the test is over"}
	}
}

// send runs the outbox until the test ends.
func (h *house) send(more ...comms.Channel) *sent {
	h.Helper()
	s := &sent{h.TB, make(chan comms.Message)}
	outbox := &comms.Outbox{Room: h.Comms, Channels: map[string]comms.Channel{"email": tray{"email", s}, "sms": tray{"sms", s}}, Log: h.Portal.Log, Holder: "test"}
	for _, c := range more {
		outbox.Channels[c.Name()] = c
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- outbox.Run(ctx) }()
	var busy sync.WaitGroup
	busy.Go(func() { h.Desk.RunCodes(ctx) })
	h.Cleanup(func() {
		cancel()
		busy.Wait()
		if err := <-done; err != nil && ctx.Err() == nil {
			h.Errorf("the outbox: %v", err)
		}
	})
	return s
}

// patience is how long a story waits for what must come.
const patience = time.Minute

func (s *sent) next() comms.Message {
	s.t.Helper()
	select {
	case m := <-s.came:
		return m
	case <-time.After(patience):
		s.t.Fatal("no message came")
		panic("unreachable")
	}
}
