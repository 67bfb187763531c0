package clickid_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/stretchr/testify/require"
)

// networks is a site with a tracker for each of two ad networks.
type networks struct {
	outer, inner *site
	handler      http.Handler
	resp         *response // of the current request
}

// newNetworks returns a site whose inner tracker is for gclid. The change may be
// nil.
func newNetworks(t testing.TB, change func(outer, inner *clickid.Config)) *networks {
	t.Helper()
	var outer clickid.Config
	inner := clickid.Config{Params: []string{"gclid"}, Cookie: clickid.Cookie{Name: "gclid"}}
	if change != nil {
		change(&outer, &inner)
	}
	n := &networks{outer: newSite(t, outer), inner: newSite(t, inner)}
	n.handler = n.outer.Handler(n.inner.Handler(http.HandlerFunc(n.page)))
	return n
}

func (n *networks) page(_ http.ResponseWriter, r *http.Request) {
	n.resp.ctx, n.resp.served = r.Context(), true
}

// browser is a visitor of both networks. It keeps the cookies of a visitor.
type browser struct {
	*visitor
	site *networks
}

func (n *networks) browser() *browser { return &browser{n.outer.visitor(), n} }

func (b *browser) do(method, target string, headers ...string) *response {
	r := newRequest(method, target, headers...)
	for _, c := range b.cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	resp := &response{ResponseRecorder: httptest.NewRecorder()}
	b.site.resp = resp
	b.site.handler.ServeHTTP(resp, r)
	for _, c := range resp.Result().Cookies() {
		if b.cookies = removeCookie(b.cookies, c.Name); c.MaxAge >= 0 {
			b.cookies = append(b.cookies, c)
		}
	}
	return resp
}

func (b *browser) get(target string, headers ...string) *response {
	return b.do(http.MethodGet, target, headers...)
}

// clicks returns the click IDs that the package and the trackers find.
func (n *networks) clicks(ctx context.Context) [3]string {
	outermost, _ := clickid.Lookup(ctx)
	outer, _ := n.outer.Lookup(ctx)
	inner, _ := n.inner.Lookup(ctx)
	return [3]string{outermost.ID, outer.ID, inner.ID}
}

func TestTracker_severalNetworks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		landing string
		want    [3]string // outermost, outer, inner
	}{
		"both clicks":          {"/?clkid=abc&gclid=def", [3]string{"abc", "abc", "def"}},
		"the outer one's only": {"/?clkid=abc", [3]string{"abc", "abc", ""}},
		"the inner one's only": {"/?gclid=def", [3]string{"", "", "def"}},
		"no click":             {"/", [3]string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetworks(t, nil)
			b := n.browser()
			require.Equal(t, tt.want, n.clicks(b.get(tt.landing).ctx), "on the landing")
			require.Equal(t, tt.want, n.clicks(b.get("/page").ctx), "on a page")
			require.Equal(t, tt.want, n.clicks(b.do(http.MethodPost, "/checkout").ctx), "at the checkout")

			ctx := b.get("/page").ctx
			for i, token := range []func(context.Context) (string, bool){clickid.Token, n.outer.Token, n.inner.Token} {
				token, ok := token(ctx)
				require.Equal(t, tt.want[i] != "", ok)
				if !ok {
					continue
				}
				resolver := n.outer
				if i == 2 {
					resolver = n.inner
				}
				click, err := resolver.Resolve(ctx, token)
				require.NoError(t, err)
				require.Equal(t, tt.want[i], click.ID)
			}
		})
	}
}

// A tracker that is not directly around another one leaves no trace on a page
// without its own click. The inner one has learned of it from another page.
func TestTracker_outermostBehindMiddleware(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, nil)
	inside := n.inner.Handler(http.HandlerFunc(n.page))
	n.handler = n.outer.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inside.ServeHTTP(w, r) }))
	b := n.browser()
	b.do(http.MethodPost, "/search")
	require.Equal(t, [3]string{"", "", "def"}, n.clicks(b.get("/?gclid=def").ctx))
	require.Equal(t, [3]string{"", "", "def"}, n.clicks(b.get("/page").ctx))

	// Some frameworks wrap the handler for every request.
	n.inner.Handler(http.HandlerFunc(n.page))
	require.Equal(t, [3]string{"", "", "def"}, n.clicks(b.get("/page").ctx))
}

func TestTracker_threeNetworks(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, nil)
	third := newSite(t, clickid.Config{Params: []string{"msclkid"}, Cookie: clickid.Cookie{Name: "msclkid"}})
	n.handler = n.outer.Handler(n.inner.Handler(third.Handler(http.HandlerFunc(n.page))))
	b := n.browser()
	ctx := b.get("/?msclkid=ghi").ctx
	require.Equal(t, [3]string{}, n.clicks(ctx))
	click, err := third.Lookup(ctx)
	require.NoError(t, err)
	require.Equal(t, "ghi", click.ID)
	b.get("/?gclid=def")
	require.Equal(t, [3]string{"", "", "def"}, n.clicks(b.get("/page").ctx))
}

func TestTracker_severalNetworksOwnSettings(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, func(outer, inner *clickid.Config) {
		outer.TTL, inner.TTL = time.Hour, 3*time.Hour
		inner.Touch = clickid.FirstTouch
	})
	b := n.browser()
	b.get("/?clkid=abc&gclid=def")
	require.Equal(t, [3]string{"ghi", "ghi", "def"}, n.clicks(b.get("/?clkid=ghi&gclid=jkl").ctx), "each has its touch")
	n.outer.clock.advance(2 * time.Hour)
	n.inner.clock.advance(2 * time.Hour)
	require.Equal(t, [3]string{"", "", "def"}, n.clicks(b.get("/").ctx), "each has its lifetime")
}

// consentOf returns a function for Config.Consent that reads a header.
func consentOf(header string) func(*http.Request) clickid.Consent {
	return func(r *http.Request) clickid.Consent {
		switch r.Header.Get(header) {
		case "yes":
			return clickid.ConsentGranted
		case "no":
			return clickid.ConsentDenied
		}
		return clickid.ConsentUnknown
	}
}

func TestTracker_severalNetworksForget(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, func(_, inner *clickid.Config) { inner.Consent = consentOf("Google") })
	b := n.browser()
	b.get("/?clkid=abc&gclid=def", "Google: yes")
	require.Equal(t, [3]string{"abc", "abc", ""}, n.clicks(b.get("/", "Google: no").ctx))
	require.Len(t, b.cookies, 1, "the inner tracker's cookie is removed")

	n = newNetworks(t, nil)
	b = n.browser()
	b.get("/?clkid=abc&gclid=def")
	n.handler = n.outer.Handler(n.inner.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.NoError(t, n.outer.Forget(w, r))
		n.page(w, r)
	})))
	require.Equal(t, [3]string{"", "", "def"}, n.clicks(b.get("/withdraw").ctx))
	require.Len(t, b.cookies, 1)
}

func TestTracker_severalNetworksRemember(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, func(outer, inner *clickid.Config) {
		outer.Consent, inner.Consent = consentOf("Consent"), consentOf("Consent")
	})
	n.handler = n.outer.Handler(n.inner.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			var errs [2]error
			r, errs[0] = n.outer.Remember(w, r, "")
			r, errs[1] = n.inner.Remember(w, r, "")
			require.NoError(t, errors.Join(errs[:]...))
		}
		n.page(w, r)
	})))
	b := n.browser()
	b.get("/?clkid=abc&gclid=def")
	require.Empty(t, b.cookies)
	resp := b.do(http.MethodPost, "/consent", "Referer: http://example.com/?clkid=abc&gclid=def")
	require.Equal(t, [3]string{"abc", "abc", "def"}, n.clicks(resp.ctx))
	require.Len(t, b.cookies, 2)
	require.Equal(t, [3]string{"abc", "abc", "def"}, n.clicks(b.get("/", "Consent: yes").ctx))
}

func TestTracker_severalNetworksWrappedTwice(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, nil)
	n.handler = n.outer.Handler(n.inner.Handler(n.handler))
	b := n.browser()
	require.Equal(t, [3]string{"abc", "abc", "def"}, n.clicks(b.get("/?clkid=abc&gclid=def").ctx))
	require.Equal(t, []clickid.Kind{clickid.KindCaptured}, n.outer.kinds())
	require.Equal(t, []clickid.Kind{clickid.KindCaptured}, n.inner.kinds())
}

// A hook or a middleware between the trackers looks up the inner one's click
// before the inner one has seen the landing.
func TestTracker_lookupBeforeCapture(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, nil)
	inside := n.inner.Handler(http.HandlerFunc(n.page))
	n.handler = n.outer.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := n.inner.Lookup(r.Context())
		require.ErrorIs(t, err, clickid.ErrNotFound)
		inside.ServeHTTP(w, r)
	}))
	require.Equal(t, [3]string{"abc", "abc", "def"}, n.clicks(n.browser().get("/?clkid=abc&gclid=def").ctx))
}

func TestTracker_severalNetworksStripParam(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, func(outer, inner *clickid.Config) { outer.StripParam, inner.StripParam = true, true })
	b := n.browser()
	const https = "X-Forwarded-Proto: https"
	first := b.get("/?clkid=abc&a=b&gclid=def", https)
	require.Equal(t, "/?a=b&gclid=def", first.Header().Get("Location"))
	second := b.get("/?a=b&gclid=def", https)
	require.Equal(t, "/?a=b", second.Header().Get("Location"))
	require.Equal(t, [3]string{"abc", "abc", "def"}, n.clicks(b.get("/?a=b", https).ctx))
	for _, o := range append(n.outer.observations(), n.inner.observations()...) {
		require.Equal(t, clickid.KindCaptured, o.Kind)
	}
}

// A landing from the platform is not a lost click of another network.
func TestTracker_severalNetworksLostClick(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, nil)
	n.browser().get("/?clkid=abc&utm_source=scope3")
	require.Equal(t, []clickid.Kind{clickid.KindCaptured}, n.outer.kinds())
	require.Empty(t, n.inner.kinds())
	n.browser().get("/?gclid=def&utm_source=scope3")
	require.Equal(t, []clickid.Kind{clickid.KindLostClick}, n.outer.kinds())
}

func TestTracker_cookieConflict(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, func(_, inner *clickid.Config) { inner.Cookie.Name = "" })
	b := n.browser()
	b.get("/?clkid=abc&gclid=def")
	b.get("/")
	b.get("/")
	var conflicts []clickid.Observation
	for _, o := range append(n.outer.observations(), n.inner.observations()...) {
		if o.Kind == clickid.KindCookieConflict {
			conflicts = append(conflicts, o)
		}
	}
	require.Equal(t, []clickid.Observation{{Kind: clickid.KindCookieConflict, Reason: clickid.ReasonCookieName}}, conflicts)
	require.Contains(t, n.inner.log.String(), `level=ERROR msg="clickid: cookie conflict" reason="another tracker around this one has the same cookie: give each tracker its own Config.Cookie.Name"`)

	n = newNetworks(t, nil)
	n.browser().get("/?clkid=abc&gclid=def")
	require.Equal(t, []clickid.Kind{clickid.KindCaptured}, n.inner.kinds(), "different names")
}

func TestTracker_severalNetworksAllocations(t *testing.T) { // not parallel: it counts allocations
	n := newNetworks(t, nil)
	n.handler = n.outer.Handler(n.inner.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	measure := func(r *http.Request) float64 {
		w := &discardWriter{header: http.Header{}}
		defer func() { require.Empty(t, w.header) }()
		return testing.AllocsPerRun(100, func() { n.handler.ServeHTTP(w, r) })
	}
	for name, r := range pagesWithoutAClick {
		require.Zero(t, measure(r), name)
	}
	for name, r := range requestsWithATrace {
		require.LessOrEqual(t, measure(r), 4.0, name+": two for each tracker")
	}
	require.Empty(t, n.outer.observations())
	require.Empty(t, n.inner.observations())
}

// A framework's own context only holds the first visit.
func TestTracker_severalNetworksForeignContext(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, nil)
	ctx := n.browser().get("/?clkid=abc&gclid=def").ctx
	foreign := stringContext{context.Background(), map[string]any{extension.ContextKey: ctx.Value(extension.ContextKey)}}
	require.Equal(t, [3]string{"abc", "abc", "def"}, n.clicks(foreign))
}

func TestTracker_severalNetworksContext(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, nil)
	b := n.browser()
	b.get("/?gclid=def")
	r := newRequest(http.MethodGet, "/buy", "Cookie: "+b.cookies[0].Name+"="+b.cookies[0].Value)
	for name, ctx := range map[string]context.Context{
		"no tracker has seen it": n.outer.Context(r),
		"the inner one has seen": n.outer.Context(n.inner.Capture(httptest.NewRecorder(), r)),
	} {
		require.Equal(t, [3]string{"", "", "def"}, n.clicks(ctx), name)
	}
}

func TestTrackerLookup_withClick(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, nil)
	ctx := n.browser().get("/?clkid=abc&gclid=def").ctx
	for name, tt := range map[string]struct {
		click clickid.Click
		want  [3]string
	}{
		"of the outer tracker": {clickid.Click{ID: "x", Param: "clkid"}, [3]string{"x", "x", "def"}},
		"of the inner tracker": {clickid.Click{ID: "x", Param: "gclid"}, [3]string{"x", "abc", "x"}},
		"of another tracker":   {clickid.Click{ID: "x", Param: "msclkid"}, [3]string{"x", "abc", "def"}},
		"without a parameter":  {clickid.Click{ID: "x"}, [3]string{"x", "x", "x"}},
		"zero":                 {clickid.Click{}, [3]string{}},
	} {
		require.Equal(t, tt.want, n.clicks(clickid.WithClick(ctx, tt.click)), name)
	}
	require.Equal(t, [3]string{"x", "", "x"}, n.clicks(clickid.WithClick(context.Background(), clickid.Click{ID: "x", Param: "gclid"})))
}

func TestTrackerLookup_nil(t *testing.T) {
	t.Parallel()
	var tracker *clickid.Tracker
	_, err := tracker.Lookup(clickid.WithClick(context.Background(), testClick))
	require.ErrorIs(t, err, clickid.ErrNotFound)
	_, ok := tracker.Token(context.Background())
	require.False(t, ok)
}

// Link never links the click of another network.
func TestLink_ownClick(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, func(_, inner *clickid.Config) { inner.Linker = clickid.NewMemoryStore() })
	ctx := n.browser().get("/?clkid=abc").ctx
	require.ErrorIs(t, n.inner.Link(ctx, clickid.OrderKey("1")), clickid.ErrNotFound)
	require.ErrorIs(t, n.inner.LinkIn(ctx, &transaction{Linker: clickid.NewMemoryStore()}, clickid.OrderKey("1")), clickid.ErrNotFound)
}

// TestToken_longClickIDs captures the click IDs of several networks.
func TestToken_longClickIDs(t *testing.T) {
	t.Parallel()
	fbclid := "IwZXh0bgNhZW0BMABhZGlkAasR3tB7mQ" + strings.Repeat("Xk9-_", 28) + "_aem_7dQv0pTz"
	require.Len(t, fbclid, 185)
	anything := func(string) bool { return true }
	memory := func() clickid.Store { return clickid.NewMemoryStore() }
	cookie := func() clickid.Store { return newCookieStore(t, firstKey) }
	fallback := func() clickid.Store {
		store, err := clickid.NewFallbackStore(clickid.NewMemoryStore(), newCookieStore(t, firstKey))
		require.NoError(t, err)
		return store
	}
	for name, tt := range map[string]struct {
		id     string
		accept func(string) bool
		long   bool // in a cookie store
	}{
		"fbclid of 156 characters":      {fbclid[:156], nil, false},
		"fbclid of 185 characters":      {fbclid, nil, false},
		"irclickid":                     {"2XyRkB:SAxyPTkqzR2T3TRzKUkHVX2zhPVcTTE0", anything, false},
		"255 characters":                {strings.Repeat("x", 255), nil, true},
		"the longest":                   {strings.Repeat("x", clickid.MaxIDLength), nil, true},
		"the longest with other signs":  {strings.Repeat("x:", clickid.MaxIDLength/2), anything, true},
		"the longest without other IDs": {strings.Repeat("x", clickid.MaxIDLength), clickid.ValidID, true},
	} {
		for kind, store := range map[string]func() clickid.Store{"cookie": cookie, "memory": memory, "fallback": fallback} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				long := tt.long && kind == "cookie"
				s := newRealSite(t, clickid.Config{Store: store(), Accept: tt.accept})
				v := s.visitor()
				landing := v.get("/?clkid=" + url.QueryEscape(tt.id))
				want := []clickid.Kind{clickid.KindCaptured}
				if long {
					want = append(want, clickid.KindLongToken)
				}
				require.Equal(t, want, s.kinds())
				for _, resp := range []*response{landing, v.get("/")} {
					require.Equal(t, tt.id, resp.id())
					token, ok := clickid.Token(resp.ctx)
					require.Equal(t, !long, ok)
					require.Equal(t, long, len(token) > 500)
					click, err := s.Resolve(context.Background(), token)
					require.NoError(t, err)
					require.Equal(t, tt.id, click.ID, "the token is valid at any length")
				}
				require.Empty(t, s.kinds(), "observed once")
				require.Equal(t, long, strings.Contains(s.log.String(), `level=WARN msg="clickid: long token"`))
			})
		}
	}
}
