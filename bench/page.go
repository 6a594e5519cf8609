package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"lifeline/comms"
	"lifeline/comms/commstest"
	"lifeline/portal"
	"lifeline/portal/page"
	"lifeline/templates"
)

// page asks for the public page over loopback as the program serves it, beside nginx that serves the same bytes, and beside a bare handler. The two are asked in turn, so that a
// machine that grows slower hurts both.
func (b bench) page(ctx context.Context) (err error) {
	words, err := templates.Load("")
	if err != nil {
		return err
	}
	press := &page.Press{Words: words, Vendor: templates.Vendor{Name: "Vendor", URL: "https://status.vendor.example", Support: "https://status.vendor.example/support"}, Log: slog.New(slog.DiscardHandler),
		Dir: filepath.Join(b.dir, "page")}
	edition, err := press.Render(comms.Public{Edition: 1, AsOf: time.Now(), Components: comms.Policy{Components: parts()}.PublicComponents()})
	if err != nil {
		return err
	}
	if err := press.Write(edition); err != nil {
		return err
	}
	site := &page.Server{}
	site.Show(edition)
	ours, stop, err := serve(portal.Server(site.Front(func(c *fasthttp.RequestCtx) { c.SetStatusCode(404) }), slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	const whole = "GET /en/ HTTP/1.1\r\nHost: status.vendor.example\r\nUser-Agent: bench\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\n"
	runs := []contender{{name: "portal", addr: ours, request: whole + "\r\n"}}
	got, err := hammer(ctx, hammering{Addr: ours, Request: whole + "\r\n", Conns: 1, For: 50 * time.Millisecond})
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "page       the home page is %d bytes of gzip with its header, asked over 64 kept connections by a process of its own\n", got.Bytes)
	if _, rest, ok := strings.Cut(got.First, "\r\nEtag: "); ok {
		tag, _, _ := strings.Cut(rest, "\r\n")
		runs = append(runs, contender{name: "portal 304", addr: ours, request: whole + "If-None-Match: " + tag + "\r\n\r\n"})
	} else {
		return fmt.Errorf("the page has no tag: %s", got.First)
	}
	beside, stopNginx, err := b.nginx(ctx, filepath.Join(press.Dir, "current"))
	switch {
	case errors.Is(err, exec.ErrNotFound):
		fmt.Fprintln(b.out, "page       NOT BESIDE NGINX: it is not installed")
	case err != nil:
		return err
	default:
		defer stopNginx()
		runs = append(runs, contender{name: "nginx", addr: beside, request: whole + "\r\n"})
	}
	if err := b.contend(ctx, runs); err != nil {
		return err
	}
	all := map[string]contender{}
	for _, r := range runs {
		all[r.name] = r
	}
	b.said("portal", all["portal"], all["nginx"], "asked: at least 1.0")
	b.said("portal 304", all["portal 304"], all["portal"], "of a 200; asked: above 1.0")
	if n, ok := all["nginx"]; ok {
		b.said("nginx", n, contender{}, "")
	}
	if b.wants("crowd") {
		if err := b.crowd(ctx, all["portal"], all["nginx"]); err != nil {
			return err
		}
	}
	return b.streams(ctx, edition)
}

// parts are as many components as a large vendor names.
func parts() (all []comms.ComponentPolicy) {
	for i := range 20 {
		all = append(all, comms.ComponentPolicy{Name: fmt.Sprint("Component ", i), Group: fmt.Sprint("Group ", i/5), Description: "What it does, in a sentence as vendors write them"})
	}
	return all
}

// contender is a server that is asked, and what came of it.
type contender struct {
	name, addr, request string
	rounds              []hammered
}

// middle is the round in the middle by rate.
func (c contender) middle() hammered {
	sorted := slices.SortedFunc(slices.Values(c.rounds), func(a, b hammered) int { return cmp.Compare(a.Rate, b.Rate) })
	if len(sorted) == 0 {
		return hammered{}
	}
	return sorted[len(sorted)/2]
}

const contests = 5

// contend asks each in turn, some rounds long.
func (b bench) contend(ctx context.Context, all []contender) error {
	for range contests {
		for i := range all {
			got, err := hammer(ctx, hammering{Addr: all[i].addr, Request: all[i].request, Conns: 64, For: b.each / 2})
			if err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
			all[i].rounds = append(all[i].rounds, got)
		}
	}
	return nil
}

// said is the line of one contender, and how it stands to another.
func (b bench) said(name string, c, beside contender, asked string) {
	m, than := c.middle(), beside.middle()
	ratio := ""
	if than.Rate > 0 {
		ratio = fmt.Sprintf("   %.2f of %s's %.0f/s, p99 %.2f ms (%s)", m.Rate/than.Rate, beside.name, than.Rate, ms(than.P99), asked)
	}
	fmt.Fprintf(b.out, "page       %-12s %8.0f/s   p50 %.2f ms  p99 %.2f ms%s\n", name, m.Rate, ms(m.P50), ms(m.P99), ratio)
}

// serve serves on a port of its own until stop.
func serve(server *fasthttp.Server) (addr string, stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	return listener.Addr().String(), func() error { return errors.Join(server.Shutdown(), <-served) }, nil
}

// nginxConf is nginx as somebody sets it up who wants it fast: as many workers as cores, files kept open, compressed beforehand, no log.
const nginxConf = `worker_processes auto;
daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 1024; multi_accept on; }
http {
	include /etc/nginx/mime.types;
	default_type text/html;
	access_log off;
	sendfile on;
	tcp_nopush on;
	tcp_nodelay on;
	keepalive_timeout 75;
	keepalive_requests 1000000000;
	open_file_cache max=1000 inactive=60s;
	open_file_cache_valid 60s;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server { listen %[3]s reuseport; root %[2]s; gzip_static on; index index.html; }
}
`

// nginx serves a directory until stop; exec.ErrNotFound: it is not installed.
func (b bench) nginx(ctx context.Context, root string) (addr string, stop func(), err error) {
	bin, err := exec.LookPath("nginx")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return "", nil, exec.ErrNotFound
		}
	}
	dir := filepath.Join(b.dir, "nginx")
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return "", nil, err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = free.Addr().String()
	if err := errors.Join(free.Close(), os.MkdirAll(dir, 0o755), os.Chmod(b.dir, 0o755), os.WriteFile(filepath.Join(dir, "nginx.conf"), fmt.Appendf(nil, nginxConf, dir, root, addr), 0o644)); err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, bin, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", filepath.Join(dir, "nginx.conf"))
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return addr, stop, c.Close()
		}
		if time.Since(begin) > 5*time.Second {
			stop()
			return "", nil, fmt.Errorf("start nginx: %w", err)
		}
	}
}

// crowd asks for the page while the same process tells many people by e-mail.
func (b bench) crowd(ctx context.Context, ours, beside contender) error {
	e, stop, err := b.bolt(ctx)
	if err != nil {
		return err
	}
	defer stop()
	during := []contender{{name: "portal", addr: ours.addr, request: ours.request}}
	if beside.addr != "" {
		during = append(during, contender{name: "nginx", addr: beside.addr, request: beside.request})
	}
	ended, asked := make(chan struct{}), make(chan error, 1)
	f, err := commstest.Broadcast{Engine: e, Keys: b.keys, People: b.people, Ready: func() {
		go func() {
			for i := 0; ; i++ {
				select {
				case <-ended:
					asked <- nil
					return
				default:
				}
				c := &during[i%len(during)]
				got, err := hammer(ctx, hammering{Addr: c.addr, Request: c.request, Conns: 64, For: time.Second})
				if err != nil {
					asked <- err
					return
				}
				c.rounds = append(c.rounds, got)
			}
		}()
	}}.Run(ctx)
	close(ended)
	if err := errors.Join(err, <-asked, e.Close()); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "page       while %d people are told: %s\n", b.people, f)
	b.said("portal", during[0], ours, "")
	if len(during) > 1 {
		b.said("portal", during[0], during[1], "asked: at least 0.8")
	}
	return nil
}

// streams opens many readers of the page over loopback and says what they cost, and how long a new edition takes to the last of them.
func (b bench) streams(ctx context.Context, first *page.Edition) (err error) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	n := min(10_000, int(files.Cur)/2-200) // both ends are in this process
	live := &page.Live{}
	site := &page.Server{Live: live}
	site.Show(first)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &fasthttp.Server{Handler: site.Front(func(c *fasthttp.RequestCtx) { c.SetStatusCode(404) }), KeepHijackedConns: true}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { live.Run(ctx); close(done) }()
	var readers []net.Conn
	defer func() {
		stop()
		<-done
		for _, c := range readers {
			c.Close()
		}
		err = errors.Join(err, server.Shutdown(), <-served)
	}()
	before := inUse()
	buf := make([]byte, 4096)
	for range n {
		c, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			return fmt.Errorf("open stream %d: %w", len(readers)+1, err)
		}
		readers = append(readers, c)
		if _, err := c.Write([]byte("GET /live HTTP/1.1\r\nHost: status.vendor.example\r\n\r\n")); err != nil {
			return err
		}
		if err := heard(c, buf, "data: 1\n\n"); err != nil {
			return err
		}
	}
	each := float64(inUse()-before) / float64(n) / 1024
	next := *first
	next.Number = 2
	begin := time.Now()
	site.Show(&next)
	for _, c := range readers {
		if err := heard(c, buf, "data: 2\n\n"); err != nil {
			return err
		}
	}
	fmt.Fprintf(b.out, "page       %6d open streams                   %8.1f KiB each, both ends together and the system's own not counted; a new edition is with the last of them after %s\n",
		n, each, time.Since(begin).Round(time.Millisecond))
	return nil
}

// heard reads from a stream until it has said what is awaited.
func heard(c net.Conn, buf []byte, awaited string) error {
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	for n := 0; ; {
		m, err := c.Read(buf[n:])
		if err != nil {
			return fmt.Errorf("await %q: %w", awaited, err)
		}
		if n += m; bytes.HasSuffix(buf[:n], []byte(awaited)) {
			return nil
		}
	}
}

// inUse is the memory of heap and stacks after what is not needed was given back; what lies in pools goes with the third round.
func inUse() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
