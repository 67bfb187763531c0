package browser

import (
	"html/template"
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// banner reads the visitor's answer from the cookie of a consent banner.
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

// answer is what a banner does in the page: it notes the answer in a cookie
// and tells the shop.
func (w *world) answer(answer, body string) {
	w.t.Helper()
	status := eval[int](w.browser, `(async () => {
		document.cookie = "consent=`+answer+`; path=/; secure";
		const response = await fetch("/consent", {method: "POST", body: new URLSearchParams("`+body+`")});
		return response.status;
	})()`)
	require.Equal(w.t, http.StatusNoContent, status)
}

// listenToBanner serves what the banner calls.
func (w *world) listenToBanner() {
	w.shop.HandleFunc("POST /consent", func(rw http.ResponseWriter, r *http.Request) {
		if banner(r) == clickid.ConsentGranted {
			// There may be no click to remember.
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

func TestConsentGrantedOnTheLandingPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBanner)
	w.listenToBanner()
	w.open(landing, "landing")
	w.storesNothing()
	w.answer("yes", "") // the Referer is the landing page
	require.Len(t, clickCookies(w), 1)
	require.Equal(t, "accepted", w.buy())
	require.Equal(t, []string{clickID}, w.attributed())
}

// The second page knows the click from its Referer, and hands it to the banner.
func TestConsentGrantedOnTheSecondPage(t *testing.T) {
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
	w.answer("yes", "click="+id)
	require.Len(t, clickCookies(w), 1)
	require.Equal(t, "accepted", w.buy())
	require.Equal(t, []string{clickID}, w.attributed())
}

// A banner that only sets its own cookie: the click is taken from the Referer
// of the next page that the landing page leads to.
func TestConsentNotedByTheBannerAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBanner)
	w.open(landing, "landing")
	w.storesNothing()
	eval[any](w.browser, `void (document.cookie = "consent=yes; path=/; secure")`)
	require.Equal(t, "accepted", w.buy())
	require.Equal(t, []string{clickID}, w.attributed())
	require.Len(t, clickCookies(w), 1)
}

func TestConsentDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBanner)
	w.listenToBanner()
	w.open(landing, "landing")
	w.answer("no", "")
	require.Empty(t, clickCookies(w))
	require.Equal(t, "skipped: organic", w.buy())
	require.Empty(t, w.attributed())
	require.Empty(t, clickCookies(w))
	require.Zero(t, eval[int](w.browser, "localStorage.length + sessionStorage.length"))
}

func TestConsentWithdrawn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBanner)
	w.listenToBanner()
	w.open(landing, "landing")
	w.answer("yes", "")
	require.Len(t, clickCookies(w), 1)
	w.click("#product", "product")
	w.answer("no", "")
	require.Empty(t, clickCookies(w), "withdrawn: gone")
	w.click("#buy", "thanks")
	require.NotEqual(t, "accepted", w.text("#verdict"))
	require.Empty(t, w.attributed())
}

func TestUnknownConsentSendsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBanner)
	w.open(landing, "landing")
	require.NotEqual(t, "accepted", w.buy())
	require.Empty(t, w.attributed())
	w.storesNothing()
}

// Sec-GPC: 1 means denied, whatever else is configured.
func TestGlobalPrivacyControl(t *testing.T) {
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
