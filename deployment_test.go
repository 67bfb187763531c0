package clickid_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// These tests run two instances of a site that differ: in their clocks, their
// keys or their configuration.

// TestInstances_clocks lands on one machine and orders on another, with clocks
// that differ by an hour in either direction.
func TestInstances_clocks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ landing, order time.Duration }{
		"the landing's clock is an hour ahead":  {time.Hour, 0},
		"the landing's clock is an hour behind": {-time.Hour, 0},
		"the order's clock is an hour ahead":    {0, time.Hour},
		"the order's clock is an hour behind":   {0, -time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memory := clickid.NewMemoryStore()
			for _, store := range []func() clickid.Store{
				func() clickid.Store { return newCookieStore(t, firstKey) },
				func() clickid.Store { return memory }, // the machines share it
			} {
				first, second := newSite(t, clickid.Config{Store: store()}), newSite(t, clickid.Config{Store: store()})
				base := time.Now()
				first.clock.nanoseconds.Store(base.Add(tt.landing).UnixNano())
				second.clock.nanoseconds.Store(base.Add(tt.order).UnixNano())
				v := first.visitor()
				v.get("/?clkid=" + documentedID)
				v.site = second
				checkout := v.do(http.MethodPost, "/order")
				require.Equal(t, documentedID, checkout.id())
				require.Empty(t, second.kinds(), "nothing is noticed as invalid")

				platform := platformtest.Responding(platformtest.OK())
				result, err := clickid.Convert(checkout.ctx, newClient(t, platform, logEvent, func(cfg *capi.Config) {
					cfg.Logger = slog.New(slog.DiscardHandler)
				}), clickid.Event{Type: clickid.Purchase, ID: "1", Time: time.Now()})
				require.NoError(t, err)
				require.Equal(t, clickid.VerdictAccepted, result.Verdict)

				// A later click replaces the one of the wrong clock.
				v.get("/?clkid=later")
				require.NotEmpty(t, v.get("/cart").id())
			}
		})
	}
}

// TestInstances_keyRotation rotates the key while a visitor is on the site.
func TestInstances_keyRotation(t *testing.T) {
	t.Parallel()
	before := newSite(t, clickid.Config{Store: newCookieStore(t, firstKey)})
	during := newSite(t, clickid.Config{Store: newCookieStore(t, secondKey, firstKey)})
	after := newSite(t, clickid.Config{Store: newCookieStore(t, secondKey)})

	v := before.visitor()
	token, _ := clickid.Token(v.get("/?clkid=abc").ctx)
	v.site = during
	checkout := v.do(http.MethodPost, "/order")
	require.Equal(t, "abc", checkout.id())
	sold, ok := clickid.Token(checkout.ctx)
	require.True(t, ok)
	require.Equal(t, token, sold)
	click, err := during.Resolve(context.Background(), token) // the webhook of the payment
	require.NoError(t, err)
	require.Equal(t, "abc", click.ID)

	// An instance that is not yet deployed does not know the new key.
	late := during.visitor()
	late.get("/?clkid=def")
	late.site = before
	require.Empty(t, late.get("/cart").id())
	late.site = during
	require.Equal(t, "def", late.get("/cart").id(), "the other instance has not removed the cookie")

	// Without the old key the visit goes on without its click, and a new one
	// replaces the cookie.
	v.site = after
	require.Empty(t, v.do(http.MethodPost, "/order").id())
	require.Equal(t, []clickid.Kind{clickid.KindInvalidCookie}, after.kinds())
	v.get("/?clkid=ghi")
	require.Equal(t, "ghi", v.get("/cart").id())
}

// TestInstances_configurations has two instances behind one address, of which
// one is newer. The visitor lands on one, orders on the other and returns.
func TestInstances_configurations(t *testing.T) {
	t.Parallel()
	shared := clickid.Config{Cookie: clickid.Cookie{Domain: "example.com"}}
	for name, tt := range map[string]struct {
		older, newer clickid.Config
		found        bool // the newer instance finds the click
	}{
		"the same":               {clickid.Config{}, clickid.Config{}, true},
		"another lifetime":       {clickid.Config{}, clickid.Config{TTL: time.Hour}, true},
		"another parameter":      {clickid.Config{}, clickid.Config{Params: []string{"clkid", "cid"}}, true},
		"an attribution rule":    {clickid.Config{}, clickid.Config{Touch: clickid.FirstTouch}, true},
		"a stricter grammar":     {clickid.Config{}, clickid.Config{Accept: clickid.IsULID}, true},
		"another cookie name":    {clickid.Config{}, clickid.Config{Cookie: clickid.Cookie{Name: "ad"}}, false},
		"a shared cookie domain": {clickid.Config{}, shared, false},
		"a host-only cookie":     {shared, clickid.Config{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			older, newer := newSite(t, tt.older), newSite(t, tt.newer)
			v := older.visitor()
			landing := v.get("/?clkid=abc")
			token, ok := clickid.Token(landing.ctx)
			require.True(t, ok)

			v.site = newer
			page := v.get("/cart")
			require.True(t, page.served)
			require.Empty(t, page.setCookies(), "the other instance's cookie is left to it")
			require.Equal(t, tt.found, page.id() == "abc")
			click, err := newer.Resolve(context.Background(), token)
			require.NoError(t, err, "an order's token does not depend on the cookie")
			require.Equal(t, "abc", click.ID)

			v.site = older
			require.Equal(t, "abc", v.get("/cart").id())
		})
	}
}
