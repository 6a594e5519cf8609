package desk_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

const explained = "Your site was restored from the backup of 5 April 02:10 UTC; later edits are lost. Open your newest page to see it."

// Two who answer at once: the second is told before her answer goes out, and nobody gets it until she says so.
func TestTwoWhoAnswerAtOnce(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		filed := c.file(desk.Intake{Message: "gone", Email: "ann@acme.example"})
		seen, err := c.Ticket(ctx, filed.Number)
		if err != nil {
			c.Fatal(err)
		}
		if others, _, err := c.Attend(ctx, "stf_eve", filed.Number, false, false); err != nil || len(others) != 0 {
			c.Fatalf("%+v %v", others, err)
		}
		others, version, err := c.Attend(ctx, "stf_bob", filed.Number, true, false)
		if err != nil || len(others) != 1 || others[0].By != "stf_eve" || version != seen.Version {
			c.Fatalf("%+v %d %v", others, version, err)
		}
		say := func(by, words string, version int64) error {
			_, err := c.Say(ctx, desk.Entry{By: by, Number: filed.Number, Version: version, Message: desk.Message{From: "staff", By: by, Text: words}})
			return err
		}
		if err := say("stf_eve", "we are on it", seen.Version); err != nil {
			c.Fatal(err)
		}
		if err := say("stf_bob", "we know nothing yet", seen.Version); fault.Of(err) != fault.Stale {
			c.Fatalf("the second: %v", err)
		}
		if err := say("stf_bob", "Dear {name}", 0); fault.Of(err) != fault.Invalid {
			c.Fatalf("a blank that nobody filled: %v", err)
		}
		if _, err := c.Answer(ctx, "stf_bob", filed.Number, "he writes {name} in his template", true); err != nil {
			c.Fatalf("a note, which is no answer: %v", err)
		}
		if v, err := c.Ticket(ctx, filed.Number); err != nil || len(v.Messages) != 3 {
			c.Fatalf("%+v %v", v.Messages, err)
		}
		if _, _, err := c.Attend(ctx, "stf_eve", filed.Number, false, true); err != nil {
			c.Fatal(err)
		}
		if others, _, err := c.Attend(ctx, "stf_bob", filed.Number, false, false); err != nil || len(others) != 0 {
			c.Fatalf("she left: %+v %v", others, err)
		}
	})
}

// A ticket has an owner, labels and a priority with its reasons, and is found by them, by words and by what is late; counts agree with lists.
func TestTicketsAreHandledListedAndCounted(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		one := c.file(desk.Intake{Message: "gone", Email: "ann@acme.example", Company: "Acme Corp", Impact: desk.LostAccess})
		two := c.file(desk.Intake{Message: "slow", Phone: "+12025550101", Name: "李雷"})
		list := func(choice desk.Choice) (numbers []string) {
			c.Helper()
			page, err := c.List(ctx, choice)
			if err != nil {
				c.Fatal(err)
			}
			for _, rec := range page.Items {
				numbers = append(numbers, rec.Value.Number)
			}
			return numbers
		}
		expect := func(what string, choice desk.Choice, want ...string) {
			c.Helper()
			if got := list(choice); !slices.Equal(got, want) {
				c.Errorf("%s: %q, not %q", what, got, want)
			}
		}
		expect("what is due first", desk.Choice{State: desk.AnyOpen}, one.Number, two.Number)
		for words, number := range map[string]string{"acme": one.Number, "ANN@acme.example": one.Number, "acme.example corp": one.Number, "555 0101": two.Number, "+1 202 555 0101": two.Number,
			strings.ToLower(two.Number): two.Number, "李雷": two.Number} {
			expect(words, desk.Choice{Words: words}, number)
		}
		expect("not both", desk.Choice{Words: "acme 李雷"})
		p0, eve, labels := "P0", "stf_eve", []string{"Night Shift", "db", "db"}
		if _, err := c.Handle(ctx, "stf_eve", two.Number, desk.Handling{Priority: &p0}); fault.Of(err) != fault.Invalid {
			c.Fatalf("without a reason: %v", err)
		}
		v, err := c.Handle(ctx, "stf_eve", two.Number, desk.Handling{Priority: &p0, Reason: "a hospital", Owner: &eve, Labels: &labels})
		if err != nil {
			c.Fatal(err)
		}
		got := v.Ticket
		if !got.Reviewed || len(got.Reviews) != 1 || got.Reviews[0].From != "P3" || got.Reviews[0].Reason != "a hospital" || !got.AnswerBy.Equal(got.FiledAt.Add(45*time.Minute)) ||
			!slices.Equal(got.Labels, []string{"db", "night shift"}) {
			c.Fatalf("%+v", got)
		}
		if due, err := c.Comms.Promises(ctx, v.ID); err != nil || len(due) != 1 || !due[0].Due.Equal(got.AnswerBy) || due[0].What != desk.FirstAnswer {
			c.Fatalf("its deadline: %+v %v", due, err)
		}
		expect("mine", desk.Choice{Owner: "stf_eve"}, two.Number)
		expect("nobody's", desk.Choice{Owner: desk.Nobody}, one.Number)
		expect("labelled", desk.Choice{Label: "night shift"}, two.Number)
		expect("not late yet", desk.Choice{Overdue: true})
		c.passed.Add(int64(46 * time.Minute))
		if late := list(desk.Choice{Overdue: true}); len(late) != 2 {
			c.Errorf("late: %q", late)
		}
		all, err := c.Tallies(ctx, "stf_eve")
		if err != nil || len(all) != 1 || all[0].Open != 2 || all[0].Overdue != 2 || all[0].Mine != 1 || all[0].Unassigned != 1 || all[0].Priority["P0"] != 2 || all[0].State[desk.New] != 2 {
			c.Errorf("%+v %v", all, err)
		}
		page, err := c.List(ctx, desk.Choice{Order: desk.ByFiled, Limit: 1})
		if err != nil || len(page.Items) != 1 || page.Next == "" {
			c.Fatalf("%+v %v", page, err)
		}
		expect("the second page", desk.Choice{Order: desk.ByFiled, Limit: 1, After: page.Next}, two.Number)
		opened, err := c.Open(ctx, one.Number, "wrong")
		if fault.Of(err) != fault.NotFound || opened.ID != "" {
			c.Errorf("%v", err)
		}
	})
}

// Whoever wrote a ticket that goes on in another is told the answers there: of the same customer unless staff say otherwise, of anybody else only when they say so. It
// stands in her own conversation, and nothing of the other's does; the one who is told already gets it once.
func TestAnAnswerReachesWhoeverWroteAMergedTicket(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		file := func(address string) desk.Receipt {
			r, err := c.File(ctx, "public:web", desk.Intake{Message: "gone, says " + address, Email: address})
			if err != nil {
				c.Fatal(err)
			}
			return r
		}
		lead, again, other := file("ann@acme.example"), file("ANN@acme.example"), file("eve@other.example")
		for _, from := range []desk.Receipt{again, other} {
			if _, err := c.Merge(ctx, "stf_eve", desk.Joining{From: from.Number, Into: lead.Number}); err != nil {
				c.Fatal(err)
			}
		}
		reads := func(r desk.Receipt, words string) (n int) {
			c.Helper()
			v, err := c.Open(ctx, r.Number, r.Secret)
			if err != nil {
				c.Fatal(err)
			}
			for _, m := range v.Messages {
				if strings.Contains(m.Text, words) {
					n++
				}
			}
			return n
		}
		letters := func() (n int) {
			c.Helper()
			if err := c.DB.View(ctx, func(tx *store.Tx) error {
				for range tx.Stored("notice") {
					n++
				}
				return nil
			}); err != nil {
				c.Fatal(err)
			}
			return n
		}
		joined := func() (all []string) {
			c.Helper()
			v, err := c.Ticket(ctx, lead.Number)
			if err != nil {
				c.Fatal(err)
			}
			for _, j := range v.Joined {
				all = append(all, fmt.Sprint(j.Number, j.Same, j.Waits))
			}
			return all
		}
		if got := joined(); !slices.Equal(got, []string{again.Number + "true true", other.Number + "false true"}) && !slices.Equal(got, []string{other.Number + "false true", again.Number + "true true"}) {
			c.Errorf("beside the ticket: %q", got)
		}
		answer := func(words string, also *[]string) error {
			_, err := c.Say(ctx, desk.Entry{By: "stf_eve", Number: lead.Number, Also: also, Message: desk.Message{From: "staff", By: "stf_eve", Text: words}})
			return err
		}
		both, none, stranger := []string{again.Number, other.Number}, []string{}, []string{"ZZZ-ZZZ-ZZZ"}
		for _, said := range []struct {
			words                 string
			also                  *[]string
			again, other, letters int
		}{
			{"to who is the same", nil, 1, 0, 1},
			{"to everybody", &both, 1, 1, 2},
			{"to her alone", &none, 0, 0, 1},
		} {
			was := letters()
			if err := answer(said.words, said.also); err != nil {
				c.Fatal(err)
			}
			if n := letters() - was; n != said.letters {
				c.Errorf("%s: %d letters", said.words, n)
			}
			if n, m := reads(again, said.words), reads(other, said.words); reads(lead, said.words) != 1 || n != said.again || m != said.other {
				c.Errorf("%s: %d and %d", said.words, n, m)
			}
		}
		files := c.Receive("")
		if err := files.Add(ctx, "restored.txt", strings.NewReader("wiki: 412 pages")); err != nil {
			c.Fatal(err)
		}
		if _, err := c.Say(ctx, desk.Entry{By: "stf_eve", Number: lead.Number, Message: desk.Message{From: "staff", By: "stf_eve", Text: "what is back", Attached: files}}); err != nil {
			c.Fatal(err)
		}
		for _, who := range []desk.Receipt{lead, again, other} {
			v, err := c.Open(ctx, who.Number, who.Secret)
			if err != nil {
				c.Fatal(err)
			}
			got := ""
			for id := range v.Files {
				a, err := v.Attachment(id)
				if err != nil {
					c.Fatal(err)
				}
				r, err := c.Bytes(ctx, a)
				if err != nil {
					c.Fatal(err)
				}
				content, err := io.ReadAll(r)
				if err != nil {
					c.Fatal(err)
				}
				got += a.Name + ": " + string(content)
			}
			want := "restored.txt: wiki: 412 pages"
			if who.Number == other.Number { // hers is of somebody else, and nobody ticked it
				want = ""
			}
			if got != want {
				c.Errorf("%s has the files %q", who.Number, got)
			}
		}
		if err := answer("to nobody", &stranger); fault.Of(err) != fault.Invalid || reads(lead, "to nobody") != 0 {
			c.Errorf("one that is not merged: %v", err)
		}
		if reads(other, "ann@") != 0 || reads(lead, "eve@") != 0 {
			c.Error("one reads the other's words")
		}
		v, err := c.Solve(ctx, "stf_eve", lead.Number, "We restored your wiki from the backup of Sunday 03:00 UTC and compared its pages with it.", 0)
		if err != nil || reads(again, "from the backup of Sunday") != 1 || reads(other, "from the backup of Sunday") != 0 {
			c.Fatalf("solved: %v", err)
		}
		if n := slices.IndexFunc(v.Messages, func(m desk.Message) bool { return m.Copied }); n >= 0 || len(v.Messages) != 3+5 {
			c.Errorf("staff read an answer twice: %+v", v.Messages)
		}
	})
}

// Duplicates become one for staff and stay apart for their customers, who may be two people; and it can be taken back. So can a split.
func TestTicketsAreMergedAndSplitAndThatIsTakenBack(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		file := func(words string) desk.Receipt {
			r, err := c.File(ctx, "public:web", desk.Intake{Message: words, Email: "ann@acme.example"})
			if err != nil {
				c.Fatal(err)
			}
			return r
		}
		main, twin := file("our site is gone"), file("it is still gone")
		v, err := c.Merge(ctx, "stf_eve", desk.Joining{From: twin.Number, Into: main.Number})
		if err != nil || len(v.Messages) != 2 || !slices.Equal(v.Merged, []string{twin.Number}) || v.Messages[1].Number != twin.Number {
			c.Fatalf("%+v %v", v, err)
		}
		if _, err := c.Answer(ctx, "stf_eve", main.Number, "we are restoring it", false); err != nil {
			c.Fatal(err)
		}
		if _, err := c.Add(ctx, twin.Number, twin.Secret, "any news?"); err != nil {
			c.Fatal(err)
		}
		if now := c.ticket(main.Number); now.State != desk.Asked || now.NextBy.IsZero() {
			c.Errorf("nobody is told that she waits: %+v", now)
		}
		own, err := c.Open(ctx, twin.Number, twin.Secret)
		if err != nil || len(own.Messages) != 3 || own.Ticket.State != desk.Closed {
			c.Errorf("its own customer sees %+v %v", own.Messages, err)
		}
		if other, err := c.Open(ctx, main.Number, main.Secret); err != nil || len(other.Messages) != 2 || slices.ContainsFunc(other.Messages, func(m desk.Message) bool { return strings.Contains(m.Text, "news") }) {
			c.Errorf("the other sees %+v %v", other.Messages, err)
		}
		if _, err := c.Merge(ctx, "stf_eve", desk.Joining{From: main.Number, Into: twin.Number}); fault.Of(err) != fault.Conflict {
			c.Errorf("in a circle: %v", err)
		}
		if v, err = c.Unmerge(ctx, "stf_eve", twin.Number, 0); err != nil || v.Ticket.State != desk.New || v.Into != "" {
			c.Fatalf("%+v %v", v.Ticket, err)
		}
		if due, err := c.Comms.Promises(ctx, v.ID); err != nil || len(due) != 1 {
			c.Errorf("its first answer is due again: %+v %v", due, err)
		}

		late := file("and this as well")
		if _, err := c.Answer(ctx, "stf_eve", late.Number, "we look at it", false); err != nil {
			c.Fatal(err)
		}
		if _, err := c.Merge(ctx, "stf_eve", desk.Joining{From: late.Number, Into: main.Number}); err != nil {
			c.Fatal(err)
		}
		if _, err := c.Add(ctx, late.Number, late.Secret, "what did you see?"); err != nil {
			c.Fatal(err)
		}
		if apart, err := c.Unmerge(ctx, "stf_eve", late.Number, 0); err != nil || apart.Ticket.State != desk.Asked || apart.Ticket.NextBy.IsZero() {
			c.Errorf("what she wrote meanwhile waits for nobody: %+v %v", apart.Ticket, err)
		}

		news := v.Messages[len(v.Messages)-1]
		if part, err := c.Split(ctx, "stf_eve", twin.Number, news.ID, "another matter", 0); err != nil || part.Ticket.Email != "ann@acme.example" || len(part.Messages) != 1 || part.Ticket.State != desk.New {
			c.Fatalf("%+v %v", part, err)
		} else if back, err := c.Unsplit(ctx, "stf_eve", part.Ticket.Number, 0); err != nil || back.Ticket.Number != twin.Number || len(back.Messages) != 3 {
			c.Fatalf("%+v %v", back, err)
		}

		// A message of somebody else is held; staff see it, the customer does not, not even after it was split off and put back.
		if _, err := c.Say(ctx, desk.Entry{By: "system:mail", Number: main.Number, Message: desk.Message{From: "customer", Text: "pay here instead", Held: "other_sender", Sender: "eve@evil.example"}}); err != nil {
			c.Fatal(err)
		}
		seen := func() int {
			c.Helper()
			v, err := c.Open(ctx, main.Number, main.Secret)
			if err != nil {
				c.Fatal(err)
			}
			return len(v.Messages)
		}
		before := seen()
		whole, err := c.Ticket(ctx, main.Number)
		if err != nil || whole.Ticket.Held != 1 {
			c.Fatalf("%+v %v", whole.Ticket, err)
		}
		held := whole.Messages[slices.IndexFunc(whole.Messages, func(m desk.Message) bool { return m.Held != "" })]
		part, err := c.Split(ctx, "stf_eve", main.Number, held.ID, "", 0)
		if err != nil || part.Ticket.Email != "eve@evil.example" || part.Ticket.Name != "" || part.Ticket.Account != "" || c.ticket(main.Number).Held != 0 {
			c.Fatalf("%+v %v", part.Ticket, err)
		}
		if _, err := c.Unsplit(ctx, "stf_eve", part.Ticket.Number, 0); err != nil || seen() != before || c.ticket(main.Number).Held != 1 {
			c.Fatalf("it is shown: %d, %d messages, %v", seen(), before, err)
		}
		if _, err := c.Release(ctx, "stf_eve", main.Number, held.ID, 0); err != nil || seen() != before+1 || c.ticket(main.Number).Held != 0 {
			c.Fatalf("released: %d messages, %v", seen(), err)
		}
	})
}

// A ticket is closed when its customer agrees that a real explanation solved it, or by the stated rule for silence, which asks first and is logged; a reply
// opens it again.
func TestATicketIsClosedByConsentOrByTheRuleForSilence(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		agrees, silent := c.file(desk.Intake{Message: "gone", Email: "ann@acme.example", Locale: "ja"}), c.file(desk.Intake{Message: "gone", Email: "bob@acme.example"})
		for _, bad := range []string{"", "fixed", "Done."} {
			if _, err := c.Solve(ctx, "stf_eve", agrees.Number, bad, 0); fault.Of(err) != fault.Invalid {
				c.Errorf("%q: %v", bad, err)
			}
		}
		for _, number := range []string{agrees.Number, silent.Number} {
			if v, err := c.Solve(ctx, "stf_eve", number, explained, 0); err != nil || v.Ticket.State != desk.Solved {
				c.Fatalf("%+v %v", v.Ticket, err)
			}
		}
		c.passed.Add(int64(time.Hour))
		if v, err := c.Consent(ctx, agrees.Number, false, "it is still empty"); err != nil || v.Ticket.State != desk.Asked || v.Ticket.Solution != nil {
			c.Fatalf("she says no: %+v %v", v.Ticket, err)
		}
		if _, err := c.Solve(ctx, "stf_eve", agrees.Number, explained, 0); err != nil {
			c.Fatal(err)
		}
		v, err := c.Consent(ctx, agrees.Number, true, "")
		if err != nil || v.Ticket.State != desk.Closed || v.Ticket.Ending.How != desk.ByConsent || !strings.Contains(v.Messages[len(v.Messages)-1].Text, "解決") {
			c.Fatalf("she agrees: %+v %v", v.Ticket, err)
		}
		silence := func(after time.Duration) desk.Ticket {
			c.Helper()
			c.passed.Add(int64(after))
			for range 2 { // a second turn at once does nothing more
				if err := c.KeepSilence(ctx); err != nil {
					c.Fatal(err)
				}
			}
			return c.ticket(silent.Number)
		}
		if now := silence(70 * time.Hour); now.State != desk.Solved || now.Solution.Asked != 1 {
			c.Errorf("before the time: %+v", now)
		}
		if now := silence(2 * time.Hour); now.State != desk.Solved || now.Solution.Asked != 2 {
			c.Errorf("asked again: %+v", now.Solution)
		}
		if now := silence(7*24*time.Hour - time.Minute); now.State != desk.Solved {
			c.Errorf("not yet: %+v", now)
		}
		if now := silence(time.Minute); now.State != desk.Closed || now.Ending.How != desk.BySilence {
			c.Errorf("%+v", now)
		}
		if v, err := c.Say(ctx, desk.Entry{By: "customer", Number: silent.Number, Message: desk.Message{From: "customer", Text: "sorry, it is gone again"}}); err != nil || v.Ticket.State != desk.Asked || v.Ticket.NextBy.IsZero() {
			c.Errorf("a reply: %+v %v", v.Ticket, err)
		}
	})
}

// The ticket of an affected site closes only once the site is handed back.
func TestATicketStaysOpenUntilItsSiteIsHandedBack(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		in, err := c.Comms.Declare(ctx, "stf_ann", comms.Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."})
		if err != nil {
			c.Fatal(err)
		}
		filed := c.file(desk.Intake{Message: "gone", Email: "ann@acme.example", Impact: desk.LostAccess})
		if _, err := c.Comms.LoadAffected(ctx, "stf_ann", in.ID, comms.CSV, strings.NewReader("site_id\nS-1\n"), false); err != nil {
			c.Fatal(err)
		}
		if _, err := c.Confirm(ctx, "stf_eve", desk.Link{Ticket: filed.Number, Account: "A-1"}); err != nil {
			c.Fatal(err)
		}
		if _, err := c.Solve(ctx, "stf_eve", filed.Number, explained, 0); fault.Of(err) != fault.Conflict {
			c.Fatalf("staff: %v", err)
		}
		if v, err := c.Consent(ctx, filed.Number, true, "it works again"); err != nil || v.Ticket.State == desk.Closed {
			c.Fatalf("her word is kept and the ticket stays open: %+v %v", v.Ticket, err)
		}
		for _, state := range []string{"restoring", "rebuilt", "passed", "handed_back"} {
			report, err := c.Comms.MoveSites(ctx, comms.Mover{By: "stf_ann", Finish: true}, in.ID, strings.NewReader(`{"site_id":"S-1","state":"`+state+`","reason":"checked by hand"}`))
			if err != nil {
				c.Fatalf("%s: %+v %v", state, report, err)
			}
		}
		if v, err := c.Consent(ctx, filed.Number, true, ""); err != nil || v.Ticket.State != desk.Closed {
			c.Fatalf("%+v %v", v.Ticket, err)
		}
	})
}

// A sort of incident has steps, times and an escalation of its own, prepared beforehand: they hold for its tickets from the moment in which it is declared, with a
// site or without, and for no others.
func TestASortOfIncidentHasItsOwnWorkflow(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		c.Policy.Workflows = map[string]desk.Workflow{"loss": {Incidents: []string{"data"}, Times: desk.Times{FirstAnswer: map[string]time.Duration{"P0": 10 * time.Minute}},
			Steps: []desk.WorkStep{{Name: "look", Text: map[string]string{"en": "Looked at"}}, {Name: "match", Text: map[string]string{"en": "Matched"}, Within: time.Hour}}}}
		if err := c.Policy.Check(); err != nil {
			c.Fatal(err)
		}
		to := func(address string) comms.Ladder {
			return comms.Ladder{{To: []comms.Direct{{Channel: comms.ChannelEmail, Address: address, Locale: "en"}}}}
		}
		c.Comms.Policy.Ladders = map[string]comms.Ladder{"first_answer": {}, "first_answer.loss": to("loss@vendor.example"), "step.loss": to("lead@vendor.example")}
		before := c.file(desk.Intake{Message: "mine is gone", Email: "a@x.example", Impact: desk.LostAccess})
		if before.Flow != "" || !before.AnswerBy.Equal(before.FiledAt.Add(45*time.Minute)) {
			c.Fatalf("%+v", before)
		}
		in, err := c.Comms.Declare(ctx, "stf_ann", comms.Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Sites cannot be opened."})
		if err != nil {
			c.Fatal(err)
		}
		filed := c.file(desk.Intake{Message: "it is gone", Email: "b@x.example", Impact: desk.LostAccess})
		if filed.Flow != "loss" || filed.Step != "look" || filed.Site != "" || !filed.AnswerBy.Equal(filed.FiledAt.Add(10*time.Minute)) {
			c.Fatalf("no site is needed, and no restart: %+v", filed)
		}
		queue, general, step, none := in.ID, desk.General, "match", "nowhere"
		if v, err := c.Handle(ctx, "stf_ann", before.Number, desk.Handling{Queue: &queue}); err != nil || v.Ticket.Step != "look" || !v.Ticket.AnswerBy.Equal(before.FiledAt.Add(10*time.Minute)) {
			c.Fatalf("what was filed before comes into its queue: %+v %v", v.Ticket, err)
		}
		if n := c.fire(11 * time.Minute); n != 2 {
			c.Errorf("%d rungs of its own ladder were told, of the first answers of two", n)
		}
		if _, err := c.Handle(ctx, "stf_ann", filed.Number, desk.Handling{Step: &none}); fault.Of(err) != fault.Invalid {
			c.Errorf("a step that there is not: %v", err)
		}
		v, err := c.Handle(ctx, "stf_ann", filed.Number, desk.Handling{Step: &step})
		if err != nil || v.Ticket.Step != "match" || !v.Ticket.StepBy.Equal(c.DB.Now().Add(time.Hour)) {
			c.Fatalf("%+v %v", v.Ticket, err)
		}
		if page, err := c.List(ctx, desk.Choice{Step: "match"}); err != nil || len(page.Items) != 1 || page.Items[0].Value.Number != filed.Number {
			c.Errorf("%+v %v", page, err)
		}
		if board, err := c.Dashboard(ctx, in.ID); err != nil || board.ByStep["look"] != 1 || board.ByStep["match"] != 1 || board.NoSite != 2 {
			c.Errorf("%+v %v", board, err)
		}
		if n := c.fire(time.Hour + time.Second); n != 2 { // the other is the incident's six facts
			c.Errorf("%d were told that a ticket stays in its step", n)
		}
		if v, err = c.Handle(ctx, "stf_ann", filed.Number, desk.Handling{Queue: &general}); err != nil || v.Ticket.Flow+v.Ticket.Step != "" || !v.Ticket.StepBy.IsZero() || !v.Ticket.AnswerBy.Equal(filed.FiledAt.Add(45*time.Minute)) {
			c.Errorf("out of its queue: %+v %v", v.Ticket, err)
		}
		if due, err := c.Comms.Promises(ctx, v.ID); err != nil || len(due) != 1 || due[0].What != desk.FirstAnswer || due[0].Ladder != "" {
			c.Errorf("%+v %v", due, err)
		}
		c.Policy.Workflows["other"] = desk.Workflow{Incidents: []string{"data"}, Steps: []desk.WorkStep{{Name: "a"}, {Name: "a", Within: -1}}}
		if err := c.Policy.Check(); fault.Of(err) != fault.Invalid {
			c.Errorf("%v", err)
		}
	})
}
