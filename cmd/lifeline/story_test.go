package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"lifeline/comms/email/smtptest"
	"lifeline/comms/sms/smstest"
	"lifeline/store/postgres/pgtest"
)

// Stories run the program itself, as a process of its own, against a real SMTP server and an HTTP server in place of the SMS
// provider that checks what it is sent. Each is told on both engines.

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"lifeline": main})
}

func TestStories(t *testing.T) {
	t.Parallel()
	server := os.Getenv("LIFELINE_TEST_POSTGRES")
	if server == "" && os.Getenv("LIFELINE_TEST_NO_POSTGRES") == "" {
		var stop func()
		var err error
		if server, stop, err = pgtest.Start("", pgtest.Durable); err != nil { // a portal on a database that may lose commits never gets ready
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	onBolt := func(testing.TB) string { return "bolt:" }
	onPostgres := func(t testing.TB) string { return pgtest.On(t, server) }
	all, err := filepath.Glob(filepath.Join("testdata", "story", "*.txtar"))
	if err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	t.Run("bolt", func(t *testing.T) { stories(t, all, onBolt, onPostgres) })
	if os.Getenv("LIFELINE_CRASH") != "1" { // the long form tells all of them of it
		all = slices.DeleteFunc(all, func(story string) bool {
			return slices.Contains([]string{"contact_book.txtar", "lost_machine.txtar"}, filepath.Base(story))
		})
	}
	t.Run("postgres", func(t *testing.T) { stories(t, all, onPostgres, onBolt) })
}

// stories are told on one engine; other is a fresh store of the other one.
func stories(t *testing.T, files []string, engine, other func(testing.TB) string) {
	testscript.Run(t, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			w, err := newWorld(e)
			if err != nil {
				return err
			}
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Setenv("GOGC", os.Getenv("GOGC"))
			e.Setenv("LIFELINE_STORE", engine(e.T().(testing.TB)))
			e.Setenv("OTHER_STORE", other(e.T().(testing.TB)))
			e.Values[worldKey{}] = w
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": cmdReady, "api": cmdAPI, "json": cmdJSON, "save": cmdSave, "setjwt": cmdJWT, "mails": cmdMails, "texts": cmdTexts,
			"mailhas": cmdMailHas, "texthas": cmdTextHas, "many": cmdMany, "told": cmdTold, "until": cmdUntil, "afternow": cmdAfterNow, "page": cmdPage, "agekey": cmdAgeKey, "opsget": cmdOpsGet, "revoke": cmdRevoke, "arrives": cmdArrives, "eachmissing": cmdEachMissing,
			"expand": cmdExpand, "refuse": cmdRefuse, "maillink": cmdMailLink,
		},
	})
}

// world is what stands around the program in one story.
type world struct {
	smtp *smtptest.Server
	sms  *smstest.Server
	last []byte // body of the last answer
	jwt  map[string]string
}

type worldKey struct{}

func newWorld(e *testscript.Env) (*world, error) {
	w := &world{jwt: map[string]string{}}
	var err error
	if w.smtp, err = smtptest.New(smtptest.Options{}); err != nil {
		return nil, err
	}
	e.Defer(func() { w.smtp.Close() })
	if w.sms, err = smstest.New(smstest.Options{}); err != nil {
		return nil, err
	}
	e.Defer(func() { w.sms.Close() })
	listen, ops := freeAddress(), freeAddress()
	for name, value := range map[string]string{
		"HOME":                e.WorkDir,
		"LIFELINE_LISTEN":     listen,
		"LIFELINE_OPS_LISTEN": ops,
		"LIFELINE_URL":        "http://" + listen,
		"URL":                 "http://" + listen,
		"OPS":                 "http://" + ops,
		"LIFELINE_DATA":       filepath.Join(e.WorkDir, "data"),
		"LIFELINE_KEYS":       filepath.Join(e.WorkDir, "keys"),
		"LIFELINE_POLICY":     filepath.Join(e.WorkDir, "policy.yaml"),
		"LIFELINE_SMTP":       w.smtp.URL(),
		"LIFELINE_MAIL_FROM":  "status@lifeline.example",
		"LIFELINE_TWILIO":     w.sms.URL(),
		"LIFELINE_VENDOR":     "Example Cloud",
	} {
		e.Setenv(name, value)
	}
	// By night nobody is told of a site by a rule: in a story it is always day.
	return w, os.WriteFile(filepath.Join(e.WorkDir, "policy.yaml"), []byte("comms:\n  lease: 5s\n  automatic: {night: {from: 0, to: 0}}\nbackup:\n  journal: 1s\n"), 0o600)
}

// freeAddress is one that nobody listens at, below those that the system hands out to whoever asks for any: one of these would often be somebody else's
// by the time that the program listens.
func freeAddress() string {
	for {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+(97*uint32(os.Getpid())+ports.Add(1))%12_000)
		l, err := net.Listen("tcp", address)
		if err == nil {
			l.Close()
			return address
		}
	}
}

var ports atomic.Uint32

func the(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// patience is how long a story waits for anything; under the race detector on a busy machine much takes long.
const patience = 90 * time.Second

// pause is for how long nobody asks again after a question that took so long: who asks at once takes the machine from what she waits for.
func pause(took time.Duration) time.Duration {
	return max(20*time.Millisecond, min(4*took, time.Second))
}

// eventually tries again until ok or patience runs out.
func eventually(ts *testscript.TestScript, what string, ok func() bool) {
	deadline := time.After(patience)
	for asked := time.Now(); !ok(); asked = time.Now() {
		select {
		case <-time.After(pause(time.Since(asked))):
		case <-deadline:
			ts.Fatalf("waited %s in vain for %s", patience, what)
		}
	}
}

// ready waits until the server answers.
func cmdReady(ts *testscript.TestScript, _ bool, _ []string) {
	eventually(ts, "the server", func() bool {
		res, err := http.Get(ts.Getenv("OPS") + "/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == 200
	})
}

// setjwt NAME FILE reads a token that `lifeline token issue` printed.
func cmdJWT(ts *testscript.TestScript, _ bool, args []string) {
	the(ts).jwt[args[0]] = strings.TrimSpace(ts.ReadFile(args[1]))
}

// api [-as NAME] [-type MEDIA] [-key IDEMPOTENCY] [-accept MEDIA] STATUS METHOD PATH [FILE]: a request; its answer is stdout.
func cmdAPI(ts *testscript.TestScript, _ bool, args []string) {
	w := the(ts)
	header := http.Header{}
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-as":
			jwt, ok := w.jwt[args[1]]
			if !ok {
				ts.Fatalf("no token for %s", args[1])
			}
			header.Set("Authorization", "Bearer "+jwt)
		case "-type":
			header.Set("Content-Type", args[1])
		case "-key":
			header.Set("Idempotency-Key", args[1])
		case "-accept":
			header.Set("Accept", args[1])
		}
		args = args[2:]
	}
	want, method, path := args[0], args[1], args[2]
	var body io.Reader
	if len(args) > 3 {
		body = strings.NewReader(os.Expand(ts.ReadFile(args[3]), ts.Getenv))
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/json")
		}
	}
	status, answer, err := request(method, ts.Getenv("URL")+path, header, body)
	ts.Check(err)
	w.last = answer
	fmt.Fprintf(ts.Stdout(), "%s\n", answer)
	if want != strconv.Itoa(status) {
		ts.Fatalf("%s %s: status %d, not %s\n%s", method, path, status, want, answer)
	}
}

func request(method, url string, header http.Header, body io.Reader) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, nil, err
	}
	req.Header = header
	res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// at follows a path such as items.0.id into JSON; "#" is a list's length.
func at(body []byte, path string) (string, error) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return "", fmt.Errorf("%w in %.300s", err, body)
	}
	for _, step := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			next, ok := x[step]
			if !ok {
				return "", fmt.Errorf("no %q of %s in %.600s", step, path, body)
			}
			v = next
		case []any:
			if step == "#" {
				v = len(x)
				continue
			}
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(x) {
				return "", fmt.Errorf("no element %s of %s in %.600s", step, path, body)
			}
			v = x[i]
		default:
			return "", fmt.Errorf("%s goes past a value in %.600s", path, body)
		}
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	out, err := json.Marshal(v)
	return string(out), err
}

// json PATH VALUE: the last answer has that value there.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	got, err := at(the(ts).last, args[0])
	ts.Check(err)
	if (got == args[1]) == neg {
		ts.Fatalf("%s is %q (wanted %q, negated %v)", args[0], got, args[1], neg)
	}
}

// save PATH VAR keeps a value of the last answer in an environment variable.
func cmdSave(ts *testscript.TestScript, _ bool, args []string) {
	got, err := at(the(ts).last, args[0])
	ts.Check(err)
	ts.Setenv(args[1], got)
}

// mails N: the mail server gets exactly N messages in all, none of them malformed.
func cmdMails(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	w := the(ts)
	eventually(ts, args[0]+" mails", func() bool { return w.smtp.Count() >= n })
	if w.smtp.Count() != n {
		ts.Fatalf("%d mails came, not %d", w.smtp.Count(), n)
	}
	if v := w.smtp.Violations(); len(v) > 0 {
		ts.Fatalf("the mail server objects: %v", v)
	}
}

// mailhas ADDRESS REGEXP: some mail to that address matches in its text part or subject.
func cmdMailHas(ts *testscript.TestScript, neg bool, args []string) {
	re := regexp.MustCompile(args[1])
	var seen []string
	for _, m := range the(ts).smtp.Received() {
		if m.To[0] != args[0] {
			continue
		}
		p, err := m.Parse()
		ts.Check(err)
		all := p.Subject + "\n" + p.Text + "\n" + p.HTML
		if re.MatchString(all) {
			if neg {
				ts.Fatalf("a mail to %s has %s:\n%s", args[0], args[1], all)
			}
			return
		}
		seen = append(seen, all)
	}
	if !neg {
		ts.Fatalf("no mail to %s has %s:\n%s", args[0], args[1], strings.Join(seen, "\n----\n"))
	}
}

// texts N: the SMS provider gets exactly N messages in all, none malformed.
func cmdTexts(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	w := the(ts)
	eventually(ts, args[0]+" texts", func() bool { return w.sms.Count() >= n })
	if w.sms.Count() != n {
		ts.Fatalf("%d texts came, not %d", w.sms.Count(), n)
	}
	if v := w.sms.Faults(); len(v) > 0 {
		ts.Fatalf("the SMS provider objects: %v", v)
	}
}

// texthas NUMBER REGEXP: some text to that number matches.
func cmdTextHas(ts *testscript.TestScript, _ bool, args []string) {
	re := regexp.MustCompile(args[1])
	var seen []string
	for _, m := range the(ts).sms.Messages() {
		if m.To == args[0] {
			if re.MatchString(m.Body) {
				return
			}
			seen = append(seen, m.Body)
		}
	}
	ts.Fatalf("no text to %s has %s: %q", args[0], args[1], seen)
}

// until -as NAME PATH JSONPATH VALUE: a GET answers that value in the end; with ! another one.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	w := the(ts)
	header := http.Header{"Authorization": {"Bearer " + w.jwt[args[1]]}}
	eventually(ts, strings.Join(args[2:], " "), func() bool {
		status, body, err := request("GET", ts.Getenv("URL")+args[2], header, nil)
		if err != nil || status != 200 {
			return false
		}
		w.last = body
		got, err := at(body, args[3])
		return err == nil && (got == args[4]) != neg
	})
}

// afternow DURATION VAR: an RFC 3339 time in the future.
func cmdAfterNow(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	ts.Setenv(args[1], time.Now().Add(d).UTC().Truncate(time.Second).Format(time.RFC3339))
}

// expand FILE puts the values of variables into a file.
func cmdExpand(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o600))
}

// refuse ADDRESS: from now on the mail server says that there is no such mailbox (RFC 3463: 5.1.1).
func cmdRefuse(ts *testscript.TestScript, _ bool, args []string) {
	the(ts).smtp.SetScript(smtptest.Refuse(550, [3]int{5, 1, 1}, "no such mailbox", args[0]))
}

// maillink ADDRESS PREFIX VAR keeps the path of the link in the one mail to that address whose path begins so.
func cmdMailLink(ts *testscript.TestScript, _ bool, args []string) {
	link := regexp.MustCompile(regexp.QuoteMeta(ts.Getenv("URL")) + `(` + regexp.QuoteMeta(args[1]) + `\S+)`)
	var found []string
	for _, m := range the(ts).smtp.Received() {
		if m.To[0] != args[0] {
			continue
		}
		p, err := m.Parse()
		ts.Check(err)
		if at := link.FindStringSubmatch(p.Text); at != nil {
			found = append(found, at[1])
		}
	}
	if len(found) != 1 {
		ts.Fatalf("%d mails to %s have a link to %s", len(found), args[0], args[1])
	}
	ts.Setenv(args[2], found[0])
}

// opsget PATH: what the operations listener answers is stdout.
func cmdOpsGet(ts *testscript.TestScript, _ bool, args []string) {
	status, body, err := request("GET", ts.Getenv("OPS")+args[0], http.Header{}, nil)
	ts.Check(err)
	if status != 200 {
		ts.Fatalf("%s: status %d\n%s", args[0], status, body)
	}
	fmt.Fprintf(ts.Stdout(), "%s", body)
}

// revoke NAME AS ends a token that setjwt read.
func cmdRevoke(ts *testscript.TestScript, _ bool, args []string) {
	parts := strings.Split(the(ts).jwt[args[0]], ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	ts.Check(err)
	var c struct{ Jti string }
	ts.Check(json.Unmarshal(claims, &c))
	id, _, _ := strings.Cut(c.Jti, ".")
	status, body, err := request("DELETE", ts.Getenv("URL")+"/api/v1/tokens/"+id+"?reason=lost", http.Header{"Authorization": {"Bearer " + the(ts).jwt[args[1]]}}, nil)
	ts.Check(err)
	if status != 204 {
		ts.Fatalf("revoke %s: %d %s", id, status, body)
	}
}

// arrives GLOB waits until such a file is there.
func cmdArrives(ts *testscript.TestScript, _ bool, args []string) {
	eventually(ts, args[0], func() bool {
		found, err := filepath.Glob(ts.MkAbs(args[0]))
		return err == nil && len(found) > 0
	})
}

// agekey NAME makes a private key in NAME.key and puts its public half into the variable NAME.
func cmdAgeKey(ts *testscript.TestScript, _ bool, args []string) {
	key, err := age.GenerateX25519Identity()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), []byte(key.String()+"\n"), 0o600))
	ts.Setenv(strings.ToUpper(args[0]), key.Recipient().String())
}

// many N FILE: a file of N accounts with a site and a contact each; also sites.csv with their sites.
func cmdMany(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	var all, sites bytes.Buffer
	all.WriteString("account,account_id,site,site_id,name,role,email\n")
	sites.WriteString("site_id\n")
	for i := range n {
		fmt.Fprintf(&all, "Customer %d,A%05d,Site %d,S%05d,Person %d,site_admin,person%d@customer%d.example\n", i, i, i, i, i, i, i)
		fmt.Fprintf(&sites, "S%05d\n", i)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), all.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), sites.Bytes(), 0o600))
}

// told atleast N | everyone N TWICE: how many different people the mail server heard of, and that at most TWICE of the messages are repeats.
func cmdTold(ts *testscript.TestScript, _ bool, args []string) {
	w := the(ts)
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	if args[0] == "atleast" {
		eventually(ts, args[1]+" mails", func() bool { return w.smtp.Count() >= n })
		return
	}
	most, err := strconv.Atoi(args[2])
	ts.Check(err)
	people := map[string]int{}
	for _, m := range w.smtp.Received() {
		people[m.To[0]]++
	}
	repeats := w.smtp.Count() - len(people)
	ts.Logf("%d people told, %d messages twice", len(people), repeats)
	if len(people) != n || repeats > most {
		ts.Fatalf("%d of %d people were told, %d messages twice (at most %d)", len(people), n, repeats, most)
	}
}

// page PATH REGEXP: the public answer at PATH has that, in the end: it is rendered after the transaction.
func cmdPage(ts *testscript.TestScript, neg bool, args []string) {
	re := regexp.MustCompile(args[1])
	var body []byte
	eventually(ts, args[1]+" at "+args[0], func() bool {
		status, b, err := request("GET", ts.Getenv("URL")+args[0], http.Header{}, nil)
		body = b
		return err == nil && status == 200 && re.Match(b) != neg
	})
	the(ts).last = body
}

// eachmissing NAME PATH FILE: without any one of its fields the object is refused, and the refusal names that field.
func cmdEachMissing(ts *testscript.TestScript, _ bool, args []string) {
	var whole map[string]json.RawMessage
	ts.Setenv("NEXT", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	ts.Check(json.Unmarshal([]byte(os.Expand(ts.ReadFile(args[2]), ts.Getenv)), &whole))
	header := http.Header{"Authorization": {"Bearer " + the(ts).jwt[args[0]]}, "Content-Type": {"application/json"}}
	for field := range whole {
		if field == "doing" {
			continue // required with no_change only
		}
		part := map[string]json.RawMessage{}
		for k, v := range whole {
			if k != field {
				part[k] = v
			}
		}
		body, err := json.Marshal(part)
		ts.Check(err)
		status, answer, err := request("POST", ts.Getenv("URL")+args[1], header, bytes.NewReader(body))
		ts.Check(err)
		if status != 422 || !bytes.Contains(answer, []byte(`"field":"`+field)) {
			ts.Fatalf("without %s: %d %s", field, status, answer)
		}
	}
}
