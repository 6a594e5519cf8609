// Package webhook posts messages to addresses of the web that their owners gave us: a program's own, or an incoming webhook of a chat.
//
// What is posted is signed as Standard Webhooks are (https://www.standardwebhooks.com, version 1): webhook-id stays the same at every try of a delivery, so
// that a receiver takes it once; webhook-timestamp is that of the try; webhook-signature is "v1," and the base64 of HMAC-SHA256 over both and the
// body, joined by dots. Everything goes out through [outbound.Dialer], which dials public addresses only, and over https.
//
// Caveats. A receiver that took a message and was cut off before it answered gets it again, under the same id. What a receiver answers is not read, but for
// the answer to a challenge. The breaker of a host is this process's own and forgets at a restart.
//
// Start reading at Sender.Send; breaker.go says when a host is left alone.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/store/fault"
	"lifeline/store/outbound"
)

// Config says how to reach receivers.
type Config struct {
	Dialer *outbound.Dialer // nil: one that dials public addresses only
	Ports  []int            // to which is posted; none: 443
	Roots  *x509.CertPool   // whom certificates must come from; nil: the system's
	Log    *slog.Logger
}

// Limits of one post.
const (
	maxBody   = 512 << 10
	maxAnswer = 4 << 10 // of an answer to a challenge
	prefix    = "whsec_"
)

// Sender is the channel. Its methods may be called from many goroutines.
type Sender struct {
	http  *http.Client
	ports []int
	log   *slog.Logger
	hosts breaker
	now   func() time.Time
}

var _ comms.Channel = (*Sender)(nil)

// Open makes the channel.
func Open(cfg Config) *Sender {
	if cfg.Dialer == nil {
		cfg.Dialer = &outbound.Dialer{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Ports) == 0 {
		cfg.Ports = []int{443}
	}
	client := cfg.Dialer.Client()
	if t, ok := client.Transport.(*http.Transport); ok {
		t.TLSClientConfig.RootCAs = cfg.Roots
	}
	return &Sender{http: client, ports: cfg.Ports, log: cfg.Log, now: time.Now}
}

// Name implements comms.Channel.
func (s *Sender) Name() string { return comms.ChannelWebhook }

// Live implements comms.Channel.
func (s *Sender) Live() bool { return true }

// Close implements comms.Channel.
func (s *Sender) Close() error {
	s.http.CloseIdleConnections()
	return nil
}

// Send implements comms.Channel.
func (s *Sender) Send(ctx context.Context, m comms.Message) comms.Outcome {
	to, problem := s.read(m)
	if problem != "" {
		return comms.Outcome{State: comms.Failed, Reason: problem}
	}
	if wait := s.hosts.wait(to.Host, s.now()); wait > 0 {
		return comms.Outcome{State: comms.Deferred, Reason: "its host did not answer lately and is left alone for a while", Wait: wait}
	}
	req, err := s.request(ctx, to, m)
	if err != nil {
		return comms.Outcome{State: comms.Failed, Reason: err.Error()}
	}
	answer, err := s.http.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			s.hosts.failed(to.Host, s.now())
		}
		return unreached(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 500 && answer.StatusCode != http.StatusNotImplemented {
		s.hosts.failed(to.Host, s.now())
	} else {
		s.hosts.answered(to.Host)
	}
	out := judge(answer, s.now())
	if m.Challenge != "" && out.State == comms.Sent {
		out.Echoed = echoes(answer.Body, m.Challenge)
	}
	return out
}

// read says what is wrong with a message, as a named reason, or where it goes.
func (s *Sender) read(m comms.Message) (to *url.URL, problem string) {
	to, err := url.Parse(m.To)
	if err != nil {
		return nil, "bad address: it cannot be read"
	}
	port := 443
	if p := to.Port(); p != "" {
		port, _ = strconv.Atoi(p) // what is no number is no port of ours
	}
	switch {
	case to.Scheme != "https" || to.Hostname() == "" || to.User != nil:
		return nil, "bad address: only https without a login is posted to"
	case !slices.Contains(s.ports, port):
		return nil, "bad address: its port is not posted to"
	case len(m.Text) > maxBody || !json.Valid([]byte(m.Text)):
		return nil, "bad message: no JSON, or too much of it"
	}
	return to, ""
}

func (s *Sender) request(ctx context.Context, to *url.URL, m comms.Message) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(m.Text))
	if err != nil {
		return nil, errors.New("bad address: it cannot be asked")
	}
	id, _, _ := strings.Cut(m.ID, "@")
	id, stamp := "msg_"+id, strconv.FormatInt(s.now().Unix(), 10)
	for name, value := range map[string]string{"Content-Type": "application/json", "User-Agent": "Lifeline-Webhook/1", "webhook-id": id, "webhook-timestamp": stamp} {
		req.Header.Set(name, value)
	}
	if m.Secret != "" {
		signature, err := Sign(m.Secret, id, stamp, []byte(m.Text))
		if err != nil {
			return nil, err
		}
		req.Header.Set("webhook-signature", signature)
	}
	return req, nil
}

// Sign is the signature of a message under a secret, "whsec_" and the base64 of the key.
func Sign(secret, id, stamp string, body []byte) (string, error) {
	encoded, ok := strings.CutPrefix(secret, prefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !ok || len(key) == 0 {
		return "", errors.New("bad message: its secret cannot be read")
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, stamp)
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// judge is what an answer means. Nothing is followed elsewhere, so what is not taken here is a failure.
func judge(answer *http.Response, now time.Time) comms.Outcome {
	out := comms.Outcome{Reason: "http " + strconv.Itoa(answer.StatusCode)}
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		out.State = comms.Sent
	case code == http.StatusGone:
		out.State, out.Reason = comms.Suppressed, out.Reason+" gone: it wants no more"
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusTooEarly || code >= 500 && code != http.StatusNotImplemented:
		out.State, out.Wait = comms.Deferred, outbound.RetryAfter(answer.Header, now, longestWait)
	default:
		out.State = comms.Failed
	}
	return out
}

// longestWait bounds what a receiver may ask for: a date in a hundred years would keep an update from ever being done.
const longestWait = 24 * time.Hour

// unreached names why there was no answer, without the address: some of it is secret. The message may have been taken; it goes again under the same id.
func unreached(err error) comms.Outcome {
	var certificate *tls.CertificateVerificationError
	var e *fault.Error
	var timeout net.Error
	switch {
	case errors.As(err, &e) && e.Kind == fault.Permanent:
		return comms.Outcome{State: comms.Failed, Reason: e.Message}
	case errors.As(err, &certificate):
		return comms.Outcome{State: comms.Deferred, Reason: "its certificate is not good"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return comms.Outcome{State: comms.Deferred, Reason: "no answer in time"}
	}
	return comms.Outcome{State: comms.Deferred, Reason: "no connection"}
}

// echoes says whether an answer is a challenge, as plain text or as the only field of an object. What merely sends back all that it gets says more than that.
func echoes(answer io.Reader, challenge string) bool {
	b, err := io.ReadAll(io.LimitReader(answer, maxAnswer))
	if err != nil {
		return false
	}
	if b = bytes.TrimSpace(b); string(b) == challenge {
		return true
	}
	var only map[string]any
	return json.Unmarshal(b, &only) == nil && len(only) == 1 && only["challenge"] == challenge
}
