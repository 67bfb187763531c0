package browser

import (
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func strip(cfg *clickid.Config) { cfg.StripParam = true }

func TestStrip(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, landing, shown string }{
		{"only the parameter", "/landing?clkid=" + clickID, "/landing"},
		{"between others", "/landing?a=1&clkid=" + clickID + "&b=2", "/landing?a=1&b=2"},
		{"everything else byte for byte", "/landing?q=a%20b+c%2Fd&&empty=&sc3clid=" + clickID + "&e=%C3%A9", "/landing?q=a%20b+c%2Fd&&empty=&e=%C3%A9"},
		{"with a fragment", "/landing?clkid=" + clickID + "#reviews", "/landing#reviews"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, strip)
			w.advertise("https://shop.test" + tt.landing)
			w.open("https://ads.test/", "ad")
			w.click("#offer", "landing")
			require.Equal(t, "https://shop.test"+tt.shown, w.address())
			require.Equal(t, "accepted", w.buy())
			require.Equal(t, []string{clickID}, w.attributed())
		})
	}
}

// TestStrip_copiedLink checks that a link from the address bar has no click.
func TestStrip_copiedLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, strip)
	w.open(landing, "landing")
	copied := w.address()
	w.forgetCookies()
	w.open(copied, "landing")
	require.Equal(t, "skipped: organic", w.buy())
	require.Empty(t, w.attributed())
	require.Empty(t, clickCookies(w))
}

// TestStrip_history checks that the redirect adds no entry to the history and
// that the browser can keep the page in its back/forward cache.
func TestStrip_history(t *testing.T) {
	t.Parallel()
	w := newWorld(t, strip)
	w.advertise(landing)
	w.open("https://ads.test/", "ad")
	w.click("#offer", "landing")
	w.travel(-1)
	require.Equal(t, "https://ads.test/", w.address())
	require.Equal(t, page.NavigationTypeBackForwardCacheRestore, w.travel(+1), "the landing page was kept")
	require.Equal(t, "https://shop.test/landing", w.address())
	w.open("https://shop.test/product", "product")
	w.click("#buy", "thanks")
	require.Equal(t, []string{clickID}, w.attributed())
}

// TestStrip_doubleSlash covers paths that begin with two slashes. A redirect to
// such a path would lead to another site, so the tracker does not redirect.
func TestStrip_doubleSlash(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"//ads.test/", `/\ads.test/`} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, strip)
			w.shop.HandleFunc("GET /", htmlPage("landing", `<a id="product" href="https://shop.test/product">product</a>`))
			w.advertise("https://ads.test/nowhere")
			w.open("https://shop.test"+path+"?clkid="+clickID, "landing")
			require.Contains(t, w.address(), "https://shop.test/")
			require.Empty(t, w.sent(adsHost, "/"))
		})
	}
}
