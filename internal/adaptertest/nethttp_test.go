package adaptertest_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/adaptertest"
	"github.com/stretchr/testify/require"
)

// TestRun_netHTTP runs the suite on net/http without an adapter.
func TestRun_netHTTP(t *testing.T) {
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
	for _, tracker := range slices.Backward(site.Trackers()) {
		h = tracker.Handler(h)
	}
	return adaptertest.Serve(t, recovering(h))
}

func TestUploads_netHTTP(t *testing.T) {
	adaptertest.HTTPUploads(t, func(tracker *clickid.Tracker, parsed func()) http.Handler {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := r.ParseMultipartForm(adaptertest.UploadMemory); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			parsed()
		})
		if tracker == nil {
			return h
		}
		return tracker.Handler(h)
	})
}

// TestHandler_timeoutHandler shows why http.TimeoutHandler belongs outside the
// tracker: it replaces the cookies that were set before when the handler sets a
// cookie.
func TestHandler_timeoutHandler(t *testing.T) {
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

// recovering responds to a panic with status 500. net/http itself only closes
// the connection.
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
