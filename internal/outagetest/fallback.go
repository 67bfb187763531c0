package outagetest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// Primary is the primary of a fallback store, and an outage of it.
type Primary struct {
	Store clickid.Store // also a Linker and a TokenChecker
	// Begin makes it unavailable, and End makes it available again. It keeps the
	// clicks that were stored before.
	Begin, End func()
	// Count returns the number of stored clicks.
	Count func() int
}

// visitor has landed.
type visitor struct {
	id      string
	cookies []*http.Cookie
}

func (v visitor) token() string      { return v.cookies[0].Value }
func (v visitor) order() clickid.Key { return clickid.OrderKey(v.id) }

// RunFallback has visitors before, during and after an outage of the primary of a
// fallback store. Each click is kept once: in the primary, or in the cookie. Clicks
// cannot be linked or erased during the outage, and the shop is told.
func RunFallback(t *testing.T, primary Primary) {
	cookies, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	store, err := clickid.NewFallbackStore(primary.Store, cookies)
	require.NoError(t, err)
	// The primary has three quarters of the time for a save. It must be enough on a
	// busy machine: a click that is saved too late is in both stores.
	s := NewShop(t, clickid.Config{Store: store, StoreTimeout: 2 * Timeout})
	ofPrimary := func(v visitor) bool { return primary.Store.(clickid.TokenChecker).CheckToken(v.token()) == nil }
	land := func(name string, inPrimary bool) (visitors []visitor) {
		for i := range 3 {
			id := fmt.Sprint(name, "-", i)
			v := visitor{id, s.Lands(t, id)}
			require.Equal(t, inPrimary, ofPrimary(v), "%s is in the wrong store", id)
			visitors = append(visitors, v)
		}
		return visitors
	}
	within := func(f func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(context.Background(), Timeout)
		defer cancel()
		return f(ctx)
	}

	before := land("before", true)
	for _, v := range before {
		require.NoError(t, s.Tracker.Link(s.Visit(v.cookies), v.order()))
	}
	stored := primary.Count()
	primary.Begin()
	during := land("during", false)
	require.Equal(t, len(during), s.Count(clickid.KindFellBack))
	for _, v := range during {
		require.Equal(t, v.id, ClickOf(s.Get(t, "/cart", v.cookies...)))
	}
	require.Empty(t, s.Failures())
	pending := map[string][]*http.Cookie{}
	for _, v := range []visitor{before[0], during[0]} {
		token, ok := clickid.Token(s.Visit(v.cookies))
		require.True(t, ok, "an order can have the token")
		require.Equal(t, v.token(), token)
		require.Error(t, s.Tracker.Link(s.Visit(v.cookies), v.order()))
		s.Failures()
		pending[v.id] = s.FailsToForget(t, v.cookies)
	}
	require.Error(t, within(func(ctx context.Context) error { return s.Tracker.ForgetKey(ctx, before[1].order()) }))
	err = within(func(ctx context.Context) error { _, err := s.Tracker.Linked(ctx, before[1].order()); return err })
	require.Error(t, err)
	require.NotErrorIs(t, err, clickid.ErrNotFound)

	primary.End()
	Eventually(t, func() error {
		if v := (visitor{"after", s.Lands(t, "after")}); !ofPrimary(v) {
			return errors.New("the primary does not take clicks")
		}
		stored++
		return nil
	})
	Eventually(t, func() error {
		if ClickOf(s.Get(t, "/cart", before[1].cookies...)) != before[1].id {
			return errors.Join(append(s.Failures(), errors.New("the click from before the outage is not found"))...)
		}
		return nil
	})
	s.Failures()
	after := land("after", true)
	for _, v := range slices.Concat(before, during, after) {
		require.Equal(t, v.id, ClickOf(s.Get(t, "/cart", v.cookies...)))
		require.NoError(t, s.Tracker.Link(s.Visit(v.cookies), v.order()))
		click, err := s.Tracker.Linked(context.Background(), v.order())
		require.NoError(t, err)
		require.Equal(t, v.id, click.ID)
	}
	require.Equal(t, stored+len(after), primary.Count(), "a click was stored twice")
	for _, v := range []visitor{before[0], during[0]} {
		s.Forgets(t, v.cookies, pending[v.id])
		_, err := s.Tracker.Linked(context.Background(), v.order())
		require.ErrorIs(t, err, clickid.ErrNotFound)
	}
	require.Equal(t, stored+len(after)-1, primary.Count())
	require.Empty(t, s.Failures())
}
