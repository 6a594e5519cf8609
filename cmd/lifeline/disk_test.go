package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"lifeline/comms"
	"lifeline/comms/email/smtptest"
	"lifeline/store/storetest"
)

// busy is a serving process with people who file tickets, in the middle of telling many others.
type busy struct {
	t        *testing.T
	s        *site
	r        *replica
	mail     *smtptest.Server
	ada      string
	update   string
	people   int
	crowd    *customers
	stopPage func() (int, []string)
	goOn     func() // the relay takes mail for the second half of the people too
}

func newBusy(t *testing.T, data string, people int) *busy {
	t.Helper()
	// What happens in the middle does so however fast or slow the machine is: half of the people are told before, and half behind.
	second := make(chan struct{})
	var told atomic.Int64
	mail := smtptest.Start(t, smtptest.Options{Script: func(e smtptest.Event) smtptest.Answer {
		if e.Phase == smtptest.Content && strings.HasPrefix(e.To, "person") && told.Add(1) > int64(people/2) {
			<-second
		}
		return smtptest.Answer{}
	}})
	goOn := sync.OnceFunc(func() { close(second) })
	t.Cleanup(goOn)
	b := &busy{t: t, mail: mail, people: people, goOn: goOn, s: newSite(t, "LIFELINE_STORE=bolt:", "LIFELINE_SMTP="+mail.URL())}
	b.s.setting = append(b.s.setting, "LIFELINE_DATA="+data)
	contacts, sites := b.s.people(people)
	b.s.run("import", "--source", "product", contacts)
	b.r = b.s.serve(data)
	b.ada = b.s.run("token", "issue", "--role", "commander", "--name", "ada")
	bob := b.s.run("token", "issue", "--role", "approver", "--name", "bob")
	b.stopPage = watchPage(b.r)
	b.crowd = crowd(t, 4, b.r)
	b.update = b.r.publish(b.ada, bob, sites, people)
	within(t, "the broadcast is under way", func() bool {
		_, all := toPeople(mail)
		return all > 50 && b.crowd.count() > 10
	})
	return b
}

// unrecorded is how many messages have left at the most of which the store does not know.
func (b *busy) unrecorded() int {
	recorded, _ := b.r.reach(b.ada, b.update)
	_, all := toPeople(b.mail)
	return all - recorded
}

func (b *busy) refused(status int) int {
	b.crowd.mu.Lock()
	defer b.crowd.mu.Unlock()
	return b.crowd.again[status]
}

// ends waits until everybody is told and compares.
func (b *busy) ends() {
	b.t.Helper()
	before := b.crowd.count()
	within(b.t, "more tickets are filed", func() bool { return b.crowd.count() > before+20 })
	b.crowd.stop()
	told, repeats := b.r.told(b.ada, b.update, b.mail)
	b.t.Logf("%d people told, %d messages twice", told, repeats)
	if told != b.people || repeats > comms.Window {
		b.t.Errorf("%d of %d people were told, %d messages twice (at most %d)", told, b.people, repeats, comms.Window)
	}
	b.crowd.kept(b.r, b.ada)
}

// A disk that is full is said to whoever asks for something to be kept, and to the operator; nothing that was acknowledged is lost, the page
// stays, and all goes on by itself once there is room.
func TestAFullDiskIsSaidAndWaitedOut(t *testing.T) {
	t.Parallel()
	disk := storetest.SmallDisk(t, 64<<20)
	data := filepath.Join(disk, "data")
	b := newBusy(t, data, 1000)
	free := storetest.Fill(t, disk, 64<<10)
	b.goOn()
	most := 0
	within(t, "tickets are refused", func() bool {
		most = max(most, b.unrecorded())
		return b.refused(507) > 10
	})
	within(t, "a refusal says what to do", func() bool {
		res, err := http.Post(b.r.url+"/api/v1/tickets", "application/json", strings.NewReader(`{"message": "Our site is gone.", "email": "one@customer.example"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == 201 { // a page that was freed
			number, err := at(body, "number")
			if err != nil {
				t.Fatal(err)
			}
			b.crowd.mu.Lock()
			b.crowd.filed[number] = b.crowd.filed[number]
			b.crowd.mu.Unlock()
			return false
		}
		if res.StatusCode != 507 || res.Header.Get("Retry-After") == "" || res.Header.Get("Content-Type") != "application/problem+json" || !bytes.Contains(body, []byte("the disk is full; try again later")) {
			t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
		}
		return true
	})
	within(t, "readiness names it", func() bool {
		got, body, err := request("GET", b.r.ops+"/readyz", http.Header{}, nil)
		return err == nil && got == 503 && bytes.Contains(body, []byte("disk is full"))
	})
	if _, body, err := request("GET", b.r.ops+"/metrics", http.Header{}, nil); err != nil || !bytes.Contains(body, []byte(`lifeline_degraded{what="disk"} 1`)) || !bytes.Contains(body, []byte("lifeline_disk_free_ratio 0")) {
		t.Errorf("the metrics do not show it: %v", err)
	}
	if found := b.s.doctor("disk"); found.Level != "bad" || !strings.HasPrefix(found.Says, "0 %") {
		t.Errorf("the doctor says %+v", found)
	}
	most = max(most, b.unrecorded())
	free()
	ready := within(t, "the process is ready", func() bool { return status(b.r.ops+"/readyz") == 200 })
	b.ends()
	asked, wrong := b.stopPage()
	t.Logf("at most %d messages had left unrecorded; ready %.1f s after there was room; the page was asked for %d times, and missing %d times", most, ready.Seconds(), asked, len(wrong))
	if most > comms.Window || len(wrong) > 0 || asked == 0 {
		t.Errorf("%d messages had left unrecorded (at most %d); of the page: %q", most, comms.Window, wrong)
	}
}

// doctor gives what it found of one thing.
func (s *site) doctor(what string) finding {
	s.t.Helper()
	cmd := exec.Command("lifeline", "doctor", "--json")
	cmd.Env, cmd.Dir = s.setting, s.dir
	out, _ := cmd.Output() // it fails, since much is not set here
	var all []finding
	if err := json.Unmarshal(out, &all); err != nil {
		s.t.Fatalf("the doctor says %s: %v", out, err)
	}
	for _, f := range all {
		if f.What == what {
			return f
		}
	}
	s.t.Fatalf("the doctor says nothing of the %s: %s", what, out)
	return finding{}
}

// A disk that fails a sync leaves nobody knowing what it holds. The store then keeps nothing more and says so, what is sent stops within
// the window, and the page stays; a restart goes on with all that was acknowledged, and whoever got no answer learns it by asking again.
func TestAFailingDiskStopsWhatIsSentAndLosesNothing(t *testing.T) {
	t.Parallel()
	b := newBusy(t, filepath.Join(t.TempDir(), "data"), 700)
	storetest.FailSync(t, b.r.cmd.Process, 1)
	b.goOn()
	within(t, "tickets are refused", func() bool { return b.refused(503) > 10 })
	within(t, "readiness says that a restart is needed", func() bool {
		got, body, err := request("GET", b.r.ops+"/readyz", http.Header{}, nil)
		return err == nil && got == 503 && bytes.Contains(body, []byte("restart"))
	})
	last, same := -1, 0
	within(t, "nothing more is sent", func() bool {
		n := b.mail.Count()
		if n != last {
			last, same = n, 0
		}
		same++
		return same > 25 // looks, 20 ms apart
	})
	unrecorded, sent := b.unrecorded(), 0
	_, sent = toPeople(b.mail)
	t.Logf("sending stopped after %d of %d messages, %d of them unrecorded", sent, b.people, unrecorded)
	if unrecorded > comms.Window || sent >= b.people {
		t.Errorf("%d of %d messages left, %d of them unrecorded (at most %d)", sent, b.people, unrecorded, comms.Window)
	}
	if asked, wrong := b.stopPage(); len(wrong) > 0 || asked == 0 {
		t.Errorf("the page was asked for %d times: %q", asked, wrong)
	}
	if err := b.r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = b.r.cmd.Wait()
	b.r.start()
	b.ends()
}
