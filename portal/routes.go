package portal

import (
	"cmp"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store/fault"
	"lifeline/store/limit"
)

// route is one address, the right it needs, and what it does.
type route struct {
	method, path string
	right        auth.Right   // "": public
	seenTo       []auth.Grant // conditions of the right that the handler itself sees to
	page         bool         // staff page: a browser session, and a redirect to sign-in without one
	tag, summary string
	query        []string // names of query parameters
	headers      []string // names of its own headers
	body         any      // a value whose type is the JSON body's; nil: none
	media        string   // of a body that is not JSON, read as it comes
	needs        []string // fields of body that always have to be there
	forms        bool     // body may also come as a form
	max          int      // bytes of a body that is not read as it comes; 0: maxJSON
	file         string   // the field of a form that is a file, read as it comes behind the others; "": none
	form         bool     // a stranger's, sent by a page of ours: what another site made her browser send is refused
	own          bool     // the route itself sees to how much a stranger may post
	files        bool     // its form may bring files: see call.takeForm
	status       int      // of success; 0: 200
	answer       any      // a value whose type is the answer's
	gives        string   // media types of an answer that is a file, besides that of answer
	do           func(*call) error
}

// call is one request on its way through a route.
type call struct {
	*fiber.Ctx
	p      *Portal
	person auth.Person
	csrf   string
	fields map[string]string // of a form with a file: what stood in front of it
	file   io.Reader         // the file

	files   *desk.Attached // that came with the form
	digest  []byte         // of a form with files, as it came
	formErr error          // of a form with files that a route with own reads itself
}

// serve wraps a route with who is asking, whether she may, how much she may send, and the idempotency of POST.
func (p *Portal) serve(r route) fiber.Handler {
	return func(c *fiber.Ctx) error {
		k := &call{Ctx: c, p: p}
		caller := "source:" + p.source(c)
		if r.right != "" || r.page {
			if err := k.identify(r.page); err != nil {
				if r.page && fault.Of(err) == fault.Unauthentic {
					return c.Redirect("/desk/sign-in", fiber.StatusSeeOther)
				}
				return err
			}
			if r.right != "" {
				if err := k.person.Can(r.right, r.seenTo...); err != nil {
					p.Log.Warn("refused", "person", k.person.ID, "right", r.right, "method", r.method, "route", r.path)
					return err
				}
			}
			if err := k.letIn(r); err != nil {
				return err
			}
			caller = k.person.ID
		} else if r.method == fiber.MethodPost && !r.own {
			if err := p.slow(k); err != nil {
				return err
			}
		}
		if r.method == fiber.MethodGet {
			return r.do(k)
		}
		if r.file != "" {
			if err := k.openForm(r.file, p.mostImported()); err != nil {
				return err
			}
		} else if r.files {
			k.formErr = k.takeForm(cmp.Or(r.max, maxTicket))
			defer func() { k.files.Drop(k.UserContext()) }()
			if k.formErr != nil && !r.own {
				return k.formErr
			}
		}
		if r.file == "" && r.media == "" && k.digest == nil { // whatever the handler looks for in the body, there is no more of it than this
			if _, err := read(c, cmp.Or(r.max, maxJSON)); err != nil {
				return err
			}
		}
		if r.form && k.foreign() {
			return fault.New(fault.Forbidden, "this form was sent from another site")
		}
		if k.csrf != "" {
			if err := k.sameSite(r); err != nil {
				p.Log.Warn("a form that is not ours, or too old", "person", k.person.ID, "method", r.method, "route", r.path)
				return err
			}
		}
		if r.method != fiber.MethodPost || r.media != "" || r.file != "" { // a file read as it comes changes nothing when it comes again
			return r.do(k)
		}
		return p.once(c, caller, k.bodyDigest, func() error { return r.do(k) })
	}
}

// intakePerMinute is how many requests a stranger's address may post in a minute.
const intakePerMinute = 30

// slow limits what one stranger can post. IPv6 sources count by their /64.
func (p *Portal) slow(k *call) error {
	return limit.Take(k.UserContext(), p.DB, "post from "+network(p.source(k.Ctx)), intakePerMinute, time.Minute)
}

// identify finds out who asks: the operator at the control socket, a bearer token, or a browser session.
func (k *call) identify(page bool) error {
	if k.Context().UserValue(controlKey) == true {
		k.person = auth.Operator()
		return nil
	}
	if token, ok := strings.CutPrefix(k.Get(fiber.HeaderAuthorization), "Bearer "); ok && !page {
		person, err := k.p.Gate.Verify(k.UserContext(), token)
		k.person = person
		return err
	}
	person, csrf, err := k.p.Gate.Session(k.UserContext(), k.Cookies(k.p.cookie()))
	if err != nil {
		return err
	}
	k.person, k.csrf = person, csrf
	return nil
}

// sameSite refuses a write that another site's page made the browser send: it must come from our own pages, and the form or header must
// carry the session's token.
func (k *call) sameSite(r route) error {
	token := k.Get("X-CSRF-Token")
	switch {
	case token != "" || r.media != "":
	case r.file != "":
		token = k.fields["csrf"]
	default:
		token = k.FormValue("csrf")
	}
	if k.foreign() || !auth.SameToken(token, k.csrf) {
		return fault.New(fault.Forbidden, "this form has expired; go back, reload and send it again")
	}
	return nil
}

// foreign says whether another site's page made the browser send this. Our pages ask for no referrer, and then a browser sends "null" as
// the Origin of our own forms as well (Fetch standard, "append a request Origin header"): there Sec-Fetch-Site tells, and where that is
// missing the token has to.
func (k *call) foreign() bool {
	switch k.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
		origin := k.Get(fiber.HeaderOrigin)
		return origin != "" && origin != "null" && origin != k.p.URL
	}
	return true
}

// cookie is the session cookie's name; the __Host- prefix needs an encrypted address.
func (p *Portal) cookie() string {
	if p.https() {
		return "__Host-lifeline"
	}
	return "lifeline"
}

func (p *Portal) routes() []route {
	var all []route
	for _, some := range [][]route{
		p.contactRoutes(), p.accountRoutes(), p.conflictRoutes(), p.changeRoutes(), p.confirmRoutes(), p.campaignRoutes(), p.staleRoutes(), p.bookPages(),
		p.incidentRoutes(), p.updateRoutes(), p.readerRoutes(), p.ruleRoutes(), p.verifyRoutes(), p.ticketRoutes(), p.bulkRoutes(), p.ticketWorkRoutes(), p.ticketPages(), p.identityRoutes(), p.fileRoutes(), p.supportRoutes(), p.customerRoutes(), p.meRoutes(), p.yoursRoutes(), p.hookRoutes(), p.deskRoutes(), p.taskRoutes(), p.caseRoutes(), p.judgeRoutes(), p.docRoutes(),
		p.crewRoutes(), p.playbookRoutes(), p.workRoutes(),
		p.stageRoutes(), p.serviceRoutes(), p.confinedRoutes(),
		p.staffRoutes(), p.rotaRoutes(), p.auditRoutes(),
		p.checkRoutes(), p.checkPages(), p.listRoutes(), p.batchPages(), p.sitePages(),
		p.subscriptionRoutes(), p.maintenanceRoutes(), p.planPages(), p.cohortPages(), p.questionRoutes(),
	} {
		all = append(all, some...)
	}
	return all
}

// object is what every answer about a record has.
type object struct {
	ID        string    `json:"id"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// list is a page of objects; next is empty at the end.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

func network(source string) string {
	ip, err := netip.ParseAddr(source)
	if err != nil || ip.Is4() || ip.Is4In6() {
		return source
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return source
	}
	return prefix.String()
}

func itoa(n int) string { return strconv.Itoa(n) }

func parseInt(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }
