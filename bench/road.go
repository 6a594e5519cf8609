package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal"
	"lifeline/portal/page"
	"lifeline/store"
	"lifeline/store/postgres"
	"lifeline/templates"
)

// What lies behind the page that is published anew: incidents that are over, each with four updates of which no two read alike, some with a ledger of
// their own, and one that is open.
const (
	oldIncidents = 200
	loadedEach   = 4 // so many of them to one with a ledger
	oldSites     = 20
	openSites    = 700
	publishings  = 16
)

// road publishes updates over that history and says how long each byte that shows them takes to readers, from the commit on, by its stages; on PostgreSQL for a second
// replica too. Everything is as the program has it: a real store, the copy for file servers written behind each edition, requests over loopback.
func (b bench) road(ctx context.Context, engine string, e store.Engine) (err error) {
	words, err := templates.Load("")
	if err != nil {
		return err
	}
	var shift atomic.Int64 // how far the history is in the past
	clock := func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	first, err := b.reading(ctx, e, words, clock, "first")
	if err != nil {
		return err
	}
	open, err := past(ctx, first.room, &shift)
	if err != nil {
		return fmt.Errorf("make the history: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before := inUse()
	begin := time.Now()
	first.keeper.Look(ctx)
	looked := time.Since(begin)
	first.keeper.Turn(ctx)
	if s := first.keeper.State(); s.LastError != "" {
		return errors.New(s.LastError)
	}
	fmt.Fprintf(b.out, "road       %-9s %d incidents read and rendered for the first time in %.0f ms, written in %.0f; %.1f MiB of memory held for it\n", engine, oldIncidents+1, ms(looked), ms(time.Since(begin)-looked), float64(inUse()-before)/(1<<20))
	var second *reading
	if db, ok := e.(served); ok {
		other, err := postgres.Open(ctx, db.url, postgres.Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		defer other.Close() //nolint:errcheck // it was read from
		if second, err = b.reading(ctx, other, words, clock, "second"); err != nil {
			return err
		}
		second.keeper.Turn(ctx)
	}
	addr, stop, err := serve(portal.Server(first.site.Front(func(c *fasthttp.RequestCtx) { c.SetStatusCode(404) }), slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	var busy sync.WaitGroup
	defer busy.Wait()
	defer cancel()
	for _, r := range []*reading{first, second} {
		if r != nil {
			busy.Go(func() { _ = r.keeper.Run(ctx) })
		}
	}
	if b.ready != nil {
		b.ready()
	}
	for _, hurry := range []bool{false, true} {
		var all []stages
		for i := range publishings {
			s, err := publishOne(ctx, first, second, open, addr, fmt.Sprintf("Word %d of %v", i+1, map[bool]string{false: "calm", true: "haste"}[hurry]), hurry)
			if err != nil {
				return err
			}
			if i > 0 { // the first finds nothing that it could take over of its kind
				all = append(all, s)
			}
			time.Sleep(time.Duration(i*17%100) * 4 * time.Millisecond) // so that it falls anywhere between two looks
		}
		said := func(of func(stages) time.Duration) string {
			took := make([]time.Duration, len(all))
			for i, s := range all {
				took[i] = of(s)
			}
			slices.Sort(took)
			return fmt.Sprintf("%.1f ms, %.1f at most", ms(took[len(took)/2]), ms(took[len(took)-1]))
		}
		when := "when the copy on disk is written"
		if hurry {
			when = "while the copy on disk of the word before is being written"
		}
		fmt.Fprintf(b.out, "road       %-9s published %s: every byte new %s (asked: under 100)\n", engine, when, said(func(s stages) time.Duration { return s.shown.Sub(s.committed) }))
		for _, stage := range []struct {
			name string
			of   func(stages) time.Duration
		}{
			{"commit to noticed", func(s stages) time.Duration { return s.noticed.Sub(s.committed) }},
			{"noticed to read", func(s stages) time.Duration { return s.read.Sub(s.noticed) }},
			{"read to rendered and put in place", func(s stages) time.Duration { return s.shown.Sub(s.read) }},
			{"of the processor in all that", func(s stages) time.Duration { return s.cpu }},
			{"then asked for at every address, one after the other", func(s stages) time.Duration { return s.asked.Sub(s.shown) }},
			{"the copy on disk", func(s stages) time.Duration { return s.onDisk.Sub(s.shown) }},
			{"the call that publishes, before the commit is known", func(s stages) time.Duration { return s.committed.Sub(s.called) }},
		} {
			if all[0].onDisk.IsZero() && stage.name == "the copy on disk" {
				continue
			}
			fmt.Fprintf(b.out, "road       %-9s     %-52s %s\n", engine, stage.name, said(stage.of))
		}
		if second != nil {
			fmt.Fprintf(b.out, "road       %-9s on a second replica %s (asked: under 1000)\n", engine, said(func(s stages) time.Duration { return s.second.Sub(s.committed) }))
		}
	}
	fmt.Fprintf(b.out, "road       %-9s %.1f MiB of memory held at the end\n", engine, float64(inUse()-before)/(1<<20))
	return nil
}

// reading is one replica's page, and when its keeper came how far with which edition.
type reading struct {
	room   *comms.Room
	site   *page.Server
	keeper *page.Keeper

	mu            sync.Mutex
	committed     time.Time
	used          time.Duration // of the processor, until then
	noticed, read map[int64]time.Time
}

func (b bench) reading(ctx context.Context, e store.Engine, words *templates.Set, clock store.Clock, name string) (*reading, error) {
	db, err := store.Open(ctx, e, store.Options{Keys: b.keys, Kinds: kinds(), Clock: clock})
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	vendor := templates.Vendor{Name: "Vendor", URL: "https://status.vendor.example", Support: "https://status.vendor.example/support"}
	r := &reading{site: &page.Server{}, noticed: map[int64]time.Time{}, read: map[int64]time.Time{}}
	r.room = &comms.Room{DB: db, Words: words, Policy: comms.DefaultPolicy(), Vendor: vendor, Log: log, Book: &contacts.Book{DB: db, Policy: contacts.DefaultPolicy(), Log: log}}
	r.room.Policy.Components = parts()
	wake := make(chan struct{}, 1)
	r.room.Edited = func() {
		r.mu.Lock()
		r.committed, r.used = time.Now(), used()
		r.mu.Unlock()
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	r.keeper = &page.Keeper{Press: &page.Press{Words: words, Vendor: vendor, Log: log, Dir: filepath.Join(b.dir, fmt.Sprintf("page-%s-%d", name, time.Now().UnixNano()))}, Server: r.site, Wake: wake, Log: log,
		Edition: func(ctx context.Context) (int64, error) {
			n, err := r.room.Edition(ctx)
			r.stamp(r.noticed, n)
			return n, err
		},
		Public: func(ctx context.Context) (comms.Public, error) {
			p, err := r.room.Public(ctx)
			r.stamp(r.read, p.Edition)
			return p, err
		},
	}
	return r, nil
}

// stamp remembers when an edition was first met.
func (r *reading) stamp(in map[int64]time.Time, edition int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in[edition].IsZero() {
		in[edition] = time.Now()
	}
}

// shows waits until an edition is shown.
func (r *reading) shows(ctx context.Context, edition int64) (time.Time, error) {
	return await(ctx, "the page never shows what was published", func() bool { e := r.site.Shown(); return e != nil && e.Number >= edition })
}

func await(ctx context.Context, otherwise string, done func() bool) (time.Time, error) {
	for begin := time.Now(); ; time.Sleep(200 * time.Microsecond) {
		switch now := time.Now(); {
		case done():
			return now, nil
		case ctx.Err() != nil:
			return now, ctx.Err()
		case now.Sub(begin) > 5*time.Minute:
			return now, errors.New(otherwise)
		}
	}
}

// stages are the moments of one publishing.
type stages struct {
	called, committed, noticed, read, shown, asked, onDisk, second time.Time
	cpu                                                            time.Duration // of this process from committed to shown
}

// used is what this process has used of the processor so far.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// publishOne says one word more of the open incident and follows it; in a hurry it does not wait for the copy on disk.
func publishOne(ctx context.Context, first, second *reading, incident comms.Incident, addr, word string, hurry bool) (s stages, err error) {
	st := statement(rand.New(rand.NewPCG(7, 7)), comms.Identified, first.room.DB.Now(), openSites)
	st.Headline, st.Translations = word, map[string]templates.Translation{"ja": {Headline: word, WhatHappened: some(rand.New(rand.NewPCG(7, 8)), 40)}}
	id, err := approved(ctx, first.room, incident.Short, st)
	if err != nil {
		return s, err
	}
	s.called = time.Now()
	if _, err := first.room.Publish(ctx, "stf_ann", id, comms.PublishOptions{}); err != nil {
		return s, err
	}
	want, err := first.room.Edition(ctx)
	if err != nil {
		return s, err
	}
	if s.shown, err = first.shows(ctx, want); err != nil {
		return s, err
	}
	s.cpu = used()
	first.mu.Lock()
	s.cpu -= first.used
	s.committed, s.noticed, s.read = first.committed, first.noticed[want], first.read[want]
	first.mu.Unlock()
	if s.asked, err = asked(addr, incident.Short, word); err != nil {
		return s, err
	}
	if second != nil {
		if s.second, err = second.shows(ctx, want); err != nil {
			return s, err
		}
	}
	if !hurry {
		s.onDisk, err = await(ctx, "the copy is never written", func() bool { return first.keeper.State().Written >= want })
		if err == nil && second != nil {
			_, err = await(ctx, "the second copy is never written", func() bool { return second.keeper.State().Written >= want })
		}
	}
	return s, err
}

// asked asks for every address that shows an update, and refuses an answer that does not.
func asked(addr, incident, word string) (time.Time, error) {
	all := []string{"/api/v2/summary.json", "/api/v2/incidents.json", "/api/v1/public/incidents/" + incident, "/history.atom", "/history.rss"}
	for _, locale := range templates.Locales() {
		all = append(all, "/ in "+locale, "/"+locale+"/", "/"+locale+"/incidents/"+incident, "/"+locale+"/history", "/"+locale+"/history.atom", "/"+locale+"/history.rss")
	}
	client := &fasthttp.HostClient{Addr: addr}
	defer client.CloseIdleConnections()
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	for _, path := range all {
		path, locale, _ := strings.Cut(path, " in ")
		req.SetRequestURI("http://" + addr + path)
		req.Header.Set("Accept-Language", locale)
		if err := client.Do(req, res); err != nil {
			return time.Time{}, err
		}
		if !bytes.Contains(res.Body(), []byte(word)) {
			return time.Time{}, fmt.Errorf("%s (%s) does not say %q", path, locale, word)
		}
	}
	return time.Now(), nil
}

// past makes the history, each incident in the time in which it was, and leaves one open.
func past(ctx context.Context, room *comms.Room, shift *atomic.Int64) (open comms.Incident, err error) {
	random := rand.New(rand.NewPCG(1, 2))
	var book bytes.Buffer
	fmt.Fprintln(&book, "account,account_id,site,site_id,name,role,email")
	for i := range openSites {
		fmt.Fprintf(&book, "Customer %[1]d,A-%[1]d,Site %[1]d,S-%[1]d,Owner,owner,owner@c%[1]d.example\n", i)
	}
	if _, err := room.Book.Import(ctx, "system:bench", &book, contacts.ImportOptions{Source: "product", Format: contacts.FormatCSV}); err != nil {
		return open, err
	}
	const day = 24 * time.Hour
	for i := range oldIncidents + 1 {
		at := -300*day + time.Duration(i)*300*day/oldIncidents - time.Hour
		last := i == oldIncidents
		shift.Store(int64(at))
		in, err := room.Declare(ctx, "stf_ann", comms.Declare{Title: some(random, 5), Severity: []string{"P1", "P2", "P3"}[i%3], Category: "availability", Impact: some(random, 8)})
		if err != nil {
			return open, err
		}
		open = in.Value
		sites := 0
		switch {
		case last:
			sites = openSites
		case i%loadedEach == 0:
			sites = oldSites
		}
		if sites > 0 {
			if err := affect(ctx, room, in.ID, sites, !last); err != nil {
				return open, err
			}
		}
		for j, phase := range []string{comms.Investigating, comms.Identified, comms.Monitoring, comms.Resolved} {
			if last && j > 1 {
				break
			}
			shift.Store(int64(at + time.Duration(j)*20*time.Minute))
			id, err := approved(ctx, room, open.Short, statement(random, phase, room.DB.Now(), sites))
			if err == nil {
				_, err = room.Publish(ctx, "stf_ann", id, comms.PublishOptions{})
			}
			if err != nil {
				return open, fmt.Errorf("incident %d, update %d: %w", i, j+1, err)
			}
		}
	}
	shift.Store(0)
	return open, nil
}

// affect loads an incident's ledger; what is over is handed back.
func affect(ctx context.Context, room *comms.Room, incident string, sites int, over bool) error {
	var set bytes.Buffer
	fmt.Fprintln(&set, "site_id")
	for i := range sites {
		fmt.Fprintf(&set, "S-%d\n", i)
	}
	if _, err := room.LoadAffected(ctx, "stf_ann", incident, comms.CSV, &set, false); err != nil || !over {
		return err
	}
	for _, state := range []string{comms.Rebuilt, comms.Verifying, comms.Passed, comms.HandedBack} {
		var moves bytes.Buffer
		for i := range sites {
			fmt.Fprintf(&moves, "{\"site_id\":\"S-%d\",\"state\":%q,\"reason\":\"seen by two\"}\n", i, state)
		}
		if _, err := room.MoveSites(ctx, comms.Mover{By: "stf_ann", Finish: true}, incident, io.Reader(&moves)); err != nil {
			return err
		}
	}
	return nil
}

// approved is a draft that a second person has read.
func approved(ctx context.Context, room *comms.Room, incident string, st templates.Statement) (string, error) {
	draft, found, err := room.Draft(ctx, "stf_ann", incident, st, nil)
	if err != nil {
		return "", err
	}
	if _, err := room.Approve(ctx, "stf_bob", draft.ID); err != nil {
		return "", fmt.Errorf("%w (%v)", err, found)
	}
	return draft.ID, nil
}

// statement is an update of words that nobody has read yet.
func statement(random *rand.Rand, phase string, now time.Time, sites int) templates.Statement {
	st := templates.Statement{
		Phase: phase, Headline: some(random, 7), WhatHappened: some(random, 60), YourAction: "nothing",
		Scope:    templates.Scope{Products: []string{parts()[random.IntN(len(parts()))].Name, parts()[random.IntN(len(parts()))].Name}, Regions: []string{"all"}, Text: some(random, 8)},
		Affected: templates.Affected{Who: some(random, 8), Sites: templates.Known(sites), Customers: templates.Known(sites), Status: "estimate", Confidence: "medium"},
		Timeline: templates.Timeline{Kind: "direction", Text: "days, not hours", Confidence: "low", FullScopeBy: templates.Moment{Word: templates.NotKnown}},
		DataLoss: templates.DataLoss{Kind: templates.NotKnown, Confidence: "low"},
		Known:    []string{some(random, 12), some(random, 12)}, Unknown: []string{some(random, 12)}, Doing: []string{some(random, 12)},
		NextUpdateBy: templates.Moment{At: now.Add(time.Hour)}, Audience: comms.AudiencePublic, Channels: []string{comms.ChannelPage}, Locales: []string{"en", "zh-CN", "ja"},
		Translations: map[string]templates.Translation{"ja": {Headline: "翻訳 " + some(random, 4), WhatHappened: some(random, 40)}},
	}
	if phase == comms.Resolved {
		st.Timeline.FullScopeBy, st.NextUpdateBy = templates.Moment{Word: "none"}, templates.Moment{Word: "none"}
		st.Unknown, st.UnknownNone = nil, true
	}
	return st
}

const vocabulary = "a site page link team batch region cause fix check day hour list queue disk host rule ticket copy was were is are has had and or of in on by with without all some most first last new old open slow full empty lost found"

// some is so many words of which no two texts have the same.
func some(random *rand.Rand, n int) string {
	words := strings.Fields(vocabulary)
	var said []string
	for range n {
		said = append(said, words[random.IntN(len(words))])
	}
	return strings.Join(said, " ") + "."
}
