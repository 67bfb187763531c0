package adaptertest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/internal/adaptertest"
	"github.com/stretchr/testify/require"
)

// TestNetHTTP runs the table against net/http alone, which needs no adapter:
// Tracker.Handler is its middleware.
func TestNetHTTP(t *testing.T) {
	adaptertest.Run(t, adaptertest.Router[http.HandlerFunc]{Pages: adaptertest.HTTPPages, Serve: serve})
}

func serve(t *testing.T, site adaptertest.Site[http.HandlerFunc]) string {
	mux := http.NewServeMux()
	adaptertest.HTTPRoutes(site, func(method, path string, h http.HandlerFunc) {
		mux.Handle(strings.TrimSpace(method+" "+path), h)
	})

	inner := http.NewServeMux()
	inner.Handle("/page", adaptertest.HTTPLook(site, site.Pages[0].Handler))
	outer := http.NewServeMux()
	outer.Handle("/eu/", http.StripPrefix("/eu", inner))
	shop := http.StripPrefix("/shop", outer)
	if site.Mount == adaptertest.OnGroup {
		shop = site.Tracker.Handler(shop)
	}
	mux.Handle("/shop/", shop)

	var h http.Handler = mux
	for range site.Mount.Times() {
		h = site.Tracker.Handler(h)
	}
	return adaptertest.Serve(t, recovering(h))
}

// TestTimeoutHandler shows why http.TimeoutHandler, and what is built on it,
// belongs outside the tracker: it collects the handler's header, and where that
// sets a cookie of its own, those that were set before are replaced.
func TestTimeoutHandler(t *testing.T) {
	t.Parallel()
	tracker := adaptertest.NewTracker(t)
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
	})
	cookies := func(h http.Handler) (names []string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV", nil))
		for _, c := range w.Result().Cookies() {
			names = append(names, c.Name)
		}
		return names
	}
	require.Equal(t, []string{"__Host-clkid", "session"}, cookies(http.TimeoutHandler(tracker.Handler(page), time.Minute, "")))
	require.Equal(t, []string{"session"}, cookies(tracker.Handler(http.TimeoutHandler(page, time.Minute, ""))))
}

// recovering answers a panic with 500: net/http itself has no recovery but the
// one that closes the connection.
func recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
