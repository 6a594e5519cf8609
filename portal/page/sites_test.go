package page

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/valyala/fasthttp"

	"lifeline/portal/web/webshot"
)

// servedSite is one way in which readers get the page.
type servedSite struct {
	name string
	url  string
}

// everywhere publishes to a directory and serves it in every way that there is: by ourselves, by Go's file server and, where it is installed, by nginx
// under docs/page.nginx.conf. The last two have nothing but the directory.
func everywhere(t *testing.T, press *Press, e *Edition) []servedSite {
	t.Helper()
	if err := press.Write(e); err != nil {
		t.Fatal(err)
	}
	s := &Server{}
	s.Show(e)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &fasthttp.Server{NoDefaultServerHeader: true, NoDefaultContentType: true, Handler: s.Front(func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(404) })}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Shutdown() })
	files := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(press.Dir, currentLink))))
	t.Cleanup(files.Close)
	all := []servedSite{{"portal", "http://" + ln.Addr().String()}, {"file server", files.URL}}
	if url := byNginx(t, filepath.Join(press.Dir, currentLink)); url != "" {
		all = append(all, servedSite{"nginx", url})
	}
	return all
}

// byNginx serves a directory by nginx until the test ends, under the configuration that we tell operators of; "" when it is not installed.
func byNginx(t *testing.T, root string) string {
	t.Helper()
	bin, err := exec.LookPath("nginx")
	if err != nil {
		if bin = "/usr/sbin/nginx"; !executable(bin) {
			fmt.Fprintf(os.Stderr, "\n*** NOT TESTED ON NGINX: %s serves the page by it (apt-get install nginx-light) ***\n", t.Name())
			return ""
		}
	}
	told, err := os.ReadFile("../../docs/page.nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	own := strings.NewReplacer("listen 80;", "listen "+addr+";", "root /var/lib/lifeline/page/current;", "root "+root+";").Replace(string(told))
	if strings.Count(own, addr) != 1 || strings.Count(own, root) != 1 {
		t.Fatal("docs/page.nginx.conf says neither where to listen nor what to serve")
	}
	dir := t.TempDir()
	conf := "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\ninclude /etc/nginx/mime.types;\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		conf += kind + "_temp_path " + filepath.Join(dir, kind) + ";\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf+own+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(bin, "-e", "stderr", "-p", dir, "-c", "nginx.conf")
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return "http://" + addr
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("nginx: %v: %s", err, said.String())
		case <-t.Context().Done():
			t.Fatalf("nginx does not listen: %s", said.String())
		default:
		}
	}
}

func executable(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode()&0o111 != 0
}

// A copy of the page that a file server carries on with counts by itself how long ago it was written, whatever the language, and asks nobody else.
func TestACopySaysHowOldItIs(t *testing.T) {
	browser, err := webshot.Open()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\n*** NOT LOOKED AT IN A BROWSER: %s: %v ***\n", t.Name(), err)
		t.Skip("no browser")
	}
	defer browser.Close()
	press := samplePress(t, t.TempDir())
	then := time.Now().Add(-7 * time.Hour) // not minutes: half of one may pass until the page is shown
	press.Now = func() time.Time { return then }
	p := sampleEmpty()
	p.AsOf = then
	e, err := press.Render(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := press.Write(e); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var missed []string
	files := http.FileServer(http.Dir(filepath.Join(press.Dir, currentLink)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		files.ServeHTTP(answer, r)
		if answer.Code >= http.StatusBadRequest && r.URL.Path != livePath { // the script asks once whether somebody is there, and goes on without
			mu.Lock()
			missed = append(missed, r.URL.Path)
			mu.Unlock()
		}
		maps.Copy(w.Header(), answer.Header())
		w.Header().Set("Content-Security-Policy", contentPolicy)
		w.WriteHeader(answer.Code)
		answer.Body.WriteTo(w)
	}))
	defer srv.Close()
	tab, leave := browser.Visit()
	defer leave()
	for locale, want := range map[string]string{"en": "(7 hours ago)", "ja": "(7 時間前)"} {
		if err := chromedp.Do(tab, chromedp.Navigate(srv.URL+"/"+locale+"/"), chromedp.WaitReady("[data-since]")); err != nil {
			t.Fatal(err)
		}
		got, err := chromedp.Run(tab, chromedp.Evaluate[string]("document.querySelector('[data-since]').textContent"))
		if err != nil || got != want {
			t.Errorf("%s: %q, want %q: %v", locale, got, want, err)
		}
	}
	for _, zone := range []string{"Asia/Kolkata", "America/St_Johns", "UTC"} { // as a page writes a zone that its vendor has set
		want := press.Words.Time("ja", then, zone)
		if _, err := chromedp.Call(tab, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: zone}); err != nil {
			t.Fatal(err)
		}
		if err := chromedp.Do(tab, chromedp.Navigate(srv.URL+"/ja/"), chromedp.WaitReady("footer time")); err != nil {
			t.Fatal(err)
		}
		got, err := chromedp.Run(tab, chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q).textContent", "time[datetime='"+stamp(then)+"']")))
		if err != nil || got != want {
			t.Errorf("a reader in %s: %q, want %q: %v", zone, got, want, err)
		}
	}
	if len(missed) > 0 {
		t.Errorf("not in the copy: %q", missed)
	}
}
