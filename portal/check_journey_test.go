package portal_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/web/webshot"
)

// Two people check a site by keyboard, the second on a phone; what is typed survives a reload without a save, and the customer says from her mail, with one tap,
// that it works.
func TestASiteIsCheckedByKeyboardAndHandedBack(t *testing.T) {
	t.Parallel()
	w := settle(t)
	w.room.Follow = w.desk.FollowMove
	in, err := w.room.Declare(t.Context(), "person:test", comms.Declare{Title: "Customer sites cannot be opened", Severity: "P0", Category: w.room.Policy.Categories[0], Impact: "Sites answer with an error"})
	if err == nil {
		_, err = w.room.LoadAffected(t.Context(), "person:test", in.ID, comms.CSV, strings.NewReader("site_id\nS-0\nS-3\n"), false)
	}
	if err == nil {
		_, err = w.room.MoveSites(t.Context(), comms.Mover{By: "person:test"}, in.ID, strings.NewReader(`{"site_id":"S-0","state":"rebuilt","batch":"first wave"}`))
	}
	if err != nil {
		t.Fatal(err)
	}
	first := w.signsIn(auth.Support, "Sue", 1280)
	first.goes("/desk/checks")
	first.fits()
	first.do(chromedp.KeyEvent("n"), chromedp.WaitReady("#checkrun"))
	at := find[string](first, "location.pathname")
	first.sees("#lease", "left (extends by itself)")
	first.do(chromedp.KeyEvent("1"), chromedp.SetValue("#value-admin", "signed in as owner"), press("li[id='results.admin'] input[value=done]"))
	first.sees("#saved", "Saved")
	first.goes(at)
	if got := find[string](first, "document.getElementById('value-admin').value + ' ' + document.querySelector('[name=\"state.opens\"]:checked').value"); got != "signed in as owner done" {
		t.Errorf("after a reload there is %q", got)
	}
	if wrong := find[[]string](first, soundness); len(wrong) > 0 {
		t.Errorf("%s: %s", at, strings.Join(wrong, "; "))
	}
	w.pictures(first, at, "run")
	finish := func(r *reader) {
		r.do(chromedp.SetValue("#value-newest", "07:31"), press("li[id='results.newest'] input[value=done]"), press("li[id='results.apps'] input[value=done]"),
			press("li[id='results.people'] input[value=done]"), chromedp.SetValue("#value-files", "3"), press("li[id='results.files'] input[value=done]"))
		r.do(chromedp.KeyEvent("\r"), chromedp.WaitReady("#checkrun:not([data-run])"))
	}
	finish(first)
	first.sees("main .head", "Waits for a second check")
	w.pictures(first, "/desk/checks", "queue")

	second := w.signsIn(auth.Engineer, "Eve", 390)
	second.goes("/desk/checks")
	second.fits()
	second.do(press("[data-key=n]"), chromedp.WaitReady("#checkrun[data-run]"))
	second.fits()
	second.do(press("li[id='results.opens'] input[value=done]"), chromedp.SetValue("#value-admin", "yes"), press("li[id='results.admin'] input[value=done]"))
	finish(second)
	second.sees(".tone-good", "The customer has been told")
	second.content()
	first.content()

	link := ""
	err = w.relay.Await(t.Context(), func() bool {
		for _, m := range w.relay.Received() {
			mail, err := m.Parse()
			if err != nil {
				t.Fatal(err)
			}
			if _, rest, found := strings.Cut(mail.Text, w.url+"/b/"); found {
				token, _, _ := strings.Cut(rest, "\r\n")
				link = "/b/" + token
			}
		}
		return link != ""
	})
	if err != nil {
		t.Fatal(err)
	}
	customer := w.arrives(390)
	customer.goes(link + "?lang=en")
	customer.fits()
	customer.readable(link)
	w.pictures(customer, link+"?lang=en", "back")
	before, err := w.room.Ledger(t.Context(), in.ID)
	if err != nil {
		t.Fatal(err)
	}
	customer.do(press("button[value=accepted]"), chromedp.WaitReady("[role=status]"))
	customer.sees("main", "works")
	customer.content()
	if after, err := w.room.Ledger(t.Context(), in.ID); err != nil || after.Sites.Confirmed != before.Sites.Confirmed+1 || before.Sites.Checked == before.Sites.Confirmed {
		t.Errorf("%+v, before %+v, %v", after.Sites, before.Sites, err)
	}
}

// pictures takes the pictures of a page for people to look at.
func (w *town) pictures(r *reader, path, name string) {
	w.Helper()
	if *pictures == "" {
		return
	}
	for _, look := range []webshot.Look{{Width: 1280}, {Width: 390}, {Width: 1280, Dark: true}, {Width: 390, Dark: true}} {
		if over, err := webshot.Shot(r.ctx, w.url+path, look, filepath.Join(*pictures, fmt.Sprintf("check-%s-%d-%v.png", name, look.Width, look.Dark))); err != nil || over > 0 {
			w.Errorf("%s at %d: %d too wide, %v", path, look.Width, over, err)
		}
	}
}
