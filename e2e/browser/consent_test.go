package browser

import (
	"html/template"
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// banner reads the visitor's choice from the cookie of a consent banner.
func banner(r *http.Request) clickid.Consent {
	c, err := r.Cookie("consent")
	switch {
	case err != nil:
		return clickid.ConsentUnknown
	case c.Value == "yes":
		return clickid.ConsentGranted
	default:
		return clickid.ConsentDenied
	}
}

func withBanner(cfg *clickid.Config) { cfg.Consent = banner }

// choose does what a banner does in the page: it stores the visitor's choice in
// a cookie and sends it to the shop.
func (w *world) choose(choice, body string) {
	w.t.Helper()
	status := eval[int](w.browser, `(async () => {
		document.cookie = "consent=`+choice+`; path=/; secure";
		const response = await fetch("/consent", {method: "POST", body: new URLSearchParams("`+body+`")});
		return response.status;
	})()`)
	require.Equal(w.t, http.StatusNoContent, status)
}

// listenToBanner serves the banner's requests.
func (w *world) listenToBanner() {
	w.shop.HandleFunc("POST /consent", func(rw http.ResponseWriter, r *http.Request) {
		if banner(r) == clickid.ConsentGranted {
			// without a click there is nothing to remember
			_, _ = w.tracker.Remember(rw, r, r.FormValue("click"))
		} else if err := w.tracker.Forget(rw, r); err != nil {
			http.Error(rw, "failed", http.StatusInternalServerError)
			return
		}
		rw.WriteHeader(http.StatusNoContent)
	})
}

func clickCookies(w *world) (ours []*network.Cookie) {
	for _, c := range w.cookies() {
		if c.Name == "__Host-clkid" {
			ours = append(ours, c)
		}
	}
	return ours
}

func TestRemember_landingPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBanner)
	w.listenToBanner()
	w.open(landing, "landing")
	w.storesNothing()
	w.choose("yes", "") // the Referer is the landing page
	require.Len(t, clickCookies(w), 1)
	require.Equal(t, "accepted", w.buy())
	require.Equal(t, []string{clickID}, w.attributed())
}

// TestRemember_secondPage takes the click from the Referer and passes it to the
// banner.
func TestRemember_secondPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBanner)
	w.listenToBanner()
	w.shop.HandleFunc("GET /second", func(rw http.ResponseWriter, r *http.Request) {
		click, _ := clickid.FromContext(r.Context())
		writePage(rw, "second", `<input id="click" value="`+template.HTMLEscapeString(click.ID)+`"><a id="product" href="/product">product</a>`)
	})
	w.shop.HandleFunc("GET /first", htmlPage("first", `<a id="next" href="/second">next</a>`))
	w.open("https://shop.test/first?clkid="+clickID, "first")
	w.click("#next", "second")
	w.storesNothing()
	id := eval[string](w.browser, `document.querySelector("#click").value`)
	require.Equal(t, clickID, id)
	w.choose("yes", "click="+id)
	require.Len(t, clickCookies(w), 1)
	require.Equal(t, "accepted", w.buy())
	require.Equal(t, []string{clickID}, w.attributed())
}

// TestConsent_cookieOnly covers a banner that only sets its own cookie. The
// click is taken from the Referer of the page after the landing page.
func TestConsent_cookieOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBanner)
	w.open(landing, "landing")
	w.storesNothing()
	eval[any](w.browser, `void (document.cookie = "consent=yes; path=/; secure")`)
	require.Equal(t, "accepted", w.buy())
	require.Equal(t, []string{clickID}, w.attributed())
	require.Len(t, clickCookies(w), 1)
}

func TestConsent_denied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBanner)
	w.listenToBanner()
	w.open(landing, "landing")
	w.choose("no", "")
	require.Empty(t, clickCookies(w))
	require.Equal(t, "skipped: consent", w.buy())
	require.Empty(t, w.attributed())
	require.Empty(t, clickCookies(w))
	require.Zero(t, eval[int](w.browser, "localStorage.length + sessionStorage.length"))
}

func TestForget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBanner)
	w.listenToBanner()
	w.open(landing, "landing")
	w.choose("yes", "")
	require.Len(t, clickCookies(w), 1)
	w.click("#product", "product")
	w.choose("no", "")
	require.Empty(t, clickCookies(w), "withdrawn: gone")
	w.click("#buy", "thanks")
	require.NotEqual(t, "accepted", w.text("#verdict"))
	require.Empty(t, w.attributed())
}

func TestConsent_unknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBanner)
	w.open(landing, "landing")
	require.NotEqual(t, "accepted", w.buy())
	require.Empty(t, w.attributed())
	w.storesNothing()
}

// TestConsent_globalPrivacyControl checks that Sec-GPC: 1 overrides the
// configured consent.
func TestConsent_globalPrivacyControl(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	command(w.browser, network.Enable, network.EnableParams{})
	command(w.browser, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Sec-GPC": "1"}})
	w.open(landing, "landing")
	w.storesNothing()
	require.NotEqual(t, "accepted", w.buy())
	require.Empty(t, w.attributed())
	w.storesNothing()
}
