// Package browser tests the capture of clicks in Chromium over HTTPS and across
// sites. It reads the browser's state through DevTools.
package browser

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/stretchr/testify/require"
)

// patience limits a test in the browser, also on a busy machine.
const patience = 5 * time.Minute

// chromePath returns the path of the browser or ends the test.
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

// browser is the Chromium of a test. It has an empty profile and resolves all
// hosts of the test to one address.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// startBrowser starts Chromium. It trusts the certificate whose public key has
// the hash spki. The rules come before the one that resolves all hosts to
// address.
func startBrowser(t *testing.T, address, spki string, rules ...string) *browser {
	t.Helper()
	rules = append(rules, "MAP *.test "+address)
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromePath(t)),
		chromedp.UserDataDir(newProfile(t)),
		chromedp.Headless,
		chromedp.NoSandbox, // required to run as root
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("host-resolver-rules", strings.Join(rules, ", ")),
		chromedp.Flag("ignore-certificate-errors-spki-list", spki),
		chromedp.WSURLReadTimeout(patience),
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	ctx, cancelBrowser := chromedp.NewContext(ctx)
	t.Cleanup(cancelBrowser)
	return &browser{t: t, ctx: ctx}
}

// newProfile returns the folder of an empty profile that takes cookies of other
// sites, as some browsers still do, so that the tests see the effect of the
// cookie's own attributes.
func newProfile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "Default"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Default", "Preferences"), []byte(`{"profile":{"cookie_controls_mode":0}}`), 0o600))
	return dir
}

// run runs steps without results.
func (b *browser) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

// get runs a step and returns its result.
func get[T any](b *browser, step chromedp.Action[T]) T {
	b.t.Helper()
	result, err := chromedp.Run(b.ctx, step)
	require.NoError(b.t, err)
	return result
}

// command sends a command of the DevTools protocol to the page.
func command[P, R any](b *browser, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	return get(b, func(ctx context.Context, target *chromedp.Target) (R, error) { return cdp.Call(ctx, target, c, params) })
}

func onPage(name string) chromedp.Action[chromedp.Void] {
	return chromedp.WaitReady(chromedp.CSS("main#" + name))
}

// open enters a URL in the address bar and waits for the page of that name.
func (b *browser) open(url, name string) {
	b.t.Helper()
	b.run(chromedp.Navigate(url), onPage(name))
}

// click clicks an element and waits for the page of that name.
func (b *browser) click(selector, name string) {
	b.t.Helper()
	b.run(chromedp.Click(chromedp.CSS(selector)), onPage(name))
}

// text returns the text of an element.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return strings.TrimSpace(get(b, chromedp.Text(chromedp.CSS(selector))))
}

// history returns the entries of the history and the index of the current one.
func history(ctx context.Context, target *chromedp.Target) (page.GetNavigationHistoryResult, error) {
	return cdp.Call(ctx, target, page.GetNavigationHistory, cdp.Empty{})
}

// address returns the text of the address bar.
func (b *browser) address() string {
	b.t.Helper()
	h := get(b, history)
	return h.Entries[h.CurrentIndex].URL
}

// travel moves back or forward in the history and returns the type of the
// navigation.
func (b *browser) travel(steps int64) page.NavigationType {
	b.t.Helper()
	before := get(b, history)
	there := before.Entries[before.CurrentIndex+steps]
	navigated := get(b, chromedp.WaitEvent(page.FrameNavigated,
		func(e page.EventFrameNavigated) bool { return e.Frame.ParentID == "" },
		func(ctx context.Context, target *chromedp.Target) (cdp.Empty, error) {
			return cdp.Call(ctx, target, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: there.ID})
		}))
	// A page from the cache for back and forward takes no command until it is active.
	require.Eventually(b.t, func() bool {
		h, err := chromedp.Run(b.ctx, history)
		return err == nil && h.Entries[h.CurrentIndex].ID == there.ID
	}, patience, 10*time.Millisecond)
	return navigated.Type
}

// eval returns the value of a JavaScript expression in the page. It awaits a
// promise.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	return get(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// cookies returns the browser's cookies of all sites.
func (b *browser) cookies() []*network.Cookie {
	b.t.Helper()
	return command(b, storage.GetCookies, storage.GetCookiesParams{}).Cookies
}

// forgetCookies deletes the browser's cookies of all sites.
func (b *browser) forgetCookies() {
	b.t.Helper()
	command(b, network.ClearBrowserCookies, cdp.Empty{})
}
