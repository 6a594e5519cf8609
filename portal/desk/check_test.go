package desk_test

import (
	"context"
	"fmt"
	"slices"
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

// ward is a town whose sites an incident took, and who brings them back.
type ward struct {
	counter
	incident string
}

func (c counter) ward(n int, more ...string) ward {
	c.Helper()
	c.town(n, more...)
	c.Chance = func() float64 { return 1 }
	c.Desk.Signing = desk.Signing{Sign: func(purpose, subject string) string { return subject }, Read: func(purpose, token string) (string, bool) { return token, true }}
	w := ward{c, c.declare()}
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprintf("T-%04d", i))
	}
	c.affect(w.incident, ids...)
	return w
}

// move moves sites as a program does that rebuilds them.
func (w ward) move(lines ...string) comms.MoveReport {
	w.Helper()
	report, err := w.Comms.MoveSites(context.Background(), comms.Mover{By: "tok_robot"}, w.incident, strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		w.Fatal(err)
	}
	return report
}

func rebuilt(batch string, sites ...int) (lines []string) {
	for _, i := range sites {
		lines = append(lines, fmt.Sprintf(`{"site_id":"T-%04d","state":"rebuilt","batch":%q,"by":"Rob Builder"}`, i, batch))
	}
	return lines
}

func checker(name string) desk.Checker { return desk.Checker{ID: "stf_" + name, Name: name} }

// claim is one check for somebody; its id is "" when there is none for her.
func (w ward) claim(name string, q desk.Claim) (id string, c desk.Check) {
	w.Helper()
	got, err := w.ClaimChecks(context.Background(), checker(name), q)
	if err != nil {
		w.Fatal(err)
	}
	if len(got) == 0 {
		return "", c
	}
	return got[0].ID, got[0].Value
}

// whole is every item of the list that ships, done.
func whole() map[string]comms.Result {
	done := func(value string) comms.Result { return comms.Result{State: comms.ItemDone, Value: value} }
	return map[string]comms.Result{"opens": done(""), "admin": done("signed in as owner"), "newest": done("07:31"), "files": done("3"), "apps": done(""), "people": done("")}
}

func (w ward) submit(name, id string, epoch int64, s desk.Submission) desk.Check {
	w.Helper()
	s.Epoch = epoch
	rec, err := w.Submit(context.Background(), checker(name), id, s)
	if err != nil {
		w.Fatal(err)
	}
	return rec.Value
}

func passed() desk.Submission {
	return desk.Submission{Verdict: desk.VerdictPassed, Written: desk.Written{Results: whole()}}
}

// site is where a site stands in the ledger, and its check.
func (w ward) site(id string) (comms.Row, desk.Check) {
	w.Helper()
	o, err := w.Check(context.Background(), id)
	if err != nil {
		w.Fatal(err)
	}
	all, _, err := w.Comms.Sites(context.Background(), w.incident, comms.SiteQuery{Limit: 200})
	if err != nil {
		w.Fatal(err)
	}
	i := slices.IndexFunc(all, func(r store.Rec[comms.Row]) bool { return r.Value.Site == o.Value.Site })
	return all[i].Value, o.Value
}

func (c counter) refused(err error, kind fault.Kind, words ...string) {
	c.Helper()
	if fault.Of(err) != kind {
		c.Errorf("%v, want %s", err, kind)
	}
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			c.Errorf("%v does not say %q", err, word)
		}
	}
}

func (c counter) pass(d time.Duration) { c.passed.Add(int64(d)) }

// A site that the ledger calls rebuilt is checked by two people since it is one of the first of its batch, and neither of them rebuilt it; only then does the
// ledger say that it passed, and its customer hears of it and hands it back.
func TestARebuiltSiteIsCheckedBeforeItsCustomerHearsOfIt(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		w := c.ward(2)
		w.move(rebuilt("1", 0)...)
		if id, _ := w.claim("Rob Builder", desk.Claim{}); id != "" {
			c.Error("who rebuilt it may check it")
		}
		id, ch := w.claim("ann", desk.Claim{})
		if row, _ := w.site(id); row.State != comms.Verifying || ch.State != desk.CheckLeased || ch.Until.Sub(ch.LeasedAt) != 20*time.Minute {
			c.Fatalf("%+v %+v", row, ch)
		}
		_, err := w.Submit(ctx, checker("ann"), id, desk.Submission{Verdict: desk.VerdictPassed, Written: desk.Written{Epoch: ch.Epoch}})
		c.refused(err, fault.Invalid, "results.opens", "results.people")
		half := whole()
		delete(half, "people")
		half["admin"] = comms.Result{State: comms.ItemDone} // without what it asks to be written down
		_, err = w.Submit(ctx, checker("ann"), id, desk.Submission{Verdict: desk.VerdictPassed, Written: desk.Written{Epoch: ch.Epoch, Results: half}})
		c.refused(err, fault.Invalid, "results.admin", "results.people")
		bad := whole()
		bad["people"] = comms.Result{State: comms.ItemFailed, Why: "groups are gone"}
		_, err = w.Submit(ctx, checker("ann"), id, desk.Submission{Verdict: desk.VerdictPassed, Written: desk.Written{Epoch: ch.Epoch, Results: bad}})
		c.refused(err, fault.Invalid, "results.people")
		if got := w.submit("ann", id, ch.Epoch, passed()); got.State != desk.CheckSecondQueued || got.Why != string(desk.SecondEarly) {
			c.Fatalf("%+v", got)
		}
		if row, _ := w.site(id); row.State != comms.Verifying {
			c.Errorf("after one pair of eyes the ledger says %s", row.State)
		}
		if again, _ := w.claim("ann", desk.Claim{}); again != "" {
			c.Error("the first looks a second time")
		}
		c.pass(time.Minute)
		second, ch := w.claim("bob", desk.Claim{})
		if second != id || ch.Pass != 2 {
			c.Fatalf("%s %+v", second, ch)
		}
		w.submit("bob", id, ch.Epoch, passed())
		row, ch := w.site(id)
		if row.State != comms.Passed || ch.State != desk.CheckPassed || !slices.Equal(ch.PassedBy, []string{"stf_ann", "stf_bob"}) {
			c.Fatalf("%+v %+v", row, ch)
		}
		if f, err := w.Comms.Ledger(ctx, w.incident); err != nil || f.Sites.Checked != 1 || f.Sites.Restored != 0 {
			c.Errorf("%+v %v", f, err)
		}
		back, err := w.BackBy(ctx, id+".1")
		if err != nil || !back.Open || back.Site != "Site 0000" {
			c.Fatalf("%+v %v", back, err)
		}
		if err := w.AnswerBack(ctx, "public:back", id, desk.Accepted, ""); err != nil {
			c.Fatal(err)
		}
		if row, _ := w.site(id); row.State != comms.HandedBack {
			c.Errorf("%+v", row)
		}
		c.pass(29 * 24 * time.Hour)
		c.refused(w.AnswerBack(ctx, "public:back", id, desk.Rejected, " "), fault.Invalid, "words")
		if err := w.AnswerBack(ctx, "public:back", id, desk.Rejected, "The pages of March are missing."); err != nil {
			c.Fatal(err)
		}
		row, ch = w.site(id)
		if row.State != comms.FailedSite || ch.State != desk.CheckFailed || ch.Answer != desk.Rejected {
			c.Errorf("%+v %+v", row, ch)
		}
		said := false
		tickets, _, _ := c.all(w.incident)
		for number := range tickets {
			v, err := c.Ticket(ctx, number)
			if err != nil {
				c.Fatal(err)
			}
			for _, m := range v.Messages {
				said = said || strings.Contains(m.Text, "The pages of March are missing.") && v.Ticket.State == desk.New || v.Ticket.State == desk.Asked
			}
		}
		if !said {
			c.Error("her words are in no ticket that waits for an answer")
		}
		w.move(rebuilt("1", 0)...)
		if _, ch = w.site(id); ch.Attempt != 2 || ch.State != desk.CheckQueued || ch.Answer != "" {
			c.Errorf("%+v", ch)
		}
		if _, err := w.BackBy(ctx, id+".1"); fault.Of(err) != fault.NotFound {
			c.Errorf("the link of the first attempt: %v", err)
		}
	})
}

// What somebody sends under a lease that is no longer hers changes nothing and is not lost: it lies beside the check as a draft.
func TestALeaseThatIsOverChangesNothingAndLosesNothing(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		w := c.ward(4)
		w.move(rebuilt("1", 0, 1, 2, 3)...)
		got, err := w.ClaimChecks(ctx, checker("ann"), desk.Claim{Most: 9})
		if err != nil || len(got) != 2 {
			c.Fatalf("%d checks, %v", len(got), err)
		}
		_, err = w.ClaimChecks(ctx, checker("ann"), desk.Claim{})
		c.refused(err, fault.Conflict, "2 checks")
		id, epoch := got[0].ID, got[0].Value.Epoch
		notes := "seen so far"
		for range 3 { // she is there all the time
			c.pass(15 * time.Minute)
			if _, err := w.Beat(ctx, checker("ann"), id, desk.Written{Epoch: epoch, Results: map[string]comms.Result{"opens": {State: comms.ItemDone}}, Notes: &notes}); err != nil {
				c.Fatal(err)
			}
		}
		c.pass(21 * time.Minute)
		late := "what I found at the end"
		_, err = w.Submit(ctx, checker("ann"), id, desk.Submission{Verdict: desk.VerdictPassed, Written: desk.Written{Epoch: epoch, Results: whole(), Notes: &late}})
		c.refused(err, fault.Fenced, "ended at")
		if err := w.SweepChecks(ctx); err != nil {
			c.Fatal(err)
		}
		o, err := w.Check(ctx, id)
		if err != nil || o.Value.State != desk.CheckQueued || o.Value.Returned != 1 || o.Run.Notes != notes || o.Run.Results["opens"].State != comms.ItemDone {
			c.Fatalf("%+v %+v %v", o.Value, o.Run, err)
		}
		if len(o.Drafts) != 1 || o.Drafts[0].Value.Notes != late || o.Drafts[0].Value.Results["files"].Value != "3" {
			c.Errorf("%+v", o.Drafts)
		}
		next, ch := w.claim("bob", desk.Claim{})
		if next != id || ch.Epoch <= epoch || ch.Run == "" {
			c.Fatalf("the oldest comes first, with its partial results: %s %+v", next, ch)
		}
		rec, err := w.HandOver(ctx, checker("bob"), id, "stf_cat", desk.Written{Epoch: ch.Epoch})
		if err != nil || rec.Value.Holder != "stf_cat" || rec.Value.Epoch != ch.Epoch+1 {
			c.Fatalf("%+v %v", rec.Value, err)
		}
		_, err = w.Beat(ctx, checker("bob"), id, desk.Written{Epoch: ch.Epoch})
		c.refused(err, fault.Fenced, "somebody else")
		_, err = w.Beat(ctx, checker("cat"), id, desk.Written{Epoch: ch.Epoch})
		c.refused(err, fault.Fenced, "its epoch is")
		if rec, err = w.Return(ctx, checker("cat"), id, desk.Written{Epoch: rec.Value.Epoch}); err != nil || rec.Value.State != desk.CheckQueued {
			c.Errorf("%+v %v", rec.Value, err)
		}
		// Twenty minutes from the last word, and two hours in all.
		_, ch = w.claim("dan", desk.Claim{})
		for i := 0; ; i++ {
			c.pass(10 * time.Minute)
			if _, err := w.Beat(ctx, checker("dan"), id, desk.Written{Epoch: ch.Epoch}); err != nil {
				c.refused(err, fault.Fenced)
				if i != 11 {
					c.Errorf("the lease went on for %d times 10 minutes", i+1)
				}
				break
			}
		}
	})
}

// What blocks one site holds up nobody else: it waits with an owner until its time, a failed one goes back to be rebuilt, and a lead may let one go that nobody came to look at twice.
func TestASiteThatIsBlockedOrFailedHoldsNobodyUp(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		w := c.ward(4)
		w.move(rebuilt("1", 0, 1, 2, 3)...)
		lead, standIn := "stf_lea", "stf_leo"
		if _, err := w.Comms.NameBatch(ctx, "stf_ann", w.incident, "1", 0, comms.BatchForm{Lead: &lead, StandIn: &standIn}); err != nil {
			c.Fatal(err)
		}
		blocked, ch := w.claim("ann", desk.Claim{})
		_, err := w.Submit(ctx, checker("ann"), blocked, desk.Submission{Verdict: desk.VerdictBlocked, Written: desk.Written{Epoch: ch.Epoch}})
		c.refused(err, fault.Invalid, "reason", "owner", "wake")
		wake := c.DB.Now().Add(3 * time.Hour)
		w.submit("ann", blocked, ch.Epoch, desk.Submission{Verdict: desk.VerdictBlocked, Reason: "its key is with another team", Owner: "stf_kim", Wake: &wake})
		tasks, _, err := w.Comms.Tasks(ctx, comms.TaskQuery{Owner: "stf_kim", State: comms.Open})
		if err != nil || len(tasks) != 1 || !tasks[0].Value.Due.Equal(wake) {
			c.Fatalf("%+v %v", tasks, err)
		}
		failed, ch := w.claim("ann", desk.Claim{})
		_, err = w.Submit(ctx, checker("ann"), failed, desk.Submission{Verdict: desk.VerdictFailed, Code: "bad mood", Written: desk.Written{Epoch: ch.Epoch, Results: whole()}})
		c.refused(err, fault.Invalid, "code")
		w.submit("ann", failed, ch.Epoch, desk.Submission{Verdict: desk.VerdictFailed, Code: "data_missing", Reason: "no pages", Written: desk.Written{Results: whole()}})
		if row, _ := w.site(failed); row.State != comms.FailedSite || !strings.Contains(row.Note, "no pages") {
			c.Errorf("%+v", row)
		}
		third, ch := w.claim("ann", desk.Claim{})
		w.submit("ann", third, ch.Epoch, passed())
		fourth, ch := w.claim("ann", desk.Claim{})
		if got := w.submit("ann", fourth, ch.Epoch, passed()); got.State != desk.CheckPassed || got.Why != "" {
			c.Fatalf("the fourth of a batch takes one pair of eyes: %+v", got)
		}
		_, err = w.ReleaseOne(ctx, lead, third, "nobody came")
		c.refused(err, fault.Conflict, "may still come")
		c.pass(time.Hour)
		_, err = w.ReleaseOne(ctx, "stf_bob", third, "nobody came")
		c.refused(err, fault.Forbidden)
		if rec, err := w.ReleaseOne(ctx, lead, third, "nobody came"); err != nil || !rec.Value.One || rec.Value.State != desk.CheckPassed {
			c.Fatalf("%+v %v", rec.Value, err)
		}
		_, err = w.Comms.CloseBatch(ctx, lead, w.incident, "1")
		c.refused(err, fault.Conflict, "2 have not")
		c.pass(2 * time.Hour)
		if err := w.SweepChecks(ctx); err != nil {
			c.Fatal(err)
		}
		if _, ch := w.site(blocked); ch.State != desk.CheckQueued {
			c.Errorf("it did not wake: %+v", ch)
		}
		if tasks, _, _ := w.Comms.Tasks(ctx, comms.TaskQuery{Owner: "stf_kim", State: comms.Open}); len(tasks) != 0 {
			c.Errorf("%+v", tasks)
		}
		for i, id := range []string{blocked, failed} {
			_, ch := w.site(id)
			for j, by := range []string{lead, standIn} {
				x, err := w.Comms.Except(ctx, by, w.incident, "1", ch.Site, "the customer has left")
				if err != nil || len(x.By) != j+1 {
					c.Fatalf("%d %+v %v", i, x, err)
				}
			}
			_, err := w.Comms.Except(ctx, lead, w.incident, "1", ch.Site, "the customer has left")
			c.refused(err, fault.Conflict, "already")
		}
		if rec, err := w.Comms.CloseBatch(ctx, lead, w.incident, "1"); err != nil || rec.Value.ClosedAt == nil {
			c.Errorf("%+v %v", rec.Value, err)
		}
		w.move(rebuilt("1", 1)...)
		if _, ch := w.site(failed); ch.Attempt != 2 || ch.State != desk.CheckQueued {
			c.Errorf("%+v", ch)
		}
		f, err := w.CheckFigures(ctx, w.incident)
		if err != nil || f.Waiting != 2 || f.FirstYield != "66.7" || f.OneCheck != 1 || len(f.Items) != 6 || f.Items[0].N != 3 || f.ETA == nil {
			c.Errorf("%+v %v", f, err)
		}
		came, passed := 0, 0
		for _, h := range f.Hours {
			came, passed = came+h.Rebuilt, passed+h.Passed
		}
		if len(f.Hours) != 24 || came == 0 || passed != f.ByState[desk.CheckPassed] || !f.Hours[23].From.Equal(f.AsOf.Truncate(time.Hour)) {
			c.Errorf("%d sites came and %d passed in %+v", came, passed, f.Hours)
		}
	})
}

// Sites are claimed by wave, then tier, then age, of what the claimer can do. A site for which nobody named a tier has its customer's.
func TestChecksAreClaimedInTheirOrder(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		w := c.ward(6)
		report, err := c.Book.Import(ctx, "stf_test", strings.NewReader("account_id,site_id,tier,region,products\nB-0001,T-0001,,eu,wiki\nB-0002,T-0002,,eu,wiki\nB-0003,T-0003,1,eu,wiki\nB-0004,T-0004,,us,wiki\nB-0005,T-0005,,us,desk\nB-0002,,0,,\nB-0003,,3,,\n"),
			contacts.ImportOptions{Source: "billing", Format: contacts.FormatCSV})
		if err != nil || report.RejectedRows > 0 {
			c.Fatalf("%+v %v", report, err)
		}
		w.move(rebuilt("first", 0)...)
		w.move(rebuilt("second", 1, 2, 3, 4, 5)...)
		_, us := w.claim("us", desk.Claim{Regions: []string{"us"}, Skills: []string{"desk"}, Languages: []string{"ja"}})
		if us.Region != "us" || !slices.Equal(us.Skills, []string{"desk"}) {
			c.Errorf("%+v", us)
		}
		var order []string
		for _, who := range []string{"a", "b", "c", "d"} {
			id, _ := w.claim(who, desk.Claim{Languages: []string{"en", "ja"}})
			o, err := w.Check(ctx, id)
			if err != nil {
				c.Fatal(err)
			}
			order = append(order, o.Site)
		}
		if want := []string{"Site 0000", "Site 0002", "Site 0003", "Site 0001"}; !slices.Equal(order, want) {
			c.Errorf("%v, want %v", order, want)
		}
	})
}

// However many ask at once, each check has one holder, and each holder no more than two; on both engines.
func TestNoCheckHasTwoHolders(t *testing.T) {
	counters(t, func(c counter) {
		const sites = 40
		people := 24
		if strings.HasSuffix(c.Name(), "bolt") { // as many as there were engineers; on a database they would wait for each other for a minute
			people = 450
		}
		w := c.ward(sites)
		var lines []string
		for i := range sites {
			lines = append(lines, rebuilt("1", i)...)
		}
		w.move(lines...)
		var mu sync.Mutex
		holders := map[string]string{}
		var all sync.WaitGroup
		for i := range people {
			all.Go(func() {
				for range 3 {
					got, err := w.ClaimChecks(context.Background(), checker(fmt.Sprint(i)), desk.Claim{Most: 1})
					if err != nil && fault.Of(err) != fault.Conflict {
						c.Errorf("%v", err)
					}
					mu.Lock()
					for _, rec := range got {
						if was := holders[rec.ID]; was != "" {
							c.Errorf("%s is held by %s and %s", rec.ID, was, rec.Value.Holder)
						}
						holders[rec.ID] = rec.Value.Holder
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if len(holders) != sites {
			c.Errorf("%d of %d checks were claimed", len(holders), sites)
		}
		counts := map[string]int{}
		for _, who := range holders {
			if counts[who]++; counts[who] > 2 {
				c.Errorf("%s holds %d", who, counts[who])
			}
		}
	})
}

// When sites come faster than they pass and the oldest waits for long, somebody is told how many and how long, once, and it is over when checks keep up.
func TestChecksThatHoldTheRecoveryUpAreSaid(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		w := c.ward(6)
		w.move(rebuilt("1", 0, 1, 2, 3, 4)...)
		tend := func() (owed []store.Rec[comms.Task]) {
			c.Helper()
			if err := w.TendChecks(ctx); err != nil {
				c.Fatal(err)
			}
			all, _, err := w.Comms.Tasks(ctx, comms.TaskQuery{State: comms.Open, Incident: w.incident})
			if err != nil {
				c.Fatal(err)
			}
			return slices.DeleteFunc(all, func(rec store.Rec[comms.Task]) bool { return rec.Value.What != "check.bottleneck" })
		}
		if got := tend(); len(got) != 0 {
			c.Errorf("%+v", got)
		}
		c.pass(90 * time.Minute)
		for range 2 {
			got := tend()
			if len(got) != 1 || got[0].Value.Count != 1 || !strings.Contains(got[0].Value.Title, "5 sites wait") || !strings.Contains(got[0].Value.Title, "1h30m") {
				c.Fatalf("%+v", got)
			}
		}
		c.pass(4 * time.Hour) // nothing came in the last hours, so nothing is held up
		if got := tend(); len(got) != 0 {
			c.Errorf("%+v", got)
		}
	})
}
