package sms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twilio/twilio-go/client"
	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"lifeline/comms"
	"lifeline/store/outbound"
)

// maxAnswer bounds what we read of an answer.
const maxAnswer = 1 << 20

// call is one request to the provider. It is the client that twilio-go asks to do its HTTP, so that base URL, context,
// timeouts and the answers that are no JSON are ours.
type call struct {
	s         *Sender
	ctx       context.Context
	connected atomic.Bool // a connection was had: the request may have been given
	status    int         // of the answer; 0: there was none
	date      time.Time   // the provider's clock
}

var _ client.BaseClient = (*call)(nil)

func (s *Sender) call(ctx context.Context) *call { return &call{s: s, ctx: ctx} }

// api is twilio-go on this call. The handler is made by hand: its constructor reads the environment.
func (c *call) api() *openapi.ApiService {
	return openapi.NewApiService(&client.RequestHandler{Client: c})
}

// AccountSid implements client.BaseClient.
func (c *call) AccountSid() string { return c.s.sid }

// SetTimeout implements client.BaseClient; the timeout is Config's.
func (c *call) SetTimeout(time.Duration) {}

// SetOauth implements client.BaseClient; there is none.
func (c *call) SetOauth(client.OAuth) {}

// OAuth implements client.BaseClient; there is none.
func (c *call) OAuth() client.OAuth { return nil }

// SendRequest implements client.BaseClient.
func (c *call) SendRequest(method, raw string, data url.Values, _ map[string]any, _ ...byte) (*http.Response, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	u.Scheme, u.Host, u.Path = c.s.base.Scheme, c.s.base.Host, c.s.base.Path+u.Path
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(data.Encode())
	} else {
		u.RawQuery = data.Encode()
	}
	ctx := httptrace.WithClientTrace(c.ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { c.connected.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(c.s.sid, c.s.token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "lifeline")
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.s.http.Do(req)
	if err != nil {
		return nil, err
	}
	c.status = resp.StatusCode
	c.date, _ = http.ParseTime(resp.Header.Get("Date"))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer func() { _ = resp.Body.Close() }()
		return nil, readRefusal(resp, time.Now())
	}
	resp.Body = bounded{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}

type bounded struct {
	io.Reader
	io.Closer
}

// refusal is an answer that is no success.
type refusal struct {
	status  int
	code    int // the provider's own; 0: none was given
	message string
	wait    time.Duration
}

// Error implements error.
func (r *refusal) Error() string {
	if r.code != 0 {
		return named(r.code, r.message)
	}
	return "twilio http " + strconv.Itoa(r.status)
}

// readRefusal takes what can be had from an answer; a proxy's is no JSON.
func readRefusal(resp *http.Response, now time.Time) *refusal {
	r := &refusal{status: resp.StatusCode, wait: outbound.RetryAfter(resp.Header, now, time.Hour)}
	var body struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && json.Unmarshal(data, &body) == nil {
		r.code, r.message = body.Code, body.Message
	}
	return r
}

// judge turns a failed create into an outcome. It is certain when the message cannot have been taken.
func (c *call) judge(err error) (out comms.Outcome, certain bool) {
	var r *refusal
	if errors.As(err, &r) {
		return r.outcome()
	}
	out = comms.Outcome{State: comms.Deferred, Reason: c.name(err)}
	return out, c.status == 0 && c.s.traced && !c.connected.Load()
}

// name says in few words what went wrong, without the URL.
func (c *call) name(err error) string {
	var (
		r      *refusal
		dial   *net.OpError
		failed *url.Error
	)
	switch {
	case errors.As(err, &r):
		return r.Error()
	case c.ctx.Err() != nil:
		return "twilio: stopped: " + context.Cause(c.ctx).Error()
	case c.status != 0:
		return fmt.Sprintf("twilio http %d: the answer cannot be read", c.status)
	case errors.As(err, &failed) && failed.Timeout():
		return "twilio: no answer in time"
	case errors.As(err, &dial):
		return clean("twilio: " + dial.Op + ": " + c.s.redact(dial.Err.Error()))
	case errors.As(err, &failed):
		return clean("twilio: " + c.s.redact(failed.Err.Error()))
	}
	return clean("twilio: " + c.s.redact(err.Error()))
}

func (s *Sender) redact(text string) string {
	return strings.ReplaceAll(text, s.token, "[token]")
}
