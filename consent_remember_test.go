package clickid_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestRemember(t *testing.T) {
	t.Parallel()
	long := make([]byte, clickid.MaxIDLength+1)
	for i := range long {
		long[i] = 'x'
	}
	shared := clickid.Config{Cookie: clickid.Cookie{Domain: "example.com"}}
	tests := map[string]struct {
		cfg     clickid.Config
		target  string
		headers []string
		id      string // what Remember is given
		want    string // what is stored; "" is an error
		err     error
	}{
		"the ID that the page kept":                      {target: "/consent", id: "abc", want: "abc"},
		"the landing's own ID":                           {target: "/?clkid=abc", want: "abc"},
		"the ID of the page that posts":                  {target: "/consent", headers: []string{fromLanding}, want: "abc"},
		"the same, as a script's fetch":                  {target: "/consent", headers: []string{fromLanding, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, want: "abc"},
		"an ID that is given comes first":                {target: "/?clkid=b", headers: []string{fromLanding}, id: "a", want: "a"},
		"the landing's own before the Referer's":         {target: "/?clkid=def", headers: []string{fromLanding}, want: "def"},
		"whatever the consent function says":             {cfg: clickid.Config{Consent: byHeader}, target: "/consent", headers: []string{no}, id: "abc", want: "abc"},
		"a post from a subdomain that shares the cookie": {cfg: shared, target: "/consent", headers: []string{"Sec-Fetch-Site: same-site", "Origin: https://www.example.com"}, id: "abc", want: "abc"},
		"the same without fetch metadata":                {cfg: shared, target: "/consent", headers: []string{"Origin: https://www.example.com"}, id: "abc", want: "abc"},
		"a post from another of our subdomains":          {target: "/consent", headers: []string{"Sec-Fetch-Site: same-site", "Origin: https://www.example.com"}, id: "abc", err: clickid.ErrInvalid},
		"the own origin without fetch metadata":          {target: "/consent", headers: []string{"Origin: https://example.com"}, id: "abc", want: "abc"},
		"another site's origin":                          {target: "/consent", headers: []string{"Origin: https://evil.example"}, id: "abc", err: clickid.ErrInvalid},
		"an origin that the browser hides":               {target: "/consent", headers: []string{"Origin: null"}, id: "abc", err: clickid.ErrInvalid},
		"Sec-GPC where it is to be ignored":              {cfg: clickid.Config{IgnoreGPC: true}, target: "/consent", headers: []string{gpc}, id: "abc", want: "abc"},
		"nothing to remember":                            {target: "/consent", err: clickid.ErrNotFound},
		"a Referer of another site":                      {target: "/consent", headers: []string{"Referer: https://ads.example/?clkid=abc"}, err: clickid.ErrNotFound},
		"a Referer of another of our subdomains":         {cfg: shared, target: "/consent", headers: []string{fromLanding, "Sec-Fetch-Site: same-site", "Origin: https://www.example.com"}, err: clickid.ErrNotFound},
		"a request from another site":                    {target: "/consent", headers: []string{"Sec-Fetch-Site: cross-site"}, id: "abc", err: clickid.ErrInvalid},
		"an ID outside the grammar":                      {target: "/consent", id: "a b", err: clickid.ErrInvalid},
		"an ID that is too long":                         {target: "/consent", id: string(long), err: clickid.ErrInvalid},
		"an ID that the application refuses":             {cfg: clickid.Config{Accept: clickid.IsULID}, target: "/consent", id: "abc", err: clickid.ErrInvalid},
		"Sec-GPC, which would forget it next time":       {target: "/consent", headers: []string{gpc}, id: "abc", err: clickid.ErrNoConsent},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.cfg)
			w := httptest.NewRecorder()
			r, err := s.Remember(w, newRequest(http.MethodPost, tt.target, tt.headers...), tt.id)
			require.NotNil(t, r, "also with an error")
			if tt.err != nil {
				require.ErrorIs(t, err, tt.err)
				require.Empty(t, w.Header())
				require.Empty(t, s.observations())
				require.Zero(t, s.store.saves.Load())
				return
			}
			require.NoError(t, err)
			require.Equal(t, []clickid.Observation{{Kind: clickid.KindCaptured, Param: "clkid", Recovered: true}}, s.observations())
			require.Equal(t, "private, no-cache", w.Header().Get("Cache-Control"))
			click, err := clickid.Lookup(r.Context())
			require.NoError(t, err)
			require.Equal(t, tt.want, click.ID)
			token, ok := clickid.Token(r.Context())
			require.True(t, ok)
			require.Equal(t, token, w.Result().Cookies()[0].Value)
		})
	}
}

func TestRemember_touch(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		touch        clickid.Touch
		id, want     string
		observations []clickid.Observation
	}{
		"the last by default": {nil, "second", "second",
			[]clickid.Observation{{Kind: clickid.KindCaptured, Param: "clkid", Recovered: true}}},
		"the first when configured": {clickid.FirstTouch, "second", "first",
			[]clickid.Observation{{Kind: clickid.KindUnchanged, Reason: clickid.ReasonTouch, Param: "clkid", Recovered: true}}},
		"the same click, which writes nothing": {nil, "first", "first",
			[]clickid.Observation{{Kind: clickid.KindUnchanged, Reason: clickid.ReasonSameClick, Param: "clkid", Recovered: true}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, clickid.Config{Touch: tt.touch})
			v := s.visitor()
			v.get("/?clkid=first")
			s.clock.advance(time.Minute)
			s.observations()
			s.page = func(w http.ResponseWriter, r *http.Request) {
				_, err := s.Remember(w, r, tt.id)
				require.NoError(t, err)
			}
			v.do(http.MethodPost, "/consent")
			require.Equal(t, tt.observations, s.observations())
			s.page = nil
			require.Equal(t, tt.want, v.get("/").id())
		})
	}
}

func TestRemember_landingPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Consent: byHeader})
	v := s.visitor()
	require.Empty(t, v.get("/?clkid=abc").setCookies())
	s.observations()
	s.page = func(w http.ResponseWriter, r *http.Request) {
		r, err := s.Remember(w, r, "")
		require.NoError(t, err)
		click, ok := clickid.FromContext(r.Context())
		require.True(t, ok)
		require.Equal(t, "abc", click.ID)
	}
	// The banner's request has the cookie of the old choice.
	v.do(http.MethodPost, "/consent", fromLanding, no)
	require.Equal(t, []clickid.Kind{clickid.KindCaptured}, s.kinds())
	s.page = nil
	require.Equal(t, "abc", v.get("/checkout", yes).id())
}

func TestRemember_captured(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	s.page = func(w http.ResponseWriter, r *http.Request) {
		_, err := s.Remember(w, r, "")
		require.NoError(t, err)
	}
	resp := s.visitor().get("/?clkid=abc")
	require.Len(t, resp.setCookies(), 1)
	require.EqualValues(t, 1, s.store.saves.Load())
	require.Equal(t, []clickid.Kind{clickid.KindCaptured, clickid.KindUnchanged}, s.kinds())
}

func TestRemember_failedStore(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	unavailable := errors.New("connection refused")
	s.store.failWith(unavailable)
	s.page = func(w http.ResponseWriter, r *http.Request) {
		_, err := s.Remember(w, r, "")
		require.ErrorIs(t, err, unavailable)
		require.NotErrorIs(t, err, clickid.ErrNotFound)
		s.store.recover()
		_, err = s.Remember(w, r, "")
		require.NoError(t, err)
	}
	v := s.visitor()
	require.Len(t, v.get("/?clkid=abc").setCookies(), 1)
	s.page = nil
	require.Equal(t, "abc", v.get("/").id())
}
