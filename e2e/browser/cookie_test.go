package browser

import (
	"testing"
	"time"

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
