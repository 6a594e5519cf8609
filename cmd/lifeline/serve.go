package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal"
	"lifeline/portal/page"
	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/outbound"
)

func serveCommand() command {
	return command{
		name: "serve", args: "[--config FILE]", short: "run the portal",
		long: `Runs the portal until SIGINT or SIGTERM: the status page, the support form, the staff pages, the API, and the workers that send.
Shutting down, it finishes and records the messages under way, for at most 60 s; a second signal forces.

Settings come from the environment (LIFELINE_...), each also as NAME_FILE, or from the file given by --config.
The first start on an empty store makes the keys in LIFELINE_KEYS. Keep a copy of them elsewhere: without them the data cannot be read.`,
		flags: func(fs *flag.FlagSet) {
			fs.Bool("print-config", false, "print the settings in force, secrets masked, and leave")
			fs.Bool("print-policy", false, "print the policy in force and leave")
			fs.Bool("check", false, "ask the running server whether it is ready, and leave")
		},
		bare: true,
		run: func(ctx context.Context, e env, fs *flag.FlagSet) error {
			cfg, err := readConfig(text(fs, "config"), e.environ)
			if err != nil {
				return err
			}
			switch {
			case text(fs, "print-config") == "true":
				return cfg.print(e.stdout)
			case text(fs, "print-policy") == "true":
				return cfg.printPolicy(e.stdout)
			case text(fs, "check") == "true":
				return checkReady(ctx, cfg)
			}
			log := slog.New(slog.NewTextHandler(e.stderr, nil))
			h, err := build(ctx, cfg, log, nil)
			if err != nil {
				return err
			}
			defer h.close()
			return h.serve(ctx, func() {
				h.greet(e.stdout)
				h.offerSetUp(ctx, e.stdout)
			})
		},
	}
}

func checkReady(ctx context.Context, cfg config) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cfg.get("LIFELINE_OPS_LISTEN")+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return fmt.Errorf("not ready: %s", body)
	}
	return nil
}

// greet says where everything is and, loudly, when nobody is being told.
func (h *house) greet(w io.Writer) {
	fmt.Fprintf(w, "Lifeline serves %s (metrics and health at http://%s)\n", h.cfg.url, h.cfg.get("LIFELINE_OPS_LISTEN"))
	s := h.sending()
	for _, c := range []struct{ name, state, setting string }{{"E-mail", s.Email, "LIFELINE_SMTP"}, {"SMS", s.SMS, "LIFELINE_TWILIO"}} {
		switch c.state {
		case "off":
			fmt.Fprintf(w, "NOT SENDING: %s goes to nobody; set %s\n", c.name, c.setting)
		case "file":
			fmt.Fprintf(w, "NOT SENDING: %s is written to files; nobody is told\n", c.name)
		}
	}
	if len(h.cfg.policy.Comms.Ladders) == 0 && !h.demo && !h.alarms() {
		fmt.Fprintln(w, "NO ALARMS: a deadline that passes tells nobody; give a commander an account (lifeline user add) or name people in the policy's comms.ladders")
	}
	if nobodies, err := h.portal.Nobodies(context.Background()); err != nil {
		h.log.Error("whom the policy names cannot be read", "err", err)
	} else {
		for _, n := range nobodies {
			fmt.Fprintf(w, "NOBODY: %s, and is told of nothing; name an account %s\n", nobody(n), named(n))
		}
	}
	if h.backups == nil && !h.demo {
		fmt.Fprintln(w, "NO BACKUPS: a lost disk loses everything; set LIFELINE_BACKUP_RECIPIENTS")
	}
}

// life is the state of a serving process that health checks read.
type life struct {
	stopping atomic.Bool
}

// serve runs every listener and worker until ctx ends, then stops them in this order: readiness off, HTTP drained, claims
// stopped, messages under way finished and recorded, everything closed.
func (h *house) serve(ctx context.Context, ready func()) error {
	var state life
	failed := make(chan error, 5)
	inbound, err := h.listenInbound()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", h.cfg.get("LIFELINE_LISTEN"))
	if err != nil {
		return fmt.Errorf("LIFELINE_LISTEN: %w", err)
	}
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	h.living = work // before the control socket can ask for a rotation
	edited := make(chan struct{}, 1)
	h.comms.Edited = func() {
		select {
		case edited <- struct{}{}:
		default: // the keeper is told already
		}
	}
	h.keeper = &page.Keeper{Press: h.press, Server: h.page, Edition: h.comms.Edition, Public: h.comms.Public, Wake: edited, Log: h.log}
	h.keeper.Look(ctx) // whoever comes first finds the page; when it cannot be rendered yet the keeper goes on trying
	public := portal.Server(h.portal.Handler(), h.log)
	fault.Go(h.log, "http", func() { failed <- public.Serve(listener) })

	ops, err := h.serveOps(&state, failed)
	if err != nil {
		return errors.Join(err, public.Shutdown())
	}
	control, err := h.serveControl(failed)
	if err != nil {
		return errors.Join(err, public.Shutdown(), ops.Close())
	}

	outboxDone := make(chan error, 1)
	fault.Go(h.log, "outbox", func() { outboxDone <- h.outbox.Run(work) })
	var background sync.WaitGroup // what must have ended before the store closes; each logs what fails, and ends with work
	run := func(name string, fn func()) {
		background.Add(1)
		fault.Go(h.log, name, func() {
			defer background.Done()
			fn()
		})
	}
	run("page", func() { _ = h.keeper.Run(work) })
	run("open pages", func() { h.page.Live.Run(work) })
	run("search index", func() { _ = h.book.Follow(work) })
	run("ticket lists", func() { _ = h.desk.FollowTickets(work) })
	pulls := &contacts.Puller{Book: h.book, Dialer: &outbound.Dialer{Allow: h.cfg.allow}, Keys: h.cfg.pulls, Holder: h.outbox.Holder, Log: h.log}
	run("pulls", func() { pulls.Run(work) })
	if h.cfg.get("LIFELINE_HEARTBEAT") != "" {
		run("heartbeat", func() {
			minute := time.NewTicker(heartbeatEach)
			defer minute.Stop()
			h.heartbeat(&state).run(work, minute.C)
		})
	}
	run("sweeper", func() { h.sweep(work) })
	run("reseal", func() { h.reseal(work) })
	if h.cfg.replicas() {
		run("keys", func() { h.followKeys(work) })
	}
	run("duties", func() { _ = h.comms.RunDuties(work) })
	if !h.demo {
		run("thresholds", func() {
			look := time.NewTicker(comms.WatchEvery)
			defer look.Stop()
			(&comms.Watch{Room: h.comms, Gather: h.metrics}).Run(work, look.C)
		})
	}
	run("codes", func() { h.desk.RunCodes(work) })
	run("file checks", func() { h.desk.RunChecks(work, h.outbox.Holder) })
	run("imports", func() { h.portal.RunImports(work) })
	run("changes", func() { h.goOn(work) })
	run("sealer", func() { _ = (&store.Sealer{DB: h.db, Log: h.log, Sink: h.sink}).Run(work) })
	if inbound != nil {
		run("inbound mail", func() {
			if err := h.inbound().Serve(work, inbound); err != nil {
				failed <- fmt.Errorf("inbound mail: %w", err)
			}
		})
	}
	if h.backups != nil {
		run("backups", func() { _ = h.backups.Run(work) })
		run("journal", func() { _ = h.backups.RunJournal(work) })
	}
	if ready != nil {
		ready()
	}

	var cause error
	select {
	case <-ctx.Done():
	case cause = <-failed:
	case cause = <-outboxDone:
	}
	state.stopping.Store(true)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 60*time.Second)
	defer cancel()
	grace, stopForce := signal.NotifyContext(grace, os.Interrupt, syscall.SIGTERM) // a second signal forces
	defer stopForce()
	errs := []error{cause, public.ShutdownWithContext(grace), control.ShutdownWithContext(grace), h.outbox.Stop(grace)}
	stopWork()
	ended := make(chan struct{})
	fault.Go(h.log, "shutdown", func() {
		background.Wait()
		close(ended)
	})
	select {
	case <-ended:
	case <-grace.Done():
	}
	return errors.Join(append(errs, ops.Close())...)
}

// sweep removes what has served its time.
func (h *house) sweep(ctx context.Context) {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := h.db.ForgetReplies(ctx, 10_000); err != nil {
				h.log.Warn("old answers were not removed", "err", err)
			}
			if _, err := limit.Forget(ctx, h.db, 10_000); err != nil {
				h.log.Warn("limits that ended were not removed", "err", err)
			}
			if _, err := blob.Sweep(ctx, h.db, 1000); err != nil {
				h.log.Warn("files that nobody kept were not removed", "err", err)
			}
			if _, err := h.gate.Forget(ctx, 10_000); err != nil {
				h.log.Warn("ended sessions and tokens were not removed", "err", err)
			}
			if _, err := h.db.Retry(ctx, applies()); err != nil {
				h.log.Warn("what the journal holds of missing records was not tried again", "err", err)
			}
			if h.backups == nil { // no backup kept is so old that it could need them
				if _, err := h.db.ForgetFacts(ctx, h.db.Now().Add(-h.cfg.policy.Backup.Keep()), 10_000); err != nil {
					h.log.Warn("old facts were not removed", "err", err)
				}
			}
		}
	}
}

// goOn ends the changes that a crash interrupted.
func (h *house) goOn(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if err := h.changes.Keep(ctx); err != nil && ctx.Err() == nil {
			h.log.Warn("changes were not looked after", "err", err)
		}
		for waits := true; waits; {
			select {
			case <-ctx.Done():
				return
			case id := <-h.changes.Behind:
				h.changes.GoOn(ctx, id)
			case <-tick.C:
				waits = false
			}
		}
	}
}

func (h *house) serveOps(state *life, failed chan<- error) (*http.Server, error) {
	h.watchCare()
	h.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	h.metrics.MustRegister(roomMetric(absolute(h.cfg.get("LIFELINE_DATA"))))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		why := h.unready(r.Context(), state)
		if len(why) == 0 {
			fmt.Fprintln(w, "ok")
			for _, what := range h.degraded(r.Context()) { // said, and not enough to take the page away from everybody
				fmt.Fprintln(w, "degraded:", what)
			}
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		for _, line := range why {
			fmt.Fprintln(w, line)
		}
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	listener, err := net.Listen("tcp", h.cfg.get("LIFELINE_OPS_LISTEN"))
	if err != nil {
		return nil, fmt.Errorf("LIFELINE_OPS_LISTEN: %w", err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	fault.Go(h.log, "ops", func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	return server, nil
}

// unready says why this process should get no traffic.
func (h *house) unready(ctx context.Context, state *life) (why []string) {
	if state.stopping.Load() {
		why = append(why, "shutting down")
	}
	if h.page.Shown() == nil {
		why = append(why, "the public page is not rendered yet")
	}
	if engine, ok := h.engine.(interface {
		Unsafe(context.Context) []string
	}); ok {
		why = append(why, engine.Unsafe(ctx)...)
	}
	return why
}

// socket is where commands of this machine reach the running server.
func (c config) socket() string {
	return filepath.Join(absolute(c.get("LIFELINE_DATA")), "control.sock")
}

func (h *house) serveControl(failed chan<- error) (*fasthttp.Server, error) {
	path := h.cfg.socket()
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another server runs on %s", h.cfg.get("LIFELINE_DATA"))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	old := syscall.Umask(0o177) // the socket is private from its first moment
	listener, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	server := portal.Server(h.portal.Control(), h.log)
	fault.Go(h.log, "control", func() {
		if err := server.Serve(listener); err != nil {
			failed <- err
		}
	})
	return server, nil
}
