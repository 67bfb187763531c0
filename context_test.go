package clickid_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

func TestLookup_once(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	v := s.visitor()
	token, _ := clickid.Token(v.get("/?clkid=abc").ctx)
	require.Zero(t, s.store.loads.Load(), "a first landing has nothing to load")

	resp := v.get("/")
	require.Zero(t, s.store.loads.Load())
	require.Zero(t, s.store.checks.Load(), "a page that does not ask decodes nothing")

	kept, found := clickid.Token(resp.ctx)
	require.True(t, found)
	require.Equal(t, token, kept)
	require.Zero(t, s.store.loads.Load(), "the token costs a check and no input or output")
	require.EqualValues(t, 1, s.store.checks.Load())

	for range 3 {
		require.Equal(t, "abc", resp.id())
		_, err := clickid.Lookup(resp.ctx)
		require.NoError(t, err)
	}
	_, err := clickid.Convert(resp.ctx, newClient(t, platformtest.Responding(platformtest.OK()), ecapi), purchase("1"))
	require.NoError(t, err)
	kept, _ = clickid.Token(resp.ctx)
	require.Equal(t, token, kept)
	require.EqualValues(t, 1, s.store.loads.Load())
}

func TestLookup_concurrent(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	v := s.visitor()
	v.get("/?clkid=abc")
	resp := v.get("/")
	var group sync.WaitGroup
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			click, err := clickid.Lookup(resp.ctx)
			if err != nil || click.ID != "abc" {
				t.Errorf("got %v, %v", click, err)
			}
			clickid.Token(resp.ctx)
		}()
	}
	group.Wait()
	require.EqualValues(t, 1, s.store.loads.Load())
}

func TestLookup_visitors(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Store: clickid.NewMemoryStore(), Consent: byHeader})
	var group sync.WaitGroup
	for i := range 32 {
		group.Add(1)
		go func() {
			defer group.Done()
			v, id := s.visitor(), fmt.Sprintf("click-%d", i)
			landing := v.get("/?clkid="+id, yes)
			k := clickid.OrderKey(id)
			err := s.Link(landing.ctx, k)
			later := v.get("/checkout", yes).id()
			linked, linkedErr := s.Linked(context.Background(), k)
			v.get("/", no)
			if err != nil || linkedErr != nil || later != id || linked.ID != id || len(v.cookies) != 0 {
				t.Errorf("%s: %v, %v, later %q, linked %q, cookies %d", id, err, linkedErr, later, linked.ID, len(v.cookies))
			}
		}()
	}
	group.Wait()
	require.Len(t, s.observations(), 64, "each captured and denied")
}

func TestLookup_absence(t *testing.T) {
	t.Parallel()
	unavailable := errors.New("connection refused")
	tests := map[string]struct {
		fail error
		want error
	}{
		"unknown, expired or deleted":  {clickid.ErrNotFound, clickid.ErrNotFound},
		"forged":                       {clickid.ErrInvalid, clickid.ErrNotFound},
		"a store that cannot tell":     {unavailable, unavailable},
		"a store that takes too long":  {context.DeadlineExceeded, context.DeadlineExceeded},
		"a store that was interrupted": {context.Canceled, context.Canceled},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, clickid.Config{})
			v := s.visitor()
			token, _ := clickid.Token(v.get("/?clkid=abc").ctx)
			s.store.failWith(tt.fail)
			resp := v.get("/")
			_, err := clickid.Lookup(resp.ctx)
			require.ErrorIs(t, err, tt.want)
			_, found := clickid.FromContext(resp.ctx)
			require.False(t, found)
			kept, ok := clickid.Token(resp.ctx)
			if tt.want == clickid.ErrNotFound {
				require.False(t, ok)
				return
			}
			require.NotErrorIs(t, err, clickid.ErrNotFound)
			require.True(t, ok, "the token is there to ask again with")
			require.Equal(t, token, kept)
			s.store.recover()
			_, again := clickid.Lookup(resp.ctx)
			require.Equal(t, err, again, "one result for the whole request")
		})
	}
}

// tokenStore returns a scripted result for each token.
type tokenStore map[string]func() (clickid.Click, error)

func (tokenStore) Save(context.Context, clickid.Click) (string, error) {
	return "", errors.ErrUnsupported
}
func (tokenStore) Delete(context.Context, string) error { return nil }
func (s tokenStore) Load(_ context.Context, token string) (clickid.Click, error) {
	return s[token]()
}

func TestLookup_severalCookies(t *testing.T) {
	t.Parallel()
	unavailable := errors.New("connection refused")
	good := func() (clickid.Click, error) { return testClick, nil }
	gone := func() (clickid.Click, error) { return clickid.Click{}, clickid.ErrNotFound }
	fails := func() (clickid.Click, error) { return clickid.Click{}, unavailable }
	tests := map[string]struct {
		a, b  func() (clickid.Click, error)
		err   error
		token string
	}{
		"the first is good":                 {good, fails, nil, "a"},
		"the first is gone":                 {gone, good, nil, "b"},
		"the first fails, another is good":  {fails, good, nil, "b"},
		"the first fails, the other's gone": {fails, gone, unavailable, "a"},
		"the first is gone, another fails":  {gone, fails, unavailable, "b"},
		"both fail":                         {fails, fails, unavailable, "a"},
		"both are gone":                     {gone, gone, clickid.ErrNotFound, ""},
	}
	for name, tt := range tests {
		s := newSite(t, clickid.Config{Store: tokenStore{"a": tt.a, "b": tt.b}})
		resp := cookieHeader(s, "__Host-clkid=a; __Host-clkid=b")
		_, err := clickid.Lookup(resp.ctx)
		require.ErrorIs(t, err, tt.err, name)
		token, _ := clickid.Token(resp.ctx)
		require.Equal(t, tt.token, token, name)
	}
}

// TestLookup_latestCookie has cookies of a parent domain or of a subdomain before
// the visitor's own.
func TestLookup_latestCookie(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	earlier, later := s.visitor(), s.visitor()
	earlier.get("/?clkid=earlier")
	s.clock.advance(time.Minute)
	later.get("/?clkid=later")
	first, last := "__Host-clkid="+earlier.cookies[0].Value, "__Host-clkid="+later.cookies[0].Value
	forged := strings.Repeat("__Host-clkid="+newTokenOf(t, newCookieStore(t, secondKey), "forged")+"; ", 8)
	for name, header := range map[string]string{
		"the latest first":   last + "; " + first,
		"the latest last":    first + "; " + last,
		"after planted ones": forged + last,
	} {
		require.Equal(t, "later", cookieHeader(s, header).id(), name)
	}
}

func TestToken_withoutTokenChecker(t *testing.T) {
	t.Parallel()
	type plain struct{ clickid.Store } // hides CheckToken
	tracker := newTracker(t, clickid.Config{Store: plain{clickid.NewMemoryStore()}})
	for cookie, want := range map[string]bool{"abc": true, "a b": false, "": false, strings.Repeat("x", 500): true, strings.Repeat("x", 501): false} {
		r := newRequest(http.MethodGet, "/", "Cookie: __Host-clkid="+cookie)
		_, ok := clickid.Token(tracker.Capture(nil, r).Context())
		require.Equal(t, want, ok, "%q", cookie)
	}
}

func TestLookup_withoutVisitor(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, err := clickid.Lookup(ctx)
	require.ErrorIs(t, err, clickid.ErrNotFound)
	_, ok := clickid.FromContext(ctx)
	require.False(t, ok)
	_, ok = clickid.Token(ctx)
	require.False(t, ok)
}

func TestWithClick(t *testing.T) {
	t.Parallel()
	ctx := clickid.WithClick(context.Background(), testClick)
	click, err := clickid.Lookup(ctx)
	require.NoError(t, err)
	require.Equal(t, testClick, click)
	_, ok := clickid.Token(ctx)
	require.False(t, ok, "no store has it")

	ctx = clickid.WithClick(ctx, clickid.Click{})
	_, err = clickid.Lookup(ctx)
	require.ErrorIs(t, err, clickid.ErrNotFound, "the zero click is a proven absence")
}

func TestToken_notStored(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	s.store.failWith(errors.New("connection refused"))
	resp := s.visitor().get("/?clkid=abc")
	require.Equal(t, "abc", resp.id(), "the landing itself still knows it")
	_, ok := clickid.Token(resp.ctx)
	require.False(t, ok)
}

func TestToken_expired(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{TTL: time.Hour})
	v := s.visitor()
	v.get("/?clkid=abc")
	s.clock.advance(time.Hour)
	_, ok := clickid.Token(v.get("/").ctx)
	require.False(t, ok, "the token says so itself")
}

func TestResolve(t *testing.T) {
	t.Parallel()
	unavailable := errors.New("connection refused")
	s := newSite(t, clickid.Config{TTL: time.Hour})
	token, _ := clickid.Token(s.visitor().get("/?clkid=abc").ctx)
	forged := newTokenOf(t, newCookieStore(t, secondKey), "abc")
	ctx := context.Background()

	click, err := s.Resolve(ctx, token)
	require.NoError(t, err, "a webhook needs no request")
	require.Equal(t, "abc", click.ID)

	tests := map[string]struct {
		token   string
		prepare func()
		want    error
	}{
		"forged":          {forged, nil, clickid.ErrInvalid},
		"malformed":       {"a b", nil, clickid.ErrInvalid},
		"empty":           {"", nil, clickid.ErrInvalid},
		"too long":        {strings.Repeat("x", 501), nil, clickid.ErrInvalid},
		"cut short":       {token[:40], nil, clickid.ErrInvalid},
		"a failing store": {token, func() { s.store.failWith(unavailable) }, unavailable},
		"expired": {token, func() {
			s.store.recover()
			s.clock.advance(time.Hour)
		}, clickid.ErrNotFound},
	}
	for _, name := range []string{"forged", "malformed", "empty", "too long", "cut short", "a failing store", "expired"} {
		tt := tests[name]
		if tt.prepare != nil {
			tt.prepare()
		}
		_, err := s.Resolve(ctx, tt.token)
		require.ErrorIs(t, err, tt.want, name)
		for _, other := range []error{clickid.ErrNotFound, clickid.ErrInvalid} {
			require.Equal(t, other == tt.want, errors.Is(err, other), "%s: %v", name, err)
		}
		require.True(t, strings.HasPrefix(err.Error(), "clickid: "), "%v", err)
	}
	require.Equal(t, []clickid.Kind{clickid.KindCaptured, clickid.KindStoreError}, s.kinds())
}

// TestLookup_inLogHandler looks up the click in a hook, a log handler or a store
// that is called during a lookup.
func TestLookup_inLogHandler(t *testing.T) {
	t.Parallel()
	var s *site
	asks := func(ctx context.Context) { clickid.FromContext(ctx) }
	s = newSite(t, clickid.Config{
		Store: askingStore{newCookieStore(t, firstKey), asks},
		Hook:  func(ctx context.Context, _ clickid.Observation) { asks(ctx) },
	})
	// A lookup that waits for itself does not return.
	v := s.visitor()
	v.get("/?clkid=abc")
	clickid.FromContext(v.get("/").ctx)
	clickid.FromContext(cookieHeader(s, "__Host-clkid=forged").ctx)
}

type askingStore struct {
	clickid.Store
	ask func(context.Context)
}

func (s askingStore) CheckToken(token string) error {
	return s.Store.(clickid.TokenChecker).CheckToken(token)
}

func (s askingStore) Save(ctx context.Context, c clickid.Click) (string, error) {
	s.ask(ctx)
	c.At, c.Expires = time.Now(), time.Now().Add(time.Hour)
	return s.Store.Save(ctx, c)
}

func (s askingStore) Load(ctx context.Context, token string) (clickid.Click, error) {
	s.ask(ctx)
	return s.Store.Load(ctx, token)
}
