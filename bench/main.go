// Command bench measures what the portal can do on this machine, each figure beside the limit that it is compared with, in one run.
//
// Absolute figures do not travel: machines are shared and noisy, and the sinks run on the same cores. Ratios do. docs/benchmarks.md
// keeps the figures of one run with machine and command.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/bolt"
	"lifeline/store/heap"
	"lifeline/store/limit"
	"lifeline/store/postgres"
	"lifeline/store/postgres/pgtest"
)

func main() {
	heap.KeepFloor() // as the program does
	people := flag.Int("people", 20_000, "people that the broadcast tells")
	known := flag.Int("known", 20_000, "contacts in the book that is searched")
	each := flag.Duration("each", 3*time.Second, "how long each rate is measured")
	rounds := flag.Int("rounds", 1, "how many updates are told to the people of one store, each beside a bare loop")
	rows := flag.Int("contacts", 10_000, "contacts that are imported")
	openTickets := flag.Int("open", 10_000, "open tickets in the house whose pages are asked for")
	closedTickets := flag.Int("closed", 20_000, "closed ones")
	sites := flag.Int("sites", 1000, "sites of its incident")
	only := flag.String("only", "", "contacts, tickets, intake, alike, deliveries, signed, texts, far, claims, checks, search, lists, road (from a publish to every byte that shows it), page, crowd (with page: while people are told), disk: measure only what is named, separated by commas")
	house := flag.String("house", "", "`directory` that keeps the filled house of -only lists, to ask it again: the embedded store, the keys; with -postgres the database as well")
	server := flag.String("postgres", "", "`URL` of an empty database for -house")
	engines := flag.String("engines", "bolt,postgres", "measure only on these, separated by commas")
	profile := flag.String("profile", "", "`file` that gets a CPU profile; with -only deliveries of the broadcast alone")
	asks := flag.Bool("hammer", false, "ask for the page as standard input says: what this program starts of itself")
	flag.Parse()
	if *asks {
		if err := hammerHere(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	begin := func() {
		if *profile == "" {
			return
		}
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
	if *only != "deliveries" {
		begin()
		begin = nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, bench{people: *people, rounds: *rounds, known: *known, contactRows: *rows, each: *each, open: *openTickets, closed: *closedTickets, sites: *sites, house: *house, server: *server, only: *only, engines: *engines, ready: begin, writers: []int{1, 64, 256}})
	stop()
	pprof.StopCPUProfile()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	people      int
	rounds      int
	known       int
	contactRows int
	each        time.Duration
	open        int
	closed      int
	sites       int
	house       string // keeps what was filled; "": nothing does
	server      string // a database that is there after us; "": one of our own
	only        string
	engines     string
	dir         string
	keys        *store.Keys
	ready       func() // called once the people are imported whom a broadcast tells; nil: nobody listens
	out         io.Writer

	writers []int // how many file tickets at a time
	solo    bool  // a commit for each
}

func (b bench) wants(what string) bool {
	return b.only == "" || strings.Contains(","+b.only+",", ","+what+",")
}

func run(ctx context.Context, out io.Writer, b bench) (err error) {
	b.out = out
	if b.house != "" && b.only != "lists" || b.server != "" && b.house == "" {
		return errors.New("-house goes with -only lists, and -postgres with -house")
	}
	if b.dir = b.house; b.dir == "" {
		if b.dir, err = os.MkdirTemp("", "lifeline-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(b.dir)
	} else if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	if b.keys, err = store.OpenKeys(filepath.Join(b.dir, "keys"), true); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, %d cores, %s/%s\n", runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	if b.wants("disk") {
		if err := b.disk(); err != nil {
			return err
		}
	}
	alone := b // what sharing a commit is compared with
	alone.only, alone.writers, alone.solo = "tickets", []int{64}, true
	if b.wants("tickets") {
		if err := alone.engine(ctx, "bolt solo", alone.bolt); err != nil {
			return err
		}
	}
	if err := b.engine(ctx, "bolt", b.bolt); err != nil {
		return err
	}
	if b.wants("tickets") {
		if err := b.bareRows(ctx); err != nil {
			return err
		}
		if err := b.bareTickets(ctx); err != nil {
			return err
		}
	}
	if err := b.engine(ctx, "postgres", b.postgres); err != nil {
		return err
	}
	if b.wants("page") {
		return b.page(ctx)
	}
	return nil
}

// engine measures everything that a store carries. Each measure gets a fresh store.
func (b bench) engine(ctx context.Context, name string, open func(context.Context) (store.Engine, func(), error)) error {
	if kind, _, _ := strings.Cut(name, " "); !strings.Contains(b.engines, kind) {
		return nil
	}
	for _, m := range []struct {
		name string
		do   func(context.Context, string, store.Engine) error
	}{{"contacts", b.contacts}, {"tickets", b.tickets}, {"intake", b.intake}, {"alike", b.alike}, {"claims", b.claims}, {"checks", b.checks}, {"deliveries", b.deliveries}, {"signed", b.signed}, {"texts", b.texts}, {"far", b.far}, {"search", b.search}, {"lists", b.lists}, {"road", b.road}} {
		if !b.wants(m.name) {
			continue
		}
		e, stop, err := open(ctx)
		if err != nil {
			return err
		}
		err = errors.Join(m.do(ctx, name, e), e.Close())
		b.stored(name, m.name)
		stop()
		if err != nil {
			return fmt.Errorf("%s on %s: %w", m.name, name, err)
		}
	}
	return nil
}

// stored says how large the embedded store's file has become.
func (b bench) stored(engine, what string) {
	files, _ := filepath.Glob(filepath.Join(b.dir, "bolt-*", "lifeline.db"))
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(b.out, "file       %-9s %.1f MiB after %s\n", engine, float64(info.Size())/(1<<20), what)
		}
	}
}

func (b bench) bolt(context.Context) (store.Engine, func(), error) {
	dir, away := filepath.Join(b.dir, "bolt-kept"), func() {}
	err := os.MkdirAll(dir, 0o700)
	if b.house == "" {
		dir, err = os.MkdirTemp(b.dir, "bolt-")
		away = func() { os.RemoveAll(dir) }
	}
	if err != nil {
		return nil, nil, err
	}
	e, err := bolt.Open(filepath.Join(dir, "lifeline.db"), bolt.Options{Log: slog.New(slog.DiscardHandler), Solo: b.solo})
	return e, away, err
}

// postgres starts a server that syncs every commit.
func (b bench) postgres(ctx context.Context) (store.Engine, func(), error) {
	server, stop, err := b.server, func() {}, error(nil)
	if server == "" {
		server, stop, err = pgtest.Start("", pgtest.Durable)
	}
	if err != nil {
		return nil, nil, err
	}
	e, err := postgres.Open(ctx, server, postgres.Options{Log: slog.New(slog.DiscardHandler)})
	return served{e, server}, stop, err
}

// served is an engine whose server can be told to rest.
type served struct {
	*postgres.Engine
	url string
}

// rest does at once what the server does by itself in the minutes after very much was written, so that what is measured next is not measured beside it.
func (s served) rest(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "VACUUM (ANALYZE)")
	return errors.Join(err, conn.Close(ctx))
}

// kinds is what a whole portal keeps of what is measured here.
func kinds() []store.Kind {
	all := slices.Concat(contacts.Kinds(), contacts.ChangeKinds(), comms.Kinds())
	all = append(all, desk.Kinds()...)
	all = append(append(all, auth.Kinds()...), blob.Kinds()...)
	return append(append(all, limit.Kinds()...), jobs.Kind)
}
