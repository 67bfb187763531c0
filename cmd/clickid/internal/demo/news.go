package demo

import "net/http"

// newsRoutes serves a publisher's site with the ad.
func newsRoutes(p *pages, adURL string) http.Handler {
	mux := newMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		p.show(w, http.StatusOK, "news.html", "The Daily Trail", adURL)
	})
	return mux
}
