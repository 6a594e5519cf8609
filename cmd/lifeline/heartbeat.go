package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/outbound"
)

const heartbeatEach = time.Minute

// heartbeat tells monitors outside that this process is well, by a GET of each URL every minute, and that it is not by silence: a process
// that is gone, cut off or stuck could not tell.
//
// The URLs are the operator's own settings, as mail relays are, so addresses of his own network are dialled too; no redirect is
// followed, no proxy of the environment is asked, and a monitor that does not answer within ten seconds is left.
type heartbeat struct {
	urls []string
	well func(context.Context) []string // what is wrong; nothing: the monitors are told
	log  *slog.Logger
}

// run beats at once and with each tick until ctx ends.
func (b heartbeat) run(ctx context.Context, ticks <-chan time.Time) {
	client := (&outbound.Dialer{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}).Client()
	defer client.CloseIdleConnections()
	for {
		b.beat(ctx, client)
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
	}
}

func (b heartbeat) beat(ctx context.Context, client *http.Client) {
	ask, cancel := context.WithTimeout(ctx, heartbeatEach/2)
	why := b.well(ask)
	cancel()
	if ctx.Err() != nil {
		return
	}
	if len(why) > 0 {
		b.log.Warn("no heartbeat: the monitors will say that this process is not well", "why", strings.Join(why, "; "))
		return
	}
	for _, at := range b.urls {
		if err := tellMonitor(ctx, client, at); err != nil && ctx.Err() == nil {
			b.log.Warn("a monitor did not take the heartbeat", "monitor", maskPath(at), "err", err)
		}
	}
}

// tellMonitor asks for a URL. Its errors do not show the URL, whose path is as good as a password.
func tellMonitor(ctx context.Context, client *http.Client, at string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return errors.New("it is no URL")
	}
	req.Header.Set("User-Agent", "lifeline-heartbeat")
	res, err := client.Do(req)
	var in *url.Error
	if errors.As(err, &in) {
		return in.Err
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4096))
	if res.StatusCode >= 300 {
		return fmt.Errorf("it answers %d", res.StatusCode)
	}
	return nil
}

// maskPath keeps a URL's scheme and host.
func maskPath(at string) string {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" {
		return "(set)"
	}
	return u.Scheme + "://" + u.Host + "/..."
}

// checkHeartbeat names the first word that is no URL of a monitor.
func checkHeartbeat(value string) error {
	for _, at := range strings.Fields(value) {
		u, err := url.Parse(at)
		if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.Fragment != "" {
			return fmt.Errorf("%s is not a URL such as https://monitor.example.net/ping/ID", maskPath(at))
		}
	}
	return nil
}

// heartbeat is what serve runs when LIFELINE_HEARTBEAT names somebody to tell.
func (h *house) heartbeat(state *life) heartbeat {
	return heartbeat{urls: strings.Fields(h.cfg.get("LIFELINE_HEARTBEAT")), log: h.log,
		well: func(ctx context.Context) []string { return h.unwell(ctx, state) }}
}

// unwell says why this process could not do its work: what keeps it from being ready, a store that takes no writes, workers that could claim
// nothing. Nothing is written for it.
func (h *house) unwell(ctx context.Context, state *life) []string {
	why := h.unready(ctx, state)
	if err := h.db.Update(ctx, store.Act{}, func(*store.Tx) error { return nil }); err != nil {
		why = append(why, "the store takes no writes: "+err.Error())
	}
	if _, err := h.db.Claim(ctx, store.Lease{Kind: "page", Lane: "heartbeat", Holder: "heartbeat", For: time.Second, Limit: 1}); err != nil {
		why = append(why, "workers can claim nothing: "+err.Error())
	}
	return why
}
