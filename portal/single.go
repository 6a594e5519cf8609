package portal

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/portal/auth"
	"lifeline/store/fault"
)

// singleCookie holds what only the browser that left for single sign-on can bring back.
func (k *call) singleCookie() string { return k.p.cookie() + "-single" }

func (k *call) setSingle(value string, until time.Time) { k.setAside(k.singleCookie(), value, until) }

// leaveForSingle sends a browser to the vendor's single sign-on. It is a link and not a form: the policy of our pages lets no form lead elsewhere.
func (k *call) leaveForSingle() error {
	l, err := k.p.Gate.SingleLeave(k.UserContext(), network(k.p.source(k.Ctx)), "")
	if err != nil {
		return k.singleFailed(err)
	}
	k.setSingle(l.Cookie, l.Until)
	return k.Redirect(l.URL, fiber.StatusSeeOther)
}

// backFromSingle takes a browser that single sign-on sent back.
func (k *call) backFromSingle() error {
	cookie := k.Cookies(k.singleCookie())
	k.setSingle("", time.Unix(0, 0))
	s, value, err := k.p.Gate.SingleReturn(k.UserContext(), auth.Returning{Cookie: cookie, State: k.Query("state"), Code: k.Query("code"), Issuer: k.Query("iss"), Refused: k.Query("error"),
		Session: k.Cookies(k.p.cookie()), Source: network(k.p.source(k.Ctx))})
	switch {
	case err != nil:
		return k.singleFailed(err)
	case value == "": // the account of the session is linked now
		return k.Redirect("/desk/account?done=single", fiber.StatusSeeOther)
	}
	k.setCookie(value, s.Expires)
	return k.Redirect("/desk", fiber.StatusSeeOther)
}

// singleFailed says what came of single sign-on beside the form of those who have a password here.
func (k *call) singleFailed(err error) error {
	switch fault.Of(err) {
	case fault.Unauthentic:
		return k.signInPage(fiber.StatusForbidden, "desk.sign_in.single.no")
	case fault.Forbidden, fault.Conflict:
		k.later(err)
		return k.signInPage(problemOf(err).Status, "desk.sign_in.single.unknown")
	case fault.TooMany:
		return k.signInPage(fiber.StatusTooManyRequests, "desk.sign_in.wait")
	case fault.Unavailable:
		k.later(err)
		return k.signInPage(fiber.StatusServiceUnavailable, "desk.sign_in.single.gone")
	}
	return err
}

// linkSingle begins to link the account of who is signed in; she has just given her second factor.
func (k *call) linkSingle() (auth.Leaving, error) {
	if k.person.Proved.IsZero() || time.Since(k.person.Proved) >= auth.Fresh {
		return auth.Leaving{}, fault.BadField("code", "give your second factor first; it counts for %d minutes", int(auth.Fresh.Minutes()))
	}
	l, err := k.p.Gate.SingleLeave(k.UserContext(), network(k.p.source(k.Ctx)), k.person.Session)
	if err == nil {
		k.setSingle(l.Cookie, l.Until)
	}
	return l, err
}
