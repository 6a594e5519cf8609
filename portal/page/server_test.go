package page

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"lifeline/comms"
	"lifeline/templates"
)

// serve puts a server for an edition behind a real fasthttp listener in memory and returns a way to ask it.
func serve(t *testing.T, s *Server) func(method, target string, headers ...string) answered {
	t.Helper()
	ln := fasthttputil.NewInmemoryListener()
	srv := &fasthttp.Server{
		Name: "test", NoDefaultServerHeader: true, NoDefaultContentType: true, ReadBufferSize: 16 << 10,
		Handler: s.Front(func(ctx *fasthttp.RequestCtx) {
			ctx.SetStatusCode(fasthttp.StatusTeapot)
			ctx.SetBodyString("next")
		}),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() {
		ln.Close()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return func(method, target string, headers ...string) answered {
		t.Helper()
		conn, err := ln.Dial()
		if err != nil {
			t.Fatalf("dial: %v", err)
		}
		defer conn.Close()
		return ask(t, conn, method, target, headers...)
	}
}

type answered struct {
	status int
	header http.Header
	body   []byte
}

func ask(t *testing.T, conn net.Conn, method, target string, headers ...string) answered {
	t.Helper()
	req := method + " " + target + " HTTP/1.1\r\nHost: status.example.com\r\nConnection: close\r\n"
	for _, h := range headers {
		req += h + "\r\n"
	}
	if _, err := conn.Write([]byte(req + "\r\n")); err != nil {
		t.Fatalf("write: %v", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read: %v", method, target, err)
	}
	return answered{resp.StatusCode, resp.Header, body}
}

func shownServer(t *testing.T, p comms.Public) (*Server, *Edition) {
	t.Helper()
	return shownBy(t, samplePress(t, ""), p)
}

func shownBy(t testing.TB, press *Press, p comms.Public) (*Server, *Edition) {
	t.Helper()
	e, err := press.Render(p)
	if err != nil {
		t.Fatalf("render: %v", err)
	}
	s := &Server{}
	s.Show(e)
	return s, e
}

var publicPaths = []string{
	"/", "/en/", "/zh-CN/", "/ja/", "/en", "/history", "/en/history", "/ja/history/", "/incidents/" + sampleID, "/ja/incidents/" + sampleID,
	"/en/verify", "/ja/verify/" + templates.CheckCode(firstNotice().ID), "/en/incidents/" + sampleID + "/", "/api/v2/summary.json", "/api/v2/status.json", "/api/v2/components.json", "/api/v2/incidents.json",
	"/api/v2/incidents/unresolved.json", "/api/v2/scheduled-maintenances.json", "/api/v2/scheduled-maintenances/upcoming.json",
	"/api/v2/scheduled-maintenances/active.json", "/history.atom", "/history.rss", "/en/history.atom", "/ja/history.rss", "/api/v1/public/incidents/" + sampleID,
	"/api/v1/public/incidents.json", "/questions", "/en/questions", "/ja/questions/", "/api/v1/public/questions", "/api/v1/public/questions.json", SchemaPath, "/favicon.svg", "/robots.txt",
}

func TestEveryPublicPathIsServedInEveryCoding(t *testing.T) {
	s, e := shownServer(t, sampleRecovery())
	get := serve(t, s)
	for _, path := range publicPaths {
		plain := get("GET", path)
		if plain.status != 200 || len(plain.body) == 0 {
			t.Errorf("%s: %d with %d bytes", path, plain.status, len(plain.body))
			continue
		}
		if want := e.Body(path, "en"); !bytes.Equal(plain.body, want) {
			t.Errorf("%s: not the edition's bytes", path)
		}
		seen := map[string]bool{plain.header.Get("ETag"): true}
		for _, accept := range []string{"gzip", "br"} {
			coded := get("GET", path, "Accept-Encoding: "+accept)
			if got := coded.header.Get("Content-Encoding"); got == "" && len(plain.body) < smallestWorthCoding {
				continue
			} else if got != accept {
				t.Errorf("%s: Content-Encoding %q, want %q", path, got, accept)
				continue
			}
			if got := decode(t, accept, coded.body); !bytes.Equal(got, plain.body) {
				t.Errorf("%s in %s: other bytes", path, accept)
			}
			seen[coded.header.Get("ETag")] = true
		}
		if weak := strings.HasPrefix(path, "/api/v2/"); weak != strings.HasPrefix(plain.header.Get("ETag"), "W/") || weak && len(seen) != 1 || !weak && len(seen) != 3 && len(plain.body) >= smallestWorthCoding {
			t.Errorf("%s: tags %v", path, seen)
		}
		if cors := plain.header.Get("Access-Control-Allow-Origin"); (cors == "*") != (strings.HasPrefix(path, "/api/") || strings.Contains(path, "/history.")) {
			t.Errorf("%s: Access-Control-Allow-Origin %q", path, cors)
		}
		for _, h := range SecurityHeaders(true) {
			if got := plain.header.Get(h[0]); got != h[1] {
				t.Errorf("%s: %s is %q, want %q", path, h[0], got, h[1])
			}
		}
	}
}

func decode(t *testing.T, how string, body []byte) []byte {
	t.Helper()
	var r io.Reader = brotli.NewReader(bytes.NewReader(body))
	if how == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatalf("gzip: %v", err)
		}
		r = z
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	return out
}

func TestHeadAnswersLikeGetWithoutABody(t *testing.T) {
	s, _ := shownServer(t, sampleRecovery())
	ask := serve(t, s)
	for _, path := range publicPaths {
		get, head := ask("GET", path, "Accept-Encoding: br"), ask("HEAD", path, "Accept-Encoding: br")
		if head.status != 200 || len(head.body) != 0 {
			t.Errorf("HEAD %s: %d with %d bytes", path, head.status, len(head.body))
		}
		for _, name := range []string{"Content-Length", "Content-Type", "Etag", "Last-Modified", "Cache-Control", "Vary", "Content-Encoding", "Content-Language"} {
			if g, h := get.header.Get(name), head.header.Get(name); g != h {
				t.Errorf("HEAD %s: %s is %q, GET says %q", path, name, h, g)
			}
		}
	}
}

func TestConditionalRequests(t *testing.T) {
	s, _ := shownServer(t, sampleRecovery())
	ask := serve(t, s)
	for _, path := range []string{"/en/", "/api/v2/summary.json", "/history.atom"} {
		first := ask("GET", path, "Accept-Encoding: gzip")
		tag, since := first.header.Get("ETag"), first.header.Get("Last-Modified")
		for _, method := range []string{"GET", "HEAD"} {
			for _, header := range []string{"If-None-Match: " + tag, `If-None-Match: "x", ` + tag, "If-None-Match: *", "If-Modified-Since: " + since} {
				again := ask(method, path, "Accept-Encoding: gzip", header)
				if again.status != 304 || len(again.body) != 0 || again.header.Get("ETag") != tag || again.header.Get("Cache-Control") == "" || again.header.Get("Vary") == "" {
					t.Errorf("%s %s with %s: %d, %v", method, path, header, again.status, again.header)
				}
				if again.header.Get("Content-Encoding") != "" || again.header.Get("Content-Type") != "" {
					t.Errorf("%s %s: a 304 describes a body: %v", method, path, again.header)
				}
			}
			if again := ask(method, path, "Accept-Encoding: gzip", `If-None-Match: "other"`, "If-Modified-Since: "+since); again.status != 200 {
				t.Errorf("%s %s with another tag: %d", method, path, again.status)
			}
		}
	}
	plain := ask("GET", "/en/")
	if again := ask("GET", "/en/", "Accept-Encoding: br", "If-None-Match: "+plain.header.Get("ETag")); again.status != 200 {
		t.Errorf("a strong tag of another coding matched: %d", again.status)
	}
}

func TestTheFirstPageSpeaksTheReadersLanguage(t *testing.T) {
	s, e := shownBy(t, sampleWide(t), sampleRecovery())
	ask := serve(t, s)
	for _, path := range []string{"/", "/history", "/incidents/" + sampleID} {
		for header, locale := range map[string]string{"": "en", "ja,en;q=0.8": "ja", "zh-TW": "zh-CN", "fr": "fr", "pt-PT": "pt-BR", "it": "en"} {
			got := ask("GET", path, "Accept-Language: "+header)
			if got.header.Get("Content-Language") != locale || got.header.Get("Vary") != "Accept-Encoding, Accept-Language" || !bytes.Equal(got.body, e.Body(path, locale)) {
				t.Errorf("%s for %q: %s, Vary %q", path, header, got.header.Get("Content-Language"), got.header.Get("Vary"))
			}
		}
	}
	if got := ask("GET", "/ja/", "Accept-Language: en"); got.header.Get("Content-Language") != "ja" || got.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("/ja/ is not fixed: %v", got.header)
	}
}

func TestWhatIsNotAPublicPageIsHandedOn(t *testing.T) {
	s, _ := shownServer(t, sampleRecovery())
	ask := serve(t, s)
	for _, c := range []struct {
		method, target string
		headers        []string
		status         int
	}{
		{"GET", "/support", nil, 418},
		{"GET", "/EN/", nil, 418},
		{"GET", "/incidents/none", nil, 418},
		{"POST", "/", []string{"Content-Length: 0"}, 418},
		{"DELETE", "/en/", nil, 418},
		{"GET", "/en/", []string{"Content-Length: 0"}, 200},
		{"GET", "/en/?utm=1#x", nil, 200},
		{"GET", "/en/", []string{"Range: bytes=0-9"}, 200},
		{"GET", "//api/v2/summary.json", nil, 200},
		{"GET", "///api/v2/summary.json?x", nil, 200},
		{"GET", "/api//v2/summary.json", nil, 200},
		{"GET", "http://status.example.com/en/", nil, 200},
		{"GET", "/%65n/", nil, 200},
		{"GET", "/en/../ja/", nil, 200},
		{"GET", "//evil.example/en/", nil, 418},
		{"GET", "/en/\x00", nil, 0},
	} {
		if c.status == 0 {
			continue // fasthttp answers for itself
		}
		if got := ask(c.method, c.target, c.headers...); got.status != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.target, got.status, c.status)
		}
	}
}

func TestBeforeTheFirstEditionEverythingIsHandedOn(t *testing.T) {
	if got := serve(t, &Server{})("GET", "/"); got.status != 418 {
		t.Errorf("got %d", got.status)
	}
}

// Readers see one edition or the other, whole, while editions are swapped under them.
func TestSwappingUnderReaders(t *testing.T) {
	press := samplePress(t, "")
	one, err := press.Render(sampleEmpty())
	if err != nil {
		t.Fatal(err)
	}
	two, err := press.Render(sampleRecovery())
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{}
	s.Show(one)
	ln := fasthttputil.NewInmemoryListener()
	srv := &fasthttp.Server{Handler: s.Front(func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(404) })}
	go srv.Serve(ln)
	defer ln.Close()
	client := &fasthttp.HostClient{Addr: "x", Dial: func(string) (net.Conn, error) { return ln.Dial() }}
	stop := make(chan struct{})
	var swapper, readers sync.WaitGroup
	swapper.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				s.Show([]*Edition{one, two}[i%2])
			}
		}
	})
	errs := make(chan error, 8)
	for range 4 {
		readers.Go(func() {
			for range 300 {
				status, body, err := client.Get(nil, "http://x/en/")
				if err != nil || status != 200 || !bytes.Equal(body, one.Body("/en/", "")) && !bytes.Equal(body, two.Body("/en/", "")) {
					errs <- fmt.Errorf("status %d, %d bytes, %v", status, len(body), err)
					return
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	swapper.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func FuzzTarget(f *testing.F) {
	press := samplePress(f, "")
	e, err := press.Render(sampleRecovery())
	if err != nil {
		f.Fatal(err)
	}
	s := &Server{}
	s.Show(e)
	for _, path := range publicPaths {
		f.Add("GET", path, "br", "ja")
	}
	f.Add("HEAD", "//api/v2/summary.json", "gzip;q=0", "")
	f.Add("GET", "/en/../../etc/passwd", "*", "*")
	h := s.Front(func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(fasthttp.StatusTeapot) })
	f.Fuzz(func(t *testing.T, method, target, encoding, lang string) {
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.SetMethod(method)
		ctx.Request.Header.SetRequestURI(target)
		ctx.Request.Header.Set("Accept-Encoding", encoding)
		ctx.Request.Header.Set("Accept-Language", lang)
		h(&ctx)
		if code := ctx.Response.StatusCode(); code != 200 && code != 304 && code != 418 {
			t.Errorf("%s %q: %d", method, target, code)
		}
	})
}

// endless is a connection on which the same request comes again and again, as often as it is asked; what is answered is thrown away. It holds what a server does
// for a request against what a kernel does, which costs several times as much and is the same for every answer.
type endless struct {
	net.Conn // its other methods are not called
	request  []byte
	left     int // requests that are not read yet
	rest     []byte
}

func (c *endless) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		if c.left == 0 {
			return 0, io.EOF
		}
		c.left, c.rest = c.left-1, c.request
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *endless) Write(b []byte) (int, error)      { return len(b), nil }
func (c *endless) Close() error                     { return nil }
func (c *endless) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *endless) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *endless) SetDeadline(time.Time) error      { return nil }
func (c *endless) SetReadDeadline(time.Time) error  { return nil }
func (c *endless) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkServe is one request on a kept connection, without the kernel: a 304 must cost less than the 200 that it spares.
func BenchmarkServe(b *testing.B) {
	s, e := shownBy(b, samplePress(b, ""), sampleRecovery())
	server := &fasthttp.Server{Handler: s.Front(nil), Name: "lifeline", NoDefaultContentType: true, ReadBufferSize: 16 << 10}
	known := "If-None-Match: " + string(e.docs["/en/"].reps[gzipCoding].tag)
	for _, c := range []struct{ name, target, header string }{
		{"page", "/en/", ""}, {"negotiated", "/", ""}, {"unchanged", "/en/", known}, {"summary", "/api/v2/summary.json", ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			request := "GET " + c.target + " HTTP/1.1\r\nHost: status.vendor.example\r\nUser-Agent: bench\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\n"
			if c.header != "" {
				request += c.header + "\r\n"
			}
			b.ReportAllocs()
			b.ResetTimer()
			if err := server.ServeConn(&endless{request: []byte(request + "\r\n"), left: b.N}); err != nil && !errors.Is(err, io.EOF) {
				b.Fatal(err)
			}
		})
	}
}
