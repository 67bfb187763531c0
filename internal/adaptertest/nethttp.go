package adaptertest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// HTTPPages returns the pages of routers whose handlers are those of net/http.
func HTTPPages(awaitReader func()) []Page[http.HandlerFunc] {
	type w = http.ResponseWriter
	type r = *http.Request
	page := NewPage[http.HandlerFunc]
	return []Page[http.HandlerFunc]{
		page(Writes, "Write", func(w w, r r) { _, _ = w.Write([]byte("hello")) }, 200, "hello"),
		page(Writes, "WriteHeader", func(w w, r r) { w.WriteHeader(http.StatusAccepted) }, 202, ""),
		page(Writes, "nothing", func(w, r) {}, 200, ""),
		page(Writes, "WriteString", func(w w, r r) { _, _ = io.WriteString(w, "hello") }, 200, "hello"),
		page(Writes, "ReadFrom", func(w w, r r) { _, _ = io.Copy(w, onlyReader{strings.NewReader("hello")}) }, 200, "hello"),
		page(Writes, "a cookie of its own", func(w w, r r) {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
			_, _ = io.WriteString(w, "hello")
		}, 200, "hello"),
		page(Writes, "Cache-Control of its own", func(w w, r r) {
			w.Header().Set("Cache-Control", "public, max-age=60")
			_, _ = io.WriteString(w, "hello")
		}, 200, "hello").WithOwnCaching(),
		page(Writes, "early hints first", func(w w, r r) {
			w.Header().Set("Link", "</style.css>; rel=preload; as=style")
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, "hello")
		}, 200, "hello"),
		page(Writes, "ServeContent", func(w w, r r) {
			http.ServeContent(w, r, "page.txt", time.Time{}, strings.NewReader("hello"))
		}, 200, "hello"),
		page(Writes, "ServeFile without the file", func(w w, r r) { http.ServeFile(w, r, "no/such/file") }, 404, "404").WithOwnCaching(),
		page(Flushes, "Flush", func(w w, r r) {
			_, _ = io.WriteString(w, First)
			w.(http.Flusher).Flush()
			awaitReader()
			_, _ = io.WriteString(w, Second)
		}, 200, First+Second),
		page(Flushes, "ResponseController", func(w w, r r) {
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, First)
			_ = http.NewResponseController(w).Flush()
			awaitReader()
			_, _ = io.WriteString(w, Second)
		}, 200, First+Second),
		page(Streams, "io.Copy", func(w w, r r) {
			_, _ = io.Copy(w, iotest.OneByteReader(strings.NewReader(strings.Repeat("stream ", 1000))))
		}, 200, "stream stream"),
		page(Streams, "Hijack", func(w w, r r) {
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			defer conn.Close()
			_, _ = buffered.WriteString("HTTP/1.1 200 OK\r\n")
			_ = w.Header().Write(buffered) // a hijacker writes its own header
			_, _ = buffered.WriteString("Connection: close\r\n\r\nhijacked")
			_ = buffered.Flush()
		}, 200, "hijacked"),
		page(Redirects, "Redirect", func(w w, r r) { http.Redirect(w, r, "/elsewhere", http.StatusSeeOther) }, 303, ""),
		page(Aborts, "Error", func(w w, r r) { http.Error(w, "no", http.StatusForbidden) }, 403, "no"),
		page(Panics, "before writing", func(w, r) { panic("on purpose") }, 500, ""),
		page(Fails, "writes the error", func(w w, r r) { http.Error(w, "broken", http.StatusBadGateway) }, 502, "broken"),
	}
}

// onlyReader hides every other method, so that io.Copy uses the writer's
// ReadFrom.
type onlyReader struct{ io.Reader }

// HTTPRoutes registers the paths of a [Site], except the groups, with a router
// whose handlers are those of net/http. The method passed to handle is "" for
// all methods.
func HTTPRoutes(site Site[http.HandlerFunc], handle func(method, path string, h http.HandlerFunc)) {
	for i, page := range site.Pages {
		handle("", Path(i), HTTPLook(site, page.Handler))
	}
	consent := func(change func(http.ResponseWriter, *http.Request) (*http.Request, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			r, err := change(w, r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			site.Look(RequestContext, r.Context())
			w.WriteHeader(http.StatusNoContent)
		}
	}
	handle(http.MethodPost, "/consent", consent(func(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
		return site.Tracker.Remember(w, r, "")
	}))
	handle(http.MethodGet, "/withdraw", consent(func(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
		return r, site.Tracker.Forget(w, r)
	}))
}

// HTTPLook returns a handler that calls Look with the request's context before
// next.
func HTTPLook(site Site[http.HandlerFunc], next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		site.Look(RequestContext, r.Context())
		next(w, r)
	}
}

// Serve starts a server for a router that is an http.Handler.
func Serve(t *testing.T, h http.Handler) (baseURL string) {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}
