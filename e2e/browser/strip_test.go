package browser

import (
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func strip(cfg *clickid.Config) { cfg.StripParam = true }

func TestStrippedAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, landing, shown string }{
		{"the parameter alone", "/landing?clkid=" + clickID, "/landing"},
		{"between others", "/landing?a=1&clkid=" + clickID + "&b=2", "/landing?a=1&b=2"},
		{"everything else byte for byte", "/landing?q=a%20b+c%2Fd&&empty=&sc3clid=" + clickID + "&e=%C3%A9", "/landing?q=a%20b+c%2Fd&&empty=&e=%C3%A9"},
		{"with a fragment", "/landing?clkid=" + clickID + "#reviews", "/landing#reviews"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, strip)
			w.advertise("https://shop.test" + tt.landing)
			w.open("https://ads.test/", "ad")
			w.click("#ad", "landing")
			require.Equal(t, "https://shop.test"+tt.shown, w.address())
			require.Equal(t, "accepted", w.buy())
			require.Equal(t, []string{clickID}, w.attributed())
		})
	}
}

// What a visitor copies from the address bar carries no click.
func TestCopiedLinkCarriesNoClick(t *testing.T) {
	t.Parallel()
	w := newWorld(t, strip)
	w.open(landing, "landing")
	copied := w.address()
	w.run(network.ClearBrowserCookies())
	w.open(copied, "landing")
	require.Equal(t, "skipped: organic", w.buy())
	require.Empty(t, w.attributed())
	require.Empty(t, clickCookies(w))
}

// The redirect leaves no entry in the history that would lead forward again.
func TestBackButtonAfterStrip(t *testing.T) {
	t.Parallel()
	w := newWorld(t, strip)
	w.advertise(landing)
	w.open("https://ads.test/", "ad")
	w.click("#ad", "landing")
	w.run(chromedp.NavigateBack(), chromedp.WaitReady("main#ad", chromedp.ByQuery))
	require.Equal(t, "https://ads.test/", w.address())
	w.run(chromedp.NavigateForward(), chromedp.WaitReady("main#landing", chromedp.ByQuery))
	require.Equal(t, "https://shop.test/landing", w.address())
	require.Equal(t, "accepted", w.buy())
}

// A redirect to a path that begins with two slashes would lead to another
// site, so that this landing keeps its address.
func TestDoubleSlashIsNotRedirected(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"//ads.test/", `/\ads.test/`} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, strip)
			w.shop.HandleFunc("GET /", page("landing", `<a id="product" href="https://shop.test/product">product</a>`))
			w.advertise("https://ads.test/nowhere")
			w.open("https://shop.test"+path+"?clkid="+clickID, "landing")
			require.Contains(t, w.address(), "https://shop.test/")
			for _, r := range w.sent(adsHost, "/") {
				require.Equal(t, "/favicon.ico", r.path)
			}
		})
	}
}
