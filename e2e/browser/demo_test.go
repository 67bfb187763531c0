package browser

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// startDemo starts "clickid demo" and returns the addresses that it prints.
func startDemo(t *testing.T) (ad, shop, platform string) {
	t.Helper()
	urls := startCommand(t, 3, "demo", "-db", filepath.Join(t.TempDir(), "shop.db"))
	return urls["The ad"], urls["The shop"], urls["The platform"]
}

// see waits until the page has the element.
func (b *browser) see(selector string) {
	b.t.Helper()
	b.run(chromedp.WaitReady(chromedp.CSS(selector)))
}

// press clicks an element and waits until the page has the element next.
func (b *browser) press(selector, next string) {
	b.t.Helper()
	b.run(chromedp.Click(chromedp.CSS(selector)))
	b.see(next)
}

// visit enters a URL in the address bar.
func (b *browser) visit(url string) {
	b.t.Helper()
	b.run(chromedp.Navigate(url))
}

func TestDemo(t *testing.T) {
	t.Parallel()
	ad, shop, platform := startDemo(t)
	b := startBrowser(t, "127.0.0.1", "")

	b.visit(ad)
	b.press(".ad", ".product")
	require.NotContains(t, b.address(), "clkid")
	b.press(".product .button", "form[action='/orders']")
	b.press("main button", ".behind .verdict.accepted")
	require.NotContains(t, b.read(".behind"), "you did not come from the ad")

	// Paywell's webhook has no cookie, but the visitor has.
	b.visit(shop + "checkout/rain-jacket")
	b.press("input[value=provider]", "input[value=provider]:checked")
	b.press("main button", "form[action^='/pay/']")
	b.press("main button", ".behind .verdict.accepted")

	// In an outage the order is queued. That gives way to "accepted" without
	// moving the focus.
	b.resize(1280, 800)
	b.visit(platform)
	b.until(`document.querySelector("#count-accepted").textContent === "2"`)
	require.Equal(t, []string{ad, shop}, eval[[]string](b, `Array.from(document.querySelectorAll("#links a"), link => link.href)`))
	b.press("#faults-toggle", "#fault-form option[value='503']")
	b.run(chromedp.SetValue(chromedp.CSS("#fault-form [name=fault]"), "503"))
	b.press("#fault-form [name=always]", "#fault-form [name=always]:checked")
	b.press("#fault-form .primary", "#fault-list li")
	b.screenshot("demo-platform")
	b.visit(shop + "checkout/bottle")
	b.press("main button", ".behind .verdict.queued")
	b.screenshot("demo-queued")
	b.run(chromedp.Focus(chromedp.CSS("main a")))
	req, err := http.NewRequestWithContext(b.ctx, http.MethodDelete, platform+"api/v1/faults", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	b.see(".behind .verdict.accepted")
	b.screenshot("demo-accepted")
	require.Equal(t, "Back to the shop", eval[string](b, "document.activeElement.textContent"))

	// A visitor who deletes the cookie is organic.
	command(b, network.ClearBrowserCookies, cdp.Empty{})
	b.visit(shop + "checkout/bottle")
	b.press("main button", ".behind .verdict.organic")
	require.Contains(t, b.read(".conversion"), "did not come from the ad")
	b.resize(360, 700)
	b.screenshot("demo-organic")
	require.Empty(t, eval[[]string](b, offScreen))
	require.Empty(t, eval[[]string](b, faint))
}
