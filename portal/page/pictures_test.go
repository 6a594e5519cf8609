package page

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/valyala/fasthttp"

	"lifeline/portal/web/webshot"
)

var pictures = flag.String("pictures", "", "write pictures of every page to this directory")

// TestPictures takes the pictures that people look at before a landing: go test ./portal/page -run Pictures -pictures DIR
// -axe axe.min.js holds them against axe-core as well.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("NO PICTURES TAKEN: give -pictures DIR to look at the pages in a browser")
	}
	browser, err := webshot.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer browser.Close()
	for name, public := range moments {
		press := samplePress(t, "")
		e, err := press.Render(public())
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{}
		s.Show(e)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go fasthttp.Serve(ln, s.Front(func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(404) }))
		for _, locale := range []string{"en", "ja"} {
			for page, rest := range map[string]string{"home": "", "incident": "incidents/" + sampleID, "history": "history", "questions": "questions", "banner": "banner"} {
				if !e.Has("/" + locale + "/" + rest) {
					continue
				}
				for _, width := range []int{1280, 768, 390, 320} {
					for _, dark := range []bool{false, true} {
						tone := map[bool]string{true: "dark", false: "light"}[dark]
						file := filepath.Join(*pictures, fmt.Sprintf("%s-%s-%s-%d-%s.png", name, page, locale, width, tone))
						var found, turned []string
						look := webshot.Look{Width: width, Dark: dark}
						if *axe != "" {
							look.Do = append(look.Do, hold(t, &found))
						}
						if locale == "en" { // a script that runs from right to left must not need more room
							look.Do = append(look.Do, turn(&turned))
						}
						wider, err := browser.Shot("http://"+ln.Addr().String()+"/"+locale+"/"+rest, look, file)
						if err != nil {
							t.Fatal(err)
						}
						if wider > 0 {
							t.Errorf("%s is %d pixels wider than its window", file, wider)
						}
						for _, f := range append(found, turned...) {
							t.Errorf("%s: %s", file, f)
						}
					}
				}
			}
		}
		ln.Close()
	}
}

var axe = flag.String("axe", "", "path of axe-core's axe.min.js: hold every page that is pictured against it")

// hold gathers what axe-core finds wrong with a page.
func hold(t *testing.T, found *[]string) chromedp.Action[chromedp.Void] {
	t.Helper()
	script, err := os.ReadFile(*axe)
	if err != nil {
		t.Fatal(err)
	}
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		all, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](string(script)+`;axe.run({runOnly:['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']}).then(r => r.violations.map(v => v.impact + ' ' + v.id + ': ' + v.nodes.map(n => n.target.join(' ')).join(', ')))`, chromedp.EvalAwaitPromise))
		*found = all
		return err
	})
}

// turn writes the page from right to left, looks whether it still fits, and turns it back.
func turn(wrong *[]string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		wider, err := chromedp.Run(ctx, chromedp.Evaluate[int](`(() => { const d = document.documentElement; d.dir = 'rtl'; const n = d.scrollWidth - d.clientWidth; d.dir = 'ltr'; return n })()`))
		if wider > 0 {
			*wrong = append(*wrong, fmt.Sprintf("written from right to left it is %d pixels wider than its window", wider))
		}
		return err
	})
}
