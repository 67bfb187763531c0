//go:build !race

package clickid_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// TestCapture_hotAllocations bounds the allocations of a landing and of a page
// that reads the click. It does not run with the race detector, which makes a
// sync.Pool drop some of its values.
func TestCapture_hotAllocations(t *testing.T) { // not parallel: it counts allocations
	tracker := newTracker(t, clickid.Config{Store: newCookieStore(t, firstKey)})
	landing := newRequest(http.MethodGet, "/?clkid="+documentedID)
	recorder := httptest.NewRecorder()
	tracker.Capture(recorder, landing)
	page := newRequest(http.MethodGet, "/", "Cookie: __Host-clkid="+recorder.Result().Cookies()[0].Value)
	tests := map[string]struct {
		r    *http.Request
		read func(*http.Request) bool
		want float64
	}{
		"a landing":                   {landing, func(*http.Request) bool { return true }, 6 + 16}, // 16 of securecookie
		"a page that reads the click": {page, func(r *http.Request) bool { _, ok := clickid.FromContext(r.Context()); return ok }, 3},
		"a page that reads the token": {page, func(r *http.Request) bool { _, ok := clickid.Token(r.Context()); return ok }, 3},
	}
	for name, tt := range tests {
		h := tracker.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if !tt.read(r) {
				t.Error(name)
			}
		}))
		w := &discardWriter{header: http.Header{}}
		allocations := testing.AllocsPerRun(100, func() { clear(w.header); h.ServeHTTP(w, tt.r) })
		require.LessOrEqual(t, allocations, tt.want, name)
	}
}
