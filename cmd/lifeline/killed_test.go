package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"lifeline/comms"
	"lifeline/comms/email/smtptest"
	"lifeline/store/storetest"
)

// tally counts the messages of a broadcast as they come in whole.
type tally struct {
	mu sync.Mutex
	to map[string]int
	n  int
}

func (c *tally) script(e smtptest.Event) smtptest.Answer {
	if e.Phase == smtptest.Content && strings.HasPrefix(e.To, "person") {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.to[e.To]++
		c.n++
	}
	return smtptest.Answer{}
}

func (c *tally) counts() (people, messages int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.to), c.n
}

func (c *tally) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to, c.n = map[string]int{}, 0
}

// A serving process is killed, or told to stop, at a random moment of a broadcast, and started again: everybody is told, nobody twice but at the most a
// window of those who were under way when it was killed, and the board adds up to the audience: 50 rounds of 20,000 people, every other one a kill. Its short form is
// the story kill_nine, which dies once.
func TestBroadcastsOutliveKillsAndStops(t *testing.T) {
	t.Parallel()
	if os.Getenv("LIFELINE_CRASH") != "1" {
		storetest.NotTested(t, "fifty broadcasts that are killed or stopped", "of the long form, make crash; story kill_nine kills one")
	}
	const rounds, people = 50, 20_000
	heard := &tally{}
	heard.begin()
	mail := smtptest.Start(t, smtptest.Options{Count: true, Script: heard.script})
	s := newSite(t, "LIFELINE_STORE=bolt:", "LIFELINE_SMTP="+mail.URL())
	contacts, sites := s.people(people)
	s.run("import", "--source", "product", contacts)
	r := s.serve(s.dir + "/data")
	ada, bob := s.run("token", "issue", "--role", "commander", "--name", "ada"), s.run("token", "issue", "--role", "approver", "--name", "bob")
	incident := r.declare(ada, sites)
	most, twice := 0, 0
	for round := range rounds {
		heard.begin()
		update := r.say(ada, bob, incident, fmt.Sprintf("Step %d of the work is done.", round+1), people)
		moment := 1 + rand.IntN(people-1)
		within(t, "the moment to end", func() bool { _, n := heard.counts(); return n >= moment })
		bound := comms.Window
		if round%2 == 1 {
			if err := r.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = r.cmd.Wait()
		} else {
			bound = 0
			if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := r.cmd.Wait(); err != nil {
				t.Errorf("round %d: it was told to stop and ended with %v", round+1, err)
			}
		}
		r.start()
		within(t, "everyone is told", func() bool {
			_, done := r.reach(ada, update)
			return done
		})
		told, messages := heard.counts()
		if repeats := messages - told; told != people || repeats > bound {
			t.Errorf("round %d, ended after %d messages: %d of %d people were told, %d messages twice (at most %d)", round+1, moment, told, people, repeats, bound)
		} else {
			most, twice = max(most, repeats), twice+repeats
		}
		var board struct {
			Audience  struct{ People int }
			ByChannel map[string]map[string]int `json:"by_channel"`
		}
		if err := json.Unmarshal(r.staff(ada, "GET", "/api/v1/updates/"+update+"/reach", "", ""), &board); err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, n := range board.ByChannel["email"] {
			sum += n
		}
		if board.Audience.People != people || sum != people || board.ByChannel["email"]["sent"] != people {
			t.Errorf("round %d: the board of %d people says %+v", round+1, people, board)
		}
	}
	t.Logf("%d rounds of %d people: %d messages went out twice, %d at the most in a round", rounds, people, twice, most)
}
