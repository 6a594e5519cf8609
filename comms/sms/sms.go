// Package sms sends text messages through Twilio's API, or whatever answers like it at a configured address.
//
// Caveats. The provider knows no idempotency key: when a request was given and no answer came, the package looks whether the
// message is there before it says that it may be tried again; a message that becomes visible later still would then be sent
// twice. A refusal of our login or sender number is Deferred, never a fault of the recipient. What goes to a file
// (file:DIR) is Written: nobody was told.
//
// Start reading at Sender.Send; api.go speaks HTTP, codes.go names what the provider says, status.go reads its callbacks.
package sms

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"lifeline/comms"
	"lifeline/store/fault"
)

// Config says through whom and as whom to send.
type Config struct {
	URL       string // as LIFELINE_TWILIO: https://SID:TOKEN@api.twilio.com?from=%2B12025550100, ?service=MG..., or file:DIR
	Log       *slog.Logger
	Transport http.RoundTripper // nil: our own, which follows no proxy settings but the environment's
	Timeout   time.Duration     // of one request; 10 s when 0
}

// Bounds of the provider's API.
const (
	maxText  = 1600                      // characters
	maxValid = 36000 * time.Second       // of ValidityPeriod
	skew     = 5 * time.Second           // between the moment of a request and the one that the provider notes
	guess    = time.Minute + 2*skew      // the same when the provider tells no time
	e164     = `^\+[1-9][0-9]{6,14}$`    // E.164
	sender   = `^[A-Za-z0-9 +_-]{1,20}$` // a number, a short code or a name
)

var (
	numberForm  = regexp.MustCompile(e164)
	senderForm  = regexp.MustCompile(sender)
	sidForm     = regexp.MustCompile(`^[A-Za-z0-9]{2,64}$`)
	serviceForm = regexp.MustCompile(`^MG[A-Za-z0-9]{1,62}$`)
)

// Sender is the SMS channel. Its methods may be called from many goroutines.
type Sender struct {
	log     *slog.Logger
	base    *url.URL // scheme, host and path; without credentials
	sid     string
	token   string
	from    string
	service string
	http    *http.Client
	traced  bool // the transport tells when it has a connection

	file *file // not nil: messages go there
}

var _ comms.Channel = (*Sender)(nil)

// Open checks the configuration and makes the channel; it does not dial yet, see Check. Its errors are fault.Invalid, name
// what is wrong and never repeat the URL, which holds a token.
func Open(cfg Config) (*Sender, error) {
	s := &Sender{log: cfg.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if dir, ok := strings.CutPrefix(cfg.URL, "file:"); ok {
		dir = strings.TrimPrefix(dir, "//")
		if dir == "" {
			return nil, fault.BadField("url", "file: needs a directory, as in file:./outbox")
		}
		f, err := openFile(dir)
		if err != nil {
			return nil, err
		}
		s.file = f
		return s, nil
	}
	if err := s.parse(cfg.URL); err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Transport == nil {
		cfg.Transport = transport()
	}
	_, s.traced = cfg.Transport.(*http.Transport)
	s.http = &http.Client{
		Transport: cfg.Transport, Timeout: cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

func transport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     30 * time.Second,
		ForceAttemptHTTP2:   true,
	}
}

func (s *Sender) parse(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fault.BadField("url", "is not a URL; percent-encode special characters, such as + as %%2B")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fault.BadField("url", "must begin with https:// or file:")
	case u.Hostname() == "":
		return fault.BadField("url", "names no host, as in https://SID:TOKEN@api.twilio.com?from=%%2B12025550100")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fault.BadField("url", "would send the token in clear text; use https")
	case u.Fragment != "" || u.RawFragment != "":
		return fault.BadField("url", "has something after #; percent-encode it")
	case u.User == nil:
		return fault.BadField("url", "needs account SID and token, as in https://SID:TOKEN@api.twilio.com")
	}
	s.sid = u.User.Username()
	s.token, _ = u.User.Password()
	if !sidForm.MatchString(s.sid) || s.token == "" {
		return fault.BadField("url", "needs an account SID of letters and digits, and a token")
	}
	s.base = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}
	return s.origin(u.RawQuery)
}

// origin reads who the messages come from.
func (s *Sender) origin(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return fault.BadField("url", "has a query that cannot be read; only from and service are known")
	}
	for key, values := range query {
		switch {
		case key != "from" && key != "service" || len(values) != 1:
			return fault.BadField("url", "has an unknown option; only from or service is known, once")
		case key == "from":
			s.from = values[0]
		default:
			s.service = values[0]
		}
	}
	switch {
	case (s.from == "") == (s.service == ""):
		return fault.BadField("url", "needs either ?from=NUMBER or ?service=MG...")
	case strings.HasPrefix(s.from, " "):
		return fault.BadField("url", "has a bare + in from; write %%2B")
	case s.from != "" && !senderForm.MatchString(s.from):
		return fault.BadField("url", "has a sender that is no number, short code or name")
	case s.service != "" && !serviceForm.MatchString(s.service):
		return fault.BadField("url", "has a service that does not look like MG and letters and digits")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Name implements comms.Channel.
func (s *Sender) Name() string { return "sms" }

// Live implements comms.Channel: false when messages go to a file.
func (s *Sender) Live() bool { return s.file == nil }

// Token is the account's token, which signs the provider's callbacks (see ValidSignature); "" when messages go to a file.
func (s *Sender) Token() string { return s.token }

// String names the sender for people, without its token.
func (s *Sender) String() string {
	if s.file != nil {
		return "file:" + s.file.dir
	}
	return s.base.Host + " " + s.from + s.service
}

// GoString keeps the token out of %#v.
func (s *Sender) GoString() string { return "sms.Sender(" + s.String() + ")" }

// Send implements comms.Channel. It asks once, and once more where the message got to when no answer came.
func (s *Sender) Send(ctx context.Context, m comms.Message) comms.Outcome {
	if problem := check(m); problem != "" {
		return comms.Outcome{State: comms.Failed, Reason: problem}
	}
	if s.file != nil {
		return s.file.write(m)
	}
	start := time.Now()
	c := s.call(ctx)
	made, err := c.api().CreateMessage(s.params(m))
	if err == nil && made.Sid != nil && *made.Sid != "" {
		return comms.Outcome{State: comms.Sent, Ref: clean(*made.Sid)}
	}
	if err == nil {
		err = errors.New("the answer has no sid")
	}
	out, certain := c.judge(err)
	if certain {
		return out
	}
	return s.lookUp(ctx, m, start, out)
}

// check says what is wrong with a message, as a named reason.
func check(m comms.Message) string {
	switch {
	case !numberForm.MatchString(m.To):
		return "bad number: not E.164"
	case strings.TrimSpace(m.Text) == "":
		return "bad message: no text"
	case !utf8.ValidString(m.Text):
		return "bad message: not UTF-8"
	case utf8.RuneCountInString(m.Text) > maxText:
		return "bad message: longer than 1600 characters"
	}
	return ""
}

func (s *Sender) params(m comms.Message) *openapi.CreateMessageParams {
	p := new(openapi.CreateMessageParams).SetTo(m.To).SetBody(m.Text)
	if s.service != "" {
		p.SetMessagingServiceSid(s.service)
	} else {
		p.SetFrom(s.from)
	}
	if m.Valid > 0 {
		p.SetValidityPeriod(max(1, int(min(m.Valid, maxValid)/time.Second)))
	}
	if m.Callback != "" {
		p.SetStatusCallback(m.Callback)
	}
	return p
}

// lookUp finds out whether a message arrived although its request was not answered. It compares number, text and time
// itself: the provider's filter by date is one by the day it was sent, which a queued message does not have yet.
func (s *Sender) lookUp(ctx context.Context, m comms.Message, start time.Time, out comms.Outcome) comms.Outcome {
	c := s.call(ctx)
	list, err := c.api().PageMessage(new(openapi.ListMessageParams).SetTo(m.To).SetPageSize(50), "", "")
	if err != nil {
		s.log.Warn("sms: nobody knows whether a message was taken", "reason", out.Reason, "look-up", s.redact(err.Error()))
		return comms.Outcome{State: comms.Unknown, Reason: out.Reason + "; looking it up failed: " + c.name(err)}
	}
	since := start.Add(-guess)
	if !c.date.IsZero() {
		since = c.date.Add(-time.Since(start) - skew)
	}
	for _, found := range list.Messages {
		if matches(found, m, since) {
			return comms.Outcome{State: comms.Sent, Ref: clean(*found.Sid)}
		}
	}
	out.State = comms.Deferred
	out.Reason += "; it was not taken"
	return out
}

func matches(found openapi.ApiV2010Message, m comms.Message, since time.Time) bool {
	if found.Sid == nil || *found.Sid == "" || found.To == nil || *found.To != m.To || found.Body == nil || found.DateCreated == nil {
		return false
	}
	if found.Direction != nil && strings.HasPrefix(*found.Direction, "inbound") {
		return false
	}
	created, err := time.Parse(time.RFC1123Z, *found.DateCreated)
	// A trial account puts a sentence of its own before the text.
	return err == nil && !created.Before(since) && strings.HasSuffix(strings.TrimSpace(*found.Body), strings.TrimSpace(m.Text))
}

// Check asks the provider about our account, and so whether address, SID and token are good. For a directory it says whether
// it can be written.
func (s *Sender) Check(ctx context.Context) error {
	if s.file != nil {
		return s.file.check()
	}
	c := s.call(ctx)
	account, err := c.api().FetchAccount(s.sid)
	if err != nil {
		return fault.New(fault.Unavailable, "sms provider %s: %s", s.base.Host, c.name(err))
	}
	if account.Status != nil && *account.Status != "active" {
		return fault.New(fault.Unavailable, "sms provider %s: the account is %s", s.base.Host, clean(*account.Status))
	}
	return nil
}

// Close implements comms.Channel.
func (s *Sender) Close() error {
	if s.file != nil {
		return s.file.close()
	}
	s.http.CloseIdleConnections()
	return nil
}
