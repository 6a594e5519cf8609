package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"lifeline/contacts"
	"lifeline/portal"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// clients is how many file tickets at a time, and offered how many people a second write when many do.
const (
	clients = 64
	offered = 200
)

// intake files tickets through HTTP, under the limits of production but for those on senders, beside the desk's own rate on the same store in the same run:
// first as many as 64 clients can, then so many a second as are offered.
func (b bench) intake(ctx context.Context, engine string, e store.Engine) error {
	d, client, stop, err := b.serve(ctx, engine, e)
	if err != nil {
		return err
	}
	own, err := b.rate(clients, func(worker, i int) error { return fileOne(ctx, d, "own", worker, i) })
	if err == nil {
		fmt.Fprintf(b.out, "intake     %-9s desk alone, %d writers         %s\n", engine, clients, own)
		var all rate
		if all, err = b.rate(clients, func(worker, i int) error { return post(client, "all", worker, i) }); err == nil {
			fmt.Fprintf(b.out, "intake     %-9s HTTP, %d clients               %s  %.2f of the desk's\n", engine, clients, all, all.perSecond/own.perSecond)
		}
	}
	if err == nil {
		err = b.offer(engine, func(i int) error { return post(client, "offered", 0x1000+i/20, i) }) // other addresses than those before
	}
	return errors.Join(err, stop())
}

// serve is a whole portal over loopback, and a client of it.
func (b bench) serve(ctx context.Context, engine string, e store.Engine) (d *desk.Desk, client *fasthttp.HostClient, stop func() error, err error) {
	if d, err = b.desk(ctx, e); err != nil {
		return nil, nil, nil, err
	}
	key, err := auth.OpenKey(filepath.Join(b.dir, "signing-"+engine), true)
	if err != nil {
		return nil, nil, nil, err
	}
	d.Signing = desk.Signing{Sign: key.SignLink, Read: key.OpenLink}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, err
	}
	url := "http://" + listener.Addr().String()
	loopback := []*net.IPNet{{IP: net.IPv4(127, 0, 0, 0), Mask: net.CIDRMask(8, 32)}}
	p := &portal.Portal{DB: d.DB, Book: d.Book, Comms: d.Comms, Desk: d, Words: d.Comms.Words, Gate: &auth.Gate{DB: d.DB, Key: key, Issuer: url, Log: d.Log}, URL: url, Trusted: loopback,
		Changes: &contacts.Changes{DB: d.DB, Verbs: slices.Concat(d.Book.ChangeVerbs(), d.ChangeVerbs()), Log: d.Log},
		Log:     slog.New(slog.DiscardHandler), Sending: func() portal.Sending { return portal.Sending{Email: "live", SMS: "live"} }}
	server := portal.Server(p.Handler(), p.Log)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	work, rest := context.WithCancel(ctx)
	coded := make(chan struct{})
	fault.Go(d.Log, "codes", func() { defer close(coded); d.RunCodes(work) })
	client = &fasthttp.HostClient{Addr: listener.Addr().String(), MaxConns: 1024}
	return d, client, func() error {
		client.CloseIdleConnections()
		rest()
		<-coded
		return errors.Join(server.Shutdown(), <-served)
	}, nil
}

// post files one ticket by the API, as a stranger behind an address that writes twenty times.
func post(client *fasthttp.HostClient, of string, worker, i int) error {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.SetRequestURI("http://" + client.Addr + "/api/v1/tickets")
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	req.Header.Set(fasthttp.HeaderXForwardedFor, fmt.Sprintf("2001:db8:%x:%x::1", worker, i/20))
	req.SetBodyString(fmt.Sprintf(`{"message":"Our site is gone and we have a release on Thursday.","impact":"lost_access","email":"p@%s-%d-%d.example"}`, of, worker, i))
	if err := client.Do(req, res); err != nil {
		return err
	}
	switch res.StatusCode() {
	case fasthttp.StatusCreated:
		return nil
	case fasthttp.StatusServiceUnavailable:
		return fault.New(fault.Unavailable, "told to come back")
	}
	return fmt.Errorf("a ticket was answered %d: %s", res.StatusCode(), res.Body())
}

// offer begins so many a second whether or not those before have ended, and counts from when each should have begun: who waits for a slow server waits for all of it.
func (b bench) offer(engine string, do func(i int) error) error {
	n := int(offered * max(b.each, 5*time.Second) / time.Second)
	took, errs := make([]time.Duration, n), make([]error, n)
	var all sync.WaitGroup
	began := time.Now()
	for i := range n {
		due := began.Add(time.Duration(i) * time.Second / offered)
		time.Sleep(time.Until(due))
		all.Go(func() {
			errs[i] = do(i)
			took[i] = time.Since(due)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	slices.Sort(took)
	at := func(percent int) float64 { return ms(took[n*percent/100]) }
	fmt.Fprintf(b.out, "intake     %-9s HTTP, %d/s offered             p50 %.1f ms  p95 %.1f ms  p99 %.1f ms\n", engine, offered, at(50), at(95), at(99))
	return nil
}
