package page

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// Everybody who has a page open hears of a new edition over the one stream; one who is too many is refused and told when to ask again, and the end of
// the process ends the streams.
func TestOpenPagesHearOfANewEdition(t *testing.T) {
	live := &Live{Most: 3}
	s := &Server{Live: live}
	first, err := samplePress(t, "").Render(sampleEmpty())
	if err != nil {
		t.Fatal(err)
	}
	s.Show(first)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &fasthttp.Server{KeepHijackedConns: true, Handler: s.Front(func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(fasthttp.StatusTeapot) })}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { live.Run(ctx); close(ran) }()
	t.Cleanup(func() {
		stop()
		<-ran
		if err := srv.Shutdown(); err != nil {
			t.Error(err)
		}
		<-served
	})
	open := func() (*http.Response, *bufio.Reader, net.Conn) {
		t.Helper()
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := conn.Write([]byte("GET /live HTTP/1.1\r\nHost: status.example.com\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		answer, err := http.ReadResponse(r, &http.Request{Method: "GET"})
		if err != nil {
			t.Fatal(err)
		}
		return answer, bufio.NewReader(answer.Body), conn
	}
	next := func(r *bufio.Reader) string {
		t.Helper()
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if data, found := strings.CutPrefix(strings.TrimSpace(line), "data: "); found {
				return data
			}
		}
	}
	var readers []*bufio.Reader
	var conns []net.Conn
	for range 3 {
		answer, r, conn := open()
		if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("Content-Security-Policy") == "" || answer.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v", answer.StatusCode, answer.Header)
		}
		if got := next(r); got != "1" {
			t.Errorf("the first word is %q", got)
		}
		readers, conns = append(readers, r), append(conns, conn)
	}
	if answer, _, _ := open(); answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
		t.Errorf("one too many is answered %d %v", answer.StatusCode, answer.Header)
	}
	conns[0].Close()
	again := *first // the same edition, written anew, is no news
	s.Show(&again)
	second := *first
	second.Number = 2
	s.Show(&second)
	for _, r := range readers[1:] {
		if got := next(r); got != "2" {
			t.Errorf("told of %q", got)
		}
	}
	for live.tell([]byte(":\n\n")); live.Count() != 2; live.tell([]byte(":\n\n")) { // the first write to a connection that was closed may still be taken
	}
	stop()
	<-ran
	for _, r := range readers[1:] {
		if rest, err := io.ReadAll(r); err != nil || strings.Contains(string(rest), "data") {
			t.Errorf("at the end: %q, %v", rest, err)
		}
	}
	if answer, _, _ := open(); answer.StatusCode != 503 {
		t.Errorf("behind the end it answers %d", answer.StatusCode)
	}
}
