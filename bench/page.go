package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"lifeline/comms"
	"lifeline/portal/page"
	"lifeline/templates"
)

// page asks for the public page over loopback, kept connections, beside a bare handler that serves the same bytes.
func (b bench) page(ctx context.Context) error {
	words, err := templates.Load("")
	if err != nil {
		return err
	}
	press := &page.Press{Words: words, Vendor: templates.Vendor{Name: "Vendor", URL: "https://status.vendor.example", Support: "https://status.vendor.example/support"}, Log: slog.New(slog.DiscardHandler)}
	edition, err := press.Render(comms.Public{Edition: 1, AsOf: time.Now()})
	if err != nil {
		return err
	}
	server := &page.Server{}
	server.Show(edition)
	front := server.Front(func(c *fasthttp.RequestCtx) { c.SetStatusCode(404) })
	body, header, err := ask(front)
	if err != nil {
		return err
	}
	bare := func(c *fasthttp.RequestCtx) {
		c.SetStatusCode(200)
		c.Response.Header.SetContentType("text/html; charset=utf-8")
		c.Response.SetBodyRaw(body)
	}
	fmt.Fprintf(b.out, "page       the home page is %d bytes (%s)\n", len(body), header)
	rates := map[string]float64{}
	for range 2 { // in turn, so that a machine that grows slower hurts both
		for name, h := range map[string]fasthttp.RequestHandler{"page": front, "bare": bare} {
			rate, err := b.hammer(ctx, h, len(body))
			if err != nil {
				return err
			}
			rates[name] = max(rates[name], rate)
		}
	}
	fmt.Fprintf(b.out, "page       64 connections                         %8.0f/s   %.2f of a bare handler's %.0f/s\n", rates["page"], rates["page"]/rates["bare"], rates["bare"])
	return b.streams(ctx, edition)
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

// ask gets the page once, below any socket.
func ask(h fasthttp.RequestHandler) (body []byte, encoding string, err error) {
	var c fasthttp.RequestCtx
	c.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, nil)
	c.Request.SetRequestURI("/")
	c.Request.Header.SetHost("status.vendor.example")
	h(&c)
	if c.Response.StatusCode() != 200 {
		return nil, "", fmt.Errorf("the page answers %d", c.Response.StatusCode())
	}
	return bytes.Clone(c.Response.Body()), "identity", nil
}

func (b bench) hammer(_ context.Context, h fasthttp.RequestHandler, size int) (float64, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	server := &fasthttp.Server{Handler: h, NoDefaultServerHeader: true}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	client := &fasthttp.HostClient{Addr: listener.Addr().String(), MaxConns: 64}
	var n atomic.Int64
	err = together(64, b.each, func(int, int) error {
		req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(res)
		req.SetRequestURI("http://" + client.Addr + "/")
		if err := client.Do(req, res); err != nil {
			return err
		}
		if res.StatusCode() != 200 || len(res.Body()) != size {
			return fmt.Errorf("status %d, %d bytes instead of %d", res.StatusCode(), len(res.Body()), size)
		}
		n.Add(1)
		return nil
	})
	client.CloseIdleConnections()
	err = errors.Join(err, server.Shutdown(), <-served)
	return float64(n.Load()) / b.each.Seconds(), err
}
