package clickid_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// landedClick returns the click of a landing.
func landedClick(t *testing.T, landingIP func(*http.Request) string, userAgent string) clickid.Click {
	t.Helper()
	tracker := newTracker(t, clickid.Config{LandingIP: landingIP})
	r := httptest.NewRequest(http.MethodGet, "https://shop.test/?clkid="+documentedID, nil)
	r.Header.Set("User-Agent", userAgent)
	w := httptest.NewRecorder()
	tracker.Capture(w, r)
	order := httptest.NewRequest(http.MethodPost, "https://shop.test/order", nil)
	for _, cookie := range w.Result().Cookies() {
		order.AddCookie(cookie)
	}
	c, err := clickid.Lookup(tracker.Context(order))
	require.NoError(t, err, "the landing never costs the click")
	require.Equal(t, documentedID, c.ID)
	return c
}

func TestConfig_LandingIP(t *testing.T) {
	t.Parallel()
	remote := func(r *http.Request) string { return r.RemoteAddr }
	for name, tt := range map[string]struct {
		landingIP         func(*http.Request) string
		userAgent         string
		wantIP, wantAgent string
	}{
		"off by default":         {nil, "Mozilla/5.0", "", ""},
		"the remote address":     {remote, "Mozilla/5.0", "192.0.2.1", "Mozilla/5.0"},
		"a list":                 {func(*http.Request) string { return "2001:db8::1, 10.0.0.1" }, "Mözilla", "2001:db8::1", "Mözilla"},
		"no address":             {func(*http.Request) string { return "unknown" }, "Mozilla/5.0", "", ""},
		"no user agent":          {remote, "", "", ""},
		"a panic":                {func(*http.Request) string { panic("boom") }, "Mozilla/5.0", "", ""},
		"a very long user agent": {remote, strings.Repeat("x", 3000), "192.0.2.1", strings.Repeat("x", 512)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := landedClick(t, tt.landingIP, tt.userAgent)
			require.Equal(t, tt.wantIP, c.LandingIP)
			require.Equal(t, tt.wantAgent, c.LandingUserAgent)
		})
	}
}

func TestClick_MarshalBinary_landing(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0).UTC()
	c := clickid.Click{ID: documentedID, Param: "clkid", At: at, Expires: at.Add(time.Hour), LandingIP: "192.0.2.1", LandingUserAgent: strings.Repeat("ä", 512)}
	b, err := c.MarshalBinary()
	require.NoError(t, err)
	var read clickid.Click
	require.NoError(t, read.UnmarshalBinary(b))
	require.Equal(t, c, read)
	for i := range len(b) - len(documentedID) + 1 {
		require.ErrorIs(t, new(clickid.Click).UnmarshalBinary(b[:i]), clickid.ErrInvalid, "cut to %d bytes", i)
	}
	for _, edit := range []func(*clickid.Click){
		func(c *clickid.Click) { c.LandingIP = "somewhere" },
		func(c *clickid.Click) { c.LandingIP = "192.0.2.1, 10.0.0.1" },
		func(c *clickid.Click) { c.LandingUserAgent = strings.Repeat("x", 513) },
		func(c *clickid.Click) { c.LandingUserAgent = "a\nb" },
	} {
		wrong := c
		edit(&wrong)
		require.ErrorIs(t, wrong.Validate(), clickid.ErrInvalid)
	}
}

// TestCookieStore_longLanding checks that a click whose landing does not fit
// into a cookie is stored without it.
func TestCookieStore_longLanding(t *testing.T) {
	t.Parallel()
	store := newCookieStore(t, firstKey)
	at := time.Now().UTC().Truncate(time.Second)
	c := clickid.Click{
		ID: strings.Repeat("x", 512), Param: "clkid", At: at, Expires: at.Add(time.Hour),
		LandingIP: "192.0.2.1", LandingUserAgent: strings.Repeat("ä", 512),
	}
	token, err := store.Save(context.Background(), c)
	require.NoError(t, err)
	c.LandingIP, c.LandingUserAgent = "", ""
	read, err := store.Load(context.Background(), token)
	require.NoError(t, err)
	require.Equal(t, c, read)
}

func TestEvent_Clean_landing(t *testing.T) {
	t.Parallel()
	e := clickid.Event{Type: clickid.Purchase, ID: "1", Time: time.Now(), Click: clickid.Click{ID: "x", LandingIP: "192.0.2.1:80", LandingUserAgent: " a\nb"}}
	cleaned, warnings, err := e.Clean()
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, "192.0.2.1", cleaned.Click.LandingIP)
	require.Equal(t, "a b", cleaned.Click.LandingUserAgent)
	e.Click.LandingUserAgent = ""
	cleaned, warnings, err = e.Clean()
	require.NoError(t, err)
	require.Empty(t, cleaned.Click.LandingIP)
	require.Equal(t, []string{"click.landing_ip was left out: it must be an address, together with landing_user_agent"}, warnings)
}
