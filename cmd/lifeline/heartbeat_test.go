package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// monitor is an outside monitor that says what it was asked.
func monitor(t *testing.T, status int) (at string, asked chan string) {
	t.Helper()
	asked = make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status == http.StatusTemporaryRedirect {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		asked <- r.Method + " " + r.URL.Path
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestMonitorsHearThatAProcessIsWellAndNothingWhenItIsNot(t *testing.T) {
	one, heard := monitor(t, 200)
	away, misled := monitor(t, http.StatusTemporaryRedirect)
	var mu sync.Mutex
	var wrong []string
	beats := make(chan struct{}, 10)
	var logged bytes.Buffer
	b := heartbeat{urls: []string{away + "/ping/secret-path", one + "/ping/secret-path"}, log: slog.New(slog.NewTextHandler(&logged, nil)), well: func(context.Context) []string {
		mu.Lock()
		defer mu.Unlock()
		beats <- struct{}{}
		return wrong
	}}
	set := func(why ...string) {
		mu.Lock()
		defer mu.Unlock()
		wrong = why
	}
	ctx, cancel := context.WithCancel(t.Context())
	ticks, ended := make(chan time.Time), make(chan struct{})
	go func() { b.run(ctx, ticks); close(ended) }()
	hears := func(when string) {
		t.Helper()
		<-beats
		if got := <-heard; got != "GET /ping/secret-path" {
			t.Errorf("%s: it was asked %q", when, got)
		}
		if got := <-misled; got != "GET /ping/secret-path" {
			t.Errorf("%s: the one that redirects was asked %q", when, got)
		}
	}
	hears("at the start")
	ticks <- time.Time{}
	hears("a minute later")
	set("the disk is full")
	ticks <- time.Time{}
	<-beats
	set()
	ticks <- time.Time{} // taken once the beat before has ended
	hears("when it is well again")
	cancel()
	<-ended
	if len(heard) != 0 || len(misled) != 0 {
		t.Errorf("asked more often than it was well: %d, %d", len(heard), len(misled))
	}
	if says := logged.String(); !strings.Contains(says, "the disk is full") || !strings.Contains(says, "redirect") || strings.Contains(says, "secret-path") {
		t.Errorf("the log says %s", says)
	}
}

func TestAProcessKnowsWhetherItIsWell(t *testing.T) {
	h := aHouse(t, map[string]string{})
	var state life
	why := h.unwell(t.Context(), &state)
	if len(why) != 1 || !strings.Contains(why[0], "page is not rendered") {
		t.Errorf("before the page is there: %q", why)
	}
	edition, err := h.comms.Public(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shown, err := h.press.Render(edition)
	if err != nil {
		t.Fatal(err)
	}
	h.page.Show(shown)
	change, err := h.db.Change(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if why := h.unwell(t.Context(), &state); len(why) != 0 {
		t.Errorf("a process that is well: %q", why)
	}
	if now, err := h.db.Change(t.Context()); err != nil || now != change {
		t.Errorf("to ask changed the store: %q, then %q, %v", change, now, err)
	}
	state.stopping.Store(true)
	if why := h.unwell(t.Context(), &state); len(why) != 1 {
		t.Errorf("one that leaves: %q", why)
	}
	state.stopping.Store(false)
	h.db.Close()
	if why := h.unwell(t.Context(), &state); len(why) < 1 || !strings.Contains(strings.Join(why, " "), "takes no writes") {
		t.Errorf("one whose store is gone: %q", why)
	}
}

// aHouse is a whole portal in a directory of the test's own, with these settings besides.
func aHouse(t *testing.T, values map[string]string) *house {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]string{"LIFELINE_DATA": filepath.Join(dir, "data"), "LIFELINE_KEYS": filepath.Join(dir, "keys")} {
		if values[name] == "" {
			values[name] = value
		}
	}
	cfg, err := from(values)
	if err != nil {
		t.Fatal(err)
	}
	h, err := build(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	return h
}

func TestTheHeartbeatSetting(t *testing.T) {
	cfg, err := from(map[string]string{"LIFELINE_HEARTBEAT": "https://user:pass@monitor.example.net/ping/secret-path http://10.0.0.7:8000/secret-path"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := cfg.print(&out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "LIFELINE_HEARTBEAT=https://monitor.example.net/... http://10.0.0.7:8000/...\n") || strings.Contains(out.String(), "secret-path") || strings.Contains(out.String(), "pass@") {
		t.Errorf("--print-config shows %s", out.String())
	}
	for _, wrong := range []string{"monitor.example.net", "ftp://monitor.example.net/secret-path", "https://ok.example.net https:///secret-path"} {
		if _, err := from(map[string]string{"LIFELINE_HEARTBEAT": wrong}); err == nil || !strings.Contains(err.Error(), "LIFELINE_HEARTBEAT") || strings.Contains(err.Error(), "secret-path") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	for value, level := range map[string]string{"": "warning", "https://monitor.example.net/x": "ok"} {
		cfg, err := from(map[string]string{"LIFELINE_HEARTBEAT": value})
		if err != nil {
			t.Fatal(err)
		}
		d := &doctor{cfg: cfg}
		d.heartbeat()
		if len(d.found) != 1 || d.found[0].Level != level || level != "ok" && !strings.Contains(d.found[0].Do, "LIFELINE_HEARTBEAT") {
			t.Errorf("%q: the doctor found %+v", value, d.found)
		}
	}
}
