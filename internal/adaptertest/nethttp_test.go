package adaptertest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clickid/clickid/internal/adaptertest"
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
	var shop http.Handler = http.StripPrefix("/shop", outer)
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
