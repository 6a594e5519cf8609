package sms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/comms/sms"
	"lifeline/comms/sms/smstest"
)

const ada = "+12025550123"

func open(t *testing.T, cfg sms.Config) *sms.Sender {
	t.Helper()
	s, err := sms.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func message() comms.Message {
	return comms.Message{
		Delivery: "dlv_1", To: ada, Locale: "en", Text: "Example: sites down. Next word 10:00 UTC. status.example.com",
		Valid: 90 * time.Minute, Callback: "https://status.example.com/api/v1/webhooks/twilio/status?d=1",
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func expect(t *testing.T, out comms.Outcome, state comms.State, reason string) {
	t.Helper()
	if out.State != state || !strings.Contains(out.Reason, reason) {
		t.Fatalf("got %s %q, want %s %q", out.State, out.Reason, state, reason)
	}
}

func TestSend(t *testing.T) {
	for name, o := range map[string]smstest.Options{"from a number": {}, "from a service": {Service: "MG0123456789"}} {
		t.Run(name, func(t *testing.T) {
			p := smstest.Start(t, o)
			s := open(t, sms.Config{URL: p.URL()})
			if err := s.Check(within(t)); err != nil {
				t.Fatal(err)
			}
			m := message()
			m.Text = "例：網站中斷 + & = ü 😀\nstatus.example.com"
			out := s.Send(within(t), m)
			expect(t, out, comms.Sent, "")
			got := p.Messages()
			if len(got) != 1 || got[0].SID != out.Ref || got[0].Body != m.Text || got[0].Valid != 5400 || got[0].Callback != m.Callback {
				t.Errorf("%+v %+v", out, got)
			}
			if !s.Live() || s.Name() != "sms" || s.Token() != "test-token" {
				t.Error("not the live SMS channel")
			}
		})
	}
}

func TestValidityIsWithinTheProvidersBounds(t *testing.T) {
	p := smstest.Start(t, smstest.Options{})
	s := open(t, sms.Config{URL: p.URL()})
	for i, c := range []struct {
		valid time.Duration
		want  int
	}{{0, 0}, {time.Millisecond, 1}, {100 * time.Hour, 36000}} {
		m := message()
		m.Valid, m.Callback = c.valid, ""
		expect(t, s.Send(within(t), m), comms.Sent, "")
		if got := p.Messages()[i]; got.Valid != c.want || got.Callback != "" {
			t.Errorf("%s: %+v", c.valid, got)
		}
	}
}

func TestBadMessagesAreNotSent(t *testing.T) {
	p := smstest.Start(t, smstest.Options{})
	s := open(t, sms.Config{URL: p.URL()})
	for name, spoil := range map[string]func(*comms.Message){
		"no number":   func(m *comms.Message) { m.To = "" },
		"local":       func(m *comms.Message) { m.To = "2025550123" },
		"two numbers": func(m *comms.Message) { m.To = ada + "," + ada },
		"line end":    func(m *comms.Message) { m.To = ada + "\n" },
		"no text":     func(m *comms.Message) { m.Text = " \n" },
		"long text":   func(m *comms.Message) { m.Text = strings.Repeat("é", 1601) },
		"not UTF-8":   func(m *comms.Message) { m.Text = "\xff" },
	} {
		m := message()
		spoil(&m)
		if out := s.Send(within(t), m); out.State != comms.Failed || !strings.HasPrefix(out.Reason, "bad ") {
			t.Errorf("%s: %+v", name, out)
		}
	}
	if p.Count() != 0 {
		t.Error("a bad message was sent")
	}
}

func TestCodes(t *testing.T) {
	for name, c := range map[string]struct {
		answer smstest.Answer
		state  comms.State
		reason string
		wait   time.Duration
	}{
		"opted out":       {smstest.Answer{Code: 21610, Message: "Attempt to send to unsubscribed recipient"}, comms.Suppressed, "twilio 21610 opted out", 0},
		"bad number":      {smstest.Answer{Code: 21211}, comms.Failed, "twilio 21211 bad number", 0},
		"landline":        {smstest.Answer{Code: 21614}, comms.Failed, "twilio 21614 bad number", 0},
		"region":          {smstest.Answer{Code: 21408, Status: 403}, comms.Failed, "twilio 21408 region", 0},
		"bad sender":      {smstest.Answer{Code: 21606}, comms.Deferred, "twilio 21606 bad sender", 0},
		"queue full":      {smstest.Answer{Code: 21611}, comms.Deferred, "twilio 21611 queue full", 0},
		"too many":        {smstest.Answer{Status: 429, Code: 20429, RetryAfter: "7"}, comms.Deferred, "twilio 20429", 7 * time.Second},
		"too many, plain": {smstest.Answer{Status: 429, RetryAfter: "999999", Raw: "slow down"}, comms.Deferred, "twilio http 429", time.Hour},
		"negative wait":   {smstest.Answer{Status: 429, RetryAfter: "-5"}, comms.Deferred, "twilio http 429", 0},
		"unknown code":    {smstest.Answer{Code: 29999, Message: "some\x1b thing\r\n" + strings.Repeat("x", 900)}, comms.Failed, "twilio 29999 some thing xxx", 0},
		"unauthorised":    {smstest.Answer{Status: 401, Code: 20003}, comms.Deferred, "twilio 20003 our login is refused", 0},
		"not found":       {smstest.Answer{Status: 404, Raw: "<html>"}, comms.Deferred, "twilio http 404", 0},
		"redirect":        {smstest.Answer{Status: 302, Raw: "<html>"}, comms.Deferred, "twilio http 302", 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := smstest.Start(t, smstest.Options{Script: func(e smstest.Event) smstest.Answer {
				if e.List {
					t.Error("a look-up for a message that was surely not taken")
				}
				return c.answer
			}})
			out := open(t, sms.Config{URL: p.URL()}).Send(within(t), message())
			expect(t, out, c.state, c.reason)
			if out.Wait != c.wait || len(out.Reason) > 300 {
				t.Errorf("%+v", out)
			}
		})
	}
}

// Where no answer tells, the provider is asked whether it has the message.
func TestAmbiguousAnswersAreLookedUp(t *testing.T) {
	const quick = 200 * time.Millisecond
	for name, how := range map[string]smstest.Answer{
		"503, JSON":    {Status: 503, Code: 20503, Message: "Service unavailable", RetryAfter: "3"},
		"502, a proxy": {Status: 502, Raw: "<html>Bad Gateway</html>"},
		"408":          {Status: 408, Raw: "timeout"},
		"cut":          {Cut: true},
		"no answer":    {Hang: true},
		"201, garbled": {Status: 201, Raw: "{"},
		"201, empty":   {Status: 201, Raw: "{}"},
	} {
		for _, taken := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, taken %v", name, taken), func(t *testing.T) {
				answer := how
				answer.Keep = taken
				p := smstest.Start(t, smstest.Options{})
				s := open(t, sms.Config{URL: p.URL(), Timeout: quick})
				older := message()
				older.Text = "another text"
				expect(t, s.Send(within(t), older), comms.Sent, "")
				p.SetScript(func(e smstest.Event) smstest.Answer {
					if e.List {
						return smstest.Answer{}
					}
					return answer
				})
				out := s.Send(within(t), message())
				got := p.Messages()
				if taken {
					expect(t, out, comms.Sent, "")
					if len(got) != 2 || out.Ref != got[1].SID {
						t.Errorf("%+v %+v", out, got)
					}
					return
				}
				expect(t, out, comms.Deferred, "not taken")
				if len(got) != 1 || name == "503, JSON" && out.Wait != 3*time.Second {
					t.Errorf("%+v %+v", out, got)
				}
			})
		}
	}
	t.Run("look-up fails", func(t *testing.T) {
		p := smstest.Start(t, smstest.Options{Script: func(smstest.Event) smstest.Answer { return smstest.Answer{Status: 500, Raw: "oops"} }})
		expect(t, open(t, sms.Config{URL: p.URL()}).Send(within(t), message()), comms.Unknown, "looking it up failed: twilio http 500")
	})
	t.Run("stopped", func(t *testing.T) {
		reached := make(chan struct{})
		p := smstest.Start(t, smstest.Options{Script: func(smstest.Event) smstest.Answer {
			close(reached)
			return smstest.Answer{Hang: true, Keep: true}
		}})
		s := open(t, sms.Config{URL: p.URL()})
		ctx, cancel := context.WithCancel(context.Background())
		out := make(chan comms.Outcome, 1)
		go func() { out <- s.Send(ctx, message()) }()
		<-reached
		cancel()
		expect(t, <-out, comms.Unknown, "stopped")
	})
}

// An identical message from before this attempt is no proof.
func TestLookUpIgnoresWhatCameBefore(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	m := message()
	list := func(created time.Time, direction, body, to string) {
		mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"messages": []map[string]any{
				{"sid": "SM1", "to": to, "body": body, "direction": direction, "date_created": created.Format(time.RFC1123Z)},
				{"sid": "SM2", "to": to},
			}})
		})
	}
	for name, c := range map[string]struct {
		created         time.Time
		direction, body string
		to              string
		want            comms.State
	}{
		"before":  {time.Now().Add(-time.Minute), "outbound-api", m.Text, m.To, comms.Deferred},
		"inbound": {time.Now(), "inbound", m.Text, m.To, comms.Deferred},
		"other":   {time.Now(), "outbound-api", m.Text + "!", m.To, comms.Deferred},
		"trial":   {time.Now(), "outbound-api", "Sent from your Twilio trial account - " + m.Text, m.To, comms.Sent},
		"now":     {time.Now(), "outbound-api", m.Text, m.To, comms.Sent},
	} {
		t.Run(name, func(t *testing.T) {
			mux = http.NewServeMux()
			mux.HandleFunc("POST /", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
			list(c.created, c.direction, c.body, c.to)
			srv := httptest.NewServer(mux)
			defer srv.Close()
			u := strings.Replace(srv.URL, "://", "://AC1:t@", 1) + "?from=%2B12025550100"
			expect(t, open(t, sms.Config{URL: u}).Send(within(t), m), c.want, "")
		})
	}
}

func TestUnreachableProviderIsDeferredWithoutLookUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	s := open(t, sms.Config{URL: "http://AC1:s3cret@" + addr + "?from=%2B12025550100"})
	out := s.Send(within(t), message())
	expect(t, out, comms.Deferred, "refused")
	if err := s.Check(within(t)); err == nil || strings.Contains(err.Error()+out.Reason, "s3cret") {
		t.Errorf("%v", err)
	}
}

// broken is a transport that is not ours: it cannot tell whether a request was given.
type broken struct{}

func (broken) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no route, token s3cret")
}

func TestForeignTransportIsNotTrusted(t *testing.T) {
	var log bytes.Buffer
	s := open(t, sms.Config{URL: "https://AC1:s3cret@api.example.com?service=MG1", Transport: broken{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	out := s.Send(within(t), message())
	expect(t, out, comms.Unknown, "no route")
	for _, text := range []string{out.Reason, log.String(), fmt.Sprintf("%v %+v %#v %s", s, s, s, s)} {
		if strings.Contains(text, "s3cret") {
			t.Errorf("the token is in %q", text)
		}
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	for in, want := range map[string]string{
		"":                                        "must begin",
		"ftp://AC1:s3cret@h?from=1":               "must begin",
		"https://AC1:s3cret%zz@h":                 "not a URL",
		"https://AC1:s3cret@?from=1":              "no host",
		"http://AC1:s3cret@example.com?from=":     "clear text",
		"https://example.com?from=1":              "SID and token",
		"https://AC1@example.com?from=1":          "SID",
		"https://A-1:s3cret@h?from=1":             "SID",
		"https://AC1:s3cret@h":                    "either",
		"https://AC1:s3cret@h?from=1&service=MG1": "either",
		"https://AC1:s3cret@h?from=+12025550100":  "bare +",
		"https://AC1:s3cret@h?from=<x>":           "sender",
		"https://AC1:s3cret@h?service=XX1":        "service",
		"https://AC1:s3cret@h?form=1":             "unknown option",
		"https://AC1:s3cret@h?from=1&from=2":      "unknown option",
		"https://AC1:s3cret@h?from=%zz":           "query",
		"https://AC1:s3cret@h?from=1#x":           "#",
		"file:":                                   "directory",
	} {
		_, err := sms.Open(sms.Config{URL: in})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestToFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	s := open(t, sms.Config{URL: "file:" + dir})
	if s.Live() {
		t.Error("a file tells nobody")
	}
	if err := s.Check(within(t)); err != nil {
		t.Error(err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if out := s.Send(context.Background(), message()); out.State != comms.Written {
				t.Errorf("%+v", out)
			}
		}()
	}
	wg.Wait()
	data, err := os.ReadFile(filepath.Join(dir, sms.FileName))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	n := 0
	for ; ; n++ {
		var l sms.Line
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if l.To != ada || l.Text != message().Text || l.Valid != 5400 {
			t.Errorf("%+v", l)
		}
	}
	if n != 50 || bytes.Count(data, []byte("\n")) != 50 {
		t.Errorf("%d lines", n)
	}
}

// The example of the provider's documentation and of its libraries' tests.
func TestSignature(t *testing.T) {
	const token, address, want = "12345", "https://mycompany.com/myapp.php?foo=1&bar=2", "RSOYDt4T1cUTdK1PDd93/VVr8B8="
	form := url.Values{
		"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675309"}, "Digits": {"1234"}, "From": {"+14158675309"}, "To": {"+18005551212"},
	}
	if got := sms.Signature(token, address, form); got != want {
		t.Fatalf("signature %s, want %s", got, want)
	}
	if !sms.ValidSignature(token, address, form, want) {
		t.Error("a good signature is refused")
	}
	withPort := sms.Signature(token, "https://mycompany.com:443/myapp.php?foo=1&bar=2", form)
	if !sms.ValidSignature(token, address, form, withPort) || !sms.ValidSignature(token, "https://mycompany.com:443/myapp.php?foo=1&bar=2", form, want) {
		t.Error("the default port makes a difference")
	}
	changed := url.Values{"CallSid": form["CallSid"], "Digits": {"1235"}}
	for name, bad := range map[string]bool{
		"no token":       sms.ValidSignature("", address, form, sms.Signature("", address, form)),
		"no header":      sms.ValidSignature(token, address, form, ""),
		"other token":    sms.ValidSignature("12346", address, form, want),
		"other form":     sms.ValidSignature(token, address, changed, want),
		"other address":  sms.ValidSignature(token, address+"3", form, want),
		"other host":     sms.ValidSignature(token, "https://evil.example/myapp.php?foo=1&bar=2", form, want),
		"not a URL":      sms.ValidSignature(token, "://", form, want),
		"no form at all": sms.ValidSignature(token, address, nil, want),
	} {
		if bad {
			t.Errorf("%s passes", name)
		}
	}
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		status, code string
		state        comms.State
		reason       string
		ok           bool
	}{
		{"queued", "", comms.Sent, "", true},
		{"accepted", "", comms.Sent, "", true},
		{"sending", "", comms.Sent, "", true},
		{"sent", "", comms.Sent, "", true},
		{"delivered", "", comms.Delivered, "", true},
		{"Delivered", "", comms.Delivered, "", true},
		{"undelivered", "30003", comms.Failed, "twilio 30003 unreachable", true},
		{"undelivered", "30036", comms.Failed, "twilio 30036 expired", true},
		{"failed", "21610", comms.Suppressed, "twilio 21610 opted out", true},
		{"failed", "", comms.Failed, "twilio failed", true},
		{"failed", "junk\n", comms.Failed, "twilio failed", true},
		{"canceled", "", comms.Failed, "twilio canceled", true},
		{"received", "", "", "", false},
		{"", "", "", "", false},
	} {
		form := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {c.status}, "ErrorCode": {c.code}}
		sid, state, reason, ok := sms.Status(form)
		if state != c.state || reason != c.reason || ok != c.ok || ok && sid != "SM1" {
			t.Errorf("%s %s: %q %s %q %v", c.status, c.code, sid, state, reason, ok)
		}
	}
	if _, _, _, ok := sms.Status(url.Values{"MessageSid": {"../x"}, "MessageStatus": {"sent"}}); ok {
		t.Error("a sid that is none passes")
	}
}

func TestCallbacksAreSignedAndNeverGoBackwards(t *testing.T) {
	p := smstest.Start(t, smstest.Options{})
	s := open(t, sms.Config{URL: p.URL()})
	state := comms.Queued
	mux := http.NewServeMux()
	var public string
	mux.HandleFunc("POST /status", func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil || !sms.ValidSignature(s.Token(), public+r.URL.RequestURI(), r.PostForm, r.Header.Get("X-Twilio-Signature")) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if _, next, _, ok := sms.Status(r.PostForm); ok && next.Rank() > state.Rank() {
			state = next
		}
		w.WriteHeader(http.StatusNoContent)
	})
	portal := httptest.NewServer(mux)
	defer portal.Close()
	public = portal.URL
	m := message()
	m.Callback = public + "/status?d=dlv_1"
	out := s.Send(within(t), m)
	expect(t, out, comms.Sent, "")
	for _, c := range []struct {
		status string
		want   comms.State
	}{
		{"sent", comms.Sent}, {"queued", comms.Sent}, {"delivered", comms.Delivered}, {"sent", comms.Delivered}, {"undelivered", comms.Delivered},
	} {
		code, err := p.Callback(within(t), out.Ref, c.status, 0)
		if err != nil || code != http.StatusNoContent || state != c.want {
			t.Errorf("after %s: %s, answered %d %v", c.status, state, code, err)
		}
	}
	resp, err := http.PostForm(m.Callback, url.Values{"MessageSid": {out.Ref}, "MessageStatus": {"failed"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("an unsigned callback is answered %d", resp.StatusCode)
	}
}

func TestCallbacksOnTheirOwn(t *testing.T) {
	p := smstest.Start(t, smstest.Options{Progress: []string{"queued", "sent", "delivered"}})
	got := make(chan string, 3)
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got <- r.FormValue("MessageStatus") }))
	defer portal.Close()
	m := message()
	m.Callback = portal.URL
	expect(t, open(t, sms.Config{URL: p.URL()}).Send(within(t), m), comms.Sent, "")
	for _, want := range []string{"queued", "sent", "delivered"} {
		if s := <-got; s != want {
			t.Errorf("callback %s, want %s", s, want)
		}
	}
}

func TestProviderTellsWhatIsWrong(t *testing.T) {
	p, err := smstest.New(smstest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // the test is over
	base := "http://" + p.Addr() + "/2010-04-01/Accounts/ACtest/Messages.json"
	post := func(user, token string, form url.Values) int {
		req, err := http.NewRequestWithContext(within(t), http.MethodPost, base, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(user, token)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	good := url.Values{"To": {ada}, "From": {"+12025550100"}, "Body": {"x"}}
	if code := post("ACtest", "test-token", good); code != http.StatusCreated {
		t.Errorf("a good message is answered %d", code)
	}
	if code := post("ACtest", "other", good); code != http.StatusUnauthorized {
		t.Errorf("a wrong token is answered %d", code)
	}
	bad := []url.Values{
		{"To": {"555"}, "From": {"+12025550100"}, "Body": {"x"}},
		{"To": {ada}, "From": {"+12025550199"}, "Body": {"x"}},
		{"To": {ada}, "From": {"+12025550100"}},
		{"To": {ada}, "From": {"+12025550100"}, "Body": {"x"}, "MediaUrl": {"x"}},
		{"To": {ada, ada}, "From": {"+12025550100"}, "Body": {"x"}},
		{"To": {ada}, "From": {"+12025550100"}, "Body": {"x"}, "ValidityPeriod": {"0"}},
		{"To": {ada}, "From": {"+12025550100"}, "Body": {"x"}, "StatusCallback": {"nowhere"}},
	}
	for _, form := range bad {
		if code := post("ACtest", "test-token", form); code != http.StatusBadRequest {
			t.Errorf("%v is answered %d", form, code)
		}
	}
	if len(p.Faults()) != len(bad) || p.Count() != 1 {
		t.Errorf("%d faults, %d messages: %v", len(p.Faults()), p.Count(), p.Faults())
	}
}

func FuzzCallback(f *testing.F) {
	f.Add("MessageSid=SM1&MessageStatus=failed&ErrorCode=30003", "https://example.com/x", "c2ln")
	f.Fuzz(func(t *testing.T, body, address, header string) {
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		if !sms.ValidSignature("token", address, form, sms.Signature("token", address, form)) {
			t.Error("a good signature is refused")
		}
		if sms.ValidSignature("token", address, form, header) && header != sms.Signature("token", address, form) && len(header) != 28 {
			t.Error("a bad signature passes")
		}
		_, state, reason, ok := sms.Status(form)
		if ok && state == "" || len(reason) > 1000 || strings.ContainsAny(reason, "\r\n\x00") {
			t.Errorf("%q %q", state, reason)
		}
	})
}
