package clickid_test

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestFinish_pattern(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /shoes/{size}", func(http.ResponseWriter, *http.Request) {})
	for _, target := range []string{"/shoes/42", "/shoes/42?clkid=abc"} {
		r := newRequest(http.MethodGet, target)
		s.Handler(mux).ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, "GET /shoes/{size}", r.Pattern, "outer middleware reads it")
	}
}

func TestFinish_clickAtRisk(t *testing.T) {
	t.Parallel()
	redirect := func(location string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusFound)
		}
	}
	shared := clickid.Config{Cookie: clickid.Cookie{Domain: "example.com"}}
	deferred := clickid.Config{Consent: byHeader}
	elsewhere := clickid.Config{Hosts: []string{"www.example.com"}}
	tests := map[string]struct {
		cfg     clickid.Config
		headers []string
		page    http.HandlerFunc
		want    clickid.Reason // "" means that the click is safe
	}{
		"no redirect":                                    {page: func(http.ResponseWriter, *http.Request) {}},
		"a redirect on the same host":                    {page: redirect("/home")},
		"to the same host, as a URL":                     {page: redirect("https://example.com/home"), headers: []string{https}},
		"to another host":                                {page: redirect("https://www.example.com/"), want: clickid.ReasonRedirect},
		"to another host with the click":                 {page: redirect("https://www.example.com/?clkid=abc")},
		"to another host with another click":             {page: redirect("https://www.example.com/?clkid=def"), want: clickid.ReasonRedirect},
		"to a host that shares the cookie":               {cfg: shared, page: redirect("https://www.example.com/"), headers: []string{https}},
		"to a host that does not":                        {cfg: shared, page: redirect("https://example.net/"), want: clickid.ReasonRedirect},
		"from unknown transport to HTTPS":                {page: redirect("https://example.com/"), want: clickid.ReasonRedirect},
		"from HTTPS to plain HTTP":                       {page: redirect("http://example.com/"), headers: []string{https}, want: clickid.ReasonRedirect},
		"before consent, on the same host":               {cfg: deferred, page: redirect("/home"), want: clickid.ReasonRedirect},
		"before consent, with the click":                 {cfg: deferred, page: redirect("/home?clkid=abc")},
		"on a host that keeps no clicks":                 {cfg: elsewhere, page: redirect("https://www.example.com/"), want: clickid.ReasonRedirect},
		"on such a host, with the click":                 {cfg: elsewhere, page: redirect("https://www.example.com/?clkid=abc")},
		"over plain HTTP, with the click":                {page: redirect("https://example.com/?clkid=abc"), headers: []string{"X-Forwarded-Proto: http"}},
		"the cookie is gone, as under a timeout handler": {page: func(w http.ResponseWriter, _ *http.Request) { w.Header().Del("Set-Cookie") }, want: clickid.ReasonCookieDropped},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.cfg)
			s.page = tt.page
			s.visitor().get("/?clkid=abc", tt.headers...)
			observations := s.observations()
			atRisk := clickid.Observation{Kind: clickid.KindClickAtRisk, Reason: tt.want}
			if tt.want == "" {
				require.NotContains(t, s.log.String(), "click at risk")
				return
			}
			require.Equal(t, atRisk, observations[len(observations)-1])
			require.Contains(t, s.log.String(), `level=WARN msg="clickid: click at risk"`)
		})
	}
}

// TestFinish_afterStrip redirects the page that follows Strip's redirect.
func TestFinish_afterStrip(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		domain, location, site string
		later                  time.Duration
		want                   []clickid.Kind
	}{
		"to another host":            {location: "https://www.example.com/", want: []clickid.Kind{clickid.KindClickAtRisk}},
		"to a host with the cookie":  {domain: "example.com", location: "https://www.example.com/"},
		"to a path":                  {location: "/home"},
		"from a page of the site":    {location: "https://pay.example/", site: "same-origin"},
		"in a visit of the next day": {location: "https://www.example.com/", later: 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, clickid.Config{StripParam: true, Cookie: clickid.Cookie{Domain: tt.domain}})
			v := s.visitor()
			require.False(t, v.get("/?clkid=abc", https).served)
			s.observations()
			s.clock.advance(tt.later)
			s.page = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, tt.location, http.StatusFound) }
			v.get("/", https, "Sec-Fetch-Site: "+cmp.Or(tt.site, "cross-site"))
			require.Equal(t, tt.want, s.kinds())
		})
	}
}

func TestCapture_whereTheCookieCannotStick(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg     clickid.Config
		target  string
		headers []string
		want    clickid.Reason // "" is captured
	}{
		"a domain that does not cover the host": {cfg: clickid.Config{Cookie: clickid.Cookie{Domain: "shop.de"}}, want: clickid.ReasonDomain},
		"a domain that covers the host":         {cfg: clickid.Config{Cookie: clickid.Cookie{Domain: "example.com"}}},
		"plain HTTP by X-Forwarded-Proto":       {headers: []string{"X-Forwarded-Proto: http"}, want: clickid.ReasonPlainHTTP},
		"plain HTTP by Forwarded":               {headers: []string{`Forwarded: for=192.0.2.1;proto="http", proto=https`}, want: clickid.ReasonPlainHTTP},
		"plain HTTP in development":             {cfg: clickid.Config{Cookie: clickid.Cookie{Insecure: true}}, headers: []string{"X-Forwarded-Proto: http"}},
		"the browser knows better":              {headers: []string{"X-Forwarded-Proto: http", "Sec-Fetch-Site: none"}},
		"HTTPS":                                 {headers: []string{https}},
		"loopback":                              {target: "http://127.0.0.1:8080/?clkid=abc", headers: []string{"X-Forwarded-Proto: http"}},
		"localhost":                             {target: "http://shop.localhost/?clkid=abc", headers: []string{"X-Forwarded-Proto: http"}},
		"no evidence":                           {},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.cfg)
			if tt.target == "" {
				tt.target = "/?clkid=abc"
			}
			resp := s.visitor().get(tt.target, tt.headers...)
			require.Equal(t, "abc", resp.id(), "this request knows its click")
			observations := s.observations()
			require.Len(t, observations, 1)
			if tt.want == "" {
				require.Equal(t, clickid.KindCaptured, observations[0].Kind)
				return
			}
			require.Equal(t, clickid.Observation{Kind: clickid.KindClickAtRisk, Reason: tt.want}, observations[0])
			require.Empty(t, resp.setCookies())
			require.Contains(t, s.log.String(), "level=WARN")
		})
	}
}

func TestCapture_hosts(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Hosts: []string{"www.example.com"}, StripParam: true})
	for host, want := range map[string]string{
		"www.example.com": "abc", "WWW.EXAMPLE.COM:8443": "abc", "example.com": "", "www.example.com.evil.example": "",
	} {
		r := newRequest(http.MethodGet, "/?clkid=abc&utm_source=scope3")
		r.Host = host
		resp := s.visitor().send(r)
		require.Equal(t, want, resp.id(), host)
		if want == "" {
			require.Empty(t, resp.Header(), "the parameter passes through untouched")
			require.Empty(t, s.observations())
		}
		s.observations()
	}
	for name, cfg := range map[string]clickid.Config{
		"a port":                    {Hosts: []string{"www.example.com:443"}},
		"a URL":                     {Hosts: []string{"https://www.example.com"}},
		"nothing":                   {Hosts: []string{""}},
		"a host outside the domain": {Hosts: []string{"shop.at"}, Cookie: clickid.Cookie{Domain: "example.com"}},
	} {
		cfg.Store = clickid.NewMemoryStore()
		_, err := clickid.New(cfg)
		require.ErrorContains(t, err, "Hosts[0]", name)
	}
}

func TestCapture_deadCookieAndReferer(t *testing.T) {
	t.Parallel()
	memory := clickid.NewMemoryStore()
	for name, tt := range map[string]struct {
		cfg    clickid.Config
		cookie string
	}{
		"garbage":                 {clickid.Config{}, "garbage"},
		"a retired key":           {clickid.Config{}, newTokenOf(t, newCookieStore(t, secondKey), "old")},
		"a store restarted empty": {clickid.Config{Store: memory}, newTokenOf(t, clickid.NewMemoryStore(), "old")},
	} {
		s := newSite(t, tt.cfg)
		resp := s.visitor().get("/next", fromLanding, asPage, "Cookie: __Host-clkid="+tt.cookie)
		require.Equal(t, "abc", resp.id(), name)
		require.Len(t, resp.setCookies(), 1, name)
	}
	s := newSite(t, clickid.Config{})
	v := s.visitor()
	v.get("/?clkid=good")
	resp := v.get("/next", fromLanding, asPage)
	require.Equal(t, "good", resp.id(), "a living cookie outweighs the Referer")
	require.Empty(t, resp.setCookies())
}

func TestCapture_panics(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg  clickid.Config
		want string
	}{
		"Consent": {clickid.Config{Consent: func(*http.Request) clickid.Consent { panic("secret") }}, ""},
		"Accept":  {clickid.Config{Accept: func(string) bool { panic("secret") }}, ""},
		"Touch":   {clickid.Config{Touch: func(_, _ clickid.Click) bool { panic("secret") }}, "def"},
		"Hook":    {clickid.Config{Hook: func(context.Context, clickid.Observation) { panic("secret") }}, "def"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, tt.cfg)
			v := s.visitor()
			require.True(t, v.get("/?clkid=abc").served)
			resp := v.get("/?clkid=def")
			require.True(t, resp.served)
			require.Equal(t, http.StatusOK, resp.Code)
			if tt.want != "" {
				require.Equal(t, tt.want, v.get("/").id())
			}
			require.Contains(t, s.log.String(), `level=ERROR msg="clickid: panic" error="clickid: Config.`+name+` panicked with a value of type string"`)
			require.NotContains(t, s.log.String(), "secret")
		})
	}
}

func TestHandler_nilTracker(t *testing.T) {
	t.Parallel()
	var tracker *clickid.Tracker
	served := false
	h := tracker.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true }))
	h.ServeHTTP(httptest.NewRecorder(), newRequest(http.MethodGet, "/?clkid=abc"))
	require.True(t, served)
}

func TestTracker_nil(t *testing.T) {
	t.Parallel()
	var tracker *clickid.Tracker
	ctx, key := context.Background(), clickid.OrderKey("1")
	w, r := httptest.NewRecorder(), newRequest(http.MethodPost, "/?clkid=abc")

	require.Same(t, r, tracker.Capture(w, r))
	require.False(t, tracker.Strip(w, r))
	tracker.Finish(w, r, r)
	require.Empty(t, w.Header())
	require.Equal(t, clickid.ConsentUnknown, tracker.Consent(r))
	_, err := clickid.Lookup(tracker.Context(r))
	require.ErrorIs(t, err, clickid.ErrNotFound)
	require.ErrorIs(t, tracker.LinkIn(ctx, clickid.NewMemoryStore(), key), clickid.ErrNotFound)

	for name, call := range map[string]func() error{
		"Remember":    func() error { _, err := tracker.Remember(w, r, "abc"); return err },
		"Forget":      func() error { return tracker.Forget(w, r) },
		"ForgetKey":   func() error { return tracker.ForgetKey(ctx, key) },
		"ForgetToken": func() error { return tracker.ForgetToken(ctx, "token") },
		"Link":        func() error { return tracker.Link(ctx, key) },
		"Linked":      func() error { _, err := tracker.Linked(ctx, key); return err },
		"Resolve":     func() error { _, err := tracker.Resolve(ctx, "token"); return err },
		"ConvertFor": func() error {
			_, err := tracker.ConvertFor(ctx, key, organicSender{}, clickid.Event{})
			return err
		},
		"Bind": func() error { _, err := tracker.Bind(organicSender{}).Send(ctx, clickid.Event{}); return err },
	} {
		require.ErrorContains(t, call(), "the tracker is nil", name)
	}
}

func TestConvert_withoutATrace(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Consent: byHeader})
	var inHandler, viaContext, denied clickid.Result
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inHandler, _ = clickid.Convert(r.Context(), organicSender{}, clickid.Event{})
		viaContext, _ = clickid.Convert(s.Context(r), organicSender{}, clickid.Event{})
		r.Header.Set("X-Consent", "no")
		denied, _ = clickid.Convert(s.Context(r), organicSender{}, clickid.Event{})
	}))
	defer server.Close()
	resp, err := http.Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Contains(t, inHandler.Reason, "Tracker.Context")
	require.Equal(t, clickid.VerdictSkippedConsent, viaContext.Verdict, "consent is unknown")
	require.Equal(t, "denied", denied.Reason)

	job, err := clickid.Convert(context.Background(), organicSender{}, clickid.Event{})
	require.NoError(t, err)
	require.Contains(t, job.Reason, "not a visitor's request")
}

// organicSender finds nothing to attribute an event by.
type organicSender struct{}

func (organicSender) Send(_ context.Context, events ...clickid.Event) (clickid.Report, error) {
	var report clickid.Report
	for _, e := range events {
		r := clickid.Result{Verdict: clickid.VerdictSkippedOrganic, Reason: "no click"}
		if e.Consent == clickid.ConsentDenied {
			r = clickid.Result{Verdict: clickid.VerdictSkippedConsent, Reason: "denied"}
		}
		report.Results = append(report.Results, r)
	}
	return report, nil
}

func TestToken_followsConsent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg    clickid.Config
		header string
		want   bool
	}{
		"granted":                      {clickid.Config{Consent: byHeader}, yes, true},
		"unknown":                      {clickid.Config{Consent: byHeader}, "X-Other: 1", false},
		"unknown, which is to be sent": {clickid.Config{Consent: byHeader, SendUnknown: true}, "X-Other: 1", true},
		"denied":                       {clickid.Config{Consent: byHeader}, no, false},
	} {
		s := newSite(t, tt.cfg)
		v := s.visitor()
		v.get("/?clkid=abc", yes)
		_, ok := clickid.Token(v.get("/checkout", tt.header).ctx)
		require.Equal(t, tt.want, ok, name)
	}
}
