package desk_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/storetest"
	"lifeline/templates"
)

// lobby is the desk with everybody's mail and text messages, forty days after Acme and Bolt came into the book, on the second day of an incident.
type lobby struct {
	*testing.T
	*desk.Desk
	clock *storetest.Dial
	came  chan comms.Message
	zone  *zone
}

var bookDay = time.Date(2022, 2, 25, 8, 0, 0, 0, time.UTC)

const theBook = `account,account_id,domain,site,site_id,name,role,email,phone,confirmed_at
Acme,A-1,acme.example,Wiki,S-1,Ann,owner,ann@acme.example,+12025550101,2022-02-01
Acme,A-1,,Wiki,S-1,Bo,owner,bo@acme.example,+12025550102,2022-02-01
Acme,A-1,,Wiki,S-1,Old,owner,old@acme.example,+12025550103,2021-02-01
Bolt,A-2,bolt.example,Shop,S-2,Dai,owner,dai@bolt.example,+12025550104,2022-02-01
`

type letterbox struct {
	name string
	*lobby
}

func (b letterbox) Name() string { return b.name }
func (b letterbox) Live() bool   { return true }
func (b letterbox) Close() error { return nil }
func (b letterbox) Send(ctx context.Context, m comms.Message) comms.Outcome {
	select {
	case b.came <- m.Whole():
		return comms.Outcome{State: comms.Sent, Ref: "ref"}
	case <-ctx.Done():
		return comms.Outcome{State: comms.Deferred, Reason: "the test is over"}
	}
}

func openLobby(t *testing.T) *lobby {
	t.Helper()
	words, err := templates.Load("")
	if err != nil {
		t.Fatal(err)
	}
	l := &lobby{T: t, clock: storetest.NewDial(bookDay), came: make(chan comms.Message), zone: serveZone(t)}
	var kinds []store.Kind
	for _, some := range [][]store.Kind{contacts.Kinds(), contacts.ChangeKinds(), comms.Kinds(), desk.Kinds(), limit.Kinds()} {
		kinds = append(kinds, some...)
	}
	db := storetest.Open(t, kinds, storetest.Clock(l.clock.Now))
	log := slog.New(slog.DiscardHandler)
	book := &contacts.Book{DB: db, Policy: contacts.DefaultPolicy(), Log: log}
	room := &comms.Room{DB: db, Book: book, Words: words, Policy: comms.DefaultPolicy(), Vendor: templates.Vendor{Name: "Vendor", URL: "https://status.vendor.example"}, Log: log}
	l.Desk = &desk.Desk{DB: db, Book: book, Comms: room, Policy: desk.DefaultPolicy(), Log: log, LookupTXT: l.zone.resolver().LookupTXT}
	book.Lost = l.Bounced
	book.Changes = &contacts.Changes{DB: db, Verbs: append(book.ChangeVerbs(), l.ChangeVerbs()...), Log: log}
	ctx := context.Background()
	if report, err := book.Import(ctx, "stf_test", strings.NewReader(theBook), contacts.ImportOptions{Source: "billing"}); err != nil || report.RejectedRows > 0 {
		t.Fatalf("%+v %v", report, err)
	}
	l.clock.Turn(40 * 24 * time.Hour)
	if _, err := room.Declare(ctx, "stf_ann", comms.Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."}); err != nil {
		t.Fatal(err)
	}
	l.clock.Turn(24 * time.Hour)
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	outbox := &comms.Outbox{Room: room, Channels: map[string]comms.Channel{"email": letterbox{"email", l}, "sms": letterbox{"sms", l}}, Log: log, Holder: "lobby"}
	go func() { done <- outbox.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && running.Err() == nil {
			t.Errorf("the outbox: %v", err)
		}
	})
	return l
}

// next is the next message to an address; what goes to staff and receipts are passed over.
func (l *lobby) next(to string) string {
	l.Helper()
	for {
		select {
		case m := <-l.came:
			if m.To == to && !strings.Contains(m.Subject, "We have your message") {
				return m.Subject + "\n" + m.Text
			}
		case <-time.After(time.Minute):
			l.Fatalf("no message came to %s", to)
		}
	}
}

var sixDigits = regexp.MustCompile(`(?m)\b\d{6}\b`)

func (l *lobby) code(to string) string {
	l.Helper()
	text := l.next(to)
	for strings.Contains(text, "in your company's name") {
		text = l.next(to)
	}
	if !strings.Contains(text, "We never ask you for this code") {
		l.Errorf("it does not say that we never ask for it:\n%s", text)
	}
	return sixDigits.FindString(text)
}

func (l *lobby) filed(email string) desk.Receipt {
	l.Helper()
	r, err := l.File(context.Background(), "public:web", desk.Intake{Message: "Our site is gone", Email: email, Impact: desk.LostAccess})
	if err != nil {
		l.Fatal(err)
	}
	return r
}

// AskCode is the desk's, with what it does behind the answer.
func (l *lobby) AskCode(ctx context.Context, in desk.Ask) (desk.Sent, error) {
	sent, err := l.Desk.AskCode(ctx, in)
	if _, failed := l.SendCodes(ctx); failed != nil {
		l.Errorf("the code was not sent: %v", failed)
	}
	return sent, err
}

// asks asks for a code and reads it where it went.
func (l *lobby) asks(in desk.Ask, to string) (desk.Sent, string) {
	l.Helper()
	in.By, in.Source = "public:web", "192.0.2.7"
	sent, err := l.AskCode(context.Background(), in)
	if err != nil {
		l.Fatalf("ask for a code to %s: %v", to, err)
	}
	return sent, l.code(to)
}

func (l *lobby) gives(sent desk.Sent, id, code string) (desk.Given, error) {
	return l.GiveCode(context.Background(), desk.Give{ID: sent.ID, Case: id, Code: code, By: "public:web", Source: "192.0.2.7"})
}

func (l *lobby) level(id string, want desk.Level, when string) desk.Standing {
	l.Helper()
	s, err := l.Standing(context.Background(), id)
	if err != nil || s.Level != want {
		l.Fatalf("%s: %s, not %s (%v); %+v", when, s.Level, want, err, s.Proofs)
	}
	return s
}

// knows links a ticket to Acme and lets staff say that its person is Ann; it gives the hints of what is on file.
func (l *lobby) knows(number, account, name string) (hints map[string]string, contact string) {
	l.Helper()
	ctx := context.Background()
	if _, err := l.Confirm(ctx, "stf_eve", desk.Link{Ticket: number, Account: account}); err != nil {
		l.Fatal(err)
	}
	view, err := l.Book.AccountView(ctx, account)
	if err != nil {
		l.Fatal(err)
	}
	for _, c := range view.Contacts {
		if c.Value.Name == name {
			contact = c.ID
		}
	}
	if _, err := l.Record(ctx, "stf_eve", desk.Record{Ticket: number, What: desk.ClassMatch, Contact: contact}); err != nil {
		l.Fatal(err)
	}
	all, err := l.OnFile(ctx, "stf_eve", number)
	if err != nil {
		l.Fatal(err)
	}
	hints = map[string]string{}
	for _, h := range all {
		hints[h.To] = h.ID
	}
	return hints, contact
}

// A code to an address that she typed shows that she can be reached there, once, and moves nothing else; what was typed is never a match.
func TestACodeShowsWhereSheCanBeReached(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	r := l.filed("ann@acme.example") // which is on file
	l.level(r.ID, desk.L0, "filed")
	before, err := l.Ticket(ctx, r.Number)
	if err != nil {
		t.Fatal(err)
	}
	sent, code := l.asks(desk.Ask{Why: desk.ToReach, Number: r.Number}, "ann@acme.example")
	if sent.To != "a…@acme.example" || len(code) != 6 {
		t.Fatalf("%+v, code %q", sent, code)
	}
	other := "000000"
	if code == other {
		other = "000001"
	}
	if _, err := l.gives(sent, r.ID, other); fault.Of(err) != fault.Invalid {
		t.Errorf("another code: %v", err)
	}
	second := l.filed("eve@evil.example")
	if _, err := l.gives(sent, second.ID, code); fault.Of(err) != fault.Invalid {
		t.Errorf("in another case: %v", err)
	}
	given, err := l.gives(sent, r.ID, code[:3]+" "+code[3:])
	if err != nil || given.Standing.Level != desk.L1 || given.Number != r.Number {
		t.Fatalf("%+v, %v", given, err)
	}
	if _, err := l.gives(sent, r.ID, code); fault.Of(err) != fault.Invalid {
		t.Errorf("a code held twice: %v", err)
	}
	late, code := l.asks(desk.Ask{Why: desk.ToReach, Number: r.Number}, "ann@acme.example")
	l.clock.Turn(10 * time.Minute)
	if _, err := l.gives(late, r.ID, code); fault.Of(err) != fault.Invalid {
		t.Errorf("a code of ten minutes ago: %v", err)
	}
	after, err := l.Ticket(ctx, r.Number)
	if err != nil || after.Ticket.Account != "" || after.Ticket.Priority != before.Ticket.Priority || after.Ticket.State != before.Ticket.State ||
		after.Ticket.Queue() != before.Ticket.Queue() || !after.Ticket.AnswerBy.Equal(before.Ticket.AnswerBy) {
		t.Errorf("a level moved the ticket: %+v, %v", after.Ticket, err)
	}
	if _, err := l.Confirm(ctx, "stf_eve", desk.Link{Ticket: r.Number, Account: "A-1"}); err != nil {
		t.Fatal(err)
	}
	if s := l.level(r.ID, desk.L2, "a mailbox at the account's domain, once staff said whose ticket it is"); s.Proofs[0].Class != desk.ClassAlike {
		t.Errorf("what was typed counts as %s", s.Proofs[0].Class)
	}
}

// A mailed link shows a page, and its button confirms the address once within a day.
func TestALinkConfirmsByItsButton(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	r := l.filed("ann@elsewhere.example")
	if _, err := l.AskCode(ctx, desk.Ask{Why: desk.ToReach, Number: r.Number, By: "public:web", Source: "192.0.2.7"}); err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(l.next("ann@elsewhere.example"), "https://status.vendor.example/v/")
	token, _, _ := strings.Cut(rest, "\n")
	if !found || len(token) != 26 {
		t.Fatalf("token %q", token)
	}
	for range 3 {
		if c, err := l.Confirming(ctx, token); err != nil || c.Number != r.Number || c.To != "a…@elsewhere.example" {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	l.level(r.ID, desk.L0, "looked at")
	for _, no := range []string{"", "x", token[:25], strings.Repeat("0", 26)} {
		if _, err := l.GiveLink(ctx, no); fault.Of(err) != fault.NotFound {
			t.Errorf("%q: %v", no, err)
		}
	}
	if g, err := l.GiveLink(ctx, token); err != nil || g.Standing.Level != desk.L1 {
		t.Fatalf("%+v, %v", g, err)
	}
	if _, err := l.GiveLink(ctx, token); fault.Of(err) != fault.NotFound {
		t.Errorf("a link held twice: %v", err)
	}
	for days, want := range []int{0: 0, 8: 0, 9: 1} {
		if days > 0 {
			l.clock.Turn(24 * time.Hour)
		}
		if n, err := l.ForgetQuestions(ctx); err != nil || n != want {
			t.Errorf("day %d: %d questions forgotten, not %d (%v)", days, n, want, err)
		}
	}
	l.level(r.ID, desk.L0, "nothing was heard of her for a week")
}

// Codes to what is on file, a call back and a match raise the level; a bounce, a move and another account take it down again.
func TestEvidenceRaisesAndVoidingLowers(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	r := l.filed("ann@elsewhere.example")
	if _, err := l.AskCode(ctx, desk.Ask{Why: desk.ToProve, Number: r.Number, Hint: "x", By: "public:web", Source: "s"}); fault.Of(err) != fault.Forbidden {
		t.Errorf("a code to what is on file, of a stranger: %v", err)
	}
	hints, ann := l.knows(r.Number, "A-1", "Ann")
	if got := slices.Sorted(maps.Keys(hints)); len(got) != 6 {
		t.Errorf("on file: %q", got)
	}
	if all, err := l.OnFile(ctx, "public:web", r.Number); err != nil || len(all) > 0 {
		t.Errorf("a stranger sees %+v, %v", all, err)
	}
	sent, code := l.asks(desk.Ask{Why: desk.ToReach, Number: r.Number}, "ann@elsewhere.example")
	if _, err := l.gives(sent, r.ID, code); err != nil {
		t.Fatal(err)
	}
	if all, err := l.OnFile(ctx, "public:web", r.Number); err != nil || len(all) != 6 || strings.Contains(all[0].To, "ann@") {
		t.Errorf("who can be reached sees %+v, %v", all, err)
	}
	sent, code = l.asks(desk.Ask{Why: desk.ToProve, Number: r.Number, Hint: hints["a…@acme.example"]}, "ann@acme.example")
	if _, err := l.gives(sent, r.ID, code); err != nil {
		t.Fatal(err)
	}
	l.level(r.ID, desk.L2, "a code to her address on file")
	if _, err := l.Record(ctx, "stf_eve", desk.Record{Ticket: r.Number, What: desk.ClassB, Hint: hints["+12…01"], Note: "nobody answered"}); err != nil {
		t.Fatal(err)
	}
	l.level(r.ID, desk.L2, "a call that nobody answered")
	s, err := l.Record(ctx, "stf_eve", desk.Record{Ticket: r.Number, What: desk.ClassB, Hint: hints["+12…01"], Reached: true, Note: "knew her word"})
	if err != nil || s.Level != desk.L3 || s.Contact != ann {
		t.Fatalf("%+v, %v", s, err)
	}
	last := s.Proofs[len(s.Proofs)-1]
	if last.How != desk.HowCall || last.By != "stf_eve" || last.Note != "knew her word" || !last.At.Equal(l.clock.Now()) {
		t.Errorf("result, method, person and time are not kept: %+v", last.Evidence)
	}
	// Another account's records are not hers, whatever she showed.
	if _, err := l.May(ctx, desk.Who{Case: r.ID, Account: "acc_other"}, desk.SeeShared); fault.Of(err) != fault.NotFound {
		t.Errorf("another account: %v", err)
	}
	if _, err := l.May(ctx, desk.Who{Case: r.ID}, desk.SeeShared); err != nil {
		t.Errorf("her own account: %v", err)
	}
	if _, err := l.May(ctx, desk.Who{Case: r.ID}, desk.ChangeContact); fault.Of(err) != fault.Forbidden {
		t.Errorf("a change without a second: %v", err)
	}
	if err := l.DB.Update(ctx, store.Act{By: "system:test", Verb: "test.bounce"}, func(tx *store.Tx) error {
		return l.Book.Bounced(tx, ann, contacts.Email, "Ann@acme.example", "550 unknown")
	}); err != nil {
		t.Fatal(err)
	}
	s = l.level(r.ID, desk.L2, "her address bounced")
	if err := l.DB.Update(ctx, store.Act{By: "system:test", Verb: "test.confirm"}, func(tx *store.Tx) error {
		return l.Book.Confirmed(tx, ann, contacts.Email, "ann@acme.example", tx.Now())
	}); err != nil {
		t.Fatal(err)
	}
	l.level(r.ID, desk.L2, "it works again: that it was lost stays")
	if i := slices.IndexFunc(s.Proofs, func(p desk.Proof) bool { return p.Weak == desk.VoidBounced }); i < 0 {
		t.Errorf("%+v", s.Proofs)
	}
	if _, err := l.Unlink(ctx, "stf_eve", desk.Link{Ticket: r.Number}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Confirm(ctx, "stf_eve", desk.Link{Ticket: r.Number, Account: "A-2"}); err != nil {
		t.Fatal(err)
	}
	l.level(r.ID, desk.L1, "the ticket is another customer's")
}

// What came into the book since the incident began, or by a late import, proves nothing; who was not confirmed for long proves less; whoever filed a ticket
// cannot match it.
func TestWhatIsNewOrOldProvesLess(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	late := "account,account_id,domain,name,role,email,confirmed_at\nAcme,A-1,evil.example,Mallory,owner,mallory@evil.example,2022-04-06\n"
	if _, err := l.Book.Import(ctx, "tok_product", strings.NewReader(late), contacts.ImportOptions{Source: "billing"}); err != nil {
		t.Fatal(err)
	}
	l.clock.Turn(time.Minute)
	r := l.filed("mallory@evil.example")
	hints, _ := l.knows(r.Number, "A-1", "Mallory")
	for _, in := range []desk.Ask{{Why: desk.ToReach, Number: r.Number}, {Why: desk.ToProve, Number: r.Number, Hint: hints["m…@evil.example"]}} {
		sent, code := l.asks(in, "mallory@evil.example")
		if _, err := l.gives(sent, r.ID, code); err != nil {
			t.Fatal(err)
		}
	}
	s := l.level(r.ID, desk.L1, "an address that came after the incident began")
	if last := s.Proofs[len(s.Proofs)-1]; last.Weak != desk.VoidNew {
		t.Errorf("%+v", last)
	}
	for _, by := range []string{"public:web", "stf_eve"} { // staff see that it is too new, and she is not sent there in vain
		all, err := l.OnFile(ctx, by, r.Number)
		if err != nil || len(all) == 0 {
			t.Fatal(all, err)
		}
		at := slices.IndexFunc(all, func(h desk.Hint) bool { return h.To == "m…@evil.example" })
		if by == "public:web" && at >= 0 || by == "stf_eve" && (at < 0 || !all[at].TooNew) || slices.IndexFunc(all, func(h desk.Hint) bool { return h.To == "a…@acme.example" && !h.TooNew }) < 0 {
			t.Errorf("%s is offered %+v", by, all)
		}
	}
	old := l.filed("old@elsewhere.example")
	hints, _ = l.knows(old.Number, "A-1", "Old")
	if _, err := l.Record(ctx, "stf_eve", desk.Record{Ticket: old.Number, What: desk.ClassB, Hint: hints["+12…03"], Reached: true}); err != nil {
		t.Fatal(err)
	}
	l.level(old.ID, desk.L0, "the phone of somebody who may have left")
	own, err := l.File(ctx, "stf_eve", desk.Intake{Message: "She called", Phone: "+12025550101"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Confirm(ctx, "stf_eve", desk.Link{Ticket: own.Number, Account: "A-1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Record(ctx, "stf_eve", desk.Record{Ticket: own.Number, What: desk.ClassMatch}); fault.Of(err) != fault.Forbidden {
		t.Errorf("whoever filed it matched it: %v", err)
	}
}

// Whoever asks learns nothing of what is known: the answer, what is written and what is sent are alike.
func TestKnownAndUnknownAreAskedAlike(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	r := l.filed("ann@elsewhere.example")
	written := func() map[string]int {
		n := map[string]int{}
		if err := l.DB.View(ctx, func(tx *store.Tx) error {
			for _, kind := range []string{"question", "notice", "evidence", "counter", "fact", "audit"} {
				for range tx.Stored(kind) {
					n[kind]++
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	grew := func(in desk.Ask) (desk.Sent, map[string]int) {
		t.Helper()
		was := written()
		in.By, in.Source = "public:web", "the network of "+in.To
		sent, err := l.Desk.AskCode(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		answered := written()
		if answered["notice"] != was["notice"] || answered["question"] != was["question"]+1 || answered["evidence"] != was["evidence"] {
			t.Errorf("for the answer to %s there was written %v, before it %v", in.To, answered, was)
		}
		if n, err := l.SendCodes(ctx); n != 1 || err != nil {
			t.Errorf("%d were sent behind the answer: %v", n, err)
		}
		now := written()
		for kind := range now {
			now[kind] -= was[kind]
		}
		return sent, now
	}
	grew(desk.Ask{Why: desk.ToReach, Number: l.filed("cy@elsewhere.example").Number}) // what everybody shares is counted from now on
	l.next("cy@elsewhere.example")
	grew(desk.Ask{Why: desk.ToOpen, To: "bo@acme.example"})
	l.next("bo@acme.example")
	for _, pair := range [][2]desk.Ask{
		{{Why: desk.ToOpen, To: "ann@acme.example"}, {Why: desk.ToOpen, To: "amy@acme.example"}},
		{{Why: desk.ToRegain, Number: r.Number, To: "ann@elsewhere.example"}, {Why: desk.ToRegain, Number: "000-000-000", To: "abc@elsewhere.example"}},
	} {
		known, wrote := grew(pair[0])
		first := l.next(pair[0].To)
		unknown, also := grew(pair[1])
		second := l.next(pair[1].To)
		if known.To != unknown.To || known.Channel != unknown.Channel || len(known.ID) != len(unknown.ID) || !known.Until.Equal(unknown.Until) {
			t.Errorf("%+v\n%+v", known, unknown)
		}
		if !maps.Equal(wrote, also) {
			t.Errorf("known wrote %v, unknown %v", wrote, also)
		}
		if sixDigits.MatchString(second) || !strings.Contains(second, "nothing on file") {
			t.Errorf("unknown got\n%s\nknown\n%s", second, first)
		}
		for code := range 3 {
			if _, err := l.gives(unknown, "", "00000"+string(rune('0'+code))); fault.Of(err) != fault.Invalid {
				t.Errorf("what was never asked was answered: %v", err)
			}
		}
	}
}

// Who looks up an address behind the answer may die, or be one of several: each code that was asked for goes out once, unless it is too late to give it back.
func TestACodeThatWasAskedForGoesOutOnce(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	another := &desk.Desk{DB: l.DB, Book: l.Book, Comms: l.Comms, Policy: l.Policy, Log: l.Log}
	ask := func(to string) desk.Sent {
		t.Helper()
		sent, err := l.Desk.AskCode(ctx, desk.Ask{Why: desk.ToOpen, To: to, By: "public:web", Source: to})
		if err != nil {
			t.Fatal(err)
		}
		return sent
	}
	sent := ask("ann@acme.example")
	var both sync.WaitGroup
	var n [2]int
	for i, d := range []*desk.Desk{l.Desk, another} {
		both.Go(func() {
			var err error
			if n[i], err = d.SendCodes(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if n[0]+n[1] != 1 {
		t.Errorf("%v took it up", n)
	}
	if given, err := l.gives(sent, "", l.code("ann@acme.example")); err != nil || given.Standing.Contact == "" {
		t.Errorf("%+v %v", given, err)
	}
	if n, err := another.SendCodes(ctx); n != 0 || err != nil {
		t.Errorf("%d were sent again: %v", n, err)
	}
	ask("bo@acme.example")
	l.clock.Turn(l.Policy.Identity.Code)
	before, _ := l.notices()
	for i, want := range []int{1, 0} { // the second time it is dropped already
		if n, err := another.SendCodes(ctx); n != want || err != nil {
			t.Errorf("turn %d took up %d: %v", i, n, err)
		}
	}
	if after, _ := l.notices(); after != before {
		t.Error("a code was sent that nobody can give back")
	}
}

// A lost secret is regained by a code to the ticket's own address; the old one opens nothing any more, and what somebody else showed counts no more.
func TestALostSecretIsRegainedByTheSameAddress(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	r := l.filed("ann@elsewhere.example")
	hints, _ := l.knows(r.Number, "A-1", "Ann")
	if _, err := l.Record(ctx, "stf_eve", desk.Record{Ticket: r.Number, What: desk.ClassB, Hint: hints["+12…01"], Reached: true}); err != nil {
		t.Fatal(err)
	}
	l.level(r.ID, desk.L2, "a call back")
	sent, code := l.asks(desk.Ask{Why: desk.ToRegain, Number: strings.ToLower(r.Number), To: "Ann@elsewhere.example"}, "Ann@elsewhere.example")
	given, err := l.gives(sent, "", code)
	if err != nil || given.Secret == "" || given.Secret == r.Secret || given.Case != r.ID {
		t.Fatalf("%+v, %v", given, err)
	}
	if _, err := l.Open(ctx, r.Number, r.Secret); fault.Of(err) != fault.NotFound {
		t.Errorf("the old secret: %v", err)
	}
	if _, err := l.Open(ctx, r.Number, given.Secret); err != nil {
		t.Errorf("the new secret: %v", err)
	}
	if given.Standing.Level != desk.L1 {
		t.Errorf("whoever regained it is %s", given.Standing.Level)
	}
}

// Codes that were used stay used in a store that is put back from before, and so do secrets that were replaced.
func TestUsedCodesStayUsedAfterARestore(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	r := l.filed("ann@elsewhere.example")
	sent, code := l.asks(desk.Ask{Why: desk.ToRegain, Number: r.Number, To: "ann@elsewhere.example"}, "ann@elsewhere.example")
	var before []store.Raw
	kept := map[string]string{sent.ID: "question", r.ID: "ticket"}
	if err := l.DB.View(ctx, func(tx *store.Tx) error {
		for id, kind := range kept {
			raw, err := tx.StoredOne(kind, id)
			if err != nil {
				return err
			}
			raw.Body, raw.Tuples = slices.Clone(raw.Body), slices.Clone(raw.Tuples)
			for i, tuple := range raw.Tuples {
				raw.Tuples[i] = slices.Clone(tuple)
			}
			before = append(before, raw)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	given, err := l.gives(sent, "", code)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.DB.Update(ctx, store.Act{By: "system:test", Verb: "test.restore"}, func(tx *store.Tx) error {
		for _, raw := range before {
			if err := tx.PutStored(kept[raw.ID], raw); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Open(ctx, r.Number, r.Secret); err != nil {
		t.Fatalf("nothing was put back: %v", err)
	}
	if err := l.DB.Update(ctx, store.Act{By: "system:test", Verb: "test.journal"}, func(tx *store.Tx) error {
		facts, err := tx.WaitingFacts()
		if err != nil {
			return err
		}
		return tx.Reapply(desk.Applies(), facts, func(string) bool { return true })
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.gives(sent, "", code); fault.Of(err) != fault.Invalid {
		t.Errorf("the code held again: %v", err)
	}
	if _, err := l.Open(ctx, r.Number, r.Secret); fault.Of(err) != fault.NotFound {
		t.Errorf("the old secret: %v", err)
	}
	if _, err := l.Open(ctx, r.Number, given.Secret); err != nil {
		t.Errorf("the new secret: %v", err)
	}
}

// Nobody guesses a code, and nobody has us write to somebody again and again, from however many networks.
func TestCodesAreLimitedByTargetAndBySource(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	r := l.filed("ann@elsewhere.example")
	sent, code := l.asks(desk.Ask{Why: desk.ToReach, Number: r.Number}, "ann@elsewhere.example")
	p := l.Policy.Identity
	for try := range p.Tries {
		_, err := l.GiveCode(ctx, desk.Give{ID: sent.ID, Case: r.ID, Code: "x", By: "public:web", Source: "203.0.113." + string(rune('1'+try))})
		if fault.Of(err) != fault.Invalid {
			t.Fatalf("try %d: %v", try, err)
		}
	}
	if _, err := l.gives(sent, r.ID, code); fault.Of(err) != fault.TooMany {
		t.Errorf("behind %d wrong tries the right one: %v", p.Tries, err)
	}
	go func() { // the rest goes to nobody
		for range l.came {
		}
	}()
	refused := 0
	for n := range p.Sends + 2 {
		_, err := l.AskCode(ctx, desk.Ask{Why: desk.ToReach, Number: r.Number, By: "public:web", Source: "203.0.113." + string(rune('1'+n))})
		if fault.Of(err) == fault.TooMany {
			refused++
		}
	}
	if refused != 3 {
		t.Errorf("%d asked in vain, not 3", refused)
	}
	var last error
	for n := range p.From + 1 {
		_, last = l.AskCode(ctx, desk.Ask{Why: desk.ToOpen, To: string(rune('a'+n%26)) + string(rune('a'+n/26)) + "@many.example", By: "public:web", Source: "203.0.113.99"})
	}
	if fault.Of(last) != fault.TooMany {
		t.Errorf("from one network: %v", last)
	}
}

// same compares what became of tries.
func (l *lobby) same(what string, got, want []fault.Kind) {
	l.Helper()
	if !slices.Equal(got, want) {
		l.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Whoever asks for code after code to one address tries no more of them in a day than is stated; a stranger who knows the ticket's number alone takes none of her tries.
// Many wrong ones in all, each from another network, alarm staff once; strangers who cause that take no try from anybody else.
func TestWhoGuessesIsNoticed(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	p := &l.Policy.Identity
	p.Sends, p.DailySends, p.DailyTries, p.Wrong = 100, 100, 7, 30
	r := l.filed("ann@elsewhere.example")
	n := 0
	wrong := func(sent desk.Sent, of string) fault.Kind {
		n++
		_, err := l.GiveCode(ctx, desk.Give{ID: sent.ID, Case: of, Code: "x", By: "public:web", Source: fmt.Sprintf("2001:db8:%x::/64", n)})
		return fault.Of(err)
	}
	regain := func(to string) desk.Sent {
		t.Helper()
		sent, err := l.AskCode(ctx, desk.Ask{Why: desk.ToRegain, Number: r.Number, To: to, By: "public:web", Source: to})
		if err != nil {
			t.Fatal(err)
		}
		l.next(to)
		return sent
	}
	for range 9 { // by somebody who knows the number, and not the address
		wrong(regain("mallory@elsewhere.example"), "")
	}
	hers := []desk.Sent{regain("ann@elsewhere.example"), regain("ann@elsewhere.example")}
	var got []fault.Kind
	for try := range 9 {
		got = append(got, wrong(hers[try/5], ""))
	}
	l.same("nine tries of two codes to one address", got, []fault.Kind{fault.Invalid, fault.Invalid, fault.Invalid, fault.Invalid, fault.Invalid, fault.Invalid, fault.Invalid, fault.TooMany, fault.TooMany})

	alarms := func() (all []store.Rec[comms.Task]) {
		t.Helper()
		err := l.DB.View(ctx, func(tx *store.Tx) (err error) {
			all, _, err = l.Comms.Family(tx, "identity", comms.Open, "", 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if len(alarms()) != 0 {
		t.Fatal("alarmed of a few")
	}
	for range 2 {
		other := l.filed("ann@elsewhere.example")
		for range 9 {
			if _, _, err := l.Enter(ctx, other.Number, desk.Key{Secret: "wrong"}); fault.Of(err) != fault.NotFound {
				t.Fatalf("a wrong secret: %v", err)
			}
		}
	}
	all := alarms()
	if len(all) != 1 || all[0].Value.What != desk.TaskGuessing || all[0].Value.Count != 1 {
		t.Fatalf("%+v", all)
	}
	other := l.filed("cy@elsewhere.example")
	sent, code := l.asks(desk.Ask{Why: desk.ToReach, Number: other.Number}, "cy@elsewhere.example")
	got = []fault.Kind{wrong(sent, other.ID), wrong(sent, other.ID), wrong(sent, other.ID), wrong(sent, other.ID)}
	l.same("while somebody guesses", got, []fault.Kind{fault.Invalid, fault.Invalid, fault.Invalid, fault.Invalid})
	if _, err := l.gives(sent, other.ID, code); err != nil {
		t.Errorf("her fifth try, the right one: %v", err)
	}
}

// A record in a domain that was on file before shows who can write to it; one in a domain that came since, or in somebody else's, shows nothing, and the answer
// is the same.
func TestADNSRecordShowsWhoseDomainItIs(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	r := l.filed("ann@elsewhere.example")
	if _, err := l.Confirm(ctx, "stf_eve", desk.Link{Ticket: r.Number, Account: "A-1"}); err != nil {
		t.Fatal(err)
	}
	for _, domain := range []string{"", "localhost", "a b.example", "-.example"} {
		if _, err := l.AskZone(ctx, "public:web", r.Number, domain); fault.Of(err) != fault.Invalid {
			t.Errorf("%q: %v", domain, err)
		}
	}
	theirs, err := l.AskZone(ctx, "public:web", r.Number, "Bolt.example")
	if err != nil {
		t.Fatal(err)
	}
	hers, err := l.AskZone(ctx, "public:web", r.Number, "acme.example")
	if err != nil || hers.Name != "_lifeline-challenge.acme.example" || len(hers.Value) != 32 || hers.Value == theirs.Value || hers.Until.Sub(l.clock.Now()) != 72*time.Hour {
		t.Fatalf("%+v, %v", hers, err)
	}
	if again, err := l.AskZone(ctx, "public:web", r.Number, "acme.example"); err != nil || again.Value != hers.Value {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	if found, _, err := l.CheckZones(ctx, "public:web", r.Number); err != nil || len(found) > 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	l.zone.put(theirs.Name, "v=spf1 -all", theirs.Value)
	l.zone.put(hers.Name, "something else")
	if found, s, err := l.CheckZones(ctx, "public:web", r.Number); err != nil || len(found) != 1 || s.Level != desk.L0 {
		t.Fatalf("another customer's domain: %+v, %s, %v", found, s.Level, err)
	}
	l.zone.put(hers.Name, hers.Value)
	found, s, err := l.CheckZones(ctx, "public:web", r.Number)
	if err != nil || len(found) != 1 || s.Level != desk.L2 {
		t.Fatalf("%+v, %s, %v", found, s.Level, err)
	}
	if s.Proofs[0].Weak != desk.VoidDomain || s.Proofs[1].Domain != "acme.example" {
		t.Errorf("%+v", s.Proofs)
	}
	l.kept("A-1", contacts.Kept{Domain: true})
	l.kept("A-2", contacts.Kept{}) // her own record stands in a zone that another customer named
}

// kept looks at what a customer has for the day on which mail and phone are gone, alone and among all.
func (l *lobby) kept(account string, want contacts.Kept) {
	l.Helper()
	id, err := l.Book.AccountID(context.Background(), account)
	if err != nil {
		l.Fatal(err)
	}
	one, err := l.KeptBy(context.Background(), id)
	if err != nil || one != want {
		l.Errorf("%s has %+v, %v; want %+v", account, one, err, want)
	}
	if all, err := l.Kept(context.Background()); err != nil || all[id] != want {
		l.Errorf("of all, %s has %+v, %v; want %+v", account, all[id], err, want)
	}
}

// A saved recovery code is made for a contact who showed who she is, works once, and names her.
func TestSavedRecoveryCodesWorkOnce(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	r := l.filed("ann@elsewhere.example")
	hints, ann := l.knows(r.Number, "A-1", "Ann")
	if _, err := l.RecoveryCodes(ctx, desk.Who{Case: r.ID}); fault.Of(err) != fault.Forbidden {
		t.Errorf("codes for a stranger: %v", err)
	}
	for _, on := range []string{"+12…01", "a…@acme.example"} {
		sent, err := l.AskCode(ctx, desk.Ask{Why: desk.ToProve, Number: r.Number, Hint: hints[on], By: "stf_eve"})
		if err != nil {
			t.Fatal(err)
		}
		to := map[string]string{"+12…01": "+12025550101", "a…@acme.example": "ann@acme.example"}[on]
		if _, err := l.gives(sent, r.ID, l.code(to)); err != nil {
			t.Fatal(err)
		}
	}
	l.level(r.ID, desk.L3, "mail and phone")
	codes, err := l.RecoveryCodes(ctx, desk.Who{Case: r.ID})
	if err != nil || len(codes) != 8 || len(codes[0]) != 29 {
		t.Fatalf("%q, %v", codes, err)
	}
	if said := l.next("bo@acme.example"); !strings.Contains(said, "recovery codes were made") {
		t.Errorf("a colleague on file reads\n%s", said)
	}
	if _, err := l.RecoveryCodes(ctx, desk.Who{Case: r.ID}); fault.Of(err) != fault.Conflict {
		t.Errorf("others beside them: %v", err)
	}
	later := l.filed("ann@new.example")
	if _, err := l.Confirm(ctx, "stf_eve", desk.Link{Ticket: later.Number, Account: "A-1"}); err != nil {
		t.Fatal(err)
	}
	give := desk.Give{Case: later.ID, Code: strings.ToLower(strings.ReplaceAll(codes[3], "-", " ")), By: "public:web", Source: "192.0.2.7"}
	got, err := l.GiveRecovery(ctx, give)
	if err != nil || got.Standing.Level != desk.L2 || got.Standing.Contact != ann {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := l.GiveRecovery(ctx, give); fault.Of(err) != fault.Invalid {
		t.Errorf("a second time: %v", err)
	}
	l.kept("A-1", contacts.Kept{Codes: 7})
	if _, err := l.GiveRecovery(ctx, desk.Give{Case: later.ID, Code: "", By: "public:web", Source: "192.0.2.7"}); fault.Of(err) != fault.Invalid {
		t.Errorf("nothing: %v", err)
	}
}

// Correlated evidence waits for a second member of staff and for everybody on file to have a day to say no; the word is for exactly what there was.
func TestCorrelatedEvidenceWaits(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	r := l.filed("ann@elsewhere.example")
	hints, _ := l.knows(r.Number, "A-1", "Ann")
	sent, code := l.asks(desk.Ask{Why: desk.ToReach, Number: r.Number}, "ann@elsewhere.example")
	if _, err := l.gives(sent, r.ID, code); err != nil {
		t.Fatal(err)
	}
	sent, code = l.asks(desk.Ask{Why: desk.ToProve, Number: r.Number, Hint: hints["a…@acme.example"]}, "ann@acme.example")
	if _, err := l.gives(sent, r.ID, code); err != nil {
		t.Fatal(err)
	}
	z, err := l.AskZone(ctx, "public:web", r.Number, "acme.example")
	if err != nil {
		t.Fatal(err)
	}
	l.zone.put(z.Name, z.Value)
	if _, _, err := l.CheckZones(ctx, "public:web", r.Number); err != nil {
		t.Fatal(err)
	}
	l.level(r.ID, desk.L2, "mail and zone, which go together")
	if _, err := l.Record(ctx, "stf_eve", desk.Record{Ticket: r.Number, What: desk.ClassPair}); fault.Of(err) != fault.Forbidden {
		t.Errorf("whoever matched agreed: %v", err)
	}
	if _, err := l.Record(ctx, "stf_bob", desk.Record{Ticket: r.Number, What: desk.ClassPair}); err != nil {
		t.Fatal(err)
	}
	if said := l.next("bo@acme.example"); !strings.Contains(said, "about to be recognised") || !strings.Contains(said, r.Number) {
		t.Errorf("on file reads\n%s", said)
	}
	l.clock.Turn(24*time.Hour - time.Minute)
	if s := l.level(r.ID, desk.L2, "within the day"); !slices.Contains(s.Missing, "hold") {
		t.Errorf("missing %q", s.Missing)
	}
	l.clock.Turn(2 * time.Minute)
	if s := l.level(r.ID, desk.L1, "a day later, when it was last shown a day ago"); !s.Asleep {
		t.Errorf("%+v", s)
	}
	sent, code = l.asks(desk.Ask{Why: desk.ToProve, Number: r.Number, Hint: hints["a…@acme.example"]}, "ann@acme.example")
	if given, err := l.gives(sent, r.ID, code); err != nil || given.Standing.Level != desk.L3 || given.Standing.By != "correlated" {
		t.Errorf("a code to the proven channel: %+v, %v", given, err)
	}
}

// showsAll brings the person of a new ticket to L3 as a contact of Acme.
func (l *lobby) showsAll(name, mail, masked, phone string) desk.Receipt {
	l.Helper()
	ctx := context.Background()
	r := l.filed(name + "@elsewhere.example")
	hints, _ := l.knows(r.Number, "A-1", name)
	if _, err := l.Record(ctx, "stf_eve", desk.Record{Ticket: r.Number, What: desk.ClassB, Hint: hints[phone], Reached: true}); err != nil {
		l.Fatal(err)
	}
	sent, code := l.asks(desk.Ask{Why: desk.ToProve, Number: r.Number, Hint: hints[masked]}, mail)
	if _, err := l.gives(sent, r.ID, code); err != nil {
		l.Fatal(err)
	}
	l.level(r.ID, desk.L3, name)
	return r
}

// What changes how a customer is reached takes somebody who has just shown who she is, a second of hers or two members of staff, and a day in which everybody
// on file can say no.
func TestAChangeOfContactsTakesTwoAndADay(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	changes := l.Book.Changes
	ann := l.showsAll("Ann", "ann@acme.example", "a…@acme.example", "+12…01")
	s, err := l.Standing(ctx, ann.ID)
	if err != nil {
		t.Fatal(err)
	}
	mine := func(value string) desk.Amendment {
		return desk.Amendment{Amend: &contacts.Amend{Contact: s.Contact, Channel: contacts.Email, Value: value}}
	}
	rec, err := l.AskAmend(ctx, desk.Who{Case: ann.ID}, mine("ann@new.example"), "our mail is gone")
	if err != nil {
		t.Fatal(err)
	}
	if said := l.next("bo@acme.example"); !strings.Contains(said, "about to be changed") {
		t.Errorf("a colleague on file reads\n%s", said)
	}
	if _, err := changes.Run(ctx, "stf_eve", rec.ID); fault.Of(err) != fault.Forbidden {
		t.Errorf("nobody agreed: %v", err)
	}
	if _, err := l.AgreeAmend(ctx, desk.Who{Case: ann.ID}, rec.ID, rec.Value.Digest); fault.Of(err) != fault.Forbidden {
		t.Errorf("she agreed to it herself: %v", err)
	}
	bo := l.showsAll("Bo", "bo@acme.example", "b…@acme.example", "+12…02")
	if _, err := l.AgreeAmend(ctx, desk.Who{Case: bo.ID}, rec.ID, rec.Value.Digest); err != nil {
		t.Fatal(err)
	}
	l.clock.Turn(24*time.Hour - time.Minute)
	if _, err := changes.Run(ctx, "stf_eve", rec.ID); fault.Of(err) != fault.Conflict {
		t.Errorf("within the day: %v", err)
	}
	l.clock.Turn(time.Minute)
	if done, err := changes.Run(ctx, "stf_eve", rec.ID); err != nil || done.Value.State != contacts.ChangeDone {
		t.Fatalf("%+v, %v", done.Value, err)
	}
	if err := l.DB.View(ctx, func(tx *store.Tx) error {
		who, err := l.Book.ByAddress(tx, contacts.Email, "ann@new.example")
		if err != nil || len(who) != 1 || who[0].ID != s.Contact {
			t.Errorf("%+v, %v", who, err)
		}
		at, _ := who[0].Value.Address(contacts.Email, "ann@new.example")
		if proves, _ := at.Proves(bookDay.Add(40*24*time.Hour), tx.Now()); proves || at.How != contacts.ByCustomer {
			t.Errorf("an address of today proves who she is: %+v", at)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// What she showed is a day old by now.
	if _, err := l.AskAmend(ctx, desk.Who{Case: ann.ID}, mine("ann@other.example"), "again"); fault.Of(err) != fault.Forbidden {
		t.Errorf("a day later: %v", err)
	}
	dai := l.showsAll("Ann", "ann@acme.example", "a…@acme.example", "+12…01")
	if _, err := l.AskAmend(ctx, desk.Who{Case: dai.ID, Account: "acc_other"}, mine("x@evil.example"), "x"); fault.Of(err) != fault.NotFound {
		t.Errorf("another account: %v", err)
	}
	l.clock.Turn(15 * time.Minute)
	if _, err := l.AskAmend(ctx, desk.Who{Case: dai.ID}, mine("x@evil.example"), "x"); fault.Of(err) != fault.Forbidden {
		t.Errorf("a quarter of an hour later: %v", err)
	}
}

// Two members of staff do what a second contact of hers does; a customer and one member of staff do not; and whoever leads the incident shortens the day.
func TestTwoMembersOfStaffCarryAChange(t *testing.T) {
	l := openLobby(t)
	ctx := context.Background()
	changes := l.Book.Changes
	ann := l.showsAll("Ann", "ann@acme.example", "a…@acme.example", "+12…01")
	rec, err := l.AskAmend(ctx, desk.Who{Case: ann.ID}, desk.Amendment{Amend: &contacts.Amend{Value: "New.example"}}, "our domain is gone")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := changes.Approve(ctx, "stf_eve", rec.ID, rec.Value.Digest); err != nil {
		t.Fatal(err)
	}
	l.clock.Turn(25 * time.Hour)
	if _, err := changes.Run(ctx, "stf_eve", rec.ID); fault.Of(err) != fault.Forbidden {
		t.Errorf("a customer and one member of staff: %v", err)
	}
	forged := strings.Replace(string(rec.Value.Input), "new.example", "evil.example", 1)
	if _, err := changes.Propose(ctx, "stf_eve", contacts.Proposal{Verb: desk.VerbAmend, Input: []byte(forged), Reason: "she rang"}); fault.Of(err) != fault.Forbidden {
		t.Errorf("what she never asked for: %v", err)
	}
	again := l.showsAll("Ann", "ann@acme.example", "a…@acme.example", "+12…01")
	asked, err := l.AskAmend(ctx, desk.Who{Case: again.ID}, desk.Amendment{Amend: &contacts.Amend{Value: "new.example"}}, "our domain is gone")
	if err != nil {
		t.Fatal(err)
	}
	staff, err := changes.Propose(ctx, "stf_eve", contacts.Proposal{Verb: desk.VerbAmend, Input: asked.Value.Input, Reason: "she asked for it"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := changes.Approve(ctx, "stf_eve", staff.ID, staff.Value.Digest); fault.Of(err) != fault.Forbidden {
		t.Errorf("the maker checked herself: %v", err)
	}
	if _, err := changes.Approve(ctx, "stf_bob", staff.ID, staff.Value.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := changes.Run(ctx, "stf_eve", staff.ID); fault.Of(err) != fault.Conflict {
		t.Errorf("within the day: %v", err)
	}
	if err := l.Hasten(ctx, "stf_lead", staff.ID, ""); fault.Of(err) != fault.Invalid {
		t.Errorf("without a reason: %v", err)
	}
	if err := l.Hasten(ctx, "stf_lead", staff.ID, "a board meeting confirmed it on the telephone"); err != nil {
		t.Fatal(err)
	}
	if done, err := changes.Run(ctx, "stf_eve", staff.ID); err != nil || done.Value.State != contacts.ChangeDone {
		t.Fatalf("%+v, %v", done.Value, err)
	}
	view, err := l.Book.AccountView(ctx, "A-1")
	if err != nil || !slices.Contains(view.Account.Value.Domains, "new.example") {
		t.Errorf("%v, %v", view.Account.Value.Domains, err)
	}
	if view.Account.Value.DomainProves("new.example", bookDay.Add(40*24*time.Hour), l.clock.Now()) {
		t.Error("a domain of today proves who somebody is")
	}
}

// zone is a DNS server on the loopback that answers TXT questions with what it was given.
type zone struct {
	mu   sync.Mutex
	txt  map[string][]string
	addr string
}

func (z *zone) put(name string, values ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.txt[name+"."] = values
}

func (z *zone) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", z.addr)
	}}
}

func serveZone(t *testing.T) *zone {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z := &zone{txt: map[string][]string{}, addr: conn.LocalAddr().String()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			var m dnsmessage.Message
			if err != nil || m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			out, err := z.answer(m).Pack()
			if err == nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return z
}

func (z *zone) answer(m dnsmessage.Message) *dnsmessage.Message {
	z.mu.Lock()
	defer z.mu.Unlock()
	q := m.Questions[0]
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}, Questions: m.Questions}
	values, known := z.txt[q.Name.String()]
	if !known {
		out.RCode = dnsmessage.RCodeNameError
	}
	for _, v := range values {
		out.Answers = append(out.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET, TTL: 1},
			Body: &dnsmessage.TXTResource{TXT: []string{v}}})
	}
	return &out
}
