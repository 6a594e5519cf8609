// Package webshot takes pictures of pages in a headless Chromium, for tests and for people who want to look.
//
// It needs a Chromium on the machine and asks for nothing but the given URL; see [Find]. Narrow widths are emulated, because a
// headless window cannot be made narrower than about 500 pixels.
package webshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// ErrNoBrowser says that no Chromium is installed.
var ErrNoBrowser = errors.New("no chromium found: install the package chromium")

// Find returns the path of a Chromium.
func Find() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoBrowser
}

// Browser is one running Chromium. It is not safe for concurrent use.
type Browser struct {
	ctx    context.Context
	cancel []context.CancelFunc
	home   string
}

// Open starts a Chromium with a profile of its own. Close it.
func Open() (*Browser, error) {
	path, err := Find()
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "webshot-")
	if err != nil {
		return nil, err
	}
	b := &Browser{home: home}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(home), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("hide-scrollbars", true))...)
	ctx, leave := chromedp.NewContext(alloc)
	b.ctx, b.cancel = ctx, []context.CancelFunc{leave, stop}
	if err := chromedp.Do(ctx); err != nil {
		b.Close()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return b, nil
}

// Close ends the browser and removes its profile.
func (b *Browser) Close() {
	for _, cancel := range b.cancel {
		cancel()
	}
	os.RemoveAll(b.home)
}

// Visit opens a tab with cookies of its own, for a story that goes on over several pages. Call leave when it ends.
func (b *Browser) Visit() (ctx context.Context, leave context.CancelFunc) {
	return chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
}

// Look is how a page is looked at.
type Look struct {
	Width int                              // CSS pixels
	Dark  bool                             // the reader prefers dark
	Print bool                             // as it would be printed
	Do    []chromedp.Action[chromedp.Void] // before the picture is taken
}

// Shot writes the whole page at url, however long, to path as PNG, or nothing where path is "", and returns how far its content is wider than the
// window: more than 0 means that a reader must scroll sideways.
func (b *Browser) Shot(url string, look Look, path string) (overflow int, err error) {
	ctx, cancel := chromedp.NewContext(b.ctx)
	defer cancel()
	return Shot(ctx, url, look, path)
}

// Shot is what [Browser.Shot] does, in the tab of ctx.
func Shot(ctx context.Context, url string, look Look, path string) (overflow int, err error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	scheme, medium := "light", ""
	if look.Dark {
		scheme = "dark"
	}
	if look.Print {
		medium = "print"
	}
	media := chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Media: medium, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
	steps := append([]chromedp.Action[chromedp.Void]{
		chromedp.EmulateViewport(int64(look.Width), 900), media, chromedp.Navigate(url), chromedp.WaitReady("body"),
	}, look.Do...)
	if err := chromedp.Do(ctx, steps...); err != nil {
		return 0, fmt.Errorf("look at %s: %w", url, err)
	}
	overflow, err = chromedp.Run(ctx, chromedp.Evaluate[int]("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", url, err)
	}
	if path == "" {
		return overflow, nil
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return 0, fmt.Errorf("take a picture of %s: %w", url, err)
	}
	return overflow, os.WriteFile(path, png, 0o644)
}

// patience is how long one picture may take.
const patience = 30 * time.Second
