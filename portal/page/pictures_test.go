package page

import (
	"flag"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"github.com/valyala/fasthttp"

	"lifeline/portal/web/webshot"
)

var pictures = flag.String("pictures", "", "write pictures of every page to this directory")

// TestPictures takes the pictures that people look at before a landing: go test ./portal/page -run Pictures -pictures DIR.
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
			for _, width := range []int{1280, 390, 320} {
				for _, dark := range []bool{false, true} {
					tone := map[bool]string{true: "dark", false: "light"}[dark]
					file := filepath.Join(*pictures, fmt.Sprintf("%s-%s-%d-%s.png", name, locale, width, tone))
					wider, err := browser.Shot("http://"+ln.Addr().String()+"/"+locale+"/", webshot.Look{Width: width, Dark: dark}, file)
					if err != nil {
						t.Fatal(err)
					}
					if wider > 0 {
						t.Errorf("%s is %d pixels wider than its window", file, wider)
					}
				}
			}
		}
		ln.Close()
	}
}
