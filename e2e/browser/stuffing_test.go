package browser

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// embeddings are the ways in which a page loads URL without a navigation of the
// visitor. %s is the URL.
var embeddings = []struct{ name, html string }{
	{"hidden image", `<img hidden src="%s">`},
	{"responsive image", `<picture><source srcset="%s"><img></picture>`},
	{"image button", `<form><input type="image" src="%s"></form>`},
	{"image of a style", `<div style="width:9px;height:9px;background:url('%s')"></div>`},
	{"image of SVG", `<svg><image href="%s"></image></svg>`},
	{"image behind a redirect", `<img src="https://ads.test/redirect?%s">`},
	{"iframe", `<iframe src="%s"></iframe>`},
	{"sandboxed iframe", `<iframe sandbox src="%s"></iframe>`},
	{"sandboxed iframe with scripts and origin", `<iframe sandbox="allow-scripts allow-same-origin" src="%s"></iframe>`},
	{"iframe behind a redirect", `<iframe src="https://ads.test/redirect?%s"></iframe>`},
	{"iframe that refreshes", `<iframe srcdoc="<meta http-equiv='refresh' content='0;url=%s'>"></iframe>`},
	{"iframe of srcdoc with an image", `<iframe srcdoc="<img src='%s'>"></iframe>`},
	{"iframe of srcdoc with an iframe", `<iframe srcdoc="<iframe src='%s'></iframe>"></iframe>`},
	{"sandboxed iframe of data", `<iframe sandbox="allow-scripts" src="data:text/html,<img src='%s'>"></iframe>`},
	{"form in an iframe", `<iframe name="f"></iframe><form target="f" method="post" action="%s"></form><script>document.currentScript.previousElementSibling.submit()</script>`},
	{"script", `<script src="%s"></script>`},
	{"module", `<script type="module" src="%s"></script>`},
	{"style sheet", `<link rel="stylesheet" href="%s">`},
	{"preload", `<link rel="preload" as="image" href="%s">`},
	{"module preload", `<link rel="modulepreload" href="%s">`},
	{"link prefetch", `<link rel="prefetch" href="%s">`},
	{"object", `<object data="%s"></object>`},
	{"embed", `<embed src="%s">`},
	{"video", `<video preload="auto" src="%s"></video>`},
	{"audio", `<audio preload="auto" src="%s"></audio>`},
	{"fetch without CORS", `<script>fetch("%s", {mode: "no-cors", credentials: "include"})</script>`},
	{"fetch with CORS", `<script>fetch("%s", {mode: "cors", credentials: "include"}).catch(() => null)</script>`},
	{"fetch to keep alive", `<script>fetch("%s", {mode: "no-cors", credentials: "include", keepalive: true})</script>`},
	{"XMLHttpRequest", `<script>{ const x = new XMLHttpRequest(); x.open("GET", "%s"); x.withCredentials = true; x.send() }</script>`},
	{"beacon", `<script>navigator.sendBeacon("%s")</script>`},
	{"event source", `<script>new EventSource("%s", {withCredentials: true})</script>`},
	{"font", `<style>@font-face { font-family: f; src: url("%s") } p { font-family: f }</style><p>text</p>`},
}

// TestCapture_embedded covers cookie stuffing by pages of another site and of
// another subdomain. None counts. If fetch metadata is lost on the way, the
// browser refuses the cookie of another site, since it is SameSite=Lax.
func TestCapture_embedded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ads.HandleFunc("GET /redirect", func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, r.URL.RawQuery, http.StatusFound)
	})
	for _, page := range []struct {
		host, suffix string
		mux          *http.ServeMux
	}{{adsHost, "ads", w.ads}, {wwwHost, "www", w.www}, {payHost, "pay&" + withoutMetadata, w.pay}} {
		var html strings.Builder
		for row, tt := range embeddings {
			url := fmt.Sprintf("https://shop.test/landing?row=%d-%s&clkid=%s", row, page.suffix, clickID)
			html.WriteString(strings.ReplaceAll(tt.html, "%s", url))
		}
		page.mux.HandleFunc("GET /stuffing", htmlPage("stuffing", html.String()))
		w.open("https://"+page.host+"/stuffing", "stuffing")
		for row, tt := range embeddings {
			sent := w.awaitSent(shopHost, fmt.Sprintf("/landing?row=%d-%s&", row, page.suffix), 1)
			require.NotEqual(t, "document", sent[0].header.Get("Sec-Fetch-Dest"), tt.name)
		}
		if page.host != payHost {
			require.Zero(t, w.observed(clickid.KindCaptured), "embedded by %s", page.host)
		}
	}
	require.Positive(t, w.observed(clickid.KindCaptured), "without fetch metadata, a GET counts for the tracker")
	w.open("https://shop.test/landing", "landing")
	require.Equal(t, "skipped: organic", w.buy())
	w.storesNothing()
}

// TestCapture_attackersWorker has a service worker of another site that sends
// the navigations of its own pages to the shop. It cannot make the shop's cookie.
func TestCapture_attackersWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ads.HandleFunc("GET /worker.js", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/javascript")
		_, _ = fmt.Fprintf(rw, `
			self.addEventListener("install", event => event.waitUntil(self.skipWaiting()));
			self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));
			self.addEventListener("fetch", event => {
				if (!event.request.url.endsWith("/attack")) return;
				event.respondWith((async () => {
					const url = %q, errors = [];
					for (const attack of [
						() => fetch(new Request(url, event.request)),
						() => fetch(url, event.request),
						() => fetch(url, {mode: "navigate"}),
						() => fetch(url, {mode: "same-origin"}),
						() => fetch(url, {mode: "cors", credentials: "include"}),
						() => fetch(url, {mode: "no-cors", credentials: "include", headers: {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}}),
					]) {
						try { await attack() } catch (e) { errors.push(e.name) }
					}
					return new Response("<title>attack</title><main id=attack>" + errors.length + "</main>", {headers: {"Content-Type": "text/html"}});
				})());
			});`, landing)
	})
	w.ads.HandleFunc("GET /{$}", htmlPage("ad", ""))
	w.open("https://ads.test/", "ad")
	eval[any](w.browser, `(async () => {
		const change = new Promise(resolve => navigator.serviceWorker.addEventListener("controllerchange", resolve));
		await navigator.serviceWorker.register("/worker.js");
		if (!navigator.serviceWorker.controller) await change;
	})()`)
	w.open("https://ads.test/attack", "attack")
	w.awaitSent(shopHost, "/landing", 1)
	require.Equal(t, "5", w.text("#attack"), "the attacks that the browser refuses or whose response it hides")
	require.Zero(t, w.observed(clickid.KindCaptured))
	w.open("https://shop.test/landing", "landing")
	require.Equal(t, "skipped: organic", w.buy())
}

// TestCapture_navigations captures the click of each navigation of the top-level
// page, also of one that another site causes. docs/security.md states it as not
// defended.
func TestCapture_navigations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	folder := t.TempDir()
	w.shop.HandleFunc("GET /seen", func(http.ResponseWriter, *http.Request) {})
	w.shop.HandleFunc("/shown", htmlPage("shown", `<img src="/seen">`))
	w.ads.HandleFunc("GET /redirect", func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, r.URL.RawQuery, http.StatusFound)
	})
	const link = `<a id="go" href="%s" `
	for row, tt := range []struct {
		name, html string
		click      bool   // the visitor clicks #go
		scheme     string // of the page; https by default
		counts     bool
	}{
		{name: "link", html: link + `>go</a>`, click: true, counts: true},
		{name: "link without a referrer", html: link + `rel="noreferrer">go</a>`, click: true, counts: true},
		{name: "link into a new tab", html: link + `target="_blank">go</a>`, click: true, counts: true},
		{name: "link through an affiliate's redirect", html: `<a id="go" href="https://ads.test/redirect?%s">go</a>`, click: true, counts: true},
		{name: "refresh", html: `<meta http-equiv="refresh" content="0;url=%s">`, counts: true},
		{name: "script", html: `<script>location.replace("%s")</script>`, counts: true},
		{name: "frame that navigates the page", html: `<iframe srcdoc="<script>top.location='%s'</script>"></iframe>`, counts: true},
		{name: "form with GET", html: `<form action="%s"><input type="hidden" name="clkid" value="` + clickID + `"></form><script>document.forms[0].submit()</script>`, counts: true},
		{name: "form with POST", html: `<form method="post" action="%s"></form><script>document.forms[0].submit()</script>`, counts: false},
		{name: "pop-up after a click", html: `<button id="go" onclick="window.open('%s')">go</button>`, click: true, counts: true},
		{name: "pop-under after a click", html: `<button id="go" onclick="window.open('%s', '', 'popup').blur(); focus()">go</button>`, click: true, counts: true},
		{name: "link of a data: page", html: link + `>go</a>`, click: true, scheme: "data", counts: true},
		{name: "link of a file", html: link + `>go</a>`, click: true, scheme: "file", counts: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.forgetCookies()
			before, seen := w.observed(clickid.KindCaptured), len(w.sent(shopHost, "/seen"))
			page := fmt.Sprintf("<!doctype html><title>attack</title><main id=attack>%s</main>", strings.ReplaceAll(tt.html, "%s", "https://shop.test/shown?clkid="+clickID))
			address := fmt.Sprintf("https://ads.test/attack/%d", row)
			switch tt.scheme {
			case "data":
				address = "data:text/html," + strings.ReplaceAll(strings.ReplaceAll(page, "%", "%25"), "#", "%23")
			case "file":
				file := filepath.Join(folder, "attack.html")
				require.NoError(t, os.WriteFile(file, []byte(page), 0o600))
				address = "file://" + file
			default:
				w.ads.HandleFunc(fmt.Sprintf("GET /attack/%d", row), func(rw http.ResponseWriter, _ *http.Request) {
					rw.Header().Set("Content-Type", "text/html; charset=utf-8")
					_, _ = rw.Write([]byte(page))
				})
			}
			w.run(chromedp.Navigate(address))
			if tt.click {
				w.run(chromedp.Click(chromedp.CSS("#go")))
			}
			image := w.awaitSent(shopHost, "/seen", seen+1)[seen]
			require.Equal(t, tt.counts, strings.Contains(image.header.Get("Cookie"), "__Host-clkid="))
			require.Equal(t, tt.counts, w.observed(clickid.KindCaptured) == before+1)
			require.Equal(t, tt.counts, len(clickCookies(w)) == 1)
		})
	}
}
