package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"lifeline/portal"
	"lifeline/store/fault"
)

// client calls the API: over the control socket when a server runs on this data directory, in this process when none does.
type client struct {
	http  *http.Client
	close func()
}

// connect finds the running server, or opens the store itself.
func connect(ctx context.Context, e env, cfg config) (*client, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", cfg.socket())
	}
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	stood := cfg.haveStore()
	var h *house
	for tries := 5; h == nil; tries-- { // each waits for the file's lock: a server that begins holds it before it listens, and another command for a while
		if conn, err := dial(ctx, "", ""); err == nil {
			conn.Close()
			return &client{http: &http.Client{Transport: &http.Transport{DialContext: dial}}, close: func() {}}, nil
		}
		built, err := build(ctx, cfg, log, nil)
		switch {
		case err == nil:
			h = built
		case fault.Of(err) != fault.Unavailable || cfg.replicas() || tries == 1 || ctx.Err() != nil:
			return nil, err
		}
	}
	if !stood { // a command that is run in the wrong place would answer as if there were nothing
		fmt.Fprintf(e.stderr, "lifeline: there was no store, so an empty one was made in %s, with its keys in %s; LIFELINE_DATA and LIFELINE_KEYS name other places\n",
			absolute(cfg.get("LIFELINE_DATA")), absolute(cfg.get("LIFELINE_KEYS")))
	}
	here, stop := serveHere(portal.Server(h.portal.Control(), log), log)
	return &client{http: here, close: func() {
		stop()
		h.seal(ctx)
		h.close()
	}}, nil
}

// serveHere serves one client in this process, until stop.
func serveHere(server *fasthttp.Server, log *slog.Logger) (here *http.Client, stop func()) {
	listener := fasthttputil.NewInmemoryListener()
	done := make(chan error, 1)
	fault.Go(log, "control", func() { done <- server.Serve(listener) })
	return &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return listener.Dial() }}}, func() {
		_ = server.Shutdown() // nothing is under way: the command has its answer
		_ = listener.Close()  // a server that was stopped before it began has closed nothing, and would begin
		<-done
	}
}

// reach is connect with the configuration that a command names.
func reach(ctx context.Context, e env, fs *flag.FlagSet) (*client, error) {
	cfg, err := readConfig(text(fs, "config"), e.environ)
	if err != nil {
		return nil, err
	}
	return connect(ctx, e, cfg)
}

// call sends a request and reads a JSON answer into out; a problem document becomes an error that names its fields.
func (c *client) call(ctx context.Context, method, path, media string, body io.Reader, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, body)
	if err != nil {
		return err
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if res.StatusCode >= 300 {
		return problemError(res.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = answer
		return nil
	}
	return json.Unmarshal(answer, out)
}

func (c *client) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, path, "application/json", bytes.NewReader(body), out)
}

func problemError(status int, answer []byte) error {
	var p struct {
		Title, Detail string
		Errors        []fault.Field
	}
	if err := json.Unmarshal(answer, &p); err != nil || p.Title == "" {
		return fmt.Errorf("the server answered %d: %.300s", status, answer)
	}
	lines := []string{p.Title}
	if p.Detail != "" && !strings.EqualFold(p.Detail, p.Title) {
		lines[0] += ": " + p.Detail
	}
	for _, f := range p.Errors {
		lines = append(lines, "  "+f.Field+" "+f.Reason)
	}
	return errors.New(strings.Join(lines, "\n"))
}
