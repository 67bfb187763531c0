package clickid_test

import (
	"context"
	"errors"
	"net/http"
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
	outage func(ctx context.Context) error // nil while there is none
}

func refuseConnections(context.Context) error { return errOutage }

// staySilent is a server that takes connections and does not answer.
func staySilent(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

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

// storeAlone is a store that is no linker.
type storeAlone struct {
	clickid.Store
	clickid.TokenChecker
}

func newTiered(t testing.TB, primary clickid.Store, onFallback func(context.Context, error)) clickid.Store {
	t.Helper()
	store, err := clickid.NewTieredStore(clickid.TieredConfig{Primary: primary, Fallback: newCookieStore(t, newCookieKey(t)), OnFallback: onFallback})
	require.NoError(t, err)
	return store
}

func TestTieredStore(t *testing.T) {
	t.Run("with its primary", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) clickid.Store {
			return newTiered(t, clickid.NewMemoryStore(), nil)
		}, storetest.Options{Advance: advanceClock})
	})
	t.Run("in an outage", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) clickid.Store {
			return newTiered(t, &flakyStore{MemoryStore: clickid.NewMemoryStore(), outage: refuseConnections}, nil)
		}, storetest.Options{Stateless: true})
	})
	t.Run("links of both tiers", func(t *testing.T) {
		storetest.RunLinker(t, func(t *testing.T) clickid.Linker {
			return newTiered(t, clickid.NewMemoryStore(), nil).(clickid.Linker)
		}, storetest.Options{Advance: advanceClock})
	})
}

func TestTieredStoreIsALinkerWhenItsPrimaryIs(t *testing.T) {
	_, ok := newTiered(t, clickid.NewMemoryStore(), nil).(clickid.Linker)
	require.True(t, ok)
	memory := clickid.NewMemoryStore()
	_, ok = newTiered(t, storeAlone{memory, memory}, nil).(clickid.Linker)
	require.False(t, ok)
}

func TestTieredStoreNeedsBothTiers(t *testing.T) {
	_, err := clickid.NewTieredStore(clickid.TieredConfig{})
	require.ErrorContains(t, err, "Primary")
	require.ErrorContains(t, err, "Fallback")
	_, err = clickid.NewTieredStore(clickid.TieredConfig{Primary: clickid.NewMemoryStore(), Fallback: struct{ clickid.Store }{clickid.NewMemoryStore()}})
	require.ErrorContains(t, err, "knows its own tokens")
}

func TestOutageOfThePrimaryLosesNoClick(t *testing.T) {
	for name, row := range map[string]struct {
		outage func(context.Context) error
		cause  error
	}{
		"it refuses":      {refuseConnections, errOutage},
		"it is silent":    {staySilent, context.DeadlineExceeded},
		"it has a defect": {func(context.Context) error { panic("no such table") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary := &flakyStore{MemoryStore: clickid.NewMemoryStore(), outage: row.outage}
			var causes []error
			store := newTiered(t, primary, func(_ context.Context, err error) { causes = append(causes, err) })
			tracker := newTracker(t, clickid.Config{Store: store, Hook: func(_ context.Context, o clickid.Observation) {
				require.NotEqual(t, clickid.StoreError, o.Kind, "%v", o.Err)
			}})

			var linkErr error
			order := clickid.OrderKey("42")
			shop := tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, err := clickid.Lookup(r.Context())
				require.NoError(t, err)
				require.Equal(t, documentedID, c.ID)
				linkErr = tracker.Link(r.Context(), order)
			}))
			landing := httptest.NewRecorder()
			start := time.Now()
			shop.ServeHTTP(landing, httptest.NewRequest("GET", "/?clkid="+documentedID, nil))
			require.Less(t, time.Since(start), clickid.DefaultTimeout)
			require.NoError(t, linkErr)
			require.Len(t, causes, 1)
			if row.cause != nil {
				require.ErrorIs(t, causes[0], row.cause)
			}
			require.Len(t, landing.Result().Cookies(), 1)
			cookie := landing.Result().Cookies()[0]

			nextPage := httptest.NewRequest("GET", "/checkout", nil)
			nextPage.AddCookie(cookie)
			shop.ServeHTTP(httptest.NewRecorder(), nextPage)

			// The fallback's token remains valid when the primary is back.
			primary.outage = nil
			c, err := tracker.Linked(context.Background(), order)
			require.NoError(t, err)
			require.Equal(t, documentedID, c.ID)
			_, err = store.Save(context.Background(), c)
			require.NoError(t, err)
			require.Len(t, causes, 1, "the primary takes clicks again")

			// Withdrawn consent reaches the links of the fallback's token.
			require.NoError(t, store.Delete(context.Background(), cookie.Value))
			_, err = tracker.Linked(context.Background(), order)
			require.ErrorIs(t, err, clickid.ErrNotFound)
		})
	}
}

func TestTieredStoreInvalidClick(t *testing.T) {
	store := newTiered(t, clickid.NewMemoryStore(), func(context.Context, error) { t.Error("an invalid click is no outage") })
	_, err := store.Save(context.Background(), clickid.Click{})
	require.ErrorIs(t, err, clickid.ErrInvalid)
}

func TestTieredStoreWhoseTiersBothFail(t *testing.T) {
	flaky := &flakyStore{MemoryStore: clickid.NewMemoryStore(), outage: refuseConnections}
	store, err := clickid.NewTieredStore(clickid.TieredConfig{Primary: flaky, Fallback: flaky,
		OnFallback: func(context.Context, error) { t.Error("the fallback took nothing") }})
	require.NoError(t, err)
	now := time.Now()
	_, err = store.Save(context.Background(), clickid.Click{ID: documentedID, Param: "clkid", At: now, Expires: now.Add(time.Hour)})
	require.ErrorIs(t, err, errOutage)
}

func TestLoadInAnOutageIsNoAbsence(t *testing.T) {
	primary := &flakyStore{MemoryStore: clickid.NewMemoryStore()}
	store := newTiered(t, primary, nil)
	now := time.Now()
	token, err := store.Save(context.Background(), clickid.Click{ID: documentedID, Param: "clkid", At: now, Expires: now.Add(time.Hour)})
	require.NoError(t, err)
	primary.outage = refuseConnections
	_, err = store.Load(context.Background(), token)
	require.ErrorIs(t, err, errOutage)
	require.NotErrorIs(t, err, clickid.ErrNotFound)
}

func TestPrimaryWhoseTokensLookLikeTheFallbacks(t *testing.T) {
	var cause error
	store, err := clickid.NewTieredStore(clickid.TieredConfig{
		Primary: clickid.NewMemoryStore(), Fallback: clickid.NewMemoryStore(),
		OnFallback: func(_ context.Context, err error) { cause = err },
	})
	require.NoError(t, err)
	now := time.Now()
	token, err := store.Save(context.Background(), clickid.Click{ID: documentedID, Param: "clkid", At: now, Expires: now.Add(time.Hour)})
	require.NoError(t, err)
	require.ErrorContains(t, cause, "takes the primary's tokens for its own")
	_, err = store.Load(context.Background(), token)
	require.NoError(t, err)
}

// A site changes from a cookie store to a tiered store and back.
func TestTieredStoreSharesItsTokensWithTheCookieStore(t *testing.T) {
	cookies := newCookieStore(t, newCookieKey(t))
	store, err := clickid.NewTieredStore(clickid.TieredConfig{Primary: clickid.NewMemoryStore(), Fallback: cookies})
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

	outage, err := clickid.NewTieredStore(clickid.TieredConfig{
		Primary: &flakyStore{MemoryStore: clickid.NewMemoryStore(), outage: refuseConnections}, Fallback: cookies})
	require.NoError(t, err)
	fromTiered, err := outage.Save(context.Background(), c)
	require.NoError(t, err)
	_, err = cookies.Load(context.Background(), fromTiered)
	require.NoError(t, err)

	forged := strings.ToUpper(token)
	_, err = store.Load(context.Background(), forged)
	require.ErrorIs(t, err, clickid.ErrInvalid)
	require.ErrorIs(t, store.(clickid.TokenChecker).CheckToken(forged), clickid.ErrInvalid)
}
