package portal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeline/portal/auth"
	"lifeline/portal/page"
)

// These stories speak HTTP by hand, because a library would not say what hostile peers say.

// wire is a connection to the portal.
type wire struct {
	net.Conn
	*bufio.Reader
	t testing.TB
}

func (h *house) dialIn() *wire {
	h.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		h.Fatal(err)
	}
	return &wire{conn, bufio.NewReader(conn), h.TB}
}

func (w *wire) say(format string, args ...any) *wire {
	w.t.Helper()
	if _, err := fmt.Fprintf(w.Conn, format, args...); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// hear reads one answer; it must be a problem document with the headers of every answer unless it is a success.
func (w *wire) hear(status int) *http.Response {
	w.t.Helper()
	res, err := http.ReadResponse(w.Reader, nil)
	if err != nil {
		w.t.Fatalf("wanted %d: %v", status, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("wanted %d: %v", status, err)
	}
	if res.StatusCode != status {
		w.t.Fatalf("%d, want %d\n%s", res.StatusCode, status, body)
	}
	secure(w.t, res.Request, res)
	if status >= 400 {
		var p problem
		if err := json.Unmarshal(body, &p); err != nil || res.Header.Get("Content-Type") != "application/problem+json" || p.Status != status || p.Title == "" {
			w.t.Errorf("%q is no problem document: %v", body, err)
		}
	}
	return res
}

// ended wants the connection closed from the other side.
func (w *wire) ended() {
	w.t.Helper()
	if rest, err := io.ReadAll(w.Reader); len(rest) > 0 {
		w.t.Errorf("behind the answer came %q, %v", rest, err)
	} else if e, ok := err.(net.Error); ok && e.Timeout() {
		w.t.Error("the connection stayed open")
	}
}

// secure wants the headers that every answer carries, and nothing kept by anybody unless it is public.
func secure(t testing.TB, req *http.Request, res *http.Response) {
	t.Helper()
	what := fmt.Sprint(res.StatusCode)
	if req != nil {
		what = req.Method + " " + req.URL.Path + " " + what
	}
	policy := map[string]string{}
	for part := range strings.SplitSeq(res.Header.Get("Content-Security-Policy"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), " ")
		policy[name] = value
	}
	for name, want := range map[string]string{"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'", "connect-src": "'self'",
		"form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'"} {
		if policy[name] != want {
			t.Errorf("%s: the policy has %s %q", what, name, policy[name])
		}
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Server": "lifeline"} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %s: %q", what, name, got)
		}
	}
}

const filed = `{"message":"help","email":"ann@acme.example"}`

func TestHeadersHaveALimit(t *testing.T) {
	h := open(t)
	h.dialIn().say("GET /support HTTP/1.1\r\nHost: x\r\nX-Padding: %s\r\n\r\n", strings.Repeat("a", 12<<10)).hear(200)
	w := h.dialIn().say("GET /support HTTP/1.1\r\nHost: x\r\nX-Padding: %s\r\n\r\n", strings.Repeat("a", maxHeaders))
	w.hear(431)
	w.ended()
}

func TestBodiesHaveALimit(t *testing.T) {
	h := open(t)
	big := strings.Repeat(" ", maxJSON) + filed
	w := h.dialIn().say("POST /api/v1/incidents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", h.tokens[auth.Commander], len(big), big)
	w.hear(413)
	w = h.dialIn().say("POST /api/v1/incidents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
		h.tokens[auth.Commander], len(big), big)
	w.hear(413)
	// A page's form is read by other code, which has no limit of its own.
	for _, path := range []string{"/t/000-000-000", "/desk/sign-in", "/webhooks/twilio/status"} {
		form := "secret=" + strings.Repeat("a", maxJSON)
		w = h.dialIn().say("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", path, len(form), form)
		w.hear(413)
	}
	// A ticket as JSON has the limit of JSON though a ticket with files may be larger; nobody reads gigabytes to say so.
	w = h.dialIn().say("POST /api/v1/tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(big), big)
	w.hear(413)
	w = h.dialIn().say("POST /api/v1/tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", int64(1)<<40, strings.Repeat(" ", prefetch))
	w.hear(413)
}

func TestDepthHasALimit(t *testing.T) {
	h := open(t)
	nested := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/incidents/" + h.declare() + "/working-copy", body: nested(maxDepth)}).want(200)
	for _, path := range []string{"/api/v1/incidents", "/api/v1/tickets", "/api/v1/incidents/inc_x/updates"} {
		h.post(auth.Commander, path, nested(maxDepth+1)).want(422).says("32 levels")
		h.post(auth.Commander, path, strings.Repeat("[", maxJSON)).want(422).says("32 levels")
	}
}

func TestCompressedBodiesAreRefused(t *testing.T) {
	h := open(t)
	for _, enc := range []string{"gzip", "br", "deflate", "zstd", "x-gzip", "identity, gzip"} {
		w := h.dialIn().say("POST /api/v1/tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: %s\r\nContent-Length: 2\r\n\r\n{}", enc)
		w.hear(415)
		w.ended()
	}
	h.dialIn().say("POST /api/v1/tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: identity\r\nContent-Length: %d\r\n\r\n%s", len(filed), filed).hear(201)
}

func TestTwoLengthsAreRefused(t *testing.T) {
	h := open(t)
	for _, head := range []string{
		"Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5", "tRANSFER-eNCODING: chunked\r\ncONTENT-lENGTH: 0",
		"Content-Length: 5\r\nContent-Length: 6", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked, identity",
		"Transfer-Encoding: xchunked", "Content-Length: +5", "Content-Length: 5, 5", "Content-Length: -1", "Transfer-Encoding : chunked",
	} {
		for _, path := range []string{"/api/v1/tickets", "/nowhere"} {
			w := h.dialIn().say("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s\r\n\r\n0\r\n\r\nGET /t/smuggled HTTP/1.1\r\nHost: x\r\n\r\n", path, head)
			w.hear(400)
			w.ended()
		}
	}
	w := h.dialIn().say("POST /api/v1/tickets HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n")
	w.hear(400)
	w.ended()
}

// What a route did not read of a body must never be taken for the next request: whoever writes the body would write it.
func TestAnUnreadBodyIsNoRequest(t *testing.T) {
	h := open(t)
	smuggled := "GET /t/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	engineer := "Authorization: Bearer " + h.tokens[auth.Engineer] + "\r\n"
	for _, first := range []struct{ line, head string }{
		{"PUT /api/v1/incidents/inc_x/affected", "Content-Type: text/csv\r\n"}, // nobody is signed in
		{"POST /api/v1/incidents", "Authorization: Bearer no\r\n"},             // nor here
		{"POST /nowhere", ""},                              // no route
		{"GET /support", ""},                               // a route that takes no body
		{"PUT /api/v1/incidents/inc_x/affected", engineer}, // refused by its media type
		{"PUT /api/v1/incidents/inc_x/affected", "Content-Type: text/csv\r\n" + engineer}, // there is no such incident
	} {
		for _, body := range []string{
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(smuggled), smuggled),
			fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled),
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 70_000+len(smuggled), strings.Repeat(" ", 70_000)+smuggled),
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 3<<20, strings.Repeat(smuggled, 3<<20/len(smuggled)+1)[:3<<20]),
		} {
			w := h.dialIn()
			go func() { // the other side may stop reading, and what then was said is lost
				_, _ = fmt.Fprintf(w.Conn, "%s HTTP/1.1\r\nHost: x\r\n%s%sGET /t/meant HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", first.line, first.head, body)
			}()
			heard, _ := io.ReadAll(w.Reader) // an end or a reset
			if bytes.Contains(heard, []byte("/t/smuggled?lang")) || bytes.Count(heard, []byte("HTTP/1.1 ")) > 2 {
				t.Errorf("%s, %.40q: the body was answered:\n%.600s", first.line, body, heard)
			}
			if len(body) < 100_000 && !bytes.Contains(heard, []byte("/t/meant")) {
				t.Errorf("%s, %.40q: the next request was not answered:\n%.600s", first.line, body, heard)
			}
		}
	}
}

func TestASlowHeaderIsClosed(t *testing.T) {
	h := open(t)
	// The patience of production, ten seconds, as a number; a short one at work.
	server := Server(h.Handler(), h.Portal.Log)
	if server.ReadTimeout != 10*time.Second || server.IdleTimeout != 75*time.Second || server.WriteTimeout != 30*time.Second {
		t.Errorf("timeouts: header %s, idle %s, write %s", server.ReadTimeout, server.IdleTimeout, server.WriteTimeout)
	}
	server.ReadTimeout = 50 * time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		<-served
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	w := &wire{conn, bufio.NewReader(conn), t}
	w.say("GET /support HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	w.hear(408)
	w.ended()
}

func TestWhatDoesNotExist(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/nowhere", "/api/v1/nowhere", "/api/v1", "/desk/nowhere", "/support/", "/Support", "/t/", "/api/v1/incidents/x/y/z", "/..%2f..%2fetc/passwd"} {
		if a := h.get("", path).want(404); len(a.named()) != 0 {
			t.Errorf("%s names fields", path)
		}
	}
	for _, c := range []struct{ method, path, allow string }{
		{"DELETE", "/support", "GET, HEAD, POST"}, {"PUT", "/api/v1/tickets", "POST, GET, HEAD"}, {"POST", "/api/v1/incidents/inc_x", "GET, HEAD, PATCH"},
		{"GET", "/webhooks/twilio/status", "POST"}, {"TRACE", "/desk", "GET, HEAD"},
	} {
		a := h.do(ask{method: c.method, path: c.path}).want(405)
		if a.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: Allow: %q", c.method, c.path, a.Header.Get("Allow"))
		}
		a.named()
	}
	get, head := h.get("", "/support").want(200), h.do(ask{method: "HEAD", path: "/support"}).want(200)
	if head.Header.Get("Content-Type") != get.Header.Get("Content-Type") || len(head.body) > 0 {
		t.Errorf("HEAD answers %v and %d bytes", head.Header, len(head.body))
	}
	h.do(ask{method: "GET", path: "/nowhere", header: map[string]string{"Accept": "text/html", "Accept-Language": "ja"}}).want(404).says(`<html lang="ja"`)
}

func TestEveryAnswerHasTheHeaders(t *testing.T) {
	h := open(t, func(p *Portal) { p.Page = &page.Server{} })
	cookie, _ := h.signIn(auth.Commander)
	for _, a := range []ask{
		{method: "GET", path: "/support"}, {method: "GET", path: "/t/000-000-000"}, {method: "POST", path: "/t/000-000-000"}, {method: "GET", path: "/nowhere"},
		{method: "GET", path: "/nowhere", header: map[string]string{"Accept": "text/html"}}, {method: "DELETE", path: "/support"},
		{method: "POST", path: "/api/v1/tickets", body: filed}, {method: "POST", path: "/api/v1/tickets", body: "{"}, {method: "GET", path: "/api/v1/incidents"},
		{as: auth.Auditor, method: "GET", path: "/api/v1/incidents"}, {as: auth.Auditor, method: "POST", path: "/api/v1/incidents"}, {method: "GET", path: "/desk"},
		{method: "GET", path: "/desk", header: map[string]string{"Cookie": cookie.String()}}, {method: "GET", path: "/desk/sign-in"}, {method: "POST", path: "/webhooks/twilio/status"},
	} {
		res := h.do(a)
		secure(t, res.Request, res.Response)
		if got := res.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s %s: Cache-Control: %q", a.method, a.path, got)
		}
		if got := res.Header.Values("Access-Control-Allow-Origin"); got != nil {
			t.Errorf("%s %s may be read by other sites: %q", a.method, a.path, got)
		}
		if got := res.Header.Get("Strict-Transport-Security"); got != "" {
			t.Errorf("%s %s: %q on a plain address", a.method, a.path, got)
		}
	}
	doc := h.get("", "/api/v1/openapi.json").want(200)
	secure(t, doc.Request, doc.Response)
	if doc.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.HasPrefix(doc.Header.Get("Cache-Control"), "public") {
		t.Errorf("the document is public: %v", doc.Header)
	}
}

func TestOnEncryptedAddressesBrowsersAreHeldToIt(t *testing.T) {
	h := open(t)
	plain := h.URL
	h.URL = "https://status.vendor.example" // what the proxy in front of it is called
	get := func(method, path, body string, header ...string) *http.Response {
		t.Helper()
		req, err := http.NewRequest(method, plain+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := h.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	for _, res := range []*http.Response{get("GET", "/support", ""), get("GET", "/nowhere", ""), get("POST", "/api/v1/tickets", "{}", "Content-Encoding", "gzip")} {
		if got := res.Header.Get("Strict-Transport-Security"); got != "max-age=31536000" {
			t.Errorf("%s %s: Strict-Transport-Security: %q", res.Request.URL.Path, res.Status, got)
		}
	}
	link := h.link(auth.Commander)
	res := get("POST", "/desk/sign-in", "link="+link, "Content-Type", "application/x-www-form-urlencoded", "Origin", h.URL)
	if res.StatusCode != 303 {
		t.Fatal(res.Status)
	}
	c := res.Cookies()[0]
	if c.Name != "__Host-lifeline" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || time.Until(c.Expires) > 12*time.Hour {
		t.Errorf("the cookie: %s", res.Header.Get("Set-Cookie"))
	}
}

func TestASignInLinkIsGoodOnceAndByPostOnly(t *testing.T) {
	h := open(t)
	link := h.link(auth.Commander)
	for range 2 { // a mail filter follows links
		a := h.get("", "/desk/sign-in?link="+link).want(200)
		if len(a.Cookies()) > 0 {
			t.Error("GET signs in")
		}
	}
	form := ask{method: "POST", path: "/desk/sign-in", media: "application/x-www-form-urlencoded", body: "link=" + link, header: map[string]string{"Origin": "null", "Sec-Fetch-Site": "same-origin"}}
	for _, from := range []map[string]string{{"Origin": "https://evil.example"}, {"Origin": "null", "Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}} {
		evil := form
		evil.header = from
		h.do(evil).want(403)
	}
	c := h.do(form).want(303).Cookies()[0]
	if c.Name != "lifeline" || c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
		t.Errorf("the cookie: %+v", c)
	}
	if a := h.do(form).want(401); len(a.Cookies()) > 0 {
		t.Error("the link signs in twice")
	}
	in := map[string]string{"Cookie": c.Name + "=" + c.Value}
	h.do(ask{method: "GET", path: "/desk", header: in}).want(200)
	_, csrf, err := h.Gate.Session(t.Context(), c.Value)
	if err != nil {
		t.Fatal(err)
	}
	out := ask{method: "POST", path: "/desk/sign-out", media: "application/x-www-form-urlencoded", body: "csrf=" + csrf, header: in}
	left := h.do(out).want(303)
	if said := left.Header.Get("Clear-Site-Data"); said != `"cache", "storage"` {
		t.Errorf("the browser is told to forget %s", said)
	}
	gone := left.Cookies()[0]
	if gone.Name != c.Name || gone.Value != "" || !gone.Expires.Before(time.Now()) {
		t.Errorf("signed out with %+v", gone)
	}
	h.do(ask{method: "GET", path: "/desk", header: in}).want(303)
}

// link makes a sign-in link and gives the secret in it.
func (h *house) link(role auth.Role) string {
	h.Helper()
	full, err := h.Gate.Link(h.Context(), auth.OperatorID, auth.Grantee{Role: role, Name: "The " + string(role)}, h.URL)
	if err != nil {
		h.Fatal(err)
	}
	_, link, _ := strings.Cut(full, auth.LinkParam+"=")
	return link
}

func TestAnotherSiteCannotWriteWithOurCookie(t *testing.T) {
	h := open(t)
	cookie, csrf := h.signIn(auth.Commander)
	try := func(status int, method, path, body string, header map[string]string) {
		t.Helper()
		header["Cookie"] = cookie.String()
		media := "application/x-www-form-urlencoded"
		if strings.HasPrefix(path, "/api/") {
			media = "application/json"
		}
		h.do(ask{method: method, path: path, media: media, body: body, header: header}).want(status)
	}
	form := "title=x&severity=P1&category=data&impact=y&csrf="
	try(403, "POST", "/desk/incidents", form, map[string]string{})
	try(403, "POST", "/desk/incidents", form+"wrong", map[string]string{"Origin": h.URL})
	try(403, "POST", "/desk/incidents", form+csrf, map[string]string{"Origin": "https://evil.example"})
	try(403, "POST", "/desk/incidents", form+csrf, map[string]string{"Origin": h.URL + ".evil.example"})
	try(403, "POST", "/desk/incidents", form+csrf, map[string]string{"Origin": "null", "Sec-Fetch-Site": "cross-site"})
	try(303, "POST", "/desk/incidents", form+csrf, map[string]string{"Origin": "null", "Sec-Fetch-Site": "same-origin"}) // what a browser says of our own form
	try(303, "POST", "/desk/incidents", form+csrf, map[string]string{"Origin": "null"})                                  // and over plain HTTP
	try(303, "POST", "/desk/incidents", form, map[string]string{"Origin": h.URL, "X-CSRF-Token": csrf})
	declared := `{"title":"x","severity":"P1","category":"data","impact":"y"}`
	try(403, "POST", "/api/v1/incidents", declared, map[string]string{"Origin": "https://evil.example"})
	try(403, "POST", "/api/v1/incidents", declared, map[string]string{})
	try(201, "POST", "/api/v1/incidents", declared, map[string]string{"X-CSRF-Token": csrf})
	if n := len(h.items("/api/v1/incidents")); n != 4 {
		t.Errorf("%d incidents, want the four that were meant", n)
	}
	try(403, "DELETE", "/api/v1/tokens/tok_x", "", map[string]string{"X-CSRF-Token": csrf})
	said := h.logs.String()
	pairs := regexp.MustCompile(`(?m)^time=\S+ level=WARN msg=("[^"\n]+"|\S+) person=stf_\w+( right=\S+)? method=\S+ route=\S+$`)
	if n, lines := len(pairs.FindAllString(said, -1)), strings.Count(said, "\n"); n != 8 || lines != 8 || !strings.Contains(said, " right="+string(auth.TokenIssue)+" ") {
		t.Errorf("%d of %d lines say who was refused what:\n%s", n, lines, said)
	}
}

// items reads a list to its end, a page of two at a time.
func (h *house) items(path string) (all []map[string]any) {
	h.Helper()
	sign := "?"
	if strings.Contains(path, "?") {
		sign = "&"
	}
	after := ""
	for {
		var got list[map[string]any]
		h.get(auth.Admin, path+sign+"limit=2&after="+after).want(200).into(&got)
		if len(got.Items) > 2 {
			h.Fatalf("%d items on a page of two", len(got.Items))
		}
		all = append(all, got.Items...)
		if got.Next == "" {
			return all
		}
		if len(got.Items) == 0 {
			h.Fatal("an empty page with another behind it")
		}
		after = got.Next
	}
}

func TestWhoMaySayWhereARequestComesFrom(t *testing.T) {
	h := open(t, func(p *Portal) {
		_, trusted, err := net.ParseCIDR("10.0.0.0/8")
		if err != nil {
			t.Fatal(err)
		}
		p.Trusted = append(loopback(), trusted)
	})
	from := func(lines ...string) string {
		t.Helper()
		var b bytes.Buffer
		fmt.Fprintf(&b, "POST /api/v1/tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n")
		for _, l := range lines {
			fmt.Fprintf(&b, "X-Forwarded-For: %s\r\n", l)
		}
		w := h.dialIn().say("%s\r\n{}", b.String())
		res, err := http.ReadResponse(w.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		return res.Status
	}
	for range intakePerMinute {
		if got := from("203.0.113.9"); !strings.HasPrefix(got, "422") {
			t.Fatal(got)
		}
	}
	for _, same := range [][]string{
		{"203.0.113.9"}, {"203.0.113.9, 10.1.2.3"}, {"198.51.100.1, 203.0.113.9"}, {"198.51.100.1", "203.0.113.9"}, {"198.51.100.1, 203.0.113.9", "10.0.0.1"},
		{"203.0.113.9:4711"}, {" 203.0.113.9 "}, {"nonsense, 203.0.113.9"}, {"::ffff:203.0.113.9"},
	} {
		if got := from(same...); !strings.HasPrefix(got, "429") {
			t.Errorf("%q is another source: %s", same, got)
		}
	}
	for _, other := range [][]string{{"203.0.113.10"}, {"203.0.113.9, 203.0.113.11"}, {"203.0.113.9", "203.0.113.12"}, {"203.0.113.9, nonsense"}, {}, {"2001:db8::1"}} {
		if got := from(other...); !strings.HasPrefix(got, "422") {
			t.Errorf("%q is the same source: %s", other, got)
		}
	}
	h.Trusted = nil // now nobody may say it
	for i := range intakePerMinute {
		from(fmt.Sprintf("192.0.2.%d", i))
	}
	if got := from("192.0.2.200"); !strings.HasPrefix(got, "429") {
		t.Errorf("a stranger chooses her own source: %s", got)
	}
}

func TestIPv6SourcesCountByTheirNetwork(t *testing.T) {
	for _, c := range [][2]string{
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"}, {"203.0.113.9", "203.0.113.9"}, {"::ffff:203.0.113.9", "::ffff:203.0.113.9"}, {"", ""}, {"x", "x"},
	} {
		if got := network(c[0]); got != c[1] {
			t.Errorf("network(%q) = %q, want %q", c[0], got, c[1])
		}
	}
}

func TestOnlyFilesMayTakeMinutes(t *testing.T) {
	for uri, want := range map[string]bool{
		"/api/v1/contacts/imports?source=x": true, "/api/v1/incidents/inc_1/affected?dry_run=true": true, "/api/v1/incidents/inc_1/sites": true,
		"/api/v1/tickets?x=/imports": false, "/support?/affected?": false, "/t/sites": false, "/": false,
	} {
		if long(uri) != want {
			t.Errorf("long(%q) = %t", uri, !want)
		}
	}
}
