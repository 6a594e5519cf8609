package portal

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"lifeline/portal/desk"
	"lifeline/portal/page"
	"lifeline/store/fault"
	"lifeline/templates"
)

// problem is an RFC 9457 problem document.
type problem struct {
	Type   string        `json:"type"`
	Title  string        `json:"title"`
	Status int           `json:"status"`
	Detail string        `json:"detail,omitempty"`
	Errors []fault.Field `json:"errors,omitempty"`
	Ref    string        `json:"instance,omitempty"` // of the log line, when it is our defect
	Toll   *tollAnswer   `json:"toll,omitempty"`     // to be paid first
}

var answers = map[fault.Kind]struct {
	status int
	title  string
}{
	fault.Invalid:     {422, "The input is not valid"},
	fault.NotFound:    {404, "Not found"},
	fault.Conflict:    {409, "The state does not allow it"},
	fault.Exists:      {409, "It exists already"},
	fault.Stale:       {412, "It was changed meanwhile"},
	fault.Fenced:      {409, "The lease is no longer yours"},
	fault.Forbidden:   {403, "Not allowed"},
	fault.Unauthentic: {401, "Sign in first"},
	fault.Unknown:     {503, "Nobody knows whether it was kept; it is safe to retry with the same Idempotency-Key"},
	fault.Unavailable: {503, "Not available now"},
	fault.TooLarge:    {413, "Too large"},
	fault.TooMany:     {429, "Too many requests"},
	fault.Unsupported: {415, "Not taken in this form"},
	fault.Permanent:   {422, "It cannot be done"},
}

var errNoPage = fault.New(fault.NotFound, "there is nothing at this address")

// problemOf turns an error into what the person who asked may see. Our own defects show a reference and nothing else.
func problemOf(err error) problem {
	var fe *fiber.Error
	if errors.As(err, &fe) && fe.Code >= 400 && fe.Code < 500 {
		return problem{Type: "about:blank", Title: fe.Message, Status: fe.Code}
	}
	kind := fault.Of(err)
	a, ok := answers[kind]
	if !ok {
		return problem{Type: "about:blank", Title: "Something is wrong on our side", Status: 500, Detail: "Nothing was done. Quote this reference.", Ref: "urn:lifeline:error:" + rand.Text()[:10]}
	}
	p := problem{Type: "about:blank", Title: a.title, Status: a.status}
	if errors.Is(err, fault.ErrFull) { // RFC 4918 section 11.5; nothing was kept, so trying again is safe
		p.Title, p.Status = "There is no room to keep it", fiber.StatusInsufficientStorage
	}
	var e *fault.Error
	if errors.As(err, &e) {
		p.Detail, p.Errors = e.Message, e.Fields
		var o desk.Owing
		if errors.As(err, &o) {
			p.Toll = &tollAnswer{o.Token, wholeSeconds(o.Wait), o.Bits}
			p.Detail += howToPay
		}
		if kind == fault.Unknown || kind == fault.Unavailable {
			p.Errors = nil
		}
	}
	return p
}

// heading is the title in the language of a page.
func (p problem) heading(words templates.Catalog) string {
	if key := "error.is." + strconv.Itoa(p.Status); words.Has(key) && words.Locale() != templates.Locales()[0] {
		return words.T(key)
	}
	return p.Title
}

// fail answers an error: a problem document to programs, a page to people.
func (p *Portal) fail(c *fiber.Ctx, err error) error {
	pr := problemOf(err)
	if pr.Ref != "" {
		p.Log.Error("request failed", "ref", pr.Ref, "route", c.Route().Path, "err", err)
	}
	c.Status(pr.Status)
	switch pr.Status {
	case 401:
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="lifeline"`)
	case 429, 503, 507:
		c.Set(fiber.HeaderRetryAfter, retryAfter(err))
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	if strings.HasPrefix(c.Path(), "/api/") || !strings.Contains(c.Get(fiber.HeaderAccept), "text/html") {
		body, err := json.Marshal(pr)
		if err != nil {
			return err
		}
		c.Set(fiber.HeaderContentType, "application/problem+json")
		return c.Send(body)
	}
	return p.errorPage(c, pr)
}

// later says on a page of ours when to try again, where an error is one of waiting.
func (k *call) later(err error) {
	if s := problemOf(err).Status; s == 429 || s == 503 || s == 507 {
		k.Set(fiber.HeaderRetryAfter, retryAfter(err))
	}
}

// retryAfter is in whole seconds, rounded up (RFC 9110 section 10.2.3).
func retryAfter(err error) string {
	var e *fault.Error
	if errors.As(err, &e) && e.Wait > 0 {
		return strconv.Itoa(wholeSeconds(e.Wait))
	}
	return "2"
}

func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// writeProblem answers below the framework.
func (p *Portal) writeProblem(c *fasthttp.RequestCtx, err error) { bare(c, problemOf(err), p.https()) }

// bare writes a problem document with the headers that are on every answer.
func bare(c *fasthttp.RequestCtx, pr problem, https bool) {
	body, _ := json.Marshal(pr) // a struct of text and numbers
	c.SetStatusCode(pr.Status)
	c.SetContentType("application/problem+json")
	c.Response.Header.Set(fiber.HeaderCacheControl, "no-store")
	for _, h := range page.SecurityHeaders(https) {
		c.Response.Header.Set(h[0], h[1])
	}
	c.SetBody(body)
}

// refuseRaw answers a request that could not even be read.
func refuseRaw(c *fasthttp.RequestCtx, err error) {
	var small *fasthttp.ErrSmallBuffer
	status, title := 400, "The request is malformed"
	switch {
	case errors.As(err, &small):
		status, title = 431, "The headers are larger than 16 KiB"
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		status, title = 413, "The body is too large"
	case strings.Contains(err.Error(), "timeout"):
		status, title = 408, "The request took too long"
	}
	c.SetConnectionClose()
	bare(c, problem{Type: "about:blank", Title: title, Status: status}, false)
}

// recover turns a panic of a handler into a 500 with a reference.
func (p *Portal) recover(c *fiber.Ctx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			p.Log.Error("handler panicked", "route", c.Route().Path, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return c.Next()
}

// headers are on every answer.
func (p *Portal) headers(c *fiber.Ctx) error {
	for _, h := range page.SecurityHeaders(p.https()) {
		c.Set(h[0], h[1])
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Next()
}

func (p *Portal) count(c *fiber.Ctx) error {
	err := c.Next()
	status := c.Response().StatusCode()
	if err != nil {
		status = problemOf(err).Status
	}
	p.requests.WithLabelValues(c.Route().Path, strconv.Itoa(status)).Inc()
	return err
}
