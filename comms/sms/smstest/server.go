// Package smstest is a provider of text messages for tests, benchmarks and demonstrations: an HTTP server that speaks the part
// of Twilio's API that we use, checks what it is sent as strictly as the real one and more, keeps it, sends signed callbacks,
// and misbehaves on request. What it finds wrong with a request it refuses, and keeps in Faults: a test that ends with
// faults has failed. Nothing here belongs into a program that faces strangers.
package smstest

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"lifeline/comms/sms"
	"lifeline/store/fault"
)

// Options says what kind of server to start. What is empty takes a default.
type Options struct {
	Addr     string // to listen on; "127.0.0.1:0"
	SID      string // the account; "ACtest"
	Token    string // "test-token"
	From     string // the number that we send from; "+12025550100" unless Service is set
	Service  string // or the messaging service
	Script   Script
	Progress []string // statuses that are called back for each message on its own, in this order
}

// Event is what a Script is asked about.
type Event struct {
	List bool   // a look-up, not a message
	To   string // both
	Body string
	Try  int // how often this number was asked for in this way before, from 0
}

// Answer is what the server then does. The zero Answer is to go on as usual.
type Answer struct {
	Status     int    // of HTTP; 0 with Code: 400
	Code       int    // the provider's error code
	Message    string // and its text
	RetryAfter string // header
	Raw        string // a body that is no JSON, instead
	Keep       bool   // the message counts as taken all the same
	Cut        bool   // close the connection without an answer
	Hang       bool   // do not answer until the client gives up or the server is closed
}

// Script decides about events. It is called from many goroutines.
type Script func(Event) Answer

// Message is one message that was taken.
type Message struct {
	SID      string
	To       string
	From     string
	Service  string
	Body     string
	Valid    int // seconds; 0: none was said
	Callback string
	Status   string
	At       time.Time
}

// Server is a running server.
type Server struct {
	opts     Options
	listener net.Listener
	http     *http.Server
	client   *http.Client
	done     chan struct{}
	stopped  sync.Once
	wg       sync.WaitGroup

	mu       sync.Mutex
	script   Script
	messages []Message
	faults   []string
	tries    map[string]int
	changed  chan struct{}
}

// New starts a server. Close ends it.
func New(opts Options) (*Server, error) {
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	if opts.SID == "" {
		opts.SID = "ACtest"
	}
	if opts.Token == "" {
		opts.Token = "test-token"
	}
	if opts.From == "" && opts.Service == "" {
		opts.From = "+12025550100"
	}
	l, err := net.Listen("tcp", opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("smstest: %w", err)
	}
	s := &Server{
		opts: opts, listener: l, script: opts.Script, tries: map[string]int{}, changed: make(chan struct{}), done: make(chan struct{}),
		client: &http.Client{Timeout: 10 * time.Second},
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	s.start("smstest server", func() { _ = s.http.Serve(l) })
	return s, nil
}

// Start is New for tests: it ends with the test, and fails it when it cannot start or when a request was not right.
func Start(t interface {
	Helper()
	Fatal(...any)
	Errorf(string, ...any)
	Cleanup(func())
}, opts Options) *Server {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		for _, f := range s.Faults() {
			t.Errorf("smstest: %s", f)
		}
	})
	return s
}

func (s *Server) start(name string, f func()) {
	s.wg.Add(1)
	fault.Go(slog.Default(), name, func() {
		defer s.wg.Done()
		f()
	})
}

// Addr is the address that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is the server as LIFELINE_TWILIO wants it.
func (s *Server) URL() string {
	u := url.URL{Scheme: "http", Host: s.Addr(), User: url.UserPassword(s.opts.SID, s.opts.Token)}
	query := url.Values{}
	if s.opts.Service != "" {
		query.Set("service", s.opts.Service)
	} else {
		query.Set("from", s.opts.From)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// SetScript replaces the script; nil takes all messages.
func (s *Server) SetScript(f Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = f
}

// Messages are those taken so far, in order.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Count is how many messages were taken.
func (s *Server) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages)
}

// Faults are what was wrong with requests.
func (s *Server) Faults() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.faults)
}

// Reset forgets messages, faults and tries.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages, s.faults, s.tries = nil, nil, map[string]int{}
}

// Await waits until ok says so; it asks again whenever a message has come or a callback was answered.
func (s *Server) Await(ctx context.Context, ok func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if ok() {
			return nil
		}
		select {
		case <-changed:
		case <-s.done:
			return net.ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// AwaitCount waits for n messages.
func (s *Server) AwaitCount(ctx context.Context, n int) error {
	if err := s.Await(ctx, func() bool { return s.Count() >= n }); err != nil {
		return fmt.Errorf("smstest: %d of %d messages came: %w", s.Count(), n, err)
	}
	return nil
}

// Close ends the server and its callbacks, and waits for them.
func (s *Server) Close() error {
	s.stopped.Do(func() {
		close(s.done)
		_ = s.http.Close()
	})
	s.wg.Wait()
	return nil
}

// Callback sends one signed status callback to the address that the message named, and gives the status of the answer.
// errorCode is 0 for none.
func (s *Server) Callback(ctx context.Context, sid, status string, errorCode int) (int, error) {
	s.mu.Lock()
	i := slices.IndexFunc(s.messages, func(m Message) bool { return m.SID == sid })
	if i < 0 || s.messages[i].Callback == "" {
		s.mu.Unlock()
		return 0, errors.New("smstest: no such message, or it named no callback")
	}
	s.messages[i].Status = status
	m := s.messages[i]
	s.mu.Unlock()
	form := url.Values{
		"AccountSid": {s.opts.SID}, "ApiVersion": {"2010-04-01"}, "From": {m.From}, "To": {m.To},
		"MessageSid": {sid}, "SmsSid": {sid}, "MessageStatus": {status}, "SmsStatus": {status},
	}
	if errorCode != 0 {
		form.Set("ErrorCode", strconv.Itoa(errorCode))
	}
	return s.Post(ctx, m.Callback, form)
}

// Post sends a signed form to any address, as for inbound messages.
func (s *Server) Post(ctx context.Context, address string, form url.Values) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Twilio-Signature", sms.Signature(s.opts.Token, address, form))
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	s.wake()
	return resp.StatusCode, nil
}

func (s *Server) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if user != s.opts.SID || subtle.ConstantTimeCompare([]byte(password), []byte(s.opts.Token)) != 1 {
		refuse(w, http.StatusUnauthorized, 20003, "Authenticate")
		return
	}
	account := "/2010-04-01/Accounts/" + s.opts.SID
	switch {
	case r.URL.Path == account+"/Messages.json" && r.Method == http.MethodPost:
		s.create(w, r)
	case r.URL.Path == account+"/Messages.json" && r.Method == http.MethodGet:
		s.list(w, r)
	case r.URL.Path == account+".json" && r.Method == http.MethodGet:
		answer(w, http.StatusOK, map[string]any{"sid": s.opts.SID, "status": "active"})
	default:
		s.fault("%s %s is not a call that we use", r.Method, r.URL.Path)
		refuse(w, http.StatusNotFound, 20404, "The requested resource was not found")
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	answer(w, status, map[string]any{"code": code, "message": message, "more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code), "status": status})
}

func (s *Server) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// ask asks the script.
func (s *Server) ask(e Event) Answer {
	s.mu.Lock()
	key := strconv.FormatBool(e.List) + e.To
	e.Try = s.tries[key]
	s.tries[key]++
	script := s.script
	s.mu.Unlock()
	if script == nil {
		return Answer{}
	}
	return script(e)
}

// obey does what the script wants; false is to go on as usual.
func (s *Server) obey(w http.ResponseWriter, r *http.Request, a Answer) bool {
	switch {
	case a.Hang:
		select {
		case <-r.Context().Done():
		case <-s.done:
		}
		panic(http.ErrAbortHandler)
	case a.Cut:
		panic(http.ErrAbortHandler)
	case a.Status == 0 && a.Code == 0 && a.Raw == "":
		return false
	}
	if a.RetryAfter != "" {
		w.Header().Set("Retry-After", a.RetryAfter)
	}
	if a.Status == 0 {
		a.Status = http.StatusBadRequest
	}
	if a.Raw != "" || a.Code == 0 {
		w.WriteHeader(a.Status)
		_, _ = w.Write([]byte(a.Raw))
		return true
	}
	refuse(w, a.Status, a.Code, a.Message)
	return true
}

var number = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// create takes a message.
func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if ct := r.Header.Get("Content-Type"); ct != "application/x-www-form-urlencoded" {
		s.fault("content type %q", ct)
	}
	if err := r.ParseForm(); err != nil || r.URL.RawQuery != "" {
		s.fault("a form that cannot be read, or a query: %v %q", err, r.URL.RawQuery)
		refuse(w, http.StatusBadRequest, 20001, "bad form")
		return
	}
	m, code, problem := s.read(r.PostForm)
	if problem != "" {
		s.fault("message to %q: %s", m.To, problem)
		refuse(w, http.StatusBadRequest, code, problem)
		return
	}
	a := s.ask(Event{To: m.To, Body: m.Body})
	if a == (Answer{}) || a.Keep {
		m = s.keep(m)
	}
	if s.obey(w, r, a) {
		return
	}
	answer(w, http.StatusCreated, s.resource(m))
}

// read takes a form apart and says what is wrong with it.
func (s *Server) read(form url.Values) (m Message, code int, problem string) {
	m = Message{
		To: form.Get("To"), From: form.Get("From"), Service: form.Get("MessagingServiceSid"),
		Body: form.Get("Body"), Callback: form.Get("StatusCallback"),
	}
	for field, values := range form {
		if len(values) != 1 {
			return m, 20001, field + " is given more than once"
		}
		if !slices.Contains([]string{"To", "From", "MessagingServiceSid", "Body", "ValidityPeriod", "StatusCallback"}, field) {
			return m, 20001, "unexpected field " + field
		}
	}
	switch {
	case !number.MatchString(m.To):
		return m, 21211, "Invalid 'To' Phone Number"
	case m.From != s.opts.From && s.opts.Service == "" || m.Service != s.opts.Service:
		return m, 21606, fmt.Sprintf("sender %q, service %q is not ours", m.From, m.Service)
	case m.Body == "":
		return m, 21602, "Message body is required"
	case !utf8.ValidString(m.Body):
		return m, 20001, "the body is not UTF-8"
	case utf8.RuneCountInString(m.Body) > 1600:
		return m, 21617, "The concatenated message body exceeds the 1600 character limit"
	}
	if v := form.Get("ValidityPeriod"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 36000 {
			return m, 21625, "Invalid ValidityPeriod"
		}
		m.Valid = n
	}
	if m.Callback != "" {
		u, err := url.Parse(m.Callback)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return m, 21609, "Invalid 'StatusCallback' URL"
		}
	}
	return m, 0, ""
}

func (s *Server) keep(m Message) Message {
	s.mu.Lock()
	m.SID = fmt.Sprintf("SM%032x", len(s.messages)+1)
	m.Status, m.At = "queued", time.Now().UTC()
	s.messages = append(s.messages, m)
	s.mu.Unlock()
	s.wake()
	if m.Callback != "" && len(s.opts.Progress) > 0 {
		s.start("smstest callbacks", func() { s.progress(m.SID) })
	}
	return m
}

// progress calls back on its own.
func (s *Server) progress(sid string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.start("smstest callbacks' end", func() {
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	})
	for _, status := range s.opts.Progress {
		if code, err := s.Callback(ctx, sid, status, 0); err != nil || code >= 300 {
			if ctx.Err() == nil {
				s.fault("callback %s of %s was answered %d: %v", status, sid, code, err)
			}
			return
		}
	}
}

func (s *Server) resource(m Message) map[string]any {
	return map[string]any{
		"sid": m.SID, "account_sid": s.opts.SID, "to": m.To, "from": m.From, "messaging_service_sid": m.Service, "body": m.Body,
		"status": m.Status, "direction": "outbound-api", "date_created": m.At.Format(time.RFC1123Z), "date_updated": m.At.Format(time.RFC1123Z),
		"date_sent": nil, "num_segments": "1", "error_code": nil, "error_message": nil, "api_version": "2010-04-01",
		"uri": "/2010-04-01/Accounts/" + s.opts.SID + "/Messages/" + m.SID + ".json",
	}
}

// list gives the newest messages to a number first.
func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for field := range query {
		if field != "To" && field != "PageSize" {
			s.fault("unexpected filter %s", field)
		}
	}
	size, err := strconv.Atoi(query.Get("PageSize"))
	if err != nil || size < 1 || size > 1000 {
		size = 50
	}
	to := query.Get("To")
	if s.obey(w, r, s.ask(Event{List: true, To: to})) {
		return
	}
	found := []map[string]any{}
	for _, m := range slices.Backward(s.Messages()) {
		if (to == "" || m.To == to) && len(found) < size {
			found = append(found, s.resource(m))
		}
	}
	answer(w, http.StatusOK, map[string]any{
		"messages": found, "page": 0, "page_size": size, "start": 0, "end": max(0, len(found)-1), "next_page_uri": nil,
		"first_page_uri": r.URL.RequestURI(), "uri": r.URL.RequestURI(),
	})
}
