package examples_test

import (
	"net/http"
	"testing"

	"github.com/clickid/clickid/internal/adaptertest"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// TestHandler_chi runs the conformance suite of the adapters on chi without an
// adapter.
func TestHandler_chi(t *testing.T) {
	adaptertest.Run(t, adaptertest.Router[http.HandlerFunc]{Pages: adaptertest.HTTPPages, Serve: serveChi})
}

func serveChi(t *testing.T, site adaptertest.Site[http.HandlerFunc]) string {
	router := chi.NewRouter()
	router.Use(middleware.Recoverer)
	if site.Compress {
		router.Use(middleware.Compress(5, "text/plain"))
	}
	for _, tracker := range site.Trackers() {
		router.Use(tracker.Handler)
	}
	adaptertest.HTTPRoutes(site, func(method, path string, h http.HandlerFunc) {
		if method == "" {
			router.HandleFunc(path, h)
		} else {
			router.MethodFunc(method, path, h)
		}
	})
	router.Route("/shop", func(shop chi.Router) {
		if site.Mount == adaptertest.OnGroup {
			shop.Use(site.Tracker.Handler)
		}
		shop.Route("/eu", func(eu chi.Router) {
			eu.Get("/page", adaptertest.HTTPLook(site, site.Pages[0].Handler))
		})
	})
	return adaptertest.Serve(t, router)
}
