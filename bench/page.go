package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
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
	return nil
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
