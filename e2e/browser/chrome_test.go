// Package browser tests the capture of clicks in a real Chromium, over HTTPS
// and across sites, and looks at what the browser keeps through its DevTools.
package browser

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/stretchr/testify/require"
)

// patience bounds one test in the browser.
const patience = 60 * time.Second

// chromePath returns the browser, or ends the test.
func chromePath(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CHROME"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	testserver.Missing(t, "Chromium", "install chromium, or set CHROME to its path")
	return ""
}

// browser is a Chromium of one test, with an empty profile, that finds all of
// the test's hosts at one address.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// startBrowser starts Chromium. spki is the hash of the public key of the
// hosts' certificate, which it trusts.
func startBrowser(t *testing.T, address, spki string) *browser {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromePath(t)),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless,
		chromedp.NoSandbox, // it refuses to run as root otherwise
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("host-resolver-rules", "MAP *.test "+address),
		chromedp.Flag("ignore-certificate-errors-spki-list", spki),
		chromedp.WSURLReadTimeout(patience),
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	ctx, cancelBrowser := chromedp.NewContext(ctx)
	t.Cleanup(cancelBrowser)
	b := &browser{t: t, ctx: ctx}
	b.run(network.Enable())
	return b
}

func (b *browser) run(actions ...chromedp.Action) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Run(b.ctx, actions...))
}

// open types a URL into the address bar and waits for the page of that name.
func (b *browser) open(url, page string) {
	b.t.Helper()
	b.run(chromedp.Navigate(url), chromedp.WaitReady("main#"+page, chromedp.ByQuery))
}

// click clicks an element and waits for the page of that name.
func (b *browser) click(selector, page string) {
	b.t.Helper()
	b.run(
		chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible),
		chromedp.WaitReady("main#"+page, chromedp.ByQuery),
	)
}

// text returns what an element says.
func (b *browser) text(selector string) string {
	b.t.Helper()
	var text string
	b.run(chromedp.Text(selector, &text, chromedp.ByQuery))
	return strings.TrimSpace(text)
}

// address returns what the address bar shows.
func (b *browser) address() string {
	b.t.Helper()
	var url string
	b.run(chromedp.Location(&url))
	return url
}

// eval returns the value of a JavaScript expression in the page; a promise is
// waited for.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	var value T
	b.run(chromedp.Evaluate(expression, &value, awaitPromise))
	return value
}

func awaitPromise(p *runtime.EvaluateParams) *runtime.EvaluateParams {
	return p.WithAwaitPromise(true)
}

// cookies returns everything in the browser's cookie jar, of all sites.
func (b *browser) cookies() []*network.Cookie {
	b.t.Helper()
	var cookies []*network.Cookie
	b.run(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		cookies, err = storage.GetCookies().Do(ctx)
		return err
	}))
	return cookies
}
