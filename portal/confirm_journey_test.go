package portal_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"lifeline/comms"
	"lifeline/portal"
	"lifeline/portal/web/webshot"
	"lifeline/store"
)

// Somebody whom nobody has heard of for long gets a mail over SMTP, opens its link on a phone without touching anything, and presses the
// button. The card behind it fits the phone too.
func TestSomebodyConfirmsHerAddressFromTheMail(t *testing.T) {
	t.Parallel()
	w := settle(t)
	w.room.Asking = comms.Asking{Sign: func(subject string) string { return w.gate.Key.SignLink(portal.LinkConfirm, subject) },
		Live: func(channel string) bool { return channel == comms.ChannelEmail }, From: "status@vendor.example"}
	w.room.Policy.Confirm.FromHour, w.room.Policy.Confirm.ToHour, w.room.Policy.Confirm.Settle = 0, 24, 0
	w.room.Book.Policy.StaleAfter.Approved = time.Hour
	duties, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = w.room.RunDuties(duties) }()
	t.Cleanup(func() { stop(); <-ended })

	var link, to string
	err := w.relay.Await(t.Context(), func() bool {
		for _, m := range w.relay.Received() {
			mail, err := m.Parse()
			if err != nil {
				t.Fatal(err)
			}
			if _, rest, found := strings.Cut(mail.Text, w.url+"/c/"); found && strings.Contains(mail.Text, w.url+"/card.vcf") && mail.Header.Get("Auto-Submitted") == "auto-generated" {
				token, _, _ := strings.Cut(rest, "\r\n")
				link, to = "/c/"+token, m.To[0]
			}
		}
		return link != ""
	})
	if err != nil {
		t.Fatal(err)
	}
	confirmed := func() (at time.Time) {
		t.Helper()
		err := w.room.DB.View(t.Context(), func(tx *store.Tx) error {
			have, err := w.room.Book.ByAddress(tx, comms.ChannelEmail, to)
			if err == nil {
				at = have[0].Value.Emails[0].ConfirmedAt
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	before := confirmed()

	r := w.arrives(390)
	for _, path := range []string{link, "/card", "/card?lang=ja"} {
		r.goes(path)
		r.fits()
		if wrong := find[[]string](r, soundness); len(wrong) > 0 {
			t.Errorf("%s: %s", path, strings.Join(wrong, "; "))
		}
		if *pictures != "" {
			w.look(r, path)
		}
	}
	r.goes(link)
	r.readable(link)
	if !confirmed().Equal(before) {
		t.Error("opening the page confirmed the address")
	}
	r.do(press("button[value=yes]"), chromedp.WaitReady("[role=status]"))
	r.fits()
	if *pictures != "" {
		w.look(r, link+"?lang=zh-CN")
	}
	if !confirmed().After(before) {
		t.Error("pressing the button did not")
	}
}

// look takes the pictures of a page for people to look at.
func (w *town) look(r *reader, path string) {
	w.Helper()
	name := strings.NewReplacer("/", "_", "?", "_").Replace(path[:min(len(path), 6)] + path[max(0, len(path)-8):])
	for _, look := range []webshot.Look{{Width: 1280}, {Width: 390}, {Width: 1280, Dark: true}, {Width: 390, Dark: true}} {
		file := filepath.Join(*pictures, fmt.Sprintf("confirm%s-%d-%v.png", name, look.Width, look.Dark))
		if _, err := webshot.Shot(r.ctx, w.url+path, look, file); err != nil {
			w.Fatal(err)
		}
	}
}
