package portal_test

import (
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"lifeline/portal/desk"
)

var codeInMail = regexp.MustCompile(`\b\d{6}\b`)

// mailed waits for a mail to an address in which something stands, and gives the newest of it.
func (w *town) mailed(address string, form *regexp.Regexp) (found string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	err := w.relay.Await(ctx, func() bool {
		for _, m := range w.relay.Received() {
			mail, err := m.Parse()
			if err != nil {
				w.Fatal(err)
			}
			if s := form.FindString(mail.Text); s != "" && slices.Contains(m.To, address) {
				found = s
			}
		}
		return found != ""
	})
	if err != nil {
		w.Fatalf("no mail to %s has %s: %v", address, form, err)
	}
	return found
}

// photo is a picture as a phone would send it.
func photo(t *testing.T) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 320, 240))
	for x := range 320 {
		for y := range 240 {
			img.Set(x, y, color.RGBA{uint8(x), uint8(y), 120, 255})
		}
	}
	name := filepath.Join(t.TempDir(), "screen.png")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// tabs walks with the Tab key until a field or button has the focus.
func (r *reader) tabs(sel string) {
	r.Helper()
	for range 120 {
		r.do(chromedp.KeyEvent("\t"))
		if find[bool](r, fmt.Sprintf("document.activeElement.matches(%q)", sel)) {
			return
		}
	}
	r.Fatalf("no Tab reaches %s", sel)
}

// helped is the story of one customer: she files in Japanese, shows by a code that her mail reaches her, sends a photo, and says in the end that it works.
type helped struct {
	press func(sel string)       // a button
	write func(sel, text string) // into a field
}

func (w *town) isHelped(r *reader, by helped, email string) {
	w.Helper()
	r.goes("/ja/")
	by.press("a.button[href$='/support']")
	r.do(chromedp.WaitReady("#message"))
	r.goes("/support?lang=ja")
	r.fits()
	by.write("#message", "サイトが開けません。")
	by.press("form.form button.strong")
	r.do(chromedp.WaitReady("[role=alert]")) // she named no way back
	if typed := find[string](r, "document.querySelector('#message').value"); typed != "サイトが開けません。" {
		w.Errorf("what was typed became %q", typed)
	}
	r.fits()
	by.write("#email", email)
	by.press("form.form button.strong")
	r.do(chromedp.WaitReady(".receipt"))
	r.fits()
	words := strings.Fields(r.text(".receipt > div:nth-child(1) dd.code") + " " + r.text(".receipt > div:nth-child(2) dd.code"))
	if len(words) != 2 {
		w.Fatalf("the receipt gives %q", words)
	}
	r.goes("/t/" + words[0] + "?lang=ja")
	by.write("#secret", words[1])
	by.press("form[action*='/t/'] button.strong")
	r.do(chromedp.WaitReady(".talk"))
	r.sound("the open ticket")
	by.press("button#code")
	r.do(chromedp.WaitReady("input#code"))
	r.sound("the page that asks for the code")
	by.write("input#code", w.mailed(email, codeInMail))
	by.press("form[action*='/proof'] button")
	r.do(chromedp.WaitReady("#works"))
	by.write("#text", "画面の写真です。")
	r.do(chromedp.SetUploadFiles("#attachments", []string{photo(w.T)}))
	by.press("form[action*='/words'] button")
	r.until("document.querySelector('.said .file img')?.naturalWidth > 0")
	r.sound("the ticket with a photo")
	if _, err := w.desk.Answer(w.Context(), "person:support", words[0], "復旧が終わりました。", false); err != nil {
		w.Fatal(err)
	}
	r.do(chromedp.Reload(), chromedp.WaitReady(".talk"))
	r.sees(".talk", "復旧が終わりました。")
	if n := find[int](r, "document.querySelectorAll('.said').length"); n != 3 {
		w.Errorf("after looking again the conversation has %d entries", n)
	}
	by.press("button[name=works][value=yes]")
	r.sees("[role=status]", "終了しました")
	r.sound("the closed ticket")
	v, err := w.desk.Ticket(w.Context(), words[0])
	if err != nil || v.Ticket.State != desk.Closed {
		w.Errorf("the ticket is %s, %v", v.Ticket.State, err)
	}
}

// sound fails the story when the page in the window cannot be used by everybody.
func (r *reader) sound(what string) {
	r.Helper()
	r.fits()
	if wrong := find[[]string](r, soundness); len(wrong) > 0 {
		r.Errorf("%s: %s", what, strings.Join(wrong, "; "))
	}
	if *axe && find[bool](r, "matchMedia('(scripting: enabled)').matches") { // without scripts its promise is never kept
		r.readable(what)
	}
}

var axe = flag.Bool("axe", false, "hold the pages of the customer's journeys against axe-core too")

// A customer on a phone whose browser runs no scripts.
func TestACustomerIsHelpedOnAPhoneWithoutScript(t *testing.T) {
	t.Parallel()
	w := settle(t)
	r := w.arrives(390, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	w.isHelped(r, helped{
		press: func(sel string) { r.do(press(sel)) },
		write: func(sel, text string) { r.do(chromedp.SetValue(sel, text)) },
	}, "hana@customer.example")
	r.content("422") // of the form that named no way back
}

// A customer who uses no mouse and no touch, at the narrowest window that has to do.
func TestACustomerIsHelpedByKeyboardAlone(t *testing.T) {
	t.Parallel()
	w := settle(t)
	r := w.arrives(320)
	w.isHelped(r, helped{
		press: func(sel string) { r.tabs(sel); r.do(chromedp.KeyEvent("\r")) },
		write: func(sel, text string) { r.tabs(sel); r.do(chromedp.KeyEvent(text)) },
	}, "kei@customer.example")
	r.content("422") // of the form that named no way back
}

// TestPicturesOfCustomers takes the pictures of the customer's own pages: go test ./portal -run PicturesOfCustomers -pictures DIR -axe.
func TestPicturesOfCustomers(t *testing.T) {
	if *pictures == "" {
		t.Skip("NO PICTURES TAKEN: give -pictures DIR to look at the pages in a browser")
	}
	w := settle(t)
	in := w.incident()
	w.say(in.ID, "First sites are back")
	receipt, err := w.desk.File(t.Context(), "public:web", desk.Intake{Message: "Our wiki is gone.\n\nWe need it for an audit on Friday.", Email: "eve@customer.example", Phone: "+12025550123", Name: "Eve", Company: "Customer 3", Impact: desk.LostAccess, Locale: "en", Route: "web"})
	if err != nil {
		t.Fatal(err)
	}
	r := w.arrives(390)
	at := "/t/" + receipt.Number
	n := 60
	shoot := func(path string) { n++; w.picture(r, n, path) }
	for _, path := range []string{"/support", "/support?lang=zh-CN", at, at + "?lost=1", at + "?k=x&lang=ja", "/me", "/me?lang=ja"} {
		r.goes(path)
		r.sound(path)
		shoot(path)
	}
	r.goes(at)
	r.do(chromedp.SetValue("#secret", receipt.Secret), press("form[action*='/t/'] button.strong"), chromedp.WaitReady(".talk"))
	shoot(at)
	r.do(press("button#code"), chromedp.WaitReady("input#code"))
	r.do(chromedp.SetValue("input#code", w.mailed("eve@customer.example", codeInMail)), press("form[action*='/proof'] button"), chromedp.WaitReady("#works"))
	r.do(chromedp.SetValue("#text", "This is what I see.\n\n> On Monday you wrote:\n> please send a picture"), chromedp.SetUploadFiles("#attachments", []string{photo(t)}), press("form[action*='/words'] button"), chromedp.WaitReady(".file img"))
	if _, err := w.desk.Answer(t.Context(), "person:support", receipt.Number, "Thank you. Your site is in batch 4, and we write again by 15:00 UTC.", false); err != nil {
		t.Fatal(err)
	}
	if _, err := w.desk.Confirm(t.Context(), "person:support", desk.Link{Ticket: receipt.Number, Account: "A-3"}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{at, at + "?lang=ja", at + "?lang=zh-CN&did=said"} {
		r.goes(path)
		r.sound(path)
		shoot(path)
	}
	if _, err := w.desk.Solve(t.Context(), "person:support", receipt.Number, "We restored your wiki from the backup of Sunday 03:00 UTC and compared pages and attachments with it.", 0); err != nil {
		t.Fatal(err)
	}
	r.goes(at)
	r.sound("solved")
	shoot(at)
	r.goes("/me")
	r.do(chromedp.SetValue("#to", "person3@customer3.example"), press("form[action*='/me'] button"), chromedp.WaitReady("input#code"))
	r.sound("/me asks for a code")
}
