package demo

import (
	"bytes"
	"embed"
	"html/template"
	"io"
	"log/slog"
	"net/http"
)

//go:embed pages
var pageFiles embed.FS

// pages renders the HTML pages of one site.
type pages struct {
	templates *template.Template
	frame     frame
	log       *slog.Logger
}

// frame is what every page shows around its content.
type frame struct {
	Site                          string // name of the site
	Theme                         string // CSS class
	NewsURL, ShopURL, PlatformURL string
	Title                         string
	Content                       any
}

func newPages(log *slog.Logger, f frame) (*pages, error) {
	templates, err := template.ParseFS(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	return &pages{templates: templates, frame: f, log: log}, nil
}

// show writes the named page.
func (p *pages) show(w http.ResponseWriter, status int, name, title string, content any) {
	page := p.frame
	page.Title, page.Content = title, content
	var body bytes.Buffer
	// The buffer keeps a page that fails halfway from being sent.
	if err := p.templates.ExecuteTemplate(&body, name, page); err != nil {
		p.log.Error("demo: rendering a page", "page", name, "error", err)
		http.Error(w, "The page could not be rendered.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.Copy(w, &body) // the visitor may have left
}

// fail shows an error page.
func (p *pages) fail(w http.ResponseWriter, status int, message string) {
	p.show(w, status, "message.html", http.StatusText(status), message)
}

// newMux returns a site's routes with the files that its pages share.
func newMux() *http.ServeMux {
	mux := http.NewServeMux()
	for _, name := range []string{"/style.css", "/order.js"} {
		mux.HandleFunc("GET "+name, func(w http.ResponseWriter, r *http.Request) {
			http.ServeFileFS(w, r, pageFiles, "pages"+name)
		})
	}
	return mux
}
