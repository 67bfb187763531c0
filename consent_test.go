package clickid_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// byHeader reads the consent from a header of the test.
func byHeader(r *http.Request) clickid.Consent {
	switch r.Header.Get("X-Consent") {
	case "yes":
		return clickid.ConsentGranted
	case "no":
		return clickid.ConsentDenied
	case "odd":
		return clickid.Consent(7)
	}
	return clickid.ConsentUnknown
}

const (
	yes, no, gpc = "X-Consent: yes", "X-Consent: no", "Sec-GPC: 1"
	fromLanding  = "Referer: http://example.com/?clkid=abc"
	asPage       = "Accept: text/html"
)

func TestConsent_text(t *testing.T) {
	t.Parallel()
	var zero clickid.Consent
	require.Equal(t, clickid.ConsentUnknown, zero)
	for text, consent := range map[string]clickid.Consent{
		"unknown": clickid.ConsentUnknown, "granted": clickid.ConsentGranted, "denied": clickid.ConsentDenied,
	} {
		require.Equal(t, text, consent.String())
		written, err := consent.MarshalText()
		require.NoError(t, err)
		require.Equal(t, text, string(written))
		var read clickid.Consent
		require.NoError(t, read.UnmarshalText(written))
		require.Equal(t, consent, read)
	}
	read := clickid.ConsentDenied
	require.NoError(t, read.UnmarshalText(nil))
	require.Equal(t, clickid.ConsentUnknown, read)
	require.Error(t, read.UnmarshalText([]byte("yes")))
	_, err := clickid.Consent(7).MarshalText()
	require.Error(t, err)
	require.Equal(t, "Consent(7)", clickid.Consent(7).String())
}

func TestTracker_Consent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg     clickid.Config
		headers []string
		want    clickid.Consent
	}{
		"granted without a consent function":           {clickid.Config{}, nil, clickid.ConsentGranted},
		"denied by Global Privacy Control":             {clickid.Config{}, []string{gpc}, clickid.ConsentDenied},
		"no such control":                              {clickid.Config{}, []string{"Sec-GPC: 0"}, clickid.ConsentGranted},
		"granted, when that is to be ignored":          {clickid.Config{IgnoreGPC: true}, []string{gpc}, clickid.ConsentGranted},
		"the function's word":                          {clickid.Config{Consent: byHeader}, []string{yes}, clickid.ConsentGranted},
		"its other word":                               {clickid.Config{Consent: byHeader}, []string{no}, clickid.ConsentDenied},
		"its zero value":                               {clickid.Config{Consent: byHeader}, nil, clickid.ConsentUnknown},
		"an invalid value":                             {clickid.Config{Consent: byHeader}, []string{"X-Consent: odd"}, clickid.ConsentUnknown},
		"denied by the control, whatever the function": {clickid.Config{Consent: byHeader}, []string{yes, gpc}, clickid.ConsentDenied},
		"only the function with IgnoreGPC":             {clickid.Config{Consent: byHeader, IgnoreGPC: true}, []string{yes, gpc}, clickid.ConsentGranted},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Store = clickid.NewMemoryStore()
			s := newSite(t, tt.cfg)
			require.Equal(t, tt.want, s.Consent(newRequest(http.MethodGet, "/", tt.headers...)))

			v := s.visitor()
			resp := v.get("/?clkid=abc", tt.headers...)
			switch tt.want {
			case clickid.ConsentGranted:
				require.Equal(t, []clickid.Kind{clickid.KindCaptured}, s.kinds())
				require.Equal(t, "abc", v.get("/", tt.headers...).id())
			case clickid.ConsentUnknown:
				require.Equal(t, []clickid.Kind{clickid.KindDeferred}, s.kinds())
				require.Empty(t, resp.setCookies())
				require.Equal(t, "abc", resp.id(), "the landing knows its click, but does not keep it")
				_, ok := clickid.Token(resp.ctx)
				require.False(t, ok)
				require.ErrorIs(t, s.Link(resp.ctx, clickid.OrderKey("1")), clickid.ErrNoConsent)
			case clickid.ConsentDenied:
				require.Equal(t, []clickid.Kind{clickid.KindDenied}, s.kinds())
				require.Empty(t, resp.setCookies())
				require.Empty(t, resp.id())
			}
			if tt.want != clickid.ConsentGranted {
				require.Zero(t, s.store.saves.Load())
			}
		})
	}
}

func TestConsent_calls(t *testing.T) {
	t.Parallel()
	asked := 0
	s := newSite(t, clickid.Config{Consent: func(*http.Request) clickid.Consent {
		asked++
		return clickid.ConsentGranted
	}})
	v := s.visitor()
	tests := []struct {
		name    string
		target  string
		headers []string
		asked   int
	}{
		{"a page without a click", "/", nil, 0},
		{"a page whose Referer is another site's", "/", []string{"Referer: https://ads.example/?clkid=abc", asPage}, 0},
		{"a landing", "/?clkid=abc", nil, 1},
		{"a page of a visitor with our cookie", "/", nil, 1},
	}
	for _, tt := range tests {
		asked = 0
		v.get(tt.target, tt.headers...)
		require.Equal(t, tt.asked, asked, tt.name)
	}
}

func TestConsent_denied(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg    clickid.Config
		target string
		denial string
	}{
		"on any later page":        {clickid.Config{Consent: byHeader}, "/about", no},
		"by Sec-GPC":               {clickid.Config{Consent: byHeader}, "/about", gpc},
		"on another landing":       {clickid.Config{Consent: byHeader}, "/?clkid=def", no},
		"on the same landing":      {clickid.Config{Consent: byHeader}, "/?clkid=abc", no},
		"without consent function": {clickid.Config{}, "/", gpc},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memory := clickid.NewMemoryStore()
			tt.cfg.Store = memory
			s := newSite(t, tt.cfg)
			v := s.visitor()
			landing := v.get("/?clkid=abc", yes)
			token, ok := clickid.Token(landing.ctx)
			require.True(t, ok)
			require.NoError(t, s.Link(landing.ctx, clickid.CustomerKey("42")))
			s.observations()

			resp := v.get(tt.target, tt.denial)
			require.True(t, resp.served)
			require.Equal(t, []clickid.Kind{clickid.KindDenied}, s.kinds())
			require.Len(t, resp.Result().Cookies(), 1)
			require.Negative(t, resp.Result().Cookies()[0].MaxAge)
			_, err := clickid.Lookup(resp.ctx)
			require.ErrorIs(t, err, clickid.ErrNotFound)
			_, ok = clickid.Token(resp.ctx)
			require.False(t, ok)
			require.ErrorIs(t, s.Link(resp.ctx, clickid.OrderKey("1")), clickid.ErrNotFound)

			_, err = s.Resolve(context.Background(), token)
			require.ErrorIs(t, err, clickid.ErrNotFound, "the record is gone")
			_, err = memory.Linked(context.Background(), clickid.CustomerKey("42"))
			require.ErrorIs(t, err, clickid.ErrNotFound, "and so is the link")
			require.Empty(t, v.get("/").Header(), "the browser has no cookie any more")
		})
	}
}

func TestConsent_changes(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Consent: byHeader})
	v := s.visitor()
	require.Empty(t, v.get("/?clkid=abc").setCookies(), "unknown: nothing is stored")
	require.Empty(t, v.get("/").Header())
	require.Len(t, v.get("/?clkid=abc", yes).setCookies(), 1, "granted: stored")
	require.Equal(t, "abc", v.get("/").id(), "unknown again: what was stored stays")
	require.Equal(t, "def", v.get("/?clkid=def").id(), "and a later click counts for its own landing")
	require.Equal(t, "abc", v.get("/", yes).id(), "but is not stored")
	require.Empty(t, v.get("/", no).id(), "denied: forgotten")
	require.Empty(t, v.get("/", yes).id(), "granted: what is gone is gone")
	require.Equal(t, "abc", v.get("/?clkid=abc", yes).id())
}

func TestCapture_referer(t *testing.T) {
	t.Parallel()
	sameOrigin := "Sec-Fetch-Site: same-origin"
	tests := map[string]struct {
		target  string
		headers []string
		want    string
	}{
		"from the landing page":                    {"/next", []string{fromLanding, asPage, yes}, "abc"},
		"over https, which ended at the proxy":     {"/next", []string{"Referer: https://example.com/?clkid=abc", asPage, yes}, "abc"},
		"with the host in capitals":                {"/next", []string{"Referer: https://EXAMPLE.com/?clkid=abc", asPage, yes}, "abc"},
		"as the browser says: the same origin":     {"/next", []string{fromLanding, sameOrigin, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", yes}, "abc"},
		"the same origin behind a proxy's host":    {"/next", []string{"Referer: https://shop.test/?clkid=abc", sameOrigin, asPage, yes}, "abc"},
		"by the newer name":                        {"/next", []string{"Referer: http://example.com/a?x=1&sc3clid=abc#top", asPage, yes}, "abc"},
		"its own parameter comes first":            {"/?clkid=def", []string{fromLanding, asPage, yes}, "def"},
		"another site's URL":                       {"/next", []string{"Referer: https://ads.example/?clkid=abc", asPage, yes}, ""},
		"another port":                             {"/next", []string{"Referer: http://example.com:8080/?clkid=abc", asPage, yes}, ""},
		"a host that begins the same":              {"/next", []string{"Referer: http://example.com.evil.example/?clkid=abc", asPage, yes}, ""},
		"our host as a user name":                  {"/next", []string{"Referer: http://example.com@evil.example/?clkid=abc", asPage, yes}, ""},
		"another scheme":                           {"/next", []string{"Referer: android-app://example.com/?clkid=abc", asPage, yes}, ""},
		"no URL":                                   {"/next", []string{"Referer: ?clkid=abc", asPage, yes}, ""},
		"a broken URL":                             {"/next", []string{"Referer: http://example.com:x/?clkid=abc", asPage, yes}, ""},
		"two Referers":                             {"/next", []string{fromLanding, "Referer: http://example.com/?clkid=abc", asPage, yes}, ""},
		"only in the fragment":                     {"/next", []string{"Referer: http://example.com/?x#?clkid=abc", asPage, yes}, ""},
		"a bad value":                              {"/next", []string{"Referer: http://example.com/?clkid=%20", asPage, yes}, ""},
		"as the browser says: another site":        {"/next", []string{fromLanding, "Sec-Fetch-Site: cross-site", asPage, yes}, ""},
		"as the browser says: another subdomain":   {"/next", []string{fromLanding, "Sec-Fetch-Site: same-site", asPage, yes}, ""},
		"a typed address":                          {"/next", []string{fromLanding, "Sec-Fetch-Site: none", asPage, yes}, ""},
		"an image on the landing page":             {"/logo.png", []string{fromLanding, "Accept: image/avif,*/*", yes}, ""},
		"a script of the landing page":             {"/app.js", []string{fromLanding, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script", asPage, yes}, ""},
		"a fetch of the landing page":              {"/api", []string{fromLanding, sameOrigin, "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", asPage, yes}, ""},
		"without consent, which is still unknown":  {"/next", []string{fromLanding, asPage}, ""},
		"against the visitor's will":               {"/next", []string{fromLanding, asPage, no}, ""},
		"against the visitor's will by its header": {"/next", []string{fromLanding, asPage, yes, gpc}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, clickid.Config{Consent: byHeader})
			v := s.visitor()
			v.get(tt.target, tt.headers...)
			require.Equal(t, tt.want, v.get("/checkout", yes).id())
			for _, o := range s.observations() {
				require.Equal(t, tt.target == "/next", o.Recovered)
			}
		})
	}
}

func TestCapture_refererStoredClick(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	v := s.visitor()
	v.get("/?clkid=first")
	resp := v.get("/next", fromLanding, asPage)
	require.Empty(t, resp.Header())
	require.Equal(t, "first", resp.id())
	require.EqualValues(t, 1, s.store.saves.Load())
}

func TestCapture_refererDenied(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Consent: byHeader})
	resp := s.visitor().get("/next", fromLanding, asPage, no)
	require.Empty(t, resp.Header())
	require.Empty(t, s.observations())
}

func TestConvert_unknownConsent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		sendUnknown bool
		headers     []string
		event       clickid.Consent
		want        clickid.Verdict
	}{
		"granted":                                 {false, []string{yes}, clickid.ConsentUnknown, clickid.VerdictAccepted},
		"denied":                                  {true, []string{no}, clickid.ConsentUnknown, clickid.VerdictSkippedConsent},
		"unknown":                                 {false, nil, clickid.ConsentUnknown, clickid.VerdictSkippedConsent},
		"unknown, where the setting sends it":     {true, nil, clickid.ConsentUnknown, clickid.VerdictAccepted},
		"unknown, but the event knows better":     {false, nil, clickid.ConsentGranted, clickid.VerdictAccepted},
		"unknown, but the event was denied":       {true, nil, clickid.ConsentDenied, clickid.VerdictSkippedConsent},
		"granted, but the event was denied":       {false, []string{yes}, clickid.ConsentDenied, clickid.VerdictSkippedConsent},
		"denied, but the event's consent says so": {false, []string{no}, clickid.ConsentGranted, clickid.VerdictSkippedOrganic},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := platformtest.Responding(platformtest.OK())
			s := newSite(t, clickid.Config{Consent: byHeader, SendUnknown: tt.sendUnknown})
			resp := s.visitor().get("/?clkid=abc", tt.headers...)
			event := purchase("1")
			event.Click, event.Consent = clickid.Click{}, tt.event
			result, err := clickid.Convert(resp.ctx, newClient(t, p, ecapi), event)
			require.NoError(t, err)
			require.Equal(t, tt.want, result.Verdict)
			require.Equal(t, "1", result.ID)
			require.Equal(t, tt.want == clickid.VerdictAccepted, p.Count() == 1)
			if tt.want == clickid.VerdictSkippedConsent {
				require.NotEmpty(t, result.Reason)
			}
		})
	}
}

func TestConvert_unknownConsentStoredClick(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Consent: byHeader})
	v := s.visitor()
	v.get("/?clkid=abc", yes)
	s.clock.advance(time.Hour)
	result, err := clickid.Convert(v.get("/checkout").ctx, newClient(t, platformtest.Responding(platformtest.OK()), ecapi), purchase("1"))
	require.NoError(t, err)
	require.Equal(t, clickid.VerdictSkippedConsent, result.Verdict)
}

// keeping is a sender that keeps the consent of the last event.
type keeping struct{ consent clickid.Consent }

func (k *keeping) Send(_ context.Context, events ...clickid.Event) (clickid.Report, error) {
	k.consent = events[0].Consent
	return clickid.Report{Results: []clickid.Result{{Verdict: clickid.VerdictAccepted}}}, nil
}

// TestConvert_marksConsent checks that senders can tell a consenting visitor's
// event from one whose consent is unknown.
func TestConvert_marksConsent(t *testing.T) {
	t.Parallel()
	visitor := func(cfg clickid.Config, headers ...string) context.Context {
		return newSite(t, cfg).visitor().get("/?clkid=abc", headers...).ctx
	}
	for name, tt := range map[string]struct {
		ctx  context.Context
		want clickid.Consent
	}{
		"granted":                            {visitor(clickid.Config{Consent: byHeader}, yes), clickid.ConsentGranted},
		"no consent function":                {visitor(clickid.Config{}), clickid.ConsentGranted},
		"unknown, where the setting permits": {visitor(clickid.Config{Consent: byHeader, SendUnknown: true}), clickid.ConsentGranted},
		"no visitor":                         {context.Background(), clickid.ConsentUnknown},
		"a click of a worker":                {clickid.WithClick(context.Background(), clickid.Click{ID: "abc"}), clickid.ConsentUnknown},
	} {
		var k keeping
		_, err := clickid.Convert(tt.ctx, &k, purchase("1"))
		require.NoError(t, err, name)
		require.Equal(t, tt.want, k.consent, name)
	}
}
