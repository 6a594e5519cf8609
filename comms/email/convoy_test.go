package email_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/comms/email"
	"lifeline/comms/email/smtptest"
)

// several are messages to p0, p1 and so on, each with a line that begins with a dot.
func several(n int) []comms.Message {
	all := make([]comms.Message, n)
	for i := range all {
		all[i] = message(fmt.Sprintf("p%d@example.org", i))
		all[i].Text = "We do not know yet.\n.A dot is a dot.\n"
		all[i].ID = fmt.Sprintf("m%d@example.com", i)
	}
	return all
}

func TestSeveralMessagesEachHaveTheirOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		o        smtptest.Options
		together int
	}{
		"strict": {smtptest.Options{}, 8}, "bare": {smtptest.Options{Bare: true}, 8}, "counting": {smtptest.Options{Count: true}, 8},
		"no chunking": {smtptest.Options{NoChunking: true}, 1}, "step by step": {smtptest.Options{NoPipelining: true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, c.o)
			m := open(t, email.Config{Relays: []string{s.URL()}, Timeouts: brief, Connections: 1})
			if n := m.Together(); n != 1 {
				t.Errorf("glad of %d before it knows the relay", n)
			}
			expect(t, send(t, m, "first@example.org"), comms.Sent, "")
			if n := m.Together(); n != c.together {
				t.Errorf("glad of %d, want %d", n, c.together)
			}
			s.SetScript(func(e smtptest.Event) smtptest.Answer {
				switch {
				case e.Phase == smtptest.Rcpt && e.To == "p0@example.org":
					return smtptest.Answer{Code: 550, Enhanced: [3]int{5, 1, 1}, Text: "no such user"}
				case e.Phase == smtptest.Rcpt && e.To == "p3@example.org":
					return smtptest.Answer{Code: 451, Enhanced: [3]int{4, 7, 1}, Text: "Greylisted"}
				case e.Phase == smtptest.Content && e.To == "p5@example.org":
					return smtptest.Answer{Code: 554, Enhanced: [3]int{5, 7, 1}, Text: "spam"}
				}
				return smtptest.Answer{}
			})
			all := several(8)
			all[6].To = "nobody"
			for range 2 {
				outs := m.SendAll(within(t), all)
				for i, want := range []struct {
					state  comms.State
					reason string
				}{{comms.Failed, "smtp 550 5.1.1 no such user"}, {comms.Sent, ""}, {comms.Sent, ""}, {comms.Deferred, "smtp 451 4.7.1 Greylisted"}, {comms.Sent, ""}, {comms.Failed, "smtp 554 5.7.1 spam"}, {comms.Failed, "bad address"}, {comms.Sent, ""}} {
					expect(t, outs[i], want.state, want.reason)
				}
			}
			expect(t, send(t, m, "last@example.org"), comms.Sent, "")
			if s.Count() != 10 || c.together > 1 && s.Connections() != 1 {
				t.Errorf("%d messages over %d connections, want 10 over 1", s.Count(), s.Connections())
			}
			for _, r := range s.Received() {
				p, err := r.Parse()
				if err != nil {
					t.Fatal(err)
				}
				if len(r.To) != 1 || p.To[0].Address != r.To[0] || strings.HasPrefix(r.To[0], "p") && !strings.Contains(p.Text, "\r\n.A dot is a dot.\r\n") {
					t.Errorf("%v got what is for %v: %q", r.To, p.To, p.Text)
				}
			}
			if v := s.Violations(); len(v) > 0 {
				t.Error(v)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			expect(t, m.SendAll(within(t), all[:2])[1], comms.Deferred, "closing")
		})
	}
}

func TestWhatARelaySaysToSeveralMessages(t *testing.T) {
	const (
		taken   = "250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.0.0 taken\r\n"
		behind  = "250 2.0.0 reset\r\n" + taken
		nobody  = "250 2.1.0 ok\r\n550 5.1.1 no such user\r\n"
		refused = nobody + "503 5.5.1 no recipient\r\n"
	)
	for name, c := range map[string]struct {
		answers string // to a turn of three
		stays   bool   // the connection; else it is closed behind them
		outs    [3]comms.State
		taken   int  // later, one by one
		apart   bool // it is given one message at a time from now on
	}{
		"all are taken":                   {taken + behind + behind, true, [3]comms.State{comms.Sent, comms.Sent, comms.Sent}, 0, false},
		"the last is refused":             {taken + behind + "250 2.0.0 reset\r\n" + refused, true, [3]comms.State{comms.Sent, comms.Sent, comms.Failed}, 0, false},
		"cut before any verdict":          {"", false, [3]comms.State{comms.Unknown, comms.Unknown, comms.Unknown}, 0, true},
		"cut behind the first":            {taken, false, [3]comms.State{comms.Sent, comms.Unknown, comms.Unknown}, 0, true},
		"cut within the answers to one":   {taken + "250 2.0.0 reset\r\n250 2.1.0 ok\r\n", false, [3]comms.State{comms.Sent, comms.Unknown, comms.Unknown}, 0, true},
		"cut once the first was refused":  {nobody, false, [3]comms.State{comms.Failed, comms.Unknown, comms.Unknown}, 0, true},
		"goodbye to the second":           {taken + "421 4.7.0 too many messages here\r\n", false, [3]comms.State{comms.Sent, comms.Sent, comms.Sent}, 2, false},
		"goodbye at a content":            {"250 2.1.0 ok\r\n250 2.1.5 ok\r\n421 4.3.2 closing\r\n", false, [3]comms.State{comms.Deferred, comms.Deferred, comms.Deferred}, 0, false},
		"a reset is refused for nothing":  {taken + "500 5.5.1 what\r\n" + taken + behind, true, [3]comms.State{comms.Sent, comms.Sent, comms.Sent}, 0, false},
		"content for nobody is taken":     {nobody + "250 2.0.0 taken\r\n" + behind + behind, false, [3]comms.State{comms.Failed, comms.Sent, comms.Sent}, 0, false},
		"it does not like our address":    {"530 5.7.0 log in\r\n503 5.5.1 MAIL first\r\n503 5.5.1 MAIL first\r\n" + behind + behind, false, [3]comms.State{comms.Deferred, comms.Sent, comms.Sent}, 0, false},
		"what it answers is not SMTP":     {taken + "hello\r\n", false, [3]comms.State{comms.Sent, comms.Unknown, comms.Unknown}, 0, true},
		"goodbye to the first, half done": {"250 2.1.0 ok\r\n421 4.3.2 closing\r\n", false, [3]comms.State{comms.Deferred, comms.Deferred, comms.Deferred}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var turns [][]string // the commands of each turn
			singly := 0
			url := speak(t, func(nc net.Conn) {
				r := bufio.NewReader(nc)
				say := func(s string) { _, _ = io.WriteString(nc, s) }
				var turn []string
				say("220 hello\r\n")
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
					switch verb {
					case "EHLO":
						say("250-hello\r\n250-PIPELINING\r\n250 CHUNKING\r\n")
					case "DATA":
						if slices.Contains(turn, "RSET") {
							say("250 2.0.0 reset\r\n")
						}
						say("250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n")
						for line != ".\r\n" && err == nil {
							line, err = r.ReadString('\n')
						}
						mu.Lock()
						singly++
						mu.Unlock()
						say("250 2.0.0 taken\r\n")
						turn = nil
					case "BDAT":
						n, _ := strconv.Atoi(strings.TrimSuffix(rest, " LAST"))
						if _, err := r.Discard(n); err != nil {
							return
						}
						if turn = append(turn, verb); r.Buffered() == 0 && slices.Index(turn, "RSET") > 0 && len(turn) == 11 {
							mu.Lock()
							turns = append(turns, turn)
							mu.Unlock()
							turn = nil
							if say(c.answers); !c.stays {
								return
							}
						}
					case "QUIT":
						return
					default:
						turn = append(turn, verb)
					}
				}
			})
			lasting := brief
			lasting.Pause = time.Minute
			m := open(t, email.Config{Relays: []string{url}, Connections: 1, Timeouts: lasting})
			expect(t, send(t, m, "first@example.org"), comms.Sent, "")
			outs := m.SendAll(within(t), several(3))
			for i, want := range c.outs {
				if outs[i].State != want {
					t.Errorf("message %d: %s %q, want %s", i, outs[i].State, outs[i].Reason, want)
				}
			}
			m.Later(2 * time.Minute) // it is left alone no longer
			expect(t, send(t, m, "later@example.org"), comms.Sent, "")
			if n := m.Together(); c.apart != (n == 1) {
				t.Errorf("glad of %d behind that", n)
			}
			mu.Lock()
			defer mu.Unlock()
			if want := strings.Fields("MAIL RCPT BDAT RSET MAIL RCPT BDAT RSET MAIL RCPT BDAT"); len(turns) != 1 || !slices.Equal(turns[0], want) || singly != 2+c.taken {
				t.Errorf("turns %v, and %d one by one", turns, singly)
			}
		})
	}
}

func TestAConnectionThatWentAwayCarriesNothing(t *testing.T) {
	for name, gone := range map[string]func(*testing.T, *smtptest.Server, *email.Mailer){
		"long ago": func(_ *testing.T, s *smtptest.Server, m *email.Mailer) {
			s.Cut()
			m.Later(2 * time.Second)
		},
		"just now": func(t *testing.T, s *smtptest.Server, _ *email.Mailer) {
			s.Cut()
			if err := s.Await(within(t), func() bool { return s.Open() == 0 }); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, smtptest.Options{Bare: true})
			m := open(t, email.Config{Relays: []string{s.URL()}, Timeouts: brief})
			expect(t, send(t, m, "first@example.org"), comms.Sent, "")
			gone(t, s, m)
			for i, out := range m.SendAll(within(t), several(3)) {
				if out.State != comms.Sent {
					t.Errorf("message %d: %+v", i, out)
				}
			}
			if s.Count() != 4 {
				t.Errorf("%d messages came", s.Count())
			}
		})
	}
}

func TestOneMessageGoesBeforeSeveral(t *testing.T) {
	holds, goOn := make(chan struct{}), make(chan struct{})
	var hold sync.Once
	s := smtptest.Start(t, smtptest.Options{Bare: true, Script: func(e smtptest.Event) smtptest.Answer {
		if e.Phase == smtptest.Content && e.To == "slow@example.org" {
			hold.Do(func() { close(holds); <-goOn })
		}
		return smtptest.Answer{}
	}})
	m := open(t, email.Config{Relays: []string{s.URL()}, Connections: 1, Timeouts: brief})
	expect(t, send(t, m, "first@example.org"), comms.Sent, "")
	var all sync.WaitGroup
	waits := func(n int, do func()) {
		all.Add(1)
		go func() { defer all.Done(); do() }()
		for m.Waiting() < n {
			time.Sleep(time.Millisecond)
		}
	}
	waits(0, func() { send(t, m, "slow@example.org") })
	<-holds
	waits(1, func() { m.SendAll(within(t), several(3)) })
	waits(2, func() { send(t, m, "code@example.org") })
	close(goOn)
	all.Wait()
	var came []string
	for _, r := range s.Received() {
		came = append(came, r.To...)
	}
	if want := strings.Fields("first@example.org slow@example.org code@example.org p0@example.org p1@example.org p2@example.org"); !slices.Equal(came, want) {
		t.Errorf("they came as %v", came)
	}
}
