package clickid_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestStrip_query(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ target, location string }{ // "" means no redirect
		"only the parameter":                  {"/?clkid=abc", "/"},
		"at the front":                        {"/shop?clkid=abc&b=2&a=1", "/shop?b=2&a=1"},
		"in the middle":                       {"/shop?b=2&clkid=abc&a=1", "/shop?b=2&a=1"},
		"at the end":                          {"/shop?b=2&a=1&clkid=abc", "/shop?b=2&a=1"},
		"both names":                          {"/?sc3clid=abc&x=1&clkid=abc", "/?x=1"},
		"repeated":                            {"/?clkid=abc&x=1&clkid=def", "/?x=1"},
		"with a bad value beside a good one":  {"/?clkid=&x=1&sc3clid=abc", "/?x=1"},
		"an encoded name":                     {"/?%63lkid=abc&x=1", "/?x=1"},
		"unusual encodings stay":              {"/a%2Fb%2fc/%E2%82%AC?q=%7e+%2B&clkid=abc&r=a;b&s", "/a%2Fb%2fc/%E2%82%AC?q=%7e+%2B&r=a;b&s"},
		"empty pairs stay":                    {"/?a&&clkid=abc&&b=", "/?a&&&b="},
		"a query in a query":                  {"/?next=/x?clkid=1&clkid=abc", "/?next=/x"},
		"a URL as a value":                    {"/?u=https://evil.example//x&clkid=abc", "/?u=https://evil.example//x"},
		"dots and repeated slashes inside":    {"/a/../b//c/./d?clkid=abc", "/a/../b//c/./d"},
		"a path that looks like another site": {"/https://evil.example?clkid=abc", "/https://evil.example"},
		"an encoded slash at the front":       {"/%2Fevil.example?clkid=abc", "/%2Fevil.example"},
		"two slashes":                         {"//evil.example/?clkid=abc", ""},
		"three slashes":                       {"///evil.example/?clkid=abc", ""},
		"slash and backslash":                 {`/\evil.example/?clkid=abc`, ""},
		"a bad value":                         {"/?clkid=%20", ""},
		"no parameter":                        {"/?x=1", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, clickid.Config{StripParam: true})
			v := s.visitor()
			r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
			r.RequestURI = tt.target
			parsed, err := url.ParseRequestURI(tt.target)
			require.NoError(t, err)
			r.URL = parsed
			resp := v.send(r)
			if tt.location == "" {
				require.True(t, resp.served)
				require.Empty(t, resp.Header().Get("Location"))
				return
			}
			require.False(t, resp.served, "the handler does not run")
			require.Equal(t, http.StatusFound, resp.Code)
			require.Equal(t, tt.location, resp.Header().Get("Location"))
			require.Len(t, resp.setCookies(), 1)
			require.Equal(t, "private, no-cache", resp.Header().Get("Cache-Control"))
			require.Equal(t, "no-store", resp.Header().Get("CDN-Cache-Control"))
			require.Empty(t, resp.Body.String())

			next := v.get(tt.location)
			require.True(t, next.served, "and the next page is served")
			require.Equal(t, "abc", next.id())
		})
	}
}

// A server refuses most of these itself; other sources of requests may not.
func TestStrip_unsafeTargets(t *testing.T) {
	t.Parallel()
	for _, target := range []string{
		"//evil.example?clkid=abc", "///evil.example/?clkid=abc", `/\evil.example?clkid=abc`, `/\/evil.example?clkid=abc`,
		"/\t/evil.example?clkid=abc", "/\n/evil.example?clkid=abc", "/a\r\nSet-Cookie:x?clkid=abc", "/ /x?clkid=abc",
		"/a\x00?clkid=abc", "/a\x7f?clkid=abc", "/?x=\n&clkid=abc", "http://evil.example/?clkid=abc", "*?clkid=abc", "?clkid=abc",
	} {
		s := newSite(t, clickid.Config{StripParam: true})
		r := newRequest(http.MethodGet, "/?clkid=abc", https)
		require.False(t, s.visitor().send(r).served, "the tracker redirects a safe target")
		r.RequestURI = target
		resp := s.visitor().send(r)
		require.True(t, resp.served, "%q", target)
		require.Empty(t, resp.Header().Get("Location"), "%q", target)
		require.Len(t, resp.setCookies(), 1, "the click is captured all the same")
	}
}

// TestStrip_longTarget has landings that are as long as a redirect may be, and longer.
func TestStrip_longTarget(t *testing.T) {
	t.Parallel()
	for length, strips := range map[int]bool{1024: true, 1025: false} {
		s := newSite(t, clickid.Config{StripParam: true})
		target := "/?clkid=abc&x="
		resp := s.visitor().get(target+strings.Repeat("x", length-len(target)), https)
		require.Equal(t, strips, !resp.served)
		require.Len(t, resp.setCookies(), 1, "the click is captured all the same")
	}
}

func TestStrip_notStored(t *testing.T) {
	t.Parallel()
	unavailable := errors.New("connection refused")
	tests := map[string]struct {
		cfg     clickid.Config
		earlier string
		method  string
		headers []string
		fail    bool
		strips  bool
	}{
		"a landing":                        {strips: true},
		"a landing over plain HTTP":        {headers: []string{"X-Forwarded-Proto: http"}},
		"the same click again":             {earlier: "/?clkid=abc", strips: true},
		"a click that the rule keeps out":  {cfg: clickid.Config{Touch: clickid.FirstTouch}, earlier: "/?clkid=first", strips: true},
		"a prefetch by speculation rules":  {headers: []string{"Sec-Purpose: prefetch", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, strips: true},
		"a failing store":                  {fail: true},
		"a failing store, with a cookie":   {earlier: "/?clkid=first", fail: true},
		"before consent":                   {cfg: clickid.Config{Consent: byHeader}},
		"without consent":                  {cfg: clickid.Config{Consent: byHeader}, headers: []string{no}},
		"a link prefetch":                  {headers: []string{"Sec-Purpose: prefetch"}},
		"a hidden frame":                   {headers: []string{"Sec-Fetch-Dest: iframe"}},
		"a HEAD request":                   {method: http.MethodHead},
		"a form":                           {method: http.MethodPost},
		"an ID that is not acceptable":     {cfg: clickid.Config{Accept: clickid.IsULID}},
		"a landing under an earlier click": {earlier: "/?clkid=first", strips: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.StripParam = true
			s := newSite(t, tt.cfg)
			v := s.visitor()
			if tt.earlier != "" {
				require.False(t, v.get(tt.earlier, https).served)
			}
			if tt.fail {
				s.store.failWith(unavailable)
			}
			if tt.method == "" {
				tt.method = http.MethodGet
			}
			resp := v.do(tt.method, "/shop?clkid=abc", append(tt.headers, https)...)
			require.Equal(t, !tt.strips, resp.served)
			require.Equal(t, tt.strips, resp.Header().Get("Location") == "/shop")
		})
	}
}

// https is the header of a proxy that ends TLS.
const https = "X-Forwarded-Proto: https"

func TestStrip_default(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	require.True(t, s.visitor().get("/?clkid=abc").served)
}

func TestStrip_referer(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{StripParam: true})
	resp := s.visitor().get("/next", fromLanding, asPage)
	require.True(t, resp.served, "this page's URL has nothing to strip")
	require.Equal(t, "abc", resp.id())
}

func TestStrip_prefix(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{StripParam: true})
	h := http.StripPrefix("/shop", s.Handler(http.NotFoundHandler()))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, newRequest(http.MethodGet, "/shop/shoes?size=42&clkid=abc", https))
	require.Equal(t, "/shop/shoes?size=42", w.Header().Get("Location"), "as the browser knows it")
}

func TestStrip_withoutRequestURI(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{StripParam: true})
	r, err := http.NewRequest(http.MethodGet, "https://shop.example/a%2Fb?clkid=abc&x=1", nil)
	require.NoError(t, err)
	r.Header.Set("X-Forwarded-Proto", "https")
	require.Equal(t, "/a%2Fb?x=1", s.visitor().send(r).Header().Get("Location"))
}

// A rewriting in front of the tracker that puts the parameter into the URL
// puts it there again after every redirect.
func TestStrip_sameTarget(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{StripParam: true})
	r := newRequest(http.MethodGet, "/campaign/abc")
	r.URL.RawQuery = "clkid=abc"
	resp := s.visitor().send(r)
	require.True(t, resp.served)
	require.Equal(t, "abc", resp.id())
}

func TestStrip_adapters(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{StripParam: true})
	w := httptest.NewRecorder()
	r := newRequest(http.MethodGet, "/?clkid=abc", https)
	require.False(t, s.Strip(w, r), "not before Capture")
	r = s.Capture(w, r)
	require.True(t, s.Strip(w, r))
	require.Equal(t, "/", w.Header().Get("Location"))

	other := newSite(t, clickid.Config{StripParam: true, Cookie: clickid.Cookie{Name: "other"}})
	require.False(t, other.Strip(httptest.NewRecorder(), r), "the click is another tracker's")
}
