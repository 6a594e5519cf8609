package desk_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeline/comms"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// texting is a lobby whose messages are taken away as they come, and counted where they are written.
func texting(t *testing.T) *lobby {
	l := openLobby(t)
	l.Refused = desk.NewRefusals()
	l.Policy.AckEach = time.Second
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	go func() {
		for {
			select {
			case <-l.came:
			case <-over:
				return
			}
		}
	}()
	return l
}

// notices counts the messages that were written, and those of them that go out: one that is withheld is due at no time from its first version on.
func (l *lobby) notices() (written, out int) {
	l.Helper()
	if err := l.DB.View(context.Background(), func(tx *store.Tx) error {
		for raw, err := range tx.Stored("notice") {
			if err != nil {
				return err
			}
			written++
			if raw.Version > 1 || !raw.Due.IsZero() {
				out++
			}
		}
		return nil
	}); err != nil {
		l.Fatal(err)
	}
	return written, out
}

// sends is how many messages go out by an act.
func (l *lobby) sends(act func()) (n int) {
	l.Helper()
	_, was := l.notices()
	act()
	_, now := l.notices()
	return now - was
}

// texted files a ticket with nothing but a number: whether a receipt went there, and why she hears that none does.
func (l *lobby) texted(number string) (sent bool, r desk.Receipt) {
	l.Helper()
	l.clock.Turn(2 * time.Second)
	n := l.sends(func() {
		var err error
		if r, err = l.File(context.Background(), "public:web", desk.Intake{Message: "Our site is gone", Phone: number}); err != nil {
			l.Fatal(err)
		}
	})
	if (r.Told == "") != (r.Untold != "") {
		l.Errorf("%s: told %q, and not %q", number, r.Told, r.Untold)
	}
	return n > 0, r
}

// refused is how many messages a limit is counted to have refused.
func (l *lobby) refused(channel, what, not string) float64 {
	l.Helper()
	seen := prometheus.NewRegistry()
	seen.MustRegister(l.Refused)
	all, err := seen.Gather()
	if err != nil {
		l.Fatal(err)
	}
	for _, family := range all {
		for _, m := range family.Metric {
			if m.Label[0].GetValue() == channel && m.Label[1].GetValue() == what && m.Label[2].GetValue() == not {
				return m.Counter.GetValue()
			}
		}
	}
	return 0
}

// Each cap holds by itself, says why, is counted, and never keeps a text from a number on file; what is read on the receipt is the same for both.
func TestTextsToStrangersAreCapped(t *testing.T) {
	l := texting(t)
	const known = "+12025550101"
	for _, c := range []struct {
		not   string
		mend  func(*desk.TextPolicy)
		gets  []string // these do
		never string
		still string // another that gets one
	}{
		{desk.NotCountry, func(p *desk.TextPolicy) { p.Countries = []string{"DE"} }, nil, "+37060112345", "+4915112345678"},
		{desk.NotSort, func(p *desk.TextPolicy) { p.Countries = []string{desk.AnyCountry} }, []string{"+37060112345"}, "+19005550101", "+12015550123"},
		{desk.NotNumber, func(p *desk.TextPolicy) { p.Number = 2 }, []string{"+12025550111", "+12025550111"}, "+12025550111", "+12025550112"},
		{desk.NotPrefix, func(p *desk.TextPolicy) { p.Prefix = 2 }, []string{"+12025550111", "+12025550112"}, "+12025550113", "+12015550123"},
		{desk.NotMoney, func(p *desk.TextPolicy) { p.Receipts = 5 }, []string{"+12025550111", "+12015550123"}, "+12025550113", ""},
		{desk.NotMoney, func(p *desk.TextPolicy) { p.Receipts = 13 }, []string{"+4915112345678"}, "+12025550113", ""}, // dearer there
	} {
		l.clock.Turn(25 * time.Hour)
		l.Policy.Texts = desk.DefaultPolicy().Texts
		c.mend(&l.Policy.Texts)
		for _, number := range c.gets {
			if sent, r := l.texted(number); !sent || r.Untold != "" {
				t.Errorf("%s: %s got none: %q", c.not, number, r.Untold)
			}
		}
		was := l.refused("sms", "receipt", c.not)
		if sent, r := l.texted(c.never); sent || r.Untold != c.not || r.Secret == "" {
			t.Errorf("%s: %s was sent one: %v %q", c.not, c.never, sent, r.Untold)
		}
		if now := l.refused("sms", "receipt", c.not); now != was+1 {
			t.Errorf("%s was counted %v times", c.not, now-was)
		}
		if c.still != "" {
			if sent, r := l.texted(c.still); !sent || r.Untold != "" {
				t.Errorf("%s: %s got none: %q", c.not, c.still, r.Untold)
			}
		}
		if c.not == desk.NotCountry || c.not == desk.NotMoney {
			if sent, r := l.texted(known); !sent || r.Untold != c.not {
				t.Errorf("%s: a number on file: sent %v, and read %q", c.not, sent, r.Untold)
			}
		}
	}
	for _, bad := range []func(*desk.TextPolicy){
		func(p *desk.TextPolicy) { p.Countries = []string{"XX"} }, func(p *desk.TextPolicy) { p.Cents = map[string]int{"US": 1} }, func(p *desk.TextPolicy) { p.Prefix = 0 },
	} {
		p := desk.DefaultPolicy()
		if bad(&p.Texts); p.Check() == nil {
			t.Errorf("nobody minds %+v", p.Texts)
		}
	}
}

// However many numbers strangers ask codes for, each is answered alike, and codes to numbers on file go out.
func TestAFloodOfStrangersNumbersLeavesCodesToNumbersOnFile(t *testing.T) {
	l := texting(t)
	ctx := context.Background()
	l.Policy.Texts.Codes, l.Policy.Identity.SMSHourly = 40, 3
	var last desk.Sent
	ask := func(to, source string) int {
		t.Helper()
		return l.sends(func() {
			sent, err := l.AskCode(ctx, desk.Ask{Why: desk.ToOpen, To: to, By: "public:web", Source: source})
			if err != nil || sent.Channel != comms.ChannelSMS || !strings.HasSuffix(sent.To, to[len(to)-2:]) || sent.Until.IsZero() {
				t.Fatalf("%s: %+v %v", to, sent, err)
			}
			last = sent
		})
	}
	texts := 0
	for i := range 40 {
		texts += ask(fmt.Sprintf("+1202556%04d", 1000+i), fmt.Sprint("network ", i))
	}
	if texts != 20 {
		t.Errorf("%d texts for 40 cents at 2 cents each", texts)
	}
	if _, err := l.gives(last, "", "000000"); fault.Of(err) != fault.Invalid {
		t.Errorf("a code that never went out opens something: %v", err)
	}
	for _, known := range []string{"+12025550101", "+12025550102", "+12025550104"} {
		if ask(known, "of "+known) != 1 {
			t.Errorf("%s is on file and got no code", known)
		}
	}
	if ask("+12025550101", "elsewhere") != 0 { // what numbers on file may have in an hour is used up, and nobody can tell by that
		t.Error("more codes than allowed went out")
	}
	// A member of staff is told instead.
	r, err := l.File(ctx, "stf_ann", desk.Intake{Message: "She called", Phone: "+37060112345", Email: "far@elsewhere.example"})
	if err != nil {
		t.Fatal(err)
	}
	l.Policy.Texts.Countries = []string{"US"}
	_, err = l.AskCode(ctx, desk.Ask{Why: desk.ToReach, Number: r.Number, To: "+37060112345", By: "stf_ann"})
	if fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "to gets no text: ") {
		t.Errorf("staff read %v", err)
	}
}

// An answer that no text may tell of stands in the ticket, says so to staff, and somebody has to find another way; a number that was proved in the ticket is told.
func TestAnAnswerThatNoTextTellsOfIsNotLost(t *testing.T) {
	l := texting(t)
	ctx := context.Background()
	l.Policy.Texts.Countries, l.Policy.Texts.Answers = []string{"US"}, 3
	answer := func(number string) (told int, m desk.Message) {
		t.Helper()
		told = l.sends(func() {
			v, err := l.Answer(ctx, "stf_ann", number, "Your site is being restored", false)
			if err != nil {
				t.Fatal(err)
			}
			m = v.Messages[len(v.Messages)-1]
		})
		return told, m
	}
	owed := func(id string) bool {
		t.Helper()
		owed := false
		if err := l.DB.View(ctx, func(tx *store.Tx) error {
			all, _, err := l.Comms.Family(tx, "ticket", comms.Open, "", 100)
			owed = slices.ContainsFunc(all, func(rec store.Rec[comms.Task]) bool {
				return rec.Value.What == desk.TaskUnreached && rec.Value.Of == id
			})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return owed
	}
	_, far := l.texted("+37060112345")
	if told, m := answer(far.Number); told != 0 || m.Untold != desk.NotCountry || !owed(far.ID) {
		t.Errorf("told %d, %+v, owed %v", told, m, owed(far.ID))
	}
	v, err := l.Solve(ctx, "stf_ann", far.Number, "Your site was restored from the backup of 5 April; open it and look at your newest page.", 0)
	if err != nil || !v.Ticket.Solution.Next.IsZero() {
		t.Errorf("who was not asked is taken to be silent: %+v %v", v.Ticket.Solution, err)
	}
	v, err = l.Open(ctx, far.Number, far.Secret)
	if err != nil || len(v.Messages) != 3 || l.Untexted(v.Ticket) != desk.NotCountry {
		t.Errorf("she reads %+v %v", v.Messages, err)
	}
	// Three cents are one answer in the United States. The next stranger is not told, until she has shown that the number reaches her.
	_, near := l.texted("+12025550111")
	if told, m := answer(near.Number); told != 1 || m.Untold != "" {
		t.Errorf("told %d, %+v", told, m)
	}
	if told, m := answer(near.Number); told != 0 || m.Untold != desk.NotMoney {
		t.Errorf("told %d, %+v", told, m)
	}
	if _, err := l.Reached(ctx, near.ID, comms.ChannelSMS); err != nil {
		t.Fatal(err)
	}
	if told, m := answer(near.Number); told != 1 || m.Untold != "" {
		t.Errorf("proved: told %d, %+v", told, m)
	}
	_, gone := l.texted("+12025550112") // and then she wants no more of them, who has no other address
	if _, err := l.TakeText(ctx, comms.Incoming{From: "+12025550112", Text: "STOP", Ref: "stop"}); err != nil {
		t.Fatal(err)
	}
	told, m := answer(gone.Number)
	v, err = l.Open(ctx, gone.Number, gone.Secret)
	if told != 0 || m.Untold != desk.NotWanted || !owed(gone.ID) || err != nil || l.Untexted(v.Ticket) != desk.NotWanted {
		t.Errorf("after STOP: told %d, %+v, owed %v, %v", told, m, owed(gone.ID), err)
	}
}

// What strangers cause at one mail domain is bounded whatever they put in front of it; an address on file there is sent its codes, and nobody can tell by the answer.
func TestMailToOneDomainIsBounded(t *testing.T) {
	l := texting(t)
	ctx := context.Background()
	l.Policy.MailHourly, l.Policy.FreeHourly, l.Policy.Identity.From = 4, 5, 100
	file := func(email string) (told string, sent int) {
		sent = l.sends(func() { told = l.filed(email).Told })
		return told, sent
	}
	for i := range 4 {
		if told, sent := file(fmt.Sprintf("p%d@%s.acme.example", i, strings.Repeat("x", i+1))); told != "email" || sent != 1 {
			t.Errorf("receipt %d: %q, %d", i, told, sent)
		}
	}
	if told, sent := file("p9@acme.example"); told != "" || sent != 0 {
		t.Errorf("one too many: %q, %d", told, sent)
	}
	if told, _ := file("someone@else.example"); told != "email" {
		t.Errorf("at another domain: %q", told)
	}
	for i := range 6 {
		if told, _ := file(fmt.Sprintf("p%d@gmail.com", i)); (told == "email") != (i < 5) {
			t.Errorf("%d at a provider: %q", i, told)
		}
	}
	if n := l.refused("email", "any", desk.NotDomain); n != 2 {
		t.Errorf("%v were counted", n)
	}
	code := func(to string) (sent desk.Sent, n int) {
		t.Helper()
		n = l.sends(func() {
			var err error
			if sent, err = l.AskCode(ctx, desk.Ask{Why: desk.ToOpen, To: to, By: "public:web", Source: "of " + to}); err != nil {
				t.Fatal(err)
			}
		})
		return sent, n
	}
	before, _ := l.notices()
	known, went := code("ann@acme.example")
	between, _ := l.notices()
	unknown, also := code("amy@acme.example")
	if behind, _ := l.notices(); between-before != 1 || behind-between != 1 {
		t.Errorf("for the one on file %d messages were written, for the other %d: how long they take tells them apart", between-before, behind-between)
	}
	if went != 1 || also != 0 || known.To != unknown.To || known.Channel != unknown.Channel {
		t.Errorf("on file: %d %+v; not: %d %+v", went, known, also, unknown)
	}
	// In all, strangers have nothing of what addresses on file may have.
	l.Policy.Identity.Hourly = 2
	for i := range 4 {
		if _, n := code(fmt.Sprintf("a%d@d%d.example", i, i)); (n == 1) != (i < 2) {
			t.Errorf("code %d: %d", i, n)
		}
	}
	if _, n := code("bo@acme.example"); n != 1 {
		t.Error("an address on file was sent no code")
	}
}
