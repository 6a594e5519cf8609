package main

import (
	"fmt"
	"os"

	"github.com/chromedp/chromedp"

	"lifeline/portal/web/webshot"
)

func main() {
	b, err := webshot.Open()
	if err != nil {
		panic(err)
	}
	defer b.Close()
	ctx, leave := b.Visit()
	defer leave()
	if err := chromedp.Do(ctx, chromedp.Navigate(os.Args[1]), chromedp.WaitReady("main form button"), chromedp.Click("main form button"), chromedp.WaitReady("body.desk")); err != nil {
		fmt.Println("ERR", err)
	}
	os.MkdirAll("/tmp/h/fpics2", 0o755)
	for i, u := range os.Args[2:] {
		for _, w := range []int{1280, 390} {
			for _, d := range []bool{false, true} {
				if d && w == 1280 && i > 0 {
					continue
				}
				wide, err := webshot.Shot(ctx, u, webshot.Look{Width: w, Dark: d}, fmt.Sprintf("/tmp/h/fpics2/%d-%d-%v.png", i, w, d))
				fmt.Println(i, w, d, wide, err)
			}
		}
	}
}
