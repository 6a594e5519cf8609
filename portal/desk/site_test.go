package desk_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// town gives the book so many customers, each with one site: T-0000 of B-0000.
func (c counter) town(n int, more ...string) {
	c.Helper()
	var rows []string
	for i := range n {
		rows = append(rows, fmt.Sprintf("Customer %04d,B-%04d,Site %04d,T-%04d,https://s%04d.example,Owner,owner,o%04d@b%04d.example,%s", i, i, i, i, i, i, i, []string{"en", "ja"}[i%2]))
	}
	report, err := c.Book.Import(context.Background(), "stf_test", strings.NewReader(
		"account,account_id,site,site_id,site_url,name,role,email,locale\n"+strings.Join(append(rows, more...), "\n")), contacts.ImportOptions{Source: "billing", Format: contacts.FormatCSV})
	if err != nil || report.RejectedRows > 0 {
		c.Fatalf("%+v %v", report, err)
	}
}

func (c counter) declare() string {
	c.Helper()
	in, err := c.Comms.Declare(context.Background(), "stf_ann", comms.Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."})
	if err != nil {
		c.Fatal(err)
	}
	return in.ID
}

// affect loads sites into an incident's set.
func (c counter) affect(incident string, sites ...string) {
	c.Helper()
	if _, err := c.Comms.LoadAffected(context.Background(), "stf_ann", incident, comms.CSV, strings.NewReader("site_id\n"+strings.Join(sites, "\n")), false); err != nil {
		c.Fatal(err)
	}
}

// filedBy files a ticket, and a person confirms whose it is.
func (c counter) filedBy(account, email string, in desk.Intake) desk.Ticket {
	c.Helper()
	in.Email = email
	if in.Message == "" {
		in.Message = "Our site is gone."
	}
	t := c.file(in)
	if account == "" {
		return t
	}
	v, err := c.Confirm(context.Background(), "stf_eve", desk.Link{Ticket: t.Number, Account: account})
	if err != nil {
		c.Fatal(err)
	}
	return v.Ticket
}

// all is every ticket by its number, and how many stand for each site of an incident.
func (c counter) all(incident string) (tickets map[string]desk.Ticket, standing map[string]int, versions map[string]int64) {
	c.Helper()
	tickets, standing, versions = map[string]desk.Ticket{}, map[string]int{}, map[string]int64{}
	for after := ""; ; {
		page, next, err := c.Tickets(context.Background(), desk.Filter{After: after, Limit: 200})
		if err != nil {
			c.Fatal(err)
		}
		for _, rec := range page {
			t := rec.Value
			tickets[t.Number], versions[t.Number] = t, rec.Version
			if t.Site != "" && t.Incident == incident && t.Twin == "" {
				standing[t.Site]++
			}
		}
		if next == "" {
			return tickets, standing, versions
		}
		after = next
	}
}

// Every affected site has one ticket. Who has written, and whose account a person confirmed, has it already; the rest get theirs; a second run
// changes nothing, and neither do two replicas that run at once.
func TestEachAffectedSiteHasOneTicket(t *testing.T) {
	const sites, wrote = 883, 20
	counters(t, func(c counter) {
		ctx := context.Background()
		n := sites
		if strings.HasSuffix(c.Name(), "postgres") { // what is different there is that two write at once
			n = 90
		}
		c.town(n)
		own := map[string]desk.Ticket{}
		for i := range wrote {
			own[fmt.Sprintf("T-%04d", i)] = c.filedBy(fmt.Sprintf("B-%04d", i), fmt.Sprintf("x%d@nowhere.example", i), desk.Intake{Impact: desk.LostAccess})
		}
		var more []desk.Ticket
		for i := range 3 { // three more about the site of the first
			more = append(more, c.filedBy("B-0000", fmt.Sprintf("again%d@nowhere.example", i), desk.Intake{}))
		}
		guess := c.filedBy("", "o0050@b0050.example", desk.Intake{Message: "Site 0050 is gone", SiteURL: "https://s0050.example"}) // nobody confirmed it
		incident := c.declare()
		var ids []string
		for i := range n {
			ids = append(ids, fmt.Sprintf("T-%04d", i))
		}
		c.affect(incident, ids...)

		began := time.Now()
		var both sync.WaitGroup
		failed := make(chan error, 2)
		for range 2 {
			replica := &desk.Desk{DB: c.DB, Book: c.Book, Comms: c.Comms, Policy: c.Policy, Log: c.Log}
			both.Go(func() { failed <- replica.FollowSites(ctx) })
		}
		both.Wait()
		for range 2 {
			if err := <-failed; err != nil {
				c.Fatal(err)
			}
		}
		c.Logf("%d sites in %s", n, time.Since(began))

		all, standing, versions := c.all(incident)
		if len(standing) != n || len(all) != n+len(more)+1 {
			c.Fatalf("%d sites have a ticket and there are %d tickets; want %d and %d", len(standing), len(all), n, n+len(more)+1)
		}
		for site, n := range standing {
			if n != 1 {
				c.Fatalf("%d tickets stand for %s", n, site)
			}
		}
		for site, was := range own {
			now := all[was.Number]
			if now.Site == "" || now.Twin != "" || now.Incident != incident || now.Route == "incident" || now.State != was.State || !now.AnswerBy.Equal(was.AnswerBy) {
				c.Errorf("%s: %+v", site, now)
			}
		}
		first, err := c.Ticket(ctx, own["T-0000"].Number)
		if err != nil {
			c.Fatal(err)
		}
		for _, was := range more {
			if now := all[was.Number]; now.Twin != first.ID || now.Site != first.Ticket.Site || now.Incident != incident {
				c.Errorf("a further one about the same: %+v", now)
			}
		}
		if now := all[guess.Number]; now.Site != "" || now.Account != "" {
			c.Errorf("nobody confirmed whose it is: %+v", now)
		}
		if due := c.firstAnswers(); due != wrote+len(more)+1 {
			c.Errorf("%d first answers are due: nobody waits for one in a ticket that was made", due)
		}
		if err := c.TicketsFor(ctx, incident); err != nil {
			c.Fatal(err)
		}
		again, _, after := c.all(incident)
		if len(again) != len(all) {
			c.Errorf("a second run left %d tickets of %d", len(again), len(all))
		}
		for number, v := range versions {
			if after[number] != v {
				c.Errorf("a second run wrote %s", number)
			}
		}

		// Sites that are found later follow, and so does who is recognised later: her own ticket then stands, and the empty one gives way.
		c.town(0, "Late,L-1,Late site,LT-1,https://late.example,Owner,owner,late@late.example,en")
		c.affect(incident, "LT-1")
		if err := c.FollowSites(ctx); err != nil {
			c.Fatal(err)
		}
		if _, standing, _ := c.all(incident); len(standing) != n+1 {
			c.Errorf("%d sites have a ticket after one more was found", len(standing))
		}
		if _, err := c.Confirm(ctx, "stf_eve", desk.Link{Ticket: guess.Number, Account: "B-0050"}); err != nil {
			c.Fatal(err)
		}
		all, standing, _ = c.all(incident)
		if now := all[guess.Number]; now.Site == "" || now.Twin != "" || standing[now.Site] != 1 || len(standing) != n+1 {
			c.Errorf("recognised later: %+v, %d", now, standing[now.Site])
		}
		if _, err := c.Unlink(ctx, "stf_eve", desk.Link{Ticket: guess.Number}); err != nil {
			c.Fatal(err)
		}
		if all, standing, _ := c.all(incident); len(standing) != n+1 || all[guess.Number].Site != "" {
			c.Errorf("taken off again: %d sites have a ticket, %+v", len(standing), all[guess.Number])
		}
	})
}

// A customer of several sites: what a ticket names is its site, one that names none stands for the first, and nobody folds what may be about another.
func TestATicketStandsForTheSiteThatItNames(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		c.town(0,
			"Many,M-1,North,N-1,https://north.example,Owner,owner,o@many.example,ja",
			"Many,M-1,South,N-2,https://south.example,,,,",
			"Many,M-1,West,N-3,https://west.example,,,,",
			"Many,M-1,East,N-4,https://east.example,,,,")
		early := c.filedBy("M-1", "d@x.example", desk.Intake{Message: "The wiki is slow.", SiteURL: "https://east.example", Impact: desk.Degraded})
		asks := c.filedBy("M-1", "e@x.example", desk.Intake{Message: "May we have an invoice?", SiteURL: "https://east.example", Impact: desk.Question})
		incident := c.declare()
		south := c.filedBy("M-1", "a@x.example", desk.Intake{SiteURL: "http://South.example/wiki/home"})
		whole := c.filedBy("M-1", "b@x.example", desk.Intake{Message: "everything is gone"})
		twin := c.filedBy("M-1", "c@x.example", desk.Intake{SiteName: "south"})
		c.affect(incident, "N-1", "N-2", "N-3", "N-4")
		if err := c.FollowSites(ctx); err != nil {
			c.Fatal(err)
		}
		site := func(id string) (ours string) {
			c.Helper()
			if err := c.DB.View(ctx, func(tx *store.Tx) error {
				rec, err := c.Book.Site(tx, id)
				ours = rec.ID
				return err
			}); err != nil {
				c.Fatal(err)
			}
			return ours
		}
		all, standing, _ := c.all(incident)
		if all[south.Number].Site != site("N-2") || all[twin.Number].Site != site("N-2") || all[twin.Number].Twin == "" || all[whole.Number].Site != "" {
			c.Errorf("south %+v\ntwin %+v\nwhole %+v", all[south.Number], all[twin.Number], all[whole.Number])
		}
		// Who wrote before anybody knew is answered as soon as who writes now; a question stays one.
		if now := all[early.Number]; early.Priority != "P2" || now.Priority != "P0" || now.AnswerBy.Sub(now.FiledAt) != 45*time.Minute || all[asks.Number].Priority != "P3" {
			c.Errorf("early %+v\nasks %+v", now, all[asks.Number])
		}
		for _, id := range []string{"N-1", "N-2", "N-3"} {
			if standing[site(id)] != 1 {
				c.Errorf("%d tickets stand for %s", standing[site(id)], id)
			}
		}
		// A person says which site: the empty ticket that was made for it gives way, and the place that is left has a ticket again.
		if _, err := c.Confirm(ctx, "stf_eve", desk.Link{Ticket: whole.Number, Account: "M-1", Site: "N-3"}); err != nil {
			c.Fatal(err)
		}
		if _, err := c.Confirm(ctx, "stf_eve", desk.Link{Ticket: south.Number, Account: "M-1", Site: "N-1"}); err != nil {
			c.Fatal(err)
		}
		all, standing, _ = c.all(incident)
		if all[whole.Number].Site != site("N-3") || all[south.Number].Site != site("N-1") || all[twin.Number].Twin != "" || all[twin.Number].Site != site("N-2") {
			c.Errorf("whole %+v\nsouth %+v\ntwin %+v", all[whole.Number], all[south.Number], all[twin.Number])
		}
		for _, id := range []string{"N-1", "N-2", "N-3"} {
			if standing[site(id)] != 1 {
				c.Errorf("%d tickets stand for %s", standing[site(id)], id)
			}
		}
		if _, err := c.Confirm(ctx, "stf_eve", desk.Link{Ticket: whole.Number, Account: "M-1", Site: "S-1"}); err == nil {
			c.Error("a site of another account was taken")
		}
	})
}

// What happens to a site stands in its ticket, in its language, read from the ledger.
func TestASitesWayStandsInItsTicket(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		incident := c.declare()
		filed := c.filedBy("A-1", "ann@acme.example", desk.Intake{Locale: "ja"})
		c.affect(incident, "S-1")
		if err := c.FollowSites(ctx); err != nil {
			c.Fatal(err)
		}
		move := func(state, reason string) {
			c.Helper()
			c.passed.Add(int64(time.Minute))
			report, err := c.Comms.MoveSites(ctx, comms.Mover{By: "stf_ann", Finish: true}, incident, strings.NewReader(fmt.Sprintf(`{"site_id":"S-1","state":%q,"reason":%q}`, state, reason)))
			if err != nil || report.Moved != 1 {
				c.Fatalf("%+v %v", report, err)
			}
		}
		move(comms.Restoring, "")
		move(comms.Rebuilt, "")
		move(comms.Passed, "looked at it")
		said := func() (all []string) {
			c.Helper()
			v, err := c.Ticket(ctx, filed.Number)
			if err != nil {
				c.Fatal(err)
			}
			for _, m := range v.Messages {
				if m.From == "system" && m.Via == desk.ViaSite {
					all = append(all, m.Text)
				}
			}
			return all
		}
		all := said()
		if len(all) != 4 || !strings.Contains(all[3], "Wiki はこちらの確認を通りました") || !strings.Contains(all[0], "影響") {
			c.Fatalf("%q", all)
		}
		move(comms.FailedSite, "a page is missing")
		if all = said(); len(all) != 5 || !strings.Contains(all[4], "うまくいきません") {
			c.Errorf("%q", all)
		}
		move(comms.Rebuilt, "")
		move(comms.Passed, "looked at it again")
		c.passed.Add(int64(c.Comms.Policy.NoAnswer))
		if all = said(); len(all) != 8 || !strings.Contains(all[7], "ご連絡がなかった") {
			c.Errorf("%q", all)
		}
	})
}

// A site that comes back under a new id has the ticket that it had, by either id; one that nobody knows is named.
func TestASiteThatComesBackUnderANewIDHasItsTicket(t *testing.T) {
	counters(t, func(c counter) {
		ctx := context.Background()
		c.town(2)
		mine := c.filedBy("B-0000", "x@nowhere.example", desk.Intake{Impact: desk.LostAccess})
		incident := c.declare()
		c.affect(incident, "T-0000", "T-0001")
		if err := c.FollowSites(ctx); err != nil {
			c.Fatal(err)
		}
		if _, err := c.Book.ProductEvent(ctx, "tok_product", contacts.Event{Type: contacts.SiteDeleted, SiteIDs: []string{"T-0000"}}); err != nil {
			c.Fatal(err)
		}
		report, err := c.Book.Import(ctx, "stf_test", strings.NewReader("account_id,account,site_id,site_url\nB-0000,Customer 0000,N-0000,https://s0000.example\n"),
			contacts.ImportOptions{Source: "billing", Format: contacts.FormatCSV})
		if err != nil || report.RejectedRows > 0 {
			c.Fatalf("%+v %v", report, err)
		}
		for _, id := range []string{"T-0000", "N-0000"} {
			page, err := c.List(ctx, desk.Choice{Site: id})
			if err != nil || len(page.Items) != 1 || page.Items[0].Value.Number != mine.Number {
				c.Errorf("by %s: %+v %v", id, page.Items, err)
			}
		}
		if _, err := c.List(ctx, desk.Choice{Site: "S-none"}); fault.Of(err) != fault.NotFound {
			c.Errorf("a site that nobody knows: %v", err)
		}
	})
}
