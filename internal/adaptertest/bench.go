package adaptertest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/clickid/clickid"
)

// NewTracker returns a tracker with a cookie store.
func NewTracker(tb testing.TB) *clickid.Tracker {
	tb.Helper()
	tracker, err := clickid.New(clickid.Config{Store: cookieStore(tb)})
	if err != nil {
		tb.Fatal(err)
	}
	return tracker
}

// ComparePageWithoutClick measures a page without a click on routers with
// different middleware.
func ComparePageWithoutClick(b *testing.B, routers map[string]http.Handler) {
	for name, router := range routers {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/?size=42", nil)
			r.Header.Set("Cookie", "session=1")
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for i := 0; i < b.N; i++ {
				router.ServeHTTP(w, r)
			}
		})
	}
}
