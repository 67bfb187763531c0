package browser

import (
	"net/http"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// TestJourney follows the ways from an ad to the landing page. After a second
// page the order is attributed.
func TestJourney(t *testing.T) {
	t.Parallel()
	shared := func(cfg *clickid.Config) { cfg.Cookie.Domain = shopHost }
	redirectTo := func(target string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) }
	}
	for _, tt := range []struct {
		name   string
		ad     string // the URL of the ad
		routes func(w *world)
		edits  []func(*clickid.Config)
		cookie string
	}{
		{
			name:   "direct, host-only cookie",
			ad:     landing,
			cookie: "__Host-clkid",
		},
		{
			name: "through the platform's and the shop's redirects",
			ad:   "https://ads.test/click",
			routes: func(w *world) {
				w.ads.HandleFunc("GET /click", redirectTo("https://shop.test/old?clkid="+clickID+"&utm_source=scope3"))
				w.shop.HandleFunc("GET /old", redirectTo(landing))
			},
			cookie: "__Host-clkid",
		},
		{
			name: "a redirect of the shop that drops the parameter after the capture",
			ad:   "https://shop.test/login?clkid=" + clickID,
			routes: func(w *world) {
				w.shop.HandleFunc("GET /login", redirectTo("https://shop.test/landing"))
			},
			cookie: "__Host-clkid",
		},
		{
			name: "from www to the apex, which keeps the query",
			ad:   "https://www.shop.test/landing?clkid=" + clickID,
			routes: func(w *world) {
				w.www.HandleFunc("GET /landing", redirectTo(landing))
			},
			cookie: "__Host-clkid",
		},
		{
			name: "from www to the apex without the query, shared cookie",
			ad:   "https://www.shop.test/landing?clkid=" + clickID,
			routes: func(w *world) {
				w.www.HandleFunc("GET /landing", redirectTo("https://shop.test/landing"))
			},
			edits:  []func(*clickid.Config){shared},
			cookie: "__Secure-clkid",
		},
		{
			name: "landing on www, checkout on the apex, shared cookie",
			ad:   "https://www.shop.test/landing?clkid=" + clickID,
			routes: func(w *world) {
				w.www.HandleFunc("GET /landing", htmlPage("landing", `<a id="product" href="https://shop.test/product">product</a>`))
			},
			edits:  []func(*clickid.Config){shared},
			cookie: "__Secure-clkid",
		},
		{
			name:   "direct, shared cookie",
			ad:     landing,
			edits:  []func(*clickid.Config){shared},
			cookie: "__Secure-clkid",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.edits...)
			if tt.routes != nil {
				tt.routes(w)
			}
			w.advertise(tt.ad)
			w.open("https://ads.test/", "ad")
			w.click("#offer", "landing")
			require.Equal(t, "accepted", w.buy())
			require.Equal(t, []string{clickID}, w.attributed())
			var ours []string
			for _, c := range w.cookies() {
				ours = append(ours, c.Name)
				require.Equal(t, tt.cookie, c.Name)
			}
			require.NotEmpty(t, ours)
		})
	}
}

// TestJourney_hostOnlyCookie shows that a shop needs a shared cookie if its
// landing page and its checkout are on different subdomains.
func TestJourney_hostOnlyCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.www.HandleFunc("GET /landing", htmlPage("landing", `<a id="product" href="https://shop.test/product">product</a>`))
	w.advertise("https://www.shop.test/landing?clkid=" + clickID)
	w.open("https://ads.test/", "ad")
	w.click("#offer", "landing")
	require.Equal(t, "skipped: organic", w.buy())
	require.Empty(t, w.attributed())
}

func TestJourney_organic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open("https://shop.test/landing", "landing")
	require.Equal(t, "skipped: organic", w.buy())
	require.Empty(t, w.attributed())
	w.storesNothing()
}

func TestJourney_secondOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.advertise(landing)
	w.open("https://ads.test/", "ad")
	w.click("#offer", "landing")
	require.Equal(t, "accepted", w.buy())
	w.open("https://shop.test/product", "product")
	w.click("#buy", "thanks")
	require.Equal(t, "accepted", w.text("#verdict"))
	require.Equal(t, []string{clickID, clickID}, w.attributed())
}

// TestToken_crossSitePost covers a payment page that returns the visitor with a
// cross-site POST. The browser does not send a Lax cookie with it, but the shop
// has stored the token.
func TestToken_crossSitePost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.shop.HandleFunc("GET /pay", func(rw http.ResponseWriter, r *http.Request) {
		token, _ := clickid.Token(r.Context())
		w.mu.Lock()
		w.tokens["cart-7"] = token
		w.mu.Unlock()
		http.Redirect(rw, r, "https://pay.test/?order=cart-7", http.StatusSeeOther)
	})
	w.pay.HandleFunc("GET /", htmlPage("payment", `<form method="post" action="https://shop.test/paid">
		<input type="hidden" name="order" value="cart-7"><button id="pay">pay</button></form>`))
	w.shop.HandleFunc("POST /paid", func(rw http.ResponseWriter, r *http.Request) {
		_, known := clickid.FromContext(r.Context())
		e := w.newOrder()
		w.mu.Lock()
		e.ClickToken = w.tokens[r.FormValue("order")]
		w.mu.Unlock()
		if known {
			e.ID = "the cookie was sent"
		}
		w.thank(r.Context(), rw, e)
	})
	w.advertise(landing)
	w.open("https://ads.test/", "ad")
	w.click("#offer", "landing")
	w.open("https://shop.test/pay", "payment")
	w.click("#pay", "thanks")

	require.Equal(t, "accepted", w.text("#verdict"))
	require.Equal(t, []string{clickID}, w.attributed())
	require.Equal(t, "order-1", w.platform.Accepted()[0].ID)
	paid := w.sent(shopHost, "/paid")
	require.Len(t, paid, 1)
	require.Empty(t, paid[0].header["Cookie"], "a cross-site POST has no Lax cookie")
}
