package receiver

import (
	"embed"
	"net/http"
)

//go:embed page
var pageFiles embed.FS

// servePage adds the page.
func servePage(mux *http.ServeMux) {
	mux.Handle("GET /{$}", secured(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.ServeFileFS(w, req, pageFiles, "page/index.html")
	})))
	mux.Handle("GET /assets/{file}", secured(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.ServeFileFS(w, req, pageFiles, "page/"+req.PathValue("file"))
	})))
}
