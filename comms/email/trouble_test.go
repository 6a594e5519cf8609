package email_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/comms/email"
	"lifeline/comms/email/smtptest"
)

// brief waits little before it leaves a relay alone, and for ever otherwise: a test that hangs says where.
var brief = email.Timeouts{Pause: time.Hour, PauseMax: time.Hour, Stall: 50 * time.Millisecond}

func send(t *testing.T, m *email.Mailer, to string) comms.Outcome {
	t.Helper()
	return m.Send(within(t), message(to))
}

func TestRefusalsLeaveTheConnectionInOrder(t *testing.T) {
	engines := map[string]smtptest.Options{
		"strict": {}, "bare": {Bare: true}, "step by step": {NoPipelining: true}, "data anyway": {DataAnyway: true},
	}
	for name, c := range map[string]struct {
		phase  smtptest.Phase
		answer smtptest.Answer
		state  comms.State
		reason string
		bare   bool // only the bare engine can
	}{
		"unknown user": {smtptest.Rcpt, smtptest.Answer{Code: 550, Enhanced: [3]int{5, 1, 1}, Text: "no such user"}, comms.Failed, "smtp 550 5.1.1 no such user", false},
		"full mailbox": {smtptest.Rcpt, smtptest.Answer{Code: 452, Enhanced: [3]int{4, 2, 2}, Text: "mailbox full"}, comms.Deferred, "smtp 452 4.2.2 mailbox full", false},
		"too large":    {smtptest.Mail, smtptest.Answer{Code: 552, Enhanced: [3]int{5, 3, 4}, Text: "too large"}, comms.Failed, "smtp 552 5.3.4 too large", false},
		"no data now":  {smtptest.Data, smtptest.Answer{Code: 451}, comms.Deferred, "smtp 451", true},
		"no data ever": {smtptest.Data, smtptest.Answer{Code: 554}, comms.Failed, "smtp 554", true},
		"spam":         {smtptest.Content, smtptest.Answer{Code: 550, Enhanced: [3]int{5, 7, 1}, Text: "spam"}, comms.Failed, "smtp 550 5.7.1 spam", false},
		"queue full":   {smtptest.Content, smtptest.Answer{Code: 451, Text: "queue full"}, comms.Deferred, "smtp 451 4.0.0 queue full", false},
	} {
		for engine, o := range engines {
			if c.bare && engine == "strict" {
				continue
			}
			t.Run(name+", "+engine, func(t *testing.T) {
				s := smtptest.Start(t, o)
				m := open(t, email.Config{Relays: []string{s.URL()}, Timeouts: brief})
				for range 2 {
					s.SetScript(smtptest.At(c.phase, c.answer))
					out := send(t, m, "ada@example.org")
					expect(t, out, c.state, c.reason)
					s.SetScript(nil)
					expect(t, send(t, m, "bob@example.org"), comms.Sent, "")
				}
				if s.Count() != 2 || s.Connections() != 1 {
					t.Errorf("%d messages over %d connections, want 2 over 1", s.Count(), s.Connections())
				}
				if v := s.Violations(); len(v) > 0 {
					t.Error(v)
				}
			})
		}
	}
}

func TestGreylistingPasses(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{Script: smtptest.Greylist(1)})
	m := open(t, email.Config{Relays: []string{s.URL()}, Timeouts: brief})
	expect(t, send(t, m, "ada@example.org"), comms.Deferred, "smtp 451 4.7.1 Greylisted")
	expect(t, send(t, m, "ada@example.org"), comms.Sent, "")
}

func TestQueueTextIsTheReference(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{Bare: true})
	m := open(t, email.Config{Relays: []string{s.URL()}})
	if out := send(t, m, "ada@example.org"); out.Ref != "Ok: queued as 1" {
		t.Errorf("%+v", out)
	}
}

func TestCutAfterDataIsUnknown(t *testing.T) {
	for name, o := range map[string]smtptest.Options{"strict": {}, "bare": {Bare: true}, "TLS": {Security: smtptest.StartTLS}} {
		t.Run(name, func(t *testing.T) {
			a, b := smtptest.Start(t, o), smtptest.Start(t, smtptest.Options{})
			a.SetScript(smtptest.At(smtptest.Content, smtptest.Answer{Cut: true, Keep: true}))
			m := open(t, email.Config{Relays: []string{a.URL(), b.URL()}, RootCAs: a.Pool(), Timeouts: brief})
			expect(t, send(t, m, "ada@example.org"), comms.Unknown, "connection lost after data")
			if a.Count() != 1 || b.Count() != 0 {
				t.Errorf("%d at the first relay, %d at the second: what may have been taken must not go elsewhere", a.Count(), b.Count())
			}
		})
	}
}

func TestHalfAMessageIsNoMessage(t *testing.T) {
	for name, o := range map[string]smtptest.Options{"strict": {}, "bare": {Bare: true}, "TLS": {Security: smtptest.Implicit}} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, o)
			s.SetScript(smtptest.At(smtptest.Data, smtptest.Answer{Half: true, Hang: true}))
			limits := brief
			limits.Block = 100 * time.Millisecond
			m := open(t, email.Config{Relays: []string{s.URL()}, RootCAs: s.Pool(), Timeouts: limits})
			msg := message("ada@example.org")
			msg.Text = strings.Repeat("0123456789 .\n", 1<<20) // more than the sockets between us hold
			expect(t, m.Send(within(t), msg), comms.Deferred, "connection lost within data: no answer in time")
			_ = s.Close()
			if s.Count() != 0 {
				t.Error("the relay took half a message for one")
			}
		})
	}
}

func TestKeptConnectionThatWentAwayIsRenewed(t *testing.T) {
	for name, o := range map[string]smtptest.Options{"strict": {}, "step by step": {NoPipelining: true}, "TLS": {Security: smtptest.StartTLS}} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, o)
			m := open(t, email.Config{Relays: []string{s.URL()}, RootCAs: s.Pool(), Timeouts: brief})
			for n := 1; n <= 3; n++ {
				expect(t, send(t, m, "ada@example.org"), comms.Sent, "")
				if s.Connections() != n {
					t.Fatalf("%d connections, want %d", s.Connections(), n)
				}
				s.Cut()
			}
		})
	}
}

func TestRelayThatLimitsMessagesPerConnection(t *testing.T) {
	var mu sync.Mutex
	seen := map[int]int{}
	s := smtptest.Start(t, smtptest.Options{Bare: true, Script: func(e smtptest.Event) smtptest.Answer {
		mu.Lock()
		defer mu.Unlock()
		if e.Phase == smtptest.Mail {
			if seen[e.Conn]++; seen[e.Conn] > 2 {
				return smtptest.Answer{Code: 421, Enhanced: [3]int{4, 7, 0}, Text: "too many messages here"}
			}
		}
		return smtptest.Answer{}
	}})
	m := open(t, email.Config{Relays: []string{s.URL()}, Timeouts: brief})
	for range 7 {
		expect(t, send(t, m, "ada@example.org"), comms.Sent, "")
	}
	if s.Connections() != 4 {
		t.Errorf("%d connections, want 4", s.Connections())
	}
}

func TestRelayThatLimitsConnections(t *testing.T) {
	var s *smtptest.Server
	var mu sync.Mutex
	admitted := 0
	s = smtptest.Start(t, smtptest.Options{Bare: true, Script: func(e smtptest.Event) smtptest.Answer {
		mu.Lock()
		defer mu.Unlock()
		if e.Phase == smtptest.Connect {
			if admitted == 2 {
				return smtptest.Answer{Code: 421, Enhanced: [3]int{4, 7, 0}, Text: "too many connections from you"}
			}
			admitted++
		}
		return smtptest.Answer{}
	}})
	m := open(t, email.Config{Relays: []string{s.URL()}, Connections: 8, Timeouts: brief})
	expect(t, send(t, m, "first@example.org"), comms.Sent, "")
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if out := m.Send(context.Background(), message(fmt.Sprintf("p%d@example.org", i))); out.State != comms.Sent {
				t.Errorf("%+v", out)
			}
		}()
	}
	wg.Wait()
	if s.Count() != 101 {
		t.Errorf("%d messages came", s.Count())
	}
}

func TestFailOver(t *testing.T) {
	secure := smtptest.Options{Security: smtptest.StartTLS, User: "u", Password: "p"}
	for name, c := range map[string]struct {
		o      smtptest.Options
		script smtptest.Script
		spoil  func(url string) string
		reason string
	}{
		"closed port":      {reason: "refused", spoil: func(string) string { return "smtp://" + closedPort(t) + "?tls=none" }},
		"421 greeting":     {reason: "smtp 421 4.3.2 going down", script: smtptest.At(smtptest.Connect, smtptest.Answer{Code: 421, Enhanced: [3]int{4, 3, 2}, Text: "going down"})},
		"554 greeting":     {reason: "smtp 554", script: smtptest.At(smtptest.Connect, smtptest.Answer{Code: 554})},
		"cut greeting":     {reason: "closed by the relay", script: smtptest.At(smtptest.Connect, smtptest.Answer{Cut: true})},
		"mute greeting":    {reason: "no answer in time", script: smtptest.At(smtptest.Connect, smtptest.Answer{Hang: true})},
		"421 to MAIL":      {reason: "smtp 421", script: smtptest.At(smtptest.Mail, smtptest.Answer{Code: 421})},
		"451 to MAIL":      {reason: "smtp 451", script: smtptest.At(smtptest.Mail, smtptest.Answer{Code: 451})},
		"sender refused":   {reason: "smtp 550 5.7.1", script: smtptest.At(smtptest.Mail, smtptest.Answer{Code: 550, Enhanced: [3]int{5, 7, 1}, Text: "not you"})},
		"421 to RCPT":      {reason: "smtp 421", script: smtptest.At(smtptest.Rcpt, smtptest.Answer{Code: 421})},
		"cut at RCPT":      {reason: "before data: closed", script: smtptest.At(smtptest.Rcpt, smtptest.Answer{Cut: true}), o: smtptest.Options{Bare: true}},
		"mute at RCPT":     {reason: "before data: no answer", script: smtptest.At(smtptest.Rcpt, smtptest.Answer{Hang: true})},
		"over quota":       {reason: "smtp 550 5.4.5", script: smtptest.At(smtptest.Content, smtptest.Answer{Code: 550, Enhanced: [3]int{5, 4, 5}, Text: "daily limit exceeded"})},
		"421 after data":   {reason: "smtp 421", script: smtptest.At(smtptest.Content, smtptest.Answer{Code: 421})},
		"no STARTTLS":      {reason: "STARTTLS", spoil: func(u string) string { return strings.TrimSuffix(u, "?tls=none") }},
		"wrong password":   {o: secure, reason: "smtp 535", spoil: func(u string) string { return strings.Replace(u, ":p@", ":q@", 1) }},
		"login not spoken": {reason: "no login", o: smtptest.Options{Security: smtptest.StartTLS}, spoil: func(u string) string { return strings.Replace(u, "://", "://u:p@", 1) }},
		"wrong name":       {o: secure, reason: "certificate", spoil: func(u string) string { return strings.Replace(u, "127.0.0.1", "127.0.0.2", 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			if c.o.Security == smtptest.StartTLS && name == "wrong name" {
				c.o.Addr = "0.0.0.0:0"
			}
			a, b := smtptest.Start(t, c.o), smtptest.Start(t, smtptest.Options{})
			a.SetScript(c.script)
			first := a.URL()
			if c.o.Addr != "" {
				_, port, _ := net.SplitHostPort(a.Addr())
				first = "smtp://u:p@127.0.0.1:" + port
			}
			if c.spoil != nil {
				first = c.spoil(first)
			}
			limits := brief
			limits.Patience = 250 * time.Millisecond
			alone := open(t, email.Config{Relays: []string{first}, RootCAs: a.Pool(), Timeouts: email.Timeouts{
				Pause: time.Hour, PauseMax: time.Hour, Greeting: limits.Patience, Command: limits.Patience,
			}})
			out := send(t, alone, "ada@example.org")
			expect(t, out, comms.Deferred, c.reason)
			if out.Wait <= 0 || out.Wait > time.Hour || !strings.HasPrefix(out.Reason, "no relay took it") {
				t.Errorf("%+v", out)
			}

			both := open(t, email.Config{Relays: []string{first, b.URL()}, RootCAs: a.Pool(), Timeouts: limits})
			expect(t, send(t, both, "ada@example.org"), comms.Sent, "")
			before := a.Connections()
			for range 10 {
				expect(t, send(t, both, "ada@example.org"), comms.Sent, "")
			}
			if b.Count() != 11 || a.Count() != 0 || a.Connections() != before {
				t.Errorf("%d by the second relay, %d by the first, which was dialled %d times more", b.Count(), a.Count(), a.Connections()-before)
			}
		})
	}
}

// A relay whose disk is full for one message is passed by for that message alone: with no other it is tried again later, and nobody is refused for good.
func TestWhatARelayCannotTakeNowGoesElsewhere(t *testing.T) {
	a, b := smtptest.Start(t, smtptest.Options{}), smtptest.Start(t, smtptest.Options{})
	full := smtptest.Answer{Code: 452, Enhanced: [3]int{4, 3, 1}, Text: "disk full"}
	a.SetScript(smtptest.At(smtptest.Content, full, "ada@example.org"))
	m := open(t, email.Config{Relays: []string{a.URL(), b.URL()}, Timeouts: brief})
	for _, to := range []string{"ada@example.org", "bob@example.org"} {
		expect(t, send(t, m, to), comms.Sent, "")
	}
	if a.Count() != 1 || b.Count() != 1 {
		t.Errorf("%d by the first relay, %d by the second", a.Count(), b.Count())
	}
	b.SetScript(smtptest.At(smtptest.Content, full))
	expect(t, send(t, m, "ada@example.org"), comms.Deferred, "452 4.3.1")
	if a.Connections() != 1 {
		t.Errorf("%d connections to the first", a.Connections())
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestFirstRelayIsUsedAgainOnceItWorks(t *testing.T) {
	a, b := smtptest.Start(t, smtptest.Options{}), smtptest.Start(t, smtptest.Options{})
	a.SetScript(smtptest.At(smtptest.Connect, smtptest.Answer{Code: 421}))
	m := open(t, email.Config{Relays: []string{a.URL(), b.URL()}, Timeouts: email.Timeouts{Pause: time.Millisecond, PauseMax: 2 * time.Millisecond}})
	expect(t, send(t, m, "ada@example.org"), comms.Sent, "")
	a.SetScript(nil)
	for deadline := time.Now().Add(20 * time.Second); a.Count() == 0; {
		expect(t, send(t, m, "ada@example.org"), comms.Sent, "")
		if time.Now().After(deadline) {
			t.Fatal("the first relay is never tried again")
		}
	}
}

func TestHangingRelayHoldsNoMoreThanItsQuota(t *testing.T) {
	const quota, n = 2, 60
	a, b := smtptest.Start(t, smtptest.Options{}), smtptest.Start(t, smtptest.Options{})
	a.SetScript(smtptest.At(smtptest.Rcpt, smtptest.Answer{Hang: true}))
	limits := brief
	limits.Patience = time.Hour
	m := open(t, email.Config{Relays: []string{a.URL(), b.URL()}, Connections: quota, Timeouts: limits})
	ctx, cancel := context.WithCancel(context.Background())
	outs := make(chan comms.Outcome, n)
	for i := range n {
		go func() { outs <- m.Send(ctx, message(fmt.Sprintf("p%d@example.org", i))) }()
	}
	for range n - quota {
		expect(t, <-outs, comms.Sent, "")
	}
	cancel()
	for range quota {
		expect(t, <-outs, comms.Deferred, "stopped")
	}
	if b.Count() != n-quota || a.Connections() != quota {
		t.Errorf("%d by the second relay, %d connections to the first", b.Count(), a.Connections())
	}
}

func TestStoppingBeforeAndAfterTheContent(t *testing.T) {
	for name, c := range map[string]struct {
		phase smtptest.Phase
		state comms.State
	}{
		"greeting": {smtptest.Connect, comms.Deferred},
		"RCPT":     {smtptest.Rcpt, comms.Deferred},
		"content":  {smtptest.Content, comms.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			reached := make(chan struct{})
			s := smtptest.Start(t, smtptest.Options{Script: func(e smtptest.Event) smtptest.Answer {
				if e.Phase == c.phase {
					close(reached)
					return smtptest.Answer{Hang: true}
				}
				return smtptest.Answer{}
			}})
			m := open(t, email.Config{Relays: []string{s.URL()}, Timeouts: brief})
			ctx, cancel := context.WithCancel(context.Background())
			out := make(chan comms.Outcome, 1)
			go func() { out <- m.Send(ctx, message("ada@example.org")) }()
			<-reached
			cancel()
			expect(t, <-out, c.state, "stopped")
			s.SetScript(nil)
			expect(t, send(t, m, "bob@example.org"), comms.Sent, "") // the relay is not blamed for our stopping
		})
	}
}

func TestCloseLetsMessagesFinish(t *testing.T) {
	reached, goOn := make(chan struct{}), make(chan struct{})
	s := smtptest.Start(t, smtptest.Options{Script: func(e smtptest.Event) smtptest.Answer {
		if e.Phase == smtptest.Content {
			close(reached)
			<-goOn
		}
		return smtptest.Answer{}
	}})
	m := open(t, email.Config{Relays: []string{s.URL()}, Connections: 1})
	sent := make(chan comms.Outcome, 1)
	go func() { sent <- m.Send(context.Background(), message("ada@example.org")) }()
	<-reached
	closed := make(chan error, 1)
	go func() { closed <- m.Close() }()
	for m.Send(context.Background(), message("late@example.org")).Reason != "the mailer is closing" {
		t.Log("Close has not begun")
	}
	select {
	case <-closed:
		t.Fatal("Close did not wait for the message in flight")
	default:
	}
	close(goOn)
	expect(t, <-sent, comms.Sent, "")
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// speak serves each connection with a function, for answers that no server gives.
func speak(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { _ = l.Close() })
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer func() { _ = c.Close() }()
				serve(c)
			}()
		}
	}()
	return "smtp://" + l.Addr().String() + "?tls=none"
}

func TestAnswersThatAreNotSMTP(t *testing.T) {
	for name, answer := range map[string]string{
		"a web page":   "HTTP/1.1 400 Bad Request\r\n\r\n",
		"endless line": strings.Repeat("2", 1<<20),
		"endless text": strings.Repeat("250-more\r\n", 1<<16),
		"mixed codes":  "250-yes\r\n550 no\r\n",
		"code 000":     "000 nothing\r\n",
		"code 354":     "354 content, please\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			url := speak(t, func(c net.Conn) {
				r := bufio.NewReader(c)
				_, _ = io.WriteString(c, "220 hello\r\n")
				_, _ = r.ReadString('\n')
				_, _ = io.WriteString(c, "250 hello\r\n")
				_, _ = r.ReadString('\n')
				_, _ = io.WriteString(c, answer)
				_, _ = io.Copy(io.Discard, r)
			})
			m := open(t, email.Config{Relays: []string{url}, Timeouts: brief})
			out := send(t, m, "ada@example.org")
			expect(t, out, comms.Deferred, "")
			if len(out.Reason) > 1000 {
				t.Errorf("%d bytes of reason", len(out.Reason))
			}
		})
	}
}

func TestReasonIsCleanAndBounded(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{Script: smtptest.Refuse(550, [3]int{5, 1, 1},
		"a\x1b[31mred\x07 \u202eevil"+strings.Repeat("x", 400), "ada@example.org")})
	m := open(t, email.Config{Relays: []string{s.URL()}})
	out := send(t, m, "ada@example.org")
	expect(t, out, comms.Failed, "smtp 550 5.1.1 a [31mred evil")
	if len(out.Reason) > 300 || strings.ContainsAny(out.Reason, "\x1b\x07\u202e") {
		t.Errorf("%q", out.Reason)
	}
}

func TestCheckNamesTheRelayInTrouble(t *testing.T) {
	good := smtptest.Start(t, smtptest.Options{})
	bad := closedPort(t)
	m := open(t, email.Config{Relays: []string{good.URL(), "smtp://" + bad + "?tls=none"}})
	err := m.Check(within(t))
	if err == nil || !strings.Contains(err.Error(), bad) || strings.Contains(err.Error(), good.Addr()) {
		t.Errorf("%v", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error("the check took too long")
	}
}

// The commands of a message that waits go out behind the content of the one before, and whatever becomes of one is not the other's.
func TestTheNextMessageTravelsBehindTheContent(t *testing.T) {
	const accept = "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n"
	for name, c := range map[string]struct {
		answers string // to the first content and what came behind it; then the connection is closed unless it ends in 354
		leaves  bool   // the second message stops waiting meanwhile
		first   comms.State
		second  comms.State
		dials   int
		taken   int
	}{
		"both are taken":                 {"250 2.0.0 taken\r\n" + accept, false, comms.Sent, comms.Sent, 1, 2},
		"the first is refused":           {"550 5.7.1 spam\r\n" + accept, false, comms.Failed, comms.Sent, 1, 2},
		"refused, and not ended":         {"550 5.7.1 spam\r\n503 5.5.1 nested MAIL\r\n250 2.1.5 ok\r\n354 go on\r\n", false, comms.Failed, comms.Sent, 2, 2},
		"cut at the verdict":             {"", false, comms.Unknown, comms.Sent, 2, 2},
		"cut behind the verdict":         {"250 2.0.0 taken\r\n", false, comms.Sent, comms.Sent, 2, 2},
		"the second's address is none":   {"250 2.0.0 taken\r\n250 2.1.0 ok\r\n550 5.1.1 no such user\r\n503 no recipient\r\n", false, comms.Sent, comms.Failed, 1, 1},
		"the second waits no longer":     {"250 2.0.0 taken\r\n" + accept, true, comms.Sent, comms.Deferred, 1, 1},
		"the relay says goodbye in time": {"421 4.3.2 closing\r\n", false, comms.Deferred, comms.Sent, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			dials, taken := 0, 0
			begun, queued, behind, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
			url := speak(t, func(nc net.Conn) {
				mu.Lock()
				dials++
				first := dials == 1
				mu.Unlock()
				r := bufio.NewReader(nc)
				say := func(s string) { _, _ = io.WriteString(nc, s) }
				hear := func(until string) bool {
					for {
						line, err := r.ReadString('\n')
						if err != nil || strings.HasPrefix(line, "QUIT") {
							return false
						}
						if strings.HasPrefix(line, until) {
							return true
						}
					}
				}
				content := func() bool {
					if !hear(".\r\n") {
						return false
					}
					mu.Lock()
					defer mu.Unlock()
					taken++
					return true
				}
				say("220 hello\r\n")
				hear("EHLO")
				say("250-hello\r\n250 PIPELINING\r\n")
				if first {
					hear("DATA")
					close(begun)
					<-queued
					say(accept)
					content()
					hear("DATA") // before the verdict
					close(behind)
					<-goOn
					say(c.answers)
					if c.answers == "" || !strings.HasSuffix(c.answers, "354 go on\r\n") && !strings.HasSuffix(c.answers, "no recipient\r\n") {
						return
					}
					if content() {
						say("250 2.0.0 taken\r\n")
					}
				}
				for hear("DATA") {
					say(accept)
					if content() {
						say("250 2.0.0 taken\r\n")
					}
				}
			})
			quick := brief
			quick.Pause, quick.PauseMax = time.Millisecond, time.Millisecond
			m := open(t, email.Config{Relays: []string{url}, Connections: 1, Timeouts: quick})
			waits, leave := context.WithCancel(within(t))
			defer leave()
			release := sync.OnceFunc(func() { close(goOn) })
			defer release()
			first, second := make(chan comms.Outcome, 1), make(chan comms.Outcome, 1)
			go func() { first <- m.Send(within(t), message("ada@example.org")) }()
			<-begun
			go func() { second <- m.Send(waits, message("bob@example.org")) }()
			for m.Waiting() == 0 {
				time.Sleep(time.Millisecond)
			}
			close(queued)
			<-behind
			if c.leaves {
				leave()
				expect(t, <-second, c.second, "no relay took it: stopped while waiting")
				release()
				expect(t, <-first, c.first, "")
			} else {
				release()
				expect(t, <-first, c.first, "")
				out := <-second
				for out.State == comms.Deferred && out.Wait > 0 { // the relay was left alone for a moment
					out = m.Send(within(t), message("bob@example.org"))
				}
				expect(t, out, c.second, "")
			}
			mu.Lock()
			defer mu.Unlock()
			if dials != c.dials || taken != c.taken {
				t.Errorf("%d connections and %d contents, want %d and %d", dials, taken, c.dials, c.taken)
			}
		})
	}
}
