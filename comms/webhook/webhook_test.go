package webhook

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/store/outbound"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receiver is a server of https that answers as told, and fails the test when a signature is not that of the secret.
func receiver(t *testing.T, answer func(http.ResponseWriter, string)) (s *Sender, address string, ids *[]string) {
	t.Helper()
	ids = &[]string{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id, stamp := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
		if want, err := Sign(testSecret, id, stamp, body); err != nil || r.Header.Get("webhook-signature") != want || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("the signature of %s: %v", body, r.Header)
		}
		if at, err := strconv.ParseInt(stamp, 10, 64); err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Minute || strings.Contains(id, ".") {
			t.Errorf("id %q at %q", id, stamp)
		}
		*ids = append(*ids, id)
		answer(w, string(body))
	}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, _ := strconv.Atoi(u.Port())
	s = Open(Config{Dialer: &outbound.Dialer{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, Ports: []int{port}, Roots: roots})
	t.Cleanup(func() { _ = s.Close() })
	return s, server.URL + "/hook", ids
}

func posted(to string) comms.Message {
	return comms.Message{Delivery: "dlv_n.4.0.s.w.0", ID: "abcdefghijklmnop@status.example", To: to, Text: `{"type":"incident.update"}`, Secret: testSecret}
}

// What a receiver answers decides what becomes of a post; a repeat carries the same id, and nothing is followed elsewhere.
func TestWhatAReceiverAnswers(t *testing.T) {
	cases := []struct {
		code   int
		header [2]string
		want   comms.State
		reason string
		wait   time.Duration
	}{
		{code: 200, want: comms.Sent}, {code: 204, want: comms.Sent},
		{code: 429, header: [2]string{"Retry-After", "90"}, want: comms.Deferred, wait: 90 * time.Second},
		{code: 429, header: [2]string{"Retry-After", "Tue, 31 Dec 2199 23:59:59 GMT"}, want: comms.Deferred, wait: longestWait},
		{code: 503, header: [2]string{"Retry-After", "soon"}, want: comms.Deferred},
		{code: 410, want: comms.Suppressed, reason: "http 410 gone"},
		{code: 404, want: comms.Failed, reason: "http 404"}, {code: 400, want: comms.Failed},
		{code: 302, header: [2]string{"Location", "https://169.254.169.254/"}, want: comms.Failed, reason: "redirect"},
	}
	next := cases[0]
	s, to, ids := receiver(t, func(w http.ResponseWriter, _ string) {
		if next.header[0] != "" {
			w.Header().Set(next.header[0], next.header[1])
		}
		w.WriteHeader(next.code)
	})
	for _, next = range cases {
		out := s.Send(context.Background(), posted(to))
		if out.State != next.want || !strings.Contains(out.Reason, next.reason) || out.Wait != next.wait || strings.Contains(out.Reason, "hook") {
			t.Errorf("%d is %+v", next.code, out)
		}
	}
	for _, id := range *ids {
		if id != (*ids)[0] || len(*ids) != len(cases) {
			t.Errorf("the ids of one delivery: %q", *ids)
		}
	}
}

// Only an answer that says nothing but the challenge is one: what sends everything back has not read it.
func TestAChallengeIsAnsweredByWhoReadsIt(t *testing.T) {
	answer := ""
	s, to, _ := receiver(t, func(w http.ResponseWriter, body string) {
		fmt.Fprint(w, strings.ReplaceAll(answer, "BODY", body))
	})
	for say, want := range map[string]bool{
		"c4ll": true, " c4ll\n": true, `{"challenge":"c4ll"}`: true,
		"ok": false, "": false, "BODY": false, `{"challenge":"c4ll","type":"x"}`: false, `{"json":{"challenge":"c4ll"}}`: false, "c4ll" + strings.Repeat(" x", maxAnswer): false,
	} {
		answer = say
		m := posted(to)
		m.Text, m.Challenge = `{"type":"subscription.challenge","challenge":"c4ll"}`, "c4ll"
		if out := s.Send(context.Background(), m); out.State != comms.Sent || out.Echoed != want {
			t.Errorf("%.60q is %+v", say, out)
		}
	}
	answer = "c4ll"
	if out := s.Send(context.Background(), posted(to)); out.Echoed {
		t.Error("an answer to no challenge counts as one")
	}
}

// A stranger names where this goes: nothing but a public address over https is dialled, whatever its name says.
func TestOnlyPublicAddressesArePostedTo(t *testing.T) {
	dialled := false
	dialer := &outbound.Dialer{Lookup: func(_ context.Context, _, host string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr(map[string]string{"inside.example": "10.0.0.7", "mapped.example": "::ffff:169.254.169.254", "self.example": "127.0.0.1"}[host])}, nil
	}}
	s := Open(Config{Dialer: dialer})
	for _, to := range []string{"https://inside.example/x", "https://mapped.example/x", "https://self.example/", "http://inside.example/", "https://inside.example:8443/", "https://u:p@inside.example/",
		"https://[::1]/", "https:///x", "%", "ftp://inside.example/"} {
		if out := s.Send(context.Background(), posted(to)); out.State != comms.Failed || dialled {
			t.Errorf("%s is %+v", to, out)
		}
	}
	if out := s.Send(context.Background(), comms.Message{To: "https://inside.example/", Text: "no JSON"}); out.State != comms.Failed {
		t.Errorf("what is no JSON is %+v", out)
	}
}

// A host that does not answer is left alone after a few tries, so that posts to it cost nobody's time; one that answers again is posted to at once.
func TestAHostThatHangsIsLeftAlone(t *testing.T) {
	code, asked := 500, 0
	s, to, _ := receiver(t, func(w http.ResponseWriter, _ string) { asked++; w.WriteHeader(code) })
	at := time.Now()
	s.now = func() time.Time { return at }
	for range mostFailures + 3 {
		if out := s.Send(context.Background(), posted(to)); out.State != comms.Deferred {
			t.Errorf("%+v", out)
		}
	}
	if asked != mostFailures {
		t.Errorf("it was asked %d times", asked)
	}
	out := s.Send(context.Background(), posted(to))
	if out.Wait <= 0 || out.Wait > firstPause {
		t.Errorf("its wait is %s", out.Wait)
	}
	at = at.Add(firstPause)
	code = 200
	if first := s.hosts.wait(strings.TrimSuffix(strings.TrimPrefix(to, "https://"), "/hook"), at); first != 0 {
		t.Errorf("nobody may ask after the pause: %s", first)
	}
	if out := s.Send(context.Background(), posted(to)); out.Wait <= 0 {
		t.Errorf("two ask at once: %+v", out)
	}
	at = at.Add(firstPause)
	for range 2 {
		if out := s.Send(context.Background(), posted(to)); out.State != comms.Sent {
			t.Errorf("after it came back: %+v", out)
		}
	}
}

// No answer in time is no failure of the receiver for good: it goes again under the same id.
func TestNoAnswerIsTriedAgain(t *testing.T) {
	over := make(chan struct{})
	s, to, _ := receiver(t, func(w http.ResponseWriter, _ string) { <-over })
	defer close(over)
	s.http.Timeout = 30 * time.Millisecond
	if out := s.Send(context.Background(), posted(to)); out.State != comms.Deferred || out.Reason != "no answer in time" {
		t.Errorf("%+v", out)
	}
	s.http.Timeout = time.Second
	if out := s.Send(context.Background(), posted(strings.Replace(to, "127.0.0.1", "127.0.0.2", 1))); out.State != comms.Deferred || out.Reason == "" {
		t.Errorf("%+v", out)
	}
}
