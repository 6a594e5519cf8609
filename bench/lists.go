package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// pageWithin is the limit of a page of the desk, at the 95th percentile.
const pageWithin = 100 * time.Millisecond

// fillAtOnce is how many tickets one transaction writes while the house is filled.
const fillAtOnce = 2000

// lists fills a house, signs somebody in, and asks for the pages of the desk one after the other while tickets go on coming in.
func (b bench) lists(ctx context.Context, engine string, e store.Engine) (err error) {
	d, client, stop, err := b.serve(ctx, engine, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	began := time.Now()
	d.Comms.Follow, d.Chance, d.Comms.Policy.Components = d.FollowMove, func() float64 { return 1 }, []comms.ComponentPolicy{{Name: "Wiki"}}
	f, err := b.filled(ctx, engine, d)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "lists      %-9s %d open and %d closed tickets, %d sites in an incident, filled in %.0f s\n", engine, f.Open, f.Closed, f.Sites, time.Since(began).Seconds())
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
	if err := b.asked(ctx, engine, "open, at the start", func(int) error { return look(client, cookie, "/desk/tickets") }); err != nil {
		return err
	}
	began = time.Now()
	for whole := false; !whole; time.Sleep(100 * time.Millisecond) {
		page, err := d.List(ctx, desk.Choice{State: desk.Closed, Limit: 1})
		if err != nil && fault.Of(err) != fault.Unavailable {
			return err
		}
		whole = page.Whole
	}
	fmt.Fprintf(b.out, "lists      %-9s all tickets are on the board %.0f s later\n", engine, time.Since(began).Seconds())
	in := "/desk/incidents/" + f.Incident
	site, ticket, err := deep(ctx, d, f)
	if err != nil {
		return err
	}
	for _, p := range []struct{ what, path string }{
		{"home", "/desk"},
		{"tickets, open", "/desk/tickets"},
		{"of a queue", "/desk/tickets?queue=" + f.Incident},
		{"open, far behind", "/desk/tickets?after=" + ticket},
		{"by the day filed", "/desk/tickets?sort=filed"},
		{"overdue", "/desk/tickets?overdue=true"},
		{"nobody's, P1", "/desk/tickets?owner=nobody&priority=P1"},
		{"with a label", "/desk/tickets?label=board"},
		{"of a customer", "/desk/tickets?account=" + f.Accounts[0]},
		{"chosen by nothing", "/desk/tickets?owner=" + auth.OperatorID},
		{"closed", "/desk/tickets?state=closed"},
		{"found by a word", "/desk/tickets?q=writer7"},
		{"found by nothing", "/desk/tickets?q=nobody-of-that-name"},
		{"a ticket", "/desk/tickets/" + f.Number},
		{"an account", "/desk/accounts/A-1"},
		{"an account of many", "/desk/accounts/A-0"},
		{"search", "/desk/search?q=" + url.QueryEscape("Customer 7")},
		{"room", in},
		{"room, live", in + "/live"},
		{"dashboard", in + "/tickets"},
		{"sites", in + "/sites"},
		{"sites, far behind", in + "/sites?after=" + site},
		{"sites, of a state", in + "/sites?state=rebuilt"},
		{"sites, of no state", in + "/sites?state=failed"},
		{"batches", in + "/batches"},
		{"cohorts", in + "/cohorts"},
		{"team", in + "/team"},
		{"editor", in + "/editor"},
		{"coverage", in + "/coverage"},
		{"delivery board", "/desk/updates/" + f.Update + "/deliveries"},
		{"its mails unread", "/desk/updates/" + f.Update + "/deliveries?state=failed"},
		{"tasks", "/desk/tasks"},
		{"tasks, done", "/desk/tasks?state=done"},
		{"a task", "/desk/tasks/" + f.Task},
		{"escalations", "/desk/escalations"},
		{"verify queue", "/desk/checks"},
		{"a check", "/desk/checks/" + f.Check},
		{"rota", "/desk/rota"},
		{"changes", "/desk/changes"},
		{"conflicts", "/desk/conflicts"},
		{"stale contacts", "/desk/stale"},
		{"audit log", "/desk/audit"},
		{"audit, of a record", "/desk/audit?of=" + f.Task},
		{"audit, of nothing", "/desk/audit?of=stf_nobody"},
		{"questions", "/desk/questions"},
		{"maintenance", "/desk/maintenances"},
		{"services", "/desk/services"},
		{"rules", "/desk/rules"},
		{"staff", "/desk/staff"},
		{"own account", "/desk/account"},
		{"report", "/api/v1/reports/incidents"},
	} {
		if err := b.asked(ctx, engine, p.what, func(i int) error {
			if i%10 == 5 { // others go on filing
				if _, err := d.Fill(ctx, "system:bench", []desk.Filled{f.ticket(f.Open+i, d.DB.Now(), false)}); err != nil {
					return err
				}
			}
			return look(client, cookie, p.path)
		}); err != nil {
			return err
		}
	}
	fmt.Fprintf(b.out, "lists      %-9s %d MiB of memory\n", engine, own())
	return b.asked(ctx, engine, "claim, give back", func(i int) error {
		who := desk.Checker{ID: fmt.Sprintf("stf_claims_%d_%d", time.Now().UnixNano(), i)}
		got, err := d.ClaimChecks(ctx, who, desk.Claim{Incident: f.Incident})
		for _, c := range got {
			_, back := d.Return(ctx, who, c.ID, desk.Written{Epoch: c.Value.Epoch})
			err = errors.Join(err, back)
		}
		return err
	})
}

// deep are cursors of pages far behind the first: of the affected sites in the middle, of open tickets behind some thousands.
func deep(ctx context.Context, d *desk.Desk, f full) (site, ticket string, err error) {
	in, err := d.Comms.Ledger(ctx, f.Incident)
	for n := 0; err == nil && n < in.Sites.Total/2; n += 200 {
		_, site, err = d.Comms.Sites(ctx, f.Incident, comms.SiteQuery{After: site, Limit: 200})
	}
	for range 20 {
		var page desk.Chosen
		for page, err = d.List(ctx, desk.Choice{State: desk.AnyOpen, After: ticket, Limit: 200}); fault.Of(err) == fault.Unavailable; { // they are still being read
			page, err = d.List(ctx, desk.Choice{State: desk.AnyOpen, After: ticket, Limit: 200})
		}
		if err != nil || page.Next == "" {
			break
		}
		ticket = page.Next
	}
	return site, ticket, err
}

// asked asks again and again, for as long as a rate is measured or thirty times, and says how long an answer took; the first, which may have to read the house, apart.
func (b bench) asked(ctx context.Context, engine, what string, once func(i int) error) error {
	var first time.Duration
	var took []time.Duration
	used := worked()
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
			first, used = time.Since(began), worked()
			continue
		}
		if i%10 != 5 { // with its ticket
			took = append(took, time.Since(began))
		}
	}
	each := (worked() - used) / time.Duration(len(took))
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100] }
	over := ""
	if at(95) > pageWithin {
		over = "  OVER THE LIMIT"
	}
	fmt.Fprintf(b.out, "lists      %-9s %-20s p50 %6.1f ms  p95 %6.1f ms (limit %.0f)  processor %5.1f ms  the first %6.1f ms%s\n", engine, what, ms(at(50)), ms(at(95)), ms(pageWithin), ms(each), ms(first), over)
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
