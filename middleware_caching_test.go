package clickid_test

import (
	"net/http"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestCapture_caching(t *testing.T) {
	t.Parallel()
	const visitorsOnly, never, untouched = "private, no-cache", "no-store", ""
	unknown := clickid.Config{Consent: func(*http.Request) clickid.Consent { return clickid.ConsentUnknown }}
	denied := clickid.Config{Consent: func(*http.Request) clickid.Consent { return clickid.ConsentDenied }}
	tests := map[string]struct {
		cfg     clickid.Config
		earlier string // an earlier page of the visitor
		method  string // "" is GET
		target  string
		headers []string
		want    string
	}{
		"a landing":                                {target: "/?clkid=abc", want: visitorsOnly},
		"the same landing again":                   {earlier: "/?clkid=abc", target: "/?clkid=abc", want: visitorsOnly},
		"a click that the rule does not take":      {cfg: clickid.Config{Touch: clickid.FirstTouch}, earlier: "/?clkid=a", target: "/?clkid=b", want: visitorsOnly},
		"a landing whose value is bad":             {target: "/?clkid=", want: visitorsOnly},
		"a landing by POST":                        {method: "POST", target: "/?clkid=abc", want: visitorsOnly},
		"a landing by HEAD":                        {method: "HEAD", target: "/?clkid=abc", want: visitorsOnly},
		"a landing in a hidden frame":              {target: "/?clkid=abc", headers: []string{"Sec-Fetch-Dest: iframe"}, want: visitorsOnly},
		"a link prefetch of a landing":             {target: "/?clkid=abc", headers: []string{"Sec-Purpose: prefetch"}, want: never},
		"a landing before consent":                 {cfg: unknown, target: "/?clkid=abc", want: visitorsOnly},
		"a landing without consent":                {cfg: denied, target: "/?clkid=abc", want: visitorsOnly},
		"a click recovered from the landing page":  {target: "/next", headers: []string{"Referer: http://example.com/?clkid=abc", "Accept: text/html"}, want: visitorsOnly},
		"a page without a click":                   {target: "/", want: untouched},
		"a page of a visitor with a click":         {earlier: "/?clkid=abc", target: "/", want: untouched},
		"a page whose Referer is another site's":   {target: "/", headers: []string{"Referer: https://ads.example/?clkid=abc", "Accept: text/html"}, want: untouched},
		"an image of the landing page":             {target: "/logo.png", headers: []string{"Referer: http://example.com/?clkid=abc", "Accept: image/*"}, want: untouched},
		"a landing that lost its click on the way": {target: "/?utm_source=scope3", want: untouched},
		"a form without a click":                   {method: "POST", target: "/checkout", want: untouched},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newSite(t, tt.cfg).visitor()
			if tt.earlier != "" {
				v.get(tt.earlier)
			}
			method := tt.method
			if method == "" {
				method = http.MethodGet
			}
			header := v.do(method, tt.target, tt.headers...).Header()
			require.Equal(t, tt.want, header.Get("Cache-Control"))
			if tt.want == untouched {
				require.Empty(t, header)
				return
			}
			require.Equal(t, "no-store", header.Get("CDN-Cache-Control"))
			header.Del("Set-Cookie")
			require.Len(t, header, 2, "and nothing else, not even Vary")
		})
	}
}

func TestCapture_cachingOverridden(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	s.page = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "public, max-age=60") }
	resp := s.visitor().get("/?clkid=abc")
	require.Equal(t, "public, max-age=60", resp.Header().Get("Cache-Control"), "since the writer is not wrapped")
	require.Equal(t, "no-store", resp.Header().Get("CDN-Cache-Control"))
}

func TestForget_caching(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	v := s.visitor()
	v.get("/?clkid=abc")
	s.page = func(w http.ResponseWriter, r *http.Request) { require.NoError(t, s.Forget(w, r)) }
	resp := v.get("/forget")
	require.Equal(t, "private, no-cache", resp.Header().Get("Cache-Control"))
	require.Equal(t, "no-store", resp.Header().Get("CDN-Cache-Control"))
}
