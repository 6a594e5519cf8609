package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/comms/email/smtptest"
	"lifeline/store/postgres/pgtest"
)

// site is where processes of the program run, as an operator would run them: one set of keys, a data directory for each.
type site struct {
	t       *testing.T
	dir     string
	setting []string
}

func newSite(t *testing.T, settings ...string) *site {
	t.Helper()
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policy, []byte("comms:\n  lease: 5s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &site{t: t, dir: dir, setting: append(os.Environ(), append([]string{"HOME=" + dir, "LIFELINE_KEYS=" + filepath.Join(dir, "keys"),
		"LIFELINE_POLICY=" + policy, "LIFELINE_URL=https://status.example.com", "LIFELINE_VENDOR=Example Cloud", "LIFELINE_MAIL_FROM=status@lifeline.example",
		"LIFELINE_DATA=" + filepath.Join(dir, "data")}, settings...)...)}
}

// run carries a command out to its end and gives what it said.
func (s *site) run(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("lifeline", args...)
	var out, complaint bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.setting, s.dir, &out, &complaint
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("lifeline %s: %v\n%s%s", strings.Join(args, " "), err, &out, &complaint)
	}
	return strings.TrimSpace(out.String())
}

// replica is a serving process.
type replica struct {
	t        *testing.T
	url, ops string
	log      string // a file
	env      []string
	cmd      *exec.Cmd
}

// serve starts a process on a data directory and returns once it is ready. It is killed when the test ends.
func (s *site) serve(data string) *replica {
	s.t.Helper()
	listen, ops := freeAddress(), freeAddress()
	r := &replica{t: s.t, url: "http://" + listen, ops: "http://" + ops, log: filepath.Join(s.dir, filepath.Base(data)+".log"),
		env: append(slices.Clone(s.setting), "LIFELINE_DATA="+data, "LIFELINE_LISTEN="+listen, "LIFELINE_OPS_LISTEN="+ops)}
	s.t.Cleanup(func() {
		if said, _ := os.ReadFile(r.log); s.t.Failed() {
			s.t.Logf("%s:\n%.4000s", r.log, said)
		}
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	})
	r.start()
	return r
}

// start starts it, again if need be, and returns once it is ready.
func (r *replica) start() {
	r.t.Helper()
	log, err := os.OpenFile(r.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	r.cmd = exec.Command("lifeline", "serve")
	r.cmd.Env, r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr = r.env, filepath.Dir(r.log), log, log
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	within(r.t, "a serving process is ready", func() bool { return status(r.ops+"/readyz") == 200 })
}

// within asks until ok, at the most for as long as a story has patience, and says how long it took.
func within(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for asked := time.Now(); !ok(); asked = time.Now() {
		select {
		case <-time.After(pause(time.Since(asked))):
		case <-ctx.Done():
			t.Fatalf("waited %s in vain until %s", patience, what)
		}
	}
	return time.Since(began)
}

// status is that of a GET; 0 when nobody answers.
func status(url string) int {
	got, _, err := request("GET", url, http.Header{}, nil)
	if err != nil {
		return 0
	}
	return got
}

// staff asks as somebody with a token, and wants an answer of 2xx.
func (r *replica) staff(jwt, method, path, media, body string) []byte {
	r.t.Helper()
	got, answer, err := request(method, r.url+path, http.Header{"Authorization": {"Bearer " + jwt}, "Content-Type": {media}}, strings.NewReader(body))
	if err != nil || got/100 != 2 {
		r.t.Fatalf("%s %s: %d %s %v", method, path, got, answer, err)
	}
	return answer
}

func (r *replica) id(answer []byte) string {
	r.t.Helper()
	id, err := at(answer, "id")
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// customers file tickets, three a second each, at any replica, and ask again with the same key until they know.
type customers struct {
	t        *testing.T
	replicas []*replica
	halt     chan struct{}
	wg       sync.WaitGroup

	mu    sync.Mutex
	filed map[string]time.Time // by number: when its last try began
	lost  int                  // carried out, but the number was never heard
	again map[int]int          // answers that were no yes, by status
}

func crowd(t *testing.T, people int, replicas ...*replica) *customers {
	c := &customers{t: t, replicas: replicas, halt: make(chan struct{}), filed: map[string]time.Time{}, again: map[int]int{}}
	for n := range people {
		c.wg.Go(func() {
			tick := time.NewTicker(300 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				select {
				case <-c.halt:
					return
				case <-tick.C:
					c.file(n, i)
				}
			}
		})
	}
	return c
}

// file files one ticket, for as long as it takes.
func (c *customers) file(n, i int) {
	body, err := json.Marshal(map[string]string{"message": "Our site is gone.", "email": fmt.Sprintf("someone%d.%d@customer.example", n, i)})
	if err != nil {
		c.t.Error(err)
		return
	}
	header := http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {fmt.Sprintf("crowd-%d-%d", n, i)},
		"X-Forwarded-For": {fmt.Sprintf("198.18.%d.%d", n, i%250)}}
	for try := i; ; try++ {
		began := time.Now()
		got, answer, err := request("POST", c.replicas[try%len(c.replicas)].url+"/api/v1/tickets", header, bytes.NewReader(body))
		c.mu.Lock()
		switch {
		case err == nil && got == 201:
			number, err := at(answer, "number")
			if err != nil {
				c.t.Error(err)
			}
			c.filed[number] = began
		case err == nil && got == 409 && bytes.Contains(answer, []byte("this request was carried out")):
			c.lost++
		case err == nil && got != 503 && got != 507:
			c.t.Errorf("a ticket is answered %d %s", got, answer)
		default:
			c.again[got]++
			c.mu.Unlock()
			select {
			case <-time.After(200 * time.Millisecond): // a person would take Retry-After's 2 s
				continue
			case <-c.t.Context().Done():
				return
			}
		}
		c.mu.Unlock()
		return
	}
}

func (c *customers) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.filed)
}

// since is whether a ticket was acknowledged whose filing began after a time.
func (c *customers) since(when time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, began := range c.filed {
		if began.After(when) {
			return true
		}
	}
	return false
}

func (c *customers) stop() {
	close(c.halt)
	c.wg.Wait()
}

// kept compares what was acknowledged with what staff see: each ticket once, and none that nobody filed.
func (c *customers) kept(r *replica, jwt string) {
	c.t.Helper()
	seen, next := map[string]bool{}, ""
	for {
		answer := r.staff(jwt, "GET", "/api/v1/tickets?limit=200&after="+next, "", "")
		var page struct {
			Items []struct{ Number, Route string }
			Next  string
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			c.t.Fatal(err)
		}
		for _, item := range page.Items {
			if item.Route != "incident" { // that of a site whose customer has not written
				seen[item.Number] = true
			}
		}
		if next = page.Next; next == "" {
			break
		}
	}
	missing := 0
	for number := range c.filed {
		if !seen[number] {
			missing++
		}
	}
	c.t.Logf("%d tickets acknowledged, %d missing; %d carried out whose number nobody heard; refused by status: %v", len(c.filed), missing, c.lost, c.again)
	if missing > 0 {
		c.t.Errorf("of %d acknowledged tickets %d are lost", len(c.filed), missing)
	}
	if len(seen) != len(c.filed)+c.lost {
		c.t.Errorf("%d tickets stand, for %d that were filed", len(seen), len(c.filed)+c.lost)
	}
}

// watchPage asks every replica for the public page until the returned function is called, which says how often it was asked and what
// was answered other than the page.
func watchPage(replicas ...*replica) (stop func() (asked int, wrong []string)) {
	var (
		halt = make(chan struct{})
		done sync.WaitGroup
		n    atomic.Int64
		mu   sync.Mutex
		bad  []string
	)
	for _, r := range replicas {
		done.Go(func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-halt:
					return
				case <-tick.C:
				}
				n.Add(1)
				if got := status(r.url + "/"); got != 200 {
					mu.Lock()
					bad = append(bad, fmt.Sprintf("%s: %d", r.url, got))
					mu.Unlock()
				}
			}
		})
	}
	return func() (int, []string) {
		close(halt)
		done.Wait()
		return int(n.Load()), bad
	}
}

// What is declared and said.
const (
	declaration = `{"title": "Sites cannot be opened", "severity": "P0", "category": "availability", "summary": "Lost sites", "detected_by": "monitoring", "impact": "total loss of access", "scope_estimate": "not known"}`
	statement   = `{"phase": "identified", "headline": "Sites cannot be opened", "what_happened": "A maintenance script deleted sites.", "your_action": "nothing",
 "scope": {"products": ["Tracker"], "regions": ["EU"], "text": "some customers"},
 "affected": {"who": "sites that were deleted", "sites": %d, "customers": "not_known", "status": "estimate", "confidence": "medium"},
 "timeline": {"kind": "not_known", "confidence": "low", "full_scope_by": "not_known"},
 "data_loss": {"kind": "not_known", "confidence": "low"},
 "known": [%q], "unknown": ["When each site is back."], "doing": [],
 "next_update_by": %q, "audience": "affected", "channels": ["email", "page"], "locales": ["en"]}`
)

// people writes a file of so many accounts with a site and a contact each, and gives the list of their sites.
func (s *site) people(n int) (file, sites string) {
	s.t.Helper()
	var all, ids strings.Builder
	all.WriteString("account,account_id,site,site_id,name,role,email\n")
	ids.WriteString("site_id\n")
	for i := range n {
		fmt.Fprintf(&all, "Customer %d,A%05d,Site %d,S%05d,Person %d,site_admin,person%d@customer%d.example\n", i, i, i, i, i, i, i)
		fmt.Fprintf(&ids, "S%05d\n", i)
	}
	file = filepath.Join(s.dir, "contacts.csv")
	if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file, ids.String()
}

// publish tells the people of so many sites, and gives the update's id.
func (r *replica) publish(author, approver, sites string, n int) string {
	r.t.Helper()
	return r.say(author, approver, r.declare(author, sites), "The list of sites is held.", n)
}

// declare declares an incident with its affected sites.
func (r *replica) declare(author, sites string) (incident string) {
	r.t.Helper()
	incident = r.id(r.staff(author, "POST", "/api/v1/incidents", "application/json", declaration))
	r.staff(author, "PUT", "/api/v1/incidents/"+incident+"/affected", "text/csv", sites)
	return incident
}

// say tells the people of the affected sites what is known.
func (r *replica) say(author, approver, incident, known string, n int) (update string) {
	r.t.Helper()
	const json = "application/json"
	next := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
	update = r.id(r.staff(author, "POST", "/api/v1/incidents/"+incident+"/updates", json, fmt.Sprintf(statement, n, known, next)))
	r.staff(approver, "POST", "/api/v1/updates/"+update+"/approve", json, "{}")
	r.staff(author, "POST", "/api/v1/updates/"+update+"/publish", json, "{}")
	return update
}

// reach is what staff see of a broadcast.
func (r *replica) reach(jwt, update string) (sent int, done bool) {
	got, answer, err := request("GET", r.url+"/api/v1/updates/"+update+"/reach", http.Header{"Authorization": {"Bearer " + jwt}}, nil)
	if err != nil || got != 200 {
		return 0, false
	}
	var board struct {
		ByChannel map[string]map[string]int `json:"by_channel"`
		Done      bool
	}
	if err := json.Unmarshal(answer, &board); err != nil {
		r.t.Errorf("%v in %s", err, answer)
	}
	return board.ByChannel["email"]["sent"], board.Done
}

// toPeople counts the messages of a broadcast by whom they went to; the others are receipts of tickets.
func toPeople(mail *smtptest.Server) (to map[string]int, all int) {
	to = map[string]int{}
	for _, m := range mail.Received() {
		if strings.HasPrefix(m.To[0], "person") {
			to[m.To[0]]++
			all++
		}
	}
	return to, all
}

// told waits until a broadcast is done and gives how many were told and how many messages were repeats.
func (r *replica) told(jwt, update string, mail *smtptest.Server) (people, repeats int) {
	r.t.Helper()
	within(r.t, "everyone is told", func() bool {
		_, done := r.reach(jwt, update)
		return done
	})
	to, all := toPeople(mail)
	return len(to), all - len(to)
}

// Two replicas on a database with a synchronous standby lose its primary in the middle of a broadcast and of people filing tickets. Once
// the standby is promoted they go on by themselves: nothing that was acknowledged is lost, nobody is left out, at most the stated number
// are told twice, and the public page was there all the time.
func TestReplicasOutliveTheirDatabasesPrimary(t *testing.T) {
	t.Parallel()
	primary, standby := pgtest.Pair(t)
	if err := primary.Synchronous(); err != nil {
		t.Fatal(err)
	}
	mail := smtptest.Start(t, smtptest.Options{})

	const people = 400
	s := newSite(t, "LIFELINE_STORE="+pgtest.Either(primary, standby), "LIFELINE_SMTP="+mail.URL())
	contacts, sites := s.people(people)
	s.run("import", "--source", "product", contacts)
	one, two := s.serve(filepath.Join(s.dir, "one")), s.serve(filepath.Join(s.dir, "two"))
	ada, bob := s.run("token", "issue", "--role", "commander", "--name", "ada"), s.run("token", "issue", "--role", "approver", "--name", "bob")
	stopWatching := watchPage(one, two)
	crowd := crowd(t, 6, one, two)
	update := one.publish(ada, bob, sites, people)
	within(t, "the broadcast is under way", func() bool { return mail.Count() > people/6 && crowd.count() > 20 })

	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	within(t, "the replicas say that they are not ready", func() bool { return status(one.ops+"/readyz") == 503 && status(two.ops+"/readyz") == 503 })
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	promoted := time.Now()
	filing := within(t, "a ticket is filed", func() bool { return crowd.since(promoted) })
	ready := within(t, "the replicas are ready", func() bool { return status(one.ops+"/readyz") == 200 && status(two.ops+"/readyz") == 200 })
	t.Logf("promoted %.1f s after the kill; tickets were filed %.2f s later, both replicas ready %.2f s later", promoted.Sub(killed).Seconds(), filing.Seconds(), (filing + ready).Seconds())

	before := crowd.count()
	within(t, "many more tickets are filed", func() bool { return crowd.count() > before+20 })
	crowd.stop()
	told, repeats := two.told(ada, update, mail)
	asked, wrong := stopWatching()
	t.Logf("%d people told, %d messages twice; the page was asked for %d times, and missing %d times", told, repeats, asked, len(wrong))
	if told != people || repeats > 2*comms.Window {
		t.Errorf("%d of %d people were told, %d messages twice (at most %d of each process)", told, people, repeats, comms.Window)
	}
	if len(wrong) > 0 || asked < 50 {
		t.Errorf("the page was asked for %d times: %q", asked, wrong)
	}
	crowd.kept(two, ada)
	for _, r := range []*replica{one, two} {
		if err := errors.Join(r.cmd.Process.Signal(os.Interrupt), r.cmd.Wait()); err != nil {
			t.Errorf("a replica did not end cleanly: %v", err)
		}
	}
}
