package portal_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"lifeline/portal/desk"
)

// While many write, the form asks to confirm. A browser that runs scripts works the wait off, the button is reached by keyboard, and what was typed is filed with
// its photo.
func TestTheFormIsConfirmedInABrowser(t *testing.T) {
	t.Parallel()
	w := settle(t)
	w.desk.Policy.Flood = desk.FloodPolicy{Source: 1, Confirmed: 5, Busy: 1000}
	if _, err := w.desk.File(t.Context(), "public:web", desk.Intake{Message: "help", Email: "first@customer.example", Fare: desk.Fare{Source: "127.0.0.1"}}); err != nil {
		t.Fatal("the first costs something: ", err)
	}
	r := w.arrives(390)
	r.goes("/support?lang=ja")
	r.do(chromedp.SetValue("#message", "サイトが開けません。"), chromedp.SetValue("#email", "hana@customer.example"), chromedp.SetUploadFiles("#attachments", []string{photo(t)}),
		press("form.form button.strong"), chromedp.WaitReady("form[data-toll]"))
	r.sound("the page that asks to confirm")
	if *pictures != "" {
		w.snap(r, "toll")
	}
	r.until("document.querySelector('input[name=proof]').value !== '' && document.getElementById('toll-wait').hidden")
	r.tabs("form[data-toll] button")
	r.do(chromedp.KeyEvent("\r"), chromedp.WaitReady(".receipt"))
	r.sound("the receipt")
	number := r.text(".receipt > div:nth-child(1) dd.code")
	v, err := w.desk.Ticket(w.Context(), number)
	if err != nil || len(v.Messages) != 1 || v.Messages[0].Text != "サイトが開けません。" || len(v.FilesOf(v.Messages[0])) != 1 {
		t.Errorf("%s: %+v, %v", number, v.Messages, err)
	}
	r.content()
}

// snap takes a picture of the page that is open, which no address leads to.
func (w *town) snap(r *reader, name string) {
	w.Helper()
	png, err := chromedp.Run(r.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(*pictures, name+".png"), png, 0o644)
	}
	if err != nil {
		w.Fatal(err)
	}
}
