package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/comms/sms"
	"lifeline/comms/sms/smstest"
	"lifeline/store/storetest"
)

// trouble is what the provider does with the text to a number, by its last digits: some of it only at the first try, some for ever.
func trouble(e smstest.Event) smstest.Answer {
	n := 0
	if _, err := fmt.Sscanf(e.To, "+4930%08d", &n); err != nil {
		return smstest.Answer{}
	}
	if e.List { // a look-up of what became of a message
		if n%400 == 3 {
			return smstest.Answer{Status: http.StatusServiceUnavailable, Raw: "<html>later</html>"}
		}
		return smstest.Answer{}
	}
	switch {
	case n%100 == 7:
		return smstest.Answer{Code: 21211, Message: "Invalid 'To' Phone Number"}
	case n%100 == 27:
		return smstest.Answer{Code: 21610, Message: "Attempt to send to unsubscribed recipient"}
	case e.Try > 0:
		return smstest.Answer{}
	}
	switch n % 20 {
	case 0:
		return smstest.Answer{Status: http.StatusTooManyRequests, Code: 20429, Message: "Too many requests", RetryAfter: "1"}
	case 1:
		return smstest.Answer{Status: http.StatusBadGateway, Raw: "<html>bad gateway</html>"}
	case 2:
		return smstest.Answer{Status: http.StatusInternalServerError, Code: 20500, Message: "Internal error", Keep: true}
	case 3:
		return smstest.Answer{Cut: true, Keep: true}
	case 4:
		return smstest.Answer{Cut: true}
	case 5:
		return smstest.Answer{Hang: n%400 == 5, Keep: n%800 == 5}
	}
	return smstest.Answer{}
}

// A broadcast by text outlives a provider that puts off, fails, hangs and hangs up, and whose reports come in any order, twice, and from who is not it: nobody is
// lost, whoever's outcome nobody knows is counted as that, and nothing forged moves anything.
func TestTextsOutliveABadProvider(t *testing.T) {
	t.Parallel()
	if os.Getenv("LIFELINE_CRASH") != "1" {
		storetest.NotTested(t, "10,000 texts through a bad provider", "of the long form, make crash; comms/sms tests each of its misdeeds")
	}
	const people, public = 10_000, "https://status.example.com"
	p := smstest.Start(t, smstest.Options{Script: trouble})
	s := newSite(t, "LIFELINE_STORE=bolt:", "LIFELINE_TWILIO="+p.URL())
	var all, ids strings.Builder
	all.WriteString("account,account_id,site,site_id,name,role,phone\n")
	ids.WriteString("site_id\n")
	for i := range people {
		fmt.Fprintf(&all, "Customer %d,A%05d,Site %d,S%05d,Person %d,site_admin,+4930%08d\n", i, i, i, i, i, i)
		fmt.Fprintf(&ids, "S%05d\n", i)
	}
	file := filepath.Join(s.dir, "contacts.csv")
	if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("import", "--source", "product", file)
	r := s.serve(s.dir + "/data")
	ada, bob := s.run("token", "issue", "--role", "commander", "--name", "ada"), s.run("token", "issue", "--role", "approver", "--name", "bob")
	incident := r.declare(ada, ids.String())
	const asJSON = "application/json"
	said := strings.Replace(fmt.Sprintf(statement, people, "The list of sites is held.", time.Now().Add(2*time.Hour).UTC().Format(time.RFC3339)), `"email"`, `"sms"`, 1)
	update := r.id(r.staff(ada, "POST", "/api/v1/incidents/"+incident+"/updates", asJSON, said))
	r.staff(bob, "POST", "/api/v1/updates/"+update+"/approve", asJSON, "{}")
	began := time.Now()
	r.staff(ada, "POST", "/api/v1/updates/"+update+"/publish", asJSON, "{}")

	board := func() (states map[string]int, done bool) {
		var b struct {
			ByChannel map[string]map[string]int `json:"by_channel"`
			Done      bool
		}
		if err := json.Unmarshal(r.staff(ada, "GET", "/api/v1/updates/"+update+"/reach", "", ""), &b); err != nil {
			t.Fatal(err)
		}
		return b.ByChannel["sms"], b.Done
	}
	for late := time.After(10 * time.Minute); ; {
		if _, done := board(); done {
			break
		}
		select {
		case <-time.After(time.Second):
		case <-late:
			states, _ := board()
			t.Fatalf("after ten minutes the board says %v", states)
		}
	}
	took := time.Since(began)
	states, _ := board()
	taken, twice := map[string]int{}, 0
	for _, m := range p.Messages() {
		if taken[m.To]++; taken[m.To] > 1 {
			twice++
		}
	}
	t.Logf("%d texts in %s: %v; the provider took %d, %d of them a second time", people, took.Round(time.Second), states, len(p.Messages()), twice)
	for i := range people {
		if to := fmt.Sprintf("+4930%08d", i); taken[to] == 0 && i%20 != 7 {
			t.Errorf("%s: nothing was taken for it", to)
		}
	}
	sum := 0
	for _, n := range states {
		sum += n
	}
	want := map[string]int{"failed": people / 100, "suppressed": people / 100, "unknown": people / 400, "sent": people - 2*people/100 - people/400}
	if fmt.Sprint(states) != fmt.Sprint(want) || sum != people || twice > 0 {
		t.Errorf("the board says %v, want %v; %d twice", states, want, twice)
	}

	// The reports: of each text three in any order, every tenth twice, and one of another sender that says the opposite.
	type report struct {
		to, ref, status string
		forged          bool
	}
	var reports []report
	for _, m := range p.Messages() {
		at := r.url + strings.TrimPrefix(m.Callback, public)
		for _, status := range []string{"queued", "sent", "delivered"} {
			reports = append(reports, report{at, m.SID, status, false})
			if len(reports)%10 == 0 {
				reports = append(reports, report{at, m.SID, status, false})
			}
		}
		reports = append(reports, report{at, m.SID, "failed", true})
	}
	rand.Shuffle(len(reports), func(i, j int) { reports[i], reports[j] = reports[j], reports[i] })
	var next, refused, wrong atomic.Int64
	var senders sync.WaitGroup
	began = time.Now()
	for range 32 {
		senders.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(reports); i = int(next.Add(1)) - 1 {
				one := reports[i]
				form := url.Values{"MessageSid": {one.ref}, "MessageStatus": {one.status}}
				token := "test-token"
				if one.forged {
					token = "guessed"
				}
				header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "X-Twilio-Signature": {sms.Signature(token, public+strings.TrimPrefix(one.to, r.url), form)}}
				got, _, err := request("POST", one.to, header, strings.NewReader(form.Encode()))
				switch {
				case one.forged && got == http.StatusForbidden:
					refused.Add(1)
				case err != nil || one.forged || got != http.StatusNoContent:
					wrong.Add(1)
				}
			}
		})
	}
	senders.Wait()
	states, _ = board()
	t.Logf("%d reports in %s, %d forged ones refused: %v", len(reports), time.Since(began).Round(100*time.Millisecond), refused.Load(), states)
	if refused.Load() != int64(len(p.Messages())) || wrong.Load() > 0 {
		t.Errorf("%d of %d forged reports were refused, %d reports answered wrongly", refused.Load(), len(p.Messages()), wrong.Load())
	}
	if want := map[string]int{"failed": people / 100, "suppressed": people / 100, "delivered": people - 2*people/100}; fmt.Sprint(states) != fmt.Sprint(want) {
		t.Errorf("at the end the board says %v, want %v: a report names the text whose outcome nobody knew", states, want)
	}
}
