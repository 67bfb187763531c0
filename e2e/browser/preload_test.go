package browser

import (
	"net/http"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// TestCapture_preload loads the page before the visitor clicks the ad. The
// order is attributed once.
func TestCapture_preload(t *testing.T) {
	t.Parallel()
	const link = `<a id="offer" href="` + landing + `">buy</a>`
	rules := func(action string) string {
		return `<script type="speculationrules">{"` + action + `": [{"source": "list", "eagerness": "immediate", "urls": ["` + landing + `"]}]}</script>` + link
	}
	for _, tt := range []struct {
		name    string
		host    string // of the page with the preload
		html    string
		purpose string // prefix of the preload's Sec-Purpose
		stored  int    // clicks that the preload stores
	}{
		{"speculation rules prefetch, same site", shopHost, rules("prefetch"), "prefetch", 1},
		{"speculation rules prerender, same site", shopHost, rules("prerender"), "prefetch", 1},
		{"speculation rules prefetch, from the ad's site", adsHost, rules("prefetch"), "prefetch", 1},
		{"link prefetch, same site", shopHost, `<link rel="prefetch" href="` + landing + `">` + link, "prefetch", 0},
		{"link prefetch, from the ad's site", adsHost, `<link rel="prefetch" href="` + landing + `">` + link, "prefetch", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			mux := map[string]*http.ServeMux{adsHost: w.ads, shopHost: w.shop}[tt.host]
			mux.HandleFunc("GET /preload", htmlPage("preload", tt.html))
			w.open("https://"+tt.host+"/preload", "preload")
			first := w.awaitSent(shopHost, "/landing", 1)[0]
			require.Contains(t, first.header.Get("Sec-Purpose"), tt.purpose)

			w.click("#offer", "landing")
			require.Equal(t, "accepted", w.buy())
			require.Equal(t, []string{clickID}, w.attributed())
			require.Equal(t, 1, w.observed(clickid.KindCaptured), "counted once")
			require.Len(t, clickCookies(w), 1)
			if tt.stored == 0 {
				require.Len(t, w.sent(shopHost, "/landing"), 2, "the real click reaches the server")
				require.Equal(t, 1, w.observed(clickid.KindRefused))
			}
		})
	}
}

// TestCapture_serviceWorker covers a service worker that responds to
// navigations with fetch(event.request). The request of the worker is not a
// navigation.
func TestCapture_serviceWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.shop.HandleFunc("GET /worker.js", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/javascript")
		_, _ = rw.Write([]byte(`
			self.addEventListener("install", event => event.waitUntil(self.skipWaiting()));
			self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));
			self.addEventListener("fetch", event => event.respondWith(fetch(event.request)));`))
	})
	w.advertise(landing)
	w.open("https://shop.test/", "home")
	controlled := eval[bool](w.browser, `(async () => {
		const change = new Promise(resolve => navigator.serviceWorker.addEventListener("controllerchange", resolve));
		await navigator.serviceWorker.register("/worker.js");
		if (!navigator.serviceWorker.controller) await change;
		return navigator.serviceWorker.controller !== null;
	})()`)
	require.True(t, controlled)

	w.open("https://ads.test/", "ad")
	w.click("#offer", "landing")
	require.Equal(t, "accepted", w.buy())
	require.Equal(t, []string{clickID}, w.attributed())
	sent := w.sent(shopHost, "/landing")
	require.Equal(t, "empty", sent[len(sent)-1].header.Get("Sec-Fetch-Dest"), "the service worker sent the request")
}

// TestCapture_preloadWithoutVisit preloads the landing page for a visitor who
// does not visit it. The browser keeps the cookie of another site's prefetch apart
// until the visit. A prefetch by another subdomain counts as a click, which
// docs/security.md states as not defended.
func TestCapture_preloadWithoutVisit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, host, action string
		stored             bool
	}{
		{"prefetch of another site", adsHost, "prefetch", false},
		{"prerender of another site", adsHost, "prerender", false},
		{"prefetch of another subdomain", wwwHost, "prefetch", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.shop.HandleFunc("GET /order", showClick)
			mux := map[string]*http.ServeMux{adsHost: w.ads, wwwHost: w.www}[tt.host]
			mux.HandleFunc("GET /preload", htmlPage("preload", `<script type="speculationrules">{"`+tt.action+`": [{"source": "list", "eagerness": "immediate", "urls": ["`+landing+`"]}]}</script>`))
			w.open("https://"+tt.host+"/preload", "preload")
			preload := w.awaitSent(shopHost, "/landing", 1)[0]
			require.Contains(t, preload.header.Get("Sec-Purpose"), "prefetch")
			for tt.stored && len(clickCookies(w)) == 0 { // until the context of the browser ends
			}
			require.Equal(t, tt.stored, w.visitorsClick() == clickID)
			require.Equal(t, 1, w.observed(clickid.KindCaptured))
			require.Equal(t, tt.stored, len(clickCookies(w)) == 1)
		})
	}
}
