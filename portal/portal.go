// Package portal is the only room that serves HTTP: the API for staff and automation, the support form, the staff pages and the
// webhooks, with the public page's bytes in front.
//
// Handlers translate: they read a request, call one method of a room and render what it returned. They decide nothing. Every route
// stands in one table ([Portal.routes]) with the right that it needs; the OpenAPI document is made from the same table.
package portal

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/portal/page"
	"lifeline/store"
	"lifeline/templates"
)

// Portal serves the rooms; everything in it is handed in once, at start.
type Portal struct {
	DB      *store.DB
	Book    *contacts.Book
	Changes *contacts.Changes
	Comms   *comms.Room
	Desk    *desk.Desk
	Gate    *auth.Gate
	Words   *templates.Set
	Page    *page.Server // nil: no public page in front (tests)
	Press   *page.Press  // renders what it shows; nil: nothing can be looked at before it is said
	Log     *slog.Logger
	Metrics *prometheus.Registry

	URL      string                         // public base URL, no slash at the end
	Trusted  []*net.IPNet                   // proxies that may set forwarding headers
	Sending  func() Sending                 // which channels are live, for the banner on staff pages
	Degraded func(context.Context) []string // what staff should know is not as it must be, as words "desk.degraded.NAME"; nil: nothing
	Secrets  Secrets                        // of the sources that sign what they send
	Callback Callback                       // the SMS provider's callbacks; nil: none are taken
	Ready    func(context.Context) []string
	Operator Operator

	requests *prometheus.CounterVec
	imports  imports
	known    known
	lately   lately
}

// Sending says whether people are being told.
type Sending struct {
	Email, SMS string // "live", "file", "off"
	Demo       bool
}

// Callback reads what the SMS provider calls us for; cmd hands it in, so that this room knows no provider.
type Callback struct {
	Valid  func(fullURL string, form url.Values, signature string) bool
	Status func(form url.Values) (ref string, state comms.State, reason string, ok bool)

	Inbound func(form url.Values) (comms.Incoming, bool) // a text that somebody sent us
	Answer  func(words string) []byte                    // what the provider is answered to it
}

// Handler is everything that the public listener serves.
func (p *Portal) Handler() fasthttp.RequestHandler { return p.handler(p.routes()) }

func (p *Portal) handler(all []route) fasthttp.RequestHandler {
	if p.requests == nil {
		p.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lifeline_http_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"route", "status"})
		if p.Metrics != nil {
			p.Metrics.MustRegister(p.requests)
		}
	}
	next := p.guard(p.app(all).Handler())
	if p.Page == nil {
		return next
	}
	return p.Page.Front(next)
}

// Control is the same API for the commands of this machine's operator, and what only she may ask: whoever can open the control socket (mode
// 0600) may do what an administrator may.
func (p *Portal) Control() fasthttp.RequestHandler {
	h := p.handler(append(p.operatorRoutes(), p.routes()...))
	return func(c *fasthttp.RequestCtx) {
		c.SetUserValue(controlKey, true)
		h(c)
	}
}

const controlKey = "lifeline.control"

func (p *Portal) app(all []route) *fiber.App {
	app := fiber.New(fiber.Config{
		AppName:                      "lifeline",
		DisableStartupMessage:        true,
		Immutable:                    true, // Fiber reuses request memory after a handler returns
		StrictRouting:                true,
		CaseSensitive:                true,
		DisableDefaultDate:           false,
		DisablePreParseMultipartForm: true,
		StreamRequestBody:            true,
		BodyLimit:                    maxImport,
		ErrorHandler:                 func(c *fiber.Ctx, err error) error { return p.fail(c, err) },
	})
	app.Use(p.recover, p.headers, p.count)
	for _, r := range all {
		app.Add(r.method, r.path, p.serve(r))
		if r.method == fiber.MethodGet {
			app.Add(fiber.MethodHead, r.path, p.serve(r)) // RFC 9110 section 9.1; the server leaves the body out
		}
	}
	app.Use(func(c *fiber.Ctx) error { return nothingHere(c, all) })
	return app
}

// nothingHere tells an address that does not exist from one that is asked in a way it does not answer (RFC 9110 section 15.5.6).
func nothingHere(c *fiber.Ctx, all []route) error {
	var allow []string
	for _, r := range all {
		if fiber.RoutePatternMatch(c.Path(), r.path, fiber.Config{StrictRouting: true, CaseSensitive: true}) && !slices.Contains(allow, r.method) {
			allow = append(allow, r.method)
			if r.method == fiber.MethodGet {
				allow = append(allow, fiber.MethodHead)
			}
		}
	}
	if allow == nil {
		return errNoPage
	}
	c.Set(fiber.HeaderAllow, strings.Join(allow, ", "))
	return fiber.NewError(fiber.StatusMethodNotAllowed, "This address does not answer "+c.Method())
}

// https says whether the public address is encrypted; cookies and headers follow it.
func (p *Portal) https() bool { return strings.HasPrefix(p.URL, "https://") }

// source is the address that a request came from: the peer's, or what a trusted proxy says in the last entry of X-Forwarded-For that
// is not itself a trusted proxy. The header's lines are one list (RFC 9110 section 5.3): some proxies add a line of their own behind
// what a stranger sent.
func (p *Portal) source(c *fiber.Ctx) string {
	peer := c.Context().RemoteIP()
	if !p.trusts(peer) {
		return peer.String()
	}
	hops := bytes.Split(bytes.Join(c.Request().Header.PeekAll(fiber.HeaderXForwardedFor), []byte(",")), []byte(","))
	for _, hop := range slices.Backward(hops) {
		ip := hopIP(strings.TrimSpace(string(hop)))
		if ip == nil {
			break
		}
		if !p.trusts(ip) {
			return ip.String()
		}
	}
	return peer.String()
}

// hopIP reads an address as proxies write it, some of them with a port.
func hopIP(s string) net.IP {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	return net.ParseIP(s)
}

func (p *Portal) trusts(ip net.IP) bool {
	for _, n := range p.Trusted {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// prefetch is how much of a body is read before a handler is asked; the rest is read as the handler wants it, so that what is too large is
// refused by its first bytes.
const prefetch = 16 << 10

// Server is a listener's settings: the limits and timeouts of a service that strangers can reach.
func Server(h fasthttp.RequestHandler, log *slog.Logger) *fasthttp.Server {
	return &fasthttp.Server{
		KeepHijackedConns:             true, // the page keeps them, for readers who have it open
		Handler:                       h,
		Name:                          "lifeline",
		ReadBufferSize:                maxHeaders,
		ReadTimeout:                   10 * time.Second, // the header; HeaderReceived then gives the body its own time
		WriteTimeout:                  30 * time.Second,
		IdleTimeout:                   75 * time.Second,
		MaxRequestBodySize:            prefetch,
		StreamRequestBody:             true,
		DisablePreParseMultipartForm:  true,
		NoDefaultServerHeader:         true,
		NoDefaultContentType:          true,
		CloseOnShutdown:               true,
		Concurrency:                   20_000,
		DisableHeaderNamesNormalizing: false,
		HeaderReceived: func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
			cfg := fasthttp.RequestConfig{ReadTimeout: 60 * time.Second, WriteTimeout: 30 * time.Second, MaxRequestBodySize: prefetch}
			if uri := string(h.RequestURI()); long(uri) || givesFile(uri) || bringsFiles(h) {
				cfg.ReadTimeout, cfg.WriteTimeout = 5*time.Minute, 5*time.Minute
			}
			return cfg
		},
		ErrorHandler: func(c *fasthttp.RequestCtx, err error) { refuseRaw(c, err) },
		Logger:       quiet{log},
	}
}

// long says whether a request may take minutes: files that are read as they come.
func long(uri string) bool {
	path, _, _ := strings.Cut(uri, "?")
	return path == "/api/v1/contacts/imports" || path == "/desk/import" || path == "/api/v1/contacts/export" || strings.HasPrefix(path, "/api/v1/incidents/") && (strings.HasSuffix(path, "/affected") || strings.HasSuffix(path, "/sites"))
}

// quiet keeps fasthttp's own lines (strangers' broken requests) out of the log unless somebody debugs.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(format string, args ...any) {
	if q.log != nil {
		q.log.Debug("http", "line", format)
	}
}
