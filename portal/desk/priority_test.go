package desk_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/limit"
	"lifeline/store/storetest"
	"lifeline/templates"
)

// counter is the desk on a real store, with a clock that the test turns and Acme in the book.
type counter struct {
	*testing.T
	*desk.Desk
	passed *atomic.Int64
}

func counters(t *testing.T, story func(c counter)) {
	t.Helper()
	behind(t, storetest.Each, story)
}

// onBolt is for what no engine makes different.
func onBolt(t *testing.T, story func(c counter)) {
	t.Helper()
	behind(t, func(t *testing.T, kinds []store.Kind, fn func(*testing.T, *store.DB), opts ...storetest.Option) {
		fn(t, storetest.Open(t, kinds, opts...))
	}, story)
}

// behind opens a counter on each store that there is to be.
func behind(t *testing.T, each func(*testing.T, []store.Kind, func(*testing.T, *store.DB), ...storetest.Option), story func(c counter)) {
	t.Helper()
	words, err := templates.Load("")
	if err != nil {
		t.Fatal(err)
	}
	passed := &atomic.Int64{}
	clock := func() time.Time {
		return time.Date(2022, 4, 5, 7, 46, 0, 0, time.UTC).Add(time.Duration(passed.Load()))
	}
	var kinds []store.Kind
	for _, some := range [][]store.Kind{contacts.Kinds(), comms.Kinds(), desk.Kinds(), limit.Kinds(), blob.Kinds()} {
		kinds = append(kinds, some...)
	}
	each(t, kinds, func(t *testing.T, db *store.DB) {
		passed.Store(0)
		log := slog.New(slog.DiscardHandler)
		book := &contacts.Book{DB: db, Policy: contacts.DefaultPolicy(), Log: log}
		policy := comms.DefaultPolicy()
		policy.Ladders["first_answer"] = comms.Ladder{{After: 0, To: []comms.Direct{{Channel: comms.ChannelEmail, Address: "lead@vendor.example", Locale: "en"}}}}
		room := &comms.Room{DB: db, Book: book, Words: words, Policy: policy, Vendor: templates.Vendor{Name: "Vendor", URL: "https://status.vendor.example"}, Log: log}
		c := counter{T: t, Desk: &desk.Desk{DB: db, Book: book, Comms: room, Policy: desk.DefaultPolicy(), Log: log}, passed: passed}
		room.Follow = c.FollowMove
		report, err := book.Import(context.Background(), "stf_test", strings.NewReader(
			"account,account_id,site,site_id,site_url,name,role,email\nAcme,A-1,Wiki,S-1,https://wiki.acme.example,Ann,owner,ann@acme.example\n"), contacts.ImportOptions{Source: "product"})
		if err != nil || report.RejectedRows > 0 {
			t.Fatalf("%+v %v", report, err)
		}
		story(c)
	}, storetest.Clock(clock))
}

func (c counter) file(in desk.Intake) desk.Ticket {
	c.Helper()
	r, err := c.File(context.Background(), "public:web", in)
	if err != nil {
		c.Fatal(err)
	}
	return c.ticket(r.Number)
}

func (c counter) ticket(number string) desk.Ticket {
	c.Helper()
	v, err := c.Ticket(context.Background(), number)
	if err != nil {
		c.Fatal(err)
	}
	return v.Ticket
}

// fire says how many rungs are told once so much more time has passed.
func (c counter) fire(after time.Duration) int {
	c.Helper()
	c.passed.Add(int64(after))
	n, err := c.Comms.FireDeadlines(context.Background(), c.DB.Now())
	if err != nil {
		c.Fatal(err)
	}
	return n
}

// firstAnswers is the open promises of a first answer.
func (c counter) firstAnswers() (open int) {
	c.Helper()
	all, _, err := c.Tickets(context.Background(), desk.Filter{})
	for _, rec := range all {
		due, failed := c.Comms.Promises(context.Background(), rec.ID)
		err = cmp.Or(err, failed)
		open += len(slices.DeleteFunc(due, func(d comms.Due) bool { return d.What != desk.FirstAnswer }))
	}
	if err != nil {
		c.Fatal(err)
	}
	return open
}

// Nothing that the product holds, once held, or never had decides where a ticket waits and how soon it is answered.
func TestNothingOfTheProductDecidesHowSoonSomebodyIsHelped(t *testing.T) {
	counters(t, func(c counter) {
		ctx := context.Background()
		in, err := c.Comms.Declare(ctx, "stf_ann", comms.Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."})
		if err != nil {
			c.Fatal(err)
		}
		known := desk.Intake{Message: "our wiki is gone", Email: "ann@acme.example", SiteURL: "https://wiki.acme.example", Company: "Acme", Impact: desk.LostAccess}
		before := c.file(known)
		same := func(what string, t desk.Ticket) {
			c.Helper()
			if t.Queue() != in.ID || t.Priority != "P0" || t.State != before.State || t.AnswerBy.Sub(t.FiledAt) != 45*time.Minute {
				c.Errorf("%s: queue %s, %s, answer by %s: %+v", what, t.Queue(), t.Priority, t.AnswerBy, t)
			}
		}
		same("with a living site", before)

		if _, err := c.Book.ProductEvent(ctx, "tok_product", contacts.Event{Type: contacts.SiteDeleted, SiteIDs: []string{"S-1"}}); err != nil {
			c.Fatal(err)
		}
		same("after the site was deleted", c.ticket(before.Number))
		same("with the address of a deleted site", c.file(known))

		// And now no product id of the customer is left anywhere in the book.
		err = c.DB.Update(ctx, store.Act{By: "stf_test", Verb: "test.strip"}, func(tx *store.Tx) error {
			for _, kind := range []string{"alias", "site"} {
				var ids []string
				for raw, err := range tx.Stored(kind) {
					if err != nil {
						return err
					}
					ids = append(ids, raw.ID)
				}
				for _, id := range ids {
					if err := tx.RemoveStored(kind, id); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			c.Fatal(err)
		}
		if found, err := c.Book.Search(ctx, "S-1", 10); err != nil || len(found.Hits) > 0 {
			c.Fatalf("the product's id is still there: %+v %v", found, err)
		}
		same("without any product id", c.ticket(before.Number))
		same("filed without any product id", c.file(known))
		same("from somebody whom nobody knows", c.file(desk.Intake{Message: "everything is gone", Phone: "+12025550101", Impact: desk.LostAccess}))
		queue, _, err := c.Tickets(ctx, desk.Filter{Queue: in.ID, State: desk.New})
		if err != nil || len(queue) != 4 {
			c.Errorf("%d tickets wait in the incident's queue, %v", len(queue), err)
		}
		if n, err := c.CountTickets(ctx, desk.Filter{Queue: in.ID, State: desk.New}); err != nil || n != 4 {
			c.Errorf("%d of them are counted, %v", n, err)
		}
	})
}

// The first human answer runs against a clock: in time it is kept, late it is told to the lead.
func TestALateFirstAnswerIsEscalated(t *testing.T) {
	counters(t, func(c counter) {
		ctx := context.Background()
		gone := desk.Intake{Message: "gone", Email: "ann@acme.example", Impact: desk.LostAccess}
		answered, late := c.file(gone), c.file(gone)
		if c.firstAnswers() != 2 || !late.AnswerBy.Equal(late.FiledAt.Add(45*time.Minute)) {
			c.Errorf("%d answers are due; %+v", c.firstAnswers(), late)
		}
		if n := c.fire(45*time.Minute - time.Second); n != 0 {
			c.Errorf("%d rungs told before the time", n)
		}
		if _, err := c.Answer(ctx, "stf_eve", answered.Number, "we are on it", false); err != nil {
			c.Fatal(err)
		}
		if got := c.ticket(answered.Number); got.AnswerAt.After(got.AnswerBy) || got.AnswerAt.IsZero() {
			c.Errorf("in time: %+v", got)
		}
		if n := c.fire(time.Second); n != 1 || c.firstAnswers() != 1 {
			c.Errorf("%d rungs told, %d answers still due", n, c.firstAnswers())
		}
		if n := c.fire(time.Hour); n != 0 {
			c.Errorf("%d rungs told again", n)
		}
		// Of the month's two promises one was kept; what is not due yet counts for nothing.
		report, err := c.Comms.KeptReport(ctx, time.Time{}, time.Time{}, nil)
		if err != nil || len(report.Months) != 1 || len(report.Years) != 1 {
			c.Fatalf("%+v %v", report, err)
		}
		month, want := report.Months[0], comms.Punctual{Kept: 1, Late: 1, Percent: "50.0"}
		if _, others := month.By[desk.NextAnswer]; month.Span != late.AnswerBy.Format("2006-01") || month.By[desk.FirstAnswer] != want || report.Years[0].By[desk.FirstAnswer] != want || others {
			c.Errorf("%+v", report)
		}
		// By month and year, whatever lies between; of a drill nothing counts.
		drill, err := c.Comms.Declare(ctx, "stf_ann", comms.Declare{Title: "Drill", Severity: "P0", Category: "data", Impact: "none", Drill: true})
		if err != nil {
			c.Fatal(err)
		}
		begin := late.AnswerBy.UTC()
		for _, p := range []comms.Deadline{
			{What: "review", Of: "r1", Due: begin.AddDate(-2, 0, 0)}, {What: "review", Of: "r2", Due: begin.AddDate(-2, 0, 0).Add(time.Second)}, {What: "review", Of: "r3", Due: begin.AddDate(-1, 0, 0)},
			{What: "review.late", Of: "r4", Due: begin.AddDate(-1, 0, 0)}, {What: "review", Of: "r5", Incident: drill.ID, Due: begin.AddDate(-1, 0, 0)}, {What: "review", Of: "r6", Due: begin.AddDate(1, 0, 0)},
		} {
			if err := c.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error { return c.Comms.Promise(tx, p) }); err != nil {
				c.Fatal(err)
			}
		}
		var got []string
		report, err = c.Comms.KeptReport(ctx, begin.AddDate(-2, 0, 0).Add(time.Second), begin.AddDate(-1, 1, 0), nil)
		for _, span := range append(report.Months, report.Years...) {
			for _, what := range slices.Sorted(maps.Keys(span.By)) {
				got = append(got, fmt.Sprintf("%s %s %d/%d", span.Span, what, span.By[what].Kept, span.By[what].Late))
			}
		}
		first, second := begin.AddDate(-2, 0, 0), begin.AddDate(-1, 0, 0)
		if want := []string{first.Format("2006-01") + " review 0/1", second.Format("2006-01") + " review 0/1", second.Format("2006-01") + " review.late 0/1",
			first.Format("2006") + " review 0/1", second.Format("2006") + " review 0/1", second.Format("2006") + " review.late 0/1"}; err != nil || !slices.Equal(got, want) {
			c.Errorf("%q %v", got, err)
		}
		if later, err := c.Comms.KeptReport(ctx, c.DB.Now(), time.Time{}, nil); err != nil || len(later.Months) != 0 {
			c.Errorf("%+v %v", later, err)
		}
		if a, err := c.Answered(ctx, time.Time{}, time.Time{}, nil); err != nil || a.Answered != 1 || a.Percent != "100.0" || a.Median != (45*time.Minute-time.Second).Seconds() {
			c.Errorf("%+v %v", a, err)
		}
	})
}
