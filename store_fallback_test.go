package clickid_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/storetest"
	"github.com/stretchr/testify/require"
)

var errOutage = errors.New("connection refused")

// flakyStore is a memory store behind a server that may fail.
type flakyStore struct {
	*clickid.MemoryStore
	outage func(ctx context.Context) error // nil without an outage
}

func refuseConnections(context.Context) error { return errOutage }

func (s *flakyStore) Save(ctx context.Context, c clickid.Click) (string, error) {
	if s.outage != nil {
		return "", s.outage(ctx)
	}
	return s.MemoryStore.Save(ctx, c)
}

func (s *flakyStore) Load(ctx context.Context, token string) (clickid.Click, error) {
	if s.outage != nil && s.CheckToken(token) == nil {
		return clickid.Click{}, s.outage(ctx)
	}
	return s.MemoryStore.Load(ctx, token)
}

// onlyStore is a store that is not a linker.
type onlyStore struct {
	clickid.Store
	clickid.TokenChecker
}

func newFallbackStore(t testing.TB, primary clickid.Store) clickid.Store {
	t.Helper()
	store, err := clickid.NewFallbackStore(primary, newCookieStore(t, newCookieKey(t)))
	require.NoError(t, err)
	return store
}

func TestFallbackStore(t *testing.T) {
	t.Run("with its primary", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) clickid.Store {
			return newFallbackStore(t, clickid.NewMemoryStore())
		}, storetest.Options{Advance: advanceClock})
	})
	t.Run("in an outage", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) clickid.Store {
			return newFallbackStore(t, &flakyStore{MemoryStore: clickid.NewMemoryStore(), outage: refuseConnections})
		}, storetest.Options{Stateless: true})
	})
	t.Run("links of both tiers", func(t *testing.T) {
		storetest.RunLinker(t, func(t *testing.T) clickid.Linker {
			return newFallbackStore(t, clickid.NewMemoryStore()).(clickid.Linker)
		}, storetest.Options{Advance: advanceClock})
	})
}

func TestFallbackStore_linker(t *testing.T) {
	_, ok := newFallbackStore(t, clickid.NewMemoryStore()).(clickid.Linker)
	require.True(t, ok)
	memory := clickid.NewMemoryStore()
	_, ok = newFallbackStore(t, onlyStore{memory, memory}).(clickid.Linker)
	require.False(t, ok)
}

func TestNewFallbackStore_problems(t *testing.T) {
	_, err := clickid.NewFallbackStore(nil, nil)
	require.ErrorContains(t, err, "needs a primary")
	require.ErrorContains(t, err, "needs a fallback")
	_, err = clickid.NewFallbackStore(clickid.NewMemoryStore(), struct{ clickid.Store }{clickid.NewMemoryStore()})
	require.ErrorContains(t, err, "recognizes its own tokens")
}

// An invalid click is not an outage for the fallback. A click that the fallback
// cannot store is an error of the store.
func TestFallbackStore_refusedClick(t *testing.T) {
	_, err := newFallbackStore(t, clickid.NewMemoryStore()).Save(context.Background(), clickid.Click{})
	require.ErrorIs(t, err, clickid.ErrInvalid)

	flaky := &flakyStore{MemoryStore: clickid.NewMemoryStore(), outage: refuseConnections}
	store, err := clickid.NewFallbackStore(flaky, flaky)
	require.NoError(t, err)
	require.Equal(t, []clickid.Kind{clickid.KindStoreError}, kindsOfLanding(t, store))
}

// kindsOfLanding returns what a tracker notices of a landing.
func kindsOfLanding(t *testing.T, store clickid.Store) (kinds []clickid.Kind) {
	t.Helper()
	tracker := newTracker(t, clickid.Config{Store: store, Hook: func(_ context.Context, o clickid.Observation) {
		kinds = append(kinds, o.Kind)
	}})
	tracker.Capture(httptest.NewRecorder(), httptest.NewRequest("GET", "/?clkid="+documentedID, nil))
	return kinds
}

func TestFallbackStore_loadInOutage(t *testing.T) {
	primary := &flakyStore{MemoryStore: clickid.NewMemoryStore()}
	store := newFallbackStore(t, primary)
	now := time.Now()
	token, err := store.Save(context.Background(), clickid.Click{ID: documentedID, Param: "clkid", At: now, Expires: now.Add(time.Hour)})
	require.NoError(t, err)
	primary.outage = refuseConnections
	_, err = store.Load(context.Background(), token)
	require.ErrorIs(t, err, errOutage)
	require.NotErrorIs(t, err, clickid.ErrNotFound)
}

func TestFallbackStore_similarTokens(t *testing.T) {
	store, err := clickid.NewFallbackStore(clickid.NewMemoryStore(), clickid.NewMemoryStore())
	require.NoError(t, err)
	require.Equal(t, []clickid.Kind{clickid.KindFellBack, clickid.KindCaptured}, kindsOfLanding(t, store), "the mistake shows at once")
}

// A decorated store reports its outages nevertheless.
func TestFallbackStore_wrapped(t *testing.T) {
	store := newFallbackStore(t, &flakyStore{MemoryStore: clickid.NewMemoryStore(), outage: refuseConnections})
	require.Equal(t, []clickid.Kind{clickid.KindFellBack, clickid.KindCaptured}, kindsOfLanding(t, struct{ clickid.Store }{store}))
}

// A site changes from a cookie store to a fallback store and back.
func TestFallbackStore_cookieStoreTokens(t *testing.T) {
	cookies := newCookieStore(t, newCookieKey(t))
	store, err := clickid.NewFallbackStore(clickid.NewMemoryStore(), cookies)
	require.NoError(t, err)
	now := time.Now()
	token, err := cookies.Save(context.Background(), clickid.Click{ID: documentedID, Param: "clkid", At: now, Expires: now.Add(time.Hour)})
	require.NoError(t, err)
	c, err := store.Load(context.Background(), token)
	require.NoError(t, err)
	require.Equal(t, documentedID, c.ID)
	require.NoError(t, store.(clickid.TokenChecker).CheckToken(token))

	linker, order := store.(clickid.Linker), clickid.OrderKey("42")
	require.NoError(t, linker.Link(context.Background(), order, token, now.Add(time.Hour)))
	require.NoError(t, store.Delete(context.Background(), token))
	_, err = linker.Linked(context.Background(), order)
	require.ErrorIs(t, err, clickid.ErrNotFound)

	outage, err := clickid.NewFallbackStore(&flakyStore{MemoryStore: clickid.NewMemoryStore(), outage: refuseConnections}, cookies)
	require.NoError(t, err)
	fromFallback, err := outage.Save(context.Background(), c)
	require.NoError(t, err)
	_, err = cookies.Load(context.Background(), fromFallback)
	require.NoError(t, err)

	forged := strings.ToUpper(token)
	_, err = store.Load(context.Background(), forged)
	require.ErrorIs(t, err, clickid.ErrInvalid)
	require.ErrorIs(t, store.(clickid.TokenChecker).CheckToken(forged), clickid.ErrInvalid)
}
