package browser

import (
	"path/filepath"
	"testing"

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
	require.NotContains(t, b.text(".behind"), "you did not come from the ad")

	// Paywell's webhook has no cookie, but the visitor has.
	b.visit(shop + "checkout/rain-jacket")
	b.press("input[value=provider]", "input[value=provider]:checked")
	b.press("main button", "form[action^='/pay/']")
	b.press("main button", ".behind .verdict.accepted")

	b.visit(platform)
	b.press("button.quiet", "form .warning")
	b.visit(shop + "checkout/bottle")
	b.press("main button", ".behind[data-conversion=queued]")
	order := b.address()
	b.visit(platform)
	b.press("form button", "button.quiet")
	b.visit(order)
	b.see(".behind .verdict.accepted")
}
