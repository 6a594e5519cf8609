package portal_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"

	"lifeline/portal/auth"
)

// An approver adds a passkey, signs out, comes back by it alone, gives it where her second factor is asked for, and takes it off; the browser's own
// authenticator answers. One that did not look at its owner opens nothing, and the page says what to do.
func TestAPasskeyInABrowser(t *testing.T) {
	t.Parallel()
	w := settle(t, func(w *town) {
		w.url = strings.Replace(w.url, "127.0.0.1", "localhost", 1) // an address by number has no passkeys
		w.gate.URL, w.gate.Cost = w.url, auth.Cost{Passes: 1, KiB: 64, Lanes: 1}
	})
	const password = "vier Worte ohne Sinn"
	made, err := w.gate.AddStaff(w.Context(), auth.OperatorID, w.url, []auth.Newcomer{{Name: "Ann Lee", Profile: auth.Profile{Email: "ann@vendor.example", Roles: []auth.Role{auth.Approver}}}})
	if err != nil {
		t.Fatal(err)
	}
	link, err := url.Parse(made[0].Link)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := w.gate.Enrolling(w.Context(), link.Query().Get(auth.LinkParam))
	if err != nil {
		t.Fatal(err)
	}
	code := func(at time.Time) string {
		c, err := totp.GenerateCode(seen.Secret, at)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if _, _, _, err := w.gate.Enrol(w.Context(), auth.Enrol{Link: link.Query().Get(auth.LinkParam), Password: password, Code: code(time.Now().Add(-30 * time.Second)), Source: "127.0.0.1"}); err != nil {
		t.Fatal(err)
	}

	var device webauthn.AuthenticatorID
	r := w.arrives(390, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}
		made, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true}})
		device = made.AuthenticatorID
		return err
	}))
	snap := func(name string) {
		r.sound(name)
		if *pictures != "" {
			w.snap(r, name)
		}
	}
	const byPasskey, add, prove = "form[action='/desk/sign-in/passkey'] button", "form[data-passkey$='=add'] button", "form[data-passkey$='=prove'] button"
	r.goes("/desk/sign-in")
	snap("passkey-sign-in")
	r.do(chromedp.SetValue("#email", "ann@vendor.example"), chromedp.SetValue("#password", password), chromedp.SetValue("#code", code(time.Now())),
		press("form[action='/desk/sign-in'] button"), chromedp.WaitReady("body.desk"))
	r.goes("/desk/account")
	r.do(chromedp.SetValue("#passkey_name", "Blue laptop"), press(add))
	r.sees("section[aria-labelledby=passkeys]", "Blue laptop")
	snap("passkey-account")
	r.do(chromedp.SetValue("#passkey_name", "The same again"), press(add))
	r.sees("form[data-passkey$='=add'] [role=alert]", "has one for you already")

	r.do(press("form[action='/desk/sign-out'] button"), chromedp.WaitReady("#password"))
	sure := func(is bool) chromedp.Action[chromedp.Void] {
		return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: device, IsUserVerified: is})
			return err
		})
	}
	r.do(sure(false), press(byPasskey))
	r.sees("form[action='/desk/sign-in/passkey'] [role=alert]", "No passkey came")
	snap("passkey-failed")
	r.do(sure(true), press(byPasskey), chromedp.WaitReady("body.desk"))
	r.sees("header", "Ann Lee")

	r.goes("/desk/account")
	r.do(press(prove))
	r.sees("[role=status]", "Done")
	r.sees("section[aria-labelledby=passkeys]", "last used")
	r.do(press("section[aria-labelledby=passkeys] button[value=remove]"))
	r.sees("section[aria-labelledby=passkeys]", "You have none")
	r.do(press("form[action='/desk/sign-out'] button"), chromedp.WaitReady("#password"), press(byPasskey))
	r.sees("[role=alert]", "This passkey was not taken")
	r.content("401")
}
