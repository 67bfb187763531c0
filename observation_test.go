package clickid_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestObservation_kinds(t *testing.T) {
	t.Parallel()
	unavailable := errors.New("connection refused")
	shared := ulidAt(startOfTest.Truncate(time.Second).Add(-72*time.Hour), "A")
	speculation := []string{"Sec-Purpose: prefetch;prerender", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	forget := func(s *site) http.HandlerFunc { return forgetting(s, nil) }
	tests := map[string]struct {
		cfg     clickid.Config
		earlier string
		target  string
		headers []string
		page    func(*site) http.HandlerFunc
		fail    error
		want    clickid.Observation
		log     string
	}{
		"captured": {target: "/?clkid=abc",
			want: clickid.Observation{Kind: clickid.KindCaptured, Param: "clkid"},
			log:  `level=DEBUG msg="clickid: captured" param=clkid`},
		"captured, from a link of three days ago": {target: "/?sc3clid=" + shared,
			want: clickid.Observation{Kind: clickid.KindCaptured, Param: "sc3clid", Age: 72 * time.Hour},
			log:  `level=DEBUG msg="clickid: captured" param=sc3clid age=72h0m0s`},
		"captured on a page that may not be shown": {target: "/?clkid=abc", headers: speculation,
			want: clickid.Observation{Kind: clickid.KindCaptured, Param: "clkid", Speculative: true},
			log:  `level=DEBUG msg="clickid: captured" param=clkid speculative=true`},
		"captured, from the landing page before": {target: "/next", headers: []string{fromLanding, asPage},
			want: clickid.Observation{Kind: clickid.KindCaptured, Param: "clkid", Recovered: true},
			log:  `level=DEBUG msg="clickid: captured" param=clkid recovered=true`},
		"unchanged, the same click": {earlier: "/?clkid=abc", target: "/?clkid=abc",
			want: clickid.Observation{Kind: clickid.KindUnchanged, Param: "clkid", Reason: clickid.ReasonSameClick},
			log:  `level=DEBUG msg="clickid: unchanged" reason="the visitor already has this click" param=clkid`},
		"unchanged, by the rule": {cfg: clickid.Config{Touch: clickid.FirstTouch}, earlier: "/?clkid=abc", target: "/?clkid=def",
			want: clickid.Observation{Kind: clickid.KindUnchanged, Param: "clkid", Reason: clickid.ReasonTouch},
			log:  `level=DEBUG msg="clickid: unchanged" reason="the attribution rule keeps the stored click" param=clkid`},
		"refused, no acceptable value": {target: "/?clkid=",
			want: clickid.Observation{Kind: clickid.KindRefused, Param: "clkid", Reason: clickid.ReasonValue},
			log:  `level=WARN msg="clickid: refused" reason="the value is not an acceptable click ID" param=clkid`},
		"refused, no navigation": {target: "/?clkid=abc", headers: []string{"Sec-Fetch-Dest: iframe"},
			want: clickid.Observation{Kind: clickid.KindRefused, Param: "clkid", Reason: clickid.ReasonDestination},
			log:  `level=DEBUG msg="clickid: refused" reason="the request is not a navigation to a page" param=clkid`},
		"refused, a link prefetch": {target: "/?clkid=abc", headers: []string{"Sec-Purpose: prefetch"},
			want: clickid.Observation{Kind: clickid.KindRefused, Param: "clkid", Reason: clickid.ReasonPrefetch, Speculative: true},
			log:  `level=DEBUG msg="clickid: refused" reason="the request is a link prefetch" param=clkid speculative=true`},
		"deferred": {cfg: clickid.Config{Consent: byHeader}, target: "/?clkid=abc",
			want: clickid.Observation{Kind: clickid.KindDeferred, Param: "clkid"},
			log:  `level=DEBUG msg="clickid: deferred" param=clkid`},
		"denied": {cfg: clickid.Config{Consent: byHeader}, target: "/?clkid=abc", headers: []string{no},
			want: clickid.Observation{Kind: clickid.KindDenied},
			log:  `level=DEBUG msg="clickid: denied"`},
		"denied later": {earlier: "/?clkid=abc", target: "/", headers: []string{gpc},
			want: clickid.Observation{Kind: clickid.KindDenied},
			log:  `level=DEBUG msg="clickid: denied"`},
		"forgotten": {earlier: "/?clkid=abc", target: "/", page: forget,
			want: clickid.Observation{Kind: clickid.KindForgotten},
			log:  `level=DEBUG msg="clickid: forgotten"`},
		"invalid cookie": {target: "/", headers: []string{"Cookie: __Host-clkid=forged"},
			want: clickid.Observation{Kind: clickid.KindInvalidCookie},
			log:  `level=INFO msg="clickid: invalid cookie"`},
		"store error": {target: "/?clkid=abc", fail: unavailable,
			want: clickid.Observation{Kind: clickid.KindStoreError, Param: "clkid", Err: unavailable},
			log:  `level=ERROR msg="clickid: store error" param=clkid error="connection refused"`},
		"lost click": {target: "/?utm_medium=cpc&utm_source=scope3",
			want: clickid.Observation{Kind: clickid.KindLostClick},
			log:  `level=WARN msg="clickid: lost click"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.cfg)
			v := s.visitor()
			if tt.earlier != "" {
				v.get(tt.earlier)
			}
			before := len(s.log.String())
			s.observations()
			if tt.fail != nil {
				s.store.failWith(tt.fail)
			}
			if tt.page != nil {
				s.page = tt.page(s)
			}
			resp := v.get(tt.target, tt.headers...)
			_, _ = clickid.Lookup(resp.ctx)
			require.Equal(t, []clickid.Observation{tt.want}, s.observations())
			line := strings.TrimSuffix(s.log.String()[before:], "\n")
			_, line, _ = strings.Cut(line, " ") // the time
			require.Equal(t, tt.log, line)
		})
	}
}

func TestObservation_lostClick(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method, target string
		headers        []string
		lost           bool
	}{
		"the platform's redirect without its ID":     {"GET", "/?utm_source=scope3", nil, true},
		"with its ID":                                {"GET", "/?utm_source=scope3&clkid=abc", nil, false},
		"with an ID that was refused instead":        {"GET", "/?utm_source=scope3&clkid=", nil, false},
		"another platform's":                         {"GET", "/?utm_source=scope3000", nil, false},
		"another parameter of that value":            {"GET", "/?source=scope3", nil, false},
		"a form":                                     {"POST", "/?utm_source=scope3", nil, false},
		"an image":                                   {"GET", "/?utm_source=scope3", []string{"Sec-Fetch-Dest: image"}, false},
		"a visitor who has a click from before":      {"GET", "/?utm_source=scope3", []string{"Cookie: __Host-clkid=x"}, false},
		"a link of the site that keeps the source":   {"GET", "/?utm_source=scope3", []string{"Referer: http://example.com/"}, false},
		"the same, as the browser tells":             {"GET", "/?utm_source=scope3", []string{"Sec-Fetch-Site: same-origin"}, false},
		"a redirect of another site":                 {"GET", "/?utm_source=scope3", []string{"Referer: https://ads.example/", "Sec-Fetch-Site: cross-site"}, true},
		"a page that such a landing page links to":   {"GET", "/", []string{"Referer: http://example.com/?utm_source=scope3"}, false},
		"a navigation of a browser that says so too": {"GET", "/?utm_source=scope3", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, true},
	}
	for name, tt := range tests {
		s := newSite(t, clickid.Config{})
		resp := s.visitor().do(tt.method, tt.target, tt.headers...)
		require.Equal(t, tt.lost, strings.Contains(s.log.String(), "lost click"), name)
		if tt.lost {
			require.Empty(t, resp.Header(), name)
		}
	}
}

// TestObservation_lostClickInASession follows a visitor with one click through
// pages that keep the platform's source.
func TestObservation_lostClickInASession(t *testing.T) {
	t.Parallel()
	const ad = "Sec-Fetch-Site: cross-site"
	for name, cfg := range map[string]clickid.Config{
		"by default":     {},
		"StripParam":     {StripParam: true},
		"a memory store": {Store: clickid.NewMemoryStore(), StripParam: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, cfg)
			v := s.visitor()
			for _, page := range []struct {
				target  string
				headers []string
			}{
				{"/?utm_source=scope3&clkid=" + documentedID, []string{ad}},
				{"/?utm_source=scope3", []string{ad}}, // after Strip, or after the shop's own redirect
				{"/de/?utm_source=scope3", []string{ad}},
				{"/shoes?utm_source=scope3", []string{"Sec-Fetch-Site: same-origin"}},
				{"/shoes?utm_source=scope3", []string{"Sec-Fetch-Site: none"}}, // a reload, or a bookmark
				{"/logo.png?utm_source=scope3", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: image"}},
				{"/pay/return?utm_source=scope3", []string{ad}},
			} {
				v.get(page.target, append(page.headers, https)...)
			}
			require.NotContains(t, s.log.String(), "lost click")
			require.NotContains(t, s.log.String(), "level=WARN")
		})
	}
}

func TestObservation_lostClickOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	page := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	s.Handler(s.Handler(page)).ServeHTTP(httptest.NewRecorder(), newRequest(http.MethodGet, "/?utm_source=scope3"))
	require.Equal(t, []clickid.Kind{clickid.KindLostClick}, s.kinds())
}

// slowStore takes 30 ms for each call of the store, and 5 ms for each of the
// linker, and fails the calls of the store with err.
type slowStore struct {
	*clickid.MemoryStore
	err error
}

func (s *slowStore) Save(ctx context.Context, c clickid.Click) (string, error) {
	time.Sleep(30 * time.Millisecond)
	if s.err != nil {
		return "", s.err
	}
	return s.MemoryStore.Save(ctx, c)
}

func (s *slowStore) Load(ctx context.Context, token string) (clickid.Click, error) {
	time.Sleep(30 * time.Millisecond)
	if s.err != nil {
		return clickid.Click{}, s.err
	}
	return s.MemoryStore.Load(ctx, token)
}

func (s *slowStore) Linked(ctx context.Context, k clickid.Key) (string, error) {
	time.Sleep(5 * time.Millisecond)
	if s.err != nil {
		return "", s.err
	}
	return s.MemoryStore.Linked(ctx, k)
}

func TestObservation_duration(t *testing.T) {
	t.Parallel()
	landing := func(s *site, v *visitor) { v.get("/?clkid=def") }
	tests := map[string]struct {
		store clickid.Store // by default a slow one
		err   error
		do    func(*site, *visitor)
		want  map[clickid.Kind]time.Duration
	}{
		"captured: the save": {do: landing,
			want: map[clickid.Kind]time.Duration{clickid.KindCaptured: 30 * time.Millisecond}},
		"captured in a cookie: no call": {store: newCookieStore(t, firstKey), do: landing,
			want: map[clickid.Kind]time.Duration{clickid.KindCaptured: 0}},
		"unchanged": {do: func(_ *site, v *visitor) { v.get("/?clkid=abc") },
			want: map[clickid.Kind]time.Duration{clickid.KindUnchanged: 0}},
		"forgotten: the load and the search for earlier clicks": {
			do:   func(s *site, v *visitor) { s.page = forgetting(s, nil); v.get("/") },
			want: map[clickid.Kind]time.Duration{clickid.KindForgotten: 35 * time.Millisecond}},
		"denied: the same": {do: func(_ *site, v *visitor) { v.get("/", gpc) },
			want: map[clickid.Kind]time.Duration{clickid.KindDenied: 35 * time.Millisecond}},
		"store error: the load and the save, which fail": {err: errors.New("refused"), do: landing,
			want: map[clickid.Kind]time.Duration{clickid.KindStoreError: 60 * time.Millisecond}},
		"store error: a link that cannot be read": {err: errors.New("refused"),
			do:   func(s *site, _ *visitor) { _, _ = s.Linked(t.Context(), clickid.OrderKey("1")) },
			want: map[clickid.Kind]time.Duration{clickid.KindStoreError: 5 * time.Millisecond}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				slow := &slowStore{MemoryStore: clickid.NewMemoryStore()}
				cfg := clickid.Config{Store: tt.store}
				if tt.store == nil {
					cfg.Store = slow
				}
				got := map[clickid.Kind]time.Duration{}
				cfg.Hook = func(_ context.Context, o clickid.Observation) { got[o.Kind] += o.Duration }
				s := newRealSite(t, cfg)
				v := s.visitor()
				v.get("/?clkid=abc")
				clear(got)
				slow.err = tt.err
				tt.do(s, v)
				require.Equal(t, tt.want, got)
			})
		})
	}
}
