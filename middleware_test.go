package clickid_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

const documentedID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

func newTracker(t *testing.T, cfg clickid.Config) *clickid.Tracker {
	t.Helper()
	if cfg.Store == nil {
		store, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
		require.NoError(t, err)
		cfg.Store = store
	}
	tracker, err := clickid.New(cfg)
	require.NoError(t, err)
	return tracker
}

func TestLandingStoresTheClick(t *testing.T) {
	tracker := newTracker(t, clickid.Config{})
	var seen clickid.Click
	h := tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen, _ = clickid.FromContext(r.Context())
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/?clkid="+documentedID, nil))
	require.Equal(t, documentedID, seen.ID)
	require.Len(t, w.Result().Cookies(), 1)

	r := httptest.NewRequest("GET", "/checkout", nil)
	r.AddCookie(w.Result().Cookies()[0])
	w2 := httptest.NewRecorder()
	seen = clickid.Click{}
	h.ServeHTTP(w2, r)
	require.Equal(t, documentedID, seen.ID)
	require.Empty(t, w2.Header())
}
