package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// pageWithin is the limit of a page of the desk, at the 95th percentile.
const pageWithin = 100 * time.Millisecond

// fillAtOnce is how many tickets one transaction writes while the house is filled.
const fillAtOnce = 500

// lists fills a house, signs somebody in, and asks for the pages of the desk one after the other while tickets go on coming in.
func (b bench) lists(ctx context.Context, engine string, e store.Engine) (err error) {
	d, client, stop, err := b.serve(ctx, engine, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	began := time.Now()
	f, err := b.fill(ctx, d)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "lists      %-9s %d open and %d closed tickets, %d sites in an incident, filled in %.0f s\n", engine, b.open, b.closed, b.sites, time.Since(began).Seconds())
	cookie, err := b.session(ctx, engine, d, client)
	if err != nil {
		return err
	}
	following, leave := context.WithCancel(ctx)
	left := make(chan error, 1)
	go func() { left <- d.FollowTickets(following) }() // as a process that serves does
	defer func() {
		leave()
		err = errors.Join(err, <-left)
	}()
	in := "/desk/incidents/" + f.incident
	for _, p := range []struct{ what, path string }{
		{"home", "/desk"},
		{"tickets, open", "/desk/tickets"},
		{"of a queue", "/desk/tickets?queue=" + f.incident},
		{"closed", "/desk/tickets?state=closed"},
		{"found by a word", "/desk/tickets?q=writer7"},
		{"a ticket", "/desk/tickets/" + f.number},
		{"an account", "/desk/accounts/A-1"},
		{"an account of many", "/desk/accounts/A-0"},
		{"search", "/desk/search?q=" + url.QueryEscape("Customer 7")},
		{"room", in},
		{"room, live", in + "/live"},
		{"dashboard", in + "/tickets"},
		{"sites", in + "/sites"},
		{"coverage", in + "/coverage"},
		{"what is due", "/desk/tasks"},
		{"escalations", "/desk/escalations"},
		{"verify queue", "/desk/checks"},
		{"rota", "/desk/rota"},
		{"report", "/api/v1/reports/incidents"},
	} {
		if err := b.asked(ctx, engine, p.what, func(i int) error {
			if i%10 == 5 { // others go on filing
				if _, err := d.Fill(ctx, "system:bench", []desk.Filled{f.ticket(b.open+i, d.DB.Now(), false)}); err != nil {
					return err
				}
			}
			return look(client, cookie, p.path)
		}); err != nil {
			return err
		}
	}
	return nil
}

// asked asks again and again, for as long as a rate is measured or thirty times, and says how long an answer took; the first, which may have to read the house, apart.
func (b bench) asked(ctx context.Context, engine, what string, once func(i int) error) error {
	var first time.Duration
	var took []time.Duration
	for i, end := 0, time.Now().Add(b.each); (time.Now().Before(end) || len(took) < 30) && ctx.Err() == nil; i++ {
		began := time.Now()
		err := once(i)
		for fault.Of(err) == fault.Unavailable { // the tickets are still being read
			err = once(i)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if i == 0 {
			first = time.Since(began)
			continue
		}
		if i%10 != 5 { // with its ticket
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100] }
	over := ""
	if at(95) > pageWithin {
		over = "  OVER THE LIMIT"
	}
	fmt.Fprintf(b.out, "lists      %-9s %-20s p50 %6.1f ms  p95 %6.1f ms (limit %.0f)  the first %6.1f ms%s\n", engine, what, ms(at(50)), ms(at(95)), ms(pageWithin), ms(first), over)
	return ctx.Err()
}

func look(client *fasthttp.HostClient, cookie, path string) error {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.SetRequestURI("http://" + client.Addr + path)
	req.Header.Set(fasthttp.HeaderCookie, cookie)
	if err := client.Do(req, res); err != nil {
		return err
	}
	switch res.StatusCode() {
	case fasthttp.StatusOK:
		return nil
	case fasthttp.StatusServiceUnavailable:
		return fault.New(fault.Unavailable, "told to come back")
	}
	return fmt.Errorf("%s was answered %d: %.300s", path, res.StatusCode(), res.Body())
}

// session signs a commander in, and gives her cookie.
func (b bench) session(ctx context.Context, engine string, d *desk.Desk, client *fasthttp.HostClient) (string, error) {
	key, err := auth.OpenKey(filepath.Join(b.dir, "signing-"+engine), false)
	if err != nil {
		return "", err
	}
	at := "http://" + client.Addr
	gate := &auth.Gate{DB: d.DB, Key: key, Issuer: at, Log: d.Log}
	link, err := gate.Link(ctx, auth.OperatorID, auth.Grantee{Role: auth.Admin, Name: "Bench"}, at)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(link)
	if err != nil {
		return "", err
	}
	_, value, err := gate.Open(ctx, u.Query().Get(auth.LinkParam))
	return "lifeline=" + value, err
}

// full is a house that was filled.
type full struct {
	incident string
	number   string // of an open ticket
	accounts []string
}

// ticket is the i-th of the house: two in three hang on an account, a tenth of those on one that writes a great deal; one in three waits in the incident's queue.
func (f full) ticket(i int, at time.Time, closed bool) desk.Filled {
	t := desk.Ticket{Name: fmt.Sprintf("Writer%d", i%1000), Email: fmt.Sprintf("p@mail-%d.example", i), Company: fmt.Sprintf("Customer %d", i%5000), Impact: desk.LostAccess, Locale: "en", Route: "web",
		Priority: []string{"P0", "P1", "P2", "P3"}[i%4], State: desk.New, FiledAt: at}
	switch {
	case i%3 == 0:
		t.Incident = f.incident
	case i%10 == 1:
		t.Account = f.accounts[0]
	default:
		t.Account = f.accounts[i%len(f.accounts)]
	}
	if i%2 == 0 {
		t.AnswerAt = at.Add(time.Duration(1+i%180) * time.Minute)
	}
	if closed {
		t.State, t.AnswerAt = desk.Closed, at.Add(time.Duration(1+i%180)*time.Minute)
	}
	return desk.Filled{Ticket: t, Words: "Our site is gone and we have a release on Thursday."}
}

// fill fills a house: a book of customers, an incident that has sites of theirs in every state, and tickets of the last days and, closed, of the last two years.
func (b bench) fill(ctx context.Context, d *desk.Desk) (f full, err error) {
	d.Comms.Follow, d.Chance = d.FollowMove, func() float64 { return 1 }
	var book, set, moves bytes.Buffer
	fmt.Fprintln(&book, "account,account_id,site,site_id,name,role,email")
	fmt.Fprintln(&set, "site_id")
	for i := range b.sites {
		fmt.Fprintf(&book, "Customer %d,A-%d,Site %d,S-%d,Owner,owner,owner@c%d.example\n", i, i, i, i, i)
		fmt.Fprintf(&set, "S-%d\n", i)
		if i%2 == 0 {
			fmt.Fprintf(&moves, "{\"site_id\":\"S-%d\",\"state\":\"rebuilt\",\"batch\":\"%d\"}\n", i, i/60)
		}
	}
	if _, err := d.Book.Import(ctx, "system:bench", &book, contacts.ImportOptions{Source: "product", Format: contacts.FormatCSV}); err != nil {
		return f, err
	}
	in, err := d.Comms.Declare(ctx, "system:bench", comms.Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."})
	if err != nil {
		return f, err
	}
	f.incident = in.ID
	if _, err := d.Comms.LoadAffected(ctx, "system:bench", in.ID, comms.CSV, &set, false); err != nil {
		return f, err
	}
	if _, err := d.Comms.MoveSites(ctx, comms.Mover{By: "system:bench"}, in.ID, &moves); err != nil {
		return f, err
	}
	if err := d.FollowSites(ctx); err != nil {
		return f, err
	}
	if err := d.DB.View(ctx, func(tx *store.Tx) error {
		f.accounts = nil
		for i := range min(b.sites, 5000) {
			a, err := d.Book.Account(tx, fmt.Sprintf("A-%d", i))
			if err != nil {
				return err
			}
			f.accounts = append(f.accounts, a.ID)
		}
		return nil
	}); err != nil {
		return f, err
	}
	now := d.DB.Now()
	for _, part := range []struct {
		n      int
		closed bool
		over   time.Duration
	}{{b.closed, true, 2 * 365 * 24 * time.Hour}, {b.open, false, 3 * 24 * time.Hour}} {
		for from := 0; from < part.n; from += fillAtOnce {
			var all []desk.Filled
			for i := from; i < min(from+fillAtOnce, part.n); i++ {
				back := time.Duration(float64(part.over) * float64(part.n-i) / float64(part.n))
				all = append(all, f.ticket(i, now.Add(-back-4*time.Hour), part.closed))
			}
			numbers, err := d.Fill(ctx, "system:bench", all)
			if err != nil {
				return f, err
			}
			f.number = numbers[0]
		}
	}
	return f, nil
}
