package demo

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

//go:embed pages
var pageFiles embed.FS

// site is a web site of the demo on a port of its own.
type site struct {
	url      string
	listener net.Listener
	server   *http.Server
	failed   chan error // receives at most one error of Serve
}

// listen reserves the site's address, so that other sites can link to it
// before it serves.
func listen(ctx context.Context, addr string) (*site, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("demo: cannot listen; choose another address with -addr: %w", err)
	}
	return &site{url: "http://" + listener.Addr().String(), listener: listener, failed: make(chan error, 1)}, nil
}

// serve starts to serve requests.
func (s *site) serve(handler http.Handler) {
	s.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
}

// close stops listening and waits for the open requests.
func (s *site) close(ctx context.Context) error {
	if s.server == nil {
		return s.listener.Close()
	}
	if err := s.server.Shutdown(ctx); err != nil {
		return fmt.Errorf("demo: a site did not stop in time: %w", errors.Join(err, s.server.Close()))
	}
	select {
	case err := <-s.failed:
		return fmt.Errorf("demo: a site stopped serving: %w", err)
	default:
		return nil
	}
}

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
	Live                          bool // the page updates itself
	Content                       any
}

func newPages(log *slog.Logger, f frame) (*pages, error) {
	templates, err := template.ParseFS(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	return &pages{templates: templates, frame: f, log: log}, nil
}

// live is the content of a page that updates itself.
type live interface{ live() }

// show writes the named page.
func (p *pages) show(w http.ResponseWriter, status int, name, title string, content any) {
	page := p.frame
	page.Title, page.Content = title, content
	_, page.Live = content.(live)
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

// style serves the one style sheet.
func style(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, pageFiles, "pages/style.css")
}
