package clickid_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/erasuretest"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// forgetting serves pages on which the visitor withdraws consent.
func forgetting(s *site, want error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { require.ErrorIs(s.t, s.Forget(w, r), want) }
}

func TestForget_recordAndLinks(t *testing.T) {
	t.Parallel()
	memory := clickid.NewMemoryStore()
	s := newSite(t, clickid.Config{Store: memory})
	v := s.visitor()
	landing := v.get("/?clkid=abc")
	token, _ := clickid.Token(landing.ctx)
	keys := []clickid.Key{clickid.SessionKey("s"), clickid.CustomerKey("42"), clickid.OrderKey("42")}
	for _, k := range keys {
		require.NoError(t, s.Link(landing.ctx, k))
	}
	other := s.visitor().get("/?clkid=def")
	require.NoError(t, s.Link(other.ctx, clickid.CustomerKey("other")))
	s.observations()

	s.page = forgetting(s, nil)
	resp := v.do(http.MethodPost, "/forget")
	require.Equal(t, []clickid.Kind{clickid.KindForgotten}, s.kinds())
	require.Equal(t, []string{"__Host-clkid=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"}, resp.setCookies())
	require.Empty(t, resp.id())
	_, err := s.Resolve(context.Background(), token)
	require.ErrorIs(t, err, clickid.ErrNotFound)
	for _, k := range keys {
		_, err := s.Linked(context.Background(), k)
		require.ErrorIs(t, err, clickid.ErrNotFound)
	}
	_, err = s.Linked(context.Background(), clickid.CustomerKey("other"))
	require.NoError(t, err, "other visitors keep theirs")
}

func TestForget(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		earlier, target string
		deletes         int32
	}{
		"a click of an earlier page":          {"/?clkid=abc", "/forget", 1},
		"a click of this very page":           {"", "/forget?clkid=abc", 1},
		"both":                                {"/?clkid=abc", "/forget?clkid=def", 2},
		"a visitor who has none":              {"", "/forget", 0},
		"the same click again, which is kept": {"/?clkid=abc", "/forget?clkid=abc", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, clickid.Config{Store: clickid.NewMemoryStore()})
			v := s.visitor()
			if tt.earlier != "" {
				v.get(tt.earlier)
			}
			s.page = forgetting(s, nil)
			resp := v.get(tt.target)
			require.Len(t, resp.setCookies(), 1)
			for _, c := range v.cookies {
				require.Equal(t, "!forgotten", c.Value)
				require.Contains(t, tt.target, "?", "only where the next page's Referer would bring the click back")
			}
			require.Empty(t, resp.id())
			require.Equal(t, tt.deletes, s.store.deletes.Load())
			result, err := clickid.Convert(resp.ctx, newClient(t, platformtest.Responding(platformtest.OK()), ecapi), purchase("1"))
			require.NoError(t, err)
			if tt.earlier != "" || tt.target != "/forget" {
				require.Equal(t, clickid.VerdictSkippedConsent, result.Verdict, "forgetting is a denial")
			}
		})
	}
}

func TestForget_withoutMiddleware(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Store: clickid.NewMemoryStore()})
	v := s.visitor()
	token, _ := clickid.Token(v.get("/?clkid=abc").ctx)
	r := newRequest(http.MethodPost, "/forget", "Cookie: __Host-clkid="+token)
	w := httptest.NewRecorder()
	require.NoError(t, s.Forget(w, r))
	require.Len(t, w.Header()["Set-Cookie"], 1)
	_, err := s.Resolve(context.Background(), token)
	require.ErrorIs(t, err, clickid.ErrNotFound)
}

func TestForget_forgedCookies(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	s.page = forgetting(s, nil)
	resp := cookieHeader(s, "__Host-clkid="+newTokenOf(t, newCookieStore(t, secondKey), "xyz"))
	require.Len(t, resp.setCookies(), 1)
	require.Zero(t, s.store.deletes.Load())
}

// requestOf returns a request with the visitor's cookies.
func requestOf(v *visitor) *http.Request {
	r := newRequest(http.MethodGet, "/")
	for _, c := range v.cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r
}

func TestForget_failedStore(t *testing.T) {
	t.Parallel()
	unavailable := errors.New("connection refused")
	tests := map[string]func(*site, *visitor) *response{
		"asked by the application": func(s *site, v *visitor) *response {
			s.page = forgetting(s, unavailable)
			return v.get("/forget")
		},
		"since consent is denied": func(_ *site, v *visitor) *response { return v.get("/", no) },
	}
	for name, forget := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, clickid.Config{Store: clickid.NewMemoryStore(), Consent: byHeader})
			v := s.visitor()
			token, _ := clickid.Token(v.get("/?clkid=abc", yes).ctx)
			s.observations()
			s.store.failWith(unavailable)
			resp := forget(s, v)
			require.True(t, resp.served)
			require.Empty(t, resp.id())
			observations := s.observations()
			require.Equal(t, clickid.KindStoreError, observations[0].Kind)
			require.ErrorIs(t, observations[0].Err, unavailable)
			for _, o := range observations[1:] {
				require.Equal(t, clickid.KindDenied, o.Kind, "the erasure has failed")
			}

			s.page = nil
			require.Equal(t, clickid.ConsentDenied, s.Consent(requestOf(v)), "the cookie remembers the denial")
			require.Empty(t, v.get("/", yes).id())
			_, err := s.Resolve(context.Background(), token)
			require.ErrorIs(t, err, unavailable)

			s.store.recover()
			require.Empty(t, v.get("/next", yes).id())
			require.Empty(t, v.cookies, "the next page repeats the erasure")
			_, err = s.Resolve(context.Background(), token)
			require.ErrorIs(t, err, clickid.ErrNotFound)
		})
	}
}

func TestErasure_pairs(t *testing.T) {
	t.Parallel()
	erasuretest.RunStore(t, clickid.NewMemoryStore())
	t.Run("two stores", func(t *testing.T) {
		erasuretest.Run(t, clickid.Config{Store: clickid.NewMemoryStore(), Linker: clickid.NewMemoryStore()})
	})
	t.Run("a fallback store during an outage", func(t *testing.T) {
		unavailable := &flakyStore{MemoryStore: clickid.NewMemoryStore(), outage: refuseConnections}
		store, err := clickid.NewFallbackStore(unavailable, newCookieStore(t, firstKey))
		require.NoError(t, err)
		erasuretest.Run(t, clickid.Config{Store: store, Linker: clickid.NewMemoryStore()})
	})
}

func TestForget_notUndoneByTheReferer(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Store: clickid.NewMemoryStore()})
	v := s.visitor()
	v.get("/?clkid=abc")
	s.page = forgetting(s, nil)
	v.do(http.MethodPost, "/withdraw", fromLanding)
	s.page = nil
	require.Empty(t, v.get("/next", fromLanding, asPage).id())
	require.Empty(t, v.get("/again", fromLanding, asPage).id())
	require.Equal(t, "def", v.get("/?clkid=def").id(), "a new click is a new click")
}

func TestDenial_madeUpCookiesWriteNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Store: clickid.NewMemoryStore()})
	var cookies []string
	for i := range 8 {
		cookies = append(cookies, fmt.Sprintf("__Host-clkid=%022d", i))
	}
	header := "Cookie: " + strings.Join(cookies, "; ")
	s.visitor().get("/logo.png", gpc, "Sec-Fetch-Dest: image", header)
	require.Zero(t, s.store.loads.Load(), "a part of a page leaves the erasure to the page")
	s.visitor().get("/", gpc, header)
	require.LessOrEqual(t, s.store.loads.Load(), int32(4))
	require.Zero(t, s.store.deletes.Load())
}

func TestErasureError(t *testing.T) {
	t.Parallel()
	unavailable := errors.New("connection refused")
	s := newSite(t, clickid.Config{Store: clickid.NewMemoryStore()})
	v := s.visitor()
	token, _ := clickid.Token(v.get("/?clkid=abc").ctx)
	s.store.failWith(unavailable)
	var err error
	s.page = func(w http.ResponseWriter, r *http.Request) { err = s.Forget(w, r) }
	v.get("/forget")
	var left *clickid.ErasureError
	require.ErrorAs(t, err, &left)
	require.ErrorIs(t, err, unavailable)
	require.Equal(t, []string{token}, left.Tokens)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, err), token)
	}
	s.store.recover()
	require.NoError(t, s.ForgetToken(context.Background(), token))
	require.NoError(t, s.ForgetToken(context.Background(), token), "unknown is not an error")
	require.ErrorIs(t, s.ForgetToken(context.Background(), "a b"), clickid.ErrInvalid)
}

func TestForgetKey(t *testing.T) {
	t.Parallel()
	memory := clickid.NewMemoryStore()
	s := newSite(t, clickid.Config{Store: memory})
	ctx := context.Background()
	landing := s.visitor().get("/?clkid=abc")
	token, _ := clickid.Token(landing.ctx)
	require.NoError(t, s.Link(landing.ctx, clickid.CustomerKey("42")))
	require.NoError(t, s.Link(landing.ctx, clickid.OrderKey("1")))
	other := s.visitor().get("/?clkid=def")
	require.NoError(t, s.Link(other.ctx, clickid.OrderKey("42")))

	require.NoError(t, s.ForgetKey(ctx, clickid.CustomerKey("42")))
	for _, k := range []clickid.Key{clickid.CustomerKey("42"), clickid.OrderKey("1")} {
		_, err := s.Linked(ctx, k)
		require.ErrorIs(t, err, clickid.ErrNotFound)
	}
	_, err := s.Resolve(ctx, token)
	require.ErrorIs(t, err, clickid.ErrNotFound)
	_, err = s.Linked(ctx, clickid.OrderKey("42"))
	require.NoError(t, err, "order 42 is not customer 42")

	require.NoError(t, s.ForgetKey(ctx, clickid.CustomerKey("42")), "an unknown key returns no error")
	require.ErrorIs(t, s.ForgetKey(ctx, clickid.Key{}), clickid.ErrInvalid)
	require.ErrorContains(t, newSite(t, clickid.Config{}).ForgetKey(ctx, clickid.OrderKey("1")), "no Linker")
}

func TestForgetKey_failedStore(t *testing.T) {
	t.Parallel()
	memory := clickid.NewMemoryStore()
	s := newSite(t, clickid.Config{Store: memory})
	landing := s.visitor().get("/?clkid=abc")
	require.NoError(t, s.Link(landing.ctx, clickid.OrderKey("1")))
	s.observations()
	unavailable := errors.New("connection refused")
	s.store.failWith(unavailable)
	require.ErrorIs(t, s.ForgetKey(context.Background(), clickid.OrderKey("1")), unavailable)
	require.Equal(t, []clickid.Kind{clickid.KindStoreError}, s.kinds())
}

func TestForgetKey_decodedKey(t *testing.T) {
	t.Parallel()
	memory := clickid.NewMemoryStore()
	s := newSite(t, clickid.Config{Store: memory})
	landing := s.visitor().get("/?clkid=abc")
	k := clickid.OrderKey("1")
	require.NoError(t, s.Link(landing.ctx, k))
	text, err := k.MarshalText()
	require.NoError(t, err)
	var hash clickid.Key
	require.NoError(t, hash.UnmarshalText(text))
	require.ErrorIs(t, s.ForgetKey(context.Background(), hash), clickid.ErrInvalid, "the record cannot be found by the hash")
	_, err = s.Linked(context.Background(), k)
	require.ErrorIs(t, err, clickid.ErrNotFound)
}

func TestForget_cookieStore(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	v := s.visitor()
	token, _ := clickid.Token(v.get("/?clkid=abc").ctx)
	s.page = forgetting(s, nil)
	v.get("/forget")
	s.clock.advance(time.Hour)
	_, err := s.Resolve(context.Background(), token)
	require.NoError(t, err, "a copy kept with an order cannot be revoked, as the documentation says")
}

// TestForget_clickThatCouldNotBeLoaded replaces a click while the store fails to
// load it.
func TestForget_clickThatCouldNotBeLoaded(t *testing.T) {
	t.Parallel()
	memory := clickid.NewMemoryStore()
	store := &failedLoads{MemoryStore: memory}
	s := newRealSite(t, clickid.Config{Store: store})
	v := s.visitor()
	earlier, _ := clickid.Token(v.get("/?clkid=abc").ctx)
	store.fail.Store(true)
	v.get("/?clkid=def")
	store.fail.Store(false)
	s.page = forgetting(s, nil)
	v.get("/forget")
	_, err := s.Resolve(context.Background(), earlier)
	require.ErrorIs(t, err, clickid.ErrNotFound)
}

type failedLoads struct {
	*clickid.MemoryStore
	fail atomic.Bool
}

func (s *failedLoads) Load(ctx context.Context, token string) (clickid.Click, error) {
	if s.fail.Load() {
		return clickid.Click{}, errors.New("connection refused")
	}
	return s.MemoryStore.Load(ctx, token)
}
