package demo

import "net/http"

// newsRoutes is a publisher's site that shows the ad.
func newsRoutes(p *pages, adURL string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /style.css", style)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		p.show(w, http.StatusOK, "news.html", "The Daily Trail", adURL)
	})
	return mux
}
