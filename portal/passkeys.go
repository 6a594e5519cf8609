package portal

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/portal/auth"
)

// passkeyCookie holds what only the browser that was asked for a passkey can bring back with the answer.
func (k *call) passkeyCookie() string { return k.p.cookie() + "-passkey" }

// askPasskey gives a page's script the question for the authenticator, as navigator.credentials takes it.
func (k *call) askPasskey(what auth.Asking) error {
	a, err := k.p.Gate.AskPasskey(k.UserContext(), what, k.person)
	if err != nil {
		return err
	}
	k.setAside(k.passkeyCookie(), a.Cookie, a.Until)
	k.Set(fiber.HeaderCacheControl, "no-store")
	return send(k.Ctx, 200, a.Options)
}

// answered takes the answer that a form brings, and the cookie of its question, which is spent by it.
func (k *call) answered() auth.Answered {
	cookie := k.Cookies(k.passkeyCookie())
	k.setAside(k.passkeyCookie(), "", time.Unix(0, 0))
	return auth.Answered{Cookie: cookie, Credential: []byte(k.FormValue("credential")), Source: network(k.p.source(k.Ctx))}
}

func (k *call) signInByPasskey() error {
	session, cookie, err := k.p.Gate.SignInByPasskey(k.UserContext(), k.answered())
	return k.signedIn(session, cookie, "desk.sign_in.passkey.no", err)
}
