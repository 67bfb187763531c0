package browser

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// TestCookie_attributes reads the attributes that the browser stored.
func TestCookie_attributes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		edit         func(*clickid.Config)
		cookie       string
		domain       string
		lifetimeDays float64
	}{
		{"by default", func(*clickid.Config) {}, "__Host-clkid", "shop.test", 30},
		{"shared", func(cfg *clickid.Config) { cfg.Cookie.Domain = "shop.test" }, "__Secure-clkid", ".shop.test", 30},
		{"the maximum in browsers", func(cfg *clickid.Config) { cfg.TTL = clickid.MaxTTL }, "__Host-clkid", "shop.test", 400},
		{"another name", func(cfg *clickid.Config) { cfg.Cookie.Name = "ad" }, "__Host-ad", "shop.test", 30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.edit)
			w.open(landing, "landing")
			cookies := w.cookies()
			require.Len(t, cookies, 1)
			c := cookies[0]
			require.Equal(t, tt.cookie, c.Name)
			require.Equal(t, tt.domain, c.Domain)
			require.Equal(t, "/", c.Path)
			require.True(t, c.Secure)
			require.True(t, c.HTTPOnly)
			require.Equal(t, network.CookieSameSiteLax, c.SameSite)
			require.False(t, c.Session)
			days := time.Until(time.Unix(int64(c.Expires), 0)).Hours() / 24
			require.InDelta(t, tt.lifetimeDays, days, 0.01)
			require.Empty(t, eval[string](w.browser, "document.cookie"), "scripts cannot read it")
		})
	}
}

// TestCookie_reload checks that a reload keeps the value and the expiry of the
// cookie.
func TestCookie_reload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(landing, "landing")
	before := w.cookies()[0]
	w.open(landing, "landing")
	after := w.cookies()
	require.Len(t, after, 1)
	require.Equal(t, before.Value, after[0].Value)
	require.Equal(t, before.Expires, after[0].Expires)
	require.Equal(t, 1, w.observed(clickid.KindCaptured))
	require.Equal(t, 1, w.observed(clickid.KindUnchanged))
}

// TestCookie_plainHTTP has an operator of the network respond over HTTP in the
// shop's place. The browser stores no click from there, and does not send that of
// the visitor.
func TestCookie_plainHTTP(t *testing.T) {
	t.Parallel()
	store, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	now := time.Now().UTC().Truncate(time.Second)
	attackers, err := store.Save(t.Context(), clickid.Click{ID: "attack", Param: "clkid", At: now, Expires: now.Add(time.Hour)})
	require.NoError(t, err)
	tracker, err := clickid.New(clickid.Config{Store: store})
	require.NoError(t, err)
	var sent, line atomic.Value
	shop := tracker.Handler(http.HandlerFunc(showClick))
	secure := httptest.NewUnstartedServer(shop)
	certificate, spki := newCertificate(t, shopHost)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	operator := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		sent.Store(r.Header.Get("Cookie"))
		if set := line.Load().(string); set != "" {
			rw.Header().Set("Set-Cookie", set)
			writePage(rw, "order", "")
			return
		}
		shop.ServeHTTP(rw, r)
	}))
	t.Cleanup(operator.Close)
	b := startBrowser(t, secure.Listener.Addr().String(), spki, "MAP *.test:80 "+operator.Listener.Addr().String())
	for _, set := range []string{
		"", // a landing over HTTP
		"__Host-clkid=" + attackers + "; Path=/",
		"__Host-clkid=" + attackers + "; Path=/; Secure",
		"__Secure-clkid=" + attackers + "; Path=/; Secure",
		"__Secure-clkid=" + attackers + "; Domain=shop.test; Path=/",
	} {
		line.Store(set)
		b.forgetCookies()
		b.open("http://shop.test/?clkid="+clickID, "order")
		require.Empty(t, b.cookies(), set)
		b.open("https://shop.test/order", "order")
		require.Empty(t, b.text("main"), set)

		b.open("https://shop.test/?clkid="+clickID, "order")
		b.open("http://shop.test/order", "order")
		require.NotContains(t, sent.Load(), "clkid", "the click is not sent over HTTP")
		b.open("https://shop.test/order", "order")
		require.Equal(t, clickID, b.text("main"), set)
	}
}

// TestCookie_prolonged has a visitor who prolongs the cookie. The click still
// expires, since the token contains the time.
func TestCookie_prolonged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *clickid.Config) { cfg.TTL = 2 * time.Second })
	w.shop.HandleFunc("GET /order", showClick)
	w.open(landing, "landing")
	cookies := clickCookies(w)
	require.Len(t, cookies, 1)
	yes := true
	command(w.browser, network.SetCookie, network.SetCookieParams{
		Name: "__Host-clkid", Value: cookies[0].Value, URL: "https://shop.test/", Path: "/", Secure: &yes, HTTPOnly: &yes,
		Expires: cdp.TimeSinceEpoch(float64(time.Now().Add(clickid.MaxTTL).Unix())),
	})
	for start := time.Now(); time.Since(start) < time.Minute && w.visitorsClick() != ""; {
	}
	require.Empty(t, w.visitorsClick())
	require.Len(t, clickCookies(w), 1, "the browser still has the cookie")
	sent := w.sent(shopHost, "/order")
	require.Contains(t, sent[len(sent)-1].header.Get("Cookie"), cookies[0].Value)
}
