package desk_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// bursts are the open tasks that a burst has raised.
func (c counter) bursts() (all []store.Rec[comms.Task]) {
	c.Helper()
	err := c.DB.View(context.Background(), func(tx *store.Tx) (err error) {
		all, _, err = c.Comms.Family(tx, comms.Burst, comms.Open, "", 0)
		return err
	})
	if err != nil {
		c.Fatal(err)
	}
	return all
}

// Three people who say within ten minutes that their site is gone alarm somebody, once; one step makes an incident that holds them all; and while it is open
// nobody is alarmed again.
func TestABurstOfTicketsAlarmsAndBecomesAnIncident(t *testing.T) {
	counters(t, func(c counter) {
		ctx := context.Background()
		c.Comms.Policy.Ladders[comms.Burst] = comms.Ladder{{To: []comms.Direct{{Channel: comms.ChannelEmail, Address: "oncall@vendor.example", Locale: "en"}}}}
		own := []desk.Ticket{
			c.file(desk.Intake{Message: "Hello, something is odd", Email: "a@x.example", Impact: desk.LostAccess}),
			c.file(desk.Intake{Message: "昨日からサイトが消えています", Email: "b@x.example"}),
		}
		other := c.file(desk.Intake{Message: "how do I change my invoice, the old one is gone", Email: "q@x.example", Impact: desk.Question})
		if len(c.bursts()) != 0 {
			c.Fatal("two are no burst")
		}
		c.passed.Add(int64(9 * time.Minute))
		own = append(own, c.file(desk.Intake{Message: "My site is gone!", Phone: "+12025550111"}))
		all := c.bursts()
		if len(all) != 1 || !strings.HasPrefix(all[0].Value.Title, "3 tickets within 10 minutes") {
			c.Fatalf("%+v", all)
		}
		if n := c.fire(time.Second); n != 1 {
			c.Errorf("%d rungs were told", n)
		}
		own = append(own, c.file(desk.Intake{Message: "mine too", Email: "d@x.example", Impact: desk.LostAccess}))
		if err := c.WatchBursts(ctx); err != nil {
			c.Fatal(err)
		}
		if again := c.bursts(); len(again) != 1 || again[0].Version != all[0].Version || c.fire(time.Second) != 0 {
			c.Errorf("it was told again: %+v", again)
		}
		if _, err := c.Promote(ctx, "stf_ann", all[0].ID, comms.Declare{Severity: "P0", Impact: "Sites cannot be opened."}); fault.Of(err) != fault.Invalid {
			c.Fatalf("without a category: %v", err)
		}
		if len(c.bursts()) != 1 || c.ticket(own[0].Number).Incident != "" {
			c.Fatal("what failed has moved something")
		}
		in, err := c.Promote(ctx, "stf_ann", all[0].ID, comms.Declare{Severity: "P0", Category: "data", Impact: "Sites cannot be opened."})
		if err != nil || in.Value.FoundBy != comms.FoundByCustomer || in.Value.Title == "" {
			c.Fatalf("%+v %v", in.Value, err)
		}
		for _, was := range own {
			if now := c.ticket(was.Number); now.Incident != in.ID || now.Priority != "P0" {
				c.Errorf("%+v", now)
			}
		}
		if now := c.ticket(other.Number); now.Incident != "" {
			c.Errorf("a question is held: %+v", now)
		}
		if _, err := c.Promote(ctx, "stf_ann", all[0].ID, comms.Declare{Severity: "P0", Category: "data", Impact: "x"}); fault.Of(err) != fault.Conflict {
			c.Errorf("promoted twice: %v", err)
		}
		for range 4 {
			c.file(desk.Intake{Message: "gone", Email: "z@x.example", Impact: desk.LostAccess})
		}
		if len(c.bursts()) != 0 {
			c.Error("somebody is alarmed of what an incident holds")
		}
	})
}

// Where two people approved beforehand that it may, the page says that reports come in: once enough different people have written and nobody has taken the alarm
// for as long as the rule says, and until somebody has looked. One person who writes often is no reason, and nothing says who wrote.
func TestThePageSaysThatReportsComeIn(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		rule := comms.Rule{People: 4, After: 10 * time.Minute}
		c.Comms.Policy.Automatic.Rules = map[string]comms.Rule{comms.RuleReports: rule}
		said := func(when string, want bool) *comms.Reports {
			c.Helper()
			if err := c.WatchBursts(ctx); err != nil {
				c.Fatal(err)
			}
			p, err := c.Comms.Public(ctx)
			if err != nil || (p.Reports != nil) != want || len(p.Incidents) > 0 {
				c.Errorf("%s: %+v, %d incidents, %v", when, p.Reports, len(p.Incidents), err)
			}
			return p.Reports
		}
		gone := func(from ...string) {
			c.Helper()
			for _, who := range from {
				c.file(desk.Intake{Message: "It is gone", Email: who + "@x.example", Impact: desk.LostAccess})
			}
		}
		inForce := func(people ...string) {
			c.Helper()
			for _, by := range people {
				if _, err := c.Comms.ApproveRule(ctx, by, comms.RuleReports); err != nil {
					c.Fatal(err)
				}
			}
		}
		edition := func() int64 {
			c.Helper()
			n, err := c.Comms.Edition(ctx)
			if err != nil {
				c.Fatal(err)
			}
			return n
		}
		gone("a", "b", "C", "c", "c")
		inForce("stf_ann")
		c.pass(time.Hour)
		said("one person's word", false)
		inForce("stf_bob")
		said("three people, one of them three times", false)
		gone("d")
		before := edition()
		if got := said("four people and an hour", true); !got.Since.Equal(c.DB.Now().Add(-time.Hour)) || !got.Said.Equal(c.DB.Now()) {
			c.Errorf("%+v", got)
		}
		if now := edition(); now == before {
			c.Error("no page was told to change")
		}
		open := c.bursts()[0].ID
		if _, err := c.Comms.Take(ctx, "stf_ann", open, 0); err != nil {
			c.Fatal(err)
		}
		said("somebody looks, and has found nothing yet", true)
		if _, err := c.Comms.StopRule(ctx, "stf_sup", comms.RuleReports, "somebody plays with us"); err != nil {
			c.Fatal(err)
		}
		said("the rule is stopped", false)
		inForce("stf_ann", "stf_bob")
		said("in force again", true)
		before = edition()
		if _, err := c.Comms.Drop(ctx, "stf_ann", open, 0, "a browser's update"); err != nil {
			c.Fatal(err)
		}
		said("dismissed", false)
		if now := edition(); now == before {
			c.Error("no page was told to change back")
		}

		c.pass(time.Hour)
		gone("e", "f", "g", "h")
		c.pass(9 * time.Minute)
		said("too soon", false)
		c.pass(time.Minute)
		said("ten minutes", true)
		in, err := c.Promote(ctx, "stf_ann", c.bursts()[0].ID, comms.Declare{Severity: "P0", Category: "data", Impact: "Sites cannot be opened."})
		if err != nil || in.ID == "" {
			c.Fatal(err)
		}
		said("it is an incident, of which nobody has said anything", false)
	})
	if _, has := comms.DefaultPolicy().Automatic.Rules[comms.RuleReports]; has {
		t.Error("without a word in the policy the page speaks of reports")
	}
}

// Whoever looked and found no incident is left alone until as many have written again.
func TestABurstThatWasLookedAtIsNotRaisedAgain(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		gone := func(n int) {
			c.Helper()
			for range n {
				c.passed.Add(int64(time.Second))
				c.file(desk.Intake{Message: "It is gone", Email: "a@x.example", Impact: desk.LostAccess})
			}
		}
		gone(3)
		all := c.bursts()
		if len(all) != 1 {
			c.Fatalf("%+v", all)
		}
		c.passed.Add(int64(time.Second))
		if _, err := c.Comms.Drop(ctx, "stf_ann", all[0].ID, 0, "one customer's browser"); err != nil {
			c.Fatal(err)
		}
		if gone(2); len(c.bursts()) != 0 {
			c.Error("what was looked at counts again")
		}
		if gone(1); len(c.bursts()) != 1 {
			c.Error("three more are a burst of their own")
		}
	})
}

// The same words from many are a burst as well, whatever they are about. Words that everybody uses are not, and no index shows what was written.
func TestTheSameWordsAreABurst(t *testing.T) {
	onBolt(t, func(c counter) {
		say := func(words string, n int) {
			c.Helper()
			for range n {
				c.file(desk.Intake{Message: words, Email: "a@x.example", Impact: desk.Degraded})
			}
		}
		say("help, please", 5)
		if len(c.bursts()) != 0 {
			c.Fatal("everybody says help")
		}
		say("Error 0x8004 when saving a page", 2)
		say("error 0x8004, when saving a page!!", 1)
		all := c.bursts()
		if len(all) != 1 || !strings.HasPrefix(all[0].Value.Of, "tic_") || !strings.Contains(all[0].Value.Title, "say the same") {
			c.Fatalf("%+v", all)
		}
		say("error 0x8004 when saving a page", 2)
		if len(c.bursts()) != 1 {
			c.Error("it was raised twice")
		}
	})
}

// When three are filed at the same moment none of them knows of the others: the duty finds it, once, whoever does it.
func TestABurstOfOneMomentIsFoundByTheDuty(t *testing.T) {
	counters(t, func(c counter) {
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if _, err := c.File(context.Background(), "public:web", desk.Intake{Message: "gone", Email: "a@x.example", Impact: desk.LostAccess}); err != nil {
					c.Error(err)
				}
			})
		}
		all.Wait()
		failed := make(chan error, 3)
		for range 3 {
			replica := &desk.Desk{DB: c.DB, Book: c.Book, Comms: c.Comms, Policy: c.Policy, Log: c.Log}
			all.Go(func() { failed <- replica.WatchBursts(context.Background()) })
		}
		all.Wait()
		for range 3 {
			if err := <-failed; err != nil {
				c.Error(err)
			}
		}
		if len(c.bursts()) != 1 {
			c.Errorf("%d alarms", len(c.bursts()))
		}
	})
}

// Whatever route it comes by, an escalation is in one list with its route, its owner and a ticket with a number, and none is lost.
func TestEscalationsFromEveryRouteAreInOneList(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		in := c.file(desk.Intake{Message: "still waiting", Email: "w@x.example"})
		seen := map[string]bool{}
		for i, route := range desk.EscalationRoutes() {
			h := desk.Heard{Route: route, Words: "They want to hear from us, today", Owner: []string{"stf_ann", ""}[i%2]}
			switch route {
			case desk.RouteTicket:
				h.Ticket = in.Number
			case desk.RoutePhone:
				h.Impact, h.Phone, h.Account = desk.LostAccess, "+12025550111", "A-1"
			}
			got, err := c.Escalate(ctx, "stf_eve", h)
			if err != nil || got.Ticket == "" || got.Task == "" || got.Phrase == "" {
				c.Fatalf("%s: %+v %v", route, got, err)
			}
			v, err := c.Ticket(ctx, got.Ticket)
			if err != nil {
				c.Fatal(err)
			}
			switch route {
			case desk.RouteTicket:
				if v.Ticket.Number != in.Number || len(v.Messages) != 2 || !v.Messages[1].Internal {
					c.Errorf("%+v", v)
				}
			case desk.RoutePhone: // a P0 by phone has a record and a number
				if v.Ticket.Priority != "P0" || v.Ticket.Account == "" || v.Ticket.Route != "phone" || v.Ticket.AnswerBy.IsZero() || v.Ticket.StartedBy != "stf_eve" {
					c.Errorf("%+v", v.Ticket)
				}
				fallthrough
			default:
				if v.Ticket.Route != route || v.Messages[0].By != "stf_eve" || v.Messages[0].From != "customer" {
					c.Errorf("%s: %+v", route, v)
				}
			}
			seen[got.Task] = true
		}
		page, next, err := c.Escalations(ctx, "", "", 0)
		if err != nil || next != "" || len(page) != len(desk.EscalationRoutes()) {
			c.Fatalf("%d %q %v", len(page), next, err)
		}
		for _, rec := range page {
			delete(seen, rec.ID)
		}
		tally, err := c.Comms.CountFamily(ctx, comms.Escalation, "", nil)
		if err != nil || len(seen) != 0 || tally.All != len(page) || tally.ByOwner["stf_ann"] != 4 || tally.ByOwner[""] != 3 || tally.BySort["linkedin"] != 1 || tally.BySort["executive"] != 1 {
			c.Errorf("%+v, lost %v, %v", tally, seen, err)
		}
		for field, h := range map[string]desk.Heard{"route": {Route: "fax", Words: "x"}, "words": {Route: "phone"}, "ticket": {Route: "ticket", Words: "x"}, "email": {Route: "phone", Words: "x", Email: "no"}} {
			_, err := c.Escalate(ctx, "stf_eve", h)
			var bad *fault.Error
			if !errors.As(err, &bad) || bad.Kind != fault.Invalid || len(bad.Fields) != 1 || bad.Fields[0].Field != field {
				c.Errorf("%s: %v", field, err)
			}
		}
	})
}

// A call is booked on a ticket, told to the customer in her language and zone, reminded of, moved, and ends with notes that stay under the account.
func TestACallIsBookedAndItsNotesStayUnderTheAccount(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		c.Comms.Policy.Ladders[comms.Soon] = comms.Ladder{{To: []comms.Direct{{Channel: comms.ChannelEmail, Address: "lead@vendor.example", Locale: "en"}}}}
		filed := c.filedBy("A-1", "ann@acme.example", desk.Intake{Locale: "ja"})
		if _, err := c.Answer(ctx, "stf_eve", filed.Number, "We are looking into it now.", false); err != nil {
			c.Fatal(err)
		}
		b := desk.Booking{Ticket: filed.Number, At: c.DB.Now().Add(2 * time.Hour), Zone: "Asia/Tokyo", Owner: "stf_eve"}
		for field, wrong := range map[string]desk.Booking{"zone": {Ticket: b.Ticket, At: b.At, Zone: "Mars"}, "at": {Ticket: b.Ticket, At: c.DB.Now(), Zone: "UTC"}} {
			if _, err := c.BookCall(ctx, "stf_eve", wrong); fault.Of(err) != fault.Invalid {
				c.Errorf("%s: %v", field, err)
			}
		}
		first, err := c.BookCall(ctx, "stf_eve", b)
		if err != nil || !first.Value.Due.Equal(b.At) || first.Value.Account == "" || first.Value.Owner != "stf_eve" {
			c.Fatalf("%+v %v", first, err)
		}
		v, err := c.Ticket(ctx, filed.Number)
		if last := v.Messages[len(v.Messages)-1]; err != nil || last.From != "system" || !strings.Contains(last.Text, "2022-04-05 18:46") || !strings.Contains(last.Text, "お電話") {
			c.Errorf("%+v %v", last, err)
		}
		b.At = b.At.Add(time.Hour)
		moved, err := c.BookCall(ctx, "stf_eve", b)
		if err != nil || moved.ID == first.ID {
			c.Fatalf("%+v %v", moved, err)
		}
		calls, _, err := c.Calls(ctx, "", "", 0)
		if err != nil || len(calls) != 1 || calls[0].ID != moved.ID {
			c.Fatalf("%+v %v", calls, err)
		}
		if n := c.fire(2*time.Hour + 44*time.Minute); n != 0 {
			c.Errorf("%d rungs were told before the reminder", n)
		}
		if n := c.fire(2 * time.Minute); n != 1 {
			c.Errorf("%d rungs were told as a reminder", n)
		}
		if err := c.Talked(ctx, "stf_eve", moved.ID, 0, " "); fault.Of(err) != fault.Invalid {
			c.Errorf("without notes: %v", err)
		}
		if err := c.Talked(ctx, "stf_eve", moved.ID, 0, "She needs the wiki before Friday."); err != nil {
			c.Fatal(err)
		}
		if err := c.Talked(ctx, "stf_eve", moved.ID, 0, "again"); fault.Of(err) != fault.Conflict {
			c.Errorf("a call that is over: %v", err)
		}
		w, err := c.WorkOf(ctx, v.Ticket.Account, "")
		if err != nil || len(w.Tickets) != 1 || len(w.Calls) != 2 || len(w.Notes[v.ID]) != 1 || w.Notes[v.ID][0].Text != "She needs the wiki before Friday." {
			c.Errorf("%+v %v", w, err)
		}
	})
}

// Signals are counted before anybody has said anything, wait for nobody, and are shown on no list of what waits.
func TestSignalsAreCounted(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		began := c.DB.Now()
		for range 5 {
			if _, err := c.LogSignal(ctx, "stf_eve", desk.Signal{Words: "is Vendor down for anyone else?", Link: "https://social.example/1"}); err != nil {
				c.Fatal(err)
			}
		}
		if _, err := c.LogSignal(ctx, "stf_eve", desk.Signal{}); fault.Of(err) != fault.Invalid {
			c.Errorf("nothing said: %v", err)
		}
		if n, err := c.Signals(ctx, began, time.Time{}); err != nil || n != 5 {
			c.Errorf("%d %v", n, err)
		}
		if n, err := c.Signals(ctx, began.Add(time.Second), time.Time{}); err != nil || n != 0 {
			c.Errorf("%d later, %v", n, err)
		}
		b, err := c.Dashboard(ctx, desk.General)
		if err != nil || b.Waiting != 0 || c.firstAnswers() != 0 || len(c.bursts()) != 0 {
			c.Errorf("somebody waits: %+v %v", b, err)
		}
	})
}

// The dashboard counts what is in the queue, with a site or without.
func TestTheDashboardOfAnIncident(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		c.town(3)
		incident := c.declare()
		first := c.filedBy("B-0000", "a@x.example", desk.Intake{Impact: desk.LostAccess})
		c.passed.Add(int64(10 * time.Minute))
		second := c.file(desk.Intake{Message: "助けて", Email: "b@x.example", Locale: "ja"})
		c.affect(incident, "T-0000", "T-0001", "T-0002")
		if err := c.FollowSites(ctx); err != nil {
			c.Fatal(err)
		}
		c.passed.Add(int64(20 * time.Minute))
		if _, err := c.Answer(ctx, "stf_eve", first.Number, "Your site is on the list that we restore first.", false); err != nil {
			c.Fatal(err)
		}
		c.passed.Add(int64(40 * time.Minute))
		b, err := c.Dashboard(ctx, incident)
		if err != nil {
			c.Fatal(err)
		}
		if b.Tickets != 4 || b.Sites != 3 || b.Made != 2 || b.NoSite != 1 || b.Waiting != 1 || b.Overdue != 1 || b.Unassigned != 1 || b.OldestNo != second.Number ||
			b.ByState[desk.Waiting] != 3 || b.ByState[desk.New] != 1 || b.ByLocale["ja"] != 2 || b.ByPriority["P0"] != 4 || b.Answered != 1 || b.InTime != 1 || b.Median != 1800 {
			c.Errorf("%+v", b)
		}
		filed, answered := 0, 0
		for _, h := range b.Hours {
			filed, answered = filed+h.Filed, answered+h.Answered
		}
		if len(b.Hours) != 24 || filed != 2 || answered != 1 {
			c.Errorf("%d filed and %d answered: %+v", filed, answered, b.Hours)
		}
		if _, err := c.Dashboard(ctx, "nosuchincident"); fault.Of(err) != fault.NotFound {
			c.Errorf("%v", err)
		}
	})
}
